/* Reader of CIFAR-10-C and CIFAR-100-C (D. Hendrycks and T. Dietterich, 2019,
 * https://zenodo.org/records/2535967): the test images, corrupted.  A file NAME.npy for each
 * corruption holds all of them at severity 1, then at 2, up to 5; labels.npy is for each of those
 * files.  15 corruptions count in the published mean, 4 more are extra. */
#include <string.h>

#include "data/arrays.h"
#include "data/cifar.h"

static const struct {
    const char *name, *group;
} kinds[] = {
    {"gaussian_noise", "noise"},
    {"shot_noise", "noise"},
    {"impulse_noise", "noise"},
    {"defocus_blur", "blur"},
    {"glass_blur", "blur"},
    {"motion_blur", "blur"},
    {"zoom_blur", "blur"},
    {"snow", "weather"},
    {"frost", "weather"},
    {"fog", "weather"},
    {"brightness", "weather"},
    {"contrast", "digital"},
    {"elastic_transform", "digital"},
    {"pixelate", "digital"},
    {"jpeg_compression", "digital"},
    /* extra: */
    {"speckle_noise", "noise"},
    {"gaussian_blur", "blur"},
    {"spatter", "weather"},
    {"saturate", "digital"},
};

typedef struct reading { /* of one array */
    size_t images;       /* that are expected; 0: any number */
    uint8_t *pixels;     /* NULL: only the header is read */
    int32_t *labels;
    mdl__npy npy;
} reading;

static mdl_status fail_shape(const reading *r, const char *name)
{
    return mdl_fail(MDL_FORMAT,
                    "%s: expected are images of 32x32x3, the same number at each of %d severities, "
                    "as many as there are labels (%zu)",
                    name, MDL_SEVERITIES, r->images);
}

static mdl_status read_images(void *user, const char *name, const mdl__bytes *in, uint64_t limit)
{
    reading *r = user;
    const mdl__npy *npy = &r->npy;
    (void)name;
    MDL_TRY(mdl__npy_open(in, limit, &r->npy));
    MDL_TRY(mdl__npy_check_images(npy, in->name));
    if (npy->shape[0] != r->images || npy->count != r->images * MDL__CIFAR_IMAGE ||
        npy->shape[1] != MDL__CIFAR_SIDE || npy->shape[2] != MDL__CIFAR_SIDE || npy->rank != 4)
        return fail_shape(r, in->name);
    return r->pixels != NULL ? mdl__npy_images(in, npy, NULL, r->pixels) : MDL_OK;
}

/* The images stay in their file. */
static mdl_status leave_images(const char *folder, const reading *r, const mdl_set_part *part,
                               mdl_dataset *set)
{
    char path[MDL_PATH_MAX];
    MDL_TRY(mdl_path(path, sizeof(path), folder, "%s.npy", part->name));
    if (r->npy.fortran)
        return mdl_fail(MDL_UNSUPPORTED,
                        "%s is in Fortran's order, and the images do not fit memory: save it anew "
                        "with numpy.ascontiguousarray",
                        path);
    return mdl__raw_add(set, path, part->first, r->npy.start, r->npy.count);
}

/* All labels, or only how many there are. */
static mdl_status read_labels(void *user, const char *name, const mdl__bytes *in, uint64_t limit)
{
    reading *r = user;
    (void)name;
    MDL_TRY(mdl__npy_open(in, limit, &r->npy));
    MDL_TRY(mdl__npy_check_labels(&r->npy, in->name));
    if (r->labels == NULL)
        return MDL_OK;
    if (r->npy.count != r->images)
        return mdl_fail(MDL_FORMAT, "%s has changed while it was read", in->name);
    return mdl__npy_labels(in, &r->npy, r->labels);
}

/* The folder itself, or the one that the archive makes in it. */
static mdl_status find_folder(const char *argument, const char *own, char found[MDL_PATH_MAX])
{
    char path[MDL_PATH_MAX];
    for (int i = 0; i < 2; i++) {
        MDL_TRY(
            mdl_path(found, MDL_PATH_MAX, i == 0 ? argument : "", "%s", i == 0 ? own : argument));
        MDL_TRY(mdl_path(path, sizeof(path), found, "labels.npy"));
        if (mdl_file_exists(path))
            return MDL_OK;
    }
    return mdl_fail(MDL_NOT_FOUND, "there is no labels.npy in %s, nor in its folder %s", argument,
                    own);
}

/* The corruptions that are there, in the published order. */
static mdl_status find_parts(const char *folder, size_t images, mdl_dataset *set)
{
    char path[MDL_PATH_MAX];
    mdl__naming missing = {.used = 0};
    MDL_TRY(MDL_NEW(MDL_COUNT(kinds), "corruptions", &set->parts));
    for (size_t k = 0; k < MDL_COUNT(kinds); k++) {
        MDL_TRY(mdl_path(path, sizeof(path), folder, "%s.npy", kinds[k].name));
        if (!mdl_file_exists(path)) {
            mdl__naming_add(&missing, kinds[k].name);
            continue;
        }
        set->parts[set->n_parts] = (mdl_set_part){.name = kinds[k].name,
                                                  .group = kinds[k].group,
                                                  .extra = k >= MDL_CORRUPTIONS,
                                                  .first = set->n_parts * images,
                                                  .count = images};
        set->n_parts++;
    }
    if (set->n_parts == 0)
        return mdl_fail(MDL_NOT_FOUND, "%s has none of the files gaussian_noise.npy, ...", folder);
    if (missing.count > 0)
        mdl_log(MDL_LOG_WARN, "%s: %zu of the %zu published corruptions are missing: %s", folder,
                missing.count, MDL_COUNT(kinds), mdl__naming_text(&missing));
    return MDL_OK;
}

static mdl_status check_label(const char *folder, const mdl_dataset *set, size_t image)
{
    if ((size_t)set->labels[image] < set->classes)
        return MDL_OK;
    return mdl_fail(MDL_FORMAT, "%s/labels.npy: label %zu is %d, which is not below %zu", folder,
                    image, (int)set->labels[image], set->classes);
}

static mdl_status read_set(const mdl_data_config *config, const char *folder, size_t classes,
                           mdl_dataset *set)
{
    reading r = {.images = 0};
    MDL_TRY(mdl__walk_npy(folder, "labels", read_labels, &r));
    r.images = r.npy.count;
    if (r.images % MDL_SEVERITIES != 0)
        return mdl_fail(MDL_FORMAT, "%s/labels.npy has %zu labels: a multiple of %d is expected",
                        folder, r.images, MDL_SEVERITIES);
    MDL_TRY(find_parts(folder, r.images, set));
    set->height = set->width = MDL__CIFAR_SIDE;
    bool held = mdl__is_held(config, (uint64_t)set->n_parts * r.images * MDL__CIFAR_IMAGE);
    MDL_TRY(mdl__dataset_alloc_for(set, set->n_parts * r.images, 3, classes, held));
    if (!held)
        MDL_TRY(mdl__raw_create(set->n_parts, &set->raw));
    r.labels = set->labels;
    MDL_TRY(mdl__walk_npy(folder, "labels", read_labels, &r));
    for (size_t i = 0; i < r.images; i++)
        MDL_TRY(check_label(folder, set, i));
    for (size_t p = 0; p < set->n_parts; p++) {
        const mdl_set_part *part = &set->parts[p];
        r.pixels = held ? set->pixels + part->first * MDL__CIFAR_IMAGE : NULL;
        MDL_TRY(mdl__walk_npy(folder, part->name, read_images, &r));
        if (!held)
            MDL_TRY(leave_images(folder, &r, part, set));
        memcpy(set->labels + part->first, set->labels, part->count * sizeof(*set->labels));
    }
    set->value_max = 255;
    return MDL_OK;
}

static mdl_status read_side(const mdl_data_config *config, const char *argument, const char *own,
                            size_t classes, bool test, mdl_dataset *set)
{
    char folder[MDL_PATH_MAX];
    if (!test)
        return mdl_fail(MDL_UNSUPPORTED, "these are images to test on: train on those of cifar10 "
                                         "or cifar100");
    MDL_TRY(find_folder(argument, own, folder));
    MDL_TRY(read_set(config, folder, classes, set));
    mdl__cifar_constants(classes, set);
    return MDL_OK;
}

static mdl_status read_cifar10c(const mdl_data_config *config, const char *argument,
                                mdl_split split, mdl_dataset *set)
{
    return read_side(config, argument, "CIFAR-10-C", 10, split == MDL_SPLIT_TEST, set);
}

static mdl_status read_cifar100c(const mdl_data_config *config, const char *argument,
                                 mdl_split split, mdl_dataset *set)
{
    return read_side(config, argument, "CIFAR-100-C", 100, split == MDL_SPLIT_TEST, set);
}

/* ---- the two rows --------------------------------------------------------------------------- */

/* The two have the same files; a folder that is called so, or is in one that holds it, is the one
 * with 100 classes. */
static bool recognises(const char *argument, bool hundred)
{
    char folder[MDL_PATH_MAX], path[MDL_PATH_MAX];
    const char *own = hundred ? "CIFAR-100-C" : "CIFAR-10-C";
    if (find_folder(argument, own, folder) != MDL_OK || (strstr(folder, "100") != NULL) != hundred)
        return false;
    for (size_t k = 0; k < MDL_COUNT(kinds); k++)
        if (mdl_path(path, sizeof(path), folder, "%s.npy", kinds[k].name) == MDL_OK &&
            mdl_file_exists(path))
            return true;
    return false;
}

static bool recognises_cifar10c(const char *folder)
{
    return recognises(folder, false);
}

static bool recognises_cifar100c(const char *folder)
{
    return recognises(folder, true);
}

static const char *const endings[] = {".npy", NULL};
static const char *const folders10[] = {"CIFAR-10-C", NULL};
static const char *const folders100[] = {"CIFAR-100-C", NULL};

const mdl_source mdl__source_cifar10c = {
    .name = "cifar10c",
    .spec = "cifar10c:DIR",
    .what = "CIFAR-10-C: the test images under 19 corruptions",
    .advice = "unpack CIFAR-10-C.tar (https://zenodo.org/records/2535967) there",
    .classes = 10,
    .side = MDL__CIFAR_SIDE,
    .channels = 3,
    .test_only = true,
    .recognises = recognises_cifar10c,
    .endings = endings,
    .folders = folders10,
    .read = read_cifar10c,
};

const mdl_source mdl__source_cifar100c = {
    .name = "cifar100c",
    .spec = "cifar100c:DIR",
    .what = "CIFAR-100-C: the same of CIFAR-100",
    .advice = "unpack CIFAR-100-C.tar (https://zenodo.org/records/3555552) there",
    .classes = 100,
    .side = MDL__CIFAR_SIDE,
    .channels = 3,
    .test_only = true,
    .recognises = recognises_cifar100c,
    .endings = endings,
    .folders = folders100,
    .read = read_cifar100c,
};
