/* Constants as C. What operators have as states is written byte for byte, in words of eight bytes,
 * of which some are pointers to other such blocks: the target has this machine's sizes and order of
 * bytes. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "engine/native/emit_int.h"
#include "engine/native/ops/ops.h"
#include "engine/native/state.h"
#include "forest/emit.h"

#define A_LINE    4 /* words in one line */
#define WORD      sizeof(uint64_t)
#define NAME_SIZE 32

/* ---- bytes ---- */

static uint64_t word_at(const char *from, size_t n_bytes, size_t at)
{
    uint64_t word = 0;

    memcpy(&word, from + at, n_bytes - at < WORD ? n_bytes - at : WORD);
    return word;
}

static const char *aligned(size_t n_bytes)
{
    return n_bytes >= 64 ? "TERN_ALIGNED(64) " : "";
}

static void write_bytes(struct tern_emit *e, const char *name, const char *from, size_t n_bytes)
{
    size_t n = (n_bytes + WORD - 1) / WORD;

    tern_buf_printf(e->out, "static const %suint64_t %s[%zu] = {", aligned(n_bytes), name, n + 1);
    for (size_t i = 0; i < n; i++)
        tern_buf_printf(e->out, "%s0x%" PRIx64 ",", i % A_LINE == 0 ? "\n" : "",
                        word_at(from, n_bytes, i * WORD));
    TERN_BUF_ADD_LITERAL(e->out, "\n};\n");
    e->ret->model_bytes += n_bytes;
}

/* ---- states ---- */

static void block_name(uint32_t step, uint32_t block, char name[NAME_SIZE])
{
    snprintf(name, NAME_SIZE, "state%u_%u", step, block);
}

/* Which block each word of a block points to; 0, which nothing points to: none. */
static enum tern_code find_pointers(const struct tern_emit *e, const struct tern_state *state,
                                    uint32_t block, size_t n_words, uint32_t **ret,
                                    struct tern_err *err)
{
    uint32_t *to = tern_arena_zalloc(e->emit->arena, n_words + 1, sizeof(*to));

    if (to == NULL)
        return tern_arena_fail(e->emit->arena, err, "a state");
    for (uint32_t i = block + 1; i < state->n; i++)
        if (state->blocks[i].parent == block)
            to[state->blocks[i].at / WORD] = i;
    *ret = to;
    return TERN_OK;
}

static enum tern_code write_block(struct tern_emit *e, uint32_t step,
                                  const struct tern_state *state, uint32_t block,
                                  struct tern_err *err)
{
    const struct tern_state_block *b = &state->blocks[block];
    size_t n = (b->n_bytes + WORD - 1) / WORD;
    char name[NAME_SIZE];
    uint32_t *to = NULL;

    block_name(step, block, name);
    if (b->forest != NULL) {
        e->ret->model_bytes += tern_forest_emit(b->forest, name, e->emit->halves, e->out);
        return TERN_OK;
    }
    if (!b->has_pointers) {
        write_bytes(e, name, b->from, b->n_bytes);
        return TERN_OK;
    }
    TERN_TRY(find_pointers(e, state, block, n, &to, err));
    tern_buf_printf(e->out, "static const union tern_edge_word %s[%zu] = {", name, n);
    for (size_t i = 0; i < n; i++) {
        if (i % A_LINE == 0)
            tern_buf_add_char(e->out, '\n');
        block_name(step, to[i], name);
        if (to[i] == 0)
            tern_buf_printf(e->out, "{0x%" PRIx64 "},", word_at(b->from, b->n_bytes, i * WORD));
        else if (state->blocks[to[i]].n_bytes == 0)
            TERN_BUF_ADD_LITERAL(e->out, "{0},");
        else
            tern_buf_printf(e->out, "{.at = &%s},", name);
    }
    TERN_BUF_ADD_LITERAL(e->out, "\n};\n");
    e->ret->model_bytes += b->n_bytes;
    return TERN_OK;
}

/* What is pointed to comes first. */
static enum tern_code write_state(struct tern_emit *e, uint32_t i, struct tern_err *err)
{
    const struct tern_step *step = &e->program->steps[i];
    const struct tern_forest *forest = tern_op_forest_of(step);
    struct tern_state state;
    char name[NAME_SIZE];

    if (forest != NULL) {
        block_name(i, 0, name);
        e->ret->model_bytes += tern_forest_emit(forest, name, e->emit->halves, e->out);
        return TERN_OK;
    }
    TERN_TRY(tern_state_read(step, e->emit->arena, &state, err));
    for (uint32_t k = state.n; k-- > 0;)
        if (k == 0 || state.blocks[k].n_bytes > 0)
            TERN_TRY(write_block(e, i, &state, k, err));
    return TERN_OK;
}

/* ---- steps ---- */

static void write_list(struct tern_emit *e, const char *what, uint32_t step, const uint32_t *list,
                       uint32_t n)
{
    tern_buf_printf(e->out, "static const uint32_t %s%u[] = {", what, step);
    for (uint32_t i = 0; i < n; i++)
        tern_buf_printf(e->out, "%uu,",
                        list[i] == TERN_VALUE_NONE ? TERN_VALUE_NONE : e->value_at[list[i]]);
    TERN_BUF_ADD_LITERAL(e->out, "0};\n");
}

static enum tern_code write_steps(struct tern_emit *e, struct tern_err *err)
{
    const struct tern_program *program = e->program;
    uint32_t n = program->n_steps;

    TERN_BUF_ADD_LITERAL(e->out,
                         "_Static_assert(sizeof(void *) == 8 && __BYTE_ORDER__ == "
                         "__ORDER_LITTLE_ENDIAN__,\n    \"states are for processors of 64 bits "
                         "with the low byte first\");\n");
    for (uint32_t i = 0; i < n; i++) {
        TERN_TRY(write_state(e, i, err));
        write_list(e, "in", i, program->steps[i].in, program->steps[i].n_in);
        write_list(e, "out", i, program->steps[i].out, program->steps[i].n_out);
        tern_buf_printf(e->out, "extern const struct tern_operator %s;\n",
                        program->steps[i].op->symbol);
    }
    tern_buf_printf(e->out, "static const struct tern_step steps[%u] = {\n", n + 1);
    for (uint32_t i = 0; i < n; i++) {
        const struct tern_step *step = &program->steps[i];
        tern_buf_printf(e->out, "    {&%s, ", step->op->symbol);
        if (step->state == NULL)
            TERN_BUF_ADD_LITERAL(e->out, "NULL");
        else
            tern_buf_printf(e->out, "&state%u_0", i);
        tern_buf_printf(e->out, ", in%u, out%u, %u, %u},\n", i, i, step->n_in, step->n_out);
    }
    TERN_BUF_ADD_LITERAL(e->out, "};\nstatic const uint64_t feeds[] = {");
    for (uint32_t i = 0; i < n; i++)
        TERN_BUF_ADD_LITERAL(e->out, "1,");
    TERN_BUF_ADD_LITERAL(e->out, "0};\n");
    return TERN_OK;
}

/* ---- values ---- */

static void write_shape(struct tern_emit *e, const struct tern_shape *shape)
{
    tern_buf_printf(e->out, "{%d, {", shape->rank);
    for (int i = 0; i < shape->rank; i++)
        tern_buf_printf(e->out, "%" PRId64 ",", shape->dim[i]);
    TERN_BUF_ADD_LITERAL(e->out, "0}}");
}

static void write_values(struct tern_emit *e)
{
    static const char *const kinds[] = {"INPUT", "CONSTANT", "MADE"};
    const struct tern_program *program = e->program;
    char name[NAME_SIZE];

    for (uint32_t i = 0; i < program->n_values; i++) {
        const struct tern_value *value = &program->values[i];
        snprintf(name, sizeof(name), "constant%u", i);
        if (value->kind == TERN_VALUE_CONSTANT && e->value_at[i] != TERN_VALUE_NONE)
            write_bytes(e, name, value->tensor.data, value->tensor.n_bytes);
    }
    tern_buf_printf(e->out, "static const struct tern_value values[%u] = {\n", e->n_values + 1);
    for (uint32_t i = 0; i < program->n_values; i++) {
        const struct tern_value *value = &program->values[i];
        if (e->value_at[i] == TERN_VALUE_NONE)
            continue;
        tern_buf_printf(e->out, "    {TERN_VALUE_%s, {.dtype = TERN_DTYPE_%s, .shape = ",
                        kinds[value->kind], tern_dtype_name(value->tensor.dtype));
        write_shape(e, &value->tensor.shape);
        if (value->kind == TERN_VALUE_CONSTANT)
            tern_buf_printf(e->out, ", .data = (void *)constant%u, .n_bytes = %zu", i,
                            value->tensor.n_bytes);
        TERN_BUF_ADD_LITERAL(e->out, "}},\n");
    }
    TERN_BUF_ADD_LITERAL(e->out, "};\n");
}

/* ---- the whole ---- */

static void write_program(struct tern_emit *e)
{
    const struct tern_program *program = e->program;

    TERN_BUF_ADD_LITERAL(e->out, "static const uint32_t inputs_at[] = {");
    for (uint32_t i = 0; i < program->n_inputs; i++)
        tern_buf_printf(e->out, "%u,", e->value_at[program->inputs_at[i]]);
    tern_buf_printf(e->out,
                    "}, outputs_at[] = {%u};\n"
                    "static const struct tern_tensor_spec outputs[] = {{.dtype = TERN_DTYPE_%s}};\n"
                    "static const struct tern_program program = {\n"
                    "    .values = (void *)values, .n_values = %u,\n"
                    "    .steps = (void *)steps, .n_steps = %u, .feeds = (void *)feeds,\n"
                    "    .inputs_at = (void *)inputs_at, .n_inputs = %u,\n"
                    "    .outputs = (void *)outputs, .outputs_at = (void *)outputs_at, .n_outputs "
                    "= 1,\n};\n",
                    e->value_at[program->outputs_at[0]], tern_dtype_name(e->ret->output.dtype),
                    e->n_values, program->n_steps, program->n_inputs);
}

static void write_names(struct tern_emit *e)
{
    const struct tern_native_emitted *ret = e->ret;
    const struct tern_program *program = e->program;
    bool is_known = program->n_feature_names == ret->n_columns;

    if (ret->n_columns > 0 && ret->n_inputs == 1 && !is_known)
        return;
    tern_buf_printf(e->out, "static const char *const feature_names[%u] = {\n", ret->n_columns);
    for (uint32_t i = 0, column = 0; i < ret->n_inputs; i++) {
        for (uint32_t k = 0; k < ret->inputs[i].n; k++, column++) {
            TERN_BUF_ADD_LITERAL(e->out, "    ");
            tern_emit_string(e->out,
                             is_known ? program->feature_names[column] : ret->inputs[i].name);
            TERN_BUF_ADD_LITERAL(e->out, ",\n");
        }
    }
    TERN_BUF_ADD_LITERAL(e->out, "};\n");
}

static void write_port(struct tern_emit *e, const struct tern_native_port *port)
{
    tern_buf_printf(e->out,
                    "{.dtype = TERN_DTYPE_%s, .n = %u, .shape = ", tern_dtype_name(port->dtype),
                    port->n);
    write_shape(e, &port->shape);
    tern_buf_add_char(e->out, '}');
}

static void write_model(struct tern_emit *e)
{
    const struct tern_native_emitted *ret = e->ret;
    bool has_names = ret->n_inputs > 1 || e->program->n_feature_names == ret->n_columns;

    TERN_BUF_ADD_LITERAL(e->out, "static const struct tern_edge_port inputs[] = {\n");
    for (uint32_t i = 0; i < ret->n_inputs; i++) {
        TERN_BUF_ADD_LITERAL(e->out, "    ");
        write_port(e, &ret->inputs[i]);
        TERN_BUF_ADD_LITERAL(e->out, ",\n");
    }
    tern_buf_printf(e->out,
                    "};\nstatic TERN_ALIGNED(64) char working_memory[%zu];\n"
                    "const struct tern_edge_model tern_edge_model = {\n"
                    "    .program = &program, .inputs = inputs, .n_inputs = %u, .output = ",
                    ret->working_bytes, ret->n_inputs);
    write_port(e, &ret->output);
    tern_buf_printf(e->out,
                    ",\n    .n_columns = %u, .text_bytes = %zu, .rows = %u,\n"
                    "    .working_bytes = %zu, .working = working_memory,\n"
                    "    .feature_names = %s, .name = ",
                    ret->n_columns, ret->text_bytes, ret->rows, ret->working_bytes,
                    has_names ? "feature_names" : "NULL");
    tern_emit_string(e->out, e->emit->title);
    tern_buf_printf(e->out, ", .version = %" PRId64 ",\n};\n", e->emit->version);
}

enum tern_code tern_emit_write(struct tern_emit *e, struct tern_err *err)
{
    TERN_TRY(write_steps(e, err));
    write_values(e);
    write_program(e);
    write_names(e);
    write_model(e);
    return TERN_OK;
}
