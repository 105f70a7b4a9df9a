/* What the tests over op cases share: access to the table, fills, names, error measures. */
#include "op_cases.h"

#include <math.h>
#include <stdlib.h>

size_t op_case_count(void)
{
    return op_cases_conv_count + op_cases_trm_count;
}

const op_case *op_case_at(size_t index)
{
    return index < op_cases_conv_count ? &op_cases_conv[index]
                                       : &op_cases_trm[index - op_cases_conv_count];
}

size_t op_tiny_count(void)
{
    return op_cases_conv_tiny_count + op_cases_trm_tiny_count;
}

const op_case *op_tiny_at(size_t index)
{
    return index < op_cases_conv_tiny_count ? &op_cases_conv_tiny[index]
                                            : &op_cases_trm_tiny[index - op_cases_conv_tiny_count];
}

const char *op_case_name(const op_case *c, char *text)
{
    char shape[MDL_SHAPE_TEXT];
    size_t used = (size_t)snprintf(text, OP_NAME_TEXT, "%s", mdl_op_get(c->op)->name);
    for (int i = 0; i < c->n_in; i++) {
        used += (size_t)snprintf(text + used, OP_NAME_TEXT - used, " %s",
                                 mdl_shape_text(&c->in[i], shape));
    }
    return text;
}

uint64_t op_seed(void)
{
    static uint64_t seed;
    if (seed == 0) {
        const char *text = getenv("MDL_TEST_SEED");
        seed = text != NULL ? strtoull(text, NULL, 10) : 1;
        if (seed == 0)
            seed = 1;
        printf("MDL_TEST_SEED=%llu\n", (unsigned long long)seed);
    }
    return seed;
}

void op_case_descs(const op_case *c, mdl_dtype real, mdl_desc in[MDL_MAX_IN])
{
    for (int i = 0; i < MDL_MAX_IN; i++) {
        bool is_int = c->fill[i] == OP_LABELS || c->fill[i] == OP_MASK;
        mdl_dtype dtype = is_int                     ? MDL_I32
                          : c->fill[i] == OP_SQUARES ? MDL_F64
                          : c->fill[i] == OP_STORED  ? MDL_BF16
                                                     : real;
        in[i] = (mdl_desc){dtype, c->in[i]};
    }
}

static double away_from(double corner, double x)
{
    if (fabs(x - corner) >= 0.01)
        return x;
    return x < corner ? x - 0.01 : x + 0.01;
}

static double fill_value(op_fill fill, int limit, mdl_rng *rng)
{
    switch (fill) {
    case OP_WIDE:
        return away_from(0, away_from(6, 4 * mdl_rng_normal(rng)));
    case OP_POSITIVE:
    case OP_SQUARES:
        return 0.5 + mdl_rng_uniform(rng);
    case OP_LABELS:
        return (double)mdl_rng_below(rng, (uint64_t)limit + 1) - 1;
    case OP_MASK:
        return (double)mdl_rng_below(rng, 2);
    default:
        return mdl_rng_normal(rng);
    }
}

void op_fill_values(op_fill fill, int limit, mdl_rng *rng, double *values, size_t count)
{
    for (size_t i = 0; i < count; i++)
        values[i] = fill_value(fill, limit, rng);
}

op_error op_compare(const double *got, const double *expected, size_t count, double scale)
{
    op_error error = {.finite = true};
    double sum = 0, norm = 0, largest = scale;
    for (size_t i = 0; i < count; i++) {
        double d = fabs(got[i] - expected[i]);
        if (!isfinite(got[i])) {
            error.worst = i;
            error.finite = false;
            return error;
        }
        if (d > error.max) {
            error.max = d;
            error.worst = i;
        }
        sum += d * d;
        norm += expected[i] * expected[i];
        largest = fmax(largest, fabs(expected[i]));
    }
    norm = fmax(norm, scale * scale * (double)count);
    error.normalised = sum > 0 ? sqrt(sum / norm) : 0;
    error.max = error.max > 0 ? error.max / largest : 0;
    return error;
}
