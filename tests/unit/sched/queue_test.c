#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>
#include "harness/random.h"
#include "sched/queue.h"

#define N_ITEMS 64u

static struct tern_queue queue;
static struct tern_queue_item items[N_ITEMS];
static struct tern_err err;

static struct tern_queue_settings plain(void)
{
    return (struct tern_queue_settings){
        .levels = 1, .default_level = 1, .max_items = N_ITEMS, .max_bytes = 1u << 20};
}

static void begin(const struct tern_queue_settings *settings)
{
    memset(items, 0, sizeof(items));
    for (uint32_t i = 0; i < N_ITEMS; i++)
        items[i].deadline_ns = TERN_QUEUE_NEVER;
    tern_queue_init(&queue, settings);
}

static void add(uint32_t i, uint64_t now_ns)
{
    assert_int_equal(tern_queue_add(&queue, &items[i], now_ns, &err), TERN_OK);
}

/* The order of the queue as letters. */
static const char *order(void)
{
    static char text[N_ITEMS + 1];
    uint64_t level = 0;
    uint32_t n = 0;

    for (const struct tern_queue_item *item = tern_queue_first(&queue); item != NULL;
         item = tern_queue_next(&queue, item)) {
        assert_true(item->level >= level);
        level = item->level;
        text[n++] = (char)('a' + (item - items));
    }
    text[n] = '\0';
    assert_int_equal(n, queue.n);
    return text;
}

static struct tern_queue_item *take_lost(uint64_t now_ns, enum tern_queue_loss *ret_loss)
{
    return tern_queue_take_lost(&queue, now_ns, now_ns, ret_loss);
}

static void the_oldest_is_first(void **state)
{
    (void)state;
    struct tern_queue_settings settings = plain();

    begin(&settings);
    assert_null(tern_queue_first(&queue));
    assert_true(tern_queue_earliest_ns(&queue) == TERN_QUEUE_NEVER);
    for (uint32_t i = 0; i < 4; i++) {
        items[i].rows = i;
        items[i].bytes = 100;
        add(i, i);
    }
    assert_string_equal(order(), "abcd");
    assert_int_equal(queue.rows, 1 + 1 + 2 + 3); /* at least one row each */
    assert_int_equal(queue.bytes, 400);
    tern_queue_remove(&queue, &items[1]);
    tern_queue_remove(&queue, &items[1]); /* harmless */
    assert_string_equal(order(), "acd");
    assert_int_equal(queue.bytes, 300);
}

static void levels_are_strict(void **state)
{
    (void)state;
    static const uint32_t priorities[] = {3, 1, 2, 1, 0, 9, 3};
    struct tern_queue_settings settings = plain();

    settings.levels = 3;
    settings.default_level = 2;
    begin(&settings);
    for (uint32_t i = 0; i < TERN_COUNT_OF(priorities); i++) {
        items[i].priority = priorities[i];
        add(i, i);
    }
    assert_string_equal(order(), "bdcefag"); /* 0 and 9 are the default */
}

static void a_few_of_many_levels_wait(void **state)
{
    (void)state;
    struct tern_queue_settings settings = plain();

    settings.levels = UINT64_MAX;
    settings.default_level = (uint64_t)1 << 32;
    begin(&settings);
    items[0].priority = UINT64_MAX;
    items[1].priority = UINT64_MAX - 1;
    items[3].priority = 1;
    for (uint32_t i = 0; i < 4; i++)
        add(i, i);
    assert_string_equal(order(), "dcba");
    assert_true(items[2].level == settings.default_level);
    for (uint32_t i = 4; i < TERN_QUEUE_LEVELS_MAX; i++) {
        items[i].priority = 1000 - i;
        add(i, i);
    }
    items[20].priority = 500;
    assert_int_equal(tern_queue_add(&queue, &items[20], 0, &err), TERN_UNAVAILABLE);
    assert_string_equal(err.text,
                        "Exceeds maximum queue size: requests of 16 other priorities wait");
    items[21].priority = 1; /* one that waits already */
    add(21, 0);
    assert_string_equal(order(), "dvponmlkjihgfecba");
    tern_queue_remove(&queue, &items[8]);
    add(20, 0); /* where that was */
    assert_string_equal(order(), "dvuponmlkjhgfecba");
}

static void it_is_bounded(void **state)
{
    (void)state;
    struct tern_queue_settings settings = plain();

    settings.levels = 2;
    settings.max_items = 3;
    settings.max_bytes = 1000;
    settings.own[0] = (struct tern_queue_policy){.level = 2, .max_queue_size = 1};
    settings.n_own = 1;
    begin(&settings);
    items[0].priority = items[1].priority = 2;
    add(0, 0);
    assert_int_equal(tern_queue_add(&queue, &items[1], 0, &err), TERN_UNAVAILABLE);
    assert_string_equal(err.text, "Exceeds maximum queue size: 1 requests of priority 2 wait");
    items[2].bytes = 990;
    add(2, 0);
    items[3].bytes = 11;
    assert_int_equal(tern_queue_add(&queue, &items[3], 0, &err), TERN_UNAVAILABLE);
    assert_string_equal(err.text,
                        "Exceeds maximum queue size: 990 bytes wait, 11 more do not fit in 1000");
    items[3].bytes = 10;
    add(3, 0);
    assert_int_equal(tern_queue_add(&queue, &items[4], 0, &err), TERN_UNAVAILABLE);
    assert_string_equal(err.text, "Exceeds maximum queue size: 3 requests wait");
    tern_queue_remove(&queue, &items[0]);
    add(4, 0);
    assert_int_equal(queue.n, 3);
}

static void who_waited_too_long_is_rejected(void **state)
{
    (void)state;
    struct tern_queue_settings settings = plain();
    enum tern_queue_loss loss;

    settings.policy.default_timeout_ns = 100;
    begin(&settings);
    add(0, 1000);
    add(1, 1050);
    assert_int_equal(tern_queue_earliest_ns(&queue), 1100);
    assert_null(take_lost(1100, &loss)); /* until then, it included */
    assert_int_equal(loss, TERN_QUEUE_KEPT);
    assert_ptr_equal(take_lost(1101, &loss), &items[0]);
    assert_int_equal(loss, TERN_QUEUE_TIMED_OUT);
    assert_null(take_lost(1101, &loss));
    assert_string_equal(order(), "b");
}

static void or_goes_behind(void **state)
{
    (void)state;
    struct tern_queue_settings settings = plain();
    enum tern_queue_loss loss;

    settings.levels = 2;
    settings.own[0] = (struct tern_queue_policy){
        .level = 1, .timeout_action = TERN_QUEUE_DELAY, .default_timeout_ns = 100};
    settings.n_own = 1;
    begin(&settings);
    items[3].priority = 2;
    items[0].deadline_ns = 5000;
    add(0, 1000);
    add(1, 1001);
    add(3, 1002);
    add(2, 1090);
    assert_string_equal(order(), "abcd");
    assert_null(take_lost(1150, &loss));
    assert_string_equal(order(), "cabd"); /* behind its level, before the next one */
    assert_true(items[0].is_delayed);
    assert_int_equal(tern_queue_earliest_ns(&queue), 1190);
    assert_null(take_lost(1191, &loss));
    assert_string_equal(order(), "abcd");
    add(4, 1200);
    assert_string_equal(order(), "eabcd");
    assert_ptr_equal(take_lost(5001, &loss), &items[0]); /* the client's deadline holds */
    assert_int_equal(loss, TERN_QUEUE_TOO_LATE);
}

static void a_request_may_lower_its_timeout(void **state)
{
    (void)state;
    struct tern_queue_settings settings = plain();

    settings.levels = 3;
    settings.policy =
        (struct tern_queue_policy){.allow_timeout_override = true, .default_timeout_ns = 100};
    settings.own[0] = (struct tern_queue_policy){.level = 2, .default_timeout_ns = 100};
    settings.own[1] = (struct tern_queue_policy){.level = 3, .allow_timeout_override = true};
    settings.n_own = 2;
    begin(&settings);
    items[0].timeout_ns = 30;
    items[1].timeout_ns = 300;
    items[2].timeout_ns = 30;
    items[2].priority = 2;
    items[3].timeout_ns = 30;
    items[3].priority = 3;
    for (uint32_t i = 0; i < 4; i++)
        add(i, 1000);
    assert_int_equal(items[0].expires_ns, 1030);
    assert_int_equal(items[1].expires_ns, 1100);          /* never raise it */
    assert_int_equal(items[2].expires_ns, 1100);          /* not allowed */
    assert_true(items[3].expires_ns == TERN_QUEUE_NEVER); /* there is none to lower */
}

static void a_timeout_beyond_time_is_none(void **state)
{
    (void)state;
    struct tern_queue_settings settings = plain();

    settings.policy.default_timeout_ns = UINT64_MAX - 10;
    begin(&settings);
    add(0, 1000);
    assert_true(items[0].expires_ns == TERN_QUEUE_NEVER);
}

static void who_cannot_be_in_time_is_found_anywhere(void **state)
{
    (void)state;
    struct tern_queue_settings settings = plain();
    enum tern_queue_loss loss;

    begin(&settings);
    for (uint32_t i = 0; i < 5; i++) {
        items[i].deadline_ns = 2000 - i * 100;
        add(i, 1000);
    }
    assert_int_equal(tern_queue_earliest_ns(&queue), 1600);
    assert_ptr_equal(tern_queue_take_lost(&queue, 1000, 1701, &loss), &items[4]);
    assert_int_equal(loss, TERN_QUEUE_TOO_LATE);
    assert_ptr_equal(tern_queue_take_lost(&queue, 1000, 1701, &loss), &items[3]);
    assert_null(tern_queue_take_lost(&queue, 1000, 1701, &loss));
    assert_string_equal(order(), "abc");
}

static void only_one_bucket_fits_together(void **state)
{
    (void)state;
    struct tern_queue_item a = {.bucket = 7}, b = {.bucket = 7}, c = {.bucket = 8}, alone = {0};

    assert_true(tern_queue_fits(&a, &b));
    assert_false(tern_queue_fits(&a, &c));
    assert_false(tern_queue_fits(&alone, &alone));
}

/* Against a queue that looks at everything. */
static uint64_t earliest_by_looking(void)
{
    uint64_t earliest = TERN_QUEUE_NEVER;
    for (uint32_t i = 0; i < N_ITEMS; i++) {
        if (items[i].level == 0)
            continue;
        earliest = items[i].expires_ns < earliest ? items[i].expires_ns : earliest;
        earliest = items[i].deadline_ns < earliest ? items[i].deadline_ns : earliest;
    }
    return earliest;
}

static void step(uint64_t *random, uint64_t now)
{
    struct tern_queue_item *item = &items[random_u64(random) % N_ITEMS];
    enum tern_queue_loss loss;

    if (item->level != 0) {
        tern_queue_remove(&queue, item);
    } else {
        item->priority = random_u64(random) % 41;
        item->deadline_ns =
            random_u64(random) % 3 == 0 ? TERN_QUEUE_NEVER : now + random_u64(random) % 500;
        (void)tern_queue_add(&queue, item, now, &err);
    }
    while (random_u64(random) % 4 == 0 &&
           (item = tern_queue_take_lost(&queue, now, now + 20, &loss)) != NULL) {
        assert_int_equal(item->level, 0);
        assert_true(loss == TERN_QUEUE_TOO_LATE ? item->deadline_ns < now + 20
                                                : item->expires_ns < now);
    }
}

static void any_history_keeps_it_whole(void **state)
{
    (void)state;
    struct tern_queue_settings settings = plain();

    settings.levels = 40; /* more than may wait at a time */
    settings.own[0] = (struct tern_queue_policy){.level = 1, .default_timeout_ns = 200};
    settings.own[1] = (struct tern_queue_policy){
        .level = 2, .timeout_action = TERN_QUEUE_DELAY, .default_timeout_ns = 100};
    settings.n_own = 2;
    for (uint64_t seed = 1; seed <= 50; seed++) {
        uint64_t random = seed, now = 1;
        begin(&settings);
        for (uint32_t i = 0; i < 2000; i++) {
            step(&random, now += random_u64(&random) % 10);
            assert_true(tern_queue_earliest_ns(&queue) == earliest_by_looking());
            (void)order();
        }
        while (tern_queue_first(&queue) != NULL)
            tern_queue_remove(&queue, tern_queue_first(&queue));
        assert_int_equal(queue.n + queue.rows + queue.bytes, 0);
        assert_null(queue.earliest);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_oldest_is_first),
        cmocka_unit_test(levels_are_strict),
        cmocka_unit_test(a_few_of_many_levels_wait),
        cmocka_unit_test(it_is_bounded),
        cmocka_unit_test(who_waited_too_long_is_rejected),
        cmocka_unit_test(or_goes_behind),
        cmocka_unit_test(a_request_may_lower_its_timeout),
        cmocka_unit_test(a_timeout_beyond_time_is_none),
        cmocka_unit_test(who_cannot_be_in_time_is_found_anywhere),
        cmocka_unit_test(only_one_bucket_fits_together),
        cmocka_unit_test(any_history_keeps_it_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
