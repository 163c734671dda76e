/* Records on their way from many threads to one: none is lost but those that find no room. */
// covers: trace/record
// wrap: tern_mem_alloc tern_mem_zalloc tern_mem_realloc tern_mem_alloc_aligned
#include <setjmp.h>
#include <stdatomic.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "base/clock.h"
#include "harness/mem_fails.h"
#include "os/thread.h"
#include "trace/tracer.h"

#define HOUR_NS (3600 * TERN_NS_PER_S)

/* Remembers what came; the test reads it after stop. */
struct keeper {
    uint32_t batches[64];
    uint32_t n_batches;
    int64_t versions[8192];
    uint32_t n;
    bool refuse;
    bool closed;
    pthread_mutex_t gate; /* held by the test: the thread waits inside a batch */
    atomic_bool inside;
};

static uint32_t keep(void *self, const struct tern_trace_record *const *records, uint32_t n)
{
    struct keeper *keeper = self;

    atomic_store(&keeper->inside, true);
    pthread_mutex_lock(&keeper->gate);
    if (keeper->n_batches < TERN_COUNT_OF(keeper->batches))
        keeper->batches[keeper->n_batches++] = n;
    for (uint32_t i = 0; i < n && keeper->n < TERN_COUNT_OF(keeper->versions); i++)
        keeper->versions[keeper->n++] = records[i]->version;
    pthread_mutex_unlock(&keeper->gate);
    return keeper->refuse ? n : 0;
}

static void close_keeper(void *self)
{
    struct keeper *keeper = self;
    keeper->closed = true;
}

static struct keeper *new_keeper(void)
{
    static struct keeper keeper;

    keeper = (struct keeper){.gate = PTHREAD_MUTEX_INITIALIZER};
    return &keeper;
}

static struct tern_tracer *start(struct keeper *keeper, uint32_t queue_max, uint32_t batch_max,
                                 uint64_t delay_ns)
{
    const struct tern_tracer_settings settings = {
        {keep, close_keeper, keeper}, queue_max, batch_max, delay_ns};
    struct tern_tracer *tracer = NULL;

    assert_int_equal(tern_tracer_start(&settings, &tracer, NULL), TERN_OK);
    return tracer;
}

static bool push(struct tern_tracer *tracer, int64_t version)
{
    const struct tern_trace_record from = {.model = TERN_STR("m"), .version = version};
    struct tern_trace_record *record = tern_tracer_reserve(tracer, &from);

    if (record == NULL)
        return false;
    tern_tracer_push(tracer, record);
    return true;
}

static void what_was_pushed_comes_in_order(void **state)
{
    struct keeper *keeper = new_keeper();
    struct tern_tracer *tracer = start(keeper, 1000, 10, 0);
    (void)state;
    for (int64_t i = 0; i < 100; i++)
        assert_true(push(tracer, i));
    tern_tracer_stop(tracer);
    assert_int_equal(keeper->n, 100);
    for (int64_t i = 0; i < 100; i++)
        assert_int_equal(keeper->versions[i], i);
    assert_true(keeper->closed);
}

static void a_full_batch_does_not_wait(void **state)
{
    struct keeper *keeper = new_keeper();
    struct tern_tracer *tracer = start(keeper, 1000, 4, HOUR_NS);
    (void)state;
    for (int64_t i = 0; i < 4; i++)
        assert_true(push(tracer, i));
    while (tern_tracer_count(tracer).written < 4)
        tern_thread_sleep_ns(100000);
    assert_true(push(tracer, 4)); /* delivered by stop, long before its hour */
    tern_tracer_stop(tracer);
    assert_int_equal(keeper->batches[0], 4);
    assert_int_equal(keeper->n, 5);
}

static void past_the_bound_records_are_dropped(void **state)
{
    struct keeper *keeper = new_keeper();
    struct tern_tracer *tracer = start(keeper, 8, 1, 0);
    unsigned pushed = 0;
    (void)state;
    pthread_mutex_lock(&keeper->gate);
    for (int64_t i = 0; i < 20; i++)
        pushed += push(tracer, i);
    while (!atomic_load(&keeper->inside))
        tern_thread_sleep_ns(100000);
    assert_int_equal(pushed, 8);
    assert_int_equal(tern_tracer_count(tracer).dropped, 12);
    pthread_mutex_unlock(&keeper->gate);
    tern_tracer_stop(tracer);
    assert_int_equal(keeper->n, 8);
}

static void what_cannot_be_delivered_counts_as_dropped(void **state)
{
    struct keeper *keeper = new_keeper();
    (void)state;
    keeper->refuse = true;
    struct tern_tracer *tracer = start(keeper, 8, 1, 0);
    assert_true(push(tracer, 1));
    while (tern_tracer_count(tracer).dropped < 1)
        tern_thread_sleep_ns(100000);
    assert_int_equal(tern_tracer_count(tracer).written, 0);
    tern_tracer_stop(tracer);
}

struct pusher {
    struct tern_thread thread;
    struct tern_tracer *tracer;
    unsigned pushed;
};

static void push_many(void *arg)
{
    struct pusher *pusher = arg;
    for (int64_t i = 0; i < 2000; i++)
        pusher->pushed += push(pusher->tracer, i);
}

static void many_threads_push(void **state)
{
    struct keeper *keeper = new_keeper();
    struct tern_tracer *tracer = start(keeper, 100000, 64, 1000);
    struct pusher pushers[3];
    uint32_t pushed = 0;
    (void)state;
    for (int i = 0; i < 3; i++) {
        pushers[i] = (struct pusher){.tracer = tracer};
        assert_int_equal(
            tern_thread_start(&pushers[i].thread, "pusher", -1, push_many, &pushers[i], NULL),
            TERN_OK);
    }
    for (int i = 0; i < 3; i++) {
        tern_thread_join(&pushers[i].thread);
        pushed += pushers[i].pushed;
    }
    tern_tracer_stop(tracer);
    assert_int_equal(pushed, 6000);
    assert_int_equal(keeper->n, 6000);
}

/* ---- records ---- */

static void a_record_is_a_copy(void **state)
{
    char model[] = "iris", id[] = "7", name[] = "x";
    float values[] = {1, 2};
    struct tern_trace_tensor tensor = {.name = tern_str_of(name),
                                       .dtype = TERN_DTYPE_FP32,
                                       .shape = {1, {2}},
                                       .data = values,
                                       .n_bytes = sizeof(values)};
    const struct tern_trace_record from = {.model = tern_str_of(model),
                                           .request_id = tern_str_of(id),
                                           .tensors = &tensor,
                                           .n_tensors = 1};
    (void)state;
    struct tern_trace_record *record = tern_trace_record_new(&from);
    assert_non_null(record);
    memset(model, '?', 4);
    id[0] = name[0] = '?';
    values[1] = 9;
    assert_true(tern_str_eq(record->model, TERN_STR("iris")));
    assert_true(tern_str_eq(record->request_id, TERN_STR("7")));
    assert_true(tern_str_eq(record->tensors[0].name, TERN_STR("x")));
    assert_memory_equal(record->tensors[0].data, ((const float[]){1, 2}), sizeof(values));
    assert_false(record->tensors[0].cut);
    tern_trace_record_free(record);
}

static void large_tensors_are_cut_after_a_whole_element(void **state)
{
    enum { ROWS = 40, BYTES = 2 * TERN_TRACE_TENSOR_BYTES_MAX };
    static char bytes[BYTES];
    struct tern_trace_tensor tensors[ROWS];
    struct tern_trace_record from = {.tensors = tensors, .n_tensors = ROWS};
    size_t sum = 0;
    (void)state;
    for (size_t i = 0; i < ROWS; i++)
        tensors[i] =
            (struct tern_trace_tensor){.dtype = TERN_DTYPE_FP64, .data = bytes, .n_bytes = BYTES};
    /* Strings of 1000 bytes with their lengths. */
    for (size_t at = 0; at + 1004 <= BYTES; at += 1004) {
        bytes[at] = (char)0xe8;
        bytes[at + 1] = 3;
    }
    tensors[0].dtype = TERN_DTYPE_BYTES;
    struct tern_trace_record *record = tern_trace_record_new(&from);
    assert_non_null(record);
    assert_int_equal(record->tensors[0].n_bytes, TERN_TRACE_TENSOR_BYTES_MAX / 1004 * 1004);
    assert_int_equal(record->tensors[1].n_bytes, TERN_TRACE_TENSOR_BYTES_MAX);
    assert_true(record->tensors[0].cut && record->tensors[1].cut);
    for (size_t i = 0; i < ROWS; i++)
        sum += record->tensors[i].n_bytes;
    assert_true(sum <= TERN_TRACE_BYTES_MAX);
    assert_int_equal(record->tensors[ROWS - 1].n_bytes, 0);
    tern_trace_record_free(record);
}

static enum tern_code life(void)
{
    struct keeper *keeper = new_keeper();
    const struct tern_tracer_settings settings = {{keep, close_keeper, keeper}, 8, 1, 0};
    struct tern_tracer *tracer = NULL;
    struct tern_err err;
    enum tern_code code = tern_tracer_start(&settings, &tracer, &err);

    if (code == TERN_OK && !push(tracer, 1))
        code = TERN_RESOURCE_EXHAUSTED;
    tern_tracer_stop(tracer);
    assert_true(keeper->closed); /* whatever happened */
    return code;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    for (long n = 0;; n++) {
        mem_calls = 0;
        mem_fail_at = n;
        enum tern_code code = life();
        mem_fail_at = -1;
        if (code == TERN_OK)
            return;
        assert_int_equal(code, TERN_RESOURCE_EXHAUSTED);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_pushed_comes_in_order),
        cmocka_unit_test(a_full_batch_does_not_wait),
        cmocka_unit_test(past_the_bound_records_are_dropped),
        cmocka_unit_test(what_cannot_be_delivered_counts_as_dropped),
        cmocka_unit_test(many_threads_push),
        cmocka_unit_test(a_record_is_a_copy),
        cmocka_unit_test(large_tensors_are_cut_after_a_whole_element),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
