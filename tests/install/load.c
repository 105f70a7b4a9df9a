/* Loads the library, uses it and unloads it, in a loop.  Before it is called it starts no thread
 * and reads no environment; when its handles are closed, no thread is left; it can be unloaded.
 * usage: load LIBRARY CHECKPOINT TIMES [BACKEND] */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <mendel/mendel.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *library;
static int environment_reads; /* by code of the library */

/* Stands before the C library's own, so that calls of the library come here. */
char *getenv(const char *name)
{
    extern char **environ;
    Dl_info caller;
    if (library != NULL && dladdr(__builtin_return_address(0), &caller) != 0 &&
        strcmp(caller.dli_fname, library) == 0)
        environment_reads++;
    size_t length = strlen(name);
    for (char **entry = environ; entry != NULL && *entry != NULL; entry++)
        if (strncmp(*entry, name, length) == 0 && (*entry)[length] == '=')
            return *entry + length + 1;
    return NULL;
}

static int threads(void)
{
    int count = 0;
    DIR *tasks = opendir("/proc/self/task");
    while (tasks != NULL && readdir(tasks) != NULL)
        count++;
    if (tasks != NULL)
        closedir(tasks);
    return count - 2; /* . and .. */
}

#define TAKE(function)                                                                             \
    do {                                                                                           \
        void *symbol = dlsym(handle, #function);                                                   \
        memcpy(&take_##function, &symbol, sizeof(symbol));                                         \
    } while (0)

/* The message of what went wrong; NULL: nothing. */
static const char *use(void *handle, const char *checkpoint, const char *backend)
{
    static uint8_t pixels[4096];
    static float logits[1000];
    static char text[4096];
    const char *(*take_mdl_error_detail)(void);
    mdl_status (*take_mdl_predictor_open)(const char *, const char *, int, size_t,
                                          mdl_predictor **);
    mdl_status (*take_mdl_predictor_run)(mdl_predictor *, const uint8_t *, size_t, float *);
    void (*take_mdl_predictor_close)(mdl_predictor *);
    TAKE(mdl_error_detail);
    TAKE(mdl_predictor_open);
    TAKE(mdl_predictor_run);
    TAKE(mdl_predictor_close);
    mdl_predictor *predictor;
    if (take_mdl_predictor_open(checkpoint, backend, 2, 1, &predictor) != MDL_OK ||
        take_mdl_predictor_run(predictor, pixels, 1, logits) != MDL_OK) {
        snprintf(text, sizeof(text), "%s", take_mdl_error_detail());
        return text;
    }
    take_mdl_predictor_close(predictor);
    return NULL;
}

int main(int argc, char **argv)
{
    if (argc < 4)
        return 2;
    for (int i = 0; i < atoi(argv[3]); i++) {
        library = argv[1];
        void *handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
        if (handle == NULL) {
            fprintf(stderr, "%s\n", dlerror());
            return 1;
        }
        if (environment_reads != 0 || threads() != 1) {
            fprintf(stderr, "loading it read the environment %d times and left %d threads\n",
                    environment_reads, threads());
            return 1;
        }
        library = NULL;
        const char *error = use(handle, argv[2], argc > 4 ? argv[4] : "cpu");
        if (error != NULL) {
            fprintf(stderr, "%s\n", error);
            return 1;
        }
        if (argc <= 4 && threads() != 1) {
            fprintf(stderr, "%d threads are left\n", threads());
            return 1;
        }
        if (dlclose(handle) != 0 || dlopen(argv[1], RTLD_NOW | RTLD_NOLOAD) != NULL) {
            fprintf(stderr, "it cannot be unloaded\n");
            return 1;
        }
    }
    return 0;
}
