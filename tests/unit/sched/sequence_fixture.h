/* What the tests of sequences share: a model that notes what it was given and can be held at a
 * gate, time of the test's own, and requests. Everything is static. Needs wrap: tern_clock_mono_ns.
 */
#ifndef TERN_TESTS_UNIT_SCHED_SEQUENCE_FIXTURE_H
#define TERN_TESTS_UNIT_SCHED_SEQUENCE_FIXTURE_H

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
#include "harness/clock_ahead.h"
#include "harness/loop_thread.h"
#include "sched/sequence.h"

#define LOOPS    2
#define SECOND   UINT64_C(1000000000)
#define RUNS_MAX 4096

/* ---- time ---- */

/* ---- the model ---- */

/* Y = X + (START ? 0 : STATE) = NEW_STATE: with states the sum of the sequence. */
enum { X, START, END, READY, ID, STATE, INPUTS };
enum { Y, NEW_STATE };

struct seen {
    int32_t values[ID];
    uint64_t id;
    uint32_t text_n;
    char text[8];
    uint32_t run, instance; /* of which run, on which instance, it is a row */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct seen seen[RUNS_MAX];
static uint32_t n_seen, n_runs, run_rows[RUNS_MAX];
static enum tern_code infer_code;
static bool gate_armed, is_stoppable; /* a run that is cancelled ends */
static uint32_t entered, allowed;

static inline void arm_gate(void)
{
    gate_armed = true;
}

static inline void wait_entered(uint32_t n)
{
    pthread_mutex_lock(&lock);
    while (entered < n)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
}

static inline void open_gate(uint32_t n)
{
    pthread_mutex_lock(&lock);
    allowed += n;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

/* One row of an input; texts only in runs of one row. */
static inline void look(struct seen *s, const struct tern_tensor *t, uint32_t spec, uint32_t row)
{
    assert_int_equal(t->shape.rank, 2);
    assert_true(spec == X || t->shape.dim[1] == 1);
    if (spec < ID) {
        memcpy(&s->values[spec], (const int32_t *)t->data + row * t->shape.dim[1], sizeof(int32_t));
    } else if (spec == ID && t->dtype == TERN_DTYPE_BYTES) {
        memcpy(&s->text_n, t->data, sizeof(s->text_n));
        memcpy(s->text, (const char *)t->data + 4, s->text_n);
    } else if (spec == ID) {
        size_t size = tern_dtype_size(t->dtype);
        s->id = 0;
        memcpy(&s->id, (const char *)t->data + row * size, size);
    }
}

static int32_t value_at(const struct tern_engine_run *run, uint32_t spec, uint32_t row)
{
    for (uint32_t i = 0; i < run->n_inputs; i++) {
        if (run->input_spec[i] == spec)
            return ((const int32_t *)run->inputs[i].data)[row];
    }
    return 0;
}

static enum tern_code give(const struct tern_engine_run *run, uint32_t rows, struct tern_err *err)
{
    for (uint32_t k = 0; k < run->n_outputs; k++) {
        int32_t *y = tern_arena_alloc(run->arena, 8, rows * sizeof(*y));
        if (y == NULL)
            return tern_arena_fail(run->arena, err, "y");
        for (uint32_t i = 0; i < rows; i++)
            y[i] = value_at(run, X, i) + (value_at(run, START, i) ? 0 : value_at(run, STATE, i));
        run->outputs[k].dtype = TERN_DTYPE_INT32;
        run->outputs[k].shape = (struct tern_shape){2, {rows, 1}};
        run->outputs[k].data = y;
        run->outputs[k].n_bytes = rows * sizeof(*y);
    }
    return TERN_OK;
}

static bool is_ended(const struct tern_engine_run *run)
{
    return is_stoppable && run->cancelled != NULL && atomic_load(run->cancelled);
}

static enum tern_code infer(const struct tern_engine_model *model, void *instance,
                            const struct tern_engine_run *run, struct tern_err *err)
{
    uint32_t rows = (uint32_t)run->inputs[0].shape.dim[0];
    (void)model;

    pthread_mutex_lock(&lock);
    if (gate_armed) {
        entered++;
        pthread_cond_broadcast(&changed);
        while (allowed == 0 && !is_ended(run))
            pthread_cond_wait(&changed, &lock);
        allowed -= allowed > 0;
    }
    for (uint32_t row = 0; row < rows; row++) {
        struct seen *s = &seen[n_seen++ % RUNS_MAX];
        memset(s, 0xff, sizeof(*s));
        s->run = n_runs;
        s->instance = (uint32_t)(uintptr_t)instance;
        for (uint32_t i = 0; i < run->n_inputs; i++) {
            assert_int_equal(run->inputs[i].shape.dim[0], rows);
            look(s, &run->inputs[i], run->input_spec[i], row);
        }
    }
    run_rows[n_runs++ % RUNS_MAX] = rows;
    bool cancelled = is_ended(run);
    pthread_mutex_unlock(&lock);
    if (cancelled)
        return tern_fail(err, TERN_CANCELLED, "the run was cancelled");
    if (infer_code != TERN_OK)
        return tern_fail(err, infer_code, "the model fails");
    for (uint32_t row = 0; run->again != NULL && row < rows; row++)
        run->again[row].wanted = (int32_t)run->again[row].n + 1 < value_at(run, X, row);
    return give(run, rows, err);
}

static inline void wake(const struct tern_engine_model *model, void *instance)
{
    (void)model, (void)instance;
    pthread_mutex_lock(&lock);
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static const struct tern_engine_ops ops = {.name = "notes", .infer = infer, .cancel = wake};

/* ---- the rig ---- */

struct rig {
    struct loop_thread loops[LOOPS];
    struct tern_sched *sched;
    struct tern_model_version version;
    struct tern_sequencing sequencing;
    struct tern_control controls[4];
    struct tern_state state;
    struct tern_scheduling scheduling;
    void *instances[LOOPS];
};

struct plan {
    bool inline_runs;
    uint32_t slots;     /* 0: 100 */
    uint32_t queue_max; /* 0: 100 */
    enum tern_dtype id; /* 0: UINT64 */
    bool states, iterative;
    /* Direct: rows of each instance. */
    uint32_t rows, instances; /* 0: LOOPS */
    bool without_ready;
    uint64_t delay_ns;
    double least;
    uint32_t hold_until, hold_backlog;
    uint32_t oldest;           /* rows of a batch; 0: none */
    const uint32_t *preferred; /* one */
};

/* The engine's input 0 is x, its output 0 y; the controls are the rest. */
static inline void describe(struct rig *r, const struct plan *plan)
{
    for (int i = 0; i < 4; i++)
        r->controls[i] = (struct tern_control){
            .kind = (enum tern_control_kind)i, .dtype = TERN_DTYPE_INT32, .bits = {0, 1}};
    r->controls[TERN_CONTROL_START].input = START;
    r->controls[TERN_CONTROL_END].input = END;
    r->controls[TERN_CONTROL_READY].input = READY;
    r->controls[TERN_CONTROL_CORRID].input = ID;
    r->controls[TERN_CONTROL_CORRID].dtype = plan->id == 0 ? TERN_DTYPE_UINT64 : plan->id;
    r->sequencing = (struct tern_sequencing){
        .max_idle_ns = SECOND, .batched = true, .controls = r->controls, .n_controls = 4};
    r->version.engine.ops = &ops;
    r->version.info.name = TERN_STR("m");
    r->version.sequencing = &r->sequencing;
    r->version.sequence_slots = plan->slots == 0 ? 100 : plan->slots;
    r->version.instances = r->version.loop_instances = r->instances;
    r->version.n_instances = LOOPS;
    r->version.n_loop_instances = plan->inline_runs && plan->rows == 0 ? LOOPS : 0;
    r->version.warm_units = 1;
    r->sequencing.iterative = plan->iterative;
    if (plan->states) {
        static const int32_t zero;
        r->state = (struct tern_state){.input_name = TERN_STR("state"),
                                       .output_name = TERN_STR("new_state"),
                                       .dtype = TERN_DTYPE_INT32,
                                       .shape = {2, {-1, 1}},
                                       .first = {2, {1, 1}},
                                       .data = &zero,
                                       .n_bytes = sizeof(zero),
                                       .input = STATE,
                                       .output = NEW_STATE};
        r->sequencing.states = &r->state;
        r->sequencing.n_states = 1;
    }
    for (uint32_t i = 0; i < LOOPS; i++)
        r->instances[i] = (void *)(uintptr_t)i;
    if (plan->rows > 0) {
        r->version.run_ns = plan->inline_runs ? 0 : SECOND; /* too long for a loop */
        r->version.n_instances = plan->instances == 0 ? LOOPS : plan->instances;
        r->sequencing.direct = true;
        r->sequencing.slots_per_instance = plan->rows;
        r->version.sequence_slots = plan->rows * r->version.n_instances;
        r->sequencing.says_ready = !plan->without_ready;
        r->sequencing.max_delay_ns = plan->delay_ns;
        r->sequencing.least_utilization = plan->least;
        if (plan->without_ready) { /* it stands behind the others */
            struct tern_control last = r->controls[3];
            r->controls[3] = r->controls[TERN_CONTROL_READY];
            r->controls[TERN_CONTROL_READY] = last;
            r->sequencing.n_controls = 3;
        }
    }
    if (plan->oldest > 0) {
        r->scheduling = (struct tern_scheduling){.batching = TERN_BATCHING_CONFIGURED,
                                                 .max_rows = plan->oldest,
                                                 .n_levels = 1,
                                                 .default_level = 1,
                                                 .preferred = plan->preferred,
                                                 .n_preferred = plan->preferred != NULL,
                                                 .max_queue_delay_ns = plan->delay_ns};
        r->version.scheduling = &r->scheduling;
    }
}

static inline void rig_start(struct rig *r, struct plan plan)
{
    const struct tern_sched_settings settings = {
        .executors = LOOPS,
        .queue_max = plan.queue_max == 0 ? 100 : plan.queue_max,
        .inline_max_ns = plan.rows > 0 && !plan.inline_runs ? 1 : 10 * SECOND,
        .hold_until = plan.hold_until,
        .hold_backlog = plan.hold_backlog};
    struct tern_err err;

    memset(r, 0, sizeof(*r));
    n_seen = n_runs = entered = allowed = 0;
    infer_code = TERN_OK;
    gate_armed = is_stoppable = false;
    describe(r, &plan);
    for (uint32_t i = 0; i < LOOPS; i++)
        loop_thread_start(&r->loops[i], i);
    assert_int_equal(tern_sched_new(&settings, &r->sched, &err), TERN_OK);
    assert_int_equal(tern_sched_add(r->sched, &r->version, &err), TERN_OK);
}

static inline void rig_stop(struct rig *r)
{
    assert_int_equal(tern_sequences_held(&r->version), 0);
    assert_int_equal(tern_sched_depth(&r->version), 0);
    tern_sched_remove(r->sched, &r->version);
    tern_sched_free(r->sched);
    for (uint32_t i = 0; i < LOOPS; i++)
        loop_thread_stop(&r->loops[i]);
}

/* ---- a request ---- */

struct item {
    struct rig *rig;
    uint32_t loop;
    struct tern_work work;
    struct tern_sequence which;
    struct tern_err err;
    struct tern_arena arena;
    struct tern_tensor x, y;
    uint32_t spec;
    int32_t value;
    sem_t done;
    struct item *cancels; /* from within its on_done */
};

static inline void on_done(struct tern_work *work)
{
    struct item *item = TERN_CONTAINER_OF(work, struct item, work);

    assert_null(work->member);
    if (item->cancels != NULL)
        tern_sched_cancel(item->rig->sched, &item->cancels->work);
    sem_post(&item->done);
}

#define S 1 /* START */
#define E 2 /* END */

static inline void item_init(struct item *item, struct rig *r, uint64_t id, int32_t value,
                             int flags)
{
    memset(item, 0, sizeof(*item));
    tern_arena_init(&item->arena, 4096, 1u << 20);
    sem_init(&item->done, 0, 0);
    item->rig = r;
    item->value = value;
    item->which =
        (struct tern_sequence){.id = id, .start = (flags & S) != 0, .end = (flags & E) != 0};
    item->x = (struct tern_tensor){.name = TERN_STR("x"),
                                   .dtype = TERN_DTYPE_INT32,
                                   .shape = {2, {1, 1}},
                                   .data = &item->value,
                                   .n_bytes = sizeof(item->value)};
}

static inline void submit_now(void *arg)
{
    struct item *item = arg;

    item->work = (struct tern_work){
        .version = &item->rig->version,
        .run = {.inputs = &item->x,
                .input_spec = &item->spec,
                .n_inputs = 1,
                .outputs = &item->y,
                .output_spec = &item->spec,
                .n_outputs = 1,
                .arena = &item->arena},
        .units = 1,
        .deadline_ns = item->work.deadline_ns,
        .timeout_ns = item->work.timeout_ns,
        .loop = item->rig->loops[item->loop].loop,
        .on_done = on_done,
        .err = &item->err,
    };
    item->work.sequence = &item->which;
    tern_sched_submit(item->rig->sched, &item->work);
}

static inline void submit(struct item *item)
{
    loop_thread_call(&item->rig->loops[item->loop], submit_now, item);
}

static inline void cancel_now(void *arg)
{
    struct item *item = arg;
    tern_sched_cancel(item->rig->sched, &item->work);
}

static inline void cancel(struct item *item)
{
    loop_thread_call(&item->rig->loops[item->loop], cancel_now, item);
}

static inline enum tern_code wait_done(struct item *item)
{
    while (sem_wait(&item->done) != 0)
        ;
    tern_arena_fini(&item->arena);
    sem_destroy(&item->done);
    return item->work.code;
}

/* One request from beginning to end. */
static inline enum tern_code ask(struct rig *r, uint64_t id, int32_t value, int flags,
                                 struct tern_err *err)
{
    struct item item;

    item_init(&item, r, id, value, flags);
    submit(&item);
    wait_done(&item);
    *err = item.err;
    return item.work.code;
}

static inline void nothing(void *arg)
{
    (void)arg;
}

/* The loops look at their timers as soon as something wakes them. */
static inline void jump(struct rig *r, uint64_t ns)
{
    clock_added_ns += ns;
    for (uint32_t i = 0; i < LOOPS; i++) {
        loop_thread_call(&r->loops[i], nothing, NULL);
        loop_thread_call(&r->loops[i], nothing, NULL);
    }
}

static inline void assert_seen(uint32_t at, uint64_t id, int32_t value, int flags)
{
    assert_true(at < n_seen);
    assert_int_equal(seen[at].id, id);
    assert_int_equal(seen[at].values[X], value);
    assert_int_equal(seen[at].values[START], (flags & S) != 0);
    assert_int_equal(seen[at].values[END], (flags & E) != 0);
    assert_int_equal(seen[at].values[READY], 1);
}

#endif
