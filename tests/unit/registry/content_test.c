/* Everything that makes a model counts, and where and when it lies there does not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include "harness/tree.h"
#include "registry/content.h"

struct sum {
    unsigned char bytes[TERN_CONTENT_SIZE];
};

static struct tern_engine_option options[] = {{{"threads", 7}, {"2", 1}},
                                              {{"level", 5}, {"all", 3}}};

static struct sum hash_of(const struct tree *tree, const char *name, const char *config, uint32_t n)
{
    char path[TREE_PATH_MAX];
    struct sum sum;
    struct tern_err err;

    tree_path(tree, name, path);
    const struct tern_content_of of = {
        .path = path, .config = tern_str_of(config), .options = options, .n_options = n};
    assert_int_equal(tern_content_hash(&of, sum.bytes, &err), TERN_OK);
    return sum;
}

static bool same(struct sum a, struct sum b)
{
    return memcmp(a.bytes, b.bytes, sizeof(a.bytes)) == 0;
}

static void put(const struct tree *tree, const char *name)
{
    char path[TREE_PATH_MAX];

    snprintf(path, sizeof(path), "%s/1/model.onnx", name);
    tree_write(tree, path, "model");
    snprintf(path, sizeof(path), "%s/1/data/weights", name);
    tree_write(tree, path, "weights");
}

static void test_copies_are_the_same_and_changes_are_not(void **state)
{
    struct tree tree;
    (void)state;

    tree_init(&tree);
    put(&tree, "a");
    put(&tree, "b");
    struct sum a = hash_of(&tree, "a/1", "config", 2);
    assert_true(same(a, hash_of(&tree, "b/1", "config", 2)));
    assert_false(same(a, hash_of(&tree, "b/1", "Config", 2)));
    assert_false(same(a, hash_of(&tree, "b/1", "config", 1)));
    options[1].value = TERN_STR("one");
    assert_false(same(a, hash_of(&tree, "b/1", "config", 2)));
    options[1].value = TERN_STR("all");
    tree_write(&tree, "b/1/data/weights", "Weights");
    assert_false(same(a, hash_of(&tree, "b/1", "config", 2)));
    tree_write(&tree, "b/1/data/weights", "weights");
    assert_true(same(a, hash_of(&tree, "b/1", "config", 2)));
    tree_write(&tree, "b/1/data/more", "");
    assert_false(same(a, hash_of(&tree, "b/1", "config", 2)));
    tree_remove(&tree, "b/1/data/more");
    tree_write(&tree, "b/1/model.onnx", "mode");
    tree_write(&tree, "b/1/data/weights", "lweights");
    assert_false(same(a, hash_of(&tree, "b/1", "config", 2)));
    tree_fini(&tree);
}

static void test_a_lone_file(void **state)
{
    struct tree tree;
    (void)state;

    tree_init(&tree);
    tree_write(&tree, "a.onnx", "model");
    tree_write(&tree, "b/a.onnx", "model");
    tree_write(&tree, "c/a.onnx", "other");
    struct sum a = hash_of(&tree, "a.onnx", "", 0);
    assert_true(same(a, hash_of(&tree, "b/a.onnx", "", 0)));
    assert_false(same(a, hash_of(&tree, "c/a.onnx", "", 0)));
    assert_false(same(a, hash_of(&tree, "b", "", 0)));
    tree_fini(&tree);
}

/* Larger than what is read at once. */
static void test_large_files_are_read_to_the_end(void **state)
{
    static char text[(3u << 20) + 2];
    struct tree tree;
    struct sum sums[3];
    (void)state;

    tree_init(&tree);
    for (int i = 0; i < 3; i++) {
        memset(text, 'x', sizeof(text) - 1);
        text[sizeof(text) - 2] = (char)('a' + i / 2);
        tree_write(&tree, "large", text);
        sums[i] = hash_of(&tree, "large", "", 0);
    }
    assert_true(same(sums[0], sums[1]));
    assert_false(same(sums[1], sums[2]));
    tree_fini(&tree);
}

static void test_what_is_not_there(void **state)
{
    const struct tern_content_of of = {.path = "/nowhere/at/all"};
    struct sum sum;
    struct tern_err err;
    (void)state;

    assert_int_equal(tern_content_hash(&of, sum.bytes, &err), TERN_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_copies_are_the_same_and_changes_are_not),
        cmocka_unit_test(test_a_lone_file),
        cmocka_unit_test(test_large_files_are_read_to_the_end),
        cmocka_unit_test(test_what_is_not_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
