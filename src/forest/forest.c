#include "forest/forest.h"

#include <math.h>
#include "base/mem.h"
#include "forest/forest_int.h"

void tern_forest_free(struct tern_forest *f)
{
    if (f == NULL)
        return;
    void *owned[] = {f->base,          f->column_features,
                     f->plain,         f->wide,
                     f->parts,         f->bounds,
                     f->special,       f->cuts,
                     f->sets,          f->words,
                     f->trees,         f->nodes,
                     f->wide_nodes,    f->values,
                     f->yes_shares,    f->linear,
                     f->term_features, f->term_coefficients,
                     f->level_heads,   f->value_heads,
                     f->tail_heads,    f->path_heads,
                     f->node_at,       f->value_at,
                     f->outputs,       f->tops,
                     f->top_nodes,     f->top_exits};
    for (size_t i = 0; i < TERN_COUNT_OF(owned); i++)
        tern_mem_free(owned[i]);
    tern_mem_free(f);
}

uint32_t tern_forest_features(const struct tern_forest *f)
{
    return f->settings.n_features;
}

uint32_t tern_forest_outputs(const struct tern_forest *f)
{
    return f->settings.n_outputs;
}

static size_t count_bytes(const struct tern_forest *f)
{
    size_t number = f->settings.float_sum ? sizeof(float) : sizeof(double);
    size_t cut = f->settings.float_input ? sizeof(float) : sizeof(double);
    size_t node = f->nodes != NULL ? sizeof(*f->nodes) : sizeof(*f->wide_nodes);
    size_t heads = (f->level_heads != NULL ? sizeof(*f->level_heads) : 0) +
                   (f->tail_heads != NULL ? sizeof(*f->tail_heads) : 0) +
                   (f->value_heads != NULL ? sizeof(*f->value_heads) : 0) +
                   (f->path_heads != NULL ? sizeof(*f->path_heads) / 2 : 0);

    return sizeof(*f) + f->n_columns * sizeof(*f->column_features) +
           f->n_plain * sizeof(*f->plain) + f->n_wide * sizeof(*f->wide) +
           f->n_parts * sizeof(*f->parts) + f->n_bounds * sizeof(*f->bounds) +
           f->n_special * sizeof(*f->special) + f->n_cuts * cut + f->n_words * sizeof(*f->words) +
           f->n_trees * (sizeof(*f->trees) + 3 * sizeof(uint32_t)) + f->n_nodes * node +
           f->n_values * number + (f->yes_shares != NULL ? f->n_nodes * sizeof(float) : 0) +
           (f->linear != NULL ? f->n_leaves * sizeof(*f->linear) : 0) +
           f->n_terms * (sizeof(uint32_t) + sizeof(double)) + f->n_heads * heads +
           (f->tops != NULL ? f->n_trees * sizeof(*f->tops) : 0) +
           f->n_top_nodes * sizeof(*f->top_nodes) + f->n_top_exits * sizeof(*f->top_exits);
}

static const char *kernel_of(const struct tern_forest *f)
{
    if (f->path_heads != NULL)
        return "paths";
    if (f->value_heads != NULL)
        return "levels with values";
    if (f->tail_heads != NULL)
        return "levels with tails";
    if (f->level_heads != NULL)
        return f->depth <= 6 ? "levels" : "levels, then walks";
    return f->nodes != NULL ? "walks" : "walks over wide nodes";
}

struct tern_forest_info tern_forest_info(const struct tern_forest *f)
{
    return (struct tern_forest_info){
        .n_features = f->settings.n_features,
        .n_outputs = f->settings.n_outputs,
        .n_trees = f->n_trees,
        .n_nodes = (uint64_t)f->n_nodes + f->n_leaves,
        .depth = f->depth,
        .float_sum = f->settings.float_sum,
        .has_covers = f->yes_shares != NULL,
        .n_bytes = count_bytes(f),
        .kernel = kernel_of(f),
    };
}
