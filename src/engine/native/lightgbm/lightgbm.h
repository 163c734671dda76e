/* LightGBM models: the text of Booster.save_model and the JSON of Booster.dump_model, both as
 * versions v2 to v4 of the library's format have them (src/boosting/gbdt_model_text.cpp,
 * src/io/tree.cpp and include/LightGBM/tree.h of github.com/microsoft/LightGBM).
 *
 * The program takes [n, features] FP64 and gives what Booster.predict gives: [n, k] FP64, k being
 * the trees of one iteration (1, or one a class). Sums are made in double, tree after tree from
 * zero, random forests divide by their iterations, and the objective's function is applied.
 * Categories are the numbers that the trees were trained with; `pandas_categorical`, by which the
 * Python package makes such numbers of a DataFrame's values, is passed over. */
#ifndef TERN_ENGINE_NATIVE_LIGHTGBM_H
#define TERN_ENGINE_NATIVE_LIGHTGBM_H

#include "engine/native/format.h"

extern const struct tern_native_format tern_lightgbm_text;
extern const struct tern_native_format tern_lightgbm_json;

#endif
