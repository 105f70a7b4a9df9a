/* Models: functions that build a static graph, for one batch size and purpose.  Each model is a row
 * (mdl_model_def) in a file of its own.  They choose shapes and ops; they hold no data.  To add
 * one: docs/adding.md. */
#ifndef MDL_MODELS_H
#define MDL_MODELS_H

#include "graph/graph.h"

/* The models as X(MDL_MODEL_<NAME>, name in model.kind).  Each is a row mdl__model_<name>. */
#define MDL_MODEL_LIST(X)                                                                          \
    X(EFFICIENTNET_LITE0, efficientnet_lite0)                                                      \
    X(HYBRID, hybrid) /* the same backbone with a Nano-TRM in place of the classifier */           \
    X(MLP, mlp)
typedef enum mdl_model_kind {
#define X(NAME, name) MDL_MODEL_##NAME,
    MDL_MODEL_LIST(X)
#undef X
        MDL_MODEL_KINDS
} mdl_model_kind;
typedef enum mdl_padding { MDL_PADDING_SYMMETRIC, MDL_PADDING_SAME } mdl_padding;
typedef enum mdl_tokens { MDL_TOKENS_POOLED, MDL_TOKENS_GRID } mdl_tokens;
typedef enum mdl_mix { MDL_MIX_MLP, MDL_MIX_ATTENTION } mdl_mix;
typedef enum mdl_supervision {
    MDL_SUPERVISION_SHARED,  /* backbone once, losses of all n_sup steps add up */
    MDL_SUPERVISION_STEPWISE /* Algorithm 3: y and z carried from one optimizer step to the next */
} mdl_supervision;

typedef struct mdl_trm_config {
    size_t dim;   /* D */
    size_t n;     /* latent updates in one recursion */
    size_t t;     /* recursions, of which the last carries gradients */
    size_t n_sup; /* supervision steps */
    mdl_tokens tokens;
    mdl_mix mix;
    mdl_supervision supervision;
    bool halt;          /* inference stops where q > 0 (evaluation reports the steps used) */
    bool stablemax;     /* loss */
    double halt_weight; /* of the halting loss; 0.5 */
} mdl_trm_config;

typedef struct mdl_model_config {
    mdl_model_kind kind;
    size_t height, width_px, channels; /* input images; set from the data */
    size_t classes;
    size_t stem_stride;
    size_t strides[7];
    double width, depth; /* multipliers of channels (rounded to 8) and of repeats; 1.0 */
    double drop_connect; /* at the last block; block i has drop_connect * i / blocks */
    double dropout;      /* before the classifier / before the TRM */
    double bn_eps, bn_momentum;
    mdl_padding padding;
    size_t head_hidden;    /* efficientnet_lite0: hidden layer before the classifier; 0: none */
    size_t hidden;         /* mlp: width of the hidden layer */
    mdl_init mlp_init;     /* mlp: MDL_INIT_NORMAL with mlp_init_scale (paper: 0.01), or UNIFORM */
    double mlp_init_scale; /* mlp: scale; 0: U(+-1/sqrt(fan_in)) as PyTorch */
    mdl_trm_config trm;
    /* While training: parameters that stay as they are, as mdl_graph_freeze takes them, borrowed;
     * NULL: none.  It is not part of what the model is. */
    const char *freeze;
} mdl_model_config;
mdl_model_config mdl_model_config_default(void);

struct mdl__checker; /* private to the module, like mdl_builder */
struct mdl_builder;
typedef struct mdl_model_def { /* what there is to know of a model */
    const char *name;          /* as in model.kind */
    const char *title;         /* as people write it */
    const char *what;          /* half a sentence: what it is */
    bool recursive; /* its head is a TRM: it has supervision steps, may halt, may carry state */
    mdl_model_kind plain; /* recursive: the same with a classifier in the head's place */
    bool statistics;      /* it has BatchNorm, and so running statistics beside its parameters */
    /* Give its own keys their defaults; NULL: another row has given them. */
    void (*set_defaults)(mdl_model_config *config);
    /* Whether its own keys make sense, those of image and classes aside. */
    mdl_status (*check)(struct mdl__checker *at, const mdl_model_config *config);
    /* Its own keys as lines "key value", as they stand in a saved state, into `text` (at most
     * `size` bytes).  Returns their length, as snprintf does.  NULL: it has none. */
    size_t (*describe)(const mdl_model_config *config, char *text, size_t size);
    void (*build)(struct mdl_builder *b); /* from b->io->images to logits and loss */
} mdl_model_def;
const mdl_model_def *mdl_model_def_of(mdl_model_kind kind);
/* Whether it is trained with one optimizer step for each supervision step. */
bool mdl_model_is_stepwise(const mdl_model_config *config);

/* Check that the configuration makes sense before building. */
mdl_status mdl_model_check(const mdl_model_config *config) MDL_MUST_CHECK;
/* The same; on failure *key is what is wrong, a configuration key or a part of the image, else
 * NULL.  The text is static. */
mdl_status mdl_model_check_key(const mdl_model_config *config, const char **key) MDL_MUST_CHECK;

typedef enum mdl_mode {
    MDL_MODE_TRAIN,      /* batch statistics, dropout, loss; no backward nodes yet */
    MDL_MODE_INFER,      /* running statistics; per-sample losses and correctness */
    MDL_MODE_RECALIBRATE /* batch statistics and their running update, no dropout, no loss */
} mdl_mode;

#define MDL_MAX_SUPERVISION 32
typedef struct mdl_model_io { /* tensors of a built graph; MDL_NONE where there is none */
    int images;               /* input, real [N, H, W, C] (mlp: the same, flattened inside) */
    int labels;               /* input, i32 [N] */
    int logits;               /* [N, classes], of the last supervision step */
    int loss;                 /* [1], training */
    int losses;               /* [N], cross-entropy of each sample (last step) */
    int correct;              /* [N], 1 or 0 (last step) */
    int n_steps;              /* supervision steps in this graph */
    int step_logits[MDL_MAX_SUPERVISION]; /* logits of each of them */
    int step_q[MDL_MAX_SUPERVISION];      /* halting logits [N, 1] */
    /* Stepwise supervision in TRAIN mode: y and z come in through these inputs and the detached
     * new values go out; the trainer copies them, with start values where a slot is fresh. */
    int carry_fresh;      /* input, i32 [N]: 1 where the slot starts anew */
    int carry_y, carry_z; /* inputs, shaped like the new values */
    int next_y, next_z;   /* outputs */
} mdl_model_io;

/* Add the model to an empty graph (created with the wanted float type) and mark the outputs.  All
 * modes of one config give the same parameter and buffer tables in the same order.
 * steps: supervision steps at inference (0: config's n_sup). */
mdl_status mdl_model_build(const mdl_model_config *config, mdl_mode mode, size_t batch,
                           double label_smoothing, size_t steps, mdl_graph *graph,
                           mdl_model_io *io) MDL_MUST_CHECK;

#endif
