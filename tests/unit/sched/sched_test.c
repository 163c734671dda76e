// wrap: tern_clock_mono_ns
/* Where a run happens, and what happens to work that cannot run. A fake engine with a gate stands
 * for the model, so that nothing here depends on how fast the machine is. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <semaphore.h>
#include <string.h>
#include "base/clock.h"
#include "base/mem.h"
#include "harness/fake_engine.h"
#include "harness/loop_thread.h"
#include "harness/tree.h"
#include "sched/sched.h"

#define HOUR_NS (3600 * (uint64_t)TERN_NS_PER_S)

static _Atomic uint64_t clock_added_ns; /* what a test lets pass, all threads see it */

uint64_t __real_tern_clock_mono_ns(void);
uint64_t __wrap_tern_clock_mono_ns(void);
uint64_t __wrap_tern_clock_mono_ns(void)
{
    return __real_tern_clock_mono_ns() + clock_added_ns;
}

struct fixture {
    struct loop_thread lt;
    struct tern_sched *sched;
    struct tree tree;
    struct tern_arena arena;
    struct tern_model_version version;
    struct tern_pins pins[1];
    void *instance;
    void *loop_instance;
};

struct item {
    struct tern_work work;
    struct tern_err err;
    struct tern_arena arena;
    struct tern_tensor x, y;
    uint32_t spec;
    float data[4];
    struct fixture *f;
    sem_t done;
    pthread_t ran_on_done; /* the thread that on_done came on */
};

static void on_done(struct tern_work *work)
{
    struct item *item = TERN_CONTAINER_OF(work, struct item, work);
    item->ran_on_done = pthread_self();
    sem_post(&item->done);
}

static void item_init(struct item *item, struct fixture *f)
{
    memset(item, 0, sizeof(*item));
    tern_arena_init(&item->arena, 1024, 1u << 20);
    sem_init(&item->done, 0, 0);
    item->f = f;
    item->data[0] = 21;
    item->x = (struct tern_tensor){.name = TERN_STR("x"),
                                   .dtype = TERN_DTYPE_FP32,
                                   .shape = {2, {1, 4}},
                                   .data = item->data,
                                   .n_bytes = sizeof(item->data)};
    item->work = (struct tern_work){
        .version = &f->version,
        .run = {.inputs = &item->x,
                .input_spec = &item->spec,
                .n_inputs = 1,
                .outputs = &item->y,
                .output_spec = &item->spec,
                .n_outputs = 1,
                .arena = &item->arena},
        .units = 4,
        .loop = f->lt.loop,
        .on_done = on_done,
        .err = &item->err,
    };
}

static void item_fini(struct item *item)
{
    tern_arena_fini(&item->arena);
    sem_destroy(&item->done);
}

static void submit_now(void *arg)
{
    struct item *item = arg;
    tern_sched_submit(item->f->sched, &item->work);
}

static void cancel_now(void *arg)
{
    struct item *item = arg;
    tern_sched_cancel(item->f->sched, &item->work);
}

static void start(struct fixture *f, const char *kind, uint64_t run_ns, uint32_t queue_max)
{
    const struct tern_sched_settings settings = {
        .executors = 2, .queue_max = queue_max, .inline_max_ns = 50000};
    char path[TREE_PATH_MAX];
    struct tern_err err;

    memset(f, 0, sizeof(*f));
    fake_engine_gate(false);
    tree_init(&f->tree);
    tree_write(&f->tree, "m.fake", kind);
    tree_path(&f->tree, "m.fake", path);
    tern_arena_init(&f->arena, 4096, 1u << 20);
    const struct tern_engine_load spec = {.path = path, .threads = 1};
    assert_int_equal(fake_engine.load(&spec, &f->arena, &f->version.engine, &err), TERN_OK);
    assert_int_equal(fake_engine.instance_new(&f->version.engine, &f->instance, &err), TERN_OK);
    f->loop_instance = f->instance;
    f->version.info.name = TERN_STR("m");
    f->version.instances = &f->instance;
    f->version.n_instances = 1;
    f->version.run_ns = run_ns;
    f->version.warm_units = 4;
    if (run_ns <= settings.inline_max_ns) {
        f->version.loop_instances = &f->loop_instance;
        f->version.n_loop_instances = 1;
    }
    loop_thread_start(&f->lt, 0);
    assert_int_equal(tern_sched_new(&settings, &f->sched, &err), TERN_OK);
    assert_int_equal(tern_sched_add(f->sched, &f->version, &err), TERN_OK);
}

static void stop(struct fixture *f)
{
    tern_sched_remove(f->sched, &f->version);
    tern_sched_free(f->sched);
    loop_thread_stop(&f->lt);
    fake_engine.instance_free(&f->version.engine, f->instance);
    fake_engine.unload(&f->version.engine);
    tern_arena_fini(&f->arena);
    tree_fini(&f->tree);
    assert_int_equal(fake_engine_loaded(), 0);
    assert_int_equal(fake_engine_instances(), 0);
}

static void assert_answered(const struct item *item)
{
    float y;
    assert_int_equal(item->work.code, TERN_OK);
    memcpy(&y, item->y.data, sizeof(y));
    assert_true(y == 42);
}

struct inline_probe {
    struct item *item;
    bool was_done;
};

static void submit_and_look(void *arg)
{
    struct inline_probe *probe = arg;
    tern_sched_submit(probe->item->f->sched, &probe->item->work);
    probe->was_done = sem_trywait(&probe->item->done) == 0;
}

static void test_a_short_run_stays_on_its_loop(void **state)
{
    struct fixture f;
    struct item item;
    (void)state;
    start(&f, "fake", 1000, 10);
    item_init(&item, &f);
    struct inline_probe probe = {&item, false};
    loop_thread_call(&f.lt, submit_and_look, &probe);
    assert_true(probe.was_done); /* before submit returned */
    assert_answered(&item);
    assert_true(pthread_equal(item.ran_on_done, f.lt.thread));
    item_fini(&item);
    stop(&f);
}

static void test_a_large_request_of_a_quick_model_leaves_the_loop(void **state)
{
    struct fixture f;
    struct item item;
    (void)state;
    start(&f, "fake", 1000, 10);
    item_init(&item, &f);
    item.work.units = 4 * 1000; /* 250 ns a unit: a millisecond */
    struct inline_probe probe = {&item, true};
    loop_thread_call(&f.lt, submit_and_look, &probe);
    if (!probe.was_done)
        sem_wait(&item.done);
    assert_answered(&item);
    assert_true(pthread_equal(item.ran_on_done, f.lt.thread));
    item_fini(&item);
    stop(&f);
}

/* What the executors find out comes home with the work: requests whose size made them look long are
 * kept on the loop once it is known that they are not. */
static void test_a_loop_learns_from_its_executors(void **state)
{
    struct fixture f;
    bool stayed = false;
    (void)state;
    start(&f, "fake", 1000, 10);
    for (int i = 0; i < 2000 && !stayed; i++) {
        struct item item;
        item_init(&item, &f);
        item.work.units = 4 * 1000; /* predicted: a millisecond; in truth nothing */
        struct inline_probe probe = {&item, false};
        loop_thread_call(&f.lt, submit_and_look, &probe);
        if (!probe.was_done)
            sem_wait(&item.done);
        stayed = probe.was_done && pthread_equal(item.ran_on_done, f.lt.thread) != 0;
        assert_answered(&item);
        item_fini(&item);
    }
    assert_true(stayed);
    stop(&f);
}

static void test_a_model_that_turned_slow_leaves_the_loop(void **state)
{
    struct fixture f;
    struct item items[3];
    bool on_loop[3];
    (void)state;
    start(&f, "fake crawling", 1000, 10); /* quick in its warm-up, it was thought */
    for (int i = 0; i < 3; i++) {
        item_init(&items[i], &f);
        struct inline_probe probe = {&items[i], false};
        loop_thread_call(&f.lt, submit_and_look, &probe);
        on_loop[i] = probe.was_done;
        if (!probe.was_done)
            sem_wait(&items[i].done);
        assert_answered(&items[i]);
        item_fini(&items[i]);
    }
    assert_true(on_loop[0]); /* the first long run may be chance, the second is not */
    assert_true(on_loop[1]);
    assert_false(on_loop[2]);
    stop(&f);
}

static void test_a_long_run_takes_one_hop_and_comes_home(void **state)
{
    struct fixture f;
    struct item item;
    (void)state;
    start(&f, "fake slow", TERN_NS_PER_MS, 10);
    item_init(&item, &f);
    loop_thread_call(&f.lt, submit_now, &item);
    sem_wait(&item.done);
    assert_answered(&item);
    assert_true(pthread_equal(item.ran_on_done, f.lt.thread));
    assert_true(item.work.queued_ns <= item.work.started_ns);
    assert_true(item.work.started_ns < item.work.finished_ns);
    item_fini(&item);
    stop(&f);
}

static void test_a_full_lane_refuses(void **state)
{
    struct fixture f;
    struct item items[4];
    (void)state;
    start(&f, "fake gated", TERN_NS_PER_MS, 1);
    tern_sched_set_queue_max(f.sched, 2);
    fake_engine_gate(true);
    for (int i = 0; i < 4; i++)
        item_init(&items[i], &f);
    loop_thread_call(&f.lt, submit_now, &items[0]);
    fake_engine_wait_entered(1); /* runs; two may wait; the fourth is refused */
    loop_thread_call(&f.lt, submit_now, &items[1]);
    loop_thread_call(&f.lt, submit_now, &items[2]);
    assert_int_equal(tern_sched_depth(&f.version), 2);
    loop_thread_call(&f.lt, submit_now, &items[3]);
    sem_wait(&items[3].done);
    assert_int_equal(items[3].work.code, TERN_UNAVAILABLE);
    assert_non_null(strstr(items[3].err.text, "Exceeds maximum queue size"));
    fake_engine_open(3);
    for (int i = 0; i < 3; i++) {
        sem_wait(&items[i].done);
        assert_answered(&items[i]);
    }
    for (int i = 0; i < 4; i++)
        item_fini(&items[i]);
    stop(&f);
}

static void test_work_past_its_deadline_never_runs(void **state)
{
    struct fixture f;
    struct item running, late;
    (void)state;
    start(&f, "fake gated", TERN_NS_PER_MS, 10);
    fake_engine_gate(true);
    item_init(&running, &f);
    item_init(&late, &f);
    loop_thread_call(&f.lt, submit_now, &running);
    fake_engine_wait_entered(1);
    late.work.deadline_ns = tern_clock_mono_ns() + HOUR_NS;
    loop_thread_call(&f.lt, submit_now, &late);
    clock_added_ns += 2 * HOUR_NS;
    fake_engine_open(2);
    sem_wait(&running.done);
    sem_wait(&late.done);
    assert_answered(&running);
    assert_int_equal(late.work.code, TERN_DEADLINE_EXCEEDED);
    assert_int_equal(late.work.started_ns, 0);
    item_fini(&running);
    item_fini(&late);
    stop(&f);
}

static void nothing(void *arg)
{
    (void)arg;
}

static void test_waiting_work_is_answered_at_its_deadline(void **state)
{
    struct fixture f;
    struct item running, late;
    (void)state;
    start(&f, "fake gated", TERN_NS_PER_MS, 10);
    fake_engine_gate(true);
    item_init(&running, &f);
    item_init(&late, &f);
    running.work.deadline_ns = tern_clock_mono_ns() + HOUR_NS;
    late.work.deadline_ns = running.work.deadline_ns;
    loop_thread_call(&f.lt, submit_now, &running);
    fake_engine_wait_entered(1);
    loop_thread_call(&f.lt, submit_now, &late);
    clock_added_ns += 2 * HOUR_NS;
    loop_thread_call(&f.lt, nothing, NULL); /* a round of the loop, which looks at its clock */
    sem_wait(&late.done);                   /* though nothing went through the gate */
    assert_int_equal(late.work.code, TERN_DEADLINE_EXCEEDED);
    assert_int_equal(tern_sched_depth(&f.version), 0);
    fake_engine_open(1);
    sem_wait(&running.done); /* this engine cannot stop a run: a late answer is an answer */
    assert_answered(&running);
    item_fini(&running);
    item_fini(&late);
    stop(&f);
}

static void test_what_cannot_be_in_time_is_refused_at_once(void **state)
{
    struct fixture f;
    struct item running, waiting, hopeless;
    (void)state;
    start(&f, "fake gated", 100 * TERN_NS_PER_MS, 10);
    fake_engine_gate(true);
    item_init(&running, &f);
    item_init(&waiting, &f);
    item_init(&hopeless, &f);
    loop_thread_call(&f.lt, submit_now, &running);
    fake_engine_wait_entered(1);
    loop_thread_call(&f.lt, submit_now, &waiting);
    hopeless.work.deadline_ns = tern_clock_mono_ns() + 10 * TERN_NS_PER_MS;
    loop_thread_call(&f.lt, submit_now, &hopeless); /* 100 ms of work stand before it */
    sem_wait(&hopeless.done);
    assert_int_equal(hopeless.work.code, TERN_RESOURCE_EXHAUSTED);
    fake_engine_open(2);
    sem_wait(&running.done);
    sem_wait(&waiting.done);
    item_fini(&running);
    item_fini(&waiting);
    item_fini(&hopeless);
    stop(&f);
}

static void test_cancelling_waiting_work(void **state)
{
    struct fixture f;
    struct item running, waiting;
    (void)state;
    start(&f, "fake gated", TERN_NS_PER_MS, 10);
    fake_engine_gate(true);
    item_init(&running, &f);
    item_init(&waiting, &f);
    loop_thread_call(&f.lt, submit_now, &running);
    fake_engine_wait_entered(1);
    loop_thread_call(&f.lt, submit_now, &waiting);
    loop_thread_call(&f.lt, cancel_now, &waiting);
    sem_wait(&waiting.done);
    assert_int_equal(waiting.work.code, TERN_CANCELLED);
    assert_int_equal(tern_sched_depth(&f.version), 0);
    loop_thread_call(&f.lt, cancel_now, &running); /* it runs to its end all the same */
    fake_engine_open(1);
    sem_wait(&running.done);
    assert_answered(&running);
    item_fini(&running);
    item_fini(&waiting);
    stop(&f);
}

static void test_a_failing_engine_tells_its_caller(void **state)
{
    struct fixture f;
    struct item item;
    (void)state;
    start(&f, "fake failing", TERN_NS_PER_MS, 10);
    item_init(&item, &f);
    loop_thread_call(&f.lt, submit_now, &item);
    sem_wait(&item.done);
    assert_int_equal(item.work.code, TERN_INTERNAL);
    assert_string_equal(item.err.text, "this model fails on purpose");
    item_fini(&item);
    stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_short_run_stays_on_its_loop),
        cmocka_unit_test(test_a_large_request_of_a_quick_model_leaves_the_loop),
        cmocka_unit_test(test_a_loop_learns_from_its_executors),
        cmocka_unit_test(test_a_model_that_turned_slow_leaves_the_loop),
        cmocka_unit_test(test_a_long_run_takes_one_hop_and_comes_home),
        cmocka_unit_test(test_a_full_lane_refuses),
        cmocka_unit_test(test_work_past_its_deadline_never_runs),
        cmocka_unit_test(test_waiting_work_is_answered_at_its_deadline),
        cmocka_unit_test(test_what_cannot_be_in_time_is_refused_at_once),
        cmocka_unit_test(test_cancelling_waiting_work),
        cmocka_unit_test(test_a_failing_engine_tells_its_caller),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
