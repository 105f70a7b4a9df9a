/* The program: commands, their options, what they print and how they exit.  The only place that
 * prints results or exits; all work is done by the library. */
#ifndef MENDEL_CLI_H
#define MENDEL_CLI_H

#include <stdarg.h>

#include <mendel/mendel.h>

#include "base/base.h"

/* ---- exit codes ----------------------------------------------------------------------------- */

#define CLI_EXIT_LIST(X)                                                                           \
    X(OK, 0, "success")                                                                            \
    X(FAILURE, 1, "failure not named below (a device, for instance)")                              \
    X(USAGE, 2, "wrong usage or configuration")                                                    \
    X(DATA, 3, "data or a file: missing, malformed, unwritable, wrong checksum")                   \
    X(NUMERIC, 4, "a loss or gradient that is not a finite number")                                \
    X(MEMORY, 5, "does not fit the memory, or the memory limit")                                   \
    X(INTERRUPTED, 130, "interrupted (Ctrl-C); what was done is saved")

enum cli_exit {
#define X(name, value, text) CLI_EXIT_##name = value,
    CLI_EXIT_LIST(X)
#undef X
};
int cli_exit_code(mdl_status status);

/* ---- the process ---------------------------------------------------------------------------- */

/* The context of all that the program does: a signal stops it, its log goes to the view. */
mdl_context *cli_context(void);
/* Descriptors and signals, before anything else: the first signal that asks for an end is answered
 * on the standard error and makes mdl_stop_requested true. */
mdl_status cli_prepare_process(void);
/* Answer signals without a word. */
void cli_say_nothing(void);
/* What was printed goes out; fails where some of it could not be written. */
mdl_status cli_flush(void);
/* Whether that is so because the reader of a pipe has gone, which is no failure of ours. */
bool cli_nobody_reads(void);

/* ---- commands and options ------------------------------------------------------------------- */

typedef struct cli_option {
    const char *name;  /* "--config" */
    char letter;       /* 'o' for -o; 0: none */
    const char *value; /* FILE, DIR, SPEC, KEY=VALUE, BACKEND, METHOD, choices as "a|b", or a word
                          for something else; NULL: a flag */
    const char *help;
} cli_option;

enum { CLI_MAX_ITEMS = 512 };
typedef struct cli_args { /* a parsed command line; texts are borrowed from argv */
    struct {
        const char *name, *value; /* as in cli_option; value "" for flags */
    } items[CLI_MAX_ITEMS];
    size_t n_items;
    const char *positional[CLI_MAX_ITEMS];
    size_t n_positional;
} cli_args;

typedef struct cli_row { /* of the list that stands behind a command's text */
    char mark;           /* which the text explains, or ' ' */
    const char *name, *what;
} cli_row;

typedef enum cli_ranks { /* what a command does where a launcher has started several processes */
                         CLI_RANKS_NONE,    /* it is refused: all would do the same */
                         CLI_RANKS_EACH,    /* each tells of itself, and writes nothing */
                         CLI_RANKS_TOGETHER /* they join (cli_join) */
} cli_ranks;

typedef struct cli_command {
    const char *name;
    const char *summary;                 /* one line */
    const char *usage;                   /* behind "mendel NAME " */
    const char *text;                    /* what it does, lines */
    bool (*row)(size_t i, cli_row *row); /* of the list; false: there is none.  NULL: no list */
    const char *words;                   /* what may stand first, "fetch|info"; NULL: files */
    const char *examples;                /* lines */
    const cli_option *options;
    size_t n_options;
    bool takes_configuration; /* as an argument, without --config */
    cli_ranks ranks;
    const char *ranks_option; /* with which alone they join; NULL: always */
    mdl_status (*run)(const cli_args *args);
} cli_command;
extern const cli_command *const cli_commands[];
extern const size_t cli_command_count;
/* The command of this name, or (which is said) of this former name; NULL: there is none. */
const cli_command *cli_find_command(const char *name);
/* Our command for another program's ("evaluate": eval); NULL: none is known. */
const char *cli_command_hint(const char *word);
/* What to write in place of an option that the command does not have, "; write --set
 * train.epochs=10"; false where nothing is known. */
bool cli_option_hint(const cli_command *command, const char *name, const char *value, char *text,
                     size_t size);
/* ---- ranks ---------------------------------------------------------------------------------- */

/* Where a launcher (mpirun, srun) has started several processes, join the others, for work that is
 * done together: ranks other than the first print nothing from then on. */
mdl_status cli_join(const mdl_config *config) MDL_MUST_CHECK;
bool cli_is_silent(void); /* a rank other than the first */
/* Whether this process says what went wrong: of what all ranks know the first speaks. */
bool cli_tells(mdl_status status);
/* Leave the others at the end of the process.  Where it failed alone, all are ended with `code`. */
void cli_leave(mdl_status status, int code);
/* Fail where a launcher has started several processes of a command that is one's work. */
mdl_status cli_check_ranks(const cli_command *command, const cli_args *args) MDL_MUST_CHECK;

/* ---- words ---------------------------------------------------------------------------------- */

/* What a word of an earlier version is called now, which is said; `in` is the command whose option,
 * or the option whose value it is, "" for a command itself.  NULL: it was no such word. */
const char *cli_new_word(const char *in, const char *former);
/* The command that runs, for cli_own_words. */
void cli_speak_for(const cli_command *command);
/* What the library says, with the command's options in place of what its callers give (`resume`,
 * `run.backend=cpu`), and commands in place of its functions (`keys`).  *out is the caller's
 * (mdl_free). */
mdl_status cli_own_words(const char *text, char **out) MDL_MUST_CHECK;

/* ", digits, cifar10:DIR, ...": what --data takes; the first comma is skipped. */
extern const char cli_source_specs[];
/* The sources of images, those that can be downloaded marked with *. */
bool cli_source_row(size_t i, cli_row *row);

/* Options that several commands have. */
#define CLI_CONFIG_OPTIONS                                                                         \
    {"--config", 'c', "FILE", "read the configuration (YAML)"},                                    \
        {"--set", 's', "KEY=VALUE", "set one key, any number of times; `mendel help keys`"},       \
        {"--data", 'd', "SPEC", cli_source_specs + 2}, CLI_DEVICE_OPTIONS
#define CLI_DEVICE_OPTIONS                                                                         \
    {"--backend", 'b', "BACKEND", "cpu, opencl or reference; `mendel devices` lists them"},        \
    {                                                                                              \
        "--threads", 't', "N", "threads (default: all processors)"                                 \
    }
#define CLI_SEED_OPTION                                                                            \
    {                                                                                              \
        "--seed", 0, "S", "seed of all random numbers"                                             \
    }
#define CLI_JSON_OPTION                                                                            \
    {                                                                                              \
        "--json", 0, NULL, "print the result as JSON; progress goes to stderr"                     \
    }
#define CLI_RUN_OPTIONS                                                                            \
    {"--out", 'o', "DIR", "folder of the run (default: a new one, runs/<configuration's name>)"},  \
        {"--resume", 0, NULL, "go on where it stopped; starts anew where nothing is saved"},       \
    {                                                                                              \
        "--overwrite", 0, NULL, "replace the run in the folder: all that it wrote, nothing else"   \
    }

/* Parse argv[0 .. argc) of a command.  "--name=value" and "--name value" are alike; "--" ends the
 * options.  Fails with MDL_CONFIG. */
mdl_status cli_parse(const cli_command *command, int argc, char **argv, cli_args *out);
/* The last value of an option; NULL where it was not given. */
const char *cli_value(const cli_args *args, const char *name);
bool cli_flag(const cli_args *args, const char *name);
/* As if `--config path` stood at the end of the command line, once; `path` is borrowed. */
void cli_use_config(cli_args *args, const char *path);
/* A whole number of an option, or `otherwise`; refuses what is less than `least`. */
mdl_status cli_number(const cli_args *args, const char *name, size_t least, size_t otherwise,
                      size_t *out);
/* Fail unless there are at least `least` and at most `most` positional arguments. */
mdl_status cli_expect(const cli_args *args, size_t least, size_t most, const char *what);

/* ---- configuration -------------------------------------------------------------------------- */

/* Options that stand for a key. */
typedef struct cli_shortcut {
    const char *option, *key;
} cli_shortcut;
extern const cli_shortcut cli_shortcuts[];
extern const size_t cli_shortcut_count;
/* What the command line says: --config, --set, --data and the other options that stand for a key.
 * *config is the caller's (mdl_config_destroy). */
mdl_status cli_config(const cli_args *args, mdl_config **config);
/* What --backend takes for the first GPU that can be used; false: there is none. */
bool cli_find_gpu(char *text, size_t size);

/* ---- output --------------------------------------------------------------------------------- */

/* printf of text that has names in it: they cannot send a terminal commands, since all that is not
 * plain text is shown as \xHH, but for the ends of lines. */
void cli_print(FILE *out, const char *format, ...) MDL_PRINTF(2, 3);
void cli_vprint(FILE *out, const char *format, va_list args);
/* Help, at most 80 columns wide: one text behind `column` characters that stand on its line, which
 * continues behind `indent` blanks; paragraphs, of which lines that begin with a blank are no part;
 * command lines, which are continued with a backslash. */
void cli_print_wrapped(const char *text, size_t column, size_t indent);
void cli_print_paragraphs(const char *text);
void cli_print_commands(const char *lines);
/* The same on standard error, as a line of its own behind "note: ". */
void cli_note(const char *format, ...) MDL_PRINTF(1, 2);
/* A line on standard error: what the library says, in own words, escaped with the ends of lines in
 * it. */
void cli_print_message(const char *before, const char *text);

/* What is seen while something runs: a bar that is redrawn on a terminal, plain lines elsewhere. */
typedef struct cli_view {
    FILE *out;
    bool terminal; /* redraw; else lines */
    bool colour;
    bool unread;        /* it was said that the standard output cannot be written to */
    size_t drawn;       /* characters of the bar that stand on the line now */
    double last;        /* mdl_time of the last bar or line of progress */
    size_t step, steps; /* of an experiment; 0: what runs is none */
    double left;        /* seconds of all its steps, about; negative: not known */
} cli_view;
void cli_view_open(cli_view *view, bool json);
/* Characters of a line: of the terminal as it is now, of COLUMNS where it does not say, else 80. */
size_t cli_view_columns(const cli_view *view); /* json: everything to stderr */
void cli_view_line(cli_view *view, const char *format, ...) MDL_PRINTF(2, 3);
void cli_view_heading(cli_view *view, const char *format, ...) MDL_PRINTF(2, 3);
void cli_view_close(cli_view *view); /* removes the bar */
/* Callbacks of the library with a cli_view as user. */
int cli_train_step(void *view, const mdl_train_step *step);
int cli_train_epoch(void *view, const mdl_train_epoch *epoch);
int cli_evolve_step(void *view, const mdl_evolve_step *step);
int cli_evaluate_progress(void *view, const char *what, size_t done, size_t total);
int cli_fetch_progress(void *view, uint64_t done, uint64_t total);
int cli_experiment_progress(void *view, const mdl_experiment_progress *progress);
/* Something else's bar, where it is time to show it: `part` (0 to 1) is done. */
void cli_progress(cli_view *view, const char *front, double part, const char *back);
/* "18.3 MiB" */
const char *cli_bytes(double bytes, char *text, size_t size);
/* The current bar's view, so that a log line does not run into it. */
void cli_install_log(cli_view *view);

/* ---- where results go ----------------------------------------------------------------------- */

/* runs/<name of the configuration's file>, else runs/<otherwise>: a folder without its number. */
mdl_status cli_default_folder(const cli_args *args, const char *otherwise, char *out, size_t size);
#define CLI_REPLACE_OPTION                                                                         \
    {                                                                                              \
        "--overwrite", 0, NULL, "write the file even where it is one of a run that has ended"      \
    }

/* Print JSON on a line (or indented) and give it back; NULL is an error. */
struct json_t;
mdl_status cli_print_json(struct json_t *json, bool indent);

/* ---- results of the library ------------------------------------------------------------------ */

/* Read a result, to tell of it and to open its files: its texts become the bytes that their escapes
 * (mdl_text_escape) stand for, which are UTF-8 or not.  Free *result with json_decref. */
mdl_status cli_read(const char *text, struct json_t **result) MDL_MUST_CHECK;
/* A member of a JSON object; 0 or "" where there is none.  For a real: mdl_json_real. */
size_t cli_count_of(const struct json_t *object, const char *key);
const char *cli_text_of(const struct json_t *object, const char *key);

/* A name as it may be shown, which is at most `size` bytes.  Returns `out`. */
const char *cli_shown(const char *text, char *out, size_t size);

/* Print a result (taken; NULL: there is none) as it is with --json, else have it told. */
typedef void (*cli_tell)(void *user, const struct json_t *result);
mdl_status cli_give_result(char *text, const cli_args *args, cli_tell tell, void *user);
/* "45.20 % of the 1440 images of the validation split", or what to type to measure it. */
void cli_quality_text(const struct json_t *result, const char *checkpoint, const cli_args *args,
                      char *text, size_t size);
/* "FILE is written: 45.20 % of the ..." */
void cli_print_written(const struct json_t *result, const cli_args *args);

#endif
