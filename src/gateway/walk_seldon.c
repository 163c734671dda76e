/* The points of a tree of Seldon Core v1. A unit takes its input (IN), chooses among its children
 * (CHOOSE), takes what came of them (JOIN) and gives its output (OUT). From CHOOSE the ways to the
 * children come first, in order, the way past them to OUT last. Feedback goes the same tree from
 * its leaves up, along the routes that the answer tells of. */
#include <inttypes.h>
#include "base/num.h"
#include "gateway/walk.h"
#include "wire/json.h"

#define ALL_CHILDREN (-1)
#define NO_CHILD     (-2)

static const struct tern_plan_unit *unit_of(const struct walk *walk, uint32_t point)
{
    return &walk->plan->units[walk->way->points[point].of];
}

static uint32_t place_of(const struct walk *walk, uint32_t point)
{
    return walk->way->points[point].of;
}

/* ---- JSON ---- */

/* The text of a value that json stands before. */
static enum tern_code take_value(struct tern_json *json, struct tern_str *ret, struct tern_err *err)
{
    tern_json_peek(json);
    const char *p = json->p;
    TERN_TRY(tern_json_skip(json, err));
    *ret = tern_str_make(p, (size_t)(json->p - p));
    return TERN_OK;
}

/* The member of an object; p == NULL: it has none of that name, or is none. */
static struct tern_str member_of(const struct walk *walk, struct tern_str object, const char *name)
{
    struct tern_str key, value, none = {NULL, 0};
    struct tern_json json;
    bool more;

    if (object.p == NULL)
        return none;
    tern_json_init(&json, object, walk->gc->call.arena);
    if (tern_json_peek(&json) != TERN_JSON_OBJECT || tern_json_object(&json, NULL) != TERN_OK)
        return none;
    while (tern_json_key(&json, &more, &key, NULL) == TERN_OK && more) {
        if (take_value(&json, &value, NULL) != TERN_OK)
            break;
        if (tern_str_eq(key, tern_str_of(name)))
            return value;
    }
    return none;
}

static bool is_object(const struct walk *walk, struct tern_str text)
{
    struct tern_json json;

    tern_json_init(&json, text, walk->gc->call.arena);
    return tern_json_peek(&json) == TERN_JSON_OBJECT && tern_json_skip(&json, NULL) == TERN_OK &&
           tern_json_end(&json, NULL) == TERN_OK;
}

/* An integer, however it is written, in however many arrays: [1], [[1.0]], 1. */
static bool first_integer(const struct walk *walk, struct tern_str text, int64_t *ret)
{
    struct tern_json_number number;
    struct tern_json json;
    bool more = true;

    if (text.p == NULL)
        return false;
    tern_json_init(&json, text, walk->gc->call.arena);
    while (tern_json_peek(&json) == TERN_JSON_ARRAY) {
        if (tern_json_array(&json, NULL) != TERN_OK ||
            tern_json_item(&json, &more, NULL) != TERN_OK || !more)
            return false;
    }
    if (tern_json_peek(&json) != TERN_JSON_NUMBER ||
        tern_json_number(&json, &number, NULL) != TERN_OK || number.kind == TERN_JSON_UINT64)
        return false;
    if (number.kind == TERN_JSON_INT64) {
        *ret = number.int64;
        return true;
    }
    if (!(number.real >= -1000 && number.real <= 1000))
        return false;
    *ret = (int64_t)number.real;
    return (double)*ret == number.real;
}

/* What a router said: an array, or a message with one number. */
static bool read_route(const struct walk *walk, struct tern_str text, int64_t *ret)
{
    struct tern_str data = member_of(walk, text, "data");

    if (first_integer(walk, text, ret) ||
        first_integer(walk, member_of(walk, data, "ndarray"), ret))
        return true;
    return first_integer(walk, member_of(walk, member_of(walk, data, "tensor"), "values"), ret);
}

/* ---- points ---- */

static void fail_point(struct walk *walk, uint32_t point, struct tern_err *err)
{
    tern_err_prefix(err, "unit '%.*s'", TERN_STR_ARG(unit_of(walk, point)->name));
    walk_fail(walk, point, err->code, err);
}

static void call_unit(struct walk *walk, uint32_t point, enum tern_plan_method method,
                      const struct tern_document *document)
{
    const struct tern_plan_unit *unit = unit_of(walk, point);

    walk_call(walk, point, &unit->endpoints[method], unit->name, document);
}

/* Between models of other protocols the answer of one is not yet the question of the next. */
static enum tern_code chain(struct walk *walk, const struct tern_plan_unit *unit,
                            struct tern_document *document, struct tern_err *err)
{
    bool after_model =
        unit->parent != TERN_PLAN_NONE && walk->plan->units[unit->parent].kind == TERN_PLAN_MODEL;

    if (!after_model || walk->plan->protocol == TERN_PLAN_SELDON_MESSAGES)
        return TERN_OK;
    if (walk->plan->protocol == TERN_PLAN_TENSORFLOW)
        return walk_rename(walk, document, TERN_STR("predictions"), TERN_STR("instances"), err);
    return walk_rename(walk, document, TERN_STR("outputs"), TERN_STR("inputs"), err);
}

static void take_input(struct walk *walk, uint32_t point)
{
    const struct tern_plan_unit *unit = unit_of(walk, point);
    struct tern_document *value = &walk->values[place_of(walk, point)];
    struct tern_err err;

    *value = unit->parent == TERN_PLAN_NONE ? walk->request : walk->values[unit->parent];
    walk->visited[place_of(walk, point)] = true;
    if (!unit->calls[TERN_PLAN_INPUT])
        tern_graph_done(&walk->graph, point, TERN_GRAPH_ALL);
    else if (chain(walk, unit, value, &err) != TERN_OK)
        fail_point(walk, point, &err);
    else
        call_unit(walk, point, TERN_PLAN_INPUT, value);
}

static void go_route(struct walk *walk, uint32_t point, int64_t route)
{
    const struct tern_plan_unit *unit = unit_of(walk, point);
    uint32_t way = TERN_GRAPH_ALL;
    struct tern_err err;

    if (route < NO_CHILD || route >= (int64_t)unit->n) {
        tern_fail_http(&err, TERN_INTERNAL, 500,
                       "it chose child %" PRId64 ", expected -2 to %" PRId64, route,
                       (int64_t)unit->n - 1);
        fail_point(walk, point, &err);
        return;
    }
    walk->routes[place_of(walk, point)] = route;
    if (route >= 0)
        way = (uint32_t)route;
    else if (route == NO_CHILD)
        way = walk->way->points[point].n_next - 1;
    tern_graph_done(&walk->graph, point, way);
}

static int64_t by_traffic(struct walk *walk, const struct tern_plan_unit *unit)
{
    uint32_t drawn = (uint32_t)(walk_random(walk) % 100), sum = 0, i = 0;

    for (; i + 1 < unit->n; i++) {
        sum += walk->plan->units[unit->first + i].traffic;
        if (drawn < sum)
            break;
    }
    return i;
}

static void choose(struct walk *walk, uint32_t point)
{
    const struct tern_plan_unit *unit = unit_of(walk, point);
    /* 53 random bits are a number below 1. */
    double drawn = (double)(walk_random(walk) >> 11) * 0x1p-53;

    if (unit->n == 0)
        tern_graph_done(&walk->graph, point, TERN_GRAPH_ALL);
    else if (unit->kind == TERN_PLAN_ABTEST)
        go_route(walk, point, drawn < unit->ratio ? 0 : 1);
    else if (unit->kind == TERN_PLAN_PREDICTORS)
        go_route(walk, point, by_traffic(walk, unit));
    else if (unit->calls[TERN_PLAN_ROUTE])
        call_unit(walk, point, TERN_PLAN_ROUTE, &walk->values[place_of(walk, point)]);
    else
        go_route(walk, point, ALL_CHILDREN);
}

/* {"seldonMessages": [...]} of the children that took part. */
static enum tern_code gather(struct walk *walk, const struct tern_plan_unit *unit,
                             struct tern_document *ret, struct tern_err *err)
{
    struct tern_buf text;
    bool first = true;

    tern_buf_init(&text, walk->gc->call.arena->max);
    TERN_BUF_ADD_LITERAL(&text, "{\"seldonMessages\":[");
    for (uint32_t i = 0; i < unit->n; i++) {
        if (!walk->visited[unit->first + i])
            continue;
        if (!first)
            tern_buf_add_char(&text, ',');
        first = false;
        tern_buf_add_str(&text, walk->values[unit->first + i].bytes);
    }
    TERN_BUF_ADD_LITERAL(&text, "]}");
    return walk_make(walk, &text, ret, err);
}

static void join(struct walk *walk, uint32_t point)
{
    const struct tern_plan_unit *unit = unit_of(walk, point);
    struct tern_document *value = &walk->values[place_of(walk, point)];
    uint32_t child = unit->first;
    struct tern_err err;

    if (unit->n > 0 && unit->calls[TERN_PLAN_AGGREGATE]) {
        if (gather(walk, unit, value, &err) != TERN_OK)
            fail_point(walk, point, &err);
        else
            call_unit(walk, point, TERN_PLAN_AGGREGATE, value);
        return;
    }
    while (unit->n > 0 && !walk->visited[child]) /* what leads here is one of them */
        child++;
    if (unit->n > 0)
        *value = walk->values[child];
    tern_graph_done(&walk->graph, point, TERN_GRAPH_ALL);
}

static void finish_output(struct walk *walk, uint32_t point)
{
    if (unit_of(walk, point)->parent == TERN_PLAN_NONE)
        walk->answer = walk->values[place_of(walk, point)];
    tern_graph_done(&walk->graph, point, TERN_GRAPH_ALL);
}

/* ---- feedback ---- */

static bool is_chosen(const struct walk *walk, uint32_t u)
{
    const struct tern_plan_unit *unit = &walk->plan->units[u];

    if (unit->parent == TERN_PLAN_NONE)
        return true;
    int64_t route = walk->routes[unit->parent];
    return walk->visited[unit->parent] && (route == ALL_CHILDREN || route == (int64_t)unit->index);
}

/* Which units took part in the answer that the feedback is about; parents stand before children. */
static void read_routing(struct walk *walk)
{
    struct tern_str response = member_of(walk, walk->request.bytes, "response");
    struct tern_str routing = member_of(walk, member_of(walk, response, "meta"), "routing");

    for (uint32_t u = 0; u < walk->plan->n_units; u++) {
        char name[TERN_MODEL_NAME_MAX + 1];
        int64_t route;
        walk->visited[u] = is_chosen(walk, u);
        if (tern_str_copy_z(walk->plan->units[u].name, name, sizeof(name)) &&
            first_integer(walk, member_of(walk, routing, name), &route))
            walk->routes[u] = route;
    }
}

static void tell(struct walk *walk, uint32_t point)
{
    uint32_t u = place_of(walk, point);

    if (walk->visited[u] && walk->plan->units[u].calls[TERN_PLAN_FEEDBACK])
        call_unit(walk, point, TERN_PLAN_FEEDBACK, &walk->request);
    else
        tern_graph_done(&walk->graph, point, TERN_GRAPH_ALL);
}

/* ---- the walk's ---- */

void walk_seldon_start(struct walk *walk, uint32_t point)
{
    switch (walk->way->points[point].kind) {
    case TERN_PLAN_IN:
        take_input(walk, point);
        break;
    case TERN_PLAN_CHOOSE:
        choose(walk, point);
        break;
    case TERN_PLAN_JOIN:
        join(walk, point);
        break;
    case TERN_PLAN_OUT:
        if (unit_of(walk, point)->calls[TERN_PLAN_OUTPUT])
            call_unit(walk, point, TERN_PLAN_OUTPUT, &walk->values[place_of(walk, point)]);
        else
            finish_output(walk, point);
        break;
    case TERN_PLAN_TELL:
        tell(walk, point);
        break;
    case TERN_PLAN_CALL:
    case TERN_PLAN_ENTER:
    case TERN_PLAN_LEAVE:
        break; /* KServe's */
    }
}

void walk_seldon_came(struct walk *walk, uint32_t point, const struct tern_document *answer)
{
    enum tern_plan_point_kind kind = walk->way->points[point].kind;
    struct tern_err err;
    int64_t route;

    if (!walk_is_good(answer)) { /* it is the client's answer, as it came */
        walk_decide(walk, answer);
        tern_graph_done(&walk->graph, point, TERN_GRAPH_NONE);
        return;
    }
    if (kind == TERN_PLAN_CHOOSE) {
        if (read_route(walk, answer->bytes, &route)) {
            go_route(walk, point, route);
            return;
        }
        tern_fail_http(&err, TERN_INTERNAL, 500,
                       "expected the number of a child, [1] or a message with one number");
        fail_point(walk, point, &err);
        return;
    }
    walk->values[place_of(walk, point)] = *answer;
    if (kind == TERN_PLAN_OUT || (kind == TERN_PLAN_TELL && place_of(walk, point) == 0))
        finish_output(walk, point);
    else
        tern_graph_done(&walk->graph, point, TERN_GRAPH_ALL);
}

/* The client's, that of its message, or a new one. */
static enum tern_code take_puid(struct walk *walk, struct tern_err *err)
{
    struct tern_arena *arena = walk->gc->call.arena;
    struct tern_str meta = member_of(walk, walk->request.bytes, "meta");
    struct tern_str quoted = member_of(walk, meta, "puid");
    struct tern_json json;

    walk->puid = tern_exchange_header(walk->gc->call.x, TERN_STR("seldon-puid"));
    if (walk->puid.n > 0)
        return TERN_OK;
    if (quoted.n > 2 && quoted.p[0] == '"') {
        tern_json_init(&json, quoted, arena);
        TERN_TRY(tern_json_string(&json, &walk->puid, err));
    }
    if (tern_trace_request_id_is_ok(walk->puid))
        return TERN_OK;
    uint64_t high = walk_random(walk), low = walk_random(walk);
    walk->puid = tern_arena_printf(arena, "%016" PRIx64 "%016" PRIx64, high, low);
    return walk->puid.p == NULL ? tern_arena_fail(arena, err, "an id") : TERN_OK;
}

enum tern_code walk_seldon_begin(struct walk *walk, struct tern_err *err)
{
    struct tern_arena *arena = walk->gc->call.arena;
    uint32_t n = walk->plan->n_units;

    walk->values = tern_arena_zalloc(arena, n, sizeof(*walk->values));
    walk->routes = tern_arena_zalloc(arena, n, sizeof(*walk->routes));
    walk->visited = tern_arena_zalloc(arena, n, sizeof(*walk->visited));
    if (walk->values == NULL || walk->routes == NULL || walk->visited == NULL)
        return tern_arena_fail(arena, err, "the way through a graph");
    if (!is_object(walk, walk->request.bytes))
        return tern_fail(err, TERN_INVALID_ARGUMENT, "expected a JSON object as the message");
    for (uint32_t u = 0; u < n; u++)
        walk->routes[u] = ALL_CHILDREN;
    walk->request.type = TERN_STR("application/json"); /* a form has become its message */
    if (walk->way == &walk->plan->feedback)
        read_routing(walk);
    return take_puid(walk, err);
}

/* ---- the answer's meta ---- */

static bool is_ours(struct tern_str key)
{
    return tern_str_eq(key, TERN_STR("puid")) || tern_str_eq(key, TERN_STR("routing")) ||
           tern_str_eq(key, TERN_STR("requestPath"));
}

static void add_routing(const struct walk *walk, struct tern_buf *out)
{
    const char *comma = "";

    TERN_BUF_ADD_LITERAL(out, ",\"routing\":{");
    for (uint32_t u = 0; u < walk->plan->n_units; u++) {
        const struct tern_plan_unit *unit = &walk->plan->units[u];
        bool chooses = unit->calls[TERN_PLAN_ROUTE] || unit->kind == TERN_PLAN_ABTEST ||
                       unit->kind == TERN_PLAN_PREDICTORS;
        if (!chooses || !walk->visited[u] || unit->n == 0)
            continue;
        tern_buf_printf(out, "%s", comma);
        tern_json_add_string(out, unit->name);
        tern_buf_printf(out, ":%" PRId64, walk->routes[u]);
        comma = ",";
    }
    tern_buf_add_char(out, '}');
}

static void add_path(const struct walk *walk, struct tern_buf *out)
{
    const char *comma = "";

    TERN_BUF_ADD_LITERAL(out, ",\"requestPath\":{");
    for (uint32_t u = 0; u < walk->plan->n_units; u++) {
        const struct tern_plan_unit *unit = &walk->plan->units[u];
        if (!walk->visited[u] || unit->kind == TERN_PLAN_PREDICTORS)
            continue;
        tern_buf_printf(out, "%s", comma);
        tern_json_add_string(out, unit->name);
        tern_buf_add_char(out, ':');
        tern_json_add_string(out, unit->image);
        comma = ",";
    }
    tern_buf_add_char(out, '}');
}

/* Copies the members of an object but for those that are said anew, each with a comma behind it. */
static void copy_members(const struct walk *walk, struct tern_str object,
                         bool (*is_left_out)(struct tern_str key), struct tern_buf *out)
{
    struct tern_str key, value;
    struct tern_json json;
    bool more;

    if (object.p == NULL)
        return;
    tern_json_init(&json, object, walk->gc->call.arena);
    if (tern_json_peek(&json) != TERN_JSON_OBJECT || tern_json_object(&json, NULL) != TERN_OK)
        return;
    while (tern_json_key(&json, &more, &key, NULL) == TERN_OK && more) {
        if (take_value(&json, &value, NULL) != TERN_OK)
            return;
        if (is_left_out(key))
            continue;
        tern_json_add_string(out, key);
        tern_buf_add_char(out, ':');
        tern_buf_add_str(out, value);
        tern_buf_add_char(out, ',');
    }
}

static bool is_meta(struct tern_str key)
{
    return tern_str_eq(key, TERN_STR("meta"));
}

enum tern_code walk_seldon_end(struct walk *walk, struct tern_err *err)
{
    struct tern_document *answer = &walk->answer;
    bool told = answer->status != 0;
    struct tern_buf text;

    tern_exchange_add_header(walk->gc->call.x, TERN_STR("seldon-puid"), walk->puid);
    if (told && (!walk_is_good(answer) || walk->plan->protocol != TERN_PLAN_SELDON_MESSAGES ||
                 !is_object(walk, answer->bytes)))
        return TERN_OK;
    tern_buf_init(&text, walk->gc->call.arena->max);
    tern_buf_add_char(&text, '{');
    copy_members(walk, answer->bytes, is_meta, &text);
    TERN_BUF_ADD_LITERAL(&text, "\"meta\":{");
    copy_members(walk, member_of(walk, answer->bytes, "meta"), is_ours, &text);
    TERN_BUF_ADD_LITERAL(&text, "\"puid\":");
    tern_json_add_string(&text, walk->puid);
    if (walk->way == &walk->plan->predict) {
        if (walk->plan->routes)
            add_routing(walk, &text);
        add_path(walk, &text);
    }
    TERN_BUF_ADD_LITERAL(&text, "}}");
    return walk_make(walk, &text, answer, err);
}
