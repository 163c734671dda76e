#include "cli/guard.h"

#include <string.h>
#include "base/mem.h"
#include "front/cors.h"
#include "os/file.h"

#define SECRET_MAX (8u << 10)

static struct tern_restrict_rule rule_of(const struct tern_restrict_options *row)
{
    static const enum tern_restrict_over overs[] = {
        [TERN_RESTRICT_OVER_OPTION_ANY] = TERN_RESTRICT_OVER_ANY,
        [TERN_RESTRICT_OVER_OPTION_HTTP] = TERN_RESTRICT_OVER_HTTP,
        [TERN_RESTRICT_OVER_OPTION_GRPC] = TERN_RESTRICT_OVER_GRPC,
    };
    return (struct tern_restrict_rule){
        .families = row->families.items,
        .n_families = row->families.n,
        .header = row->header,
        .value = row->value,
        .over = overs[row->over],
    };
}

static void check_pattern(struct tern_opt_load *load, const char *name, struct tern_str pattern)
{
    struct tern_forward *forward = NULL;
    struct tern_err err;

    if (pattern.n > 0 && tern_forward_new(pattern, 1, &forward, &err) != TERN_OK)
        tern_problem_add(load->problems, tern_opt_place_of(load, name), "%s: %s", name, err.text);
    tern_forward_free(forward);
}

static void check_origins(struct tern_opt_load *load, const struct tern_opt_list *origins)
{
    struct tern_err err;

    for (uint32_t i = 0; i < origins->n; i++) {
        if (tern_cors_check_origin(origins->items[i], &err) != TERN_OK)
            tern_problem_add(load->problems, tern_opt_place_of(load, "http.cors_origins"),
                             "http.cors_origins: %s", err.text);
    }
}

void tern_guard_check(struct tern_opt_load *load)
{
    const struct tern_server_options *options = load->values;
    const struct tern_restrict_options *rows = options->restricts.items;
    struct tern_restrict restrict_ = {.http = {{.header = {NULL, 0}}}};
    struct tern_err err;

    for (uint32_t i = 0; i < options->restricts.n; i++) {
        struct tern_restrict_rule rule = rule_of(&rows[i]);
        if (rule.value.n == 0)
            rule.value = rows[i].value_file; /* any value does for a check */
        if (rule.value.n > 0 && tern_restrict_add(&restrict_, &rule, &err) != TERN_OK)
            tern_problem_add(load->problems, rows[i].place, "restrict: %s", err.text);
    }
    check_pattern(load, "http.header_forward", options->http.header_forward);
    check_pattern(load, "grpc.header_forward", options->grpc.header_forward);
    check_pattern(load, "graph.header_forward", options->graph.header_forward);
    check_origins(load, &options->http.cors_origins);
}

enum tern_code tern_guard_read_secret(struct tern_str path, struct tern_arena *arena,
                                      struct tern_str *ret_value, struct tern_err *err)
{
    char *bytes;
    size_t n;

    TERN_TRY(tern_file_read(path.p, SECRET_MAX, 0, &bytes, &n, err));
    struct tern_str line = tern_str_make(bytes, n);
    *ret_value =
        tern_arena_copy(arena, tern_str_trim(tern_str_make(line.p, tern_str_find(line, '\n'))));
    tern_mem_free(bytes);
    return ret_value->p == NULL ? tern_arena_fail(arena, err, "a secret") : TERN_OK;
}

static enum tern_code open_pattern(struct tern_str pattern, uint32_t n_loops,
                                   struct tern_forward **ret_forward, struct tern_err *err)
{
    return pattern.n == 0 ? TERN_OK : tern_forward_new(pattern, n_loops, ret_forward, err);
}

enum tern_code tern_guard_open(struct tern_guard *guard, const struct tern_server_options *options,
                               uint32_t n_loops, struct tern_arena *arena, struct tern_err *err)
{
    const struct tern_restrict_options *rows = options->restricts.items;

    memset(guard, 0, sizeof(*guard));
    for (uint32_t i = 0; i < options->restricts.n; i++) {
        struct tern_restrict_rule rule = rule_of(&rows[i]);
        if (rows[i].value_file.n > 0)
            TERN_TRY(tern_guard_read_secret(rows[i].value_file, arena, &rule.value, err));
        TERN_TRY(tern_restrict_add(&guard->restrict_, &rule, err));
    }
    TERN_TRY(open_pattern(options->http.header_forward, n_loops, &guard->forward_http, err));
    TERN_TRY(open_pattern(options->grpc.header_forward, n_loops, &guard->forward_grpc, err));
    return open_pattern(options->graph.header_forward, n_loops, &guard->forward_graph, err);
}

void tern_guard_close(struct tern_guard *guard)
{
    tern_forward_free(guard->forward_http);
    tern_forward_free(guard->forward_grpc);
    tern_forward_free(guard->forward_graph);
}
