/* A model loaded in this process: the registry's own loader, without a server around it. */
#include <inttypes.h>
#include "base/mem.h"
#include "cli/infer.h"
#include "cli/offline.h"
#include "engine/engines.h"
#include "os/file.h"
#include "registry/seen.h"
#include "registry/version.h"
#include "sched/run.h"

#define NAMES_SHOWN 10

struct local {
    struct tern_offline offline;
    struct tern_model_version *version;
    struct tern_arena *arena;
};

/* ---- which model, which version ---- */

static enum tern_code fail_choice(const struct tern_found *found, const char *what,
                                  struct tern_err *err)
{
    struct tern_buf names;

    tern_buf_init(&names, 4096);
    for (uint32_t i = 0; i < found->n_models && i < NAMES_SHOWN; i++)
        tern_buf_printf(&names, "%s%.*s", i == 0 ? "" : ", ", TERN_STR_ARG(found->models[i].name));
    enum tern_code code =
        tern_fail(err, TERN_INVALID_ARGUMENT, "%s; there %s %.*s%s. Choose with --model NAME", what,
                  found->n_models == 1 ? "is" : "are", TERN_STR_ARG(tern_buf_str(&names)),
                  found->n_models > NAMES_SHOWN ? ", ..." : "");
    tern_buf_fini(&names);
    return code;
}

static enum tern_code choose_model(const struct tern_found *found, struct tern_str name,
                                   struct tern_found_model *ret, struct tern_err *err)
{
    if (found->n_models == 0)
        return tern_fail(err, TERN_NOT_FOUND,
                         "there is no model: expected <model>/<version>/model.onnx, or the path of "
                         "a model's folder or file");
    if (name.n == 0 && found->n_models > 1)
        return fail_choice(found, "several models", err);
    for (uint32_t i = 0; i < found->n_models; i++) {
        if (name.n != 0 && !tern_str_eq(name, found->models[i].name))
            continue;
        if (found->models[i].problem.code != TERN_OK) {
            if (err != NULL)
                *err = found->models[i].problem;
            return found->models[i].problem.code;
        }
        *ret = found->models[i];
        return TERN_OK;
    }
    return fail_choice(found, "no such model", err);
}

static enum tern_code choose_version(const struct local *local,
                                     const struct tern_found_model *model, uint64_t wanted,
                                     struct tern_found_version *ret, struct tern_err *err)
{
    bool *served = NULL;
    uint32_t n = 0;

    TERN_TRY(tern_offline_choose(&local->offline, model, local->arena, &served, &n, err));
    if (n == 0 && wanted == 0)
        return tern_fail(err, TERN_NOT_FOUND,
                         "model '%.*s': its version_policy serves none of its %u versions",
                         TERN_STR_ARG(model->name), model->n_versions);
    for (uint32_t i = model->n_versions; i-- > 0;) {
        if (wanted == 0 ? served[i] : model->versions[i].number == (int64_t)wanted) {
            *ret = model->versions[i];
            return TERN_OK;
        }
    }
    return tern_fail(err, TERN_NOT_FOUND, "model '%.*s' has no version %" PRIu64,
                     TERN_STR_ARG(model->name), wanted);
}

/* ---- label names ---- */

/* Of the first output that has a file of them. */
static struct tern_labels label_file(const struct tern_model_info *info)
{
    for (uint32_t i = 0; i < info->n_outputs; i++) {
        if (info->outputs[i].label_path.n > 0 && info->labels != NULL)
            return info->labels[i];
    }
    return (struct tern_labels){NULL, 0};
}

/* ---- running ---- */

/* The engine wants inputs that are checked. */
static enum tern_code check_input(const struct tern_model_info *info,
                                  const struct tern_tensor *input, uint32_t *ret_spec,
                                  struct tern_err *err)
{
    const struct tern_tensor_spec *spec = tern_model_input(info, input->name);
    char wanted[160], got[160];

    if (spec == NULL)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "the model has no input '%.*s'",
                         TERN_STR_ARG(input->name));
    if (spec->dtype != input->dtype || !tern_shape_fits(&spec->shape, &input->shape))
        return tern_fail(err, TERN_INVALID_ARGUMENT, "input '%.*s' takes %s %s; the data is %s %s",
                         TERN_STR_ARG(input->name), tern_dtype_name(spec->dtype),
                         tern_shape_print(&spec->shape, wanted, sizeof(wanted)),
                         tern_dtype_name(input->dtype),
                         tern_shape_print(&input->shape, got, sizeof(got)));
    *ret_spec = (uint32_t)(spec - info->inputs);
    return TERN_OK;
}

static enum tern_code check_inputs(const struct tern_model_info *info,
                                   const struct tern_v2_tensors *inputs, uint32_t *specs,
                                   struct tern_err *err)
{
    for (uint32_t i = 0; i < inputs->n; i++) {
        TERN_TRY(check_input(info, &inputs->rows[i], &specs[i], err));
        for (uint32_t k = 0; k < i; k++) {
            if (specs[k] == specs[i])
                return tern_fail(err, TERN_INVALID_ARGUMENT, "input '%.*s' stands twice",
                                 TERN_STR_ARG(inputs->rows[i].name));
        }
    }
    for (uint32_t s = 0; s < info->n_inputs; s++) {
        bool given = info->inputs[s].optional;
        for (uint32_t i = 0; i < inputs->n; i++)
            given = given || specs[i] == s;
        if (!given)
            return tern_fail(err, TERN_INVALID_ARGUMENT, "input '%.*s' is missing in the data",
                             TERN_STR_ARG(info->inputs[s].name));
    }
    return TERN_OK;
}

static enum tern_code run_local(struct tern_infer_model *self, const struct tern_v2_tensors *inputs,
                                struct tern_arena *arena, struct tern_v2_answer *ret,
                                struct tern_err *err)
{
    struct local *local = self->state;
    uint32_t n = 0, n_all = self->info.n_outputs;
    struct tern_tensor *outputs = tern_arena_zalloc(arena, n_all + 1, sizeof(*outputs));
    uint32_t *input_spec = tern_arena_zalloc(arena, inputs->n + 1, sizeof(*input_spec));
    uint32_t *output_spec = tern_arena_zalloc(arena, n_all + 1, sizeof(*output_spec));

    if (outputs == NULL || input_spec == NULL || output_spec == NULL)
        return tern_arena_fail(arena, err, "a run");
    TERN_TRY(check_inputs(&self->info, inputs, input_spec, err));
    for (uint32_t i = 0; i < n_all; i++) {
        if (self->info.outputs[i].on_request)
            continue;
        outputs[n].name = self->info.outputs[i].name;
        output_spec[n++] = i;
    }
    tern_seen_to_engine(local->version->input_at, input_spec, inputs->n);
    tern_seen_to_engine(local->version->output_at, output_spec, n);
    struct tern_work work = {
        .version = local->version, .instance = local->version->instances[0], .err = err};
    work.run = (struct tern_engine_run){
        .inputs = inputs->rows,
        .input_spec = input_spec,
        .n_inputs = inputs->n,
        .outputs = outputs,
        .output_spec = output_spec,
        .n_outputs = n,
        .arena = arena,
    };
    tern_run_alone(&work);
    TERN_TRY(work.code);
    *ret = (struct tern_v2_answer){
        .model = self->info.name,
        .version = tern_arena_printf(arena, "%" PRId64, self->info.version),
        .outputs = {outputs, n},
    };
    return TERN_OK;
}

static void close_local(struct tern_infer_model *self)
{
    struct local *local = self->state;

    tern_version_free(local->version);
    tern_engines_close();
}

enum tern_code tern_infer_open_local(const char *path, const struct tern_infer_options *options,
                                     struct tern_arena *arena, struct tern_infer_model *ret,
                                     struct tern_err *err)
{
    struct tern_found_model model = {.n_versions = 0};
    struct tern_found_version version = {.number = 0};
    struct local *local = tern_arena_zalloc(arena, 1, sizeof(*local));
    struct tern_found found;

    if (local == NULL)
        return tern_arena_fail(arena, err, "the model");
    local->arena = arena;
    TERN_TRY(tern_offline_init(&local->offline, path, options->library, NULL, err));
    TERN_TRY(tern_repository_scan(&path, 1, &local->offline.settings.engines, arena, &found, err));
    TERN_TRY(choose_model(&found, options->model, &model, err));
    TERN_TRY(choose_version(local, &model, options->model_version, &version, err));
    const struct tern_version_load load = {
        .name = model.name,
        .number = version.number,
        .path = version.path,
        .folder = model.folder,
        .fingerprint = version.fingerprint,
        .settings = &local->offline.settings,
    };
    enum tern_code code = tern_version_load(&load, &local->version, err);
    if (code != TERN_OK) {
        tern_err_prefix(err, "model '%.*s'", TERN_STR_ARG(model.name));
        return code;
    }
    if (local->version->ensembling != NULL) {
        tern_version_free(local->version);
        return tern_fail(err, TERN_UNIMPLEMENTED,
                         "model '%.*s' is an ensemble: start it with 'tern serve'",
                         TERN_STR_ARG(model.name));
    }
    if (local->version->sequencing != NULL) {
        tern_version_free(local->version);
        return tern_fail(err, TERN_UNIMPLEMENTED,
                         "model '%.*s' takes sequences of requests: start it with 'tern serve'",
                         TERN_STR_ARG(model.name));
    }
    *ret = (struct tern_infer_model){
        .info = local->version->info,
        .labels = label_file(&local->version->info),
        .run = run_local,
        .close = close_local,
        .state = local,
        .version = local->version,
    };
    return TERN_OK;
}
