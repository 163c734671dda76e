#include "registry/snapshot.h"

#include "base/hash.h"

static uint32_t first_slot(const struct tern_snapshot *snapshot, struct tern_str name)
{
    return (uint32_t)tern_hash_bytes(name, 0) & snapshot->table_mask;
}

enum tern_code tern_snapshot_seal(struct tern_snapshot *snapshot, struct tern_err *err)
{
    uint32_t size = 8;

    while (size < snapshot->n_models * 2)
        size *= 2;
    snapshot->table = tern_arena_zalloc(&snapshot->arena, size, sizeof(uint32_t));
    if (snapshot->table == NULL)
        return tern_arena_fail(&snapshot->arena, err, "the table of models");
    snapshot->table_mask = size - 1;
    for (uint32_t i = 0; i < snapshot->n_models; i++) {
        uint32_t slot = first_slot(snapshot, snapshot->models[i].name);
        while (snapshot->table[slot] != 0)
            slot = (slot + 1) & snapshot->table_mask;
        snapshot->table[slot] = i + 1;
    }
    return TERN_OK;
}

const struct tern_model_entry *tern_snapshot_find(const struct tern_snapshot *snapshot,
                                                  struct tern_str name)
{
    for (uint32_t slot = first_slot(snapshot, name); snapshot->table[slot] != 0;
         slot = (slot + 1) & snapshot->table_mask) {
        const struct tern_model_entry *entry = &snapshot->models[snapshot->table[slot] - 1];
        if (tern_str_eq(entry->name, name))
            return entry;
    }
    return NULL;
}

struct tern_model_version *tern_snapshot_version(const struct tern_model_entry *entry,
                                                 int64_t version)
{
    if (entry->n_versions == 0)
        return NULL;
    if (version == 0)
        return entry->versions[entry->n_versions - 1];
    for (uint32_t i = 0; i < entry->n_versions; i++) {
        if (entry->numbers[i] == version)
            return entry->versions[i];
    }
    return NULL;
}

static void let_go(struct tern_model_version *version)
{
    if (atomic_fetch_sub_explicit(&version->loops_holding, 1, memory_order_acq_rel) == 1)
        version->home->come_home(version->home, version);
}

void tern_version_unpin(struct tern_model_version *version, uint32_t loop)
{
    struct tern_pins *pins = &version->pins[loop];

    if (--pins->count == 0 && pins->retired)
        let_go(version);
}

void tern_version_retire(struct tern_model_version *version, uint32_t loop)
{
    struct tern_pins *pins = &version->pins[loop];

    pins->retired = true;
    if (pins->count == 0)
        let_go(version);
}
