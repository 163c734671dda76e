#include "engine/native/format.h"

#include "base/compiler.h"
#include "engine/native/catboost/catboost.h"
#include "engine/native/lightgbm/lightgbm.h"
#include "engine/native/onnx/onnx_graph.h"
#include "engine/native/pmml/pmml.h"
#include "engine/native/sklearn/skops.h"
#include "engine/native/xgboost/xgboost.h"

/* clang-format off */
const struct tern_native_format *const tern_native_formats[] = {
    &tern_xgboost_json,
    &tern_xgboost_ubjson,
    &tern_xgboost_binary,
    &tern_lightgbm_text,
    &tern_lightgbm_json,
    &tern_catboost_json,
    &tern_catboost_cbm,
    &tern_onnx_graph_format,
    &tern_skops_format,
    &tern_pmml,
    NULL, /* formats stand before this */
};
/* clang-format on */
const uint32_t tern_native_formats_count = TERN_COUNT_OF(tern_native_formats) - 1;
