/* What is remembered, for how long, and how much room it takes. */
// wrap: tern_mem_alloc tern_mem_zalloc tern_mem_realloc tern_mem_alloc_aligned
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <string.h>
#include "harness/mem_fails.h"
#include "sched/cache_local.h"

static const char owner, another;

static struct tern_cache_key key(uint64_t n)
{
    return (struct tern_cache_key){
        .name = {n * 0x9E3779B97F4A7C15u, n}, .check = {n, ~n}, .exact = TERN_STR("question")};
}

static struct tern_cache_entry *entry(const void *of, uint64_t n, size_t n_bytes)
{
    static char bytes[1u << 20];
    static const uint32_t spec = 3;
    const struct tern_cache_key k = key(n);
    const struct tern_tensor output = {.dtype = TERN_DTYPE_INT8,
                                       .shape = {1, {(int64_t)n_bytes}},
                                       .data = bytes,
                                       .n_bytes = n_bytes};

    memset(bytes, (int)n, n_bytes < sizeof(bytes) ? n_bytes : sizeof(bytes));
    return tern_cache_entry_new(&k, of, &output, &spec, 1);
}

static void put(struct tern_cache_local *local, const void *of, uint64_t n, size_t n_bytes)
{
    struct tern_cache_entry *e = entry(of, n, n_bytes);

    assert_non_null(e);
    tern_cache_local_put(local, e);
    tern_cache_entry_release(e);
}

static bool knows(struct tern_cache_local *local, const void *of, uint64_t n)
{
    const struct tern_cache_key k = key(n);
    struct tern_cache_entry *e = tern_cache_local_find(local, of, &k);

    if (e == NULL)
        return false;
    assert_int_equal(e->n_outputs, 1);
    const struct tern_cache_output *output = &e->outputs[0];
    assert_int_equal(output->spec, 3);
    assert_int_equal(output->dtype, TERN_DTYPE_INT8);
    assert_int_equal(output->shape.dim[0], output->n_bytes);
    for (size_t i = 0; i < output->n_bytes; i++)
        assert_int_equal(((unsigned char *)output->data)[i], n & 0xff);
    assert_int_equal((uintptr_t)output->data % 16, 0);
    tern_cache_entry_release(e);
    return true;
}

static struct tern_cache_usage usage(struct tern_cache_local *local)
{
    struct tern_cache_usage u;

    tern_cache_local_usage(local, &u);
    assert_true(u.bytes <= u.bytes_max);
    return u;
}

static struct tern_cache_local *open_store(uint64_t bytes)
{
    struct tern_cache_local *local = NULL;

    assert_int_equal(tern_cache_local_new(bytes, &local, NULL), TERN_OK);
    return local;
}

static size_t size_of(size_t n_bytes)
{
    struct tern_cache_entry *e = entry(&owner, 1, n_bytes);
    size_t size = e->size;

    tern_cache_entry_release(e);
    return size;
}

static void test_answers_come_back(void **state)
{
    struct tern_cache_local *local = open_store(1u << 20);
    (void)state;

    put(local, &owner, 1, 100);
    put(local, &owner, 2, 0);
    assert_true(knows(local, &owner, 1) && knows(local, &owner, 2));
    assert_false(knows(local, &owner, 3));
    assert_false(knows(local, &another, 1));
    tern_cache_local_free(local);
}

static void test_one_question_has_one_answer(void **state)
{
    struct tern_cache_local *local = open_store(1u << 20);
    (void)state;

    put(local, &owner, 1, 100);
    uint64_t before = usage(local).bytes;
    put(local, &owner, 1, 100);
    assert_int_equal(usage(local).bytes, before);
    assert_int_equal(usage(local).entries, 1);
    tern_cache_local_free(local);
}

static void test_every_byte_is_counted(void **state)
{
    struct tern_cache_local *local = open_store(1u << 20);
    uint64_t empty = usage(local).bytes;
    (void)state;

    assert_true(empty > 0); /* its table */
    put(local, &owner, 1, 1000);
    uint64_t size = usage(local).bytes - empty;
    assert_int_equal(size, size_of(1000));
    assert_true(size >= sizeof(struct tern_cache_entry) + sizeof(struct tern_cache_output) + 1008);
    tern_cache_local_drop(local, &owner);
    assert_int_equal(usage(local).bytes, empty);
    tern_cache_local_free(local);
}

static void test_the_least_recently_used_goes_first(void **state)
{
    struct tern_cache_local *local = open_store(64 * 1024);
    uint64_t room = usage(local).bytes_max - usage(local).bytes;
    uint64_t n = room / size_of(1000);
    (void)state;

    for (uint64_t i = 0; i < n; i++)
        put(local, &owner, i, 1000);
    assert_int_equal(usage(local).entries, n);
    assert_int_equal(usage(local).evicted, 0);
    assert_true(knows(local, &owner, 0));
    put(local, &owner, n, 1000);
    assert_true(knows(local, &owner, 0));
    assert_false(knows(local, &owner, 1));
    assert_true(knows(local, &owner, 2));
    assert_int_equal(usage(local).evicted, 1);
    put(local, &owner, n + 1, 5000); /* several small ones for a large one */
    assert_true(usage(local).evicted >= 5);
    assert_true(knows(local, &owner, n + 1) && knows(local, &owner, 0));
    tern_cache_local_free(local);
}

static void test_what_is_too_large_changes_nothing(void **state)
{
    struct tern_cache_local *local = open_store(64 * 1024);
    (void)state;

    put(local, &owner, 1, 100);
    put(local, &owner, 2, 64 * 1024);
    assert_true(knows(local, &owner, 1));
    assert_false(knows(local, &owner, 2));
    size_t most = tern_cache_local_entry_max(local);
    put(local, &owner, 3, most - size_of(0));
    assert_true(knows(local, &owner, 3));
    assert_false(knows(local, &owner, 1));
    tern_cache_local_free(local);
    local = open_store(1); /* less than its own table */
    put(local, &owner, 1, 0);
    assert_false(knows(local, &owner, 1));
    tern_cache_local_free(local);
}

static void test_a_reader_keeps_what_was_thrown_out(void **state)
{
    struct tern_cache_local *local = open_store(1u << 20);
    const struct tern_cache_key k = key(7);
    (void)state;

    put(local, &owner, 7, 100);
    struct tern_cache_entry *e = tern_cache_local_find(local, &owner, &k);
    tern_cache_local_drop(local, &owner);
    assert_false(knows(local, &owner, 7));
    tern_cache_local_free(local);
    assert_int_equal(((char *)e->outputs[0].data)[99], 7);
    tern_cache_entry_release(e);
}

static void test_a_model_that_goes_takes_only_its_own(void **state)
{
    struct tern_cache_local *local = open_store(1u << 26); /* more than one shard */
    (void)state;

    for (uint64_t i = 0; i < 1000; i++)
        put(local, i % 2 == 0 ? &owner : &another, i, 10);
    tern_cache_local_drop(local, &owner);
    assert_int_equal(usage(local).entries, 500);
    for (uint64_t i = 0; i < 1000; i++)
        assert_int_equal(knows(local, i % 2 == 0 ? &owner : &another, i), i % 2);
    tern_cache_local_free(local);
}

/* Keys that collide in all that is hashed are told apart by the question, and by the check. */
static void test_collisions_are_not_hits(void **state)
{
    struct tern_cache_local *local = open_store(1u << 20);
    struct tern_cache_key k = key(1);
    (void)state;

    put(local, &owner, 1, 10);
    k.exact = TERN_STR("Question");
    assert_null(tern_cache_local_find(local, &owner, &k));
    k = key(1);
    k.check[1]++;
    assert_null(tern_cache_local_find(local, &owner, &k));
    tern_cache_local_free(local);
}

static void test_without_memory_nothing_is_remembered(void **state)
{
    struct tern_cache_local *local;
    struct tern_err err;
    (void)state;

    for (long at = 0;; at++) {
        mem_calls = 0;
        mem_fail_at = at;
        enum tern_code code = tern_cache_local_new(1u << 26, &local, &err);
        mem_fail_at = -1;
        if (code == TERN_OK)
            break;
        assert_int_equal(code, TERN_RESOURCE_EXHAUSTED);
        assert_true(at < 100);
    }
    mem_calls = 0;
    mem_fail_at = 0;
    assert_null(entry(&owner, 1, 10));
    mem_fail_at = -1;
    tern_cache_local_free(local);
}

static void test_sizes_that_overflow_are_refused(void **state)
{
    const struct tern_cache_key k = key(1);
    const struct tern_tensor huge[2] = {{.n_bytes = SIZE_MAX - 100}, {.n_bytes = SIZE_MAX / 2}};
    (void)state;

    assert_int_equal(tern_cache_entry_size(&k, huge, 1), SIZE_MAX);
    assert_int_equal(tern_cache_entry_size(&k, huge, 2), SIZE_MAX);
    assert_true(tern_cache_entry_size(&k, huge + 1, 1) > SIZE_MAX / 2);
}

/* Reads, writes and evictions at once: each answer is whole and its own. */
static void *work_on_it(void *arg)
{
    struct tern_cache_local *local = arg;
    char bytes[400];
    static const uint32_t spec = 3;

    for (uint64_t i = 0; i < 20000; i++) {
        uint64_t n = i * 7919 % 200;
        const struct tern_cache_key k = key(n);
        struct tern_cache_entry *e = tern_cache_local_find(local, &owner, &k);
        const char *data = e == NULL ? NULL : e->outputs[0].data;
        if (data != NULL && (data[0] != (char)n || data[399] != (char)n))
            return local;
        if (e == NULL) {
            memset(bytes, (int)n, sizeof(bytes));
            const struct tern_tensor output = {.data = bytes, .n_bytes = sizeof(bytes)};
            e = tern_cache_entry_new(&k, &owner, &output, &spec, 1);
            if (e == NULL)
                return local;
            tern_cache_local_put(local, e);
        }
        tern_cache_entry_release(e);
    }
    return NULL;
}

static void test_many_threads(void **state)
{
    struct tern_cache_local *local = open_store(64 * 1024);
    pthread_t threads[4];
    void *failed;
    (void)state;

    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, work_on_it, local), 0);
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    assert_true(usage(local).evicted > 0);
    tern_cache_local_free(local);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers_come_back),
        cmocka_unit_test(test_one_question_has_one_answer),
        cmocka_unit_test(test_every_byte_is_counted),
        cmocka_unit_test(test_the_least_recently_used_goes_first),
        cmocka_unit_test(test_what_is_too_large_changes_nothing),
        cmocka_unit_test(test_a_reader_keeps_what_was_thrown_out),
        cmocka_unit_test(test_a_model_that_goes_takes_only_its_own),
        cmocka_unit_test(test_collisions_are_not_hits),
        cmocka_unit_test(test_without_memory_nothing_is_remembered),
        cmocka_unit_test(test_sizes_that_overflow_are_refused),
        cmocka_unit_test(test_many_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
