// wrap: tern_clock_mono_ns
/* The event loop, mostly stepped by hand in one thread; the mailbox with real threads. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <cmocka.h>
#include "os/loop.c"

uint64_t __real_tern_clock_mono_ns(void);
uint64_t __wrap_tern_clock_mono_ns(void);

static uint64_t fake_now_ns; /* 0: the real clock */

uint64_t __wrap_tern_clock_mono_ns(void)
{
    return fake_now_ns != 0 ? fake_now_ns : __real_tern_clock_mono_ns();
}

static struct tern_loop *new_loop(void)
{
    struct tern_loop *loop = NULL;

    if (tern_loop_new(3, 16, &loop, NULL) != TERN_OK)
        abort();
    return loop;
}

/* One round that does not wait. */
static void step(struct tern_loop *loop)
{
    int n = epoll_wait(loop->epoll_fd, loop->ready, READY_MAX, 0);
    loop->n_ready = n > 0 ? n : 0;
    loop->now_ns = tern_clock_mono_ns();
    serve_ready(loop);
    run_timers(loop);
    run_mail(loop);
    run_deferred(loop);
}

/* Timers. */

struct alarm {
    struct tern_loop_timer timer;
    struct tern_loop *loop;
    int id;
    uint64_t again_ns;
};

static int rung[4096];
static int n_rung;

static void on_alarm(struct tern_loop_timer *timer)
{
    struct alarm *alarm = TERN_CONTAINER_OF(timer, struct alarm, timer);

    rung[n_rung++] = alarm->id;
    if (alarm->again_ns != 0)
        tern_loop_timer_start(alarm->loop, timer, alarm->again_ns);
}

static void timers_fire_in_order(void **state)
{
    struct tern_loop *loop = new_loop();
    static struct alarm alarms[1000];
    unsigned seed = 7;

    (void)state;
    fake_now_ns = loop->now_ns = 5000000000;
    n_rung = 0;
    for (int i = 0; i < 1000; i++) {
        alarms[i] = (struct alarm){.timer.on_due = on_alarm, .loop = loop, .id = i};
        seed = seed * 1103515245u + 12345u;
        tern_loop_timer_start(loop, &alarms[i].timer, seed % 100000);
    }
    for (int i = 0; i < 1000; i += 3)
        tern_loop_timer_stop(loop, &alarms[i].timer);
    for (int i = 1; i < 1000; i += 3) { /* moved */
        seed = seed * 1103515245u + 12345u;
        tern_loop_timer_start(loop, &alarms[i].timer, seed % 100000);
    }
    step(loop);
    fake_now_ns += 50000;
    step(loop);
    int half = n_rung;
    assert_in_range(half, 100, 566);
    fake_now_ns += 50000;
    step(loop);
    assert_int_equal(n_rung, 666);
    for (int i = 1; i < n_rung; i++) {
        assert_true(alarms[rung[i - 1]].timer.due_ns <= alarms[rung[i]].timer.due_ns);
        assert_true(rung[i] % 3 != 0);
    }
    for (int i = 0; i < 1000; i++)
        assert_int_equal(alarms[i].timer.slot, 0);
    tern_loop_free(loop);
    fake_now_ns = 0;
}

static void a_timer_may_start_itself_again(void **state)
{
    struct tern_loop *loop = new_loop();
    struct alarm alarm = {.timer.on_due = on_alarm, .loop = loop, .again_ns = 10};

    (void)state;
    fake_now_ns = loop->now_ns = 5000000000;
    n_rung = 0;
    tern_loop_timer_start(loop, &alarm.timer, 10);
    for (int i = 0; i < 5; i++) {
        fake_now_ns += 10;
        step(loop);
    }
    assert_int_equal(n_rung, 5);
    tern_loop_timer_stop(loop, &alarm.timer);
    tern_loop_timer_stop(loop, &alarm.timer); /* twice is harmless */
    assert_int_equal(timeout_ms(loop), -1);
    tern_loop_timer_start(loop, &alarm.timer, UINT64_MAX);
    assert_int_equal(timeout_ms(loop), 3600000);
    tern_loop_free(loop);
    fake_now_ns = 0;
}

static void the_wait_is_rounded_up(void **state)
{
    struct tern_loop *loop = new_loop();
    struct alarm alarm = {.timer.on_due = on_alarm, .loop = loop};

    (void)state;
    fake_now_ns = loop->now_ns = 5000000000;
    tern_loop_timer_start(loop, &alarm.timer, 1);
    assert_int_equal(timeout_ms(loop), 1);
    tern_loop_timer_start(loop, &alarm.timer, 2000000);
    assert_int_equal(timeout_ms(loop), 2);
    tern_loop_free(loop);
    fake_now_ns = 0;
}

/* Descriptors. */

struct end {
    struct tern_loop_fd io;
    struct tern_loop *loop;
    struct end *other;
    unsigned seen;
    int calls;
};

static void on_end(struct tern_loop_fd *self, unsigned events)
{
    struct end *end = TERN_CONTAINER_OF(self, struct end, io);

    end->seen |= events;
    end->calls++;
    if (end->other != NULL)
        tern_loop_remove(end->loop, &end->other->io);
}

static void removed_means_silent(void **state)
{
    struct tern_loop *loop = new_loop();
    int a[2], b[2];
    struct end ends[2];

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, a), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, b), 0);
    ends[0] = (struct end){.io = {.fd = a[0], .on_ready = on_end}, .loop = loop, .other = &ends[1]};
    ends[1] = (struct end){.io = {.fd = b[0], .on_ready = on_end}, .loop = loop, .other = &ends[0]};
    assert_int_equal(tern_loop_add(loop, &ends[0].io, TERN_LOOP_READ, NULL), TERN_OK);
    assert_int_equal(tern_loop_add(loop, &ends[1].io, TERN_LOOP_READ, NULL), TERN_OK);
    assert_int_equal(send(a[1], "x", 1, 0), 1);
    assert_int_equal(send(b[1], "x", 1, 0), 1);
    step(loop); /* both are ready; the first removes the other */
    assert_int_equal(ends[0].calls + ends[1].calls, 1);
    for (int i = 0; i < 2; i++) {
        close(a[i]);
        close(b[i]);
    }
    tern_loop_free(loop);
}

static void interest_is_obeyed(void **state)
{
    struct tern_loop *loop = new_loop();
    int a[2];

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, a), 0);
    struct end end = {.io = {.fd = a[0], .on_ready = on_end}, .loop = loop};
    assert_int_equal(tern_loop_add(loop, &end.io, TERN_LOOP_READ, NULL), TERN_OK);
    step(loop);
    assert_int_equal(end.calls, 0);
    tern_loop_change(loop, &end.io, TERN_LOOP_WRITE);
    step(loop);
    assert_int_equal(end.seen, TERN_LOOP_WRITE);
    /* The peer finished sending: told to a reader, not to who does not read. */
    end.seen = 0;
    tern_loop_change(loop, &end.io, 0);
    shutdown(a[1], SHUT_WR);
    step(loop);
    assert_int_equal(end.seen, 0);
    tern_loop_change(loop, &end.io, TERN_LOOP_READ);
    step(loop);
    assert_int_equal(end.seen, TERN_LOOP_READ | TERN_LOOP_HUP);
    end.seen = 0;
    tern_loop_change(loop, &end.io, 0);
    close(a[1]);
    step(loop);
    assert_int_equal(end.seen, TERN_LOOP_HUP);
    close(a[0]);
    tern_loop_free(loop);
}

static void a_closed_descriptor_is_an_error(void **state)
{
    struct tern_loop *loop = new_loop();
    struct tern_loop_fd io = {.fd = 9999, .on_ready = on_wake};
    struct tern_err err;

    (void)state;
    assert_int_equal(tern_loop_add(loop, &io, TERN_LOOP_READ, &err), TERN_RESOURCE_EXHAUSTED);
    tern_loop_free(loop);
}

/* Tasks. */

struct job {
    struct tern_loop_task task;
    struct tern_loop *loop;
    int left;
    int runs;
};

static void on_job(struct tern_loop_task *task)
{
    struct job *job = TERN_CONTAINER_OF(task, struct job, task);

    job->runs++;
    if (--job->left > 0)
        tern_loop_defer(job->loop, task);
}

static void deferred_tasks_run_once_a_round(void **state)
{
    struct tern_loop *loop = new_loop();
    struct job job = {.task.run = on_job, .loop = loop, .left = 3};

    (void)state;
    tern_loop_defer(loop, &job.task);
    for (int i = 1; i <= 3; i++) {
        assert_int_equal(timeout_ms(loop), 0);
        step(loop);
        assert_int_equal(job.runs, i);
    }
    step(loop);
    assert_int_equal(job.runs, 3);
    assert_int_equal(timeout_ms(loop), -1);
    assert_int_equal(tern_loop_index(loop), 3);
    tern_loop_free(loop);
}

#define POSTERS 4
#define POSTS   20000

struct letter {
    struct tern_loop_task task;
    struct inbox *inbox;
    uint32_t from;
    uint32_t number;
};

struct inbox {
    struct tern_loop *loop;
    uint32_t next[POSTERS];
    uint32_t total;
    uint32_t out_of_order;
    struct letter letters[POSTERS][POSTS];
};

static void on_letter(struct tern_loop_task *task)
{
    struct letter *letter = TERN_CONTAINER_OF(task, struct letter, task);
    struct inbox *inbox = letter->inbox;

    inbox->out_of_order += inbox->next[letter->from] != letter->number;
    inbox->next[letter->from] = letter->number + 1;
    if (++inbox->total == POSTERS * POSTS)
        tern_loop_stop(inbox->loop);
}

struct poster {
    pthread_t id;
    struct inbox *inbox;
    uint32_t from;
};

static void *post_all(void *arg)
{
    struct poster *poster = arg;

    for (uint32_t i = 0; i < POSTS; i++) {
        struct letter *letter = &poster->inbox->letters[poster->from][i];
        *letter = (struct letter){{.run = on_letter}, poster->inbox, poster->from, i};
        tern_loop_post(poster->inbox->loop, &letter->task);
        if (i % 512 == 0)
            sched_yield();
    }
    return NULL;
}

static void every_letter_arrives_in_order(void **state)
{
    struct inbox *inbox = calloc(1, sizeof(*inbox));
    struct poster posters[POSTERS];

    (void)state;
    if (inbox == NULL)
        abort();
    inbox->loop = new_loop();
    for (uint32_t i = 0; i < POSTERS; i++) {
        posters[i] = (struct poster){.inbox = inbox, .from = i};
        assert_int_equal(pthread_create(&posters[i].id, NULL, post_all, &posters[i]), 0);
    }
    tern_loop_run(inbox->loop); /* hangs when a wake-up is lost */
    for (uint32_t i = 0; i < POSTERS; i++)
        pthread_join(posters[i].id, NULL);
    assert_int_equal(inbox->total, POSTERS * POSTS);
    assert_int_equal(inbox->out_of_order, 0);
    tern_loop_free(inbox->loop);
    free(inbox);
}

static void stopping_still_runs_what_was_posted(void **state)
{
    struct tern_loop *loop = new_loop();
    struct job job = {.task.run = on_job, .loop = loop, .left = 1};

    (void)state;
    tern_loop_stop(loop);
    tern_loop_post(loop, &job.task);
    tern_loop_run(loop);
    assert_int_equal(job.runs, 1);
    tern_loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timers_fire_in_order),
        cmocka_unit_test(a_timer_may_start_itself_again),
        cmocka_unit_test(the_wait_is_rounded_up),
        cmocka_unit_test(removed_means_silent),
        cmocka_unit_test(interest_is_obeyed),
        cmocka_unit_test(a_closed_descriptor_is_an_error),
        cmocka_unit_test(deferred_tasks_run_once_a_round),
        cmocka_unit_test(every_letter_arrives_in_order),
        cmocka_unit_test(stopping_still_runs_what_was_posted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
