"""How Triton's clients load, replace and unload models: the shapes of Triton's own lifecycle tests."""

import json
import os

import numpy
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton
from google.protobuf import json_format
from tritonclient.grpc import model_config_pb2
from tritonclient.utils import InferenceServerException

from harness import ONNX, Server, model_file, put_model, wait_for

FP32, INT32 = ONNX / "identity_fp32.onnx", ONNX / "identity_int32.onnx"


@pytest.fixture
def scratch(tmp_path):
    folder = tmp_path / "scratch"
    folder.mkdir()
    return folder


@pytest.fixture
def explicit(tmp_path, repository, scratch):
    put_model(repository, "iris", model_file("iris"), version=1)
    put_model(repository, "iris", model_file("iris"), version=2)
    env = {"TMPDIR": str(scratch)}
    with Server(tmp_path / "server", repository, "--model-control", "explicit", env=env) as server:
        server.client = triton.InferenceServerClient(server.address)
        yield server
        server.client.close()


def refused(*texts):
    return pytest.raises(InferenceServerException, match="(?s)" + ".*".join(texts))


def scratch_folders(scratch):
    return [name for name in os.listdir(scratch) if name.startswith("tern-")]


def ask(client, model="iris", version="", shape=(1, 4)):
    given = triton.InferInput("features", shape, "FP32")
    given.set_data_from_numpy(numpy.full(shape, 1.5, "float32"))
    return client.infer(model, [given], model_version=version)


def test_load_index_unload(explicit):
    one = explicit.client
    assert [row["name"] for row in one.get_model_repository_index()] == ["iris"]
    assert not one.is_model_ready("iris")
    one.load_model("iris")
    assert one.is_model_ready("iris") and one.is_model_ready("iris", "2")
    assert not one.is_model_ready("iris", "1")  # the latest only
    rows = one.get_model_repository_index()
    assert [(row["version"], row["state"]) for row in rows if row["state"] == "READY"] == [("2", "READY")]
    one.unload_model("iris", unload_dependents=True)
    assert not one.is_model_ready("iris")
    (row,) = one.get_model_repository_index()
    assert row["state"] == "UNAVAILABLE" and row["reason"] == "unloaded"
    with refused("unknown model|no available versions"):
        ask(one)


def test_unknown_and_tricky_names(explicit):
    one = explicit.client
    with refused("failed to load 'nope', failed to poll from model repository"):
        one.load_model("nope")
    for name in ("..", "../iris", "a/b"):
        with pytest.raises(InferenceServerException):
            one.load_model(name)


def test_config_override(explicit):
    one = explicit.client
    one.load_model("iris")
    assert one.get_model_config("iris")["max_batch_size"] == 0
    config = {"max_batch_size": 16, "version_policy": {"specific": {"versions": [1]}}}
    one.load_model("iris", config=json.dumps(config))
    assert one.is_model_ready("iris", "1") and not one.is_model_ready("iris", "2")
    assert one.get_model_config("iris")["max_batch_size"] == 16
    assert one.get_model_metadata("iris")["versions"] == ["1"]
    with refused("batch-size must be between 1 and 16"):
        ask(one, shape=(17, 4))
    # Without an override the repository speaks again.
    one.load_model("iris")
    assert one.is_model_ready("iris", "2") and not one.is_model_ready("iris", "1")
    assert one.get_model_config("iris")["max_batch_size"] == 0


@pytest.mark.parametrize(
    "config",
    ['{"max_batch_size: 1}', '{"max_batch_sise": 1}', '{"max_batch_size": "many"}', "", "[]", '{"a": {"b": [}}'],
)
def test_a_bad_config_leaves_the_model(explicit, config):
    one = explicit.client
    one.load_model("iris")
    with refused("failed to load 'iris', failed to poll from model repository", "Invalid config override"):
        one.load_model("iris", config=config)
    assert "Invalid config override" in json.dumps(explicit.told("model.override")[0])
    assert one.is_model_ready("iris", "2")
    ask(one)


def test_a_config_that_does_not_fit_leaves_the_model(explicit):
    one = explicit.client
    one.load_model("iris")
    config = {"input": [{"name": "features", "data_type": "TYPE_INT32", "dims": [-1, 4]}]}
    with refused("load failed for model 'iris': version 2 is at UNAVAILABLE state: .*data_type TYPE_INT32"):
        one.load_model("iris", config=json.dumps(config))
    assert one.is_model_ready("iris", "2")
    ask(one)
    (row,) = [row for row in one.get_model_repository_index() if row["version"] == "2"]
    assert row["state"] == "READY" and "TYPE_INT32" in row["reason"]


def test_file_override(explicit, scratch):
    one = explicit.client
    one.load_model("iris")
    with refused("failed to load 'iris', failed to poll from model repository"):
        one.load_model("iris", files={"file:1/model.onnx": FP32.read_bytes()})
    ask(one)
    # Under another name, and under its own: the folder of the repository does not count.
    files = {"file:3/model.onnx": FP32.read_bytes(), "file:4/model.onnx": INT32.read_bytes()}
    policy = json.dumps({"backend": "onnxruntime", "version_policy": {"all": {}}})
    one.load_model("fresh", config=policy, files=files)
    assert one.get_model_metadata("fresh")["versions"] == ["3", "4"]
    assert one.get_model_metadata("fresh", "3")["inputs"][0]["datatype"] == "FP32"
    assert one.get_model_metadata("fresh", "4")["inputs"][0]["datatype"] == "INT32"
    one.load_model("iris", config='{"backend": "onnxruntime"}', files={"file:7/model.onnx": FP32.read_bytes()})
    assert one.get_model_metadata("iris")["versions"] == ["7"]
    assert not one.is_model_ready("iris", "2")
    assert len(scratch_folders(scratch)) == 2
    one.unload_model("fresh")
    assert len(scratch_folders(scratch)) == 1
    with refused("failed to load 'fresh'"):
        one.load_model("fresh")
    one.load_model("iris")
    assert one.get_model_metadata("iris")["versions"] == ["2"]
    one.unload_model("iris")
    assert scratch_folders(scratch) == []


def test_files_that_do_not_load_leave_the_model(explicit, scratch):
    one = explicit.client
    one.load_model("iris")
    with refused("load failed for model 'iris': version 5 is at UNAVAILABLE state"):
        one.load_model("iris", config="{}", files={"file:5/model.onnx": b"not a model"})
    ask(one, version="2")
    one.unload_model("iris")
    assert scratch_folders(scratch) == []


@pytest.mark.parametrize(
    "path", ["file:../model.onnx", "file:/etc/model.onnx", "file:1/../../x", "file:01/model.onnx", "file:a/b", "file:"]
)
def test_paths_that_are_refused(explicit, scratch, path):
    with refused("failed to load 'iris', failed to poll from model repository"):
        explicit.client.load_model("iris", config="{}", files={path: b"x"})
    assert scratch_folders(scratch) == []


def test_files_are_base64(explicit):
    for value in ("not base64!", 7, "Zg="):
        answer = explicit.call(
            "POST",
            "/v2/repository/models/iris/load",
            {"parameters": {"config": "{}", "file:1/model.onnx": value}},
        )
        assert answer.status == 400 and "base64" in answer.json()["error"]


def test_a_config_reads_back(explicit):
    """What the config route answers can be given as an override."""
    one = explicit.client
    one.load_model("iris")
    config = one.get_model_config("iris")
    one.load_model("iris", config=json.dumps(config))
    assert one.get_model_config("iris") == config


@pytest.mark.parametrize(
    "mode, text",
    [
        ("none", "explicit model load / unload is not allowed if polling is enabled, or .* 'none'$"),
        ("poll", "explicit model load / unload is not allowed if polling is enabled$"),
    ],
)
def test_modes_without_control(tmp_path, repository, mode, text):
    put_model(repository, "iris", model_file("iris"))
    with Server(tmp_path / "server", repository, "--model-control", mode) as server:
        one = triton.InferenceServerClient(server.address)
        for change in (one.load_model, one.unload_model):
            with refused(text):
                change("iris")
        ask(one)
        one.close()


def test_a_failed_load_leaves_the_old_one(explicit, repository):
    one = explicit.client
    one.load_model("iris")
    put_model(repository, "iris", b"not a model", version=3)
    with refused("load failed for model 'iris': version 3 is at UNAVAILABLE state"):
        one.load_model("iris")
    assert one.is_model_ready("iris", "2") and not one.is_model_ready("iris", "3")
    ask(one, version="2")


@pytest.mark.parametrize(
    "policy, served",
    [
        ("latest { num_versions: 2 }", ["2", "4"]),
        ("all { }", ["1", "2", "4"]),
        ("specific { versions: [ 1, 4, 9 ] }", ["1", "4"]),
    ],
)
def test_version_policies(explicit, repository, policy, served):
    put_model(repository, "iris", model_file("iris"), version=4, config=f"version_policy {{ {policy} }}")
    one = explicit.client
    one.load_model("iris")
    assert one.get_model_metadata("iris")["versions"] == served
    for version in ("1", "2", "4"):
        assert one.is_model_ready("iris", version) == (version in served)


def test_a_policy_that_leaves_nothing(explicit, repository):
    put_model(repository, "none", FP32, config="version_policy { specific { versions: [ 7 ] } }")
    with refused("at least one version must be available under the version policy of model 'none'"):
        explicit.client.load_model("none")


def test_two_repositories(tmp_path, repository):
    other = tmp_path / "other"
    put_model(repository, "both", model_file("iris"))
    put_model(other, "both", model_file("iris"))
    put_model(repository, "left", model_file("iris"))
    put_model(other, "right", model_file("iris"))
    with Server(tmp_path / "server", repository, str(other), "--no-model-strict-readiness") as server:
        one = triton.InferenceServerClient(server.address)
        assert one.is_model_ready("left") and one.is_model_ready("right") and not one.is_model_ready("both")
        (row,) = [row for row in one.get_model_repository_index() if row["name"] == "both"]
        assert row["state"] == "UNAVAILABLE" and row["reason"] == "model appears in two or more repositories"
        one.close()


def test_named_configurations(tmp_path, repository):
    put_model(repository, "named", model_file("iris"), config="max_batch_size: 1")
    (repository / "named" / "configs").mkdir()
    (repository / "named" / "configs" / "big.pbtxt").write_text("max_batch_size: 99")
    put_model(repository, "plain", model_file("iris"), config="max_batch_size: 2")
    with Server(tmp_path / "server", repository, "--model-config-name", "big") as server:
        one = triton.InferenceServerClient(server.address)
        assert one.get_model_config("named")["max_batch_size"] == 99
        assert one.get_model_config("plain")["max_batch_size"] == 2
        one.close()


def test_reshape(tmp_path, repository):
    """Clients see dims, the model its reshape, on both sides."""
    put_model(
        repository,
        "flat",
        FP32,
        config="""
            max_batch_size: 8
            input { name: "x" data_type: TYPE_FP32 dims: [ 1, -1, 1 ] reshape { shape: [ -1 ] } }
            output { name: "y" data_type: TYPE_FP32 dims: [ -1, 1 ] reshape { shape: [ -1 ] } }
        """,
    )
    with Server(tmp_path / "server", repository) as server:
        one = triton.InferenceServerClient(server.address)
        meta = one.get_model_metadata("flat")
        assert [t["shape"] for t in meta["inputs"] + meta["outputs"]] == [[-1, 1, -1, 1], [-1, -1, 1]]
        given = triton.InferInput("x", [2, 1, 3, 1], "FP32")
        values = numpy.arange(6, dtype="float32").reshape(2, 1, 3, 1)
        given.set_data_from_numpy(values)
        answer = one.infer("flat", [given]).as_numpy("y")
        assert answer.shape == (2, 3, 1) and answer.ravel().tolist() == values.ravel().tolist()
        wrong = triton.InferInput("x", [2, 3], "FP32")
        wrong.set_data_from_numpy(values.reshape(2, 3))
        with refused("unexpected shape for input 'x' for model 'flat'"):
            one.infer("flat", [wrong])
        one.close()


def test_the_batch_dimension_is_found(tmp_path, repository):
    put_model(repository, "iris", model_file("iris"))
    with Server(tmp_path / "server", repository, "--model-default-max-batch-size", "4") as server:
        one = triton.InferenceServerClient(server.address)
        config = one.get_model_config("iris")
        assert config["max_batch_size"] == 4 and config["input"][0]["dims"] == [4]
        assert "dynamic_batching" in config
        with refused("batch-size must be between 1 and 4"):
            ask(one, shape=(5, 4))
        one.close()


def test_nothing_is_completed_when_told_so(tmp_path, repository):
    put_model(repository, "bare", model_file("iris"))
    flags = ("--no-model-auto-complete", "--no-model-strict-readiness")
    with Server(tmp_path / "server", repository, *flags) as server:
        one = triton.InferenceServerClient(server.address)
        (row,) = one.get_model_repository_index()
        assert row["state"] == "UNAVAILABLE" and "nothing is completed" in row["reason"]
        one.close()


def test_the_completed_config_is_as_triton_prints_it(tmp_path, repository):
    """Every field in Triton's order, defaults included, for a model without a configuration."""
    put_model(repository, "plain", FP32)
    put_model(repository, "groups", FP32, config="instance_group [ { count: 1 }, { kind: KIND_CPU } ]")
    put_model(repository, "batched", FP32, config="max_batch_size: 6 dynamic_batching { }")
    with Server(tmp_path / "server", repository, "--sched-threads", "2") as server:
        config = server.get("/v2/models/plain/config").body.decode()
        count = json.loads(config)["instance_group"][0]["count"]
        assert config == (
            '{"name":"plain","platform":"onnxruntime_onnx","backend":"onnxruntime","runtime":"",'
            '"version_policy":{"latest":{"num_versions":1}},"max_batch_size":0,'
            '"input":[{"name":"x","data_type":"TYPE_FP32","format":"FORMAT_NONE","dims":[-1,-1],'
            '"is_shape_tensor":false,"allow_ragged_batch":false,"optional":false,"is_non_linear_format_io":false}],'
            '"output":[{"name":"y","data_type":"TYPE_FP32","dims":[-1,-1],"label_filename":"",'
            '"is_shape_tensor":false,"is_non_linear_format_io":false}],"batch_input":[],"batch_output":[],'
            '"optimization":{"priority":"PRIORITY_DEFAULT","input_pinned_memory":{"enable":true},'
            '"output_pinned_memory":{"enable":true},"gather_kernel_buffer_threshold":0,"eager_batching":false},'
            '"instance_group":[{"name":"plain","kind":"KIND_CPU","count":%d,"gpus":[],"secondary_devices":[],'
            '"profile":[],"passive":false,"host_policy":""}],"default_model_filename":"model.onnx",'
            '"cc_model_filenames":{},"metric_tags":{},"parameters":{},"model_warmup":[]}' % count
        )
        one = triton.InferenceServerClient(server.address)
        groups = one.get_model_config("groups")["instance_group"]
        assert [(g["name"], g["kind"], g["count"]) for g in groups] == [
            ("groups_0", "KIND_CPU", 1),
            ("groups_1", "KIND_CPU", 1),
        ]
        batched = one.get_model_config("batched")
        assert batched["dynamic_batching"]["preferred_batch_size"] == [6]
        one.close()


def test_a_folder_names_its_backend(tmp_path, repository):
    """<model>.<backend> without a configuration; the model keeps the whole name."""
    put_model(repository, "any.onnxruntime", FP32)
    put_model(repository, "resnet.v2", FP32)
    with Server(tmp_path / "server", repository) as server:
        one = triton.InferenceServerClient(server.address)
        assert one.is_model_ready("any.onnxruntime") and one.is_model_ready("resnet.v2")
        assert one.get_model_config("any.onnxruntime")["backend"] == "onnxruntime"
        one.close()


def test_a_name_that_is_not_the_folders(tmp_path, repository):
    put_model(repository, "folder", FP32, config='name: "other"')
    with Server(tmp_path / "server", repository, "--no-model-strict-readiness") as server:
        one = triton.InferenceServerClient(server.address)
        (row,) = one.get_model_repository_index()
        assert "unexpected directory name 'folder' for model 'other'" in row["reason"]
        one.close()


@pytest.mark.parametrize("path", ["index", "models/iris/load", "models/iris/unload"])
def test_repositories_have_no_names(explicit, path):
    answer = explicit.call("POST", f"/v2/repository/mine/{path}")
    assert answer.status == 501
    assert answer.json()["error"] == "'repository_name' specification is not supported"


@pytest.fixture
def grpc(explicit):
    one = triton_grpc.InferenceServerClient(explicit.address)
    yield one
    one.close()


def test_the_same_over_grpc(explicit, grpc, scratch):
    grpc.load_model("iris", config=json.dumps({"max_batch_size": 16}))
    assert explicit.client.get_model_config("iris")["max_batch_size"] == 16
    with refused("failed to load 'iris', failed to poll from model repository", "Invalid config override"):
        grpc.load_model("iris", config='{"max_batch_size: 1}')
    with refused("failed to load 'iris', failed to poll from model repository"):
        grpc.load_model("iris", files={"file:1/model.onnx": FP32.read_bytes()})
    assert grpc.is_model_ready("iris")
    grpc.load_model("fresh", config='{"backend": "onnxruntime"}', files={"file:3/model.onnx": FP32.read_bytes()})
    assert grpc.is_model_ready("fresh", "3") and len(scratch_folders(scratch)) == 1
    grpc.unload_model("fresh", unload_dependents=True)
    assert not grpc.is_model_ready("fresh") and scratch_folders(scratch) == []
    with refused("failed to load 'nope', failed to poll from model repository"):
        grpc.load_model("nope")
    with refused("Model name cannot be empty. Please enter a valid name to deploy."):
        grpc.load_model("")
    for name in ("..", "../iris", "a/b", ".hidden"):
        with refused("model name must not contain path traversal characters"):
            grpc.load_model(name)


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"max_batch_size": 8, "dynamic_batching": {}},
        {"parameters": {"intra_op_thread_count": {"string_value": "1"}}},
    ],
)
def test_the_config_over_grpc_is_the_same(explicit, grpc, config):
    grpc.load_model("iris", config=json.dumps(config))
    message = grpc.get_model_config("iris").config
    assert json_format.ParseDict(explicit.client.get_model_config("iris"), model_config_pb2.ModelConfig()) == message
