/* The header of a NumPy array, which is a Python literal.  No objects, which are pickles, and no
 * records. */
#include <string.h>

#include "data/npy.h"

/* NumPy itself takes no more than 10,000 without being asked. */
enum { HEADER_LIMIT = 1 << 16 };

static mdl_status fail_short(const mdl__bytes *in, const char *what)
{
    return mdl_fail(MDL_FORMAT, "%s ends in %s: it was cut short", in->name, what);
}

mdl_status mdl__bytes_read(const mdl__bytes *in, void *out, size_t want, const char *what)
{
    size_t got;
    MDL_TRY(in->read(in->user, out, want, &got));
    return got == want ? MDL_OK : fail_short(in, what);
}

/* ---- the header's literal ------------------------------------------------------------------- */

typedef struct literal {
    const char *text, *at; /* ends with a NUL, which is not part of it */
    const char *name;      /* of the array, for messages */
    mdl__npy *npy;
    bool has_type, has_order, has_shape;
} literal;

static mdl_status fail_literal(const literal *l, const char *expected)
{
    return mdl_fail(MDL_FORMAT, "%s: damaged header of a NumPy array: expected %s at its byte %zu",
                    l->name, expected, (size_t)(l->at - l->text));
}

static void skip_blanks(literal *l)
{
    l->at += strspn(l->at, " \t\r\n\f");
}

/* Whether `c` comes next, behind blanks; then it is taken. */
static bool take(literal *l, char c)
{
    skip_blanks(l);
    if (*l->at != c)
        return false;
    l->at++;
    return true;
}

/* A string in either kind of quotes, without escapes. */
static mdl_status take_string(literal *l, char *out, size_t size)
{
    skip_blanks(l);
    char quote = *l->at;
    if (quote != '\'' && quote != '"')
        return fail_literal(l, "a string");
    const char *start = ++l->at;
    while (*l->at != '\0' && *l->at != quote && *l->at != '\\' && *l->at != '\n')
        l->at++;
    size_t length = (size_t)(l->at - start);
    if (*l->at != quote || length >= size)
        return fail_literal(l, "the end of a string");
    memcpy(out, start, length);
    out[length] = '\0';
    l->at++;
    return MDL_OK;
}

/* A type such as '<i8': order of bytes, kind, bytes of a value. */
static mdl_status take_type(literal *l)
{
    char text[32], *end = text + 2;
    size_t size = 0;
    skip_blanks(l);
    if (*l->at == '[' || *l->at == '(')
        return mdl_fail(MDL_UNSUPPORTED,
                        "%s holds records (a structured array): save each field as an array of its "
                        "own",
                        l->name);
    MDL_TRY(take_string(l, text, sizeof(text)));
    if (text[0] == '\0' || strchr("<>|=", text[0]) == NULL || text[1] == '\0')
        return fail_literal(l, "a type such as '|u1' before the");
    if (text[1] == 'O')
        return mdl_fail(MDL_UNSUPPORTED,
                        "%s holds Python objects (a pickle), which are not read: save an array of "
                        "numbers, e.g. numpy.stack(images).astype('uint8')",
                        l->name);
    for (; *end >= '0' && *end <= '9' && size < 100000000; end++)
        size = 10 * size + (size_t)(*end - '0');
    if (size == 0 || (*end != '\0' && strchr("mM", text[1]) == NULL))
        return fail_literal(l, "a type with its size, such as '|u1', before the");
    l->npy->big = text[0] == '>';
    l->npy->kind = text[1];
    l->npy->item = size;
    l->has_type = true;
    return MDL_OK;
}

static mdl_status take_order(literal *l)
{
    static const char *const words[] = {"False", "True"};
    skip_blanks(l);
    for (size_t i = 0; i < MDL_COUNT(words); i++)
        if (strncmp(l->at, words[i], strlen(words[i])) == 0) {
            l->at += strlen(words[i]);
            l->npy->fortran = i == 1;
            l->has_order = true;
            return MDL_OK;
        }
    return fail_literal(l, "True or False");
}

/* A size; Python 2 wrote some with an L behind them. */
static mdl_status take_size(literal *l)
{
    uint64_t value = 0;
    skip_blanks(l);
    if (*l->at < '0' || *l->at > '9')
        return fail_literal(l, "a size");
    for (; *l->at >= '0' && *l->at <= '9'; l->at++) {
        if (value > (UINT64_MAX - 9) / 10)
            return fail_literal(l, "a size that a computer can hold");
        value = 10 * value + (uint64_t)(*l->at - '0');
    }
    l->at += *l->at == 'L';
    if (l->npy->rank == MDL__NPY_RANK)
        return mdl_fail(MDL_FORMAT, "%s has more than %d dimensions", l->name, MDL__NPY_RANK);
    if (value > SIZE_MAX)
        return fail_literal(l, "a size that this computer can hold");
    l->npy->shape[l->npy->rank++] = (size_t)value;
    return MDL_OK;
}

static mdl_status take_shape(literal *l)
{
    if (!take(l, '('))
        return fail_literal(l, "a tuple of sizes");
    l->has_shape = true;
    while (!take(l, ')')) {
        MDL_TRY(take_size(l));
        if (!take(l, ',')) {
            if (!take(l, ')'))
                return fail_literal(l, "a comma or the end of the tuple of sizes");
            break;
        }
    }
    return MDL_OK;
}

static mdl_status take_entry(literal *l)
{
    char key[32];
    MDL_TRY(take_string(l, key, sizeof(key)));
    if (!take(l, ':'))
        return fail_literal(l, "a colon");
    if (strcmp(key, "descr") == 0 && !l->has_type)
        return take_type(l);
    if (strcmp(key, "fortran_order") == 0 && !l->has_order)
        return take_order(l);
    if (strcmp(key, "shape") == 0 && !l->has_shape)
        return take_shape(l);
    return fail_literal(l, "descr, fortran_order and shape, once each, before what is");
}

/* {'descr': '|u1', 'fortran_order': False, 'shape': (2, 3), }, in any order. */
static mdl_status parse(literal *l)
{
    if (!take(l, '{'))
        return fail_literal(l, "a dictionary");
    while (!take(l, '}')) {
        MDL_TRY(take_entry(l));
        if (!take(l, ',')) {
            if (!take(l, '}'))
                return fail_literal(l, "a comma or the end of the dictionary");
            break;
        }
    }
    skip_blanks(l);
    if (*l->at != '\0')
        return fail_literal(l, "nothing more");
    if (!l->has_type || !l->has_order || !l->has_shape)
        return fail_literal(l, "descr, fortran_order and shape before what is");
    return MDL_OK;
}

/* How many values there are, and whether they can be there. */
static mdl_status measure(mdl__npy *npy, uint64_t limit, const char *name)
{
    uint64_t bytes = npy->item;
    npy->count = 1;
    for (size_t i = 0; i < npy->rank; i++)
        if (npy->shape[i] == 0)
            return mdl_fail(MDL_FORMAT, "%s holds an empty array", name);
    for (size_t i = 0; i < npy->rank; i++) {
        if (bytes > limit / npy->shape[i])
            return mdl_fail(MDL_FORMAT, "%s claims to hold more values than the file can", name);
        bytes *= npy->shape[i];
        npy->count *= npy->shape[i];
    }
    return bytes <= limit ? MDL_OK : mdl_fail(MDL_FORMAT, "%s: the values are missing", name);
}

/* ---- opening -------------------------------------------------------------------------------- */

/* Magic number, version, size of the literal. */
static mdl_status read_size(const mdl__bytes *in, size_t *size, size_t *start_bytes)
{
    static const uint8_t magic[6] = {0x93, 'N', 'U', 'M', 'P', 'Y'};
    uint8_t start[12];
    size_t got;
    MDL_TRY(in->read(in->user, start, 10, &got));
    if (got < sizeof(magic) || memcmp(start, magic, sizeof(magic)) != 0) {
        const char *kind = mdl_file_kind((const char *)start, got);
        return mdl_fail(MDL_FORMAT, "%s is no NumPy array%s%s", in->name,
                        kind != NULL ? ": it is " : "", kind != NULL ? kind : "");
    }
    if (got < 10)
        return fail_short(in, "the header");
    if (start[6] < 1 || start[6] > 3 || start[7] != 0)
        return mdl_fail(MDL_UNSUPPORTED,
                        "%s is a NumPy array of version %u.%u: 1.0 to 3.0 are read", in->name,
                        start[6], start[7]);
    uint64_t length = start[8] | (uint64_t)start[9] << 8;
    *start_bytes = start[6] > 1 ? 12 : 10;
    if (start[6] > 1) {
        MDL_TRY(mdl__bytes_read(in, start + 10, 2, "the header"));
        length |= (uint64_t)start[10] << 16 | (uint64_t)start[11] << 24;
    }
    if (length > HEADER_LIMIT)
        return mdl_fail(MDL_FORMAT, "%s claims a header of %llu bytes: at most %d are read",
                        in->name, (unsigned long long)length, HEADER_LIMIT);
    *size = (size_t)length;
    return MDL_OK;
}

mdl_status mdl__npy_open(const mdl__bytes *in, uint64_t limit, mdl__npy *out)
{
    char *text;
    size_t size = 0;
    *out = (mdl__npy){0};
    MDL_TRY(read_size(in, &size, &out->start));
    out->start += size;
    MDL_TRY(mdl_alloc(size + 1, 1, "header of an array", (void **)&text));
    literal l = {.text = text, .at = text, .name = in->name, .npy = out};
    mdl_status status = mdl__bytes_read(in, text, size, "the header");
    if (status == MDL_OK && memchr(text, '\0', size) != NULL)
        status = mdl_fail(MDL_FORMAT, "%s: damaged header of a NumPy array: it holds a zero byte",
                          in->name);
    if (status == MDL_OK)
        status = parse(&l);
    if (status == MDL_OK)
        status = measure(out, limit, in->name);
    mdl_free(text);
    return status;
}
