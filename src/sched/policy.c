#include "sched/policy.h"

#include <stdarg.h>
#include <stdio.h>

/* By simulation (tests/unit/sched/policy_sim_test.c): */
#define TARGET_FACTOR   (4.0 / 3) /* of the smallest batch that keeps up, see target_rows */
#define OVERLOAD_FACTOR 1.25      /* the rate of arrivals is only known to an eighth or so */
#define WORTH_FACTOR    1.02      /* throughput that refusing somebody must bring at least */
#define MARGIN_DIVISOR  20        /* of the SLO: how much earlier than the latest start */
#define GAP_FACTOR      6         /* times the usual gap between arrivals: one in 400 is longer */
#define GOOD_SHARE      0.90      /* of the largest batch's throughput, see good_rows */
#define GOOD_FACTOR     1.75      /* of the smallest batch that keeps up, see good_rows */

/* Items that follow one another in the queue and can run together. */
struct batch {
    uint32_t items, rows;
    uint64_t deadline_ns;        /* the earliest */
    uint64_t newest_ns;          /* when the last of them came */
    enum tern_policy_reason end; /* why it is not longer; EMPTY: the queue is not */
};

struct executors {
    uint32_t n_idle;
    uint32_t n_alive;      /* idle ones, and those that are busy and not long overdue */
    uint64_t first_end_ns; /* of the busy ones */
};

/* One that has been due for longer than a run of one row takes is stuck in an exceptional run: to
 * wait for its turn would leave the others idle behind it. */
static struct executors look_at_executors(const struct tern_policy_view *view)
{
    struct executors all = {.first_end_ns = TERN_QUEUE_NEVER};
    uint64_t patience_ns = tern_service_p50_ns(view->service, 1);

    for (uint32_t i = 0; i < view->n_executors; i++) {
        uint64_t end_ns = view->busy_until_ns[i];
        if (end_ns == 0)
            all.n_idle++;
        else if (end_ns < all.first_end_ns)
            all.first_end_ns = end_ns;
        all.n_alive += end_ns == 0 || end_ns + patience_ns >= view->now_ns;
    }
    return all;
}

static uint64_t min_ns(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint32_t min_rows(uint64_t a, uint32_t b)
{
    return a < b ? (uint32_t)a : b;
}

static uint64_t left_ns(const struct tern_policy_view *view, uint64_t deadline_ns)
{
    return deadline_ns > view->now_ns ? deadline_ns - view->now_ns : 0;
}

static void include(struct batch *batch, const struct tern_queue_item *item)
{
    batch->items++;
    batch->rows += item->rows;
    batch->deadline_ns = min_ns(batch->deadline_ns, item->deadline_ns);
    if (item->queued_ns > batch->newest_ns)
        batch->newest_ns = item->queued_ns;
}

/* Whether the item cannot be in one batch with those before it, whatever the time. */
static bool is_cut(const struct batch *batch, const struct tern_queue_item *first,
                   const struct tern_queue_item *item, uint32_t max_rows)
{
    return batch->items > 0 && (batch->rows >= max_rows || item->rows > max_rows - batch->rows ||
                                !tern_queue_fits(first, item));
}

static struct tern_policy_decision decision(enum tern_policy_action action,
                                            enum tern_policy_reason reason,
                                            const struct batch *batch, uint32_t target)
{
    return (struct tern_policy_decision){.action = action,
                                         .reason = reason,
                                         .items = batch->items,
                                         .rows = batch->rows,
                                         .target = target,
                                         .until_ns = TERN_QUEUE_NEVER};
}

/* At the latest when something in the queue is lost, which is to be told at once. */
static struct tern_policy_decision wait_until(const struct tern_policy_view *view,
                                              enum tern_policy_reason reason,
                                              const struct batch *batch, uint32_t target,
                                              uint64_t until_ns)
{
    struct tern_policy_decision wait = decision(TERN_POLICY_WAIT, reason, batch, target);
    uint64_t limit_ns = tern_queue_earliest_ns(view->queue);

    wait.until_ns = min_ns(until_ns, limit_ns == TERN_QUEUE_NEVER ? limit_ns : limit_ns + 1);
    wait.until_ns = wait.until_ns > view->now_ns ? wait.until_ns : view->now_ns + 1;
    return wait;
}

/* ---- adaptive ---- */

uint64_t tern_policy_slo_ns(const struct tern_policy_view *view)
{
    uint64_t ten_ns = 10 * tern_service_p99_ns(view->service, 1);

    if (view->slo_ns != 0)
        return view->slo_ns;
    return ten_ns > TERN_POLICY_SLO_LEAST_NS ? ten_ns : TERN_POLICY_SLO_LEAST_NS;
}

/* Rows a second when every executor runs batches of so many. */
static double throughput(const struct tern_policy_view *view, uint32_t rows)
{
    return rows == 0 ? 0 : tern_service_capacity(view->service, rows) * view->n_executors;
}

/* Nothing runs, and all that came lately was refused: what is predicted has to be tried again. */
static bool is_in_doubt(const struct tern_policy_view *view, const struct executors *executors)
{
    return executors->n_idle == view->n_executors && tern_service_is_in_doubt(view->service);
}

/* Its run is over in time when it takes no longer than usual. */
static bool has_a_chance(const struct tern_policy_view *view, const struct tern_queue_item *item)
{
    struct executors executors = look_at_executors(view);
    return is_in_doubt(view, &executors) ||
           tern_service_p50_ns(view->service, item->rows) <= left_ns(view, item->deadline_ns);
}

/* As many as will be answered in time if they run now, until there are enough rows. None: it is too
 * late even for the first. */
static struct batch gather(const struct tern_policy_view *view, const struct tern_queue_item *first,
                           uint32_t enough_rows, uint32_t max_rows)
{
    struct batch batch = {.deadline_ns = TERN_QUEUE_NEVER, .end = TERN_POLICY_EMPTY};
    uint32_t in_time = UINT32_MAX;

    for (const struct tern_queue_item *item = first; item != NULL;
         item = tern_queue_next(view->queue, item)) {
        if (is_cut(&batch, first, item, max_rows)) {
            batch.end = batch.rows >= max_rows ? TERN_POLICY_LARGEST : TERN_POLICY_CUT;
            break;
        }
        if (batch.rows >= enough_rows) {
            batch.end = TERN_POLICY_LARGE_ENOUGH;
            break;
        }
        if (item->deadline_ns < batch.deadline_ns) {
            uint32_t most = item->rows > max_rows ? item->rows : max_rows;
            in_time =
                tern_service_rows_within(view->service, left_ns(view, item->deadline_ns), most);
        }
        if (batch.rows + item->rows > in_time) {
            batch.end = TERN_POLICY_LATEST_START;
            if (batch.items == 0 && has_a_chance(view, item))
                include(&batch, item);
            break;
        }
        include(&batch, item);
        if (batch.rows >= max_rows)
            batch.end = TERN_POLICY_LARGEST;
    }
    return batch;
}

/* How many of the first to refuse, so that the rest can run in larger batches: when the batch is
 * held small by a deadline and batches of that size do not keep up with what arrives, those behind
 * would be lost one after the other. As few as it takes to keep up, or else as many as give the
 * most throughput. Only within one level: the urgent are not refused for the sake of others. Of a
 * long queue every item is a candidate at first, then one in a few. */
static uint32_t count_in_the_way(const struct tern_policy_view *view,
                                 const struct tern_queue_item *first, const struct batch *batch,
                                 uint32_t max_rows)
{
    double now = throughput(view, batch->rows), best = now * WORTH_FACTOR;
    const struct tern_queue_item *best_first = NULL;
    uint64_t rows_before = 0;
    uint32_t best_n = 0, next = 1, n = 0;

    if (now >= view->rows_per_s)
        return 0;
    for (const struct tern_queue_item *item = first; item != NULL && item->level == first->level;
         item = tern_queue_next(view->queue, item), n++) {
        uint32_t most = min_rows(view->queue->rows - rows_before, max_rows);
        rows_before += item->rows;
        if (n < next)
            continue;
        next = n + 1 + n / 16;
        uint32_t rows =
            tern_service_rows_within(view->service, left_ns(view, item->deadline_ns), most);
        if (throughput(view, rows) > best) {
            best = throughput(view, rows);
            best_n = n;
            best_first = item;
        }
        if (best >= view->rows_per_s || rows == most)
            break;
    }
    if (best_n == 0)
        return 0;
    /* Those behind may have other deadlines and shapes: is it really so? */
    struct batch then = gather(view, best_first, max_rows, max_rows);
    return throughput(view, then.rows) > now * WORTH_FACTOR ? best_n : 0;
}

/* The smallest batch that keeps up with what arrives. Of E executors one becomes idle every S(n)/E;
 * with S(n) = a + b n that is lambda a / (E - lambda b). None keeps up: max_rows. */
static double keep_up_rows(const struct tern_policy_view *view, uint32_t n_executors,
                           uint32_t max_rows)
{
    double a, b, lambda = view->rows_per_s / 1e9;

    tern_service_line(view->service, max_rows, &a, &b);
    double spare = n_executors - lambda * b;
    return spare > 0 ? lambda * a / spare : max_rows;
}

/* The batch at which the executors take turns evenly. A third more than what keeps up leaves room
 * for chance: without it the executors would never be idle, and with as much as the deadline
 * allows, work would always wait for its latest start. */
static uint32_t target_rows(const struct tern_policy_view *view, uint32_t n_executors,
                            uint32_t max_rows)
{
    uint64_t most_ns = tern_policy_slo_ns(view) - tern_policy_slo_ns(view) / 10;
    uint32_t most = tern_service_rows_within(view->service, most_ns, max_rows);
    double rows = keep_up_rows(view, n_executors, max_rows) * TARGET_FACTOR + 0.5;

    most = most > 0 ? most : 1;
    return rows >= most ? most : rows < 1 ? 1 : (uint32_t)rows;
}

/* Whether the deadline is one that somebody named for an answer that is expected then. Without an
 * SLO, a far one only says when a client will have given up: it expects its answer soon. */
static bool is_timed(const struct tern_policy_view *view, uint64_t deadline_ns)
{
    if (deadline_ns == TERN_QUEUE_NEVER)
        return false;
    return view->slo_ns != 0 || left_ns(view, deadline_ns) <= tern_policy_slo_ns(view);
}

/* Where nobody named a deadline, everyone is to be answered soon, and a batch is not larger than
 * does good: the rest of the queue is quicker in the next executor. One of m rows at most and S(n)
 * = a + b n has the share s of the largest one's throughput at s m a / (a + (1 - s) m b) rows, and
 * executors that take turns need not much more than what keeps up. But each takes its even share of
 * what waits. */
static uint32_t good_rows(const struct tern_policy_view *view, uint32_t max_rows)
{
    double a, b, even = (double)view->queue->rows / view->n_executors;

    tern_service_line(view->service, max_rows, &a, &b);
    double good = GOOD_SHARE * max_rows * a / (a + (1 - GOOD_SHARE) * max_rows * b) + 1;
    double turns = keep_up_rows(view, view->n_executors, max_rows) * GOOD_FACTOR + 1;
    good = turns < good ? turns : good;
    good = even > good ? even + 0.5 : good;
    return good < max_rows ? (uint32_t)good : max_rows;
}

/* When it is clear that nobody else will come for now: clients that wait for their answers before
 * they ask again are all in this batch or in those that run. */
static uint64_t dry_ns(const struct tern_policy_view *view, const struct batch *batch)
{
    double gap_ns = view->rows_per_s <= 0
                        ? 0
                        : GAP_FACTOR * 1e9 / view->rows_per_s * batch->rows / batch->items;

    return gap_ns < (double)(TERN_QUEUE_NEVER / 2) ? batch->newest_ns + (uint64_t)gap_ns
                                                   : TERN_QUEUE_NEVER;
}

/* Another executor is busy, and this batch could still grow until there is an idle one again. */
static struct tern_policy_decision take_turns(const struct tern_policy_view *view,
                                              const struct executors *executors,
                                              const struct batch *batch)
{
    uint32_t target = target_rows(view, executors->n_alive, view->max_batch);
    uint64_t latest_ns = batch->deadline_ns;

    if (batch->rows >= target)
        return decision(TERN_POLICY_RUN, TERN_POLICY_LARGE_ENOUGH, batch, target);
    if (is_timed(view, latest_ns)) {
        uint64_t need_ns = tern_service_budget_ns(view->service, batch->rows + 1) +
                           tern_policy_slo_ns(view) / MARGIN_DIVISOR;
        latest_ns = latest_ns > need_ns ? latest_ns - need_ns : 0;
        if (latest_ns <= view->now_ns)
            return decision(TERN_POLICY_RUN, TERN_POLICY_LATEST_START, batch, target);
    } else {
        latest_ns =
            tern_queue_first(view->queue)->queued_ns + tern_service_p50_ns(view->service, 1);
        if (latest_ns <= view->now_ns)
            return decision(TERN_POLICY_RUN, TERN_POLICY_WAITED, batch, target);
    }
    uint64_t end_ns = dry_ns(view, batch);
    if (end_ns <= view->now_ns)
        return decision(TERN_POLICY_RUN, TERN_POLICY_DRY, batch, target);
    return wait_until(view, TERN_POLICY_GATHERING, batch, target, min_ns(latest_ns, end_ns));
}

static struct tern_policy_decision decide_adaptive(const struct tern_policy_view *view,
                                                   const struct executors *executors)
{
    const struct tern_queue_item *first = tern_queue_first(view->queue);
    bool gains = view->max_batch > 1 && tern_service_gains(view->service);
    uint32_t max_rows = gains ? view->max_batch : 1;
    bool timed = is_timed(view, first->deadline_ns);
    struct batch batch =
        gather(view, first, timed ? max_rows : good_rows(view, max_rows), max_rows);
    struct batch lost = {.items = 1, .rows = first->rows};

    if (batch.items == 0)
        return decision(TERN_POLICY_SHED, TERN_POLICY_HOPELESS, &lost, 0);
    if (!gains)
        return decision(TERN_POLICY_RUN,
                        view->max_batch > 1 ? TERN_POLICY_NO_GAIN : TERN_POLICY_LARGEST, &batch, 0);
    if (batch.end == TERN_POLICY_LATEST_START) {
        lost.items = count_in_the_way(view, first, &batch, max_rows);
        if (lost.items > 0)
            return decision(TERN_POLICY_SHED, TERN_POLICY_KEEPS_BACK, &lost, 0);
    }
    if (executors->n_alive == executors->n_idle)
        return decision(TERN_POLICY_RUN, TERN_POLICY_ALONE, &batch, 0);
    if (batch.end != TERN_POLICY_EMPTY)
        return decision(TERN_POLICY_RUN, batch.end, &batch, 0);
    return take_turns(view, executors, &batch);
}

/* ---- Triton's dynamic_batching ---- */

struct preferred {
    const uint32_t *sizes;
    uint32_t n, largest;
};

static bool is_preferred(const struct preferred *preferred, uint32_t rows)
{
    for (uint32_t i = 0; i < preferred->n; i++) {
        if (preferred->sizes[i] == rows)
            return true;
    }
    return false;
}

/* Everything that could be one batch; and the longest beginning of it that has a preferred size, or
 * when there is none, that no preferred size is larger than. */
static struct batch gather_preferred(const struct tern_policy_view *view,
                                     const struct preferred *preferred, struct batch *ret_all,
                                     uint64_t *ret_oldest_ns)
{
    const struct tern_queue_item *first = tern_queue_first(view->queue);
    struct batch all = {.deadline_ns = TERN_QUEUE_NEVER, .end = TERN_POLICY_EMPTY}, best = {0};

    *ret_oldest_ns = TERN_QUEUE_NEVER;
    for (const struct tern_queue_item *item = first; item != NULL;
         item = tern_queue_next(view->queue, item)) {
        if (best.items == 0 && all.items > 0 &&
            (uint64_t)all.rows + item->rows > preferred->largest)
            best = all;
        if (is_cut(&all, first, item, view->max_batch)) {
            all.end = all.rows >= view->max_batch ? TERN_POLICY_LARGEST : TERN_POLICY_CUT;
            break;
        }
        include(&all, item);
        *ret_oldest_ns = min_ns(*ret_oldest_ns, item->queued_ns);
        if (is_preferred(preferred, all.rows))
            best = all;
    }
    *ret_all = all;
    return best;
}

static struct tern_policy_decision decide_triton(const struct tern_policy_view *view)
{
    const struct tern_policy_triton *config = view->triton;
    struct preferred preferred = {&view->max_batch, 1, view->max_batch};
    uint64_t delay_ns = config->max_queue_delay_ns, oldest_ns;
    struct batch all;

    if (config->n_preferred > 0)
        preferred = (struct preferred){config->preferred, config->n_preferred,
                                       config->preferred[config->n_preferred - 1]};
    struct batch best = gather_preferred(view, &preferred, &all, &oldest_ns);
    bool is_over = delay_ns != 0 && view->now_ns >= oldest_ns &&
                   view->now_ns - oldest_ns >= delay_ns; /* loops may be ahead of who asks */
    if (best.items > 0 && !is_over)
        return decision(TERN_POLICY_RUN, TERN_POLICY_PREFERRED, &best, best.rows);
    if (is_over || delay_ns == 0)
        return decision(TERN_POLICY_RUN, TERN_POLICY_DELAY_OVER, &all, 0);
    if (all.end != TERN_POLICY_EMPTY)
        return decision(TERN_POLICY_RUN, all.end, &all, 0);
    if (all.rows >= preferred.largest)
        return decision(TERN_POLICY_RUN, TERN_POLICY_LARGEST, &all, 0);
    uint32_t target = preferred.largest;
    for (uint32_t i = preferred.n; i > 0 && preferred.sizes[i - 1] > all.rows; i--)
        target = preferred.sizes[i - 1];
    return wait_until(view, TERN_POLICY_DELAYING, &all, target, oldest_ns + delay_ns);
}

/* ---- the questions ---- */

struct tern_policy_decision tern_policy_decide(const struct tern_policy_view *view)
{
    struct executors executors = look_at_executors(view);
    struct batch none = {0};

    if (view->queue->n == 0)
        return decision(TERN_POLICY_WAIT, TERN_POLICY_EMPTY, &none, 0);
    if (executors.n_idle == 0)
        return wait_until(view, TERN_POLICY_ALL_BUSY, &none, 0, TERN_QUEUE_NEVER);
    return view->triton != NULL ? decide_triton(view) : decide_adaptive(view, &executors);
}

uint64_t tern_policy_cutoff_ns(const struct tern_policy_view *view)
{
    struct executors executors = look_at_executors(view);

    if (view->triton != NULL || is_in_doubt(view, &executors))
        return view->now_ns;
    uint64_t start_ns = executors.n_idle > 0 ? 0 : left_ns(view, executors.first_end_ns);
    return view->now_ns + start_ns + tern_service_p50_ns(view->service, 1);
}

/* The batch size with which an overloaded queue answers the most: a batch of n takes S(n), and all
 * of it must have arrived within what is left of the time allowed, which takes n / lambda. */
static uint32_t best_rows(const struct tern_policy_view *view, uint64_t allowed_ns)
{
    uint32_t fits = 0, beyond = view->max_batch + 1;

    while (beyond - fits > 1) {
        uint32_t middle = fits + (beyond - fits) / 2;
        double ns =
            (double)tern_service_p50_ns(view->service, middle) + middle * 1e9 / view->rows_per_s;
        if (ns <= (double)allowed_ns)
            fits = middle;
        else
            beyond = middle;
    }
    return fits > 0 ? fits : 1;
}

bool tern_policy_admits(const struct tern_policy_view *view, uint64_t deadline_ns,
                        uint64_t *ret_answer_in_ns)
{
    uint64_t allowed_ns = left_ns(view, deadline_ns);

    *ret_answer_in_ns = 0;
    if (deadline_ns == TERN_QUEUE_NEVER || view->triton != NULL || view->rows_per_s <= 0)
        return true;
    uint32_t rows = best_rows(view, allowed_ns);
    struct executors executors = look_at_executors(view);
    if (throughput(view, rows) * OVERLOAD_FACTOR >= view->rows_per_s ||
        is_in_doubt(view, &executors))
        return true;
    uint64_t run_ns = tern_service_p50_ns(view->service, rows);
    uint64_t start_ns = executors.n_idle > 0 ? 0 : left_ns(view, executors.first_end_ns);
    uint64_t batches_ahead = view->queue->rows / rows;
    *ret_answer_in_ns =
        start_ns + run_ns + (uint64_t)((double)batches_ahead * (double)run_ns / view->n_executors);
    return *ret_answer_in_ns <= allowed_ns;
}

/* ---- in words ---- */

const char *tern_policy_reason_label(enum tern_policy_reason reason)
{
    static const char *const labels[] = {
#define X(name, label) [TERN_POLICY_##name] = (label),
        TERN_POLICY_REASONS(X)
#undef X
    };
    return labels[reason];
}

static unsigned long long us(uint64_t ns)
{
    return ns / 1000;
}

TERN_PRINTF(2, 3) static void say(char dst[TERN_POLICY_TEXT_MAX], const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(dst, TERN_POLICY_TEXT_MAX, fmt, args);
    va_end(args);
}

static void explain_wait(const struct tern_policy_view *view, const struct tern_policy_decision *d,
                         char dst[TERN_POLICY_TEXT_MAX])
{
    struct executors all = look_at_executors(view);

    if (d->reason == TERN_POLICY_EMPTY)
        say(dst, "waits: the queue is empty");
    else if (d->reason == TERN_POLICY_ALL_BUSY)
        say(dst,
            "waits: %llu rows are there and all executors (%u) are busy, the first for about "
            "%llu us more",
            (unsigned long long)view->queue->rows, view->n_executors,
            us(left_ns(view, all.first_end_ns)));
    else if (d->reason == TERN_POLICY_DELAYING)
        say(dst,
            "waits %llu us more: %u rows are there, the next preferred size is %u and the "
            "oldest has not waited for max_queue_delay (%llu us)",
            us(d->until_ns - view->now_ns), d->rows, d->target,
            us(view->triton->max_queue_delay_ns));
    else if (d->until_ns == TERN_QUEUE_NEVER)
        say(dst,
            "waits for rows or executors: %u of %u rows are there and %u of %u executors are "
            "busy",
            d->rows, d->target, view->n_executors - all.n_idle, view->n_executors);
    else
        say(dst, "waits %llu us more: %u of %u rows are there and %u of %u executors are busy",
            us(d->until_ns - view->now_ns), d->rows, d->target, view->n_executors - all.n_idle,
            view->n_executors);
}

static const char *why_now(enum tern_policy_reason reason)
{
    static const char *const texts[] = {
        [TERN_POLICY_ALONE] = "no other executor is busy, nothing is gained by waiting",
        [TERN_POLICY_LARGEST] = "a batch may not be larger",
        [TERN_POLICY_CUT] = "the next request has another shape or does not fit in",
        [TERN_POLICY_NO_GAIN] = "this model is not quicker in batches",
        [TERN_POLICY_LARGE_ENOUGH] = "with so many the executors take turns evenly",
        [TERN_POLICY_LATEST_START] = "the first to be due would be late in a larger or later one",
        [TERN_POLICY_WAITED] = "the first one has waited for as long as it runs",
        [TERN_POLICY_DRY] = "nobody else seems to come before this is answered",
        [TERN_POLICY_PREFERRED] = "this is the largest preferred size that is there",
        [TERN_POLICY_DELAY_OVER] = "the oldest has waited for max_queue_delay",
    };
    bool is_known = (size_t)reason < TERN_COUNT_OF(texts) && texts[reason] != NULL;
    return is_known ? texts[reason] : tern_policy_reason_label(reason);
}

void tern_policy_explain(const struct tern_policy_view *view, const struct tern_policy_decision *d,
                         char dst[TERN_POLICY_TEXT_MAX])
{
    if (d->action == TERN_POLICY_WAIT)
        explain_wait(view, d, dst);
    else if (d->action == TERN_POLICY_RUN)
        say(dst, "runs %u rows of %llu: %s", d->rows, (unsigned long long)view->queue->rows,
            why_now(d->reason));
    else if (d->reason == TERN_POLICY_HOPELESS)
        say(dst,
            "refuses the first request: its %u rows would take about %llu us and its deadline "
            "is nearer",
            d->rows, us(tern_service_budget_ns(view->service, d->rows)));
    else
        say(dst,
            "refuses the first %u requests: %.0f rows a second arrive, and with their "
            "deadlines batches would be too small to keep up",
            d->items, view->rows_per_s);
}
