/* What the fuzz targets share.  A target is a file fuzz_<reader>.c with one
 * LLVMFuzzerTestOneInput, which gives the reader bytes as they may come from outside.  It is built
 * with libFuzzer (-Dfuzz=true, run.sh), and with replay.c as a test.  Nothing here is fast but what
 * each input needs: files lie in memory where the system has such a folder. */
#ifndef MDL_TESTS_FUZZ_H
#define MDL_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/base.h"

/* Always 0.  A fault is a crash, a sanitizer's report, a leak, or an input that takes too long. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The process's own folder, made at the first call and removed at its end. */
const char *fuzz_folder(void);
/* Give FOLDER/<name> this content (the folders in a name are made) and return its path, which is
 * valid until the process ends for each of the first FUZZ_FILES names. */
enum { FUZZ_FILES = 64 };
const char *fuzz_file(const char *name, const void *data, size_t size);
void fuzz_remove(const char *name); /* no error where it is absent */

/* What must hold of every call: a failure has a detail, and no damaged input is told as a lack of
 * memory, since that would mean that its claims were believed.  Returns whether it succeeded. */
bool fuzz_worked(mdl_status status);
/* End the process loudly unless `holds`: libFuzzer and the test see a crash. */
void fuzz_must(bool holds, const char *what);
#define FUZZ_MUST(call) fuzz_must((call) == MDL_OK, #call)

/* Take one byte from the front; 0 where there is none. */
static inline uint8_t fuzz_byte(const uint8_t **data, size_t *size)
{
    if (*size == 0)
        return 0;
    (*size)--;
    return *(*data)++;
}
/* Take what lies before the next `mark` (a text), or all, from the front; its size. */
size_t fuzz_part(const uint8_t **data, size_t *size, const char *mark, const uint8_t **part);

#endif
