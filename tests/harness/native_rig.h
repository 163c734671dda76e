/* A model file of the native engine in memory: loaded by one format, then run. The file's bytes lie
 * in memory of exactly their size and are gone once it was loaded. */
#ifndef TERN_TESTS_NATIVE_RIG_H
#define TERN_TESTS_NATIVE_RIG_H

#include <stdlib.h>
#include <string.h>
#include "engine/native/format.h"

struct native_rig {
    struct tern_arena arena;
    struct tern_program program;
    struct tern_err err;
};

/* Also after a failure native_free is called. first_size: of the program's memory. */
static inline enum tern_code native_load_in(struct native_rig *rig,
                                            const struct tern_native_format *format,
                                            struct tern_str file, size_t first_size)
{
    char *bytes = calloc(1, file.n + TERN_NATIVE_PAD);
    struct tern_native_source source = {.path = "model", .arena = &rig->arena};

    memset(rig, 0, sizeof(*rig));
    tern_arena_init(&rig->arena, first_size, 64u << 20);
    tern_program_begin(&rig->program, &rig->arena);
    if (bytes == NULL)
        abort();
    if (file.n != 0)
        memcpy(bytes, file.p, file.n);
    source.bytes = tern_str_make(bytes, file.n);
    enum tern_code code = format->load(&source, &rig->program, &rig->err);
    free(bytes);
    return code == TERN_OK ? tern_program_finish(&rig->program, &rig->err) : code;
}

static inline enum tern_code
native_load(struct native_rig *rig, const struct tern_native_format *format, struct tern_str file)
{
    return native_load_in(rig, format, file, 4096);
}

static inline void native_free(struct native_rig *rig)
{
    tern_arena_fini(&rig->arena);
}

/* Of the first input, where the file says it. */
static inline size_t native_width(const struct native_rig *rig)
{
    return (size_t)rig->program.inputs[0].shape.dim[1];
}

/* Runs the first input, n rows of k elements, to one output, which lies in the rig's arena. */
static inline enum tern_code native_run_output(struct native_rig *rig, const void *rows, size_t n,
                                               size_t k, uint32_t output, struct tern_tensor *ret)
{
    static const uint32_t first = 0;
    const struct tern_tensor_spec *spec = &rig->program.inputs[0];
    size_t size = n * k * tern_dtype_size(spec->dtype);
    void *copy = tern_arena_alloc(&rig->arena, 64, size == 0 ? 1 : size);
    const struct tern_tensor input = {.name = spec->name,
                                      .dtype = spec->dtype,
                                      .shape = {2, {(int64_t)n, (int64_t)k}},
                                      .data = copy,
                                      .n_bytes = size};
    const struct tern_engine_run run = {.inputs = &input,
                                        .input_spec = &first,
                                        .n_inputs = 1,
                                        .outputs = ret,
                                        .output_spec = &output,
                                        .n_outputs = 1,
                                        .arena = &rig->arena};

    if (copy == NULL)
        abort();
    memset(ret, 0, sizeof(*ret));
    if (size != 0)
        memcpy(copy, rows, size);
    return tern_program_run(&rig->program, &run, &rig->err);
}

static inline enum tern_code native_run(struct native_rig *rig, const void *rows, size_t n,
                                        size_t k, struct tern_tensor *ret)
{
    return native_run_output(rig, rows, n, k, 0, ret);
}

#endif
