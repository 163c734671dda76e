/* TF Serving's batching parameters: what reads without a mistake keeps its own rules. */
#include <assert.h>
#include <stdint.h>

#include "registry/batching_parameters.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct tern_problems problems;
    struct tern_batching_parameters p;
    struct tern_arena arena;

    if (size > 4096)
        return 0;
    tern_arena_init(&arena, 4096, 1u << 24);
    tern_problem_init(&problems, &arena);
    tern_batching_parameters_read(tern_str_make((const char *)data, size), TERN_STR("p.pbtxt"),
                                  &arena, &p, &problems);
    if (!tern_problem_any(&problems)) {
        assert(p.max_rows >= 1 && p.max_queue_size >= 1);
        for (uint32_t i = 1; i < p.n_allowed; i++)
            assert(p.allowed[i] > p.allowed[i - 1]);
        assert(p.n_allowed == 0 || p.allowed[p.n_allowed - 1] == p.max_rows);
    }
    tern_arena_fini(&arena);
    return 0;
}
