/* The operations, each written once for all dialects. */
#include <inttypes.h>
#include "base/mem.h"
#include "gateway/gateway_int.h"
#include "registry/binding.h"
#include "sched/report.h"

/* The dialect knows all there is to say. */
static enum tern_code run_nothing(struct gateway_call *gc, bool *ret_pending, struct tern_err *err)
{
    (void)gc, (void)ret_pending, (void)err;
    return TERN_OK;
}

static enum tern_code run_welcome(struct gateway_call *gc, bool *ret_pending, struct tern_err *err)
{
    (void)ret_pending, (void)err;
    gc->call.text =
        tern_buf_str(&tern_dialects_of(gc->gateway->dialects, gc->call.x->listener)->welcome);
    return TERN_OK;
}

static enum tern_code run_server_live(struct gateway_call *gc, bool *ret_pending,
                                      struct tern_err *err)
{
    (void)ret_pending, (void)err;
    gc->call.yes = true;
    return TERN_OK;
}

static enum tern_code run_server_ready(struct gateway_call *gc, bool *ret_pending,
                                       struct tern_err *err)
{
    (void)ret_pending, (void)err;
    gc->call.yes = gc->loop->snapshot->ready &&
                   !atomic_load_explicit(&gc->gateway->draining, memory_order_relaxed);
    return TERN_OK;
}

/* The gateway pinned the version: it is there. */
static enum tern_code run_on_model(struct gateway_call *gc, bool *ret_pending, struct tern_err *err)
{
    (void)ret_pending, (void)err;
    gc->call.yes = true;
    return TERN_OK;
}

static enum tern_code run_config(struct gateway_call *gc, bool *ret_pending, struct tern_err *err)
{
    (void)ret_pending, (void)err;
    gc->call.decoupled = tern_binding_decouples(gc->call.pinned, gc->loop->index);
    return TERN_OK;
}

/* Several repositories are one to clients: none of them has a name. The text is Triton's. */
static enum tern_code check_repository(const struct tern_call *call, struct tern_err *err)
{
    if (call->name.n == 0)
        return TERN_OK;
    return tern_fail(err, TERN_UNIMPLEMENTED, "'repository_name' specification is not supported");
}

static enum tern_code run_index(struct gateway_call *gc, bool *ret_pending, struct tern_err *err)
{
    const struct tern_snapshot *snapshot = gc->loop->snapshot;
    struct tern_call *call = &gc->call;
    bool ready_only = call->ready_only || call->op == TERN_OP_MODEL_LIST;

    (void)ret_pending;
    TERN_TRY(check_repository(call, err));
    struct tern_index_row *rows =
        tern_arena_zalloc(call->arena, snapshot->n_index + 1, sizeof(*rows));
    if (rows == NULL)
        return tern_arena_fail(call->arena, err, "the repository index");
    for (uint32_t i = 0; i < snapshot->n_index; i++) {
        struct tern_index_row row = snapshot->index[i];
        if (ready_only && row.state != TERN_MODEL_READY)
            continue;
        /* The snapshot may be gone when the last byte is written. */
        row.name = tern_arena_copy(call->arena, row.name);
        row.reason = tern_arena_copy(call->arena, row.reason);
        if (row.name.p == NULL || row.reason.p == NULL)
            return tern_arena_fail(call->arena, err, "the repository index");
        rows[call->n_index++] = row;
    }
    call->index = rows;
    return TERN_OK;
}

/* ---- load and unload: a wish for the control thread, and back ---- */

struct pending_command {
    struct tern_registry_command command;
    struct tern_loop *loop;
    struct gateway_call *gc;
    struct tern_loop_task task;
};

static void finish_command(struct tern_loop_task *task)
{
    struct pending_command *pending = TERN_CONTAINER_OF(task, struct pending_command, task);
    struct gateway_call *gc = pending->gc;
    enum tern_code code = pending->command.code;

    if (code != TERN_OK)
        gc->call.err = pending->command.err;
    tern_mem_free(pending);
    gateway_finish(gc, code);
}

static void on_command_done(struct tern_registry_command *command)
{
    struct pending_command *pending = TERN_CONTAINER_OF(command, struct pending_command, command);

    pending->task.run = finish_command;
    tern_loop_post(pending->loop, &pending->task);
}

/* "config": a ModelConfig as JSON; "file:<version>/<name>": bytes. */
static enum tern_code take_load_param(const struct tern_param *param,
                                      struct tern_registry_command *command,
                                      struct tern_registry_file *files, struct tern_err *err)
{
    static const struct tern_str file = {"file:", 5};
    bool is_config = tern_str_eq(param->key, TERN_STR("config"));

    if (!is_config && !tern_str_starts(param->key, file))
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "a load has no parameter '%.*s', expected 'config' or "
                         "'file:<version>/<name>'",
                         TERN_STR_ARG(param->key));
    if (param->kind != TERN_PARAM_STRING)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "parameter '%.*s': expected %s",
                         TERN_STR_ARG(param->key), is_config ? "a string of JSON" : "bytes");
    if (is_config)
        command->config = param->string.n > 0 ? param->string : TERN_STR("");
    else
        files[command->n_files++] =
            (struct tern_registry_file){tern_str_from(param->key, file.n), param->string};
    return TERN_OK;
}

/* The texts are the call's, which waits for the command. */
static enum tern_code take_command_params(const struct tern_call *call,
                                          struct tern_registry_command *command,
                                          struct tern_err *err)
{
    uint32_t n = call->params.n;
    struct tern_registry_file *files = tern_arena_zalloc(call->arena, n + 1, sizeof(*files));

    if (files == NULL)
        return tern_arena_fail(call->arena, err, "the parameters");
    command->files = files;
    for (uint32_t i = 0; i < n; i++) {
        const struct tern_param *param = &call->params.rows[i];
        if (call->op == TERN_OP_REPOSITORY_LOAD)
            TERN_TRY(take_load_param(param, command, files, err));
        else if (!tern_str_eq(param->key, TERN_STR("unload_dependents")))
            return tern_fail(err, TERN_INVALID_ARGUMENT,
                             "an unload has no parameter '%.*s', expected 'unload_dependents'",
                             TERN_STR_ARG(param->key));
    }
    return TERN_OK;
}

/* A dialect whose messages name the model may bring any text. */
static enum tern_code check_command_model(const struct tern_call *call, struct tern_err *err)
{
    const char *verb = call->op == TERN_OP_REPOSITORY_LOAD ? "load" : "unload";
    struct tern_str name = call->model;

    if (name.n == 0)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "Model name cannot be empty. Please enter a valid name to deploy.");
    if (tern_str_find(name, '/') < name.n || tern_str_find(name, '\\') < name.n || name.p[0] == '.')
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "model name must not contain path traversal characters");
    if (!tern_model_name_is_valid(name))
        return tern_fail(
            err, TERN_NOT_FOUND, "failed to %s '%.*s', failed to poll from model repository", verb,
            (int)(name.n > TERN_MODEL_NAME_MAX ? TERN_MODEL_NAME_MAX : name.n), name.p);
    return TERN_OK;
}

static enum tern_code run_command(struct gateway_call *gc, bool *ret_pending, struct tern_err *err)
{
    struct tern_call *call = &gc->call;
    struct tern_registry_command command = {.n_files = 0};

    TERN_TRY(check_repository(call, err));
    TERN_TRY(check_command_model(call, err));
    TERN_TRY(take_command_params(call, &command, err));
    struct pending_command *pending = tern_mem_zalloc(1, sizeof(*pending));
    if (pending == NULL)
        return tern_mem_fail(err, "the command", sizeof(*pending));
    pending->command = command;
    pending->command.verb =
        call->op == TERN_OP_REPOSITORY_LOAD ? TERN_REGISTRY_LOAD : TERN_REGISTRY_UNLOAD;
    pending->command.with_steps = call->unload_dependents;
    pending->command.on_done = on_command_done;
    pending->loop = call->x->loop;
    pending->gc = gc;
    tern_str_copy_z(call->model, pending->command.name, sizeof(pending->command.name));
    *ret_pending = true;
    tern_registry_submit(gc->gateway->registry, &pending->command);
    return TERN_OK;
}

/* ---- shared memory ---- */

static enum tern_code run_shm_status(struct gateway_call *gc, bool *ret_pending,
                                     struct tern_err *err)
{
    struct tern_call *call = &gc->call;

    (void)ret_pending;
    return tern_regions_list(gc->gateway->regions, &call->region, call->arena, &call->regions,
                             &call->n_regions, err);
}

static enum tern_code run_shm_register(struct gateway_call *gc, bool *ret_pending,
                                       struct tern_err *err)
{
    (void)ret_pending;
    return tern_regions_register(gc->gateway->regions, &gc->call.region, err);
}

static enum tern_code run_shm_unregister(struct gateway_call *gc, bool *ret_pending,
                                         struct tern_err *err)
{
    (void)ret_pending;
    return tern_regions_unregister(gc->gateway->regions, &gc->call.region, err);
}

/* ---- the schedule ---- */

static enum tern_code run_schedule(struct gateway_call *gc, bool *ret_pending, struct tern_err *err)
{
    struct tern_call *call = &gc->call;
    struct tern_schedule *schedule = tern_arena_zalloc(call->arena, 1, sizeof(*schedule));

    (void)ret_pending;
    if (schedule == NULL)
        return tern_arena_fail(call->arena, err, "the schedule of a model");
    call->schedule = schedule;
    return tern_sched_report(call->pinned, gc->loop->index, call->arena, schedule, err);
}

/* ---- metrics ---- */

static void free_text(void *arg)
{
    tern_buf_fini(arg);
}

static enum tern_code run_metrics(struct gateway_call *gc, bool *ret_pending, struct tern_err *err)
{
    struct tern_call *call = &gc->call;
    struct tern_buf *text = tern_arena_zalloc(call->arena, 1, sizeof(*text));

    (void)ret_pending;
    if (gc->gateway->settings.hide_metrics)
        return tern_fail(err, TERN_NOT_FOUND, "no such path: metrics are turned off");
    if (text == NULL)
        return tern_arena_fail(call->arena, err, "the metrics");
    tern_buf_init(text, 64u << 20);
    TERN_TRY(tern_arena_on_reset(call->arena, free_text, text, err));
    tern_observer_note_queues(gc->loop->snapshot);
    TERN_TRY(tern_observer_write_metrics(gc->gateway->settings.observer, text, err));
    call->text = tern_buf_str(text);
    return TERN_OK;
}

typedef enum tern_code run_fn(struct gateway_call *gc, bool *ret_pending, struct tern_err *err);

static run_fn *const op_runs[TERN_OP_COUNT] = {
    [TERN_OP_WELCOME] = run_welcome,
    [TERN_OP_REFLECTION] = run_nothing,
    [TERN_OP_SERVER_LIVE] = run_server_live,
    [TERN_OP_SERVER_READY] = run_server_ready,
    [TERN_OP_SERVER_METADATA] = run_nothing,
    [TERN_OP_MODEL_LIST] = run_index,
    [TERN_OP_MODEL_METADATA] = run_on_model,
    [TERN_OP_MODEL_READY] = run_on_model,
    [TERN_OP_MODEL_CONFIG] = run_config,
    [TERN_OP_INFER] = gateway_run_infer,
    [TERN_OP_EXPLAIN] = gateway_run_explain,
    [TERN_OP_GRAPH] = gateway_run_graph,
    [TERN_OP_FEEDBACK] = gateway_run_graph,
    [TERN_OP_REPOSITORY_INDEX] = run_index,
    [TERN_OP_REPOSITORY_LOAD] = run_command,
    [TERN_OP_REPOSITORY_UNLOAD] = run_command,
    [TERN_OP_SHM_STATUS] = run_shm_status,
    [TERN_OP_SHM_REGISTER] = run_shm_register,
    [TERN_OP_SHM_UNREGISTER] = run_shm_unregister,
    [TERN_OP_HEALTH_WATCH] = gateway_run_watch,
    [TERN_OP_METRICS] = run_metrics,
    [TERN_OP_MODEL_STATISTICS] = gateway_run_statistics,
    [TERN_OP_MODEL_SCHEDULE] = run_schedule,
    [TERN_OP_TRACE_READ] = gateway_run_trace,
    [TERN_OP_TRACE_UPDATE] = gateway_run_trace,
    [TERN_OP_LOG_READ] = gateway_run_log,
    [TERN_OP_LOG_UPDATE] = gateway_run_log,
};

enum tern_code gateway_run_op(struct gateway_call *gc, bool *ret_pending, struct tern_err *err)
{
    return op_runs[gc->call.op](gc, ret_pending, err);
}
