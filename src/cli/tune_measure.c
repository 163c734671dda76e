/* One candidate under load: the server is given its setting, and the highest rate that it keeps up
 * with is looked for. */
#include <signal.h>
#include <string.h>
#include <time.h>
#include "base/clock.h"
#include "cli/tune_int.h"

#define KEEPS        0.99 /* of the requests are answered in time: the rate is kept up with */
#define NEARLY       0.03 /* less: it is tried once more */
#define CONNECTIONS  64
#define TIMEOUT_NS   (500 * (uint64_t)TERN_NS_PER_MS)
#define WARMUP_LEAST (100 * (uint64_t)TERN_NS_PER_MS)
#define WARMUP_MOST  (1 * (uint64_t)TERN_NS_PER_S)

bool tern_tune_stopped(struct tern_tune *tune)
{
    const struct timespec now = {0};
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    if (sigtimedwait(&set, NULL, &now) > 0)
        tune->stopped = true;
    return tune->stopped;
}

enum tern_code tern_tune_use(struct tern_tune *tune, uint32_t candidate, struct tern_err *err)
{
    struct tern_tune_candidate *c = &tune->candidates[candidate];
    json_t *config =
        c->setting.as_configured ? NULL : tern_tune_setting_apply(&tune->model, &c->setting);
    enum tern_code code = tern_tune_server_start(&tune->server, config, err);

    json_decref(config);
    if (code == TERN_INVALID_ARGUMENT) {
        (void)snprintf(c->why, sizeof(c->why), "%s", err->text);
        tune->alive[candidate] = false;
        return TERN_OK;
    }
    return code;
}

/* ---- one load ---- */

static uint64_t between(uint64_t value, uint64_t least, uint64_t most)
{
    return value < least ? least : value > most ? most : value;
}

static struct tern_bench_options options_of(const struct tern_tune *tune, double rate,
                                            uint32_t connections, uint64_t duration_ns,
                                            uint64_t seed)
{
    const struct tern_tune_options *o = tune->options;

    return (struct tern_bench_options){
        .url = tern_str_of(tune->server.url),
        .timeout_ns = rate > 0 ? TIMEOUT_NS + 4 * tune->slo_ns : o->timeout_ns,
        .data = o->data,
        .batch = o->batch,
        .binary = o->binary,
        .tolerance_ppm = o->tolerance_ppm,
        .rate = (uint64_t)(rate + 0.5),
        .poisson = true,
        .seed = seed,
        .connections = connections,
        .connections_max = 1000,
        .threads = 1,
        .duration_ns = duration_ns,
        .warmup_ns = between(duration_ns / 4, WARMUP_LEAST, WARMUP_MOST),
        .slo_ns = tune->slo_ns,
        .spin_ns = 20000,
    };
}

static void read_result(struct tern_tune *tune, struct tern_tune_look *look)
{
    const struct tern_bench_result *r = tune->result;
    uint64_t due = tern_bench_result_due(r);
    uint64_t in_time = r->outcome[TERN_BENCH_IN_TIME];

    look->in_time = due > 0 ? (double)in_time / (double)due : 0;
    look->answered = due > 0 ? (double)(in_time + r->outcome[TERN_BENCH_LATE]) / (double)due : 0;
    look->p50_ns = tern_histogram_percentile(&r->right, 50);
    look->p99_ns = tern_histogram_percentile(&r->right, 99);
    if (look->rate <= 0 && r->elapsed_ns > 0)
        look->rate = (double)r->requests * TERN_NS_PER_S / (double)r->elapsed_ns;
    else if (tune->slo_ns > 0 && look->in_time >= KEEPS) {
        double lag = (double)tern_histogram_percentile(&r->lag, 99) / (double)tune->slo_ns;
        tune->lag_share = lag > tune->lag_share ? lag : tune->lag_share;
    }
}

static void read_usage(const struct tern_tune *tune, const struct tern_tune_usage *before,
                       const struct tern_tune_usage *after, struct tern_tune_look *look)
{
    double wall = (double)(after->at_ns - before->at_ns) * tune->cores;
    uint64_t runs = after->runs - before->runs;

    look->cpu = wall > 0 ? (double)(after->cpu_ns - before->cpu_ns) / wall : 0;
    look->rows_a_run = runs > 0 ? (double)(after->rows - before->rows) / (double)runs : 0;
    look->memory_bytes = after->memory_bytes;
}

/* Percentiles of few requests say little: 1 of up to 100 may be late. */
static bool keeps_up(const struct tern_bench_result *r)
{
    uint64_t due = tern_bench_result_due(r);
    uint64_t missed = due - r->outcome[TERN_BENCH_IN_TIME];

    return due > 0 && missed * 100 <= due + 99 && missed * 20 <= due;
}

enum tern_code tern_tune_load(struct tern_tune *tune, double rate, uint32_t connections,
                              uint64_t duration_ns, uint64_t seed, struct tern_tune_look *ret,
                              struct tern_err *err)
{
    const struct tern_bench_options options =
        options_of(tune, rate, connections, duration_ns, seed);
    struct tern_tune_usage before, after;
    bool stopped = false;

    *ret = (struct tern_tune_look){.rate = rate};
    TERN_TRY(tern_tune_server_look(&tune->server, &before, err));
    enum tern_code code =
        tern_bench_apply(&options, &tune->data, NULL, tune->result, &stopped, err);
    tune->stopped = tune->stopped || stopped;
    if (code == TERN_OK && tune->result->wrong > 0)
        code = tern_fail(err, TERN_DATA_LOSS, "answers differ: %s", tune->result->first_wrong);
    if (code == TERN_OK)
        code = tern_tune_server_look(&tune->server, &after, err);
    if (code == TERN_OK) {
        read_result(tune, ret);
        read_usage(tune, &before, &after, ret);
    }
    tern_bench_result_fini(tune->result);
    return code;
}

/* ---- the score ---- */

static void note_point(struct tern_tune *tune, uint32_t candidate,
                       const struct tern_tune_look *look)
{
    if (look->answered >= KEEPS && look->p99_ns > 0 && tune->n_points < TERN_TUNE_POINTS_MAX)
        tune->points[tune->n_points++] = (struct tern_tune_point){
            .rate = look->rate, .p99_ns = look->p99_ns, .setting = candidate};
}

/* Whether it keeps up with the rate; what nearly does is asked twice, since this machine may have
 * had other things to do. */
static enum tern_code try_rate(struct tern_tune *tune, uint32_t candidate, double rate,
                               uint64_t duration_ns, uint64_t seed, struct tern_tune_look *look,
                               bool *ret_kept, struct tern_err *err)
{
    for (int i = 0; i < 2; i++) {
        TERN_TRY(tern_tune_load(tune, rate, CONNECTIONS, duration_ns, seed + 100 * (uint64_t)i,
                                look, err));
        *ret_kept = !tune->stopped && keeps_up(tune->result);
        if (tune->stopped || *ret_kept || look->in_time < KEEPS - NEARLY)
            break;
    }
    if (!tune->stopped)
        note_point(tune, candidate, look);
    return TERN_OK;
}

/* At one rate, what takes half as long is worth twice as much; what is not answered, nothing. */
static enum tern_code score_at_rate(struct tern_tune *tune, uint32_t candidate,
                                    uint64_t duration_ns, uint64_t seed, struct tern_err *err)
{
    struct tern_tune_candidate *c = &tune->candidates[candidate];
    struct tern_tune_look look;
    bool kept;

    TERN_TRY(try_rate(tune, candidate, (double)tune->options->rate, duration_ns, seed, &look, &kept,
                      err));
    if (tune->stopped)
        return TERN_OK;
    c->look = look;
    c->score = look.answered >= KEEPS && look.p99_ns > 0 ? 1e9 / (double)look.p99_ns : 0;
    return TERN_OK;
}

enum tern_code tern_tune_measure(struct tern_tune *tune, uint32_t candidate, double guess,
                                 double step, double bar, uint64_t duration_ns, uint64_t seed,
                                 struct tern_err *err)
{
    struct tern_tune_candidate *c = &tune->candidates[candidate];
    struct tern_tune_look look;
    struct tern_tune_search search;
    double rate;
    bool kept;

    if (tune->options->rate > 0)
        return score_at_rate(tune, candidate, duration_ns, seed, err);
    c->score = 0;
    c->is_rough = false;
    tern_tune_search_init(&search, guess, step);
    while ((rate = tern_tune_search_next(&search)) > 0) {
        TERN_TRY(try_rate(tune, candidate, rate, duration_ns, seed, &look, &kept, err));
        if (tune->stopped)
            break;
        tern_tune_search_tell(&search, rate, kept);
        if (kept && rate >= search.floor)
            c->look = look;
        c->score = search.floor;
        c->is_rough = search.floor > 0 && search.ceiling > 0 && search.ceiling < bar;
        if (c->is_rough)
            break;
    }
    return TERN_OK;
}
