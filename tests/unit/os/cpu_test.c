/* How many processors: the smaller of the affinity mask and the cgroup quota. */
// wrap: tern_file_head sched_getaffinity
/* The two sources of truth are replaced. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <sched.h>
#include <string.h>
#include "os/cpu.h"
#include "os/file.h"

static const char *max_v2, *quota_v1, *period_v1; /* the files; NULL: not there */
static size_t cpus;

enum tern_code __wrap_tern_file_head(const char *path, char *dst, size_t cap, size_t *ret_n,
                                     struct tern_err *err);
enum tern_code __wrap_tern_file_head(const char *path, char *dst, size_t cap, size_t *ret_n,
                                     struct tern_err *err)
{
    const char *text = strstr(path, "cpu.max") != NULL    ? max_v2
                       : strstr(path, "quota_us") != NULL ? quota_v1
                                                          : period_v1;

    if (text == NULL)
        return tern_fail(err, TERN_NOT_FOUND, "%s", path);
    *ret_n = strlen(text) < cap ? strlen(text) : cap;
    memcpy(dst, text, *ret_n);
    return TERN_OK;
}

int __wrap_sched_getaffinity(pid_t pid, size_t size, cpu_set_t *set);
int __wrap_sched_getaffinity(pid_t pid, size_t size, cpu_set_t *set)
{
    (void)pid;
    memset(set, 0, size);
    for (size_t i = 0; i < cpus; i++)
        CPU_SET(i, set);
    return cpus > 0 ? 0 : -1;
}

static void test_a_quota_is_rounded_up(void **state)
{
    (void)state;
    assert_int_equal(tern_cpu_from_quota(50000, 100000), 1);
    assert_int_equal(tern_cpu_from_quota(100001, 100000), 2);
    assert_int_equal(tern_cpu_from_quota(400000, 100000), 4);
    assert_int_equal(tern_cpu_from_quota(0, 100000), 0);
    assert_int_equal(tern_cpu_from_quota(1, 0), 0);
    assert_int_equal(tern_cpu_from_quota(UINT64_MAX, 1), UINT32_MAX);
}

static void test_the_smaller_one_counts(void **state)
{
    static const struct {
        const char *max_v2, *quota_v1, *period_v1;
        size_t cpus;
        uint32_t usable;
    } machines[] = {
        {NULL, NULL, NULL, 8, 8},
        {"max 100000\n", NULL, NULL, 8, 8},
        {"250000 100000\n", NULL, NULL, 8, 3},
        {"900000 100000\n", NULL, NULL, 8, 8},
        {NULL, "-1\n", "100000\n", 8, 8},
        {NULL, "50000\n", "100000\n", 8, 1},
        {"nonsense", NULL, NULL, 2, 2},
        {"100000\n", NULL, NULL, 2, 2},
        {NULL, NULL, NULL, 0, 1}, /* the mask cannot be read */
    };

    (void)state;
    for (size_t i = 0; i < TERN_COUNT_OF(machines); i++) {
        max_v2 = machines[i].max_v2;
        quota_v1 = machines[i].quota_v1;
        period_v1 = machines[i].period_v1;
        cpus = machines[i].cpus;
        assert_int_equal(tern_cpu_usable(), machines[i].usable);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_quota_is_rounded_up),
        cmocka_unit_test(test_the_smaller_one_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
