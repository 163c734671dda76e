#include "os/thread.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include "base/clock.h"

static void *enter(void *arg)
{
    struct tern_thread *thread = arg;

    (void)pthread_setname_np(pthread_self(), thread->name);
    if (thread->cpu >= 0 && thread->cpu < CPU_SETSIZE) {
        cpu_set_t set;
        CPU_ZERO(&set);
        CPU_SET((size_t)thread->cpu, &set);
        /* A machine that forbids it only loses speed. */
        (void)pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
    }
    thread->run(thread->arg);
    return NULL;
}

/* What a thread does to itself. Blocked, it ends the process at once, whatever handler there is. */
static const int faults[] = {SIGBUS, SIGSEGV, SIGFPE, SIGILL};

enum tern_code tern_thread_start(struct tern_thread *thread, const char *name, int cpu,
                                 void (*run)(void *arg), void *arg, struct tern_err *err)
{
    sigset_t all;
    sigset_t before;

    *thread = (struct tern_thread){.run = run, .arg = arg, .cpu = cpu};
    snprintf(thread->name, sizeof(thread->name), "%s", name);
    sigfillset(&all);
    for (size_t i = 0; i < TERN_COUNT_OF(faults); i++)
        sigdelset(&all, faults[i]);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&thread->id, NULL, enter, thread);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error != 0)
        return tern_fail(err, TERN_RESOURCE_EXHAUSTED, "cannot start thread '%s': %s", name,
                         strerror(error));
    return TERN_OK;
}

void tern_thread_join(struct tern_thread *thread)
{
    (void)pthread_join(thread->id, NULL);
}

int tern_thread_cpu(uint32_t k)
{
    cpu_set_t set;

    if (sched_getaffinity(0, sizeof(set), &set) != 0)
        return -1;
    int n = CPU_COUNT(&set);
    if (n <= 0)
        return -1;
    uint32_t left = k % (uint32_t)n;
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (CPU_ISSET((size_t)cpu, &set) && left-- == 0)
            return cpu;
    }
    return -1;
}

void tern_thread_sleep_ns(uint64_t ns)
{
    struct timespec left = {.tv_sec = (time_t)(ns / TERN_NS_PER_S),
                            .tv_nsec = (long)(ns % TERN_NS_PER_S)};

    while (nanosleep(&left, &left) != 0 && errno == EINTR)
        continue;
}

void tern_thread_wait(pthread_cond_t *condition, pthread_mutex_t *lock, uint64_t at_most_ns)
{
    struct timespec until;

    if (clock_gettime(CLOCK_MONOTONIC, &until) != 0)
        return;
    until.tv_sec += (time_t)(at_most_ns / TERN_NS_PER_S);
    until.tv_nsec += (long)(at_most_ns % TERN_NS_PER_S);
    if (until.tv_nsec >= (long)TERN_NS_PER_S) {
        until.tv_sec++;
        until.tv_nsec -= (long)TERN_NS_PER_S;
    }
    (void)pthread_cond_clockwait(condition, lock, CLOCK_MONOTONIC, &until);
}

void tern_thread_sharpen_timers(void)
{
    (void)prctl(PR_SET_TIMERSLACK, 1000UL, 0UL, 0UL, 0UL);
}
