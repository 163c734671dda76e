/* A TensorProto (an initializer, or an attribute that is a tensor) as a tensor of ours, and the
 * repeated numbers of protobuf messages.
 * https://github.com/onnx/onnx/blob/main/onnx/onnx.proto */
#ifndef TERN_ENGINE_NATIVE_ONNX_TENSOR_H
#define TERN_ENGINE_NATIVE_ONNX_TENSOR_H

#include "base/arena.h"
#include "base/err.h"
#include "core/tensor.h"
#include "wire/pb.h"

/* ONNX's number of a datatype; INVALID: none that Tern has. */
enum tern_dtype tern_onnx_tensor_dtype(uint64_t data_type);

/* Copies the elements into the arena, aligned to 64 bytes; the name is a slice of the message.
 * INVALID_ARGUMENT: damaged; UNIMPLEMENTED: a datatype or a place (external data) that is not
 * read. */
enum tern_code tern_onnx_tensor_read(struct tern_str message, struct tern_arena *arena,
                                     struct tern_tensor *ret_tensor, struct tern_err *err);

/* The values of a repeated number field, packed or one by one: int64_t of VARINT, float of FIXED32,
 * double of FIXED64. */
enum tern_code tern_onnx_tensor_numbers(struct tern_str message, uint32_t number,
                                        enum tern_pb_wire wire, struct tern_arena *arena,
                                        void **ret_numbers, size_t *ret_n, struct tern_err *err);
/* The values of a repeated string field: slices of the message. */
enum tern_code tern_onnx_tensor_texts(struct tern_str message, uint32_t number,
                                      struct tern_arena *arena, struct tern_str **ret_texts,
                                      size_t *ret_n, struct tern_err *err);

#endif
