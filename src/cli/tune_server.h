/* The server that `tern tune` measures: this program as a child, on a Unix socket in a scratch
 * folder, with one model and the configuration that is tried. The user's repository is only read.
 * Blocking, one thread. */
#ifndef TERN_CLI_TUNE_SERVER_H
#define TERN_CLI_TUNE_SERVER_H

#include <jansson.h>
#include "cli/http_client.h"
#include "cli/tune_options.h"
#include "os/child.h"

struct tern_tune_server {
    const char *path;     /* the repository; ends with a zero */
    struct tern_str name; /* of the model */
    const struct tern_tune_options *options;
    char *folder; /* owned; NULL: nothing is open */
    char program[4096];
    char url[TERN_SOCK_NAME_MAX];
    int log_fd;
    struct tern_child child;
    struct tern_http_target target;
    struct tern_http_client client;
    bool is_connected; /* client is open */
};

/* What a look at the server says; the difference of two is what happened between them. */
struct tern_tune_usage {
    uint64_t at_ns;
    uint64_t cpu_ns;
    uint64_t memory_bytes;
    uint64_t rows; /* answered ... */
    uint64_t runs; /* ... in so many runs */
};

enum tern_code tern_tune_server_open(struct tern_tune_server *server, const char *path,
                                     struct tern_str name, const struct tern_tune_options *options,
                                     struct tern_err *err);
void tern_tune_server_close(struct tern_tune_server *server);

/* Starts it with the model; config NULL: as the repository has it. The one before is stopped. */
enum tern_code tern_tune_server_start(struct tern_tune_server *server, const json_t *config,
                                      struct tern_err *err);
void tern_tune_server_stop(struct tern_tune_server *server);
/* GET of a JSON document below /v2/models/NAME: "", "/config". The caller's. */
enum tern_code tern_tune_server_ask(struct tern_tune_server *server, const char *below,
                                    json_t **ret_root, struct tern_err *err);
enum tern_code tern_tune_server_look(struct tern_tune_server *server, struct tern_tune_usage *ret,
                                     struct tern_err *err);

#endif
