/* Tensors as the load generator sees them: a name, a type, a shape, and the elements as a flat
 * jansson array. Slow and simple; the timed path only compares bytes. */
#ifndef TERN_CLI_BENCH_TENSOR_H
#define TERN_CLI_BENCH_TENSOR_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "core/tensor.h"

#define TERN_BENCH_TENSORS_MAX 32
#define TERN_BENCH_NAME_MAX    256

struct tern_bench_tensor {
    char name[TERN_BENCH_NAME_MAX];
    enum tern_dtype dtype;
    struct tern_shape shape;
    json_t *data; /* owned: flat, one element each */
};

struct tern_bench_tensors {
    struct tern_bench_tensor items[TERN_BENCH_TENSORS_MAX];
    size_t n;
};

void tern_bench_tensors_fini(struct tern_bench_tensors *tensors);

/* An array of {"name","datatype","shape","data"}; data nested or flat. With `raw`, tensors that say
 * binary_data_size take their bytes from there, in order. */
enum tern_code tern_bench_tensors_read(const json_t *array, struct tern_str raw,
                                       struct tern_bench_tensors *ret, struct tern_err *err);
/* An answer of the Open Inference Protocol: json_n bytes of JSON (all of it when 0), raw after. */
enum tern_code tern_bench_tensors_read_answer(struct tern_str body, size_t json_n,
                                              struct tern_bench_tensors *ret, struct tern_err *err);

/* Rows first..first+n-1 along the first dimension, of each tensor. */
enum tern_code tern_bench_tensors_slice(const struct tern_bench_tensors *from, size_t first,
                                        size_t n, struct tern_bench_tensors *ret,
                                        struct tern_err *err);

/* Appends a request body: {"inputs":[...]}, or with binary the JSON and then the raw tensors, which
 * then are asked for in the answer too. Answers the length of the JSON part. */
size_t tern_bench_tensors_write_request(const struct tern_bench_tensors *inputs, bool binary,
                                        struct tern_buf *buf);

/* Every tensor of `want` is in `got` with the same type, shape and elements: integers, strings and
 * booleans equal, reals within tolerance * max(1, |want|). When not, `why` says where. */
bool tern_bench_tensors_match(const struct tern_bench_tensors *want,
                              const struct tern_bench_tensors *got, double tolerance, char *why,
                              size_t why_max);

#endif
