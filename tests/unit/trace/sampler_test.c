/* Which requests are traced. */
// wrap: tern_mem_alloc tern_mem_zalloc tern_mem_realloc tern_mem_alloc_aligned
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>
#include "harness/mem_fails.h"
#include "trace/sampler.h"

static struct tern_sampler *new_sampler(unsigned level, uint64_t rate, int64_t count)
{
    const struct tern_sampler_settings settings = {
        .level = level, .rate = rate, .count = count, .file = TERN_STR("t.json")};
    struct tern_sampler *sampler = NULL;

    assert_int_equal(tern_sampler_new(&settings, &sampler, NULL), TERN_OK);
    return sampler;
}

/* value NULL: clears. */
static enum tern_code set(struct tern_sampler *sampler, const char *model, const char *key,
                          const char *value, struct tern_err *err)
{
    struct tern_str text = tern_str_of(value);
    struct tern_setting row = {.key = tern_str_of(key),
                               .kind = TERN_SETTING_TEXT,
                               .clear = value == NULL,
                               .values = &text,
                               .n = 1};
    const struct tern_settings settings = {&row, 1};

    return tern_sampler_update(sampler, tern_str_of(model), &settings, err);
}

static void expect_set(struct tern_sampler *sampler, const char *model, const char *key,
                       const char *value)
{
    assert_int_equal(set(sampler, model, key, value, NULL), TERN_OK);
}

static unsigned count_taken(struct tern_sampler *sampler, const char *model, unsigned requests)
{
    struct tern_sample sample;
    unsigned n = 0;

    for (unsigned i = 0; i < requests; i++)
        n += tern_sampler_take(sampler, tern_str_of(model), false, &sample);
    return n;
}

static void expect_text(struct tern_sampler *sampler, const char *model, const char *key,
                        const char *want)
{
    struct tern_settings settings;
    struct tern_arena arena;

    tern_arena_init(&arena, 4096, 1 << 16);
    assert_int_equal(tern_sampler_read(sampler, tern_str_of(model), &arena, &settings, NULL),
                     TERN_OK);
    for (uint32_t i = 0; i < settings.n; i++) {
        const struct tern_setting *row = &settings.rows[i];
        if (!tern_str_eq(row->key, tern_str_of(key)))
            continue;
        if (!tern_str_eq(row->values[row->n - 1], tern_str_of(want)))
            fail_msg("%s of %s is %.*s, not %s", key, model, TERN_STR_ARG(row->values[0]), want);
        tern_arena_fini(&arena);
        return;
    }
    fail_msg("no %s", key);
}

static void one_of_rate_is_taken_until_the_count_ends(void **state)
{
    struct tern_sampler *sampler = new_sampler(TERN_TRACE_TIMESTAMPS, 3, 4);
    struct tern_sample sample;
    (void)state;
    assert_false(tern_sampler_take(sampler, TERN_STR("m"), false, &sample));
    assert_false(tern_sampler_take(sampler, TERN_STR("m"), false, &sample));
    assert_true(tern_sampler_take(sampler, TERN_STR("m"), false, &sample));
    assert_int_equal(sample.level, TERN_TRACE_TIMESTAMPS);
    assert_int_equal(sample.id, 1);
    assert_int_equal(count_taken(sampler, "m", 8), 2);
    expect_text(sampler, "", "trace_count", "1");
    assert_true(tern_sampler_take(sampler, TERN_STR("m"), true, &sample)); /* whatever the rate */
    assert_int_equal(sample.id, 4);
    assert_int_equal(count_taken(sampler, "m", 100), 0);
    tern_sampler_free(sampler);
}

static void off_takes_nothing(void **state)
{
    struct tern_sampler *sampler = new_sampler(0, 1, -1);
    struct tern_sample sample;
    (void)state;
    assert_false(tern_sampler_is_armed(tern_sampler_armed(sampler)));
    assert_false(tern_sampler_take(sampler, TERN_STR("m"), true, &sample));
    expect_set(sampler, "m", "trace_level", "TENSORS");
    assert_true(tern_sampler_is_armed(tern_sampler_armed(sampler)));
    assert_int_equal(count_taken(sampler, "m", 5), 5);
    assert_int_equal(count_taken(sampler, "other", 5), 0);
    expect_set(sampler, "m", "trace_level", NULL);
    assert_false(tern_sampler_is_armed(tern_sampler_armed(sampler)));
    tern_sampler_free(sampler);
}

static void a_model_takes_from_all_what_it_does_not_set(void **state)
{
    struct tern_sampler *sampler = new_sampler(TERN_TRACE_TIMESTAMPS, 1, -1);
    (void)state;
    expect_set(sampler, "m", "trace_rate", "12");
    expect_set(sampler, "m", "log_frequency", "34");
    expect_set(sampler, "", "trace_rate", "56");
    expect_set(sampler, "", "trace_count", "78");
    expect_set(sampler, "", "trace_level", "OFF");
    expect_text(sampler, "m", "trace_level", "OFF");
    expect_text(sampler, "m", "trace_rate", "12");
    expect_text(sampler, "m", "trace_count", "78");
    expect_text(sampler, "", "log_frequency", "0");
    expect_set(sampler, "", "trace_rate", NULL);
    expect_set(sampler, "", "trace_count", NULL);
    expect_text(sampler, "", "trace_rate", "1");
    expect_text(sampler, "m", "trace_count", "-1");
    expect_set(sampler, "m", "trace_rate", NULL);
    expect_text(sampler, "m", "trace_rate", "1");
    expect_text(sampler, "m", "log_frequency", "34");
    expect_text(sampler, "m", "trace_file", "t.json");
    expect_text(sampler, "m", "trace_mode", "triton");
    expect_set(sampler, "m", "trace_mode", NULL);
    tern_sampler_free(sampler);
}

static void wrong_settings(void **state)
{
    static const struct {
        const char *key, *value, *text;
    } rows[] = {
        {"trace_rate", "0", "Unable to parse 'trace_rate', got: '0'"},
        {"trace_rate", "-1", "from 1 to"},
        {"trace_rate", "3000000000", "Unable to parse"},
        {"trace_count", "-2", "Unable to parse 'trace_count'"},
        {"log_frequency", "x", "Unable to parse 'log_frequency', got: 'x'"},
        {"trace_level", "LOUD", "unknown trace level 'LOUD'"},
        {"trace_file", "x", "trace file location can not be updated through network protocol"},
        {"trace_mode", "opentelemetry", "can not be updated"},
        {"trace_colour", "x", "unknown trace setting 'trace_colour'"},
    };
    struct tern_sampler *sampler = new_sampler(0, 1, -1);
    struct tern_err err;
    (void)state;
    for (size_t i = 0; i < TERN_COUNT_OF(rows); i++) {
        assert_int_not_equal(set(sampler, "", rows[i].key, rows[i].value, &err), TERN_OK);
        if (strstr(err.text, rows[i].text) == NULL)
            fail_msg("%s=%s: %s", rows[i].key, rows[i].value, err.text);
    }
    const struct tern_str two[] = {TERN_STR("OFF"), TERN_STR("TENSORS")};
    struct tern_setting row = {
        .key = TERN_STR("trace_level"), .kind = TERN_SETTING_TEXT, .values = two, .n = 2};
    const struct tern_settings settings = {&row, 1};
    assert_int_equal(tern_sampler_update(sampler, TERN_STR(""), &settings, &err),
                     TERN_INVALID_ARGUMENT);
    assert_string_equal(err.text, "Expect only one trace level 'OFF' is specified");
    tern_sampler_free(sampler);
}

static void models_are_bounded(void **state)
{
    struct tern_sampler *sampler = new_sampler(0, 1, -1);
    struct tern_err err;
    char name[16];
    (void)state;
    for (unsigned i = 0; i < TERN_TRACE_MODELS_MAX; i++) {
        snprintf(name, sizeof(name), "m%u", i);
        expect_set(sampler, name, "trace_rate", "9");
    }
    assert_int_equal(set(sampler, "one more", "trace_rate", "9", &err), TERN_RESOURCE_EXHAUSTED);
    expect_text(sampler, "m511", "trace_rate", "9");
    expect_text(sampler, "one more", "trace_rate", "1");
    tern_sampler_free(sampler);
}

static enum tern_code life(void)
{
    const struct tern_sampler_settings settings = {.rate = 1, .count = -1};
    struct tern_sampler *sampler = NULL;
    struct tern_err err;
    enum tern_code code = tern_sampler_new(&settings, &sampler, &err);

    if (code == TERN_OK)
        code = set(sampler, "m", "trace_level", "TENSORS", &err);
    tern_sampler_free(sampler);
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
        cmocka_unit_test(one_of_rate_is_taken_until_the_count_ends),
        cmocka_unit_test(off_takes_nothing),
        cmocka_unit_test(a_model_takes_from_all_what_it_does_not_set),
        cmocka_unit_test(wrong_settings),
        cmocka_unit_test(models_are_bounded),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
