#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include "registry/snapshot.h"

#define MODELS 100
#define LOOPS  2

static struct tern_err err;

static void test_every_model_is_found(void **state)
{
    struct tern_snapshot snapshot = {.n_models = MODELS};
    struct tern_model_entry entries[MODELS] = {{.n_versions = 0}};
    char names[MODELS][24];

    (void)state;
    tern_arena_init(&snapshot.arena, 4096, 1 << 16);
    snapshot.models = entries;
    for (int i = 0; i < MODELS; i++) {
        snprintf(names[i], sizeof(names[i]), "model-%02d", i);
        entries[i].name = tern_str_of(names[i]);
    }
    assert_int_equal(tern_snapshot_seal(&snapshot, &err), TERN_OK);
    for (int i = 0; i < MODELS; i++)
        assert_ptr_equal(tern_snapshot_find(&snapshot, tern_str_of(names[i])), &entries[i]);
    assert_null(tern_snapshot_find(&snapshot, TERN_STR("model-0")));
    assert_null(tern_snapshot_find(&snapshot, TERN_STR("")));
    tern_arena_fini(&snapshot.arena);

    tern_arena_init(&snapshot.arena, 64, 64); /* no room for the table */
    assert_int_equal(tern_snapshot_seal(&snapshot, &err), TERN_RESOURCE_EXHAUSTED);
    tern_arena_fini(&snapshot.arena);
}

static void test_versions_by_number_or_the_highest(void **state)
{
    struct tern_model_version one, three;
    struct tern_model_version *versions[] = {&one, &three};
    int64_t numbers[] = {1, 3};
    struct tern_model_entry entry = {.versions = versions, .numbers = numbers, .n_versions = 2};

    (void)state;
    assert_ptr_equal(tern_snapshot_version(&entry, 0), &three);
    assert_ptr_equal(tern_snapshot_version(&entry, 1), &one);
    assert_null(tern_snapshot_version(&entry, 2));
    entry.n_versions = 0;
    assert_null(tern_snapshot_version(&entry, 0));
}

static int home_coming;

static void count_home(struct tern_home *self, struct tern_model_version *version)
{
    (void)self, (void)version;
    home_coming++;
}

/* It comes home once: after both loops have retired it, and the last pin is gone. */
static void test_a_version_comes_home_after_the_last_pin(void **state)
{
    static struct tern_pins pins[LOOPS];
    struct tern_home home = {count_home};
    static struct tern_model_version version;

    (void)state;
    version.pins = pins;
    version.home = &home;
    atomic_store(&version.loops_holding, LOOPS);
    tern_version_pin(&version, 0);
    tern_version_pin(&version, 0);
    tern_version_pin(&version, 1);
    tern_version_unpin(&version, 1);
    tern_version_retire(&version, 0);
    tern_version_retire(&version, 1);
    assert_int_equal(home_coming, 0);
    tern_version_unpin(&version, 0);
    assert_int_equal(home_coming, 0);
    tern_version_unpin(&version, 0);
    assert_int_equal(home_coming, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_model_is_found),
        cmocka_unit_test(test_versions_by_number_or_the_highest),
        cmocka_unit_test(test_a_version_comes_home_after_the_last_pin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
