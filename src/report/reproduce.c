/* All that is needed to do it again, and to see that it came out the same: what made it, commands,
 * hashes, seeds, steps, configuration. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "report/sections.h"

/* ---- what made it --------------------------------------------------------------------------- */

static void put_data(mdl_page *page, json_t *data)
{
    mdl_page_text(page,
                  "Data: %s; %zu images to train on, %zu for validation, %zu to test; hash of all "
                  "pixels and labels %s.",
                  mdl__text(data, "source"), mdl__count(data, "train"),
                  mdl__count(data, "validation|held_out"), mdl__count(data, "test"),
                  mdl__text(data, "sha256"));
}

static void put_makers(mdl_page *page, const mdl__folder *f)
{
    const char *hash = "";
    json_t *makers = mdl__at(f->made, "by");
    for (size_t i = 0; i < json_array_size(makers); i++) {
        json_t *m = json_array_get(makers, i);
        const char *revision = mdl__text(m, "revision"), *device = mdl__text(m, "device");
        const char *data = mdl__text(m, "data.sha256");
        if (mdl__text(m, "version")[0] == '\0') {
            mdl_page_text(page, "Begun by a version that kept no record of itself.");
            continue;
        }
        mdl_page_text(page, "%s Mendel %s%s%s, built with %s; backend %s%s%s, threads: %zu, %s.",
                      i == 0 ? "Made by" : "Then gone on with by", mdl__text(m, "version"),
                      revision[0] != '\0' ? ", revision " : "", revision, mdl__text(m, "compiler"),
                      mdl__text(m, "backend"), device[0] != '\0' ? " on " : "", device,
                      mdl__count(m, "threads"),
                      mdl__flag(m, "tuned") ? "kernels as in tuning.json" : "kernels not tuned");
        if (strcmp(hash, data) != 0)
            put_data(page, mdl__at(m, "data"));
        hash = data;
    }
    if (json_array_size(makers) == 0 && (f->content & MDL__EXPERIMENT) != 0)
        mdl_page_text(page, "Which version, compiler and processor made this folder was not "
                            "recorded (made.json).");
    mdl_page_text(page,
                  "Configuration, data, version and backend give the same bytes on the same kind "
                  "of processor, for any number of threads; only times differ. This page was "
                  "drawn by Mendel %s.",
                  mdl_build_version());
}

/* ---- commands ------------------------------------------------------------------------------- */

/* A word for the shell: quoted where it is not plain. */
static void put_word(mdl_string *out, const char *text)
{
    static const char *const rules[] = {"''\\''", "\n\n", "\t\t", NULL};
    bool plain = text[0] != '\0' &&
                 strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                              "._-/:=,") == strlen(text);
    mdl_string_add(out, "%s", plain ? "" : "'");
    mdl_page_escape(out, text, rules);
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

static void put_commands(mdl_page *page, const mdl__folder *f)
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
    mdl_page_text(page, "Save the configuration below as config.yaml%s; it holds every seed%s.%s",
                  f->tuned ? ", and this folder's tuning.json beside it" : "",
                  f->n_repeats > 0 ? " (each repeat's begins 100 after the last)" : "",
                  fetched[0] != '\0' || colon == NULL || strncmp(name, "synthetic", 9) == 0
                      ? ""
                      : " The data must lie where --data says.");
    add_commands(&out, f, fetched, source);
    if (page->status == MDL_OK)
        page->status = out.status;
    if (out.status == MDL_OK)
        mdl_page_code(page, NULL, out.data);
    mdl_free(out.data);
}

/* ---- steps and configuration ---------------------------------------------------------------- */

static void put_steps(mdl_page *page, const mdl__folder *f)
{
    if (f->n_trainings == 0 || (f->content & MDL__EXPERIMENT) == 0)
        return;
    mdl_page_table(page, "training|seed|epochs|steps|seconds|hash of its inputs");
    for (size_t i = 0; i < f->n_trainings; i++) {
        const mdl__training *t = &f->trainings[i];
        double seconds = mdl__real(t->step, "seconds");
        mdl_page_row(page, t->folder);
        mdl_page_cell(page, "%s", t->folder);
        mdl_page_cell(page, "%zu", mdl__count(t->step, "seed"));
        mdl_page_cell(page, "%zu", mdl__count(t->step, "epochs"));
        mdl_page_cell(page, "%zu", mdl__count(t->step, "steps"));
        if (isfinite(seconds))
            mdl_page_fact(page, "seconds", "%.1f", seconds, 1);
        else
            mdl_page_cell(page, "not finished");
        mdl_page_cell(page, "%.12s", mdl__text(t->step, "depends"));
    }
    mdl_page_table_end(page);
}

void mdl__put_reproduce(mdl_page *page, const mdl__folder *f)
{
    bool search = (f->content & (MDL__EXPERIMENT | MDL__TRAINING)) == 0;
    if (f->config_text == NULL)
        return;
    put_makers(page, f);
    if (!search)
        put_commands(page, f);
    if (f->merged[0] != '\0')
        mdl_page_text(page, "It came out the same where the SHA-256 of %s is %s.", f->merged,
                      f->merged_hash);
    put_steps(page, f);
    mdl_page_code(page, "config.yaml: the whole effective configuration", f->config_text);
}
