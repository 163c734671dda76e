/* The client's side of shared memory: an object of this process's own, that a test fills, shrinks
 * and unlinks as it likes. cmocka takes SIGBUS for itself before each test, so making one gives it
 * back to the guard. */
#ifndef TERN_TESTS_SHM_OBJECT_H
#define TERN_TESTS_SHM_OBJECT_H

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "os/shm.h"

struct shm_object {
    char key[64];
    int fd;
    char *p; /* as the client maps it */
    size_t n;
};

static inline void shm_object_make(struct shm_object *object, const char *name, size_t n)
{
    snprintf(object->key, sizeof(object->key), "/tern_%s_%d", name, (int)getpid());
    object->fd = shm_open(object->key, O_RDWR | O_CREAT | O_TRUNC, 0600);
    object->n = n;
    assert_true(object->fd >= 0);
    assert_int_equal(ftruncate(object->fd, (off_t)n), 0);
    object->p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_SHARED, object->fd, 0);
    assert_ptr_not_equal(object->p, MAP_FAILED);
    memset(object->p, 'a', n);
    assert_int_equal(tern_shm_guard(NULL), TERN_OK);
}

static inline void shm_object_resize(struct shm_object *object, size_t n)
{
    assert_int_equal(ftruncate(object->fd, (off_t)n), 0);
}

static inline void shm_object_end(struct shm_object *object)
{
    shm_unlink(object->key);
    munmap(object->p, object->n);
    close(object->fd);
}

#endif
