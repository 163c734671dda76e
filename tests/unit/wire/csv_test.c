/* CSV: each case is a text and its records on one line, or its mistake. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include "base/buf.h"
#include "wire/csv.h"

/* Fields between bars, records between slashes, quoted fields in quotes; a mistake after '!'. */
static void trace(struct tern_str text, struct tern_buf *out)
{
    struct tern_arena arena;
    struct tern_csv csv;
    struct tern_err err;
    bool more = true;

    tern_arena_init(&arena, 1024, 1u << 20);
    tern_csv_init(&csv, text, ',', &arena);
    while (more) {
        if (tern_csv_next(&csv, &more, &err) != TERN_OK) {
            tern_buf_printf(out, "!%s", err.text);
            break;
        }
        for (uint32_t i = 0; more && i < csv.n_fields; i++) {
            const char *quote = csv.fields[i].quoted ? "\"" : "";
            tern_buf_printf(out, "%s%s%.*s%s", i == 0 ? "/" : "|", quote,
                            TERN_STR_ARG(csv.fields[i].text), quote);
        }
    }
    tern_buf_add_char(out, '\0');
    tern_arena_fini(&arena);
}

static void records(void **state)
{
    static const char *const rows[][2] = {
        {"", ""},
        {"1,2\n3,4\n", "/1|2/3|4"},
        {"1,2\r\n3,4", "/1|2/3|4"},
        {"\xef\xbb\xbf"
         "a\n",
         "/a"},
        {" 1 ,\t2\n", "/1|2"},
        {",\n", "/|"},
        {"\n\na\n\r\nb\n\n", "/a/b"},
        {"\"a,b\",\"c\nd\"\n", "/\"a,b\"|\"c\nd\""},
        {"\"say \"\"hi\"\"\",\"\"\n", "/\"say \"hi\"\"|\"\""},
        {"1,2\n3\n", "/1|2!CSV line 2: 1 columns, but the lines before have 2"},
        {"\"a\nb\",1\n2\n", "/\"a\nb\"|1!CSV line 3: 1 columns, but the lines before have 2"},
        {"\"a", "!CSV line 1: a quote that is never closed"},
        {"a\"b\n", "!CSV line 1: a quote within a field that does not start with one"},
        {"\"a\"b\n", "!CSV line 1: something follows a closing quote"},
        {"a\rb\n", "!CSV line 1: a carriage return without a line feed"},
        {"a\r", "!CSV line 1: a carriage return without a line feed"},
    };
    struct tern_buf out;

    (void)state;
    tern_buf_init(&out, 1u << 16);
    for (size_t i = 0; i < TERN_COUNT_OF(rows); i++) {
        tern_buf_clear(&out);
        trace(tern_str_of(rows[i][0]), &out);
        assert_string_equal(out.p, rows[i][1]);
    }
    tern_buf_fini(&out);
}

static bool first_is_header(const char *text)
{
    struct tern_arena arena;
    struct tern_csv csv;
    bool more;

    tern_arena_init(&arena, 1024, 1u << 20);
    tern_csv_init(&csv, tern_str_of(text), ',', &arena);
    assert_int_equal(tern_csv_next(&csv, &more, NULL), TERN_OK);
    bool header = tern_csv_is_header(&csv);
    tern_arena_fini(&arena);
    return header;
}

static void headers_and_separators(void **state)
{
    (void)state;
    assert_true(first_is_header("length,width\n1,2\n"));
    assert_true(first_is_header("\"a\",b\n"));
    assert_false(first_is_header("1,2\n"));
    assert_false(first_is_header("1,red\n"));
    assert_false(first_is_header("nan,1\n"));
    assert_int_equal(tern_csv_guess_separator(tern_str_of("a;b;c,d\n,,,,")), ';');
    assert_int_equal(tern_csv_guess_separator(tern_str_of("a\tb\n")), '\t');
    assert_int_equal(tern_csv_guess_separator(tern_str_of("a")), ',');
}

static void numbers(void **state)
{
    static const struct {
        const char *text;
        double value;
    } good[] = {
        {"1", 1},         {"-2.5", -2.5}, {"+3", 3},  {".5", 0.5},    {"-.5e1", -5},
        {"1.", 1},        {"1.e2", 100},  {"007", 7}, {"1e-3", 1e-3}, {"6.02E23", 6.02e23},
        {"000.25", 0.25},
    };
    static const char *const bad[] = {"",   ".",   "-",   "+-1", "1,5", "0x10", "1e",
                                      "e5", "1 2", ". 5", "nan", "1.e", "--1",  "1..2"};
    double value;

    (void)state;
    for (size_t i = 0; i < TERN_COUNT_OF(good); i++) {
        if (!tern_csv_number(tern_str_of(good[i].text), false, &value))
            fail_msg("'%s' is a number", good[i].text);
        assert_true(value == good[i].value);
    }
    for (size_t i = 0; i < TERN_COUNT_OF(bad); i++) {
        if (tern_csv_number(tern_str_of(bad[i]), false, &value))
            fail_msg("'%s' is no number", bad[i]);
    }
    assert_true(tern_csv_number(tern_str_of("NaN"), true, &value) && isnan(value));
    assert_true(tern_csv_number(tern_str_of("-inf"), true, &value) && value < 0 && isinf(value));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records),
        cmocka_unit_test(headers_and_separators),
        cmocka_unit_test(numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
