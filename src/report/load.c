/* Reading a folder into the structs of load.h. */
#include <string.h>

#include "report/load.h"

enum {
    SOURCES_MOST = 1 << 17, /* of the models that a search began with */
    DRAWN_MOST = 4          /* searches of which the sources are read */
};

/* ---- lines ---------------------------------------------------------------------------------- */

typedef mdl_status put_line(void *user, json_t *line);

/* Give each line that has `word` to `put`, NULL where it is none of this form. */
static mdl_status each_line(const mdl__folder *f, const char *folder, const char *leaf,
                            const char *form, const char *word, put_line *put, void *user)
{
    char path[MDL_PATH_MAX], *text = NULL;
    size_t size = 0, length;
    if (!mdl__has(f, folder, leaf, path))
        return MDL_OK;
    mdl_status status = mdl_file_read(path, (size_t)1 << 28, &text, &size);
    for (const char *at = text; status == MDL_OK && (at = strstr(at, word)) != NULL && *at != '\0';
         at += length + (at[length] == '\n')) {
        json_t *line = NULL;
        while (at > text && at[-1] != '\n')
            at--;
        length = strcspn(at, "\n");
        if (length == 0)
            continue;
        status = mdl_json_read(at, length, 0, &line);
        if (status == MDL_OK)
            status = mdl__check(path, line, form);
        if (status == MDL_OK || status == MDL_FORMAT)
            status = put(user, status == MDL_OK ? line : NULL);
        json_decref(line);
    }
    mdl_free(text);
    return status;
}

/* ---- trainings ------------------------------------------------------------------------------ */

/* Where there are too many epochs, every second is left out, again and again. */
static mdl_status add_epoch(void *user, json_t *line)
{
    mdl__training *t = user;
    t->joules += mdl__real(line, "joules");
    if (t->lines++ % t->every != 0)
        return MDL_OK;
    if (t->n == MDL__CURVE_MOST) {
        for (size_t i = 0; i < MDL__CURVE_MOST / 2; i++)
            t->curve[i] = t->curve[2 * i];
        t->n /= 2;
        t->every *= 2;
    }
    t->curve[t->n++] =
        (mdl__epoch){mdl__real(line, "epoch"), mdl__real(line, "validation_top1|fitness_top1"),
                     mdl__real(line, "train_loss")};
    return MDL_OK;
}

static mdl_status read_training(mdl__folder *f, const char *folder, size_t repeat)
{
    const char *leaf = strrchr(folder, '/');
    MDL_TRY(mdl_grow(f->n_trainings, f->n_trainings + 1, sizeof(*f->trainings), "trainings",
                     (void **)&f->trainings));
    mdl__training *t = &f->trainings[f->n_trainings];
    *t = (mdl__training){.repeat = repeat, .every = 1};
    t->hybrid = (leaf != NULL ? leaf[1] : folder[0]) == 'B';
    MDL_TRY(mdl__copy(f, folder, &t->folder));
    MDL_TRY(mdl__take(f, MDL__CURVE_MOST, sizeof(*t->curve), (void **)&t->curve));
    MDL_TRY(mdl__read_json(f, folder, "step.json", "training", &t->step));
    f->n_trainings++;
    MDL_TRY(each_line(f, folder, "metrics.jsonl", "epoch", "", add_epoch, t));
    f->n_trainings -= t->step == NULL && t->lines == 0;
    return MDL_OK;
}

/* Those of an experiment, or of one of its repeats. */
static mdl_status read_trainings(mdl__folder *f, const char *below, size_t repeat)
{
    static const char *const arms[] = {"B-", "A-"};
    for (size_t a = 0; a < MDL_COUNT(arms); a++) {
        mdl__names folders;
        MDL_TRY(mdl__list_files(f, below, arms[a], "", NULL, &folders));
        for (size_t i = 0; i < folders.n; i++)
            MDL_TRY(read_training(f, folders.data[i], repeat));
    }
    return MDL_OK;
}

/* ---- searches ------------------------------------------------------------------------------- */

static mdl_status add_source(void *user, json_t *line)
{
    json_t **sources = user;
    if (line != NULL && json_array_size(*sources) < SOURCES_MOST)
        mdl_json_append(sources, json_incref(line));
    return mdl__whole(*sources);
}

/* Of some of them with what the models were made of that they began with.  A row's search is only
 * wanted where it is one over weights by layers, which are shown. */
static mdl_status read_search(mdl__folder *f, const char *folder, bool is_row)
{
    json_t *search, *sources = mdl_json_pack("[]");
    mdl_status status = mdl__read_json(f, folder, "winner.json", "winner", &search);
    if (status == MDL_OK && search != NULL && json_array_size(f->searches) < DRAWN_MOST)
        status =
            each_line(f, folder, "lineage.jsonl", "source", "\"source\"", add_source, &sources);
    if (status != MDL_OK || search == NULL || (is_row && mdl__at(search, "layers") == NULL)) {
        json_decref(search);
        json_decref(sources);
        return status;
    }
    mdl_json_set(&search, "folder", mdl_json_pack("s", folder));
    mdl_json_set(&search, "sources", sources);
    mdl_json_append(&f->searches, search);
    return mdl__whole(f->searches);
}

static mdl_status read_searches(mdl__folder *f)
{
    mdl__names folders, rows;
    f->searches = mdl_json_pack("[]");
    MDL_TRY(mdl__list_files(f, "", "", "", "winner.json", &folders));
    MDL_TRY(read_search(f, "", false));
    for (size_t i = 0; i < folders.n; i++)
        MDL_TRY(read_search(f, folders.data[i], false));
    for (size_t i = 0; i < folders.n; i++) {
        MDL_TRY(mdl__list_files(f, folders.data[i], "", "", "winner.json", &rows));
        for (size_t k = 0; k < rows.n; k++)
            MDL_TRY(read_search(f, rows.data[k], true));
    }
    return MDL_OK;
}

/* ---- the experiment ------------------------------------------------------------------------- */

static mdl_status read_repeats(mdl__folder *f, mdl__names *folders)
{
    MDL_TRY(mdl__list_files(f, "", "repeat-", "", "config.yaml", folders));
    MDL_TRY(mdl__take(f, folders->n, sizeof(mdl_table), (void **)&f->repeats));
    for (size_t i = 0; i < folders->n; i++) {
        char path[MDL_PATH_MAX];
        MDL_TRY(mdl__path_of(f, folders->data[i], "", path));
        f->n_repeats = i + 1;
        mdl_status status = mdl_table_read(path, &f->repeats[i]);
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
    char path[MDL_PATH_MAX], *bytes, *name = f->merged;
    size_t size;
    for (size_t i = 0; i < MDL_COUNT(names) && name[0] == '\0'; i++)
        if (mdl__has(f, first_repeat, names[i], path))
            snprintf(name, MDL_PATH_MAX, "%s%s%s", first_repeat, first_repeat[0] != '\0' ? "/" : "",
                     names[i]);
    for (size_t i = 0; i < json_array_size(f->searches) && name[0] == '\0'; i++) {
        const char *folder = mdl__text(json_array_get(f->searches, i), "folder");
        if (strncmp(folder, "m2n2-", 5) == 0 && mdl__has(f, folder, names[2], path))
            snprintf(name, MDL_PATH_MAX, "%s/%s", folder, names[2]);
    }
    if (name[0] == '\0')
        return MDL_OK;
    MDL_TRY(mdl_file_read(path, 0, &bytes, &size));
    mdl_status status = mdl_sha256_hex(bytes, size, f->merged_hash);
    mdl_free(bytes);
    return status;
}

static mdl_status read_config(mdl__folder *f)
{
    char path[MDL_PATH_MAX];
    size_t size;
    f->config = mdl_config_default();
    if (!mdl__has(f, "", "config.yaml", path))
        return MDL_OK;
    MDL_TRY(mdl_run_kinds(f->path, &f->content));
    /* One of another version may have keys that are not known here: its text is still shown. */
    mdl_status status = mdl_config_read_file(path, &f->config);
    if (status != MDL_OK && status != MDL_CONFIG)
        return status;
    if (status != MDL_OK)
        snprintf(f->config.data.source, sizeof(f->config.data.source), "SPEC");
    return mdl_file_read(path, (size_t)1 << 24, &f->config_text, &size);
}

static mdl_status read_experiment(mdl__folder *f)
{
    mdl__names repeats;
    char path[MDL_PATH_MAX];
    mdl_status status = mdl_table_read(f->path, &f->table);
    if (status != MDL_OK && status != MDL_NOT_FOUND)
        return status;
    f->has_table = status == MDL_OK;
    MDL_TRY(read_trainings(f, "", 0));
    MDL_TRY(read_repeats(f, &repeats));
    const char *first = repeats.n > 0 ? repeats.data[0] : "";
    MDL_TRY(mdl__read_json(f, "", "interpolation.json", "interpolation", &f->interpolation));
    if (f->interpolation == NULL) /* as earlier versions called it */
        MDL_TRY(mdl__read_json(f, "", "paths.json", "interpolation", &f->interpolation));
    MDL_TRY(mdl__read_json(f, "", "made.json", "made", &f->made));
    if (f->made == NULL && repeats.n > 0)
        MDL_TRY(mdl__read_json(f, first, "made.json", "made", &f->made));
    f->tuned = mdl__has(f, first, "tuning.json", path);
    return find_merged(f, first);
}

mdl_status mdl__folder_read(const char *path, mdl__folder *f)
{
    *f = (mdl__folder){.path = path};
    MDL_TRY(read_config(f));
    MDL_TRY(read_searches(f));
    MDL_TRY(mdl__read_evaluations(f));
    if (f->config_text == NULL && f->content == 0)
        return mdl_fail(MDL_NOT_FOUND,
                        "%s holds nothing to report: expected the folder of an experiment, a "
                        "training or a search (config.yaml), or what an evaluation wrote (its "
                        "result, its predictions)",
                        path);
    if ((f->content & ~(unsigned)MDL__EVALUATION) == 0 && f->config_text != NULL)
        f->content |= MDL__EXPERIMENT;
    if ((f->content & MDL__TRAINING) != 0 && (f->content & MDL__EXPERIMENT) == 0)
        MDL_TRY(read_training(f, "", 0));
    return read_experiment(f);
}
