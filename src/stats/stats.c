/* Statistics for comparing models: intervals of proportions, tests on pairs of models and on seeds.
 * What a number means and does not mean is said by the table, not here. */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "stats/stats.h"

mdl_interval mdl_stat_wilson(size_t k, size_t n)
{
    const double z = 1.959963984540054; /* 97.5 % point of the normal distribution */
    if (n == 0)
        return (mdl_interval){0, 1};
    double count = (double)n, p = (double)k / count, zz = z * z / count;
    double middle = (p + zz / 2) / (1 + zz);
    double half = z / (1 + zz) * sqrt(p * (1 - p) / count + zz / (4 * count));
    /* At k = 0 and k = n the ends are 0 and 1; rounding must not move them. */
    return (mdl_interval){k == 0 ? 0 : middle - half, k == n ? 1 : middle + half};
}

mdl_interval mdl_stat_f1(size_t both, size_t either)
{
    mdl_interval part = mdl_stat_wilson(both, either);
    return (mdl_interval){2 * part.low / (1 + part.low), 2 * part.high / (1 + part.high)};
}

/* Two-sided binomial test of b against b + c trials at 1/2: twice the smaller tail, summed from
 * its largest term down. */
double mdl_stat_mcnemar(size_t b, size_t c)
{
    double n = (double)(b + c), k = (double)mdl_min_size(b, c);
    if (b == c)
        return 1;
    double log_term = lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1) - n * log(2.0);
    double sum = 0, term = 1;
    for (double i = k; i >= 0 && term > 1e-18 * sum; i--) {
        sum += term;
        term *= i / (n - i + 1);
    }
    return fmin(1, 2 * sum * exp(log_term));
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double mdl_stat_quantile(double *values, size_t n, double q)
{
    if (n == 0)
        return (double)NAN;
    qsort(values, n, sizeof(*values), compare_doubles);
    double at = q * (double)(n - 1);
    size_t low = mdl_min_size((size_t)at, n - 1), high = mdl_min_size(low + 1, n - 1);
    double part = at - (double)low;
    return values[low] + part * (values[high] - values[low]);
}

mdl_interval mdl_stat_bootstrap(const float *x, const float *y, size_t n, size_t rounds,
                                uint64_t seed)
{
    mdl_interval out = {(double)NAN, (double)NAN};
    mdl_rng rng = mdl_rng_init(seed, MDL_STREAM_BOOTSTRAP);
    double *means;
    if (n == 0 || rounds == 0 || MDL_NEW(rounds, "bootstrap", &means) != MDL_OK)
        return out;
    for (size_t r = 0; r < rounds; r++) {
        double sum = 0;
        if (mdl_stop_check() != MDL_OK) {
            mdl_free(means);
            return out;
        }
        for (size_t i = 0; i < n; i++) {
            size_t pick = (size_t)mdl_rng_below(&rng, n);
            sum += (double)x[pick] - (double)y[pick];
        }
        means[r] = sum / (double)n;
    }
    out.low = mdl_stat_quantile(means, rounds, 0.025);
    out.high = mdl_stat_quantile(means, rounds, 0.975);
    mdl_free(means);
    return out;
}

/* ---- t-tests -------------------------------------------------------------------------------- */

/* Continued fraction of the incomplete beta function (DLMF 8.17.22), by Lentz's method. */
static double beta_fraction(double x, double a, double b)
{
    const double tiny = 1e-300;
    double c = 1, d = 1 - (a + b) * x / (a + 1);
    d = 1 / (fabs(d) < tiny ? tiny : d);
    double f = d;
    for (int m = 1; m <= 500; m++) {
        double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
        double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
        double terms[2] = {even, odd}, step = 1;
        for (int i = 0; i < 2; i++) {
            d = 1 + terms[i] * d;
            c = 1 + terms[i] / c;
            d = 1 / (fabs(d) < tiny ? tiny : d);
            c = fabs(c) < tiny ? tiny : c;
            step = c * d;
            f *= step;
        }
        if (fabs(step - 1) < 1e-15)
            break;
    }
    return f;
}

/* Regularised incomplete beta function I_x(a, b). */
static double incomplete_beta(double x, double a, double b)
{
    if (x <= 0)
        return 0;
    if (x >= 1)
        return 1;
    double front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log1p(-x));
    /* The fraction converges fast below the mean; beyond it, by symmetry. */
    if (x < (a + 1) / (a + b + 2))
        return front * beta_fraction(x, a, b) / a;
    return 1 - front * beta_fraction(1 - x, b, a) / b;
}

/* Two-sided p of Student's t. */
static double t_probability(double t, double df)
{
    return incomplete_beta(df / (df + t * t), df / 2, 0.5);
}

static double mean_of(const double *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += x[i];
    return sum / (double)n;
}

/* Squared standard error of the mean. */
static double error_of(const double *x, size_t n)
{
    double mean = mean_of(x, n), sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (x[i] - mean) * (x[i] - mean);
    return sum / (double)(n - 1) / (double)n;
}

/* The t that has a two-sided p of 0.05, by bisection: p falls as t grows. */
static double t_of_95_percent(double df)
{
    double low = 0, high = 2;
    while (t_probability(high, df) > 0.05 && high < 1e6)
        high *= 2;
    for (int i = 0; i < 80; i++) {
        double middle = (low + high) / 2;
        *(t_probability(middle, df) > 0.05 ? &low : &high) = middle;
    }
    return (low + high) / 2;
}

static double largest_of(const double *x, size_t n)
{
    double largest = 0;
    for (size_t i = 0; i < n; i++)
        largest = fmax(largest, fabs(x[i]));
    return largest;
}

/* `error`: the squared standard error; what rounding makes of values up to `largest` is no spread.
 */
static mdl_t_test finish(double difference, double error, double df, double largest)
{
    double rounding = 8 * DBL_EPSILON * largest;
    mdl_t_test out = {(double)NAN, (double)NAN, (double)NAN, difference, (double)NAN, (double)NAN};
    if (error > rounding * rounding) { /* without spread there is no test */
        double half = sqrt(error) * t_of_95_percent(df);
        out.t = difference / sqrt(error);
        out.df = df;
        out.p = t_probability(out.t, df);
        out.low = difference - half;
        out.high = difference + half;
    }
    return out;
}

mdl_interval mdl_stat_mean(const double *x, size_t n)
{
    if (n < 2)
        return (mdl_interval){(double)NAN, (double)NAN};
    double mean = mean_of(x, n), half = sqrt(error_of(x, n)) * t_of_95_percent((double)(n - 1));
    return (mdl_interval){mean - half, mean + half};
}

void mdl_stat_holm(const double *p, size_t n, double *out)
{
    size_t tests = 0;
    for (size_t i = 0; i < n; i++)
        tests += isfinite(p[i]) != 0;
    for (size_t i = 0; i < n; i++) {
        out[i] = isfinite(p[i]) ? 0 : (double)NAN;
        for (size_t j = 0; j < n && isfinite(p[i]); j++) {
            size_t smaller = 0;
            for (size_t k = 0; k < n && p[j] <= p[i]; k++)
                smaller += p[k] < p[j];
            if (p[j] <= p[i])
                out[i] = fmax(out[i], fmin(1, (double)(tests - smaller) * p[j]));
        }
    }
}

mdl_t_test mdl_stat_welch(const double *x, size_t nx, const double *y, size_t ny)
{
    double difference = nx > 0 && ny > 0 ? mean_of(x, nx) - mean_of(y, ny) : (double)NAN;
    if (nx < 2 || ny < 2)
        return finish(difference, 0, 0, 0);
    double ex = error_of(x, nx), ey = error_of(y, ny), error = ex + ey;
    /* Welch-Satterthwaite */
    double df = error * error / (ex * ex / (double)(nx - 1) + ey * ey / (double)(ny - 1));
    return finish(difference, error, df, fmax(largest_of(x, nx), largest_of(y, ny)));
}

mdl_t_test mdl_stat_paired_t(const double *x, const double *y, size_t n)
{
    double difference = n > 0 ? mean_of(x, n) - mean_of(y, n) : (double)NAN, error = 0;
    if (n < 2)
        return finish(difference, 0, 0, 0);
    for (size_t i = 0; i < n; i++) {
        double d = x[i] - y[i] - difference;
        error += d * d;
    }
    return finish(difference, error / (double)(n - 1) / (double)n, (double)(n - 1),
                  fmax(largest_of(x, n), largest_of(y, n)));
}

double mdl_stat_sign_flip(const double *x, const double *y, size_t n)
{
    enum { MOST = 20 };
    double sum = 0, size = 0, d[MOST];
    size_t extreme = 0, all = (size_t)1 << n;
    if (n == 0 || n > MOST)
        return (double)NAN;
    for (size_t i = 0; i < n; i++) {
        d[i] = x[i] - y[i];
        sum += d[i];
        size += fabs(d[i]);
    }
    for (size_t signs = 0; signs < all; signs++) {
        double flipped = 0;
        for (size_t i = 0; i < n; i++)
            flipped += signs >> i & 1 ? -d[i] : d[i];
        extreme += fabs(flipped) >= fabs(sum) - 1e-12 * size; /* equal but for rounding counts */
    }
    return (double)extreme / (double)all;
}
