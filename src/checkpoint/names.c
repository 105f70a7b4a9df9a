/* Names of tensors in published checkpoints, translated into those that Mendel and timm have. */
#include "checkpoint/checkpoint_internal.h"

#include <string.h>

enum { NAME_MOST = 512 };

/* What DataParallel and torch.compile put before every name. */
static const char *const wrappers[] = {"module.", "_orig_mod."};

static bool begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

static bool all_begin(const mdl_tensors *set, const char *with)
{
    for (size_t i = 0; i < set->n_tensors; i++)
        if (!begins(set->tensors[i].name, with))
            return false;
    return set->n_tensors > 0;
}

/* ---- EfficientNet ---------------------------------------------------------------------------- */

/* A part of a name in lukemelas's EfficientNet-PyTorch, and timm's; the block without expansion
 * counts its layers otherwise. */
typedef struct part {
    const char *from, *to, *unexpanded;
} part;

static const part outside[] = {
    {"_conv_stem.", "conv_stem.", NULL}, {"_bn0.", "bn1.", NULL},
    {"_conv_head.", "conv_head.", NULL}, {"_bn1.", "bn2.", NULL},
    {"_fc.", "classifier.", NULL},
};
static const part inside[] = {
    {"_expand_conv.", "conv_pw.", "conv_pw."},    {"_bn0.", "bn1.", "bn0."},
    {"_depthwise_conv.", "conv_dw.", "conv_dw."}, {"_bn1.", "bn2.", "bn1."},
    {"_project_conv.", "conv_pwl.", "conv_pw."},  {"_bn2.", "bn3.", "bn2."},
};

/* Blocks of each stage; the blocks of that project are counted through. */
static const size_t repeats[] = {1, 2, 2, 3, 3, 4, 1};

static const part *find_part(const part *parts, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (begins(name, parts[i].from))
            return &parts[i];
    return NULL;
}

/* "_blocks.3._bn1.weight" into "blocks.2.0.bn2.weight"; false: it is no such name. */
static bool block_name(const char *name, char *out)
{
    size_t index, stage = 0;
    int used = 0;
    if (sscanf(name, "_blocks.%4zu.%n", &index, &used) != 1 || used == 0)
        return false;
    const char *rest = name + used;
    const part *found = find_part(inside, MDL_COUNT(inside), rest);
    bool expanded = index > 0; /* the first stage is one block, the only one without */
    while (stage < MDL_COUNT(repeats) && index >= repeats[stage])
        index -= repeats[stage++];
    if (found == NULL || stage == MDL_COUNT(repeats))
        return false;
    snprintf(out, NAME_MOST, "blocks.%zu.%zu.%s%s", stage, index,
             expanded ? found->to : found->unexpanded, rest + strlen(found->from));
    return true;
}

static void efficientnet_name(const char *name, char *out)
{
    const part *found = find_part(outside, MDL_COUNT(outside), name);
    if (block_name(name, out))
        return;
    snprintf(out, NAME_MOST, "%s%s", found != NULL ? found->to : "",
             found != NULL ? name + strlen(found->from) : name);
}

static void same_name(const char *name, char *out)
{
    snprintf(out, NAME_MOST, "%s", name);
}

/* ---- renaming -------------------------------------------------------------------------------- */

mdl_status mdl_tensors_rename(mdl_tensors *set, mdl_names_rule rule, size_t *changed)
{
    void (*translate)(const char *, char *) =
        rule == MDL_NAMES_EFFICIENTNET ? efficientnet_name : same_name;
    size_t skip = 0;
    for (size_t i = 0; i < MDL_COUNT(wrappers); i++)
        if (skip == 0 && all_begin(set, wrappers[i]))
            skip = strlen(wrappers[i]);
    *changed = 0;
    for (size_t i = 0; i < set->n_tensors; i++) {
        char name[NAME_MOST], *own;
        if (strlen(set->tensors[i].name) > NAME_MOST / 2)
            return mdl_fail(MDL_UNSUPPORTED, "a name of more than %d bytes is not translated",
                            NAME_MOST / 2);
        translate(set->tensors[i].name + skip, name);
        if (strcmp(name, set->tensors[i].name) == 0)
            continue;
        MDL_TRY(mdl_strdup(name, &own));
        mdl_free(set->tensors[i].name);
        set->tensors[i].name = own;
        ++*changed;
    }
    return mdl__sort_names(set);
}
