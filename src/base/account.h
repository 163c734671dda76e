/* How much memory the requests of the whole server hold, charged before it is taken. Each loop has
 * a till of its own: small sums stay there until they have become a grain, so that small requests
 * of different loops share no cache line; what is known is exact to a grain a till. Large sums go
 * to the account at once. A till may be used from any thread.
 *
 * Nothing is refused below the limit. What is new (a body that has not begun) is refused above nine
 * tenths of it: the last tenth is for what was begun. */
#ifndef TERN_BASE_ACCOUNT_H
#define TERN_BASE_ACCOUNT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/compiler.h"
#include "base/err.h"

#define TERN_ACCOUNT_GRAIN (256u << 10)

struct tern_account;

struct tern_till {
    TERN_ALIGNED(TERN_CACHE_LINE) struct tern_account *account;
    _Atomic int64_t kept; /* not yet in account->used; negative: given back */
    _Atomic uint64_t refusals;
};

struct tern_account {
    TERN_ALIGNED(TERN_CACHE_LINE) _Atomic int64_t used;
    TERN_ALIGNED(TERN_CACHE_LINE) _Atomic uint64_t max; /* bytes */
    struct tern_till *tills;                            /* owned; one a loop */
    uint32_t n_tills;
};

enum tern_code tern_account_new(uint64_t max, uint32_t n_tills, struct tern_account **ret_account,
                                struct tern_err *err);
/* Nothing may be charged any more. */
void tern_account_free(struct tern_account *account);
/* Another limit from now on. Any thread. */
void tern_account_set_max(struct tern_account *account, uint64_t max);
/* account NULL: NULL. */
struct tern_till *tern_account_till(struct tern_account *account, uint32_t index);

/* Whether something new of that size would have room now; nothing is charged. till NULL: always. */
bool tern_till_has_room(struct tern_till *till, size_t n);
/* Charges n more bytes for what was begun. False: it would be above the limit, nothing is charged.
 * till NULL: nothing is counted. */
TERN_MUST_USE bool tern_till_take(struct tern_till *till, size_t n);
void tern_till_give(struct tern_till *till, size_t n);

/* The one wording of "there is no room": RESOURCE_EXHAUSTED, HTTP 503. */
enum tern_code tern_till_fail(struct tern_err *err) TERN_COLD;

/* For metrics: bytes charged now, to the byte when nothing moves; how often it was refused. */
uint64_t tern_account_used(const struct tern_account *account);
uint64_t tern_account_refusals(const struct tern_account *account);

#endif
