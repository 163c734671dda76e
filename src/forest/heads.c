/* The tops of trees in the form that vector instructions take in one piece. */
#include <string.h>
#include "base/mem.h"
#include "forest/forest_int.h"
#include "simd/simd.h"

#define LEVELS      6
#define PATH_LEAVES 32
/* All heads together stay in the second cache: beyond it a walk over the smaller nodes is as fast.
 */
#define HEADS_BYTES_MAX (768u << 10)
/* A tree is hardly worth a head whose levels it mostly does not have. */
#define LANES 8

static const struct tern_tree_node *nodes_of(const struct tern_forest *f,
                                             const struct tern_compiled_tree *tree)
{
    return f->nodes + tree->first_node;
}

/* What is left of one place of a head when its tree has ended: an exit for all places below. */
static void fill_level_head(const struct tern_forest *f, const struct tern_compiled_tree *tree,
                            struct tern_tree_level_head *head)
{
    int32_t at[127]; /* which node, or ~leaf, stands at each place */

    at[0] = tree->root;
    for (int place = 0; place < 63; place++) {
        int32_t child[2] = {at[place], at[place]};
        if (at[place] >= 0) {
            const struct tern_tree_node *node = &nodes_of(f, tree)[at[place]];
            head->column[place] = (uint8_t)node->column;
            head->cut[place] = node->cut;
            child[0] = node->child[0];
            child[1] = node->child[1];
        }
        at[2 * place + 1] = child[0];
        at[2 * place + 2] = child[1];
    }
    for (int i = 0; i < 64; i++)
        head->exit[i] = (int16_t)at[63 + i];
}

/* A path is what is known of its nodes: which were asked, and what they answered. */
struct path {
    int32_t at;
    uint32_t mask, answer;
};

static void fill_path_head(const struct tern_forest *f, const struct tern_compiled_tree *tree,
                           struct tern_tree_path_head *head)
{
    const struct tern_tree_node *nodes = nodes_of(f, tree);
    struct path stack[PATH_LEAVES + 1];
    uint32_t n = 0, leaf = 0;

    /* A node that is not there answers 0, and no answers fit a leaf that is not there. */
    memset(head->cut, TERN_TREE_RANK_MAX, sizeof(head->cut));
    for (int i = 0; i < PATH_LEAVES; i++) {
        head->mask[i] = UINT32_MAX;
        head->answer[i] = UINT32_C(1) << 31;
    }
    stack[n++] = (struct path){.at = tree->root};
    while (n > 0) {
        struct path path = stack[--n];
        if (path.at < 0) {
            head->mask[leaf] = path.mask;
            head->answer[leaf] = path.answer;
            head->exit[leaf++] = (int16_t)path.at;
            continue;
        }
        uint32_t bit = UINT32_C(1) << path.at;
        head->column[path.at] = (uint8_t)nodes[path.at].column;
        head->cut[path.at] = nodes[path.at].cut;
        stack[n++] = (struct path){nodes[path.at].child[1], path.mask | bit, path.answer | bit};
        stack[n++] = (struct path){nodes[path.at].child[0], path.mask | bit, path.answer};
    }
}

/* A head of a tree that is not there leaves at leaf 0. */
static size_t padded(size_t n_trees)
{
    return (n_trees + LANES - 1) / LANES * LANES;
}

static void *take_heads(struct tern_forest *f, size_t size, struct tern_err *err,
                        enum tern_code *ret_code)
{
    size_t n = padded(f->n_trees);
    void *heads = tern_mem_alloc_aligned(TERN_CACHE_LINE, n * size);

    if (heads == NULL) {
        *ret_code = tern_mem_fail(err, "a forest", n * size);
        return NULL;
    }
    memset(heads, 0, n * size);
    f->n_heads = n;
    return heads;
}

enum tern_code tern_heads_make(struct tern_forest *f, struct tern_err *err)
{
    bool is_path = f->depth > LEVELS && f->widest <= PATH_LEAVES;
    size_t size = is_path ? sizeof(*f->path_heads) : sizeof(*f->level_heads);
    bool can = is_path ? tern_simd.tree_path_heads != NULL : tern_simd.tree_level_heads != NULL;
    enum tern_code code = TERN_OK;

    if (!can || f->nodes == NULL || f->n_trees == 0 || f->n_columns > TERN_TREE_HEAD_COLUMNS ||
        padded(f->n_trees) * size > HEADS_BYTES_MAX)
        return TERN_OK;
    if (is_path) {
        f->path_heads = take_heads(f, size, err, &code);
        for (uint32_t i = 0; code == TERN_OK && i < f->n_trees; i++)
            fill_path_head(f, &f->trees[i], &f->path_heads[i]);
    } else {
        f->level_heads = take_heads(f, size, err, &code);
        for (uint32_t i = 0; code == TERN_OK && i < f->n_trees; i++)
            fill_level_head(f, &f->trees[i], &f->level_heads[i]);
    }
    return code;
}
