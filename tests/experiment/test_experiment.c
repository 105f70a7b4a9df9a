/* The runner of the experiment, with tiny models on synthetic images: the table, finished steps
 * that are not run again, changed configuration that is, interruption, and the search from scratch.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "experiment/experiment.h"
#include "scratch.h"

static char folder[256];
static mdl_config config;
static mdl_table table, again;
static char stages[16384]; /* what was told, a line each */
static size_t stop_after;  /* ask to stop at the stage of this number; 0: never */
static double left;        /* what the first step said is left to compute, with itself */
static double left_last;   /* the same of the last step */

static int setup(void **state)
{
    (void)state;
    static const char *const sets[] = {"data.source=synthetic:120",
                                       "data.image_size=8",
                                       "data.validation_fraction=0.25",
                                       "model.width=0.1",
                                       "model.depth=0.2",
                                       "trm.dim=8",
                                       "train.epochs=2",
                                       "train.batch=16",
                                       "train.ema=0.9",
                                       "optim.lr=0.01",
                                       "merge.evaluations=4",
                                       "merge.batch=2",
                                       "experiment.epochs_merged=1",
                                       "experiment.latency_runs=2",
                                       "run.threads=1"};
    config = mdl_config_default();
    for (size_t i = 0; i < MDL_COUNT(sets); i++) {
        if (mdl_config_assign(&config, sets[i]) != MDL_OK)
            fail_msg("%s", mdl_error_detail());
    }
    stop_after = 0;
    return scratch_create(folder) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    mdl_context_reset(mdl_context_current());
    scratch_remove(folder);
    return 0;
}

static void note_stage(void *user, const mdl_experiment_stage *stage)
{
    size_t *count = user, used = strlen(stages);
    assert_true(stage->step <= stage->steps && stage->done + stage->work <= stage->planned);
    left_last = stage->planned - stage->done;
    left = *count == 0 ? left_last : left;
    snprintf(stages + used, sizeof(stages) - used, "%s\n", stage->text);
    if (++*count == stop_after)
        mdl_context_stop(mdl_context_current());
}

static mdl_status run(mdl_table *out)
{
    size_t count = 0;
    mdl_experiment_events events = {.stage = note_stage, .user = &count};
    mdl_experiment_job job = {.config = &config, .out = folder, .events = &events};
    stages[0] = '\0';
    mdl_table_free(out);
    return mdl_experiment_run(&job, out);
}

static void expect(mdl_status got, mdl_status wanted)
{
    if (got != wanted)
        fail_msg("got %s: %s", mdl_status_text(got), mdl_error_detail());
}

static size_t count_lines(const char *part)
{
    size_t count = 0;
    for (const char *at = stages; (at = strstr(at, part)) != NULL; at++)
        count++;
    return count;
}

/* Steps that were done and not taken from an earlier start. */
static size_t count_done(const char *part)
{
    char text[sizeof(stages)];
    size_t count = 0;
    snprintf(text, sizeof(text), "%s", stages);
    for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n"))
        count += strstr(line, part) != NULL && strstr(line, "(finished before)") == NULL;
    return count;
}

static const mdl_row *find(const mdl_table *in, const char *id)
{
    const mdl_row *row = mdl_table_find(in, id);
    if (row == NULL)
        fail_msg("there is no row %s", id);
    return row;
}

static bool exists(const char *name)
{
    char path[MDL_PATH_MAX];
    return mdl_path(path, sizeof(path), folder, "%s", name) == MDL_OK && mdl_file_exists(path);
}

static void the_table_has_its_rows(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "baseline.mean",      "hybrid.mean",          "hybrid.m2n2",     "baseline.m2n2",
        "hybrid.best-parent", "hybrid.average",       "hybrid.soup",     "hybrid.slerp",
        "hybrid.ensemble",    "baseline.best-parent", "baseline.average"};
    static const char *const files[] = {"table.csv",
                                        "table.json",
                                        "config.yaml",
                                        "A-seed1/final.safetensors",
                                        "B-seed2/ema.safetensors",
                                        "C-hybrid/merged.safetensors",
                                        "C-hybrid/lineage.jsonl",
                                        "C-baseline/average.safetensors"};
    expect(run(&table), MDL_OK);
    for (size_t i = 0; i < MDL_COUNT(rows); i++) {
        const mdl_row *row = find(&table, rows[i]);
        assert_true(row->top1 >= 0 && row->top1 <= 1);
        assert_true(row->low <= row->top1 && row->top1 <= row->high);
        assert_true(row->parameters > 0 && row->multiply_adds > 0);
        assert_true(row->train_seconds > 0);
        assert_true(isnan(row->latency) /* the machine is busy */ ||
                    (row->latency > 0 && row->latency_p95 >= row->latency));
    }
    for (size_t i = 0; i < MDL_COUNT(files); i++) {
        if (!exists(files[i]))
            fail_msg("%s is missing", files[i]);
    }
    const mdl_row *mean = find(&table, "baseline.mean");
    assert_int_equal(mean->n_each, 2);
    double sum = mean->each_top1[0] + mean->each_top1[1] - 2 * mean->top1;
    assert_true(sum < 1e-12 && sum > -1e-12);
    assert_true(find(&table, "hybrid.mean")->parameters > mean->parameters);
    assert_int_equal(find(&table, "hybrid.ensemble")->parameters,
                     2 * find(&table, "hybrid.mean")->parameters);
    /* Welch, fused against parent, average and ensemble on both sides, fused hybrid against
     * baseline. */
    assert_int_equal(table.n_comparisons, 8);

    /* All of it is done: nothing runs again, and the table is the same to the last digit. */
    expect(run(&again), MDL_OK);
    assert_int_equal(count_lines("train the"), 4);
    /* 4 trainings; on each arm scores, search, best parent, average, soup and midpoint; the test
     * split and the closer look. */
    assert_int_equal(count_lines("(finished before)"), 4 + 2 * 6 + 2);
    assert_int_equal(count_done("test split"), 0);
    for (size_t i = 0; i < table.n_rows; i++)
        assert_true(table.rows[i].top1 == again.rows[i].top1 &&
                    table.rows[i].train_seconds == again.rows[i].train_seconds);
}

static void changes_run_again(void **state)
{
    (void)state;
    expect(mdl_config_assign(&config, "experiment.baseline=false"), MDL_OK);
    expect(run(&table), MDL_OK);
    double whole = left, trainings = 2 * (3.0 * 2 * 90); /* seeds of two epochs of 90 images */
    assert_true(whole > trainings && left_last > 0);
    assert_int_equal(count_lines("(finished before)"), 0);
    assert_int_equal(table.n_comparisons, 3);
    /* Threads and latency are no reason to train; the search does not depend on them either. */
    expect(mdl_config_assign(&config, "run.threads=2"), MDL_OK);
    expect(run(&table), MDL_OK);
    assert_int_equal(count_lines("(finished before)"), 2 + 6 + 2);
    assert_true(left == 0 && left_last == 0);
    /* Another search, on the same trainings, and with as many threads as at first: what one of them
     * does beside the network costs the more images, the more there are. */
    expect(mdl_config_assign(&config, "run.threads=1"), MDL_OK);
    expect(mdl_config_assign(&config, "merge.evaluations=6"), MDL_OK);
    expect(run(&table), MDL_OK);
    assert_int_equal(count_lines("train the hybrid (finished before)"), 2);
    assert_int_equal(count_lines("(finished before)"), 2 + 1);  /* and the candidates' scores */
    assert_true(left > 0 && left < whole + 2 * 30 - trainings); /* two children more */
    assert_int_equal(count_done("test split"), 1);
    /* Another training: everything. */
    expect(mdl_config_assign(&config, "optim.lr=0.02"), MDL_OK);
    expect(run(&table), MDL_OK);
    assert_int_equal(count_lines("(finished before)"), 0);
}

static void take_away(const char *name)
{
    char path[MDL_PATH_MAX];
    assert_true(exists(name));
    expect(mdl_path(path, sizeof(path), folder, "%s", name), MDL_OK);
    expect(mdl_remove_file(path), MDL_OK);
}

static void damaged_record_runs_again(void **state)
{
    (void)state;
    char path[MDL_PATH_MAX];
    expect(mdl_config_assign(&config, "experiment.hybrid=false"), MDL_OK);
    expect(run(&table), MDL_OK);
    expect(mdl_path(path, sizeof(path), folder, "A-seed1/step.json"), MDL_OK);
    expect(mdl_file_write(path, "{\"depends\": 3, \"done\": tr", 25), MDL_OK);
    take_away("A-seed2/final.safetensors");
    expect(run(&again), MDL_OK);
    assert_int_equal(count_lines("train the baseline (finished before)"), 0);
    assert_int_equal(count_done("test split"), 0); /* the same weights came out */
    assert_true(find(&table, "baseline.mean")->top1 == find(&again, "baseline.mean")->top1);
}

/* Stopped at every stage in turn, it arrives at the same table. */
static void interrupted_it_goes_on(void **state)
{
    (void)state;
    expect(mdl_config_assign(&config, "experiment.baseline=false"), MDL_OK);
    expect(run(&table), MDL_OK);
    scratch_remove(folder);
    size_t interrupted = 0;
    for (stop_after = 1; stop_after <= 6; stop_after++) {
        mdl_status status = run(&again);
        if (status != MDL_OK)
            expect(status, MDL_CANCELLED);
        interrupted += status == MDL_CANCELLED;
        mdl_context_reset(mdl_context_current());
    }
    assert_true(interrupted >= 4); /* two trainings, the search, the test split at least */
    stop_after = 0;
    expect(run(&again), MDL_OK);
    for (size_t i = 0; i < table.n_rows; i++)
        assert_true(table.rows[i].top1 == again.rows[i].top1);
}

static void what_cannot_be_is_refused(void **state)
{
    (void)state;
    expect(mdl_config_assign(&config, "data.validation_fraction=0"), MDL_OK);
    expect(run(&table), MDL_CONFIG);
    assert_non_null(strstr(mdl_error_detail(), "data.validation_fraction"));
    expect(mdl_config_assign(&config, "data.validation_fraction=0.2"), MDL_OK);
    expect(mdl_config_assign(&config, "experiment.baseline=false"), MDL_OK);
    expect(mdl_config_assign(&config, "experiment.hybrid=false"), MDL_OK);
    expect(run(&table), MDL_CONFIG);
    assert_non_null(strstr(mdl_error_detail(), "nothing to do"));
    expect(mdl_config_assign(&config, "experiment.hybrid=true"), MDL_OK);
    expect(mdl_config_assign(&config, "experiment.matched=true"), MDL_OK);
    expect(run(&table), MDL_CONFIG);
    assert_non_null(strstr(mdl_error_detail(), "experiment.matched"));
    expect(mdl_config_assign(&config, "experiment.trunk_epochs=1"), MDL_OK);
    expect(mdl_config_assign(&config, "experiment.control_tokens=true"), MDL_OK);
    expect(run(&table), MDL_CONFIG);
    assert_non_null(strstr(mdl_error_detail(), "experiment.independent"));
}

static void use_trunk(void)
{
    static const char *const sets[] = {"experiment.baseline=false",
                                       "experiment.trunk_epochs=2",
                                       "experiment.children=2",
                                       "experiment.child_epochs=1",
                                       "experiment.epochs_merged=0",
                                       "experiment.matched=true",
                                       "experiment.independent=2",
                                       "experiment.control_mlp_head=true",
                                       "experiment.control_no_recursion=true",
                                       "experiment.control_tokens=true",
                                       "experiment.interpolation_points=3",
                                       "experiment.corrupt_images=0",
                                       "experiment.tta_images=0",
                                       "train.epochs=1"};
    for (size_t i = 0; i < MDL_COUNT(sets); i++)
        expect(mdl_config_assign(&config, sets[i]), MDL_OK);
}

static const mdl_comparison *find_test(const mdl_table *in, const char *first, const char *second)
{
    for (size_t i = 0; i < in->n_comparisons; i++) {
        const mdl_comparison *c = &in->comparisons[i];
        if (strcmp(c->first, first) == 0 && strcmp(c->second, second) == 0)
            return c;
    }
    fail_msg("there is no test of %s against %s", first, second);
    return NULL;
}

/* The number behind "key": in a JSON file of the experiment. */
static long number_in(const char *name, const char *key)
{
    char path[MDL_PATH_MAX], *text;
    size_t size;
    expect(mdl_path(path, sizeof(path), folder, "%s", name), MDL_OK);
    expect(mdl_file_read(path, 0, &text, &size), MDL_OK);
    const char *at = strstr(text, key);
    long value = at != NULL ? strtol(at + strlen(key) + 3, NULL, 10) : -1;
    mdl_free(text);
    return value;
}

/* Whether a child is the one whose last weights or EMA are the best parent. */
static bool is_best(const mdl_table *in, const char *id)
{
    const mdl_row *row = find(in, id);
    return row->kind == MDL_ROW_PARENT &&
           strcmp(find(in, "hybrid.best-parent")->from[0], row->from[0]) == 0;
}

static void trunk_and_branches(void **state)
{
    (void)state;
    static const char *const rows[] = {"hybrid.mean",
                                       "hybrid.m2n2",
                                       "hybrid.best-parent",
                                       "hybrid.average",
                                       "hybrid.ensemble",
                                       "hybrid.parent.child-1",
                                       "hybrid.parent.child-2",
                                       "hybrid.trunk",
                                       "hybrid.matched",
                                       "hybrid.independent.seed-21",
                                       "hybrid.independent.seed-22",
                                       "hybrid.independent-average",
                                       "hybrid.independent-aligned",
                                       "hybrid.control.mlp-head",
                                       "hybrid.control.no-recursion",
                                       "hybrid.control.grid-tokens"};
    static const char *const seconds[] = {"hybrid.best-parent",    "hybrid.average",
                                          "hybrid.ensemble",       "hybrid.parent.child-1",
                                          "hybrid.parent.child-2", "hybrid.matched"};
    use_trunk();
    expect(run(&table), MDL_OK);
    for (size_t i = 0; i < MDL_COUNT(rows); i++) {
        const mdl_row *row = find(&table, rows[i]);
        assert_true(row->top1 >= 0);
        if (row->n_each > 1) /* children of one trunk are no sample */
            assert_true(isnan(row->low) && isnan(row->high));
        else
            assert_true(row->low <= row->top1 && row->top1 <= row->high);
        assert_string_equal(row->arm, "hybrid");
    }
    for (size_t i = 0; i < MDL_COUNT(seconds); i++)
        if (strcmp(seconds[i], "hybrid.best-parent") == 0 || !is_best(&table, seconds[i]))
            assert_true(find_test(&table, "hybrid.m2n2", seconds[i])->test == MDL_TEST_MCNEMAR);
    /* The best parent is tested once, though it has two rows. */
    for (size_t i = 0; i < table.n_comparisons; i++)
        assert_false(is_best(&table, table.comparisons[i].second));
    find_test(&table, "hybrid.independent.seed-21", "hybrid.control.mlp-head");
    find_test(&table, "hybrid.independent.seed-21", "hybrid.control.grid-tokens");
    assert_int_equal(number_in("B-trunk/step.json", "epochs"), 2);
    assert_int_equal(number_in("B-child2/step.json", "epochs"), 1);
    assert_int_equal(number_in("B-matched/step.json", "epochs"), 2 + 2 * 1);
    assert_int_equal(number_in("B-seed21/step.json", "epochs"), 1);
    assert_true(exists("interpolation.json") && exists("C-hybrid/child-1.json"));
    const mdl_finding *last = &table.findings[table.n_findings - 1];
    assert_true(last->code == MDL_FINDING_SHARED_TRUNK && last->value[0] == 2);
    /* The MLP head has the hybrid's size, to half a hidden channel. */
    double hybrid = (double)find(&table, "hybrid.mean")->parameters;
    double head = (double)find(&table, "hybrid.control.mlp-head")->parameters;
    assert_true(head - hybrid < 700 && hybrid - head < 700);
    assert_int_equal(find(&table, "hybrid.control.no-recursion")->parameters,
                     find(&table, "hybrid.mean")->parameters);
    assert_true(find(&table, "hybrid.control.no-recursion")->multiply_adds <
                find(&table, "hybrid.mean")->multiply_adds);
    /* Children start from the trunk, not anew: both have its time in theirs. */
    assert_true(find(&table, "hybrid.parent.child-1")->train_seconds >
                find(&table, "hybrid.trunk")->train_seconds);

    expect(run(&again), MDL_OK);
    assert_int_equal(count_lines("train the"), count_lines("train the hybrid (finished before)"));
    assert_int_equal(count_done("test split"), 0);
    assert_int_equal(count_done("between trainings"), 0);
    for (size_t i = 0; i < table.n_rows; i++)
        assert_true(table.rows[i].top1 == again.rows[i].top1);
    /* Another restart: the children again, the trunk not. */
    expect(mdl_config_assign(&config, "experiment.child_lr=0.5"), MDL_OK);
    expect(run(&again), MDL_OK);
    assert_int_equal(count_lines("trunk: train the hybrid (finished before)"), 1);
    assert_int_equal(count_lines("child 1 of 2: train the hybrid (finished before)"), 0);
    assert_int_equal(count_lines("compute-matched run: train the hybrid (finished before)"), 1);
    /* Another trunk: all that comes from it, the others not. */
    expect(mdl_config_assign(&config, "experiment.trunk_final=0.5"), MDL_OK);
    expect(run(&again), MDL_OK);
    assert_int_equal(count_lines("child 2 of 2: train the hybrid (finished before)"), 0);
    assert_int_equal(count_lines("independent seed 1 of 2: train the hybrid (finished before)"), 1);
}

static void interrupted_branches_go_on(void **state)
{
    (void)state;
    size_t interrupted = 0;
    use_trunk();
    expect(run(&table), MDL_OK);
    scratch_remove(folder);
    for (stop_after = 2; stop_after <= 18; stop_after += 4) {
        mdl_status status = run(&again);
        if (status != MDL_OK)
            expect(status, MDL_CANCELLED);
        interrupted += status == MDL_CANCELLED;
        mdl_context_reset(mdl_context_current());
    }
    assert_true(interrupted >= 4);
    stop_after = 0;
    expect(run(&again), MDL_OK);
    assert_int_equal(table.n_rows, again.n_rows);
    for (size_t i = 0; i < table.n_rows; i++)
        assert_true(table.rows[i].top1 == again.rows[i].top1 &&
                    table.rows[i].loss == again.rows[i].loss);
}

static void copy_file(const char *from, const char *to)
{
    char path[MDL_PATH_MAX], *text;
    size_t size;
    expect(mdl_path(path, sizeof(path), folder, "%s", from), MDL_OK);
    expect(mdl_file_read(path, 0, &text, &size), MDL_OK);
    expect(mdl_path(path, sizeof(path), folder, "%s", to), MDL_OK);
    expect(mdl_file_write(path, text, size), MDL_OK);
    mdl_free(text);
}

static bool same_file(const char *first, const char *second)
{
    const char *const names[2] = {first, second};
    char path[MDL_PATH_MAX], *text[2];
    size_t size[2];
    for (size_t i = 0; i < 2; i++) {
        expect(mdl_path(path, sizeof(path), folder, "%s", names[i]), MDL_OK);
        expect(mdl_file_read(path, 0, &text[i], &size[i]), MDL_OK);
    }
    bool same = size[0] == size[1] && memcmp(text[0], text[1], size[0]) == 0;
    mdl_free(text[0]);
    mdl_free(text[1]);
    return same;
}

/* A parent that was made again elsewhere is another one: what was saved of the search does not
 * count (as what an older version saved, or it would be refused for ever). */
static void search_of_others_begins_again(void **state)
{
    (void)state;
    expect(mdl_config_assign(&config, "experiment.baseline=false"), MDL_OK);
    expect(run(&table), MDL_OK);
    copy_file("C-hybrid/lineage.jsonl", "before");
    copy_file("B-seed2/final.safetensors", "B-seed1/final.safetensors");
    take_away("C-hybrid/merged.safetensors");
    expect(run(&again), MDL_OK);
    assert_true(exists("C-hybrid/merged.safetensors"));
    assert_false(same_file("before", "C-hybrid/lineage.jsonl"));
}

/* Put `to` for the first `from`, which is as long, in a JSON file of the experiment. */
static void replace_in(const char *name, const char *from, const char *to)
{
    char path[MDL_PATH_MAX], *text;
    size_t size;
    expect(mdl_path(path, sizeof(path), folder, "%s", name), MDL_OK);
    expect(mdl_file_read(path, 0, &text, &size), MDL_OK);
    char *at = strstr(text, from);
    assert_non_null(at);
    memcpy(at, to, strlen(from));
    expect(mdl_file_write(path, text, size), MDL_OK);
    mdl_free(text);
}

/* experiment.methods: a row, a folder and a record each; and the rows beside C, which go on where
 * they were cut off. */
static void other_methods_have_rows(void **state)
{
    (void)state;
    static const char *const ids[] = {"hybrid.method.ga", "hybrid.method.random",
                                      "hybrid.method.line", "hybrid.method.ties",
                                      "hybrid.method.dare"};
    static const char *const titles[] = {"GA", "random search", "SLERP, best of the line", "TIES",
                                         "DARE"};
    static const char *const folders[] = {"ga", "random", "line", "ties", "dare"};
    static const char *const refused[][2] = {{"experiment.methods=ga,gaa", "no method 'gaa'"},
                                             {"experiment.methods=cma-es", "from random weights"},
                                             {"experiment.methods=ga-no-crossover", "mutation"}};
    static const char *const without[] = {
        "experiment.independent=0",          "experiment.matched=false",
        "experiment.interpolation_points=0", "experiment.control_mlp_head=false",
        "experiment.trunk_epochs=1",         "experiment.control_no_recursion=false",
        "experiment.control_tokens=false"};
    char name[MDL_PATH_MAX], line[128];
    use_trunk();
    for (size_t i = 0; i < MDL_COUNT(without); i++)
        expect(mdl_config_assign(&config, without[i]), MDL_OK);
    expect(mdl_config_assign(&config, "experiment.methods=ga, random,line,ties dare"), MDL_OK);
    expect(run(&table), MDL_OK);
    for (size_t i = 0; i < MDL_COUNT(titles); i++) {
        const mdl_row *row = find(&table, ids[i]);
        assert_int_equal(row->kind, MDL_ROW_METHOD);
        assert_true(row->top1 >= 0 && row->low <= row->top1 && row->top1 <= row->high);
        assert_true(row->train_seconds > find(&table, "hybrid.trunk")->train_seconds);
        assert_int_equal(row->evaluations, i < 3 ? 4 : 0);
        snprintf(name, sizeof(name), "C-hybrid/%s/merged.safetensors", folders[i]);
        assert_true(exists(name));
        snprintf(name, sizeof(name), "C-hybrid/%s/lineage.jsonl", folders[i]);
        assert_int_equal(exists(name), i < 3);
        assert_true(find_test(&table, "hybrid.m2n2", ids[i])->test == MDL_TEST_MCNEMAR);
    }
    assert_int_equal(strncmp(find(&table, ids[2])->from[0], "child 1, ", 9), 0);
    assert_int_equal(strncmp(find(&table, ids[2])->from[1], "child 2, ", 9), 0);
    assert_false(same_file("C-hybrid/ga/merged.safetensors", "C-hybrid/ties/merged.safetensors"));

    /* Cut off behind the first child: that one stays as it is, even if it is wrong; the second is
     * made again. */
    copy_file("C-hybrid/child-2.safetensors", "second");
    copy_file("second", "C-hybrid/child-1.safetensors");
    copy_file("config.yaml", "C-hybrid/child-2.safetensors");
    replace_in("C-hybrid/child-2.json", "\"done\": true", "\"done\": null");
    expect(run(&again), MDL_OK);
    assert_true(same_file("second", "C-hybrid/child-1.safetensors"));
    assert_true(same_file("second", "C-hybrid/child-2.safetensors"));
    for (size_t i = 0; i < MDL_COUNT(titles); i++) {
        snprintf(line, sizeof(line), "C, hybrid: %s (finished before)", titles[i]);
        assert_int_equal(count_lines(line), 1);
        assert_true(find(&table, ids[i])->top1 == find(&again, ids[i])->top1);
    }

    /* What was taken away is made again, and is the same. */
    copy_file("C-hybrid/merged.safetensors", "fused");
    copy_file("C-hybrid/ties/merged.safetensors", "ties");
    copy_file("C-hybrid/soup.safetensors", "soup");
    take_away("C-hybrid/merged.safetensors");
    take_away("C-hybrid/ties/merged.safetensors");
    take_away("C-hybrid/soup.safetensors");
    expect(run(&again), MDL_OK);
    assert_true(same_file("fused", "C-hybrid/merged.safetensors"));
    assert_true(same_file("ties", "C-hybrid/ties/merged.safetensors"));
    assert_true(same_file("soup", "C-hybrid/soup.safetensors"));

    /* A mistake is found before anything is done, and the table stays. */
    for (size_t i = 0; i < MDL_COUNT(refused); i++) {
        expect(mdl_config_assign(&config, refused[i][0]), MDL_OK);
        expect(run(&again), MDL_CONFIG);
        assert_non_null(strstr(mdl_error_detail(), refused[i][1]));
        assert_true(exists("table.json"));
    }
    /* A run that does not come to its end leaves no table of another. */
    expect(mdl_config_assign(&config, "experiment.methods=ga"), MDL_OK);
    take_away("test.json");
    expect(mdl_path(name, sizeof(name), folder, "test.json"), MDL_OK);
    expect(mdl_make_folders(name), MDL_OK); /* which cannot be read as a file */
    assert_true(run(&again) != MDL_OK);
    assert_false(exists("table.json"));
}

static void repeats_are_paired(void **state)
{
    (void)state;
    use_trunk();
    static const char *const sets[] = {"experiment.repeats=3",
                                       "experiment.independent=0",
                                       "experiment.control_mlp_head=false",
                                       "experiment.control_no_recursion=false",
                                       "experiment.control_tokens=false",
                                       "experiment.interpolation_points=0"};
    for (size_t i = 0; i < MDL_COUNT(sets); i++)
        expect(mdl_config_assign(&config, sets[i]), MDL_OK);
    expect(run(&table), MDL_OK);
    const mdl_row *fused = find(&table, "hybrid.m2n2");
    const mdl_row *parent = find(&table, "hybrid.best-parent");
    const mdl_comparison *c = find_test(&table, fused->id, parent->id);
    assert_true(c->test == MDL_TEST_PAIRED && fused->n_each == 3 && parent->n_each == 3);
    double mean = 0;
    for (size_t i = 0; i < 3; i++)
        mean += (fused->each_top1[i] - parent->each_top1[i]) / 3;
    assert_true(mean - c->difference < 1e-12 && c->difference - mean < 1e-12);
    assert_true(c->sign_flip_p >= 0.25 && c->sign_flip_p <= 1); /* 2^(1 - 3) at least */
    find_test(&table, fused->id, "hybrid.average");
    find_test(&table, fused->id, "hybrid.matched");
    assert_true(exists("repeat-3/table.json") && exists("table.json") && exists("config.yaml"));
    expect(run(&again), MDL_OK);
    assert_int_equal(count_done("test split"), 0);
    mdl_table read;
    expect(mdl_table_read(folder, &read), MDL_OK);
    assert_true(read.kind == MDL_TABLE_REPEATS && read.repeats == 3 && read.n_rows == table.n_rows);
    mdl_table_free(&read);
}

/* The paper's experiment: each method has a row, its published value, and runs of its own. */
static void from_scratch(void **state)
{
    (void)state;
    char path[MDL_PATH_MAX];
    static const char *const sets[] = {"data.source=digits",
                                       "data.size=native",
                                       "data.normalize=none",
                                       "model.kind=mlp",
                                       "model.hidden=8",
                                       "model.mlp_init=normal",
                                       "model.mlp_init_scale=0.01",
                                       "merge.from_scratch=2",
                                       "merge.evaluations=40",
                                       "merge.batch=1",
                                       "merge.mutation=0.01",
                                       "merge.fitness=train",
                                       "merge.crossover_point=flat",
                                       "merge.slerp_all=true",
                                       "merge.final=accuracy",
                                       "data.validation_fraction=0"};
    for (size_t i = 0; i < MDL_COUNT(sets); i++)
        expect(mdl_config_assign(&config, sets[i]), MDL_OK);
    expect(run(&table), MDL_OK);
    assert_int_equal(table.n_rows, 9);
    assert_int_equal(table.n_comparisons, 8);
    assert_string_equal(table.rows[0].id, "method.m2n2");
    assert_string_equal(table.rows[4].id, "method.ga");
    assert_true(table.rows[4].published == 0.68);
    expect(mdl_config_assign(&config, "run.threads=3"), MDL_OK); /* the runs share out otherwise */
    expect(run(&again), MDL_OK);
    assert_int_equal(count_lines("(finished before)"), 18);
    assert_true(table.rows[4].top1 == again.rows[4].top1);

    /* From specialists: two for each pair, no method that needs mutation, the average beside. */
    expect(mdl_config_assign(&config, "merge.from_scratch=0"), MDL_OK);
    expect(mdl_config_assign(&config, "merge.mutation=0"), MDL_OK);
    expect(mdl_config_assign(&config, "experiment.specialists=true"), MDL_OK);
    expect(mdl_config_assign(&config, "train.epochs=2"), MDL_OK);
    expect(run(&table), MDL_OK);
    assert_int_equal(table.n_rows, 8);
    assert_string_equal(table.rows[7].id, "method.average");
    snprintf(path, sizeof(path), "%s/specialists-seed1/low/final.safetensors", folder);
    assert_true(mdl_file_exists(path));
    assert_true(table.specialists && table.n_findings == 1);
    assert_int_equal(table.findings[0].code, MDL_FINDING_PUBLISHED_ORDER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_table_has_its_rows, setup, teardown),
        cmocka_unit_test_setup_teardown(changes_run_again, setup, teardown),
        cmocka_unit_test_setup_teardown(damaged_record_runs_again, setup, teardown),
        cmocka_unit_test_setup_teardown(search_of_others_begins_again, setup, teardown),
        cmocka_unit_test_setup_teardown(interrupted_it_goes_on, setup, teardown),
        cmocka_unit_test_setup_teardown(what_cannot_be_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(trunk_and_branches, setup, teardown),
        cmocka_unit_test_setup_teardown(interrupted_branches_go_on, setup, teardown),
        cmocka_unit_test_setup_teardown(other_methods_have_rows, setup, teardown),
        cmocka_unit_test_setup_teardown(repeats_are_paired, setup, teardown),
        cmocka_unit_test_setup_teardown(from_scratch, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
