#include "wire/document.h"

#include <stdarg.h>
#include <stdio.h>
#include "simd/numbers.h"
#include "wire/document_int.h"

bool tern_document_is_binary(struct tern_str head)
{
    if (head.n < 2)
        return false;
    if (head.p[0] == '{')
        return head.p[1] == 'L' || (head.p[1] == '}' && head.n == 2);
    return head.p[0] == '[' && (head.p[1] == '$' || head.p[1] == '#');
}

void tern_document_init(struct tern_document *doc, struct tern_str text, struct tern_arena *arena)
{
    doc->is_binary = tern_document_is_binary(text);
    if (doc->is_binary) {
        tern_ubjson_init(&doc->ubjson, text);
    } else {
        tern_json_init(&doc->json, text, arena);
        doc->json.non_finite = true;
    }
}

enum tern_json_kind tern_document_peek(struct tern_document *doc)
{
    return doc->is_binary ? tern_ubjson_peek(&doc->ubjson) : tern_json_peek(&doc->json);
}

enum tern_code tern_document_object(struct tern_document *doc, struct tern_err *err)
{
    return doc->is_binary ? tern_ubjson_object(&doc->ubjson, err)
                          : tern_json_object(&doc->json, err);
}

enum tern_code tern_document_key(struct tern_document *doc, bool *ret_more,
                                 struct tern_str *ret_key, struct tern_err *err)
{
    return doc->is_binary ? tern_ubjson_key(&doc->ubjson, ret_more, ret_key, err)
                          : tern_json_key(&doc->json, ret_more, ret_key, err);
}

enum tern_code tern_document_array(struct tern_document *doc, struct tern_err *err)
{
    return doc->is_binary ? tern_ubjson_array(&doc->ubjson, err) : tern_json_array(&doc->json, err);
}

enum tern_code tern_document_item(struct tern_document *doc, bool *ret_more, struct tern_err *err)
{
    return doc->is_binary ? tern_ubjson_item(&doc->ubjson, ret_more, err)
                          : tern_json_item(&doc->json, ret_more, err);
}

enum tern_code tern_document_string(struct tern_document *doc, struct tern_str *ret,
                                    struct tern_err *err)
{
    return doc->is_binary ? tern_ubjson_string(&doc->ubjson, ret, err)
                          : tern_json_string(&doc->json, ret, err);
}

enum tern_code tern_document_bool(struct tern_document *doc, bool *ret, struct tern_err *err)
{
    return doc->is_binary ? tern_ubjson_bool(&doc->ubjson, ret, err)
                          : tern_json_bool(&doc->json, ret, err);
}

enum tern_code tern_document_number(struct tern_document *doc, struct tern_json_number *ret,
                                    struct tern_err *err)
{
    return doc->is_binary ? tern_ubjson_number(&doc->ubjson, ret, err)
                          : tern_json_number(&doc->json, ret, err);
}

enum tern_code tern_document_integer(struct tern_document *doc, int64_t min, int64_t max,
                                     int64_t *ret, struct tern_err *err)
{
    const char *start = tern_document_mark(doc);
    struct tern_json_number number;

    TERN_TRY(tern_document_number(doc, &number, err));
    if (number.kind != TERN_JSON_INT64 || number.int64 < min || number.int64 > max) {
        tern_document_rewind(doc, start);
        return tern_document_fail(doc, err, "expected an integer from %lld to %lld", (long long)min,
                                  (long long)max);
    }
    *ret = number.int64;
    return TERN_OK;
}

enum tern_code tern_document_skip(struct tern_document *doc, struct tern_err *err)
{
    return doc->is_binary ? tern_ubjson_skip(&doc->ubjson, err) : tern_json_skip(&doc->json, err);
}

enum tern_code tern_document_hop(struct tern_document *doc, struct tern_err *err)
{
    struct tern_json *json = &doc->json;

    if (doc->is_binary)
        return tern_ubjson_skip(&doc->ubjson, err);
    enum tern_json_kind kind = tern_json_peek(json);
    if (kind != TERN_JSON_OBJECT && kind != TERN_JSON_ARRAY)
        return tern_json_skip(json, err);
    size_t n = tern_numbers_skip(tern_str_make(json->p, (size_t)(json->end - json->p)),
                                 (unsigned)(json->depth_max - json->depth));
    if (n == 0)
        return tern_json_fail(json, err,
                              "expected an end (and no more than %d levels) for what "
                              "begins",
                              json->depth_max);
    json->p += n;
    return TERN_OK;
}

enum tern_code tern_document_end(struct tern_document *doc, struct tern_err *err)
{
    return doc->is_binary ? tern_ubjson_end(&doc->ubjson, err) : tern_json_end(&doc->json, err);
}

size_t tern_document_at(const struct tern_document *doc)
{
    return doc->is_binary ? (size_t)(doc->ubjson.p - doc->ubjson.begin)
                          : (size_t)(doc->json.p - doc->json.begin);
}

enum tern_code(tern_document_fail)(const struct tern_document *doc, struct tern_err *err,
                                   const char *fmt, ...)
{
    char what[256];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(what, sizeof(what), fmt, ap);
    va_end(ap);
    return doc->is_binary ? tern_ubjson_fail(&doc->ubjson, err, "%s", what)
                          : tern_json_fail(&doc->json, err, "%s", what);
}

enum tern_code tern_document_once(const struct tern_document *doc, uint32_t *seen, unsigned bit,
                                  struct tern_str key, struct tern_err *err)
{
    if (TERN_UNLIKELY((*seen & (1u << bit)) != 0))
        return tern_document_fail(doc, err, "duplicate key '%.*s'", TERN_STR_ARG(key));
    *seen |= 1u << bit;
    return TERN_OK;
}
