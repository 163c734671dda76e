/* What users of a model see: two functions and some sizes. */
#include <inttypes.h>
#include "base/version.h"
#include "engine/native/emit_int.h"

void tern_emit_string(struct tern_buf *out, struct tern_str s)
{
    tern_buf_add_char(out, '"');
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c < ' ' || c == '"' || c == '\\' || c == '?' || c == '*' || c >= 127)
            tern_buf_printf(out, "\\%03o", c);
        else
            tern_buf_add_char(out, (char)c);
    }
    tern_buf_add_char(out, '"');
}

static const char *type_of(enum tern_dtype dtype)
{
    if (dtype == TERN_DTYPE_FP32)
        return "float";
    if (dtype == TERN_DTYPE_FP64)
        return "double";
    if (dtype == TERN_DTYPE_BYTES)
        return "char";
    return dtype == TERN_DTYPE_INT64 ? "int64_t" : "int32_t";
}

/* The only input is `rows`; of several each has its number and a line. */
static void write_parameter(const struct tern_emit *e, uint32_t i, struct tern_buf *out)
{
    const struct tern_native_port *port = &e->ret->inputs[i];
    const char *more = port->dtype == TERN_DTYPE_BYTES ? "const *" : "";

    if (e->ret->n_inputs == 1) {
        tern_buf_printf(out, "const %s *%srows, ", type_of(port->dtype), more);
        return;
    }
    tern_buf_printf(out, "\n    const %s *%srows%u, /* %u of ", type_of(port->dtype), more, i,
                    port->n);
    tern_emit_string(out, port->name);
    TERN_BUF_ADD_LITERAL(out, " */");
}

static void write_prototype(const struct tern_emit *e, struct tern_buf *out)
{
    tern_buf_printf(out, "int %s_predict(", e->emit->name);
    for (uint32_t i = 0; i < e->ret->n_inputs; i++)
        write_parameter(e, i, out);
    tern_buf_printf(out, "%ssize_t n, %s *out, void *working)",
                    e->ret->n_inputs == 1 ? "" : "\n    ", type_of(e->ret->output.dtype));
}

void tern_emit_functions(const struct tern_emit *e)
{
    write_prototype(e, e->out);
    TERN_BUF_ADD_LITERAL(e->out, "\n{\n    const void *const rows_of[] = {");
    for (uint32_t i = 0; i < e->ret->n_inputs; i++) {
        if (e->ret->n_inputs == 1)
            TERN_BUF_ADD_LITERAL(e->out, "rows, ");
        else
            tern_buf_printf(e->out, "rows%u, ", i);
    }
    tern_buf_printf(e->out,
                    "};\n\n    return tern_edge_run(&tern_edge_model, rows_of, n, out, working);"
                    "\n}\nconst char *%s_feature_name(size_t feature)\n{\n"
                    "    return tern_edge_feature_name(&tern_edge_model, feature);\n}\n",
                    e->emit->name);
}

static void write_sizes(const struct tern_emit *e, struct tern_buf *out)
{
    const struct tern_native_emitted *ret = e->ret;
    const char *name = e->emit->name;

    tern_buf_printf(out, "#define %s_FEATURES %u\n", name, ret->n_columns);
    tern_buf_printf(out, "#define %s_OUTPUTS  %u\n", name, ret->output.n);
    if (ret->text_bytes > 0)
        tern_buf_printf(out, "#define %s_TEXT     %zu /* bytes, with the end */\n", name,
                        ret->text_bytes);
    tern_buf_printf(out, "#define %s_WORKING  %zu /* bytes */\n\n", name, ret->working_bytes);
}

static void write_usage(const struct tern_emit *e, struct tern_buf *out)
{
    const struct tern_native_emitted *ret = e->ret;
    const char *name = e->emit->name;

    if (ret->n_inputs == 1)
        tern_buf_printf(out, "/* rows: n rows of %s_FEATURES", name);
    else
        TERN_BUF_ADD_LITERAL(out, "/* rows0 and so on: n rows of the inputs, one after another");
    tern_buf_printf(out, "; out: n rows of %s_OUTPUTS.\n * NaN is what is missing.\n", name);
    if (ret->output.dtype == TERN_DTYPE_BYTES)
        tern_buf_printf(out, " * Each answer takes %s_TEXT bytes.\n", name);
    if (ret->text_bytes > 0)
        tern_buf_printf(out, " * A text of %s_TEXT bytes or more may be refused.\n", name);
    tern_buf_printf(out,
                    " * working: %s_WORKING bytes, aligned to 64; NULL: the model's own, which "
                    "one thread at a time\n"
                    " * may use. 0; or -1, and nothing was written that counts. */\n",
                    name);
}

void tern_emit_header(const struct tern_emit *e, struct tern_buf *out)
{
    const char *name = e->emit->name;

    tern_buf_printf(out, "/* The model ");
    tern_emit_string(out, e->emit->title);
    tern_buf_printf(out,
                    ", version %" PRId64 ": %u features, %u outputs. Written by tern " TERN_VERSION
                    ".\n"
                    " * Needs the C library's memcpy, memset and mathematics, and no memory but "
                    "what it is given. */\n"
                    "#ifndef %s_MODEL_H\n#define %s_MODEL_H\n\n"
                    "#include <stddef.h>\n#include <stdint.h>\n\n"
                    "#ifdef __cplusplus\nextern \"C\" {\n#endif\n\n",
                    e->emit->version, e->ret->n_columns, e->ret->output.n, name, name);
    write_sizes(e, out);
    write_usage(e, out);
    TERN_BUF_ADD_LITERAL(out, "__attribute__((visibility(\"default\")))\n");
    write_prototype(e, out);
    tern_buf_printf(out,
                    ";\n/* What the training called a feature; NULL: it is not known. */\n"
                    "__attribute__((visibility(\"default\")))\n"
                    "const char *%s_feature_name(size_t feature);\n\n"
                    "#ifdef __cplusplus\n}\n#endif\n#endif\n",
                    name);
}
