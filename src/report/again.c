/* All that is needed to do it again: commands, seeds, version, steps, configuration. */
#include <math.h>
#include <string.h>

#include "report/report_internal.h"

static void put_steps(mdl__page *page)
{
    json_t *cells = json_array();
    for (int arm = 0; arm < 2; arm++) {
        char **names = NULL;
        size_t n = mdl__names(page, arm == 0 ? "A-" : "B-", "step.json", &names);
        for (size_t i = 0; i < n; i++) {
            json_t *step = mdl__page_json(page, "%s/step.json", names[i]);
            double seed = mdl__number(step, "seed");
            const char *in_name = strstr(names[i], "seed");
            mdl__row(cells, 5, mdl__cell("%s", names[i]),
                     isfinite(seed)    ? mdl__cell("%.0f", seed)
                     : in_name != NULL ? mdl__cell("%s", in_name + 4)
                                       : mdl__cell("%s", ""),
                     isfinite(mdl__number(step, "steps"))
                         ? mdl__cell("%.0f", mdl__number(step, "steps"))
                         : mdl__cell("%s", ""),
                     isfinite(mdl__number(step, "seconds"))
                         ? mdl__cell("%.1f", mdl__number(step, "seconds"))
                         : mdl__cell("not finished"),
                     mdl__cell("%.12s", mdl__text_of(step, "depends")));
            json_decref(step);
        }
        mdl__names_free(names, n);
    }
    if (json_array_size(cells) == 0) {
        json_decref(cells);
        return;
    }
    mdl__page_table(
        page, json_pack("[s,s,s,s,s]", "training", "seed", "steps", "seconds", "hash of inputs"),
        cells);
}

void mdl__report_again(mdl__page *page)
{
    char path[MDL_PATH_MAX], *text = NULL;
    size_t size = 0;
    mdl__page_section(page, "again", "Doing it again");
    mdl__page_text(
        page,
        "Made by Mendel %s. The same configuration, backend and seed give the same bytes, "
        "for any number of threads; times are this machine's.",
        mdl_build_version());
    mdl__page_code(page, NULL,
                   "mendel experiment config.yaml --out again\n"
                   "mendel report again\n"
                   "mendel eval again/C-hybrid/merged.safetensors --data SPEC --full\n");
    put_steps(page);
    if (page->status != MDL_OK)
        return;
    page->status = mdl_path(path, sizeof(path), page->folder, "config.yaml");
    if (page->status != MDL_OK || !mdl_file_exists(path))
        return;
    page->status = mdl_file_read(path, (size_t)1 << 24, &text, &size);
    if (page->status == MDL_OK)
        mdl__page_code(page, "config.yaml: the whole effective configuration", text);
    mdl_free(text);
}
