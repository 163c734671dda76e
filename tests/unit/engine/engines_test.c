#include "engine/engines.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "engine/onnx/onnx.h"

static void finds_by_backend_and_platform(void **state)
{
    (void)state;
    assert_ptr_equal(tern_engines_find(TERN_STR("onnxruntime")), &tern_onnx_engine);
    assert_ptr_equal(tern_engines_find(TERN_STR("onnxruntime_onnx")), &tern_onnx_engine);
    assert_null(tern_engines_find(TERN_STR("onnx")));
    assert_null(tern_engines_find(TERN_STR("onnxruntimes")));
    assert_null(tern_engines_find(TERN_STR("")));
}

static void probes_names_and_first_bytes(void **state)
{
    (void)state;
    assert_ptr_equal(tern_engines_probe("model.onnx", TERN_STR("")), &tern_onnx_engine);
    assert_ptr_equal(tern_engines_probe("model", TERN_STR("\x08\x08\x12")), &tern_onnx_engine);
    assert_null(tern_engines_probe("model.txt", TERN_STR("hello")));
    assert_null(tern_engines_probe("model", TERN_STR("")));
}

static void every_engine_has_what_it_must_have(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < tern_engines_count; i++) {
        const struct tern_engine_ops *ops = tern_engines[i];
        assert_ptr_equal(tern_engines_find(tern_str_of(ops->name)), ops);
        assert_true((ops->file_names[0] == NULL) == ops->fileless);
        assert_true(ops->available != NULL && ops->probe != NULL && ops->load != NULL &&
                    ops->unload != NULL && ops->instance_new != NULL &&
                    ops->instance_free != NULL && ops->infer != NULL);
    }
    tern_engines_close(); /* nothing was started: nothing to do */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_by_backend_and_platform),
        cmocka_unit_test(probes_names_and_first_bytes),
        cmocka_unit_test(every_engine_has_what_it_must_have),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
