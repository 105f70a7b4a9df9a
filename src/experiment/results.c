/* Rows and tests of the table, from the models that were evaluated.  Which are compared, the table
 * of kinds says. */
#include "experiment/run.h"

#include <math.h>
#include <string.h>

void mdl__data_word(const char *source, mdl_table *table)
{
    snprintf(table->data, sizeof(table->data), "%.*s",
             (int)mdl_min_size(strcspn(source, ":"), sizeof(table->data) - 1), source);
}

/* ---- rows ----------------------------------------------------------------------------------- */

/* Whether a training is part of an entry that is made of several. */
static bool is_part(const mdl__training *t, const mdl__entry *entry)
{
    if (mdl__entry_of(entry) == MDL__OF_INDEPENDENT)
        return t->role == MDL__ROLE_INDEPENDENT;
    return t->role == MDL__ROLE_TRUNK || t->role == MDL__ROLE_SEED || t->role == MDL__ROLE_CHILD;
}

/* All computing that went into an entry; a child has its trunk's in it. */
static double seconds_of(const mdl__arm *arm, const mdl__entry *entry)
{
    const mdl__training *t = entry->training;
    double sum = 0;
    if (t != NULL)
        sum = t->seconds + (t->role == MDL__ROLE_CHILD ? arm->trunk->seconds : 0);
    for (size_t i = 0; t == NULL && i < arm->n_trainings; i++)
        sum += is_part(&arm->trainings[i], entry) ? arm->trainings[i].seconds : 0;
    return sum + entry->seconds;
}

/* The mean over the entries of its seeds or children. */
static void fill_mean(const mdl__arm *arm, mdl_row *row)
{
    double n = (double)arm->n_parents;
    row->top1 = row->loss = 0;
    row->each = arm->trunk != NULL ? MDL_EACH_CHILD : MDL_EACH_SEED;
    for (size_t i = 0; i < arm->n_entries; i++) {
        const mdl_row *seed = &arm->entries[i].row;
        if (seed->kind != MDL_ROW_SEED)
            continue;
        row->top1 += seed->top1 / n;
        row->loss += seed->loss / n;
        row->ema += seed->ema;
        row->each_top1[row->n_each++] = seed->top1;
    }
    row->models = row->n_each;
    if (arm->trunk == NULL)
        row->train_seconds /= n;
}

static void fill_row(const mdl__arm *arm, const mdl__entry *entry, mdl_row *row)
{
    const mdl__training *t = entry->training != NULL ? entry->training : &arm->parents[0];
    mdl__of of = mdl__entry_of(entry);
    size_t networks = of == MDL__OF_LOGITS ? arm->n_parents : 1;
    double n = (double)networks;
    bool measured = row->kind != MDL_ROW_CONTROL; /* another network than the arm's */
    *row = entry->row;
    row->parameters = t->parameters * networks;
    row->multiply_adds = t->multiply_adds * n;
    row->latency = measured ? arm->latency.median * n : 0;
    row->latency_p95 = measured ? arm->latency.p95 * n : 0;
    row->train_seconds = seconds_of(arm, entry);
    if (of == MDL__OF_BEST) /* the best of so many */
        row->models = arm->n_candidates;
    else if (of != MDL__OF_ONE)
        row->models = mdl__source_count(arm, entry);
    row->shares_trunk = arm->trunk != NULL && of != MDL__OF_INDEPENDENT &&
                        (entry->training == NULL || t->role == MDL__ROLE_CHILD);
    for (size_t i = 0; of == MDL__OF_TWO && i < 2; i++)
        memcpy(row->from[i], arm->candidates[arm->parents[i].best].row.from[0],
               sizeof(row->from[i]));
    if (of == MDL__OF_ARM)
        fill_mean(arm, row);
}

static bool has_row(const mdl__entry *entry)
{
    return entry->row.kind == MDL_ROW_MEAN || entry->correct != NULL;
}

static mdl_status add_rows(const mdl__lab *lab, mdl_table *table)
{
    for (size_t a = 0; a < lab->n_arms; a++) {
        const mdl__arm *arm = &lab->arms[a];
        for (size_t i = 0; i < arm->n_entries; i++) {
            mdl_row row = arm->entries[i].row;
            if (!has_row(&arm->entries[i]))
                continue;
            fill_row(arm, &arm->entries[i], &row);
            MDL_TRY(mdl_table_add_row(table, &row));
        }
    }
    return MDL_OK;
}

/* ---- tests ---------------------------------------------------------------------------------- */

static mdl_status compare(mdl_table *table, const mdl__entry *first, const mdl__entry *second)
{
    if (first == NULL || second == NULL || first->correct == NULL || second->correct == NULL)
        return MDL_OK;
    return mdl_table_compare_models(table, first->row.id, second->row.id, first->correct,
                                    second->correct, table->images);
}

/* The best parent has a row of its own; as a child of the trunk it is not tested again. */
static bool is_best_again(const mdl__arm *arm, const mdl__entry *entry)
{
    return entry->row.kind == MDL_ROW_PARENT && entry->training->best == arm->best;
}

/* The winner of M2N2 against all that stand beside it, and the first independent seed against the
 * controls, which are trained with its seed. */
static mdl_status compare_in_arm(mdl_table *table, const mdl__arm *arm)
{
    const mdl__entry *winner = mdl__entry_find(arm, MDL_ROW_M2N2);
    const mdl__entry *seed =
        mdl__entry_find(arm, arm->trunk == NULL ? MDL_ROW_SEED : MDL_ROW_INDEPENDENT);
    for (size_t i = 0; i < arm->n_entries; i++) {
        const mdl__entry *entry = &arm->entries[i];
        const mdl__kind *kind = &mdl__kinds[entry->row.kind];
        if (kind->beside_winner && !is_best_again(arm, entry))
            MDL_TRY(compare(table, winner, entry));
        if (kind->beside_seed)
            MDL_TRY(compare(table, seed, entry));
    }
    return MDL_OK;
}

/* The hybrid against the baseline: as recipes where their seeds are independent, else as models. */
static mdl_status compare_arms(mdl_table *table, const mdl__arm *baseline, const mdl__arm *hybrid)
{
    const mdl__entry *parent = mdl__entry_find(baseline, MDL_ROW_BEST_PARENT);
    const mdl__entry *winner = mdl__entry_find(hybrid, MDL_ROW_M2N2);
    if (hybrid->trunk != NULL) { /* children of one trunk are no sample */
        MDL_TRY(compare(table, mdl__entry_find(hybrid, MDL_ROW_BEST_PARENT), parent));
        MDL_TRY(compare(table, winner, mdl__entry_find(baseline, MDL_ROW_M2N2)));
    }
    return compare(table, winner, parent);
}

static mdl_status add_tests(const mdl__lab *lab, mdl_table *table)
{
    const mdl__arm *hybrid = &lab->arms[lab->n_arms - 1];
    bool both = lab->n_arms == 2;
    if (both && hybrid->trunk == NULL)
        MDL_TRY(mdl_table_compare_seeds(table, mdl__entry_find(hybrid, MDL_ROW_MEAN)->row.id,
                                        mdl__entry_find(&lab->arms[0], MDL_ROW_MEAN)->row.id));
    for (size_t a = lab->n_arms; a-- > 0;)
        MDL_TRY(compare_in_arm(table, &lab->arms[a]));
    return both ? compare_arms(table, &lab->arms[0], hybrid) : MDL_OK;
}

/* How many versions or instruction sets made the steps, as far as they say so. */
static size_t count_programs(const mdl__lab *lab)
{
    size_t count = 0;
    for (size_t i = 0; i < lab->n_steps; i++) {
        size_t k = 0;
        while (k < i && strcmp(lab->steps[k].by, lab->steps[i].by) != 0)
            k++;
        count += k == i && lab->steps[i].by[0] != '\0';
    }
    return count;
}

mdl_status mdl__find_mixed(size_t programs, mdl_table *table)
{
    mdl_finding mixed = {.code = MDL_FINDING_MIXED, .value = {(double)programs, 0}};
    return programs > 1 ? mdl_table_add_finding(table, &mixed) : MDL_OK;
}

mdl_status mdl__results(const mdl__lab *lab, mdl_table *table)
{
    size_t epochs = lab->config.experiment.trunk_epochs;
    mdl_finding shared = {.code = MDL_FINDING_SHARED_TRUNK, .value = {(double)epochs, 0}};
    table->kind = MDL_TABLE_EXPERIMENT;
    table->images = lab->data->count[MDL_SPLIT_TEST];
    mdl__data_word(lab->config.data.source, table);
    MDL_TRY(add_rows(lab, table));
    MDL_TRY(add_tests(lab, table));
    MDL_TRY(mdl_table_conclude(table));
    MDL_TRY(mdl__find_mixed(count_programs(lab), table));
    return epochs > 0 ? mdl_table_add_finding(table, &shared) : MDL_OK;
}

/* ---- over repeats --------------------------------------------------------------------------- */

/* The mean of a row over the repeats, where all have it. */
static mdl_status add_mean(const mdl_table *tables, size_t n, const mdl_row *like, mdl_table *table)
{
    mdl_row mean = *like;
    double repeats = (double)n;
    mean.top1 = mean.loss = mean.train_seconds = mean.latency = mean.latency_p95 = 0;
    mean.each = MDL_EACH_REPEAT;
    mean.n_each = n;
    for (size_t i = 0; i < n; i++) {
        const mdl_row *one = mdl_table_find(&tables[i], like->id);
        if (one == NULL)
            return MDL_OK;
        mean.each_top1[i] = one->top1;
        mean.top1 += one->top1 / repeats;
        mean.loss += one->loss / repeats;
        mean.train_seconds += one->train_seconds / repeats;
        mean.latency += one->latency / repeats;
        mean.latency_p95 += one->latency_p95 / repeats;
    }
    return mdl_table_add_row(table, &mean);
}

mdl_status mdl__results_over_repeats(const mdl_table *tables, size_t n, mdl_table *table)
{
    table->kind = MDL_TABLE_REPEATS;
    table->images = tables[0].images;
    table->repeats = n;
    memcpy(table->data, tables[0].data, sizeof(table->data));
    for (size_t i = 0; i < tables[0].n_rows; i++)
        MDL_TRY(add_mean(tables, n, &tables[0].rows[i], table));
    for (size_t i = 0; i < tables[0].n_comparisons; i++) {
        const mdl_comparison *like = &tables[0].comparisons[i];
        const mdl_row *first = mdl_table_find(table, like->first),
                      *second = mdl_table_find(table, like->second);
        /* Children of a trunk have no order among repeats; the best of them has. */
        if (like->test == MDL_TEST_MCNEMAR && first != NULL && second != NULL &&
            second->kind != MDL_ROW_PARENT)
            MDL_TRY(mdl_table_compare_pairs(table, like->first, like->second));
    }
    MDL_TRY(mdl_table_conclude(table));
    size_t programs = 0; /* of the repeat that has most */
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < tables[i].n_findings; k++)
            if (tables[i].findings[k].code == MDL_FINDING_MIXED)
                programs = mdl_max_size(programs, (size_t)tables[i].findings[k].value[0]);
    return mdl__find_mixed(programs, table);
}
