#include "wire/zip.h"

#define ZLIB_CONST
#include <zlib.h>
#include "base/hash.h"
#include "wire/codec_mem.h"

/* Records and the bytes of their fixed parts. */
#define LOCAL        "PK\x03\x04"
#define LOCAL_N      30
#define CENTRAL      "PK\x01\x02"
#define CENTRAL_N    46
#define END          "PK\x05\x06"
#define END_N        22
#define LOCATOR      "PK\x06\x07"
#define LOCATOR_N    20
#define END64        "PK\x06\x06"
#define END64_N      56
#define COMMENT_MAX  65535
#define EXTRA_ZIP64  1
#define DEFLATED     8
#define FLAGS_SECRET (1u | 1u << 6 | 1u << 13) /* encrypted members, or an encrypted directory */
#define EXPANDS_MAX  1032                      /* bytes that deflate can make of one */
#define WINDOW_RAW   (-15)

/* Where the central directory lies. */
struct directory {
    uint64_t at, size, n;
};

static uint32_t u16(const char *p)
{
    const unsigned char *b = (const unsigned char *)p;
    return b[0] | (uint32_t)b[1] << 8;
}

static uint32_t u32(const char *p)
{
    return u16(p) | u16(p + 2) << 16;
}

static uint64_t u64(const char *p)
{
    return u32(p) | (uint64_t)u32(p + 4) << 32;
}

bool tern_zip_is(struct tern_str head)
{
    return tern_str_starts(head, TERN_STR(LOCAL));
}

/* The record that begins at `at` and has n bytes at least; NULL: the file has none there. */
static const char *record(struct tern_str file, uint64_t at, const char *mark, size_t n)
{
    if (at > file.n || file.n - at < n)
        return NULL;
    struct tern_str rest = tern_str_make(file.p + at, n);
    return tern_str_starts(rest, tern_str_of(mark)) ? rest.p : NULL;
}

/* ---- the end of the file ---- */

/* The last record, which a comment may follow. */
static const char *find_end(struct tern_str file)
{
    for (size_t back = END_N; back <= file.n && back <= END_N + COMMENT_MAX; back++) {
        const char *end = record(file, file.n - back, END, END_N);
        if (end != NULL && u16(end + 20) == back - END_N)
            return end;
    }
    return NULL;
}

/* What does not fit into the record is said by another one, which lies before it. */
static enum tern_code read_end64(struct tern_str file, size_t end_at, struct directory *dir,
                                 struct tern_err *err)
{
    const char *locator =
        end_at < LOCATOR_N ? NULL : record(file, end_at - LOCATOR_N, LOCATOR, LOCATOR_N);
    const char *end = locator == NULL ? NULL : record(file, u64(locator + 8), END64, END64_N);

    if (end == NULL)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "ZIP: expected the record of a large archive (Zip64) before the last");
    if (u32(end + 16) != 0 || u32(end + 20) != 0 || u64(end + 24) != u64(end + 32))
        return tern_fail(err, TERN_UNIMPLEMENTED, "ZIP: an archive of several disks");
    *dir = (struct directory){.at = u64(end + 48), .size = u64(end + 40), .n = u64(end + 32)};
    return TERN_OK;
}

static enum tern_code find_directory(struct tern_str file, struct directory *dir,
                                     struct tern_err *err)
{
    const char *end = find_end(file);

    if (end == NULL)
        return tern_fail(
            err, TERN_INVALID_ARGUMENT,
            "ZIP: no end of the central directory: the file is cut off, or no archive");
    size_t end_at = (size_t)(end - file.p);
    *dir = (struct directory){.at = u32(end + 16), .size = u32(end + 12), .n = u16(end + 10)};
    if (dir->at == UINT32_MAX || dir->size == UINT32_MAX || dir->n == UINT16_MAX)
        TERN_TRY(read_end64(file, end_at, dir, err));
    else if (u16(end + 4) != 0 || u16(end + 6) != 0 || u16(end + 8) != u16(end + 10))
        return tern_fail(err, TERN_UNIMPLEMENTED, "ZIP: an archive of several disks");
    if (dir->at > end_at || dir->size > end_at - dir->at || dir->n > dir->size / CENTRAL_N)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "ZIP: a directory of %llu members in %llu bytes at %llu does not fit into "
                         "the file's %zu",
                         (unsigned long long)dir->n, (unsigned long long)dir->size,
                         (unsigned long long)dir->at, file.n);
    return TERN_OK;
}

/* ---- members ---- */

static enum tern_code fail_member(const struct tern_zip_member *member, enum tern_code code,
                                  const char *what, struct tern_err *err)
{
    return tern_fail(err, code, "ZIP: member '%.*s': %s",
                     (int)(member->name.n > 128 ? 128 : member->name.n), member->name.p, what);
}

#ifdef __clang_analyzer__
#define fail_member(member, code, what, err) ((void)fail_member(member, code, what, err), (code))
#endif

/* The numbers of a Zip64 extra field stand in this order, those that the entry has no room for. */
static bool read_extra64(struct tern_str extra, uint64_t *numbers[3])
{
    while (extra.n >= 4) {
        size_t n = u16(extra.p + 2);
        struct tern_str body = tern_str_make(extra.p + 4, extra.n - 4);
        if (n > body.n)
            return false;
        if (u16(extra.p) == EXTRA_ZIP64) {
            body.n = n;
            for (int i = 0; i < 3; i++) {
                if (*numbers[i] != UINT32_MAX)
                    continue;
                if (body.n < 8)
                    return false;
                *numbers[i] = u64(body.p);
                body = tern_str_make(body.p + 8, body.n - 8);
            }
            return true;
        }
        extra = tern_str_make(body.p + n, body.n - n);
    }
    return true;
}

/* Finds the packed bytes behind the local header, which has to say the same name and method. */
static enum tern_code find_packed(struct tern_str file, uint64_t at, uint64_t packed,
                                  uint32_t method, struct tern_zip_member *member,
                                  struct tern_err *err)
{
    const char *local = record(file, at, LOCAL, LOCAL_N);

    if (local == NULL)
        return fail_member(member, TERN_INVALID_ARGUMENT, "its place has no local header", err);
    size_t name_n = u16(local + 26), skip = name_n + u16(local + 28);
    struct tern_str rest = tern_str_from(file, (size_t)at + LOCAL_N);
    if (skip > rest.n || packed > rest.n - skip)
        return fail_member(member, TERN_INVALID_ARGUMENT, "it goes beyond the file", err);
    if (u16(local + 8) != method || !tern_str_eq(tern_str_make(rest.p, name_n), member->name))
        return fail_member(member, TERN_INVALID_ARGUMENT,
                           "its local header differs from the directory", err);
    member->packed = tern_str_make(rest.p + skip, (size_t)packed);
    return TERN_OK;
}

/* One entry of the directory; *at is moved behind it. `end` is where the directory ends. */
static enum tern_code read_entry(struct tern_str file, size_t end, size_t *at,
                                 struct tern_zip_member *member, struct tern_err *err)
{
    const char *p = *at > end ? NULL : record(tern_str_make(file.p, end), *at, CENTRAL, CENTRAL_N);

    if (p == NULL)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "ZIP: expected an entry of the directory at byte %zu", *at);
    uint64_t packed = u32(p + 20), size = u32(p + 24), local = u32(p + 42);
    size_t name_n = u16(p + 28), extra_n = u16(p + 30), comment_n = u16(p + 32);
    if (name_n + extra_n + comment_n > end - *at - CENTRAL_N)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "ZIP: the directory's entry at byte %zu goes beyond its end", *at);
    uint32_t flags = u16(p + 8), method = u16(p + 10);
    *member = (struct tern_zip_member){
        .name = {p + CENTRAL_N, name_n}, .crc = u32(p + 16), .is_deflated = method == DEFLATED};
    if ((flags & FLAGS_SECRET) != 0)
        return fail_member(member, TERN_UNIMPLEMENTED, "it is encrypted", err);
    if (method != 0 && method != DEFLATED)
        return fail_member(member, TERN_UNIMPLEMENTED,
                           "its compression is neither 'stored' nor 'deflated'", err);
    if (!read_extra64(tern_str_make(p + CENTRAL_N + name_n, extra_n),
                      (uint64_t *[]){&size, &packed, &local}))
        return fail_member(member, TERN_INVALID_ARGUMENT, "its extra fields are malformed", err);
    if (method == 0 ? size != packed : size > EXPANDS_MAX * packed)
        return fail_member(member, TERN_INVALID_ARGUMENT, "no bytes unpack to the size it has",
                           err);
    member->size = (size_t)size;
    *at += CENTRAL_N + name_n + extra_n + comment_n;
    return find_packed(file, local, packed, method, member, err);
}

static enum tern_code check_sizes(struct tern_str file, const struct tern_zip *zip,
                                  const struct tern_zip_limits *limits, struct tern_err *err)
{
    size_t packed = 0, size = 0;

    for (uint32_t i = 0; i < zip->n_members; i++) {
        packed += zip->members[i].packed.n;
        if (packed > file.n)
            return fail_member(&zip->members[i], TERN_INVALID_ARGUMENT,
                               "members share the same bytes", err);
        size += zip->members[i].size; /* at most EXPANDS_MAX times what is in memory */
    }
    if (size > limits->bytes)
        return tern_fail(err, TERN_RESOURCE_EXHAUSTED,
                         "ZIP: the members unpack to %zu bytes, at most %zu are allowed", size,
                         limits->bytes);
    if (size > TERN_ZIP_RATIO_FLOOR && size / limits->ratio > file.n)
        return tern_fail(err, TERN_RESOURCE_EXHAUSTED,
                         "ZIP: %zu bytes unpack to %zu, more than %u times as many", file.n, size,
                         limits->ratio);
    return TERN_OK;
}

/* ---- names ---- */

static uint32_t *slot_of(const struct tern_zip *zip, struct tern_str name)
{
    uint32_t at = (uint32_t)tern_hash_bytes(name, 0) & zip->mask;

    while (zip->slots[at] != 0 && !tern_str_eq(zip->members[zip->slots[at] - 1].name, name))
        at = (at + 1) & zip->mask;
    return &zip->slots[at];
}

static enum tern_code name_members(struct tern_zip *zip, struct tern_arena *arena,
                                   struct tern_err *err)
{
    uint32_t size = 16;

    while (size / 2 < zip->n_members)
        size *= 2;
    zip->mask = size - 1;
    zip->slots = tern_arena_zalloc(arena, size, sizeof(*zip->slots));
    if (zip->slots == NULL)
        return tern_arena_fail(arena, err, "an archive's names");
    for (uint32_t i = 0; i < zip->n_members; i++) {
        uint32_t *slot = slot_of(zip, zip->members[i].name);
        if (*slot != 0)
            return fail_member(&zip->members[i], TERN_INVALID_ARGUMENT, "two have this name", err);
        *slot = i + 1;
    }
    return TERN_OK;
}

enum tern_code tern_zip_open(struct tern_str file, const struct tern_zip_limits *limits,
                             struct tern_arena *arena, struct tern_zip *ret_zip,
                             struct tern_err *err)
{
    struct directory dir = {0};
    struct tern_zip zip = {0};

    TERN_TRY(find_directory(file, &dir, err));
    if (dir.n > limits->members || dir.n > UINT32_MAX / 4)
        return tern_fail(err, TERN_RESOURCE_EXHAUSTED, "ZIP: %llu members, at most %u are allowed",
                         (unsigned long long)dir.n, limits->members);
    zip.members = tern_arena_zalloc(arena, (size_t)dir.n + 1, sizeof(*zip.members));
    if (zip.members == NULL)
        return tern_arena_fail(arena, err, "an archive's members");
    size_t at = (size_t)dir.at, end = at + (size_t)dir.size;
    for (; zip.n_members < dir.n; zip.n_members++)
        TERN_TRY(read_entry(file, end, &at, &zip.members[zip.n_members], err));
    if (at != end)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "ZIP: the directory goes on after its %u members", zip.n_members);
    TERN_TRY(check_sizes(file, &zip, limits, err));
    TERN_TRY(name_members(&zip, arena, err));
    *ret_zip = zip;
    return TERN_OK;
}

const struct tern_zip_member *tern_zip_find(const struct tern_zip *zip, struct tern_str name)
{
    uint32_t number = *slot_of(zip, name);

    return number == 0 ? NULL : &zip->members[number - 1];
}

/* ---- reading ---- */

/* zlib counts in 32 bits; answers the library's last code. */
static int inflate_all(z_stream *z, struct tern_str packed, char *to, size_t size)
{
    int code = Z_OK;

    z->next_in = (const unsigned char *)packed.p;
    z->next_out = (unsigned char *)to;
    while (code == Z_OK) {
        size_t in = packed.n - (size_t)((const char *)z->next_in - packed.p);
        size_t out = size - (size_t)((char *)z->next_out - to);
        z->avail_in = in > UINT32_MAX ? UINT32_MAX : (unsigned)in;
        z->avail_out = out > UINT32_MAX ? UINT32_MAX : (unsigned)out;
        code = inflate(z, Z_NO_FLUSH);
    }
    bool is_whole =
        (const char *)z->next_in == packed.p + packed.n && (const char *)z->next_out == to + size;
    return code == Z_STREAM_END && !is_whole ? Z_DATA_ERROR : code;
}

static enum tern_code unpack(const struct tern_zip_member *member, char *to, struct tern_err *err)
{
    z_stream z = {.zalloc = tern_codec_mem_zalloc, .zfree = tern_codec_mem_free};

    if (inflateInit2(&z, WINDOW_RAW) != Z_OK)
        return tern_mem_fail(err, "a decompressor", 1u << 15);
    int code = inflate_all(&z, member->packed, to, member->size);
    inflateEnd(&z);
    if (code == Z_MEM_ERROR)
        return tern_mem_fail(err, "a decompressor", 1u << 15);
    if (code != Z_STREAM_END)
        return fail_member(member, TERN_INVALID_ARGUMENT,
                           "its compressed bytes are damaged, or of another size than is said",
                           err);
    return TERN_OK;
}

enum tern_code tern_zip_read(const struct tern_zip_member *member, struct tern_arena *arena,
                             struct tern_str *ret_bytes, struct tern_err *err)
{
    struct tern_str bytes = member->packed;

    if (member->is_deflated) {
        char *to = tern_arena_alloc(arena, 64, member->size + TERN_ZIP_PAD);
        if (to == NULL)
            return tern_arena_fail(arena, err, "a member of an archive");
        memset(to + member->size, 0, TERN_ZIP_PAD);
        TERN_TRY(unpack(member, to, err));
        bytes = tern_str_make(to, member->size);
    }
    if (crc32_z(0, (const unsigned char *)bytes.p, bytes.n) != member->crc)
        return fail_member(member, TERN_INVALID_ARGUMENT,
                           "its bytes have another checksum (CRC-32) than is said", err);
    *ret_bytes = bytes;
    return TERN_OK;
}
