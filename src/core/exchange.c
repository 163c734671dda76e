#include "core/exchange.h"

static const struct tern_str method_names[] = {
    [TERN_METHOD_GET] = {"GET", 3},       [TERN_METHOD_HEAD] = {"HEAD", 4},
    [TERN_METHOD_POST] = {"POST", 4},     [TERN_METHOD_PUT] = {"PUT", 3},
    [TERN_METHOD_DELETE] = {"DELETE", 6}, [TERN_METHOD_OPTIONS] = {"OPTIONS", 7},
    [TERN_METHOD_PATCH] = {"PATCH", 5},   [TERN_METHOD_OTHER] = {"OTHER", 5},
};

struct tern_buf *tern_exchange_body(struct tern_exchange *x)
{
    tern_buf_clear(x->out);
    if (tern_buf_reserve(x->out, TERN_HEAD_ROOM))
        x->out->n = TERN_HEAD_ROOM;
    return x->out;
}

struct tern_str tern_exchange_body_str(const struct tern_exchange *x)
{
    if (x->out->n < TERN_HEAD_ROOM)
        return tern_str_make(NULL, 0);
    return tern_str_make(x->out->p + TERN_HEAD_ROOM, x->out->n - TERN_HEAD_ROOM);
}

size_t tern_exchange_slices_size(const struct tern_exchange *x)
{
    size_t n = 0;

    for (uint32_t i = 0; i < x->n_slices; i++)
        n += x->slices[i].n;
    return n;
}

void tern_exchange_set_unsent(struct tern_exchange *x, size_t unsent)
{
    x->unsent = unsent;
    if (!x->crowded || unsent > TERN_STREAM_LOW)
        return;
    x->crowded = false;
    if (x->on_room != NULL)
        x->on_room(x);
}

struct tern_str tern_exchange_find_header(const struct tern_exchange *x, struct tern_str name)
{
    for (uint32_t i = 0; i < x->n_headers; i++) {
        const struct tern_header *header = &x->headers[i];
        if (header->name.n == name.n && tern_str_eq_nocase(header->name, name))
            return header->value;
    }
    return tern_str_make(NULL, 0);
}

void tern_exchange_add_header(struct tern_exchange *x, struct tern_str name, struct tern_str value)
{
    if (x->n_response_headers < TERN_RESPONSE_HEADERS_MAX)
        x->response_headers[x->n_response_headers++] = (struct tern_header){name, value};
}

void tern_exchange_add_trailer(struct tern_exchange *x, struct tern_str name, struct tern_str value)
{
    if (x->n_response_trailers < TERN_RESPONSE_TRAILERS_MAX)
        x->response_trailers[x->n_response_trailers++] = (struct tern_header){name, value};
}

const char *tern_method_name(enum tern_method method)
{
    return method_names[method].p;
}

enum tern_method tern_method_from(struct tern_str text)
{
    if (TERN_LIKELY(tern_str_eq(text, TERN_STR("POST")))) /* an inference */
        return TERN_METHOD_POST;
    for (unsigned i = 0; i < TERN_METHOD_OTHER; i++) {
        if (tern_str_eq(text, method_names[i]))
            return (enum tern_method)i;
    }
    return TERN_METHOD_OTHER;
}
