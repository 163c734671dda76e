/* The scheduler with a cache in front of one model, which doubles its input, counts its runs, and
 * can be held at a gate; time is the test's own, and so is how much of a hash tells questions
 * apart. One at a time; the test file says
 *
 *     // wrap: tern_clock_mono_ns tern_mem_alloc tern_mem_zalloc tern_mem_realloc
 *     // wrap: tern_mem_alloc_aligned tern_wide_hash_end
 */
#ifndef TERN_TESTS_CACHE_RIG_H
#define TERN_TESTS_CACHE_RIG_H

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
#include "harness/clock_ahead.h"
#include "harness/loop_thread.h"
#include "harness/mem_fails.h"
#include "sched/cache.h"

#define LOOPS  2
#define SECOND UINT64_C(1000000000)

/* ---- time and hashes ---- */

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

TERN_INLINE void wait_entered(uint32_t n)
{
    pthread_mutex_lock(&lock);
    while (entered < n)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
}

TERN_INLINE void open_gate(uint32_t n)
{
    pthread_mutex_lock(&lock);
    allowed += n;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

TERN_INLINE uint32_t runs_now(void)
{
    pthread_mutex_lock(&lock);
    uint32_t n = runs;
    pthread_mutex_unlock(&lock);
    return n;
}

/* Output 0: twice the input. Output 1: the number of the run. */
TERN_INLINE enum tern_code infer(const struct tern_engine_model *model, void *instance,
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

TERN_INLINE void cancel_run(const struct tern_engine_model *model, void *instance)
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

TERN_INLINE void rig_start(struct rig *r, struct plan plan)
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

TERN_INLINE struct tern_cache_usage usage(const struct rig *r)
{
    struct tern_cache_usage u;

    tern_cache_usage(r->cache, &u);
    return u;
}

TERN_INLINE void rig_stop(struct rig *r)
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

TERN_INLINE void on_done(struct tern_work *work)
{
    struct item *item = TERN_CONTAINER_OF(work, struct item, work);

    item->answers++;
    assert_null(work->cache_member);
    sem_post(&item->done);
}

TERN_INLINE void item_init(struct item *item, struct rig *r, uint32_t loop, uint32_t value)
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

TERN_INLINE void submit_now(void *arg)
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

TERN_INLINE void submit(struct item *item)
{
    loop_thread_call(&item->rig->loops[item->loop], submit_now, item);
}

TERN_INLINE void cancel_now(void *arg)
{
    struct item *item = arg;
    tern_sched_cancel(item->rig->sched, &item->work);
}

TERN_INLINE void cancel(struct item *item)
{
    loop_thread_call(&item->rig->loops[item->loop], cancel_now, item);
}

TERN_INLINE enum tern_code wait_done(struct item *item)
{
    while (sem_wait(&item->done) != 0)
        ;
    assert_int_equal(item->answers, 1);
    return item->work.code;
}

TERN_INLINE uint32_t run_number(const struct item *item)
{
    for (int i = 0; i < 2; i++) {
        if (item->out_spec[i] == 1)
            return *(const uint32_t *)item->y[i].data;
    }
    return 0;
}

TERN_INLINE void assert_answered(const struct item *item)
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

TERN_INLINE void item_fini(struct item *item)
{
    tern_arena_fini(&item->arena);
    sem_destroy(&item->done);
}

/* One request from beginning to end; the number of the run that answered it. */
TERN_INLINE uint32_t ask(struct rig *r, uint32_t loop, uint32_t value, bool *ret_from_cache)
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

TERN_INLINE void nothing(void *arg)
{
    (void)arg;
}

/* The loops look at their timers as soon as something wakes them. */
TERN_INLINE void jump(struct rig *r, uint64_t ns)
{
    clock_added_ns += ns;
    for (uint32_t i = 0; i < LOOPS; i++) {
        loop_thread_call(&r->loops[i], nothing, NULL);
        loop_thread_call(&r->loops[i], nothing, NULL);
    }
}

#endif
