#include "sched/ensemble.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "base/clock.h"
#include "base/mem.h"
#include "core/inputs.h"
#include "registry/binding.h"
#include "registry/seen.h"
#include "sched/ensemble_int.h"
#include "sched/ensemble_pool.h"

/* Of a version: what the executor of graphs reads, and memory for steps of each loop. */
struct ensemble {
    struct tern_graph_plan graph;
    struct tern_ensemble_pool **pools; /* one a loop; NULL: two steps never run at a time */
};

static const struct tern_model_info *ensemble_info(const struct tern_ensemble_run *run)
{
    return &run->work->version->info;
}

/* ---- shapes, where a model with batches meets one without ---- */

static bool fits_item(const struct tern_shape *batched, const struct tern_shape *shape)
{
    if (batched->rank != shape->rank + 1)
        return false;
    for (int i = 0; i < shape->rank; i++) {
        if (batched->dim[i + 1] >= 0 && batched->dim[i + 1] != shape->dim[i])
            return false;
    }
    return true;
}

/* A single item becomes a batch of one, and the other way round. What fits as it is stays. */
static void adapt_batch(const struct tern_shape *spec, bool batched, int64_t batch,
                        struct tern_shape *shape)
{
    size_t size = sizeof(shape->dim[0]);

    if (TERN_LIKELY(batched == (batch != 0)))
        return;
    if (batched && shape->rank < TERN_RANK_MAX && fits_item(spec, shape)) {
        memmove(shape->dim + 1, shape->dim, (size_t)shape->rank++ * size);
        shape->dim[0] = 1;
    } else if (!batched && batch == 1 && shape->rank > 0 && !tern_shape_fits(spec, shape)) {
        memmove(shape->dim, shape->dim + 1, (size_t)--shape->rank * size);
    }
}

/* ---- a step ---- */

static void on_step_done(struct tern_work *work)
{
    struct ensemble_step *step = TERN_CONTAINER_OF(work, struct ensemble_step, work);
    struct tern_ensemble_run *run = step->run;
    const struct tern_ensemble_step *plan = &run->plan->steps[step->at];
    const struct tern_model_info *info = &work->version->info;

    if (work->finished_ns > run->now_ns)
        run->now_ns = work->finished_ns;
    tern_sched_note_step(run->sched, work);
    if (work->code != TERN_OK) {
        tern_graph_fail(&run->graph, step->at, work->code, &step->err);
        return;
    }
    for (uint32_t i = 0, n = 0; i < plan->n_outputs; i++) {
        struct ensemble_slot *slot = &run->slots[plan->outputs[i].tensor];
        if (!slot->wanted)
            continue;
        const struct tern_tensor *output = &work->run.outputs[n++];
        if (output->dtype == TERN_DTYPE_INVALID)
            continue; /* the model left it out: so it is for those whose optional input it is */
        slot->tensor = output;
        slot->batch = info->max_batch_size > 0 ? work->rows : 0;
    }
    tern_graph_done(&run->graph, step->at, TERN_GRAPH_ALL);
}

/* The tensors that are there; who was left out by the client is left out here too. */
static enum tern_code fill_inputs(struct tern_ensemble_run *run, struct ensemble_step *step)
{
    const struct tern_ensemble_step *plan = &run->plan->steps[step->at];
    const struct tern_model_info *info = &step->work.version->info;
    const uint32_t *bound = tern_bound_inputs(run->binding, step->at);
    struct tern_arena *arena = run->arena;
    struct tern_tensor *inputs = tern_arena_alloc(
        arena, _Alignof(struct tern_tensor), plan->n_inputs * (sizeof(*inputs) + sizeof(uint32_t)));
    uint32_t n = 0;

    if (inputs == NULL)
        return tern_arena_fail(arena, &step->err, "the inputs of a step");
    uint32_t *spec_of = (uint32_t *)(inputs + plan->n_inputs);
    for (uint32_t i = 0; i < plan->n_inputs; i++) {
        const struct ensemble_slot *slot = &run->slots[plan->inputs[i].tensor];
        const struct tern_tensor_spec *spec = &info->inputs[bound[i]];
        if (slot->tensor == NULL)
            continue;
        inputs[n] = *slot->tensor;
        inputs[n].name = spec->name;
        inputs[n].region = NULL;
        adapt_batch(&spec->shape, info->max_batch_size > 0, slot->batch, &inputs[n].shape);
        spec_of[n++] = bound[i];
    }
    step->work.run.inputs = inputs;
    step->work.run.input_spec = spec_of;
    step->work.run.n_inputs = n;
    if (TERN_UNLIKELY(n < plan->n_inputs)) {
        uint32_t *all;
        TERN_TRY(tern_inputs_match(info, inputs, n, arena, &all, &step->err));
    }
    TERN_TRY(tern_inputs_check(info, inputs, spec_of, n, &step->err));
    tern_seen_to_engine(step->work.version->input_at, spec_of, n);
    return TERN_OK;
}

/* Those of its outputs that somebody wants. */
static enum tern_code fill_outputs(struct tern_ensemble_run *run, struct ensemble_step *step)
{
    const struct tern_ensemble_step *plan = &run->plan->steps[step->at];
    const struct tern_model_info *info = &step->work.version->info;
    const uint32_t *bound = tern_bound_inputs(run->binding, step->at) + plan->n_inputs;
    struct tern_arena *arena = run->arena;
    struct tern_tensor *outputs =
        tern_arena_zalloc(arena, plan->n_outputs, sizeof(*outputs) + sizeof(uint32_t));
    uint32_t n = 0;

    if (outputs == NULL)
        return tern_arena_fail(arena, &step->err, "the outputs of a step");
    uint32_t *spec_of = (uint32_t *)(outputs + plan->n_outputs);
    for (uint32_t i = 0; i < plan->n_outputs; i++) {
        if (!run->slots[plan->outputs[i].tensor].wanted)
            continue;
        outputs[n].name = info->outputs[bound[i]].name;
        spec_of[n++] = bound[i];
    }
    tern_seen_to_engine(step->work.version->output_at, spec_of, n);
    step->work.run.outputs = outputs;
    step->work.run.output_spec = spec_of;
    step->work.run.n_outputs = n;
    return TERN_OK;
}

/* Steps that run at the same time cannot take memory from one arena. */
static enum tern_code give_arena(struct tern_ensemble_run *run, struct ensemble_step *step)
{
    const struct ensemble *ensemble = run->work->version->ensemble;
    struct tern_arena *arena = run->arena;

    step->work.run.arena = arena;
    if (ensemble->pools == NULL)
        return TERN_OK;
    return tern_ensemble_pool_take(ensemble->pools[tern_loop_index(run->work->loop)], arena,
                                   &step->work.run.arena, &step->err);
}

/* A request's timeout is what it would be if the step was asked by itself: a bound of its wait, or
 * a deadline where the model's configuration knows no such bound. */
static void give_time(const struct tern_work *parent, struct tern_work *work)
{
    const struct tern_scheduling *scheduling = work->version->scheduling;
    uint64_t end_ns;

    work->deadline_ns = parent->deadline_ns;
    work->has_own_deadline = parent->has_own_deadline;
    if (work->version->sequencing != NULL || work->version->ensembling != NULL ||
        (scheduling != NULL && scheduling->batching == TERN_BATCHING_CONFIGURED)) {
        work->timeout_ns = parent->timeout_ns;
        return;
    }
    if (parent->timeout_ns == 0 ||
        __builtin_add_overflow(parent->queued_ns, parent->timeout_ns, &end_ns))
        return;
    if (work->deadline_ns == 0 || end_ns < work->deadline_ns) {
        work->deadline_ns = end_ns;
        work->has_own_deadline = true;
    }
}

static enum tern_code prepare(struct tern_ensemble_run *run, struct ensemble_step *step)
{
    const struct tern_work *parent = run->work;
    struct tern_work *work = &step->work;

    give_time(parent, work);
    if (work->deadline_ns != 0 && run->now_ns >= work->deadline_ns)
        return tern_fail(&step->err, TERN_DEADLINE_EXCEEDED,
                         "Deadline Exceeded: the deadline passed before the step of model '%.*s'",
                         TERN_STR_ARG(work->version->info.name));
    TERN_TRY(fill_inputs(run, step));
    TERN_TRY(fill_outputs(run, step));
    TERN_TRY(give_arena(run, step));
    work->run.params = parent->run.params;
    work->units = tern_inputs_units(work->run.inputs, work->run.n_inputs);
    work->rows = tern_inputs_rows(&work->version->info, work->run.inputs, work->run.n_inputs);
    work->priority = parent->priority;
    work->place = tern_trace_place_in(&parent->place);
    work->sequence = parent->sequence;
    work->loop = parent->loop;
    work->err = &step->err;
    work->on_done = on_step_done;
    return TERN_OK;
}

enum tern_code tern_ensemble_make_step(struct tern_ensemble_run *run, uint32_t at,
                                       struct ensemble_step **ret_step, struct tern_err *err)
{
    struct ensemble_step *step =
        tern_arena_alloc(run->arena, _Alignof(struct ensemble_step), sizeof(*step));

    if (step == NULL)
        return tern_arena_fail(run->arena, err, "a step");
    memset(step, 0, offsetof(struct ensemble_step, err));
    step->err.code = TERN_OK;
    step->err.http_status = 0;
    step->run = run;
    step->at = at;
    step->work.version = run->binding->steps[at].version;
    step->work.binding = tern_bound_ensemble(run->binding, at);
    enum tern_code code = prepare(run, step);
    if (code != TERN_OK)
        *err = step->err;
    *ret_step = step;
    return code;
}

static void start_step(struct tern_graph *graph, uint32_t at)
{
    struct tern_ensemble_run *run = TERN_CONTAINER_OF(graph, struct tern_ensemble_run, graph);
    const struct tern_bound_step *bound = &run->binding->steps[at];
    struct ensemble_step *step;
    TERN_UNINITIALIZED struct tern_err err;

    if (TERN_UNLIKELY(bound->scope != run->scope)) { /* its turn was before, or comes later */
        tern_graph_done(graph, at, bound->scope < run->scope ? TERN_GRAPH_ALL : TERN_GRAPH_NONE);
        return;
    }
    if (TERN_UNLIKELY(bound->decoupled)) { /* after all others: what follows may need them */
        run->producer = at;
        tern_graph_done(graph, at, TERN_GRAPH_NONE);
        return;
    }
    enum tern_code code = tern_ensemble_make_step(run, at, &step, &err);
    if (code != TERN_OK) {
        tern_graph_fail(graph, at, code, &err);
        return;
    }
    run->steps[at] = step;
    tern_sched_submit(run->sched, &step->work);
}

static void cancel_step(struct tern_graph *graph, uint32_t at)
{
    struct tern_ensemble_run *run = TERN_CONTAINER_OF(graph, struct tern_ensemble_run, graph);

    /* One that is being started right now has nothing to cancel yet: it comes back by itself. */
    if (run->steps[at] != NULL)
        tern_sched_cancel(run->sched, &run->steps[at]->work);
}

/* ---- the end ---- */

enum tern_code tern_ensemble_set_outputs(const struct tern_ensemble_run *run,
                                         struct tern_tensor *outputs)
{
    const struct tern_model_version *version = run->work->version;
    const struct tern_engine_run *own = &run->work->run;

    for (uint32_t i = 0; i < own->n_outputs; i++) {
        uint32_t at = own->output_spec[i];
        const struct ensemble_slot *slot = &run->slots[run->plan->outputs[at]];
        const struct tern_tensor_spec *spec = &version->info.outputs[at];
        const struct tern_shape *inside =
            version->output_shapes == NULL || version->output_shapes[at].rank < 0
                ? &spec->shape
                : &version->output_shapes[at];
        struct tern_str name = own->outputs[i].name;
        if (slot->tensor == NULL)
            return tern_fail(run->work->err, TERN_INVALID_ARGUMENT,
                             "unexpected deadlock, at least one output is not set while no more "
                             "ensemble steps can be made: '%.*s'",
                             TERN_STR_ARG(name));
        outputs[i] = *slot->tensor;
        outputs[i].name = name;
        outputs[i].region = NULL;
        adapt_batch(inside, version->info.max_batch_size > 0, slot->batch, &outputs[i].shape);
        if (inside != &spec->shape && tern_shape_fits(inside, &outputs[i].shape))
            tern_shape_map(inside, &spec->shape, &outputs[i].shape);
    }
    return TERN_OK;
}

/* Triton's words, which clients look for. */
static void say_where(const struct tern_ensemble_run *run)
{
    struct tern_err *err = run->work->err;
    char text[TERN_ERR_TEXT_MAX];

    int n = snprintf(text, sizeof(text), "in ensemble '%.*s', ",
                     TERN_STR_ARG(ensemble_info(run)->name));
    if (n > 0 && (size_t)n < sizeof(text))
        snprintf(text + n, sizeof(text) - (size_t)n, "%.*s", (int)(sizeof(text) - (size_t)n - 1),
                 err->text);
    memcpy(err->text, text, sizeof(text));
}

static void unpin_all(const struct tern_binding *whole, uint32_t loop)
{
    for (const struct tern_binding *at = whole; at != NULL; at = tern_binding_next(whole, at)) {
        for (uint32_t i = 0; i < at->n_steps; i++)
            tern_version_unpin(at->steps[i].version, loop);
    }
}

void tern_ensemble_finish(struct tern_ensemble_run *run, enum tern_code code)
{
    struct tern_work *work = run->work;

    if (code != TERN_OK && work->err != NULL)
        say_where(run);
    if (work->binding == NULL)
        unpin_all(run->binding, tern_loop_index(work->loop));
    work->code = code;
    work->finished_ns = run->now_ns;
    work->state = TERN_WORK_DONE;
    work->ensemble = NULL;
    work->on_done(work);
}

static void on_graph_done(struct tern_graph *graph, enum tern_code code)
{
    struct tern_ensemble_run *run = TERN_CONTAINER_OF(graph, struct tern_ensemble_run, graph);

    if (TERN_UNLIKELY(run->flows != NULL)) {
        tern_ensemble_flows_steps_over(run, code);
        return;
    }
    if (code == TERN_OK)
        code = tern_ensemble_set_outputs(run, run->work->run.outputs);
    tern_ensemble_finish(run, code);
}

/* ---- the beginning ---- */

static const struct tern_graph_ops graph_ops = {start_step, cancel_step, on_graph_done};

/* The models that the loop serves now, held until the end; of an inner ensemble those that the
 * outer one holds. */
static enum tern_code bind(struct tern_ensemble_run *run, const struct tern_binding **ret_binding)
{
    const struct tern_work *work = run->work;
    uint32_t loop = tern_loop_index(work->loop);
    const struct tern_binding *served = work->version->pins[loop].binding;

    if (work->binding != NULL) {
        *ret_binding = work->binding;
        return TERN_OK;
    }
    if (served == NULL)
        return tern_fail(work->err, TERN_UNAVAILABLE, "model '%.*s' is not at ready state",
                         TERN_STR_ARG(ensemble_info(run)->name));
    if (served->decoupled && work->run.sink == NULL)
        return tern_fail(work->err, TERN_UNIMPLEMENTED,
                         "ensemble '%.*s' answers any number of times, and there is place for one",
                         TERN_STR_ARG(ensemble_info(run)->name));
    struct tern_binding *copy =
        tern_arena_alloc(work->run.arena, _Alignof(struct tern_binding), served->n_bytes_all);
    if (copy == NULL)
        return tern_arena_fail(work->run.arena, work->err, "an ensemble");
    memcpy(copy, served, served->n_bytes_all);
    for (const struct tern_binding *at = copy; at != NULL; at = tern_binding_next(copy, at)) {
        for (uint32_t i = 0; i < at->n_steps; i++)
            tern_version_pin(at->steps[i].version, loop);
    }
    *ret_binding = copy;
    return TERN_OK;
}

/* Of inputs that clients see in another shape than the steps. */
static enum tern_code reshape_inputs(struct tern_ensemble_run *run,
                                     const struct tern_tensor **ret_inputs)
{
    const struct tern_model_version *version = run->work->version;
    const struct tern_engine_run *own = &run->work->run;
    struct tern_tensor *inputs = tern_arena_zalloc(own->arena, own->n_inputs + 1, sizeof(*inputs));

    if (inputs == NULL)
        return tern_arena_fail(own->arena, run->work->err, "the reshaped inputs");
    for (uint32_t i = 0; i < own->n_inputs; i++) {
        uint32_t at = own->input_spec[i];
        inputs[i] = own->inputs[i];
        if (version->input_shapes[at].rank >= 0)
            tern_shape_map(&version->info.inputs[at].shape, &version->input_shapes[at],
                           &inputs[i].shape);
    }
    *ret_inputs = inputs;
    return TERN_OK;
}

static enum tern_code set_inputs(struct tern_ensemble_run *run)
{
    const struct tern_work *work = run->work;
    const struct tern_tensor *inputs = work->run.inputs;
    bool batched = ensemble_info(run)->max_batch_size > 0;

    if (TERN_UNLIKELY(work->version->input_shapes != NULL))
        TERN_TRY(reshape_inputs(run, &inputs));
    for (uint32_t i = 0; i < work->run.n_inputs; i++) {
        struct ensemble_slot *slot = &run->slots[run->plan->inputs[work->run.input_spec[i]]];
        slot->tensor = &inputs[i];
        slot->batch = batched ? inputs[i].shape.dim[0] : 0;
    }
    return TERN_OK;
}

/* From the outputs that are asked for back to the steps that make them; steps stand behind those
 * they take from. */
static void mark_wanted(struct tern_ensemble_run *run)
{
    const struct tern_ensembling *plan = run->plan;
    const struct tern_engine_run *own = &run->work->run;

    for (uint32_t i = 0; i < own->n_outputs; i++)
        run->slots[plan->outputs[own->output_spec[i]]].wanted = true;
    for (uint32_t at = plan->n_steps; at-- > 0;) {
        const struct tern_ensemble_step *step = &plan->steps[at];
        bool wanted = false;
        for (uint32_t i = 0; i < step->n_outputs && !wanted; i++)
            wanted = run->slots[step->outputs[i].tensor].wanted;
        if (!wanted)
            tern_graph_skip(&run->graph, at);
        for (uint32_t i = 0; wanted && i < step->n_inputs; i++)
            run->slots[step->inputs[i].tensor].wanted = true;
    }
}

/* Room for a request's tensors and steps, or for those of one flow of it. */
static enum tern_code make_run(struct tern_work *work, struct tern_arena *arena,
                               struct tern_ensemble_run **ret_run, struct tern_err *err)
{
    const struct ensemble *ensemble = work->version->ensemble;
    const struct tern_ensembling *plan = work->version->ensembling;
    struct tern_ensemble_run *run =
        tern_arena_zalloc(arena, 1,
                          sizeof(*run) + plan->n_steps * sizeof(struct ensemble_step *) +
                              plan->n_tensors * sizeof(struct ensemble_slot));

    if (run == NULL)
        return tern_arena_fail(arena, err, "an ensemble");
    run->work = work;
    run->arena = arena;
    run->plan = plan;
    run->producer = ENSEMBLE_NO_STEP;
    run->steps = (struct ensemble_step **)(run + 1);
    run->slots = (struct ensemble_slot *)(run->steps + plan->n_steps);
    *ret_run = run;
    return tern_graph_init(&run->graph, &ensemble->graph, &graph_ops, arena, err);
}

enum tern_code tern_ensemble_make_flow(const struct tern_ensemble_run *before,
                                       struct tern_arena *arena, struct tern_ensemble_run **ret_run,
                                       struct tern_err *err)
{
    struct tern_ensemble_run *run;

    TERN_TRY(make_run(before->work, arena, &run, err));
    run->sched = before->sched;
    run->binding = before->binding;
    run->flows = before->flows;
    run->scope = before->scope + 1;
    run->now_ns = tern_clock_mono_ns();
    memcpy(run->slots, before->slots, run->plan->n_tensors * sizeof(*run->slots));
    mark_wanted(run);
    *ret_run = run;
    return TERN_OK;
}

static enum tern_code new_run(struct tern_sched *sched, struct tern_work *work,
                              struct tern_ensemble_run **ret_run)
{
    struct tern_ensemble_run *run;

    TERN_TRY(make_run(work, work->run.arena, &run, work->err));
    run->sched = sched;
    run->now_ns = work->queued_ns;
    TERN_TRY(set_inputs(run));
    mark_wanted(run);
    if (TERN_UNLIKELY(work->run.sink != NULL))
        TERN_TRY(tern_ensemble_flows_open(run));
    *ret_run = run;
    return bind(run, &run->binding);
}

void tern_ensemble_submit(struct tern_sched *sched, struct tern_work *work)
{
    struct tern_ensemble_run *run = NULL;

    work->queued_ns = work->started_ns = work->finished_ns = tern_clock_mono_ns();
    work->code = TERN_OK;
    work->timer.slot = 0;
    enum tern_code code = new_run(sched, work, &run);
    if (code != TERN_OK) {
        work->code = code;
        work->state = TERN_WORK_DONE;
        work->on_done(work);
        return;
    }
    work->state = TERN_WORK_RUNNING;
    work->ensemble = run;
    tern_graph_run(&run->graph);
}

void tern_ensemble_cancel(struct tern_sched *sched, struct tern_work *work)
{
    (void)sched;
    if (work->ensemble != NULL && work->ensemble->flows != NULL)
        tern_ensemble_flows_cancel(work->ensemble);
    else if (work->ensemble != NULL)
        tern_graph_cancel(&work->ensemble->graph,
                          tern_fail(work->err, TERN_CANCELLED, "the client went away"));
}

bool tern_ensemble_mix(const struct tern_work *work, uint64_t seed[2])
{
    const struct tern_binding *binding =
        work->binding != NULL ? work->binding
                              : work->version->pins[tern_loop_index(work->loop)].binding;

    if (binding == NULL || binding->stateful || binding->decoupled)
        return false;
    seed[0] ^= binding->id;
    return true;
}

/* ---- life ---- */

static enum tern_code add_pools(struct ensemble *ensemble, struct tern_model_version *version,
                                struct tern_err *err)
{
    if (version->ensembling->is_chain)
        return TERN_OK;
    ensemble->pools =
        tern_arena_zalloc(&version->arena, version->n_loops, sizeof(struct tern_ensemble_pool *));
    if (ensemble->pools == NULL)
        return tern_arena_fail(&version->arena, err, "an ensemble");
    for (uint32_t i = 0; i < version->n_loops; i++) {
        ensemble->pools[i] = tern_ensemble_pool_new();
        if (ensemble->pools[i] == NULL)
            return tern_mem_fail(err, "memory of an ensemble's steps", 0);
    }
    return TERN_OK;
}

enum tern_code tern_ensemble_add(struct tern_model_version *version, struct tern_err *err)
{
    const struct tern_ensembling *plan = version->ensembling;
    struct ensemble *ensemble = tern_arena_zalloc(&version->arena, 1, sizeof(*ensemble));
    struct tern_graph_node *nodes =
        tern_arena_zalloc(&version->arena, plan->n_steps, sizeof(*nodes));

    if (ensemble == NULL || nodes == NULL)
        return tern_arena_fail(&version->arena, err, "an ensemble");
    for (uint32_t i = 0; i < plan->n_steps; i++)
        nodes[i] = (struct tern_graph_node){plan->steps[i].next, plan->steps[i].n_next,
                                            plan->steps[i].n_before};
    ensemble->graph = (struct tern_graph_plan){nodes, plan->n_steps};
    version->ensemble = ensemble;
    enum tern_code code = add_pools(ensemble, version, err);
    if (code != TERN_OK)
        tern_ensemble_remove(version);
    return code;
}

void tern_ensemble_remove(struct tern_model_version *version)
{
    struct ensemble *ensemble = version->ensemble;

    for (uint32_t i = 0; ensemble != NULL && ensemble->pools != NULL && i < version->n_loops; i++)
        tern_ensemble_pool_drop(ensemble->pools[i]);
    version->ensemble = NULL;
}
