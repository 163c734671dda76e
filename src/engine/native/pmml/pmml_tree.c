/* A TreeModel: its nodes as they stand in the file, without recursion, then into the forest. */
#include <math.h>
#include <string.h>

#include "base/compiler.h"
#include "base/grow.h"
#include "base/hash.h"
#include "engine/native/pmml/pmml_int.h"

struct reading {
    struct tern_pmml_strategy strategy;
    bool is_classes;
    uint32_t open; /* the node that is being read; NONE: none */
    double total;  /* of its distribution */
    bool has_shares;
};

/* ---- scores ---- */

static uint32_t width_of(const struct tern_pmml *p)
{
    return p->forest.is_vector ? p->forest.n_outputs : 1;
}

/* Room for the scores of a node, zeros. */
static enum tern_code make_row(struct tern_pmml *p, struct tern_pmml_node *node,
                               struct tern_err *err)
{
    uint32_t width = width_of(p);

    if (node->row != TERN_PMML_NONE)
        return TERN_OK;
    TERN_TRY(tern_grow(&p->values, &p->values_cap, p->n_values, width, sizeof(*p->values),
                       TERN_PMML_PARTS_MAX, "scores of a tree", err));
    memset(p->values + p->n_values, 0, width * sizeof(*p->values));
    node->row = (uint32_t)(p->n_values / width);
    p->n_values += width;
    return TERN_OK;
}

static enum tern_code read_score(struct tern_pmml *p, const struct reading *r,
                                 struct tern_pmml_node *node, struct tern_err *err)
{
    struct tern_str text = tern_pmml_get(p, "score");
    enum tern_pmml_type type = p->forest.is_float ? TERN_PMML_TYPE_FLOAT : TERN_PMML_TYPE_DOUBLE;
    double score;

    if (text.p == NULL)
        return TERN_OK;
    if (r->is_classes)
        return tern_pmml_class_of(p, text, &node->label, err);
    if (!tern_pmml_parse(text, type, &score) || !isfinite(score))
        return tern_pmml_fail(p, TERN_INVALID_ARGUMENT, err, "score: expected a number, got '%.*s'",
                              (int)(text.n > 64 ? 64 : text.n), text.p);
    TERN_TRY(make_row(p, node, err));
    p->values[node->row] = score * p->forest.factor;
    return TERN_OK;
}

static enum tern_code read_share(struct tern_pmml *p, struct reading *r, struct tern_err *err)
{
    struct tern_pmml_node *node = &p->nodes[r->open];
    bool is_share = tern_pmml_has(p, "probability");
    struct tern_str text;
    uint32_t class;
    double weight;

    if (!r->is_classes)
        return tern_pmml_skip(p, err);
    if (node->first_child != TERN_PMML_NONE)
        return tern_pmml_fail(p, TERN_INVALID_ARGUMENT, err, "it has to stand before Node");
    TERN_TRY(tern_pmml_want(p, "value", &text, err));
    TERN_TRY(tern_pmml_class_of(p, text, &class, err));
    TERN_TRY(tern_pmml_want(p, is_share ? "probability" : "recordCount", &text, err));
    TERN_TRY(tern_pmml_number(p, is_share ? "probability" : "recordCount", 0, &weight, err));
    if (!(weight >= 0 && weight < (double)INFINITY))
        return tern_pmml_fail(p, TERN_INVALID_ARGUMENT, err, "%.17g is no weight", weight);
    bool is_first = node->row == TERN_PMML_NONE;
    TERN_TRY(make_row(p, node, err));
    if (!is_first && r->has_shares != is_share)
        return tern_pmml_fail(p, TERN_INVALID_ARGUMENT, err,
                              "either all classes of a node have a probability or none");
    r->has_shares = is_share;
    r->total = is_first ? weight : r->total + weight;
    p->values[(size_t)node->row * width_of(p) + class] += weight;
    return tern_pmml_skip(p, err);
}

/* Which class the distribution says: the first of the largest. */
static uint32_t largest(const double *row, uint32_t n)
{
    uint32_t best = 0;

    for (uint32_t i = 1; i < n; i++)
        best = row[i] > row[best] ? i : best;
    return best;
}

/* The distribution is whole: it becomes what the forest adds up. */
static enum tern_code end_scores(struct tern_pmml *p, const struct reading *r, struct tern_err *err)
{
    struct tern_pmml_node *node = &p->nodes[r->open];
    uint32_t n = width_of(p);
    bool is_told = node->row != TERN_PMML_NONE;

    if (!r->is_classes || (node->label == TERN_PMML_NONE && !is_told))
        return TERN_OK;
    TERN_TRY(make_row(p, node, err));
    double *row = p->values + (size_t)node->row * n;
    if (is_told && !r->has_shares && !(r->total > 0))
        return tern_pmml_fail(p, TERN_INVALID_ARGUMENT, err, "its distribution is of no records");
    if (node->label == TERN_PMML_NONE)
        node->label = largest(row, n);
    bool is_sure = p->forest.is_vote || !is_told;
    for (uint32_t i = 0; i < n; i++) {
        double share = is_sure         ? (i == node->label ? 1 : 0)
                       : r->has_shares ? row[i]
                                       : row[i] / r->total;
        row[i] = share * p->forest.factor;
    }
    if (!p->forest.is_vote && is_told && largest(row, n) != node->label)
        p->forest.has_labels = true;
    return TERN_OK;
}

/* ---- nodes ---- */

static uint64_t hash_of(struct tern_str text)
{
    return text.p == NULL ? 0 : tern_hash_bytes(text, 0) | 1;
}

static enum tern_code begin_node(struct tern_pmml *p, struct reading *r, struct tern_err *err)
{
    uint32_t at = (uint32_t)p->n_nodes;

    TERN_TRY(tern_grow(&p->nodes, &p->nodes_cap, p->n_nodes, 1, sizeof(*p->nodes),
                       TERN_PMML_PARTS_MAX, "nodes of a tree", err));
    struct tern_pmml_node *node = &p->nodes[p->n_nodes++];
    *node = (struct tern_pmml_node){
        .test.kind = TERN_PMML_NEVER,
        .parent = r->open,
        .first_child = TERN_PMML_NONE,
        .last_child = TERN_PMML_NONE,
        .next = TERN_PMML_NONE,
        .row = TERN_PMML_NONE,
        .label = TERN_PMML_NONE,
        .id = hash_of(tern_pmml_get(p, "id")),
        .default_id = hash_of(tern_pmml_get(p, "defaultChild")),
        .default_child = TERN_PMML_NONE,
    };
    TERN_TRY(tern_pmml_number(p, "recordCount", -1, &node->cover, err));
    TERN_TRY(read_score(p, r, node, err));
    if (r->open != TERN_PMML_NONE) {
        struct tern_pmml_node *parent = &p->nodes[r->open];
        if (parent->first_child == TERN_PMML_NONE) {
            TERN_TRY(end_scores(p, r, err)); /* those of the parent stand before its children */
            parent->first_child = at;
        } else {
            p->nodes[parent->last_child].next = at;
        }
        parent->last_child = at;
    }
    r->open = at;
    return TERN_OK;
}

static enum tern_code end_node(struct tern_pmml *p, struct reading *r, struct tern_err *err)
{
    struct tern_pmml_node *node = &p->nodes[r->open];

    if (!node->has_predicate)
        return tern_pmml_fail(p, TERN_INVALID_ARGUMENT, err, "it has no predicate");
    if (node->first_child == TERN_PMML_NONE)
        TERN_TRY(end_scores(p, r, err));
    for (uint32_t i = node->first_child; i != TERN_PMML_NONE; i = p->nodes[i].next) {
        if (node->default_id != 0 && p->nodes[i].id == node->default_id)
            node->default_child = i;
    }
    bool needs_default = r->strategy.missing == TERN_PMML_MISSING_DEFAULT;
    if (needs_default && node->default_id != 0 && node->default_child == TERN_PMML_NONE)
        return tern_pmml_fail(p, TERN_INVALID_ARGUMENT, err,
                              "its defaultChild is none of its children");
    r->open = node->parent;
    return TERN_OK;
}

/* What stands in the node that is open. */
static enum tern_code read_node_part(struct tern_pmml *p, struct reading *r, struct tern_err *err)
{
    struct tern_pmml_test test;

    if (tern_pmml_is(p, "Node"))
        return begin_node(p, r, err);
    if (tern_pmml_is_predicate(p)) {
        uint32_t open = r->open;
        TERN_TRY(tern_pmml_read_predicate(p, &test, err));
        p->nodes[open].test = test;
        p->nodes[open].has_predicate = true;
        return TERN_OK;
    }
    if (tern_pmml_is(p, "ScoreDistribution"))
        return read_share(p, r, err);
    if (tern_pmml_is(p, "Partition"))
        return tern_pmml_skip(p, err);
    return tern_pmml_refuse(p, "a node has a predicate, ScoreDistribution and Node", err);
}

static enum tern_code read_nodes(struct tern_pmml *p, struct reading *r, struct tern_err *err)
{
    bool more = true;

    p->n_nodes = p->n_values = 0;
    r->open = TERN_PMML_NONE;
    TERN_TRY(begin_node(p, r, err));
    while (r->open != TERN_PMML_NONE) {
        TERN_TRY(tern_pmml_child(p, &more, err));
        TERN_TRY(more ? read_node_part(p, r, err) : end_node(p, r, err));
    }
    if (p->nodes[0].test.kind != TERN_PMML_ALWAYS)
        return tern_pmml_fail(p, TERN_UNIMPLEMENTED, err,
                              "the predicate of a root other than True is not served");
    return tern_pmml_emit_tree(p, &r->strategy, err);
}

static enum tern_code read_strategy(struct tern_pmml *p, struct tern_pmml_strategy *ret,
                                    struct tern_err *err)
{
    static const char *const missing[] = {"none", "lastPrediction", "nullPrediction",
                                          "defaultChild", NULL};
    static const char *const ends[] = {"returnNullPrediction", "returnLastPrediction", NULL};
    uint32_t which;

    TERN_TRY(tern_pmml_choice(p, "missingValueStrategy", missing, 0, &which, err));
    ret->missing = (enum tern_pmml_missing)which;
    TERN_TRY(tern_pmml_choice(p, "noTrueChildStrategy", ends, 0, &which, err));
    ret->returns_last = which == 1;
    return TERN_OK;
}

enum tern_code tern_pmml_read_tree(struct tern_pmml *p, const struct tern_pmml_context *context,
                                   struct tern_err *err)
{
    struct reading r = {.open = TERN_PMML_NONE};
    bool more = true, has_nodes = false;

    TERN_TRY(read_strategy(p, &r.strategy, err));
    for (;;) {
        TERN_TRY(tern_pmml_part(p, context, &more, err));
        if (!more)
            break;
        if (!tern_pmml_is(p, "Node"))
            return tern_pmml_refuse(p, "a TreeModel is one Node", err);
        if (has_nodes)
            return tern_pmml_fail(p, TERN_INVALID_ARGUMENT, err, "a second root");
        has_nodes = true;
        if (p->forest.builder == NULL)
            TERN_TRY(tern_pmml_begin_forest(p, TERN_FOREST_SUM, err));
        p->forest.factor = context->weight * tern_pmml_folded(context->number);
        r.is_classes = p->forest.is_vector;
        TERN_TRY(read_nodes(p, &r, err));
    }
    if (!has_nodes)
        return tern_pmml_fail(p, TERN_INVALID_ARGUMENT, err, "there is no Node");
    return TERN_OK;
}
