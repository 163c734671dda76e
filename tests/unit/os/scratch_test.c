/* Scratch folders: private, nothing leads out of them, all of them goes. */
// wrap: write mkdir tern_mem_strdup
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/mem.h"
#include "harness/tree.h"
#include "os/file.h"
#include "os/scratch.h"

static struct tern_err err;
static struct tree tree;
static int failing_write, failing_mkdir, failing_alloc; /* the n-th next call fails; 0: none */

static bool fails(int *countdown, int number)
{
    if (*countdown == 0 || --*countdown > 0)
        return false;
    errno = number;
    return true;
}

ssize_t __real_write(int fd, const void *p, size_t n);
ssize_t __wrap_write(int fd, const void *p, size_t n);
ssize_t __wrap_write(int fd, const void *p, size_t n)
{
    return fails(&failing_write, ENOSPC) ? -1 : __real_write(fd, p, n < 5 ? n : 5);
}

int __real_mkdir(const char *path, mode_t mode);
int __wrap_mkdir(const char *path, mode_t mode);
int __wrap_mkdir(const char *path, mode_t mode)
{
    return fails(&failing_mkdir, EACCES) ? -1 : __real_mkdir(path, mode);
}

char *__real_tern_mem_strdup(struct tern_str s);
char *__wrap_tern_mem_strdup(struct tern_str s);
char *__wrap_tern_mem_strdup(struct tern_str s)
{
    return fails(&failing_alloc, ENOMEM) ? NULL : __real_tern_mem_strdup(s);
}

static int setup(void **state)
{
    char path[TREE_PATH_MAX];

    tree_init(&tree);
    tree_path(&tree, "", path);
    setenv("TMPDIR", path, 1);
    *state = NULL;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    failing_write = failing_mkdir = failing_alloc = 0;
    tree_fini(&tree);
    return 0;
}

static void test_files_come_and_go(void **state)
{
    char *folder = NULL;
    char path[TREE_PATH_MAX + 64];
    char *bytes;
    size_t n;
    struct stat st;

    (void)state;
    assert_int_equal(tern_scratch_new(&folder, &err), TERN_OK);
    assert_int_equal(stat(folder, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    struct tern_str text = TERN_STR("more than one write takes");
    assert_int_equal(tern_scratch_write(folder, TERN_STR("m/1/model.onnx"), text, &err), TERN_OK);
    assert_int_equal(tern_scratch_write(folder, TERN_STR("m/1/empty"), TERN_STR(""), &err),
                     TERN_OK);
    assert_int_equal(tern_scratch_write(folder, TERN_STR("m/1/empty"), TERN_STR(""), &err),
                     TERN_ALREADY_EXISTS);
    snprintf(path, sizeof(path), "%s/m/1/model.onnx", folder);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(tern_file_read(path, 1000, 0, &bytes, &n, &err), TERN_OK);
    assert_true(tern_str_eq(tern_str_make(bytes, n), text));
    tern_mem_free(bytes);
    /* A link is removed; what it points to stays. */
    tree_write(&tree, "kept", "");
    char kept[TREE_PATH_MAX];
    tree_path(&tree, "kept", kept);
    snprintf(path, sizeof(path), "%s/m/link", folder);
    assert_int_equal(symlink(kept, path), 0);
    snprintf(path, sizeof(path), "%s", folder);
    tern_scratch_free(folder);
    assert_int_equal(stat(path, &st), -1);
    assert_int_equal(stat(kept, &st), 0);
}

static void test_nothing_leads_out(void **state)
{
    static const char *const names[] = {"",      "/",    "/etc/x", "..",   "a/../b",
                                        "a/./b", "a//b", "a/",     "a\\b", "../x"};
    char *folder = NULL;

    (void)state;
    assert_int_equal(tern_scratch_new(&folder, &err), TERN_OK);
    for (size_t i = 0; i < TERN_COUNT_OF(names); i++)
        assert_int_equal(tern_scratch_write(folder, tern_str_of(names[i]), TERN_STR("x"), &err),
                         TERN_INVALID_ARGUMENT);
    assert_false(tern_scratch_is_inside(tern_str_make("a\0b", 3)));
    char large[TERN_SCRATCH_NAME_MAX + 2];
    memset(large, 'a', sizeof(large));
    assert_false(tern_scratch_is_inside(tern_str_make(large, sizeof(large) - 1)));
    assert_false(tern_scratch_is_inside(tern_str_make(large, 256))); /* no file is called that */
    assert_true(tern_scratch_is_inside(TERN_STR("1/model.onnx")));
    assert_true(tern_scratch_is_inside(TERN_STR("..a/b..")));
    tern_scratch_free(folder);
}

static void test_every_failure_is_one(void **state)
{
    char *folder = NULL;

    (void)state;
    failing_alloc = 1;
    assert_int_equal(tern_scratch_new(&folder, &err), TERN_RESOURCE_EXHAUSTED);
    setenv("TMPDIR", "/nowhere/at/all", 1);
    assert_int_equal(tern_scratch_new(&folder, &err), TERN_INTERNAL);
    char path[TREE_PATH_MAX];
    tree_path(&tree, "", path);
    setenv("TMPDIR", path, 1);
    assert_int_equal(tern_scratch_new(&folder, &err), TERN_OK);
    failing_mkdir = 1;
    assert_int_equal(tern_scratch_write(folder, TERN_STR("a/b"), TERN_STR("x"), &err),
                     TERN_INTERNAL);
    failing_write = 2;
    assert_int_equal(tern_scratch_write(folder, TERN_STR("a/b"), TERN_STR("a long text"), &err),
                     TERN_RESOURCE_EXHAUSTED);
    tern_scratch_free(folder);
    tern_scratch_free(NULL);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_files_come_and_go),
        CASE(test_nothing_leads_out),
        CASE(test_every_failure_is_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
