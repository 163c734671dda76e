#include "cli/offline.h"

#include "engine/engines.h"
#include "engine/native/native.h"
#include "engine/onnx/onnx.h"
#include "registry/version.h"
#include "simd/simd.h"

static bool never_inline(void *arg, uint64_t run_ns)
{
    (void)arg, (void)run_ns;
    return false;
}

static void drop_line(void *self, struct tern_str line)
{
    (void)self, (void)line;
}

enum tern_code tern_offline_init(struct tern_offline *offline, const char *path,
                                 struct tern_str onnxruntime,
                                 const struct tern_version_policy *policy, struct tern_err *err)
{
    const struct tern_onnx_config config = {.library = onnxruntime.n > 0 ? onnxruntime.p : NULL};

    tern_simd_init();
    tern_native_configure(&(struct tern_native_config){.runs_onnx = true});
    tern_log_init(&offline->log, (struct tern_log_sink){.write = drop_line}, TERN_LOG_ERROR,
                  TERN_LOG_TEXT, false);
    offline->path = path;
    offline->settings = (struct tern_registry_settings){
        .paths = &offline->path,
        .n_paths = 1,
        .executors = 1,
        .n_loops = 1,
        .version_policy = {.kind = TERN_VERSION_POLICY_LATEST, .latest = 1},
        .engines = {tern_engines, tern_engines_count},
        .hooks = {.is_inline = never_inline},
        .log = &offline->log,
    };
    if (policy != NULL)
        offline->settings.version_policy = *policy;
    return tern_onnx_configure(&config, err);
}

enum tern_code tern_offline_choose(const struct tern_offline *offline,
                                   const struct tern_found_model *model, struct tern_arena *arena,
                                   bool **ret_served, uint32_t *ret_n, struct tern_err *err)
{
    struct tern_version_outline outline;
    int64_t *numbers = tern_arena_zalloc(arena, model->n_versions + 1, sizeof(*numbers));
    bool *served = tern_arena_zalloc(arena, model->n_versions + 1, sizeof(*served));

    if (numbers == NULL || served == NULL)
        return tern_arena_fail(arena, err, "the versions");
    TERN_TRY(tern_version_outline_of(model, tern_str_make(NULL, 0), &offline->settings, arena,
                                     &outline, err));
    for (uint32_t i = 0; i < model->n_versions; i++)
        numbers[i] = model->versions[i].number;
    *ret_n = tern_version_policy_apply(&outline.policy, numbers, model->n_versions, served);
    *ret_served = served;
    return TERN_OK;
}
