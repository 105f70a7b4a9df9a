/* Names and notes of rows, words for tests, and numbers as people read them. */
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "report/say.h"

/* ---- numbers -------------------------------------------------------------------------------- */

void mdl__append(char *out, size_t size, const char *format, ...)
{
    size_t used = strlen(out);
    va_list args;
    va_start(args, format);
    vsnprintf(out + used, size - used, format, args);
    va_end(args);
}

void mdl__capitals(char *lines)
{
    for (bool first = true; *lines != '\0'; first = *lines++ == '\n')
        if (first && *lines >= 'a' && *lines <= 'z')
            *lines = (char)(*lines - 'a' + 'A');
}

const char *mdl__say_count(double count, char out[32])
{
    static const char *const units[] = {"", " k", " M", " G", " T"};
    size_t unit = 0;
    for (; count >= 1000 && unit + 1 < MDL_COUNT(units); unit++)
        count /= 1000;
    out[0] = '\0';
    if (count > 0)
        snprintf(out, 32, "%.4g%s", count, units[unit]);
    return out;
}

const char *mdl__say_latency(double seconds, int decimals, char out[64])
{
    snprintf(out, 64, "%s", isnan(seconds) ? "busy" : "");
    if (seconds > 0)
        snprintf(out, 64, "%.*f", decimals, 1e3 * seconds);
    return out;
}

/* ---- rows ----------------------------------------------------------------------------------- */

/* Words in braces are of the row's own facts: see say_fact. */
static const struct {
    const char *name; /* NULL: what the row's own field says */
    mdl__purpose purpose;
    const char *note;
} kinds[MDL_ROW_KINDS] = {
    [MDL_ROW_MEAN] = {"mean", MDL__TRAINED, "{mean}"},
    [MDL_ROW_SEED] = {NULL, MDL__TRAINED, "{from}, as it was trained"},
    [MDL_ROW_M2N2] = {"M2N2", MDL__MERGED,
                      "{models} parent{s}{trunk}, {evaluations} evaluated children{kept}"},
    [MDL_ROW_BEST_PARENT] = {"best parent", MDL__COMPARED,
                             "{from}: the best of {models} on the validation split{again}"},
    [MDL_ROW_AVERAGE] = {"uniform average", MDL__COMPARED,
                         "of all {models} parents, with equal weights"},
    [MDL_ROW_SOUP] = {"greedy soup", MDL__COMPARED,
                      "an average that takes in one parent after another while it helps on the "
                      "validation split"},
    [MDL_ROW_SLERP] = {"SLERP midpoint", MDL__COMPARED, "half-way between {from} and {second}"},
    [MDL_ROW_ENSEMBLE] =
        {"logit ensemble", MDL__COMPARED,
         "no merge: {models} {members} answer each image, and the mean of their logits counts"},
    [MDL_ROW_PARENT] = {NULL, MDL__TRAINED, "{from}{again}"},
    [MDL_ROW_TRUNK] = {"trunk", MDL__TRAINED, "{epochs} epoch{es}, its learning rate not yet down"},
    [MDL_ROW_MATCHED] = {"one long training", MDL__CONTROLS,
                         "{epochs} epochs, as many as trunk and children{again}"},
    [MDL_ROW_INDEPENDENT] = {NULL, MDL__CONTROLS, "one training of {epochs} epochs, of no trunk"},
    [MDL_ROW_INDEPENDENT_AVERAGE] = {"independent average", MDL__CONTROLS,
                                     "of {models} independent seeds: the negative control"},
    [MDL_ROW_INDEPENDENT_ALIGNED] = {"independent aligned average", MDL__CONTROLS,
                                     "the same, their channels aligned by weights before"},
    [MDL_ROW_CONTROL] = {NULL, MDL__CONTROLS, "{control}one training of {epochs} epochs"},
    [MDL_ROW_METHOD] = {NULL, MDL__COMPARED, "{method}{searched}{found}"},
};
static const struct control {
    const char *what, *name, *note;
} controls[] = {
    {"mlp-head", "MLP head", "a plain MLP of the recursive head's size in its place; "},
    {"no-recursion", "no recursion", "the recursive head runs once; "},
    {"grid-tokens", "grid tokens", "the head sees each place of the last map; "},
    {"pooled-tokens", "pooled tokens", "the head sees the mean of the last map; "},
};

mdl__purpose mdl__purpose_of(const mdl_row *row)
{
    return kinds[row->kind].purpose;
}

/* NULL: it is none that is known. */
static const struct control *control_of(const mdl_row *row)
{
    for (size_t i = 0; i < MDL_COUNT(controls); i++)
        if (row->kind == MDL_ROW_CONTROL && strcmp(controls[i].what, row->what) == 0)
            return &controls[i];
    return NULL;
}

static const mdl_method *method_of(const mdl_row *row)
{
    return row->kind == MDL_ROW_METHOD ? mdl_method_find(row->what) : NULL;
}

static const char *name_of(const mdl_row *row)
{
    return method_of(row) != NULL          ? method_of(row)->title
           : control_of(row) != NULL       ? control_of(row)->name
           : kinds[row->kind].name != NULL ? kinds[row->kind].name
                                           : row->what;
}

const char *mdl__say_name(const mdl_row *row, bool with_arm, char out[MDL__NAME])
{
    const char *of = row->kind == MDL_ROW_INDEPENDENT ? "independent " : "";
    const char *as = row->kind == MDL_ROW_PARENT ? " (recalibrated)" : "";
    bool armed = with_arm && row->arm[0] != '\0';
    if (armed && row->kind == MDL_ROW_MEAN)
        snprintf(out, MDL__NAME, "%s", row->arm);
    else
        snprintf(out, MDL__NAME, "%s%s%s%s%s", armed ? row->arm : "",
                 !armed                      ? ""
                 : row->kind == MDL_ROW_M2N2 ? " + "
                                             : ": ",
                 of, name_of(row), as);
    for (char *c = out; *c != '\0'; c++)
        *c = (unsigned char)*c < 0x20 ? ' ' : *c;
    return out;
}

const char *mdl__say_id(const mdl_table *table, const char *id, char out[MDL__NAME])
{
    const mdl_row *row = mdl_table_find(table, id);
    if (row != NULL)
        return mdl__say_name(row, true, out);
    snprintf(out, MDL__NAME, "%s", id);
    return out;
}

static int arm_of(const mdl_row *row)
{
    return strcmp(row->arm, "hybrid") == 0 ? 0 : strcmp(row->arm, "baseline") == 0 ? 1 : 2;
}

void mdl__say_group(const mdl_row *row, char out[MDL__NAME])
{
    static const char *const words[MDL__PURPOSES] = {"trained", "merged", "baselines of merging",
                                                     "controls"};
    bool arm = row->arm[0] != '\0';
    snprintf(out, MDL__NAME, "%s%s%s", row->arm, arm ? ": " : "",
             !arm && row->kind == MDL_ROW_METHOD ? "methods" : words[mdl__purpose_of(row)]);
    mdl__capitals(out);
}

static int by_purpose(const void *a, const void *b)
{
    const mdl_row *x = *(const mdl_row *const *)a, *y = *(const mdl_row *const *)b;
    int arms = arm_of(x) - arm_of(y), purposes = (int)mdl__purpose_of(x) - (int)mdl__purpose_of(y);
    return arms != 0 ? arms : purposes != 0 ? purposes : (x > y) - (x < y);
}

void mdl__sort_rows(const mdl_table *table, const mdl_row **order)
{
    for (size_t i = 0; i < table->n_rows; i++)
        order[i] = &table->rows[i];
    if (table->n_rows > 0)
        qsort((void *)order, table->n_rows, sizeof(*order), by_purpose);
}

const mdl_row *mdl__find_kind(const mdl_table *t, mdl_row_kind kind, const char *arm)
{
    for (size_t i = 0; i < t->n_rows; i++)
        if (t->rows[i].kind == kind && strcmp(t->rows[i].arm, arm) == 0)
            return &t->rows[i];
    return NULL;
}

/* ---- columns -------------------------------------------------------------------------------- */

const mdl__column_def mdl__columns[MDL__COLUMNS] = {
    [MDL__TOP1] = {"top-1 %", "%.2f", "top1", 100, offsetof(mdl_row, top1)},
    [MDL__INTERVAL] = {"95 % interval", NULL, NULL, 1, 0},
    [MDL__PUBLISHED] = {"published %", "%.2f", "published", 100, offsetof(mdl_row, published)},
    [MDL__LOSS] = {"loss, nats", "%.4f", "loss", 1, offsetof(mdl_row, loss)},
    [MDL__PARAMETERS] = {"parameters", NULL, NULL, 1, 0},
    [MDL__MULTIPLY_ADDS] = {"multiply-adds", NULL, NULL, 1, 0},
    [MDL__COMPUTING] = {"computing", NULL, NULL, 1, 0},
    [MDL__LATENCY] = {"latency, ms", NULL, NULL, 1, 0},
};

double mdl__number_of(const mdl_row *row, mdl__column column)
{
    double value;
    memcpy(&value, (const char *)row + mdl__columns[column].offset, sizeof(value));
    return value;
}

const char *mdl__say_cell(const mdl_row *row, mdl__column column, char out[64])
{
    const mdl__column_def *c = &mdl__columns[column];
    out[0] = '\0';
    if (c->format != NULL && isfinite(mdl__number_of(row, column)))
        snprintf(out, 64, c->format, c->scale * mdl__number_of(row, column));
    else if (column == MDL__INTERVAL && isfinite(row->low))
        snprintf(out, 64, "%.2f to %.2f", 100 * row->low, 100 * row->high);
    else if (column == MDL__PARAMETERS)
        mdl__say_count((double)row->parameters, out);
    else if (column == MDL__MULTIPLY_ADDS)
        mdl__say_count(row->multiply_adds, out);
    else if (column == MDL__COMPUTING && row->train_seconds > 0)
        mdl_duration(row->train_seconds, out);
    else if (column == MDL__LATENCY)
        mdl__say_latency(row->latency, 2, out);
    return out;
}

/* ---- notes ---------------------------------------------------------------------------------- */

static const char *plural(size_t n)
{
    return n == 1 ? "" : "s";
}

static void note_mean(const mdl_row *row, char *out)
{
    static const char *const each[] = {"models", "seeds", "children of one trunk", "repeats",
                                       "runs"};
    size_t n = row->n_each > 0 ? row->n_each : row->models;
    if (row->each == MDL_EACH_REPEAT)
        return;
    if (n == 1)
        mdl__append(out, MDL__NOTE, "one %s, as trained", row->shares_trunk ? "child" : "seed");
    else
        mdl__append(out, MDL__NOTE, "mean over %zu %s%s", n, each[row->each],
                    row->shares_trunk ? ", which are no independent sample" : "");
    if (row->ema > 0)
        mdl__append(out, MDL__NOTE, "; of %zu the EMA, which is better on the validation split",
                    row->ema);
}

/* What one of the words in braces stands for. */
static void say_fact(const mdl_row *row, const char *word, char *out)
{
    const struct {
        const char *word, *text;
        size_t count; /* where the text is NULL */
    } facts[] = {
        {"models", NULL, row->models},
        {"epochs", NULL, row->epochs},
        {"evaluations", NULL, row->evaluations},
        {"s", plural(row->models), 0},
        {"es", plural(row->epochs), 0},
        {"from", row->from[0], 0},
        {"second", row->from[1], 0},
        {"trunk", row->shares_trunk ? " of one trunk" : "", 0},
        {"members", row->shares_trunk ? "children" : "seeds", 0},
        {"again", row->recalibrated ? "; BatchNorm recalibrated like the merged" : "", 0},
        {"kept", row->is_average ? "; none was better than the uniform average, which stays" : "",
         0},
        {"found", row->is_average ? "; found nothing better than the uniform average" : "", 0},
        {"control", control_of(row) != NULL ? control_of(row)->note : "", 0},
        {"method", method_of(row) != NULL ? method_of(row)->what : "another way to merge", 0},
    };
    for (size_t i = 0; i < MDL_COUNT(facts); i++)
        if (strcmp(facts[i].word, word) == 0 && facts[i].text != NULL)
            mdl__append(out, MDL__NOTE, "%s", facts[i].text);
        else if (strcmp(facts[i].word, word) == 0)
            mdl__append(out, MDL__NOTE, "%zu", facts[i].count);
    if (strcmp(word, "mean") == 0)
        note_mean(row, out);
    if (strcmp(word, "searched") == 0 && row->evaluations > 0)
        mdl__append(out, MDL__NOTE, "; %zu evaluations", row->evaluations);
}

void mdl__say_note(const mdl_table *table, const mdl_row *row, char out[MDL__NOTE])
{
    char word[16];
    int used;
    out[0] = '\0';
    for (const char *at = kinds[row->kind].note; *at != '\0'; at += used) {
        if (sscanf(at, "{%15[a-z]}%n", word, &used) == 1) {
            say_fact(row, word, out);
        } else {
            used = (int)strcspn(at, "{");
            mdl__append(out, MDL__NOTE, "%.*s", used, at);
        }
    }
    if (table->kind != MDL_TABLE_EXPERIMENT && row->n_each > 0)
        mdl__append(out, MDL__NOTE, "%smean over %zu %s%s", out[0] != '\0' ? "; " : "", row->n_each,
                    table->kind == MDL_TABLE_PAPER ? "run" : "repeat", plural(row->n_each));
    if (isfinite(row->deviation) && row->n_each > 2)
        mdl__append(out, MDL__NOTE, ", standard deviation %.2f", 100 * row->deviation);
    for (size_t i = 0; i < row->n_each && row->n_each > 1; i++)
        mdl__append(out, MDL__NOTE, "%s%.2f", i == 0 ? ": " : ", ", 100 * row->each_top1[i]);
    if (isfinite(row->published))
        mdl__append(out, MDL__NOTE, "; in print %.1f", 100 * row->published);
}

void mdl__say_title(const mdl_table *table, char out[MDL__NAME])
{
    if (table->kind == MDL_TABLE_PAPER)
        snprintf(out, MDL__NAME, "M2N2 from %s on %s, %zu evaluations",
                 table->specialists ? "specialists" : "random weights", table->data,
                 table->evaluations);
    else
        snprintf(out, MDL__NAME, "Experiment on %s", table->data);
    if (table->kind == MDL_TABLE_REPEATS)
        mdl__append(out, MDL__NAME, ", %zu repeats", table->repeats);
}

/* ---- tests ---------------------------------------------------------------------------------- */

const char *mdl__say_outcome(mdl_outcome outcome)
{
    static const char *const words[] = {"no test", "alike", "not shown", "better", "worse"};
    return words[outcome];
}

void mdl__say_test(const mdl_comparison *c, char out[MDL__NOTE])
{
    if (c->test == MDL_TEST_MCNEMAR)
        snprintf(out, MDL__NOTE, "McNemar, %zu:%zu", c->only_first, c->only_second);
    else if (!isfinite(c->t))
        snprintf(out, MDL__NOTE, "none: %s", c->n[0] < 2 || c->n[1] < 2 ? "too few" : "no spread");
    else if (c->test == MDL_TEST_PAIRED)
        snprintf(out, MDL__NOTE, "paired t(%.0f) = %.2f; sign flips p = %.2g", c->df, c->t,
                 c->sign_flip_p);
    else
        snprintf(out, MDL__NOTE, "Welch t(%.1f) = %.2f", c->df, c->t);
}
