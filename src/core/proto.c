#include "core/proto.h"

struct op_row {
    const char *label;
    enum tern_access access;
    enum tern_family family;
    enum tern_subject subject;
};

static const struct op_row op_rows[TERN_OP_COUNT] = {
#define X(name, label, access, family, subject) \
    [TERN_OP_##name] = {label, TERN_ACCESS_##access, TERN_FAMILY_##family, TERN_SUBJECT_##subject},
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

enum tern_family tern_op_family(enum tern_op op)
{
    return op_rows[op].family;
}

enum tern_subject tern_op_subject(enum tern_op op)
{
    return op_rows[op].subject;
}
