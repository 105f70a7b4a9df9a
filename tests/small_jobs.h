/* Small data, small models and short trainings for the tests of train and merge. */
#ifndef MDL_TESTS_SMALL_JOBS_H
#define MDL_TESTS_SMALL_JOBS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "scratch.h"
#include "train/train.h"

#define must(call)                                                                                 \
    do {                                                                                           \
        if ((call) != MDL_OK)                                                                      \
            fail_msg("%s: %s", #call, mdl_error_detail());                                         \
    } while (0)

/* `limit` raw 8x8 digits a split, scaled to 0 .. 1 and augmented a little. */
static inline mdl_status small_data(size_t limit, mdl_data **out)
{
    mdl_data_config config = mdl_data_config_default();
    config.size = MDL_SIZE_NATIVE;
    config.normalize = MDL_NORMALIZE_UNIT;
    config.limit = limit;
    config.crop_padding = 1;
    return mdl_data_read(&config, out);
}

static inline mdl_model_config small_model(mdl_model_kind kind, const mdl_data *data)
{
    mdl_model_config model = mdl_model_config_default();
    model.kind = kind;
    model.height = data->height;
    model.width_px = data->width;
    model.channels = data->channels;
    model.classes = data->classes;
    model.hidden = 32;
    model.width = 0.1;
    model.depth = 0.3;
    for (size_t i = 3; i < MDL_COUNT(model.strides); i++)
        model.strides[i] = 1;
    model.drop_connect = model.dropout = 0.05; /* more, and so small a network learns nothing */
    model.trm.dim = 32;
    return model;
}

static inline mdl_train_config small_training(void)
{
    mdl_train_config train = mdl_train_config_default();
    train.epochs = 3;
    train.batch = 16;
    train.optim.lr = 0.01;
    return train;
}

static inline void make_path(char path[MDL_PATH_MAX], const char *folder, const char *name)
{
    must(mdl_path(path, MDL_PATH_MAX, folder, "%s", name));
}

static inline void assert_same_file(const char *folder_a, const char *folder_b, const char *name)
{
    char path[MDL_PATH_MAX];
    char *a = NULL, *b = NULL;
    size_t size_a, size_b;
    make_path(path, folder_a, name);
    must(mdl_file_read(path, 0, &a, &size_a));
    make_path(path, folder_b, name);
    must(mdl_file_read(path, 0, &b, &size_b));
    bool same = size_a == size_b && memcmp(a, b, size_a) == 0;
    mdl_free(a);
    mdl_free(b);
    if (!same)
        fail_msg("%s differs between %s and %s", name, folder_a, folder_b);
}

#endif
