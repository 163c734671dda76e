/* The access log: one line a request, event "access", at level info. Written by the gateway when
 * the answer was handed to the connection. */
#ifndef TERN_CORE_ACCESS_H
#define TERN_CORE_ACCESS_H

#include <stdint.h>
#include "base/log.h"
#include "base/str.h"

/* Empty strings and zero versions are left out of the line. All borrowed for the call. */
struct tern_access_line {
    struct tern_str peer;
    struct tern_str method;
    struct tern_str path; /* without the query: it may carry secrets */
    int status;
    uint64_t bytes_in;
    uint64_t bytes_out;
    uint64_t duration_ns;
    struct tern_str op;
    struct tern_str model;
    int64_t version;
    struct tern_str request_id;
    struct tern_str trace_id;
    struct tern_str error; /* what the client was told, when it was an error */
};

void tern_access_log(struct tern_log *log, const struct tern_access_line *line);

#endif
