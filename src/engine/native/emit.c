#include "engine/native/emit_int.h"

#include <string.h>
#include "base/mem.h"
#include "base/version.h"
#include "engine/native/ops/ops.h"
#include "engine/native/state.h"
#include "forest/emit.h"

#define MEASURED_MAX ((size_t)1 << 30) /* working memory that a run may take */
#define SAMPLES_MAX  100
#define TEXT_MIN     64 /* bytes that texts may have, whatever the model's own have */
#define COLUMNS_MAX  (1 << 24)

/* ---- what it takes and gives ---- */

static bool is_port(enum tern_dtype dtype)
{
    return dtype == TERN_DTYPE_FP32 || dtype == TERN_DTYPE_FP64 || dtype == TERN_DTYPE_INT32 ||
           dtype == TERN_DTYPE_INT64 || dtype == TERN_DTYPE_BYTES;
}

static enum tern_code make_port(const struct tern_tensor_spec *spec, const char *what,
                                struct tern_native_port *ret, struct tern_err *err)
{
    struct tern_native_port port = {.name = spec->name, .dtype = spec->dtype, .shape = spec->shape};
    size_t n;

    if (!is_port(spec->dtype))
        return tern_fail(err, TERN_UNIMPLEMENTED,
                         "%s '%.*s' is %s, expected FP32, FP64, INT32, INT64 or BYTES", what,
                         TERN_STR_ARG(spec->name), tern_dtype_name(spec->dtype));
    if (port.shape.rank > 0)
        port.shape.dim[0] = 1;
    if (port.shape.rank == 0 || !tern_shape_count(&port.shape, &n) || n == 0 || n > COLUMNS_MAX)
        return tern_fail(err, TERN_UNIMPLEMENTED, "%s '%.*s' has no fixed number of features a row",
                         what, TERN_STR_ARG(spec->name));
    port.n = (uint32_t)n;
    *ret = port;
    return TERN_OK;
}

enum tern_code tern_native_ports(const struct tern_native_emit *emit,
                                 struct tern_native_emitted *ret, struct tern_err *err)
{
    const struct tern_program *program = emit->program;

    *ret = (struct tern_native_emitted){.n_inputs = program->n_inputs, .rows = emit->rows};
    ret->inputs = tern_arena_zalloc(emit->arena, program->n_inputs + 1u, sizeof(*ret->inputs));
    if (ret->inputs == NULL)
        return tern_arena_fail(emit->arena, err, "the inputs");
    if (program->n_inputs == 0)
        return tern_fail(err, TERN_UNIMPLEMENTED, "the model has no input");
    for (uint32_t i = 0; i < program->n_inputs; i++) {
        const struct tern_tensor_spec *spec = &program->inputs[i];
        int64_t rows = spec->shape.rank > 0 ? spec->shape.dim[0] : -1;
        TERN_TRY(make_port(spec, "input", &ret->inputs[i], err));
        if (rows > 1)
            return tern_fail(err, TERN_UNIMPLEMENTED,
                             "input '%.*s' has %lld rows, expected any number, or one",
                             TERN_STR_ARG(spec->name), (long long)rows);
        if (rows == 1)
            ret->rows = 1;
        ret->n_columns += ret->inputs[i].n;
        if (ret->n_columns > COLUMNS_MAX)
            return tern_fail(err, TERN_UNIMPLEMENTED, "the model has more than %d columns",
                             COLUMNS_MAX);
    }
    return TERN_OK;
}

/* ---- the program as it will run there ---- */

/* A state that points to a forest points to one without heads. */
static enum tern_code make_bare_state(const struct tern_native_emit *emit, struct tern_step *step,
                                      struct tern_err *err)
{
    const struct tern_forest *forest;
    struct tern_state state;
    char *copy = NULL;

    TERN_TRY(tern_state_read(step, emit->arena, &state, err));
    for (uint32_t i = 0; i < state.n; i++) {
        const struct tern_state_block *block = &state.blocks[i];
        if (block->forest == NULL)
            continue;
        TERN_TRY(tern_forest_bare(block->forest, emit->halves, emit->arena, &forest, err));
        if (copy == NULL)
            copy = tern_arena_alloc(emit->arena, 64, state.blocks[0].n_bytes);
        if (copy == NULL)
            return tern_arena_fail(emit->arena, err, "a state");
        if (step->state != copy)
            memcpy(copy, step->state, state.blocks[0].n_bytes);
        const void *pointer = forest;
        memcpy(copy + block->at, &pointer, sizeof(pointer));
        step->state = copy;
    }
    return TERN_OK;
}

/* Only what the output needs, in one list; forests without heads. */
static enum tern_code make_bare(const struct tern_native_emit *emit, struct tern_program *bare,
                                struct tern_err *err)
{
    const struct tern_program *program = emit->program;
    struct tern_step *steps = tern_arena_zalloc(emit->arena, program->n_steps + 1u, sizeof(*steps));
    uint64_t *feeds = tern_arena_zalloc(emit->arena, program->n_steps + 1u, sizeof(*feeds));
    uint64_t wanted = UINT64_C(1) << (emit->output < 63 ? emit->output : 63);
    const struct tern_forest *forest;
    uint32_t n = 0;

    if (steps == NULL || feeds == NULL)
        return tern_arena_fail(emit->arena, err, "a program");
    for (uint32_t i = 0; i < program->n_steps; i++) {
        if ((program->feeds[i] & wanted) == 0)
            continue;
        feeds[n] = UINT64_MAX;
        steps[n] = program->steps[i];
        if (tern_op_forest_of(&steps[n]) != NULL) {
            TERN_TRY(tern_forest_bare(steps[n].state, emit->halves, emit->arena, &forest, err));
            steps[n].state = forest;
        } else {
            TERN_TRY(make_bare_state(emit, &steps[n], err));
        }
        n++;
    }
    *bare = *program;
    bare->steps = steps;
    bare->feeds = feeds;
    bare->n_steps = n;
    bare->outputs += emit->output;
    bare->outputs_at += emit->output;
    bare->n_outputs = 1;
    return TERN_OK;
}

/* The values that steps read or make, and the output, in their order. */
static enum tern_code number_values(struct tern_emit *e, struct tern_err *err)
{
    const struct tern_program *program = e->program;
    uint32_t n = program->n_values;
    uint32_t *at = tern_arena_zalloc(e->emit->arena, n + 1u, sizeof(*at));

    if (at == NULL)
        return tern_arena_fail(e->emit->arena, err, "the values");
    for (uint32_t i = 0; i < program->n_inputs; i++)
        at[program->inputs_at[i]] = 1;
    at[program->outputs_at[0]] = 1;
    for (uint32_t i = 0; i < program->n_steps; i++) {
        const struct tern_step *step = &program->steps[i];
        for (uint32_t k = 0; k < step->n_in; k++)
            if (step->in[k] != TERN_VALUE_NONE)
                at[step->in[k]] = 1;
        for (uint32_t k = 0; k < step->n_out; k++)
            if (step->out[k] != TERN_VALUE_NONE)
                at[step->out[k]] = 1;
    }
    for (uint32_t i = 0; i < n; i++)
        at[i] = at[i] != 0 ? e->n_values++ : TERN_VALUE_NONE;
    e->value_at = at;
    return TERN_OK;
}

/* ---- texts ---- */

static size_t longest_of(const struct tern_str *texts, size_t n, size_t longest)
{
    for (size_t i = 0; i < n; i++)
        longest = texts[i].n > longest ? texts[i].n : longest;
    return longest;
}

/* Of all that states and constants hold. */
static enum tern_code find_longest(struct tern_emit *e, struct tern_err *err)
{
    const struct tern_program *program = e->program;
    struct tern_state state;
    struct tern_str text;

    for (uint32_t i = 0; i < program->n_steps; i++) {
        if (tern_op_forest_of(&program->steps[i]) != NULL)
            continue;
        TERN_TRY(tern_state_read(&program->steps[i], e->emit->arena, &state, err));
        for (uint32_t k = 0; k < state.n; k++)
            if (state.blocks[k].dtype == TERN_DTYPE_BYTES)
                e->longest = longest_of((const void *)state.blocks[k].from,
                                        state.blocks[k].n_bytes / sizeof(text), e->longest);
    }
    for (uint32_t i = 0; i < program->n_values; i++) {
        const struct tern_tensor *tensor = &program->values[i].tensor;
        size_t at = 0;
        if (program->values[i].kind != TERN_VALUE_CONSTANT || tensor->dtype != TERN_DTYPE_BYTES)
            continue;
        while (tern_tensor_next_bytes(tensor, &at, &text))
            e->longest = longest_of(&text, 1, e->longest);
    }
    return TERN_OK;
}

static bool has_texts(const struct tern_native_emitted *ret)
{
    bool has = ret->output.dtype == TERN_DTYPE_BYTES;

    for (uint32_t i = 0; i < ret->n_inputs; i++)
        has = has || ret->inputs[i].dtype == TERN_DTYPE_BYTES;
    return has;
}

/* ---- measures ---- */

/* The row so many times. */
static enum tern_code repeat(const struct tern_tensor *row, uint32_t rows, struct tern_tensor *ret,
                             struct tern_arena *arena, struct tern_err *err)
{
    char *data = tern_arena_alloc(arena, 64, row->n_bytes * rows);

    if (data == NULL)
        return tern_arena_fail(arena, err, "rows");
    *ret = *row;
    ret->shape.dim[0] = rows;
    ret->n_bytes = row->n_bytes * rows;
    ret->data = data;
    for (uint32_t i = 0; i < rows; i++)
        memcpy(data + i * row->n_bytes, row->data, row->n_bytes);
    return TERN_OK;
}

static enum tern_code run_repeated(const struct tern_emit *e, const struct tern_program *program,
                                   uint32_t sample, struct tern_arena *scratch,
                                   struct tern_arena *arena, struct tern_tensor *outputs,
                                   struct tern_err *err)
{
    uint32_t most = program->n_inputs > program->n_outputs ? program->n_inputs : program->n_outputs;
    const struct tern_tensor *row = &e->emit->samples[(size_t)sample * program->n_inputs];
    struct tern_tensor *inputs = tern_arena_zalloc(scratch, program->n_inputs, sizeof(*inputs));
    uint32_t *spec = tern_arena_zalloc(scratch, most, sizeof(*spec));

    if (inputs == NULL || spec == NULL)
        return tern_arena_fail(scratch, err, "rows");
    for (uint32_t i = 0; i < most; i++)
        spec[i] = i;
    for (uint32_t i = 0; i < program->n_inputs; i++)
        TERN_TRY(repeat(&row[i], e->ret->rows, &inputs[i], scratch, err));
    const struct tern_engine_run run = {
        .inputs = inputs,
        .input_spec = spec,
        .n_inputs = program->n_inputs,
        .outputs = outputs,
        .output_spec = spec,
        .n_outputs = program->n_outputs,
        .arena = arena,
    };
    return tern_program_run(program, &run, err);
}

/* Runs `program` on a row, repeated; outputs: its n_outputs, whose bytes may be those of the rows
 * and are not to be looked at. */
static enum tern_code run_rows(const struct tern_emit *e, const struct tern_program *program,
                               uint32_t sample, struct tern_arena *arena,
                               struct tern_tensor *outputs, struct tern_err *err)
{
    struct tern_arena scratch;

    tern_arena_init(&scratch, 1u << 16, MEASURED_MAX);
    enum tern_code code = run_repeated(e, program, sample, &scratch, arena, outputs, err);
    tern_arena_fini(&scratch);
    return code;
}

/* Bytes that texts may take beyond those of the measured run: of each that a run makes, the
 * longest. */
static enum tern_code measure_texts(struct tern_emit *e, size_t *ret_bytes, struct tern_err *err)
{
    struct tern_program program = *e->program;
    struct tern_arena *arena = e->emit->arena, run_arena;
    struct tern_tensor_spec *specs =
        tern_arena_zalloc(arena, program.n_values + 1u, sizeof(*specs));
    uint32_t *at = tern_arena_zalloc(arena, program.n_values + 1u, sizeof(*at));
    struct tern_tensor *outputs = tern_arena_zalloc(arena, program.n_values + 1u, sizeof(*outputs));
    size_t n = 0, some;

    if (specs == NULL || at == NULL || outputs == NULL)
        return tern_arena_fail(arena, err, "texts");
    program.outputs = specs;
    program.outputs_at = at;
    program.n_outputs = 0;
    for (uint32_t i = 0; i < program.n_values; i++) {
        const struct tern_value *value = &program.values[i];
        if (value->tensor.dtype != TERN_DTYPE_BYTES || value->kind == TERN_VALUE_CONSTANT ||
            e->value_at[i] == TERN_VALUE_NONE)
            continue;
        specs[program.n_outputs].dtype = TERN_DTYPE_BYTES;
        at[program.n_outputs++] = i;
    }
    tern_arena_init(&run_arena, 1u << 16, MEASURED_MAX);
    enum tern_code code = run_rows(e, &program, 0, &run_arena, outputs, err);
    for (uint32_t i = 0; code == TERN_OK && i < program.n_outputs; i++)
        if (tern_shape_count(&outputs[i].shape, &some))
            n += some;
    tern_arena_fini(&run_arena);
    *ret_bytes = n * (e->ret->text_bytes + 4);
    return code;
}

/* The row that takes the most: of those with missing values, some operators ask more. */
static enum tern_code find_largest(const struct tern_emit *e, uint32_t *ret_sample,
                                   size_t *ret_bytes, struct tern_err *err)
{
    uint32_t n = e->emit->n_samples < SAMPLES_MAX ? e->emit->n_samples : SAMPLES_MAX;
    struct tern_tensor output = {.data = NULL};
    struct tern_arena arena;
    enum tern_code code = TERN_OK;
    size_t largest = 0;

    tern_arena_init(&arena, 1u << 16, MEASURED_MAX);
    for (uint32_t i = 0; i < n && code == TERN_OK; i++) {
        tern_arena_reset(&arena);
        code = run_rows(e, e->program, i, &arena, &output, err);
        if (arena.used > largest) {
            largest = arena.used;
            *ret_sample = i;
        }
    }
    tern_arena_fini(&arena);
    *ret_bytes = largest;
    return code;
}

/* What a run takes is what it took, laid out once more without gaps between chunks: each piece may
 * cost up to a cache line of padding, which is why the same run is measured in one chunk. */
static enum tern_code measure(struct tern_emit *e, struct tern_err *err)
{
    const struct tern_program *program = e->program;
    struct tern_tensor output = {.data = NULL};
    struct tern_arena arena;
    size_t n = 0, texts = 0, largest;
    uint32_t sample = 0;

    TERN_TRY(find_largest(e, &sample, &largest, err));
    tern_arena_init(&arena, 2 * largest + (1u << 16), MEASURED_MAX);
    char *begin = tern_arena_alloc(&arena, 64, 1);
    enum tern_code code = begin == NULL ? tern_arena_fail(&arena, err, "a run")
                                        : run_rows(e, program, sample, &arena, &output, err);
    size_t used = begin == NULL ? 0 : (size_t)(arena.at - begin);
    tern_arena_fini(&arena);
    TERN_TRY(code);
    if (!tern_shape_count(&output.shape, &n) || n == 0 || n % e->ret->rows != 0)
        return tern_fail(err, TERN_UNIMPLEMENTED,
                         "output '%.*s' has no fixed number of elements a row",
                         TERN_STR_ARG(program->outputs[0].name));
    e->ret->output.n = (uint32_t)(n / e->ret->rows);
    e->ret->output.dtype = output.dtype;
    e->ret->output.name = program->outputs[0].name;
    if (e->ret->text_bytes > 0)
        TERN_TRY(measure_texts(e, &texts, err));
    /* The tensors of the inputs (src/edge/edge.c). */
    used += e->ret->n_inputs * (sizeof(struct tern_tensor) + sizeof(uint32_t)) + 64;
    e->ret->working_bytes = (used + texts + 64 + 63) / 64 * 64;
    return TERN_OK;
}

/* ---- sources ---- */

static enum tern_code list_sources(struct tern_emit *e, struct tern_err *err)
{
    uint32_t n = 0;
    struct tern_str *list =
        tern_arena_zalloc(e->emit->arena, e->program->n_steps + 1u, sizeof(*list));

    if (list == NULL)
        return tern_arena_fail(e->emit->arena, err, "the sources");
    for (uint32_t i = 0; i < e->program->n_steps; i++) {
        const char *file = e->program->steps[i].op->file;
        const char *slash = file == NULL ? NULL : strrchr(file, '/');
        struct tern_str name = tern_str_of(slash == NULL ? file : slash + 1);
        uint32_t k = 0;
        while (k < n && !tern_str_eq(list[k], name))
            k++;
        if (k == n && name.n > 0)
            list[n++] = name;
    }
    e->ret->sources = list;
    e->ret->n_sources = n;
    return TERN_OK;
}

/* ---- the whole ---- */

enum tern_code tern_native_emit(const struct tern_native_emit *emit,
                                struct tern_native_emitted *ret, struct tern_buf *source,
                                struct tern_buf *header, struct tern_err *err)
{
    struct tern_program bare;
    struct tern_emit e = {.emit = emit, .program = &bare, .ret = ret, .out = source};

    TERN_TRY(make_bare(emit, &bare, err));
    ret->output.dtype = bare.outputs[0].dtype;
    if (!is_port(ret->output.dtype))
        return tern_fail(err, TERN_UNIMPLEMENTED,
                         "output '%.*s' is %s, expected FP32, FP64, INT32, INT64 or BYTES",
                         TERN_STR_ARG(bare.outputs[0].name), tern_dtype_name(ret->output.dtype));
    TERN_TRY(number_values(&e, err));
    TERN_TRY(find_longest(&e, err));
    if (has_texts(ret))
        ret->text_bytes = (e.longest > TEXT_MIN ? e.longest : TEXT_MIN) + 1;
    TERN_TRY(measure(&e, err));
    TERN_TRY(list_sources(&e, err));
    tern_buf_printf(source,
                    "/* A model as constants, written by tern " TERN_VERSION ". */\n"
                    "#include <math.h>\n#include \"edge/edge.h\"\n"
                    "#include \"forest/forest_int.h\"\n#include \"%s.h\"\n\n",
                    emit->name);
    TERN_TRY(tern_emit_write(&e, err));
    tern_emit_functions(&e);
    tern_emit_header(&e, header);
    TERN_TRY(tern_buf_check(source, "the model's source", err));
    return tern_buf_check(header, "the model's header", err);
}
