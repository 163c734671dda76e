/* Element types of tensors: the Open Inference Protocol's names, plus what an engine may add.
 * They stand in the lowest layer because number kernels (simd), codecs (wire) and engines all need
 * them. BYTES has no fixed size: in memory, as on the wire, each element is a 4-byte little-endian
 * length followed by that many bytes. FP16 is IEEE binary16, BF16 the upper half of binary32. */
#ifndef TERN_BASE_DTYPE_H
#define TERN_BASE_DTYPE_H

#include <stddef.h>
#include "base/str.h"

/* X(name, bytes an element, numpy type string) */
#define TERN_DTYPES(X)  \
    X(BOOL, 1, "|b1")   \
    X(UINT8, 1, "|u1")  \
    X(UINT16, 2, "<u2") \
    X(UINT32, 4, "<u4") \
    X(UINT64, 8, "<u8") \
    X(INT8, 1, "|i1")   \
    X(INT16, 2, "<i2")  \
    X(INT32, 4, "<i4")  \
    X(INT64, 8, "<i8")  \
    X(FP16, 2, "<f2")   \
    X(BF16, 2, "")      \
    X(FP32, 4, "<f4")   \
    X(FP64, 8, "<f8")   \
    X(BYTES, 0, "")

enum tern_dtype {
    TERN_DTYPE_INVALID = 0,
#define X(name, size, numpy) TERN_DTYPE_##name,
    TERN_DTYPES(X)
#undef X
};

#define TERN_DTYPE_COUNT 15 /* with INVALID */

size_t tern_dtype_size(enum tern_dtype dtype);              /* 0 for BYTES and INVALID */
const char *tern_dtype_name(enum tern_dtype dtype);         /* "FP32"; "INVALID" */
const char *tern_dtype_numpy(enum tern_dtype dtype);        /* "<f4"; "" when numpy has none */
enum tern_dtype tern_dtype_from_name(struct tern_str name); /* INVALID when unknown */
/* Triton's config spelling: TYPE_FP32, TYPE_STRING. */
enum tern_dtype tern_dtype_from_config_name(struct tern_str name);
void tern_dtype_config_name(enum tern_dtype dtype, char dst[16]);

#endif
