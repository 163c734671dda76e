#include "proto/seldon.h"

#include "proto/kserve_graph.h"
#include "proto/oip_int.h"

/* {"status": {"code": 400, "info": "...", "reason": "INVALID_ARGUMENT", "status": "FAILURE"}} */
static void encode_error(struct tern_exchange *x, const struct tern_err *err)
{
    int status = tern_err_http_status(err);
    struct tern_buf *out = tern_oip_begin_json(x, status);

    tern_buf_printf(out, "{\"status\":{\"code\":%d,\"info\":", status);
    tern_json_add_string(out, tern_str_of(err->text));
    tern_buf_printf(out, ",\"reason\":\"%s\",\"status\":\"FAILURE\"}}", tern_code_name(err->code));
}

/* Who asks a path of Seldon's gets an error of Seldon's. */
static bool claims(const struct tern_exchange *x)
{
    return tern_str_starts(x->path, TERN_STR("/seldon/")) ||
           tern_str_starts(x->path, TERN_STR("/api/v1.0/")) ||
           tern_str_starts(x->path, TERN_STR("/api/v0.1/"));
}

#define NAMED "/seldon/{name}/{model}"

// clang-format off
static const struct tern_route routes[] = {
    TERN_ROUTE(POST, "/api/v1.0/predictions", GRAPH, tern_seldon_decode_document, tern_graph_encode,
               "A message through the listener's tree, or the only one"),
    TERN_ROUTE(POST, "/api/v0.1/predictions", GRAPH, tern_seldon_decode_document, tern_graph_encode,
               "The same, as older clients ask"),
    TERN_ROUTE(POST, "/api/v1.0/feedback", FEEDBACK, tern_seldon_decode_document, tern_graph_encode,
               "A reward for what it answered"),
    TERN_ROUTE(POST, "/api/v0.1/feedback", FEEDBACK, tern_seldon_decode_document, tern_graph_encode,
               "The same, as older clients ask"),
    TERN_ROUTE(POST, NAMED "/api/v1.0/predictions", INFER, tern_seldon_decode, tern_seldon_encode,
               "A message to a model or through a tree, as through Seldon's ingress"),
    TERN_ROUTE(POST, NAMED "/api/v0.1/predictions", INFER, tern_seldon_decode, tern_seldon_encode,
               "The same, as older clients ask"),
    TERN_ROUTE(POST, NAMED "/api/v1.0/feedback", FEEDBACK, tern_seldon_decode_document, tern_graph_encode,
               "A reward for what a tree answered"),
    TERN_ROUTE(POST, NAMED "/api/v0.1/feedback", FEEDBACK, tern_seldon_decode_document, tern_graph_encode,
               "The same, as older clients ask"),
    TERN_ROUTE(GET, "/api/v1.0/health/status", SERVER_READY, NULL, tern_oip_encode_ready,
               "200 when requests can be served, else 503"),
};
// clang-format on

const struct tern_proto tern_seldon = {
    .name = "seldon",
    .help = "Seldon Core v1 over REST: trees of units, and single models",
    .routes = routes,
    .n_routes = TERN_COUNT_OF(routes),
    .claims = claims,
    .encode_error = encode_error,
};
