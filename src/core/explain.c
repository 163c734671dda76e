#include "core/explain.h"

#include "base/compiler.h"

static const char *const names[] = {
#define X(name, text) text,
    TERN_EXPLAIN_METHODS(X)
#undef X
};

const char *tern_explain_method_name(enum tern_explain_method method)
{
    return names[method];
}

bool tern_explain_method_find(struct tern_str name, enum tern_explain_method *ret)
{
    for (unsigned i = 0; i < TERN_COUNT_OF(names); i++) {
        if (tern_str_eq(name, tern_str_of(names[i]))) {
            *ret = (enum tern_explain_method)i;
            return true;
        }
    }
    return false;
}
