/* Mappings of shared memory whose owner does what it wants with it. */
#include "os/shm.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "os/thread.h"

#define PAGE 4096u

static char key[64]; /* of this process alone */

/* The other side: an object of n bytes, each 'a'. */
static int make_object(size_t n)
{
    int fd = shm_open(key, O_RDWR | O_CREAT | O_TRUNC, 0600);

    assert_int_equal(tern_shm_guard(NULL), TERN_OK); /* cmocka took its place */
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, (off_t)n), 0);
    char *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    assert_ptr_not_equal(p, MAP_FAILED);
    memset(p, 'a', n);
    munmap(p, n);
    return fd;
}

static int prepare(void **state)
{
    (void)state;
    snprintf(key, sizeof(key), "/tern_shm_test_%d", (int)getpid());
    return 0;
}

static int clean(void **state)
{
    (void)state;
    shm_unlink(key);
    return 0;
}

static void maps_what_others_wrote(void **state)
{
    (void)state;
    int fd = make_object(3 * PAGE);
    struct tern_shm shm;
    struct tern_err err;

    /* An offset that is no multiple of a page, and a key without its slash. */
    assert_int_equal(tern_shm_open(tern_str_of(key + 1), PAGE + 5, PAGE, &shm, &err), TERN_OK);
    assert_int_equal(shm.n, PAGE);
    assert_int_equal(shm.p[0], 'a');
    assert_int_equal(shm.p[PAGE - 1], 'a');
    shm.p[0] = 'b';
    char seen = 0;
    assert_int_equal(pread(fd, &seen, 1, PAGE + 5), 1);
    assert_int_equal(seen, 'b');
    assert_true(tern_shm_is_whole(&shm));
    tern_shm_close(&shm);
    tern_shm_close(&shm); /* a second time changes nothing */
    close(fd);
}

static void refuses_ranges_outside(void **state)
{
    (void)state;
    static const struct {
        uint64_t offset, n;
        const char *text;
    } rows[] = {
        {0, 0, "byte_size must be above 0"},
        {0, 2 * PAGE + 1, "past the end of the object"},
        {2 * PAGE, 1, "past the end of the object"},
        {UINT64_C(1) << 40, 1, "past the end of the object"},
        {UINT64_MAX, 1, "overflows"},
        {1, UINT64_MAX, "overflows"},
        {INT64_MAX, 1, "overflows"},
    };
    int fd = make_object(2 * PAGE);
    for (size_t i = 0; i < TERN_COUNT_OF(rows); i++) {
        struct tern_shm shm;
        struct tern_err err;
        assert_int_equal(tern_shm_open(tern_str_of(key), rows[i].offset, rows[i].n, &shm, &err),
                         TERN_OUT_OF_RANGE);
        assert_non_null(strstr(err.text, rows[i].text));
    }
    close(fd);
}

static void refuses_keys_that_are_no_names(void **state)
{
    (void)state;
    static const struct tern_str keys[] = {
        {"", 0},      {"/", 1},           {"//a", 3}, {"/a/b", 4},
        {"a/b", 3},   {".", 1},           {"/..", 3}, {"../../etc/passwd", 16},
        {"/a\0b", 4}, {"/../shadow", 10},
    };
    char longest[TERN_SHM_KEY_MAX + 2];
    struct tern_shm shm;
    struct tern_err err;

    for (size_t i = 0; i < TERN_COUNT_OF(keys); i++) {
        assert_int_equal(tern_shm_open(keys[i], 0, 1, &shm, &err), TERN_INVALID_ARGUMENT);
        assert_memory_equal(err.text, "key: ", 5);
    }
    memset(longest, 'k', sizeof(longest));
    assert_int_equal(tern_shm_open(tern_str_make(longest, TERN_SHM_KEY_MAX + 1), 0, 1, &shm, &err),
                     TERN_INVALID_ARGUMENT);
    assert_int_equal(tern_shm_open(tern_str_make(longest, TERN_SHM_KEY_MAX), 0, 1, &shm, &err),
                     TERN_NOT_FOUND);
    assert_int_equal(tern_shm_open(TERN_STR("/tern_no_such_object"), 0, 1, &shm, &err),
                     TERN_NOT_FOUND);
}

/* Links, pipes and folders in the place of an object. */
static void refuses_what_is_no_object(void **state)
{
    (void)state;
    char path[96];
    struct tern_shm shm;
    struct tern_err err;

    snprintf(path, sizeof(path), "/dev/shm%s", key);
    shm_unlink(key);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(tern_shm_open(tern_str_of(key), 0, 1, &shm, &err), TERN_PERMISSION_DENIED);
    unlink(path);
    assert_int_equal(symlink("/etc/passwd", path), 0);
    assert_int_equal(tern_shm_open(tern_str_of(key), 0, 1, &shm, &err), TERN_PERMISSION_DENIED);
    unlink(path);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(tern_shm_open(tern_str_of(key), 0, 1, &shm, &err), TERN_PERMISSION_DENIED);
    rmdir(path);
}

/* Root may open everything; that is no reason to do it for a client. */
static void refuses_what_belongs_to_others(void **state)
{
    (void)state;
    struct tern_shm shm;
    struct tern_err err;

    if (geteuid() != 0)
        skip();
    int fd = make_object(PAGE);
    assert_int_equal(fchown(fd, 12345, 12345), 0);
    assert_int_equal(fchmod(fd, 0600), 0);
    assert_int_equal(tern_shm_open(tern_str_of(key), 0, 1, &shm, &err), TERN_PERMISSION_DENIED);
    assert_string_equal(err.text, "it belongs to another user");
    assert_int_equal(fchmod(fd, 0660), 0); /* of a group that is not ours */
    assert_int_equal(tern_shm_open(tern_str_of(key), 0, 1, &shm, &err), TERN_PERMISSION_DENIED);
    assert_int_equal(fchown(fd, 12345, getegid()), 0);
    assert_int_equal(tern_shm_open(tern_str_of(key), 0, 1, &shm, &err), TERN_OK);
    tern_shm_close(&shm);
    assert_int_equal(fchown(fd, 12345, 12345), 0);
    assert_int_equal(fchmod(fd, 0606), 0);
    assert_int_equal(tern_shm_open(tern_str_of(key), 0, 1, &shm, &err), TERN_OK);
    tern_shm_close(&shm);
    close(fd);
}

static void outlives_its_name(void **state)
{
    (void)state;
    struct tern_shm shm;
    struct tern_err err;

    close(make_object(PAGE));
    assert_int_equal(tern_shm_open(tern_str_of(key), 0, PAGE, &shm, &err), TERN_OK);
    shm_unlink(key);
    assert_true(tern_shm_is_whole(&shm));
    assert_int_equal(shm.p[PAGE - 1], 'a');
    tern_shm_close(&shm);
}

static void survives_a_shrunk_object(void **state)
{
    (void)state;
    int fd = make_object(4 * PAGE);
    struct tern_shm shm, other;
    struct tern_err err;

    assert_int_equal(tern_shm_open(tern_str_of(key), 0, 4 * PAGE, &shm, &err), TERN_OK);
    /* A mapping beside it, of what stays: it is not hurt. */
    assert_int_equal(tern_shm_open(tern_str_of(key), 0, PAGE, &other, &err), TERN_OK);
    assert_int_equal(ftruncate(fd, PAGE), 0);
    assert_false(tern_shm_is_whole(&shm)); /* seen before anything is touched */
    volatile char *p = shm.p;
    assert_int_equal(p[2 * PAGE + 3], 0); /* raises SIGBUS */
    p[3 * PAGE] = 'x';                    /* and so does this */
    assert_int_equal(p[3 * PAGE], 'x');
    assert_int_equal(p[0], 'a');
    assert_false(tern_shm_is_whole(&shm));
    assert_true(tern_shm_is_whole(&other));
    /* Grown again it is still not the memory that the client sees. */
    assert_int_equal(ftruncate(fd, 4 * PAGE), 0);
    assert_false(tern_shm_is_whole(&shm));
    tern_shm_close(&shm);
    tern_shm_close(&other);
    /* What takes its place starts whole. */
    assert_int_equal(tern_shm_open(tern_str_of(key), 0, 4 * PAGE, &shm, &err), TERN_OK);
    assert_true(tern_shm_is_whole(&shm));
    tern_shm_close(&shm);
    close(fd);
}

/* Less than a page is lost: no fault tells, the size does. */
static void sees_a_little_less(void **state)
{
    (void)state;
    int fd = make_object(100);
    struct tern_shm shm;
    struct tern_err err;

    assert_int_equal(tern_shm_open(tern_str_of(key), 0, 100, &shm, &err), TERN_OK);
    assert_int_equal(ftruncate(fd, 99), 0);
    assert_false(tern_shm_is_whole(&shm));
    tern_shm_close(&shm);
    close(fd);
}

static void read_all(void *arg)
{
    const struct tern_shm *shm = arg;
    volatile const char *p = shm->p;
    unsigned long sum = 0;

    for (unsigned round = 0; round < 50; round++) {
        for (size_t i = 0; i < shm->n; i += 512)
            sum += (unsigned char)p[i];
    }
    (void)sum;
}

static void several_threads_fault_at_once(void **state)
{
    (void)state;
    int fd = make_object(64 * PAGE);
    struct tern_shm shm;
    struct tern_err err;
    struct tern_thread threads[4]; /* as the loops and executors are */

    assert_int_equal(tern_shm_open(tern_str_of(key), 0, 64 * PAGE, &shm, &err), TERN_OK);
    for (size_t i = 0; i < TERN_COUNT_OF(threads); i++)
        assert_int_equal(tern_thread_start(&threads[i], "reader", -1, read_all, &shm, &err),
                         TERN_OK);
    assert_int_equal(ftruncate(fd, PAGE), 0);
    for (size_t i = 0; i < TERN_COUNT_OF(threads); i++)
        tern_thread_join(&threads[i]);
    assert_false(tern_shm_is_whole(&shm));
    tern_shm_close(&shm);
    close(fd);
}

/* Every other SIGBUS ends the process, as without us. */
static int status_of_child(void (*run)(void))
{
    int status = 0;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        signal(SIGBUS, SIG_DFL); /* whatever a sanitizer or cmocka had set */
        if (tern_shm_guard(NULL) != TERN_OK)
            _exit(8);
        run();
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void fault_elsewhere(void)
{
    int fd = shm_open(key, O_RDWR, 0);
    volatile char *p = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
    if (ftruncate(fd, 0) != 0)
        _exit(9);
    (void)p[0];
}

static void send_it(void)
{
    raise(SIGBUS);
}

static void other_faults_end_the_process(void **state)
{
    (void)state;
    close(make_object(PAGE));
    int status = status_of_child(fault_elsewhere);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGBUS);
    status = status_of_child(send_it);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGBUS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(maps_what_others_wrote, prepare, clean),
        cmocka_unit_test_setup_teardown(refuses_ranges_outside, prepare, clean),
        cmocka_unit_test_setup_teardown(refuses_keys_that_are_no_names, prepare, clean),
        cmocka_unit_test_setup_teardown(refuses_what_is_no_object, prepare, clean),
        cmocka_unit_test_setup_teardown(refuses_what_belongs_to_others, prepare, clean),
        cmocka_unit_test_setup_teardown(outlives_its_name, prepare, clean),
        cmocka_unit_test_setup_teardown(survives_a_shrunk_object, prepare, clean),
        cmocka_unit_test_setup_teardown(sees_a_little_less, prepare, clean),
        cmocka_unit_test_setup_teardown(several_threads_fault_at_once, prepare, clean),
        cmocka_unit_test_setup_teardown(other_faults_end_the_process, prepare, clean),
    };
    return cmocka_run_group_tests_name("os/shm", tests, NULL, NULL);
}
