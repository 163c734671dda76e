#include "net/peers.h"

#include "base/hash.h"

bool tern_peers_enter(struct tern_peers *peers, uint64_t network, uint32_t *ret_slot)
{
    char key[sizeof(network)];

    memcpy(key, &network, sizeof(key));
    uint64_t hash = tern_hash_bytes(tern_str_make(key, sizeof(key)), peers->seed);
    uint32_t slot = (uint32_t)(hash % TERN_PEERS_SLOTS);
    if (atomic_fetch_add_explicit(&peers->counts[slot], 1, memory_order_relaxed) >= peers->max) {
        tern_peers_leave(peers, slot);
        return false;
    }
    *ret_slot = slot;
    return true;
}

void tern_peers_leave(struct tern_peers *peers, uint32_t slot)
{
    atomic_fetch_sub_explicit(&peers->counts[slot], 1, memory_order_relaxed);
}
