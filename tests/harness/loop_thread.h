/* An event loop on a thread of its own, for tests that need one to be running. */
#ifndef TERN_TESTS_LOOP_THREAD_H
#define TERN_TESTS_LOOP_THREAD_H

#include <pthread.h>
#include "os/loop.h"

struct loop_thread {
    struct tern_loop *loop;
    pthread_t thread;
};

void loop_thread_start(struct loop_thread *lt, uint32_t index);
void loop_thread_join(struct loop_thread *lt); /* stopped, its loop not yet freed */
void loop_thread_stop(struct loop_thread *lt); /* that, and freed */
/* Runs run(arg) on the loop and waits for it. */
void loop_thread_call(struct loop_thread *lt, void (*run)(void *arg), void *arg);

#endif
