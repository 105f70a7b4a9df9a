/* What a formula is told, as the configuration has it:
 *
 *   merge.weights:    "0.3,0.7"                          one number for each parent
 *   merge.parameters: "blocks.0 weights=0.1,0.9; *.bias density=0.5 scale=0.8"
 *
 * A rule begins with a pattern (as in train.freeze: all, a name, a part of one up to a dot, * and
 * ?); behind it values are set.  weights and density take one number, or one for each parent;
 * ratio, scale, gamma and epsilon one.  Where several rules set the same value of a tensor the last
 * one counts. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "merge/formula.h"

enum {
    SET_WEIGHT = 1,
    SET_DENSITY = 2,
    SET_RATIO = 4,
    SET_SCALE = 8,
    SET_GAMMA = 16,
    SET_EPSILON = 32,
    RULES_MOST = 256
};

typedef struct rule {
    char pattern[128];
    unsigned set; /* which of the values */
    mdl__given given;
} rule;

struct mdl__parameters {
    const mdl__formula *formula;
    mdl__given common;
    rule *rules;
    size_t n_rules;
};

/* ---- numbers -------------------------------------------------------------------------------- */

static mdl_status expected(const char *key, const char *what, size_t length, const char *text)
{
    return mdl_fail(MDL_CONFIG, "%s: expected %s, got '%.*s'", key, what,
                    (int)mdl_min_size(length, 60), text);
}

/* One number, which is meant for each of n, or n with commas in between. */
static mdl_status read_numbers(const char *key, const char *text, size_t length, size_t n,
                               double *out)
{
    size_t count = 0;
    char what[80];
    snprintf(what, sizeof(what), n == 1 ? "a number" : "one number, or %zu (one for each parent)",
             n);
    for (const char *at = text, *end = text + length; at <= end; count++) {
        char *behind = NULL;
        double value = at < end ? strtod(at, &behind) : (double)NAN;
        if (behind == NULL || behind == at || behind > end || (behind < end && *behind != ',') ||
            !isfinite(value) || count == n)
            return expected(key, what, length, text);
        out[count] = value;
        at = behind + 1;
    }
    if (count != 1 && count != n)
        return expected(key, what, length, text);
    for (size_t i = 1; i < n && count == 1; i++)
        out[i] = out[0];
    return MDL_OK;
}

typedef struct value { /* a name of a value, where it lies, and its range, both ends allowed */
    const char *name;
    unsigned bit;
    size_t offset;
    bool each; /* one for each parent */
    double least, most;
} value;
#define AT(field) offsetof(mdl__given, field)
static const value values[] = {
    {"weights", SET_WEIGHT, AT(weight), true, -1e6, 1e6},
    {"density", SET_DENSITY, AT(density), true, 1e-9, 1},
    {"ratio", SET_RATIO, AT(ratio), false, 0, 1},
    {"scale", SET_SCALE, AT(scale), false, -1000, 1000},
    {"gamma", SET_GAMMA, AT(gamma), false, 0, 0.999},
    {"epsilon", SET_EPSILON, AT(epsilon), false, 0, 0.5},
};

static mdl_status set_value(const char *key, const value *v, const char *text, size_t length,
                            mdl__given *given)
{
    double *out = (double *)(void *)((char *)given + v->offset);
    size_t n = v->each ? given->n : 1;
    char name[160];
    snprintf(name, sizeof(name), "%s%s%s", key, key[0] != '\0' ? " " : "", v->name);
    MDL_TRY(read_numbers(name, text, length, n, out));
    for (size_t i = 0; i < n; i++)
        if (!(out[i] >= v->least && out[i] <= v->most))
            return mdl_fail(MDL_CONFIG, "%s: expected %g to %g, got %g", name, v->least, v->most,
                            out[i]);
    return MDL_OK;
}

/* ---- rules ---------------------------------------------------------------------------------- */

static const char blanks[] = " \t\r\n";

/* "density=0.5" */
static mdl_status read_item(const char *text, size_t length, rule *out)
{
    char key[sizeof(out->pattern) + 32];
    const char *sign = memchr(text, '=', length);
    snprintf(key, sizeof(key), "merge.parameters: %s", out->pattern);
    for (size_t i = 0; i < MDL_COUNT(values) && sign != NULL; i++) {
        size_t name = (size_t)(sign - text);
        if (strlen(values[i].name) != name || memcmp(values[i].name, text, name) != 0)
            continue;
        out->set |= values[i].bit;
        return set_value(key, &values[i], sign + 1, length - name - 1, &out->given);
    }
    return expected(key, "weights=, density=, ratio=, scale=, gamma= or epsilon=", length, text);
}

/* "PATTERN name=value ..." */
static mdl_status read_rule(const char *text, size_t length, rule *out)
{
    static const char form[] = "PATTERN name=value ..., and ; between rules";
    const char *end = text + length;
    size_t pattern = strcspn(text, " \t\r\n;");
    if (pattern >= sizeof(out->pattern) || memchr(text, '=', pattern) != NULL)
        return expected("merge.parameters", form, length, text);
    memcpy(out->pattern, text, pattern);
    for (const char *at = text + pattern; at < end;) {
        at += strspn(at, blanks);
        size_t item = strcspn(at, " \t\r\n;");
        if (at < end)
            MDL_TRY(read_item(at, item, out));
        at += item;
    }
    return out->set != 0 ? MDL_OK : expected("merge.parameters", form, length, text);
}

static mdl_status read_rules(const char *text, mdl__parameters *p)
{
    while (true) {
        text += strspn(text, " \t\r\n;");
        size_t length = strcspn(text, ";");
        if (length == 0)
            return MDL_OK;
        if (p->n_rules == RULES_MOST)
            return mdl_fail(MDL_CONFIG, "merge.parameters: more than %d rules", RULES_MOST);
        rule *next = &p->rules[p->n_rules++];
        next->given.n = p->common.n;
        MDL_TRY(read_rule(text, length, next));
        text += length;
    }
}

/* ---- checks --------------------------------------------------------------------------------- */

static mdl_status check_given(const char *where, const mdl__formula *f, const mdl__given *g)
{
    double sum = 0;
    for (size_t v = 0; v < g->n; v++) {
        sum += g->weight[v];
        bool inside = g->density[v] - g->epsilon > 0 && g->density[v] + g->epsilon < 1;
        if (f->choice == MDL__CHOOSE_BY_RANK && g->density[v] < 1 && !inside)
            return mdl_fail(MDL_CONFIG,
                            "%s: density %g with epsilon %g: the chances would go from %g to %g, "
                            "expected more than 0 and less than 1",
                            where, g->density[v], g->epsilon, g->density[v] - g->epsilon,
                            g->density[v] + g->epsilon);
    }
    bool divides = g->normalize || f == &mdl__formula_nuslerp;
    return !divides || fabs(sum) > 1e-9
               ? MDL_OK
               : mdl_fail(MDL_CONFIG, "%s: the weights add up to 0, by which they are divided",
                          where);
}

/* What all tensors have that no rule names. */
static mdl_status read_common(const mdl_formula_config *config, const mdl_method *method,
                              const mdl_method_options *o, size_t n, mdl__given *g)
{
    const mdl__formula *f = method->formula;
    *g = (mdl__given){.n = n,
                      .ratio = o->ratio,
                      .straight = config->scope == MDL_SCOPE_WHOLE ? 1 : 0.9995,
                      .scale = o->scale,
                      .gamma = config->gamma,
                      .epsilon = config->epsilon,
                      .normalize = config->normalize == MDL_WEIGHTS_METHOD
                                       ? f->normalize
                                       : config->normalize == MDL_WEIGHTS_NORMALIZED,
                      .rescale =
                          config->rescale == MDL_RESCALE_METHOD ? f->rescale : config->rescale};
    for (size_t v = 0; v < n; v++) {
        g->weight[v] = 1 / (double)n;
        g->density[v] = o->density;
    }
    if (config->weights[0] != '\0')
        MDL_TRY(set_value("merge", &values[0], config->weights, strlen(config->weights), g));
    return check_given("merge", f, g);
}

static void apply(const rule *r, mdl__given *g)
{
    for (size_t i = 0; i < MDL_COUNT(values); i++)
        if ((r->set & values[i].bit) != 0)
            memcpy((char *)g + values[i].offset, (const char *)&r->given + values[i].offset,
                   sizeof(double) * (values[i].each ? g->n : 1));
}

mdl_status mdl__parameters_read(const mdl_formula_config *config, const mdl_method *method,
                                const mdl_method_options *options, size_t parents,
                                mdl__parameters **out)
{
    mdl__parameters *p;
    *out = NULL;
    if (parents > MDL__PARENTS_MOST)
        return mdl_fail(MDL_CONFIG, "%zu checkpoints, at most %d are merged at once", parents,
                        MDL__PARENTS_MOST);
    MDL_TRY(MDL_NEW(1, "parameters of the merge", &p));
    p->formula = method->formula;
    mdl_status status = MDL_NEW(RULES_MOST, "parameters of the merge", &p->rules);
    if (status == MDL_OK)
        status = read_common(config, method, options, parents, &p->common);
    if (status == MDL_OK)
        status = read_rules(config->parameters, p);
    for (size_t i = 0; i < p->n_rules && status == MDL_OK; i++) {
        mdl__given given = p->common;
        char where[sizeof(p->rules[i].pattern) + 32];
        snprintf(where, sizeof(where), "merge.parameters: %s", p->rules[i].pattern);
        apply(&p->rules[i], &given);
        status = check_given(where, p->formula, &given);
    }
    if (status == MDL_OK)
        *out = p;
    else
        mdl__parameters_free(p);
    return status;
}

void mdl__parameters_free(mdl__parameters *p)
{
    if (p == NULL)
        return;
    mdl_free(p->rules);
    mdl_free(p);
}

void mdl__parameters_of(const mdl__parameters *p, const char *name, mdl__given *out)
{
    *out = p->common;
    for (size_t i = 0; i < p->n_rules && name != NULL; i++)
        if (mdl_param_matches(p->rules[i].pattern, name))
            apply(&p->rules[i], out);
}

mdl_status mdl__parameters_check(const mdl__parameters *p, const char *const *names, size_t n)
{
    for (size_t i = 0; i < p->n_rules; i++) {
        bool found = false;
        for (size_t k = 0; k < n && !found; k++)
            found = mdl_param_matches(p->rules[i].pattern, names[k]);
        if (!found)
            return mdl_fail(MDL_CONFIG,
                            "merge.parameters: %s is the name of no tensor; the first is called "
                            "%s, the last %s",
                            p->rules[i].pattern, names[0], names[n - 1]);
    }
    return MDL_OK;
}
