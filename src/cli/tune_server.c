#include "cli/tune_server.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/mem.h"
#include "os/file.h"
#include "os/procstat.h"
#include "os/scratch.h"

#define START_NS     (60 * (uint64_t)TERN_NS_PER_S)
#define GRACE_NS     (5 * (uint64_t)TERN_NS_PER_S)
#define LOOK_NS      (5 * TERN_NS_PER_MS)
#define RESPONSE_MAX ((size_t)16 << 20)
#define LOG_SHOWN    400 /* bytes of its end, when the server does not start */
#define PATH_LEN_MAX 512

/* ---- its folder ---- */

enum tern_code tern_tune_server_open(struct tern_tune_server *server, const char *path,
                                     struct tern_str name, const struct tern_tune_options *options,
                                     struct tern_err *err)
{
    char log[PATH_LEN_MAX];

    *server =
        (struct tern_tune_server){.path = path, .name = name, .options = options, .log_fd = -1};
    ssize_t n = readlink("/proc/self/exe", server->program, sizeof(server->program) - 1);
    if (n <= 0)
        return tern_fail(err, TERN_INTERNAL, "/proc/self/exe: %s", strerror(errno));
    server->program[n] = '\0';
    TERN_TRY(tern_scratch_new(&server->folder, err));
    (void)snprintf(server->url, sizeof(server->url), "unix:%s/s", server->folder);
    (void)snprintf(log, sizeof(log), "%s/log", server->folder);
    server->log_fd = open(log, O_RDWR | O_CREAT | O_CLOEXEC | O_APPEND, 0600);
    enum tern_code code =
        server->log_fd < 0 ? tern_fail(err, TERN_INTERNAL, "%s: %s", log, strerror(errno))
                           : tern_http_target_parse(tern_str_of(server->url), &server->target, err);
    if (code != TERN_OK)
        tern_tune_server_close(server);
    return code;
}

void tern_tune_server_close(struct tern_tune_server *server)
{
    tern_tune_server_stop(server);
    if (server->log_fd >= 0)
        (void)close(server->log_fd);
    server->log_fd = -1;
    tern_scratch_free(server->folder);
    server->folder = NULL;
}

/* ---- asking it ---- */

/* The answer of a 2xx as JSON; NULL where it has none. */
static enum tern_code call(struct tern_tune_server *server, const char *method, const char *path,
                           struct tern_str body, json_t **ret_root, struct tern_err *err)
{
    struct tern_str type = body.n > 0 ? TERN_STR("application/json") : TERN_STR("");

    TERN_TRY(tern_http_client_call(&server->client, method, tern_str_of(path), type, body, err));
    struct tern_str text = tern_http_reader_body(&server->client.reader);
    json_t *root = json_loadb(text.n == 0 ? "" : text.p, text.n, 0, NULL);
    int status = server->client.reader.status;
    if (status >= 200 && status < 300) {
        *ret_root = root;
        return TERN_OK;
    }
    const char *why = json_string_value(json_object_get(root, "error"));
    (void)tern_fail(err, TERN_INVALID_ARGUMENT, "%s",
                    why == NULL ? "the server refuses without saying why" : why);
    json_decref(root);
    return TERN_INVALID_ARGUMENT;
}

enum tern_code tern_tune_server_ask(struct tern_tune_server *server, const char *below,
                                    json_t **ret_root, struct tern_err *err)
{
    char path[PATH_LEN_MAX];

    (void)snprintf(path, sizeof(path), "/v2/models/%.*s%s", TERN_STR_ARG(server->name), below);
    TERN_TRY(call(server, "GET", path, TERN_STR(""), ret_root, err));
    if (*ret_root == NULL)
        return tern_fail(err, TERN_INTERNAL, "%s: the answer is no JSON", path);
    return TERN_OK;
}

enum tern_code tern_tune_server_look(struct tern_tune_server *server, struct tern_tune_usage *ret,
                                     struct tern_err *err)
{
    struct tern_procstat stat;
    json_t *root = NULL;

    TERN_TRY(tern_procstat_read(server->child.pid, &stat, err));
    TERN_TRY(tern_tune_server_ask(server, "/stats", &root, err));
    const json_t *model = json_array_get(json_object_get(root, "model_stats"), 0);
    *ret = (struct tern_tune_usage){
        .at_ns = tern_clock_mono_ns(),
        .cpu_ns = stat.user_ns + stat.system_ns,
        .memory_bytes = stat.resident_bytes,
        .rows = (uint64_t)json_integer_value(json_object_get(model, "inference_count")),
        .runs = (uint64_t)json_integer_value(json_object_get(model, "execution_count")),
    };
    json_decref(root);
    return TERN_OK;
}

/* ---- starting and stopping ---- */

/* The last of what it said. */
static enum tern_code did_not_start(const struct tern_tune_server *server, struct tern_err *err)
{
    char text[LOG_SHOWN + 1] = {0};
    off_t end = lseek(server->log_fd, 0, SEEK_END);
    off_t from = end > LOG_SHOWN ? end - LOG_SHOWN : 0;
    ssize_t n = end < 0 ? -1 : pread(server->log_fd, text, LOG_SHOWN, from);

    return tern_fail(err, TERN_UNKNOWN, "the server does not start: %.*s", n > 0 ? (int)n : 0,
                     text);
}

static enum tern_code wait_until_live(struct tern_tune_server *server, struct tern_err *err)
{
    const struct timespec pause = {.tv_nsec = LOOK_NS};
    uint64_t end = tern_clock_mono_ns() + START_NS;
    json_t *root = NULL;

    while (tern_child_runs(&server->child) && tern_clock_mono_ns() < end) {
        if (call(server, "GET", "/v2/health/live", TERN_STR(""), &root, NULL) == TERN_OK) {
            json_decref(root);
            return TERN_OK;
        }
        (void)nanosleep(&pause, NULL);
    }
    return did_not_start(server, err);
}

static int add_text(const char *text, size_t n, void *out)
{
    tern_buf_add(out, text, n);
    return 0;
}

/* The configuration goes as a text inside the request. */
static enum tern_code write_load(const json_t *config, struct tern_buf *request,
                                 struct tern_err *err)
{
    struct tern_buf text;
    json_t *body = NULL;

    tern_buf_init(&text, RESPONSE_MAX);
    if (config != NULL)
        (void)json_dump_callback(config, add_text, &text, JSON_COMPACT);
    body = config == NULL ? json_object()
                          : json_pack("{s:{s:s%}}", "parameters", "config", text.p, text.n);
    enum tern_code code = tern_buf_check(&text, "a configuration", err);
    if (code == TERN_OK &&
        (body == NULL || json_dump_callback(body, add_text, request, JSON_COMPACT) != 0))
        code = tern_mem_fail(err, "a configuration", text.n);
    json_decref(body);
    tern_buf_fini(&text);
    return code == TERN_OK ? tern_buf_check(request, "a configuration", err) : code;
}

static enum tern_code load(struct tern_tune_server *server, const json_t *config,
                           struct tern_err *err)
{
    char path[PATH_LEN_MAX];
    struct tern_buf request;
    json_t *root = NULL;

    (void)snprintf(path, sizeof(path), "/v2/repository/models/%.*s/load",
                   TERN_STR_ARG(server->name));
    tern_buf_init(&request, RESPONSE_MAX);
    enum tern_code code = write_load(config, &request, err);
    if (code == TERN_OK)
        code = call(server, "POST", path, tern_buf_str(&request), &root, err);
    json_decref(root);
    tern_buf_fini(&request);
    return code;
}

enum tern_code tern_tune_server_start(struct tern_tune_server *server, const json_t *config,
                                      struct tern_err *err)
{
    char listen[TERN_SOCK_NAME_MAX + 8], library[PATH_LEN_MAX];
    const char *const argv[] = {server->program,
                                "serve",
                                server->path,
                                "--listen",
                                listen,
                                "--model-control",
                                "explicit",
                                "--no-supervise",
                                "--no-log-access",
                                "--log-level",
                                "warn",
                                "--http-requests-per-connection",
                                "1000000000",
                                "--http-connections-per-ip",
                                "100000",
                                server->options->library.n > 0 ? library : NULL,
                                NULL};

    tern_tune_server_stop(server);
    (void)snprintf(listen, sizeof(listen), "%s,admin", server->url);
    (void)snprintf(library, sizeof(library), "--engine-onnxruntime-library=%.*s",
                   TERN_STR_ARG(server->options->library));
    TERN_TRY(tern_child_start(&server->child, argv, server->log_fd, err));
    tern_http_client_init(&server->client, &server->target, server->options->timeout_ns,
                          RESPONSE_MAX);
    server->is_connected = true;
    enum tern_code code = wait_until_live(server, err);
    return code == TERN_OK ? load(server, config, err) : code;
}

void tern_tune_server_stop(struct tern_tune_server *server)
{
    if (server->is_connected)
        tern_http_client_fini(&server->client);
    server->is_connected = false;
    tern_child_stop(&server->child, GRACE_NS);
}
