#include "base/account.h"

#include "base/mem.h"

enum tern_code tern_account_new(uint64_t max, uint32_t n_tills, struct tern_account **ret_account,
                                struct tern_err *err)
{
    struct tern_account *account = tern_mem_alloc_aligned(TERN_CACHE_LINE, sizeof(*account));
    size_t size = n_tills * sizeof(struct tern_till);

    if (account == NULL)
        return tern_mem_fail(err, "the account of memory", sizeof(*account));
    *account = (struct tern_account){.n_tills = n_tills};
    account->tills = tern_mem_alloc_aligned(TERN_CACHE_LINE, size);
    if (account->tills == NULL) {
        tern_account_free(account);
        return tern_mem_fail(err, "the account of memory", size);
    }
    for (uint32_t i = 0; i < n_tills; i++)
        account->tills[i] = (struct tern_till){.account = account};
    tern_account_set_max(account, max);
    *ret_account = account;
    return TERN_OK;
}

void tern_account_free(struct tern_account *account)
{
    if (account == NULL)
        return;
    tern_mem_free(account->tills);
    tern_mem_free(account);
}

void tern_account_set_max(struct tern_account *account, uint64_t max)
{
    atomic_store_explicit(&account->max, max < INT64_MAX ? max : INT64_MAX, memory_order_relaxed);
}

struct tern_till *tern_account_till(struct tern_account *account, uint32_t index)
{
    return account == NULL ? NULL : &account->tills[index];
}

static int64_t used_of(const struct tern_account *account)
{
    return atomic_load_explicit(&account->used, memory_order_relaxed);
}

static int64_t max_of(const struct tern_account *account)
{
    return (int64_t)atomic_load_explicit(&account->max, memory_order_relaxed);
}

static bool refuse(struct tern_till *till)
{
    atomic_fetch_add_explicit(&till->refusals, 1, memory_order_relaxed);
    return false;
}

/* Whether n bytes more than `used` are above the limit, without a sum that could overflow. */
static bool is_above(int64_t used, size_t n, int64_t max)
{
    return used > max || n > (uint64_t)(max - used);
}

bool tern_till_has_room(struct tern_till *till, size_t n)
{
    if (till == NULL)
        return true;
    int64_t max = max_of(till->account);
    return !is_above(used_of(till->account), n, max - max / 10) || refuse(till);
}

/* A till that has gathered a grain, either way, hands it over. */
static void keep(struct tern_till *till, int64_t n)
{
    int64_t kept = atomic_fetch_add_explicit(&till->kept, n, memory_order_relaxed) + n;

    if (kept < (int64_t)TERN_ACCOUNT_GRAIN && kept > -(int64_t)TERN_ACCOUNT_GRAIN)
        return;
    kept = atomic_exchange_explicit(&till->kept, 0, memory_order_relaxed);
    atomic_fetch_add_explicit(&till->account->used, kept, memory_order_relaxed);
}

bool tern_till_take(struct tern_till *till, size_t n)
{
    if (till == NULL || n == 0)
        return true;
    struct tern_account *account = till->account;
    int64_t max = max_of(account);
    if (n < TERN_ACCOUNT_GRAIN) {
        if (is_above(used_of(account), n, max))
            return refuse(till);
        keep(till, (int64_t)n);
        return true;
    }
    if (n > INT64_MAX)
        return refuse(till);
    /* First charged, then judged: of two that come at once not both can slip through. */
    int64_t used = atomic_fetch_add_explicit(&account->used, (int64_t)n, memory_order_relaxed);
    if (!is_above(used, n, max))
        return true;
    atomic_fetch_sub_explicit(&account->used, (int64_t)n, memory_order_relaxed);
    return refuse(till);
}

void tern_till_give(struct tern_till *till, size_t n)
{
    if (till == NULL || n == 0)
        return;
    if (n < TERN_ACCOUNT_GRAIN)
        keep(till, -(int64_t)n);
    else
        atomic_fetch_sub_explicit(&till->account->used, (int64_t)n, memory_order_relaxed);
}

enum tern_code tern_till_fail(struct tern_err *err)
{
    return tern_fail_http(err, TERN_RESOURCE_EXHAUSTED, 503,
                          "the memory that requests may take is used up; try again");
}

uint64_t tern_account_used(const struct tern_account *account)
{
    int64_t used = used_of(account);

    for (uint32_t i = 0; i < account->n_tills; i++)
        used += atomic_load_explicit(&account->tills[i].kept, memory_order_relaxed);
    return used > 0 ? (uint64_t)used : 0;
}

uint64_t tern_account_refusals(const struct tern_account *account)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < account->n_tills; i++)
        sum += atomic_load_explicit(&account->tills[i].refusals, memory_order_relaxed);
    return sum;
}
