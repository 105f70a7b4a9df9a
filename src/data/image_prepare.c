/* An image file as a network sees it that was trained on images of files: by the same code. */
#include <string.h>

#include "data/internal.h"

static mdl_data_config config_of(const mdl_image_form *form)
{
    mdl_data_config config = mdl_data_config_default();
    config.size = MDL_SIZE_MODEL;
    config.resize = form->resize;
    config.crop_fraction = form->crop_fraction;
    return config;
}

/* A data set of the one image. */
static mdl_status show(mdl_dataset *set, const mdl_image_look *look, float *out)
{
    int32_t label = 0;
    uint32_t first = 0;
    const mdl_loader_options options = {.split = MDL_SPLIT_TEST};
    mdl_data data = {.config = config_of(&look->form),
                     .test = set,
                     .height = look->form.height,
                     .width = look->form.width,
                     .channels = look->form.channels,
                     .value_max = look->value_max};
    memcpy(data.mean, look->mean, sizeof(data.mean));
    memcpy(data.std, look->std, sizeof(data.std));
    data.index[MDL_SPLIT_TEST] = &first;
    data.count[MDL_SPLIT_TEST] = 1;
    set->count = 1;
    set->channels = look->form.channels;
    set->labels = &label;
    MDL_TRY(mdl__prepare_create(&data, &data.prepare));
    mdl_status status = mdl_prepare_image(&data, &options, 0, 0, out, &label);
    mdl__prepare_destroy(data.prepare);
    return status;
}

static mdl_status prepare(const mdl__image *image, const mdl_image_look *look, float *out)
{
    mdl_image_form form = look->form;
    mdl_dataset set = {.fitted = image->height > form.height || image->width > form.width};
    if (!set.fitted) { /* as it is: what is done to its size is done to its numbers */
        form.resize = MDL_RESIZE_STRETCH;
        form.height = image->height;
        form.width = image->width;
    }
    set.height = form.height;
    set.width = form.width;
    MDL_TRY(MDL_NEW(set.height * set.width * form.channels, "image", &set.pixels));
    mdl_status status = mdl__image_bring(image, &form, set.pixels);
    if (status == MDL_OK)
        status = show(&set, look, out);
    mdl_free(set.pixels);
    return status;
}

mdl_status mdl_image_prepare(const char *path, const mdl_image_look *look, float *out)
{
    mdl__image image;
    MDL_TRY(mdl__image_decode(path, &image));
    mdl_status status = prepare(&image, look, out);
    mdl_free(image.rgb);
    return status;
}
