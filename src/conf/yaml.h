/* YAML and JSON text to a tree, by libfyaml's event interface. What a configuration has no use for
 * is refused: aliases and anchors (a small file could stand for a huge one), tags, several
 * documents, a key given twice, keys that are not plain words, nesting above the tree's maximum. */
#ifndef TERN_CONF_YAML_H
#define TERN_CONF_YAML_H

#include "base/arena.h"
#include "conf/problem.h"
#include "conf/tree.h"

#define TERN_YAML_TEXT_MAX (1u << 20)

enum tern_yaml_form {
    TERN_YAML_FORM_YAML,
    TERN_YAML_FORM_JSON,
};

/* The root is a map; an empty text gives an empty map. NULL after a mistake, which is then in the
 * list, placed as "<file>:<line>:<column>". */
struct tern_tree *tern_yaml_read(struct tern_str text, enum tern_yaml_form form,
                                 struct tern_str file, struct tern_arena *arena,
                                 struct tern_problems *problems);

#endif
