/* Where a model errs, for a terminal of 80 columns. */
#include <math.h>
#include <string.h>

#include <jansson.h>

#include "cli/commands.h"

enum { NAME = 12, WIDE = 13, WHOLE_MATRIX = 10, PAIRS = 10 };

/* A name, or the number of a class without one, filled up to `width` characters and cut there. */
static const char *fill(const char *name, size_t number, size_t width, char out[4 * NAME + 1])
{
    char digits[24];
    size_t shown = 0, at = 0;
    snprintf(digits, sizeof(digits), "%zu", number);
    cli_shown(name[0] != '\0' ? name : digits, out, 4 * NAME + 1);
    for (; out[at] != '\0'; at++) {
        bool begins = ((unsigned char)out[at] & 0xc0) != 0x80; /* a character of UTF-8 */
        if (begins && shown == width)
            break;
        shown += begins;
    }
    for (; shown < width && at < 4 * NAME; shown++)
        out[at++] = ' ';
    out[at] = '\0';
    return out;
}

/* The name of a class, or its number: of what is in `each`. */
static const char *class_name(const json_t *classes, size_t number, char out[4 * NAME + 1])
{
    size_t i;
    const json_t *each;
    json_array_foreach (json_object_get(classes, "each"), i, each)
        if (cli_count_of(each, "class") == number && cli_text_of(each, "name")[0] != '\0')
            return cli_shown(cli_text_of(each, "name"), out, 4 * NAME + 1);
    snprintf(out, 4 * NAME + 1, "%zu", number);
    return out;
}

static void print_pair(const json_t *classes, const json_t *pair)
{
    char label[4 * NAME + 1], called[4 * NAME + 1];
    size_t i, all = 0;
    const json_t *each;
    json_array_foreach (json_object_get(classes, "each"), i, each)
        if (cli_count_of(each, "class") == cli_count_of(pair, "label"))
            all = cli_count_of(each, "images");
    printf("%zu of %zu images of %s are called %s\n", cli_count_of(pair, "images"), all,
           class_name(classes, cli_count_of(pair, "label"), label),
           class_name(classes, cli_count_of(pair, "called"), called));
}

void cli_print_errors(const json_t *classes)
{
    const json_t *first = json_array_get(json_object_get(classes, "confused"), 0);
    double top5 = mdl_json_real(classes, "top5");
    if (!isnan(top5))
        printf("top-5 %.2f %%  (95 %%: %.2f - %.2f)\n", 100 * top5,
               100 * mdl_json_real(classes, "top5_low"), 100 * mdl_json_real(classes, "top5_high"));
    if (first != NULL) {
        printf("most confused: ");
        print_pair(classes, first);
    }
}

/* ---- by class ------------------------------------------------------------------------------- */

static void print_rate(const json_t *of, const char *name, int width)
{
    char low[32], high[32];
    snprintf(low, sizeof(low), "%s_low", name);
    snprintf(high, sizeof(high), "%s_high", name);
    double value = mdl_json_real(of, name);
    char interval[48];
    snprintf(interval, sizeof(interval), "(%.1f-%.1f)", 100 * mdl_json_real(of, low),
             100 * mdl_json_real(of, high));
    if (isnan(value))
        printf(" %5s %*s", "-", width, "");
    else
        printf(" %5.1f %-*s", 100 * value, width, interval);
}

static void print_rates(const json_t *classes)
{
    size_t i;
    char name[4 * NAME + 1];
    const json_t *each;
    printf("\n%-*s images   precision %%             recall %%                 F1 %%\n", NAME,
           "by class");
    json_array_foreach (json_object_get(classes, "each"), i, each) {
        printf("%s %6zu", fill(cli_text_of(each, "name"), cli_count_of(each, "class"), NAME, name),
               cli_count_of(each, "images"));
        print_rate(each, "precision", WIDE);
        print_rate(each, "recall", WIDE);
        print_rate(each, "f1", 0);
        printf("\n");
    }
    printf("%-*s %6s %5.1f %13s %5.1f %13s %5.1f\n", NAME, "mean", "",
           100 * mdl_json_real(classes, "macro_precision"), "",
           100 * mdl_json_real(classes, "macro_recall"), "",
           100 * mdl_json_real(classes, "macro_f1"));
    size_t fewest = cli_count_of(classes, "fewest"), most = cli_count_of(classes, "most");
    if (2 * most > 3 * fewest) /* so that it can matter */
        printf("The classes differ in size: %zu to %zu images (%.3g times as many).\n", fewest,
               most, (double)most / (double)fewest);
}

static void print_matrix(const json_t *classes)
{
    size_t label, called, n = cli_count_of(classes, "count");
    char name[4 * NAME + 1];
    const json_t *row, *count;
    printf("\n%-*s", NAME, "class, called");
    for (size_t i = 0; i < n; i++)
        printf(" %5zu", i);
    printf("\n");
    json_array_foreach (json_object_get(classes, "confusion"), label, row) {
        const json_t *each = json_array_get(json_object_get(classes, "each"), label);
        bool all = json_array_size(json_object_get(classes, "each")) == n;
        char text[8 + 4 * NAME];
        snprintf(text, sizeof(text), "%zu %s", label, all ? cli_text_of(each, "name") : "");
        printf("%s", fill(text, 0, NAME, name));
        json_array_foreach (row, called, count)
            printf(" %5zu", (size_t)json_integer_value(count));
        printf("\n");
    }
}

void cli_print_classes(const json_t *classes)
{
    size_t i;
    const json_t *pair, *pairs = json_object_get(classes, "confused");
    print_rates(classes);
    if (cli_count_of(classes, "count") <= WHOLE_MATRIX) {
        print_matrix(classes);
        return;
    }
    printf("\nmost confused:\n");
    json_array_foreach (pairs, i, pair) {
        if (i == PAIRS)
            break;
        printf("  ");
        print_pair(classes, pair);
    }
}

/* ---- mistakes ------------------------------------------------------------------------------- */

void cli_print_mistakes(const json_t *classes, const json_t *mistakes)
{
    size_t i;
    char label[4 * NAME + 1], called[4 * NAME + 1];
    const json_t *one;
    if (json_array_size(mistakes) == 0) {
        printf("\nno mistakes\n");
        return;
    }
    printf("\nmistakes it is surest of, by the image's number in the split:\n");
    json_array_foreach (mistakes, i, one)
        printf("  %7zu  %s is called %s with %.2f %% (%s: %.2f %%)\n", cli_count_of(one, "index"),
               class_name(classes, cli_count_of(one, "label"), label),
               class_name(classes, cli_count_of(one, "called"), called),
               100 * mdl_json_real(one, "probability"), label,
               100 * mdl_json_real(one, "label_probability"));
}
