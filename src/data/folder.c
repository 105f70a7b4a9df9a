/* Reader of JPEG and PNG files sorted into folders by class: DIR/train/CLASS/FILE and
 * DIR/test/CLASS/FILE, or DIR/CLASS/FILE, of which a seeded fifth tests.  Classes and files are
 * taken in the order of their names (as bytes), so that every system sees the same set. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "data/internal.h"

enum { CHANNELS = 3, MAX_CLASSES = 100000, TEST_PART = 5 };

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
    return dot != NULL && (strcasecmp(dot, ".jpg") == 0 || strcasecmp(dot, ".jpeg") == 0 ||
                           strcasecmp(dot, ".png") == 0);
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
    int32_t *labels;          /* of the files */
    size_t label_room;        /* places in labels */
    size_t height, width;     /* of every file, where `uniform` */
    bool uniform;             /* all files have one size */
} listing;

static void free_listing(listing *list)
{
    free_names(&list->classes);
    free_names(&list->files);
    mdl_free(list->labels);
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

/* Files of `side` by the classes listed.  A class may be absent here, but none may be new. */
static mdl_status add_side_files(listing *list, const char *side)
{
    name_list here = {0};
    mdl_status status = list_folder(side, true, &here);
    size_t known = 0;
    for (size_t i = 0; status == MDL_OK && i < here.count; i++) {
        while (known < list->classes.count && strcmp(list->classes.names[known], here.names[i]) < 0)
            known++;
        char path[MDL_PATH_MAX];
        if (known == list->classes.count || strcmp(list->classes.names[known], here.names[i]) != 0)
            status = mdl_fail(MDL_FORMAT, "%s has the class %s, which is not in train", side,
                              here.names[i]);
        else
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

/* A failure that is one file's: it is not an image, not a whole one, or cannot be read. */
static bool is_damage(mdl_status status)
{
    return status == MDL_FORMAT || status == MDL_IO || status == MDL_NOT_FOUND;
}

/* The common size of the files, of those that have one. */
static mdl_status measure_files(listing *list)
{
    bool first = true;
    list->uniform = true;
    for (size_t i = 0; i < list->files.count; i++) {
        size_t height, width;
        MDL_TRY(mdl_stop_check());
        mdl_status status = mdl__image_info(list->files.names[i], &height, &width);
        if (is_damage(status))
            continue; /* reading it will say so */
        MDL_TRY(status);
        if (first) {
            list->height = height;
            list->width = width;
            first = false;
        }
        list->uniform = list->uniform && height == list->height && width == list->width;
    }
    return MDL_OK;
}

/* Leave only the images of one side of the seeded split. */
static mdl_status keep_part(listing *list, const mdl_data_config *config, bool test)
{
    size_t count = list->files.count;
    size_t tests = (count + TEST_PART / 2) / TEST_PART;
    if (tests == 0)
        return mdl_fail(MDL_FORMAT, "%zu images are too few to hold some out for the test", count);
    uint32_t *from, *parts = NULL;
    MDL_TRY(MDL_NEW(count, "split", &from));
    for (size_t i = 0; i < count; i++)
        from[i] = (uint32_t)i;
    mdl_status status = MDL_NEW(count, "split", &parts);
    if (status == MDL_OK)
        status = mdl__stratify(list->labels, list->classes.count, from, count, tests,
                               config->split_seed, MDL__CHOICE_FOLDER_TEST, parts, parts + tests);
    if (status == MDL_OK) {
        const uint32_t *part = test ? parts : parts + tests;
        size_t kept = test ? tests : count - tests;
        /* Ascending, so an entry moves down only, past those already moved. */
        for (size_t i = 0; i < kept; i++) {
            char *swap = list->files.names[i];
            list->files.names[i] = list->files.names[part[i]];
            list->files.names[part[i]] = swap;
            list->labels[i] = list->labels[part[i]];
        }
        for (size_t i = kept; i < count; i++)
            mdl_free(list->files.names[i]);
        list->files.count = kept;
    }
    mdl_free(from);
    mdl_free(parts);
    return status;
}

/* Only one of the two folders is there; other programs' sets have val/ for the other. */
static mdl_status one_side(const char *folder, const char *there, const char *missing)
{
    static const char *const names[] = {"val", "valid", "validation"};
    char path[MDL_PATH_MAX];
    for (size_t i = 0; i < MDL_COUNT(names); i++) {
        MDL_TRY(mdl_path(path, sizeof(path), folder, "%s", names[i]));
        if (is_folder(path))
            return mdl_fail(
                MDL_NOT_FOUND,
                "%s and %s are there, but %s is not: the images to test on are expected "
                "in test/ (rename or link %s), and the validation split is taken from "
                "train/ (data.validation_fraction)",
                there, path, missing, path);
    }
    return mdl_fail(MDL_NOT_FOUND, "%s is there, but %s is not", there, missing);
}

static mdl_status list_side(const mdl_data_config *config, const char *folder, bool test,
                            listing *list)
{
    char train[MDL_PATH_MAX], tests[MDL_PATH_MAX];
    MDL_TRY(mdl_path(train, sizeof(train), folder, "train"));
    MDL_TRY(mdl_path(tests, sizeof(tests), folder, "test"));
    bool has_train = is_folder(train), has_test = is_folder(tests);
    bool whole = !has_train && !has_test; /* yet to be split */
    if (has_train != has_test && !(test && has_test))
        return one_side(folder, has_train ? train : tests, has_train ? tests : train);
    /* The classes are those of train; a test side alone has its own. */
    const char *classes = has_train ? train : has_test ? tests : folder;
    MDL_TRY(list_folder(classes, true, &list->classes));
    if (list->classes.count < 2 || list->classes.count > MAX_CLASSES)
        return mdl_fail(MDL_NOT_FOUND,
                        "%s has %zu folders: expected one for each class, at least 2", classes,
                        list->classes.count);
    MDL_TRY(add_side_files(list, whole ? folder : test ? tests : train));
    MDL_TRY(measure_files(list));
    return whole ? keep_part(list, config, test) : MDL_OK;
}

/* ---- pixels --------------------------------------------------------------------------------- */

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

static mdl_status check_kept(const mdl_data_config *config, const mdl_dataset *set, bool test)
{
    if (set->count == 0)
        return mdl_fail(MDL_FORMAT, "none of the %zu images to %s on can be read: %s", set->damaged,
                        test ? "test" : "train", set->damage);
    if (set->damaged > 0 && config->skip_damaged)
        mdl_log(MDL_LOG_WARN, "%zu of %zu images to %s on are damaged and left out", set->damaged,
                set->count + set->damaged, test ? "test" : "train");
    return MDL_OK;
}

/* Images of one size stay as they are, unless the model will see them smaller anyway.  Those that
 * cannot be read are counted and leave no gap. */
static mdl_status read_pixels(const mdl_data_config *config, const listing *list, bool test,
                              mdl_dataset *set)
{
    size_t side = config->image_size, kept = 0;
    bool keep = list->uniform && list->height > 0 &&
                (config->size == MDL_SIZE_NATIVE || (list->height <= side && list->width <= side));
    MDL_TRY(mdl__dataset_alloc(set, list->files.count, keep ? list->height : side,
                               keep ? list->width : side, CHANNELS, list->classes.count));
    size_t bytes = set->height * set->width * CHANNELS;
    for (size_t i = 0; i < list->files.count; i++) {
        const char *path = list->files.names[i];
        MDL_TRY(mdl_stop_check());
        uint8_t *out = set->pixels + kept * bytes;
        mdl_status status = keep ? mdl__image_read(path, set->height, set->width, out)
                                 : mdl__image_read_resized(path, side, out);
        if (is_damage(status)) {
            MDL_TRY(note_damage(set));
            continue;
        }
        MDL_TRY(status);
        set->labels[kept++] = list->labels[i];
    }
    set->count = kept;
    return check_kept(config, set, test);
}

static mdl_status read_folder(const mdl_data_config *config, const char *argument, bool test,
                              mdl_dataset *set)
{
    listing list = {0};
    mdl_status status = list_side(config, argument, test, &list);
    if (status == MDL_OK)
        status = read_pixels(config, &list, test, set);
    if (status == MDL_OK) {
        set->value_max = 255;
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
static const char *const sides[] = {"train", "test", NULL};

const mdl_source mdl__source_folder = {
    .name = "folder",
    .spec = "folder:DIR",
    .what = "JPEG and PNG files, in a folder for each class",
    .advice = "expected are files DIR/train/CLASS/FILE and DIR/test/CLASS/FILE, or DIR/CLASS/FILE",
    .recognises = recognises,
    .endings = endings,
    .folders = sides,
    .folders_are_classes = true,
    .read = read_folder,
};
