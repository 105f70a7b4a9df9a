/* Checkpoints of PyTorch (.pt, .pth, .bin): since 1.6 a zip archive with a pickle and one stored
 * entry for each storage; before, pickles and the storages one behind the other. */
#include <stdlib.h>
#include <string.h>

#include "checkpoint/torch_internal.h"

enum { PICKLE_MOST = 1 << 28 }; /* bytes */

/* ---- the zip archive ------------------------------------------------------------------------ */

static bool recognises_zip(const char *path, const mdl__head *head)
{
    (void)path;
    return head->size >= 4 && memcmp(head->bytes, "PK\x03\x04", 4) == 0;
}

static mdl_status find_entry(const mdl__torch_file *file, const char *key, mdl__storage *out)
{
    char name[512];
    snprintf(name, sizeof(name), "%s/data/%s", file->prefix, key);
    const mdl_zip_entry *entry = mdl_zip_find(file->zip, name);
    if (entry == NULL)
        return mdl_fail(MDL_FORMAT, "its storage %s is not in the archive", name);
    out->bytes = entry->size;
    return mdl_zip_place(file->zip, entry, &out->offset);
}

/* "NAME/data.pkl", of which NAME is the prefix of all. */
static const mdl_zip_entry *find_pickle(const mdl_zip *zip, char *prefix, size_t size)
{
    for (size_t i = 0; i < zip->count; i++) {
        size_t length;
        if (!mdl_text_ends(zip->entries[i].name, "/data.pkl", &length) || length == 0 ||
            length >= size)
            continue;
        memcpy(prefix, zip->entries[i].name, length);
        prefix[length] = '\0';
        return &zip->entries[i];
    }
    return NULL;
}

static bool is_script(const mdl_zip *zip, const char *prefix)
{
    char name[512];
    snprintf(name, sizeof(name), "%s/constants.pkl", prefix);
    return mdl_zip_find(zip, name) != NULL;
}

static mdl_status check_order(const mdl_zip *zip, const char *prefix)
{
    char name[512], *order;
    snprintf(name, sizeof(name), "%s/byteorder", prefix);
    const mdl_zip_entry *entry = mdl_zip_find(zip, name);
    if (entry == NULL)
        return MDL_OK;
    MDL_TRY(mdl_zip_read(zip, entry, sizeof(name), &order));
    bool little = strcmp(order, "big") != 0;
    mdl_free(order);
    return little ? MDL_OK : mdl_fail(MDL_UNSUPPORTED, "it was written by a big-endian machine");
}

static mdl_status read_archive(mdl_tensors *set, const mdl_zip *zip, const mdl__head *head)
{
    char prefix[256], *data;
    const mdl_zip_entry *entry = find_pickle(zip, prefix, sizeof(prefix));
    if (entry == NULL) {
        MDL_TRY(mdl__refuse_kind(head));
        return mdl_fail(MDL_FORMAT, "the zip archive has no data.pkl: no checkpoint of PyTorch");
    }
    if (is_script(zip, prefix))
        return mdl_fail(MDL_FORMAT, "the file is a TorchScript archive, a program; save its "
                                    "tensors: torch.save(torch.jit.load(FILE).state_dict(), NEW)");
    MDL_TRY(check_order(zip, prefix));
    MDL_TRY(mdl_zip_read(zip, entry, PICKLE_MOST, &data));
    const mdl__torch_file file = {.set = set, .find = find_entry, .zip = zip, .prefix = prefix};
    mdl_pickle *pickle;
    mdl_status status = mdl_pickle_read(data, (size_t)entry->size, &pickle);
    if (status == MDL_OK)
        status = mdl__torch_tensors(&file, pickle->root);
    mdl_pickle_free(pickle);
    mdl_free(data);
    return status;
}

static mdl_status read_zip(mdl_tensors *set, const mdl__head *head)
{
    mdl_zip *zip;
    mdl_status status = mdl_zip_open(set->files[0].source, &zip);
    if (status == MDL_FORMAT && strstr(head->bytes + 30, "/data.pkl") == NULL)
        MDL_TRY(mdl__refuse_kind(head)); /* a damaged archive of something else */
    if (status == MDL_OK)
        status = read_archive(set, zip, head);
    mdl_zip_close(zip);
    return status;
}

const mdl__tensors_reader mdl__reader_torch = {recognises_zip, read_zip};

/* ---- the older form ------------------------------------------------------------------------- */

/* Five pickles: a number that marks the form, its version, the machine, what was saved, and the
 * keys of the storages in the order in which they follow.  Of each: its elements as 64 bits, and
 * the elements. */
static const char magic[] = "\x80\x02\x8a\x0al\xfc\x9c\x46\xf9\x20j\xa8P\x19.";
enum { PICKLES = 5, VERSION = 1001 };

typedef struct mdl__legacy_storage {
    char key[MDL__STORAGE_KEY];
    size_t count, size; /* elements, and bytes of each */
    mdl__storage place;
    bool placed;
} legacy_storage;

static bool recognises_legacy(const char *path, const mdl__head *head)
{
    (void)path;
    return head->size >= sizeof(magic) - 1 && memcmp(head->bytes, magic, sizeof(magic) - 1) == 0;
}

static int by_key(const void *a, const void *b)
{
    return strcmp(((const legacy_storage *)a)->key, ((const legacy_storage *)b)->key);
}

static legacy_storage *search(const legacy_storage *storages, size_t n, const char *key)
{
    legacy_storage wanted = {.count = 0};
    snprintf(wanted.key, sizeof(wanted.key), "%s", key);
    return n == 0 ? NULL
                  : (legacy_storage *)bsearch(&wanted, storages, n, sizeof(*storages), by_key);
}

static mdl_status find_legacy(const mdl__torch_file *file, const char *key, mdl__storage *out)
{
    const legacy_storage *found = search(file->storages, file->n_storages, key);
    if (found == NULL || !found->placed)
        return mdl_fail(MDL_FORMAT, "its storage %s is not in the file", key);
    *out = found->place;
    return MDL_OK;
}

/* All storages that the pickle names, each once. */
static mdl_status list_storages(const mdl_pickle *pickle, legacy_storage **out, size_t *n)
{
    legacy_storage *list;
    size_t kept = 0;
    MDL_TRY(MDL_NEW(pickle->n_persistent + 1, "checkpoint storages", &list));
    *out = list;
    for (size_t i = 0; i < pickle->n_persistent; i++) {
        mdl_file_type type;
        bool untyped;
        MDL_TRY(mdl__torch_storage(pickle->persistent[i], &type, &untyped, list[i].key,
                                   &list[i].count));
        list[i].size = mdl_file_type_size(type);
    }
    if (pickle->n_persistent > 1)
        qsort(list, pickle->n_persistent, sizeof(*list), by_key);
    for (size_t i = 0; i < pickle->n_persistent; i++)
        if (kept == 0 || by_key(&list[kept - 1], &list[i]) != 0)
            list[kept++] = list[i];
    *n = kept;
    return MDL_OK;
}

/* Where they lie, from byte `at` of the file. */
static mdl_status place_storages(const mdl_reader *source, const mdl_pickle_value *keys,
                                 uint64_t at, legacy_storage *storages, size_t n)
{
    for (size_t i = 0; mdl_pickle_item(keys, i) != NULL; i++) {
        char key[MDL__STORAGE_KEY];
        uint64_t count;
        legacy_storage *storage =
            search(storages, n, mdl_pickle_text(keys->items[i], key, sizeof(key)));
        if (storage == NULL || storage->placed)
            return mdl_fail(MDL_FORMAT, "a storage that nothing needs, or that comes twice");
        MDL_TRY(mdl_reader_read(source, at, sizeof(count), &count));
        at += sizeof(count);
        uint64_t left = mdl_reader_size(source) - at;
        if (count != storage->count || count > left / storage->size)
            return mdl_fail(MDL_FORMAT,
                            "storage %s has %llu elements, where %zu are expected, and %llu bytes "
                            "are left; the file is damaged or cut short",
                            key, (unsigned long long)count, storage->count,
                            (unsigned long long)left);
        storage->place = (mdl__storage){at, count * storage->size};
        storage->placed = true;
        at += storage->place.bytes;
    }
    return MDL_OK;
}

static mdl_status check_pickles(mdl_pickle *const *pickles)
{
    const mdl_pickle_value *version = pickles[1]->root,
                           *little = mdl_pickle_get(pickles[2]->root, "little_endian");
    if (version->kind != MDL_PICKLE_INT || version->integer != VERSION)
        return mdl_fail(MDL_UNSUPPORTED, "it has another version of PyTorch's older form than %d",
                        VERSION);
    if (little != NULL && little->kind == MDL_PICKLE_BOOL && little->integer == 0)
        return mdl_fail(MDL_UNSUPPORTED, "it was written by a big-endian machine");
    return MDL_OK;
}

static mdl_status read_pickles(mdl_tensors *set, const char *data, size_t size,
                               mdl_pickle *pickles[PICKLES], legacy_storage **storages)
{
    size_t at = 0, n;
    for (int i = 0; i < PICKLES; i++) {
        MDL_TRY(mdl_pickle_read(data + at, size - at, &pickles[i]));
        at += pickles[i]->used;
    }
    MDL_TRY(check_pickles(pickles));
    MDL_TRY(list_storages(pickles[3], storages, &n));
    MDL_TRY(place_storages(set->files[0].source, pickles[4]->root, at, *storages, n));
    const mdl__torch_file file = {
        .set = set, .find = find_legacy, .storages = *storages, .n_storages = n};
    return mdl__torch_tensors(&file, pickles[3]->root);
}

static mdl_status read_legacy(mdl_tensors *set, const mdl__head *head)
{
    const mdl_reader *source = set->files[0].source;
    size_t size = mdl_min_size(mdl_reader_size(source), PICKLE_MOST);
    mdl_pickle *pickles[PICKLES] = {NULL};
    legacy_storage *storages = NULL;
    char *data;
    (void)head;
    MDL_TRY(mdl_alloc(size + 1, 1, "pickle", (void **)&data));
    mdl_status status = mdl_reader_read(source, 0, size, data);
    if (status == MDL_OK)
        status = read_pickles(set, data, size, pickles, &storages);
    for (int i = 0; i < PICKLES; i++)
        mdl_pickle_free(pickles[i]);
    mdl_free(storages);
    mdl_free(data);
    return status;
}

const mdl__tensors_reader mdl__reader_torch_legacy = {recognises_legacy, read_legacy};
