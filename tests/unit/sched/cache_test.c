/* The stage that remembers answers and lets requests that ask the same wait for one run. The model
 * doubles its input, counts its runs, and can be held at a gate; time is the test's own. */
// covers: sched/cache sched/cache_answer sched/cache_life sched/cache_redis sched/submit
// wrap: tern_clock_mono_ns tern_mem_alloc tern_mem_zalloc tern_mem_realloc tern_mem_alloc_aligned
// wrap: tern_wide_hash_end
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <string.h>
#include "base/clock.h"
#include "base/wide_hash.h"
#include "harness/loop_thread.h"
#include "harness/mem_fails.h"
#include "sched/cache.h"

#define LOOPS  2
#define SECOND UINT64_C(1000000000)

/* ---- time and hashes ---- */

static _Atomic uint64_t jumped_ns;

uint64_t __real_tern_clock_mono_ns(void);
uint64_t __wrap_tern_clock_mono_ns(void);
uint64_t __wrap_tern_clock_mono_ns(void)
{
    return __real_tern_clock_mono_ns() + jumped_ns;
}

static _Atomic int hash_words = 4; /* that tell messages apart */

void __real_tern_wide_hash_end(struct tern_wide_hash *hash, uint64_t ret[4]);
void __wrap_tern_wide_hash_end(struct tern_wide_hash *hash, uint64_t ret[4]);
void __wrap_tern_wide_hash_end(struct tern_wide_hash *hash, uint64_t ret[4])
{
    __real_tern_wide_hash_end(hash, ret);
    for (int i = 0; i < 4 - hash_words; i++)
        ret[i] = 42;
}

/* ---- the model ---- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static bool gate_armed, engine_cancels;
static uint32_t entered, allowed, runs;
static enum tern_code fails_with;

static void wait_entered(uint32_t n)
{
    pthread_mutex_lock(&lock);
    while (entered < n)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
}

static void open_gate(uint32_t n)
{
    pthread_mutex_lock(&lock);
    allowed += n;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static uint32_t runs_now(void)
{
    pthread_mutex_lock(&lock);
    uint32_t n = runs;
    pthread_mutex_unlock(&lock);
    return n;
}

/* Output 0: twice the input. Output 1: the number of the run. */
static enum tern_code infer(const struct tern_engine_model *model, void *instance,
                            const struct tern_engine_run *run, struct tern_err *err)
{
    const struct tern_tensor *x = &run->inputs[0];
    (void)model, (void)instance;

    pthread_mutex_lock(&lock);
    uint32_t number = ++runs;
    enum tern_code code = fails_with;
    if (gate_armed) {
        entered++;
        pthread_cond_broadcast(&changed);
        while (allowed == 0 && !(engine_cancels && atomic_load(run->cancelled)))
            pthread_cond_wait(&changed, &lock);
        if (allowed > 0)
            allowed--;
        else
            code = TERN_CANCELLED;
    }
    pthread_mutex_unlock(&lock);
    if (code != TERN_OK)
        return tern_fail(err, code, "the model says no %u", number);
    for (uint32_t i = 0; i < run->n_outputs; i++) {
        struct tern_tensor *y = &run->outputs[i];
        y->dtype = x->dtype;
        y->shape = x->shape;
        y->n_bytes = x->n_bytes;
        y->data = tern_arena_alloc(run->arena, 8, x->n_bytes);
        for (size_t at = 0; at < x->n_bytes / sizeof(uint32_t); at++)
            ((uint32_t *)y->data)[at] =
                run->output_spec[i] == 1 ? number : 2 * ((const uint32_t *)x->data)[at];
    }
    return TERN_OK;
}

static void cancel_run(const struct tern_engine_model *model, void *instance)
{
    (void)model, (void)instance;
    pthread_mutex_lock(&lock);
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static const struct tern_engine_ops ops = {.name = "twice", .infer = infer};
static const struct tern_engine_ops cancel_ops = {
    .name = "twice", .infer = infer, .cancel = cancel_run};

/* ---- the rig ---- */

struct rig {
    struct loop_thread loops[LOOPS];
    struct tern_cache *cache;
    struct tern_sched *sched;
    struct tern_model_version version;
    struct tern_scheduling scheduling;
    void *instances[LOOPS];
};

struct plan {
    bool inline_runs;
    uint64_t bytes; /* 0: 1 MiB */
    uint32_t queue_max;
};

static void rig_start(struct rig *r, struct plan plan)
{
    const struct tern_cache_settings cache = {.local_bytes =
                                                  plan.bytes == 0 ? 1u << 20 : plan.bytes};
    struct tern_err err;

    memset(r, 0, sizeof(*r));
    gate_armed = engine_cancels = false;
    entered = allowed = runs = 0;
    fails_with = TERN_OK;
    hash_words = 4;
    assert_int_equal(tern_cache_new(&cache, &r->cache, &err), TERN_OK);
    const struct tern_sched_settings settings = {
        .executors = LOOPS,
        .queue_max = plan.queue_max == 0 ? 10000 : plan.queue_max,
        .inline_max_ns = plan.inline_runs ? 10 * SECOND : 1,
        .cache = r->cache,
    };
    r->scheduling =
        (struct tern_scheduling){.max_rows = 1, .n_levels = 1, .default_level = 1, .cached = true};
    r->version.engine.ops = &ops;
    r->version.info.name = TERN_STR("m");
    r->version.scheduling = &r->scheduling;
    r->version.instances = r->version.loop_instances = r->instances;
    r->version.n_instances = LOOPS;
    r->version.n_loop_instances = plan.inline_runs ? LOOPS : 0;
    r->version.warm_units = 1;
    for (uint32_t i = 0; i < LOOPS; i++)
        loop_thread_start(&r->loops[i], i);
    assert_int_equal(tern_sched_new(&settings, &r->sched, &err), TERN_OK);
    assert_int_equal(tern_sched_add(r->sched, &r->version, &err), TERN_OK);
    assert_non_null(r->version.cache);
}

static struct tern_cache_usage usage(const struct rig *r)
{
    struct tern_cache_usage u;

    tern_cache_usage(r->cache, &u);
    return u;
}

static void rig_stop(struct rig *r)
{
    assert_int_equal(tern_cache_followers(&r->version), 0);
    assert_int_equal(tern_sched_depth(&r->version), 0);
    tern_sched_remove(r->sched, &r->version);
    assert_int_equal(usage(r).entries, 0);
    tern_sched_free(r->sched);
    for (uint32_t i = 0; i < LOOPS; i++)
        loop_thread_stop(&r->loops[i]);
    tern_cache_free(r->cache);
}

/* ---- a request ---- */

struct item {
    struct rig *rig;
    uint32_t loop;
    struct tern_work work;
    struct tern_err err;
    struct tern_arena arena;
    struct tern_tensor x, y[2];
    uint32_t in_spec, out_spec[2];
    uint32_t value;
    struct tern_region_ref region;
    sem_t done;
    _Atomic int answers;
};

static void on_done(struct tern_work *work)
{
    struct item *item = TERN_CONTAINER_OF(work, struct item, work);

    item->answers++;
    assert_null(work->cache_member);
    sem_post(&item->done);
}

static void item_init(struct item *item, struct rig *r, uint32_t loop, uint32_t value)
{
    memset(item, 0, sizeof(*item));
    tern_arena_init(&item->arena, 4096, 1u << 24);
    sem_init(&item->done, 0, 0);
    item->rig = r;
    item->loop = loop;
    item->value = value;
    item->out_spec[1] = 1;
    item->x = (struct tern_tensor){.name = TERN_STR("x"),
                                   .dtype = TERN_DTYPE_UINT32,
                                   .shape = {1, {1}},
                                   .data = &item->value,
                                   .n_bytes = sizeof(item->value)};
}

static void submit_now(void *arg)
{
    struct item *item = arg;

    item->work = (struct tern_work){
        .version = &item->rig->version,
        .run = {.inputs = &item->x,
                .input_spec = &item->in_spec,
                .n_inputs = 1,
                .outputs = item->y,
                .output_spec = item->out_spec,
                .n_outputs = 2,
                .arena = &item->arena},
        .units = 1,
        .deadline_ns = item->work.deadline_ns,
        .priority = item->work.priority,
        .loop = item->rig->loops[item->loop].loop,
        .on_done = on_done,
        .err = &item->err,
    };
    tern_sched_submit(item->rig->sched, &item->work);
}

static void submit(struct item *item)
{
    loop_thread_call(&item->rig->loops[item->loop], submit_now, item);
}

static void cancel_now(void *arg)
{
    struct item *item = arg;
    tern_sched_cancel(item->rig->sched, &item->work);
}

static void cancel(struct item *item)
{
    loop_thread_call(&item->rig->loops[item->loop], cancel_now, item);
}

static enum tern_code wait_done(struct item *item)
{
    while (sem_wait(&item->done) != 0)
        ;
    assert_int_equal(item->answers, 1);
    return item->work.code;
}

static uint32_t run_number(const struct item *item)
{
    for (int i = 0; i < 2; i++) {
        if (item->out_spec[i] == 1)
            return *(const uint32_t *)item->y[i].data;
    }
    return 0;
}

static void assert_answered(const struct item *item)
{
    int twice = item->out_spec[0] == 0 ? 0 : 1;
    const struct tern_tensor *y = &item->y[twice];

    assert_int_equal(item->work.code, TERN_OK);
    assert_int_equal(y->dtype, item->x.dtype);
    assert_true(tern_shape_eq(&y->shape, &item->x.shape));
    assert_int_equal(y->n_bytes, item->x.n_bytes);
    for (size_t i = 0; i < y->n_bytes / sizeof(uint32_t); i++)
        assert_int_equal(((const uint32_t *)y->data)[i], 2 * ((const uint32_t *)item->x.data)[i]);
    assert_true(item->work.cache_ns > 0);
    assert_true(item->work.queued_ns <= item->work.started_ns &&
                item->work.started_ns <= item->work.finished_ns);
}

static void item_fini(struct item *item)
{
    tern_arena_fini(&item->arena);
    sem_destroy(&item->done);
}

/* One request from beginning to end; the number of the run that answered it. */
static uint32_t ask(struct rig *r, uint32_t loop, uint32_t value, bool *ret_from_cache)
{
    struct item item;

    item_init(&item, r, loop, value);
    submit(&item);
    wait_done(&item);
    assert_answered(&item);
    uint32_t number = run_number(&item);
    *ret_from_cache = item.work.from_cache;
    item_fini(&item);
    return number;
}

static void nothing(void *arg)
{
    (void)arg;
}

/* The loops look at their timers as soon as something wakes them. */
static void jump(struct rig *r, uint64_t ns)
{
    jumped_ns += ns;
    for (uint32_t i = 0; i < LOOPS; i++) {
        loop_thread_call(&r->loops[i], nothing, NULL);
        loop_thread_call(&r->loops[i], nothing, NULL);
    }
}

/* ---- hits and misses ---- */

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

/* ---- one run for all ---- */

#define MANY 8

static void start_many(struct rig *r, struct item items[MANY])
{
    gate_armed = true;
    for (uint32_t i = 0; i < MANY; i++) {
        item_init(&items[i], r, i % LOOPS, 5);
        submit(&items[i]);
        if (i == 0)
            wait_entered(1);
    }
    assert_int_equal(tern_cache_followers(&r->version), MANY - 1);
}

static void fini_many(struct item items[MANY])
{
    for (uint32_t i = 0; i < MANY; i++)
        item_fini(&items[i]);
}

static void test_the_same_question_is_computed_once(void **state)
{
    struct rig r;
    struct item items[MANY];
    (void)state;

    rig_start(&r, (struct plan){0});
    start_many(&r, items);
    open_gate(1);
    for (uint32_t i = 0; i < MANY; i++) {
        wait_done(&items[i]);
        assert_answered(&items[i]);
        assert_int_equal(run_number(&items[i]), 1);
        assert_int_equal(items[i].work.from_cache, i > 0);
        assert_int_equal(items[i].work.cache_shared, i > 0);
    }
    assert_int_equal(runs_now(), 1);
    fini_many(items);
    rig_stop(&r);
}

/* Also when there is no place for the answer. */
static void test_an_answer_too_large_to_be_kept_is_shared_all_the_same(void **state)
{
    struct rig r;
    struct item items[MANY];
    bool hit;
    (void)state;

    rig_start(&r, (struct plan){.bytes = 200});
    start_many(&r, items);
    open_gate(1);
    for (uint32_t i = 0; i < MANY; i++) {
        wait_done(&items[i]);
        assert_answered(&items[i]);
    }
    assert_int_equal(runs_now(), 1);
    fini_many(items);
    gate_armed = false;
    assert_int_equal(ask(&r, 0, 5, &hit), 2);
    assert_false(hit);
    rig_stop(&r);
}

static void test_a_different_question_does_not_follow(void **state)
{
    struct rig r;
    struct item a, b;
    (void)state;

    rig_start(&r, (struct plan){0});
    gate_armed = true;
    hash_words = 0;
    item_init(&a, &r, 0, 5);
    item_init(&b, &r, 1, 6);
    submit(&a);
    submit(&b);
    wait_entered(2);
    open_gate(2);
    wait_done(&a);
    wait_done(&b);
    assert_answered(&a);
    assert_answered(&b);
    item_fini(&a);
    item_fini(&b);
    rig_stop(&r);
}

static void test_an_error_of_the_question_goes_to_all(void **state)
{
    struct rig r;
    struct item items[MANY];
    (void)state;

    rig_start(&r, (struct plan){0});
    fails_with = TERN_INTERNAL;
    start_many(&r, items);
    open_gate(1);
    for (uint32_t i = 0; i < MANY; i++) {
        assert_int_equal(wait_done(&items[i]), TERN_INTERNAL);
        assert_string_equal(items[i].err.text, "the model says no 1");
        assert_false(items[i].work.from_cache);
    }
    assert_int_equal(runs_now(), 1);
    fini_many(items);
    rig_stop(&r);
}

/* Each leads once, and fails for itself. */
static void test_an_error_of_the_leader_alone_is_its_own(void **state)
{
    struct rig r;
    struct item items[MANY];
    (void)state;

    rig_start(&r, (struct plan){0});
    fails_with = TERN_RESOURCE_EXHAUSTED;
    start_many(&r, items);
    open_gate(MANY);
    for (uint32_t i = 0; i < MANY; i++)
        assert_int_equal(wait_done(&items[i]), TERN_RESOURCE_EXHAUSTED);
    assert_int_equal(runs_now(), MANY);
    fini_many(items);
    rig_stop(&r);
}

static void test_a_cancelled_leader_leaves_its_place_to_the_next(void **state)
{
    struct rig r;
    struct item items[MANY];
    (void)state;

    rig_start(&r, (struct plan){0});
    engine_cancels = true;
    r.version.engine.ops = &cancel_ops;
    start_many(&r, items);
    cancel(&items[0]);
    assert_int_equal(wait_done(&items[0]), TERN_CANCELLED);
    wait_entered(2);
    assert_int_equal(tern_cache_followers(&r.version), MANY - 2);
    open_gate(1);
    for (uint32_t i = 1; i < MANY; i++) {
        wait_done(&items[i]);
        assert_answered(&items[i]);
        assert_int_equal(run_number(&items[i]), 2);
    }
    fini_many(items);
    rig_stop(&r);
}

static void test_a_cancelled_follower_leaves_the_others_alone(void **state)
{
    struct rig r;
    struct item items[MANY];
    (void)state;

    rig_start(&r, (struct plan){0});
    start_many(&r, items);
    cancel(&items[3]);
    assert_int_equal(wait_done(&items[3]), TERN_CANCELLED);
    assert_int_equal(tern_cache_followers(&r.version), MANY - 2);
    open_gate(1);
    for (uint32_t i = 0; i < MANY; i++) {
        if (i != 3)
            assert_int_equal(wait_done(&items[i]), TERN_OK);
    }
    assert_int_equal(runs_now(), 1);
    fini_many(items);
    rig_stop(&r);
}

static void test_each_has_its_own_deadline(void **state)
{
    struct rig r;
    struct item items[3];
    (void)state;

    rig_start(&r, (struct plan){0});
    gate_armed = true;
    for (uint32_t i = 0; i < 3; i++) {
        item_init(&items[i], &r, i % LOOPS, 5);
        items[i].work.deadline_ns = tern_clock_mono_ns() + (i == 1 ? SECOND : 100 * SECOND);
        submit(&items[i]);
    }
    wait_entered(1);
    jump(&r, 2 * SECOND);
    assert_int_equal(wait_done(&items[1]), TERN_DEADLINE_EXCEEDED);
    open_gate(1);
    assert_int_equal(wait_done(&items[0]), TERN_OK);
    assert_int_equal(wait_done(&items[2]), TERN_OK);
    for (uint32_t i = 0; i < 3; i++)
        item_fini(&items[i]);
    rig_stop(&r);
}

/* The leader and the next are on one loop, whose tasks wait while it is in here: what happens to
 * the next one between its call and its turn. */
struct between {
    struct item *leader, *next;
    bool late;
};

static void end_and_cancel(void *arg)
{
    struct between *b = arg;

    tern_sched_cancel(b->leader->rig->sched, &b->leader->work);
    assert_int_equal(b->leader->answers, 1); /* it waited in the queue */
    if (b->late)
        jumped_ns += 2 * SECOND;
    else
        tern_sched_cancel(b->next->rig->sched, &b->next->work);
    assert_int_equal(b->next->answers, 0);
}

static void check_passing_on(bool late)
{
    struct rig r;
    struct item busy[LOOPS], items[3];

    rig_start(&r, (struct plan){0});
    gate_armed = true;
    for (uint32_t i = 0; i < LOOPS; i++) { /* all executors */
        item_init(&busy[i], &r, 1, 100 + i);
        submit(&busy[i]);
    }
    wait_entered(LOOPS);
    for (uint32_t i = 0; i < 3; i++) {
        item_init(&items[i], &r, i < 2 ? 0 : 1, 5);
        if (late && i == 1)
            items[i].work.deadline_ns = tern_clock_mono_ns() + SECOND;
        submit(&items[i]);
    }
    struct between between = {&items[0], &items[1], late};
    loop_thread_call(&r.loops[0], end_and_cancel, &between);
    assert_int_equal(wait_done(&items[0]), TERN_CANCELLED);
    assert_int_equal(wait_done(&items[1]), late ? TERN_DEADLINE_EXCEEDED : TERN_CANCELLED);
    open_gate(LOOPS + 1);
    wait_done(&items[2]);
    assert_answered(&items[2]);
    assert_false(items[2].work.from_cache);
    for (uint32_t i = 0; i < 3; i++)
        item_fini(&items[i]);
    for (uint32_t i = 0; i < LOOPS; i++) {
        wait_done(&busy[i]);
        item_fini(&busy[i]);
    }
    rig_stop(&r);
}

static void test_who_was_called_to_lead_may_pass_it_on(void **state)
{
    (void)state;
    check_passing_on(false);
    check_passing_on(true);
}

static void test_the_more_urgent_do_not_wait_behind_others(void **state)
{
    struct rig r;
    struct item slow, urgent, next;
    (void)state;

    rig_start(&r, (struct plan){0});
    gate_armed = true;
    item_init(&slow, &r, 0, 5);
    slow.work.priority = 2;
    submit(&slow);
    wait_entered(1);
    item_init(&urgent, &r, 0, 5);
    urgent.work.priority = 1;
    submit(&urgent);
    wait_entered(2);
    item_init(&next, &r, 1, 5);
    next.work.priority = 1;
    submit(&next);
    assert_int_equal(tern_cache_followers(&r.version), 1);
    open_gate(2);
    wait_done(&slow);
    wait_done(&urgent);
    wait_done(&next);
    assert_answered(&next);
    assert_int_equal(run_number(&next), run_number(&urgent));
    assert_int_equal(runs_now(), 2);
    item_fini(&slow);
    item_fini(&urgent);
    item_fini(&next);
    rig_stop(&r);
}

static void test_those_that_wait_are_bounded(void **state)
{
    struct rig r;
    struct item items[4];
    (void)state;

    rig_start(&r, (struct plan){.queue_max = 2});
    gate_armed = true;
    for (uint32_t i = 0; i < 4; i++) {
        item_init(&items[i], &r, 0, 5);
        submit(&items[i]);
        if (i == 0)
            wait_entered(1);
    }
    assert_int_equal(wait_done(&items[3]), TERN_UNAVAILABLE);
    assert_non_null(strstr(items[3].err.text, "Exceeds maximum queue size"));
    open_gate(1);
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(wait_done(&items[i]), TERN_OK);
    for (uint32_t i = 0; i < 4; i++)
        item_fini(&items[i]);
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
        cmocka_unit_test(test_the_same_question_is_computed_once),
        cmocka_unit_test(test_an_answer_too_large_to_be_kept_is_shared_all_the_same),
        cmocka_unit_test(test_a_different_question_does_not_follow),
        cmocka_unit_test(test_an_error_of_the_question_goes_to_all),
        cmocka_unit_test(test_an_error_of_the_leader_alone_is_its_own),
        cmocka_unit_test(test_a_cancelled_leader_leaves_its_place_to_the_next),
        cmocka_unit_test(test_a_cancelled_follower_leaves_the_others_alone),
        cmocka_unit_test(test_each_has_its_own_deadline),
        cmocka_unit_test(test_who_was_called_to_lead_may_pass_it_on),
        cmocka_unit_test(test_the_more_urgent_do_not_wait_behind_others),
        cmocka_unit_test(test_those_that_wait_are_bounded),
        cmocka_unit_test(test_a_storm),
        cmocka_unit_test(test_without_memory_for_the_answer_followers_ask_themselves),
        cmocka_unit_test(test_every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
