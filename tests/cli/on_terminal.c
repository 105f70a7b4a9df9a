/* Run a program on a terminal of so many columns and say of what it draws: how many lines with a
 * bar, and how long the longest is.  usage: on_terminal COLUMNS PROGRAM ARGUMENT... */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

static void become(const char *terminal, char **argv)
{
    setsid();
    int fd = open(terminal, O_RDWR); /* the first one that a session opens is its own */
    if (fd < 0 || dup2(fd, 0) < 0 || dup2(fd, 1) < 0 || dup2(fd, 2) < 0)
        _exit(126);
    setenv("TERM", "xterm", 1);
    unsetenv("COLUMNS");
    execvp(argv[0], argv);
    _exit(127);
}

typedef struct drawing {
    size_t column, longest; /* of the line that is drawn, and of all that were redrawn */
    size_t redrawn;
    int bar;   /* it has a bar: " [" */
    char last; /* character */
} drawing;

static void draw(drawing *d, char c)
{
    if (c == '\r' || c == '\n') {
        if (d->bar && d->column > 0) {
            d->redrawn++;
            d->longest = d->column > d->longest ? d->column : d->longest;
        }
        d->column = 0;
        d->bar = 0;
        return;
    }
    d->bar = d->bar || (c == '[' && d->last == ' ');
    d->last = c;
    d->column++;
}

int main(int argc, char **argv)
{
    char text[4096];
    drawing d = {0};
    int code = 0;
    struct winsize size = {.ws_row = 24, .ws_col = (unsigned short)(argc > 2 ? atoi(argv[1]) : 0)};
    int fd = posix_openpt(O_RDWR | O_NOCTTY);
    if (argc < 3 || fd < 0 || grantpt(fd) != 0 || unlockpt(fd) != 0 ||
        ioctl(fd, TIOCSWINSZ, &size) != 0)
        return 77;
    pid_t child = fork();
    if (child == 0)
        become(ptsname(fd), argv + 2);
    for (ssize_t got; (got = read(fd, text, sizeof(text))) > 0;)
        for (ssize_t i = 0; i < got; i++)
            draw(&d, text[i]);
    while (waitpid(child, &code, 0) < 0)
        continue;
    printf("%zu %zu\n", d.redrawn, d.longest);
    return WIFEXITED(code) ? WEXITSTATUS(code) : 1;
}
