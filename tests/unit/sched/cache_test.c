/* The stage that remembers answers. Those that ask what is being computed are in
 * cache_followers_test.c. */
// covers: sched/cache sched/cache_answer sched/cache_life sched/cache_redis sched/submit
// wrap: tern_clock_mono_ns tern_mem_alloc tern_mem_zalloc tern_mem_realloc tern_mem_alloc_aligned
// wrap: tern_wide_hash_end
#include "harness/cache_rig.h"

static void check_hits(bool inline_runs)
{
    struct rig r;
    bool hit;

    rig_start(&r, (struct plan){.inline_runs = inline_runs});
    assert_int_equal(ask(&r, 0, 5, &hit), 1);
    assert_false(hit);
    assert_int_equal(ask(&r, 0, 5, &hit), 1);
    assert_true(hit);
    assert_int_equal(ask(&r, 1, 5, &hit), 1);
    assert_true(hit);
    assert_int_equal(ask(&r, 1, 6, &hit), 2);
    assert_false(hit);
    assert_int_equal(usage(&r).entries, 2);
    rig_stop(&r);
}

static void test_a_known_answer_needs_no_run(void **state)
{
    (void)state;
    check_hits(true);
    check_hits(false);
}

static void test_large_answers_are_shared(void **state)
{
    static uint32_t values[5000];
    struct item a, b;
    struct rig r;
    (void)state;

    rig_start(&r, (struct plan){.inline_runs = true});
    for (struct item *item = &a;; item = &b) {
        item_init(item, &r, 0, 0);
        item->x.data = values;
        item->x.n_bytes = sizeof(values);
        item->x.shape = (struct tern_shape){2, {50, 100}};
        if (item == &b) { /* the other way round */
            b.out_spec[0] = 1;
            b.out_spec[1] = 0;
        }
        submit(item);
        wait_done(item);
        assert_answered(item);
        if (item == &b)
            break;
    }
    assert_true(b.work.from_cache);
    assert_int_equal(run_number(&b), 1);
    size_t before = b.arena.used;
    assert_true(before < sizeof(values));
    rig_stop(&r); /* what b reads outlives the store */
    assert_answered(&b);
    item_fini(&a);
    item_fini(&b);
}

static void test_collisions_of_the_hash_are_misses(void **state)
{
    static uint32_t values[2][5000] = {{1}, {2}};
    struct rig r;
    bool hit;
    (void)state;

    rig_start(&r, (struct plan){.inline_runs = true});
    hash_words = 0; /* short questions are compared themselves */
    for (uint32_t i = 1; i <= 20; i++) {
        assert_int_equal(ask(&r, 0, i, &hit), i);
        assert_false(hit);
    }
    assert_int_equal(ask(&r, 0, 13, &hit), 13);
    assert_true(hit);
    hash_words = 2; /* long ones have the other half of the hash */
    for (uint32_t i = 0; i < 4; i++) {
        struct item item;
        item_init(&item, &r, 0, 0);
        item.x.data = values[i % 2];
        item.x.n_bytes = sizeof(values[0]);
        item.x.shape = (struct tern_shape){1, {5000}};
        submit(&item);
        wait_done(&item);
        assert_answered(&item);
        assert_int_equal(item.work.from_cache, i >= 2);
        item_fini(&item);
    }
    rig_stop(&r);
}

static void test_errors_are_not_remembered(void **state)
{
    struct rig r;
    struct item item;
    bool hit;
    (void)state;

    rig_start(&r, (struct plan){.inline_runs = true});
    fails_with = TERN_INTERNAL;
    item_init(&item, &r, 0, 5);
    submit(&item);
    assert_int_equal(wait_done(&item), TERN_INTERNAL);
    item_fini(&item);
    fails_with = TERN_OK;
    assert_int_equal(ask(&r, 0, 5, &hit), 2);
    assert_false(hit);
    rig_stop(&r);
}

static void test_another_load_begins_with_nothing(void **state)
{
    struct rig r;
    bool hit;
    (void)state;

    rig_start(&r, (struct plan){.inline_runs = true});
    ask(&r, 0, 5, &hit);
    tern_sched_remove(r.sched, &r.version);
    assert_int_equal(usage(&r).entries, 0);
    assert_int_equal(tern_sched_add(r.sched, &r.version, NULL), TERN_OK);
    assert_int_equal(ask(&r, 0, 5, &hit), 2);
    assert_false(hit);
    rig_stop(&r);
}

static void test_who_is_not_cached(void **state)
{
    static const struct tern_sequencing sequencing;
    struct tern_model_version version = {0};
    struct rig r;
    struct tern_cache *none = NULL;
    (void)state;

    assert_int_equal(tern_cache_new(&(struct tern_cache_settings){0}, &none, NULL), TERN_OK);
    assert_null(none);
    rig_start(&r, (struct plan){.inline_runs = true});
    assert_int_equal(tern_cache_add(r.cache, &version, NULL), TERN_OK);
    assert_null(version.cache); /* no configuration */
    version.scheduling = &r.scheduling;
    assert_int_equal(tern_cache_add(NULL, &version, NULL), TERN_OK);
    assert_null(version.cache); /* no cache */
    version.info.decoupled = true;
    assert_int_equal(tern_cache_add(r.cache, &version, NULL), TERN_OK);
    assert_null(version.cache);
    version.info.decoupled = false;
    version.sequencing = &sequencing;
    assert_int_equal(tern_cache_add(r.cache, &version, NULL), TERN_OK);
    assert_null(version.cache);
    version.sequencing = NULL;
    r.scheduling.cached = false;
    assert_int_equal(tern_cache_add(r.cache, &version, NULL), TERN_OK);
    assert_null(version.cache);
    tern_cache_remove(&version);
    rig_stop(&r);
}

/* A client may write into memory it shares while its request runs: what runs is what was hashed. */
static void test_shared_memory_is_copied_before_it_is_hashed(void **state)
{
    struct rig r;
    struct item item;
    bool hit;
    (void)state;

    rig_start(&r, (struct plan){0});
    gate_armed = true;
    item_init(&item, &r, 0, 5);
    item.x.region = &item.region;
    submit(&item);
    wait_entered(1);
    item.value = 6;
    open_gate(1);
    wait_done(&item);
    assert_int_equal(*(uint32_t *)item.y[0].data, 10);
    item_fini(&item);
    gate_armed = false;
    assert_int_equal(ask(&r, 0, 5, &hit), 1);
    assert_true(hit);
    assert_int_equal(ask(&r, 0, 6, &hit), 2);
    assert_false(hit);
    rig_stop(&r);
}

static void test_work_without_a_key_goes_on_and_can_be_cancelled(void **state)
{
    struct rig r;
    struct item a, b;
    (void)state;

    rig_start(&r, (struct plan){0});
    engine_cancels = gate_armed = true;
    r.version.engine.ops = &cancel_ops;
    item_init(&a, &r, 0, 5);
    item_init(&b, &r, 0, 5);
    a.out_spec[1] = b.out_spec[1] = 0; /* one output twice */
    submit(&a);
    submit(&b);
    wait_entered(2);
    cancel(&a);
    assert_int_equal(wait_done(&a), TERN_CANCELLED);
    open_gate(1);
    assert_int_equal(wait_done(&b), TERN_OK);
    assert_int_equal(runs_now(), 2);
    assert_int_equal(usage(&r).entries, 0);
    item_fini(&a);
    item_fini(&b);
    rig_stop(&r);
}

/* ---- all at once ---- */

#define STORM 600

/* Half of a storm, from its own loop: nobody waits for anybody. */
struct wave {
    struct item *items;
    uint32_t loop;
};

static void submit_wave(void *arg)
{
    struct wave *wave = arg;

    for (uint32_t i = wave->loop; i < STORM; i += LOOPS) {
        submit_now(&wave->items[i]);
        uint32_t before = i < 20 ? i : i - 20;
        if (i % 5 == wave->loop && wave->items[before].answers == 0)
            tern_sched_cancel(wave->items[before].rig->sched, &wave->items[before].work);
    }
}

static void *make_wave(void *arg)
{
    struct wave *wave = arg;

    loop_thread_call(&wave->items[0].rig->loops[wave->loop], submit_wave, wave);
    return NULL;
}

/* Requests of few questions on two loops, some cancelled: each is answered once, and rightly. */
static void test_a_storm(void **state)
{
    static struct item items[STORM];
    struct wave waves[LOOPS];
    pthread_t threads[LOOPS];
    struct rig r;
    uint32_t answered = 0;
    (void)state;

    rig_start(&r, (struct plan){.bytes = 3000});
    engine_cancels = gate_armed = true;
    r.version.engine.ops = &cancel_ops;
    allowed = STORM;
    for (uint32_t i = 0; i < STORM; i++)
        item_init(&items[i], &r, i % LOOPS, i / 10 % 7);
    for (uint32_t i = 0; i < LOOPS; i++) {
        waves[i] = (struct wave){items, i};
        assert_int_equal(pthread_create(&threads[i], NULL, make_wave, &waves[i]), 0);
    }
    for (uint32_t i = 0; i < LOOPS; i++)
        pthread_join(threads[i], NULL);
    for (uint32_t i = 0; i < STORM; i++) {
        enum tern_code code = wait_done(&items[i]);
        assert_true(code == TERN_OK || code == TERN_CANCELLED);
        if (code == TERN_OK)
            assert_answered(&items[i]);
        answered += code == TERN_OK;
        item_fini(&items[i]);
    }
    assert_true(answered >= STORM / 2);
    assert_true(runs_now() < STORM);
    rig_stop(&r);
}

/* ---- without memory ---- */

static void test_without_memory_for_the_answer_followers_ask_themselves(void **state)
{
    struct rig r;
    struct item items[2];
    (void)state;

    rig_start(&r, (struct plan){0});
    gate_armed = true;
    for (uint32_t i = 0; i < 2; i++) {
        item_init(&items[i], &r, 0, 5);
        submit(&items[i]);
    }
    wait_entered(1);
    mem_calls = 0;
    mem_fail_at = 0; /* the copy of the first answer */
    open_gate(1);
    assert_int_equal(wait_done(&items[0]), TERN_OK);
    wait_entered(2);
    mem_fail_at = -1;
    open_gate(1);
    wait_done(&items[1]);
    assert_answered(&items[1]);
    assert_int_equal(run_number(&items[1]), 2);
    for (uint32_t i = 0; i < 2; i++)
        item_fini(&items[i]);
    rig_stop(&r);
}

/* Whatever allocation fails, the request is answered once, rightly or with RESOURCE_EXHAUSTED. */
static void test_every_allocation_may_fail(void **state)
{
    struct rig r;
    bool hit;
    (void)state;

    rig_start(&r, (struct plan){.inline_runs = true});
    ask(&r, 0, 1, &hit);
    for (uint32_t value = 1; value <= 2; value++) {
        for (long at = 0; at < 8; at++) {
            struct item item;
            item_init(&item, &r, 0, value == 1 ? 1 : 100 + (uint32_t)at);
            item.arena.first_size = 64; /* each piece from the allocator */
            mem_calls = 0;
            mem_fail_at = at;
            submit(&item);
            enum tern_code code = wait_done(&item);
            mem_fail_at = -1;
            assert_true(code == TERN_OK || code == TERN_RESOURCE_EXHAUSTED);
            if (code == TERN_OK)
                assert_answered(&item);
            item_fini(&item);
        }
    }
    rig_stop(&r);
    for (long at = 0; at < 8; at++) {
        struct tern_cache *cache = NULL;
        mem_calls = 0;
        mem_fail_at = at;
        (void)tern_cache_new(&(struct tern_cache_settings){.local_bytes = 1u << 20}, &cache, NULL);
        mem_fail_at = -1;
        tern_cache_free(cache);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_known_answer_needs_no_run),
        cmocka_unit_test(test_large_answers_are_shared),
        cmocka_unit_test(test_collisions_of_the_hash_are_misses),
        cmocka_unit_test(test_errors_are_not_remembered),
        cmocka_unit_test(test_another_load_begins_with_nothing),
        cmocka_unit_test(test_who_is_not_cached),
        cmocka_unit_test(test_shared_memory_is_copied_before_it_is_hashed),
        cmocka_unit_test(test_work_without_a_key_goes_on_and_can_be_cancelled),
        cmocka_unit_test(test_a_storm),
        cmocka_unit_test(test_without_memory_for_the_answer_followers_ask_themselves),
        cmocka_unit_test(test_every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
