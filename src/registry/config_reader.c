#include "registry/config_reader.h"

#include <string.h>
#include "base/num.h"

struct tern_str tern_config_reader_place(const struct tern_config_reader *r,
                                         const struct tern_tree *node)
{
    return tern_problem_place(r->problems, r->config->file, node->line, node->column);
}

void tern_config_reader_say_no_memory(struct tern_config_reader *r)
{
    if (!r->out_of_memory)
        tern_problem_add(r->problems, r->config->file,
                         "the configuration is too large for its memory");
    r->out_of_memory = true;
}

void *tern_config_reader_many(struct tern_config_reader *r, uint32_t n, size_t size)
{
    void *p = tern_arena_zalloc(r->arena, n == 0 ? 1 : n, size);

    if (p == NULL)
        tern_config_reader_say_no_memory(r);
    return p;
}

static bool is_inside(struct tern_str name)
{
    struct tern_str rest = name;
    struct tern_str part;

    if (name.n == 0 || name.p[0] == '/' || memchr(name.p, 0, name.n) != NULL)
        return false;
    while (tern_str_split(&rest, '/', &part)) {
        if (part.n == 0 || tern_str_eq(part, TERN_STR("..")) || tern_str_eq(part, TERN_STR(".")))
            return false;
    }
    return true;
}

struct tern_str tern_config_reader_file(const struct tern_config_reader *r,
                                        const struct tern_tree *message, const char *key)
{
    const struct tern_tree *node = tern_tree_find(message, tern_str_of(key));

    if (node == NULL || node->text.n == 0)
        return TERN_STR("");
    if (is_inside(node->text))
        return node->text;
    tern_problem_add(r->problems, tern_config_reader_place(r, node),
                     "%s: expected a file name inside the model's folder, got \"%.*s\"", key,
                     TERN_STR_ARG(node->text));
    return TERN_STR("");
}

void tern_config_reader_dims(const struct tern_config_reader *r, const struct tern_tree *message,
                             const char *key, struct tern_shape *ret_shape)
{
    int rank_max = r->config->max_batch_size > 0 ? TERN_RANK_MAX - 1 : TERN_RANK_MAX;

    ret_shape->rank = 0;
    for (const struct tern_tree *node = tern_config_node_first(message, key); node != NULL;
         node = node->next) {
        int64_t dim = 0;
        if (ret_shape->rank == rank_max) {
            tern_problem_add(r->problems, tern_config_reader_place(r, node),
                             "%s: more than %d dimensions", key, rank_max);
            return;
        }
        if (!tern_num_parse_i64(node->text, &dim))
            return; /* reported when the tree was bound */
        if (dim < -1 || dim == 0)
            tern_problem_add(r->problems, tern_config_reader_place(r, node),
                             "%s: expected a positive number, or -1 for any, got %lld", key,
                             (long long)dim);
        ret_shape->dim[ret_shape->rank++] = dim;
    }
}

const struct tern_tree *tern_config_reader_parameter(const struct tern_config_reader *r,
                                                     const char *key)
{
    const struct tern_tree *map = tern_tree_find(r->config->tree, TERN_STR("parameters"));

    return map == NULL ? NULL : tern_tree_find(map, tern_str_of(key));
}
