"""Every request that comes ends in exactly one way, wherever its client leaves, and the ledger says which."""

import os
import random
import re
import socket
import threading
import time

import grpc
import numpy
import pytest
from tritonclient.grpc import service_pb2, service_pb2_grpc

from harness import DEADLINE, SAMPLES, Server, put_sample, wait_for
from outcomes import IN_FLIGHT, Ledger, connect, message, read_all, vanish, waiting

SECONDS = float(os.environ.get("TERN_LEDGER_SECONDS", "4"))
SEED = int(os.environ.get("TERN_LEDGER_SEED", "1"))
WAITING = waiting("long")


def delayed(ms):
    text = f'parameters {{ key: "execute_delay_ms" value {{ string_value: "{ms}" }} }}\n'
    return SAMPLES["identity_fp32"] + text + "instance_group [ { count: 1 kind: KIND_CPU } ]\n"


@pytest.fixture
def server(tmp_path, repository):
    put_sample(repository, "identity_fp32")
    put_sample(repository, "long", delayed(600000))
    put_sample(repository, "slow", delayed(300))
    put_sample(repository, "brief", delayed(5))
    flags = ("--sched-queue-max", "4", "--http2-glitches-max", "100000", "--sched-inline-max", "1ns")
    with Server(tmp_path / "server", repository, *flags) as one:
        yield one


@pytest.fixture
def ledger(server):
    return Ledger(server)


@pytest.mark.parametrize("leave", [socket.socket.close, vanish])
@pytest.mark.parametrize("sent", [b"POST /v2/models/lo", message("long")[:-5]])
def test_before_it_was_whole(server, ledger, sent, leave):
    sock = connect(server)
    sock.sendall(b"GET /v2/health/live HTTP/1.1\r\nHost: a\r\n\r\n" + sent)
    assert sock.recv(1 << 16).startswith(b"HTTP/1.1 200")  # so what came with it was read
    leave(sock)
    assert ledger.settles() == {"ok": 1, "unfinished": 1}


@pytest.mark.parametrize("leave", [socket.socket.close, vanish])
def test_while_it_runs_and_while_it_waits(server, ledger, leave):
    """Ten minutes, of which nobody waits for one."""
    running, waiting = connect(server), connect(server)
    running.sendall(message("long"))
    wait_for(lambda: ledger.number(IN_FLIGHT) == 2, "the run")
    waiting.sendall(message("long"))
    wait_for(lambda: ledger.number(WAITING) == 1, "the queue")
    leave(waiting)
    wait_for(lambda: ledger.number(WAITING) == 0, "its place in the queue")
    assert ledger.number(IN_FLIGHT) == 2
    leave(running)
    assert ledger.settles() == {"cancelled": 2}


def test_while_its_answer_is_written(server, ledger):
    sock = connect(server)
    n = 3_000_000
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.sendall(message("identity_fp32", n))
    wait_for(lambda: ledger.number(IN_FLIGHT) == 1, "the answer")
    wait_for(lambda: sock.recv(1, socket.MSG_PEEK), "its first byte")
    vanish(sock)
    assert ledger.settles() == {"lost": 1}


def test_who_only_finished_sending_is_answered(server, ledger):
    sock = connect(server)
    sock.sendall(message("slow"))
    sock.shutdown(socket.SHUT_WR)
    text = read_all(sock)
    assert text.startswith(b"HTTP/1.1 100 Continue\r\n\r\n") and text.count(b"HTTP/1.1 200 OK") == 1
    assert ledger.settles() == {"ok": 1}


def test_a_full_queue_and_a_deadline(server, ledger):
    held = [connect(server) for _ in range(5)]
    for number, sock in enumerate(held):
        sock.sendall(message("long"))
        wait_for(lambda: ledger.number(IN_FLIGHT) == 2 + number, "its place")
    answer = server.call("POST", "/v2/models/long/infer", b"{}")
    assert answer.status == 503 and "Exceeds maximum queue size" in answer.json()["error"]
    assert float(answer.headers["retry-after"]) >= 1
    for sock in held:
        sock.close()
    wait_for(lambda: ledger.number(IN_FLIGHT) == 1, "an empty queue")
    headers = {"X-Request-Timeout-Ms": "50"}
    body = message("long").split(b"\r\n\r\n")[1]
    assert server.call("POST", "/v2/models/long/infer", body, headers).status == 504
    headers = {"X-Request-Timeout-Ms": "soon"}
    answer = server.call("POST", "/v2/models/long/infer", body, headers)
    assert answer.status == 400 and "header x-request-timeout-ms" in answer.json()["error"]
    assert ledger.settles() == {"cancelled": 5, "refused": 1, "expired": 1, "invalid": 1}


def test_over_grpc(server, ledger):
    held = [connect(server) for _ in range(5)]
    one = service_pb2.ModelInferRequest(model_name="long")
    one.inputs.add(name="INPUT0", datatype="FP32", shape=[1, 1])
    one.raw_input_contents.append(numpy.ones(1, "float32").tobytes())
    with grpc.insecure_channel(server.address) as channel:
        infer = service_pb2_grpc.GRPCInferenceServiceStub(channel).ModelInfer
        future = infer.future(one)
        wait_for(lambda: ledger.number(IN_FLIGHT) == 2, "the run")
        future.cancel()
        wait_for(lambda: ledger.number(IN_FLIGHT) == 1, "its end")
        with pytest.raises(grpc.RpcError) as late:
            infer(one, timeout=0.1)
        assert late.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
        for number, sock in enumerate(held):
            sock.sendall(message("long"))
            wait_for(lambda: ledger.number(IN_FLIGHT) == 2 + number, "its place")
        with pytest.raises(grpc.RpcError) as refused:
            infer(one)
        assert refused.value.code() == grpc.StatusCode.UNAVAILABLE
        assert int(dict(refused.value.trailing_metadata())["grpc-retry-pushback-ms"]) > 0
        for sock in held:
            sock.close()
        how = ledger.settles()
    # The message names the model: it is taken in before it is refused. The clock of the client may be the
    # first, which is a reset.
    assert how.pop("expired", 0) + how.pop("cancelled") == 7 and how == {"shed": 1}


def test_memory_is_refused_before_it_is_taken(tmp_path, repository):
    put_sample(repository, "identity_fp32")
    with Server(tmp_path / "server", repository, "--memory-max", "16MiB") as one:
        ledger = Ledger(one)
        with connect(one) as sock:
            sock.sendall(b"POST /v2/models/identity_fp32/infer HTTP/1.1\r\nHost: a\r\nContent-Length: 16000000\r\n\r\n")
            text = sock.recv(1 << 16)
        assert text.startswith(b"HTTP/1.1 503") and b"\r\nretry-after: 1\r\n" in text and b'{"error":"the mem' in text
        body = message("identity_fp32", 2_000_000).split(b"\r\n\r\n")[1]  # fits, but its tensors do not
        assert one.call("POST", "/v2/models/identity_fp32/infer", body).status == 503
        body = message("identity_fp32", 1000).split(b"\r\n\r\n")[1]
        assert one.call("POST", "/v2/models/identity_fp32/infer", body).status == 200
        assert ledger.settles() == {"refused": 1, "shed": 1, "ok": 1}
        page = ledger.page()
        assert re.search(r"^tern_memory_used_bytes 0$", page, re.M), page
        assert re.search(r"^tern_memory_max_bytes 16777216$", page, re.M)
        assert re.search(r"^tern_memory_refusals_total [1-9]", page, re.M)


# ---- all of them at once ----


def rude(server, chance):
    """Pipelined requests of which any may be cut short, then any way to leave."""
    models = ["identity_fp32", "brief", "long", "nope"]
    text = b"".join(message(chance.choice(models), chance.choice([1, 50, 20000])) for _ in range(chance.randrange(1, 5)))
    with connect(server) as sock:
        try:
            sock.sendall(text[: chance.choice([len(text), chance.randrange(1, len(text))])])
            if chance.random() < 0.3:
                sock.shutdown(socket.SHUT_WR)
            sock.settimeout(chance.random() / 50 + 0.001)
            sock.recv(chance.choice([1, 1 << 20]))
        except OSError:
            pass
        if chance.random() < 0.5:
            vanish(sock)


def called(server, chance):
    one = service_pb2.ModelInferRequest(model_name=chance.choice(["identity_fp32", "brief", "long", "nope"]))
    n = chance.choice([1, 1000, 300_000])
    one.inputs.add(name="INPUT0", datatype="FP32", shape=[1, n])
    one.raw_input_contents.append(numpy.ones(n, "float32").tobytes())
    options = [("grpc.use_local_subchannel_pool", 1)]
    with grpc.insecure_channel(server.address, options=options) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        futures = [stub.ModelInfer.future(one, timeout=chance.choice([0.005, 0.05, 0.2])) for _ in range(5)]
        for future in futures:
            if chance.random() < 0.4:
                time.sleep(chance.random() / 300)
                future.cancel()
            try:
                future.result()
            except (grpc.RpcError, grpc.FutureCancelledError):
                pass


def test_rude_clients_of_every_kind(server, ledger):
    broken, end = [], time.monotonic() + SECONDS

    def go_on(client, seed):
        chance = random.Random(seed)
        try:
            while time.monotonic() < end:
                client(server, chance)
        except Exception as error:
            broken.append(repr(error))

    clients = [rude] * 6 + [called] * 3
    threads = [threading.Thread(target=go_on, args=(c, SEED * 100 + i)) for i, c in enumerate(clients)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(SECONDS + DEADLINE)
        assert not one.is_alive()
    assert broken == []
    how = ledger.settles()
    assert {"ok", "invalid", "cancelled", "unfinished"} <= set(how)
    assert ledger.number(IN_FLIGHT) == 1
    assert ledger.settles().keys() == how.keys()
