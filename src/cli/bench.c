#include "cli/bench.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/mem.h"
#include "cli/bench_data.h"
#include "cli/bench_load.h"
#include "cli/commands.h"
#include "os/procstat.h"

#define THREADS_MAX    256
#define START_DELAY_NS (50 * (uint64_t)TERN_NS_PER_MS) /* for all threads to connect */

struct run {
    const struct tern_bench_options *options;
    struct tern_bench_plan plan;
    struct tern_bench_worker *workers[THREADS_MAX];
    uint32_t n_workers;
    int signal_fd;
    FILE *log;
    bool progress;
};

/* One line a second, rewritten in place; nothing when the output is no terminal. */
static void print_progress(const struct run *r, uint64_t *last_answered, uint64_t *last_ns)
{
    uint64_t answered = 0;
    uint64_t bad = 0;
    uint64_t now = tern_clock_mono_ns();

    for (uint32_t i = 0; i < r->n_workers; i++) {
        answered += tern_bench_worker_answered(r->workers[i]);
        bad += tern_bench_worker_bad(r->workers[i]);
    }
    double seconds = (double)(now - *last_ns) / TERN_NS_PER_S;
    const char *phase = now < r->plan.measure_ns ? "warming up" : "measuring";
    if (r->progress)
        (void)fprintf(r->log, "\r\033[K%s  %.0f s  %llu answers  %.0f/s  %llu bad", phase,
                      (double)(now - r->plan.start_ns) / TERN_NS_PER_S,
                      (unsigned long long)answered, (double)(answered - *last_answered) / seconds,
                      (unsigned long long)bad);
    if (r->progress)
        (void)fflush(r->log);
    *last_answered = answered;
    *last_ns = now;
}

/* Until every thread is done. Ctrl-C stops the load; what was measured is reported. */
static void wait_for_workers(struct run *r)
{
    uint64_t done = 0;
    uint64_t answered = 0;
    uint64_t last_ns = r->plan.start_ns;

    while (done < r->n_workers) {
        struct pollfd fds[] = {{.fd = r->plan.done_fd, .events = POLLIN},
                               {.fd = r->signal_fd, .events = POLLIN}};
        struct signalfd_siginfo info;
        uint64_t more = 0;
        int n = poll(fds, 2, 1000);
        if (n == 0)
            print_progress(r, &answered, &last_ns);
        if (n > 0 && (fds[1].revents & POLLIN) != 0 &&
            read(r->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
            atomic_store(&r->plan.stop, true);
        if (n > 0 && (fds[0].revents & POLLIN) != 0 &&
            read(r->plan.done_fd, &more, sizeof(more)) == (ssize_t)sizeof(more))
            done += more;
    }
    if (r->progress)
        (void)fprintf(r->log, "\r\033[K");
    for (uint32_t i = 0; i < r->n_workers; i++)
        tern_bench_worker_join(r->workers[i]);
}

static enum tern_code start_workers(struct run *r, struct tern_err *err)
{
    uint32_t n = (uint32_t)r->options->threads;

    if (n > r->options->connections)
        n = (uint32_t)r->options->connections;
    for (uint32_t i = 0; i < n; i++) {
        enum tern_code code =
            tern_bench_worker_start(&r->plan, i, n, &r->workers[r->n_workers], err);
        if (code != TERN_OK) {
            atomic_store(&r->plan.stop, true);
            return code;
        }
        r->n_workers++;
    }
    return TERN_OK;
}

static void set_times(struct tern_bench_plan *plan, const struct tern_bench_options *o)
{
    plan->start_ns = tern_clock_mono_ns() + START_DELAY_NS;
    plan->measure_ns = plan->start_ns + o->warmup_ns;
    plan->end_ns = o->duration_ns == 0 ? UINT64_MAX : plan->measure_ns + o->duration_ns;
}

/* Server CPU over the whole run, warm-up included, and over all of its requests. */
static bool server_cpu(const struct tern_bench_options *o, struct tern_procstat *ret)
{
    return o->pid != 0 && tern_procstat_read((pid_t)o->pid, ret, NULL) == TERN_OK;
}

/* The handful of signals that end a run arrive here instead of killing the process. */
static int open_signals(sigset_t *before)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    (void)pthread_sigmask(SIG_BLOCK, &set, before);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* Waits out the warm-up before the first look at the server's CPU time. */
static void wait_until(const struct run *r, uint64_t when)
{
    uint64_t now = tern_clock_mono_ns();

    while (now < when && !atomic_load(&r->plan.stop)) {
        struct pollfd pfd = {.fd = r->plan.done_fd, .events = POLLIN};
        int ms = (int)((when - now) / TERN_NS_PER_MS + 1);
        if (poll(&pfd, 1, ms > 1000 ? 1000 : ms) > 0)
            return; /* a thread is done already */
        now = tern_clock_mono_ns();
    }
}

static enum tern_code run_load(struct run *r, struct tern_bench_result *result,
                               struct tern_err *err)
{
    struct tern_procstat before;
    struct tern_procstat after;

    r->plan.done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (r->plan.done_fd < 0)
        return tern_fail(err, TERN_RESOURCE_EXHAUSTED, "no event descriptor: %s", strerror(errno));
    set_times(&r->plan, r->options);
    enum tern_code code = start_workers(r, err);
    if (code == TERN_OK && r->options->pid != 0)
        wait_until(r, r->plan.measure_ns);
    bool has_cpu = server_cpu(r->options, &before);
    wait_for_workers(r);
    if (has_cpu && server_cpu(r->options, &after)) {
        result->has_cpu = true;
        result->server_user_ns = after.user_ns - before.user_ns;
        result->server_system_ns = after.system_ns - before.system_ns;
    }
    for (uint32_t i = 0; i < r->n_workers; i++) {
        tern_bench_worker_add(r->workers[i], result);
        tern_bench_worker_free(r->workers[i]);
    }
    result->elapsed_ns =
        result->elapsed_ns > r->plan.measure_ns ? result->elapsed_ns - r->plan.measure_ns : 0;
    close(r->plan.done_fd);
    return code;
}

static int exit_status(enum tern_code code)
{
    if (code == TERN_UNAVAILABLE || code == TERN_DEADLINE_EXCEEDED)
        return TERN_EXIT_UNREACHABLE;
    return code == TERN_UNKNOWN || code == TERN_DATA_LOSS ? TERN_EXIT_FAILED : TERN_EXIT_USAGE;
}

static void report(const struct tern_bench_options *options, const struct tern_bench_data *data,
                   const struct tern_bench_result *result, FILE *out)
{
    if (options->form == TERN_OUTPUT_FORM_JSON)
        tern_bench_print_json(options, data, result, out);
    else
        tern_bench_print_text(options, data, result, out);
}

static int complain(enum tern_code code, const struct tern_err *err, FILE *log)
{
    (void)fprintf(log, "tern bench: %s\n", err->text);
    if (code == TERN_UNAVAILABLE)
        (void)fprintf(log, "Is the server up? `tern serve PATH` starts one; --url says where it "
                           "is.\n");
    return exit_status(code);
}

enum tern_code tern_bench_apply(const struct tern_bench_options *options,
                                const struct tern_bench_data *data, FILE *progress,
                                struct tern_bench_result *ret_result, bool *ret_stopped,
                                struct tern_err *err)
{
    sigset_t before;
    struct run r = {.options = options,
                    .plan = {.options = options, .data = data},
                    .signal_fd = open_signals(&before),
                    .log = progress,
                    .progress = progress != NULL && isatty(fileno(progress)) == 1};
    enum tern_code code = tern_bench_result_init(ret_result, options, err);
    if (code == TERN_OK)
        code = run_load(&r, ret_result, err);
    close(r.signal_fd);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    *ret_stopped = atomic_load(&r.plan.stop);
    return code;
}

static int measure(const struct tern_bench_options *options, const struct tern_bench_data *data,
                   FILE *out, FILE *log)
{
    struct tern_err err;
    bool stopped;
    struct tern_bench_result *result = tern_mem_zalloc(1, sizeof(*result));
    if (result == NULL) {
        enum tern_code code = tern_mem_fail(&err, "the result", sizeof(*result));
        return complain(code, &err, log);
    }
    enum tern_code code = tern_bench_apply(options, data, log, result, &stopped, &err);
    bool bad = result->errors + result->wrong + result->outcome[TERN_BENCH_UNSENT] > 0 ||
               result->requests == 0;
    int status = bad ? TERN_EXIT_FAILED : TERN_EXIT_OK;
    if (code == TERN_OK)
        report(options, data, result, out);
    else
        status = complain(code, &err, log);
    tern_bench_result_fini(result);
    tern_mem_free(result);
    return status;
}

int tern_bench_measure(const struct tern_bench_options *options, struct tern_str model, FILE *out,
                       FILE *log)
{
    struct tern_bench_data data;
    struct tern_err err;
    enum tern_code code = tern_bench_data_load(options, model, &data, &err);

    if (code != TERN_OK)
        return complain(code, &err, log);
    int status = measure(options, &data, out, log);
    tern_bench_data_fini(&data);
    return status;
}

int tern_bench_run(const struct tern_command_call *call)
{
    struct tern_bench_options options = *(const struct tern_bench_options *)call->options;
    struct tern_str model = call->n_args > 0 ? call->args[0] : (struct tern_str){NULL, 0};

    if (options.requests > 0 && tern_opt_origin_of(call->load, "duration") == TERN_OPT_FROM_DEFAULT)
        options.duration_ns = 0;
    return tern_bench_measure(&options, model, stdout, stderr);
}
