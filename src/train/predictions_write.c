/* The predictions of a checkpoint as CSV. */
#include <string.h>

#include "train/predictions.h"

/* A class by its name, in quotation marks where CSV needs them; nothing for outputs that no class
 * of the data uses. */
static mdl_status write_name(const mdl_data *data, size_t class_number, mdl_atomic_file *file)
{
    char *name;
    if (class_number >= data->classes)
        return mdl_atomic_printf(file, ",");
    MDL_TRY(mdl_text_escaped(data->class_names[class_number], MDL_TEXT_VISIBLE, &name));
    bool quoted = strpbrk(name, ",\" ") != NULL;
    mdl_status status = mdl_atomic_printf(file, quoted ? ",\"" : ",");
    for (const char *at = name; *at != '\0' && status == MDL_OK; at++)
        status = mdl_atomic_printf(file, *at == '"' ? "\"\"" : "%c", *at);
    if (status == MDL_OK && quoted)
        status = mdl_atomic_printf(file, "\"");
    mdl_free(name);
    return status;
}

/* index, label, predicted class, raw logits with as many digits as tell all numbers apart, and the
 * names of the two classes where they are known. */
static mdl_status write_rows(const mdl_data *data, mdl_split split, const mdl_scores *s, bool wide,
                             const int32_t *labels, mdl_atomic_file *file)
{
    int digits = wide ? 17 : 9;
    bool names = data->class_names != NULL;
    MDL_TRY(mdl_atomic_printf(file, "index,label,predicted"));
    for (size_t c = 0; c < s->classes; c++)
        MDL_TRY(mdl_atomic_printf(file, ",logit_%zu", c));
    if (names)
        MDL_TRY(mdl_atomic_printf(file, ",label_name,predicted_name"));
    for (size_t i = 0; i < s->count; i++) {
        const double *logits = s->logits + i * s->classes;
        size_t best = 0;
        for (size_t c = 1; c < s->classes; c++)
            best = logits[c] > logits[best] ? c : best;
        MDL_TRY(mdl_atomic_printf(file, "\n%u,%d,%zu", data->index[split][i], labels[i], best));
        for (size_t c = 0; c < s->classes; c++)
            MDL_TRY(mdl_atomic_printf(file, ",%.*g", digits, logits[c]));
        if (names)
            MDL_TRY(write_name(data, (size_t)labels[i], file));
        if (names)
            MDL_TRY(write_name(data, best, file));
    }
    return mdl_atomic_printf(file, "\n");
}

mdl_status mdl_predictions_write(const char *path, const mdl_data *data, mdl_split split,
                                 const mdl_scores *scores, bool wide)
{
    mdl_atomic_file *file = NULL;
    int32_t *labels;
    MDL_TRY(MDL_NEW(scores->count, "labels", &labels));
    mdl_data_labels(data, split, labels);
    mdl_status status = mdl_atomic_open(path, &file);
    if (status == MDL_OK)
        status = write_rows(data, split, scores, wide, labels, file);
    mdl_free(labels);
    if (status == MDL_OK)
        return mdl_atomic_commit(file);
    mdl_atomic_abort(file);
    return status;
}
