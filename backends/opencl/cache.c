/* Built programs in the user's cache folder, for drivers that keep none themselves.  A file belongs
 * to one platform, device, driver, set of options and source; what is damaged or belongs to another
 * is built anew.  It is written under another name and renamed, so that readers and several writers
 * never meet half a file.  Where the driver keeps programs, a file without a program notes that it
 * has built one, so that only a build that may take long is told. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backends/opencl/ocl_internal.h"

static char folder[MDL_PATH_MAX]; /* "": there is none */

/* The program tells the folder when it has loaded the module (src/dispatch/module.c). */
__attribute__((visibility("default"))) void mdl_backend_cache(const char *given);
void mdl_backend_cache(const char *given)
{
    snprintf(folder, sizeof(folder), "%s", given);
}

#define MAGIC "mendel-cl1"

typedef struct header { /* of a file; the program follows */
    char magic[16];
    uint64_t source, source_size; /* hash and bytes of the source */
    uint64_t program, program_size;
    char driver[768]; /* platform, its version, device, driver */
    char options[256];
} header;

/* FNV-1a (Fowler, Noll, Vo). */
static uint64_t add_hash(uint64_t hash, const void *data, size_t size)
{
    const unsigned char *bytes = data;
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
    return hash;
}
#define HASH_START UINT64_C(0xcbf29ce484222325)

/* NVIDIA's driver and PoCL keep their own.  MENDEL_OPENCL_CACHE=1 or 0 decides otherwise. */
static bool kept_here(const char *platform)
{
    const char *given = getenv("MENDEL_OPENCL_CACHE");
    if (given != NULL)
        return given[0] == '1';
    return strstr(platform, "NVIDIA") == NULL &&
           strstr(platform, "Portable Computing Language") == NULL;
}

/* *here: whether the file holds the program; else it is the note. */
static mdl_status describe(const ocl_state *state, const ocl_source_text *text, header *h,
                           char path[MDL_PATH_MAX], bool *here)
{
    char platform[256] = "", version[256] = "", driver[128] = "";
    cl_platform_id id = NULL;
    memset(h, 0, sizeof(*h));
    clGetDeviceInfo(state->device, CL_DEVICE_PLATFORM, sizeof(id), &id, NULL);
    clGetPlatformInfo(id, CL_PLATFORM_NAME, sizeof(platform) - 1, platform, NULL);
    clGetPlatformInfo(id, CL_PLATFORM_VERSION, sizeof(version) - 1, version, NULL);
    clGetDeviceInfo(state->device, CL_DRIVER_VERSION, sizeof(driver) - 1, driver, NULL);
    *here = kept_here(platform);
    memcpy(h->magic, MAGIC, sizeof(MAGIC));
    snprintf(h->driver, sizeof(h->driver), "%s\n%s\n%s\n%s", platform, version, state->name,
             driver);
    snprintf(h->options, sizeof(h->options), "%s", text->options);
    h->source = HASH_START;
    for (size_t i = 0; i < MDL_COUNT(text->parts); i++) {
        h->source = add_hash(h->source, text->parts[i], text->sizes[i]);
        h->source_size += text->sizes[i];
    }
    uint64_t key = add_hash(h->source, h->driver, sizeof(h->driver));
    key = add_hash(key, h->options, sizeof(h->options));
    if (folder[0] == '\0')
        return MDL_NOT_FOUND;
    int used = snprintf(path, MDL_PATH_MAX, "%s/opencl-%016llx.%s", folder, (unsigned long long)key,
                        *here ? "bin" : "built");
    return used > 0 && used < MDL_PATH_MAX ? MDL_OK : MDL_NOT_FOUND;
}

/* The program of a file that is whole and has this header; NULL: there is none.  mdl_free it. */
static void *read_file(const char *path, const header *wanted_header, size_t *size)
{
    header h;
    void *program = NULL;
    FILE *file = fopen(path, "rbe");
    if (file == NULL)
        return NULL;
    bool good = fread(&h, sizeof(h), 1, file) == 1 && h.program_size > 0 &&
                h.program_size < ((uint64_t)1 << 30);
    *size = good ? (size_t)h.program_size : 0;
    good = good && mdl_alloc(*size, 1, "program", &program) == MDL_OK &&
           fread(program, 1, *size, file) == *size && fgetc(file) == EOF &&
           add_hash(HASH_START, program, *size) == h.program;
    fclose(file);
    h.program = h.program_size = 0;
    if (good && memcmp(&h, wanted_header, sizeof(h)) == 0)
        return program;
    mdl_free(program);
    return NULL;
}

cl_program ocl_cache_load(ocl_state *state, const ocl_source_text *text)
{
    header h;
    char path[MDL_PATH_MAX];
    size_t size;
    cl_int code, taken;
    bool here;
    if (describe(state, text, &h, path, &here) != MDL_OK || !here)
        return NULL;
    void *bytes = read_file(path, &h, &size);
    if (bytes == NULL)
        return NULL;
    const unsigned char *binary = bytes;
    cl_program program =
        clCreateProgramWithBinary(state->context, 1, &state->device, &size, &binary, &taken, &code);
    mdl_free(bytes);
    if (code == CL_SUCCESS && taken == CL_SUCCESS)
        code = clBuildProgram(program, 1, &state->device, text->options, NULL, NULL);
    if (code == CL_SUCCESS && taken == CL_SUCCESS) {
        mdl_log(MDL_LOG_DEBUG, "opencl: %s", path);
        return program;
    }
    if (program != NULL)
        clReleaseProgram(program);
    return NULL;
}

bool ocl_cache_is_first(const ocl_state *state, const ocl_source_text *text)
{
    header h;
    char path[MDL_PATH_MAX];
    bool here;
    FILE *file = describe(state, text, &h, path, &here) == MDL_OK ? fopen(path, "rbe") : NULL;
    if (file != NULL)
        fclose(file);
    return file == NULL;
}

static bool write_file(const char *path, const header *h, const void *program)
{
    char temporary[MDL_PATH_MAX + 64];
    snprintf(temporary, sizeof(temporary), "%s.%p-%.0f.tmp", path, (const void *)h,
             1e9 * mdl_time());
    FILE *file = fopen(temporary, "wbe");
    if (file == NULL)
        return false;
    bool good = fwrite(h, sizeof(*h), 1, file) == 1;
    if (h->program_size > 0) /* else it is the note */
        good = good && fwrite(program, 1, (size_t)h->program_size, file) == h->program_size;
    good = fclose(file) == 0 && good && rename(temporary, path) == 0;
    if (!good)
        remove(temporary);
    return good;
}

void ocl_cache_save(ocl_state *state, const ocl_source_text *text, cl_program program)
{
    header h;
    char path[MDL_PATH_MAX];
    size_t size = 0;
    unsigned char *binary;
    bool here;
    if (describe(state, text, &h, path, &here) != MDL_OK)
        return;
    if (!here) {
        write_file(path, &h, NULL);
        return;
    }
    if (clGetProgramInfo(program, CL_PROGRAM_BINARY_SIZES, sizeof(size), &size, NULL) !=
            CL_SUCCESS ||
        size == 0 || MDL_NEW(size, "program", &binary) != MDL_OK)
        return;
    if (clGetProgramInfo(program, CL_PROGRAM_BINARIES, sizeof(binary), &binary, NULL) ==
        CL_SUCCESS) {
        h.program = add_hash(HASH_START, binary, size);
        h.program_size = size;
        if (!write_file(path, &h, binary))
            mdl_log(MDL_LOG_WARN, "opencl: %s cannot be written: programs are built at each start",
                    path);
    }
    mdl_free(binary);
}
