/* ModelInfer of the Open Inference Protocol over gRPC: what is read and written, and the text of
 * every refusal. */
// covers: proto/oip_grpc_decode proto/oip_grpc_encode proto/oip_grpc_contents
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "harness/fake_exchange.h"
#include "proto/oip_grpc_int.h"

#define EXPECT_STR(s, literal) assert_true(tern_str_eq((s), TERN_STR(literal)))

/* -- messages ----------------------------------------------------------------------------- */

struct message {
    struct tern_buf buf;
};

static struct message new_message(void)
{
    struct message m;
    tern_buf_init(&m.buf, 1u << 22);
    tern_pb_add_bytes(&m.buf, 1, TERN_STR("m"));
    return m;
}

static void add_text(struct tern_buf *buf, uint32_t number, const char *text)
{
    tern_pb_add_bytes(buf, number, tern_str_of(text));
}

/* An input tensor, left open for parameters and contents. */
static size_t open_input(struct tern_buf *buf, const char *name, const char *datatype, int64_t dim)
{
    size_t input = tern_pb_open(buf, 5);
    add_text(buf, 1, name);
    add_text(buf, 2, datatype);
    size_t shape = tern_pb_open(buf, 3);
    tern_pb_put_varint(buf, (uint64_t)dim);
    tern_pb_close(buf, shape);
    return input;
}

static void add_input(struct tern_buf *buf, const char *name, const char *datatype, int64_t dim)
{
    tern_pb_close(buf, open_input(buf, name, datatype, dim));
}

/* One whose contents are these bytes. */
static void add_typed(struct tern_buf *buf, const char *name, const char *datatype, int64_t dim,
                      struct tern_str contents)
{
    size_t input = open_input(buf, name, datatype, dim);
    tern_pb_add_bytes(buf, 5, contents);
    tern_pb_close(buf, input);
}

static void add_param(struct tern_buf *buf, uint32_t number, const char *key, struct tern_str value)
{
    size_t entry = tern_pb_open(buf, number);
    add_text(buf, 1, key);
    tern_pb_add_bytes(buf, 2, value);
    tern_pb_close(buf, entry);
}

static enum tern_code decode(struct fake_exchange *fake, struct message *m, struct tern_err *err)
{
    assert_false(m->buf.failed);
    fake_init(fake);
    fake->x.start_ns = 1000;
    fake_body(fake, m->buf.p, m->buf.n); /* the sanitizer sees a read past it */
    fake->call.message = fake->x.body;
    enum tern_code code = tern_oip_grpc_decode_infer(&fake->call, err);
    tern_buf_fini(&m->buf);
    return code;
}

static void expect_ok(struct fake_exchange *fake, struct message *m)
{
    struct tern_err err = {0};
    if (decode(fake, m, &err) != TERN_OK)
        fail_msg("%s", err.text);
}

static void expect_refused(struct message *m, const char *text)
{
    struct fake_exchange fake;
    struct tern_err err = {0};
    enum tern_code code = decode(&fake, m, &err);
    if (code != TERN_INVALID_ARGUMENT || strstr(err.text, text) == NULL)
        fail_msg("code %d, \"%s\", expected \"%s\"", (int)code, err.text, text);
    fake_fini(&fake);
}

/* -- what is accepted --------------------------------------------------------------------- */

static void reads_a_whole_request(void **state)
{
    (void)state;
    struct message m = new_message();
    struct fake_exchange fake;
    add_text(&m.buf, 2, "3");
    add_text(&m.buf, 3, "id-7");
    add_param(&m.buf, 4, "b", TERN_STR("\x08\x01"));
    add_param(&m.buf, 4, "i", TERN_STR("\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"));
    add_param(&m.buf, 4, "s", TERN_STR("\x1a\x02hi"));
    add_param(&m.buf, 4, "d", TERN_STR("\x21\0\0\0\0\0\0\xf8\x3f"));
    add_param(&m.buf, 4, "u", TERN_STR("\x28\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"));
    add_param(&m.buf, 4, "priority", TERN_STR("\x28\x07"));
    add_input(&m.buf, "x", "FP32", 2);
    add_input(&m.buf, "s", "BYTES", 1);
    size_t output = tern_pb_open(&m.buf, 6);
    add_text(&m.buf, 1, "y");
    add_param(&m.buf, 2, "classification", TERN_STR("\x10\x03"));
    tern_pb_close(&m.buf, output);
    tern_pb_add_bytes(&m.buf, 7, TERN_STR("12345678"));
    tern_pb_add_bytes(&m.buf, 7, TERN_STR("\1\0\0\0a"));
    tern_pb_add_varint(&m.buf, 99, 1); /* unknown: passed over */
    expect_ok(&fake, &m);
    const struct tern_infer_request *r = &fake.call.request;
    EXPECT_STR(fake.call.model, "m");
    assert_true(fake.call.version == 3);
    EXPECT_STR(r->id, "id-7");
    assert_int_equal(r->params.n, 6);
    assert_true(r->params.rows[0].kind == TERN_PARAM_BOOL && r->params.rows[0].boolean);
    assert_true(r->params.rows[1].kind == TERN_PARAM_INT64 && r->params.rows[1].int64 == -1);
    EXPECT_STR(r->params.rows[2].string, "hi");
    assert_true(r->params.rows[3].kind == TERN_PARAM_DOUBLE && r->params.rows[3].real == 1.5);
    assert_true(r->params.rows[4].kind == TERN_PARAM_UINT64 &&
                r->params.rows[4].uint64 == UINT64_MAX);
    assert_int_equal(r->params.rows[5].int64, 7);
    assert_int_equal(r->n_inputs, 2);
    EXPECT_STR(r->inputs[0].name, "x");
    assert_int_equal(r->inputs[0].dtype, TERN_DTYPE_FP32);
    assert_true(r->inputs[0].shape.rank == 1 && r->inputs[0].shape.dim[0] == 2);
    EXPECT_STR(tern_str_make(r->inputs[0].data, r->inputs[0].n_bytes), "12345678");
    assert_true((const char *)r->inputs[0].data > fake.body &&
                (const char *)r->inputs[0].data < fake.body + fake.x.body.n);
    assert_int_equal(r->inputs[1].n_bytes, 5);
    assert_int_equal(r->n_outputs, 1);
    EXPECT_STR(r->outputs[0].name, "y");
    assert_int_equal(r->outputs[0].classification, 3);
    assert_true(r->binary_default);
    fake_fini(&fake);
}

static void raw_contents_may_come_first(void **state)
{
    (void)state;
    struct message m = new_message();
    struct fake_exchange fake;
    tern_pb_add_bytes(&m.buf, 7, TERN_STR("ab"));
    tern_pb_add_bytes(&m.buf, 7, TERN_STR(""));
    add_input(&m.buf, "x", "UINT8", 2);
    add_input(&m.buf, "none", "FP16", 0);
    expect_ok(&fake, &m);
    const struct tern_tensor *inputs = fake.call.request.inputs;
    EXPECT_STR(tern_str_make(inputs[0].data, inputs[0].n_bytes), "ab");
    assert_int_equal(inputs[1].n_bytes, 0);
    fake_fini(&fake);
}

static void the_timeout_is_the_deadline(void **state)
{
    (void)state;
    struct message m = new_message();
    struct fake_exchange fake;
    fake_init(&fake);
    fake.x.start_ns = 1000;
    fake_header(&fake, "grpc-timeout", "3u");
    fake.call.message = tern_buf_str(&m.buf);
    assert_int_equal(tern_oip_grpc_decode_infer(&fake.call, NULL), TERN_OK);
    assert_true(fake.call.request.deadline_ns == 4000);
    tern_buf_fini(&m.buf);
    fake_fini(&fake);
}

/* Each datatype's field, packed and one number a field. */
static void reads_every_datatype(void **state)
{
    (void)state;
#define MINUS(low) low "\xff\xff\xff\xff\xff\xff\xff\xff\x01"
    static const struct {
        const char *datatype;
        struct tern_str packed, single;
        struct tern_str bytes;
    } rows[] = {
#define STR(s) {(s), sizeof(s) - 1}
        {"BOOL", STR("\x0a\x02\x01\x00"), STR("\x08\x01\x08\x00"), STR("\1\0")},
        {"INT8", STR("\x12\x0b\x7f" MINUS("\x80")), STR("\x10\x7f\x10" MINUS("\x80")),
         STR("\x7f\x80")},
        {"INT16", STR("\x12\x0b\x02" MINUS("\xff")), STR("\x10\x02\x10" MINUS("\xff")),
         STR("\2\0\xff\xff")},
        {"INT32", STR("\x12\x06\x02\xff\xff\xff\xff\x0f"), STR("\x10\x02\x10" MINUS("\xff")),
         STR("\2\0\0\0\xff\xff\xff\xff")},
        {"INT64", STR("\x1a\x0b\x02" MINUS("\xff")), STR("\x18\x02\x18" MINUS("\xff")),
         STR("\2\0\0\0\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff")},
        {"UINT8", STR("\x22\x03\x00\xff\x01"), STR("\x20\x00\x20\xff\x01"), STR("\0\xff")},
        {"UINT16", STR("\x22\x04\x01\xff\xff\x03"), STR("\x20\x01\x20\xff\xff\x03"),
         STR("\1\0\xff\xff")},
        {"UINT32", STR("\x22\x06\x01\xff\xff\xff\xff\x0f"), STR("\x20\x01\x20\xff\xff\xff\xff\x0f"),
         STR("\1\0\0\0\xff\xff\xff\xff")},
        {"UINT64", STR("\x2a\x0b\x01" MINUS("\xff")), STR("\x28\x01\x28" MINUS("\xff")),
         STR("\1\0\0\0\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff")},
        {"FP32",
         STR("\x32\x08"
             "abcdefgh"),
         STR("\x35"
             "abcd"
             "\x35"
             "efgh"),
         STR("abcdefgh")},
        {"FP64",
         STR("\x3a\x10"
             "abcdefghijklmnop"),
         STR("\x39"
             "abcdefgh"
             "\x39"
             "ijklmnop"),
         STR("abcdefghijklmnop")},
        {"BYTES",
         STR("\x42\x01"
             "a"
             "\x42\x00"),
         STR("\x42\x01"
             "a"
             "\x42\x00"),
         STR("\1\0\0\0a\0\0\0\0")},
#undef STR
    };
    for (size_t i = 0; i < TERN_COUNT_OF(rows) * 2; i++) {
        size_t at = i / 2;
        struct message m = new_message();
        struct fake_exchange fake;
        add_typed(&m.buf, "x", rows[at].datatype, 2,
                  i % 2 == 0 ? rows[at].packed : rows[at].single);
        expect_ok(&fake, &m);
        const struct tern_tensor *x = &fake.call.request.inputs[0];
        if (!tern_str_eq(tern_str_make(x->data, x->n_bytes), rows[at].bytes))
            fail_msg("%s", rows[at].datatype);
        assert_false(fake.call.request.binary_default);

        /* And back again: packed, as it came. */
        if (i % 2 == 0 && strcmp(rows[at].datatype, "INT32") != 0) {
            tern_exchange_body(&fake.x);
            assert_int_equal(tern_oip_grpc_write_contents(&fake.out, 5, x, NULL), TERN_OK);
            struct tern_str out = fake_response(&fake);
            assert_true(tern_str_eq(tern_str_from(out, 2), rows[at].packed));
        }
        fake_fini(&fake);
    }
}

static void one_packed_list_of_floats_stays_where_it_lies(void **state)
{
    (void)state;
    struct message m = new_message();
    struct fake_exchange fake;
    add_typed(&m.buf, "x", "FP32", 2,
              TERN_STR("\x32\x08"
                       "abcdefgh"));
    add_typed(&m.buf, "y", "FP32", 2,
              TERN_STR("\x32\x04"
                       "abcd"
                       "\x32\x04"
                       "efgh"));
    expect_ok(&fake, &m);
    const struct tern_tensor *inputs = fake.call.request.inputs;
    const char *x = inputs[0].data, *y = inputs[1].data;
    assert_true(x > fake.body && x < fake.body + fake.x.body.n);
    assert_false(y > fake.body && y < fake.body + fake.x.body.n);
    assert_memory_equal(y, "abcdefgh", 8);
    assert_int_equal((uintptr_t)y % 64, 0);
    fake_fini(&fake);
}

static void an_empty_tensor_needs_no_contents(void **state)
{
    (void)state;
    static const char *const datatypes[] = {"BOOL", "INT64", "FP32", "BYTES"};
    for (size_t i = 0; i < TERN_COUNT_OF(datatypes); i++) {
        struct message m = new_message();
        struct fake_exchange fake;
        add_input(&m.buf, "x", datatypes[i], 0);
        expect_ok(&fake, &m);
        assert_int_equal(fake.call.request.inputs[0].n_bytes, 0);
        fake_fini(&fake);
    }
}

static void shapes_may_come_unpacked(void **state)
{
    (void)state;
    struct message m = new_message();
    struct fake_exchange fake;
    size_t input = tern_pb_open(&m.buf, 5);
    tern_pb_add_varint(&m.buf, 3, 2);
    add_text(&m.buf, 2, "UINT8");
    add_text(&m.buf, 1, "x");
    tern_pb_add_varint(&m.buf, 3, 1);
    tern_pb_close(&m.buf, input);
    tern_pb_add_bytes(&m.buf, 7, TERN_STR("ab"));
    expect_ok(&fake, &m);
    const struct tern_shape *shape = &fake.call.request.inputs[0].shape;
    assert_true(shape->rank == 2 && shape->dim[0] == 2 && shape->dim[1] == 1);
    fake_fini(&fake);
}

static void tensors_in_shared_memory_have_no_contents(void **state)
{
    (void)state;
    struct message m = new_message();
    struct fake_exchange fake;
    size_t input = open_input(&m.buf, "x", "UINT8", 2);
    add_param(&m.buf, 4, "shared_memory_region", TERN_STR("\x1a\x01r"));
    add_param(&m.buf, 4, "shared_memory_byte_size", TERN_STR("\x10\x02"));
    add_param(&m.buf, 4, "shared_memory_offset", TERN_STR("\x10\x40"));
    tern_pb_close(&m.buf, input);
    add_input(&m.buf, "y", "UINT8", 1);
    tern_pb_add_bytes(&m.buf, 7, TERN_STR("b"));
    expect_ok(&fake, &m);
    const struct tern_tensor *inputs = fake.call.request.inputs;
    assert_non_null(inputs[0].region);
    EXPECT_STR(inputs[0].region->name, "r");
    assert_true(inputs[0].region->offset == 64 && inputs[0].region->byte_size == 2);
    assert_null(inputs[0].data);
    assert_int_equal(inputs[1].n_bytes, 1);
    fake_fini(&fake);
}

/* -- what is refused ---------------------------------------------------------------------- */

static void raw_and_typed_do_not_mix(void **state)
{
    (void)state;
    struct message m = new_message();
    add_input(&m.buf, "a", "UINT8", 1);
    add_typed(&m.buf, "x", "INT32", 1, TERN_STR("\x12\x01\x01"));
    tern_pb_add_bytes(&m.buf, 7, TERN_STR("b"));
    expect_refused(&m, "contents field must not be specified when using raw_input_contents for 'x' "
                       "for model 'm'");
    for (int n_raw = 1; n_raw <= 3; n_raw += 2) {
        m = new_message();
        add_input(&m.buf, "a", "UINT8", 1);
        add_input(&m.buf, "b", "UINT8", 1);
        for (int i = 0; i < n_raw; i++)
            tern_pb_add_bytes(&m.buf, 7, TERN_STR("b"));
        expect_refused(&m, n_raw == 1 ? "has 1 raw_input_contents, expected one for each of the 2"
                                      : "has 3 raw_input_contents, expected one for each of the 2");
    }
}

static void typed_contents_have_to_match(void **state)
{
    (void)state;
    static const struct {
        const char *datatype;
        int64_t dim;
        struct tern_str contents;
        const char *text;
    } rows[] = {
#define STR(s) {(s), sizeof(s) - 1}
        {"FP16", 1,
         STR("\x35"
             "abcd"),
         "datatype FP16, which only raw_input_contents can carry"},
        {"BF16", 0, STR(""), "datatype BF16, which only raw_input_contents can carry"},
        {"FP32", 1, STR("\x12\x01\x01"),
         "datatype FP32, whose contents go into fp32_contents, got int_contents"},
        {"INT64", 1, STR("\x10\x01"), "go into int64_contents, got int_contents"},
        {"INT32", 2, STR("\x12\x01\x01"),
         "unexpected number of elements 1 in the int_contents of input 'x', expecting 2"},
        {"INT32", 0, STR("\x12\x01\x01"), "elements 1 in the int_contents"},
        {"INT32", 1, STR(""), "elements 0 in the int_contents"},
        {"FP32", 3,
         STR("\x32\x08"
             "abcdefgh"),
         "elements 2 in the fp32_contents"},
        {"FP32", 2,
         STR("\x32\x09"
             "abcdefghi"),
         "the contents of input 'x' are cut off"},
        {"FP32", 1, STR("\x08\x01"), "go into fp32_contents, got bool_contents"},
        {"FP32", 1, STR("\x30\x01"), "fp32_contents is a varint, expected four bytes"},
        {"BYTES", 1, STR("\x40\x01"), "bytes_contents is a varint"},
        {"INT64", 1, STR("\x1a\x02\x01\x80"), "are cut off"},
        {"INT8", 1, STR("\x10\x80\x01"), "has the value 128, which INT8 cannot hold"},
        {"INT8", 1, STR("\x12\x0a\xff\xfe\xff\xff\xff\xff\xff\xff\xff\x01"),
         "has the value -129, which INT8 cannot hold"},
        {"INT16", 1, STR("\x10\x80\x80\x02"), "has the value 32768, which INT16 cannot hold"},
        {"UINT8", 1, STR("\x20\x80\x02"), "has the value 256, which UINT8 cannot hold"},
        {"UINT16", 1, STR("\x22\x03\x80\x80\x04"), "65536, which UINT16 cannot hold"},
        {"INT32", INT64_MAX, STR(""), "byte size overflow for input 'x'"},
        {"BOOL", 1, STR("\x0a\x05\x01"), "a length beyond the end"},
#undef STR
    };
    for (size_t i = 0; i < TERN_COUNT_OF(rows); i++) {
        struct message m = new_message();
        add_typed(&m.buf, "x", rows[i].datatype, rows[i].dim, rows[i].contents);
        expect_refused(&m, rows[i].text);
    }
}

static void inputs_are_complete(void **state)
{
    (void)state;
    struct message m = new_message();
    add_input(&m.buf, "", "UINT8", 1);
    expect_refused(&m, "input 0 has no 'name'");
    m = new_message();
    tern_pb_add_bytes(&m.buf, 5, TERN_STR("\x0a\x01x"));
    expect_refused(&m, "input 'x' has no 'datatype'");
    m = new_message();
    add_input(&m.buf, "x", "FP99", 1);
    expect_refused(&m, "Unable to parse 'datatype': 'FP99' is unknown");
    m = new_message();
    add_input(&m.buf, "x", "UINT8", -1);
    expect_refused(&m, "Unable to parse 'shape': dimension 0 is negative");
    m = new_message();
    tern_pb_add_bytes(&m.buf, 5,
                      TERN_STR("\x1a\x11"
                               "aaaaaaaaaaaaaaaaa"));
    expect_refused(&m, "Unable to parse 'shape': more than 16 dimensions");
    m = new_message();
    tern_pb_add_bytes(&m.buf, 5, TERN_STR("\x1a\x02\x01\x80"));
    expect_refused(&m, "shape is cut off");
    m = new_message();
    tern_pb_add_bytes(&m.buf, 5, TERN_STR("\x2a\x00\x2a\x00"));
    expect_refused(&m, "more than one 'contents'");
    m = new_message();
    tern_pb_add_varint(&m.buf, 5, 1);
    expect_refused(&m, "inputs is a varint");
}

static void outputs_are_named_once(void **state)
{
    (void)state;
    struct message m = new_message();
    tern_pb_add_bytes(&m.buf, 6, TERN_STR("\x0a\x01y"));
    tern_pb_add_bytes(&m.buf, 6, TERN_STR("\x0a\x01y"));
    expect_refused(&m, "output 'y' already exists in request");
    m = new_message();
    tern_pb_add_bytes(&m.buf, 6, TERN_STR(""));
    expect_refused(&m, "output 0 has no 'name'");
}

static void parameters_have_one_value(void **state)
{
    (void)state;
    struct message m = new_message();
    add_param(&m.buf, 4, "p", TERN_STR(""));
    expect_refused(&m, "parameter 'p' has no value");
    m = new_message();
    add_param(&m.buf, 4, "p", TERN_STR("\x08\x01"));
    add_param(&m.buf, 4, "p", TERN_STR("\x08\x00"));
    expect_refused(&m, "parameter 'p' is given twice");
    m = new_message();
    add_param(&m.buf, 4, "p", TERN_STR("\x20\x01"));
    expect_refused(&m, "double_param is a varint, expected eight bytes");
}

static void lists_have_a_maximum(void **state)
{
    (void)state;
    static const char *const names[] = {"inputs", "outputs", "raw_input_contents"};
    for (uint32_t number = 5; number <= 7; number++) {
        struct message m = new_message();
        char text[64];
        for (int i = 0; i <= TERN_TENSORS_MAX; i++)
            tern_pb_add_bytes(&m.buf, number, TERN_STR(""));
        snprintf(text, sizeof(text), "the request has more than 256 %s", names[number - 5]);
        expect_refused(&m, text);
    }
}

static void a_message_cut_anywhere_is_refused_or_smaller(void **state)
{
    (void)state;
    struct message m = new_message();
    add_param(&m.buf, 4, "p", TERN_STR("\x08\x01"));
    add_typed(&m.buf, "x", "INT32", 2, TERN_STR("\x12\x02\x01\x02"));
    tern_pb_add_bytes(&m.buf, 6, TERN_STR("\x0a\x01y"));
    for (size_t n = 0; n < m.buf.n; n++) {
        struct fake_exchange fake;
        fake_init(&fake);
        fake_body(&fake, m.buf.p, n);
        fake.call.message = fake.x.body;
        (void)tern_oip_grpc_decode_infer(&fake.call, NULL); /* the sanitizer is the judge */
        assert_true(fake.call.request.n_inputs <= 1);
        fake_fini(&fake);
    }
    tern_buf_fini(&m.buf);
}

/* -- where a body will lie ----------------------------------------------------------------- */

static struct tern_body_plan planned(struct tern_str first, size_t size)
{
    struct fake_exchange fake;
    struct tern_body_plan plan = {.first = first, .size = size};
    fake_init(&fake);
    fake.x.content_type = TERN_STR("application/grpc");
    fake.x.http_major = 2;
    fake.x.body_max = 1u << 22;
    tern_oip_grpc_plan_body(&fake.x, &plan);
    fake_fini(&fake);
    return plan;
}

static void the_first_raw_tensor_is_where_memory_is_aligned(void **state)
{
    (void)state;
    struct message m = new_message();
    char *bytes = calloc(1, 100000);
    assert_non_null(bytes);
    tern_buf_clear(&m.buf);
    tern_buf_add(&m.buf, "\0\0\0\0\0", 5);
    tern_pb_add_bytes(&m.buf, 1, TERN_STR("m"));
    add_input(&m.buf, "x", "UINT8", 100000);
    tern_pb_add_head(&m.buf, 7, 100000);
    size_t at = m.buf.n;
    tern_buf_add(&m.buf, bytes, 100000);
    size_t n = m.buf.n - 5;
    m.buf.p[2] = (char)(n >> 16);
    m.buf.p[3] = (char)(n >> 8);
    m.buf.p[4] = (char)n;
    for (size_t first = 0; first < at + 10; first++) {
        struct tern_body_plan plan = planned(tern_str_make(m.buf.p, first), SIZE_MAX);
        assert_true(plan.size == (first < 5 ? SIZE_MAX : n + 5));
        assert_int_equal(plan.pivot, first < at ? 0 : at);
    }
    struct tern_body_plan plan = planned(tern_str_make(m.buf.p, 50), 77777); /* the head knew */
    assert_int_equal(plan.size, 77777);
    m.buf.p[1] = 1; /* more than is allowed: nothing is planned for it */
    plan = planned(tern_str_make(m.buf.p, 50), SIZE_MAX);
    assert_true(plan.size == SIZE_MAX && plan.pivot == 0);
    m.buf.p[1] = 0;
    m.buf.p[6] = (char)0xff; /* no message */
    plan = planned(tern_str_make(m.buf.p, 50), SIZE_MAX);
    assert_int_equal(plan.pivot, 0);
    free(bytes);
    tern_buf_fini(&m.buf);
}

/* -- answers ------------------------------------------------------------------------------ */

static const struct tern_model_info info = {.name = {"m", 1}, .version = 12};

static struct tern_str encoded(struct fake_exchange *fake, struct tern_tensor *outputs, uint32_t n)
{
    fake->call.info = &info;
    fake->call.response.outputs = outputs;
    fake->call.response.n_outputs = n;
    fake->x.slices = NULL;
    fake->x.n_slices = 0;
    tern_exchange_body(&fake->x);
    assert_int_equal(tern_oip_grpc_encode_infer(&fake->call, NULL), TERN_OK);
    return fake_response(fake);
}

static void writes_a_whole_answer(void **state)
{
    (void)state;
    int32_t label[] = {7, 8};
    struct tern_tensor outputs[] = {
        {.name = {"y", 1},
         .dtype = TERN_DTYPE_INT32,
         .shape = {2, {2, 1}},
         .data = label,
         .n_bytes = sizeof(label)},
        {.name = {"e", 1}, .dtype = TERN_DTYPE_FP32, .shape = {1, {0}}},
    };
    struct tern_param param = {.key = {"k", 1}, .kind = TERN_PARAM_INT64, .int64 = 5};
    struct fake_exchange fake;
    fake_init(&fake);
    fake.call.request.id = TERN_STR("id");
    fake.call.response.params = (struct tern_params){&param, 1};
    EXPECT_STR(encoded(&fake, outputs, 2), "\x0a\x01m\x12\x02"
                                           "12\x1a\x02id"
                                           "\x22\x07\x0a\x01k\x12\x02\x10\x05"
                                           "\x2a\x0e\x0a\x01y\x12\x05INT32\x1a\x02\x02\x01"
                                           "\x2a\x0c\x0a\x01"
                                           "e\x12\x04"
                                           "FP32\x1a\x01\x00"
                                           "\x32\x08\x07\0\0\0\x08\0\0\0"
                                           "\x32\x00");
    assert_int_equal(fake.x.n_slices, 0);
    fake_fini(&fake);
}

static void large_tensors_are_not_copied(void **state)
{
    (void)state;
    static char large[5000], small[3] = "abc";
    struct tern_tensor outputs[] = {
        {.name = {"s", 1},
         .dtype = TERN_DTYPE_INT8,
         .shape = {1, {3}},
         .data = small,
         .n_bytes = 3},
        {.name = {"l", 1},
         .dtype = TERN_DTYPE_INT8,
         .shape = {1, {5000}},
         .data = large,
         .n_bytes = 5000},
        {.name = {"t", 1},
         .dtype = TERN_DTYPE_INT8,
         .shape = {1, {3}},
         .data = small,
         .n_bytes = 3},
        {.name = {"k", 1},
         .dtype = TERN_DTYPE_INT8,
         .shape = {1, {5000}},
         .data = large,
         .n_bytes = 5000},
        {.name = {"z", 1}, .dtype = TERN_DTYPE_INT8, .shape = {1, {0}}, .n_bytes = 0},
    };
    struct fake_exchange fake;
    fake_init(&fake);
    memset(large, 'x', sizeof(large));
    struct tern_str answer = encoded(&fake, outputs, 5);
    assert_int_equal(fake.x.n_slices, 6);
    assert_ptr_equal(fake.x.slices[0].p, large);
    assert_ptr_equal(fake.x.slices[2].p, small);
    assert_ptr_equal(fake.x.slices[4].p, large);
    static const size_t sizes[] = {3, 5000, 3, 5000, 0};
    struct tern_pb pb;
    struct tern_pb_field field;
    size_t n_raw = 0;
    bool more;
    tern_pb_init(&pb, answer);
    while (tern_pb_next(&pb, &field, &more, NULL) == TERN_OK && more) {
        if (field.number == 6)
            assert_int_equal(field.bytes.n, sizes[n_raw++]);
    }
    assert_false(more);
    assert_int_equal(n_raw, 5);
    fake_fini(&fake);
}

static void an_output_in_shared_memory_only_says_where(void **state)
{
    (void)state;
    char bytes[4] = "wxyz";
    struct tern_region_ref region = {.name = {"r", 1}, .offset = 8, .byte_size = 100};
    struct tern_tensor output = {.name = {"y", 1},
                                 .dtype = TERN_DTYPE_INT8,
                                 .shape = {1, {4}},
                                 .data = bytes,
                                 .n_bytes = 4,
                                 .region = &region};
    struct fake_exchange fake;
    fake_init(&fake);
    struct tern_str answer = encoded(&fake, &output, 1);
    assert_null(memmem(answer.p, answer.n, "wxyz", 4));
    assert_non_null(
        memmem(answer.p, answer.n, "\x0a\x14shared_memory_region\x12\x03\x1a\x01r", 27));
    assert_non_null(memmem(answer.p, answer.n, "shared_memory_offset\x12\x02\x10\x08", 24));
    assert_non_null(memmem(answer.p, answer.n, "shared_memory_byte_size\x12\x02\x10\x04", 27));
    assert_memory_equal(answer.p + answer.n - 2, "\x32\x00", 2); /* its place among the raw ones */
    fake_fini(&fake);
}

static void typed_answers_where_the_listener_says_so(void **state)
{
    (void)state;
    struct tern_listener_info listener = {.grpc_form = TERN_GRPC_FORM_KSERVE};
    int16_t values[] = {-1, 300};
    struct tern_tensor outputs[] = {
        {.name = {"y", 1},
         .dtype = TERN_DTYPE_INT16,
         .shape = {1, {2}},
         .data = values,
         .n_bytes = 4},
        {.name = {"h", 1},
         .dtype = TERN_DTYPE_FP16,
         .shape = {1, {2}},
         .data = values,
         .n_bytes = 4},
    };
    static const char typed[] = "\x2a\x0e\x12\x0c\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\xac\x02";
    static const char raw[] = "\x32\x04\xff\xff\x2c\x01";
    struct fake_exchange fake;
    fake_init(&fake);
    fake.x.listener = &listener;
    struct tern_str answer = encoded(&fake, outputs, 1);
    assert_non_null(memmem(answer.p, answer.n, typed, sizeof(typed) - 1));
    assert_null(memmem(answer.p, answer.n, raw, sizeof(raw) - 1));
    answer = encoded(&fake, outputs, 2); /* half floats have no typed form: all go raw */
    assert_null(memmem(answer.p, answer.n, typed, sizeof(typed) - 1));
    assert_non_null(memmem(answer.p, answer.n, raw, sizeof(raw) - 1));
    fake.call.request.binary_default = true; /* raw in, raw out */
    answer = encoded(&fake, outputs, 1);
    assert_non_null(memmem(answer.p, answer.n, raw, sizeof(raw) - 1));
    fake.call.request.binary_default = false;
    listener.grpc_form = TERN_GRPC_FORM_TRITON;
    answer = encoded(&fake, outputs, 1);
    assert_non_null(memmem(answer.p, answer.n, raw, sizeof(raw) - 1));
    fake_fini(&fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_a_whole_request),
        cmocka_unit_test(raw_contents_may_come_first),
        cmocka_unit_test(the_timeout_is_the_deadline),
        cmocka_unit_test(reads_every_datatype),
        cmocka_unit_test(one_packed_list_of_floats_stays_where_it_lies),
        cmocka_unit_test(an_empty_tensor_needs_no_contents),
        cmocka_unit_test(shapes_may_come_unpacked),
        cmocka_unit_test(tensors_in_shared_memory_have_no_contents),
        cmocka_unit_test(raw_and_typed_do_not_mix),
        cmocka_unit_test(typed_contents_have_to_match),
        cmocka_unit_test(inputs_are_complete),
        cmocka_unit_test(outputs_are_named_once),
        cmocka_unit_test(parameters_have_one_value),
        cmocka_unit_test(lists_have_a_maximum),
        cmocka_unit_test(a_message_cut_anywhere_is_refused_or_smaller),
        cmocka_unit_test(the_first_raw_tensor_is_where_memory_is_aligned),
        cmocka_unit_test(writes_a_whole_answer),
        cmocka_unit_test(large_tensors_are_not_copied),
        cmocka_unit_test(an_output_in_shared_memory_only_says_where),
        cmocka_unit_test(typed_answers_where_the_listener_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
