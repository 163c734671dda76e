#include "harness/sched_rig.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdatomic.h>
#include <string.h>

static atomic_int n_done;

static void on_done(struct tern_work *work)
{
    struct sched_item *item = TERN_CONTAINER_OF(work, struct sched_item, work);
    item->ran_on_done = pthread_self();
    item->order = atomic_fetch_add(&n_done, 1);
    sem_post(&item->done);
}

void sched_item_init(struct sched_item *item, struct sched_rig *rig, uint32_t rows, float first)
{
    memset(item, 0, sizeof(*item));
    tern_arena_init(&item->arena, 1024, 1u << 20);
    sem_init(&item->done, 0, 0);
    item->rig = rig;
    for (uint32_t i = 0; i < 4 * rows; i++)
        item->data[i] = first + (float)i;
    item->x = (struct tern_tensor){.name = TERN_STR("x"),
                                   .dtype = TERN_DTYPE_FP32,
                                   .shape = {2, {rows, 4}},
                                   .data = item->data,
                                   .n_bytes = (size_t)rows * 4 * sizeof(float)};
    item->work = (struct tern_work){
        .version = &rig->version,
        .run = {.inputs = &item->x,
                .input_spec = &item->spec,
                .n_inputs = 1,
                .outputs = &item->y,
                .output_spec = &item->spec,
                .n_outputs = 1,
                .arena = &item->arena},
        .units = 4 * rows,
        .rows = rows,
        .loop = rig->lt.loop,
        .on_done = on_done,
        .err = &item->err,
    };
}

void sched_item_fini(struct sched_item *item)
{
    tern_arena_fini(&item->arena);
    sem_destroy(&item->done);
}

static void submit_now(void *arg)
{
    struct sched_item *item = arg;
    tern_sched_submit(item->rig->sched, &item->work);
}

static void cancel_now(void *arg)
{
    struct sched_item *item = arg;
    tern_sched_cancel(item->rig->sched, &item->work);
}

void sched_item_submit(struct sched_item *item)
{
    loop_thread_call(&item->rig->lt, submit_now, item);
}

void sched_item_cancel(struct sched_item *item)
{
    loop_thread_call(&item->rig->lt, cancel_now, item);
}

struct several {
    struct sched_item *items;
    uint32_t n;
};

static void submit_several(void *arg)
{
    const struct several *all = arg;
    for (uint32_t i = 0; i < all->n; i++)
        submit_now(&all->items[i]);
}

void sched_items_submit(struct sched_item *items, uint32_t n)
{
    struct several all = {items, n};
    loop_thread_call(&items->rig->lt, submit_several, &all);
}

void sched_item_wait(struct sched_item *item)
{
    sem_wait(&item->done);
}

void sched_item_assert_answered(const struct sched_item *item)
{
    const float *y = item->y.data;

    assert_int_equal(item->work.code, TERN_OK);
    assert_int_equal(item->y.n_bytes, item->x.n_bytes);
    assert_int_equal(item->y.shape.dim[0], item->x.shape.dim[0]);
    for (size_t i = 0; i < item->y.n_bytes / sizeof(float); i++)
        assert_true(y[i] == 2 * item->data[i]);
}

void sched_items_init(struct sched_rig *rig, struct sched_item *items, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        sched_item_init(&items[i], rig, 1, (float)(100 * i));
}

void sched_items_fini(struct sched_item *items, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        sched_item_fini(&items[i]);
}

void sched_items_assert_answered(struct sched_item *items, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        sched_item_wait(&items[i]);
        sched_item_assert_answered(&items[i]);
    }
}

void sched_items_hold_first(struct sched_item *items, uint32_t n)
{
    fake_engine_gate(true);
    sched_item_submit(&items[0]);
    fake_engine_wait_entered(1);
    if (n > 1)
        sched_items_submit(items + 1, n - 1);
}

void sched_rig_start(struct sched_rig *rig, const struct sched_rig_setup *setup)
{
    const struct tern_sched_settings settings = {.executors = 2,
                                                 .queue_max = setup->queue_max,
                                                 .inline_max_ns = 50000,
                                                 .hold_until = setup->hold_until,
                                                 .rate_limit = setup->rate_limit};
    struct tern_model_version *version = &rig->version;
    uint32_t n = setup->instances > 0 ? setup->instances : 1;
    char path[TREE_PATH_MAX];
    struct tern_err err;

    memset(rig, 0, sizeof(*rig));
    fake_engine_gate(false);
    tree_init(&rig->tree);
    tree_write(&rig->tree, "m.fake", setup->kind);
    tree_path(&rig->tree, "m.fake", path);
    tern_arena_init(&rig->arena, 4096, 1u << 20);
    const struct tern_engine_load spec = {.path = path, .threads = 1};
    assert_int_equal(fake_engine.load(&spec, &rig->arena, &version->engine, &err), TERN_OK);
    assert_int_equal(fake_engine.instance_new(&version->engine, &rig->instance, &err), TERN_OK);
    rig->loop_instance = rig->instance;
    for (uint32_t i = 0; i < n; i++)
        rig->instances[i] = rig->instance; /* this engine's have nothing of their own */
    version->info.name = TERN_STR("m");
    version->instances = rig->instances;
    version->n_instances = n;
    version->run_ns = setup->run_ns;
    version->warm_units = 4;
    version->scheduling = setup->scheduling;
    version->info.decoupled = setup->decoupled;
    if (setup->run_ns <= settings.inline_max_ns) {
        version->loop_instances = &rig->loop_instance;
        version->n_loop_instances = 1;
    }
    loop_thread_start(&rig->lt, 0);
    assert_int_equal(tern_sched_new(&settings, &rig->sched, &err), TERN_OK);
    assert_int_equal(tern_sched_add(rig->sched, version, &err), TERN_OK);
}

void sched_rig_stop(struct sched_rig *rig)
{
    tern_sched_remove(rig->sched, &rig->version);
    tern_sched_free(rig->sched);
    loop_thread_stop(&rig->lt);
    fake_engine.instance_free(&rig->version.engine, rig->instance);
    fake_engine.unload(&rig->version.engine);
    tern_arena_fini(&rig->arena);
    tree_fini(&rig->tree);
    assert_int_equal(fake_engine_loaded(), 0);
    assert_int_equal(fake_engine_instances(), 0);
}
