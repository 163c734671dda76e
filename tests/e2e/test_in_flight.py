"""Requests that take their time: what happens around them while they run."""

import re
import signal
import socket
import threading
import time

import pytest

from harness import DEADLINE, ONNX, SAMPLES, Load, Server, model_file, put_model, put_sample, wait_for

IRIS = {"inputs": [{"name": "features", "datatype": "FP32", "shape": [1, 4], "data": [5.1, 3.5, 1.4, 0.2]}]}


def slow_body(rounds):
    return {
        "inputs": [
            {"name": "count", "datatype": "INT64", "shape": [], "data": [rounds]},
            {"name": "x", "datatype": "FP32", "shape": [16, 16], "data": [1] * 256},
        ]
    }


class Slow(threading.Thread):
    """One slow request, in its own thread; `answer` when it is there."""

    def __init__(self, server, rounds):
        super().__init__()
        self.server, self.rounds, self.answer = server, rounds, None
        before = in_flight(server)
        self.start()
        wait_for(lambda: self.answer or in_flight(server) > before, "the slow request to run")

    def run(self):
        self.answer = self.server.infer("slow", slow_body(self.rounds))

    def done(self):
        self.join(DEADLINE)
        return self.answer


def in_flight(server):
    text = server.get("/metrics").body.decode()
    return float(re.search(r"^tern_requests_in_flight (\S+)$", text, re.M).group(1))


@pytest.fixture
def server(tmp_path, repository):
    """Nothing runs on the event loops, so that slow and fast do not meet there."""
    put_model(repository, "slow", ONNX / "slow_loop.onnx")
    put_model(repository, "iris", model_file("iris"))
    with Server(
        tmp_path / "server", repository, "--model-control", "explicit", "--model-load", "*", "--sched-inline-max", "1ns"
    ) as one:
        yield one


@pytest.fixture
def rounds(server):
    """How many take about a second here."""
    count = 1000
    while True:
        start = time.monotonic()
        assert server.infer("slow", slow_body(count)).status == 200
        took = time.monotonic() - start
        if took > 0.1:
            return int(count / took)
        count *= 4


def test_others_are_served_meanwhile(server, rounds):
    slow = Slow(server, rounds)
    answers = 0
    while slow.answer is None:
        assert server.infer("iris", IRIS).status == 200
        answers += 1
    assert slow.done().status == 200 and answers > 10


def test_unload_waits_for_it(server, rounds):
    slow = Slow(server, rounds)
    answer = server.call("POST", "/v2/repository/models/slow/unload")
    assert answer.status == 200
    assert slow.done().status == 200
    assert server.infer("slow", slow_body(1)).status in (404, 503)


def test_reload_waits_for_it_without_a_gap(server, rounds, repository):
    slow = Slow(server, rounds)
    with Load(server, "iris", IRIS) as clients:
        (repository / "slow" / "1" / "model.onnx").touch()
        assert server.call("POST", "/v2/repository/models/slow/load").status == 200
        assert server.infer("slow", slow_body(1)).status == 200
    assert slow.done().status == 200 and clients.bad() == []


def test_the_end_waits_for_it(server, rounds):
    slow = Slow(server, rounds)
    server.process.send_signal(signal.SIGTERM)
    assert slow.done().status == 200
    assert server.process.wait(DEADLINE) == 0


def test_a_client_that_went_away_leaves_no_trace(server, rounds):
    import json

    text = json.dumps(slow_body(rounds)).encode()
    idle = in_flight(server)
    with socket.create_connection((server.host, server.port)) as sock:
        sock.sendall(b"POST /v2/models/slow/infer HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(text) + text)
        wait_for(lambda: in_flight(server) > idle, "the request to run")
    wait_for(lambda: in_flight(server) == idle, "the request to end")
    assert server.infer("slow", slow_body(1)).status == 200


def test_a_client_that_closes_ends_a_long_run(tmp_path, repository):
    """Ten minutes, and nothing was sent of its answer: only the close tells."""
    import json

    long = 'parameters { key: "execute_delay_ms" value { string_value: "600000" } }\n'
    put_sample(repository, "long", SAMPLES["identity_fp32"] + long)
    row = {"name": "INPUT0", "datatype": "FP32", "shape": [1, 1], "data": [1]}
    text = json.dumps({"inputs": [row]}).encode()
    with Server(tmp_path / "other", repository, "--drain-grace", "60s") as one:
        idle = in_flight(one)
        with socket.create_connection((one.host, one.port)) as sock:
            head = b"POST /v2/models/long/infer HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(text)
            sock.sendall(head + text)
            wait_for(lambda: in_flight(one) > idle, "the request to run")
        wait_for(lambda: in_flight(one) == idle, "the run to end")
        assert one.stop() == 0  # a drain has nothing to wait for


def test_a_deadline_ends_it(tmp_path, repository, rounds):
    put_model(repository, "again", ONNX / "slow_loop.onnx")
    with Server(tmp_path / "other", repository, "--request-timeout", "200ms", "--sched-inline-max", "1ns") as one:
        start = time.monotonic()
        answer = one.infer("slow", slow_body(rounds * 20))
        assert answer.status == 504 and "error" in answer.json()
        assert time.monotonic() - start < 10
        assert one.infer("iris", IRIS).status == 200
        wait_for(lambda: one.infer("slow", slow_body(1)).status == 200, "the model to be free again")


def test_a_drain_that_takes_too_long_is_cut_off(tmp_path, repository, rounds):
    put_model(repository, "again", ONNX / "slow_loop.onnx")
    with Server(tmp_path / "other", repository, "--drain-grace", "200ms", "--sched-inline-max", "1ns") as one:
        thread = threading.Thread(target=ask_and_forget, args=(one, rounds * 20))
        idle = in_flight(one)
        thread.start()
        wait_for(lambda: in_flight(one) > idle, "the request to run")
        start = time.monotonic()
        assert one.stop() == 1  # it says that a request was not answered
        assert time.monotonic() - start < 10
        thread.join()


def ask_and_forget(server, rounds):
    try:
        server.infer("slow", slow_body(rounds))
    except OSError:
        pass


@pytest.mark.parametrize(
    "text", [b"", b"GET / HTTP/1.1\r\nHo", b"POST /v2/models/iris/infer HTTP/1.1\r\nHost: a\r\nContent-Length: 99\r\n\r\n{"]
)
def test_slow_clients_are_let_go(tmp_path, repository, text):
    put_model(repository, "iris", model_file("iris"))
    flags = ["--http-header-timeout", "200ms", "--http-idle-timeout", "200ms", "--http-body-grace", "200ms"]
    with Server(tmp_path / "server", repository, *flags) as one:
        with socket.create_connection((one.host, one.port), timeout=DEADLINE) as sock:
            sock.sendall(text)
            got = b""
            while part := sock.recv(65536):
                got += part
        assert got == b"" or got.startswith(b"HTTP/1.1 408 ")
        assert one.get("/v2/health/live").status == 200
