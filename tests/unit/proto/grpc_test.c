/* gRPC's framing, both ways, without a connection. */
// covers: proto/grpc_answer
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "harness/fake_exchange.h"
#include "proto/grpc.h"
#include "wire/base64.h"
#include "wire/decoder.h"
#include "wire/encoder.h"
#include "wire/grpc.h"
#include "wire/pb.h"

#define BODY_MAX 100000

static void setup(struct fake_exchange *fake, const char *content_type)
{
    fake_init(fake);
    fake->x.content_type = tern_str_of(content_type);
    fake->x.http_major = 2;
    fake->x.body_max = BODY_MAX;
    fake->x.start_ns = 1000;
}

static enum tern_code next(struct fake_exchange *fake, struct tern_str *message, size_t *used,
                           size_t *need, struct tern_err *err)
{
    return tern_grpc_framing.next(&fake->x, &fake->arena, message, used, need, err);
}

static void expect_refused(struct fake_exchange *fake, enum tern_code want, const char *text)
{
    struct tern_err err = {0};
    struct tern_str message;
    size_t used, need;
    assert_int_equal(next(fake, &message, &used, &need, &err), want);
    if (strstr(err.text, text) == NULL)
        fail_msg("expected '%s' in '%s'", text, err.text);
}

static struct tern_str header(const struct fake_exchange *fake, const char *name)
{
    for (uint32_t i = 0; i < fake->x.n_response_headers; i++) {
        if (tern_str_eq(fake->x.response_headers[i].name, tern_str_of(name)))
            return fake->x.response_headers[i].value;
    }
    return tern_str_make(NULL, 0);
}

static struct tern_str trailer(const struct fake_exchange *fake, const char *name)
{
    for (uint32_t i = 0; i < fake->x.n_response_trailers; i++) {
        if (tern_str_eq(fake->x.response_trailers[i].name, tern_str_of(name)))
            return fake->x.response_trailers[i].value;
    }
    return tern_str_make(NULL, 0);
}

#define EXPECT_STR(s, literal) assert_true(tern_str_eq((s), TERN_STR(literal)))

/* -- requests ----------------------------------------------------------------------------- */

static void messages_are_cut_in_place(void **state)
{
    (void)state;
    static const char bytes[] = "\0\0\0\0\5hello\0\0\0\0\0\0\0\0\0\3abc";
    struct fake_exchange fake;
    struct tern_str message;
    size_t used, need;
    setup(&fake, "application/grpc");
    fake_body(&fake, bytes, sizeof(bytes) - 1);
    assert_int_equal(next(&fake, &message, &used, &need, NULL), TERN_OK);
    assert_int_equal(used, 10);
    EXPECT_STR(message, "hello");
    assert_ptr_equal(message.p, fake.body + 5);
    tern_exchange_take(&fake.x, used);
    assert_int_equal(next(&fake, &message, &used, &need, NULL), TERN_OK);
    assert_int_equal(used, 5);
    assert_int_equal(message.n, 0);
    tern_exchange_take(&fake.x, used);
    assert_int_equal(next(&fake, &message, &used, &need, NULL), TERN_OK);
    EXPECT_STR(message, "abc");
    fake_fini(&fake);
}

static void a_part_of_a_message_says_what_it_needs(void **state)
{
    (void)state;
    struct fake_exchange fake;
    struct tern_str message;
    size_t used, need;
    setup(&fake, "application/grpc+proto");
    for (size_t n = 0; n < 10; n++) {
        fake_body(&fake, "\0\0\0\0\5hello", n);
        assert_int_equal(next(&fake, &message, &used, &need, NULL), TERN_OK);
        assert_int_equal(used, 0);
        assert_int_equal(need, n < 5 ? 5 : 10);
    }
    fake_fini(&fake);
}

static void content_types_are_told_apart(void **state)
{
    (void)state;
    static const struct {
        const char *type;
        bool claimed, served;
    } rows[] = {
        {"application/grpc", true, true},       {"application/grpc+proto", true, true},
        {"Application/GRPC", true, true},       {"application/grpc;charset=utf-8", true, true},
        {"application/grpc-web", true, true},   {"application/grpc-web+proto", true, true},
        {"application/grpc+json", true, false}, {"application/grpc-web+thrift", true, false},
        {"application/json", false, false},     {"", false, false},
    };
    for (size_t i = 0; i < TERN_COUNT_OF(rows); i++) {
        struct fake_exchange fake;
        struct tern_err err = {0};
        struct tern_str message;
        size_t used, need;
        setup(&fake, rows[i].type);
        fake_body(&fake, "\0\0\0\0\0", 5);
        assert_int_equal(tern_grpc_claims(&fake.x), rows[i].claimed);
        enum tern_code code = next(&fake, &message, &used, &need, &err);
        assert_int_equal(code, rows[i].served ? TERN_OK : TERN_UNIMPLEMENTED);
        if (!rows[i].served)
            assert_int_equal(tern_err_http_status(&err), 415);
        fake_fini(&fake);
    }
}

static void grpc_over_http1_is_refused_clearly(void **state)
{
    (void)state;
    struct fake_exchange fake;
    struct tern_err err;
    setup(&fake, "application/grpc");
    fake.x.http_major = 1;
    fake_body(&fake, "\0\0\0\0\0", 5);
    expect_refused(&fake, TERN_UNIMPLEMENTED, "gRPC needs HTTP/2");
    tern_fail_http(&err, TERN_UNIMPLEMENTED, 505, "gRPC needs HTTP/2");
    tern_grpc_encode_error(&fake.x, &err);
    assert_int_equal(fake.x.status, 505);
    EXPECT_STR(fake_response(&fake), "gRPC needs HTTP/2\n");
    assert_null(header(&fake, "grpc-status").p);
    fake_fini(&fake);
}

static void a_message_too_large_names_both_sizes(void **state)
{
    (void)state;
    struct fake_exchange fake;
    setup(&fake, "application/grpc");
    fake_body(&fake, "\0\0\1\x86\xa1", 5);
    expect_refused(&fake, TERN_RESOURCE_EXHAUSTED,
                   "the message has 100001 bytes, more than the 100000 allowed");
    fake_body(&fake, "\0\xff\xff\xff\xff", 5);
    expect_refused(&fake, TERN_RESOURCE_EXHAUSTED, "the message has 4294967295 bytes");
    fake_body(&fake, "\x82\0\0\0\0", 5);
    expect_refused(&fake, TERN_INTERNAL, "unknown flags 0x82");
    fake_fini(&fake);
}

static struct tern_buf pack(enum tern_encoding encoding, size_t n)
{
    struct tern_encoder encoder;
    struct tern_buf plain, out;
    tern_buf_init(&plain, n + 1);
    tern_buf_init(&out, 1u << 20);
    tern_buf_add(&out, "\1\0\0\0\0", 5);
    while (plain.n < n)
        tern_buf_add_char(&plain, (char)('a' + plain.n % 7));
    struct iovec piece = {plain.p, plain.n};
    tern_encoder_init(&encoder);
    assert_int_equal(tern_encoder_run(&encoder, encoding, &piece, 1, &out, NULL), TERN_OK);
    tern_encoder_fini(&encoder);
    tern_buf_fini(&plain);
    tern_grpc_write_prefix((struct tern_grpc_prefix){1, (uint32_t)(out.n - 5)}, out.p);
    return out;
}

static void compressed_messages_are_expanded_under_a_cap(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum tern_encoding encoding;
    } rows[] = {{"gzip", TERN_ENCODING_GZIP}, {"deflate", TERN_ENCODING_DEFLATE}};
    for (size_t i = 0; i < TERN_COUNT_OF(rows); i++) {
        struct fake_exchange fake;
        struct tern_str message;
        size_t used, need;
        setup(&fake, "application/grpc");
        fake_header(&fake, "grpc-encoding", rows[i].name);
        struct tern_buf packed = pack(rows[i].encoding, 5000);
        fake_body(&fake, packed.p, packed.n);
        assert_int_equal(next(&fake, &message, &used, &need, NULL), TERN_OK);
        assert_int_equal(used, packed.n);
        assert_int_equal(message.n, 5000);
        assert_int_equal(message.p[4999], 'a' + 4999 % 7);
        fake.x.body_max = 4999;
        expect_refused(&fake, TERN_RESOURCE_EXHAUSTED, "4999");
        fake.x.body_max = BODY_MAX;
        fake.body[packed.n - 1] ^= 1; /* its length mark, or its checksum */
        expect_refused(&fake, TERN_INVALID_ARGUMENT, "");
        tern_buf_fini(&packed);
        fake_fini(&fake);
    }
}

static void unknown_compression_is_unimplemented(void **state)
{
    (void)state;
    struct fake_exchange fake;
    setup(&fake, "application/grpc");
    fake_body(&fake, "\1\0\0\0\1x", 6);
    expect_refused(&fake, TERN_INTERNAL, "marked as compressed");
    fake_header(&fake, "grpc-encoding", "snappy");
    expect_refused(&fake, TERN_UNIMPLEMENTED, "grpc-encoding 'snappy' is not supported");
    EXPECT_STR(header(&fake, "grpc-accept-encoding"), "identity, gzip, deflate");
    fake_fini(&fake);
}

static void the_timeout_is_a_deadline(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        uint64_t before, after;
    } rows[] = {
        {"5u", 0, 6000}, {"5u", 2000, 2000},  {"5u", 7000, 6000},
        {"0n", 0, 1000}, {"99999999H", 0, 0}, {"99999999H", 8, 8},
    };
    for (size_t i = 0; i < TERN_COUNT_OF(rows); i++) {
        struct fake_exchange fake;
        setup(&fake, "application/grpc");
        fake.call.request.deadline_ns = rows[i].before;
        fake_header(&fake, "grpc-timeout", rows[i].value);
        assert_int_equal(tern_grpc_read_deadline(&fake.call, NULL), TERN_OK);
        assert_true(fake.call.request.deadline_ns == rows[i].after);
        fake_fini(&fake);
    }
    struct fake_exchange fake;
    setup(&fake, "application/grpc");
    assert_int_equal(tern_grpc_read_deadline(&fake.call, NULL), TERN_OK);
    assert_true(fake.call.request.deadline_ns == 0);
    fake_header(&fake, "grpc-timeout", "soon");
    assert_int_equal(tern_grpc_read_deadline(&fake.call, NULL), TERN_INVALID_ARGUMENT);
    fake_fini(&fake);
}

/* -- answers ------------------------------------------------------------------------------ */

/* A message of `n_out` bytes in the buffer and a slice of `n_slice`. */
static void answer(struct fake_exchange *fake, size_t n_out, size_t n_slice)
{
    struct tern_exchange *x = &fake->x;
    tern_grpc_framing.begin(&fake->call);
    for (size_t i = 0; i < n_out; i++)
        tern_buf_add_char(x->out, 'o');
    if (n_slice > 0) {
        char *p = tern_arena_alloc(&fake->arena, 1, n_slice);
        x->slices = tern_arena_alloc(&fake->arena, 8, sizeof(x->slices[0]));
        assert_true(p != NULL && x->slices != NULL);
        memset(p, 's', n_slice);
        x->slices[x->n_slices++] = (struct tern_slice){p, n_slice};
    }
    assert_int_equal(tern_grpc_framing.finish(&fake->call, NULL), TERN_OK);
    tern_grpc_framing.end(x, NULL, true);
}

static void a_message_has_its_prefix_and_trailers(void **state)
{
    (void)state;
    struct fake_exchange fake;
    setup(&fake, "application/grpc+proto");
    answer(&fake, 3, 2);
    assert_int_equal(fake.x.status, 200);
    EXPECT_STR(fake.x.response_type, "application/grpc+proto");
    EXPECT_STR(fake_response(&fake), "\0\0\0\0\5oooss");
    EXPECT_STR(trailer(&fake, "grpc-status"), "0");
    assert_int_equal(fake.x.n_response_trailers, 1);
    assert_int_equal(fake.x.n_response_headers, 0);
    fake_fini(&fake);
}

static void grpc_web_ends_with_a_frame_of_trailers(void **state)
{
    (void)state;
    struct fake_exchange fake;
    setup(&fake, "application/grpc-web+proto");
    fake.x.http_major = 1;
    fake_body(&fake, "\0\0\0\0\0", 5);
    answer(&fake, 1, 1);
    EXPECT_STR(fake.x.response_type, "application/grpc-web+proto");
    EXPECT_STR(fake_response(&fake), "\0\0\0\0\2os\x80\0\0\0\x10grpc-status: 0\r\n");
    assert_int_equal(fake.x.n_response_trailers, 0);
    answer(&fake, 1, 0);
    EXPECT_STR(fake_response(&fake), "\0\0\0\0\1o\x80\0\0\0\x10grpc-status: 0\r\n");
    fake_fini(&fake);
}

static void grpc_web_text_is_base64_both_ways(void **state)
{
    (void)state;
    struct fake_exchange fake;
    struct tern_str message;
    size_t used, need;
    setup(&fake, "application/grpc-web-text");
    fake_body(&fake, "AAAAAAVoZWxsbw==", 16);
    assert_int_equal(next(&fake, &message, &used, &need, NULL), TERN_OK);
    assert_int_equal(used, 16);
    EXPECT_STR(message, "hello");
    fake_body(&fake, "AAAAAAVoZWxs", 12);
    assert_int_equal(next(&fake, &message, &used, &need, NULL), TERN_OK);
    assert_int_equal(used, 0);
    fake_body(&fake, "AAAAAAAAAAAAAA==", 16); /* two messages */
    assert_int_equal(next(&fake, &message, &used, &need, NULL), TERN_OK);
    assert_true(used > 0 && used < 16);
    fake_body(&fake, "AAAA!", 5);
    expect_refused(&fake, TERN_INVALID_ARGUMENT, "base64");

    answer(&fake, 1, 1);
    struct tern_str text = fake_response(&fake);
    char bytes[64];
    size_t n;
    assert_int_equal(tern_base64_decode_pieces(text, bytes, &n, NULL), TERN_OK);
    EXPECT_STR(tern_str_make(bytes, n), "\0\0\0\0\2os\x80\0\0\0\x10grpc-status: 0\r\n");
    assert_true(text.p[text.n - 1] == '=' || text.n % 4 == 0);
    fake_fini(&fake);
}

static void answers_are_compressed_when_both_want_it(void **state)
{
    (void)state;
    struct tern_listener_info listener = {.grpc_compression = TERN_GRPC_COMPRESSION_HIGH};
    static const struct {
        const char *accepts;
        size_t n;
        bool said, compressed;
    } rows[] = {
        {"identity, gzip", 4000, true, true}, {"deflate", 4000, true, true},
        {"gzip", 100, true, false},           {"identity", 4000, false, false},
        {"br", 4000, false, false},
    };
    for (size_t i = 0; i < TERN_COUNT_OF(rows); i++) {
        struct fake_exchange fake;
        setup(&fake, "application/grpc");
        fake.x.listener = &listener;
        fake_header(&fake, "grpc-accept-encoding", rows[i].accepts);
        answer(&fake, rows[i].n / 2, rows[i].n / 2);
        answer(&fake, rows[i].n / 2, rows[i].n / 2); /* the second of a stream: said once */
        struct tern_str body = fake_response(&fake);
        assert_int_equal(header(&fake, "grpc-encoding").p != NULL, rows[i].said);
        assert_int_equal(fake.x.n_response_headers, rows[i].said);
        assert_int_equal(body.p[0], rows[i].compressed);
        if (rows[i].compressed) {
            struct tern_decoder decoder;
            struct tern_buf out;
            enum tern_encoding encoding = TERN_ENCODING_IDENTITY;
            tern_buf_init(&out, 10000);
            tern_decoder_init(&decoder);
            assert_int_equal(tern_encoding_parse(header(&fake, "grpc-encoding"), &encoding, NULL),
                             TERN_OK);
            struct tern_decoder_limits limits = {10000, 1000};
            assert_int_equal(tern_decoder_start(&decoder, encoding, limits, NULL), TERN_OK);
            assert_int_equal(tern_decoder_feed(&decoder, tern_str_from(body, 5), &out, NULL),
                             TERN_OK);
            assert_int_equal(tern_decoder_finish(&decoder, NULL), TERN_OK);
            assert_int_equal(out.n, rows[i].n);
            assert_true(out.p[0] == 'o' && out.p[out.n - 1] == 's');
            tern_decoder_fini(&decoder);
            tern_buf_fini(&out);
        } else {
            assert_int_equal(body.n, rows[i].n + 5);
        }
        fake_fini(&fake);
    }
}

/* -- errors ------------------------------------------------------------------------------- */

static void check_status(struct tern_str base64, const struct tern_err *err, size_t n_details)
{
    char bytes[2048];
    size_t n, found = 0;
    struct tern_pb pb;
    struct tern_pb_field field;
    bool more;
    assert_true(base64.n > 0 && base64.n < sizeof(bytes) && tern_str_find(base64, '=') == base64.n);
    assert_int_equal(tern_base64_decode_pieces(base64, bytes, &n, NULL), TERN_OK);
    tern_pb_init(&pb, tern_str_make(bytes, n));
    while (tern_pb_next(&pb, &field, &more, NULL) == TERN_OK && more) {
        if (field.number == 1)
            assert_int_equal(field.value, err->code);
        if (field.number == 2)
            assert_true(tern_str_eq(field.bytes, tern_str_of(err->text)));
        found += field.number == 3;
    }
    assert_false(more);
    assert_int_equal(found, n_details);
}

static void an_error_is_trailers_only(void **state)
{
    (void)state;
    struct fake_exchange fake;
    struct tern_err err;
    setup(&fake, "application/grpc");
    tern_exchange_add_trailer(&fake.x, TERN_STR("grpc-status"), TERN_STR("0"));
    tern_fail(&err, TERN_NOT_FOUND, "no model 'caf\xc3\xa9'");
    tern_grpc_encode_error(&fake.x, &err);
    assert_int_equal(fake.x.status, 200);
    EXPECT_STR(fake.x.response_type, "application/grpc");
    assert_int_equal(fake_response(&fake).n, 0);
    assert_int_equal(fake.x.n_response_trailers, 0);
    EXPECT_STR(header(&fake, "grpc-status"), "5");
    EXPECT_STR(header(&fake, "grpc-message"), "no model 'caf%C3%A9'");
    check_status(header(&fake, "grpc-status-details-bin"), &err, 0);
    fake_fini(&fake);
}

static void what_may_be_tried_again_says_so(void **state)
{
    (void)state;
    struct fake_exchange fake;
    struct tern_err err;
    setup(&fake, "application/grpc");
    tern_fail(&err, TERN_UNAVAILABLE, "busy");
    tern_grpc_encode_error(&fake.x, &err);
    EXPECT_STR(header(&fake, "grpc-status"), "14");
    check_status(header(&fake, "grpc-status-details-bin"), &err, 2);
    fake_fini(&fake);
    setup(&fake, "application/grpc");
    tern_fail_http(&err, TERN_RESOURCE_EXHAUSTED, 413, "too large"); /* and stays so */
    tern_grpc_encode_error(&fake.x, &err);
    check_status(header(&fake, "grpc-status-details-bin"), &err, 0);
    fake_fini(&fake);
}

static void a_stream_that_fails_ends_in_trailers(void **state)
{
    (void)state;
    struct fake_exchange fake;
    struct tern_err err;
    tern_fail(&err, TERN_CANCELLED, "gone");
    setup(&fake, "application/grpc");
    tern_exchange_body(&fake.x);
    tern_grpc_framing.end(&fake.x, &err, true);
    EXPECT_STR(trailer(&fake, "grpc-status"), "1");
    EXPECT_STR(trailer(&fake, "grpc-message"), "gone");
    assert_int_equal(fake.x.n_response_headers, 0);
    fake_fini(&fake);

    setup(&fake, "application/grpc");
    tern_grpc_framing.end(&fake.x, &err, false);
    EXPECT_STR(header(&fake, "grpc-status"), "1");
    assert_int_equal(fake.x.n_response_trailers, 0);
    fake_fini(&fake);

    setup(&fake, "application/grpc-web");
    tern_exchange_body(&fake.x);
    tern_grpc_framing.end(&fake.x, &err, true);
    struct tern_str body = fake_response(&fake);
    assert_true(body.n > 5 && (unsigned char)body.p[0] == TERN_GRPC_TRAILERS);
    assert_true(
        tern_str_starts(tern_str_from(body, 5), TERN_STR("grpc-status: 1\r\ngrpc-message: gone\r\n"
                                                         "grpc-status-details-bin: ")));
    assert_int_equal((unsigned char)body.p[4], body.n - 5);
    fake_fini(&fake);
}

static void without_memory_the_number_is_left(void **state)
{
    (void)state;
    struct fake_exchange fake;
    struct tern_err err;
    setup(&fake, "application/grpc");
    fake.arena.max = fake.arena.used;
    tern_fail(&err, TERN_INTERNAL, "text");
    tern_grpc_encode_error(&fake.x, &err);
    assert_int_equal(fake.x.n_response_headers, 1);
    EXPECT_STR(header(&fake, "grpc-status"), "13");
    fake_fini(&fake);
}

static void no_grpc_no_grpc_error(void **state)
{
    (void)state;
    struct fake_exchange fake;
    struct tern_err err;
    setup(&fake, "application/json");
    tern_fail_http(&err, TERN_UNIMPLEMENTED, 415, "not this");
    tern_grpc_encode_error(&fake.x, &err);
    assert_int_equal(fake.x.status, 415);
    EXPECT_STR(fake.x.response_type, "text/plain; charset=utf-8");
    EXPECT_STR(fake_response(&fake), "not this\n");
    fake_fini(&fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_are_cut_in_place),
        cmocka_unit_test(a_part_of_a_message_says_what_it_needs),
        cmocka_unit_test(content_types_are_told_apart),
        cmocka_unit_test(grpc_over_http1_is_refused_clearly),
        cmocka_unit_test(a_message_too_large_names_both_sizes),
        cmocka_unit_test(compressed_messages_are_expanded_under_a_cap),
        cmocka_unit_test(unknown_compression_is_unimplemented),
        cmocka_unit_test(the_timeout_is_a_deadline),
        cmocka_unit_test(a_message_has_its_prefix_and_trailers),
        cmocka_unit_test(grpc_web_ends_with_a_frame_of_trailers),
        cmocka_unit_test(grpc_web_text_is_base64_both_ways),
        cmocka_unit_test(answers_are_compressed_when_both_want_it),
        cmocka_unit_test(an_error_is_trailers_only),
        cmocka_unit_test(what_may_be_tried_again_says_so),
        cmocka_unit_test(a_stream_that_fails_ends_in_trailers),
        cmocka_unit_test(without_memory_the_number_is_left),
        cmocka_unit_test(no_grpc_no_grpc_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
