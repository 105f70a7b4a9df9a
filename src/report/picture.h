/* Pictures that other programs draw, and legends. */
#ifndef MDL_REPORT_PICTURE_H
#define MDL_REPORT_PICTURE_H

#include "report/chart.h"

/* Open a figure of `class` and run a program on a script, which is taken and whose SVG goes into
 * it.  The caller puts the rest and ends it with </figure>. */
void mdl__picture_draw(mdl__page *page, const char *const *argv, const char *package,
                       mdl_string *script, const char *title, const char *class);
void mdl__picture_legend(mdl_string *html, const mdl__chart *chart);
void mdl__picture_caption(mdl__page *page, const char *caption);

#endif
