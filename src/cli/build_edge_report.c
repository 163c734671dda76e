#include "cli/build_edge.h"

#include <inttypes.h>
#include <unistd.h>
#include "cli/table.h"
#include "wire/json.h"

static void print_row(struct tern_table *table, const char *what)
{
    tern_table_row(table);
    tern_table_cell(table, TERN_TONE_QUIET, "%s", what);
}

/* What the row says of the model as it was, where that is another. */
#define PRINT_BEFORE(build, table, ...)                             \
    do {                                                            \
        if ((build)->pruning.has_before)                            \
            tern_table_cell((table), TERN_TONE_QUIET, __VA_ARGS__); \
    } while (0)

/* The datatype of the inputs, when they have the same. */
static const char *takes(const struct tern_native_emitted *emitted)
{
    for (uint32_t i = 1; i < emitted->n_inputs; i++)
        if (emitted->inputs[i].dtype != emitted->inputs[0].dtype)
            return "of several kinds";
    return tern_dtype_name(emitted->inputs[0].dtype);
}

static void print_files(const struct tern_build_edge *build, struct tern_table *table)
{
    for (uint32_t i = 0; i < build->n_files; i++) {
        print_row(table, i == 0 ? "written" : "");
        tern_table_cell(table, TERN_TONE_STRONG, "%s, %" PRIu64 " bytes", build->files[i],
                        build->sizes[i].file);
    }
}

static void print_pruning(const struct tern_build_edge *build, struct tern_table *table)
{
    const struct tern_edge_pruning *pruning = &build->pruning;
    const struct tern_forest_pruned *forest = &pruning->forest;

    if (forest->n_trees[0] == 0)
        return;
    print_row(table, "trees");
    tern_table_cell(table, TERN_TONE_PLAIN, "%u, %" PRIu64 " nodes", forest->n_trees[1],
                    forest->n_nodes[1]);
    PRINT_BEFORE(build, table, "%u, %" PRIu64 " nodes", forest->n_trees[0], forest->n_nodes[0]);
    if (!pruning->is_asked)
        return;
    print_row(table, "a sum changes by");
    tern_table_cell(table, TERN_TONE_PLAIN, "at most %.3g", forest->bound);
    print_row(table, "an answer changes by");
    tern_table_cell(
        table, TERN_TONE_PLAIN, "at most %.3g, mean %.3g, %u rows %s%s", pruning->largest,
        pruning->n_numbers == 0 ? 0 : pruning->sum / (double)pruning->n_numbers, pruning->n_rows,
        pruning->data == NULL ? "at random" : "of ", pruning->data == NULL ? "" : pruning->data);
}

static void print_run(const struct tern_build_edge *build, struct tern_table *table)
{
    const struct tern_edge_found *found = &build->found, *before = &build->pruning.found;
    const char *how = build->emulator != NULL ? " (emulated)" : "";

    print_row(table, "answers");
    if (found->equal == found->numbers)
        tern_table_cell(table, TERN_TONE_GOOD, "equal to the bit on %u random rows", found->rows);
    else
        tern_table_cell(table, TERN_TONE_PLAIN,
                        "%" PRIu64 " of %" PRIu64 " equal to the bit, largest difference %.3g "
                        "(%.2g of the number)",
                        found->equal, found->numbers, found->largest, found->largest_part);
    print_row(table, "one row");
    tern_table_cell(table, TERN_TONE_PLAIN, "p50 %" PRIu64 " ns, p99 %" PRIu64 " ns%s",
                    found->p50_ns, found->p99_ns, how);
    PRINT_BEFORE(build, table, "p50 %" PRIu64 " ns, p99 %" PRIu64 " ns", before->p50_ns,
                 before->p99_ns);
    print_row(table, "resident");
    tern_table_cell(table, TERN_TONE_PLAIN, "%" PRIu64 " KiB%s", found->rss_bytes >> 10, how);
}

static void print_table(const struct tern_build_edge *build, struct tern_buf *out)
{
    const struct tern_native_emitted *emitted = &build->emitted;
    struct tern_table table;

    tern_table_init(&table, build->arena);
    tern_table_column(&table, "", false);
    tern_table_column(&table, build->emit.name, false);
    if (build->pruning.has_before)
        tern_table_column(&table, "before", false);
    print_files(build, &table);
    print_row(&table, "takes, gives");
    tern_table_cell(&table, TERN_TONE_PLAIN, "%u %s, %u %s", emitted->n_columns, takes(emitted),
                    emitted->output.n, tern_dtype_name(emitted->output.dtype));
    print_row(&table, "model");
    tern_table_cell(&table, TERN_TONE_PLAIN, "%zu bytes of constants", emitted->model_bytes);
    PRINT_BEFORE(build, &table, "%zu bytes", build->pruning.emitted.model_bytes);
    print_pruning(build, &table);
    if (build->object != NULL) {
        print_row(&table, "code");
        tern_table_cell(&table, TERN_TONE_PLAIN, "%" PRIu64 " bytes, without the C library",
                        build->object_sizes.code);
    }
    print_row(&table, "working memory");
    tern_table_cell(&table, TERN_TONE_PLAIN, "%zu bytes for %u rows at once",
                    emitted->working_bytes, emitted->rows);
    if (build->was_run) {
        print_run(build, &table);
    } else {
        print_row(&table, "answers");
        tern_table_cell(&table, TERN_TONE_BAD, "not compared: %s",
                        build->program == NULL ? "there is no compiler"
                                               : "there is no emulator (Debian: qemu-user)");
    }
    tern_table_print(&table, 0, tern_table_colour(STDOUT_FILENO), out);
}

static void print_pruning_json(const struct tern_edge_pruning *pruning, struct tern_buf *out)
{
    const struct tern_forest_pruned *forest = &pruning->forest;

    if (forest->n_trees[0] == 0)
        return;
    tern_buf_printf(out,
                    ",\"pruning\":{\"trees\":%u,\"trees_before\":%u,\"nodes\":%" PRIu64
                    ",\"nodes_before\":%" PRIu64
                    ",\"bound\":%.9g,\"rows\":%u,\"largest_difference\":%.9g,"
                    "\"mean_difference\":%.9g",
                    forest->n_trees[1], forest->n_trees[0], forest->n_nodes[1], forest->n_nodes[0],
                    forest->bound, pruning->n_rows, pruning->largest,
                    pruning->n_numbers == 0 ? 0 : pruning->sum / (double)pruning->n_numbers);
    if (pruning->has_before)
        tern_buf_printf(out, ",\"model_bytes_before\":%zu,\"p50_ns_before\":%" PRIu64,
                        pruning->emitted.model_bytes, pruning->found.p50_ns);
    tern_buf_add_char(out, '}');
}

static void print_json(const struct tern_build_edge *build, struct tern_buf *out)
{
    const struct tern_native_emitted *emitted = &build->emitted;
    const struct tern_edge_found *found = &build->found;

    tern_buf_printf(out, "{\"name\":\"%s\",\"files\":[", build->emit.name);
    for (uint32_t i = 0; i < build->n_files; i++) {
        tern_buf_printf(out, "%s{\"path\":", i == 0 ? "" : ",");
        tern_json_add_string(out, tern_str_of(build->files[i]));
        tern_buf_printf(out, ",\"bytes\":%" PRIu64 "}", build->sizes[i].file);
    }
    tern_buf_printf(out,
                    "],\"features\":%u,\"outputs\":%u,\"input\":\"%s\",\"output\":\"%s\","
                    "\"model_bytes\":%zu,\"code_bytes\":%" PRIu64 ",\"working_bytes\":%zu",
                    emitted->n_columns, emitted->output.n, takes(emitted),
                    tern_dtype_name(emitted->output.dtype), emitted->model_bytes,
                    build->object_sizes.code, emitted->working_bytes);
    print_pruning_json(&build->pruning, out);
    if (build->was_run)
        tern_buf_printf(out,
                        ",\"run\":{\"emulated\":%s,\"rows\":%u,\"numbers\":%" PRIu64
                        ",\"equal\":%" PRIu64 ",\"largest_difference\":%.9g,\"p50_ns\":%" PRIu64
                        ",\"p99_ns\":%" PRIu64 ",\"rss_bytes\":%" PRIu64 "}",
                        build->emulator != NULL ? "true" : "false", found->rows, found->numbers,
                        found->equal, found->largest, found->p50_ns, found->p99_ns,
                        found->rss_bytes);
    TERN_BUF_ADD_LITERAL(out, "}\n");
}

void tern_build_edge_print(const struct tern_build_edge *build, struct tern_buf *out)
{
    if (build->options->form == TERN_OUTPUT_FORM_JSON)
        print_json(build, out);
    else
        print_table(build, out);
}
