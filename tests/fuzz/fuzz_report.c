/* The folder of an experiment as the report reads it.  Input: "=== NAME" lines, each followed by
 * the content of that file, of the names below.  gnuplot and Graphviz are not run. */
#include <stdio.h>
#include <string.h>

#include "fuzz.h"
#include "report/report.h"

static const char *const names[] = {
    "table.json",
    "evaluation.json",
    "interpolation.json",
    "predictions.csv",
    "eval.json",
    "winner.json",
    "lineage.jsonl",
    "metrics.jsonl",
    "made.json",
    "config.yaml",
    "A-seed1/step.json",
    "A-seed1/metrics.jsonl",
    "B-trunk/step.json",
    "B-trunk/metrics.jsonl",
    "B-child1/step.json",
    "B-child1/metrics.jsonl",
    "C-hybrid/search.json",
    "C-hybrid/winner.json",
    "C-hybrid/lineage.jsonl",
    "repeat-1/config.yaml",
    "repeat-1/table.json",
    "repeat-1/made.json",
    "repeat-1/B-seed1/metrics.jsonl",
    "repeat-2/config.yaml",
    "repeat-2/table.json",
    "repeat-2/C-hybrid/search.json",
};

/* In the place of the library's: the same picture for every script. */
mdl_status mdl_tool_run(const char *const *argv, const char *input, size_t size, size_t limit,
                        char **output, size_t *output_size)
{
    static const char picture[] = "<?xml version=\"1.0\"?>\n<svg width=\"10\" height=\"10\" "
                                  "viewBox=\"0 0 10 10\"><g id=\"a\"><path d=\"M0 0\" "
                                  "stroke=\"#010101\"/></g></svg>\n";
    (void)limit;
    fuzz_must(argv[0] != NULL && memchr(input, '\0', size) == NULL, "a script is text");
    *output_size = sizeof(picture) - 1;
    return mdl_strdup(picture, output);
}

static void put_files(const uint8_t *data, size_t size)
{
    static bool there[MDL_COUNT(names)];
    bool given[MDL_COUNT(names)] = {false};
    while (size > 0) {
        const uint8_t *line, *content;
        size_t length = fuzz_part(&data, &size, "\n", &line), found = MDL_COUNT(names);
        size_t bytes = fuzz_part(&data, &size, "=== ", &content);
        for (size_t i = 0; i < MDL_COUNT(names); i++)
            if (strlen(names[i]) == length && memcmp(names[i], line, length) == 0)
                found = i;
        if (found == MDL_COUNT(names) || given[found])
            continue;
        fuzz_file(names[found], content, bytes);
        given[found] = true;
    }
    for (size_t i = 0; i < MDL_COUNT(names); i++) {
        if (there[i] && !given[i])
            fuzz_remove(names[i]);
        there[i] = given[i];
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *before;
    fuzz_part(&data, &size, "=== ", &before);
    put_files(data, size);
    mdl_report_job job = {.folder = fuzz_folder(), .html = "/dev/null", .markdown = "/dev/null"};
    (void)fuzz_worked(mdl_report_write(&job));
    return 0;
}
