/* The collective calls over ranks that are threads with random delays. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "thread_ranks.h"

static void gather(rank *r)
{
    int64_t own = 100 + r->comm->rank;
    for (int i = 0; i < 20 && r->status == MDL_OK; i++)
        r->status = mdl_comm_allgather(r->comm, &own, sizeof(own), r->all);
}

static void all_have_all(void **state)
{
    (void)state;
    rank ranks[MOST];
    for (int n = 1; n <= MOST; n++) {
        with_ranks(n, gather, ranks);
        for (int i = 0; i < n; i++) {
            assert_int_equal(ranks[i].status, MDL_OK);
            for (int k = 0; k < n; k++)
                assert_int_equal(ranks[i].all[k], 100 + k);
        }
    }
}

static void spread(rank *r)
{
    r->status = MDL_OK;
    for (int root = 0; root < r->comm->size && r->status == MDL_OK; root++) {
        char *text = NULL;
        size_t size = 0;
        r->number = r->comm->rank == root ? 7 + root : 0;
        r->status = mdl_comm_broadcast(r->comm, &r->number, sizeof(r->number), root);
        if (r->number != 7 + root)
            r->status = mdl_fail(MDL_NUMERIC, "root %d", root);
        if (r->comm->rank == root && r->status == MDL_OK) {
            r->status = mdl_strdup("from the root", &text);
            size = 13;
        }
        if (r->status == MDL_OK)
            r->status = mdl_comm_broadcast_text(r->comm, &text, &size, root);
        if (r->status == MDL_OK)
            snprintf(r->text, sizeof(r->text), "%zu %s", size, text);
        mdl_free(text);
    }
}

static void the_root_tells_all(void **state)
{
    (void)state;
    rank ranks[MOST];
    for (int n = 1; n <= MOST; n++) {
        with_ranks(n, spread, ranks);
        for (int i = 0; i < n; i++) {
            assert_int_equal(ranks[i].status, MDL_OK);
            assert_string_equal(ranks[i].text, "13 from the root");
        }
    }
}

static void two_fail(rank *r)
{
    mdl_status own = MDL_OK;
    if (r->comm->rank == 2)
        own = mdl_fail(MDL_IO, "no space left");
    if (r->comm->rank == 3)
        own = mdl_fail(MDL_NO_MEMORY, "too little");
    r->status = mdl_comm_agree(r->comm, own);
    r->number = mdl_comm_agreed(r->comm, r->status);
    r->status = mdl_comm_agree(r->comm, r->status); /* nothing is sent any more */
}

static void all_learn_of_a_failure(void **state)
{
    (void)state;
    rank ranks[MOST];
    with_ranks(4, two_fail, ranks);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(ranks[i].status, MDL_IO);
        assert_true(ranks[i].number);
        assert_non_null(strstr(ranks[i].detail, "rank 2 ("));
        assert_non_null(strstr(ranks[i].detail, "): no space left"));
    }
}

static void differ(rank *r)
{
    r->status = mdl_comm_same(r->comm, "the version", "1.0");
    if (r->status == MDL_OK)
        r->status = mdl_comm_same(r->comm, "the configuration",
                                  r->comm->rank == 1 ? "a 1\nb 3\n" : "a 1\nb 2\n");
}

static void the_line_that_differs_is_named(void **state)
{
    (void)state;
    rank ranks[MOST];
    with_ranks(3, differ, ranks);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(ranks[i].status, MDL_CONFIG);
        assert_non_null(strstr(ranks[i].detail, "rank 1 ("));
        assert_non_null(strstr(ranks[i].detail, "the configuration is not that of rank 0: \"b 2\" "
                                                "there, \"b 3\" here"));
    }
}

static void one_hangs(rank *r)
{
    int64_t own = 0;
    r->status = mdl_comm_set_patience(r->comm, 0.05);
    if (r->comm->rank == 1)
        return; /* it never comes */
    r->status = mdl_comm_allgather(r->comm, &own, sizeof(own), r->all);
    r->number = mdl_comm_agree(r->comm, r->status);
}

static void a_rank_that_hangs_is_seen(void **state)
{
    (void)state;
    rank ranks[MOST];
    with_ranks(2, one_hangs, ranks);
    assert_int_equal(ranks[0].status, MDL_DEVICE);
    assert_int_equal(ranks[0].number, MDL_DEVICE);
    assert_non_null(strstr(ranks[0].detail, "nothing came from rank 1 ("));
}

static void one_aborts(rank *r)
{
    int64_t own = 0;
    if (r->comm->rank == 0)
        mdl_comm_abort(r->comm, 3);
    else
        r->status = mdl_comm_allgather(r->comm, &own, sizeof(own), r->all);
}

static void an_abort_ends_all(void **state)
{
    (void)state;
    rank ranks[MOST];
    with_ranks(3, one_aborts, ranks);
    assert_int_equal(ranks[1].status, MDL_DEVICE);
    assert_int_equal(ranks[2].status, MDL_DEVICE);
}

static void hosts_are_counted(rank *r)
{
    r->number = mdl_comm_ranks_here(r->comm);
    snprintf(r->text, sizeof(r->text), "%s", mdl_comm_name(r->comm));
}

static void ranks_know_each_other(void **state)
{
    (void)state;
    rank ranks[MOST];
    with_ranks(3, hosts_are_counted, ranks);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(ranks[i].number, 3);
        assert_string_equal(ranks[i].text, "threads");
    }
}

/* ---- sums over shards ----------------------------------------------------------------------- */

enum { SHARDS = 12, ELEMENTS = 1000 };

/* Values whose sum depends on the order of the additions. */
static float value_of(size_t shard, size_t i)
{
    uint32_t word[4];
    mdl_philox(1, shard, i, word);
    return ((float)word[0] / 4294967296.0F - 0.5F) * (float)(1 + word[1] % 1000);
}

static float shards_here[MOST][SHARDS][ELEMENTS]; /* by rank: parts of its sum */
static float result[MOST][ELEMENTS];
static size_t shards; /* of this sum */
static bool narrow;

/* The nodes of this rank's shards, each summed by a tree of its own. */
static void sum_shards(rank *r)
{
    const mdl_comm *comm = r->comm;
    float(*mine)[ELEMENTS] = shards_here[comm->rank];
    size_t own = shards / (size_t)comm->size, first = own * (size_t)comm->rank;
    mdl_span spans[MDL_SPANS_MOST];
    size_t n = mdl_shard_spans(shards, first, own, spans);
    mdl_shard_sum sum = {.shards = shards, .count = ELEMENTS, .narrow = narrow};
    uint64_t ticket;
    for (size_t k = 0; k < n; k++) { /* a node is a power of two, or the end of the tree */
        float(*at)[ELEMENTS] = mine + (spans[k].first - first);
        for (size_t j = 0; j < spans[k].count; j++)
            for (size_t i = 0; i < ELEMENTS; i++)
                at[j][i] = value_of(spans[k].first + j, i);
        if (narrow)
            mdl_vector_round(at[0], spans[k].count * ELEMENTS);
        /* By hand: neighbours, then neighbours of these, and so on. */
        for (size_t width = 1; width < spans[k].count; width *= 2)
            for (size_t j = 0; j + width < spans[k].count; j += 2 * width)
                mdl_vector_add(at[j], at[j + width], ELEMENTS, false);
        sum.parts[k] = at[0];
    }
    size_t scratch = mdl_shard_scratch(comm, shards, ELEMENTS, narrow);
    r->status = mdl_alloc(scratch + 1, sizeof(float), "scratch", &sum.scratch);
    if (r->status != MDL_OK)
        return;
    mdl_shard_sum_start(comm, &sum, &ticket);
    r->status = mdl_shard_sum_wait(comm, ticket);
    memcpy(result[comm->rank], sum.parts[n - 1], sizeof(result[0]));
    mdl_free(sum.scratch);
}

static void sum_over_all(void)
{
    rank ranks[MOST];
    static float once[ELEMENTS];
    for (shards = 1; shards <= SHARDS; shards++)
        for (int n = 1; n <= MOST; n++) {
            if (shards % (size_t)n != 0)
                continue;
            with_ranks(n, sum_shards, ranks);
            if (n == 1)
                memcpy(once, result[0], sizeof(once));
            for (int i = 0; i < n; i++) {
                assert_int_equal(ranks[i].status, MDL_OK);
                assert_memory_equal(result[i], once, sizeof(once));
            }
        }
}

static void sums_do_not_depend_on_the_ranks(void **state)
{
    (void)state;
    sum_over_all();
}

static void rounded_sums_do_neither(void **state)
{
    (void)state;
    narrow = true;
    sum_over_all();
    for (size_t i = 0; i < ELEMENTS; i++) /* of the last one */
        assert_true(mdl_bf16_value(mdl_bf16_of(result[0][i])) == result[0][i]);
    narrow = false;
}

/* A node that is joined: 3 + (2 + (1 + x)), where x alone was not yet rounded. */
static void nodes_join_in_order(void **state)
{
    (void)state;
    static const float one = 1, two = 2, three = 3;
    float x = 1 + 1.0F / 256; /* half of a last place, to even */
    uint64_t ticket;
    mdl_shard_sum sum = {.shards = 8,
                         .count = 1,
                         .narrow = true,
                         .parts = {&x},
                         .n_joined = 3,
                         .joined = {&one, &two, &three}};
    mdl_shard_sum_start(mdl_comm_single(), &sum, &ticket);
    assert_true(x == 7);
}

/* Rank 2 has failed before the others begin sums. */
static void fails_before(rank *r)
{
    float part[4] = {1, 1, 1, 1}, scratch[64];
    mdl_shard_sum sum = {.shards = 4, .count = 4, .parts = {part}, .scratch = scratch};
    uint64_t ticket = 0;
    if (r->comm->rank == 2) {
        r->status = mdl_comm_agree(r->comm, mdl_fail(MDL_IO, "no space left"));
        return;
    }
    mdl_comm_gate(r->comm);
    mdl_shard_sum_start(r->comm, &sum, &ticket);
    r->status = mdl_shard_sum_wait(r->comm, ticket);
    r->number = mdl_comm_agreed(r->comm, r->status);
}

static void a_gate_is_shut_by_who_failed(void **state)
{
    (void)state;
    rank ranks[MOST];
    with_ranks(4, fails_before, ranks);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(ranks[i].status, MDL_IO);
        assert_true(i == 2 || ranks[i].number);
        assert_non_null(strstr(ranks[i].detail, "rank 2 ("));
        assert_non_null(strstr(ranks[i].detail, "): no space left"));
    }
}

/* Five shards: ((0 + 1) + (2 + 3)) + 4. */
static void the_tree_is_the_one_described(void **state)
{
    (void)state;
    mdl_shard_sum sum = {.shards = 5, .count = 1};
    mdl_span spans[MDL_SPANS_MOST];
    uint64_t ticket;
    assert_int_equal(mdl_shard_spans(5, 0, 5, spans), 1);
    assert_int_equal(mdl_shard_spans(6, 3, 3, spans), 2);
    assert_int_equal(spans[0].first, 3);
    assert_int_equal(spans[0].count, 1);
    assert_int_equal(spans[1].first, 4);
    assert_int_equal(spans[1].count, 2);
    float whole = 5;
    sum.parts[0] = &whole;
    mdl_shard_sum_start(mdl_comm_single(), &sum, &ticket);
    assert_true(whole == 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_have_all),
        cmocka_unit_test(the_root_tells_all),
        cmocka_unit_test(all_learn_of_a_failure),
        cmocka_unit_test(the_line_that_differs_is_named),
        cmocka_unit_test(a_rank_that_hangs_is_seen),
        cmocka_unit_test(an_abort_ends_all),
        cmocka_unit_test(ranks_know_each_other),
        cmocka_unit_test(sums_do_not_depend_on_the_ranks),
        cmocka_unit_test(the_tree_is_the_one_described),
        cmocka_unit_test(rounded_sums_do_neither),
        cmocka_unit_test(nodes_join_in_order),
        cmocka_unit_test(a_gate_is_shut_by_who_failed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
