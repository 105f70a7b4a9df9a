/* EfficientNet-Lite0: the stem, seven stages of MBConv blocks, the head, the classifier; and the
 * backbone that the hybrid shares.  Stages, names and initial values: efficientnet_lite_builder.py
 * of Google's tensorflow/tpu, and timm's efficientnet_lite0.  Only plain ops are emitted;
 * mdl_graph_fuse merges them. */
#include "models/models_internal.h"

#include <math.h>
#include <string.h>

/* Lite's width multiplier leaves stem and head alone, its depth multiplier the first and the last
 * stage. */
enum { STAGES = 7, STEM_CHANNELS = 32, HEAD_CHANNELS = 1280, CHANNEL_GRAIN = 8 };

static const struct stage {
    size_t repeat, kernel, expansion, channels; /* channels: going out */
} stages[STAGES] = {
    {1, 3, 1, 16},  {2, 3, 6, 24},  {2, 5, 6, 40},  {3, 3, 6, 80},
    {3, 5, 6, 112}, {4, 5, 6, 192}, {1, 3, 6, 320},
};

/* EfficientNet's round_filters: to the nearest multiple of 8, but not below 90 %. */
static size_t scaled_channels(size_t channels, double width)
{
    double wanted = (double)channels * width;
    size_t rounded = (size_t)(wanted + CHANNEL_GRAIN / 2.0) / CHANNEL_GRAIN * CHANNEL_GRAIN;
    rounded = mdl_max_size(rounded, CHANNEL_GRAIN);
    return (double)rounded < 0.9 * wanted ? rounded + CHANNEL_GRAIN : rounded;
}

static size_t stage_repeat(const mdl_model_config *config, size_t stage)
{
    if (stage == 0 || stage == STAGES - 1)
        return stages[stage].repeat;
    return (size_t)ceil((double)stages[stage].repeat * config->depth);
}

static size_t total_blocks(const mdl_model_config *config)
{
    size_t total = 0;
    for (size_t s = 0; s < STAGES; s++)
        total += stage_repeat(config, s);
    return total;
}

/* ---- convolutions and BatchNorm ------------------------------------------------------------- */

/* What is padded along an axis: PyTorch puts (k - 1) / 2 on both sides; TF's SAME what makes the
 * output ceil(in / stride), the odd one behind. */
static void pad_axis(mdl_padding padding, size_t in, size_t kernel, size_t stride, size_t *before,
                     size_t *after)
{
    *before = *after = (kernel - 1) / 2;
    if (padding == MDL_PADDING_SAME) {
        size_t covered = ((in + stride - 1) / stride - 1) * stride + kernel;
        size_t total = covered > in ? covered - in : 0;
        *before = total / 2;
        *after = total - *before;
    }
}

static mdl_attrs window(const mdl_builder *b, int x, size_t kernel, size_t stride)
{
    const mdl_shape *shape = &mdl_graph_desc(b->graph, x)->shape;
    mdl_attrs attrs = {.conv = {.kernel_h = kernel,
                                .kernel_w = kernel,
                                .stride = stride,
                                .in_h = shape->dim[1],
                                .in_w = shape->dim[2]}};
    pad_axis(b->config->padding, shape->dim[1], kernel, stride, &attrs.conv.pad_top,
             &attrs.conv.pad_bottom);
    pad_axis(b->config->padding, shape->dim[2], kernel, stride, &attrs.conv.pad_left,
             &attrs.conv.pad_right);
    return attrs;
}

static size_t channels_of(const mdl_builder *b, int x)
{
    return mdl_graph_desc(b->graph, x)->shape.dim[3];
}

/* N(0, 2 / fan_out), as the published network. */
static double conv_std(size_t fan_out)
{
    return sqrt(2.0 / (double)fan_out);
}

static int dense(mdl_builder *b, int x, const char *name, size_t kernel, size_t stride, size_t out)
{
    int weight = mdl__param(b, name, "weight", MDL_ROLE_CONV,
                            MDL_SHAPE4(kernel, kernel, channels_of(b, x), out), MDL_INIT_NORMAL,
                            conv_std(kernel * kernel * out));
    const mdl_attrs attrs = window(b, x, kernel, stride);
    const int in[] = {x, weight};
    return mdl_graph_op(b->graph, MDL_OP_CONV2D, &attrs, in, 2, NULL);
}

static int depthwise(mdl_builder *b, int x, const char *name, size_t kernel, size_t stride)
{
    int weight = mdl__param(b, name, "weight", MDL_ROLE_DEPTHWISE,
                            MDL_SHAPE3(kernel, kernel, channels_of(b, x)), MDL_INIT_NORMAL,
                            conv_std(kernel * kernel));
    const mdl_attrs attrs = window(b, x, kernel, stride);
    const int in[] = {x, weight};
    return mdl_graph_op(b->graph, MDL_OP_DEPTHWISE, &attrs, in, 2, NULL);
}

static int pointwise(mdl_builder *b, int x, const char *name, size_t out)
{
    int weight = mdl__param(b, name, "weight", MDL_ROLE_POINTWISE,
                            MDL_SHAPE2(channels_of(b, x), out), MDL_INIT_NORMAL, conv_std(out));
    return mdl__product(b, x, weight, MDL_NONE);
}

static int batch_norm(mdl_builder *b, int x, const char *name)
{
    mdl_shape shape = MDL_SHAPE1(channels_of(b, x));
    const int in[] = {
        x,
        mdl__param(b, name, "weight", MDL_ROLE_GAMMA, shape, MDL_INIT_ONE, 0.0),
        mdl__param(b, name, "bias", MDL_ROLE_BETA, shape, MDL_INIT_ZERO, 0.0),
        mdl__param(b, name, "running_mean", MDL_ROLE_MEAN, shape, MDL_INIT_ZERO, 0.0),
        mdl__param(b, name, "running_var", MDL_ROLE_VAR, shape, MDL_INIT_ONE, 0.0),
    };
    const mdl_attrs attrs = {
        .norm = {.eps = b->config->bn_eps, .momentum = b->config->bn_momentum}};
    /* One that is frozen, as all before it are, keeps its statistics, too. */
    bool still = b->mode == MDL_MODE_TRAIN && !mdl_graph_needs_gradient(b->graph, x) &&
                 !mdl_graph_needs_gradient(b->graph, in[1]) &&
                 !mdl_graph_needs_gradient(b->graph, in[2]);
    mdl_op op = b->mode == MDL_MODE_INFER || still ? MDL_OP_BATCH_NORM_INFER : MDL_OP_BATCH_NORM;
    return mdl_graph_op(b->graph, op, &attrs, in, 5, NULL);
}

static int batch_norm_relu6(mdl_builder *b, int x, const char *name)
{
    return mdl__activation(b, batch_norm(b, x, name), MDL_ACT_RELU6);
}

/* ---- blocks --------------------------------------------------------------------------------- */

typedef struct block_spec {
    const char *name; /* "blocks.3.1" */
    size_t kernel, stride, expansion, channels;
    double drop; /* probability that a sample skips the block */
} block_spec;

static const char *part(char *text, size_t size, const block_spec *spec, const char *name)
{
    snprintf(text, size, "%s.%s", spec->name, name);
    return text;
}

static int mbconv(mdl_builder *b, int input, const block_spec *spec)
{
    char name[64];
#define PART(text) part(name, sizeof(name), spec, text)
    size_t in_channels = channels_of(b, input);
    int x = input;
    if (spec->expansion == 1) { /* without expansion timm counts the layers otherwise */
        x = depthwise(b, x, PART("conv_dw"), spec->kernel, spec->stride);
        x = batch_norm_relu6(b, x, PART("bn1"));
        x = pointwise(b, x, PART("conv_pw"), spec->channels);
        x = batch_norm(b, x, PART("bn2"));
    } else {
        x = pointwise(b, x, PART("conv_pw"), in_channels * spec->expansion);
        x = batch_norm_relu6(b, x, PART("bn1"));
        x = depthwise(b, x, PART("conv_dw"), spec->kernel, spec->stride);
        x = batch_norm_relu6(b, x, PART("bn2"));
        x = pointwise(b, x, PART("conv_pwl"), spec->channels);
        x = batch_norm(b, x, PART("bn3"));
    }
#undef PART
    if (spec->stride != 1 || in_channels != spec->channels)
        return x;
    return mdl__add(b, mdl__dropout(b, x, spec->drop, true), input, 1.0);
}

int mdl__efficientnet_lite(mdl_builder *b)
{
    const mdl_model_config *config = b->config;
    mdl__next_block(b);
    int x = dense(b, b->io->images, "conv_stem", 3, config->stem_stride, STEM_CHANNELS);
    x = batch_norm_relu6(b, x, "bn1");
    size_t index = 0, total = total_blocks(config);
    for (size_t s = 0; s < STAGES; s++) {
        for (size_t r = 0; r < stage_repeat(config, s); r++, index++) {
            char name[32];
            snprintf(name, sizeof(name), "blocks.%zu.%zu", s, r);
            const block_spec spec = {.name = name,
                                     .kernel = stages[s].kernel,
                                     .stride = r == 0 ? config->strides[s] : 1,
                                     .expansion = stages[s].expansion,
                                     .channels = scaled_channels(stages[s].channels, config->width),
                                     .drop = config->drop_connect * (double)index / (double)total};
            mdl__next_block(b);
            x = mbconv(b, x, &spec);
        }
    }
    mdl__next_block(b);
    x = pointwise(b, x, "conv_head", HEAD_CHANNELS);
    return batch_norm_relu6(b, x, "bn2");
}

/* ---- the model ------------------------------------------------------------------------------ */

/* A hidden layer before the classifier: the control for the hybrid, whose TRM is a head too. */
static int hidden_layer(mdl_builder *b, int x, size_t hidden)
{
    mdl__next_block(b);
    int weight =
        mdl__param(b, "head_fc", "weight", MDL_ROLE_LINEAR, MDL_SHAPE2(HEAD_CHANNELS, hidden),
                   MDL_INIT_TRUNCATED_NORMAL, 1.0 / sqrt((double)HEAD_CHANNELS));
    int bias =
        mdl__param(b, "head_fc", "bias", MDL_ROLE_BIAS, MDL_SHAPE1(hidden), MDL_INIT_ZERO, 0.0);
    return mdl__activation(b, mdl__product(b, x, weight, bias), MDL_ACT_SILU);
}

static void build(mdl_builder *b)
{
    size_t width = HEAD_CHANNELS, hidden = b->config->head_hidden;
    int x = mdl__mean_rows(b, mdl__efficientnet_lite(b));
    x = mdl__dropout(b, x, b->config->dropout, false);
    if (hidden > 0) {
        x = hidden_layer(b, x, hidden);
        width = hidden;
    }
    mdl__next_block(b);
    /* Published: U(+-1/sqrt(classes)), which is large for 10 classes. */
    int weight = mdl__param(b, "classifier", "weight", MDL_ROLE_LINEAR,
                            MDL_SHAPE2(width, b->config->classes), MDL_INIT_UNIFORM,
                            1.0 / sqrt((double)width));
    int bias = mdl__param(b, "classifier", "bias", MDL_ROLE_BIAS, MDL_SHAPE1(b->config->classes),
                          MDL_INIT_ZERO, 0.0);
    int logits = mdl__product(b, x, weight, bias);
    mdl__set_logits(b, 0, logits);
    int loss = mdl__cross_entropy(b, logits);
    if (b->mode == MDL_MODE_TRAIN)
        b->io->loss = loss;
}

/* ---- its keys ------------------------------------------------------------------------------- */

static void set_defaults(mdl_model_config *config)
{
    static const size_t strides[STAGES] = {1, 2, 2, 2, 1, 2, 1}; /* for images of 32x32 */
    memcpy(config->strides, strides, sizeof(strides));
    config->stem_stride = 1;
    config->width = config->depth = 1.0;
    config->drop_connect = config->dropout = 0.2;
    config->bn_eps = 1e-3;
    config->bn_momentum = 0.1; /* usual from scratch; published: 0.01 for long ImageNet runs */
    config->padding = MDL_PADDING_SYMMETRIC;
    config->head_hidden = 0;
}

enum { STRIDE_MAX = 4 };
static const double multiplier_max = 16.0;

mdl_status mdl__check_backbone(mdl__checker *at, const mdl_model_config *c)
{
    MDL_TRY(mdl__check_size(at, "model.stem_stride", c->stem_stride, 1, STRIDE_MAX));
    for (size_t i = 0; i < MDL_COUNT(c->strides); i++) {
        at->key = "model.strides";
        if (c->strides[i] < 1 || c->strides[i] > STRIDE_MAX)
            return mdl_fail(MDL_CONFIG,
                            "%s, element %zu of 7: expected an integer from 1 to %d, got %zu",
                            at->key, i + 1, STRIDE_MAX, c->strides[i]);
    }
    MDL_TRY(mdl__check_number(at, "model.width", c->width, 0.0, multiplier_max, false, true));
    MDL_TRY(mdl__check_number(at, "model.depth", c->depth, 0.0, multiplier_max, false, true));
    MDL_TRY(mdl__check_number(at, "model.drop_connect", c->drop_connect, 0.0, 1.0, true, false));
    MDL_TRY(mdl__check_number(at, "model.dropout", c->dropout, 0.0, 1.0, true, false));
    MDL_TRY(mdl__check_number(at, "model.bn_eps", c->bn_eps, 0.0, 1.0, false, true));
    MDL_TRY(mdl__check_number(at, "model.bn_momentum", c->bn_momentum, 0.0, 1.0, false, true));
    return mdl__check_choice(at, "model.padding", (int)c->padding, MDL_PADDING_SAME + 1);
}

static mdl_status check(mdl__checker *at, const mdl_model_config *c)
{
    MDL_TRY(mdl__check_backbone(at, c));
    return mdl__check_size(at, "model.head_hidden", c->head_hidden, 0, 65536);
}

const mdl_model_def mdl__model_efficientnet_lite0 = {
    .name = "efficientnet_lite0",
    .title = "EfficientNet-Lite0",
    .what = "EfficientNet-Lite0: convolutions, 3.4 million parameters",
    .statistics = true,
    .set_defaults = set_defaults,
    .check = check,
    .build = build,
};
