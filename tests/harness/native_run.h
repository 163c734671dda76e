/* A model file through a format of the native engine: loaded, and run on rows of numbers. */
#ifndef TERN_TESTS_NATIVE_RUN_H
#define TERN_TESTS_NATIVE_RUN_H

#include <stdlib.h>
#include <string.h>
#include "engine/native/format.h"

struct native_run {
    struct tern_arena arena;
    struct tern_program program;
};

/* The bytes are given as an engine gives them: a copy that ends with its padding, so that a
 * sanitizer sees who reads on. */
static inline enum tern_code native_run_load(struct native_run *run,
                                             const struct tern_native_format *format,
                                             struct tern_str bytes, struct tern_err *err)
{
    char *copy = calloc(1, bytes.n + TERN_NATIVE_PAD);
    enum tern_code code;

    if (copy == NULL)
        abort();
    if (bytes.n > 0)
        memcpy(copy, bytes.p, bytes.n);
    tern_arena_init(&run->arena, 1024, (size_t)1 << 28);
    tern_program_begin(&run->program, &run->arena);
    const struct tern_native_source source = {
        .bytes = tern_str_make(copy, bytes.n), .path = "model", .arena = &run->arena};
    code = format->load(&source, &run->program, err);
    if (code == TERN_OK)
        code = tern_program_finish(&run->program, err);
    free(copy);
    return code;
}

/* rows: n of them, of the only input's width and datatype. The answer lies in the arena. */
static inline enum tern_code native_run_rows(struct native_run *run, const void *rows, size_t n,
                                             struct tern_tensor *ret, struct tern_err *err)
{
    const struct tern_tensor_spec *spec = &run->program.inputs[0];
    struct tern_tensor in = {
        .name = spec->name, .dtype = spec->dtype, .data = (void *)(uintptr_t)rows};
    const uint32_t first = 0;

    in.shape = (struct tern_shape){2, {(int64_t)n, spec->shape.dim[1]}};
    in.n_bytes = n * (size_t)spec->shape.dim[1] * tern_dtype_size(spec->dtype);
    memset(ret, 0, sizeof(*ret));
    ret->name = run->program.outputs[0].name;
    const struct tern_engine_run wanted = {.inputs = &in,
                                           .input_spec = &first,
                                           .n_inputs = 1,
                                           .outputs = ret,
                                           .output_spec = &first,
                                           .n_outputs = 1,
                                           .arena = &run->arena};
    return tern_program_run(&run->program, &wanted, err);
}

static inline void native_run_end(struct native_run *run)
{
    tern_arena_fini(&run->arena);
}

#endif
