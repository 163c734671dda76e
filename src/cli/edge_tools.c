#include "cli/edge_tools.h"

#include <elf.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include "base/clock.h"
#include "base/mem.h"
#include "os/child.h"
#include "os/file.h"
#include "os/outfile.h"

#define OUTPUT_MAX ((size_t)16 << 20)
#define WAIT_MAX   (UINT64_C(600) * TERN_NS_PER_S)
#define LOOK_NS    (2 * (long)TERN_NS_PER_MS)
#define SHOWN      300 /* bytes of what a failed command printed */
#define FILE_MAX   ((size_t)1 << 32)

const char *tern_edge_find(struct tern_arena *arena, const char *name)
{
    struct tern_file_info info;
    struct tern_str rest = tern_str_of(getenv("PATH")), folder;

    if (strchr(name, '/') != NULL)
        return tern_file_stat(name, &info, NULL) == TERN_OK && info.is_regular ? name : NULL;
    while (tern_str_split(&rest, ':', &folder)) {
        struct tern_str path = tern_arena_printf(arena, "%.*s/%s", TERN_STR_ARG(folder), name);
        if (folder.n > 0 && path.p != NULL && tern_file_stat(path.p, &info, NULL) == TERN_OK &&
            info.is_regular)
            return path.p;
    }
    return NULL;
}

void tern_edge_word(struct tern_edge_command *command, const char *word)
{
    if (command->n < TERN_EDGE_WORDS_MAX)
        command->words[command->n] = word;
    command->n++;
}

void tern_edge_words(struct tern_edge_command *command, struct tern_arena *arena,
                     struct tern_str words)
{
    struct tern_str word;

    while (tern_str_split(&words, ' ', &word)) {
        if (word.n > 0)
            tern_edge_word(command, tern_arena_copy(arena, word).p);
    }
}

static enum tern_code fail_call(const char *program, int status, struct tern_str output,
                                struct tern_err *err)
{
    struct tern_str tail =
        output.n > SHOWN ? tern_str_make(output.p + output.n - SHOWN, SHOWN) : output;

    if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
        return tern_fail(err, TERN_INTERNAL, "%s cannot be run", program);
    return tern_fail(err, TERN_INTERNAL, "%s failed (%s %d): %.*s", program,
                     WIFSIGNALED(status) ? "signal" : "status",
                     WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status),
                     TERN_STR_ARG(tail));
}

static enum tern_code wait_for(struct tern_child *child, const char *program, struct tern_err *err)
{
    const struct timespec pause = {.tv_nsec = LOOK_NS};
    uint64_t end = tern_clock_mono_ns() + WAIT_MAX;

    while (tern_child_runs(child)) {
        if (tern_clock_mono_ns() > end) {
            tern_child_stop(child, 0);
            return tern_fail(err, TERN_DEADLINE_EXCEEDED, "%s took more than ten minutes", program);
        }
        (void)nanosleep(&pause, NULL);
    }
    return TERN_OK;
}

enum tern_code tern_edge_call(struct tern_edge_command *command, const char *log,
                              struct tern_arena *arena, struct tern_str *ret_output,
                              struct tern_err *err)
{
    const char *program = command->words[0];
    struct tern_child child;
    char *bytes;
    size_t n;
    int fd;

    if (command->n > TERN_EDGE_WORDS_MAX)
        return tern_fail(err, TERN_INTERNAL, "%s: too many arguments", program);
    for (uint32_t i = 0; i < command->n; i++)
        if (command->words[i] == NULL)
            return tern_arena_fail(arena, err, "a command");
    command->words[command->n] = NULL;
    TERN_TRY(tern_outfile_open(log, &fd, err));
    enum tern_code code = tern_child_start(&child, command->words, fd, err);
    tern_outfile_close(fd);
    TERN_TRY(code);
    TERN_TRY(wait_for(&child, program, err));
    TERN_TRY(tern_file_read(log, OUTPUT_MAX, 1, &bytes, &n, err));
    *ret_output = tern_arena_copy(arena, tern_str_make(bytes, n));
    tern_mem_free(bytes);
    if (ret_output->p == NULL)
        return tern_arena_fail(arena, err, "what a command printed");
    return child.status == 0 ? TERN_OK : fail_call(program, child.status, *ret_output, err);
}

/* ---- what was made ---- */

static void add_section(const Elf64_Shdr *section, struct tern_edge_sizes *sizes)
{
    if ((section->sh_flags & SHF_ALLOC) == 0)
        return;
    if (section->sh_type == SHT_NOBITS)
        sizes->zero += section->sh_size;
    else if ((section->sh_flags & SHF_EXECINSTR) != 0)
        sizes->code += section->sh_size;
    else
        sizes->data += section->sh_size;
}

enum tern_code tern_edge_sizes(const char *path, struct tern_edge_sizes *ret, struct tern_err *err)
{
    struct tern_edge_sizes sizes = {0};
    Elf64_Ehdr head;
    char *bytes;
    size_t n;

    TERN_TRY(tern_file_read(path, FILE_MAX, 0, &bytes, &n, err));
    sizes.file = n;
    if (n >= sizeof(head)) {
        memcpy(&head, bytes, sizeof(head));
        for (size_t i = 0; i < head.e_shnum; i++) {
            Elf64_Shdr section;
            size_t at = head.e_shoff + i * sizeof(section);
            if (head.e_shentsize != sizeof(section) || at > n || n - at < sizeof(section))
                break;
            memcpy(&section, bytes + at, sizeof(section));
            add_section(&section, &sizes);
        }
    }
    tern_mem_free(bytes);
    *ret = sizes;
    return TERN_OK;
}
