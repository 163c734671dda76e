/* Private to the serve command: everything a running server consists of. */
#ifndef TERN_CLI_SERVE_INT_H
#define TERN_CLI_SERVE_INT_H

#include "base/account.h"
#include "cli/guard.h"
#include "cli/serve.h"
#include "gateway/gateway.h"
#include "gateway/observe.h"
#include "net/server.h"
#include "net/tls.h"
#include "os/logsink.h"
#include "os/signals.h"
#include "registry/registry.h"
#include "sched/cache.h"
#include "sched/sched.h"

struct serve_listeners {
    struct tern_listener *rows[TERN_LISTENERS_MAX];
    struct tern_tls *tls[TERN_LISTENERS_MAX]; /* NULL: plain */
    uint32_t n;
};

struct serve_process {
    const struct tern_command_call *call;
    struct tern_server_options options; /* a copy; SIGHUP changes what may change */
    const char **paths;                 /* of the repositories; absolute */
    uint32_t n_paths;
    struct serve_listeners *listeners;
    uint32_t n_loops;
    uint32_t n_executors;
    struct tern_logsink *logsink;
    struct tern_log log;
    struct tern_log_limit engine_lines; /* an engine may warn at every request */
    struct tern_account *account;       /* of what requests take */
    struct tern_metrics *metrics;
    struct tern_sampler *sampler;
    struct tern_tracer *tracer; /* NULL: traces go nowhere */
    struct tern_observer *observer;
    struct tern_cache *cache; /* NULL: no answers are remembered */
    struct tern_sched *sched;
    struct tern_server *server;
    struct tern_guard guard;
    struct tern_listener_info inside; /* of the steps of graphs */
    struct tern_gateway *gateway;
    struct tern_registry *registry;
    struct tern_loop **loops; /* the server's, as an array */
    struct tern_engine_option *engine_options;
    uint32_t n_engine_options;
    struct tern_arena arena;
    /* the main thread's own loop: signals and the drain */
    struct tern_loop *control;
    struct tern_signals signals;
    struct tern_loop_timer drain_timer;
    uint64_t drain_until_ns;
    bool draining;
    bool drained;
};

/* The form that the options and the terminal ask for: every log of this process looks alike. */
enum tern_log_format serve_log_format(const struct tern_server_options *options, bool *ret_colour);
enum tern_log_level serve_log_level(enum tern_log_level_option option);
/* Makes every part in order; what was made is taken down by serve_close. */
enum tern_code serve_open(struct serve_process *p, struct tern_err *err);
void serve_close(struct serve_process *p);

struct tern_model_config_settings serve_config_settings(const struct tern_server_options *options);
/* Bytes that all requests together may take. */
uint64_t serve_memory_max(const struct tern_server_options *options);
struct tern_net_limits serve_net_limits(const struct tern_server_options *options);
/* SIGHUP: options, certificates and models are read again. */
void serve_reload(struct serve_process *p);
/* In a child that follows a crashed one, before serve_open: the parent knows nothing of what a
 * SIGHUP changed since its own start. */
void serve_reread(struct serve_process *p);

#endif
