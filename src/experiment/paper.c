/* The experiment of the M2N2 paper (arXiv 2508.16204) on the 8x8 digits: all methods, several runs,
 * from random models (merge.from_scratch) or from pairs of specialists (experiment.specialists).
 * The test accuracy of the member that is best on the fitness images is reported; it decides
 * nothing.  Runs are independent, so each has one thread and several run at once. */
#include "experiment/paper.h"

#include <string.h>

bool mdl__is_paper(const mdl_config *config)
{
    return config->merge.from_scratch > 0 || config->experiment.specialists;
}

/* ---- the plan ------------------------------------------------------------------------------- */

/* The methods of this setting: those whose figures were published, and what they are to be
 * measured against.  Published children are mutated from scratch only. */
static mdl_status list_runs(const mdl_config *config, mdl__paper *paper)
{
    const mdl_merge_config *merge = &config->merge;
    size_t evaluations =
        merge->evaluations > 0 ? merge->evaluations : merge->generations * merge->batch;
    size_t parents = config->experiment.specialists ? 2 : 0, most = mdl_method_count;
    const mdl_circumstances circumstances = {.parents = parents, .mutation = parents == 0};
    MDL_TRY(MDL_NEW(most * config->experiment.seeds, "runs", &paper->runs));
    for (size_t i = 0; i < most * config->experiment.seeds; i++) {
        const mdl_method *m = &mdl_methods[i % most];
        if ((m->flags & MDL_METHOD_PAPER) == 0 || !mdl_method_fits(m, &circumstances, NULL))
            continue;
        MDL_TRY(mdl__check_search(config, m, parents));
        paper->runs[paper->n_runs++] = (mdl__paper_run){
            .method = m, .number = i / most, .total = m->configure != NULL ? evaluations : 0};
    }
    paper->n_methods = paper->n_runs / config->experiment.seeds;
    return MDL_OK;
}

static mdl_status plan_specialist(mdl__lab *lab, size_t pair, size_t half)
{
    static const char *const halves[] = {"low", "high"};
    char folder[MDL_PATH_MAX];
    mdl__step step = {.kind = &mdl__step_specialist, .shift = pair, .number = half};
    MDL_TRY(mdl__specialist_path(lab, lab->config.run.seed + pair, half, "", folder));
    MDL_TRY(mdl__step_name(&step, folder, "step.json", "final.safetensors",
                           "the %s specialist of pair %zu", halves[half], pair + 1));
    return mdl__plan_add(lab, &step);
}

static mdl_status plan_run(mdl__lab *lab, size_t number)
{
    const mdl__paper_run *run = &lab->paper->runs[number];
    char folder[MDL_PATH_MAX];
    mdl__step step = {.kind = &mdl__step_run, .shift = run->number, .number = number};
    MDL_TRY(mdl_path(folder, sizeof(folder), lab->job->out, "%s-seed%llu", run->method->name,
                     (unsigned long long)(lab->config.run.seed + run->number)));
    MDL_TRY(mdl__step_name(&step, folder, "step.json", "merged.safetensors", "%s, run %zu",
                           run->method->title, run->number + 1));
    return mdl__plan_add(lab, &step);
}

mdl_status mdl__plan_paper(mdl__lab *lab)
{
    const mdl_config *config = &lab->config;
    bool specialists = config->experiment.specialists;
    if (specialists && config->merge.from_scratch > 0)
        return mdl_fail(MDL_CONFIG, "experiment.specialists and merge.from_scratch are both set; "
                                    "a search starts from one of them");
    MDL_TRY(MDL_NEW(1, "runs", &lab->paper));
    lab->paper->lab = lab;
    lab->side_by_side = true;
    lab->progress = &lab->paper->untold;
    MDL_TRY(mdl_config_model_text(config, &lab->paper->config_text));
    MDL_TRY(mdl_monitor_create(&lab->paper->monitor));
    MDL_TRY(list_runs(config, lab->paper));
    for (size_t i = 0; specialists && i < 2 * config->experiment.seeds; i++)
        MDL_TRY(plan_specialist(lab, i / 2, i % 2));
    for (size_t i = 0; i < lab->paper->n_runs; i++)
        MDL_TRY(plan_run(lab, i));
    mdl__find_chains(lab);
    return MDL_OK;
}

void mdl__paper_free(mdl__paper *paper)
{
    if (paper == NULL)
        return;
    mdl_free(paper->runs);
    mdl_free(paper->config_text);
    mdl_monitor_destroy(paper->monitor);
    mdl_free(paper);
}

void mdl__paper_begin(const mdl__lab *lab, size_t at_once)
{
    const mdl__paper *paper = lab->paper;
    lab->paper->start = mdl_time();
    mdl__tell(lab, "%zu methods, %zu runs each%s, %zu at a time", paper->n_methods,
              lab->config.experiment.seeds,
              lab->config.experiment.specialists ? " with a pair of specialists" : "", at_once);
}

/* ---- the table ------------------------------------------------------------------------------ */

/* The mean over the runs of a method, the first of which is `run`. */
static mdl_row row_of(const mdl__lab *lab, const mdl__paper_run *run)
{
    const mdl_method *method = run->method;
    const mdl_experiment_config *e = &lab->config.experiment;
    double n = (double)e->seeds;
    double percent = e->specialists ? method->published_specialists : method->published_scratch;
    mdl_row row = {.kind = MDL_ROW_METHOD,
                   .models = e->seeds,
                   .evaluations = run->total,
                   .each = MDL_EACH_RUN,
                   .published = percent / 100}; /* NAN stays */
    snprintf(row.what, sizeof(row.what), "%s", method->name);
    snprintf(row.id, sizeof(row.id), "method.%s", row.what);
    for (; row.n_each < e->seeds; run += lab->paper->n_methods) {
        row.each_top1[row.n_each++] = run->top1;
        row.top1 += run->top1 / n;
        row.loss += run->loss / n;
        row.train_seconds += run->seconds / n;
    }
    return row;
}

/* The methods' runs of one seed share a pair of specialists, or from scratch the first models. */
mdl_status mdl__paper_results(const mdl__lab *lab, mdl_table *table)
{
    const mdl__paper *paper = lab->paper;
    table->kind = MDL_TABLE_PAPER;
    table->images = lab->data->count[MDL_SPLIT_TEST];
    table->specialists = lab->config.experiment.specialists;
    table->evaluations = paper->runs[0].total;
    mdl__data_word(lab->config.data.source, table);
    for (size_t m = 0; m < paper->n_methods; m++) {
        mdl_row row = row_of(lab, &paper->runs[m]);
        MDL_TRY(mdl_table_add_row(table, &row));
    }
    for (size_t m = 1; m < paper->n_methods; m++)
        MDL_TRY(mdl_table_compare_pairs(table, table->rows[0].id, table->rows[m].id));
    return mdl_table_conclude(table);
}
