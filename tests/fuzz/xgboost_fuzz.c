/* A model file of XGBoost: it is refused, or loaded and run on a few rows, by which every node of
 * every tree may be asked for anything. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include "../harness/native_rig.h"
#include "engine/native/xgboost.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ELEMENTS_MAX 65536 /* of a row */

static void run_rows(struct native_rig *rig)
{
    static const float values[] = {0, 1, -1, 0.5F, 3, 1e30F, -1e30F, 16777216};
    size_t k = (size_t)rig->program.inputs[0].shape.dim[1], n = 4;
    struct tern_tensor out;

    if (k > ELEMENTS_MAX)
        return;
    float *rows = malloc(n * k * sizeof(*rows));
    if (rows == NULL)
        abort();
    for (size_t i = 0; i < n * k; i++)
        rows[i] = i % 11 == 10 ? NAN : values[(i * 7 + i / k) % 8];
    enum tern_code code = native_run(rig, rows, n, k, &out);
    if (code != TERN_OK && code != TERN_RESOURCE_EXHAUSTED)
        abort();
    free(rows);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct native_rig rig;

    if (native_load(&rig, &tern_xgboost_json, tern_str_make((const char *)data, size)) == TERN_OK)
        run_rows(&rig);
    native_free(&rig);
    return 0;
}
