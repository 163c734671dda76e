/* A model behind a server, asked with the Open Inference Protocol over HTTP: which one it is, what
 * it takes, and calls to it. For `tern infer` and `tern bench`; blocking, one thread. */
#ifndef TERN_CLI_REMOTE_H
#define TERN_CLI_REMOTE_H

#include "base/arena.h"
#include "cli/http_client.h"
#include "core/model.h"

struct tern_remote_choice {
    struct tern_str url;   /* may end in /v2/models/NAME[/versions/N] */
    struct tern_str model; /* empty: the URL's, or the only one that is served */
    uint64_t version;      /* 0: the URL's, or the highest */
    uint64_t timeout_ns;   /* of a call */
};

/* Must not move while it is open. */
struct tern_remote {
    struct tern_http_target target;
    struct tern_http_client client;
    struct tern_str path; /* "/v2/models/iris" or ".../versions/2"; arena */
    uint64_t version;     /* in the path; 0: none */
    struct tern_model_info info;
    bool unreachable; /* the last error was of the way to the server, not of its answer */
};

/* Connects and asks what the model is. What is learned lies in the arena. After an error there is
 * nothing to close. */
enum tern_code tern_remote_open(struct tern_remote *remote, const struct tern_remote_choice *choice,
                                struct tern_arena *arena, struct tern_err *err);
void tern_remote_close(struct tern_remote *remote);
/* *ret: the body of a 2xx as tern_remote_text gives it; any other status is an error. */
enum tern_code tern_remote_call(struct tern_remote *remote, const char *method,
                                struct tern_str path, struct tern_str body,
                                struct tern_arena *arena, struct tern_str *ret,
                                struct tern_err *err);
/* A copy of JSON in the arena, with what the reader needs after it. */
enum tern_code tern_remote_text(struct tern_str body, struct tern_arena *arena,
                                struct tern_str *ret, struct tern_err *err);

#endif
