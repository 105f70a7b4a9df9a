/* Images of a list, each with its label as a text and its split: the classes of the labels, which
 * are numbers where all of them are, else names; and the images of a split. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "data/internal.h"

enum { MAX_CLASSES = 100000 };

/* A number as it is usually written, so that 7 and 07 are not taken for one. */
static bool is_number(const char *label)
{
    size_t digits = strspn(label, "0123456789");
    return digits > 0 && digits <= 5 && label[digits] == '\0' && (digits == 1 || label[0] != '0');
}

static int compare_labels(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The different labels in the order of their bytes, as classes in folders are. */
static mdl_status sort_names(const mdl__item *items, size_t count, const char *file,
                             const char ***names, size_t *classes)
{
    size_t n = 0;
    MDL_TRY(MDL_NEW(count, "class names", names));
    for (size_t i = 0; i < count; i++)
        (*names)[i] = items[i].label;
    qsort(*names, count, sizeof(**names), compare_labels);
    for (size_t i = 0; i < count; i++)
        if (n == 0 || strcmp((*names)[n - 1], (*names)[i]) != 0)
            (*names)[n++] = (*names)[i];
    *classes = n;
    return n <= MAX_CLASSES ? MDL_OK
                            : mdl_fail(MDL_FORMAT, "%s has %zu classes: at most %d are read", file,
                                       n, MAX_CLASSES);
}

static mdl_status name_classes(const mdl__item *items, size_t count, const char *file,
                               int32_t *labels, mdl_dataset *set)
{
    const char **names = NULL;
    mdl_status status = sort_names(items, count, file, &names, &set->classes);
    if (status == MDL_OK)
        status = mdl__dataset_alloc_names(set);
    for (size_t i = 0; status == MDL_OK && i < set->classes; i++)
        status = mdl_strdup(names[i], &set->class_names[i]);
    for (size_t i = 0; status == MDL_OK && i < count; i++) {
        const char **found =
            bsearch(&items[i].label, names, set->classes, sizeof(*names), compare_labels);
        labels[i] = (int32_t)(found - names);
    }
    mdl_free(names);
    return status;
}

static mdl_status number_labels(const mdl__item *items, size_t count, const char *file,
                                int32_t *labels, mdl_dataset *set)
{
    bool numbers = true;
    for (size_t i = 0; i < count && numbers; i++)
        numbers = is_number(items[i].label);
    if (!numbers)
        return name_classes(items, count, file, labels, set);
    for (size_t i = 0; i < count; i++) {
        labels[i] = (int32_t)strtol(items[i].label, NULL, 10);
        set->classes = mdl_max_size(set->classes, (size_t)labels[i] + 1);
    }
    return MDL_OK;
}

static mdl_status choose(const mdl_data_config *config, const mdl__item *items, size_t count,
                         const char *file, mdl_split split, size_t classes, const int32_t *labels,
                         mdl__chosen *out)
{
    bool has[MDL__UNDIVIDED + 1] = {false};
    for (size_t i = 0; i < count; i++)
        has[items[i].split] = true;
    if (has[MDL__UNDIVIDED])
        return split == MDL_SPLIT_VALIDATION
                   ? MDL_OK
                   : mdl__choose_side(labels, classes, count, config->split_seed,
                                      split == MDL_SPLIT_TEST, &out->numbers, &out->count);
    if (split == MDL_SPLIT_TEST && !has[split] && has[MDL_SPLIT_VALIDATION]) {
        mdl__say_validation_tests(file);
        split = MDL_SPLIT_VALIDATION;
    }
    if (!has[split] && split != MDL_SPLIT_VALIDATION)
        return mdl_fail(MDL_NOT_FOUND, "%s has no images of the split %s", file,
                        split == MDL_SPLIT_TRAIN ? "train" : "test");
    MDL_TRY(MDL_NEW(count, "images of a split", &out->numbers));
    for (size_t i = 0; i < count; i++)
        if (items[i].split == (int)split)
            out->numbers[out->count++] = (uint32_t)i;
    return MDL_OK;
}

mdl_status mdl__items_choose(const mdl_data_config *config, const mdl__item *items, size_t count,
                             const char *file, mdl_split split, mdl_dataset *set, mdl__chosen *out)
{
    int32_t *all = NULL;
    mdl_status status = MDL_NEW(count, "labels", &all);
    if (status == MDL_OK)
        status = number_labels(items, count, file, all, set);
    if (status == MDL_OK)
        status = choose(config, items, count, file, split, set->classes, all, out);
    if (status == MDL_OK && out->count > 0)
        status = MDL_NEW(out->count, "labels", &out->labels);
    for (size_t i = 0; status == MDL_OK && i < out->count; i++)
        out->labels[i] = all[out->numbers[i]];
    mdl_free(all);
    return status;
}

void mdl__chosen_free(mdl__chosen *chosen)
{
    mdl_free(chosen->numbers);
    mdl_free(chosen->labels);
}

bool mdl__find_split(const char *word, size_t length, int *split)
{
    static const struct {
        const char *word;
        int split;
    } words[] = {{"train", MDL_SPLIT_TRAIN},
                 {"val", MDL_SPLIT_VALIDATION},
                 {"valid", MDL_SPLIT_VALIDATION},
                 {"validation", MDL_SPLIT_VALIDATION},
                 {"test", MDL_SPLIT_TEST}};
    for (size_t i = 0; i < MDL_COUNT(words); i++)
        if (strlen(words[i].word) == length && strncasecmp(word, words[i].word, length) == 0) {
            *split = words[i].split;
            return true;
        }
    return false;
}
