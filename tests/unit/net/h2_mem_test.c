// wrap: tern_mem_alloc
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>
#include "base/mem.h"
#include "net/h2_mem.h"

static long allocs;
static bool fails;

void *__real_tern_mem_alloc(size_t size);
void *__wrap_tern_mem_alloc(size_t size);
void *__wrap_tern_mem_alloc(size_t size)
{
    allocs++;
    return fails ? NULL : __real_tern_mem_alloc(size);
}

static void blocks_are_reused(void **state)
{
    static const size_t sizes[] = {1, 64, 65, 1000, 16394, 32768};
    struct tern_h2_mem mem;
    void *blocks[TERN_COUNT_OF(sizes)];
    (void)state;

    tern_h2_mem_init(&mem);
    nghttp2_mem hooks = tern_h2_mem_hooks(&mem);
    for (int round = 0; round < 2; round++) {
        allocs = 0;
        for (size_t i = 0; i < TERN_COUNT_OF(sizes); i++) {
            blocks[i] = hooks.malloc(sizes[i], hooks.mem_user_data);
            assert_int_equal((uintptr_t)blocks[i] % 16, 0);
            memset(blocks[i], 0xff, sizes[i]);
        }
        assert_int_equal(allocs, round == 0 ? (long)TERN_COUNT_OF(sizes) : 0);
        for (size_t i = 0; i < TERN_COUNT_OF(sizes); i++)
            hooks.free(blocks[i], hooks.mem_user_data);
    }
    hooks.free(NULL, hooks.mem_user_data);
    tern_h2_mem_trim(&mem);
    assert_int_equal(mem.kept, 0);
    tern_h2_mem_fini(&mem);
}

static void calloc_zeroes_what_was_used(void **state)
{
    static const char zeros[600];
    struct tern_h2_mem mem;
    (void)state;

    tern_h2_mem_init(&mem);
    nghttp2_mem hooks = tern_h2_mem_hooks(&mem);
    void *p = hooks.malloc(600, hooks.mem_user_data);
    memset(p, 0xff, 600);
    hooks.free(p, hooks.mem_user_data);
    p = hooks.calloc(6, 100, hooks.mem_user_data);
    assert_memory_equal(p, zeros, 600);
    hooks.free(p, hooks.mem_user_data);
    assert_null(hooks.calloc(SIZE_MAX / 2, 3, hooks.mem_user_data));
    assert_null(hooks.malloc(SIZE_MAX, hooks.mem_user_data));
    tern_h2_mem_fini(&mem);
}

static void realloc_keeps_the_bytes(void **state)
{
    struct tern_h2_mem mem;
    (void)state;

    tern_h2_mem_init(&mem);
    nghttp2_mem hooks = tern_h2_mem_hooks(&mem);
    char *p = hooks.realloc(NULL, 10, hooks.mem_user_data);
    memcpy(p, "0123456789", 10);
    for (size_t size = 20; size < 200000; size *= 2) {
        p = hooks.realloc(p, size, hooks.mem_user_data);
        assert_memory_equal(p, "0123456789", 10);
    }
    fails = true;
    assert_null(hooks.realloc(p, 1000000, hooks.mem_user_data));
    fails = false;
    assert_memory_equal(p, "0123456789", 10); /* still ours */
    hooks.free(p, hooks.mem_user_data);
    tern_h2_mem_fini(&mem);
}

static void what_is_kept_is_bounded(void **state)
{
    static void *blocks[400];
    struct tern_h2_mem mem;
    (void)state;

    tern_h2_mem_init(&mem);
    nghttp2_mem hooks = tern_h2_mem_hooks(&mem);
    for (size_t i = 0; i < TERN_COUNT_OF(blocks); i++)
        blocks[i] = hooks.malloc(32768, hooks.mem_user_data);
    for (size_t i = 0; i < TERN_COUNT_OF(blocks); i++)
        hooks.free(blocks[i], hooks.mem_user_data);
    assert_int_equal(mem.kept, TERN_H2_MEM_KEPT_MAX);
    tern_h2_mem_fini(&mem);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_are_reused),
        cmocka_unit_test(calloc_zeroes_what_was_used),
        cmocka_unit_test(realloc_keeps_the_bytes),
        cmocka_unit_test(what_is_kept_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
