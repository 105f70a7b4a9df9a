/* The linear assignment problem, solved exactly in O(n^3): shortest augmenting paths with dual
 * prices, started by column reduction (Jonker & Volgenant 1987; the form without their second
 * phase as in Crouse 2016, "On implementing 2D rectangular assignment algorithms"). */
#include "merge/align_internal.h"

#include <math.h>
#include <string.h>

#define FREE ((size_t)-1)

typedef struct solver {
    const double *gain; /* [n, n]; the cost is its negative */
    size_t n;
    double *row_price, *column_price; /* cost - row - column >= 0, and 0 where matched */
    double *distance;                 /* [n], of each column from the row that is being matched */
    size_t *column_of, *row_of;       /* the matching; FREE */
    size_t *from;                     /* [n], row before a column on its shortest path */
    bool *done;                       /* [n], column whose distance is final */
} solver;

/* A column's least cost is its price; the row that has it takes it if it has none. */
static void reduce_columns(solver *s)
{
    for (size_t i = 0; i < s->n; i++)
        s->column_of[i] = s->row_of[i] = FREE;
    for (size_t j = 0; j < s->n; j++)
        s->column_price[j] = -s->gain[j];
    for (size_t i = 1; i < s->n; i++) {
        for (size_t j = 0; j < s->n; j++)
            s->column_price[j] = fmin(s->column_price[j], -s->gain[i * s->n + j]);
    }
    for (size_t i = 0; i < s->n; i++) {
        const double *gain = s->gain + i * s->n;
        for (size_t j = 0; j < s->n && s->column_of[i] == FREE; j++) {
            if (s->row_of[j] == FREE && -gain[j] == s->column_price[j]) {
                s->column_of[i] = j;
                s->row_of[j] = i;
            }
        }
    }
}

/* Dijkstra from a free row to the nearest free column, whose number it returns. */
static size_t nearest_free(solver *s, size_t row, double *length)
{
    double least = 0;
    for (size_t j = 0; j < s->n; j++)
        s->distance[j] = (double)INFINITY;
    memset(s->done, 0, s->n * sizeof(*s->done));
    for (;;) {
        const double *gain = s->gain + row * s->n;
        double base = least - s->row_price[row];
        size_t best = FREE;
        for (size_t j = 0; j < s->n; j++) {
            double through = base - gain[j] - s->column_price[j];
            if (s->done[j])
                continue;
            if (through < s->distance[j]) {
                s->distance[j] = through;
                s->from[j] = row;
            }
            if (best == FREE || s->distance[j] < s->distance[best] ||
                (s->distance[j] == s->distance[best] && s->row_of[j] == FREE))
                best = j;
        }
        least = s->distance[best];
        s->done[best] = true;
        if (s->row_of[best] == FREE) {
            *length = least;
            return best;
        }
        row = s->row_of[best];
    }
}

static void augment(solver *s, size_t start)
{
    double length = 0;
    size_t column = nearest_free(s, start, &length);
    s->row_price[start] += length;
    for (size_t j = 0; j < s->n; j++) {
        double closer = length - s->distance[j];
        if (!s->done[j] || j == column)
            continue;
        s->column_price[j] -= closer;
        s->row_price[s->row_of[j]] += closer;
    }
    for (;;) { /* along the path the columns change hands */
        size_t row = s->from[column], next = s->column_of[row];
        s->row_of[column] = row;
        s->column_of[row] = column;
        if (row == start)
            return;
        column = next;
    }
}

mdl_status mdl__assign(const double *gain, size_t n, uint32_t *match)
{
    solver s = {.gain = gain, .n = n};
    for (size_t i = 0; i < n * n; i++) {
        if (!isfinite(gain[i]))
            return mdl_fail(MDL_NUMERIC, "assignment: the gain of row %zu, column %zu is %g", i / n,
                            i % n, gain[i]);
    }
    mdl_status status = MDL_NEW(n + 1, "assignment", &s.row_price);
    if (status == MDL_OK)
        status = MDL_NEW(n + 1, "assignment", &s.column_price);
    if (status == MDL_OK)
        status = MDL_NEW(n + 1, "assignment", &s.distance);
    if (status == MDL_OK)
        status = MDL_NEW(n + 1, "assignment", &s.column_of);
    if (status == MDL_OK)
        status = MDL_NEW(n + 1, "assignment", &s.row_of);
    if (status == MDL_OK)
        status = MDL_NEW(n + 1, "assignment", &s.from);
    if (status == MDL_OK)
        status = MDL_NEW(n + 1, "assignment", &s.done);
    if (status == MDL_OK && n > 0) {
        reduce_columns(&s);
        for (size_t i = 0; i < n && status == MDL_OK; i++) {
            if (s.column_of[i] == FREE)
                augment(&s, i);
            status = mdl_stop_check();
        }
        for (size_t i = 0; i < n && status == MDL_OK; i++)
            match[i] = (uint32_t)s.column_of[i];
    }
    mdl_free(s.row_price);
    mdl_free(s.column_price);
    mdl_free(s.distance);
    mdl_free(s.column_of);
    mdl_free(s.row_of);
    mdl_free(s.from);
    mdl_free(s.done);
    return status;
}
