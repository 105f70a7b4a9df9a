/* The images of an open data set under another configuration, without a copy of their pixels. */
#include <string.h>

#include "data/internal.h"

static mdl_status copy_names(char *const *names, size_t count, mdl_dataset *set)
{
    if (names == NULL)
        return MDL_OK;
    MDL_TRY(mdl__dataset_alloc_names(set));
    for (size_t i = 0; i < count; i++)
        MDL_TRY(mdl_strdup(names[i], &set->class_names[i]));
    return MDL_OK;
}

/* A set of the same pixels with labels of its own. */
static mdl_status share(const mdl_dataset *from, char *const *names, mdl_dataset **out)
{
    MDL_TRY(MDL_NEW(1, "dataset", out));
    mdl_dataset *set = *out;
    *set = *from;
    set->borrowed = true;
    set->labels = NULL;
    set->class_names = NULL;
    set->damage = NULL;
    set->parts = NULL;
    MDL_TRY(MDL_NEW(mdl_max_size(from->count, 1), "labels", &set->labels));
    memcpy(set->labels, from->labels, from->count * sizeof(*set->labels));
    if (from->n_parts > 0) {
        MDL_TRY(MDL_NEW(from->n_parts, "corruptions", &set->parts));
        memcpy(set->parts, from->parts, from->n_parts * sizeof(*set->parts));
    }
    return copy_names(names, from->classes, set);
}

mdl_status mdl_data_view(const mdl_data *from, const mdl_data_config *config, mdl_data **out)
{
    mdl_data_config own = *config;
    mdl_dataset *train = NULL, *validation = NULL, *test = NULL;
    mdl_status status = MDL_OK;
    *out = NULL;
    memcpy(own.source, from->config.source, sizeof(own.source));
    if (from->train != NULL && !config->test_only)
        status = share(from->train, from->class_names, &train);
    if (status == MDL_OK && train != NULL && from->validation != NULL &&
        config->validation == MDL_VALIDATION_OWN)
        status = share(from->validation, NULL, &validation);
    if (status == MDL_OK)
        status = share(from->test, train == NULL ? from->class_names : NULL, &test);
    /* What was measured on images that are left alone here still holds. */
    if (status == MDL_OK)
        return mdl_data_of_sets(&own, train, validation, test, out);
    mdl_dataset_free(train);
    mdl_dataset_free(validation);
    mdl_dataset_free(test);
    return status;
}
