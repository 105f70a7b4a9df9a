/* The modules over MPI: which one the launcher of this process speaks, and loading it.  Nothing of
 * MPI is in the program, which starts where none is installed. */
#include <stdlib.h>
#include <string.h>

#include "base/base.h"

typedef struct library {
    const char *name, *title, *install;
    const char *marks[3]; /* variables of the environment that its launcher sets: the first that is
                             there is the number of ranks */
} library;

static const library libraries[] = {
    {"openmpi",
     "Open MPI",
     "Debian, Ubuntu: openmpi-bin; Fedora, Arch: openmpi",
     {"OMPI_COMM_WORLD_SIZE"}},
    {"mpich", "MPICH", "Debian, Ubuntu, Fedora, Arch: mpich", {"PMI_SIZE", "MPI_LOCALNRANKS"}},
};

const char *mdl_comm_launcher(int *ranks)
{
    for (size_t i = 0; i < MDL_COUNT(libraries); i++)
        for (size_t k = 0; k < MDL_COUNT(libraries[i].marks) && libraries[i].marks[k]; k++) {
            const char *value = getenv(libraries[i].marks[k]);
            if (value == NULL || value[0] == '\0')
                continue;
            *ranks = (int)strtol(value, NULL, 10);
            return libraries[i].name;
        }
    *ranks = 0; /* Slurm's srun --mpi=pmix says how many tasks a step has */
    const char *tasks = getenv("SLURM_STEP_NUM_TASKS");
    if (getenv("PMIX_RANK") == NULL)
        return NULL;
    *ranks = tasks != NULL ? (int)strtol(tasks, NULL, 10) : 0;
    return "openmpi";
}

static mdl_status open_module(void *user, mdl_link *link)
{
    const library *l = user;
    char module[64];
    void *symbol;
    snprintf(module, sizeof(module), "mendel_mpi_%s" MDL_LIBRARY_SUFFIX, l->name);
    mdl_status status = mdl_module_symbol(module, "mdl_link_load", &symbol);
    if (status != MDL_OK)
        return mdl_fail(status,
                        "ranks need %s, whose module cannot be loaded: %s; install it (%s), and "
                        "where the module is missing, the library to build it with (%s)",
                        l->title, mdl_error_detail(), l->install,
                        strcmp(l->name, "mpich") == 0 ? "libmpich-dev" : "libopenmpi-dev");
    mdl_link_load_fn *load;
    memcpy(&load, &symbol, sizeof(load)); /* C has no cast from an object to a function */
    if (load(MDL_LINK_ABI, link) != 0)
        return mdl_fail(MDL_DEVICE, "%s does not start: %s", l->title, link->error);
    return MDL_OK;
}

mdl_status mdl_comm_open_module(const char *name, double patience, mdl_comm **out)
{
    *out = NULL;
    for (size_t i = 0; i < MDL_COUNT(libraries); i++)
        if (strcmp(libraries[i].name, name) == 0)
            return mdl_comm_open(open_module, (void *)(uintptr_t)&libraries[i], patience, out);
    return mdl_fail(MDL_CONFIG, "comm.library is %s: expected openmpi or mpich", name);
}
