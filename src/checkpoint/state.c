/* The resume state: named blocks of bytes in one file, closed by a sha256 over everything before
 * it.  What the blocks mean is the trainer's or the merger's business.
 *
 *   "MDLSTAT1", then for each block: name length (4 bytes, > 0), data length (8 bytes), name,
 *   data; then name length 0 and the digest (32 bytes).  Little-endian, like safetensors.c. */
#include "checkpoint/checkpoint_internal.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

enum { MAGIC_BYTES = 8, DIGEST_BYTES = 32, NAME_LIMIT = 255, CHUNK = 1 << 20 };
/* A search saves up to six for each place of its archive. */
enum { BLOCKS_MOST = 1 << 20 };
static const char magic[] = "MDLSTAT1";

mdl_status mdl_sha256_hex(const void *data, size_t size, char out[65])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    if (EVP_Digest(data, size, digest, NULL, EVP_sha256(), NULL) != 1)
        return mdl_fail(MDL_NO_MEMORY, "sha256: out of memory");
    for (size_t i = 0; i < DIGEST_BYTES; i++)
        snprintf(out + 2 * i, 3, "%02x", digest[i]);
    return MDL_OK;
}

static mdl_status digest_pieces(const mdl_reader *file, EVP_MD_CTX *context, void *room)
{
    size_t size = mdl_reader_size(file);
    for (size_t at = 0, n; at < size; at += n) {
        n = mdl_min_size(CHUNK, size - at);
        MDL_TRY(mdl_stop_check());
        MDL_TRY(mdl_reader_read(file, at, n, room));
        if (EVP_DigestUpdate(context, room, n) != 1)
            return mdl_fail(MDL_NO_MEMORY, "sha256: out of memory");
    }
    return MDL_OK;
}

mdl_status mdl_sha256_reader(const mdl_reader *file, char out[65])
{
    unsigned char digest[EVP_MAX_MD_SIZE], *room;
    MDL_TRY(MDL_NEW(CHUNK, "a piece of a file", &room));
    mdl_reserve_memory();
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    mdl_status status = context != NULL && EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1
                            ? digest_pieces(file, context, room)
                            : mdl_fail(MDL_NO_MEMORY, "sha256: out of memory");
    if (status == MDL_OK && EVP_DigestFinal_ex(context, digest, NULL) != 1)
        status = mdl_fail(MDL_NO_MEMORY, "sha256: out of memory");
    for (size_t i = 0; i < DIGEST_BYTES && status == MDL_OK; i++)
        snprintf(out + 2 * i, 3, "%02x", digest[i]);
    EVP_MD_CTX_free(context);
    mdl_free(room);
    return status;
}

/* ---- writing -------------------------------------------------------------------------------- */

struct mdl_state_writer {
    mdl_atomic_file *file;
    EVP_MD_CTX *digest;
    char *chunk;       /* CHUNK bytes, for downloads */
    mdl_status status; /* the first failure: a state with a gap is never committed */
};

static void writer_free(mdl_state_writer *state)
{
    EVP_MD_CTX_free(state->digest);
    mdl_free(state->chunk);
    mdl_free(state);
}

static mdl_status put_bytes(mdl_state_writer *state, const void *data, size_t bytes)
{
    if (state->status == MDL_OK)
        state->status = mdl_atomic_write(state->file, data, bytes);
    if (state->status == MDL_OK && EVP_DigestUpdate(state->digest, data, bytes) != 1)
        state->status = mdl_fail(MDL_NO_MEMORY, "sha256: out of memory");
    return state->status;
}

mdl_status mdl_state_create(const char *path, mdl_state_writer **out)
{
    *out = NULL;
    mdl_state_writer *state = NULL;
    MDL_TRY(MDL_NEW(1, "resume state", &state));
    mdl_status status = MDL_NEW(CHUNK, "resume state", &state->chunk);
    if (status == MDL_OK) {
        state->digest = EVP_MD_CTX_new();
        if (state->digest == NULL || EVP_DigestInit_ex(state->digest, EVP_sha256(), NULL) != 1)
            status = mdl_fail(MDL_NO_MEMORY, "sha256: out of memory");
    }
    if (status == MDL_OK)
        status = mdl_atomic_open(path, &state->file);
    if (status == MDL_OK)
        status = put_bytes(state, magic, MAGIC_BYTES);
    if (status != MDL_OK) {
        mdl_state_abort(state);
        return status;
    }
    *out = state;
    return MDL_OK;
}

static mdl_status put_heading(mdl_state_writer *state, const char *name, size_t bytes)
{
    uint32_t length = (uint32_t)strlen(name);
    uint64_t bytes64 = bytes;
    if (length == 0 || length > NAME_LIMIT)
        return state->status = mdl_fail(MDL_INVALID, "resume state: a name of %u bytes", length);
    MDL_TRY(put_bytes(state, &length, sizeof(length)));
    MDL_TRY(put_bytes(state, &bytes64, sizeof(bytes64)));
    return put_bytes(state, name, length);
}

mdl_status mdl_state_put(mdl_state_writer *state, const char *name, const void *data, size_t bytes)
{
    MDL_TRY(put_heading(state, name, bytes));
    return bytes > 0 ? put_bytes(state, data, bytes) : MDL_OK;
}

mdl_status mdl_state_put_buffer(mdl_state_writer *state, const char *name, const mdl_buffer *buffer)
{
    MDL_TRY(put_heading(state, name, buffer->bytes));
    for (size_t at = 0; at < buffer->bytes; at += CHUNK) {
        size_t n = mdl_min_size(CHUNK, buffer->bytes - at);
        mdl_status status = mdl_buffer_download(buffer, at, state->chunk, n);
        if (status != MDL_OK)
            return state->status = status;
        MDL_TRY(put_bytes(state, state->chunk, n));
    }
    return MDL_OK;
}

mdl_status mdl_state_commit(mdl_state_writer *state)
{
    static const uint32_t end = 0;
    unsigned char digest[EVP_MAX_MD_SIZE];
    mdl_status status = put_bytes(state, &end, sizeof(end));
    if (status == MDL_OK && EVP_DigestFinal_ex(state->digest, digest, NULL) != 1)
        status = mdl_fail(MDL_NO_MEMORY, "sha256: out of memory");
    if (status == MDL_OK)
        status = mdl_atomic_write(state->file, digest, DIGEST_BYTES);
    if (status != MDL_OK) {
        mdl_state_abort(state);
        return status;
    }
    status = mdl_atomic_commit(state->file);
    writer_free(state);
    return status;
}

void mdl_state_abort(mdl_state_writer *state)
{
    if (state == NULL)
        return;
    mdl_atomic_abort(state->file);
    writer_free(state);
}

/* ---- reading -------------------------------------------------------------------------------- */

typedef struct state_block { /* name and data lie in the file's memory */
    const char *name;
    size_t length; /* of the name, which has no NUL */
    const char *data;
    size_t bytes;
} state_block;

struct mdl_state {
    char *memory;        /* the file */
    state_block *blocks; /* sorted by name once all are read */
    size_t n_blocks, room;
};

/* The part of the file not yet read. */
typedef struct reader {
    const char *at;
    size_t left;
} reader;

static bool take(reader *r, size_t bytes, const char **out)
{
    if (bytes > r->left)
        return false;
    *out = r->at;
    r->at += bytes;
    r->left -= bytes;
    return true;
}

static bool take_number(reader *r, void *number, size_t size)
{
    const char *from = NULL;
    if (!take(r, size, &from))
        return false;
    memcpy(number, from, size);
    return true;
}

static int by_name(const void *a, const void *b)
{
    const state_block *x = a, *y = b;
    int order = memcmp(x->name, y->name, mdl_min_size(x->length, y->length));
    return order != 0 ? order : (x->length > y->length) - (x->length < y->length);
}

static mdl_status add_block(mdl_state *state, const state_block *block)
{
    if (memchr(block->name, 0, block->length) != NULL)
        return mdl_fail(MDL_FORMAT, "the name of block %zu has a NUL in it", state->n_blocks);
    if (state->n_blocks == BLOCKS_MOST)
        return mdl_fail(MDL_FORMAT, "more than %d blocks", BLOCKS_MOST);
    if (state->n_blocks == state->room) {
        size_t room = mdl_max_size(64, 2 * state->room);
        MDL_TRY(
            mdl_grow(state->room, room, sizeof(*block), "resume state", (void **)&state->blocks));
        state->room = room;
    }
    state->blocks[state->n_blocks++] = *block;
    return MDL_OK;
}

/* So that blocks are found, and doubled ones seen, without comparing each with each. */
static mdl_status sort_blocks(mdl_state *state)
{
    if (state->n_blocks > 1)
        qsort(state->blocks, state->n_blocks, sizeof(*state->blocks), by_name);
    for (size_t i = 1; i < state->n_blocks; i++) {
        const state_block *block = &state->blocks[i];
        if (by_name(block - 1, block) == 0)
            return mdl_fail(MDL_FORMAT, "block %.*s occurs twice", (int)block->length, block->name);
    }
    return MDL_OK;
}

static mdl_status read_blocks(mdl_state *state, reader r)
{
    for (;;) {
        uint32_t length = 0;
        uint64_t bytes = 0;
        state_block block = {.name = NULL};
        if (!take_number(&r, &length, sizeof(length)))
            return mdl_fail(MDL_FORMAT, "the end mark is missing");
        if (length == 0)
            break;
        if (length > NAME_LIMIT || !take_number(&r, &bytes, sizeof(bytes)) ||
            !take(&r, length, &block.name) || bytes > r.left ||
            !take(&r, (size_t)bytes, &block.data))
            return mdl_fail(MDL_FORMAT, "block %zu does not lie in the file", state->n_blocks);
        block.length = length;
        block.bytes = (size_t)bytes;
        MDL_TRY(add_block(state, &block));
    }
    if (r.left > 0)
        return mdl_fail(MDL_FORMAT, "%zu bytes behind the end mark", r.left);
    return sort_blocks(state);
}

static mdl_status refuse_kind(const char *bytes, size_t size)
{
    const char *kind = size < MAGIC_BYTES || memcmp(bytes, magic, MAGIC_BYTES) != 0
                           ? mdl_file_kind(bytes, size)
                           : "cut short";
    if (kind != NULL)
        return mdl_fail(MDL_FORMAT, "not a resume state: the file is %s", kind);
    return mdl_fail(MDL_FORMAT, "not a resume state (it does not begin with %s)", magic);
}

static mdl_status parse(mdl_state *state, size_t size)
{
    if (size < MAGIC_BYTES + DIGEST_BYTES || memcmp(state->memory, magic, MAGIC_BYTES) != 0)
        return refuse_kind(state->memory, size);
    unsigned char digest[EVP_MAX_MD_SIZE];
    size_t signed_bytes = size - DIGEST_BYTES;
    if (EVP_Digest(state->memory, signed_bytes, digest, NULL, EVP_sha256(), NULL) != 1)
        return mdl_fail(MDL_NO_MEMORY, "sha256: out of memory");
    if (memcmp(digest, state->memory + signed_bytes, DIGEST_BYTES) != 0)
        return mdl_fail(MDL_CHECKSUM, "the sha256 of its %zu bytes differs: damaged or cut short",
                        size);
    return read_blocks(state, (reader){state->memory + MAGIC_BYTES, signed_bytes - MAGIC_BYTES});
}

/* From a file's bytes, which are taken; `path` is for messages. */
static mdl_status take_state(char *bytes, size_t size, const char *path, mdl_state **out)
{
    mdl_state *state;
    mdl_status status = MDL_NEW(1, "resume state", &state);
    if (status != MDL_OK) {
        mdl_free(bytes);
        return status;
    }
    state->memory = bytes;
    status = parse(state, size);
    if (status != MDL_OK) {
        mdl_state_free(state);
        return mdl_fail_context(status, "%s", path);
    }
    *out = state;
    return MDL_OK;
}

mdl_status mdl_state_read(const char *path, mdl_state **out)
{
    char *bytes;
    size_t size;
    *out = NULL;
    MDL_TRY(mdl_file_read(path, 0, &bytes, &size));
    return take_state(bytes, size, path, out);
}

mdl_status mdl_state_read_shared(const mdl_comm *comm, const char *path, mdl_state **out)
{
    char *bytes = NULL;
    size_t size = 0;
    bool there = comm->rank == 0 && path != NULL && path[0] != '\0' && mdl_file_exists(path);
    *out = NULL;
    MDL_TRY(mdl_comm_broadcast(comm, &there, sizeof(there), 0));
    if (!there)
        return MDL_OK;
    if (comm->size == 1)
        return mdl_state_read(path, out);
    mdl_status status = comm->rank == 0 ? mdl_file_read(path, 0, &bytes, &size) : MDL_OK;
    MDL_TRY(mdl_comm_agree(comm, status));
    status = mdl_comm_broadcast_text(comm, &bytes, &size, 0);
    if (status != MDL_OK) {
        mdl_free(bytes);
        return status;
    }
    return take_state(bytes, size, comm->rank == 0 ? path : "what rank 0 has read", out);
}

void mdl_state_free(mdl_state *state)
{
    if (state == NULL)
        return;
    mdl_free(state->blocks);
    mdl_free(state->memory);
    mdl_free(state);
}

const void *mdl_state_find(const mdl_state *state, const char *name, size_t *bytes)
{
    const state_block wanted = {.name = name, .length = strlen(name)}, *found = NULL;
    if (state->n_blocks > 0)
        found = bsearch(&wanted, state->blocks, state->n_blocks, sizeof(wanted), by_name);
    if (found == NULL)
        return NULL;
    if (bytes != NULL)
        *bytes = found->bytes;
    return found->data;
}

/* A block whose size is known. */
static mdl_status find_sized(const mdl_state *state, const char *name, size_t bytes,
                             const void **out)
{
    size_t found = 0;
    *out = mdl_state_find(state, name, &found);
    if (*out == NULL)
        return mdl_fail(MDL_NOT_FOUND, "resume state: no block %s", name);
    if (found != bytes)
        return mdl_fail(MDL_FORMAT, "resume state: block %s has %zu bytes, %zu are expected", name,
                        found, bytes);
    return MDL_OK;
}

mdl_status mdl_state_get(const mdl_state *state, const char *name, void *data, size_t bytes)
{
    const void *from = NULL;
    MDL_TRY(find_sized(state, name, bytes, &from));
    if (bytes > 0)
        memcpy(data, from, bytes);
    return MDL_OK;
}

mdl_status mdl_state_get_buffer(const mdl_state *state, const char *name, mdl_buffer *buffer)
{
    const void *from = NULL;
    MDL_TRY(find_sized(state, name, buffer->bytes, &from));
    return mdl_buffer_upload(buffer, 0, from, buffer->bytes);
}
