/* Zip archives by the directory at their end: where each entry lies, so that stored ones can be
 * read in place by range.  Format: PKWARE's APPNOTE, 4.3.  It writes nothing and has no archives of
 * several disks. */
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "formats/formats.h"

enum {
    END_BYTES = 22,       /* of the end record, without its comment */
    END_SEARCH = 1 << 16, /* the longest comment, and one more */
    END64_BYTES = 56,     /* of the same for large files */
    LOCATOR_BYTES = 20,   /* which says where that is */
    LOCAL_BYTES = 30,     /* of an entry's own header, without name and extra field */
    ENTRY_BYTES = 46,     /* of its row in the directory, likewise */
    DIRECTORY_MOST = 1 << 26,
    DEFLATE_MOST = 1032 /* bytes that one byte can become */
};
#define ALL_ONES_32 0xffffffffu

static uint16_t get16(const char *at)
{
    uint16_t value;
    memcpy(&value, at, sizeof(value));
    return value;
}

static uint32_t get32(const char *at)
{
    uint32_t value;
    memcpy(&value, at, sizeof(value));
    return value;
}

static uint64_t get64(const char *at)
{
    uint64_t value;
    memcpy(&value, at, sizeof(value));
    return value;
}

/* ---- the directory -------------------------------------------------------------------------- */

typedef struct directory {
    uint64_t offset, size, count;
} directory;

/* Of an archive with more than 4 GB or 65,535 entries the numbers lie in another record. */
static mdl_status read_end64(const mdl_reader *source, uint64_t end, directory *found)
{
    char locator[LOCATOR_BYTES], record[END64_BYTES];
    if (end < LOCATOR_BYTES)
        return MDL_OK;
    MDL_TRY(mdl_reader_read(source, end - LOCATOR_BYTES, sizeof(locator), locator));
    if (memcmp(locator, "PK\x06\x07", 4) != 0)
        return MDL_OK;
    MDL_TRY(mdl_reader_read(source, get64(locator + 8), sizeof(record), record));
    if (memcmp(record, "PK\x06\x06", 4) != 0)
        return mdl_fail(MDL_FORMAT, "the zip archive's directory is damaged");
    *found = (directory){
        .count = get64(record + 32), .size = get64(record + 40), .offset = get64(record + 48)};
    return MDL_OK;
}

static mdl_status find_directory(const mdl_reader *source, directory *found)
{
    size_t size = mdl_reader_size(source), tail = mdl_min_size(size, END_SEARCH + END_BYTES);
    char *bytes;
    MDL_TRY(mdl_alloc(tail + 1, 1, "zip archive", (void **)&bytes));
    mdl_status status = mdl_reader_read(source, size - tail, tail, bytes);
    size_t at = tail >= END_BYTES ? tail - END_BYTES + 1 : 0;
    while (status == MDL_OK && at > 0 && memcmp(bytes + at - 1, "PK\x05\x06", 4) != 0)
        at--;
    if (status == MDL_OK && at == 0)
        status = mdl_fail(MDL_FORMAT, "the zip archive has no directory at its end; it is cut "
                                      "short, fetch or copy it again");
    if (status == MDL_OK) {
        const char *end = bytes + at - 1;
        *found = (directory){
            .count = get16(end + 10), .size = get32(end + 12), .offset = get32(end + 16)};
        status = read_end64(source, size - tail + at - 1, found);
    }
    mdl_free(bytes);
    return status;
}

/* Numbers that do not fit into 32 bits are in the extra field. */
static bool read_extra(const char *extra, size_t size, mdl_zip_entry *entry)
{
    uint64_t *numbers[] = {&entry->size, &entry->packed, &entry->header};
    for (size_t length; size >= 4; extra += 4 + length, size -= 4 + length) {
        length = get16(extra + 2);
        if (length > size - 4)
            return true; /* padding that is no field */
        if (get16(extra) != 1)
            continue;
        size_t at = 0;
        for (size_t i = 0; i < MDL_COUNT(numbers); i++) {
            if (*numbers[i] != ALL_ONES_32)
                continue;
            if (at + 8 > length)
                return false;
            *numbers[i] = get64(extra + 4 + at);
            at += 8;
        }
        return true;
    }
    return true;
}

/* One row of the directory at `at`, which has `left` bytes; its length, 0 where it is damaged. */
static size_t read_row(const char *at, size_t left, char *name, mdl_zip_entry *entry)
{
    if (left < ENTRY_BYTES || memcmp(at, "PK\x01\x02", 4) != 0)
        return 0;
    size_t n_name = get16(at + 28), n_extra = get16(at + 30);
    size_t length = ENTRY_BYTES + n_name + n_extra + get16(at + 32);
    if (length > left || memchr(at + ENTRY_BYTES, '\0', n_name) != NULL)
        return 0;
    memcpy(name, at + ENTRY_BYTES, n_name);
    name[n_name] = '\0';
    *entry = (mdl_zip_entry){.name = name,
                             .encrypted = (get16(at + 8) & 1) != 0,
                             .method = get16(at + 10),
                             .crc = get32(at + 16),
                             .packed = get32(at + 20),
                             .size = get32(at + 24),
                             .header = get32(at + 42)};
    return read_extra(at + ENTRY_BYTES + n_name, n_extra, entry) ? length : 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const mdl_zip_entry *)a)->name, ((const mdl_zip_entry *)b)->name);
}

static mdl_status read_rows(mdl_zip *zip, const directory *from, const char *rows)
{
    size_t at = 0, used = 0;
    for (; zip->count < from->count; zip->count++) {
        mdl_zip_entry *entry = &zip->entries[zip->count];
        size_t length = read_row(rows + at, (size_t)from->size - at, zip->names + used, entry);
        if (length == 0)
            return mdl_fail(MDL_FORMAT, "the zip archive's directory is damaged at entry %zu",
                            zip->count + 1);
        used += strlen(entry->name) + 1;
        at += length;
    }
    if (zip->count > 1)
        qsort(zip->entries, zip->count, sizeof(*zip->entries), by_name);
    for (size_t i = 1; i < zip->count; i++)
        if (strcmp(zip->entries[i - 1].name, zip->entries[i].name) == 0)
            return mdl_fail(MDL_FORMAT, "the zip archive has the name '%.200s' twice",
                            zip->entries[i].name);
    return MDL_OK;
}

static mdl_status read_directory(mdl_zip *zip)
{
    directory found;
    char *rows = NULL;
    MDL_TRY(find_directory(zip->source, &found));
    if (found.size > DIRECTORY_MOST || found.count > found.size / ENTRY_BYTES)
        return mdl_fail(MDL_FORMAT,
                        "the zip archive's directory has %llu entries in %llu bytes: it is damaged "
                        "or too large",
                        (unsigned long long)found.count, (unsigned long long)found.size);
    if (found.offset > mdl_reader_size(zip->source) ||
        found.size > mdl_reader_size(zip->source) - found.offset)
        return mdl_fail(MDL_FORMAT, "the zip archive's directory does not lie in the file");
    MDL_TRY(MDL_NEW((size_t)found.count + 1, "zip archive", &zip->entries));
    MDL_TRY(mdl_alloc((size_t)found.size + 1, 1, "zip archive", (void **)&zip->names));
    MDL_TRY(mdl_alloc((size_t)found.size + 1, 1, "zip archive", (void **)&rows));
    mdl_status status = mdl_reader_read(zip->source, found.offset, (size_t)found.size, rows);
    if (status == MDL_OK)
        status = read_rows(zip, &found, rows);
    mdl_free(rows);
    return status;
}

mdl_status mdl_zip_open(const mdl_reader *source, mdl_zip **out)
{
    mdl_zip *zip;
    *out = NULL;
    MDL_TRY(MDL_NEW(1, "zip archive", &zip));
    zip->source = source;
    mdl_status status = read_directory(zip);
    if (status != MDL_OK) {
        mdl_zip_close(zip);
        return status;
    }
    *out = zip;
    return MDL_OK;
}

void mdl_zip_close(mdl_zip *zip)
{
    if (zip == NULL)
        return;
    mdl_free(zip->entries);
    mdl_free(zip->names);
    mdl_free(zip);
}

const mdl_zip_entry *mdl_zip_find(const mdl_zip *zip, const char *name)
{
    const mdl_zip_entry key = {.name = name};
    return zip->count == 0
               ? NULL
               : bsearch(&key, zip->entries, zip->count, sizeof(*zip->entries), by_name);
}

/* ---- entries -------------------------------------------------------------------------------- */

static mdl_status content_place(const mdl_zip *zip, const mdl_zip_entry *entry, uint64_t *offset)
{
    char header[LOCAL_BYTES];
    MDL_TRY(mdl_reader_read(zip->source, entry->header, sizeof(header), header));
    *offset = entry->header + LOCAL_BYTES + get16(header + 26) + get16(header + 28);
    if (entry->encrypted)
        return mdl_fail(MDL_UNSUPPORTED, "'%.200s' in the zip archive is encrypted", entry->name);
    size_t size = mdl_reader_size(zip->source);
    if (memcmp(header, "PK\x03\x04", 4) != 0 || *offset > size || entry->packed > size - *offset)
        return mdl_fail(MDL_FORMAT, "'%.200s' does not lie where the zip archive's directory says",
                        entry->name);
    return MDL_OK;
}

mdl_status mdl_zip_place(const mdl_zip *zip, const mdl_zip_entry *entry, uint64_t *offset)
{
    if (entry->method != 0)
        return mdl_fail(MDL_UNSUPPORTED,
                        "'%.200s' is compressed in the zip archive; pack it anew without "
                        "compression (zip -0), or save it anew",
                        entry->name);
    if (entry->packed != entry->size)
        return mdl_fail(MDL_FORMAT, "'%.200s' has two sizes in the zip archive", entry->name);
    return content_place(zip, entry, offset);
}

static mdl_status inflate_content(const mdl_zip_entry *entry, char *packed, char *out)
{
    z_stream stream = {.next_in = (Bytef *)packed,
                       .avail_in = (uInt)entry->packed,
                       .next_out = (Bytef *)out,
                       .avail_out = (uInt)entry->size};
    int result = inflateInit2(&stream, -MAX_WBITS);
    if (result == Z_OK) {
        result = inflate(&stream, Z_FINISH);
        inflateEnd(&stream);
    }
    if (result == Z_MEM_ERROR)
        return mdl_fail(MDL_NO_MEMORY, "zip archive: out of memory");
    return result == Z_STREAM_END && stream.avail_out == 0
               ? MDL_OK
               : mdl_fail(MDL_FORMAT, "'%.200s' in the zip archive is damaged", entry->name);
}

static mdl_status read_content(const mdl_zip *zip, const mdl_zip_entry *entry, uint64_t offset,
                               char *out)
{
    char *packed;
    if (entry->method == 0)
        return mdl_reader_read(zip->source, offset, (size_t)entry->size, out);
    MDL_TRY(mdl_alloc((size_t)entry->packed + 1, 1, "zip archive", (void **)&packed));
    mdl_status status = mdl_reader_read(zip->source, offset, (size_t)entry->packed, packed);
    if (status == MDL_OK)
        status = inflate_content(entry, packed, out);
    mdl_free(packed);
    return status;
}

mdl_status mdl_zip_read(const mdl_zip *zip, const mdl_zip_entry *entry, size_t limit, char **out)
{
    uint64_t offset;
    *out = NULL;
    if (entry->method != 0 && entry->method != Z_DEFLATED)
        return mdl_fail(MDL_UNSUPPORTED, "'%.200s' is compressed by method %d, not by deflate",
                        entry->name, (int)entry->method);
    if (entry->method == 0)
        MDL_TRY(mdl_zip_place(zip, entry, &offset));
    else
        MDL_TRY(content_place(zip, entry, &offset));
    if (entry->size > mdl_min_size(limit, UINT32_MAX))
        return mdl_fail(MDL_FORMAT,
                        "'%.200s' in the zip archive has %llu bytes, at most %zu are "
                        "read",
                        entry->name, (unsigned long long)entry->size,
                        mdl_min_size(limit, UINT32_MAX));
    if (entry->method != 0 &&
        (entry->packed > UINT32_MAX || entry->size / DEFLATE_MOST > entry->packed))
        return mdl_fail(MDL_FORMAT, "'%.200s' in the zip archive is damaged", entry->name);
    char *content;
    MDL_TRY(mdl_alloc((size_t)entry->size + 1, 1, "zip archive", (void **)&content));
    mdl_status status = read_content(zip, entry, offset, content);
    if (status == MDL_OK && crc32(0, (const Bytef *)content, (uInt)entry->size) != entry->crc)
        status = mdl_fail(MDL_FORMAT,
                          "'%.200s' in the zip archive is damaged: its checksum "
                          "differs",
                          entry->name);
    if (status == MDL_OK)
        *out = content;
    else
        mdl_free(content);
    return status;
}
