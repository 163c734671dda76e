/* Runs of real models through the engine's operations: values, shapes, types, errors, cancelling.
 */
// covers: engine/onnx/onnx_call engine/onnx/onnx_files engine/onnx/onnx_model
// covers: engine/onnx/onnx_options engine/onnx/onnx_run
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include "engine/onnx/onnx_model.h"
#include "onnx_fixture.h"

/* ---- every element type ---- */

static void every_dtype_passes_through(void **state)
{
    NEEDS_LIBRARY();
    static const struct {
        const char *name;
        enum tern_dtype dtype;
    } rows[] = {
        {"bool", TERN_DTYPE_BOOL},     {"uint8", TERN_DTYPE_UINT8},   {"uint16", TERN_DTYPE_UINT16},
        {"uint32", TERN_DTYPE_UINT32}, {"uint64", TERN_DTYPE_UINT64}, {"int8", TERN_DTYPE_INT8},
        {"int16", TERN_DTYPE_INT16},   {"int32", TERN_DTYPE_INT32},   {"int64", TERN_DTYPE_INT64},
        {"fp16", TERN_DTYPE_FP16},     {"bf16", TERN_DTYPE_BF16},     {"fp32", TERN_DTYPE_FP32},
        {"fp64", TERN_DTYPE_FP64},
    };
    for (size_t r = 0; r < TERN_COUNT_OF(rows); r++) {
        struct fixture f;
        char path[128];
        _Alignas(8) uint8_t bytes[3 * 5 * 8 + 1];
        size_t n = 3 * 5 * tern_dtype_size(rows[r].dtype);

        snprintf(path, sizeof(path), DATA "identity_%s.onnx", rows[r].name);
        open_model(&f, path);
        assert_int_equal(f.model.n_inputs, 1);
        assert_int_equal(f.model.inputs[0].dtype, rows[r].dtype);
        assert_int_equal(f.model.outputs[0].dtype, rows[r].dtype);
        assert_int_equal(f.model.inputs[0].shape.rank, 2);
        assert_int_equal(f.model.inputs[0].shape.dim[0], -1);
        for (size_t i = 0; i < sizeof(bytes); i++)
            bytes[i] = rows[r].dtype == TERN_DTYPE_BOOL ? i % 2 : (uint8_t)(i * 37);
        /* Aligned and not, and twice each: the second run meets what the first one prepared. */
        for (int k = 0; k < 4; k++) {
            const uint8_t *data = bytes + k / 2;
            struct tern_tensor in = tensor_of(&f, 0, SHAPE(3, 5), data, n);
            struct tern_tensor out = {0};
            assert_int_equal(infer(&f, &in, 1, &out), TERN_OK);
            assert_int_equal(out.dtype, rows[r].dtype);
            assert_true(tern_shape_eq(&out.shape, &in.shape));
            assert_int_equal(out.n_bytes, n);
            assert_memory_equal(out.data, data, n);
            tern_arena_reset(&f.arena);
        }
        close_model(&f);
    }
}

static size_t put_string(char *dst, const char *text, size_t n)
{
    dst[0] = (char)n;
    dst[1] = dst[2] = dst[3] = 0;
    memcpy(dst + 4, text, n);
    return 4 + n;
}

static void strings_keep_every_byte(void **state)
{
    NEEDS_LIBRARY();
    struct fixture f;
    char bytes[128];
    size_t n = 0;
    struct tern_tensor out = {0};

    n += put_string(bytes + n, "one", 3);
    n += put_string(bytes + n, "", 0);
    n += put_string(bytes + n, "a\0b", 3);
    n += put_string(bytes + n, "\xff\xfe", 2);
    open_model(&f, DATA "identity_bytes.onnx");
    struct tern_tensor in = tensor_of(&f, 0, SHAPE(2, 2), bytes, n);
    for (int k = 0; k < 2; k++) {
        assert_int_equal(infer(&f, &in, 1, &out), TERN_OK);
        assert_int_equal(out.dtype, TERN_DTYPE_BYTES);
        assert_true(tern_shape_eq(&out.shape, &in.shape));
        assert_int_equal(out.n_bytes, n);
        assert_memory_equal(out.data, bytes, n);
        tern_arena_reset(&f.arena);
    }
    in.shape = SHAPE(0, 2);
    in.n_bytes = 0;
    assert_int_equal(infer(&f, &in, 1, &out), TERN_OK);
    assert_int_equal(out.n_bytes, 0);
    assert_int_equal(out.shape.dim[0], 0);

    in.shape = SHAPE(2, 2);
    in.n_bytes = n - 1;
    assert_int_equal(infer(&f, &in, 1, &out), TERN_INVALID_ARGUMENT);
    assert_non_null(strstr(f.err.text, "element 3 of 4"));
    in.shape = SHAPE(INT64_MAX / 2, 2);
    assert_int_equal(infer(&f, &in, 1, &out), TERN_INVALID_ARGUMENT);
    close_model(&f);
}

static void a_bool_is_zero_or_one(void **state)
{
    NEEDS_LIBRARY();
    struct fixture f;
    const uint8_t bytes[4] = {0, 1, 2, 1};
    static const uint8_t many[8192] = {[8000] = 3};
    struct tern_tensor out = {0};

    open_model(&f, DATA "identity_bool.onnx");
    struct tern_tensor in = tensor_of(&f, 0, SHAPE(2, 2), bytes, 4);
    assert_int_equal(infer(&f, &in, 1, &out), TERN_INVALID_ARGUMENT);
    assert_non_null(strstr(f.err.text, "'x'"));
    in = tensor_of(&f, 0, SHAPE(2, 4096), many, sizeof(many));
    assert_int_equal(infer(&f, &in, 1, &out), TERN_INVALID_ARGUMENT);
    close_model(&f);
}

/* ---- several inputs and outputs ---- */

static void two_inputs_in_any_order_and_chosen_outputs(void **state)
{
    NEEDS_LIBRARY();
    struct fixture f;
    int32_t a[32];
    int32_t b[32];

    open_model(&f, DATA "add_sub.onnx");
    for (int i = 0; i < 32; i++) {
        a[i] = i;
        b[i] = 100 * i;
    }
    struct tern_tensor first = tensor_of(&f, 0, SHAPE(2, 16), a, sizeof(a));
    struct tern_tensor second = tensor_of(&f, 1, SHAPE(2, 16), b, sizeof(b));
    for (int k = 0; k < 8; k++) {
        const struct tern_tensor swapped[] = {second, first};
        const struct tern_tensor straight[] = {first, second};
        const uint32_t backward[] = {1, 0};
        const uint32_t forward[] = {0, 1};
        struct tern_tensor out = {0};
        const struct tern_engine_run run = {.inputs = k % 2 == 0 ? swapped : straight,
                                            .input_spec = k % 2 == 0 ? backward : forward,
                                            .n_inputs = 2,
                                            .outputs = &out,
                                            .output_spec = k < 4 ? &forward[1] : &forward[0],
                                            .n_outputs = 1,
                                            .arena = &f.arena};
        assert_int_equal(tern_onnx_engine.infer(&f.model, f.instance, &run, &f.err), TERN_OK);
        const int32_t *got = out.data;
        for (int i = 0; i < 32; i++)
            assert_int_equal(got[i], k < 4 ? a[i] - b[i] : a[i] + b[i]);
        tern_arena_reset(&f.arena);
    }
    close_model(&f);
}

static void an_input_with_a_default_may_be_left_out(void **state)
{
    NEEDS_LIBRARY();
    struct fixture f;
    const float x[] = {1, 2, 3, 4};
    const float bias[] = {-1, -2};

    open_model(&f, DATA "optional.onnx");
    assert_int_equal(f.model.n_inputs, 2);
    assert_false(f.model.inputs[0].optional);
    assert_true(f.model.inputs[1].optional);
    const struct tern_tensor in[] = {tensor_of(&f, 0, SHAPE(2, 2), x, sizeof(x)),
                                     tensor_of(&f, 1, SHAPE(2), bias, sizeof(bias))};
    for (int k = 0; k < 4; k++) {
        struct tern_tensor out = {0};
        assert_int_equal(infer(&f, in, k % 2 == 0 ? 1 : 2, &out), TERN_OK);
        const float *y = out.data;
        assert_true(y[0] == (k % 2 == 0 ? 11.0f : 0.0f));
        assert_true(y[3] == (k % 2 == 0 ? 24.0f : 2.0f));
        tern_arena_reset(&f.arena);
    }
    close_model(&f);
}

/* ---- shapes ---- */

static void scalars_static_shapes_and_empty_tensors(void **state)
{
    NEEDS_LIBRARY();
    struct fixture f;
    const float x[] = {1, -2, 3, -4, 5, -6};
    struct tern_tensor out = {0};

    open_model(&f, DATA "scalar.onnx");
    struct tern_tensor in = tensor_of(&f, 0, (struct tern_shape){.rank = 0}, x, 4);
    assert_int_equal(infer(&f, &in, 1, &out), TERN_OK);
    assert_int_equal(out.shape.rank, 0);
    assert_int_equal(out.n_bytes, 4);
    assert_true(*(const float *)out.data == -1.0f);
    close_model(&f);

    open_model(&f, DATA "static.onnx");
    assert_int_equal(f.model.inputs[0].shape.dim[0], 2);
    in = tensor_of(&f, 0, SHAPE(2, 3), x, sizeof(x));
    assert_int_equal(infer(&f, &in, 1, &out), TERN_OK);
    assert_true(((const float *)out.data)[5] == 6.0f);
    close_model(&f);

    open_model(&f, DATA "identity_fp32.onnx");
    for (int k = 0; k < 2; k++) {
        in = tensor_of(&f, 0, SHAPE(0, 7), k == 0 ? NULL : x, 0);
        assert_int_equal(infer(&f, &in, 1, &out), TERN_OK);
        assert_int_equal(out.n_bytes, 0);
        assert_int_equal(out.shape.dim[1], 7);
    }
    close_model(&f);
}

static void symbols_bind_the_dimension_with_their_name(void **state)
{
    NEEDS_LIBRARY();
    struct fixture f;
    const float x[] = {1, 2, 3, 4, 5, 6};
    const float expected[] = {1, 4, 2, 5, 3, 6};
    struct tern_tensor out = {0};

    open_model(&f, DATA "transpose.onnx");
    struct tern_tensor in = tensor_of(&f, 0, SHAPE(2, 3), x, sizeof(x));
    assert_int_equal(infer(&f, &in, 1, &out), TERN_OK);
    assert_true(out.shape.dim[0] == 3 && out.shape.dim[1] == 2);
    assert_memory_equal(out.data, expected, sizeof(expected));
    close_model(&f);
}

static void a_promise_that_a_model_breaks_costs_one_detour(void **state)
{
    NEEDS_LIBRARY();
    static const char *const paths[] = {DATA "doubled_unnamed.onnx", DATA "doubled_named.onnx"};
    static float big[3 * 2048];

    for (size_t p = 0; p < TERN_COUNT_OF(paths) * 2; p++) {
        struct fixture f;
        int64_t rows = p < 2 ? 2 : 2048; /* a prepared call, and the long way */
        open_model(&f, paths[p % 2]);
        const struct tern_onnx_model *model = f.model.state;
        assert_true(atomic_load(&model->outputs[0].is_predictable));
        for (int k = 0; k < 3; k++) {
            struct tern_tensor out = {0};
            struct tern_tensor in =
                tensor_of(&f, 0, SHAPE(rows, 3), big, (size_t)rows * 3 * sizeof(float));
            big[0] = (float)k + 1;
            if (infer(&f, &in, 1, &out) != TERN_OK)
                fail_msg("%s: %s", paths[p % 2], f.err.text);
            assert_int_equal(out.shape.dim[0], 2 * rows);
            assert_int_equal(out.n_bytes, 2 * in.n_bytes);
            assert_true(((const float *)out.data)[3 * rows] == (float)k + 1);
            assert_false(atomic_load(&model->outputs[0].is_predictable));
            tern_arena_reset(&f.arena);
        }
        close_model(&f);
    }
}

static void shapes_that_only_the_run_tells(void **state)
{
    NEEDS_LIBRARY();
    struct fixture f;
    const float x[] = {0, 7, 0, 8, 9};

    open_model(&f, DATA "nonzero.onnx");
    assert_int_equal(f.model.outputs[0].shape.dim[1], -1);
    for (int64_t n = 1; n <= 5; n++) {
        struct tern_tensor out = {0};
        struct tern_tensor in = tensor_of(&f, 0, SHAPE(n), x, (size_t)n * 4);
        assert_int_equal(infer(&f, &in, 1, &out), TERN_OK);
        assert_int_equal(out.shape.dim[1], n < 2 ? 0 : n < 4 ? 1 : n - 2);
        if (n >= 2)
            assert_int_equal(((const int64_t *)out.data)[0], 1);
        tern_arena_reset(&f.arena);
    }
    close_model(&f);
}

static void many_shapes_share_the_prepared_calls(void **state)
{
    NEEDS_LIBRARY();
    struct fixture f;
    float x[40 * 3];

    for (int i = 0; i < 120; i++)
        x[i] = (float)i;
    open_model(&f, DATA "unnamed.onnx");
    for (int k = 0; k < 400; k++) {
        int64_t rows = 1 + (k * 7) % 40;
        struct tern_tensor out = {0};
        struct tern_tensor in = tensor_of(&f, 0, SHAPE(rows, 3), x, (size_t)rows * 12);
        assert_int_equal(infer(&f, &in, 1, &out), TERN_OK);
        assert_int_equal(out.shape.dim[0], rows);
        for (int i = 0; i < rows * 3; i++)
            assert_true(((const float *)out.data)[i] == -x[i]);
        tern_arena_reset(&f.arena);
    }
    close_model(&f);
}

/* 30 shapes of the same size: more than there are places, so that they meet in some. */
static void shapes_of_one_size_are_told_apart(void **state)
{
    NEEDS_LIBRARY();
    struct fixture f;
    float x[720];

    for (int i = 0; i < 720; i++)
        x[i] = (float)i;
    open_model(&f, DATA "transpose.onnx");
    for (int64_t rows = 1; rows <= 720; rows++) {
        if (720 % rows != 0)
            continue;
        int64_t columns = 720 / rows;
        struct tern_tensor out = {0};
        struct tern_tensor in = tensor_of(&f, 0, SHAPE(rows, columns), x, sizeof(x));
        assert_int_equal(infer(&f, &in, 1, &out), TERN_OK);
        assert_true(out.shape.dim[0] == columns && out.shape.dim[1] == rows);
        assert_true(((const float *)out.data)[rows - 1] == (float)((rows - 1) * columns));
        tern_arena_reset(&f.arena);
    }
    close_model(&f);
}

static void outputs_outlive_the_next_run(void **state)
{
    NEEDS_LIBRARY();
    struct fixture f;
    const float x[] = {1, 2, 3};
    const float z[] = {7, 8, 9};
    struct tern_tensor out[2] = {0};

    open_model(&f, DATA "unnamed.onnx");
    struct tern_tensor in = tensor_of(&f, 0, SHAPE(1, 3), x, sizeof(x));
    assert_int_equal(infer(&f, &in, 1, &out[0]), TERN_OK);
    in.data = (void *)(uintptr_t)z;
    assert_int_equal(infer(&f, &in, 1, &out[1]), TERN_OK);
    assert_true(((const float *)out[0].data)[0] == -1.0f);
    assert_true(((const float *)out[1].data)[0] == -7.0f);
    close_model(&f);
}

static void large_inputs_are_copied_only_to_align_them(void **state)
{
    NEEDS_LIBRARY();
    struct fixture f;
    static float x[3 * 4096 + 1];
    const size_t n = 3 * 4096 * sizeof(float);
    struct tern_tensor out = {0};

    open_model(&f, DATA "unnamed.onnx");
    struct tern_tensor in = tensor_of(&f, 0, SHAPE(4096, 3), x, n);
    assert_int_equal(infer(&f, &in, 1, &out), TERN_OK);
    assert_true(f.arena.used >= n && f.arena.used < n + 1024); /* the output */
    tern_arena_reset(&f.arena);
    in.data = (char *)x + 1;
    assert_int_equal(infer(&f, &in, 1, &out), TERN_OK);
    assert_true(f.arena.used >= 2 * n); /* and an aligned copy of the input */
    close_model(&f);
}

static void a_tensor_shorter_than_its_shape_is_refused(void **state)
{
    NEEDS_LIBRARY();
    struct fixture f;
    const float x[] = {1, 2, 3, 4, 5, 6};
    struct tern_tensor out = {0};

    open_model(&f, DATA "unnamed.onnx");
    for (int k = 0; k < 2; k++) { /* a shape that was seen before, too */
        struct tern_tensor in = tensor_of(&f, 0, SHAPE(2, 3), x, sizeof(x) - 1);
        assert_int_equal(infer(&f, &in, 1, &out), TERN_INVALID_ARGUMENT);
        in.n_bytes++;
        assert_int_equal(infer(&f, &in, 1, &out), TERN_OK);
    }
    close_model(&f);
}

static void a_full_arena_is_an_error(void **state)
{
    NEEDS_LIBRARY();
    struct fixture f;
    static const float x[3 * 4096];
    struct tern_tensor out = {0};

    open_model(&f, DATA "unnamed.onnx");
    tern_arena_fini(&f.arena);
    tern_arena_init(&f.arena, 512, 1024);
    struct tern_tensor in = tensor_of(&f, 0, SHAPE(4096, 3), x, sizeof(x));
    assert_int_equal(infer(&f, &in, 1, &out), TERN_RESOURCE_EXHAUSTED);
    in = tensor_of(&f, 0, SHAPE(200, 3), x, 200 * 12);
    assert_int_equal(infer(&f, &in, 1, &out), TERN_RESOURCE_EXHAUSTED);
    in = tensor_of(&f, 0, SHAPE(2, 3), x, 24);
    assert_int_equal(infer(&f, &in, 1, &out), TERN_OK);
    close_model(&f);
}

/* ---- errors ---- */

static void a_run_that_fails_says_why_and_the_next_one_works(void **state)
{
    NEEDS_LIBRARY();
    struct fixture f;
    const int64_t bad[] = {1, 99};
    const int64_t good[] = {3, 0};
    struct tern_tensor out = {0};

    open_model(&f, DATA "gather.onnx");
    struct tern_tensor in = tensor_of(&f, 0, SHAPE(2), bad, sizeof(bad));
    assert_int_equal(infer(&f, &in, 1, &out), TERN_INVALID_ARGUMENT);
    assert_non_null(strstr(f.err.text, "idx=99"));
    assert_null(strchr(f.err.text, '/'));
    in.data = (void *)(uintptr_t)good;
    assert_int_equal(infer(&f, &in, 1, &out), TERN_OK);
    assert_true(((const float *)out.data)[0] == 4.0f);

    in.shape = SHAPE(3); /* claims more than it has */
    assert_int_not_equal(infer(&f, &in, 1, &out), TERN_OK);
    close_model(&f);
}

static void inputs_that_disagree_are_the_clients_mistake(void **state)
{
    NEEDS_LIBRARY();
    struct fixture f;
    static const int32_t x[64 * 16];

    open_model(&f, DATA "add_sub.onnx");
    for (int64_t rows = 3; rows <= 64; rows += 61) {
        struct tern_tensor out[2] = {0};
        const struct tern_tensor in[] = {
            tensor_of(&f, 0, SHAPE(rows, 16), x, (size_t)rows * 64),
            tensor_of(&f, 1, SHAPE(2, 16), x, 2 * 64),
        };
        assert_int_equal(infer(&f, in, 2, out), TERN_INVALID_ARGUMENT);
        assert_non_null(strstr(f.err.text, "'INPUT1' has 2 for dimension 0 ('batch')"));
        tern_arena_reset(&f.arena);
    }
    close_model(&f);
}

/* ---- cancelling ---- */

struct slow_run {
    struct fixture *f;
    atomic_int done;
    enum tern_code code;
};

static enum tern_code run_rounds(struct fixture *f, int64_t rounds)
{
    static const float x[256] = {[17] = 1.0f};
    struct tern_tensor out = {0};
    const struct tern_tensor in[] = {
        tensor_of(f, 0, (struct tern_shape){.rank = 0}, &rounds, sizeof(rounds)),
        tensor_of(f, 1, SHAPE(16, 16), x, sizeof(x))};
    return infer(f, in, 2, &out);
}

static void *run_for_ever(void *arg)
{
    struct slow_run *slow = arg;
    slow->code = run_rounds(slow->f, INT64_MAX / 2);
    atomic_store(&slow->done, 1);
    return NULL;
}

static void a_run_can_be_cancelled(void **state)
{
    NEEDS_LIBRARY();
    struct fixture f;
    struct slow_run slow = {.f = &f};
    pthread_t thread;

    open_model(&f, DATA "slow_loop.onnx");
    assert_int_equal(run_rounds(&f, 10), TERN_OK);
    assert_int_equal(pthread_create(&thread, NULL, run_for_ever, &slow), 0);
    while (atomic_load(&slow.done) == 0) /* one that comes too early is lost */
        tern_onnx_engine.cancel(&f.model, f.instance);
    pthread_join(thread, NULL);
    assert_int_equal(slow.code, TERN_CANCELLED);
    assert_string_equal(f.err.text, "the run was cancelled");
    /* A cancel that found nothing to stop does not stop the next run. */
    tern_onnx_engine.cancel(&f.model, f.instance);
    assert_int_equal(run_rounds(&f, 10), TERN_OK);
    close_model(&f);
}

/* ---- instances ---- */

struct worker {
    const struct tern_engine_model *model;
    void *instance;
    int failures;
};

static void *run_many(void *arg)
{
    struct worker *worker = arg;
    struct fixture f = {.model = *worker->model, .instance = worker->instance};

    tern_arena_init(&f.arena, 4096, 1u << 20);
    for (int k = 0; k < 2000; k++) {
        float x[3] = {(float)k, 1, 2};
        struct tern_tensor out = {0};
        struct tern_tensor in = tensor_of(&f, 0, SHAPE(1, 3), x, sizeof(x));
        if (infer(&f, &in, 1, &out) != TERN_OK || *(const float *)out.data != -(float)k)
            worker->failures++;
        tern_arena_reset(&f.arena);
    }
    tern_arena_fini(&f.arena);
    return NULL;
}

static void run_instances_in_parallel(struct fixture *f)
{
    struct worker workers[3] = {0};
    pthread_t threads[3];

    for (int i = 0; i < 3; i++) {
        workers[i].model = &f->model;
        assert_int_equal(tern_onnx_engine.instance_new(&f->model, &workers[i].instance, &f->err),
                         TERN_OK);
    }
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, run_many, &workers[i]), 0);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(workers[i].failures, 0);
        tern_onnx_engine.instance_free(&f->model, workers[i].instance);
    }
}

static void instances_run_in_parallel(void **state)
{
    NEEDS_LIBRARY();
    struct fixture f;

    open_model(&f, DATA "unnamed.onnx"); /* a session each */
    run_instances_in_parallel(&f);
    close_model(&f);
    open_with(&f, DATA "unnamed.onnx", (const char *const[]){"share_session=1", NULL}, 1);
    run_instances_in_parallel(&f);
    close_model(&f);
    open_with(&f, DATA "unnamed.onnx", NULL, 2); /* shared, with a pool of two */
    run_instances_in_parallel(&f);
    close_model(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_dtype_passes_through),
        cmocka_unit_test(strings_keep_every_byte),
        cmocka_unit_test(a_bool_is_zero_or_one),
        cmocka_unit_test(two_inputs_in_any_order_and_chosen_outputs),
        cmocka_unit_test(an_input_with_a_default_may_be_left_out),
        cmocka_unit_test(scalars_static_shapes_and_empty_tensors),
        cmocka_unit_test(symbols_bind_the_dimension_with_their_name),
        cmocka_unit_test(a_promise_that_a_model_breaks_costs_one_detour),
        cmocka_unit_test(shapes_that_only_the_run_tells),
        cmocka_unit_test(many_shapes_share_the_prepared_calls),
        cmocka_unit_test(shapes_of_one_size_are_told_apart),
        cmocka_unit_test(outputs_outlive_the_next_run),
        cmocka_unit_test(large_inputs_are_copied_only_to_align_them),
        cmocka_unit_test(a_tensor_shorter_than_its_shape_is_refused),
        cmocka_unit_test(a_full_arena_is_an_error),
        cmocka_unit_test(a_run_that_fails_says_why_and_the_next_one_works),
        cmocka_unit_test(inputs_that_disagree_are_the_clients_mistake),
        cmocka_unit_test(a_run_can_be_cancelled),
        cmocka_unit_test(instances_run_in_parallel),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
