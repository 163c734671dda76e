"""The gRPC services beside inference, with the clients that people have for them: health, reflection,
the administrative calls of GRPCInferenceService, and stubs made from the files of api/."""

import pathlib
import queue
import subprocess
import sys

import grpc
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from tritonclient.grpc import model_config_pb2, service_pb2

from harness import DEADLINE, TOP, Server, model_file, put_model

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
