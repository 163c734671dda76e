/* KServe's InferenceGraph (serving.kserve.io/v1alpha1): nodes by name, each with a router type and
 * steps. A node that is named twice is copied for each place: the walk then is a tree, and what one
 * request can cause is bounded here. */
#include <string.h>
#include "engine/plan/plan_int.h"

/* A node as it is written. */
struct definition {
    const struct tern_tree *tree;
    struct tern_str name;
    enum tern_plan_router router;
    struct tern_plan_member *members; /* node: index of the definition, so far */
    uint32_t n;
    uint32_t next_member; /* looking for circles: the member to follow next ... */
    uint32_t from;        /* ... and who led here */
    bool open, closed;
};

struct kserve {
    struct plan_reader *r;
    const struct tern_tree *nodes;
    struct definition *definitions;
    uint32_t n;
};

/* ---- one step ---- */

static uint32_t find_definition(const struct kserve *k, struct tern_str name)
{
    uint32_t i = 0;

    while (i < k->n && !tern_str_eq(k->definitions[i].name, name))
        i++;
    return i < k->n ? i : TERN_PLAN_NONE;
}

/* Exactly one of the three. */
static void read_target(struct kserve *k, const struct tern_tree *step,
                        struct tern_plan_member *member)
{
    struct plan_reader *r = k->r;
    struct tern_str node = plan_get_text(r, step, "nodeName", false);
    struct tern_str service = plan_get_text(r, step, "serviceName", false);
    struct tern_str url = plan_get_text(r, step, "serviceUrl", false);

    if ((node.n > 0) + (service.n > 0) + (url.n > 0) != 1) {
        plan_problem(r, step, "expected exactly one of nodeName, serviceName and serviceUrl");
    } else if (node.n > 0) {
        member->node = find_definition(k, node);
        if (member->node == TERN_PLAN_NONE)
            plan_problem(r, step, "nodeName: there is no node \"%.*s\"", TERN_STR_ARG(node));
    } else if (service.n > 0) {
        if (!tern_model_name_is_valid(service))
            plan_problem(r, step, "serviceName: \"%.*s\" is no name of a model",
                         TERN_STR_ARG(service));
        member->endpoint.path =
            tern_arena_printf(r->arena, "/v2/models/%.*s/infer", TERN_STR_ARG(service));
    } else {
        plan_read_url(r, tern_tree_find(step, TERN_STR("serviceUrl")), url, &member->endpoint);
    }
}

static void read_data(struct kserve *k, const struct tern_tree *step,
                      struct tern_plan_member *member)
{
    struct tern_str data = plan_get_text(k->r, step, "data", false);

    member->takes_response = tern_str_eq(data, TERN_STR("$response"));
    if (data.n > 0 && !member->takes_response && !tern_str_eq(data, TERN_STR("$request")))
        plan_problem(k->r, step, "data: expected $request or $response, got \"%.*s\"",
                     TERN_STR_ARG(data));
    member->maps = plan_get_bool(k->r, step, "mapPredictionsToInstances");
}

static void read_condition(struct kserve *k, const struct definition *definition,
                           const struct tern_tree *step, struct tern_plan_member *member)
{
    struct tern_str condition = plan_get_text(k->r, step, "condition", false);
    struct tern_err err;

    if (condition.n == 0) {
        if (definition->router == TERN_PLAN_SWITCH)
            plan_problem(k->r, step, "condition is missing: without one a Switch never takes it");
        return;
    }
    if (tern_gjson_compile(condition, k->r->arena, &member->condition, &err) != TERN_OK)
        plan_problem(k->r, step, "%s", err.text);
    if (definition->router == TERN_PLAN_SEQUENCE && member->index == 0)
        plan_problem(k->r, step,
                     "condition: the first step of a Sequence has no response before "
                     "it to test");
}

static void read_dependency(struct kserve *k, const struct tern_tree *step,
                            struct tern_plan_member *member)
{
    struct tern_str dependency = plan_get_text(k->r, step, "dependency", false);

    member->hard = tern_str_eq(dependency, TERN_STR("Hard"));
    if (dependency.n > 0 && !member->hard && !tern_str_eq(dependency, TERN_STR("Soft")))
        plan_problem(k->r, step, "dependency: expected Soft or Hard, got \"%.*s\"",
                     TERN_STR_ARG(dependency));
}

static void read_name(struct kserve *k, struct definition *definition, const struct tern_tree *step,
                      struct tern_plan_member *member)
{
    member->name = plan_get_text(k->r, step, "name", false);
    for (uint32_t i = 0; i < member->index && member->name.n > 0; i++) {
        if (tern_str_eq(definition->members[i].name, member->name))
            plan_problem(k->r, step, "two steps of node \"%.*s\" are called \"%.*s\"",
                         TERN_STR_ARG(definition->name), TERN_STR_ARG(member->name));
    }
}

static void read_step(struct kserve *k, struct definition *definition, const struct tern_tree *step,
                      struct tern_plan_member *member)
{
    static const char *const fields[] = {
        "name",   "nodeName",  "serviceName", "serviceUrl", "data", "mapPredictionsToInstances",
        "weight", "condition", "dependency",  NULL};
    bool weighted;

    member->node = TERN_PLAN_NONE;
    if (step->kind != TERN_TREE_MAP) {
        plan_problem(k->r, step, "a step is a map");
        return;
    }
    plan_check_keys(k->r, step, fields);
    read_name(k, definition, step, member);
    read_target(k, step, member);
    read_data(k, step, member);
    read_condition(k, definition, step, member);
    read_dependency(k, step, member);
    member->weight = plan_get_number(k->r, step, "weight", 100, &weighted);
    if (definition->router == TERN_PLAN_SPLITTER && !weighted)
        plan_problem(k->r, step, "weight is missing: a Splitter needs that of every step");
}

/* ---- one node ---- */

static void read_router(struct kserve *k, struct definition *definition)
{
    static const char *const names[] = {
        [TERN_PLAN_SEQUENCE] = "Sequence",
        [TERN_PLAN_SPLITTER] = "Splitter",
        [TERN_PLAN_ENSEMBLE] = "Ensemble",
        [TERN_PLAN_SWITCH] = "Switch",
    };
    struct tern_str type = plan_get_text(k->r, definition->tree, "routerType", true);

    for (uint32_t i = 0; i < TERN_COUNT_OF(names); i++) {
        if (tern_str_eq(type, tern_str_of(names[i]))) {
            definition->router = (enum tern_plan_router)i;
            return;
        }
    }
    if (type.n > 0)
        plan_problem(k->r, definition->tree,
                     "routerType: expected Sequence, Splitter, Ensemble or Switch, got \"%.*s\"",
                     TERN_STR_ARG(type));
}

static void check_weights(struct kserve *k, const struct definition *definition)
{
    uint32_t sum = 0;

    if (definition->router != TERN_PLAN_SPLITTER)
        return;
    for (uint32_t i = 0; i < definition->n; i++)
        sum += definition->members[i].weight;
    if (sum != 100)
        plan_problem(k->r, definition->tree,
                     "the weights of Splitter \"%.*s\" have the sum %u, expected 100",
                     TERN_STR_ARG(definition->name), sum);
}

static void read_node(struct kserve *k, struct definition *definition)
{
    static const char *const fields[] = {"routerType", "steps", NULL};

    if (definition->tree->kind != TERN_TREE_MAP) {
        plan_problem(k->r, definition->tree, "node \"%.*s\": expected a map",
                     TERN_STR_ARG(definition->name));
        return;
    }
    plan_check_keys(k->r, definition->tree, fields);
    read_router(k, definition);
    const struct tern_tree *steps = plan_get(k->r, definition->tree, "steps", TERN_TREE_LIST, true);
    if (steps == NULL)
        return;
    if (steps->n == 0 || steps->n > TERN_PLAN_CHILDREN_MAX) {
        plan_problem(k->r, steps, "a node has 1 to %d steps, got %u", TERN_PLAN_CHILDREN_MAX,
                     steps->n);
        return;
    }
    definition->members = plan_alloc(k->r, steps->n, sizeof(*definition->members));
    if (definition->members == NULL)
        return;
    definition->n = steps->n;
    uint32_t i = 0;
    for (const struct tern_tree *step = steps->first; step != NULL; step = step->next, i++) {
        definition->members[i].index = i;
        read_step(k, definition, step, &definition->members[i]);
    }
    check_weights(k, definition);
}

/* ---- all nodes ---- */

static void read_definitions(struct kserve *k)
{
    k->n = k->nodes->n;
    k->definitions = plan_alloc(k->r, k->n + 1, sizeof(*k->definitions));
    if (k->definitions == NULL)
        return;
    uint32_t i = 0;
    for (const struct tern_tree *node = k->nodes->first; node != NULL; node = node->next, i++) {
        k->definitions[i].tree = node;
        k->definitions[i].name = tern_arena_copy(k->r->arena, node->key);
    }
    for (i = 0; i < k->n; i++)
        read_node(k, &k->definitions[i]);
    if (find_definition(k, TERN_STR("root")) == TERN_PLAN_NONE)
        plan_problem(k->r, k->nodes, "node \"root\" is missing: requests begin there");
}

static void tell_circle(struct kserve *k, const struct definition *from, uint32_t to)
{
    struct tern_buf names;
    uint32_t at = (uint32_t)(from - k->definitions);

    tern_buf_init(&names, 512);
    tern_buf_add_str(&names, k->definitions[to].name);
    for (; at != to; at = k->definitions[at].from)
        tern_buf_printf(&names, " <- %.*s", TERN_STR_ARG(k->definitions[at].name));
    plan_problem(k->r, from->tree, "the nodes lead in a circle: %.*s <- %.*s", (int)names.n,
                 names.p == NULL ? "" : names.p, TERN_STR_ARG(k->definitions[to].name));
    tern_buf_fini(&names);
}

/* Depth first from one node, the way back kept in the nodes. */
static bool leads_in_circle(struct kserve *k, uint32_t start)
{
    uint32_t at = start;

    k->definitions[start].from = TERN_PLAN_NONE;
    k->definitions[start].open = true;
    while (at != TERN_PLAN_NONE) {
        struct definition *definition = &k->definitions[at];
        if (definition->next_member == definition->n) {
            definition->open = false;
            definition->closed = true;
            at = definition->from;
            continue;
        }
        uint32_t to = definition->members[definition->next_member++].node;
        if (to == TERN_PLAN_NONE || k->definitions[to].closed)
            continue;
        if (k->definitions[to].open) {
            tell_circle(k, definition, to);
            return true;
        }
        k->definitions[to].from = at;
        k->definitions[to].open = true;
        at = to;
    }
    return false;
}

static bool check_circles(struct kserve *k)
{
    for (uint32_t i = 0; i < k->n; i++) {
        if (!k->definitions[i].closed && leads_in_circle(k, i))
            return false;
    }
    return true;
}

/* ---- the tree ---- */

/* Nodes are copied in the order in which they are reached. Answers false when it gets too large. */
static bool count_copies(struct kserve *k, const uint32_t *copies_of, uint32_t n_copies,
                         uint32_t *ret_members)
{
    *ret_members = 0;
    for (uint32_t i = 0; i < n_copies; i++)
        *ret_members += k->definitions[copies_of[i]].n;
    return *ret_members + 2 * n_copies <= TERN_PLAN_POINTS_MAX;
}

static uint32_t copy_nodes(struct kserve *k, uint32_t *copies_of)
{
    uint32_t n = 1;

    copies_of[0] = find_definition(k, TERN_STR("root"));
    for (uint32_t i = 0; i < n; i++) {
        const struct definition *definition = &k->definitions[copies_of[i]];
        for (uint32_t m = 0; m < definition->n; m++) {
            if (definition->members[m].node == TERN_PLAN_NONE)
                continue;
            if (n == TERN_PLAN_POINTS_MAX)
                return n;
            copies_of[n++] = definition->members[m].node;
        }
    }
    return n;
}

static void fill_copies(struct kserve *k, const uint32_t *copies_of, uint32_t n)
{
    struct tern_plan *plan = k->r->plan;
    uint32_t next_node = 1;

    plan->nodes[0].member = TERN_PLAN_NONE;
    for (uint32_t i = 0; i < n; i++) {
        const struct definition *definition = &k->definitions[copies_of[i]];
        struct tern_plan_node *node = &plan->nodes[i];
        node->name = definition->name;
        node->router = definition->router;
        node->first = plan->n_members;
        node->n = definition->n;
        for (uint32_t m = 0; m < definition->n; m++) {
            struct tern_plan_member *member = &plan->members[plan->n_members];
            *member = definition->members[m];
            member->parent = i;
            if (member->node != TERN_PLAN_NONE) {
                plan->nodes[next_node].member = plan->n_members;
                member->node = next_node++;
            }
            plan->n_members++;
        }
    }
    plan->n_nodes = n;
}

/* Points: ENTER of node i is 2 i, LEAVE 2 i + 1; the calls follow. */
static uint32_t enter_of(uint32_t node)
{
    return 2 * node;
}

static uint32_t leave_of(uint32_t node)
{
    return 2 * node + 1;
}

/* What leaves a member goes on to the next one of a Sequence first, to the end of the node last. */
static void link_node(struct tern_plan *plan, struct tern_plan_way *way, uint32_t i)
{
    const struct tern_plan_node *node = &plan->nodes[i];
    bool in_sequence = node->router == TERN_PLAN_SEQUENCE;

    for (uint32_t m = 0; m < node->n; m++) {
        const struct tern_plan_member *member = &plan->members[node->first + m];
        bool last = m + 1 == node->n;
        if (!in_sequence || m == 0)
            plan_link(way, enter_of(i), member->entry);
        if (in_sequence && !last)
            plan_link(way, member->exit, plan->members[node->first + m + 1].entry);
        plan_link(way, member->exit, leave_of(i));
    }
}

static void make_points(struct kserve *k)
{
    struct tern_plan *plan = k->r->plan;
    uint32_t call = 2 * plan->n_nodes;
    uint32_t n = call + plan->n_members - (plan->n_nodes - 1); /* each node but the root is one */
    uint32_t *rooms = plan_alloc(k->r, n, sizeof(*rooms));

    if (rooms == NULL)
        return;
    for (uint32_t i = 0; i < n; i++)
        rooms[i] = i < 2 * plan->n_nodes && i % 2 == 0 ? plan->nodes[i / 2].n : 2;
    if (!plan_make_way(k->r, &plan->predict, n, rooms))
        return;
    struct tern_plan_point *points = plan->predict.points;
    for (uint32_t i = 0; i < plan->n_nodes; i++) {
        points[enter_of(i)].kind = TERN_PLAN_ENTER;
        points[leave_of(i)].kind = TERN_PLAN_LEAVE;
        points[enter_of(i)].of = points[leave_of(i)].of = i;
    }
    for (uint32_t m = 0; m < plan->n_members; m++) {
        struct tern_plan_member *member = &plan->members[m];
        if (member->node != TERN_PLAN_NONE) {
            member->entry = enter_of(member->node);
            member->exit = leave_of(member->node);
            continue;
        }
        points[call].kind = TERN_PLAN_CALL;
        points[call].of = m;
        member->entry = member->exit = call++;
    }
    for (uint32_t i = 0; i < plan->n_nodes; i++)
        link_node(plan, &plan->predict, i);
}

static void make_tree(struct kserve *k)
{
    struct tern_plan *plan = k->r->plan;
    uint32_t *copies_of = plan_alloc(k->r, TERN_PLAN_POINTS_MAX, sizeof(*copies_of));
    uint32_t n_members;

    if (copies_of == NULL)
        return;
    uint32_t n = copy_nodes(k, copies_of);
    if (!count_copies(k, copies_of, n, &n_members)) {
        plan_problem(k->r, k->nodes,
                     "with each node once for each step that names it the graph has more than %d "
                     "parts",
                     TERN_PLAN_POINTS_MAX);
        return;
    }
    plan->nodes = plan_alloc(k->r, n, sizeof(*plan->nodes));
    plan->members = plan_alloc(k->r, n_members, sizeof(*plan->members));
    if (plan->nodes == NULL || plan->members == NULL)
        return;
    fill_copies(k, copies_of, n);
    make_points(k);
}

void plan_read_kserve(struct plan_reader *r, const struct tern_tree *spec)
{
    /* What concerns where KServe runs its router is passed over. */
    static const char *const fields[] = {"nodes",          "timeout",     "resources",
                                         "affinity",       "minReplicas", "maxReplicas",
                                         "scaleTarget",    "scaleMetric", "tolerations",
                                         "nodeSelector",   "nodeName",    "serviceAccountName",
                                         "routerTimeouts", NULL};
    struct kserve k = {.r = r};
    bool given;

    r->plan->form = TERN_PLAN_KSERVE;
    plan_check_keys(r, spec, fields);
    r->plan->timeout_ns =
        (uint64_t)plan_get_number(r, spec, "timeout", 86400, &given) * UINT64_C(1000000000);
    k.nodes = plan_get(r, spec, "nodes", TERN_TREE_MAP, true);
    if (k.nodes == NULL)
        return;
    read_definitions(&k);
    if (k.definitions != NULL && check_circles(&k) && !tern_problem_any(r->problems))
        make_tree(&k);
}
