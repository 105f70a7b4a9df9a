/* The folder that a run gets where none is named. */
#include <string.h>

#include "cli/cli.h"

/* "runs/<name of the configuration without its ending>", or runs/<otherwise>.  What begins with a
 * digit is no ending: lr0.1 and lr0.01 are two names. */
mdl_status cli_default_folder(const cli_args *args, const char *otherwise, char *out, size_t size)
{
    const char *name = cli_value(args, "--config");
    name = name != NULL ? name : "";
    const char *slash = strrchr(name, '/');
    name = slash != NULL ? slash + 1 : name;
    const char *dot = strrchr(name, '.');
    bool ending = dot != NULL && (dot[1] < '0' || dot[1] > '9');
    size_t length = ending ? (size_t)(dot - name) : strlen(name);
    if (length == 0 || strspn(name, ".") >= length) { /* no name, or one that is a folder above */
        name = otherwise;
        length = strlen(otherwise);
    }
    return mdl_path(out, size, "runs", "%.*s", (int)length, name);
}
