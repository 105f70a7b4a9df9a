/* What the program has of its process: descriptors 0 to 2, signals, and what becomes of the
 * standard output. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli.h"

/* ---- signals -------------------------------------------------------------------------------- */

/* These ask for an end: the first saves what can be saved and stops.  Schedulers send the last
 * three as warnings, a terminal that goes away sends SIGHUP. */
static const int stop_signals[] = {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2};

static mdl_context *context; /* of all that the program does */

static volatile sig_atomic_t says;      /* descriptor 2 is the standard error */
static volatile sig_atomic_t terminal;  /* and a terminal */
static volatile sig_atomic_t asked;     /* a signal that may be repeated to end at once has come */
static volatile sig_atomic_t in_script; /* SIGINT was ignored at the start */
static volatile struct timespec asked_at; /* when */

/* A terminal that is held, or a pipe that nobody empties, does not keep the program from stopping.
 */
static void say(const char *text, size_t size)
{
    struct pollfd fd = {.fd = STDERR_FILENO, .events = POLLOUT};
    if (says != 0 && poll(&fd, 1, 0) == 1 && (fd.revents & POLLOUT) != 0)
        (void)!write(STDERR_FILENO, text, size);
}

/* Some senders (timeout, a shell together with the terminal) send each signal twice in a moment,
 * which is one wish. */
static bool repeated(int number)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    double since =
        (double)(now.tv_sec - asked_at.tv_sec) + 1e-9 * (double)(now.tv_nsec - asked_at.tv_nsec);
    if (number != SIGINT && number != SIGTERM)
        return false;
    if (asked != 0)
        return since > 0.1;
    asked_at.tv_sec = now.tv_sec;
    asked_at.tv_nsec = now.tv_nsec;
    asked = 1;
    return false;
}

/* The first signal asks the work to save and stop, a second Ctrl-C or SIGTERM ends the program at
 * once.  The functions of base set and read one atomic flag, which is safe here. */
static void on_signal(int number, siginfo_t *info, void *interrupted)
{
    static const char text[] = "\nstopping; a second signal ends at once\n";
    int error = errno;
    (void)interrupted;
    /* A shell starts what runs in the background of a script with SIGINT ignored: the terminal's
     * Ctrl-C is not meant for it, one that somebody sends (kill) is. */
    if (number == SIGINT && in_script != 0 && info->si_code > 0)
        return;
    bool first = mdl_context_stopped(context) == 0; // NOLINT(bugprone-signal-handler)
    if (repeated(number) && !first)
        _Exit(CLI_EXIT_INTERRUPTED);
    mdl_context_stop(context); // NOLINT(bugprone-signal-handler)
    if (first)
        say(text + (terminal == 0), sizeof(text) - 1 - (terminal == 0)); /* behind a bar: below */
    errno = error;
}

static void catch_signals(void)
{
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_RESTART | SA_SIGINFO};
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < MDL_COUNT(stop_signals); i++)
        sigaddset(&action.sa_mask, stop_signals[i]);
    for (size_t i = 0; i < MDL_COUNT(stop_signals); i++) {
        struct sigaction before;
        int number = stop_signals[i];
        bool ignored = sigaction(number, NULL, &before) == 0 &&
                       (before.sa_flags & SA_SIGINFO) == 0 && before.sa_handler == SIG_IGN;
        if (number == SIGINT)
            in_script = ignored;
        else if (ignored)
            continue; /* nohup and the like */
        (void)sigaction(number, &action, NULL);
    }
    /* A limit on file sizes and a reader that has gone are failures of a write, which say more. */
    (void)signal(SIGXFSZ, SIG_IGN);
    (void)signal(SIGPIPE, SIG_IGN);
}

void cli_say_nothing(void)
{
    says = 0;
}

mdl_context *cli_context(void)
{
    return context;
}

mdl_status cli_prepare_process(void)
{
    unsigned were_open = mdl_standard_descriptors();
    mdl_reserve_memory();
    MDL_TRY(mdl_context_create(&context));
    (void)mdl_context_enter(context);
    says = (were_open >> STDERR_FILENO & 1u) != 0;
    terminal = isatty(STDERR_FILENO) != 0;
    catch_signals();
    return MDL_OK;
}

/* ---- the standard output -------------------------------------------------------------------- */

static bool nobody_reads; /* cli_flush found the reader gone */

/* The reader of a pipe has gone: `| head`, a pager that was left. */
static bool reader_left(void)
{
    struct pollfd fd = {.fd = STDOUT_FILENO, .events = POLLOUT};
    return poll(&fd, 1, 0) == 1 && (fd.revents & POLLERR) != 0;
}

mdl_status cli_flush(void)
{
    errno = 0;
    if (fflush(stdout) == 0 && ferror(stdout) == 0)
        return MDL_OK;
    int error = errno;
    nobody_reads = reader_left();
    return mdl_fail(MDL_IO, "cannot write to the standard output%s%s", error != 0 ? ": " : "",
                    error != 0 ? strerror(error) : "");
}

bool cli_nobody_reads(void)
{
    return nobody_reads;
}
