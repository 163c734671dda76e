#include "core/proto.h"

struct op_row {
    const char *label;
    enum tern_access access;
};

static const struct op_row op_rows[TERN_OP_COUNT] = {
#define X(name, label, access) [TERN_OP_##name] = {label, TERN_ACCESS_##access},
    TERN_OPS(X)
#undef X
};

const char *tern_op_label(enum tern_op op)
{
    return op_rows[op].label;
}

enum tern_access tern_op_access(enum tern_op op)
{
    return op_rows[op].access;
}
