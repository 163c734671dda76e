"""Ensembles with Triton's own clients: the shapes of Triton's L0_infer (simple, sequence and fan), optional
inputs, statistics, and how an ensemble comes and goes with the models it is made of."""
# covers: cli/check_ensembles

import itertools
import json
import subprocess

import numpy
import pytest
import tritonclient.grpc
import tritonclient.http
from tritonclient.utils import InferenceServerException

from harness import DEADLINE, ONNX, TERN, Server, put_model, put_sample, tensors, wait_for

BATCH = "max_batch_size: 8\n"


def step(model, inputs, outputs, version=-1):
    def mapped(key, rows):
        return "".join(f'{key} {{ key: "{name}" value: "{tensor}" }} ' for name, tensor in rows.items())

    return (
        f'step {{ model_name: "{model}" model_version: {version} '
        f'{mapped("input_map", inputs)} {mapped("output_map", outputs)} }}\n'
    )


def ensemble(inputs, outputs, *steps, batch=8):
    return (
        f'platform: "ensemble"\nmax_batch_size: {batch}\n'
        + tensors("input", *inputs)
        + tensors("output", *outputs)
        + "ensemble_scheduling {\n"
        + "".join(steps)
        + "}\n"
    )


INPUTS = [("INPUT0", "INT32", 16), ("INPUT1", "INT32", 16)]
OUTPUTS = [("OUTPUT0", "INT32", 16), ("OUTPUT1", "INT32", 16)]
NOP = (
    'backend: "identity"\n'
    + BATCH
    + tensors("input", ("INPUT0", "INT32", -1), ("INPUT1", "INT32", -1))
    + tensors("output", ("OUTPUT0", "INT32", -1), ("OUTPUT1", "INT32", -1))
)


def nop(a, b, to_a, to_b):
    return step("nop", {"INPUT0": a, "INPUT1": b}, {"OUTPUT0": to_a, "OUTPUT1": to_b})


def add_sub(a, b, to_a, to_b, version=-1):
    return step("add_sub", {"INPUT0": a, "INPUT1": b}, {"OUTPUT0": to_a, "OUTPUT1": to_b}, version)


ENSEMBLES = {
    "simple": ensemble(INPUTS, OUTPUTS, add_sub("INPUT0", "INPUT1", "OUTPUT0", "OUTPUT1")),
    "sequence": ensemble(
        INPUTS,
        OUTPUTS,
        nop("INPUT0", "INPUT1", "same0", "same1"),
        add_sub("same0", "same1", "out0", "out1"),
        nop("out0", "out1", "OUTPUT0", "OUTPUT1"),
    ),
    "fan": ensemble(
        INPUTS,
        OUTPUTS,
        nop("INPUT0", "INPUT1", "same0", "same1"),
        step("nop", {"INPUT0": "same0", "INPUT1": "same0"}, {"OUTPUT0": "left"}),
        step("nop", {"INPUT0": "same1", "INPUT1": "same1"}, {"OUTPUT1": "right"}),
        add_sub("left", "right", "OUTPUT0", "OUTPUT1"),
    ),
    "nested": ensemble(
        INPUTS,
        OUTPUTS,
        step("fan", {"INPUT0": "INPUT0", "INPUT1": "INPUT1"}, {"OUTPUT0": "a", "OUTPUT1": "b"}),
        step("sequence", {"INPUT0": "a", "INPUT1": "b"}, {"OUTPUT0": "OUTPUT0", "OUTPUT1": "OUTPUT1"}),
    ),
    "slow_fan": ensemble(
        INPUTS,
        OUTPUTS,
        step("slow", {"INPUT0": "INPUT0"}, {"OUTPUT0": "left"}),
        step("slow", {"INPUT0": "INPUT1"}, {"OUTPUT0": "right"}),
        add_sub("left", "right", "OUTPUT0", "OUTPUT1"),
    ),
    # The model itself has no batch dimension; its tensors do.
    "without_batch": ensemble(
        INPUTS, OUTPUTS, step("plain", {"INPUT0": "INPUT0", "INPUT1": "INPUT1"}, {"OUTPUT0": "OUTPUT0", "OUTPUT1": "OUTPUT1"})
    ),
    "second_version": ensemble(INPUTS, OUTPUTS, add_sub("INPUT0", "INPUT1", "OUTPUT0", "OUTPUT1", version=2)),
}
OPTIONAL = (
    'platform: "ensemble"\n'
    'input [ { name: "x" data_type: TYPE_FP32 dims: [ -1, 2 ] }, '
    '{ name: "bias" data_type: TYPE_FP32 dims: [ 2 ] optional: true } ]\n'
    + tensors("output", ("y", "FP32", "-1, 2"))
    + "ensemble_scheduling {\n"
    + step("optional", {"x": "x", "bias": "bias"}, {"y": "y"})
    + "}\n"
)


def fill(repository):
    for version in (1, 2):
        put_model(repository, "add_sub", ONNX / "add_sub.onnx", version=version, config=BATCH + "version_policy { all { } }\n")
    put_model(repository, "plain", ONNX / "add_sub.onnx")
    put_model(repository, "optional", ONNX / "optional.onnx")
    put_sample(repository, "nop", NOP)
    put_sample(
        repository,
        "slow",
        'backend: "identity"\n'
        + BATCH
        + tensors("input", ("INPUT0", "INT32", -1))
        + tensors("output", ("OUTPUT0", "INT32", -1))
        + 'parameters { key: "execute_delay_ms" value { string_value: "20" } }\n',
    )
    put_sample(repository, "with_bias", OPTIONAL)
    for name, text in ENSEMBLES.items():
        put_sample(repository, name, text)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ensembles")
    fill(folder / "models")
    with Server(folder / "server", folder / "models") as one:
        yield one


def client_of(server, kind):
    module = tritonclient.http if kind == "http" else tritonclient.grpc
    return module, module.InferenceServerClient(f"127.0.0.1:{server.port}")


@pytest.fixture(params=["http", "grpc"])
def triton(request, server):
    module, client = client_of(server, request.param)
    yield module, client
    client.close()


def numbers(rows, first=0):
    return numpy.arange(first, first + rows * 16, dtype="int32").reshape(rows, 16)


def infer(triton, model, a, b, outputs=None, **options):
    module, client = triton
    inputs = []
    for name, values in (("INPUT0", a), ("INPUT1", b)):
        one = module.InferInput(name, list(values.shape), "INT32")
        one.set_data_from_numpy(values)
        inputs.append(one)
    wanted = None if outputs is None else [module.InferRequestedOutput(name) for name in outputs]
    return client.infer(model, inputs, outputs=wanted, **options)


@pytest.mark.parametrize("model", ["simple", "sequence", "fan", "slow_fan", "without_batch", "second_version"])
@pytest.mark.parametrize("rows", [1, 8])
def test_sums_and_differences(triton, model, rows):
    a, b = numbers(rows, 100), numbers(rows)
    result = infer(triton, model, a, b, request_id="r")
    assert (result.as_numpy("OUTPUT0") == a + b).all() and (result.as_numpy("OUTPUT1") == a - b).all()
    assert result.as_numpy("OUTPUT0").shape == (rows, 16)


def test_an_ensemble_in_an_ensemble(triton):
    a, b = numbers(3, 7), numbers(3)
    result = infer(triton, "nested", a, b)
    assert (result.as_numpy("OUTPUT0") == 2 * a).all() and (result.as_numpy("OUTPUT1") == 2 * b).all()


@pytest.mark.parametrize("wanted", [["OUTPUT1"], ["OUTPUT1", "OUTPUT0"]])
def test_wanted_outputs(triton, wanted):
    a, b = numbers(2, 7), numbers(2)
    result = infer(triton, "fan", a, b, outputs=wanted)
    assert (result.as_numpy("OUTPUT1") == a - b).all()
    assert (result.as_numpy("OUTPUT0") is None) == ("OUTPUT0" not in wanted)


def test_classes_of_an_output(server):
    module, client = client_of(server, "http")
    given = []
    for name in ("INPUT0", "INPUT1"):
        given.append(module.InferInput(name, [1, 16], "INT32"))
        given[-1].set_data_from_numpy(numbers(1))
    result = client.infer("sequence", given, outputs=[module.InferRequestedOutput("OUTPUT0", class_count=1)])
    assert result.as_numpy("OUTPUT0").tolist() == [[b"30:15"]]
    client.close()


def test_labels_come_from_the_model_that_makes_the_output(tmp_path):
    models = tmp_path / "models"
    put_model(models, "add_sub", ONNX / "add_sub.onnx", config=BATCH + 'output { name: "OUTPUT0" label_filename: "names" }\n')
    (models / "add_sub" / "names").write_text("".join(f"class {i}\n" for i in range(16)))
    inner = ensemble(INPUTS, OUTPUTS, add_sub("INPUT0", "INPUT1", "OUTPUT0", "OUTPUT1"))
    put_sample(models, "inner", inner)
    put_sample(models, "outer", inner.replace('"add_sub"', '"inner"'))
    with Server(tmp_path / "server", models) as one:
        module, client = client_of(one, "http")
        given = []
        for name in ("INPUT0", "INPUT1"):
            given.append(module.InferInput(name, [1, 16], "INT32"))
            given[-1].set_data_from_numpy(numbers(1))
        wanted = [module.InferRequestedOutput("OUTPUT0", class_count=1)]
        assert client.infer("outer", given, outputs=wanted).as_numpy("OUTPUT0").tolist() == [[b"30:15:class 15"]]
        client.close()


@pytest.mark.parametrize("bias", [None, [1, 2]])
def test_optional_inputs(triton, bias):
    module, client = triton
    x = module.InferInput("x", [2, 2], "FP32")
    x.set_data_from_numpy(numpy.zeros((2, 2), "float32"))
    given = [x]
    if bias is not None:
        given.append(module.InferInput("bias", [2], "FP32"))
        given[-1].set_data_from_numpy(numpy.array(bias, "float32"))
    assert client.infer("with_bias", given).as_numpy("y").tolist() == [bias or [10, 20]] * 2


def test_what_the_server_says_of_it(triton):
    _, client = triton
    json_form = {} if isinstance(client, tritonclient.http.InferenceServerClient) else {"as_json": True}
    assert client.is_model_ready("fan")
    meta = client.get_model_metadata("fan", **json_form)
    assert meta["platform"] == "ensemble" and [row["name"] for row in meta["inputs"]] == ["INPUT0", "INPUT1"]
    config = client.get_model_config("fan", **json_form)
    config = config.get("config", config)
    assert config["platform"] == "ensemble" and "optimization" not in config and not config.get("instance_group")
    steps = config["ensemble_scheduling"]["step"]
    assert [one["model_name"] for one in steps] == ["nop", "nop", "nop", "add_sub"]
    assert steps[3]["input_map"] == {"INPUT0": "left", "INPUT1": "right"}


def counts(server, model):
    rows = server.get(f"/v2/models/{model}/stats").json()["model_stats"]
    return sum(row["inference_count"] for row in rows), sum(row["inference_stats"]["success"]["count"] for row in rows)


def test_statistics_count_the_ensemble_and_its_steps(server):
    before = {name: counts(server, name) for name in ("fan", "nop", "add_sub")}
    _, client = triton = client_of(server, "http")
    infer(triton, "fan", numbers(4), numbers(4))
    client.close()
    after = {name: counts(server, name) for name in before}
    grown = {name: (after[name][0] - before[name][0], after[name][1] - before[name][1]) for name in before}
    assert grown == {"fan": (4, 1), "nop": (12, 3), "add_sub": (4, 1)}


def test_errors_of_steps_say_where(server, tmp_path):
    models = tmp_path / "models"
    put_sample(models, "any", 'backend: "identity"\n' + tensors("input", ("IN", "INT32", "-1")) + tensors("output", ("OUT", "INT32", "-1")))
    put_model(models, "plain", ONNX / "add_sub.onnx")
    text = (
        'platform: "ensemble"\n'
        + tensors("input", ("IN", "INT32", "-1, -1"))
        + tensors("output", ("OUT", "INT32", "-1, 16"))
        + "ensemble_scheduling {\n"
        + step("plain", {"INPUT0": "IN", "INPUT1": "IN"}, {"OUTPUT0": "OUT"})
        + "}\n"
    )
    put_sample(models, "e", text)
    with Server(tmp_path / "server", models) as one:
        module, client = client_of(one, "http")
        given = module.InferInput("IN", [1, 3], "INT32")
        given.set_data_from_numpy(numpy.zeros((1, 3), "int32"))
        with pytest.raises(InferenceServerException) as caught:
            client.infer("e", [given])
        assert caught.value.status() == "400"
        assert caught.value.message() == (
            "in ensemble 'e', unexpected shape for input 'INPUT0' for model 'plain'. Expected [-1,16], got [1,3]"
        )
        client.close()


def test_sequences_in_ensembles(tmp_path):
    """State lives in the step; the ensemble's requests carry the sequence."""
    models = tmp_path / "models"
    state = (
        'max_batch_size: 4\nsequence_batching {\ncontrol_input [ { name: "START" control [ '
        "{ kind: CONTROL_SEQUENCE_START fp32_false_true: [ 0, 1 ] } ] } ]\n"
        'state [ { input_name: "STATE" output_name: "NEW_STATE" data_type: TYPE_FP32 dims: [ 1 ] } ]\n}\n'
    )
    put_model(models, "sums", ONNX / "sequenced_state.onnx", config=state)
    put_sample(
        models,
        "e",
        ensemble([("IN", "FP32", 1)], [("OUT", "FP32", 1)], step("sums", {"INPUT": "IN"}, {"OUTPUT": "OUT"}), batch=4),
    )
    with Server(tmp_path / "server", models) as one:
        module, client = client_of(one, "grpc")
        given = module.InferInput("IN", [1, 1], "FP32")
        totals = []
        for i, sequence in itertools.product(range(1, 4), (5, 6)):
            given.set_data_from_numpy(numpy.array([[i * sequence]], "float32"))
            result = client.infer("e", [given], sequence_id=sequence, sequence_start=i == 1, sequence_end=i == 3)
            totals.append(result.as_numpy("OUT").item())
            said = result.get_response().parameters
            assert said["sequence_id"].int64_param == sequence
            assert (said["sequence_start"].bool_param, said["sequence_end"].bool_param) == (i == 1, i == 3)
        assert totals == [5, 6, 15, 18, 30, 36]
        with pytest.raises(InferenceServerException, match="in ensemble 'e', .*must specify the START flag"):
            client.infer("e", [given], sequence_id=7)
        client.close()


def test_a_remembered_answer_goes_with_the_models_that_gave_it(tmp_path):
    models = tmp_path / "models"
    kept = "response_cache { enable: true }\n"
    put_model(models, "add_sub", ONNX / "add_sub.onnx", config=BATCH + kept)
    steps = add_sub("INPUT0", "INPUT1", "a", "b"), add_sub("a", "b", "OUTPUT0", "OUTPUT1")
    put_sample(models, "e", kept + ensemble(INPUTS, OUTPUTS, *steps))
    flags = ("--model-control", "explicit", "--model-load", "e", "--cache-local-size", "1MiB")
    with Server(tmp_path / "server", models, *flags) as one:
        _, client = triton = client_of(one, "http")
        for _ in range(3):
            infer(triton, "e", numbers(1, 3), numbers(1))
        rows = {m: one.get(f"/v2/models/{m}/stats").json()["model_stats"][0] for m in ("e", "add_sub")}
        assert [rows["e"]["inference_stats"][key]["count"] for key in ("success", "cache_hit", "cache_miss")] == [3, 2, 1]
        assert rows["add_sub"]["execution_count"] == 2
        # Another model by the same name answers something else.
        other = {"max_batch_size": 8, "backend": "identity", "input": rows_of_config(INPUTS), "output": rows_of_config(OUTPUTS)}
        client.load_model("add_sub", config=json.dumps(other))
        result = infer(triton, "e", numbers(1, 3), numbers(1))
        assert (result.as_numpy("OUTPUT0") == numbers(1, 3)).all()
        client.close()


def rows_of_config(rows):
    return [{"name": name, "data_type": f"TYPE_{kind}", "dims": [size]} for name, kind, size in rows]


def test_loads_and_unloads(tmp_path):
    fill(tmp_path / "models")
    with Server(tmp_path / "server", tmp_path / "models", "--model-control", "explicit") as one:
        module, client = triton = client_of(one, "http")
        client.load_model("nested")
        ready = {row["name"] for row in client.get_model_repository_index() if row.get("state") == "READY"}
        assert ready == {"nested", "fan", "sequence", "nop", "add_sub"}
        infer(triton, "nested", numbers(1), numbers(1))
        client.unload_model("nop")
        wait_for(lambda: not client.is_model_ready("nested"), "the ensemble to leave with its step")
        with pytest.raises(InferenceServerException):
            infer(triton, "nested", numbers(1), numbers(1))
        reasons = {row["name"]: row["reason"] for row in client.get_model_repository_index()}
        assert reasons["fan"] == "ensemble 'fan' depends on 'nop' which has no loaded version"
        client.load_model("nop")
        infer(triton, "nested", numbers(1), numbers(1))
        client.unload_model("nested", unload_dependents=True)
        ready = {row["name"] for row in client.get_model_repository_index() if row.get("state") == "READY"}
        assert ready == {"nop"}  # it was asked for by name
        with pytest.raises(InferenceServerException, match="depends on 'ghost' which has no loaded version"):
            client.load_model("simple", config=json.dumps(of_ghost()))
        client.close()


def test_a_step_that_does_not_fit_any_more(tmp_path):
    """Another model comes under its name: the ensemble leaves, says why, and is back with one that fits."""
    fill(tmp_path / "models")
    with Server(tmp_path / "server", tmp_path / "models", "--model-control", "explicit") as one:
        _, client = triton = client_of(one, "http")
        client.load_model("sequence")
        infer(triton, "sequence", numbers(1), numbers(1))
        rows = [dict(row, data_type="TYPE_FP32") for row in rows_of_config(INPUTS)]
        other = {"max_batch_size": 8, "backend": "identity", "input": rows, "output": rows_of_config(OUTPUTS)}
        other["output"] = [dict(row, data_type="TYPE_FP32") for row in other["output"]]
        client.load_model("nop", config=json.dumps(other))
        wait_for(lambda: not client.is_model_ready("sequence"), "the ensemble to leave")
        with pytest.raises(InferenceServerException, match="'sequence'"):
            infer(triton, "sequence", numbers(1), numbers(1))
        (reason,) = [row["reason"] for row in client.get_model_repository_index() if row["name"] == "sequence"]
        assert "inconsistent data type: INT32 is inferred from model sequence while FP32 is inferred from model nop" in reason
        client.load_model("nop")
        wait_for(lambda: client.is_model_ready("sequence"), "the ensemble to be back")
        infer(triton, "sequence", numbers(1), numbers(1))
        client.close()


def of_ghost():
    rows = [{"name": "x", "data_type": "TYPE_FP32", "dims": [1]}]
    one = {"model_name": "ghost", "model_version": -1, "input_map": {"x": "x"}, "output_map": {"y": "y"}}
    return {
        "platform": "ensemble",
        "input": rows,
        "output": [dict(rows[0], name="y")],
        "ensemble_scheduling": {"step": [one]},
    }


def test_check(tmp_path):
    models = tmp_path / "models"
    fill(models)
    done = subprocess.run([TERN, "check", models], capture_output=True, text=True, timeout=DEADLINE)
    assert done.returncode == 0, done.stdout
    put_sample(models, "bad", ensemble(INPUTS, OUTPUTS, step("ghost", {"a": "INPUT0", "b": "INPUT1"}, {"c": "OUTPUT0", "d": "OUTPUT1"})))
    done = subprocess.run([TERN, "check", models], capture_output=True, text=True, timeout=DEADLINE)
    assert done.returncode == 1
    assert "ensemble 'bad' depends on 'ghost' which has no loaded version" in done.stdout
