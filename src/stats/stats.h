/* Statistics: intervals, tests and their corrections.  Every function names its source. */
#ifndef MDL_STATS_H
#define MDL_STATS_H

#include "base/base.h"

typedef struct mdl_interval {
    double low, high;
} mdl_interval;
/* 95 % Wilson score interval of a proportion k / n (Wilson 1927). */
mdl_interval mdl_stat_wilson(size_t k, size_t n);
/* 95 % interval of F1 = 2 TP / (2 TP + FP + FN) of one class: `both` are its images that were
 * called so (TP), `either` all that are of it or were called so (TP + FP + FN).  Of these `either`,
 * each is one of both or not, so both / either = F1 / (2 - F1) is a proportion (Hand, Christen and
 * Kirielle 2021); its Wilson interval is turned into one of F1, which grows with it. */
mdl_interval mdl_stat_f1(size_t both, size_t either);
/* Exact two-sided McNemar: b and c are the discordant pairs. */
double mdl_stat_mcnemar(size_t b, size_t c);
/* Paired bootstrap 95 % interval of mean(x) - mean(y) (percentile), seeded. */
mdl_interval mdl_stat_bootstrap(const float *x, const float *y, size_t n, size_t rounds,
                                uint64_t seed);
typedef struct mdl_t_test {
    double t, df, p, difference; /* mean(x) - mean(y); p two-sided; NAN where undefined */
    double low, high;            /* 95 % interval of the difference; NAN where undefined */
} mdl_t_test;
mdl_t_test mdl_stat_welch(const double *x, size_t nx, const double *y, size_t ny);
mdl_t_test mdl_stat_paired_t(const double *x, const double *y, size_t n);
/* Exact two-sided sign-flip permutation test of paired differences (Fisher 1935): the part of the
 * 2^n choices of signs whose mean is at least as far from 0.  n up to 20; else NAN. */
double mdl_stat_sign_flip(const double *x, const double *y, size_t n);
/* 95 % interval of a mean by Student's t (normal values); NAN for fewer than two. */
mdl_interval mdl_stat_mean(const double *x, size_t n);
/* p-values adjusted for their number (Holm 1979), in their order; what is not finite is no test and
 * stays NAN. */
void mdl_stat_holm(const double *p, size_t n, double *out);
/* Quantile (linear interpolation) of values that get sorted in place. */
double mdl_stat_quantile(double *values, size_t n, double q);

#endif
