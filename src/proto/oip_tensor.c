/* One tensor as JSON: numbers go between text and tensor memory in one pass, without a tree. */
#include <inttypes.h>
#include "base/num.h"
#include "proto/oip_int.h"
#include "simd/numbers.h"

#define TENSOR_ALIGN 64     /* what vectorised engines like best */
#define PIECE        65536u /* numbers written at once */

/* -- reading ------------------------------------------------------------------------------ */

/* Elements in an array that is known to be valid JSON, whatever they are. */
static size_t count_found(struct tern_json json)
{
    size_t n = 0;
    int outside = json.depth;
    bool more;

    if (tern_json_array(&json, NULL) != TERN_OK)
        return 0;
    while (json.depth > outside && tern_json_item(&json, &more, NULL) == TERN_OK) {
        if (!more)
            continue;
        bool array = tern_json_peek(&json) == TERN_JSON_ARRAY;
        if ((array ? tern_json_array(&json, NULL) : tern_json_skip(&json, NULL)) != TERN_OK)
            break;
        n += !array;
    }
    return n;
}

static TERN_COLD enum tern_code fail_too_many(struct tern_err *err)
{
    return tern_fail(err, TERN_INVALID_ARGUMENT,
                     "Unable to parse 'data': Shape does not match true shape of 'data' field");
}

static TERN_COLD enum tern_code fail_too_few(const struct tern_tensor *tensor, struct tern_err *err)
{
    char text[160];

    return tern_fail(err, TERN_INVALID_ARGUMENT,
                     "Failed to parse 'data' field: shape does not match true shape (input '%.*s' "
                     "has fewer elements than its shape %s)",
                     TERN_STR_ARG(tensor->name),
                     tern_shape_print(&tensor->shape, text, sizeof(text)));
}

/* The fast reader refused the array at json: say why in the order that helps most. Text that is not
 * JSON comes first, then a count that cannot fit, then what the reader said (in err). */
static TERN_COLD enum tern_code explain(const struct tern_json *json,
                                        const struct tern_tensor *tensor, size_t count,
                                        enum tern_code code, struct tern_err *err)
{
    struct tern_json probe = *json;
    struct tern_err first;

    if (tern_json_skip(&probe, &first) != TERN_OK) {
        if (err != NULL)
            *err = first;
        return first.code;
    }
    if (count_found(*json) > count)
        return fail_too_many(err);
    tern_err_prefix(err, "Unable to parse 'data' of input '%.*s'", TERN_STR_ARG(tensor->name));
    return code;
}

static TERN_COLD enum tern_code fail_nest(const struct tern_tensor *tensor, int rank,
                                          const int64_t *dim, struct tern_err *err)
{
    struct tern_shape found = {.rank = rank};
    char declared[160], nested[160];

    memcpy(found.dim, dim, (size_t)rank * sizeof(dim[0]));
    return tern_fail(err, TERN_INVALID_ARGUMENT,
                     "Unable to parse 'data': Shape does not match true shape of 'data' field "
                     "(input '%.*s' has shape %s, its data is nested as %s)",
                     TERN_STR_ARG(tensor->name),
                     tern_shape_print(&tensor->shape, declared, sizeof(declared)),
                     tern_shape_print(&found, nested, sizeof(nested)));
}

/* Flat data may have any shape; nested data has to have the one that was declared. */
static enum tern_code check_nest(const struct tern_tensor *tensor, int rank, const int64_t *dim,
                                 struct tern_err *err)
{
    if (rank <= 1)
        return TERN_OK;
    if (rank != tensor->shape.rank ||
        memcmp(dim, tensor->shape.dim, (size_t)rank * sizeof(dim[0])) != 0)
        return fail_nest(tensor, rank, dim, err);
    return TERN_OK;
}

static enum tern_code read_numbers(struct tern_json *json, struct tern_arena *arena,
                                   struct tern_tensor *tensor, size_t count, struct tern_err *err)
{
    struct tern_str text = tern_str_make(json->p, (size_t)(json->end - json->p));
    TERN_UNINITIALIZED struct tern_numbers_result result;

    if (count > text.n / 2) /* a number and its separator: no memory for a shape that lies */
        return fail_too_few(tensor, err);
    size_t n_bytes = count * tern_dtype_size(tensor->dtype);
    void *data = tern_arena_alloc(arena, TENSOR_ALIGN, n_bytes);
    if (data == NULL)
        return tern_arena_fail(arena, err, "the data of an input");
    enum tern_code code = tern_numbers_read(tensor->dtype, text, data, count, &result, err);
    if (TERN_UNLIKELY(code != TERN_OK))
        return explain(json, tensor, count, code, err);
    if (TERN_UNLIKELY(result.count != count))
        return fail_too_few(tensor, err);
    TERN_TRY(check_nest(tensor, result.nest.rank, result.nest.dim, err));
    json->p += result.used;
    tensor->data = data;
    tensor->n_bytes = n_bytes;
    return TERN_OK;
}

/* Where a walk through nested arrays of strings stands. Level 1 is the outermost array. */
struct nest {
    int level;
    int rank;                          /* deepest level so far */
    int leaf;                          /* level of the strings; 0: none yet */
    int64_t seen[TERN_RANK_MAX + 1];   /* members so far of the open array of a level */
    int64_t extent[TERN_RANK_MAX + 1]; /* members of each closed one; -1: none closed yet */
};

static enum tern_code fail_ragged(const struct tern_json *json, struct tern_err *err)
{
    return tern_json_fail(json, err, "expected arrays of equal length and depth in 'data'");
}

static enum tern_code open_level(struct tern_json *json, struct nest *nest, struct tern_err *err)
{
    if (nest->level == TERN_RANK_MAX)
        return tern_json_fail(json, err, "expected at most %d nested arrays in 'data'",
                              TERN_RANK_MAX);
    if (nest->leaf != 0 && nest->level >= nest->leaf)
        return fail_ragged(json, err);
    TERN_TRY(tern_json_array(json, err));
    nest->level++;
    nest->seen[nest->level] = 0;
    if (nest->level > nest->rank) {
        nest->rank = nest->level;
        nest->extent[nest->level] = -1;
    }
    return TERN_OK;
}

static enum tern_code close_level(const struct tern_json *json, struct nest *nest,
                                  struct tern_err *err)
{
    int level = nest->level--;

    if (nest->extent[level] < 0)
        nest->extent[level] = nest->seen[level];
    else if (nest->extent[level] != nest->seen[level])
        return fail_ragged(json, err);
    return TERN_OK;
}

/* Appends one string with its length before it. */
static enum tern_code read_element(struct tern_json *json, struct nest *nest, char **at,
                                   struct tern_err *err)
{
    struct tern_str s;

    if (nest->leaf != 0 && nest->leaf != nest->level)
        return fail_ragged(json, err);
    nest->leaf = nest->level;
    TERN_TRY(tern_json_string(json, &s, err));
    if (s.n > UINT32_MAX)
        return tern_json_fail(json, err, "expected strings below 4 GiB");
    uint32_t length = (uint32_t)s.n;
    memcpy(*at, &length, 4); /* little-endian, as every machine we build for */
    if (s.n > 0)
        memcpy(*at + 4, s.p, s.n);
    *at += 4 + s.n;
    return TERN_OK;
}

/* Writes at most count elements from at on; *ret_found is how many there were. */
static enum tern_code walk_strings(struct tern_json *json, struct nest *nest, size_t count,
                                   char **at, size_t *ret_found, struct tern_err *err)
{
    size_t found = 0;
    bool more;

    TERN_TRY(open_level(json, nest, err));
    while (nest->level > 0) {
        TERN_TRY(tern_json_item(json, &more, err));
        if (!more) {
            TERN_TRY(close_level(json, nest, err));
            continue;
        }
        nest->seen[nest->level]++;
        if (tern_json_peek(json) == TERN_JSON_ARRAY) {
            TERN_TRY(open_level(json, nest, err));
        } else {
            if (found++ == count)
                return fail_too_many(err);
            TERN_TRY(read_element(json, nest, at, err));
        }
    }
    *ret_found = found;
    return TERN_OK;
}

static enum tern_code read_strings(struct tern_json *json, struct tern_arena *arena,
                                   struct tern_tensor *tensor, size_t count, struct tern_err *err)
{
    struct tern_str text = tern_str_make(json->p, (size_t)(json->end - json->p));
    size_t length = tern_numbers_skip(text, (unsigned)(json->depth_max - json->depth)), found = 0,
           capacity;
    struct nest nest = {.level = 0};

    if (length == 0) { /* the slow way says what is wrong */
        TERN_TRY(tern_json_skip(json, err));
        return tern_json_fail(json, err, "expected an array that ends");
    }
    if (count > length / 3)
        return fail_too_few(tensor, err);
    capacity = length + count * 4; /* quotes make up for no part of the length words */
    char *data = tern_arena_alloc(arena, TENSOR_ALIGN, capacity), *at = data;
    if (data == NULL)
        return tern_arena_fail(arena, err, "the data of an input");
    enum tern_code code = walk_strings(json, &nest, count, &at, &found, err);
    if (code != TERN_OK)
        return code;
    if (found != count)
        return fail_too_few(tensor, err);
    TERN_TRY(check_nest(tensor, nest.rank, nest.extent + 1, err));
    tensor->data = data;
    tensor->n_bytes = (size_t)(at - data);
    return TERN_OK;
}

static TERN_COLD enum tern_code fail_count(const struct tern_tensor *tensor, struct tern_err *err)
{
    char text[160];

    return tern_fail(err, TERN_INVALID_ARGUMENT,
                     "shape %s of input '%.*s' causes total element count to exceed maximum size "
                     "of %" PRId64,
                     tern_shape_print(&tensor->shape, text, sizeof(text)),
                     TERN_STR_ARG(tensor->name), INT64_MAX);
}

enum tern_code tern_oip_count_elements(const struct tern_tensor *tensor, size_t *ret_count,
                                       struct tern_err *err)
{
    size_t count, bytes;

    if (!tern_shape_count(&tensor->shape, &count) || count > INT64_MAX)
        return fail_count(tensor, err);
    if (tern_num_mul(count, tern_dtype_size(tensor->dtype), &bytes) || bytes > INT64_MAX)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "byte size overflow for input '%.*s'",
                         TERN_STR_ARG(tensor->name));
    *ret_count = count;
    return TERN_OK;
}

/* Whether the value at json opens more than n arrays at once. */
static bool is_deeper(const struct tern_json *json, int n)
{
    for (const char *p = json->p; p < json->end && n >= 0; p++) {
        if (*p == '[')
            n--;
        else if (*p != ' ' && *p != '\n' && *p != '\r' && *p != '\t')
            break;
    }
    return n < 0;
}

static enum tern_code enter(struct tern_json *json, int levels)
{
    bool more = true;

    for (int i = 0; i < levels && more; i++) {
        TERN_TRY(tern_json_array(json, NULL));
        TERN_TRY(tern_json_item(json, &more, NULL));
    }
    return more ? TERN_OK : TERN_OUT_OF_RANGE;
}

static enum tern_code leave(struct tern_json *json, int levels, struct tern_err *err)
{
    bool more = false;

    for (int i = 0; i < levels && !more; i++)
        TERN_TRY(tern_json_item(json, &more, err));
    return more ? fail_too_many(err) : TERN_OK;
}

/* [[[5]]] has shape [1] too: how many arrays of one member stand around the data besides those
 * that its shape asks for. 0 when they have more than one member, which is another shape. */
static TERN_COLD int count_wrappers(const struct tern_json *json, int rank)
{
    struct tern_json probe = *json;
    int levels = 0;

    for (; tern_json_peek(&probe) == TERN_JSON_ARRAY; levels++) {
        if (enter(&probe, 1) != TERN_OK)
            return 0;
    }
    levels -= rank;
    probe = *json;
    if (levels <= 0 || enter(&probe, levels) != TERN_OK ||
        tern_json_skip(&probe, NULL) != TERN_OK || leave(&probe, levels, NULL) != TERN_OK)
        return 0;
    return levels;
}

enum tern_code tern_oip_read_tensor(struct tern_json *json, struct tern_arena *arena,
                                    struct tern_tensor *tensor, struct tern_err *err)
{
    int rank = tensor->shape.rank > 0 ? tensor->shape.rank : 1, wrappers = 0;
    size_t count = 0;

    if (tern_json_peek(json) != TERN_JSON_ARRAY)
        return tern_json_fail(json, err, "expected an array as 'data' of input '%.*s'",
                              TERN_STR_ARG(tensor->name));
    TERN_TRY(tern_oip_count_elements(tensor, &count, err));
    if (TERN_UNLIKELY(is_deeper(json, rank)))
        wrappers = count_wrappers(json, rank);
    TERN_TRY(enter(json, wrappers));
    TERN_TRY(tensor->dtype == TERN_DTYPE_BYTES ? read_strings(json, arena, tensor, count, err)
                                               : read_numbers(json, arena, tensor, count, err));
    return leave(json, wrappers, err);
}

/* -- writing ------------------------------------------------------------------------------ */

static void write_numbers(struct tern_buf *buf, const struct tern_tensor *tensor)
{
    size_t size = tern_dtype_size(tensor->dtype);
    size_t count = tensor->n_bytes / size;

    /* Piece by piece: the room that the longest numbers of a large tensor would need is many times
     * what it takes. */
    for (size_t at = 0; at < count; at += PIECE) {
        size_t n = count - at < PIECE ? count - at : PIECE;
        if (!tern_buf_reserve(buf, 1 + tern_numbers_write_bound(tensor->dtype, n)))
            return;
        if (at > 0)
            buf->p[buf->n++] = ',';
        const char *from = (const char *)tensor->data + at * size;
        buf->n += tern_numbers_write(tensor->dtype, from, n, buf->p + buf->n);
    }
}

static enum tern_code write_strings(struct tern_buf *buf, const struct tern_tensor *tensor,
                                    struct tern_err *err)
{
    struct tern_str element;

    for (size_t at = 0, i = 0; at < tensor->n_bytes; i++) {
        if (!tern_tensor_next_bytes(tensor, &at, &element))
            return tern_fail(err, TERN_INTERNAL,
                             "output '%.*s': string element %zu is longer than the data",
                             TERN_STR_ARG(tensor->name), i);
        if (!tern_str_is_utf8(element))
            return tern_fail(err, TERN_INVALID_ARGUMENT,
                             "output '%.*s': element %zu is not valid UTF-8 and has no JSON form; "
                             "ask for the output with the parameter 'binary_data': true",
                             TERN_STR_ARG(tensor->name), i);
        if (i > 0)
            tern_buf_add_char(buf, ',');
        tern_json_add_string(buf, element);
    }
    return TERN_OK;
}

enum tern_code tern_oip_write_tensor(struct tern_buf *buf, const struct tern_tensor *tensor,
                                     struct tern_err *err)
{
    tern_buf_add_char(buf, '[');
    if (tensor->dtype == TERN_DTYPE_BYTES)
        TERN_TRY(write_strings(buf, tensor, err));
    else
        write_numbers(buf, tensor);
    tern_buf_add_char(buf, ']');
    return TERN_OK;
}

void tern_oip_write_shape(struct tern_buf *buf, const struct tern_shape *shape)
{
    tern_buf_add_char(buf, '[');
    for (int i = 0; i < shape->rank; i++) {
        if (i > 0)
            tern_buf_add_char(buf, ',');
        tern_buf_add_i64(buf, shape->dim[i]);
    }
    tern_buf_add_char(buf, ']');
}
