/* Any bytes as a CatBoost model, JSON or binary. */
#include "engine/native/catboost/catboost.h"
#include "harness/native_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    native_fuzz(&tern_catboost_json, data, size);
    native_fuzz(&tern_catboost_cbm, data, size);
    return 0;
}
