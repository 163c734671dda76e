/* Errors: one enum for the whole program, gRPC's 17 canonical codes with gRPC's numbers
 * (https://grpc.github.io/grpc/core/md_doc_statuscodes.html), and a text that the client will read.
 *
 * A function that can fail returns enum tern_code (0 is success) and takes `struct tern_err *err`
 * last; err may be NULL when the caller does not want the text. Out-parameters are untouched on
 * failure. The text names the field, what was expected and what came; it never carries a path of
 * this machine, an address or a secret. */
#ifndef TERN_BASE_ERR_H
#define TERN_BASE_ERR_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include "base/compiler.h"

/* X(name, number, HTTP status, label used in metrics and logs) */
#define TERN_CODES(X)                                     \
    X(OK, 0, 200, "ok")                                   \
    X(CANCELLED, 1, 499, "cancelled")                     \
    X(UNKNOWN, 2, 500, "unknown")                         \
    X(INVALID_ARGUMENT, 3, 400, "invalid_argument")       \
    X(DEADLINE_EXCEEDED, 4, 504, "deadline_exceeded")     \
    X(NOT_FOUND, 5, 404, "not_found")                     \
    X(ALREADY_EXISTS, 6, 409, "already_exists")           \
    X(PERMISSION_DENIED, 7, 403, "permission_denied")     \
    X(RESOURCE_EXHAUSTED, 8, 429, "resource_exhausted")   \
    X(FAILED_PRECONDITION, 9, 400, "failed_precondition") \
    X(ABORTED, 10, 409, "aborted")                        \
    X(OUT_OF_RANGE, 11, 400, "out_of_range")              \
    X(UNIMPLEMENTED, 12, 501, "unimplemented")            \
    X(INTERNAL, 13, 500, "internal")                      \
    X(UNAVAILABLE, 14, 503, "unavailable")                \
    X(DATA_LOSS, 15, 500, "data_loss")                    \
    X(UNAUTHENTICATED, 16, 401, "unauthenticated")

enum tern_code {
#define X(name, number, status, label) TERN_##name = (number),
    TERN_CODES(X)
#undef X
};

#define TERN_CODE_COUNT   17
#define TERN_ERR_TEXT_MAX 512

struct tern_err {
    enum tern_code code;
    int http_status; /* 0: as the code says; a dialect or the HTTP layer may need a finer one */
    /* Of an overload (429, 503): when trying again may help; 0: nobody knows. Set after the
     * failure, which clears it. */
    uint32_t retry_ms;
    char text[TERN_ERR_TEXT_MAX];
};

/* Fills err (if any) and returns code, so that `return tern_fail(err, ...)` is one line. */
enum tern_code tern_fail(struct tern_err *err, enum tern_code code, const char *fmt, ...)
    TERN_PRINTF(3, 4) TERN_COLD;

/* The same with an HTTP status of its own, for example 413 or 415. */
enum tern_code tern_fail_http(struct tern_err *err, enum tern_code code, int status,
                              const char *fmt, ...) TERN_PRINTF(4, 5) TERN_COLD;

/* A static analyzer sees one file at a time. This tells it that what fails does not answer TERN_OK,
 * here and for the other functions of that kind (tern_mem_fail, tern_arena_fail, tern_json_fail).
 */
#ifdef __clang_analyzer__
#define tern_fail(err, code, ...) ((void)tern_fail(err, code, __VA_ARGS__), (code))
#define tern_fail_http(err, code, status, ...) \
    ((void)tern_fail_http(err, code, status, __VA_ARGS__), (code))
#endif

/* Puts "<prefix>: " before the text that err already carries: the outer layer says where. */
void tern_err_prefix(struct tern_err *err, const char *fmt, ...) TERN_PRINTF(2, 3) TERN_COLD;

/* Takes every occurrence of `what` out of the text: how the path of this machine that a lower layer
 * put in front is kept from clients. */
void tern_err_hide(struct tern_err *err, const char *what, size_t n) TERN_COLD;

const char *tern_code_label(enum tern_code code);
const char *tern_code_name(enum tern_code code); /* "INVALID_ARGUMENT" */
int tern_code_http_status(enum tern_code code);
int tern_err_http_status(const struct tern_err *err);

#define TERN_TRY(expr)                           \
    do {                                         \
        enum tern_code try_code_ = (expr);       \
        if (TERN_UNLIKELY(try_code_ != TERN_OK)) \
            return try_code_;                    \
    } while (0)

#endif
