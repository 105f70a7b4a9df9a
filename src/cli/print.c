/* Text for a terminal: names of files and classes are bytes from outside, which could hold commands
 * for it; they are shown escaped (mdl_text_escape). */
#include <stdarg.h>
#include <string.h>

#include "cli/cli.h"

/* Without memory for the escaped text nothing of it is shown but that. */
static void print_escaped(FILE *out, const char *text)
{
    char *shown;
    if (mdl_text_escaped(text, MDL_TEXT_VISIBLE, &shown) != MDL_OK) {
        fprintf(out, "(out of memory)");
        return;
    }
    fputs(shown, out);
    mdl_free(shown);
}

void cli_vprint(FILE *out, const char *format, va_list args)
{
    va_list again;
    char *text;
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, format, again);
    va_end(again);
    if (length < 0 || mdl_alloc((size_t)length + 1, 1, "text", (void **)&text) != MDL_OK) {
        fprintf(out, "(out of memory)\n");
        return;
    }
    vsnprintf(text, (size_t)length + 1, format, args);
    for (char *at = text; *at != '\0';) {
        size_t line = strcspn(at, "\n");
        bool ends = at[line] == '\n';
        at[line] = '\0';
        print_escaped(out, at);
        if (ends)
            fputc('\n', out);
        at += line + ends;
    }
    mdl_free(text);
}

void cli_print(FILE *out, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    cli_vprint(out, format, args);
    va_end(args);
}

void cli_note(const char *format, ...)
{
    va_list args;
    fputs("note: ", stderr);
    va_start(args, format);
    cli_vprint(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
}

void cli_print_message(const char *before, const char *text)
{
    fputs(before, stderr);
    print_escaped(stderr, text);
    fputc('\n', stderr);
}
