/* A registry and a scheduler over a folder of fake models and ensembles, with one running loop: for
 * tests of models that are made of others. Included by one file of a program.
 *
 * Fake models double their one FP32 input x [-1,4] to y; see harness/fake_engine.h. "join" is the
 * sample engine's identity of two such tensors, a and b. */
#ifndef TERN_TESTS_ENSEMBLE_RIG_H
#define TERN_TESTS_ENSEMBLE_RIG_H

#include <semaphore.h>
#include <stdio.h>
#include <string.h>
#include "base/clock.h"
#include "base/mem.h"
#include "core/inputs.h"
#include "engine/sample/sample.h"
#include "harness/fake_engine.h"
#include "harness/loop_thread.h"
#include "harness/tree.h"
#include "registry/registry.h"
#include "registry/seen.h"
#include "sched/sched.h"

struct ensemble_rig {
    struct tree tree;
    char path[TREE_PATH_MAX];
    const char *paths[1];
    struct loop_thread lt;
    struct tern_loop *loops[1];
    struct tern_log log;
    struct tern_sched *sched;
    struct tern_registry *registry;
    const struct tern_snapshot *snapshot; /* the loop's */
    atomic_uint n_steps;                  /* that the scheduler told of */
};

/* ---- the files ---- */

TERN_INLINE void rig_model(struct ensemble_rig *rig, const char *name, const char *kind)
{
    char path[TREE_PATH_MAX];

    snprintf(path, sizeof(path), "repo/%s/1/m.fake", name);
    tree_write(&rig->tree, path, kind);
}

TERN_INLINE void rig_config(struct ensemble_rig *rig, const char *name, const char *text)
{
    char path[TREE_PATH_MAX];

    snprintf(path, sizeof(path), "repo/%s/1/.keep", name);
    tree_write(&rig->tree, path, "");
    snprintf(path, sizeof(path), "repo/%s/config.pbtxt", name);
    tree_write(&rig->tree, path, text);
}

#define RIG_FLOAT(name) "{ name: '" name "' data_type: TYPE_FP32 dims: [ -1, 4 ] }"
/* A step with one tensor in and one out. */
#define RIG_STEP(model, in, out)                                                              \
    "step { model_name: '" model "' model_version: -1 input_map { key: 'x' value: '" in "' }" \
    " output_map { key: 'y' value: '" out "' } }\n"
#define RIG_JOIN(a, b, to_a, to_b)                                                  \
    "step { model_name: 'join' model_version: -1 input_map { key: 'a' value: '" a   \
    "' } input_map { key: 'b' value: '" b "' } output_map { key: 'a' value: '" to_a \
    "' } output_map { key: 'b' value: '" to_b "' } }\n"
#define RIG_ENSEMBLE(inputs, outputs, steps) \
    "platform: 'ensemble'\n" inputs outputs "ensemble_scheduling {\n" steps "}\n"
#define RIG_1_TO_1(steps) \
    RIG_ENSEMBLE("input " RIG_FLOAT("x") "\n", "output " RIG_FLOAT("y") "\n", steps)
#define RIG_1_TO_2(steps)                      \
    RIG_ENSEMBLE("input " RIG_FLOAT("x") "\n", \
                 "output [ " RIG_FLOAT("y") ", " RIG_FLOAT("z") " ]\n", steps)
#define RIG_IDENTITY                                                                            \
    "backend: 'identity' input [ " RIG_FLOAT("a") ", " RIG_FLOAT("b") " ] output [ " RIG_FLOAT( \
        "a") ", " RIG_FLOAT("b") " ]\n"

/* ---- life ---- */

static void rig_take_line(void *self, struct tern_str line)
{
    (void)self, (void)line;
}

static void rig_on_step(void *arg, const struct tern_work *work)
{
    struct ensemble_rig *rig = arg;
    (void)work;
    atomic_fetch_add(&rig->n_steps, 1);
}

static enum tern_code rig_on_loaded(void *arg, struct tern_model_version *version,
                                    struct tern_err *err)
{
    struct ensemble_rig *rig = arg;
    return tern_sched_add(rig->sched, version, err);
}

static void rig_on_unloaded(void *arg, struct tern_model_version *version)
{
    struct ensemble_rig *rig = arg;
    tern_sched_remove(rig->sched, version);
}

static void rig_on_publish(void *arg, uint32_t loop, const struct tern_snapshot *snapshot)
{
    struct ensemble_rig *rig = arg;
    (void)loop;
    rig->snapshot = snapshot;
}

static bool rig_is_inline(void *arg, uint64_t run_ns)
{
    struct ensemble_rig *rig = arg;
    return tern_sched_is_inline(rig->sched, run_ns);
}

TERN_INLINE void rig_init(struct ensemble_rig *rig)
{
    memset(rig, 0, sizeof(*rig));
    tree_init(&rig->tree);
    tree_path(&rig->tree, "repo", rig->path);
    tree_write(&rig->tree, "repo/.keep", "");
    fake_engine_gate(false);
}

TERN_INLINE void rig_open(struct ensemble_rig *rig, enum tern_registry_mode mode)
{
    static const struct tern_engine_ops *const engines[] = {&fake_engine, &tern_sample_identity};
    const struct tern_sched_settings sched = {
        .executors = 2, .queue_max = 16, .inline_max_ns = 500000};
    const struct tern_log_sink sink = {rig_take_line, rig};
    struct tern_err err;

    tern_log_init(&rig->log, sink, TERN_LOG_WARN, TERN_LOG_TEXT, false);
    loop_thread_start(&rig->lt, 0);
    assert_int_equal(tern_sched_new(&sched, &rig->sched, &err), TERN_OK);
    tern_sched_watch(rig->sched, &(struct tern_sched_watcher){rig_on_step, rig});
    rig->loops[0] = rig->lt.loop;
    rig->paths[0] = rig->path;
    const struct tern_registry_settings settings = {
        .paths = rig->paths,
        .n_paths = 1,
        .mode = mode,
        .poll_ns = 10 * TERN_NS_PER_MS,
        .load_threads = 2,
        .executors = 2,
        .version_policy = {.kind = TERN_VERSION_POLICY_LATEST, .latest = 1},
        .strict_readiness = true,
        .engines = {engines, 2},
        .loops = rig->loops,
        .n_loops = 1,
        .hooks = {rig_on_loaded, rig_on_unloaded, rig_on_publish, rig_is_inline, NULL, rig},
        .log = &rig->log,
    };
    assert_int_equal(tern_registry_open(&settings, &rig->registry, &err), TERN_OK);
    assert_int_equal(tern_registry_start(rig->registry, &err), TERN_OK);
}

TERN_INLINE void rig_close(struct ensemble_rig *rig)
{
    loop_thread_join(&rig->lt);
    tern_registry_close(rig->registry);
    tern_loop_free(rig->lt.loop);
    tern_sched_free(rig->sched);
    tree_fini(&rig->tree);
    assert_int_equal(fake_engine_loaded(), 0);
}

/* ---- commands ---- */

struct rig_wish {
    struct tern_registry_command command;
    sem_t done;
};

static void rig_on_command_done(struct tern_registry_command *command)
{
    struct rig_wish *wish = TERN_CONTAINER_OF(command, struct rig_wish, command);
    sem_post(&wish->done);
}

TERN_INLINE enum tern_code rig_ask(struct ensemble_rig *rig, enum tern_registry_verb verb,
                                   const char *name, bool with_steps, struct tern_err *ret_err)
{
    struct rig_wish wish = {
        .command = {.verb = verb, .with_steps = with_steps, .on_done = rig_on_command_done}};

    sem_init(&wish.done, 0, 0);
    snprintf(wish.command.name, sizeof(wish.command.name), "%s", name);
    tern_registry_submit(rig->registry, &wish.command);
    sem_wait(&wish.done);
    sem_destroy(&wish.done);
    if (ret_err != NULL)
        *ret_err = wish.command.err;
    return wish.command.code;
}

/* ---- what is served ---- */

struct rig_look {
    struct ensemble_rig *rig;
    const char *name;
    bool served;
    enum tern_model_state state;
    char reason[TERN_ERR_TEXT_MAX];
};

static void rig_look_on_loop(void *arg)
{
    struct rig_look *look = arg;
    const struct tern_snapshot *snapshot = look->rig->snapshot;

    look->served = tern_snapshot_find(snapshot, tern_str_of(look->name)) != NULL;
    for (uint32_t i = 0; i < snapshot->n_index; i++) {
        const struct tern_index_row *row = &snapshot->index[i];
        if (!tern_str_eq(row->name, tern_str_of(look->name)))
            continue;
        look->state = row->state;
        snprintf(look->reason, sizeof(look->reason), "%.*s", TERN_STR_ARG(row->reason));
    }
}

TERN_INLINE struct rig_look rig_see(struct ensemble_rig *rig, const char *name)
{
    struct rig_look look = {.rig = rig, .name = name};

    loop_thread_call(&rig->lt, rig_look_on_loop, &look);
    return look;
}

/* ---- requests ---- */

/* One FP32 input x of one row, and up to two outputs. */
struct rig_request {
    struct ensemble_rig *rig;
    const char *model;
    float data[4];
    struct tern_shape shape;
    const char *outputs[2]; /* NULL: no more; none at all: all of the model's */
    uint64_t timeout_ns;    /* 0: none */
    struct tern_engine_sink *sink;
    uint64_t wait_ns; /* the parameter `timeout`; 0: none */
    struct tern_work work;
    struct tern_arena arena;
    struct tern_err err;
    struct tern_tensor input;
    struct tern_tensor output[2];
    uint32_t output_spec[2];
    uint32_t n_done;
    sem_t done;
};

TERN_INLINE void rig_request_init(struct rig_request *request, struct ensemble_rig *rig,
                                  const char *model)
{
    *request = (struct rig_request){
        .rig = rig, .model = model, .data = {1, 2, 3, 4}, .shape = {2, {1, 4}}};
    tern_arena_init(&request->arena, 1u << 14, 1u << 20);
    sem_init(&request->done, 0, 0);
}

TERN_INLINE void rig_request_fini(struct rig_request *request)
{
    tern_arena_fini(&request->arena);
    sem_destroy(&request->done);
}

static void rig_on_request_done(struct tern_work *work)
{
    struct rig_request *request = TERN_CONTAINER_OF(work, struct rig_request, work);

    request->n_done++;
    tern_version_unpin(work->version, 0);
    sem_post(&request->done);
}

/* What the gateway does. */
static enum tern_code rig_prepare(struct rig_request *request, struct tern_model_version *version)
{
    const struct tern_model_info *info = &version->info;
    uint32_t *input_spec, n = 0;

    request->input = (struct tern_tensor){.name = TERN_STR("x"),
                                          .dtype = TERN_DTYPE_FP32,
                                          .shape = request->shape,
                                          .data = request->data,
                                          .n_bytes = sizeof(request->data)};
    TERN_TRY(
        tern_inputs_match(info, &request->input, 1, &request->arena, &input_spec, &request->err));
    TERN_TRY(tern_inputs_check(info, &request->input, input_spec, 1, &request->err));
    for (uint32_t i = 0; i < info->n_outputs && i < 2; i++) {
        bool wanted = request->outputs[0] == NULL;
        for (uint32_t at = 0; at < 2 && request->outputs[at] != NULL; at++)
            wanted |= tern_str_eq(info->outputs[i].name, tern_str_of(request->outputs[at]));
        if (!wanted)
            continue;
        request->output[n] = (struct tern_tensor){.name = info->outputs[i].name};
        request->output_spec[n++] = i;
    }
    request->work = (struct tern_work){
        .version = version,
        .run = {.inputs = &request->input,
                .input_spec = input_spec,
                .n_inputs = 1,
                .outputs = request->output,
                .output_spec = request->output_spec,
                .n_outputs = n,
                .arena = &request->arena,
                .sink = request->sink},
        .units = 4,
        .rows = 1,
        .deadline_ns = request->timeout_ns == 0 ? 0 : tern_clock_mono_ns() + request->timeout_ns,
        .timeout_ns = request->wait_ns,
        .loop = request->rig->lt.loop,
        .on_done = rig_on_request_done,
        .err = &request->err,
    };
    return TERN_OK;
}

static void rig_submit_on_loop(void *arg)
{
    struct rig_request *request = arg;
    const struct tern_model_entry *entry =
        tern_snapshot_find(request->rig->snapshot, tern_str_of(request->model));
    struct tern_model_version *version = entry == NULL ? NULL : tern_snapshot_version(entry, 0);

    request->work.code = version == NULL ? TERN_NOT_FOUND : rig_prepare(request, version);
    if (request->work.code != TERN_OK) {
        request->n_done++;
        sem_post(&request->done);
        return;
    }
    tern_version_pin(version, 0);
    tern_sched_submit(request->rig->sched, &request->work);
}

static void rig_cancel_on_loop(void *arg)
{
    struct rig_request *request = arg;

    if (request->n_done == 0)
        tern_sched_cancel(request->rig->sched, &request->work);
}

TERN_INLINE void rig_submit(struct rig_request *request)
{
    loop_thread_call(&request->rig->lt, rig_submit_on_loop, request);
}

TERN_INLINE void rig_cancel(struct rig_request *request)
{
    loop_thread_call(&request->rig->lt, rig_cancel_on_loop, request);
}

TERN_INLINE enum tern_code rig_wait(struct rig_request *request)
{
    sem_wait(&request->done);
    return request->work.code;
}

TERN_INLINE float rig_value(const struct rig_request *request, uint32_t output, uint32_t at)
{
    float v;

    memcpy(&v, (const char *)request->output[output].data + at * sizeof(v), sizeof(v));
    return v;
}

#endif
