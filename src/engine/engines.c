#include "engine/engines.h"

#include "engine/onnx/onnx.h"
#include "engine/sample/sample.h"

const struct tern_engine_ops *const tern_engines[] = {
    &tern_onnx_engine,
    &tern_sample_identity,
    &tern_sample_square,
    &tern_sample_repeat,
};
const uint32_t tern_engines_count = TERN_COUNT_OF(tern_engines);

const struct tern_engine_ops *tern_engines_find(struct tern_str name)
{
    for (uint32_t i = 0; i < tern_engines_count; i++) {
        struct tern_str engine = tern_str_of(tern_engines[i]->name);
        /* A platform is an engine and the format it reads: "<engine>_onnx". */
        if (tern_str_eq(name, engine) ||
            (tern_str_starts(name, engine) && name.n > engine.n && name.p[engine.n] == '_'))
            return tern_engines[i];
    }
    return NULL;
}

const struct tern_engine_ops *tern_engines_probe(const char *file_name, struct tern_str head)
{
    const struct tern_engine_ops *best = NULL;
    int best_score = 0;

    for (uint32_t i = 0; i < tern_engines_count; i++) {
        int score = tern_engines[i]->probe(file_name, head);
        if (score > best_score) {
            best = tern_engines[i];
            best_score = score;
        }
    }
    return best;
}

void tern_engines_close(void)
{
    for (uint32_t i = 0; i < tern_engines_count; i++)
        if (tern_engines[i]->close != NULL)
            tern_engines[i]->close();
}
