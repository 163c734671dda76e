/* The table of shared memory regions: names, limits, users, and Triton's words. */
// wrap: tern_mem_alloc tern_mem_zalloc tern_mem_realloc tern_mem_alloc_aligned
#include "gateway/regions.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "harness/mem_fails.h"
#include "harness/shm_object.h"

#define PAGE 4096u

static const struct tern_regions_settings four = {true, 4, 16 * PAGE};

static struct tern_regions *make_regions(const struct tern_regions_settings *settings)
{
    struct tern_regions *regions = NULL;
    struct tern_err err;

    assert_int_equal(tern_regions_new(settings, &regions, &err), TERN_OK);
    return regions;
}

static enum tern_code add(struct tern_regions *regions, const char *name, const char *key,
                          uint64_t offset, uint64_t n, struct tern_err *err)
{
    const struct tern_region_row row = {
        .name = tern_str_of(name), .key = tern_str_of(key), .offset = offset, .byte_size = n};
    return tern_regions_register(regions, &row, err);
}

static void drop(struct tern_regions *regions, const char *name)
{
    const struct tern_region_row row = {.name = tern_str_of(name)};
    assert_int_equal(tern_regions_unregister(regions, &row, NULL), TERN_OK);
}

static uint32_t count(struct tern_regions *regions)
{
    const struct tern_region_row all = {.cuda = false}, *rows;
    struct tern_arena arena;
    uint32_t n;

    tern_arena_init(&arena, 4096, 1u << 20);
    assert_int_equal(tern_regions_list(regions, &all, &arena, &rows, &n, NULL), TERN_OK);
    tern_arena_fini(&arena);
    return n;
}

static void a_region_is_found_and_listed(void **state)
{
    (void)state;
    struct tern_regions *regions = make_regions(&four);
    struct shm_object object;
    struct tern_arena arena;
    struct tern_err err = {0};
    shm_object_make(&object, "regions", 2 * PAGE);
    object.p[PAGE + 8] = 'z';
    assert_int_equal(add(regions, "in", object.key, 8, PAGE + 8, &err), TERN_OK);
    assert_int_equal(add(regions, "out", object.key, 0, 16, &err), TERN_OK); /* they may overlap */

    struct tern_region *region = NULL;
    assert_int_equal(tern_regions_take(regions, TERN_STR("in"), &region, &err), TERN_OK);
    const struct tern_region_ref ref = {TERN_STR("in"), PAGE, 8};
    char *p = NULL;
    assert_int_equal(tern_region_range(region, &ref, &p, &err), TERN_OK);
    assert_int_equal(*p, 'z');
    assert_true(tern_region_holds(region, p) && tern_region_holds(region, p + 7));
    assert_false(tern_region_holds(region, p + 8) || tern_region_holds(region, &err));
    assert_int_equal(tern_region_check(region, &err), TERN_OK);
    tern_region_release(region);

    const struct tern_region_row one = {.name = TERN_STR("in")}, *rows;
    uint32_t n = 0;
    tern_arena_init(&arena, 4096, 1u << 20);
    assert_int_equal(tern_regions_list(regions, &one, &arena, &rows, &n, &err), TERN_OK);
    assert_int_equal(n, 1);
    assert_true(tern_str_eq(rows[0].key, tern_str_of(object.key)));
    assert_int_equal(rows[0].offset, 8);
    assert_int_equal(rows[0].byte_size, PAGE + 8);
    assert_int_equal(count(regions), 2);
    drop(regions, "in");
    drop(regions, "in"); /* a region that is not there is gone already */
    assert_int_equal(tern_regions_list(regions, &one, &arena, &rows, &n, &err), TERN_NOT_FOUND);
    assert_string_equal(err.text, "Unable to find system shared memory region: 'in'");
    drop(regions, "");
    assert_int_equal(count(regions), 0);
    tern_arena_fini(&arena);
    tern_regions_free(regions);
    shm_object_end(&object);
}

static void refusals(void **state)
{
    (void)state;
    static char long_name[TERN_REGION_NAME_MAX + 2];
    struct tern_regions *regions = make_regions(&four);
    struct shm_object object;
    shm_object_make(&object, "refusals", 32 * PAGE);
    memset(long_name, 'n', sizeof(long_name) - 1);
    const struct {
        const char *name, *key;
        uint64_t offset, n;
        enum tern_code code;
        const char *text;
    } rows[] = {
        {"taken", object.key, 0, 8, TERN_ALREADY_EXISTS,
         "shared memory region 'taken' already in manager"},
        {"r", "/tern_none_such", 0, 8, TERN_INTERNAL,
         "Unable to open shared memory region: '/tern_none_such'"},
        {"r", "../../etc/passwd", 0, 8, TERN_INVALID_ARGUMENT,
         "Unable to open shared memory region: '../../etc/passwd'"},
        {"r", "", 0, 8, TERN_INVALID_ARGUMENT,
         "cannot register shared memory region 'r' - invalid shm key ''"},
        {"r", "///", 0, 8, TERN_INVALID_ARGUMENT,
         "cannot register shared memory region 'r' - invalid shm key '///'"},
        {"r", "triton_python_backend_shm_region_1", 0, 8, TERN_INVALID_ARGUMENT,
         "cannot register shared memory region 'r' with key 'triton_python_backend_shm_region_1' "
         "as the key contains the reserved prefix 'triton_python_backend_shm_region_'"},
        {"r", "/triton_python_backend_shm_region_1", 0, 8, TERN_INVALID_ARGUMENT, "reserved"},
        {"r", object.key, 0, 0, TERN_INVALID_ARGUMENT,
         "failed to register shared memory region 'r': invalid args"},
        {"r", object.key, 31 * PAGE, PAGE + 1, TERN_INVALID_ARGUMENT,
         "failed to register shared memory region 'r': invalid args"},
        {"r", object.key, UINT64_MAX, 8, TERN_INVALID_ARGUMENT, "invalid args"},
        {"r", object.key, 8, UINT64_MAX, TERN_RESOURCE_EXHAUSTED, "option shm.bytes_max"},
        {"r", object.key, 0, 16 * PAGE, TERN_RESOURCE_EXHAUSTED, "option shm.bytes_max"},
        {"", object.key, 0, 8, TERN_INVALID_ARGUMENT, "name of a shared memory region"},
        {long_name, object.key, 0, 8, TERN_INVALID_ARGUMENT, "name of a shared memory region"},
    };
    struct tern_err err = {0};
    assert_int_equal(add(regions, "taken", object.key, 0, 8, &err), TERN_OK);
    for (size_t i = 0; i < TERN_COUNT_OF(rows); i++) {
        enum tern_code code =
            add(regions, rows[i].name, rows[i].key, rows[i].offset, rows[i].n, &err);
        if (code != rows[i].code || err.code != code || strstr(err.text, rows[i].text) == NULL)
            fail_msg("%s: %d %s", rows[i].key, (int)code, err.text);
    }
    assert_int_equal(add(regions, "taken", object.key, 0, 8, &err), TERN_ALREADY_EXISTS);
    assert_int_equal(tern_err_http_status(&err), 400);
    for (int i = 0; i < 3; i++) {
        const char name[] = {(char)('a' + i), '\0'};
        assert_int_equal(add(regions, name, object.key, 0, 8, &err), TERN_OK);
    }
    assert_int_equal(add(regions, "fifth", object.key, 0, 8, &err), TERN_RESOURCE_EXHAUSTED);
    assert_non_null(strstr(err.text, "option shm.regions_max"));
    assert_int_equal(count(regions), 4);
    tern_regions_free(regions);
    shm_object_end(&object);
}

static void ranges_are_checked(void **state)
{
    (void)state;
    struct tern_regions *regions = make_regions(&four);
    struct shm_object object;
    struct tern_err err = {0};
    struct tern_region *region = NULL;
    shm_object_make(&object, "ranges", PAGE);
    assert_int_equal(add(regions, "r", object.key, 0, 100, &err), TERN_OK);
    assert_int_equal(tern_regions_take(regions, TERN_STR("r"), &region, &err), TERN_OK);
    static const struct {
        uint64_t offset, n;
        const char *text; /* NULL: fine */
    } rows[] = {
        {0, 100, NULL},
        {99, 1, NULL},
        {100, 1, "Invalid offset for shared memory region"},
        {UINT64_MAX - 8, 1, "Invalid offset for shared memory region"},
        {0, 101, "Invalid offset + byte size for shared memory region"},
        {50, 51, "Invalid offset + byte size for shared memory region"},
        {1, UINT64_MAX, "Integer overflow detected: byte_size "},
        {99, UINT64_MAX - 98, "Integer overflow detected: byte_size "},
        {UINT64_MAX, UINT64_MAX, "Invalid offset for shared memory region"},
    };
    for (size_t i = 0; i < TERN_COUNT_OF(rows); i++) {
        const struct tern_region_ref ref = {TERN_STR("r"), rows[i].offset, rows[i].n};
        char *p = NULL;
        enum tern_code code = tern_region_range(region, &ref, &p, &err);
        assert_int_equal(code, rows[i].text == NULL ? TERN_OK : TERN_INVALID_ARGUMENT);
        if (rows[i].text != NULL)
            assert_non_null(strstr(err.text, rows[i].text));
    }
    tern_region_release(region);
    assert_int_equal(tern_regions_take(regions, TERN_STR("q"), &region, &err), TERN_NOT_FOUND);
    assert_string_equal(err.text, "Unable to find shared memory region: 'q'");
    tern_regions_free(regions);
    shm_object_end(&object);
}

static void a_region_in_use_outlives_its_name(void **state)
{
    (void)state;
    struct tern_regions *regions = make_regions(&four);
    struct shm_object object;
    struct tern_err err = {0};
    struct tern_region *old = NULL, *fresh = NULL;
    const struct tern_region_ref ref = {TERN_STR("r"), 0, 4};
    char *p = NULL;
    shm_object_make(&object, "use", PAGE);
    assert_int_equal(add(regions, "r", object.key, 0, 8, &err), TERN_OK);
    assert_int_equal(tern_regions_take(regions, TERN_STR("r"), &old, &err), TERN_OK);
    drop(regions, "r");
    drop(regions, "r");
    assert_int_equal(count(regions), 1); /* as long as it is used */
    assert_int_equal(tern_regions_take(regions, TERN_STR("r"), &fresh, &err), TERN_OK);
    assert_ptr_equal(old, fresh);
    tern_region_release(fresh);
    assert_int_equal(add(regions, "r", object.key, 16, 8, &err), TERN_OK);
    assert_int_equal(count(regions), 1);
    assert_int_equal(tern_regions_take(regions, TERN_STR("r"), &fresh, &err), TERN_OK);
    assert_ptr_not_equal(old, fresh);
    assert_int_equal(tern_region_range(old, &ref, &p, &err), TERN_OK);
    assert_int_equal(*p, 'a');
    tern_region_release(old); /* unmapped here */
    drop(regions, "r");
    tern_region_release(fresh); /* and here, with nobody to say so */
    assert_int_equal(count(regions), 0);
    assert_int_equal(tern_regions_take(regions, TERN_STR("r"), &fresh, &err), TERN_NOT_FOUND);
    tern_regions_free(regions);
    shm_object_end(&object);
}

static void a_region_that_shrank_says_so(void **state)
{
    (void)state;
    struct tern_regions *regions = make_regions(&four);
    struct shm_object object;
    struct tern_err err = {0};
    struct tern_region *region = NULL;
    shm_object_make(&object, "shrank", 2 * PAGE);
    assert_int_equal(add(regions, "r", object.key, 0, 2 * PAGE, &err), TERN_OK);
    assert_int_equal(tern_regions_take(regions, TERN_STR("r"), &region, &err), TERN_OK);
    shm_object_resize(&object, PAGE);
    assert_int_equal(tern_region_check(region, &err), TERN_FAILED_PRECONDITION);
    assert_memory_equal(err.text, "shared memory region 'r' shrank", 31);
    tern_region_release(region);
    tern_regions_free(regions);
    shm_object_end(&object);
}

static void disabled_and_cuda(void **state)
{
    (void)state;
    static const struct tern_regions_settings off = {.enabled = false, .regions_max = 4};
    static const struct tern_region_row all = {.byte_size = 0};
    struct tern_region_row row = {.name = TERN_STR("r"), .key = TERN_STR("/k"), .byte_size = 8};
    const struct tern_region_row *rows = NULL;
    struct tern_region *region = NULL;
    struct tern_arena arena;
    struct tern_err err = {0};
    uint32_t n = 7;
    struct tern_regions *regions = make_regions(&off);
    tern_arena_init(&arena, 4096, 1u << 20);
    assert_int_equal(tern_regions_register(regions, &row, &err), TERN_UNIMPLEMENTED);
    assert_string_equal(err.text, "Client shared memory is disabled");
    assert_int_equal(tern_regions_unregister(regions, &row, &err), TERN_UNIMPLEMENTED);
    assert_int_equal(tern_regions_list(regions, &row, &arena, &rows, &n, &err), TERN_NOT_FOUND);
    assert_int_equal(tern_regions_list(regions, &all, &arena, &rows, &n, &err), TERN_OK);
    assert_int_equal(n, 0);
    assert_int_equal(tern_regions_take(regions, row.name, &region, &err), TERN_UNIMPLEMENTED);
    tern_regions_free(regions);

    regions = make_regions(&four);
    row.cuda = true;
    assert_int_equal(tern_regions_register(regions, &row, &err), TERN_INVALID_ARGUMENT);
    assert_string_equal(err.text, "failed to register shared memory region 'r': invalid args: this "
                                  "server has no CUDA device");
    assert_int_equal(tern_regions_unregister(regions, &row, &err), TERN_OK);
    assert_int_equal(tern_regions_list(regions, &row, &arena, &rows, &n, &err), TERN_NOT_FOUND);
    assert_string_equal(err.text, "Unable to find cuda shared memory region: 'r'");
    row.name = TERN_STR("");
    assert_int_equal(tern_regions_list(regions, &row, &arena, &rows, &n, &err), TERN_OK);
    assert_int_equal(n, 0);
    tern_arena_fini(&arena);
    tern_regions_free(regions);
}

/* Requests use a region while others register and unregister it all the time. */
struct crowd {
    struct tern_regions *regions;
    atomic_bool stop;
    atomic_ulong found;
};

static void *use_it(void *arg)
{
    struct crowd *crowd = arg;
    const struct tern_region_ref ref = {TERN_STR("r"), PAGE - 4, 4};

    while (!atomic_load(&crowd->stop)) {
        struct tern_region *region;
        char *p;
        if (tern_regions_take(crowd->regions, TERN_STR("r"), &region, NULL) != TERN_OK)
            continue;
        if (tern_region_range(region, &ref, &p, NULL) == TERN_OK && *(volatile char *)p == 'a')
            atomic_fetch_add(&crowd->found, 1);
        tern_region_release(region);
    }
    return NULL;
}

static void registering_while_requests_run(void **state)
{
    (void)state;
    struct crowd crowd = {.regions = make_regions(&four)};
    struct shm_object object;
    pthread_t threads[3];
    shm_object_make(&object, "crowd", PAGE);
    for (size_t i = 0; i < TERN_COUNT_OF(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, use_it, &crowd), 0);
    for (unsigned round = 0; round < 2000 || atomic_load(&crowd.found) == 0; round++) {
        /* The last ones may still be in use: then there is no room for a moment. */
        enum tern_code code = add(crowd.regions, "r", object.key, 0, PAGE, NULL);
        assert_true(code == TERN_OK || code == TERN_RESOURCE_EXHAUSTED);
        drop(crowd.regions, round % 2 == 0 ? "r" : "");
    }
    atomic_store(&crowd.stop, true);
    for (size_t i = 0; i < TERN_COUNT_OF(threads); i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    tern_regions_free(crowd.regions);
    shm_object_end(&object);
}

static void no_memory_is_an_error(void **state)
{
    (void)state;
    for (long nth = 0; nth < 3; nth++) {
        struct tern_regions *regions = NULL;
        mem_calls = 0;
        mem_fail_at = nth;
        assert_int_equal(tern_regions_new(&four, &regions, NULL), TERN_RESOURCE_EXHAUSTED);
        mem_fail_at = -1;
        assert_null(regions);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_region_is_found_and_listed),
        cmocka_unit_test(refusals),
        cmocka_unit_test(ranges_are_checked),
        cmocka_unit_test(a_region_in_use_outlives_its_name),
        cmocka_unit_test(a_region_that_shrank_says_so),
        cmocka_unit_test(disabled_and_cuda),
        cmocka_unit_test(registering_while_requests_run),
        cmocka_unit_test(no_memory_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
