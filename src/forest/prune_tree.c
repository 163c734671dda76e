#include <math.h>
#include <string.h>
#include "forest/prune_int.h"

/* ---- reading ---- */

static double cut_at(const struct tern_forest *f, size_t at)
{
    return f->settings.float_input ? (double)((const float *)f->cuts)[at]
                                   : ((const double *)f->cuts)[at];
}

struct tern_forest_node tern_prune_node(const struct tern_pruner *p,
                                        const struct tern_compiled_tree *tree, uint32_t node,
                                        uint32_t *ret_column)
{
    const struct tern_forest *f = p->f;
    size_t at = tree->first_node + node;
    uint32_t column = f->nodes != NULL ? f->nodes[at].column : f->wide_nodes[at].column;
    uint32_t cut = f->nodes != NULL ? f->nodes[at].cut : f->wide_nodes[at].cut;
    struct tern_forest_node ret = p->columns[column].node;

    if (ret.test == TERN_FOREST_LESS_EQUAL)
        ret.threshold = cut_at(f, p->columns[column].first_cut + cut);
    *ret_column = column;
    return ret;
}

static int32_t child_of(const struct tern_forest *f, const struct tern_compiled_tree *tree,
                        uint32_t node, int side)
{
    size_t at = tree->first_node + node;

    return f->nodes != NULL ? f->nodes[at].child[side] : f->wide_nodes[at].child[side];
}

/* What stands at the place of a node by now. */
static int32_t resolve(const struct tern_pruner *p, int32_t at)
{
    while (at >= 0 && p->instead[at] != at)
        at = p->instead[at];
    return at;
}

/* ---- questions that are answered ---- */

enum answer { OPEN, YES, NO };

/* Whether all that comes here goes one way. */
static enum answer answer_of(const struct tern_prune_known *known,
                             const struct tern_forest_node *node)
{
    bool none = known->has_low && known->has_high && known->low >= known->high;
    double cut = node->threshold;

    if (node->test != TERN_FOREST_LESS_EQUAL)
        return !known->is_answered ? OPEN : known->answer ? YES : NO;
    if ((none || (known->has_high && known->high <= cut)) &&
        (known->is_number || node->missing_yes))
        return YES;
    if ((none || (known->has_low && known->low >= cut)) && (known->is_number || !node->missing_yes))
        return NO;
    return OPEN;
}

static void learn(struct tern_prune_known *known, const struct tern_forest_node *node, bool is_yes)
{
    double cut = node->threshold;

    if (node->test != TERN_FOREST_LESS_EQUAL) {
        known->is_answered = true;
        known->answer = is_yes;
        return;
    }
    if (is_yes && (!known->has_high || cut < known->high)) {
        known->has_high = true;
        known->high = cut;
    }
    if (!is_yes && (!known->has_low || cut > known->low)) {
        known->has_low = true;
        known->low = cut;
    }
    if (node->missing_yes != is_yes)
        known->is_number = true;
}

/* One step of the walk: first what is known is asked, then one side is walked, then the other.
 * Answers the next node to walk; ~0: the frame is done. */
static int32_t step(struct tern_pruner *p, const struct tern_compiled_tree *tree,
                    struct tern_prune_frame *frame)
{
    uint32_t column, at = (uint32_t)frame->node;
    struct tern_forest_node node = tern_prune_node(p, tree, at, &column);
    struct tern_prune_known *known = &p->known[p->columns[column].group];
    int stage = frame->stage++;

    if (stage == 0) {
        enum answer answer = answer_of(known, &node);
        frame->before = *known;
        if (answer != OPEN) {
            frame->stage = 2;
            p->instead[at] = p->child[at][answer == NO];
            return p->instead[at];
        }
    } else {
        *known = frame->before;
    }
    if (stage == 2)
        return ~0;
    learn(known, &node, stage == 0);
    return p->child[at][stage];
}

static void drop_answered(struct tern_pruner *p, const struct tern_compiled_tree *tree)
{
    uint32_t depth = 0;

    if (tree->root < 0)
        return;
    memset(p->known, 0, p->n_groups * sizeof(*p->known));
    p->stack[depth++] = (struct tern_prune_frame){.node = tree->root};
    while (depth > 0) {
        struct tern_prune_frame *frame = &p->stack[depth - 1];
        int32_t next = step(p, tree, frame);
        if (next >= 0)
            p->stack[depth++] = (struct tern_prune_frame){.node = next};
        else if (frame->stage == 3)
            depth--;
    }
}

/* ---- sides that answer the same ---- */

static size_t width_of(const struct tern_pruner *p, const struct tern_compiled_tree *tree)
{
    return tree->vector ? p->f->settings.n_outputs : 1;
}

static bool is_same_number(double a, double b)
{
    return a == b && signbit(a) == signbit(b);
}

static bool is_same_linear(const struct tern_forest *f, const struct tern_linear_leaf *a,
                           const struct tern_linear_leaf *b)
{
    return is_same_number(a->constant, b->constant) && a->n_terms == b->n_terms &&
           (a->n_terms == 0 ||
            (memcmp(f->term_features + a->first_term, f->term_features + b->first_term,
                    a->n_terms * sizeof(*f->term_features)) == 0 &&
             memcmp(f->term_coefficients + a->first_term, f->term_coefficients + b->first_term,
                    a->n_terms * sizeof(*f->term_coefficients)) == 0));
}

/* The mean of two leaves; yes_share: of the training weight. */
static double mean_of(const struct tern_pruner *p, const struct tern_compiled_tree *tree,
                      uint32_t node, double yes, double no, double low, double high)
{
    double mean = low + (high - low) / 2;

    if (p->f->yes_shares != NULL) {
        double share = (double)p->f->yes_shares[tree->first_node + node];
        mean = share * yes + (1 - share) * no;
    }
    return p->f->settings.float_sum ? (double)(float)mean : mean;
}

/* Makes the yes-leaf stand for both, when it may. */
static bool join(struct tern_pruner *p, const struct tern_compiled_tree *tree, uint32_t node,
                 uint32_t yes, uint32_t no, double within)
{
    size_t width = width_of(p, tree), a = yes * width, b = no * width;
    const struct tern_linear_leaf *linear = p->f->linear;
    bool is_same = memcmp(p->value + a, p->value + b, width * sizeof(double)) == 0;

    if (linear != NULL && linear[tree->first_leaf].is_linear &&
        (!is_same ||
         !is_same_linear(p->f, &linear[tree->first_leaf + yes], &linear[tree->first_leaf + no])))
        return false;
    for (size_t pass = 0; pass < 2; pass++) {
        for (size_t k = 0; k < width; k++) {
            double low = fmin(p->low[a + k], p->low[b + k]);
            double high = fmax(p->high[a + k], p->high[b + k]);
            double value =
                is_same ? p->value[a + k]
                        : mean_of(p, tree, node, p->value[a + k], p->value[b + k], low, high);
            /* Not the other way round: an infinite value is within nothing. */
            if (!is_same && (within == 0 || !(fmax(high - value, value - low) <= within)))
                return false;
            if (pass == 0)
                continue;
            p->low[a + k] = low;
            p->high[a + k] = high;
            p->value[a + k] = value;
        }
    }
    return true;
}

static void join_leaves(struct tern_pruner *p, const struct tern_compiled_tree *tree, double within)
{
    /* In preorder children come after their parents. */
    for (uint32_t i = tree->n_nodes; i-- > 0;) {
        if (p->instead[i] != (int32_t)i)
            continue;
        int32_t yes = resolve(p, p->child[i][0]), no = resolve(p, p->child[i][1]);
        if (yes < 0 && no < 0 && join(p, tree, i, (uint32_t)~yes, (uint32_t)~no, within))
            p->instead[i] = yes;
    }
}

/* ---- one tree ---- */

static void load(struct tern_pruner *p, const struct tern_compiled_tree *tree)
{
    const struct tern_forest *f = p->f;
    size_t n = tree->n_leaves * width_of(p, tree);

    for (uint32_t i = 0; i < tree->n_nodes; i++) {
        p->child[i][0] = child_of(f, tree, i, 0);
        p->child[i][1] = child_of(f, tree, i, 1);
        p->instead[i] = (int32_t)i;
    }
    for (size_t i = 0; i < n; i++) {
        size_t at = tree->first_value + i;
        double v = f->settings.float_sum ? (double)((const float *)f->values)[at]
                                         : ((const double *)f->values)[at];
        p->low[i] = p->high[i] = p->value[i] = v;
    }
}

void tern_prune_tree(struct tern_pruner *p, const struct tern_compiled_tree *tree, double within,
                     double *ret_change)
{
    size_t n = tree->n_leaves * width_of(p, tree);
    double change = 0;

    load(p, tree);
    drop_answered(p, tree);
    join_leaves(p, tree, within);
    for (size_t i = 0; i < n; i++)
        change = fmax(change, fmax(p->high[i] - p->value[i], p->value[i] - p->low[i]));
    *ret_change = change;
}

/* ---- what is left ---- */

static uint32_t keep_leaf(struct tern_pruner *p, const struct tern_compiled_tree *tree,
                          uint32_t leaf, uint32_t number)
{
    const struct tern_forest *f = p->f;
    size_t width = width_of(p, tree);

    memcpy(p->values + number * width, p->value + leaf * width, width * sizeof(double));
    if (f->linear != NULL) {
        const struct tern_linear_leaf *from = &f->linear[tree->first_leaf + leaf];
        p->linear[number] = (struct tern_forest_linear){
            .constant = from->constant,
            .features = f->term_features + from->first_term,
            .coefficients = f->term_coefficients + from->first_term,
            .n = from->n_terms,
        };
    }
    return number;
}

/* The categories of a set become a set of the new forest, once. */
static enum tern_code keep_set(struct tern_pruner *p, uint32_t set, uint32_t *ret_set,
                               struct tern_err *err)
{
    const struct tern_category_set *from = &p->f->sets[set];
    const uint64_t *words = p->f->words + from->first_word;

    if (p->sets[set] == UINT32_MAX) {
        uint32_t *categories = p->categories;
        size_t n = 0;
        for (uint32_t i = 0; i < from->n_categories; i++)
            if ((words[i / 64] >> i % 64 & 1) != 0)
                categories[n++] = i;
        TERN_TRY(tern_forest_builder_add_set(p->builder, categories, n,
                                             (enum tern_forest_rounding)from->rounding,
                                             &p->sets[set], err));
    }
    *ret_set = p->sets[set];
    return TERN_OK;
}

enum tern_code tern_prune_rebuild(struct tern_pruner *p, const struct tern_compiled_tree *tree,
                                  struct tern_forest_tree *ret, struct tern_err *err)
{
    uint32_t n = 0, n_leaves = 0, depth = 0, column;

    p->stack[depth++] = (struct tern_prune_frame){.node = resolve(p, tree->root)};
    while (depth > 0) {
        struct tern_prune_frame at = p->stack[--depth];
        struct tern_forest_node *node = &p->nodes[n];
        if (n > 0 && at.is_no)
            p->nodes[at.parent].no = n;
        else if (n > 0)
            p->nodes[at.parent].yes = n;
        if (at.node < 0) {
            *node = (struct tern_forest_node){
                .test = TERN_FOREST_LEAF,
                .leaf = keep_leaf(p, tree, (uint32_t)~at.node, n_leaves++)};
            n++;
            continue;
        }
        *node = tern_prune_node(p, tree, (uint32_t)at.node, &column);
        if (node->test == TERN_FOREST_MEMBER)
            TERN_TRY(keep_set(p, node->set, &node->set, err));
        for (int side = 1; side >= 0; side--)
            p->stack[depth++] = (struct tern_prune_frame){
                .node = resolve(p, p->child[at.node][side]), .parent = n, .is_no = side == 1};
        n++;
    }
    bool is_linear = p->f->linear != NULL && p->f->linear[tree->first_leaf].is_linear;
    *ret = (struct tern_forest_tree){
        .nodes = p->nodes,
        .n_nodes = n,
        .values = p->values,
        .n_leaves = n_leaves,
        .vector = tree->vector,
        .output = tree->output,
        .linear = is_linear ? p->linear : NULL,
    };
    return TERN_OK;
}
