#include "registry/pbtxt_tree.h"

#include "wire/pbtxt.h"

static struct tern_tree *add_event(struct tern_arena *arena, struct tern_tree *open,
                                   const struct tern_pbtxt_event *e)
{
    static const enum tern_tree_kind kinds[] = {
        [TERN_PBTXT_SCALAR] = TERN_TREE_SCALAR,
        [TERN_PBTXT_MESSAGE_BEGIN] = TERN_TREE_MAP,
        [TERN_PBTXT_LIST_BEGIN] = TERN_TREE_LIST,
    };
    struct tern_tree *node = tern_tree_add(arena, open, kinds[e->kind]);

    if (node == NULL)
        return NULL;
    node->key = e->name;
    node->text = e->text;
    node->quoted = e->kind == TERN_PBTXT_SCALAR && e->value == TERN_PBTXT_STRING;
    node->line = e->line;
    node->column = e->column;
    node->key_line = e->name.n > 0 ? e->name_line : e->line;
    node->key_column = e->name.n > 0 ? e->name_column : e->column;
    return node;
}

struct tern_tree *tern_pbtxt_tree_read(struct tern_str text, struct tern_str file,
                                       struct tern_arena *arena, struct tern_problems *problems)
{
    struct tern_tree *root = tern_tree_add(arena, NULL, TERN_TREE_MAP);
    struct tern_tree *open = root;
    struct tern_pbtxt reader;
    struct tern_pbtxt_event e = {.kind = TERN_PBTXT_SCALAR};
    struct tern_err err;

    tern_pbtxt_init(&reader, text, arena);
    while (open != NULL) {
        if (tern_pbtxt_next(&reader, &e, &err) != TERN_OK) {
            tern_problem_add(problems, tern_problem_place(problems, file, e.line, e.column), "%s",
                             err.text);
            return NULL;
        }
        if (e.kind == TERN_PBTXT_END)
            return root;
        if (e.kind == TERN_PBTXT_MESSAGE_END || e.kind == TERN_PBTXT_LIST_END) {
            open = open->parent;
            continue;
        }
        struct tern_tree *node = add_event(arena, open, &e);
        open = node == NULL || e.kind != TERN_PBTXT_SCALAR ? node : open;
    }
    tern_problem_add(problems, file, "the configuration is too large for its memory");
    return NULL;
}
