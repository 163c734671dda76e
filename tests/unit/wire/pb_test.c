#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "wire/pb.h"

static struct tern_buf new_buf(void)
{
    struct tern_buf buf;
    tern_buf_init(&buf, 1u << 20);
    return buf;
}

static void expect_bytes(const struct tern_buf *buf, const char *want, size_t n)
{
    assert_false(buf->failed);
    assert_int_equal(buf->n, n);
    assert_memory_equal(buf->p, want, n);
}

#define EXPECT(buf, literal) expect_bytes((buf), (literal), sizeof(literal) - 1)

/* The examples of protobuf.dev/programming-guides/encoding. */
static void writes_what_the_guide_shows(void **state)
{
    (void)state;
    struct tern_buf buf = new_buf();
    tern_pb_add_varint(&buf, 1, 150);
    EXPECT(&buf, "\x08\x96\x01");
    tern_buf_clear(&buf);
    tern_pb_add_bytes(&buf, 2, TERN_STR("testing"));
    EXPECT(&buf, "\x12\x07testing");
    tern_buf_clear(&buf);
    size_t mark = tern_pb_open(&buf, 3);
    tern_pb_add_varint(&buf, 1, 150);
    tern_pb_close(&buf, mark);
    EXPECT(&buf, "\x1a\x03\x08\x96\x01");
    tern_buf_clear(&buf);
    mark = tern_pb_open(&buf, 6);
    tern_pb_put_varint(&buf, 3);
    tern_pb_put_varint(&buf, 270);
    tern_pb_put_varint(&buf, 86942);
    tern_pb_close(&buf, mark);
    EXPECT(&buf, "\x32\x06\x03\x8e\x02\x9e\xa7\x05");
    tern_buf_clear(&buf);
    tern_pb_add_fixed32(&buf, 1, 0x04030201);
    tern_pb_add_fixed64(&buf, 2, 0x0807060504030201);
    EXPECT(&buf, "\x0d\x01\x02\x03\x04\x11\x01\x02\x03\x04\x05\x06\x07\x08");
    tern_buf_fini(&buf);
}

static void defaults_are_left_out_when_asked(void **state)
{
    (void)state;
    struct tern_buf buf = new_buf();
    tern_pb_add_varint_unless_zero(&buf, 1, 0);
    tern_pb_add_bytes_unless_empty(&buf, 2, TERN_STR(""));
    assert_int_equal(buf.n, 0);
    tern_pb_add_varint_unless_zero(&buf, 1, 1);
    tern_pb_add_bytes_unless_empty(&buf, 2, TERN_STR("x"));
    tern_pb_add_varint(&buf, 3, 0);
    tern_pb_add_bytes(&buf, 4, TERN_STR(""));
    EXPECT(&buf, "\x08\x01\x12\x01x\x18\x00\x22\x00");
    tern_buf_fini(&buf);
}

static void a_long_sub_message_is_moved(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 127, 128, 129, 16383, 16384, 100000};
    struct tern_buf buf = new_buf();
    char *content = calloc(1, 100000);
    assert_non_null(content);
    for (size_t i = 0; i < 100000; i++)
        content[i] = (char)(i * 7);
    for (size_t i = 0; i < TERN_COUNT_OF(sizes); i++) {
        tern_buf_clear(&buf);
        size_t outer = tern_pb_open(&buf, 1);
        size_t inner = tern_pb_open(&buf, 2);
        tern_buf_add(&buf, content, sizes[i]);
        tern_pb_close(&buf, inner);
        tern_pb_close(&buf, outer);
        tern_pb_add_varint(&buf, 3, 9);

        struct tern_pb pb, nested;
        struct tern_pb_field field;
        bool more;
        tern_pb_init(&pb, tern_buf_str(&buf));
        assert_int_equal(tern_pb_next(&pb, &field, &more, NULL), TERN_OK);
        assert_true(more && field.number == 1 && field.wire == TERN_PB_BYTES);
        tern_pb_init(&nested, field.bytes);
        assert_int_equal(tern_pb_next(&nested, &field, &more, NULL), TERN_OK);
        assert_int_equal(field.bytes.n, sizes[i]);
        assert_memory_equal(field.bytes.p, content, sizes[i]);
        assert_int_equal(tern_pb_next(&nested, &field, &more, NULL), TERN_OK);
        assert_false(more);
        assert_int_equal(tern_pb_next(&pb, &field, &more, NULL), TERN_OK);
        assert_true(more && field.number == 3 && field.value == 9);
    }
    free(content);
    tern_buf_fini(&buf);
}

static void what_follows_counts(void **state)
{
    (void)state;
    struct tern_buf buf = new_buf();
    size_t mark = tern_pb_open(&buf, 2);
    tern_pb_add_head(&buf, 6, 1000);
    tern_pb_close_before(&buf, mark, 1000);
    EXPECT(&buf, "\x12\xeb\x07\x32\xe8\x07");
    tern_buf_fini(&buf);
}

static void varints_of_every_size(void **state)
{
    (void)state;
    struct tern_buf buf = new_buf();
    for (unsigned bit = 0; bit <= 64; bit++) {
        uint64_t value = bit == 64 ? UINT64_MAX : UINT64_C(1) << bit;
        tern_buf_clear(&buf);
        tern_pb_put_varint(&buf, value);
        assert_int_equal(buf.n, tern_pb_varint_size(value));
        uint64_t got = 0;
        size_t at = 0;
        assert_true(tern_pb_packed_varint(tern_buf_str(&buf), &at, &got));
        assert_true(got == value);
        assert_int_equal(at, buf.n);
        assert_false(tern_pb_packed_varint(tern_buf_str(&buf), &at, &got));
        assert_int_equal(at, buf.n);
    }
    tern_buf_fini(&buf);
}

static void a_head_is_tag_and_length(void **state)
{
    (void)state;
    char head[TERN_PB_HEAD_MAX];
    struct tern_buf buf = new_buf();
    size_t n = tern_pb_write_head(head, 6, 300);
    assert_int_equal(n, 3);
    assert_memory_equal(head, "\x32\xac\x02", 3);
    tern_pb_add_head(&buf, 6, 300);
    EXPECT(&buf, "\x32\xac\x02");
    assert_int_equal(tern_pb_write_head(head, (1u << 29) - 1, UINT64_MAX), TERN_PB_HEAD_MAX);
    tern_buf_fini(&buf);
}

static void reads_each_wire_type_in_place(void **state)
{
    (void)state;
    static const char message[] = "\x08\x96\x01\x15\x01\x02\x03\x84\x19\x01\x02\x03\x04\x05\x06\x07"
                                  "\x88\x22\x02hi\xf8\xff\xff\xff\x0f\x00";
    struct tern_pb pb;
    struct tern_pb_field f;
    bool more = false;
    tern_pb_init(&pb, tern_str_make(message, sizeof(message) - 1));
    assert_int_equal(tern_pb_next(&pb, &f, &more, NULL), TERN_OK);
    assert_true(f.number == 1 && f.wire == TERN_PB_VARINT && f.value == 150);
    assert_int_equal(tern_pb_next(&pb, &f, &more, NULL), TERN_OK);
    assert_true(f.number == 2 && f.wire == TERN_PB_FIXED32 && f.value == 0x84030201);
    assert_int_equal(tern_pb_next(&pb, &f, &more, NULL), TERN_OK);
    assert_true(f.number == 3 && f.wire == TERN_PB_FIXED64 && f.value == 0x8807060504030201);
    assert_int_equal(tern_pb_next(&pb, &f, &more, NULL), TERN_OK);
    assert_true(f.number == 4 && f.bytes.n == 2 && f.bytes.p == message + 19);
    assert_int_equal(tern_pb_next(&pb, &f, &more, NULL), TERN_OK);
    assert_true(f.number == (1u << 29) - 1 && f.value == 0);
    assert_true(more);
    assert_int_equal(tern_pb_next(&pb, &f, &more, NULL), TERN_OK);
    assert_false(more);
}

static void an_empty_message_has_no_fields(void **state)
{
    (void)state;
    struct tern_pb pb;
    struct tern_pb_field field;
    bool more = true;
    tern_pb_init(&pb, tern_str_make(NULL, 0));
    assert_int_equal(tern_pb_next(&pb, &field, &more, NULL), TERN_OK);
    assert_false(more);
}

static void refuses_what_is_damaged(void **state)
{
    (void)state;
    static const struct {
        struct tern_str message;
        const char *text;
    } rows[] = {
        {{"\x08", 1}, "a value that is no varint at byte 1"},
        {{"\x08\x80", 2}, "a value that is no varint at byte 1"},
        {{"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 12}, "no varint at byte 1"},
        {{"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 11}, "no varint at byte 1"},
        {{"\x00\x01", 2}, "a tag without a field number at byte 0"},
        {{"\x80\x80\x80\x80\x10\x01", 6}, "a tag without a field number at byte 0"},
        {{"\x80", 1}, "a tag without a field number at byte 0"},
        {{"\x0b", 1}, "a group or an unknown wire type at byte 0"},
        {{"\x0c", 1}, "a group or an unknown wire type at byte 0"},
        {{"\x0e", 1}, "a group or an unknown wire type at byte 0"},
        {{"\x0d\x01\x02\x03", 4}, "a field that is cut off at byte 1"},
        {{"\x09\x01\x02\x03\x04\x05\x06\x07", 8}, "a field that is cut off at byte 1"},
        {{"\x12\x02x", 3}, "a length beyond the end at byte 1"},
        {{"\x12\x80", 2}, "a length that is no varint at byte 1"},
        {{"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11}, "a length beyond the end"},
    };
    for (size_t i = 0; i < TERN_COUNT_OF(rows); i++) {
        struct tern_pb pb;
        struct tern_pb_field field;
        struct tern_err err = {0};
        bool more;
        char *copy = malloc(rows[i].message.n); /* exact, so that a sanitizer sees a read past it */
        assert_non_null(copy);
        memcpy(copy, rows[i].message.p, rows[i].message.n);
        tern_pb_init(&pb, tern_str_make(copy, rows[i].message.n));
        assert_int_equal(tern_pb_next(&pb, &field, &more, &err), TERN_INVALID_ARGUMENT);
        if (strstr(err.text, rows[i].text) == NULL)
            fail_msg("row %zu: %s", i, err.text);
        free(copy);
    }
}

static void a_field_of_the_wrong_kind_is_named(void **state)
{
    (void)state;
    struct tern_pb_field field = {.number = 1, .wire = TERN_PB_VARINT};
    struct tern_err err = {0};
    struct tern_str text;
    assert_int_equal(tern_pb_want(&field, TERN_PB_VARINT, "id", &err), TERN_OK);
    assert_int_equal(tern_pb_text(&field, "model_name", &text, &err), TERN_INVALID_ARGUMENT);
    assert_string_equal(err.text,
                        "malformed message: model_name is a varint, expected a length and bytes");
    field.wire = TERN_PB_BYTES;
    field.bytes = TERN_STR("\xff");
    assert_int_equal(tern_pb_text(&field, "model_name", &text, &err), TERN_INVALID_ARGUMENT);
    assert_string_equal(err.text, "malformed message: model_name is not UTF-8");
    field.bytes = TERN_STR("caf\xc3\xa9");
    assert_int_equal(tern_pb_text(&field, "model_name", &text, &err), TERN_OK);
    assert_int_equal(text.n, 5);
}

/* {5: "x", 1: "a", 1: "b"} */
static void a_text_is_found_by_its_number(void **state)
{
    (void)state;
    struct tern_str message = TERN_STR("\x2a\x01x\x0a\x01"
                                       "a\x0a\x01"
                                       "b");
    struct tern_str text = TERN_STR("as it was");
    struct tern_err err = {0};
    assert_int_equal(tern_pb_find_text(message, 2, "name", &text, &err), TERN_OK);
    assert_true(tern_str_eq(text, TERN_STR("as it was")));
    assert_int_equal(tern_pb_find_text(message, 5, "name", &text, &err), TERN_OK);
    assert_true(tern_str_eq(text, TERN_STR("x")));
    assert_int_equal(tern_pb_find_text(message, 1, "name", &text, &err), TERN_OK);
    assert_true(tern_str_eq(text, TERN_STR("b")));
    message.n--;
    assert_int_equal(tern_pb_find_text(message, 5, "name", &text, &err), TERN_INVALID_ARGUMENT);
}

static void a_packed_list_is_counted_and_checked(void **state)
{
    (void)state;
    struct tern_str list = TERN_STR("\x03\x8e\x02\x9e\xa7\x05");
    uint64_t value = 0;
    size_t at = 0;
    assert_int_equal(tern_pb_packed_count(list), 3);
    assert_true(tern_pb_packed_varint(list, &at, &value) && value == 3);
    assert_true(tern_pb_packed_varint(list, &at, &value) && value == 270);
    assert_true(tern_pb_packed_varint(list, &at, &value) && value == 86942);
    assert_false(tern_pb_packed_varint(list, &at, &value));
    assert_int_equal(at, list.n);
    list.n = 5;
    at = 3;
    assert_false(tern_pb_packed_varint(list, &at, &value));
    assert_true(at > list.n);
}

static void a_full_buffer_fails_at_every_size(void **state)
{
    (void)state;
    for (size_t max = 0;; max++) {
        struct tern_buf buf;
        tern_buf_init(&buf, max);
        size_t mark = tern_pb_open(&buf, 1);
        tern_pb_add_varint(&buf, 1, 150);
        tern_pb_add_fixed32(&buf, 2, 7);
        for (int i = 0; i < 20; i++)
            tern_pb_add_bytes(&buf, 3, TERN_STR("0123456789"));
        tern_pb_close(&buf, mark);
        bool failed = buf.failed;
        tern_buf_fini(&buf);
        if (!failed)
            break;
        assert_true(max < 1000);
    }
}

/* Runs of one tag are passed over to their end, and what is damaged is left for who reads it. */
static void runs(void **state)
{
    static const struct {
        const char *bytes;
        size_t n, passed, left; /* after the first field */
    } cases[] = {
        {"\x40\x01\x40\x02\x40\x80\x01\x48\x05", 9, 2, 2},
        {"\x40\x01\x40\x02\x40\x80", 6, 1, 2},
        {"\x40\x01\x40", 3, 0, 1},
        {"\x40\x01\x40\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 13, 1, 0},
        {"\x40\x01\x40\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 13, 0, 11},
        {"\x3d\1\2\3\4\x3d\1\2\3\4\x3d\1\2\3", 14, 1, 4},
        {"\x39\1\2\3\4\5\6\7\x8\x39\1\2\3\4\5\6\7\x8", 18, 1, 0},
        {"\x42\x01x\x42\x01y", 6, 0, 3},
        {"\x80\x01\x05\x80\x01\x05", 6, 0, 3},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct tern_pb pb;
        struct tern_pb_field field;
        bool more = false;
        tern_pb_init(&pb, tern_str_make(cases[i].bytes, cases[i].n));
        assert_int_equal(tern_pb_next(&pb, &field, &more, NULL), TERN_OK);
        assert_int_equal(tern_pb_run(&pb, &field, NULL), cases[i].passed);
        assert_int_equal(pb.end - pb.p, cases[i].left);
    }
}

/* Numbers of every length, the last ones without eight bytes behind them. */
static void a_run_gives_what_its_fields_hold(void **state)
{
    enum { COUNT = 64 };
    uint64_t values[COUNT], out[COUNT];
    struct tern_pb pb;
    struct tern_pb_field field;
    struct tern_buf buf;
    bool more = false;

    (void)state;
    tern_buf_init(&buf, 4096);
    for (unsigned i = 0; i < COUNT; i++) {
        values[i] = (UINT64_C(0x9e3779b97f4a7c15) | UINT64_C(1) << 63) >> (i * 37 % 64);
        tern_pb_add_varint(&buf, 8, values[i]);
    }
    tern_pb_init(&pb, tern_str_make(buf.p, buf.n));
    assert_int_equal(tern_pb_next(&pb, &field, &more, NULL), TERN_OK);
    assert_true(field.value == values[0]);
    assert_int_equal(tern_pb_run(&pb, &field, out + 1), COUNT - 1);
    assert_memory_equal(out + 1, values + 1, (COUNT - 1) * sizeof(*out));
    tern_buf_fini(&buf);
}

static void a_run_of_floats_is_packed(void **state)
{
    struct tern_pb pb;
    struct tern_pb_field field;
    char out[8];
    bool more = false;

    (void)state;
    tern_pb_init(&pb, tern_str_make("\x3d"
                                    "abcd"
                                    "\x3d"
                                    "efgh"
                                    "\x3d"
                                    "ijkl",
                                    15));
    assert_int_equal(tern_pb_next(&pb, &field, &more, NULL), TERN_OK);
    assert_int_equal(tern_pb_run(&pb, &field, out), 2);
    assert_memory_equal(out, "efghijkl", 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs),
        cmocka_unit_test(a_run_gives_what_its_fields_hold),
        cmocka_unit_test(a_run_of_floats_is_packed),
        cmocka_unit_test(writes_what_the_guide_shows),
        cmocka_unit_test(defaults_are_left_out_when_asked),
        cmocka_unit_test(a_long_sub_message_is_moved),
        cmocka_unit_test(what_follows_counts),
        cmocka_unit_test(varints_of_every_size),
        cmocka_unit_test(a_head_is_tag_and_length),
        cmocka_unit_test(reads_each_wire_type_in_place),
        cmocka_unit_test(an_empty_message_has_no_fields),
        cmocka_unit_test(refuses_what_is_damaged),
        cmocka_unit_test(a_field_of_the_wrong_kind_is_named),
        cmocka_unit_test(a_text_is_found_by_its_number),
        cmocka_unit_test(a_packed_list_is_counted_and_checked),
        cmocka_unit_test(a_full_buffer_fails_at_every_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
