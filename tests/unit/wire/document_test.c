/* Both forms of a document give the same, and arrays of numbers come in every datatype. */
// wrap: tern_mem_alloc tern_mem_zalloc tern_mem_realloc tern_mem_alloc_aligned
// covers: wire/document_numbers
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "harness/mem_fails.h"
#include "simd/numbers.h"
#include "wire/document.h"

#define N    "\0\0\0\0\0\0\0"
#define B(s) ((struct tern_str){"" s, sizeof(s) - 1})

struct reading {
    struct tern_document doc;
    struct tern_arena arena;
    char *bytes;
    struct tern_err err;
};

static void start(struct reading *r, struct tern_str text)
{
    memset(r, 0, sizeof(*r));
    r->bytes = malloc(text.n + TERN_TEXT_PAD);
    assert_non_null(r->bytes);
    memcpy(r->bytes, text.p, text.n);
    memset(r->bytes + text.n, '1', TERN_TEXT_PAD);
    tern_arena_init(&r->arena, 1024, 1u << 20);
    tern_document_init(&r->doc, tern_str_make(r->bytes, text.n), &r->arena);
}

static void stop(struct reading *r)
{
    tern_arena_fini(&r->arena);
    free(r->bytes);
}

static void finds_the_form(void **state)
{
    (void)state;
    assert_true(tern_document_is_binary(B("{L\0")));
    assert_true(tern_document_is_binary(B("[$d#L")));
    assert_true(tern_document_is_binary(B("[#L")));
    assert_false(tern_document_is_binary(B("{\"")));
    assert_false(tern_document_is_binary(B("{ }")));
    assert_false(tern_document_is_binary(B("[1]")));
    assert_false(tern_document_is_binary(B("{")));
}

/* {"a": 3, "list": [true, "x"], "rest": {"deep": [1, 2]}, "end": null} */
static const char as_json[] =
    "{\"a\": 3, \"list\": [true, \"x\"], \"rest\": {\"deep\": [1, 2]}, \"end\": null}";
static const char as_ubjson[] = "{L" N "\1ai\3L" N "\4list[#L" N "\2TSL" N "\1xL" N "\4rest{L" N
                                "\4deep[$U#L" N "\2\1\2}L" N "\3endZ}";
static const struct tern_str both[] = {{as_json, sizeof(as_json) - 1},
                                       {as_ubjson, sizeof(as_ubjson) - 1}};

static void reads_either(void **state)
{
    struct reading r;
    struct tern_str key = {0}, text;
    int64_t value = 0;
    bool more = false, flag = false;
    (void)state;

    for (int form = 0; form < 2; form++) {
        start(&r, both[form]);
        assert_int_equal(r.doc.is_binary, form);
        assert_int_equal(tern_document_peek(&r.doc), TERN_JSON_OBJECT);
        assert_int_equal(tern_document_object(&r.doc, &r.err), TERN_OK);
        assert_int_equal(tern_document_key(&r.doc, &more, &key, &r.err), TERN_OK);
        assert_true(more && tern_str_eq(key, TERN_STR("a")));
        assert_int_equal(tern_document_integer(&r.doc, 0, 3, &value, &r.err), TERN_OK);
        assert_int_equal(value, 3);
        assert_int_equal(tern_document_key(&r.doc, &more, &key, &r.err), TERN_OK);
        assert_int_equal(tern_document_array(&r.doc, &r.err), TERN_OK);
        assert_int_equal(tern_document_item(&r.doc, &more, &r.err), TERN_OK);
        assert_int_equal(tern_document_bool(&r.doc, &flag, &r.err), TERN_OK);
        assert_int_equal(tern_document_item(&r.doc, &more, &r.err), TERN_OK);
        assert_int_equal(tern_document_string(&r.doc, &text, &r.err), TERN_OK);
        assert_true(flag && tern_str_eq(text, TERN_STR("x")));
        assert_int_equal(tern_document_item(&r.doc, &more, &r.err), TERN_OK);
        assert_false(more);
        assert_int_equal(tern_document_key(&r.doc, &more, &key, &r.err), TERN_OK);
        struct tern_document later = r.doc;
        assert_int_equal(tern_document_hop(&r.doc, &r.err), TERN_OK);
        assert_int_equal(tern_document_skip(&later, &r.err), TERN_OK);
        assert_int_equal(tern_document_at(&later), tern_document_at(&r.doc));
        assert_int_equal(tern_document_key(&r.doc, &more, &key, &r.err), TERN_OK);
        assert_int_equal(tern_document_hop(&r.doc, &r.err), TERN_OK);
        assert_int_equal(tern_document_key(&r.doc, &more, &key, &r.err), TERN_OK);
        assert_false(more);
        assert_int_equal(tern_document_end(&r.doc, &r.err), TERN_OK);
        stop(&r);
    }
}

static void says_where(void **state)
{
    struct reading r;
    struct tern_str key = {0};
    uint32_t seen = 0;
    int64_t value = 0;
    bool more = false;
    (void)state;

    for (int form = 0; form < 2; form++) {
        start(&r, both[form]);
        assert_int_equal(tern_document_object(&r.doc, &r.err), TERN_OK);
        assert_int_equal(tern_document_key(&r.doc, &more, &key, &r.err), TERN_OK);
        seen = 0;
        assert_int_equal(tern_document_once(&r.doc, &seen, 3, key, &r.err), TERN_OK);
        assert_int_equal(tern_document_once(&r.doc, &seen, 3, key, &r.err), TERN_INVALID_ARGUMENT);
        assert_non_null(strstr(r.err.text, "duplicate key 'a' at byte"));
        assert_int_equal(tern_document_integer(&r.doc, 4, 9, &value, &r.err),
                         TERN_INVALID_ARGUMENT);
        assert_non_null(strstr(r.err.text, form == 0 ? "an integer from 4 to 9 at byte 6"
                                                     : "an integer from 4 to 9 at byte 11"));
        stop(&r);
    }
    start(&r, B("[[1, 2"));
    assert_int_equal(tern_document_hop(&r.doc, &r.err), TERN_INVALID_ARGUMENT);
    assert_non_null(strstr(r.err.text, "at byte 0"));
    stop(&r);
}

/* What an array of doubles is after it was read as a datatype, or NULL where it is refused. */
struct numbers_row {
    enum tern_dtype dtype;
    struct tern_str text;
    size_t n;
    double values[6];
    const char *refused;
};

static double value_at(const struct tern_document_numbers *numbers, size_t i)
{
    switch ((int)numbers->dtype) {
    case TERN_DTYPE_INT32:
        return ((const int32_t *)numbers->data)[i];
    case TERN_DTYPE_INT64:
        return (double)((const int64_t *)numbers->data)[i];
    case TERN_DTYPE_FP32:
        return (double)((const float *)numbers->data)[i];
    case TERN_DTYPE_FP64:
        return ((const double *)numbers->data)[i];
    default:
        return ((const uint8_t *)numbers->data)[i];
    }
}

static void reads_numbers(void **state)
{
    const struct numbers_row rows[] = {
        {TERN_DTYPE_INT32, B("[1,-2 , 3]"), 3, {1, -2, 3}, NULL},
        {TERN_DTYPE_INT32, B("[]"), 0, {0}, NULL},
        {TERN_DTYPE_INT32, B("[1.5]"), 0, {0}, "an integer of 32 bits at byte 1"},
        {TERN_DTYPE_INT32, B("[1,2147483648]"), 0, {0}, "an integer of 32 bits at byte 3"},
        {TERN_DTYPE_INT32, B("[1,"), 0, {0}, "a number"},
        {TERN_DTYPE_INT32, B("[[1]]"), 0, {0}, "a number"},
        {TERN_DTYPE_INT32, B("[1,\"x\"]"), 0, {0}, "a number"},
        {TERN_DTYPE_INT32, B("{}"), 0, {0}, "an array of numbers"},
        {TERN_DTYPE_INT64, B("[9007199254740993]"), 1, {9007199254740992}, NULL},
        {TERN_DTYPE_UINT8, B("[0,255]"), 2, {0, 255}, NULL},
        {TERN_DTYPE_UINT8, B("[256]"), 0, {0}, "from 0 to 255"},
        {TERN_DTYPE_BOOL, B("[true,0,1,false]"), 4, {1, 0, 1, 0}, NULL},
        {TERN_DTYPE_BOOL, B("[2]"), 0, {0}, "true, false, 0 or 1"},
        {TERN_DTYPE_FP32, B("[1, 7.038531e-26 ,1E0,-0.5]"), 4, {1, 0x1.5c87fap-84, 1, -0.5}, NULL},
        {TERN_DTYPE_FP32,
         B("[NaN,7.038531e-26,Infinity,-Infinity,1]"),
         5,
         {(double)NAN, 0x1.5c87fap-84, (double)INFINITY, (double)-INFINITY, 1},
         NULL},
        {TERN_DTYPE_FP32, B("[1e39]"), 0, {0}, "in the range of float at byte 1"},
        {TERN_DTYPE_FP32, B("[nan]"), 0, {0}, "expected a number"},
        {TERN_DTYPE_FP32, B("[1,null]"), 0, {0}, "expected a number"},
        {TERN_DTYPE_FP64, B("[1,null]"), 0, {0}, "expected a number"},
        {TERN_DTYPE_FP64, B("[1e39,NaN]"), 2, {1e39, (double)NAN}, NULL},
        {TERN_DTYPE_INT32, B("[NaN]"), 0, {0}, "an integer of 32 bits"},
        {TERN_DTYPE_INT32, B("[$l#L" N "\2\0\0\0\1\xff\xff\xff\xff"), 2, {1, -1}, NULL},
        {TERN_DTYPE_INT32, B("[$L#L" N "\1" N "\7"), 1, {7}, NULL},
        {TERN_DTYPE_INT32, B("[$L#L" N "\1\1" N), 0, {0}, "an integer of 32 bits at byte 13"},
        {TERN_DTYPE_INT32, B("[$d#L" N "\1\0\0\0\0"), 0, {0}, "an integer of 32 bits"},
        {TERN_DTYPE_INT32, B("[#L" N "\2i\xffI\1\0"), 2, {-1, 256}, NULL},
        {TERN_DTYPE_INT32, B("[#L" N "\1d\1\0\0\0"), 0, {0}, "an integer of 32 bits at byte 11"},
        {TERN_DTYPE_INT64, B("[$L#L" N "\1" N "\7"), 1, {7}, NULL},
        {TERN_DTYPE_UINT8, B("[$U#L" N "\2\0\xff"), 2, {0, 255}, NULL},
        {TERN_DTYPE_BOOL, B("[$U#L" N "\2\0\1"), 2, {0, 1}, NULL},
        {TERN_DTYPE_BOOL, B("[$U#L" N "\1\2"), 0, {0}, "true, false, 0 or 1"},
        {TERN_DTYPE_BOOL, B("[#L" N "\2TF"), 2, {1, 0}, NULL},
        {TERN_DTYPE_FP32,
         B("[$d#L" N "\3\x3f\xc0\0\0\x7f\xc0\0\0\xff\x80\0\0"),
         3,
         {1.5, (double)NAN, (double)-INFINITY},
         NULL},
        {TERN_DTYPE_FP32, B("[$D#L" N "\1\x3f\xf8\0\0\0\0\0\0"), 1, {1.5}, NULL},
        {TERN_DTYPE_FP32, B("[$D#L" N "\1\x7f\xe8\0\0\0\0\0\0"), 0, {0}, "in the range of float"},
        {TERN_DTYPE_FP64, B("[$D#L" N "\1\x3f\xf8\0\0\0\0\0\0"), 1, {1.5}, NULL},
        {TERN_DTYPE_FP64, B("[$d#L" N "\1\x3f\xc0\0\0"), 1, {1.5}, NULL},
    };
    struct reading r;
    (void)state;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct tern_document_numbers numbers;
        start(&r, rows[i].text);
        tern_document_numbers_init(&numbers, rows[i].dtype);
        enum tern_code code = tern_document_numbers(&r.doc, &numbers, &r.err);
        if (rows[i].refused != NULL) {
            assert_int_equal(code, TERN_INVALID_ARGUMENT);
            if (strstr(r.err.text, rows[i].refused) == NULL)
                fail_msg("%zu: '%s' is not about '%s'", i, r.err.text, rows[i].refused);
        } else {
            if (code != TERN_OK)
                fail_msg("%zu: %s", i, r.err.text);
            assert_int_equal(numbers.n, rows[i].n);
            for (size_t k = 0; k < numbers.n; k++) {
                double got = value_at(&numbers, k);
                if (got != rows[i].values[k] && !(isnan(got) && isnan(rows[i].values[k])))
                    fail_msg("%zu: element %zu is %a", i, k, got);
            }
            assert_int_equal(tern_document_end(&r.doc, &r.err), TERN_OK);
        }
        tern_document_numbers_fini(&numbers);
        stop(&r);
    }
}

/* A long array takes the vector kernels; each value has to be strtof's. */
static void reads_long_arrays(void **state)
{
    struct tern_document_numbers numbers;
    enum { COUNT = 20000 };
    char *text = malloc(COUNT * 32);
    struct reading r;
    size_t n = 1;
    (void)state;

    assert_non_null(text);
    text[0] = '[';
    for (int i = 0; i < COUNT; i++) {
        double middle = ldexp(1 + (2 * i + 1) * 0x1p-24, i % 200 - 100);
        n += (size_t)snprintf(text + n, 32, "%s%.*e", i == 0 ? "" : ", ", 7 + i % 11, middle);
    }
    text[n++] = ']';
    start(&r, tern_str_make(text, n));
    tern_document_numbers_init(&numbers, TERN_DTYPE_FP32);
    assert_int_equal(tern_document_numbers(&r.doc, &numbers, &r.err), TERN_OK);
    assert_int_equal(numbers.n, COUNT);
    const char *p = text + 1;
    for (size_t i = 0; i < COUNT; i++) {
        char *end;
        float expected = strtof(p, &end);
        if (((const float *)numbers.data)[i] != expected)
            fail_msg("element %zu", i);
        p = end + 1;
    }
    tern_document_numbers_fini(&numbers);
    stop(&r);
    free(text);
}

static void keeps_to_its_limits(void **state)
{
    struct tern_document_numbers numbers;
    struct reading r;
    (void)state;

    for (int form = 0; form < 2; form++) {
        struct tern_str text = form == 0 ? B("[1,2,3]") : B("[$U#L" N "\3\1\2\3");
        start(&r, text);
        tern_document_numbers_init(&numbers, TERN_DTYPE_INT32);
        numbers.max = 2;
        assert_int_equal(tern_document_numbers(&r.doc, &numbers, &r.err), TERN_RESOURCE_EXHAUSTED);
        stop(&r);
        start(&r, text);
        numbers.max = 3;
        mem_calls = 0;
        for (mem_fail_at = 0; mem_fail_at < 2; mem_fail_at++) {
            struct tern_document copy = r.doc;
            mem_calls = 0;
            enum tern_code code = tern_document_numbers(&copy, &numbers, &r.err);
            assert_true(code == TERN_OK || code == TERN_RESOURCE_EXHAUSTED);
        }
        mem_fail_at = -1;
        assert_int_equal(tern_document_numbers(&r.doc, &numbers, &r.err), TERN_OK);
        assert_int_equal(numbers.n, 3);
        tern_document_numbers_fini(&numbers);
        assert_null(numbers.data);
        stop(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_the_form),    cmocka_unit_test(reads_either),
        cmocka_unit_test(says_where),        cmocka_unit_test(reads_numbers),
        cmocka_unit_test(reads_long_arrays), cmocka_unit_test(keeps_to_its_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
