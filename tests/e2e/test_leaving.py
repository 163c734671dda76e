"""Clients that leave at every stage, over HTTP/1.1 and gRPC, by a close, a reset or the reset of their stream alone.
Each model takes ten minutes: whatever ends, ends because its client left. Then the ledger knows of one end for each
request, nothing runs or waits any more, and no memory is held."""

import json
import socket

import pytest

from harness import SAMPLES, Server, put_sample, tensors, wait_for
from outcomes import IN_FLIGHT, MEMORY, Ledger, connect, message, vanish, waiting
from rpc import Rpc, question, repeat

LONG = 'parameters { key: "execute_delay_ms" value { string_value: "600000" } }\n'
ONE = "instance_group [ { count: 1 kind: KIND_CPU } ]\n"
STEPS = """ensemble_scheduling {
step { model_name: "identity_fp32" input_map { key: "INPUT0" value: "INPUT0" } output_map { key: "OUTPUT0" value: "t" } }
step { model_name: "step" input_map { key: "INPUT0" value: "t" } output_map { key: "OUTPUT0" value: "OUTPUT0" } }
}
"""
MODELS = {
    # As many instances as long runs may go on at once: large answers make it one that takes long, too.
    "identity_fp32": SAMPLES["identity_fp32"] + "instance_group [ { count: 4 kind: KIND_CPU } ]\n",
    "repeat_int32": SAMPLES["repeat_int32"],
    "long": SAMPLES["identity_fp32"] + LONG + ONE,
    "step": SAMPLES["identity_fp32"] + LONG + ONE,
    "ensemble": 'platform: "ensemble"\nmax_batch_size: 8\n'
    + tensors("input", ("INPUT0", "FP32", -1))
    + tensors("output", ("OUTPUT0", "FP32", -1))
    + STEPS,
    "sequence": SAMPLES["identity_fp32"] + LONG + ONE + "sequence_batching { oldest { max_candidate_sequences: 1 } }\n",
    "cached": SAMPLES["identity_fp32"] + LONG + ONE + "response_cache { enable: true }\n",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """One loop: what it said later, it said after what came before was read."""
    folder = tmp_path_factory.mktemp("leaving")
    for name, config in MODELS.items():
        put_sample(folder / "models", name, config)
    flags = ("--loops", "1", "--sched-inline-max", "1ns", "--request-timeout", "1h", "--cache-local-size", "1MiB")
    with Server(folder / "server", folder / "models", *flags, "--model-control", "explicit", "--model-load", "*") as one:
        yield one
        for name in MODELS:  # at once, or somebody still holds it
            assert one.call("POST", f"/v2/repository/models/{name}/unload").status == 200
        assert one.stop() == 0


class Plain:
    """One request over HTTP/1.1 on a connection of its own."""

    def __init__(self, server):
        self.sock = connect(server)

    def ask(self, model, n=1, **parameters):
        self.sock.sendall(message(model, n, **parameters))

    def begin(self, sent):
        """Less than a request, which has been read."""
        self.sock.sendall(b"GET /v2/health/live HTTP/1.1\r\nHost: a\r\n\r\n" + sent)
        assert self.sock.recv(1 << 16).startswith(b"HTTP/1.1 200")

    def leave(self, how):
        vanish(self.sock) if how == "reset" else self.sock.close()


class Stage:
    def __init__(self, server, kind, how):
        self.server, self.kind, self.how, self.clients = server, kind, how, []
        self.ledger = Ledger(server)

    def new(self):
        self.clients.append(self.kind(self.server))
        return self.clients[-1]

    def ask(self, model, n=1, **parameters):
        """A request that has been taken in."""
        before = self.ledger.number(IN_FLIGHT)
        one = self.new()
        one.ask(model, n, **parameters)
        wait_for(lambda: self.ledger.number(IN_FLIGHT) > before, "the request")
        return one

    def leave(self, one):
        before = self.ledger.number(IN_FLIGHT)
        one.leave(self.how)
        wait_for(lambda: self.ledger.number(IN_FLIGHT) < before, "the end of the request")

    def busy(self, model):
        now = self.ledger.get(f"/v2/models/{model}/schedule")
        return now["busy"], self.ledger.number(waiting(model))

    def until(self, model, busy, waiting):
        wait_for(lambda: self.busy(model) == (busy, waiting), f"{busy} runs and {waiting} that wait")

    def ends(self, **how):
        assert self.ledger.settles() == how
        for model in ("long", "step", "sequence", "cached", "repeat_int32"):
            self.until(model, 0, 0)
        wait_for(lambda: self.ledger.number(MEMORY) == 0, "the memory")


@pytest.fixture(
    params=[(Plain, "close"), (Plain, "reset"), (Rpc, "close"), (Rpc, "reset"), (Rpc, "stream")],
    ids=["http-close", "http-reset", "grpc-close", "grpc-reset", "grpc-stream"],
)
def stage(request, server):
    one = Stage(server, *request.param)
    yield one
    for client in one.clients:
        client.sock.close()


def test_in_its_head(stage):
    one = stage.new()
    if stage.kind is Plain:
        one.begin(b"POST /v2/models/long/infer HTTP/1.1\r\nHost: a\r\nContent-Le")
        one.leave(stage.how)
        stage.ends(ok=1, unfinished=1)
        return
    one.ping()
    head = one.h2.encoder.encode([(":method", "POST"), (":scheme", "http"), (":path", "/inference.GRPCInfer")])
    one.sock.sendall(len(head).to_bytes(3, "big") + b"\x01\x00\x00\x00\x00\x01" + head)  # it goes on, it says
    wait_for(lambda: stage.ledger.open() == 1, "half a head")
    vanish(one.sock) if stage.how == "reset" else one.sock.close()
    stage.ends(unfinished=1)


def test_in_its_body(stage):
    one = stage.new()
    if stage.kind is Plain:
        one.begin(message("long")[:-7])
        one.leave(stage.how)
        stage.ends(ok=1, unfinished=1)
        return
    one.open("ModelInfer")
    one.send(question("long"), end=False, cut=3)
    one.ping()
    one.leave(stage.how)
    stage.ends(unfinished=1)


def test_while_it_waits(stage):
    running = stage.ask("long")
    stage.until("long", 1, 0)
    one = stage.ask("long")
    stage.until("long", 1, 1)
    stage.leave(one)
    stage.until("long", 1, 0)
    stage.leave(running)
    stage.ends(cancelled=2)


def test_in_the_middle_of_its_answer(stage):
    one = stage.new()
    if stage.kind is Plain:
        one.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        one.ask("identity_fp32", 3_000_000)
        wait_for(lambda: one.sock.recv(1, socket.MSG_PEEK), "its first byte")
    else:
        one.ask("identity_fp32", 300_000)
        while not one.data:
            one.read()
    assert stage.ledger.open() == 1
    one.leave(stage.how)
    stage.ends(lost=1)


def test_in_the_middle_of_a_stream(stage):
    """One answer was read, the next has hours to go."""
    one = stage.new()
    if stage.kind is Plain:
        body = json.dumps({"IN": [4, 5], "DELAY": [0, 10_000_000], "WAIT": 0})
        head = f"POST /v2/models/repeat_int32/generate_stream HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n"
        one.sock.sendall((head + body).encode())
        text = b""
        while b"data: " not in text:
            text += one.sock.recv(1 << 16)
    else:
        one.open("ModelStreamInfer")
        one.send(repeat(0, 10_000_000), end=False)
        while not one.data:
            one.read()
    stage.until("repeat_int32", 1, 0)
    stage.leave(one)
    stage.ends(cancelled=1)


def test_inside_a_step_of_an_ensemble(stage):
    running = stage.ask("ensemble")
    stage.until("step", 1, 0)
    one = stage.ask("ensemble")  # its first step is done, the second one waits
    stage.until("step", 1, 1)
    stage.leave(one)
    stage.until("step", 1, 0)
    stage.leave(running)
    stage.ends(cancelled=2)


def test_inside_a_sequence(stage):
    """While its request runs, behind that one, and while it waits for a slot. The sequence goes on; what never began
    has to begin."""
    running = stage.ask("sequence", sequence_id=1, sequence_start=True)
    stage.until("sequence", 1, 0)
    behind = stage.ask("sequence", sequence_id=1)
    stage.until("sequence", 1, 1)
    without_slot = stage.ask("sequence", sequence_id=2, sequence_start=True)
    stage.until("sequence", 1, 2)
    stage.leave(without_slot)
    stage.until("sequence", 1, 1)
    stage.leave(running)
    stage.until("sequence", 1, 0)  # the one behind it
    stage.leave(behind)
    stage.until("sequence", 0, 0)
    last = stage.ask("sequence", sequence_id=1, sequence_end=True)
    stage.until("sequence", 1, 0)
    stage.leave(last)
    body = message("sequence", sequence_id=2).split(b"\r\n\r\n")[1]
    answer = stage.server.call("POST", "/v2/models/sequence/infer", body)
    assert answer.status == 400 and "must specify the START flag" in answer.json()["error"]
    stage.ends(cancelled=4, invalid=1)


@pytest.mark.parametrize("first", ["follower", "leader"])
def test_while_others_compute_its_answer(stage, first):
    leader = stage.ask("cached", 3)
    stage.until("cached", 1, 0)
    follower = stage.ask("cached", 3)
    assert stage.busy("cached") == (1, 0)
    runs = stage.ledger.get("/v2/models/cached/schedule")["runs"]
    stage.leave(follower if first == "follower" else leader)
    if first == "follower":
        assert stage.busy("cached") == (1, 0)
        stage.leave(leader)
    else:  # whoever is left asks for itself
        stage.until("cached", 1, 0)
        wait_for(lambda: stage.ledger.get("/v2/models/cached/schedule")["runs"] == runs + 1, "the end of the first run")
        stage.until("cached", 1, 0)
        stage.leave(follower)
    stage.ends(cancelled=2)
