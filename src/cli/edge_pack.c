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

/* "path bytes" of a line. */
static bool read_entry(struct tern_str line, struct tern_str *ret_path, size_t *ret_n)
{
    size_t space = tern_str_find(line, ' ');
    uint64_t n = 0;

    *ret_path = tern_str_make(line.p, space);
    if (space == line.n || !tern_num_parse_u64(tern_str_from(line, space + 1), UNPACKED_MAX, &n))
        return false;
    *ret_n = (size_t)n;
    return true;
}

static bool is_compiled(struct tern_str path)
{
    return tern_str_ends(path, TERN_STR(".c")) && !tern_str_ends(path, TERN_STR("edge/main.c"));
}

static enum tern_code write_files(struct tern_str rest, const char *folder,
                                  struct tern_buf *sources, struct tern_err *err)
{
    while (rest.n > 0) {
        struct tern_str line = tern_str_make(rest.p, tern_str_find(rest, '\n')), path;
        size_t n;
        if (!read_entry(line, &path, &n) || n >= rest.n - line.n)
            return tern_fail(err, TERN_INTERNAL, "the packed sources are damaged");
        rest = tern_str_from(rest, line.n + 1);
        TERN_TRY(tern_scratch_write(folder, path, tern_str_make(rest.p, n), err));
        rest = tern_str_from(rest, n);
        if (!is_compiled(path))
            continue;
        tern_buf_add_char(sources, ' ');
        tern_buf_add_str(sources, path);
    }
    return TERN_OK;
}

enum tern_code tern_edge_unpack(const char *folder, struct tern_arena *arena,
                                struct tern_str *ret_sources, struct tern_err *err)
{
    char *bytes = tern_mem_alloc(UNPACKED_MAX);
    struct tern_buf sources;
    size_t n = 0;

    if (bytes == NULL)
        return tern_mem_fail(err, "the packed sources", UNPACKED_MAX);
    tern_buf_init(&sources, 1u << 16);
    enum tern_code code = inflate_all(bytes, UNPACKED_MAX, &n, err);
    if (code == TERN_OK)
        code = write_files(tern_str_make(bytes, n), folder, &sources, err);
    if (code == TERN_OK) {
        *ret_sources = tern_arena_copy(arena, tern_buf_str(&sources));
        if (ret_sources->p == NULL)
            code = tern_arena_fail(arena, err, "the names of sources");
    }
    tern_buf_fini(&sources);
    tern_mem_free(bytes);
    return code;
}
