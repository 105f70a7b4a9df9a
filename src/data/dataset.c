/* The table of sources, reading one side of a source through it, and what all readers share.  It
 * knows no file format. */
#include <errno.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "data/internal.h"

const mdl_source *const mdl_sources[] = {
#define X(name, spec) &mdl__source_##name,
    MDL_SOURCE_LIST(X)
#undef X
};
const size_t mdl_source_count = MDL_COUNT(mdl_sources);

mdl_data_config mdl_data_config_default(void)
{
    return (mdl_data_config){
        .source = "digits",
        .size = MDL_SIZE_MODEL,
        .image_size = 32,
        .resize = MDL_RESIZE_STRETCH,
        .crop_fraction = 0.875,
        .resized_ratio = 4.0 / 3.0,
        .normalize = MDL_NORMALIZE_DATASET,
        .validation_fraction = 0.1,
        .flip = MDL_FLIP_NONE,
        .digits_train = 1437,
    };
}

const mdl_source *mdl_source_of(const char *source)
{
    size_t length = strcspn(source, ":");
    for (size_t i = 0; i < mdl_source_count; i++)
        if (strlen(mdl_sources[i]->name) == length &&
            memcmp(mdl_sources[i]->name, source, length) == 0)
            return mdl_sources[i];
    return NULL;
}

/* Nothing that is known; of a folder, what it looks like. */
static mdl_status fail_unknown(const char *source)
{
    struct stat info;
    bool folder = stat(source, &info) == 0 && S_ISDIR(info.st_mode);
    for (size_t i = 0; i < mdl_source_count; i++)
        if (mdl_sources[i]->recognises != NULL && mdl_sources[i]->recognises(source))
            return mdl_fail(MDL_CONFIG, "data source '%s' is a %s; did you mean '%s:%s'?", source,
                            folder ? "folder" : "file", mdl_sources[i]->name, source);
    return mdl_fail(MDL_CONFIG, "data source '%s' is not known: expected one of %s", source,
                    MDL_SOURCE_SPECS);
}

static mdl_status find_source(const char *text, const mdl_source **source, const char **argument)
{
    const char *colon = strchr(text, ':');
    *source = mdl_source_of(text);
    if (*source == NULL)
        return fail_unknown(text);
    bool takes_one = strchr((*source)->spec, ':') != NULL;
    *argument = colon != NULL ? colon + 1 : "";
    if (takes_one ? (*argument)[0] == '\0' : colon != NULL)
        return mdl_fail(MDL_CONFIG, "data source '%s': expected %s'%s'", text,
                        takes_one ? "" : "just ", (*source)->spec);
    return MDL_OK;
}

mdl_status mdl__dataset_read(const mdl_data_config *config, mdl_split split, mdl_dataset **out)
{
    const mdl_source *source = NULL;
    const char *argument = NULL;
    mdl_dataset *set;
    *out = NULL;
    if (memchr(config->source, '\0', sizeof(config->source)) == NULL)
        return mdl_fail(MDL_CONFIG, "the data source is longer than %zu bytes",
                        sizeof(config->source) - 1);
    MDL_TRY(find_source(config->source, &source, &argument));
    if (split == MDL_SPLIT_VALIDATION && !source->has_validation)
        return MDL_OK;
    MDL_TRY(MDL_NEW(1, "dataset", &set));
    mdl_status status = source->read(config, argument, split, set);
    if (status == MDL_OK && split == MDL_SPLIT_VALIDATION && set->count == 0) {
        mdl_dataset_free(set);
        return MDL_OK;
    }
    if (status == MDL_OK) {
        *out = set;
        return MDL_OK;
    }
    mdl_dataset_free(set);
    if (status == MDL_NOT_FOUND && source->advice != NULL)
        mdl_fail(status, "%s; %s", mdl_error_detail(), source->advice);
    mdl_fail_context(status, "data source '%s'", config->source);
    return status;
}

mdl_status mdl__refuse_damaged(const mdl_data_config *config, const mdl_dataset *const sets[3])
{
    size_t damaged = 0, count = 0;
    const char *first = NULL;
    for (size_t i = 0; i < 3; i++) {
        const mdl_dataset *set = sets[i];
        if (set == NULL)
            continue;
        damaged += set->damaged;
        count += set->count + set->damaged;
        first = first != NULL ? first : set->damage;
    }
    if (damaged == 0 || config->skip_damaged)
        return MDL_OK;
    return mdl_fail(MDL_FORMAT,
                    "data source '%s': %zu of %zu images cannot be read, the first because %s; "
                    "repair or remove them, or leave them out with `data.skip_damaged=true`",
                    config->source, damaged, count, first != NULL ? first : "it is damaged");
}

static mdl_status read_whole(const mdl_data_config *config, bool test, mdl_dataset **out)
{
    MDL_TRY(mdl__dataset_read(config, test ? MDL_SPLIT_TEST : MDL_SPLIT_TRAIN, out));
    const mdl_dataset *const sets[3] = {*out};
    mdl_status status = mdl__refuse_damaged(config, sets);
    if (status == MDL_OK)
        return MDL_OK;
    mdl_dataset_free(*out);
    *out = NULL;
    return status;
}

mdl_status mdl_dataset_read(const mdl_data_config *config, bool test, mdl_dataset **out)
{
    MDL_TRY(read_whole(config, test, out));
    if ((*out)->std[0] > 0.0)
        return MDL_OK;
    mdl_dataset *train = NULL;
    mdl_status status = MDL_OK;
    if (!test) {
        status = mdl__dataset_measure(*out);
        if (status != MDL_OK) {
            mdl_dataset_free(*out);
            *out = NULL;
        }
        return status;
    }
    status = read_whole(config, false, &train);
    if (status == MDL_OK && train->channels != (*out)->channels)
        status = mdl_fail(MDL_FORMAT, "%s: %zu channels to train on, %zu to test on",
                          config->source, train->channels, (*out)->channels);
    if (status == MDL_OK)
        status = mdl__dataset_measure(train);
    if (status != MDL_OK) {
        mdl_fail_context(status, "mean and deviation are measured on the training images");
        mdl_dataset_free(train);
        mdl_dataset_free(*out);
        *out = NULL;
        return status;
    }
    memcpy((*out)->mean, train->mean, sizeof(train->mean));
    memcpy((*out)->std, train->std, sizeof(train->std));
    mdl_dataset_free(train);
    return MDL_OK;
}

void mdl__say_validation_tests(const char *source)
{
    mdl_log(MDL_LOG_INFO,
            "%s has no images to test on: those for validation are the test split, too, so what is "
            "chosen by them looks better than it is",
            source);
}

void mdl__free_names(char **names, size_t count)
{
    for (size_t i = 0; names != NULL && i < count; i++)
        mdl_free(names[i]);
    mdl_free(names);
}

void mdl_dataset_free(mdl_dataset *dataset)
{
    if (dataset == NULL)
        return;
    mdl__free_names(dataset->class_names, dataset->classes);
    mdl_free(dataset->damage);
    mdl_free(dataset->parts);
    if (!dataset->borrowed) {
        mdl__stored_destroy(dataset->stored, dataset->count);
        mdl__raw_destroy(dataset->raw);
        mdl_free(dataset->pixels);
    }
    mdl_free(dataset->labels);
    mdl_free(dataset);
}

static mdl_status check_shape(const mdl_dataset *set)
{
    if (set->count > MDL__MAX_IMAGES || set->height == 0 || set->height > MDL__MAX_SIDE ||
        set->width == 0 || set->width > MDL__MAX_SIDE || set->channels == 0 ||
        set->channels > MDL__MAX_CHANNELS)
        return mdl_fail(MDL_FORMAT,
                        "%zu images of %zux%zux%zu: at most %d of %dx%dx%d can be read, of at "
                        "least 1x1",
                        set->count, set->height, set->width, set->channels, MDL__MAX_IMAGES,
                        MDL__MAX_SIDE, MDL__MAX_SIDE, MDL__MAX_CHANNELS);
    return MDL_OK;
}

mdl_status mdl_dataset_check_size(const mdl_dataset *set)
{
    MDL_TRY(check_shape(set));
    uint64_t image = (uint64_t)set->height * set->width * set->channels;
    if (set->count > 0 &&
        (image > MDL__MAX_SET_BYTES / set->count || image * set->count > SIZE_MAX))
        return mdl_fail(MDL_FORMAT,
                        "%zu images of %zux%zux%zu are more than the %llu bytes a set "
                        "may have",
                        set->count, set->height, set->width, set->channels,
                        (unsigned long long)MDL__MAX_SET_BYTES);
    return MDL_OK;
}

mdl_status mdl__dataset_alloc_for(mdl_dataset *set, size_t count, size_t channels, size_t classes,
                                  bool pixels)
{
    if (count == 0)
        return mdl_fail(MDL_FORMAT, "there are no images");
    set->count = count;
    set->channels = channels;
    set->classes = classes;
    MDL_TRY(pixels ? mdl_dataset_check_size(set) : check_shape(set));
    if (pixels)
        MDL_TRY(MDL_NEW(count * set->height * set->width * channels, "pixels", &set->pixels));
    return MDL_NEW(count, "labels", &set->labels);
}

mdl_status mdl__dataset_alloc(mdl_dataset *set, size_t count, size_t height, size_t width,
                              size_t channels, size_t classes)
{
    set->height = height;
    set->width = width;
    return mdl__dataset_alloc_for(set, count, channels, classes, true);
}

mdl_status mdl__dataset_alloc_names(mdl_dataset *set)
{
    return MDL_NEW(set->classes, "class names", &set->class_names);
}

void mdl__count_values(const uint8_t *pixel, size_t pixels, size_t channels,
                       uint64_t histogram[MDL__MAX_CHANNELS][256])
{
    for (size_t i = 0; i < pixels; i++)
        for (size_t c = 0; c < channels; c++)
            histogram[c][*pixel++]++;
}

static mdl_status count_all(const mdl_dataset *set, uint64_t histogram[MDL__MAX_CHANNELS][256])
{
    uint8_t *scratch = NULL;
    size_t pixels = set->height * set->width;
    mdl_status status = MDL_OK;
    if (set->pixels == NULL)
        status = MDL_NEW(pixels * set->channels, "image", &scratch);
    for (size_t i = 0; i < set->count && status == MDL_OK; i++) {
        const uint8_t *pixel;
        status = mdl__set_pixels(set, i, scratch, &pixel);
        if (status == MDL_OK)
            mdl__count_values(pixel, pixels, set->channels, histogram);
        else
            status = mdl__stored_damage(set->stored, status);
    }
    mdl_free(scratch);
    return status;
}

mdl_status mdl__dataset_measure(mdl_dataset *set)
{
    uint64_t own[MDL__MAX_CHANNELS][256] = {{0}}, (*histogram)[256] = own;
    if (set->stored != NULL && set->stored->histogram != NULL)
        histogram = *set->stored->histogram;
    else
        MDL_TRY(count_all(set, own));
    for (size_t c = 0; c < set->channels; c++) {
        double sum = 0.0, squares = 0.0, pixels = 0.0;
        for (size_t v = 0; v < 256; v++) {
            double times = (double)histogram[c][v], value = (double)v / set->value_max;
            pixels += times;
            sum += times * value;
            squares += times * value * value;
        }
        double mean = sum / pixels;
        double variance = squares / pixels - mean * mean;
        /* Images of one value only (variance 0, or a rounding error) are left unscaled. */
        set->mean[c] = mean;
        set->std[c] = variance > 1e-9 ? sqrt(variance) : 1.0;
    }
    return MDL_OK;
}

mdl_status mdl__file_start(const char *path, char *start, size_t size, size_t *got)
{
    int fd;
    *got = 0;
    MDL_TRY(mdl_file_open(path, &fd));
    ssize_t n = read(fd, start, size);
    int error = errno;
    close(fd);
    if (n < 0)
        return mdl_fail_errno(error, "cannot read %s", path);
    *got = (size_t)n;
    return MDL_OK;
}

mdl_status mdl__file_size(const char *path, uint64_t *size)
{
    struct stat info;
    if (stat(path, &info) != 0)
        return mdl_fail_errno(errno == ENOTDIR ? ENOENT : errno, "cannot read %s", path);
    if (!S_ISREG(info.st_mode))
        return mdl_fail(MDL_IO, "cannot read %s: it is not a regular file", path);
    *size = (uint64_t)info.st_size;
    return MDL_OK;
}
