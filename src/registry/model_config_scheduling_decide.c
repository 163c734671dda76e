/* Whether and how a model is batched: what its configuration says, the batching parameters of TF
 * Serving and MLServer, and the server's rules. */
#include "registry/model_config_scheduling_int.h"

/* ---- TF Serving's and MLServer's parameters ---- */

static const struct tern_batching_parameters *
parameters_for(const struct tern_config_reader *r,
               const struct tern_model_config_settings *settings)
{
    const struct tern_model_config *config = r->config;

    if (r->config->scheduling->batching != TERN_BATCHING_NONE || config->sequencing != NULL ||
        config->decoupled || config->ensembling != NULL ||
        settings->batching == TERN_BATCHING_RULE_OFF)
        return NULL;
    return config->batching != NULL ? config->batching : settings->batching_parameters;
}

static void take_parameters(struct tern_config_reader *r, const struct tern_batching_parameters *p,
                            uint32_t most_rows)
{
    struct tern_scheduling *s = r->config->scheduling;
    struct tern_scheduling_level *level = tern_config_reader_many(r, 1, sizeof(*level));

    if (level == NULL)
        return;
    level->max_queue_size = p->max_queue_size;
    s->levels = level;
    s->batching = TERN_BATCHING_CONFIGURED;
    s->max_rows = p->max_rows < most_rows ? p->max_rows : most_rows;
    s->max_queue_delay_ns = p->delay_ns;
    s->allowed = p->allowed;
    while (s->n_allowed < p->n_allowed && p->allowed[s->n_allowed] <= s->max_rows)
        s->n_allowed++;
    s->gathers |= s->n_allowed > 0;
}

bool tern_model_config_take_batches(struct tern_model_config *config,
                                    const struct tern_model_config_settings *settings,
                                    struct tern_arena *arena)
{
    struct tern_problems problems;
    struct tern_config_reader r = {.config = config, .arena = arena, .problems = &problems};

    tern_problem_init(&problems, arena);
    if (settings->batching_parameters != NULL) {
        take_parameters(&r, settings->batching_parameters, UINT32_MAX);
    } else {
        r.config->scheduling->batching = TERN_BATCHING_ADAPTIVE;
        r.config->scheduling->max_rows = settings->batch_max;
    }
    return !r.out_of_memory;
}

/* The first tensor that cannot hold several rows, or NULL. */
static const struct tern_tensor_spec *find_fixed(const struct tern_tensor_spec *specs, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        if (specs[i].shape.rank == 0 || specs[i].shape.dim[0] != -1)
            return &specs[i];
    }
    return NULL;
}

/* Parameters of the model's own are believed; those of all models wait for a proof. */
static void take_own_parameters(struct tern_config_reader *r, const struct tern_engine_model *model)
{
    const struct tern_tensor_spec *fixed = find_fixed(model->inputs, model->n_inputs);

    if (fixed == NULL)
        fixed = find_fixed(model->outputs, model->n_outputs);
    if (fixed != NULL && r->config->batching->max_rows > 1)
        tern_problem_add(r->problems, r->config->batching->place,
                         "max_batch_size is %u, but \"%.*s\" of the model has no free first "
                         "dimension",
                         r->config->batching->max_rows, TERN_STR_ARG(fixed->name));
    else
        take_parameters(r, r->config->batching, UINT32_MAX);
}

/* ---- whether and how it is batched ---- */

static void decide_by_rule(struct tern_config_reader *r,
                           const struct tern_model_config_settings *settings)
{
    struct tern_scheduling *s = r->config->scheduling;
    bool sequences = r->config->sequencing != NULL;
    bool batches = r->config->max_batch_size > 1 && !r->config->decoupled;

    if (s->batching == TERN_BATCHING_NONE && settings->batching == TERN_BATCHING_RULE_ADAPTIVE &&
        !sequences)
        s->batching = TERN_BATCHING_ADAPTIVE;
    if (settings->batching == TERN_BATCHING_RULE_OFF) {
        batches = false;
        if (sequences)
            r->config->sequencing->direct = false;
        s->n_preferred = 0;
        s->max_queue_delay_ns = 0;
    }
    if (!batches && s->batching == TERN_BATCHING_ADAPTIVE)
        s->batching = TERN_BATCHING_NONE;
    s->max_rows =
        batches && s->batching != TERN_BATCHING_NONE ? (uint32_t)r->config->max_batch_size : 1;
}

static void decide(struct tern_config_reader *r, const struct tern_model_config_settings *settings,
                   const struct tern_engine_model *model)
{
    const struct tern_batching_parameters *parameters = parameters_for(r, settings);

    r->config->scheduling->max_rows = 1;
    if (parameters != NULL && r->config->max_batch_size > 0)
        take_parameters(r, parameters, (uint32_t)r->config->max_batch_size);
    else if (parameters != NULL && parameters == r->config->batching)
        take_own_parameters(r, model);
    else
        decide_by_rule(r, settings);
}

bool tern_model_config_scheduling_tie(struct tern_model_config *config,
                                      const struct tern_model_config_settings *settings,
                                      const struct tern_engine_model *model,
                                      struct tern_arena *arena, struct tern_problems *problems)
{
    struct tern_config_reader r = {.config = config, .arena = arena, .problems = problems};

    decide(&r, settings, model);
    tern_scheduling_tie_batch_tensors(&r, model);
    tern_scheduling_tie_ragged(&r, model);
    tern_scheduling_tie_cost(&r, model);
    if (tern_config_reader_parameter(&r, TERN_SCHEDULING_SLO) == NULL)
        config->scheduling->slo_ns = settings->slo_ns;
    return !r.out_of_memory;
}
