/* One tensor's "data" in the JSON of the Open Inference Protocol, both ways: shared by the dialect
 * and by the commands that speak it as clients. */
#ifndef TERN_PROTO_OIP_TENSOR_H
#define TERN_PROTO_OIP_TENSOR_H

#include "base/arena.h"
#include "core/tensor.h"
#include "wire/json.h"

/* What the shape says; INVALID_ARGUMENT when elements or bytes overflow. */
enum tern_code tern_oip_count_elements(const struct tern_tensor *tensor, size_t *ret_count,
                                       struct tern_err *err);
/* json stands at the array. name, dtype and shape of the tensor are known; sets data and n_bytes.
 */
enum tern_code tern_oip_read_tensor(struct tern_json *json, struct tern_arena *arena,
                                    struct tern_tensor *tensor, struct tern_err *err);
/* The array with its brackets. INVALID_ARGUMENT for BYTES that are not UTF-8. */
enum tern_code tern_oip_write_tensor(struct tern_buf *buf, const struct tern_tensor *tensor,
                                     struct tern_err *err);
void tern_oip_write_shape(struct tern_buf *buf, const struct tern_shape *shape);

#endif
