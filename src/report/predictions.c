/* What `mendel eval` wrote: its figures (JSON), and its predictions (CSV) as a table of confusions.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "report/sections.h"

enum { LOOKS_MOST = 64, FILES_MOST = 8, SHOWN_MOST = 12, PAIRS_MOST = 20 };

/* ---- what `mendel eval` wrote --------------------------------------------------------------- */

static mdl_status read_looks(mdl__folder *f)
{
    mdl__names files;
    json_t *json;
    MDL_TRY(mdl__read_json(f, "", "evaluation.json", "evaluation", &json));
    if (json != NULL) { /* of an experiment */
        f->looks = json_incref(json_object_get(json, "models"));
        json_decref(json);
        return MDL_OK;
    }
    f->looks = mdl_json_pack("[]");
    MDL_TRY(mdl__list_files(f, "", "", ".json", NULL, &files));
    for (size_t i = 0; i < files.n && json_array_size(f->looks) < LOOKS_MOST; i++) {
        mdl_status status = mdl__read_json(f, "", files.data[i], "look", &json);
        if (status != MDL_OK && status != MDL_FORMAT) /* another file of JSON */
            return status;
        if (mdl__text(json, "checkpoint")[0] == '\0' || !isfinite(mdl__real(json, "top1")) ||
            mdl__count(json, "images") == 0) {
            json_decref(json);
            continue;
        }
        mdl_json_set(&json, "file", mdl_json_pack("s", files.data[i]));
        mdl_json_append(&f->looks, json);
        f->content |= MDL__EVALUATION;
    }
    return mdl__whole(f->looks);
}

/* The last field of a line of CSV, which ends before it then, without its quotation marks; NULL
 * where there is none. */
static char *last_field(char *line)
{
    size_t n = strlen(line);
    bool quoted = n > 0 && line[n - 1] == '"';
    if (quoted)
        line[--n] = '\0';
    while (n > 0 &&
           (quoted ? !(line[n - 1] == '"' && n > 1 && line[n - 2] == ',') : line[n - 1] != ','))
        n--;
    if (n == 0)
        return NULL;
    line[n - 1 - quoted] = '\0';
    return line + n;
}

/* All lines behind the first. */
static mdl_status count_predictions(mdl__folder *f, char *text, bool named, mdl__predictions *p)
{
    unsigned long label, called;
    for (char *at = text, *next; *at != '\0'; at = next) {
        size_t length = strcspn(at, "\n");
        next = at + length + (at[length] == '\n');
        if (sscanf(at, "%*u,%lu,%lu", &label, &called) != 2 || label >= MDL__CLASSES_MOST ||
            called >= MDL__CLASSES_MOST)
            return mdl_fail(MDL_FORMAT,
                            "%s/%s: expected index,label,predicted in each line, got %.60s",
                            f->path, p->file, at);
        at[length] = '\0';
        bool unknown = named && p->name[label] == NULL;
        const char *name = unknown && last_field(at) != NULL ? last_field(at) : NULL; /* but one */
        if (name != NULL)
            MDL_TRY(mdl__copy(f, name, &p->name[label]));
        p->classes = mdl_max_size(p->classes, mdl_max_size(label, called) + 1);
        p->count[label][called]++;
        p->images++;
    }
    return MDL_OK;
}

/* Where it is a file of predictions. */
static mdl_status read_file(mdl__folder *f, const char *file, char *text)
{
    static const char head[] = "index,label,predicted";
    char *line = strchr(text, '\n');
    mdl__predictions *p = &f->predictions[f->n_predictions];
    if (strncmp(text, head, strlen(head)) != 0 || line == NULL || line[1] == '\0')
        return MDL_OK;
    *line = '\0';
    p->file = file;
    f->n_predictions++;
    f->content |= MDL__EVALUATION;
    MDL_TRY(mdl__take(f, MDL__CLASSES_MOST, sizeof(*p->count), (void **)&p->count));
    return count_predictions(f, line + 1, strstr(text, ",label_name,") != NULL, p);
}

static mdl_status read_predictions(mdl__folder *f)
{
    mdl__names files;
    MDL_TRY(mdl__list_files(f, "", "", ".csv", NULL, &files));
    MDL_TRY(mdl__take(f, FILES_MOST, sizeof(*f->predictions), (void **)&f->predictions));
    for (size_t i = 0; i < files.n && f->n_predictions < FILES_MOST; i++) {
        char path[MDL_PATH_MAX], *text;
        size_t size;
        MDL_TRY(mdl__path_of(f, "", files.data[i], path));
        MDL_TRY(mdl_file_read(path, (size_t)1 << 28, &text, &size));
        mdl_status status = read_file(f, files.data[i], text);
        mdl_free(text);
        MDL_TRY(status);
    }
    return MDL_OK;
}

mdl_status mdl__read_evaluations(mdl__folder *f)
{
    MDL_TRY(read_looks(f));
    return read_predictions(f);
}

/* ---- confusions ----------------------------------------------------------------------------- */

/* Its name, or its number where it has none. */
static const char *class_name(const mdl__predictions *p, size_t c, char number[32])
{
    snprintf(number, 32, "%zu", c);
    return p->name[c] != NULL ? p->name[c] : number;
}

/* A square of classes, darker where a class is often called so. */
static void put_square(mdl__page *page, const mdl__predictions *p)
{
    char number[32];
    mdl__table(page, "class, called");
    for (size_t c = 0; c < p->classes; c++)
        mdl__head(page, "%s", class_name(p, c, number));
    for (size_t a = 0; a < p->classes; a++) {
        size_t all = 0;
        for (size_t b = 0; b < p->classes; b++)
            all += p->count[a][b];
        mdl__row(page, class_name(p, a, number));
        mdl__cell(page, "%s", class_name(p, a, number));
        for (size_t b = 0; b < p->classes; b++)
            mdl__shade(page, p->count[a][b], all);
    }
    mdl__table_end(page);
}

/* The pairs that are most often taken for each other. */
static void put_pairs(mdl__page *page, const mdl__predictions *p)
{
    char numbers[2][32];
    size_t n = p->classes, last = SIZE_MAX, least = SIZE_MAX;
    mdl__table(page, "class, called another|images");
    for (size_t k = 0; k < PAIRS_MOST; k++) { /* the next below (least, last) in falling order */
        size_t best = SIZE_MAX, most = 0;
        for (size_t i = 0; i < n * n; i++) {
            size_t count = p->count[i / n][i % n];
            if (i / n != i % n && (count < least || (count == least && i > last)) && count > most) {
                best = i;
                most = count;
            }
        }
        if (best == SIZE_MAX)
            break;
        least = most;
        last = best;
        mdl__row(page, NULL);
        mdl__cell(page, "%s called %s", class_name(p, best / n, numbers[0]),
                  class_name(p, best % n, numbers[1]));
        mdl__cell(page, "%zu", most);
    }
    mdl__table_end(page);
}

void mdl__put_predictions(mdl__page *page, const mdl__folder *f)
{
    for (size_t i = 0; i < f->n_predictions; i++) {
        const mdl__predictions *p = &f->predictions[i];
        size_t right = 0;
        bool square = p->classes <= SHOWN_MOST;
        for (size_t c = 0; c < p->classes; c++)
            right += p->count[c][c];
        mdl__page_text(page, "%s: %zu of %zu images are right (%.2f %%). %s", p->file, right,
                       p->images, 100 * (double)right / (double)mdl_max_size(p->images, 1),
                       square ? "A row is a class, a column what its images were called."
                              : "These classes are most often taken for others.");
        (square ? put_square : put_pairs)(page, p);
    }
}
