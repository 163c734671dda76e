/* graph.yaml: any text is a plan or a list of mistakes; from the first points of a plan all others
 * are reached, each when those before it are through. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "conf/yaml.h"
#include "engine/plan/plan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct tern_plan_way *way)
{
    uint32_t *left = calloc(way->n + 1, sizeof(*left)), *ready = calloc(way->n + 1, sizeof(*ready));
    uint32_t n_ready = 0, n_done = 0;

    if (left == NULL || ready == NULL)
        abort();
    for (uint32_t i = 0; i < way->n; i++) {
        left[i] = way->points[i].n_before;
        if (left[i] == 0)
            ready[n_ready++] = i;
    }
    while (n_done < n_ready) {
        const struct tern_plan_point *point = &way->points[ready[n_done++]];
        for (uint32_t i = 0; i < point->n_next; i++) {
            assert(point->next[i] < way->n && left[point->next[i]] > 0);
            if (--left[point->next[i]] == 0)
                ready[n_ready++] = point->next[i];
        }
    }
    assert(n_done == way->n);
    free(left);
    free(ready);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tern_problems problems;
    struct tern_arena arena;

    tern_arena_init(&arena, 4096, 64u << 20);
    tern_problem_init(&problems, &arena);
    struct tern_str text = tern_arena_copy(&arena, tern_str_make((const char *)data, size));
    const struct tern_tree *root =
        tern_yaml_read(text, TERN_YAML_FORM_YAML, TERN_STR("g"), &arena, &problems);
    const struct tern_plan *plan =
        root == NULL ? NULL : tern_plan_read(root, TERN_STR("g"), &arena, &problems);
    assert((plan == NULL) == tern_problem_any(&problems));
    if (plan != NULL) {
        assert(plan->predict.n > 0);
        check(&plan->predict);
        check(&plan->feedback);
    }
    tern_arena_fini(&arena);
    return 0;
}
