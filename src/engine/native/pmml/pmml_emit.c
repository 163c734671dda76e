/* From the nodes of a file, of which each has any number of children that are asked in their order,
 * to those of a forest, which ask one question with two answers.
 *
 * A node is a chain: is the first child's predicate true? If not, the second's? What happens where
 * one is not known because a value is missing is the tree's strategy. A node of a forest sends
 * missing values to one of its two sides; where they go to a third place, the question whether the
 * value is there stands before.
 *
 * Where a row has no prediction the place does not matter: such rows are found by the guard, a
 * forest of the same trees whose leaves say only that. Only rows with missing values are shown to
 * it, unless others may have no prediction, too. */
#include <math.h>
#include <string.h>

#include "base/compiler.h"
#include "base/grow.h"
#include "base/mem.h"
#include "engine/native/pmml/pmml_int.h"

enum place {
    PLACE_NODE,  /* a node of the file, entered */
    PLACE_CHAIN, /* the child of a node, to be asked */
    PLACE_LAST,  /* the node's own score */
    PLACE_NOTHING,
};

struct work {
    enum place place;
    uint32_t slot;        /* where it goes in the forest's tree */
    uint32_t node, child; /* child: NONE at the end of a chain */
    double cover;         /* what of the training data came here */
};

struct tern_pmml_emitter {
    struct tern_forest_node *nodes; /* owned, as all here */
    size_t n_nodes, nodes_cap;
    double *values;
    size_t n_values, values_cap;
    struct work *stack;
    size_t n_stack, stack_cap;
};

struct emission {
    struct tern_pmml *p;
    struct tern_pmml_emitter *e;
    struct tern_pmml_strategy strategy;
    bool is_guard, is_labels;
    bool has_nothing; /* some row may have no prediction */
    bool always;      /* also one where nothing is missing */
    bool lacks_covers;
    size_t nodes_max;
};

void tern_pmml_emitter_free(struct tern_pmml *p)
{
    if (p->emitter == NULL)
        return;
    tern_mem_free(p->emitter->nodes);
    tern_mem_free(p->emitter->values);
    tern_mem_free(p->emitter->stack);
    tern_mem_free(p->emitter);
}

/* ---- leaves ---- */

static uint32_t width_of(const struct emission *m)
{
    const struct tern_pmml_forest *f = &m->p->forest;
    return f->is_vector && !m->is_guard && !m->is_labels ? f->n_outputs : 1;
}

/* node: NONE where there is no prediction. */
static enum tern_code add_leaf(struct emission *m, const struct work *w, uint32_t node,
                               struct tern_err *err)
{
    struct tern_pmml_emitter *e = m->e;
    const struct tern_pmml *p = m->p;
    uint32_t width = width_of(m), row = node == TERN_PMML_NONE ? node : p->nodes[node].row;

    TERN_TRY(tern_grow(&e->values, &e->values_cap, e->n_values, width, sizeof(*e->values),
                       TERN_PMML_PARTS_MAX, "leaves of a tree", err));
    double *value = e->values + e->n_values;
    memset(value, 0, width * sizeof(*value));
    if (row == TERN_PMML_NONE)
        m->has_nothing = true;
    if (m->is_guard)
        value[0] = row == TERN_PMML_NONE ? 1 : 0;
    else if (m->is_labels && row != TERN_PMML_NONE)
        value[0] = p->nodes[node].label;
    else if (row != TERN_PMML_NONE)
        memcpy(value, p->values + (size_t)row * width, width * sizeof(*value));
    e->nodes[w->slot] = (struct tern_forest_node){
        .test = TERN_FOREST_LEAF,
        .leaf = (uint32_t)(e->n_values / width),
        .cover = w->cover,
    };
    e->n_values += width;
    return TERN_OK;
}

/* ---- chains ---- */

static enum tern_code push(struct emission *m, struct work work, uint32_t *ret_slot,
                           struct tern_err *err)
{
    struct tern_pmml_emitter *e = m->e;

    if (e->n_nodes >= m->nodes_max)
        return tern_pmml_fail(m->p, TERN_RESOURCE_EXHAUSTED, err,
                              "missing values lead to so many ways that the tree is too large");
    TERN_TRY(tern_grow(&e->nodes, &e->nodes_cap, e->n_nodes, 1, sizeof(*e->nodes),
                       TERN_PMML_PARTS_MAX, "nodes of a tree", err));
    TERN_TRY(tern_grow(&e->stack, &e->stack_cap, e->n_stack, 1, sizeof(*e->stack),
                       TERN_PMML_PARTS_MAX, "nodes of a tree", err));
    work.slot = (uint32_t)e->n_nodes++;
    e->nodes[work.slot] = (struct tern_forest_node){.test = TERN_FOREST_LEAF};
    e->stack[e->n_stack++] = work;
    *ret_slot = work.slot;
    return TERN_OK;
}

/* From a child on, the first whose predicate is not False. */
static uint32_t candidate(const struct tern_pmml *p, uint32_t child)
{
    while (child != TERN_PMML_NONE && p->nodes[child].test.kind == TERN_PMML_NEVER)
        child = p->nodes[child].next;
    return child;
}

static struct work chain_at(const struct emission *m, uint32_t node, uint32_t child, double cover)
{
    const struct tern_pmml *p = m->p;

    child = candidate(p, child);
    if (child == TERN_PMML_NONE)
        return (struct work){m->strategy.returns_last ? PLACE_LAST : PLACE_NOTHING, 0, node, child,
                             cover};
    if (p->nodes[child].test.kind == TERN_PMML_ALWAYS)
        return (struct work){PLACE_NODE, 0, child, 0, p->nodes[child].cover};
    return (struct work){PLACE_CHAIN, 0, node, child, cover};
}

/* Where rows go for which a child's predicate is not true, and for which it is not known. */
struct ways {
    struct work no, unknown;
    bool unknown_is_yes, unknown_is_no;
};

/* Are all children from this one to the default child unknown for the same rows? Then such rows
 * pass by those before it, as if they were not true. */
static bool leads_to_default(const struct tern_pmml *p, const struct work *w)
{
    uint32_t wanted = p->nodes[w->node].default_child, at = w->child;
    uint64_t unknown = p->nodes[at].test.unknown;

    while (at != wanted) {
        at = candidate(p, p->nodes[at].next);
        if (unknown == 0 || at == TERN_PMML_NONE)
            return false;
        if (p->nodes[at].test.kind == TERN_PMML_ALWAYS)
            return at == wanted;
        if (p->nodes[at].test.unknown != unknown)
            return false;
    }
    return true;
}

static enum tern_code unknown_way(struct emission *m, const struct work *w, bool is_opposite,
                                  struct ways *ways, struct tern_err *err)
{
    const struct tern_pmml *p = m->p;
    const struct tern_pmml_node *node = &p->nodes[w->node];
    uint32_t next = candidate(p, p->nodes[w->child].next);

    switch (m->strategy.missing) {
    case TERN_PMML_MISSING_NONE:
        ways->unknown_is_no = !is_opposite;
        ways->unknown = is_opposite ? chain_at(m, w->node, p->nodes[next].next, 0) : ways->no;
        return TERN_OK;
    case TERN_PMML_MISSING_LAST:
        ways->unknown = (struct work){PLACE_LAST, 0, w->node, 0, 0};
        return TERN_OK;
    case TERN_PMML_MISSING_NULL:
        ways->unknown = (struct work){PLACE_NOTHING, 0, w->node, 0, 0};
        return TERN_OK;
    case TERN_PMML_MISSING_DEFAULT:
        break;
    }
    if (node->default_child == TERN_PMML_NONE)
        return tern_pmml_fail(p, TERN_UNIMPLEMENTED, err,
                              "missingValueStrategy=\"defaultChild\" with a Node that has children "
                              "and no defaultChild is not served");
    ways->unknown_is_yes = node->default_child == w->child;
    ways->unknown_is_no = !ways->unknown_is_yes && leads_to_default(p, w);
    if (ways->no.place == PLACE_NODE && ways->no.node != node->default_child)
        ways->unknown_is_no = false;
    ways->unknown =
        (struct work){PLACE_NODE, 0, node->default_child, 0, p->nodes[node->default_child].cover};
    return TERN_OK;
}

/* Does nothing follow, so that any side will do for rows that the guard finds? */
static bool is_anywhere(const struct emission *m, const struct work *w)
{
    return !m->is_guard && !m->p->forest.abstains && w->place == PLACE_NOTHING;
}

/* The question itself, at a slot; both sides are put on the stack. */
static enum tern_code ask(struct emission *m, const struct work *w, const struct ways *ways,
                          struct tern_err *err)
{
    const struct tern_pmml_test *test = &m->p->nodes[w->child].test;
    const struct work yes = {PLACE_NODE, 0, w->child, 0, m->p->nodes[w->child].cover};
    struct tern_forest_node made = {
        .test = test->test,
        .feature = test->column,
        .threshold = test->threshold,
        .set = test->set,
        .missing_yes = !test->knows_missing && ways->unknown_is_yes != test->is_turned,
        .cover = w->cover,
    };

    TERN_TRY(push(m, yes, test->is_turned ? &made.no : &made.yes, err));
    TERN_TRY(push(m, ways->no, test->is_turned ? &made.yes : &made.no, err));
    m->e->nodes[w->slot] = made;
    return TERN_OK;
}

/* Whether the value is there; if not, the third way is taken. */
static enum tern_code ask_presence(struct emission *m, const struct work *w,
                                   const struct ways *ways, uint32_t *ret_slot,
                                   struct tern_err *err)
{
    struct tern_forest_node made = {
        .test = TERN_FOREST_LESS_EQUAL,
        .feature = m->p->nodes[w->child].test.column,
        .threshold = (double)INFINITY,
    };

    m->lacks_covers = true;
    TERN_TRY(push(m, *w, &made.yes, err));
    m->e->n_stack--; /* it is asked at once */
    TERN_TRY(push(m, ways->unknown, &made.no, err));
    m->e->nodes[w->slot] = made;
    *ret_slot = made.yes;
    return TERN_OK;
}

static enum tern_code emit_chain(struct emission *m, struct work w, struct tern_err *err)
{
    const struct tern_pmml *p = m->p;
    const struct tern_pmml_node *child = &p->nodes[w.child];
    uint32_t next = candidate(p, child->next);
    bool is_opposite =
        next != TERN_PMML_NONE && tern_pmml_is_opposite(&child->test, &p->nodes[next].test);
    double rest = w.cover - child->cover;
    struct ways ways = {.unknown_is_no = true};

    if (is_opposite)
        ways.no = (struct work){PLACE_NODE, 0, next, 0, p->nodes[next].cover};
    else
        ways.no = chain_at(m, w.node, next, rest);
    if (child->cover < 0 || !(rest > 0))
        m->lacks_covers = true;
    if (!child->test.knows_missing) {
        ways.unknown_is_no = false;
        TERN_TRY(unknown_way(m, &w, is_opposite, &ways, err));
        if (is_anywhere(m, &ways.unknown) && !ways.unknown_is_no) {
            m->has_nothing = true;
            ways.unknown_is_no = true;
        }
        if (!ways.unknown_is_no && !ways.unknown_is_yes)
            TERN_TRY(ask_presence(m, &w, &ways, &w.slot, err));
    }
    return ask(m, &w, &ways, err);
}

static enum tern_code emit_work(struct emission *m, const struct work *w, struct tern_err *err)
{
    const struct tern_pmml_node *node = &m->p->nodes[w->node];

    switch (w->place) {
    case PLACE_CHAIN:
        return emit_chain(m, *w, err);
    case PLACE_NOTHING:
        m->always = true;
        return add_leaf(m, w, TERN_PMML_NONE, err);
    case PLACE_LAST:
        break;
    case PLACE_NODE:
        if (node->first_child == TERN_PMML_NONE)
            break;
        struct work first = chain_at(m, w->node, node->first_child, w->cover);
        first.slot = w->slot;
        m->e->stack[m->e->n_stack++] = first; /* in the place of this */
        return TERN_OK;
    }
    m->always |= node->row == TERN_PMML_NONE;
    return add_leaf(m, w, w->node, err);
}

/* ---- trees ---- */

static enum tern_code emit(struct emission *m, struct tern_forest_builder *builder,
                           struct tern_err *err)
{
    struct tern_pmml_emitter *e = m->e;
    uint32_t root;

    e->n_nodes = e->n_values = e->n_stack = 0;
    TERN_TRY(push(m, (struct work){PLACE_NODE, 0, 0, 0, m->p->nodes[0].cover}, &root, err));
    while (e->n_stack > 0) {
        struct work w = e->stack[--e->n_stack];
        if (w.cover < 0)
            m->lacks_covers = true;
        TERN_TRY(emit_work(m, &w, err));
    }
    for (size_t i = 0; m->lacks_covers && i < e->n_nodes; i++)
        e->nodes[i].cover = 0;
    const struct tern_forest_tree tree = {
        .nodes = e->nodes,
        .n_nodes = (uint32_t)e->n_nodes,
        .values = e->values,
        .n_leaves = (uint32_t)(e->n_values / width_of(m)),
        .vector = width_of(m) > 1,
        .output = m->is_guard || m->is_labels ? 0 : m->p->forest.output,
    };
    return tern_forest_builder_add_tree(builder, &tree, err);
}

enum tern_code tern_pmml_emit_tree(struct tern_pmml *p, const struct tern_pmml_strategy *strategy,
                                   struct tern_err *err)
{
    struct tern_pmml_forest *f = &p->forest;

    if (p->emitter == NULL)
        p->emitter = tern_mem_zalloc(1, sizeof(*p->emitter));
    if (p->emitter == NULL)
        return tern_mem_fail(err, "a tree", sizeof(*p->emitter));
    struct emission m = {
        .p = p, .e = p->emitter, .strategy = *strategy, .nodes_max = 16 * p->n_nodes + 4096};
    TERN_TRY(emit(&m, f->builder, err));
    f->guards_always |= m.always;
    if (m.has_nothing && !f->abstains) {
        struct emission guard = m;
        guard.is_guard = true;
        f->has_guard = true;
        TERN_TRY(emit(&guard, f->guard, err));
    }
    if (f->labels == NULL)
        return TERN_OK;
    struct emission labels = m;
    labels.is_labels = true;
    return emit(&labels, f->labels, err);
}
