#include "proto/kserve_graph.h"

#include "proto/oip_int.h"

enum tern_code tern_graph_encode(struct tern_call *call, struct tern_err *err)
{
    const struct tern_document *document = &call->document;
    struct tern_exchange *x = call->x;
    struct tern_slice *slice =
        tern_arena_alloc(call->arena, _Alignof(struct tern_slice), sizeof(*slice));
    struct tern_str type = tern_arena_copy(call->arena, document->type);

    if (slice == NULL || (type.p == NULL && document->type.n > 0))
        return tern_arena_fail(call->arena, err, "the response");
    *slice = (struct tern_slice){document->bytes.p, document->bytes.n};
    tern_exchange_body(x);
    x->status = document->status;
    x->response_type = type.n > 0 ? type : TERN_STR("application/json");
    x->slices = slice;
    x->n_slices = 1;
    x->allow_compression = true;
    return TERN_OK;
}

/* {"error": "...", "cause": "..."} */
static void encode_error(struct tern_exchange *x, const struct tern_err *err)
{
    struct tern_buf *out = tern_oip_begin_json(x, tern_err_http_status(err));

    TERN_BUF_ADD_LITERAL(out, "{\"error\":\"Failed to process request\",\"cause\":");
    tern_json_add_string(out, tern_str_of(err->text));
    tern_buf_add_char(out, '}');
}

// clang-format off
static const struct tern_route routes[] = {
    TERN_ROUTE(POST, "/", GRAPH, NULL, tern_graph_encode,
               "A document through the listener's graph, or the only one"),
    TERN_ROUTE(POST, "/graphs/{model}", GRAPH, NULL, tern_graph_encode,
               "A document through a graph"),
    TERN_ROUTE(POST, "/graphs/{model}/versions/{version}", GRAPH, NULL, tern_graph_encode,
               "The same by one version"),
};
// clang-format on

const struct tern_proto tern_kserve_graph = {
    .name = "graph",
    .help = "Graphs of documents, as KServe's InferenceGraph router serves them",
    .routes = routes,
    .n_routes = TERN_COUNT_OF(routes),
    .encode_error = encode_error,
};
