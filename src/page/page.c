/* The page: paragraphs, tables, lists and code, written as HTML and as Markdown at once. */
#include <math.h>
#include <string.h>

#include "page/page.h"

/* ---- texts ---------------------------------------------------------------------------------- */

static const char *const html_rules[] = {"&&amp;", "<&lt;", ">&gt;", "\"&quot;",
                                         "'&#39;", "\n\n",  NULL};

static void escape(mdl_string *out, const char *text, size_t length, const char *const *rules)
{
    for (size_t i = 0; i < length; i++) {
        size_t rule = 0;
        while (rules[rule] != NULL && rules[rule][0] != text[i])
            rule++;
        if (rules[rule] != NULL)
            mdl_string_add(out, "%s", rules[rule] + 1);
        else
            mdl_string_add(out, "%c", (unsigned char)text[i] < 0x20 ? ' ' : text[i]);
    }
}

void mdl_page_escape(mdl_string *out, const char *text, const char *const *rules)
{
    escape(out, text, strlen(text), rules);
}

void mdl_page_html(mdl_string *out, const char *text)
{
    mdl_page_escape(out, text, html_rules);
}

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* Only where it would mean something, so that the text stays readable as it is: "p < 0.05" begins
 * no HTML, and the _ of a file's name no emphasis. */
static void escape_markdown(mdl_string *out, const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        char c = text[i], next = i + 1 < length ? text[i + 1] : '\0';
        bool special = strchr("\\`*[]|#", c) != NULL ||
                       (c == '_' && !(i > 0 && is_word(text[i - 1]) && is_word(next))) ||
                       (c == '<' && strchr(" 0123456789", next) == NULL);
        mdl_string_add(out, "%s%c", special ? "\\" : "", (unsigned char)c < 0x20 ? ' ' : c);
    }
}

/* mdl_page_put of the text before the first `end`; what is behind that. */
static const char *put_part(mdl_page *page, const char *html, const char *markdown,
                            const char *text, char end)
{
    size_t length = strcspn(text, (const char[]){end, '\0'});
    mdl_string_add(&page->html, "%s", html);
    mdl_string_add(&page->markdown, "%s", markdown);
    escape(&page->html, text, length, html_rules);
    escape_markdown(&page->markdown, text, length);
    return text + length + (text[length] != '\0');
}

void mdl_page_put(mdl_page *page, const char *html, const char *markdown, const char *text)
{
    put_part(page, html, markdown, text, '\0');
}

/* ---- sections ------------------------------------------------------------------------------- */

void mdl_page_section(mdl_page *page, const char *id, const char *title)
{
    page->id = id;
    page->title = title;
}

void mdl_page_open(mdl_page *page)
{
    if (page->title == NULL)
        return;
    mdl_string_add(&page->html, "</section>\n<section id=\"%s\">\n", page->id);
    mdl_page_put(page, "<h2>", "\n## ", page->title);
    mdl_page_put(page, "</h2>\n", "\n\n", "");
    page->title = NULL;
}

void mdl_page_text(mdl_page *page, const char *format, ...)
{
    char text[4096];
    MDL_FORMATTED(text, sizeof(text), format);
    mdl_page_open(page);
    mdl_page_put(page, "<p>", "", text);
    mdl_page_put(page, "</p>\n", "\n\n", "");
}

void mdl_page_list(mdl_page *page, const char *lines)
{
    mdl_page_open(page);
    mdl_page_put(page, "<ul>\n", "", "");
    while (*(lines += strspn(lines, "\n")) != '\0') {
        lines = put_part(page, "<li>", "- ", lines, '\n');
        mdl_page_put(page, "</li>\n", "\n", "");
    }
    mdl_page_put(page, "</ul>\n", "\n", "");
}

void mdl_page_code(mdl_page *page, const char *title, const char *text)
{
    mdl_page_open(page);
    if (title != NULL) {
        mdl_page_put(page, "<details><summary>", "", title);
        mdl_page_put(page, "</summary>\n", ":\n\n", "");
    }
    mdl_string_add(&page->html, "<pre><code>");
    mdl_page_html(&page->html, text);
    mdl_string_add(&page->html, "</code></pre>%s\n", title != NULL ? "</details>" : "");
    /* Indented, not fenced: no line of the text can end it. */
    for (const char *at = text; *at != '\0';) {
        size_t length = strcspn(at, "\n");
        mdl_string_add(&page->markdown, "    %.*s\n", (int)length, at);
        at += length + (at[length] == '\n');
    }
    mdl_string_add(&page->markdown, "\n");
}

void mdl_page_figures(mdl_page *page, bool begin)
{
    if (!begin && page->beside == MDL_FIGURES_BESIDE)
        mdl_page_put(page, "</div>\n", "", "");
    page->beside = begin ? MDL_FIGURES_WANTED : MDL_FIGURES_ALONE;
}

void mdl_page_figure(mdl_page *page)
{
    mdl_page_open(page);
    page->figures++;
    if (page->beside == MDL_FIGURES_WANTED) {
        mdl_page_put(page, "<div class=\"figures\">\n", "", "");
        page->beside = MDL_FIGURES_BESIDE;
    }
}

/* ---- tables --------------------------------------------------------------------------------- */

static const char *put_head(mdl_page *page, const char *head, char end)
{
    head = put_part(page, "<th scope=\"col\">", page->columns++ == 0 ? "| " : " | ", head, end);
    mdl_page_put(page, "</th>", "", "");
    return head;
}

void mdl_page_head(mdl_page *page, const char *format, ...)
{
    char head[256];
    MDL_FORMATTED(head, sizeof(head), format);
    put_head(page, head, '\0');
}

void mdl_page_table(mdl_page *page, const char *heads)
{
    mdl_page_open(page);
    mdl_page_put(page, "<div class=\"scroll\" tabindex=\"0\"><table>\n<thead><tr>", "", "");
    page->columns = 0;
    page->in_head = true;
    do
        heads = put_head(page, heads, '|');
    while (*heads != '\0');
}

static void end_row(mdl_page *page)
{
    mdl_page_put(page, page->in_head ? "</tr></thead>\n<tbody>\n" : "</tr>\n", " |\n", "");
    for (size_t c = 0; page->in_head && c < page->columns; c++)
        mdl_page_put(page, "", c == 0 ? "| --- |" : " ---: |", "");
    if (page->in_head)
        mdl_page_put(page, "", "\n", "");
    page->in_head = false;
}

void mdl_page_row(mdl_page *page, const char *id)
{
    end_row(page);
    mdl_string_add(&page->html, "<tr%s", id != NULL ? " data-row=\"" : "");
    mdl_page_html(&page->html, id != NULL ? id : "");
    mdl_string_add(&page->html, "%s>", id != NULL ? "\"" : "");
    page->in_cell = false;
}

void mdl_page_group(mdl_page *page, const char *title)
{
    mdl_page_row(page, NULL);
    mdl_string_add(&page->html, "<th class=\"group\" colspan=\"%zu\" scope=\"colgroup\">",
                   page->columns);
    mdl_page_put(page, "", "| **", title);
    mdl_page_put(page, "</th>", "**", "");
    for (size_t c = 1; c < page->columns; c++)
        mdl_page_put(page, "", " |", "");
}

/* The first cell of a row is its name. */
static void put_cell(mdl_page *page, const char *attributes, const char *text)
{
    const char *tag = page->in_cell ? "td" : "th";
    mdl_string_add(&page->html, "<%s%s%s>", tag, page->in_cell ? "" : " scope=\"row\"", attributes);
    text = put_part(page, "", page->in_cell ? " | " : "| ", text, '\n');
    if (*text != '\0') {
        mdl_page_put(page, "<br><small>", " (", text);
        mdl_page_put(page, "</small>", ")", "");
    }
    mdl_string_add(&page->html, "</%s>", tag);
    page->in_cell = true;
}

void mdl_page_cell(mdl_page *page, const char *format, ...)
{
    char text[2048];
    MDL_FORMATTED(text, sizeof(text), format);
    put_cell(page, "", text);
}

void mdl_page_fact(mdl_page *page, const char *key, const char *format, double value, double scale)
{
    char attributes[128], text[64] = "";
    snprintf(attributes, sizeof(attributes), " data-key=\"%s\" data-value=\"%.17g\"", key, value);
    if (isfinite(value))
        snprintf(text, sizeof(text), format, value * scale);
    put_cell(page, isfinite(value) ? attributes : "", text);
}

void mdl_page_table_end(mdl_page *page)
{
    end_row(page);
    mdl_page_put(page, "</tbody></table></div>\n", "\n", "");
    if (page->remark != NULL)
        mdl_page_text(page, "%s", page->remark);
    page->remark = NULL;
}
