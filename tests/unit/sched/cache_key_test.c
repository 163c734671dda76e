/* One request, and everything that may differ in it, one thing at a time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>
#include "sched/cache_key.h"

static const uint64_t seed[2] = {1, 2};

struct request {
    struct tern_engine_run run;
    struct tern_tensor inputs[3];
    uint32_t input_spec[3], output_spec[3];
    struct tern_param rows[4];
    struct tern_params params;
    uint32_t x[1024], y[1024];
    char scratch[TERN_CACHE_EXACT_MAX];
    struct tern_cache_key key;
};

static struct tern_param text_param(const char *key, const char *value)
{
    return (struct tern_param){
        .key = tern_str_of(key), .kind = TERN_PARAM_STRING, .string = tern_str_of(value)};
}

static struct tern_param number_param(const char *key, int64_t value)
{
    return (struct tern_param){.key = tern_str_of(key), .kind = TERN_PARAM_INT64, .int64 = value};
}

static struct tern_tensor tensor(uint32_t *data, int64_t rows, int64_t columns)
{
    return (struct tern_tensor){.dtype = TERN_DTYPE_FP32,
                                .shape = {2, {rows, columns}},
                                .data = data,
                                .n_bytes = (size_t)(rows * columns) * sizeof(*data)};
}

static void init(struct request *r)
{
    memset(r, 0, sizeof(*r));
    for (uint32_t i = 0; i < 1024; i++)
        r->x[i] = r->y[i] = i;
    r->inputs[0] = tensor(r->x, 1, 4);
    r->inputs[1] = tensor(r->y, 1, 4);
    r->input_spec[1] = r->output_spec[1] = 1;
    r->rows[0] = text_param("mode", "fast");
    r->rows[1] = number_param("beams", 3);
    r->params = (struct tern_params){r->rows, 2};
    r->run = (struct tern_engine_run){.params = &r->params,
                                      .inputs = r->inputs,
                                      .input_spec = r->input_spec,
                                      .n_inputs = 2,
                                      .output_spec = r->output_spec,
                                      .n_outputs = 2};
}

static bool key_of(struct request *r)
{
    return tern_cache_key_make(seed, &r->run, r->scratch, &r->key);
}

static struct request base, other;

static int setup(void **state)
{
    (void)state;
    init(&base);
    init(&other);
    return 0;
}

static bool same(void)
{
    assert_true(key_of(&base));
    assert_true(key_of(&other));
    bool by_name = base.key.name[0] == other.key.name[0] && base.key.name[1] == other.key.name[1];
    assert_true(by_name == tern_cache_key_eq(&base.key, &other.key));
    return by_name;
}

static void test_the_same_request_has_the_same_key(void **state)
{
    (void)state;
    assert_true(same());
}

static void test_values_count(void **state)
{
    (void)state;
    other.x[3]++;
    assert_false(same());
}

static void test_the_datatype_counts(void **state)
{
    (void)state;
    other.inputs[0].dtype = TERN_DTYPE_INT32;
    assert_false(same());
}

static void test_the_shape_counts(void **state)
{
    (void)state;
    other.inputs[0].shape = (struct tern_shape){2, {4, 1}};
    assert_false(same());
    other.inputs[0].shape = (struct tern_shape){3, {1, 1, 4}};
    assert_false(same());
}

static void test_where_a_value_stands_counts(void **state)
{
    (void)state;
    /* The bytes of both inputs in a row are the same. */
    other.inputs[0] = tensor(other.x, 1, 3);
    other.x[3] = 0;
    other.y[0] = 3;
    other.y[1] = 0;
    other.y[2] = 1;
    other.y[3] = 2;
    other.y[4] = 3;
    other.inputs[1] = tensor(other.y, 1, 5);
    assert_false(same());
}

static void test_which_input_counts_and_not_its_place(void **state)
{
    (void)state;
    other.y[0] = base.y[0] = 77;
    other.inputs[0] = base.inputs[1];
    other.inputs[1] = base.inputs[0];
    assert_false(same());
    other.input_spec[0] = 1;
    other.input_spec[1] = 0;
    assert_true(same());
}

static void test_a_left_out_input_counts(void **state)
{
    (void)state;
    other.run.n_inputs = 1;
    assert_false(same());
    base.run.n_inputs = 1;
    other.input_spec[0] = 1;
    assert_false(same());
}

static void test_wanted_outputs_count_and_not_their_order(void **state)
{
    (void)state;
    other.output_spec[0] = 1;
    other.output_spec[1] = 0;
    assert_true(same());
    other.run.n_outputs = 1;
    assert_false(same());
    base.run.n_outputs = 1;
    assert_false(same());
}

static void test_parameters_count(void **state)
{
    (void)state;
    other.rows[1].int64 = 4;
    assert_false(same());
    other.rows[1] = text_param("beams", "3");
    assert_false(same());
    other.rows[1] = number_param("beamz", 3);
    assert_false(same());
    other.rows[1] = number_param("beams", 3);
    assert_true(same());
    other.params.n = 1;
    assert_false(same());
    other.rows[0] = text_param("mod", "efast");
    base.params.n = 1;
    assert_false(same());
    other.rows[0] = (struct tern_param){.key = TERN_STR("mode"), .kind = TERN_PARAM_BOOL};
    assert_false(same());
    other.run.params = NULL;
    base.params.n = 0;
    assert_true(same());
}

static void test_when_and_how_it_is_asked_does_not_count(void **state)
{
    static const char *const keys[] = {"priority",     "timeout",        "sequence_id",
                                       "sequence_end", "sequence_start", "binary_data_output"};
    (void)state;

    other.params.n = 3;
    for (size_t i = 0; i < TERN_COUNT_OF(keys); i++) {
        other.rows[2] = number_param(keys[i], 5);
        assert_true(same());
    }
    other.rows[2] = number_param("priority2", 5);
    assert_false(same());
}

static void test_the_seed_counts(void **state)
{
    const uint64_t another[2] = {1, 3};
    (void)state;

    assert_true(key_of(&base));
    assert_true(tern_cache_key_make(another, &other.run, other.scratch, &other.key));
    assert_true(base.key.name[0] != other.key.name[0]);
    assert_int_equal(base.key.exact.n, other.key.exact.n);
}

static void test_long_questions_are_hashed_and_not_kept(void **state)
{
    (void)state;
    base.inputs[0] = tensor(base.x, 32, 32);
    other.inputs[0] = tensor(other.x, 32, 32);
    assert_true(same());
    assert_null(base.key.exact.p);
    for (uint32_t i = 0; i < 1024; i += 31) {
        other.x[i]++;
        assert_false(same());
        other.x[i]--;
    }
    /* Two that are long together, one after the other, and parameters before them. */
    base.inputs[0] = tensor(base.x, 31, 32);
    other.inputs[0] = tensor(other.x, 31, 32);
    base.inputs[1] = tensor(base.y, 31, 32);
    other.inputs[1] = tensor(other.y, 31, 32);
    assert_true(same());
    other.y[991]++;
    assert_false(same());
    other.y[991]--;
    other.rows[0] = text_param("mode", "slow");
    assert_false(same());
}

static void test_what_has_no_key(void **state)
{
    uint32_t many[TERN_TENSORS_MAX + 1];
    (void)state;

    other.input_spec[1] = 0;
    assert_false(key_of(&other));
    init(&other);
    other.output_spec[1] = 0;
    assert_false(key_of(&other));
    init(&other);
    for (uint32_t i = 0; i < TERN_COUNT_OF(many); i++)
        many[i] = i;
    other.run.output_spec = many;
    other.run.n_outputs = TERN_TENSORS_MAX;
    assert_true(key_of(&other));
    other.run.n_outputs++;
    assert_false(key_of(&other));
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_the_same_request_has_the_same_key),
        TEST(test_values_count),
        TEST(test_the_datatype_counts),
        TEST(test_the_shape_counts),
        TEST(test_where_a_value_stands_counts),
        TEST(test_which_input_counts_and_not_its_place),
        TEST(test_a_left_out_input_counts),
        TEST(test_wanted_outputs_count_and_not_their_order),
        TEST(test_parameters_count),
        TEST(test_when_and_how_it_is_asked_does_not_count),
        TEST(test_the_seed_counts),
        TEST(test_long_questions_are_hashed_and_not_kept),
        TEST(test_what_has_no_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
