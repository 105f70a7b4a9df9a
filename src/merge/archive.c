/* The archive of M2N2 (arXiv 2508.16204, section 3): competition for the fitness samples, choice of
 * parents, replacement.  Numbers on the host only; it knows nothing of weights. */
#include "merge/archive.h"

#include <math.h>
#include <string.h>

mdl_status mdl__archive_create(size_t places, size_t samples, double alpha, mdl__archive *out)
{
    size_t rows = places + 1;
    memset(out, 0, sizeof(*out));
    out->places = places;
    out->samples = samples;
    out->alpha = alpha;
    out->binary = true;
    MDL_TRY(MDL_NEW(rows, "archive", &out->member));
    MDL_TRY(MDL_NEW(rows, "archive", &out->scores));
    MDL_TRY(mdl_alloc(rows, samples * sizeof(float), "scores", (void **)&out->memory));
    MDL_TRY(MDL_NEW(samples, "sums of scores", &out->z));
    MDL_TRY(MDL_NEW(samples, "weights of samples", &out->weight));
    MDL_TRY(MDL_NEW(rows, "fitness", &out->fitness));
    MDL_TRY(MDL_NEW(rows, "attraction", &out->attraction));
    for (size_t i = 0; i < rows; i++)
        out->scores[i] = out->memory + i * samples;
    return MDL_OK;
}

void mdl__archive_destroy(mdl__archive *a)
{
    mdl_free(a->member);
    mdl_free(a->scores);
    mdl_free(a->memory);
    mdl_free(a->z);
    mdl_free(a->weight);
    mdl_free(a->fitness);
    mdl_free(a->attraction);
    memset(a, 0, sizeof(*a));
}

/* sum_j max(0, s_j - base_j) * weight_j, base 0 where NULL.  Eight partial sums in a fixed order:
 * they need not wait for each other. */
static double weighted_sum(const float *s, const float *base, const double *weight, size_t n)
{
    enum { LANES = 8 };
    double sum[LANES] = {0};
    size_t whole = n - n % LANES, j = 0;
    if (base != NULL) {
        for (; j < whole; j += LANES)
            for (size_t l = 0; l < LANES; l++) {
                double d = (double)s[j + l] - (double)base[j + l];
                sum[l] += (d > 0 ? d : 0) * weight[j + l];
            }
        for (; j < n; j++)
            sum[0] += fmax((double)s[j] - (double)base[j], 0) * weight[j];
    } else {
        for (; j < whole; j += LANES)
            for (size_t l = 0; l < LANES; l++)
                sum[l] += (double)s[j + l] * weight[j + l];
        for (; j < n; j++)
            sum[0] += (double)s[j] * weight[j];
    }
    double total = 0;
    for (size_t l = 0; l < LANES; l++)
        total += sum[l];
    return total;
}

/* z^alpha, of a sample that somebody gets right or nobody. */
static double crowd(const mdl__archive *a, double z)
{
    z = z == 0 ? 1 : z;
    return a->alpha == 1 ? z : pow(z, a->alpha); /* pow is slow, and exact for 1 anyway */
}

void mdl__archive_rate(mdl__archive *a, size_t rows)
{
    memset(a->z, 0, a->samples * sizeof(*a->z));
    for (size_t i = 0; i < rows; i++)
        if (a->member[i].id != 0)
            for (size_t j = 0; j < a->samples; j++)
                a->z[j] += (double)a->scores[i][j];
    for (size_t j = 0; j < a->samples; j++)
        a->weight[j] = 1 / crowd(a, a->z[j]);
    for (size_t j = 0; j < a->samples && a->best_capacity; j++) {
        float best = 0;
        for (size_t i = 0; i < rows; i++)
            if (a->member[i].id != 0 && a->scores[i][j] > best)
                best = a->scores[i][j];
        a->weight[j] *= (double)best;
    }
    for (size_t i = 0; i < rows; i++)
        a->fitness[i] =
            a->member[i].id != 0 ? weighted_sum(a->scores[i], NULL, a->weight, a->samples) : 0;
    a->rated = rows;
}

/* ---- early abandoning ----------------------------------------------------------------------- */

/* How far the child may be ahead of member i at most. */
static double largest_lead(const mdl__archive *a, size_t i, const float *scores,
                           const double *share)
{
    const float *s = a->scores[i];
    double lead = 0;
#pragma omp simd reduction(+ : lead)
    for (size_t j = 0; j < a->samples; j++)
        lead += ((double)scores[j] - (double)s[j]) * share[j];
    return lead;
}

/* The child goes if it is less fit than each member i of the K + 1, that is if
 *     sum_j (s_cj - s_ij) C_j / (z_j + s_cj)^alpha < 0
 * where z is the sum over the K and C_j <= 1.  For a sample that is not yet known the term is at
 * most (1 - s_ij) / (z_j + 1)^alpha, as if s_cj were 1: with s_cj in {0, 1} by inspection, and for
 * s_cj in between because with alpha <= 1 and z_j >= s_ij it grows with s_cj.  Rounding is left a
 * margin. */
bool mdl__archive_cannot_enter(mdl__archive *a, const float *scores, double *room)
{
    size_t k = a->places, least = 0;
    if (a->alpha > 1 && !a->binary)
        return false;
    for (size_t i = 0; i < k; i++)
        if (a->member[i].id == 0)
            return false; /* there is a place for any child */
    if (a->rated != k)
        mdl__archive_rate(a, k);
    for (size_t j = 0; j < a->samples; j++) {
        double s = (double)scores[j], z = a->z[j] + s, capacity = 1;
        if (a->best_capacity) /* weight * z^alpha is that of the K */
            capacity = fmax(a->weight[j] * crowd(a, a->z[j]), s);
        room[j] = capacity / crowd(a, z);
    }
    double margin = 1e-9 * (double)a->samples;
    for (size_t i = 1; i < k; i++)
        least = a->fitness[i] < a->fitness[least] ? i : least;
    if (largest_lead(a, least, scores, room) >= -margin) /* the most likely to be beaten */
        return false;
    for (size_t i = 0; i < k; i++)
        if (largest_lead(a, i, scores, room) >= -margin)
            return false;
    return true;
}

/* A child may be ahead only where others fail, so there its bound falls fastest. */
void mdl__archive_hardest_first(mdl__archive *a, uint32_t *order)
{
    size_t n = 0;
    if (a->rated != a->places)
        mdl__archive_rate(a, a->places);
    for (size_t right = 0; right <= a->places; right++)
        for (size_t j = 0; j < a->samples; j++)
            if ((size_t)a->z[j] == right)
                order[n++] = (uint32_t)j;
}

/* The place that `u` falls on where place i has a part of values[i]; K where all are 0. */
static size_t draw(const double *values, size_t n, double u)
{
    double total = 0, sum = 0;
    size_t last = n;
    for (size_t i = 0; i < n; i++)
        total += values[i];
    for (size_t i = 0; i < n; i++) {
        if (values[i] <= 0)
            continue;
        sum += values[i];
        last = i;
        if (u * total < sum)
            return i;
    }
    return last; /* u * total was rounded up to the sum */
}

size_t mdl__archive_first(const mdl__archive *a, double u)
{
    size_t place = draw(a->fitness, a->places, u);
    if (place < a->places)
        return place;
    /* Nobody gets anything right: any member, with the same probability. */
    size_t members = 0, which;
    for (size_t i = 0; i < a->places; i++)
        members += a->member[i].id != 0;
    which = (size_t)(u * (double)members);
    for (size_t i = 0; i < a->places; i++)
        if (a->member[i].id != 0 && which-- == 0)
            return i;
    return 0;
}

size_t mdl__archive_second(mdl__archive *a, size_t first, double u)
{
    for (size_t i = 0; i < a->places; i++)
        a->attraction[i] = a->member[i].id != 0
                               ? weighted_sum(a->scores[i], a->scores[first], a->weight, a->samples)
                               : 0;
    size_t place = draw(a->attraction, a->places, u);
    return place < a->places ? place : mdl__archive_first(a, u);
}

void mdl__archive_swap(mdl__archive *a, size_t place)
{
    size_t k = a->places;
    mdl__member member = a->member[k];
    float *scores = a->scores[k];
    a->member[k] = a->member[place];
    a->scores[k] = a->scores[place];
    a->member[place] = member;
    a->scores[place] = scores;
    a->rated = 0;
}

size_t mdl__archive_replace(mdl__archive *a)
{
    size_t least = a->places + 1, k = a->places;
    for (size_t i = 0; i < k && least > k; i++)
        if (a->member[i].id == 0)
            least = i;
    if (least > k) {
        mdl__archive_rate(a, k + 1);
        least = 0;
        for (size_t i = 1; i <= k; i++)
            if (a->fitness[i] < a->fitness[least])
                least = i;
    }
    mdl__archive_swap(a, least);
    return least;
}
