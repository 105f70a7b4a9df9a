/* Reader of a list of image files: a line "path,label" or "path,label,split" for each (RFC 4180:
 * fields in quotation marks may hold commas, line ends and doubled quotation marks).  A first line
 * that names a path and a label says which column is which; others are then passed over. */
#include <string.h>
#include <strings.h>

#include "data/internal.h"

enum { FILE_LIMIT = 1 << 28, MAX_FIELDS = 64 };
enum { PATH, LABEL, SPLIT, COLUMNS };
typedef struct table {
    const char *file;    /* for messages */
    char *text, *at;     /* with a NUL behind it; fields are unquoted where they stand */
    size_t line, record; /* the line that is read, and where the record began; from 1 on */
    char *fields[MAX_FIELDS];
    size_t n_fields, width; /* of this record; of each, where a header says it */
    size_t column[COLUMNS]; /* where each is; SIZE_MAX: nowhere */
    const char **paths;     /* [count], in the text, as the labels are */
    mdl__item *items;       /* [count] */
    size_t count, room;
} table;

static mdl_status fail_line(const table *t, const char *what)
{
    return mdl_fail(MDL_FORMAT, "%s, line %zu: %s", t->file, t->record, what);
}

/* ---- fields --------------------------------------------------------------------------------- */

/* Behind an opening quotation mark, up to the closing one. */
static mdl_status quoted_field(table *t, char **end)
{
    char *out = t->at;
    for (;; t->at++) {
        if (*t->at == '\0')
            return fail_line(t, "a quotation mark is not closed");
        if (*t->at == '"' && *++t->at != '"')
            break;
        t->line += *t->at == '\n';
        *out++ = *t->at;
    }
    if (*t->at != '\0' && strchr(",\r\n", *t->at) == NULL)
        return fail_line(t, "text follows a closing quotation mark: a comma or the end of the line "
                            "is expected");
    *end = out;
    return MDL_OK;
}

/* Without quotation marks blanks behind a field are no part of it. */
static char *plain_field(table *t, char **end)
{
    char *start = t->at;
    t->at += strcspn(t->at, ",\r\n");
    *end = t->at;
    while (*end > start && ((*end)[-1] == ' ' || (*end)[-1] == '\t'))
        (*end)--;
    return start;
}

/* The next field, which is ended where it stands; *last: it ends its line. */
static mdl_status next_field(table *t, bool *last)
{
    char *start, *end = t->at;
    if (t->n_fields == MAX_FIELDS)
        return fail_line(t, "more than 64 fields");
    t->at += strspn(t->at, " \t");
    if (*t->at == '"') {
        start = ++t->at;
        MDL_TRY(quoted_field(t, &end));
    } else {
        start = plain_field(t, &end);
    }
    *last = *t->at != ',';
    if (*t->at == '\r')
        t->at++;
    if (*last && *t->at != '\n' && *t->at != '\0')
        return fail_line(t, "a carriage return stands within it");
    t->line += *t->at == '\n';
    t->at += *t->at != '\0';
    *end = '\0';
    t->fields[t->n_fields++] = start;
    return MDL_OK;
}

/* The next line that is not empty; n_fields is 0 behind the last. */
static mdl_status next_record(table *t)
{
    bool last = false;
    t->n_fields = 0;
    for (; *t->at == '\n' || (t->at[0] == '\r' && t->at[1] == '\n'); t->at++)
        t->line += *t->at == '\n';
    t->record = t->line;
    while (!last && (*t->at != '\0' || t->n_fields > 0))
        MDL_TRY(next_field(t, &last));
    return MDL_OK;
}

/* ---- lines ---------------------------------------------------------------------------------- */

static bool is_one_of(const char *text, const char *const *words)
{
    for (; *words != NULL; words++)
        if (strcasecmp(text, *words) == 0)
            return true;
    return false;
}

/* Which column is which, by the first line; false: it is a line like the others. */
static bool take_header(table *t)
{
    static const char *const paths[] = {"path", "file", "filename", "filepath", "image", NULL};
    static const char *const labels[] = {"label", "class", "target", "category", NULL};
    static const char *const splits[] = {"split", "set", "subset", NULL};
    static const char *const *const words[COLUMNS] = {paths, labels, splits};
    size_t found[COLUMNS] = {SIZE_MAX, SIZE_MAX, SIZE_MAX};
    for (size_t i = 0; i < t->n_fields; i++)
        for (size_t c = 0; c < COLUMNS; c++)
            if (found[c] == SIZE_MAX && is_one_of(t->fields[i], words[c]))
                found[c] = i;
    if (found[PATH] == SIZE_MAX || found[LABEL] == SIZE_MAX)
        return false;
    memcpy(t->column, found, sizeof(found));
    t->width = t->n_fields;
    return true;
}

static mdl_status take_split(const table *t, int *split)
{
    *split = MDL__UNDIVIDED;
    if (t->column[SPLIT] >= t->n_fields)
        return MDL_OK;
    const char *text = t->fields[t->column[SPLIT]];
    if (mdl__find_split(text, strlen(text), split))
        return MDL_OK;
    return mdl_fail(MDL_FORMAT, "%s, line %zu: the split is train, val or test, not '%.80s'",
                    t->file, t->record, text);
}

static mdl_status make_room(table *t)
{
    size_t room = 2 * t->room + 64;
    if (t->count < t->room)
        return MDL_OK;
    MDL_TRY(mdl_grow(t->room, room, sizeof(*t->paths), "lines", (void **)&t->paths));
    MDL_TRY(mdl_grow(t->room, room, sizeof(*t->items), "lines", (void **)&t->items));
    t->room = room;
    return MDL_OK;
}

static mdl_status take_row(table *t)
{
    if (t->width > 0 ? t->n_fields != t->width : t->n_fields != 2 && t->n_fields != 3)
        return mdl_fail(MDL_FORMAT, "%s, line %zu has %zu field%s: %s", t->file, t->record,
                        t->n_fields, t->n_fields == 1 ? "" : "s",
                        t->width > 0 ? "as many as the first line has are expected"
                                     : "path,label or path,label,split is expected");
    if (t->width == 0) /* the first of them says how many all have */
        t->width = t->n_fields;
    mdl__item item = {.label = t->fields[t->column[LABEL]]};
    const char *path = t->fields[t->column[PATH]];
    if (path[0] == '\0' || item.label[0] == '\0')
        return fail_line(t, path[0] == '\0' ? "the path is empty" : "the label is empty");
    MDL_TRY(take_split(t, &item.split));
    MDL_TRY(make_room(t));
    t->paths[t->count] = path;
    t->items[t->count++] = item;
    return MDL_OK;
}

static mdl_status check_text(const table *t, size_t size)
{
    const char *kind = mdl_file_kind(t->text, size);
    if (kind != NULL)
        return mdl_fail(MDL_FORMAT, "%s is no list of images: it is %s", t->file, kind);
    if (memchr(t->text, '\0', size) != NULL)
        return mdl_fail(MDL_FORMAT, "%s holds zero bytes: a text is expected, in UTF-8", t->file);
    size_t first = strcspn(t->text, "\n"), other = strcspn(t->text, ";\t");
    if (other < first && memchr(t->text, ',', first) == NULL)
        return mdl_fail(MDL_FORMAT, "%s separates its fields by %s: commas are expected", t->file,
                        t->text[other] == ';' ? "semicolons" : "tabs");
    return MDL_OK;
}

/* All lines; the caller frees text and rows, also after a failure. */
static mdl_status read_table(const char *file, table *t)
{
    size_t size;
    *t = (table){.file = file, .line = 1, .column = {0, 1, 2}};
    MDL_TRY(mdl_file_read(file, FILE_LIMIT, &t->text, &size));
    MDL_TRY(check_text(t, size));
    t->at = t->text + (strncmp(t->text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0);
    MDL_TRY(next_record(t));
    if (t->n_fields > 0 && take_header(t))
        MDL_TRY(next_record(t));
    while (t->n_fields > 0) {
        MDL_TRY(mdl_stop_check());
        MDL_TRY(take_row(t));
        MDL_TRY(next_record(t));
    }
    return t->count > 0 ? MDL_OK : mdl_fail(MDL_FORMAT, "%s names no image", file);
}

/* ---- the source ----------------------------------------------------------------------------- */

/* Paths are those from the folder of the list. */
static mdl_status find_files(const table *t, const mdl__chosen *chosen, mdl__files *files)
{
    char folder[MDL_PATH_MAX], path[MDL_PATH_MAX];
    (void)mdl_folder_of(t->file, folder);
    MDL_TRY(MDL_NEW(files->count, "file names", &files->paths));
    for (size_t i = 0; i < files->count; i++) {
        const char *own = t->paths[chosen->numbers[i]];
        MDL_TRY(mdl_path(path, sizeof(path), own[0] == '/' ? "" : folder, "%s", own));
        MDL_TRY(mdl_strdup(path, &files->paths[i]));
    }
    return MDL_OK;
}

static mdl_status read_lines(const mdl_data_config *config, const table *t, mdl_split split,
                             mdl_dataset *set)
{
    mdl__chosen chosen = {0};
    mdl_status status = mdl__items_choose(config, t->items, t->count, t->file, split, set, &chosen);
    mdl__files files = {.labels = chosen.labels, .count = chosen.count, .classes = set->classes};
    if (status == MDL_OK && files.count > 0)
        status = find_files(t, &chosen, &files);
    if (status == MDL_OK && files.count > 0)
        status = mdl__files_fill(config, &files, split, set);
    mdl__free_names(files.paths, files.count);
    mdl__chosen_free(&chosen);
    return status;
}

static mdl_status read_csv(const mdl_data_config *config, const char *argument, mdl_split split,
                           mdl_dataset *set)
{
    table t;
    mdl_status status = read_table(argument, &t);
    if (status == MDL_OK)
        status = read_lines(config, &t, split, set);
    mdl_free(t.paths);
    mdl_free(t.items);
    mdl_free(t.text);
    return status;
}

static bool recognises(const char *path)
{
    return mdl__is_file_ending(path, ".csv");
}

const mdl_source mdl__source_csv = {
    .name = "csv",
    .spec = "csv:FILE",
    .what = "JPEG and PNG files in a list: path,label[,split]",
    .advice = "expected are lines path,label or path,label,split, with paths from the folder of "
              "the list",
    .recognises = recognises,
    .has_validation = true,
    .read = read_csv,
};
