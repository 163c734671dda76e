/* CatBoost models: save_model(format="json") and the binary .cbm, as CatBoost 0.24 to 1.2 write
 * them (catboost/libs/model of github.com/catboost/catboost: json_model_helpers.cpp,
 * the schemas in flatbuffers, cpu/evaluator_impl.cpp), with symmetric and other trees over numbers.
 *
 * The program takes [n, columns] FP32, a column a feature in the order of the training, and gives
 * FP64: what CatBoostRegressor.predict gives, [n, k] (raw values; e^x for Poisson and Tweedie), or
 * what CatBoostClassifier.predict_proba gives, [n, classes]. Sums are made in double, tree after
 * tree from zero, then scaled and shifted. Categories are whole numbers, as CatBoost takes
 * integers, and trees may ask for single ones; trees that look at their statistics (CTR), at texts
 * or at embeddings are refused.
 */
#ifndef TERN_ENGINE_NATIVE_CATBOOST_H
#define TERN_ENGINE_NATIVE_CATBOOST_H

#include "engine/native/format.h"

extern const struct tern_native_format tern_catboost_json;
extern const struct tern_native_format tern_catboost_cbm;

#endif
