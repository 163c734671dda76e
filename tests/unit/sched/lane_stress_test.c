/* Everything at once, by chance: two loops submit and cancel works with every kind of deadline to
 * versions of every kind, which meanwhile come, go and change their instances. Each work ends once,
 * what its end says agrees with what the lane counted, and no instance has two runs at a time.
 *
 * TERN_STRESS_SEED repeats a failure, TERN_STRESS_WORKS (a loop) makes it longer. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "base/clock.h"
#include "base/num.h"
#include "harness/loop_thread.h"
#include "harness/random.h"
#include "sched/lane.h"
#include "sched/sched_int.h"

#define LOOPS     2u
#define ITEMS     48u /* of a loop, in flight at a time */
#define ROWS_MAX  3u
#define INSTANCES 4u
#define PATIENCE  120 /* seconds until a work that does not end is a failure */
#define US        UINT64_C(1000)

/* On any thread, where cmocka's assertions would jump into another's stack. */
#define MUST(x)                                                                     \
    do {                                                                            \
        if (!(x)) {                                                                 \
            (void)fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #x); \
            abort();                                                                \
        }                                                                           \
    } while (0)

/* ---- an engine ---- */

struct instance {
    atomic_bool runs;
};

/* Twice as much, after up to 100 us by chance of what is asked; negative numbers are refused. A run
 * whose first number is large takes a while, but can be stopped. */
static enum tern_code infer(const struct tern_engine_model *model, void *self,
                            const struct tern_engine_run *run, struct tern_err *err)
{
    struct instance *instance = self;
    const struct tern_tensor *x = &run->inputs[0];
    const float *from = x->data;
    uint64_t start = tern_clock_mono_ns(), takes_ns = (uint64_t)from[0] % 100 * US;
    float *to = tern_arena_alloc(run->arena, 64, x->n_bytes);
    bool is_odd = false;
    (void)model;

    MUST(to != NULL);
    MUST(!atomic_exchange(&instance->runs, true));
    while (tern_clock_mono_ns() - start < takes_ns &&
           (run->cancelled == NULL || !atomic_load(run->cancelled)))
        ;
    for (size_t i = 0; i < x->n_bytes / sizeof(float); i++) {
        is_odd |= from[i] < 0;
        to[i] = 2 * from[i];
    }
    run->outputs[0].dtype = TERN_DTYPE_FP32;
    run->outputs[0].shape = x->shape;
    run->outputs[0].data = to;
    run->outputs[0].n_bytes = x->n_bytes;
    MUST(atomic_exchange(&instance->runs, false));
    if (run->cancelled != NULL && atomic_load(run->cancelled))
        return tern_fail(err, TERN_CANCELLED, "stopped");
    return is_odd ? tern_fail(err, TERN_INVALID_ARGUMENT, "no negative numbers") : TERN_OK;
}

static void cancel(const struct tern_engine_model *model, void *self)
{
    (void)model;
    MUST(self != NULL);
}

static const struct tern_engine_ops engine = {.name = "odd", .infer = infer, .cancel = cancel};

/* ---- models ---- */

static const uint32_t preferred[] = {3};
static const struct tern_scheduling_level levels[3] = {
    {.default_timeout_ns = 500 * US, .allow_timeout_override = true, .max_queue_size = 5},
    {.level = 2, .default_timeout_ns = 300 * US, .delay = true},
    {.level = 3, .max_queue_size = 9},
};
static const struct tern_scheduling_resource wants = {{"R", 1}, 1, false};
static const struct tern_scheduling_group limited = {
    .count = 2, .priority = 2, .resources = &wants, .n_resources = 1};

static const struct kind {
    struct tern_scheduling scheduling;
    bool is_inline;
    uint32_t instances;
} kinds[] = {
    {{.batching = TERN_BATCHING_ADAPTIVE, .max_rows = 8}, false, 2},
    {{.batching = TERN_BATCHING_ADAPTIVE, .max_rows = 8}, true, 2},
    {{.batching = TERN_BATCHING_CONFIGURED,
      .max_rows = 6,
      .preferred = preferred,
      .n_preferred = 1,
      .max_queue_delay_ns = 400 * US,
      .preserve_ordering = true,
      .n_levels = 3,
      .default_level = 2,
      .levels = levels,
      .n_own_levels = 2},
     false,
     3},
    {{.batching = TERN_BATCHING_ADAPTIVE, .max_rows = 4, .groups = &limited, .n_groups = 1},
     false,
     2},
    {{.batching = TERN_BATCHING_CONFIGURED,
      .max_rows = 4,
      .max_queue_delay_ns = 200 * US,
      .groups = &limited,
      .n_groups = 1},
     false,
     1},
    {{.batching = TERN_BATCHING_NONE, .max_rows = 1, .slo_ns = 2000 * US}, false, 1},
};
#define KINDS TERN_COUNT_OF(kinds)

/* How the works of one life of a version ended. */
struct ends {
    atomic_uint ran, timed_out, too_late, cancelled;
};

struct model {
    struct tern_model_version version;
    struct tern_tensor_spec specs[2];
    struct instance all[INSTANCES], of_loops[LOOPS];
    void *instances[INSTANCES], *loop_instances[LOOPS];
    pthread_mutex_t lock;
    bool is_open;       /* guarded by lock */
    atomic_uint in_use; /* rises under lock, while open */
    struct ends ends;
};

/* ---- works ---- */

struct driver;
struct item {
    struct tern_work work;
    struct tern_err err;
    struct tern_arena arena;
    struct tern_tensor x, y;
    uint32_t spec;
    float data[ROWS_MAX * 4];
    struct driver *driver;
    struct model *model;
    bool is_busy;
};

struct driver {
    struct rig *rig;
    struct loop_thread lt;
    struct tern_loop_timer step;
    struct item items[ITEMS];
    uint64_t chance;
    uint32_t n_submitted, n_done, most;
    sem_t finished;
};

struct rig {
    struct tern_sched *sched;
    uint32_t ran, timed_out, too_late, cancelled; /* of all lives that are over */
    struct model models[KINDS];
    struct driver drivers[LOOPS];
};

static uint32_t pick(uint64_t *chance, uint32_t n)
{
    return (uint32_t)(random_u64(chance) % n);
}

static void count_end(struct ends *ends, const struct tern_work *work)
{
    enum tern_code code = work->code;

    if (work->started_ns != 0)
        ends->ran++;
    else if (code == TERN_CANCELLED)
        ends->cancelled++;
    else if (code == TERN_DEADLINE_EXCEEDED || code == TERN_RESOURCE_EXHAUSTED)
        ends->too_late++;
    else if (code == TERN_UNAVAILABLE && strcmp(work->err->text, "Request timeout expired") == 0)
        ends->timed_out++;
    else
        MUST(code == TERN_UNAVAILABLE && strstr(work->err->text, "Exceeds maximum queue size"));
}

static void check_answer(const struct item *item)
{
    const float *y = item->y.data;
    bool is_odd = item->data[1] < 0;

    if (item->work.code == TERN_INVALID_ARGUMENT)
        MUST(is_odd);
    if (item->work.code != TERN_OK)
        return;
    MUST(!is_odd && item->y.n_bytes == item->x.n_bytes);
    for (size_t i = 0; i < item->y.n_bytes / sizeof(float); i++)
        MUST(y[i] == 2 * item->data[i]);
}

static void submit_one(struct driver *d);

static void on_done(struct tern_work *work)
{
    struct item *item = TERN_CONTAINER_OF(work, struct item, work);
    struct driver *d = item->driver;

    MUST(item->is_busy);
    MUST(pthread_equal(pthread_self(), d->lt.thread));
    count_end(&item->model->ends, work);
    check_answer(item);
    tern_arena_fini(&item->arena);
    item->is_busy = false;
    d->n_done++;
    atomic_fetch_sub(&item->model->in_use, 1); /* its version may go from now on */
    if (pick(&d->chance, 4) == 0)
        submit_one(d);
    if (d->n_submitted == d->most && d->n_done == d->most)
        sem_post(&d->finished);
}

static uint64_t some_deadline(uint64_t *chance)
{
    uint64_t now = tern_clock_mono_ns();

    switch (pick(chance, 8)) {
    case 0:
        return now - 1;
    case 1:
        return now;
    case 2:
        return now + pick(chance, 300) * US;
    case 3:
        return now + pick(chance, 5000) * US;
    case 4:
        return UINT64_MAX;
    case 5:
        return now + UINT64_C(3600000000000);
    default:
        return 0;
    }
}

static void fill(struct item *item, struct driver *d, struct model *model)
{
    uint32_t rows = 1 + pick(&d->chance, ROWS_MAX);

    item->driver = d;
    item->model = model;
    item->is_busy = true;
    tern_arena_init(&item->arena, 1024, 1u << 20);
    for (uint32_t i = 0; i < 4 * rows; i++)
        item->data[i] = (float)pick(&d->chance, 1000);
    if (pick(&d->chance, 10) == 0)
        item->data[1] = -1;
    item->x = (struct tern_tensor){.name = TERN_STR("x"),
                                   .dtype = TERN_DTYPE_FP32,
                                   .shape = {2, {rows, 4}},
                                   .data = item->data,
                                   .n_bytes = (size_t)rows * 4 * sizeof(float)};
    if (pick(&d->chance, 6) == 0)
        item->x.shape = (struct tern_shape){3, {rows, 2, 2}};
    item->work = (struct tern_work){
        .version = &model->version,
        .run = {.inputs = &item->x,
                .input_spec = &item->spec,
                .n_inputs = 1,
                .outputs = &item->y,
                .output_spec = &item->spec,
                .n_outputs = 1,
                .arena = &item->arena},
        .units = (pick(&d->chance, 9) == 0 ? 400 : 4) * rows,
        .rows = rows,
        .priority = pick(&d->chance, 6),
        .timeout_ns = pick(&d->chance, 3) * 100 * US,
        .deadline_ns = some_deadline(&d->chance),
        .has_own_deadline = pick(&d->chance, 2) == 0,
        .loop = d->lt.loop,
        .on_done = on_done,
        .err = &item->err,
    };
}

static bool take_pin(struct model *model)
{
    pthread_mutex_lock(&model->lock);
    bool is_open = model->is_open;
    atomic_fetch_add(&model->in_use, is_open ? 1 : 0);
    pthread_mutex_unlock(&model->lock);
    return is_open;
}

static void submit_one(struct driver *d)
{
    struct item *item = &d->items[pick(&d->chance, ITEMS)];
    struct model *model = &d->rig->models[pick(&d->chance, KINDS)];

    if (d->n_submitted == d->most || item->is_busy || !take_pin(model))
        return;
    d->n_submitted++;
    fill(item, d, model);
    tern_sched_submit(d->rig->sched, &item->work);
}

static void cancel_one(struct driver *d)
{
    struct item *item = &d->items[pick(&d->chance, ITEMS)];

    if (item->is_busy)
        tern_sched_cancel(d->rig->sched, &item->work);
}

/* In bursts and pauses, as long as there is something to submit. */
static void step(struct tern_loop_timer *timer)
{
    struct driver *d = TERN_CONTAINER_OF(timer, struct driver, step);

    for (uint32_t n = pick(&d->chance, 6); n > 0; n--)
        submit_one(d);
    if (pick(&d->chance, 2) == 0)
        cancel_one(d);
    if (d->n_submitted < d->most)
        tern_loop_timer_start(d->lt.loop, timer, pick(&d->chance, 400) * US);
}

static void begin(void *arg)
{
    struct driver *d = arg;
    step(&d->step);
}

/* ---- lives ---- */

static void open_model(struct rig *rig, uint32_t k)
{
    struct model *model = &rig->models[k];
    struct tern_model_version *version = &model->version;
    struct tern_err err;

    memset(&model->ends, 0, sizeof(model->ends));
    model->specs[0] = model->specs[1] = (struct tern_tensor_spec){
        .name = TERN_STR("x"), .dtype = TERN_DTYPE_FP32, .shape = {2, {-1, 4}}};
    for (uint32_t i = 0; i < INSTANCES; i++)
        model->instances[i] = &model->all[i];
    for (uint32_t i = 0; i < LOOPS; i++)
        model->loop_instances[i] = &model->of_loops[i];
    *version = (struct tern_model_version){
        .info.name = TERN_STR("m"),
        .engine = {.ops = &engine,
                   .inputs = &model->specs[0],
                   .n_inputs = 1,
                   .outputs = &model->specs[1],
                   .n_outputs = 1},
        .scheduling = &kinds[k].scheduling,
        .instances = model->instances,
        .n_instances = kinds[k].instances,
        .loop_instances = kinds[k].is_inline ? model->loop_instances : NULL,
        .n_loop_instances = kinds[k].is_inline ? LOOPS : 0,
        .run_ns = kinds[k].is_inline ? 10 * US : 60 * US,
        .warm_units = 4,
    };
    MUST(tern_sched_add(rig->sched, version, &err) == TERN_OK);
    pthread_mutex_lock(&model->lock);
    model->is_open = true;
    pthread_mutex_unlock(&model->lock);
}

/* The lane counted the same ends as the owners of its works. */
static void check_counts(const struct model *model)
{
    const struct tern_lane *lane = model->version.lane;
    const struct ends *ends = &model->ends;

    pthread_mutex_lock(&lane->sched->executors.lock);
    MUST(lane->n_idle == lane->n_slots && lane->depth == 0);
    MUST(tern_list_is_empty(&lane->order));
    for (uint32_t i = 0; i < lane->n_buckets; i++)
        MUST(lane->buckets[i]->queue.n == 0 && lane->buckets[i]->queue.bytes == 0);
    if (lane->inlines == NULL) /* those on the loops are nobody's to count */
        MUST(lane->n_works_run == ends->ran);
    MUST(lane->n_timed_out == ends->timed_out);
    MUST(lane->n_late + lane->n_shed == ends->too_late);
    pthread_mutex_unlock(&lane->sched->executors.lock);
}

static void close_model(struct rig *rig, uint32_t k)
{
    struct model *model = &rig->models[k];

    pthread_mutex_lock(&model->lock);
    model->is_open = false;
    pthread_mutex_unlock(&model->lock);
    while (atomic_load(&model->in_use) > 0)
        sched_yield();
    check_counts(model);
    rig->ran += model->ends.ran;
    rig->timed_out += model->ends.timed_out;
    rig->too_late += model->ends.too_late;
    rig->cancelled += model->ends.cancelled;
    tern_sched_remove(rig->sched, &model->version);
}

static void resize_model(struct rig *rig, uint32_t k, uint32_t n)
{
    struct model *model = &rig->models[k];
    struct tern_err err;
    enum tern_code code = tern_sched_set_instances(&model->version, model->instances, n, &err);

    MUST(code == (kinds[k].is_inline ? TERN_UNIMPLEMENTED : TERN_OK));
}

/* Asks at the door as the loops do, of whoever may be served just now. */
static void ask_at_the_door(struct rig *rig, uint32_t k)
{
    struct model *model = &rig->models[k];
    struct tern_err err;
    uint64_t in_ns;

    if (tern_sched_admits(rig->sched, &model->version, 0, &in_ns, &err) == TERN_OK)
        return;
    /* It counts as shed, and is nobody's work. */
    if (err.code == TERN_RESOURCE_EXHAUSTED)
        model->ends.too_late++;
}

static bool are_finished(struct rig *rig)
{
    int finished = 0;

    for (uint32_t i = 0; i < LOOPS; i++) {
        int value;
        sem_getvalue(&rig->drivers[i].finished, &value);
        finished += value > 0;
    }
    return finished == (int)LOOPS;
}

static void churn(struct rig *rig, uint64_t chance)
{
    uint64_t end = tern_clock_mono_ns() + PATIENCE * (uint64_t)TERN_NS_PER_S;

    while (!are_finished(rig)) {
        const struct timespec pause = {0, (long)pick(&chance, 2000) * 1000};
        uint32_t k = pick(&chance, KINDS);
        MUST(tern_clock_mono_ns() < end);
        nanosleep(&pause, NULL);
        switch (pick(&chance, 4)) {
        case 0:
            close_model(rig, k);
            open_model(rig, k);
            break;
        case 1:
            resize_model(rig, k, 1 + pick(&chance, INSTANCES));
            break;
        default:
            ask_at_the_door(rig, k);
        }
    }
}

static uint64_t from_environment(const char *name, uint64_t usual)
{
    const char *text = getenv(name);
    uint64_t v = usual;

    if (text != NULL)
        assert_true(tern_num_parse_u64(tern_str_of(text), UINT64_MAX, &v));
    return v;
}

static void test_everything_at_once(void **state)
{
    static struct rig rig;
    const struct tern_sched_settings settings = {
        .executors = 2, .queue_max = 12, .inline_max_ns = 50 * US, .rate_limit = true};
    uint64_t seed = from_environment("TERN_STRESS_SEED", 1);
    struct tern_err err;
    (void)state;

    assert_int_equal(tern_sched_new(&settings, &rig.sched, &err), TERN_OK);
    for (uint32_t k = 0; k < KINDS; k++) {
        pthread_mutex_init(&rig.models[k].lock, NULL);
        open_model(&rig, k);
    }
    for (uint32_t i = 0; i < LOOPS; i++) {
        struct driver *d = &rig.drivers[i];
        d->rig = &rig;
        d->chance = seed * LOOPS + i;
        d->most = (uint32_t)from_environment("TERN_STRESS_WORKS", 8000);
        d->step.on_due = step;
        sem_init(&d->finished, 0, 0);
        loop_thread_start(&d->lt, i);
    }
    for (uint32_t i = 0; i < LOOPS; i++)
        loop_thread_call(&rig.drivers[i].lt, begin, &rig.drivers[i]);
    churn(&rig, ~seed);
    for (uint32_t k = 0; k < KINDS; k++)
        close_model(&rig, k);
    tern_sched_free(rig.sched);
    for (uint32_t i = 0; i < LOOPS; i++) {
        loop_thread_stop(&rig.drivers[i].lt);
        assert_int_equal(rig.drivers[i].n_done, rig.drivers[i].most);
    }
    print_message("ran %u, waited too long %u, too late %u, cancelled %u\n", rig.ran, rig.timed_out,
                  rig.too_late, rig.cancelled);
    assert_true(rig.ran > LOOPS * 1000 && rig.timed_out > 0 && rig.too_late > 0 &&
                rig.cancelled > 0); /* so that it tried something */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_everything_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
