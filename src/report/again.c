/* All that is needed to do it again, and to see that it came out the same: what made it, commands,
 * hashes, seeds, steps, configuration. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "report/report_internal.h"

/* ---- what made it --------------------------------------------------------------------------- */

/* made.json of the folder, or of its first repeat. */
static json_t *read_made(mdl__page *page)
{
    json_t *made = mdl__page_json(page, "made.json");
    if (made == NULL && page->n_repeats > 0)
        made = mdl__page_json(page, "%s/made.json", page->repeat[0]);
    return made;
}

static void put_data(mdl__page *page, const json_t *data)
{
    mdl__page_text(page,
                   "Data: %s; %.0f images to train on, %.0f held out, %.0f to test; hash of all "
                   "pixels and labels %s.",
                   mdl__text_of(data, "source"), mdl__number(data, "train"),
                   mdl__number(data, "held_out"), mdl__number(data, "test"),
                   mdl__text_of(data, "sha256"));
}

static void put_made(mdl__page *page, const json_t *made)
{
    const json_t *by = json_object_get(made, "by"), *data = NULL;
    for (size_t i = 0; i < json_array_size(by); i++) {
        const json_t *one = json_array_get(by, i);
        const char *version = mdl__text_of(one, "version"), *device = mdl__text_of(one, "device");
        const char *revision = mdl__text_of(one, "revision");
        if (version[0] == '\0') {
            mdl__page_text(page, "Begun by a version that kept no record of itself.");
            continue;
        }
        mdl__page_text(page, "%s Mendel %s%s%s, built with %s; backend %s%s%s, threads: %.0f, %s.",
                       i == 0 ? "Made by" : "Then gone on with by", version,
                       revision[0] != '\0' ? ", revision " : "", revision,
                       mdl__text_of(one, "compiler"), mdl__text_of(one, "backend"),
                       device[0] != '\0' ? " on " : "", device, mdl__number(one, "threads"),
                       json_is_true(json_object_get(one, "tuned")) ? "kernels as in tuning.json"
                                                                   : "kernels not tuned");
        if (data == NULL || !json_equal(data, json_object_get(one, "data")))
            put_data(page, json_object_get(one, "data"));
        data = json_object_get(one, "data");
    }
    if (json_array_size(by) == 0)
        mdl__page_text(page, "Which version, compiler and processor made this folder was not "
                             "recorded (made.json).");
    mdl__page_text(page,
                   "Configuration, data, version and backend give the same bytes on the same "
                   "kind of processor, for any number of threads; only times differ. This "
                   "page was drawn by Mendel %s.",
                   mdl_build_version());
}

/* ---- commands ------------------------------------------------------------------------------- */

/* A word for the shell: quoted where it is not plain. */
static void put_word(FILE *out, const char *text)
{
    bool plain = text[0] != '\0' &&
                 strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                              "._-/:=,") == strlen(text);
    if (plain) {
        fputs(text, out);
        return;
    }
    fputc('\'', out);
    for (; *text != '\0'; text++)
        fputs(*text == '\'' ? "'\\''" : (const char[]){*text, '\0'}, out);
    fputc('\'', out);
}

static bool has_file(const mdl__page *page, const char *name)
{
    char path[MDL_PATH_MAX];
    return mdl_path(path, sizeof(path), page->folder, "%s", name) == MDL_OK &&
           mdl_file_exists(path);
}

/* The first of the models that the experiment is about, "" where there is none yet. */
static void find_fused(mdl__page *page, char *out, size_t size)
{
    static const char *const names[] = {"C-hybrid/merged.safetensors",
                                        "C-baseline/merged.safetensors"};
    out[0] = '\0';
    for (size_t r = 0; r < mdl_max_size(1, page->n_repeats); r++)
        for (size_t i = 0; i < MDL_COUNT(names); i++) {
            char name[512];
            snprintf(name, sizeof(name), "%.200s%s%s", page->n_repeats > 0 ? page->repeat[r] : "",
                     page->n_repeats > 0 ? "/" : "", names[i]);
            if (out[0] == '\0' && has_file(page, name))
                snprintf(out, size, "%s", name);
        }
    char **runs = NULL;
    size_t n = mdl__names(page, ".", "m2n2-", "merged.safetensors", &runs);
    if (out[0] == '\0' && n > 0)
        snprintf(out, size, "%.200s/merged.safetensors", runs[0]);
    mdl__names_free(runs, n);
}

/* The commands that make the experiment again, with data from `source`; those of CIFAR, named by
 * `fetched` ("cifar10"), are downloaded first. */
static void print_commands(FILE *out, const char *fetched, const char *source, bool tuned,
                           const char *fused)
{
    if (fetched[0] != '\0')
        fprintf(out, "mendel data fetch %s --to data\n", fetched);
    fputs("mendel experiment config.yaml --data ", out);
    put_word(out, source);
    fprintf(out, " --set run.tuning=%s --out again\nmendel report again\n",
            tuned ? "tuning.json" : "off");
    if (fused[0] == '\0')
        return;
    fprintf(out, "mendel eval again/%s --data ", fused);
    put_word(out, source);
    fprintf(out, "\nsha256sum again/%s\n", fused);
}

static void put_commands(mdl__page *page, const mdl_config *config)
{
    char fused[512], *text = NULL, shown[32] = "", fetched[16] = "";
    size_t size = 0;
    const char *name = config->data.source, *colon = strchr(name, ':'), *source = name;
    bool tuned = has_file(page, page->n_repeats > 0 ? "repeat-1/tuning.json" : "tuning.json");
    if (strncmp(name, "cifar", 5) == 0 && colon != NULL &&
        colon - name < (ptrdiff_t)sizeof(fetched)) {
        snprintf(fetched, sizeof(fetched), "%.*s", (int)(colon - name), name);
        snprintf(shown, sizeof(shown), "%s:data", fetched);
        source = shown;
    }
    find_fused(page, fused, sizeof(fused));
    FILE *out = open_memstream(&text, &size);
    if (out != NULL)
        print_commands(out, fetched, source, tuned, fused);
    if ((out == NULL || fclose(out) != 0) && page->status == MDL_OK)
        page->status = mdl_fail(MDL_NO_MEMORY, "the commands of the report: out of memory");
    if (page->status != MDL_OK) {
        free(text); /* the C library's own allocation */
        return;
    }
    mdl__page_text(page, "Save the configuration below as config.yaml%s; it holds every seed%s.%s",
                   tuned ? ", and this folder's tuning.json beside it" : "",
                   page->n_repeats > 0 ? " (each repeat's begins 100 after the last)" : "",
                   fetched[0] != '\0' || colon == NULL || strncmp(name, "synthetic", 9) == 0
                       ? ""
                       : " The data must lie where --data says.");
    mdl__page_code(page, NULL, text);
    free(text); /* the C library's own allocation */
}

/* Hashes of the models: who has them all the same has done it again. */
static void put_hashes(mdl__page *page)
{
    char fused[512], path[MDL_PATH_MAX], hash[65], *bytes = NULL;
    size_t size = 0;
    find_fused(page, fused, sizeof(fused));
    if (fused[0] == '\0' || page->status != MDL_OK)
        return;
    page->status = mdl_path(path, sizeof(path), page->folder, "%s", fused);
    if (page->status == MDL_OK)
        page->status = mdl_file_read(path, 0, &bytes, &size);
    if (page->status == MDL_OK)
        page->status = mdl_sha256_hex(bytes, size, hash);
    if (page->status == MDL_OK)
        mdl__page_text(page, "It came out the same where the SHA-256 of %s is %s.", fused, hash);
    mdl_free(bytes);
}

/* ---- steps and configuration ---------------------------------------------------------------- */

static json_t *whole(double value)
{
    return isfinite(value) ? mdl__cell("%.0f", value) : mdl__cell("%s", "");
}

static void put_steps(mdl__page *page)
{
    json_t *cells = mdl_json_pack("[]");
    for (size_t r = 0; r < mdl_max_size(1, page->n_repeats); r++)
        for (int arm = 0; arm < 2; arm++) {
            char **names = NULL;
            const char *below = page->n_repeats > 0 ? page->repeat[r] : ".";
            size_t n = mdl__names(page, below, arm == 0 ? "A-" : "B-", "step.json", &names);
            for (size_t i = 0; i < n; i++) {
                json_t *step = mdl__page_json(page, "%s/%s/step.json", below, names[i]);
                double seconds = mdl__number(step, "seconds");
                mdl__row(&cells, 6,
                         mdl__cell("%s%s%s", page->n_repeats > 0 ? below : "",
                                   page->n_repeats > 0 ? "/" : "", names[i]),
                         whole(mdl__number(step, "seed")), whole(mdl__number(step, "epochs")),
                         whole(mdl__number(step, "steps")),
                         isfinite(seconds) ? mdl__cell("%.1f", seconds) : mdl__cell("not finished"),
                         mdl__cell("%.12s", mdl__text_of(step, "depends")));
                json_decref(step);
            }
            mdl__names_free(names, n);
        }
    if (json_array_size(cells) == 0) {
        json_decref(cells);
        return;
    }
    mdl__page_table(page,
                    mdl_json_pack("[s,s,s,s,s,s]", "training", "seed", "epochs", "steps", "seconds",
                                  "hash of its inputs"),
                    cells);
}

void mdl__report_again(mdl__page *page)
{
    char path[MDL_PATH_MAX], *text = NULL;
    size_t size = 0;
    mdl_config config = mdl_config_default();
    json_t *made = read_made(page);
    mdl__page_section(page, "again", "Doing it again");
    put_made(page, made);
    json_decref(made);
    if (page->status == MDL_OK)
        page->status = mdl_path(path, sizeof(path), page->folder, "config.yaml");
    /* One of another version may have keys that are not known here: its text is still shown. */
    if (page->status == MDL_OK && mdl_config_read(path, &config) != MDL_OK)
        snprintf(config.data.source, sizeof(config.data.source), "SPEC");
    if (page->status == MDL_OK)
        page->status = mdl_file_read(path, (size_t)1 << 24, &text, &size);
    if (page->status != MDL_OK)
        return;
    put_commands(page, &config);
    put_hashes(page);
    put_steps(page);
    mdl__page_code(page, "config.yaml: the whole effective configuration", text);
    mdl_free(text);
}
