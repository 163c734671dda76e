/* What `tern tune` tries: the grid, settings together, in words and as configuration. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include "cli/tune_setting.h"

static struct tern_tune_model model_of(const char *text)
{
    struct tern_tune_model model = {
        .max_rows = 16, .instances = 3, .threads = 2, .slo_ns = 20000000};
    json_t *base = json_loads(text, 0, NULL);

    assert_non_null(base);
    tern_tune_model_read(&model, base);
    return model;
}

static void drop(const struct tern_tune_model *model)
{
    json_decref((json_t *)(uintptr_t)model->base);
}

static void assert_config(const struct tern_tune_model *model, struct tern_tune_setting setting,
                          const char *want)
{
    json_t *config = tern_tune_setting_apply(model, &setting);
    char *text = json_dumps(config, JSON_COMPACT | JSON_SORT_KEYS);

    assert_string_equal(text, want);
    free(text);
    json_decref(config);
}

static void assert_said(const struct tern_tune_model *model, struct tern_tune_setting setting,
                        const char *name, const char *lines)
{
    char text[TERN_TUNE_NAME_MAX];
    struct tern_buf out;

    tern_tune_setting_name(&setting, text);
    assert_string_equal(text, name);
    tern_buf_init(&out, 4096);
    tern_tune_setting_lines(model, &setting, &out);
    tern_buf_add_char(&out, '\0');
    assert_string_equal(out.p, lines);
    tern_buf_fini(&out);
}

static void the_grid_begins_with_nothing(void **state)
{
    struct tern_tune_setting grid[TERN_TUNE_SETTINGS_MAX];
    struct tern_tune_model model = model_of("{}");
    char name[TERN_TUNE_NAME_MAX];

    (void)state;
    uint32_t n = tern_tune_grid(&model, false, grid);
    assert_int_equal(n, 16);
    tern_tune_setting_name(&grid[0], name);
    assert_string_equal(name, "nothing configured");
    assert_int_equal(grid[1].instances, 2);
    assert_int_equal(grid[2].instances, 3); /* the most, though no power of two */
    assert_int_equal(grid[3].threads, 1);
    assert_int_equal(grid[4].threads, 2);
    assert_int_equal(grid[5].slo_ns, 20000000);
    assert_int_equal(grid[6].batching, TERN_TUNE_ALONE);
    assert_int_equal(grid[8].preferred, 16);
    assert_int_equal(grid[9].preferred, 4);
    assert_int_equal(grid[15].delay_us, 4000); /* a fifth of the SLO */
    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t j = 0; j < i; j++)
            assert_false(tern_tune_setting_is(&grid[i], &grid[j]));
    }
    assert_true(tern_tune_grid(&model, true, grid) < n);
    model.max_rows = 1; /* it cannot be batched */
    assert_int_equal(tern_tune_grid(&model, false, grid), 5);
    model.threads = 0;
    model.instances = 1;
    assert_int_equal(tern_tune_grid(&model, false, grid), 1);
    drop(&model);
}

static void what_is_configured_is_tried_too(void **state)
{
    static const char *const configured[] = {
        "{\"dynamic_batching\":{}}",
        "{\"instance_group\":[{\"count\":2}]}",
        "{\"parameters\":{\"intra_op_thread_count\":{\"string_value\":\"1\"}}}",
        "{\"parameters\":{\"slo\":{\"string_value\":\"1ms\"}}}",
    };
    struct tern_tune_setting grid[TERN_TUNE_SETTINGS_MAX];

    (void)state;
    for (size_t i = 0; i < TERN_COUNT_OF(configured); i++) {
        struct tern_tune_model model = model_of(configured[i]);
        tern_tune_grid(&model, true, grid);
        assert_true(grid[1].as_configured);
        assert_config(&model, grid[1], configured[i]);
        drop(&model);
    }
    struct tern_tune_model other = model_of("{\"parameters\":{\"x\":{\"string_value\":\"1\"}}}");
    assert_false(other.is_configured);
    drop(&other);
}

static void settings_become_configuration(void **state)
{
    struct tern_tune_model model = model_of(
        "{\"max_batch_size\":16,\"dynamic_batching\":{\"preserve_ordering\":true,"
        "\"preferred_batch_size\":[3],\"max_queue_delay_microseconds\":7},\"instance_group\":"
        "[{\"kind\":\"KIND_CPU\",\"count\":5}],\"parameters\":{\"a\":{\"string_value\":\"b\"},"
        "\"slo\":{\"string_value\":\"1ms\"}}}");

    (void)state;
    assert_true(model.says_batches);
    assert_config(&model, (struct tern_tune_setting){.instances = 0},
                  "{\"instance_group\":[{\"kind\":\"KIND_CPU\"}],\"max_batch_size\":16,"
                  "\"parameters\":{\"a\":{\"string_value\":\"b\"}}}");
    assert_config(&model,
                  (struct tern_tune_setting){.batching = TERN_TUNE_DYNAMIC,
                                             .preferred = 8,
                                             .delay_us = 250,
                                             .instances = 2,
                                             .threads = 1},
                  "{\"dynamic_batching\":{\"max_queue_delay_microseconds\":250,"
                  "\"preferred_batch_size\":[8],\"preserve_ordering\":true},\"instance_group\":"
                  "[{\"count\":2,\"kind\":\"KIND_CPU\"}],\"max_batch_size\":16,\"parameters\":"
                  "{\"a\":{\"string_value\":\"b\"},\"intra_op_thread_count\":{\"string_value\":"
                  "\"1\"}}}");
    drop(&model);
    model = model_of("{}");
    assert_config(&model, (struct tern_tune_setting){.slo_ns = 20000000},
                  "{\"parameters\":{\"slo\":{\"string_value\":\"20000us\"}}}");
    assert_config(&model, (struct tern_tune_setting){.batching = TERN_TUNE_DYNAMIC},
                  "{\"dynamic_batching\":{},\"max_batch_size\":16}");
    /* Without a size that it says itself, 0 rules batches out. */
    assert_config(&model, (struct tern_tune_setting){.batching = TERN_TUNE_ALONE},
                  "{\"max_batch_size\":0}");
    drop(&model);
}

static void settings_are_said(void **state)
{
    struct tern_tune_model model = model_of("{}");

    (void)state;
    assert_said(&model, (struct tern_tune_setting){.instances = 0}, "nothing configured", "");
    assert_said(&model,
                (struct tern_tune_setting){.batching = TERN_TUNE_DYNAMIC,
                                           .preferred = 8,
                                           .delay_us = 250,
                                           .instances = 2,
                                           .threads = 1},
                "batches of 8, delay 250 us, 2 instances, 1 thread",
                "max_batch_size: 16\n"
                "dynamic_batching { preferred_batch_size: [ 8 ] max_queue_delay_microseconds: 250 "
                "}\n"
                "instance_group [ { count: 2 } ]\n"
                "parameters { key: \"intra_op_thread_count\" value { string_value: \"1\" } }\n");
    assert_said(&model, (struct tern_tune_setting){.batching = TERN_TUNE_ALONE}, "no batches",
                "max_batch_size: 0\n");
    assert_said(&model, (struct tern_tune_setting){.slo_ns = 20000000}, "slo 20 ms",
                "parameters { key: \"slo\" value { string_value: \"20ms\" } }\n");
    drop(&model);
    model = model_of("{\"max_batch_size\":16,\"instance_group\":[{\"kind\":\"KIND_GPU\"}]}");
    assert_said(&model, (struct tern_tune_setting){.batching = TERN_TUNE_ALONE, .instances = 3},
                "no batches, 3 instances",
                "dynamic_batching { preferred_batch_size: [ 1 ] }\n"
                "instance_group [ { count: 3 kind: KIND_GPU } ]\n");
    drop(&model);
}

static void only_different_things_are_joined(void **state)
{
    const struct tern_tune_setting none = {.instances = 0}, now = {.as_configured = true},
                                   two = {.instances = 2}, thread = {.threads = 1},
                                   slo = {.slo_ns = 5}, alone = {.batching = TERN_TUNE_ALONE},
                                   delayed = {.batching = TERN_TUNE_DYNAMIC, .delay_us = 9};
    struct tern_tune_setting both;

    (void)state;
    assert_false(tern_tune_join(&none, &two, &both));
    assert_false(tern_tune_join(&now, &two, &both));
    assert_false(tern_tune_join(&two, &two, &both));
    assert_false(tern_tune_join(&slo, &alone, &both));
    assert_false(tern_tune_join(&alone, &delayed, &both));
    assert_true(tern_tune_join(&two, &delayed, &both));
    assert_true(tern_tune_setting_is(
        &both,
        &(struct tern_tune_setting){.batching = TERN_TUNE_DYNAMIC, .delay_us = 9, .instances = 2}));
    assert_true(tern_tune_join(&slo, &thread, &both));
    assert_true(tern_tune_join(&both, &two, &both));
    assert_true(tern_tune_setting_is(
        &both, &(struct tern_tune_setting){.slo_ns = 5, .instances = 2, .threads = 1}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_grid_begins_with_nothing),
        cmocka_unit_test(what_is_configured_is_tried_too),
        cmocka_unit_test(settings_become_configuration),
        cmocka_unit_test(settings_are_said),
        cmocka_unit_test(only_different_things_are_joined),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
