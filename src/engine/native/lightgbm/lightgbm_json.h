/* LightGBM's JSON in the making of a model: what its members and its trees share. */
#ifndef TERN_ENGINE_NATIVE_LIGHTGBM_JSON_H
#define TERN_ENGINE_NATIVE_LIGHTGBM_JSON_H

#include "engine/native/lightgbm/lightgbm_int.h"
#include "wire/json.h"

struct tern_lightgbm_frame;

struct tern_lightgbm_json {
    struct tern_lightgbm model;
    struct tern_json json;
    /* The model. */
    uint32_t seen;          /* bits of its members */
    struct tern_str *names; /* owned: feature_names */
    size_t n_names, names_cap;
    /* The tree. */
    struct tern_lightgbm_frame *frames; /* owned: nodes whose objects are open */
    size_t n_frames, frames_cap;
    unsigned last_member; /* that was read of a node */
    uint32_t n_leaves;    /* so far */
    uint32_t *starts;     /* owned: one a leaf: where its terms begin */
    uint32_t *categories; /* owned: of one set */
    size_t starts_cap, categories_cap;
};

/* A whole number from 0 to max. */
enum tern_code tern_lightgbm_json_count(struct tern_lightgbm_json *doc, const char *key,
                                        uint32_t max, uint32_t *ret, struct tern_err *err);
/* Reads an element of "tree_info" and adds it to the model. */
enum tern_code tern_lightgbm_json_tree(struct tern_lightgbm_json *doc, struct tern_err *err);
/* Frees what reading trees took. */
void tern_lightgbm_json_fini(struct tern_lightgbm_json *doc);

#endif
