// wrap: tern_mem_alloc_aligned tern_mem_zalloc
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "base/mem.h"
#include "os/logsink.h"

static int allocations_left = -1;

void *__real_tern_mem_alloc_aligned(size_t align, size_t size);
void *__wrap_tern_mem_alloc_aligned(size_t align, size_t size);
void *__wrap_tern_mem_alloc_aligned(size_t align, size_t size)
{
    if (allocations_left == 0)
        return NULL;
    allocations_left -= allocations_left > 0;
    return __real_tern_mem_alloc_aligned(align, size);
}

void *__real_tern_mem_zalloc(size_t count, size_t size);
void *__wrap_tern_mem_zalloc(size_t count, size_t size);
void *__wrap_tern_mem_zalloc(size_t count, size_t size)
{
    if (allocations_left == 0)
        return NULL;
    allocations_left -= allocations_left > 0;
    return __real_tern_mem_zalloc(count, size);
}

static int temp_file(void)
{
    char path[] = "/tmp/tern-logsink-XXXXXX";
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    unlink(path);
    return fd;
}

static struct tern_logsink *open_sink(int fd, uint32_t ring)
{
    struct tern_logsink *sink = NULL;
    assert_int_equal(tern_logsink_open(fd, ring, TERN_LOG_TEXT, &sink, NULL), TERN_OK);
    return sink;
}

static void put(struct tern_logsink *sink, const char *line)
{
    struct tern_log_sink port = tern_logsink_port(sink);
    port.write(port.self, tern_str_of(line));
}

static void test_lines_arrive_in_order(void **state)
{
    int fd = temp_file();
    struct tern_logsink *sink = open_sink(fd, 1u << 16);
    char line[64];

    (void)state;
    /* More than the ring holds, of every length, so that records wrap in all ways. */
    for (int i = 0; i < 20000; i++) {
        snprintf(line, sizeof(line), "%05d%.*s\n", i, i % 50,
                 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
        put(sink, line);
        if (i % 400 == 399)
            tern_logsink_flush(sink);
    }
    assert_int_equal(tern_logsink_dropped(sink), 0);
    tern_logsink_close(sink);
    FILE *f = fdopen(fd, "r");
    rewind(f);
    for (int i = 0; i < 20000; i++) {
        assert_non_null(fgets(line, sizeof(line), f));
        assert_int_equal(strlen(line), 6 + i % 50);
        line[5] = '\0';
        assert_int_equal(strtol(line, NULL, 10), i);
    }
    assert_null(fgets(line, sizeof(line), f));
    fclose(f);
}

struct producer {
    struct tern_logsink *sink;
    int id;
};

enum { LINES = 20000 };

static void *produce(void *arg)
{
    struct producer *p = arg;
    char line[96];

    for (int i = 0; i < LINES; i++) {
        snprintf(line, sizeof(line), "%d %d %.*s\n", p->id, i, i % 61,
                 "yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy");
        put(p->sink, line);
    }
    return NULL;
}

/* Whole lines only, each producer's in order, and every line either there or counted as lost. */
static void test_many_producers(void **state)
{
    int fd = temp_file();
    struct tern_logsink *sink = open_sink(fd, 1u << 16);
    struct producer producers[3];
    pthread_t threads[3];
    int last[3] = {-1, -1, -1};
    uint64_t seen = 0;
    char line[256];

    (void)state;
    for (int i = 0; i < 3; i++) {
        producers[i] = (struct producer){sink, i};
        assert_int_equal(pthread_create(&threads[i], NULL, produce, &producers[i]), 0);
    }
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    tern_logsink_flush(sink);
    uint64_t lost = tern_logsink_dropped(sink);
    tern_logsink_close(sink);
    FILE *f = fdopen(fd, "r");
    rewind(f);
    while (fgets(line, sizeof(line), f) != NULL) {
        char *rest = NULL;
        if (strstr(line, "log lines were lost") != NULL)
            continue;
        long id = strtol(line, &rest, 10);
        long n = strtol(rest, &rest, 10);
        assert_in_range(id, 0, 2);
        assert_true(n > last[id]);
        last[id] = (int)n;
        assert_int_equal(strlen(rest), 2 + n % 61);
        seen++;
    }
    assert_int_equal(seen + lost, 3 * LINES);
    fclose(f);
}

/* A reader that does not read: the ring fills, producers never wait, and the loss is told. */
static void test_full_ring_drops_and_says_so(void **state)
{
    int fds[2];
    static char text[1 << 20];
    char line[1001];
    size_t n = 0;

    (void)state;
    assert_int_equal(pipe(fds), 0);
    memset(line, 'z', 999);
    line[999] = '\n';
    line[1000] = '\0';
    struct tern_logsink *sink = open_sink(fds[1], TERN_LOGSINK_RING_MIN);
    for (int i = 0; i < 1000; i++) /* ten times what ring, batch and pipe hold */
        put(sink, line);
    uint64_t lost = tern_logsink_dropped(sink);
    assert_true(lost > 500);
    put(sink, "still alive\n"); /* small enough for the last hole, or lost as well */
    fcntl(fds[0], F_SETFL, O_NONBLOCK);
    while (n < sizeof(text) - 1 && strstr(text, "lost") == NULL) {
        ssize_t k = read(fds[0], text + n, sizeof(text) - 1 - n);
        n += k > 0 ? (size_t)k : 0;
        text[n] = '\0';
    }
    assert_non_null(strstr(text, "log lines were lost"));
    assert_non_null(strstr(text, "lines="));
    tern_logsink_close(sink);
    close(fds[0]);
    close(fds[1]);
}

static void test_lines_for_a_full_disk_are_counted(void **state)
{
    int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
    struct tern_logsink *sink = open_sink(fd, 1u << 16);

    (void)state;
    put(sink, "one\n");
    put(sink, "two\n");
    tern_logsink_flush(sink);
    assert_int_equal(tern_logsink_dropped(sink), 2);
    tern_logsink_close(sink);
    close(fd);
}

static void test_an_idle_writer_is_woken(void **state)
{
    int fds[2];
    char text[16] = {0};

    (void)state;
    assert_int_equal(pipe(fds), 0);
    struct tern_logsink *sink = open_sink(fds[1], 0);
    for (int i = 0; i < 50; i++) { /* each read waits until the line came through */
        put(sink, "one\n");
        assert_int_equal(read(fds[0], text, sizeof(text)), 4);
        assert_memory_equal(text, "one\n", 4);
    }
    tern_logsink_close(sink);
    close(fds[0]);
    close(fds[1]);
}

static void test_open_can_fail(void **state)
{
    struct tern_logsink *sink = NULL;
    struct tern_err err;

    (void)state;
    for (int i = 0; i < 2; i++) {
        allocations_left = i;
        assert_int_equal(tern_logsink_open(2, 0, TERN_LOG_TEXT, &sink, &err),
                         TERN_RESOURCE_EXHAUSTED);
    }
    allocations_left = -1;
    assert_int_equal(tern_logsink_open(2, UINT32_MAX, TERN_LOG_TEXT, &sink, &err),
                     TERN_INVALID_ARGUMENT);
    assert_null(sink);
    tern_logsink_close(NULL);
}

static void test_direct(void **state)
{
    int fds[2];
    char text[64] = {0};
    struct tern_log log;

    (void)state;
    assert_int_equal(pipe(fds), 0);
    tern_log_init(&log, tern_logsink_direct(fds[1]), TERN_LOG_INFO, TERN_LOG_TEXT, false);
    tern_log_info(&log, "x", "hello", TERN_KV_NONE);
    ssize_t n = read(fds[0], text, sizeof(text) - 1);
    assert_true(n > 0);
    assert_string_equal(text + 23, " info  hello\n");
    close(fds[0]);
    close(fds[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines_arrive_in_order),
        cmocka_unit_test(test_many_producers),
        cmocka_unit_test(test_full_ring_drops_and_says_so),
        cmocka_unit_test(test_lines_for_a_full_disk_are_counted),
        cmocka_unit_test(test_an_idle_writer_is_woken),
        cmocka_unit_test(test_open_can_fail),
        cmocka_unit_test(test_direct),
    };
    alarm(60);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
