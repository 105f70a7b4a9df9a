/* Names of classes: from a data set, to and from a checkpoint's metadata, and matching the two.
 * Names are bytes (a folder may be called anything); texts have them escaped. */
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "data/internal.h"

enum { TEXT_LIMIT = 1 << 24 }; /* bytes of a list in a checkpoint, whose header is read whole */

/* ---- lists ---------------------------------------------------------------------------------- */

typedef struct name_place { /* a name and its number in its list */
    const char *name;
    size_t number;
} name_place;

typedef struct class_list {
    char **names; /* [count], unescaped; owned */
    size_t count;
    name_place *sorted; /* [count], by name */
} class_list;

static int compare_places(const void *a, const void *b)
{
    return strcmp(((const name_place *)a)->name, ((const name_place *)b)->name);
}

static void free_list(class_list *list)
{
    mdl__free_names(list->names, list->count);
    mdl_free(list->sorted);
    *list = (class_list){0};
}

/* Sort the names of a list for looking them up; *twice is one that is there twice, or NULL. */
static mdl_status sort_list(char *const *names, size_t count, name_place **sorted,
                            const char **twice)
{
    *twice = NULL;
    MDL_TRY(MDL_NEW(count, "class names", sorted));
    for (size_t i = 0; i < count; i++)
        (*sorted)[i] = (name_place){names[i], i};
    qsort(*sorted, count, sizeof(**sorted), compare_places);
    for (size_t i = 1; i < count && *twice == NULL; i++)
        if (strcmp((*sorted)[i - 1].name, (*sorted)[i].name) == 0)
            *twice = (*sorted)[i].name;
    return MDL_OK;
}

/* The number of a name, SIZE_MAX where the list does not have it. */
static size_t find_name(const class_list *list, const char *name)
{
    const name_place wanted = {name, 0};
    const name_place *found =
        bsearch(&wanted, list->sorted, list->count, sizeof(wanted), compare_places);
    return found != NULL ? found->number : SIZE_MAX;
}

static mdl_status take_names(const json_t *json, const char *path, class_list *list)
{
    const char *twice;
    size_t count = json_array_size(json);
    if (!json_is_array(json) || count == 0)
        return mdl_fail(MDL_FORMAT, "%s: metadata mendel.classes is not a list of names", path);
    MDL_TRY(MDL_NEW(count, "class names", &list->names));
    list->count = count;
    for (size_t i = 0; i < count; i++) {
        const char *name = json_string_value(json_array_get(json, i));
        if (name == NULL)
            return mdl_fail(MDL_FORMAT, "%s: metadata mendel.classes: entry %zu is not a name",
                            path, i);
        MDL_TRY(mdl_strdup(name, &list->names[i]));
        mdl_text_unescape(list->names[i]);
    }
    MDL_TRY(sort_list(list->names, count, &list->sorted, &twice));
    if (twice == NULL)
        return MDL_OK;
    mdl__naming n = {.used = 0};
    mdl__naming_add(&n, twice);
    return mdl_fail(MDL_FORMAT, "%s: metadata mendel.classes has the name %s twice", path,
                    mdl__naming_text(&n));
}

/* The list of a checkpoint; the caller frees it, also after a failure. */
static mdl_status read_list(const char *text, const char *path, class_list *list)
{
    json_t *json;
    *list = (class_list){0};
    mdl_status status = mdl_json_read(text, strlen(text), 0, &json);
    if (status != MDL_OK)
        return mdl_fail_context(status, "%s: metadata mendel.classes", path);
    status = take_names(json, path, list);
    json_decref(json);
    return status;
}

mdl_status mdl_classes_read(const char *text, const char *path, char ***names, size_t *count)
{
    class_list list;
    mdl_status status = read_list(text, path, &list);
    mdl_free(list.sorted);
    *names = list.names;
    *count = list.count;
    return status;
}

/* The backslashes of a JSON text as \u005c: a header escapes "\x" in its values, which so never
 * comes. */
static mdl_status spell_backslashes(const char *text, char **out)
{
    static const char spelt[] = "\\u005c";
    size_t size = strlen(text) + 1, used = 0;
    for (const char *at = text; *at != '\0'; at++)
        size += *at == '\\' ? sizeof(spelt) : 0;
    MDL_TRY(mdl_alloc(size, 1, "class names", (void **)out));
    for (const char *at = text; *at != '\0'; at++) {
        if (at[0] == '\\' && at[1] == '\\') {
            memcpy(*out + used, spelt, sizeof(spelt) - 1);
            used += sizeof(spelt) - 1;
            at++;
            continue;
        }
        (*out)[used++] = *at;
        if (*at == '\\')
            (*out)[used++] = *++at;
    }
    return MDL_OK;
}

mdl_status mdl_classes_text(const mdl_data *data, char **out)
{
    char *text;
    *out = NULL;
    if (data->class_names == NULL)
        return MDL_OK;
    json_t *list = mdl_json_pack("[]");
    for (size_t i = 0; i < data->classes; i++)
        mdl_json_append(&list, mdl_json_pack("s", data->class_names[i]));
    mdl_status status = mdl_json_text(list, JSON_COMPACT, &text);
    json_decref(list);
    MDL_TRY(status);
    status = spell_backslashes(text, out);
    mdl_free(text);
    if (status == MDL_OK && strlen(*out) > TEXT_LIMIT) {
        mdl_log(MDL_LOG_WARN, "the names of the classes are too long for a checkpoint: it gets "
                              "none");
        mdl_free(*out);
        *out = NULL;
    }
    return status;
}

/* ---- a data set's own names ----------------------------------------------------------------- */

/* How many images each class has in a set. */
static mdl_status count_images(const mdl_dataset *set, size_t classes, size_t **counts)
{
    MDL_TRY(MDL_NEW(classes, "classes", counts));
    for (size_t i = 0; i < set->count; i++)
        (*counts)[set->labels[i]]++;
    return MDL_OK;
}

static mdl_status say_empty(const mdl_data *data, const mdl_dataset *set, const char *purpose)
{
    mdl__naming n = {.used = 0};
    size_t *counts;
    MDL_TRY(count_images(set, data->classes, &counts));
    for (size_t c = 0; c < data->classes; c++) {
        char number[24];
        snprintf(number, sizeof(number), "%zu", c);
        if (counts[c] == 0)
            mdl__naming_add(&n, data->class_names != NULL ? data->class_names[c] : number);
    }
    mdl_free(counts);
    if (n.count > 0)
        mdl_log(MDL_LOG_WARN, "%zu of %zu classes have no images to %s on: %s", n.count,
                data->classes, purpose, mdl__naming_text(&n));
    return MDL_OK;
}

mdl_status mdl__classes_take(mdl_data *data)
{
    mdl_dataset *sets[3] = {data->train, data->validation, data->test};
    name_place *sorted = NULL;
    const char *twice = NULL;
    for (size_t i = 0; i < MDL_COUNT(sets); i++) {
        if (sets[i] == NULL)
            continue;
        if (data->class_names == NULL)
            data->class_names = sets[i]->class_names;
        else
            mdl__free_names(sets[i]->class_names, sets[i]->classes);
        sets[i]->class_names = NULL;
    }
    if (data->class_names != NULL)
        MDL_TRY(sort_list(data->class_names, data->classes, &sorted, &twice));
    mdl_free(sorted);
    if (twice != NULL) {
        mdl_log(MDL_LOG_WARN, "%s names a class twice: classes go without names",
                data->config.source);
        mdl__free_names(data->class_names, data->classes);
        data->class_names = NULL;
    }
    return MDL_OK;
}

mdl_status mdl__classes_tell_empty(const mdl_data *data)
{
    if (data->train != NULL)
        MDL_TRY(say_empty(data, data->train, "train"));
    if (data->validation != NULL)
        MDL_TRY(say_empty(data, data->validation, "validate"));
    return data->test->count > 0 ? say_empty(data, data->test, "test") : MDL_OK;
}

/* ---- matching ------------------------------------------------------------------------------- */

static void renumber(mdl_dataset *set, const size_t *number, size_t classes)
{
    for (size_t i = 0; i < set->count; i++)
        set->labels[i] = (int32_t)number[set->labels[i]];
    set->classes = classes;
}

/* Which class of the checkpoint each class of the data is; one without images may be new. */
static mdl_status number_classes(const mdl_data *data, const class_list *list, const char *path,
                                 const bool *used, size_t *number)
{
    mdl__naming extra = {.used = 0};
    for (size_t c = 0; c < data->classes; c++) {
        number[c] = find_name(list, data->class_names[c]);
        if (number[c] == SIZE_MAX && used[c])
            mdl__naming_add(&extra, data->class_names[c]);
    }
    if (extra.count == 0)
        return MDL_OK;
    mdl__naming known = {.used = 0};
    for (size_t i = 0; i < list->count; i++)
        mdl__naming_add(&known, list->names[i]);
    return mdl_fail(MDL_SHAPE,
                    "%s has %zu classes that %s does not have: %s; the checkpoint knows %zu: %s",
                    data->config.source, extra.count, path, mdl__naming_text(&extra), list->count,
                    mdl__naming_text(&known));
}

/* `has`: which of the checkpoint's classes have images. */
static void say_match(const mdl_data *data, const class_list *list, const size_t *number,
                      const bool *has, const char *path)
{
    mdl__naming absent = {.used = 0};
    bool order = true;
    for (size_t c = 0; c < data->classes; c++)
        order = order && (number[c] == SIZE_MAX || number[c] == c);
    for (size_t i = 0; i < list->count; i++)
        if (!has[i])
            mdl__naming_add(&absent, list->names[i]);
    if (absent.count > 0)
        mdl_log(MDL_LOG_WARN,
                "classes are matched by name: %zu of the %zu classes of %s have no images here: %s",
                absent.count, list->count, path, mdl__naming_text(&absent));
    else if (!order)
        mdl_log(MDL_LOG_INFO, "classes are matched by name: %s has them in another order than %s",
                data->config.source, path);
}

/* Where only one side has names. */
static mdl_status match_by_number(mdl_data *data, class_list *list, const char *path)
{
    if (list->names == NULL) { /* what is saved must not claim this data's names */
        mdl__free_names(data->class_names, data->classes);
        data->class_names = NULL;
        return MDL_OK;
    }
    if (data->classes > list->count)
        return mdl_fail(MDL_SHAPE, "%s has %zu classes, %s only %zu", data->config.source,
                        data->classes, path, list->count);
    if (data->classes < list->count)
        mdl_log(MDL_LOG_WARN,
                "%s has %zu classes without names, %s has %zu: they are taken by number",
                data->config.source, data->classes, path, list->count);
    data->class_names = list->names;
    data->classes = list->count;
    list->names = NULL;
    return MDL_OK;
}

static mdl_status match_by_name(mdl_data *data, class_list *list, const char *path)
{
    mdl_dataset *sets[3] = {data->train, data->validation, data->test};
    size_t *number = NULL;
    bool *used = NULL, *has = NULL; /* the data's classes that have images; the checkpoint's */
    mdl_status status = MDL_NEW(data->classes, "classes", &number);
    if (status == MDL_OK)
        status = MDL_NEW(data->classes, "classes", &used);
    if (status == MDL_OK)
        status = MDL_NEW(list->count, "classes", &has);
    for (size_t s = 0; s < MDL_COUNT(sets) && status == MDL_OK; s++)
        for (size_t i = 0; sets[s] != NULL && i < sets[s]->count; i++)
            used[sets[s]->labels[i]] = true;
    if (status == MDL_OK)
        status = number_classes(data, list, path, used, number);
    if (status == MDL_OK) {
        for (size_t s = 0; s < MDL_COUNT(sets); s++)
            if (sets[s] != NULL)
                renumber(sets[s], number, list->count);
        for (size_t c = 0; c < data->classes; c++)
            if (used[c])
                has[number[c]] = true;
        say_match(data, list, number, has, path);
        mdl__free_names(data->class_names, data->classes);
        data->class_names = list->names;
        data->classes = list->count;
        list->names = NULL;
    }
    mdl_free(number);
    mdl_free(used);
    mdl_free(has);
    return status;
}

mdl_status mdl_data_match_classes(mdl_data *data, const char *text, const char *path)
{
    class_list list = {0};
    mdl_status status = text != NULL ? read_list(text, path, &list) : MDL_OK;
    if (status == MDL_OK)
        status = text != NULL && data->class_names != NULL ? match_by_name(data, &list, path)
                                                           : match_by_number(data, &list, path);
    free_list(&list);
    return status;
}

/* Names of `first` that `second` does not have. */
static void difference(const class_list *first, const class_list *second, mdl__naming *out)
{
    for (size_t i = 0; i < first->count; i++)
        if (find_name(second, first->names[i]) == SIZE_MAX)
            mdl__naming_add(out, first->names[i]);
}

static mdl_status compare_lists(const class_list *a, const char *first, const class_list *b,
                                const char *second)
{
    mdl__naming only_a = {.used = 0}, only_b = {.used = 0}, as_a = {.used = 0}, as_b = {.used = 0};
    difference(a, b, &only_a);
    difference(b, a, &only_b);
    if (only_a.count > 0 || only_b.count > 0)
        return mdl_fail(MDL_SHAPE,
                        "%s and %s were trained on other classes: only the first has %s; only the "
                        "second has %s",
                        first, second, only_a.count > 0 ? mdl__naming_text(&only_a) : "none",
                        only_b.count > 0 ? mdl__naming_text(&only_b) : "none");
    for (size_t i = 0; i < a->count; i++)
        if (strcmp(a->names[i], b->names[i]) != 0) {
            mdl__naming_add(&as_a, a->names[i]);
            mdl__naming_add(&as_b, b->names[i]);
        }
    if (as_a.count == 0)
        return MDL_OK;
    return mdl_fail(MDL_SHAPE,
                    "%s and %s have the same classes in another order: where the first has %s, the "
                    "second has %s",
                    first, second, mdl__naming_text(&as_a), mdl__naming_text(&as_b));
}

mdl_status mdl_classes_agree(const char *first, const char *first_path, const char *second,
                             const char *second_path)
{
    class_list a = {0}, b = {0};
    if (first == NULL || second == NULL || strcmp(first, second) == 0)
        return MDL_OK;
    mdl_status status = read_list(first, first_path, &a);
    if (status == MDL_OK)
        status = read_list(second, second_path, &b);
    if (status == MDL_OK)
        status = compare_lists(&a, first_path, &b, second_path);
    free_list(&a);
    free_list(&b);
    return status;
}
