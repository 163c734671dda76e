#include "engine/native/emit.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include "base/mem.h"
#include "base/version.h"
#include "engine/native/ops.h"
#include "forest/emit.h"

#define MEASURED_MAX ((size_t)1 << 30) /* working memory that a run may take */

struct writer {
    const struct tern_native_emit *emit;
    const struct tern_program *program; /* with bare forests */
    struct tern_native_emitted *ret;
    struct tern_buf *out;
    uint64_t wanted; /* the output as feeds knows it */
    uint32_t n_steps;
};

/* ---- what it takes and gives ---- */

static enum tern_code check_ports(const struct tern_native_emit *emit,
                                  struct tern_native_emitted *ret, struct tern_err *err)
{
    const struct tern_program *program = emit->program;
    const struct tern_tensor_spec *in = program->inputs;
    const struct tern_tensor_spec *out = &program->outputs[emit->output];

    if (program->n_inputs != 1)
        return tern_fail(err, TERN_UNIMPLEMENTED, "the model has %u inputs, expected one",
                         program->n_inputs);
    if (in->dtype != TERN_DTYPE_FP32 && in->dtype != TERN_DTYPE_FP64)
        return tern_fail(err, TERN_UNIMPLEMENTED, "input '%.*s' is %s, expected FP32 or FP64",
                         TERN_STR_ARG(in->name), tern_dtype_name(in->dtype));
    if (in->shape.rank != 2 || in->shape.dim[1] < 1 || in->shape.dim[1] > INT32_MAX)
        return tern_fail(err, TERN_UNIMPLEMENTED,
                         "input '%.*s' has no fixed number of features a row",
                         TERN_STR_ARG(in->name));
    if (out->dtype != TERN_DTYPE_FP32 && out->dtype != TERN_DTYPE_FP64 &&
        out->dtype != TERN_DTYPE_INT64 && out->dtype != TERN_DTYPE_INT32)
        return tern_fail(err, TERN_UNIMPLEMENTED,
                         "output '%.*s' is %s, expected FP32, FP64, INT32 or INT64",
                         TERN_STR_ARG(out->name), tern_dtype_name(out->dtype));
    ret->n_features = (uint32_t)in->shape.dim[1];
    ret->in = in->dtype;
    ret->out = out->dtype;
    return TERN_OK;
}

static bool is_wanted(const struct writer *w, uint32_t step)
{
    return (w->program->feeds[step] & w->wanted) != 0;
}

/* The program as it will run there: its forests without heads. */
static enum tern_code make_bare(const struct tern_native_emit *emit, struct tern_program *bare,
                                struct tern_err *err)
{
    const struct tern_program *program = emit->program;
    struct tern_step *steps = tern_arena_zalloc(emit->arena, program->n_steps + 1u, sizeof(*steps));
    const struct tern_forest *forest;

    if (steps == NULL)
        return tern_arena_fail(emit->arena, err, "a program");
    *bare = *program;
    bare->steps = steps;
    for (uint32_t i = 0; i < program->n_steps; i++) {
        steps[i] = program->steps[i];
        if (tern_op_forest_of(&steps[i]) == NULL)
            continue;
        TERN_TRY(tern_forest_bare(steps[i].state, emit->halves, emit->arena, &forest, err));
        steps[i].state = forest;
    }
    return TERN_OK;
}

/* Runs zeros: what a run takes depends on the number of rows only. */
static enum tern_code run_zeros(const struct writer *w, struct tern_arena *arena,
                                struct tern_tensor *output, struct tern_err *err)
{
    static const uint32_t first = 0;
    const struct tern_native_emit *emit = w->emit;
    size_t size = tern_dtype_size(w->ret->in);
    void *rows = tern_mem_zalloc((size_t)emit->rows * w->ret->n_features, size);
    const struct tern_tensor input = {
        .dtype = w->ret->in,
        .shape = {2, {emit->rows, w->ret->n_features}},
        .data = rows,
        .n_bytes = (size_t)emit->rows * w->ret->n_features * size,
    };
    const struct tern_engine_run run = {
        .inputs = &input,
        .input_spec = &first,
        .n_inputs = 1,
        .outputs = output,
        .output_spec = &emit->output,
        .n_outputs = 1,
        .arena = arena,
    };
    if (rows == NULL)
        return tern_mem_fail(err, "rows", input.n_bytes);
    enum tern_code code = tern_program_run(w->program, &run, err);
    tern_mem_free(rows);
    return code;
}

/* What a run takes is what it took, laid out once more without gaps between chunks: each piece may
 * cost up to a cache line of padding, which is why the same run is measured in one chunk. */
static enum tern_code measure(struct writer *w, struct tern_err *err)
{
    struct tern_tensor output = {.data = NULL};
    struct tern_arena arena;
    char *begin;

    tern_arena_init(&arena, 1u << 16, MEASURED_MAX);
    enum tern_code code = run_zeros(w, &arena, &output, err);
    size_t room = 2 * arena.used + (1u << 16);
    tern_arena_fini(&arena);
    if (code != TERN_OK)
        return code;
    tern_arena_init(&arena, room, MEASURED_MAX);
    begin = tern_arena_alloc(&arena, 64, 1);
    if (begin == NULL)
        code = tern_arena_fail(&arena, err, "a run");
    else
        code = run_zeros(w, &arena, &output, err);
    if (code == TERN_OK)
        w->ret->working_bytes = ((size_t)(arena.at - begin) + 64 + 63) / 64 * 64;
    tern_arena_fini(&arena);
    if (code != TERN_OK)
        return code;
    size_t row = (size_t)w->emit->rows * tern_dtype_size(output.dtype);
    if (output.n_bytes == 0 || output.n_bytes % row != 0)
        return tern_fail(err, TERN_UNIMPLEMENTED,
                         "output '%.*s' has no fixed number of elements a row",
                         TERN_STR_ARG(w->program->outputs[w->emit->output].name));
    w->ret->n_outputs = (uint32_t)(output.n_bytes / row);
    return TERN_OK;
}

/* ---- states ---- */

static void real(struct tern_buf *out, double v, bool is_float)
{
    if (isnan(v))
        TERN_BUF_ADD_LITERAL(out, "NAN,");
    else if (isinf(v))
        tern_buf_printf(out, "%sINFINITY,", v < 0 ? "-" : "");
    else
        tern_buf_printf(out, is_float ? "%af," : "%a,", v);
}

static void reals(struct writer *w, uint32_t step, const char *what, const void *p, size_t n,
                  enum tern_dtype dtype)
{
    bool is_float = dtype == TERN_DTYPE_FP32;

    if (p == NULL || n == 0)
        return;
    tern_buf_printf(w->out, "static const %s %s%u[%zu] = {", is_float ? "float" : "double", what,
                    step, n);
    for (size_t i = 0; i < n; i++) {
        if (i % 8 == 0)
            tern_buf_add_char(w->out, '\n');
        real(w->out, is_float ? (double)((const float *)p)[i] : ((const double *)p)[i], is_float);
    }
    TERN_BUF_ADD_LITERAL(w->out, "\n};\n");
    w->ret->model_bytes += n * tern_dtype_size(dtype);
}

static void write_linear(struct writer *w, uint32_t i, const struct tern_linear *l)
{
    reals(w, i, "weights", l->weights, (size_t)l->n_features * l->n_outputs, l->dtype);
    reals(w, i, "bias", l->bias, l->n_outputs, l->dtype);
    tern_buf_printf(w->out, "static const struct tern_linear state%u = {weights%u, ", i, i);
    if (l->bias != NULL)
        tern_buf_printf(w->out, "bias%u", i);
    else
        TERN_BUF_ADD_LITERAL(w->out, "NULL");
    tern_buf_printf(w->out, ", %u, %u, TERN_DTYPE_%s, %d};\n", l->n_features, l->n_outputs,
                    tern_dtype_name(l->dtype), l->skip_missing);
    w->ret->model_bytes += sizeof(*l);
}

/* Defines state<i>, if the step has one, and says which operator it is. */
static enum tern_code write_state(struct writer *w, uint32_t i, const char **ret_op,
                                  struct tern_err *err)
{
    const struct tern_step *step = &w->program->steps[i];
    const struct tern_forest *forest = tern_op_forest_of(step);
    const struct tern_linear *linear = tern_op_linear_of(step);
    const struct tern_link_state *link = tern_op_link_of(step);
    char name[32];

    if (forest != NULL) {
        snprintf(name, sizeof(name), "state%u", i);
        w->ret->model_bytes += tern_forest_emit(forest, name, w->emit->halves, w->out);
        *ret_op = "tern_forest_op";
    } else if (linear != NULL) {
        write_linear(w, i, linear);
        *ret_op = "tern_linear_op";
    } else if (link != NULL) {
        tern_buf_printf(w->out,
                        "static const struct tern_link_state state%u = {(enum tern_link)%d, %a};\n",
                        i, (int)link->kind, link->parameter);
        *ret_op = "tern_link_op";
    } else if (tern_op_is_cast(step)) {
        *ret_op = "tern_cast_op";
    } else {
        return tern_fail(err, TERN_UNIMPLEMENTED,
                         "the operator %s has no form outside of the server yet", step->op->name);
    }
    return TERN_OK;
}

static void write_list(struct writer *w, const char *what, uint32_t step, const uint32_t *list,
                       uint32_t n)
{
    tern_buf_printf(w->out, "static const uint32_t %s%u[] = {", what, step);
    for (uint32_t i = 0; i < n; i++)
        tern_buf_printf(w->out, "%uu,", list[i]);
    TERN_BUF_ADD_LITERAL(w->out, "0};\n");
}

static enum tern_code write_steps(struct writer *w, struct tern_err *err)
{
    const struct tern_program *program = w->program;
    const char **ops = tern_arena_zalloc(w->emit->arena, program->n_steps + 1u, sizeof(*ops));

    if (ops == NULL)
        return tern_arena_fail(w->emit->arena, err, "a program");
    for (uint32_t i = 0; i < program->n_steps; i++) {
        if (!is_wanted(w, i))
            continue;
        TERN_TRY(write_state(w, i, &ops[i], err));
        write_list(w, "in", i, program->steps[i].in, program->steps[i].n_in);
        write_list(w, "out", i, program->steps[i].out, program->steps[i].n_out);
        w->n_steps++;
    }
    tern_buf_printf(w->out, "static const struct tern_step steps[%u] = {\n", w->n_steps + 1);
    for (uint32_t i = 0; i < program->n_steps; i++) {
        const struct tern_step *step = &program->steps[i];
        if (ops[i] == NULL)
            continue;
        tern_buf_printf(w->out, "    {&%s, ", ops[i]);
        if (tern_op_is_cast(step))
            TERN_BUF_ADD_LITERAL(w->out, "NULL");
        else
            tern_buf_printf(w->out, "&state%u", i);
        tern_buf_printf(w->out, ", in%u, out%u, %u, %u},\n", i, i, step->n_in, step->n_out);
    }
    TERN_BUF_ADD_LITERAL(w->out, "};\nstatic const uint64_t feeds[] = {");
    for (uint32_t i = 0; i < w->n_steps; i++)
        TERN_BUF_ADD_LITERAL(w->out, "1,");
    TERN_BUF_ADD_LITERAL(w->out, "0};\n");
    return TERN_OK;
}

/* ---- values ---- */

static bool is_read(const struct writer *w, uint32_t value)
{
    for (uint32_t i = 0; i < w->program->n_steps; i++)
        for (uint32_t k = 0; is_wanted(w, i) && k < w->program->steps[i].n_in; k++)
            if (w->program->steps[i].in[k] == value)
                return true;
    return w->program->outputs_at[w->emit->output] == value;
}

static void write_shape(struct writer *w, const struct tern_shape *shape)
{
    tern_buf_printf(w->out, "{%d, {", shape->rank);
    for (int i = 0; i < shape->rank; i++)
        tern_buf_printf(w->out, "%" PRId64 ",", shape->dim[i]);
    TERN_BUF_ADD_LITERAL(w->out, "0}}");
}

static void write_constant(struct writer *w, uint32_t i, const struct tern_tensor *tensor)
{
    const unsigned char *bytes = tensor->data;

    tern_buf_printf(w->out, "static const TERN_ALIGNED(64) unsigned char constant%u[%zu] = {", i,
                    tensor->n_bytes + 1);
    for (size_t k = 0; k < tensor->n_bytes; k++) {
        if (k % 24 == 0)
            tern_buf_add_char(w->out, '\n');
        tern_buf_printf(w->out, "%u,", bytes[k]);
    }
    TERN_BUF_ADD_LITERAL(w->out, "\n};\n");
    w->ret->model_bytes += tensor->n_bytes;
}

static void write_values(struct writer *w)
{
    static const char *const kinds[] = {"INPUT", "CONSTANT", "MADE"};
    const struct tern_program *program = w->program;

    for (uint32_t i = 0; i < program->n_values; i++)
        if (program->values[i].kind == TERN_VALUE_CONSTANT && is_read(w, i))
            write_constant(w, i, &program->values[i].tensor);
    tern_buf_printf(w->out, "static const struct tern_value values[%u] = {\n",
                    program->n_values + 1);
    for (uint32_t i = 0; i < program->n_values; i++) {
        const struct tern_value *value = &program->values[i];
        tern_buf_printf(w->out, "    {TERN_VALUE_%s, {.dtype = TERN_DTYPE_%s, .shape = ",
                        kinds[value->kind], tern_dtype_name(value->tensor.dtype));
        write_shape(w, &value->tensor.shape);
        if (value->kind == TERN_VALUE_CONSTANT && is_read(w, i))
            tern_buf_printf(w->out, ", .data = (void *)constant%u, .n_bytes = %zu", i,
                            value->tensor.n_bytes);
        TERN_BUF_ADD_LITERAL(w->out, "}},\n");
    }
    TERN_BUF_ADD_LITERAL(w->out, "};\n");
}

/* ---- the whole ---- */

static const char *type_of(enum tern_dtype dtype)
{
    if (dtype == TERN_DTYPE_FP32)
        return "float";
    if (dtype == TERN_DTYPE_FP64)
        return "double";
    return dtype == TERN_DTYPE_INT64 ? "int64_t" : "int32_t";
}

/* As a C string: what a file says may hold anything. */
static void write_string(struct tern_buf *out, struct tern_str s)
{
    tern_buf_add_char(out, '"');
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c < ' ' || c == '"' || c == '\\' || c == '?' || c >= 127)
            tern_buf_printf(out, "\\%03o", c);
        else
            tern_buf_add_char(out, (char)c);
    }
    tern_buf_add_char(out, '"');
}

static void write_names(struct writer *w)
{
    const struct tern_program *program = w->program;

    if (program->n_feature_names != w->ret->n_features)
        return;
    tern_buf_printf(w->out, "static const char *const feature_names[%u] = {\n", w->ret->n_features);
    for (uint32_t i = 0; i < w->ret->n_features; i++) {
        TERN_BUF_ADD_LITERAL(w->out, "    ");
        write_string(w->out, program->feature_names[i]);
        TERN_BUF_ADD_LITERAL(w->out, ",\n");
    }
    TERN_BUF_ADD_LITERAL(w->out, "};\n");
}

static void write_model(struct writer *w)
{
    const struct tern_native_emit *emit = w->emit;
    const struct tern_program *program = w->program;
    const struct tern_native_emitted *ret = w->ret;

    write_names(w);
    tern_buf_printf(w->out,
                    "static const uint32_t inputs_at[] = {%u}, outputs_at[] = {%u};\n"
                    "static const struct tern_tensor_spec outputs[] = {{.dtype = TERN_DTYPE_%s}};\n"
                    "static const struct tern_program program = {\n"
                    "    .values = (void *)values, .n_values = %u,\n"
                    "    .steps = (void *)steps, .n_steps = %u, .feeds = (void *)feeds,\n"
                    "    .inputs_at = (void *)inputs_at, .n_inputs = 1,\n"
                    "    .outputs = (void *)outputs, .outputs_at = (void *)outputs_at, .n_outputs "
                    "= 1,\n};\n",
                    program->inputs_at[0], program->outputs_at[emit->output],
                    tern_dtype_name(ret->out), program->n_values, w->n_steps);
    tern_buf_printf(
        w->out,
        "static TERN_ALIGNED(64) char working_memory[%zu];\n"
        "const struct tern_edge_model tern_edge_model = {\n"
        "    .program = &program, .in = TERN_DTYPE_%s, .out = TERN_DTYPE_%s,\n"
        "    .n_features = %u, .n_outputs = %u, .rows = %u,\n"
        "    .working_bytes = %zu, .working = working_memory,\n    .feature_names = %s, "
        ".name = ",
        ret->working_bytes, tern_dtype_name(ret->in), tern_dtype_name(ret->out), ret->n_features,
        ret->n_outputs, emit->rows, ret->working_bytes,
        program->n_feature_names == ret->n_features ? "feature_names" : "NULL");
    write_string(w->out, emit->title);
    tern_buf_printf(w->out, ", .version = %" PRId64 ",\n};\n", emit->version);
    tern_buf_printf(w->out,
                    "int %s_predict(const %s *rows, size_t n, %s *out, void *working)\n{\n"
                    "    return tern_edge_run(&tern_edge_model, rows, n, out, working);\n}\n"
                    "const char *%s_feature_name(size_t feature)\n{\n"
                    "    return tern_edge_feature_name(&tern_edge_model, feature);\n}\n",
                    emit->name, type_of(ret->in), type_of(ret->out), emit->name);
}

static void write_header(const struct tern_native_emit *emit, const struct tern_native_emitted *ret,
                         struct tern_buf *out)
{
    const char *name = emit->name;

    tern_buf_printf(out, "/* The model ");
    write_string(out, emit->title);
    tern_buf_printf(out,
                    ", version %" PRId64 ": %u features, %u outputs. Written by tern " TERN_VERSION
                    ".\n"
                    " * Needs the C library's memcpy, memset and mathematics, and no memory but "
                    "what it is given. */\n"
                    "#ifndef %s_MODEL_H\n#define %s_MODEL_H\n\n"
                    "#include <stddef.h>\n#include <stdint.h>\n\n"
                    "#ifdef __cplusplus\nextern \"C\" {\n#endif\n\n"
                    "#define %s_FEATURES %u\n#define %s_OUTPUTS  %u\n"
                    "#define %s_WORKING  %zu /* bytes */\n\n",
                    emit->version, ret->n_features, ret->n_outputs, name, name, name,
                    ret->n_features, name, ret->n_outputs, name, ret->working_bytes);
    tern_buf_printf(out,
                    "/* rows: n rows of %s_FEATURES; out: n rows of %s_OUTPUTS. NaN is what is "
                    "missing.\n"
                    " * working: %s_WORKING bytes, aligned to 64; NULL: the model's own, which "
                    "one thread at a time\n"
                    " * may use. 0; or -1, and nothing was written that counts. */\n"
                    "__attribute__((visibility(\"default\")))\n"
                    "int %s_predict(const %s *rows, size_t n, %s *out, void *working);\n"
                    "/* What the training called a feature; NULL: it is not known. */\n"
                    "__attribute__((visibility(\"default\")))\n"
                    "const char *%s_feature_name(size_t feature);\n\n"
                    "#ifdef __cplusplus\n}\n#endif\n#endif\n",
                    name, name, name, name, type_of(ret->in), type_of(ret->out), name);
}

enum tern_code tern_native_emit(const struct tern_native_emit *emit,
                                struct tern_native_emitted *ret, struct tern_buf *source,
                                struct tern_buf *header, struct tern_err *err)
{
    struct tern_program bare;
    struct writer w = {.emit = emit, .program = &bare, .ret = ret, .out = source};

    *ret = (struct tern_native_emitted){.n_features = 0};
    w.wanted = UINT64_C(1) << (emit->output < 63 ? emit->output : 63);
    TERN_TRY(check_ports(emit, ret, err));
    TERN_TRY(make_bare(emit, &bare, err));
    TERN_TRY(measure(&w, err));
    tern_buf_printf(source,
                    "/* A model as constants, written by tern " TERN_VERSION ". */\n"
                    "#include <math.h>\n#include \"edge/edge.h\"\n"
                    "#include \"engine/native/ops.h\"\n#include \"forest/forest_int.h\"\n"
                    "#include \"%s.h\"\n\n",
                    emit->name);
    TERN_TRY(write_steps(&w, err));
    write_values(&w);
    write_model(&w);
    write_header(emit, ret, header);
    TERN_TRY(tern_buf_check(source, "the model's source", err));
    return tern_buf_check(header, "the model's header", err);
}
