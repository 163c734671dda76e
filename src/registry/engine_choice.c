#include "registry/engine_choice.h"

#include "os/file.h"

#define HEAD_BYTES 64

/* "onnxruntime_onnx" is a platform of the engine "onnxruntime". */
static bool is_called(const struct tern_engine_ops *engine, struct tern_str name)
{
    struct tern_str own = tern_str_of(engine->name);

    return tern_str_eq(name, own) || (tern_str_starts(name, own) && name.p[own.n] == '_');
}

void tern_engine_choice_make(const char *path, struct tern_str name,
                             const struct tern_engine_set *engines,
                             struct tern_engine_choice *ret_choice)
{
    struct tern_engine_choice choice = {.n = 0};
    int scores[TERN_ENGINE_CHOICE_MAX];
    char head[HEAD_BYTES];
    size_t n = 0;

    if (tern_file_head(path, head, sizeof(head), &n, NULL) != TERN_OK)
        n = 0;
    for (uint32_t i = 0; i < engines->n; i++) {
        const struct tern_engine_ops *engine = engines->rows[i];
        int score = engine->probe(tern_file_base_name(path).p, tern_str_make(head, n));
        if (score > 0 && is_called(engine, name)) {
            *ret_choice = (struct tern_engine_choice){{engine}, 1};
            return;
        }
        if (score <= TERN_PROBE_NAMED || choice.n == TERN_ENGINE_CHOICE_MAX)
            continue;
        uint32_t at = choice.n++;
        for (; at > 0 && scores[at - 1] < score; at--) {
            choice.rows[at] = choice.rows[at - 1];
            scores[at] = scores[at - 1];
        }
        choice.rows[at] = engine;
        scores[at] = score;
    }
    *ret_choice = choice;
}

bool tern_engine_choice_goes_on(enum tern_code code)
{
    return code == TERN_UNIMPLEMENTED || code == TERN_INVALID_ARGUMENT;
}
