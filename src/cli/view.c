/* What is seen while something runs.  On a terminal one line is redrawn at most ten times a second
 * and fits it; elsewhere a plain line now and then.  Colour only on a terminal, and not with
 * NO_COLOR (no-color.org). */
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <jansson.h>

#include "cli/cli.h"

enum { LINE = 240, BAR_MIN = 6, BAR_MAX = 40, MAX_PARTS = 6 };
static const double redraw_seconds = 0.1, line_seconds = 20;

size_t cli_view_columns(const cli_view *view)
{
    struct winsize size;
    if (ioctl(fileno(view->out), TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        return mdl_min_size(size.ws_col, LINE);
    const char *text = getenv("COLUMNS");
    long value = text != NULL ? strtol(text, NULL, 10) : 0;
    return value >= 1 && value < LINE ? (size_t)value : 80;
}

/* Where a rank other than the first prints. */
static FILE *nowhere(void)
{
    static FILE *file;
    if (file == NULL)
        file = fopen("/dev/null", "we");
    return file != NULL ? file : stderr;
}

void cli_view_open(cli_view *view, bool json)
{
    const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
    *view = (cli_view){.out = json ? stderr : stdout, .last = -line_seconds};
    if (cli_is_silent())
        view->out = nowhere();
    view->terminal = isatty(fileno(view->out)) != 0 && term != NULL && strcmp(term, "dumb") != 0;
    view->colour = view->terminal && (no_color == NULL || no_color[0] == '\0');
    view->last = mdl_time();
}

/* Work whose results are files goes on without a reader, which is said once.  What cannot be
 * written for another reason is the command's failure, which is told at its end. */
static void flush(cli_view *view)
{
    if (fflush(view->out) == 0 || view->out == stderr || view->unread || errno != EPIPE)
        return;
    view->unread = true;
    fprintf(stderr,
            "warning: the standard output cannot be written to any more; the work goes on\n");
}

static void clear(cli_view *view)
{
    if (view->drawn > 0) /* a terminal that became narrower has wrapped it already */
        fprintf(view->out, "\r%*s\r", (int)mdl_min_size(view->drawn, cli_view_columns(view) - 1),
                "");
    view->drawn = 0;
}

void cli_view_line(cli_view *view, const char *format, ...)
{
    va_list args;
    clear(view);
    va_start(args, format);
    cli_vprint(view->out, format, args);
    va_end(args);
    fprintf(view->out, "\n");
    flush(view);
    view->last = mdl_time();
}

void cli_view_heading(cli_view *view, const char *format, ...)
{
    char text[2 * MDL_PATH_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    clear(view);
    fprintf(view->out, "%s", view->colour ? "\033[1m" : "");
    cli_print(view->out, "%s", text);
    fprintf(view->out, "%s", view->colour ? "\033[0m" : "");
    cli_view_line(view, "%s", "");
}

void cli_view_close(cli_view *view)
{
    clear(view);
    flush(view);
}

/* Whether it is time to show progress; `done` always is on a terminal. */
static bool due(cli_view *view)
{
    return mdl_time() - view->last >= (view->terminal ? redraw_seconds : line_seconds);
}

/* Two spaces and the next part, for each. */
static void join(const char *const *parts, size_t n, char *text, size_t size)
{
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < n && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%s", i > 0 ? "  " : "", parts[i]);
}

/* A line of at most `most` characters: first the last parts are left out, then the bar. */
static size_t compose(const char *front, double part, const char *const *parts, size_t n,
                      size_t most, char line[LINE + 1])
{
    char bar[BAR_MAX + 1], back[LINE - 80];
    size_t bars = strlen(front) + 4, room = 0;
    for (;; n--) {
        join(parts, n, back, sizeof(back));
        if (bars + strlen(back) + BAR_MIN <= most || n <= 1)
            break;
    }
    if (bars + strlen(back) + BAR_MIN <= most)
        room = mdl_min_size(most - bars - strlen(back), BAR_MAX);
    size_t full = (size_t)(fmin(fmax(part, 0), 1) * (double)room);
    memset(bar, '.', room);
    memset(bar, '#', full);
    bar[room] = '\0';
    if (room > 0)
        snprintf(line, LINE + 1, "%s [%s] %s", front, bar, back);
    else
        snprintf(line, LINE + 1, "%s  %s", front, back);
    if (strlen(line) > most) /* there is no room for any part */
        snprintf(line, most + 1, "%s", front);
    return strlen(line);
}

/* "<front> [####....] <part>  <part>...", as wide as the terminal; without a bar elsewhere.  What
 * is less important comes later: where there is little room it is left out. */
static void draw(cli_view *view, const char *front, double part, const char *const *parts, size_t n)
{
    char line[LINE + 1];
    view->last = mdl_time();
    if (!view->terminal) {
        join(parts, n, line, sizeof(line));
        fprintf(view->out, "%s  %3.0f %%  %s\n", front, 100 * part, line);
        flush(view);
        return;
    }
    size_t most = cli_view_columns(view) - 1, shown = compose(front, part, parts, n, most, line);
    size_t before = mdl_min_size(view->drawn, most);
    fprintf(view->out, "\r%s%*s", line, (int)(before > shown ? before - shown : 0), "");
    view->drawn = shown;
    flush(view);
}

const char *cli_bytes(double bytes, char *text, size_t size)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    size_t unit = 0;
    for (; bytes >= 1024 && unit + 1 < MDL_COUNT(units); unit++)
        bytes /= 1024;
    snprintf(text, size, "%.*f %s", unit == 0 ? 0 : 1, bytes, units[unit]);
    return text;
}

/* ---- training ------------------------------------------------------------------------------- */

/* "2 m 31 s left", of all steps where it is an experiment's and that is known. */
static void time_left(const cli_view *view, double here, char *text, size_t size)
{
    char left[32];
    double all = view->steps > 0 ? view->left : -1;
    snprintf(text, size, "%s left%s", mdl_duration(all >= 0 ? all : here, left),
             view->steps == 0 ? ""
             : all >= 0       ? " in all"
                              : " of this step");
}

/* "step 3/14, ", of an experiment. */
static void step_front(const cli_view *view, char *text, size_t size)
{
    text[0] = '\0';
    if (view->steps > 0)
        snprintf(text, size, "step %zu/%zu, ", view->step, view->steps);
}

int cli_train_step(void *user, const mdl_train_step *s)
{
    cli_view *view = user;
    char front[96], fields[4][64];
    const char *parts[] = {fields[0], fields[1], fields[2], fields[3]};
    double part = (double)s->batch / (double)s->batches;
    if (!due(view))
        return 0;
    step_front(view, front, sizeof(front));
    snprintf(front + strlen(front), sizeof(front) - strlen(front), "epoch %llu/%llu",
             (unsigned long long)s->epoch, (unsigned long long)s->epochs);
    time_left(view, s->seconds_left, fields[0], sizeof(fields[0]));
    snprintf(fields[1], sizeof(fields[1]), "loss %.3f", s->loss);
    snprintf(fields[2], sizeof(fields[2]), "%4.1f %%", 100 * s->top1);
    snprintf(fields[3], sizeof(fields[3]), "%.0f img/s", s->images_per_second);
    draw(view, front, part, parts, MDL_COUNT(parts));
    return 0;
}

int cli_train_epoch(void *user, const mdl_train_epoch *m)
{
    char validation[64] = "", time[32];
    if (!isnan(m->validation_top1))
        snprintf(validation, sizeof(validation), "  validation: loss %.4f  top-1 %5.2f %%",
                 m->validation_loss, 100 * m->validation_top1);
    cli_view_line(user, "epoch %3llu  loss %.4f  top-1 %5.2f %%%s  lr %.2e  %.0f images/s  %s",
                  (unsigned long long)m->epoch, m->train_loss, 100 * m->train_top1, validation,
                  m->lr, m->images_per_second, mdl_duration(m->seconds, time));
    return 0;
}

/* ---- merging, downloading, the log ---------------------------------------------------------- */

int cli_evolve_step(void *user, const mdl_evolve_step *p)
{
    cli_view *view = user;
    char front[96], fields[MAX_PARTS][64];
    const char *parts[MAX_PARTS];
    if (!due(view) && p->evaluations < p->total)
        return 0;
    for (size_t i = 0; i < MAX_PARTS; i++)
        parts[i] = fields[i];
    step_front(view, front, sizeof(front));
    snprintf(front + strlen(front), sizeof(front) - strlen(front), "child %llu/%llu",
             (unsigned long long)p->evaluations, (unsigned long long)p->total);
    snprintf(fields[0], sizeof(fields[0]), "best %.2f %%", 100 * p->best_top1);
    time_left(view, p->seconds_left, fields[1], sizeof(fields[1]));
    snprintf(fields[2], sizeof(fields[2]), "archive %llu, mean %.2f %%",
             (unsigned long long)p->members, 100 * p->mean_top1);
    snprintf(fields[3], sizeof(fields[3]), "niches %.1f %%", 100 * p->niches);
    snprintf(fields[4], sizeof(fields[4]), "%.4g/s", p->per_second);
    snprintf(fields[5], sizeof(fields[5]), "%llu cut short", (unsigned long long)p->abandoned);
    draw(view, front, p->total > 0 ? (double)p->evaluations / (double)p->total : 1, parts,
         MAX_PARTS);
    if (p->evaluations >= p->total)
        cli_view_close(view);
    return 0;
}

int cli_fetch_progress(void *user, uint64_t done, uint64_t total)
{
    cli_view *view = user;
    char so_far[32], all[32], back[80];
    const char *parts[] = {back};
    if (!due(view))
        return 0;
    cli_bytes((double)done, so_far, sizeof(so_far));
    if (total > 0)
        snprintf(back, sizeof(back), "%s of %s", so_far,
                 cli_bytes((double)total, all, sizeof(all)));
    else
        snprintf(back, sizeof(back), "%s", so_far);
    draw(view, "download", total > 0 ? (double)done / (double)total : 0, parts, 1);
    return 0;
}

void cli_progress(cli_view *view, const char *front, double part, const char *back)
{
    if (due(view))
        draw(view, front, part, &back, 1);
}

int cli_evaluate_progress(void *user, const char *what, size_t done, size_t total)
{
    char front[64];
    snprintf(front, sizeof(front), "run %zu/%zu", done + 1, total);
    cli_progress(user, front, (double)done / (double)total, what);
    return 0;
}

int cli_experiment_progress(void *user, const mdl_experiment_progress *is)
{
    cli_view *view = user;
    view->step = is->step;
    view->steps = is->steps;
    view->left = is->seconds_left;
    if (is->train != NULL)
        return cli_train_step(view, is->train);
    if (is->search != NULL)
        return cli_evolve_step(view, is->search);
    return cli_evaluate_progress(view, is->what, is->done, is->total);
}

static void log_line(void *user, mdl_log_level level, const char *text)
{
    char *own = NULL;
    if (level == MDL_LOG_INFO)
        cli_view_line(user, "%s", cli_own_words(text, &own) == MDL_OK ? own : text);
    mdl_free(own);
    if (level != MDL_LOG_WARN)
        return;
    clear(user);
    cli_print_message("warning: ", text);
}

void cli_install_log(cli_view *view)
{
    mdl_context_set_log(cli_context(), view != NULL ? log_line : NULL, view);
}

mdl_status cli_print_json(json_t *json, bool indent)
{
    char *text;
    mdl_status status = mdl_json_text(json, indent ? JSON_INDENT(2) : JSON_COMPACT, &text);
    json_decref(json);
    MDL_TRY(status);
    (void)puts(text); /* a failure stays with the stream */
    mdl_free(text);
    return cli_flush();
}
