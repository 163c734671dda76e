/* What the files that write programs share.
 *
 *     emit.c         what there is to be written, and how much memory it takes
 *     emit_write.c   C: states, steps, values, and the whole
 *     emit_header.c  what users of the model include */
#ifndef TERN_ENGINE_NATIVE_EMIT_INT_H
#define TERN_ENGINE_NATIVE_EMIT_INT_H

#include "engine/native/emit.h"
#include "engine/native/program.h"

struct tern_emit {
    const struct tern_native_emit *emit;
    const struct tern_program *program; /* the steps that are needed, forests without heads */
    struct tern_native_emitted *ret;
    struct tern_buf *out;
    uint32_t *value_at; /* where a value is there; TERN_VALUE_NONE: nobody needs it */
    uint32_t n_values;
    size_t longest; /* text that the model has */
};

/* All of the source but its first lines. */
enum tern_code tern_emit_write(struct tern_emit *e, struct tern_err *err);
/* The model's functions, and the header that declares them. */
void tern_emit_functions(const struct tern_emit *e);
void tern_emit_header(const struct tern_emit *e, struct tern_buf *out);

/* As a C string: what a file says may hold anything. */
void tern_emit_string(struct tern_buf *out, struct tern_str s);

#endif
