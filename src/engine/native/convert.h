/* Numbers from one datatype to another, as C converts them; what has no value in an integer (NaN,
 * or beyond its range) becomes its lowest value, as x86 processors and numpy there have it. */
#ifndef TERN_ENGINE_NATIVE_CONVERT_H
#define TERN_ENGINE_NATIVE_CONVERT_H

#include <stdbool.h>
#include <stddef.h>
#include "base/dtype.h"

/* Whether there is a conversion: among BOOL, the integers, FP32 and FP64. */
bool tern_convert_has(enum tern_dtype from, enum tern_dtype to);
/* n elements, neither of which overlap; both aligned to their elements. */
void tern_convert(enum tern_dtype from, const void *src, enum tern_dtype to, void *dst, size_t n);

#endif
