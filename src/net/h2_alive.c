/* How long a connection lives: whether its client is still there, whether it pings too much, and
 * the age at which it is asked to come again, so that clients spread out over the servers there
 * are. */
#include "net/h2_int.h"

void tern_h2_alive_start(struct tern_h2_conn *h, uint64_t now)
{
    uint64_t age = h->shared->hub->limits.h2_age_max_ns;

    h->read_ns = now;
    /* Connections that came together leave one by one: a tenth more or less, by the nanosecond in
     * which they came. */
    if (age > 0)
        h->age_ns = now + age - age / 10 + now % (age / 5 + 1);
}

void tern_h2_alive_read(struct tern_h2_conn *h, uint64_t now)
{
    h->read_ns = now;
    h->ping_ns = 0; /* any byte is as good as the answer to a PING */
}

static uint64_t sooner(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

uint64_t tern_h2_alive_due(const struct tern_h2_conn *h)
{
    const struct tern_net_limits *limits = &h->shared->hub->limits;
    uint64_t due = UINT64_MAX;

    if (h->age_ns > 0)
        due = sooner(due, h->age_ns);
    if (h->cut_ns > 0)
        due = sooner(due, h->cut_ns);
    if (h->ping_ns > 0)
        due = sooner(due, h->ping_ns + limits->h2_keepalive_timeout_ns);
    else if (limits->h2_keepalive_ns > 0)
        due = sooner(due, h->read_ns + limits->h2_keepalive_ns);
    return due;
}

bool tern_h2_alive_check(struct tern_h2_conn *h, uint64_t now)
{
    static const uint8_t opaque[8] = "alive";
    const struct tern_net_limits *limits = &h->shared->hub->limits;

    if (h->ping_ns > 0 && now - h->ping_ns >= limits->h2_keepalive_timeout_ns) {
        tern_conn_abort(h->conn); /* there is nobody to say goodbye to */
        return false;
    }
    if (h->cut_ns > 0 && now >= h->cut_ns) {
        tern_conn_shutdown(h->conn);
        return false;
    }
    if (h->age_ns > 0 && now >= h->age_ns) {
        h->age_ns = 0;
        h->cut_ns = limits->h2_age_grace_ns > 0 ? now + limits->h2_age_grace_ns : 0;
        tern_mux_h2_drain_start(h);
    }
    if (h->ping_ns == 0 && limits->h2_keepalive_ns > 0 &&
        now - h->read_ns >= limits->h2_keepalive_ns) {
        nghttp2_submit_ping(h->session, NGHTTP2_FLAG_NONE, opaque);
        h->ping_ns = now;
    }
    return true;
}

void tern_h2_alive_busy(struct tern_h2_conn *h)
{
    h->client_ping_ns = 0;
    h->strikes = 0;
}

void tern_h2_alive_client_ping(struct tern_h2_conn *h)
{
    static const char reason[] = "too_many_pings"; /* gRPC's clients look for it: they ping less */
    const struct tern_net_limits *limits = &h->shared->hub->limits;
    uint64_t now = tern_loop_now_ns(h->shared->hub->loop);
    uint64_t last = h->client_ping_ns;

    if (h->n_open > 0)
        return; /* a client that waits for an answer may ask whether we are there */
    h->client_ping_ns = now;
    if (last == 0 || now - last >= limits->h2_ping_interval_ns)
        return;
    if (++h->strikes <= limits->h2_ping_strikes_max || h->drain == TERN_H2_DRAIN_FINAL)
        return;
    h->drain = TERN_H2_DRAIN_FINAL;
    nghttp2_submit_goaway(h->session, NGHTTP2_FLAG_NONE,
                          nghttp2_session_get_last_proc_stream_id(h->session),
                          NGHTTP2_ENHANCE_YOUR_CALM, (const uint8_t *)reason, sizeof(reason) - 1);
}
