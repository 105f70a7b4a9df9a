/* What is seen while something runs.  On a terminal one line is redrawn at most ten times a second;
 * elsewhere a plain line now and then.  Colour only on a terminal, and not with NO_COLOR
 * (no-color.org). */
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "cli/cli.h"

enum { LINE = 160, BAR_MIN = 6, BAR_MAX = 40 };
static const double redraw_seconds = 0.1, line_seconds = 20;

static size_t columns(void)
{
    const char *text = getenv("COLUMNS");
    long value = text != NULL ? strtol(text, NULL, 10) : 0;
    return value >= 40 && value < LINE ? (size_t)value : 80;
}

void cli_view_open(cli_view *view, bool json)
{
    const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
    *view = (cli_view){.out = json ? stderr : stdout, .last = -line_seconds};
    view->terminal = isatty(fileno(view->out)) != 0 && term != NULL && strcmp(term, "dumb") != 0;
    view->colour = view->terminal && (no_color == NULL || no_color[0] == '\0');
    view->last = mdl_time();
}

static void clear(cli_view *view)
{
    if (view->drawn > 0)
        fprintf(view->out, "\r%*s\r", (int)view->drawn, "");
    view->drawn = 0;
}

void cli_view_line(cli_view *view, const char *format, ...)
{
    va_list args;
    clear(view);
    va_start(args, format);
    vfprintf(view->out, format, args);
    va_end(args);
    fprintf(view->out, "\n");
    fflush(view->out);
    view->last = mdl_time();
}

void cli_view_heading(cli_view *view, const char *format, ...)
{
    char text[600];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    cli_view_line(view, "%s%s%s", view->colour ? "\033[1m" : "", text,
                  view->colour ? "\033[0m" : "");
}

void cli_view_close(cli_view *view)
{
    clear(view);
    fflush(view->out);
}

/* Whether it is time to show progress; `done` always is on a terminal. */
static bool due(cli_view *view)
{
    return mdl_time() - view->last >= (view->terminal ? redraw_seconds : line_seconds);
}

/* "<front> [=====>    ] <back>", as wide as the terminal; without a bar elsewhere. */
static void draw(cli_view *view, const char *front, double part, const char *back)
{
    char bar[BAR_MAX + 1], line[LINE + 1];
    view->last = mdl_time();
    if (!view->terminal) {
        fprintf(view->out, "%s  %3.0f %%  %s\n", front, 100 * part, back);
        fflush(view->out);
        return;
    }
    size_t others = strlen(front) + strlen(back) + 6, width = columns();
    size_t room = width > others + BAR_MIN ? width - others : BAR_MIN;
    room = mdl_min_size(room, BAR_MAX);
    size_t full = (size_t)(fmin(fmax(part, 0), 1) * (double)room);
    memset(bar, '.', room);
    memset(bar, '#', full);
    bar[room] = '\0';
    int length = snprintf(line, mdl_min_size(width, sizeof(line)), "%s [%s] %s", front, bar, back);
    size_t shown = mdl_min_size((size_t)(length > 0 ? length : 0), width - 1);
    fprintf(view->out, "\r%s", line);
    if (view->drawn > shown)
        fprintf(view->out, "%*s", (int)(view->drawn - shown), "");
    view->drawn = mdl_max_size(shown, view->drawn);
    fflush(view->out);
}

const char *cli_duration(double seconds, char *text, size_t size)
{
    unsigned long s = seconds > 0 && seconds < 1e9 ? (unsigned long)(seconds + 0.5) : 0;
    if (s >= 3600)
        snprintf(text, size, "%lu:%02lu:%02lu", s / 3600, s / 60 % 60, s % 60);
    else
        snprintf(text, size, "%lu:%02lu", s / 60, s % 60);
    return text;
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

/* ---- training ----------------------------------------------------------------------------------
 */

static void train_step(void *user, uint64_t epoch, uint64_t epochs, uint64_t batch,
                       uint64_t batches, double loss, double top1, double images_per_second,
                       double seconds_left)
{
    cli_view *view = user;
    char front[64], back[128], left[32];
    if (!due(view))
        return;
    snprintf(front, sizeof(front), "epoch %llu/%llu", (unsigned long long)epoch,
             (unsigned long long)epochs);
    snprintf(back, sizeof(back), "loss %.3f  %4.1f %%  %.0f img/s  %s left", loss, 100 * top1,
             images_per_second, cli_duration(seconds_left, left, sizeof(left)));
    draw(view, front, (double)batch / (double)batches, back);
}

static void train_epoch(void *user, const mdl_epoch_metrics *m)
{
    char held_out[64] = "", time[32];
    if (!isnan(m->fitness_top1))
        snprintf(held_out, sizeof(held_out), "  held out: loss %.4f  top-1 %5.2f %%",
                 m->fitness_loss, 100 * m->fitness_top1);
    cli_view_line(user, "epoch %3llu  loss %.4f  top-1 %5.2f %%%s  lr %.2e  %.0f images/s  %s",
                  (unsigned long long)m->epoch, m->train_loss, 100 * m->train_top1, held_out, m->lr,
                  m->images_per_second, cli_duration(m->seconds, time, sizeof(time)));
}

static void message(void *user, const char *text)
{
    cli_view_line(user, "%s", text);
}

mdl_train_events cli_train_events(cli_view *view)
{
    return (mdl_train_events){
        .step = train_step, .epoch = train_epoch, .message = message, .user = view};
}

/* ---- merging, downloading, the log --------------------------------------------------------------
 */

void cli_merge_progress(void *user, const mdl_merge_progress *p)
{
    cli_view *view = user;
    char front[64], back[160], left[32];
    if (!due(view) && p->evaluations < p->total)
        return;
    snprintf(front, sizeof(front), "child %zu/%zu", p->evaluations, p->total);
    snprintf(back, sizeof(back),
             "best %.2f %%  archive %zu, mean %.2f %%  niches %.1f %%  %.4g/s, %zu cut short  %s "
             "left",
             100 * p->best_top1, p->members, 100 * p->mean_top1, 100 * p->niches, p->per_second,
             p->abandoned, cli_duration(p->seconds_left, left, sizeof(left)));
    draw(view, front, p->total > 0 ? (double)p->evaluations / (double)p->total : 1, back);
    if (p->evaluations >= p->total)
        cli_view_close(view);
}

void cli_fetch_progress(void *user, uint64_t done, uint64_t total)
{
    cli_view *view = user;
    char so_far[32], all[32], back[80];
    if (!due(view))
        return;
    cli_bytes((double)done, so_far, sizeof(so_far));
    if (total > 0)
        snprintf(back, sizeof(back), "%s of %s", so_far,
                 cli_bytes((double)total, all, sizeof(all)));
    else
        snprintf(back, sizeof(back), "%s", so_far);
    draw(view, "downloading", total > 0 ? (double)done / (double)total : 0, back);
}

void cli_progress(cli_view *view, const char *front, double part, const char *back)
{
    if (due(view))
        draw(view, front, part, back);
}

void cli_assess_progress(void *user, const char *what, size_t done, size_t total)
{
    char front[64];
    snprintf(front, sizeof(front), "run %zu/%zu", done + 1, total);
    cli_progress(user, front, (double)done / (double)total, what);
}

static void log_line(void *user, mdl_log_level level, const char *text)
{
    if (level == MDL_LOG_DEBUG)
        return;
    clear(user);
    fprintf(stderr, "%s%s\n", level == MDL_LOG_WARN ? "warning: " : "", text);
}

void cli_install_log(cli_view *view)
{
    mdl_log_set_sink(view != NULL ? log_line : NULL, view);
}

mdl_status cli_print_json(json_t *json, bool indent)
{
    char *text;
    mdl_status status = mdl_json_text(json, indent ? JSON_INDENT(2) : JSON_COMPACT, &text);
    json_decref(json);
    MDL_TRY(status);
    bool written = puts(text) >= 0 && fflush(stdout) == 0;
    mdl_free(text);
    return written ? MDL_OK : mdl_fail(MDL_IO, "cannot write to the standard output");
}
