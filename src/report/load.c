/* Reading a folder into the structs of load.h. */
#include <string.h>

#include "report/formats.h"

enum {
    SOURCES_MOST = 1 << 17, /* of the models that a search began with */
    DRAWN_MOST = 4          /* searches of which the sources are read */
};

/* ---- trainings ------------------------------------------------------------------------------ */

/* Where there are too many epochs, every second is left out, again and again. */
static void add_epoch(mdl__training *t, const mdl__epoch *e, size_t *every)
{
    if (t->lines++ % *every != 0)
        return;
    if (t->curve.n == MDL__CURVE_MOST) {
        for (size_t i = 0; i < MDL__CURVE_MOST / 2; i++)
            t->curve.data[i] = t->curve.data[2 * i];
        t->curve.n /= 2;
        *every *= 2;
    }
    t->curve.data[t->curve.n++] = *e;
}

static mdl_status read_curve(mdl__folder *f, mdl__training *t)
{
    char path[MDL_PATH_MAX], *text = NULL;
    size_t size = 0, every = 1;
    MDL_TRY(mdl__path_of(f, t->folder, "metrics.jsonl", path));
    if (!mdl_file_exists(path))
        return MDL_OK;
    MDL_TRY(mdl__pool_take(&f->pool, MDL__CURVE_MOST, sizeof(mdl__epoch), (void **)&t->curve.data));
    mdl_status status = mdl_file_read(path, (size_t)1 << 26, &text, &size);
    for (const char *at = text; status == MDL_OK && *at != '\0';) {
        size_t length = strcspn(at, "\n");
        mdl__epoch e;
        status = mdl__read_line(&f->pool, at, length, mdl__epoch_fields, &e);
        if (status == MDL_OK && length > 0) {
            t->joules += e.joules;
            add_epoch(t, &e, &every);
        }
        at += length + (at[length] == '\n');
    }
    mdl_free(text);
    return status;
}

static mdl_status read_training(mdl__folder *f, const char *folder, size_t repeat)
{
    bool there;
    mdl__training *t = &f->trainings.data[f->trainings.n];
    const char *leaf = strrchr(folder, '/');
    MDL_TRY(mdl__read_into(f, folder, "step.json", mdl__training_fields, t, &there));
    MDL_TRY(mdl__copy(f, folder, &t->folder));
    t->repeat = repeat;
    t->hybrid = (leaf != NULL ? leaf[1] : folder[0]) == 'B';
    MDL_TRY(read_curve(f, t));
    f->trainings.n += there || t->lines > 0;
    return MDL_OK;
}

/* Those of an experiment, or of one of its repeats. */
static mdl_status read_trainings(mdl__folder *f, const char *below, size_t repeat)
{
    static const char *const arms[] = {"B-", "A-"};
    for (size_t a = 0; a < MDL_COUNT(arms); a++) {
        mdl__names folders;
        MDL_TRY(mdl__list_files(f, below, arms[a], "", NULL, &folders));
        size_t n = f->trainings.n;
        MDL_TRY(mdl_grow(n, n + folders.n, sizeof(*f->trainings.data), "trainings",
                         (void **)&f->trainings.data));
        for (size_t i = 0; i < folders.n; i++)
            MDL_TRY(read_training(f, folders.data[i], repeat));
    }
    return MDL_OK;
}

/* ---- searches ------------------------------------------------------------------------------- */

/* Lines of lineage.jsonl that say what a model was made of; the others are too many. */
static mdl_status read_sources(mdl__folder *f, mdl__search *s)
{
    char path[MDL_PATH_MAX], *text = NULL;
    size_t size = 0, room = 0;
    const char *word = NULL;
    MDL_TRY(mdl__path_of(f, s->folder, "lineage.jsonl", path));
    if (!mdl_file_exists(path))
        return MDL_OK;
    mdl__source *sources = NULL;
    mdl_status status = mdl_file_read(path, MDL__FILE_LIMIT, &text, &size);
    for (const char *at = text; status == MDL_OK && *at != '\0' && s->sources.n < SOURCES_MOST;) {
        size_t length = strcspn(at, "\n");
        if (word == NULL || word < at) /* looked for once for all lines up to it */
            word = strstr(at, "\"source\"");
        if (word == NULL) /* none from here on */
            break;
        if (word < at + length && s->sources.n == room) {
            size_t more = mdl_max_size(64, 2 * room);
            status = mdl_grow(room, more, sizeof(*sources), "sources", (void **)&sources);
            room = more;
        }
        if (status == MDL_OK && word < at + length)
            status =
                mdl__read_line(&f->pool, at, length, mdl__source_fields, &sources[s->sources.n++]);
        at += length + (at[length] == '\n');
    }
    if (status == MDL_OK && sources != NULL)
        status =
            mdl__pool_take(&f->pool, s->sources.n, sizeof(*sources), (void **)&s->sources.data);
    if (status == MDL_OK && sources != NULL)
        memcpy(s->sources.data, sources, s->sources.n * sizeof(*sources));
    mdl_free(sources);
    mdl_free(text);
    return status;
}

static mdl_status read_searches(mdl__folder *f)
{
    mdl__names folders;
    MDL_TRY(mdl__list_files(f, "", "", "", "winner.json", &folders));
    MDL_TRY(mdl__pool_take(&f->pool, folders.n + 1, sizeof(*f->searches.data),
                           (void **)&f->searches.data));
    for (size_t i = 0; i <= folders.n; i++) {
        mdl__search *s = &f->searches.data[f->searches.n];
        bool there;
        MDL_TRY(mdl__copy(f, i == 0 ? "" : folders.data[i - 1], &s->folder));
        MDL_TRY(mdl__read_into(f, s->folder, "winner.json", mdl__search_fields, s, &there));
        if (there && f->searches.n < DRAWN_MOST)
            MDL_TRY(read_sources(f, s));
        f->searches.n += there;
    }
    return MDL_OK;
}

/* ---- the experiment ------------------------------------------------------------------------- */

static mdl_status read_repeats(mdl__folder *f, mdl__names *folders)
{
    MDL_TRY(mdl__list_files(f, "", "repeat-", "", "config.yaml", folders));
    MDL_TRY(mdl__pool_take(&f->pool, folders->n, sizeof(mdl_table), (void **)&f->repeats.data));
    for (size_t i = 0; i < folders->n; i++) {
        char path[MDL_PATH_MAX];
        MDL_TRY(mdl__path_of(f, folders->data[i], "", path));
        f->repeats.n = i + 1;
        mdl_status status = mdl_table_read(path, &f->repeats.data[i]);
        if (status != MDL_OK && status != MDL_NOT_FOUND)
            return status;
        MDL_TRY(read_trainings(f, folders->data[i], i + 1));
    }
    return MDL_OK;
}

/* The first of the models that the experiment is about, and its hash. */
static mdl_status find_merged(mdl__folder *f, const char *first_repeat)
{
    static const char *const names[] = {"C-hybrid/merged.safetensors",
                                        "C-baseline/merged.safetensors", "merged.safetensors"};
    char path[MDL_PATH_MAX], name[MDL_PATH_MAX] = "", *bytes;
    size_t size;
    f->merged = "";
    for (size_t i = 0; i < MDL_COUNT(names) && name[0] == '\0'; i++) {
        MDL_TRY(mdl__path_of(f, first_repeat, names[i], path));
        if (mdl_file_exists(path))
            snprintf(name, sizeof(name), "%s%s%s", first_repeat, first_repeat[0] != '\0' ? "/" : "",
                     names[i]);
    }
    for (size_t i = 0; i < f->searches.n && name[0] == '\0'; i++)
        if (strncmp(f->searches.data[i].folder, "m2n2-", 5) == 0)
            snprintf(name, sizeof(name), "%s/merged.safetensors", f->searches.data[i].folder);
    MDL_TRY(mdl__path_of(f, "", name, path));
    if (name[0] == '\0' || !mdl_file_exists(path))
        return MDL_OK;
    MDL_TRY(mdl_file_read(path, 0, &bytes, &size));
    mdl_status status = mdl_sha256_hex(bytes, size, f->merged_hash);
    mdl_free(bytes);
    MDL_TRY(status);
    return mdl__copy(f, name, &f->merged);
}

static mdl_status read_config(mdl__folder *f)
{
    char path[MDL_PATH_MAX];
    size_t size;
    f->config = mdl_config_default();
    MDL_TRY(mdl__path_of(f, "", "config.yaml", path));
    if (!mdl_file_exists(path))
        return MDL_OK;
    MDL_TRY(mdl_run_kinds(f->path, &f->content));
    /* One of another version may have keys that are not known here: its text is still shown. */
    mdl_status status = mdl_config_read_file(path, &f->config);
    if (status == MDL_NO_MEMORY || status == MDL_CANCELLED)
        return status;
    if (status != MDL_OK)
        snprintf(f->config.data.source, sizeof(f->config.data.source), "SPEC");
    return mdl_file_read(path, (size_t)1 << 24, &f->config_text, &size);
}

static mdl_status read_experiment(mdl__folder *f)
{
    mdl__names repeats;
    bool there;
    char path[MDL_PATH_MAX];
    mdl_status status = mdl_table_read(f->path, &f->table);
    if (status != MDL_OK && status != MDL_NOT_FOUND)
        return status;
    f->has_table = status == MDL_OK;
    MDL_TRY(read_trainings(f, "", 0));
    MDL_TRY(read_repeats(f, &repeats));
    const char *first = repeats.n > 0 ? repeats.data[0] : "";
    MDL_TRY(mdl__read_into(f, "", "interpolation.json", mdl__interpolation_fields, f, &there));
    if (!there) /* as earlier versions called it */
        MDL_TRY(mdl__read_into(f, "", "paths.json", mdl__interpolation_fields, f, &there));
    MDL_TRY(mdl__read_into(f, "", "made.json", mdl__made_fields, f, &there));
    if (!there && repeats.n > 0)
        MDL_TRY(mdl__read_into(f, first, "made.json", mdl__made_fields, f, &there));
    MDL_TRY(mdl__path_of(f, first, "tuning.json", path));
    f->tuned = mdl_file_exists(path);
    return find_merged(f, first);
}

mdl_status mdl__folder_read(const char *path, mdl__folder *f)
{
    *f = (mdl__folder){.path = path, .merged = ""};
    MDL_TRY(read_config(f));
    MDL_TRY(read_searches(f));
    MDL_TRY(mdl__read_evaluations(f));
    if (f->config_text == NULL && f->content == 0)
        return mdl_fail(MDL_NOT_FOUND,
                        "%s holds nothing to report: expected the folder of an experiment, a "
                        "training or a search (config.yaml), or what `mendel eval` wrote (--json, "
                        "--predictions)",
                        path);
    if ((f->content & ~(unsigned)MDL__EVALUATION) == 0 && f->config_text != NULL)
        f->content |= MDL__EXPERIMENT;
    if ((f->content & MDL__TRAINING) != 0 && (f->content & MDL__EXPERIMENT) == 0) {
        MDL_TRY(
            mdl_grow(0, 1, sizeof(*f->trainings.data), "trainings", (void **)&f->trainings.data));
        MDL_TRY(read_training(f, "", 0));
    }
    return read_experiment(f);
}

void mdl__folder_free(mdl__folder *f)
{
    mdl_table_free(&f->table);
    for (size_t i = 0; i < f->repeats.n; i++)
        mdl_table_free(&f->repeats.data[i]);
    mdl_free(f->trainings.data);
    mdl_free(f->config_text);
    mdl__pool_free(&f->pool);
}
