/* YAML and JSON Schema from option tables: the sample file, the effective configuration, and the
 * schema that editors check tern.yaml with. */
#include "conf/json_text.h"
#include "conf/opt_doc.h"

/* ---- YAML ---- */

/* Letters, digits and a few signs, not starting with a digit: safe without quotes in any place. */
static bool is_plain(struct tern_str text)
{
    static const char *const words[] = {"true", "false", "on", "off", "yes", "no", "null"};

    for (size_t i = 0; i < TERN_COUNT_OF(words); i++) {
        if (tern_str_eq_nocase(text, tern_str_of(words[i])))
            return false;
    }
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        bool later = (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.' || c == '/';
        if (!letter && !(i > 0 && later))
            return false;
    }
    return text.n > 0;
}

static void add_text(struct tern_str text, struct tern_buf *out)
{
    if (is_plain(text))
        tern_buf_add_str(out, text);
    else
        tern_json_text_add(out, text);
}

/* "a<sep>b" as a YAML list. */
static void add_list(struct tern_str text, char separator, struct tern_buf *out)
{
    struct tern_str piece;
    bool first = true;

    tern_buf_add_char(out, '[');
    while (text.n > 0 && tern_str_split(&text, separator, &piece)) {
        if (!first)
            TERN_BUF_ADD_LITERAL(out, ", ");
        first = false;
        add_text(piece, out);
    }
    tern_buf_add_char(out, ']');
}

/* A value in the form of tern_opt_print as YAML. */
static void add_value(const struct tern_opt *opt, struct tern_str text, struct tern_buf *out)
{
    if (opt->type == TERN_OPT_LIST)
        add_list(text, ',', out);
    else if (opt->type == TERN_OPT_RECORDS)
        add_list(text, ';', out);
    else if (opt->type == TERN_OPT_STRING || opt->type == TERN_OPT_ENUM)
        add_text(text, out);
    else
        tern_buf_add_str(out, text);
}

static struct tern_str preset_of(const struct tern_opt *opt)
{
    if (opt->preset != NULL)
        return tern_str_of(opt->preset);
    return opt->type == TERN_OPT_BOOL ? TERN_STR("false") : TERN_STR("");
}

static void add_comment(struct tern_str text, struct tern_buf *out)
{
    struct tern_buf wrapped;
    struct tern_str line;

    tern_buf_init(&wrapped, 8192);
    tern_opt_doc_wrap(text, 0, 0, 90, &wrapped);
    struct tern_str rest = tern_buf_str(&wrapped);
    while (tern_str_split(&rest, '\n', &line) && line.n > 0)
        tern_buf_printf(out, "# %.*s\n", TERN_STR_ARG(line));
    out->failed |= wrapped.failed;
    tern_buf_fini(&wrapped);
}

void tern_opt_doc_sample(const struct tern_opt_table *table, struct tern_buf *out)
{
    const char *section = NULL;

    TERN_BUF_ADD_LITERAL(
        out,
        "# Every option of the server at its default. Take away `#` in front of a name to change "
        "it.\n# A dotted name may also be written as nested maps: http: {body_max: 64MiB}\n");
    for (uint32_t i = 0; i < table->n; i++) {
        const struct tern_opt *opt = &table->rows[i];
        if ((opt->flags & TERN_OPT_FLAG) != 0)
            continue;
        if (section == NULL || strcmp(section, opt->section) != 0) {
            section = opt->section;
            tern_buf_printf(out, "\n# ---- %s ----\n", section);
        }
        tern_buf_add_char(out, '\n');
        add_comment(tern_str_of(opt->help), out);
        tern_buf_printf(out, "#%s: ", opt->name);
        add_value(opt, preset_of(opt), out);
        tern_buf_add_char(out, '\n');
    }
}

void tern_opt_doc_effective(const struct tern_opt_load *load, struct tern_buf *out)
{
    static const char *const origins[] = {"", "  # file", "  # environment", "  # flag"};
    struct tern_buf text;

    tern_buf_init(&text, 1u << 20);
    for (uint32_t i = 0; i < load->table->n; i++) {
        const struct tern_opt *opt = &load->table->rows[i];
        if ((opt->flags & TERN_OPT_FLAG) != 0)
            continue;
        tern_buf_clear(&text);
        tern_opt_print(opt, load->values, &text);
        tern_buf_printf(out, "%s: ", opt->name);
        add_value(opt, tern_buf_str(&text), out);
        out->failed |= text.failed;
        tern_buf_printf(out, "%s\n", origins[load->origins[i]]);
    }
    tern_buf_fini(&text);
}

/* ---- JSON Schema ---- */

/* These call each other as deep as an option's name has dots.
 * NOLINTBEGIN(misc-no-recursion) */

static void add_rows(const struct tern_opt *rows, uint32_t n, const char *prefix, uint32_t depth,
                     struct tern_buf *out);

static void indent(uint32_t depth, struct tern_buf *out)
{
    tern_buf_printf(out, "\n%*s", (int)(2 * depth), "");
}

static void add_number_type(const struct tern_opt *opt, struct tern_buf *out)
{
    if (opt->type == TERN_OPT_UINT)
        tern_buf_printf(out, "\"type\": \"integer\", \"minimum\": %llu, \"maximum\": %llu",
                        (unsigned long long)opt->min, (unsigned long long)opt->max);
    else if (opt->type == TERN_OPT_SIZE)
        TERN_BUF_ADD_LITERAL(out, "\"type\": [\"string\", \"integer\"], "
                                  "\"pattern\": \"^[0-9]+([bB]|[kKmMgG]([iI][bB])?)?$\"");
    else
        TERN_BUF_ADD_LITERAL(out, "\"type\": [\"string\", \"integer\"], "
                                  "\"pattern\": \"^[0-9]+(ns|us|ms|s|m|h)?$\"");
}

static void add_enum_type(const struct tern_opt *opt, struct tern_buf *out)
{
    TERN_BUF_ADD_LITERAL(out, "\"enum\": [");
    for (uint32_t i = 0; opt->values[i] != NULL; i++)
        tern_buf_printf(out, "%s\"%s\"", i == 0 ? "" : ", ", opt->values[i]);
    tern_buf_add_char(out, ']');
}

static void add_records_type(const struct tern_opt *opt, uint32_t depth, struct tern_buf *out)
{
    TERN_BUF_ADD_LITERAL(out,
                         "\"type\": \"array\", \"items\": {\"anyOf\": [{\"type\": \"string\"}, ");
    add_rows(opt->record->rows, opt->record->n, "", depth + 1, out);
    TERN_BUF_ADD_LITERAL(out, "]}");
}

static void add_type(const struct tern_opt *opt, uint32_t depth, struct tern_buf *out)
{
    switch (opt->type) {
    case TERN_OPT_BOOL:
        TERN_BUF_ADD_LITERAL(out, "\"type\": \"boolean\"");
        return;
    case TERN_OPT_UINT:
    case TERN_OPT_SIZE:
    case TERN_OPT_DURATION:
        add_number_type(opt, out);
        return;
    case TERN_OPT_STRING:
        TERN_BUF_ADD_LITERAL(out, "\"type\": \"string\"");
        return;
    case TERN_OPT_ENUM:
        add_enum_type(opt, out);
        return;
    case TERN_OPT_LIST:
        TERN_BUF_ADD_LITERAL(out, "\"type\": \"array\", \"items\": {\"type\": \"string\"}");
        return;
    case TERN_OPT_RECORDS:
        add_records_type(opt, depth, out);
        return;
    }
}

static void add_option(const struct tern_opt *opt, uint32_t depth, struct tern_buf *out)
{
    tern_buf_add_char(out, '{');
    add_type(opt, depth, out);
    TERN_BUF_ADD_LITERAL(out, ", \"description\": ");
    tern_json_text_add(out, tern_str_of(opt->help));
    if (opt->preset != NULL && opt->type != TERN_OPT_LIST && opt->type != TERN_OPT_RECORDS) {
        TERN_BUF_ADD_LITERAL(out, ", \"default\": ");
        if (opt->type == TERN_OPT_BOOL || opt->type == TERN_OPT_UINT)
            tern_buf_add_str(out, tern_str_of(opt->preset));
        else
            tern_json_text_add(out, tern_str_of(opt->preset));
    }
    tern_buf_add_char(out, '}');
}

/* The part of a name between prefix and the next dot; empty when the row is not below prefix. */
static struct tern_str segment(const struct tern_opt *opt, struct tern_str prefix)
{
    struct tern_str name = tern_str_of(opt->name);

    if (name.n <= prefix.n || !tern_str_starts(name, prefix))
        return TERN_STR("");
    struct tern_str rest = tern_str_from(name, prefix.n);
    return tern_str_make(rest.p, tern_str_find(rest, '.'));
}

static bool seen_before(const struct tern_opt *rows, uint32_t i, struct tern_str prefix,
                        struct tern_str part)
{
    while (i-- > 0) {
        if (tern_str_eq(segment(&rows[i], prefix), part))
            return true;
    }
    return false;
}

/* A map with the rows below prefix. `tls` and `tls.cert` in one table: the value may be either. */
static void add_member(const struct tern_opt *rows, uint32_t n, uint32_t i, struct tern_str prefix,
                       uint32_t depth, struct tern_buf *out)
{
    struct tern_str part = segment(&rows[i], prefix);
    bool leaf = prefix.n + part.n == strlen(rows[i].name);
    bool group = !leaf;
    char below[TERN_OPT_NAME_MAX];

    for (uint32_t j = i + 1; j < n && !group; j++)
        group = tern_str_eq(segment(&rows[j], prefix), part);
    struct tern_str path = tern_str_make(rows[i].name, prefix.n + part.n);
    if (!group || !tern_str_copy_z(path, below, sizeof(below) - 1)) {
        add_option(&rows[i], depth, out);
        return;
    }
    below[path.n] = '.';
    below[path.n + 1] = '\0';
    if (leaf) {
        TERN_BUF_ADD_LITERAL(out, "{\"anyOf\": [");
        add_option(&rows[i], depth, out);
        TERN_BUF_ADD_LITERAL(out, ", ");
    }
    add_rows(rows, n, below, depth + 1, out);
    if (leaf)
        TERN_BUF_ADD_LITERAL(out, "]}");
}

static void add_rows(const struct tern_opt *rows, uint32_t n, const char *prefix, uint32_t depth,
                     struct tern_buf *out)
{
    struct tern_str below = tern_str_of(prefix);
    bool first = true;

    TERN_BUF_ADD_LITERAL(out, "{\"type\": \"object\", \"additionalProperties\": false, ");
    if (below.n == 0)
        TERN_BUF_ADD_LITERAL(out,
                             "\"patternProperties\": {\"^[a-z0-9_]+(\\\\.[a-z0-9_]+)+$\": {}}, ");
    TERN_BUF_ADD_LITERAL(out, "\"properties\": {");
    for (uint32_t i = 0; i < n; i++) {
        struct tern_str part = segment(&rows[i], below);
        if (part.n == 0 || (rows[i].flags & TERN_OPT_FLAG) != 0 ||
            seen_before(rows, i, below, part))
            continue;
        if (!first)
            tern_buf_add_char(out, ',');
        first = false;
        indent(depth + 1, out);
        tern_json_text_add(out, part);
        TERN_BUF_ADD_LITERAL(out, ": ");
        add_member(rows, n, i, below, depth + 1, out);
    }
    indent(depth, out);
    TERN_BUF_ADD_LITERAL(out, "}}");
}

/* NOLINTEND(misc-no-recursion) */

void tern_opt_doc_schema(const struct tern_opt_table *table, struct tern_buf *out)
{
    TERN_BUF_ADD_LITERAL(out, "{\"$schema\": \"https://json-schema.org/draft/2020-12/schema\",\n"
                              "\"title\": \"tern.yaml\",\n\"allOf\": [");
    add_rows(table->rows, table->n, "", 0, out);
    TERN_BUF_ADD_LITERAL(out, "]}\n");
}
