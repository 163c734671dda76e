"""Every kind of client at once, most of them rude, by chance but the same chance each time. Nothing they
do may take the server down, be answered wrongly, or leave anything behind."""

import collections
import os
import random
import re
import signal
import socket
import struct
import threading
import time

import grpc
import numpy
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tritonclient.grpc import service_pb2, service_pb2_grpc

from harness import DEADLINE, SAMPLES, Server, put_sample, wait_for

SECONDS = float(os.environ.get("TERN_CHAOS_SECONDS", "8"))
SEED = int(os.environ.get("TERN_CHAOS_SEED", "1"))
SERVICE = "/inference.GRPCInferenceService/"
# What a client may be told for what it did, or for what another did to its model.
FAIR = {"CANCELLED", "DEADLINE_EXCEEDED", "NOT_FOUND", "UNAVAILABLE", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION"}


@pytest.fixture
def server(tmp_path, repository):
    for name in ("square_int32", "repeat_int32", "identity_fp32"):
        put_sample(repository, name)
    identity = SAMPLES["identity_fp32"]
    put_sample(repository, "churn", identity)
    delay = 'parameters { key: "execute_delay_ms" value: { string_value: "2" } }\n'
    put_sample(repository, "slow", identity + delay)
    flags = ("--model-control", "explicit", "--model-load", "*", "--shm-enabled", "--drain-grace", "20s")
    trace = ("--trace-file", str(tmp_path / "trace"), "--trace-level", "TIMESTAMPS,TENSORS", "--trace-rate", "3")
    with Server(tmp_path / "server", repository, *flags, *trace, "--http2-glitches-max", "100000") as one:
        yield one


# ---- requests ----


def request(model, *tensors, id=""):
    one = service_pb2.ModelInferRequest(model_name=model, id=id)
    for name, datatype, shape, values in tensors:
        one.inputs.add(name=name, datatype=datatype, shape=shape)
        one.raw_input_contents.append(values.tobytes())
    return one


def echo(model, n, value=1.0):
    return request(model, ("INPUT0", "FP32", [1, n], numpy.full(n, value, "float32")))


def square(n):
    return request("square_int32", ("IN", "INT32", [1], numpy.array([n], "int32")))


def repeat(n, delay=0):
    rows = [("IN", "INT32", numpy.arange(n)), ("DELAY", "UINT32", numpy.full(n, delay)), ("WAIT", "UINT32", [0])]
    return request("repeat_int32", *((name, kind, [len(v)], numpy.array(v, kind.lower())) for name, kind, v in rows))


# ---- clients ----


class Chaos:
    """Clients in threads, each with a seed of its own; `wrong` is what none of them may see."""

    def __init__(self, server):
        self.server, self.wrong, self.counts = server, [], collections.Counter()
        self.end, self.threads = time.monotonic() + SECONDS, []

    def run(self, *clients):
        for number, client in enumerate(clients):
            chance = random.Random(SEED * 100 + number)
            self.threads.append(threading.Thread(target=self.loop, args=(client, chance)))
            self.threads[-1].start()

    def loop(self, client, chance):
        while time.monotonic() < self.end:
            options = [("grpc.use_local_subchannel_pool", 1)]
            try:
                with grpc.insecure_channel(self.server.address, options=options) as channel:
                    client(self, channel, chance)
            except Exception as error:  # a client that breaks would hide what comes after
                self.wrong.append((client.__name__, repr(error)))
                return

    def join(self):
        for thread in self.threads:
            thread.join(DEADLINE + SECONDS)
            assert not thread.is_alive(), "a client that waits for an answer"

    def note(self, name, error, timeout=DEADLINE):
        code = "CANCELLED" if isinstance(error, grpc.FutureCancelledError) else error.code().name
        self.counts[name, code] += 1
        if code not in FAIR or (code == "DEADLINE_EXCEEDED" and timeout == DEADLINE):
            self.wrong.append((name, code, error.details()))


def unary(chaos, channel, chance):
    stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
    for _ in range(20):
        model = chance.choice(["identity_fp32", "slow", "churn", "nope"])
        one = echo(model, chance.choice([1, 7, 5000, 200_000]), chance.randrange(100))
        timeout, zipped = chance.choice([0.002, 0.01, DEADLINE]), chance.choice([None, grpc.Compression.Gzip])
        future = stub.ModelInfer.future(one, timeout=timeout, compression=zipped)
        if chance.random() < 0.3:
            time.sleep(chance.random() / 500)
            future.cancel()
        try:
            if future.result().raw_output_contents[0] != one.raw_input_contents[0]:
                chaos.wrong.append(("unary", "another tensor"))
            chaos.counts["unary", "OK"] += 1
        except (grpc.RpcError, grpc.FutureCancelledError) as error:
            chaos.note("unary", error, timeout)


def stream(chaos, channel, chance):
    """Answers are counted; some streams are read slowly, cancelled half-way, or have little time."""
    stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
    wishes = []
    for _ in range(chance.randrange(30)):
        n = chance.choice([0, 1, 5, 200])
        kinds = [(square(n), n), (repeat(min(n, 9), 1), min(n, 9)), (echo("slow", 1), 1), (echo("churn", 20_000), 1)]
        wishes.append(chance.choice(kinds))
    mode = chance.choice(["whole", "cancel", "slow", "short"])
    stop = chance.randrange(20) if mode == "cancel" else -1
    timeout = chance.choice([0.003, 0.05]) if mode == "short" else DEADLINE
    call = stub.ModelStreamInfer(iter([one for one, _ in wishes]), timeout=timeout)
    got = 0
    try:
        for _ in call:
            got += 1
            if got == stop:
                call.cancel()
            if mode == "slow" and got < 10:
                time.sleep(0.01)
        chaos.counts["stream", "OK"] += 1
        if got != sum(n for _, n in wishes):
            chaos.wrong.append(("stream", got, wishes))
    except grpc.RpcError as error:
        chaos.note("stream", error, timeout)


def watch(chaos, channel, chance):
    stub = health_pb2_grpc.HealthStub(channel)
    names = ["", "churn", "nope"]
    timeout = chance.choice([0.01, 0.3])
    calls = [stub.Watch(health_pb2.HealthCheckRequest(service=chance.choice(names)), timeout=timeout) for _ in range(9)]
    for call in calls:
        try:
            for _ in call:
                if chance.random() < 0.3:
                    call.cancel()
        except grpc.RpcError as error:
            chaos.note("watch", error, timeout)


def control(chaos, channel, chance):
    """The model goes while it is used, and the settings change."""
    stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
    timeout = DEADLINE
    try:
        stub.RepositoryModelUnload(service_pb2.RepositoryModelUnloadRequest(model_name="churn"), timeout=DEADLINE)
        for model in ("churn", "square_int32", "repeat_int32", "slow"):
            one = service_pb2.RepositoryModelLoadRequest(model_name=model)
            timeout = chance.choice([0.002, DEADLINE])
            stub.RepositoryModelLoad(one, timeout=timeout)
        settings = service_pb2.TraceSettingRequest()
        settings.settings["trace_level"].value.append(chance.choice(["OFF", "TENSORS"]))
        stub.TraceSetting(settings, timeout=DEADLINE)
        stub.ModelStatistics(service_pb2.ModelStatisticsRequest(), timeout=DEADLINE)
    except grpc.RpcError as error:
        chaos.note("control", error, timeout)
    assert chaos.server.get("/metrics").status == 200


def shared_memory(chaos, channel, chance):
    """The object shrinks and is unregistered while requests use it."""
    stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
    key, size = f"/tern_chaos_{os.getpid()}", 1 << 17
    path = "/dev/shm" + key
    with open(path, "wb") as file:
        file.truncate(size)
    try:
        stub.SystemSharedMemoryUnregister(service_pb2.SystemSharedMemoryUnregisterRequest(name="r"), timeout=DEADLINE)
        region = service_pb2.SystemSharedMemoryRegisterRequest(name="r", key=key, byte_size=size)
        stub.SystemSharedMemoryRegister(region, timeout=DEADLINE)
        futures = []
        for _ in range(10):
            one = service_pb2.ModelInferRequest(model_name=chance.choice(["identity_fp32", "slow"]))
            given = one.inputs.add(name="INPUT0", datatype="FP32", shape=[1, size // 8])
            for tensor, offset in ((given, 0), (one.outputs.add(name="OUTPUT0"), size // 2)):
                tensor.parameters["shared_memory_region"].string_param = "r"
                tensor.parameters["shared_memory_byte_size"].int64_param = size // 2
                tensor.parameters["shared_memory_offset"].int64_param = offset
            futures.append(stub.ModelInfer.future(one, timeout=DEADLINE))
            if chance.random() < 0.2:
                os.truncate(path, chance.choice([0, size // 2, size]))
        for future in futures:
            try:
                future.result()
                chaos.counts["shared_memory", "OK"] += 1
            except grpc.RpcError as error:
                chaos.note("shared_memory", error)
    finally:
        os.unlink(path)


def frame(kind, flags, stream_id, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream_id) + payload


def headers(path):
    fields = {":method": "POST", ":scheme": "http", ":path": path, "content-type": "application/grpc", "te": "trailers"}
    plain = (bytes([0, len(name)]) + name.encode() + bytes([len(v)]) + v.encode() for name, v in fields.items())
    return b"".join(plain)


def frames(chaos, _, chance):
    """HTTP/2 by hand: closed windows, resets, connections that end inside a frame."""
    with socket.create_connection((chaos.server.host, chaos.server.port), timeout=0.1) as sock:
        window = struct.pack(">HI", 4, chance.choice([0, 1, 100, 65535]))
        sock.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, window))
        try:
            for number in range(1, 2 * chance.randrange(1, 40), 2):
                one = chance.choice([square(3000), repeat(50, 1), echo("slow", 2000)]).SerializeToString()
                body = struct.pack(">BI", 0, len(one)) + one
                cut = chance.randrange(len(body))
                out = frame(1, 4, number, headers(SERVICE + chance.choice(["ModelStreamInfer", "ModelInfer"])))
                out += frame(0, 0, number, body[:cut])
                out += frame(0, chance.choice([0, 1]), number, body[cut:])
                out += chance.choice([b"", frame(3, 0, number, bytes(4)), frame(8, 0, number, b"\0\0\1\0")])
                sock.sendall(out[: chance.randrange(len(out))] if chance.random() < 0.1 else out)
                if chance.random() < 0.2 and not sock.recv(65536):
                    break
            chaos.counts["frames", "OK"] += 1
        except OSError:  # the server ends it, or has nothing to say
            chaos.counts["frames", "cut off"] += 1
        if chance.random() < 0.5:  # a reset instead of an end
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


# ---- what is left ----


def metric(server, name):
    page = server.get("/metrics").body.decode()
    return sum(float(value) for value in re.findall(rf"^{name}(?:{{.*}})? (\S+)$", page, re.M))


def test_nothing_is_left(server):
    chaos = Chaos(server)
    chaos.run(unary, unary, stream, stream, watch, control, shared_memory, frames, frames)
    chaos.join()
    assert chaos.wrong == []
    for name in ("unary", "stream", "shared_memory", "frames"):
        assert chaos.counts[name, "OK"] > 0, chaos.counts
    wait_for(lambda: metric(server, "tern_requests_in_flight") == 1, "all but the scrape to be over")
    wait_for(lambda: metric(server, "tern_connections_open") == 1, "all but the scrape's connection to be closed")
    assert metric(server, "tern_model_queue_depth") == 0
    for model in ("identity_fp32", "slow", "square_int32", "repeat_int32"):  # waits for whoever still holds it
        assert server.call("POST", f"/v2/repository/models/{model}/unload").status == 200
        wait_for(lambda: server.index()[model, "1"]["reason"] == "unloaded", "the unload")
    assert server.stop() == 0 and server.events("server.crashed") == []


def test_an_end_in_the_middle(server):
    """Who was being served is answered or told so; the server does not wait for who only waits."""
    chaos = Chaos(server)
    chaos.run(unary, unary, stream, stream, watch)
    wait_for(lambda: chaos.counts["unary", "OK"] > 20 and chaos.counts["stream", "OK"] > 2, "clients that are served")
    server.process.send_signal(signal.SIGTERM)
    chaos.end = 0
    chaos.join()
    assert chaos.wrong == []
    assert server.process.wait(DEADLINE) == 0
    assert server.events("server.cut_off") == [] and server.events("server.crashed") == []
