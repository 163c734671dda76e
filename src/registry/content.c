#include "registry/content.h"

#include "os/file.h"

#define FOLDERS_MAX 256u
#define FILES_MAX   10000u

static void put_text(struct tern_blake2b *hash, struct tern_str text)
{
    uint64_t n = text.n;

    tern_blake2b_add(hash, &n, sizeof(n));
    tern_blake2b_add(hash, text.p, text.n);
}

static void take_piece(void *arg, const void *p, size_t n)
{
    tern_blake2b_add(arg, p, n);
}

/* A name, how large it is, and what is in it. */
static enum tern_code put_file(struct tern_blake2b *hash, const char *path,
                               const struct tern_file_info *info, struct tern_err *err)
{
    put_text(hash, tern_file_base_name(path));
    tern_blake2b_add(hash, &info->size, sizeof(info->size));
    return tern_file_feed(path, take_piece, hash, err);
}

/* Folders that wait for their turn: no recursion on what lies on a disk. */
struct walk {
    const char *folders[FOLDERS_MAX];
    size_t n, done;
};

static enum tern_code put_folder(struct tern_blake2b *hash, struct walk *walk,
                                 struct tern_arena *arena, struct tern_err *err)
{
    const char *folder = walk->folders[walk->done++];
    struct tern_file_names names;

    TERN_TRY(tern_file_list(folder, FILES_MAX, arena, &names, err));
    tern_blake2b_add(hash, &names.n, sizeof(names.n));
    for (size_t i = 0; i < names.n; i++) {
        struct tern_file_info info;
        const char *path = tern_file_join(arena, folder, names.rows[i]);
        if (path == NULL)
            return tern_arena_fail(arena, err, "a path");
        TERN_TRY(tern_file_stat(path, &info, err));
        if (!info.is_folder) {
            TERN_TRY(put_file(hash, path, &info, err));
            continue;
        }
        if (walk->n == TERN_COUNT_OF(walk->folders))
            return tern_fail(err, TERN_RESOURCE_EXHAUSTED, "too many folders in a model's version");
        put_text(hash, names.rows[i]);
        walk->folders[walk->n++] = path;
    }
    return TERN_OK;
}

static enum tern_code put_version(struct tern_blake2b *hash, const char *path,
                                  struct tern_arena *arena, struct tern_err *err)
{
    struct walk walk = {.folders = {path}, .n = 1};
    struct tern_file_info info;

    TERN_TRY(tern_file_stat(path, &info, err));
    if (!info.is_folder)
        return put_file(hash, path, &info, err);
    while (walk.done < walk.n)
        TERN_TRY(put_folder(hash, &walk, arena, err));
    return TERN_OK;
}

enum tern_code tern_content_hash(const struct tern_content_of *of,
                                 unsigned char ret[TERN_CONTENT_SIZE], struct tern_err *err)
{
    struct tern_arena arena;
    struct tern_blake2b hash;

    tern_blake2b_init(&hash);
    put_text(&hash, of->config);
    tern_blake2b_add(&hash, &of->n_options, sizeof(of->n_options));
    for (uint32_t i = 0; i < of->n_options; i++) {
        put_text(&hash, of->options[i].key);
        put_text(&hash, of->options[i].value);
    }
    tern_arena_init(&arena, 4096, 1u << 24);
    enum tern_code code = put_version(&hash, of->path, &arena, err);
    tern_arena_fini(&arena);
    if (code == TERN_OK)
        tern_blake2b_end(&hash, ret);
    return code;
}
