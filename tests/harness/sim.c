#include "harness/sim.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "harness/random.h"
#include "sched/arrivals.h"

enum outcome {
    PENDING,
    IN_TIME,
    LATE,
    REFUSED,
    SHED,
    LOST,
};

struct client {
    struct tern_queue_item item;
    uint64_t arrives_ns;
    uint64_t deadline_ns; /* the client's own, known to the server or not */
    uint32_t order;       /* of arrival in its level */
    enum outcome outcome;
    uint64_t took_ns;
};

struct executor {
    struct client **batch; /* of the running one */
    uint32_t n, rows;
    uint64_t started_ns, ends_ns;
};

struct sim {
    const struct sim_settings *s;
    struct sim_result *result;
    uint64_t random;
    uint64_t now_ns;
    struct client *clients;
    struct tern_queue queue;
    struct tern_service service;
    struct tern_arrivals arrivals;
    struct executor executors[SIM_EXECUTORS_MAX];
    uint64_t busy_until_ns[SIM_EXECUTORS_MAX];
    uint32_t started_of_level[TERN_QUEUE_LEVELS_MAX + 1];
    uint64_t wake_ns;
};

/* ---- clients ---- */

static double rate_at(const struct sim_settings *s, uint32_t i, uint64_t now_ns)
{
    bool is_after = s->rate_until_share > 0 && i >= s->rate_until_share * s->n_items;
    double rate = is_after ? s->rows_per_s_after : s->rows_per_s;
    if (s->burst <= 0)
        return rate;
    return now_ns / s->burst_ns % 2 == 0 ? rate * (1 + s->burst) : rate * (1 - s->burst) + 1e-9;
}

/* In the quiet half the next arrival may lie beyond its end: it is drawn again from there. */
static uint64_t next_arrival(struct sim *sim, uint32_t i, uint64_t now_ns)
{
    const struct sim_settings *s = sim->s;
    double mean_rows = (1 + (s->rows_max > 0 ? s->rows_max : 1)) / 2.0;

    for (;;) {
        double gap = -log(1 - random_unit(&sim->random)) * mean_rows * 1e9 / rate_at(s, i, now_ns);
        if (s->burst <= 0)
            return now_ns + (uint64_t)gap + 1;
        uint64_t half_end = (now_ns / s->burst_ns + 1) * s->burst_ns;
        if (gap < (double)(half_end - now_ns))
            return now_ns + (uint64_t)gap + 1;
        now_ns = half_end;
    }
}

static void draw_clients(struct sim *sim)
{
    const struct sim_settings *s = sim->s;
    uint32_t order[TERN_QUEUE_LEVELS_MAX + 1] = {0};
    uint64_t at_ns = 1000000;

    for (uint32_t i = 0; i < s->n_items; i++) {
        struct client *c = &sim->clients[i];
        at_ns = next_arrival(sim, i, at_ns);
        c->arrives_ns = at_ns;
        c->item.rows =
            1 + (s->rows_max > 1 ? (uint32_t)(random_u64(&sim->random) % s->rows_max) : 0);
        c->item.priority =
            1 + (s->levels > 1 ? (uint32_t)(random_u64(&sim->random) % s->levels) : 0);
        c->item.bucket = 1 + (s->buckets > 1 ? random_u64(&sim->random) % s->buckets : 0);
        double spread = 1 + s->deadline_spread * (2 * random_unit(&sim->random) - 1);
        c->deadline_ns =
            s->slo_ns == 0 ? TERN_QUEUE_NEVER : at_ns + (uint64_t)((double)s->slo_ns * spread);
        c->item.deadline_ns = s->keep_late ? TERN_QUEUE_NEVER : c->deadline_ns;
        c->order = order[c->item.priority]++;
    }
}

static struct client *client_of(struct tern_queue_item *item)
{
    return TERN_CONTAINER_OF(item, struct client, item);
}

static void end(struct sim *sim, struct client *client, enum outcome outcome)
{
    sim->result->answered_twice += client->outcome != PENDING;
    if (outcome > LATE && client->item.deadline_ns > sim->now_ns)
        tern_service_refused(&sim->service);
    client->outcome = outcome;
    client->took_ns = sim->now_ns - client->arrives_ns;
}

/* ---- executors ---- */

static uint64_t draw_time(struct sim *sim, uint32_t rows)
{
    const struct sim_settings *s = sim->s;
    double ns = s->a_ns + s->b_ns * rows;

    if (s->slower_after > 0 && sim->result->runs > s->slower_after)
        ns *= s->slower_factor;
    if (s->noise > 0)
        ns *= 1 + s->noise * (2 * random_unit(&sim->random) - 1);
    if (s->outlier_share > 0 && random_unit(&sim->random) < s->outlier_share)
        ns *= s->outlier_factor;
    return (uint64_t)ns;
}

static void start(struct sim *sim, const struct tern_policy_decision *decision)
{
    uint32_t at = 0;
    while (sim->busy_until_ns[at] != 0)
        at++;
    struct executor *e = &sim->executors[at];
    struct sim_result *r = sim->result;
    uint64_t bucket = tern_queue_first(&sim->queue)->bucket;

    e->n = e->rows = 0;
    for (uint32_t i = 0; i < decision->items; i++) {
        struct tern_queue_item *item = tern_queue_first(&sim->queue);
        struct client *c = client_of(item);
        uint32_t level = (uint32_t)item->level;
        r->started_too_late += c->item.deadline_ns < sim->now_ns;
        r->out_of_order += c->order < sim->started_of_level[level];
        sim->started_of_level[level] = c->order;
        r->batches_too_large += item->bucket != bucket;
        tern_queue_remove(&sim->queue, item);
        e->batch[e->n++] = c;
        e->rows += item->rows;
    }
    r->batches_too_large += e->n > 1 && e->rows > sim->s->max_batch;
    r->runs++;
    r->rows_run += e->rows;
    e->started_ns = sim->now_ns;
    e->ends_ns = sim->now_ns + draw_time(sim, e->rows);
    sim->busy_until_ns[at] = sim->now_ns + tern_service_p50_ns(&sim->service, e->rows);
}

static void finish(struct sim *sim, uint32_t at)
{
    struct executor *e = &sim->executors[at];

    for (uint32_t i = 0; i < e->n; i++)
        end(sim, e->batch[i], sim->now_ns <= e->batch[i]->deadline_ns ? IN_TIME : LATE);
    tern_service_learn(&sim->service, e->rows, sim->now_ns - e->started_ns);
    e->ends_ns = TERN_QUEUE_NEVER;
    sim->busy_until_ns[at] = 0;
}

/* ---- the server's part ---- */

static struct tern_policy_view view_now(const struct sim *sim)
{
    return (struct tern_policy_view){
        .now_ns = sim->now_ns,
        .queue = &sim->queue,
        .busy_until_ns = sim->busy_until_ns,
        .n_executors = sim->s->executors,
        .service = &sim->service,
        .rows_per_s = tern_arrivals_rate(&sim->arrivals, sim->now_ns),
        .max_batch = sim->s->max_batch,
        .slo_ns = sim->s->keep_late ? 0 : sim->s->slo_ns,
        .triton = sim->s->triton,
    };
}

static void arrive(struct sim *sim, struct client *client)
{
    uint64_t answer_in_ns;

    tern_arrivals_add(&sim->arrivals, sim->now_ns, client->item.rows);
    struct tern_policy_view view = view_now(sim);
    bool admitted =
        sim->s->no_admission || tern_policy_admits(&view, client->item.deadline_ns, &answer_in_ns);
    if (!admitted || tern_queue_add(&sim->queue, &client->item, sim->now_ns, NULL) != TERN_OK)
        end(sim, client, REFUSED);
}

static void shed(struct sim *sim, uint32_t items)
{
    while (items-- > 0) {
        struct tern_queue_item *item = tern_queue_first(&sim->queue);
        tern_queue_remove(&sim->queue, item);
        end(sim, client_of(item), SHED);
    }
}

static void drop_lost(struct sim *sim, const struct tern_policy_view *view)
{
    enum tern_queue_loss loss;
    struct tern_queue_item *item;

    while ((item = tern_queue_take_lost(&sim->queue, sim->now_ns, tern_policy_cutoff_ns(view),
                                        &loss)) != NULL)
        end(sim, client_of(item), LOST);
}

static uint32_t n_busy(const struct sim *sim)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < sim->s->executors; i++)
        n += sim->busy_until_ns[i] != 0;
    return n;
}

static void act(struct sim *sim)
{
    struct tern_policy_decision decision;

    do {
        struct tern_policy_view view = view_now(sim);
        drop_lost(sim, &view);
        decision = sim->s->decide != NULL ? sim->s->decide(&view) : tern_policy_decide(&view);
        if (decision.action == TERN_POLICY_RUN)
            start(sim, &decision);
        else if (decision.action == TERN_POLICY_SHED)
            shed(sim, decision.items);
    } while (decision.action != TERN_POLICY_WAIT);
    sim->wake_ns = decision.until_ns;
    sim->result->idle_with_work += n_busy(sim) == 0 && sim->queue.n > 0;
    if (decision.until_ns <= sim->now_ns) {
        fprintf(stderr, "sim: seed %llu: a wait until a time that has passed\n",
                (unsigned long long)sim->s->seed);
        abort();
    }
}

static uint64_t next_event(const struct sim *sim, uint32_t arrived)
{
    uint64_t next = sim->wake_ns;
    if (arrived < sim->s->n_items && sim->clients[arrived].arrives_ns < next)
        next = sim->clients[arrived].arrives_ns;
    for (uint32_t i = 0; i < sim->s->executors; i++)
        next = sim->executors[i].ends_ns < next ? sim->executors[i].ends_ns : next;
    return next;
}

static void play(struct sim *sim)
{
    uint32_t arrived = 0;

    for (;;) {
        uint64_t next = next_event(sim, arrived);
        if (next == TERN_QUEUE_NEVER)
            return;
        sim->now_ns = next;
        for (uint32_t i = 0; i < sim->s->executors; i++) {
            if (sim->executors[i].ends_ns == next)
                finish(sim, i);
        }
        while (arrived < sim->s->n_items && sim->clients[arrived].arrives_ns <= next)
            arrive(sim, &sim->clients[arrived++]);
        act(sim);
    }
}

/* ---- the result ---- */

static int compare_u64(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void sum_up(struct sim *sim)
{
    struct sim_result *r = sim->result;
    uint32_t n = sim->s->n_items, answered = 0;
    uint64_t *times = calloc(n, sizeof(*times));
    uint64_t first_ns = sim->clients[0].arrives_ns;
    uint64_t rows = 0;

    for (uint32_t i = 0; i < n; i++) {
        const struct client *c = &sim->clients[i];
        r->unanswered += c->outcome == PENDING;
        r->in_time += c->outcome == IN_TIME;
        r->late += c->outcome == LATE;
        r->refused += c->outcome == REFUSED;
        r->shed += c->outcome == SHED;
        r->lost += c->outcome == LOST;
        if (c->outcome == IN_TIME) {
            rows += c->item.rows;
            r->in_time_at_end += i >= n - n / 4;
        }
        if (c->outcome == IN_TIME || c->outcome == LATE)
            times[answered++] = c->took_ns;
    }
    qsort(times, answered, sizeof(*times), compare_u64);
    r->offered = n;
    r->p50_ns = answered > 0 ? times[answered / 2] : 0;
    r->p99_ns = answered > 0 ? times[(uint64_t)answered * 99 / 100] : 0;
    r->end_ns = sim->now_ns;
    r->goodput = (double)rows * 1e9 / (double)(sim->now_ns - first_ns);
    free(times);
}

void sim_run(const struct sim_settings *settings, struct sim_result *ret)
{
    struct sim sim = {.s = settings,
                      .result = ret,
                      .random = settings->seed,
                      .wake_ns = TERN_QUEUE_NEVER,
                      .clients = calloc(settings->n_items, sizeof(struct client))};
    struct tern_queue_settings queue = {.levels = settings->levels > 0 ? settings->levels : 1,
                                        .default_level = 1,
                                        .max_items = SIM_ITEMS_MAX,
                                        .max_bytes = UINT64_MAX};
    uint32_t widest =
        settings->max_batch > settings->rows_max ? settings->max_batch : settings->rows_max;

    memset(ret, 0, sizeof(*ret));
    tern_queue_init(&sim.queue, &queue);
    double guess = settings->first_guess_factor > 0 ? settings->first_guess_factor : 1;
    tern_service_init(&sim.service, 1, (uint64_t)((settings->a_ns + settings->b_ns) * guess));
    for (uint32_t i = 0; i < settings->executors; i++) {
        sim.executors[i].ends_ns = TERN_QUEUE_NEVER;
        sim.executors[i].batch = calloc(widest, sizeof(struct client *));
    }
    draw_clients(&sim);
    play(&sim);
    sum_up(&sim);
    for (uint32_t i = 0; i < settings->executors; i++)
        free(sim.executors[i].batch);
    free(sim.clients);
}
