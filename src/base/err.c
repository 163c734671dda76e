#include "base/err.h"

#include <stdio.h>
#include <string.h>

struct code_row {
    const char *name;
    const char *label;
    int http_status;
};

static const struct code_row code_rows[TERN_CODE_COUNT] = {
#define X(name, number, status, label) [number] = {#name, label, status},
    TERN_CODES(X)
#undef X
};

static const struct code_row *row_of(enum tern_code code)
{
    unsigned i = (unsigned)code;
    return &code_rows[i < TERN_CODE_COUNT ? i : TERN_UNKNOWN];
}

static void TERN_PRINTF(4, 0)
    fill(struct tern_err *err, enum tern_code code, int status, const char *fmt, va_list ap)
{
    if (err == NULL)
        return;
    err->code = code;
    err->http_status = status;
    err->retry_ms = 0;
    vsnprintf(err->text, sizeof(err->text), fmt, ap);
}

enum tern_code(tern_fail)(struct tern_err *err, enum tern_code code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fill(err, code, 0, fmt, ap);
    va_end(ap);
    return code;
}

enum tern_code(tern_fail_http)(struct tern_err *err, enum tern_code code, int status,
                               const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fill(err, code, status, fmt, ap);
    va_end(ap);
    return code;
}

void tern_err_prefix(struct tern_err *err, const char *fmt, ...)
{
    char text[TERN_ERR_TEXT_MAX];
    va_list ap;

    if (err == NULL)
        return;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (n < 0 || (size_t)n + 3 >= sizeof(text))
        return;
    snprintf(text + n, sizeof(text) - (size_t)n, ": %.*s", (int)(sizeof(text) - (size_t)n - 3),
             err->text);
    memcpy(err->text, text, sizeof(text));
}

void tern_err_hide(struct tern_err *err, const char *what, size_t n)
{
    char *end = err->text + strlen(err->text);

    for (char *at = err->text; n > 0 && at < end;) {
        at = memmem(at, (size_t)(end - at), what, n);
        if (at == NULL)
            return;
        memmove(at, at + n, (size_t)(end - at) - n + 1);
        end -= n;
    }
}

const char *tern_code_label(enum tern_code code)
{
    return row_of(code)->label;
}

const char *tern_code_name(enum tern_code code)
{
    return row_of(code)->name;
}

int tern_code_http_status(enum tern_code code)
{
    return row_of(code)->http_status;
}

int tern_err_http_status(const struct tern_err *err)
{
    return err->http_status != 0 ? err->http_status : tern_code_http_status(err->code);
}
