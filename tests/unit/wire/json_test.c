/* The JSON reader against RFC 8259's edge cases and against jansson, and the writer against both.
 */
// covers: wire/json_write
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <jansson.h>

#include "simd/numbers.h"
#include "wire/json.h"

/* A text in memory of exactly its size and the pad, and a reader over it. */
struct reading {
    struct tern_json json;
    struct tern_arena arena;
    char *bytes;
    struct tern_err err;
};

static void start(struct reading *r, const char *p, size_t n)
{
    memset(r, 0, sizeof(*r));
    r->bytes = malloc(n + TERN_TEXT_PAD);
    assert_non_null(r->bytes);
    memcpy(r->bytes, p, n);
    memset(r->bytes + n, '1', TERN_TEXT_PAD);
    tern_arena_init(&r->arena, 1024, 64u << 20);
    tern_json_init(&r->json, tern_str_make(r->bytes, n), &r->arena);
}

static void stop(struct reading *r)
{
    tern_arena_fini(&r->arena);
    free(r->bytes);
}

/* -- our reader as jansson's tree, for comparing values (tests may recurse) ----------------- */

static json_t *build(struct reading *r);

static json_t *build_object(struct reading *r)
{
    json_t *object = json_object();
    struct tern_str key;
    bool more = false;
    if (tern_json_object(&r->json, &r->err) != TERN_OK)
        goto fail;
    for (;;) {
        if (tern_json_key(&r->json, &more, &key, &r->err) != TERN_OK)
            goto fail;
        if (!more)
            return object;
        json_t *value = build(r);
        if (value == NULL || json_object_setn_new_nocheck(object, key.p, key.n, value) != 0)
            goto fail;
    }
fail:
    json_decref(object);
    return NULL;
}

static json_t *build_array(struct reading *r)
{
    json_t *array = json_array();
    bool more = false;
    if (tern_json_array(&r->json, &r->err) != TERN_OK)
        goto fail;
    for (;;) {
        if (tern_json_item(&r->json, &more, &r->err) != TERN_OK)
            goto fail;
        if (!more)
            return array;
        json_t *value = build(r);
        if (value == NULL || json_array_append_new(array, value) != 0)
            goto fail;
    }
fail:
    json_decref(array);
    return NULL;
}

static json_t *build_number(struct reading *r)
{
    struct tern_json_number number;
    if (tern_json_number(&r->json, &number, &r->err) != TERN_OK)
        return NULL;
    if (number.kind == TERN_JSON_INT64)
        return json_integer(number.int64);
    return json_real(number.kind == TERN_JSON_DOUBLE ? number.real : (double)number.uint64);
}

static json_t *build(struct reading *r)
{
    struct tern_str s;
    bool flag;
    switch (tern_json_peek(&r->json)) {
    case TERN_JSON_OBJECT:
        return build_object(r);
    case TERN_JSON_ARRAY:
        return build_array(r);
    case TERN_JSON_STRING:
        if (tern_json_string(&r->json, &s, &r->err) != TERN_OK)
            return NULL;
        return json_stringn_nocheck(s.p, s.n);
    case TERN_JSON_BOOL:
        return tern_json_bool(&r->json, &flag, &r->err) == TERN_OK ? json_boolean(flag) : NULL;
    case TERN_JSON_NULL:
        return tern_json_null(&r->json, &r->err) == TERN_OK ? json_null() : NULL;
    case TERN_JSON_NUMBER:
        return build_number(r);
    case TERN_JSON_NONE:
    default:
        (void)tern_json_skip(&r->json, &r->err);
        return NULL;
    }
}

/* The value, or NULL when the text is refused; reading and skipping have to agree. */
static json_t *read_all(const char *p, size_t n)
{
    struct reading r, skip;
    start(&r, p, n);
    start(&skip, p, n);
    json_t *value = build(&r);
    if (value != NULL && tern_json_end(&r.json, &r.err) != TERN_OK) {
        json_decref(value);
        value = NULL;
    }
    bool skipped = tern_json_skip(&skip.json, &skip.err) == TERN_OK &&
                   tern_json_end(&skip.json, &skip.err) == TERN_OK;
    /* Reading refuses what no double holds; the grammar, which is all that skipping checks, not. */
    bool overflow = strstr(r.err.text, "range of a double") != NULL;
    if (skipped != (value != NULL) && !overflow)
        fail_msg("%.*s: read %d (%s), skipped %d (%s)", (int)n, p, value != NULL, r.err.text,
                 skipped, skip.err.text);
    stop(&r);
    stop(&skip);
    return value;
}

#define JANSSON_FLAGS (JSON_DECODE_ANY | JSON_ALLOW_NUL)

static void compare_with_jansson(const char *p, size_t n)
{
    json_error_t error;
    json_t *theirs = json_loadb(p, n, JANSSON_FLAGS, &error);
    if (theirs == NULL && json_error_code(&error) == json_error_numeric_overflow)
        theirs = json_loadb(p, n, JANSSON_FLAGS | JSON_DECODE_INT_AS_REAL, &error);
    bool overflow = theirs == NULL && json_error_code(&error) == json_error_numeric_overflow;
    json_t *ours = read_all(p, n);
    if (!overflow && (ours != NULL) != (theirs != NULL))
        fail_msg("%.*s: ours %d, jansson %d (%s)", (int)n, p, ours != NULL, theirs != NULL,
                 error.text);
    json_decref(ours);
    json_decref(theirs);
}

/* -- tests -------------------------------------------------------------------------------- */

static const struct {
    const char *text;
    bool valid;
} matrix[] = {
    {"{}", true},
    {"[]", true},
    {" [ ] ", true},
    {"\t\r\n{\n}\r\n", true},
    {"0", true},
    {"-0", true},
    {"-0.0e-0", true},
    {"1E+2", true},
    {"123456789012345678901234567890", true},
    {"9223372036854775807", true},
    {"9223372036854775808", true},
    {"-9223372036854775808", true},
    {"18446744073709551616", true},
    {"1e-400", true},
    {"\"\"", true},
    {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\"", true},
    {"\"\\u0000\"", true},
    {"\"\\uD83D\\uDE00\"", true},
    {"\"\x7f\"", true},
    {"\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"", true},
    {"true", true},
    {"[null,true,false]", true},
    {"{\"a\":{\"b\":[1,{\"c\":[]}]},\"d\":\"e\"}", true},
    {"{\"\":0}", true},
    {"", false},
    {" ", false},
    {"[", false},
    {"]", false},
    {"{", false},
    {"[1", false},
    {"[1,", false},
    {"[,1]", false},
    {"[1,,2]", false},
    {"[1,]", false},
    {"[1 2]", false},
    {"[1}", false},
    {"{]", false},
    {"{\"a\"}", false},
    {"{\"a\":}", false},
    {"{\"a\" 1}", false},
    {"{\"a\":1,}", false},
    {"{,}", false},
    {"{a:1}", false},
    {"{'a':1}", false},
    {"{1:1}", false},
    {"{\"a\":1 \"b\":2}", false},
    {"[] []", false},
    {"{}x", false},
    {"01", false},
    {"-01", false},
    {"+1", false},
    {".5", false},
    {"1.", false},
    {"1.e5", false},
    {"1e", false},
    {"1e+", false},
    {"-", false},
    {"--1", false},
    {"0x10", false},
    {"1_000", false},
    {"NaN", false},
    {"Infinity", false},
    {"-Infinity", false},
    {"1e400", false},
    {"tru", false},
    {"truex", false},
    {"True", false},
    {"nul", false},
    {"\"", false},
    {"\"a", false},
    {"\"\\", false},
    {"\"\\\"", false},
    {"\"\\x41\"", false},
    {"\"\\u12\"", false},
    {"\"\\u12g4\"", false},
    {"\"\\U0041\"", false},
    {"\"\\uD83D\"", false},
    {"\"\\uDE00\"", false},
    {"\"\\uD83Dx\"", false},
    {"\"\\uD83D\\n\"", false},
    {"\"\\uD83D\\u0041\"", false},
    {"\"\\uDE00\\uD83D\"", false},
    {"\"\x01\"", false},
    {"\"\n\"", false},
    {"\"\t\"", false},
    {"\"\x80\"", false},
    {"\"\xff\"", false},
    {"\"\xc0\xaf\"", false},
    {"\"\xc3\"", false},
    {"\"\xe2\x82\"", false},
    {"\"\xed\xa0\x80\"", false},
    {"\"\xf4\x90\x80\x80\"", false},
    {"\"12345678\xe2\x82\"", false},
    {"\xef\xbb\xbf{}", false},
    {"/* c */ 1", false},
    {"[1] // c", false},
    {"[\f]", false},
    {"[\v1]", false},
    {"\xc2\xa0[]", false},
};

static void follows_the_grammar(void **state)
{
    (void)state;
    for (size_t i = 0; i < TERN_COUNT_OF(matrix); i++) {
        json_t *value = read_all(matrix[i].text, strlen(matrix[i].text));
        if ((value != NULL) != matrix[i].valid)
            fail_msg("%s: expected %s", matrix[i].text, matrix[i].valid ? "accepted" : "refused");
        json_decref(value);
        compare_with_jansson(matrix[i].text, strlen(matrix[i].text));
    }
    assert_null(read_all("[\0]", 3));
    assert_null(read_all("[]\0", 3));
    assert_null(read_all("\"\\\0\"", 4));
}

static uint64_t random_state = 0x9e3779b97f4a7c15u;

static uint32_t random_below(uint32_t n)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 33) % n;
}

/* One to three bytes of a document changed, removed or doubled: both readers have to agree. */
static void agrees_with_jansson_on_broken_documents(void **state)
{
    (void)state;
    static const char *const seeds[] = {
        "{\"id\":\"a\\u00e9\\n\",\"inputs\":[{\"name\":\"x\",\"shape\":[1,4],\"data\":[1.5,-2e3]}]"
        "}",
        "[[],{},\"\\ud83d\\ude00 text beyond eight bytes \\\\\",true,false,null,0,-0.5E-7]",
        "\"\xe2\x82\xac and \xf0\x9f\x98\x80 and plain\"",
    };
    static const char bytes[] = "{}[]\",:\\u0129eE+-. tfnd8\n\x01\x80\xe2\xff";
    for (int round = 0; round < 60000; round++) {
        const char *seed = seeds[(unsigned)round % TERN_COUNT_OF(seeds)];
        char text[256];
        size_t n = strlen(seed);
        memcpy(text, seed, n);
        for (uint32_t k = 0; k <= random_below(3); k++) {
            uint32_t at = random_below((uint32_t)n);
            uint32_t how = random_below(4);
            if (how == 0) {
                memmove(text + at, text + at + 1, n - at - 1);
                n--;
            } else if (how == 1) {
                memmove(text + at + 1, text + at, n - at);
                n++;
            } else {
                text[at] = bytes[random_below(sizeof(bytes) - 1)];
            }
        }
        compare_with_jansson(text, n);
    }
}

static void reads_the_same_values_as_jansson(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "{\"a\":[1,-2,3.25,1e3,true,false,null],\"b\":{\"c\":\"x\\ty\\u20ac\\ud83d\\ude00\"}}",
        "[9223372036854775807,-9223372036854775808,0.1,1e-7,123456789.123456789]",
        "[\"\",\"a\",\"1234567\",\"12345678\",\"123456789\\\"12345678\\\\\","
        "\"\\u0000\\u007f\\u0080\"]",
        "{\"k\\u0065y\":1,\"\":{},\"\xc3\xa9\":[[[]]]}",
    };
    for (size_t i = 0; i < TERN_COUNT_OF(texts); i++) {
        json_t *ours = read_all(texts[i], strlen(texts[i]));
        json_t *theirs = json_loads(texts[i], JANSSON_FLAGS, NULL);
        assert_non_null(ours);
        assert_true(json_equal(ours, theirs));
        json_decref(ours);
        json_decref(theirs);
    }
}

static void numbers_keep_their_kind(void **state)
{
    (void)state;
    struct reading r;
    struct tern_json_number n;
    static const char text[] = "[-1,18446744073709551615,18446744073709551616,-9223372036854775809,"
                               "2.0,1e2,-0]";
    static const enum tern_json_number_kind kinds[] = {
        TERN_JSON_INT64,  TERN_JSON_UINT64, TERN_JSON_DOUBLE, TERN_JSON_DOUBLE,
        TERN_JSON_DOUBLE, TERN_JSON_DOUBLE, TERN_JSON_INT64};
    bool more;
    start(&r, text, sizeof(text) - 1);
    assert_int_equal(tern_json_array(&r.json, NULL), TERN_OK);
    for (size_t i = 0; i < TERN_COUNT_OF(kinds); i++) {
        assert_int_equal(tern_json_item(&r.json, &more, NULL), TERN_OK);
        assert_int_equal(tern_json_number(&r.json, &n, NULL), TERN_OK);
        assert_int_equal(n.kind, kinds[i]);
        if (i == 1)
            assert_true(n.uint64 == UINT64_MAX);
        if (i == 3)
            assert_true(n.real == -9223372036854775808.0);
    }
    assert_int_equal(tern_json_item(&r.json, &more, NULL), TERN_OK);
    assert_false(more);
    stop(&r);
}

/* 100 levels pass, 101 do not, for arrays, objects and their mixture; unclosed ones do not recurse.
 */
static void depth_has_a_limit(void **state)
{
    (void)state;
    for (int depth = 99; depth <= 101; depth++) {
        for (int kind = 0; kind < 2; kind++) {
            char text[2048];
            size_t n = 0;
            for (int i = 0; i < depth; i++)
                n += (size_t)snprintf(text + n, sizeof(text) - n, "%s",
                                      kind == 0        ? "["
                                      : i + 1 == depth ? "{"
                                                       : "{\"a\":");
            for (int i = 0; i < depth; i++)
                text[n++] = kind == 0 ? ']' : '}';
            struct reading r;
            start(&r, text, n);
            enum tern_code code = tern_json_skip(&r.json, &r.err);
            assert_int_equal(code, depth <= 100 ? TERN_OK : TERN_INVALID_ARGUMENT);
            if (depth > 100)
                assert_string_equal(r.err.text,
                                    "JSON nesting depth exceeds maximum allowed limit (100)");
            stop(&r);
        }
    }
    size_t big = 1u << 20;
    char *text = malloc(big);
    assert_non_null(text);
    memset(text, '[', big);
    assert_null(read_all(text, big));
    free(text);
}

static void errors_tell_the_position(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *error;
    } rows[] = {
        {"{\"a\":1,\n \"b\" 2}",
         "failed to parse JSON: expected ':' after a key at byte 13 (line 2, column 6), got '2'"},
        {"[1,2",
         "failed to parse JSON: expected ',' or ']' at byte 4 (line 1, column 5), got the end"},
        {"[\x01]",
         "failed to parse JSON: expected a value at byte 1 (line 1, column 2), got byte 0x01"},
        {"[\"\\q\"]",
         "failed to parse JSON: expected a valid escape (surrogates in pairs) in a string "
         "at byte 2 (line 1, column 3), got '\\'"},
    };
    for (size_t i = 0; i < TERN_COUNT_OF(rows); i++) {
        struct reading r;
        start(&r, rows[i].text, strlen(rows[i].text));
        assert_int_equal(tern_json_skip(&r.json, &r.err), TERN_INVALID_ARGUMENT);
        assert_string_equal(r.err.text, rows[i].error);
        stop(&r);
    }
}

static void plain_strings_are_not_copied(void **state)
{
    (void)state;
    struct reading r;
    struct tern_str s;
    start(&r, "\"plain \xc3\xa9\"", 10);
    assert_int_equal(tern_json_string(&r.json, &s, NULL), TERN_OK);
    assert_ptr_equal(s.p, r.bytes + 1);
    assert_int_equal(s.n, 8);
    assert_int_equal(r.arena.used, 0);
    stop(&r);
}

static void unescaping_respects_the_arena(void **state)
{
    (void)state;
    struct reading r;
    struct tern_str s;
    start(&r, "\"0123456789\\n\"", 14);
    r.arena.max = 4;
    assert_int_equal(tern_json_string(&r.json, &s, &r.err), TERN_RESOURCE_EXHAUSTED);
    stop(&r);
    start(&r, "\"0123456789\\n\"", 14);
    r.arena.max = 4; /* skipping needs no memory */
    assert_int_equal(tern_json_skip(&r.json, &r.err), TERN_OK);
    stop(&r);
}

static void once_finds_duplicates(void **state)
{
    (void)state;
    struct reading r;
    uint32_t seen = 0;
    start(&r, "{}", 2);
    assert_int_equal(tern_json_once(&r.json, &seen, 3, TERN_STR("k"), &r.err), TERN_OK);
    assert_int_equal(tern_json_once(&r.json, &seen, 4, TERN_STR("l"), &r.err), TERN_OK);
    assert_int_equal(tern_json_once(&r.json, &seen, 3, TERN_STR("k"), &r.err),
                     TERN_INVALID_ARGUMENT);
    assert_non_null(strstr(r.err.text, "duplicate key 'k'"));
    stop(&r);
}

static void written_strings_read_back(void **state)
{
    (void)state;
    for (int round = 0; round < 20000; round++) {
        char bytes[40], text[512];
        size_t n = random_below(sizeof(bytes));
        for (size_t i = 0; i < n; i++)
            bytes[i] = (char)(random_below(4) == 0 ? random_below(128) : 'a' + random_below(26));
        struct tern_buf buf;
        tern_buf_init(&buf, sizeof(text));
        tern_json_add_string(&buf, tern_str_make(bytes, n));
        json_t *back = json_loadb(buf.p, buf.n, JANSSON_FLAGS, NULL);
        assert_non_null(back);
        assert_int_equal(json_string_length(back), n);
        assert_memory_equal(json_string_value(back), bytes, n);
        json_decref(back);
        tern_buf_fini(&buf);
    }
}

static void writer_escapes_and_repairs(void **state)
{
    (void)state;
    static const struct {
        const char *in;
        const char *out;
    } rows[] = {
        {"", "\"\""},
        {"plain", "\"plain\""},
        {"a\"b\\c/d", "\"a\\\"b\\\\c/d\""},
        {"\b\f\n\r\t\x01\x1f\x7f", "\"\\b\\f\\n\\r\\t\\u0001\\u001f\x7f\""},
        {"\xc3\xa9\xf0\x9f\x98\x80", "\"\xc3\xa9\xf0\x9f\x98\x80\""},
        {"a\xff\xc3", "\"a\xef\xbf\xbd\xef\xbf\xbd\""},
        {"\xe2\x82\"\xe2\x82\xac", "\"\xef\xbf\xbd\xef\xbf\xbd\\\"\xe2\x82\xac\""},
    };
    for (size_t i = 0; i < TERN_COUNT_OF(rows); i++) {
        struct tern_buf buf;
        tern_buf_init(&buf, 256);
        tern_json_add_string(&buf, tern_str_of(rows[i].in));
        tern_buf_add_char(&buf, '\0');
        assert_string_equal(buf.p, rows[i].out);
        tern_buf_fini(&buf);
    }
}

static void non_finite_numbers_are_an_option(void **state)
{
    static const char text[] = "[NaN, Infinity,-Infinity, {\"a\": NaN}]";
    struct tern_json_number number;
    struct reading r;
    bool more;
    (void)state;

    start(&r, text, sizeof(text) - 1);
    struct tern_json plain = r.json;
    assert_int_equal(tern_json_skip(&plain, &r.err), TERN_INVALID_ARGUMENT);
    r.json.non_finite = true;
    struct tern_json skipped = r.json;
    assert_int_equal(tern_json_skip(&skipped, &r.err), TERN_OK);
    assert_int_equal(tern_json_end(&skipped, &r.err), TERN_OK);
    assert_int_equal(tern_json_array(&r.json, &r.err), TERN_OK);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(tern_json_item(&r.json, &more, &r.err), TERN_OK);
        assert_int_equal(tern_json_peek(&r.json), TERN_JSON_NUMBER);
        assert_int_equal(tern_json_number(&r.json, &number, &r.err), TERN_OK);
        assert_int_equal(number.kind, TERN_JSON_DOUBLE);
        assert_true(i == 0 ? isnan(number.real)
                           : isinf(number.real) && (number.real < 0) == (i == 2));
    }
    stop(&r);
    start(&r, "-Infinit", 8);
    r.json.non_finite = true;
    assert_int_equal(tern_json_number(&r.json, &number, &r.err), TERN_INVALID_ARGUMENT);
    stop(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(follows_the_grammar),
        cmocka_unit_test(agrees_with_jansson_on_broken_documents),
        cmocka_unit_test(reads_the_same_values_as_jansson),
        cmocka_unit_test(numbers_keep_their_kind),
        cmocka_unit_test(depth_has_a_limit),
        cmocka_unit_test(errors_tell_the_position),
        cmocka_unit_test(plain_strings_are_not_copied),
        cmocka_unit_test(unescaping_respects_the_arena),
        cmocka_unit_test(once_finds_duplicates),
        cmocka_unit_test(written_strings_read_back),
        cmocka_unit_test(non_finite_numbers_are_an_option),
        cmocka_unit_test(writer_escapes_and_repairs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
