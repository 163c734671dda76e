/* The documentation of a model's configuration, from the table. */
#include "registry/model_schema.h"

#define MESSAGES_MAX 64

static const char *type_name(const struct tern_schema_field *field)
{
    static const char *const names[] = {
        [TERN_SCHEMA_BOOL] = "bool",     [TERN_SCHEMA_INT32] = "int32",
        [TERN_SCHEMA_INT64] = "int64",   [TERN_SCHEMA_UINT32] = "uint32",
        [TERN_SCHEMA_UINT64] = "uint64", [TERN_SCHEMA_FLOAT] = "number",
        [TERN_SCHEMA_DOUBLE] = "number", [TERN_SCHEMA_STRING] = "string",
        [TERN_SCHEMA_ENUM] = "enum",     [TERN_SCHEMA_MESSAGE] = "",
    };
    return field->type == TERN_SCHEMA_MESSAGE ? field->message->name : names[field->type];
}

static void print_field(const struct tern_schema_field *f, struct tern_buf *out)
{
    static const char *const labels[] = {"", "list of ", "map of ", "one of: "};

    tern_buf_printf(out, "| `%s` | %u | %s%s", f->name, (unsigned)f->number, labels[f->label],
                    type_name(f));
    for (const struct tern_schema_enum *v = f->values; v != NULL && v->name != NULL; v++)
        tern_buf_printf(out, "%s `%s`", v == f->values ? "" : ",", v->name);
    if (f->how == TERN_SCHEMA_REFUSED)
        tern_buf_printf(out, " | refused: %s |\n", f->why);
    else
        tern_buf_printf(out, " | %s |\n", f->how == TERN_SCHEMA_HONOURED ? "honoured" : "kept");
}

/* Adds the messages of a message's fields behind it, each once: breadth first. */
static uint32_t collect(const struct tern_schema_message **messages)
{
    uint32_t n = 1;

    messages[0] = &tern_model_schema;
    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t j = 0; j < messages[i]->n; j++) {
            const struct tern_schema_message *m = messages[i]->fields[j].message;
            bool known = m == NULL || m->n == 0 || n == MESSAGES_MAX;
            for (uint32_t k = 0; k < n && !known; k++)
                known = messages[k] == m;
            if (!known)
                messages[n++] = m;
        }
    }
    return n;
}

static void print_intro(struct tern_buf *out)
{
    TERN_BUF_ADD_LITERAL(
        out,
        "# Configuration of a model\n\n"
        "A model needs none: names, types and shapes come from its file. To say more, put one of\n"
        "`config.pbtxt`, `config.yaml` or `config.json` in the model's folder. The fields are "
        "those "
        "of\nTriton's ModelConfig, so a repository made for Triton is read as it is, and what the "
        "config route\nprints can be pasted back.\n\n"
        "```yaml\nmax_batch_size: 32          # dims below then leave out the batch dimension\n"
        "input:\n  - {name: image, data_type: TYPE_FP32, dims: [1, 8, 8]}\n"
        "output:\n  - {name: probabilities, label_filename: labels.txt}\n"
        "version_policy: {latest: {num_versions: 2}}\n"
        "parameters: {intra_op_thread_count: 2}\n```\n\n"
        "*Honoured* fields do what they say. *Kept* ones are checked and printed back, and have no "
        "effect:\nthey are about other hardware or other servers, and never change an "
        "answer.\n*Refused* ones would, if they were ignored: the model is then not "
        "served, and the message names the\nfield. `tern check PATH` lists every mistake with "
        "file, line and column; `tern check PATH --convert yaml`\n(or `json`, `pbtxt`) prints a "
        "configuration in another form.\n\n"
        "A file that is there is checked against the model and completed from it, unless\n"
        "`--no-model-auto-complete` demands that it describes every input and output. "
        "`max_batch_size` that is\nleft out stays 0, so batches of any size are taken, and whether "
        "requests may share a run is found out at\nload (`doc/scheduling.md`; a written "
        "`max_batch_size: 0` says that they may not).\n`--model-default-max-batch-size` gives "
        "another number to models whose first dimensions are all free. With\n"
        "`--model-config-name NAME` the file `configs/NAME.pbtxt` of a model's folder goes before "
        "the others.\n\n"
        "## Batches\n\n"
        "Requests for a model with `max_batch_size` run together when that is worth it: as large "
        "as load and deadlines\nmake it, with nothing to tune (`doc/scheduling.md`). With "
        "`dynamic_batching` Triton's rules hold instead, to the\nletter. `--sched-batching "
        "configured` batches only such models, `off` none. What Triton has no field for stands\n"
        "in `parameters`:\n\n"
        "| parameter | example | |\n| --- | --- | --- |\n"
        "| `slo` | `20ms` | how long an answer usually may take: what requests without a "
        "deadline of their own are planned for; `--sched-slo` where it is not given |\n"
        "| `batch_cost_input` | `input_ids` | the input whose elements (tokens) count instead of "
        "rows |\n"
        "| `batch_cost_max` | `4096` | how many of them one batch has at most |\n\n"
        "Any `priority_levels` are served, requests of at most 16 of them at a time. Of a "
        "`passive` instance group no instances are "
        "made.\n\n");
    TERN_BUF_ADD_LITERAL(
        out,
        "## Other servers' files\n\n"
        "**TF Serving.** `batching_params.pbtxt` in a version's folder, or for all models the file "
        "of "
        "`--sched-batching-parameters`,\nholds where `dynamic_batching` is not given: "
        "`max_batch_size`, `batch_timeout_micros`, `max_enqueued_batches`\n(times the batch size: "
        "requests that may wait), `num_batch_threads` (instances of a model) and "
        "`allowed_batch_sizes`\n(smaller batches are filled up). What is told for all models holds "
        "for those with `max_batch_size`, and for others\nonce trying shows that their rows do not "
        "know of each other; what is told for one is believed. A request that is\nlarger than a "
        "batch runs in one piece, and inputs of other lengths are not padded but run apart.\n\n"
        "**MLServer.** `model-settings.json` is a configuration like the others: `name` (the "
        "folder's), `inputs`, `outputs`,\n`max_batch_size` with `max_batch_time` (seconds; a batch "
        "is that many rows, or what came in that time),\n`cache_enabled`, `parameters.uri` (a file "
        "of the folder) and `parameters.extra` (as `parameters` above). What\nMLServer needs to "
        "run "
        "Python, such as `implementation` and environments, is not looked at; the model's file\n"
        "decides. Versions are folders, not `parameters.version`.\n\n"
        "## By request\n\n"
        "With `--model-control explicit` a load may bring a configuration, and the model's files "
        "with it:\n\n"
        "```sh\ncurl -d '{\"parameters\": {\"config\": \"{\\\"max_batch_size\\\": 8}\", "
        "\"file:1/model.onnx\": \"<base64>\"}}' \\\n"
        "  http://127.0.0.1:8080/v2/repository/models/NAME/load\n```\n\n"
        "`config` is JSON and stands in for the file's, all of it, until the next load without "
        "one. With files the\nrepository's folder is not looked at: the model is loaded from a "
        "private folder below `$TMPDIR` that holds\njust these, and goes when the model does. "
        "What cannot be loaded changes nothing: the old versions stay.\n\n"
        "Generated from `src/registry/model_schema.c`; a test compares (`TERN_UPDATE=1 make "
        "test-unit` writes it\nanew).\n");
}

void tern_model_schema_page(struct tern_buf *out)
{
    const struct tern_schema_message *messages[MESSAGES_MAX];
    uint32_t n = collect(messages);

    print_intro(out);
    for (uint32_t i = 0; i < n; i++) {
        tern_buf_printf(out,
                        "\n## %s\n\n| field | number | type | what Tern does |\n"
                        "| --- | --- | --- | --- |\n",
                        messages[i]->name);
        for (uint32_t j = 0; j < messages[i]->n; j++)
            print_field(&messages[i]->fields[j], out);
    }
}
