/* Any bytes as a XGBoost model, JSON or UBJSON. */
#include "engine/native/xgboost/xgboost.h"
#include "harness/native_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    native_fuzz(&tern_xgboost_json, data, size);
    return 0;
}
