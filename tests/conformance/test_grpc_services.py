"""The gRPC services beside inference, with the clients that people have for them: health, reflection,
the administrative calls of GRPCInferenceService, and stubs made from the files of api/."""

import asyncio
import base64
import importlib
import json
import queue
import subprocess
import sys

import grpc
import numpy
import pytest
import tritonclient.grpc as triton
import tritonclient.grpc.aio as triton_aio
import tritonclient.utils.shared_memory as shm
from google.protobuf import descriptor_pb2, descriptor_pool, json_format
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from tritonclient.grpc import model_config_pb2, service_pb2, service_pb2_grpc
from tritonclient.utils import InferenceServerException

from harness import DEADLINE, EXAMPLES, TOP, Server, model_file, put_model

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
SERVICE_UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
INFERENCE = "inference.GRPCInferenceService"


@pytest.fixture
def channel(server):
    with grpc.insecure_channel(server.address) as one:
        yield one


# ---- the files of api/ ----


def test_descriptors_are_those_of_the_files():
    written = subprocess.run(
        [sys.executable, TOP / "scripts" / "gen-descriptors"], check=True, capture_output=True, text=True
    ).stdout
    assert (TOP / "src" / "proto" / "grpc_descriptors.c").read_text() == written


@pytest.mark.parametrize("module", [service_pb2, model_config_pb2, health_pb2])
def test_files_are_the_public_ones(channel, module):
    """Message by message what the clients of others bring: stubs of both may live in one process."""
    theirs = descriptor_pb2.FileDescriptorProto()
    module.DESCRIPTOR.CopyToProto(theirs)
    service = next(iter(theirs.message_type)).name
    found = ProtoReflectionDescriptorDatabase(channel).FindFileContainingSymbol(f"{theirs.package}.{service}")
    assert list(found.message_type) == list(theirs.message_type)
    assert list(found.enum_type) == list(theirs.enum_type)
    assert list(found.service) == list(theirs.service)


# ---- health ----


def check(channel, service=""):
    stub = health_pb2_grpc.HealthStub(channel)
    return stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=DEADLINE).status


@pytest.mark.parametrize("service", ["", INFERENCE, "grpc.health.v1.Health", "iris"])
def test_health_check(channel, service):
    assert check(channel, service) == SERVING


def test_health_check_of_what_is_not_there(channel):
    with pytest.raises(grpc.RpcError) as raised:
        check(channel, "nope")
    assert raised.value.code() == grpc.StatusCode.NOT_FOUND


def test_health_watch(tmp_path, repository):
    put_model(repository, "iris", model_file("iris"))
    with Server(tmp_path / "server", repository, "--model-control", "explicit") as server:
        with grpc.insecure_channel(server.address) as channel:
            stub = health_pb2_grpc.HealthStub(channel)

            def watch(service):
                answers = stub.Watch(health_pb2.HealthCheckRequest(service=service), timeout=DEADLINE)
                return (answer.status for answer in answers)

            whole, model, nothing = watch(""), watch("iris"), watch("nope")
            assert next(whole) == SERVING
            assert next(model) in (SERVICE_UNKNOWN, NOT_SERVING)
            assert next(nothing) == SERVICE_UNKNOWN
            assert server.call("POST", "/v2/repository/models/iris/load").status == 200
            assert next(model) == SERVING
            assert check(channel, "iris") == SERVING
            assert server.call("POST", "/v2/repository/models/iris/unload").status == 200
            assert next(model) == NOT_SERVING
            server.process.terminate()
            assert next(whole) == NOT_SERVING


# ---- reflection ----


def test_reflection_lists_and_resolves(channel):
    database = ProtoReflectionDescriptorDatabase(channel)
    names = database.get_services()
    assert INFERENCE in names and "grpc.reflection.v1.ServerReflection" in names
    pool = descriptor_pool.DescriptorPool(database)
    for name in names:
        assert pool.FindServiceByName(name).methods
    infer = pool.FindMessageTypeByName("inference.ModelInferRequest")
    assert infer.fields_by_name["raw_input_contents"].number == 7


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
def test_reflection_answers_one_by_one(channel, version):
    call = channel.stream_stream(
        f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
        request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
    )
    asked = reflection_pb2.ServerReflectionRequest
    questions = [
        asked(host="a", list_services=""),
        asked(file_by_filename="nope.proto"),
        asked(file_containing_symbol="inference.DataType"),
        asked(file_containing_extension=reflection_pb2.ExtensionRequest(containing_type="x", extension_number=1)),
        asked(all_extension_numbers_of_type="inference.ModelConfig"),
        asked(),
    ]
    answers = list(call(iter(questions), timeout=DEADLINE))
    assert [answer.original_request for answer in answers] == questions
    assert answers[0].valid_host == "a" and len(answers[0].list_services_response.service) >= 4
    assert answers[1].error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]
    assert len(answers[2].file_descriptor_response.file_descriptor_proto) == 1
    assert answers[3].error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]
    assert answers[4].all_extension_numbers_response.base_type_name == "inference.ModelConfig"
    assert answers[5].error_response.error_code == grpc.StatusCode.INVALID_ARGUMENT.value[0]


def test_reflection_in_a_conversation(channel):
    """The next question comes after the answer to the one before."""
    questions = queue.Queue()
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    answers = stub.ServerReflectionInfo(iter(questions.get, None), timeout=DEADLINE)
    for name in ["grpc_service.proto", "model_config.proto"]:
        questions.put(reflection_pb2.ServerReflectionRequest(file_by_filename=name))
        first = next(answers).file_descriptor_response.file_descriptor_proto[0]
        assert descriptor_pb2.FileDescriptorProto.FromString(first).name == name
    questions.put(None)
    assert list(answers) == []


# ---- the administrative calls of GRPCInferenceService ----

FULL_CONFIG = """
max_batch_size: 4
input { name: "features" data_type: TYPE_FP32 dims: [ 4 ] }
instance_group [ { name: "one" count: 1 kind: KIND_CPU host_policy: "" profile: [ "a", "" ] gpus: [ ] } ]
version_policy { specific { versions: [ 1 ] } }
dynamic_batching {
  preferred_batch_size: [ 2, 4 ]
  max_queue_delay_microseconds: 5000000000
  priority_levels: 2
  default_priority_level: 2
  default_queue_policy { timeout_action: DELAY max_queue_size: 16 }
  priority_queue_policy { key: 1 value: { max_queue_size: 4 } }
  priority_queue_policy { key: 2 value: { } }
}
optimization { graph { level: -1 } priority: PRIORITY_MAX cuda { graph_spec { input { key: "x" value { dim: [ -1, 3 ] } } } } }
parameters { key: "intra_op_thread_count" value: { string_value: "1" } }
metric_tags { key: "team" value: "" }
model_warmup { name: "w" batch_size: 1 inputs { key: "features" value { data_type: TYPE_FP32 dims: [ 4 ] zero_data: true } } }
response_cache { enable: true }
model_metrics { metric_control { metric_identifier { family: "f" } histogram_options { buckets: [ 0.5, 1e3 ] } } }
"""


@pytest.fixture
def client(server):
    with triton.InferenceServerClient(server.address) as one:
        yield one


@pytest.fixture
def controlled(tmp_path, repository):
    """A server with one model that may come and go, and a listener that may not tell it to."""
    put_model(repository, "iris", model_file("iris"))
    listen = ("127.0.0.1:0,admin", "127.0.0.1:0")
    with Server(tmp_path / "server", repository, "--model-control", "explicit", listen=listen) as one:
        yield one


@pytest.mark.parametrize("model", ["iris", "digits_cnn", "diabetes"])
def test_config_is_that_of_http(server, client, model):
    told = client.get_model_config(model).config
    printed = json_format.ParseDict(server.get(f"/v2/models/{model}/config").json(), model_config_pb2.ModelConfig())
    assert told == printed and told.name == model


def test_config_with_every_kind_of_field(tmp_path, repository):
    put_model(repository, "iris", model_file("iris"), config=FULL_CONFIG)
    with Server(tmp_path / "server", repository) as server:
        with triton.InferenceServerClient(server.address) as client:
            told = client.get_model_config("iris", "1").config
        printed = json_format.ParseDict(server.get("/v2/models/iris/config").json(), model_config_pb2.ModelConfig())
    assert told == printed
    assert told.dynamic_batching.priority_queue_policy[1].max_queue_size == 4
    assert told.optimization.graph.level == -1
    assert list(told.model_metrics.metric_control[0].histogram_options.buckets) == [0.5, 1000]
    assert told.model_warmup[0].inputs["features"].zero_data


def test_repository(controlled):
    with triton.InferenceServerClient(controlled.address) as client:
        client.load_model("iris")
        row = client.get_model_repository_index().models[0]
        assert (row.name, row.version, row.state) == ("iris", "1", "READY")
        assert client.is_model_ready("iris")
        client.unload_model("iris")
        assert not client.is_model_ready("iris")
        assert controlled.state("iris") == "UNAVAILABLE"
        with pytest.raises(InferenceServerException, match="failed to load 'nope'|nope"):
            client.load_model("nope")
        with pytest.raises(InferenceServerException):
            client.load_model("../iris")


def test_repository_as_kserve_numbers_it(tmp_path, repository):
    """{model_name = 1}, answered with {model_name = 1, isLoaded = 2}: no published stubs go beside Triton's."""
    put_model(repository, "iris", model_file("iris"))
    listen = ("127.0.0.1:0,admin,grpc_form=kserve",)
    with Server(tmp_path / "server", repository, "--model-control", "explicit", listen=listen) as server:
        with grpc.insecure_channel(server.address) as channel:
            for call in ("RepositoryModelLoad", "RepositoryModelUnload"):
                method = channel.unary_unary(f"/{INFERENCE}/{call}")
                assert method(b"\x0a\x04iris", timeout=DEADLINE) == b"\x0a\x04iris\x10\x01"
                assert server.state("iris") == ("READY" if call == "RepositoryModelLoad" else "UNAVAILABLE")
            with pytest.raises(grpc.RpcError) as raised:
                method(b"", timeout=DEADLINE)
            assert raised.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_load_with_a_configuration_and_a_file(controlled):
    config = {"backend": "onnxruntime", "parameters": {"intra_op_thread_count": {"string_value": "1"}}}
    with triton.InferenceServerClient(controlled.address) as client:
        files = {"file:7/model.onnx": model_file("iris").read_bytes()}
        client.load_model("iris", config=json.dumps(config), files=files)
        told = client.get_model_config("iris").config
        assert told.parameters["intra_op_thread_count"].string_value == "1"
        assert [row.version for row in client.get_model_repository_index().models if row.state == "READY"] == ["7"]


def test_asyncio_client(controlled):
    async def all_at_once():
        async with triton_aio.InferenceServerClient(controlled.address) as client:
            await client.load_model("iris")
            config, index, stats, log, trace = await asyncio.gather(
                client.get_model_config("iris"),
                client.get_model_repository_index(),
                client.get_inference_statistics("iris"),
                client.get_log_settings(),
                client.get_trace_settings("iris"),
            )
            assert config.config.name == index.models[0].name == stats.model_stats[0].name == "iris"
            assert log.settings and trace.settings

    asyncio.run(all_at_once())


def test_what_changes_the_server_needs_an_admin_listener(controlled):
    address = controlled.addresses[1].split("://")[-1]
    with triton.InferenceServerClient(address) as client:
        assert client.get_model_repository_index().models[0].name == "iris"
        assert client.get_log_settings().settings and client.get_trace_settings().settings
        for call in (
            lambda: client.load_model("iris"),
            lambda: client.unload_model("iris"),
            lambda: client.update_log_settings({"log_info": False}),
            lambda: client.update_trace_settings(settings={"trace_rate": "1"}),
        ):
            with pytest.raises(InferenceServerException, match="not allowed on this listener"):
                call()


def test_statistics(client):
    rows = client.get_inference_statistics("iris").model_stats
    assert [(row.name, row.version) for row in rows] == [("iris", "1")]
    assert rows[0].inference_stats.HasField("success") and rows[0].inference_stats.HasField("cache_miss")
    assert {row.name for row in client.get_inference_statistics().model_stats} >= {"iris", "digits_cnn"}
    with pytest.raises(InferenceServerException, match="unknown model"):
        client.get_inference_statistics("nope")


def test_log_settings(controlled):
    with triton.InferenceServerClient(controlled.address) as client:
        before = client.get_log_settings().settings
        assert before["log_error"].bool_param
        after = client.update_log_settings({"log_info": False, "log_verbose_level": 2, "log_format": "ISO8601"}).settings
        assert not after["log_info"].bool_param and after["log_verbose_level"].uint32_param == 2
        assert after["log_format"].string_param == "ISO8601"
        over_http = controlled.get("/v2/logging").json()
        assert over_http["log_info"] is False and over_http["log_verbose_level"] == 2
        with pytest.raises(InferenceServerException, match="unknown log setting"):
            client.update_log_settings({"nope": True})


def test_trace_settings(controlled):
    with triton.InferenceServerClient(controlled.address) as client:
        client.load_model("iris")
        settings = client.update_trace_settings(settings={"trace_level": ["TIMESTAMPS"], "trace_rate": "5"}).settings
        assert list(settings["trace_level"].value) == ["TIMESTAMPS"]
        assert list(settings["trace_rate"].value) == ["5"]
        of_model = client.update_trace_settings("iris", {"trace_rate": "7"}).settings
        assert list(of_model["trace_rate"].value) == ["7"]
        assert controlled.get("/v2/models/iris/trace/setting").json()["trace_rate"] == "7"
        of_model = client.update_trace_settings("iris", {"trace_rate": None}).settings
        assert list(of_model["trace_rate"].value) == ["5"]


def test_system_shared_memory(tmp_path):
    with Server(tmp_path / "server", EXAMPLES / "models", "--shm-enabled") as server:
        region = shm.create_shared_memory_region("r", "/tern_test_grpc_services", 256)
        try:
            with triton.InferenceServerClient(server.address) as client:
                client.register_system_shared_memory("r", "/tern_test_grpc_services", 128, offset=64)
                client.register_system_shared_memory("s", "/tern_test_grpc_services", 64)
                told = client.get_system_shared_memory_status().regions
                assert set(told) == {"r", "s"}
                assert (told["r"].key, told["r"].offset, told["r"].byte_size) == ("/tern_test_grpc_services", 64, 128)
                assert set(client.get_system_shared_memory_status("s").regions) == {"s"}
                with pytest.raises(InferenceServerException, match="Unable to find system shared memory region"):
                    client.get_system_shared_memory_status("nope")
                with pytest.raises(InferenceServerException, match="already in manager"):
                    client.register_system_shared_memory("r", "/tern_test_grpc_services", 128)
                client.unregister_system_shared_memory("s")
                assert set(client.get_system_shared_memory_status().regions) == {"r"}
                client.unregister_system_shared_memory()
                assert not client.get_system_shared_memory_status().regions
        finally:
            shm.destroy_shared_memory_region(region)


def test_cuda_shared_memory_without_a_gpu(tmp_path):
    with Server(tmp_path / "server", EXAMPLES / "models", "--shm-enabled") as server:
        with triton.InferenceServerClient(server.address) as client:
            assert not client.get_cuda_shared_memory_status().regions
            with pytest.raises(InferenceServerException, match="no CUDA device"):
                client.register_cuda_shared_memory("r", base64.b64encode(bytes(64)), 0, 128)
            client.unregister_cuda_shared_memory()


# ---- ModelStreamInfer ----

SQUARE = """
backend: "square"
model_transaction_policy { decoupled: true }
input { name: "IN" data_type: TYPE_INT32 dims: [ 1 ] }
output { name: "OUT" data_type: TYPE_INT32 dims: [ 1 ] }
"""


@pytest.fixture(scope="module")
def streaming(tmp_path_factory):
    """Iris and a decoupled model, on a listener for each form of the protocol."""
    folder = tmp_path_factory.mktemp("streaming")
    put_model(folder / "models", "iris", model_file("iris"))
    (folder / "models" / "square" / "1").mkdir(parents=True)
    (folder / "models" / "square" / "config.pbtxt").write_text(SQUARE)
    listen = [f"127.0.0.1:0,grpc_form={form}" for form in ("triton", "mlserver", "kserve")]
    with Server(folder / "server", folder / "models", listen=listen) as one:
        yield one


def iris_request(rows, request_id, model="iris"):
    values = numpy.arange(4 * rows, dtype="<f4").tobytes()
    request = service_pb2.ModelInferRequest(model_name=model, id=request_id, raw_input_contents=[values])
    request.inputs.add(name="features", datatype="FP32", shape=[rows, 4])
    return request


def stream(server, form, requests, answer=service_pb2.ModelStreamInferResponse, metadata=()):
    address = server.addresses[("triton", "mlserver", "kserve").index(form)].split("://")[-1]
    with grpc.insecure_channel(address) as channel:
        call = channel.stream_stream(
            f"/{INFERENCE}/ModelStreamInfer",
            request_serializer=service_pb2.ModelInferRequest.SerializeToString,
            response_deserializer=answer.FromString,
        )
        for message in call(iter(requests), timeout=DEADLINE, metadata=metadata):
            yield message


@pytest.mark.parametrize("form", ["triton", "kserve"])
def test_stream_answers_in_order(streaming, form):
    # From small answers, copied, to large ones, which follow the message as slices.
    requests = [iris_request(rows, str(rows)) for rows in (1, 2, 300, 1, 5000)]
    answers = list(stream(streaming, form, requests))
    assert [answer.infer_response.id for answer in answers] == ["1", "2", "300", "1", "5000"]
    for request, answer in zip(requests, answers):
        assert not answer.error_message
        rows = request.inputs[0].shape[0]
        assert all(output.shape[0] == rows for output in answer.infer_response.outputs)
        with grpc.insecure_channel(streaming.address) as channel:
            alone = service_pb2_grpc.GRPCInferenceServiceStub(channel).ModelInfer(request, timeout=DEADLINE)
        assert answer.infer_response == alone


def test_stream_of_mlserver(streaming):
    requests = [iris_request(rows, str(rows)) for rows in (1, 2000)]
    answers = list(stream(streaming, "mlserver", requests, service_pb2.ModelInferResponse))
    assert [answer.id for answer in answers] == ["1", "2000"]
    with pytest.raises(grpc.RpcError) as raised:
        list(stream(streaming, "mlserver", [iris_request(1, "1", "nope")], service_pb2.ModelInferResponse))
    assert raised.value.code() == grpc.StatusCode.NOT_FOUND


def test_stream_survives_an_error(streaming):
    wrong = iris_request(1, "wrong")
    wrong.inputs[0].shape[0] = 2
    requests = [iris_request(1, "a"), wrong, iris_request(1, "unknown", "nope"), iris_request(1, "b")]
    answers = list(stream(streaming, "triton", requests))
    assert [answer.infer_response.id for answer in answers] == ["a", "wrong", "unknown", "b"]
    assert [bool(answer.error_message) for answer in answers] == [False, True, True, False]
    assert "unknown model: 'nope'" in answers[2].error_message


def test_stream_ends_with_a_status_when_asked(streaming):
    requests = [iris_request(1, "a"), iris_request(1, "unknown", "nope"), iris_request(1, "b")]
    got = []
    with pytest.raises(grpc.RpcError) as raised:
        for answer in stream(streaming, "triton", requests, metadata=[("triton_grpc_error", "true")]):
            got.append(answer.infer_response.id)
    assert got == ["a"]
    assert raised.value.code() == grpc.StatusCode.NOT_FOUND
    assert "unknown model: 'nope'" in raised.value.details()


def test_decoupled_model(streaming):
    """By tritonclient's own stream: n answers to n, and the word that says which is the last."""
    results = queue.Queue()
    with triton.InferenceServerClient(streaming.address) as client:
        client.start_stream(callback=lambda result, error: results.put((result, error)))
        for n in (3, 0):
            given = triton.InferInput("IN", [1], "INT32")
            given.set_data_from_numpy(numpy.array([n], "int32"))
            client.async_stream_infer("square", [given], request_id=str(n), enable_empty_final_response=True)
        got = [results.get(timeout=DEADLINE) for _ in range(5)]
        client.stop_stream()
    assert [error for _, error in got] == [None] * 5
    answers = [result.get_response() for result, _ in got]
    of = {n: [one for one in answers if one.id == n] for n in ("3", "0")}
    finals = {n: [one.parameters["triton_final_response"].bool_param for one in of[n]] for n in of}
    assert finals == {"3": [False, False, False, True], "0": [True]}
    assert [list(numpy.frombuffer(one.raw_output_contents[0], "<i4")) for one in of["3"][:3]] == [[3], [3], [3]]
    assert not of["3"][3].outputs and not of["0"][0].outputs
    with triton.InferenceServerClient(streaming.address) as client:
        with pytest.raises(InferenceServerException, match="decoupled transaction policy"):
            client.infer("square", [given])


# ---- stubs made from the files of api/ ----


@pytest.fixture(scope="session")
def stubs(tmp_path_factory):
    """Made by protoc, in one process with those that tritonclient brings."""
    folder = tmp_path_factory.mktemp("stubs")
    files = ["grpc_service.proto", "model_config.proto", "model_repository.proto"]
    tool = [sys.executable, "-m", "grpc_tools.protoc", f"-I{TOP / 'api'}"]
    subprocess.run([*tool, f"--python_out={folder}", f"--grpc_python_out={folder}", *files], check=True)
    sys.path.insert(0, str(folder))
    yield importlib.import_module
    sys.path.remove(str(folder))


def test_stubs_of_mlservers_repository_service(controlled, stubs):
    messages, calls = stubs("model_repository_pb2"), stubs("model_repository_pb2_grpc")
    with grpc.insecure_channel(controlled.address) as channel:
        stub = calls.ModelRepositoryServiceStub(channel)
        stub.RepositoryModelLoad(messages.RepositoryModelLoadRequest(model_name="iris"), timeout=DEADLINE)
        index = stub.RepositoryIndex(messages.RepositoryIndexRequest(ready=True), timeout=DEADLINE)
        assert [row.name for row in index.models] == ["iris"]
        stub.RepositoryModelUnload(messages.RepositoryModelUnloadRequest(model_name="iris"), timeout=DEADLINE)
        index = stub.RepositoryIndex(messages.RepositoryIndexRequest(ready=True), timeout=DEADLINE)
        assert not index.models
        with pytest.raises(grpc.RpcError) as raised:
            stub.RepositoryIndex(messages.RepositoryIndexRequest(repository_name="r"), timeout=DEADLINE)
        assert raised.value.code() == grpc.StatusCode.UNIMPLEMENTED


def test_stubs_of_all_twenty_calls(tmp_path, repository, stubs):
    put_model(repository, "iris", model_file("iris"))
    m, calls = stubs("grpc_service_pb2"), stubs("grpc_service_pb2_grpc")
    handle = bytes(64)
    requests = {
        "ServerLive": m.ServerLiveRequest(),
        "ServerReady": m.ServerReadyRequest(),
        "RepositoryModelLoad": m.RepositoryModelLoadRequest(model_name="iris"),
        "ModelReady": m.ModelReadyRequest(name="iris", version="1"),
        "ServerMetadata": m.ServerMetadataRequest(),
        "ModelMetadata": m.ModelMetadataRequest(name="iris"),
        "ModelInfer": iris_request(1, "i"),
        "ModelConfig": m.ModelConfigRequest(name="iris"),
        "ModelStatistics": m.ModelStatisticsRequest(name="iris"),
        "RepositoryIndex": m.RepositoryIndexRequest(),
        "SystemSharedMemoryRegister": m.SystemSharedMemoryRegisterRequest(
            name="r", key="/tern_test_twenty_calls", byte_size=64
        ),
        "SystemSharedMemoryStatus": m.SystemSharedMemoryStatusRequest(),
        "SystemSharedMemoryUnregister": m.SystemSharedMemoryUnregisterRequest(name="r"),
        "CudaSharedMemoryStatus": m.CudaSharedMemoryStatusRequest(),
        "CudaSharedMemoryRegister": m.CudaSharedMemoryRegisterRequest(name="c", raw_handle=handle, byte_size=64),
        "CudaSharedMemoryUnregister": m.CudaSharedMemoryUnregisterRequest(),
        "TraceSetting": m.TraceSettingRequest(model_name="iris"),
        "LogSettings": m.LogSettingsRequest(settings={"log_info": {"bool_param": True}}),
        "RepositoryModelUnload": m.RepositoryModelUnloadRequest(model_name="iris"),
    }
    region = shm.create_shared_memory_region("r", "/tern_test_twenty_calls", 64)
    try:
        with Server(tmp_path / "server", repository, "--model-control", "explicit", "--shm-enabled") as server:
            with grpc.insecure_channel(server.address) as channel:
                stub = calls.GRPCInferenceServiceStub(channel)
                got = {}
                for name, request in requests.items():
                    if name == "RepositoryModelUnload":
                        streamed = list(stub.ModelStreamInfer(iter([iris_request(1, "s")]), timeout=DEADLINE))
                    try:
                        got[name] = getattr(stub, name)(request, timeout=DEADLINE)
                    except grpc.RpcError as error:
                        got[name] = error
    finally:
        shm.destroy_shared_memory_region(region)
    assert set(requests) | {"ModelStreamInfer"} == set(m.DESCRIPTOR.services_by_name["GRPCInferenceService"].methods_by_name)
    failed = {name: got[name].code() for name in got if isinstance(got[name], grpc.RpcError)}
    assert failed == {"CudaSharedMemoryRegister": grpc.StatusCode.INVALID_ARGUMENT}
    assert got["ServerLive"].live and got["ServerReady"].ready and got["ModelReady"].ready
    assert got["ServerMetadata"].name == "tern" and "statistics" in got["ServerMetadata"].extensions
    assert got["ModelMetadata"].inputs[0].name == "features" and got["ModelConfig"].config.name == "iris"
    assert got["ModelInfer"].id == "i" and streamed[0].infer_response.id == "s"
    assert got["ModelStatistics"].model_stats[0].inference_stats.success.count == 1
    assert set(got["SystemSharedMemoryStatus"].regions) == {"r"}
    assert got["LogSettings"].settings["log_info"].bool_param and got["TraceSetting"].settings
