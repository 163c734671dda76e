/* Tensors and their shapes. A tensor never owns its bytes: they lie in the request's arena, in a
 * payload buffer the request holds, or in memory an engine lent (released by an arena cleanup). */
#ifndef TERN_CORE_TENSOR_H
#define TERN_CORE_TENSOR_H

#include <stddef.h>
#include <stdint.h>
#include "base/dtype.h"
#include "base/err.h"
#include "base/str.h"

#define TERN_RANK_MAX 16

/* dim -1 stands for "any" in a specification; never in a tensor that carries data. */
struct tern_shape {
    int rank; /* 0: a scalar */
    int64_t dim[TERN_RANK_MAX];
};

/* Bytes in a region of memory that a client shares with the server, instead of in the message. */
struct tern_region_ref {
    struct tern_str name; /* of the region, as it was registered */
    uint64_t offset;      /* from the region's start */
    uint64_t byte_size;   /* of an input: its size; of an output: room for it */
};

struct tern_tensor {
    struct tern_str name; /* arena or borrowed from the model */
    enum tern_dtype dtype;
    struct tern_shape shape;
    void *data; /* row-major, little-endian; aligned to its element size unless it came binary */
    size_t n_bytes;
    /* NULL: the bytes come and go with the message. Else an input's data is set by the infer
     * operation, and an output was written there: a response only names the place. Arena. */
    struct tern_region_ref *region;
};

/* What the classes of an output are called, the first one first. */
struct tern_labels {
    const struct tern_str *rows;
    uint32_t n; /* 0: nobody says it */
};

/* What a model takes or gives. */
struct tern_tensor_spec {
    struct tern_str name;
    enum tern_dtype dtype;
    struct tern_shape shape; /* with the batch dimension, if the model has one, as dim[0] == -1 */
    bool optional;
    struct tern_labels labels;  /* of an output, as the model's own file calls them */
    struct tern_str label_path; /* Triton's label_filename, which wins; empty when none */
    bool on_request; /* an output that costs much more than the others: who names none does not get
                        it, and who names it is not answered on an event loop */
};

/* Number of elements; false when a dim is negative or the product overflows. */
TERN_MUST_USE bool tern_shape_count(const struct tern_shape *shape, size_t *ret_count);
/* Bytes that `shape` of dtype takes; for BYTES there is no answer: INVALID_ARGUMENT. The error
 * names the tensor. */
enum tern_code tern_shape_bytes(struct tern_str name, enum tern_dtype dtype,
                                const struct tern_shape *shape, size_t *ret_bytes,
                                struct tern_err *err);
/* Same rank and each dim equal or -1 in the spec. */
bool tern_shape_fits(const struct tern_shape *spec, const struct tern_shape *shape);
/* Makes of a shape that fits `from` the one it is in `to`: to's known dims, and for each -1 of `to`
 * the dim at the -1 of `from` that stands at the same place among them. Both have as many. */
void tern_shape_map(const struct tern_shape *from, const struct tern_shape *to,
                    struct tern_shape *shape);
bool tern_shape_eq(const struct tern_shape *a, const struct tern_shape *b);
/* "[-1,4]" with a terminating zero; cut when it does not fit. Returns dst. */
const char *tern_shape_print(const struct tern_shape *shape, char *dst, size_t cap);
/* Counts the elements of a BYTES tensor and checks every length against n_bytes. */
enum tern_code tern_tensor_check_bytes(struct tern_str name, const void *data, size_t n_bytes,
                                       size_t expected, struct tern_err *err);
/* Checks a little-endian 4-byte length at *at and answers the element; advances *at. */
bool tern_tensor_next_bytes(const struct tern_tensor *tensor, size_t *at, struct tern_str *ret);

#endif
