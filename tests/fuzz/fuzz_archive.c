/* An archive of a download.  Input: a tar file, the sums of whose headers are put right; or a gzip
 * file as it is.  Nothing but the two names may come out, and nothing but their content. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "../scratch.h"
#include "data/internal.h"
#include "fuzz.h"
#include "tar_sums.h"

enum { LIMIT = 1 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"a.bin", "b.bin"};
    static uint8_t file[1 << 20];
    char folder[512], path[600];
    size = mdl_min_size(size, sizeof(file));
    memcpy(file, data, size);
    if (size > 0 && file[0] != 0x1f)
        tar_correct(file, size);
    snprintf(folder, sizeof(folder), "%s/in/out", fuzz_folder());
    FUZZ_MUST(mdl_make_folders(folder));
    const char *archive = fuzz_file("archive", file, size);
    bool worked = fuzz_worked(mdl__unpack(archive, folder, names, MDL_COUNT(names), LIMIT));
    int left = scratch_count(folder);
    uint64_t bytes = 0;
    for (size_t i = 0; i < MDL_COUNT(names) && left > 0; i++) {
        struct stat info;
        snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
        if (stat(path, &info) != 0)
            continue;
        bytes += (uint64_t)info.st_size;
        left--;
        remove(path);
    }
    fuzz_must(left == 0, "nothing else was written");
    snprintf(path, sizeof(path), "%s/in", fuzz_folder());
    fuzz_must(scratch_count(path) == 1, "nothing was written beside the folder");
    fuzz_must(worked || bytes == 0, "a refused archive leaves nothing");
    fuzz_must(bytes <= LIMIT, "no more comes out than is allowed");
    return 0;
}
