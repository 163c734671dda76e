/* From method and path to a route: the rows of some listeners' dialects, compiled into one trie
 * whose edges are path segments. Immutable once made; any thread may match. A match allocates
 * nothing.
 *
 * Every segment is percent-decoded once (wire/url.h) before it is compared, and compared in full.
 * A literal segment wins over a capture; where that leads nowhere, the capture is tried. */
#ifndef TERN_FRONT_ROUTER_H
#define TERN_FRONT_ROUTER_H

#include "core/proto.h"

struct tern_router;

#define TERN_ROUTER_SEGMENT_MAX 256 /* bytes of all percent-encoded segments of a path, decoded */

/* The pieces of one match. On failure only proto and allow are set. */
struct tern_match {
    const struct tern_route *route; /* NULL after TERN_OK: an OPTIONS request, answer 204 + Allow */
    const struct tern_proto *proto; /* whose envelope an error takes; never NULL */
    struct tern_str model;          /* a slice of the path or of decoded_model; empty: no capture */
    int64_t version;                /* 0: no capture */
    struct tern_str name;           /* the same of {name}, as it came; decoded_name */
    struct tern_str allow; /* the Allow header, with 405 and OPTIONS; lives in the router */
    char decoded_model[TERN_MODEL_NAME_MAX];
    char decoded_name[TERN_ROUTER_SEGMENT_MAX];
};

/* protos: borrowed, for the life of the router; at least one. Two rows that claim the same method
 * and path: ALREADY_EXISTS, naming both. */
enum tern_code tern_router_new(const struct tern_proto *const *protos, size_t n,
                               struct tern_router **ret_router, struct tern_err *err);
void tern_router_free(struct tern_router *router);

/* raw_path: as it came, before '?'. HEAD finds the row of GET. Errors: NOT_FOUND for an unknown
 * path or a model name that cannot exist; UNIMPLEMENTED with HTTP status 405 for a known path
 * (allow is set); INVALID_ARGUMENT for path tricks, an empty model name and a bad version. ret is
 * filled, not copied: its slices may point into itself. */
enum tern_code tern_router_match(const struct tern_router *router, enum tern_method method,
                                 struct tern_str raw_path, struct tern_match *ret,
                                 struct tern_err *err);

/* The last matches of one event loop. Clients ask for the same few paths again and again, and a
 * path's match never changes: comparing it is cheaper than cutting, decoding and walking it. All
 * zero: empty. */
#define TERN_ROUTER_MEMO_ROWS 16
#define TERN_ROUTER_MEMO_PATH 96 /* longer paths are matched each time */

struct tern_router_memo {
    struct tern_router_memo_row {
        const struct tern_router *router; /* a loop asks several: one a set of dialects */
        const struct tern_route *route;   /* NULL: nothing is remembered here */
        const struct tern_proto *proto;
        int64_t version;
        enum tern_method method;
        uint8_t n_path;
        uint8_t model_at; /* where in the path; n_model == 0: no capture */
        uint8_t n_model;
        char path[TERN_ROUTER_MEMO_PATH];
    } rows[TERN_ROUTER_MEMO_ROWS];
};

/* As tern_router_match, with the memo first. Only plain successes are remembered: no errors, no
 * OPTIONS, no encoded model names, no {name}. */
enum tern_code tern_router_recall(const struct tern_router *router, struct tern_router_memo *memo,
                                  enum tern_method method, struct tern_str raw_path,
                                  struct tern_match *ret, struct tern_err *err);

/* The rows as a Markdown page (doc/routes.md), and as the plain text that GET / answers. */
void tern_router_print_doc(const struct tern_proto *const *protos, size_t n, struct tern_buf *out);
void tern_router_print_welcome(const struct tern_proto *const *protos, size_t n,
                               struct tern_buf *out);

#endif
