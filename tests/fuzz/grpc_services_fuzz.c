/* The first byte picks a method of a gRPC service, the rest is one message for it. What is accepted
 * lies inside the message; an answer that can be made from it alone is one that reads. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "harness/fake_exchange.h"
#include "harness/fuzz_require.h"
#include "proto/grpc_health.h"
#include "proto/grpc_reflection.h"
#include "proto/oip_grpc.h"
#include "wire/pb.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct tern_route *pick(unsigned i)
{
    static const struct tern_proto *const protos[] = {&tern_oip_grpc, &tern_grpc_health,
                                                      &tern_grpc_reflection};
    unsigned n = 0;

    for (size_t j = 0; j < TERN_COUNT_OF(protos); j++)
        n += protos[j]->n_routes;
    i %= n;
    for (size_t j = 0;; i -= protos[j++]->n_routes) {
        if (i < protos[j]->n_routes)
            return &protos[j]->routes[i];
    }
}

/* Answers whose content is the request's own. */
static bool mirrors(const struct tern_call *call)
{
    return call->op == TERN_OP_REFLECTION || call->op == TERN_OP_TRACE_UPDATE ||
           call->op == TERN_OP_LOG_UPDATE;
}

static void read_fields(struct tern_str message, uint32_t *ret_n)
{
    struct tern_pb pb;
    struct tern_pb_field field;
    bool more;

    *ret_n = 0;
    tern_pb_init(&pb, message);
    for (;;) {
        require(tern_pb_next(&pb, &field, &more, NULL) == TERN_OK);
        if (!more)
            return;
        ++*ret_n;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fake_exchange fake;
    struct tern_err err = {0};
    uint32_t n;

    if (size == 0)
        return 0;
    const struct tern_route *route = pick(data[0]);
    fake_init(&fake);
    fake_body(&fake, data + 1, size - 1);
    tern_exchange_body(&fake.x);
    fake.call.message = fake.x.body;
    fake.call.op = route->op;
    enum tern_code code = route->decode == NULL ? TERN_OK : route->decode(&fake.call, &err);
    require(code == TERN_OK || (err.code == code && err.text[0] != '\0'));
    if (code == TERN_OK && mirrors(&fake.call)) {
        require(route->encode(&fake.call, &err) == TERN_OK);
        read_fields(fake_response(&fake), &n);
        if (fake.call.op != TERN_OP_REFLECTION)
            require(n == fake.call.settings.n);
    }
    fake_fini(&fake);
    return 0;
}
