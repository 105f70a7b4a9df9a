/* The page: paragraphs, tables, lists and code, written as HTML and as Markdown at once. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "report/report_internal.h"

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
    fprintf(page->html, "</section>\n<section id=\"%s\">\n<h2>", id);
    mdl__put_html(page->html, title);
    fputs("</h2>\n", page->html);
    fputs("\n## ", page->markdown);
    mdl__put_markdown(page->markdown, title);
    fputs("\n\n", page->markdown);
}

void mdl__page_missing(mdl__page *page, const char *format, ...)
{
    size_t used = strlen(page->missing);
    va_list args;
    if (used + 2 >= sizeof(page->missing) || page->n_repeats > 0) /* a repeat's own page has it */
        return;
    if (used > 0)
        page->missing[used++] = '\n';
    va_start(args, format);
    vsnprintf(page->missing + used, sizeof(page->missing) - used, format, args);
    va_end(args);
}

void mdl__page_text(mdl__page *page, const char *format, ...)
{
    char text[4096];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    fputs("<p>", page->html);
    mdl__put_html(page->html, text);
    fputs("</p>\n", page->html);
    mdl__put_markdown(page->markdown, text);
    fputs("\n\n", page->markdown);
}

void mdl__page_list(mdl__page *page, const char *lines)
{
    char line[4096];
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

static void put_cell(mdl__page *page, const char *tag, const char *text)
{
    const char *remark = strchr(text, '\n');
    char first[512];
    snprintf(first, sizeof(first), "%.*s",
             (int)mdl_min_size(strcspn(text, "\n"), sizeof(first) - 1), text);
    fprintf(page->html, "<%s%s>", tag, strcmp(tag, "th") == 0 ? " scope=\"col\"" : "");
    mdl__put_html(page->html, first);
    fputs(" ", page->markdown);
    mdl__put_markdown(page->markdown, first);
    if (remark != NULL && remark[1] != '\0') {
        fputs("<br><small>", page->html);
        mdl__put_html(page->html, remark + 1);
        fputs("</small>", page->html);
        fputs(" (", page->markdown);
        mdl__put_markdown(page->markdown, remark + 1);
        fputs(")", page->markdown);
    }
    fprintf(page->html, "</%s>", tag);
    fputs(" |", page->markdown);
}

static void put_cells(mdl__page *page, const json_t *cells, const char *tag)
{
    fputs("<tr>", page->html);
    fputs("|", page->markdown);
    for (size_t c = 0; c < json_array_size(cells); c++) {
        const char *text = json_string_value(json_array_get(cells, c));
        put_cell(page, tag, text != NULL ? text : "");
    }
    fputs("</tr>\n", page->html);
    fputs("\n", page->markdown);
}

void mdl__page_table(mdl__page *page, json_t *heads, json_t *rows)
{
    if ((heads == NULL || rows == NULL) && page->status == MDL_OK)
        page->status = mdl_fail(MDL_NO_MEMORY, "a table of the report: out of memory");
    fputs("<div class=\"scroll\"><table>\n<thead>", page->html);
    put_cells(page, heads, "th");
    fputs("</thead>\n<tbody>\n", page->html);
    fputs("|", page->markdown);
    for (size_t c = 0; c < json_array_size(heads); c++)
        fputs(c == 0 ? " --- |" : " ---: |", page->markdown);
    fputs("\n", page->markdown);
    for (size_t r = 0; r < json_array_size(rows); r++)
        put_cells(page, json_array_get(rows, r), "td");
    fputs("</tbody></table></div>\n", page->html);
    fputs("\n", page->markdown);
    json_decref(heads);
    json_decref(rows);
}

json_t *mdl__cell(const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    /* As it is: it may have escapes already, and may have been cut within a character. */
    return json_string_nocheck(text);
}

void mdl__row(json_t **rows, size_t count, ...)
{
    json_t *row = mdl_json_pack("[]");
    va_list cells;
    va_start(cells, count);
    for (size_t i = 0; i < count; i++)
        mdl_json_append(&row, va_arg(cells, json_t *));
    va_end(cells);
    mdl_json_append(rows, row);
}
