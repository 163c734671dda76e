/* LightGBM's text: lines "key=value", first the model's, then those of each tree after "Tree=i" up
 * to an empty line, then "end of trees" and what prediction does not need. */
#include "engine/native/lightgbm/lightgbm_text.h"

#include <string.h>
#include "base/num.h"
#include "engine/native/lightgbm/lightgbm.h"

/* ---- lines and words ---- */

bool tern_lightgbm_next_line(struct tern_lightgbm_text *text, struct tern_str *ret)
{
    size_t left = (size_t)(text->end - text->p);

    if (left == 0)
        return false;
    const char *newline = memchr(text->p, '\n', left);
    size_t n = newline == NULL ? left : (size_t)(newline - text->p);
    *ret = tern_str_make(text->p, n);
    if (n > 0 && text->p[n - 1] == '\r')
        ret->n--;
    text->p += newline == NULL ? n : n + 1;
    text->line++;
    return true;
}

bool tern_lightgbm_cut_key(struct tern_str line, struct tern_str *ret_key,
                           struct tern_str *ret_value)
{
    size_t at = tern_str_find(line, '=');

    *ret_key = tern_str_make(line.p, at);
    *ret_value = tern_str_from(line, at + 1);
    return at < line.n;
}

bool tern_lightgbm_next_word(struct tern_str *rest, struct tern_str *ret)
{
    size_t begin = 0, end;

    /* Byte by byte: words are short, and there are millions. */
    while (begin < rest->n && rest->p[begin] == ' ')
        begin++;
    for (end = begin; end < rest->n && rest->p[end] != ' ';)
        end++;
    *ret = tern_str_make(rest->p + begin, end - begin);
    *rest = tern_str_from(*rest, end);
    return end > begin;
}

size_t tern_lightgbm_count_words(struct tern_str list)
{
    struct tern_str word;
    size_t n = 0;

    while (tern_lightgbm_next_word(&list, &word))
        n++;
    return n;
}

/* ---- the head ---- */

static enum tern_code read_count(struct tern_str key, struct tern_str value, uint32_t max,
                                 uint32_t *ret, struct tern_err *err)
{
    uint64_t number;

    if (!tern_num_parse_u64(value, max, &number))
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "%.*s: expected a whole number up to %u, got '%.*s'", TERN_STR_ARG(key),
                         max, TERN_STR_ARG(value));
    *ret = (uint32_t)number;
    return TERN_OK;
}

struct head {
    struct tern_str names, infos;
    uint32_t seen;
    uint32_t max_feature;
};

enum head_line {
    HEAD_VERSION,
    HEAD_CLASSES,
    HEAD_PER_ITERATION,
    HEAD_LABEL,
    HEAD_FEATURES,
    HEAD_OBJECTIVE,
    HEAD_AVERAGE,
    HEAD_NAMES,
    HEAD_MONOTONE,
    HEAD_INFOS,
    HEAD_SIZES,
    HEAD_COUNT,
};

static const char *const head_lines[HEAD_COUNT] = {
    [HEAD_VERSION] = "version",
    [HEAD_CLASSES] = "num_class",
    [HEAD_PER_ITERATION] = "num_tree_per_iteration",
    [HEAD_LABEL] = "label_index",
    [HEAD_FEATURES] = "max_feature_idx",
    [HEAD_OBJECTIVE] = "objective",
    [HEAD_AVERAGE] = "average_output",
    [HEAD_NAMES] = "feature_names",
    [HEAD_MONOTONE] = "monotone_constraints",
    [HEAD_INFOS] = "feature_infos",
    [HEAD_SIZES] = "tree_sizes",
};

static enum tern_code read_head_line(struct tern_lightgbm_text *text, struct head *head,
                                     enum head_line line, struct tern_str value,
                                     struct tern_err *err)
{
    struct tern_lightgbm *model = &text->model;
    struct tern_str key = tern_str_of(head_lines[line]);

    switch (line) {
    case HEAD_VERSION:
        model->version = value;
        return TERN_OK;
    case HEAD_CLASSES:
        return read_count(key, value, TERN_FOREST_OUTPUTS_MAX, &model->n_class, err);
    case HEAD_PER_ITERATION:
        return read_count(key, value, TERN_FOREST_OUTPUTS_MAX, &model->n_outputs, err);
    case HEAD_FEATURES:
        TERN_TRY(read_count(key, value, TERN_FOREST_FEATURES_MAX - 1, &head->max_feature, err));
        model->n_features = head->max_feature + 1;
        return TERN_OK;
    case HEAD_OBJECTIVE:
        model->objective = value;
        return TERN_OK;
    case HEAD_AVERAGE:
        model->average = true;
        return TERN_OK;
    case HEAD_NAMES:
        head->names = value;
        return TERN_OK;
    case HEAD_INFOS:
        head->infos = value;
        return TERN_OK;
    case HEAD_SIZES:
        text->n_trees = (int64_t)tern_lightgbm_count_words(value);
        return TERN_OK;
    case HEAD_LABEL:
    case HEAD_MONOTONE:
    case HEAD_COUNT:
        break;
    }
    return TERN_OK;
}

static enum tern_code read_names(struct tern_lightgbm *model, struct tern_str names,
                                 struct tern_err *err)
{
    struct tern_arena *arena = model->source->arena;
    struct tern_str rest = tern_arena_copy(arena, names);
    struct tern_str *list = tern_arena_zalloc(arena, model->n_features, sizeof(*list));
    uint32_t n = 0;

    if ((rest.p == NULL && names.n > 0) || list == NULL)
        return tern_arena_fail(arena, err, "the features' names");
    while (n < model->n_features && tern_lightgbm_next_word(&rest, &list[n]))
        n++;
    model->program->feature_names = list;
    model->program->n_feature_names = n;
    return TERN_OK;
}

static enum tern_code check_features(const struct tern_lightgbm *model, const char *key,
                                     struct tern_str list, struct tern_err *err)
{
    size_t n = tern_lightgbm_count_words(list);

    if (n == model->n_features)
        return TERN_OK;
    return tern_fail(err, TERN_INVALID_ARGUMENT,
                     "%s: expected %u, as max_feature_idx says, got %zu", key, model->n_features,
                     n);
}

/* What stands after the last tree: before 2.2 there was no line of its own. */
static bool is_end(struct tern_str line)
{
    return tern_str_eq(line, TERN_STR("end of trees")) ||
           tern_str_eq(line, TERN_STR("feature importances:"));
}

/* The head, through the line "Tree=0" or "end of trees", which is in *ret_line. */
static enum tern_code read_head(struct tern_lightgbm_text *text, struct tern_str *ret_line,
                                struct tern_err *err)
{
    struct head head = {0};
    struct tern_str line, key, value;

    if (!tern_lightgbm_next_line(text, &line) || !tern_str_eq(line, TERN_STR("tree")))
        return tern_fail(err, TERN_INVALID_ARGUMENT, "expected 'tree'");
    while (true) {
        unsigned i = 0;
        if (!tern_lightgbm_next_line(text, &line))
            return tern_fail(err, TERN_INVALID_ARGUMENT, "the file ends before its trees");
        if (tern_str_starts(line, TERN_STR("Tree=")) || is_end(line))
            break;
        if (line.n == 0)
            continue;
        (void)tern_lightgbm_cut_key(line, &key, &value);
        while (i < HEAD_COUNT && !tern_str_eq(tern_str_of(head_lines[i]), key))
            i++;
        if (i == HEAD_COUNT)
            return tern_fail(err, TERN_UNIMPLEMENTED, "what '%.*s' does is not known",
                             TERN_STR_ARG(key));
        if ((head.seen & (1u << i)) != 0)
            return tern_fail(err, TERN_INVALID_ARGUMENT, "%s stands there twice", head_lines[i]);
        head.seen |= 1u << i;
        TERN_TRY(read_head_line(text, &head, (enum head_line)i, value, err));
    }
    TERN_TRY(tern_lightgbm_begin(&text->model, err));
    TERN_TRY(check_features(&text->model, "feature_names", head.names, err));
    TERN_TRY(check_features(&text->model, "feature_infos", head.infos, err));
    TERN_TRY(read_names(&text->model, head.names, err));
    *ret_line = line;
    return TERN_OK;
}

/* ---- the file ---- */

/* *line is "Tree=i"; afterwards it is the line after that tree and its empty lines. */
static enum tern_code next_tree(struct tern_lightgbm_text *text, struct tern_str *line,
                                struct tern_err *err)
{
    uint32_t at = text->line;
    uint64_t number;
    enum tern_code code;

    if (!tern_num_parse_u64(tern_str_from(*line, 5), UINT32_MAX, &number) ||
        number != text->model.n_trees)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "line %u: expected 'Tree=%u', got '%.*s'", at,
                         text->model.n_trees, TERN_STR_ARG(*line));
    code = tern_lightgbm_text_tree(text, err);
    if (code != TERN_OK) {
        if (err == NULL || !tern_str_starts(tern_str_of(err->text), TERN_STR("tree ")))
            tern_err_prefix(err, "tree %u", text->model.n_trees);
        tern_err_prefix(err, "line %u", at);
        return code;
    }
    do {
        if (!tern_lightgbm_next_line(text, line))
            return tern_fail(err, TERN_INVALID_ARGUMENT,
                             "the file ends after tree %u, before 'end of trees'",
                             text->model.n_trees - 1);
    } while (line->n == 0);
    return TERN_OK;
}

static enum tern_code read_file(struct tern_lightgbm_text *text, struct tern_err *err)
{
    struct tern_str line = {NULL, 0};
    enum tern_code code = read_head(text, &line, err);

    if (code != TERN_OK) {
        tern_err_prefix(err, "line %u", text->line);
        return code;
    }
    while (tern_str_starts(line, TERN_STR("Tree=")))
        TERN_TRY(next_tree(text, &line, err));
    if (!is_end(line))
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "line %u: expected 'Tree=%u' or 'end of trees', got '%.*s'", text->line,
                         text->model.n_trees, TERN_STR_ARG(line));
    if (text->n_trees >= 0 && text->n_trees != text->model.n_trees)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "tree_sizes is of %lld trees, but there are %u", (long long)text->n_trees,
                         text->model.n_trees);
    return tern_lightgbm_end(&text->model, err);
}

static enum tern_code load(const struct tern_native_source *source, struct tern_program *program,
                           struct tern_err *err)
{
    struct tern_lightgbm_text text = {
        .p = source->bytes.p, .end = source->bytes.p + source->bytes.n, .n_trees = -1};

    tern_lightgbm_init(&text.model, source, program);
    enum tern_code code = read_file(&text, err);
    tern_lightgbm_fini(&text.model);
    tern_lightgbm_text_fini(&text);
    return code;
}

static int probe(struct tern_str file_name, struct tern_str head)
{
    (void)file_name;
    return tern_str_starts(head, TERN_STR("tree\nversion=")) ||
                   tern_str_starts(head, TERN_STR("tree\r\nversion=")) ||
                   tern_str_starts(head, TERN_STR("tree\nnum_class="))
               ? 90
               : 0;
}

const struct tern_native_format tern_lightgbm_text = {
    .name = "lightgbm",
    .help = "LightGBM, text",
    .probe = probe,
    .load = load,
};
