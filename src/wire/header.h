/* One field of an HTTP message, whatever version carried it (RFC 9110 5). */
#ifndef TERN_WIRE_HEADER_H
#define TERN_WIRE_HEADER_H

#include "base/str.h"

struct tern_header {
    struct tern_str name; /* as it came (h1) or lower case (h2); compare without case */
    struct tern_str value;
};

#endif
