/* Protobuf text: any bytes end in an end event or a mistake, within bounds. */
#include <assert.h>
#include <stdint.h>

#include "wire/pbtxt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tern_arena arena;
    struct tern_pbtxt reader;
    struct tern_pbtxt_event e = {.kind = TERN_PBTXT_SCALAR};
    struct tern_err err;
    size_t events = 0;
    int open = 0;

    tern_arena_init(&arena, 1024, 1u << 22);
    tern_pbtxt_init(&reader, tern_str_make((const char *)data, size), &arena);
    while (tern_pbtxt_next(&reader, &e, &err) == TERN_OK) {
        if (e.kind == TERN_PBTXT_END) {
            assert(open == 0);
            break;
        }
        open += e.kind == TERN_PBTXT_MESSAGE_BEGIN || e.kind == TERN_PBTXT_LIST_BEGIN;
        open -= e.kind == TERN_PBTXT_MESSAGE_END || e.kind == TERN_PBTXT_LIST_END;
        assert(open >= 0 && open <= TERN_PBTXT_DEPTH_MAX);
        assert(++events <= size);
    }
    tern_arena_fini(&arena);
    return 0;
}
