#include "proto/protos.h"

#include <stdio.h>
#include "proto/admin.h"
#include "proto/grpc_health.h"
#include "proto/grpc_reflection.h"
#include "proto/kserve_graph.h"
#include "proto/kserve_v1.h"
#include "proto/oip.h"
#include "proto/oip_grpc.h"
#include "proto/seldon.h"
#include "proto/vertex.h"

const struct tern_proto *const tern_protos[TERN_PROTOS_N] = {
    &tern_oip,          &tern_oip_grpc, &tern_admin,     &tern_grpc_health, &tern_grpc_reflection,
    &tern_kserve_graph, &tern_seldon,   &tern_kserve_v1, &tern_vertex,
};

static size_t index_of(struct tern_str name)
{
    size_t i = 0;

    while (i < TERN_PROTOS_N && !tern_str_eq(name, tern_str_of(tern_protos[i]->name)))
        i++;
    return i;
}

static enum tern_code fail_name(struct tern_str name, struct tern_err *err)
{
    char known[256] = "";
    size_t n = 0;

    for (size_t i = 0; i < TERN_PROTOS_N && n < sizeof(known); i++)
        n += (size_t)snprintf(known + n, sizeof(known) - n, "%s%s", i == 0 ? "" : ", ",
                              tern_protos[i]->name);
    return tern_fail(err, TERN_INVALID_ARGUMENT, "no such dialect: \"%.*s\", expected of: %s",
                     TERN_STR_ARG(name), known);
}

void tern_protos_print(uint32_t mask, struct tern_buf *out)
{
    const char *comma = "";

    for (uint32_t i = 0; i < TERN_PROTOS_N; i++) {
        if (mask != 0 && (mask >> i & 1) == 0)
            continue;
        tern_buf_printf(out, "%s%s", comma, tern_protos[i]->name);
        comma = ",";
    }
}

enum tern_code tern_protos_mask(const struct tern_str *names, uint32_t n, uint32_t *ret_mask,
                                struct tern_err *err)
{
    *ret_mask = 0;
    for (uint32_t i = 0; i < n; i++) {
        size_t at = index_of(names[i]);
        if (at == TERN_PROTOS_N)
            return fail_name(names[i], err);
        *ret_mask |= UINT32_C(1) << at;
    }
    return TERN_OK;
}
