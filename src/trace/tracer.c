#include "trace/tracer.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/compiler.h"
#include "base/mem.h"
#include "os/thread.h"

struct tern_tracer {
    struct tern_tracer_settings settings;
    struct tern_thread thread;
    const struct tern_trace_record **batch; /* owned: batch_max */
    int wake_fd;
    atomic_bool stopping;
    TERN_ALIGNED(TERN_CACHE_LINE) _Atomic(struct tern_trace_record *) pushed; /* newest first */
    _Atomic uint32_t waiting; /* reserved, or pushed and not yet taken */
    _Atomic uint32_t ready;   /* pushed and not yet taken */
    _Atomic uint64_t dropped;
    _Atomic uint64_t written;
};

/* ---- the loops' side ---- */

struct tern_trace_record *tern_tracer_reserve(struct tern_tracer *tracer,
                                              const struct tern_trace_record *from)
{
    struct tern_trace_record *record = NULL;

    if (atomic_fetch_add(&tracer->waiting, 1) < tracer->settings.queue_max)
        record = tern_trace_record_new(from);
    if (record == NULL) {
        atomic_fetch_sub(&tracer->waiting, 1);
        atomic_fetch_add_explicit(&tracer->dropped, 1, memory_order_relaxed);
    }
    return record;
}

static void wake(struct tern_tracer *tracer)
{
    const uint64_t one = 1;

    if (write(tracer->wake_fd, &one, sizeof(one)) < 0)
        return; /* the counter is far from full */
}

void tern_tracer_push(struct tern_tracer *tracer, struct tern_trace_record *record)
{
    record->next = atomic_load_explicit(&tracer->pushed, memory_order_relaxed);
    while (!atomic_compare_exchange_weak(&tracer->pushed, &record->next, record))
        ;
    uint32_t ready = atomic_fetch_add(&tracer->ready, 1) + 1;
    if (ready == 1 || ready == tracer->settings.batch_max)
        wake(tracer);
}

struct tern_tracer_counts tern_tracer_count(const struct tern_tracer *tracer)
{
    return (struct tern_tracer_counts){
        .written = atomic_load_explicit(&tracer->written, memory_order_relaxed),
        .dropped = atomic_load_explicit(&tracer->dropped, memory_order_relaxed),
    };
}

/* ---- the thread ---- */

/* Takes all that was pushed; oldest first. */
static struct tern_trace_record *take_all(struct tern_tracer *tracer, uint32_t *ret_n)
{
    struct tern_trace_record *newest = atomic_exchange(&tracer->pushed, NULL);
    struct tern_trace_record *oldest = NULL;
    uint32_t n = 0;

    while (newest != NULL) {
        struct tern_trace_record *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
        n++;
    }
    atomic_fetch_sub(&tracer->ready, n);
    *ret_n = n;
    return oldest;
}

static void deliver(struct tern_tracer *tracer)
{
    const struct tern_tracer_settings *settings = &tracer->settings;
    bool given_up = false;
    uint32_t n_all;
    struct tern_trace_record *first = take_all(tracer, &n_all);

    while (first != NULL) {
        struct tern_trace_record *end = first;
        uint32_t n = 0;
        for (; end != NULL && n < settings->batch_max; end = end->next)
            tracer->batch[n++] = end;
        uint32_t lost = given_up ? n : settings->sink.write(settings->sink.self, tracer->batch, n);
        given_up = lost == n && atomic_load(&tracer->stopping); /* nobody waits for a dead end */
        atomic_fetch_add_explicit(&tracer->written, n - lost, memory_order_relaxed);
        atomic_fetch_add_explicit(&tracer->dropped, lost, memory_order_relaxed);
        while (first != end) {
            struct tern_trace_record *next = first->next;
            tern_trace_record_free(first);
            first = next;
        }
        atomic_fetch_sub(&tracer->waiting, n);
    }
}

/* Until somebody wakes us, or the time is over; -1: no end. */
static void wait_for_wake(struct tern_tracer *tracer, int64_t ns)
{
    struct pollfd pfd = {.fd = tracer->wake_fd, .events = POLLIN};
    struct timespec time = {.tv_sec = ns / (int64_t)TERN_NS_PER_S,
                            .tv_nsec = ns % (int64_t)TERN_NS_PER_S};
    uint64_t count;

    if (ppoll(&pfd, 1, ns < 0 ? NULL : &time, NULL) > 0 &&
        read(tracer->wake_fd, &count, sizeof(count)) < 0)
        return; /* somebody took it: nobody else reads, so the kernel was interrupted */
}

/* Lets a batch fill up. */
static void gather(struct tern_tracer *tracer)
{
    uint64_t until = tern_clock_mono_ns() + tracer->settings.delay_ns;

    while (!atomic_load(&tracer->stopping) &&
           atomic_load(&tracer->ready) < tracer->settings.batch_max) {
        uint64_t now = tern_clock_mono_ns();
        if (now >= until)
            return;
        wait_for_wake(tracer, (int64_t)(until - now));
    }
}

static void run(void *arg)
{
    struct tern_tracer *tracer = arg;

    for (;;) {
        if (atomic_load(&tracer->ready) > 0) {
            gather(tracer);
            deliver(tracer);
        } else if (atomic_load(&tracer->stopping)) {
            return;
        } else {
            wait_for_wake(tracer, -1);
        }
    }
}

/* ---- life ---- */

static void free_tracer(struct tern_tracer *tracer)
{
    if (tracer->settings.sink.close != NULL)
        tracer->settings.sink.close(tracer->settings.sink.self);
    if (tracer->wake_fd >= 0)
        close(tracer->wake_fd);
    tern_mem_free(tracer->batch);
    tern_mem_free(tracer);
}

enum tern_code tern_tracer_start(const struct tern_tracer_settings *settings,
                                 struct tern_tracer **ret_tracer, struct tern_err *err)
{
    struct tern_tracer *tracer = tern_mem_alloc_aligned(TERN_CACHE_LINE, sizeof(*tracer));

    if (tracer == NULL) {
        if (settings->sink.close != NULL)
            settings->sink.close(settings->sink.self);
        return tern_mem_fail(err, "the tracer", sizeof(*tracer));
    }
    *tracer = (struct tern_tracer){.settings = *settings, .wake_fd = eventfd(0, EFD_CLOEXEC)};
    tracer->batch = tern_mem_zalloc(settings->batch_max, sizeof(struct tern_trace_record *));
    enum tern_code code = TERN_OK;
    if (tracer->batch == NULL)
        code = tern_mem_fail(err, "the tracer", settings->batch_max * sizeof(void *));
    else if (tracer->wake_fd < 0)
        code = tern_fail(err, TERN_RESOURCE_EXHAUSTED, "the tracer: no file descriptor: %s",
                         strerror(errno));
    if (code == TERN_OK)
        code = tern_thread_start(&tracer->thread, "tern-trace", -1, run, tracer, err);
    if (code != TERN_OK) {
        free_tracer(tracer);
        return code;
    }
    *ret_tracer = tracer;
    return TERN_OK;
}

void tern_tracer_stop(struct tern_tracer *tracer)
{
    if (tracer == NULL)
        return;
    atomic_store(&tracer->stopping, true);
    wake(tracer);
    tern_thread_join(&tracer->thread);
    free_tracer(tracer);
}
