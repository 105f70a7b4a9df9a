/* What `mendel eval` wrote: its figures (JSON), and its predictions (CSV) as a table of confusions.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "report/formats.h"
#include "report/sections.h"

enum { CLASSES_MOST = 1000, SHOWN_MOST = 12, PAIRS_MOST = 20 };

/* ---- what `mendel eval` wrote --------------------------------------------------------------- */

static mdl_status read_looks(mdl__folder *f)
{
    mdl__names files;
    bool there;
    MDL_TRY(mdl__read_into(f, "", "evaluation.json", mdl__evaluation_fields, f, &there));
    if (there) /* of an experiment */
        return MDL_OK;
    MDL_TRY(mdl__list_files(f, "", "", ".json", NULL, &files));
    MDL_TRY(mdl__pool_take(&f->pool, files.n, sizeof(mdl__look), (void **)&f->looks.data));
    for (size_t i = 0; i < files.n && f->looks.n < 64; i++) {
        mdl__look *look = &f->looks.data[f->looks.n];
        mdl_status status = mdl__read_into(f, "", files.data[i], mdl__look_fields, look, &there);
        if (status != MDL_OK && status != MDL_FORMAT) /* another file of JSON */
            return status;
        if (status == MDL_OK && look->checkpoint[0] != '\0' && isfinite(look->top1) &&
            look->images > 0) {
            MDL_TRY(mdl__copy(f, files.data[i], &look->file));
            f->looks.n++;
            f->content |= MDL__EVALUATION;
        }
    }
    return MDL_OK;
}

/* The last fields of a line of CSV, without their quotation marks; NULL where there are none. */
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

/* One pass finds how many classes there are, the other counts. */
static mdl_status count_predictions(mdl__folder *f, char *text, bool named, mdl__predictions *p)
{
    unsigned long label, called;
    for (char *at = text; *at != '\0';) {
        size_t length = strcspn(at, "\n");
        char *next = at + length + (at[length] == '\n');
        if (sscanf(at, "%*u,%lu,%lu", &label, &called) != 2 || label >= CLASSES_MOST ||
            called >= CLASSES_MOST)
            return mdl_fail(MDL_FORMAT,
                            "%s/%s: expected index,label,predicted in each line, got %.60s",
                            f->path, p->file, at);
        if (p->count == NULL) {
            p->classes = mdl_max_size(p->classes, mdl_max_size(label, called) + 1);
        } else {
            at[length] = '\0';
            char *name = NULL;
            if (named && p->name[label] == NULL && last_field(at) != NULL)
                name = last_field(at);
            if (name != NULL)
                MDL_TRY(mdl__copy(f, name, &p->name[label]));
            p->count[label * p->classes + called]++;
            p->images++;
        }
        at = next;
    }
    return MDL_OK;
}

/* Classes without a name have their number. */
static mdl_status name_classes(mdl__folder *f, const mdl__predictions *p)
{
    char number[32];
    for (size_t c = 0; c < p->classes; c++) {
        snprintf(number, sizeof(number), "%zu", c);
        if (p->name[c] == NULL)
            MDL_TRY(mdl__copy(f, number, &p->name[c]));
    }
    return MDL_OK;
}

static mdl_status read_predictions(mdl__folder *f)
{
    static const char head[] = "index,label,predicted";
    mdl__names files;
    MDL_TRY(mdl__list_files(f, "", "", ".csv", NULL, &files));
    MDL_TRY(
        mdl__pool_take(&f->pool, files.n, sizeof(mdl__predictions), (void **)&f->predictions.data));
    for (size_t i = 0; i < files.n && f->predictions.n < 8; i++) {
        char path[MDL_PATH_MAX], *text;
        size_t size;
        mdl__predictions *p = &f->predictions.data[f->predictions.n];
        MDL_TRY(mdl__path_of(f, "", files.data[i], path));
        MDL_TRY(mdl_file_read(path, MDL__FILE_LIMIT, &text, &size));
        char *line = strchr(text, '\n');
        mdl_status status = MDL_OK;
        if (strncmp(text, head, strlen(head)) == 0 && line != NULL && line[1] != '\0') {
            *line = '\0';
            bool named = strstr(text, ",label_name,") != NULL;
            p->file = files.data[i];
            status = count_predictions(f, line + 1, named, p);
            if (status == MDL_OK)
                status = mdl__pool_take(&f->pool, p->classes, sizeof(char *), (void **)&p->name);
            if (status == MDL_OK)
                status = mdl__pool_take(&f->pool, p->classes * p->classes, sizeof(size_t),
                                        (void **)&p->count);
            if (status == MDL_OK)
                status = count_predictions(f, line + 1, named, p);
            if (status == MDL_OK)
                status = name_classes(f, p);
            f->predictions.n++;
            f->content |= MDL__EVALUATION;
        }
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

/* A square of classes, darker where a class is often called so. */
static void put_square(mdl__page *page, const mdl__predictions *p)
{
    mdl_string heads = {0};
    mdl_string_add(&heads, "class, called");
    for (size_t c = 0; c < p->classes; c++)
        mdl_string_add(&heads, "|%s", p->name[c]);
    if (heads.status != MDL_OK) {
        page->status = page->status == MDL_OK ? heads.status : page->status;
        return;
    }
    mdl__table(page, heads.data);
    for (size_t a = 0; a < p->classes; a++) {
        size_t all = 0;
        for (size_t b = 0; b < p->classes; b++)
            all += p->count[a * p->classes + b];
        mdl__row(page, p->name[a]);
        mdl__cell(page, "%s", p->name[a]);
        for (size_t b = 0; b < p->classes; b++)
            mdl__shade(page, p->count[a * p->classes + b], all);
    }
    mdl__table_end(page);
    mdl_free(heads.data);
}

/* The pairs that are most often taken for each other. */
static void put_pairs(mdl__page *page, const mdl__predictions *p)
{
    size_t n = p->classes, last = SIZE_MAX, least = SIZE_MAX;
    mdl__table(page, "class, called another|images");
    for (size_t k = 0; k < PAIRS_MOST; k++) { /* the next below (least, last) in falling order */
        size_t best = SIZE_MAX;
        for (size_t i = 0; i < n * n; i++)
            if (i / n != i % n && p->count[i] > 0 &&
                (p->count[i] < least || (p->count[i] == least && i > last)) &&
                (best == SIZE_MAX || p->count[i] > p->count[best]))
                best = i;
        if (best == SIZE_MAX)
            break;
        least = p->count[best];
        last = best;
        mdl__row(page, NULL);
        mdl__cell(page, "%s called %s", p->name[best / n], p->name[best % n]);
        mdl__cell(page, "%zu", p->count[best]);
    }
    mdl__table_end(page);
}

void mdl__put_predictions(mdl__page *page, const mdl__folder *f)
{
    for (size_t i = 0; i < f->predictions.n; i++) {
        const mdl__predictions *p = &f->predictions.data[i];
        size_t right = 0;
        for (size_t c = 0; c < p->classes; c++)
            right += p->count[c * p->classes + c];
        mdl__page_text(page, "%s: %zu of %zu images are right (%.2f %%). %s", p->file, right,
                       p->images, 100 * (double)right / (double)mdl_max_size(p->images, 1),
                       p->classes <= SHOWN_MOST
                           ? "A row is a class, a column what its images were called."
                           : "These classes are most often taken for others.");
        if (p->classes <= SHOWN_MOST)
            put_square(page, p);
        else
            put_pairs(page, p);
    }
}
