#include "cli/persona_triton.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include "base/num.h"
#include "cli/triton_flags.h"
#include "conf/server_options.h"
#include "proto/protos.h"

#define REPOSITORIES_MAX 16
#define REDIS_FIELDS_MAX 8
#define PERSONA_PLACE    TERN_STR("persona triton")
#define DELAY_SCHEDULER  TERN_STR("TRITONSERVER_DELAY_SCHEDULER=")
#define DELAY_BACKLOG    TERN_STR("TRITONSERVER_BACKLOG_DELAY_SCHEDULER=")

/* One of Triton's ports. */
struct door {
    bool is_closed;
    bool is_given; /* some flag was about it */
    struct tern_str address;
    uint64_t port;
    bool tls, mutual;
    struct tern_str cert, key, root;
    struct tern_str place;
};

struct tern_triton {
    struct tern_opt_load *load;
    struct tern_str repositories[REPOSITORIES_MAX];
    uint32_t n_repositories;
    struct door doors[TERN_TRITON_DOORS];
    bool *is_ignored;                              /* one a row of the table */
    struct tern_opt_field redis[REDIS_FIELDS_MAX]; /* of cache.redis */
    uint32_t n_redis;
    struct tern_str cache; /* that --cache-config is about; "": none */
    bool has_two_caches, has_cache_size;
    bool verbose, no_info, no_warning;
    bool vertex_off;
};

/* One flag being read. */
struct given {
    const struct tern_triton_flag *flag;
    struct tern_str value;
    struct tern_str place; /* "flag --http-port" */
};

static void complain(struct tern_triton *triton, const struct given *given, const char *expected)
{
    tern_problem_add(triton->load->problems, given->place, "expected %s, got \"%.*s\"", expected,
                     TERN_STR_ARG(given->value));
}

static void set(struct tern_triton *triton, struct tern_str place, const char *name,
                struct tern_str text)
{
    struct tern_opt_load *load = triton->load;

    tern_opt_set(load, tern_opt_find(load->table, tern_str_of(name)), TERN_OPT_FROM_FLAG, place,
                 text);
}

/* ---- what becomes of a flag ---- */

static bool is_true(struct tern_str value)
{
    return tern_str_eq(value, TERN_STR("1")) || tern_str_eq_nocase(value, TERN_STR("true"));
}

static bool is_false(struct tern_str value)
{
    return tern_str_eq(value, TERN_STR("0")) || tern_str_eq_nocase(value, TERN_STR("false"));
}

static bool is_number(struct tern_str value)
{
    struct tern_str digits =
        tern_str_starts(value, TERN_STR("-")) ? tern_str_from(value, 1) : value;
    uint64_t n;

    return tern_num_parse_u64(digits, INT64_MAX, &n);
}

/* A time beyond what we take is as good as our longest: INT_MAX milliseconds stand for never. */
static struct tern_str clamp_time(struct tern_triton *triton, const struct tern_opt *opt,
                                  struct tern_str text)
{
    uint64_t ns;

    if (opt->type != TERN_OPT_DURATION || !tern_num_parse_duration(text, &ns) || ns <= opt->max)
        return text;
    return tern_arena_printf(triton->load->arena, "%lluns", (unsigned long long)opt->max);
}

static void take_option(struct tern_triton *triton, const struct given *given)
{
    const struct tern_triton_flag *flag = given->flag;
    struct tern_opt_load *load = triton->load;
    const struct tern_opt *opt = tern_opt_find(load->table, tern_str_of(flag->option));
    struct tern_str text = given->value;

    if (flag->take == TERN_TRITON_COUNT && text.p[0] == '-')
        text = TERN_STR("0");
    if (flag->take == TERN_TRITON_OPTION_NOT)
        text = is_true(text) ? TERN_STR("false") : TERN_STR("true");
    if (flag->unit != NULL)
        text = clamp_time(triton, opt,
                          tern_arena_printf(load->arena, "%.*s%s", TERN_STR_ARG(text), flag->unit));
    tern_opt_set(load, opt, TERN_OPT_FROM_FLAG, given->place, text);
}

static void take_repository(struct tern_triton *triton, const struct given *given)
{
    if (triton->n_repositories == REPOSITORIES_MAX)
        tern_problem_add(triton->load->problems, given->place, "at most %d repositories",
                         REPOSITORIES_MAX);
    else
        triton->repositories[triton->n_repositories++] = given->value;
}

static void take_door(struct tern_triton *triton, const struct given *given)
{
    struct door *door = &triton->doors[given->flag->door];

    door->is_given = true;
    door->place = given->place;
    switch ((int)given->flag->take) {
    case TERN_TRITON_ALLOW:
        door->is_closed = !is_true(given->value);
        break;
    case TERN_TRITON_ADDRESS:
        door->address = given->value;
        break;
    case TERN_TRITON_PORT:
        if (!tern_num_parse_u64(given->value, UINT16_MAX, &door->port))
            complain(triton, given, "a port from 0 to 65535");
        break;
    case TERN_TRITON_TLS:
        door->tls = is_true(given->value);
        break;
    case TERN_TRITON_TLS_MUTUAL:
        door->mutual = is_true(given->value);
        break;
    case TERN_TRITON_TLS_CERT:
        door->cert = given->value;
        break;
    case TERN_TRITON_TLS_KEY:
        door->key = given->value;
        break;
    default:
        door->root = given->value;
    }
}

/* "health,metadata:key=value". What is said of a mistake never shows the value: it is a secret. */
static void take_restrict(struct tern_triton *triton, const struct given *given)
{
    struct tern_opt_load *load = triton->load;
    bool grpc = given->flag->door == TERN_TRITON_GRPC;
    struct tern_str rest = given->value;
    size_t colon = tern_str_find(rest, ':');
    struct tern_str families =
        tern_arena_copy(load->arena, tern_str_trim(tern_str_make(rest.p, colon)));

    rest = colon < rest.n ? tern_str_from(rest, colon + 1) : tern_str_make(NULL, 0);
    size_t equals = tern_str_find(rest, '=');
    struct tern_str key = tern_str_trim(tern_str_make(rest.p, equals));
    if (families.n == 0 || equals == rest.n || key.n == 0) {
        tern_problem_add(load->problems, given->place, "expected APIS:KEY=VALUE");
        return;
    }
    char *bytes = (char *)(uintptr_t)families.p; /* the arena's copy */
    for (size_t i = 0; i < families.n; i++)
        bytes[i] = bytes[i] == ',' ? '+' : bytes[i];
    struct tern_str header = tern_arena_printf(
        load->arena, "%s%.*s", grpc ? "triton-grpc-protocol-" : "", TERN_STR_ARG(key));
    const struct tern_opt_field fields[] = {
        {"families", families},
        {"header", header},
        {"value", tern_str_trim(tern_str_from(rest, equals + 1))},
        {"over", grpc ? TERN_STR("grpc") : TERN_STR("http")},
    };
    tern_opt_add_record(load, tern_opt_find(load->table, TERN_STR("restrict")), TERN_OPT_FROM_FLAG,
                        given->place, fields, (uint32_t)TERN_COUNT_OF(fields));
}

/* The last one given counts. */
static void set_redis(struct tern_triton *triton, const char *name, struct tern_str value)
{
    uint32_t i = 0;

    while (i < triton->n_redis && strcmp(triton->redis[i].name, name) != 0)
        i++;
    if (i == REDIS_FIELDS_MAX)
        return;
    triton->redis[i] = (struct tern_opt_field){name, value};
    triton->n_redis += i == triton->n_redis;
}

static void take_redis(struct tern_triton *triton, const struct given *given)
{
    const char *key = given->flag->key;

    assert(key != NULL); /* "redis,host": how the row was found */
    key += strlen("redis,");
    set_redis(triton, strcmp(key, "db") == 0 ? "database" : key, given->value);
}

/* Triton has one cache at most, and one way at a time to ask for it. */
static void note_cache(struct tern_triton *triton, const struct given *given)
{
    struct tern_str name =
        given->flag->key == NULL ? given->value : tern_str_of(given->flag->key); /* "redis,host" */

    name.n = tern_str_find(name, ',');
    triton->has_two_caches |= triton->cache.n > 0 && !tern_str_eq(triton->cache, name);
    triton->cache = name;
}

static void check_caches(const struct tern_triton *triton)
{
    struct tern_str place = TERN_STR("flag --cache-config");

    if (triton->has_two_caches)
        tern_problem_add(triton->load->problems, place,
                         "found multiple cache configurations, but only a single cache is "
                         "currently supported; a file of options may have a cache.local and a "
                         "cache.redis");
    if (triton->has_cache_size && triton->cache.n > 0)
        tern_problem_add(triton->load->problems, place,
                         "Incompatible flags --response-cache-byte-size and --cache-config both "
                         "provided. Please provide one or the other.");
}

static void take_log_format(struct tern_triton *triton, const struct given *given)
{
    bool text = tern_str_eq(given->value, TERN_STR("default")) ||
                tern_str_eq(given->value, TERN_STR("ISO8601"));

    set(triton, given->place, "log.format", text ? TERN_STR("text") : given->value);
}

static void take_refused(struct tern_triton *triton, const struct given *given)
{
    const char *harmless = given->flag->harmless;
    bool is_harmless = given->flag->kind == TERN_TRITON_BOOL
                           ? is_false(given->value)
                           : tern_str_eq(given->value, tern_str_of(harmless));

    if (!is_harmless)
        tern_problem_add(triton->load->problems, given->place, "%s", given->flag->help);
    else if (strcmp(given->flag->name, "allow-vertex-ai") == 0)
        triton->vertex_off = true;
}

static void take(struct tern_triton *triton, const struct given *given)
{
    if (strcmp(given->flag->name, "cache-config") == 0)
        note_cache(triton, given);
    triton->has_cache_size |= strcmp(given->flag->name, "response-cache-byte-size") == 0;
    switch (given->flag->take) {
    case TERN_TRITON_OPTION:
    case TERN_TRITON_OPTION_NOT:
    case TERN_TRITON_COUNT:
        take_option(triton, given);
        return;
    case TERN_TRITON_PERIOD:
        if (!tern_str_eq(given->value, TERN_STR("0")))
            take_option(triton, given);
        return;
    case TERN_TRITON_REPOSITORY:
        take_repository(triton, given);
        return;
    case TERN_TRITON_ALLOW:
    case TERN_TRITON_ADDRESS:
    case TERN_TRITON_PORT:
    case TERN_TRITON_TLS:
    case TERN_TRITON_TLS_MUTUAL:
    case TERN_TRITON_TLS_CERT:
    case TERN_TRITON_TLS_KEY:
    case TERN_TRITON_TLS_ROOT:
        take_door(triton, given);
        return;
    case TERN_TRITON_RESTRICT:
        take_restrict(triton, given);
        return;
    case TERN_TRITON_REDIS:
        take_redis(triton, given);
        return;
    case TERN_TRITON_LOG_VERBOSE:
        triton->verbose = !tern_str_eq(given->value, TERN_STR("0"));
        return;
    case TERN_TRITON_LOG_INFO:
        triton->no_info = is_false(given->value);
        return;
    case TERN_TRITON_LOG_WARNING:
        triton->no_warning = is_false(given->value);
        return;
    case TERN_TRITON_LOG_FORMAT:
        take_log_format(triton, given);
        return;
    case TERN_TRITON_IGNORE:
        triton->is_ignored[given->flag - tern_triton_flags] = true;
        return;
    case TERN_TRITON_REFUSE:
        take_refused(triton, given);
        return;
    }
}

/* ---- the command line ---- */

struct reader {
    struct tern_triton *triton;
    int argc;
    char *const *argv;
    int at;
    char **ours; /* what is left for the reader of our own options */
    int n_ours;
};

static const char *flag_name(const void *user, uint32_t i, char *scratch)
{
    (void)user;
    snprintf(scratch, TERN_OPT_NAME_MAX, "--%s", tern_triton_flags[i].name);
    return scratch;
}

/* The value in the argument itself or in the next one; false when there is none. */
static bool find_value(struct reader *r, enum tern_triton_kind kind, struct tern_str *value)
{
    bool has_next = r->at + 1 < r->argc;
    struct tern_str next = has_next ? tern_str_of(r->argv[r->at + 1]) : tern_str_make(NULL, 0);

    if (value->p != NULL)
        return true;
    if (kind == TERN_TRITON_ALONE ||
        (kind == TERN_TRITON_BOOL && !is_true(next) && !is_false(next))) {
        *value = TERN_STR("true");
        return true;
    }
    if (!has_next || tern_str_starts(next, TERN_STR("--")))
        return false;
    r->at++;
    *value = next;
    return true;
}

static bool is_well_formed(struct tern_triton *triton, const struct given *given)
{
    const struct tern_triton_flag *flag = given->flag;
    const char *expected = NULL;

    if (flag->kind == TERN_TRITON_NUMBER && !is_number(given->value))
        expected = "a number";
    else if (flag->kind == TERN_TRITON_BOOL && !is_true(given->value) && !is_false(given->value))
        expected = "true, false, 1 or 0";
    if (expected != NULL)
        complain(triton, given, expected);
    return expected == NULL;
}

/* Whether the argument was a flag of Triton's. */
static bool read_flag(struct reader *r, struct tern_str arg)
{
    struct tern_opt_load *load = r->triton->load;
    size_t equals = tern_str_find(arg, '=');
    struct tern_str name = tern_str_make(arg.p + 2, equals - 2);
    struct given given = {.value = equals < arg.n ? tern_str_from(arg, equals + 1)
                                                  : tern_str_make(NULL, 0)};
    bool known;

    if (equals + 1 == arg.n)
        given.value = TERN_STR(""); /* "--flag=" */
    given.flag = tern_triton_flag_find(name, TERN_STR(""), &known);
    if (!known)
        return false;
    given.place = tern_arena_printf(load->arena, "flag --%.*s", TERN_STR_ARG(name));
    enum tern_triton_kind kind = given.flag == NULL ? TERN_TRITON_TEXT : given.flag->kind;
    if (!find_value(r, kind, &given.value)) {
        tern_problem_add(load->problems, given.place, "needs a value");
        return true;
    }
    given.flag = tern_triton_flag_find(name, given.value, &known);
    if (given.flag == NULL) {
        tern_problem_add(load->problems, given.place, "no such setting: \"%.*s\"",
                         TERN_STR_ARG(given.value));
        return true;
    }
    if (given.flag->key != NULL)
        given.value =
            tern_str_trim(tern_str_from(given.value, tern_str_find(given.value, '=') + 1));
    if (is_well_formed(r->triton, &given))
        take(r->triton, &given);
    return true;
}

/* A flag that neither table has: the nearest of Triton's, when it is one letter away from it. */
static bool is_misspelt(struct reader *r, struct tern_str arg)
{
    struct tern_opt_load *load = r->triton->load;
    struct tern_str flag = tern_str_make(arg.p, tern_str_find(arg, '='));
    char ours[TERN_OPT_NAME_MAX], scratch[TERN_OPT_NAME_MAX];
    struct tern_str bare =
        tern_str_starts(flag, TERN_STR("--no-")) ? tern_str_from(flag, 5) : tern_str_from(flag, 2);

    for (uint32_t i = 0; i < load->table->n; i++) {
        if (tern_str_eq(bare, tern_str_of(tern_opt_flag(&load->table->rows[i], ours) + 2)))
            return false;
    }
    const char *near = tern_opt_nearest(flag, tern_triton_flags_n, flag_name, NULL, scratch);
    if (near == NULL || tern_str_eq(flag, TERN_STR("--help")))
        return false;
    tern_problem_add(load->problems,
                     tern_arena_printf(load->arena, "flag %.*s", TERN_STR_ARG(flag)),
                     "no such option, did you mean %s?", near);
    return true;
}

struct tern_triton *tern_triton_read_args(struct tern_opt_load *load, int argc, char *const *argv,
                                          struct tern_opt_rest *ret_rest)
{
    struct tern_triton *triton = tern_arena_zalloc(load->arena, 1, sizeof(*triton));
    struct reader r = {.triton = triton, .argc = argc, .argv = argv};
    bool only_args = false;

    *ret_rest = (struct tern_opt_rest){0};
    r.ours = tern_arena_zalloc(load->arena, (size_t)argc + 1, sizeof(*r.ours));
    if (triton != NULL)
        triton->is_ignored = tern_arena_zalloc(load->arena, tern_triton_flags_n, sizeof(bool));
    if (triton == NULL || triton->is_ignored == NULL || r.ours == NULL) {
        tern_problem_add(load->problems, TERN_STR("flags"), "no memory to read them");
        return NULL;
    }
    triton->load = load;
    triton->doors[TERN_TRITON_HTTP].port = 8000;
    triton->doors[TERN_TRITON_GRPC].port = 8001;
    triton->doors[TERN_TRITON_METRICS].port = 8002;
    for (; r.at < argc; r.at++) {
        struct tern_str arg = tern_str_of(argv[r.at]);
        bool is_flag = !only_args && arg.n > 2 && tern_str_starts(arg, TERN_STR("--"));
        only_args = only_args || tern_str_eq(arg, TERN_STR("--"));
        if (is_flag && (read_flag(&r, arg) || is_misspelt(&r, arg)))
            continue;
        r.ours[r.n_ours++] = argv[r.at];
    }
    tern_opt_read_args(load, r.n_ours, r.ours, ret_rest);
    return triton;
}

/* ---- once all is read ---- */

static void imply(struct tern_triton *triton, const char *name, struct tern_str text)
{
    if (tern_opt_origin_of(triton->load, name) == TERN_OPT_FROM_DEFAULT)
        set(triton, PERSONA_PLACE, name, text);
}

/* The gRPC port speaks whatever is gRPC. */
static struct tern_str dialects_of(struct tern_triton *triton, enum tern_triton_door which)
{
    struct tern_str names = {NULL, 0};

    if (which != TERN_TRITON_GRPC)
        return which == TERN_TRITON_HTTP ? TERN_STR("oip") : TERN_STR("admin");
    for (size_t i = 0; i < TERN_PROTOS_N; i++) {
        if (tern_protos[i]->is_grpc)
            names = tern_arena_printf(triton->load->arena, "%.*s%s%s", TERN_STR_ARG(names),
                                      names.n > 0 ? "+" : "", tern_protos[i]->name);
    }
    return names;
}

static void open_door(struct tern_triton *triton, enum tern_triton_door which)
{
    struct tern_opt_load *load = triton->load;
    const struct door *door = &triton->doors[which];
    struct tern_str host = door->address;

    if (host.n == 0 && which == TERN_TRITON_METRICS)
        host = triton->doors[TERN_TRITON_HTTP].address;
    if (host.n == 0)
        host = TERN_STR("0.0.0.0");
    bool v6 = tern_str_find(host, ':') < host.n && host.p[0] != '[';
    bool tls = door->tls || door->mutual;
    const struct tern_opt_field fields[] = {
        {"address",
         tern_arena_printf(load->arena, "%s%.*s%s:%llu", v6 ? "[" : "", TERN_STR_ARG(host),
                           v6 ? "]" : "", (unsigned long long)door->port)},
        {"admin", which == TERN_TRITON_METRICS ? TERN_STR("false") : TERN_STR("true")},
        {"dialects", dialects_of(triton, which)},
        {"triton_status", TERN_STR("true")},
        {"tls.cert", tls ? door->cert : TERN_STR("")},
        {"tls.key", tls ? door->key : TERN_STR("")},
        {"tls.client_ca", door->mutual ? door->root : TERN_STR("")},
        {"tls", tls ? TERN_STR("true") : TERN_STR("false")},
    };
    tern_opt_add_record(load, tern_opt_find(load->table, TERN_STR("listen")), TERN_OPT_FROM_FLAG,
                        door->is_given ? door->place : PERSONA_PLACE, fields,
                        (uint32_t)TERN_COUNT_OF(fields));
}

/* Triton's ports, unless a file or variable says where to listen and no flag speaks of a port. What
 * --listen names is opened too. */
static void open_doors(struct tern_triton *triton)
{
    enum tern_opt_origin origin = tern_opt_origin_of(triton->load, "listen");
    bool any = origin == TERN_OPT_FROM_DEFAULT;

    for (int i = 0; i < TERN_TRITON_DOORS; i++)
        any = any || triton->doors[i].is_given;
    for (int i = 0; i < TERN_TRITON_DOORS && any; i++) {
        if (!triton->doors[i].is_closed)
            open_door(triton, (enum tern_triton_door)i);
    }
}

static void set_log_level(struct tern_triton *triton)
{
    struct tern_str level = triton->verbose      ? TERN_STR("debug")
                            : triton->no_warning ? TERN_STR("error")
                            : triton->no_info    ? TERN_STR("warn")
                                                 : TERN_STR("");

    if (level.n > 0)
        set(triton, PERSONA_PLACE, "log.level", level);
}

static void add_repositories(struct tern_triton *triton, struct tern_opt_rest *rest)
{
    uint32_t n = rest->n + triton->n_repositories;
    struct tern_str *args = tern_arena_zalloc(triton->load->arena, n + 1, sizeof(*args));

    if (args == NULL) {
        tern_problem_add(triton->load->problems, TERN_STR("flags"), "no memory to read them");
        return;
    }
    for (uint32_t i = 0; i < n; i++)
        args[i] = i < rest->n ? rest->args[i] : triton->repositories[i - rest->n];
    rest->args = args;
    rest->n = n;
}

static bool has_redis(const struct tern_triton *triton, const char *name)
{
    bool has = false;

    for (uint32_t i = 0; i < triton->n_redis; i++)
        has = has || strcmp(triton->redis[i].name, name) == 0;
    return has;
}

/* What flags say counts before what variables say. */
static void open_redis(struct tern_triton *triton, char *const *environment)
{
    static const struct {
        const char *variable, *name;
    } known[] = {{"TRITONCACHE_REDIS_USERNAME=", "user"},
                 {"TRITONCACHE_REDIS_PASSWORD=", "password"}};
    struct tern_opt_load *load = triton->load;

    if (triton->n_redis == 0)
        return;
    if (!has_redis(triton, "host"))
        tern_problem_add(load->problems, TERN_STR("flag --cache-config"),
                         "redis: Must at a minimum specify a host");
    for (; *environment != NULL; environment++) {
        for (size_t i = 0; i < TERN_COUNT_OF(known); i++) {
            struct tern_str text = tern_str_of(*environment), name = tern_str_of(known[i].variable);
            if (tern_str_starts(text, name) && !has_redis(triton, known[i].name))
                set_redis(triton, known[i].name, tern_str_from(text, name.n));
        }
    }
    tern_opt_add_record(load, tern_opt_find(load->table, TERN_STR("cache.redis")),
                        TERN_OPT_FROM_FLAG, TERN_STR("flag --cache-config"), triton->redis,
                        triton->n_redis);
}

static void tell_ignored(struct tern_triton *triton)
{
    struct tern_server_options *options = triton->load->values;
    struct tern_str text = {"", 0};

    for (uint32_t i = 0; i < tern_triton_flags_n; i++) {
        if (triton->is_ignored[i])
            text = tern_arena_printf(triton->load->arena, "%.*s%s--%s", TERN_STR_ARG(text),
                                     text.n > 0 ? ", " : "", tern_triton_flags[i].name);
    }
    options->persona_ignored = text;
}

void tern_triton_finish(struct tern_triton *triton, char *const *environment,
                        struct tern_opt_rest *rest)
{
    open_doors(triton);
    set_log_level(triton);
    check_caches(triton);
    open_redis(triton, environment);
    add_repositories(triton, rest);
    imply(triton, "server_name", TERN_STR("triton"));
    imply(triton, "insecure", TERN_STR("true"));
    imply(triton, "model.exit_on_error", TERN_STR("true"));
    imply(triton, "model.default_max_batch_size", TERN_STR("4"));
    imply(triton, "sched.batching", TERN_STR("configured"));
    tell_ignored(triton);
    for (; *environment != NULL; environment++) {
        struct tern_str row = tern_str_of(*environment);
        if (tern_str_starts(row, DELAY_SCHEDULER))
            imply(triton, "sched.hold_until", tern_str_from(row, DELAY_SCHEDULER.n));
        if (tern_str_starts(row, DELAY_BACKLOG))
            imply(triton, "sched.hold_backlog", tern_str_from(row, DELAY_BACKLOG.n));
        if (!triton->vertex_off && tern_str_eq(row, TERN_STR("AIP_MODE=PREDICTION")))
            tern_problem_add(triton->load->problems, TERN_STR("environment AIP_MODE"),
                             "asks for Vertex AI's endpoints, which are not served yet; "
                             "--allow-vertex-ai=false starts without them");
    }
}

bool tern_triton_is_wanted(int argc, char *const *argv, char *const *environment)
{
    for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "--persona=triton") == 0)
            return true;
        if (strcmp(argv[i], "--persona") == 0 && i + 1 < argc)
            return strcmp(argv[i + 1], "triton") == 0;
    }
    for (; *environment != NULL; environment++) {
        if (strcmp(*environment, "TERN_PERSONA=triton") == 0)
            return true;
    }
    return false;
}
