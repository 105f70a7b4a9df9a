/* Crossing of genomes on the device.  A genome is the parameter arena of a model, in forward order;
 * the statistics of its BatchNorms go with it.  All arithmetic is that of the ops DOTS, BLEND and
 * NOISE over tables of segments. */
#include "merge/genome.h"

#include <math.h>
#include <string.h>

/* ---- the table ------------------------------------------------------------------------------ */

static bool is_weight(mdl_role role)
{
    return role == MDL_ROLE_CONV || role == MDL_ROLE_POINTWISE || role == MDL_ROLE_DEPTHWISE ||
           role == MDL_ROLE_LINEAR;
}

/* The weight that stands before parameter p: its convolution or product. */
static size_t weight_before(const mdl_graph *graph, size_t p)
{
    while (p > 0 && !is_weight(mdl_graph_param_at(graph, p)->role))
        p--;
    return p;
}

/* The first weight of a block. */
static size_t weight_of_block(const mdl_graph *graph, int block)
{
    for (size_t p = 0; p < mdl_graph_param_count(graph); p++) {
        const mdl_param *param = mdl_graph_param_at(graph, p);
        if (param->block == block && is_weight(param->role))
            return p;
    }
    return MDL__COPIED;
}

/* Of a running statistic the weight before the BatchNorm that it belongs to, found by its gamma:
 * the same name up to the last dot.
 *
 * Start vectors follow the weight of their block.  All networks begin with the same ones, but
 * aligning permutes those of the second with the stream that they are added to, so they are as
 * little the first's as a permuted bias is: with them copied, the far end of the line would be
 * another network than the second. */
static mdl_status find_leader(const mdl_graph *graph, const mdl_param *buffer, size_t *leader)
{
    const char *dot = strrchr(buffer->name, '.');
    size_t stem = dot != NULL ? (size_t)(dot - buffer->name) + 1 : strlen(buffer->name);
    *leader = buffer->role == MDL_ROLE_START ? weight_of_block(graph, buffer->block) : MDL__COPIED;
    if (buffer->role != MDL_ROLE_MEAN && buffer->role != MDL_ROLE_VAR)
        return MDL_OK;
    for (size_t p = 0; p < mdl_graph_param_count(graph); p++) {
        const mdl_param *param = mdl_graph_param_at(graph, p);
        const char *last = strrchr(param->name, '.');
        size_t length = last != NULL ? (size_t)(last - param->name) + 1 : strlen(param->name);
        if (param->role == MDL_ROLE_GAMMA && length == stem &&
            memcmp(param->name, buffer->name, stem) == 0) {
            *leader = weight_before(graph, p);
            return MDL_OK;
        }
    }
    return mdl_fail(MDL_INVALID, "the statistic %s belongs to no BatchNorm of the model",
                    buffer->name);
}

static mdl_status fill_tables(mdl__genome *g, mdl__crossing crossing)
{
    for (size_t p = 0; p < g->n_params; p++) {
        const mdl_param *param = mdl_graph_param_at(g->graph, p);
        mdl_segment *last = p > 0 ? &g->regions[g->n_regions - 1] : NULL;
        g->start[p] = g->elements;
        g->elements += param->count;
        g->leader[p] = crossing == MDL__CROSS_WEIGHTS ? weight_before(g->graph, p) : p;
        if (last != NULL && last->offset + last->count == param->offset)
            last->count += param->count;
        else
            g->regions[g->n_regions++] = (mdl_segment){param->offset, param->count, 0, 0};
    }
    g->start[g->n_params] = g->elements;
    for (size_t b = 0; b < g->n_buffers; b++)
        MDL_TRY(find_leader(g->graph, mdl_graph_buffer_at(g->graph, b), &g->buffer_leader[b]));
    return MDL_OK;
}

mdl_status mdl__genome_create(const mdl_graph *graph, mdl_device *device, mdl__crossing crossing,
                              mdl__genome *g)
{
    memset(g, 0, sizeof(*g));
    g->device = device;
    g->graph = graph;
    g->straight = crossing == MDL__CROSS_STRAIGHT;
    g->n_params = mdl_graph_param_count(graph);
    g->n_buffers = mdl_graph_buffer_count(graph);
    g->params_size = mdl_graph_params_size(graph);
    g->buffers_size = mdl_graph_buffers_size(graph);
    size_t dots = 3 * (g->n_params + 1);
    MDL_TRY(MDL_NEW(g->n_params + 1, "genome table", &g->start));
    MDL_TRY(MDL_NEW(g->n_params, "genome table", &g->leader));
    MDL_TRY(MDL_NEW(g->n_buffers + 1, "genome table", &g->buffer_leader));
    MDL_TRY(MDL_NEW(g->n_params + g->n_buffers + 1, "genome segments", &g->segments));
    MDL_TRY(MDL_NEW(g->n_params, "genome regions", &g->regions));
    MDL_TRY(MDL_NEW(dots, "dot products", &g->dots));
    MDL_TRY(mdl_buffer_create(device, dots * sizeof(double), "dot products", &g->dots_buffer));
    return fill_tables(g, crossing);
}

void mdl__genome_destroy(mdl__genome *g)
{
    mdl_free(g->start);
    mdl_free(g->leader);
    mdl_free(g->buffer_leader);
    mdl_free(g->segments);
    mdl_free(g->regions);
    mdl_free(g->dots);
    mdl_buffer_destroy(g->dots_buffer);
    mdl_buffer_destroy(g->scratch.buffer);
    memset(g, 0, sizeof(*g));
}

size_t mdl__genome_draw_point(const mdl__genome *g, mdl_crossover_point kind, mdl_rng *rng)
{
    if (kind == MDL_CROSSOVER_NONE || g->n_params == 0)
        return g->elements;
    if (kind == MDL_CROSSOVER_FLAT)
        return (size_t)mdl_rng_below(rng, g->elements);
    /* The start of a tensor, or of a block: each as likely as the others, however large it is. */
    size_t blocks = 0;
    int block = 0;
    for (size_t pass = 0, pick = 0; pass < 2; pass++) {
        for (size_t p = 0, n = 0; p < g->n_params; p++) {
            int of = mdl_graph_param_at(g->graph, p)->block;
            if (kind == MDL_CROSSOVER_BLOCK && p > 0 && of == block)
                continue;
            block = of;
            if (pass == 1 && n == pick)
                return g->start[p];
            n++;
            blocks = n;
        }
        if (pass == 0)
            pick = (size_t)mdl_rng_below(rng, blocks);
    }
    return 0;
}

/* ---- crossing ------------------------------------------------------------------------------- */

/* Elements of parameter p that lie before the crossover point. */
static size_t before_point(const mdl__genome *g, size_t p, size_t point)
{
    if (point <= g->start[p])
        return 0;
    return mdl_min_size(point - g->start[p], g->start[p + 1] - g->start[p]);
}

/* Add a segment, or lengthen the last one where it goes on in the same way. */
static void put(mdl_segment *segments, size_t *n, size_t offset, size_t count, mdl__pair pair)
{
    mdl_segment *last = *n > 0 ? &segments[*n - 1] : NULL;
    if (count == 0)
        return;
    if (last != NULL && last->offset + last->count == offset && last->a == pair.a &&
        last->b == pair.b)
        last->count += count;
    else
        segments[(*n)++] = (mdl_segment){offset, count, pair.a, pair.b};
}

/* Dot products of the parts before and behind the crossover point, over what SLERP is applied to.
 */
static mdl_status part_dots(mdl__genome *g, const mdl_weights *a, const mdl_weights *b,
                            size_t point, double dots[2][3])
{
    size_t n = 0;
    memset(dots, 0, 6 * sizeof(double));
    for (size_t p = 0; p < g->n_params; p++) {
        size_t offset = mdl_graph_param_at(g->graph, p)->offset;
        size_t count = g->start[p + 1] - g->start[p], first = before_point(g, p, point);
        if (g->leader[p] != p)
            continue;
        put(g->segments, &n, offset, first, (mdl__pair){0, 0}); /* 0 and 1 tell the parts apart */
        put(g->segments, &n, offset + first, count - first, (mdl__pair){1, 1});
    }
    if (n == 0)
        return MDL_OK;
    mdl_attrs attrs = {.blend = {g->segments, n}};
    mdl_view in[2] = {mdl_buffer_view(a->params, 0, g->device->real, MDL_SHAPE1(g->params_size)),
                      mdl_buffer_view(b->params, 0, g->device->real, MDL_SHAPE1(g->params_size))};
    mdl_view out = mdl_buffer_view(g->dots_buffer, 0, MDL_F64, MDL_SHAPE1(3 * n));
    MDL_TRY(mdl_dispatch_now(g->device, &g->scratch, MDL_OP_DOTS, &attrs, in, 2, &out, 1));
    MDL_TRY(mdl_buffer_download(g->dots_buffer, 0, g->dots, 3 * n * sizeof(double)));
    for (size_t s = 0; s < n; s++)
        for (size_t k = 0; k < 3; k++)
            dots[g->segments[s].a > 0][k] += g->dots[3 * s + k];
    return MDL_OK;
}

static mdl_status blend(mdl__genome *g, size_t n_segments, size_t size, mdl_buffer *a,
                        mdl_buffer *b, mdl_buffer *out)
{
    if (n_segments == 0)
        return MDL_OK;
    mdl_attrs attrs = {.blend = {g->segments, n_segments}};
    mdl_view in[2] = {mdl_buffer_view(a, 0, g->device->real, MDL_SHAPE1(size)),
                      mdl_buffer_view(b, 0, g->device->real, MDL_SHAPE1(size))};
    mdl_view y = mdl_buffer_view(out, 0, g->device->real, MDL_SHAPE1(size));
    return mdl_dispatch_now(g->device, &g->scratch, MDL_OP_BLEND, &attrs, in, 2, &y, 1);
}

/* The ratio of a weight as a whole: where the crossover point cuts it, the mean over its elements.
 */
static mdl__pair linear_ratio(const mdl__genome *g, size_t leader, size_t point, double ratio)
{
    double count = (double)(g->start[leader + 1] - g->start[leader]);
    double first = (double)before_point(g, leader, point) / count;
    double t = first * ratio + (1 - first) * (1 - ratio);
    return (mdl__pair){1 - t, t};
}

mdl_status mdl__genome_cross(mdl__genome *g, mdl_angle angle, const mdl_weights *a,
                             const mdl_weights *b, size_t point, double ratio, mdl_weights *child)
{
    double dots[2][3] = {{0}}; /* of vectors that are zero SLERP is linear */
    size_t n = 0;
    if (!g->straight)
        MDL_TRY(part_dots(g, a, b, point, dots));
    if (angle == MDL_ANGLE_WHOLE)
        for (size_t k = 0; k < 3; k++)
            dots[0][k] = dots[1][k] = dots[0][k] + dots[1][k];
    mdl__pair parts[2] = {mdl__slerp(dots[0], ratio), mdl__slerp(dots[1], 1 - ratio)};

    for (size_t p = 0; p < g->n_params; p++) {
        size_t offset = mdl_graph_param_at(g->graph, p)->offset;
        size_t count = g->start[p + 1] - g->start[p], first = before_point(g, p, point);
        if (g->leader[p] == p) {
            put(g->segments, &n, offset, first, parts[0]);
            put(g->segments, &n, offset + first, count - first, parts[1]);
        } else {
            put(g->segments, &n, offset, count, linear_ratio(g, g->leader[p], point, ratio));
        }
    }
    MDL_TRY(blend(g, n, g->params_size, a->params, b->params, child->params));
    n = 0;
    for (size_t i = 0; i < g->n_buffers; i++) {
        const mdl_param *buffer = mdl_graph_buffer_at(g->graph, i);
        mdl__pair pair = g->buffer_leader[i] == MDL__COPIED
                             ? (mdl__pair){1, 0}
                             : linear_ratio(g, g->buffer_leader[i], point, ratio);
        put(g->segments, &n, buffer->offset, buffer->count, pair);
    }
    return blend(g, n, g->buffers_size, a->buffers, b->buffers, child->buffers);
}

mdl_status mdl__genome_mix(mdl__genome *g, const mdl_weights *a, double wa, const mdl_weights *b,
                           double wb, mdl_weights *out)
{
    size_t n = 0;
    put(g->segments, &n, 0, g->params_size, (mdl__pair){wa, wb});
    MDL_TRY(blend(g, n, g->params_size, a->params, b->params, out->params));
    n = 0;
    for (size_t i = 0; i < g->n_buffers; i++) {
        const mdl_param *buffer = mdl_graph_buffer_at(g->graph, i);
        mdl__pair pair =
            g->buffer_leader[i] == MDL__COPIED ? (mdl__pair){1, 0} : (mdl__pair){wa, wb};
        put(g->segments, &n, buffer->offset, buffer->count, pair);
    }
    return blend(g, n, g->buffers_size, a->buffers, b->buffers, out->buffers);
}

mdl_status mdl__genome_norm(mdl__genome *g, const mdl_weights *weights, double *squares)
{
    double dots[2][3];
    MDL_TRY(part_dots(g, weights, weights, g->elements, dots));
    *squares = dots[0][0];
    return MDL_OK;
}

mdl_status mdl__genome_mutate(mdl__genome *g, double std, uint64_t seed, uint64_t number,
                              mdl_weights *weights)
{
    size_t real = mdl_dtype_size(g->device->real);
    for (size_t r = 0; r < g->n_regions; r++) {
        mdl_shape shape = MDL_SHAPE1(g->regions[r].count);
        /* A sequence of its own for each child and region. */
        uint64_t stream = MDL_STREAM_MUTATE + (number << 16) + ((uint64_t)r << 48);
        mdl_attrs attrs = {.noise = {.std = std, .seed = seed, .stream = stream, .shape = shape}};
        mdl_view y =
            mdl_buffer_view(weights->params, g->regions[r].offset * real, g->device->real, shape);
        MDL_TRY(mdl_dispatch_now(g->device, &g->scratch, MDL_OP_NOISE, &attrs, NULL, 0, &y, 1));
    }
    return MDL_OK;
}
