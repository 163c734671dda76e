#include "registry/mlserver_settings.h"

#include <string.h>
#include "base/clock.h"
#include "base/num.h"
#include "conf/yaml.h"
#include "base/dtype.h"
#include "simd/numbers.h"

#define TIME_MAX_S 3600
#define NUMBER_MAX 32

struct reader {
    struct tern_str file;
    struct tern_arena *arena;
    struct tern_problems *problems;
    struct tern_tree *config; /* being made */
    uint64_t max_batch_size;
    uint64_t max_batch_ns;
    bool out_of_memory;
};

static struct tern_str place_of(const struct reader *r, const struct tern_tree *node)
{
    return tern_problem_place(r->problems, r->file, node->line, node->column);
}

/* ---- making the other tree ---- */

/* An entry (key == NULL: an element) whose place is that of what it was made of. */
static struct tern_tree *put(struct reader *r, struct tern_tree *parent, const char *key,
                             enum tern_tree_kind kind, struct tern_str text,
                             const struct tern_tree *from)
{
    struct tern_tree *node = parent == NULL ? NULL : tern_tree_add(r->arena, parent, kind);

    r->out_of_memory |= node == NULL;
    if (node == NULL)
        return NULL;
    node->key = tern_str_of(key);
    node->text = text;
    node->quoted = kind == TERN_TREE_SCALAR;
    node->line = node->key_line = from->line;
    node->column = node->key_column = from->column;
    return node;
}

/* ---- inputs and outputs ---- */

static void put_dims(struct reader *r, struct tern_tree *tensor, const struct tern_tree *shape)
{
    struct tern_tree *dims = put(r, tensor, "dims", TERN_TREE_LIST, TERN_STR(""), shape);

    for (const struct tern_tree *dim = shape->first; dim != NULL; dim = dim->next) {
        struct tern_tree *node = put(r, dims, NULL, TERN_TREE_SCALAR, dim->text, dim);
        if (node != NULL)
            node->quoted = false;
        if (dim->kind != TERN_TREE_SCALAR)
            tern_problem_add(r->problems, place_of(r, dim), "shape: expected a number");
    }
}

static void put_type(struct reader *r, struct tern_tree *tensor, const struct tern_tree *datatype)
{
    enum tern_dtype dtype = tern_dtype_from_name(datatype->text);
    char name[16];

    if (dtype == TERN_DTYPE_INVALID) {
        tern_problem_add(r->problems, place_of(r, datatype),
                         "datatype: expected one of the Open Inference Protocol such as FP32, got "
                         "\"%.*s\"",
                         TERN_STR_ARG(datatype->text));
        return;
    }
    tern_dtype_config_name(dtype, name);
    struct tern_str text = tern_arena_copy(r->arena, tern_str_of(name));
    r->out_of_memory |= text.p == NULL;
    put(r, tensor, "data_type", TERN_TREE_SCALAR, text, datatype);
}

static void put_tensors(struct reader *r, const char *key, const struct tern_tree *list)
{
    struct tern_tree *tensors = put(r, r->config, key, TERN_TREE_LIST, TERN_STR(""), list);

    for (const struct tern_tree *row = list->first; row != NULL; row = row->next) {
        const struct tern_tree *name = tern_tree_find(row, TERN_STR("name"));
        const struct tern_tree *datatype = tern_tree_find(row, TERN_STR("datatype"));
        const struct tern_tree *shape = tern_tree_find(row, TERN_STR("shape"));
        struct tern_tree *tensor = put(r, tensors, NULL, TERN_TREE_MAP, TERN_STR(""), row);
        if (name != NULL)
            put(r, tensor, "name", TERN_TREE_SCALAR, name->text, name);
        if (datatype != NULL)
            put_type(r, tensor, datatype);
        if (shape != NULL)
            put_dims(r, tensor, shape);
    }
}

/* ---- parameters ---- */

/* A file of the folder that the settings lie in; the folder itself says nothing. */
static void put_uri(struct reader *r, const struct tern_tree *uri)
{
    struct tern_str text = uri->text;

    while (tern_str_starts(text, TERN_STR("./")))
        text = tern_str_from(text, 2);
    if (text.n == 0 || tern_str_eq(text, TERN_STR(".")))
        return;
    put(r, r->config, "default_model_filename", TERN_TREE_SCALAR, text, uri);
}

/* What MLServer hands to its runtime, and we to the engine. */
static void put_extra(struct reader *r, const struct tern_tree *extra)
{
    struct tern_tree *map = put(r, r->config, "parameters", TERN_TREE_MAP, TERN_STR(""), extra);

    for (const struct tern_tree *row = extra->first; row != NULL; row = row->next) {
        if (row->kind != TERN_TREE_SCALAR) {
            tern_problem_add(r->problems, place_of(r, row),
                             "extra: expected a text, a number or a bool as \"%.*s\"",
                             TERN_STR_ARG(row->key));
            continue;
        }
        struct tern_tree *value = put(r, map, "", TERN_TREE_MAP, TERN_STR(""), row);
        if (value != NULL)
            value->key = row->key;
        put(r, value, "string_value", TERN_TREE_SCALAR, row->text, row);
    }
}

static void read_parameters(struct reader *r, const struct tern_tree *parameters)
{
    static const char *const not_needed[] = {
        "version",      "environment_path",   "environment_tarball",
        "format",       "inference_pool_gid", "autogenerate_inference_pool_gid",
        "content_type",
    };

    for (const struct tern_tree *node = parameters->first; node != NULL; node = node->next) {
        bool known = tern_tree_is_null(node);
        for (size_t i = 0; i < TERN_COUNT_OF(not_needed); i++)
            known |= tern_str_eq(node->key, tern_str_of(not_needed[i]));
        if (known)
            continue;
        if (tern_str_eq(node->key, TERN_STR("uri")) && node->kind == TERN_TREE_SCALAR)
            put_uri(r, node);
        else if (tern_str_eq(node->key, TERN_STR("extra")) && node->kind == TERN_TREE_MAP)
            put_extra(r, node);
        else
            tern_problem_add(r->problems, place_of(r, node), "parameters: \"%.*s\" is not known",
                             TERN_STR_ARG(node->key));
    }
}

/* ---- numbers ---- */

static void read_size(struct reader *r, const struct tern_tree *node)
{
    if (!tern_num_parse_u64(node->text, INT32_MAX, &r->max_batch_size))
        tern_problem_add(r->problems, place_of(r, node),
                         "max_batch_size: expected a number from 0 to %d, got \"%.*s\"", INT32_MAX,
                         TERN_STR_ARG(node->text));
}

static void read_time(struct reader *r, const struct tern_tree *node)
{
    char padded[NUMBER_MAX + TERN_TEXT_PAD] = {0};
    double seconds = -1;
    size_t used = 0;
    bool ok = tern_str_copy_z(node->text, padded, NUMBER_MAX) &&
              tern_numbers_read_double(tern_str_make(padded, node->text.n), &seconds, &used,
                                       NULL) == TERN_OK &&
              used == node->text.n && seconds >= 0 && seconds <= TIME_MAX_S;

    if (!ok)
        tern_problem_add(r->problems, place_of(r, node),
                         "max_batch_time: expected seconds from 0 to %d, got \"%.*s\"", TIME_MAX_S,
                         TERN_STR_ARG(node->text));
    else
        r->max_batch_ns = (uint64_t)(seconds * (double)TERN_NS_PER_S);
}

/* ---- the whole ---- */

static void read_setting(struct reader *r, const struct tern_tree *node)
{
    /* Who runs the model, and how many processes: nothing of that is needed. */
    static const char *const not_needed[] = {"implementation", "platform",         "versions",
                                             "warm_workers",   "parallel_workers", "debug"};
    bool is_list = node->kind == TERN_TREE_LIST, is_text = node->kind == TERN_TREE_SCALAR;

    for (size_t i = 0; i < TERN_COUNT_OF(not_needed); i++) {
        if (tern_str_eq(node->key, tern_str_of(not_needed[i])))
            return;
    }
    if (tern_tree_is_null(node))
        return;
    if (tern_str_eq(node->key, TERN_STR("name")) && is_text)
        put(r, r->config, "name", TERN_TREE_SCALAR, node->text, node);
    else if (tern_str_eq(node->key, TERN_STR("inputs")) && is_list)
        put_tensors(r, "input", node);
    else if (tern_str_eq(node->key, TERN_STR("outputs")) && is_list)
        put_tensors(r, "output", node);
    else if (tern_str_eq(node->key, TERN_STR("max_batch_size")) && is_text)
        read_size(r, node);
    else if (tern_str_eq(node->key, TERN_STR("max_batch_time")) && is_text)
        read_time(r, node);
    else if (tern_str_eq(node->key, TERN_STR("cache_enabled")) && is_text)
        put(r, put(r, r->config, "response_cache", TERN_TREE_MAP, TERN_STR(""), node), "enable",
            TERN_TREE_SCALAR, node->text, node);
    else if (tern_str_eq(node->key, TERN_STR("parameters")) && node->kind == TERN_TREE_MAP)
        read_parameters(r, node);
    else
        tern_problem_add(r->problems, place_of(r, node),
                         "\"%.*s\" is not known, or of another type", TERN_STR_ARG(node->key));
}

/* Both have to be there, or MLServer runs each request by itself. */
static const struct tern_batching_parameters *batching_of(struct reader *r)
{
    struct tern_batching_parameters *p;

    if (r->max_batch_size <= 1 || r->max_batch_ns == 0)
        return NULL;
    p = tern_arena_zalloc(r->arena, 1, sizeof(*p));
    r->out_of_memory |= p == NULL;
    if (p != NULL)
        *p = (struct tern_batching_parameters){
            .max_rows = (uint32_t)r->max_batch_size, .delay_ns = r->max_batch_ns, .place = r->file};
    return p;
}

struct tern_tree *tern_mlserver_settings_read(struct tern_str text, struct tern_str file,
                                              struct tern_arena *arena,
                                              const struct tern_batching_parameters **ret_batching,
                                              struct tern_problems *problems)
{
    struct reader r = {.file = file, .arena = arena, .problems = problems};
    const struct tern_tree *root = tern_yaml_read(text, TERN_YAML_FORM_JSON, file, arena, problems);

    *ret_batching = NULL;
    r.config = tern_tree_add(arena, NULL, TERN_TREE_MAP);
    if (r.config == NULL)
        return NULL;
    for (const struct tern_tree *node = root == NULL ? NULL : root->first; node != NULL;
         node = node->next)
        read_setting(&r, node);
    *ret_batching = batching_of(&r);
    return r.out_of_memory ? NULL : r.config;
}
