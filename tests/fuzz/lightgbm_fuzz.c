/* Any bytes as a LightGBM model, text or JSON. */
#include "engine/native/lightgbm/lightgbm.h"
#include "harness/native_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    native_fuzz(&tern_lightgbm_text, data, size);
    native_fuzz(&tern_lightgbm_json, data, size);
    return 0;
}
