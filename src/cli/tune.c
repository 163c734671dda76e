#include "cli/tune.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/mem.h"
#include "cli/commands.h"
#include "cli/duration.h"
#include "cli/tune_int.h"
#include "engine/engines.h"
#include "os/cpu.h"
#include "registry/model_config.h"
#include "registry/model_schema.h"
#include "registry/repository.h"

#define ARENA_MAX  ((size_t)1 << 28)
#define CONFIG_MAX (16u << 20)
#define SLO_LEAST  (10 * (uint64_t)TERN_NS_PER_MS)
#define FULL       64  /* connections that find out what the server can do */
#define IDLE_CPU   0.5 /* of the processors under full load: less leaves room for more instances */
#define LEAST_LOOK (100 * (uint64_t)TERN_NS_PER_MS)

/* How long the looks of a round are, as part of --duration, and how near is near enough. */
struct round {
    uint32_t part;
    double step;
};
static const struct round rounds[] = {{8, 1.15}, {4, 1.07}, {2, 1.05}};
static const struct round quick_rounds[] = {{4, 1.15}};

/* ---- what there is ---- */

/* The model and its folder; a repository has to be told which. */
static enum tern_code find_model(const char *path, struct tern_str name, struct tern_arena *arena,
                                 const struct tern_found_model **ret, struct tern_err *err)
{
    const struct tern_engine_set engines = {tern_engines, tern_engines_count};
    struct tern_found found;

    TERN_TRY(tern_repository_scan(&path, 1, &engines, arena, &found, err));
    if (name.n == 0 && found.n_models != 1)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "%s holds %u models: say which, as in `tern tune %s NAME`", path,
                         found.n_models, path);
    const struct tern_found_model *model = found.models;
    for (uint32_t i = 0; i < found.n_models; i++, model++) {
        if (name.n > 0 && !tern_str_eq(model->name, name))
            continue;
        *ret = model;
        return model->problem.code == TERN_OK
                   ? TERN_OK
                   : tern_fail(err, model->problem.code, "%s", model->problem.text);
    }
    return tern_fail(err, TERN_NOT_FOUND, "%s has no model '%.*s'", path, TERN_STR_ARG(name));
}

/* What the user wrote, as JSON without defaults; {} without a file. */
static enum tern_code read_base(const struct tern_found_model *model, struct tern_arena *arena,
                                json_t **ret_base, struct tern_err *err)
{
    const struct tern_model_config_source source = {.folder = model->folder, .only_read = true};
    struct tern_model_config config;
    struct tern_problems problems;
    struct tern_buf text;

    tern_problem_init(&problems, arena);
    tern_model_config_load(&source, arena, &config, &problems);
    TERN_TRY(tern_problem_fail(&problems, err));
    tern_buf_init(&text, CONFIG_MAX);
    if (config.file.n > 0)
        tern_model_schema_write(TERN_SCHEMA_FORM_JSON, config.tree, &text);
    enum tern_code code = tern_buf_check(&text, "the configuration", err);
    if (code == TERN_OK) {
        *ret_base = text.n == 0 ? json_object() : json_loadb(text.p, text.n, 0, NULL);
        if (*ret_base == NULL)
            code = tern_mem_fail(err, "the configuration", text.n);
    }
    tern_buf_fini(&text);
    return code;
}

/* What the server made of it. */
static enum tern_code read_served(struct tern_tune *tune, struct tern_err *err)
{
    json_t *schedule = NULL, *config = NULL;

    TERN_TRY(tern_tune_server_ask(&tune->server, "/schedule", &schedule, err));
    enum tern_code code = tern_tune_server_ask(&tune->server, "/config", &config, err);
    const char *place = json_string_value(json_object_get(schedule, "runs_on"));
    const char *backend = json_string_value(json_object_get(config, "backend"));
    json_int_t rows = json_integer_value(json_object_get(schedule, "max_batch"));
    if (code == TERN_OK && place != NULL && strcmp(place, "graph") == 0)
        code = tern_fail(err, TERN_INVALID_ARGUMENT,
                         "'%.*s' is an ensemble: tune its steps, which is where its time goes",
                         TERN_STR_ARG(tune->server.name));
    tune->model.max_rows = rows > 1 ? (uint32_t)rows : 1;
    tune->model.threads =
        backend != NULL && strcmp(backend, "onnxruntime") == 0 && tune->cores > 1 ? tune->cores : 0;
    json_decref(config);
    json_decref(schedule);
    return code;
}

static uint64_t look_ns(const struct tern_tune *tune, uint32_t part)
{
    uint64_t ns = tune->options->duration_ns / part;
    return ns < LEAST_LOOK ? LEAST_LOOK : ns;
}

/* One request at a time says what is fast; as many as possible, where to look for the greatest rate
 * and what the processors have to do with it. */
static enum tern_code get_to_know(struct tern_tune *tune, double *ret_rate, struct tern_err *err)
{
    struct tern_tune_look one, full;
    char name[TERN_MODEL_NAME_MAX + 1];
    const struct tern_bench_options options = {
        .url = tern_str_of(tune->server.url),
        .timeout_ns = tune->options->timeout_ns,
        .data = tune->options->data,
        .batch = tune->options->batch,
        .binary = tune->options->binary,
        .tolerance_ppm = tune->options->tolerance_ppm,
    };

    (void)snprintf(name, sizeof(name), "%.*s", TERN_STR_ARG(tune->server.name));
    TERN_TRY(tern_bench_data_load(&options, tern_str_of(name), &tune->data, err));
    TERN_TRY(tern_tune_load(tune, 0, 1, look_ns(tune, 8), 1, &one, err));
    tune->single_p50_ns = one.p50_ns;
    tune->slo_ns = tune->options->slo_ns;
    if (tune->slo_ns == 0)
        tune->slo_ns = one.p99_ns * 10 > SLO_LEAST ? one.p99_ns * 10 : SLO_LEAST;
    if (!tune->stopped)
        TERN_TRY(tern_tune_load(tune, 0, FULL, look_ns(tune, 8), 1, &full, err));
    *ret_rate = full.rate;
    tune->model.slo_ns = tune->slo_ns;
    tune->model.instances = (uint32_t)tune->options->instances;
    if (tune->options->instances == 0)
        tune->model.instances = full.cpu < IDLE_CPU ? tune->cores * 2 : tune->cores;
    return TERN_OK;
}

/* ---- trying ---- */

static void print_progress(const char *what, const char *name, uint32_t at, uint32_t of,
                           uint64_t left_ns)
{
    bool in_place = isatty(STDERR_FILENO) == 1;
    uint64_t left = left_ns / TERN_NS_PER_S;

    (void)fprintf(stderr, "%s%s %u/%u  %s  (", in_place ? "\r\033[K" : "", what, at, of, name);
    if (left >= 60)
        (void)fprintf(stderr, "%llu min ", (unsigned long long)(left / 60));
    (void)fprintf(stderr, "%llu s left)%s", (unsigned long long)(left % 60), in_place ? "" : "\n");
    (void)fflush(stderr);
}

/* By experience: three looks each and the start of a server, five in the finals. */
static uint64_t cost_ns(const struct tern_tune *tune, uint32_t part, uint32_t looks)
{
    return (look_ns(tune, part) * 5 / 4 + LEAST_LOOK) * looks + 4 * LEAST_LOOK;
}

static uint32_t n_alive(const struct tern_tune *tune)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < tune->n; i++)
        n += tune->alive[i] ? 1 : 0;
    return n;
}

static uint32_t n_rounds(const struct tern_tune *tune)
{
    return tune->options->quick ? TERN_COUNT_OF(quick_rounds) : TERN_COUNT_OF(rounds);
}

static const struct round *round_of(const struct tern_tune *tune, uint32_t i)
{
    return tune->options->quick ? &quick_rounds[i] : &rounds[i];
}

static uint32_t final_part(const struct tern_tune *tune)
{
    return tune->options->quick ? 4 : 1;
}

static uint32_t n_repeats(const struct tern_tune *tune)
{
    return tune->options->quick ? 2 : 3;
}

/* What is still to come after `done` of this round's candidates. */
static uint64_t left_ns(const struct tern_tune *tune, uint32_t round, uint32_t to_do)
{
    uint32_t looks = tune->options->rate > 0 ? 1 : 3;
    uint64_t left = to_do * cost_ns(tune, round_of(tune, round)->part, looks);

    uint32_t n = n_alive(tune);
    for (uint32_t i = round + 1; i < n_rounds(tune); i++) {
        n = n / 2 < 2 ? 2 : n / 2;
        left += n * cost_ns(tune, round_of(tune, i)->part, looks);
    }
    return left + 2 * (uint64_t)n_repeats(tune) *
                      cost_ns(tune, final_part(tune), tune->options->rate > 0 ? 1 : 4);
}

static double best_score(const struct tern_tune *tune)
{
    double best = 0;

    for (uint32_t i = 0; i < tune->n; i++) {
        if (tune->alive[i] && tune->candidates[i].score > best)
            best = tune->candidates[i].score;
    }
    return best;
}

/* A server that ends or answers wrongly with one setting is that setting's fault. */
static void give_up(struct tern_tune *tune, uint32_t i, const struct tern_err *err)
{
    struct tern_tune_candidate *c = &tune->candidates[i];

    (void)snprintf(c->why, sizeof(c->why), "%s", err->text);
    c->score = 0;
    tune->alive[i] = false;
}

static enum tern_code try_candidate(struct tern_tune *tune, uint32_t i, uint32_t round,
                                    double guess, double bar, struct tern_err *err)
{
    const struct round *r = round_of(tune, round);
    enum tern_code code = tern_tune_use(tune, i, err);

    if (code == TERN_OK && tune->alive[i])
        code = tern_tune_measure(tune, i, guess, r->step, bar, look_ns(tune, r->part),
                                 tune->options->seed + round, err);
    if (code != TERN_OK && i > 0) {
        give_up(tune, i, err);
        return TERN_OK;
    }
    if (i == 0 && code == TERN_OK && !tune->alive[0])
        return tern_fail(err, TERN_INVALID_ARGUMENT, "%s", tune->candidates[0].why);
    return code;
}

/* The first time each looks where the best so far is: who does not reach it needs no exact number.
 */
static enum tern_code try_first(struct tern_tune *tune, double rate, struct tern_err *err)
{
    for (; tune->n_tried < tune->n && !tern_tune_stopped(tune); tune->n_tried++) {
        uint32_t i = tune->n_tried;
        double best = best_score(tune);
        print_progress("setting", tune->candidates[i].name, i + 1, tune->n,
                       left_ns(tune, 0, tune->n - i));
        TERN_TRY(try_candidate(tune, i, 0, best > 0 ? best * 0.98 : rate * 0.8, best, err));
    }
    return TERN_OK;
}

static enum tern_code try_again(struct tern_tune *tune, uint32_t round, struct tern_err *err)
{
    uint32_t n = n_alive(tune), at = 0;

    for (uint32_t i = 0; i < tune->n && !tern_tune_stopped(tune); i++) {
        struct tern_tune_candidate before = tune->candidates[i];
        if (!tune->alive[i])
            continue;
        print_progress("again", before.name, at + 1, n, left_ns(tune, round, n - at));
        at++;
        TERN_TRY(try_candidate(tune, i, round, before.score, 0, err));
        if (tune->stopped)
            tune->candidates[i] = before; /* a number is better than half of one */
    }
    return TERN_OK;
}

static void halve(struct tern_tune *tune)
{
    double scores[TERN_TUNE_SETTINGS_MAX];
    uint32_t keep = n_alive(tune) / 2;

    for (uint32_t i = 0; i < tune->n; i++)
        scores[i] = tune->candidates[i].score;
    (void)tern_tune_halve(scores, tune->alive, tune->n, 0, keep < 2 ? 2 : keep);
}

/* ---- settings together ---- */

static void add_candidate(struct tern_tune *tune, const struct tern_tune_setting *setting)
{
    if (tune->n == TERN_TUNE_SETTINGS_MAX)
        return;
    for (uint32_t i = 0; i < tune->n; i++) {
        if (tern_tune_setting_is(&tune->candidates[i].setting, setting))
            return;
    }
    tune->alive[tune->n] = true;
    tune->candidates[tune->n].setting = *setting;
    tern_tune_setting_name(setting, tune->candidates[tune->n].name);
    tune->n++;
}

enum dimension { BATCHING, INSTANCES, ENGINE_THREADS, DIMENSIONS };

static enum dimension dimension_of(const struct tern_tune_setting *setting)
{
    return setting->instances > 0 ? INSTANCES : setting->threads > 0 ? ENGINE_THREADS : BATCHING;
}

/* What helps by itself may help more together: the best of each kind, by twos and all. Batching
 * that only is as good as none may still be, with more instances. */
static void add_joined(struct tern_tune *tune)
{
    uint32_t best[DIMENSIONS] = {0};
    struct tern_tune_setting both, all;

    for (uint32_t i = 1; i < tune->n; i++) {
        enum dimension d = dimension_of(&tune->candidates[i].setting);
        if (tune->alive[i] && !tune->candidates[i].setting.as_configured &&
            (best[d] == 0 || tune->candidates[i].score > tune->candidates[best[d]].score))
            best[d] = i;
    }
    for (int a = 0; a < DIMENSIONS; a++) {
        for (int b = a + 1; b < DIMENSIONS; b++) {
            const struct tern_tune_setting *x = &tune->candidates[best[a]].setting;
            const struct tern_tune_setting *y = &tune->candidates[best[b]].setting;
            if (tern_tune_join(x, y, &both))
                add_candidate(tune, &both);
            if (a == BATCHING && b == INSTANCES && best[ENGINE_THREADS] > 0 &&
                tern_tune_join(x, y, &both) &&
                tern_tune_join(&both, &tune->candidates[best[ENGINE_THREADS]].setting, &all))
                add_candidate(tune, &all);
        }
    }
}

/* ---- the finals ---- */

static uint32_t things_said(const struct tern_tune_setting *setting)
{
    return (setting->batching != TERN_TUNE_UNSAID || setting->slo_ns > 0 ? 1u : 0u) +
           (setting->instances > 0 ? 1u : 0u) + (setting->threads > 0 ? 1u : 0u);
}

/* Of those that are as good as the best but for noise, the one that says least. 0: none. */
static uint32_t best_other(const struct tern_tune *tune)
{
    uint32_t best = 0;
    double most = 0;

    for (uint32_t i = 1; i < tune->n; i++) {
        if (tune->alive[i] && tune->candidates[i].score > most)
            most = tune->candidates[i].score;
    }
    for (uint32_t i = 1; i < tune->n; i++) {
        const struct tern_tune_candidate *c = &tune->candidates[i], *b = &tune->candidates[best];
        if (!tune->alive[i] || c->score <= 0 || c->score < most * (1 - TERN_TUNE_NOISE))
            continue;
        uint32_t said = things_said(&c->setting);
        if (best == 0 || said < things_said(&b->setting) ||
            (said == things_said(&b->setting) && c->score > b->score))
            best = i;
    }
    return best;
}

static enum tern_code repeat(struct tern_tune *tune, uint32_t candidate, uint32_t turn,
                             struct tern_err *err)
{
    struct tern_tune_candidate *c = &tune->candidates[candidate];
    struct tern_tune_candidate before = *c;

    TERN_TRY(tern_tune_use(tune, candidate, err));
    TERN_TRY(tern_tune_measure(tune, candidate, c->score, 1.03, 0, look_ns(tune, final_part(tune)),
                               tune->options->seed + 10 + turn, err));
    before.finals[turn] = c->score;
    if (tune->stopped || c->score <= 0)
        *c = before;
    else
        c->finals[turn] = c->score;
    return TERN_OK;
}

static enum tern_code run_finals(struct tern_tune *tune, struct tern_err *err)
{
    uint32_t n = n_repeats(tune);
    const uint32_t pair[] = {0, tune->best};

    for (uint32_t turn = 0; turn < n; turn++) {
        for (int i = 0; i < 2; i++) {
            const char *name = tune->candidates[pair[i]].name;
            if (tern_tune_stopped(tune))
                return TERN_OK;
            print_progress("the best two, turn", name, turn + 1, n,
                           (2 * (n - turn) - (uint32_t)i) *
                               cost_ns(tune, final_part(tune), tune->options->rate > 0 ? 1 : 4));
            TERN_TRY(repeat(tune, pair[i], turn, err));
        }
        if (!tune->stopped)
            tune->n_finals = turn + 1;
    }
    return TERN_OK;
}

static void decide(struct tern_tune *tune)
{
    struct tern_tune_candidate *base = &tune->candidates[0], *other = &tune->candidates[tune->best];

    if (tune->n_finals == 0)
        return;
    tune->verdict = tern_tune_judge(base->finals, other->finals, tune->n_finals);
    base->score = tune->verdict.base;
    other->score = tune->verdict.other;
    if (tune->options->rate == 0) {
        base->look.rate = base->score;
        other->look.rate = other->score;
    }
}

/* ---- all of it ---- */

static enum tern_code compare(struct tern_tune *tune, double rate, struct tern_err *err)
{
    struct tern_tune_setting grid[TERN_TUNE_SETTINGS_MAX];
    uint32_t n = tern_tune_grid(&tune->model, tune->options->quick, grid);

    for (uint32_t i = 0; i < n; i++)
        add_candidate(tune, &grid[i]);
    TERN_TRY(try_first(tune, rate, err));
    if (!tune->stopped)
        add_joined(tune);
    TERN_TRY(try_first(tune, rate, err));
    for (uint32_t i = 1; i < n_rounds(tune) && !tune->stopped; i++) {
        halve(tune);
        TERN_TRY(try_again(tune, i, err));
    }
    tune->best = best_other(tune);
    if (tune->best > 0 && !tune->stopped)
        TERN_TRY(run_finals(tune, err));
    decide(tune);
    return TERN_OK;
}

static enum tern_code run(struct tern_tune *tune, const char *path, struct tern_str name,
                          struct tern_arena *arena, struct tern_err *err)
{
    const struct tern_found_model *model = NULL;
    double rate = 0;

    TERN_TRY(find_model(path, name, arena, &model, err));
    TERN_TRY(read_base(model, arena, &tune->base, err));
    tern_tune_model_read(&tune->model, tune->base);
    TERN_TRY(tern_tune_server_open(&tune->server, path, model->name, tune->options, err));
    const struct tern_tune_setting nothing = {.instances = 0};
    json_t *config = tern_tune_setting_apply(&tune->model, &nothing);
    enum tern_code code = tern_tune_server_start(&tune->server, config, err);
    json_decref(config);
    if (code == TERN_OK)
        code = read_served(tune, err);
    if (code == TERN_OK)
        code = get_to_know(tune, &rate, err);
    if (code == TERN_OK && !tune->stopped)
        code = compare(tune, rate, err);
    tern_tune_server_close(&tune->server);
    return code;
}

static int exit_of(enum tern_code code)
{
    return code == TERN_OK                                           ? TERN_EXIT_OK
           : code == TERN_INVALID_ARGUMENT || code == TERN_NOT_FOUND ? TERN_EXIT_USAGE
                                                                     : TERN_EXIT_FAILED;
}

int tern_tune_run(const struct tern_command_call *call)
{
    struct tern_arena arena;
    struct tern_err err;
    sigset_t signals, before;
    struct tern_tune *tune = tern_mem_zalloc(1, sizeof(*tune));
    struct tern_bench_result *result = tern_mem_zalloc(1, sizeof(*result));
    enum tern_code code = TERN_OK;

    if (tune == NULL || result == NULL) {
        (void)fprintf(stderr, "tern tune: no memory\n");
        tern_mem_free(tune);
        tern_mem_free(result);
        return TERN_EXIT_FAILED;
    }
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    (void)pthread_sigmask(SIG_BLOCK, &signals, &before);
    tern_arena_init(&arena, 1u << 16, ARENA_MAX);
    tune->options = call->options;
    tune->result = result;
    tune->cores = tern_cpu_usable();
    tune->began_ns = tern_clock_mono_ns();
    tune->server.log_fd = -1;
    code =
        run(tune, call->args[0].p, call->n_args > 1 ? call->args[1] : TERN_STR(""), &arena, &err);
    if (isatty(STDERR_FILENO) == 1)
        (void)fprintf(stderr, "\r\033[K");
    if (tune->n_tried > 0)
        tern_tune_print(tune, stdout);
    if (code != TERN_OK)
        (void)fprintf(stderr, "tern tune: %s\n", err.text);
    else if (tune->stopped)
        (void)fprintf(stderr, "tern tune: stopped\n");
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    tern_bench_data_fini(&tune->data);
    json_decref(tune->base);
    tern_arena_fini(&arena);
    bool stopped = tune->stopped;
    tern_mem_free(result);
    tern_mem_free(tune);
    return stopped ? TERN_EXIT_FAILED : exit_of(code);
}
