#include "forest/view.h"

#include "forest/forest_int.h"

struct tern_forest_view tern_forest_view(const struct tern_forest *f, uint32_t tree)
{
    const struct tern_compiled_tree *t = &f->trees[tree];

    return (struct tern_forest_view){
        .n_nodes = t->n_nodes,
        .n_leaves = t->n_leaves,
        .depth = t->depth,
        .root = t->root,
        .vector = t->vector,
        .output = t->output,
        .has_linear = f->linear != NULL && f->linear[t->first_leaf].is_linear,
        .first = t->first_node,
        .first_value = t->first_value,
    };
}

struct tern_forest_view_node tern_forest_view_node(const struct tern_forest *f,
                                                   const struct tern_forest_view *view,
                                                   uint32_t node)
{
    size_t at = view->first + node;
    struct tern_forest_view_node ret = {.yes_share =
                                            f->yes_shares != NULL ? (double)f->yes_shares[at] : 0};

    if (f->nodes != NULL) {
        ret.column = f->nodes[at].column;
        ret.cut = f->nodes[at].cut;
        ret.yes = f->nodes[at].child[0];
        ret.no = f->nodes[at].child[1];
    } else {
        ret.column = f->wide_nodes[at].column;
        ret.cut = f->wide_nodes[at].cut;
        ret.yes = f->wide_nodes[at].child[0];
        ret.no = f->wide_nodes[at].child[1];
    }
    ret.feature = f->column_features[ret.column];
    return ret;
}

double tern_forest_view_value(const struct tern_forest *f, const struct tern_forest_view *view,
                              uint32_t leaf, uint32_t output)
{
    size_t width = view->vector ? f->settings.n_outputs : 1;
    size_t at = view->first_value + leaf * width + (view->vector ? output : 0);
    uint32_t n = f->settings.n_averaged > 0 ? f->settings.n_averaged : f->n_trees;
    double v;

    if (!view->vector && view->output != output)
        return 0;
    v = f->settings.float_sum ? (double)((const float *)f->values)[at]
                              : ((const double *)f->values)[at];
    return f->settings.combine == TERN_FOREST_AVERAGE ? v / n : v;
}

double tern_forest_view_base(const struct tern_forest *f, uint32_t output)
{
    return f->base[output];
}

bool tern_forest_view_is_sum(const struct tern_forest *f)
{
    return f->settings.combine == TERN_FOREST_SUM || f->settings.combine == TERN_FOREST_AVERAGE;
}

size_t tern_forest_view_room(const struct tern_forest *f)
{
    return tern_ranks_room(f);
}

void tern_forest_view_ranks(const struct tern_forest *f, const struct tern_forest_rows *rows,
                            size_t row, void *working, uint8_t *ranks)
{
    tern_ranks_row(f, rows, row, working, ranks, 1);
}
