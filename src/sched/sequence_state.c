#include "sched/sequence_state.h"

#include <string.h>
#include "base/mem.h"

#define STATE_MAX ((size_t)1 << 30) /* bytes of one state of one sequence */

struct tern_kept {
    struct tern_shape shape;
    void *data; /* owned */
    size_t n_bytes, cap;
};

void tern_kept_show(const struct tern_sequencing *sequencing, const struct tern_kept *kept,
                    struct tern_tensor *inputs)
{
    for (uint32_t i = 0; i < sequencing->n_states; i++) {
        const struct tern_state *state = &sequencing->states[i];
        const void *data = kept == NULL ? state->data : kept[i].data;
        inputs[i].name = state->input_name;
        inputs[i].dtype = state->dtype;
        inputs[i].shape = kept == NULL ? state->first : kept[i].shape;
        inputs[i].n_bytes = kept == NULL ? state->n_bytes : kept[i].n_bytes;
        memcpy(&inputs[i].data, &data, sizeof(data)); /* nobody writes to an input */
    }
}

static enum tern_code check(const struct tern_state *state, const struct tern_tensor *output,
                            struct tern_err *err)
{
    char want[160], got[160];

    if (output->dtype != state->dtype || !tern_shape_fits(&state->shape, &output->shape))
        return tern_fail(err, TERN_INTERNAL, "state '%.*s' is %s %s, the model gave %s %s",
                         TERN_STR_ARG(state->output_name), tern_dtype_name(state->dtype),
                         tern_shape_print(&state->shape, want, sizeof(want)),
                         tern_dtype_name(output->dtype),
                         tern_shape_print(&output->shape, got, sizeof(got)));
    if (output->n_bytes > STATE_MAX)
        return tern_fail(err, TERN_RESOURCE_EXHAUSTED, "state '%.*s' has more than %zu bytes",
                         TERN_STR_ARG(state->output_name), STATE_MAX);
    return TERN_OK;
}

/* Room for all of them, before any is overwritten. */
static enum tern_code make_room(struct tern_kept *kept, size_t n_bytes, struct tern_err *err)
{
    void *grown;

    if (n_bytes <= kept->cap && kept->data != NULL)
        return TERN_OK;
    grown = tern_mem_realloc(kept->data, n_bytes > 0 ? n_bytes : 1);
    if (grown == NULL)
        return tern_mem_fail(err, "the state of a sequence", n_bytes);
    kept->data = grown;
    kept->cap = n_bytes;
    return TERN_OK;
}

enum tern_code tern_kept_take(const struct tern_sequencing *sequencing,
                              const struct tern_tensor *outputs, const uint32_t *at,
                              struct tern_kept **kept, struct tern_err *err)
{
    uint32_t n = sequencing->n_states;

    if (*kept == NULL)
        *kept = tern_mem_zalloc(n, sizeof(**kept));
    if (*kept == NULL)
        return tern_mem_fail(err, "the state of a sequence", n * sizeof(**kept));
    for (uint32_t i = 0; i < n; i++) {
        TERN_TRY(check(&sequencing->states[i], &outputs[at[i]], err));
        TERN_TRY(make_room(&(*kept)[i], outputs[at[i]].n_bytes, err));
    }
    for (uint32_t i = 0; i < n; i++) {
        const struct tern_tensor *output = &outputs[at[i]];
        (*kept)[i].shape = output->shape;
        (*kept)[i].n_bytes = output->n_bytes;
        if (output->n_bytes > 0)
            memcpy((*kept)[i].data, output->data, output->n_bytes);
    }
    return TERN_OK;
}

void tern_kept_free(const struct tern_sequencing *sequencing, struct tern_kept *kept)
{
    if (kept == NULL)
        return;
    for (uint32_t i = 0; i < sequencing->n_states; i++)
        tern_mem_free(kept[i].data);
    tern_mem_free(kept);
}
