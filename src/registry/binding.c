#include "registry/binding.h"

#include <inttypes.h>
#include <string.h>
#include "base/hash.h"

/* What is known of a tensor of the ensemble, and who said so. */
struct known {
    struct tern_str model; /* p == NULL: nobody yet */
    enum tern_dtype dtype;
    struct tern_shape shape;
    bool batched; /* the first dim is the batch */
};

struct binder {
    const struct tern_model_version *ensemble;
    const struct tern_bind_models *models;
    struct tern_arena *arena;
    const struct tern_ensembling *plan;
    struct known *tensors;
    uint32_t *scopes; /* of the steps that take a tensor, one a tensor */
    struct tern_bound_step *steps;
    const struct tern_binding **inner; /* one a step */
    uint32_t *specs;                   /* of all steps, one after another */
    uint32_t n_specs;
    struct tern_str decoupled; /* the last decoupled step's model ... */
    uint32_t scope;            /* ... and the scope of what is behind it */
};

static struct tern_str ensemble_name(const struct binder *b)
{
    return b->ensemble->info.name;
}

/* ---- types and shapes ---- */

static struct tern_shape without_batch(const struct known *tensor)
{
    struct tern_shape shape = tensor->shape;

    if (!tensor->batched || shape.rank == 0)
        return shape;
    shape.rank--;
    memmove(shape.dim, shape.dim + 1, (size_t)shape.rank * sizeof(shape.dim[0]));
    return shape;
}

static bool may_be_equal(const struct tern_shape *a, const struct tern_shape *b)
{
    if (a->rank != b->rank)
        return false;
    for (int i = 0; i < a->rank; i++) {
        if (a->dim[i] != b->dim[i] && a->dim[i] >= 0 && b->dim[i] >= 0)
            return false;
    }
    return true;
}

/* With the batch or without: a model without batches may see one as a dimension like others. */
static bool shapes_agree(const struct known *a, const struct known *b)
{
    struct tern_shape a_item = without_batch(a), b_item = without_batch(b);

    return may_be_equal(&a_item, &b_item) || may_be_equal(&a->shape, &b->shape);
}

/* What one model says of a tensor, against what was said before. */
static enum tern_code agree(struct binder *b, uint32_t at, const struct known *said,
                            struct tern_err *err)
{
    struct known *before = &b->tensors[at];
    char one[160], other[160];

    if (before->model.p == NULL) {
        *before = *said;
        return TERN_OK;
    }
    if (before->dtype != said->dtype)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "in ensemble %.*s, ensemble tensor %.*s: inconsistent data type: %s is "
                         "inferred from model %.*s while %s is inferred from model %.*s",
                         TERN_STR_ARG(ensemble_name(b)), TERN_STR_ARG(b->plan->tensors[at]),
                         tern_dtype_name(before->dtype), TERN_STR_ARG(before->model),
                         tern_dtype_name(said->dtype), TERN_STR_ARG(said->model));
    if (!shapes_agree(before, said))
        return tern_fail(
            err, TERN_INVALID_ARGUMENT,
            "in ensemble %.*s, ensemble tensor %.*s: inconsistent shape: %s is "
            "inferred from model %.*s while %s is inferred from model %.*s",
            TERN_STR_ARG(ensemble_name(b)), TERN_STR_ARG(b->plan->tensors[at]),
            tern_shape_print(&before->shape, one, sizeof(one)), TERN_STR_ARG(before->model),
            tern_shape_print(&said->shape, other, sizeof(other)), TERN_STR_ARG(said->model));
    return TERN_OK;
}

static struct known what_is_said(const struct tern_model_info *info,
                                 const struct tern_tensor_spec *spec)
{
    return (struct known){info->name, spec->dtype, spec->shape, info->max_batch_size > 0};
}

/* The ensemble's own, as the steps see them: after its reshape. */
static enum tern_code agree_own(struct binder *b, const struct tern_tensor_spec *specs,
                                const struct tern_shape *shapes, const uint32_t *tensors,
                                uint32_t n, struct tern_err *err)
{
    for (uint32_t i = 0; i < n; i++) {
        struct known said = what_is_said(&b->ensemble->info, &specs[i]);
        if (shapes != NULL && shapes[i].rank >= 0)
            said.shape = shapes[i];
        TERN_TRY(agree(b, tensors[i], &said, err));
    }
    return TERN_OK;
}

/* ---- one step ---- */

static enum tern_code find_model(struct binder *b, uint32_t at, struct tern_err *err)
{
    const struct tern_ensemble_step *step = &b->plan->steps[at];

    switch (b->models->find(b->models->arg, step->model, step->version, &b->steps[at].version,
                            &b->inner[at])) {
    case TERN_BIND_FOUND:
        return TERN_OK;
    case TERN_BIND_LATER:
        return tern_fail(err, TERN_ABORTED,
                         "circular dependency between ensembles: '%.*s' depends on '%.*s'",
                         TERN_STR_ARG(ensemble_name(b)), TERN_STR_ARG(step->model));
    case TERN_BIND_NO_VERSION:
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "ensemble '%.*s' depends on '%.*s' whose required version %" PRId64
                         " is not loaded",
                         TERN_STR_ARG(ensemble_name(b)), TERN_STR_ARG(step->model), step->version);
    case TERN_BIND_NO_MODEL:
        break;
    }
    return tern_fail(err, TERN_INVALID_ARGUMENT,
                     "ensemble '%.*s' depends on '%.*s' which has no loaded version",
                     TERN_STR_ARG(ensemble_name(b)), TERN_STR_ARG(step->model));
}

static enum tern_code check_step(const struct binder *b, const struct tern_model_info *info,
                                 struct tern_err *err)
{
    const struct tern_model_info *ours = &b->ensemble->info;

    if (info->max_batch_size != 0 && info->max_batch_size < ours->max_batch_size)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "ensemble %.*s allows maximum batch size %" PRId64
                         ", but it contains model %.*s which only allows maximum batch size to be "
                         "%" PRId64,
                         TERN_STR_ARG(ours->name), ours->max_batch_size, TERN_STR_ARG(info->name),
                         info->max_batch_size);
    return TERN_OK;
}

static enum tern_code map_inputs(struct binder *b, const struct tern_ensemble_step *step,
                                 const struct tern_model_info *info, uint32_t *ret_scope,
                                 struct tern_err *err)
{
    const uint32_t *mapped = &b->specs[b->n_specs];

    for (uint32_t i = 0; i < step->n_inputs; i++) {
        const struct tern_ensemble_map *map = &step->inputs[i];
        const struct tern_tensor_spec *spec = tern_model_input(info, map->name);
        if (spec == NULL)
            return tern_fail(err, TERN_INVALID_ARGUMENT,
                             "in ensemble %.*s, ensemble tensor %.*s is mapping to non-existing "
                             "input %.*s in model %.*s",
                             TERN_STR_ARG(ensemble_name(b)),
                             TERN_STR_ARG(b->plan->tensors[map->tensor]), TERN_STR_ARG(map->name),
                             TERN_STR_ARG(info->name));
        struct known said = what_is_said(info, spec);
        TERN_TRY(agree(b, map->tensor, &said, err));
        if (b->scopes[map->tensor] > *ret_scope)
            *ret_scope = b->scopes[map->tensor];
        b->specs[b->n_specs++] = (uint32_t)(spec - info->inputs);
    }
    for (uint32_t i = 0; i < info->n_inputs; i++) {
        bool found = info->inputs[i].optional;
        for (uint32_t j = 0; j < step->n_inputs && !found; j++)
            found = mapped[j] == i;
        if (!found)
            return tern_fail(err, TERN_INVALID_ARGUMENT,
                             "in ensemble %.*s, input %.*s in model %.*s is not mapped to any "
                             "ensemble tensors",
                             TERN_STR_ARG(ensemble_name(b)), TERN_STR_ARG(info->inputs[i].name),
                             TERN_STR_ARG(info->name));
    }
    return TERN_OK;
}

static enum tern_code map_outputs(struct binder *b, const struct tern_ensemble_step *step,
                                  const struct tern_model_info *info, struct tern_err *err)
{
    for (uint32_t i = 0; i < step->n_outputs; i++) {
        const struct tern_ensemble_map *map = &step->outputs[i];
        const struct tern_tensor_spec *spec = tern_model_output(info, map->name);
        if (spec == NULL)
            return tern_fail(err, TERN_INVALID_ARGUMENT,
                             "in ensemble %.*s, ensemble tensor %.*s is mapped from non-existing "
                             "output %.*s in model %.*s",
                             TERN_STR_ARG(ensemble_name(b)),
                             TERN_STR_ARG(b->plan->tensors[map->tensor]), TERN_STR_ARG(map->name),
                             TERN_STR_ARG(info->name));
        struct known said = what_is_said(info, spec);
        TERN_TRY(agree(b, map->tensor, &said, err));
        b->specs[b->n_specs++] = (uint32_t)(spec - info->outputs);
    }
    return TERN_OK;
}

/* What is behind a decoupled step runs for each of its answers. Two of them with answers that do
 * not follow from each other's would have to be joined, and nothing says which belong together. */
static enum tern_code set_scope(struct binder *b, uint32_t at, struct tern_err *err)
{
    const struct tern_ensemble_step *step = &b->plan->steps[at];
    struct tern_bound_step *bound = &b->steps[at];
    const struct tern_model_info *info = &bound->version->info;

    bound->decoupled = info->decoupled || (b->inner[at] != NULL && b->inner[at]->decoupled);
    if (bound->decoupled && bound->scope != b->scope)
        return tern_fail(err, TERN_UNIMPLEMENTED,
                         "in ensemble %.*s, models '%.*s' and '%.*s' both answer any number of "
                         "times, and neither takes from the other: which of their answers belong "
                         "together is unknown",
                         TERN_STR_ARG(ensemble_name(b)), TERN_STR_ARG(b->decoupled),
                         TERN_STR_ARG(info->name));
    if (bound->decoupled) {
        b->decoupled = info->name;
        b->scope = bound->scope + 1;
    }
    for (uint32_t i = 0; i < step->n_outputs; i++)
        b->scopes[step->outputs[i].tensor] = bound->scope + bound->decoupled;
    return TERN_OK;
}

static enum tern_code bind_step(struct binder *b, uint32_t at, struct tern_err *err)
{
    const struct tern_ensemble_step *step = &b->plan->steps[at];

    TERN_TRY(find_model(b, at, err));
    const struct tern_model_info *info = &b->steps[at].version->info;
    b->steps[at].specs = b->n_specs; /* counted in specs until the block is laid out */
    TERN_TRY(check_step(b, info, err));
    TERN_TRY(map_inputs(b, step, info, &b->steps[at].scope, err));
    TERN_TRY(map_outputs(b, step, info, err));
    return set_scope(b, at, err);
}

/* ---- the block ---- */

/* Parts begin where pointers may. */
static size_t round_up(size_t n)
{
    return (n + sizeof(void *) - 1) & ~(sizeof(void *) - 1);
}

static void add_identity(struct tern_binding *block, const struct tern_model_version *version,
                         const struct tern_binding *inner)
{
    const uint64_t facts[] = {(uint64_t)version->info.version, version->fingerprint,
                              version->serial, inner == NULL ? 0 : inner->id};

    block->id = tern_hash_bytes(tern_str_make((const char *)facts, sizeof(facts)), block->id);
    block->stateful |= version->sequencing != NULL || (inner != NULL && inner->stateful);
}

static enum tern_code lay_out(struct binder *b, const struct tern_binding **ret_binding,
                              struct tern_err *err)
{
    uint32_t n = b->plan->n_steps, depth = 0;
    size_t steps_end = sizeof(struct tern_binding) + n * sizeof(struct tern_bound_step);
    size_t own = round_up(steps_end + b->n_specs * sizeof(uint32_t)), all = own;

    for (uint32_t i = 0; i < n; i++) {
        if (b->inner[i] == NULL)
            continue;
        all += b->inner[i]->n_bytes_all;
        depth = b->inner[i]->depth > depth ? b->inner[i]->depth : depth;
    }
    if (all > TERN_BINDING_SIZE_MAX || depth >= TERN_BINDING_DEPTH_MAX)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "ensemble '%.*s' is too large with the ensembles in it: at most %u deep, "
                         "and its steps take %zu bytes of at most %u",
                         TERN_STR_ARG(ensemble_name(b)), TERN_BINDING_DEPTH_MAX, all,
                         TERN_BINDING_SIZE_MAX);
    struct tern_binding *block = tern_arena_alloc(b->arena, _Alignof(struct tern_binding), all);
    if (block == NULL)
        return tern_arena_fail(b->arena, err, "an ensemble");
    memset(block, 0, own);
    *block = (struct tern_binding){.n_bytes = (uint32_t)own,
                                   .n_bytes_all = (uint32_t)all,
                                   .depth = depth + 1,
                                   .n_steps = n,
                                   .decoupled = b->scope > 0};
    memcpy((char *)block + steps_end, b->specs, b->n_specs * sizeof(uint32_t));
    size_t at = own;
    for (uint32_t i = 0; i < n; i++) {
        block->steps[i] = (struct tern_bound_step){
            .version = b->steps[i].version,
            .specs = (uint32_t)(steps_end + b->steps[i].specs * sizeof(uint32_t)),
            .scope = b->steps[i].scope,
            .decoupled = b->steps[i].decoupled,
        };
        add_identity(block, b->steps[i].version, b->inner[i]);
        if (b->inner[i] == NULL)
            continue;
        block->steps[i].ensemble = (uint32_t)at;
        memcpy((char *)block + at, b->inner[i], b->inner[i]->n_bytes_all);
        at += b->inner[i]->n_bytes_all;
    }
    *ret_binding = block;
    return TERN_OK;
}

static uint32_t count_maps(const struct tern_ensembling *plan)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < plan->n_steps; i++)
        n += plan->steps[i].n_inputs + plan->steps[i].n_outputs;
    return n;
}

enum tern_code tern_binding_make(const struct tern_model_version *ensemble,
                                 const struct tern_bind_models *models, struct tern_arena *arena,
                                 const struct tern_binding **ret_binding, struct tern_err *err)
{
    const struct tern_ensembling *plan = ensemble->ensembling;
    struct binder b = {.ensemble = ensemble, .models = models, .arena = arena, .plan = plan};

    b.tensors = tern_arena_zalloc(arena, plan->n_tensors + 1, sizeof(*b.tensors));
    b.steps = tern_arena_zalloc(arena, plan->n_steps, sizeof(*b.steps));
    b.scopes = tern_arena_zalloc(arena, plan->n_tensors + 1, sizeof(*b.scopes));
    b.inner = tern_arena_zalloc(arena, plan->n_steps, sizeof(struct tern_binding *));
    b.specs = tern_arena_zalloc(arena, count_maps(plan) + 1, sizeof(*b.specs));
    if (b.tensors == NULL || b.steps == NULL || b.inner == NULL || b.specs == NULL ||
        b.scopes == NULL)
        return tern_arena_fail(arena, err, "an ensemble");
    TERN_TRY(agree_own(&b, ensemble->info.inputs, ensemble->input_shapes, plan->inputs,
                       plan->n_inputs, err));
    TERN_TRY(agree_own(&b, ensemble->info.outputs, ensemble->output_shapes, plan->outputs,
                       plan->n_outputs, err));
    for (uint32_t i = 0; i < plan->n_steps; i++)
        TERN_TRY(bind_step(&b, i, err));
    return lay_out(&b, ret_binding, err);
}

/* ---- labels ---- */

/* The step that writes a tensor, and which of its outputs that is; false: it is an input. */
static bool find_writer(const struct tern_ensembling *plan, uint32_t tensor, uint32_t *ret_step,
                        uint32_t *ret_output)
{
    for (uint32_t i = 0; i < plan->n_steps; i++) {
        for (uint32_t j = 0; j < plan->steps[i].n_outputs; j++) {
            if (plan->steps[i].outputs[j].tensor != tensor)
                continue;
            *ret_step = i;
            *ret_output = j;
            return true;
        }
    }
    return false;
}

const struct tern_labels *tern_binding_labels(const struct tern_model_version *version,
                                              uint32_t loop, uint32_t output)
{
    const struct tern_binding *binding =
        version->ensembling == NULL ? NULL : version->pins[loop].binding;
    uint32_t step, at;

    for (;;) {
        const struct tern_labels *own =
            version->info.labels == NULL ? NULL : &version->info.labels[output];
        const struct tern_ensembling *plan = version->ensembling;
        if ((own != NULL && own->n > 0) || plan == NULL || binding == NULL ||
            !find_writer(plan, plan->outputs[output], &step, &at))
            return own;
        version = binding->steps[step].version;
        output = tern_bound_inputs(binding, step)[plan->steps[step].n_inputs + at];
        binding = tern_bound_ensemble(binding, step);
    }
}
