/* The administrative calls over gRPC: both translations, byte for byte. */
// covers: proto/oip_grpc_map proto/oip_grpc_repository proto/oip_grpc_settings
// covers: proto/oip_grpc_shm proto/oip_grpc_statistics
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "harness/fake_exchange.h"
#include "proto/oip_grpc_admin.h"

typedef enum tern_code translate_fn(struct tern_call *call, struct tern_err *err);

static enum tern_code decode(struct fake_exchange *fake, translate_fn *translate,
                             struct tern_str message, struct tern_err *err)
{
    fake_init(fake);
    fake_body(fake, message.p, message.n);
    fake->call.message = fake->x.body;
    return translate(&fake->call, err);
}

#define DECODE(fake, translate, message)                                      \
    do {                                                                      \
        struct tern_err err_ = {0};                                           \
        if (decode((fake), (translate), TERN_STR(message), &err_) != TERN_OK) \
            fail_msg("%s", err_.text);                                        \
    } while (0)

static void refuse(translate_fn *translate, struct tern_str message, enum tern_code code,
                   const char *text)
{
    struct fake_exchange fake;
    struct tern_err err = {0};

    assert_int_equal(decode(&fake, translate, message, &err), code);
    assert_string_equal(err.text, text);
    fake_fini(&fake);
}

static void expect(struct fake_exchange *fake, translate_fn *encode, struct tern_str message)
{
    struct tern_err err = {0};

    tern_exchange_body(&fake->x);
    if (encode(&fake->call, &err) != TERN_OK)
        fail_msg("%s", err.text);
    struct tern_str got = fake_response(fake);
    assert_int_equal(got.n, message.n);
    assert_memory_equal(got.p, message.p, message.n);
}

/* ---- configuration and repository ---- */

static void config(void **state)
{
    (void)state;
    const struct tern_model_config_text text = {.pb = TERN_STR("\x0a\x01m")};
    const struct tern_model_info info = {.config = &text};
    struct fake_exchange fake;
    fake_init(&fake);
    fake.call.info = &info;
    expect(&fake, tern_oip_grpc_encode_config, TERN_STR("\x0a\x03\x0a\x01m"));
    fake_fini(&fake);
}

static void index_calls(void **state)
{
    (void)state;
    static const struct tern_index_row rows[] = {
        {.name = {"a", 1}, .version = 12, .state = TERN_MODEL_READY},
        {.name = {"b", 1}, .state = TERN_MODEL_UNAVAILABLE, .reason = {"why", 3}},
    };
    struct fake_exchange fake;
    DECODE(&fake, tern_oip_grpc_decode_index, "");
    assert_false(fake.call.ready_only);
    fake_fini(&fake);
    DECODE(&fake, tern_oip_grpc_decode_index, "\x0a\x00\x10\x01");
    assert_true(fake.call.ready_only);
    expect(&fake, tern_oip_grpc_encode_index, TERN_STR(""));
    fake.call.index = rows;
    fake.call.n_index = 2;
    expect(&fake, tern_oip_grpc_encode_index,
           TERN_STR("\x0a\x0e\x0a\x01"
                    "a\x12\x02"
                    "12\x1a\x05READY"
                    "\x0a\x15\x0a\x01"
                    "b\x1a\x0bUNAVAILABLE\x22\x03why"));
    fake_fini(&fake);
    refuse(tern_oip_grpc_decode_index, TERN_STR("\x0a\x01r"), TERN_UNIMPLEMENTED,
           "'repository_name' specification is not supported");
    refuse(tern_oip_grpc_decode_index, TERN_STR("\x12\x01r"), TERN_INVALID_ARGUMENT,
           "malformed message: ready is a length and bytes, expected a varint");
}

static void control_as_triton_has_it(void **state)
{
    (void)state;
    struct fake_exchange fake;
    DECODE(&fake, tern_oip_grpc_decode_control,
           "\x12\x01m"
           "\x1a\x11\x0a\x06"
           "config\x12\x07\x1a\x05{\"\":}"
           "\x1a\x10\x0a\x08"
           "file:1/x\x12\x04\x22\x02\xff\x00"
           "\x1a\x17\x0a\x11unload_dependents\x12\x02\x08\x01");
    assert_true(tern_str_eq(fake.call.model, TERN_STR("m")));
    assert_int_equal(fake.call.params.n, 3);
    const struct tern_param *rows = fake.call.params.rows;
    assert_int_equal(rows[0].kind, TERN_PARAM_STRING);
    assert_true(tern_str_eq(rows[0].string, TERN_STR("{\"\":}")));
    assert_true(tern_str_eq(rows[1].key, TERN_STR("file:1/x")));
    assert_true(tern_str_eq(rows[1].string, TERN_STR("\xff\x00")));
    assert_true(fake.call.unload_dependents);
    expect(&fake, tern_oip_grpc_encode_control, TERN_STR(""));
    fake_fini(&fake);
    DECODE(&fake, tern_oip_grpc_decode_control,
           "\x12\x01m\x1a\x10\x0a\x01k\x12\x0b\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01");
    assert_int_equal(fake.call.params.rows[0].kind, TERN_PARAM_INT64);
    assert_int_equal(fake.call.params.rows[0].int64, -1);
    fake_fini(&fake);
}

static void control_as_triton_has_it_refuses(void **state)
{
    (void)state;
    refuse(tern_oip_grpc_decode_control, TERN_STR("\x0a\x01m"), TERN_UNIMPLEMENTED,
           "'repository_name' specification is not supported");
    refuse(tern_oip_grpc_decode_control, TERN_STR("\x1a\x05\x0a\x01k\x12\x00"),
           TERN_INVALID_ARGUMENT, "parameter 'k' has no value");
    refuse(tern_oip_grpc_decode_control,
           TERN_STR("\x1a\x18\x0a\x11unload_dependents\x12\x03\x1a\x01y"), TERN_INVALID_ARGUMENT,
           "Invalid value for 'unload_dependents': expected a boolean");
    refuse(tern_oip_grpc_decode_control, TERN_STR("\x1a\x03\x0a\x01\xff"), TERN_INVALID_ARGUMENT,
           "malformed message: parameters is not UTF-8");
    refuse(tern_oip_grpc_decode_control, TERN_STR("\x18\x01"), TERN_INVALID_ARGUMENT,
           "malformed message: parameters is a varint, expected a length and bytes");
}

static void control_as_kserve_has_it(void **state)
{
    (void)state;
    static const struct tern_listener_info listener = {.grpc_form = TERN_GRPC_FORM_KSERVE};
    struct fake_exchange fake;
    struct tern_err err;
    fake_init(&fake);
    fake.x.listener = &listener;
    fake.call.message = TERN_STR("\x0a\x01m");
    assert_int_equal(tern_oip_grpc_decode_control(&fake.call, &err), TERN_OK);
    assert_true(tern_str_eq(fake.call.model, TERN_STR("m")));
    expect(&fake, tern_oip_grpc_encode_control, TERN_STR("\x0a\x01m\x10\x01"));
    fake_fini(&fake);
}

/* ---- statistics ---- */

static void statistics(void **state)
{
    (void)state;
    static const struct tern_batch_stats batches[] = {
        {.batch_size = 4, .compute_infer = {1, 300}},
    };
    static const struct tern_response_stats responses[] = {
        {.key = {"0", 1}, .success = {2, 5}},
    };
    static const struct tern_model_stats stats[] = {
        {.name = {"m", 1},
         .version = 3,
         .last_inference_ms = 7,
         .inference_count = 8,
         .execution_count = 9,
         .success = {1, 2},
         .cache_miss = {3, 0},
         .batches = batches,
         .n_batches = 1,
         .responses = responses,
         .n_responses = 1},
    };
    struct fake_exchange fake;
    fake_init(&fake);
    expect(&fake, tern_oip_grpc_encode_statistics, TERN_STR(""));
    fake.call.stats = stats;
    fake.call.n_stats = 1;
    expect(&fake, tern_oip_grpc_encode_statistics,
           TERN_STR("\x0a\x4a\x0a\x01m\x12\x01\x33\x18\x07\x20\x08\x28\x09"
                    "\x32\x16\x0a\x04\x08\x01\x10\x02\x12\x00\x1a\x00\x22\x00\x2a\x00\x32\x00"
                    "\x3a\x00\x42\x02\x08\x03"
                    "\x3a\x0d\x08\x04\x12\x00\x1a\x05\x08\x01\x10\xac\x02\x22\x00"
                    "\x4a\x15\x0a\x01\x30\x12\x10\x0a\x00\x12\x00\x1a\x04\x08\x02\x10\x05\x22\x00"
                    "\x2a\x00\x32\x00"));
    fake_fini(&fake);
}

/* ---- shared memory ---- */

static void system_regions(void **state)
{
    (void)state;
    static const struct tern_region_row row = {
        .name = {"r", 1}, .key = {"/k", 2}, .offset = 300, .byte_size = 64};
    struct fake_exchange fake;
    DECODE(&fake, tern_oip_grpc_decode_system_register, "\x0a\x01r\x12\x02/k\x18\xac\x02\x20\x40");
    assert_false(fake.call.region.cuda);
    assert_true(tern_str_eq(fake.call.region.name, row.name));
    assert_true(tern_str_eq(fake.call.region.key, row.key));
    assert_int_equal(fake.call.region.offset, 300);
    assert_int_equal(fake.call.region.byte_size, 64);
    expect(&fake, tern_oip_grpc_encode_empty, TERN_STR(""));
    fake.call.regions = &row;
    fake.call.n_regions = 1;
    expect(&fake, tern_oip_grpc_encode_regions,
           TERN_STR("\x0a\x11\x0a\x01r\x12\x0c\x0a\x01r\x12\x02/k\x18\xac\x02\x20\x40"));
    fake_fini(&fake);
    DECODE(&fake, tern_oip_grpc_decode_system_region, "\x0a\x01r");
    assert_true(tern_str_eq(fake.call.region.name, TERN_STR("r")));
    fake_fini(&fake);
    DECODE(&fake, tern_oip_grpc_decode_system_region, "");
    assert_int_equal(fake.call.region.name.n, 0);
    fake_fini(&fake);
    refuse(tern_oip_grpc_decode_system_register, TERN_STR("\x1a\x01x"), TERN_INVALID_ARGUMENT,
           "malformed message: offset is a length and bytes, expected a varint");
}

static void cuda_regions(void **state)
{
    (void)state;
    static const struct tern_region_row row = {
        .cuda = true, .name = {"r", 1}, .device_id = 1, .byte_size = 64};
    struct fake_exchange fake;
    DECODE(&fake, tern_oip_grpc_decode_cuda_register, "\x0a\x01r\x12\x02\xff\x00\x18\x01\x20\x40");
    assert_true(fake.call.region.cuda);
    assert_true(tern_str_eq(fake.call.region.handle, TERN_STR("\xff\x00")));
    assert_int_equal(fake.call.region.device_id, 1);
    assert_int_equal(fake.call.region.byte_size, 64);
    fake.call.regions = &row;
    fake.call.n_regions = 1;
    expect(&fake, tern_oip_grpc_encode_regions,
           TERN_STR("\x0a\x0c\x0a\x01r\x12\x07\x0a\x01r\x10\x01\x18\x40"));
    fake_fini(&fake);
    DECODE(&fake, tern_oip_grpc_decode_cuda_region, "\x0a\x01r");
    assert_true(fake.call.region.cuda);
    fake_fini(&fake);
    refuse(tern_oip_grpc_decode_cuda_register, TERN_STR("\x10\x01"), TERN_INVALID_ARGUMENT,
           "malformed message: raw_handle is a varint, expected a length and bytes");
}

/* ---- settings ---- */

static void trace_settings(void **state)
{
    (void)state;
    struct fake_exchange fake;
    fake_init(&fake);
    fake_fini(&fake);
    DECODE(&fake, tern_oip_grpc_decode_trace, "\x12\x01m");
    assert_int_not_equal(fake.call.op, TERN_OP_TRACE_UPDATE);
    assert_true(tern_str_eq(fake.call.model, TERN_STR("m")));
    fake_fini(&fake);
    DECODE(&fake, tern_oip_grpc_decode_trace,
           "\x0a\x0b\x0a\x01l\x12\x06\x0a\x01"
           "a\x0a\x01"
           "b\x0a\x05\x0a\x01r\x12\x00");
    assert_int_equal(fake.call.op, TERN_OP_TRACE_UPDATE);
    assert_int_equal(fake.call.settings.n, 2);
    const struct tern_setting *rows = fake.call.settings.rows;
    assert_int_equal(rows[0].kind, TERN_SETTING_TEXT);
    assert_int_equal(rows[0].n, 2);
    assert_false(rows[0].clear);
    assert_true(tern_str_eq(rows[0].values[1], TERN_STR("b")));
    assert_true(rows[1].clear);
    expect(&fake, tern_oip_grpc_encode_trace,
           TERN_STR("\x0a\x0b\x0a\x01l\x12\x06\x0a\x01"
                    "a\x0a\x01"
                    "b\x0a\x05\x0a\x01r\x12\x00"));
    fake_fini(&fake);
}

static void log_settings(void **state)
{
    (void)state;
    struct fake_exchange fake;
    DECODE(&fake, tern_oip_grpc_decode_log, "");
    assert_int_not_equal(fake.call.op, TERN_OP_LOG_UPDATE);
    fake_fini(&fake);
    /* A key that comes twice counts as it came last. */
    DECODE(&fake, tern_oip_grpc_decode_log,
           "\x0a\x07\x0a\x01i\x12\x02\x08\x00"
           "\x0a\x07\x0a\x01i\x12\x02\x08\x01"
           "\x0a\x07\x0a\x01v\x12\x02\x10\x05"
           "\x0a\x09\x0a\x01"
           "f\x12\x04\x1a\x02xy");
    assert_int_equal(fake.call.op, TERN_OP_LOG_UPDATE);
    assert_int_equal(fake.call.settings.n, 3);
    const struct tern_setting *rows = fake.call.settings.rows;
    assert_int_equal(rows[0].kind, TERN_SETTING_BOOL);
    assert_true(rows[0].boolean);
    assert_int_equal(rows[1].kind, TERN_SETTING_NUMBER);
    assert_int_equal(rows[1].number, 5);
    assert_true(tern_str_eq(rows[2].values[0], TERN_STR("xy")));
    expect(&fake, tern_oip_grpc_encode_log,
           TERN_STR("\x0a\x07\x0a\x01i\x12\x02\x08\x01"
                    "\x0a\x07\x0a\x01v\x12\x02\x10\x05"
                    "\x0a\x09\x0a\x01"
                    "f\x12\x04\x1a\x02xy"));
    fake_fini(&fake);
    refuse(tern_oip_grpc_decode_log, TERN_STR("\x0a\x05\x0a\x01i\x12\x00"), TERN_INVALID_ARGUMENT,
           "setting 'i' has no value");
}

static void settings_have_a_maximum(void **state)
{
    (void)state;
    char message[3 * (TERN_SETTINGS_MAX + 1) * 4], *at = message;
    for (int i = 0; i <= TERN_SETTINGS_MAX; i++) {
        memcpy(at, "\x0a\x07\x0a\x01?\x12\x02\x0a\x00", 9);
        at[4] = (char)('A' + i);
        at += 9;
    }
    refuse(tern_oip_grpc_decode_trace, tern_str_make(message, (size_t)(at - message)),
           TERN_INVALID_ARGUMENT, "settings: more than 32 of them");
    char values[8 + 3 * (TERN_SETTING_VALUES_MAX + 1)] = "\x0a?\x0a\x01k\x12?";
    const size_t n = 2 * (TERN_SETTING_VALUES_MAX + 1);
    values[1] = (char)(n + 5);
    values[6] = (char)n;
    for (size_t i = 0; i < n; i += 2)
        memcpy(values + 7 + i, "\x0a\x00", 2);
    refuse(tern_oip_grpc_decode_trace, tern_str_make(values, n + 7), TERN_INVALID_ARGUMENT,
           "setting 'k': more than 16 values");
}

/* ---- memory ---- */

/* Whatever limit the arena hits, the answer is an error that says so. */
static void fill_the_arena(translate_fn *translate, struct tern_str message)
{
    for (size_t max = 0;; max += 8) {
        struct fake_exchange fake;
        struct tern_err err = {0};
        fake_init(&fake);
        fake.arena.max = max;
        fake.call.message = message;
        enum tern_code code = translate(&fake.call, &err);
        fake_fini(&fake);
        if (code == TERN_OK) {
            assert_true(max > 0);
            return;
        }
        assert_int_equal(code, TERN_RESOURCE_EXHAUSTED);
        assert_true(max < 8192 && err.text[0] != '\0');
    }
}

static void a_full_arena_is_an_error(void **state)
{
    (void)state;
    fill_the_arena(tern_oip_grpc_decode_control, TERN_STR("\x12\x01m\x1a\x0b\x0a\x05"
                                                          "param\x12\x02\x08\x01"));
    fill_the_arena(tern_oip_grpc_decode_trace, TERN_STR("\x0a\x08\x0a\x01l\x12\x03\x0a\x01x"));
    fill_the_arena(tern_oip_grpc_decode_log, TERN_STR("\x0a\x07\x0a\x01i\x12\x02\x08\x00"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(config),
        cmocka_unit_test(index_calls),
        cmocka_unit_test(control_as_triton_has_it),
        cmocka_unit_test(control_as_triton_has_it_refuses),
        cmocka_unit_test(control_as_kserve_has_it),
        cmocka_unit_test(statistics),
        cmocka_unit_test(system_regions),
        cmocka_unit_test(cuda_regions),
        cmocka_unit_test(trace_settings),
        cmocka_unit_test(log_settings),
        cmocka_unit_test(settings_have_a_maximum),
        cmocka_unit_test(a_full_arena_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
