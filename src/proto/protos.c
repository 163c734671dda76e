#include "proto/protos.h"

#include "proto/admin.h"
#include "proto/oip.h"

const struct tern_proto *const tern_protos[TERN_PROTOS_N] = {
    &tern_oip,
    &tern_admin,
};

const struct tern_proto *tern_protos_find(struct tern_str name)
{
    for (size_t i = 0; i < TERN_PROTOS_N; i++) {
        if (tern_str_eq(name, tern_str_of(tern_protos[i]->name)))
            return tern_protos[i];
    }
    return NULL;
}
