/* The text is walked value by value and skipped as a whole; both have to agree on whether it is
 * JSON. Every string that was read is written and read again. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "simd/numbers.h"
#include "wire/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_string(struct tern_str s)
{
    char text[4096 + TERN_TEXT_PAD] = {0};
    struct tern_arena arena;
    struct tern_json json;
    struct tern_str back;
    struct tern_buf buf;

    tern_arena_init(&arena, 4096, 1u << 20);
    tern_buf_init(&buf, 4096);
    tern_json_add_string(&buf, s);
    if (!buf.failed) {
        memcpy(text, buf.p, buf.n);
        tern_json_init(&json, tern_str_make(text, buf.n), &arena);
        if (tern_json_string(&json, &back, NULL) != TERN_OK ||
            tern_json_end(&json, NULL) != TERN_OK || !tern_str_eq(back, s))
            abort();
    }
    tern_buf_fini(&buf);
    tern_arena_fini(&arena);
}

/* *ret_beyond: a number was refused that the grammar allows. */
static enum tern_code read_scalar(struct tern_json *json, bool *ret_beyond)
{
    struct tern_json_number number;
    struct tern_str s;
    bool flag;

    switch (tern_json_peek(json)) {
    case TERN_JSON_STRING:
        TERN_TRY(tern_json_string(json, &s, NULL));
        check_string(s);
        return TERN_OK;
    case TERN_JSON_NUMBER: {
        struct tern_json probe = *json;
        enum tern_code code = tern_json_number(json, &number, NULL);
        if (code != TERN_OK && tern_json_skip(&probe, NULL) == TERN_OK)
            *ret_beyond = true;
        return code;
    }
    case TERN_JSON_BOOL:
        return tern_json_bool(json, &flag, NULL);
    case TERN_JSON_NULL:
        return tern_json_null(json, NULL);
    case TERN_JSON_NONE:
    case TERN_JSON_ARRAY:
    case TERN_JSON_OBJECT:
    default:
        return TERN_INVALID_ARGUMENT;
    }
}

static enum tern_code walk(struct tern_json *json, bool *ret_beyond)
{
    bool is_object[TERN_JSON_DEPTH_MAX + 1];
    struct tern_str key;

    for (;;) {
        enum tern_json_kind kind = tern_json_peek(json);
        if (kind == TERN_JSON_OBJECT)
            TERN_TRY(tern_json_object(json, NULL));
        else if (kind == TERN_JSON_ARRAY)
            TERN_TRY(tern_json_array(json, NULL));
        else
            TERN_TRY(read_scalar(json, ret_beyond));
        if (kind == TERN_JSON_OBJECT || kind == TERN_JSON_ARRAY)
            is_object[json->depth] = kind == TERN_JSON_OBJECT;
        bool more = false;
        while (!more) {
            if (json->depth == 0)
                return tern_json_end(json, NULL);
            if (is_object[json->depth]) {
                TERN_TRY(tern_json_key(json, &more, &key, NULL));
                if (more)
                    check_string(key);
            } else {
                TERN_TRY(tern_json_item(json, &more, NULL));
            }
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tern_arena arena;
    struct tern_json json;
    bool beyond = false;
    char *text = malloc(size + TERN_TEXT_PAD);

    if (text == NULL)
        abort();
    if (size > 0)
        memcpy(text, data, size);
    memset(text + size, '1', TERN_TEXT_PAD);
    tern_arena_init(&arena, 4096, 64u << 20);
    tern_json_init(&json, tern_str_make(text, size), &arena);
    bool walked = walk(&json, &beyond) == TERN_OK;
    tern_json_init(&json, tern_str_make(text, size), &arena);
    bool skipped = tern_json_skip(&json, NULL) == TERN_OK && tern_json_end(&json, NULL) == TERN_OK;
    if (walked != skipped && !beyond)
        abort();
    tern_arena_fini(&arena);
    free(text);
    return 0;
}
