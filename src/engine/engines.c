#include "engine/engines.h"

#include "engine/native/native.h"
#include "engine/onnx/onnx.h"
#include "engine/plan/plan.h"
#include "engine/sample/sample.h"

const struct tern_engine_ops *const tern_engines[] = {
    &tern_onnx_engine,   &tern_native_engine,    &tern_sample_identity, &tern_sample_square,
    &tern_sample_repeat, &tern_sample_countdown, &tern_plan_engine,
};
const uint32_t tern_engines_count = TERN_COUNT_OF(tern_engines);

void tern_engines_close(void)
{
    for (uint32_t i = 0; i < tern_engines_count; i++)
        if (tern_engines[i]->close != NULL)
            tern_engines[i]->close();
}
