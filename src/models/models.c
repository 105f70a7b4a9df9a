/* The entry of the module: the table of models, defaults, and the pieces that all models share. */
#include "models/models_internal.h"

static const mdl_model_def *const models[MDL_MODEL_KINDS] = {
#define X(NAME, name) [MDL_MODEL_##NAME] = &mdl__model_##name,
    MDL_MODEL_LIST(X)
#undef X
};

const mdl_model_def *mdl_model_def_of(mdl_model_kind kind)
{
    return models[kind];
}

bool mdl_model_is_stepwise(const mdl_model_config *config)
{
    return models[config->kind]->recursive && config->trm.supervision == MDL_SUPERVISION_STEPWISE;
}

mdl_model_config mdl_model_config_default(void)
{
    mdl_model_config config = {.kind = MDL_MODEL_EFFICIENTNET_LITE0,
                               .height = 32,
                               .width_px = 32,
                               .channels = 3,
                               .classes = 10};
    for (size_t i = 0; i < MDL_MODEL_KINDS; i++)
        if (models[i]->set_defaults != NULL)
            models[i]->set_defaults(&config);
    return config;
}

/* ---- shared pieces -------------------------------------------------------------------------- */

void mdl__next_block(mdl_builder *b)
{
    mdl_graph_set_block(b->graph, b->block++);
}

int mdl__param(mdl_builder *b, const char *prefix, const char *suffix, mdl_role role,
               mdl_shape shape, mdl_init init, double scale)
{
    char name[128];
    snprintf(name, sizeof(name), "%s.%s", prefix, suffix);
    return mdl_graph_param(b->graph, name, role, shape, init, scale);
}

int mdl__product(mdl_builder *b, int x, int weight, int bias)
{
    const int in[] = {x, weight, bias};
    return mdl_graph_op(b->graph, MDL_OP_LINEAR, NULL, in, bias == MDL_NONE ? 2 : 3, NULL);
}

int mdl__activation(mdl_builder *b, int x, mdl_act kind)
{
    const mdl_attrs attrs = {.act = {.kind = kind}};
    return mdl_graph_op(b->graph, MDL_OP_ACTIVATION, &attrs, &x, 1, NULL);
}

int mdl__add(mdl_builder *b, int x, int y, double weight)
{
    const mdl_attrs attrs = {.add = {.alpha = 1.0, .beta = weight}};
    const int in[] = {x, y};
    return mdl_graph_op(b->graph, MDL_OP_ADD, &attrs, in, 2, NULL);
}

int mdl__dropout(mdl_builder *b, int x, double rate, bool per_sample)
{
    if (b->mode != MDL_MODE_TRAIN || !(rate > 0.0))
        return x;
    const mdl_attrs attrs = {.dropout = {.rate = rate,
                                         .stream = mdl_graph_next_stream(b->graph),
                                         .per_sample = per_sample}};
    return mdl_graph_op(b->graph, MDL_OP_DROPOUT, &attrs, &x, 1, NULL);
}

int mdl__mean_rows(mdl_builder *b, int x)
{
    return mdl_graph_op(b->graph, MDL_OP_MEAN_ROWS, NULL, &x, 1, NULL);
}

void mdl__set_logits(mdl_builder *b, size_t step, int logits)
{
    b->io->step_logits[step] = logits;
    b->io->logits = logits;
    mdl_graph_output(b->graph, logits);
}

int mdl__cross_entropy(mdl_builder *b, int logits)
{
    if (b->io->labels == MDL_NONE)
        return MDL_NONE;
    const mdl_attrs attrs = {
        .loss = {.smoothing = b->smoothing,
                 .stablemax = models[b->config->kind]->recursive && b->config->trm.stablemax}};
    const int in[] = {logits, b->io->labels};
    int out[MDL_MAX_OUT];
    mdl_graph_op(b->graph, MDL_OP_CROSS_ENTROPY, &attrs, in, 2, out);
    b->io->losses = out[1];
    b->io->correct = out[2];
    return out[0];
}

/* ---- building ------------------------------------------------------------------------------- */

static mdl_model_io no_tensors(void)
{
    mdl_model_io io;
    io.images = io.labels = io.logits = io.loss = io.losses = io.correct = MDL_NONE;
    io.carry_fresh = io.carry_y = io.carry_z = io.next_y = io.next_z = MDL_NONE;
    io.n_steps = 0;
    for (size_t i = 0; i < MDL_MAX_SUPERVISION; i++)
        io.step_logits[i] = io.step_q[i] = MDL_NONE;
    return io;
}

/* Supervision steps that the graph of a mode holds. */
static size_t steps_of(const mdl_model_config *config, mdl_mode mode, size_t wanted)
{
    if (!models[config->kind]->recursive || mode == MDL_MODE_RECALIBRATE)
        return 1;
    if (mode == MDL_MODE_INFER)
        return wanted > 0 ? wanted : config->trm.n_sup;
    return mdl_model_is_stepwise(config) ? 1 : config->trm.n_sup;
}

static void add_inputs(mdl_builder *b)
{
    const mdl_model_config *c = b->config;
    b->io->images = mdl_graph_input(b->graph, "images", mdl_graph_real(b->graph),
                                    MDL_SHAPE4(b->batch, c->height, c->width_px, c->channels));
    if (b->mode != MDL_MODE_RECALIBRATE)
        b->io->labels = mdl_graph_input(b->graph, "labels", MDL_I32, MDL_SHAPE1(b->batch));
}

mdl_status mdl_model_build(const mdl_model_config *config, mdl_mode mode, size_t batch,
                           double label_smoothing, size_t steps, mdl_graph *graph, mdl_model_io *io)
{
    *io = no_tensors();
    MDL_TRY(mdl_model_check(config));
    if (batch == 0)
        return mdl_fail(MDL_INVALID, "a model is built for a batch of at least one image");
    if (steps > MDL_MAX_SUPERVISION)
        return mdl_fail(MDL_INVALID, "%zu supervision steps; at most %d are possible", steps,
                        MDL_MAX_SUPERVISION);
    mdl_builder b = {.config = config,
                     .mode = mode,
                     .batch = batch,
                     .smoothing = mode == MDL_MODE_TRAIN ? label_smoothing : 0.0,
                     .steps = steps_of(config, mode, steps),
                     .graph = graph,
                     .io = io};
    io->n_steps = (int)b.steps;
    add_inputs(&b);
    mdl_graph_freeze(graph, config->freeze);
    models[config->kind]->build(&b);
    MDL_TRY(mdl_graph_place_frozen(graph));
    const int outputs[] = {io->loss, io->losses, io->correct, io->next_y, io->next_z};
    for (size_t i = 0; i < MDL_COUNT(outputs); i++)
        mdl_graph_output(graph, outputs[i]);
    return mdl_graph_status(graph);
}
