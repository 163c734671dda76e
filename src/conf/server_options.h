/* Every option of the server, in one struct. The rows that fill it are in server_options.c; their
 * help text says what each does. Sizes are bytes, times nanoseconds. */
#ifndef TERN_CONF_SERVER_OPTIONS_H
#define TERN_CONF_SERVER_OPTIONS_H

#include "conf/opt.h"
#include "conf/version_policy.h"

#define TERN_LISTENERS_MAX    16
#define TERN_REPOSITORIES_MAX 64

enum tern_grpc_form_option {
    TERN_GRPC_FORM_OPTION_TRITON,
    TERN_GRPC_FORM_OPTION_KSERVE,
    TERN_GRPC_FORM_OPTION_MLSERVER,
};

enum tern_grpc_compression_option {
    TERN_GRPC_COMPRESSION_OPTION_NONE,
    TERN_GRPC_COMPRESSION_OPTION_LOW,
    TERN_GRPC_COMPRESSION_OPTION_MEDIUM,
    TERN_GRPC_COMPRESSION_OPTION_HIGH,
};

/* One element of `listen`. */
struct tern_listener_options {
    struct tern_str address; /* "127.0.0.1:8080", "[::1]:8080", "unix:/run/tern.sock" */
    bool admin;
    struct tern_opt_list dialects; /* names; empty: all */
    struct tern_str graph;         /* empty: the only one */
    bool triton_status;
    enum tern_grpc_form_option grpc_form;
    bool tls;
    struct tern_str tls_cert; /* paths of PEM files */
    struct tern_str tls_key;
    struct tern_str tls_client_ca; /* empty: clients need no certificate */
    struct tern_str place;         /* where it was given */
    /* Set by tern_server_options_check from the address; host and path end with a zero. */
    bool is_unix;
    bool is_loopback;     /* a Unix socket too */
    struct tern_str host; /* or the path of the socket */
    uint16_t port;        /* 0: any free one */
};

enum tern_persona {
    TERN_PERSONA_NONE,
    TERN_PERSONA_TRITON,
};

/* One element of `restrict`; the families' names are checked by front/restrict.h. */
struct tern_restrict_options {
    struct tern_opt_list families;
    struct tern_str header;
    struct tern_str value;
    struct tern_str value_file;
    enum tern_restrict_over_option {
        TERN_RESTRICT_OVER_OPTION_ANY,
        TERN_RESTRICT_OVER_OPTION_HTTP,
        TERN_RESTRICT_OVER_OPTION_GRPC,
    } over;
    struct tern_str place; /* where it was given */
};

/* The one element of `cache.redis`. */
struct tern_redis_options {
    struct tern_str host; /* or the path of a Unix socket */
    uint64_t port;
    struct tern_str user;
    struct tern_str password;
    struct tern_str password_file;
    uint64_t database;
    uint64_t timeout_ns;
    uint64_t ttl_ns;       /* 0: as long as Redis keeps it */
    struct tern_str place; /* where it was given */
};

enum tern_model_control {
    TERN_MODEL_CONTROL_NONE,
    TERN_MODEL_CONTROL_POLL,
    TERN_MODEL_CONTROL_EXPLICIT,
};

enum tern_batching_option {
    TERN_BATCHING_OPTION_ADAPTIVE,
    TERN_BATCHING_OPTION_CONFIGURED,
    TERN_BATCHING_OPTION_OFF,
};

enum tern_rate_limit_option {
    TERN_RATE_LIMIT_OPTION_OFF,
    TERN_RATE_LIMIT_OPTION_EXECUTION_COUNT,
};

/* One item of sched.resources. */
struct tern_resource_options {
    struct tern_str name;
    uint32_t count;
    int32_t device; /* -1: as many on each */
};

enum tern_native_onnx { TERN_NATIVE_ONNX_AUTO, TERN_NATIVE_ONNX_OFF };

enum tern_graph_level {
    TERN_GRAPH_LEVEL_NONE,
    TERN_GRAPH_LEVEL_BASIC,
    TERN_GRAPH_LEVEL_EXTENDED,
    TERN_GRAPH_LEVEL_ALL,
};

enum tern_tls_version {
    TERN_TLS_VERSION_1_2,
    TERN_TLS_VERSION_1_3,
};

enum tern_log_format_option {
    TERN_LOG_FORMAT_OPTION_AUTO,
    TERN_LOG_FORMAT_OPTION_TEXT,
    TERN_LOG_FORMAT_OPTION_JSON,
};

enum tern_log_level_option {
    TERN_LOG_LEVEL_OPTION_DEBUG,
    TERN_LOG_LEVEL_OPTION_INFO,
    TERN_LOG_LEVEL_OPTION_WARN,
    TERN_LOG_LEVEL_OPTION_ERROR,
};

enum tern_trace_mode_option {
    TERN_TRACE_MODE_OPTION_TRITON,
    TERN_TRACE_MODE_OPTION_OPENTELEMETRY,
};

struct tern_server_options {
    struct tern_str config;         /* path of the file that was read; empty: none */
    struct tern_opt_records listen; /* struct tern_listener_options */
    bool insecure;
    struct tern_str server_name;
    enum tern_persona persona;
    struct tern_str persona_ignored;   /* its flags that were given and do nothing; no option */
    struct tern_opt_records restricts; /* struct tern_restrict_options */
    uint64_t loops;                    /* 0: one a core */
    bool supervise;
    struct tern_str pid_file;
    struct tern_str ready_file;

    struct {
        enum tern_tls_version version_min;
    } tls;

    struct {
        enum tern_model_control control;
        uint64_t poll_interval_ns;
        struct tern_opt_list load;
        uint64_t load_threads, load_retries;
        struct tern_str config_name; /* empty: none */
        bool auto_complete;
        uint64_t default_max_batch_size; /* 0: none */
        struct tern_str version_policy;
        struct tern_version_policy policy; /* the same, parsed by tern_server_options_check */
        bool strict_readiness;
        bool exit_on_error;
    } model;

    struct {
        struct tern_str library; /* empty: searched for */
        uint64_t threads;        /* 0: decided for each model */
        enum tern_graph_level graph_level;
        struct tern_opt_list providers;
        bool arena;
    } onnxruntime;

    struct {
        enum tern_native_onnx onnx;
    } native;

    struct {
        uint64_t inline_max_ns;
        uint64_t threads; /* 0: one a core */
        uint64_t queue_max;
        enum tern_batching_option batching;
        uint64_t slo_ns;                     /* 0: none */
        struct tern_str batching_parameters; /* path; empty: none */
        enum tern_rate_limit_option rate_limit;
        struct tern_opt_list resources;              /* "name:count[:device]" */
        struct tern_resource_options *resource_rows; /* the same, by tern_server_options_check */
        uint64_t batch_max;
        bool batch_exact;
        uint64_t hold_until;
        uint64_t hold_backlog;
    } sched;

    struct {
        struct {
            uint64_t size; /* 0: off */
        } local;
        struct tern_opt_records redis; /* struct tern_redis_options; none or one */
    } cache;

    struct {
        uint64_t head_max, field_max, fields_max, uri_max;
        uint64_t body_max, expand_max;
        uint64_t header_timeout_ns, idle_timeout_ns, write_timeout_ns;
        uint64_t body_grace_ns, body_rate_min; /* bytes a second once the grace is over */
        uint64_t connections_max, connections_per_ip, requests_per_connection;
        bool compression;
        uint64_t compression_min;
        struct tern_str header_forward;
        struct tern_opt_list cors_origins;
    } http;

    struct {
        struct tern_str header_forward;
        enum tern_grpc_compression_option compression;
    } grpc;

    struct {
        struct tern_str header_forward;
    } graph;

    struct {
        uint64_t streams_max, stream_window, connection_window;
        uint64_t control_rate_max; /* frames a second */
        uint64_t glitches_max;
        uint64_t keepalive_time_ns, keepalive_timeout_ns;        /* time 0: off */
        uint64_t ping_interval_min_ns, ping_strikes_max;         /* of clients without streams */
        uint64_t connection_age_max_ns, connection_age_grace_ns; /* 0: no limit */
    } http2;

    struct {
        uint64_t depth_max;
    } json;

    struct {
        uint64_t memory_max;
        uint64_t timeout_ns;
    } request;

    struct {
        uint64_t rows_max, background_max, features_max, evaluations_max;
        uint64_t concurrent_max; /* of one loop */
    } explain;

    struct {
        uint64_t max; /* 0: a share of what there is */
    } memory;

    struct {
        bool enabled;
        uint64_t regions_max;
        uint64_t bytes_max; /* of all regions together */
    } shm;

    struct {
        enum tern_log_level_option level;
        enum tern_log_format_option format;
        bool access;
    } log;

    struct {
        bool enabled;
        bool triton;
        bool summaries;
    } metrics;

    struct {
        struct tern_opt_list level;
        unsigned levels; /* the same as TERN_TRACE_* bits, by tern_server_options_check */
        uint64_t rate;
        uint64_t count; /* 0: no end */
        uint64_t log_frequency;
        enum tern_trace_mode_option mode;
        struct tern_str file;
        struct {
            struct tern_str url;
            struct tern_opt_list resource; /* "key=value" */
            uint64_t queue_max, batch_max;
            uint64_t delay_ns;
        } otlp;
    } trace;

    struct {
        uint64_t grace_ns;
    } drain;
};

extern const struct tern_opt_table tern_server_options_table;

enum tern_convert {
    TERN_CONVERT_NONE,
    TERN_CONVERT_PBTXT,
    TERN_CONVERT_YAML,
    TERN_CONVERT_JSON,
};

/* `tern check`: the server's options, and what it does with them. */
struct tern_check_options {
    struct tern_server_options server; /* first: what reads one reads the other */
    enum tern_convert convert;
    bool load;
};

extern const struct tern_opt_table tern_check_options_table;

/* What no single row can tell: address forms, TLS files that belong together, an open address
 * without protection. Fills the derived fields; mistakes go into the load's list. */
void tern_server_options_check(struct tern_opt_load *load);

#endif
