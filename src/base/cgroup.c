/* Limits of control groups: containers and batch systems limit by them a process's time on
 * processors, which neither their number nor the affinity shows, and its memory, of which the
 * system's free memory knows nothing. */
#include "base/cgroup.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"

#define LARGEST_COUNT  65536  /* a quota above is none */
#define LARGEST_MEMORY 0x1p62 /* version 1 has a limit just below 2^63 where there is none */

/* What one folder leaves, of processors or bytes; HUGE_VAL where it has no limit. */
typedef double left_fn(const char *root, const char *folder, bool second);

typedef struct kind {       /* of a limit */
    const char *controller; /* that of version 1 */
    left_fn *left;
} kind;

typedef struct hierarchy { /* one that may have such a limit */
    const kind *kind;
    bool second; /* version 2 */
    char *path;  /* of this process in it, as /proc/self/cgroup has it */
} hierarchy;

/* ---- files ---------------------------------------------------------------------------------- */

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

/* The number behind a word at the beginning of a line; 0 where there is none. */
static double read_entry(const char *root, const char *folder, const char *name, const char *word)
{
    char line[256], found[128];
    double value = 0, here;
    FILE *file = open_below(root, folder, name);
    while (file != NULL && fgets(line, sizeof(line), file) != NULL)
        if (sscanf(line, "%127s %lf", found, &here) == 2 && strcmp(found, word) == 0)
            value = here;
    if (file != NULL)
        fclose(file);
    return value;
}

/* ---- what a folder leaves ------------------------------------------------------------------- */

static double cpus_of(const char *root, const char *folder, bool second)
{
    double quota, period, rest;
    if (second) {
        if (!read_numbers(root, folder, "cpu.max", &quota, &period))
            return HUGE_VAL;
        if (!(period > 0))
            period = 100000; /* the kernel's own, which may be left out */
    } else if (!read_numbers(root, folder, "cpu.cfs_quota_us", &quota, &rest) ||
               !read_numbers(root, folder, "cpu.cfs_period_us", &period, &rest)) {
        return HUGE_VAL;
    }
    double cpus = quota / period;
    return quota > 0 && period > 0 && cpus <= LARGEST_COUNT ? cpus : HUGE_VAL;
}

/* A limit in a file of one number; `so_far` where it has none, or a larger one. */
static double limit_in(const char *root, const char *folder, const char *name, double so_far)
{
    double limit, rest;
    bool is_one = read_numbers(root, folder, name, &limit, &rest) && limit >= 0;
    return is_one && limit < LARGEST_MEMORY ? fmin(limit, so_far) : so_far;
}

/* The limit without what is used; copies of files that were not used for a while go when memory is
 * needed, so they count as free.  At memory.high the kernel slows a process down. */
static double memory_of(const char *root, const char *folder, bool second)
{
    double used = 0, rest, limit = HUGE_VAL;
    limit = limit_in(root, folder, second ? "memory.max" : "memory.limit_in_bytes", limit);
    if (second)
        limit = limit_in(root, folder, "memory.high", limit);
    if (!(limit < HUGE_VAL))
        return HUGE_VAL;
    (void)read_numbers(root, folder, second ? "memory.current" : "memory.usage_in_bytes", &used,
                       &rest);
    used -=
        read_entry(root, folder, "memory.stat", second ? "inactive_file" : "total_inactive_file");
    return fmax(0, limit - fmax(0, used));
}

/* ---- which folders -------------------------------------------------------------------------- */

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
 * controller; NULL: it is in none.  Free it. */
static char *path_in(const char *root, bool second, const char *controller)
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
        bool fits = second ? strcmp(controllers, ":") == 0 : has_word(controllers + 1, controller);
        if (fits && path[0] == '/')
            found = strdup(path);
    }
    free(line);
    if (file != NULL)
        fclose(file);
    return found;
}

/* Each folder from that of the process up to the mount point. */
static double left_of_mount(const char *root, const char *mount, const char *below,
                            const hierarchy *h, double left)
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
        return left;
    snprintf(folder, sizeof(folder), "%s%s", mount, path);
    for (;;) {
        left = fmin(left, h->kind->left(root, folder, h->second));
        char *slash = strrchr(folder + top, '/');
        if (slash == NULL)
            return left;
        *slash = '\0';
    }
}

/* A line of mountinfo: number, parent, device, folder in the file system, mount point, options,
 * more of these, "-", type, source, the type's options. */
static double left_of_line(const char *root, char *line, const hierarchy h[2], double left)
{
    char *field[5], *rest = strstr(line, " - "), *save;
    if (rest == NULL)
        return left;
    *rest = '\0';
    field[0] = strtok_r(line, " ", &save);
    for (size_t i = 1; i < 5; i++)
        field[i] = field[i - 1] != NULL ? strtok_r(NULL, " ", &save) : NULL;
    char *type = strtok_r(rest + 3, " ", &save),
         *source = type != NULL ? strtok_r(NULL, " ", &save) : NULL;
    char *options = source != NULL ? strtok_r(NULL, " ", &save) : NULL;
    if (field[4] == NULL || options == NULL)
        return left;
    decode_octal(field[3]);
    decode_octal(field[4]);
    bool second = strcmp(type, "cgroup2") == 0;
    if (second ? h[1].path == NULL
               : strcmp(type, "cgroup") != 0 || !has_word(options, h[0].kind->controller) ||
                     h[0].path == NULL)
        return left;
    return left_of_mount(root, field[4], field[3], &h[second], left);
}

/* The least that a control group of this process leaves; HUGE_VAL: there is no limit. */
static double least(const char *root, const kind *what)
{
    hierarchy h[2] = {{what, false, path_in(root, false, what->controller)},
                      {what, true, path_in(root, true, what->controller)}};
    char *line = NULL;
    size_t room = 0;
    double left = HUGE_VAL;
    FILE *file = NULL;
    if (h[0].path != NULL || h[1].path != NULL)
        file = open_below(root, "/proc/self", "mountinfo");
    while (file != NULL && getline(&line, &room, file) > 0)
        left = left_of_line(root, line, h, left);
    if (file != NULL)
        fclose(file);
    free(line);
    free(h[0].path);
    free(h[1].path);
    return left;
}

int mdl__cgroup_cpus(const char *root)
{
    double cpus = least(root, &(kind){"cpu", cpus_of});
    return cpus < HUGE_VAL ? (int)ceil(cpus) : 0;
}

uint64_t mdl__cgroup_memory(const char *root)
{
    double bytes = least(root, &(kind){"memory", memory_of});
    return bytes < HUGE_VAL ? (uint64_t)bytes : UINT64_MAX;
}
