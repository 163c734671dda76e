/* The points of an InferenceGraph: ENTER chooses among a node's steps, CALL asks an endpoint, LEAVE
 * says what came of the node. What follows a step of a Sequence stands first among its next points,
 * the end of the node last. */
#include "gateway/walk.h"
#include "wire/json.h"

static const struct tern_plan_point *point_of(const struct walk *walk, uint32_t point)
{
    return &walk->way->points[point];
}

/* ---- what a step is given ---- */

static bool is_json(const struct walk *walk, struct tern_str text)
{
    struct tern_json json;

    tern_json_init(&json, text, walk->gc->call.arena);
    return tern_json_skip(&json, NULL) == TERN_OK && tern_json_end(&json, NULL) == TERN_OK;
}

static enum tern_code input_of(struct walk *walk, uint32_t m, struct tern_document *ret,
                               struct tern_err *err)
{
    const struct tern_plan_member *member = &walk->plan->members[m];
    bool in_sequence = walk->plan->nodes[member->parent].router == TERN_PLAN_SEQUENCE;

    *ret = walk->inputs[member->parent];
    if (!in_sequence || member->index == 0 || !member->takes_response)
        return TERN_OK;
    *ret = walk->results[m - 1];
    if (ret->type.n == 0)
        ret->type = TERN_STR("application/json");
    if (!member->maps)
        return TERN_OK;
    return walk_rename(walk, ret, TERN_STR("predictions"), TERN_STR("instances"), err);
}

/* ---- choosing ---- */

static uint32_t split(struct walk *walk, const struct tern_plan_node *node)
{
    uint32_t point = (uint32_t)(walk_random(walk) % 100), sum = 0, i = 0;

    for (; i + 1 < node->n; i++) {
        sum += walk->plan->members[node->first + i].weight;
        if (point < sum)
            break;
    }
    return i;
}

static enum tern_code switch_to(struct walk *walk, uint32_t n, uint32_t *ret, struct tern_err *err)
{
    const struct tern_plan_node *node = &walk->plan->nodes[n];
    struct tern_str value;
    bool found = false;

    if (is_json(walk, walk->inputs[n].bytes)) {
        for (*ret = 0; *ret < node->n; (*ret)++) {
            TERN_TRY(tern_gjson_find(walk->plan->members[node->first + *ret].condition,
                                     walk->inputs[n].bytes, walk->gc->call.arena, &found, &value,
                                     err));
            if (found)
                return TERN_OK;
        }
    }
    return tern_fail_http(err, TERN_NOT_FOUND, node->member == TERN_PLAN_NONE ? 404 : 500,
                          "None of the routes matched with the switch condition of node '%.*s'",
                          TERN_STR_ARG(node->name));
}

/* Which of a node's steps come: the place of one, or all. */
static enum tern_code choose(struct walk *walk, uint32_t n, uint32_t *ret_way, struct tern_err *err)
{
    const struct tern_plan_node *node = &walk->plan->nodes[n];

    *ret_way = TERN_GRAPH_ALL;
    switch (node->router) {
    case TERN_PLAN_SEQUENCE:
    case TERN_PLAN_ENSEMBLE:
        break;
    case TERN_PLAN_SPLITTER:
        *ret_way = split(walk, node);
        break;
    case TERN_PLAN_SWITCH:
        TERN_TRY(switch_to(walk, n, ret_way, err));
        break;
    }
    walk->last[n] = *ret_way == TERN_GRAPH_ALL ? node->first : node->first + *ret_way;
    return TERN_OK;
}

/* ---- what came of a step ---- */

/* Whether a Sequence goes on with the step after m. */
static enum tern_code goes_on(struct walk *walk, uint32_t m, bool *ret, struct tern_err *err)
{
    const struct tern_plan_member *member = &walk->plan->members[m];
    const struct tern_document *result = &walk->results[m];
    struct tern_str value;

    *ret = !member->hard || walk_is_good(result);
    if (!*ret || member[1].condition == NULL)
        return TERN_OK;
    if (!is_json(walk, result->bytes))
        return tern_fail_http(err, TERN_INTERNAL, 500,
                              "invalid response: a condition is to be tested on what is no JSON");
    return tern_gjson_find(member[1].condition, result->bytes, walk->gc->call.arena, ret, &value,
                           err);
}

/* The first failed step that must not fail decides for an Ensemble: when it is known, and this is
 * the outermost node, nobody waits for the others. */
static bool decides(const struct walk *walk, uint32_t m)
{
    const struct tern_plan_member *member = &walk->plan->members[m];
    const struct tern_plan_node *node = &walk->plan->nodes[member->parent];

    if (node->router != TERN_PLAN_ENSEMBLE || node->member != TERN_PLAN_NONE || !member->hard ||
        walk_is_good(&walk->results[m]))
        return false;
    for (uint32_t i = node->first; i < m; i++) {
        const struct tern_document *before = &walk->results[i];
        if (before->status == 0 || (walk->plan->members[i].hard && !walk_is_good(before)))
            return false;
    }
    return true;
}

/* A step is through; the point is the one it ends with. */
static void finish_member(struct walk *walk, uint32_t point, uint32_t m,
                          const struct tern_document *result)
{
    const struct tern_plan_member *member = &walk->plan->members[m];
    const struct tern_plan_node *node = &walk->plan->nodes[member->parent];
    uint32_t way = TERN_GRAPH_ALL;
    struct tern_err err;
    bool on;

    walk->results[m] = *result;
    if (node->router == TERN_PLAN_SEQUENCE) {
        walk->last[member->parent] = m;
        if (member->index + 1 < node->n) {
            enum tern_code code = goes_on(walk, m, &on, &err);
            if (code != TERN_OK) {
                walk_fail(walk, point, code, &err);
                return;
            }
            way = on ? 0 : 1;
        }
    }
    if (decides(walk, m))
        walk_decide(walk, result);
    tern_graph_done(&walk->graph, point, way);
}

void walk_kserve_came(struct walk *walk, uint32_t point, const struct tern_document *answer)
{
    finish_member(walk, point, point_of(walk, point)->of, answer);
}

/* ---- what came of a node ---- */

static enum tern_code add_result(struct walk *walk, uint32_t m, struct tern_buf *text,
                                 struct tern_err *err)
{
    const struct tern_plan_member *member = &walk->plan->members[m];

    if (!is_json(walk, walk->results[m].bytes))
        return tern_fail_http(err, TERN_INTERNAL, 500, "step '%.*s' answered what is no JSON",
                              TERN_STR_ARG(member->name));
    tern_buf_add_char(text, text->n == 0 ? '{' : ',');
    if (member->name.n > 0)
        tern_json_add_string(text, member->name);
    else
        tern_buf_printf(text, "\"%u\"", member->index);
    tern_buf_add_char(text, ':');
    tern_buf_add_str(text, walk->results[m].bytes);
    return TERN_OK;
}

/* {"<name or number>": <answer>, ...}, or the first answer that had to be good and is not. */
static enum tern_code merge(struct walk *walk, const struct tern_plan_node *node,
                            struct tern_document *ret, struct tern_err *err)
{
    struct tern_buf text;
    enum tern_code code = TERN_OK;

    for (uint32_t m = node->first; m < node->first + node->n; m++) {
        if (walk->plan->members[m].hard && !walk_is_good(&walk->results[m])) {
            *ret = walk->results[m];
            return TERN_OK;
        }
    }
    tern_buf_init(&text, walk->gc->call.arena->max);
    for (uint32_t m = node->first; m < node->first + node->n && code == TERN_OK; m++)
        code = add_result(walk, m, &text, err);
    if (code != TERN_OK) {
        tern_buf_fini(&text);
        return code;
    }
    tern_buf_add_char(&text, '}');
    return walk_make(walk, &text, ret, err);
}

static void leave(struct walk *walk, uint32_t point, uint32_t n)
{
    const struct tern_plan_node *node = &walk->plan->nodes[n];
    struct tern_document result;
    struct tern_err err;

    if (node->router == TERN_PLAN_ENSEMBLE) {
        enum tern_code code = merge(walk, node, &result, &err);
        if (code != TERN_OK) {
            walk_fail(walk, point, code, &err);
            return;
        }
    } else {
        result = walk->results[walk->last[n]];
    }
    if (node->member != TERN_PLAN_NONE) {
        finish_member(walk, point, node->member, &result);
        return;
    }
    walk->answer = result;
    tern_graph_done(&walk->graph, point, TERN_GRAPH_NONE);
}

static void enter(struct walk *walk, uint32_t point, uint32_t n)
{
    const struct tern_plan_node *node = &walk->plan->nodes[n];
    enum tern_code code = TERN_OK;
    struct tern_err err;
    uint32_t way;

    walk->inputs[n] = walk->request;
    if (node->member != TERN_PLAN_NONE)
        code = input_of(walk, node->member, &walk->inputs[n], &err);
    if (code == TERN_OK)
        code = choose(walk, n, &way, &err);
    if (code != TERN_OK)
        walk_fail(walk, point, code, &err);
    else
        tern_graph_done(&walk->graph, point, way);
}

static void call(struct walk *walk, uint32_t point, uint32_t m)
{
    const struct tern_plan_member *member = &walk->plan->members[m];
    struct tern_document input;
    struct tern_err err;

    enum tern_code code = input_of(walk, m, &input, &err);
    if (code != TERN_OK)
        walk_fail(walk, point, code, &err);
    else
        walk_call(walk, point, &member->endpoint, member->name, &input);
}

void walk_kserve_start(struct walk *walk, uint32_t point)
{
    const struct tern_plan_point *what = point_of(walk, point);

    if (what->kind == TERN_PLAN_ENTER)
        enter(walk, point, what->of);
    else if (what->kind == TERN_PLAN_LEAVE)
        leave(walk, point, what->of);
    else
        call(walk, point, what->of);
}

enum tern_code walk_kserve_begin(struct walk *walk, struct tern_err *err)
{
    const struct tern_plan *plan = walk->plan;
    struct tern_arena *arena = walk->gc->call.arena;

    walk->inputs = tern_arena_zalloc(arena, plan->n_nodes, sizeof(*walk->inputs));
    walk->results = tern_arena_zalloc(arena, plan->n_members, sizeof(*walk->results));
    walk->last = tern_arena_zalloc(arena, plan->n_nodes, sizeof(*walk->last));
    if (walk->inputs == NULL || walk->results == NULL || walk->last == NULL)
        return tern_arena_fail(arena, err, "the way through a graph");
    return TERN_OK;
}
