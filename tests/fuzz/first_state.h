/* The good resume.state that targets change: of the smallest models, over a few of the digits. */
#ifndef MDL_TESTS_FUZZ_FIRST_STATE_H
#define MDL_TESTS_FUZZ_FIRST_STATE_H

#include "data/data.h"
#include "dispatch/dispatch.h"
#include "fuzz.h"
#include "models/models.h"

static inline void first_open(size_t limit, mdl_data **images, mdl_device **device)
{
    mdl_data_config config = mdl_data_config_default();
    snprintf(config.source, sizeof(config.source), "digits");
    config.size = MDL_SIZE_NATIVE;
    config.limit = limit;
    FUZZ_MUST(mdl_data_read(&config, images));
    FUZZ_MUST(mdl_device_open("reference", 1, MDL_F32, device));
}

static inline mdl_model_config first_model(const mdl_data *images, size_t hidden)
{
    mdl_model_config model = mdl_model_config_default();
    model.kind = MDL_MODEL_MLP;
    model.height = images->height;
    model.width_px = images->width;
    model.channels = images->channels;
    model.classes = images->classes;
    model.hidden = hidden;
    return model;
}

/* The state that lies in the folder, without its end mark and digest; the caller's to free. */
static inline void first_read(const char *folder, char **state, size_t *size)
{
    enum { END = 36 };
    char path[MDL_PATH_MAX];
    FUZZ_MUST(mdl_path(path, sizeof(path), folder, "resume.state"));
    FUZZ_MUST(mdl_file_read(path, 0, state, size));
    *size -= END;
}

#endif
