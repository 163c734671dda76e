/* schema.json of a .skops file as a tree: every object that skops.io.dump saw, with its class, its
 * attributes and where its arrays lie. Protocols 0 to 2 (skops 0.1 to 0.16).
 *
 * Nothing of it is ever called or imported: classes are names here. The tree's texts are slices of
 * the schema or of the arena. An object whose state is a dictionary has its entries as children. */
#ifndef TERN_ENGINE_NATIVE_SKOPS_SCHEMA_H
#define TERN_ENGINE_NATIVE_SKOPS_SCHEMA_H

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

#define TERN_SKOPS_PROTOCOL_MAX 2
#define TERN_SKOPS_DEPTH_MAX    64 /* of objects within objects */
#define TERN_SKOPS_NODES_MAX    (1u << 24)

enum tern_skops_kind {
    TERN_SKOPS_VALUE,   /* null, a bool, a number or a string: JSON in `text` */
    TERN_SKOPS_ARRAY,   /* of numpy: `text` names the archive's member */
    TERN_SKOPS_OBJECTS, /* an array of objects: children in C order, and one called "shape" */
    TERN_SKOPS_LIST,    /* a list, a tuple or a set */
    TERN_SKOPS_DICT,
    TERN_SKOPS_OBJECT, /* children are attributes */
    TERN_SKOPS_NAME,   /* a class or a function: no more than its name */
    TERN_SKOPS_OTHER,  /* nothing that a model's predictions need */
};

struct tern_skops_node {
    enum tern_skops_kind kind;
    uint32_t index; /* among its parent's children */
    uint32_t n;     /* children */
    struct tern_str module, name;
    struct tern_str key; /* what its parent calls it; empty in lists */
    struct tern_str text;
    struct tern_skops_node *parent, *first, *last, *next;
};

/* TERN_TEXT_PAD readable bytes follow the text. Errors begin with "schema.json: ". */
enum tern_code tern_skops_schema_read(struct tern_str text, struct tern_arena *arena,
                                      struct tern_skops_node **ret_root, struct tern_err *err);

#endif
