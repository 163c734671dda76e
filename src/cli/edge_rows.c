#include "cli/edge_rows.h"

#include <math.h>
#include <string.h>
#include "engine/native/ops/ops.h"
#include "engine/native/state.h"
#include "forest/emit.h"

#define NUMBERS_MAX 400000u /* of all rows: the file stays small */
#define TRIES       20      /* for each row that is wanted */
#define RUN_MAX     ((size_t)1 << 30)

/* ---- what a model knows ---- */

/* Arrays of numbers, or of texts, in the states of its operators. */
struct known {
    struct tern_state_block *blocks;
    uint32_t n;
};

struct draw {
    const struct tern_forest *forest; /* the first; NULL: there is none */
    struct known numbers, texts;
    uint64_t random;
};

static bool is_known(const struct tern_state_block *block, bool is_text)
{
    if (block->n_bytes == 0 || block->dtype == TERN_DTYPE_INVALID)
        return false;
    return (block->dtype == TERN_DTYPE_BYTES) == is_text;
}

static enum tern_code add_known(struct known *known, const struct tern_state *state, bool is_text,
                                struct tern_arena *arena, struct tern_err *err)
{
    uint32_t n = known->n;

    for (uint32_t i = 0; i < state->n; i++)
        n += is_known(&state->blocks[i], is_text);
    struct tern_state_block *grown = tern_arena_zalloc(arena, n + 1u, sizeof(*grown));
    if (grown == NULL)
        return tern_arena_fail(arena, err, "what the model knows");
    if (known->n > 0)
        memcpy(grown, known->blocks, known->n * sizeof(*grown));
    for (uint32_t i = 0; i < state->n; i++)
        if (is_known(&state->blocks[i], is_text))
            grown[known->n++] = state->blocks[i];
    known->blocks = grown;
    return TERN_OK;
}

static enum tern_code find_known(const struct tern_native_emit *emit, struct draw *draw,
                                 struct tern_err *err)
{
    const struct tern_program *program = emit->program;
    struct tern_state state;

    for (uint32_t i = 0; i < program->n_steps; i++) {
        const struct tern_forest *forest = tern_op_forest_of(&program->steps[i]);
        if (forest != NULL) {
            draw->forest = draw->forest == NULL ? forest : draw->forest;
            continue;
        }
        if (tern_state_read(&program->steps[i], emit->arena, &state, NULL) != TERN_OK)
            continue; /* whether it is needed turns out later */
        TERN_TRY(add_known(&draw->numbers, &state, false, emit->arena, err));
        TERN_TRY(add_known(&draw->texts, &state, true, emit->arena, err));
    }
    return TERN_OK;
}

/* ---- numbers and texts ---- */

/* SplitMix64 (Steele, Lea, Flood, OOPSLA 2014). */
static uint64_t random_u64(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static double random_unit(uint64_t *state)
{
    return (double)(random_u64(state) >> 11) * 0x1p-53;
}

static double known_number(struct draw *draw)
{
    const struct tern_state_block *block =
        &draw->numbers.blocks[random_u64(&draw->random) % draw->numbers.n];
    size_t size = tern_dtype_size(block->dtype);
    size_t i = (size_t)(random_u64(&draw->random) % (block->n_bytes / size));

    if (block->dtype == TERN_DTYPE_FP32)
        return (double)((const float *)(const void *)block->from)[i];
    if (block->dtype == TERN_DTYPE_FP64)
        return ((const double *)(const void *)block->from)[i];
    return block->dtype == TERN_DTYPE_INT64
               ? (double)((const int64_t *)(const void *)block->from)[i]
               : 1;
}

static double random_number(struct draw *draw, uint32_t column)
{
    uint64_t *random = &draw->random, kind = random_u64(random) % 16;
    double cut;

    if (kind == 0)
        return (double)NAN;
    if (kind == 1)
        return 0;
    if (kind == 2)
        return (double)(random_u64(random) % 100);
    if (draw->forest == NULL && draw->numbers.n > 0 && kind < 9)
        return known_number(draw);
    if (kind < 6 || draw->forest == NULL ||
        !tern_forest_cut(draw->forest, column, random_u64(random), &cut))
        return (random_unit(random) - 0.5) * pow(10, random_unit(random) * 4 - 1);
    if (kind < 9)
        return cut;
    return kind < 11 ? (double)nextafterf((float)cut, kind == 9 ? -INFINITY : INFINITY)
                     : cut * (1 + (random_unit(random) - 0.5) / 4);
}

/* Whether it fits a line of CSV, as the end of C's strings allows. */
static bool is_printable(struct tern_str text)
{
    for (size_t i = 0; i < text.n; i++)
        if ((unsigned char)text.p[i] < ' ')
            return false;
    return true;
}

static struct tern_str random_text(struct draw *draw)
{
    uint64_t *random = &draw->random;
    const struct tern_state_block *block;
    struct tern_str text = TERN_STR("nobody knows me");

    if (draw->texts.n == 0 || random_u64(random) % 16 == 0)
        return text;
    block = &draw->texts.blocks[random_u64(random) % draw->texts.n];
    memcpy(&text, block->from + random_u64(random) % (block->n_bytes / sizeof(text)) * sizeof(text),
           sizeof(text));
    return is_printable(text) ? text : TERN_STR("");
}

/* ---- rows ---- */

static void put_number(struct tern_tensor *tensor, uint32_t i, double v)
{
    if (tensor->dtype == TERN_DTYPE_FP32)
        ((float *)tensor->data)[i] = (float)v;
    else if (tensor->dtype == TERN_DTYPE_FP64)
        ((double *)tensor->data)[i] = v;
    else if (tensor->dtype == TERN_DTYPE_INT64)
        ((int64_t *)tensor->data)[i] = fabs(v) < 1e15 ? (int64_t)v : 0;
    else
        ((int32_t *)tensor->data)[i] = fabs(v) < 1e9 ? (int32_t)v : 0;
}

static enum tern_code fill_texts(struct draw *draw, struct tern_tensor *tensor, uint32_t n,
                                 struct tern_arena *arena, struct tern_err *err)
{
    uint64_t again = draw->random;

    tensor->n_bytes = 0;
    for (uint32_t i = 0; i < n; i++)
        tensor->n_bytes += 4 + random_text(draw).n;
    char *at = tern_arena_alloc(arena, 64, tensor->n_bytes);
    if (at == NULL)
        return tern_arena_fail(arena, err, "a row");
    tensor->data = at;
    draw->random = again;
    for (uint32_t i = 0; i < n; i++) {
        struct tern_str text = random_text(draw);
        uint32_t length = (uint32_t)text.n;
        memcpy(at, &length, 4);
        if (length > 0)
            memcpy(at + 4, text.p, length);
        at += 4 + length;
    }
    return TERN_OK;
}

/* One row of all inputs; `column` counts over them. */
static enum tern_code fill(struct draw *draw, const struct tern_native_emitted *ports,
                           struct tern_tensor *row, struct tern_arena *arena, struct tern_err *err)
{
    uint32_t column = 0;

    for (uint32_t i = 0; i < ports->n_inputs; i++) {
        const struct tern_native_port *port = &ports->inputs[i];
        row[i] =
            (struct tern_tensor){.name = port->name, .dtype = port->dtype, .shape = port->shape};
        if (port->dtype == TERN_DTYPE_BYTES) {
            TERN_TRY(fill_texts(draw, &row[i], port->n, arena, err));
            continue;
        }
        row[i].n_bytes = port->n * tern_dtype_size(port->dtype);
        row[i].data = tern_arena_alloc(arena, 64, row[i].n_bytes);
        if (row[i].data == NULL)
            return tern_arena_fail(arena, err, "a row");
        for (uint32_t k = 0; k < port->n; k++)
            put_number(&row[i], k, random_number(draw, column++));
    }
    return TERN_OK;
}

enum tern_code tern_edge_rows_answer(const struct tern_native_emit *emit,
                                     const struct tern_tensor *inputs, struct tern_arena *arena,
                                     struct tern_tensor *ret_answer, struct tern_err *err)
{
    uint32_t n = emit->program->n_inputs;
    uint32_t *spec = tern_arena_zalloc(arena, n + 1u, sizeof(*spec));

    if (spec == NULL)
        return tern_arena_fail(arena, err, "a run");
    for (uint32_t i = 0; i < n; i++)
        spec[i] = i;
    *ret_answer = (struct tern_tensor){.data = NULL};
    const struct tern_engine_run run = {
        .inputs = inputs,
        .input_spec = spec,
        .n_inputs = n,
        .outputs = ret_answer,
        .output_spec = &emit->output,
        .n_outputs = 1,
        .arena = arena,
    };
    return tern_program_run(emit->program, &run, err);
}

/* Keeps the answer; false, and the row is not one, when the model does not take it. */
static enum tern_code try_row(const struct tern_native_emit *emit, const struct tern_tensor *row,
                              struct tern_arena *run_arena, struct tern_tensor *answer,
                              bool *ret_taken, struct tern_err *err)
{
    tern_arena_reset(run_arena);
    enum tern_code code = tern_edge_rows_answer(emit, row, run_arena, answer, err);
    *ret_taken = code == TERN_OK;
    if (code != TERN_OK)
        return code == TERN_INVALID_ARGUMENT || code == TERN_OUT_OF_RANGE ? TERN_OK : code;
    void *copy = tern_arena_alloc(emit->arena, 64, answer->n_bytes + 1);
    if (copy == NULL)
        return tern_arena_fail(emit->arena, err, "an answer");
    if (answer->n_bytes > 0)
        memcpy(copy, answer->data, answer->n_bytes);
    answer->data = copy;
    return TERN_OK;
}

static enum tern_code draw_rows(const struct tern_native_emit *emit,
                                const struct tern_native_emitted *ports, uint32_t most,
                                struct draw *draw, struct tern_edge_rows *rows,
                                struct tern_err *err)
{
    struct tern_arena run_arena;
    enum tern_code code = TERN_OK;

    tern_arena_init(&run_arena, 1u << 16, RUN_MAX);
    for (uint32_t i = 0; i < TRIES * most && rows->n < most && code == TERN_OK; i++) {
        struct tern_tensor *row = &rows->inputs[(size_t)rows->n * rows->n_inputs];
        bool is_taken = false;
        code = fill(draw, ports, row, emit->arena, err);
        if (code == TERN_OK)
            code = try_row(emit, row, &run_arena, &rows->answers[rows->n], &is_taken, err);
        rows->n += is_taken;
    }
    tern_arena_fini(&run_arena);
    return code;
}

enum tern_code tern_edge_rows_make(const struct tern_native_emit *emit,
                                   const struct tern_native_emitted *ports, uint32_t most,
                                   struct tern_edge_rows *ret, struct tern_err *err)
{
    struct tern_edge_rows rows = {.n_inputs = ports->n_inputs};
    struct draw draw = {.random = 1};

    if (most > NUMBERS_MAX / ports->n_columns + 1)
        most = NUMBERS_MAX / ports->n_columns + 1;
    rows.inputs =
        tern_arena_zalloc(emit->arena, (size_t)most * ports->n_inputs, sizeof(*rows.inputs));
    rows.answers = tern_arena_zalloc(emit->arena, most, sizeof(*rows.answers));
    if (rows.inputs == NULL || rows.answers == NULL)
        return tern_arena_fail(emit->arena, err, "random rows");
    TERN_TRY(find_known(emit, &draw, err));
    TERN_TRY(draw_rows(emit, ports, most, &draw, &rows, err));
    if (rows.n == 0) {
        tern_err_prefix(err, "the model takes no random row");
        return TERN_INVALID_ARGUMENT;
    }
    *ret = rows;
    return TERN_OK;
}

/* ---- CSV ---- */

void tern_edge_rows_print_text(struct tern_buf *out, struct tern_str text)
{
    static const char special[] = {',', '"', '\r', '\n'};
    bool is_plain = text.n > 0;

    for (size_t i = 0; i < text.n; i++)
        is_plain = is_plain && memchr(special, text.p[i], sizeof(special)) == NULL;
    if (is_plain) {
        tern_buf_add_str(out, text);
        return;
    }
    tern_buf_add_char(out, '"');
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] == '"')
            tern_buf_add_char(out, '"');
        tern_buf_add_char(out, text.p[i]);
    }
    tern_buf_add_char(out, '"');
}

static void print_number(const struct tern_tensor *tensor, size_t i, struct tern_buf *out)
{
    if (tensor->dtype == TERN_DTYPE_FP32)
        tern_buf_printf(out, "%.9g", (double)((const float *)tensor->data)[i]);
    else if (tensor->dtype == TERN_DTYPE_FP64)
        tern_buf_printf(out, "%.17g", ((const double *)tensor->data)[i]);
    else if (tensor->dtype == TERN_DTYPE_INT64)
        tern_buf_printf(out, "%lld", (long long)((const int64_t *)tensor->data)[i]);
    else
        tern_buf_printf(out, "%d", ((const int32_t *)tensor->data)[i]);
}

static void print_tensor(const struct tern_tensor *tensor, struct tern_buf *out)
{
    size_t n = 0, at = 0;
    struct tern_str text;

    if (!tern_shape_count(&tensor->shape, &n))
        return;
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            tern_buf_add_char(out, ',');
        if (tensor->dtype != TERN_DTYPE_BYTES)
            print_number(tensor, i, out);
        else if (tern_tensor_next_bytes(tensor, &at, &text))
            tern_edge_rows_print_text(out, text);
    }
}

void tern_edge_rows_print(const struct tern_edge_rows *rows, struct tern_buf *out)
{
    for (uint32_t i = 0; i < rows->n; i++) {
        for (uint32_t k = 0; k < rows->n_inputs; k++) {
            if (k > 0)
                tern_buf_add_char(out, ',');
            print_tensor(&rows->inputs[(size_t)i * rows->n_inputs + k], out);
        }
        tern_buf_add_char(out, '\n');
    }
}
