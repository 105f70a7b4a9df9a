/* Reading a data set where each allocation in turn fails. */
#ifndef MDL_TESTS_READ_WITHOUT_MEMORY_H
#define MDL_TESTS_READ_WITHOUT_MEMORY_H

#include "data/data.h"

/* Read the test split again and again: the first allocation fails, then the second, until none
 * does.  Each reading says so and leaves nothing behind; *set (freed before) is the last one's. How
 * many readings there were. */
static inline unsigned long dataset_reads_without_memory(const mdl_data_config *config,
                                                         mdl_dataset **set)
{
    unsigned long nth = 0;
    mdl_status status;
    do {
        mdl_dataset_free(*set);
        mdl_alloc_fail_at(++nth);
        status = mdl_dataset_read(config, true, set);
        mdl_alloc_fail_at(0);
        assert_true(status == MDL_OK || (status == MDL_NO_MEMORY && *set == NULL));
    } while (status != MDL_OK);
    return nth;
}

#endif
