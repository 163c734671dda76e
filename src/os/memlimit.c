#include "os/memlimit.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>
#include "base/num.h"
#include "base/str.h"
#include "os/procstat.h"

#define LIST_MAX 8192 /* of /proc/self/cgroup: a line a hierarchy */

static size_t read_file(const char *path, char *dst, size_t cap)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return 0;
    ssize_t n = read(fd, dst, cap);
    close(fd);
    return n > 0 ? (size_t)n : 0;
}

/* A file with one number; "max", or no file: UINT64_MAX. */
static uint64_t read_number(const char *path)
{
    char text[32];
    uint64_t number;
    struct tern_str rest = tern_str_make(text, read_file(path, text, sizeof(text))), line;

    return tern_str_split(&rest, '\n', &line) && tern_num_parse_u64(line, UINT64_MAX, &number)
               ? number
               : UINT64_MAX;
}

/* The least limit of the group and of those above it. What the machine shows of the groups may
 * begin below the root that the path is counted from: then the upper ones are what is there. */
static uint64_t least_of(const char *root, const char *hierarchy, struct tern_str group,
                         const char *file)
{
    uint64_t least = UINT64_MAX;
    char path[PATH_MAX];

    for (;;) {
        int n =
            snprintf(path, sizeof(path), "%s%s%.*s/%s", root, hierarchy, TERN_STR_ARG(group), file);
        uint64_t limit = n > 0 && (size_t)n < sizeof(path) ? read_number(path) : UINT64_MAX;
        least = limit < least ? limit : least;
        if (group.n == 0)
            return least;
        while (group.n > 0 && group.p[--group.n] != '/')
            ;
    }
}

/* "memory" among "cpu,memory" */
static bool lists_memory(struct tern_str controllers)
{
    struct tern_str one;

    while (tern_str_split(&controllers, ',', &one)) {
        if (tern_str_eq(one, TERN_STR("memory")))
            return true;
    }
    return false;
}

uint64_t tern_memlimit_of_groups(const char *groups, const char *root)
{
    char text[LIST_MAX];
    struct tern_str list = tern_str_make(text, read_file(groups, text, sizeof(text)));
    struct tern_str line, number, controllers;
    uint64_t least = UINT64_MAX;

    while (tern_str_split(&list, '\n', &line)) {
        uint64_t limit = UINT64_MAX;
        if (!tern_str_split(&line, ':', &number) || !tern_str_split(&line, ':', &controllers))
            continue;
        if (line.n == 1) /* "/" */
            line.n = 0;
        if (controllers.n == 0)
            limit = least_of(root, "", line, "memory.max");
        else if (lists_memory(controllers))
            limit = least_of(root, "/memory", line, "memory.limit_in_bytes");
        least = limit < least ? limit : least;
    }
    return least;
}

uint64_t tern_memlimit(void)
{
    struct tern_procstat_machine machine;
    uint64_t limit = tern_memlimit_of_groups("/proc/self/cgroup", "/sys/fs/cgroup");

    if (tern_procstat_read_machine(&machine, NULL) == TERN_OK && machine.memory_bytes > 0 &&
        machine.memory_bytes < limit)
        limit = machine.memory_bytes;
    return limit;
}
