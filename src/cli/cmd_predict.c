/* mendel predict: the classes of image files. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include <jansson.h>

#include "cli/commands.h"

/* Batches that are asked for at once: while one is computed, the next is decoded. */
enum { AHEAD = 4 };

enum { DEFAULT_BATCH = 64, MOST_BATCH = 65536, NAME_LIMIT = 4096, DEPTH = 32 };

typedef enum form { FORM_TABLE, FORM_CSV, FORM_JSON } form;

typedef struct prediction { /* all that one run of the command holds */
    mdl_predictor *predictor;
    size_t classes, top, batch;
    size_t room; /* files that wait at most: AHEAD batches */
    form form;
    char **paths; /* [room] */
    size_t waiting, done, damaged;
    float *logits;            /* [room, classes] */
    double *probabilities;    /* [room, classes] */
    mdl_file_result *results; /* [room] */
    size_t *order;            /* [classes] */
    cli_view view;
} prediction;

/* ---- what is printed ------------------------------------------------------------------------ */

/* The classes with the largest probabilities first; of equal ones, the lower number. */
static void find_top(prediction *p, const double *probabilities)
{
    for (size_t k = 0; k < p->classes; k++) {
        size_t at = k;
        for (; at > 0 && probabilities[k] > probabilities[p->order[at - 1]]; at--)
            p->order[at] = p->order[at - 1];
        p->order[at] = k;
    }
}

static const char *name_of(const prediction *p, size_t class_number, char buffer[32])
{
    const char *name = mdl_predictor_class_name(p->predictor, class_number);
    if (name == NULL)
        snprintf(buffer, 32, "%zu", class_number);
    return name != NULL ? name : buffer;
}

/* A name on one line: what is not plain text is shown as \xHH. */
static void print_text(const char *text, bool csv)
{
    bool quoted = csv && strpbrk(text, ",\" ") != NULL;
    char *shown;
    if (mdl_text_escaped(text, MDL_TEXT_VISIBLE, &shown) != MDL_OK) {
        printf("(out of memory)");
        return;
    }
    printf("%s", quoted ? "\"" : "");
    for (const char *at = shown; *at != '\0'; at++)
        printf(csv && *at == '"' ? "\"\"" : "%c", *at);
    printf("%s", quoted ? "\"" : "");
    mdl_free(shown);
}

static mdl_status print_json_line(const prediction *p, const char *path, const double *row)
{
    json_t *classes = mdl_json_pack("[]");
    for (size_t k = 0; k < p->top; k++) {
        size_t c = p->order[k];
        char buffer[32];
        mdl_json_append(&classes, mdl_json_pack("{s:I, s:s, s:f}", "class", (json_int_t)c, "name",
                                                name_of(p, c, buffer), "probability", row[c]));
    }
    return cli_print_json(mdl_json_pack("{s:s, s:o}", "file", path, "classes", classes), false);
}

static mdl_status print_row(prediction *p, const char *path, const double *row)
{
    char buffer[32];
    find_top(p, row);
    if (p->form == FORM_JSON)
        return print_json_line(p, path, row);
    if (p->form == FORM_CSV) {
        print_text(path, true);
        for (size_t k = 0; k < p->top; k++) {
            printf(",");
            print_text(name_of(p, p->order[k], buffer), true);
            printf(",%.6g", row[p->order[k]]);
        }
        printf("\n");
        return MDL_OK;
    }
    print_text(path, false);
    for (size_t k = 0; k < p->top; k++) {
        printf("  ");
        print_text(name_of(p, p->order[k], buffer), false);
        printf(" %.1f %%", 100 * row[p->order[k]]);
    }
    printf("\n");
    return MDL_OK;
}

static void print_head(const prediction *p)
{
    if (p->form != FORM_CSV)
        return;
    printf("file");
    for (size_t k = 1; k <= p->top; k++)
        printf(",class_%zu,probability_%zu", k, k);
    printf("\n");
}

/* ---- files ---------------------------------------------------------------------------------- */

/* Predict the files that wait. */
static mdl_status flush_batch(prediction *p)
{
    mdl_status status = MDL_OK;
    if (p->waiting > 0)
        status = mdl_predictor_run_files(p->predictor, (const char *const *)p->paths, p->waiting,
                                         p->logits, p->results);
    if (status == MDL_OK)
        status = mdl_predictor_probabilities(p->predictor, p->logits, p->waiting, p->probabilities);
    for (size_t i = 0; i < p->waiting; i++) {
        if (status == MDL_OK && p->results[i].status != MDL_OK) {
            p->damaged++;
            mdl_text_unescape(p->results[i].detail); /* what is printed is escaped once */
            cli_print_message("warning: ", p->results[i].detail);
        } else if (status == MDL_OK) {
            status = print_row(p, p->paths[i], p->probabilities + i * p->classes);
        }
        mdl_free(p->paths[i]);
        p->paths[i] = NULL;
    }
    p->done += p->waiting;
    p->waiting = 0;
    MDL_TRY(status);
    MDL_TRY(cli_flush());
    return mdl_stop_check();
}

static mdl_status add_file(prediction *p, const char *path)
{
    MDL_TRY(mdl_strdup(path, &p->paths[p->waiting]));
    p->waiting++;
    return p->waiting == p->room ? flush_batch(p) : MDL_OK;
}

static bool is_image(const char *name)
{
    static const char *const endings[] = {".jpg", ".jpeg", ".png"};
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; dot != NULL && i < MDL_COUNT(endings); i++)
        if (strcasecmp(dot, endings[i]) == 0)
            return true;
    return false;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

typedef struct names {
    char **list;
    size_t count, room;
} names;

static mdl_status read_names(const char *folder, names *out)
{
    DIR *list;
    mdl_status status = MDL_OK;
    MDL_TRY(mdl_folder_open(folder, &list));
    for (struct dirent *e; list != NULL && status == MDL_OK && (e = readdir(list)) != NULL;) {
        if (e->d_name[0] == '.')
            continue;
        if (out->count == out->room) {
            size_t room = out->room > 0 ? 2 * out->room : 64;
            status = mdl_grow(out->room, room, sizeof(*out->list), "names", (void **)&out->list);
            out->room = status == MDL_OK ? room : out->room;
        }
        if (status == MDL_OK)
            status = mdl_strdup(e->d_name, &out->list[out->count]);
        out->count += status == MDL_OK;
    }
    if (list != NULL)
        closedir(list);
    if (out->count > 0)
        qsort(out->list, out->count, sizeof(*out->list), compare_names);
    return status;
}

/* The images of a folder and of the folders in it, in the order of their names. */
static mdl_status add_folder(prediction *p, const char *folder, size_t depth)
{
    names found = {0};
    mdl_status status =
        depth < DEPTH
            ? read_names(folder, &found)
            : mdl_fail(MDL_IO, "%s: folders in folders, more than %d deep", folder, DEPTH);
    for (size_t i = 0; i < found.count; i++) {
        char path[NAME_LIMIT];
        struct stat info;
        if (status == MDL_OK)
            status = mdl_path(path, sizeof(path), folder, "%s", found.list[i]);
        if (status == MDL_OK && stat(path, &info) == 0) {
            if (S_ISDIR(info.st_mode))
                status = add_folder(p, path, depth + 1);
            else if (is_image(path))
                status = add_file(p, path);
        }
        mdl_free(found.list[i]);
    }
    mdl_free(found.list);
    return status;
}

/* Names on the standard input, one a line. */
static mdl_status add_listed(prediction *p)
{
    char line[NAME_LIMIT];
    while (fgets(line, sizeof(line), stdin) != NULL) {
        size_t length = strcspn(line, "\r\n");
        if (line[length] == '\0' && length + 1 == sizeof(line))
            return mdl_fail(MDL_CONFIG, "a name of more than %d bytes on the standard input",
                            NAME_LIMIT - 2);
        line[length] = '\0';
        if (length > 0)
            MDL_TRY(add_file(p, line));
    }
    return ferror(stdin) ? mdl_fail(MDL_IO, "cannot read the standard input") : MDL_OK;
}

static mdl_status add_all(prediction *p, const cli_args *args)
{
    for (size_t i = 1; i < args->n_positional; i++) {
        const char *path = args->positional[i];
        struct stat info;
        if (strcmp(path, "-") == 0)
            MDL_TRY(add_listed(p));
        else if (stat(path, &info) == 0 && S_ISDIR(info.st_mode))
            MDL_TRY(add_folder(p, path, 0));
        else
            MDL_TRY(add_file(p, path));
    }
    return flush_batch(p);
}

/* ---- the command ---------------------------------------------------------------------------- */

static mdl_status open_all(prediction *p, const cli_args *args)
{
    size_t threads, top;
    MDL_TRY(cli_number(args, "--threads", 1, 0, &threads));
    MDL_TRY(cli_number(args, "--batch", 1, DEFAULT_BATCH, &p->batch));
    MDL_TRY(cli_number(args, "--top", 1, 1, &top));
    if (p->batch > MOST_BATCH)
        return mdl_fail(MDL_CONFIG, "option --batch: expected at most %d", MOST_BATCH);
    MDL_TRY(mdl_predictor_open(args->positional[0], cli_value(args, "--backend"), (int)threads,
                               p->batch, &p->predictor));
    p->classes = mdl_predictor_get_shape(p->predictor).classes;
    p->top = mdl_min_size(top, p->classes);
    p->room = p->batch * AHEAD;
    MDL_TRY(MDL_NEW(p->room, "names", &p->paths));
    MDL_TRY(MDL_NEW(p->room * p->classes, "logits", &p->logits));
    MDL_TRY(MDL_NEW(p->room * p->classes, "probabilities", &p->probabilities));
    MDL_TRY(MDL_NEW(p->room, "results", &p->results));
    return MDL_NEW(p->classes, "classes", &p->order);
}

static mdl_status finish(const prediction *p)
{
    if (p->done == 0)
        return mdl_fail(MDL_NOT_FOUND, "there are no images (files that end in .jpg, .jpeg or "
                                       ".png) in what was named");
    return p->damaged == 0
               ? MDL_OK
               : mdl_fail(MDL_FORMAT, "%zu of %zu files could not be read", p->damaged, p->done);
}

static mdl_status run(const cli_args *args)
{
    prediction p = {.form = cli_flag(args, "--json")  ? FORM_JSON
                            : cli_flag(args, "--csv") ? FORM_CSV
                                                      : FORM_TABLE};
    MDL_TRY(cli_expect(args, 2, CLI_MAX_ITEMS, "a checkpoint, and files, folders or -"));
    cli_view_open(&p.view, true);
    cli_install_log(&p.view);
    mdl_status status = open_all(&p, args);
    if (status == MDL_OK)
        print_head(&p);
    if (status == MDL_OK)
        status = add_all(&p, args);
    if (status == MDL_OK)
        status = finish(&p);
    cli_view_close(&p.view);
    for (size_t i = 0; i < p.waiting; i++)
        mdl_free(p.paths[i]);
    mdl_free(p.paths);
    mdl_free(p.logits);
    mdl_free(p.probabilities);
    mdl_free(p.results);
    mdl_free(p.order);
    mdl_predictor_close(p.predictor);
    return status;
}

static const cli_option options[] = {
    {"--top", 'k', "N", "how many classes of each image (default: 1)"},
    {"--csv", 0, NULL, "print CSV: file, class_1, probability_1, ..."},
    {"--json", 0, NULL, "print a JSON object for each file, one a line"},
    {"--batch", 0, "N", "images at once (default: 64)"},
    CLI_DEVICE_OPTIONS,
};

const cli_command cli_cmd_predict = {
    .name = "predict",
    .summary = "tell the classes of image files",
    .usage = "CHECKPOINT FILE|FOLDER|-... [--top N] [--csv|--json]",
    .text =
        "Images are JPEG and PNG files of any size; they are resized to the model's input.  Of\n"
        "a folder all images are taken, in it and in the folders in it; - stands for a list of\n"
        "names on the standard input, one a line.  A file that cannot be read is told, the\n"
        "others go on, and the exit code is 3 at the end.  The checkpoint says how images are\n"
        "normalised and what the classes are called.\n",
    .examples = "  mendel predict runs/a/final.safetensors cat.jpg dog.png --top 3\n"
                "  mendel predict runs/a/final.safetensors photos --csv >predictions.csv\n"
                "  find photos -name '*.jpg' | mendel predict runs/a/final.safetensors - --json\n",
    .options = options,
    .n_options = MDL_COUNT(options),
    .run = run,
};
