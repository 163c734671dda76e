#include "proto/admin.h"

#include "proto/oip_int.h"

/* call->text lives as long as the exchange, so it goes out as it lies. */
static enum tern_code encode_text(struct tern_call *call, struct tern_str type,
                                  struct tern_err *err)
{
    struct tern_exchange *x = call->x;
    struct tern_slice *slice =
        tern_arena_alloc(call->arena, _Alignof(struct tern_slice), sizeof(*slice));

    if (slice == NULL)
        return tern_arena_fail(call->arena, err, "the response");
    *slice = (struct tern_slice){call->text.p, call->text.n};
    tern_exchange_body(x);
    x->status = 200;
    x->response_type = type;
    x->slices = slice;
    x->n_slices = 1;
    x->allow_compression = true;
    return TERN_OK;
}

static enum tern_code encode_welcome(struct tern_call *call, struct tern_err *err)
{
    return encode_text(call, TERN_STR("text/plain; charset=utf-8"), err);
}

static enum tern_code encode_metrics(struct tern_call *call, struct tern_err *err)
{
    return encode_text(call, TERN_STR("text/plain; version=0.0.4; charset=utf-8"), err);
}

// clang-format off
static const struct tern_route routes[] = {
    TERN_ROUTE(GET, "/", WELCOME, NULL, encode_welcome,
               "This list"),
    TERN_ROUTE(GET, "/livez", SERVER_LIVE, NULL, tern_oip_encode_live,
               "200 while the process answers"),
    TERN_ROUTE(GET, "/readyz", SERVER_READY, NULL, tern_oip_encode_ready,
               "200 when requests can be served, else 503"),
    TERN_ROUTE(GET, "/metrics", METRICS, NULL, encode_metrics,
               "Metrics in Prometheus' text form"),
};
// clang-format on

const struct tern_proto tern_admin = {
    .name = "admin",
    .help = "The server's own pages",
    .routes = routes,
    .n_routes = TERN_COUNT_OF(routes),
    .encode_error = tern_oip_encode_error,
};
