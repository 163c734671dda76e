/* Any bytes as a CatBoost model, JSON or binary: they are refused with a reason, or rows run
 * through what they made. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include "engine/native/catboost.h"
#include "harness/native_rig.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FEATURES_MAX 4096

static void run_rows(struct native_rig *rig)
{
    static const float odd[] = {0, 1, -1, 0.5f, 1e30f, -1e30f, 1e-35f, NAN, INFINITY, 31};
    int64_t width = rig->program.inputs[0].shape.dim[1];
    struct tern_tensor got;

    if (width > FEATURES_MAX)
        return;
    float *rows = malloc((size_t)width * 3 * sizeof(*rows));
    if (rows == NULL)
        abort();
    for (size_t i = 0; i < (size_t)width * 3; i++)
        rows[i] = odd[i % (sizeof(odd) / sizeof(odd[0]))];
    if (native_run(rig, rows, 3, (size_t)width, &got) != TERN_OK)
        abort();
    free(rows);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct tern_native_format *const formats[] = {&tern_catboost_json, &tern_catboost_cbm};
    struct tern_str bytes = {(const char *)data, size};

    for (size_t i = 0; i < 2; i++) {
        struct native_rig rig;
        if (native_load(&rig, formats[i], bytes) == TERN_OK)
            run_rows(&rig);
        else if (rig.err.text[0] == '\0')
            abort();
        native_free(&rig);
    }
    return 0;
}
