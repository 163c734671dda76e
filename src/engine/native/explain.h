/* Which models are explained exactly: those whose features go, each column made of one of them,
 * into one forest or one linear model (origins.h). What follows (links, labels) is not explained:
 * raw scores are. */
#ifndef TERN_ENGINE_NATIVE_EXPLAIN_H
#define TERN_ENGINE_NATIVE_EXPLAIN_H

#include "core/engine.h"
#include "engine/native/origins.h"
#include "engine/native/program.h"

/* The engine's state of a model. */
struct tern_native_model {
    struct tern_program program;
    const struct tern_origins *origins; /* NULL: nothing is explained exactly */
    bool has_treeshap;                  /* the last output is TERN_NATIVE_TREESHAP */
};

/* Of a finished program. *ret is NULL where there is nothing exact. */
enum tern_code tern_native_explains(struct tern_native_model *native, struct tern_arena *arena,
                                    const struct tern_engine_explains **ret, struct tern_err *err);
/* The engine's explain. */
enum tern_code tern_native_explain(const struct tern_native_model *native,
                                   const struct tern_engine_explain *run, struct tern_err *err);

/* FIL's output of attributions: a row's values and, last, the base value; for models with several
 * scores one such list for each. Added to the model's outputs; FAILED_PRECONDITION when the model
 * has no such attributions. */
#define TERN_NATIVE_TREESHAP "treeshap_output"
enum tern_code tern_native_add_treeshap(struct tern_arena *arena, struct tern_engine_model *model,
                                        struct tern_err *err);
enum tern_code tern_native_treeshap(const struct tern_engine_model *model,
                                    const struct tern_engine_run *run, struct tern_tensor *output,
                                    struct tern_err *err);

#endif
