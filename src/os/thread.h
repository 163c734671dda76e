/* Threads with a name and a place. Locks are plain pthread ones. */
#ifndef TERN_OS_THREAD_H
#define TERN_OS_THREAD_H

#include <pthread.h>
#include <stdint.h>
#include "base/err.h"

struct tern_thread {
    pthread_t id;
    void (*run)(void *arg);
    void *arg;
    char name[16]; /* as in ps -L; longer names are cut off */
    int cpu;       /* runs there only; -1: anywhere */
};

/* The struct stays in place until join. All signals are blocked in the new thread, but for its own
 * faults: the main thread is the one that hears them. */
enum tern_code tern_thread_start(struct tern_thread *thread, const char *name, int cpu,
                                 void (*run)(void *arg), void *arg, struct tern_err *err);
void tern_thread_join(struct tern_thread *thread);

/* The k-th of the CPUs that this process may run on; k wraps around. */
int tern_thread_cpu(uint32_t k);

void tern_thread_sleep_ns(uint64_t ns);
/* Waits for the condition, at most so long; under the lock. It may return earlier for no reason. */
void tern_thread_wait(pthread_cond_t *condition, pthread_mutex_t *lock, uint64_t at_most_ns);
/* The calling thread's waits end within a microsecond or so of their time, instead of the usual 50
 * (PR_SET_TIMERSLACK, prctl(2)). */
void tern_thread_sharpen_timers(void);

#endif
