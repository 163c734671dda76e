/* Memory: each allocation of Tern's made to fail in turn, from loading to the answer, and none at
 * all once a shape has been seen. Under AddressSanitizer nothing may be left behind either. */
// wrap: tern_mem_alloc tern_mem_zalloc tern_mem_realloc tern_mem_alloc_aligned
#include "harness/mem_fails.h"
#include "onnx_fixture.h"

/* The whole life of a model with one request; rows: small takes a prepared call, large does not. */
static enum tern_code live(int64_t rows, struct tern_err *err)
{
    static const float x[4096 * 3];
    static const char *const options[] = {"session.set_denormal_as_zero=1",
                                          "execution_providers=cpu", NULL};
    struct fixture f;
    struct tern_tensor out = {0};

    enum tern_code code = try_load(&f, DATA "unnamed.onnx", options, 1);
    if (code == TERN_OK) {
        code = tern_onnx_engine.instance_new(&f.model, &f.instance, &f.err);
        if (code == TERN_OK) {
            struct tern_tensor in = tensor_of(&f, 0, SHAPE(rows, 3), x, (size_t)rows * 12);
            code = infer(&f, &in, 1, &out);
            tern_arena_fini(&f.arena);
            tern_onnx_engine.instance_free(&f.model, f.instance);
        }
        tern_onnx_engine.unload(&f.model);
        tern_arena_fini(&f.model_arena);
    }
    *err = f.err;
    return code;
}

static void every_allocation_may_fail(void **state)
{
    NEEDS_LIBRARY();
    for (int64_t rows = 1; rows <= 4096; rows += 4095) {
        struct tern_err err = {0};
        long at = 0;
        for (;; at++) {
            mem_calls = 0;
            mem_fail_at = at;
            enum tern_code code = live(rows, &err);
            mem_fail_at = -1;
            if (mem_calls <= at) {
                assert_int_equal(code, TERN_OK); /* all were tried */
                break;
            }
            assert_int_equal(code, TERN_RESOURCE_EXHAUSTED);
            assert_int_equal(err.code, TERN_RESOURCE_EXHAUSTED);
        }
        assert_true(at >= 6);
    }
}

static void a_shape_seen_before_takes_no_memory(void **state)
{
    NEEDS_LIBRARY();
    struct fixture f;
    float x[3 * 16] = {0};
    struct tern_tensor out = {0};

    open_model(&f, DATA "unnamed.onnx");
    for (int k = 0; k < 48; k++) {
        int64_t rows = 1 + k % 16;
        struct tern_tensor in = tensor_of(&f, 0, SHAPE(rows, 3), x, (size_t)rows * 12);
        if (k == 32)
            mem_calls = 0;
        assert_int_equal(infer(&f, &in, 1, &out), TERN_OK);
        tern_arena_reset(&f.arena);
    }
    assert_int_equal(mem_calls, 0);
    close_model(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(a_shape_seen_before_takes_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
