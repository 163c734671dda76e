"""The clients of KServe's SDK, in a process of their own: their protobuf messages have the names of
tritonclient's. Run by test_kserve.py as: kserve_client.py PLAIN TLS KSERVE CERT"""

import asyncio
import json
import logging
import ssl
import sys
import traceback

import grpc
import httpx
import numpy
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest, RESTConfig
from kserve.protocol.grpc import grpc_predict_v2_pb2 as messages
from kserve.protocol.grpc import grpc_predict_v2_pb2_grpc as stubs
from kserve.protocol.infer_type import RequestedOutput

logging.disable(logging.CRITICAL)  # the SDK logs every error that a check wants
plain, tls, kserve_form, cert = sys.argv[1:]
checks = []


def check(name, run):
    checks.append((name, run))


def tensor(name, values, datatype="FP32", binary=None):
    """With typed contents, unless told how to carry them."""
    if binary is None:
        return InferInput(name, list(numpy.shape(values)), datatype, data=numpy.ravel(values).tolist())
    given = InferInput(name, list(values.shape), datatype)
    given.set_data_from_numpy(values, binary_data=binary)
    return given


IRIS = numpy.array([[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]], "float32")


def rest(**options):
    return InferenceRESTClient(RESTConfig(protocol="v2", retries=0, timeout=30, **options))


async def rest_health(client, url):
    assert await client.is_server_live(url) is True
    assert await client.is_server_ready(url) is True
    assert await client.is_model_ready(url, "iris") is True
    assert await client.is_model_ready(url, "nope") is False


async def rest_infer(client, url):
    for binary in (None, False, True):
        request = InferRequest("iris", [tensor("features", IRIS, binary=binary)], request_id="seven")
        response = await client.infer(url, request, model_name="iris")
        assert (response.id, response.model_name) == ("seven", "iris")
        by_name = {one.name: one for one in response.outputs}
        assert by_name["label"].as_numpy().tolist() == [0, 2]
        assert by_name["probabilities"].as_numpy().shape == (2, 3)
    wanted = [RequestedOutput("label", parameters={"binary_data": True})]
    request = InferRequest("iris", [tensor("features", IRIS, binary=True)], request_outputs=wanted)
    (label,) = (await client.infer(url, request, model_name="iris")).outputs
    assert label.name == "label" and label.as_numpy().tolist() == [0, 2]


async def rest_errors(client, url):
    for model, values, status in (("nope", IRIS, 404), ("iris", IRIS[:, :3], 400)):
        try:
            await client.infer(url, InferRequest(model, [tensor("features", values)]), model_name=model)
        except httpx.HTTPStatusError as error:
            assert error.response.status_code == status, error.response.text
            assert error.response.json()["error"]
        else:
            raise AssertionError(f"{model} was answered")


async def over_rest(run):
    verify = ssl.create_default_context(cafile=cert)
    for options, url in (
        ({}, f"http://{plain}"),
        ({}, f"http://{kserve_form}"),
        ({"verify": verify}, f"https://{tls}"),
        ({"verify": verify, "http2": True}, f"https://{tls}"),
    ):
        async with rest(**options) as client:
            await run(client, url)


check("REST: health", lambda: over_rest(rest_health))
check("REST: infer", lambda: over_rest(rest_infer))
check("REST: errors", lambda: over_rest(rest_errors))


async def grpc_health(client):
    assert await client.is_server_live() is True
    assert await client.is_server_ready() is True
    assert await client.is_model_ready("iris") is True


async def grpc_infer(client):
    for binary in (None, False, True):
        request = InferRequest("iris", [tensor("features", IRIS, binary=binary)], request_id="seven")
        response = await client.infer(request)
        assert (response.id, response.model_name, response.model_version) == ("seven", "iris", "1")
        by_name = {one.name: one for one in response.outputs}
        assert by_name["label"].as_numpy().tolist() == [0, 2]
        assert by_name["probabilities"].as_numpy().shape == (2, 3)


async def grpc_errors(client):
    for model, values, code in (
        ("nope", IRIS, grpc.StatusCode.NOT_FOUND),
        ("iris", IRIS[:, :3], grpc.StatusCode.INVALID_ARGUMENT),
    ):
        try:
            await client.infer(InferRequest(model, [tensor("features", values)]))
        except grpc.RpcError as error:
            assert error.code() == code and error.details()
        else:
            raise AssertionError(f"{model} was answered")
    try:
        await client.infer(InferRequest("slow", [tensor("INPUT0", [[1.0]])]), timeout=0.2)
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    else:
        raise AssertionError("ten minutes have passed")
    assert await client.is_server_live() is True


async def over_grpc(run):
    for address in (plain, kserve_form):
        async with InferenceGRPCClient(address, timeout=30, retries=2) as client:
            await run(client)
    async with InferenceGRPCClient(tls, use_ssl=True, root_certificates=cert, timeout=30) as client:
        await run(client)


check("gRPC: health", lambda: over_grpc(grpc_health))
check("gRPC: infer", lambda: over_grpc(grpc_infer))
check("gRPC: errors", lambda: over_grpc(grpc_errors))


async def typed_answers():
    """In KServe's form answers carry what requests did."""
    async with grpc.aio.insecure_channel(kserve_form) as channel:
        stub = stubs.GRPCInferenceServiceStub(channel)
        request = InferRequest("iris", [tensor("features", IRIS)]).to_grpc()
        response = await stub.ModelInfer(request)
        assert list(response.outputs[0].contents.int64_contents) == [0, 2] and not response.raw_output_contents
        assert len(response.outputs[1].contents.fp32_contents) == 6
    async with InferenceGRPCClient(kserve_form) as client:
        response = await client.infer(InferRequest("iris", [tensor("features", IRIS)]))
        assert response.outputs[0].data == [0, 2]


async def strings():
    async with InferenceGRPCClient(kserve_form) as client:
        words = InferInput("text_input", [1], "BYTES", data=["zwölf"])
        response = await client.infer(InferRequest("echo", [words, tensor("scores", numpy.zeros((1, 2)))]))
        assert response.outputs[0].data == ["zwölf".encode()]


async def metadata():
    """Calls that the SDK has stubs for, and no method."""
    async with grpc.aio.insecure_channel(kserve_form) as channel:
        stub = stubs.GRPCInferenceServiceStub(channel)
        server = await stub.ServerMetadata(messages.ServerMetadataRequest())
        assert server.name == "tern" and server.version
        model = await stub.ModelMetadata(messages.ModelMetadataRequest(name="iris"))
        assert list(model.versions) == ["1"] and list(model.inputs[0].shape) == [-1, 4]


async def repository():
    """Its messages have numbers of their own: understood, and refused, as nothing may be loaded here."""
    async with grpc.aio.insecure_channel(kserve_form) as channel:
        stub = stubs.GRPCInferenceServiceStub(channel)
        for call in (
            stub.RepositoryModelLoad(messages.RepositoryModelLoadRequest(model_name="iris")),
            stub.RepositoryModelUnload(messages.RepositoryModelUnloadRequest(model_name="iris")),
        ):
            try:
                await call
            except grpc.RpcError as error:
                assert error.code() == grpc.StatusCode.UNAVAILABLE and "explicit" in error.details(), error
            else:
                raise AssertionError("it was done")


check("gRPC: typed answers", typed_answers)
check("gRPC: strings", strings)
check("gRPC: metadata", metadata)
check("gRPC: repository", repository)

for name, run in checks:
    error = None
    try:
        asyncio.run(run())
    except BaseException:
        error = traceback.format_exc()
    print(json.dumps({"check": name, "error": error}), flush=True)
