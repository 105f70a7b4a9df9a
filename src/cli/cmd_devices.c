/* mendel devices: backends and what they can run on. */
#include <jansson.h>

#include "cli/commands.h"
#include "cli/engine.h"

enum { MAX_DEVICES = 32 };

static json_t *device_json(const mdl_backend *backend, const mdl_device_info *info)
{
    return mdl_json_pack("{s:s, s:s, s:s, s:s, s:I, s:i, s:b, s:s}", "backend", backend->name,
                         "name", info->name, "driver", info->driver, "selector", info->selector,
                         "memory", (json_int_t)info->memory, "units", info->units, "usable",
                         info->usable, "reason", info->reason);
}

static void print_device(const mdl_backend *backend, const mdl_device_info *info)
{
    char memory[32] = "", name[96];
    if (info->memory > 0)
        cli_bytes((double)info->memory, memory, sizeof(memory));
    snprintf(name, sizeof(name), "%s%s%s", backend->name, info->selector[0] != '\0' ? ":" : "",
             info->selector);
    printf("%-14s %-44s %3d units  %10s  %s%s%s\n", name, info->name, info->units, memory,
           info->driver, info->usable ? "" : "  not usable: ", info->usable ? "" : info->reason);
}

bool cli_find_gpu(char *text, size_t size)
{
    for (int b = 0; b < mdl_backend_count(); b++) {
        mdl_device *device;
        snprintf(text, size, "%s:gpu", mdl_backend_at(b)->name);
        if (mdl_device_open(text, 0, MDL_F32, &device) != MDL_OK)
            continue;
        bool found = !device->backend->host_memory;
        mdl_device_close(device);
        if (found)
            return true;
    }
    return false;
}

static mdl_status run(const cli_args *args)
{
    bool json = cli_flag(args, "--json");
    char gpu[96];
    MDL_TRY(cli_expect(args, 0, 0, "options only"));
    json_t *list = mdl_json_pack("[]");
    for (int b = 0; b < mdl_backend_count(); b++) {
        const mdl_backend *backend = mdl_backend_at(b);
        mdl_device_info infos[MAX_DEVICES] = {0};
        int count = backend->devices(infos, MAX_DEVICES);
        for (int i = 0; i < count && i < MAX_DEVICES; i++) {
            mdl_json_append(&list, device_json(backend, &infos[i]));
            if (!json)
                print_device(backend, &infos[i]);
        }
    }
    if (json)
        return cli_print_json(list, true);
    if (cli_find_gpu(gpu, sizeof(gpu)))
        printf("\n--backend %s uses the GPU; the default is cpu.\n", gpu);
    json_decref(list);
    return MDL_OK;
}

static const cli_option options[] = {
    {"--json", 0, NULL, "print a JSON list"},
};

const cli_command cli_cmd_devices = {
    .name = "devices",
    .summary = "list backends and devices",
    .usage = "[--json]",
    .text = "The first column is what --backend takes.\n",
    .examples = "  mendel devices\n"
                "  mendel train --backend reference\n",
    .options = options,
    .n_options = MDL_COUNT(options),
    .ranks = CLI_RANKS_EACH,
    .run = run,
};
