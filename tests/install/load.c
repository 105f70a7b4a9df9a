/* Loads the library, uses it and unloads it, in a loop.  Before it is called it starts no thread
 * and reads no environment; when its handles are closed, no thread is left; it can be unloaded, and
 * leaves nothing of its own in libraries that stay (Jansson, which others use, and libcrypto, which
 * cannot be unloaded and cleans up when the process ends).  A training is written into the folder
 * `loaded`.
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

/* The library's function of this name, in a variable of its type. */
#define TAKE(function)                                                                             \
    __typeof__(function) *take_##function;                                                         \
    do {                                                                                           \
        void *symbol = dlsym(handle, #function);                                                   \
        memcpy(&take_##function, &symbol, sizeof(symbol));                                         \
    } while (0)

static mdl_status predict(void *handle, const char *checkpoint, const char *backend)
{
    static uint8_t pixels[4096];
    static float logits[1000];
    mdl_predictor *predictor;
    TAKE(mdl_predictor_open);
    TAKE(mdl_predictor_run);
    TAKE(mdl_predictor_close);
    mdl_status status = take_mdl_predictor_open(checkpoint, backend, 2, 1, &predictor);
    if (status == MDL_OK)
        status = take_mdl_predictor_run(predictor, pixels, 1, logits);
    take_mdl_predictor_close(predictor);
    return status;
}

static mdl_status train(void *handle)
{
    static const char *const settings[] = {"model.kind=mlp", "data.size=native", "data.limit=64",
                                           "train.epochs=1", "run.threads=2"};
    mdl_config *config = NULL;
    mdl_data *data = NULL;
    mdl_train_options options = MDL_TRAIN_OPTIONS;
    options.out = "loaded"; /* with a resume.state, whose digest libcrypto makes */
    options.overwrite = 1;
    TAKE(mdl_config_create);
    TAKE(mdl_config_assign);
    TAKE(mdl_config_destroy);
    TAKE(mdl_data_open);
    TAKE(mdl_data_close);
    TAKE(mdl_train);
    mdl_status status = take_mdl_config_create(&config);
    for (size_t i = 0; status == MDL_OK && i < sizeof(settings) / sizeof(settings[0]); i++)
        status = take_mdl_config_assign(config, settings[i]);
    if (status == MDL_OK)
        status = take_mdl_data_open(NULL, "digits", config, &data);
    if (status == MDL_OK)
        status = take_mdl_train(NULL, config, data, &options, NULL);
    take_mdl_data_close(data);
    take_mdl_config_destroy(config);
    return status;
}

/* Another user of Jansson, for whom the library is nothing. */
static void use_jansson(void *handle)
{
    void *loads = dlsym(handle, "json_loads"), *delete = dlsym(handle, "json_delete");
    void *(*take_loads)(const char *, size_t, void *);
    void (*take_delete)(void *);
    memcpy(&take_loads, &loads, sizeof(loads));
    memcpy(&take_delete, &delete, sizeof(delete));
    take_delete(take_loads("{\"a\": [1, 2]}", 0, NULL));
}

int main(int argc, char **argv)
{
    if (argc < 4)
        return 2;
    void *jansson = dlopen("libjansson.so.4", RTLD_NOW | RTLD_LOCAL); /* NULL: not needed here */
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
        TAKE(mdl_error_detail);
        if (predict(handle, argv[2], argc > 4 ? argv[4] : "cpu") != MDL_OK ||
            train(handle) != MDL_OK) {
            fprintf(stderr, "%s\n", take_mdl_error_detail());
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
        if (jansson != NULL)
            use_jansson(jansson);
    }
    return 0;
}
