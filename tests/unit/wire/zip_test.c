/* ZIP archives: what is read, every damage of their records, and bombs. */
// wrap: tern_mem_alloc tern_mem_zalloc tern_mem_realloc tern_mem_alloc_aligned
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/arena.h"
#include "harness/mem_fails.h"
#include "harness/zip_write.h"
#include "wire/zip.h"

#define ONE "the first member, the first member, the first member"

static const struct tern_zip_limits limits = {.members = 100, .ratio = 100, .bytes = 1u << 30};
static struct tern_arena arena;

static int begin(void **state)
{
    (void)state;
    tern_arena_init(&arena, 4096, 64u << 20);
    return 0;
}

static int end(void **state)
{
    (void)state;
    tern_arena_fini(&arena);
    return 0;
}

static void expect_member(const struct tern_zip *zip, const char *name, struct tern_str bytes)
{
    const struct tern_zip_member *member = tern_zip_find(zip, tern_str_of(name));
    struct tern_str got = {NULL, 0};
    struct tern_err err = {.text = ""};

    assert_non_null(member);
    if (tern_zip_read(member, &arena, &got, &err) != TERN_OK)
        fail_msg("%s: %s", name, err.text);
    assert_true(tern_str_eq(got, bytes));
}

/* "a.txt" stored, "b.txt" deflated, "empty" of no bytes, deflated. */
static struct tern_str make(struct zip_write *w)
{
    zip_begin(w);
    zip_add(w, "a.txt", TERN_STR(ONE), false);
    zip_add(w, "b.txt", TERN_STR(ONE ONE), true);
    zip_add(w, "empty", TERN_STR(""), true);
    return zip_end(w);
}

static void reads_stored_and_deflated(void **state)
{
    struct zip_write w;
    struct tern_zip zip;
    struct tern_err err = {.text = ""};
    struct tern_str file = make(&w);

    (void)state;
    assert_true(tern_zip_is(file));
    assert_false(tern_zip_is(TERN_STR("PK")));
    if (tern_zip_open(file, &limits, &arena, &zip, &err) != TERN_OK)
        fail_msg("%s", err.text);
    assert_int_equal(zip.n_members, 3);
    expect_member(&zip, "a.txt", TERN_STR(ONE));
    expect_member(&zip, "b.txt", TERN_STR(ONE ONE));
    expect_member(&zip, "empty", TERN_STR(""));
    assert_null(tern_zip_find(&zip, TERN_STR("c.txt")));
    assert_null(tern_zip_find(&zip, TERN_STR("")));
    zip_free(&w);
}

static void a_comment_may_follow(void **state)
{
    struct zip_write w;
    struct tern_zip zip;
    size_t n = make(&w).n;

    (void)state;
    w.file.p[n - 2] = 3;
    TERN_BUF_ADD_LITERAL(&w.file, "PK!");
    assert_int_equal(tern_zip_open(tern_buf_str(&w.file), &limits, &arena, &zip, NULL), TERN_OK);
    expect_member(&zip, "a.txt", TERN_STR(ONE));
    zip_free(&w);
}

/* The directory's place and count in records of 64 bits, and one member's sizes. */
static struct tern_str make_large(struct zip_write *w)
{
    zip_begin(w);
    zip_add(w, "a.txt", TERN_STR(ONE), false);
    size_t at = w->file.n, n = sizeof(ONE) - 1;
    memset(w->directory.p + 20, 0xff, 8);
    w->directory.p[30] = 20; /* of extra fields */
    zip_number(&w->directory, 1, 2);
    zip_number(&w->directory, 16, 2);
    zip_number(&w->directory, n, 8);
    zip_number(&w->directory, n, 8);
    tern_buf_add_str(&w->file, tern_buf_str(&w->directory));
    size_t end_at = w->file.n;
    TERN_BUF_ADD_LITERAL(&w->file, "PK\6\6");
    zip_number(&w->file, 44, 8);
    zip_number(&w->file, 45, 4);
    zip_number(&w->file, 0, 8);
    zip_number(&w->file, 1, 8);
    zip_number(&w->file, 1, 8);
    zip_number(&w->file, w->directory.n, 8);
    zip_number(&w->file, at, 8);
    TERN_BUF_ADD_LITERAL(&w->file, "PK\6\7");
    zip_number(&w->file, 0, 4);
    zip_number(&w->file, end_at, 8);
    zip_number(&w->file, 1, 4);
    TERN_BUF_ADD_LITERAL(&w->file, "PK\5\6");
    zip_number(&w->file, 0, 4);
    zip_number(&w->file, 0xffffffff, 4);
    zip_number(&w->file, UINT64_MAX, 8);
    zip_number(&w->file, 0, 2);
    return tern_buf_str(&w->file);
}

static void large_archives_have_records_of_their_own(void **state)
{
    struct zip_write w;
    struct tern_zip zip;
    struct tern_err err = {.text = ""};
    struct tern_str file = make_large(&w);

    (void)state;
    if (tern_zip_open(file, &limits, &arena, &zip, &err) != TERN_OK)
        fail_msg("%s", err.text);
    expect_member(&zip, "a.txt", TERN_STR(ONE));
    w.file.p[file.n - 22 - 20]++; /* the locator's mark */
    assert_int_equal(tern_zip_open(file, &limits, &arena, &zip, &err), TERN_INVALID_ARGUMENT);
    assert_non_null(strstr(err.text, "Zip64"));
    zip_free(&w);
}

static void damages_are_refused(void **state)
{
    /* `at` counts from a record: the end, the directory's first or the first local header. */
    enum { END_AT, DIR_AT, LOCAL_AT };
    static const struct {
        int from;
        size_t at;
        unsigned char value;
        const char *error;
    } rows[] = {
        {END_AT, 0, 'x', "cut off"},
        {END_AT, 4, 1, "several disks"},
        {END_AT, 10, 2, "several disks"},
        {END_AT, 16, 255, "does not fit"},
        {END_AT, 13, 255, "does not fit"},
        {DIR_AT, 0, 'x', "expected an entry of the directory at byte"},
        {DIR_AT, 8, 1, "member 'a.txt': it is encrypted"},
        {DIR_AT, 10, 12, "neither 'stored' nor 'deflated'"},
        {DIR_AT, 16, 0, "another checksum"},
        {DIR_AT, 20, 1, "no bytes unpack to the size"},
        {DIR_AT, 29, 255, "goes beyond its end"},
        {DIR_AT, 30, 1, "expected an entry of the directory at byte"},
        {DIR_AT, 42, 1, "no local header"},
        {DIR_AT, 46, 'x', "differs from the directory"},
        {LOCAL_AT, 0, 'x', "no local header"},
        {LOCAL_AT, 8, 8, "differs from the directory"},
        {LOCAL_AT, 26, 4, "differs from the directory"},
        {LOCAL_AT, 28, 255, "another checksum"},
        {LOCAL_AT, 29, 255, "beyond the file"},
        {LOCAL_AT, 40, 'x', "another checksum"},
    };
    struct tern_zip zip;

    (void)state;
    for (size_t i = 0; i < TERN_COUNT_OF(rows); i++) {
        struct zip_write w;
        struct tern_err err = {.text = ""};
        struct tern_str file = make(&w), bytes;
        size_t from = rows[i].from == END_AT   ? file.n - 22
                      : rows[i].from == DIR_AT ? file.n - 22 - w.directory.n
                                               : 0;
        w.file.p[from + rows[i].at] = (char)rows[i].value;
        enum tern_code code = tern_zip_open(file, &limits, &arena, &zip, &err);
        if (code == TERN_OK)
            code = tern_zip_read(&zip.members[0], &arena, &bytes, &err);
        if (code == TERN_OK || strstr(err.text, rows[i].error) == NULL)
            fail_msg("row %zu gave: %s", i, code == TERN_OK ? "no error" : err.text);
        zip_free(&w);
    }
}

static void damaged_streams_are_refused(void **state)
{
    struct zip_write w;
    struct tern_zip zip;
    struct tern_err err;
    struct tern_str bytes;

    (void)state;
    make(&w);
    assert_int_equal(tern_zip_open(tern_buf_str(&w.file), &limits, &arena, &zip, &err), TERN_OK);
    struct tern_zip_member member = zip.members[1];
    for (int i = 0; i < 3; i++) {
        struct tern_zip_member wrong = member;
        wrong.size += i == 0 ? 1 : 0;
        wrong.size -= i == 1 ? 1 : 0;
        wrong.packed.n -= i == 2 ? 2 : 0;
        assert_int_equal(tern_zip_read(&wrong, &arena, &bytes, &err), TERN_INVALID_ARGUMENT);
        assert_non_null(strstr(err.text, "member 'b.txt': its compressed bytes are damaged"));
    }
    zip_free(&w);
}

static void every_shorter_file_is_refused(void **state)
{
    struct zip_write w;
    struct tern_zip zip;
    struct tern_str file = make(&w);

    (void)state;
    for (size_t n = 0; n < file.n; n++)
        assert_int_equal(tern_zip_open(tern_str_make(file.p, n), &limits, &arena, &zip, NULL),
                         TERN_INVALID_ARGUMENT);
    zip_free(&w);
}

static void expect_refusal(struct tern_str file, const struct tern_zip_limits *some,
                           enum tern_code code, const char *text)
{
    struct tern_zip zip;
    struct tern_err err = {.text = ""};

    assert_int_equal(tern_zip_open(file, some, &arena, &zip, &err), code);
    if (strstr(err.text, text) == NULL)
        fail_msg("%s", err.text);
}

static void limits_hold_before_memory_is_taken(void **state)
{
    const struct tern_zip_limits few = {.members = 2, .ratio = 100, .bytes = 1u << 30};
    const struct tern_zip_limits small = {.members = 9, .ratio = 100, .bytes = 100};
    struct zip_write w;
    struct tern_str file = make(&w);

    (void)state;
    expect_refusal(file, &few, TERN_RESOURCE_EXHAUSTED, "3 members, at most 2");
    expect_refusal(file, &small, TERN_RESOURCE_EXHAUSTED, "at most 100 are allowed");
    zip_free(&w);

    size_t n = TERN_ZIP_RATIO_FLOOR + 1;
    char *zeros = calloc(1, n);
    assert_non_null(zeros);
    zip_begin(&w);
    zip_add(&w, "bomb", tern_str_make(zeros, n), true);
    expect_refusal(zip_end(&w), &limits, TERN_RESOURCE_EXHAUSTED, "more than 100 times");
    zip_free(&w);
    free(zeros);
}

static void names_and_bytes_belong_to_one_member(void **state)
{
    struct zip_write w;

    (void)state;
    zip_begin(&w);
    zip_add(&w, "a", TERN_STR("1"), false);
    zip_add(&w, "a", TERN_STR("2"), false);
    expect_refusal(zip_end(&w), &limits, TERN_INVALID_ARGUMENT, "member 'a': two have this name");
    zip_free(&w);

    zip_begin(&w);
    zip_add(&w, "a", TERN_STR(ONE ONE ONE), false);
    size_t n = w.directory.n;
    tern_buf_reserve(&w.directory, 9 * n);
    for (int i = 0; i < 9; i++)
        tern_buf_add(&w.directory, w.directory.p, n);
    w.n = 10;
    expect_refusal(zip_end(&w), &limits, TERN_INVALID_ARGUMENT, "share the same bytes");
    zip_free(&w);
}

static void without_memory(void **state)
{
    struct zip_write w;
    struct tern_str file = make(&w), bytes;
    enum tern_code code = TERN_RESOURCE_EXHAUSTED;

    (void)state;
    for (long at = 0; code != TERN_OK; at++) {
        struct tern_arena small;
        struct tern_zip zip;
        struct tern_err err;
        tern_arena_init(&small, 64, 64u << 20);
        mem_calls = 0;
        mem_fail_at = at;
        code = tern_zip_open(file, &limits, &small, &zip, &err);
        if (code == TERN_OK)
            code = tern_zip_read(&zip.members[1], &small, &bytes, &err);
        mem_fail_at = -1;
        assert_true(code == TERN_OK || code == TERN_RESOURCE_EXHAUSTED);
        assert_true(at < 100);
        tern_arena_fini(&small);
    }
    zip_free(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_stored_and_deflated),
        cmocka_unit_test(a_comment_may_follow),
        cmocka_unit_test(large_archives_have_records_of_their_own),
        cmocka_unit_test(damages_are_refused),
        cmocka_unit_test(damaged_streams_are_refused),
        cmocka_unit_test(every_shorter_file_is_refused),
        cmocka_unit_test(limits_hold_before_memory_is_taken),
        cmocka_unit_test(names_and_bytes_belong_to_one_member),
        cmocka_unit_test(without_memory),
    };

    return cmocka_run_group_tests(tests, begin, end);
}
