/* MAP-Elites (Mouret & Clune 2015, arXiv 1504.04909) as the M2N2 paper uses it: a grid over the
 * accuracy on odd and on even classes; a child takes its cell where that is empty or worse. */
#include "merge/search.h"

#include <math.h>

static size_t grid_places(const mdl_merge_config *c)
{
    return c->cells * c->cells;
}

static size_t grid_batch(const mdl_merge_config *c)
{
    return c->batch;
}

static mdl_status grid_check(const mdl_merge_job *job)
{
    size_t cells = job->merge->cells;
    if (cells == 0 || cells > 256)
        return mdl_fail(MDL_CONFIG, "merge.cells is %zu, expected 1 to 256", cells);
    return MDL_OK;
}

static double quality(const mdl__member *m)
{
    return m->id != 0 ? m->top1 : 0;
}

/* By quality.  The published code draws the second from all where the qualities sum up to less
 * than 2, else without the first.  u: [0, 1). */
static size_t pick(const mdl__archive *a, size_t without, double u)
{
    double total = 0, sum = 0;
    size_t last = 0;
    for (size_t i = 0; i < a->places; i++)
        total += i == without ? 0 : quality(&a->member[i]);
    for (size_t i = 0; i < a->places; i++) {
        if (i == without || a->member[i].id == 0)
            continue;
        last = i;
        sum += quality(&a->member[i]);
        if (u * total < sum)
            break;
    }
    return last;
}

static mdl_status grid_draw(mdl__search *s, mdl_rng *rng, uint64_t number, mdl__cross *cross)
{
    const mdl__archive *a = &s->archive;
    double total = 0;
    (void)number;
    for (size_t i = 0; i < a->places; i++)
        total += quality(&a->member[i]);
    size_t first = pick(a, a->places, mdl_rng_uniform(rng));
    size_t second = pick(a, total < 2 ? a->places : first, mdl_rng_uniform(rng));
    cross->parents[0] = a->member[first].id;
    cross->parents[1] = a->member[second].id;
    cross->of[0] = mdl__genome_of(s, first);
    cross->of[1] = mdl__genome_of(s, second);
    cross->ratio = mdl__draw_ratio(s->config, rng);
    cross->point = mdl__genome_draw_point(&s->context->genome, s->config->crossover_point, rng);
    return MDL_OK;
}

/* Row of the grid for an accuracy; 1 belongs to the last. */
static size_t row_of(double right, double all, size_t cells)
{
    double part = all > 0 ? right / all : 0;
    return mdl_min_size((size_t)floor(part * (double)cells), cells - 1);
}

/* The cell of the child in row K, by what it gets right. */
static size_t cell_of(const mdl__search *s)
{
    const mdl__archive *a = &s->archive;
    double right[2] = {0, 0}, all[2] = {0, 0};
    for (size_t j = 0; j < a->samples; j++) {
        size_t odd = (size_t)s->labels[j] % 2;
        all[odd]++;
        right[odd] += (double)a->scores[a->places][j];
    }
    size_t cells = s->config->cells;
    return row_of(right[1], all[1], cells) * cells + row_of(right[0], all[0], cells);
}

static size_t grid_admit(mdl__search *s)
{
    mdl__archive *a = &s->archive;
    size_t cell = cell_of(s);
    if (a->member[cell].id != 0 && a->member[a->places].top1 <= a->member[cell].top1)
        return a->places;
    mdl__archive_swap(a, cell);
    return cell;
}

const mdl__strategy mdl__strategy_map_elites = {
    .check = grid_check,
    .places = grid_places,
    .batch = grid_batch,
    .draw = grid_draw,
    .make = mdl__make_crossed,
    .admit = grid_admit,
};
