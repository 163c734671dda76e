// wrap: tern_mem_alloc tern_mem_zalloc tern_mem_realloc tern_mem_alloc_aligned
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "harness/mem_fails.h"
#include "wire/decoder.h"
#include "wire/encoder.h"

static const enum tern_encoding codings[] = {TERN_ENCODING_GZIP, TERN_ENCODING_DEFLATE,
                                             TERN_ENCODING_ZSTD};
static char text[300000];

static void fill_text(void)
{
    uint32_t seed = 7;
    for (size_t i = 0; i < sizeof(text); i++) {
        seed = seed * 1664525u + 1013904223u;
        text[i] = "0123456789,."[(seed >> 24) % 12];
    }
}

static enum tern_code round_trip(struct tern_encoder *e, struct tern_decoder *d,
                                 enum tern_encoding coding, const struct iovec *pieces, size_t n,
                                 struct tern_buf *packed, struct tern_buf *plain)
{
    tern_buf_clear(packed);
    tern_buf_clear(plain);
    TERN_TRY(tern_encoder_run(e, coding, pieces, n, packed, NULL));
    TERN_TRY(tern_decoder_start(
        d, coding, (struct tern_decoder_limits){sizeof(text), TERN_DECODER_RATIO_DEFAULT}, NULL));
    TERN_TRY(tern_decoder_feed(d, tern_buf_str(packed), plain, NULL));
    return tern_decoder_finish(d, NULL);
}

static void pieces_come_back_and_state_is_reused(void **state)
{
    struct iovec pieces[] = {{text, 10}, {text + 10, 0}, {text + 10, sizeof(text) - 10}};
    struct tern_encoder e;
    struct tern_decoder d;
    struct tern_buf packed;
    struct tern_buf plain;
    (void)state;

    tern_encoder_init(&e);
    tern_decoder_init(&d);
    tern_buf_init(&packed, 1u << 20);
    tern_buf_init(&plain, 1u << 20);
    for (int round = 0; round < 3; round++) {
        mem_calls = 0;
        for (size_t i = 0; i < TERN_COUNT_OF(codings); i++) {
            assert_int_equal(round_trip(&e, &d, codings[i], pieces, 3, &packed, &plain), TERN_OK);
            assert_true(tern_str_eq(tern_buf_str(&plain), tern_str_make(text, sizeof(text))));
            assert_true(packed.n < sizeof(text) * 7 / 10);
        }
        if (round > 0)
            assert_int_equal(mem_calls, 0);
    }
    tern_encoder_fini(&e);
    tern_decoder_fini(&d);
    tern_buf_fini(&packed);
    tern_buf_fini(&plain);
}

static void an_empty_body_has_a_valid_form(void **state)
{
    struct tern_encoder e;
    struct tern_decoder d;
    struct tern_buf packed;
    struct tern_buf plain;
    (void)state;

    tern_encoder_init(&e);
    tern_decoder_init(&d);
    tern_buf_init(&packed, 4096);
    tern_buf_init(&plain, 4096);
    for (size_t i = 0; i < TERN_COUNT_OF(codings); i++) {
        assert_int_equal(round_trip(&e, &d, codings[i], NULL, 0, &packed, &plain), TERN_OK);
        assert_true(packed.n > 0);
        assert_int_equal(plain.n, 0);
    }
    tern_encoder_fini(&e);
    tern_decoder_fini(&d);
    tern_buf_fini(&packed);
    tern_buf_fini(&plain);
}

static void a_full_buffer_is_cut_back(void **state)
{
    struct iovec piece = {text, sizeof(text)};
    struct tern_encoder e;
    struct tern_buf out;
    (void)state;

    tern_encoder_init(&e);
    tern_buf_init(&out, 20000);
    for (size_t i = 0; i < TERN_COUNT_OF(codings); i++) {
        struct tern_err err;
        tern_buf_clear(&out);
        TERN_BUF_ADD_LITERAL(&out, "head");
        assert_int_equal(tern_encoder_run(&e, codings[i], &piece, 1, &out, &err),
                         TERN_RESOURCE_EXHAUSTED);
        assert_int_equal(out.n, 4);
    }
    tern_encoder_fini(&e);
    tern_buf_fini(&out);
}

static void every_allocation_may_fail(void **state)
{
    struct iovec piece = {text, 5000};
    (void)state;
    for (size_t i = 0; i < TERN_COUNT_OF(codings); i++) {
        long at = 0;
        for (;; at++) {
            struct tern_encoder e;
            struct tern_decoder d;
            struct tern_buf packed;
            struct tern_buf plain;
            tern_encoder_init(&e);
            tern_decoder_init(&d);
            tern_buf_init(&packed, 1u << 20);
            tern_buf_init(&plain, 1u << 20);
            mem_calls = 0;
            mem_fail_at = at;
            enum tern_code code = round_trip(&e, &d, codings[i], &piece, 1, &packed, &plain);
            mem_fail_at = -1;
            if (code == TERN_OK)
                assert_true(tern_str_eq(tern_buf_str(&plain), tern_str_make(text, 5000)));
            tern_encoder_fini(&e);
            tern_decoder_fini(&d);
            tern_buf_fini(&packed);
            tern_buf_fini(&plain);
            if (mem_calls <= at) {
                assert_int_equal(code, TERN_OK);
                break;
            }
        }
        assert_true(at >= 4); /* two states and two buffers at the least */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_come_back_and_state_is_reused),
        cmocka_unit_test(an_empty_body_has_a_valid_form),
        cmocka_unit_test(a_full_buffer_is_cut_back),
        cmocka_unit_test(every_allocation_may_fail),
    };
    fill_text();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
