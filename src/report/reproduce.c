/* All that is needed to do it again, and to see that it came out the same: what made it, commands,
 * hashes, seeds, steps, configuration. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "report/sections.h"

/* ---- what made it --------------------------------------------------------------------------- */

static void put_data(mdl__page *page, const mdl__maker *m)
{
    mdl__page_text(page,
                   "Data: %s; %zu images to train on, %zu for validation, %zu to test; hash of all "
                   "pixels and labels %s.",
                   m->data.source, m->data.train, m->data.validation, m->data.test, m->data.sha256);
}

static void put_makers(mdl__page *page, const mdl__folder *f)
{
    const char *hash = "";
    for (size_t i = 0; i < f->makers.n; i++) {
        const mdl__maker *m = &f->makers.data[i];
        if (m->version[0] == '\0') {
            mdl__page_text(page, "Begun by a version that kept no record of itself.");
            continue;
        }
        mdl__page_text(page, "%s Mendel %s%s%s, built with %s; backend %s%s%s, threads: %zu, %s.",
                       i == 0 ? "Made by" : "Then gone on with by", m->version,
                       m->revision[0] != '\0' ? ", revision " : "", m->revision, m->compiler,
                       m->backend, m->device[0] != '\0' ? " on " : "", m->device, m->threads,
                       m->tuned ? "kernels as in tuning.json" : "kernels not tuned");
        if (strcmp(hash, m->data.sha256) != 0)
            put_data(page, m);
        hash = m->data.sha256;
    }
    if (f->makers.n == 0 && (f->content & MDL__EXPERIMENT) != 0)
        mdl__page_text(page, "Which version, compiler and processor made this folder was not "
                             "recorded (made.json).");
    mdl__page_text(page,
                   "Configuration, data, version and backend give the same bytes on the same kind "
                   "of processor, for any number of threads; only times differ. This page was "
                   "drawn by Mendel %s.",
                   mdl_build_version());
}

/* ---- commands ------------------------------------------------------------------------------- */

/* A word for the shell: quoted where it is not plain. */
static void put_word(mdl_string *out, const char *text)
{
    bool plain = text[0] != '\0' &&
                 strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                              "._-/:=,") == strlen(text);
    mdl_string_add(out, "%s", plain ? "" : "'");
    for (; *text != '\0'; text++)
        mdl_string_add(out, *text == '\'' && !plain ? "'\\''" : "%c", *text);
    mdl_string_add(out, "%s", plain ? "" : "'");
}

/* The commands that make it again, with data from `source`; those of CIFAR, named by `fetched`
 * ("cifar10"), are downloaded first. */
static void add_commands(mdl_string *out, const mdl__folder *f, const char *fetched,
                         const char *source)
{
    bool training = (f->content & (MDL__EXPERIMENT | MDL__TRAINING)) == MDL__TRAINING;
    if (fetched[0] != '\0')
        mdl_string_add(out, "mendel data fetch %s --to data\n", fetched);
    mdl_string_add(out, "mendel %s config.yaml --data ",
                   training ? "train --config" : "experiment");
    put_word(out, source);
    mdl_string_add(out, " --set run.tuning=%s --out again\nmendel report again\n",
                   f->tuned ? "tuning.json" : "off");
    if (f->merged[0] == '\0')
        return;
    mdl_string_add(out, "mendel eval again/%s --data ", f->merged);
    put_word(out, source);
    mdl_string_add(out, "\nsha256sum again/%s\n", f->merged);
}

static void put_commands(mdl__page *page, const mdl__folder *f)
{
    char shown[32] = "", fetched[16] = "";
    const char *name = f->config.data.source, *colon = strchr(name, ':'), *source = name;
    mdl_string out = {0};
    if (strncmp(name, "cifar", 5) == 0 && colon != NULL &&
        colon - name < (ptrdiff_t)sizeof(fetched)) {
        snprintf(fetched, sizeof(fetched), "%.*s", (int)(colon - name), name);
        snprintf(shown, sizeof(shown), "%s:data", fetched);
        source = shown;
    }
    mdl__page_text(page, "Save the configuration below as config.yaml%s; it holds every seed%s.%s",
                   f->tuned ? ", and this folder's tuning.json beside it" : "",
                   f->repeats.n > 0 ? " (each repeat's begins 100 after the last)" : "",
                   fetched[0] != '\0' || colon == NULL || strncmp(name, "synthetic", 9) == 0
                       ? ""
                       : " The data must lie where --data says.");
    add_commands(&out, f, fetched, source);
    if (page->status == MDL_OK)
        page->status = out.status;
    if (out.status == MDL_OK)
        mdl__page_code(page, NULL, out.data);
    mdl_free(out.data);
}

/* ---- steps and configuration ---------------------------------------------------------------- */

static void put_steps(mdl__page *page, const mdl__folder *f)
{
    if (f->trainings.n == 0 || (f->content & MDL__EXPERIMENT) == 0)
        return;
    mdl__table(page, "training|seed|epochs|steps|seconds|hash of its inputs");
    for (size_t i = 0; i < f->trainings.n; i++) {
        const mdl__training *t = &f->trainings.data[i];
        mdl__row(page, t->folder);
        mdl__cell(page, "%s", t->folder);
        mdl__cell(page, "%zu", t->seed);
        mdl__cell(page, "%zu", t->epochs);
        mdl__cell(page, "%zu", t->steps);
        if (isfinite(t->seconds))
            mdl__fact(page, "seconds", "%.1f", t->seconds, 1);
        else
            mdl__cell(page, "not finished");
        mdl__cell(page, "%.12s", t->depends);
    }
    mdl__table_end(page);
}

void mdl__put_reproduce(mdl__page *page, const mdl__folder *f)
{
    bool search = (f->content & (MDL__EXPERIMENT | MDL__TRAINING)) == 0;
    if (f->config_text == NULL)
        return;
    put_makers(page, f);
    if (!search)
        put_commands(page, f);
    if (f->merged[0] != '\0')
        mdl__page_text(page, "It came out the same where the SHA-256 of %s is %s.", f->merged,
                       f->merged_hash);
    put_steps(page, f);
    mdl__page_code(page, "config.yaml: the whole effective configuration", f->config_text);
}
