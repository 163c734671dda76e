#include "registry/config_node.h"

#include "base/num.h"

struct tern_str tern_config_node_text(const struct tern_tree *message, const char *key)
{
    const struct tern_tree *node = tern_tree_find(message, tern_str_of(key));

    return node == NULL ? TERN_STR("") : node->text;
}

int64_t tern_config_node_int(const struct tern_tree *message, const char *key)
{
    int64_t v = 0;

    return tern_num_parse_i64(tern_config_node_text(message, key), &v) ? v : 0;
}

uint64_t tern_config_node_uint(const struct tern_tree *message, const char *key)
{
    uint64_t v = 0;

    return tern_num_parse_u64(tern_config_node_text(message, key), UINT64_MAX, &v) ? v : 0;
}

bool tern_config_node_bool(const struct tern_tree *message, const char *key)
{
    return tern_str_eq(tern_config_node_text(message, key), TERN_STR("true"));
}

const struct tern_tree *tern_config_node_first(const struct tern_tree *message, const char *key)
{
    const struct tern_tree *node = tern_tree_find(message, tern_str_of(key));

    return node == NULL ? NULL : node->first;
}

uint32_t tern_config_node_count(const struct tern_tree *message, const char *key)
{
    const struct tern_tree *node = tern_tree_find(message, tern_str_of(key));

    return node == NULL ? 0 : node->n;
}
