/* What the files of a folder look like, so far as a report needs it (docs/formats.md has all). */
#include <stddef.h>

#include "report/formats.h"

#define FIELD(type, struct_type, name, member)                                                     \
    {                                                                                              \
        name, type, offsetof(struct_type, member), 0,                                              \
            (type) == MDL__TEXT ? (size_t)MDL__TEXT_MOST : 0, NULL                                 \
    }
#define OBJECT(struct_type, name, member, of)                                                      \
    {                                                                                              \
        name, MDL__OBJECT, offsetof(struct_type, member), 0, 0, of                                 \
    }
#define REALS(struct_type, name, member, most)                                                     \
    {                                                                                              \
        name, MDL__REALS, offsetof(struct_type, member), sizeof(double), most, NULL                \
    }
#define OBJECTS(struct_type, name, member, most, of, element)                                      \
    {                                                                                              \
        name, MDL__OBJECTS, offsetof(struct_type, member), sizeof(element), most, of               \
    }
#define END                                                                                        \
    {                                                                                              \
        NULL, MDL__REAL, 0, 0, 0, NULL                                                             \
    }

static const mdl__field bin_fields[] = {
    FIELD(MDL__COUNT, mdl__bin, "count", count),
    FIELD(MDL__REAL, mdl__bin, "confidence", confidence),
    FIELD(MDL__REAL, mdl__bin, "accuracy", accuracy),
    END,
};
static const mdl__field scores_fields[] = {
    FIELD(MDL__REAL, mdl__calibration, "temperature", temperature),
    FIELD(MDL__REAL, mdl__calibration, "ece", ece),
    FIELD(MDL__REAL, mdl__calibration, "brier", brier),
    FIELD(MDL__REAL, mdl__calibration, "loss", loss),
    OBJECTS(mdl__calibration, "bins", bins, MDL__BINS, bin_fields, mdl__bin),
    END,
};
static const mdl__field calibration_fields[] = {
    FIELD(MDL__COUNT, mdl__look, "images", calibration.images),
    FIELD(MDL__COUNT, mdl__look, "validation_images|held_out_images", calibration.fitted),
    OBJECT(mdl__look, "plain", calibration.plain, scores_fields),
    OBJECT(mdl__look, "scaled", calibration.scaled, scores_fields),
    END,
};
static const mdl__field corruption_fields[] = {
    FIELD(MDL__TEXT, mdl__corruption, "name", name),
    FIELD(MDL__TEXT, mdl__corruption, "group", group),
    REALS(mdl__corruption, "top1", top1, MDL__SEVERITIES),
    END,
};
static const mdl__field robustness_fields[] = {
    FIELD(MDL__COUNT, mdl__look, "images", robustness.images),
    FIELD(MDL__REAL, mdl__look, "clean", robustness.clean),
    FIELD(MDL__REAL, mdl__look, "mean", robustness.mean),
    OBJECTS(mdl__look, "kinds", robustness.kinds, 32, corruption_fields, mdl__corruption),
    END,
};
static const mdl__field tta_fields[] = {
    FIELD(MDL__COUNT, mdl__look, "images", tta.images),
    FIELD(MDL__REAL, mdl__look, "plain", tta.plain),
    FIELD(MDL__REAL, mdl__look, "flip", tta.flip),
    FIELD(MDL__REAL, mdl__look, "shifts", tta.shifts),
    FIELD(MDL__REAL, mdl__look, "both", tta.both),
    END,
};
static const mdl__field steps_fields[] = {
    FIELD(MDL__COUNT, mdl__look, "trained", steps.trained),
    REALS(mdl__look, "top1", steps.top1, 1024),
    END,
};
static const mdl__field passes_fields[] = {
    FIELD(MDL__REAL, mdl__passes, "median_s", median),
    FIELD(MDL__REAL, mdl__passes, "p95_s", p95),
    FIELD(MDL__REAL, mdl__passes, "joules_per_image", joules),
    FIELD(MDL__COUNT, mdl__passes, "runs", runs),
    END,
};
static const mdl__field latency_fields[] = {
    OBJECT(mdl__look, "1", latency.one, passes_fields),
    OBJECT(mdl__look, "64", latency.many, passes_fields),
    END,
};
const mdl__field mdl__look_fields[] = {
    FIELD(MDL__TEXT, mdl__look, "id", row),
    FIELD(MDL__TEXT, mdl__look, "checkpoint", checkpoint),
    FIELD(MDL__TEXT, mdl__look, "data", data),
    FIELD(MDL__TEXT, mdl__look, "split", split),
    FIELD(MDL__COUNT, mdl__look, "images", images),
    FIELD(MDL__REAL, mdl__look, "top1", top1),
    FIELD(MDL__REAL, mdl__look, "low", low),
    FIELD(MDL__REAL, mdl__look, "high", high),
    FIELD(MDL__REAL, mdl__look, "loss", loss),
    /* These have the whole struct's offsets. */
    {"calibration", MDL__OBJECT, 0, 0, 0, calibration_fields},
    {"robustness", MDL__OBJECT, 0, 0, 0, robustness_fields},
    {"tta", MDL__OBJECT, 0, 0, 0, tta_fields},
    {"steps", MDL__OBJECT, 0, 0, 0, steps_fields},
    {"latency", MDL__OBJECT, 0, 0, 0, latency_fields},
    END,
};
const mdl__field mdl__evaluation_fields[] = {
    OBJECTS(mdl__folder, "models", looks, 64, mdl__look_fields, mdl__look),
    END,
};
static const mdl__field way_fields[] = {
    FIELD(MDL__FLAG, mdl__way, "aligned", aligned),
    FIELD(MDL__FLAG, mdl__way, "recalibrated", recalibrated),
    REALS(mdl__way, "top1", top1, MDL__ROWS_MOST),
    FIELD(MDL__REAL, mdl__way, "barrier", barrier),
    END,
};
static const mdl__field line_fields[] = {
    FIELD(MDL__TEXT, mdl__line, "arm", arm),
    FIELD(MDL__TEXT, mdl__line, "between", between),
    FIELD(MDL__TEXT, mdl__line, "first", first),
    FIELD(MDL__TEXT, mdl__line, "second", second),
    FIELD(MDL__COUNT, mdl__line, "images", images),
    REALS(mdl__line, "t", t, MDL__ROWS_MOST),
    OBJECTS(mdl__line, "lines", ways, 16, way_fields, mdl__way),
    END,
};
const mdl__field mdl__interpolation_fields[] = {
    OBJECTS(mdl__folder, "interpolations|paths", lines, 64, line_fields, mdl__line),
    END,
};
static const mdl__field member_fields[] = {
    FIELD(MDL__REAL, mdl__member, "id", id),
    FIELD(MDL__REAL, mdl__member, "top1", top1),
    FIELD(MDL__REAL, mdl__member, "owns", owns),
    FIELD(MDL__REAL, mdl__member, "ratio", ratio),
    {"right", MDL__TEXT, offsetof(mdl__member, right), 0, 1 << 24, NULL},
    REALS(mdl__member, "parents", parents, 2),
    END,
};
const mdl__field mdl__search_fields[] = {
    FIELD(MDL__REAL, mdl__search, "winner", winner),
    FIELD(MDL__FLAG, mdl__search, "is_average", is_average),
    FIELD(MDL__TEXT, mdl__search, "split", split),
    FIELD(MDL__COUNT, mdl__search, "images", images),
    OBJECTS(mdl__search, "members", members, 1 << 17, member_fields, mdl__member),
    OBJECTS(mdl__search, "ancestors", ancestors, 1 << 20, member_fields, mdl__member),
    END,
};
const mdl__field mdl__source_fields[] = {
    FIELD(MDL__REAL, mdl__source, "id", id),
    FIELD(MDL__TEXT, mdl__source, "source", source),
    END,
};
const mdl__field mdl__training_fields[] = {
    FIELD(MDL__TEXT, mdl__training, "role", role),
    FIELD(MDL__TEXT, mdl__training, "name", name),
    FIELD(MDL__TEXT, mdl__training, "depends", depends),
    FIELD(MDL__FLAG, mdl__training, "done", done),
    FIELD(MDL__REAL, mdl__training, "seconds", seconds),
    FIELD(MDL__COUNT, mdl__training, "seed", seed),
    FIELD(MDL__COUNT, mdl__training, "epochs", epochs),
    FIELD(MDL__COUNT, mdl__training, "steps", steps),
    END,
};
const mdl__field mdl__epoch_fields[] = {
    FIELD(MDL__REAL, mdl__epoch, "epoch", epoch),
    FIELD(MDL__REAL, mdl__epoch, "validation_top1|fitness_top1", top1),
    FIELD(MDL__REAL, mdl__epoch, "train_loss", loss),
    FIELD(MDL__REAL, mdl__epoch, "joules", joules),
    END,
};
static const mdl__field data_fields[] = {
    FIELD(MDL__TEXT, mdl__maker, "source", data.source),
    FIELD(MDL__TEXT, mdl__maker, "sha256", data.sha256),
    FIELD(MDL__COUNT, mdl__maker, "train", data.train),
    FIELD(MDL__COUNT, mdl__maker, "validation|held_out", data.validation),
    FIELD(MDL__COUNT, mdl__maker, "test", data.test),
    END,
};
static const mdl__field maker_fields[] = {
    FIELD(MDL__TEXT, mdl__maker, "version", version),
    FIELD(MDL__TEXT, mdl__maker, "revision", revision),
    FIELD(MDL__TEXT, mdl__maker, "compiler", compiler),
    FIELD(MDL__TEXT, mdl__maker, "backend", backend),
    FIELD(MDL__TEXT, mdl__maker, "device", device),
    FIELD(MDL__COUNT, mdl__maker, "threads", threads),
    FIELD(MDL__FLAG, mdl__maker, "tuned", tuned),
    {"data", MDL__OBJECT, 0, 0, 0, data_fields},
    END,
};
const mdl__field mdl__made_fields[] = {
    OBJECTS(mdl__folder, "by", makers, 10000, maker_fields, mdl__maker),
    END,
};
