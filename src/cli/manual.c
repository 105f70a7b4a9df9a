/* Manual pages, made from the tables of commands and keys: roff for man(7).  They have no date, so
 * that the same sources give the same bytes. */
#include <string.h>

#include "cli/commands.h"
#include "cli/engine.h"

/* Text as it is: roff takes some characters for its own, and turns others into typographic ones. */
static void put_text(const char *text, size_t length)
{
    static const char special[] = "\\-'`^~";
    static const char *const escapes[] = {"\\e", "\\-", "\\(aq", "\\(ga", "\\(ha", "\\(ti"};
    for (size_t i = 0; i < length; i++) {
        const char *found = text[i] != '\0' ? strchr(special, text[i]) : NULL;
        if (found != NULL)
            fputs(escapes[found - special], stdout);
        else
            putchar(text[i]);
    }
}

/* A line of text; a dot at its beginning would be a request. */
static void put_line(const char *text)
{
    if (text[0] == '.')
        fputs("\\&", stdout);
    put_text(text, strlen(text));
    putchar('\n');
}

static void put_bold(const char *text)
{
    fputs("\\fB", stdout);
    put_text(text, strlen(text));
    fputs("\\fR", stdout);
}

static void put_head(const char *name, int section, const char *summary)
{
    printf(".\\\" made by `mendel help --man`\n.TH ");
    put_text(name, strlen(name));
    printf(" %d \"\" \"mendel %s\" \"Mendel\"\n.nh\n.ad l\n.SH NAME\n", section,
           mdl_build_version());
    put_text(name, strlen(name));
    printf(" \\- ");
    put_line(summary);
}

static void put_item(const char *name, const char *what)
{
    printf(".TP\n");
    put_bold(name);
    putchar('\n');
    put_line(what);
}

/* Lines of a text: those that begin with a blank stand alone, an empty one ends a paragraph. */
static void put_paragraphs(const char *text)
{
    for (const char *line = text; *line != '\0';) {
        size_t length = strcspn(line, "\n"), blanks = strspn(line, " ");
        if (length == 0)
            printf(".PP\n");
        else if (blanks > 0)
            printf(".br\n");
        if (length > 0) {
            printf("%s", line[blanks] == '.' ? "\\&" : "");
            put_text(line + blanks, length - blanks);
            putchar('\n');
        }
        line += length + (line[length] == '\n');
    }
}

static void put_examples(const char *lines)
{
    printf(".SH EXAMPLES\n.nf\n");
    put_text(lines, strlen(lines));
    printf(".fi\n");
}

static void put_exit_codes(void)
{
    char code[16];
    printf(".SH EXIT STATUS\n");
#define X(name, value, text)                                                                       \
    snprintf(code, sizeof(code), "%d", value);                                                     \
    put_item(code, text);
    CLI_EXIT_LIST(X)
#undef X
}

static void put_option(char letter, const char *name, const char *value, const char *help)
{
    char text[3] = {'-', letter, '\0'};
    printf(".TP\n");
    if (letter != 0) {
        put_bold(text);
        printf(", ");
    }
    put_bold(name);
    if (value != NULL) {
        printf(" \\fI");
        put_text(value, strlen(value));
        printf("\\fR");
    }
    putchar('\n');
    put_line(help);
}

static void put_command(const cli_command *command)
{
    char name[32];
    cli_row row;
    snprintf(name, sizeof(name), "mendel-%s", command->name);
    put_head(name, 1, command->summary);
    printf(".SH SYNOPSIS\n");
    name[strlen("mendel")] = ' ';
    put_bold(name);
    putchar(' ');
    put_line(command->usage);
    printf(".SH DESCRIPTION\n");
    put_paragraphs(command->text);
    for (size_t i = 0; command->row != NULL && command->row(i, &row); i++) {
        char marked[64];
        snprintf(marked, sizeof(marked), "%c %s", row.mark, row.name);
        put_item(row.mark == ' ' ? row.name : marked, row.what);
    }
    printf(".SH OPTIONS\n");
    for (size_t i = 0; i < command->n_options; i++)
        put_option(command->options[i].letter, command->options[i].name, command->options[i].value,
                   command->options[i].help);
    put_option('h', "--help", NULL, "this text");
    put_examples(command->examples);
    put_exit_codes();
    printf(".SH SEE ALSO\n.BR mendel (1),\n.BR mendel\\-keys (5)\n");
}

static void put_program(void)
{
    put_head("mendel", 1, CLI_SUMMARY);
    printf(".SH SYNOPSIS\n\\fBmendel\\fR \\fICOMMAND\\fR [\\fIarguments\\fR]\n.SH COMMANDS\n");
    for (size_t i = 0; i < cli_command_count; i++) {
        printf(".TP\n.BR mendel\\-%s (1)\n", cli_commands[i]->name);
        put_line(cli_commands[i]->summary);
    }
    printf(".SH OPTIONS\n");
    put_option('V', "--version", NULL, "print the version");
    put_option('h', "--help", NULL, "list the commands");
    put_examples(cli_first_steps);
    put_exit_codes();
    printf(".SH SEE ALSO\n.BR mendel\\-keys (5)\n");
}

static mdl_status put_keys(void)
{
    mdl_config config = mdl_config_default();
    char section[32] = "", *value;
    const char *name, *what;
    put_head("mendel-keys", 5, "keys of mendel's configurations");
    printf(".SH DESCRIPTION\n");
    put_line("A configuration is a YAML file of sections with keys.  Each key can be set on the "
             "command line, too: --set train.epochs=5.");
    for (size_t i = 0; i < mdl_key_count(); i++) {
        mdl_key key = mdl_key_at(i);
        size_t length = strcspn(key.name, ".");
        if (strncmp(section, key.name, length + 1) != 0) {
            snprintf(section, sizeof(section), "%.*s.", (int)length, key.name);
            printf(".SH %.*s\n", (int)length, key.name);
        }
        put_item(key.name, key.help);
        MDL_TRY(mdl_key_value(&config, i, &value));
        printf(".br\nType: ");
        put_line(key.type);
        printf(".br\nDefault: ");
        put_line(value);
        mdl_free(value);
        printf(".RS\n");
        for (size_t row = 0; mdl_key_row(i, row, &name, &what); row++)
            put_item(name, what);
        printf(".RE\n");
    }
    printf(".SH SEE ALSO\n.BR mendel (1)\n");
    return MDL_OK;
}

mdl_status cli_print_manual(const char *page)
{
    const char *name = strncmp(page, "mendel-", 7) == 0 ? page + 7 : page;
    if (strcmp(name, "mendel") == 0) {
        put_program();
        return MDL_OK;
    }
    if (strcmp(name, "keys") == 0)
        return put_keys();
    for (size_t i = 0; i < cli_command_count; i++)
        if (strcmp(cli_commands[i]->name, name) == 0) {
            put_command(cli_commands[i]);
            return MDL_OK;
        }
    return mdl_fail(
        MDL_CONFIG,
        "there is no manual page %.100s; there are mendel, keys, and one of each command", page);
}
