/* A side of a data set from image files: their common form, whether their pixels are held in memory
 * or read as they are used, and what is damaged.  Files are read by several threads; what comes out
 * does not depend on how many. */
#include <string.h>

#include "data/internal.h"

enum { CHANNELS = 3 };

/* Few files are soon read, and a thread takes time to start. */
enum { FILES_OF_A_THREAD = 32 };

static mdl_status for_each(const mdl_data_config *config, size_t count, mdl_pool_fn work,
                           void *user)
{
    mdl_pool *pool;
    size_t threads = config->threads > 0 ? config->threads : (size_t)mdl_cpu_count();
    MDL_TRY(mdl_pool_create(mdl_min_size(threads, count / FILES_OF_A_THREAD + 1), &pool));
    mdl_status status = mdl_pool_run(pool, count, work, user);
    mdl_pool_destroy(pool);
    return status;
}

/* ---- the common form ------------------------------------------------------------------------ */

typedef struct probing {
    char *const *paths;
    mdl__image_probe *probes;
} probing;

static mdl_status probe_one(void *user, size_t worker, size_t index)
{
    probing *p = user;
    (void)worker;
    MDL_TRY(mdl_stop_check());
    mdl_status status = mdl__image_probe_read(p->paths[index], &p->probes[index]);
    return mdl__is_damage(status) ? MDL_OK : status; /* decoding it will say so */
}

mdl_status mdl__files_probe(const mdl_data_config *config, char *const *paths, size_t count,
                            mdl__image_probe **out)
{
    MDL_TRY(MDL_NEW(mdl_max_size(count, 1), "sizes of images", out));
    probing p = {paths, *out};
    mdl_status status = for_each(config, count, probe_one, &p);
    if (status == MDL_OK)
        return MDL_OK;
    mdl_free(*out);
    *out = NULL;
    return status;
}

/* Images of one size stay as they are, unless the model will see them smaller anyway. */
void mdl__files_choose_form(const mdl_data_config *config, const mdl__image_probe *probes,
                            size_t count, mdl_dataset *set)
{
    size_t side = config->image_size;
    bool uniform = true;
    for (size_t i = 0; i < count; i++) {
        if (probes[i].height == 0)
            continue; /* it cannot be read */
        if (set->height == 0) {
            set->height = probes[i].height;
            set->width = probes[i].width;
        }
        uniform = uniform && probes[i].height == set->height && probes[i].width == set->width;
    }
    set->fitted = !uniform || set->height == 0 ||
                  (config->size != MDL_SIZE_NATIVE && (set->height > side || set->width > side));
    if (set->fitted)
        set->height = set->width = side;
}

/* ---- held or not ---------------------------------------------------------------------------- */

/* What a side may take where nobody says so: of what is free, a part that three sides can take. */
enum { PART_OF_FREE = 4 };

bool mdl__is_held(const mdl_data_config *config, uint64_t bytes)
{
    uint64_t budget = config->memory > 0 ? config->memory : mdl_free_memory() / PART_OF_FREE;
    return bytes <= mdl_min_size((size_t)budget, (size_t)MDL__MAX_SET_BYTES);
}

/* ---- pixels --------------------------------------------------------------------------------- */

typedef struct decoding { /* a look at all files */
    const mdl_dataset *set;
    mdl_image_form form;
    char *const *paths;
    uint8_t *scratch; /* of each worker, where the pixels are not held */
    uint64_t (*histogram)[MDL__MAX_CHANNELS][256]; /* of each worker, where it is wanted */
    char **damage; /* of each file: what is wrong with it; NULL: nothing */
} decoding;

static mdl_status decode_one(void *user, size_t worker, size_t index)
{
    decoding *d = user;
    const mdl_dataset *set = d->set;
    size_t bytes = set->height * set->width * CHANNELS;
    uint8_t *out = set->pixels != NULL ? set->pixels + index * bytes : d->scratch + worker * bytes;
    MDL_TRY(mdl_stop_check());
    mdl_status status = mdl__file_pixels(d->paths[index], set, &d->form, out);
    if (mdl__is_damage(status))
        return mdl_strdup(mdl_error_detail(), &d->damage[index]);
    MDL_TRY(status);
    if (d->histogram != NULL)
        mdl__count_values(out, bytes / CHANNELS, CHANNELS, d->histogram[worker]);
    return MDL_OK;
}

static void add_up(decoding *d, size_t workers, mdl__stored *stored)
{
    for (size_t w = 0; w < workers; w++)
        for (size_t c = 0; c < CHANNELS; c++)
            for (size_t v = 0; v < 256; v++)
                stored->histogram[0][c][v] += d->histogram[w][c][v];
}

/* Decode all files: into the set, or only to see whether they can be, and to count their values. */
static mdl_status decode_all(const mdl_data_config *config, decoding *d, size_t count,
                             mdl_dataset *set)
{
    size_t workers = config->threads > 0 ? config->threads : (size_t)mdl_cpu_count();
    size_t bytes = set->height * set->width * CHANNELS;
    bool held = set->pixels != NULL;
    mdl_status status = MDL_OK;
    if (!held)
        status = MDL_NEW(workers * bytes, "images", &d->scratch);
    if (status == MDL_OK && !held)
        status = MDL_NEW(workers, "histograms", &d->histogram);
    if (status == MDL_OK && !held)
        status = MDL_NEW(1, "histograms", &set->stored->histogram);
    if (status == MDL_OK)
        status = for_each(config, count, decode_one, d);
    if (status == MDL_OK && !held)
        add_up(d, workers, set->stored);
    mdl_free(d->scratch);
    mdl_free(d->histogram);
    return status;
}

/* Log what is wrong with a file; of many only the first ones. */
static mdl_status note_damage(mdl_dataset *set, const char *what)
{
    enum { NAMED = 100 };
    if (set->damaged == 0)
        MDL_TRY(mdl_strdup(what, &set->damage));
    if (set->damaged++ < NAMED)
        mdl_log(MDL_LOG_WARN, "damaged image: %s", what);
    else if (set->damaged == NAMED + 1)
        mdl_log(MDL_LOG_WARN, "more damaged images are counted, not named");
    return MDL_OK;
}

/* Close the gaps that damaged files leave. */
static mdl_status keep_sound(const mdl__files *files, char *const *damage, mdl_dataset *set)
{
    size_t bytes = set->height * set->width * CHANNELS, kept = 0;
    uint64_t hash = MDL_HASH_START;
    for (size_t i = 0; i < files->count; i++) {
        if (damage[i] != NULL) {
            MDL_TRY(note_damage(set, damage[i]));
            continue;
        }
        if (set->pixels != NULL && kept != i)
            memcpy(set->pixels + kept * bytes, set->pixels + i * bytes, bytes);
        if (set->stored != NULL) {
            set->stored->paths[kept] = files->paths[i];
            files->paths[i] = NULL; /* taken */
        }
        hash = mdl_hash_word(hash, files->probes[i].hash);
        set->labels[kept++] = files->labels[i];
    }
    set->count = kept;
    set->files = hash;
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

/* Of images that are not looked at, what their headers say. */
static mdl_status look_at_headers(const mdl__files *files, char **damage)
{
    for (size_t i = 0; i < files->count; i++) {
        mdl__image_probe probe;
        if (files->probes[i].height > 0)
            continue;
        mdl_status status = mdl__image_probe_read(files->paths[i], &probe);
        if (!mdl__is_damage(status))
            return status != MDL_OK
                       ? status
                       : mdl_fail(MDL_FORMAT, "%s has changed while it was read", files->paths[i]);
        MDL_TRY(mdl_strdup(mdl_error_detail(), &damage[i]));
    }
    return MDL_OK;
}

static mdl_status read_all(const mdl_data_config *config, const mdl__files *files, mdl_split split,
                           char **damage, mdl_dataset *set)
{
    /* Random parts of originals are cut anew in every epoch. */
    bool held = mdl__is_held(config, (uint64_t)set->height * set->width * CHANNELS * files->count);
    bool cut = config->resized_crop > 0;
    bool from_files = !held || (cut && set->fitted && split == MDL_SPLIT_TRAIN);
    if (from_files)
        MDL_TRY(mdl__stored_create(config, files->count, &set->stored));
    MDL_TRY(mdl__dataset_alloc_for(set, files->count, CHANNELS, files->classes, !from_files));
    decoding d = {
        .set = set, .form = mdl__files_form(config), .paths = files->paths, .damage = damage};
    bool measured = split == MDL_SPLIT_TRAIN && mdl__needs_constants(config);
    MDL_TRY(!from_files || config->skip_damaged || measured
                ? decode_all(config, &d, files->count, set)
                : look_at_headers(files, damage));
    return keep_sound(files, damage, set);
}

mdl_status mdl__files_read(const mdl_data_config *config, const mdl__files *files, mdl_split split,
                           mdl_dataset *set)
{
    char **damage;
    set->value_max = 255;
    MDL_TRY(MDL_NEW(mdl_max_size(files->count, 1), "damaged images", &damage));
    mdl_status status = read_all(config, files, split, damage, set);
    for (size_t i = 0; i < files->count; i++)
        mdl_free(damage[i]);
    mdl_free(damage);
    return status == MDL_OK ? check_kept(config, set, split) : status;
}

mdl_status mdl__files_fill(const mdl_data_config *config, mdl__files *files, mdl_split split,
                           mdl_dataset *set)
{
    MDL_TRY(mdl__files_probe(config, files->paths, files->count, &files->probes));
    mdl__files_choose_form(config, files->probes, files->count, set);
    mdl_status status = mdl__files_read(config, files, split, set);
    mdl_free(files->probes);
    files->probes = NULL;
    return status;
}
