#include "os/shm.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/num.h"

#define GROUPS_MAX 256

/* ---- the guard ---- */

/* Where mappings are, for the signal handler, which can be given no argument: the one state of the
 * process in this file. A slot is free when its start is 0. Writers take a slot by exchanging
 * `taken`; the order of their stores lets the handler notice a slot that changes under it. The slot
 * of the mapping that faulted does not: its user keeps it open. */
static struct slot {
    atomic_bool taken;
    atomic_bool broken;
    _Atomic uintptr_t start;
    _Atomic uintptr_t end;
} slots[TERN_SHM_MAPPINGS_MAX];

static atomic_uint slots_used;    /* no slot from here on was ever taken */
static struct sigaction previous; /* written before any mapping exists */

static struct slot *find_slot(uintptr_t at)
{
    uint32_t n = atomic_load(&slots_used);

    for (uint32_t i = 0; i < n; i++) {
        uintptr_t start = atomic_load(&slots[i].start);
        uintptr_t end = atomic_load(&slots[i].end);
        if (start != 0 && start <= at && at < end && atomic_load(&slots[i].start) == start)
            return &slots[i];
    }
    return NULL;
}

/* Only what is safe in a handler: atomics and bare system calls. */
static void on_bus(int signo, siginfo_t *info, void *context)
{
    int error = errno;
    /* Others send the signal without an address, and a page that the hardware lost is no client's
     * doing. */
    bool fault = info->si_code == BUS_ADRERR;
    uintptr_t at = (uintptr_t)info->si_addr;
    struct slot *slot = fault ? find_slot(at) : NULL;
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);

    (void)context;
    if (slot != NULL) {
        void *where = (void *)(at & ~(page - 1)); // NOLINT(performance-no-int-to-ptr)
        if (mmap(where, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
                 0) == where) {
            atomic_store(&slot->broken, true);
            errno = error;
            return;
        }
    }
    /* The instruction runs again, and what would have happened without us happens. A signal that
     * was sent comes no second time by itself. */
    (void)sigaction(signo, &previous, NULL);
    if (!fault)
        (void)raise(signo);
    errno = error;
}

enum tern_code tern_shm_guard(struct tern_err *err)
{
    struct sigaction action = {.sa_sigaction = on_bus, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    struct sigaction now;

    sigemptyset(&action.sa_mask);
    if (sigaction(SIGBUS, NULL, &now) == 0) {
        if ((now.sa_flags & SA_SIGINFO) != 0 && now.sa_sigaction == on_bus)
            return TERN_OK;
        previous = now;
        if (sigaction(SIGBUS, &action, NULL) == 0)
            return TERN_OK;
    }
    return tern_fail(err, TERN_INTERNAL, "the handler of SIGBUS: %s", strerror(errno));
}

static enum tern_code take_slot(const void *map, size_t n, uint32_t *ret_slot, struct tern_err *err)
{
    for (uint32_t i = 0; i < TERN_SHM_MAPPINGS_MAX; i++) {
        if (atomic_exchange(&slots[i].taken, true))
            continue;
        uint32_t used = atomic_load(&slots_used);
        while (used < i + 1 && !atomic_compare_exchange_weak(&slots_used, &used, i + 1))
            ;
        atomic_store(&slots[i].broken, false);
        atomic_store(&slots[i].end, (uintptr_t)map + n);
        atomic_store(&slots[i].start, (uintptr_t)map);
        *ret_slot = i;
        return TERN_OK;
    }
    return tern_fail(err, TERN_RESOURCE_EXHAUSTED, "more than %d mappings of shared memory",
                     TERN_SHM_MAPPINGS_MAX);
}

static void give_slot(uint32_t slot)
{
    atomic_store(&slots[slot].start, 0);
    atomic_store(&slots[slot].taken, false);
}

/* ---- objects ---- */

static enum tern_code check_key(struct tern_str key, char name[TERN_SHM_KEY_MAX + 2],
                                struct tern_err *err)
{
    struct tern_str bare = tern_str_starts(key, TERN_STR("/")) ? tern_str_from(key, 1) : key;

    if (bare.n == 0)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "key: expected a name, got none");
    if (bare.n > TERN_SHM_KEY_MAX)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "key: expected at most %d bytes, got %zu",
                         TERN_SHM_KEY_MAX, bare.n);
    if (tern_str_find(bare, '/') < bare.n || tern_str_find(bare, '\0') < bare.n)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "key: expected a name without '/' but for a leading one");
    if (tern_str_eq(bare, TERN_STR(".")) || tern_str_eq(bare, TERN_STR("..")))
        return tern_fail(err, TERN_INVALID_ARGUMENT, "key: '%.*s' is no name", TERN_STR_ARG(bare));
    name[0] = '/';
    memcpy(name + 1, bare.p, bare.n);
    name[bare.n + 1] = '\0';
    return TERN_OK;
}

static bool is_in_group(gid_t group)
{
    gid_t groups[GROUPS_MAX];
    int n = getgroups(GROUPS_MAX, groups);

    if (group == getegid())
        return true;
    for (int i = 0; i < n; i++) {
        if (groups[i] == group)
            return true;
    }
    return false;
}

/* What the kernel would say to a user without privileges; a server that runs as root asks too, lest
 * it open for one user what belongs to another. */
static bool may_use(const struct stat *st)
{
    const mode_t group = S_IRGRP | S_IWGRP, other = S_IROTH | S_IWOTH;

    if (st->st_uid == geteuid())
        return true;
    if ((st->st_mode & group) == group && is_in_group(st->st_gid))
        return true;
    return (st->st_mode & other) == other;
}

static enum tern_code open_object(const char *name, int *ret_fd, uint64_t *ret_size,
                                  struct tern_err *err)
{
    struct stat st;
    int fd = shm_open(name, O_RDWR, 0);

    if (fd < 0) {
        enum tern_code code = errno == ENOENT                      ? TERN_NOT_FOUND
                              : errno == EMFILE || errno == ENFILE ? TERN_RESOURCE_EXHAUSTED
                                                                   : TERN_PERMISSION_DENIED;
        return tern_fail(err, code, "%s", strerror(errno));
    }
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        close(fd);
        return tern_fail(err, TERN_PERMISSION_DENIED, "it is no shared memory object");
    }
    if (!may_use(&st)) {
        close(fd);
        return tern_fail(err, TERN_PERMISSION_DENIED, "it belongs to another user");
    }
    *ret_fd = fd;
    *ret_size = st.st_size < 0 ? 0 : (uint64_t)st.st_size;
    return TERN_OK;
}

static enum tern_code check_range(uint64_t offset, uint64_t n, uint64_t size, struct tern_err *err)
{
    uint64_t end;

    if (n == 0)
        return tern_fail(err, TERN_OUT_OF_RANGE, "byte_size must be above 0");
    if (__builtin_add_overflow(offset, n, &end) || end > INT64_MAX)
        return tern_fail(err, TERN_OUT_OF_RANGE, "offset + byte_size overflows");
    if (end > size)
        return tern_fail(err, TERN_OUT_OF_RANGE,
                         "offset %llu + byte_size %llu is past the end of the object, which has "
                         "%llu bytes",
                         (unsigned long long)offset, (unsigned long long)n,
                         (unsigned long long)size);
    return TERN_OK;
}

/* fd is taken over on success. */
static enum tern_code map_object(int fd, uint64_t offset, uint64_t n, struct tern_shm *ret_shm,
                                 struct tern_err *err)
{
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    uint64_t lead = offset & (page - 1); /* mmap wants whole pages */
    struct tern_shm shm = {
        .n = (size_t)n, .n_map = (size_t)(lead + n), .end = offset + n, .fd = fd};

    shm.map = mmap(NULL, shm.n_map, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)(offset - lead));
    if (shm.map == MAP_FAILED)
        return tern_fail(err, TERN_RESOURCE_EXHAUSTED, "mmap: %s", strerror(errno));
    size_t whole = (shm.n_map + (size_t)page - 1) & ~((size_t)page - 1);
    enum tern_code code = take_slot(shm.map, whole, &shm.slot, err);
    if (code != TERN_OK) {
        munmap(shm.map, shm.n_map);
        return code;
    }
    shm.p = (char *)shm.map + lead;
    *ret_shm = shm;
    return TERN_OK;
}

enum tern_code tern_shm_open(struct tern_str key, uint64_t offset, uint64_t n,
                             struct tern_shm *ret_shm, struct tern_err *err)
{
    char name[TERN_SHM_KEY_MAX + 2];
    uint64_t size = 0; /* gcc does not see with every sanitizer that they are set */
    int fd = -1;

    TERN_TRY(check_key(key, name, err));
    TERN_TRY(open_object(name, &fd, &size, err));
    enum tern_code code = check_range(offset, n, size, err);
    if (code == TERN_OK)
        code = map_object(fd, offset, n, ret_shm, err);
    if (code != TERN_OK)
        close(fd);
    return code;
}

void tern_shm_close(struct tern_shm *shm)
{
    if (shm->map == NULL)
        return;
    give_slot(shm->slot); /* before another mapping can have the address */
    munmap(shm->map, shm->n_map);
    close(shm->fd);
    shm->map = NULL;
}

bool tern_shm_is_whole(const struct tern_shm *shm)
{
    struct stat st;

    return !atomic_load_explicit(&slots[shm->slot].broken, memory_order_acquire) &&
           fstat(shm->fd, &st) == 0 && (uint64_t)st.st_size >= shm->end;
}
