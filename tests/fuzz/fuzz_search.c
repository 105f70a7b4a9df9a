/* resume.state of a search: what its blocks mean, and what the search does with the members it has
 * got from there; then its lineage.jsonl.  Input: blocks that take the place of those of a good
 * state, which is made here; behind "===\n" lineage.jsonl, where there is one. */
#include <string.h>

#include "first_state.h"
#include "fuzz.h"
#include "merge/search.h"
#include "state_file.h"

enum { PLACES = 3, SAMPLES = 6 };

static mdl_data *images;
static mdl_device *device;
static mdl_model_config model;
static mdl_merge_config merge;
static mdl_merge_job job;
static mdl__merge_context context;
static mdl__search search;
static char *good;
static size_t good_size;

static void close_all(void)
{
    for (size_t i = 0; i < search.n_genomes; i++)
        mdl_weights_destroy(&search.genomes[i]);
    mdl_free(search.genomes);
    mdl_free(search.origin_ids);
    mdl_free(search.spare);
    mdl__archive_destroy(&search.archive);
    mdl__merge_context_destroy(&context);
    mdl_data_close(images);
    mdl_device_close(device);
    mdl_free(good);
}

static void configure(void)
{
    first_open(10, &images, &device);
    model = first_model(images, 1);
    merge = mdl_merge_config_default();
    merge.archive = PLACES;
    merge.batch = 1;
    merge.evaluations = 10;
    merge.from_scratch = 2;
    merge.slerp_all = true;
    job = (mdl_merge_job){.model = &model,
                          .merge = &merge,
                          .data = images,
                          .device = device,
                          .seed = 1,
                          .out = fuzz_folder(),
                          .config_text = "",
                          .resume = true};
}

/* As mdl_search_run makes it, without what only judging needs. */
static void make_search(void)
{
    mdl__search *s = &search;
    FUZZ_MUST(mdl__merge_context_create(&job, device, false, &context));
    *s = (mdl__search){.job = &job,
                       .config = &merge,
                       .strategy = mdl__strategy_of(merge.search),
                       .context = &context,
                       .ranks = {.comm = mdl_comm_single()},
                       .batch = 1,
                       .total = merge.evaluations,
                       .next_id = 4,
                       .n_genomes = PLACES + 1};
    FUZZ_MUST(mdl__archive_create(PLACES, SAMPLES, merge.alpha, &s->archive));
    FUZZ_MUST(MDL_NEW(s->n_genomes, "genomes", &s->genomes));
    FUZZ_MUST(MDL_NEW(1, "origins", &s->origin_ids));
    FUZZ_MUST(MDL_NEW(1, "spare", &s->spare));
    s->spare[0] = PLACES;
    for (size_t i = 0; i < PLACES; i++) {
        FUZZ_MUST(mdl__search_genome(s, i));
        s->archive.member[i] = (mdl__member){.id = i + 1, .genome = i, .top1 = 0.5, .loss = 1};
        for (size_t j = 0; j < SAMPLES; j++)
            s->archive.scores[i][j] = (float)((i + j) % 2);
    }
}

static void save_good(void)
{
    static const char lines[] =
        "{\"id\": 1, \"source\": \"random 0\", \"kept\": false}\n"
        "{\"id\": 2, \"source\": \"random 1\", \"kept\": false}\n"
        "{\"id\": 3, \"parents\": [1, 2], \"ratio\": 0.5, \"split\": 3, \"kept\": false}\n";
    char path[MDL_PATH_MAX];
    FUZZ_MUST(mdl__lineage_open(&search));
    fuzz_must(fputs(lines, search.lineage) >= 0, "the lineage can be written");
    search.lineage_bytes = sizeof(lines) - 1;
    FUZZ_MUST(mdl__search_save(&search));
    fclose(search.lineage);
    search.lineage = NULL;
    first_read(fuzz_folder(), &good, &good_size);
    FUZZ_MUST(mdl_path(path, sizeof(path), fuzz_folder(), "resume.state"));
    FUZZ_MUST(mdl_remove_file(path));
    FUZZ_MUST(mdl_path(path, sizeof(path), fuzz_folder(), "lineage.jsonl"));
    FUZZ_MUST(mdl_remove_file(path));
    fuzz_file("lineage.jsonl", lines, sizeof(lines) - 1);
}

/* Selection with the scores that were read, as the next children would do it. */
static void select_parents(mdl__archive *a)
{
    uint32_t order[SAMPLES];
    double room[SAMPLES];
    mdl__archive_rate(a, a->places);
    for (int i = 0; i < 3; i++) {
        size_t first = mdl__archive_first(a, 0.499 * i);
        fuzz_must(first < a->places, "the first parent has a place");
        fuzz_must(mdl__archive_second(a, first, 0.499 * i) < a->places,
                  "the second parent has a place");
    }
    mdl__archive_hardest_first(a, order);
    (void)mdl__archive_cannot_enter(a, a->scores[a->places], room);
    fuzz_must(mdl__archive_replace(a) <= a->places, "who goes has a place");
}

static void check_members(void)
{
    const mdl__archive *a = &search.archive;
    for (size_t i = 0; i < a->places; i++) {
        fuzz_must(a->member[i].id < search.next_id, "a member's number was given out");
        for (size_t j = 0; j < a->samples && a->member[i].id != 0; j++)
            fuzz_must(a->scores[i][j] >= 0 && a->scores[i][j] <= 1, "scores are 0 to 1");
    }
}

static bool any_member(const mdl__archive *a, size_t *place)
{
    for (*place = 0; *place < a->places; (*place)++)
        if (a->member[*place].id != 0)
            return true;
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static state_bytes file;
    const uint8_t *blocks;
    bool found = false;
    size_t place;
    if (images == NULL) {
        configure();
        make_search();
        save_good();
        atexit(close_all);
    }
    size_t blocks_size = fuzz_part(&data, &size, "===\n", &blocks);
    state_begin(&file);
    state_overlay(&file, (const uint8_t *)good, good_size, blocks, blocks_size);
    state_end(&file);
    fuzz_file("resume.state", file.data, file.size);
    if (!fuzz_worked(mdl__search_load(&search, &found)) || !found)
        return 0;
    check_members();
    if (!any_member(&search.archive, &place))
        return 0;
    /* The end of a search writes files: only where it is asked for.  A state of a longer lineage is
     * refused when that is opened. */
    if (size > 0 && search.lineage_bytes <= size) {
        fuzz_file("lineage.jsonl", data, size);
        (void)fuzz_worked(mdl__write_winner(&search, place, false));
    }
    select_parents(&search.archive);
    return 0;
}
