/* A document in either form is walked value by value, its arrays of numbers read at once where they
 * are such, and skipped as a whole: whatever was walked can be skipped. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "simd/numbers.h"
#include "wire/document.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define DEPTH 100

/* Whether the array at the reader is one of numbers only; then it was passed. */
static bool pass_numbers(struct tern_document *doc)
{
    static const enum tern_dtype dtypes[] = {TERN_DTYPE_BOOL,  TERN_DTYPE_UINT8, TERN_DTYPE_INT32,
                                             TERN_DTYPE_INT64, TERN_DTYPE_FP32,  TERN_DTYPE_FP64};
    struct tern_document passed = *doc;
    bool any = false;

    for (size_t i = 0; i < sizeof(dtypes) / sizeof(dtypes[0]); i++) {
        struct tern_document_numbers numbers;
        struct tern_document copy = *doc;
        tern_document_numbers_init(&numbers, dtypes[i]);
        if (tern_document_numbers(&copy, &numbers, NULL) == TERN_OK) {
            if (any && tern_document_at(&copy) != tern_document_at(&passed))
                abort();
            passed = copy;
            any = true;
        }
        tern_document_numbers_fini(&numbers);
    }
    *doc = passed;
    return any;
}

static enum tern_code read_scalar(struct tern_document *doc)
{
    struct tern_json_number number;
    struct tern_str s;
    bool flag;

    switch (tern_document_peek(doc)) {
    case TERN_JSON_STRING:
        return tern_document_string(doc, &s, NULL);
    case TERN_JSON_NUMBER:
        return tern_document_number(doc, &number, NULL);
    case TERN_JSON_BOOL:
        return tern_document_bool(doc, &flag, NULL);
    case TERN_JSON_NULL:
        return tern_document_skip(doc, NULL);
    case TERN_JSON_NONE:
    case TERN_JSON_ARRAY:
    case TERN_JSON_OBJECT:
    default:
        return TERN_INVALID_ARGUMENT;
    }
}

static enum tern_code walk(struct tern_document *doc)
{
    bool is_object[DEPTH + 1];
    struct tern_str key;
    int depth = 0;

    for (;;) {
        enum tern_json_kind kind = tern_document_peek(doc);
        if (kind == TERN_JSON_ARRAY && pass_numbers(doc)) {
            /* done with it */
        } else if (kind == TERN_JSON_OBJECT || kind == TERN_JSON_ARRAY) {
            TERN_TRY(kind == TERN_JSON_OBJECT ? tern_document_object(doc, NULL)
                                              : tern_document_array(doc, NULL));
            is_object[++depth] = kind == TERN_JSON_OBJECT;
        } else {
            TERN_TRY(read_scalar(doc));
        }
        bool more = false;
        while (!more) {
            if (depth == 0)
                return tern_document_end(doc, NULL);
            TERN_TRY(is_object[depth] ? tern_document_key(doc, &more, &key, NULL)
                                      : tern_document_item(doc, &more, NULL));
            depth -= !more;
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tern_document doc, copy;
    struct tern_arena arena;
    char *text = malloc(size + TERN_TEXT_PAD);

    if (text == NULL)
        abort();
    if (size > 0)
        memcpy(text, data, size);
    memset(text + size, '1', TERN_TEXT_PAD);
    tern_arena_init(&arena, 4096, 64u << 20);
    tern_document_init(&doc, tern_str_make(text, size), &arena);
    copy = doc;
    struct tern_document hopped = doc;
    if (walk(&doc) == TERN_OK) {
        if (tern_document_skip(&copy, NULL) != TERN_OK ||
            tern_document_end(&copy, NULL) != TERN_OK ||
            tern_document_hop(&hopped, NULL) != TERN_OK ||
            tern_document_at(&hopped) > tern_document_at(&doc))
            abort();
    }
    tern_arena_fini(&arena);
    free(text);
    return 0;
}
