/* The reader and the writer of JSON numbers, at every level that this machine has: each test runs
 * once for "portable", "avx2" and "avx512". strtod and printf are the oracles. */
// covers: simd/decimal simd/numbers_read simd/numbers_read_x86 simd/numbers_scan
// covers: simd/numbers_scan_x86 simd/numbers_window_x86 simd/numbers_write simd/numbers_write_x86
// covers: simd/powers simd/simd simd/kernels_x86
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "simd/half.h"
#include "simd/numbers.h"
#include "simd/simd.h"

static uint64_t random_state = 0x9e3779b97f4a7c15u;

static uint64_t random_u64(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state * 0x2545f4914f6cdd1du;
}

/* A copy of the text with the promised pad behind it, filled so as to tempt a reader on. */
struct padded {
    char bytes[4096 + TERN_TEXT_PAD];
    struct tern_str text;
};

static struct tern_str pad(struct padded *p, const char *text)
{
    size_t n = strlen(text);
    assert_true(n <= 4096);
    memset(p->bytes, '7', sizeof(p->bytes));
    memcpy(p->bytes, text, n);
    p->text = tern_str_make(p->bytes, n);
    return p->text;
}

static void expect_error(enum tern_dtype dtype, const char *text, const char *part)
{
    struct padded p;
    struct tern_numbers_result result;
    struct tern_err err = {0};
    char out[4096];
    enum tern_code code = tern_numbers_read(dtype, pad(&p, text), out, 64, &result, &err);
    if (code != TERN_INVALID_ARGUMENT || strstr(err.text, part) == NULL)
        fail_msg("%s as %s: code %d, text \"%s\", expected \"%s\"", text, tern_dtype_name(dtype),
                 (int)code, err.text, part);
}

static void read_nested(void **state)
{
    static const struct {
        const char *text;
        size_t used, count;
        int rank;
        int64_t dim[4];
    } cases[] = {
        {"[]", 2, 0, 1, {0}},
        {" []" + 1, 2, 0, 1, {0}},
        {"[1]", 3, 1, 1, {1}},
        {"[ 1 , 2\t,\r\n3 ] tail", 14, 3, 1, {3}},
        {"[[1,2,3],[4,5,6]]", 17, 6, 2, {2, 3}},
        {"[[],[]]", 7, 0, 2, {2, 0}},
        {"[[[1],[2]],[[3],[4]],[[5],[6]]],1", 31, 6, 3, {3, 2, 1}},
        {"[ [ 1.0 , -2 ] , [ 1e2 , 4 ] ]", 30, 4, 2, {2, 2}},
        {"[[[[[[[[[[[[[[[[9]]]]]]]]]]]]]]]]", 33, 1, 16, {1, 1, 1, 1}},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct padded p;
        struct tern_numbers_result r;
        struct tern_err err = {0};
        int32_t out[64];
        if (tern_numbers_read(TERN_DTYPE_INT32, pad(&p, cases[i].text), out, 64, &r, &err) !=
            TERN_OK)
            fail_msg("%s: %s", cases[i].text, err.text);
        assert_int_equal(r.count, cases[i].count);
        assert_int_equal(r.used, cases[i].used);
        assert_int_equal(r.nest.rank, cases[i].rank);
        for (int d = 0; d < cases[i].rank && d < 4; d++)
            assert_int_equal(r.nest.dim[d], cases[i].dim[d]);
        if (i == 4)
            assert_memory_equal(out, ((int32_t[]){1, 2, 3, 4, 5, 6}), 24);
        if (i == 7)
            assert_memory_equal(out, ((int32_t[]){1, -2, 100, 4}), 16);
    }
}

static void refuse_malformed(void **state)
{
    static const struct {
        const char *text, *part;
    } cases[] = {
        {"[01]", "leading zero"},
        {"[-01]", "leading zero"},
        {"[+1]", "a number"},
        {"[.5]", "a number"},
        {"[1.]", "a digit after '.'"},
        {"[1.e3]", "a digit after '.'"},
        {"[1e]", "exponent"},
        {"[1e+]", "exponent"},
        {"[-]", "digit after '-'"},
        {"[1,]", "a number"},
        {"[,1]", "a number"},
        {"[1,,2]", "a number"},
        {"[1 2]", "',' or ']'"},
        {"[1.0.3]", "',' or ']'"},
        {"[0x10]", "',' or ']'"},
        {"[1-2]", "',' or ']'"},
        {"[--1]", "digit after '-'"},
        {"[NaN]", "NaN: send binary"},
        {"[1, -Infinity]", "-Infinity: send binary"},
        {"[Infinity]", "send binary"},
        {"[nul]", "got 'nul"},
        {"[\"1\"]", "got '\"1\"'"},
        {"[{}]", "got '{}'"},
        {"[true]", "got 'true'"},
        {"[1", "end of the text"},
        {"[1,", "end of the text"},
        {"[", "end of the text"},
        {"[[1,2]", "end of the text"},
        {"[[1,2],[3]]", "ragged"},
        {"[[1],2]", "ragged"},
        {"[1,[2]]", "ragged"},
        {"[[1],[[2]]]", "ragged"},
        {"[[],[1]]", "ragged"},
        {"[[[1]],[]]", "ragged"},
        {"[[1],[]]", "ragged"},
        {"[1}", "',' or ']'"},
        {"[1\xff]", "byte 0xff"},
        {"[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]", "deeper than 16"},
        {"[1,2,3,4,5,6,7,8,9,0,1,2,3,4,5,6,7,8,9,0,1,2,3,4,5,6,7,8,9,0,1,2,3,4,5,6,7,8,9,0,"
         "1,2,3,4,5,6,7,8,9,0,1,2,3,4,5,6,7,8,9,0,1,2,3,4,5]",
         "more elements than the 64"},
        {"", "'['"},
        {"1", "'['"},
        {"[1,2,x]", "element 2, byte 5"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        expect_error(TERN_DTYPE_FP32, cases[i].text, cases[i].part);
        expect_error(TERN_DTYPE_INT64, cases[i].text, cases[i].part);
    }
    expect_error(TERN_DTYPE_BYTES, "[1]", "BYTES");
}

/* What is missing among floats, alone and where vector kernels work; among others there is no such
 * thing. */
static void missing(void **state)
{
    static const enum tern_dtype dtypes[] = {TERN_DTYPE_FP32, TERN_DTYPE_FP64};
    char text[8192];

    (void)state;
    for (int at = 0; at < 400; at += 57) {
        size_t n = 1;
        text[0] = '[';
        for (int i = 0; i < 400; i++)
            n += (size_t)snprintf(text + n, sizeof(text) - n - 64, i == at ? "null," : "%d.25,", i);
        text[n - 1] = ']';
        memset(text + n, 0, 64);
        for (size_t d = 0; d < 2; d++) {
            double out[400];
            struct tern_numbers_result result;
            struct tern_err err = {.text = ""};
            enum tern_code code =
                tern_numbers_read(dtypes[d], tern_str_make(text, n), out, 400, &result, &err);
            assert_string_equal(err.text, "");
            assert_int_equal(code, TERN_OK);
            for (int i = 0; i < 400; i++) {
                double got = d == 0 ? (double)((float *)out)[i] : out[i];
                assert_true(i == at ? isnan(got) : got == i + 0.25);
            }
        }
    }
    expect_error(TERN_DTYPE_INT64, "[null]", "got 'null'");
    expect_error(TERN_DTYPE_BOOL, "[null]", "got 'null'");
}

/* The same defects in the middle of a long array, where vector kernels work. */
static void refuse_malformed_far(void **state)
{
    static const char *const bad[] = {
        "01",
        "-01",
        "+1",
        ".5",
        "1.",
        "1e",
        "-",
        "",
        "1 2",
        "1.2.3",
        "1-2",
        "--1",
        "NaN",
        "nul",
        "nulls",
        "1}",
        "[1]",
        "1]",
        "1\xff",
        "\"1\"",
        "1e5e5",
        "1.e5",
        "1..2",
        "00",
        "-00.5",
        "1,,2",
        "1e+-5",
        "e5",
        "-.5",
        "1e5.5",
        "1 .5",
        "1. 5",
        "- 1",
        "1 e5",
        "[]",
        "0 0",
        "[1,2",
        "1\xa0",
        "\xb1",
        "1\xac",
        "1\xae"
        "5",
        "\xad"
        "1",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        for (unsigned at = 0; at < 40; at++) {
            char text[4096] = "[";
            size_t n = 1;
            for (unsigned k = 0; k < 60; k++)
                n += (size_t)snprintf(text + n, sizeof(text) - n, "%s,",
                                      k == at + 10 ? bad[i] : "0.1234567");
            snprintf(text + n, sizeof(text) - n, "1.5]");
            struct padded p;
            struct tern_numbers_result r;
            struct tern_err err = {0};
            float out[128];
            if (tern_numbers_read(TERN_DTYPE_FP32, pad(&p, text), out, 128, &r, &err) == TERN_OK &&
                r.used == strlen(text))
                fail_msg("accepted \"%s\" in %s", bad[i], text);
        }
    }
}

static void integer_ranges(void **state)
{
    static const struct {
        enum tern_dtype dtype;
        const char *low, *high, *under, *over;
    } cases[] = {
        {TERN_DTYPE_INT8, "-128", "127", "-129", "128"},
        {TERN_DTYPE_INT16, "-32768", "32767", "-32769", "32768"},
        {TERN_DTYPE_INT32, "-2147483648", "2147483647", "-2147483649", "2147483648"},
        {TERN_DTYPE_INT64, "-9223372036854775808", "9223372036854775807", "-9223372036854775809",
         "9223372036854775808"},
        {TERN_DTYPE_UINT8, "-0", "255", "-1", "256"},
        {TERN_DTYPE_UINT16, "0", "65535", "-1", "65536"},
        {TERN_DTYPE_UINT32, "0", "4294967295", "-1", "4294967296"},
        {TERN_DTYPE_UINT64, "0", "18446744073709551615", "-1", "18446744073709551616"},
        {TERN_DTYPE_BOOL, "0", "1", "-1", "2"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[4096];
        struct padded p;
        struct tern_numbers_result r;
        struct tern_err err = {0};
        char out[64 * 8];
        char back[4096];
        size_t n = 0;
        n += (size_t)snprintf(text, sizeof(text), "[");
        for (int k = 0; k < 15; k++)
            n +=
                (size_t)snprintf(text + n, sizeof(text) - n, "%s,%s,", cases[i].low, cases[i].high);
        snprintf(text + n, sizeof(text) - n, "%s,%s]", cases[i].low, cases[i].high);
        if (tern_numbers_read(cases[i].dtype, pad(&p, text), out, 64, &r, &err) != TERN_OK)
            fail_msg("%s: %s", text, err.text);
        assert_int_equal(r.count, 32);
        if (cases[i].dtype != TERN_DTYPE_BOOL && cases[i].dtype != TERN_DTYPE_UINT8) {
            size_t length = tern_numbers_write(cases[i].dtype, out, 32, back);
            assert_int_equal(length, r.used - 2);
            assert_memory_equal(back, text + 1, length);
        }
        for (int which = 0; which < 2; which++) {
            const char *bad = which == 0 ? cases[i].under : cases[i].over;
            snprintf(text, sizeof(text), "[%s]", bad);
            expect_error(cases[i].dtype, text, "out of range");
            snprintf(text, sizeof(text),
                     "[0,1,0,1,0,1,0,1,0,1,0,1,0,1,0,1,0,1,0,1,%s,0,1,0,1,0,1,"
                     "0,1,0,1,0,1,0,1,0,1,0,1,0,1,0,1,0,1,0,1,0,1,0,1]",
                     bad);
            expect_error(cases[i].dtype, text, "element 20");
        }
    }
    expect_error(TERN_DTYPE_INT32, "[1.5]", "1.5 is out of range");
    expect_error(TERN_DTYPE_INT32, "[1e-1]", "out of range");
    expect_error(TERN_DTYPE_INT32, "[1e300]", "out of range");
    expect_error(TERN_DTYPE_INT32, "[100000000000000000000000000]", "out of range");
}

static void integers_in_float_form(void **state)
{
    struct padded p;
    struct tern_numbers_result r;
    int64_t out[16];
    static const int64_t want[] = {1, 100, -1000, 0, 0, 120, 1, INT64_MAX, 0};
    (void)state;
    assert_int_equal(
        tern_numbers_read(TERN_DTYPE_INT64,
                          pad(&p, "[1.0,1e2,-1E+3,0.0,0e999999999999999999999,1.20e2,10e-1,"
                                  "9223372036854775807.00000,-0]"),
                          out, 16, &r, NULL),
        TERN_OK);
    assert_int_equal(r.count, 9);
    assert_memory_equal(out, want, sizeof(want));
}

/* As binary tensors may: the text is the same as of aligned elements. */
static void numbers_at_odd_addresses(void **state)
{
    enum { ROW = 45 };
    static const enum tern_dtype dtypes[] = {TERN_DTYPE_UINT16, TERN_DTYPE_INT32, TERN_DTYPE_UINT64,
                                             TERN_DTYPE_FP16,   TERN_DTYPE_BF16,  TERN_DTYPE_FP32,
                                             TERN_DTYPE_FP64};
    (void)state;
    for (size_t k = 0; k < sizeof(dtypes) / sizeof(dtypes[0]); k++) {
        size_t n_bytes = ROW * tern_dtype_size(dtypes[k]);
        uint64_t aligned[ROW], room[ROW + 1];
        char want[ROW * 40], got[ROW * 40];
        for (size_t i = 0; i < ROW; i++)
            aligned[i] = random_u64();
        memcpy((char *)room + 1, aligned, n_bytes);
        for (size_t count = 1; count <= ROW; count++) {
            size_t n = tern_numbers_write(dtypes[k], aligned, count, want);
            assert_int_equal(tern_numbers_write(dtypes[k], (char *)room + 1, count, got), n);
            assert_memory_equal(got, want, n);
        }
    }
}

static void booleans(void **state)
{
    struct padded p;
    struct tern_numbers_result r;
    uint8_t out[16];
    char back[512];
    (void)state;
    assert_int_equal(
        tern_numbers_read(TERN_DTYPE_BOOL, pad(&p, "[[true,false],[1, 0]]"), out, 16, &r, NULL),
        TERN_OK);
    assert_int_equal(r.count, 4);
    assert_memory_equal(out, ((uint8_t[]){1, 0, 1, 0}), 4);
    size_t n = tern_numbers_write(TERN_DTYPE_BOOL, out, 4, back);
    assert_int_equal(n, 21);
    assert_memory_equal(back, "true,false,true,false", 21);
    expect_error(TERN_DTYPE_BOOL, "[tru]", "true or false");
    expect_error(TERN_DTYPE_BOOL, "[truex]", "',' or ']'");
}

/* Reads one number alone and among others; both must be the same bits as `want`. */
static void check_double(const char *token, double want)
{
    char text[4096];
    struct padded p;
    struct tern_numbers_result r;
    struct tern_err err = {0};
    double out[8];
    float single[8];
    snprintf(text, sizeof(text), "[%s,%s,1.25, %s,%s,0.5,%s]", token, token, token, token, token);
    if (tern_numbers_read(TERN_DTYPE_FP64, pad(&p, text), out, 8, &r, &err) != TERN_OK)
        fail_msg("%s: %s", text, err.text);
    for (int i = 0; i < 7; i++) {
        double expected = i == 2 ? 1.25 : i == 5 ? 0.5 : want;
        if (memcmp(&out[i], &expected, 8) != 0)
            fail_msg("%s read as %a, strtod says %a", token, out[i], expected);
    }
    if (fabs(want) > FLT_MAX)
        return;
    assert_int_equal(tern_numbers_read(TERN_DTYPE_FP32, p.text, single, 8, &r, &err), TERN_OK);
    float narrow = (float)want;
    for (int i = 0; i < 7; i++) {
        float expected = i == 2 ? 1.25f : i == 5 ? 0.5f : narrow;
        if (memcmp(&single[i], &expected, 4) != 0)
            fail_msg("%s read as %a, (float)strtod says %a", token, (double)single[i],
                     (double)expected);
    }
}

static void hard_doubles(void **state)
{
    static const char *const cases[] = {
        "0",
        "-0",
        "-0.0",
        "0.0e400",
        "9007199254740993",
        "9007199254740992.5",
        "9007199254740993.00000000000000000000000000000000001",
        "9007199254740995",
        "1e22",
        "1e23",
        "8.5e22",
        "123456789012345678901234567890",
        "0.000000000000000000000000000000000000012345",
        "2.2250738585072014e-308",
        "2.2250738585072011e-308",
        "2.2250738585072012e-308",
        "2.225073858507201136057409796709131975934819546351645648023426109724822222021076945516529"
        "523908135087914149158913039621106870086438694594645527657207407820621743379988141063267329"
        "253552286881372149012981122451451889849057222307285255133155755015914397476397983411801999"
        "323962548289017107081850690630666655994938275772572015763062690663332647565300009245888316"
        "433037779791869612049497390377829704905051080609940730262937128958950003583799967207254304"
        "360284078895771796150945516748243471030702609144621572289880258182545180325707018860872113"
        "128079512233426288368622321503775666622503982534335974568884423900265498198385487948292206"
        "894721689831099698365846814022854243330660339850886445804001034933970427567186443383770486"
        "037861622771738545623065874679014086723327636718751234567890123456789012345678901e-308",
        "7.038531e-26",
        "4.9406564584124654e-324",
        "2.4703282292062327e-324",
        "2.4703282292062328e-324",
        "2.47032822920623272088e-324",
        "1e-324",
        "1e-400",
        "1e-99999999999",
        "5e-324",
        "3e-324",
        "1.7976931348623157e308",
        "1.7976931348623158e308",
        "179769313486231570000000000000e279",
        "0.1",
        "0.2",
        "0.3",
        "1.1",
        "3.4028234663852886e38",
        "1.1754943508222875e-38",
        "1.401298464324817e-45",
        "7.006492321624085e-46",
        "7.006492321624086e-46",
        "1e-45",
        "16777217",
        "16777219",
        "16777217.0000001",
        "33554435",
        "0.000000059604644775390625",
        "0.00000005960464477539063",
        "1.00000005960464477539062",
        "1.00000005960464477539063",
        "1.00000017881393432617187",
        "100000000000000000000",
        "12345678901234567890",
        "18446744073709551615",
        "18446744073709551616",
        "99999999999999999999",
        "0.00000000000000000000000000000000000000000000000000000000000000000000000000000000000001",
        "1.00000000000000000000000000000000000000000000000000000000000000000000000000000000000001",
        "1000000000000000000000000000000000000000000000000000000000000000000000000000000000000e-83",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        double want = strtod(cases[i], NULL);
        check_double(cases[i], want);
    }
    expect_error(TERN_DTYPE_FP64, "[1e400]", "1e400 is out of range of FP64");
    expect_error(TERN_DTYPE_FP64, "[-1e309]", "out of range");
    expect_error(TERN_DTYPE_FP64, "[1e99999999999999999999]", "out of range");
    expect_error(TERN_DTYPE_FP64, "[1.7976931348623159e308]", "out of range");
    expect_error(TERN_DTYPE_FP32, "[3.4028236e38]", "out of range of FP32");
    expect_error(TERN_DTYPE_FP32, "[1,2,3,4,5,-1e39]", "element 5");
    expect_error(TERN_DTYPE_FP16, "[65520]", "out of range of FP16");
    expect_error(TERN_DTYPE_BF16, "[3.4e38]", "out of range of BF16");
}

static const char *const formats[] = {"%.17g", "%.9g",  "%.4f", "%.0f.0", "%.16e",
                                      "%.6g",  "%.20g", "%.3e", "%.12f",  "%.25g"};

static double random_double(unsigned kind)
{
    uint64_t bits = random_u64();
    double value;
    switch (kind % 4) {
    case 0: /* any bit pattern */
        do {
            memcpy(&value, &bits, 8);
            bits = random_u64();
        } while (!isfinite(value));
        return value;
    case 1:
        return (double)(bits >> 11) * 0x1p-53;
    case 2:
        return (double)(float)((double)(int64_t)bits * 0x1p-62);
    default:
        return (double)((int64_t)bits >> (bits & 63)) / 1000;
    }
}

/* Rows of random numbers, each row in one format: bit-equal to strtod, and to (float)strtod. */
static void random_doubles(void **state)
{
    enum { ROW = 512, ROWS = 2400 };
    static char text[ROW * 360 + TERN_TEXT_PAD];
    static double want[ROW], got[ROW];
    static float narrow[ROW];
    (void)state;
    for (unsigned row = 0; row < ROWS; row++) {
        const char *format = formats[row % 10];
        const char *comma = row % 3 == 0 ? "," : row % 3 == 1 ? ", " : " ,\n\t";
        size_t n = 1;
        bool fits_single = true;
        text[0] = '[';
        for (size_t i = 0; i < ROW; i++) {
            double value = random_double(row / 10);
            if (fabs(value) >= 1e300 || (strchr(format, 'f') != NULL && fabs(value) > 1e25))
                value = 0.5;
            char *token = text + n;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
            n += (size_t)snprintf(token, 350, format, value);
#pragma GCC diagnostic pop
            want[i] = strtod(token, NULL);
            fits_single = fits_single && fabs(want[i]) < 3.4e38;
            n += (size_t)snprintf(text + n, 8, "%s", i + 1 < ROW ? comma : "]");
        }
        memset(text + n, '1', TERN_TEXT_PAD);
        struct tern_numbers_result r;
        struct tern_err err = {0};
        if (tern_numbers_read(TERN_DTYPE_FP64, tern_str_make(text, n), got, ROW, &r, &err) !=
            TERN_OK)
            fail_msg("row %u: %s", row, err.text);
        assert_int_equal(r.count, ROW);
        assert_int_equal(r.used, n);
        for (size_t i = 0; i < ROW; i++) {
            if (memcmp(&want[i], &got[i], 8) != 0)
                fail_msg("format %s: %.25g read as %.25g", format, want[i], got[i]);
        }
        if (!fits_single)
            continue;
        assert_int_equal(
            tern_numbers_read(TERN_DTYPE_FP32, tern_str_make(text, n), narrow, ROW, &r, &err),
            TERN_OK);
        for (size_t i = 0; i < ROW; i++) {
            float single = (float)want[i];
            if (memcmp(&single, &narrow[i], 4) != 0)
                fail_msg("format %s: %.25g read as %a", format, want[i], (double)narrow[i]);
        }
    }
}

/* Nested rows of every width against flat reading, so that brackets fall on every byte offset. */
static void nested_rows(void **state)
{
    enum { COUNT = 720 };
    static char text[COUNT * 40 + TERN_TEXT_PAD];
    static float got[COUNT], want[COUNT];
    static const unsigned widths[] = {1, 2, 3, 4, 5, 6, 8, 9, 10, 12, 24, 45, 80};
    (void)state;
    for (size_t k = 0; k < sizeof(widths) / sizeof(widths[0]); k++) {
        for (unsigned style = 0; style < 6; style++) {
            size_t n = 1;
            text[0] = '[';
            for (unsigned i = 0; i < COUNT; i++) {
                double value = random_double(1) * (i % 7 == 0 ? -100 : 1);
                if (i % widths[k] == 0)
                    n += (size_t)snprintf(text + n, 8, style == 5 ? "\n  [" : "[");
                int length = style % 2 == 0   ? snprintf(text + n, 40, "%.4g", value)
                             : style % 3 == 1 ? snprintf(text + n, 40, "%d", (int)(value * 255))
                                              : snprintf(text + n, 40, "%.15g", value);
                want[i] = (float)strtod(text + n, NULL);
                n += (size_t)length;
                bool end = (i + 1) % widths[k] == 0;
                n += (size_t)snprintf(text + n, 8, "%s%s", end ? "]" : "",
                                      i + 1 == COUNT ? "]"
                                      : style < 3    ? ","
                                                     : ", ");
            }
            struct tern_numbers_result r;
            struct tern_err err = {0};
            if (tern_numbers_read(TERN_DTYPE_FP32, tern_str_make(text, n), got, COUNT, &r, &err) !=
                TERN_OK)
                fail_msg("width %u style %u: %s", widths[k], style, err.text);
            assert_int_equal(r.nest.rank, 2);
            assert_int_equal(r.nest.dim[0], COUNT / widths[k]);
            assert_int_equal(r.nest.dim[1], widths[k]);
            assert_int_equal(r.used, n);
            assert_memory_equal(got, want, sizeof(want));
            /* One number too many in a row is ragged; cap is never exceeded. */
            assert_int_equal(tern_numbers_read(TERN_DTYPE_FP32, tern_str_make(text, n), got,
                                               COUNT - 1, &r, NULL),
                             TERN_INVALID_ARGUMENT);
        }
    }
}

/* Every prefix of a text is unterminated, wherever it is cut. */
static void every_cut(void **state)
{
    const char *text = "[[0.5, 12345678, -3e5, 0.12345678901234567],[1,2,3,4],"
                       "[11,22,33,44],[55,66,77,88],[0.001,0.002,0.003,0.004],[9,8,7,6]]";
    struct padded p;
    struct tern_numbers_result r;
    double out[32];
    (void)state;
    for (size_t n = 0; n < strlen(text); n++) {
        pad(&p, text);
        memset(p.bytes + n, '1', 100);
        p.text.n = n;
        assert_int_equal(tern_numbers_read(TERN_DTYPE_FP64, p.text, out, 32, &r, NULL),
                         TERN_INVALID_ARGUMENT);
        assert_int_equal(tern_numbers_skip(p.text, 16), 0);
    }
    assert_int_equal(tern_numbers_read(TERN_DTYPE_FP64, pad(&p, text), out, 32, &r, NULL), TERN_OK);
    assert_int_equal(r.count, 24);
    assert_int_equal(tern_numbers_skip(p.text, 16), strlen(text));
    assert_true(tern_numbers_bound(p.text) >= 24);
}

static void all_integers(void **state)
{
    enum { ROW = 300 };
    static const enum tern_dtype dtypes[] = {
        TERN_DTYPE_UINT8,  TERN_DTYPE_INT8,  TERN_DTYPE_UINT16, TERN_DTYPE_INT16,
        TERN_DTYPE_UINT32, TERN_DTYPE_INT32, TERN_DTYPE_UINT64, TERN_DTYPE_INT64};
    (void)state;
    for (size_t k = 0; k < sizeof(dtypes) / sizeof(dtypes[0]); k++) {
        size_t size = tern_dtype_size(dtypes[k]);
        for (unsigned round = 0; round < 64; round++) {
            uint64_t in[ROW], out[ROW];
            static char text[ROW * 32 + 2 * TERN_TEXT_PAD];
            struct tern_numbers_result r;
            for (size_t i = 0; i < ROW; i++) {
                /* A signed shift spreads the lengths; little-endian keeps the low bytes. */
                int64_t v = (int64_t)random_u64() >> (random_u64() % (round + 1));
                memcpy((char *)in + i * size, &v, size);
            }
            text[0] = '[';
            size_t n = 1 + tern_numbers_write(dtypes[k], in, ROW, text + 1);
            assert_true(n < tern_numbers_write_bound(dtypes[k], ROW));
            text[n++] = ']';
            assert_int_equal(
                tern_numbers_read(dtypes[k], tern_str_make(text, n), out, ROW, &r, NULL), TERN_OK);
            assert_int_equal(r.count, ROW);
            assert_memory_equal(in, out, ROW * size);
            assert_int_equal(tern_numbers_bound(tern_str_make(text, n)), ROW);
        }
    }
}

static void skipping(void **state)
{
    static const struct {
        const char *text;
        size_t length;
        unsigned depth;
    } cases[] = {
        {"{}", 2, 1},           {"[[]]", 4, 2},
        {"[[]]", 0, 1},         {"{\"a]\":\"b\\\"]}\",\"c\":[1,2,{\"d\":[]}]} tail", 33, 4},
        {"\"a\\\"b\",1", 6, 1}, {"\"abc", 0, 1},
        {"\"abc\\", 0, 1},      {"12.5,3", 4, 1},
        {"true", 4, 1},         {"null}", 4, 1},
        {"[\"\\\\\"]x", 6, 1},  {"[\"\\\\\\\"]\"]x", 9, 1},
        {"[\"]", 0, 9},         {"", 0, 1},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        for (size_t before = 0; before < 70; before++) {
            /* The same value behind a growing string moves it over block borders. */
            char text[512] = "[\"";
            struct padded p;
            size_t n = 2;
            assert_int_equal(tern_numbers_skip(pad(&p, cases[i].text), cases[i].depth),
                             cases[i].length);
            if (cases[i].length == 0)
                break;
            memset(text + n, before % 2 == 0 ? 'x' : '[', before);
            n += before;
            n += (size_t)snprintf(text + n, sizeof(text) - n, "\",%.*s]", (int)cases[i].length,
                                  cases[i].text);
            snprintf(text + n, sizeof(text) - n, ",%s]]", cases[i].text);
            assert_int_equal(tern_numbers_skip(pad(&p, text), 9), n);
            assert_int_equal(tern_numbers_skip(tern_str_make(p.bytes, n - 1), 9), 0);
        }
    }
}

/* Digits of a printed number: without sign, point, exponent, leading and trailing zeros. */
static size_t digit_count(const char *text, size_t n)
{
    size_t count = 0;
    size_t zeros = 0;
    for (size_t i = 0; i < n && text[i] != 'e'; i++) {
        if (text[i] == '0' && count != 0)
            zeros++;
        if (text[i] >= '1' && text[i] <= '9') {
            count += zeros + 1;
            zeros = 0;
        }
    }
    return count;
}

static void check_f32(float value, const char *text, size_t n)
{
    char copy[64];
    memcpy(copy, text, n);
    copy[n] = '\0';
    char *end;
    float back = strtof(copy, &end);
    if (memcmp(&back, &value, 4) != 0 || *end != '\0')
        fail_msg("%a written as %s", (double)value, copy);
    if (strpbrk(copy, ".e") == NULL)
        fail_msg("%a written as %s, which reads as an integer", (double)value, copy);
    size_t digits = digit_count(text, n);
    if (digits > 1) {
        char shorter[512];
        snprintf(shorter, sizeof(shorter), "%.*g", (int)digits - 1, (double)value);
        if (strtof(shorter, NULL) == value)
            fail_msg("%s would do for %s", shorter, copy);
    }
}

static void write_floats(void **state)
{
    enum { ROW = 256, ROWS = 4400 };
    static float in[ROW];
    static char out[ROW * 32 + TERN_TEXT_PAD];
    (void)state;
    for (unsigned row = 0; row < ROWS; row++) {
        for (size_t i = 0; i < ROW; i++) {
            uint32_t bits = (uint32_t)random_u64();
            switch (row % 5) {
            case 0:
                bits &= 0x807fffffu; /* subnormal */
                break;
            case 1:
                bits &= 0xff800000u; /* a power of two */
                break;
            case 2:
                bits = (bits & 0x87ffffffu) | 0x38000000u; /* near one */
                break;
            default:
                break;
            }
            memcpy(&in[i], &bits, 4);
            if (row % 11 == 3)
                in[i] = (float)(int32_t)(bits >> (bits & 15)) / (float)(row % 3 == 0 ? 100 : 1);
        }
        size_t n = tern_numbers_write(TERN_DTYPE_FP32, in, ROW, out);
        const char *p = out;
        for (size_t i = 0; i < ROW; i++) {
            const char *end = memchr(p, ',', (size_t)(out + n - p));
            assert_true((end != NULL) == (i + 1 < ROW));
            size_t length = (size_t)((end == NULL ? out + n : end) - p);
            if (isfinite(in[i]))
                check_f32(in[i], p, length);
            else
                assert_true(length == 4 && memcmp(p, "null", 4) == 0);
            p += length + 1;
        }
    }
}

static void write_doubles(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 300000; i++) {
        double value = random_double(i);
        char out[32 + 1];
        size_t n = tern_numbers_write_double(value, out);
        assert_true(n < 32);
        out[n] = '\0';
        double back = strtod(out, NULL);
        if (memcmp(&back, &value, 8) != 0)
            fail_msg("%a written as %s", value, out);
        size_t digits = digit_count(out, n);
        if (digits > 1) {
            char shorter[512];
            snprintf(shorter, sizeof(shorter), "%.*g", (int)digits - 1, value);
            if (strtod(shorter, NULL) == value)
                fail_msg("%s would do for %s", shorter, out);
        }
    }
}

static void write_forms(void **state)
{
    static const struct {
        double value;
        const char *text;
    } cases[] = {
        {0, "0.0"},
        {-0.0, "-0.0"},
        {1, "1.0"},
        {-1.5, "-1.5"},
        {100, "100.0"},
        {0.1, "0.1"},
        {1e-4, "0.0001"},
        {1.5e-4, "0.00015"},
        {1e-5, "1e-5"},
        {1.25e-7, "1.25e-7"},
        {1e15, "1000000000000000.0"},
        {1e16, "1e16"},
        {123456, "123456.0"},
        {1e100, "1e100"},
        {1.5e300, "1.5e300"},
        {5e-324, "5e-324"},
        {1.7976931348623157e308, "1.7976931348623157e308"},
        {2.2250738585072014e-308, "2.2250738585072014e-308"},
        {1e22, "1e22"},
        {1e23, "1e23"},
        {9007199254740992, "9007199254740992.0"},
        {(double)NAN, "null"},
        {(double)-INFINITY, "null"},
        {-1234567890123456, "-1234567890123456.0"},
        {-0.00012345678901234567, "-0.00012345678901234567"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char out[96];
        size_t n = tern_numbers_write_double(cases[i].value, out);
        if (n != strlen(cases[i].text) || memcmp(out, cases[i].text, n) != 0)
            fail_msg("%a written as %.*s", cases[i].value, (int)n, out);
        float single = (float)cases[i].value;
        if (digit_count(cases[i].text, n) <= 7 &&
            ((double)single == cases[i].value || isnan(single))) {
            n = tern_numbers_write(TERN_DTYPE_FP32, &single, 1, out);
            if (n != strlen(cases[i].text) || memcmp(out, cases[i].text, n) != 0)
                fail_msg("%a written as %.*s", (double)single, (int)n, out);
        }
    }
    char out[512];
    uint16_t half[] = {0x3c00, 0xc000, 0x7c00, 0x2e66, 0x0001};
    size_t n = tern_numbers_write(TERN_DTYPE_FP16, half, 5, out);
    assert_int_equal(n, strlen("1.0,-2.0,null,0.099975586,5.9604645e-8"));
    assert_memory_equal(out, "1.0,-2.0,null,0.099975586,5.9604645e-8", n);
    assert_int_equal(tern_numbers_write(TERN_DTYPE_FP64, NULL, 0, out), 0);
}

static void one_double(void **state)
{
    struct padded p;
    double value = 7;
    size_t used = 0;
    struct tern_err err = {0};
    (void)state;
    assert_int_equal(tern_numbers_read_double(pad(&p, "-12.5e1,3"), &value, &used, &err), TERN_OK);
    assert_true(value == -125 && used == 7);
    assert_int_equal(tern_numbers_read_double(pad(&p, "42"), &value, &used, &err), TERN_OK);
    assert_true(value == 42 && used == 2);
    assert_int_equal(tern_numbers_read_double(pad(&p, "1e999"), &value, &used, &err),
                     TERN_INVALID_ARGUMENT);
    assert_int_equal(tern_numbers_read_double(pad(&p, "x"), &value, &used, &err),
                     TERN_INVALID_ARGUMENT);
    assert_int_equal(tern_numbers_read_double(pad(&p, ""), &value, &used, &err),
                     TERN_INVALID_ARGUMENT);
    assert_true(value == 42);
}

/* Both texts are nearest to a double in the middle of two floats. */
static void one_float(void **state)
{
    struct padded p;
    float value = 7;
    size_t used = 0;
    (void)state;
    assert_int_equal(tern_numbers_read_float(pad(&p, "7.038531e-26,"), &value, &used, NULL),
                     TERN_OK);
    assert_true(value == strtof("7.038531e-26", NULL) && used == 12);
    assert_true(value != (float)strtod("7.038531e-26", NULL));
    assert_int_equal(tern_numbers_read_float(pad(&p, "-1e-45"), &value, &used, NULL), TERN_OK);
    assert_true(value == -0x1p-149f);
    assert_int_equal(tern_numbers_read_float(pad(&p, "3.5e38"), &value, &used, NULL),
                     TERN_INVALID_ARGUMENT);
    assert_int_equal(tern_numbers_read_float(pad(&p, "-"), &value, &used, NULL),
                     TERN_INVALID_ARGUMENT);
    assert_true(value == -0x1p-149f);
    for (int i = 0; i < 20000; i++) {
        char text[64];
        uint32_t bits = (uint32_t)random_u64();
        float single;
        memcpy(&single, &bits, sizeof(single));
        if (!isfinite(single))
            continue;
        /* The middle of two floats and its neighbours, in decimals. */
        double middle = ((double)single + (double)nextafterf(single, 0)) / 2;
        snprintf(text, sizeof(text), "%.*e", 8 + i % 12, middle);
        assert_int_equal(tern_numbers_read_float(pad(&p, text), &value, &used, NULL), TERN_OK);
        if (value != strtof(text, NULL))
            fail_msg("%s read as %a", text, (double)value);
    }
}

static void half_floats(void **state)
{
    struct padded p;
    struct tern_numbers_result r;
    uint16_t out[8];
    (void)state;
    assert_int_equal(tern_numbers_read(TERN_DTYPE_FP16,
                                       pad(&p, "[1, -2, 65504, 65519.99, 1e-8, 6e-8]"), out, 8, &r,
                                       NULL),
                     TERN_OK);
    assert_memory_equal(out, ((uint16_t[]){0x3c00, 0xc000, 0x7bff, 0x7bff, 0, 1}), 12);
    assert_int_equal(tern_numbers_read(TERN_DTYPE_BF16, pad(&p, "[1, 3.14159274, 1.003906250001]"),
                                       out, 8, &r, NULL),
                     TERN_OK);
    assert_memory_equal(out, ((uint16_t[]){0x3f80, 0x4049, 0x3f81}), 6);
}

int main(void)
{
    static const char *const levels[] = {"portable", "avx2", "avx512"};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(read_nested),
        cmocka_unit_test(refuse_malformed),
        cmocka_unit_test(missing),
        cmocka_unit_test(refuse_malformed_far),
        cmocka_unit_test(integer_ranges),
        cmocka_unit_test(integers_in_float_form),
        cmocka_unit_test(numbers_at_odd_addresses),
        cmocka_unit_test(booleans),
        cmocka_unit_test(hard_doubles),
        cmocka_unit_test(random_doubles),
        cmocka_unit_test(nested_rows),
        cmocka_unit_test(every_cut),
        cmocka_unit_test(all_integers),
        cmocka_unit_test(skipping),
        cmocka_unit_test(write_floats),
        cmocka_unit_test(write_doubles),
        cmocka_unit_test(write_forms),
        cmocka_unit_test(one_double),
        cmocka_unit_test(one_float),
        cmocka_unit_test(half_floats),
    };
    int failed = 0;
    for (size_t i = 0; i < 3; i++) {
        setenv("TERN_SIMD", levels[i], 1);
        tern_simd_init();
        if (strcmp(tern_simd_name(), levels[i]) != 0)
            continue; /* this machine lacks it */
        failed += cmocka_run_group_tests_name(levels[i], tests, NULL, NULL);
    }
    return failed;
}
