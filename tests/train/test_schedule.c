/* Learning-rate schedules and the decay of the moving average, against values worked by hand. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "train/train_internal.h"

static void near(double got, double expected)
{
    if (!(fabs(got - expected) <= 1e-15))
        fail_msg("got %.17g, expected %.17g", got, expected);
}

/* 10 steps in an epoch, 100 in all. */
static double rate(const mdl_schedule_config *config, uint64_t step)
{
    return mdl_schedule_rate(config, 0.5, step, 100, 10);
}

static void cosine(void **state)
{
    (void)state;
    mdl_schedule_config c = {.kind = MDL_SCHEDULE_COSINE, .warmup = 2, .final = 0.1};
    near(rate(&c, 0), 0.5 * 1 / 21);
    near(rate(&c, 19), 0.5 * 20 / 21);
    near(rate(&c, 20), 0.5);
    near(rate(&c, 60), 0.5 * (0.1 + 0.9 * 0.5)); /* half of the way down */
    near(rate(&c, 100), 0.5 * 0.1);
    near(rate(&c, 5000), 0.5 * 0.1); /* never past the end */
    c.warmup = 0;
    near(rate(&c, 0), 0.5);
    c.warmup = 1000; /* longer than the run: a fifth of its 100 steps */
    near(rate(&c, 0), 0.5 / 21);
    near(rate(&c, 20), 0.5);
    near(rate(&c, 100), 0.5 * 0.1);
    near(mdl_schedule_rate(&c, 0.5, 4, 20, 10), 0.5); /* two epochs: the peak after four steps */
}

static void one_cycle(void **state)
{
    (void)state;
    mdl_schedule_config c = {.kind = MDL_SCHEDULE_ONE_CYCLE, .warmup = 0.25, .final = 0};
    near(rate(&c, 0), 0.5 / 26);
    near(rate(&c, 25), 0.5);
    near(rate(&c, 40), 0.5 * 0.8); /* 15 of 75 steps down */
    near(rate(&c, 100), 0);
}

static void steps(void **state)
{
    (void)state;
    mdl_schedule_config c = {.kind = MDL_SCHEDULE_STEP, .every = 3, .factor = 0.1};
    near(rate(&c, 29), 0.5);
    near(rate(&c, 30), 0.05);
    near(rate(&c, 59), 0.05);
    near(rate(&c, 90), 0.5 * pow(0.1, 3));
    c.every = 0; /* never */
    near(rate(&c, 90), 0.5);
}

static void constant(void **state)
{
    (void)state;
    mdl_schedule_config c = {.kind = MDL_SCHEDULE_CONSTANT, .warmup = 0.5};
    near(rate(&c, 0), 0.5 / 6);
    near(rate(&c, 5), 0.5);
    near(rate(&c, 99), 0.5);
}

static void ema(void **state)
{
    (void)state;
    near(mdl__ema_decay(0.999, 1), 2.0 / 11);
    near(mdl__ema_decay(0.999, 90), 0.91);
    near(mdl__ema_decay(0.999, 1000000), 0.999);
    near(mdl__ema_decay(0.1, 1), 0.1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(cosine), cmocka_unit_test(one_cycle),
                                       cmocka_unit_test(steps), cmocka_unit_test(constant),
                                       cmocka_unit_test(ema)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
