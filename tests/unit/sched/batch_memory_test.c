/* Who holds the memory of a batch, and what happens without. */
// covers: sched/batch
// wrap: tern_mem_alloc tern_mem_zalloc tern_mem_realloc tern_mem_alloc_aligned
#include "batch_fixture.h"

#include <pthread.h>
#include "base/account.h"
#include "harness/mem_fails.h"

static void count(void *arg)
{
    ++*(int *)arg;
}

/* Whatever the order in which the clients go, what the engine tied to the batch goes with the last
 * of them, and no sooner. */
static void test_the_last_one_releases(void **state)
{
    static const uint32_t orders[][3] = {{0, 1, 2}, {2, 1, 0}, {1, 2, 0}};
    struct tern_batch_pool *pool = new_pool();
    struct tern_batch *first = NULL;

    (void)state;
    for (size_t i = 0; i < TERN_COUNT_OF(orders); i++) {
        int released = 0;
        init_clients(3, 1);
        struct tern_batch *batch = gathered(pool, 3);
        assert_true(first == NULL || batch == first); /* the same one, over again */
        first = batch;
        assert_int_equal(tern_arena_on_reset(batch->run.arena, count, &released, NULL), TERN_OK);
        assert_int_equal(run_model(&batch->run, NULL), TERN_OK);
        tern_batch_scatter(batch, TERN_OK, NULL);
        for (uint32_t k = 0; k < 3; k++) {
            assert_int_equal(released, 0);
            assert_answered(&clients[orders[i][k]]);
            tern_arena_reset(&clients[orders[i][k]].arena);
        }
        assert_int_equal(released, 1);
        fini_clients(3);
    }
    tern_batch_pool_close(pool);
}

static void test_the_pool_goes_first(void **state)
{
    struct tern_batch_pool *pool = new_pool();

    (void)state;
    init_clients(3, 1);
    assert_int_equal(serve(pool, 3, NULL), TERN_OK);
    tern_batch_pool_close(pool);
    tern_batch_pool_close(NULL);
    for (uint32_t k = 0; k < 3; k++)
        assert_answered(&clients[k]);
    fini_clients(3);
}

/* Small and large batches, the large ones beyond what an arena keeps by itself. */
static void test_nothing_allocated_in_steady_state(void **state)
{
    static const int64_t times[] = {1, 40, 80};
    struct tern_batch_pool *pool = new_pool();

    (void)state;
    for (size_t i = 0; i < TERN_COUNT_OF(times); i++) {
        init_clients(WORKS_MAX, times[i]);
        for (int round = 0; round < 6; round++) {
            if (round == 3)
                mem_calls = 0;
            assert_int_equal(serve(pool, WORKS_MAX, NULL), TERN_OK);
            for (uint32_t k = 0; k < WORKS_MAX; k++) {
                assert_answered(&clients[k]);
                tern_arena_reset(&clients[k].arena);
            }
        }
        assert_int_equal(mem_calls, 0);
        fini_clients(WORKS_MAX);
    }
    tern_batch_pool_close(pool);
}

/* What the last client holds is charged until it lets go of it, to where its own memory is. */
static void test_a_batch_is_charged_while_it_is_out(void **state)
{
    struct tern_batch_pool *pool = new_pool();
    struct tern_account *account = NULL;
    struct tern_err err;

    (void)state;
    assert_int_equal(tern_account_new(64 << 20, 1, &account, NULL), TERN_OK);
    for (int64_t times = 1; times <= 80; times += 79) {
        for (int round = 0; round < 3; round++) { /* what it keeps for itself is used later, too */
            init_clients(WORKS_MAX, times);
            size_t least = 0;
            for (uint32_t k = 0; k < WORKS_MAX; k++) {
                clients[k].arena.till = tern_account_till(account, 0);
                least += 2 * (clients[k].inputs[0].n_bytes + clients[k].inputs[1].n_bytes);
            }
            assert_int_equal(serve(pool, WORKS_MAX, NULL), TERN_OK);
            for (uint32_t k = 0; k < WORKS_MAX; k++) {
                assert_true(tern_account_used(account) >= least);
                assert_answered(&clients[k]);
                tern_arena_reset(&clients[k].arena);
            }
            assert_int_equal(tern_account_used(account), 0);
            fini_clients(WORKS_MAX);
        }
    }
    tern_account_set_max(account, 4096);
    init_clients(2, 1);
    clients[0].arena.till = clients[1].arena.till = tern_account_till(account, 0);
    assert_int_equal(serve(pool, 2, &err), TERN_RESOURCE_EXHAUSTED);
    assert_int_equal(tern_account_used(account), 0);
    fini_clients(2);
    tern_batch_pool_close(pool);
    tern_account_free(account);
}

/* More idle ones than are kept. */
static void test_idle_max(void **state)
{
    struct tern_batch_pool *pool = new_pool();
    struct tern_batch *batches[4];

    (void)state;
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(tern_batch_take(pool, &batches[i], NULL), TERN_OK);
    for (size_t i = 0; i < 4; i++)
        tern_batch_give_back(batches[i]);
    mem_calls = 0;
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(tern_batch_take(pool, &batches[i], NULL), TERN_OK);
    assert_int_equal(mem_calls, 4 - (long)settings.idle_max);
    for (size_t i = 0; i < 4; i++)
        tern_batch_give_back(batches[i]);
    tern_batch_pool_close(pool);
}

/* Each call for memory fails once: every work then has an answer or a text. */
static void test_no_memory(void **state)
{
    long failed = 0, calls = 0;
    bool reached = true;

    (void)state;
    for (long at = 0; reached; at++) {
        struct tern_batch_pool *pool = NULL;
        struct tern_err err = {.code = TERN_OK};
        init_clients(5, 20);
        mem_calls = 0;
        mem_fail_at = at;
        enum tern_code code = tern_batch_pool_new(&settings, &pool, &err);
        if (code == TERN_OK)
            code = serve(pool, 5, &err);
        calls = mem_calls;
        reached = mem_calls > at;
        mem_fail_at = -1;
        failed += code != TERN_OK;
        if (code != TERN_OK)
            assert_int_equal(err.code, TERN_RESOURCE_EXHAUSTED);
        for (uint32_t k = 0; code == TERN_OK && k < 5; k++) {
            if (clients[k].work.code == TERN_OK) {
                assert_answered(&clients[k]);
                continue;
            }
            failed++;
            assert_int_equal(clients[k].work.code, TERN_RESOURCE_EXHAUSTED);
            assert_int_equal(clients[k].err.code, TERN_RESOURCE_EXHAUSTED);
        }
        fini_clients(5);
        tern_batch_pool_close(pool);
    }
    assert_true(failed >= calls && calls > 8); /* pool, batch, its chunks, one chunk a client */
}

/* The bounds of the batch and of one client. */
static void test_no_room(void **state)
{
    struct tern_batch_settings small = settings;
    struct tern_batch_pool *pool = NULL;
    struct tern_err err;
    bool worked = false;

    (void)state;
    for (small.memory_max = 0; !worked; small.memory_max += 16) {
        init_clients(3, 1);
        assert_int_equal(tern_batch_pool_new(&small, &pool, NULL), TERN_OK);
        enum tern_code code = serve(pool, 3, &err);
        worked = code == TERN_OK && clients[0].work.code == TERN_OK;
        for (uint32_t k = 0; k < 3 && !worked; k++)
            assert_int_equal(code != TERN_OK ? code : clients[k].work.code,
                             TERN_RESOURCE_EXHAUSTED);
        fini_clients(3);
        tern_batch_pool_close(pool);
    }
    pool = new_pool();
    init_clients(3, 1);
    clients[1].arena.max = 8;
    assert_int_equal(serve(pool, 3, &err), TERN_OK);
    assert_answered(&clients[0]);
    assert_int_equal(clients[1].work.code, TERN_RESOURCE_EXHAUSTED);
    assert_non_null(strstr(clients[1].err.text, "a cleanup"));
    assert_answered(&clients[2]);
    fini_clients(3);
    tern_batch_pool_close(pool);
}

static void *go(void *arg)
{
    struct client *c = arg;
    tern_arena_fini(&c->arena);
    return NULL;
}

/* While batches of before come home on other threads, new ones are taken. */
static void test_clients_go_on_their_threads(void **state)
{
    struct tern_batch_pool *pool = new_pool();

    (void)state;
    for (int round = 0; round < 50; round++) {
        pthread_t threads[4];
        init_clients(4, 1);
        assert_int_equal(serve(pool, 2, NULL), TERN_OK);
        memmove(works, works + 2, 2 * sizeof(works[0]));
        assert_int_equal(serve(pool, 2, NULL), TERN_OK);
        for (uint32_t k = 0; k < 4; k++) {
            assert_answered(&clients[k]);
            assert_int_equal(pthread_create(&threads[k], NULL, go, &clients[k]), 0);
        }
        struct tern_batch *batch = NULL;
        assert_int_equal(tern_batch_take(pool, &batch, NULL), TERN_OK);
        for (uint32_t k = 0; k < 4; k++)
            pthread_join(threads[k], NULL);
        tern_batch_give_back(batch);
    }
    tern_batch_pool_close(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_last_one_releases),
        cmocka_unit_test(test_the_pool_goes_first),
        cmocka_unit_test(test_nothing_allocated_in_steady_state),
        cmocka_unit_test(test_a_batch_is_charged_while_it_is_out),
        cmocka_unit_test(test_idle_max),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_no_room),
        cmocka_unit_test(test_clients_go_on_their_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
