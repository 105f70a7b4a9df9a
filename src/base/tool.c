/* Other programs, run as children: text in, text out.  No shell is involved, and nothing of the
 * user's environment but where programs and libraries lie. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/base.h"

enum { CHILD_SECONDS = 60 };

/* ---- environment ---------------------------------------------------------------------------- */

/* What a child's user could have set up (start files, fonts, locale, terminals) stays out, so that
 * what it draws is the same for everybody. */
static const char *const fixed_environment[] = {
    "LC_ALL=C", "HOME=/nonexistent", "XDG_CONFIG_HOME=/nonexistent", "XDG_DATA_HOME=/nonexistent"};
static const char *const passed_on[] = {"PATH", "TMPDIR", "LD_LIBRARY_PATH"};

typedef struct environment {
    char *made[MDL_COUNT(passed_on)]; /* NAME=value; NULL where there is none */
    const char *all[MDL_COUNT(fixed_environment) + MDL_COUNT(passed_on) + 1];
} environment;

static mdl_status environment_make(environment *e)
{
    size_t n = 0;
    *e = (environment){0};
    for (size_t i = 0; i < MDL_COUNT(fixed_environment); i++)
        e->all[n++] = fixed_environment[i];
    for (size_t i = 0; i < MDL_COUNT(passed_on); i++) {
        const char *value = getenv(passed_on[i]);
        if (value == NULL)
            continue;
        size_t size = strlen(passed_on[i]) + strlen(value) + 2;
        MDL_TRY(mdl_alloc(size, 1, "environment of a program", (void **)&e->made[i]));
        snprintf(e->made[i], size, "%s=%s", passed_on[i], value);
        e->all[n++] = e->made[i];
    }
    return MDL_OK;
}

static void environment_free(environment *e)
{
    for (size_t i = 0; i < MDL_COUNT(passed_on); i++)
        mdl_free(e->made[i]);
}

/* ---- the child ------------------------------------------------------------------------------ */

/* A group of its own, which can be ended as a whole, and no signal that we ignore. */
static bool set_attributes(posix_spawnattr_t *attributes)
{
    sigset_t none, usual;
    sigemptyset(&none);
    sigemptyset(&usual);
    sigaddset(&usual, SIGPIPE);
    sigaddset(&usual, SIGXFSZ);
    sigaddset(&usual, SIGINT);
    sigaddset(&usual, SIGHUP);
    return posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF |
                                                    POSIX_SPAWN_SETSIGMASK) == 0 &&
           posix_spawnattr_setpgroup(attributes, 0) == 0 &&
           posix_spawnattr_setsigdefault(attributes, &usual) == 0 &&
           posix_spawnattr_setsigmask(attributes, &none) == 0;
}

static mdl_status spawn(const char *const *argv, FILE *const files[3],
                        const posix_spawnattr_t *attributes, pid_t *child)
{
    posix_spawn_file_actions_t actions;
    environment e;
    if (posix_spawn_file_actions_init(&actions) != 0)
        return mdl_fail(MDL_NO_MEMORY, "cannot start %s: out of memory", argv[0]);
    int error = 0;
    for (int fd = 0; fd < 3 && error == 0; fd++)
        error = posix_spawn_file_actions_adddup2(&actions, fileno(files[fd]), fd);
    mdl_status status = environment_make(&e);
    /* posix_spawnp takes char *const[] for historical reasons; it changes nothing. */
    if (status == MDL_OK && error == 0)
        error = posix_spawnp(child, argv[0], &actions, attributes, (char *const *)(uintptr_t)argv,
                             (char *const *)(uintptr_t)e.all);
    environment_free(&e);
    posix_spawn_file_actions_destroy(&actions);
    if (status == MDL_OK && error != 0)
        status = mdl_fail_errno(error, "cannot start %s", argv[0]);
    return status;
}

static mdl_status start(const char *const *argv, FILE *const files[3], pid_t *child)
{
    posix_spawnattr_t attributes;
    if (posix_spawnattr_init(&attributes) != 0)
        return mdl_fail(MDL_NO_MEMORY, "cannot start %s: out of memory", argv[0]);
    mdl_status status = set_attributes(&attributes)
                            ? spawn(argv, files, &attributes, child)
                            : mdl_fail(MDL_IO, "cannot prepare the start of %s", argv[0]);
    posix_spawnattr_destroy(&attributes);
    return status;
}

static void end(pid_t child)
{
    kill(-child, SIGKILL);
    while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
        continue;
}

/* Wait for the child's end, at most CHILD_SECONDS, and not beyond a stop request. */
static mdl_status wait_for(const char *name, pid_t child, int *code)
{
    double start = mdl_time();
    for (double pause = 0.001;; pause = pause < 0.016 ? 2 * pause : pause) {
        pid_t got = waitpid(child, code, WNOHANG);
        if (got == child)
            return mdl_stop_check(); /* Ctrl-C may have ended it, too */
        if (got < 0 && errno != EINTR)
            return mdl_fail_errno(errno, "cannot wait for %s", name);
        mdl_status status = mdl_stop_check();
        if (status == MDL_OK && mdl_time() - start > CHILD_SECONDS)
            status = mdl_fail(MDL_IO, "%s did not end within %d seconds", name, CHILD_SECONDS);
        if (status != MDL_OK) {
            end(child);
            return status;
        }
        mdl_sleep(pause);
    }
}

static mdl_status finish(const char *name, pid_t child, FILE *err)
{
    int code = 0;
    char *text = NULL;
    size_t size;
    MDL_TRY(wait_for(name, child, &code));
    if (WIFEXITED(code) && WEXITSTATUS(code) == 0)
        return MDL_OK;
    if (WIFEXITED(code) && WEXITSTATUS(code) == 127) /* some systems say so only here */
        return mdl_fail(MDL_NOT_FOUND, "cannot start %s", name);
    mdl_status status = mdl_stream_read(err, (size_t)1 << 20, &text, &size);
    if (status == MDL_OK)
        status = mdl_fail(MDL_IO, "%s failed: %.400s", name, text);
    mdl_free(text);
    return status;
}

/* Files without names carry the texts, so that no pipe can fill up and stop both sides. */
mdl_status mdl_tool_run(const char *const *argv, const char *input, size_t size, size_t limit,
                        char **output, size_t *output_size)
{
    *output = NULL;
    MDL_TRY(mdl_stop_check());
    FILE *files[3] = {mdl_stream_open(), mdl_stream_open(), mdl_stream_open()};
    pid_t child = 0;
    mdl_status status = MDL_OK;
    if (files[0] == NULL || files[1] == NULL || files[2] == NULL ||
        fwrite(input, 1, size, files[0]) != size || fflush(files[0]) != 0)
        status = mdl_fail_errno(errno, "cannot write a temporary file for %s", argv[0]);
    if (status == MDL_OK) {
        rewind(files[0]);
        status = start(argv, files, &child);
    }
    if (status == MDL_OK)
        status = finish(argv[0], child, files[2]);
    if (status == MDL_OK)
        status = mdl_stream_read(files[1], limit, output, output_size);
    for (size_t i = 0; i < 3; i++)
        if (files[i] != NULL)
            fclose(files[i]);
    if (status != MDL_OK) {
        mdl_free(*output);
        *output = NULL;
    }
    return status;
}
