#include "sched/cache_shared.h"

#include <string.h>
#include "base/mem.h"
#include "base/version.h"
#include "registry/content.h"
#include "sched/cache_key.h"

#define MAGIC       0x314e5254u /* "TRN1" */
#define HEAD_BYTES  32u
#define SHAPE_BYTES 24u /* of an output, but for its dimensions and bytes */

/* ---- names ---- */

static void put_text(struct tern_blake2b *hash, struct tern_str text)
{
    uint64_t n = text.n;

    tern_blake2b_add(hash, &n, sizeof(n));
    tern_blake2b_add(hash, text.p, text.n);
}

bool tern_cache_shared_begin(const struct tern_model_version *version,
                             struct tern_blake2b *ret_begin)
{
    if (version->content == NULL)
        return false;
    tern_blake2b_init(ret_begin);
    put_text(ret_begin, TERN_STR(TERN_VERSION));
    put_text(ret_begin, version->info.name);
    tern_blake2b_add(ret_begin, &version->info.version, sizeof(version->info.version));
    tern_blake2b_add(ret_begin, version->content, TERN_CONTENT_SIZE);
    return true;
}

struct hashing {
    struct tern_cache_pieces base;
    struct tern_blake2b hash;
};

static void take(struct tern_cache_pieces *self, const void *p, size_t n)
{
    tern_blake2b_add(&TERN_CONTAINER_OF(self, struct hashing, base)->hash, p, n);
}

bool tern_cache_shared_key_make(const struct tern_blake2b *begin, const struct tern_engine_run *run,
                                struct tern_cache_shared_key *ret_key)
{
    static const char digits[] = "0123456789abcdef";
    struct hashing hashing = {.base = {take}, .hash = *begin};
    unsigned char sum[TERN_BLAKE2B_SIZE];
    char *at = ret_key->name;

    if (!tern_cache_key_write(run, &hashing.base))
        return false;
    tern_blake2b_end(&hashing.hash, sum);
    memcpy(at, "tern:1:", 7);
    at += 7;
    for (int i = 0; i < 16; i++) {
        *at++ = digits[sum[i] >> 4];
        *at++ = digits[sum[i] & 15];
    }
    *at = '\0';
    memcpy(ret_key->check, sum + 16, sizeof(ret_key->check));
    return true;
}

/* ---- writing ---- */

static bool add(size_t *sum, size_t n)
{
    return !__builtin_add_overflow(*sum, n, sum);
}

static bool measure(const struct tern_engine_run *run, size_t *ret_n)
{
    size_t n = HEAD_BYTES;

    for (uint32_t i = 0; i < run->n_outputs; i++) {
        if (!add(&n, SHAPE_BYTES + (size_t)run->outputs[i].shape.rank * sizeof(int64_t)) ||
            !add(&n, run->outputs[i].n_bytes))
            return false;
    }
    *ret_n = n;
    return true;
}

static char *put(char *at, const void *p, size_t n)
{
    if (n > 0)
        memcpy(at, p, n);
    return at + n;
}

static char *put_u32(char *at, uint32_t v)
{
    return put(at, &v, sizeof(v));
}

static char *put_u64(char *at, uint64_t v)
{
    return put(at, &v, sizeof(v));
}

char *tern_cache_shared_write(const struct tern_cache_shared_key *key,
                              const struct tern_engine_run *run, size_t max, size_t *ret_n)
{
    size_t n = 0;
    char *value = measure(run, &n) && n <= max ? tern_mem_alloc(n) : NULL;

    if (value == NULL)
        return NULL;
    char *at = put_u32(value, MAGIC);
    at = put_u32(at, run->n_outputs);
    at = put(at, key->check, sizeof(key->check));
    at = put_u64(at, n);
    for (uint32_t i = 0; i < run->n_outputs; i++) {
        const struct tern_tensor *output = &run->outputs[i];
        at = put_u32(at, run->output_spec[i]);
        at = put_u32(at, (uint32_t)output->dtype);
        at = put_u64(at, (uint64_t)output->shape.rank);
        at = put(at, output->shape.dim, (size_t)output->shape.rank * sizeof(int64_t));
        at = put_u64(at, output->n_bytes);
        at = put(at, output->data, output->n_bytes);
    }
    *ret_n = n;
    return value;
}

/* ---- reading ---- */

static bool get(struct tern_str *rest, void *dst, size_t n)
{
    if (n > rest->n)
        return false;
    if (n > 0)
        memcpy(dst, rest->p, n);
    *rest = tern_str_from(*rest, n);
    return true;
}

/* Whether the bytes are as many as type and shape say. */
static bool is_whole(const struct tern_tensor *output)
{
    size_t n;

    if (output->dtype != TERN_DTYPE_BYTES)
        return tern_shape_bytes(output->name, output->dtype, &output->shape, &n, NULL) == TERN_OK &&
               n == output->n_bytes;
    return tern_shape_count(&output->shape, &n) &&
           tern_tensor_check_bytes(output->name, output->data, output->n_bytes, n, NULL) == TERN_OK;
}

static bool get_output(struct tern_str *rest, const struct tern_model_version *version,
                       uint32_t *ret_spec, struct tern_tensor *ret_output)
{
    struct tern_tensor output = {0};
    uint32_t spec = 0, dtype = 0;
    uint64_t rank = 0, n_bytes = 0;

    if (!get(rest, &spec, sizeof(spec)) || !get(rest, &dtype, sizeof(dtype)) ||
        !get(rest, &rank, sizeof(rank)) || rank > TERN_RANK_MAX ||
        !get(rest, output.shape.dim, (size_t)rank * sizeof(int64_t)) ||
        !get(rest, &n_bytes, sizeof(n_bytes)) || n_bytes > rest->n)
        return false;
    if (spec >= version->info.n_outputs || dtype != (uint32_t)version->info.outputs[spec].dtype)
        return false;
    output.name = version->info.outputs[spec].name;
    output.dtype = version->info.outputs[spec].dtype;
    output.shape.rank = (int)rank;
    output.data =
        (char *)(uintptr_t)rest->p; /* nobody writes there; NULL at the end, for 0 bytes */
    output.n_bytes = (size_t)n_bytes;
    *rest = tern_str_from(*rest, (size_t)n_bytes);
    *ret_spec = spec;
    *ret_output = output;
    return is_whole(&output);
}

static uint32_t place_of(const struct tern_engine_run *run, uint32_t spec)
{
    uint32_t i = 0;

    while (i < run->n_outputs && run->output_spec[i] != spec)
        i++;
    return i;
}

bool tern_cache_shared_read(const struct tern_cache_shared_key *key, struct tern_str value,
                            const struct tern_model_version *version,
                            const struct tern_engine_run *run, struct tern_tensor *outputs)
{
    unsigned char check[sizeof(key->check)];
    struct tern_str rest = value;
    uint32_t magic = 0, n = 0, spec = 0;
    uint64_t size = 0;
    struct tern_tensor output;

    if (!get(&rest, &magic, sizeof(magic)) || magic != MAGIC || !get(&rest, &n, sizeof(n)) ||
        !get(&rest, check, sizeof(check)) || !get(&rest, &size, sizeof(size)))
        return false;
    if (n != run->n_outputs || size != value.n || memcmp(check, key->check, sizeof(check)) != 0)
        return false;
    memset(outputs, 0, n * sizeof(*outputs));
    for (uint32_t i = 0; i < n; i++) {
        if (!get_output(&rest, version, &spec, &output))
            return false;
        uint32_t at = place_of(run, spec);
        if (at == n || outputs[at].dtype != TERN_DTYPE_INVALID)
            return false; /* not wanted, or twice */
        outputs[at] = output;
    }
    return rest.n == 0;
}
