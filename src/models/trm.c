/* The Tiny Recursive Model between features and classes (Jolicoeur-Martineau 2025, arXiv
 * 2510.04871, Algorithm 3): a two-block network that updates a latent z and an answer y, unrolled
 * into the graph.  It does not know where the features come from.
 *
 *   recursion:        n times z = net(x + y + z); then y = net(y + z)
 *   supervision step: t - 1 recursions without gradient, one with it; logits = head(y),
 *                     q = q_head(y); y and z go on detached
 *   net:              two blocks h = rms(h + mix(h)); h = rms(h + SwiGLU(h)) */
#include "models/models_internal.h"

#include <math.h>
#include <string.h>

enum { BLOCKS = 2, HEAD_CHANNELS = 32, HIDDEN_GRAIN = 256 };
static const double rms_eps = 1e-5, rope_theta = 10000.0, q_bias_start = -5.0;

typedef struct trm_block { /* weights; MDL_NONE where the variant has none */
    int mix_in, mix_out;   /* MLP: up and down over the tokens; attention: qkv and output */
    int up, down;
} trm_block;

typedef struct trm {
    mdl_builder *b;
    size_t tokens;   /* L; 1: states are [N, D] and nothing is mixed */
    size_t dim;      /* D */
    size_t features; /* F */
    mdl_shape state; /* of x, y and z: [N, D] or [N, L, D] */
    int embed;       /* weights */
    trm_block blocks[BLOCKS];
    int head, q_weight, q_bias, y0, z0;
} trm;

/* ---- weights -------------------------------------------------------------------------------- */

/* Width of a SwiGLU over d channels: 2/3 * 4 * d, rounded to an integer and then up to a multiple
 * of 256, as the published code does. */
static size_t swiglu_width(size_t d)
{
    return mdl_round_up((size_t)round((double)d * 4.0 * 2.0 / 3.0), HIDDEN_GRAIN);
}

/* A matrix without bias, truncated LeCun normal. */
static int matrix(const trm *m, const char *prefix, const char *name, size_t in, size_t out)
{
    return mdl__param(m->b, prefix, name, MDL_ROLE_LINEAR, MDL_SHAPE2(in, out),
                      MDL_INIT_TRUNCATED_NORMAL, 1.0 / sqrt((double)in));
}

static trm_block block_weights(const trm *m, size_t index)
{
    char prefix[32];
    snprintf(prefix, sizeof(prefix), "trm.blocks.%zu", index);
    trm_block block = {MDL_NONE, MDL_NONE, MDL_NONE, MDL_NONE};
    if (m->tokens > 1 && m->b->config->trm.mix == MDL_MIX_ATTENTION) {
        block.mix_in = matrix(m, prefix, "mix.qkv.weight", m->dim, 3 * m->dim);
        block.mix_out = matrix(m, prefix, "mix.out.weight", m->dim, m->dim);
    } else if (m->tokens > 1) {
        size_t width = swiglu_width(m->tokens);
        block.mix_in = matrix(m, prefix, "mix.up.weight", m->tokens, 2 * width);
        block.mix_out = matrix(m, prefix, "mix.down.weight", width, m->tokens);
    }
    size_t width = swiglu_width(m->dim);
    block.up = matrix(m, prefix, "mlp.up.weight", m->dim, 2 * width);
    block.down = matrix(m, prefix, "mlp.down.weight", width, m->dim);
    return block;
}

static void all_weights(trm *m)
{
    mdl_builder *b = m->b;
    mdl_shape start = MDL_SHAPE1(m->dim);
    mdl__next_block(b);
    m->y0 = mdl__param(b, "trm", "y0", MDL_ROLE_START, start, MDL_INIT_TRUNCATED_NORMAL, 1.0);
    m->z0 = mdl__param(b, "trm", "z0", MDL_ROLE_START, start, MDL_INIT_TRUNCATED_NORMAL, 1.0);
    m->embed = matrix(m, "trm", "embed.weight", m->features, m->dim);
    for (size_t i = 0; i < BLOCKS; i++) {
        mdl__next_block(b);
        m->blocks[i] = block_weights(m, i);
    }
    mdl__next_block(b);
    m->head = matrix(m, "trm", "head.weight", m->dim, b->config->classes);
    m->q_weight = mdl__param(b, "trm", "q_head.weight", MDL_ROLE_LINEAR, MDL_SHAPE2(m->dim, 1),
                             MDL_INIT_ZERO, 0.0);
    m->q_bias = mdl__param(b, "trm", "q_head.bias", MDL_ROLE_BIAS, MDL_SHAPE1(1), MDL_INIT_CONSTANT,
                           q_bias_start);
}

/* ---- the network ---------------------------------------------------------------------------- */

static int rms(const trm *m, int x)
{
    const mdl_attrs attrs = {.norm = {.eps = rms_eps}};
    return mdl_graph_op(m->b->graph, MDL_OP_RMS_NORM, &attrs, &x, 1, NULL);
}

/* h + down(SwiGLU(up(h))) */
static int add_swiglu(const trm *m, int h, int up, int down)
{
    int gated = mdl__product(m->b, h, up, MDL_NONE);
    gated = mdl_graph_op(m->b->graph, MDL_OP_SWIGLU, NULL, &gated, 1, NULL);
    return mdl__add(m->b, h, mdl__product(m->b, gated, down, MDL_NONE), 1.0);
}

static int transpose(const trm *m, int x)
{
    return mdl_graph_op(m->b->graph, MDL_OP_TRANSPOSE, NULL, &x, 1, NULL);
}

/* The published code transposes first, so that this RMSNorm runs over the tokens, not over D. */
static int mix_mlp(const trm *m, int h, const trm_block *block)
{
    int mixed = add_swiglu(m, transpose(m, h), block->mix_in, block->mix_out);
    return transpose(m, rms(m, mixed));
}

static int mix_attention(const trm *m, int h, const trm_block *block)
{
    size_t heads = mdl_max_size(1, m->dim / HEAD_CHANNELS);
    const mdl_attrs rope = {.rope = {.heads = heads, .theta = rope_theta}};
    const mdl_attrs attention = {.attention = {.heads = heads}};
    int x = mdl__product(m->b, h, block->mix_in, MDL_NONE);
    x = mdl_graph_op(m->b->graph, MDL_OP_ROPE, &rope, &x, 1, NULL);
    x = mdl_graph_op(m->b->graph, MDL_OP_ATTENTION, &attention, &x, 1, NULL);
    return rms(m, mdl__add(m->b, h, mdl__product(m->b, x, block->mix_out, MDL_NONE), 1.0));
}

static int net(const trm *m, int h)
{
    for (size_t i = 0; i < BLOCKS; i++) {
        const trm_block *block = &m->blocks[i];
        if (m->tokens > 1)
            h = m->b->config->trm.mix == MDL_MIX_ATTENTION ? mix_attention(m, h, block)
                                                           : mix_mlp(m, h, block);
        h = rms(m, add_swiglu(m, h, block->up, block->down));
    }
    return h;
}

typedef struct pair {
    int y, z;
} pair;

static pair recursion(const trm *m, int x, pair s)
{
    int xy = mdl__add(m->b, x, s.y, 1.0); /* y stays the same during the n updates */
    for (size_t i = 0; i < m->b->config->trm.n; i++)
        s.z = net(m, mdl__add(m->b, xy, s.z, 1.0));
    s.y = net(m, mdl__add(m->b, s.y, s.z, 1.0));
    return s;
}

static pair detach(const trm *m, pair s)
{
    return (pair){mdl_graph_stop_gradient(m->b->graph, s.y),
                  mdl_graph_stop_gradient(m->b->graph, s.z)};
}

static pair deep_recursion(const trm *m, int x, pair s)
{
    size_t t = m->b->config->trm.t;
    for (size_t i = 0; i + 1 < t; i++)
        s = recursion(m, x, s);
    return recursion(m, x, t > 1 ? detach(m, s) : s);
}

/* ---- supervision ---------------------------------------------------------------------------- */

static int expand(const trm *m, int vector)
{
    const mdl_attrs attrs = {.expand = {.shape = m->state}};
    return mdl_graph_op(m->b->graph, MDL_OP_EXPAND, &attrs, &vector, 1, NULL);
}

/* fresh ? start : carried, for each sample */
static int select(const trm *m, int fresh, int start, int carried)
{
    const int in[] = {fresh, start, carried};
    return mdl_graph_op(m->b->graph, MDL_OP_SELECT_ROWS, NULL, in, 3, NULL);
}

static bool is_stepwise(const trm *m)
{
    return m->b->mode == MDL_MODE_TRAIN &&
           m->b->config->trm.supervision == MDL_SUPERVISION_STEPWISE;
}

static pair start_state(const trm *m)
{
    mdl_graph *graph = m->b->graph;
    mdl_model_io *io = m->b->io;
    pair s = {expand(m, m->y0), expand(m, m->z0)};
    if (!is_stepwise(m))
        return s;
    mdl_dtype real = mdl_graph_real(graph);
    io->carry_fresh = mdl_graph_input(graph, "carry_fresh", MDL_I32, MDL_SHAPE1(m->b->batch));
    io->carry_y = mdl_graph_input(graph, "carry_y", real, m->state);
    io->carry_z = mdl_graph_input(graph, "carry_z", real, m->state);
    return (pair){select(m, io->carry_fresh, s.y, io->carry_y),
                  select(m, io->carry_fresh, s.z, io->carry_z)};
}

/* Cross-entropy + halt_weight * halting loss of one supervision step, added to `total`. */
static int add_losses(const trm *m, int logits, int q, int total)
{
    mdl_builder *b = m->b;
    int loss = mdl__cross_entropy(b, logits);
    const int in[] = {q, logits, b->io->labels};
    int halt = mdl_graph_op(b->graph, MDL_OP_HALT_LOSS, NULL, in, 3, NULL);
    loss = mdl__add(b, loss, halt, b->config->trm.halt_weight);
    return total == MDL_NONE ? loss : mdl__add(b, total, loss, 1.0);
}

void mdl__trm(mdl_builder *b, int features)
{
    mdl_shape shape = mdl_graph_desc(b->graph, features)->shape;
    if (shape.rank < 2)
        return; /* building has failed already */
    size_t dim = b->config->trm.dim;
    trm m = {.b = b,
             .tokens = shape.rank == 3 ? shape.dim[1] : 1,
             .dim = dim,
             .features = mdl_shape_last(&shape)};
    m.state = m.tokens > 1 ? MDL_SHAPE3(b->batch, m.tokens, dim) : MDL_SHAPE2(b->batch, dim);
    all_weights(&m);
    int x = rms(&m, mdl__product(b, features, m.embed, MDL_NONE));
    x = mdl_graph_reshape(b->graph, x, m.state);
    pair s = start_state(&m);
    int loss = MDL_NONE;
    for (size_t step = 0; step < b->steps; step++) {
        s = deep_recursion(&m, x, s);
        int answer = m.tokens > 1 ? mdl__mean_rows(b, s.y) : s.y;
        int logits = mdl__product(b, answer, m.head, MDL_NONE);
        int q = mdl__product(b, answer, m.q_weight, m.q_bias);
        mdl__set_logits(b, step, logits);
        b->io->step_q[step] = q;
        mdl_graph_output(b->graph, q);
        if (b->mode == MDL_MODE_TRAIN)
            loss = add_losses(&m, logits, q, loss);
        else if (step + 1 == b->steps)
            mdl__cross_entropy(b, logits);
        s = detach(&m, s);
    }
    b->io->loss = loss;
    if (is_stepwise(&m)) {
        b->io->next_y = s.y;
        b->io->next_z = s.z;
    }
}

/* ---- its keys ------------------------------------------------------------------------------- */

enum { DIM_MAX = 4096, RECURSION_MAX = 32 };

mdl_status mdl__check_trm(mdl__checker *at, const mdl_trm_config *c)
{
    MDL_TRY(mdl__check_size(at, "trm.dim", c->dim, 1, DIM_MAX));
    MDL_TRY(mdl__check_size(at, "trm.n", c->n, 1, RECURSION_MAX));
    MDL_TRY(mdl__check_size(at, "trm.t", c->t, 1, RECURSION_MAX));
    MDL_TRY(mdl__check_size(at, "trm.n_sup", c->n_sup, 1, MDL_MAX_SUPERVISION));
    MDL_TRY(mdl__check_choice(at, "trm.tokens", (int)c->tokens, MDL_TOKENS_GRID + 1));
    MDL_TRY(mdl__check_choice(at, "trm.mix", (int)c->mix, MDL_MIX_ATTENTION + 1));
    MDL_TRY(mdl__check_choice(at, "trm.supervision", (int)c->supervision,
                              MDL_SUPERVISION_STEPWISE + 1));
    MDL_TRY(mdl__check_number(at, "trm.halt_weight", c->halt_weight, 0.0, 1e3, true, true));
    at->key = "trm.dim";
    /* Heads of 32 channels, at least one; the rotary embedding needs pairs. */
    if (c->tokens == MDL_TOKENS_GRID && c->mix == MDL_MIX_ATTENTION &&
        (c->dim > HEAD_CHANNELS ? c->dim % HEAD_CHANNELS != 0 : c->dim % 2 != 0))
        return mdl_fail(MDL_CONFIG,
                        "trm.dim: with trm.mix attention expected a multiple of %d, or an even "
                        "number up to %d, got %zu",
                        HEAD_CHANNELS, HEAD_CHANNELS, c->dim);
    return MDL_OK;
}
