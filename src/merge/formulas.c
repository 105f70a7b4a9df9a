/* Combinations: merged = base + sum c[v] (parent[v] - base), and the table of all formulas.  What
 * the vectors look like from each other, their products, is all that the coefficients depend on, so
 * that vectors of any length are combined in two passes over them. */
#include <math.h>

#include "merge/formula.h"

/* ---- coefficients --------------------------------------------------------------------------- */

static double sum_of(const double *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += x[i];
    return sum;
}

/* The weighted mean. */
static void linear(const mdl__given *g, const double *dots, double *c)
{
    double sum = g->normalize ? sum_of(g->weight, g->n) : 1;
    (void)dots;
    for (size_t v = 0; v < g->n; v++)
        c[v] = g->weight[v] / sum;
}

/* Ilharco et al. 2023, arXiv 2212.04089: the weighted sum of changes, times lambda. */
static void task_arithmetic(const mdl__given *g, const double *dots, double *c)
{
    linear(g, dots, c);
    for (size_t v = 0; v < g->n; v++)
        c[v] *= g->scale;
}

/* <a,b> / (|a| |b|); 1 where one is zero. */
static double cosine(const double *dots, size_t n, size_t a, size_t b)
{
    double lengths = sqrt(dots[a * n + a]) * sqrt(dots[b * n + b]);
    return lengths > 0 ? fmin(fmax(dots[a * n + b] / lengths, -1), 1) : 1;
}

mdl__pair mdl__slerp(const double dots[3], double t)
{
    const double square[4] = {dots[0], dots[1], dots[1], dots[2]};
    double angle = acos(cosine(square, 2, 0, 1)), sine = sin(angle);
    if (sine < 1e-6)
        return (mdl__pair){1 - t, t};
    return (mdl__pair){sin((1 - t) * angle) / sine, sin(t * angle) / sine};
}

static void two(const double *dots, double ratio, double straight, double *c)
{
    const double three[3] = {dots[0], dots[1], dots[3]};
    mdl__pair pair = {1 - ratio, ratio};
    if (!(fabs(cosine(dots, 2, 0, 1)) > straight))
        pair = mdl__slerp(three, ratio);
    c[0] = pair.a;
    c[1] = pair.b;
}

/* Shoemake 1985. */
static void slerp(const mdl__given *g, const double *dots, double *c)
{
    two(dots, g->ratio, g->straight, c);
}

/* The same at the ratio that the weights have, never linear before it must be. */
static void nuslerp(const mdl__given *g, const double *dots, double *c)
{
    two(dots, g->weight[1] / (g->weight[0] + g->weight[1]), 1, c);
}

/* A point as coefficients `a` of the vectors' directions, whose products are the cosines. */
static double along(const double *dots, size_t n, const double *a, size_t v)
{
    double sum = 0;
    for (size_t w = 0; w < n; w++)
        sum += a[w] * (v == w ? 1 : cosine(dots, n, v, w));
    return sum;
}

static double length_of(const double *dots, size_t n, const double *a)
{
    double sum = 0;
    for (size_t v = 0; v < n; v++)
        sum += a[v] != 0 ? a[v] * along(dots, n, a, v) : 0;
    return sqrt(fmax(sum, 0));
}

static void to_sphere(const double *dots, size_t n, double *a)
{
    double length = length_of(dots, n, a);
    for (size_t v = 0; v < n && length > 0; v++)
        a[v] /= length;
}

/* One step to the Karcher mean (Karcher 1977) along the weighted mean of the logarithms; false, and
 * no step, where that is nearly nothing. */
static bool step(const double *dots, size_t n, const double *weight, double *a)
{
    static const double close = 1e-5;
    double t[MDL__PARENTS_MOST] = {0}, back = 0;
    for (size_t v = 0; v < n; v++) {
        double c = fmin(fmax(along(dots, n, a, v), -1), 1), angle = acos(c), sine = sin(angle);
        t[v] = weight[v] * (sine > 1e-12 ? angle / sine : 1);
        back += t[v] * c;
    }
    for (size_t v = 0; v < n; v++)
        t[v] -= back * a[v];
    double length = length_of(dots, n, t);
    if (length < close)
        return false;
    for (size_t v = 0; v < n; v++)
        a[v] = cos(length) * a[v] + sin(length) / length * t[v];
    to_sphere(dots, n, a);
    return true;
}

/* A point of the sphere that begins as the weighted mean of the directions and makes at most
 * `steps` steps to their Karcher mean.  A vector that is zero has no direction and takes no part.
 * The length is the weighted mean of the lengths. */
static void on_sphere(const mdl__given *g, const double *dots, size_t steps, double *c)
{
    double weight[MDL__PARENTS_MOST], a[MDL__PARENTS_MOST], length = 0;
    double sum = g->normalize ? sum_of(g->weight, g->n) : 1;
    for (size_t v = 0; v < g->n; v++) {
        double norm = sqrt(dots[v * g->n + v]);
        a[v] = weight[v] = norm > 0 ? g->weight[v] / sum : 0;
        length += weight[v] * norm;
    }
    to_sphere(dots, g->n, a);
    while (steps-- > 0 && step(dots, g->n, weight, a))
        ;
    for (size_t v = 0; v < g->n; v++)
        c[v] = weight[v] != 0 ? length * a[v] / sqrt(dots[v * g->n + v]) : 0;
}

/* mergekit's: the logarithms at the mean of the directions add up to nothing where they are not
 * scaled by their angles, so that it is that mean, with the mean of the lengths. */
static void multislerp(const mdl__given *g, const double *dots, double *c)
{
    on_sphere(g, dots, 0, c);
}

static void karcher(const mdl__given *g, const double *dots, double *c)
{
    on_sphere(g, dots, 10, c);
}

/* Jang, Yun & Han 2024, arXiv 2403.19522, section 4: the mean of the parents, drawn back to the
 * base by t = N cos / (1 + (N - 1) cos), where cos is the mean over pairs of changes. */
static void model_stock(const mdl__given *g, const double *dots, double *c)
{
    double n = (double)g->n, sum = 0;
    for (size_t v = 0; v < g->n; v++)
        for (size_t w = 0; w < v; w++)
            sum += cosine(dots, g->n, v, w);
    double cos_mean = g->n > 1 ? sum / (n * (n - 1) / 2) : 1;
    double t = n * cos_mean / (1 + (n - 1) * cos_mean);
    for (size_t v = 0; v < g->n; v++)
        c[v] = t / n;
}

/* ---- on numbers ----------------------------------------------------------------------------- */

enum { PIECE = 1024 }; /* elements whose sums lie in the nearest cache */

void mdl__add_dots(const float *const *x, size_t n, size_t count, double *dots)
{
    for (size_t begin = 0; begin < count; begin += PIECE) {
        size_t end = mdl_min_size(begin + PIECE, count);
        for (size_t v = 0; v < n; v++)
            for (size_t w = 0; w <= v; w++) {
                double sum[4] = {0}; /* several, so that a processor need not wait for each */
                size_t i = begin;
                for (; i + 4 <= end; i += 4)
                    for (size_t k = 0; k < 4; k++)
                        sum[k] += (double)x[v][i + k] * (double)x[w][i + k];
                for (; i < end; i++)
                    sum[0] += (double)x[v][i] * (double)x[w][i];
                dots[v * n + w] += (sum[0] + sum[1]) + (sum[2] + sum[3]);
            }
    }
    for (size_t v = 0; v < n; v++)
        for (size_t w = 0; w < v; w++)
            dots[w * n + v] = dots[v * n + w];
}

void mdl__combine(const float *const *x, size_t n, const double *c, const float *base, size_t count,
                  float *out)
{
    double sum[PIECE];
    for (size_t begin = 0; begin < count; begin += PIECE) {
        size_t length = mdl_min_size(PIECE, count - begin);
        for (size_t i = 0; i < length; i++)
            sum[i] = base != NULL ? (double)base[begin + i] : 0;
        for (size_t v = 0; v < n; v++)
            for (size_t i = 0; i < length; i++)
                sum[i] += c[v] * (double)x[v][begin + i];
        for (size_t i = 0; i < length; i++)
            out[begin + i] = (float)sum[i];
    }
}

/* ---- the formulas --------------------------------------------------------------------------- */

const mdl__formula mdl__formula_linear = {
    .combine = linear, .normalize = true, .varies = MDL__VARY_WEIGHTS};
const mdl__formula mdl__formula_task_arithmetic = {
    .base = MDL__BASE_NEEDED, .combine = task_arithmetic, .varies = MDL__VARY_WEIGHTS};
const mdl__formula mdl__formula_slerp = {
    .combine = slerp, .needs_dots = true, .least = 2, .most = 2, .varies = MDL__VARY_RATIO};
const mdl__formula mdl__formula_nuslerp = {.base = MDL__BASE_OPTIONAL,
                                           .combine = nuslerp,
                                           .needs_dots = true,
                                           .least = 2,
                                           .most = 2,
                                           .varies = MDL__VARY_WEIGHTS};
const mdl__formula mdl__formula_multislerp = {.base = MDL__BASE_OPTIONAL,
                                              .combine = multislerp,
                                              .needs_dots = true,
                                              .normalize = true,
                                              .varies = MDL__VARY_WEIGHTS};
const mdl__formula mdl__formula_karcher = {
    .combine = karcher, .needs_dots = true, .normalize = true, .varies = MDL__VARY_WEIGHTS};
const mdl__formula mdl__formula_model_stock = {
    .base = MDL__BASE_NEEDED, .combine = model_stock, .needs_dots = true, .least = 2};
const mdl__formula mdl__formula_ties = {.base = MDL__BASE_NEEDED,
                                        .choice = MDL__CHOOSE_LARGEST,
                                        .elect = MDL__ELECT_WEIGHTED,
                                        .normalize = true,
                                        .varies = MDL__VARY_WEIGHTS | MDL__VARY_DENSITY};
const mdl__formula mdl__formula_dare = {.base = MDL__BASE_NEEDED,
                                        .choice = MDL__CHOOSE_AT_RANDOM,
                                        .rescale = MDL_RESCALE_DENSITY,
                                        .varies = MDL__VARY_WEIGHTS | MDL__VARY_DENSITY};
const mdl__formula mdl__formula_dare_ties = {.base = MDL__BASE_NEEDED,
                                             .choice = MDL__CHOOSE_AT_RANDOM,
                                             .elect = MDL__ELECT_WEIGHTED,
                                             .rescale = MDL_RESCALE_DENSITY,
                                             .varies = MDL__VARY_WEIGHTS | MDL__VARY_DENSITY};
const mdl__formula mdl__formula_breadcrumbs = {.base = MDL__BASE_NEEDED,
                                               .choice = MDL__CHOOSE_MIDDLE,
                                               .varies = MDL__VARY_WEIGHTS | MDL__VARY_DENSITY};
const mdl__formula mdl__formula_breadcrumbs_ties = {.base = MDL__BASE_NEEDED,
                                                    .choice = MDL__CHOOSE_MIDDLE,
                                                    .elect = MDL__ELECT_WEIGHTED,
                                                    .varies =
                                                        MDL__VARY_WEIGHTS | MDL__VARY_DENSITY};
const mdl__formula mdl__formula_della = {.base = MDL__BASE_NEEDED,
                                         .choice = MDL__CHOOSE_BY_RANK,
                                         .elect = MDL__ELECT_WEIGHTED,
                                         .normalize = true,
                                         .rescale = MDL_RESCALE_DENSITY};
const mdl__formula mdl__formula_della_linear = {
    .base = MDL__BASE_NEEDED, .choice = MDL__CHOOSE_BY_RANK, .rescale = MDL_RESCALE_DENSITY};
const mdl__formula mdl__formula_sce = {.base = MDL__BASE_NEEDED,
                                       .choice = MDL__CHOOSE_BY_VARIANCE,
                                       .elect = MDL__ELECT_PLAIN,
                                       .normalize = true};
