/* A program with inputs of any number, shape and datatype, run once on odd values: it gives tensors
 * whose bytes are there, or an error. */
#ifndef TERN_TESTS_PROGRAM_FUZZ_H
#define TERN_TESTS_PROGRAM_FUZZ_H

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include "engine/native/origins.h"
#include "harness/native_rig.h"

#define PROGRAM_FUZZ_PORTS_MAX    16
#define PROGRAM_FUZZ_ELEMENTS_MAX 4096

static const double program_fuzz_odd[] = {
    0, 1, -1, 0.5, 1e300, -3, 2, (double)NAN, (double)INFINITY, 31};

/* A tensor of the input's kind; what is any is 2. */
static inline bool program_fuzz_input(const struct tern_tensor_spec *spec, struct tern_arena *arena,
                                      struct tern_tensor *input)
{
    size_t n = 1, size = tern_dtype_size(spec->dtype);

    *input = (struct tern_tensor){.name = spec->name, .dtype = spec->dtype, .shape = spec->shape};
    for (int i = 0; i < spec->shape.rank; i++) {
        if (input->shape.dim[i] < 0)
            input->shape.dim[i] = 2;
        if (input->shape.dim[i] > PROGRAM_FUZZ_ELEMENTS_MAX ||
            (n *= (size_t)input->shape.dim[i]) > PROGRAM_FUZZ_ELEMENTS_MAX)
            return false;
    }
    input->n_bytes = n * (size == 0 ? 5 : size);
    char *at = tern_arena_alloc(arena, 64, input->n_bytes + 1);
    if (at == NULL)
        return false;
    input->data = at;
    for (size_t i = 0; i < n; i++) {
        double value =
            program_fuzz_odd[i % (sizeof(program_fuzz_odd) / sizeof(program_fuzz_odd[0]))];
        float f32 = (float)value;
        int64_t whole = (int64_t)(i % 7) - 2;
        if (spec->dtype == TERN_DTYPE_FP32)
            memcpy(at + i * size, &f32, 4);
        else if (spec->dtype == TERN_DTYPE_FP64)
            memcpy(at + i * size, &value, 8);
        else if (size == 0)
            memcpy(at + i * 5, "\1\0\0\0a", 5);
        else if (size == 1)
            at[i] = (char)(whole & 1);
        else
            memcpy(at + i * size, &whole, size); /* the low bytes */
    }
    return true;
}

static inline void program_fuzz_check(const struct tern_tensor *output)
{
    size_t n_bytes;

    if (output->dtype == TERN_DTYPE_BYTES) {
        size_t n;
        if (!tern_shape_count(&output->shape, &n) ||
            tern_tensor_check_bytes(output->name, output->data, output->n_bytes, n, NULL) !=
                TERN_OK)
            abort();
        return;
    }
    if (tern_shape_bytes(output->name, output->dtype, &output->shape, &n_bytes, NULL) != TERN_OK ||
        n_bytes != output->n_bytes)
        abort();
}

/* Where columns come from: features that there are. */
static inline void program_fuzz_trace(struct native_rig *run)
{
    const struct tern_origins *origins = NULL;

    if (tern_origins_find(&run->program, &run->arena, &origins, NULL) != TERN_OK)
        return;
    for (uint32_t i = 0; origins != NULL && i < origins->n_columns; i++) {
        if (origins->features[i] != TERN_ORIGIN_NONE && origins->features[i] >= origins->n_features)
            abort();
    }
}

static inline void program_fuzz_run(struct native_rig *run)
{
    struct tern_tensor inputs[PROGRAM_FUZZ_PORTS_MAX], outputs[PROGRAM_FUZZ_PORTS_MAX] = {0};
    uint32_t places[PROGRAM_FUZZ_PORTS_MAX];
    struct tern_err err = {0};

    program_fuzz_trace(run);
    if (run->program.n_inputs > PROGRAM_FUZZ_PORTS_MAX ||
        run->program.n_outputs > PROGRAM_FUZZ_PORTS_MAX)
        return;
    for (uint32_t i = 0; i < PROGRAM_FUZZ_PORTS_MAX; i++)
        places[i] = i;
    for (uint32_t i = 0; i < run->program.n_inputs; i++)
        if (!program_fuzz_input(&run->program.inputs[i], &run->arena, &inputs[i]))
            return;
    const struct tern_engine_run wanted = {
        .inputs = inputs,
        .input_spec = places,
        .n_inputs = run->program.n_inputs,
        .outputs = outputs,
        .output_spec = places,
        .n_outputs = run->program.n_outputs,
        .arena = &run->arena,
    };
    if (tern_program_run(&run->program, &wanted, &err) != TERN_OK) {
        if (err.text[0] == '\0')
            abort();
        return;
    }
    for (uint32_t i = 0; i < run->program.n_outputs; i++)
        program_fuzz_check(&outputs[i]);
}

#endif
