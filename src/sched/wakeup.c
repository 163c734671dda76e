#include "sched/wakeup.h"

#include <pthread.h>
#include <stdbool.h>
#include "base/clock.h"

#define ROUNDS     21
#define AT_LEAST   20000u
#define AT_MOST    200000u
#define WHEN_BLIND 50000u

struct ping_pong {
    pthread_mutex_t lock;
    pthread_cond_t turned;
    int turn; /* even: the measurer's, odd: the partner's */
};

static void wait_for(struct ping_pong *game, int turn)
{
    pthread_mutex_lock(&game->lock);
    while (game->turn != turn)
        pthread_cond_wait(&game->turned, &game->lock);
    pthread_mutex_unlock(&game->lock);
}

static void pass_to(struct ping_pong *game, int turn)
{
    pthread_mutex_lock(&game->lock);
    game->turn = turn;
    pthread_cond_broadcast(&game->turned);
    pthread_mutex_unlock(&game->lock);
}

static void *partner_main(void *arg)
{
    for (int i = 0; i < ROUNDS; i++) {
        wait_for(arg, 2 * i + 1);
        pass_to(arg, 2 * i + 2);
    }
    return NULL;
}

static uint64_t median(uint64_t *values, int n)
{
    for (int i = 1; i < n; i++) {
        uint64_t v = values[i];
        int j = i;
        for (; j > 0 && values[j - 1] > v; j--)
            values[j] = values[j - 1];
        values[j] = v;
    }
    return values[n / 2];
}

uint64_t tern_wakeup_measure_ns(void)
{
    struct ping_pong game = {.lock = PTHREAD_MUTEX_INITIALIZER, .turned = PTHREAD_COND_INITIALIZER};
    uint64_t took[ROUNDS];
    pthread_t partner;

    if (pthread_create(&partner, NULL, partner_main, &game) != 0)
        return WHEN_BLIND;
    for (int i = 0; i < ROUNDS; i++) {
        uint64_t start = tern_clock_mono_ns();
        pass_to(&game, 2 * i + 1);
        wait_for(&game, 2 * i + 2);
        took[i] = tern_clock_mono_ns() - start;
    }
    pthread_join(partner, NULL);
    uint64_t ns = median(took, ROUNDS);
    return ns < AT_LEAST ? AT_LEAST : ns > AT_MOST ? AT_MOST : ns;
}
