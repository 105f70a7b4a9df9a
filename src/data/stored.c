/* Images that stay in their files and are decoded whenever they are used. */
#include <string.h>

#include "data/internal.h"

enum { CHANNELS = 3, NAMED = 100 };

/* Guards what is noted while several threads read. */
struct mdl__stored_notes {
    mdl_monitor *monitor;
    size_t damaged; /* images that could not be read when they were used */
};

mdl_status mdl__stored_create(const mdl_data_config *config, size_t count, mdl__stored **out)
{
    mdl__stored *s;
    *out = NULL;
    MDL_TRY(MDL_NEW(1, "files of images", &s));
    s->form = mdl__files_form(config);
    s->skip_damaged = config->skip_damaged;
    mdl_status status = MDL_NEW(mdl_max_size(count, 1), "files of images", &s->paths);
    if (status == MDL_OK)
        status = MDL_NEW(1, "files of images", &s->notes);
    if (status == MDL_OK)
        status = mdl_monitor_create(&s->notes->monitor);
    *out = s;
    if (status == MDL_OK)
        return MDL_OK;
    mdl__stored_destroy(s, 0);
    *out = NULL;
    return status;
}

void mdl__stored_destroy(mdl__stored *s, size_t count)
{
    if (s == NULL)
        return;
    for (size_t i = 0; s->paths != NULL && i < count; i++)
        mdl_free(s->paths[i]);
    if (s->notes != NULL)
        mdl_monitor_destroy(s->notes->monitor);
    mdl_free(s->notes);
    mdl_free(s->paths);
    mdl_free(s->histogram);
    mdl_free(s);
}

bool mdl__is_damage(mdl_status status)
{
    return status == MDL_FORMAT || status == MDL_IO || status == MDL_NOT_FOUND;
}

mdl_image_form mdl__files_form(const mdl_data_config *config)
{
    return (mdl_image_form){.height = config->image_size,
                            .width = config->image_size,
                            .channels = CHANNELS,
                            .resize = config->resize,
                            .crop_fraction = config->crop_fraction};
}

mdl_status mdl__file_pixels(const char *path, const mdl_dataset *set, const mdl_image_form *form,
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

mdl_status mdl__set_pixels(const mdl_dataset *set, size_t image, uint8_t *scratch,
                           const uint8_t **pixels)
{
    size_t bytes = set->height * set->width * set->channels;
    *pixels = set->pixels != NULL ? set->pixels + image * bytes : scratch;
    if (set->raw != NULL)
        return mdl__raw_pixels(set, image, scratch);
    return set->pixels != NULL
               ? MDL_OK
               : mdl__file_pixels(set->stored->paths[image], set, &set->stored->form, scratch);
}

mdl_status mdl__stored_damage(const mdl__stored *stored, mdl_status status)
{
    if (stored == NULL || !mdl__is_damage(status))
        return status;
    if (!stored->skip_damaged)
        return mdl_fail(status,
                        "an image could not be read when it was needed: %s; repair it, or leave "
                        "such images out with `data.skip_damaged=true`",
                        mdl_error_detail());
    mdl_monitor_lock(stored->notes->monitor);
    size_t before = stored->notes->damaged++;
    mdl_monitor_unlock(stored->notes->monitor);
    if (before < NAMED)
        mdl_log(MDL_LOG_WARN, "damaged image: %s; it counts as an empty one", mdl_error_detail());
    return MDL_OK;
}
