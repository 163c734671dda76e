#include "net/hub.h"

#include <assert.h>
#include <string.h>
#include <time.h>
#include "base/clock.h"
#include "base/mem.h"
#include "net/conn.h"

#define OUT_MAX         (256u << 20) /* one answer's bytes outside slices */
#define OUT_KEPT        (256u << 10) /* of the scratch, while quiet */
#define TIDY_NS         (5ull * TERN_NS_PER_S)
#define POOL_CONNS      1024
#define POOL_RBUFS      256
#define POOL_CHUNKS     64
#define POOL_PIECES     256
#define POOL_KEPT_QUIET 4

static void on_reap(struct tern_loop_task *task);
static void on_tidy(struct tern_loop_timer *timer);

enum tern_code tern_hub_new(const struct tern_hub_config *config, struct tern_hub **ret_hub,
                            struct tern_err *err)
{
    struct tern_hub *hub = tern_mem_zalloc(1, sizeof(*hub));
    if (hub == NULL)
        return tern_mem_fail(err, "the connections of an event loop", sizeof(*hub));
    hub->loop = config->loop;
    hub->handler = config->handler;
    hub->limits = *config->limits;
    hub->h1 = config->h1;
    hub->h2 = config->h2;
    hub->conns_all = config->conns;
    hub->till = config->till;
    hub->reap.run = on_reap;
    hub->tidy.on_due = on_tidy;
    tern_list_init(&hub->conns);
    tern_list_init(&hub->closing);
    tern_list_init(&hub->dead);
    tern_buf_init(&hub->out, OUT_MAX);
    tern_pool_init(&hub->pool_conn, sizeof(struct tern_conn), POOL_CONNS);
    tern_pool_init(&hub->pool_rbuf, TERN_RBUF_SIZE, POOL_RBUFS);
    tern_pool_init(&hub->pool_chunk, TERN_CHUNK_SIZE, POOL_CHUNKS);
    tern_pool_init(&hub->pool_piece, sizeof(struct tern_piece), POOL_PIECES);
    *ret_hub = hub;
    return TERN_OK;
}

/* A free body buffer begins with the link to the next of its class. */
struct tern_body_link {
    struct tern_body_link *next;
};

static char *pop_body(struct tern_hub *hub, unsigned class)
{
    struct tern_body_link *link = hub->bodies[class];

    hub->bodies[class] = link->next;
    hub->bodies_kept -= (size_t)TERN_BODY_CLASS_MIN << class;
    return (char *)link;
}

static void free_bodies(struct tern_hub *hub)
{
    for (unsigned i = 0; i < TERN_BODY_CLASSES; i++) {
        while (hub->bodies[i] != NULL)
            tern_mem_free(pop_body(hub, i));
    }
}

void tern_hub_free(struct tern_hub *hub)
{
    if (hub == NULL)
        return;
    on_reap(&hub->reap);
    assert(tern_list_is_empty(&hub->conns));
    tern_loop_timer_stop(hub->loop, &hub->tidy);
    if (hub->h1 != NULL && hub->h1->hub_fini != NULL)
        hub->h1->hub_fini(hub);
    if (hub->h2 != NULL && hub->h2->hub_fini != NULL)
        hub->h2->hub_fini(hub);
    free_bodies(hub);
    tern_buf_fini(&hub->out);
    tern_pool_fini(&hub->pool_conn);
    tern_pool_fini(&hub->pool_rbuf);
    tern_pool_fini(&hub->pool_chunk);
    tern_pool_fini(&hub->pool_piece);
    tern_mem_free(hub);
}

/* Life of connections. */

static void on_reap(struct tern_loop_task *task)
{
    struct tern_hub *hub = TERN_CONTAINER_OF(task, struct tern_hub, reap);
    struct tern_list *link;

    hub->reap_asked = false;
    while ((link = tern_list_pop(&hub->closing)) != NULL) {
        tern_list_append(&hub->conns, link);
        tern_conn_settle(TERN_CONTAINER_OF(link, struct tern_conn, link));
    }
    while ((link = tern_list_pop(&hub->dead)) != NULL)
        tern_conn_free(TERN_CONTAINER_OF(link, struct tern_conn, link));
}

void tern_hub_reap_later(struct tern_hub *hub)
{
    if (hub->reap_asked)
        return;
    hub->reap_asked = true;
    tern_loop_defer(hub->loop, &hub->reap);
}

void tern_hub_drain(struct tern_hub *hub)
{
    hub->draining = true;
    for (struct tern_list *at = hub->conns.next, *next; at != &hub->conns; at = next) {
        next = at->next;
        tern_conn_drain(TERN_CONTAINER_OF(at, struct tern_conn, link));
    }
}

void tern_hub_abort_all(struct tern_hub *hub)
{
    for (struct tern_list *at = hub->conns.next, *next; at != &hub->conns; at = next) {
        next = at->next;
        tern_conn_abort(TERN_CONTAINER_OF(at, struct tern_conn, link));
    }
    while (!tern_list_is_empty(&hub->closing))
        tern_conn_abort(TERN_CONTAINER_OF(hub->closing.next, struct tern_conn, link));
}

bool tern_hub_is_idle(const struct tern_hub *hub)
{
    const struct tern_net_counters *c = &hub->counters;

    /* Ends are read before beginnings: what begins in between is seen. */
    return atomic_load(&c->conns_closed) == atomic_load(&c->conns_opened) &&
           atomic_load(&c->exchanges_ended) == atomic_load(&c->exchanges_begun);
}

/* Memory. */

/* What a burst left in the pools goes back to the system once a whole period saw no request. The
 * timer runs only while there may be something to give back: an idle server sleeps. */
void tern_hub_tidy_later(struct tern_hub *hub)
{
    if (hub->tidy.slot == 0)
        tern_loop_timer_start(hub->loop, &hub->tidy, TIDY_NS);
}

static void on_tidy(struct tern_loop_timer *timer)
{
    struct tern_hub *hub = TERN_CONTAINER_OF(timer, struct tern_hub, tidy);
    uint64_t requests = atomic_load_explicit(&hub->counters.requests, memory_order_relaxed);

    if (requests != hub->tidy_requests) {
        hub->tidy_requests = requests;
        tern_loop_timer_start(hub->loop, &hub->tidy, TIDY_NS);
        return;
    }
    free_bodies(hub);
    tern_buf_clear(&hub->out);
    tern_buf_shrink(&hub->out, OUT_KEPT);
    tern_pool_trim(&hub->pool_rbuf, POOL_KEPT_QUIET);
    tern_pool_trim(&hub->pool_chunk, POOL_KEPT_QUIET);
    tern_pool_trim(&hub->pool_piece, POOL_KEPT_QUIET);
    tern_pool_trim(&hub->pool_conn, POOL_KEPT_QUIET);
    if (hub->h1 != NULL && hub->h1->hub_tidy != NULL)
        hub->h1->hub_tidy(hub);
    if (hub->h2 != NULL && hub->h2->hub_tidy != NULL)
        hub->h2->hub_tidy(hub);
}

#define RBUF_EXTRA (sizeof(struct tern_rbuf) + TERN_TEXT_PAD)

struct tern_rbuf *tern_hub_rbuf_take(struct tern_hub *hub, size_t cap)
{
    struct tern_rbuf *rbuf;

    if (cap <= TERN_RBUF_SIZE - RBUF_EXTRA) {
        cap = TERN_RBUF_SIZE - RBUF_EXTRA;
        rbuf = tern_pool_take(&hub->pool_rbuf);
    } else {
        assert(cap <= UINT32_MAX - RBUF_EXTRA);
        rbuf = tern_mem_alloc(cap + RBUF_EXTRA);
    }
    if (rbuf == NULL)
        return NULL;
    rbuf->refs = 1;
    rbuf->cap = (uint32_t)cap;
    tern_hub_tidy_later(hub);
    return rbuf;
}

void tern_hub_rbuf_unref(struct tern_hub *hub, struct tern_rbuf *rbuf)
{
    if (rbuf == NULL || --rbuf->refs > 0)
        return;
    if (rbuf->cap == TERN_RBUF_SIZE - RBUF_EXTRA)
        tern_pool_give(&hub->pool_rbuf, rbuf);
    else
        tern_mem_free(rbuf);
}

/* Sizes double from class to class, so that a buffer fits the next request of about that size. */
static unsigned body_class(size_t n)
{
    unsigned c = 0;

    while (c < TERN_BODY_CLASSES && ((size_t)TERN_BODY_CLASS_MIN << c) < n)
        c++;
    return c;
}

char *tern_hub_body_take(struct tern_hub *hub, size_t n, size_t *ret_cap)
{
    unsigned c = body_class(n);
    size_t cap = c < TERN_BODY_CLASSES ? (size_t)TERN_BODY_CLASS_MIN << c : n;
    char *body;

    if (cap > SIZE_MAX - TERN_TEXT_PAD)
        return NULL;
    if (c < TERN_BODY_CLASSES && hub->bodies[c] != NULL)
        body = pop_body(hub, c);
    else
        body = tern_mem_alloc_aligned(TERN_CACHE_LINE, cap + TERN_TEXT_PAD);
    if (body != NULL)
        *ret_cap = cap;
    return body;
}

void tern_hub_body_give(struct tern_hub *hub, char *body, size_t cap)
{
    if (body == NULL)
        return;
    unsigned c = body_class(cap);
    if (c >= TERN_BODY_CLASSES || cap > TERN_BODY_KEPT_MAX - hub->bodies_kept) {
        tern_mem_free(body);
        return;
    }
    struct tern_body_link *link = (struct tern_body_link *)(void *)body;
    link->next = hub->bodies[c];
    hub->bodies[c] = link;
    hub->bodies_kept += cap;
    tern_hub_tidy_later(hub);
}

/* The date. */

static void put2(char *at, int v)
{
    at[0] = (char)('0' + v / 10 % 10);
    at[1] = (char)('0' + v % 10);
}

struct tern_str tern_hub_date(struct tern_hub *hub)
{
    static const char days[] = "SunMonTueWedThuFriSat";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    uint64_t now = tern_loop_now_ns(hub->loop);
    struct tm tm;

    if (TERN_LIKELY(now < hub->date_due_ns))
        return tern_str_make(hub->date, TERN_DATE_SIZE);
    uint64_t wall = tern_clock_wall_ns();
    time_t seconds = (time_t)(wall / TERN_NS_PER_S);
    gmtime_r(&seconds, &tm);
    memcpy(hub->date, "Xxx, 00 Xxx 0000 00:00:00 GMT", TERN_DATE_SIZE);
    memcpy(hub->date, days + (size_t)tm.tm_wday * 3, 3);
    put2(hub->date + 5, tm.tm_mday);
    memcpy(hub->date + 8, months + (size_t)tm.tm_mon * 3, 3);
    put2(hub->date + 12, (tm.tm_year + 1900) / 100);
    put2(hub->date + 14, (tm.tm_year + 1900) % 100);
    put2(hub->date + 17, tm.tm_hour);
    put2(hub->date + 20, tm.tm_min);
    put2(hub->date + 23, tm.tm_sec);
    hub->date_due_ns = now + TERN_NS_PER_S - wall % TERN_NS_PER_S;
    return tern_str_make(hub->date, TERN_DATE_SIZE);
}
