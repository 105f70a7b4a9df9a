/* The configuration: one struct made of the modules' own structs, and one table of keys, from which
 * parsing, printing, help and the nearest valid name come. */
#ifndef MDL_CONFIG_H
#define MDL_CONFIG_H

#include "mendel/config.h"
#include "merge/merge.h"

typedef struct mdl_run_config {
    uint64_t seed;
    size_t threads; /* 0: the backend's default */
    char backend[128];
    size_t memory_limit;       /* bytes, 0: none */
    char tuning[MDL_PATH_MAX]; /* auto, off, or a file: see mdl_tuning_use */
} mdl_run_config;

typedef enum mdl_comm_library {
    MDL_COMM_AUTO, /* by the launcher that started the process */
    MDL_COMM_OPENMPI,
    MDL_COMM_MPICH,
    MDL_COMM_OFF
} mdl_comm_library;

typedef struct mdl_comm_config { /* of several processes */
    mdl_comm_library library;
    double timeout; /* seconds without a word from a rank; 0: for ever */
} mdl_comm_config;

typedef struct mdl_experiment_config {
    size_t seeds;          /* models of each kind (x2 seeds: 2), at most MDL_MAX_REPEATS */
    bool baseline, hybrid; /* A, B */
    bool merge_baseline;   /* C on A's checkpoints too, for comparison */
    size_t epochs_merged;  /* how many late epoch checkpoints of each seed join the archive */
    bool merge_ema;        /* EMA weights join too */
    /* Trunk and branches: one training, then `children` that start from its last weights with
     * other seeds and a restarted learning rate; they are the parents.  0: independent seeds are.
     */
    size_t trunk_epochs;
    double trunk_final; /* the trunk's schedule.final */
    size_t children, child_epochs;
    double child_lr;    /* times optim.lr */
    bool matched;       /* one run of all their epochs */
    size_t independent; /* independent seeds beside them, the negative control */
    bool control_mlp_head, control_no_recursion, control_tokens; /* of the hybrid */
    size_t path_points; /* on the line between the first two parents; 0: no lines */
    size_t repeats;
    size_t latency_runs;
    char methods[256]; /* rows for other methods on the same parents, separated by commas */
    bool specialists;  /* the M2N2 paper's: searches from pairs trained on half of the classes */
    size_t corrupt_images, tta_images; /* of the test split; 0: no such evaluation */
    double lease_seconds; /* without a sign of life, after which a process's step is another's */
    bool refuse_mixed;    /* a process of another version or instruction set may not join */
} mdl_experiment_config;

#define MDL_MAX_REPEATS 16
#define MDL_MAX_KEYS    192
typedef struct mdl_config_origin { /* where each key was set last, for messages; not a setting */
    char file[MDL_PATH_MAX];
    int line[MDL_MAX_KEYS]; /* by number of the key; 0: default, MDL_ORIGIN_SET: --set */
    /* By number of the key: it was given by the name, or a choice by the word, of an earlier
     * version, at some time. */
    bool former_name[MDL_MAX_KEYS], former_word[MDL_MAX_KEYS];
} mdl_config_origin;
#define MDL_ORIGIN_SET (-1)

typedef struct mdl_config {
    mdl_model_config model; /* classes 0: from the data */
    mdl_data_config data;
    mdl_train_config train;
    mdl_merge_config merge;
    mdl_experiment_config experiment;
    mdl_run_config run;
    mdl_comm_config comm;
    mdl_config_origin origin;
} mdl_config;

mdl_config mdl_config_default(void);
/* Read a YAML file over *config.  Unknown keys, wrong types, values out of range are refused with
 * file, line, key, what was expected, and the nearest valid key. */
mdl_status mdl_config_read_file(const char *path, mdl_config *config) MDL_MUST_CHECK;
/* The same from text; `name` stands for the file in messages. */
mdl_status mdl_config_parse(const char *text, size_t size, const char *name,
                            mdl_config *config) MDL_MUST_CHECK;
/* Set every key of *config again that was set one by one in *from (mdl_config_assign,
 * mdl_config_set_text). */
mdl_status mdl_config_set_again(mdl_config *config, const mdl_config *from) MDL_MUST_CHECK;
/* Give the keys of *config that begin with `prefix` and that nobody has set the values they have in
 * *from. */
mdl_status mdl_config_take(mdl_config *config, const mdl_config *from,
                           const char *prefix) MDL_MUST_CHECK;
/* Set a key for a text to these bytes, whatever they are. */
mdl_status mdl_config_set_text(mdl_config *config, const char *key,
                               const char *value) MDL_MUST_CHECK;
/* The text of a configuration without what does not belong into a checkpoint (paths, threads,
 * backend, lengths of a run do not change what the model is): keys of model, trm, and those of data
 * that say how images are prepared and which were held out. */
mdl_status mdl_config_model_text(const mdl_config *config, char **text) MDL_MUST_CHECK;
/* What a step depends on that uses these sections ("data, run, model"): their keys as YAML, without
 * those of the machine.  The text of a configuration stays the same from version to version, as far
 * as new keys have their defaults.  Free *text with mdl_free. */
mdl_status mdl_config_depends(const mdl_config *config, const char *sections,
                              char **text) MDL_MUST_CHECK;
/* Call `say` for each word of an earlier version that was read into *config: "data.fitness_fraction
 * is now called data.validation_fraction". */
void mdl_config_tell_former(const mdl_config *config, void (*say)(void *user, const char *sentence),
                            void *user);
/* Checks across keys (shapes that cannot be, a batch that cannot be divided, ...). */
mdl_status mdl_config_check(const mdl_config *config) MDL_MUST_CHECK;
/* Take the input size from open data, and model.classes where it is 0; refuses a model with fewer
 * classes than the data. */
mdl_status mdl_config_use_data(mdl_config *config, const mdl_data *data) MDL_MUST_CHECK;
/* The same from what is known without reading the data; fails where that is not enough. */
mdl_status mdl_config_assume_data(mdl_config *config) MDL_MUST_CHECK;

typedef struct mdl_key { /* a row of the table of keys */
    const char *name;    /* "optim.lr" */
    const char *help;    /* one line */
    char type[128];      /* "number", "integer", "text", ..., or the choices "a | b" */
    bool machine;        /* does not change what a run computes, only how fast */
} mdl_key;
size_t mdl_key_count(void);
mdl_key mdl_key_at(size_t index);
/* Row i of the table that a key chooses from (model.kind: the models): its name, and half a
 * sentence that says what it is.  False where there is no such row, and for a key without a table.
 */
bool mdl_key_row(size_t index, size_t i, const char **name, const char **what);
/* *config's value of a key as YAML text; free *value with mdl_free. */
mdl_status mdl_key_value(const mdl_config *config, size_t index, char **value) MDL_MUST_CHECK;
/* The number of a key by its name or its former one; mdl_key_count() where there is none. */
size_t mdl_key_find(const char *name);
/* The key whose name is nearest to `name`, or NULL where none is near. */
const char *mdl_key_nearest(const char *name);
/* Whether `name`, with or without dashes or a section, is another program's word (batch_size): *key
 * is ours, or NULL where there is nothing like it and *note says what there is; *note may be NULL
 * otherwise. */
bool mdl_key_hint(const char *name, const char **key, const char **note);
/* What to write in place of a key that is none, into text: "; write train.batch", "; did you mean
 * optim.lr?", or "" where nothing is known.  Returns text. */
const char *mdl_key_advice(const char *name, char *text, size_t size);

#endif
