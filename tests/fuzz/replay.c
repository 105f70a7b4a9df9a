/* Runs a fuzz target without libFuzzer: on each file of the folders and files given, then on so
 * many mutations of them (--mutate N), always the same ones.  A file that ends in .make is a recipe
 * for an input that is too large to be kept: lines "COUNT TEXT", TEXT so many times, with \n, \\
 * and \xHH in it. */
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "fuzz.h"

enum { MAX_SEEDS = 512, MUTATED_MAX = 16384 };

typedef struct seed {
    char name[512];
    uint8_t *data;
    size_t size;
} seed;
static seed seeds[MAX_SEEDS];
static size_t n_seeds;

/* ---- reading -------------------------------------------------------------------------------- */

/* TEXT of a recipe into `out`, which has room for it; its length. */
static size_t unescape(const char *text, size_t length, char *out)
{
    size_t used = 0;
    for (size_t i = 0; i < length; i++) {
        unsigned byte = 0;
        if (text[i] == '\\' && i + 1 < length && text[i + 1] == 'n') {
            out[used++] = '\n';
            i++;
        } else if (text[i] == '\\' && i + 1 < length && text[i + 1] == '\\') {
            out[used++] = '\\';
            i++;
        } else if (text[i] == '\\' && i + 3 < length && sscanf(text + i, "\\x%2x", &byte) == 1) {
            out[used++] = (char)byte;
            i += 3;
        } else
            out[used++] = text[i];
    }
    return used;
}

static void follow_recipe(const char *recipe, seed *to)
{
    char text[1024];
    size_t room = 0;
    for (const char *line = recipe; *line != '\0';) {
        char *at;
        size_t length = strcspn(line, "\n"), count = strtoul(line, &at, 10);
        fuzz_must(*at == ' ' && length <= sizeof(text), "a line of a recipe is COUNT TEXT");
        at++;
        size_t n = unescape(at, (size_t)(line + length - at), text);
        FUZZ_MUST(mdl_grow(room, room + n * count, 1, "recipe", (void **)&to->data));
        for (size_t i = 0; i < count; i++)
            memcpy(to->data + room + i * n, text, n);
        room += n * count;
        line += length + (line[length] == '\n');
    }
    to->size = room;
}

static void add_file(const char *path)
{
    const char *dot = strrchr(path, '.');
    char *data = NULL;
    fuzz_must(n_seeds < MAX_SEEDS, "a corpus is small");
    seed *to = &seeds[n_seeds++];
    snprintf(to->name, sizeof(to->name), "%s", path);
    FUZZ_MUST(mdl_file_read(path, 0, &data, &to->size));
    if (dot == NULL || strcmp(dot, ".make") != 0) {
        to->data = (uint8_t *)data;
        return;
    }
    follow_recipe(data, to);
    mdl_free(data);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const seed *)a)->name, ((const seed *)b)->name);
}

static void add(const char *path)
{
    struct stat info;
    fuzz_must(stat(path, &info) == 0, path);
    if (!S_ISDIR(info.st_mode)) {
        add_file(path);
        return;
    }
    size_t first = n_seeds;
    DIR *folder = opendir(path);
    fuzz_must(folder != NULL, path);
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        char inner[512];
        snprintf(inner, sizeof(inner), "%s/%s", path, entry->d_name);
        if (entry->d_name[0] != '.')
            add(inner);
    }
    closedir(folder);
    qsort(seeds + first, n_seeds - first, sizeof(*seeds), by_name);
}

/* ---- mutating ------------------------------------------------------------------------------- */

static const char *const words[] = {
    "[",        "{",       "\"",       "\n",   "[[[[[[[[", "null",
    "NaN",      "1e300",   "-1",       "0",    "\\",       "../",
    "\\x81",    "\\u0000", "\xff\xfe", ": ",   "&a ",      "*a",
    "!!int ",   "%",       "\t",       "-0.0", "1e-400",   "99999999999999999999",
    "\xc3\xa4", "\x1b[2J"};
static const uint64_t numbers[] = {0,        1,          127,        128,       255,
                                   256,      32767,      65535,      65536,     0x7fffffff,
                                   1u << 31, 0xffffffff, 1ull << 32, INT64_MAX, UINT64_MAX};

/* Put `n` bytes at `at`, in the place of what is there or in front of it. */
static size_t put(uint8_t *data, size_t size, size_t at, const void *bytes, size_t n, bool insert)
{
    if (insert && size + n <= MUTATED_MAX) {
        memmove(data + at + n, data + at, size - at);
        size += n;
    }
    n = mdl_min_size(n, size - at);
    memcpy(data + at, bytes, n);
    return size;
}

static size_t mutate_once(mdl_rng *rng, uint8_t *data, size_t size)
{
    size_t at = mdl_rng_below(rng, size + 1), n = mdl_rng_below(rng, 9), count = MDL_COUNT(words);
    uint64_t number = numbers[mdl_rng_below(rng, MDL_COUNT(numbers))];
    uint8_t bytes[8];
    const seed *other = &seeds[mdl_rng_below(rng, n_seeds)];
    bool insert = mdl_rng_below(rng, 2) == 0;
    switch (mdl_rng_below(rng, 7)) {
    case 0: /* a bit */
        if (at < size)
            data[at] ^= (uint8_t)(1u << mdl_rng_below(rng, 8));
        return size;
    case 1: /* a byte */
        bytes[0] = (uint8_t)mdl_rng_below(rng, 256);
        return put(data, size, at, bytes, 1, insert);
    case 2: /* a number, of 1 to 8 bytes, either way round */
        for (size_t i = 0; i < 8; i++)
            bytes[i] = (uint8_t)(number >> 8 * (insert ? i : (n + 7 - i) % 8));
        return put(data, size, at, bytes, n % 8 + 1, mdl_rng_below(rng, 4) == 0);
    case 3: /* a word */
        return put(data, size, at, words[number % count], strlen(words[number % count]), insert);
    case 4: /* cut short */
        return mdl_rng_below(rng, 4) == 0 ? at : size;
    case 5: /* take out */
        n = mdl_min_size(n * n, size - at);
        memmove(data + at, data + at + n, size - at - n);
        return size - n;
    default: /* a piece of another one */
        if (other->size == 0)
            return size;
        number = mdl_rng_below(rng, other->size);
        n = mdl_min_size(n * n * 4, other->size - (size_t)number);
        return put(data, size, at, other->data + number, n, insert);
    }
}

/* A copy of its own size for each input, so that a sanitizer sees what is read behind its end. */
static void run_copy(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size > 0 ? size : 1);
    fuzz_must(copy != NULL, "there is memory");
    if (size > 0)
        memcpy(copy, data, size);
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

static void mutate(unsigned long count)
{
    static uint8_t data[MUTATED_MAX];
    for (unsigned long i = 0; i < count; i++) {
        mdl_rng rng = mdl_rng_init(12, i);
        const seed *from = &seeds[mdl_rng_below(&rng, n_seeds)];
        size_t size = mdl_min_size(from->size, MUTATED_MAX);
        if (size > 0)
            memcpy(data, from->data, size);
        for (uint64_t n = 1 + mdl_rng_below(&rng, 5); n > 0; n--)
            size = mutate_once(&rng, data, size);
        run_copy(data, size);
    }
}

int main(int argc, char **argv)
{
    unsigned long mutations = 0;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--mutate") == 0 && i + 1 < argc)
            mutations = strtoul(argv[++i], NULL, 10);
        else
            add(argv[i]);
    }
    if (n_seeds == 0) {
        fprintf(stderr, "usage: %s [--mutate N] FILE|FOLDER...\n", argv[0]);
        return 2;
    }
    for (size_t i = 0; i < n_seeds; i++) {
        fprintf(stderr, "%s\n", seeds[i].name);
        run_copy(seeds[i].data, seeds[i].size);
    }
    fprintf(stderr, "%lu mutations\n", mutations);
    mutate(mutations);
    for (size_t i = 0; i < n_seeds; i++)
        mdl_free(seeds[i].data);
    return 0;
}
