/* Where a model errs, as JSON; the format is in docs/formats.md. */
#include <math.h>
#include <stdlib.h>

#include <jansson.h>

#include "stats/stats.h"
#include "train/train_internal.h"

/* ---- by class ------------------------------------------------------------------------------- */

typedef struct rate { /* with its 95 % interval; all NAN where there is nothing to divide by */
    double value;
    mdl_interval interval;
} rate;

static rate part_of(size_t right, size_t all)
{
    rate none = {(double)NAN, {(double)NAN, (double)NAN}};
    return all > 0 ? (rate){(double)right / (double)all, mdl_stat_wilson(right, all)} : none;
}

/* 2 TP / (2 TP + FP + FN) = 2 J / (1 + J), where J = TP / (TP + FP + FN). */
static rate f1_of(const mdl_class_errors *c)
{
    size_t either = c->images + c->called - c->right;
    rate out = part_of(c->right, either);
    if (either > 0)
        out.interval = mdl_stat_f1(c->right, either);
    out.value = 2 * out.value / (1 + out.value);
    return out;
}

static void set_rate(json_t **object, const char *name, rate r)
{
    char low[32], high[32];
    snprintf(low, sizeof(low), "%s_low", name);
    snprintf(high, sizeof(high), "%s_high", name);
    mdl_json_set(object, name, mdl_json_pack("f", r.value));
    mdl_json_set(object, low, mdl_json_pack("f", r.interval.low));
    mdl_json_set(object, high, mdl_json_pack("f", r.interval.high));
}

typedef struct class_names { /* of classes */
    char *const *text;       /* [count]; each, and all of them, may be NULL */
    size_t count;
} class_names;

static const char *name_of(class_names names, size_t class_number)
{
    return names.text != NULL && class_number < names.count ? names.text[class_number] : NULL;
}

/* Classes that have images, or were taken for others'. */
static json_t *each_json(const mdl_errors *e, class_names names)
{
    json_t *list = mdl_json_pack("[]");
    for (size_t c = 0; c < e->classes; c++) {
        const mdl_class_errors *of = &e->of[c];
        if (of->images == 0 && of->called == 0)
            continue;
        json_t *one = mdl_json_pack("{s:I, s:s, s:I, s:I, s:I}", "class", (json_int_t)c, "name",
                                    name_of(names, c), "images", (json_int_t)of->images, "called",
                                    (json_int_t)of->called, "right", (json_int_t)of->right);
        set_rate(&one, "precision", part_of(of->right, of->called));
        set_rate(&one, "recall", part_of(of->right, of->images));
        set_rate(&one, "f1", f1_of(of));
        mdl_json_append(&list, one);
    }
    return list;
}

/* Means over the classes that have images; the precision of one that nothing was called is 0. */
static void set_means(json_t **object, const mdl_errors *e)
{
    double precision = 0, recall = 0, f1 = 0, n = 0;
    size_t fewest = SIZE_MAX, most = 0;
    for (size_t c = 0; c < e->classes; c++) {
        const mdl_class_errors *of = &e->of[c];
        if (of->images == 0)
            continue;
        n++;
        precision += of->called > 0 ? part_of(of->right, of->called).value : 0;
        recall += part_of(of->right, of->images).value;
        f1 += f1_of(of).value;
        fewest = mdl_min_size(fewest, of->images);
        most = mdl_max_size(most, of->images);
    }
    mdl_json_set(object, "macro_precision", mdl_json_pack("f", precision / n));
    mdl_json_set(object, "macro_recall", mdl_json_pack("f", recall / n));
    mdl_json_set(object, "macro_f1", mdl_json_pack("f", f1 / n));
    mdl_json_set(object, "fewest", mdl_json_pack("I", (json_int_t)fewest));
    mdl_json_set(object, "most", mdl_json_pack("I", (json_int_t)most));
}

/* ---- which are taken for which -------------------------------------------------------------- */

/* Rows: the class; columns: what its images were called. */
static json_t *confusion_json(const mdl_errors *e)
{
    json_t *rows = mdl_json_pack("[]");
    const mdl_confused *cell = e->cells, *end = e->cells + e->n_cells;
    if (e->classes > MDL_CONFUSION_CLASSES) {
        json_decref(rows);
        return mdl_json_pack("n");
    }
    for (size_t label = 0; label < e->classes; label++) {
        json_t *row = mdl_json_pack("[]");
        for (size_t called = 0; called < e->classes; called++) {
            bool is_next = cell < end && cell->label == label && cell->called == called;
            mdl_json_append(&row, mdl_json_pack("I", is_next ? (json_int_t)cell->images : 0));
            cell += is_next;
        }
        mdl_json_append(&rows, row);
    }
    return rows;
}

/* The most first; of equal ones by their place. */
static int compare_images(const void *a, const void *b)
{
    const mdl_confused *x = *(const mdl_confused *const *)a, *y = *(const mdl_confused *const *)b;
    if (x->images != y->images)
        return x->images > y->images ? -1 : 1;
    return (x > y) - (x < y);
}

static mdl_status set_confused(json_t **object, const mdl_errors *e)
{
    const mdl_confused **wrong;
    size_t n = 0;
    json_t *list = mdl_json_pack("[]");
    MDL_TRY(MDL_NEW(mdl_max_size(e->n_cells, 1), "confusions", &wrong));
    for (size_t i = 0; i < e->n_cells; i++)
        if (e->cells[i].label != e->cells[i].called)
            wrong[n++] = &e->cells[i];
    qsort(wrong, n, sizeof(*wrong), compare_images);
    for (size_t i = 0; i < mdl_min_size(n, MDL_CONFUSED_MOST); i++)
        mdl_json_append(&list,
                        mdl_json_pack("{s:I, s:I, s:I}", "label", (json_int_t)wrong[i]->label,
                                      "called", (json_int_t)wrong[i]->called, "images",
                                      (json_int_t)wrong[i]->images));
    mdl_free(wrong);
    mdl_json_set(object, "confused", list);
    return MDL_OK;
}

/* `ranked`: it is known which classes come behind the first. */
static mdl_status classes_json(const mdl_errors *e, class_names names, bool ranked, json_t **out)
{
    *out = mdl_json_pack("{s:I}", "count", (json_int_t)e->classes);
    if (ranked && e->classes > MDL_TOP_FEW)
        set_rate(out, "top5", part_of(e->among, e->images));
    set_means(out, e);
    mdl_json_set(out, "each", each_json(e, names));
    mdl_json_set(out, "confusion", confusion_json(e));
    return set_confused(out, e);
}

/* ---- mistakes ------------------------------------------------------------------------------- */

static mdl_status mistakes_json(const mdl_errors *e, const mdl_scores *s, const mdl_data *data,
                                mdl_split split, const int32_t *labels, json_t **out)
{
    const class_names names = {data->class_names, data->classes};
    *out = mdl_json_pack("[]");
    for (size_t i = 0; i < e->n_mistakes; i++) {
        uint32_t at = e->mistakes[i];
        const mdl_answer *answer = &s->answers[at];
        char *image = NULL;
        if (i < MDL_THUMBNAILS_MOST)
            MDL_TRY(mdl_data_thumbnail(data, split, at, MDL_THUMBNAIL_SIDE, &image));
        mdl_json_append(
            out, mdl_json_pack("{s:I, s:I, s:s, s:I, s:s, s:f, s:f, s:s}", "index",
                               (json_int_t)data->index[split][at], "label", (json_int_t)labels[at],
                               "label_name", name_of(names, (size_t)labels[at]), "called",
                               (json_int_t)answer->called, "called_name",
                               name_of(names, answer->called), "probability", answer->probability,
                               "label_probability", answer->rights, "image", image));
        mdl_free(image);
    }
    return MDL_OK;
}

mdl_status mdl_errors_json(const mdl_scores *scores, const mdl_data *data, mdl_split split,
                           size_t mistakes, json_t **out)
{
    int32_t *labels;
    mdl_errors errors = {0};
    json_t *classes = NULL, *list = NULL;
    *out = mdl_json_pack("{}");
    MDL_TRY(MDL_NEW(scores->count, "labels", &labels));
    mdl_data_labels(data, split, labels);
    mdl_status status = mdl_errors_find(scores, labels, mistakes, &errors);
    if (status == MDL_OK)
        status =
            classes_json(&errors, (class_names){data->class_names, data->classes}, true, &classes);
    if (status == MDL_OK && mistakes > 0)
        status = mistakes_json(&errors, scores, data, split, labels, &list);
    mdl_json_set(out, "classes", classes);
    if (mistakes > 0)
        mdl_json_set(out, "mistakes", list);
    mdl_errors_free(&errors);
    mdl_free(labels);
    return status;
}

/* ---- of a file of predictions --------------------------------------------------------------- */

static mdl_status find_errors(const mdl_predictions *p, mdl_answer *answers, int32_t *labels,
                              mdl_errors *out)
{
    const mdl_scores scores = {.count = p->count, .classes = p->classes, .answers = answers};
    for (size_t i = 0; i < p->count; i++) {
        answers[i].called = p->images[i].called;
        labels[i] = (int32_t)p->images[i].label;
    }
    return mdl_errors_find(&scores, labels, 0, out);
}

mdl_status mdl_predictions_json(const mdl_predictions *p, json_t **out)
{
    mdl_errors errors = {0};
    mdl_answer *answers;
    int32_t *labels = NULL;
    json_t *classes = NULL;
    *out = NULL;
    MDL_TRY(MDL_NEW(p->count, "answers", &answers));
    mdl_status status = MDL_NEW(p->count, "labels", &labels);
    if (status == MDL_OK)
        status = find_errors(p, answers, labels, &errors);
    if (status == MDL_OK)
        status = classes_json(&errors, (class_names){p->names, p->classes}, false, &classes);
    if (status == MDL_OK)
        *out = mdl_json_pack("{s:I, s:f, s:o}", "images", (json_int_t)p->count, "top1",
                             (double)p->right / (double)p->count, "classes", classes);
    else
        json_decref(classes);
    mdl_errors_free(&errors);
    mdl_free(labels);
    mdl_free(answers);
    return status;
}
