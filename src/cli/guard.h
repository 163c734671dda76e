/* From options to what the gateway asks of a request's head: restricted operations, forwarded
 * headers, and pages of other origins. */
#ifndef TERN_CLI_GUARD_H
#define TERN_CLI_GUARD_H

#include "conf/server_options.h"
#include "front/forward.h"
#include "front/restrict.h"

struct tern_guard {
    struct tern_restrict restrict_;
    struct tern_forward *forward_http; /* NULL: none */
    struct tern_forward *forward_grpc;
    struct tern_forward *forward_graph;
};

/* Adds every mistake in these options to the load's list, with its place. Reads no file. */
void tern_guard_check(struct tern_opt_load *load);

/* Values in files are read now, into the arena; the texts of options are borrowed. */
enum tern_code tern_guard_open(struct tern_guard *guard, const struct tern_server_options *options,
                               uint32_t n_loops, struct tern_arena *arena, struct tern_err *err);
/* The first line of a file, in the arena. */
enum tern_code tern_guard_read_secret(struct tern_str path, struct tern_arena *arena,
                                      struct tern_str *ret_value, struct tern_err *err);
void tern_guard_close(struct tern_guard *guard);

#endif
