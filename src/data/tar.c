/* Tar archives with the names of webdataset as a source: one, or those of a folder.  tar_samples.c
 * has what is in them. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "data/tar.h"

static void free_shards(mdl__shards *s)
{
    for (size_t i = 0; i < s->count; i++)
        mdl_free(s->labels[i]);
    mdl__free_names(s->paths, s->n_paths);
    mdl_free(s->labels);
    mdl_free(s->items);
    mdl_free(s->parts);
}

/* ---- archives ------------------------------------------------------------------------------- */

static int is_tar(const struct dirent *entry)
{
    return entry->d_name[0] != '.' && mdl__name_ends(entry->d_name, ".tar");
}

/* By bytes, whatever the locale is. */
static int compare_entries(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

/* The split that a word of the name says: imagenet-train-0001.tar, val_3.tar. */
static int split_of(const char *name)
{
    int split = MDL__UNDIVIDED;
    for (const char *at = name; *at != '\0' && split == MDL__UNDIVIDED;) {
        size_t length = strcspn(at, "-_.");
        (void)mdl__find_split(at, length, &split);
        at += length + (at[length] != '\0');
    }
    return split;
}

static mdl_status add_shard(mdl__shards *s, const char *folder, const char *name, int split)
{
    char path[MDL_PATH_MAX];
    if (s->n_paths == s->path_room) {
        size_t room = 2 * s->path_room + 16;
        MDL_TRY(mdl_grow(s->path_room, room, sizeof(*s->paths), "archives", (void **)&s->paths));
        s->path_room = room;
    }
    MDL_TRY(mdl_path(path, sizeof(path), folder, "%s", name));
    MDL_TRY(mdl_strdup(path, &s->paths[s->n_paths]));
    s->n_paths++;
    return mdl__tar_read(s, (uint32_t)(s->n_paths - 1), split);
}

/* The archives of a folder, in the order of their names. */
static mdl_status add_folder(mdl__shards *s, const char *folder, int split)
{
    struct dirent **list;
    int count = scandir(folder, &list, is_tar, compare_entries);
    mdl_status status = MDL_OK;
    if (count < 0)
        return errno == ENOMEM ? mdl_fail(MDL_NO_MEMORY, "cannot list %s: out of memory", folder)
                               : MDL_OK; /* there is none */
    for (int i = 0; i < count; i++) {
        const char *name = list[i]->d_name;
        if (status == MDL_OK)
            status = add_shard(s, folder, name, split < MDL__UNDIVIDED ? split : split_of(name));
        free(list[i]);
    }
    free(list);
    return status;
}

/* Both kinds of archives would leave it open what the others are for. */
static mdl_status check_splits(const mdl__shards *s)
{
    bool divided = false, whole = false;
    for (size_t i = 0; i < s->count; i++) {
        divided = divided || s->items[i].split < MDL__UNDIVIDED;
        whole = whole || s->items[i].split == MDL__UNDIVIDED;
    }
    return divided && whole
               ? mdl_fail(MDL_FORMAT,
                          "%s: some archives have train, val or test in their names, others have "
                          "not",
                          s->argument)
               : MDL_OK;
}

static mdl_status find_samples(mdl__shards *s)
{
    static const char *const sides[] = {"train", "val", "valid", "validation", "test"};
    DIR *folder;
    MDL_TRY(mdl_folder_open(s->argument, &folder));
    if (folder == NULL) {
        MDL_TRY(add_shard(s, "", s->argument, MDL__UNDIVIDED));
    } else {
        closedir(folder);
        MDL_TRY(add_folder(s, s->argument, MDL__UNDIVIDED));
        for (size_t i = 0; i < MDL_COUNT(sides); i++) {
            char path[MDL_PATH_MAX];
            int split = MDL__UNDIVIDED;
            (void)mdl__find_split(sides[i], strlen(sides[i]), &split);
            MDL_TRY(mdl_path(path, sizeof(path), s->argument, "%s", sides[i]));
            MDL_TRY(add_folder(s, path, split));
        }
        if (s->n_paths == 0)
            return mdl_fail(MDL_NOT_FOUND, "there are no .tar files in %s", s->argument);
    }
    if (s->count == 0)
        return mdl_fail(MDL_FORMAT,
                        "%s holds no images with labels: KEY.jpg and KEY.cls are "
                        "expected",
                        s->argument);
    return check_splits(s);
}

/* ---- the source ----------------------------------------------------------------------------- */

static mdl_status find_places(const mdl__shards *s, const mdl__chosen *chosen, mdl__files *files)
{
    MDL_TRY(MDL_NEW(files->count, "places of images", &files->paths));
    for (size_t i = 0; i < files->count; i++) {
        const mdl__part *part = &s->parts[chosen->numbers[i]];
        MDL_TRY(
            mdl__place_of_part(s->paths[part->shard], part->offset, part->size, &files->paths[i]));
    }
    return MDL_OK;
}

static mdl_status read_samples(const mdl_data_config *config, const mdl__shards *s, mdl_split split,
                               mdl_dataset *set)
{
    mdl__chosen chosen = {0};
    mdl_status status =
        mdl__items_choose(config, s->items, s->count, s->argument, split, set, &chosen);
    mdl__files files = {.labels = chosen.labels, .count = chosen.count, .classes = set->classes};
    if (status == MDL_OK && files.count > 0)
        status = find_places(s, &chosen, &files);
    if (status == MDL_OK && files.count > 0)
        status = mdl__files_fill(config, &files, split, set);
    mdl__free_names(files.paths, files.count);
    mdl__chosen_free(&chosen);
    return status;
}

static mdl_status read_tar(const mdl_data_config *config, const char *argument, mdl_split split,
                           mdl_dataset *set)
{
    mdl__shards s = {.argument = argument};
    mdl_status status = find_samples(&s);
    if (status == MDL_OK)
        status = read_samples(config, &s, split, set);
    free_shards(&s);
    return status;
}

static bool recognises(const char *path)
{
    DIR *folder = opendir(path);
    bool found = folder == NULL && mdl__is_file_ending(path, ".tar");
    for (const struct dirent *e; folder != NULL && !found && (e = readdir(folder)) != NULL;)
        found = is_tar(e) != 0;
    if (folder != NULL)
        closedir(folder);
    return found;
}

static const char *const endings[] = {".tar", NULL};
static const char *const folders[] = {"train", "val", "valid", "validation", "test", NULL};

const mdl_source mdl__source_tar = {
    .name = "tar",
    .spec = "tar:PATH",
    .what = "tar archives with webdataset's names: KEY.jpg, KEY.cls",
    .advice = "expected is a .tar file, or a folder of them, with train, val or test in the names",
    .recognises = recognises,
    .endings = endings,
    .folders = folders,
    .has_validation = true,
    .read = read_tar,
};
