/* A bounded list of mistakes, each with its place: what a person sees after `tern check`, or when
 * the server refuses to start. Reading goes on after a mistake, so that all of them show at once.
 *
 * Texts lie in the arena given to init. Past `max` (or without memory) a mistake is only counted:
 * `n + n_dropped` is never 0 when something was wrong. One thread at a time. */
#ifndef TERN_CONF_PROBLEM_H
#define TERN_CONF_PROBLEM_H

#include <stdbool.h>
#include <stdint.h>
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

#define TERN_PROBLEMS_MAX 64

struct tern_problem {
    struct tern_str place; /* "tern.yaml:12:5", "flag --x", "environment TERN_X"; may be empty */
    struct tern_str text;
};

struct tern_problems {
    struct tern_arena *arena; /* borrowed: by whoever called init, until the list is dropped */
    uint32_t n;
    uint32_t n_dropped;
    struct tern_problem rows[TERN_PROBLEMS_MAX];
};

void tern_problem_init(struct tern_problems *problems, struct tern_arena *arena);
bool tern_problem_any(const struct tern_problems *problems);
void tern_problem_add(struct tern_problems *problems, struct tern_str place, const char *fmt, ...)
    TERN_PRINTF(3, 4) TERN_COLD;
/* "<file>:<line>:<column>" in the arena of the list. */
struct tern_str tern_problem_place(struct tern_problems *problems, struct tern_str file,
                                   uint32_t line, uint32_t column);
/* One line a mistake: "<place>: <text>". */
void tern_problem_print(const struct tern_problems *problems, struct tern_buf *out);
/* The first mistake, and how many follow, as one error; TERN_OK when there is none. */
enum tern_code tern_problem_fail(const struct tern_problems *problems, struct tern_err *err);

#endif
