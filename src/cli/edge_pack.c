#include "cli/edge_pack.h"

#include <zlib.h>
#include "base/buf.h"
#include "base/mem.h"
#include "base/num.h"
#include "os/scratch.h"

#define UNPACKED_MAX (4u << 20)

static enum tern_code inflate_all(char *out, size_t cap, size_t *ret_n, struct tern_err *err)
{
    z_stream stream = {
        .next_in = (unsigned char *)(uintptr_t)tern_edge_pack,
        .avail_in = (unsigned)tern_edge_pack_bytes,
        .next_out = (unsigned char *)out,
        .avail_out = (unsigned)cap,
    };
    int code = inflateInit2(&stream, 15 + 16); /* gzip */

    if (code == Z_OK) {
        code = inflate(&stream, Z_FINISH);
        *ret_n = stream.total_out;
        inflateEnd(&stream);
    }
    if (code != Z_STREAM_END)
        return tern_fail(err, TERN_INTERNAL, "the packed sources cannot be read (zlib: %d)", code);
    return TERN_OK;
}

/* "kind path bytes" of a line. */
struct entry {
    struct tern_str kind, path;
    size_t n;
};

static bool read_entry(struct tern_str line, struct entry *ret)
{
    struct tern_str bytes;
    uint64_t n = 0;

    if (!tern_str_split(&line, ' ', &ret->kind) || !tern_str_split(&line, ' ', &ret->path) ||
        !tern_str_split(&line, ' ', &bytes) || !tern_num_parse_u64(bytes, UNPACKED_MAX, &n))
        return false;
    ret->n = (size_t)n;
    return true;
}

static bool is_used(const struct tern_native_emitted *model, struct tern_str path)
{
    for (uint32_t i = 0; i < model->n_sources; i++) {
        struct tern_str name = model->sources[i];
        if (tern_str_ends(path, name) && path.n > name.n && path.p[path.n - name.n - 1] == '/')
            return true;
    }
    return false;
}

static void add_source(struct tern_buf *sources, struct tern_str path)
{
    tern_buf_add_char(sources, ' ');
    tern_buf_add_str(sources, path);
}

/* shared: what is compiled if any operator's source is. */
static enum tern_code write_files(struct tern_str rest, const char *folder,
                                  const struct tern_native_emitted *model, struct tern_buf *sources,
                                  struct tern_buf *shared, bool *ret_shares, struct tern_err *err)
{
    while (rest.n > 0) {
        struct tern_str line = tern_str_make(rest.p, tern_str_find(rest, '\n'));
        struct entry entry;
        if (!read_entry(line, &entry) || entry.n >= rest.n - line.n)
            return tern_fail(err, TERN_INTERNAL, "the packed sources are damaged");
        rest = tern_str_from(rest, line.n + 1);
        TERN_TRY(tern_scratch_write(folder, entry.path, tern_str_make(rest.p, entry.n), err));
        rest = tern_str_from(rest, entry.n);
        bool is_operator = tern_str_eq(entry.kind, TERN_STR("operator"));
        if (is_operator && is_used(model, entry.path))
            *ret_shares = true;
        if (tern_str_eq(entry.kind, TERN_STR("core")) ||
            (is_operator && is_used(model, entry.path)))
            add_source(sources, entry.path);
        else if (tern_str_eq(entry.kind, TERN_STR("shared")))
            add_source(shared, entry.path);
    }
    return TERN_OK;
}

enum tern_code tern_edge_unpack(const char *folder, const struct tern_native_emitted *model,
                                struct tern_arena *arena, struct tern_str *ret_sources,
                                struct tern_err *err)
{
    char *bytes = tern_mem_alloc(UNPACKED_MAX);
    struct tern_buf sources, shared;
    bool shares = false;
    size_t n = 0;

    if (bytes == NULL)
        return tern_mem_fail(err, "the packed sources", UNPACKED_MAX);
    tern_buf_init(&sources, 1u << 16);
    tern_buf_init(&shared, 1u << 16);
    enum tern_code code = inflate_all(bytes, UNPACKED_MAX, &n, err);
    if (code == TERN_OK)
        code = write_files(tern_str_make(bytes, n), folder, model, &sources, &shared, &shares, err);
    if (code == TERN_OK) {
        if (shares)
            tern_buf_add_str(&sources, tern_buf_str(&shared));
        *ret_sources = tern_arena_copy(arena, tern_buf_str(&sources));
        if (ret_sources->p == NULL)
            code = tern_arena_fail(arena, err, "the names of sources");
    }
    tern_buf_fini(&sources);
    tern_buf_fini(&shared);
    tern_mem_free(bytes);
    return code;
}
