/* What the policy makes of thousands of histories: what must never happen, and how much it gets out
 * of executors under load, against the same model without it. With TERN_SIM_TABLE=1 in the
 * environment it prints how it compares with other policies. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "harness/random.h"
#include "harness/sim.h"

#define MAX_BATCH 64u
#define A_NS      1e6 /* s(n) = 1 ms (1 + b n) */

struct cell {
    double b;
    uint32_t executors;
    double slo; /* in s(1) */
};

static const struct cell cells[] = {
    {0.02, 1, 3},  {0.02, 2, 3},  {0.02, 4, 3},  {0.10, 1, 3},  {0.10, 2, 3},
    {0.10, 4, 3},  {0.50, 4, 3},  {0.10, 1, 10}, {0.10, 4, 10}, {0.50, 1, 10},
    {0.50, 2, 10}, {0.50, 4, 10}, {0.10, 2, 10},
};

static double service_ns(double b, double rows)
{
    return A_NS * (1 + b * rows);
}

/* Rows a second of all executors, in batches of the largest size. */
static double capacity(const struct cell *cell)
{
    return cell->executors * MAX_BATCH * 1e9 / service_ns(cell->b, MAX_BATCH);
}

static struct sim_settings settings_of(const struct cell *cell, double rows_per_s)
{
    return (struct sim_settings){.seed = 7,
                                 .executors = cell->executors,
                                 .n_items = 20000,
                                 .max_batch = MAX_BATCH,
                                 .a_ns = A_NS,
                                 .b_ns = A_NS * cell->b,
                                 .rows_per_s = rows_per_s,
                                 .slo_ns = (uint64_t)(cell->slo * service_ns(cell->b, 1))};
}

/* ---- what must never happen ---- */

static double draw(uint64_t *random, double low, double high)
{
    return low + (high - low) * random_unit(random);
}

static struct sim_settings draw_settings(uint64_t seed)
{
    uint64_t random = seed;
    struct cell cell = {.b = draw(&random, 0, 1.2),
                        .executors = 1 + (uint32_t)(random_u64(&random) % 4),
                        .slo = draw(&random, 1.5, 20)};
    struct sim_settings s = settings_of(&cell, capacity(&cell) * draw(&random, 0.02, 4));

    s.seed = seed;
    s.n_items = 300;
    s.max_batch = 1u << (random_u64(&random) % 8);
    s.noise = draw(&random, 0, 0.5);
    s.outlier_share = draw(&random, 0, 0.03);
    s.outlier_factor = 10;
    s.burst = seed % 2 == 0 ? 0 : draw(&random, 0.2, 1);
    s.burst_ns = (uint64_t)(A_NS * draw(&random, 2, 50));
    s.deadline_spread = seed % 3 == 0 ? 0.8 : 0;
    s.rows_max = seed % 5 == 0 ? 8 : 1;
    s.levels = seed % 7 == 0 ? 3 : 1;
    s.buckets = seed % 11 == 0 ? 3 : 1;
    s.no_admission = seed % 4 == 0;
    s.slo_ns = seed % 13 == 0 ? 0 : s.slo_ns;
    return s;
}

static void check_history(const struct sim_settings *s, const struct sim_result *r)
{
    uint32_t sum = r->in_time + r->late + r->refused + r->shed + r->lost;
    bool is_well = sum == r->offered && r->unanswered == 0 && r->answered_twice == 0 &&
                   r->started_too_late == 0 && r->out_of_order == 0 && r->batches_too_large == 0;

    if (s->triton == NULL)
        is_well = is_well && r->idle_with_work == 0;
    if (!is_well)
        fail_msg("seed %llu: of %u items %u have an outcome, %u have none, %u two; %u started too "
                 "late, %u out of order, %u in a wrong batch; idle with work %u times",
                 (unsigned long long)s->seed, r->offered, sum, r->unanswered, r->answered_twice,
                 r->started_too_late, r->out_of_order, r->batches_too_large, r->idle_with_work);
}

static void keeps_the_rules_in_every_history(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 3000; seed++) {
        struct sim_settings s = draw_settings(seed);
        struct sim_result r;
        sim_run(&s, &r);
        check_history(&s, &r);
    }
}

static void keeps_them_with_tritons_settings(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 1000; seed++) {
        struct sim_settings s = draw_settings(seed);
        struct tern_policy_triton triton = {.max_queue_delay_ns = seed % 3 * 500000};
        struct sim_result r;
        if (seed % 2 == 0 && s.max_batch >= 4) {
            triton.preferred[0] = s.max_batch / 4;
            triton.preferred[1] = s.max_batch / 2;
            triton.n_preferred = 2;
        }
        s.triton = &triton;
        sim_run(&s, &r);
        check_history(&s, &r);
        assert_int_equal(r.refused + r.shed, 0); /* those are the adaptive policy's */
    }
}

static void the_same_seed_is_the_same_history(void **state)
{
    (void)state;
    struct sim_settings s = draw_settings(42);
    struct sim_result first, second;

    sim_run(&s, &first);
    sim_run(&s, &second);
    assert_memory_equal(&first, &second, sizeof(first));
}

/* ---- how well it does ---- */

static void little_load_does_not_wait(void **state)
{
    (void)state;
    for (size_t i = 0; i < TERN_COUNT_OF(cells); i++) {
        double one_by_one = cells[i].executors * 1e9 / service_ns(cells[i].b, 1);
        struct sim_settings s = settings_of(&cells[i], one_by_one / 10);
        struct tern_policy_triton greedy = {.max_queue_delay_ns = 0};
        struct sim_result batched, unbatched;
        sim_run(&s, &batched);
        s.max_batch = 1;
        s.triton = &greedy;
        sim_run(&s, &unbatched);
        assert_true((double)batched.p50_ns <= 1.02 * (double)unbatched.p50_ns);
        assert_true(batched.in_time >= unbatched.in_time);
    }
}

/* The most that arrivals without chance would allow: a batch of n takes S(n), and all of it has
 * arrived in what the deadline leaves. */
static double feasible(const struct cell *cell, double rows_per_s)
{
    double slo_ns = cell->slo * service_ns(cell->b, 1), rows = 1;

    while (rows < MAX_BATCH &&
           service_ns(cell->b, rows + 1) + (rows + 1) * 1e9 / rows_per_s <= slo_ns)
        rows++;
    return cell->executors * rows * 1e9 / service_ns(cell->b, rows);
}

static void overload_costs_little(void **state)
{
    (void)state;
    static const double loads[] = {1.5, 2, 10};
    for (size_t i = 0; i < TERN_COUNT_OF(cells); i++) {
        for (size_t k = 0; k < TERN_COUNT_OF(loads); k++) {
            double rate = capacity(&cells[i]) * loads[k];
            struct sim_settings s = settings_of(&cells[i], rate);
            struct sim_result r;
            sim_run(&s, &r);
            assert_true(r.goodput >= 0.85 * feasible(&cells[i], rate));
            if (cells[i].slo >= 10)
                assert_true(r.goodput >= 0.85 * capacity(&cells[i]));
            /* Nearly all losers hear it at the door. */
            assert_true((r.shed + r.lost + r.late) * 100 <= 12 * r.offered);
        }
    }
}

static void noise_costs_a_little_more(void **state)
{
    (void)state;
    for (size_t i = 0; i < TERN_COUNT_OF(cells); i++) {
        struct sim_settings s = settings_of(&cells[i], capacity(&cells[i]) * 2);
        struct sim_result r;
        if (cells[i].slo < 10)
            continue;
        s.noise = 0.2;
        sim_run(&s, &r);
        assert_true(r.goodput >= 0.80 * capacity(&cells[i]));
    }
}

static void it_recovers_from_overload(void **state)
{
    (void)state;
    for (size_t i = 0; i < TERN_COUNT_OF(cells); i++) {
        struct sim_settings s = settings_of(&cells[i], capacity(&cells[i]) * 5);
        struct sim_result r;
        s.rate_until_share = 0.7;
        s.rows_per_s_after = capacity(&cells[i]) * 0.2;
        sim_run(&s, &r);
        assert_true(r.in_time < r.offered * 0.6);
        assert_true(r.in_time_at_end >= r.offered / 4 * 0.99);
    }
}

static void it_follows_a_machine_that_slows_down(void **state)
{
    (void)state;
    const struct cell cell = {.b = 0.1, .executors = 2, .slo = 10};
    struct sim_settings s = settings_of(&cell, capacity(&cell));
    struct sim_result r;

    s.slower_after = 50;
    s.slower_factor = 2; /* it is now offered twice of what it can */
    sim_run(&s, &r);
    assert_true(r.goodput >= 0.85 * capacity(&cell) / 2);
    assert_true(r.late * 100 <= 2 * r.offered);
}

static void it_survives_a_wrong_prediction(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 50; seed++) {
        const struct cell cell = {.b = 0.1, .executors = 1 + (uint32_t)(seed % 3), .slo = 5};
        struct sim_settings s = settings_of(&cell, capacity(&cell) * 0.2);
        struct sim_result r;
        s.seed = seed;
        s.n_items = 2000;
        s.first_guess_factor = 100; /* the warm-up was disturbed: no request seems possible */
        sim_run(&s, &r);
        assert_true(r.in_time >= r.offered * 0.9);
    }
}

static void a_model_that_gains_nothing_is_not_batched(void **state)
{
    (void)state;
    const struct cell cell = {.b = 0.5, .executors = 1, .slo = 50};
    struct sim_settings s = settings_of(&cell, 0);
    struct sim_result r;

    s.a_ns = A_NS / 100;
    s.b_ns = A_NS;
    s.rows_per_s = 800;
    sim_run(&s, &r);
    assert_true(r.rows_run <= r.runs + r.runs / 50);
    assert_true(r.in_time >= r.offered * 0.99);
}

/* ---- against others ---- */

/* Waits for the largest batch, as long as another executor is busy. */
static struct tern_policy_decision always_defer(const struct tern_policy_view *view)
{
    struct tern_policy_view crowded = *view;
    crowded.rows_per_s = 1e15;
    struct tern_policy_decision decision = tern_policy_decide(&crowded);
    if (decision.reason != TERN_POLICY_DRY)
        return decision;
    /* It does not believe in ends of arrivals. */
    uint64_t need_ns = tern_service_budget_ns(view->service, decision.rows + 1) + view->slo_ns / 20;
    uint64_t latest_ns = tern_queue_first(view->queue)->deadline_ns - need_ns;
    if (latest_ns > view->now_ns) {
        decision.action = TERN_POLICY_WAIT;
        decision.until_ns = latest_ns;
    }
    return decision;
}

static struct tern_policy_decision greedy_with_drop(const struct tern_policy_view *view)
{
    struct tern_policy_decision decision = tern_policy_decide(view);
    if (decision.reason == TERN_POLICY_GATHERING)
        decision.action = TERN_POLICY_RUN;
    return decision;
}

enum contender {
    UNBATCHED,
    GREEDY,
    FIXED_DELAY,
    DEFERRED,
    GREEDY_DROP,
    UNTOLD, /* ours, when nobody named the deadline */
    OURS,
    N_CONTENDERS,
};

static void run_as(struct sim_settings s, enum contender who, struct sim_result *ret)
{
    struct tern_policy_triton triton = {.max_queue_delay_ns = 0};

    if (who == FIXED_DELAY)
        triton.max_queue_delay_ns = (uint64_t)(s.a_ns + s.b_ns) / 2;
    s.keep_late = who < DEFERRED || who == UNTOLD;
    s.triton = who < DEFERRED ? &triton : NULL;
    s.max_batch = who == UNBATCHED ? 1 : s.max_batch;
    s.decide = who == DEFERRED ? always_defer : who == GREEDY_DROP ? greedy_with_drop : NULL;
    sim_run(&s, ret);
}

/* The largest load, in per cent of capacity, of which 99 % are answered in time. */
static double largest_load(const struct cell *cell, enum contender who, uint32_t steps)
{
    double low = 0, high = 1.1;

    while (steps-- > 0) {
        double load = (low + high) / 2;
        struct sim_result r;
        run_as(settings_of(cell, capacity(cell) * load), who, &r);
        if (r.in_time >= r.offered * 0.99)
            low = load;
        else
            high = load;
    }
    return low * 100;
}

/* Whether 99 % are in time with max_queue_delay and one preferred size (0: none). */
static bool keeps_up(const struct cell *cell, double load, double delay, uint32_t size)
{
    struct tern_policy_triton triton = {.preferred = {size},
                                        .n_preferred = size > 0,
                                        .max_queue_delay_ns = (uint64_t)(delay * A_NS)};
    struct sim_settings s = settings_of(cell, capacity(cell) * load);
    struct sim_result r;

    s.keep_late = true;
    s.triton = &triton;
    sim_run(&s, &r);
    return r.in_time >= r.offered * 0.99;
}

/* The same for the best of settings that one could find by trying them all. A setting that is not
 * better than the best so far is out after one look. */
static double best_of_grid(const struct cell *cell)
{
    static const double delays[] = {0, 0.5, 1};
    static const uint32_t sizes[] = {0, 8, 16, 32};
    double best = 0;

    for (size_t i = 0; i < TERN_COUNT_OF(delays); i++) {
        for (size_t k = 0; k < TERN_COUNT_OF(sizes); k++) {
            while (best < 1.1 && keeps_up(cell, best + 0.01, delays[i], sizes[k]))
                best += 0.01;
        }
    }
    return best * 100;
}

static void no_other_policy_gets_much_further(void **state)
{
    (void)state;
    for (size_t i = 0; i < TERN_COUNT_OF(cells); i++) {
        double ours = largest_load(&cells[i], OURS, 6);
        for (enum contender who = UNBATCHED; who < OURS; who++)
            assert_true(ours >= 0.95 * largest_load(&cells[i], who, 6) - 110.0 / 64);
    }
}

/* Nobody can know how late an answer may be, and yet: by the measure of any deadline. */
static void without_a_deadline_it_is_as_good_as_the_best_setting(void **state)
{
    (void)state;
    for (size_t i = 0; i < TERN_COUNT_OF(cells); i++)
        assert_true(largest_load(&cells[i], UNTOLD, 6) >=
                    0.92 * best_of_grid(&cells[i]) - 110.0 / 64);
}

static void print_table(void **state)
{
    (void)state;
    if (getenv("TERN_SIM_TABLE") == NULL)
        return;
    printf("%-14s | %-41s | p50 x s(1) at 10 %%, 50 %% | goodput %% at 1.5x 2x 10x\n", "",
           "largest load with 99 % in time, % of capacity");
    printf("   b  E  SLO   | single greedy fixed defer  drop untold ours | grid |\n");
    for (size_t i = 0; i < TERN_COUNT_OF(cells); i++) {
        const struct cell *c = &cells[i];
        struct sim_result r;
        printf("%5.2f %u %4.0fx  |", c->b, c->executors, c->slo);
        for (enum contender who = UNBATCHED; who < N_CONTENDERS; who++)
            printf(" %6.1f", largest_load(c, who, 8));
        printf(" | %5.1f", best_of_grid(c));
        run_as(settings_of(c, c->executors * 1e8 / service_ns(c->b, 1)), OURS, &r);
        printf(" | %.2f", (double)r.p50_ns / service_ns(c->b, 1));
        run_as(settings_of(c, capacity(c) / 2), OURS, &r);
        printf(" %.2f |", (double)r.p50_ns / service_ns(c->b, 1));
        for (double load = 1.5; load <= 10; load = load < 2 ? 2 : load * 5) {
            run_as(settings_of(c, capacity(c) * load), OURS, &r);
            printf(" %3.0f of %3.0f (%u refused, %u shed)", 100 * r.goodput / capacity(c),
                   100 * feasible(c, capacity(c) * load) / capacity(c), 100 * r.refused / r.offered,
                   100 * (r.shed + r.lost) / r.offered);
        }
        printf("\n");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_the_rules_in_every_history),
        cmocka_unit_test(keeps_them_with_tritons_settings),
        cmocka_unit_test(the_same_seed_is_the_same_history),
        cmocka_unit_test(little_load_does_not_wait),
        cmocka_unit_test(overload_costs_little),
        cmocka_unit_test(noise_costs_a_little_more),
        cmocka_unit_test(it_recovers_from_overload),
        cmocka_unit_test(it_follows_a_machine_that_slows_down),
        cmocka_unit_test(it_survives_a_wrong_prediction),
        cmocka_unit_test(a_model_that_gains_nothing_is_not_batched),
        cmocka_unit_test(no_other_policy_gets_much_further),
        cmocka_unit_test(without_a_deadline_it_is_as_good_as_the_best_setting),
        cmocka_unit_test(print_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
