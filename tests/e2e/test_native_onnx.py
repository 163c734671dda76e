# covers: registry/engine_choice
"""Which engine an ONNX file gets: the native one where all operators run there, ONNX Runtime where not, or
where the configuration asks for it; and what `tern check` says of it."""

import json
import os
import shutil
import subprocess

import pytest
from harness import TERN, TOP, Server

AUTO = {"TERN_ENGINE_NATIVE_ONNX": "auto"}
NOT_HERE = {"TERN_ONNXRUNTIME": "/nowhere/libonnxruntime.so"}
ROWS = {"inputs": [{"name": "X", "datatype": "FP32", "shape": [2, 4], "data": [5.1, 3.5, 1.4, 0.2, 6.7, 3.0, 5.2, 2.3]}]}


def put(folder, example, config=None):
    version = folder / example / "1"
    version.mkdir(parents=True)
    shutil.copy(TOP / "examples" / "models" / example / "1" / "model.onnx", version)
    if config is not None:
        (version.parent / "config.pbtxt").write_text(config)
    return folder


def check(folder, *flags, env=AUTO):
    done = subprocess.run([TERN, "check", str(folder), *flags], capture_output=True, text=True, env={**os.environ, **env})
    return done.returncode, done.stdout + done.stderr


def platform_of(folder, tmp_path, example, env=AUTO):
    server = Server(tmp_path / "server", folder, env=env)
    try:
        server.start()
        return server.call("GET", f"/v2/models/{example}").json()["platform"]
    finally:
        server.stop()


@pytest.mark.parametrize(
    "config, env, platform",
    [
        (None, AUTO, "tern_native"),
        (None, {"TERN_ENGINE_NATIVE_ONNX": "off"}, "onnxruntime_onnx"),
        ('backend: "onnxruntime"', AUTO, "onnxruntime_onnx"),
        ('platform: "onnxruntime_onnx"', AUTO, "onnxruntime_onnx"),
        ('backend: "tern"', {"TERN_ENGINE_NATIVE_ONNX": "off"}, "tern_native"),
        ('platform: "tern_native"', AUTO, "tern_native"),
        ('parameters { key: "intra_op_thread_count" value { string_value: "1" } }', AUTO, "onnxruntime_onnx"),
        (None, {**AUTO, **NOT_HERE}, "tern_native"),
    ],
)
def test_the_engine_of_a_graph_that_runs_natively(tmp_path, config, env, platform):
    assert platform_of(put(tmp_path / "models", "iris", config), tmp_path, "iris", env) == platform


def test_a_graph_that_does_not(tmp_path):
    folder = put(tmp_path / "models", "digits_cnn")
    assert platform_of(folder, tmp_path, "digits_cnn") == "onnxruntime_onnx"
    code, said = check(folder)
    assert code == 0 and "digits_cnn runs in onnxruntime: operator Conv is not run natively" in said


def test_a_graph_that_does_not_and_should(tmp_path):
    code, said = check(put(tmp_path / "models", "digits_cnn", 'backend: "tern"'))
    assert code != 0 and "operator Conv is not run natively" in said


def test_a_graph_that_does_not_without_onnx_runtime(tmp_path):
    code, said = check(put(tmp_path / "models", "digits_cnn"), env={**AUTO, **NOT_HERE})
    assert code != 0 and "not loaded" in said


def test_both_engines_give_the_same(tmp_path):
    answers = []
    for env in (AUTO, {"TERN_ENGINE_NATIVE_ONNX": "off"}):
        server = Server(tmp_path / "server", put(tmp_path / env["TERN_ENGINE_NATIVE_ONNX"], "iris"), env=env)
        try:
            server.start()
            name = server.call("GET", "/v2/models/iris").json()["inputs"][0]["name"]
            rows = {"inputs": [{**ROWS["inputs"][0], "name": name}]}
            answers.append(json.loads(server.call("POST", "/v2/models/iris/infer", json.dumps(rows)).body)["outputs"])
        finally:
            server.stop()
    for native, other in zip(*answers):
        assert native["name"] == other["name"] and native["shape"] == other["shape"] and native["datatype"] == other["datatype"]
        assert native["data"] == pytest.approx(other["data"], rel=1e-6)
