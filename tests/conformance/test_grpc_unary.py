"""Unary calls of inference.GRPCInferenceService with Triton's own client and with bare grpcio: both
forms of contents, every datatype, compression, deadlines, errors, and gRPC-Web."""

import asyncio
import base64
import queue
import struct

import grpc
import numpy
import pytest
import tritonclient.grpc as triton
import tritonclient.grpc.aio
from google.rpc import status_pb2
from tritonclient.grpc import service_pb2, service_pb2_grpc
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

from harness import DEADLINE, EXAMPLES, Server, example

SERVICE = "/inference.GRPCInferenceService/"


@pytest.fixture
def client(server):
    with triton.InferenceServerClient(server.address) as one:
        yield one


@pytest.fixture
def stub(server):
    with grpc.insecure_channel(server.address) as channel:
        yield service_pb2_grpc.GRPCInferenceServiceStub(channel)


def digits():
    data = example("digits_mlp")
    tensor = data["inputs"][0]
    values = numpy.array(tensor["data"], "float32").reshape(tensor["shape"])
    recorded = {output["name"]: output for output in data["outputs"]["1"]}
    return values, recorded, data["tolerance"]


def given(name, values):
    tensor = triton.InferInput(name, list(values.shape), np_to_triton_dtype(values.dtype))
    tensor.set_data_from_numpy(values)
    return tensor


# ---- health and metadata ----


def test_health_and_metadata(client):
    assert client.is_server_live() and client.is_server_ready() and client.is_model_ready("iris")
    assert client.is_model_ready("iris", "1")
    assert not client.is_model_ready("nope") and not client.is_model_ready("iris", "9")
    server = client.get_server_metadata()
    assert server.name == "tern" and "binary_tensor_data" in server.extensions
    model = client.get_model_metadata("iris")
    assert model.name == "iris" and list(model.versions) == ["1"] and model.platform == "onnxruntime_onnx"
    assert (model.inputs[0].name, model.inputs[0].datatype, list(model.inputs[0].shape)) == ("features", "FP32", [-1, 4])
    assert [output.name for output in model.outputs] == ["label", "probabilities"]


# ---- inference ----


@pytest.mark.parametrize("coding", [None, "gzip", "deflate"])
@pytest.mark.parametrize("outputs", [None, ["probabilities", "label"]])
def test_infer(client, coding, outputs):
    values, recorded, tolerance = digits()
    result = client.infer(
        "digits_mlp",
        [given("features", values)],
        outputs=outputs and [triton.InferRequestedOutput(name) for name in outputs],
        request_id="seven",
        compression_algorithm=coding,
        client_timeout=DEADLINE,
    )
    response = result.get_response()
    assert (response.id, response.model_name, response.model_version) == ("seven", "digits_mlp", "1")
    assert [output.name for output in response.outputs] == (outputs or ["label", "probabilities"])
    assert result.as_numpy("label").tolist() == recorded["label"]["data"]
    numpy.testing.assert_allclose(
        result.as_numpy("probabilities").ravel(), recorded["probabilities"]["data"], atol=tolerance
    )


def test_infer_asyncio(server):
    values, recorded, _ = digits()

    async def run():
        async with tritonclient.grpc.aio.InferenceServerClient(server.address) as client:
            calls = [client.infer("digits_mlp", [given("features", values)]) for _ in range(20)]
            return await asyncio.gather(*calls)

    for result in asyncio.run(run()):
        assert result.as_numpy("label").tolist() == recorded["label"]["data"]


def test_callbacks(client):
    values, recorded, _ = digits()
    answers = queue.Queue()
    for _ in range(8):
        client.async_infer("digits_mlp", [given("features", values)], lambda result, error: answers.put((result, error)))
    for _ in range(8):
        result, error = answers.get(timeout=DEADLINE)
        assert error is None and result.as_numpy("label").tolist() == recorded["label"]["data"]


TYPES = ["bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64", "float16", "float32", "float64"]
FIELDS = {
    "b": "bool_contents", "i8": "int64_contents", "u8": "uint64_contents",
    "f4": "fp32_contents", "f8": "fp64_contents", "i": "int_contents", "u": "uint_contents",
}  # fmt: skip


def identity(types, dtype):
    """Model, input and output that take the datatype; None when there is none."""
    with triton.InferenceServerClient(types.address) as client:
        name = "identity_" + {"float16": "fp16", "float32": "fp32", "float64": "fp64"}.get(dtype, dtype)
        if not client.is_model_ready(name):
            return None
        meta = client.get_model_metadata(name)
        return name, meta.inputs[0], meta.outputs[0].name


def values_for(dtype, shape):
    if dtype == "bool":
        return numpy.array([True, False, True], "bool").reshape(shape)
    if dtype.startswith("float"):
        return numpy.array([0.5, -2.0, 1024.0], dtype).reshape(shape)
    info = numpy.iinfo(dtype)
    return numpy.array([info.min, info.max, 1], dtype).reshape(shape)


def shape_of(meta):
    """Three elements."""
    return [3] + [1] * (len(meta.shape) - 1)


@pytest.mark.parametrize("dtype", TYPES)
def test_raw_of_every_datatype(types, dtype):
    found = identity(types, dtype)
    if found is None:
        pytest.skip(f"no model takes {dtype}")
    name, meta, output = found
    values = values_for(dtype, shape_of(meta))
    with triton.InferenceServerClient(types.address) as client:
        result = client.infer(name, [given(meta.name, values)])
    numpy.testing.assert_array_equal(result.as_numpy(output), values)


@pytest.mark.parametrize("dtype", TYPES)
def test_typed_of_every_datatype(types, dtype):
    found = identity(types, dtype)
    if found is None:
        pytest.skip(f"no model takes {dtype}")
    name, meta, output = found
    values = values_for(dtype, shape_of(meta))
    request = service_pb2.ModelInferRequest(model_name=name)
    tensor = request.inputs.add(name=meta.name, datatype=meta.datatype, shape=values.shape)
    code = values.dtype.str[1:]
    field = FIELDS.get(code, FIELDS.get(code[0]))
    with grpc.insecure_channel(types.address) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        if dtype == "float16":
            tensor.contents.fp32_contents.extend(values.ravel().tolist())
            with pytest.raises(grpc.RpcError) as refused:
                stub.ModelInfer(request)
            assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
            assert "only raw_input_contents can carry" in refused.value.details()
            return
        getattr(tensor.contents, field).extend(values.ravel().tolist())
        response = stub.ModelInfer(request)
    assert len(response.raw_output_contents) == 1 and not response.outputs[0].HasField("contents")
    assert numpy.frombuffer(response.raw_output_contents[0], values.dtype).tolist() == values.ravel().tolist()
    assert response.outputs[0].name == output


def test_strings(types):
    values = numpy.array([b"one", b"", b"\xff\x00"], object).reshape(3, 1)
    with triton.InferenceServerClient(types.address) as client:
        meta = client.get_model_metadata("identity_bytes")
        shape = [3] + [1] * (len(meta.inputs[0].shape) - 1)
        tensor = triton.InferInput(meta.inputs[0].name, shape, "BYTES")
        tensor.set_data_from_numpy(values.reshape(shape))
        try:
            result = client.infer("identity_bytes", [tensor])
        except InferenceServerException as error:
            assert "UTF-8" in error.message()  # what ONNX Runtime says to the last string
            return
    assert result.as_numpy(meta.outputs[0].name).ravel().tolist() == [b"one", b"", b"\xff\x00"]


def test_large_tensors(types):
    values = numpy.random.default_rng(1).standard_normal((1 << 18, 1)).astype("float32")
    name, meta, output = identity(types, "float32")
    values = values.reshape([1 << 18] + [1] * (len(meta.shape) - 1))
    options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    with triton.InferenceServerClient(types.address, channel_args=options) as client:
        for _ in range(3):
            result = client.infer(name, [given(meta.name, values)])
            numpy.testing.assert_array_equal(result.as_numpy(output), values)


# ---- deadlines ----


def test_deadline_already_past(server):
    """grpcio gives up by itself; on the wire it is a plain answer."""
    values, _, _ = digits()
    request = service_pb2.ModelInferRequest(model_name="digits_mlp")
    request.inputs.add(name="features", datatype="FP32", shape=values.shape)
    request.raw_input_contents.append(values.tobytes())
    answer = web(server, "ModelInfer", request, {"grpc-timeout": "0n"})
    assert answer["grpc-status"] == "4", answer
    answer = web(server, "ModelInfer", request, {"grpc-timeout": "soon"})
    assert answer["grpc-status"] == "3" and "grpc-timeout" in answer["grpc-message"]


# ---- errors ----


def infer_request(**fields):
    return service_pb2.ModelInferRequest(**{"model_name": "iris", **fields})


def tensor(**fields):
    return service_pb2.ModelInferRequest.InferInputTensor(
        **{"name": "features", "datatype": "FP32", "shape": [1, 4], **fields}
    )


ROW = numpy.array([5.1, 3.5, 1.4, 0.2], "float32")


@pytest.mark.parametrize(
    ("request_", "code", "text"),
    [
        (infer_request(model_name="nope"), "NOT_FOUND", "Request for unknown model: 'nope' is not found"),
        (infer_request(model_name=""), "NOT_FOUND", "Request for unknown model"),
        (infer_request(model_name="../etc"), "NOT_FOUND", "Request for unknown model"),
        (infer_request(model_version="9"), "NOT_FOUND", "version 9 is not found"),
        (
            infer_request(model_version="one"),
            "INVALID_ARGUMENT",
            "failed to get model version from specified version string 'one'",
        ),
        (infer_request(), "INVALID_ARGUMENT", "expected 1 inputs but got 0 inputs for model 'iris'"),
        (
            infer_request(inputs=[tensor()], raw_input_contents=[ROW.tobytes()[:-4]]),
            "INVALID_ARGUMENT",
            "input byte size mismatch for input 'features' for model 'iris'. Expected 16, got 12",
        ),
        (
            infer_request(inputs=[tensor()], raw_input_contents=[ROW.tobytes(), b""]),
            "INVALID_ARGUMENT",
            "2 raw_input_contents, expected one for each of the 1 inputs",
        ),
        (
            infer_request(
                inputs=[tensor(contents={"fp32_contents": ROW.tolist()})], raw_input_contents=[ROW.tobytes()]
            ),
            "INVALID_ARGUMENT",
            "contents field must not be specified when using raw_input_contents for 'features' for model 'iris'",
        ),
        (
            infer_request(inputs=[tensor(contents={"fp32_contents": ROW.tolist()[:3]})]),
            "INVALID_ARGUMENT",
            "unexpected number of elements 3",
        ),
        (
            infer_request(inputs=[tensor(shape=[1, 5], contents={"fp32_contents": [0] * 5})]),
            "INVALID_ARGUMENT",
            "unexpected shape for input 'features' for model 'iris'. Expected [-1,4], got [1,5]",
        ),
        (
            infer_request(inputs=[tensor(datatype="INT32", contents={"int_contents": [0] * 4})]),
            "INVALID_ARGUMENT",
            "inference input 'features' data-type is 'INT32', but model 'iris' expects 'FP32'",
        ),
        (
            infer_request(
                inputs=[tensor(contents={"fp32_contents": ROW.tolist()})],
                outputs=[{"name": "label"}, {"name": "label"}],
            ),
            "INVALID_ARGUMENT",
            "output 'label' already exists in request",
        ),
    ],
)
def test_errors(stub, request_, code, text):
    with pytest.raises(grpc.RpcError) as refused:
        stub.ModelInfer(request_)
    assert refused.value.code().name == code
    assert text in refused.value.details()
    # the same once more, as structured data
    rich = dict(refused.value.trailing_metadata())["grpc-status-details-bin"]
    status = status_pb2.Status.FromString(rich)
    assert (status.code, status.message) == (refused.value.code().value[0], refused.value.details())


def test_unknown_method_and_garbage(server):
    with grpc.insecure_channel(server.address) as channel:
        for path, message, code in [
            (SERVICE + "NoSuchCall", b"", "UNIMPLEMENTED"),
            ("/no.such.Service/Call", b"", "UNIMPLEMENTED"),
            (SERVICE + "ModelInfer", b"\x0a\x05ab", "INVALID_ARGUMENT"),
            (SERVICE + "ModelInfer", b"\xff" * 50, "INVALID_ARGUMENT"),
            (SERVICE + "ModelMetadata", b"\x0a\x02\xff\xfe", "INVALID_ARGUMENT"),
        ]:
            with pytest.raises(grpc.RpcError) as refused:
                channel.unary_unary(path)(message)
            assert refused.value.code().name == code, path


def test_messages_too_large(tmp_path):
    with Server(tmp_path / "server", EXAMPLES / "models", "--http-body-max", "64k") as server:
        with grpc.insecure_channel(server.address) as channel:
            infer = channel.unary_unary(SERVICE + "ModelInfer")
            for size in (70_000, 1_000_000):
                with pytest.raises(grpc.RpcError) as refused:
                    infer(b"\x0a" + bytes(size))
                assert refused.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
                assert "65536" in refused.value.details()
            # small on the wire only
            packed = channel.unary_unary(SERVICE + "ModelInfer")
            with pytest.raises(grpc.RpcError) as refused:
                packed(bytes(10_000_000), compression=grpc.Compression.Gzip)
            assert refused.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED


def test_answers_are_compressed_on_wish(tmp_path):
    values, recorded, _ = digits()
    request = service_pb2.ModelInferRequest(model_name="digits_mlp")
    request.inputs.add(name="features", datatype="FP32", shape=values.shape)
    request.raw_input_contents.append(values.tobytes())
    with Server(tmp_path / "server", EXAMPLES / "models", "--grpc-compression", "high") as server:
        plain = web(server, "ModelInfer", request)
        packed = web(server, "ModelInfer", request, {"grpc-accept-encoding": "gzip"})
        assert packed["http-headers"]["grpc-encoding"] == "gzip" and packed["flag"] == 1
        assert len(packed["message"]) < len(plain["message"]) and plain["flag"] == 0
        with triton.InferenceServerClient(server.address) as client:
            result = client.infer("digits_mlp", [given("features", values)], compression_algorithm="gzip")
            assert result.as_numpy("label").tolist() == recorded["label"]["data"]


# ---- gRPC-Web ----


def web(server, method, request, headers=None, text=False):
    """One call over HTTP/1.1: message, trailers, and the headers of HTTP."""
    kind = "application/grpc-web-text" if text else "application/grpc-web+proto"
    message = request.SerializeToString()
    body = struct.pack(">BI", 0, len(message)) + message
    if text:
        body = base64.b64encode(body)
    answer = server.call("POST", SERVICE + method, body, {"Content-Type": kind, **(headers or {})})
    assert answer.status == 200 and answer.headers["Content-Type"] == kind
    found = {"http-headers": answer.headers, "message": None}
    found.update((name, value) for name, value in answer.headers.items() if name.startswith("grpc-"))
    rest = answer.body
    if text:  # padded pieces one after the other
        rest = b"".join(base64.b64decode(rest[at : at + 4]) for at in range(0, len(rest), 4))
    while rest:
        flag, n = struct.unpack(">BI", rest[:5])
        part, rest = rest[5 : 5 + n], rest[5 + n :]
        if flag & 0x80:
            assert not rest
            for line in part.decode().splitlines():
                name, value = line.split(":", 1)
                found[name] = value.strip()
        else:
            found["message"], found["flag"] = part, flag
    return found


@pytest.mark.parametrize("text", [False, True])
def test_grpc_web(server, text):
    answer = web(server, "ServerMetadata", service_pb2.ServerMetadataRequest(), text=text)
    assert answer["grpc-status"] == "0"
    assert service_pb2.ServerMetadataResponse.FromString(answer["message"]).name == "tern"
    values, recorded, _ = digits()
    request = service_pb2.ModelInferRequest(model_name="digits_mlp")
    request.inputs.add(name="features", datatype="FP32", shape=values.shape)
    request.raw_input_contents.append(values.tobytes())
    answer = web(server, "ModelInfer", request, text=text)
    response = service_pb2.ModelInferResponse.FromString(answer["message"])
    label = numpy.frombuffer(response.raw_output_contents[0], "int64")
    assert label.tolist() == recorded["label"]["data"] and answer["grpc-status"] == "0"
    answer = web(server, "ModelMetadata", service_pb2.ModelMetadataRequest(name="nope"), text=text)
    assert answer["grpc-status"] == "5" and answer["message"] is None
    status = status_pb2.Status.FromString(base64.b64decode(answer["grpc-status-details-bin"] + "=="))
    assert status.code == 5 and not status.details


def test_pages_of_other_origins(tmp_path):
    page = {"Origin": "https://app.example"}
    ask = {**page, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type,x-grpc-web"}
    with Server(tmp_path / "server", EXAMPLES / "models", "--http-cors-origins", "https://app.example") as server:
        answer = server.call("OPTIONS", SERVICE + "ModelInfer", headers=ask)
        assert answer.status == 204
        assert answer.headers["Access-Control-Allow-Origin"] == "https://app.example"
        assert answer.headers["Access-Control-Allow-Headers"] == "content-type,x-grpc-web"
        assert "POST" in answer.headers["Access-Control-Allow-Methods"]
        found = web(server, "ServerLive", service_pb2.ServerLiveRequest(), page)
        assert found["http-headers"]["Access-Control-Allow-Origin"] == "https://app.example"
        assert "grpc-status" in found["http-headers"]["Access-Control-Expose-Headers"]
        for headers in ({}, {"Origin": "https://other.example"}):
            found = web(server, "ServerLive", service_pb2.ServerLiveRequest(), headers)
            assert found["http-headers"]["Access-Control-Allow-Origin"] is None


def test_grpc_needs_http2(server):
    answer = server.call("POST", SERVICE + "ServerLive", bytes(5), {"Content-Type": "application/grpc"})
    assert answer.status == 505 and b"HTTP/2" in answer.body
    answer = server.call("POST", SERVICE + "ServerLive", b"{}", {"Content-Type": "application/json"})
    assert answer.status == 415
