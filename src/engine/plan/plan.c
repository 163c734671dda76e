#include "engine/plan/plan.h"

#include <stdio.h>
#include <string.h>
#include "base/mem.h"
#include "base/num.h"
#include "conf/yaml.h"
#include "engine/plan/plan_int.h"
#include "os/curl.h"
#include "os/file.h"
#include "wire/url.h"

/* ---- reading, for both forms ---- */

void plan_problem(struct plan_reader *r, const struct tern_tree *at, const char *fmt, ...)
{
    char text[TERN_ERR_TEXT_MAX];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    tern_problem_add(r->problems, tern_problem_place(r->problems, r->file, at->line, at->column),
                     "%s", text);
}

void *plan_alloc(struct plan_reader *r, size_t count, size_t size)
{
    void *p = tern_arena_zalloc(r->arena, count, size);

    if (p == NULL && !r->failed) {
        r->failed = true;
        tern_problem_add(r->problems, r->file, "no memory for the graph");
    }
    return p;
}

const struct tern_tree *plan_get(struct plan_reader *r, const struct tern_tree *map,
                                 const char *key, enum tern_tree_kind kind, bool required)
{
    static const char *const names[] = {"a value", "a map", "a list"};
    const struct tern_tree *node = tern_tree_find(map, tern_str_of(key));

    if (node != NULL && tern_tree_is_null(node))
        node = NULL;
    if (node == NULL && required)
        plan_problem(r, map, "%s is missing", key);
    if (node == NULL || node->kind == kind)
        return node;
    plan_problem(r, node, "%s: expected %s, got %s", key, names[kind], names[node->kind]);
    return NULL;
}

struct tern_str plan_get_text(struct plan_reader *r, const struct tern_tree *map, const char *key,
                              bool required)
{
    const struct tern_tree *node = plan_get(r, map, key, TERN_TREE_SCALAR, required);

    if (node == NULL)
        return TERN_STR("");
    if (node->text.n == 0)
        plan_problem(r, node, "%s is empty", key);
    struct tern_str text = tern_arena_copy(r->arena, node->text);
    return text.p == NULL ? TERN_STR("") : text;
}

bool plan_get_bool(struct plan_reader *r, const struct tern_tree *map, const char *key)
{
    const struct tern_tree *node = plan_get(r, map, key, TERN_TREE_SCALAR, false);

    if (node == NULL || tern_str_eq(node->text, TERN_STR("false")))
        return false;
    if (!tern_str_eq(node->text, TERN_STR("true")))
        plan_problem(r, node, "%s: expected true or false, got \"%.*s\"", key,
                     TERN_STR_ARG(node->text));
    return true;
}

uint32_t plan_get_number(struct plan_reader *r, const struct tern_tree *map, const char *key,
                         uint32_t max, bool *ret_given)
{
    const struct tern_tree *node = plan_get(r, map, key, TERN_TREE_SCALAR, false);
    uint64_t number = 0;

    *ret_given = node != NULL;
    if (node != NULL && !tern_num_parse_u64(node->text, max, &number))
        plan_problem(r, node, "%s: expected a number up to %u, got \"%.*s\"", key, max,
                     TERN_STR_ARG(node->text));
    return (uint32_t)number;
}

void plan_check_keys(struct plan_reader *r, const struct tern_tree *map, const char *const *known)
{
    for (const struct tern_tree *entry = map->first; entry != NULL; entry = entry->next) {
        const char *const *key = known;
        while (*key != NULL && !tern_str_eq(entry->key, tern_str_of(*key)))
            key++;
        if (*key == NULL)
            plan_problem(r, entry, "there is no field \"%.*s\" here", TERN_STR_ARG(entry->key));
    }
}

void plan_read_url(struct plan_reader *r, const struct tern_tree *at, struct tern_str url,
                   struct tern_plan_endpoint *endpoint)
{
    static const struct tern_str here = {"http://localhost", 16};
    struct tern_str rest = tern_str_from(url, here.n);
    struct tern_err err;

    if (tern_url_check_http(url, &err) != TERN_OK) {
        plan_problem(r, at, "%s", err.text);
    } else if (tern_str_starts(url, here) && rest.n > 0 && rest.p[0] == '/') {
        size_t query = tern_str_find(rest, '?');
        endpoint->path = tern_str_make(rest.p, query);
        endpoint->query = tern_str_from(rest, query + 1);
    } else if (tern_str_eq(url, here)) {
        plan_problem(r, at, "%.*s: this server is asked at a path", TERN_STR_ARG(url));
    } else {
        endpoint->url = url.p; /* copied with a zero after it */
        r->plan->has_remote = true;
    }
}

void plan_link(struct tern_plan_way *way, uint32_t from, uint32_t to)
{
    struct tern_plan_point *point = &way->points[from];
    uint32_t *next;

    memcpy(&next, &point->next, sizeof(next)); /* ours until the plan is done */
    next[point->n_next++] = to;
    way->points[to].n_before++;
}

bool plan_make_way(struct plan_reader *r, struct tern_plan_way *way, uint32_t n,
                   const uint32_t *rooms)
{
    size_t room = 0;

    way->points = plan_alloc(r, n, sizeof(*way->points));
    for (uint32_t i = 0; i < n; i++)
        room += rooms[i];
    uint32_t *next = plan_alloc(r, room + 1, sizeof(*next));
    if (way->points == NULL || next == NULL)
        return false;
    way->n = n;
    for (uint32_t i = 0; i < n; i++) {
        way->points[i].next = next;
        next += rooms[i];
    }
    return true;
}

/* [a-z]([-a-z0-9]*[a-z0-9])? */
static bool is_name(struct tern_str name)
{
    bool good = name.n > 0 && name.p[0] >= 'a' && name.p[0] <= 'z' && name.p[name.n - 1] != '-';

    for (size_t i = 0; i < name.n && good; i++) {
        char c = name.p[i];
        good = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
    }
    return good;
}

/* The name that KServe's users gave it; ours is that of the folder. */
static void check_metadata(struct plan_reader *r, const struct tern_tree *root)
{
    const struct tern_tree *metadata = plan_get(r, root, "metadata", TERN_TREE_MAP, false);
    struct tern_str name =
        metadata == NULL ? TERN_STR("") : plan_get_text(r, metadata, "name", false);

    if (name.n > 0 && !is_name(name))
        plan_problem(r, metadata,
                     "metadata.name: expected a-z, 0-9 and -, beginning with a letter and not "
                     "ending with -, got \"%.*s\"",
                     TERN_STR_ARG(name));
}

static void read_form(struct plan_reader *r, const struct tern_tree *root)
{
    static const char *const fields[] = {"apiVersion", "kind", "metadata", "spec", "status", NULL};
    const struct tern_tree *spec = root;

    if (tern_tree_find(root, TERN_STR("kind")) != NULL) {
        struct tern_str kind = plan_get_text(r, root, "kind", true);
        plan_check_keys(r, root, fields);
        if (!tern_str_eq(kind, TERN_STR("InferenceGraph")) &&
            !tern_str_eq(kind, TERN_STR("SeldonDeployment")))
            plan_problem(r, root, "kind: expected InferenceGraph or SeldonDeployment, got \"%.*s\"",
                         TERN_STR_ARG(kind));
        check_metadata(r, root);
        spec = plan_get(r, root, "spec", TERN_TREE_MAP, true);
    }
    if (spec == NULL)
        return;
    if (tern_tree_find(spec, TERN_STR("nodes")) != NULL)
        plan_read_kserve(r, spec);
    else if (tern_tree_find(spec, TERN_STR("predictors")) != NULL ||
             tern_tree_find(spec, TERN_STR("graph")) != NULL)
        plan_read_seldon(r, spec);
    else
        plan_problem(r, spec,
                     "expected nodes (an InferenceGraph), or predictors or graph (a "
                     "SeldonDeployment)");
}

const struct tern_plan *tern_plan_read(const struct tern_tree *root, struct tern_str file,
                                       struct tern_arena *arena, struct tern_problems *problems)
{
    struct plan_reader r = {.file = file, .arena = arena, .problems = problems};

    r.plan = plan_alloc(&r, 1, sizeof(*r.plan));
    if (r.plan == NULL)
        return NULL;
    read_form(&r, root);
    return tern_problem_any(problems) ? NULL : r.plan;
}

/* ---- the engine ---- */

static const char *const file_names[] = {"graph.yaml", "graph.yml", "graph.json", NULL};

static enum tern_code available(struct tern_err *err)
{
    (void)err;
    return TERN_OK;
}

static int probe(const char *file_name, struct tern_str head)
{
    (void)head;
    for (const char *const *name = file_names; *name != NULL; name++) {
        if (strcmp(file_name, *name) == 0)
            return 100;
    }
    return 0;
}

static const struct tern_plan *read_text(struct tern_str name, struct tern_str text,
                                         struct tern_arena *arena, struct tern_problems *problems)
{
    enum tern_yaml_form form =
        tern_str_ends(name, TERN_STR(".json")) ? TERN_YAML_FORM_JSON : TERN_YAML_FORM_YAML;
    struct tern_str kept = tern_arena_copy(arena, text);
    struct tern_str file = tern_arena_copy(arena, name);

    if (kept.p == NULL || file.p == NULL) {
        tern_problem_add(problems, name, "no memory to read it");
        return NULL;
    }
    const struct tern_tree *root = tern_yaml_read(kept, form, file, arena, problems);
    return root == NULL ? NULL : tern_plan_read(root, file, arena, problems);
}

/* "iris/graph.yaml", "iris/2/graph.yaml": enough to find it, and no path of this machine. */
static struct tern_str place_of(const char *path)
{
    struct tern_str all = tern_str_of(path), name = tern_file_base_name(path);
    size_t at = (size_t)(name.p - path);
    uint64_t number;

    for (int pieces = 0; at > 1 && pieces < 2; pieces++) {
        size_t end = --at;
        while (at > 0 && path[at - 1] != '/')
            at--;
        if (!tern_num_parse_u64(tern_str_make(path + at, end - at), INT64_MAX, &number))
            break;
    }
    return tern_str_from(all, at);
}

static const struct tern_plan *read_file(const char *path, struct tern_arena *arena,
                                         struct tern_problems *problems)
{
    struct tern_str name = place_of(path);
    struct tern_err err;
    char *bytes;
    size_t n;

    if (tern_file_read(path, TERN_YAML_TEXT_MAX, 0, &bytes, &n, &err) != TERN_OK) {
        tern_problem_add(problems, name, "%s", err.text);
        return NULL;
    }
    const struct tern_plan *plan = read_text(name, tern_str_make(bytes, n), arena, problems);
    tern_mem_free(bytes);
    return plan;
}

static void check(const char *path, struct tern_arena *arena, struct tern_problems *problems)
{
    read_file(path, arena, problems);
}

static enum tern_code load(const struct tern_engine_load *spec, struct tern_arena *arena,
                           struct tern_engine_model *ret_model, struct tern_err *err)
{
    struct tern_problems problems;

    tern_problem_init(&problems, arena);
    const struct tern_plan *plan = read_file(spec->path, arena, &problems);
    TERN_TRY(tern_problem_fail(&problems, err));
    if (plan->has_remote)
        TERN_TRY(tern_curl_load("a graph with steps on other servers", err));
    *ret_model = (struct tern_engine_model){
        .ops = &tern_plan_engine,
        .platform = plan->form == TERN_PLAN_KSERVE ? "kserve_graph" : "seldon_graph",
        .backend = "graph",
    };
    memcpy(&ret_model->state, &plan, sizeof(void *)); /* nobody writes through it */
    return TERN_OK;
}

static void unload(struct tern_engine_model *model)
{
    (void)model; /* all of it lies in the arena */
}

static enum tern_code instance_new(const struct tern_engine_model *model, void **ret_instance,
                                   struct tern_err *err)
{
    (void)model, (void)err;
    *ret_instance = NULL;
    return TERN_OK;
}

static void instance_free(const struct tern_engine_model *model, void *instance)
{
    (void)model, (void)instance;
}

static enum tern_code infer(const struct tern_engine_model *model, void *instance,
                            const struct tern_engine_run *run, struct tern_err *err)
{
    (void)model, (void)instance, (void)run;
    return tern_fail(err, TERN_UNIMPLEMENTED, "a graph of documents takes no tensors");
}

const struct tern_engine_ops tern_plan_engine = {
    .name = "graph",
    .documents = true,
    .available = available,
    .file_names = file_names,
    .probe = probe,
    .check = check,
    .load = load,
    .unload = unload,
    .instance_new = instance_new,
    .instance_free = instance_free,
    .infer = infer,
};
