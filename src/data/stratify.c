/* A stratified choice of images: each class in proportion, seeded. */
#include "data/internal.h"

enum { TEST_PART = 5 }; /* of an undivided set, one of so many tests */

/* Share `want` among the classes in proportion to their sizes: the whole parts first, then one each
 * to the largest remainders (of equal ones, the lower class). */
static void share(const size_t *sizes, size_t classes, size_t count, size_t want, size_t *quota)
{
    size_t given = 0;
    for (size_t c = 0; c < classes; c++) {
        quota[c] = (size_t)((uint64_t)want * sizes[c] / count);
        given += quota[c];
    }
    while (given < want) {
        size_t best = classes;
        double most = -1.0;
        for (size_t c = 0; c < classes; c++) {
            double left = (double)want * (double)sizes[c] / (double)count - (double)quota[c];
            if (quota[c] < sizes[c] && left > most) {
                most = left;
                best = c;
            }
        }
        quota[best]++;
        given++;
    }
}

mdl_status mdl__stratify(const int32_t *labels, size_t classes, const uint32_t *from, size_t count,
                         size_t want, uint64_t seed, enum mdl__choice purpose, uint32_t *chosen,
                         uint32_t *rest)
{
    uint32_t *order = NULL;
    size_t *sizes = NULL; /* and behind them the quotas */
    bool *taken = NULL;
    if (want > count)
        return mdl_fail(MDL_INVALID, "cannot choose %zu of %zu images", want, count);
    mdl_status status = MDL_NEW(count, "split", &order);
    if (status == MDL_OK)
        status = MDL_NEW(2 * classes, "split", &sizes);
    if (status == MDL_OK)
        status = MDL_NEW(count, "split", &taken);
    if (status != MDL_OK)
        goto done;

    size_t *quota = sizes + classes;
    for (size_t i = 0; i < count; i++) {
        order[i] = (uint32_t)i;
        sizes[labels[from[i]]]++;
    }
    if (count > 0)
        share(sizes, classes, count, want, quota);
    mdl_rng rng = mdl_rng_init(seed, MDL_STREAM_SPLIT);
    rng.index = (uint64_t)purpose << 32; /* a shuffle uses fewer than 2^32 blocks */
    mdl_rng_shuffle(&rng, order, count);
    for (size_t i = 0; i < count; i++) {
        size_t *left = &quota[labels[from[order[i]]]];
        if (*left > 0) {
            (*left)--;
            taken[order[i]] = true;
        }
    }
    for (size_t i = 0; i < count; i++) {
        if (taken[i])
            *chosen++ = from[i];
        else if (rest != NULL)
            *rest++ = from[i];
    }
done:
    mdl_free(order);
    mdl_free(sizes);
    mdl_free(taken);
    return status;
}

mdl_status mdl__choose_side(const int32_t *labels, size_t classes, size_t count, uint64_t seed,
                            bool test, uint32_t **chosen, size_t *n)
{
    size_t tests = (count + TEST_PART / 2) / TEST_PART;
    uint32_t *all = NULL, *parts[2] = {NULL, NULL}; /* to train on, to test on */
    if (tests == 0)
        return mdl_fail(MDL_FORMAT, "%zu images are too few to hold some out for the test", count);
    mdl_status status = MDL_NEW(count, "split", &all);
    for (size_t i = 0; status == MDL_OK && i < count; i++)
        all[i] = (uint32_t)i;
    if (status == MDL_OK)
        status = MDL_NEW(count - tests, "split", &parts[0]);
    if (status == MDL_OK)
        status = MDL_NEW(tests, "split", &parts[1]);
    if (status == MDL_OK)
        status = mdl__stratify(labels, classes, all, count, tests, seed, MDL__CHOICE_FOLDER_TEST,
                               parts[1], parts[0]);
    if (status == MDL_OK) {
        *chosen = parts[test ? 1 : 0];
        *n = test ? tests : count - tests;
        parts[test ? 1 : 0] = NULL;
    }
    mdl_free(all);
    mdl_free(parts[0]);
    mdl_free(parts[1]);
    return status;
}
