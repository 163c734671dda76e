/* The commands. Their options stand in conf/server_options.c and cli/client_options.c. */
#include "cli/build_edge_options.h"
#include "cli/client_options.h"
#include "cli/commands.h"
#include "cli/explain_options.h"
#include "cli/infer_options.h"
#include "cli/tune_options.h"
#include "conf/server_options.h"

const struct tern_command tern_commands[] = {
    {
        .name = "serve",
        .args = "PATH...",
        .args_min = 1,
        .args_max = TERN_REPOSITORIES_MAX,
        .summary = "Serve the models in a file, a folder or a repository",
        .help =
            "PATH is a model file (iris.onnx), a model folder (iris/1/model.onnx), or a "
            "repository of model folders. Of several, all are served; a model whose name stands "
            "in two of them is served from neither. Nothing needs to be configured: names, types "
            "and "
            "shapes come from the models.\n"
            "Options are read from flags, from variables (--http-body-max is "
            "TERN_HTTP_BODY_MAX) and from tern.yaml, in this order of priority. SIGTERM ends "
            "the server once requests in flight are answered, SIGHUP reads the options "
            "again.",
        .examples = "tern serve examples/models\n"
                    "tern serve model.onnx --listen 127.0.0.1:9000\n"
                    "tern serve models --model-control poll --listen unix:/run/tern.sock,admin\n"
                    "tern serve models --listen 0.0.0.0:8443,cert=server.pem,key=server.key,"
                    "client_ca=ca.pem\n",
        .options = &tern_server_options_table,
        .reads_file = true,
    },
    {
        .name = "check",
        .args = "[PATH...]",
        .args_max = TERN_REPOSITORIES_MAX,
        .summary = "Say everything that is wrong with a configuration and its models",
        .help = "Checks the options as `serve` would read them, then every model below PATH: its "
                "configuration, its files, and that both agree. All mistakes are printed, each "
                "with its place. Nothing is served.\n"
                "With --convert the configuration at PATH (a model's folder, or a file) is printed "
                "as protobuf text, YAML or JSON: Tern reads all three.",
        .examples = "tern check examples/models\n"
                    "tern check examples/models --no-load\n"
                    "tern check examples/models/digits_cnn --convert yaml\n"
                    "tern check --config tern.yaml\n",
        .options = &tern_check_options_table,
        .reads_file = true,
    },
    {
        .name = "infer",
        .args = "MODEL [DATA]",
        .args_max = 2,
        .summary = "Run rows of data through a model and print its predictions",
        .help =
            "MODEL is a model file, a model's folder or a repository, which is run in this process "
            "without a server; or a server's URL, which may end in /v2/models/NAME; or the name of "
            "a model of the server at http://127.0.0.1:8080. With --url or --model it may be left "
            "out.\n"
            "DATA is a file, or - for the standard input. It may hold an infer request as JSON, an "
            "array of rows as JSON for a model with one input, CSV (a column called label is the "
            "truth), NPY, or examples as in examples/data. Where it has the answers that were "
            "recorded, each is compared and a difference ends in status 1; where it has labels, "
            "the accuracy is printed.",
        .examples = "tern infer examples/models/iris examples/data/iris.csv\n"
                    "tern infer http://127.0.0.1:8080 --model iris examples/data/iris.json\n"
                    "echo 5.1,3.5,1.4,0.2 | tern infer iris -\n"
                    "tern infer model.onnx rows.npy --output json\n",
        .options = &tern_infer_options_table,
    },
    {
        .name = "explain",
        .args = "MODEL [ROWS]",
        .args_max = 2,
        .summary = "Say what each feature of a row adds to a model's prediction",
        .help =
            "MODEL and ROWS are what `infer` takes. Each row becomes a waterfall: from what the "
            "model answers on average over the background, by one bar for each feature, to its "
            "prediction. The values are Shapley values and add up.\n"
            "Without --method it is the exact one that the model has (trees, linear models: of the "
            "raw score, before a link function), else KernelSHAP, which takes any model and a "
            "background: rows of data that stand for the usual ones.",
        .examples =
            "tern explain examples/models/iris row.json --background examples/data/iris.csv\n"
            "tern explain iris row.json --class 2 --top 3\n"
            "tern explain http://127.0.0.1:8080 --model iris rows.csv --background zeros "
            "--output json\n",
        .options = &tern_explain_options_table,
    },
    {
        .name = "models",
        .args = "[NAME...]",
        .args_max = 256,
        .summary = "List the models of a server; load and unload them",
        .help = "Without a name all models are listed with their versions and states. Loading and "
                "unloading need a listener marked `admin`.",
        .examples = "tern models\n"
                    "tern models iris --show-config\n"
                    "tern models --load iris --url unix:/run/tern.sock\n",
        .options = &tern_models_options_table,
    },
    {
        .name = "explain-schedule",
        .args = "MODEL",
        .args_min = 1,
        .args_max = 1,
        .summary = "Say why requests for a model wait or run as they do",
        .help = "What the server learned of the model's runs (how long a batch of so many rows "
                "takes, and whether larger ones pay), what waits, what was refused, and its last "
                "decisions in words. A model that runs on the event loops has no queue: then it is "
                "what one of the loops learned.",
        .examples = "tern explain-schedule iris\n"
                    "tern explain-schedule iris --output json\n",
        .options = &tern_schedule_options_table,
    },
    {
        .name = "bench",
        .args = "[MODEL]",
        .args_max = 1,
        .summary = "Measure a server under load, checking every answer",
        .help = "With --rate, requests are sent on a fixed schedule (or by chance: --poisson) and "
                "measured from the moment they were due, so that a slow server cannot hide its "
                "queue; connections are opened as it takes. With --slo, the answers that came in "
                "time are the goodput. Without a rate each connection sends the next request when "
                "the answer is there.\n"
                "\n"
                "Every answer is compared: with the predictions recorded in the data, or with the "
                "first answer to the same request. One that differs, an error, or a request that "
                "could not be sent ends in exit status 1. Without MODEL it is the one that the "
                "data names, or the only one served. HTTP/1.1 over TCP or a Unix socket; no TLS.",
        .examples = "tern bench iris --rate 5000 --duration 10s\n"
                    "tern bench iris --rate 5000 --poisson --slo 20ms --output json\n"
                    "tern bench --data examples/data/digits_cnn.json -c 64 --binary\n",
        .options = &tern_bench_options_table,
    },
    {
        .name = "tune",
        .args = "PATH [MODEL]",
        .args_min = 1,
        .args_max = 2,
        .summary = "Find the settings that serve one model best on this machine",
        .help =
            "Starts servers of its own, loads them as `bench --poisson` does, and compares the "
            "greatest rate that each setting answers within --slo: nothing configured, no batches, "
            "dynamic_batching with several sizes and delays, numbers of instances and of the "
            "engine's threads, and the best of these together. All get short looks, the better "
            "half longer ones, and so on. The best is at last measured in turns with nothing "
            "configured: it is recommended only when it is better by more than 3 % and by more "
            "than the same measurement differs from itself.\n"
            "\n"
            "Prints a table, the best compromises between rate and p99 as a plot, and the lines "
            "for config.pbtxt. PATH is what `serve` takes and is only read; MODEL is needed where "
            "there are several. Ctrl-C prints what is known. The machine should have nothing else "
            "to do, and the load comes from it too: what is fastest here is that beside its "
            "clients.",
        .examples = "tern tune model.onnx --slo 20ms\n"
                    "tern tune models resnet --slo 50ms --data rows.json --quick\n"
                    "tern tune models/resnet --rate 200 --output json\n",
        .options = &tern_tune_options_table,
    },
    {
        .name = "build-edge",
        .args = "MODEL",
        .args_min = 1,
        .args_max = 1,
        .summary = "Make a program or a library of one model, for small machines",
        .help =
            "MODEL is a model file, a model's folder or a repository; the native engine has to run "
            "it. What is written holds that model and what evaluates it: no sockets, no files, no "
            "memory but what it is given. It is compiled from Tern's own sources, which this "
            "program carries, by the C compiler of this machine, or by a cross compiler.\n"
            "It is then run here (for another processor by qemu, if that is there): random rows, "
            "many of them where the model decides, are answered by it and by this program and "
            "compared, and the time of one row is measured. An answer that differs ends in status "
            "1, and nothing is written.",
        .examples = "tern build-edge models/fraud\n"
                    "tern build-edge xgboost.json --kind shared --out lib\n"
                    "tern build-edge model.txt --target arm64 --values half\n"
                    "tern build-edge models/fraud --prune 0.01 --data rows.csv\n",
        .options = &tern_build_edge_options_table,
    },
    {
        .name = "config",
        .args = "[PATH...]",
        .args_max = 16,
        .summary = "Print the options in effect, and where each comes from",
        .help =
            "Reads flags, variables and tern.yaml as `serve` would, and prints every option with "
            "its value as a file that reads back, secrets excepted. A command line of `serve` can "
            "be given as it is: PATH is not looked at.",
        .examples = "tern config\n"
                    "tern config --config tern.yaml --loops 2 > effective.yaml\n"
                    "tern config --persona triton --model-control-mode=explicit > tern.yaml\n",
        .options = &tern_server_options_table,
        .reads_file = true,
    },
    {
        .name = "version",
        .args = "",
        .summary = "Print the version and what this build can do",
        .help = "",
    },
    {
        .name = "help",
        .args = "[TOPIC]",
        .args_max = 1,
        .summary = "Explain a command or a topic",
        .help = "Topics besides the commands: options, exit-codes, sample, schema, triton.",
        .examples = "tern help serve\n"
                    "tern help options\n"
                    "tern help sample > tern.yaml\n",
    },
    {
        .name = "completion",
        .args = "[bash]",
        .args_max = 1,
        .summary = "Print a script that completes commands and options in bash",
        .help = "Add this line to ~/.bashrc.",
        .examples = "source <(tern completion bash)\n",
    },
};

const uint32_t tern_commands_n = TERN_COUNT_OF(tern_commands);
