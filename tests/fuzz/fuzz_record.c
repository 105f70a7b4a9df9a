/* Records of an experiment.  Input: a byte (even: a step's record, whose hash is put right where it
 * has a place; odd: made.json), then the file. */
#include <math.h>
#include <string.h>

#include "experiment/run.h"
#include "fuzz.h"

static mdl__lab runner;
static mdl_experiment_job job;
static mdl__share share; /* nobody else is at work */

static void close_all(void)
{
    mdl_device_close(runner.device);
    mdl_data_close(runner.data);
}

static void open_all(void)
{
    runner.config = mdl_config_default();
    snprintf(runner.config.data.source, sizeof(runner.config.data.source), "synthetic:20");
    runner.config.data.image_size = 4;
    job = (mdl_experiment_job){.config = &runner.config, .out = fuzz_folder()};
    runner.job = &job;
    runner.share = &share;
    snprintf(share.by, sizeof(share.by), "fuzz");
    FUZZ_MUST(mdl_device_open("reference", 1, MDL_F32, &runner.device));
    FUZZ_MUST(mdl_data_read(&runner.config.data, &runner.data));
    atexit(close_all);
}

static void open_record(const uint8_t *data, size_t size)
{
    static const char mark[] = "@@@@", depends[] = "fuzz";
    static char text[1 << 16];
    mdl__record record;
    char hash[65];
    size = mdl_min_size(size, sizeof(text) - sizeof(hash));
    memcpy(text, data, size);
    FUZZ_MUST(mdl_sha256_hex(depends, strlen(depends), hash));
    for (size_t i = 0; i + 4 <= size; i++)
        if (memcmp(text + i, mark, 4) == 0) {
            memmove(text + i + 64, text + i + 4, size - i - 4);
            memcpy(text + i, hash, 64);
            size += 60;
            break;
        }
    const char *path = fuzz_file("step.json", text, size);
    if (!fuzz_worked(mdl__record_open(path, depends, &record)))
        return;
    fuzz_must(json_is_object(record.json), "a record is an object");
    fuzz_must(!record.done || record.begun, "what is done was begun");
    (void)mdl__record_number(&record, "seconds");
    mdl__record_set(&record, "top1", json_real(0.5));
    fuzz_must(fabs(mdl__record_number(&record, "top1") - 0.5) < 1e-9, "what was set is there");
    mdl__record_close(&record);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bool made = (fuzz_byte(&data, &size) & 1) != 0;
    if (runner.job == NULL)
        open_all();
    if (made) {
        fuzz_file("made.json", data, size);
        (void)fuzz_worked(mdl__write_provenance(&runner, true));
        fuzz_remove("made.json"); /* it was replaced */
    } else
        open_record(data, size);
    return 0;
}
