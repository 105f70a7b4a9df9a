/* resume.state of a training: what its blocks mean.  Input: a byte (odd: stepwise supervision),
 * then blocks that take the place of those of a good state, which is made here. */
#include <string.h>

#include "first_state.h"
#include "fuzz.h"
#include "state_file.h"
#include "train/train_internal.h"

typedef struct training { /* a trainer that never runs, and its good state */
    mdl_model_config model;
    mdl_train_config train;
    mdl_train_job job;
    mdl__trainer trainer;
    char *state;
    size_t size;
    bool made;
} training;
static training trainings[2];
static mdl_device *device;
static mdl_data *images;

static void close_all(void)
{
    for (size_t i = 0; i < MDL_COUNT(trainings); i++) {
        if (trainings[i].made)
            mdl__trainer_destroy(&trainings[i].trainer);
        mdl_free(trainings[i].state);
    }
    mdl_data_close(images);
    mdl_device_close(device);
}

static void make(training *t, bool stepwise)
{
    const mdl__choice choice = {.micro_batch = 4};
    char folder[300];
    snprintf(folder, sizeof(folder), "%s/made", fuzz_folder());
    t->made = true;
    t->model = first_model(images, 2);
    t->model.kind = stepwise ? MDL_MODEL_HYBRID : MDL_MODEL_MLP;
    t->model.width = t->model.depth = 0.05;
    t->model.trm.dim = 2;
    t->model.trm.n_sup = 2;
    t->model.trm.supervision = MDL_SUPERVISION_STEPWISE;
    t->train = mdl_train_config_default();
    t->train.epochs = 3;
    t->train.batch = 4;
    if (stepwise) { /* its network is larger: fewer copies of it make more inputs a second */
        t->train.optim.kind = MDL_OPTIM_SGD;
        t->train.ema = 0;
    } else
        t->train.ema = 0.9;
    t->job = (mdl_train_job){.model = &t->model,
                             .train = &t->train,
                             .data = images,
                             .device = device,
                             .out = folder,
                             .config_text = "",
                             .resume = true};
    FUZZ_MUST(mdl__trainer_create(&t->job, choice, &t->trainer));
    t->trainer.choice = choice;
    if (stepwise)
        FUZZ_MUST(mdl__slots_fill(&t->trainer));
    FUZZ_MUST(mdl_make_folders(folder));
    FUZZ_MUST(mdl__state_save(&t->trainer));
    first_read(folder, &t->state, &t->size);
    t->job.out = fuzz_folder();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static state_bytes file;
    bool stepwise = (fuzz_byte(&data, &size) & 1) != 0;
    training *t = &trainings[stepwise ? 1 : 0];
    mdl_state *state = NULL;
    mdl__choice choice;
    if (images == NULL) {
        first_open(20, &images, &device);
        atexit(close_all);
    }
    if (!t->made)
        make(t, stepwise);
    state_begin(&file);
    state_overlay(&file, (const uint8_t *)t->state, t->size, data, size);
    state_end(&file);
    fuzz_file("resume.state", file.data, file.size);
    bool opened = fuzz_worked(mdl__state_open(&t->job, mdl_comm_single(), &state, &choice));
    fuzz_must(opened == (state != NULL), "there is a state where it was read");
    if (opened && fuzz_worked(mdl__state_load(&t->trainer, state)))
        fuzz_must(t->trainer.position.epoch <= t->train.epochs && choice.micro_batch > 0,
                  "what was read can go on");
    mdl_state_free(state);
    return 0;
}
