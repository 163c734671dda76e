/* The shared memory routes of the Open Inference Protocol, and regions in infer requests. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "harness/fake_exchange.h"
#include "proto/oip_int.h"

static enum tern_code read_register(struct fake_exchange *fake, const char *text, bool cuda,
                                    struct tern_err *err)
{
    fake_init(fake);
    fake_body(fake, text, strlen(text));
    fake->call.name = TERN_STR("r");
    fake->call.message = fake->x.body;
    return cuda ? tern_oip_decode_cuda_register(&fake->call, err)
                : tern_oip_decode_system_register(&fake->call, err);
}

static void register_is_read(void **state)
{
    (void)state;
    struct fake_exchange fake;
    const struct tern_region_row *row = &fake.call.region;
    assert_int_equal(read_register(&fake,
                                   "{\"byte_size\":18446744073709551615,\"key\":\"/k\",\"x\":[1],"
                                   "\"offset\":7}",
                                   false, NULL),
                     TERN_OK);
    assert_false(row->cuda);
    assert_true(tern_str_eq(row->name, TERN_STR("r")));
    assert_true(tern_str_eq(row->key, TERN_STR("/k")));
    assert_int_equal(row->offset, 7);
    assert_true(row->byte_size == UINT64_MAX);
    fake_fini(&fake);
    assert_int_equal(
        read_register(&fake,
                      "{\"raw_handle\":{\"b64\":\"AAAA\",\"y\":1},\"device_id\":2,\"byte_size\":3}",
                      true, NULL),
        TERN_OK);
    assert_true(row->cuda);
    assert_true(tern_str_eq(row->handle, TERN_STR("AAAA")));
    assert_int_equal(row->device_id, 2);
    assert_int_equal(row->byte_size, 3);
    fake_fini(&fake);
}

static void bad_registers_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *part;
        bool cuda;
    } rows[] = {
        {"", "", false},
        {"[]", "", false},
        {"{\"byte_size\":1}", "has no 'key'", false},
        {"{\"key\":\"/k\"}", "has no 'byte_size'", false},
        {"{\"key\":5,\"byte_size\":1}", "", false},
        {"{\"key\":\"/k\",\"byte_size\":-1}", "'byte_size': expected an unsigned integer", false},
        {"{\"key\":\"/k\",\"byte_size\":1,\"offset\":1.5}", "'offset': expected an unsigned",
         false},
        {"{\"key\":\"/k\",\"key\":\"/l\",\"byte_size\":1}", "key", false},
        {"{\"key\":\"/k\",\"byte_size\":1}x", "", false},
        {"{\"byte_size\":1,\"device_id\":0}", "has no 'raw_handle'", true},
        {"{\"byte_size\":1,\"raw_handle\":{}}", "has no 'device_id'", true},
        {"{\"byte_size\":1,\"device_id\":0,\"raw_handle\":\"AAAA\"}", "", true},
    };
    for (size_t i = 0; i < TERN_COUNT_OF(rows); i++) {
        struct fake_exchange fake;
        struct tern_err err = {0};
        if (read_register(&fake, rows[i].text, rows[i].cuda, &err) != TERN_INVALID_ARGUMENT ||
            strstr(err.text, rows[i].part) == NULL)
            fail_msg("%s: %s", rows[i].text, err.text);
        fake_fini(&fake);
    }
}

static void status_is_written(void **state)
{
    (void)state;
    static const struct tern_region_row rows[] = {
        {.name = {"a", 1}, .key = {"/k\"", 3}, .offset = 4, .byte_size = 8},
        {.cuda = true, .name = {"b", 1}, .device_id = 1, .byte_size = 16},
    };
    struct fake_exchange fake;
    fake_init(&fake);
    fake.call.regions = rows;
    assert_int_equal(tern_oip_encode_regions(&fake.call, NULL), TERN_OK);
    assert_string_equal(fake_response(&fake).p, "[]");
    fake.call.n_regions = 2;
    assert_int_equal(tern_oip_encode_regions(&fake.call, NULL), TERN_OK);
    assert_string_equal(fake_response(&fake).p,
                        "[{\"name\":\"a\",\"key\":\"/k\\\"\",\"offset\":4,\"byte_size\":8},"
                        "{\"name\":\"b\",\"device_id\":1,\"byte_size\":16}]");
    assert_int_equal(tern_oip_encode_region_done(&fake.call, NULL), TERN_OK);
    assert_int_equal(fake.x.status, 200);
    assert_int_equal(fake_response(&fake).n, 0);
    assert_int_equal(tern_oip_decode_cuda_region(&fake.call, NULL), TERN_OK);
    assert_true(fake.call.region.cuda);
    assert_int_equal(fake.call.region.name.n, 0);
    assert_int_equal(tern_oip_decode_system_region(&fake.call, NULL), TERN_OK);
    assert_false(fake.call.region.cuda);
    fake_fini(&fake);
}

#define REGION(rest) "\"parameters\":{\"shared_memory_region\":\"r\"" rest "}"
#define INPUT(rest)  "{\"inputs\":[{\"name\":\"x\",\"shape\":[2],\"datatype\":\"FP32\"," rest "}],"
#define OUTPUT(rest) "\"outputs\":[{\"name\":\"y\"," rest "}]}"
#define SIZE         ",\"shared_memory_byte_size\":8"

static enum tern_code read_infer(struct fake_exchange *fake, const char *text, struct tern_err *err)
{
    fake_init(fake);
    fake_body(fake, text, strlen(text));
    fake->call.message = fake->x.body;
    return tern_oip_decode_infer(&fake->call, err);
}

static void regions_of_a_request_are_read(void **state)
{
    (void)state;
    struct fake_exchange fake;
    struct tern_err err = {0};
    if (read_infer(&fake,
                   INPUT(REGION(SIZE ",\"shared_memory_offset\":3")) "\"parameters\":{\"binary_"
                                                                     "data_output\":true}," OUTPUT(
                                                                         REGION(SIZE)),
                   &err) != TERN_OK)
        fail_msg("%s", err.text);
    const struct tern_region_ref *in = fake.call.request.inputs[0].region;
    const struct tern_requested_output *out = &fake.call.request.outputs[0];
    assert_true(tern_str_eq(in->name, TERN_STR("r")));
    assert_int_equal(in->offset, 3);
    assert_int_equal(in->byte_size, 8);
    assert_true(tern_str_eq(out->region->name, TERN_STR("r")));
    assert_int_equal(out->region->offset, 0);
    assert_false(out->binary); /* the values are not in the answer */
    fake_fini(&fake);
}

static void bad_regions_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *part;
    } rows[] = {
        {INPUT("\"data\":[1,2]," REGION(SIZE)) "\"id\":\"\"}", "exactly one of"},
        {INPUT(REGION(SIZE ",\"binary_data_size\":8")) "\"id\":\"\"}", "exactly one of"},
        {INPUT(REGION("")) "\"id\":\"\"}", "'shared_memory_byte_size' must be specified"},
        {INPUT(REGION(",\"shared_memory_byte_size\":-1")) "\"id\":\"\"}", "unsigned integer"},
        {INPUT(REGION(",\"shared_memory_byte_size\":\"8\"")) "\"id\":\"\"}", "unsigned integer"},
        {INPUT("\"parameters\":{\"shared_memory_byte_size\":8}") "\"id\":\"\"}",
         "need 'shared_memory_region'"},
        {INPUT("\"parameters\":{\"shared_memory_region\":5}") "\"id\":\"\"}", "name of a region"},
        {INPUT("\"parameters\":{\"shared_memory_region\":\"\"}") "\"id\":\"\"}",
         "name of a region"},
        {INPUT("\"data\":[1,2]") OUTPUT(REGION(SIZE ",\"binary_data\":true")),
         "output 'y': 'binary_data' can't be used together with 'shared_memory_region'"},
        {INPUT("\"data\":[1,2]") OUTPUT(REGION(SIZE ",\"classification\":2")),
         "output 'y': 'classification' can't be used together with 'shared_memory_region'"},
        {INPUT("\"data\":[1,2]") OUTPUT(REGION("")),
         "output 'y': 'shared_memory_byte_size' must be specified"},
    };
    for (size_t i = 0; i < TERN_COUNT_OF(rows); i++) {
        struct fake_exchange fake;
        struct tern_err err = {0};
        if (read_infer(&fake, rows[i].text, &err) != TERN_INVALID_ARGUMENT ||
            strstr(err.text, rows[i].part) == NULL)
            fail_msg("%s: %s", rows[i].text, err.text);
        fake_fini(&fake);
    }
}

static void an_output_in_a_region_has_no_parameters(void **state)
{
    (void)state;
    struct tern_region_ref region = {TERN_STR("r"), 5, 100};
    struct tern_tensor y = {.name = TERN_STR("y"),
                            .dtype = TERN_DTYPE_FP32,
                            .shape = {1, {2}},
                            .n_bytes = 8,
                            .region = &region};
    struct fake_exchange fake;
    fake_init(&fake);
    fake.call.model = TERN_STR("m");
    fake.call.version = 1;
    fake.call.request.binary_default = true;
    fake.call.response.outputs = &y;
    fake.call.response.n_outputs = 1;
    assert_int_equal(tern_oip_encode_infer(&fake.call, NULL), TERN_OK);
    assert_string_equal(fake_response(&fake).p,
                        "{\"model_name\":\"m\",\"model_version\":\"1\",\"outputs\":[{\"name\":"
                        "\"y\",\"datatype\":\"FP32\",\"shape\":[2]}]}");
    fake_fini(&fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(register_is_read),
        cmocka_unit_test(bad_registers_are_refused),
        cmocka_unit_test(status_is_written),
        cmocka_unit_test(regions_of_a_request_are_read),
        cmocka_unit_test(bad_regions_are_refused),
        cmocka_unit_test(an_output_in_a_region_has_no_parameters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
