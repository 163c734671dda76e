/* Resources that instances compete for: never more than there is, nobody forgotten, weights kept.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "harness/random.h"
#include "sched/resources.h"

#define CLAIMS 12
#define NAMES  4

static const char *const names[NAMES] = {"R", "S", "T", "G"}; /* the last is global */

struct rig {
    struct tern_resources *r;
    struct tern_scheduling_resource rows[CLAIMS][NAMES];
    struct tern_scheduling_group groups[CLAIMS];
    struct tern_resource_claim claims[CLAIMS];
    bool joined[CLAIMS];
};

static struct tern_scheduling_resource need(const char *name, uint32_t count)
{
    return (struct tern_scheduling_resource){tern_str_of(name), count,
                                             strcmp(name, names[NAMES - 1]) == 0};
}

static void start(struct rig *g, const struct tern_resource_limit *limits, uint32_t n)
{
    struct tern_err err;
    memset(g, 0, sizeof(*g));
    assert_int_equal(tern_resources_new(limits, n, &g->r, &err), TERN_OK);
}

/* Claim i asks for up to two things. */
static enum tern_code join(struct rig *g, uint32_t i, uint32_t priority,
                           struct tern_scheduling_resource a, struct tern_scheduling_resource b,
                           struct tern_err *err)
{
    g->rows[i][0] = a;
    g->rows[i][1] = b;
    g->groups[i] = (struct tern_scheduling_group){.count = 1,
                                                  .priority = priority,
                                                  .resources = g->rows[i],
                                                  .n_resources = 1 + (b.count > 0)};
    g->claims[i] = (struct tern_resource_claim){.group = &g->groups[i], .owner = &g->groups[i]};
    enum tern_code code = tern_resources_join(g->r, &g->claims[i], err);
    g->joined[i] = code == TERN_OK;
    return code;
}

static void joins(struct rig *g, uint32_t i, uint32_t priority, struct tern_scheduling_resource a,
                  struct tern_scheduling_resource b)
{
    struct tern_err err;
    assert_int_equal(join(g, i, priority, a, b, &err), TERN_OK);
}

static void end(struct rig *g)
{
    for (uint32_t i = 0; i < CLAIMS; i++) {
        if (!g->joined[i])
            continue;
        while (tern_resources_granted(g->r) != NULL)
            continue;
        if (g->claims[i].state == TERN_RESOURCE_HELD)
            tern_resources_release(g->r, &g->claims[i], false);
        tern_resources_leave(g->r, &g->claims[i]);
    }
    tern_resources_free(g->r);
}

static const struct tern_scheduling_resource none = {{"", 0}, 0, false};

static void test_all_or_nothing(void **state)
{
    struct rig g;
    (void)state;
    start(&g, NULL, 0);
    joins(&g, 0, 0, need("R", 2), none);
    joins(&g, 1, 0, need("R", 1), need("S", 1));
    joins(&g, 2, 0, need("S", 1), none);
    assert_true(tern_resources_acquire(g.r, &g.claims[0])); /* there are 2: the most anybody asks */
    assert_false(tern_resources_acquire(g.r, &g.claims[1]));
    /* It holds no S while it waits, and keeps nobody from it. */
    assert_true(tern_resources_acquire(g.r, &g.claims[2]));
    tern_resources_release(g.r, &g.claims[0], false);
    assert_null(tern_resources_granted(g.r)); /* S is still gone */
    tern_resources_release(g.r, &g.claims[2], false);
    assert_ptr_equal(tern_resources_granted(g.r), &g.claims[1]);
    assert_ptr_equal(g.claims[1].owner, &g.groups[1]);
    assert_null(tern_resources_granted(g.r));
    end(&g);
}

static void test_nothing_asked_nothing_waited_for(void **state)
{
    struct rig g;
    struct tern_err err;
    (void)state;
    start(&g, NULL, 0);
    assert_int_equal(tern_resources_join(g.r, &g.claims[0], &err), TERN_OK);
    g.joined[0] = true;
    assert_true(tern_resources_acquire(g.r, &g.claims[0]));
    end(&g);
}

static void test_limits_in_tritons_words(void **state)
{
    static const struct tern_resource_limit limits[] = {
        {{"R", 1}, 3, TERN_RESOURCES_ANY_DEVICE}, {{"S", 1}, 9, 1}, {{"G", 1}, 2, 7}};
    struct tern_err err;
    struct rig g;
    (void)state;
    start(&g, limits, 3);
    assert_int_equal(join(&g, 0, 0, need("R", 4), none, &err), TERN_INVALID_ARGUMENT);
    assert_string_equal(err.text,
                        "Resource count for \"R\" is limited to 3 which will prevent scheduling of "
                        "one or more model instances, the minimum required count is 4");
    assert_int_equal(join(&g, 0, 0, need("R", 1), need("S", 1), &err), TERN_INVALID_ARGUMENT);
    assert_non_null(strstr(err.text, "\"S\" is limited to 0 ")); /* that of another device */
    joins(&g, 0, 0, need("R", 2), need("G", 2));                 /* a global one has no device */
    joins(&g, 1, 0, need("R", 1), none);
    joins(&g, 2, 0, need("R", 1), none);
    assert_true(tern_resources_acquire(g.r, &g.claims[0]));
    assert_true(tern_resources_acquire(g.r, &g.claims[1]));
    assert_false(tern_resources_acquire(g.r, &g.claims[2]));
    end(&g);
}

static void test_a_name_is_global_or_not(void **state)
{
    struct tern_scheduling_resource global = {TERN_STR("R"), 1, true};
    struct tern_err err;
    struct rig g;
    (void)state;
    start(&g, NULL, 0);
    joins(&g, 0, 0, need("R", 1), none);
    assert_int_equal(join(&g, 1, 0, global, none, &err), TERN_INVALID_ARGUMENT);
    assert_string_equal(err.text, "Resource \"R\" is present as both global and device-specific "
                                  "resource in the model configuration.");
    tern_resources_leave(g.r, &g.claims[0]); /* a name that nobody uses is free again */
    g.joined[0] = false;
    joins(&g, 1, 0, global, none);
    end(&g);
}

static void test_devices_have_their_own(void **state)
{
    struct tern_err err;
    struct rig g;
    (void)state;
    start(&g, NULL, 0);
    for (uint32_t i = 0; i < 2; i++) {
        g.rows[i][0] = need("R", 1);
        g.groups[i] = (struct tern_scheduling_group){.resources = g.rows[i], .n_resources = 1};
        g.claims[i] = (struct tern_resource_claim){.group = &g.groups[i], .device = (int32_t)i};
        assert_int_equal(tern_resources_join(g.r, &g.claims[i], &err), TERN_OK);
        g.joined[i] = true;
        assert_true(tern_resources_acquire(g.r, &g.claims[i]));
    }
    end(&g);
}

static void test_more_may_come_with_another_model(void **state)
{
    struct rig g;
    (void)state;
    start(&g, NULL, 0);
    joins(&g, 0, 0, need("R", 1), none);
    joins(&g, 1, 0, need("R", 1), none);
    assert_true(tern_resources_acquire(g.r, &g.claims[0]));
    assert_false(tern_resources_acquire(g.r, &g.claims[1]));
    joins(&g, 2, 0, need("R", 2), none);
    assert_ptr_equal(tern_resources_granted(g.r), &g.claims[1]);
    tern_resources_leave(g.r, &g.claims[2]);
    g.joined[2] = false;
    tern_resources_release(g.r, &g.claims[0], true); /* there is one again, which is taken */
    assert_null(tern_resources_granted(g.r));
    tern_resources_release(g.r, &g.claims[1], false);
    assert_ptr_equal(tern_resources_granted(g.r), &g.claims[0]);
    end(&g);
}

static void test_who_gives_up_is_passed_over(void **state)
{
    struct rig g;
    (void)state;
    start(&g, NULL, 0);
    for (uint32_t i = 0; i < 3; i++)
        joins(&g, i, 0, need("R", 1), none);
    assert_true(tern_resources_acquire(g.r, &g.claims[0]));
    assert_false(tern_resources_acquire(g.r, &g.claims[1]));
    assert_false(tern_resources_acquire(g.r, &g.claims[2]));
    tern_resources_release(g.r, &g.claims[0], false);
    tern_resources_forgo(g.r, &g.claims[1]); /* granted, not yet told: it goes on to the next */
    assert_ptr_equal(tern_resources_granted(g.r), &g.claims[2]);
    assert_null(tern_resources_granted(g.r));
    tern_resources_forgo(g.r, &g.claims[1]);
    end(&g);
}

/* Who always wants runs as often as one over its priority says. */
static void test_priority_is_the_inverse_of_weight(void **state)
{
    uint32_t runs[3] = {0};
    struct rig g;
    (void)state;
    start(&g, NULL, 0);
    for (uint32_t i = 0; i < 3; i++)
        joins(&g, i, i + 1, need("R", 1), none);
    struct tern_resource_claim *holder = &g.claims[0];
    assert_true(tern_resources_acquire(g.r, holder));
    assert_false(tern_resources_acquire(g.r, &g.claims[1]));
    assert_false(tern_resources_acquire(g.r, &g.claims[2]));
    for (uint32_t i = 0; i < 1100; i++) {
        runs[holder - g.claims]++;
        tern_resources_release(g.r, holder, true);
        holder = tern_resources_granted(g.r);
        assert_non_null(holder);
        assert_null(tern_resources_granted(g.r));
    }
    assert_in_range(runs[0], 598, 602);
    assert_in_range(runs[1], 298, 302);
    assert_in_range(runs[2], 198, 202);
    end(&g);
}

/* Small ones always come; the large one gets its turn although all is never free by chance. */
static void test_a_large_one_is_not_starved(void **state)
{
    struct rig g;
    uint32_t waited = 0;
    (void)state;
    start(&g, NULL, 0);
    for (uint32_t i = 0; i < 4; i++)
        joins(&g, i, 0, need("R", 1), none);
    joins(&g, 4, 0, need("R", 4), none);
    for (uint32_t i = 0; i < 4; i++)
        assert_true(tern_resources_acquire(g.r, &g.claims[i]));
    assert_false(tern_resources_acquire(g.r, &g.claims[4]));
    for (uint32_t i = 0; g.claims[4].state != TERN_RESOURCE_HELD; i = (i + 1) % 4, waited++) {
        assert_true(waited < 40);
        if (g.claims[i].state == TERN_RESOURCE_HELD)
            tern_resources_release(g.r, &g.claims[i], true);
        while (tern_resources_granted(g.r) != NULL)
            continue;
    }
    assert_true(waited > TERN_RESOURCES_PASSES); /* nor does it hold the others back at once */
    end(&g);
}

/* ---- by chance ---- */

/* Who holds what, as the test sees it, against what there is. */
static void check_counts(const struct rig *g, bool shrunk)
{
    for (uint32_t n = 0; n < NAMES && !shrunk; n++) {
        uint32_t used = 0, total = 0;
        for (uint32_t i = 0; i < CLAIMS; i++) {
            for (uint32_t k = 0; g->joined[i] && k < g->groups[i].n_resources; k++) {
                const struct tern_scheduling_resource *row = &g->rows[i][k];
                bool held = g->claims[i].state == TERN_RESOURCE_HELD ||
                            g->claims[i].state == TERN_RESOURCE_GRANTED;
                if (!tern_str_eq(row->name, tern_str_of(names[n])))
                    continue;
                used += held ? row->count : 0;
                total = row->count > total ? row->count : total;
            }
        }
        if (used > total)
            fail_msg("%u of %u of %s", used, total, names[n]);
    }
}

static void join_by_chance(struct rig *g, uint32_t i, uint64_t *random)
{
    uint32_t a = (uint32_t)(random_u64(random) % NAMES);
    uint32_t b = (a + 1 + (uint32_t)(random_u64(random) % (NAMES - 1))) % NAMES;
    bool two = random_u64(random) % 2 == 0;
    joins(g, i, (uint32_t)(random_u64(random) % 4),
          need(names[a], 1 + (uint32_t)(random_u64(random) % 4)),
          two ? need(names[b], 1 + (uint32_t)(random_u64(random) % 4)) : none);
}

/* One thing happens. True: what there is became less. */
static bool step(struct rig *g, uint64_t *random)
{
    uint32_t i = (uint32_t)(random_u64(random) % CLAIMS);
    struct tern_resource_claim *claim = &g->claims[i];
    uint64_t what = random_u64(random) % 100;

    if (!g->joined[i]) {
        join_by_chance(g, i, random);
    } else if (claim->state == TERN_RESOURCE_IDLE && what < 5) {
        tern_resources_leave(g->r, claim);
        g->joined[i] = false;
        return true;
    } else if (claim->state == TERN_RESOURCE_IDLE) {
        (void)tern_resources_acquire(g->r, claim);
    } else if (claim->state == TERN_RESOURCE_HELD) {
        tern_resources_release(g->r, claim, what < 60);
    } else if (what < 5) {
        tern_resources_forgo(g->r, claim);
    }
    return false;
}

/* Everything that waits is served when holders let go and nobody else comes. */
static void check_all_are_served(struct rig *g)
{
    for (bool waits = true; waits;) {
        bool moved = false;
        waits = false;
        while (tern_resources_granted(g->r) != NULL)
            moved = true;
        for (uint32_t i = 0; i < CLAIMS; i++) {
            if (g->joined[i] && g->claims[i].state == TERN_RESOURCE_HELD) {
                tern_resources_release(g->r, &g->claims[i], false);
                moved = true;
            }
        }
        for (uint32_t i = 0; i < CLAIMS; i++)
            waits |= g->joined[i] && g->claims[i].state == TERN_RESOURCE_WAITING;
        assert_true(moved || !waits);
    }
}

static void test_never_over_count_and_no_deadlock(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 3000; seed++) {
        uint64_t random = seed;
        struct rig g;
        bool shrunk = false; /* who holds more than there is now keeps it until its run ends */
        start(&g, NULL, 0);
        for (int i = 0; i < 300; i++) {
            shrunk |= step(&g, &random);
            while (random_u64(&random) % 2 == 0 && tern_resources_granted(g.r) != NULL)
                continue;
            check_counts(&g, shrunk);
        }
        check_all_are_served(&g);
        end(&g);
    }
}

/* All want always, the one whose run ends is random: nobody waits longer than so many runs. */
static void test_no_starvation_by_chance(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 1000; seed++) {
        uint64_t random = seed;
        uint32_t since[CLAIMS] = {0};
        struct rig g;
        start(&g, NULL, 0);
        for (uint32_t i = 0; i < CLAIMS; i++)
            join_by_chance(&g, i, &random);
        for (uint32_t i = 0; i < CLAIMS; i++)
            (void)tern_resources_acquire(g.r, &g.claims[i]);
        for (int runs = 0; runs < 2000; runs++) {
            uint32_t i = (uint32_t)(random_u64(&random) % CLAIMS);
            while (g.claims[i].state != TERN_RESOURCE_HELD)
                i = (i + 1) % CLAIMS;
            tern_resources_release(g.r, &g.claims[i], true);
            while (tern_resources_granted(g.r) != NULL)
                continue;
            check_counts(&g, false);
            for (uint32_t j = 0; j < CLAIMS; j++) {
                since[j] = g.claims[j].state == TERN_RESOURCE_HELD ? 0 : since[j] + 1;
                assert_true(since[j] < 600);
            }
        }
        end(&g);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_or_nothing),
        cmocka_unit_test(test_nothing_asked_nothing_waited_for),
        cmocka_unit_test(test_limits_in_tritons_words),
        cmocka_unit_test(test_a_name_is_global_or_not),
        cmocka_unit_test(test_devices_have_their_own),
        cmocka_unit_test(test_more_may_come_with_another_model),
        cmocka_unit_test(test_who_gives_up_is_passed_over),
        cmocka_unit_test(test_priority_is_the_inverse_of_weight),
        cmocka_unit_test(test_a_large_one_is_not_starved),
        cmocka_unit_test(test_never_over_count_and_no_deadlock),
        cmocka_unit_test(test_no_starvation_by_chance),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
