#include "conf/problem.h"

#include <stdarg.h>
#include <stdio.h>

void tern_problem_init(struct tern_problems *problems, struct tern_arena *arena)
{
    problems->arena = arena;
    problems->n = 0;
    problems->n_dropped = 0;
}

bool tern_problem_any(const struct tern_problems *problems)
{
    return problems->n + problems->n_dropped > 0;
}

void tern_problem_add(struct tern_problems *problems, struct tern_str place, const char *fmt, ...)
{
    char text[TERN_ERR_TEXT_MAX];
    va_list ap;

    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    size_t length = n < 0 ? 0 : (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1;
    struct tern_problem row = {
        .place = tern_arena_copy(problems->arena, place),
        .text = tern_arena_copy(problems->arena, tern_str_make(text, length)),
    };
    if (problems->n == TERN_PROBLEMS_MAX || row.place.p == NULL || row.text.p == NULL) {
        problems->n_dropped++;
        return;
    }
    problems->rows[problems->n++] = row;
}

struct tern_str tern_problem_place(struct tern_problems *problems, struct tern_str file,
                                   uint32_t line, uint32_t column)
{
    struct tern_str place = tern_arena_printf(problems->arena, "%.*s:%u:%u", TERN_STR_ARG(file),
                                              (unsigned)line, (unsigned)column);
    return place.p == NULL ? file : place;
}

void tern_problem_print(const struct tern_problems *problems, struct tern_buf *out)
{
    for (uint32_t i = 0; i < problems->n; i++) {
        const struct tern_problem *row = &problems->rows[i];
        if (row->place.n > 0) {
            tern_buf_add_str(out, row->place);
            TERN_BUF_ADD_LITERAL(out, ": ");
        }
        tern_buf_add_str(out, row->text);
        tern_buf_add_char(out, '\n');
    }
    if (problems->n_dropped > 0)
        tern_buf_printf(out, "and %u more\n", (unsigned)problems->n_dropped);
}

enum tern_code tern_problem_fail(const struct tern_problems *problems, struct tern_err *err)
{
    if (!tern_problem_any(problems))
        return TERN_OK;
    if (problems->n == 0)
        return tern_fail(err, TERN_RESOURCE_EXHAUSTED, "no memory to describe %u mistakes",
                         (unsigned)problems->n_dropped);
    const struct tern_problem *first = &problems->rows[0];
    uint32_t more = problems->n - 1 + problems->n_dropped;
    tern_fail(err, TERN_INVALID_ARGUMENT, "%.*s%s%.*s", TERN_STR_ARG(first->place),
              first->place.n > 0 ? ": " : "", TERN_STR_ARG(first->text));
    if (more > 0 && err != NULL) {
        struct tern_err whole = *err;
        tern_fail(err, TERN_INVALID_ARGUMENT, "%.440s (and %u more)", whole.text, (unsigned)more);
    }
    return TERN_INVALID_ARGUMENT;
}
