/* From argv to a command that runs with checked options. */
#include "cli/commands.h"

#include <stdio.h>
#include "base/mem.h"
#include "cli/complete.h"
#include "cli/guard.h"
#include "cli/help.h"
#include "cli/persona_triton.h"
#include "conf/server_options.h"
#include "conf/yaml.h"
#include "os/file.h"
#include "proto/protos.h"

#define ARENA_FIRST (16u << 10)
#define ARENA_MAX   (16u << 20)

/* The file that is read when none is named. */
#define DEFAULT_FILE "tern.yaml"

const struct tern_command *tern_command_find(struct tern_str name)
{
    for (uint32_t i = 0; i < tern_commands_n; i++) {
        if (tern_str_eq(tern_str_of(tern_commands[i].name), name))
            return &tern_commands[i];
    }
    return NULL;
}

static void print_to(FILE *stream, const struct tern_buf *buf)
{
    if (buf->n > 0)
        fwrite(buf->p, 1, buf->n, stream);
    fflush(stream);
}

/* ---- options ---- */

static void read_file(struct tern_opt_load *load, struct tern_str path)
{
    struct tern_err err;
    char *bytes;
    size_t n;

    if (tern_file_read(path.p, TERN_YAML_TEXT_MAX, 0, &bytes, &n, &err) != TERN_OK) {
        tern_problem_add(load->problems, path, "%s", err.text);
        return;
    }
    const struct tern_tree *root = tern_yaml_read(tern_str_make(bytes, n), TERN_YAML_FORM_YAML,
                                                  path, load->arena, load->problems);
    if (root != NULL)
        tern_opt_read_tree(load, path, root);
    tern_mem_free(bytes);
}

static void find_file(struct tern_opt_load *load)
{
    struct tern_server_options *options = load->values;
    struct tern_file_info info;

    if (options->config.n == 0) {
        if (tern_file_stat(DEFAULT_FILE, &info, NULL) != TERN_OK)
            return;
        options->config = TERN_STR(DEFAULT_FILE);
    }
    read_file(load, options->config);
}

/* What conf/ cannot know: the names of dialects. */
static void check_dialects(struct tern_opt_load *load)
{
    const struct tern_server_options *options = load->values;
    const struct tern_listener_options *rows = options->listen.items;
    struct tern_err err;
    uint32_t mask;

    for (uint32_t i = 0; i < options->listen.n; i++) {
        if (tern_protos_mask(rows[i].dialects.items, rows[i].dialects.n, &mask, &err) != TERN_OK)
            tern_problem_add(load->problems, rows[i].place, "listen %.*s: %s",
                             TERN_STR_ARG(rows[i].address), err.text);
    }
}

/* table: the server's, or one that begins with its rows. */
static void read_server(const struct tern_opt_table *table, int argc, char *const *argv,
                        char *const *environment, void *options, struct tern_opt_load *load,
                        struct tern_opt_rest *ret_rest, struct tern_arena *arena,
                        struct tern_problems *problems)
{
    struct tern_err err;

    *ret_rest = (struct tern_opt_rest){0};
    if (tern_opt_load_init(load, table, options, arena, problems, &err) != TERN_OK) {
        tern_problem_add(problems, TERN_STR("options"), "%s", err.text);
        return;
    }
    struct tern_triton *triton = NULL;
    if (tern_triton_is_wanted(argc, argv, environment))
        triton = tern_triton_read_args(load, argc, argv, ret_rest);
    else
        tern_opt_read_args(load, argc, argv, ret_rest);
    if (ret_rest->help)
        return;
    tern_opt_read_env(load, environment);
    find_file(load);
    if (triton != NULL)
        tern_triton_finish(triton, environment, ret_rest);
    tern_server_options_check(load);
    check_dialects(load);
    tern_guard_check(load);
}

void tern_commands_read_server(int argc, char *const *argv, char *const *environment, void *options,
                               struct tern_opt_load *load, struct tern_opt_rest *ret_rest,
                               struct tern_arena *arena, struct tern_problems *problems)
{
    read_server(&tern_server_options_table, argc, argv, environment, options, load, ret_rest, arena,
                problems);
}

/* The options of any command into memory of the arena; answers that memory. */
static void *read_options(const struct tern_command *command, int argc, char *const *argv,
                          char *const *environment, struct tern_opt_load *load,
                          struct tern_opt_rest *ret_rest, struct tern_arena *arena,
                          struct tern_problems *problems)
{
    static const struct tern_opt_table no_options = {NULL, 0, 1};
    const struct tern_opt_table *table = command->options == NULL ? &no_options : command->options;
    void *options = tern_arena_zalloc(arena, 1, table->size);
    struct tern_err err;

    if (options == NULL) {
        tern_problem_add(problems, TERN_STR("options"), "no memory");
        return NULL;
    }
    if (command->reads_file) {
        read_server(table, argc, argv, environment, options, load, ret_rest, arena, problems);
        return options;
    }
    if (tern_opt_load_init(load, table, options, arena, problems, &err) != TERN_OK) {
        tern_problem_add(problems, TERN_STR("options"), "%s", err.text);
        return options;
    }
    tern_opt_read_args(load, argc, argv, ret_rest);
    tern_opt_read_env(load, environment);
    return options;
}

/* ---- what is answered here ---- */

static int run_help(const struct tern_str *args, uint32_t n, const struct tern_commands_program *p)
{
    struct tern_opt_doc_style style = tern_help_style(stdout);
    struct tern_buf out;
    bool known = true;

    tern_buf_init(&out, 1u << 20);
    if (n == 0)
        tern_help_overview(p->version, &style, &out);
    else
        known = tern_help_topic(args[0], &style, &out);
    print_to(known ? stdout : stderr, &out);
    tern_buf_fini(&out);
    return known ? TERN_EXIT_OK : TERN_EXIT_USAGE;
}

static int run_completion(const struct tern_str *args, uint32_t n)
{
    struct tern_buf out;

    if (n > 0 && !tern_str_eq(args[0], TERN_STR("bash"))) {
        fprintf(stderr, "tern completion: only bash is known, got \"%s\"\n", args[0].p);
        return TERN_EXIT_USAGE;
    }
    tern_buf_init(&out, 1u << 20);
    tern_complete_bash(&out);
    print_to(stdout, &out);
    tern_buf_fini(&out);
    return TERN_EXIT_OK;
}

static int run_config(const struct tern_command_call *call)
{
    struct tern_buf out;

    tern_buf_init(&out, 1u << 20);
    tern_opt_doc_effective(call->load, &out);
    print_to(stdout, &out);
    bool whole = !out.failed;
    tern_buf_fini(&out);
    return whole ? TERN_EXIT_OK : TERN_EXIT_FAILED;
}

static int run_command(const struct tern_commands_program *program,
                       const struct tern_command_call *call)
{
    const char *name = call->command->name;

    if (strcmp(name, "help") == 0)
        return run_help(call->args, call->n_args, program);
    if (strcmp(name, "completion") == 0)
        return run_completion(call->args, call->n_args);
    if (strcmp(name, "config") == 0)
        return run_config(call);
    if (strcmp(name, "version") == 0) {
        printf("%s\n", program->version);
        return TERN_EXIT_OK;
    }
    for (uint32_t i = 0; i < program->n; i++) {
        if (strcmp(program->rows[i].name, name) == 0)
            return program->rows[i].run(call);
    }
    fprintf(stderr, "tern %s: this build does not have it\n", name);
    return TERN_EXIT_FAILED;
}

/* ---- the way there ---- */

static void check_args(const struct tern_command *command, const struct tern_opt_rest *rest,
                       struct tern_problems *problems)
{
    if (rest->n < command->args_min)
        tern_problem_add(problems, TERN_STR(""), "needs %s; usage: tern %s %s", command->args,
                         command->name, command->args);
    else if (rest->n > command->args_max)
        tern_problem_add(problems, TERN_STR(""), "too many arguments, first \"%.*s\"",
                         TERN_STR_ARG(rest->args[command->args_max]));
}

static int say_mistakes(const struct tern_command *command, const struct tern_problems *problems)
{
    struct tern_buf out;

    tern_buf_init(&out, 1u << 20);
    tern_problem_print(problems, &out);
    struct tern_str rest = tern_buf_str(&out);
    struct tern_str line;
    while (tern_str_split(&rest, '\n', &line) && line.n > 0)
        fprintf(stderr, "tern %s: %.*s\n", command->name, TERN_STR_ARG(line));
    fprintf(stderr, "`tern help %s` lists the options.\n", command->name);
    tern_buf_fini(&out);
    return TERN_EXIT_USAGE;
}

static int start(const struct tern_commands_program *program, const struct tern_command *command,
                 int argc, char *const *argv, char *const *environment, struct tern_arena *arena)
{
    struct tern_problems problems;
    struct tern_opt_load load;
    struct tern_opt_rest rest = {0};

    tern_problem_init(&problems, arena);
    void *options = read_options(command, argc, argv, environment, &load, &rest, arena, &problems);
    if (rest.help) {
        bool triton = command->reads_file && tern_triton_is_wanted(argc, argv, environment);
        struct tern_str topic = triton ? TERN_STR("triton") : tern_str_of(command->name);
        return run_help(&topic, 1, program);
    }
    check_args(command, &rest, &problems);
    if (tern_problem_any(&problems))
        return say_mistakes(command, &problems);
    struct tern_command_call call = {
        .command = command,
        .options = command->options == NULL ? NULL : options,
        .load = command->options == NULL ? NULL : &load,
        .args = rest.args,
        .n_args = rest.n,
        .arena = arena,
        .argc = argc,
        .argv = argv,
        .environment = environment,
    };
    return run_command(program, &call);
}

static const char *command_name(const void *user, uint32_t i, char *scratch)
{
    (void)user;
    (void)scratch;
    return tern_commands[i].name;
}

static int unknown_command(struct tern_str word)
{
    char scratch[TERN_OPT_NAME_MAX];
    const char *near = tern_opt_nearest(word, tern_commands_n, command_name, NULL, scratch);

    fprintf(stderr, "tern: no such command: \"%.*s\"", TERN_STR_ARG(word));
    if (near != NULL)
        fprintf(stderr, ", did you mean `tern %s`?", near);
    else if (tern_str_find(word, '/') < word.n || tern_str_ends(word, TERN_STR(".onnx")))
        fprintf(stderr, ", did you mean `tern serve %.*s`?", TERN_STR_ARG(word));
    fprintf(stderr, "\n`tern help` lists the commands.\n");
    return TERN_EXIT_USAGE;
}

/* Under the name of Triton's program all arguments are its flags. */
static bool is_called(const char *program, const char *name)
{
    const char *slash = strrchr(program, '/');
    return strcmp(slash == NULL ? program : slash + 1, name) == 0;
}

static int start_triton(const struct tern_commands_program *program, int argc, char *const *argv,
                        char *const *environment, struct tern_arena *arena)
{
    static char persona[] = "--persona=triton";
    char **ours = tern_arena_zalloc(arena, (size_t)argc + 1, sizeof(*ours));

    if (ours == NULL) {
        fprintf(stderr, "tern: no memory for the arguments\n");
        return TERN_EXIT_FAILED;
    }
    memcpy(ours, argv, (size_t)argc * sizeof(*ours));
    ours[0] = persona;
    return start(program, tern_command_find(TERN_STR("serve")), argc, ours, environment, arena);
}

int tern_commands_main(const struct tern_commands_program *program, int argc, char *const *argv,
                       char *const *environment)
{
    struct tern_str word = argc < 2 ? TERN_STR("help") : tern_str_of(argv[1]);
    bool is_triton = argc > 0 && is_called(argv[0], "tritonserver");
    struct tern_arena arena;

    if (tern_str_eq(word, TERN_STR("--help")) || tern_str_eq(word, TERN_STR("-h")))
        word = TERN_STR("help");
    if (tern_str_eq(word, TERN_STR("--version")) || tern_str_eq(word, TERN_STR("-V")))
        word = TERN_STR("version");
    const struct tern_command *command = tern_command_find(word);
    if (command == NULL && !is_triton)
        return unknown_command(word);
    tern_arena_init(&arena, ARENA_FIRST, ARENA_MAX);
    int skip = argc < 2 ? 1 : 2;
    int status = is_triton ? start_triton(program, argc, argv, environment, &arena)
                           : start(program, command, argc - skip, argv + skip, environment, &arena);
    tern_arena_fini(&arena);
    return status;
}
