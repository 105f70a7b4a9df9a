/* A side of a data set from image files: their common form, their pixels, and what is damaged. */
#include <string.h>

#include "data/internal.h"

enum { CHANNELS = 3 };

/* A failure that is one file's: it is not an image, not a whole one, or cannot be read. */
static bool is_damage(mdl_status status)
{
    return status == MDL_FORMAT || status == MDL_IO || status == MDL_NOT_FOUND;
}

/* The common size of the files, of those that have one; false: they have several, or none. */
static mdl_status find_size(char *const *paths, size_t count, mdl_dataset *set, bool *uniform)
{
    bool first = true;
    *uniform = true;
    for (size_t i = 0; i < count; i++) {
        size_t height, width;
        MDL_TRY(mdl_stop_check());
        mdl_status status = mdl__image_info(paths[i], &height, &width);
        if (is_damage(status))
            continue; /* reading it will say so */
        MDL_TRY(status);
        if (first) {
            set->height = height;
            set->width = width;
            first = false;
        }
        *uniform = *uniform && height == set->height && width == set->width;
    }
    *uniform = *uniform && !first;
    return MDL_OK;
}

mdl_status mdl__files_choose_form(const mdl_data_config *config, char *const *paths, size_t count,
                                  mdl_dataset *set)
{
    size_t side = config->image_size;
    bool uniform;
    MDL_TRY(find_size(paths, count, set, &uniform));
    set->fitted =
        !uniform || (config->size != MDL_SIZE_NATIVE && (set->height > side || set->width > side));
    if (set->fitted)
        set->height = set->width = side;
    return MDL_OK;
}

/* Log what is wrong with a file, as the error's detail says it; of many only the first ones. */
static mdl_status note_damage(mdl_dataset *set)
{
    enum { NAMED = 100 };
    if (set->damaged == 0)
        MDL_TRY(mdl_strdup(mdl_error_detail(), &set->damage));
    if (set->damaged++ < NAMED)
        mdl_log(MDL_LOG_WARN, "damaged image: %s", mdl_error_detail());
    else if (set->damaged == NAMED + 1)
        mdl_log(MDL_LOG_WARN, "more damaged images are counted, not named");
    return MDL_OK;
}

static mdl_status check_kept(const mdl_data_config *config, const mdl_dataset *set, mdl_split split)
{
    static const char *const purposes[] = {"train", "validate", "test"};
    if (set->count == 0)
        return mdl_fail(MDL_FORMAT, "none of the %zu images to %s on can be read: %s", set->damaged,
                        purposes[split], set->damage);
    if (set->damaged > 0 && config->skip_damaged)
        mdl_log(MDL_LOG_WARN, "%zu of %zu images to %s on are damaged and left out", set->damaged,
                set->count + set->damaged, purposes[split]);
    return MDL_OK;
}

/* An image as all are in the set. */
static mdl_status read_one(const char *path, const mdl_dataset *set, const mdl_image_form *form,
                           uint8_t *out)
{
    if (set->fitted)
        return mdl_image_read(path, form, out);
    mdl__image image;
    MDL_TRY(mdl__image_decode(path, &image));
    bool same = image.height == set->height && image.width == set->width;
    if (same)
        memcpy(out, image.rgb, set->height * set->width * CHANNELS);
    mdl_free(image.rgb);
    return same ? MDL_OK : mdl_fail(MDL_FORMAT, "%s has changed while it was read", path);
}

mdl_status mdl__files_read(const mdl_data_config *config, const mdl__files *files, mdl_split split,
                           mdl_dataset *set)
{
    const mdl_image_form form = {.height = config->image_size,
                                 .width = config->image_size,
                                 .channels = CHANNELS,
                                 .resize = config->resize,
                                 .crop_fraction = config->crop_fraction};
    size_t kept = 0;
    MDL_TRY(
        mdl__dataset_alloc(set, files->count, set->height, set->width, CHANNELS, files->classes));
    set->value_max = 255;
    size_t bytes = set->height * set->width * CHANNELS;
    for (size_t i = 0; i < files->count; i++) {
        MDL_TRY(mdl_stop_check());
        mdl_status status = read_one(files->paths[i], set, &form, set->pixels + kept * bytes);
        if (is_damage(status)) {
            MDL_TRY(note_damage(set)); /* it leaves no gap */
            continue;
        }
        MDL_TRY(status);
        set->labels[kept++] = files->labels[i];
    }
    set->count = kept;
    return check_kept(config, set, split);
}
