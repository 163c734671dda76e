#include "wire/encoding.h"

static const struct {
    struct tern_str name;
    struct tern_str alias;
} rows[TERN_ENCODING_COUNT] = {
    [TERN_ENCODING_IDENTITY] = {{"identity", 8}, {NULL, 0}},
    [TERN_ENCODING_GZIP] = {{"gzip", 4}, {"x-gzip", 6}},
    [TERN_ENCODING_DEFLATE] = {{"deflate", 7}, {NULL, 0}},
    [TERN_ENCODING_ZSTD] = {{"zstd", 4}, {NULL, 0}},
};

/* Best first among equal q-values. */
static const enum tern_encoding preference[TERN_ENCODING_COUNT] = {
    TERN_ENCODING_ZSTD, TERN_ENCODING_GZIP, TERN_ENCODING_DEFLATE, TERN_ENCODING_IDENTITY};

#define Q_ONE     1000
#define Q_UNSAID  (-1)
#define Q_INVALID (-2)

const char *tern_encoding_name(enum tern_encoding encoding)
{
    return rows[encoding].name.p;
}

static bool find(struct tern_str name, enum tern_encoding *ret_encoding)
{
    for (unsigned i = 0; i < TERN_ENCODING_COUNT; i++) {
        bool is_alias = rows[i].alias.n > 0 && tern_str_eq_nocase(name, rows[i].alias);
        if (is_alias || tern_str_eq_nocase(name, rows[i].name)) {
            *ret_encoding = (enum tern_encoding)i;
            return true;
        }
    }
    return false;
}

enum tern_code tern_encoding_parse(struct tern_str value, enum tern_encoding *ret_encoding,
                                   struct tern_err *err)
{
    struct tern_str name = tern_str_trim(value);

    if (name.n == 0) {
        *ret_encoding = TERN_ENCODING_IDENTITY;
        return TERN_OK;
    }
    if (find(name, ret_encoding))
        return TERN_OK;
    if (tern_str_find(name, ',') < name.n)
        return tern_fail_http(err, TERN_UNIMPLEMENTED, 415,
                              "Content-Encoding: expected one of " TERN_ENCODING_ACCEPTED
                              ", got a list");
    if (name.n > 64)
        name.n = 64;
    return tern_fail_http(err, TERN_UNIMPLEMENTED, 415,
                          "Content-Encoding: expected one of " TERN_ENCODING_ACCEPTED
                          ", got \"%.*s\"",
                          TERN_STR_ARG(name));
}

/* qvalue of RFC 9110 12.4.2 in thousandths: "0" or "1" with up to three digits after a dot. */
static int parse_q(struct tern_str s)
{
    if (s.n == 0 || s.n > 5 || (s.p[0] != '0' && s.p[0] != '1') || (s.n > 1 && s.p[1] != '.'))
        return Q_INVALID;
    int q = (s.p[0] - '0') * Q_ONE;
    int unit = Q_ONE / 10;
    for (size_t i = 2; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return Q_INVALID;
        q += (s.p[i] - '0') * unit;
        unit /= 10;
    }
    return q <= Q_ONE ? q : Q_INVALID;
}

/* The weight of one list element whose coding was already cut off. */
static int weight_of(struct tern_str parameters)
{
    struct tern_str piece;
    int q = Q_ONE;

    while (tern_str_split(&parameters, ';', &piece)) {
        piece = tern_str_trim(piece);
        if (piece.n >= 2 && (piece.p[0] | 0x20) == 'q' && piece.p[1] == '=')
            q = parse_q(tern_str_from(piece, 2));
        else if (piece.n > 0)
            return Q_INVALID;
    }
    return q;
}

/* Fills q by coding; false when the list is malformed. */
static bool read_weights(struct tern_str accept, int q[TERN_ENCODING_COUNT], int *ret_any)
{
    struct tern_str element;

    while (tern_str_split(&accept, ',', &element)) {
        enum tern_encoding encoding;
        size_t cut = tern_str_find(element, ';');
        struct tern_str name = tern_str_trim(tern_str_make(element.p, cut));
        if (name.n == 0 && cut == element.n)
            continue; /* RFC 9110 5.6.1.2: empty elements are ignored */
        int weight = weight_of(tern_str_from(element, cut + 1));
        if (weight == Q_INVALID || name.n == 0)
            return false;
        if (tern_str_eq(name, TERN_STR("*")))
            *ret_any = weight;
        else if (find(name, &encoding))
            q[encoding] = weight;
    }
    return true;
}

enum tern_encoding tern_encoding_negotiate(struct tern_str accept)
{
    int q[TERN_ENCODING_COUNT] = {Q_UNSAID, Q_UNSAID, Q_UNSAID, Q_UNSAID};
    int any = Q_UNSAID;
    enum tern_encoding best = TERN_ENCODING_IDENTITY;
    int best_q = 0;

    if (accept.n == 0 || !read_weights(accept, q, &any))
        return TERN_ENCODING_IDENTITY;
    for (unsigned i = 0; i < TERN_ENCODING_COUNT; i++) {
        enum tern_encoding candidate = preference[i];
        int weight = q[candidate];
        /* "*" speaks for every coding that is not listed; identity is acceptable when nothing
         * speaks of it, but never wanted more than a coding that was asked for. */
        if (weight == Q_UNSAID)
            weight = any;
        if (weight > best_q) {
            best = candidate;
            best_q = weight;
        }
    }
    return best;
}
