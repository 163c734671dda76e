/* The tops of trees in a form that is taken in one piece. */
#include <string.h>
#include "base/mem.h"
#include "forest/forest_int.h"
#include "simd/simd.h"

#define LEVELS      6
#define PATH_LEAVES 32
/* All heads together stay in the third cache, out of which they are read in order: a walk jumps. */
#define HEADS_BYTES_MAX (1u << 23)
#define LANES           8 /* heads come in so many */

static const struct tern_tree_node *nodes_of(const struct tern_forest *f,
                                             const struct tern_compiled_tree *tree)
{
    return f->nodes + tree->first_node;
}

/* Fills the first six levels and answers what stands below: a node, or ~leaf. Where the tree ends
 * earlier that is the same for all places below. */
static void fill_levels(const struct tern_forest *f, const struct tern_compiled_tree *tree,
                        uint8_t *columns, uint8_t *cuts, int32_t below[64])
{
    int32_t at[127]; /* which node, or ~leaf, stands at each place */

    at[0] = tree->root;
    for (int place = 0; place < 63; place++) {
        int32_t child[2] = {at[place], at[place]};
        if (at[place] >= 0) {
            const struct tern_tree_node *node = &nodes_of(f, tree)[at[place]];
            columns[place] = (uint8_t)node->column;
            cuts[place] = node->cut;
            child[0] = node->child[0];
            child[1] = node->child[1];
        }
        at[2 * place + 1] = child[0];
        at[2 * place + 2] = child[1];
    }
    memcpy(below, at + 63, 64 * sizeof(*below));
}

static void fill_level_head(const struct tern_forest *f, uint32_t i)
{
    const struct tern_compiled_tree *tree = &f->trees[i];
    struct tern_tree_level_head *head = &f->level_heads[i];
    int32_t below[64];

    fill_levels(f, tree, head->column, head->cut, below);
    for (int k = 0; k < 64; k++)
        head->exit[k] = (int16_t)below[k];
}

static void fill_value_head(const struct tern_forest *f, uint32_t i)
{
    const struct tern_compiled_tree *tree = &f->trees[i];
    struct tern_tree_value_head *head = &f->value_heads[i];
    const float *values = (const float *)f->values + tree->first_value;
    int32_t below[64];

    fill_levels(f, tree, head->column, head->cut, below);
    for (int k = 0; k < 64; k++)
        head->value[k] = values[~below[k]];
}

/* A leaf where a node could be is a node whose sides are the same. */
static void fill_tail(const struct tern_forest *f, const struct tern_compiled_tree *tree,
                      int32_t root, struct tern_tree_tail *tail)
{
    const struct tern_tree_node *nodes = nodes_of(f, tree);
    const float *values = (const float *)f->values + tree->first_value;
    int32_t at[7] = {root};

    for (int place = 0; place < 3; place++) {
        bool is_node = at[place] >= 0;
        tail->column[place] = is_node ? (uint8_t)nodes[at[place]].column : 0;
        tail->cut[place] = is_node ? nodes[at[place]].cut : 0;
        at[2 * place + 1] = is_node ? nodes[at[place]].child[0] : at[place];
        at[2 * place + 2] = is_node ? nodes[at[place]].child[1] : at[place];
    }
    for (int i = 0; i < 4; i++)
        tail->value[i] = values[~at[3 + i]];
}

static void fill_tail_head(const struct tern_forest *f, uint32_t i)
{
    const struct tern_compiled_tree *tree = &f->trees[i];
    struct tern_tree_tail_head *head = &f->tail_heads[i];
    int32_t below[64];

    fill_levels(f, tree, head->column, head->cut, below);
    for (int k = 0; k < 64; k++)
        fill_tail(f, tree, below[k], &head->tail[k]);
}

/* What is still to be looked at: a node, or ~leaf, and whose no-side it is. */
struct side {
    int32_t at;
    int32_t no_of; /* a node; -1: it is a yes-side, or the root */
};

/* Bits first to end - 1. */
static uint32_t bits(uint32_t first, uint32_t end)
{
    return (uint32_t)((UINT64_C(1) << end) - (UINT64_C(1) << first));
}

static void fill_path_head(const struct tern_forest *f, uint32_t i)
{
    const struct tern_compiled_tree *tree = &f->trees[i];
    struct tern_tree_path_heads *pair = &f->path_heads[i / 2];
    const struct tern_tree_node *nodes = nodes_of(f, tree);
    struct side stack[PATH_LEAVES + 1];
    uint32_t first[PATH_LEAVES]; /* of each node: the first leaf of its yes-side */
    uint32_t n = 0, leaf = 0, k = i % 2;

    memset(pair->cut[k], TERN_TREE_RANK_MAX, sizeof(pair->cut[k])); /* what is not there: yes */
    stack[n++] = (struct side){tree->root, -1};
    while (n > 0) {
        struct side side = stack[--n];
        if (side.no_of >= 0)
            pair->drop[k][side.no_of] = bits(first[side.no_of], leaf);
        if (side.at < 0) {
            pair->leaf[k][leaf++] = (uint8_t)~side.at;
            continue;
        }
        first[side.at] = leaf;
        pair->column[k][side.at] = (uint8_t)nodes[side.at].column;
        pair->cut[k][side.at] = nodes[side.at].cut;
        stack[n++] = (struct side){nodes[side.at].child[1], side.at};
        stack[n++] = (struct side){nodes[side.at].child[0], -1};
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

#define MAKE(f, array, trees_a_head, fill, err)                                         \
    {                                                                                   \
        enum tern_code code = TERN_OK;                                                  \
        (f)->array = take_heads((f), sizeof(*(f)->array) / (trees_a_head), err, &code); \
        for (uint32_t i = 0; code == TERN_OK && i < (f)->n_trees; i++)                  \
            fill((f), i);                                                               \
        return code;                                                                    \
    }

static bool fits(const struct tern_forest *f, size_t size)
{
    return f->nodes != NULL && f->n_trees > 0 && f->n_columns <= TERN_TREE_HEAD_COLUMNS &&
           padded(f->n_trees) * size <= HEADS_BYTES_MAX;
}

enum tern_code tern_heads_make(struct tern_forest *f, struct tern_err *err)
{
    bool is_plain = tern_forest_adds(f, TERN_LEAVES_NUMBERS) && f->settings.float_sum;

    if (f->depth <= LEVELS && is_plain && fits(f, sizeof(*f->value_heads)))
        MAKE(f, value_heads, 1, fill_value_head, err)
    if (f->depth > LEVELS && f->depth <= LEVELS + 2 && f->widest > PATH_LEAVES && is_plain &&
        fits(f, sizeof(*f->tail_heads)))
        MAKE(f, tail_heads, 1, fill_tail_head, err)
    if (f->depth > LEVELS && f->widest <= PATH_LEAVES && tern_simd.tree_path_heads != NULL &&
        fits(f, sizeof(*f->path_heads) / 2))
        MAKE(f, path_heads, 2, fill_path_head, err)
    if (fits(f, sizeof(*f->level_heads)))
        MAKE(f, level_heads, 1, fill_level_head, err)
    return TERN_OK;
}
