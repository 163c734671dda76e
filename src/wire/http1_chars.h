/* Character classes of RFC 9110 and RFC 3986, one bit each. */
#ifndef TERN_WIRE_HTTP1_CHARS_H
#define TERN_WIRE_HTTP1_CHARS_H

#include <stdint.h>

#define CHAR_TOKEN  1u /* tchar: names and methods */
#define CHAR_TARGET 2u /* what a request target may hold, without '#' */
#define CHAR_HOST   4u /* uri-host [":" port] */
#define CHAR_VALUE  8u /* a field value: everything but control characters */
#define CHAR_HEX    16u

/* clang-format off */
static const uint8_t char_class[256] = {
     0,  0,  0,  0,  0,  0,  0,  0,  0,  8,  0,  0,  0,  0,  0,  0, /* 00 */
     0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0, /* 10 */
     8, 15,  8,  9, 15, 15, 15, 15, 14, 14, 15, 15, 10, 15, 15, 10, /* 20 */
    31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 14, 14,  8, 14,  8, 10, /* 30 */
    10, 31, 31, 31, 31, 31, 31, 15, 15, 15, 15, 15, 15, 15, 15, 15, /* 40 */
    15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 14,  8, 14,  9, 15, /* 50 */
     9, 31, 31, 31, 31, 31, 31, 15, 15, 15, 15, 15, 15, 15, 15, 15, /* 60 */
    15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15,  8,  9,  8, 15,  0, /* 70 */
     8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8, /* 80 */
     8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8, /* 90 */
     8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8, /* a0 */
     8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8, /* b0 */
     8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8, /* c0 */
     8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8, /* d0 */
     8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8, /* e0 */
     8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8, /* f0 */
};
/* clang-format on */

#endif
