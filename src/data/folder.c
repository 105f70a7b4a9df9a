/* Reader of JPEG and PNG files sorted into folders by class: DIR/train/CLASS/FILE, DIR/val and
 * DIR/test likewise, of which one may be missing; or DIR/CLASS/FILE, of which a seeded fifth tests.
 * Classes and files are taken in the order of their names (as bytes), so that every system sees the
 * same set. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "data/internal.h"

enum { MAX_CLASSES = 100000 };

/* ---- listing -------------------------------------------------------------------------------- */

typedef struct name_list {
    char **names;
    size_t count, room;
} name_list;

static void free_names(name_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        mdl_free(list->names[i]);
    mdl_free(list->names);
    *list = (name_list){0};
}

static mdl_status add_name(name_list *list, const char *name)
{
    if (list->count == list->room) {
        size_t room = 2 * list->room + 16;
        MDL_TRY(
            mdl_grow(list->room, room, sizeof(*list->names), "file names", (void **)&list->names));
        list->room = room;
    }
    MDL_TRY(mdl_strdup(name, &list->names[list->count]));
    list->count++;
    return MDL_OK;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool is_folder(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

static bool is_image_name(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot != NULL && mdl__is_image_ending(dot);
}

static mdl_status add_entries(DIR *folder, const char *path, bool folders, name_list *list)
{
    char full[MDL_PATH_MAX];
    size_t passed_over = 0;
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(folder);
        if (entry == NULL && errno != 0)
            return mdl_fail_errno(errno, "cannot read the folder %s", path);
        if (entry == NULL)
            break;
        MDL_TRY(mdl_stop_check()); /* a million files on a slow disk */
        if (entry->d_name[0] == '.')
            continue;
        MDL_TRY(mdl_path(full, sizeof(full), path, "%s", entry->d_name));
        if (folders ? is_folder(full) : is_image_name(entry->d_name))
            MDL_TRY(add_name(list, entry->d_name));
        else
            passed_over++;
    }
    if (passed_over > 0)
        mdl_log(MDL_LOG_WARN, "%s: %zu entries passed over that are not %s", path, passed_over,
                folders ? "folders of a class" : ".jpg, .jpeg or .png files");
    return MDL_OK;
}

/* The folders or the image files in a folder, sorted.  The caller frees, also after a failure. */
static mdl_status list_folder(const char *path, bool folders, name_list *list)
{
    DIR *folder = opendir(path);
    if (folder == NULL)
        return mdl_fail_errno(errno, "cannot read the folder %s", path);
    mdl_status status = add_entries(folder, path, folders, list);
    closedir(folder);
    if (status == MDL_OK && list->count > 1)
        qsort(list->names, list->count, sizeof(*list->names), compare_names);
    return status;
}

/* ---- the files of a side -------------------------------------------------------------------- */

typedef struct listing {
    name_list classes, files; /* files: full paths */
    mdl__image_probe *probes; /* of the files */
    int32_t *labels;          /* of the files */
    size_t label_room;        /* places in labels */
} listing;

static void free_listing(listing *list)
{
    free_names(&list->classes);
    free_names(&list->files);
    mdl_free(list->labels);
    mdl_free(list->probes);
}

static mdl_status add_class_files(listing *list, const char *folder, size_t class_index)
{
    name_list names = {0};
    char path[MDL_PATH_MAX];
    mdl_status status = list_folder(folder, false, &names);
    for (size_t i = 0; status == MDL_OK && i < names.count; i++) {
        status = mdl_path(path, sizeof(path), folder, "%s", names.names[i]);
        if (status == MDL_OK && list->label_room <= list->files.count) {
            size_t room = 2 * list->label_room + 16;
            status = mdl_grow(list->label_room, room, sizeof(*list->labels), "labels",
                              (void **)&list->labels);
            if (status == MDL_OK)
                list->label_room = room;
        }
        if (status == MDL_OK)
            status = add_name(&list->files, path);
        if (status == MDL_OK)
            list->labels[list->files.count - 1] = (int32_t)class_index;
    }
    free_names(&names);
    return status;
}

/* Whether the list has the name, which is not before `from`; *at: where it is or would be. */
static bool find_class(const name_list *list, const char *name, size_t *at)
{
    while (*at < list->count && strcmp(list->names[*at], name) < 0)
        (*at)++;
    return *at < list->count && strcmp(list->names[*at], name) == 0;
}

static mdl_status check_classes(const name_list *classes, const name_list *here, const char *side)
{
    mdl__naming extra = {.used = 0};
    for (size_t i = 0, known = 0; i < here->count; i++)
        if (!find_class(classes, here->names[i], &known))
            mdl__naming_add(&extra, here->names[i]);
    if (extra.count == 0)
        return MDL_OK;
    return mdl_fail(MDL_FORMAT, "%s has %zu class%s that train does not have: %s", side,
                    extra.count, extra.count == 1 ? "" : "es", mdl__naming_text(&extra));
}

/* Files of `side` by the classes listed.  A class may be absent here, but none may be new. */
static mdl_status add_side_files(listing *list, const char *side)
{
    name_list here = {0};
    mdl_status status = list_folder(side, true, &here);
    if (status == MDL_OK)
        status = check_classes(&list->classes, &here, side);
    size_t known = 0;
    for (size_t i = 0; status == MDL_OK && i < here.count; i++) {
        char path[MDL_PATH_MAX];
        (void)find_class(&list->classes, here.names[i], &known);
        status = mdl_path(path, sizeof(path), side, "%s", here.names[i]);
        if (status == MDL_OK)
            status = add_class_files(list, path, known);
    }
    free_names(&here);
    if (status == MDL_OK && list->files.count == 0)
        status =
            mdl_fail(MDL_NOT_FOUND, "there are no .jpg, .jpeg or .png files in %s/CLASS/", side);
    return status;
}

/* Leave only the images of one side of the seeded split. */
static mdl_status keep_part(listing *list, const mdl_data_config *config, bool test)
{
    uint32_t *part;
    size_t kept;
    MDL_TRY(mdl__choose_side(list->labels, list->classes.count, list->files.count,
                             config->split_seed, test, &part, &kept));
    /* Ascending, so an entry moves down only, past those already moved. */
    for (size_t i = 0; i < kept; i++) {
        char *swap = list->files.names[i];
        list->files.names[i] = list->files.names[part[i]];
        list->files.names[part[i]] = swap;
        list->labels[i] = list->labels[part[i]];
        list->probes[i] = list->probes[part[i]];
    }
    for (size_t i = kept; i < list->files.count; i++)
        mdl_free(list->files.names[i]);
    list->files.count = kept;
    mdl_free(part);
    return MDL_OK;
}

/* ---- sides ---------------------------------------------------------------------------------- */

static const char *const validation_names[] = {"val", "valid", "validation"};

typedef struct sides {          /* the folders of the sides; "" where one is not there */
    char path[3][MDL_PATH_MAX]; /* by mdl_split */
} side_folders;

static mdl_status find_side(const char *folder, const char *name, char path[MDL_PATH_MAX])
{
    char found[MDL_PATH_MAX];
    MDL_TRY(mdl_path(found, sizeof(found), folder, "%s", name));
    if (!is_folder(found))
        return MDL_OK;
    if (path[0] != '\0')
        return mdl_fail(MDL_FORMAT, "%s and %s are both there: one of them is expected", path,
                        found);
    memcpy(path, found, sizeof(found));
    return MDL_OK;
}

/* Beside train only a folder is a side for validation: else it may well be a class. */
static mdl_status find_sides(const char *folder, side_folders *found)
{
    *found = (side_folders){{""}};
    MDL_TRY(find_side(folder, "train", found->path[MDL_SPLIT_TRAIN]));
    MDL_TRY(find_side(folder, "test", found->path[MDL_SPLIT_TEST]));
    for (size_t i = 0; i < MDL_COUNT(validation_names); i++)
        if (found->path[MDL_SPLIT_TRAIN][0] != '\0')
            MDL_TRY(find_side(folder, validation_names[i], found->path[MDL_SPLIT_VALIDATION]));
    return MDL_OK;
}

/* The folder of a side, which is the whole where there are no sides; "": there is none. */
static mdl_status choose_side(const char *folder, const side_folders *all, mdl_split split,
                              const char **side)
{
    const char *train = all->path[MDL_SPLIT_TRAIN], *test = all->path[MDL_SPLIT_TEST];
    const char *validation = all->path[MDL_SPLIT_VALIDATION];
    *side = all->path[split];
    if (train[0] == '\0' && test[0] == '\0') {
        *side = split != MDL_SPLIT_VALIDATION ? folder : "";
        return MDL_OK;
    }
    if (split == MDL_SPLIT_TRAIN && train[0] == '\0')
        return mdl_fail(MDL_NOT_FOUND, "%s is there, but %s/train is not", test, folder);
    if (test[0] == '\0' && validation[0] == '\0')
        return mdl_fail(MDL_NOT_FOUND, "%s is there, but %s/test is not, and no %s/val", train,
                        folder, folder);
    if (split != MDL_SPLIT_TEST || test[0] != '\0')
        return MDL_OK;
    *side = validation;
    mdl__say_validation_tests(folder);
    return MDL_OK;
}

/* *there: whether the side is there, which only that for validation may not be. */
static mdl_status list_side(const mdl_data_config *config, const char *folder, mdl_split split,
                            listing *list, mdl_dataset *set, bool *there)
{
    side_folders all;
    const char *side;
    MDL_TRY(find_sides(folder, &all));
    MDL_TRY(choose_side(folder, &all, split, &side));
    *there = side[0] != '\0';
    if (!*there)
        return MDL_OK;
    /* The classes are those of train; a test side alone has its own. */
    const char *classes = all.path[MDL_SPLIT_TRAIN][0] != '\0' ? all.path[MDL_SPLIT_TRAIN] : side;
    MDL_TRY(list_folder(classes, true, &list->classes));
    if (list->classes.count < 2 || list->classes.count > MAX_CLASSES)
        return mdl_fail(MDL_NOT_FOUND,
                        "%s has %zu folders: expected one for each class, at least 2", classes,
                        list->classes.count);
    MDL_TRY(add_side_files(list, side));
    MDL_TRY(mdl__files_probe(config, list->files.names, list->files.count, &list->probes));
    mdl__files_choose_form(config, list->probes, list->files.count, set);
    return side == folder ? keep_part(list, config, split == MDL_SPLIT_TEST) : MDL_OK;
}

/* ---- the source ----------------------------------------------------------------------------- */

static mdl_status read_folder(const mdl_data_config *config, const char *argument, mdl_split split,
                              mdl_dataset *set)
{
    listing list = {0};
    bool there = false;
    mdl_status status = list_side(config, argument, split, &list, set, &there);
    const mdl__files files = {list.files.names, list.labels, list.probes, list.files.count,
                              list.classes.count};
    if (status == MDL_OK && there)
        status = mdl__files_read(config, &files, split, set);
    if (status == MDL_OK && there) {
        /* The set takes the names. */
        set->class_names = list.classes.names;
        list.classes = (name_list){0};
    }
    free_listing(&list);
    return status;
}

/* Whether there is any folder in it. */
static bool recognises(const char *path)
{
    DIR *folder = opendir(path);
    bool found = false;
    for (const struct dirent *e; folder != NULL && !found && (e = readdir(folder)) != NULL;) {
        char full[MDL_PATH_MAX];
        found = e->d_name[0] != '.' &&
                mdl_path(full, sizeof(full), path, "%s", e->d_name) == MDL_OK && is_folder(full);
    }
    if (folder != NULL)
        closedir(folder);
    return found;
}

static const char *const endings[] = {".jpg", ".jpeg", ".png", NULL};
static const char *const sides[] = {"train", "test", "val", "valid", "validation", NULL};

const mdl_source mdl__source_folder = {
    .name = "folder",
    .spec = "folder:DIR",
    .what = "JPEG and PNG files, in a folder for each class",
    .advice =
        "expected are files DIR/train/CLASS/FILE, and in DIR/val and DIR/test, or DIR/CLASS/FILE",
    .recognises = recognises,
    .endings = endings,
    .folders = sides,
    .folders_are_classes = true,
    .has_validation = true,
    .read = read_folder,
};
