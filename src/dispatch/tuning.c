/* Tuning: the table that says which variant of a kernel serves a call, and with which parameters
 * the backend's library works.  It is measured elsewhere (`mendel bench --tune`); here it is kept,
 * looked up, written and read.  Files are outside data: whatever is in them, a call gets a variant
 * that its kernel offers, or the kernel's own rule, and a library gets parameters that suit the
 * device. */
#include "dispatch/tuning.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#define FORMAT      "mendel tuning 1"
#define FILE_LIMIT  ((size_t)4 << 20) /* bytes; the networks here have some hundred calls */
#define DEVICE_TEXT 512

struct mdl_tuning {
    json_t *calls;                        /* {name of a call: variant} */
    char parameters[MDL_PARAMETERS_TEXT]; /* "": the backend's own */
};

mdl_status mdl_tuning_create(mdl_tuning **out)
{
    MDL_TRY(MDL_NEW(1, "tuning", out));
    (*out)->calls = mdl_json_pack("{}");
    if ((*out)->calls != NULL)
        return MDL_OK;
    mdl_tuning_destroy(*out);
    *out = NULL;
    return mdl_fail(MDL_NO_MEMORY, "the tuning table: out of memory");
}

mdl_status mdl__tuning_copy(const mdl_tuning *from, mdl_tuning **out)
{
    MDL_TRY(mdl_tuning_create(out));
    memcpy((*out)->parameters, from->parameters, sizeof(from->parameters));
    mdl_json_update(&(*out)->calls, json_incref(from->calls));
    if ((*out)->calls != NULL)
        return MDL_OK;
    mdl_tuning_destroy(*out);
    *out = NULL;
    return mdl_fail(MDL_NO_MEMORY, "the tuning table: out of memory");
}

void mdl_tuning_destroy(mdl_tuning *tuning)
{
    if (tuning == NULL)
        return;
    json_decref(tuning->calls);
    mdl_free(tuning);
}

size_t mdl_tuning_count(const mdl_tuning *tuning)
{
    return json_object_size(tuning->calls);
}

const char *mdl_tuning_find(const mdl_tuning *tuning, const char *call)
{
    return mdl_json_string(tuning->calls, call);
}

mdl_status mdl_tuning_put(mdl_tuning *tuning, const char *call, const char *variant)
{
    json_t *calls = json_incref(tuning->calls); /* the table stays as it is where this fails */
    mdl_json_set(&calls, call, mdl_json_pack("s", variant));
    json_decref(calls);
    if (calls == NULL)
        return mdl_fail(MDL_NO_MEMORY, "the tuning table: out of memory");
    return MDL_OK;
}

const char *mdl_tuning_parameters(const mdl_tuning *tuning)
{
    return tuning->parameters[0] ? tuning->parameters : NULL;
}

mdl_status mdl_tuning_set_parameters(mdl_tuning *tuning, const char *set)
{
    if (strlen(set) >= sizeof(tuning->parameters))
        return mdl_fail(MDL_FORMAT, "parameters '%.100s...' are longer than %zu letters", set,
                        sizeof(tuning->parameters) - 1);
    snprintf(tuning->parameters, sizeof(tuning->parameters), "%s", set);
    return MDL_OK;
}

/* ---- names of calls ------------------------------------------------------------------------- */

static void MDL_PRINTF(3, 4) add(char *text, size_t *used, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int length = vsnprintf(text + *used, MDL_TUNING_TEXT - *used, format, args);
    va_end(args);
    if (length > 0)
        *used = mdl_min_size(*used + (size_t)length, MDL_TUNING_TEXT - 1);
}

static void add_shapes(char *text, size_t *used, const mdl_view *views, int n)
{
    for (int i = 0; i < n; i++) {
        const mdl_shape *shape = &views[i].shape;
        add(text, used, " ");
        for (int d = 0; d < shape->rank; d++)
            add(text, used, "%s%zu", d > 0 ? "x" : "", shape->dim[d]);
        if (shape->rank == 0)
            add(text, used, "-");
    }
}

static bool is_convolution(mdl_op op)
{
    return op == MDL_OP_CONV2D || op == MDL_OP_CONV2D_GRAD_INPUT ||
           op == MDL_OP_CONV2D_GRAD_WEIGHT || op == MDL_OP_DEPTHWISE ||
           op == MDL_OP_DEPTHWISE_GRAD_INPUT || op == MDL_OP_DEPTHWISE_GRAD_WEIGHT;
}

const char *mdl_tuning_name(const mdl_call *call, char text[MDL_TUNING_TEXT])
{
    size_t used = 0;
    add(text, &used, "%s %s", mdl_op_get(call->op)->name,
        mdl_dtype_name(call->n_out > 0 ? call->out[0].dtype : MDL_F32));
    if (is_convolution(call->op))
        add(text, &used, " %zux%zu stride %zu pad %zu,%zu,%zu,%zu", call->attrs->conv.kernel_h,
            call->attrs->conv.kernel_w, call->attrs->conv.stride, call->attrs->conv.pad_top,
            call->attrs->conv.pad_left, call->attrs->conv.pad_bottom, call->attrs->conv.pad_right);
    add_shapes(text, &used, call->in, call->n_in);
    add(text, &used, " ->");
    add_shapes(text, &used, call->out, call->n_out);
    if (call->accumulate)
        add(text, &used, " +%u", call->accumulate);
    return text;
}

int mdl__tuned_variant(const mdl_device *device, const mdl_call *call)
{
    static atomic_bool told;
    char name[MDL_TUNING_TEXT];
    if (device->tuning == NULL || call->kernel->variant == NULL)
        return 0;
    const char *wanted = mdl_tuning_find(device->tuning, mdl_tuning_name(call, name));
    if (wanted == NULL)
        return 0;
    const char *offered;
    for (int i = 1; (offered = call->kernel->variant(device, call, i)) != NULL; i++)
        if (strcmp(offered, wanted) == 0)
            return i;
    if (!atomic_exchange(&told, true))
        mdl_log(MDL_LOG_WARN,
                "the tuning table has '%.60s' for %.200s, which backend %s does not offer: its own "
                "rule serves (`mendel bench --tune` measures again)",
                wanted, name, device->backend->name);
    return 0;
}

/* ---- files ---------------------------------------------------------------------------------- */

static void identify(const mdl_device *device, char text[DEVICE_TEXT])
{
    text[0] = '\0';
    if (device->backend->identify != NULL)
        device->backend->identify(device, text, DEVICE_TEXT);
}

mdl_status mdl_tuning_write(const mdl_tuning *tuning, const mdl_device *device, const char *path)
{
    char text[DEVICE_TEXT];
    identify(device, text);
    const char *parameters = mdl_tuning_parameters(tuning);
    json_t *root =
        mdl_json_pack("{s:s, s:s, s:s, s:s, s:O}", "format", FORMAT, "version", mdl_build_version(),
                      "backend", device->backend->name, "device", text, "calls", tuning->calls);
    if (parameters != NULL)
        mdl_json_set(&root, "parameters", mdl_json_pack("s", parameters));
    mdl_status status = mdl_json_write(path, root, JSON_INDENT(1) | JSON_SORT_KEYS);
    json_decref(root);
    return status;
}

static mdl_status check_text(const json_t *root, const char *key, const char *wanted)
{
    const char *got = mdl_json_string(root, key);
    if (got == NULL)
        return mdl_fail(MDL_FORMAT, "no text \"%s\"", key);
    if (wanted != NULL && strcmp(got, wanted) != 0)
        return mdl_fail(MDL_UNSUPPORTED, "made for %s '%.200s', here it is '%.200s'", key, got,
                        wanted);
    return MDL_OK;
}

/* Of a library, for that device or (NULL) any. */
static mdl_status take_parameters(json_t *root, const mdl_device *device, mdl_tuning *tuning)
{
    const json_t *parameters = json_object_get(root, "parameters");
    const char *set = json_string_value(parameters);
    if (parameters == NULL)
        return MDL_OK;
    if (set == NULL || !set[0])
        return mdl_fail(MDL_FORMAT, "\"parameters\" is no text");
    MDL_TRY(mdl_tuning_set_parameters(tuning, set));
    if (device == NULL)
        return MDL_OK;
    if (device->backend->parameters == NULL)
        return mdl_fail(MDL_FORMAT, "\"parameters\": backend %s has none", device->backend->name);
    return device->backend->parameters->check(device, set);
}

static mdl_status check_table(json_t *root, const mdl_device *device)
{
    char text[DEVICE_TEXT];
    const char *name;
    json_t *calls = json_object_get(root, "calls"), *variant;
    MDL_TRY(check_text(root, "format", FORMAT));
    if (!json_is_object(calls))
        return mdl_fail(MDL_FORMAT, "no object \"calls\"");
    json_object_foreach (calls, name, variant) {
        if (!json_is_string(variant))
            return mdl_fail(MDL_FORMAT, "\"%.200s\" has no text", name);
    }
    if (device != NULL)
        identify(device, text);
    MDL_TRY(check_text(root, "version", device != NULL ? mdl_build_version() : NULL));
    MDL_TRY(check_text(root, "backend", device != NULL ? device->backend->name : NULL));
    return check_text(root, "device", device != NULL ? text : NULL);
}

mdl_status mdl_tuning_read(const char *path, const mdl_device *device, mdl_tuning **out)
{
    json_t *root;
    *out = NULL;
    MDL_TRY(mdl_json_read_file(path, FILE_LIMIT, JSON_REJECT_DUPLICATES, &root));
    mdl_tuning *tuning = NULL;
    mdl_status status = check_table(root, device);
    if (status == MDL_OK)
        status = MDL_NEW(1, "tuning", &tuning);
    if (status == MDL_OK) {
        tuning->calls = json_incref(json_object_get(root, "calls"));
        status = take_parameters(root, device, tuning);
    }
    json_decref(root);
    if (status == MDL_OK) {
        *out = tuning;
        return MDL_OK;
    }
    mdl_tuning_destroy(tuning);
    return mdl_fail_context(status, "%s: tuning table", path);
}

/* FNV-1a, 64 bits (Fowler, Noll, Vo): tells the tables of several devices apart. */
static uint64_t add_hash(uint64_t hash, const char *text)
{
    for (; *text; text++)
        hash = (hash ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
    return hash * UINT64_C(0x100000001b3); /* the NUL */
}

mdl_status mdl__cache_folder(char *folder, size_t size)
{
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (cache != NULL && cache[0] == '/') /* the specification ignores relative ones */
        return mdl_path(folder, size, cache, "mendel");
    if (home != NULL && home[0])
        return mdl_path(folder, size, home, ".cache/mendel");
    return mdl_fail(MDL_NOT_FOUND, "no cache folder: neither XDG_CACHE_HOME nor HOME is set");
}

mdl_status mdl_tuning_path(const mdl_device *device, char path[MDL_PATH_MAX])
{
    char text[DEVICE_TEXT], folder[MDL_PATH_MAX];
    identify(device, text);
    uint64_t hash = add_hash(UINT64_C(0xcbf29ce484222325), device->backend->name);
    hash = add_hash(add_hash(hash, text), mdl_build_version());
    MDL_TRY(mdl__cache_folder(folder, sizeof(folder)));
    return mdl_path(path, MDL_PATH_MAX, folder, "tuning-%s-%016llx.json", device->backend->name,
                    (unsigned long long)hash);
}

/* ---- use ------------------------------------------------------------------------------------ */

void mdl_device_set_tuning(mdl_device *device, mdl_tuning *tuning)
{
    const mdl_parameters *parameters = device->backend->parameters;
    const char *set = tuning != NULL ? mdl_tuning_parameters(tuning) : NULL;
    mdl_status status = MDL_OK;
    if (set != NULL)
        status = parameters != NULL ? parameters->check(device, set)
                                    : mdl_fail(MDL_UNSUPPORTED, "backend %s has no parameters",
                                               device->backend->name);
    if (status != MDL_OK)
        mdl_log(MDL_LOG_WARN, "the tuning table was made elsewhere: %s; its own serve",
                mdl_error_detail());
    if (parameters != NULL)
        parameters->use(device, status == MDL_OK ? set : NULL);
    mdl_tuning_destroy(device->tuning);
    device->tuning = tuning;
}

mdl_status mdl_tuning_use(mdl_device *device, const char *setting)
{
    char path[MDL_PATH_MAX];
    mdl_tuning *tuning = NULL;
    mdl_device_set_tuning(device, NULL);
    if (strcmp(setting, "off") == 0 || device->backend->identify == NULL)
        return MDL_OK;
    if (strcmp(setting, "auto") != 0) {
        MDL_TRY(mdl_tuning_read(setting, device, &tuning));
    } else if (mdl_tuning_path(device, path) == MDL_OK && mdl_file_exists(path)) {
        mdl_status status = mdl_tuning_read(path, device, &tuning);
        if (status == MDL_NO_MEMORY)
            return status;
        if (status != MDL_OK)
            mdl_log(MDL_LOG_WARN, "%s; it is ignored (`mendel bench --tune` makes a new one)",
                    mdl_error_detail());
    }
    mdl_device_set_tuning(device, tuning);
    return MDL_OK;
}

mdl_status mdl_tuning_leave(const mdl_device *device, const char *folder)
{
    char path[MDL_PATH_MAX];
    MDL_TRY(mdl_path(path, sizeof(path), folder, "tuning.json"));
    if (device->tuning == NULL)
        return mdl_remove_file(path);
    MDL_TRY(mdl_make_folders(folder));
    return mdl_tuning_write(device->tuning, device, path);
}

mdl_status mdl_tuning_use_in(mdl_device *device, const char *setting, const char *folder,
                             bool goes_on)
{
    char path[MDL_PATH_MAX];
    mdl_tuning *tuning = NULL;
    MDL_TRY(mdl_path(path, sizeof(path), folder, "tuning.json"));
    if (goes_on) { /* none where it began with none; also where the machine is another one by now */
        if (mdl_file_exists(path))
            MDL_TRY(mdl_tuning_read(path, NULL, &tuning));
        mdl_device_set_tuning(device, tuning);
        return MDL_OK;
    }
    MDL_TRY(mdl_tuning_use(device, setting));
    return mdl_tuning_leave(device, folder);
}

static mdl_status take_shared(mdl_device *device, const char *text, size_t size)
{
    json_t *whole;
    mdl_tuning *tuning = NULL;
    MDL_TRY(mdl_json_read(text, size, 0, &whole));
    json_t *calls = json_object_get(whole, "calls");
    mdl_status status = json_is_object(calls) ? mdl_tuning_create(&tuning) : MDL_OK;
    if (tuning != NULL) {
        const char *set = mdl_json_string(whole, "parameters");
        json_decref(tuning->calls);
        tuning->calls = json_incref(calls);
        status = mdl_tuning_set_parameters(tuning, set != NULL ? set : "");
    }
    json_decref(whole);
    if (status == MDL_OK)
        mdl_device_set_tuning(device, tuning);
    else
        mdl_tuning_destroy(tuning);
    return status;
}

mdl_status mdl_tuning_share(const mdl_comm *comm, mdl_device *device)
{
    char *text = NULL;
    size_t size = 0;
    mdl_status status = MDL_OK;
    if (comm->size == 1)
        return MDL_OK;
    if (comm->rank == 0) {
        const mdl_tuning *own = device->tuning;
        json_t *whole = own == NULL ? mdl_json_pack("{}")
                                    : mdl_json_pack("{s:O, s:s}", "calls", own->calls, "parameters",
                                                    mdl_tuning_parameters(own));
        status = mdl_json_text(whole, JSON_COMPACT, &text);
        json_decref(whole);
        size = text != NULL ? strlen(text) : 0;
    }
    status = mdl_comm_agree(comm, status);
    if (status == MDL_OK)
        status = mdl_comm_broadcast_text(comm, &text, &size, 0);
    if (status == MDL_OK && comm->rank != 0)
        status = take_shared(device, text, size);
    mdl_free(text);
    return status;
}
