#include "engine/native/sklearn/skops_schema.h"

#include "base/compiler.h"
#include "wire/json.h"

/* Where the reader is within a node: among the members of its object, or within its content, which
 * is a list of nodes or names of nodes. */
enum where { IN_NODE, IN_LIST, IN_MAP };

struct frame {
    struct tern_skops_node *node;
    struct tern_str loader;
    enum where where;
    uint32_t seen; /* members of the node's object */
};

struct reader {
    struct tern_json json;
    struct tern_arena *arena;
    struct frame frames[TERN_SKOPS_DEPTH_MAX];
    uint32_t depth, n_nodes;
};

/* ---- the tree ---- */

static enum tern_code push(struct reader *r, struct tern_str key, struct tern_err *err)
{
    struct tern_skops_node *parent = r->depth == 0 ? NULL : r->frames[r->depth - 1].node;

    if (r->depth == TERN_SKOPS_DEPTH_MAX)
        return tern_json_fail(&r->json, err, "expected objects within each other at most %d times",
                              TERN_SKOPS_DEPTH_MAX);
    if (r->n_nodes == TERN_SKOPS_NODES_MAX)
        return tern_fail(err, TERN_RESOURCE_EXHAUSTED, "more than %u objects",
                         TERN_SKOPS_NODES_MAX);
    struct tern_skops_node *node = tern_arena_zalloc(r->arena, 1, sizeof(*node));
    if (node == NULL)
        return tern_arena_fail(r->arena, err, "the schema");
    node->key = key;
    node->parent = parent;
    if (parent != NULL) {
        node->index = parent->n++;
        if (parent->last == NULL)
            parent->first = node;
        else
            parent->last->next = node;
        parent->last = node;
    }
    r->n_nodes++;
    r->frames[r->depth++] = (struct frame){.node = node, .where = IN_NODE};
    return tern_json_object(&r->json, err);
}

static enum tern_skops_kind kind_of(struct tern_str loader)
{
    static const struct {
        struct tern_str loader;
        enum tern_skops_kind kind;
    } rows[] = {
        {{"JsonNode", 8}, TERN_SKOPS_VALUE},     {{"ListNode", 8}, TERN_SKOPS_LIST},
        {{"TupleNode", 9}, TERN_SKOPS_LIST},     {{"SetNode", 7}, TERN_SKOPS_LIST},
        {{"DictNode", 8}, TERN_SKOPS_DICT},      {{"ObjectNode", 10}, TERN_SKOPS_OBJECT},
        {{"TreeNode", 8}, TERN_SKOPS_OBJECT},    {{"LossNode", 8}, TERN_SKOPS_OBJECT},
        {{"TypeNode", 8}, TERN_SKOPS_NAME},      {{"FunctionNode", 12}, TERN_SKOPS_NAME},
        {{"NdArrayNode", 11}, TERN_SKOPS_ARRAY}, {{"MaskedArrayNode", 15}, TERN_SKOPS_OTHER},
    };
    for (size_t i = 0; i < TERN_COUNT_OF(rows); i++)
        if (tern_str_eq(loader, rows[i].loader))
            return rows[i].kind;
    return TERN_SKOPS_OTHER;
}

/* An object's only child is its state: the entries of that dictionary become its own. */
static void take_state(struct tern_skops_node *node)
{
    struct tern_skops_node *state = node->first;

    if (node->n != 1 || state->kind != TERN_SKOPS_DICT || state->key.n != 0)
        return;
    node->first = state->first;
    node->last = state->last;
    node->n = state->n;
    for (struct tern_skops_node *child = node->first; child != NULL; child = child->next)
        child->parent = node;
}

static enum tern_code finish_node(struct reader *r, struct tern_err *err)
{
    const struct frame *frame = &r->frames[--r->depth];
    struct tern_skops_node *node = frame->node;

    if (frame->loader.n == 0 || node->name.n == 0)
        return tern_json_fail(&r->json, err, "expected '%s' in the object that ends",
                              node->name.n == 0 ? "__class__" : "__loader__");
    node->kind = kind_of(frame->loader);
    if (node->kind == TERN_SKOPS_OBJECT)
        take_state(node);
    /* What has no member of the archive has its elements in the schema. */
    if (node->kind == TERN_SKOPS_ARRAY && node->text.n == 0)
        node->kind = TERN_SKOPS_OBJECTS;
    return TERN_OK;
}

/* ---- members of a node's object ---- */

enum member { CLASS, MODULE, LOADER, CONTENT, FILE_NAME, SHAPE, MEMBERS };

static const struct tern_str members[MEMBERS] = {
    [CLASS] = {"__class__", 9}, [MODULE] = {"__module__", 10}, [LOADER] = {"__loader__", 10},
    [CONTENT] = {"content", 7}, [FILE_NAME] = {"file", 4},     [SHAPE] = {"shape", 5},
};

/* Whether the object that comes is a node, or names nodes: a node begins with its class. */
static enum tern_code is_node(const struct reader *r, bool *ret, struct tern_err *err)
{
    struct tern_json ahead = r->json;
    struct tern_str key = {NULL, 0};
    bool more = false;

    TERN_TRY(tern_json_object(&ahead, err));
    TERN_TRY(tern_json_key(&ahead, &more, &key, err));
    *ret = more && tern_str_eq(key, members[CLASS]);
    return TERN_OK;
}

static enum tern_code read_content(struct reader *r, struct frame *frame, struct tern_err *err)
{
    bool nested = false;

    switch ((int)tern_json_peek(&r->json)) {
    case TERN_JSON_STRING:
        return tern_json_string(&r->json, &frame->node->text, err);
    case TERN_JSON_ARRAY:
        frame->where = IN_LIST;
        return tern_json_array(&r->json, err);
    case TERN_JSON_OBJECT:
        TERN_TRY(is_node(r, &nested, err));
        if (nested)
            return push(r, TERN_STR(""), err);
        frame->where = IN_MAP;
        return tern_json_object(&r->json, err);
    default:
        return tern_json_skip(&r->json, err);
    }
}

static enum tern_code read_text(struct reader *r, struct tern_str *ret, struct tern_err *err)
{
    if (tern_json_peek(&r->json) != TERN_JSON_STRING)
        return tern_json_skip(&r->json, err);
    return tern_json_string(&r->json, ret, err);
}

static enum tern_code read_member(struct reader *r, struct frame *frame, struct tern_err *err)
{
    struct tern_str key = {NULL, 0};
    bool more = false;
    unsigned i = 0;

    TERN_TRY(tern_json_key(&r->json, &more, &key, err));
    if (!more)
        return finish_node(r, err);
    while (i < MEMBERS && !tern_str_eq(key, members[i]))
        i++;
    if (i < MEMBERS)
        TERN_TRY(tern_json_once(&r->json, &frame->seen, i, key, err));
    switch (i) {
    case CLASS:
        return read_text(r, &frame->node->name, err);
    case MODULE:
        return read_text(r, &frame->node->module, err);
    case LOADER:
        return read_text(r, &frame->loader, err);
    case CONTENT:
        return read_content(r, frame, err);
    case FILE_NAME:
        return read_text(r, &frame->node->text, err);
    case SHAPE:
        if (tern_json_peek(&r->json) == TERN_JSON_OBJECT)
            return push(r, key, err);
        break;
    default:
        break;
    }
    return tern_json_skip(&r->json, err);
}

/* ---- children ---- */

/* What is no object is nothing that is looked at; in lists it keeps its place. */
static enum tern_code read_child(struct reader *r, struct tern_str key, struct tern_err *err)
{
    if (tern_json_peek(&r->json) == TERN_JSON_OBJECT)
        return push(r, key, err);
    return tern_json_skip(&r->json, err);
}

static enum tern_code read_item(struct reader *r, struct frame *frame, struct tern_err *err)
{
    bool more = false;

    TERN_TRY(tern_json_item(&r->json, &more, err));
    if (more && tern_json_peek(&r->json) != TERN_JSON_OBJECT)
        return tern_json_fail(&r->json, err, "expected an object");
    if (more)
        return read_child(r, TERN_STR(""), err);
    frame->where = IN_NODE;
    return TERN_OK;
}

static enum tern_code read_entry(struct reader *r, struct frame *frame, struct tern_err *err)
{
    struct tern_str key = {NULL, 0};
    bool more = false;

    TERN_TRY(tern_json_key(&r->json, &more, &key, err));
    if (more)
        return read_child(r, key, err);
    frame->where = IN_NODE;
    return TERN_OK;
}

/* ---- the file ---- */

/* The root's object carries it, anywhere: it is looked for first. */
static enum tern_code check_protocol(struct reader *r, struct tern_err *err)
{
    struct tern_json json = r->json;
    struct tern_json_number number = {.int64 = 0};
    struct tern_str key = {NULL, 0};
    bool more = false, found = false;

    TERN_TRY(tern_json_object(&json, err));
    for (;;) {
        TERN_TRY(tern_json_key(&json, &more, &key, err));
        if (!more)
            break;
        if (!tern_str_eq(key, TERN_STR("protocol"))) {
            TERN_TRY(tern_json_skip(&json, err));
            continue;
        }
        TERN_TRY(tern_json_number(&json, &number, err));
        found = true;
    }
    if (!found)
        return tern_json_fail(&json, err, "expected 'protocol' in the file that ends");
    if (number.kind != TERN_JSON_INT64 || number.int64 < 0 ||
        number.int64 > TERN_SKOPS_PROTOCOL_MAX)
        return tern_fail(err, TERN_UNIMPLEMENTED,
                         "the file is of another protocol than 0 to %d, which are read",
                         TERN_SKOPS_PROTOCOL_MAX);
    return TERN_OK;
}

static enum tern_code walk(struct reader *r, struct tern_skops_node **ret_root,
                           struct tern_err *err)
{
    TERN_TRY(check_protocol(r, err));
    TERN_TRY(push(r, TERN_STR(""), err));
    *ret_root = r->frames[0].node;
    while (r->depth > 0) {
        struct frame *frame = &r->frames[r->depth - 1];
        if (frame->where == IN_NODE)
            TERN_TRY(read_member(r, frame, err));
        else if (frame->where == IN_LIST)
            TERN_TRY(read_item(r, frame, err));
        else
            TERN_TRY(read_entry(r, frame, err));
    }
    return tern_json_end(&r->json, err);
}

enum tern_code tern_skops_schema_read(struct tern_str text, struct tern_arena *arena,
                                      struct tern_skops_node **ret_root, struct tern_err *err)
{
    struct reader r = {.arena = arena};

    tern_json_init(&r.json, text, arena);
    r.json.depth_max = TERN_JSON_DEPTH_MAX;
    enum tern_code code = walk(&r, ret_root, err);
    if (code != TERN_OK)
        tern_err_prefix(err, "schema.json");
    return code;
}
