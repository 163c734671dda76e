/* A bound configuration as JSON. */
#include "conf/json_text.h"
#include "registry/model_schema.h"
#include "registry/model_schema_value.h"

/* These call each other as deep as the schema nests (eight levels), never as deep as a file does.
 * NOLINTBEGIN(misc-no-recursion) */

static void print_scalar(const struct tern_schema_field *field, struct tern_str text,
                         struct tern_buf *out)
{
    if (field->type == TERN_SCHEMA_STRING || field->type == TERN_SCHEMA_ENUM)
        tern_json_text_add(out, text);
    else
        tern_buf_add_str(out, text);
}

static void print_value(const struct tern_schema_field *field, const struct tern_tree *node,
                        struct tern_buf *out)
{
    if (field->type == TERN_SCHEMA_MESSAGE)
        tern_model_schema_print(field->message, node, out);
    else
        print_scalar(field, node->text, out);
}

static void print_several(const struct tern_schema_field *field, const struct tern_tree *node,
                          struct tern_buf *out)
{
    bool map = field->label == TERN_SCHEMA_MAP;

    tern_buf_add_char(out, map ? '{' : '[');
    for (const struct tern_tree *e = node == NULL ? NULL : node->first; e != NULL; e = e->next) {
        if (e != node->first)
            tern_buf_add_char(out, ',');
        if (map) {
            tern_json_text_add(out, e->key);
            tern_buf_add_char(out, ':');
        }
        print_value(field, e, out);
    }
    tern_buf_add_char(out, map ? '}' : ']');
}

void tern_model_schema_print(const struct tern_schema_message *message,
                             const struct tern_tree *tree, struct tern_buf *out)
{
    bool first = true;

    tern_buf_add_char(out, '{');
    for (uint32_t i = 0; i < message->n; i++) {
        const struct tern_schema_field *field = &message->fields[i];
        const struct tern_tree *node = tern_tree_find(tree, tern_str_of(field->name));
        bool several = field->label == TERN_SCHEMA_REPEATED || field->label == TERN_SCHEMA_MAP;
        /* proto3's JSON shows scalars and lists that were left out, but no message. */
        if (node == NULL && !several &&
            (field->type == TERN_SCHEMA_MESSAGE || field->label == TERN_SCHEMA_ONEOF))
            continue;
        if (!first)
            tern_buf_add_char(out, ',');
        first = false;
        tern_json_text_add(out, tern_str_of(field->name));
        tern_buf_add_char(out, ':');
        if (several)
            print_several(field, node, out);
        else if (node != NULL)
            print_value(field, node, out);
        else
            print_scalar(field, tern_str_of(tern_model_schema_default(field)), out);
    }
    tern_buf_add_char(out, '}');
}
/* NOLINTEND(misc-no-recursion) */
