#include "trace/otlp.h"

#include <inttypes.h>
#include <string.h>
#include "base/clock.h"
#include "base/mem.h"
#include "base/version.h"
#include "os/curl.h"
#include "wire/json.h"

#define BODY_MAX           ((size_t)64 << 20)
#define CONNECT_TIMEOUT_MS 2000L
#define TIMEOUT_MS         5000L

/* Values of the protocol's enums. */
#define KIND_INTERNAL 1
#define KIND_SERVER   2
#define KIND_CLIENT   3
#define STATUS_ERROR  2

struct tern_otlp {
    char *url;                /* owned */
    struct tern_buf resource; /* JSON */
    struct tern_buf body;
    struct tern_log *log;
    struct tern_log_limit limit;
    CURL *curl;
    struct curl_slist *headers;
};

/* ---- one batch as JSON ---- */

static void add_text(struct tern_buf *out, struct tern_str key, struct tern_str value)
{
    TERN_BUF_ADD_LITERAL(out, "{\"key\":");
    tern_json_add_string(out, key);
    TERN_BUF_ADD_LITERAL(out, ",\"value\":{\"stringValue\":");
    tern_json_add_string(out, value);
    TERN_BUF_ADD_LITERAL(out, "}}");
}

/* 64-bit integers are texts in this JSON. */
static void add_int(struct tern_buf *out, const char *key, int64_t value)
{
    tern_buf_printf(out, "{\"key\":\"%s\",\"value\":{\"intValue\":\"%" PRId64 "\"}}", key, value);
}

static void add_hex(struct tern_buf *out, const uint8_t *p, size_t n)
{
    static const char digits[] = "0123456789abcdef";

    tern_buf_add_char(out, '"');
    for (size_t i = 0; i < n; i++) {
        tern_buf_add_char(out, digits[p[i] >> 4]);
        tern_buf_add_char(out, digits[p[i] & 15]);
    }
    tern_buf_add_char(out, '"');
}

struct span {
    struct tern_str name;
    int kind;
    const uint8_t *id;
    const uint8_t *parent; /* NULL: none */
    enum tern_trace_point from, to;
};

/* A span's head, up to its attributes' opening bracket. */
static void open_span(struct tern_buf *out, const struct tern_trace_record *record,
                      const struct span *span, uint64_t wall_offset_ns)
{
    TERN_BUF_ADD_LITERAL(out, "{\"traceId\":");
    add_hex(out, record->trace.trace_id, sizeof(record->trace.trace_id));
    TERN_BUF_ADD_LITERAL(out, ",\"spanId\":");
    add_hex(out, span->id, 8);
    if (span->parent != NULL) {
        TERN_BUF_ADD_LITERAL(out, ",\"parentSpanId\":");
        add_hex(out, span->parent, 8);
    }
    TERN_BUF_ADD_LITERAL(out, ",\"name\":");
    tern_json_add_string(out, span->name);
    tern_buf_printf(out,
                    ",\"kind\":%d,\"startTimeUnixNano\":\"%" PRIu64
                    "\",\"endTimeUnixNano\":\"%" PRIu64 "\",\"attributes\":[",
                    span->kind, record->at[span->from] + wall_offset_ns,
                    record->at[span->to] + wall_offset_ns);
}

static bool is_zero(const uint8_t id[8])
{
    static const uint8_t zero[8];
    return memcmp(id, zero, 8) == 0;
}

static void add_failure(struct tern_buf *out)
{
    tern_buf_printf(out, ",\"status\":{\"code\":%d}", STATUS_ERROR);
}

static void add_request(struct tern_buf *out, const struct tern_trace_record *record,
                        uint64_t wall_offset_ns)
{
    const uint8_t *caller = record->trace.parent_id;
    const struct span span = {TERN_STR("InferRequest"), KIND_SERVER,
                              record->trace.span_id,    is_zero(caller) ? NULL : caller,
                              TERN_TRACE_AT_RECV_START, TERN_TRACE_AT_SEND_END};

    open_span(out, record, &span, wall_offset_ns);
    add_text(out, TERN_STR("rpc.system"), record->grpc ? TERN_STR("grpc") : TERN_STR("http"));
    tern_buf_add_char(out, ',');
    add_int(out, "http.response.status_code", record->status);
    tern_buf_add_char(out, ']');
    if (record->code != TERN_OK)
        add_failure(out);
    tern_buf_add_char(out, '}');
}

/* Of the model, or of the call of another server. */
static void add_model(struct tern_buf *out, const struct tern_trace_record *record,
                      uint64_t wall_offset_ns)
{
    bool is_call = record->kind == TERN_TRACE_CALL;
    const struct span span = {
        record->model,         is_call ? KIND_CLIENT : KIND_INTERNAL, record->span,
        record->trace.span_id, TERN_TRACE_AT_REQUEST_START,           TERN_TRACE_AT_REQUEST_END};

    open_span(out, record, &span, wall_offset_ns);
    if (is_call) {
        add_int(out, "http.response.status_code", record->status);
    } else {
        add_text(out, TERN_STR("triton.model_name"), record->model);
        tern_buf_add_char(out, ',');
        add_int(out, "triton.model_version", record->version);
    }
    if (record->request_id.n > 0) {
        tern_buf_add_char(out, ',');
        add_text(out, TERN_STR("triton.request_id"), record->request_id);
    }
    tern_buf_add_char(out, ']');
    if (record->kind != TERN_TRACE_REQUEST && record->code != TERN_OK)
        add_failure(out);
    tern_buf_add_char(out, '}');
}

/* The spans of a request, step or call. A point that was not reached leaves its span out. */
static void add_spans(struct tern_buf *out, const struct tern_trace_record *record,
                      uint64_t wall_offset_ns)
{
    const struct {
        struct tern_str name;
        enum tern_trace_point from, to;
    } parts[] = {
        {TERN_STR("queue"), TERN_TRACE_AT_QUEUE_START, TERN_TRACE_AT_COMPUTE_START},
        {TERN_STR("compute"), TERN_TRACE_AT_COMPUTE_START, TERN_TRACE_AT_COMPUTE_END},
    };
    uint8_t part_id[8];

    if (record->kind == TERN_TRACE_REQUEST) {
        add_request(out, record, wall_offset_ns);
        tern_buf_add_char(out, ',');
    }
    add_model(out, record, wall_offset_ns);
    for (size_t i = 0; i < TERN_COUNT_OF(parts); i++) {
        if (record->at[parts[i].from] == 0 || record->at[parts[i].to] == 0)
            continue;
        tern_trace_span_below(record->span, 2 + i, part_id);
        const struct span span = {parts[i].name, KIND_INTERNAL, part_id,
                                  record->span,  parts[i].from, parts[i].to};
        tern_buf_add_char(out, ',');
        open_span(out, record, &span, wall_offset_ns);
        TERN_BUF_ADD_LITERAL(out, "]}");
    }
}

void tern_otlp_format(struct tern_str resource_json, const struct tern_trace_record *const *records,
                      uint32_t n, uint64_t wall_offset_ns, struct tern_buf *out)
{
    TERN_BUF_ADD_LITERAL(out, "{\"resourceSpans\":[{\"resource\":{\"attributes\":[");
    tern_buf_add_str(out, resource_json);
    TERN_BUF_ADD_LITERAL(out, "]},\"scopeSpans\":[{\"scope\":{\"name\":\"tern\",\"version\":"
                              "\"" TERN_VERSION "\"},\"spans\":[");
    for (uint32_t i = 0; i < n; i++) {
        if (i > 0)
            tern_buf_add_char(out, ',');
        add_spans(out, records[i], wall_offset_ns);
        for (const struct tern_trace_record *at = records[i]->members; at != NULL; at = at->next) {
            tern_buf_add_char(out, ',');
            add_spans(out, at, wall_offset_ns);
        }
    }
    TERN_BUF_ADD_LITERAL(out, "]}]}]}");
}

void tern_otlp_format_resource(const struct tern_str *rows, uint32_t n, struct tern_buf *out)
{
    bool named = false;

    for (uint32_t i = 0; i < n; i++) {
        size_t at = tern_str_find(rows[i], '=');
        struct tern_str key = tern_str_make(rows[i].p, at);
        if (i > 0)
            tern_buf_add_char(out, ',');
        add_text(out, key, tern_str_from(rows[i], at + 1));
        named = named || tern_str_eq(key, TERN_STR("service.name"));
    }
    if (named)
        return;
    if (n > 0)
        tern_buf_add_char(out, ',');
    add_text(out, TERN_STR("service.name"), TERN_STR("tern"));
}

/* ---- sending ---- */

static size_t swallow(char *p, size_t size, size_t n, void *arg)
{
    (void)p, (void)arg;
    return size * n;
}

static enum tern_code send_body(struct tern_otlp *otlp, struct tern_err *err)
{
    long status = 0;

    TERN_TRY(tern_buf_check(&otlp->body, "a batch of traces", err));
    curl_easy_setopt(otlp->curl, CURLOPT_POSTFIELDS, otlp->body.p);
    curl_easy_setopt(otlp->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)otlp->body.n);
    CURLcode rc = curl_easy_perform(otlp->curl);
    if (rc != CURLE_OK)
        return tern_fail(err, TERN_UNAVAILABLE, "%s: %s", otlp->url, curl_easy_strerror(rc));
    curl_easy_getinfo(otlp->curl, CURLINFO_RESPONSE_CODE, &status);
    if (status < 200 || status > 299)
        return tern_fail(err, TERN_UNAVAILABLE, "%s: the collector answered %ld", otlp->url,
                         status);
    return TERN_OK;
}

static uint32_t write_records(void *self, const struct tern_trace_record *const *records,
                              uint32_t n)
{
    struct tern_otlp *otlp = self;
    uint64_t offset = tern_clock_wall_ns() - tern_clock_mono_ns();
    uint32_t suppressed = 0;
    struct tern_err err;

    tern_buf_clear(&otlp->body);
    tern_otlp_format(tern_buf_str(&otlp->resource), records, n, offset, &otlp->body);
    if (send_body(otlp, &err) == TERN_OK)
        return 0;
    if (tern_log_allow(&otlp->limit, tern_clock_mono_ns(), 1, &suppressed))
        tern_log_warn(otlp->log, "trace.failed", "traces cannot be sent", TERN_KV_ERR(&err),
                      TERN_KV_U64("requests", n), TERN_KV_U64("suppressed", suppressed));
    return n;
}

/* ---- life ---- */

static enum tern_code set_up(struct tern_otlp *otlp, struct tern_err *err)
{
    otlp->curl = curl_easy_init();
    otlp->headers = curl_slist_append(NULL, "Content-Type: application/json");
    if (otlp->curl == NULL || otlp->headers == NULL)
        return tern_mem_fail(err, "libcurl", 0);
    curl_easy_setopt(otlp->curl, CURLOPT_URL, otlp->url);
    curl_easy_setopt(otlp->curl, CURLOPT_HTTPHEADER, otlp->headers);
    curl_easy_setopt(otlp->curl, CURLOPT_USERAGENT, "tern/" TERN_VERSION);
    curl_easy_setopt(otlp->curl, CURLOPT_WRITEFUNCTION, swallow);
    curl_easy_setopt(otlp->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(otlp->curl, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS);
    curl_easy_setopt(otlp->curl, CURLOPT_TIMEOUT_MS, TIMEOUT_MS);
    if (curl_easy_setopt(otlp->curl, CURLOPT_PROTOCOLS_STR, "http,https") != CURLE_OK)
        return tern_fail(err, TERN_UNAVAILABLE, "libcurl knows no HTTP");
    return TERN_OK;
}

enum tern_code tern_otlp_new(const struct tern_otlp_settings *settings, struct tern_otlp **ret_otlp,
                             struct tern_err *err)
{
    TERN_TRY(tern_curl_load("sending traces", err));
    struct tern_otlp *otlp = tern_mem_zalloc(1, sizeof(*otlp));

    if (otlp == NULL)
        return tern_mem_fail(err, "the exporter of traces", sizeof(*otlp));
    otlp->log = settings->log;
    tern_buf_init(&otlp->resource, 1u << 16);
    tern_buf_init(&otlp->body, BODY_MAX);
    tern_otlp_format_resource(settings->resource, settings->n_resource, &otlp->resource);
    otlp->url = tern_mem_strdup(settings->url);
    enum tern_code code = tern_buf_check(&otlp->resource, "trace.otlp.resource", err);
    if (code == TERN_OK && otlp->url == NULL)
        code = tern_mem_fail(err, "the exporter of traces", settings->url.n + 1);
    if (code == TERN_OK)
        code = set_up(otlp, err);
    if (code != TERN_OK) {
        tern_otlp_free(otlp);
        return code;
    }
    *ret_otlp = otlp;
    return TERN_OK;
}

void tern_otlp_free(struct tern_otlp *otlp)
{
    if (otlp == NULL)
        return;
    if (otlp->curl != NULL)
        curl_easy_cleanup(otlp->curl);
    if (otlp->headers != NULL)
        curl_slist_free_all(otlp->headers);
    tern_buf_fini(&otlp->resource);
    tern_buf_fini(&otlp->body);
    tern_mem_free(otlp->url);
    tern_mem_free(otlp);
}

static void close_otlp(void *self)
{
    tern_otlp_free(self);
}

struct tern_trace_sink tern_otlp_sink(struct tern_otlp *otlp)
{
    return (struct tern_trace_sink){write_records, close_otlp, otlp};
}
