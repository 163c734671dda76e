/* Against a server of our own that answers, hangs or hangs up as each test wants. */
// covers: store/hiredis
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/mem.h"
#include "harness/tree.h"
#include "os/thread.h"
#include "store/redis.h"

/* ---- the server ---- */

enum mood { ANSWERS, DENIES, HANGS, HANGS_UP, BABBLES };

struct fake {
    struct tree tree;
    char path[TREE_PATH_MAX]; /* of its socket */
    int listening;
    pthread_t thread;
    _Atomic enum mood mood;
    _Atomic int connections, signed_on, kept;
    pthread_mutex_t lock;
    char value[64]; /* of the one key that was put */
    size_t n_value;
};

/* One command: "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"; words end with a zero. The count; 0: the end. */
static int read_command(FILE *in, char words[6][128], size_t sizes[6])
{
    int n;

    if (fscanf(in, "*%d\r\n", &n) != 1 || n > 6)
        return 0;
    for (int i = 0; i < n; i++) {
        if (fscanf(in, "$%zu", &sizes[i]) != 1 || sizes[i] >= 128 || fgetc(in) != '\r' ||
            fgetc(in) != '\n' || fread(words[i], 1, sizes[i], in) != sizes[i] ||
            fgetc(in) != '\r' || fgetc(in) != '\n')
            return 0;
        words[i][sizes[i]] = '\0';
    }
    return n;
}

static bool answer(struct fake *f, FILE *out, char words[6][128], const size_t sizes[6])
{
    const char *password = "secret";

    if (strcmp(words[0], "AUTH") == 0) {
        f->signed_on += strcmp(words[1], password) == 0;
        fprintf(out, strcmp(words[1], password) == 0 ? "+OK\r\n" : "-WRONGPASS no\r\n");
    } else if (strcmp(words[0], "PING") == 0) {
        fprintf(out, f->mood == DENIES ? "-NOAUTH Authentication required.\r\n" : "+PONG\r\n");
    } else if (f->mood == BABBLES) {
        fprintf(out, "what?\r\n");
    } else if (f->mood == HANGS_UP) {
        return false;
    } else if (strcmp(words[0], "SET") == 0) {
        pthread_mutex_lock(&f->lock);
        memcpy(f->value, words[2], sizes[2]);
        f->n_value = sizes[2];
        pthread_mutex_unlock(&f->lock);
        f->kept++;
        fprintf(out, "+OK\r\n");
    } else if (strcmp(words[1], "known") == 0) {
        fprintf(out, "$%zu\r\n", f->n_value);
        fwrite(f->value, 1, f->n_value, out);
        fprintf(out, "\r\n");
    } else {
        fprintf(out, "$-1\r\n");
    }
    fflush(out);
    return true;
}

static void talk(struct fake *f, int fd)
{
    FILE *in = fdopen(fd, "r"), *out = fdopen(dup(fd), "w");
    char words[6][128];
    size_t sizes[6];

    while (read_command(in, words, sizes) > 0) {
        while (f->mood == HANGS && strcmp(words[0], "PING") != 0)
            tern_thread_sleep_ns(1000000);
        if (!answer(f, out, words, sizes))
            break;
    }
    fclose(in);
    fclose(out);
}

static void *serve(void *arg)
{
    struct fake *f = arg;
    int fd;

    while ((fd = accept(f->listening, NULL, NULL)) >= 0) {
        f->connections++;
        talk(f, fd);
    }
    return NULL;
}

static void fake_start(struct fake *f)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};

    memset(f, 0, sizeof(*f));
    pthread_mutex_init(&f->lock, NULL);
    tree_init(&f->tree);
    tree_path(&f->tree, "socket", f->path);
    assert_true(tern_str_copy_z(tern_str_of(f->path), at.sun_path, sizeof(at.sun_path)));
    f->listening = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(f->listening, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(listen(f->listening, 8), 0);
    assert_int_equal(pthread_create(&f->thread, NULL, serve, f), 0);
}

static void fake_stop(struct fake *f)
{
    f->mood = ANSWERS;
    shutdown(f->listening, SHUT_RDWR);
    pthread_join(f->thread, NULL);
    close(f->listening);
    tree_fini(&f->tree);
    pthread_mutex_destroy(&f->lock);
}

/* ---- the client ---- */

static struct tern_redis *open_client(const struct fake *f, struct tern_redis_settings more)
{
    struct tern_redis *redis = NULL;
    struct tern_err err;

    more.host = tern_str_of(f->path);
    more.timeout_ns = more.timeout_ns == 0 ? 10 * (uint64_t)TERN_NS_PER_S : more.timeout_ns;
    more.queue_max = more.queue_max == 0 ? 100 : more.queue_max;
    more.bytes_max = more.bytes_max == 0 ? 1000 : more.bytes_max;
    if (tern_redis_open(&more, &redis, &err) != TERN_OK) { /* no hiredis on this machine */
        assert_non_null(strstr(err.text, "hiredis"));
        skip();
    }
    return redis;
}

static void wait_up(struct tern_redis *redis, bool up)
{
    while (tern_redis_is_up(redis) != up)
        tern_thread_sleep_ns(1000000);
}

static struct tern_redis_counts counts(struct tern_redis *redis)
{
    struct tern_redis_counts c;

    tern_redis_counts(redis, &c);
    return c;
}

static void on_reply(struct tern_redis_op *op)
{
    sem_post(op->owner);
}

static struct tern_redis_op *question(const char *key, sem_t *done)
{
    struct tern_redis_op *op = tern_redis_op_new(tern_str_of(key));

    assert_non_null(op);
    sem_init(done, 0, 0);
    op->owner = done;
    op->on_reply = on_reply;
    return op;
}

static bool ask(struct tern_redis *redis, const char *key, const char *expected)
{
    sem_t done;
    struct tern_redis_op *op = question(key, &done);

    assert_true(tern_redis_get(redis, op));
    while (sem_wait(&done) != 0)
        continue;
    bool found = op->found;
    if (found)
        assert_true(tern_str_eq(op->reply, tern_str_of(expected)));
    assert_false(tern_redis_abandon(redis, op));
    tern_redis_op_free(op);
    sem_destroy(&done);
    return found;
}

static void put(struct tern_redis *redis, const char *value)
{
    tern_redis_put(redis, TERN_STR("known"), tern_mem_strdup(tern_str_of(value)), strlen(value));
}

static void test_what_was_put_is_found(void **state)
{
    struct fake f;
    (void)state;

    fake_start(&f);
    struct tern_redis *redis = open_client(
        &f, (struct tern_redis_settings){.password = TERN_STR("secret"), .ttl_ns = TERN_NS_PER_S});
    wait_up(redis, true);
    assert_int_equal(f.signed_on, 1);
    assert_false(ask(redis, "unknown", NULL));
    put(redis, "value");
    assert_true(ask(redis, "known", "value"));
    assert_int_equal(counts(redis).found, 1);
    assert_int_equal(counts(redis).absent, 1);
    assert_int_equal(counts(redis).put, 1);
    tern_redis_close(redis);
    fake_stop(&f);
}

/* Each mood ends the connection; what was asked is not found, and later it is up again. */
static void test_trouble_is_a_miss_and_passes(void **state)
{
    static const enum mood moods[] = {HANGS, HANGS_UP, BABBLES};
    struct fake f;
    (void)state;

    fake_start(&f);
    struct tern_redis *redis =
        open_client(&f, (struct tern_redis_settings){.timeout_ns = 50 * TERN_NS_PER_MS});
    for (size_t i = 0; i < TERN_COUNT_OF(moods); i++) {
        wait_up(redis, true);
        put(redis, "value");
        while (f.kept < (int)i + 1)
            tern_thread_sleep_ns(1000000);
        f.mood = moods[i];
        assert_false(ask(redis, "known", "value"));
        wait_up(redis, false);
        f.mood = ANSWERS;
    }
    wait_up(redis, true);
    assert_true(ask(redis, "known", "value"));
    assert_int_equal(counts(redis).failed, 3);
    assert_true(f.connections >= 4);
    tern_redis_close(redis);
    fake_stop(&f);
}

static void test_nothing_is_asked_while_it_is_away(void **state)
{
    struct fake f;
    sem_t done;
    (void)state;

    fake_start(&f);
    f.mood = DENIES;
    struct tern_redis *redis = open_client(&f, (struct tern_redis_settings){0});
    while (f.connections < 2) /* it tries again */
        tern_thread_sleep_ns(1000000);
    assert_false(tern_redis_is_up(redis));
    struct tern_redis_op *op = question("known", &done);
    assert_false(tern_redis_get(redis, op));
    tern_redis_op_free(op);
    sem_destroy(&done);
    put(redis, "value");
    assert_int_equal(counts(redis).dropped, 1);
    f.mood = ANSWERS;
    wait_up(redis, true);
    tern_redis_close(redis);
    fake_stop(&f);
}

/* The first is with the server, which hangs; the others wait. */
static void test_what_is_abandoned_does_not_reply(void **state)
{
    struct fake f;
    sem_t done[3];
    struct tern_redis_op *ops[3];
    (void)state;

    fake_start(&f);
    struct tern_redis *redis = open_client(&f, (struct tern_redis_settings){.queue_max = 3});
    wait_up(redis, true);
    f.mood = HANGS;
    for (int i = 0; i < 3; i++) {
        ops[i] = question("known", &done[i]);
        assert_true(tern_redis_get(redis, ops[i]));
    }
    struct tern_redis_op *more = tern_redis_op_new(TERN_STR("known"));
    assert_false(tern_redis_get(redis, more)); /* the queue is full */
    tern_redis_op_free(more);
    assert_true(tern_redis_abandon(redis, ops[0]));
    assert_true(tern_redis_abandon(redis, ops[2]));
    f.mood = ANSWERS;
    while (sem_wait(&done[1]) != 0)
        continue;
    tern_redis_op_free(ops[1]);
    tern_redis_close(redis);
    assert_int_equal(sem_trywait(&done[0]), -1);
    assert_int_equal(sem_trywait(&done[2]), -1);
    for (int i = 0; i < 3; i++)
        sem_destroy(&done[i]);
    fake_stop(&f);
}

static void test_values_that_wait_are_bounded(void **state)
{
    struct fake f;
    sem_t done;
    (void)state;

    fake_start(&f);
    struct tern_redis *redis = open_client(&f, (struct tern_redis_settings){.bytes_max = 10});
    wait_up(redis, true);
    f.mood = HANGS;
    struct tern_redis_op *op = question("known", &done);
    assert_true(tern_redis_get(redis, op));
    put(redis, "123456");
    put(redis, "78901");
    assert_int_equal(counts(redis).dropped, 1);
    f.mood = ANSWERS;
    while (sem_wait(&done) != 0)
        continue;
    tern_redis_op_free(op);
    sem_destroy(&done);
    while (f.kept < 1)
        tern_thread_sleep_ns(1000000);
    assert_memory_equal(f.value, "123456", 6);
    tern_redis_close(redis);
    fake_stop(&f);
}

static void test_closing_answers_those_that_wait(void **state)
{
    struct fake f;
    sem_t done[5];
    struct tern_redis_op *ops[5];
    (void)state;

    fake_start(&f);
    struct tern_redis *redis =
        open_client(&f, (struct tern_redis_settings){.timeout_ns = 20 * TERN_NS_PER_MS});
    wait_up(redis, true);
    f.mood = HANGS;
    for (int i = 0; i < 5; i++) {
        ops[i] = question("known", &done[i]);
        if (!tern_redis_get(redis, ops[i]))
            sem_post(&done[i]);
    }
    tern_redis_close(redis);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(sem_trywait(&done[i]), 0);
        assert_false(ops[i]->found);
        tern_redis_op_free(ops[i]);
        sem_destroy(&done[i]);
    }
    fake_stop(&f);
}

static void test_keys_have_a_longest(void **state)
{
    char key[TERN_REDIS_KEY_MAX + 1] = {0};
    (void)state;

    struct tern_redis_op *op = tern_redis_op_new(tern_str_make(key, TERN_REDIS_KEY_MAX));
    assert_non_null(op);
    tern_redis_op_free(op);
    assert_null(tern_redis_op_new(tern_str_make(key, sizeof(key))));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_was_put_is_found),
        cmocka_unit_test(test_trouble_is_a_miss_and_passes),
        cmocka_unit_test(test_nothing_is_asked_while_it_is_away),
        cmocka_unit_test(test_what_is_abandoned_does_not_reply),
        cmocka_unit_test(test_values_that_wait_are_bounded),
        cmocka_unit_test(test_closing_answers_those_that_wait),
        cmocka_unit_test(test_keys_have_a_longest),
    };
    signal(SIGPIPE, SIG_IGN); /* the server writes to clients that left */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
