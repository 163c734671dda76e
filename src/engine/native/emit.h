/* Writes a program as C: one file of constants that is compiled with the sources that run programs
 * here (src/edge/edge.h), so that nothing is evaluated in a second way. Nothing here knows what an
 * operator does: state.h says what its state is. */
#ifndef TERN_ENGINE_NATIVE_EMIT_H
#define TERN_ENGINE_NATIVE_EMIT_H

#include <stdint.h>
#include "base/arena.h"
#include "base/buf.h"
#include "core/tensor.h"

struct tern_program;

/* What a model takes or gives: so many elements a row, numbers or texts. */
struct tern_native_port {
    struct tern_str name; /* the program's */
    enum tern_dtype dtype;
    struct tern_shape shape; /* of one row: dim[0] is 1 */
    uint32_t n;
};

struct tern_native_emit {
    const struct tern_program *program;
    const char *name;      /* what C calls the model: "iris" */
    struct tern_str title; /* what people call it */
    int64_t version;
    uint32_t output; /* which of the program's */
    uint32_t rows;   /* that are run at once, at least 1 */
    bool halves;     /* forests' values are stored as halves */
    /* Rows that the model takes, one tensor an input: what a run takes is measured with them. */
    const struct tern_tensor *samples;
    uint32_t n_samples;       /* at least 1 */
    struct tern_arena *arena; /* for working memory */
};

/* What came of it. */
struct tern_native_emitted {
    struct tern_native_port *inputs; /* the program's n_inputs; arena */
    uint32_t n_inputs;
    struct tern_native_port output;
    uint32_t n_columns;   /* elements of a row of all inputs */
    uint32_t rows;        /* that are run at once; 1: the model takes no more */
    size_t text_bytes;    /* of a text, with its end; 0: there are none */
    size_t model_bytes;   /* of constants */
    size_t working_bytes; /* of memory that a run takes */
    /* The sources of the operators that are used, each once, by their names here: "op_scale.c";
     * arena. */
    const struct tern_str *sources;
    uint32_t n_sources;
};

/* What the program takes: before there is a row. Answers inputs, n_inputs, n_columns and rows. */
enum tern_code tern_native_ports(const struct tern_native_emit *emit,
                                 struct tern_native_emitted *ret, struct tern_err *err);

/* source: the constants and the functions of the header; header: what its users include.
 * UNIMPLEMENTED names what has no such form: an operator, a datatype. `ret` has the ports. */
enum tern_code tern_native_emit(const struct tern_native_emit *emit,
                                struct tern_native_emitted *ret, struct tern_buf *source,
                                struct tern_buf *header, struct tern_err *err);

#endif
