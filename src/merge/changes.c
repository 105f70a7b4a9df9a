/* Chosen changes: which elements of each parent's change are kept (TIES: Yadav et al. 2023, arXiv
 * 2306.01708; DARE: Yu et al. 2024, arXiv 2311.03099; Model Breadcrumbs: Davari & Belilovsky 2023,
 * arXiv 2312.06795; DELLA: Deep et al. 2024, arXiv 2406.11617; SCE: Wan et al. 2024, arXiv
 * 2408.07990), and what they add up to.  All is done piece by piece: what a piece depends on beside
 * its own numbers (a threshold, a divisor) was found before, by the same pieces. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "merge/formula.h"

/* ---- the k-th largest ----------------------------------------------------------------------- */

/* The bits of a magnitude, which are ordered as the magnitudes are. */
static uint32_t bits_of(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof(bits));
    return bits & UINT32_C(0x7FFFFFFF);
}

static float float_of(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof(x));
    return x;
}

void mdl__select_begin(mdl__select *select, uint64_t rank, uint64_t *bins)
{
    *select = (mdl__select){.rank = rank, .bins = bins};
    memset(bins, 0, MDL__BINS * sizeof(*bins));
}

void mdl__select_add(mdl__select *select, const float *x, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t bits = bits_of(x[i]);
        if (!select->second)
            select->bins[bits >> 16]++;
        else if (bits >> 16 == select->upper)
            select->bins[bits & 0xFFFF]++;
    }
}

void mdl__select_next(mdl__select *select)
{
    uint32_t bin = MDL__BINS;
    while (bin > 0 && select->before < select->rank)
        select->before += select->bins[--bin];
    if (select->rank == 0 || select->before < select->rank) {
        select->least = select->rank == 0 ? INFINITY : 0;
        select->upper = MDL__BINS; /* no number has it */
        select->second = true;
        return;
    }
    select->before -= select->bins[bin];
    if (select->second) {
        select->least = float_of(select->upper << 16 | bin);
        return;
    }
    select->upper = bin;
    select->second = true;
    memset(select->bins, 0, MDL__BINS * sizeof(*select->bins));
}

/* ---- choosing ------------------------------------------------------------------------------- */

void mdl__keep(const mdl__kept *kept, uint64_t first, float *change, size_t count)
{
    const double unit = 1.0 / 4294967296.0;
    bool draws = kept->chances != NULL || kept->chance < 1;
    if (kept->least > 0 || !isinf(kept->most))
        for (size_t i = 0; i < count; i++)
            if (!(fabsf(change[i]) >= kept->least && fabsf(change[i]) <= kept->most))
                change[i] = 0;
    for (size_t i = 0; draws && i < count; i++) {
        uint32_t words[4];
        double chance = kept->chances != NULL ? (double)kept->chances[i] : kept->chance;
        mdl_philox(kept->seed, kept->stream, first + i, words);
        if (!((double)words[0] * unit < chance))
            change[i] = 0;
        else if (kept->divides)
            change[i] = (float)((double)change[i] / chance);
    }
}

/* A magnitude in the upper half, the place in the lower: sorted, equal ones stay in order. */
static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

void mdl__rank_chances(const float *change, size_t count, size_t length, size_t stride,
                       double density, double epsilon, uint64_t *room, float *chances)
{
    double range = length > 1 ? 2 * epsilon / (double)(length - 1) : 0;
    double least = length > 1 ? density - epsilon : density;
    for (size_t block = 0; block < count; block += length * stride)
        for (size_t s = 0; s < stride; s++) {
            size_t at = block + s;
            for (size_t i = 0; i < length; i++)
                room[i] = (uint64_t)bits_of(change[at + i * stride]) << 32 | i;
            qsort(room, length, sizeof(*room), by_value);
            for (size_t rank = 0; rank < length; rank++)
                chances[at + (uint32_t)room[rank] * stride] = (float)(least + (double)rank * range);
        }
}

void mdl__variances(const float *const *change, size_t n, size_t count, float *out)
{
    for (size_t i = 0; i < count; i++) {
        double sum = 0, squares = 0;
        for (size_t v = 0; v < n; v++)
            sum += (double)change[v][i];
        for (size_t v = 0; v < n; v++) {
            double from_mean = (double)change[v][i] - sum / (double)n;
            squares += from_mean * from_mean;
        }
        out[i] = (float)(squares / (double)n);
    }
}

/* ---- adding up ------------------------------------------------------------------------------ */

/* Section 3 of TIES: the sign with more mass is elected, and those that have it are averaged. */
static double elected(const double *value, double mass, const mdl__given *g)
{
    double sum = 0, count = 0;
    for (size_t v = 0; v < g->n; v++)
        if (value[v] * mass > 0) {
            sum += value[v];
            count += g->weight[v];
        }
    return g->normalize && count != 0 ? sum / count : sum;
}

void mdl__add_changes(const mdl__given *g, const double *divisor, mdl__elect elect,
                      const float *const *change, const float *base, size_t count, float *out)
{
    double value[MDL__PARENTS_MOST], all = 0;
    for (size_t v = 0; v < g->n; v++)
        all += g->weight[v];
    for (size_t i = 0; i < count; i++) {
        double sum = 0, plain = 0;
        for (size_t v = 0; v < g->n; v++) {
            double kept = (double)change[v][i] / divisor[v];
            value[v] = g->weight[v] * kept;
            sum += value[v];
            plain += kept;
        }
        if (elect != MDL__ELECT_ALL)
            sum = elected(value, elect == MDL__ELECT_PLAIN ? plain : sum, g);
        else if (g->normalize)
            sum /= all;
        out[i] = (float)((base != NULL ? (double)base[i] : 0) + g->scale * sum);
    }
}
