/* Writes ZIP archives for tests: members stored or deflated, the directory after them. */
#ifndef TERN_TESTS_ZIP_WRITE_H
#define TERN_TESTS_ZIP_WRITE_H

#include <stdlib.h>
#include <zlib.h>
#include "base/buf.h"

struct zip_write {
    struct tern_buf file, directory;
    unsigned n;
};

static inline void zip_begin(struct zip_write *w)
{
    tern_buf_init(&w->file, 256u << 20);
    tern_buf_init(&w->directory, 256u << 20);
    w->n = 0;
}

static inline void zip_free(struct zip_write *w)
{
    tern_buf_fini(&w->file);
    tern_buf_fini(&w->directory);
}

static inline void zip_number(struct tern_buf *to, uint64_t v, int bytes)
{
    for (int i = 0; i < bytes; i++)
        tern_buf_add_char(to, (char)(i < 8 ? v >> (8 * i) : 0));
}

/* What the local header and the directory have in common, from the needed version on. */
static inline void zip_facts(struct tern_buf *to, struct tern_str name, uint32_t crc, size_t packed,
                             size_t size, bool deflated)
{
    zip_number(to, 20, 2);
    zip_number(to, 0, 2);
    zip_number(to, deflated ? 8 : 0, 2);
    zip_number(to, 0, 4);
    zip_number(to, crc, 4);
    zip_number(to, packed, 4);
    zip_number(to, size, 4);
    zip_number(to, name.n, 2);
    zip_number(to, 0, 2);
}

static inline struct tern_str zip_deflate(struct tern_str bytes)
{
    z_stream z = {0};
    if (deflateInit2(&z, 9, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        abort();
    size_t room = deflateBound(&z, bytes.n);
    char *to = malloc(room);
    if (to == NULL)
        abort();
    z.next_in = (unsigned char *)(uintptr_t)bytes.p;
    z.avail_in = (unsigned)bytes.n;
    z.next_out = (unsigned char *)to;
    z.avail_out = (unsigned)room;
    if (deflate(&z, Z_FINISH) != Z_STREAM_END)
        abort();
    deflateEnd(&z);
    return tern_str_make(to, z.total_out);
}

static inline void zip_add(struct zip_write *w, const char *member, struct tern_str bytes,
                           bool deflated)
{
    struct tern_str name = tern_str_of(member);
    struct tern_str packed = deflated ? zip_deflate(bytes) : bytes;
    uint32_t crc = (uint32_t)crc32_z(0, (const unsigned char *)bytes.p, bytes.n);
    size_t at = w->file.n;

    tern_buf_add(&w->file, "PK\3\4", 4);
    zip_facts(&w->file, name, crc, packed.n, bytes.n, deflated);
    tern_buf_add_str(&w->file, name);
    tern_buf_add_str(&w->file, packed);
    tern_buf_add(&w->directory, "PK\1\2\24\0", 6);
    zip_facts(&w->directory, name, crc, packed.n, bytes.n, deflated);
    zip_number(&w->directory, 0, 10); /* comment, disk, attributes */
    zip_number(&w->directory, at, 4);
    tern_buf_add_str(&w->directory, name);
    w->n++;
    if (deflated)
        free((void *)(uintptr_t)packed.p);
}

static inline struct tern_str zip_end(struct zip_write *w)
{
    size_t at = w->file.n;

    tern_buf_add_str(&w->file, tern_buf_str(&w->directory));
    tern_buf_add(&w->file, "PK\5\6\0\0\0\0", 8);
    zip_number(&w->file, w->n, 2);
    zip_number(&w->file, w->n, 2);
    zip_number(&w->file, w->directory.n, 4);
    zip_number(&w->file, at, 4);
    zip_number(&w->file, 0, 2);
    if (w->file.failed || w->directory.failed)
        abort();
    return tern_buf_str(&w->file);
}

#endif
