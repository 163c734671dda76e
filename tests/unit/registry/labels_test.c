/* Label files: lines of any end, files that are not there or too large. */
// wrap: tern_mem_alloc tern_mem_zalloc tern_mem_realloc tern_mem_alloc_aligned
#include "registry/labels.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "harness/mem_fails.h"
#include "harness/tree.h"

static struct tree tree;
static struct tern_arena arena;

static int prepare(void **state)
{
    (void)state;
    tree_init(&tree);
    tern_arena_init(&arena, 4096, 1u << 20);
    return 0;
}

static int clean(void **state)
{
    (void)state;
    tern_arena_fini(&arena);
    tree_fini(&tree);
    return 0;
}

static enum tern_code load(const char *name, const struct tern_labels **ret, struct tern_err *err)
{
    char path[TREE_PATH_MAX];
    struct tern_tensor_spec outputs[] = {{.name = TERN_STR("a")}, {.name = TERN_STR("b")}};

    if (name != NULL) {
        tree_path(&tree, name, path);
        outputs[1].label_path = tern_str_of(path);
    }
    return tern_labels_load(outputs, 2, &arena, ret, err);
}

static void lines_are_labels(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint32_t n;
        const char *last;
    } rows[] = {
        {"", 0, ""},
        {"cat", 1, "cat"},
        {"cat\n", 1, "cat"},
        {"a\r\nb\r\n", 2, "b"},
        {"a\n\nb c\n", 3, "b c"},
        {"a\n\n", 2, ""},
    };
    for (size_t i = 0; i < TERN_COUNT_OF(rows); i++) {
        const struct tern_labels *labels = NULL;
        tree_write(&tree, "labels.txt", rows[i].text);
        assert_int_equal(load("labels.txt", &labels, NULL), TERN_OK);
        assert_int_equal(labels[0].n, 0); /* the other output has none */
        assert_int_equal(labels[1].n, rows[i].n);
        if (rows[i].n > 0)
            assert_true(tern_str_eq(labels[1].rows[rows[i].n - 1], tern_str_of(rows[i].last)));
    }
}

static void none_are_none(void **state)
{
    (void)state;
    static const struct tern_labels some;
    const struct tern_labels *labels = &some;
    assert_int_equal(load(NULL, &labels, NULL), TERN_OK);
    assert_null(labels);
}

static void a_file_wins_over_the_model(void **state)
{
    static const struct tern_str own[] = {{"x", 1}, {"y", 1}};
    char path[TREE_PATH_MAX];
    struct tern_tensor_spec outputs[] = {{.name = TERN_STR("a"), .labels = {own, 2}},
                                         {.name = TERN_STR("b"), .labels = {own, 2}},
                                         {.name = TERN_STR("c")}};
    const struct tern_labels *labels = NULL;

    (void)state;
    tree_write(&tree, "labels.txt", "cat\n");
    tree_path(&tree, "labels.txt", path);
    outputs[1].label_path = tern_str_of(path);
    assert_int_equal(tern_labels_load(outputs, 3, &arena, &labels, NULL), TERN_OK);
    assert_ptr_equal(labels[0].rows, own);
    assert_int_equal(labels[1].n, 1);
    assert_true(tern_str_eq(labels[1].rows[0], TERN_STR("cat")));
    assert_int_equal(labels[2].n, 0);
}

static void a_missing_file_is_named(void **state)
{
    (void)state;
    const struct tern_labels *labels = NULL;
    struct tern_err err = {0};
    assert_int_equal(load("none.txt", &labels, &err), TERN_NOT_FOUND);
    assert_non_null(strstr(err.text, "label_filename of output 'b': "));
    assert_non_null(strstr(err.text, "none.txt"));
}

static void no_memory_is_an_error(void **state)
{
    (void)state;
    bool failed = false;
    tree_write(&tree, "labels.txt", "a\nb\n");
    for (long nth = 0;; nth++) {
        const struct tern_labels *labels = NULL;
        tern_arena_release(&arena);
        mem_calls = 0;
        mem_fail_at = nth;
        enum tern_code code = load("labels.txt", &labels, NULL);
        mem_fail_at = -1;
        if (code == TERN_OK)
            break;
        assert_int_equal(code, TERN_RESOURCE_EXHAUSTED);
        failed = true;
    }
    assert_true(failed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(lines_are_labels, prepare, clean),
        cmocka_unit_test_setup_teardown(none_are_none, prepare, clean),
        cmocka_unit_test_setup_teardown(a_file_wins_over_the_model, prepare, clean),
        cmocka_unit_test_setup_teardown(a_missing_file_is_named, prepare, clean),
        cmocka_unit_test_setup_teardown(no_memory_is_an_error, prepare, clean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
