/* The account of memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <pthread.h>
#include <cmocka.h>

#include "base/account.h"

#define GRAIN ((size_t)TERN_ACCOUNT_GRAIN)

static struct tern_account *new_account(uint64_t max)
{
    struct tern_account *account = NULL;
    struct tern_err err;

    assert_int_equal(tern_account_new(max, 2, &account, &err), TERN_OK);
    return account;
}

static void small_sums_stay_in_their_till(void **state)
{
    struct tern_account *account = new_account(100 * GRAIN);
    struct tern_till *till = tern_account_till(account, 1);

    (void)state;
    assert_true(tern_till_take(till, GRAIN - 1));
    assert_int_equal(account->used, 0);
    assert_int_equal(tern_account_used(account), GRAIN - 1);
    assert_true(tern_till_take(till, 1));
    assert_int_equal(account->used, GRAIN); /* a grain is handed over */
    for (size_t i = 0; i < 4; i++)
        tern_till_give(till, GRAIN / 4);
    assert_int_equal(account->used, 0);
    assert_int_equal(tern_account_used(account), 0);
    tern_account_free(account);
}

static void the_limit_holds(void **state)
{
    struct tern_account *account = new_account(10 * GRAIN);
    struct tern_till *till = tern_account_till(account, 0);

    (void)state;
    assert_true(tern_till_take(till, 8 * GRAIN));
    assert_true(tern_till_has_room(till, GRAIN));
    assert_false(tern_till_has_room(till, GRAIN + 1)); /* the last tenth is for what was begun */
    assert_false(tern_till_take(till, 2 * GRAIN + 1));
    assert_int_equal(tern_account_used(account), 8 * GRAIN);
    assert_true(tern_till_take(till, 2 * GRAIN));
    assert_false(tern_till_take(till, 1));
    assert_false(tern_till_has_room(till, 0));
    assert_false(tern_till_take(till, SIZE_MAX));
    assert_false(tern_till_has_room(till, SIZE_MAX));
    assert_int_equal(tern_account_refusals(account), 6);
    tern_account_set_max(account, 20 * GRAIN);
    assert_true(tern_till_take(till, 1));
    tern_account_set_max(account, 1); /* below what is used: nothing more, and no sum wraps */
    assert_false(tern_till_take(till, 1));
    assert_false(tern_till_has_room(till, 0));
    tern_till_give(till, 10 * GRAIN);
    tern_till_give(till, 1);
    tern_account_set_max(account, UINT64_MAX);
    assert_true(tern_till_has_room(till, SIZE_MAX / 4));
    tern_account_free(account);
}

static void without_an_account_nothing_is_counted(void **state)
{
    (void)state;
    assert_null(tern_account_till(NULL, 3));
    assert_true(tern_till_has_room(NULL, SIZE_MAX));
    assert_true(tern_till_take(NULL, SIZE_MAX));
    tern_till_give(NULL, SIZE_MAX);
}

static void *take_and_give(void *arg)
{
    struct tern_till *till = arg;

    for (size_t i = 1; i < 20000; i++) {
        size_t n = i % 7 == 0 ? GRAIN + i : i;
        if (tern_till_take(till, n))
            tern_till_give(till, n);
    }
    return NULL;
}

static void threads_lose_nothing(void **state)
{
    struct tern_account *account = new_account(5 * GRAIN);
    pthread_t threads[4];

    (void)state;
    for (uint32_t i = 0; i < 4; i++)
        assert_int_equal(
            pthread_create(&threads[i], NULL, take_and_give, tern_account_till(account, i / 2)), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    int64_t sum = account->used + account->tills[0].kept + account->tills[1].kept;
    assert_int_equal(sum, 0);
    tern_account_free(account);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_sums_stay_in_their_till),
        cmocka_unit_test(the_limit_holds),
        cmocka_unit_test(without_an_account_nothing_is_counted),
        cmocka_unit_test(threads_lose_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
