#include "sched/executors.h"

#include "base/clock.h"
#include "base/mem.h"
#include "sched/lane.h"

#define FOR_SHORT_RUNS 4 /* one thread more for so many */
#define LONG_MOST      (TERN_EXECUTORS_MAX - TERN_EXECUTORS_MAX / (FOR_SHORT_RUNS + 1))

/* ---- who is next, and when ---- */

static bool is_long(const struct tern_lane *lane)
{
    return tern_lane_run_ns(lane) >= TERN_EXECUTORS_LONG_NS;
}

/* Also notes who has to wait for long runs of others. */
static bool may_run(const struct tern_executors *all, struct tern_lane *lane, uint64_t now_ns)
{
    if (all->n_long < all->long_max || !is_long(lane))
        return true;
    if (lane->held_back_ns == 0)
        lane->held_back_ns = now_ns;
    return now_ns >= lane->held_back_ns + TERN_EXECUTORS_PATIENCE_NS;
}

static struct tern_lane *next_lane(struct tern_executors *all, uint64_t now_ns)
{
    struct tern_lane *best = NULL;

    for (struct tern_list *link = all->ready.next; link != &all->ready; link = link->next) {
        struct tern_lane *lane = TERN_CONTAINER_OF(link, struct tern_lane, ready);
        if (may_run(all, lane, now_ns) && (best == NULL || lane->used_ns < best->used_ns))
            best = lane;
    }
    return best;
}

static uint64_t next_wake(const struct tern_executors *all)
{
    uint64_t next = UINT64_MAX;

    for (struct tern_list *link = all->delaying.next; link != &all->delaying; link = link->next) {
        const struct tern_lane *lane = TERN_CONTAINER_OF(link, struct tern_lane, delaying);
        next = lane->wake_ns < next ? lane->wake_ns : next;
    }
    for (struct tern_list *link = all->ready.next; link != &all->ready; link = link->next) {
        const struct tern_lane *lane = TERN_CONTAINER_OF(link, struct tern_lane, ready);
        uint64_t end_ns = lane->held_back_ns + TERN_EXECUTORS_PATIENCE_NS;
        if (lane->held_back_ns != 0 && end_ns < next)
            next = end_ns;
    }
    return next;
}

/* ---- who is idle ---- */

static struct tern_executor *of_idle(struct tern_list *link)
{
    return TERN_CONTAINER_OF(link, struct tern_executor, idle);
}

/* The one that went idle last; the keeper of the time only when there is no other. */
static void call_one(struct tern_executors *all)
{
    struct tern_list *link = all->idle.prev;

    if (all->keeper != NULL && link == &all->keeper->idle && link->prev != &all->idle)
        link = link->prev;
    if (link == &all->idle)
        return; /* whoever ends its run next comes by */
    struct tern_executor *one = of_idle(link);
    tern_list_remove(link);
    one->is_called = true;
    pthread_cond_signal(&one->wake);
}

static void wait_idle(struct tern_executor *self)
{
    struct tern_executors *all = self->all;
    uint64_t until_ns = next_wake(all);

    self->is_called = false;
    tern_list_append(&all->idle, &self->idle);
    if (until_ns != UINT64_MAX && all->keeper == NULL) {
        uint64_t now = tern_clock_mono_ns();
        all->keeper = self;
        all->keeper_until_ns = until_ns;
        if (until_ns > now)
            tern_thread_wait(&self->wake, &all->lock, until_ns - now);
    } else {
        if (all->keeper != NULL && until_ns < all->keeper_until_ns)
            pthread_cond_signal(&all->keeper->wake);
        while (!self->is_called && !all->stopping)
            pthread_cond_wait(&self->wake, &all->lock);
    }
    tern_list_remove(&self->idle);
    if (all->keeper == self) {
        all->keeper = NULL;
        /* The time has to be kept by somebody else while this one works. */
        if (self->is_called && next_wake(all) != UINT64_MAX)
            call_one(all);
    }
}

/* ---- what to do ---- */

static void look_at_due(struct tern_executors *all, uint64_t now_ns)
{
    struct tern_list *link = all->delaying.next;

    while (link != &all->delaying) {
        struct tern_lane *lane = TERN_CONTAINER_OF(link, struct tern_lane, delaying);
        link = link->next;
        if (lane->wake_ns <= now_ns)
            tern_lane_look(lane, now_ns); /* moves no lane but this one */
    }
}

static enum tern_code add_thread(struct tern_executors *all, struct tern_err *err);

/* One of the threads for short runs was taken for a long one: another one takes its place. Without
 * memory for it that is how it stays, until the run is over. */
static void make_room(struct tern_executors *all)
{
    if (all->n_long <= all->long_max || all->n == TERN_EXECUTORS_MAX)
        return;
    if (add_thread(all, NULL) == TERN_OK)
        all->long_max = all->n_long;
}

/* Under the lock, which is let go during the run. */
static void serve(struct tern_executors *all, struct tern_lane *lane, uint64_t now_ns)
{
    bool was_long = is_long(lane);
    struct tern_lane_slot *slot = tern_lane_start(lane, now_ns);

    if (slot == NULL)
        return;
    all->used_ns = lane->used_ns;
    all->n_long += was_long;
    lane->held_back_ns = 0;
    make_room(all);
    if (next_lane(all, now_ns) != NULL)
        call_one(all);
    pthread_mutex_unlock(&all->lock);
    tern_lane_run(slot);
    pthread_mutex_lock(&all->lock);
    all->n_long -= was_long;
    tern_lane_finish(slot);
}

static void executor_main(void *arg)
{
    struct tern_executor *self = arg;
    struct tern_executors *all = self->all;

    tern_thread_sharpen_timers();
    pthread_mutex_lock(&all->lock);
    while (!all->stopping) {
        uint64_t now = tern_clock_mono_ns();
        look_at_due(all, now);
        struct tern_lane *lane = next_lane(all, now);
        if (lane == NULL)
            wait_idle(self);
        else
            serve(all, lane, now);
    }
    pthread_mutex_unlock(&all->lock);
}

/* ---- what lanes say ---- */

void tern_executors_offer(struct tern_executors *all, struct tern_lane *lane, bool is_ready)
{
    if (!is_ready) {
        lane->held_back_ns = 0;
        tern_list_remove(&lane->ready);
        return;
    }
    if (!tern_list_is_empty(&lane->ready))
        return;
    /* Who had nothing to do for a while has not saved it up. */
    if (lane->n_idle == lane->n_slots && lane->used_ns < all->used_ns)
        lane->used_ns = all->used_ns;
    tern_list_append(&all->ready, &lane->ready);
    call_one(all);
}

void tern_executors_wake_at(struct tern_executors *all, struct tern_lane *lane, uint64_t at_ns)
{
    lane->wake_ns = at_ns;
    if (at_ns == UINT64_MAX) {
        tern_list_remove(&lane->delaying);
        return;
    }
    if (tern_list_is_empty(&lane->delaying))
        tern_list_append(&all->delaying, &lane->delaying);
    if (all->keeper == NULL)
        call_one(all);
    else if (at_ns < all->keeper_until_ns)
        pthread_cond_signal(&all->keeper->wake);
}

/* ---- life ---- */

void tern_executors_init(struct tern_executors *all)
{
    pthread_mutex_init(&all->lock, NULL);
    tern_list_init(&all->idle);
    tern_list_init(&all->ready);
    tern_list_init(&all->delaying);
}

static enum tern_code add_thread(struct tern_executors *all, struct tern_err *err)
{
    struct tern_executor *one = tern_mem_zalloc(1, sizeof(*one));

    if (one == NULL)
        return tern_mem_fail(err, "an executor", sizeof(*one));
    one->all = all;
    tern_list_init(&one->idle);
    pthread_cond_init(&one->wake, NULL);
    enum tern_code code = tern_thread_start(&one->thread, "tern-exec", -1, executor_main, one, err);
    if (code != TERN_OK) {
        pthread_cond_destroy(&one->wake);
        tern_mem_free(one);
        return code;
    }
    all->rows[all->n++] = one;
    return TERN_OK;
}

enum tern_code tern_executors_grow(struct tern_executors *all, uint32_t n, struct tern_err *err)
{
    enum tern_code code = TERN_OK;
    uint32_t want = n + (n + FOR_SHORT_RUNS - 1) / FOR_SHORT_RUNS;

    want = want < TERN_EXECUTORS_MAX ? want : TERN_EXECUTORS_MAX;
    pthread_mutex_lock(&all->lock);
    n = n < LONG_MOST ? n : LONG_MOST;
    if (n > all->long_max)
        all->long_max = n;
    while (code == TERN_OK && all->n < want)
        code = add_thread(all, err);
    pthread_mutex_unlock(&all->lock);
    return code;
}

void tern_executors_stop(struct tern_executors *all)
{
    pthread_mutex_lock(&all->lock);
    all->stopping = true;
    for (uint32_t i = 0; i < all->n; i++)
        pthread_cond_signal(&all->rows[i]->wake);
    pthread_mutex_unlock(&all->lock);
    for (uint32_t i = 0; i < all->n; i++) {
        tern_thread_join(&all->rows[i]->thread);
        pthread_cond_destroy(&all->rows[i]->wake);
        tern_mem_free(all->rows[i]);
    }
    pthread_mutex_destroy(&all->lock);
}
