/* The file port: whole files and folders, and every call below it made to fail. */
// wrap: read fstat tern_mem_alloc
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/mem.h"
#include "harness/tree.h"
#include "os/file.h"

#define MAX 1000

static struct tern_err err;

/* The n-th next call of that function fails with that errno; 0: none does. */
static struct {
    int countdown;
    int number;
} reads, stats, allocations;

static bool fails(int *countdown, int number)
{
    if (*countdown == 0 || --*countdown > 0)
        return false;
    errno = number;
    return true;
}

ssize_t __real_read(int fd, void *p, size_t n);
ssize_t __wrap_read(int fd, void *p, size_t n);
ssize_t __wrap_read(int fd, void *p, size_t n)
{
    return fails(&reads.countdown, reads.number) ? -1 : __real_read(fd, p, n < 7 ? n : 7);
}

int __real_fstat(int fd, struct stat *st);
int __wrap_fstat(int fd, struct stat *st);
int __wrap_fstat(int fd, struct stat *st)
{
    return fails(&stats.countdown, stats.number) ? -1 : __real_fstat(fd, st);
}

void *__real_tern_mem_alloc(size_t size);
void *__wrap_tern_mem_alloc(size_t size);
void *__wrap_tern_mem_alloc(size_t size)
{
    return fails(&allocations.countdown, ENOMEM) ? NULL : __real_tern_mem_alloc(size);
}

static int open_files(void)
{
    int n = 0;
    DIR *dir = opendir("/proc/self/fd");

    while (readdir(dir) != NULL)
        n++;
    closedir(dir);
    return n;
}

static void test_a_whole_file_with_its_pad(void **state)
{
    struct tree tree;
    char path[TREE_PATH_MAX];
    char *bytes;
    size_t n;

    (void)state;
    tree_init(&tree);
    tree_write(&tree, "a", "more than seven bytes"); /* so read is called again and again */
    tree_path(&tree, "a", path);
    assert_int_equal(tern_file_read(path, MAX, 4, &bytes, &n, &err), TERN_OK);
    assert_int_equal(n, 21);
    assert_memory_equal(bytes, "more than seven bytes\0\0\0\0", 25);
    tern_mem_free(bytes);
    assert_int_equal(tern_file_read_stream(path, MAX, 4, &bytes, &n, &err), TERN_OK);
    assert_memory_equal(bytes, "more than seven bytes\0\0\0\0", 25);
    tern_mem_free(bytes);
    assert_int_equal(tern_file_read(path, 21, 0, &bytes, &n, &err), TERN_OK);
    tern_mem_free(bytes);
    assert_int_equal(tern_file_read(path, 20, 0, &bytes, &n, &err), TERN_RESOURCE_EXHAUSTED);
    assert_int_equal(tern_file_read_stream(path, 20, 0, &bytes, &n, &err), TERN_RESOURCE_EXHAUSTED);
    tree_fini(&tree);
}

static void test_the_first_bytes(void **state)
{
    struct tree tree;
    char path[TREE_PATH_MAX];
    char head[10];
    size_t n;

    (void)state;
    tree_init(&tree);
    tree_write(&tree, "a", "0123456789abcdef");
    tree_write(&tree, "b", "01");
    tree_path(&tree, "a", path);
    assert_int_equal(tern_file_head(path, head, sizeof(head), &n, &err), TERN_OK);
    assert_int_equal(n, 10);
    assert_memory_equal(head, "0123456789", 10);
    tree_path(&tree, "b", path);
    assert_int_equal(tern_file_head(path, head, sizeof(head), &n, &err), TERN_OK);
    assert_int_equal(n, 2);
    tree_fini(&tree);
}

static void test_a_folder_is_sorted_and_bounded(void **state)
{
    struct tern_arena arena;
    struct tern_file_names names;
    struct tern_file_info info;
    struct tree tree;
    char name[16];

    (void)state;
    tree_init(&tree);
    tern_arena_init(&arena, 4096, 1 << 20);
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof(name), "f%02d", 99 - i);
        tree_write(&tree, name, "x");
    }
    assert_int_equal(tern_file_list(tree.root, 100, &arena, &names, &err), TERN_OK);
    assert_int_equal(names.n, 100);
    assert_string_equal(names.rows[0].p, "f00");
    assert_string_equal(names.rows[99].p, "f99");
    assert_int_equal(tern_file_list(tree.root, 99, &arena, &names, &err), TERN_RESOURCE_EXHAUSTED);
    assert_int_equal(tern_file_stat(tree.root, &info, &err), TERN_OK);
    assert_true(info.is_folder && !info.is_regular);
    tern_arena_fini(&arena);
    tern_arena_init(&arena, 256, 512); /* too small for the list */
    assert_int_equal(tern_file_list(tree.root, 100, &arena, &names, &err), TERN_RESOURCE_EXHAUSTED);
    tern_arena_fini(&arena);
    tree_fini(&tree);
}

static void test_what_is_not_there_or_no_file(void **state)
{
    struct tern_arena arena;
    struct tern_file_names names;
    struct tern_file_info info;
    struct tree tree;
    char *bytes;
    size_t n;

    (void)state;
    tree_init(&tree);
    tern_arena_init(&arena, 256, 4096);
    assert_int_equal(tern_file_stat("/nonexistent/x", &info, &err), TERN_NOT_FOUND);
    assert_non_null(strstr(err.text, "/nonexistent/x"));
    assert_int_equal(tern_file_list("/nonexistent", 9, &arena, &names, &err), TERN_NOT_FOUND);
    assert_int_equal(tern_file_read("/nonexistent", 9, 0, &bytes, &n, &err), TERN_NOT_FOUND);
    assert_int_equal(tern_file_read_stream("/nonexistent", 9, 0, &bytes, &n, &err), TERN_NOT_FOUND);
    assert_int_equal(tern_file_read(tree.root, 9, 0, &bytes, &n, &err), TERN_INVALID_ARGUMENT);
    assert_int_equal(tern_file_read("/dev/null", 9, 0, &bytes, &n, &err), TERN_INVALID_ARGUMENT);
    tern_arena_fini(&arena);
    tree_fini(&tree);
}

static void test_a_failing_call_leaves_nothing_behind(void **state)
{
    struct tree tree;
    char path[TREE_PATH_MAX];
    char *bytes;
    size_t n;

    (void)state;
    tree_init(&tree);
    tree_write(&tree, "a", "more than seven bytes");
    tree_path(&tree, "a", path);
    int before = open_files();
    reads.number = EIO;
    for (int at = 1; at <= 3; at++) {
        reads.countdown = at;
        assert_int_equal(tern_file_read(path, MAX, 0, &bytes, &n, &err), TERN_INTERNAL);
        reads.countdown = at;
        assert_int_equal(tern_file_read_stream(path, MAX, 0, &bytes, &n, &err), TERN_INTERNAL);
    }
    reads.number = EINTR; /* is no failure */
    reads.countdown = 2;
    assert_int_equal(tern_file_read(path, MAX, 0, &bytes, &n, &err), TERN_OK);
    assert_int_equal(n, 21);
    tern_mem_free(bytes);
    stats.number = EACCES;
    stats.countdown = 1;
    assert_int_equal(tern_file_read(path, MAX, 0, &bytes, &n, &err), TERN_PERMISSION_DENIED);
    allocations.countdown = 1;
    assert_int_equal(tern_file_read(path, MAX, 0, &bytes, &n, &err), TERN_RESOURCE_EXHAUSTED);
    assert_int_equal(open_files(), before);
    tree_fini(&tree);
}

static void test_paths(void **state)
{
    struct tern_arena arena;

    (void)state;
    tern_arena_init(&arena, 64, 64);
    assert_string_equal(tern_file_join(&arena, "a", TERN_STR("b")), "a/b");
    assert_string_equal(tern_file_join(&arena, "a/", TERN_STR("b")), "a/b");
    assert_null(tern_file_join(&arena, "the arena has 64 bytes, and this name does not fit into",
                               TERN_STR("what is left of them")));
    tern_arena_fini(&arena);
    assert_true(tern_str_eq(tern_file_base_name("a/b.onnx/"), TERN_STR("b.onnx")));
    assert_true(tern_str_eq(tern_file_base_name("b"), TERN_STR("b")));
    assert_true(tern_str_eq(tern_file_base_name("/"), TERN_STR("")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_whole_file_with_its_pad),
        cmocka_unit_test(test_the_first_bytes),
        cmocka_unit_test(test_a_folder_is_sorted_and_bounded),
        cmocka_unit_test(test_what_is_not_there_or_no_file),
        cmocka_unit_test(test_a_failing_call_leaves_nothing_behind),
        cmocka_unit_test(test_paths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
