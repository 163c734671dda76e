/* From a file to a bound tree: which file, which format, and protobuf text as a tree. */
#include "base/mem.h"
#include "conf/yaml.h"
#include "os/file.h"
#include "registry/model_config.h"
#include "registry/mlserver_settings.h"
#include "registry/model_config_extract.h"
#include "registry/model_schema.h"
#include "registry/pbtxt_tree.h"

static const char *const file_names[] = {"config.pbtxt", "config.yaml", "config.json",
                                         TERN_MLSERVER_SETTINGS_FILE};

static bool looks_like_json(struct tern_str text)
{
    size_t at = 0;

    while (at < text.n &&
           (text.p[at] == ' ' || text.p[at] == '\n' || text.p[at] == '\r' || text.p[at] == '\t'))
        at++;
    return at < text.n && text.p[at] == '{';
}

static void read_tree(struct tern_str text, struct tern_str file, bool refuse,
                      struct tern_arena *arena, struct tern_model_config *ret_config,
                      struct tern_problems *problems)
{
    bool json = tern_str_ends(file, TERN_STR(".json"));
    bool pbtxt = tern_str_ends(file, TERN_STR(".pbtxt"));
    struct tern_tree *root;

    *ret_config = (struct tern_model_config){.file = file};
    if (pbtxt && looks_like_json(text)) {
        pbtxt = false;
        json = true;
    }
    if (tern_str_ends(file, TERN_STR(TERN_MLSERVER_SETTINGS_FILE)))
        root = tern_mlserver_settings_read(text, file, arena, &ret_config->batching, problems);
    else if (pbtxt)
        root = tern_pbtxt_tree_read(text, file, arena, problems);
    else
        root = tern_yaml_read(text, json ? TERN_YAML_FORM_JSON : TERN_YAML_FORM_YAML, file, arena,
                              problems);
    /* After a mistake in the format itself nothing more can be said; the tree is empty then. */
    if (root == NULL)
        root = tern_tree_add(arena, NULL, TERN_TREE_MAP);
    if (root == NULL) {
        tern_problem_add(problems, file, "no memory to read it");
        return;
    }
    const struct tern_schema_binding binding = {file, pbtxt, refuse};
    tern_model_schema_bind(root, &binding, arena, problems);
    ret_config->tree = root;
}

void tern_model_config_parse(struct tern_str text, struct tern_str file, struct tern_arena *arena,
                             struct tern_model_config *ret_config, struct tern_problems *problems)
{
    read_tree(text, file, false, arena, ret_config, problems);
}

void tern_model_config_read(struct tern_str text, struct tern_str file, struct tern_arena *arena,
                            struct tern_model_config *ret_config, struct tern_problems *problems)
{
    read_tree(text, file, true, arena, ret_config, problems);
    if (ret_config->tree != NULL)
        tern_model_config_extract(ret_config, arena, problems);
}

/* The text in the arena: names and words of protobuf text point into it. */
static struct tern_str read_file(const char *path, struct tern_str place, struct tern_arena *arena,
                                 struct tern_problems *problems)
{
    char *bytes;
    size_t n;
    struct tern_err err;

    if (tern_file_read(path, TERN_MODEL_CONFIG_FILE_MAX, 0, &bytes, &n, &err) != TERN_OK) {
        tern_problem_add(problems, place, "%s", err.text);
        return tern_str_make(NULL, 0);
    }
    struct tern_str text = tern_arena_copy(arena, tern_str_make(bytes, n));
    tern_mem_free(bytes);
    if (text.p == NULL)
        tern_problem_add(problems, place, "no memory to read it");
    return text;
}

/* A file of the model's folder, and how it is called in messages: "iris/config.pbtxt" is enough to
 * find it, and no path of this machine. */
struct config_file {
    const char *path; /* NULL: there is none */
    struct tern_str place;
};

static struct config_file look_for(const char *folder, struct tern_str name,
                                   struct tern_arena *arena)
{
    struct tern_file_info info;
    struct config_file file = {.path = tern_file_join(arena, folder, name)};

    if (file.path == NULL || tern_file_stat(file.path, &info, NULL) != TERN_OK || !info.is_regular)
        return (struct config_file){.path = NULL};
    file.place = tern_arena_printf(arena, "%.*s/%.*s", TERN_STR_ARG(tern_file_base_name(folder)),
                                   TERN_STR_ARG(name));
    return file;
}

static struct config_file find_file(const struct tern_model_config_source *source,
                                    struct tern_arena *arena, struct tern_problems *problems)
{
    struct config_file found = {.path = NULL};

    if (source->name.n > 0) {
        struct tern_str name =
            tern_arena_printf(arena, "configs/%.*s.pbtxt", TERN_STR_ARG(source->name));
        found = look_for(source->folder, name, arena);
        if (found.path != NULL)
            return found;
    }
    for (size_t i = 0; i < TERN_COUNT_OF(file_names); i++) {
        struct config_file one = look_for(source->folder, tern_str_of(file_names[i]), arena);
        if (one.path != NULL && found.path != NULL)
            tern_problem_add(problems, one.place, "stands beside %.*s: keep one of them",
                             TERN_STR_ARG(found.place));
        else if (one.path != NULL)
            found = one;
    }
    return found;
}

void tern_model_config_load(const struct tern_model_config_source *source, struct tern_arena *arena,
                            struct tern_model_config *ret_config, struct tern_problems *problems)
{
    struct config_file file = {.path = NULL, .place = TERN_STR("")};
    struct tern_str text = TERN_STR("");

    if (source->text.p != NULL) {
        file.place = TERN_STR("request/config.json");
        text = tern_arena_copy(arena, source->text);
        if (text.p == NULL) {
            tern_problem_add(problems, file.place, "no memory to read it");
            text = TERN_STR("");
        }
    } else if (source->folder != NULL) {
        file = find_file(source, arena, problems);
        if (file.path != NULL)
            text = read_file(file.path, file.place, arena, problems);
    }
    if (source->only_read)
        tern_model_config_parse(text, file.place, arena, ret_config, problems);
    else
        tern_model_config_read(text, file.place, arena, ret_config, problems);
}

void tern_model_config_load_batching(const char *version_path, struct tern_arena *arena,
                                     struct tern_model_config *config,
                                     struct tern_problems *problems)
{
    struct config_file file =
        look_for(version_path, TERN_STR(TERN_BATCHING_PARAMETERS_FILE), arena);
    struct tern_batching_parameters *parameters;

    if (file.path == NULL)
        return;
    struct tern_str text = read_file(file.path, file.place, arena, problems);
    parameters = tern_arena_zalloc(arena, 1, sizeof(*parameters));
    if (parameters == NULL) {
        tern_problem_add(problems, file.place, "no memory to read it");
        return;
    }
    tern_batching_parameters_read(text, file.place, arena, parameters, problems);
    config->batching = parameters;
}
