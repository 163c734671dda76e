#include "os/procstat.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/num.h"

/* Fields of /proc/pid/stat after the command name, counted from 0 (proc(5) counts from 3). */
enum {
    FIELD_UTIME = 11,
    FIELD_STIME = 12,
    FIELD_THREADS = 17,
    FIELD_START = 19,
    FIELD_VSIZE = 20,
    FIELD_RSS = 21
};

static enum tern_code read_small(pid_t pid, const char *name, char *dst, size_t cap, size_t *ret_n,
                                 struct tern_err *err)
{
    char path[64];

    if (pid == 0 && name[0] == '/')
        (void)snprintf(path, sizeof(path), "%s", name);
    else if (pid == 0)
        (void)snprintf(path, sizeof(path), "/proc/self/%s", name);
    else
        (void)snprintf(path, sizeof(path), "/proc/%ld/%s", (long)pid, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return tern_fail(err, errno == ENOENT ? TERN_NOT_FOUND : TERN_INTERNAL,
                         "process %ld: %s cannot be opened: %s", (long)pid, name, strerror(errno));
    ssize_t n = read(fd, dst, cap);
    int why = errno;
    close(fd);
    if (n <= 0)
        return tern_fail(err, why == ESRCH ? TERN_NOT_FOUND : TERN_INTERNAL,
                         "process %ld: %s cannot be read", (long)pid, name);
    *ret_n = (size_t)n;
    return TERN_OK;
}

static uint64_t count_fds(pid_t pid)
{
    char path[64] = "/proc/self/fd";
    struct stat st;

    if (pid != 0)
        (void)snprintf(path, sizeof(path), "/proc/%ld/fd", (long)pid);
    /* Since Linux 6.2 the size of the folder is the count: one call instead of a listing. */
    if (stat(path, &st) == 0 && st.st_size > 0)
        return (uint64_t)st.st_size;
    DIR *dir = opendir(path);
    if (dir == NULL)
        return 0;
    uint64_t n = 0;
    for (struct dirent *e = readdir(dir); e != NULL; e = readdir(dir))
        n += e->d_name[0] != '.';
    closedir(dir);
    return n - (pid == 0); /* not the one that lists */
}

/* "btime 1772366400" in /proc/stat: when the machine started. It stands after one line a processor
 * and one very long line, so the boot time is taken from the two clocks instead. */
static uint64_t boot_wall_ns(void)
{
    struct timespec up;

    if (clock_gettime(CLOCK_BOOTTIME, &up) != 0)
        return 0;
    return tern_clock_wall_ns() - (uint64_t)up.tv_sec * TERN_NS_PER_S - (uint64_t)up.tv_nsec;
}

enum tern_code tern_procstat_read(pid_t pid, struct tern_procstat *ret, struct tern_err *err)
{
    char text[1024];
    size_t n = 0;
    uint64_t field[FIELD_RSS + 1] = {0};
    struct rlimit limit;

    TERN_TRY(read_small(pid, "stat", text, sizeof(text), &n, err));
    /* The command name may hold anything, ')' too: fields start after the last one. */
    size_t at = n;
    while (at > 0 && text[at - 1] != ')')
        at--;
    struct tern_str rest = tern_str_trim(tern_str_make(text + at, n - at));
    struct tern_str piece;
    for (uint32_t i = 0; i <= FIELD_RSS && tern_str_split(&rest, ' ', &piece); i++) {
        if (!tern_num_parse_u64(piece, UINT64_MAX, &field[i]))
            field[i] = 0; /* the state letter, negative numbers: not ours */
    }
    uint64_t tick_ns = TERN_NS_PER_S / (uint64_t)sysconf(_SC_CLK_TCK);
    *ret = (struct tern_procstat){
        .user_ns = field[FIELD_UTIME] * tick_ns,
        .system_ns = field[FIELD_STIME] * tick_ns,
        .resident_bytes = field[FIELD_RSS] * (uint64_t)sysconf(_SC_PAGESIZE),
        .virtual_bytes = field[FIELD_VSIZE],
        .threads = field[FIELD_THREADS],
        .start_wall_ns = boot_wall_ns() + field[FIELD_START] * tick_ns,
        .open_fds = count_fds(pid),
    };
    if (pid == 0) { /* finer than ticks */
        struct rusage usage;
        if (getrusage(RUSAGE_SELF, &usage) == 0) {
            ret->user_ns = (uint64_t)usage.ru_utime.tv_sec * TERN_NS_PER_S +
                           (uint64_t)usage.ru_utime.tv_usec * TERN_NS_PER_US;
            ret->system_ns = (uint64_t)usage.ru_stime.tv_sec * TERN_NS_PER_S +
                             (uint64_t)usage.ru_stime.tv_usec * TERN_NS_PER_US;
        }
        if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
            ret->max_fds = (uint64_t)limit.rlim_cur;
    }
    return TERN_OK;
}

/* The first line, "cpu  user nice system idle iowait irq ...", in ticks. */
static void sum_ticks(struct tern_str line, struct tern_procstat_machine *ret)
{
    enum { IDLE = 3, IOWAIT = 4, STEAL = 7 };
    struct tern_str piece;
    uint64_t ticks;

    (void)tern_str_split(&line, ' ', &piece); /* "cpu" */
    for (int i = 0; i <= STEAL && tern_str_split(&line, ' ', &piece);) {
        if (!tern_num_parse_u64(piece, UINT64_MAX, &ticks))
            continue; /* the second of two spaces */
        ret->ticks += ticks;
        ret->busy_ticks += i == IDLE || i == IOWAIT ? 0 : ticks;
        i++;
    }
}

/* "MemTotal:       16384 kB" */
static uint64_t field_kib(struct tern_str text, struct tern_str name)
{
    struct tern_str line, piece;
    uint64_t kib;

    while (tern_str_split(&text, '\n', &line)) {
        if (!tern_str_starts(line, name))
            continue;
        while (tern_str_split(&line, ' ', &piece)) {
            if (tern_num_parse_u64(piece, UINT64_MAX >> 10, &kib))
                return kib << 10;
        }
    }
    return 0;
}

enum tern_code tern_procstat_read_machine(struct tern_procstat_machine *ret, struct tern_err *err)
{
    struct tern_procstat_machine machine = {0};
    char text[1024];
    size_t n = 0;

    TERN_TRY(read_small(0, "/proc/stat", text, sizeof(text), &n, err));
    struct tern_str stat = tern_str_make(text, n);
    sum_ticks(tern_str_make(text, tern_str_find(stat, '\n')), &machine);
    TERN_TRY(read_small(0, "/proc/meminfo", text, sizeof(text), &n, err));
    struct tern_str meminfo = tern_str_make(text, n);
    machine.memory_bytes = field_kib(meminfo, TERN_STR("MemTotal:"));
    uint64_t free_bytes = field_kib(meminfo, TERN_STR("MemAvailable:"));
    if (free_bytes < machine.memory_bytes)
        machine.memory_used_bytes = machine.memory_bytes - free_bytes;
    *ret = machine;
    return TERN_OK;
}
