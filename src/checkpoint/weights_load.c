/* Weights from a file: all of them, or those that fit. */
#include <stdio.h>
#include <string.h>

#include "checkpoint/checkpoint_internal.h"

/* A list of names for the error text: the first few, and how many there are. */
enum { LISTED = 4 };
typedef struct name_list {
    char text[300]; /* "a, b" */
    size_t count;
} name_list;

static void list_add(name_list *list, const char *name, const char *more)
{
    size_t used = strlen(list->text);
    if (list->count < LISTED)
        snprintf(list->text + used, sizeof(list->text) - used, "%s%s%s", used > 0 ? ", " : "", name,
                 more);
    else if (list->count == LISTED)
        snprintf(list->text + used, sizeof(list->text) - used, ", ...");
    list->count++;
}

static bool is_float(mdl_file_type type)
{
    return type == MDL_FILE_F32 || type == MDL_FILE_F64 || type == MDL_FILE_F16 ||
           type == MDL_FILE_BF16;
}

/* What a load finds wrong. */
typedef struct mismatch {
    name_list missing, shaped, unexpected;
    size_t taken; /* tensors that fit */
    mdl__unsound unsound;
    mdl_dtype real; /* type that the values get */
} mismatch;

enum { PIECE = 1 << 16 }; /* values */

/* Whether the values can be computed with, a piece at a time; scratch: room for one. */
static void look_at(const mdl_file_tensor *tensor, const mdl_param *param, double *scratch,
                    mismatch *wrong)
{
    mdl_file_tensor piece = *tensor;
    size_t size = tensor->bytes / tensor->count;
    for (size_t first = 0; first < tensor->count; first += piece.count) {
        piece.data = (const char *)tensor->data + first * size;
        piece.count = mdl_min_size(PIECE, tensor->count - first);
        mdl_file_tensor_get(&piece, scratch);
        mdl__find_unsound(param, scratch, first, piece.count, wrong->real, &wrong->unsound);
    }
}

/* A parameter's values from the file into the arena `ours`; NULL: they are only looked at. */
static void take_param(const mdl_tensors *file, const mdl_param *param, double *scratch,
                       double *ours, mismatch *wrong)
{
    const mdl_file_tensor *tensor = mdl_tensors_find(file, param->name);
    if (tensor == NULL) {
        list_add(&wrong->missing, param->name, "");
        return;
    }
    size_t dim[8] = {0};
    int rank = mdl__file_dims(param, dim);
    if (tensor->rank != rank || memcmp(tensor->dim, dim, (size_t)rank * sizeof(*dim)) != 0 ||
        !is_float(tensor->type)) {
        char expected[MDL__DIMS_TEXT], got[MDL__DIMS_TEXT], more[2 * MDL__DIMS_TEXT + 64];
        snprintf(more, sizeof(more), " (expected %s, the file has %s %s)",
                 mdl__dims_text(rank, dim, expected), mdl_file_type_name(tensor->type),
                 mdl__dims_text(tensor->rank, tensor->dim, got));
        list_add(&wrong->shaped, param->name, more);
        return;
    }
    wrong->taken++;
    if (ours == NULL) {
        if (tensor->data != NULL) /* of an open file whose data nobody has loaded: the shape */
            look_at(tensor, param, scratch, wrong);
        return;
    }
    mdl_file_tensor_get(tensor, scratch);
    mdl__find_unsound(param, scratch, 0, param->count, wrong->real, &wrong->unsound);
    mdl__layout_from_file(param, scratch, ours + param->offset);
}

static void mark_expected(const mdl_tensors *file, const char *name, bool *expected)
{
    const mdl_file_tensor *tensor = mdl_tensors_find(file, name);
    if (tensor != NULL)
        expected[tensor - file->tensors] = true;
}

/* List what the file has and the model has not. */
static mdl_status list_unexpected(const mdl_tensors *file, const mdl_graph *graph, name_list *list)
{
    char tracked[128];
    bool *expected = NULL;
    MDL_TRY(MDL_NEW(file->n_tensors + 1, "checkpoint", &expected));
    for (size_t i = 0; i < mdl_graph_param_count(graph); i++)
        mark_expected(file, mdl_graph_param_at(graph, i)->name, expected);
    for (size_t i = 0; i < mdl_graph_buffer_count(graph); i++) {
        const mdl_param *buffer = mdl_graph_buffer_at(graph, i);
        if (buffer->role != MDL_ROLE_CARRY)
            mark_expected(file, buffer->name, expected);
        if (mdl__tracked_name(buffer, tracked, sizeof(tracked)))
            mark_expected(file, tracked, expected);
    }
    for (size_t i = 0; i < file->n_tensors; i++)
        if (!expected[i])
            list_add(list, file->tensors[i].name, "");
    mdl_free(expected);
    return MDL_OK;
}

static mdl_status report(const char *path, const mismatch *wrong)
{
    if (wrong->missing.count + wrong->shaped.count + wrong->unexpected.count == 0)
        return mdl__refuse_unsound(&wrong->unsound, path);
    char text[1000];
    size_t used = 0;
    const name_list *lists[] = {&wrong->missing, &wrong->shaped, &wrong->unexpected};
    static const char *const words[] = {"missing", "of wrong shape or type", "unexpected"};
    text[0] = '\0';
    for (size_t i = 0; i < MDL_COUNT(lists); i++) {
        if (lists[i]->count > 0 && used < sizeof(text))
            used +=
                (size_t)snprintf(text + used, sizeof(text) - used, "%s%zu %s: %s",
                                 used > 0 ? "; " : "", lists[i]->count, words[i], lists[i]->text);
    }
    return mdl_fail(MDL_SHAPE, "%s: the tensors are not this model's (%s)", path, text);
}

static mdl_status upload_arena(mdl_buffer *buffer, const double *values)
{
    mdl_view view = mdl__arena_view(buffer);
    return mdl_view_upload_f64(&view, values, mdl__arena_count(buffer));
}

typedef struct loading { /* what one load has in memory */
    double *params, *buffers, *scratch;
    mismatch wrong;
} loading;

static mdl_status begin(const mdl_graph *graph, const mdl_weights *weights, loading *l)
{
    *l = (loading){.wrong = {.real = weights->device->real}};
    MDL_TRY(MDL_NEW(mdl__arena_count(weights->params), "checkpoint", &l->params));
    MDL_TRY(MDL_NEW(mdl__arena_count(weights->buffers), "checkpoint", &l->buffers));
    return MDL_NEW(mdl__largest_param(graph), "checkpoint", &l->scratch);
}

/* Every tensor that fits, and a list of those that do not. */
static mdl_status take_all(const mdl_tensors *file, const mdl_graph *graph, loading *l)
{
    for (size_t i = 0; i < mdl_graph_param_count(graph); i++)
        take_param(file, mdl_graph_param_at(graph, i), l->scratch, l->params, &l->wrong);
    for (size_t i = 0; i < mdl_graph_buffer_count(graph); i++) {
        const mdl_param *buffer = mdl_graph_buffer_at(graph, i);
        if (buffer->role != MDL_ROLE_CARRY)
            take_param(file, buffer, l->scratch, l->buffers, &l->wrong);
    }
    return list_unexpected(file, graph, &l->wrong.unexpected);
}

static mdl_status end(mdl_status status, loading *l, mdl_weights *weights)
{
    if (status == MDL_OK)
        status = upload_arena(weights->params, l->params);
    if (status == MDL_OK)
        status = upload_arena(weights->buffers, l->buffers);
    mdl_free(l->params);
    mdl_free(l->buffers);
    mdl_free(l->scratch);
    return status;
}

/* A file may hold several models (an average beside the last one): say which one it is. */
static mdl_status tell_key(const mdl_tensors *file, const char *path, mdl_status status)
{
    const char *key = mdl_tensors_metadata(file, MDL_TORCH_KEY);
    if (status == MDL_OK && key != NULL)
        mdl_log(MDL_LOG_INFO, "%s: the weights are those of \"%s\" in the file", path, key);
    return status;
}

mdl_status mdl_weights_load(const mdl_tensors *file, const char *path, const mdl_graph *graph,
                            mdl_weights *weights)
{
    loading l;
    mdl_status status = begin(graph, weights, &l);
    if (status == MDL_OK)
        status = take_all(file, graph, &l);
    if (status == MDL_OK)
        status = report(path, &l.wrong); /* nothing is uploaded unless all of it fits */
    return tell_key(file, path, end(status, &l, weights));
}

mdl_status mdl_weights_match(const mdl_tensors *file, const char *path, const mdl_graph *graph)
{
    loading l = {.wrong = {.real = mdl_graph_real(graph)}}; /* without arenas */
    MDL_TRY(MDL_NEW(PIECE, "checkpoint", &l.scratch));
    mdl_status status = take_all(file, graph, &l);
    mdl_free(l.scratch);
    return status == MDL_OK ? report(path, &l.wrong) : status;
}

/* What is drawn anew, and what of the file is of no use here. */
static void tell_part(const char *path, const mismatch *wrong)
{
    const char *comma = wrong->missing.count > 0 && wrong->shaped.count > 0 ? ", " : "";
    size_t anew = wrong->missing.count + wrong->shaped.count;
    if (anew > 0)
        mdl_log(MDL_LOG_WARN,
                "%s: %zu tensors are taken, %zu are drawn anew because they are not there or have "
                "another shape: %s%s%s",
                path, wrong->taken, anew, wrong->shaped.text, comma, wrong->missing.text);
    if (wrong->unexpected.count > 0)
        mdl_log(MDL_LOG_WARN, "%s: %zu tensors have no place in this model and are left: %s", path,
                wrong->unexpected.count, wrong->unexpected.text);
}

mdl_status mdl_weights_load_part(const mdl_tensors *file, const char *path, const mdl_graph *graph,
                                 mdl_weights *weights)
{
    loading l;
    mdl_status status = begin(graph, weights, &l);
    if (status == MDL_OK)
        status = mdl__arena_download(weights->params, l.params);
    if (status == MDL_OK)
        status = mdl__arena_download(weights->buffers, l.buffers);
    if (status == MDL_OK)
        status = take_all(file, graph, &l);
    bool few = l.wrong.taken < l.wrong.missing.count + l.wrong.shaped.count;
    if (status == MDL_OK)
        status = few ? report(path, &l.wrong) : mdl__refuse_unsound(&l.wrong.unsound, path);
    if (status == MDL_OK)
        tell_part(path, &l.wrong);
    return tell_key(file, path, end(status, &l, weights));
}
