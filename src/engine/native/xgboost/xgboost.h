/* XGBoost's files. A row takes num_feature float32 values, NaN where one is missing, and gets what
 * Booster.predict answers: all trees are used (best_iteration is not looked at, as there), a
 * category is its number, and vectors are one column. */
#ifndef TERN_ENGINE_NATIVE_XGBOOST_H
#define TERN_ENGINE_NATIVE_XGBOOST_H

#include "engine/native/format.h"

extern const struct tern_native_format tern_xgboost_json;
extern const struct tern_native_format tern_xgboost_ubjson;
extern const struct tern_native_format tern_xgboost_binary; /* refuses */

#endif
