/* Names in a message: "cat, dog and 3 more". */
#include <stdio.h>

#include "data/internal.h"

void mdl__naming_add(mdl__naming *n, const char *name)
{
    if (n->count++ >= MDL__NAMED)
        return;
    n->used += (size_t)snprintf(n->text + n->used, sizeof(n->text) - n->used, "%s%.79s",
                                n->used > 0 ? ", " : "", name);
}

const char *mdl__naming_text(mdl__naming *n)
{
    if (n->count > MDL__NAMED)
        snprintf(n->text + n->used, sizeof(n->text) - n->used, " and %zu more",
                 n->count - MDL__NAMED);
    return n->text;
}
