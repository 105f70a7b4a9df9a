/* Energy of the processor packages, from the counters that Linux offers as files (RAPL, powercap).
 * Other systems, machines without them, and users who may not read them have none. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"

static bool read_counter(const char *path, uint64_t *value)
{
    FILE *file = fopen(path, "re");
    unsigned long long number = 0;
    if (file == NULL)
        return false;
    bool found = fscanf(file, "%llu", &number) == 1;
    fclose(file);
    *value = number;
    return found;
}

/* Domains are intel-rapl:N (AMD's, too); intel-rapl:N:M are parts of them. */
void mdl_energy_open(const char *folder, mdl_energy *meter)
{
    *meter = (mdl_energy){.count = 0};
    if (folder == NULL)
        folder = getenv("MENDEL_POWERCAP");
    if (folder == NULL || folder[0] == '\0')
        folder = "/sys/class/powercap";
    for (int i = 0; i < MDL_ENERGY_PACKAGES; i++) {
        char path[MDL_PATH_MAX];
        uint64_t range = 0;
        int n = snprintf(path, sizeof(path), "%s/intel-rapl:%d/max_energy_range_uj", folder, i);
        if (n >= (int)sizeof(path) || !read_counter(path, &range) || range == 0)
            continue;
        struct mdl_energy_package *package = &meter->package[meter->count];
        n = snprintf(package->path, sizeof(package->path), "%s/intel-rapl:%d/energy_uj", folder, i);
        if (n >= (int)sizeof(package->path) || !read_counter(package->path, &package->last))
            continue;
        package->range = range;
        meter->count++;
    }
}

double mdl_energy_spent(mdl_energy *meter)
{
    double joules = 0;
    for (size_t i = 0; i < meter->count; i++) {
        struct mdl_energy_package *package = &meter->package[i];
        uint64_t now = 0;
        if (!read_counter(package->path, &now)) {
            meter->count = 0; /* taken away: nothing more is known */
            break;
        }
        uint64_t gone =
            now >= package->last ? now - package->last : package->range - package->last + now;
        joules += 1e-6 * (double)gone;
        package->last = now;
    }
    return meter->count > 0 ? joules : (double)NAN;
}
