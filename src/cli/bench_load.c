#include "cli/bench_load.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/timerfd.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/list.h"
#include "base/mem.h"
#include "cli/bench_arrivals.h"
#include "os/loop.h"

#define RECONNECT_NS  (100 * (uint64_t)TERN_NS_PER_MS)
#define WATCH_NS      (100 * (uint64_t)TERN_NS_PER_MS) /* how often timeouts are looked for */
#define RESPONSE_ROOM 16384
#define GRACE_NS      (100 * (uint64_t)TERN_NS_PER_MS) /* after the end, for what was due before it */

struct conn {
    struct tern_loop_fd watch; /* fd -1: to be connected at retry_ns */
    struct tern_list idle;     /* in worker->idle while connected and free */
    struct tern_bench_worker *worker;
    struct tern_http_reader reader;
    struct tern_str rest; /* of the request, not sent yet */
    size_t at;            /* which case is in flight */
    bool busy;
    bool measured;
    uint64_t due_ns;  /* when the request in flight was meant to start */
    uint64_t sent_ns; /* when it did */
    uint64_t retry_ns;
};

struct tern_bench_worker {
    struct tern_bench_plan *plan;
    struct tern_loop *loop;
    pthread_t thread;
    struct conn *conns; /* owned */
    uint32_t n_conns;
    uint32_t n_in_use; /* the first so many; an open loop takes more when none is free */
    struct tern_list idle;
    size_t next_case;
    uint64_t left; /* requests that may still be sent */
    uint32_t in_flight;
    bool stopping;

    /* Open loop. */
    struct tern_bench_arrivals arrivals; /* the next is the next to send */
    struct tern_loop_fd pacer;
    struct tern_loop_task spin;
    bool spinning;

    struct tern_loop_timer watchdog;
    struct tern_bench_result result;
    _Atomic uint64_t answered; /* for the progress line */
    _Atomic uint64_t bad;
};

static void pace(struct tern_bench_worker *w);

static bool is_open_loop(const struct tern_bench_worker *w)
{
    return w->plan->options->rate > 0;
}

static void add_one(_Atomic uint64_t *counter)
{
    uint64_t v = atomic_load_explicit(counter, memory_order_relaxed);
    atomic_store_explicit(counter, v + 1, memory_order_relaxed);
}

/* Connections. */

static void on_conn(struct tern_loop_fd *watch, unsigned events);

static void conn_open(struct conn *c)
{
    struct tern_bench_worker *w = c->worker;
    struct tern_err err;

    c->retry_ns = tern_clock_mono_ns() + RECONNECT_NS;
    if (tern_sock_connect(&w->plan->data->remote.target.addr, &c->watch.fd, &err) != TERN_OK) {
        c->watch.fd = -1;
        return;
    }
    tern_sock_set_nodelay(c->watch.fd);
    c->watch.on_ready = on_conn;
    if (tern_loop_add(w->loop, &c->watch, TERN_LOOP_READ, &err) != TERN_OK) {
        tern_sock_close(c->watch.fd);
        c->watch.fd = -1;
        return;
    }
    tern_http_reader_reset(&c->reader);
    tern_list_append(&w->idle, &c->idle);
}

static void conn_close(struct conn *c)
{
    tern_list_remove(&c->idle);
    if (c->watch.fd < 0)
        return;
    tern_loop_remove(c->worker->loop, &c->watch);
    tern_sock_close(c->watch.fd);
    c->watch.fd = -1;
    c->retry_ns = 0;
}

static void count(const struct conn *c, uint64_t now, enum tern_bench_outcome outcome)
{
    struct tern_bench_worker *w = c->worker;

    if (c->measured)
        tern_bench_result_count(&w->result, w->plan->options, c->due_ns, now - c->due_ns, outcome);
}

/* The request in flight, if there is one, gets no answer any more. */
static void conn_lost(struct conn *c, enum tern_bench_outcome outcome, const char *why)
{
    struct tern_bench_worker *w = c->worker;

    if (c->busy) {
        w->in_flight--;
        add_one(&w->bad);
        tern_bench_note(w->result.first_error, why);
        w->result.errors++;
        count(c, tern_clock_mono_ns(), outcome);
    }
    c->busy = false;
    w->result.reconnects++;
    conn_close(c);
}

static void conn_failed(struct conn *c, const char *why)
{
    conn_lost(c, TERN_BENCH_FAILED, why);
}

/* One answer is whole. */
static void conn_answered(struct conn *c)
{
    struct tern_bench_worker *w = c->worker;
    char why[256] = "";
    uint64_t now = tern_clock_mono_ns();
    enum tern_bench_outcome outcome = TERN_BENCH_IN_TIME;

    c->busy = false;
    w->in_flight--;
    add_one(&w->answered);
    if (c->measured) {
        w->result.requests++;
        w->result.bytes_in += c->reader.received;
        w->result.bytes_out += tern_buf_str(&w->plan->data->cases[c->at].request).n;
    }
    if (c->reader.status != 200) {
        struct tern_str body = tern_http_reader_body(&c->reader);
        (void)snprintf(why, sizeof(why), "status %d: %.*s", c->reader.status,
                       (int)(body.n > 200 ? 200 : body.n), body.n > 0 ? body.p : "");
        w->result.errors++;
        tern_bench_note(w->result.first_error, why);
        add_one(&w->bad);
        outcome = tern_bench_outcome_of_status(c->reader.status);
    } else if (!tern_bench_data_check(w->plan->data, c->at, &c->reader, why, sizeof(why))) {
        w->result.wrong++;
        tern_bench_note(w->result.first_wrong, why);
        add_one(&w->bad);
        outcome = TERN_BENCH_WRONG;
    }
    count(c, now, outcome);
    if (c->reader.keep_alive) {
        tern_http_reader_reset(&c->reader);
        tern_list_append(&w->idle, &c->idle);
    } else {
        w->result.reconnects++;
        conn_close(c);
        conn_open(c);
    }
}

static void conn_send(struct conn *c)
{
    while (c->rest.n > 0) {
        struct iovec iov = {(void *)(uintptr_t)c->rest.p, c->rest.n};
        ssize_t k = tern_sock_send(c->watch.fd, &iov, 1);
        if (k > 0) {
            c->rest = tern_str_from(c->rest, (size_t)k);
        } else if (errno == EAGAIN) {
            tern_loop_change(c->worker->loop, &c->watch, TERN_LOOP_READ | TERN_LOOP_WRITE);
            return;
        } else {
            conn_failed(c, strerror(errno));
            return;
        }
    }
    tern_loop_change(c->worker->loop, &c->watch, TERN_LOOP_READ);
}

static void conn_receive(struct conn *c)
{
    struct tern_err err;
    size_t room = 0;
    bool done = false;
    char *p = tern_http_reader_room(&c->reader, RESPONSE_ROOM, &room);
    ssize_t k = p == NULL ? -1 : tern_sock_recv(c->watch.fd, p, room);

    if (p == NULL) {
        conn_failed(c, "the answer is too large");
    } else if (k < 0) {
        if (errno != EAGAIN)
            conn_failed(c, strerror(errno));
    } else if (!c->busy) {
        conn_failed(c, ""); /* closed while idle, or bytes nobody asked for */
    } else if (tern_http_reader_take(&c->reader, (size_t)k, &done, &err) != TERN_OK) {
        conn_failed(c, err.text);
    } else if (done) {
        conn_answered(c);
    }
}

static void on_conn(struct tern_loop_fd *watch, unsigned events)
{
    struct conn *c = TERN_CONTAINER_OF(watch, struct conn, watch);
    struct tern_bench_worker *w = c->worker;

    if ((events & TERN_LOOP_WRITE) != 0)
        conn_send(c);
    if (c->watch.fd >= 0 && (events & (TERN_LOOP_READ | TERN_LOOP_HUP)) != 0)
        conn_receive(c);
    pace(w);
}

static void start_request(struct tern_bench_worker *w, struct conn *c, uint64_t due_ns)
{
    const struct tern_bench_data *data = w->plan->data;

    c->at = w->next_case;
    w->next_case = (w->next_case + 1) % data->n_cases;
    c->rest = tern_buf_str(&data->cases[c->at].request);
    c->busy = true;
    c->due_ns = due_ns;
    c->measured = due_ns >= w->plan->measure_ns;
    if (c->measured)
        w->left--;
    w->in_flight++;
    c->sent_ns = tern_clock_mono_ns();
    conn_send(c);
}

/* Pacing. */

static struct conn *take_idle(struct tern_bench_worker *w)
{
    struct tern_list *node = tern_list_pop(&w->idle);
    if (node == NULL && w->n_in_use < w->n_conns) { /* what is sent waits for the connection */
        conn_open(&w->conns[w->n_in_use++]);
        node = tern_list_pop(&w->idle);
    }
    return node == NULL ? NULL : TERN_CONTAINER_OF(node, struct conn, idle);
}

static bool is_over(const struct tern_bench_worker *w, uint64_t due_ns)
{
    return w->left == 0 || due_ns >= w->plan->end_ns ||
           atomic_load_explicit(&w->plan->stop, memory_order_relaxed);
}

/* Those that were due and never left: their wait so far is a lower bound of their latency. */
static void count_unsent(struct tern_bench_worker *w)
{
    uint64_t end = tern_clock_mono_ns() < w->plan->end_ns ? tern_clock_mono_ns() : w->plan->end_ns;

    if (!is_open_loop(w))
        return;
    for (; w->left > 0; tern_bench_arrivals_pop(&w->arrivals)) {
        uint64_t due = tern_bench_arrivals_due(&w->arrivals);
        if (due >= end)
            return;
        if (due < w->plan->measure_ns)
            continue;
        w->left--;
        tern_bench_result_count(&w->result, w->plan->options, due, end - due, TERN_BENCH_UNSENT);
    }
}

static void finish(struct tern_bench_worker *w)
{
    uint64_t now = tern_clock_mono_ns();
    uint64_t last = now < w->plan->end_ns ? now : w->plan->end_ns;

    if (!w->stopping)
        w->result.sending_ns = last > w->plan->measure_ns ? last - w->plan->measure_ns : 0;
    if (!w->stopping && !atomic_load_explicit(&w->plan->stop, memory_order_relaxed))
        count_unsent(w);
    w->stopping = true;
    if (w->in_flight == 0)
        tern_loop_stop(w->loop);
}

static void pace_closed(struct tern_bench_worker *w)
{
    struct conn *c;
    uint64_t now = tern_clock_mono_ns();

    if (now < w->plan->start_ns)
        return; /* the watchdog or the pacer comes back */
    while (!is_over(w, now) && (c = take_idle(w)) != NULL)
        start_request(w, c, now = tern_clock_mono_ns());
    if (is_over(w, now))
        finish(w);
}

/* Wakes a little before the next request is due and spins for the rest: a timer alone is late by
 * the time it takes to wake. */
static void sleep_until(struct tern_bench_worker *w, uint64_t due_ns, uint64_t now)
{
    uint64_t spin = w->plan->options->spin_ns;

    if (due_ns <= now + spin) {
        if (!w->spinning)
            tern_loop_defer(w->loop, &w->spin);
        w->spinning = true;
        return;
    }
    uint64_t wake = due_ns - spin;
    struct itimerspec when = {.it_value = {.tv_sec = (time_t)(wake / TERN_NS_PER_S),
                                           .tv_nsec = (long)(wake % TERN_NS_PER_S)}};
    (void)timerfd_settime(w->pacer.fd, TFD_TIMER_ABSTIME, &when, NULL);
}

static void pace_open(struct tern_bench_worker *w)
{
    for (;;) {
        uint64_t now = tern_clock_mono_ns();
        uint64_t due = tern_bench_arrivals_due(&w->arrivals);
        if (is_over(w, due)) {
            finish(w);
            return;
        }
        if (due > now) {
            sleep_until(w, due, now);
            return;
        }
        struct conn *c = take_idle(w);
        if (c == NULL) { /* the next answer, or the watchdog, comes back here */
            if (now > w->plan->end_ns && now - w->plan->end_ns > GRACE_NS)
                finish(w);
            return;
        }
        if (due >= w->plan->measure_ns)
            tern_histogram_record(&w->result.lag, now - due);
        tern_bench_arrivals_pop(&w->arrivals);
        start_request(w, c, due);
    }
}

static void pace(struct tern_bench_worker *w)
{
    if (w->stopping)
        finish(w);
    else if (is_open_loop(w))
        pace_open(w);
    else
        pace_closed(w);
}

static void on_pacer(struct tern_loop_fd *watch, unsigned events)
{
    uint64_t count;

    (void)events;
    if (read(watch->fd, &count, sizeof(count)) < 0)
        return;
    pace(TERN_CONTAINER_OF(watch, struct tern_bench_worker, pacer));
}

static void on_spin(struct tern_loop_task *task)
{
    struct tern_bench_worker *w = TERN_CONTAINER_OF(task, struct tern_bench_worker, spin);

    w->spinning = false;
    pace(w);
}

/* Timeouts, reconnects, and the end of the run when nothing else happens. */
static void on_watchdog(struct tern_loop_timer *timer)
{
    struct tern_bench_worker *w = TERN_CONTAINER_OF(timer, struct tern_bench_worker, watchdog);
    uint64_t now = tern_clock_mono_ns();

    for (uint32_t i = 0; i < w->n_in_use; i++) {
        struct conn *c = &w->conns[i];
        if (c->busy && now - c->sent_ns > w->plan->options->timeout_ns)
            conn_lost(c, TERN_BENCH_TIMEOUT, "no answer in time (--timeout)");
        if (c->watch.fd < 0 && now >= c->retry_ns && !w->stopping)
            conn_open(c);
    }
    tern_loop_timer_start(w->loop, timer, WATCH_NS);
    pace(w);
}

/* Life. */

static void *run(void *arg)
{
    struct tern_bench_worker *w = arg;
    uint64_t one = 1;
    struct rusage usage;

    (void)prctl(PR_SET_TIMERSLACK, 1UL); /* the default of 50 us would be added to each wake-up */
    for (uint32_t i = 0; i < w->n_in_use; i++)
        conn_open(&w->conns[i]);
    /* Also when closed: the first wake-up is at the start. */
    sleep_until(w, w->plan->start_ns + w->plan->options->spin_ns + 1, 0);
    tern_loop_timer_start(w->loop, &w->watchdog, WATCH_NS);
    tern_loop_run(w->loop);
    w->result.elapsed_ns = tern_clock_mono_ns();
    if (getrusage(RUSAGE_THREAD, &usage) == 0)
        w->result.client_cpu_ns =
            (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * TERN_NS_PER_S +
            (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * TERN_NS_PER_US;
    if (write(w->plan->done_fd, &one, sizeof(one)) < 0)
        return NULL; /* an eventfd takes 1 always */
    return NULL;
}

static uint64_t share(uint64_t total, uint32_t index, uint32_t n)
{
    return total / n + (index < total % n ? 1 : 0);
}

static enum tern_code fill(struct tern_bench_worker *w, uint32_t index, uint32_t n,
                           struct tern_err *err)
{
    const struct tern_bench_options *o = w->plan->options;

    tern_list_init(&w->idle);
    TERN_TRY(tern_bench_result_init(&w->result, o, err));
    w->result.start_ns = w->plan->measure_ns;
    w->next_case = w->plan->data->n_cases * index / n; /* threads do not march in step */
    w->left = o->requests == 0 ? UINT64_MAX : share(o->requests, index, n);
    if (o->rate > 0)
        tern_bench_arrivals_init(&w->arrivals, w->plan->start_ns, o->rate, index, n);
    if (o->rate > 0 && o->poisson)
        tern_bench_arrivals_scatter(&w->arrivals, o->seed * n + index);
    w->spin.run = on_spin;
    w->watchdog.on_due = on_watchdog;
    w->pacer.on_ready = on_pacer;
    bool grows = o->rate > 0 && o->connections_max > o->connections;
    w->n_in_use = (uint32_t)share(o->connections, index, n);
    w->n_conns = (uint32_t)share(grows ? o->connections_max : o->connections, index, n);
    w->conns = tern_mem_zalloc(w->n_conns, sizeof(struct conn));
    if (w->conns == NULL)
        return tern_mem_fail(err, "the connections", w->n_conns * sizeof(struct conn));
    for (uint32_t i = 0; i < w->n_conns; i++) {
        w->conns[i].worker = w;
        w->conns[i].watch.fd = -1;
        tern_list_init(&w->conns[i].idle);
        tern_http_reader_init(&w->conns[i].reader, TERN_BENCH_BODY_MAX);
    }
    TERN_TRY(tern_loop_new(index, w->n_conns + 16, &w->loop, err));
    w->pacer.fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (w->pacer.fd < 0)
        return tern_fail(err, TERN_RESOURCE_EXHAUSTED, "no timer: %s", strerror(errno));
    return tern_loop_add(w->loop, &w->pacer, TERN_LOOP_READ, err);
}

enum tern_code tern_bench_worker_start(struct tern_bench_plan *plan, uint32_t index, uint32_t n,
                                       struct tern_bench_worker **ret_worker, struct tern_err *err)
{
    struct tern_bench_worker *w = tern_mem_zalloc(1, sizeof(*w));

    if (w == NULL)
        return tern_mem_fail(err, "a load thread", sizeof(*w));
    w->plan = plan;
    w->pacer.fd = -1;
    enum tern_code code = fill(w, index, n, err);
    int rc = code != TERN_OK ? 0 : pthread_create(&w->thread, NULL, run, w);
    if (rc != 0)
        code = tern_fail(err, TERN_RESOURCE_EXHAUSTED, "no thread: %s", strerror(rc));
    if (code != TERN_OK) {
        tern_bench_worker_free(w);
        return code;
    }
    *ret_worker = w;
    return TERN_OK;
}

void tern_bench_worker_join(struct tern_bench_worker *worker)
{
    pthread_join(worker->thread, NULL);
}

void tern_bench_worker_free(struct tern_bench_worker *worker)
{
    if (worker == NULL)
        return;
    for (uint32_t i = 0; worker->conns != NULL && i < worker->n_conns; i++) {
        if (worker->conns[i].watch.fd >= 0)
            tern_sock_close(worker->conns[i].watch.fd);
        tern_http_reader_fini(&worker->conns[i].reader);
    }
    if (worker->pacer.fd >= 0)
        close(worker->pacer.fd);
    tern_loop_free(worker->loop);
    tern_bench_result_fini(&worker->result);
    tern_mem_free(worker->conns);
    tern_mem_free(worker);
}

void tern_bench_worker_add(const struct tern_bench_worker *worker, struct tern_bench_result *into)
{
    tern_bench_result_add(into, &worker->result);
}

uint64_t tern_bench_worker_answered(const struct tern_bench_worker *worker)
{
    return atomic_load_explicit(&worker->answered, memory_order_relaxed);
}

uint64_t tern_bench_worker_bad(const struct tern_bench_worker *worker)
{
    return atomic_load_explicit(&worker->bad, memory_order_relaxed);
}
