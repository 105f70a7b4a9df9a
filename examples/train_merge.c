/* cc train_merge.c -o train_merge $(pkg-config --cflags --libs mendel)
 *
 * Trains a model twice from two random starts, merges the two, and says how good all three are: all
 * of it through the public functions.
 *     train_merge SPEC OUT [KEY=VALUE...]
 * SPEC is a source of images (digits, cifar10:DIR, folder:DIR), OUT a folder that is made. */
#include <stdio.h>
#include <string.h>

#include <mendel/mendel.h>

/* Called after each epoch; anything else than 0 would stop the training and save it. */
static int on_epoch(void *user, const mdl_train_epoch *epoch)
{
    (void)user;
    printf("  epoch %llu: loss %.3f, %.1f %% of the training images\n",
           (unsigned long long)epoch->epoch, epoch->train_loss, 100 * epoch->train_top1);
    return 0;
}

/* Print a result, which is JSON, and free it. */
static void print_result(const char *what, char *json)
{
    printf("%s: %s\n", what, json);
    mdl_free(json);
}

static mdl_status train(const mdl_config *config, const mdl_data *data, const char *out)
{
    mdl_train_options options = MDL_TRAIN_OPTIONS;
    options.out = out;
    options.on_epoch = on_epoch;
    return mdl_train(NULL, config, data, &options, NULL);
}

static mdl_status evaluate(const mdl_config *config, const mdl_data *data, const char *checkpoint)
{
    char *json;
    mdl_status status = mdl_evaluate(NULL, config, data, checkpoint, NULL, &json);
    if (status == MDL_OK)
        print_result(checkpoint, json);
    return status;
}

static mdl_status run(mdl_config *config, const mdl_data *data, const char *out)
{
    char folder[2][1024], model[2][1100], merged[1100], seed[2] = "1";
    const char *parents[2] = {model[0], model[1]};
    mdl_status status = MDL_OK;
    for (int i = 0; i < 2 && status == MDL_OK; i++) {
        snprintf(folder[i], sizeof(folder[i]), "%.1000s/seed-%d", out, i + 1);
        snprintf(model[i], sizeof(model[i]), "%.1000s/seed-%d/final.safetensors", out, i + 1);
        seed[0] = (char)('1' + i);
        status = mdl_config_set(config, "run.seed", seed);
        if (status == MDL_OK)
            status = train(config, data, folder[i]);
    }
    snprintf(merged, sizeof(merged), "%.1000s/merged.safetensors", out);
    if (status == MDL_OK)
        status = mdl_merge(NULL, config, data, parents, 2, merged, NULL, NULL);
    for (int i = 0; i < 2 && status == MDL_OK; i++)
        status = evaluate(config, data, model[i]);
    return status == MDL_OK ? evaluate(config, data, merged) : status;
}

int main(int argc, char **argv)
{
    mdl_config *config = NULL;
    mdl_data *data = NULL;
    if (argc < 3) {
        fprintf(stderr, "usage: %s SPEC OUT [KEY=VALUE...]\n", argv[0]);
        return 2;
    }
    mdl_status status = mdl_config_create(&config);
    for (int i = 3; i < argc && status == MDL_OK; i++)
        status = mdl_config_assign(config, argv[i]);
    if (status == MDL_OK)
        status = mdl_data_open(NULL, argv[1], config, &data);
    if (status == MDL_OK)
        status = run(config, data, argv[2]);
    if (status != MDL_OK)
        fprintf(stderr, "%s: %s\n", mdl_status_text(status), mdl_error_detail());
    mdl_data_close(data);
    mdl_config_destroy(config);
    return status == MDL_OK ? 0 : 1;
}
