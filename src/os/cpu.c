#include "os/cpu.h"

#include <sched.h>
#include "base/num.h"
#include "os/file.h"

uint32_t tern_cpu_from_quota(uint64_t quota_us, uint64_t period_us)
{
    if (quota_us == 0 || period_us == 0)
        return 0;
    uint64_t cpus = quota_us / period_us + (quota_us % period_us != 0);
    return cpus > UINT32_MAX ? UINT32_MAX : (uint32_t)cpus;
}

static struct tern_str read_line(const char *path, char *dst, size_t cap)
{
    size_t n = 0;

    if (tern_file_head(path, dst, cap, &n, NULL) != TERN_OK)
        return tern_str_make(NULL, 0);
    return tern_str_make(dst, tern_str_find(tern_str_make(dst, n), '\n'));
}

/* "max 100000" or "50000 100000" */
static uint32_t quota_v2(void)
{
    char text[64];
    struct tern_str rest = read_line("/sys/fs/cgroup/cpu.max", text, sizeof(text));
    struct tern_str quota_text, period_text;
    uint64_t quota, period;

    if (!tern_str_split(&rest, ' ', &quota_text) || !tern_str_split(&rest, ' ', &period_text) ||
        !tern_num_parse_u64(quota_text, UINT64_MAX, &quota) ||
        !tern_num_parse_u64(period_text, UINT64_MAX, &period))
        return 0;
    return tern_cpu_from_quota(quota, period);
}

static uint32_t quota_v1(void)
{
    char quota_text[32], period_text[32];
    uint64_t quota, period;

    /* "-1" stands for no quota and is no number here */
    if (!tern_num_parse_u64(
            read_line("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", quota_text, sizeof(quota_text)),
            UINT64_MAX, &quota) ||
        !tern_num_parse_u64(
            read_line("/sys/fs/cgroup/cpu/cpu.cfs_period_us", period_text, sizeof(period_text)),
            UINT64_MAX, &period))
        return 0;
    return tern_cpu_from_quota(quota, period);
}

uint32_t tern_cpu_usable(void)
{
    cpu_set_t set;
    uint32_t cpus = 1;

    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof(set), &set) == 0 && CPU_COUNT(&set) > 0)
        cpus = (uint32_t)CPU_COUNT(&set);
    uint32_t quota = quota_v2();
    if (quota == 0)
        quota = quota_v1();
    return quota > 0 && quota < cpus ? quota : cpus;
}
