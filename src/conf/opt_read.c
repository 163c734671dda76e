/* The three sources of options. Each finds the row of a name and hands text to opt_value.c. */
#include <stdio.h>
#include "base/mem.h"
#include "conf/opt.h"
#include "conf/opt_value.h"

typedef const char *(*name_fn)(const struct tern_opt *opt, char dst[TERN_OPT_NAME_MAX]);

struct naming {
    const struct tern_opt *rows;
    name_fn name;
};

static const char *own_name(const struct tern_opt *opt, char dst[TERN_OPT_NAME_MAX])
{
    (void)dst;
    return opt->name;
}

static const char *candidate(const void *user, uint32_t i, char *scratch)
{
    const struct naming *naming = user;
    return naming->name(&naming->rows[i], scratch);
}

/* ", did you mean X?" or nothing. */
static const char *suggest(const struct tern_opt *rows, uint32_t n, name_fn name,
                           struct tern_str word, char dst[96])
{
    struct naming naming = {rows, name};
    char scratch[TERN_OPT_NAME_MAX];
    const char *near = tern_opt_nearest(word, n, candidate, &naming, scratch);

    dst[0] = '\0';
    if (near != NULL)
        snprintf(dst, 96, ", did you mean %s?", near);
    return dst;
}

/* ---- flags ---- */

struct args {
    struct tern_opt_load *load;
    char *const *argv;
    int argc;
    int at;
    struct tern_opt_rest *rest;
};

static struct tern_str flag_place(struct tern_opt_load *load, struct tern_str flag)
{
    return tern_arena_printf(load->arena, "flag %.*s", TERN_STR_ARG(flag));
}

static const struct tern_opt *find_flag(const struct tern_opt_table *table, struct tern_str flag)
{
    char name[TERN_OPT_NAME_MAX];

    for (uint32_t i = 0; i < table->n; i++) {
        const struct tern_opt *opt = &table->rows[i];
        if (tern_str_eq(tern_str_of(tern_opt_flag(opt, name)), flag) ||
            (opt->letter != 0 && flag.n == 2 && flag.p[1] == opt->letter))
            return opt;
    }
    return NULL;
}

/* "--no-log-access" for the bool "--log-access". */
static const struct tern_opt *find_negated(const struct tern_opt_table *table, struct tern_str flag)
{
    char positive[TERN_OPT_NAME_MAX];

    if (!tern_str_starts(flag, TERN_STR("--no-")) || flag.n - 3 >= sizeof(positive))
        return NULL;
    int n = snprintf(positive, sizeof(positive), "--%.*s", (int)(flag.n - 5), flag.p + 5);
    const struct tern_opt *opt = find_flag(table, tern_str_make(positive, (size_t)n));
    return opt != NULL && opt->type == TERN_OPT_BOOL ? opt : NULL;
}

static void unknown_flag(struct args *args, struct tern_str flag)
{
    const struct tern_opt_table *table = args->load->table;
    char hint[96];

    tern_problem_add(args->load->problems, flag_place(args->load, flag), "no such option%s",
                     suggest(table->rows, table->n, tern_opt_flag, flag, hint));
}

static void read_flag(struct args *args, struct tern_str arg)
{
    struct tern_opt_load *load = args->load;
    size_t equals = arg.p[1] == '-' ? tern_str_find(arg, '=') : arg.n;
    struct tern_str flag = tern_str_make(arg.p, equals);
    const struct tern_opt *opt = find_flag(load->table, flag);
    struct tern_str value = {NULL, 0};

    if (opt == NULL && equals == arg.n && (opt = find_negated(load->table, flag)) != NULL) {
        value = TERN_STR("false");
    } else if (opt == NULL) {
        unknown_flag(args, flag);
        return;
    } else if (equals < arg.n) {
        value = tern_str_make(arg.p + equals + 1, arg.n - equals - 1);
    } else if (opt->type == TERN_OPT_BOOL) {
        value = TERN_STR("true");
    } else if (args->at + 1 < args->argc && strncmp(args->argv[args->at + 1], "--", 2) != 0) {
        value = tern_str_of(args->argv[++args->at]);
    } else {
        tern_problem_add(load->problems, flag_place(load, flag), "needs a value");
        return;
    }
    tern_opt_set(load, opt, TERN_OPT_FROM_FLAG, flag_place(load, flag), value);
}

void tern_opt_read_args(struct tern_opt_load *load, int argc, char *const *argv,
                        struct tern_opt_rest *ret_rest)
{
    struct args args = {load, argv, argc, 0, ret_rest};
    bool only_args = false;

    *ret_rest = (struct tern_opt_rest){
        .args = tern_arena_zalloc(load->arena, (size_t)argc + 1, sizeof(struct tern_str))};
    if (ret_rest->args == NULL) {
        tern_problem_add(load->problems, TERN_STR("flags"), "no memory to read them");
        return;
    }
    for (; args.at < argc; args.at++) {
        struct tern_str arg = tern_str_of(argv[args.at]);
        if (only_args || arg.n < 2 || arg.p[0] != '-')
            ret_rest->args[ret_rest->n++] = arg;
        else if (tern_str_eq(arg, TERN_STR("--")))
            only_args = true;
        else if (tern_str_eq(arg, TERN_STR("--help")) || tern_str_eq(arg, TERN_STR("-h")))
            ret_rest->help = true;
        else
            read_flag(&args, arg);
    }
}

/* ---- environment ---- */

/* A variable that is not ours is none of our business: Kubernetes itself sets TERN_PORT for a
 * service called "tern". One that is nearly ours is a misspelling that must not pass silently. */
static void unknown_variable(struct tern_opt_load *load, struct tern_str name)
{
    char hint[96];

    if (name.n < 12 || *suggest(load->table->rows, load->table->n, tern_opt_env, name, hint) == 0)
        return;
    struct naming naming = {load->table->rows, tern_opt_env};
    char scratch[TERN_OPT_NAME_MAX];
    const char *near = tern_opt_nearest(name, load->table->n, candidate, &naming, scratch);
    size_t near_n = near == NULL ? 0 : strlen(near);
    size_t gap = near_n > name.n ? near_n - name.n : name.n - near_n;
    if (gap > 2)
        return;
    tern_problem_add(load->problems,
                     tern_arena_printf(load->arena, "environment %.*s", TERN_STR_ARG(name)),
                     "no such option%s", hint);
}

void tern_opt_read_env(struct tern_opt_load *load, char *const *environment)
{
    const struct tern_opt_table *table = load->table;
    char env[TERN_OPT_NAME_MAX];

    for (; *environment != NULL; environment++) {
        struct tern_str entry = tern_str_of(*environment);
        size_t equals = tern_str_find(entry, '=');
        struct tern_str name = tern_str_make(entry.p, equals);
        const struct tern_opt *opt = NULL;
        if (!tern_str_starts(name, TERN_STR("TERN_")) || equals == entry.n)
            continue;
        for (uint32_t i = 0; i < table->n && opt == NULL; i++) {
            if (tern_str_eq(tern_str_of(tern_opt_env(&table->rows[i], env)), name))
                opt = &table->rows[i];
        }
        if (opt == NULL)
            unknown_variable(load, name);
        else
            tern_opt_set(load, opt, TERN_OPT_FROM_ENV,
                         tern_arena_printf(load->arena, "environment %.*s", TERN_STR_ARG(name)),
                         tern_str_make(entry.p + equals + 1, entry.n - equals - 1));
    }
}

/* ---- files ---- */

#define PATH_MAX_BYTES 256

/* One map being read: the file's root with the table's rows, or a record with the record's. */
struct level {
    struct tern_opt_load *load;
    struct tern_str file;
    const struct tern_tree *root;
    const struct tern_opt *rows;
    uint32_t n;
    void *item;     /* the record; NULL at the top, where tern_opt_claim decides */
    const char *of; /* "listen: " in front of what is said of a record */
    /* Takes the value that the file gives an option. */
    void (*take)(const struct level *level, const struct tern_opt *opt,
                 const struct tern_tree *node);
};

/* The keys from the root down to node, joined by dots; false when that is too long for any name. */
static bool path_of(const struct tern_tree *root, const struct tern_tree *node, char *dst,
                    struct tern_str *ret)
{
    size_t at = PATH_MAX_BYTES;

    for (; node != root; node = node->parent) {
        bool dot = at < PATH_MAX_BYTES;
        if (node->key.n + dot > at)
            return false;
        if (dot)
            dst[--at] = '.';
        at -= node->key.n;
        memcpy(dst + at, node->key.p, node->key.n);
    }
    *ret = tern_str_make(dst + at, PATH_MAX_BYTES - at);
    return true;
}

static const struct tern_opt *find_row(const struct level *level, struct tern_str path)
{
    for (uint32_t i = 0; i < level->n; i++) {
        if (tern_str_eq(tern_str_of(level->rows[i].name), path))
            return &level->rows[i];
    }
    return NULL;
}

static bool is_group(const struct level *level, struct tern_str path)
{
    for (uint32_t i = 0; i < level->n; i++) {
        struct tern_str name = tern_str_of(level->rows[i].name);
        if (name.n > path.n && name.p[path.n] == '.' && tern_str_starts(name, path))
            return true;
    }
    return false;
}

static struct tern_str place_of(const struct level *level, uint32_t line, uint32_t column)
{
    return tern_problem_place(level->load->problems, level->file, line, column);
}

static void unknown_key(const struct level *level, const struct tern_tree *node,
                        struct tern_str path)
{
    char hint[96];

    tern_problem_add(level->load->problems, place_of(level, node->key_line, node->key_column),
                     "%sno such option: %.*s%s", level->of, TERN_STR_ARG(path),
                     suggest(level->rows, level->n, own_name, path, hint));
}

static void wrong_kind(const struct level *level, const struct tern_opt *opt,
                       const struct tern_tree *node)
{
    static const char *const kinds[] = {"a value", "a map", "a list"};
    struct tern_buf expected;

    tern_buf_init(&expected, 1024);
    tern_opt_print_expected(opt, &expected);
    tern_problem_add(level->load->problems, place_of(level, node->line, node->column),
                     "%s%s: expected %.*s, got %s", level->of, opt->name,
                     TERN_STR_ARG(tern_buf_str(&expected)), kinds[node->kind]);
    tern_buf_fini(&expected);
}

/* Finds the options in a map and its maps, and gives each to level->take. */
static void read_level(const struct level *level)
{
    const struct tern_tree *node = tern_tree_next(level->root, level->root);

    while (node != NULL) {
        char path_bytes[PATH_MAX_BYTES];
        struct tern_str path = {NULL, 0};
        bool fits = path_of(level->root, node, path_bytes, &path);
        const struct tern_opt *opt = fits ? find_row(level, path) : NULL;
        bool group = fits && node->kind == TERN_TREE_MAP && is_group(level, path);

        if (group || (opt == NULL && node->kind == TERN_TREE_MAP && node->first != NULL)) {
            node = tern_tree_next(level->root, node);
            continue;
        }
        if (opt != NULL && !tern_tree_is_null(node))
            level->take(level, opt, node);
        else if (opt == NULL && (!fits || !tern_tree_is_null(node) || !is_group(level, path)))
            unknown_key(level, node, fits ? path : node->key);
        node = tern_tree_skip(level->root, node);
    }
}

static void take_text(const struct level *level, const struct tern_opt *opt,
                      const struct tern_tree *node, const char *subject)
{
    if (node->kind != TERN_TREE_SCALAR && opt->type == TERN_OPT_LIST) {
        tern_problem_add(level->load->problems, place_of(level, node->line, node->column),
                         "%severy element must be a plain text", subject);
        return;
    }
    if (node->kind != TERN_TREE_SCALAR) {
        wrong_kind(level, opt, node);
        return;
    }
    tern_opt_value_set_field(opt, level->item, node->text,
                             &(struct tern_opt_value_at){level->load->arena, level->load->problems,
                                                         place_of(level, node->line, node->column),
                                                         subject});
}

static void take_field(const struct level *level, const struct tern_opt *opt,
                       const struct tern_tree *node)
{
    char subject[2 * TERN_OPT_NAME_MAX + 4];

    snprintf(subject, sizeof(subject), "%s%s: ", level->of, opt->name);
    if (node->kind == TERN_TREE_LIST && opt->type == TERN_OPT_LIST) {
        for (const struct tern_tree *item = node->first; item != NULL; item = item->next)
            take_text(level, opt, item, subject);
    } else {
        take_text(level, opt, node, subject);
    }
}

/* An element of a list of records: a map, or the short form as text. */
static void read_record(const struct level *level, const struct tern_opt *opt, void *base,
                        const struct tern_tree *node, const struct tern_opt_value_at *at)
{
    char of[TERN_OPT_NAME_MAX + 2];

    if (node->kind == TERN_TREE_SCALAR) {
        tern_opt_value_record_text(opt, base, node->text, at);
        return;
    }
    if (node->kind == TERN_TREE_LIST) {
        wrong_kind(level, opt, node);
        return;
    }
    void *item = tern_opt_value_record(opt, base, at);
    if (item == NULL)
        return;
    snprintf(of, sizeof(of), "%s: ", opt->name);
    struct level inner = {level->load,    level->file, node, opt->record->rows,
                          opt->record->n, item,        of,   take_field};
    read_level(&inner);
}

static void read_elements(const struct level *level, const struct tern_opt *opt, void *base,
                          const struct tern_tree *list, const char *subject)
{
    for (const struct tern_tree *node = list->first; node != NULL; node = node->next) {
        struct tern_opt_value_at at = {level->load->arena, level->load->problems,
                                       place_of(level, node->line, node->column), subject};
        if (opt->type == TERN_OPT_RECORDS)
            read_record(level, opt, base, node, &at);
        else if (node->kind == TERN_TREE_SCALAR)
            tern_opt_value_append(opt, base, node->text, &at);
        else
            tern_problem_add(at.problems, at.place, "%severy element must be a plain text",
                             subject);
    }
}

static void take_option(const struct level *level, const struct tern_opt *opt,
                        const struct tern_tree *node)
{
    char subject[TERN_OPT_NAME_MAX + 4];
    bool several = opt->type == TERN_OPT_LIST || opt->type == TERN_OPT_RECORDS;

    if ((opt->flags & TERN_OPT_FLAG) != 0) {
        tern_problem_add(level->load->problems, place_of(level, node->key_line, node->key_column),
                         "%s cannot be set in a file, only as a flag or variable", opt->name);
        return;
    }
    if (node->kind == TERN_TREE_MAP || (node->kind == TERN_TREE_LIST && !several)) {
        wrong_kind(level, opt, node);
        return;
    }
    void *base = tern_opt_claim(level->load, opt, TERN_OPT_FROM_FILE);
    tern_opt_keep_place(level->load, opt, base, place_of(level, node->line, node->column));
    snprintf(subject, sizeof(subject), "%s: ", opt->name);
    if (node->kind == TERN_TREE_LIST)
        read_elements(level, opt, base, node, subject);
    else
        tern_opt_value_set(opt, base, node->text,
                           &(struct tern_opt_value_at){level->load->arena, level->load->problems,
                                                       place_of(level, node->line, node->column),
                                                       subject});
}

void tern_opt_read_tree(struct tern_opt_load *load, struct tern_str file,
                        const struct tern_tree *root)
{
    struct level level = {load,           file, root, load->table->rows,
                          load->table->n, NULL, "",   take_option};

    if (root->kind == TERN_TREE_MAP)
        read_level(&level);
    else
        tern_problem_add(load->problems, file, "expected a map of options");
}
