/* One decision at a time. The model takes 1 ms for a run and 0.1 ms a row; times are in us. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>
#include "sched/policy.h"

#define US      UINT64_C(1000)
#define NOW     (1000000 * US)
#define N_ITEMS 64u

struct world {
    struct tern_queue queue;
    struct tern_queue_item items[N_ITEMS];
    uint32_t n;
    struct tern_service service;
    uint64_t busy_until_ns[4];
    struct tern_policy_triton triton;
    struct tern_policy_view view;
};

static struct world w;

static uint64_t run_us(uint32_t rows)
{
    return 1000 + 100 * rows;
}

static void begin(uint32_t executors)
{
    struct tern_queue_settings settings = {
        .levels = 2, .default_level = 2, .max_items = N_ITEMS, .max_bytes = 1000};

    memset(&w, 0, sizeof(w));
    tern_queue_init(&w.queue, &settings);
    tern_service_init(&w.service, 1, run_us(1) * US);
    for (uint32_t i = 0; i < 2000; i++) {
        uint32_t rows = tern_service_point_rows(i % 12);
        tern_service_learn(&w.service, rows, run_us(rows) * US);
    }
    w.view = (struct tern_policy_view){.now_ns = NOW,
                                       .queue = &w.queue,
                                       .busy_until_ns = w.busy_until_ns,
                                       .n_executors = executors,
                                       .service = &w.service,
                                       .max_batch = 16,
                                       .slo_ns = 20000 * US};
}

/* Adds items of so many rows that came some time ago and are due in some time (0: never). */
static void add(uint32_t n, uint32_t rows, uint64_t age_us, uint64_t due_us)
{
    while (n-- > 0) {
        struct tern_queue_item *item = &w.items[w.n++];
        item->rows = rows;
        item->bucket = 1;
        item->deadline_ns = due_us == 0 ? TERN_QUEUE_NEVER : NOW + due_us * US;
        assert_int_equal(tern_queue_add(&w.queue, item, NOW - age_us * US, NULL), TERN_OK);
    }
}

static void be_busy(uint32_t executor, uint64_t for_us)
{
    w.busy_until_ns[executor] = NOW + for_us * US;
}

static struct tern_policy_decision last;

static void expect(enum tern_policy_action action, enum tern_policy_reason reason, uint32_t items)
{
    last = tern_policy_decide(&w.view);
    if (last.action != action || last.reason != reason || last.items != items)
        fail_msg("action %d because of %s with %u items; expected %d because of %s with %u",
                 last.action, tern_policy_reason_label(last.reason), last.items, action,
                 tern_policy_reason_label(reason), items);
}

static void expect_wait(enum tern_policy_reason reason, uint32_t items, uint64_t for_us)
{
    expect(TERN_POLICY_WAIT, reason, items);
    if (for_us == 0)
        assert_true(last.until_ns == TERN_QUEUE_NEVER);
    else
        assert_int_equal((last.until_ns - NOW) / US, for_us);
}

static void expect_words(const char *text)
{
    char words[TERN_POLICY_TEXT_MAX];
    tern_policy_explain(&w.view, &last, words);
    assert_string_equal(words, text);
}

/* ---- adaptive ---- */

static void nothing_to_do(void **state)
{
    (void)state;
    begin(1);
    expect_wait(TERN_POLICY_EMPTY, 0, 0);
    expect_words("waits: the queue is empty");
    add(3, 1, 0, 0);
    be_busy(0, 700);
    expect_wait(TERN_POLICY_ALL_BUSY, 0, 0);
    expect_words("waits: 3 rows are there and all executors (1) are busy, the first for about 700 "
                 "us more");
}

static void an_idle_model_runs_at_once(void **state)
{
    (void)state;
    begin(2);
    add(1, 1, 0, 0);
    expect(TERN_POLICY_RUN, TERN_POLICY_ALONE, 1);
    expect_words("runs 1 rows of 1: no other executor is busy, nothing is gained by waiting");
    add(40, 1, 0, 0);
    expect(TERN_POLICY_RUN, TERN_POLICY_ALONE, 16);
}

static void executors_take_turns(void **state)
{
    (void)state;
    begin(2);
    w.view.rows_per_s = 6000; /* 6 / (2 - 0.6) rows keep up; a third more are waited for */
    be_busy(0, 500);
    add(4, 1, 100, 20000);
    expect_wait(TERN_POLICY_GATHERING, 4, 900); /* six gaps after the last of them came */
    assert_int_equal(last.target, 6);
    expect_words("waits 900 us more: 4 of 6 rows are there and 1 of 2 executors are busy");
    add(2, 1, 0, 20000);
    expect(TERN_POLICY_RUN, TERN_POLICY_LARGE_ENOUGH, 6);
    expect_words("runs 6 rows of 6: with so many the executors take turns evenly");
}

static void nobody_waits_too_long_for_a_turn(void **state)
{
    (void)state;
    begin(2);
    w.view.rows_per_s = 6000;
    be_busy(0, 500);
    add(4, 1, 100, run_us(5) + 1000);
    expect(TERN_POLICY_RUN, TERN_POLICY_LATEST_START, 4);
    begin(2);
    w.view.rows_per_s = 6000;
    be_busy(0, 500);
    add(4, 1, 0, run_us(5) + 1000 + 300);
    expect_wait(TERN_POLICY_GATHERING, 4, 300);
}

/* Clients that wait for their answers: those that are not here are in the run that goes on. */
static void nobody_waits_for_who_does_not_come(void **state)
{
    (void)state;
    begin(2);
    w.view.rows_per_s = 6000;
    be_busy(0, 500);
    add(4, 1, 999, 0);
    expect_wait(TERN_POLICY_GATHERING, 4, 1);
    begin(2);
    w.view.rows_per_s = 6000;
    be_busy(0, 500);
    add(4, 1, 1000, 0);
    expect(TERN_POLICY_RUN, TERN_POLICY_DRY, 4);
    expect_words("runs 4 rows of 4: nobody else seems to come before this is answered");
}

static void an_executor_that_is_stuck_does_not_count(void **state)
{
    (void)state;
    begin(2);
    w.view.rows_per_s = 6000;
    add(4, 1, 100, 20000);
    w.busy_until_ns[0] = NOW - 1000 * US;
    expect(TERN_POLICY_WAIT, TERN_POLICY_GATHERING, 4);
    w.busy_until_ns[0] = NOW - 1200 * US; /* overdue for longer than a run of one row takes */
    expect(TERN_POLICY_RUN, TERN_POLICY_ALONE, 4);
}

static void a_batch_is_cut(void **state)
{
    (void)state;
    begin(1);
    add(5, 2, 0, 0);
    w.items[3].bucket = 2;
    expect(TERN_POLICY_RUN, TERN_POLICY_ALONE, 3);
    begin(2);
    be_busy(0, 500);
    add(5, 2, 0, 9000);
    w.items[3].bucket = 2;
    expect(TERN_POLICY_RUN, TERN_POLICY_CUT, 3);
    begin(2);
    be_busy(0, 500);
    add(5, 5, 0, 9000); /* 15 of 16 rows are full enough */
    expect(TERN_POLICY_RUN, TERN_POLICY_CUT, 3);
    begin(1);
    add(2, 100, 0, 0); /* larger than any batch: alone */
    expect(TERN_POLICY_RUN, TERN_POLICY_ALONE, 1);
}

/* Runs of one row take 1100 us here, so that is what the first one waits at most. */
static void without_a_deadline_nobody_waits_longer_than_a_run(void **state)
{
    (void)state;
    begin(2);
    be_busy(0, 5000);
    w.view.rows_per_s = 6000;
    add(2, 1, 1000, 0);
    add(1, 1, 0, 0);
    expect_wait(TERN_POLICY_GATHERING, 3, 100);
    w.view.now_ns += 100 * US;
    expect(TERN_POLICY_RUN, TERN_POLICY_WAITED, 3);
    expect_words("runs 3 rows of 3: the first one has waited for as long as it runs");
}

/* s(n) = 1000 + 100 n us: 36 rows have 90 % of the throughput of 64. */
static void without_a_deadline_a_batch_is_as_large_as_does_good(void **state)
{
    (void)state;
    begin(1);
    w.view.max_batch = 64;
    add(31, 1, 0, 0);
    expect(TERN_POLICY_RUN, TERN_POLICY_ALONE, 31); /* there is nobody to share it with */
    begin(2);
    w.view.max_batch = 64;
    w.view.rows_per_s = 20000;
    add(50, 1, 0, 0);
    expect(TERN_POLICY_RUN, TERN_POLICY_ALONE, 36);
    begin(2);
    w.view.max_batch = 64;
    w.view.rows_per_s = 1000;
    add(20, 1, 0, 0); /* a burst is shared */
    expect(TERN_POLICY_RUN, TERN_POLICY_ALONE, 10);
    begin(2);
    w.view.max_batch = 64;
    w.view.rows_per_s = 1000;
    add(20, 1, 0, 9000);
    expect(TERN_POLICY_RUN, TERN_POLICY_ALONE, 20);
}

/* Without an SLO a far deadline is no wish for a late answer. */
static void a_far_deadline_is_none(void **state)
{
    (void)state;
    begin(2);
    w.view.slo_ns = 0;
    be_busy(0, 5000);
    w.view.rows_per_s = 6000;
    add(3, 1, 1100, 60000000);
    expect(TERN_POLICY_RUN, TERN_POLICY_WAITED, 3);
    begin(2);
    w.view.slo_ns = 0;
    be_busy(0, 5000);
    w.view.rows_per_s = 6000;
    add(3, 1, 100, 9000);
    expect_wait(TERN_POLICY_GATHERING, 3, 900);
}

static void no_deadline_in_a_batch_is_missed(void **state)
{
    (void)state;
    begin(1);
    add(2, 1, 0, 9000);
    add(1, 1, 0, run_us(5) + 5); /* bounds those before it and behind it */
    add(9, 1, 0, 9000);
    expect(TERN_POLICY_RUN, TERN_POLICY_ALONE, 5);
}

static void who_is_in_nobodys_way_is_kept(void **state)
{
    (void)state;
    begin(1);
    add(1, 1, 0, run_us(2) + 5);
    add(10, 1, 0, 9000);
    w.view.rows_per_s = 1000; /* two at a time keep up with that */
    expect(TERN_POLICY_RUN, TERN_POLICY_ALONE, 2);
    w.view.rows_per_s = 5000; /* but not with that */
    expect(TERN_POLICY_SHED, TERN_POLICY_KEEPS_BACK, 1);
    expect_words("refuses the first 1 requests: 5000 rows a second arrive, and with their "
                 "deadlines batches would be too small to keep up");
}

static void the_urgent_are_not_refused_for_others(void **state)
{
    (void)state;
    begin(1);
    w.items[0].priority = 1;
    add(1, 1, 0, run_us(2) + 5);
    add(10, 1, 0, 9000);
    w.view.rows_per_s = 5000;
    expect(TERN_POLICY_RUN, TERN_POLICY_ALONE, 2);
}

static void who_cannot_be_in_time_is_refused(void **state)
{
    (void)state;
    begin(1);
    add(1, 8, 0, run_us(5));
    expect(TERN_POLICY_SHED, TERN_POLICY_HOPELESS, 1);
    expect_words("refuses the first request: its 8 rows would take about 1800 us and its deadline "
                 "is nearer");
    assert_int_equal(tern_policy_cutoff_ns(&w.view), NOW + run_us(1) * US);
    be_busy(0, 300);
    assert_int_equal(tern_policy_cutoff_ns(&w.view), NOW + (300 + run_us(1)) * US);
}

static void what_only_just_fits_is_tried(void **state)
{
    (void)state;
    begin(1);
    for (uint32_t i = 0; i < 2000; i++)
        tern_service_learn(&w.service, 1, (run_us(1) + (i % 2 == 0 ? 0 : 200)) * US);
    uint64_t p50_us = tern_service_p50_ns(&w.service, 1) / US;
    assert_true(tern_service_budget_ns(&w.service, 1) / US > p50_us + 20);
    add(1, 1, 0, p50_us + 10);
    expect(TERN_POLICY_RUN, TERN_POLICY_ALONE, 1);
}

static void a_prediction_that_refuses_everything_is_tried_again(void **state)
{
    (void)state;
    uint64_t in_ns;

    begin(2);
    w.view.rows_per_s = 50000;
    add(1, 1, 0, 500); /* half of what a run takes */
    expect(TERN_POLICY_SHED, TERN_POLICY_HOPELESS, 1);
    assert_false(tern_policy_admits(&w.view, NOW + 500 * US, &in_ns));
    for (uint32_t i = 0; i < 100; i++)
        tern_service_refused(&w.service);
    assert_int_equal(tern_policy_cutoff_ns(&w.view), NOW);
    assert_true(tern_policy_admits(&w.view, NOW + 500 * US, &in_ns));
    expect(TERN_POLICY_RUN, TERN_POLICY_ALONE, 1);
    be_busy(0, 500); /* one at a time */
    expect(TERN_POLICY_SHED, TERN_POLICY_HOPELESS, 1);
    assert_false(tern_policy_admits(&w.view, NOW + 500 * US, &in_ns));
}

static void it_wakes_up_to_refuse(void **state)
{
    (void)state;
    begin(1);
    add(1, 1, 0, 5000);
    add(1, 1, 0, 3000);
    be_busy(0, 4000);
    expect_wait(TERN_POLICY_ALL_BUSY, 0, 3000);
    assert_int_equal(last.until_ns, NOW + 3000 * US + 1); /* then it is lost, not before */
}

static void a_model_without_gain_is_not_batched(void **state)
{
    (void)state;
    begin(2);
    tern_service_init(&w.service, 1, 1000 * US);
    for (uint32_t i = 0; i < 20; i++)
        tern_service_learn(&w.service, 2, 2000 * US);
    add(5, 1, 0, 0);
    be_busy(0, 500);
    expect(TERN_POLICY_RUN, TERN_POLICY_NO_GAIN, 1);
    expect_words("runs 1 rows of 5: this model is not quicker in batches");
    begin(2);
    w.view.max_batch = 1;
    add(5, 3, 0, 0);
    expect(TERN_POLICY_RUN, TERN_POLICY_LARGEST, 1); /* it cannot be: nobody asked for batches */
}

static void the_door(void **state)
{
    (void)state;
    uint64_t in_ns;

    begin(1);
    w.view.max_batch = 64;
    w.view.rows_per_s = 2000;
    assert_true(tern_policy_admits(&w.view, TERN_QUEUE_NEVER, &in_ns));
    assert_true(tern_policy_admits(&w.view, NOW + 5000 * US, &in_ns));
    w.view.rows_per_s = 50000;
    /* Of 5 ms a batch of 33 takes 4.3, and so many come in the rest. An idle executor: run it. */
    assert_true(tern_policy_admits(&w.view, NOW + 5000 * US, &in_ns));
    assert_int_equal(in_ns / US, run_us(33));
    be_busy(0, 1000); /* it would be in time alone, but is too early for a batch of 33 */
    assert_false(tern_policy_admits(&w.view, NOW + 5000 * US, &in_ns));
    assert_int_equal(in_ns / US, 1000 + run_us(33));
    be_busy(0, 600);
    assert_true(tern_policy_admits(&w.view, NOW + 5000 * US, &in_ns));
    add(33, 1, 0, 5000); /* and too late when the batch is full */
    assert_false(tern_policy_admits(&w.view, NOW + 5000 * US, &in_ns));
    w.view.triton = &w.triton; /* Triton knows no such door */
    assert_true(tern_policy_admits(&w.view, NOW + 5000 * US, &in_ns));
}

static void the_usual_time(void **state)
{
    (void)state;
    begin(1);
    assert_int_equal(tern_policy_slo_ns(&w.view), 20000 * US);
    w.view.slo_ns = 0;
    assert_int_equal(tern_policy_slo_ns(&w.view) / US / 100, run_us(1) * 10 / 100);
    tern_service_init(&w.service, 1, 3 * US);
    assert_int_equal(tern_policy_slo_ns(&w.view), TERN_POLICY_SLO_LEAST_NS);
}

/* ---- Triton's ---- */

static void begin_triton(uint64_t delay_us, uint32_t first, uint32_t second)
{
    begin(2);
    w.triton = (struct tern_policy_triton){.max_queue_delay_ns = delay_us * US};
    w.triton.preferred[0] = first;
    w.triton.preferred[1] = second;
    w.triton.n_preferred = first == 0 ? 0 : second == 0 ? 1 : 2;
    w.view.triton = &w.triton;
}

static void triton_takes_the_largest_preferred_size(void **state)
{
    (void)state;
    begin_triton(1000, 4, 8);
    add(11, 1, 100, 0);
    expect(TERN_POLICY_RUN, TERN_POLICY_PREFERRED, 8);
    expect_words("runs 8 rows of 11: this is the largest preferred size that is there");
    begin_triton(1000, 4, 8);
    add(7, 1, 100, 0);
    expect(TERN_POLICY_RUN, TERN_POLICY_PREFERRED, 4);
}

static void triton_waits_for_one(void **state)
{
    (void)state;
    begin_triton(1000, 4, 8);
    add(2, 1, 300, 0);
    add(1, 1, 100, 0);
    expect_wait(TERN_POLICY_DELAYING, 3, 700);
    assert_int_equal(last.target, 4);
    expect_words("waits 700 us more: 3 rows are there, the next preferred size is 4 and the oldest "
                 "has not waited for max_queue_delay (1000 us)");
    begin_triton(1000, 4, 8);
    add(2, 1, 1000, 0);
    add(1, 1, 100, 0);
    expect(TERN_POLICY_RUN, TERN_POLICY_DELAY_OVER, 3);
}

static void triton_after_the_delay_takes_all_that_fits(void **state)
{
    (void)state;
    begin_triton(1000, 4, 0);
    add(10, 1, 1000, 0);
    expect(TERN_POLICY_RUN, TERN_POLICY_DELAY_OVER, 10); /* not 4 */
    add(10, 1, 0, 0);
    expect(TERN_POLICY_RUN, TERN_POLICY_DELAY_OVER, 16); /* max_batch_size */
}

static void triton_without_delay_never_waits(void **state)
{
    (void)state;
    begin_triton(0, 4, 8);
    be_busy(0, 500);
    add(3, 1, 0, 0);
    expect(TERN_POLICY_RUN, TERN_POLICY_DELAY_OVER, 3);
    add(3, 1, 0, 0);
    expect(TERN_POLICY_RUN, TERN_POLICY_PREFERRED, 4); /* the size goes before all that is there */
}

static void triton_without_sizes_prefers_the_largest_batch(void **state)
{
    (void)state;
    begin_triton(1000, 0, 0);
    add(15, 1, 0, 0);
    expect_wait(TERN_POLICY_DELAYING, 15, 1000);
    assert_int_equal(last.target, 16);
    add(2, 1, 0, 0);
    expect(TERN_POLICY_RUN, TERN_POLICY_PREFERRED, 16);
}

static void triton_when_the_sizes_cannot_be_met(void **state)
{
    (void)state;
    begin_triton(1000, 4, 0);
    add(3, 3, 100, 0); /* 3, then 6 > 4 */
    expect(TERN_POLICY_RUN, TERN_POLICY_PREFERRED, 1);
    begin_triton(1000, 4, 0);
    add(1, 6, 100, 0); /* one request above all sizes */
    expect(TERN_POLICY_RUN, TERN_POLICY_LARGEST, 1);
}

static void triton_cuts_at_another_shape(void **state)
{
    (void)state;
    begin_triton(1000, 4, 8);
    add(3, 1, 100, 0);
    add(5, 1, 100, 0);
    w.items[3].bucket = 2;
    expect(TERN_POLICY_RUN, TERN_POLICY_CUT, 3); /* it cannot become larger: no wait */
    begin_triton(1000, 4, 8);
    add(6, 1, 100, 0);
    w.items[5].bucket = 2;
    expect(TERN_POLICY_RUN, TERN_POLICY_PREFERRED, 4);
}

static void triton_counts_the_oldest_of_all_levels(void **state)
{
    (void)state;
    begin_triton(1000, 4, 8);
    add(1, 1, 900, 0);
    w.items[1].priority = 1;
    add(1, 1, 100, 0);
    expect_wait(TERN_POLICY_DELAYING, 2, 100);
}

static void triton_wakes_up_to_reject(void **state)
{
    (void)state;
    begin_triton(1000, 4, 8);
    add(1, 1, 100, 300);
    expect_wait(TERN_POLICY_DELAYING, 1, 300);
    assert_int_equal(tern_policy_cutoff_ns(&w.view), NOW);
}

static void every_reason_has_a_label(void **state)
{
    (void)state;
    assert_string_equal(tern_policy_reason_label(TERN_POLICY_EMPTY), "empty");
    assert_string_equal(tern_policy_reason_label(TERN_POLICY_KEEPS_BACK), "keeps_back");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_to_do),
        cmocka_unit_test(an_idle_model_runs_at_once),
        cmocka_unit_test(executors_take_turns),
        cmocka_unit_test(nobody_waits_too_long_for_a_turn),
        cmocka_unit_test(nobody_waits_for_who_does_not_come),
        cmocka_unit_test(an_executor_that_is_stuck_does_not_count),
        cmocka_unit_test(a_batch_is_cut),
        cmocka_unit_test(without_a_deadline_nobody_waits_longer_than_a_run),
        cmocka_unit_test(without_a_deadline_a_batch_is_as_large_as_does_good),
        cmocka_unit_test(a_far_deadline_is_none),
        cmocka_unit_test(no_deadline_in_a_batch_is_missed),
        cmocka_unit_test(who_is_in_nobodys_way_is_kept),
        cmocka_unit_test(the_urgent_are_not_refused_for_others),
        cmocka_unit_test(who_cannot_be_in_time_is_refused),
        cmocka_unit_test(what_only_just_fits_is_tried),
        cmocka_unit_test(a_prediction_that_refuses_everything_is_tried_again),
        cmocka_unit_test(it_wakes_up_to_refuse),
        cmocka_unit_test(a_model_without_gain_is_not_batched),
        cmocka_unit_test(the_door),
        cmocka_unit_test(the_usual_time),
        cmocka_unit_test(triton_takes_the_largest_preferred_size),
        cmocka_unit_test(triton_waits_for_one),
        cmocka_unit_test(triton_after_the_delay_takes_all_that_fits),
        cmocka_unit_test(triton_without_delay_never_waits),
        cmocka_unit_test(triton_without_sizes_prefers_the_largest_batch),
        cmocka_unit_test(triton_when_the_sizes_cannot_be_met),
        cmocka_unit_test(triton_cuts_at_another_shape),
        cmocka_unit_test(triton_counts_the_oldest_of_all_levels),
        cmocka_unit_test(triton_wakes_up_to_reject),
        cmocka_unit_test(every_reason_has_a_label),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
