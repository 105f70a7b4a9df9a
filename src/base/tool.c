/* Other programs, run as children: text in, text out.  No shell is involved. */
#include <errno.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/base.h"

extern char **environ;

/* All of a stream into *out, with a NUL behind it; at most `limit` bytes. */
static mdl_status read_all(FILE *file, size_t limit, char **out, size_t *size)
{
    size_t room = 0, used = 0, got;
    *out = NULL;
    do {
        if (used + 4096 + 1 > room) {
            if (room >= limit)
                return mdl_fail(MDL_FORMAT, "more than %zu bytes", limit);
            size_t more = room == 0 ? 16384 : 2 * room;
            MDL_TRY(mdl_grow(room, more, 1, "output of a program", (void **)out));
            room = more;
        }
        got = fread(*out + used, 1, 4096, file);
        used += got;
    } while (got > 0);
    (*out)[used] = '\0';
    *size = used;
    return ferror(file) ? mdl_fail(MDL_IO, "cannot read the output of a program") : MDL_OK;
}

static mdl_status start(const char *const *argv, FILE *in, FILE *out, FILE *err, pid_t *child)
{
    posix_spawn_file_actions_t actions;
    if (posix_spawn_file_actions_init(&actions) != 0)
        return mdl_fail(MDL_NO_MEMORY, "cannot start %s", argv[0]);
    posix_spawn_file_actions_adddup2(&actions, fileno(in), 0);
    posix_spawn_file_actions_adddup2(&actions, fileno(out), 1);
    posix_spawn_file_actions_adddup2(&actions, fileno(err), 2);
    /* posix_spawnp takes char *const[] for historical reasons; it changes nothing. */
    int error =
        posix_spawnp(child, argv[0], &actions, NULL, (char *const *)(uintptr_t)argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (error != 0)
        return mdl_fail(error == ENOENT ? MDL_NOT_FOUND : MDL_IO, "cannot start %s: %s", argv[0],
                        strerror(error));
    return MDL_OK;
}

static mdl_status finish(const char *name, pid_t child, FILE *err)
{
    int code = 0;
    char *text = NULL;
    size_t size;
    while (waitpid(child, &code, 0) < 0)
        if (errno != EINTR)
            return mdl_fail(MDL_IO, "cannot wait for %s: %s", name, strerror(errno));
    if (WIFEXITED(code) && WEXITSTATUS(code) == 0)
        return MDL_OK;
    if (WIFEXITED(code) && WEXITSTATUS(code) == 127) /* some systems say so only here */
        return mdl_fail(MDL_NOT_FOUND, "cannot start %s", name);
    rewind(err);
    mdl_status status = read_all(err, (size_t)1 << 20, &text, &size);
    if (status == MDL_OK)
        status = mdl_fail(MDL_IO, "%s failed: %.400s", name, text);
    mdl_free(text);
    return status;
}

/* Files without names carry the texts, so that no pipe can fill up and stop both sides. */
mdl_status mdl_tool_run(const char *const *argv, const char *input, size_t size, size_t limit,
                        char **output, size_t *output_size)
{
    FILE *files[3] = {tmpfile(), tmpfile(), tmpfile()};
    pid_t child = 0;
    mdl_status status = MDL_OK;
    *output = NULL;
    if (!files[0] || !files[1] || !files[2] || fwrite(input, 1, size, files[0]) != size ||
        fflush(files[0]) != 0)
        status =
            mdl_fail(MDL_IO, "cannot write a temporary file for %s: %s", argv[0], strerror(errno));
    if (status == MDL_OK) {
        rewind(files[0]);
        status = start(argv, files[0], files[1], files[2], &child);
    }
    if (status == MDL_OK)
        status = finish(argv[0], child, files[2]);
    if (status == MDL_OK) {
        rewind(files[1]);
        status = read_all(files[1], limit, output, output_size);
    }
    for (size_t i = 0; i < 3; i++)
        if (files[i])
            fclose(files[i]);
    if (status != MDL_OK) {
        mdl_free(*output);
        *output = NULL;
    }
    return status;
}
