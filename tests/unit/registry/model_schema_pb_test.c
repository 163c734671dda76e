/* The configuration as protocol buffers, and the table against api/model_config.proto. */
// covers: proto/grpc_descriptors
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "proto/grpc_descriptors.h"
#include "registry/model_config.h"
#include "registry/model_schema.h"
#include "wire/pb.h"

/* ---- bytes ---- */

/* The configuration of a text, serialized, equals these bytes. What Tern refuses to serve is bound
 * all the same. */
static void expect_bytes(const char *text, const char *bytes, size_t n)
{
    struct tern_arena arena;
    struct tern_problems problems;
    struct tern_model_config config;
    struct tern_str pb = {NULL, 0};

    tern_arena_init(&arena, 4096, 1u << 20);
    tern_problem_init(&problems, &arena);
    tern_model_config_read(tern_str_of(text), TERN_STR("config.pbtxt"), &arena, &config, &problems);
    assert_int_equal(tern_model_config_encode(&config, &arena, &pb, NULL), TERN_OK);
    assert_int_equal(pb.n, n);
    assert_memory_equal(pb.p, bytes, n);
    tern_arena_fini(&arena);
}

#define EXPECT(text, bytes) expect_bytes((text), (bytes), sizeof(bytes) - 1)

static void scalars(void **state)
{
    (void)state;
    EXPECT("name: 'm' backend: 'b' max_batch_size: 300", "\x0a\x01m\x8a\x01\x01"
                                                         "b\x20\xac\x02");
    EXPECT("name: '' max_batch_size: 0", "");
    /* A negative number of 32 bits goes out as one of 64. */
    EXPECT("optimization { graph { level: -1 } }",
           "\x62\x0d\x0a\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01");
    EXPECT(
        "input { data_type: TYPE_BF16 format: FORMAT_NONE optional: true is_shape_tensor: false }",
        "\x2a\x04\x10\x0e\x40\x01");
    EXPECT("sequence_batching { direct { minimum_slot_utilization: 0.5 } }",
           "\x6a\x07\x1a\x05\x15\x00\x00\x00\x3f");
}

static void lists(void **state)
{
    (void)state;
    EXPECT("input { dims: [ -1, 3, 300 ] }",
           "\x2a\x0f\x22\x0d\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x03\xac\x02");
    EXPECT("input { dims: [ ] }", "\x2a\x00");
    EXPECT("sequence_batching { control_input { control { fp32_false_true: [ 0, 1.5 ] "
           "bool_false_true: [ false, true ] } } }",
           "\x6a\x12\x12\x10\x12\x0e\x1a\x08\x00\x00\x00\x00\x00\x00\xc0\x3f\x2a\x02\x00\x01");
    EXPECT("model_metrics { metric_control { histogram_options { buckets: [ 2e0 ] } } }",
           "\xd2\x01\x0e\x0a\x0c\x12\x0a\x0a\x08\x00\x00\x00\x00\x00\x00\x00\x40");
    /* Texts are not packed, and an empty one counts. */
    EXPECT("instance_group { profile: [ 'a', '' ] }", "\x3a\x05\x2a\x01"
                                                      "a\x2a\x00");
}

static void maps(void **state)
{
    (void)state;
    EXPECT("metric_tags { key: 'k' value: '' }", "\x52\x05\x0a\x01k\x12\x00");
    EXPECT("parameters { key: 'k' value { string_value: 'v' } }",
           "\x72\x08\x0a\x01k\x12\x03\x0a\x01v");
    EXPECT("dynamic_batching { priority_queue_policy { key: 2 value { max_queue_size: 4 } } }",
           "\x5a\x08\x3a\x06\x08\x02\x12\x02\x20\x04");
}

static void a_chosen_member_of_a_oneof_is_there(void **state)
{
    (void)state;
    EXPECT("version_policy { all { } }", "\x1a\x02\x12\x00");
    EXPECT("dynamic_batching { }", "\x5a\x00");
    EXPECT("model_warmup { inputs { key: 'x' value { zero_data: false } } }",
           "\x82\x01\x09\x1a\x07\x0a\x01x\x12\x02\x18\x00");
}

static void number_keys_are_numbers(void **state)
{
    (void)state;
    struct tern_arena arena;
    struct tern_problems problems;
    struct tern_model_config config;
    struct tern_err err;

    tern_arena_init(&arena, 4096, 1u << 20);
    tern_problem_init(&problems, &arena);
    tern_model_config_read(
        TERN_STR("dynamic_batching:\n  priority_queue_policy: {high: {max_queue_size: 1}}\n"),
        TERN_STR("config.yaml"), &arena, &config, &problems);
    assert_int_not_equal(tern_problem_fail(&problems, &err), TERN_OK);
    assert_non_null(strstr(err.text, "priority_queue_policy: expected a whole number, 0 or more, "
                                     "as key, got \"high\""));
    tern_arena_fini(&arena);
}

/* ---- the table against the file ---- */

/* Numbers of google/protobuf/descriptor.proto. */
enum {
    FILE_MESSAGE = 4,
    FILE_ENUM = 5,
    MESSAGE_FIELD = 2,
    MESSAGE_NESTED = 3,
    MESSAGE_ENUM = 4,
    FIELD_NAME = 1,
    FIELD_NUMBER = 3,
    FIELD_LABEL = 4,
    FIELD_TYPE = 5,
    FIELD_TYPE_NAME = 6,
    FIELD_ONEOF = 9,
    LABEL_REPEATED = 3,
    ENUM_VALUE = 2,
};

/* The i-th field of that number in a message; false when there are fewer. */
static bool nth(struct tern_str message, uint32_t number, uint32_t i, struct tern_pb_field *ret)
{
    struct tern_pb pb;
    bool more;

    tern_pb_init(&pb, message);
    while (tern_pb_next(&pb, ret, &more, NULL) == TERN_OK && more) {
        if (ret->number == number && i-- == 0)
            return true;
    }
    return false;
}

static uint64_t number_in(struct tern_str message, uint32_t number, uint64_t otherwise)
{
    struct tern_pb_field field;
    return nth(message, number, 0, &field) ? field.value : otherwise;
}

static struct tern_str text_in(struct tern_str message, uint32_t number)
{
    struct tern_pb_field field;
    return nth(message, number, 0, &field) ? field.bytes : tern_str_make(NULL, 0);
}

static uint32_t count_in(struct tern_str message, uint32_t number)
{
    struct tern_pb_field field;
    uint32_t n = 0;
    while (nth(message, number, n, &field))
        n++;
    return n;
}

static struct tern_str named(struct tern_str message, uint32_t number, struct tern_str name)
{
    struct tern_pb_field field;
    for (uint32_t i = 0; nth(message, number, i, &field); i++) {
        if (tern_str_eq(text_in(field.bytes, FIELD_NAME), name))
            return field.bytes;
    }
    fail_msg("api/model_config.proto has no %.*s", TERN_STR_ARG(name));
    return tern_str_make(NULL, 0);
}

/* ".inference.Outer.Inner": the descriptor of a message or an enum. */
static struct tern_str resolve(struct tern_str file, struct tern_str path, bool is_enum)
{
    struct tern_str piece, at = file;
    bool top = true;

    assert_true(tern_str_starts(path, TERN_STR(".inference.")));
    path = tern_str_from(path, sizeof(".inference.") - 1);
    while (tern_str_split(&path, '.', &piece)) {
        uint32_t messages = top ? FILE_MESSAGE : MESSAGE_NESTED;
        uint32_t enums = top ? FILE_ENUM : MESSAGE_ENUM;
        at = named(at, path.n == 0 && is_enum ? enums : messages, piece);
        top = false;
    }
    return at;
}

static const uint64_t types[] = {
    [TERN_SCHEMA_BOOL] = 8,     [TERN_SCHEMA_INT32] = 5,  [TERN_SCHEMA_INT64] = 3,
    [TERN_SCHEMA_UINT32] = 13,  [TERN_SCHEMA_UINT64] = 4, [TERN_SCHEMA_FLOAT] = 2,
    [TERN_SCHEMA_DOUBLE] = 1,   [TERN_SCHEMA_STRING] = 9, [TERN_SCHEMA_ENUM] = 14,
    [TERN_SCHEMA_MESSAGE] = 11,
};

static void compare_enum(const struct tern_schema_field *field, struct tern_str said)
{
    uint32_t n = 0;

    for (const struct tern_schema_enum *v = field->values; v->name != NULL; v++, n++) {
        struct tern_str value = named(said, ENUM_VALUE, tern_str_of(v->name));
        assert_int_equal(number_in(value, 2, 0), v->number);
    }
    assert_int_equal(n, count_in(said, ENUM_VALUE));
}

static void compare_message(struct tern_str file, const struct tern_schema_message *message,
                            struct tern_str said);

/* What stands in the file for one value: of the field itself, or of the values of a map. */
static void compare_value(struct tern_str file, const struct tern_schema_field *field,
                          struct tern_str said)
{
    struct tern_str type_name = text_in(said, FIELD_TYPE_NAME);

    assert_int_equal(number_in(said, FIELD_TYPE, 0), types[field->type]);
    if (field->type == TERN_SCHEMA_ENUM)
        compare_enum(field, resolve(file, type_name, true));
    if (field->type == TERN_SCHEMA_MESSAGE)
        compare_message(file, field->message, resolve(file, type_name, false));
}

static void compare_message(struct tern_str file, const struct tern_schema_message *message,
                            struct tern_str said)
{
    assert_int_equal(count_in(said, MESSAGE_FIELD), message->n);
    for (uint32_t i = 0; i < message->n; i++) {
        const struct tern_schema_field *field = &message->fields[i];
        struct tern_str one = named(said, MESSAGE_FIELD, tern_str_of(field->name));
        bool several = number_in(one, FIELD_LABEL, 0) == LABEL_REPEATED;
        struct tern_pb_field oneof;

        assert_int_equal(number_in(one, FIELD_NUMBER, 0), field->number);
        assert_int_equal(nth(one, FIELD_ONEOF, 0, &oneof), field->label == TERN_SCHEMA_ONEOF);
        assert_int_equal(several,
                         field->label == TERN_SCHEMA_REPEATED || field->label == TERN_SCHEMA_MAP);
        if (field->label != TERN_SCHEMA_MAP) {
            compare_value(file, field, one);
            continue;
        }
        struct tern_str entry = resolve(file, text_in(one, FIELD_TYPE_NAME), false);
        struct tern_str key = named(entry, MESSAGE_FIELD, TERN_STR("key"));
        assert_int_equal(number_in(key, FIELD_TYPE, 0),
                         types[field->number_keys ? TERN_SCHEMA_UINT64 : TERN_SCHEMA_STRING]);
        compare_value(file, field, named(entry, MESSAGE_FIELD, TERN_STR("value")));
    }
}

static void the_table_says_what_the_file_says(void **state)
{
    (void)state;
    const struct tern_grpc_file *file = &tern_grpc_files[0];
    assert_string_equal(file->name, "model_config.proto");
    struct tern_str bytes = {(const char *)file->bytes, file->n};
    compare_message(bytes, &tern_model_schema,
                    resolve(bytes, TERN_STR(".inference.ModelConfig"), false));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scalars),
        cmocka_unit_test(lists),
        cmocka_unit_test(maps),
        cmocka_unit_test(a_chosen_member_of_a_oneof_is_there),
        cmocka_unit_test(number_keys_are_numbers),
        cmocka_unit_test(the_table_says_what_the_file_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
