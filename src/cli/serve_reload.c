/* SIGHUP: what a running server takes without a restart. Whatever cannot be read leaves the old in
 * force. */
#include "cli/serve_int.h"

#include "base/mem.h"
#include "conf/opt_doc.h"

#define CHANGES_MAX 128u

/* ---- models and certificates ---- */

static void free_command(struct tern_registry_command *command)
{
    tern_mem_free(command);
}

static void rescan(struct serve_process *p)
{
    struct tern_registry_command *command = tern_mem_zalloc(1, sizeof(*command));

    if (command == NULL)
        return;
    command->verb = TERN_REGISTRY_RESCAN;
    command->poll_ns = p->options.model.poll_interval_ns;
    command->on_done = free_command;
    tern_registry_submit(p->registry, command);
}

static void reload_tls(struct serve_process *p)
{
    struct tern_err err;

    for (uint32_t i = 0; i < p->listeners->n; i++) {
        if (p->listeners->tls[i] != NULL && tern_tls_reload(p->listeners->tls[i], &err) != TERN_OK)
            tern_log_error(&p->log, "server.reload_failed", "the old certificate stays in use",
                           TERN_KV_ERR(&err));
    }
}

/* ---- options ---- */

/* Reads all sources again; what texts and lists refer to lies in the arena. */
static enum tern_code read_again(const struct serve_process *p, struct tern_server_options *ret,
                                 struct tern_arena *arena, struct tern_err *err)
{
    const struct tern_command_call *call = p->call;
    struct tern_problems problems;
    struct tern_opt_load load;
    struct tern_opt_rest rest;

    tern_problem_init(&problems, arena);
    tern_commands_read_server(call->argc, call->argv, call->environment, ret, &load, &rest, arena,
                              &problems);
    return tern_problem_fail(&problems, err);
}

static void set_listeners(struct serve_process *p)
{
    for (uint32_t i = 0; i < p->listeners->n; i++) {
        struct tern_listener_info *info = &p->listeners->rows[i]->info;
        info->body_max = p->options.http.body_max;
        info->memory_max = p->options.request.memory_max;
        info->json_depth_max = (uint32_t)p->options.json.depth_max;
    }
}

/* Tells every part what p->options say now. */
static void apply(struct serve_process *p)
{
    const struct tern_server_options *options = &p->options;
    const struct tern_net_limits limits = serve_net_limits(options);
    struct tern_err err;

    tern_log_set_level(&p->log, serve_log_level(options->log.level));
    tern_observer_set_access_log(p->observer, options->log.access);
    tern_account_set_max(p->account, serve_memory_max(options));
    tern_sched_set_queue_max(p->sched, (uint32_t)options->sched.queue_max);
    tern_gateway_set_timeout(p->gateway, options->request.timeout_ns);
    set_listeners(p);
    if (tern_server_set_limits(p->server, &limits, &err) != TERN_OK)
        tern_log_error(&p->log, "server.reload_failed", "some connections keep the old limits",
                       TERN_KV_ERR(&err));
}

/* The names of changed options that need a restart, or of those that do not. */
static struct tern_str list(struct tern_arena *arena, const struct tern_opt_change *changes,
                            uint32_t n, bool needs_restart)
{
    struct tern_str names = {"", 0};

    for (uint32_t i = 0; i < n; i++) {
        if (changes[i].needs_restart == needs_restart)
            names = tern_arena_printf(arena, "%.*s%s%s", TERN_STR_ARG(names),
                                      names.n > 0 ? ", " : "", changes[i].opt->name);
    }
    return names;
}

/* Under the more talkative of both log levels. */
static void tell(struct serve_process *p, const struct tern_server_options *fresh,
                 struct tern_arena *arena)
{
    struct tern_opt_change changes[CHANGES_MAX];
    uint32_t n =
        tern_opt_doc_diff(&tern_server_options_table, &p->options, fresh, changes, CHANGES_MAX);
    uint32_t shown = n < CHANGES_MAX ? n : CHANGES_MAX;
    struct tern_str applied = list(arena, changes, shown, false);
    struct tern_str waiting = list(arena, changes, shown, true);
    enum tern_log_level level = serve_log_level(fresh->log.level);

    atomic_fetch_or(&p->log.levels, tern_log_levels_upto(level));
    if (applied.n > 0)
        tern_log_info(&p->log, "server.options_changed", "new option values are in force",
                      TERN_KV_STR("options", applied));
    if (waiting.n > 0)
        tern_log_warn(&p->log, "server.restart_needed",
                      "these options changed too, but need a restart",
                      TERN_KV_STR("options", waiting));
}

static void reload_options(struct serve_process *p)
{
    struct tern_server_options fresh;
    struct tern_arena arena;
    struct tern_err err;

    tern_arena_init(&arena, 4096, 16u << 20);
    if (read_again(p, &fresh, &arena, &err) != TERN_OK) {
        tern_log_error(&p->log, "server.reload_failed", "the old options stay in force",
                       TERN_KV_ERR(&err));
    } else {
        tell(p, &fresh, &arena);
        tern_opt_doc_adopt(&tern_server_options_table, &p->options, &fresh);
        apply(p);
    }
    tern_arena_fini(&arena);
}

void serve_reload(struct serve_process *p)
{
    tern_log_info(&p->log, "server.reload", "reading options, certificates and models again",
                  TERN_KV_NONE);
    reload_options(p);
    reload_tls(p);
    rescan(p);
}

void serve_reread(struct serve_process *p)
{
    struct tern_server_options fresh;
    struct tern_arena arena;
    struct tern_err err;

    tern_arena_init(&arena, 4096, 16u << 20);
    if (read_again(p, &fresh, &arena, &err) == TERN_OK)
        tern_opt_doc_adopt(&tern_server_options_table, &p->options, &fresh);
    set_listeners(p);
    tern_arena_fini(&arena);
}
