/* Any bytes as PMML: refused with a reason, or loaded and run on rows of odd numbers and texts. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include "engine/native/pmml/pmml.h"
#include "harness/native_rig.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ROWS       4
#define WIDTH_MAX  4096
#define INPUTS_MAX 64

static void *room(struct native_rig *rig, size_t size)
{
    void *p = tern_arena_alloc(&rig->arena, 64, size);

    if (p == NULL)
        abort();
    return p;
}

static struct tern_tensor numbers(struct native_rig *rig, size_t width, uint32_t salt)
{
    static const double odd[] = {0, 1, -1, 0.5, 1e300, 2.5, -1e-35, (double)NAN, (double)INFINITY};
    double *cells = room(rig, ROWS * width * sizeof(*cells));

    for (size_t i = 0; i < ROWS * width; i++)
        cells[i] = odd[(i + i / (width + 1) + salt) % (sizeof(odd) / sizeof(odd[0]))];
    return (struct tern_tensor){.dtype = TERN_DTYPE_FP64,
                                .shape = {2, {ROWS, (int64_t)width}},
                                .data = cells,
                                .n_bytes = ROWS * width * sizeof(*cells)};
}

static struct tern_tensor texts(struct native_rig *rig, uint32_t salt)
{
    static const char *const words[] = {"", "red", "a", "x y", "-", "blue"};
    char *cells = room(rig, ROWS * 16);
    size_t n = 0;

    for (uint32_t i = 0; i < ROWS; i++) {
        const char *word = words[(i + salt) % (sizeof(words) / sizeof(words[0]))];
        uint32_t length = (uint32_t)strlen(word);
        memcpy(cells + n, &length, 4);
        memcpy(cells + n + 4, word, length);
        n += 4 + length;
    }
    return (struct tern_tensor){
        .dtype = TERN_DTYPE_BYTES, .shape = {2, {ROWS, 1}}, .data = cells, .n_bytes = n};
}

static void run(struct native_rig *rig)
{
    struct tern_tensor inputs[INPUTS_MAX], outputs[2] = {{.data = NULL}, {.data = NULL}};
    uint32_t places[INPUTS_MAX], n = rig->program.n_inputs;
    const struct tern_engine_run one = {.inputs = inputs,
                                        .input_spec = places,
                                        .n_inputs = n,
                                        .outputs = outputs,
                                        .output_spec = places,
                                        .n_outputs = rig->program.n_outputs,
                                        .arena = &rig->arena};

    if (n > INPUTS_MAX)
        return;
    for (uint32_t i = 0; i < n; i++) {
        const struct tern_tensor_spec *spec = &rig->program.inputs[i];
        if (spec->shape.dim[1] > WIDTH_MAX)
            return;
        inputs[i] = spec->dtype == TERN_DTYPE_BYTES ? texts(rig, i)
                                                    : numbers(rig, (size_t)spec->shape.dim[1], i);
        places[i] = i;
    }
    places[0] = 0;
    places[1] = 1;
    enum tern_code code = tern_program_run(&rig->program, &one, &rig->err);
    if (code != TERN_OK && code != TERN_RESOURCE_EXHAUSTED)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct native_rig rig;

    if (native_load(&rig, &tern_pmml, tern_str_make((const char *)data, size)) == TERN_OK)
        run(&rig);
    else if (rig.err.text[0] == '\0')
        abort();
    native_free(&rig);
    return 0;
}
