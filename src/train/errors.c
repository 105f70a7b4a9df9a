/* Where a model errs, counted from its answers. */
#include <stdlib.h>
#include <string.h>

#include "train/train_internal.h"

/* ---- the confusion matrix ------------------------------------------------------------------- */

static int compare_cells(const void *a, const void *b)
{
    const mdl_confused *x = a, *y = b;
    if (x->label != y->label)
        return x->label < y->label ? -1 : 1;
    return (x->called > y->called) - (x->called < y->called);
}

/* A cell for each image, sorted, and equal ones made one: no more memory than the images take,
 * however many classes there are. */
static mdl_status count_cells(const mdl_scores *s, const int32_t *labels, mdl_errors *out)
{
    MDL_TRY(MDL_NEW(s->count, "confusions", &out->cells));
    for (size_t i = 0; i < s->count; i++)
        out->cells[i] = (mdl_confused){(uint32_t)labels[i], s->answers[i].called, 1};
    qsort(out->cells, s->count, sizeof(*out->cells), compare_cells);
    for (size_t i = 0; i < s->count; i++) {
        mdl_confused *last = out->n_cells > 0 ? &out->cells[out->n_cells - 1] : NULL;
        if (last != NULL && compare_cells(last, &out->cells[i]) == 0)
            last->images++;
        else
            out->cells[out->n_cells++] = out->cells[i];
    }
    return MDL_OK;
}

static mdl_status count_classes(mdl_errors *out)
{
    MDL_TRY(MDL_NEW(out->classes, "classes", &out->of));
    for (size_t i = 0; i < out->n_cells; i++) {
        const mdl_confused *cell = &out->cells[i];
        bool right = cell->label == cell->called;
        out->of[cell->label].images += cell->images;
        out->of[cell->called].called += cell->images;
        out->of[cell->label].right += right ? cell->images : 0;
        out->right += right ? cell->images : 0;
    }
    return MDL_OK;
}

/* ---- mistakes ------------------------------------------------------------------------------- */

/* Whether the mistake at position x comes before that at y. */
static bool is_surer(const mdl_scores *s, uint32_t x, uint32_t y)
{
    double a = s->answers[x].probability, b = s->answers[y].probability;
    return a > b || (a == b && x < y);
}

/* Let the mistake at place i of a heap, whose top is the least sure one, sink to where it belongs.
 */
static void sink(const mdl_scores *s, uint32_t *heap, size_t n, size_t i)
{
    for (size_t child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && is_surer(s, heap[child], heap[child + 1]))
            child++;
        if (!is_surer(s, heap[i], heap[child]))
            return;
        uint32_t other = heap[i];
        heap[i] = heap[child];
        heap[child] = other;
    }
}

static mdl_status find_mistakes(const mdl_scores *s, const int32_t *labels, size_t most,
                                mdl_errors *out)
{
    size_t n = 0, wrong = s->count - out->right;
    most = mdl_min_size(most, wrong);
    MDL_TRY(MDL_NEW(mdl_max_size(most, 1), "mistakes", &out->mistakes));
    uint32_t *heap = out->mistakes;
    for (uint32_t i = 0; i < s->count && most > 0; i++) {
        if (s->answers[i].called == (uint32_t)labels[i])
            continue;
        if (n < most) {
            heap[n++] = i;
            for (size_t k = n == most ? n / 2 : 0; k-- > 0;) /* now it becomes a heap */
                sink(s, heap, n, k);
        } else if (is_surer(s, i, heap[0])) {
            heap[0] = i;
            sink(s, heap, n, 0);
        }
    }
    for (size_t rest = n; rest > 1; rest--) { /* the least sure goes to the end */
        uint32_t least = heap[0];
        heap[0] = heap[rest - 1];
        heap[rest - 1] = least;
        sink(s, heap, rest - 1, 0);
    }
    out->n_mistakes = n;
    return MDL_OK;
}

mdl_status mdl_errors_find(const mdl_scores *scores, const int32_t *labels, size_t mistakes,
                           mdl_errors *out)
{
    *out = (mdl_errors){.images = scores->count, .classes = scores->classes};
    if (scores->answers == NULL)
        return mdl_fail(MDL_INVALID, "the answers of an evaluation were not kept");
    mdl_status status = count_cells(scores, labels, out);
    if (status == MDL_OK)
        status = count_classes(out);
    if (status == MDL_OK)
        status = find_mistakes(scores, labels, mistakes, out);
    for (size_t i = 0; i < scores->count; i++)
        out->among += scores->answers[i].above < MDL_TOP_FEW;
    if (status != MDL_OK)
        mdl_errors_free(out);
    return status;
}

void mdl_errors_free(mdl_errors *errors)
{
    mdl_free(errors->of);
    mdl_free(errors->cells);
    mdl_free(errors->mistakes);
    memset(errors, 0, sizeof(*errors));
}
