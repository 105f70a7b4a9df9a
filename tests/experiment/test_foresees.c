/* What an experiment cannot do is refused before anything is trained, and what it says names the
 * key. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "experiment/experiment.h"
#include "scratch.h"

static char scratch[256];

static int make_folder(void **state)
{
    (void)state;
    return scratch_create(scratch) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    scratch_remove(scratch);
    return 0;
}

typedef struct refusal {
    const char *set[8];
    const char *said;
} refusal;

static const refusal refusals[] = {
    {{"merge.search=line"}, "the line between two models: 9 given"},
    {{"merge.crossover=false", "merge.mutation=0"}, "without merge.crossover and merge.mutation"},
    {{"merge.ratio_from=0.8", "merge.ratio_to=0.2"}, "merge.ratio_from is 0.8"},
    {{"merge.search=cma_es"}, "cma-es starts from one random model"},
    {{"experiment.methods=random,no-crossover"}, "no-crossover makes children by mutation alone"},
    {{"experiment.methods=ga,random, ga"}, "experiment.methods: ga is there twice"},
    {{"experiment.methods=ties,ties"}, "experiment.methods: ties is there twice"},
    {{"experiment.methods=guess"}, "no method 'guess'"},
    {{"experiment.methods=ga,slerp"}, "experiment.methods: leave slerp out"},
    {{"experiment.control_tokens=true", "trm.mix=attention", "trm.dim=48",
      "experiment.independent=1", "experiment.trunk_epochs=1"},
     "the control \"grid tokens\" of the experiment: trm.dim: with trm.mix attention"},
    {{"merge.from_scratch=4", "merge.slerp_all=true", "experiment.trunk_epochs=0",
      "merge.mutation=0.1"},
     "set model.kind: mlp"},
    {{"merge.from_scratch=4", "merge.slerp_all=true", "model.kind=mlp",
      "experiment.trunk_epochs=0"},
     "without merge.crossover and merge.mutation"},
    {{"experiment.baseline=false", "experiment.hybrid=false"}, "both false"},
    {{"data.validation_fraction=0"}, "expected a validation split and test images"},
};

static void note_training(void *user, const mdl_experiment_stage *stage)
{
    if (strstr(stage->text, "train the") != NULL)
        ++*(size_t *)user;
}

static void nothing_is_trained_before(void **state)
{
    (void)state;
    for (size_t i = 0; i < MDL_COUNT(refusals); i++) {
        mdl_config config = mdl_config_default();
        size_t trainings = 0;
        mdl_experiment_events events = {.stage = note_training, .user = &trainings};
        char folder[MDL_PATH_MAX];
        assert_int_equal(mdl_path(folder, sizeof(folder), scratch, "case-%zu", i), MDL_OK);
        mdl_experiment_job job = {.config = &config, .out = folder, .events = &events};
        mdl_table table;
        assert_int_equal(mdl_config_assign(&config, "experiment.trunk_epochs=1"), MDL_OK);
        for (size_t k = 0; k < MDL_COUNT(refusals[i].set) && refusals[i].set[k] != NULL; k++)
            if (mdl_config_assign(&config, refusals[i].set[k]) != MDL_OK)
                fail_msg("%s", mdl_error_detail());
        assert_int_equal(mdl_experiment_run(&job, &table), MDL_CONFIG);
        if (strstr(mdl_error_detail(), refusals[i].said) == NULL)
            fail_msg("case %zu: \"%s\" is not in \"%s\"", i, refusals[i].said, mdl_error_detail());
        assert_int_equal(trainings, 0);
        mdl_table_free(&table);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_trained_before),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
