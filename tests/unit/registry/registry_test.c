/* How models come and go: a fake engine, real files, real loops, real threads. */
// covers: registry/loaders registry/publish registry/records registry/resize
// covers: registry/scan registry/version registry/version_engine
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <semaphore.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "harness/fake_engine.h"
#include "harness/loop_thread.h"
#include "harness/tree.h"
#include "registry/registry.h"

#define LOOPS 2

static const struct tern_engine_ops *const engines[] = {&fake_engine};

struct fixture {
    struct tree tree;
    char path[TREE_PATH_MAX];
    const char *paths[2];
    char other[TREE_PATH_MAX];
    uint32_t n_paths;
    uint32_t load_retries;
    char scratch[TREE_PATH_MAX]; /* $TMPDIR */
    struct loop_thread lt[LOOPS];
    struct tern_loop *loops[LOOPS];
    const struct tern_snapshot *seen[LOOPS]; /* each written on its loop */
    struct tern_log log;
    struct tern_registry *registry;
    bool joined; /* the loops are stopped already */
    atomic_int unloaded, retries;
    /* The scheduler's part of another number of instances; NULL: there is none. */
    enum tern_code (*set_instances)(void *arg, struct tern_model_version *version,
                                    void *const *instances, uint32_t n, struct tern_err *err);
    atomic_int resized, instances; /* how often, and to how many at last */
};

/* Counts the retries that are logged; a line is no text with a zero at its end. */
static void take_line(void *self, struct tern_str line)
{
    struct fixture *f = self;
    char text[1024];

    if (tern_str_copy_z(line, text, sizeof(text)) && strstr(text, "it is tried again") != NULL)
        atomic_fetch_add(&f->retries, 1);
}

static enum tern_code on_loaded(void *arg, struct tern_model_version *version, struct tern_err *err)
{
    (void)arg, (void)version, (void)err;
    return TERN_OK;
}

static void on_unloaded(void *arg, struct tern_model_version *version)
{
    struct fixture *f = arg;
    (void)version;
    atomic_fetch_add(&f->unloaded, 1);
}

static void on_publish(void *arg, uint32_t loop, const struct tern_snapshot *snapshot)
{
    struct fixture *f = arg;
    f->seen[loop] = snapshot;
}

static enum tern_code set_instances(void *arg, struct tern_model_version *version,
                                    void *const *instances, uint32_t n, struct tern_err *err)
{
    struct fixture *f = arg;
    uint32_t before = version->n_instances;

    (void)err;
    atomic_fetch_add(&f->resized, 1);
    for (uint32_t i = 0; i < n && i < before; i++)
        assert_ptr_equal(instances[i], version->instances[i]); /* in order, whatever comes */
    atomic_store(&f->instances, (int)n);
    return TERN_OK;
}

static enum tern_code refuse_instances(void *arg, struct tern_model_version *version,
                                       void *const *instances, uint32_t n, struct tern_err *err)
{
    struct fixture *f = arg;

    (void)version, (void)instances, (void)n;
    atomic_fetch_add(&f->resized, 1);
    return tern_fail(err, TERN_UNIMPLEMENTED, "not here");
}

static bool is_inline(void *arg, uint64_t run_ns)
{
    (void)arg;
    return run_ns < 500000;
}

static void open_mode(struct fixture *f, enum tern_registry_mode mode, uint64_t poll_ns,
                      const struct tern_str *load, uint32_t n_load)
{
    struct tern_err err;
    const struct tern_log_sink sink = {take_line, f};

    tern_log_init(&f->log, sink, TERN_LOG_WARN, TERN_LOG_TEXT, false);
    for (uint32_t i = 0; i < LOOPS; i++) {
        loop_thread_start(&f->lt[i], i);
        f->loops[i] = f->lt[i].loop;
    }
    const struct tern_registry_settings settings = {
        .paths = f->paths,
        .n_paths = f->n_paths,
        .load_retries = f->load_retries,
        .mode = mode,
        .poll_ns = poll_ns,
        .load_threads = 2,
        .executors = 2,
        .version_policy = {.kind = TERN_VERSION_POLICY_LATEST, .latest = 1},
        .strict_readiness = true,
        .load = load,
        .n_load = n_load,
        .engines = {engines, 1},
        .loops = f->loops,
        .n_loops = LOOPS,
        .hooks = {on_loaded, on_unloaded, on_publish, is_inline, f->set_instances, f},
        .log = &f->log,
    };
    assert_int_equal(tern_registry_open(&settings, &f->registry, &err), TERN_OK);
    assert_int_equal(tern_registry_start(f->registry, &err), TERN_OK);
}

static int setup(void **state)
{
    struct fixture *f = tern_mem_zalloc(1, sizeof(*f));
    tree_init(&f->tree);
    tree_path(&f->tree, "repo", f->path);
    tree_path(&f->tree, "other", f->other);
    tree_path(&f->tree, "scratch", f->scratch);
    tree_write(&f->tree, "scratch/.keep", "");
    setenv("TMPDIR", f->scratch, 1);
    f->paths[0] = f->path;
    f->paths[1] = f->other;
    f->n_paths = 1;
    tree_write(&f->tree, "repo/.keep", "");
    fake_engine_gate(false);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    for (uint32_t i = 0; i < LOOPS && !f->joined; i++)
        loop_thread_join(&f->lt[i]);
    tern_registry_close(f->registry); /* until then its thread may post to them */
    for (uint32_t i = 0; i < LOOPS; i++)
        tern_loop_free(f->lt[i].loop);
    tree_fini(&f->tree);
    tern_mem_free(f);
    return fake_engine_loaded() != 0 || fake_engine_instances() != 0;
}

/* ---- asking ---- */

struct wish {
    struct tern_registry_command command;
    sem_t done;
};

static void on_done(struct tern_registry_command *command)
{
    struct wish *wish = TERN_CONTAINER_OF(command, struct wish, command);
    sem_post(&wish->done);
}

static enum tern_code ask(struct fixture *f, enum tern_registry_verb verb, const char *name,
                          struct tern_err *ret_err)
{
    struct wish wish = {.command = {.verb = verb, .on_done = on_done}};
    sem_init(&wish.done, 0, 0);
    snprintf(wish.command.name, sizeof(wish.command.name), "%s", name);
    tern_registry_submit(f->registry, &wish.command);
    sem_wait(&wish.done);
    sem_destroy(&wish.done);
    if (ret_err != NULL)
        *ret_err = wish.command.err;
    return wish.command.code;
}

/* A load that brings a configuration, and perhaps files. */
static enum tern_code ask_override(struct fixture *f, const char *name, const char *config,
                                   const struct tern_registry_file *files, uint32_t n_files,
                                   struct tern_err *ret_err)
{
    struct wish wish = {.command = {.verb = TERN_REGISTRY_LOAD,
                                    .config = tern_str_of(config),
                                    .files = files,
                                    .n_files = n_files,
                                    .on_done = on_done}};
    sem_init(&wish.done, 0, 0);
    snprintf(wish.command.name, sizeof(wish.command.name), "%s", name);
    tern_registry_submit(f->registry, &wish.command);
    sem_wait(&wish.done);
    sem_destroy(&wish.done);
    *ret_err = wish.command.err;
    return wish.command.code;
}

struct look {
    struct fixture *f;
    uint32_t loop;
    const char *name;
    int64_t version;
    int64_t found; /* 0: not served */
    int64_t max_batch_size;
    char config[8192]; /* as JSON */
    bool ready;
    enum tern_model_state state;
    char reason[256];
};

static void look_on_loop(void *arg)
{
    struct look *look = arg;
    const struct tern_snapshot *snapshot = look->f->seen[look->loop];
    const struct tern_model_entry *entry = tern_snapshot_find(snapshot, tern_str_of(look->name));
    const struct tern_model_version *version =
        entry == NULL ? NULL : tern_snapshot_version(entry, look->version);

    look->found = version == NULL ? 0 : version->info.version;
    look->max_batch_size = version == NULL ? -1 : version->info.max_batch_size;
    look->config[0] = '\0';
    if (version != NULL)
        snprintf(look->config, sizeof(look->config), "%.*s",
                 TERN_STR_ARG(atomic_load(&version->info.config)->json));
    look->ready = snapshot->ready;
    for (uint32_t i = 0; i < snapshot->n_index; i++) {
        const struct tern_index_row *row = &snapshot->index[i];
        if (!tern_str_eq(row->name, tern_str_of(look->name)))
            continue;
        look->state = row->state;
        snprintf(look->reason, sizeof(look->reason), "%.*s", TERN_STR_ARG(row->reason));
    }
}

/* What both loops see; they must agree once a command was answered. */
static struct look see(struct fixture *f, const char *name, int64_t version)
{
    struct look looks[LOOPS];
    for (uint32_t i = 0; i < LOOPS; i++) {
        looks[i] = (struct look){.f = f, .loop = i, .name = name, .version = version};
        loop_thread_call(&f->lt[i], look_on_loop, &looks[i]);
    }
    assert_int_equal(looks[0].found, looks[1].found);
    return looks[0];
}

/* Until a condition that another thread brings about holds. */
static void see_version(struct fixture *f, const char *name, int64_t version)
{
    for (int tries = 0; tries < 100000; tries++) {
        struct look looks[LOOPS];
        bool all = true;
        for (uint32_t i = 0; i < LOOPS; i++) {
            looks[i] = (struct look){.f = f, .loop = i, .name = name};
            loop_thread_call(&f->lt[i], look_on_loop, &looks[i]);
            all &= looks[i].found == version;
        }
        if (all)
            return;
    }
    fail_msg("%s never showed version %lld", name, (long long)version);
}

/* ---- the cases ---- */

static void test_everything_is_loaded_at_start(void **state)
{
    struct fixture *f = *state;
    tree_write(&f->tree, "repo/a/1/model.fake", "fake");
    tree_write(&f->tree, "repo/a/3/model.fake", "fake");
    tree_write(&f->tree, "repo/b.fake", "fake");
    open_mode(f, TERN_REGISTRY_NONE, 0, NULL, 0);
    assert_int_equal(see(f, "a", 0).found, 3); /* the latest only */
    assert_int_equal(see(f, "a", 1).found, 0);
    assert_int_equal(see(f, "b", 0).found, 1);
    assert_true(see(f, "b", 0).ready);
}

static void test_two_broken_models_do_not_stop_a_good_one(void **state)
{
    struct fixture *f = *state;
    tree_write(&f->tree, "repo/bad1/1/model.fake", "fake broken");
    tree_write(&f->tree, "repo/bad2/1/model.fake", "");
    tree_write(&f->tree, "repo/good/1/model.fake", "fake");
    open_mode(f, TERN_REGISTRY_NONE, 0, NULL, 0);
    assert_int_equal(see(f, "good", 0).found, 1);
    struct look bad = see(f, "bad1", 0);
    assert_int_equal(bad.found, 0);
    assert_int_equal(bad.state, TERN_MODEL_UNAVAILABLE);
    assert_string_equal(bad.reason, "not a model that can be loaded");
    assert_false(bad.ready); /* strict: not every wanted model is ready */
}

static void test_a_model_whose_warm_up_fails_is_served_but_not_on_a_loop(void **state)
{
    struct fixture *f = *state;
    tree_write(&f->tree, "repo/odd/1/model.fake", "fake failing");
    open_mode(f, TERN_REGISTRY_NONE, 0, NULL, 0);
    assert_int_equal(see(f, "odd", 0).found, 1);
}

static void test_commands_need_explicit_mode(void **state)
{
    struct fixture *f = *state;
    struct tern_err err;
    tree_write(&f->tree, "repo/a/1/model.fake", "fake");
    open_mode(f, TERN_REGISTRY_NONE, 0, NULL, 0);
    assert_int_equal(ask(f, TERN_REGISTRY_UNLOAD, "a", &err), TERN_UNAVAILABLE);
    assert_string_equal(err.text, "explicit model load / unload is not allowed if polling is "
                                  "enabled, or model control is 'none'");
}

static void test_explicit_load_and_unload(void **state)
{
    struct fixture *f = *state;
    struct tern_err err;
    const struct tern_str load[] = {TERN_STR("a")};
    tree_write(&f->tree, "repo/a/1/model.fake", "fake");
    tree_write(&f->tree, "repo/b/1/model.fake", "fake");
    open_mode(f, TERN_REGISTRY_EXPLICIT, 0, load, 1);
    assert_int_equal(see(f, "a", 0).found, 1);
    assert_int_equal(see(f, "b", 0).found, 0);
    assert_int_equal(see(f, "b", 0).state, TERN_MODEL_UNKNOWN);
    assert_true(see(f, "b", 0).ready); /* nobody asked for b */

    assert_int_equal(ask(f, TERN_REGISTRY_LOAD, "b", &err), TERN_OK);
    assert_int_equal(see(f, "b", 0).found, 1);
    assert_int_equal(fake_engine_loaded(), 2);

    assert_int_equal(ask(f, TERN_REGISTRY_UNLOAD, "a", &err), TERN_OK);
    assert_int_equal(fake_engine_loaded(), 1); /* its memory is back when the command is answered */
    assert_int_equal(see(f, "a", 0).found, 0);

    assert_int_equal(ask(f, TERN_REGISTRY_LOAD, "nosuch", &err), TERN_NOT_FOUND);
    assert_string_equal(err.text, "failed to load 'nosuch', failed to poll from model repository");
    assert_int_equal(ask(f, TERN_REGISTRY_UNLOAD, "nosuch", &err), TERN_NOT_FOUND);
}

static void test_no_client_reads_a_path_of_the_machine(void **state)
{
    struct fixture *f = *state;
    struct tern_err err;
    const struct tern_str load[] = {TERN_STR("a")};
    tree_write(&f->tree, "repo/a/1/model.fake", "fake");
    tree_write(&f->tree, "repo/gone/1/notes.txt", "no model here");
    tree_write(&f->tree, "repo/gone/config.pbtxt", "default_model_filename: \"lost.fake\"");
    open_mode(f, TERN_REGISTRY_EXPLICIT, 0, load, 1);
    assert_int_not_equal(ask(f, TERN_REGISTRY_LOAD, "gone", &err), TERN_OK);
    assert_non_null(strstr(err.text, "repo/gone/1/lost.fake"));
    assert_null(strstr(err.text, f->tree.root));
    assert_null(strstr(see(f, "gone", 0).reason, f->tree.root));
}

static void test_a_failed_reload_keeps_what_is_served(void **state)
{
    struct fixture *f = *state;
    struct tern_err err;
    const struct tern_str load[] = {TERN_STR("a")};
    tree_write(&f->tree, "repo/a/1/model.fake", "fake");
    open_mode(f, TERN_REGISTRY_EXPLICIT, 0, load, 1);
    tree_write(&f->tree, "repo/a/2/model.fake", "fake broken");
    assert_int_equal(ask(f, TERN_REGISTRY_LOAD, "a", &err), TERN_INVALID_ARGUMENT);
    assert_non_null(strstr(err.text, "load failed for model 'a'"));
    assert_int_equal(see(f, "a", 0).found, 1);

    tree_write(&f->tree, "repo/a/2/model.fake", "fake, and whole this time");
    assert_int_equal(ask(f, TERN_REGISTRY_LOAD, "a", &err), TERN_OK);
    assert_int_equal(see(f, "a", 0).found, 2);
    assert_int_equal(see(f, "a", 1).found, 0);
}

static void test_loading_the_same_files_again_does_nothing(void **state)
{
    struct fixture *f = *state;
    const struct tern_str load[] = {TERN_STR("a")};
    tree_write(&f->tree, "repo/a/1/model.fake", "fake");
    open_mode(f, TERN_REGISTRY_EXPLICIT, 0, load, 1);
    int loads = fake_engine_loads();
    assert_int_equal(ask(f, TERN_REGISTRY_LOAD, "a", NULL), TERN_OK);
    assert_int_equal(fake_engine_loads(), loads);
}

struct pin {
    struct fixture *f;
    struct tern_model_version *version;
};

static void pin_on_loop(void *arg)
{
    struct pin *pin = arg;
    pin->version = tern_snapshot_version(tern_snapshot_find(pin->f->seen[0], TERN_STR("a")), 0);
    tern_version_pin(pin->version, 0);
}

static void unpin_on_loop(void *arg)
{
    struct pin *pin = arg;
    tern_version_unpin(pin->version, 0);
}

static void test_an_unload_waits_for_the_last_pin(void **state)
{
    struct fixture *f = *state;
    const struct tern_str load[] = {TERN_STR("a")};
    struct pin pin = {f, NULL};
    struct wish wish = {.command = {.verb = TERN_REGISTRY_UNLOAD, .on_done = on_done}};

    tree_write(&f->tree, "repo/a/1/model.fake", "fake");
    open_mode(f, TERN_REGISTRY_EXPLICIT, 0, load, 1);
    loop_thread_call(&f->lt[0], pin_on_loop, &pin);
    sem_init(&wish.done, 0, 0);
    snprintf(wish.command.name, sizeof(wish.command.name), "a");
    tern_registry_submit(f->registry, &wish.command);
    see_version(f, "a", 0);                    /* no loop finds it any more ... */
    assert_int_equal(fake_engine_loaded(), 1); /* ... and the pin still holds it */
    assert_int_not_equal(sem_trywait(&wish.done), 0);
    loop_thread_call(&f->lt[0], unpin_on_loop, &pin);
    sem_wait(&wish.done);
    assert_int_equal(fake_engine_loaded(), 0);
    assert_int_equal(atomic_load(&f->unloaded), 1);
    sem_destroy(&wish.done);
}

/* Closed between a publication and the loops that should have seen it: the fixture's end looks
 * whether all is given back. */
static void test_a_publication_that_no_loop_sees(void **state)
{
    struct fixture *f = *state;
    const struct tern_str load[] = {TERN_STR("a")};
    struct tern_registry_command unload = {.verb = TERN_REGISTRY_UNLOAD, .name = "a"};

    tree_write(&f->tree, "repo/a/1/model.fake", "fake");
    open_mode(f, TERN_REGISTRY_EXPLICIT, 0, load, 1);
    for (uint32_t i = 0; i < LOOPS; i++)
        loop_thread_join(&f->lt[i]);
    f->joined = true;
    tern_registry_submit(f->registry, &unload);
    /* The first of these may share the unload's turn; after the second, that turn is over. */
    assert_int_equal(ask(f, TERN_REGISTRY_UNLOAD, "nosuch", NULL), TERN_NOT_FOUND);
    assert_int_equal(ask(f, TERN_REGISTRY_UNLOAD, "nosuch", NULL), TERN_NOT_FOUND);
    tern_registry_close(f->registry);
    f->registry = NULL;
    assert_int_equal(fake_engine_loaded(), 0);
}

static void test_polling_follows_the_files(void **state)
{
    struct fixture *f = *state;
    tree_write(&f->tree, "repo/a/1/model.fake", "fake");
    open_mode(f, TERN_REGISTRY_POLL, 1000000, NULL, 0);
    see_version(f, "a", 1);
    tree_write(&f->tree, "repo/a/2/model.fake", "fake");
    see_version(f, "a", 2);
    tree_write(&f->tree, "repo/late/1/model.fake", "fake");
    see_version(f, "late", 1);
    tree_remove(&f->tree, "repo/a");
    see_version(f, "a", 0);
    see_version(f, "late", 1);
}

static void test_the_config_chooses_the_versions(void **state)
{
    struct fixture *f = *state;
    tree_write(&f->tree, "repo/a/1/model.fake", "fake");
    tree_write(&f->tree, "repo/a/2/model.fake", "fake");
    tree_write(&f->tree, "repo/a/3/model.fake", "fake");
    tree_write(&f->tree, "repo/a/config.pbtxt",
               "version_policy { specific { versions: [1, 3] } } max_batch_size: 8\n"
               "input { name: \"x\" data_type: TYPE_FP32 dims: 4 }\n");
    tree_write(&f->tree, "repo/wrong/1/model.fake", "fake");
    tree_write(&f->tree, "repo/wrong/config.pbtxt", "max_batch_sise: 8");
    open_mode(f, TERN_REGISTRY_NONE, 0, NULL, 0);
    assert_int_equal(see(f, "a", 1).found, 1);
    assert_int_equal(see(f, "a", 2).found, 0);
    assert_int_equal(see(f, "a", 0).found, 3);
    struct look wrong = see(f, "wrong", 0);
    assert_int_equal(wrong.found, 0);
    assert_non_null(strstr(wrong.reason, "max_batch_sise"));
}

static int scratch_folders(struct fixture *f)
{
    DIR *dir = opendir(f->scratch);
    int n = 0;

    assert_non_null(dir);
    for (struct dirent *e = readdir(dir); e != NULL; e = readdir(dir))
        n += strncmp(e->d_name, "tern-", 5) == 0;
    closedir(dir);
    return n;
}

static void test_a_load_brings_its_own_configuration(void **state)
{
    struct fixture *f = *state;
    struct tern_err err;
    tree_write(&f->tree, "repo/a/1/model.fake", "fake");
    tree_write(&f->tree, "repo/a/2/model.fake", "fake");
    tree_write(&f->tree, "repo/a/config.pbtxt", "max_batch_size: 4");
    open_mode(f, TERN_REGISTRY_EXPLICIT, 0, NULL, 0);
    assert_int_equal(ask(f, TERN_REGISTRY_LOAD, "a", &err), TERN_OK);
    assert_int_equal(see(f, "a", 0).found, 2);
    assert_int_equal(see(f, "a", 0).max_batch_size, 4);

    const char *config =
        "{\"max_batch_size\": 9, \"version_policy\": {\"specific\": {\"versions\": [1]}}}";
    assert_int_equal(ask_override(f, "a", config, NULL, 0, &err), TERN_OK);
    assert_int_equal(see(f, "a", 0).found, 1);
    assert_int_equal(see(f, "a", 0).max_batch_size, 9);
    assert_int_equal(see(f, "a", 2).found, 0);

    /* Looking at the files again does not bring the repository's configuration back ... */
    assert_int_equal(ask(f, TERN_REGISTRY_RESCAN, "", &err), TERN_OK);
    assert_int_equal(see(f, "a", 0).max_batch_size, 9);
    /* ... a plain load does. */
    assert_int_equal(ask(f, TERN_REGISTRY_LOAD, "a", &err), TERN_OK);
    assert_int_equal(see(f, "a", 0).max_batch_size, 4);
    assert_int_equal(see(f, "a", 0).found, 2);
}

static void test_a_bad_override_leaves_what_is_served(void **state)
{
    struct fixture *f = *state;
    struct tern_err err;
    tree_write(&f->tree, "repo/a/1/model.fake", "fake");
    tree_write(&f->tree, "repo/a/2/model.fake", "fake");
    tree_write(&f->tree, "repo/a/config.pbtxt", "max_batch_size: 4 version_policy { all {} }");
    open_mode(f, TERN_REGISTRY_EXPLICIT, 0, NULL, 0);
    assert_int_equal(ask(f, TERN_REGISTRY_LOAD, "a", &err), TERN_OK);

    static const char *const bad[] = {"{\"max_batch_size: 9}", "{\"max_batch_sise\": 9}", "",
                                      "{\"name\": \"b\"}", "{\"input\": [{\"name\": \"nosuch\"}]}"};
    for (size_t i = 0; i < 5; i++) {
        enum tern_code code = ask_override(f, "a", bad[i], NULL, 0, &err);
        assert_int_equal(code, TERN_INVALID_ARGUMENT);
        if (i < 3)
            assert_non_null(strstr(err.text, "failed to load 'a', failed to poll from model "
                                             "repository: Invalid config override: "));
        else
            assert_non_null(strstr(err.text, "load failed for model 'a': version "));
        assert_int_equal(see(f, "a", 2).max_batch_size, 4);
        assert_int_equal(see(f, "a", 1).found, 1);
    }
    const char *only_new = "{\"version_policy\": {\"specific\": {\"versions\": [7]}}}";
    assert_int_equal(ask_override(f, "a", only_new, NULL, 0, &err), TERN_NOT_FOUND);
    assert_int_equal(see(f, "a", 0).found, 2);
    assert_int_equal(ask_override(f, "nosuch", "{}", NULL, 0, &err), TERN_NOT_FOUND);
    assert_string_equal(err.text, "failed to load 'nosuch', failed to poll from model repository");
}

static void test_a_load_brings_its_own_files(void **state)
{
    struct fixture *f = *state;
    struct tern_err err;
    const struct tern_registry_file two[] = {
        {TERN_STR("3/model.fake"), TERN_STR("fake")},
        {TERN_STR("5/model.fake"), TERN_STR("fake")},
    };
    const struct tern_registry_file broken[] = {
        {TERN_STR("6/model.fake"), TERN_STR("fake broken")}};

    tree_write(&f->tree, "repo/a/1/model.fake", "fake");
    open_mode(f, TERN_REGISTRY_EXPLICIT, 0, NULL, 0);
    assert_int_equal(ask(f, TERN_REGISTRY_LOAD, "a", &err), TERN_OK);
    assert_int_equal(ask_override(f, "a", "{\"version_policy\": {\"all\": {}}}", two, 2, &err),
                     TERN_OK);
    assert_int_equal(see(f, "a", 1).found, 0);
    assert_int_equal(see(f, "a", 3).found, 3);
    assert_int_equal(see(f, "a", 5).found, 5);
    assert_int_equal(scratch_folders(f), 1);
    /* What does not load changes nothing, and leaves nothing behind once something else is loaded.
     */
    assert_int_equal(ask_override(f, "a", "{}", broken, 1, &err), TERN_INVALID_ARGUMENT);
    assert_null(strstr(err.text, f->scratch));
    assert_int_equal(see(f, "a", 3).found, 3);
    assert_int_equal(see(f, "a", 5).found, 5);
    assert_int_equal(ask(f, TERN_REGISTRY_RESCAN, "", &err), TERN_OK);
    assert_int_equal(see(f, "a", 5).found, 5);
    /* A model that no repository has. */
    assert_int_equal(ask_override(f, "new", "{}", two, 1, &err), TERN_OK);
    assert_int_equal(see(f, "new", 0).found, 3);
    assert_int_equal(ask(f, TERN_REGISTRY_UNLOAD, "new", &err), TERN_OK);
    assert_int_equal(ask(f, TERN_REGISTRY_LOAD, "new", &err), TERN_NOT_FOUND);
    assert_int_equal(ask(f, TERN_REGISTRY_LOAD, "a", &err), TERN_OK);
    assert_int_equal(see(f, "a", 0).found, 1);
    assert_int_equal(ask(f, TERN_REGISTRY_UNLOAD, "a", &err), TERN_OK);
    assert_int_equal(scratch_folders(f), 0);
}

static void test_files_that_are_refused(void **state)
{
    struct fixture *f = *state;
    struct tern_err err;
    static const char *const paths[] = {"../model.fake",
                                        "/etc/model.fake",
                                        "1/../../x",
                                        "1//model.fake",
                                        "01/model.fake",
                                        "x/model.fake",
                                        "1\\model.fake",
                                        "1/",
                                        "",
                                        "config.pbtxt",
                                        "-1/model.fake"};

    open_mode(f, TERN_REGISTRY_EXPLICIT, 0, NULL, 0);
    for (size_t i = 0; i < TERN_COUNT_OF(paths); i++) {
        const struct tern_registry_file file = {tern_str_of(paths[i]), TERN_STR("fake")};
        assert_int_equal(ask_override(f, "a", "{}", &file, 1, &err), TERN_INVALID_ARGUMENT);
        assert_non_null(strstr(err.text, "failed to load 'a', failed to poll"));
    }
    const struct tern_registry_file twice[] = {{TERN_STR("1/model.fake"), TERN_STR("fake")},
                                               {TERN_STR("1/model.fake"), TERN_STR("fake")}};
    assert_int_equal(ask_override(f, "a", "{}", twice, 2, &err), TERN_ALREADY_EXISTS);
    /* Files need a configuration. */
    assert_int_equal(ask_override(f, "a", NULL, twice, 1, &err), TERN_INVALID_ARGUMENT);
    assert_non_null(strstr(err.text, "failed to load 'a', failed to poll"));
    assert_int_equal(scratch_folders(f), 0);
}

static void test_two_repositories(void **state)
{
    struct fixture *f = *state;
    tree_write(&f->tree, "repo/a/1/model.fake", "fake");
    tree_write(&f->tree, "repo/both/1/model.fake", "fake");
    tree_write(&f->tree, "other/both/1/model.fake", "fake");
    tree_write(&f->tree, "other/c/1/model.fake", "fake");
    f->n_paths = 2;
    open_mode(f, TERN_REGISTRY_NONE, 0, NULL, 0);
    assert_int_equal(see(f, "a", 0).found, 1);
    assert_int_equal(see(f, "c", 0).found, 1);
    struct look both = see(f, "both", 0);
    assert_int_equal(both.found, 0);
    assert_int_equal(both.state, TERN_MODEL_UNAVAILABLE);
    assert_string_equal(both.reason, "model appears in two or more repositories");
}

static void test_a_failed_load_is_tried_again(void **state)
{
    struct fixture *f = *state;
    tree_write(&f->tree, "repo/bad/1/model.fake", "fake broken");
    f->load_retries = 3;
    open_mode(f, TERN_REGISTRY_NONE, 0, NULL, 0);
    assert_int_equal(see(f, "bad", 0).found, 0);
    assert_int_equal(atomic_load(&f->retries), 3);
}

/* ---- other servers' ways to say it ---- */

static const struct tern_scheduling *scheduling_of(struct fixture *f, const char *name)
{
    const struct tern_model_entry *entry = tern_snapshot_find(f->seen[0], tern_str_of(name));

    assert_non_null(entry); /* nothing is published meanwhile: the loops are not in the way */
    return tern_snapshot_version(entry, 0)->scheduling;
}

static void test_batching_of_tf_serving_and_mlserver(void **state)
{
    struct fixture *f = *state;
    tree_write(&f->tree, "repo/tfs/1/model.fake", "fake");
    tree_write(&f->tree, "repo/tfs/1/batching_params.pbtxt",
               "max_batch_size { value: 32 } batch_timeout_micros { value: 10 } "
               "num_batch_threads { value: 1 } allowed_batch_sizes: [16, 32]");
    tree_write(&f->tree, "repo/mls/model.fake", "fake");
    tree_write(&f->tree, "repo/mls/model-settings.json",
               "{\"name\": \"mls\", \"max_batch_size\": 4, \"max_batch_time\": 0.1}");
    tree_write(&f->tree, "repo/bad/1/model.fake", "fake");
    tree_write(&f->tree, "repo/bad/1/batching_params.pbtxt", "max_batch_size { value: 0 }");
    open_mode(f, TERN_REGISTRY_NONE, 0, NULL, 0);
    assert_int_equal(see(f, "tfs", 0).found, 1);
    assert_int_equal(see(f, "mls", 0).found, 1);
    assert_int_equal(scheduling_of(f, "tfs")->max_rows, 32);
    assert_int_equal(scheduling_of(f, "tfs")->n_allowed, 2);
    assert_int_equal(scheduling_of(f, "mls")->max_rows, 4);
    assert_int_equal(scheduling_of(f, "mls")->max_queue_delay_ns, 100000000);
    /* One instance for tfs, one for the loopless mls on each of two executors: none on the loops.
     */
    assert_int_equal(fake_engine_instances(), 3);
    struct look bad = see(f, "bad", 0);
    assert_int_equal(bad.found, 0);
    assert_non_null(strstr(bad.reason, "1/batching_params.pbtxt:1:1"));
    assert_non_null(strstr(bad.reason, "max_batch_size: expected a number from 1"));
}

/* ---- instances in place ---- */

#define CONFIG(count, more) \
    "max_batch_size: 4 " more " instance_group { count: " count " kind: KIND_CPU }"

static void open_resizable(struct fixture *f,
                           enum tern_code (*hook)(void *arg, struct tern_model_version *version,
                                                  void *const *instances, uint32_t n,
                                                  struct tern_err *err))
{
    const struct tern_str load[] = {TERN_STR("a")};
    tree_write(&f->tree, "repo/a/1/model.fake", "fake slow");
    tree_write(&f->tree, "repo/a/config.pbtxt", CONFIG("1", ""));
    f->set_instances = hook;
    open_mode(f, TERN_REGISTRY_EXPLICIT, 0, load, 1);
    assert_int_equal(fake_engine_instances(), 1);
}

static void test_another_count_of_instances_is_no_load(void **state)
{
    struct fixture *f = *state;
    struct tern_err err;
    open_resizable(f, set_instances);
    int loads = fake_engine_loads();
    tree_write(&f->tree, "repo/a/config.pbtxt", CONFIG("3", ""));
    assert_int_equal(ask(f, TERN_REGISTRY_LOAD, "a", &err), TERN_OK);
    assert_int_equal(f->instances, 3);
    assert_int_equal(fake_engine_instances(), 3);
    assert_non_null(strstr(see(f, "a", 0).config, "\"count\":3"));
    tree_write(&f->tree, "repo/a/config.pbtxt",
               "# Two in two groups, with names.\nmax_batch_size: 4 instance_group [\n"
               "{ name: 'b' count: 1 kind: KIND_CPU }, { name: 'c' count: 1 kind: KIND_CPU } ]");
    assert_int_equal(ask(f, TERN_REGISTRY_LOAD, "a", &err), TERN_OK);
    assert_int_equal(f->instances, 2);
    assert_int_equal(fake_engine_instances(), 2);
    assert_non_null(strstr(see(f, "a", 0).config, "\"name\":\"c\""));
    /* The same number under another name: nothing but the text changes. */
    tree_write(&f->tree, "repo/a/config.pbtxt", CONFIG("2", "# ...\n"));
    assert_int_equal(ask(f, TERN_REGISTRY_LOAD, "a", &err), TERN_OK);
    assert_int_equal(f->resized, 2);
    assert_non_null(strstr(see(f, "a", 0).config, "\"count\":2"));
    assert_int_equal(fake_engine_loads(), loads);
    assert_int_equal(f->unloaded, 0);
}

static void test_a_configuration_by_request_may_change_the_count(void **state)
{
    struct fixture *f = *state;
    struct tern_err err;
    char config[8192];
    open_resizable(f, set_instances);
    int loads = fake_engine_loads();
    snprintf(config, sizeof(config), "%s", see(f, "a", 0).config);
    char *count = strstr(config, "\"count\":1");
    assert_non_null(count);
    count[strlen("\"count\":")] = '2';
    assert_int_equal(ask_override(f, "a", config, NULL, 0, &err), TERN_OK);
    assert_int_equal(fake_engine_instances(), 2);
    assert_int_equal(fake_engine_loads(), loads);
    assert_int_equal(ask(f, TERN_REGISTRY_LOAD, "a", &err), TERN_OK); /* the file's again */
    assert_int_equal(fake_engine_instances(), 1);
    assert_int_equal(fake_engine_loads(), loads);
}

static void test_what_else_changed_is_loaded(void **state)
{
    static const char *const configs[] = {
        CONFIG("2", "dynamic_batching { }"),
        CONFIG("2", "parameters { key: 'slo' value { string_value: '1s' } }"),
        "instance_group { count: 1 rate_limiter { priority: 2 } } max_batch_size: 4",
        "instance_group { count: 2 } max_batch_size: 4", /* it had a rate limiter */
    };
    struct fixture *f = *state;
    struct tern_err err;
    open_resizable(f, set_instances);
    int loads = fake_engine_loads();
    for (size_t i = 0; i < TERN_COUNT_OF(configs); i++) {
        tree_write(&f->tree, "repo/a/config.pbtxt", configs[i]);
        assert_int_equal(ask(f, TERN_REGISTRY_LOAD, "a", &err), TERN_OK);
        assert_int_equal(fake_engine_loads(), ++loads);
    }
    tree_write(&f->tree, "repo/a/config.pbtxt", CONFIG("1", ""));
    tree_write(&f->tree, "repo/a/1/model.fake", "fake slow again");
    assert_int_equal(ask(f, TERN_REGISTRY_LOAD, "a", &err), TERN_OK);
    assert_int_equal(fake_engine_loads(), ++loads);
    assert_int_equal(f->resized, 0);
    /* A mistake changes nothing, and what is right again is no load. */
    tree_write(&f->tree, "repo/a/config.pbtxt", "--- no configuration ---");
    assert_int_equal(ask(f, TERN_REGISTRY_LOAD, "a", &err), TERN_INVALID_ARGUMENT);
    assert_int_equal(see(f, "a", 0).found, 1);
    tree_write(&f->tree, "repo/a/config.pbtxt", CONFIG("2", ""));
    assert_int_equal(ask(f, TERN_REGISTRY_LOAD, "a", &err), TERN_OK);
    assert_int_equal(fake_engine_loads(), loads);
    assert_int_equal(f->instances, 2);
}

static void test_a_scheduler_that_cannot_has_the_model_loaded(void **state)
{
    struct fixture *f = *state;
    struct tern_err err;
    open_resizable(f, refuse_instances);
    int loads = fake_engine_loads();
    tree_write(&f->tree, "repo/a/config.pbtxt", CONFIG("2", ""));
    assert_int_equal(ask(f, TERN_REGISTRY_LOAD, "a", &err), TERN_OK);
    assert_int_equal(f->resized, 1);
    assert_int_equal(fake_engine_loads(), loads + 1);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_everything_is_loaded_at_start),
        CASE(test_two_broken_models_do_not_stop_a_good_one),
        CASE(test_a_model_whose_warm_up_fails_is_served_but_not_on_a_loop),
        CASE(test_commands_need_explicit_mode),
        CASE(test_explicit_load_and_unload),
        CASE(test_no_client_reads_a_path_of_the_machine),
        CASE(test_a_failed_reload_keeps_what_is_served),
        CASE(test_loading_the_same_files_again_does_nothing),
        CASE(test_an_unload_waits_for_the_last_pin),
        CASE(test_a_publication_that_no_loop_sees),
        CASE(test_polling_follows_the_files),
        CASE(test_the_config_chooses_the_versions),
        CASE(test_a_load_brings_its_own_configuration),
        CASE(test_a_bad_override_leaves_what_is_served),
        CASE(test_a_load_brings_its_own_files),
        CASE(test_files_that_are_refused),
        CASE(test_two_repositories),
        CASE(test_a_failed_load_is_tried_again),
        CASE(test_batching_of_tf_serving_and_mlserver),
        CASE(test_another_count_of_instances_is_no_load),
        CASE(test_a_configuration_by_request_may_change_the_count),
        CASE(test_what_else_changed_is_loaded),
        CASE(test_a_scheduler_that_cannot_has_the_model_loaded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
