/* GJSON: the first line is a path, the rest a document. Whatever is found is JSON again, and lies
 * where it may. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "simd/numbers.h"
#include "wire/gjson.h"
#include "wire/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct tern_gjson *gjson, struct tern_str document,
                  struct tern_arena *arena)
{
    struct tern_str value;
    struct tern_json json;
    bool found;

    if (tern_gjson_find(gjson, document, arena, &found, &value, NULL) != TERN_OK || !found)
        return;
    tern_json_init(&json, value, arena);
    json.depth_max = TERN_JSON_DEPTH_MAX;
    assert(tern_json_skip(&json, NULL) == TERN_OK && tern_json_end(&json, NULL) == TERN_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tern_str all = tern_str_make((const char *)data, size);
    size_t line = tern_str_find(all, '\n');
    struct tern_str document = tern_str_from(all, line + 1);
    const struct tern_gjson *gjson;
    struct tern_arena arena;
    char *text = malloc(document.n + TERN_TEXT_PAD);

    if (text == NULL)
        abort();
    if (document.n > 0)
        memcpy(text, document.p, document.n);
    memset(text + document.n, '1', TERN_TEXT_PAD);
    tern_arena_init(&arena, 4096, 16u << 20);
    if (tern_gjson_compile(tern_str_make(all.p, line), &arena, &gjson, NULL) == TERN_OK)
        check(gjson, tern_str_make(text, document.n), &arena);
    tern_arena_fini(&arena);
    free(text);
    return 0;
}
