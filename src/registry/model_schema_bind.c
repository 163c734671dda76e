/* Binding a tree to the schema: names checked, types checked, one shape for three formats. */
#include <stdio.h>
#include "base/num.h"
#include "conf/opt.h"
#include "registry/model_schema.h"
#include "registry/model_schema_value.h"

struct binder {
    struct tern_str file;
    struct tern_arena *arena;
    struct tern_problems *problems;
    bool entries; /* map fields come as {key, value} blocks: protobuf text */
    bool refuse;
};

static struct tern_str place(const struct binder *b, uint32_t line, uint32_t column)
{
    return tern_problem_place(b->problems, b->file, line, column);
}

/* Protobuf text has no word for nothing. */
static bool is_null(const struct binder *b, const struct tern_tree *node)
{
    return !b->entries && tern_tree_is_null(node);
}

static void say_no_memory(const struct binder *b)
{
    tern_problem_add(b->problems, b->file, "the configuration is too large for its memory");
}

static const struct tern_schema_field *find_field(const struct tern_schema_message *message,
                                                  struct tern_str name)
{
    for (uint32_t i = 0; i < message->n; i++) {
        if (tern_str_eq(tern_str_of(message->fields[i].name), name))
            return &message->fields[i];
    }
    return NULL;
}

static const char *field_name(const void *user, uint32_t i, char *scratch)
{
    const struct tern_schema_message *message = user;
    (void)scratch;
    return message->fields[i].name;
}

static void unknown_field(const struct binder *b, const struct tern_schema_message *message,
                          const struct tern_tree *node)
{
    char scratch[TERN_OPT_NAME_MAX];
    const char *near = tern_opt_nearest(node->key, message->n, field_name, message, scratch);

    tern_problem_add(b->problems, place(b, node->key_line, node->key_column),
                     "%s has no field \"%.*s\"%s%s%s", message->name, TERN_STR_ARG(node->key),
                     near == NULL ? "" : ", did you mean ", near == NULL ? "" : near,
                     near == NULL ? "" : "?");
}

static void wrong_value(const struct binder *b, const struct tern_schema_field *field,
                        const struct tern_tree *node)
{
    char expected[400];
    const char *wanted = tern_model_schema_expected(field, expected, sizeof(expected));
    struct tern_str where = place(b, node->line, node->column);

    if (node->kind == TERN_TREE_SCALAR && !tern_str_is_utf8(node->text))
        tern_problem_add(b->problems, where, "%s: expected %s, got other bytes", field->name,
                         wanted);
    else if (node->kind == TERN_TREE_SCALAR)
        tern_problem_add(b->problems, where, "%s: expected %s, got \"%.*s\"", field->name, wanted,
                         (int)(node->text.n > 80 ? 80 : node->text.n),
                         node->text.p == NULL ? "" : node->text.p);
    else
        tern_problem_add(b->problems, where, "%s: expected %s, got %s", field->name, wanted,
                         node->kind == TERN_TREE_MAP ? "a block" : "a list");
}

/* `parameters: {threads: 2}` is what people write in YAML for a block whose only field is the text
 * of a value. */
static bool wrap_scalar(const struct binder *b, const struct tern_schema_message *message,
                        struct tern_tree *node)
{
    if (b->entries || message->n != 1 || message->fields[0].type != TERN_SCHEMA_STRING ||
        message->fields[0].label != TERN_SCHEMA_ONE || is_null(b, node))
        return false;
    struct tern_str text = node->text;
    node->kind = TERN_TREE_MAP;
    struct tern_tree *inner = tern_tree_add(b->arena, node, TERN_TREE_SCALAR);
    if (inner == NULL) {
        say_no_memory(b);
        return true;
    }
    inner->key = tern_str_of(message->fields[0].name);
    inner->text = text;
    inner->quoted = true;
    inner->line = inner->key_line = node->line;
    inner->column = inner->key_column = node->column;
    return true;
}

/* One value of a field: a message is bound when the walk comes to it, a scalar at once. */
static void bind_value(const struct binder *b, const struct tern_schema_field *field,
                       struct tern_tree *node)
{
    if (field->type != TERN_SCHEMA_MESSAGE) {
        /* Protobuf text says by quotes what is a text; JSON also quotes 64-bit numbers. */
        bool form = !b->entries || node->quoted == (field->type == TERN_SCHEMA_STRING);
        if (node->kind != TERN_TREE_SCALAR || !form ||
            !tern_model_schema_value(field, node, b->arena))
            wrong_value(b, field, node);
        return;
    }
    if (node->kind == TERN_TREE_SCALAR && is_null(b, node))
        node->kind = TERN_TREE_MAP; /* YAML's `all:` with nothing behind it */
    else if (node->kind == TERN_TREE_SCALAR && !wrap_scalar(b, field->message, node))
        wrong_value(b, field, node);
    else if (node->kind == TERN_TREE_LIST)
        wrong_value(b, field, node);
    node->meaning = field->message;
}

/* Whether a refused field says something at all: `decoupled: false` does not. */
static bool says_something(const struct binder *b, const struct tern_schema_field *field,
                           const struct tern_tree *node)
{
    if (node->kind != TERN_TREE_SCALAR)
        return node->kind == TERN_TREE_MAP || node->first != NULL;
    struct tern_tree copy = *node;
    bool no = field->type == TERN_SCHEMA_BOOL && tern_model_schema_value(field, &copy, b->arena) &&
              tern_str_eq(copy.text, TERN_STR("false"));
    return !no && !is_null(b, node);
}

/* The list or map that collects the values of a field in `message`; made at the first of them. */
static struct tern_tree *container(const struct binder *b, struct tern_tree *message,
                                   const struct tern_schema_field *field,
                                   const struct tern_tree *child)
{
    struct tern_tree *node = tern_tree_find(message, tern_str_of(field->name));

    if (node != NULL)
        return node;
    node = tern_tree_add(b->arena, message,
                         field->label == TERN_SCHEMA_MAP ? TERN_TREE_MAP : TERN_TREE_LIST);
    if (node == NULL) {
        say_no_memory(b);
        return NULL;
    }
    node->key = tern_str_of(field->name);
    node->key_line = child->key_line;
    node->key_column = child->key_column;
    node->line = child->line;
    node->column = child->column;
    return node;
}

static void add_element(const struct binder *b, struct tern_tree *list,
                        const struct tern_schema_field *field, struct tern_tree *node)
{
    node->key = tern_str_make(NULL, 0);
    tern_tree_append(list, node);
    bind_value(b, field, node);
}

static void bind_repeated(const struct binder *b, struct tern_tree *message,
                          const struct tern_schema_field *field, struct tern_tree *child)
{
    struct tern_tree *list = container(b, message, field, child);

    if (list == NULL)
        return;
    if (child->kind != TERN_TREE_LIST) {
        if (!is_null(b, child) || field->type == TERN_SCHEMA_STRING)
            add_element(b, list, field, child);
        return;
    }
    for (struct tern_tree *node = child->first, *next; node != NULL; node = next) {
        next = node->next;
        add_element(b, list, field, node);
    }
}

/* Whether a key may be one of the map; a number's gets its one spelling. */
static bool check_key(const struct binder *b, const struct tern_schema_field *field,
                      struct tern_str *key, struct tern_str where)
{
    uint64_t number;

    if (!tern_model_schema_is_text(*key)) {
        tern_problem_add(b->problems, where, "%s: a key is not valid UTF-8", field->name);
        return false;
    }
    if (key->n == 0) {
        tern_problem_add(b->problems, where, "%s: a key is empty", field->name);
        return false;
    }
    if (!field->number_keys)
        return true;
    if (!tern_num_parse_u64(*key, UINT64_MAX, &number)) {
        tern_problem_add(b->problems, where,
                         "%s: expected a whole number, 0 or more, as key, got \"%.*s\"",
                         field->name, TERN_STR_ARG(*key));
        return false;
    }
    *key = tern_arena_printf(b->arena, "%llu", (unsigned long long)number);
    if (key->p == NULL)
        say_no_memory(b);
    return key->p != NULL;
}

static void add_entry(const struct binder *b, struct tern_tree *map,
                      const struct tern_schema_field *field, struct tern_str key,
                      struct tern_tree *value)
{
    struct tern_str where = place(b, value->key_line, value->key_column);

    if (!check_key(b, field, &key, where))
        return;
    if (tern_tree_find(map, key) != NULL) {
        tern_problem_add(b->problems, where, "%s: \"%.*s\" is given twice", field->name,
                         TERN_STR_ARG(key));
        return;
    }
    if (map->n == TERN_TREE_KEYS_MAX) {
        tern_problem_add(b->problems, where, "%s: more than %u entries", field->name,
                         TERN_TREE_KEYS_MAX);
        return;
    }
    value->key = key;
    tern_tree_append(map, value);
    bind_value(b, field, value);
}

/* What an entry without a value has: the empty message or text, in the key's place. */
static struct tern_tree *no_value(const struct binder *b, const struct tern_schema_field *field,
                                  const struct tern_tree *key)
{
    struct tern_tree *value = tern_tree_add(
        b->arena, NULL, field->type == TERN_SCHEMA_MESSAGE ? TERN_TREE_MAP : TERN_TREE_SCALAR);

    if (value == NULL) {
        say_no_memory(b);
        return NULL;
    }
    value->text = TERN_STR("");
    value->quoted = true;
    value->line = value->key_line = key->line;
    value->column = value->key_column = key->column;
    return value;
}

/* {key: "threads" value: {...}}, as protobuf text and lists spell an entry of a map. */
static void bind_entry(const struct binder *b, struct tern_tree *map,
                       const struct tern_schema_field *field, struct tern_tree *entry)
{
    struct tern_tree *key = NULL, *value = NULL;

    for (struct tern_tree *node = entry->first; node != NULL; node = node->next) {
        if (tern_str_eq(node->key, TERN_STR("key")) && key == NULL)
            key = node;
        else if (tern_str_eq(node->key, TERN_STR("value")) && value == NULL)
            value = node;
        else
            tern_problem_add(b->problems, place(b, node->key_line, node->key_column),
                             "%s: an entry has one key and one value, not \"%.*s\"", field->name,
                             TERN_STR_ARG(node->key));
    }
    if (entry->kind == TERN_TREE_MAP && key != NULL && value == NULL)
        value = no_value(b, field, key); /* protobuf: the default */
    if (entry->kind != TERN_TREE_MAP || key == NULL || key->kind != TERN_TREE_SCALAR ||
        value == NULL) {
        tern_problem_add(b->problems, place(b, entry->line, entry->column),
                         "%s: expected an entry with key and value", field->name);
        return;
    }
    if (b->entries && key->quoted == field->number_keys)
        tern_problem_add(b->problems, place(b, key->line, key->column), "%s: a key is %s, got %.*s",
                         field->name, field->number_keys ? "a number" : "a text in quotes",
                         TERN_STR_ARG(key->text));
    else
        add_entry(b, map, field, key->text, value);
}

static void bind_map(const struct binder *b, struct tern_tree *message,
                     const struct tern_schema_field *field, struct tern_tree *child)
{
    struct tern_tree *map = container(b, message, field, child);

    if (map == NULL || is_null(b, child))
        return;
    if (child->kind == TERN_TREE_SCALAR) {
        tern_problem_add(b->problems, place(b, child->line, child->column), "%s: expected a map",
                         field->name);
        return;
    }
    if (child->kind == TERN_TREE_MAP && b->entries) {
        bind_entry(b, map, field, child);
        return;
    }
    for (struct tern_tree *node = child->first, *next; node != NULL; node = next) {
        next = node->next;
        if (child->kind == TERN_TREE_LIST)
            bind_entry(b, map, field, node);
        else
            add_entry(b, map, field, node->key, node);
    }
}

static const struct tern_tree *other_of_oneof(const struct tern_schema_message *message,
                                              const struct tern_tree *node)
{
    for (uint32_t i = 0; i < message->n; i++) {
        const struct tern_tree *other =
            message->fields[i].label == TERN_SCHEMA_ONEOF
                ? tern_tree_find(node, tern_str_of(message->fields[i].name))
                : NULL;
        if (other != NULL)
            return other;
    }
    return NULL;
}

static void bind_one(const struct binder *b, struct tern_tree *message,
                     const struct tern_schema_field *field, struct tern_tree *child)
{
    const struct tern_tree *other = tern_tree_find(message, child->key);

    if (other == NULL && field->label == TERN_SCHEMA_ONEOF)
        other = other_of_oneof(message->meaning, message);
    if (other != NULL) {
        tern_problem_add(b->problems, place(b, child->key_line, child->key_column),
                         "%.*s cannot stand beside %.*s of line %u", TERN_STR_ARG(child->key),
                         TERN_STR_ARG(other->key), (unsigned)other->key_line);
        return;
    }
    /* A name with nothing behind it in YAML; for a message it means the empty one. */
    if (is_null(b, child) && field->type != TERN_SCHEMA_MESSAGE)
        return;
    tern_tree_append(message, child);
    bind_value(b, field, child);
}

static void bind_message(const struct binder *b, struct tern_tree *message)
{
    const struct tern_schema_message *schema = message->meaning;
    struct tern_tree *child = message->first;

    message->first = message->last = NULL;
    message->n = 0;
    for (struct tern_tree *next; child != NULL; child = next) {
        const struct tern_schema_field *field = find_field(schema, child->key);
        next = child->next;
        if (field == NULL) {
            unknown_field(b, schema, child);
            continue;
        }
        if (b->refuse && field->how == TERN_SCHEMA_REFUSED && says_something(b, field, child))
            tern_problem_add(b->problems, place(b, child->key_line, child->key_column), "%s: %s",
                             field->name, field->why);
        if (field->label == TERN_SCHEMA_REPEATED)
            bind_repeated(b, message, field, child);
        else if (field->label == TERN_SCHEMA_MAP)
            bind_map(b, message, field, child);
        else
            bind_one(b, message, field, child);
    }
}

void tern_model_schema_bind(struct tern_tree *root, const struct tern_schema_binding *binding,
                            struct tern_arena *arena, struct tern_problems *problems)
{
    struct binder b = {binding->file, arena, problems, binding->entries, binding->refuse};
    struct tern_tree *node = root;

    root->meaning = &tern_model_schema;
    while (node != NULL) {
        if (node->meaning != NULL && node->kind == TERN_TREE_MAP)
            bind_message(&b, node);
        node = tern_tree_step(root, node);
    }
}

struct tern_tree *tern_model_schema_put(struct tern_tree *message, const char *key,
                                        enum tern_tree_kind kind, struct tern_str text,
                                        struct tern_arena *arena)
{
    struct tern_tree *node = key == NULL ? NULL : tern_tree_find(message, tern_str_of(key));

    if (node == NULL)
        node = tern_tree_add(arena, message, kind);
    if (node == NULL)
        return NULL;
    node->key = tern_str_of(key);
    node->text = text;
    return node;
}
