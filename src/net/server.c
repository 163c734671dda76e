#include "net/server.h"

#include <stdatomic.h>
#include <stdio.h>
#include "base/clock.h"
#include "base/mem.h"
#include "net/conn.h"
#include "os/thread.h"

#define WAIT_STEP_NS (2ull * TERN_NS_PER_MS)

/* One loop with its thread. */
struct shard {
    struct tern_server *server;
    struct tern_loop *loop;          /* owned */
    struct tern_hub *hub;            /* owned */
    struct tern_acceptor *acceptors; /* owned, one a listener */
    struct tern_thread thread;
    bool running;
    struct tern_loop_task drain;
    struct tern_loop_task abort;
};

/* Limits on their way to one hub. */
struct new_limits {
    struct tern_loop_task task;
    struct tern_hub *hub;
    struct tern_net_limits limits;
};

struct tern_server {
    struct tern_server_config config;
    struct shard *shards; /* owned */
    uint32_t n_shards;
    struct tern_peers *peers; /* owned */
    _Atomic uint32_t conns;
    _Atomic uint32_t n_drained; /* loops that have begun to drain */
    bool draining;
};

static void stop_accepting(struct shard *shard)
{
    for (uint32_t i = 0; i < shard->server->config.n_listeners; i++)
        tern_acceptor_stop(&shard->acceptors[i]);
}

static void on_drain(struct tern_loop_task *task)
{
    struct shard *shard = TERN_CONTAINER_OF(task, struct shard, drain);

    stop_accepting(shard);
    tern_hub_drain(shard->hub);
    atomic_fetch_add(&shard->server->n_drained, 1);
}

static void on_abort(struct tern_loop_task *task)
{
    struct shard *shard = TERN_CONTAINER_OF(task, struct shard, abort);

    stop_accepting(shard);
    tern_hub_abort_all(shard->hub);
    tern_loop_stop(shard->loop);
}

static enum tern_code new_shard(struct tern_server *server, uint32_t index, struct tern_err *err)
{
    const struct tern_server_config *config = &server->config;
    struct shard *shard = &server->shards[index];

    shard->server = server;
    shard->drain.run = on_drain;
    shard->abort.run = on_abort;
    server->n_shards = index + 1;
    TERN_TRY(tern_loop_new(index, config->limits.conns_max, &shard->loop, err));
    const struct tern_hub_config hub = {
        .loop = shard->loop,
        .handler = config->handler,
        .limits = &config->limits,
        .h1 = config->h1,
        .h2 = config->h2,
        .conns = &server->conns,
        .till = tern_account_till(config->account, index),
    };
    TERN_TRY(tern_hub_new(&hub, &shard->hub, err));
    shard->acceptors = tern_mem_zalloc(config->n_listeners, sizeof(struct tern_acceptor));
    if (shard->acceptors == NULL)
        return tern_mem_fail(err, "acceptors", config->n_listeners * sizeof(struct tern_acceptor));
    for (uint32_t i = 0; i < config->n_listeners; i++) {
        shard->acceptors[i].hub = shard->hub;
        shard->acceptors[i].listener = config->listeners[i];
        shard->acceptors[i].peers = server->peers;
        shard->acceptors[i].conns = &server->conns;
        shard->acceptors[i].reserve_fd = -1;
    }
    return TERN_OK;
}

enum tern_code tern_server_new(const struct tern_server_config *config,
                               struct tern_server **ret_server, struct tern_err *err)
{
    struct tern_server *server = tern_mem_zalloc(1, sizeof(*server));
    enum tern_code code = TERN_OK;

    if (server == NULL)
        return tern_mem_fail(err, "the server", sizeof(*server));
    server->config = *config;
    server->shards = tern_mem_zalloc(config->n_loops, sizeof(struct shard));
    server->peers = tern_mem_zalloc(1, sizeof(*server->peers));
    if (server->shards == NULL || server->peers == NULL) {
        tern_server_free(server);
        return tern_mem_fail(err, "the server", config->n_loops * sizeof(struct shard));
    }
    server->peers->max = config->limits.conns_per_ip_max;
    server->peers->seed = tern_clock_wall_ns() ^ (uintptr_t)server;
    for (uint32_t i = 0; i < config->n_loops && code == TERN_OK; i++)
        code = new_shard(server, i, err);
    if (code != TERN_OK) {
        tern_server_free(server);
        return code;
    }
    *ret_server = server;
    return TERN_OK;
}

void tern_server_free(struct tern_server *server)
{
    if (server == NULL)
        return;
    for (uint32_t i = 0; server->shards != NULL && i < server->n_shards; i++) {
        tern_hub_free(server->shards[i].hub);
        tern_loop_free(server->shards[i].loop);
        tern_mem_free(server->shards[i].acceptors);
    }
    tern_mem_free(server->shards);
    tern_mem_free(server->peers);
    tern_mem_free(server);
}

struct tern_loop *tern_server_loop(struct tern_server *server, uint32_t index)
{
    return server->shards[index].loop;
}

uint64_t tern_server_count(const struct tern_server *server, size_t counter_offset)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < server->n_shards; i++) {
        const char *counters = (const char *)&server->shards[i].hub->counters;
        sum += atomic_load_explicit(
            (const _Atomic uint64_t *)(const void *)(counters + counter_offset),
            memory_order_relaxed);
    }
    return sum;
}

static void run_shard(void *arg)
{
    struct shard *shard = arg;

    tern_loop_run(shard->loop);
}

static enum tern_code start_shard(struct tern_server *server, uint32_t index, struct tern_err *err)
{
    struct shard *shard = &server->shards[index];
    char name[16];

    for (uint32_t i = 0; i < server->config.n_listeners; i++)
        TERN_TRY(tern_acceptor_start(&shard->acceptors[i], err));
    snprintf(name, sizeof(name), "loop-%u", index);
    int cpu = server->config.pin ? tern_thread_cpu(index) : -1;
    TERN_TRY(tern_thread_start(&shard->thread, name, cpu, run_shard, shard, err));
    shard->running = true;
    return TERN_OK;
}

enum tern_code tern_server_start(struct tern_server *server, struct tern_err *err)
{
    for (uint32_t i = 0; i < server->n_shards; i++) {
        enum tern_code code = start_shard(server, i, err);
        if (code != TERN_OK) {
            tern_server_stop(server);
            return code;
        }
    }
    return TERN_OK;
}

static void on_limits(struct tern_loop_task *task)
{
    struct new_limits *fresh = TERN_CONTAINER_OF(task, struct new_limits, task);

    fresh->hub->limits = fresh->limits;
    tern_mem_free(fresh);
}

enum tern_code tern_server_set_limits(struct tern_server *server,
                                      const struct tern_net_limits *limits, struct tern_err *err)
{
    for (uint32_t i = 0; i < server->n_shards; i++) {
        struct new_limits *fresh = tern_mem_alloc(sizeof(*fresh));
        if (fresh == NULL)
            return tern_mem_fail(err, "new limits", sizeof(*fresh));
        *fresh = (struct new_limits){
            .task.run = on_limits, .hub = server->shards[i].hub, .limits = *limits};
        fresh->limits.conns_max = server->config.limits.conns_max; /* the loop is sized by it */
        tern_loop_post(server->shards[i].loop, &fresh->task);
    }
    atomic_store(&server->peers->max, limits->conns_per_ip_max);
    return TERN_OK;
}

void tern_server_drain(struct tern_server *server)
{
    if (server->draining)
        return;
    server->draining = true;
    for (uint32_t i = 0; i < server->n_shards; i++)
        tern_loop_post(server->shards[i].loop, &server->shards[i].drain);
}

static bool is_idle(const struct tern_server *server)
{
    if (server->draining && atomic_load(&server->n_drained) < server->n_shards)
        return false;
    for (uint32_t i = 0; i < server->n_shards; i++) {
        if (!tern_hub_is_idle(server->shards[i].hub))
            return false;
    }
    return true;
}

bool tern_server_wait(struct tern_server *server, uint64_t max_ns)
{
    uint64_t end = tern_clock_mono_ns() + max_ns;

    while (!is_idle(server)) {
        if (tern_clock_mono_ns() >= end)
            return false;
        tern_thread_sleep_ns(WAIT_STEP_NS);
    }
    return true;
}

void tern_server_stop(struct tern_server *server)
{
    for (uint32_t i = 0; i < server->n_shards; i++) {
        struct shard *shard = &server->shards[i];
        if (shard->running)
            tern_loop_post(shard->loop, &shard->abort);
        else
            stop_accepting(shard);
    }
    for (uint32_t i = 0; i < server->n_shards; i++) {
        if (server->shards[i].running)
            tern_thread_join(&server->shards[i].thread);
        server->shards[i].running = false;
    }
}
