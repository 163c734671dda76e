// covers: wire/gjson_find
/* GJSON: each case is a path, a document, and what is found there ("-": nothing), or what is wrong
 * with the path. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include "simd/numbers.h"
#include "wire/gjson.h"

static const char people[] =
    "{\"name\":{\"first\":\"Tom\",\"last\":\"Anderson\"},\"age\":37,"
    "\"children\":[\"Sara\",\"Alex\",\"Jack\"],\"fav.movie\":\"Deer Hunter\",\"odd*\":1,"
    "\"friends\":[{\"first\":\"Dale\",\"last\":\"Murphy\",\"age\":44,\"nets\":[\"ig\",\"fb\","
    "\"tw\"]},"
    "{\"first\":\"Roger\",\"last\":\"Craig\",\"age\":68,\"nets\":[\"fb\",\"tw\"],\"vip\":true},"
    "{\"first\":\"Jane\",\"last\":\"Mu\\u0072phy\",\"age\":47,\"nets\":[\"ig\",\"tw\"]}],"
    "\"nothing\":null,\"empty\":[]}";

/* The document is followed by exactly the bytes that readers may look at. */
static struct tern_str look(struct tern_arena *arena, const char *path, const char *document)
{
    const struct tern_gjson *gjson;
    struct tern_str value = TERN_STR("-");
    struct tern_err err;
    bool found;
    size_t n = strlen(document);
    char *text = tern_arena_alloc(arena, 1, n + TERN_TEXT_PAD);

    memcpy(text, document, n);
    memset(text + n, '1', TERN_TEXT_PAD);
    if (tern_gjson_compile(tern_str_of(path), arena, &gjson, &err) != TERN_OK ||
        tern_gjson_find(gjson, tern_str_make(text, n), arena, &found, &value, &err) != TERN_OK)
        return tern_arena_printf(arena, "!%s", err.text);
    return found ? tern_arena_copy(arena, value) : TERN_STR("-");
}

static void expect(const char *path, const char *document, const char *expected)
{
    struct tern_arena arena;

    tern_arena_init(&arena, 4096, 1u << 20);
    struct tern_str got = look(&arena, path, document);
    assert_string_equal(got.p, expected);
    tern_arena_fini(&arena);
}

static void finds(void **state)
{
    static const char *const rows[][2] = {
        {"name.last", "\"Anderson\""},
        {"age", "37"},
        {"name.none", "-"},
        {"age.none", "-"},
        {"nothing", "null"},
        {"nothing.x", "-"},
        {"children.1", "\"Alex\""},
        {"children.3", "-"},
        {"children.first", "-"},
        {"children|0", "\"Sara\""},
        {"child*.2", "\"Jack\""},
        {"c?ildren.0", "\"Sara\""},
        {"c?ldren.0", "-"},
        {"fav\\.movie", "\"Deer Hunter\""},
        {"odd\\*", "1"},
        {"@this.age", "37"},
        {"@this|age", "37"},
        {"children.#", "3"},
        {"empty.#", "0"},
        {"name.#", "-"},
        {"friends.#.first", "[\"Dale\",\"Roger\",\"Jane\"]"},
        {"friends.#.vip", "[true]"},
        {"empty.#.vip", "[]"},
        {"friends.#.none", "[]"},
        {"friends.#.nets.#", "[3,2,2]"},
        {"friends.#.nets.0", "[\"ig\",\"fb\",\"ig\"]"},
        {"friends.#.nets|0", "[\"ig\",\"fb\",\"tw\"]"},
        {"friends.#.nets|#", "3"},
        {"friends.#(last==\"Murphy\").first", "\"Dale\""},
        {"friends.#(last==Murphy)#.first", "[\"Dale\",\"Jane\"]"},
        {"friends.#(last==\"Murphy\")#|1.first", "\"Jane\""},
        {"friends.#(last=\"Craig\").first", "\"Roger\""},
        {"friends.#(last==\"none\")#.first", "[]"},
        {"friends.#(last==\"none\").first", "-"},
        {"friends.#(age>45)#.last", "[\"Craig\",\"Mu\\u0072phy\"]"},
        {"friends.#(age>=47)#.age", "[68,47]"},
        {"friends.#(age<45).age", "44"},
        {"friends.#(age<=44).age", "44"},
        {"friends.#(age!=44).age", "68"},
        {"friends.#(age>5e1).age", "68"},
        {"friends.#(age==old).age", "-"},
        {"friends.#(first%\"D*\").last", "\"Murphy\""},
        {"friends.#(first!%\"D*\").last", "\"Craig\""},
        {"friends.#(vip)#.first", "[\"Roger\"]"},
        {"friends.#(vip==true).first", "\"Roger\""},
        {"friends.#(vip==false).first", "-"},
        {"friends.#(vip>false).first", "\"Roger\""},
        {"friends.#(nets.#(==\"fb\"))#.first", "[\"Dale\",\"Roger\"]"},
        {"friends.#(nets.#(==\"fb\")#|#>0)#.first", "[\"Dale\",\"Roger\"]"},
        {"friends.#(nets.#>2).first", "\"Dale\""},
        {"friends.#( age > 45 ).first", "\"Roger\""},
        {"children.#(>\"J\")#", "[\"Sara\",\"Jack\"]"},
        {"children.#(==\"Alex\")", "\"Alex\""},
        {"children.#(!=\"Sara\")", "\"Alex\""},
        {"[@this].#(age==37).name.first", "\"Tom\""},
        {"[@this].#(age==38).name.first", "-"},
    };

    (void)state;
    for (size_t i = 0; i < TERN_COUNT_OF(rows); i++)
        expect(rows[i][0], people, rows[i][1]);
}

/* The conditions of KServe's own examples. */
static void conditions_of_kserve(void **state)
{
    static const char *const rows[][3] = {
        {"[@this].#(source==client)", "{\"source\":\"client\"}", "{\"source\":\"client\"}"},
        {"[@this].#(source==client)", "{\"source\":\"server\"}", "-"},
        {"instances.#(intval>10)", "{\"instances\":[{\"intval\":11}]}", "{\"intval\":11}"},
        {"instances.#(intval>10)", "{\"instances\":[{\"intval\":10}]}", "-"},
        {"instances.#(strval%*red*)", "{\"instances\":[{\"strval\":\"a red b\"}]}",
         "{\"strval\":\"a red b\"}"},
        {"[@this].#(predictions.0==\"dog\")", "{\"predictions\":[\"dog\"]}",
         "{\"predictions\":[\"dog\"]}"},
    };

    (void)state;
    for (size_t i = 0; i < TERN_COUNT_OF(rows); i++)
        expect(rows[i][0], rows[i][1], rows[i][2]);
}

static void refuses_paths(void **state)
{
    static const char *const rows[][2] = {
        {"a.@reverse", "modifiers other than @this are not supported, got one at byte 2"},
        {"{a,b}", "several paths at once are not supported (but [@this] is), got them at byte 0"},
        {"[a,b]", "several paths at once are not supported (but [@this] is), got them at byte 0"},
        {"a.!\"x\"", "literals are not supported, got one at byte 2"},
        {"..0", "lines of JSON (..) are not supported, got them at byte 0"},
        {"a..b", "a name is missing at byte 2"},
        {"a.", "a name is missing at byte 2"},
        {".a", "a name is missing at byte 0"},
        {"a.#(b==~true)", "~ is not supported, got it at byte 7"},
        {"a.#(b==1", "a query is never closed at byte 8"},
        {"a.#(b", "a query is never closed at byte 5"},
        {"a.#(b==\"1)", "a quote is never closed at byte 10"},
        {"a.#(b==\"1\"2)", "expected ) or a comparison at byte 10"},
        {"a\\", "nothing follows the \\ at byte 2"},
        {"a.#x", "expected . | or ( after # at byte 3"},
        {"a.#(b)c", "expected . or | at byte 6"},
        {"#.#.#.#.#.#.#.#.#.a", "too many # within each other at byte 19"},
        {"#(#(#(#(#(#(#(#(#(a)))))))))", "too many queries within each other at byte 16"},
    };
    char expected[256];

    (void)state;
    for (size_t i = 0; i < TERN_COUNT_OF(rows); i++) {
        snprintf(expected, sizeof(expected), "!condition \"%s\": %s", rows[i][0], rows[i][1]);
        expect(rows[i][0], "{}", expected);
    }
}

static void refuses_what_is_no_json(void **state)
{
    (void)state;
    expect("a", "{\"a\":1",
           "!failed to parse JSON: expected ',' or '}' at byte 6 (line 1, column 7), got the end");
}

static void refuses_without_memory(void **state)
{
    struct tern_arena arena;
    const struct tern_gjson *gjson;
    struct tern_err err;

    (void)state;
    for (size_t max = 0; max < 400; max += 16) {
        tern_arena_init(&arena, 64, max);
        if (tern_gjson_compile(TERN_STR("friends.#(a==1)#.b"), &arena, &gjson, &err) != TERN_OK)
            assert_int_equal(err.code, TERN_RESOURCE_EXHAUSTED);
        tern_arena_fini(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds),
        cmocka_unit_test(conditions_of_kserve),
        cmocka_unit_test(refuses_paths),
        cmocka_unit_test(refuses_what_is_no_json),
        cmocka_unit_test(refuses_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
