/* The page: paragraphs, tables, lists and code, written as HTML and as Markdown at once. */
#include <math.h>
#include <stdarg.h>
#include <string.h>

#include "report/page.h"

FILE *mdl__text_open(mdl__page *page)
{
    size_t size;
    char *text;
    FILE *file = page->status == MDL_OK ? mdl_stream_open() : NULL;
    if (file == NULL && page->status == MDL_OK)
        page->status = mdl_stream_take(file, SIZE_MAX, &text, &size); /* says why */
    return file;
}

void mdl__text_take(mdl__page *page, FILE *file, char **text, size_t *size)
{
    *text = NULL;
    if (page->status == MDL_OK)
        page->status = mdl_stream_take(file, SIZE_MAX, text, size);
    else if (file != NULL)
        fclose(file);
}

void mdl__put_html(FILE *out, const char *text)
{
    for (; *text != '\0'; text++) {
        switch (*text) {
        case '&':
            fputs("&amp;", out);
            break;
        case '<':
            fputs("&lt;", out);
            break;
        case '>':
            fputs("&gt;", out);
            break;
        case '"':
            fputs("&quot;", out);
            break;
        case '\'':
            fputs("&#39;", out);
            break;
        default: /* control characters are no HTML */
            fputc((unsigned char)*text < 0x20 && *text != '\n' ? ' ' : *text, out);
        }
    }
}

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* Only where it would mean something, so that the text stays readable as it is: "p < 0.05" begins
 * no HTML, and the _ of a file's name no emphasis. */
void mdl__put_markdown(FILE *out, const char *text)
{
    for (char before = ' '; *text != '\0'; before = *text++) {
        bool special = strchr("\\`*[]|#", *text) != NULL ||
                       (*text == '_' && !(is_word(before) && is_word(text[1]))) ||
                       (*text == '<' && strchr(" 0123456789", text[1]) == NULL);
        if (special)
            fputc('\\', out);
        fputc((unsigned char)*text < 0x20 ? ' ' : *text, out);
    }
}

void mdl__page_section(mdl__page *page, const char *id, const char *title)
{
    page->id = id;
    page->title = title;
}

void mdl__page_open(mdl__page *page)
{
    if (page->title == NULL)
        return;
    fprintf(page->html, "</section>\n<section id=\"%s\">\n<h2>", page->id);
    mdl__put_html(page->html, page->title);
    fputs("</h2>\n", page->html);
    fputs("\n## ", page->markdown);
    mdl__put_markdown(page->markdown, page->title);
    fputs("\n\n", page->markdown);
    page->title = NULL;
}

void mdl__page_text(mdl__page *page, const char *format, ...)
{
    char text[4096];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    mdl__page_open(page);
    fputs("<p>", page->html);
    mdl__put_html(page->html, text);
    fputs("</p>\n", page->html);
    mdl__put_markdown(page->markdown, text);
    fputs("\n\n", page->markdown);
}

void mdl__page_list(mdl__page *page, const char *lines)
{
    char line[4096];
    mdl__page_open(page);
    fputs("<ul>\n", page->html);
    while (*lines != '\0') {
        size_t length = strcspn(lines, "\n");
        snprintf(line, sizeof(line), "%.*s", (int)mdl_min_size(length, sizeof(line) - 1), lines);
        lines += length + (lines[length] == '\n');
        if (length == 0)
            continue;
        fputs("<li>", page->html);
        mdl__put_html(page->html, line);
        fputs("</li>\n", page->html);
        fputs("- ", page->markdown);
        mdl__put_markdown(page->markdown, line);
        fputs("\n", page->markdown);
    }
    fputs("</ul>\n", page->html);
    fputs("\n", page->markdown);
}

void mdl__page_code(mdl__page *page, const char *title, const char *text)
{
    mdl__page_open(page);
    if (title != NULL) {
        fputs("<details><summary>", page->html);
        mdl__put_html(page->html, title);
        fputs("</summary>\n", page->html);
        mdl__put_markdown(page->markdown, title);
        fputs(":\n\n", page->markdown);
    }
    fputs("<pre><code>", page->html);
    mdl__put_html(page->html, text);
    fprintf(page->html, "</code></pre>%s\n", title != NULL ? "</details>" : "");
    /* Indented, not fenced: no line of the text can end it. */
    for (const char *at = text; *at != '\0';) {
        size_t length = strcspn(at, "\n");
        fprintf(page->markdown, "    %.*s\n", (int)length, at);
        at += length + (at[length] == '\n');
    }
    fputs("\n", page->markdown);
}

void mdl__page_figures(mdl__page *page, bool begin)
{
    if (!begin && page->beside == MDL__BESIDE)
        fputs("</div>\n", page->html);
    page->beside = begin ? MDL__WANTED : MDL__ALONE;
}

void mdl__page_figure(mdl__page *page)
{
    mdl__page_open(page);
    page->figures++;
    if (page->beside == MDL__WANTED) {
        fputs("<div class=\"figures\">\n", page->html);
        page->beside = MDL__BESIDE;
    }
}

/* ---- tables --------------------------------------------------------------------------------- */

static void put_both(mdl__page *page, const char *text)
{
    mdl__put_html(page->html, text);
    mdl__put_markdown(page->markdown, text);
}

void mdl__table(mdl__page *page, const char *heads)
{
    char head[256];
    size_t columns = 0;
    mdl__page_open(page);
    fputs("<div class=\"scroll\" tabindex=\"0\"><table>\n<thead><tr>", page->html);
    for (const char *at = heads; *at != '\0' || columns == 0; columns++) {
        size_t length = strcspn(at, "|");
        snprintf(head, sizeof(head), "%.*s", (int)mdl_min_size(length, sizeof(head) - 1), at);
        fputs("<th scope=\"col\">", page->html);
        fputs(columns == 0 ? "| " : " | ", page->markdown);
        put_both(page, head);
        fputs("</th>", page->html);
        at += length + (at[length] == '|');
    }
    fputs(" |\n|", page->markdown);
    for (size_t c = 0; c < columns; c++)
        fputs(c == 0 ? " --- |" : " ---: |", page->markdown);
    fputs("</tr></thead>\n<tbody>", page->html);
    page->in_row = page->in_cell = false;
}

static void end_row(mdl__page *page)
{
    fputs(page->in_row ? "</tr>\n" : "\n", page->html);
    fputs(page->in_row ? " |\n" : "\n", page->markdown);
    page->in_row = false;
}

void mdl__row(mdl__page *page, const char *id)
{
    end_row(page);
    fputs("<tr", page->html);
    if (id != NULL) {
        fputs(" data-row=\"", page->html);
        mdl__put_html(page->html, id);
        fputs("\"", page->html);
    }
    fputs(">", page->html);
    page->in_row = true;
    page->in_cell = false;
}

void mdl__table_group(mdl__page *page, const char *title, size_t columns)
{
    mdl__row(page, NULL);
    fprintf(page->html, "<th class=\"group\" colspan=\"%zu\" scope=\"colgroup\">", columns);
    fputs("| **", page->markdown);
    put_both(page, title);
    fputs("</th>", page->html);
    fputs("**", page->markdown);
    for (size_t c = 1; c < columns; c++)
        fputs(" |", page->markdown);
}

/* The first cell of a row is its name. */
static void put_cell(mdl__page *page, const char *attributes, const char *text)
{
    char first[1024];
    const char *tag = page->in_cell ? "td" : "th", *remark = strchr(text, '\n');
    snprintf(first, sizeof(first), "%.*s",
             (int)mdl_min_size(strcspn(text, "\n"), sizeof(first) - 1), text);
    fprintf(page->html, "<%s%s%s>", tag, page->in_cell ? "" : " scope=\"row\"", attributes);
    fputs(page->in_cell ? " | " : "| ", page->markdown);
    put_both(page, first);
    if (remark != NULL && remark[1] != '\0') {
        fputs("<br><small>", page->html);
        fputs(" (", page->markdown);
        put_both(page, remark + 1);
        fputs("</small>", page->html);
        fputs(")", page->markdown);
    }
    fprintf(page->html, "</%s>", tag);
    page->in_cell = true;
}

void mdl__cell(mdl__page *page, const char *format, ...)
{
    char text[2048];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    put_cell(page, "", text);
}

void mdl__fact(mdl__page *page, const char *key, const char *format, double value, double scale)
{
    char attributes[128], text[64] = "";
    snprintf(attributes, sizeof(attributes), " data-key=\"%s\" data-value=\"%.17g\"", key, value);
    if (isfinite(value))
        snprintf(text, sizeof(text), format, value * scale);
    put_cell(page, isfinite(value) ? attributes : "", text);
}

void mdl__shade(mdl__page *page, size_t count, size_t all)
{
    char attributes[160], text[32] = "";
    snprintf(
        attributes, sizeof(attributes),
        " data-key=\"count\" data-value=\"%zu\" style=\"background:color-mix(in srgb,var(--c1) "
        "%.0f%%,transparent)\"",
        count, 60 * (double)count / (double)mdl_max_size(all, 1));
    if (count > 0)
        snprintf(text, sizeof(text), "%zu", count);
    put_cell(page, attributes, text);
}

void mdl__table_end(mdl__page *page)
{
    end_row(page);
    fputs("</tbody></table></div>\n", page->html);
    fputs("\n", page->markdown);
}
