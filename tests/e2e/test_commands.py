"""The other commands, from a shell's point of view: output, exit status, advice."""
# covers: cli/check cli/convert cli/infer cli/infer_local cli/infer_remote cli/infer_report
# covers: cli/offline

import json
import os
import subprocess

import numpy
import pytest

from harness import DEADLINE, EXAMPLES, TERN, model_file, put_model

DATA = EXAMPLES / "data"
MODELS = EXAMPLES / "models"


def tern(*args, text=True, **options):
    return subprocess.run([TERN, *map(str, args)], capture_output=True, text=text, timeout=DEADLINE + 30, **options)


@pytest.fixture(params=["here", "server"])
def place(request, server):
    """The same model in the command's own process and behind a server."""
    return lambda model: [MODELS / model] if request.param == "here" else [server.url, "--model", model]


@pytest.mark.parametrize("model", ["iris", "breast_cancer", "diabetes", "digits_mlp", "digits_cnn"])
def test_infer_compares_with_what_was_recorded(place, model):
    done = tern("infer", *place(model), DATA / f"{model}.json")
    assert done.returncode == 0, done.stderr
    assert "every answer equals the recorded one" in done.stdout
    assert ("accuracy 0.9" in done.stdout) or ("R2 0.39" in done.stdout)
    assert "\033" not in done.stdout


def test_infer_reports_a_difference(place, tmp_path):
    data = json.loads((DATA / "iris.json").read_text())
    data["outputs"]["1"][0]["data"][3] = 0
    (tmp_path / "changed.json").write_text(json.dumps(data))
    done = tern("infer", *place("iris"), tmp_path / "changed.json")
    assert done.returncode == 1
    assert "1 of 50 rows differ" in done.stdout and "row 4, label: 2, recorded 0" in done.stdout


def test_infer_forms(place, tmp_path):
    by_csv = tern("infer", *place("iris"), DATA / "iris.csv", "-o", "json")
    rows = numpy.genfromtxt(DATA / "iris.csv", delimiter=",", skip_header=1)
    numpy.save(tmp_path / "rows.npy", rows)  # float64: converted
    by_npy = tern("infer", *place("iris"), tmp_path / "rows.npy", "-o", "json")
    by_pipe = tern("infer", *place("iris"), "-", "-o", "json", input=json.dumps(rows.tolist()))
    answers = [json.loads(done.stdout)["outputs"] for done in (by_csv, by_npy, by_pipe)]
    assert answers[0] == answers[1] == answers[2]
    assert len(answers[0][0]["data"]) == 8
    out = tern("infer", *place("iris"), DATA / "iris.csv", "-o", "npy", text=False)
    (tmp_path / "answer.npy").write_bytes(out.stdout)
    assert numpy.load(tmp_path / "answer.npy").tolist() == answers[0][0]["data"]


def test_infer_in_batches(place):
    whole = tern("infer", *place("digits_cnn"), DATA / "digits_cnn.json", "-o", "json")
    parts = tern("infer", *place("digits_cnn"), DATA / "digits_cnn.json", "-o", "json", "--batch", "7")
    assert parts.returncode == 0, parts.stderr
    a, b = (json.loads(done.stdout)["outputs"][0] for done in (whole, parts))
    assert a["shape"] == b["shape"] == [100, 10]
    numpy.testing.assert_allclose(a["data"], b["data"], atol=1e-5)


@pytest.mark.parametrize(
    "args, status, text",
    [
        (["infer", "http://127.0.0.1:1", "--model", "iris", "-"], 3, "Is the server running?"),
        (["infer", MODELS, DATA / "iris.csv"], 1, "Choose with --model NAME"),
        (["infer", MODELS, "--model", "nope", DATA / "iris.csv"], 1, "no such model"),
        (["infer", MODELS / "iris", "--model-version", "7", DATA / "iris.csv"], 1, "has no version 7"),
        (["infer", MODELS / "digits_mlp", DATA / "iris.csv"], 1, "64 columns"),
        (["infer", MODELS / "iris", "/nonexistent.csv"], 1, "/nonexistent.csv"),
        (["infer", "a", "b", "c"], 2, "too many"),
        (["infer", "--nope"], 2, "no such option"),
        (["nope"], 2, "nope"),
    ],
)
def test_mistakes(args, status, text):
    done = tern(*args, input="1,2,3,4\n")
    assert (done.returncode, text in done.stderr) == (status, True), (done.returncode, done.stderr)


def test_infer_on_a_server_that_has_not_the_model(server):
    done = tern("infer", server.url, "--model", "nope", DATA / "iris.csv")
    assert done.returncode == 1 and "unknown model" in done.stderr


def test_check_of_what_is_right():
    done = tern("check", MODELS)
    assert done.returncode == 0 and "5 models, 5 versions: nothing is wrong" in done.stdout


def test_check_lists_every_mistake(repository):
    put_model(repository, "good", model_file("iris"))
    put_model(repository, "cut", model_file("iris").read_bytes()[:200])
    put_model(repository, "named", model_file("iris"), config='input [{ name: "x" data_type: TYPE_FP32 dims: [4] }]')
    put_model(
        repository,
        "typed",
        model_file("iris"),
        config='max_batch_size: many\n\ninput [{ name: "features" data_type: TYPE_REAL dims: [4] }]',
    )
    done = tern("check", repository)
    assert done.returncode == 1
    for part in ("named/config.pbtxt:1:", "typed/config.pbtxt:1:", "typed/config.pbtxt:3:", "cut/1: "):
        assert f"{repository}/{part}" in done.stdout, done.stdout
    assert "3 of 4 models cannot be served" in done.stdout


def test_check_of_options(tmp_path):
    (tmp_path / "tern.yaml").write_text("log:\n  level: loud\nhttp:\n  bodymax: 3\n")
    done = tern("check", MODELS, cwd=tmp_path)
    assert done.returncode in (1, 2)
    assert "tern.yaml:2" in done.stderr and "tern.yaml:4" in done.stderr


def test_check_without_loading(repository):
    put_model(repository, "cut", model_file("iris").read_bytes()[:200])
    assert tern("check", repository, "--no-load").returncode == 0
    put_model(repository, "typed", model_file("iris"), config="max_batch_size: many")
    done = tern("check", repository, "--no-load")
    assert done.returncode == 1 and f"{repository}/typed/config.pbtxt:1:" in done.stdout


def test_check_says_once_that_an_engine_is_not_there():
    env = {**os.environ, "TERN_ONNXRUNTIME": "/nowhere/libonnxruntime.so"}
    done = tern("check", MODELS, env=env)
    assert done.returncode == 1
    assert done.stdout.count("ONNX Runtime") == 1 and "\n5 not loaded: ONNX Runtime" in done.stdout
    assert "5 of 5 models cannot be served" in done.stdout


@pytest.mark.parametrize("said", ['backend: "python"', 'platform: "pytorch_libtorch"', 'backend: "onnx"'])
def test_check_names_a_backend_that_is_not_there(tmp_path, said):
    version = tmp_path / "models" / "other" / "1"
    version.mkdir(parents=True)
    (version / "model.py").write_text("pass")
    (version.parent / "config.pbtxt").write_text(said)
    done = tern("check", tmp_path / "models")
    assert done.returncode == 1
    assert said.replace(":", "") + " is not served here, expected one of: onnxruntime" in done.stdout


def test_check_of_several(tmp_path, repository):
    put_model(repository, "both", model_file("iris"))
    put_model(tmp_path / "other", "both", model_file("iris"))
    put_model(tmp_path / "other", "one", model_file("iris"))
    done = tern("check", repository, tmp_path / "other")
    assert done.returncode == 1 and "model appears in two or more repositories" in done.stdout
    assert "1 of 2 models cannot be served" in done.stdout
    assert tern("check", repository, tmp_path / "other", "--convert", "json").returncode == 2


def test_convert(tmp_path, repository):
    text = 'max_batch_size: 8\nensemble_scheduling { step { model_name: "a" } }  # refused, but it converts\n'
    put_model(repository, "one", model_file("iris"), config=text)
    yaml = tern("check", repository / "one", "--convert", "yaml").stdout
    assert yaml == 'max_batch_size: 8\nensemble_scheduling:\n  step:\n    - model_name: "a"\n'
    (tmp_path / "one.yaml").write_text(yaml)
    back = tern("check", tmp_path / "one.yaml", "--convert", "json").stdout
    assert json.loads(back) == {"max_batch_size": 8, "ensemble_scheduling": {"step": [{"model_name": "a"}]}}
    # What cannot be converted.
    (tmp_path / "bad.json").write_text('{"max_batch_size": 8, "nane": 1}')
    done = tern("check", tmp_path / "bad.json", "--convert", "yaml")
    assert done.returncode == 1 and done.stdout == "" and "bad.json:1:" in done.stderr
    assert tern("check", tmp_path / "nothing.json", "--convert", "yaml").returncode == 1
    put_model(repository, "two", model_file("iris"))
    assert "no configuration file" in tern("check", repository / "two", "--convert", "yaml").stderr
    assert "it holds 2 models" in tern("check", repository, "--convert", "yaml").stderr


def test_models(server):
    done = tern("models", "--url", server.url)
    assert done.returncode == 0 and "digits_cnn" in done.stdout
    assert tern("models", "--url", "http://127.0.0.1:1").returncode == 3


@pytest.mark.parametrize("more", [[], ["--binary"], ["--rate", "500"]])
def test_bench_checks_answers(server, more):
    done = tern("bench", "iris", "--url", server.url, "--data", DATA / "iris.json", "--duration", "300ms", "--warmup", "50ms", *more)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "wrong       0" in done.stdout and "errors      0" in done.stdout


def test_bench_finds_wrong_answers(server, tmp_path):
    data = json.loads((DATA / "iris.json").read_text())
    data["outputs"]["1"][0]["data"][3] = 0
    (tmp_path / "changed.json").write_text(json.dumps(data))
    done = tern("bench", "iris", "--url", server.url, "--data", tmp_path / "changed.json", "--duration", "300ms", "--warmup", "0")
    assert done.returncode == 1


def test_version_and_help():
    assert tern("version").stdout.startswith("tern ")
    assert "serve" in tern("help").stdout
    for command in ("serve", "check", "infer", "models", "bench"):
        assert tern("help", command).returncode == 0
    script = tern("completion", "bash").stdout
    assert subprocess.run(["bash", "-n"], input=script, text=True, env=os.environ).returncode == 0
