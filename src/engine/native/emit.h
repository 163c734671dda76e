/* Writes a program as C: one file of constants that is compiled with the sources that run programs
 * here (src/edge/edge.h), so that nothing is evaluated in a second way. */
#ifndef TERN_ENGINE_NATIVE_EMIT_H
#define TERN_ENGINE_NATIVE_EMIT_H

#include <stdint.h>
#include "base/arena.h"
#include "base/buf.h"
#include "base/dtype.h"

struct tern_program;

struct tern_native_emit {
    const struct tern_program *program;
    const char *name;      /* what C calls the model: "iris" */
    struct tern_str title; /* what people call it */
    int64_t version;
    uint32_t output;          /* which of the program's */
    uint32_t rows;            /* that are run at once, at least 1 */
    bool halves;              /* forests' values are stored as halves */
    struct tern_arena *arena; /* for working memory */
};

/* What came of it. */
struct tern_native_emitted {
    uint32_t n_features; /* elements of a row */
    uint32_t n_outputs;  /* elements of its answer */
    enum tern_dtype in, out;
    size_t model_bytes;   /* of constants */
    size_t working_bytes; /* of memory that a run takes */
};

/* source: the constants and the functions of the header; header: what its users include.
 * UNIMPLEMENTED names what has no such form: an operator, several inputs, a datatype. */
enum tern_code tern_native_emit(const struct tern_native_emit *emit,
                                struct tern_native_emitted *ret, struct tern_buf *source,
                                struct tern_buf *header, struct tern_err *err);

#endif
