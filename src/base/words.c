/* Words that people type: which one is meant, and how many bytes "2GiB" is. */
#include <stdlib.h>
#include <string.h>

#include "base/base.h"

/* Edit distance with swaps of neighbours ("optimal string alignment"), three rows at a time. */
static size_t edits(const char *a, const char *b)
{
    enum { LONGEST = 64 };
    size_t rows[3][LONGEST + 1], na = strlen(a), nb = strlen(b);
    if (na > LONGEST || nb > LONGEST)
        return SIZE_MAX;
    for (size_t j = 0; j <= nb; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= na; i++) {
        size_t *now = rows[i % 3], *last = rows[(i + 2) % 3], *before = rows[(i + 1) % 3];
        now[0] = i;
        for (size_t j = 1; j <= nb; j++) {
            size_t best = last[j - 1] + (a[i - 1] != b[j - 1]);
            best = mdl_min_size(best, mdl_min_size(last[j], now[j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                best = mdl_min_size(best, before[j - 2] + 1);
            now[j] = best;
        }
    }
    return rows[na % 3][nb];
}

size_t mdl_near(const char *name, const char *candidate)
{
    size_t length = strlen(name), other = strlen(candidate), most = 1 + other / 3;
    if (length > other + most || other > length + most) /* an edit adds or drops one letter */
        return SIZE_MAX;
    size_t distance = edits(name, candidate);
    return distance <= most ? distance : SIZE_MAX;
}

mdl_status mdl_parse_bytes(const char *text, size_t *bytes)
{
    static const struct {
        const char *name;
        double factor;
    } units[] = {{"", 1},
                 {"B", 1},
                 {"kB", 1e3},
                 {"KB", 1e3},
                 {"MB", 1e6},
                 {"GB", 1e9},
                 {"TB", 1e12},
                 {"KiB", 1024},
                 {"MiB", 1048576},
                 {"GiB", 1073741824},
                 {"TiB", 1099511627776.0}};
    static const char *expected = "expected a size such as 2GiB, 400MB or 1073741824, got %.100s";
    *bytes = 0;
    size_t digits = strspn(text, "0123456789.");
    char number[32], *end;
    bool octal = text[0] == '0' && text[1] >= '0' && text[1] <= '9';
    if (digits == 0 || digits >= sizeof(number) || octal)
        return mdl_fail(MDL_CONFIG, expected, text);
    snprintf(number, sizeof(number), "%.*s", (int)digits, text);
    double value = strtod(number, &end);
    const char *unit = text + digits + strspn(text + digits, " ");
    for (size_t i = 0; i < MDL_COUNT(units) && *end == '\0'; i++) {
        if (strcmp(unit, units[i].name) == 0 && value * units[i].factor <= 9007199254740992.0) {
            *bytes = (size_t)(value * units[i].factor);
            return MDL_OK;
        }
    }
    return mdl_fail(MDL_CONFIG, expected, text);
}
