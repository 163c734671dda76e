/* Triton's sample models: what they answer, what their configuration must say, how delays end. */
// wrap: tern_mem_zalloc
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/mem.h"
#include "engine/sample/sample.h"

static bool no_memory;

void *__real_tern_mem_zalloc(size_t count, size_t size);
void *__wrap_tern_mem_zalloc(size_t count, size_t size);
void *__wrap_tern_mem_zalloc(size_t count, size_t size)
{
    return no_memory ? NULL : __real_tern_mem_zalloc(count, size);
}

/* ---- a model, and what it answers ---- */

#define ANSWERS_MAX 16

struct rig {
    struct tern_engine_model model;
    struct tern_arena arena;
    void *instance;
    struct tern_tensor inputs[3], outputs[2];
    uint32_t spec[3];
    struct tern_engine_run run;
    struct tern_engine_sink sink;
    atomic_bool cancelled;
    uint32_t out[ANSWERS_MAX], idx[ANSWERS_MAX];
    uint32_t n_answers;
    pthread_mutex_t lock;
    pthread_cond_t answered;
};

static enum tern_code emit(struct tern_engine_sink *self, const struct tern_tensor *outputs,
                           uint32_t n, struct tern_err *err)
{
    struct rig *rig = TERN_CONTAINER_OF(self, struct rig, sink);

    if (rig->n_answers == ANSWERS_MAX)
        return tern_fail(err, TERN_CANCELLED, "enough");
    pthread_mutex_lock(&rig->lock);
    memcpy(&rig->out[rig->n_answers], outputs[0].data, 4);
    if (n > 1)
        memcpy(&rig->idx[rig->n_answers], outputs[1].data, 4);
    assert_int_equal(outputs[0].n_bytes, 4);
    rig->n_answers++;
    pthread_cond_signal(&rig->answered);
    pthread_mutex_unlock(&rig->lock);
    return TERN_OK;
}

#define TENSOR(name_, type, ...)                                          \
    {                                                                     \
        .name = {(name_), sizeof(name_) - 1}, .dtype = TERN_DTYPE_##type, \
        .shape = {1, {__VA_ARGS__}},                                      \
    }

static const struct tern_tensor_spec square_in[] = {TENSOR("IN", INT32, 1)};
static const struct tern_tensor_spec square_out[] = {TENSOR("OUT", INT32, 1)};
static const struct tern_tensor_spec repeat_in[] = {
    TENSOR("IN", INT32, -1), TENSOR("DELAY", UINT32, -1), TENSOR("WAIT", UINT32, 1)};
static const struct tern_tensor_spec repeat_out[] = {TENSOR("OUT", INT32, 1),
                                                     TENSOR("IDX", UINT32, 1)};
static const struct tern_tensor_spec pair[] = {TENSOR("INPUT0", FP32, -1),
                                               TENSOR("INPUT1", BYTES, -1)};

#define LOAD(in, out, decoupled_)                                        \
    {                                                                    \
        .inputs = (in), .n_inputs = TERN_COUNT_OF(in), .outputs = (out), \
        .n_outputs = TERN_COUNT_OF(out), .decoupled = (decoupled_)       \
    }

static struct rig *open_rig(const struct tern_engine_ops *ops, const struct tern_engine_load *load)
{
    struct rig *rig = calloc(1, sizeof(*rig));

    if (rig == NULL)
        abort();
    tern_arena_init(&rig->arena, 4096, 1u << 20);
    pthread_mutex_init(&rig->lock, NULL);
    pthread_cond_init(&rig->answered, NULL);
    assert_int_equal(ops->available(NULL), TERN_OK);
    assert_int_equal(ops->load(load, &rig->arena, &rig->model, NULL), TERN_OK);
    assert_int_equal(ops->instance_new(&rig->model, &rig->instance, NULL), TERN_OK);
    rig->model.ops = ops;
    rig->sink.emit = emit;
    for (uint32_t i = 0; i < rig->model.n_inputs; i++)
        rig->spec[i] = i;
    for (uint32_t i = 0; i < rig->model.n_outputs; i++)
        rig->outputs[i].name = rig->model.outputs[i].name;
    rig->run = (struct tern_engine_run){
        .inputs = rig->inputs,
        .input_spec = rig->spec,
        .n_inputs = rig->model.n_inputs,
        .outputs = rig->outputs,
        .output_spec = rig->spec,
        .n_outputs = rig->model.n_outputs,
        .arena = &rig->arena,
        .sink = load->decoupled ? &rig->sink : NULL,
        .cancelled = &rig->cancelled,
    };
    return rig;
}

static void close_rig(struct rig *rig)
{
    rig->model.ops->instance_free(&rig->model, rig->instance);
    rig->model.ops->unload(&rig->model);
    tern_arena_fini(&rig->arena);
    pthread_cond_destroy(&rig->answered);
    pthread_mutex_destroy(&rig->lock);
    free(rig);
}

static void give(struct rig *rig, uint32_t at, const void *data, size_t n_bytes)
{
    struct tern_tensor *tensor = &rig->inputs[at];

    tensor->name = rig->model.inputs[at].name;
    tensor->dtype = rig->model.inputs[at].dtype;
    tensor->shape = (struct tern_shape){1, {(int64_t)(n_bytes / 4)}};
    tensor->data = (void *)(uintptr_t)data;
    tensor->n_bytes = n_bytes;
}

static enum tern_code run(struct rig *rig, struct tern_err *err)
{
    return rig->model.ops->infer(&rig->model, rig->instance, &rig->run, err);
}

/* ---- identity ---- */

static void identity_echoes(void **state)
{
    const struct tern_engine_load load = LOAD(pair, pair, false);
    const float numbers[] = {1.5f, -2};
    struct rig *rig = open_rig(&tern_sample_identity, &load);
    (void)state;
    give(rig, 0, numbers, sizeof(numbers));
    give(rig, 1, "\2\0\0\0ab\0\0", 8);
    assert_int_equal(run(rig, NULL), TERN_OK);
    assert_memory_equal(rig->outputs[0].data, numbers, sizeof(numbers));
    assert_int_equal(rig->outputs[0].shape.dim[0], 2);
    assert_memory_equal(rig->outputs[1].data, "\2\0\0\0ab", 6);
    assert_int_equal(rig->outputs[1].dtype, TERN_DTYPE_BYTES);
    rig->run.n_inputs = 1;
    assert_int_equal(run(rig, NULL), TERN_OK); /* two empty texts: as many as the other's rows */
    assert_int_equal(rig->outputs[1].shape.dim[0], 2);
    assert_int_equal(rig->outputs[1].n_bytes, 8);
    assert_memory_equal(rig->outputs[1].data, "\0\0\0\0\0\0\0\0", 8);
    close_rig(rig);
}

/* An hour, but nobody wants it. */
static void identity_waits_unless_it_is_cancelled(void **state)
{
    const struct tern_engine_option options[] = {
        {TERN_STR("enable_mem_arena"), TERN_STR("1")},
        {TERN_STR("execute_delay_ms"), TERN_STR("3600000")},
    };
    struct tern_engine_load load = LOAD(pair, pair, false);
    (void)state;
    load.options = options;
    load.n_options = 2;
    struct rig *rig = open_rig(&tern_sample_identity, &load);
    give(rig, 0, "", 0);
    give(rig, 1, "", 0);
    rig->cancelled = true;
    assert_int_equal(run(rig, NULL), TERN_CANCELLED);
    rig->run.cancelled = NULL; /* a warm-up does not take so long */
    assert_int_equal(run(rig, NULL), TERN_OK);
    close_rig(rig);
}

/* A model of known cost: 200 us and 300 us for each of two rows. */
static void identity_takes_time_for_each_row(void **state)
{
    const float numbers[] = {1, 2};
    const char *const kinds[] = {"sleep", "spin"};
    (void)state;
    for (size_t i = 0; i < TERN_COUNT_OF(kinds); i++) {
        const struct tern_engine_option options[] = {
            {TERN_STR("execute_delay_us"), TERN_STR("200")},
            {TERN_STR("execute_row_delay_us"), TERN_STR("300")},
            {TERN_STR("execute_delay_kind"), tern_str_of(kinds[i])},
        };
        struct tern_engine_load load = LOAD(pair, pair, false);
        load.options = options;
        load.n_options = TERN_COUNT_OF(options);
        struct rig *rig = open_rig(&tern_sample_identity, &load);
        give(rig, 0, numbers, sizeof(numbers));
        give(rig, 1, "", 0);
        uint64_t start = tern_clock_mono_ns();
        assert_int_equal(run(rig, NULL), TERN_OK);
        assert_true(tern_clock_mono_ns() - start >= 800 * (uint64_t)TERN_NS_PER_US);
        rig->cancelled = true;
        assert_int_equal(run(rig, NULL), TERN_CANCELLED);
        close_rig(rig);
    }
}

/* ---- square ---- */

static void square_answers_n_times(void **state)
{
    const struct tern_engine_load load = LOAD(square_in, square_out, true);
    struct rig *rig = open_rig(&tern_sample_square, &load);
    struct tern_err err;
    int32_t n = 3;
    (void)state;
    give(rig, 0, &n, sizeof(n));
    assert_int_equal(run(rig, NULL), TERN_OK);
    assert_int_equal(rig->n_answers, 3);
    assert_int_equal(rig->out[2], 3);
    assert_int_equal(rig->outputs[0].shape.dim[0], 1);
    n = -1;
    assert_int_equal(run(rig, NULL), TERN_OK);
    assert_int_equal(rig->n_answers, 3);
    n = 1000000; /* whoever listens has enough before */
    assert_int_equal(run(rig, NULL), TERN_CANCELLED);
    give(rig, 0, "12345678", 8);
    assert_int_equal(run(rig, &err), TERN_INVALID_ARGUMENT);
    assert_string_equal(err.text, "expected one element in 'IN', got 2");
    rig->run.sink = NULL;
    assert_int_equal(run(rig, &err), TERN_UNIMPLEMENTED);
    close_rig(rig);
}

/* ---- iterative_sequence ---- */

static const struct tern_tensor_spec countdown_in[] = {TENSOR("INPUT", INT32, 1)};
static const struct tern_tensor_spec countdown_out[] = {TENSOR("OUTPUT", INT32, 1)};

static void countdown_asks_to_run_again_row_by_row(void **state)
{
    const struct tern_engine_load load = LOAD(countdown_in, countdown_out, false);
    struct rig *rig = open_rig(&tern_sample_countdown, &load);
    struct tern_engine_again again[3] = {{.n = 0}, {.n = 1}, {.n = 5}};
    const int32_t values[] = {3, 3, 3};
    struct tern_err err;
    (void)state;
    give(rig, 0, values, sizeof(values));
    rig->inputs[0].shape = (struct tern_shape){2, {3, 1}};
    rig->run.again = again;
    assert_int_equal(run(rig, NULL), TERN_OK);
    const int32_t left[] = {2, 1, 0};
    assert_memory_equal(rig->outputs[0].data, left, sizeof(left));
    assert_true(again[0].wanted && again[1].wanted && !again[2].wanted);
    rig->run.again = NULL;
    assert_int_equal(run(rig, &err), TERN_INVALID_ARGUMENT);
    assert_non_null(strstr(err.text, "Request is released with TRITONSERVER_REQUEST_RELEASE"));
    rig->run.cancelled = NULL; /* a warm-up */
    assert_int_equal(run(rig, NULL), TERN_OK);
    rig->inputs[0].shape = (struct tern_shape){2, {1, 3}};
    assert_int_equal(run(rig, &err), TERN_INVALID_ARGUMENT);
    assert_string_equal(err.text, "expected one element a row in 'INPUT'");
    close_rig(rig);
}

static void countdown_answers_each_time(void **state)
{
    const struct tern_engine_load load = LOAD(countdown_in, countdown_out, true);
    struct rig *rig = open_rig(&tern_sample_countdown, &load);
    struct tern_engine_again again = {.n = 0};
    const int32_t value = 2;
    (void)state;
    give(rig, 0, &value, sizeof(value));
    rig->run.again = &again;
    assert_int_equal(run(rig, NULL), TERN_OK);
    assert_true(again.wanted);
    again = (struct tern_engine_again){.n = 1};
    assert_int_equal(run(rig, NULL), TERN_OK);
    assert_false(again.wanted);
    assert_int_equal(rig->n_answers, 2);
    assert_int_equal(rig->out[0], 1);
    assert_int_equal(rig->out[1], 0);
    close_rig(rig);
}

/* ---- repeat ---- */

static void give_repeat(struct rig *rig, const int32_t *in, const uint32_t *delay, size_t n,
                        const uint32_t *wait)
{
    give(rig, 0, in, n * 4);
    give(rig, 1, delay, n * 4);
    give(rig, 2, wait, 4);
}

static void repeat_answers_each_value(void **state)
{
    const struct tern_engine_load load = LOAD(repeat_in, repeat_out, true);
    struct rig *rig = open_rig(&tern_sample_repeat, &load);
    const int32_t in[] = {4, -2, 0};
    const uint32_t delay[] = {0, 1, 0}, wait = 1;
    struct tern_err err;
    (void)state;
    give_repeat(rig, in, delay, 3, &wait);
    assert_int_equal(run(rig, NULL), TERN_OK);
    assert_int_equal(rig->n_answers, 3);
    assert_memory_equal(rig->out, in, sizeof(in));
    assert_int_equal(rig->idx[2], 2);
    give_repeat(rig, in, delay, 0, &wait);
    assert_int_equal(run(rig, NULL), TERN_OK);
    assert_int_equal(rig->n_answers, 3); /* no value, no answer */
    give(rig, 1, delay, 4);
    assert_int_equal(run(rig, &err), TERN_INVALID_ARGUMENT);
    assert_string_equal(err.text, "expected IN and DELAY shape to match, got [0] and [1]");
    give_repeat(rig, in, delay, 1, &wait);
    give(rig, 2, delay, 8);
    assert_int_equal(run(rig, NULL), TERN_INVALID_ARGUMENT);
    close_rig(rig);
}

/* Without a sink there is one answer, the first. */
static void repeat_answers_once(void **state)
{
    const struct tern_engine_load load = LOAD(repeat_in, repeat_out, false);
    struct rig *rig = open_rig(&tern_sample_repeat, &load);
    const int32_t in[] = {4, -2};
    const uint32_t delay[] = {1, UINT32_MAX}, wait = UINT32_MAX, zero = 0;
    (void)state;
    give_repeat(rig, in, delay, 2, &wait);
    assert_int_equal(run(rig, NULL), TERN_OK);
    assert_int_equal(rig->n_answers, 0);
    assert_memory_equal(rig->outputs[0].data, &in[0], 4);
    assert_memory_equal(rig->outputs[1].data, &zero, 4);
    assert_true(rig->outputs[0].n_bytes == 4 && rig->outputs[1].n_bytes == 4);
    give_repeat(rig, in, delay, 0, &wait);
    assert_int_equal(run(rig, NULL), TERN_INVALID_ARGUMENT);
    close_rig(rig);
}

/* One output alone is as good. */
static void repeat_fills_what_is_wanted(void **state)
{
    static const uint32_t only_second[] = {1};
    const struct tern_engine_load load = LOAD(repeat_in, repeat_out, true);
    struct rig *rig = open_rig(&tern_sample_repeat, &load);
    const int32_t in[] = {7, 7};
    const uint32_t delay[] = {0, 0}, wait = 0;
    (void)state;
    give_repeat(rig, in, delay, 2, &wait);
    rig->run.output_spec = only_second;
    rig->run.n_outputs = 1;
    assert_int_equal(run(rig, NULL), TERN_OK);
    assert_int_equal(rig->out[1], 1);
    close_rig(rig);
}

static void *run_until_cancelled(void *arg)
{
    assert_int_equal(run(arg, NULL), TERN_CANCELLED);
    return NULL;
}

/* After the first answer it waits for hours, until somebody says stop. */
static void cancel_ends_a_delay(void **state)
{
    const struct tern_engine_load load = LOAD(repeat_in, repeat_out, true);
    struct rig *rig = open_rig(&tern_sample_repeat, &load);
    const int32_t in[] = {1, 2};
    const uint32_t delay[] = {0, UINT32_MAX}, wait = 0;
    pthread_t thread;
    (void)state;
    give_repeat(rig, in, delay, 2, &wait);
    assert_int_equal(pthread_create(&thread, NULL, run_until_cancelled, rig), 0);
    pthread_mutex_lock(&rig->lock);
    while (rig->n_answers == 0)
        pthread_cond_wait(&rig->answered, &rig->lock);
    pthread_mutex_unlock(&rig->lock);
    rig->model.ops->cancel(&rig->model, rig->instance);
    pthread_join(thread, NULL);
    assert_int_equal(rig->n_answers, 1);
    give_repeat(rig, in, delay, 1, &wait); /* the next run knows nothing of that */
    assert_int_equal(run(rig, NULL), TERN_OK);
    close_rig(rig);
}

/* ---- configurations ---- */

static void mistakes_in_configurations(void **state)
{
    static const struct tern_tensor_spec wrong[] = {TENSOR("IN", FP32, 1)};
    static const struct tern_tensor_spec swapped[] = {
        TENSOR("IN", INT32, -1), TENSOR("WAIT", UINT32, 1), TENSOR("DELAY", UINT32, -1)};
    const struct {
        struct tern_engine_option option;
        const char *text;
    } bad_times[] = {
        {{TERN_STR("execute_delay_ms"), TERN_STR("soon")},
         "execute_delay_ms: expected milliseconds, got 'soon'"},
        {{TERN_STR("execute_delay_us"), TERN_STR("-1")},
         "execute_delay_us: expected microseconds, got '-1'"},
        {{TERN_STR("execute_row_delay_us"), TERN_STR("99999999999999999")},
         "execute_row_delay_us: expected microseconds, got '99999999999999999'"},
        {{TERN_STR("execute_delay_kind"), TERN_STR("nap")},
         "execute_delay_kind: expected sleep or spin, got 'nap'"},
    };
    const struct {
        const struct tern_engine_ops *ops;
        struct tern_engine_load load;
        const char *text;
    } rows[] = {
        {&tern_sample_identity, LOAD(pair, wrong, false),
         "expected as many outputs as inputs in the configuration, got 2 inputs and 1 outputs"},
        {&tern_sample_identity, LOAD(wrong, square_out, false),
         "input 'IN' and output 'OUT' must have one datatype, got FP32 and INT32"},
        {&tern_sample_square, LOAD(square_in, square_out, false),
         "the model only works with model_transaction_policy { decoupled: true }"},
        {&tern_sample_square, LOAD(wrong, square_out, true),
         "input 0 of the configuration: expected IN of INT32, got 'IN' of FP32"},
        {&tern_sample_square, LOAD(pair, square_out, true),
         "expected 1 inputs in the configuration, got 2"},
        {&tern_sample_repeat, LOAD(swapped, repeat_out, true),
         "input 1 of the configuration: expected DELAY of UINT32, got 'WAIT' of UINT32"},
        {&tern_sample_repeat, LOAD(repeat_in, repeat_in, true),
         "expected 2 outputs in the configuration, got 3"},
    };
    struct tern_engine_load load = LOAD(pair, pair, false);
    struct tern_engine_model model;
    struct tern_arena arena;
    struct tern_err err;
    (void)state;
    tern_arena_init(&arena, 4096, 1u << 20);
    for (size_t i = 0; i < TERN_COUNT_OF(rows); i++) {
        assert_int_equal(rows[i].ops->load(&rows[i].load, &arena, &model, &err),
                         TERN_INVALID_ARGUMENT);
        assert_string_equal(err.text, rows[i].text);
    }
    load.n_options = 1;
    for (size_t i = 0; i < TERN_COUNT_OF(bad_times); i++) {
        load.options = &bad_times[i].option;
        assert_int_equal(tern_sample_identity.load(&load, &arena, &model, &err),
                         TERN_INVALID_ARGUMENT);
        assert_string_equal(err.text, bad_times[i].text);
    }
    tern_arena_fini(&arena);
}

static void memory_may_be_short(void **state)
{
    const struct tern_engine_load load = LOAD(pair, pair, false);
    struct tern_engine_model model = {0};
    struct tern_arena arena;
    void *instance;
    (void)state;
    no_memory = true;
    for (size_t max = 0; max < 4096; max += 64) {
        tern_arena_init(&arena, 64, max);
        assert_int_equal(tern_sample_identity.load(&load, &arena, &model, NULL),
                         TERN_RESOURCE_EXHAUSTED);
        tern_arena_fini(&arena);
    }
    assert_int_equal(tern_sample_identity.instance_new(&model, &instance, NULL),
                     TERN_RESOURCE_EXHAUSTED);
    no_memory = false;
}

static void no_file_is_theirs(void **state)
{
    (void)state;
    assert_int_equal(tern_sample_repeat.probe("model.onnx", TERN_STR("repeat")), 0);
    assert_null(tern_sample_repeat.file_names[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(identity_echoes),
        cmocka_unit_test(identity_waits_unless_it_is_cancelled),
        cmocka_unit_test(identity_takes_time_for_each_row),
        cmocka_unit_test(countdown_asks_to_run_again_row_by_row),
        cmocka_unit_test(countdown_answers_each_time),
        cmocka_unit_test(square_answers_n_times),
        cmocka_unit_test(repeat_answers_each_value),
        cmocka_unit_test(repeat_answers_once),
        cmocka_unit_test(repeat_fills_what_is_wanted),
        cmocka_unit_test(cancel_ends_a_delay),
        cmocka_unit_test(mistakes_in_configurations),
        cmocka_unit_test(memory_may_be_short),
        cmocka_unit_test(no_file_is_theirs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
