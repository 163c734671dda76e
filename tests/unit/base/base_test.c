/* The small things that everything stands on: strings, numbers, arenas, buffers, types, errors. */
// covers: base/arena base/buf base/clock base/dtype base/err base/hash base/mem base/num base/str
// wrap: tern_mem_alloc tern_mem_realloc
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/account.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/dtype.h"
#include "base/hash.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/num.h"

void *__real_tern_mem_alloc(size_t size);
void *__wrap_tern_mem_alloc(size_t size);
void *__real_tern_mem_realloc(void *p, size_t size);
void *__wrap_tern_mem_realloc(void *p, size_t size);

static int calls_left = -1; /* allocations until one fails; -1: none fails */
static int allocations;

static bool fails(void)
{
    allocations++;
    return calls_left >= 0 && calls_left-- == 0;
}

void *__wrap_tern_mem_alloc(size_t size)
{
    return fails() ? NULL : __real_tern_mem_alloc(size);
}

void *__wrap_tern_mem_realloc(void *p, size_t size)
{
    return fails() ? NULL : __real_tern_mem_realloc(p, size);
}

static void assert_str(struct tern_str s, const char *want)
{
    assert_int_equal(s.n, strlen(want));
    assert_true(s.n == 0 || memcmp(s.p, want, s.n) == 0);
}

static void test_strings(void **state)
{
    (void)state;
    assert_true(tern_str_eq_nocase(TERN_STR("Content-Type"), TERN_STR("content-TYPE")));
    assert_false(
        tern_str_eq_nocase(TERN_STR("a["), TERN_STR("a{"))); /* differ by 0x20, no letters */
    assert_str(tern_str_trim(TERN_STR(" \t a b \t")), "a b");
    assert_str(tern_str_trim(TERN_STR("  ")), "");
    assert_int_equal(tern_str_find(TERN_STR("abc"), 'c'), 2);
    assert_int_equal(tern_str_find(TERN_STR("abc"), 'x'), 3);
    assert_true(tern_str_ends(TERN_STR("model.onnx"), TERN_STR(".onnx")));
    assert_false(tern_str_ends(TERN_STR("nnx"), TERN_STR(".onnx")));
    assert_true(tern_str_cmp(TERN_STR("ab"), TERN_STR("abc")) < 0);
    assert_true(tern_str_cmp(TERN_STR("b"), TERN_STR("abc")) > 0);
    assert_str(tern_str_from(TERN_STR("abc"), 1), "bc");
    assert_str(tern_str_from(TERN_STR("abc"), 9), "");
}

static void test_splitting_keeps_empty_pieces(void **state)
{
    struct tern_str rest = TERN_STR("a,,b,"), piece;
    (void)state;
    assert_true(tern_str_split(&rest, ',', &piece));
    assert_str(piece, "a");
    assert_true(tern_str_split(&rest, ',', &piece));
    assert_str(piece, "");
    assert_true(tern_str_split(&rest, ',', &piece));
    assert_str(piece, "b");
    assert_true(tern_str_split(&rest, ',', &piece));
    assert_str(piece, "");
    assert_false(tern_str_split(&rest, ',', &piece));
}

static void test_utf8(void **state)
{
    static const struct {
        const char *text;
        bool ok;
    } rows[] = {
        {"", true},
        {"plain ascii that is longer than eight bytes", true},
        {"gr\xC3\xBC\xC3\x9F dich", true},
        {"\xE2\x82\xAC", true},
        {"\xF0\x9F\xA6\x86", true},
        {"\xF4\x8F\xBF\xBF", true},
        {"\xC0\x80", false},         /* overlong NUL */
        {"\xE0\x80\xAF", false},     /* overlong slash */
        {"\xED\xA0\x80", false},     /* a surrogate */
        {"\xF4\x90\x80\x80", false}, /* above U+10FFFF */
        {"\xF8\x88\x80\x80\x80", false},
        {"\x80", false},
        {"12345678\xE2\x82", false}, /* cut short */
        {"1234567\xC3(", false},
    };
    (void)state;
    for (size_t i = 0; i < TERN_COUNT_OF(rows); i++)
        assert_int_equal(tern_str_is_utf8(tern_str_of(rows[i].text)), rows[i].ok);
}

static void test_digits_are_strict(void **state)
{
    static const char *const bad[] = {"",
                                      "+5",
                                      " 5",
                                      "5 ",
                                      "0x5",
                                      "1_0",
                                      "-1",
                                      "1.0",
                                      "1e3",
                                      "18446744073709551616",
                                      "99999999999999999999999"};
    uint64_t v = 7;
    (void)state;
    for (size_t i = 0; i < TERN_COUNT_OF(bad); i++)
        assert_false(tern_num_parse_u64(tern_str_of(bad[i]), UINT64_MAX, &v));
    assert_int_equal(v, 7); /* untouched */
    assert_true(tern_num_parse_u64(TERN_STR("18446744073709551615"), UINT64_MAX, &v));
    assert_true(v == UINT64_MAX);
    assert_false(tern_num_parse_u64(TERN_STR("101"), 100, &v));
}

static void test_signed_digits(void **state)
{
    int64_t v;
    (void)state;
    assert_true(tern_num_parse_i64(TERN_STR("-9223372036854775808"), &v));
    assert_true(v == INT64_MIN);
    assert_true(tern_num_parse_i64(TERN_STR("9223372036854775807"), &v));
    assert_true(v == INT64_MAX);
    assert_false(tern_num_parse_i64(TERN_STR("9223372036854775808"), &v));
    assert_false(tern_num_parse_i64(TERN_STR("-"), &v));
    assert_false(tern_num_parse_i64(TERN_STR("--1"), &v));
}

static void test_sizes_and_durations(void **state)
{
    uint64_t v;
    (void)state;
    assert_true(tern_num_parse_size(TERN_STR("64MiB"), &v) && v == 64u << 20);
    assert_true(tern_num_parse_size(TERN_STR("1k"), &v) && v == 1024);
    assert_false(tern_num_parse_size(TERN_STR("1kb2"), &v));
    assert_false(tern_num_parse_size(TERN_STR("18446744073709551615k"), &v)); /* overflows */
    assert_true(tern_num_parse_duration(TERN_STR("10"), &v) && v == 10000000000u);
    assert_true(tern_num_parse_duration(TERN_STR("250ms"), &v) && v == 250000000u);
    assert_true(tern_num_parse_duration(TERN_STR("2h"), &v) && v == 7200000000000u);
    assert_false(tern_num_parse_duration(TERN_STR("ms"), &v));
}

static void test_formatting_numbers(void **state)
{
    char text[20];
    (void)state;
    assert_str(tern_str_make(text, tern_num_format_u64(0, text)), "0");
    assert_str(tern_str_make(text, tern_num_format_u64(UINT64_MAX, text)), "18446744073709551615");
}

static void count_run(void *arg)
{
    int *order = arg;
    order[0]++;
    order[order[0]] = order[0];
}

static void test_an_arena_gives_aligned_memory_up_to_its_limit(void **state)
{
    struct tern_arena arena;
    (void)state;
    tern_arena_init(&arena, 256, 1000);
    assert_non_null(tern_arena_alloc(&arena, 1, 0)); /* an empty tensor's bytes, and no failure */
    tern_arena_reset(&arena);
    for (size_t align = 1; align <= 64; align *= 2) {
        char *p = tern_arena_alloc(&arena, align, 3);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % align, 0);
    }
    assert_null(tern_arena_alloc(&arena, 1, 1000)); /* some of the 1000 are used */
    assert_non_null(tern_arena_alloc(&arena, 1, 1000 - arena.used));
    assert_null(tern_arena_alloc(&arena, 1, 1));
    assert_null(tern_arena_zalloc(&arena, SIZE_MAX / 2, 4)); /* the product overflows */
    tern_arena_fini(&arena);
}

static void test_a_reset_arena_allocates_nothing_for_the_same_work(void **state)
{
    struct tern_arena arena;
    (void)state;
    tern_arena_init(&arena, 1024, 1u << 20);
    assert_non_null(tern_arena_alloc(&arena, 8, 900));
    tern_arena_reset(&arena);
    int before = allocations;
    for (int i = 0; i < 1000; i++) {
        assert_non_null(tern_arena_alloc(&arena, 8, 900));
        tern_arena_reset(&arena);
    }
    assert_int_equal(allocations, before);
    /* One huge request does not make every later one hold on to its memory. */
    assert_non_null(tern_arena_alloc(&arena, 8, 1u << 19));
    tern_arena_reset(&arena);
    assert_true((size_t)(arena.end - arena.at) <= 1024);
    tern_arena_fini(&arena);
}

static void test_cleanups_run_last_first_and_once(void **state)
{
    struct tern_arena arena;
    int order[4] = {0};
    (void)state;
    tern_arena_init(&arena, 256, 4096);
    assert_int_equal(tern_arena_on_reset(&arena, count_run, order, NULL), TERN_OK);
    assert_int_equal(tern_arena_on_reset(&arena, count_run, order, NULL), TERN_OK);
    tern_arena_reset(&arena);
    assert_int_equal(order[0], 2);
    tern_arena_reset(&arena);
    assert_int_equal(order[0], 2);
    tern_arena_fini(&arena);
}

static void test_an_arena_is_charged_for_what_it_does_not_keep(void **state)
{
    struct tern_account *account = NULL;
    struct tern_arena arena;
    struct tern_err err;

    (void)state;
    assert_int_equal(tern_account_new(1u << 20, 1, &account, &err), TERN_OK);
    tern_arena_init(&arena, 4096, 8u << 20);
    arena.till = tern_account_till(account, 0);
    assert_non_null(tern_arena_alloc(&arena, 1, 4000));
    assert_int_equal(tern_account_used(account), 0); /* the first chunk is kept */
    assert_non_null(tern_arena_alloc(&arena, 1, 400000));
    uint64_t used = tern_account_used(account);
    assert_true(used >= 400000 && used < 410000);
    assert_null(tern_arena_alloc(&arena, 1, 1u << 20));
    assert_int_equal(tern_account_used(account), used);
    assert_int_equal(tern_arena_fail(&arena, &err, "a thing"), TERN_RESOURCE_EXHAUSTED);
    assert_int_equal(tern_err_http_status(&err), 503); /* not the request's own limit */
    tern_arena_reset(&arena);
    assert_int_equal(tern_account_used(account), 0);
    assert_non_null(tern_arena_alloc(&arena, 1, 400000));
    assert_int_equal(tern_arena_fail(&arena, &err, "a thing"), TERN_RESOURCE_EXHAUSTED);
    assert_int_equal(tern_err_http_status(&err), 413);
    tern_arena_fini(&arena);
    assert_int_equal(tern_account_used(account), 0);
    tern_account_free(account);
}

static void test_an_arena_without_memory_says_so(void **state)
{
    struct tern_arena arena;
    struct tern_err err;
    (void)state;
    tern_arena_init(&arena, 256, 4096);
    calls_left = 0;
    assert_null(tern_arena_alloc(&arena, 8, 16));
    assert_int_equal(tern_arena_on_reset(&arena, count_run, NULL, &err), TERN_OK); /* second try */
    arena.cleanups = NULL;
    assert_int_equal(tern_arena_fail(&arena, &err, "a thing"), TERN_RESOURCE_EXHAUSTED);
    assert_int_equal(tern_err_http_status(&err), 413); /* asking again does not help */
    tern_arena_fini(&arena);
    calls_left = -1;
}

static void test_a_buffer_stops_at_its_maximum_and_stays_failed(void **state)
{
    struct tern_buf buf;
    struct tern_err err;
    (void)state;
    tern_buf_init(&buf, 10);
    tern_buf_add_str(&buf, TERN_STR("12345"));
    tern_buf_add_u64(&buf, 0); /* reserves 20: more than fits */
    assert_true(buf.failed);
    tern_buf_add_char(&buf, 'x'); /* would fit, and does nothing any more */
    assert_str(tern_buf_str(&buf), "12345");
    assert_int_equal(tern_buf_check(&buf, "the text", &err), TERN_RESOURCE_EXHAUSTED);
    assert_int_equal(tern_err_http_status(&err), 413);
    assert_non_null(strstr(err.text, "the text"));
    tern_buf_clear(&buf);
    assert_int_equal(tern_buf_check(&buf, "the text", &err), TERN_OK);
    tern_buf_fini(&buf);
}

static void test_a_buffer_without_memory(void **state)
{
    struct tern_buf buf;
    (void)state;
    tern_buf_init(&buf, 1u << 20);
    calls_left = 0;
    tern_buf_add_str(&buf, TERN_STR("abc"));
    calls_left = -1;
    assert_true(buf.failed);
    assert_int_equal(buf.n, 0);
    tern_buf_fini(&buf);
}

static void test_buffer_contents(void **state)
{
    struct tern_buf buf;
    (void)state;
    tern_buf_init(&buf, 1u << 20);
    tern_buf_printf(&buf, "%s=%d;", "a", 1);
    tern_buf_add_i64(&buf, INT64_MIN);
    TERN_BUF_ADD_LITERAL(&buf, "!");
    assert_str(tern_buf_str(&buf), "a=1;-9223372036854775808!");
    tern_buf_consume(&buf, 4);
    assert_str(tern_buf_str(&buf), "-9223372036854775808!");
    tern_buf_consume(&buf, 1000);
    assert_int_equal(buf.n, 0);
    tern_buf_fini(&buf);
}

static void test_dtypes(void **state)
{
    char name[16];
    (void)state;
    for (unsigned i = 1; i < TERN_DTYPE_COUNT; i++) {
        enum tern_dtype dtype = (enum tern_dtype)i;
        assert_int_equal(tern_dtype_from_name(tern_str_of(tern_dtype_name(dtype))), dtype);
        tern_dtype_config_name(dtype, name);
        assert_int_equal(tern_dtype_from_config_name(tern_str_of(name)), dtype);
    }
    assert_int_equal(tern_dtype_from_name(TERN_STR("fp32")), TERN_DTYPE_INVALID);
    assert_int_equal(tern_dtype_from_config_name(TERN_STR("TYPE_BYTES")), TERN_DTYPE_INVALID);
    assert_int_equal(tern_dtype_from_config_name(TERN_STR("TYPE_STRING")), TERN_DTYPE_BYTES);
    assert_int_equal(tern_dtype_size(TERN_DTYPE_BF16), 2);
    assert_int_equal(tern_dtype_size((enum tern_dtype)99), 0);
}

static void test_errors(void **state)
{
    struct tern_err err;
    (void)state;
    assert_int_equal(tern_fail(&err, TERN_NOT_FOUND, "no %s", "cake"), TERN_NOT_FOUND);
    assert_int_equal(tern_err_http_status(&err), 404);
    tern_err_prefix(&err, "kitchen %d", 3);
    assert_string_equal(err.text, "kitchen 3: no cake");
    tern_fail_http(&err, TERN_INVALID_ARGUMENT, 415, "odd");
    assert_int_equal(tern_err_http_status(&err), 415);
    tern_fail(&err, TERN_INTERNAL, "/a/b/m: gone, /a/b/n too, /a/");
    tern_err_hide(&err, "/a/b/", 5);
    assert_string_equal(err.text, "m: gone, n too, /a/");
    tern_err_hide(&err, "", 0);
    tern_fail(NULL, TERN_INTERNAL, "nobody listens");
    assert_string_equal(tern_code_label(TERN_RESOURCE_EXHAUSTED), "resource_exhausted");
    assert_string_equal(tern_code_name((enum tern_code)77), "UNKNOWN");
    /* A long text is cut, never overrun. */
    char long_text[2000];
    memset(long_text, 'x', sizeof(long_text));
    long_text[sizeof(long_text) - 1] = '\0';
    tern_fail(&err, TERN_INTERNAL, "%s", long_text);
    tern_err_prefix(&err, "%s", "front");
    assert_int_equal(strlen(err.text), TERN_ERR_TEXT_MAX - 1);
}

static void test_lists(void **state)
{
    struct tern_list head, a, b;
    (void)state;
    tern_list_init(&head);
    tern_list_init(&a);
    tern_list_init(&b);
    assert_null(tern_list_pop(&head));
    tern_list_append(&head, &a);
    tern_list_append(&head, &b);
    tern_list_remove(&a);
    tern_list_remove(&a); /* twice is harmless */
    assert_ptr_equal(tern_list_pop(&head), &b);
    assert_true(tern_list_is_empty(&head));
}

static void test_hashes_spread(void **state)
{
    unsigned char hit[1024] = {0};
    int collisions = 0;
    (void)state;
    for (int i = 0; i < 512; i++) {
        char name[16];
        size_t n = tern_num_format_u64((uint64_t)i, name);
        unsigned slot = (unsigned)tern_hash_bytes(tern_str_make(name, n), 1) & 1023;
        collisions += hit[slot]++ > 0;
    }
    assert_true(collisions < 160); /* 109 are expected of a random function */
    assert_true(tern_hash_bytes(TERN_STR("a"), 1) != tern_hash_bytes(TERN_STR("a"), 2));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_strings),
        cmocka_unit_test(test_splitting_keeps_empty_pieces),
        cmocka_unit_test(test_utf8),
        cmocka_unit_test(test_digits_are_strict),
        cmocka_unit_test(test_signed_digits),
        cmocka_unit_test(test_sizes_and_durations),
        cmocka_unit_test(test_formatting_numbers),
        cmocka_unit_test(test_an_arena_gives_aligned_memory_up_to_its_limit),
        cmocka_unit_test(test_a_reset_arena_allocates_nothing_for_the_same_work),
        cmocka_unit_test(test_cleanups_run_last_first_and_once),
        cmocka_unit_test(test_an_arena_without_memory_says_so),
        cmocka_unit_test(test_an_arena_is_charged_for_what_it_does_not_keep),
        cmocka_unit_test(test_a_buffer_stops_at_its_maximum_and_stays_failed),
        cmocka_unit_test(test_a_buffer_without_memory),
        cmocka_unit_test(test_buffer_contents),
        cmocka_unit_test(test_dtypes),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_hashes_spread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
