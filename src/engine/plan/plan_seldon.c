/* Seldon Core v1's SeldonDeployment (machinelearning.seldon.io): predictors with traffic, each a
 * tree of units. A unit with an endpoint is another server; one without is a model of this server.
 *
 * What concerns containers, replicas and explainers is passed over. */
#include <string.h>
#include "base/num.h"
#include "engine/plan/plan_int.h"

#define UNITS_MAX 1024

struct seldon {
    struct plan_reader *r;
    const struct tern_tree *trees[UNITS_MAX]; /* one a unit */
    uint32_t depths[UNITS_MAX];
};

static struct tern_plan_unit *unit_at(struct seldon *s, uint32_t u)
{
    return &s->r->plan->units[u];
}

/* ---- what a unit is ---- */

static const struct {
    const char *name;
    enum tern_plan_unit_kind kind;
} types[] = {
    {"MODEL", TERN_PLAN_MODEL},
    {"ROUTER", TERN_PLAN_UNIT_ROUTER},
    {"COMBINER", TERN_PLAN_COMBINER},
    {"TRANSFORMER", TERN_PLAN_TRANSFORMER},
    {"OUTPUT_TRANSFORMER", TERN_PLAN_OUTPUT_TRANSFORMER},
    {"UNKNOWN_TYPE", TERN_PLAN_PLAIN},
};

/* Model servers that Seldon starts by itself: here the model is one of this server. */
static bool is_server(struct tern_str implementation)
{
    return tern_str_ends(implementation, TERN_STR("_SERVER"));
}

static void read_kind(struct seldon *s, const struct tern_tree *tree, struct tern_plan_unit *unit)
{
    struct tern_str type = plan_get_text(s->r, tree, "type", false);
    struct tern_str implementation = plan_get_text(s->r, tree, "implementation", false);
    bool known = type.n == 0;

    unit->kind =
        tern_tree_find(tree, TERN_STR("methods")) != NULL ? TERN_PLAN_PLAIN : TERN_PLAN_MODEL;
    for (size_t i = 0; i < TERN_COUNT_OF(types); i++) {
        if (tern_str_eq(type, tern_str_of(types[i].name))) {
            unit->kind = types[i].kind;
            known = true;
        }
    }
    if (!known)
        plan_problem(s->r, tree,
                     "type: expected MODEL, ROUTER, COMBINER, TRANSFORMER or OUTPUT_TRANSFORMER, "
                     "got \"%.*s\"",
                     TERN_STR_ARG(type));
    if (tern_str_eq(implementation, TERN_STR("RANDOM_ABTEST")))
        unit->kind = TERN_PLAN_ABTEST;
    else if (implementation.n > 0 && !is_server(implementation) &&
             !tern_str_eq(implementation, TERN_STR("UNKNOWN_IMPLEMENTATION")))
        plan_problem(s->r, tree,
                     "implementation: expected RANDOM_ABTEST or a server such as SKLEARN_SERVER, "
                     "got \"%.*s\"",
                     TERN_STR_ARG(implementation));
}

static void read_methods(struct seldon *s, const struct tern_tree *tree,
                         struct tern_plan_unit *unit)
{
    static const char *const names[TERN_PLAN_METHODS] = {
        [TERN_PLAN_INPUT] = "TRANSFORM_INPUT",  [TERN_PLAN_ROUTE] = "ROUTE",
        [TERN_PLAN_AGGREGATE] = "AGGREGATE",    [TERN_PLAN_OUTPUT] = "TRANSFORM_OUTPUT",
        [TERN_PLAN_FEEDBACK] = "SEND_FEEDBACK",
    };
    const struct tern_tree *methods = plan_get(s->r, tree, "methods", TERN_TREE_LIST, false);

    unit->calls[TERN_PLAN_INPUT] =
        unit->kind == TERN_PLAN_MODEL || unit->kind == TERN_PLAN_TRANSFORMER;
    unit->calls[TERN_PLAN_ROUTE] = unit->kind == TERN_PLAN_UNIT_ROUTER;
    unit->calls[TERN_PLAN_AGGREGATE] = unit->kind == TERN_PLAN_COMBINER;
    unit->calls[TERN_PLAN_OUTPUT] = unit->kind == TERN_PLAN_OUTPUT_TRANSFORMER;
    unit->calls[TERN_PLAN_FEEDBACK] =
        unit->kind == TERN_PLAN_MODEL || unit->kind == TERN_PLAN_UNIT_ROUTER;
    for (const struct tern_tree *m = methods == NULL ? NULL : methods->first; m != NULL;
         m = m->next) {
        uint32_t i = 0;
        while (i < TERN_PLAN_METHODS && !tern_str_eq(m->text, tern_str_of(names[i])))
            i++;
        if (i < TERN_PLAN_METHODS)
            unit->calls[i] = true;
        else
            plan_problem(s->r, m,
                         "methods: expected TRANSFORM_INPUT, ROUTE, AGGREGATE, TRANSFORM_OUTPUT or "
                         "SEND_FEEDBACK, got \"%.*s\"",
                         TERN_STR_ARG(m->text));
    }
}

/* The value of one of the unit's parameters; empty: it has none of that name. */
static struct tern_str parameter_of(struct seldon *s, const struct tern_tree *tree,
                                    const char *wanted)
{
    const struct tern_tree *rows = plan_get(s->r, tree, "parameters", TERN_TREE_LIST, false);

    for (const struct tern_tree *row = rows == NULL ? NULL : rows->first; row != NULL;
         row = row->next) {
        if (row->kind != TERN_TREE_MAP) {
            plan_problem(s->r, row, "a parameter is a map of name, value and type");
            continue;
        }
        const struct tern_tree *name = tern_tree_find(row, TERN_STR("name"));
        if (name != NULL && tern_str_eq(name->text, tern_str_of(wanted)))
            return plan_get_text(s->r, row, "value", true);
    }
    return TERN_STR("");
}

/* 0.5, 1, .25: how often the first child is taken. */
static void read_ratio(struct seldon *s, const struct tern_tree *tree, struct tern_plan_unit *unit)
{
    struct tern_str ratio = parameter_of(s, tree, "ratioA");
    size_t dot = tern_str_find(ratio, '.');
    uint64_t whole = 0, part = 0, scale = 1;

    unit->ratio = 0.5;
    if (unit->kind != TERN_PLAN_ABTEST || ratio.n == 0)
        return;
    struct tern_str digits = tern_str_from(ratio, dot + 1);
    for (size_t i = 0; i < digits.n && i < 18; i++)
        scale *= 10;
    bool good = digits.n <= 18 &&
                (dot == 0 || tern_num_parse_u64(tern_str_make(ratio.p, dot), 1, &whole)) &&
                (digits.n == 0 || tern_num_parse_u64(digits, UINT64_MAX, &part)) &&
                dot + digits.n > 0 && (whole == 0 || part == 0);
    if (!good)
        plan_problem(s->r, tree, "ratioA: expected a number from 0 to 1, got \"%.*s\"",
                     TERN_STR_ARG(ratio));
    unit->ratio = (double)whole + (double)part / (double)scale;
}

/* ---- where it is ---- */

static struct tern_str base_of(struct seldon *s, const struct tern_tree *endpoint)
{
    struct tern_str type = plan_get_text(s->r, endpoint, "type", false);
    struct tern_str host = plan_get_text(s->r, endpoint, "service_host", false);
    bool given, http_given;
    uint32_t port = plan_get_number(s->r, endpoint, "service_port", 65535, &given);
    uint32_t http_port = plan_get_number(s->r, endpoint, "httpPort", 65535, &http_given);

    if (type.n > 0 && !tern_str_eq(type, TERN_STR("REST")))
        plan_problem(s->r, endpoint, "endpoint.type: only REST is spoken to units, got \"%.*s\"",
                     TERN_STR_ARG(type));
    if (host.n == 0)
        return TERN_STR("");
    if (!given && !http_given)
        plan_problem(s->r, endpoint, "endpoint: service_port is missing");
    return tern_arena_printf(s->r->arena, "http://%.*s:%u", TERN_STR_ARG(host),
                             http_given ? http_port : port);
}

static const char *path_of(const struct tern_plan_unit *unit, uint32_t method)
{
    static const char *const paths[TERN_PLAN_METHODS] = {
        [TERN_PLAN_INPUT] = "/transform-input",  [TERN_PLAN_ROUTE] = "/route",
        [TERN_PLAN_AGGREGATE] = "/aggregate",    [TERN_PLAN_OUTPUT] = "/transform-output",
        [TERN_PLAN_FEEDBACK] = "/send-feedback",
    };
    bool is_model = unit->kind == TERN_PLAN_MODEL && method == TERN_PLAN_INPUT;
    return is_model ? "/predict" : paths[method];
}

static struct tern_str remote_path(struct seldon *s, const struct tern_plan_unit *unit,
                                   uint32_t method, struct tern_str model)
{
    switch (s->r->plan->protocol) {
    case TERN_PLAN_SELDON_MESSAGES:
        break;
    case TERN_PLAN_TENSORFLOW:
        return tern_arena_printf(s->r->arena, "/v1/models/%.*s:predict", TERN_STR_ARG(model));
    case TERN_PLAN_V2:
        return tern_arena_printf(s->r->arena, "/v2/models/%.*s/infer", TERN_STR_ARG(model));
    }
    return tern_str_of(path_of(unit, method));
}

/* A model of this server takes SeldonMessages at Seldon's own address of it. */
static struct tern_str inside_path(struct seldon *s, const struct tern_plan_unit *unit,
                                   struct tern_str model)
{
    if (s->r->plan->protocol == TERN_PLAN_SELDON_MESSAGES)
        return tern_arena_printf(s->r->arena, "/seldon/-/%.*s/api/v1.0/predictions",
                                 TERN_STR_ARG(model));
    return remote_path(s, unit, TERN_PLAN_INPUT, model);
}

static void read_endpoints(struct seldon *s, const struct tern_tree *tree,
                           struct tern_plan_unit *unit)
{
    const struct tern_tree *endpoint = plan_get(s->r, tree, "endpoint", TERN_TREE_MAP, false);
    struct tern_str base = endpoint == NULL ? TERN_STR("") : base_of(s, endpoint);
    struct tern_str model = parameter_of(s, tree, "model_name");

    model = model.n > 0 ? model : unit->name;
    for (uint32_t m = 0; m < TERN_PLAN_METHODS; m++) {
        if (!unit->calls[m])
            continue;
        if (base.n > 0) {
            struct tern_str path = remote_path(s, unit, m, model);
            struct tern_str url =
                tern_arena_printf(s->r->arena, "%.*s%.*s", TERN_STR_ARG(base), TERN_STR_ARG(path));
            plan_read_url(s->r, endpoint, url, &unit->endpoints[m]);
        } else if (m == TERN_PLAN_FEEDBACK) {
            unit->calls[m] = false; /* a model of this server learns nothing */
        } else if (m == TERN_PLAN_AGGREGATE) {
            plan_problem(s->r, tree, "unit \"%.*s\": a COMBINER needs an endpoint",
                         TERN_STR_ARG(unit->name));
        } else {
            unit->endpoints[m].path = inside_path(s, unit, model);
        }
    }
    if (base.n == 0 && !tern_model_name_is_valid(model))
        plan_problem(s->r, tree, "\"%.*s\" is no name of a model, and there is no endpoint",
                     TERN_STR_ARG(model));
}

/* ---- one unit ---- */

static void check_unit(struct seldon *s, const struct tern_tree *tree, uint32_t u)
{
    const struct tern_plan_unit *unit = unit_at(s, u);

    for (uint32_t i = 0; i < u && unit->name.n > 0; i++) {
        if (tern_str_eq(unit_at(s, i)->name, unit->name))
            plan_problem(s->r, tree, "two units are called \"%.*s\"", TERN_STR_ARG(unit->name));
    }
    if (unit->kind == TERN_PLAN_ABTEST && unit->n != 2)
        plan_problem(s->r, tree, "RANDOM_ABTEST \"%.*s\": expected 2 children, got %u",
                     TERN_STR_ARG(unit->name), unit->n);
    if ((unit->kind == TERN_PLAN_UNIT_ROUTER || unit->kind == TERN_PLAN_COMBINER) && unit->n == 0)
        plan_problem(s->r, tree, "%s \"%.*s\" has no children",
                     unit->kind == TERN_PLAN_COMBINER ? "COMBINER" : "ROUTER",
                     TERN_STR_ARG(unit->name));
    if (s->r->plan->protocol != TERN_PLAN_SELDON_MESSAGES && unit->kind != TERN_PLAN_MODEL &&
        unit->kind != TERN_PLAN_PREDICTORS && unit->kind != TERN_PLAN_ABTEST)
        plan_problem(s->r, tree,
                     "unit \"%.*s\": with protocols other than seldon only models and "
                     "RANDOM_ABTEST are run",
                     TERN_STR_ARG(unit->name));
}

/* Its children stand together behind all units that are known. */
static void add_children(struct seldon *s, const struct tern_tree *tree, uint32_t u)
{
    const struct tern_tree *children = plan_get(s->r, tree, "children", TERN_TREE_LIST, false);
    struct tern_plan *plan = s->r->plan;

    if (children == NULL || children->n == 0)
        return;
    if (children->n > TERN_PLAN_CHILDREN_MAX || plan->n_units + children->n > UNITS_MAX ||
        s->depths[u] == TERN_PLAN_DEPTH_MAX) {
        plan_problem(s->r, children,
                     "too large: at most %d units, %d children of one and %d levels", UNITS_MAX,
                     TERN_PLAN_CHILDREN_MAX, TERN_PLAN_DEPTH_MAX);
        return;
    }
    unit_at(s, u)->first = plan->n_units;
    for (const struct tern_tree *child = children->first; child != NULL; child = child->next) {
        struct tern_plan_unit *unit = unit_at(s, plan->n_units);
        unit->parent = u;
        unit->index = unit_at(s, u)->n++;
        s->trees[plan->n_units] = child;
        s->depths[plan->n_units++] = s->depths[u] + 1;
    }
}

static void read_unit(struct seldon *s, uint32_t u)
{
    static const char *const fields[] = {"name",
                                         "type",
                                         "implementation",
                                         "methods",
                                         "endpoint",
                                         "parameters",
                                         "children",
                                         "modelUri",
                                         "serviceAccountName",
                                         "envSecretRefName",
                                         "storageInitializerImage",
                                         "logger",
                                         NULL};
    const struct tern_tree *tree = s->trees[u];
    struct tern_plan_unit *unit = unit_at(s, u);

    if (tree->kind != TERN_TREE_MAP) {
        plan_problem(s->r, tree, "a unit is a map");
        return;
    }
    plan_check_keys(s->r, tree, fields);
    unit->name = unit->image = plan_get_text(s->r, tree, "name", true);
    read_kind(s, tree, unit);
    read_methods(s, tree, unit);
    read_ratio(s, tree, unit);
    read_endpoints(s, tree, unit);
    add_children(s, tree, u);
    check_unit(s, tree, u);
    s->r->plan->routes |= unit->calls[TERN_PLAN_ROUTE] || unit->kind == TERN_PLAN_ABTEST;
}

/* ---- predictors ---- */

static void read_protocol(struct seldon *s, const struct tern_tree *spec)
{
    struct tern_str protocol = plan_get_text(s->r, spec, "protocol", false);

    if (tern_str_eq(protocol, TERN_STR("tensorflow")))
        s->r->plan->protocol = TERN_PLAN_TENSORFLOW;
    else if (tern_str_eq(protocol, TERN_STR("v2")) || tern_str_eq(protocol, TERN_STR("kfserving")))
        s->r->plan->protocol = TERN_PLAN_V2;
    else if (protocol.n > 0 && !tern_str_eq(protocol, TERN_STR("seldon")))
        plan_problem(s->r, spec, "protocol: expected seldon, tensorflow or v2, got \"%.*s\"",
                     TERN_STR_ARG(protocol));
}

static void add_root(struct seldon *s, const struct tern_tree *graph, uint32_t parent)
{
    struct tern_plan *plan = s->r->plan;

    plan->units[plan->n_units].parent = parent;
    s->depths[plan->n_units] = parent == TERN_PLAN_NONE ? 0 : 1;
    s->trees[plan->n_units++] = graph;
}

/* With several predictors the root is a unit of our own that chooses among them by traffic. */
static void read_predictors(struct seldon *s, const struct tern_tree *predictors)
{
    struct tern_plan *plan = s->r->plan;
    uint32_t sum = 0, n = 0;
    bool several = predictors->n > 1, given;

    if (predictors->n == 0 || predictors->n > TERN_PLAN_CHILDREN_MAX) {
        plan_problem(s->r, predictors, "expected 1 to %d predictors, got %u",
                     TERN_PLAN_CHILDREN_MAX, predictors->n);
        return;
    }
    if (several) {
        plan->units[0] = (struct tern_plan_unit){.name = TERN_STR("predictors"),
                                                 .kind = TERN_PLAN_PREDICTORS,
                                                 .parent = TERN_PLAN_NONE,
                                                 .first = 1,
                                                 .n = predictors->n};
        plan->n_units = 1;
        plan->routes = true;
    }
    for (const struct tern_tree *one = predictors->first; one != NULL; one = one->next) {
        const struct tern_tree *graph =
            one->kind == TERN_TREE_MAP ? plan_get(s->r, one, "graph", TERN_TREE_MAP, true) : NULL;
        if (graph == NULL) {
            plan_problem(s->r, one, "a predictor has a graph");
            return;
        }
        if (plan_get_bool(s->r, one, "shadow"))
            plan_problem(s->r, one, "shadow predictors are not supported");
        struct tern_plan_unit *unit = &plan->units[plan->n_units];
        unit->traffic = plan_get_number(s->r, one, "traffic", 100, &given);
        unit->index = n++;
        sum += unit->traffic;
        add_root(s, graph, several ? 0 : TERN_PLAN_NONE);
    }
    if (several && sum != 100)
        plan_problem(s->r, predictors, "the traffic of the predictors has the sum %u, expected 100",
                     sum);
}

/* ---- points ---- */

/* Four of each unit: IN, CHOOSE, JOIN, OUT; a unit without children goes through them all the same,
 * so that their numbers need no table. */
enum { IN, CHOOSE, JOIN, OUT, POINTS };

static uint32_t point_of(uint32_t unit, uint32_t which)
{
    return POINTS * unit + which;
}

/* What chooses leads to a child by the child's number, and past all of them behind the last one. */
static void link_unit(struct tern_plan *plan, uint32_t u)
{
    const struct tern_plan_unit *unit = &plan->units[u];
    struct tern_plan_way *way = &plan->predict;

    plan_link(way, point_of(u, IN), point_of(u, CHOOSE));
    for (uint32_t i = 0; i < unit->n; i++) {
        plan_link(way, point_of(u, CHOOSE), point_of(unit->first + i, IN));
        plan_link(way, point_of(unit->first + i, OUT), point_of(u, JOIN));
    }
    if (unit->n == 0)
        plan_link(way, point_of(u, CHOOSE), point_of(u, JOIN));
    plan_link(way, point_of(u, CHOOSE), point_of(u, OUT));
    plan_link(way, point_of(u, JOIN), point_of(u, OUT));
}

static void make_predict(struct seldon *s)
{
    static const enum tern_plan_point_kind kinds[POINTS] = {[IN] = TERN_PLAN_IN,
                                                            [CHOOSE] = TERN_PLAN_CHOOSE,
                                                            [JOIN] = TERN_PLAN_JOIN,
                                                            [OUT] = TERN_PLAN_OUT};
    struct tern_plan *plan = s->r->plan;
    uint32_t n = POINTS * plan->n_units;
    uint32_t *rooms = plan_alloc(s->r, n, sizeof(*rooms));

    if (rooms == NULL)
        return;
    for (uint32_t i = 0; i < n; i++)
        rooms[i] = i % POINTS == CHOOSE ? plan->units[i / POINTS].n + 2 : 1;
    if (!plan_make_way(s->r, &plan->predict, n, rooms))
        return;
    for (uint32_t i = 0; i < n; i++) {
        plan->predict.points[i].kind = kinds[i % POINTS];
        plan->predict.points[i].of = i / POINTS;
    }
    for (uint32_t u = 0; u < plan->n_units; u++)
        link_unit(plan, u);
}

/* One of each unit, children first. */
static void make_feedback(struct seldon *s)
{
    struct tern_plan *plan = s->r->plan;
    uint32_t *rooms = plan_alloc(s->r, plan->n_units, sizeof(*rooms));

    if (rooms == NULL)
        return;
    for (uint32_t u = 0; u < plan->n_units; u++)
        rooms[u] = 1;
    if (!plan_make_way(s->r, &plan->feedback, plan->n_units, rooms))
        return;
    for (uint32_t u = 0; u < plan->n_units; u++) {
        plan->feedback.points[u].kind = TERN_PLAN_TELL;
        plan->feedback.points[u].of = u;
        if (plan->units[u].parent != TERN_PLAN_NONE)
            plan_link(&plan->feedback, u, plan->units[u].parent);
    }
}

void plan_read_seldon(struct plan_reader *r, const struct tern_tree *spec)
{
    static const char *const fields[] = {"name",         "predictors",  "graph",      "protocol",
                                         "transport",    "annotations", "serverType", "oauth_key",
                                         "oauth_secret", "replicas",    NULL};
    struct seldon *s = plan_alloc(r, 1, sizeof(*s));

    r->plan->form = TERN_PLAN_SELDON;
    r->plan->units = plan_alloc(r, UNITS_MAX, sizeof(*r->plan->units));
    if (s == NULL || r->plan->units == NULL)
        return;
    s->r = r;
    plan_check_keys(r, spec, fields);
    read_protocol(s, spec);
    const struct tern_tree *predictors = plan_get(r, spec, "predictors", TERN_TREE_LIST, false);
    const struct tern_tree *graph = plan_get(r, spec, "graph", TERN_TREE_MAP, false);
    if (predictors != NULL)
        read_predictors(s, predictors);
    else if (graph != NULL)
        add_root(s, graph, TERN_PLAN_NONE);
    else if (!tern_problem_any(r->problems))
        plan_problem(r, spec, "expected predictors or graph, got neither");
    for (uint32_t u = 0; u < r->plan->n_units; u++) {
        if (r->plan->units[u].kind != TERN_PLAN_PREDICTORS)
            read_unit(s, u);
    }
    if (tern_problem_any(r->problems))
        return;
    make_predict(s);
    make_feedback(s);
}
