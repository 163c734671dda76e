/* What control groups allow, by files that look like theirs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "harness/tree.h"
#include "os/memlimit.h"
#include "os/procstat.h"

#define MIB UINT64_C(1048576)

static uint64_t limit_of(const struct tree *tree, const char *groups)
{
    char file[TREE_PATH_MAX], root[TREE_PATH_MAX];

    tree_write(tree, "groups", groups);
    tree_path(tree, "groups", file);
    tree_path(tree, "fs", root);
    return tern_memlimit_of_groups(file, root);
}

static void the_least_on_the_way_up_counts(void **state)
{
    struct tree tree;

    (void)state;
    tree_init(&tree);
    tree_write(&tree, "fs/memory.max", "max\n");
    tree_write(&tree, "fs/a/memory.max", "104857600\n");
    tree_write(&tree, "fs/a/b/memory.max", "max\n");
    assert_int_equal(limit_of(&tree, "0::/a/b\n"), 100 * MIB);
    assert_int_equal(limit_of(&tree, "0::/a\n"), 100 * MIB);
    assert_int_equal(limit_of(&tree, "0::/\n"), UINT64_MAX);
    assert_int_equal(limit_of(&tree, "0::/a/b/c/d\n"), 100 * MIB); /* not all of it is shown */
    tree_write(&tree, "fs/memory.max", "52428800\n");
    assert_int_equal(limit_of(&tree, "0::/a/b\n"), 50 * MIB);
    assert_int_equal(limit_of(&tree, "0::/elsewhere\n"), 50 * MIB);
    tree_fini(&tree);
}

static void both_versions_may_be_there(void **state)
{
    struct tree tree;

    (void)state;
    tree_init(&tree);
    tree_write(&tree, "fs/memory/memory.limit_in_bytes", "9223372036854771712\n");
    tree_write(&tree, "fs/memory/x/memory.limit_in_bytes", "73400320\n");
    assert_int_equal(limit_of(&tree, "4:cpu,memory:/x\n1:name=systemd:/\n0::/\n"), 70 * MIB);
    assert_int_equal(limit_of(&tree, "4:cpu:/x\n"), UINT64_MAX); /* another controller's */
    tree_write(&tree, "fs/memory.max", "1048576\n");
    assert_int_equal(limit_of(&tree, "4:memory:/x\n0::/\n"), MIB);
    tree_fini(&tree);
}

static void what_makes_no_sense_is_no_limit(void **state)
{
    static const char *const lists[] = {
        "", "\n", ":", "0:", "0::", "nonsense", "0:memory", "::::\n"};
    struct tree tree;

    (void)state;
    tree_init(&tree);
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
        assert_int_equal(limit_of(&tree, lists[i]), UINT64_MAX);
    tree_write(&tree, "fs/memory.max", "-1\n");
    assert_int_equal(limit_of(&tree, "0::/\n"), UINT64_MAX);
    assert_int_equal(tern_memlimit_of_groups("/nowhere", "/nowhere"), UINT64_MAX);
    tree_fini(&tree);
}

static void it_is_never_more_than_the_machine_has(void **state)
{
    struct tern_procstat_machine machine;

    (void)state;
    assert_int_equal(tern_procstat_read_machine(&machine, NULL), 0);
    assert_true(tern_memlimit() > 0 && tern_memlimit() <= machine.memory_bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_least_on_the_way_up_counts),
        cmocka_unit_test(both_versions_may_be_there),
        cmocka_unit_test(what_makes_no_sense_is_no_limit),
        cmocka_unit_test(it_is_never_more_than_the_machine_has),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
