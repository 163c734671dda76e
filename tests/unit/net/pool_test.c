// wrap: tern_mem_alloc tern_mem_free
/* Pools and the caps by address. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include "net/peers.h"
#include "net/pool.h"

static int live;
static bool fail;

void *__real_tern_mem_alloc(size_t size);
void *__wrap_tern_mem_alloc(size_t size);
void *__wrap_tern_mem_alloc(size_t size)
{
    if (fail)
        return NULL;
    live++;
    return __real_tern_mem_alloc(size);
}

void __real_tern_mem_free(void *p);
void __wrap_tern_mem_free(void *p);
void __wrap_tern_mem_free(void *p)
{
    live -= p != NULL;
    __real_tern_mem_free(p);
}

static void blocks_are_used_again(void **state)
{
    struct tern_pool pool;
    void *blocks[5];

    (void)state;
    tern_pool_init(&pool, 40, 3);
    for (int i = 0; i < 5; i++)
        assert_non_null(blocks[i] = tern_pool_take(&pool));
    for (int i = 0; i < 5; i++)
        tern_pool_give(&pool, blocks[i]);
    tern_pool_give(&pool, NULL);
    assert_int_equal(live, 3); /* kept */
    fail = true;
    assert_ptr_equal(tern_pool_take(&pool), blocks[2]); /* the last one given */
    assert_ptr_equal(tern_pool_take(&pool), blocks[1]);
    assert_ptr_equal(tern_pool_take(&pool), blocks[0]);
    assert_null(tern_pool_take(&pool));
    fail = false;
    for (int i = 0; i < 3; i++)
        tern_pool_give(&pool, blocks[i]);
    tern_pool_trim(&pool, 1);
    assert_int_equal(live, 1);
    tern_pool_fini(&pool);
    assert_int_equal(live, 0);
}

static void networks_are_capped(void **state)
{
    struct tern_peers *peers = calloc(1, sizeof(*peers));
    uint32_t slots[3];
    uint32_t other;

    (void)state;
    if (peers == NULL)
        abort();
    peers->seed = 42;
    peers->max = 3;
    for (int i = 0; i < 3; i++)
        assert_true(tern_peers_enter(peers, 7, &slots[i]));
    assert_false(tern_peers_enter(peers, 7, &other));
    assert_false(tern_peers_enter(peers, 7, &other)); /* a refusal was not counted */
    assert_true(tern_peers_enter(peers, 8, &other));
    assert_int_not_equal(other, slots[0]);
    tern_peers_leave(peers, slots[0]);
    assert_true(tern_peers_enter(peers, 7, &slots[0]));
    free(peers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_are_used_again),
        cmocka_unit_test(networks_are_capped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
