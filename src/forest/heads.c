/* The tops of trees in the form that vector instructions take in one piece. */
#include <string.h>
#include "base/mem.h"
#include "forest/forest_int.h"
#include "simd/simd.h"

#define LEVELS      6
#define PATH_LEAVES 32
/* All heads together stay in the second cache: beyond it a walk over the smaller nodes is as fast.
 */
#define HEADS_BYTES_MAX (1u << 20)
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

static void fill_level_head(const struct tern_forest *f, const struct tern_compiled_tree *tree,
                            struct tern_tree_level_head *head)
{
    int32_t below[64];

    fill_levels(f, tree, head->column, head->cut, below);
    for (int i = 0; i < 64; i++)
        head->exit[i] = (int16_t)below[i];
}

static void fill_value_head(const struct tern_forest *f, const struct tern_compiled_tree *tree,
                            struct tern_tree_value_head *head)
{
    const float *values = (const float *)f->values + tree->first_value;
    int32_t below[64];

    fill_levels(f, tree, head->column, head->cut, below);
    for (int i = 0; i < 64; i++)
        head->value[i] = values[~below[i]];
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

static void fill_tail_head(const struct tern_forest *f, const struct tern_compiled_tree *tree,
                           struct tern_tree_tail_head *head)
{
    int32_t below[64];

    fill_levels(f, tree, head->column, head->cut, below);
    for (int i = 0; i < 64; i++)
        fill_tail(f, tree, below[i], &head->tail[i]);
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

/* Makes one head a tree. */
#define MAKE(f, array, fill, err)                                      \
    {                                                                  \
        enum tern_code code = TERN_OK;                                 \
        (f)->array = take_heads((f), sizeof(*(f)->array), err, &code); \
        for (uint32_t i = 0; code == TERN_OK && i < (f)->n_trees; i++) \
            fill((f), &(f)->trees[i], &(f)->array[i]);                 \
        return code;                                                   \
    }

static bool fits(const struct tern_forest *f, size_t size)
{
    return f->nodes != NULL && f->n_trees > 0 && f->n_columns <= TERN_TREE_HEAD_COLUMNS &&
           padded(f->n_trees) * size <= HEADS_BYTES_MAX;
}

enum tern_code tern_heads_make(struct tern_forest *f, struct tern_err *err)
{
    bool is_plain = tern_forest_adds(f, TERN_LEAVES_NUMBERS) && f->settings.float_sum;

    if (f->depth <= LEVELS && is_plain && tern_simd.tree_value_heads != NULL &&
        fits(f, sizeof(*f->value_heads)))
        MAKE(f, value_heads, fill_value_head, err)
    if (f->depth > LEVELS && f->depth <= LEVELS + 2 && f->widest > PATH_LEAVES && is_plain &&
        tern_simd.tree_tail_heads != NULL && fits(f, sizeof(*f->tail_heads)))
        MAKE(f, tail_heads, fill_tail_head, err)
    if (f->depth > LEVELS && f->widest <= PATH_LEAVES && tern_simd.tree_path_heads != NULL &&
        fits(f, sizeof(*f->path_heads)))
        MAKE(f, path_heads, fill_path_head, err)
    if (tern_simd.tree_level_heads != NULL && fits(f, sizeof(*f->level_heads)))
        MAKE(f, level_heads, fill_level_head, err)
    return TERN_OK;
}
