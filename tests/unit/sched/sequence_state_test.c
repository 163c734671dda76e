/* The state tensors of a sequence, from one request to the next. */
// wrap: tern_mem_alloc tern_mem_zalloc tern_mem_realloc tern_mem_alloc_aligned
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>
#include "harness/mem_fails.h"
#include "sched/sequence_state.h"

static const float first[] = {5};
static struct tern_state states[] = {
    {.input_name = {"IN", 2},
     .output_name = {"OUT", 3},
     .dtype = TERN_DTYPE_FP32,
     .shape = {2, {-1, -1}},
     .first = {2, {1, 1}},
     .data = first,
     .n_bytes = sizeof(first)},
    {.input_name = {"N", 1},
     .output_name = {"M", 1},
     .dtype = TERN_DTYPE_INT32,
     .shape = {1, {2}},
     .first = {1, {2}},
     .data = "\0\0\0\0\0\0\0",
     .n_bytes = 8},
};
static const struct tern_sequencing sequencing = {.states = states, .n_states = 2};
static const uint32_t at[] = {1, 0};

/* What a run gives: the two states in the other order. */
struct given {
    float values[64];
    int32_t numbers[2];
    struct tern_tensor outputs[2];
};

static struct given give(float value, int64_t n)
{
    struct given g = {.numbers = {3, (int32_t)n}};
    for (int64_t i = 0; i < n; i++)
        g.values[i] = value;
    g.outputs[0] = (struct tern_tensor){
        .name = {"M", 1}, .dtype = TERN_DTYPE_INT32, .shape = {1, {2}}, .n_bytes = 8};
    g.outputs[1] = (struct tern_tensor){.name = {"OUT", 3},
                                        .dtype = TERN_DTYPE_FP32,
                                        .shape = {2, {1, n}},
                                        .n_bytes = (size_t)n * sizeof(float)};
    return g;
}

static enum tern_code take(struct given *g, struct tern_kept **kept, struct tern_err *err)
{
    g->outputs[0].data = g->numbers;
    g->outputs[1].data = g->values;
    return tern_kept_take(&sequencing, g->outputs, at, kept, err);
}

static void assert_kept(const struct tern_kept *kept, float value, int64_t n)
{
    struct tern_tensor inputs[2] = {{.data = NULL}};

    tern_kept_show(&sequencing, kept, inputs);
    assert_true(tern_str_eq(inputs[0].name, TERN_STR("IN")));
    assert_int_equal(inputs[0].dtype, TERN_DTYPE_FP32);
    assert_int_equal(inputs[0].shape.rank, 2);
    assert_int_equal(inputs[0].shape.dim[1], n);
    assert_int_equal(inputs[0].n_bytes, (size_t)n * sizeof(float));
    for (int64_t i = 0; i < n; i++)
        assert_memory_equal((const float *)inputs[0].data + i, &value, sizeof(value));
    assert_true(tern_str_eq(inputs[1].name, TERN_STR("N")));
    assert_int_equal(inputs[1].n_bytes, 8);
}

static void test_first_and_next(void **state)
{
    struct tern_kept *kept = NULL;
    struct tern_err err;
    (void)state;
    assert_kept(NULL, 5, 1);
    struct given g = give(1.5f, 3);
    assert_int_equal(take(&g, &kept, &err), TERN_OK);
    assert_kept(kept, 1.5f, 3);
    g = give(2, 64);
    assert_int_equal(take(&g, &kept, &err), TERN_OK);
    assert_kept(kept, 2, 64);
    g = give(3, 0);
    assert_int_equal(take(&g, &kept, &err), TERN_OK);
    assert_kept(kept, 3, 0);
    long before = mem_calls;
    g = give(4, 9);
    assert_int_equal(take(&g, &kept, &err), TERN_OK);
    assert_int_equal(mem_calls, before); /* what once had room has room */
    assert_kept(kept, 4, 9);
    tern_kept_free(&sequencing, kept);
    tern_kept_free(&sequencing, NULL);
}

static void test_what_is_no_state(void **state)
{
    struct tern_kept *kept = NULL;
    struct tern_err err;
    struct given g = give(1, 2);
    (void)state;
    assert_int_equal(take(&g, &kept, &err), TERN_OK);
    struct given wrong = give(9, 2);
    wrong.outputs[0].shape.dim[0] = 3;
    assert_int_equal(take(&wrong, &kept, &err), TERN_INTERNAL);
    assert_string_equal(err.text, "state 'M' is INT32 [2], the model gave INT32 [3]");
    wrong = give(9, 2);
    wrong.outputs[1].dtype = TERN_DTYPE_FP64;
    assert_int_equal(take(&wrong, &kept, &err), TERN_INTERNAL);
    wrong = give(9, 2);
    wrong.outputs[1].n_bytes = ((size_t)1 << 30) + 1;
    assert_int_equal(take(&wrong, &kept, &err), TERN_RESOURCE_EXHAUSTED);
    assert_kept(kept, 1, 2);
    tern_kept_free(&sequencing, kept);
}

static void test_no_memory_leaves_what_was(void **state)
{
    struct tern_kept *kept = NULL;
    struct tern_err err;
    enum tern_code code = TERN_RESOURCE_EXHAUSTED;
    (void)state;
    for (long i = 0; code != TERN_OK; i++) {
        struct given g = give(1, 2);
        mem_calls = 0;
        mem_fail_at = i;
        code = take(&g, &kept, &err);
        mem_fail_at = -1;
        assert_true(code == TERN_OK || code == TERN_RESOURCE_EXHAUSTED);
        tern_kept_free(&sequencing, code == TERN_OK ? NULL : kept);
        kept = code == TERN_OK ? kept : NULL;
    }
    struct given larger = give(2, 30);
    mem_calls = 0;
    mem_fail_at = 0;
    assert_int_equal(take(&larger, &kept, &err), TERN_RESOURCE_EXHAUSTED);
    mem_fail_at = -1;
    assert_kept(kept, 1, 2);
    tern_kept_free(&sequencing, kept);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_and_next),
        cmocka_unit_test(test_what_is_no_state),
        cmocka_unit_test(test_no_memory_leaves_what_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
