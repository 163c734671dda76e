/* What lies on disk: each case builds a small tree and says what must be found in it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "harness/fake_engine.h"
#include "harness/tree.h"
#include "registry/repository.h"

static const struct tern_engine_ops *const engines[] = {&fake_engine};
static const struct tern_engine_set set = {engines, 1};

struct fixture {
    struct tree tree;
    struct tern_arena arena;
};

static int setup(void **state)
{
    static struct fixture f;
    tree_init(&f.tree);
    tern_arena_init(&f.arena, 4096, 1u << 24);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    tern_arena_fini(&f->arena);
    tree_fini(&f->tree);
    return 0;
}

static struct tern_found scan(struct fixture *f, const char *path)
{
    struct tern_found found;
    struct tern_err err;
    char full[TREE_PATH_MAX];

    tree_path(&f->tree, path, full);
    const char *kept = tern_arena_copy(&f->arena, tern_str_of(full)).p;
    assert_int_equal(tern_repository_scan(&kept, 1, &set, &f->arena, &found, &err), TERN_OK);
    return found;
}

static void assert_name(const struct tern_found_model *model, const char *name)
{
    assert_int_equal(model->name.n, strlen(name));
    assert_memory_equal(model->name.p, name, model->name.n);
}

static void test_a_lone_file_is_a_model(void **state)
{
    struct fixture *f = *state;
    tree_write(&f->tree, "iris.fake", "fake");
    struct tern_found found = scan(f, "iris.fake");
    assert_int_equal(found.n_models, 1);
    assert_name(&found.models[0], "iris");
    assert_int_equal(found.models[0].n_versions, 1);
    assert_int_equal(found.models[0].versions[0].number, 1);
    assert_null(found.models[0].folder);
}

static void test_a_folder_with_a_model_file_is_a_model(void **state)
{
    struct fixture *f = *state;
    tree_write(&f->tree, "iris/model.fake", "fake");
    struct tern_found found = scan(f, "iris/");
    assert_int_equal(found.n_models, 1);
    assert_name(&found.models[0], "iris");
    assert_int_equal(found.models[0].versions[0].number, 1);
}

static void test_version_folders_are_sorted_as_numbers(void **state)
{
    struct fixture *f = *state;
    tree_write(&f->tree, "m/10/model.fake", "fake");
    tree_write(&f->tree, "m/2/model.fake", "fake");
    tree_write(&f->tree, "m/007/model.fake", "fake"); /* a leading zero: no version */
    tree_write(&f->tree, "m/draft/model.fake", "fake");
    tree_write(&f->tree, "m/99999999999999999999/model.fake", "fake"); /* more than 64 bits */
    struct tern_found found = scan(f, "m");
    assert_int_equal(found.n_models, 1);
    assert_int_equal(found.models[0].n_versions, 2);
    assert_int_equal(found.models[0].versions[0].number, 2);
    assert_int_equal(found.models[0].versions[1].number, 10);
}

static void test_a_repository_of_both_kinds(void **state)
{
    struct fixture *f = *state;
    tree_write(&f->tree, "repo/b/1/model.fake", "fake");
    tree_write(&f->tree, "repo/a.fake", "fake");
    tree_write(&f->tree, "repo/README.md", "not a model");
    tree_write(&f->tree, "repo/.git/1/model.fake", "fake");
    struct tern_found found = scan(f, "repo");
    assert_int_equal(found.n_models, 2);
    assert_name(&found.models[0], "a");
    assert_name(&found.models[1], "b");
}

static void test_what_cannot_be_a_model_says_why(void **state)
{
    struct fixture *f = *state;
    tree_write(&f->tree, "repo/empty/notes.txt", "");
    tree_write(&f->tree, "repo/bad name/1/model.fake", "fake");
    tree_write(&f->tree, "repo/good/1/model.fake", "fake");
    struct tern_found found = scan(f, "repo");
    assert_int_equal(found.n_models, 3);
    assert_int_equal(found.models[0].problem.code, TERN_INVALID_ARGUMENT); /* "bad name" */
    assert_int_equal(found.models[1].problem.code, TERN_NOT_FOUND);        /* "empty" */
    assert_int_equal(found.models[2].problem.code, TERN_OK);
}

static void test_twins_are_refused_together(void **state)
{
    struct fixture *f = *state;
    tree_write(&f->tree, "repo/a/1/model.fake", "fake");
    tree_write(&f->tree, "repo/a.fake", "fake");
    struct tern_found found = scan(f, "repo");
    assert_int_equal(found.n_models, 2);
    assert_int_equal(found.models[0].problem.code, TERN_ALREADY_EXISTS);
    assert_int_equal(found.models[1].problem.code, TERN_ALREADY_EXISTS);
}

static void test_an_empty_repository_is_no_error(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(scan(f, "").n_models, 0);
}

static void test_a_missing_path_is_an_error(void **state)
{
    struct fixture *f = *state;
    struct tern_found found;
    struct tern_err err;
    const char *path = "/nowhere/at/all";
    assert_int_equal(tern_repository_scan(&path, 1, &set, &f->arena, &found, &err), TERN_NOT_FOUND);
}

static void test_a_fingerprint_follows_every_file(void **state)
{
    struct fixture *f = *state;
    tree_write(&f->tree, "m/1/model.fake", "fake");
    uint64_t first = scan(f, "m").models[0].versions[0].fingerprint;
    assert_int_equal(scan(f, "m").models[0].versions[0].fingerprint, first);
    tree_write(&f->tree, "m/1/weights.bin", "1234");
    uint64_t second = scan(f, "m").models[0].versions[0].fingerprint;
    assert_int_not_equal(second, first);
    tree_write(&f->tree, "m/config.pbtxt", "max_batch_size: 8");
    assert_int_not_equal(scan(f, "m").models[0].versions[0].fingerprint, second);
}

static void test_the_model_file_of_a_version(void **state)
{
    struct fixture *f = *state;
    const struct tern_engine_ops *engine;
    const char *path;
    char full[TREE_PATH_MAX];
    struct tern_err err;
    struct tern_str any = {NULL, 0};

    tree_write(&f->tree, "m/1/other.fake", "fake");
    tree_path(&f->tree, "m/1", full);
    assert_int_equal(tern_repository_model_file(full, any, &set, &f->arena, &path, &engine, &err),
                     TERN_OK);
    assert_true(tern_str_ends(tern_str_of(path), TERN_STR("/other.fake")));
    assert_ptr_equal(engine, &fake_engine);

    tree_write(&f->tree, "m/1/third.fake", "fake");
    assert_int_equal(tern_repository_model_file(full, any, &set, &f->arena, &path, &engine, &err),
                     TERN_NOT_FOUND); /* which of the two? */
    assert_int_equal(tern_repository_model_file(full, TERN_STR("third.fake"), &set, &f->arena,
                                                &path, &engine, &err),
                     TERN_OK);
    tree_write(&f->tree, "m/1/model.txt", "text");
    assert_int_equal(tern_repository_model_file(full, TERN_STR("model.txt"), &set, &f->arena, &path,
                                                &engine, &err),
                     TERN_UNIMPLEMENTED);
}

static int probe_head(const char *file_name, struct tern_str head)
{
    (void)file_name;
    return tern_str_starts(head, TERN_STR("HEAD")) ? 5 : 0;
}

/* Without a name that says it, the file's first bytes do, if they say it of one file only. */
static void test_the_model_file_by_what_is_in_it(void **state)
{
    static const char *const no_names[] = {NULL};
    static const struct tern_engine_ops by_head = {
        .name = "head", .file_names = no_names, .probe = probe_head};
    static const struct tern_engine_ops *const rows[] = {&fake_engine, &by_head};
    const struct tern_engine_set both = {rows, 2};
    const struct tern_engine_ops *engine;
    struct fixture *f = *state;
    struct tern_str any = {NULL, 0};
    struct tern_err err;
    const char *path;
    char full[TREE_PATH_MAX];

    tree_write(&f->tree, "m/1/fraud.json", "HEAD and more");
    tree_write(&f->tree, "m/1/readme.txt", "about it");
    tree_write(&f->tree, "m/1/.fraud.json", "HEAD of a copy");
    tree_path(&f->tree, "m/1", full);
    assert_int_equal(tern_repository_model_file(full, any, &both, &f->arena, &path, &engine, &err),
                     TERN_OK);
    assert_true(tern_str_ends(tern_str_of(path), TERN_STR("/fraud.json")));
    assert_ptr_equal(engine, &by_head);
    tree_write(&f->tree, "m/1/churn.json", "HEAD and more");
    assert_int_equal(tern_repository_model_file(full, any, &both, &f->arena, &path, &engine, &err),
                     TERN_NOT_FOUND);
    tree_write(&f->tree, "m/1/named.fake", "fake");
    assert_int_equal(tern_repository_model_file(full, any, &both, &f->arena, &path, &engine, &err),
                     TERN_OK);
    assert_ptr_equal(engine, &fake_engine);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_a_lone_file_is_a_model),
        CASE(test_a_folder_with_a_model_file_is_a_model),
        CASE(test_version_folders_are_sorted_as_numbers),
        CASE(test_a_repository_of_both_kinds),
        CASE(test_what_cannot_be_a_model_says_why),
        CASE(test_twins_are_refused_together),
        CASE(test_an_empty_repository_is_no_error),
        CASE(test_a_missing_path_is_an_error),
        CASE(test_a_fingerprint_follows_every_file),
        CASE(test_the_model_file_of_a_version),
        CASE(test_the_model_file_by_what_is_in_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
