/* Triton's model_config.proto (ours is api/model_config.proto; a test compares them) as a table:
 * every message, field, number and type, and what Tern does with each. A configuration from
 * config.pbtxt, config.yaml or config.json is bound to it: unknown names and wrong types are
 * mistakes with a place, repeated fields become lists and map fields become maps whatever format
 * they came in. The bound tree prints as JSON in the way Triton prints a ModelConfig: proto field
 * names, defaults included, 64-bit integers as numbers. */
#ifndef TERN_REGISTRY_MODEL_SCHEMA_H
#define TERN_REGISTRY_MODEL_SCHEMA_H

#include <stdbool.h>
#include <stdint.h>
#include "base/arena.h"
#include "base/buf.h"
#include "conf/problem.h"
#include "conf/tree.h"

enum tern_schema_type {
    TERN_SCHEMA_BOOL,
    TERN_SCHEMA_INT32,
    TERN_SCHEMA_INT64,
    TERN_SCHEMA_UINT32,
    TERN_SCHEMA_UINT64,
    TERN_SCHEMA_FLOAT,  /* 32 bits */
    TERN_SCHEMA_DOUBLE, /* 64 bits */
    TERN_SCHEMA_STRING,
    TERN_SCHEMA_ENUM,
    TERN_SCHEMA_MESSAGE,
};

enum tern_schema_label {
    TERN_SCHEMA_ONE,
    TERN_SCHEMA_REPEATED,
    TERN_SCHEMA_MAP,   /* keys are text, or digits: number_keys */
    TERN_SCHEMA_ONEOF, /* at most one of the message's fields marked so; printed only when set */
};

enum tern_schema_how {
    TERN_SCHEMA_HONOURED,
    TERN_SCHEMA_KEPT,    /* printed back; it changes speed or placement, never an answer */
    TERN_SCHEMA_REFUSED, /* ignoring it would change answers or guarantees: a mistake when set */
};

struct tern_schema_enum {
    const char *name; /* of a value */
    int32_t number;
};

struct tern_schema_message;

struct tern_schema_field {
    const char *name;
    uint32_t number;
    enum tern_schema_type type;
    enum tern_schema_label label;
    enum tern_schema_how how;
    bool number_keys;                          /* MAP: keys are uint64 */
    const struct tern_schema_message *message; /* MESSAGE */
    const struct tern_schema_enum *values;     /* ENUM; ends with a NULL name; first is default */
    const char *why;                           /* REFUSED: the rest of the sentence */
};

struct tern_schema_message {
    const char *name;
    const struct tern_schema_field *fields; /* in the order Triton prints them */
    uint32_t n;
};

extern const struct tern_schema_message tern_model_schema; /* ModelConfig */

/* Turns a tree that was read from a file into its canonical form, in place. */
struct tern_schema_binding {
    struct tern_str file; /* for the places of mistakes */
    bool entries;         /* map fields come as blocks of key and value, as in protobuf text */
    bool refuse;          /* fields that are REFUSED are mistakes */
};
void tern_model_schema_bind(struct tern_tree *root, const struct tern_schema_binding *binding,
                            struct tern_arena *arena, struct tern_problems *problems);
/* A bound message as JSON. */
void tern_model_schema_print(const struct tern_schema_message *message,
                             const struct tern_tree *tree, struct tern_buf *out);
enum tern_schema_form {
    TERN_SCHEMA_FORM_PBTXT,
    TERN_SCHEMA_FORM_YAML,
    TERN_SCHEMA_FORM_JSON,
};
/* A bound ModelConfig as a file for people: what was said and no defaults, one field a line. */
void tern_model_schema_write(enum tern_schema_form form, const struct tern_tree *model,
                             struct tern_buf *out);
/* The same as protocol buffers: a serialized ModelConfig. What has proto3's default is left out,
 * but for the member of a oneof that was chosen. */
void tern_model_schema_encode(const struct tern_schema_message *message,
                              const struct tern_tree *tree, struct tern_buf *out);
/* doc/model_config.md: every message and field, and what is done with it. */
void tern_model_schema_page(struct tern_buf *out);
/* Adds a node under key (an element of a list: NULL), or changes the text of the one there, as if
 * the file had said so. NULL without memory. */
struct tern_tree *tern_model_schema_put(struct tern_tree *message, const char *key,
                                        enum tern_tree_kind kind, struct tern_str text,
                                        struct tern_arena *arena);

#endif
