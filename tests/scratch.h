/* A folder for the files of one test, removed with all that is in it. */
#ifndef MDL_TESTS_SCRATCH_H
#define MDL_TESTS_SCRATCH_H

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Create a folder and write its path to `path` (256 bytes); false on failure. */
static inline bool scratch_create(char path[256])
{
    const char *parent = getenv("TMPDIR");
    int length = snprintf(path, 256, "%s/mendel-test-XXXXXX", parent != NULL ? parent : "/tmp");
    return length > 0 && length < 256 && mkdtemp(path) != NULL;
}

/* Remove a file, or a folder with what is in it; links are not followed. */
static inline void scratch_remove(const char *path)
{
    struct stat info;
    if (lstat(path, &info) != 0)
        return;
    if (!S_ISDIR(info.st_mode)) {
        unlink(path);
        return;
    }
    chmod(path, 0700);
    DIR *folder = opendir(path);
    for (struct dirent *entry; folder != NULL && (entry = readdir(folder)) != NULL;) {
        char inner[4096];
        int length = snprintf(inner, sizeof(inner), "%s/%s", path, entry->d_name);
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 && length > 0 &&
            (size_t)length < sizeof(inner))
            scratch_remove(inner);
    }
    if (folder != NULL)
        closedir(folder);
    rmdir(path);
}

/* How many entries the folder has. */
static inline int scratch_count(const char *path)
{
    int count = 0;
    DIR *folder = opendir(path);
    while (folder != NULL && readdir(folder) != NULL)
        count++;
    if (folder != NULL)
        closedir(folder);
    return count - 2;
}

#endif
