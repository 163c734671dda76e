/* gRPC's health protocol (github.com/grpc/grpc/blob/master/doc/health-checking.md). A service is
 * the server ("", or one of those it serves) or a model by its name. */
#include "proto/grpc_health.h"

#include "proto/grpc.h"
#include "proto/grpc_descriptors.h"
#include "wire/pb.h"

static bool is_our_service(struct tern_str name)
{
    for (uint32_t i = 0; i < tern_grpc_n_services; i++) {
        if (tern_str_eq(name, tern_str_of(tern_grpc_services[i])))
            return true;
    }
    return false;
}

/* HealthCheckRequest: service = 1 */
static enum tern_code decode_service(struct tern_call *call, struct tern_err *err)
{
    struct tern_str service = {NULL, 0};

    TERN_TRY(tern_pb_find_text(call->message, 1, "service", &service, err));
    if (service.n == 0 || is_our_service(service))
        return TERN_OK;
    call->model = tern_arena_copy(call->arena, service); /* a watch outlives its message */
    return call->model.p == NULL ? tern_arena_fail(call->arena, err, "the service") : TERN_OK;
}

/* HealthCheckResponse: status = 1 */
static enum tern_code encode_status(struct tern_call *call, struct tern_err *err)
{
    struct tern_buf *out = call->x->out;

    tern_pb_add_varint_unless_zero(out, 1, (uint64_t)call->serving);
    return tern_buf_check(out, "the response", err);
}

static enum tern_code encode_check(struct tern_call *call, struct tern_err *err)
{
    if (call->serving == TERN_SERVING_NO_SUCH)
        return tern_fail(err, TERN_NOT_FOUND, "service: expected the name of a model, got '%.*s'",
                         TERN_STR_ARG(call->model));
    return encode_status(call, err);
}

// clang-format off
static const struct tern_route routes[] = {
    TERN_GRPC_ROUTE("/grpc.health.v1.Health/Check", HEALTH_WATCH, decode_service, encode_check,
                    "Whether the server, or a model, can serve"),
    TERN_GRPC_STREAM("/grpc.health.v1.Health/Watch", HEALTH_WATCH, ANSWER, decode_service, encode_status,
                     "The same now, and on each change"),
};
// clang-format on

const struct tern_proto tern_grpc_health = {
    .name = "grpc_health",
    .help = "gRPC health checking",
    .routes = routes,
    .n_routes = TERN_COUNT_OF(routes),
    TERN_GRPC_PROTO,
};
