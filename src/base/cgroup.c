/* Quotas of control groups: containers and batch systems limit a process's time on processors by
 * them, which neither the number of processors nor the affinity shows. */
#include "base/cgroup.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"

#define LARGEST_COUNT 65536 /* a quota above is none */

typedef struct hierarchy { /* one that may limit the time on processors */
    bool second;           /* version 2 */
    char *path;            /* of this process in it, as /proc/self/cgroup has it */
} hierarchy;

static FILE *open_below(const char *root, const char *folder, const char *name)
{
    char path[MDL_PATH_MAX];
    int length = snprintf(path, sizeof(path), "%s%s/%s", root, folder, name);
    return length > 0 && (size_t)length < sizeof(path) ? fopen(path, "r") : NULL;
}

/* The first number of a file, and the second one; false where it has no first ("max", garbage). */
static bool read_numbers(const char *root, const char *folder, const char *name, double *first,
                         double *second)
{
    FILE *file = open_below(root, folder, name);
    int got = file != NULL ? fscanf(file, "%lf %lf", first, second) : 0;
    if (file != NULL)
        fclose(file);
    if (got == 1)
        *second = 0;
    return got >= 1;
}

/* Processors that one folder's quota allows for; `count` where that is less or there is none. */
static int limit_of(const char *root, const char *folder, bool second, int count)
{
    double quota, period, rest;
    if (second) {
        if (!read_numbers(root, folder, "cpu.max", &quota, &period))
            return count;
        if (!(period > 0))
            period = 100000; /* the kernel's own, which may be left out */
    } else if (!read_numbers(root, folder, "cpu.cfs_quota_us", &quota, &rest) ||
               !read_numbers(root, folder, "cpu.cfs_period_us", &period, &rest)) {
        return count;
    }
    double cpus = quota / period;
    if (!(quota > 0) || !(period > 0) || !(cpus <= LARGEST_COUNT))
        return count;
    int whole = (int)cpus;
    whole += (double)whole < cpus;
    return count == 0 || whole < count ? whole : count;
}

/* Whether `word` is one of the words of a list with commas. */
static bool has_word(const char *list, const char *word)
{
    size_t length = strlen(word);
    for (; list != NULL; list = strchr(list, ',')) {
        list += *list == ','; /* behind the one before */
        if (strncmp(list, word, length) == 0 && strchr(",\n", list[length]) != NULL)
            return true;
    }
    return false;
}

/* In place: mountinfo writes blanks and the like as a backslash and three octal digits. */
static void decode_octal(char *text)
{
    char *to = text;
    for (; *text != '\0'; to++) {
        if (text[0] == '\\' && text[1] >= '0' && text[1] <= '3' &&
            isdigit((unsigned char)text[2]) && isdigit((unsigned char)text[3])) {
            *to = (char)((text[1] - '0') * 64 + (text[2] - '0') * 8 + (text[3] - '0'));
            text += 4;
        } else {
            *to = *text++;
        }
    }
    *to = '\0';
}

/* This process's path in the hierarchy of version 2, or in that of version 1 which has the
 * controller "cpu"; NULL: it is in none.  Free it. */
static char *path_in(const char *root, bool second)
{
    char *line = NULL, *found = NULL;
    size_t room = 0;
    FILE *file = open_below(root, "/proc/self", "cgroup");
    while (file != NULL && found == NULL && getline(&line, &room, file) > 0) {
        char *controllers = strchr(line, ':'), *path = NULL;
        if (controllers != NULL)
            path = strchr(controllers + 1, ':');
        if (path == NULL)
            continue;
        *path++ = '\0';
        path[strcspn(path, "\n")] = '\0';
        bool fits = second ? strcmp(controllers, ":") == 0 : has_word(controllers + 1, "cpu");
        if (fits && path[0] == '/')
            found = strdup(path);
    }
    free(line);
    if (file != NULL)
        fclose(file);
    return found;
}

/* Each folder from that of the process up to the mount point. */
static int limit_of_mount(const char *root, const char *mount, const char *below,
                          const hierarchy *h, int count)
{
    char folder[MDL_PATH_MAX];
    size_t top = strlen(mount), length = strlen(below);
    const char *path = h->path;
    /* In a container only its own part may be mounted, and the path may be the host's. */
    if (length > 1 && strncmp(path, below, length) == 0 && strchr("/", path[length]) != NULL)
        path += length;
    else if (length > 1 || strstr(path, "/..") != NULL)
        path = "";
    if (top + strlen(path) >= sizeof(folder))
        return count;
    snprintf(folder, sizeof(folder), "%s%s", mount, path);
    for (;;) {
        count = limit_of(root, folder, h->second, count);
        char *slash = strrchr(folder + top, '/');
        if (slash == NULL)
            return count;
        *slash = '\0';
    }
}

/* A line of mountinfo: number, parent, device, folder in the file system, mount point, options,
 * more of these, "-", type, source, the type's options. */
static int limit_of_line(const char *root, char *line, const hierarchy h[2], int count)
{
    char *field[5], *rest = strstr(line, " - "), *save;
    if (rest == NULL)
        return count;
    *rest = '\0';
    field[0] = strtok_r(line, " ", &save);
    for (size_t i = 1; i < 5; i++)
        field[i] = field[i - 1] != NULL ? strtok_r(NULL, " ", &save) : NULL;
    char *type = strtok_r(rest + 3, " ", &save),
         *source = type != NULL ? strtok_r(NULL, " ", &save) : NULL;
    char *options = source != NULL ? strtok_r(NULL, " ", &save) : NULL;
    if (field[4] == NULL || options == NULL)
        return count;
    decode_octal(field[3]);
    decode_octal(field[4]);
    bool second = strcmp(type, "cgroup2") == 0;
    if (second ? h[1].path == NULL
               : strcmp(type, "cgroup") != 0 || !has_word(options, "cpu") || h[0].path == NULL)
        return count;
    return limit_of_mount(root, field[4], field[3], &h[second], count);
}

int mdl__cgroup_cpus(const char *root)
{
    hierarchy h[2] = {{false, path_in(root, false)}, {true, path_in(root, true)}};
    char *line = NULL;
    size_t room = 0;
    int count = 0;
    FILE *file = NULL;
    if (h[0].path != NULL || h[1].path != NULL)
        file = open_below(root, "/proc/self", "mountinfo");
    while (file != NULL && getline(&line, &room, file) > 0)
        count = limit_of_line(root, line, h, count);
    if (file != NULL)
        fclose(file);
    free(line);
    free(h[0].path);
    free(h[1].path);
    return count;
}
