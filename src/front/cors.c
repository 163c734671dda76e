#include "front/cors.h"

#define MAX_AGE     "7200" /* seconds; no browser keeps it longer */
#define HEADERS_MAX 1024   /* asked for; more is no browser */
/* What a page may read beyond the few that it always may: gRPC-Web's end of a call without a
 * message, and the length that divides JSON from binary tensors. */
#define EXPOSED                                                           \
    "grpc-status, grpc-message, grpc-status-details-bin, grpc-encoding, " \
    "inference-header-content-length"

enum tern_code tern_cors_check_origin(struct tern_str origin, struct tern_err *err)
{
    struct tern_str rest = origin, scheme;

    if (tern_str_eq(origin, TERN_STR("*")))
        return TERN_OK;
    bool good = tern_str_split(&rest, ':', &scheme) && scheme.n > 0 &&
                tern_str_starts(rest, TERN_STR("//")) && rest.n > 2;
    for (size_t i = 2; good && i < rest.n; i++)
        good = rest.p[i] > ' ' && rest.p[i] <= '~' && rest.p[i] != '/' && rest.p[i] != '*' &&
               rest.p[i] != '?' && rest.p[i] != '#' && rest.p[i] != '@';
    if (good)
        return TERN_OK;
    return tern_fail(err, TERN_INVALID_ARGUMENT,
                     "'%.*s' is no origin, expected SCHEME://HOST[:PORT] without a path, or *",
                     TERN_STR_ARG(origin));
}

/* What Access-Control-Allow-Origin says; p == NULL: it is not there. Browsers send origins in lower
 * case, so they are compared as bytes. */
static struct tern_str allowed_origin(const struct tern_cors *cors, const struct tern_exchange *x)
{
    if (TERN_LIKELY(cors->n_origins == 0))
        return tern_str_make(NULL, 0);
    struct tern_str origin = tern_exchange_header(x, TERN_STR("origin"));
    for (uint32_t i = 0; origin.p != NULL && i < cors->n_origins; i++) {
        if (tern_str_eq(cors->origins[i], TERN_STR("*")) || tern_str_eq(cors->origins[i], origin))
            return cors->origins[i];
    }
    return tern_str_make(NULL, 0);
}

/* Whether one is allowed. A cache must not give the answer for one origin to another. */
static bool add_origin(const struct tern_cors *cors, struct tern_exchange *x)
{
    struct tern_str origin = allowed_origin(cors, x);

    if (TERN_LIKELY(origin.p == NULL))
        return false;
    tern_exchange_add_header(x, TERN_STR("access-control-allow-origin"), origin);
    tern_exchange_add_header(x, TERN_STR("vary"), TERN_STR("origin"));
    return true;
}

void tern_cors_allow(const struct tern_cors *cors, struct tern_exchange *x)
{
    if (add_origin(cors, x))
        tern_exchange_add_header(x, TERN_STR("access-control-expose-headers"), TERN_STR(EXPOSED));
}

void tern_cors_preflight(const struct tern_cors *cors, struct tern_exchange *x,
                         struct tern_str methods)
{
    struct tern_str method = tern_exchange_header(x, TERN_STR("access-control-request-method"));
    struct tern_str headers = tern_exchange_header(x, TERN_STR("access-control-request-headers"));

    if (method.p == NULL || !add_origin(cors, x))
        return;
    tern_exchange_add_header(x, TERN_STR("access-control-allow-methods"), methods);
    if (headers.n > 0 && headers.n <= HEADERS_MAX)
        tern_exchange_add_header(x, TERN_STR("access-control-allow-headers"), headers);
    tern_exchange_add_header(x, TERN_STR("access-control-max-age"), TERN_STR(MAX_AGE));
}
