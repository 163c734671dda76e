/* What the readers of the two forms share. */
#ifndef TERN_ENGINE_PLAN_PLAN_INT_H
#define TERN_ENGINE_PLAN_PLAN_INT_H

#include "engine/plan/plan.h"

struct plan_reader {
    struct tern_str file;
    struct tern_arena *arena;
    struct tern_problems *problems;
    struct tern_plan *plan;
    bool failed; /* no memory: it is among the problems */
};

void plan_problem(struct plan_reader *r, const struct tern_tree *at, const char *fmt, ...)
    TERN_PRINTF(3, 4) TERN_COLD;
void *plan_alloc(struct plan_reader *r, size_t count, size_t size);

/* The entry of a map that must be of that kind; NULL when it is not there (a problem if required)
 * or is of another kind (always a problem). */
const struct tern_tree *plan_get(struct plan_reader *r, const struct tern_tree *map,
                                 const char *key, enum tern_tree_kind kind, bool required);
/* A text, with a zero after it; empty when it is not there. */
struct tern_str plan_get_text(struct plan_reader *r, const struct tern_tree *map, const char *key,
                              bool required);
bool plan_get_bool(struct plan_reader *r, const struct tern_tree *map, const char *key);
/* 0 when it is not there. */
uint32_t plan_get_number(struct plan_reader *r, const struct tern_tree *map, const char *key,
                         uint32_t max, bool *ret_given);
/* Problems for entries under keys that are not in the list, which NULL ends. */
void plan_check_keys(struct plan_reader *r, const struct tern_tree *map, const char *const *known);
/* http://localhost/path is of this server; anything else is another's. */
void plan_read_url(struct plan_reader *r, const struct tern_tree *at, struct tern_str url,
                   struct tern_plan_endpoint *endpoint);

/* Adds `to` to what comes after `from`, whose list has room. */
void plan_link(struct tern_plan_way *way, uint32_t from, uint32_t to);
/* A way of n points, each with room for that many next ones. */
bool plan_make_way(struct plan_reader *r, struct tern_plan_way *way, uint32_t n,
                   const uint32_t *rooms);

void plan_read_kserve(struct plan_reader *r, const struct tern_tree *spec);
void plan_read_seldon(struct plan_reader *r, const struct tern_tree *spec);

#endif
