/* Batches of any shape against the plain idea of them: what the engine gets is the works' inputs
 * one after another, and an engine that gives back what it got gives each work its own. Then an
 * engine that lies about its outputs: nobody gets bytes that are not there. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "harness/fuzz_require.h"
#include "sched/batch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define WORKS_MAX  6
#define INPUTS_MAX 4
#define INPUT_ROOM 4096

struct client {
    struct tern_work work;
    struct tern_arena arena;
    struct tern_err err;
    struct tern_tensor inputs[INPUTS_MAX], outputs[INPUTS_MAX];
    uint32_t order[INPUTS_MAX];
    char bytes[INPUTS_MAX][INPUT_ROOM];
};

/* The bytes of the fuzzer, then zeros. */
struct dice {
    const uint8_t *at, *end;
};

static uint32_t roll(struct dice *dice, uint32_t n)
{
    return dice->at < dice->end ? *dice->at++ % n : 0;
}

/* ---- the model: output i is input i ---- */

struct model {
    uint32_t n_inputs; /* of the clients; index n_inputs is made from input 0 */
    struct tern_tensor_spec inputs[INPUTS_MAX + 1], outputs[INPUTS_MAX];
    bool ragged[INPUTS_MAX + 1];
    uint32_t allowed[2];
    struct tern_batch_input made;
    struct tern_batch_output scattered[INPUTS_MAX];
    struct tern_scheduling scheduling;
    struct tern_engine_ops ops;
    struct tern_model_version version;
};

static void init_model(struct model *m, struct dice *dice)
{
    static const enum tern_dtype dtypes[] = {TERN_DTYPE_FP32, TERN_DTYPE_BYTES, TERN_DTYPE_INT8,
                                             TERN_DTYPE_INT64};
    static const struct tern_str names[] = {{"a", 1}, {"b", 1}, {"c", 1}, {"d", 1}, {"made", 4}};
    struct tern_scheduling *s = &m->scheduling;
    bool regroups = roll(dice, 2) == 1;

    m->n_inputs = 1 + roll(dice, INPUTS_MAX);
    *s = (struct tern_scheduling){.batching = TERN_BATCHING_ADAPTIVE, .max_rows = 64};
    for (uint32_t i = 0; i < m->n_inputs; i++) {
        struct tern_tensor_spec *spec = &m->inputs[i];
        *spec = (struct tern_tensor_spec){.name = names[i], .dtype = dtypes[roll(dice, 4)]};
        spec->shape = (struct tern_shape){1 + (int)roll(dice, 3), {-1, -1, -1}};
        m->outputs[i] = *spec;
        m->ragged[i] = regroups && roll(dice, 2) == 1;
        if (m->ragged[i])
            m->scattered[s->n_batch_outputs++] = (struct tern_batch_output){i, i};
    }
    m->inputs[m->n_inputs].name = names[INPUTS_MAX];
    m->made = (struct tern_batch_input){.kind = (enum tern_batch_input_kind)roll(dice, 6),
                                        .dtype = TERN_DTYPE_INT32,
                                        .input = m->n_inputs};
    if (regroups) {
        s->ragged = m->ragged;
        s->batch_inputs = &m->made;
        s->n_batch_inputs = roll(dice, 2);
        s->batch_outputs = m->scattered;
    }
    m->allowed[0] = 1 + roll(dice, 8);
    m->allowed[1] = m->allowed[0] + roll(dice, 16);
    s->allowed = m->allowed;
    s->n_allowed = roll(dice, 3);
    s->gathers = regroups || s->n_allowed > 0;
    m->version = (struct tern_model_version){.scheduling = s,
                                             .engine = {.ops = &m->ops, .inputs = m->inputs},
                                             .output_specs = m->outputs};
}

/* ---- clients ---- */

static size_t fill(struct dice *dice, enum tern_dtype dtype, size_t count, char *dst)
{
    size_t size = tern_dtype_size(dtype), n = 0;

    for (size_t i = 0; i < count; i++) {
        size_t length = dtype == TERN_DTYPE_BYTES ? roll(dice, 5) : size;
        if (dtype == TERN_DTYPE_BYTES) {
            memcpy(dst + n, &(uint32_t){(uint32_t)length}, 4);
            n += 4;
        }
        for (size_t k = 0; k < length; k++)
            dst[n++] = (char)roll(dice, 256);
    }
    return n;
}

/* Dimensions behind the first are the first client's but for ragged inputs, mostly. */
static void init_client(struct client *c, const struct client *first, struct model *m,
                        struct dice *dice)
{
    int64_t rows = 1 + roll(dice, 5);
    uint32_t turn = roll(dice, m->n_inputs);

    tern_arena_init(&c->arena, 256, 1 << 16);
    for (uint32_t k = 0; k < m->n_inputs; k++) {
        uint32_t i = (k + turn) % m->n_inputs;
        struct tern_tensor *input = &c->inputs[k];
        *input = (struct tern_tensor){.name = m->inputs[i].name,
                                      .dtype = m->inputs[i].dtype,
                                      .shape = {m->inputs[i].shape.rank, {rows}}};
        for (int d = 1; d < input->shape.rank; d++)
            input->shape.dim[d] = roll(dice, 4);
        for (uint32_t f = 0; c != first && !m->ragged[i] && f < m->n_inputs; f++) {
            if (first->order[f] == i && roll(dice, 32) != 31) {
                input->shape = first->inputs[f].shape;
                input->shape.dim[0] = rows;
            }
        }
        size_t count = 0;
        require(tern_shape_count(&input->shape, &count));
        input->n_bytes = fill(dice, input->dtype, count, c->bytes[k]);
        input->data = c->bytes[k];
        c->outputs[k].name = input->name;
        c->order[k] = i;
    }
    c->work.version = &m->version;
    c->work.err = &c->err;
    c->work.run = (struct tern_engine_run){.inputs = c->inputs,
                                           .input_spec = c->order,
                                           .n_inputs = m->n_inputs,
                                           .outputs = c->outputs,
                                           .output_spec = c->order,
                                           .n_outputs = m->n_inputs,
                                           .arena = &c->arena,
                                           .cancelled = &c->work.cancelled};
}

static const struct tern_tensor *find(const struct client *c, uint32_t spec)
{
    for (uint32_t k = 0; k < c->work.run.n_inputs; k++) {
        if (c->order[k] == spec)
            return &c->inputs[k];
    }
    abort();
}

/* ---- what has to hold ---- */

static bool may_go_together(const struct client *clients, uint32_t n, const struct model *m)
{
    for (uint32_t i = 0; i < m->n_inputs; i++) {
        for (uint32_t k = 1; k < n && !m->ragged[i]; k++) {
            struct tern_shape shape = find(&clients[k], i)->shape;
            shape.dim[0] = find(&clients[0], i)->shape.dim[0];
            if (!tern_shape_eq(&shape, &find(&clients[0], i)->shape))
                return false;
        }
    }
    return true;
}

static void check_inputs(const struct tern_batch *batch, const struct client *clients, uint32_t n,
                         const struct model *m)
{
    for (uint32_t i = 0; i < m->n_inputs; i++) {
        const struct tern_tensor *joined = &batch->run.inputs[i];
        uint32_t spec = batch->run.input_spec[i];
        size_t at = 0, count = 0;
        for (uint32_t k = 0; k < n; k++) {
            const struct tern_tensor *input = find(&clients[k], spec);
            require(at + input->n_bytes <= joined->n_bytes);
            if (input->n_bytes > 0)
                require(memcmp((char *)joined->data + at, input->data, input->n_bytes) == 0);
            at += input->n_bytes;
        }
        require(tern_shape_count(&joined->shape, &count));
        require(tern_dtype_size(joined->dtype) == 0 ||
                count * tern_dtype_size(joined->dtype) == joined->n_bytes);
        if (m->ragged[spec])
            require(joined->shape.rank == 1 && at == joined->n_bytes);
        else
            require((uint64_t)joined->shape.dim[0] == batch->run_rows);
        if (joined->dtype == TERN_DTYPE_BYTES)
            require(tern_tensor_check_bytes(joined->name, joined->data, joined->n_bytes, count,
                                            NULL) == TERN_OK);
    }
}

static void run_model(struct tern_batch *batch)
{
    for (uint32_t i = 0; i < batch->run.n_outputs; i++) {
        struct tern_str name = batch->run.outputs[i].name;
        batch->run.outputs[i] = batch->run.inputs[i]; /* both are in one order */
        batch->run.outputs[i].name = name;
    }
}

static void lie(struct tern_batch *batch, struct dice *dice)
{
    struct tern_tensor *output = &batch->run.outputs[roll(dice, batch->run.n_outputs)];
    int d = (int)roll(dice, 4);

    output->shape.dim[d] = (int64_t)roll(dice, 16) - 2;
    output->shape.rank = d + (int)roll(dice, 2);
    if (output->n_bytes > 0)
        output->n_bytes -= roll(dice, 256) % output->n_bytes;
}

static void check_answer(const struct client *c, bool lied)
{
    uint64_t sum = 0; /* touch every byte, for the sanitizer */

    for (uint32_t k = 0; k < c->work.run.n_outputs; k++) {
        const struct tern_tensor *output = &c->outputs[k], *input = &c->inputs[k];
        for (size_t i = 0; i < output->n_bytes; i++)
            sum += ((const uint8_t *)output->data)[i];
        require(sum < UINT64_MAX);
        if (lied)
            continue;
        require(tern_shape_eq(&output->shape, &input->shape) && output->n_bytes == input->n_bytes);
        require(input->n_bytes == 0 || memcmp(output->data, input->data, input->n_bytes) == 0);
    }
}

static void try_batch(struct tern_batch_pool *pool, struct dice *dice)
{
    static struct client clients[WORKS_MAX];
    struct tern_work *works[WORKS_MAX];
    struct tern_batch *batch;
    struct model m = {.n_inputs = 0};
    struct tern_err err;
    uint32_t n = 1 + roll(dice, WORKS_MAX);
    bool lies = roll(dice, 2) == 1;

    init_model(&m, dice);
    for (uint32_t k = 0; k < n; k++) {
        init_client(&clients[k], &clients[0], &m, dice);
        works[k] = &clients[k].work;
    }
    require(tern_batch_take(pool, &batch, &err) == TERN_OK);
    enum tern_code code = tern_batch_gather(batch, works, n, &err);
    require((code == TERN_OK) == may_go_together(clients, n, &m));
    if (code == TERN_OK) {
        check_inputs(batch, clients, n, &m);
        run_model(batch);
        if (lies && n > 1)
            lie(batch, dice);
        tern_batch_scatter(batch, TERN_OK, NULL);
        for (uint32_t k = 0; k < n; k++) {
            require(clients[k].work.code == TERN_OK || (lies && n > 1));
            if (clients[k].work.code == TERN_OK)
                check_answer(&clients[k], lies && n > 1);
        }
    } else {
        tern_batch_give_back(batch);
    }
    for (uint32_t k = 0; k < n; k++)
        tern_arena_fini(&clients[k].arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct tern_batch_settings settings = {
        .memory_max = 1 << 20, .keep_max = 1 << 16, .idle_max = 1};
    struct dice dice = {data, data + size};
    struct tern_batch_pool *pool;

    require(tern_batch_pool_new(&settings, &pool, NULL) == TERN_OK);
    for (int i = 0; i < 2; i++) /* the second reuses the memory of the first */
        try_batch(pool, &dice);
    tern_batch_pool_close(pool);
    return 0;
}
