/* What one row of the catalogue cannot say: options that need each other, and values that are made
 * of parts. */
#include "base/num.h"
#include "conf/server_options.h"

/* 127.a.b.c in full. A name that only starts like it is resolved by others, so it is not ours. */
static bool is_loopback_v4(struct tern_str host)
{
    struct tern_str part;
    uint64_t number = 0;
    int parts = 0;

    while (tern_str_split(&host, '.', &part)) {
        if (!tern_num_parse_u64(part, 255, &number) || (parts == 0 && number != 127))
            return false;
        parts++;
    }
    return parts == 4;
}

static bool is_loopback(struct tern_str host)
{
    return tern_str_eq(host, TERN_STR("localhost")) || tern_str_eq(host, TERN_STR("::1")) ||
           is_loopback_v4(host);
}

/* Splits "host:port", "[v6]:port" and ":port"; false when it is none of these. */
static bool split_address(struct tern_str address, struct tern_str *ret_host, uint16_t *ret_port)
{
    size_t colon = address.n;
    uint64_t port;

    while (colon > 0 && address.p[colon - 1] != ':')
        colon--;
    if (colon == 0 || !tern_num_parse_u64(tern_str_from(address, colon), UINT16_MAX, &port))
        return false;
    struct tern_str host = tern_str_make(address.p, colon - 1);
    if (host.n >= 2 && host.p[0] == '[' && host.p[host.n - 1] == ']')
        host = tern_str_make(host.p + 1, host.n - 2);
    else if (tern_str_find(host, ':') < host.n)
        return false;
    *ret_host = host.n == 0 ? TERN_STR("0.0.0.0") : host;
    *ret_port = (uint16_t)port;
    return true;
}

static bool derive_address(struct tern_opt_load *load, struct tern_listener_options *listener)
{
    struct tern_str host = {NULL, 0};

    listener->is_unix = tern_str_starts(listener->address, TERN_STR("unix:"));
    if (listener->is_unix)
        host = tern_str_from(listener->address, 5);
    else if (!split_address(listener->address, &host, &listener->port))
        return false;
    /* 107 bytes are what sockaddr_un has for a path, 255 what a host name may have. */
    if (host.n == 0 || host.n > (listener->is_unix ? 107u : 255u))
        return false;
    listener->is_loopback = listener->is_unix || is_loopback(host);
    listener->host = tern_arena_copy(load->arena, host);
    return listener->host.p != NULL;
}

static void check_listener(struct tern_opt_load *load, struct tern_listener_options *listener,
                           bool insecure)
{
    struct tern_problems *problems = load->problems;
    struct tern_str address = listener->address;
    struct tern_str place = listener->place;

    if (!derive_address(load, listener)) {
        tern_problem_add(problems, place,
                         "listen %.*s: expected HOST:PORT, [IPV6]:PORT or unix:PATH",
                         TERN_STR_ARG(address));
        return;
    }
    listener->tls = listener->tls || listener->tls_cert.n > 0 || listener->tls_key.n > 0 ||
                    listener->tls_client_ca.n > 0;
    if (listener->tls && (listener->tls_cert.n == 0 || listener->tls_key.n == 0))
        tern_problem_add(problems, place, "listen %.*s: TLS needs both tls.cert and tls.key",
                         TERN_STR_ARG(address));
    if (!listener->is_loopback && !insecure && (!listener->tls || listener->tls_client_ca.n == 0))
        tern_problem_add(problems, place,
                         "listen %.*s: other machines can reach this address: add tls.cert, "
                         "tls.key and tls.client_ca, or accept the risk with --insecure",
                         TERN_STR_ARG(address));
}

static void check_listeners(struct tern_opt_load *load, const struct tern_server_options *options)
{
    struct tern_listener_options *listeners = options->listen.items;

    if (options->listen.n == 0)
        tern_problem_add(load->problems, TERN_STR("listen"), "at least one address is needed");
    for (uint32_t i = 0; i < options->listen.n; i++) {
        check_listener(load, &listeners[i], options->insecure);
        for (uint32_t j = 0; j < i; j++) {
            if (tern_str_eq(listeners[i].address, listeners[j].address) &&
                (listeners[i].is_unix || listeners[i].port != 0))
                tern_problem_add(load->problems, listeners[i].place,
                                 "listen %.*s: the address is given twice",
                                 TERN_STR_ARG(listeners[i].address));
        }
    }
}

static void check_trace(struct tern_opt_load *load, struct tern_server_options *options)
{
    static const char *const levels[] = {"TIMESTAMPS", "TENSORS"}; /* in the order of the bits */
    struct tern_str place = tern_opt_place_of(load, "trace.level");

    options->trace.levels = 0;
    for (uint32_t i = 0; i < options->trace.level.n; i++) {
        struct tern_str text = options->trace.level.items[i];
        if (tern_str_eq(text, TERN_STR("OFF")) && options->trace.level.n == 1)
            return;
        /* MIN and MAX: what Triton called timestamps at first, and still takes. */
        if (tern_str_eq(text, TERN_STR("MIN")) || tern_str_eq(text, TERN_STR("MAX")))
            text = TERN_STR("TIMESTAMPS");
        unsigned bit = 0;
        while (bit < TERN_COUNT_OF(levels) && !tern_str_eq(text, tern_str_of(levels[bit])))
            bit++;
        if (bit == TERN_COUNT_OF(levels))
            tern_problem_add(load->problems, place,
                             "trace.level: expected OFF, or TIMESTAMPS and TENSORS, got \"%.*s\"",
                             TERN_STR_ARG(text));
        else
            options->trace.levels |= 1u << bit;
    }
    for (uint32_t i = 0; i < options->trace.otlp.resource.n; i++) {
        struct tern_str text = options->trace.otlp.resource.items[i];
        size_t at = tern_str_find(text, '=');
        if (at == 0 || at == text.n)
            tern_problem_add(load->problems, tern_opt_place_of(load, "trace.otlp.resource"),
                             "trace.otlp.resource: expected KEY=VALUE, got \"%.*s\"",
                             TERN_STR_ARG(text));
    }
}

/* The parts behind the name are numbers: a name may hold colons itself. */
static bool derive_resource(struct tern_str text, struct tern_resource_options *row)
{
    struct tern_str last = {NULL, 0}, middle = {NULL, 0}, part, rest = text;
    uint64_t device = 0, count = 0;

    while (tern_str_split(&rest, ':', &part)) {
        middle = last;
        last = part;
    }
    row->device = -1;
    if (middle.p != NULL && middle.p != text.p && tern_num_parse_u64(middle, UINT32_MAX, &count) &&
        tern_num_parse_u64(last, INT32_MAX, &device)) {
        row->device = (int32_t)device;
        last = middle;
    } else if (middle.p == NULL || !tern_num_parse_u64(last, UINT32_MAX, &count)) {
        return false;
    }
    row->name = tern_str_make(text.p, (size_t)(last.p - text.p) - 1);
    row->count = (uint32_t)count;
    return row->name.n > 0;
}

static void check_resources(struct tern_opt_load *load, struct tern_server_options *options)
{
    uint32_t n = options->sched.resources.n;
    struct tern_resource_options *items = tern_arena_zalloc(load->arena, n + 1, sizeof(*items));

    options->sched.resource_rows = items;
    if (items == NULL)
        tern_problem_add(load->problems, TERN_STR("sched.resources"), "no memory to read them");
    for (uint32_t i = 0; i < n && items != NULL; i++) {
        struct tern_str text = options->sched.resources.items[i];
        if (!derive_resource(text, &items[i]))
            tern_problem_add(load->problems, tern_opt_place_of(load, "sched.resources"),
                             "sched.resources: expected NAME:COUNT or NAME:COUNT:DEVICE, got "
                             "\"%.*s\"",
                             TERN_STR_ARG(text));
    }
}

static bool is_file_name(struct tern_str name)
{
    return name.p[0] != '.' && tern_str_find(name, '/') == name.n &&
           !tern_str_ends(name, TERN_STR(".pbtxt"));
}

/* A value that `tern config` printed in place of a secret would be known to everybody. */
static void check_restricts(struct tern_opt_load *load, const struct tern_server_options *options)
{
    const struct tern_restrict_options *rules = options->restricts.items;

    for (uint32_t i = 0; i < options->restricts.n; i++) {
        if ((rules[i].value.n == 0) == (rules[i].value_file.n == 0))
            tern_problem_add(load->problems, rules[i].place,
                             "restrict: needs either value or value_file");
        else if (tern_str_eq(rules[i].value, TERN_STR(TERN_OPT_HIDDEN)))
            tern_problem_add(load->problems, rules[i].place,
                             "restrict: the value stands for one that was not shown; write the "
                             "secret in its place");
    }
}

static void check_redis(struct tern_opt_load *load, const struct tern_server_options *options)
{
    const struct tern_redis_options *redis = options->cache.redis.items;

    for (uint32_t i = 0; i < options->cache.redis.n; i++) {
        if (redis[i].host.n == 0)
            tern_problem_add(load->problems, redis[i].place, "cache.redis: needs a host");
        if (redis[i].password.n > 0 && redis[i].password_file.n > 0)
            tern_problem_add(load->problems, redis[i].place,
                             "cache.redis: takes either password or password_file");
        if (tern_str_eq(redis[i].password, TERN_STR(TERN_OPT_HIDDEN)))
            tern_problem_add(load->problems, redis[i].place,
                             "cache.redis: the password stands for one that was not shown; write "
                             "the secret in its place");
    }
}

void tern_server_options_check(struct tern_opt_load *load)
{
    struct tern_server_options *options = load->values;

    check_trace(load, options);
    check_resources(load, options);
    check_listeners(load, options);
    check_restricts(load, options);
    check_redis(load, options);
    if (!tern_version_policy_parse(options->model.version_policy, &options->model.policy))
        tern_problem_add(
            load->problems, tern_opt_place_of(load, "model.version_policy"),
            "model.version_policy: expected latest, latest:N, all or specific:N,N, got \"%.*s\"",
            TERN_STR_ARG(options->model.version_policy));
    if (options->model.config_name.n > 0 && !is_file_name(options->model.config_name))
        tern_problem_add(load->problems, tern_opt_place_of(load, "model.config_name"),
                         "model.config_name: expected a plain name without '/' and without the "
                         "ending .pbtxt, got \"%.*s\"",
                         TERN_STR_ARG(options->model.config_name));
    if (options->model.load.n > 0 && options->model.control != TERN_MODEL_CONTROL_EXPLICIT)
        tern_problem_add(load->problems, tern_opt_place_of(load, "model.load"),
                         "model.load: only has a meaning with model.control explicit");
    if (options->http.field_max > options->http.head_max)
        tern_problem_add(load->problems, tern_opt_place_of(load, "http.field_max"),
                         "http.field_max: must not be above http.head_max");
    if (options->http.uri_max > options->http.head_max)
        tern_problem_add(load->problems, tern_opt_place_of(load, "http.uri_max"),
                         "http.uri_max: must not be above http.head_max");
}
