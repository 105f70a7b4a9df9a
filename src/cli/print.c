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
    char *own = NULL;
    const char *told = cli_own_words(text, &own) == MDL_OK ? own : text;
    fputs(before, stderr);
    print_escaped(stderr, told);
    mdl_free(own);
    fputc('\n', stderr);
}

enum { HELP_COLUMNS = 80 };

/* The words of a line, behind `column` characters that stand on it already and `lead` blanks;
 * longer ones continue behind `indent` blanks.  Returns the column behind the last word. */
static size_t print_words(const char *text, size_t size, size_t column, size_t lead, size_t indent)
{
    for (size_t at = 0; at < size;) {
        size_t blanks = strspn(text + at, " ") + (at == 0 ? lead : 0);
        at += strspn(text + at, " ");
        size_t word = strcspn(text + at, " \n");
        if (at >= size)
            break;
        if (column + blanks + word > HELP_COLUMNS && column > indent) {
            printf("\n%*s", (int)indent, "");
            column = indent;
            blanks = 0;
        }
        printf("%*s%.*s", (int)blanks, "", (int)word, text + at);
        column += blanks + word;
        at += word;
    }
    return column;
}

void cli_print_wrapped(const char *text, size_t column, size_t indent)
{
    (void)print_words(text, strlen(text), column, 0, indent);
    printf("\n");
}

void cli_print_paragraphs(const char *text)
{
    size_t column = 0;
    for (const char *line = text; *line != '\0';) {
        size_t length = strcspn(line, "\n");
        bool own = length == 0 || line[0] == ' '; /* a list's, or the end of a paragraph */
        size_t lead = column > 0 && !own ? 1 + (line[-2] == '.') : 0;
        if (column > 0 && own)
            printf("\n");
        column = print_words(line, length, own ? 0 : column, lead, own ? 4 : 0);
        if (own)
            printf("\n");
        column = own ? 0 : column;
        line += length + (line[length] == '\n');
    }
    if (column > 0)
        printf("\n");
}

void cli_print_commands(const char *lines)
{
    for (const char *line = lines; *line != '\0';) {
        size_t length = strcspn(line, "\n"), begin = 0, indent = 0;
        while (length - begin + indent > HELP_COLUMNS) {
            size_t cut = HELP_COLUMNS - 2 - indent; /* room for the backslash */
            while (cut > 0 && line[begin + cut] != ' ')
                cut--;
            if (cut == 0)
                break;         /* one word is as wide as that */
            size_t word = cut; /* an option stays with its value */
            while (word > 0 && line[begin + word - 1] != ' ')
                word--;
            if (word > 0 && line[begin + word] == '-')
                cut = word - 1;
            printf("%*s%.*s \\\n", (int)indent, "", (int)cut, line + begin);
            begin += cut + 1;
            indent = 6;
        }
        printf("%*s%.*s\n", (int)indent, "", (int)(length - begin), line + begin);
        line += length + (line[length] == '\n');
    }
}
