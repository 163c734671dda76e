#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <zlib.h>
#include "base/mem.h"
#include "wire/decoder.h"
#include "wire/encoder.h"

static const enum tern_encoding codings[] = {TERN_ENCODING_GZIP, TERN_ENCODING_DEFLATE,
                                             TERN_ENCODING_ZSTD};

struct fixture {
    struct tern_encoder e;
    struct tern_decoder d;
    struct tern_buf packed;
    struct tern_buf plain;
    struct tern_err err;
    uint32_t ratio;
};

static int setup(void **state)
{
    static struct fixture f;
    tern_encoder_init(&f.e);
    tern_decoder_init(&f.d);
    f.ratio = TERN_DECODER_RATIO_DEFAULT;
    tern_buf_init(&f.packed, 1u << 24);
    tern_buf_init(&f.plain, 1u << 24);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    tern_encoder_fini(&f->e);
    tern_decoder_fini(&f->d);
    tern_buf_fini(&f->packed);
    tern_buf_fini(&f->plain);
    return 0;
}

static void pack(struct fixture *f, enum tern_encoding coding, struct tern_str text)
{
    struct iovec piece = {NULL, text.n};
    memcpy(&piece.iov_base, &text.p, sizeof(text.p));
    assert_int_equal(tern_encoder_run(&f->e, coding, &piece, 1, &f->packed, NULL), TERN_OK);
}

/* Decodes `in`, `step` bytes at a time. */
static enum tern_code unpack(struct fixture *f, enum tern_encoding coding, struct tern_str in,
                             size_t step, size_t max)
{
    struct tern_decoder_limits limits = {max, f->ratio};

    tern_buf_clear(&f->plain);
    f->err = (struct tern_err){.code = TERN_OK};
    TERN_TRY(tern_decoder_start(&f->d, coding, limits, &f->err));
    while (in.n > 0) {
        size_t n = in.n < step ? in.n : step;
        TERN_TRY(tern_decoder_feed(&f->d, tern_str_make(in.p, n), &f->plain, &f->err));
        in = tern_str_from(in, n);
    }
    return tern_decoder_finish(&f->d, &f->err);
}

static void any_split_gives_the_same_bytes(void **state)
{
    static const size_t steps[] = {1, 2, 3, 7, 64, 100000};
    struct tern_str text = TERN_STR("{\"inputs\":[{\"name\":\"x\",\"data\":[1.5,2.5,1.5,2.5]}]}");
    struct fixture *f = *state;

    for (size_t i = 0; i < TERN_COUNT_OF(codings); i++) {
        tern_buf_clear(&f->packed);
        pack(f, codings[i], text);
        for (size_t k = 0; k < TERN_COUNT_OF(steps); k++) {
            assert_int_equal(unpack(f, codings[i], tern_buf_str(&f->packed), steps[k], text.n),
                             TERN_OK);
            assert_true(tern_str_eq(tern_buf_str(&f->plain), text));
        }
    }
}

static void every_truncation_is_refused(void **state)
{
    struct tern_str text = TERN_STR("a body that is cut short somewhere in its middle");
    struct fixture *f = *state;

    for (size_t i = 0; i < TERN_COUNT_OF(codings); i++) {
        tern_buf_clear(&f->packed);
        pack(f, codings[i], text);
        for (size_t n = 1; n < f->packed.n; n++) {
            struct tern_str cut = tern_str_make(f->packed.p, n);
            assert_int_equal(unpack(f, codings[i], cut, n, 1000), TERN_INVALID_ARGUMENT);
            assert_int_equal(tern_err_http_status(&f->err), 400);
        }
        assert_int_equal(unpack(f, codings[i], tern_str_make(NULL, 0), 1, 1000), TERN_OK);
        assert_int_equal(f->plain.n, 0);
    }
}

static void bytes_after_the_end_are_refused(void **state)
{
    struct fixture *f = *state;

    for (size_t i = 0; i < TERN_COUNT_OF(codings); i++) {
        static const size_t steps[] = {1, 100000};
        tern_buf_clear(&f->packed);
        pack(f, codings[i], TERN_STR("short"));
        TERN_BUF_ADD_LITERAL(&f->packed, "xxxx");
        for (size_t k = 0; k < TERN_COUNT_OF(steps); k++)
            assert_int_equal(unpack(f, codings[i], tern_buf_str(&f->packed), steps[k], 1000),
                             TERN_INVALID_ARGUMENT);
    }
}

static void members_and_frames_are_joined(void **state)
{
    static const enum tern_encoding joinable[] = {TERN_ENCODING_GZIP, TERN_ENCODING_ZSTD};
    struct fixture *f = *state;

    for (size_t i = 0; i < TERN_COUNT_OF(joinable); i++) {
        tern_buf_clear(&f->packed);
        pack(f, joinable[i], TERN_STR("one,"));
        pack(f, joinable[i], TERN_STR("two"));
        for (size_t step = 1; step < 80; step++) {
            assert_int_equal(unpack(f, joinable[i], tern_buf_str(&f->packed), step, 7), TERN_OK);
            assert_true(tern_str_eq(tern_buf_str(&f->plain), TERN_STR("one,two")));
        }
    }
}

static void raw_deflate_is_tolerated(void **state)
{
    struct fixture *f = *state;
    struct tern_str text = TERN_STR("raw deflate without the zlib wrapper");

    tern_buf_clear(&f->packed);
    pack(f, TERN_ENCODING_DEFLATE, text);
    struct tern_str raw = tern_str_make(f->packed.p + 2, f->packed.n - 2 - 4);
    for (size_t step = 1; step <= raw.n; step++) {
        assert_int_equal(unpack(f, TERN_ENCODING_DEFLATE, raw, step, text.n), TERN_OK);
        assert_true(tern_str_eq(tern_buf_str(&f->plain), text));
    }
}

static void a_damaged_checksum_is_refused(void **state)
{
    struct fixture *f = *state;

    tern_buf_clear(&f->packed);
    pack(f, TERN_ENCODING_GZIP, TERN_STR("checked"));
    f->packed.p[f->packed.n - 6] ^= 1;
    assert_int_equal(unpack(f, TERN_ENCODING_GZIP, tern_buf_str(&f->packed), 9, 1000),
                     TERN_INVALID_ARGUMENT);
    tern_buf_clear(&f->packed);
    pack(f, TERN_ENCODING_DEFLATE, TERN_STR("checked"));
    f->packed.p[f->packed.n - 1] ^= 1;
    assert_int_equal(unpack(f, TERN_ENCODING_DEFLATE, tern_buf_str(&f->packed), 9, 1000),
                     TERN_INVALID_ARGUMENT);
}

static void max_is_exact(void **state)
{
    static const size_t sizes[] = {1, 100, 4096, 70000, 262144, 300000};
    static char text[300001];
    struct fixture *f = *state;

    uint32_t seed = 1;
    for (size_t i = 0; i < sizeof(text); i++) {
        seed = seed * 1664525u + 1013904223u;
        text[i] = (char)('a' + (seed >> 24) % 23);
    }
    for (size_t i = 0; i < TERN_COUNT_OF(codings); i++) {
        for (size_t k = 0; k < TERN_COUNT_OF(sizes); k++) {
            tern_buf_clear(&f->packed);
            pack(f, codings[i], tern_str_make(text, sizes[k]));
            struct tern_str in = tern_buf_str(&f->packed);
            assert_int_equal(unpack(f, codings[i], in, 1000, sizes[k]), TERN_OK);
            assert_true(tern_str_eq(tern_buf_str(&f->plain), tern_str_make(text, sizes[k])));
            assert_int_equal(unpack(f, codings[i], in, 1000, sizes[k] - 1),
                             TERN_RESOURCE_EXHAUSTED);
            assert_int_equal(tern_err_http_status(&f->err), 413);
        }
    }
    assert_int_equal(unpack(f, TERN_ENCODING_IDENTITY, TERN_STR("abc"), 2, 3), TERN_OK);
    assert_int_equal(unpack(f, TERN_ENCODING_IDENTITY, TERN_STR("abcd"), 2, 3),
                     TERN_RESOURCE_EXHAUSTED);
}

static void a_bomb_stops_at_the_ratio(void **state)
{
    static char zeros[8u << 20];
    struct fixture *f = *state;

    for (size_t i = 0; i < TERN_COUNT_OF(codings); i++) {
        tern_buf_clear(&f->packed);
        pack(f, codings[i], tern_str_make(zeros, sizeof(zeros)));
        assert_int_equal(
            unpack(f, codings[i], tern_buf_str(&f->packed), f->packed.n, sizeof(zeros)),
            TERN_RESOURCE_EXHAUSTED);
        assert_int_equal(tern_err_http_status(&f->err), 413);
        assert_non_null(strstr(f->err.text, "100 times"));
        assert_true(f->plain.n < 3u << 20);
        f->ratio = 10000;
        assert_int_equal(
            unpack(f, codings[i], tern_buf_str(&f->packed), f->packed.n, sizeof(zeros)),
            codings[i] == TERN_ENCODING_ZSTD ? TERN_RESOURCE_EXHAUSTED : TERN_OK);
        f->ratio = TERN_DECODER_RATIO_DEFAULT;
        /* The same zeros in a small body are honest. */
        tern_buf_clear(&f->packed);
        pack(f, codings[i], tern_str_make(zeros, TERN_DECODER_RATIO_FLOOR));
        assert_int_equal(unpack(f, codings[i], tern_buf_str(&f->packed), 1000, 2u << 20), TERN_OK);
    }
}

static void a_huge_zstd_window_is_refused(void **state)
{
    /* RFC 8878 3.1.1.1: magic, a frame header with only a window descriptor of 2^31 bytes. */
    static const char frame[] = "\x28\xb5\x2f\xfd\x00\xa8\x01\x00\x00";
    struct fixture *f = *state;

    assert_int_equal(
        unpack(f, TERN_ENCODING_ZSTD, tern_str_make(frame, sizeof(frame) - 1), 100, 1000),
        TERN_INVALID_ARGUMENT);
}

static void the_callers_buffer_bounds_too(void **state)
{
    struct fixture *f = *state;
    struct tern_buf small;

    tern_buf_init(&small, 4);
    tern_buf_clear(&f->packed);
    pack(f, TERN_ENCODING_GZIP, TERN_STR("longer than four"));
    assert_int_equal(
        tern_decoder_start(&f->d, TERN_ENCODING_GZIP,
                           (struct tern_decoder_limits){1000, TERN_DECODER_RATIO_DEFAULT}, NULL),
        TERN_OK);
    assert_int_equal(tern_decoder_feed(&f->d, tern_buf_str(&f->packed), &small, &f->err),
                     TERN_RESOURCE_EXHAUSTED);
    tern_buf_fini(&small);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(any_split_gives_the_same_bytes, setup, teardown),
        cmocka_unit_test_setup_teardown(every_truncation_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(bytes_after_the_end_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(members_and_frames_are_joined, setup, teardown),
        cmocka_unit_test_setup_teardown(raw_deflate_is_tolerated, setup, teardown),
        cmocka_unit_test_setup_teardown(a_damaged_checksum_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(max_is_exact, setup, teardown),
        cmocka_unit_test_setup_teardown(a_bomb_stops_at_the_ratio, setup, teardown),
        cmocka_unit_test_setup_teardown(a_huge_zstd_window_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(the_callers_buffer_bounds_too, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
