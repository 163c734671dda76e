/* What can be set for a native model, in the words of Triton's FIL backend:
 *
 *   output_class    true: the class instead of its score
 *   predict_proba   true: a score for each class, also where there are two
 *   threshold       from which on a score of two classes is the second (0.5)
 *   model_type      what the file is (xgboost_json, lightgbm, ...): it is found out anyway, and has
 * to be the same
 *
 * FIL's options for its kernels (storage_type, algo, ...) are taken and have no effect. */
#ifndef TERN_ENGINE_NATIVE_NATIVE_OPTIONS_H
#define TERN_ENGINE_NATIVE_NATIVE_OPTIONS_H

#include <stdbool.h>
#include "core/engine.h"
#include "engine/native/program.h"

struct tern_native_options {
    bool output_class;
    bool predict_proba;
    double threshold;
    struct tern_str model_type; /* empty: not said */
};

/* INVALID_ARGUMENT naming the option, what was expected and what came; an unknown one lists the
 * known ones. */
enum tern_code tern_native_options_parse(const struct tern_engine_load *spec,
                                         struct tern_native_options *ret_options,
                                         struct tern_err *err);
/* Puts what the options ask for behind the program's one output. */
enum tern_code tern_native_options_apply(const struct tern_native_options *options,
                                         struct tern_program *program, struct tern_err *err);

#endif
