/* Accuracy on a published set of corrupted images, by corruption and severity, and the mean
 * corruption error.  D. Hendrycks and T. Dietterich (2019) divide the errors of ImageNet-C by
 * AlexNet's, CE_c = sum_s E_{s,c} / sum_s E_{s,c}^AlexNet, and take the mean over 15 corruptions.
 * For CIFAR-10-C nothing is divided: the figure is the mean of E_{s,c} over 15 corruptions and 5
 * severities (D. Hendrycks et al., AugMix, 2020, section 4).  Extra corruptions do not count. */
#include <math.h>

#include <jansson.h>

#include "train/assess.h"

typedef struct cells { /* of one corruption, by severity */
    size_t images[MDL_SEVERITIES], right[MDL_SEVERITIES];
} cells;

static mdl_status count_cells(const mdl_scores *scores, const mdl_data *data,
                              const mdl_dataset *set, cells **out)
{
    MDL_TRY(MDL_NEW(set->n_parts, "corruptions", out));
    for (size_t i = 0; i < scores->count; i++) {
        size_t image = data->index[MDL_SPLIT_TEST][i];
        for (size_t p = 0; p < set->n_parts; p++) {
            const mdl_set_part *part = &set->parts[p];
            if (image < part->first || image - part->first >= part->count)
                continue;
            size_t severity = (image - part->first) * MDL_SEVERITIES / part->count;
            (*out)[p].images[severity]++;
            (*out)[p].right[severity] += scores->correct[i] > 0;
        }
    }
    return MDL_OK;
}

/* The accuracies of a corruption, a list, and their mean; not a number where images are missing. */
static json_t *accuracies(const cells *c, double *mean)
{
    json_t *list = mdl_json_pack("[]");
    *mean = 0;
    for (size_t s = 0; s < MDL_SEVERITIES; s++) {
        double top1 = c->images[s] > 0 ? (double)c->right[s] / (double)c->images[s] : (double)NAN;
        mdl_json_append(&list, mdl_json_pack("f", top1));
        *mean += top1 / MDL_SEVERITIES;
    }
    return list;
}

static json_t *make_json(const mdl_dataset *set, const cells *counted)
{
    json_t *kinds = mdl_json_pack("[]");
    double sum = 0;
    size_t published = 0;
    for (size_t p = 0; p < set->n_parts; p++) {
        const mdl_set_part *part = &set->parts[p];
        double mean;
        json_t *list = accuracies(&counted[p], &mean);
        mdl_json_append(&kinds, mdl_json_pack("{s:s, s:s, s:b, s:o, s:f}", "name", part->name,
                                              "group", part->group, "extra", part->extra, "top1",
                                              list, "mean", mean));
        if (!part->extra) {
            sum += mean;
            published++;
        }
    }
    double mean = published > 0 ? sum / (double)published : (double)NAN;
    return mdl_json_pack("{s:I, s:f, s:f, s:o}", "published_kinds", (json_int_t)published, "mean",
                         mean, "mean_corruption_error",
                         published == MDL_CORRUPTIONS ? 1 - mean : (double)NAN, "kinds", kinds);
}

mdl_status mdl_published_json(const mdl_scores *scores, const mdl_data *data, mdl_split split,
                              json_t **out)
{
    const mdl_dataset *set = mdl_data_set(data, split);
    cells *counted;
    *out = NULL;
    if (split != MDL_SPLIT_TEST || set->n_parts == 0)
        return MDL_OK;
    MDL_TRY(count_cells(scores, data, set, &counted));
    *out = make_json(set, counted);
    mdl_free(counted);
    return MDL_OK;
}
