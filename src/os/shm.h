/* POSIX shared memory objects of other processes (shm_overview(7)), mapped so that their owner
 * cannot hurt us. Whoever may write an object may also shrink it, at any time, or have made it
 * larger than the memory there is; touching a page that is not there raises SIGBUS, which ends the
 * process. The guard catches that: it puts a page of zeros where the fault was, marks the mapping
 * as broken and lets the program go on, and who used the mapping asks tern_shm_is_whole afterwards.
 *
 * Any thread. A mapping must not be closed while a thread reads or writes it. */
#ifndef TERN_OS_SHM_H
#define TERN_OS_SHM_H

#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"
#include "base/str.h"

#define TERN_SHM_MAPPINGS_MAX 4096 /* of the process, at the same time */
#define TERN_SHM_KEY_MAX      250  /* bytes of a name: NAME_MAX less what the C library may add */

struct tern_shm {
    char *p;  /* n bytes that may be read and written */
    size_t n; /* at least 1 */
    void *map;
    size_t n_map;
    uint64_t end; /* the object has at least that many bytes, or else it shrank */
    int fd;       /* owned */
    uint32_t slot;
};

/* Once, before the first tern_shm_open and after any other handler of SIGBUS is set: those are kept
 * for faults that are none of ours. Calling it again changes nothing, unless another handler took
 * its place. */
enum tern_code tern_shm_guard(struct tern_err *err);

/* Maps the n bytes from `offset` on of the object that shm_open(3) finds under key, whose leading
 * '/' may be missing. INVALID_ARGUMENT: a key that can be no name (the text starts with "key");
 * OUT_OF_RANGE: the object ends before offset + n, or the sum overflows, or n is 0; NOT_FOUND,
 * PERMISSION_DENIED: there is none that is ours to open. Ours is, for a server with the right to
 * everything too, what belongs to its own user, or what its group or everybody may read and write.
 */
enum tern_code tern_shm_open(struct tern_str key, uint64_t offset, uint64_t n,
                             struct tern_shm *ret_shm, struct tern_err *err);
void tern_shm_close(struct tern_shm *shm);
/* Whether what is mapped is still the object's memory, all of it: before a use, it will not fault;
 * after one, what was read and written was the object's. Two system calls at most. */
bool tern_shm_is_whole(const struct tern_shm *shm);

#endif
