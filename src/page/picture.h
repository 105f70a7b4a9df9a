/* Private to pages: pictures by other programs. */
#ifndef MDL_PAGE_PICTURE_H
#define MDL_PAGE_PICTURE_H

#include "page/page.h"

/* Open a figure of `class` and run a program on a script, which is taken and whose SVG
 * goes into it (the caller puts the rest and ends it with </figure>); a legend. */
void mdl__picture_draw(mdl_page *page, const char *const *argv, const char *package,
                       mdl_string *script, const char *title, const char *class);
void mdl__picture_legend(mdl_string *html, const mdl_chart *chart);

#endif
