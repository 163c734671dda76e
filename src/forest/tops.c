/* Trees with more leaves than a byte counts cannot be folded (simd/trees.h), and most of a walk is
 * through their upper levels, which every row takes: those are folded, the rest is walked. */
#include "base/mem.h"
#include "forest/forest_int.h"

/* The upper nodes of one tree, level by level, until they have all the exits that a byte counts. */
struct choice {
    bool *is_in; /* one a node */
    int32_t queue[2 * TERN_TREE_FOLD_LEAVES];
};

static void choose(const struct tern_tree_node *nodes, uint32_t n_nodes, struct choice *c)
{
    size_t head = 0, n = 0, n_exits = 1;

    for (uint32_t i = 0; i < n_nodes; i++)
        c->is_in[i] = false;
    c->queue[n++] = 0;
    for (; head < n && n_exits < TERN_TREE_FOLD_LEAVES; n_exits++) {
        const struct tern_tree_node *node = &nodes[c->queue[head]];
        c->is_in[c->queue[head++]] = true;
        for (int side = 0; side < 2; side++)
            if (node->child[side] >= 0)
                c->queue[n++] = node->child[side];
    }
}

/* In the order of the tree's nodes, so that they are in preorder, too. Of a child that is a node
 * folding wants to know no more. */
static void fill(struct tern_forest *f, const struct tern_compiled_tree *tree, const bool *is_in,
                 struct tern_tree_top *top)
{
    const struct tern_tree_node *nodes = f->nodes + tree->first_node;
    int16_t n_exits = 0;

    *top = (struct tern_tree_top){.first_node = f->n_top_nodes, .first_exit = f->n_top_exits};
    for (uint32_t i = 0; i < tree->n_nodes; i++) {
        if (!is_in[i])
            continue;
        struct tern_tree_node *node = &f->top_nodes[f->n_top_nodes++];
        *node = nodes[i];
        for (int side = 0; side < 2; side++) {
            int16_t child = nodes[i].child[side];
            if (child < 0 || !is_in[child]) {
                f->top_exits[f->n_top_exits++] = child;
                node->child[side] = (int16_t)~n_exits++;
            }
        }
        top->n_nodes++;
    }
}

static bool wants(const struct tern_compiled_tree *tree)
{
    return tree->n_leaves > TERN_TREE_FOLD_LEAVES && tree->n_nodes > 0;
}

static enum tern_code take(struct tern_forest *f, size_t n, struct tern_err *err)
{
    size_t exits = n * TERN_TREE_FOLD_LEAVES;

    f->tops = tern_mem_zalloc(f->n_trees, sizeof(*f->tops));
    f->top_nodes = tern_mem_zalloc(exits, sizeof(*f->top_nodes));
    f->top_exits = tern_mem_zalloc(exits, sizeof(*f->top_exits));
    return f->tops != NULL && f->top_nodes != NULL && f->top_exits != NULL
               ? TERN_OK
               : tern_mem_fail(err, "a forest", exits * sizeof(*f->top_nodes));
}

enum tern_code tern_tops_make(struct tern_forest *f, struct tern_err *err)
{
    struct choice choice;
    size_t n = 0;
    uint32_t most = 0;

    for (uint32_t i = 0; f->nodes != NULL && i < f->n_trees; i++) {
        n += wants(&f->trees[i]);
        most = f->trees[i].n_nodes > most ? f->trees[i].n_nodes : most;
    }
    if (n == 0)
        return TERN_OK;
    TERN_TRY(take(f, n, err));
    choice.is_in = tern_mem_zalloc(most, sizeof(*choice.is_in));
    if (choice.is_in == NULL)
        return tern_mem_fail(err, "a forest", most);
    for (uint32_t i = 0; i < f->n_trees; i++) {
        const struct tern_compiled_tree *tree = &f->trees[i];
        if (!wants(tree))
            continue;
        choose(f->nodes + tree->first_node, tree->n_nodes, &choice);
        fill(f, tree, choice.is_in, &f->tops[i]);
    }
    tern_mem_free(choice.is_in);
    return TERN_OK;
}
