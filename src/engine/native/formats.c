#include "engine/native/format.h"

#include "base/compiler.h"

const struct tern_native_format *const tern_native_formats[] = {
    NULL, /* formats stand before this */
};
const uint32_t tern_native_formats_count = TERN_COUNT_OF(tern_native_formats) - 1;
