#include "front/router.h"

#include <inttypes.h>
#include "base/hash.h"
#include "base/mem.h"
#include "base/num.h"
#include "wire/url.h"

#define SEGMENTS_MAX 16 /* of a path; longer ones match nothing */

enum capture {
    CAPTURE_NONE,
    CAPTURE_MODEL,
    CAPTURE_VERSION,
    CAPTURE_NAME,
};

/* One segment of a pattern. Children are a list linked through `sibling`; index 0, the root, is
 * nobody's child and stands for "none". */
struct node {
    struct tern_str key; /* borrowed from a pattern; of a capture: what follows it */
    enum capture capture;
    uint32_t child;
    uint32_t sibling;
    const struct tern_proto *proto; /* the first that came by */
    const struct tern_route *route[TERN_METHOD_OTHER];
    const struct tern_proto *route_proto[TERN_METHOD_OTHER];
    char allow[64];
    uint32_t allow_n; /* 0: no row ends here */
};

struct tern_router {
    struct node *nodes; /* owned */
    uint32_t n;
    uint32_t cap;
};

/* -- making ------------------------------------------------------------------------------- */

static uint32_t count_segments(const char *pattern)
{
    uint32_t n = 0;

    for (const char *p = pattern; *p != '\0'; p++)
        n += *p == '/';
    return n;
}

/* "{model}", or "{model}:explain": *ret_rest is what stands behind the capture. */
static enum capture capture_of(struct tern_str segment, struct tern_str *ret_rest)
{
    static const struct {
        struct tern_str text;
        enum capture capture;
    } rows[] = {
        {{"{model}", 7}, CAPTURE_MODEL},
        {{"{version}", 9}, CAPTURE_VERSION},
        {{"{name}", 6}, CAPTURE_NAME},
    };

    for (size_t i = 0; i < TERN_COUNT_OF(rows); i++) {
        if (!tern_str_starts(segment, rows[i].text))
            continue;
        *ret_rest = tern_str_from(segment, rows[i].text.n);
        return rows[i].capture;
    }
    *ret_rest = segment;
    return CAPTURE_NONE;
}

/* The child of `at` for a pattern's segment, made when it is not there. */
static uint32_t grow_child(struct tern_router *router, uint32_t at, struct tern_str segment,
                           const struct tern_proto *proto)
{
    struct tern_str key;
    enum capture capture = capture_of(segment, &key);
    uint32_t *link = &router->nodes[at].child;

    while (*link != 0) {
        struct node *child = &router->nodes[*link];
        if (child->capture == capture && tern_str_eq(child->key, key))
            return *link;
        link = &child->sibling;
    }
    *link = router->n++;
    router->nodes[*link] = (struct node){.key = key, .capture = capture, .proto = proto};
    return *link;
}

static enum tern_code add_row(struct tern_router *router, const struct tern_proto *proto,
                              const struct tern_route *route, struct tern_err *err)
{
    struct tern_str rest = tern_str_of(route->pattern + 1), segment;
    uint32_t at = 0;

    if (count_segments(route->pattern) > SEGMENTS_MAX || route->method >= TERN_METHOD_OTHER)
        return tern_fail(err, TERN_INTERNAL, "the row %s of %s cannot be routed", route->pattern,
                         proto->name);
    while (tern_str_split(&rest, '/', &segment))
        at = grow_child(router, at, segment, proto);
    struct node *node = &router->nodes[at];
    const struct tern_proto *taken = node->route_proto[route->method];
    if (taken != NULL)
        return tern_fail(err, TERN_ALREADY_EXISTS,
                         "%s and %s both claim %s %s: a listener can speak only one of them",
                         taken->name, proto->name, tern_method_name(route->method), route->pattern);
    node->route[route->method] = route;
    node->route_proto[route->method] = proto;
    return TERN_OK;
}

static void add_allowed(struct node *node, enum tern_method method)
{
    struct tern_str name = tern_str_of(tern_method_name(method));

    if (node->allow_n > 0) {
        memcpy(node->allow + node->allow_n, ", ", 2);
        node->allow_n += 2;
    }
    memcpy(node->allow + node->allow_n, name.p, name.n);
    node->allow_n += (uint32_t)name.n;
}

/* All seven names with their separators take 46 bytes of allow. */
static void finish_node(struct node *node)
{
    bool any = false;

    for (unsigned m = 0; m < TERN_METHOD_OTHER; m++)
        any = any || node->route[m] != NULL;
    if (node->route[TERN_METHOD_HEAD] == NULL) {
        node->route[TERN_METHOD_HEAD] = node->route[TERN_METHOD_GET];
        node->route_proto[TERN_METHOD_HEAD] = node->route_proto[TERN_METHOD_GET];
    }
    for (unsigned m = 0; any && m < TERN_METHOD_OTHER; m++) {
        if (node->route[m] != NULL || m == TERN_METHOD_OPTIONS)
            add_allowed(node, (enum tern_method)m);
    }
}

static enum tern_code fill(struct tern_router *router, const struct tern_proto *const *protos,
                           size_t n, struct tern_err *err)
{
    for (size_t i = 0; i < n; i++) {
        for (uint32_t r = 0; r < protos[i]->n_routes; r++)
            TERN_TRY(add_row(router, protos[i], &protos[i]->routes[r], err));
    }
    for (uint32_t i = 0; i < router->n; i++)
        finish_node(&router->nodes[i]);
    return TERN_OK;
}

enum tern_code tern_router_new(const struct tern_proto *const *protos, size_t n,
                               struct tern_router **ret_router, struct tern_err *err)
{
    struct tern_router *router = tern_mem_zalloc(1, sizeof(*router));

    if (router == NULL)
        return tern_mem_fail(err, "the router", sizeof(*router));
    router->cap = 1;
    for (size_t i = 0; i < n; i++) {
        for (uint32_t r = 0; r < protos[i]->n_routes; r++)
            router->cap += count_segments(protos[i]->routes[r].pattern);
    }
    router->nodes = tern_mem_zalloc(router->cap, sizeof(router->nodes[0]));
    if (router->nodes == NULL) {
        enum tern_code code =
            tern_mem_fail(err, "the route table", router->cap * sizeof(struct node));
        tern_router_free(router);
        return code;
    }
    router->n = 1;
    router->nodes[0].proto = protos[0];
    enum tern_code code = fill(router, protos, n, err);
    if (code != TERN_OK) {
        tern_router_free(router);
        return code;
    }
    *ret_router = router;
    return TERN_OK;
}

void tern_router_free(struct tern_router *router)
{
    if (router == NULL)
        return;
    tern_mem_free(router->nodes);
    tern_mem_free(router);
}

/* -- matching ----------------------------------------------------------------------------- */

/* A path cut into decoded segments; those that were encoded lie one after the other in bytes. */
struct segments {
    struct tern_str at[SEGMENTS_MAX];
    uint32_t n;
    char bytes[TERN_ROUTER_SEGMENT_MAX];
};

struct captures {
    struct tern_str model;
    struct tern_str version;
    struct tern_str name;
    bool has_model;
    bool has_version;
    bool has_name;
};

static const struct node *literal_of(const struct tern_router *router, const struct node *node,
                                     struct tern_str segment)
{
    for (uint32_t i = node->child; i != 0; i = router->nodes[i].sibling) {
        const struct node *child = &router->nodes[i];
        if (child->capture == CAPTURE_NONE && tern_str_eq(child->key, segment))
            return child;
    }
    return NULL;
}

/* Of several, the one that leaves the least to the capture. */
static const struct node *capture_child_of(const struct tern_router *router,
                                           const struct node *node, struct tern_str segment)
{
    const struct node *best = NULL;

    for (uint32_t i = node->child; i != 0; i = router->nodes[i].sibling) {
        const struct node *child = &router->nodes[i];
        if (child->capture != CAPTURE_NONE && tern_str_ends(segment, child->key) &&
            (best == NULL || child->key.n > best->key.n))
            best = child;
    }
    return best;
}

static void keep_capture(struct captures *captures, const struct node *node, struct tern_str value)
{
    value.n -= node->capture == CAPTURE_NONE ? 0 : node->key.n;
    if (node->capture == CAPTURE_MODEL) {
        captures->model = value;
        captures->has_model = true;
    } else if (node->capture == CAPTURE_VERSION) {
        captures->version = value;
        captures->has_version = true;
    } else if (node->capture == CAPTURE_NAME) {
        captures->name = value;
        captures->has_name = true;
    }
}

/* Depth first over the two ways each segment can go: the literal one, then the capture.
 * *ret_deepest is the last node of the longest prefix that matched. */
static const struct node *walk(const struct tern_router *router, const struct segments *segments,
                               struct captures *captures, const struct node **ret_deepest)
{
    const struct node *path[SEGMENTS_MAX + 1];
    uint32_t depth = 0, deepest = 0;
    bool capture = false; /* the way to try next from path[depth] */

    path[0] = *ret_deepest = &router->nodes[0];
    for (;;) {
        const struct node *next = NULL;
        if (depth < segments->n) {
            next = capture ? capture_child_of(router, path[depth], segments->at[depth])
                           : literal_of(router, path[depth], segments->at[depth]);
        } else if (path[depth]->allow_n > 0) {
            for (uint32_t i = 0; i < depth; i++)
                keep_capture(captures, path[i + 1], segments->at[i]);
            return path[depth];
        }
        if (next != NULL) {
            path[++depth] = next;
            capture = false;
            if (depth > deepest) {
                deepest = depth;
                *ret_deepest = next;
            }
        } else if (!capture && depth < segments->n) {
            capture = true;
        } else {
            /* Back to the last segment that went the literal way. */
            while (depth > 0 && path[depth]->capture != CAPTURE_NONE)
                depth--;
            if (depth == 0)
                return NULL;
            depth--;
            capture = true;
        }
    }
}

/* Keeps a value that may be decoded, and then lies in memory that ends with the match. */
static struct tern_str keep(struct tern_str value, struct tern_str raw_path, char *dst)
{
    if (value.n == 0 || (value.p >= raw_path.p && value.p < raw_path.p + raw_path.n))
        return value;
    memcpy(dst, value.p, value.n);
    return tern_str_make(dst, value.n);
}

/* Whether the segment after those in `segments` would be a model name. */
static bool model_is_next(const struct tern_router *router, const struct segments *segments)
{
    const struct node *node = &router->nodes[0];

    for (uint32_t i = 0; i < segments->n && node != NULL; i++) {
        const struct node *literal = literal_of(router, node, segments->at[i]);
        node = literal != NULL ? literal : capture_child_of(router, node, segments->at[i]);
    }
    const struct node *next =
        node == NULL ? NULL : capture_child_of(router, node, tern_str_make("", 0));
    return next != NULL && next->capture == CAPTURE_MODEL;
}

static enum tern_code cut(const struct tern_router *router, struct tern_str raw_path,
                          struct segments *ret, struct tern_err *err)
{
    struct tern_str rest = tern_str_from(raw_path, 1), raw;
    size_t used = 0;

    if (rest.p == NULL)
        rest = tern_str_make("", 0); /* "/" is one empty segment */
    while (tern_str_split(&rest, '/', &raw)) {
        struct tern_str *segment = &ret->at[ret->n];
        char *dst = ret->bytes + used;
        size_t room = sizeof(ret->bytes) - used;
        if (ret->n == SEGMENTS_MAX)
            return tern_fail(err, TERN_NOT_FOUND, "no such path: it has more than %d segments",
                             SEGMENTS_MAX);
        if (tern_url_segment("path", raw, dst, room, segment, err) != TERN_OK)
            return tern_url_segment(model_is_next(router, ret) ? "model name" : "path", raw, dst,
                                    room, segment, err);
        if (segment->p == dst)
            used += segment->n;
        ret->n++;
    }
    return TERN_OK;
}

static enum tern_code take_model(struct tern_str model, struct tern_str raw_path,
                                 struct tern_match *ret, struct tern_err *err)
{
    if (model.n == 0)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "Model name cannot be empty. Please enter a valid name to deploy.");
    if (!tern_model_name_is_valid(model))
        return tern_fail(err, TERN_NOT_FOUND, "Request for unknown model: '%.*s' is not found",
                         TERN_STR_ARG(model));
    ret->model = keep(model, raw_path, ret->decoded_model);
    return TERN_OK;
}

static enum tern_code take_captures(const struct captures *captures, struct tern_str raw_path,
                                    struct tern_match *ret, struct tern_err *err)
{
    uint64_t version;

    if (captures->has_model)
        TERN_TRY(take_model(captures->model, raw_path, ret, err));
    if (captures->has_version) {
        if (!tern_num_parse_u64(captures->version, INT64_MAX, &version) || version == 0)
            return tern_fail(err, TERN_INVALID_ARGUMENT,
                             "model version must be a decimal integer above 0, got '%.*s'",
                             TERN_STR_ARG(captures->version));
        ret->version = (int64_t)version;
    }
    if (captures->has_name && captures->name.n == 0)
        return tern_fail(err, TERN_NOT_FOUND, "no such path: %.*s has an empty name",
                         TERN_STR_ARG(raw_path));
    ret->name = keep(captures->name, raw_path, ret->decoded_name);
    return TERN_OK;
}

enum tern_code tern_router_match(const struct tern_router *router, enum tern_method method,
                                 struct tern_str raw_path, struct tern_match *ret,
                                 struct tern_err *err)
{
    TERN_UNINITIALIZED struct segments segments;
    struct captures captures = {.has_model = false};
    const struct node *deepest;

    ret->route = NULL;
    ret->proto = router->nodes[0].proto;
    ret->model = ret->name = ret->allow = tern_str_make(NULL, 0);
    ret->version = 0;
    if (tern_str_eq(raw_path, TERN_STR("*")) && method == TERN_METHOD_OPTIONS) {
        ret->allow = TERN_STR("GET, HEAD, POST, OPTIONS");
        return TERN_OK;
    }
    if (raw_path.n == 0 || raw_path.p[0] != '/')
        return tern_fail(err, TERN_INVALID_ARGUMENT, "the path must start with '/'");
    segments.n = 0;
    TERN_TRY(cut(router, raw_path, &segments, err));
    const struct node *node = walk(router, &segments, &captures, &deepest);
    ret->proto = deepest->proto;
    if (node == NULL)
        return tern_fail(err, TERN_NOT_FOUND, "no such path: %.*s", TERN_STR_ARG(raw_path));
    const struct tern_route *route = method < TERN_METHOD_OTHER ? node->route[method] : NULL;
    if (route == NULL) {
        ret->allow = tern_str_make(node->allow, node->allow_n);
        if (method == TERN_METHOD_OPTIONS)
            return TERN_OK;
        const char *name = method < TERN_METHOD_OTHER ? tern_method_name(method) : "of that name";
        return tern_fail_http(err, TERN_UNIMPLEMENTED, 405,
                              "method %s is not allowed for this path, expected one of: %s", name,
                              node->allow);
    }
    TERN_TRY(take_captures(&captures, raw_path, ret, err));
    ret->proto = node->route_proto[method];
    ret->route = route;
    return TERN_OK;
}

/* -- remembering -------------------------------------------------------------------------- */

static void remember(const struct tern_router *router, struct tern_router_memo_row *row,
                     enum tern_method method, struct tern_str raw_path,
                     const struct tern_match *match)
{
    bool is_decoded = match->model.p == match->decoded_model;

    if (match->route == NULL || is_decoded || match->name.n > 0 ||
        raw_path.n > TERN_ROUTER_MEMO_PATH)
        return;
    row->router = router;
    row->route = match->route;
    row->proto = match->proto;
    row->version = match->version;
    row->method = method;
    row->n_path = (uint8_t)raw_path.n;
    row->model_at = match->model.n == 0 ? 0 : (uint8_t)(match->model.p - raw_path.p);
    row->n_model = (uint8_t)match->model.n;
    memcpy(row->path, raw_path.p, raw_path.n);
}

enum tern_code tern_router_recall(const struct tern_router *router, struct tern_router_memo *memo,
                                  enum tern_method method, struct tern_str raw_path,
                                  struct tern_match *ret, struct tern_err *err)
{
    size_t slot = tern_hash_bytes(raw_path, (uintptr_t)router) % TERN_ROUTER_MEMO_ROWS;
    struct tern_router_memo_row *row = &memo->rows[slot];
    struct tern_str path = tern_str_make(row->path, row->n_path);

    if (TERN_LIKELY(row->router == router && row->route != NULL && row->method == method &&
                    tern_str_eq(path, raw_path))) {
        ret->route = row->route;
        ret->proto = row->proto;
        ret->version = row->version;
        ret->model = tern_str_make(raw_path.p + row->model_at, row->n_model);
        ret->name = ret->allow = tern_str_make(NULL, 0);
        return TERN_OK;
    }
    TERN_TRY(tern_router_match(router, method, raw_path, ret, err));
    remember(router, row, method, raw_path, ret);
    return TERN_OK;
}

/* -- printing ----------------------------------------------------------------------------- */

static const char *access_name(enum tern_access access)
{
    static const char *const names[] = {
        [TERN_ACCESS_OPEN] = "open",       [TERN_ACCESS_READ] = "read",
        [TERN_ACCESS_INFER] = "infer",     [TERN_ACCESS_OBSERVE] = "observe",
        [TERN_ACCESS_CONTROL] = "control",
    };
    return names[access];
}

void tern_router_print_doc(const struct tern_proto *const *protos, size_t n, struct tern_buf *out)
{
    TERN_BUF_ADD_LITERAL(out, "# Routes\n\n"
                              "Generated from the route tables in src/proto. Every GET route "
                              "answers HEAD, every route OPTIONS.\n");
    for (size_t i = 0; i < n; i++) {
        const struct tern_proto *proto = protos[i];
        tern_buf_printf(out,
                        "\n## %s\n\n%s\n\n| Method | Path | Operation | Access | What it does |\n"
                        "| --- | --- | --- | --- | --- |\n",
                        proto->name, proto->help);
        for (uint32_t r = 0; r < proto->n_routes; r++) {
            const struct tern_route *route = &proto->routes[r];
            tern_buf_printf(out, "| %s | `%s` | %s | %s | %s |\n", tern_method_name(route->method),
                            route->pattern, tern_op_label(route->op),
                            access_name(tern_op_access(route->op)), route->help);
        }
    }
}

void tern_router_print_welcome(const struct tern_proto *const *protos, size_t n,
                               struct tern_buf *out)
{
    TERN_BUF_ADD_LITERAL(out, "Tern, a model server. It answers:\n");
    for (size_t i = 0; i < n; i++) {
        tern_buf_printf(out, "\n%s\n", protos[i]->help);
        for (uint32_t r = 0; r < protos[i]->n_routes; r++) {
            const struct tern_route *route = &protos[i]->routes[r];
            tern_buf_printf(out, "  %-5s %-50s %s\n", tern_method_name(route->method),
                            route->pattern, route->help);
        }
    }
}
