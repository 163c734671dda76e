// wrap: tern_mem_alloc tern_mem_zalloc tern_mem_realloc tern_mem_alloc_aligned tern_mem_strdup
/* What a load brings, with every single failure of the allocator: nothing is left behind, neither
 * memory nor a folder. (The rest of it stands in registry_test.c.) */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <dirent.h>

#include "harness/mem_fails.h"
#include "harness/tree.h"
#include "registry/registry_int.h"

char *__real_tern_mem_strdup(struct tern_str s);
char *__wrap_tern_mem_strdup(struct tern_str s);
char *__wrap_tern_mem_strdup(struct tern_str s)
{
    return mem_fails() ? NULL : __real_tern_mem_strdup(s);
}

static struct tree tree;
static char scratch[TREE_PATH_MAX];

static int setup(void **state)
{
    (void)state;
    tree_init(&tree);
    tree_write(&tree, "scratch/.keep", "");
    tree_path(&tree, "scratch", scratch);
    setenv("TMPDIR", scratch, 1);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    mem_fail_at = -1;
    tree_fini(&tree);
    return 0;
}

static int folders(void)
{
    DIR *dir = opendir(scratch);
    int n = 0;

    assert_non_null(dir);
    for (struct dirent *e = readdir(dir); e != NULL; e = readdir(dir))
        n += e->d_name[0] != '.';
    closedir(dir);
    return n;
}

static const struct tern_registry_file files[] = {
    {{"1/model.onnx", 12}, {"bytes", 5}},
    {{"labels.txt", 10}, {"a\nb\n", 4}},
};
static const char config_json[] =
    "{\"max_batch_size\": 3, \"parameters\": {\"a\": {\"string_value\": \"b\"}}}";
static const struct tern_registry_command command = {
    .verb = TERN_REGISTRY_LOAD,
    .name = "m",
    .config = {config_json, sizeof(config_json) - 1},
    .files = files,
    .n_files = 2,
};

static void test_every_holder_lets_go(void **state)
{
    struct tern_registry registry = {.last_override_id = 7};
    struct registry_override *override = NULL;
    struct tern_err err;

    (void)state;
    assert_int_equal(registry_override_new(&registry, &command, &override, &err), TERN_OK);
    assert_int_equal(override->id, 8);
    assert_true(tern_str_eq(override->config, command.config));
    assert_int_equal(folders(), 1);
    assert_ptr_equal(registry_override_hold(override), override);
    registry_override_drop(override);
    assert_int_equal(folders(), 1);
    registry_override_drop(override);
    assert_int_equal(folders(), 0);
    registry_override_drop(registry_override_hold(NULL));
}

static void test_without_memory(void **state)
{
    struct tern_registry registry = {.last_override_id = 0};
    struct registry_override *override = NULL;
    struct tern_err err;
    enum tern_code code = TERN_INTERNAL;
    long failures = 0;

    (void)state;
    for (long i = 0; code != TERN_OK; i++) {
        assert_true(i < 1000);
        mem_fail_at = i;
        mem_calls = 0;
        code = registry_override_new(&registry, &command, &override, &err);
        if (code != TERN_OK) {
            assert_int_equal(folders(), 0);
            assert_true(err.text[0] != '\0');
            failures++;
        }
    }
    mem_fail_at = -1;
    assert_true(failures > 4);
    registry_override_drop(override);
    assert_int_equal(folders(), 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_every_holder_lets_go),
        CASE(test_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
