/* A compiled path: steps in the order of the text. Between gjson.c, which makes it, and
 * gjson_find.c, which walks it. */
#ifndef TERN_WIRE_GJSON_INT_H
#define TERN_WIRE_GJSON_INT_H

#include <stdint.h>
#include "wire/gjson.h"

enum gjson_kind {
    GJSON_KEY,   /* a member, or an element by its number */
    GJSON_COUNT, /* the number of elements */
    GJSON_WRAP,  /* [value] */
    GJSON_EACH,  /* the steps up to `end`, for each element: an array */
    GJSON_FIRST, /* the first element for which the query holds */
    GJSON_ALL,   /* the steps from query_end to `end`, for each element for which it holds */
};

enum gjson_compare {
    GJSON_EXISTS,
    GJSON_EQ,
    GJSON_NE,
    GJSON_LT,
    GJSON_LE,
    GJSON_GT,
    GJSON_GE,
    GJSON_LIKE,
    GJSON_UNLIKE,
};

struct gjson_step {
    enum gjson_kind kind;
    struct tern_str text; /* KEY: its name, unescaped unless it is a pattern; a query: its value */
    bool is_pattern;
    uint32_t level;     /* of queries around it */
    uint32_t query_end; /* FIRST, ALL: the query's steps are those between this one and that */
    uint32_t end;       /* EACH, ALL; 0: not known yet */
    enum gjson_compare compare;
};

struct tern_gjson {
    const struct gjson_step *steps;
    uint32_t n;
};

#endif
