/* From C to what was asked for. All of a kind's steps are commands that a Makefile has, too: see
 * write_makefile. */
#include <sys/utsname.h>
#include "base/mem.h"
#include "cli/build_edge.h"
#include "cli/edge_pack.h"
#include "os/file.h"
#include "os/outfile.h"
#include "os/scratch.h"

#define FILE_MAX ((size_t)1 << 32)

/* No contraction: a fused multiplication and addition rounds once where the server rounds twice. */
#define CFLAGS                                                                                   \
    "-std=c17 -D_GNU_SOURCE -Os -w -ffp-contract=off -fno-math-errno -fPIC -fvisibility=hidden " \
    "-ffunction-sections -fdata-sections -fno-asynchronous-unwind-tables"
#define HALVES "-DTERN_FOREST_HALVES"

/* ---- which compiler ---- */

static bool is_arm64(const struct tern_build_edge *build)
{
    struct utsname here;

    if (build->options->target != TERN_EDGE_HERE)
        return build->options->target == TERN_EDGE_ARM64;
    return uname(&here) == 0 && strcmp(here.machine, "aarch64") == 0;
}

static bool is_foreign(const struct tern_build_edge *build)
{
    struct utsname here;

    if (build->options->target == TERN_EDGE_HERE || uname(&here) != 0)
        return false;
    return strcmp(here.machine, is_arm64(build) ? "aarch64" : "x86_64") != 0;
}

enum tern_code tern_build_edge_find_cc(struct tern_build_edge *build, struct tern_err *err)
{
    const struct tern_build_edge_options *options = build->options;
    bool arm64 = is_arm64(build);
    const char *names[2];

    build->is_foreign = is_foreign(build);
    names[0] =
        build->is_foreign ? (arm64 ? "aarch64-linux-gnu-gcc" : "x86_64-linux-gnu-gcc") : "cc";
    names[1] = build->is_foreign ? names[0] : "gcc";
    if (options->cc.n > 0)
        names[0] = names[1] = options->cc.p;
    for (int i = 0; i < 2 && build->cc == NULL; i++)
        build->cc = tern_edge_find(build->arena, names[i]);
    if (build->is_foreign) {
        build->emulator = tern_edge_find(build->arena, arm64 ? "qemu-aarch64" : "qemu-x86_64");
        if (build->emulator == NULL)
            build->emulator =
                tern_edge_find(build->arena, arm64 ? "qemu-aarch64-static" : "qemu-x86_64-static");
    }
    if (build->cc != NULL || options->kind == TERN_EDGE_SOURCE)
        return TERN_OK;
    if (options->cc.n > 0)
        return tern_fail(err, TERN_NOT_FOUND, "there is no compiler '%s'", options->cc.p);
    return tern_fail(err, TERN_NOT_FOUND,
                     "there is no compiler %s: install it (Debian: apt install %s), name another "
                     "one with --cc, or take --kind source and compile elsewhere",
                     names[0],
                     !build->is_foreign ? "gcc"
                     : arm64            ? "gcc-aarch64-linux-gnu"
                                        : "gcc-x86-64-linux-gnu");
}

/* ---- commands ---- */

static const char *in_folder(const struct tern_build_edge *build, const char *folder,
                             const char *before, const char *name, const char *after)
{
    return tern_arena_printf(build->arena, "%s/%s%s%s", folder, before, name, after).p;
}

static enum tern_code call(const struct tern_build_edge *build, struct tern_edge_command *command,
                           struct tern_str *ret_output, struct tern_err *err)
{
    struct tern_str output;
    const char *log = in_folder(build, build->folder, "", "log", "");

    if (log == NULL)
        return tern_arena_fail(build->arena, err, "a path");
    TERN_TRY(tern_edge_call(command, log, build->arena, &output, err));
    if (ret_output != NULL)
        *ret_output = output;
    return TERN_OK;
}

/* The compiler with its options; sources are named below `folder`. */
static struct tern_edge_command begin(const struct tern_build_edge *build)
{
    struct tern_edge_command command = {.n = 0};
    const char *quiet = in_folder(build, build->folder, "", "src/edge/quiet.h", "");

    tern_edge_word(&command, build->cc);
    tern_edge_words(&command, build->arena, TERN_STR(CFLAGS));
    if (build->emit.halves)
        tern_edge_word(&command, HALVES);
    tern_edge_word(&command, tern_arena_printf(build->arena, "-I%s/src", build->folder).p);
    tern_edge_word(&command, tern_arena_printf(build->arena, "-I%s", build->folder).p);
    tern_edge_word(&command, "-include");
    tern_edge_word(&command, quiet);
    return command;
}

static enum tern_code make_object(struct tern_build_edge *build, struct tern_err *err)
{
    struct tern_edge_command command = begin(build);
    const char *name = build->emit.name;
    struct tern_str rest = build->sources, source;

    build->object = in_folder(build, build->folder, "", name, ".o");
    tern_edge_words(&command, build->arena, TERN_STR("-r -nostdlib -Wl,--gc-sections"));
    tern_edge_word(&command, tern_arena_printf(build->arena,
                                               "-Wl,-u,%s_predict,-u,%s_feature_name,-u,"
                                               "tern_edge_model",
                                               name, name)
                                 .p);
    tern_edge_word(&command, "-o");
    tern_edge_word(&command, build->object);
    tern_edge_word(&command, in_folder(build, build->folder, "", name, ".c"));
    while (tern_str_split(&rest, ' ', &source))
        if (source.n > 0)
            tern_edge_word(
                &command,
                tern_arena_printf(build->arena, "%s/%.*s", build->folder, TERN_STR_ARG(source)).p);
    TERN_TRY(call(build, &command, NULL, err));
    return tern_edge_sizes(build->object, &build->object_sizes, err);
}

static enum tern_code make_program(struct tern_build_edge *build, struct tern_err *err)
{
    struct tern_edge_command command = begin(build);

    build->program = in_folder(build, build->folder, "", build->emit.name, ".bin");
    tern_edge_words(&command, build->arena, TERN_STR("-static -no-pie -s -Wl,--gc-sections -o"));
    tern_edge_word(&command, build->program);
    tern_edge_word(&command, in_folder(build, build->folder, "", "src/edge/main.c", ""));
    tern_edge_word(&command, build->object);
    tern_edge_word(&command, "-lm");
    return call(build, &command, NULL, err);
}

static enum tern_code make_shared(struct tern_build_edge *build, const char *path,
                                  struct tern_err *err)
{
    struct tern_edge_command command = {.n = 0};

    tern_edge_word(&command, build->cc);
    tern_edge_words(&command, build->arena, TERN_STR("-shared -s -Wl,--no-undefined"));
    tern_edge_word(&command,
                   tern_arena_printf(build->arena, "-Wl,-soname,lib%s.so", build->emit.name).p);
    tern_edge_word(&command, "-o");
    tern_edge_word(&command, path);
    tern_edge_word(&command, build->object);
    tern_edge_word(&command, "-lm");
    return call(build, &command, NULL, err);
}

/* What belongs to the compiler: for the same target. */
static enum tern_code find_tool(const struct tern_build_edge *build, const char *name,
                                const char **ret, struct tern_err *err)
{
    struct tern_edge_command command = {.n = 0};
    struct tern_str printed;

    tern_edge_word(&command, build->cc);
    tern_edge_word(&command, tern_arena_printf(build->arena, "-print-prog-name=%s", name).p);
    TERN_TRY(call(build, &command, &printed, err));
    printed.n = tern_str_find(printed, '\n');
    struct tern_str found = tern_arena_copy(build->arena, printed);
    *ret = found.p == NULL ? NULL : tern_edge_find(build->arena, found.p);
    if (*ret == NULL)
        return tern_fail(err, TERN_NOT_FOUND, "%s has no %s: install binutils", build->cc, name);
    return TERN_OK;
}

/* Hidden names become local, so that a program may have several models. */
static enum tern_code make_static(struct tern_build_edge *build, const char *path,
                                  struct tern_err *err)
{
    struct tern_edge_command localize = {.n = 0}, pack = {.n = 0};
    const char *objcopy, *ar;

    TERN_TRY(find_tool(build, "objcopy", &objcopy, err));
    TERN_TRY(find_tool(build, "ar", &ar, err));
    tern_edge_word(&localize, objcopy);
    tern_edge_word(&localize, "--localize-hidden");
    tern_edge_word(&localize, "--strip-unneeded");
    tern_edge_word(&localize, build->object);
    TERN_TRY(call(build, &localize, NULL, err));
    tern_edge_word(&pack, ar);
    tern_edge_word(&pack, "rcs");
    tern_edge_word(&pack, path);
    tern_edge_word(&pack, build->object);
    return call(build, &pack, NULL, err);
}

/* ---- sources ---- */

static enum tern_code write_makefile(const struct tern_build_edge *build, const char *folder,
                                     struct tern_err *err)
{
    const char *name = build->emit.name;
    struct tern_buf out;

    tern_buf_init(&out, 1u << 16);
    tern_buf_printf(&out,
                    "# %s: a program of one model, or a library of it.\n"
                    "#     make CC=aarch64-linux-gnu-gcc %s lib%s.so lib%s.a\n"
                    "OBJCOPY ?= $(shell $(CC) -print-prog-name=objcopy)\n"
                    "CFLAGS = " CFLAGS "%s -Isrc -I. -include src/edge/quiet.h\n"
                    "SOURCES = %s.c%.*s\n\n",
                    name, name, name, name, build->emit.halves ? " " HALVES : "", name,
                    TERN_STR_ARG(build->sources));
    tern_buf_printf(&out,
                    "%s: %s.o src/edge/main.c\n"
                    "\t$(CC) $(CFLAGS) -static -no-pie -s -Wl,--gc-sections -o $@ src/edge/main.c "
                    "%s.o -lm\n\n"
                    "lib%s.so: %s.o\n"
                    "\t$(CC) -shared -s -Wl,--no-undefined -Wl,-soname,$@ -o $@ $^ -lm\n\n"
                    "lib%s.a: %s.o\n"
                    "\t$(OBJCOPY) --localize-hidden --strip-unneeded $< %s_library.o\n"
                    "\t$(AR) rcs $@ %s_library.o\n\n"
                    "%s.o: $(SOURCES)\n"
                    "\t$(CC) $(CFLAGS) -r -nostdlib -Wl,--gc-sections "
                    "-Wl,-u,%s_predict,-u,%s_feature_name,-u,tern_edge_model -o $@ $(SOURCES)\n",
                    name, name, name, name, name, name, name, name, name, name, name, name);
    enum tern_code code = tern_buf_check(&out, "the Makefile", err);
    if (code == TERN_OK)
        code = tern_scratch_write(folder, TERN_STR("Makefile"), tern_buf_str(&out), err);
    tern_buf_fini(&out);
    return code;
}

static enum tern_code write_sources(struct tern_build_edge *build, const char *folder,
                                    struct tern_err *err)
{
    struct tern_str source = tern_arena_printf(build->arena, "%s.c", build->emit.name);
    struct tern_str header = tern_arena_printf(build->arena, "%s.h", build->emit.name);

    if (source.p == NULL || header.p == NULL)
        return tern_arena_fail(build->arena, err, "a path");
    TERN_TRY(tern_edge_unpack(folder, &build->emitted, build->arena, &build->sources, err));
    TERN_TRY(tern_scratch_write(folder, source, tern_buf_str(&build->source), err));
    return tern_scratch_write(folder, header, tern_buf_str(&build->header), err);
}

enum tern_code tern_build_edge_compile(struct tern_build_edge *build, struct tern_err *err)
{
    TERN_TRY(write_sources(build, build->folder, err));
    if (build->cc == NULL)
        return TERN_OK;
    TERN_TRY(make_object(build, err));
    return make_program(build, err);
}

/* ---- files for the user ---- */

static enum tern_code note_file(struct tern_build_edge *build, const char *path,
                                struct tern_err *err)
{
    uint32_t i = build->n_files++;

    build->files[i] = path;
    return tern_edge_sizes(path, &build->sizes[i], err);
}

static enum tern_code write_file(struct tern_build_edge *build, const char *path,
                                 struct tern_str bytes, bool is_program, struct tern_err *err)
{
    int fd;

    TERN_TRY(tern_outfile_open(path, &fd, err));
    enum tern_code code = tern_outfile_write(fd, 0, bytes, err);
    if (code == TERN_OK && is_program)
        code = tern_outfile_allow_run(fd, err);
    tern_outfile_close(fd);
    TERN_TRY(code);
    return note_file(build, path, err);
}

static enum tern_code copy_file(struct tern_build_edge *build, const char *from, const char *to,
                                bool is_program, struct tern_err *err)
{
    char *bytes;
    size_t n;

    TERN_TRY(tern_file_read(from, FILE_MAX, 0, &bytes, &n, err));
    enum tern_code code = write_file(build, to, tern_str_make(bytes, n), is_program, err);
    tern_mem_free(bytes);
    return code;
}

static enum tern_code write_library(struct tern_build_edge *build, struct tern_err *err)
{
    const char *name = build->emit.name, *folder = build->options->out.p;
    bool is_shared = build->options->kind == TERN_EDGE_SHARED;
    const char *end = is_shared ? ".so" : ".a";
    const char *made = in_folder(build, build->folder, "lib", name, end);
    const char *library = in_folder(build, folder, "lib", name, end);
    const char *header = in_folder(build, folder, "", name, ".h");

    if (made == NULL || library == NULL || header == NULL)
        return tern_arena_fail(build->arena, err, "a path");
    TERN_TRY(is_shared ? make_shared(build, made, err) : make_static(build, made, err));
    TERN_TRY(copy_file(build, made, library, is_shared, err));
    return write_file(build, header, tern_buf_str(&build->header), false, err);
}

enum tern_code tern_build_edge_write(struct tern_build_edge *build, struct tern_err *err)
{
    const char *path = in_folder(build, build->options->out.p, "", build->emit.name,
                                 build->options->kind == TERN_EDGE_SOURCE ? "_source" : "");

    if (path == NULL)
        return tern_arena_fail(build->arena, err, "a path");
    if (build->options->kind == TERN_EDGE_BINARY)
        return copy_file(build, build->program, path, true, err);
    if (build->options->kind != TERN_EDGE_SOURCE)
        return write_library(build, err);
    TERN_TRY(tern_outfile_make_folder(path, err));
    TERN_TRY(write_sources(build, path, err));
    TERN_TRY(write_makefile(build, path, err));
    build->files[build->n_files] = path;
    build->sizes[build->n_files++].file = build->source.n;
    return TERN_OK;
}
