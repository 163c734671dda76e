/* Protobuf text, event by event: each case is a text and the events it gives, or its mistake. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/buf.h"
#include "wire/pbtxt.h"

/* Events on one line: `name=v` scalars (s"", i, r, w), `name{ }`, `name[ ]`; a mistake as
 * `!line:column text`. */
static void trace(struct tern_str text, struct tern_buf *out)
{
    struct tern_arena arena;
    struct tern_pbtxt reader;
    struct tern_pbtxt_event e = {.kind = TERN_PBTXT_SCALAR};
    struct tern_err err;
    static const char value_marks[] = "sirw";

    tern_arena_init(&arena, 1024, 1u << 20);
    tern_pbtxt_init(&reader, text, &arena);
    while (e.kind != TERN_PBTXT_END) {
        if (tern_pbtxt_next(&reader, &e, &err) != TERN_OK) {
            tern_buf_printf(out, "!%u:%u %s", e.line, e.column, err.text);
            break;
        }
        if (e.kind == TERN_PBTXT_SCALAR)
            tern_buf_printf(out, "%.*s=%c%.*s ", TERN_STR_ARG(e.name), value_marks[e.value],
                            TERN_STR_ARG(e.text));
        else if (e.kind == TERN_PBTXT_MESSAGE_BEGIN || e.kind == TERN_PBTXT_LIST_BEGIN)
            tern_buf_printf(out, "%.*s%c ", TERN_STR_ARG(e.name),
                            e.kind == TERN_PBTXT_LIST_BEGIN ? '[' : '{');
        else if (e.kind != TERN_PBTXT_END)
            tern_buf_printf(out, "%c ", e.kind == TERN_PBTXT_LIST_END ? ']' : '}');
    }
    tern_buf_add_char(out, '\0');
    tern_arena_fini(&arena);
}

struct example {
    const char *text;
    const char *events;
};

static void check(const struct example *rows, size_t n)
{
    struct tern_buf out;

    tern_buf_init(&out, 1u << 16);
    for (size_t i = 0; i < n; i++) {
        tern_buf_clear(&out);
        trace(tern_str_of(rows[i].text), &out);
        assert_string_equal(out.p, rows[i].events);
    }
    tern_buf_fini(&out);
}
#define CHECK(...)                               \
    check((const struct example[]){__VA_ARGS__}, \
          TERN_COUNT_OF(((const struct example[]){__VA_ARGS__})))

static void fields_and_separators(void **state)
{
    (void)state;
    CHECK({"", ""}, {"# only a comment", ""},
          {"\xEF\xBB\xBF"
           "a: 1",
           "a=i1 "},
          {"a: 1 b: 2", "a=i1 b=i2 "}, {"a:1,b:2;c:3", "a=i1 b=i2 c=i3 "},
          {"a: 1 # tail\n\t b : x", "a=i1 b=wx "},
          {"a { b: 1 } c < d: 2 >", "a{ b=i1 } c{ d=i2 } "}, {"a: { }; b: <>", "a{ } b{ } "},
          {"a { b: 1, } ,", "a{ b=i1 } "});
}

static void lists(void **state)
{
    (void)state;
    CHECK({"a: [1, -2,3]", "a[ =i1 =i-2 =i3 ] "}, {"a: []", "a[ ] "},
          {"a [{b: 1}, <c: [ 'x', 'y' 'z' ]>]", "a[ { b=i1 } { c[ =sx =syz ] } ] "},
          {"a: [ {}, {} ] b: T", "a[ { } { } ] b=wT "},
          {"a: [ { b { c: [1] } }, {} ]", "a[ { b{ c[ =i1 ] } } { } ] "});
}

static void strings(void **state)
{
    (void)state;
    CHECK({"a: \"x\" 'y' # c\n \"z\"", "a=sxyz "}, {"a: \"it's\" b: '\"'", "a=sit's b=s\" "},
          {"a: '\\n\\t\\\\\\'\\\"'", "a=s\n\t\\'\" "}, {"a: '\\101\\x42\\x4a'", "a=sABJ "},
          {"a: '\\u00e9\\U0001F600'", "a=s\xC3\xA9\xF0\x9F\x98\x80 "}, {"a: ''", "a=s "});
}

static void numbers(void **state)
{
    (void)state;
    CHECK({"a: 0", "a=i0 "}, {"a: 0x1F b: -0x10 c: 017", "a=i31 b=i-16 c=i15 "},
          {"a: 18446744073709551615", "a=i18446744073709551615 "},
          {"a: 1.5 b: -2e3 c: .5 d: 3f e: 1.e-2F", "a=r1.5 b=r-2e3 c=r.5 d=r3 e=r1.e-2 "},
          {"a: -inf b: inf c: -nan", "a=r-inf b=winf c=r-nan "},
          {"a: 18446744073709551616", "a=r18446744073709551616 "});
}

static void mistakes_have_places(void **state)
{
    (void)state;
    CHECK({"a", "!1:2 expected ':', '{' or '[', got the end of the file"},
          {"a: 1\n  b 2", "a=i1 !2:5 expected ':', '{' or '[', got '2'"},
          {"a:", "!1:3 expected a value, got the end of the file"},
          {"a: }", "!1:4 expected a value, got '}'"},
          {"a { b: 1", "a{ b=i1 !1:9 expected a field's name, got the end of the file"},
          {"a { b: 1 >", "a{ b=i1 !1:10 expected a field's name, got '>'"},
          {"}", "!1:1 expected a field's name, got '}'"},
          {"a: [1 2]", "a[ =i1 !1:7 expected ',' or ']', got '2'"},
          {"a: [1,]", "a[ =i1 !1:7 expected a value, got ']'"},
          {"a [1]", "a[ !1:4 expected '{' (a list of plain values needs ':' in front), got '1'"},
          {"a: 'x\ny'", "!1:6 expected the closing quote, got byte 0x0A"},
          {"a: '\\q'", "!1:5 no such escape in a string"},
          {"a: '\\ud800'", "!1:5 no such escape in a string"},
          {"a: 12x", "!1:4 not a number: \"12x\""}, {"a: 1.2.3", "!1:4 not a number: \"1.2.3\""},
          {"a: 09", "!1:4 not a number: \"09\""}, {"a: 1e", "!1:4 not a number: \"1e\""},
          {"[ext.name]: 1", "!1:1 expected a field's name, got '['"},
          {", a: 1", "!1:1 expected a field's name, got ','"},
          {"a { ; }", "a{ !1:5 expected a field's name, got ';'"},
          {"a: -x", "!1:6 expected a number after '-', got the end of the file"});
}

static void depth_is_bounded(void **state)
{
    (void)state;
    struct tern_buf text, out;

    tern_buf_init(&text, 4096);
    tern_buf_init(&out, 4096);
    for (int i = 0; i <= TERN_PBTXT_DEPTH_MAX; i++)
        TERN_BUF_ADD_LITERAL(&text, "a{");
    trace(tern_buf_str(&text), &out);
    assert_non_null(strstr(out.p, "!1:66 nested deeper than 32"));
    tern_buf_fini(&text);
    tern_buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_and_separators),
        cmocka_unit_test(lists),
        cmocka_unit_test(strings),
        cmocka_unit_test(numbers),
        cmocka_unit_test(mistakes_have_places),
        cmocka_unit_test(depth_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
