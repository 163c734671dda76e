/* What is written for others is read back, and whatever else comes back is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>
#include "base/mem.h"
#include "registry/content.h"
#include "sched/cache_shared.h"

static unsigned char content[TERN_CONTENT_SIZE];
static struct tern_tensor_spec specs[] = {
    {.name = {"y", 1}, .dtype = TERN_DTYPE_FP32},
    {.name = {"t", 1}, .dtype = TERN_DTYPE_BYTES},
    {.name = {"z", 1}, .dtype = TERN_DTYPE_INT64},
};
static float y[6] = {1, 2, 3, 4, 5, 6};
static char texts[] = "\3\0\0\0abc\0\0\0\0";

struct answer {
    struct tern_model_version version;
    struct tern_engine_run run;
    struct tern_tensor x, outputs[3];
    uint32_t in_spec[1], out_spec[3];
    struct tern_cache_shared_key key;
};

static void init(struct answer *a)
{
    struct tern_blake2b begin;

    memset(a, 0, sizeof(*a));
    a->version.info = (struct tern_model_info){
        .name = TERN_STR("m"), .version = 1, .outputs = specs, .n_outputs = 3};
    a->version.content = content;
    a->x = (struct tern_tensor){
        .dtype = TERN_DTYPE_FP32, .shape = {1, {6}}, .data = y, .n_bytes = sizeof(y)};
    a->outputs[0] = (struct tern_tensor){
        .dtype = TERN_DTYPE_BYTES, .shape = {1, {2}}, .data = texts, .n_bytes = sizeof(texts) - 1};
    a->outputs[1] = (struct tern_tensor){
        .dtype = TERN_DTYPE_FP32, .shape = {2, {2, 3}}, .data = y, .n_bytes = sizeof(y)};
    a->outputs[2] = (struct tern_tensor){.dtype = TERN_DTYPE_INT64, .shape = {2, {0, 3}}};
    a->out_spec[0] = 1;
    a->out_spec[2] = 2;
    a->run = (struct tern_engine_run){.inputs = &a->x,
                                      .input_spec = a->in_spec,
                                      .n_inputs = 1,
                                      .outputs = a->outputs,
                                      .output_spec = a->out_spec,
                                      .n_outputs = 3};
    assert_true(tern_cache_shared_begin(&a->version, &begin));
    assert_true(tern_cache_shared_key_make(&begin, &a->run, &a->key));
}

static bool read_back(const struct answer *a, struct tern_str value, struct tern_tensor out[3])
{
    return tern_cache_shared_read(&a->key, value, &a->version, &a->run, out);
}

static struct tern_str write_out(const struct answer *a)
{
    size_t n = 0;
    char *value = tern_cache_shared_write(&a->key, &a->run, 1000, &n);

    assert_non_null(value);
    return tern_str_make(value, n);
}

static void give_away(struct tern_str value)
{
    tern_mem_free((char *)(uintptr_t)value.p);
}

static void test_answers_come_back(void **state)
{
    struct tern_tensor out[3];
    struct answer a;
    (void)state;

    init(&a);
    struct tern_str value = write_out(&a);
    assert_true(read_back(&a, value, out));
    for (int i = 0; i < 3; i++) {
        assert_int_equal(out[i].dtype, a.outputs[i].dtype);
        assert_true(tern_shape_eq(&out[i].shape, &a.outputs[i].shape));
        assert_int_equal(out[i].n_bytes, a.outputs[i].n_bytes);
        if (out[i].n_bytes > 0)
            assert_memory_equal(out[i].data, a.outputs[i].data, out[i].n_bytes);
    }
    /* Asked in another order. */
    a.out_spec[0] = 2;
    a.out_spec[2] = 1;
    assert_true(read_back(&a, value, out));
    assert_int_equal(out[0].dtype, TERN_DTYPE_INT64);
    assert_int_equal(out[2].dtype, TERN_DTYPE_BYTES);
    give_away(value);
}

static void test_names_tell_models_and_questions_apart(void **state)
{
    struct answer a, b;
    (void)state;

    init(&a);
    init(&b);
    assert_string_equal(a.key.name, b.key.name);
    assert_int_equal(strlen(a.key.name), TERN_CACHE_SHARED_NAME);
    assert_memory_equal(a.key.name, "tern:1:", 7);
    b.version.info.version = 2;
    for (int i = 0; i < 4; i++) {
        struct tern_blake2b begin;
        if (i == 1)
            b.version.info = (struct tern_model_info){.name = TERN_STR("n"), .version = 1};
        if (i == 2)
            b.version.info.name = TERN_STR("m");
        if (i == 2)
            content[5]++;
        if (i == 3) {
            content[5]--;
            b.x.shape = (struct tern_shape){2, {3, 2}};
        }
        assert_true(tern_cache_shared_begin(&b.version, &begin));
        assert_true(tern_cache_shared_key_make(&begin, &b.run, &b.key));
        assert_string_not_equal(a.key.name, b.key.name);
        assert_memory_not_equal(a.key.check, b.key.check, sizeof(a.key.check));
    }
    b.version.content = NULL;
    assert_false(tern_cache_shared_begin(&b.version, &(struct tern_blake2b){{0}, 0, {0}, 0}));
}

static void test_every_byte_that_is_wrong_is_seen_or_data(void **state)
{
    struct tern_tensor out[3];
    struct answer a;
    (void)state;

    init(&a);
    struct tern_str value = write_out(&a);
    for (size_t n = 0; n < value.n; n++)
        assert_false(read_back(&a, tern_str_make(value.p, n), out));
    char *bytes = (char *)(uintptr_t)value.p;
    for (size_t i = 0; i < value.n; i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            bytes[i] = (char)(bytes[i] ^ (1 << bit));
            if (read_back(&a, value, out)) { /* a number or a letter, nothing else */
                bool in_y = bytes + i >= (char *)out[1].data &&
                            bytes + i < (char *)out[1].data + out[1].n_bytes;
                bool in_text =
                    bytes + i >= (char *)out[0].data + 4 && bytes + i < (char *)out[0].data + 7;
                bool in_empty = out[2].n_bytes == 0; /* whose other dimensions may be any */
                assert_true(in_y || in_text || in_empty);
            }
            bytes[i] = (char)(bytes[i] ^ (1 << bit));
        }
    }
    give_away(value);
}

static void test_noise_does_no_harm(void **state)
{
    struct tern_tensor out[3];
    struct answer a;
    uint64_t seed = 1;
    (void)state;

    init(&a);
    struct tern_str value = write_out(&a);
    char *bytes = (char *)(uintptr_t)value.p;
    char whole[1000];
    memcpy(whole, bytes, value.n);
    for (int round = 0; round < 20000; round++) {
        memcpy(bytes, whole, value.n);
        for (int i = 0; i < 3; i++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            bytes[32 + (seed >> 33) % (value.n - 32)] = (char)(seed >> 20);
        }
        if (!read_back(&a, value, out))
            continue;
        for (int i = 0; i < 3; i++)
            assert_true(out[i].n_bytes == 0 ||
                        ((char *)out[i].data >= bytes &&
                         (char *)out[i].data + out[i].n_bytes <= bytes + value.n));
    }
    give_away(value);
}

static void test_what_is_too_large_is_not_written(void **state)
{
    struct answer a;
    size_t n = 0;
    (void)state;

    init(&a);
    assert_null(tern_cache_shared_write(&a.key, &a.run, 100, &n));
    a.outputs[1].n_bytes = SIZE_MAX - 50;
    assert_null(tern_cache_shared_write(&a.key, &a.run, SIZE_MAX, &n));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers_come_back),
        cmocka_unit_test(test_names_tell_models_and_questions_apart),
        cmocka_unit_test(test_every_byte_that_is_wrong_is_seen_or_data),
        cmocka_unit_test(test_noise_does_no_harm),
        cmocka_unit_test(test_what_is_too_large_is_not_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
