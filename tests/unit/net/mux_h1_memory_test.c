// wrap: tern_clock_mono_ns tern_mem_alloc tern_mem_zalloc tern_mem_alloc_aligned tern_mem_realloc
/* What HTTP/1.1 takes of memory: what is charged, what is kept, and every allocation failing. */
#include "harness/h1_rig.h"
#include "net/mux_h1_int.h"

/* ---- the account of memory ---- */

#define GRAIN ((size_t)TERN_ACCOUNT_GRAIN)

static struct tern_account *account_of(struct rig *rig, size_t max)
{
    struct tern_account *account = NULL;

    assert_int_equal(tern_account_new(max, 1, &account, NULL), TERN_OK);
    rig->hub->till = tern_account_till(account, 0);
    return account;
}

static void close_account(struct rig *rig, struct tern_account *account)
{
    rig_hang_up(rig);
    rig_pump_without_reading(rig);
    assert_int_equal(tern_account_used(account), 0); /* all was given back */
    rig_free(rig);
    tern_account_free(account);
}

static void say_head(struct rig *rig, size_t length)
{
    char head[128];

    snprintf(head, sizeof(head), "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: %zu\r\n\r\n",
             length);
    rig_say(rig, head);
}

/* A head that announces a gigabyte costs a grain, and then four times what came. */
static void a_body_is_charged_as_it_comes(void **state)
{
    struct rig *rig = rig_new();
    struct tern_account *account = account_of(rig, 100 * GRAIN);
    size_t length = 20 * GRAIN;

    (void)state;
    rig->listener.body_max = 100 * GRAIN;
    rig_connect(rig);
    say_head(rig, length);
    assert_int_equal(tern_account_used(account), GRAIN);
    rig_send(rig, rig_fill(), GRAIN);
    assert_int_equal(tern_account_used(account), 5 * GRAIN);
    rig_send(rig, rig_fill(), GRAIN);
    for (int i = 2; i < 19; i++)
        rig_send(rig, rig_fill(), GRAIN);
    assert_int_equal(tern_account_used(account), length);
    rig_send(rig, rig_fill(), GRAIN);
    assert_int_equal(rig->n_requests, 1);
    rig_pump(rig);
    assert_int_equal(tern_account_used(account), 0);
    close_account(rig, account);
}

static void a_body_without_room_is_refused_by_its_head(void **state)
{
    struct rig *rig = rig_new();
    struct tern_account *account = account_of(rig, 100 * GRAIN);

    (void)state;
    rig->listener.body_max = 100 * GRAIN;
    rig_connect(rig);
    say_head(rig, 91 * GRAIN);
    rig_expect(rig, 503, "the memory that requests may take is used up; try again");
    assert_int_equal(tern_account_used(account), 0);
    assert_true(tern_till_take(rig->hub->till, 91 * GRAIN)); /* by others */
    rig_connect(rig);
    say_head(rig, GRAIN);
    rig_expect(rig, 503, NULL);
    rig_connect(rig);
    rig_say(rig, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
    rig_expect(rig, 503, NULL);
    rig_connect(rig);
    say_head(rig, 3); /* what fits into the read buffer takes no more memory */
    rig_say(rig, "abc");
    rig_expect(rig, 200, "POST /a 3:abc");
    tern_till_give(rig->hub->till, 91 * GRAIN);
    close_account(rig, account);
}

static void what_was_begun_is_refused_at_the_limit(void **state)
{
    struct rig *rig = rig_new();
    struct tern_account *account = account_of(rig, 100 * GRAIN);

    (void)state;
    rig->listener.body_max = 100 * GRAIN;
    rig_connect(rig);
    say_head(rig, 20 * GRAIN);
    assert_true(tern_till_take(rig->hub->till, 95 * GRAIN)); /* by others, meanwhile */
    rig_send(rig, rig_fill(), GRAIN);
    rig_send(rig, rig_fill(), GRAIN);
    rig_expect(rig, 503, "the memory that requests may take is used up; try again");
    tern_till_give(rig->hub->till, 95 * GRAIN);
    close_account(rig, account);
    rig = rig_new();
    account = account_of(rig, 100 * GRAIN);
    rig_connect(rig);
    rig_say(rig, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    assert_int_equal(tern_account_used(account), 3);
    assert_true(tern_till_take(rig->hub->till, 100 * GRAIN));
    rig_say(rig, "3\r\ndef\r\n");
    rig_expect(rig, 503, NULL);
    tern_till_give(rig->hub->till, 100 * GRAIN);
    close_account(rig, account);
}

/* Memory. */

static void one_of_each(struct rig *rig)
{
    rig->n_got = 0;
    rig_say(rig, GET);
    rig_say(rig, "POST /s HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc");
    rig_say(rig, "POST /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
                 "4\r\nabcd\r\n0\r\n\r\n");
    rig_say(rig, "POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n");
    rig_send(rig, rig_fill(), 100000);
    rig_say(rig, GET GET GET);
}

static void the_steady_state_allocates_nothing(void **state)
{
    struct rig *rig = rig_new();

    (void)state;
    rig->slice_bytes = 300000;
    rig_connect(rig);
    for (int i = 0; i < 5; i++)
        one_of_each(rig);
    long before = rig_allocs;
    for (int i = 0; i < 20; i++)
        one_of_each(rig);
    assert_int_equal(rig_allocs, before);
    /* New connections do not either: theirs is pooled. */
    for (int i = 0; i < 5; i++) {
        rig_connect(rig);
        one_of_each(rig);
    }
    assert_int_equal(rig_allocs, before);
    rig_free(rig);
}

static void an_idle_connection_is_small(void **state)
{
    struct rig *rig = rig_new();

    (void)state;
    rig_connect(rig);
    rig_say(rig, GET);
    struct tern_conn *conn = TERN_CONTAINER_OF(rig->hub->conns.next, struct tern_conn, link);
    assert_null(conn->in);
    assert_null(conn->queue_first);
    struct h1_shared *shared = rig->hub->h1_state;
    assert_true(rig->hub->pool_conn.size + shared->pool.size <= 1024);
    rig_free(rig);
}

static void a_quiet_server_gives_memory_back(void **state)
{
    struct rig *rig = rig_new();

    (void)state;
    rig_connect(rig);
    one_of_each(rig);
    assert_true(rig->hub->bodies_kept > 0);
    rig_after(rig, 6);
    rig_after(rig, 6);
    assert_int_equal(rig->hub->bodies_kept, 0);
    assert_int_equal(rig->hub->tidy.slot, 0);
    rig_free(rig);
}

/* Every allocation of a whole conversation fails once, and then all from there on: clean errors or
 * a closed connection, nothing leaks (ASan), and the next conversation works. */
static void conversation(struct rig *rig)
{
    rig_connect(rig);
    one_of_each(rig);
    rig->stream = 1;
    rig_say(rig, GET);
    rig->stream = 0;
    rig_hang_up(rig);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    for (int forever = 0; forever < 2; forever++) {
        for (long n = 0;; n++) {
            rig_allocs = 0;
            rig_fail_at = n;
            rig_fail_until = forever != 0 ? 1000000 : n + 1;
            struct rig *rig = rig_try_new();
            if (rig != NULL) {
                rig->slice_bytes = 900000;
                conversation(rig);
            }
            bool done = rig_allocs <= n;
            rig_fail_at = -1;
            if (rig != NULL) {
                conversation(rig);
                rig_connect(rig);
                rig->slice_bytes = 0;
                rig_say(rig, GET);
                rig_expect(rig, 200, "GET /a 0:");
                rig_free(rig);
            }
            if (done)
                break;
            assert_true(n < 1000);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_body_is_charged_as_it_comes),
        cmocka_unit_test(a_body_without_room_is_refused_by_its_head),
        cmocka_unit_test(what_was_begun_is_refused_at_the_limit),
        cmocka_unit_test(the_steady_state_allocates_nothing),
        cmocka_unit_test(an_idle_connection_is_small),
        cmocka_unit_test(a_quiet_server_gives_memory_back),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
