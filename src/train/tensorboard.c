/* Event files of TensorBoard: records of a length, its checksum, an Event, and its checksum
 * (little-endian). */
#include "train/tensorboard.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <time.h>

#include "train/tensorboard.pb-c.h"

#define NAME "events.out.tfevents."

/* ---- records -------------------------------------------------------------------------------- */

/* RFC 3720. */
static uint32_t crc32c(const void *bytes, size_t size)
{
    /* The remainders of four bits by Castagnoli's polynomial, lowest bit first. */
    static const uint32_t table[16] = {0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1,
                                       0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d,
                                       0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9,
                                       0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75};
    const unsigned char *at = bytes;
    uint32_t crc = 0xffffffff;
    for (size_t i = 0; i < size; i++) {
        crc = table[(crc ^ at[i]) & 15] ^ crc >> 4;
        crc = table[(crc ^ (uint32_t)at[i] >> 4) & 15] ^ crc >> 4;
    }
    return ~crc;
}

/* As records have it, so that a checksum of what holds checksums says something. */
static uint32_t masked(const void *bytes, size_t size)
{
    uint32_t crc = crc32c(bytes, size);
    return (crc >> 15 | crc << 17) + 0xa282ead8;
}

static void put_little(unsigned char *to, uint64_t value, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        to[i] = (unsigned char)(value >> 8 * i);
}

static mdl_status put(const mdl_tensorboard *board, Mdl__Tensorboard__Event *event)
{
    struct timespec now;
    enum { LENGTH = 8, CRC = 4, HEAD = LENGTH + CRC };
    clock_gettime(CLOCK_REALTIME, &now);
    event->has_wall_time = event->has_step = 1;
    event->wall_time = (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
    size_t size = mdl__tensorboard__event__get_packed_size(event);
    unsigned char *record;
    MDL_TRY(MDL_NEW(HEAD + size + CRC, "an event", &record));
    put_little(record, size, LENGTH);
    put_little(record + LENGTH, masked(record, LENGTH), CRC);
    mdl__tensorboard__event__pack(event, record + HEAD);
    put_little(record + HEAD + size, masked(record + HEAD, size), CRC);
    bool written = fwrite(record, 1, HEAD + size + CRC, board->file) == HEAD + size + CRC;
    int error = errno;
    mdl_free(record);
    return written ? MDL_OK : mdl_fail_errno(error, "cannot write %s", board->path);
}

/* ---- events --------------------------------------------------------------------------------- */

mdl_status mdl_tensorboard_add(const mdl_tensorboard *board, int64_t step,
                               const mdl_scalar *scalars, size_t n)
{
    enum { MOST = 16 };
    Mdl__Tensorboard__Value value[MOST], *values[MOST];
    Mdl__Tensorboard__Summary summary = MDL__TENSORBOARD__SUMMARY__INIT;
    Mdl__Tensorboard__Event event = MDL__TENSORBOARD__EVENT__INIT;
    if (board->file == NULL)
        return MDL_OK;
    summary.value = values;
    for (size_t i = 0; i < n && summary.n_value < MOST; i++) {
        if (!isfinite(scalars[i].value))
            continue;
        Mdl__Tensorboard__Value *v = &value[summary.n_value];
        mdl__tensorboard__value__init(v);
        v->tag = scalars[i].tag;
        v->has_simple_value = 1;
        v->simple_value = (float)scalars[i].value;
        values[summary.n_value++] = v;
    }
    event.step = step;
    event.summary = &summary;
    MDL_TRY(put(board, &event));
    return fflush(board->file) == 0 ? MDL_OK
                                    : mdl_fail_errno(errno, "cannot write %s", board->path);
}

/* A text, which TensorBoard takes for Markdown: indented, it is shown as it is. */
static mdl_status put_text(const mdl_tensorboard *board, int64_t step, char *tag, const char *text)
{
    Mdl__Tensorboard__SummaryMetadata__PluginData plugin =
        MDL__TENSORBOARD__SUMMARY_METADATA__PLUGIN_DATA__INIT;
    Mdl__Tensorboard__SummaryMetadata metadata = MDL__TENSORBOARD__SUMMARY_METADATA__INIT;
    Mdl__Tensorboard__TensorShapeProto shape = MDL__TENSORBOARD__TENSOR_SHAPE_PROTO__INIT;
    Mdl__Tensorboard__TensorProto tensor = MDL__TENSORBOARD__TENSOR_PROTO__INIT;
    Mdl__Tensorboard__Value value = MDL__TENSORBOARD__VALUE__INIT, *values = &value;
    Mdl__Tensorboard__Summary summary = MDL__TENSORBOARD__SUMMARY__INIT;
    Mdl__Tensorboard__Event event = MDL__TENSORBOARD__EVENT__INIT;
    mdl_string shown = {0};
    for (const char *at = text; *at != '\0';) {
        size_t line = strcspn(at, "\n");
        mdl_string_add(&shown, "    %.*s\n", (int)line, at);
        at += line + (at[line] == '\n');
    }
    size_t size = shown.length;
    char *markdown;
    MDL_TRY(mdl_string_take(&shown, &markdown));
    ProtobufCBinaryData bytes = {.len = size, .data = (uint8_t *)markdown};
    plugin.plugin_name = "text";
    metadata.plugin_data = &plugin;
    metadata.has_data_class = 1;
    metadata.data_class = MDL__TENSORBOARD__SUMMARY_METADATA__DATA_CLASS__TENSOR;
    tensor.has_dtype = 1;
    tensor.dtype = MDL__TENSORBOARD__TENSOR_PROTO__DATA_TYPE__STRING;
    tensor.tensor_shape = &shape; /* of rank 0 */
    tensor.n_string_val = 1;
    tensor.string_val = &bytes;
    value.tag = tag;
    value.tensor = &tensor;
    value.metadata = &metadata;
    summary.n_value = 1;
    summary.value = &values;
    event.step = step;
    event.summary = &summary;
    mdl_status status = put(board, &event);
    mdl_free(markdown);
    return status;
}

static mdl_status put_head(const mdl_tensorboard *board, bool goes_on, int64_t step)
{
    Mdl__Tensorboard__Event event = MDL__TENSORBOARD__EVENT__INIT;
    Mdl__Tensorboard__SessionLog start = MDL__TENSORBOARD__SESSION_LOG__INIT;
    event.file_version = "brain.Event:2";
    MDL_TRY(put(board, &event));
    if (!goes_on)
        return MDL_OK;
    start.has_status = 1;
    start.status = MDL__TENSORBOARD__SESSION_LOG__STATUS__START;
    event.file_version = NULL;
    event.session_log = &start;
    event.step = step;
    return put(board, &event);
}

/* ---- the file ------------------------------------------------------------------------------- */

/* The largest number of a file in the folder; 0: there is none. */
static mdl_status find_last(const char *folder, uint64_t *last)
{
    DIR *list;
    *last = 0;
    MDL_TRY(mdl_folder_open(folder, &list));
    for (struct dirent *e; list != NULL && (e = readdir(list)) != NULL;) {
        uint64_t number;
        if (sscanf(e->d_name, NAME "%" SCNu64, &number) == 1 && number > *last)
            *last = number;
    }
    if (list != NULL)
        closedir(list);
    return MDL_OK;
}

mdl_status mdl_tensorboard_open(const char *folder, int64_t step, const char *text,
                                mdl_tensorboard *board)
{
    uint64_t last;
    MDL_TRY(find_last(folder, &last));
    MDL_TRY(mdl_path(board->path, sizeof(board->path), folder, NAME "%06" PRIu64, last + 1));
    MDL_TRY(mdl_append_open(board->path, &board->file));
    board->is_first = last == 0;
    MDL_TRY(put_head(board, last > 0, step));
    if (text != NULL)
        MDL_TRY(put_text(board, step, "configuration", text));
    return mdl_tensorboard_flush(board);
}

mdl_status mdl_tensorboard_flush(const mdl_tensorboard *board)
{
    return board->file != NULL ? mdl_append_flush(board->file, board->path) : MDL_OK;
}

void mdl_tensorboard_close(mdl_tensorboard *board)
{
    if (board->file != NULL)
        fclose(board->file);
    board->file = NULL;
}
