/* What is an overload, and what is not. Time is in milliseconds. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "sched/overload.h"

#define MS      UINT64_C(1000000)
#define ALLOWED (100 * MS)
#define BEGIN   (1000 * MS)
#define NOBODY  0

/* From `from` on, for so long: `came` a second come and `left` are answered, the oldest always
 * having waited for `age`. True when overload began. */
static bool play(struct tern_overload *o, uint64_t from, uint64_t ms, uint32_t came, uint32_t left,
                 uint64_t age)
{
    double to_leave = 0;
    bool began = false;

    for (uint64_t i = 0; i < ms * came / 1000; i++) {
        uint64_t now = BEGIN + from * MS + i * 1000 * MS / came;
        began |= tern_overload_came(o, now, age == NOBODY ? 0 : now - age * MS, ALLOWED);
        to_leave += (double)left / came;
        tern_overload_left(o, (uint32_t)to_leave);
        to_leave -= (uint32_t)to_leave;
    }
    return began;
}

static void twice_the_capacity_is_overload_within_a_second(void **state)
{
    struct tern_overload o = {0};
    (void)state;
    assert_true(play(&o, 0, 1000, 2000, 1000, 200));
    assert_true(o.is_on);
}

static void it_ends_when_no_more_comes_than_is_answered(void **state)
{
    struct tern_overload o = {0};
    (void)state;
    play(&o, 0, 1000, 2000, 1000, 200);
    assert_true(o.is_on);
    play(&o, 1000, 1000, 2000, 1000, 50); /* others are refused: nobody waits long, but it is on */
    assert_true(o.is_on);
    play(&o, 2000, 600, 1000, 1000, 50);
    assert_false(o.is_on);
}

static void a_burst_is_none(void **state)
{
    struct tern_overload o = {0};
    (void)state;
    assert_false(play(&o, 0, 100, 10000, 100, 200));
    assert_false(play(&o, 100, 3000, 500, 500, 200)); /* it stays a while until it is served */
}

static void many_clients_in_a_closed_loop_are_none(void **state)
{
    struct tern_overload o = {0};
    (void)state;
    play(&o, 0, 1, 500000, 0, 0);                     /* five hundred, all at once */
    assert_false(play(&o, 1, 10000, 200, 200, 2500)); /* from then on each asks when answered */
}

static void as_long_as_nobody_waits_too_long_there_is_none(void **state)
{
    struct tern_overload o = {0};
    (void)state;
    assert_false(play(&o, 0, 5000, 2000, 1000, 99));
    assert_false(play(&o, 5000, 5000, 2000, 1000, NOBODY));
}

static void silence_is_a_new_beginning(void **state)
{
    struct tern_overload o = {0};
    (void)state;
    play(&o, 0, 1000, 2000, 1000, 200);
    assert_true(o.is_on);
    play(&o, 60000, 10, 1000, 1000, NOBODY);
    assert_false(o.is_on);
}

/* Loops read the clock before they have their turn at the lane. */
static void a_time_before_the_last_one_is_no_new_beginning(void **state)
{
    struct tern_overload o = {0};
    (void)state;
    play(&o, 0, 1000, 2000, 1000, 200);
    assert_true(o.is_on);
    assert_false(tern_overload_came(&o, o.began_ns - 1, NOBODY, ALLOWED));
    assert_true(o.is_on);
    o = (struct tern_overload){.began_ns = BEGIN};
    assert_false(tern_overload_came(&o, BEGIN + 1, BEGIN + 2, ALLOWED));
    assert_true(o.was_calm); /* the oldest came after it */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(twice_the_capacity_is_overload_within_a_second),
        cmocka_unit_test(it_ends_when_no_more_comes_than_is_answered),
        cmocka_unit_test(a_burst_is_none),
        cmocka_unit_test(many_clients_in_a_closed_loop_are_none),
        cmocka_unit_test(as_long_as_nobody_waits_too_long_there_is_none),
        cmocka_unit_test(silence_is_a_new_beginning),
        cmocka_unit_test(a_time_before_the_last_one_is_no_new_beginning),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
