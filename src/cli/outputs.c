/* Which folder a run gets: the one that is named, or a new one by number. */
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

mdl_status cli_run_find(const cli_args *args, mdl_run_kind kind, const char *otherwise,
                        const mdl_config *config, mdl_run_folder *run)
{
    const char *out = cli_value(args, "--out");
    char base[MDL_PATH_MAX];
    bool resume = cli_flag(args, "--resume"), numbered = out == NULL;
    if (numbered) {
        MDL_TRY(cli_default_folder(args, otherwise, base, sizeof(base)));
        out = base;
    }
    MDL_TRY(mdl_run_folder_name(run, kind, out, resume, cli_flag(args, "--overwrite"), numbered));
    bool goes_on = resume || kind == MDL_RUN_EXPERIMENT;
    return numbered && goes_on ? mdl_run_find_newest(run, config) : MDL_OK;
}

mdl_run_inputs cli_inputs(const cli_args *args, const mdl_config *config)
{
    return (mdl_run_inputs){.config = config,
                            .files = args->positional,
                            .n_files = args->n_positional,
                            .trunk = cli_value(args, "--trunk")};
}

mdl_status cli_check_output(const char *out, const cli_args *args, const mdl_config *config)
{
    bool replace = cli_flag(args, "--overwrite");
    mdl_run_inputs inputs = cli_inputs(args, config);
    return mdl_run_check_output(out, replace, &inputs);
}
