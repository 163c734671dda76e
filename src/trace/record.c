#include "trace/record.h"

#include <string.h>
#include "base/hash.h"
#include "base/mem.h"

/* How much of the tensor is kept, in whole elements. */
static size_t kept_bytes(const struct tern_trace_tensor *tensor, size_t room)
{
    size_t max = room < TERN_TRACE_TENSOR_BYTES_MAX ? room : TERN_TRACE_TENSOR_BYTES_MAX;
    size_t size = tern_dtype_size(tensor->dtype);
    struct tern_str element;
    size_t at = 0, end = 0;

    if (tensor->n_bytes <= max)
        return tensor->n_bytes;
    if (size > 0)
        return max / size * size;
    struct tern_tensor bytes = {.dtype = tensor->dtype, .n_bytes = tensor->n_bytes};
    memcpy(&bytes.data, &tensor->data, sizeof(bytes.data)); /* only read */
    while (tern_tensor_next_bytes(&bytes, &at, &element) && at <= max)
        end = at;
    return end;
}

static char *put(char **at, struct tern_str text)
{
    char *to = *at;

    if (text.n > 0)
        memcpy(to, text.p, text.n);
    *at += text.n;
    return to;
}

/* What the copy of a record takes behind its head and tensors; cuts what is too long. */
static size_t measure(const struct tern_trace_record *from, size_t *kept)
{
    size_t n = from->model.n + from->request_id.n;
    size_t room = TERN_TRACE_BYTES_MAX;

    for (uint32_t i = 0; i < from->n_tensors; i++) {
        kept[i] = kept_bytes(&from->tensors[i], room);
        room -= kept[i];
        n += from->tensors[i].name.n + kept[i];
    }
    return n;
}

struct tern_trace_record *tern_trace_record_new(const struct tern_trace_record *from)
{
    size_t kept[TERN_TRACE_TENSORS_MAX];
    uint32_t n_tensors =
        from->n_tensors < TERN_TRACE_TENSORS_MAX ? from->n_tensors : TERN_TRACE_TENSORS_MAX;
    struct tern_trace_record cut = *from;
    cut.n_tensors = n_tensors;
    size_t heads = sizeof(*from) + n_tensors * sizeof(struct tern_trace_tensor);
    struct tern_trace_record *record = tern_mem_alloc(heads + measure(&cut, kept));

    if (record == NULL)
        return NULL;
    struct tern_trace_tensor *tensors = (void *)(record + 1);
    char *at = (char *)record + heads;
    *record = cut;
    record->next = NULL;
    record->members = NULL;
    record->tensors = tensors;
    record->model.p = put(&at, from->model);
    record->request_id.p = put(&at, from->request_id);
    for (uint32_t i = 0; i < n_tensors; i++) {
        tensors[i] = from->tensors[i];
        tensors[i].cut = kept[i] < from->tensors[i].n_bytes;
        tensors[i].n_bytes = kept[i];
        tensors[i].name.p = put(&at, from->tensors[i].name);
        tensors[i].data = put(&at, tern_str_make(from->tensors[i].data, kept[i]));
    }
    return record;
}

void tern_trace_record_free_all(struct tern_trace_record *first)
{
    while (first != NULL) {
        struct tern_trace_record *next = first->next;
        tern_mem_free(first); /* members have none */
        first = next;
    }
}

void tern_trace_record_free(struct tern_trace_record *record)
{
    tern_trace_record_free_all(record->members);
    tern_mem_free(record);
}

void tern_trace_span_below(const uint8_t span[8], uint64_t nth, uint8_t ret[8])
{
    uint64_t hash = tern_hash_bytes(tern_str_make((const char *)span, 8), nth);

    hash += hash == 0; /* zero stands for "none" */
    memcpy(ret, &hash, 8);
}

/* Below the request's: its model's is the first; numbers are told apart by the upper half. */
void tern_trace_span_of(const uint8_t request[8], uint32_t number, uint8_t ret[8])
{
    tern_trace_span_below(request, (uint64_t)number << 32 | 1, ret);
}

const char *tern_trace_point_name(enum tern_trace_point point, bool grpc)
{
    static const char *const names[TERN_TRACE_POINT_COUNT][2] = {
#define X(name, http, rpc) [TERN_TRACE_AT_##name] = {http, rpc},
        TERN_TRACE_POINTS(X)
#undef X
    };
    return names[point][grpc];
}
