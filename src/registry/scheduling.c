#include "registry/scheduling.h"

static bool limits_the_wait(const struct tern_scheduling_level *level)
{
    return level->default_timeout_ns > 0 || level->max_queue_size > 0;
}

bool tern_scheduling_needs_queue(const struct tern_scheduling *scheduling)
{
    bool needs = scheduling->max_queue_delay_ns > 0 || scheduling->preserve_ordering ||
                 scheduling->n_levels > 1 || scheduling->gathers;

    for (uint32_t i = 0; scheduling->levels != NULL && i <= scheduling->n_own_levels; i++)
        needs |= limits_the_wait(&scheduling->levels[i]);
    for (uint32_t i = 0; i < scheduling->n_groups; i++)
        needs |= scheduling->groups[i].n_resources > 0;
    return needs;
}

bool tern_scheduling_regroups(const struct tern_scheduling *scheduling)
{
    return scheduling->ragged != NULL || scheduling->n_batch_inputs > 0 ||
           scheduling->n_batch_outputs > 0;
}

bool tern_scheduling_fills(const struct tern_scheduling *scheduling, uint32_t input)
{
    for (uint32_t i = 0; i < scheduling->n_batch_inputs; i++) {
        if (scheduling->batch_inputs[i].input == input)
            return true;
    }
    return false;
}

bool tern_scheduling_scatters(const struct tern_scheduling *scheduling, uint32_t output)
{
    for (uint32_t i = 0; i < scheduling->n_batch_outputs; i++) {
        if (scheduling->batch_outputs[i].output == output)
            return true;
    }
    return false;
}

const struct tern_scheduling_group *
tern_scheduling_group_of(const struct tern_scheduling *scheduling, uint32_t instance)
{
    const struct tern_scheduling_group *last = NULL;

    for (uint32_t i = 0; i < scheduling->n_groups; i++) {
        const struct tern_scheduling_group *group = &scheduling->groups[i];
        if (group->passive)
            continue;
        last = group;
        if (instance < group->count)
            break;
        instance -= group->count;
    }
    return last;
}
