/* A bound configuration as a file that people read and change: protobuf text, YAML or JSON. Only
 * what was said is written, one field a line; each form reads back to the same tree. */
#include "conf/json_text.h"
#include "registry/model_schema.h"

#define INDENT 2u

/* These call each other as deep as the schema nests (eight levels), never as deep as a file does.
 * NOLINTBEGIN(misc-no-recursion) */

struct writer {
    struct tern_buf *out;
    unsigned depth;
};

static void begin_line(const struct writer *w)
{
    for (unsigned i = 0; i < w->depth * INDENT; i++)
        tern_buf_add_char(w->out, ' ');
}

static void add_name(const struct writer *w, const struct tern_schema_field *field)
{
    tern_buf_add_str(w->out, tern_str_of(field->name));
}

/* The field's node when there is something to write: an empty list of messages says nothing. */
static const struct tern_tree *said(const struct tern_schema_field *field,
                                    const struct tern_tree *message)
{
    const struct tern_tree *node = tern_tree_find(message, tern_str_of(field->name));
    bool several = field->label == TERN_SCHEMA_MAP ||
                   (field->label == TERN_SCHEMA_REPEATED && field->type == TERN_SCHEMA_MESSAGE);

    return node != NULL && several && node->n == 0 ? NULL : node;
}

static bool is_empty(const struct tern_schema_message *schema, const struct tern_tree *message)
{
    for (uint32_t i = 0; i < schema->n; i++) {
        if (said(&schema->fields[i], message) != NULL)
            return false;
    }
    return true;
}

/* ---- protobuf text ---- */

/* protobuf.dev/reference/protobuf/textformat-spec: bytes that are no printable ASCII as octal, but
 * UTF-8 as it is. */
static void add_pbtxt_string(struct tern_buf *out, struct tern_str text)
{
    tern_buf_add_char(out, '"');
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        if (c == '"' || c == '\\') {
            tern_buf_add_char(out, '\\');
            tern_buf_add_char(out, (char)c);
        } else if (c == '\n') {
            TERN_BUF_ADD_LITERAL(out, "\\n");
        } else if (c < 0x20 || c == 0x7f) {
            tern_buf_printf(out, "\\%03o", c);
        } else {
            tern_buf_add_char(out, (char)c);
        }
    }
    tern_buf_add_char(out, '"');
}

static void add_pbtxt_scalar(const struct writer *w, enum tern_schema_type type,
                             struct tern_str text)
{
    if (type == TERN_SCHEMA_STRING)
        add_pbtxt_string(w->out, text);
    else
        tern_buf_add_str(w->out, text);
}

static void write_pbtxt(struct writer *w, const struct tern_schema_message *schema,
                        const struct tern_tree *message);

/* "name: value" or "name {...}", a line of its own. */
static void write_pbtxt_value(struct writer *w, const struct tern_schema_field *field,
                              const char *name, const struct tern_tree *node)
{
    begin_line(w);
    tern_buf_add_str(w->out, tern_str_of(name));
    if (field->type != TERN_SCHEMA_MESSAGE) {
        TERN_BUF_ADD_LITERAL(w->out, ": ");
        add_pbtxt_scalar(w, field->type, node->text);
        tern_buf_add_char(w->out, '\n');
        return;
    }
    if (is_empty(field->message, node)) {
        TERN_BUF_ADD_LITERAL(w->out, " { }\n");
        return;
    }
    TERN_BUF_ADD_LITERAL(w->out, " {\n");
    w->depth++;
    write_pbtxt(w, field->message, node);
    w->depth--;
    begin_line(w);
    TERN_BUF_ADD_LITERAL(w->out, "}\n");
}

static void write_pbtxt_entry(struct writer *w, const struct tern_schema_field *field,
                              const struct tern_tree *entry)
{
    begin_line(w);
    add_name(w, field);
    TERN_BUF_ADD_LITERAL(w->out, " {\n");
    w->depth++;
    begin_line(w);
    TERN_BUF_ADD_LITERAL(w->out, "key: ");
    add_pbtxt_scalar(w, field->number_keys ? TERN_SCHEMA_UINT64 : TERN_SCHEMA_STRING, entry->key);
    tern_buf_add_char(w->out, '\n');
    write_pbtxt_value(w, field, "value", entry);
    w->depth--;
    begin_line(w);
    TERN_BUF_ADD_LITERAL(w->out, "}\n");
}

/* "name: [ 1, 2 ]" */
static void write_pbtxt_list(struct writer *w, const struct tern_schema_field *field,
                             const struct tern_tree *list)
{
    begin_line(w);
    add_name(w, field);
    TERN_BUF_ADD_LITERAL(w->out, ": [");
    for (const struct tern_tree *e = list->first; e != NULL; e = e->next) {
        tern_buf_add_str(w->out, e == list->first ? TERN_STR(" ") : TERN_STR(", "));
        add_pbtxt_scalar(w, field->type, e->text);
    }
    TERN_BUF_ADD_LITERAL(w->out, " ]\n");
}

static void write_pbtxt(struct writer *w, const struct tern_schema_message *schema,
                        const struct tern_tree *message)
{
    for (uint32_t i = 0; i < schema->n; i++) {
        const struct tern_schema_field *field = &schema->fields[i];
        const struct tern_tree *node = said(field, message);
        if (node == NULL)
            continue;
        if (field->label == TERN_SCHEMA_REPEATED && field->type != TERN_SCHEMA_MESSAGE) {
            write_pbtxt_list(w, field, node);
        } else if (field->label == TERN_SCHEMA_REPEATED || field->label == TERN_SCHEMA_MAP) {
            for (const struct tern_tree *e = node->first; e != NULL; e = e->next) {
                if (field->label == TERN_SCHEMA_MAP)
                    write_pbtxt_entry(w, field, e);
                else
                    write_pbtxt_value(w, field, field->name, e);
            }
        } else {
            write_pbtxt_value(w, field, field->name, node);
        }
    }
}

/* ---- YAML ---- */

/* Texts in double quotes: no word of theirs is then taken for a number, a date or null. */
static void add_quoted_or_plain(const struct writer *w, const struct tern_schema_field *field,
                                struct tern_str text)
{
    if (field->type == TERN_SCHEMA_STRING)
        tern_json_text_add(w->out, text);
    else
        tern_buf_add_str(w->out, text);
}

static void write_yaml(struct writer *w, const struct tern_schema_message *schema,
                       const struct tern_tree *message, bool in_list);

/* What stands behind "name:". */
static void write_yaml_value(struct writer *w, const struct tern_schema_field *field,
                             const struct tern_tree *node)
{
    if (field->type != TERN_SCHEMA_MESSAGE) {
        tern_buf_add_char(w->out, ' ');
        add_quoted_or_plain(w, field, node->text);
        tern_buf_add_char(w->out, '\n');
    } else if (is_empty(field->message, node)) {
        TERN_BUF_ADD_LITERAL(w->out, " {}\n");
    } else {
        tern_buf_add_char(w->out, '\n');
        w->depth++;
        write_yaml(w, field->message, node, false);
        w->depth--;
    }
}

static void write_yaml_list(struct writer *w, const struct tern_schema_field *field,
                            const struct tern_tree *list)
{
    if (field->type == TERN_SCHEMA_MESSAGE) {
        tern_buf_add_char(w->out, '\n');
        w->depth++;
        for (const struct tern_tree *e = list->first; e != NULL; e = e->next) {
            begin_line(w);
            TERN_BUF_ADD_LITERAL(w->out, "- ");
            w->depth++;
            if (is_empty(field->message, e))
                TERN_BUF_ADD_LITERAL(w->out, "{}\n");
            else
                write_yaml(w, field->message, e, true);
            w->depth--;
        }
        w->depth--;
        return;
    }
    TERN_BUF_ADD_LITERAL(w->out, " [");
    for (const struct tern_tree *e = list->first; e != NULL; e = e->next) {
        if (e != list->first)
            TERN_BUF_ADD_LITERAL(w->out, ", ");
        add_quoted_or_plain(w, field, e->text);
    }
    TERN_BUF_ADD_LITERAL(w->out, "]\n");
}

static void write_yaml_map(struct writer *w, const struct tern_schema_field *field,
                           const struct tern_tree *map)
{
    tern_buf_add_char(w->out, '\n');
    w->depth++;
    for (const struct tern_tree *e = map->first; e != NULL; e = e->next) {
        begin_line(w);
        tern_json_text_add(w->out, e->key);
        tern_buf_add_char(w->out, ':');
        write_yaml_value(w, field, e);
    }
    w->depth--;
}

/* in_list: the first line follows "- ". */
static void write_yaml(struct writer *w, const struct tern_schema_message *schema,
                       const struct tern_tree *message, bool in_list)
{
    for (uint32_t i = 0; i < schema->n; i++) {
        const struct tern_schema_field *field = &schema->fields[i];
        const struct tern_tree *node = said(field, message);
        if (node == NULL)
            continue;
        if (!in_list)
            begin_line(w);
        in_list = false;
        add_name(w, field);
        tern_buf_add_char(w->out, ':');
        if (field->label == TERN_SCHEMA_REPEATED)
            write_yaml_list(w, field, node);
        else if (field->label == TERN_SCHEMA_MAP)
            write_yaml_map(w, field, node);
        else
            write_yaml_value(w, field, node);
    }
}

/* ---- JSON ---- */

static void write_json(struct writer *w, const struct tern_schema_message *schema,
                       const struct tern_tree *message);

/* The comma of the line before, if there is one, and a new line. */
static void next_json_line(const struct writer *w, bool first)
{
    tern_buf_add_str(w->out, first ? TERN_STR("\n") : TERN_STR(",\n"));
    begin_line(w);
}

static void write_json_value(struct writer *w, const struct tern_schema_field *field,
                             const struct tern_tree *node)
{
    if (field->type == TERN_SCHEMA_MESSAGE)
        write_json(w, field->message, node);
    else if (field->type == TERN_SCHEMA_ENUM)
        tern_json_text_add(w->out, node->text);
    else
        add_quoted_or_plain(w, field, node->text);
}

/* A list of plain values stands on one line. */
static void write_json_several(struct writer *w, const struct tern_schema_field *field,
                               const struct tern_tree *node)
{
    bool map = field->label == TERN_SCHEMA_MAP;
    bool one_line = !map && field->type != TERN_SCHEMA_MESSAGE;

    tern_buf_add_char(w->out, map ? '{' : '[');
    w->depth++;
    for (const struct tern_tree *e = node->first; e != NULL; e = e->next) {
        if (!one_line)
            next_json_line(w, e == node->first);
        else if (e != node->first)
            TERN_BUF_ADD_LITERAL(w->out, ", ");
        if (map) {
            tern_json_text_add(w->out, e->key);
            TERN_BUF_ADD_LITERAL(w->out, ": ");
        }
        write_json_value(w, field, e);
    }
    w->depth--;
    if (!one_line) {
        tern_buf_add_char(w->out, '\n');
        begin_line(w);
    }
    tern_buf_add_char(w->out, map ? '}' : ']');
}

static void write_json(struct writer *w, const struct tern_schema_message *schema,
                       const struct tern_tree *message)
{
    bool first = true;

    tern_buf_add_char(w->out, '{');
    w->depth++;
    for (uint32_t i = 0; i < schema->n; i++) {
        const struct tern_schema_field *field = &schema->fields[i];
        const struct tern_tree *node = said(field, message);
        if (node == NULL)
            continue;
        next_json_line(w, first);
        first = false;
        tern_json_text_add(w->out, tern_str_of(field->name));
        TERN_BUF_ADD_LITERAL(w->out, ": ");
        if (field->label == TERN_SCHEMA_REPEATED || field->label == TERN_SCHEMA_MAP)
            write_json_several(w, field, node);
        else
            write_json_value(w, field, node);
    }
    w->depth--;
    if (!first) {
        tern_buf_add_char(w->out, '\n');
        begin_line(w);
    }
    tern_buf_add_char(w->out, '}');
}
/* NOLINTEND(misc-no-recursion) */

void tern_model_schema_write(enum tern_schema_form form, const struct tern_tree *model,
                             struct tern_buf *out)
{
    struct writer w = {out, 0};

    switch (form) {
    case TERN_SCHEMA_FORM_PBTXT:
        write_pbtxt(&w, &tern_model_schema, model);
        break;
    case TERN_SCHEMA_FORM_YAML:
        write_yaml(&w, &tern_model_schema, model, false);
        break;
    case TERN_SCHEMA_FORM_JSON:
        write_json(&w, &tern_model_schema, model);
        tern_buf_add_char(out, '\n');
        break;
    }
}
