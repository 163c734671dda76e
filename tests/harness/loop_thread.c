#include "harness/loop_thread.h"

#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>

static void *thread_main(void *arg)
{
    tern_loop_run(arg);
    return NULL;
}

void loop_thread_start(struct loop_thread *lt, uint32_t index)
{
    struct tern_err err;
    if (tern_loop_new(index, 64, &lt->loop, &err) != TERN_OK ||
        pthread_create(&lt->thread, NULL, thread_main, lt->loop) != 0) {
        fprintf(stderr, "cannot start a loop\n");
        abort();
    }
}

void loop_thread_join(struct loop_thread *lt)
{
    tern_loop_stop(lt->loop);
    pthread_join(lt->thread, NULL);
}

void loop_thread_stop(struct loop_thread *lt)
{
    loop_thread_join(lt);
    tern_loop_free(lt->loop);
}

struct call {
    struct tern_loop_task task;
    void (*run)(void *arg);
    void *arg;
    sem_t done;
};

static void run_call(struct tern_loop_task *task)
{
    struct call *call = TERN_CONTAINER_OF(task, struct call, task);
    call->run(call->arg);
    sem_post(&call->done);
}

void loop_thread_call(struct loop_thread *lt, void (*run)(void *arg), void *arg)
{
    struct call call = {.task = {NULL, run_call}, .run = run, .arg = arg};
    sem_init(&call.done, 0, 0);
    tern_loop_post(lt->loop, &call.task);
    sem_wait(&call.done);
    sem_destroy(&call.done);
}
