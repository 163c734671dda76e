#include "cli/serve_int.h"

#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/mem.h"
#include "base/version.h"
#include "os/cpu.h"
#include "os/supervise.h"
#include "proto/protos.h"
#include "simd/simd.h"

#define DRAIN_LOOK_NS (10u * TERN_NS_PER_MS)

/* ---- listeners: opened before any fork, so that they outlive a crashed server ---- */

static enum tern_code open_listener(const struct tern_server_options *options,
                                    const struct tern_listener_options *from, uint32_t n_loops,
                                    struct tern_listener **ret_listener, struct tern_err *err)
{
    static const enum tern_grpc_form grpc_forms[] = {
        [TERN_GRPC_FORM_OPTION_TRITON] = TERN_GRPC_FORM_TRITON,
        [TERN_GRPC_FORM_OPTION_KSERVE] = TERN_GRPC_FORM_KSERVE,
        [TERN_GRPC_FORM_OPTION_MLSERVER] = TERN_GRPC_FORM_MLSERVER,
    };
    static const enum tern_grpc_compression grpc_compressions[] = {
        [TERN_GRPC_COMPRESSION_OPTION_NONE] = TERN_GRPC_COMPRESSION_NONE,
        [TERN_GRPC_COMPRESSION_OPTION_LOW] = TERN_GRPC_COMPRESSION_LOW,
        [TERN_GRPC_COMPRESSION_OPTION_MEDIUM] = TERN_GRPC_COMPRESSION_MEDIUM,
        [TERN_GRPC_COMPRESSION_OPTION_HIGH] = TERN_GRPC_COMPRESSION_HIGH,
    };
    uint32_t protos;

    TERN_TRY(tern_protos_mask(from->dialects.items, from->dialects.n, &protos, err));
    const struct tern_listener_config config = {
        .address = from->address,
        .server_name = options->server_name,
        .admin = from->admin,
        .graph = from->graph,
        .triton_status = from->triton_status,
        .protos = protos,
        .grpc_form = grpc_forms[from->grpc_form],
        .grpc_compression = grpc_compressions[options->grpc.compression],
        .body_max = options->http.body_max,
        .memory_max = options->request.memory_max,
        .json_depth_max = (uint32_t)options->json.depth_max,
        .transport = from->tls ? &tern_transport_tls : NULL,
    };
    return tern_listener_open(&config, n_loops, ret_listener, err);
}

static void close_listeners(struct serve_listeners *listeners)
{
    for (uint32_t i = 0; i < listeners->n; i++)
        tern_listener_close(listeners->rows[i]);
    listeners->n = 0;
}

static enum tern_code open_listeners(const struct tern_server_options *options, uint32_t n_loops,
                                     struct serve_listeners *listeners, struct tern_err *err)
{
    const struct tern_listener_options *rows = options->listen.items;

    for (uint32_t i = 0; i < options->listen.n; i++) {
        enum tern_code code = open_listener(options, &rows[i], n_loops, &listeners->rows[i], err);
        if (code != TERN_OK) {
            close_listeners(listeners);
            return code;
        }
        listeners->n++;
    }
    return TERN_OK;
}

/* In the serving process, so that a restart reads the files anew. */
static enum tern_code open_tls(struct serve_process *p, struct tern_err *err)
{
    const struct tern_server_options *options = &p->options;
    const struct tern_listener_options *rows = options->listen.items;

    for (uint32_t i = 0; i < p->listeners->n; i++) {
        if (!rows[i].tls)
            continue;
        const struct tern_tls_config config = {
            .cert_file = rows[i].tls_cert.p,
            .key_file = rows[i].tls_key.p,
            .client_ca_file = rows[i].tls_client_ca.n > 0 ? rows[i].tls_client_ca.p : NULL,
            .loops = p->n_loops,
            .offers_h2 = true,
            .only_tls13 = options->tls.version_min == TERN_TLS_VERSION_1_3,
        };
        TERN_TRY(tern_tls_new(&config, &p->listeners->tls[i], err));
        p->listeners->rows[i]->transport_config = p->listeners->tls[i];
    }
    return TERN_OK;
}

static void close_tls(struct serve_process *p)
{
    for (uint32_t i = 0; i < p->listeners->n; i++)
        tern_tls_free(p->listeners->tls[i]);
}

/* ---- telling that the server is there ---- */

/* Written beside and renamed, so that who waits for the file never reads half of it. */
static void write_file(struct serve_process *p, struct tern_str path, struct tern_str text)
{
    char beside[PATH_MAX];

    if (path.n == 0)
        return;
    snprintf(beside, sizeof(beside), "%.*s.new", TERN_STR_ARG(path));
    FILE *f = fopen(beside, "we");
    bool ok = f != NULL && fwrite(text.p, 1, text.n, f) == text.n;
    if (f != NULL)
        ok &= fclose(f) == 0;
    if (!ok || rename(beside, path.p) != 0)
        tern_log_warn(&p->log, "server.file", "cannot write a file", TERN_KV_STR("path", path));
}

static void announce_persona(struct serve_process *p)
{
    struct tern_str ignored = p->options.persona_ignored;

    if (p->options.persona == TERN_PERSONA_NONE)
        return;
    tern_log_warn(&p->log, "server.persona",
                  "as Triton does, this server lets whoever reaches its ports use, load and unload "
                  "every model",
                  TERN_KV_Z("persona", "triton"));
    if (ignored.n > 0)
        tern_log_warn(&p->log, "server.persona_flags",
                      "these flags have no effect here; `tern help triton` says why",
                      TERN_KV_STR("flags", ignored));
}

static void announce_listener(struct serve_process *p, struct tern_str name,
                              const struct tern_listener_info *info)
{
    struct tern_buf speaks;

    tern_buf_init(&speaks, 1024);
    tern_protos_print(info->protos, &speaks);
    tern_log_info(&p->log, "server.listening", "listening", TERN_KV_STR("on", name),
                  TERN_KV_STR("speaks", tern_buf_str(&speaks)), TERN_KV_BOOL("admin", info->admin));
    tern_buf_fini(&speaks);
}

static void announce(struct serve_process *p, uint64_t start_ns, uint32_t wanted, uint32_t ready)
{
    struct tern_buf names;
    char pid[24];

    announce_persona(p);
    tern_buf_init(&names, 1u << 16);
    for (uint32_t i = 0; i < p->listeners->n; i++) {
        const struct tern_listener *listener = p->listeners->rows[i];
        bool is_unix = tern_str_starts(listener->info.name, TERN_STR("unix:"));
        const char *scheme = is_unix ? "" : p->listeners->tls[i] != NULL ? "https://" : "http://";
        struct tern_str line =
            tern_arena_printf(&p->arena, "%s%.*s", scheme, TERN_STR_ARG(listener->info.name));
        announce_listener(p, line, &listener->info);
        tern_buf_add_str(&names, line);
        tern_buf_add_char(&names, '\n');
    }
    tern_log_info(&p->log, "server.ready", "server is ready", TERN_KV_U64("models", wanted),
                  TERN_KV_U64("ready", ready), TERN_KV_U64("loops", p->n_loops),
                  TERN_KV_Z("simd", tern_simd_name()),
                  TERN_KV_NS("inline_max", tern_sched_inline_max_ns(p->sched)),
                  TERN_KV_NS("start", tern_clock_mono_ns() - start_ns),
                  TERN_KV_Z("version", TERN_VERSION));
    int n = snprintf(pid, sizeof(pid), "%ld\n", (long)getpid());
    write_file(p, p->options.pid_file, tern_str_make(pid, (size_t)n));
    write_file(p, p->options.ready_file, tern_buf_str(&names));
    tern_buf_fini(&names);
}

/* ---- signals ---- */

static void look_whether_drained(struct tern_loop_timer *timer)
{
    struct serve_process *p = TERN_CONTAINER_OF(timer, struct serve_process, drain_timer);

    p->drained = tern_server_wait(p->server, 0);
    if (p->drained || tern_clock_mono_ns() >= p->drain_until_ns) {
        tern_loop_stop(p->control);
        return;
    }
    tern_loop_timer_start(p->control, timer, DRAIN_LOOK_NS);
}

static void start_drain(struct serve_process *p, int signo)
{
    if (p->draining) { /* a second signal: no more patience */
        p->drain_until_ns = 0;
        return;
    }
    p->draining = true;
    p->drain_until_ns = tern_clock_mono_ns() + p->options.drain.grace_ns;
    tern_log_info(&p->log, "server.draining", "no new connections; requests in flight are answered",
                  TERN_KV_Z("signal", strsignal(signo)),
                  TERN_KV_NS("grace", p->options.drain.grace_ns));
    tern_gateway_set_draining(p->gateway);
    tern_server_drain(p->server);
    p->drain_timer.on_due = look_whether_drained;
    tern_loop_timer_start(p->control, &p->drain_timer, 0);
}

static void on_signal(struct tern_signals *signals, int signo)
{
    struct serve_process *p = TERN_CONTAINER_OF(signals, struct serve_process, signals);

    if (signo == SIGTERM || signo == SIGINT || signo == SIGQUIT) {
        start_drain(p, signo);
    } else if (signo == SIGHUP && !p->draining) {
        serve_reload(p);
    }
}

/* ---- the serving process ---- */

static enum tern_code run_until_signal(struct serve_process *p, uint64_t start_ns,
                                       struct tern_err *err)
{
    TERN_TRY(tern_loop_new(p->n_loops, 16, &p->control, err));
    TERN_TRY(tern_signals_open(&p->signals, p->control, on_signal, err));
    uint32_t wanted, ready;
    tern_registry_count(p->registry, &wanted, &ready); /* before its thread has it */
    if (ready < wanted && p->options.model.exit_on_error)
        return tern_fail(err, TERN_UNAVAILABLE,
                         "%u of %u models could not be loaded (model.exit_on_error)",
                         wanted - ready, wanted);
    TERN_TRY(tern_server_start(p->server, err));
    TERN_TRY(tern_registry_start(p->registry, err));
    announce(p, start_ns, wanted, ready);
    tern_loop_run(p->control);
    return TERN_OK;
}

static int fail_to_start(struct serve_process *p, const struct tern_err *err)
{
    if (p->logsink == NULL) {
        fprintf(stderr, "tern: %s\n", err->text);
        return 1;
    }
    tern_log_error(&p->log, "server.failed", "the server cannot start", TERN_KV_ERR(err));
    tern_logsink_flush(p->logsink);
    return 1;
}

static int serve_child(void *arg, uint32_t start)
{
    struct serve_process *p = arg;
    uint64_t start_ns = tern_clock_mono_ns();
    struct tern_err err;

    tern_mem_tune();
    if (start > 0)
        serve_reread(p);
    tern_signals_block();
    enum tern_code code = serve_open(p, &err);
    if (code == TERN_OK)
        code = open_tls(p, &err);
    if (code == TERN_OK)
        code = run_until_signal(p, start_ns, &err);
    if (code != TERN_OK)
        return fail_to_start(p, &err); /* the process ends here: nothing is taken down */
    if (!p->drained) {
        tern_log_warn(&p->log, "server.cut_off", "requests were cut off at the end of the grace",
                      TERN_KV_NONE);
        tern_logsink_flush(p->logsink);
        return 1; /* an engine may still be running: leave without taking anything down */
    }
    tern_server_stop(p->server);
    tern_log_info(&p->log, "server.stopped", "every request was answered", TERN_KV_NONE);
    tern_signals_close(&p->signals);
    tern_loop_free(p->control);
    serve_close(p);
    close_tls(p);
    return 0;
}

static int supervise(struct serve_process *p, struct tern_err *err)
{
    struct tern_supervise spec;
    struct tern_log log;
    bool colour;
    enum tern_log_format format = serve_log_format(&p->options, &colour);
    int status = 1;

    tern_log_init(&log, tern_logsink_direct(STDERR_FILENO), TERN_LOG_INFO, format, colour);
    tern_supervise_defaults(&spec);
    spec.child = serve_child;
    spec.arg = p;
    spec.log = &log;
    if (tern_supervise_run(&spec, &status, err) != TERN_OK) {
        fprintf(stderr, "tern: %s\n", err->text);
        return 1;
    }
    return status;
}

/* The repositories of the command line; what is found lies in the command's arena. */
static enum tern_code find_paths(struct serve_process *p, struct tern_err *err)
{
    const struct tern_command_call *call = p->call;

    p->paths = tern_arena_zalloc(call->arena, call->n_args, sizeof(char *));
    if (p->paths == NULL)
        return tern_arena_fail(call->arena, err, "the paths");
    for (uint32_t i = 0; i < call->n_args; i++) {
        char *path = realpath(call->args[i].p, NULL);
        if (path == NULL)
            return tern_fail(err, TERN_NOT_FOUND, "%s: no such file or folder", call->args[i].p);
        p->paths[i] = tern_arena_copy(call->arena, tern_str_of(path)).p;
        tern_mem_free(path);
        if (p->paths[i] == NULL)
            return tern_arena_fail(call->arena, err, "the paths");
        for (uint32_t j = 0; j < i; j++) {
            if (strcmp(p->paths[i], p->paths[j]) == 0)
                return tern_fail(err, TERN_INVALID_ARGUMENT, "%s: the path is given twice",
                                 call->args[i].p);
        }
    }
    p->n_paths = call->n_args;
    return TERN_OK;
}

int tern_serve_run(const struct tern_command_call *call)
{
    struct serve_listeners listeners = {.n = 0};
    struct serve_process process = {.call = call, .listeners = &listeners};
    struct tern_err err;

    memcpy(&process.options, call->options, sizeof(process.options));
    process.n_loops =
        process.options.loops > 0 ? (uint32_t)process.options.loops : tern_cpu_usable();
    if (find_paths(&process, &err) != TERN_OK) {
        fprintf(stderr, "tern: %s\n", err.text);
        return TERN_EXIT_FAILED;
    }
    if (open_listeners(&process.options, process.n_loops, &listeners, &err) != TERN_OK) {
        fprintf(stderr, "tern: %s\n", err.text);
        return err.code == TERN_ALREADY_EXISTS ? TERN_EXIT_BUSY : TERN_EXIT_FAILED;
    }
    int status = process.options.supervise ? supervise(&process, &err) : serve_child(&process, 0);
    close_listeners(&listeners);
    return status;
}
