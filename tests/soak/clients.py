"""The clients of the soak: each a process with a seed and a ledger of its own, until its time is over.
Every answer is checked: models echo what they are given, count, or add up."""

import http.client
import json
import random
import socket
import struct
import subprocess
import sys
import threading
import time

import grpc
import numpy
from tritonclient.grpc import service_pb2, service_pb2_grpc

from harness import DEADLINE, TERN, example, rows_of
from ledger import Ledger

ECHOES = ["fast", "fast", "slow", "queued", "cached", "chain", "churn"]
VOLATILE = {"churn", "polled"}  # come and go while they are used
CODES = {
    "CANCELLED": "cancelled",
    "DEADLINE_EXCEEDED": "expired",
    "RESOURCE_EXHAUSTED": "refused",
    "UNAVAILABLE": "refused",
}
STATUSES = {429: "refused", 503: "refused", 504: "expired"}


class Client:
    """What all of them know: the server's address, when to stop, chance, and the ledger."""

    def __init__(self, name, address, until, seed, models):
        self.address, self.until, self.models = address, until, models
        self.host, self.port = address.rsplit(":", 1)[0], int(address.rsplit(":", 1)[1])
        self.chance, self.ledger = random.Random(seed), Ledger(name)

    def is_over(self):
        return time.monotonic() >= self.until

    def pick(self, names):
        return self.chance.choice([name for name in names if name in self.models])

    def values(self, most=2000):
        """Rows that no other request has, mostly; small numbers, so that JSON gives them back exactly."""
        rows, width = self.chance.choice([1, 1, 1, 2, 5]), self.chance.choice([1, 4, 4, 4, most])
        first = self.chance.randrange(1000) if self.chance.random() < 0.5 else 7
        return (numpy.arange(rows * width, dtype="float32") + first).reshape(rows, width)


def fair(model, outcome, what):
    """An outcome that a volatile model excuses."""
    return "gone" if outcome is None and model in VOLATILE else outcome or what


# ---- HTTP/1.1: JSON and binary, and clients that hang up ----


def http_request(model, values, binary, more):
    given = {"name": "INPUT0", "shape": list(values.shape), "datatype": "FP32"}
    head = {"inputs": [given], **more}
    if not binary:
        given["data"] = values.flatten().tolist()
        return json.dumps(head).encode(), {"Content-Type": "application/json"}
    given["parameters"] = {"binary_data_size": values.nbytes}
    head["outputs"] = [{"name": "OUTPUT0", "parameters": {"binary_data": True}}]
    text = json.dumps(head).encode()
    return text + values.tobytes(), {"Inference-Header-Content-Length": str(len(text))}


def http_values(response, body):
    n = response.headers.get("Inference-Header-Content-Length")
    answer = json.loads(body[: int(n)] if n else body)
    if n:
        return numpy.frombuffer(body[int(n) :], "float32"), answer
    return numpy.array(answer["outputs"][0]["data"], "float32"), answer


class Http(Client):
    def run(self):
        self.connection = None
        while not self.is_over():
            chance = self.chance.random()
            if chance < 0.1:
                self.hang_up()
            elif chance < 0.2:
                self.iris()
            else:
                self.echo(self.pick(ECHOES))
        return self.ledger.close()

    def call(self, model, body, headers, check):
        ticket = self.ledger.open(model)
        try:
            if self.connection is None:
                self.connection = http.client.HTTPConnection(self.host, self.port, timeout=DEADLINE)
            self.connection.request("POST", f"/v2/models/{model}/infer", body, headers)
            response = self.connection.getresponse()
            got = response.read()
        except (OSError, http.client.HTTPException) as error:
            self.connection = None
            self.ledger.end(ticket, f"a broken connection: {error!r}")
            return
        if response.headers.get("Connection") == "close":
            self.connection.close()
            self.connection = None
        outcome = STATUSES.get(response.status)
        if response.status == 200:
            outcome = "ok" if check(response, got) else "a wrong answer: %r" % got[:200]
        self.ledger.end(ticket, fair(model, outcome, f"status {response.status}: {got[:200]}"))

    def echo(self, model):
        values, more = self.values(), {"id": str(self.chance.randrange(1 << 30))}
        if self.chance.random() < 0.1:
            more["parameters"] = {"timeout": self.chance.choice([1, 500, 5000])}
        elif model == "queued" and self.chance.random() < 0.5:
            more["parameters"] = {"priority": self.chance.choice([1, 2])}
        body, headers = http_request(model, values, self.chance.random() < 0.5, more)

        def check(response, got):
            floats, answer = http_values(response, got)
            return answer["id"] == more["id"] and numpy.array_equal(floats, values.flatten())

        self.call(model, body, headers, check)

    def iris(self):
        data = example("iris")
        at = self.chance.randrange(data["inputs"][0]["shape"][0] - 2)
        body = json.dumps({"inputs": [rows_of(data, at, at + 2)]})
        recorded = next(o for o in data["outputs"]["1"] if o["datatype"] == "INT64")

        def check(_, got):
            outputs = {o["name"]: o["data"] for o in json.loads(got)["outputs"]}
            return outputs[recorded["name"]] == recorded["data"][at : at + 2]

        self.call("iris", body, {"Content-Type": "application/json"}, check)

    def hang_up(self):
        """At any stage: inside the head, the body, before or inside the answer; by an end or a reset."""
        model, values = self.pick(ECHOES), self.values(20000)
        body, headers = http_request(model, values, self.chance.random() < 0.5, {})
        lines = [f"POST /v2/models/{model}/infer HTTP/1.1", "Host: soak", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        whole = "\r\n".join(lines).encode() + b"\r\n\r\n" + body
        cut = self.chance.choice([self.chance.randrange(len(whole)), len(whole)])
        ticket = self.ledger.open(model)
        with socket.create_connection((self.host, self.port), timeout=DEADLINE) as sock:
            try:
                sock.sendall(whole[:cut])
                if cut == len(whole) and self.chance.random() < 0.5:
                    sock.recv(self.chance.choice([1, 100, 10000]))
                elif self.chance.random() < 0.3:
                    time.sleep(self.chance.random() / 200)
            except OSError:
                pass  # refused by its head: the rest of the body is not wanted
            if self.chance.random() < 0.5:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.ledger.end(ticket, "cut")


class PolledHttp(Http):
    """The same for a server whose model folders change."""

    def run(self):
        self.connection = None
        while not self.is_over():
            self.echo(self.pick(["polled", "polled", "steady"]))
        return self.ledger.close()


# ---- gRPC: calls and streams ----


def grpc_request(model, *tensors, id="", **parameters):
    one = service_pb2.ModelInferRequest(model_name=model, id=id)
    for name, datatype, values in tensors:
        one.inputs.add(name=name, datatype=datatype, shape=values.shape)
        one.raw_input_contents.append(values.tobytes())
    for key, value in parameters.items():
        if isinstance(value, bool):
            one.parameters[key].bool_param = value
        else:
            one.parameters[key].int64_param = value
    return one


class Grpc(Client):
    """Calls, many at a time; some are cancelled, some have little time."""

    def run(self):
        while not self.is_over():
            options = [("grpc.use_local_subchannel_pool", 1)]
            with grpc.insecure_channel(self.address, options=options) as channel:
                self.stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
                for _ in range(30):
                    if not self.is_over():
                        self.some()
        return self.ledger.close()

    def some(self):
        calls = []
        for _ in range(self.chance.choice([1, 4, 16])):
            one = grpc_request(self.pick(ECHOES), ("INPUT0", "FP32", self.values()))
            timeout = self.chance.choice([0.002, 0.01]) if self.chance.random() < 0.1 else DEADLINE
            calls.append((self.ledger.open(one.model_name), one, self.stub.ModelInfer.future(one, timeout=timeout), timeout))
        for _, _, future, _ in calls:
            if self.chance.random() < 0.1:
                time.sleep(self.chance.random() / 1000)
                future.cancel()
        for ticket, one, future, timeout in calls:
            try:
                same = future.result().raw_output_contents[0] == one.raw_input_contents[0]
                self.ledger.end(ticket, "ok" if same else "a wrong answer")
            except grpc.FutureCancelledError:
                self.ledger.end(ticket, "cancelled")
            except grpc.RpcError as error:
                self.ledger.end(ticket, self.outcome(one.model_name, error))

    def outcome(self, model, error):
        return fair(model, CODES.get(error.code().name), f"{error.code().name}: {error.details()}")


class Stream(Grpc):
    """Streams of requests, each answered any number of times; some streams end in the middle."""

    def wish(self):
        """A request, and the answers that it must have."""
        n = self.chance.choice([0, 1, 5, 40])
        kind = self.chance.choice(["square", "repeat", "echo"])
        if kind == "square":
            return grpc_request("square_int32", ("IN", "INT32", numpy.array([n], "int32"))), [n] * n
        if kind == "echo":
            values = self.values(4)
            return grpc_request(self.pick(["fast", "slow"]), ("INPUT0", "FP32", values)), [values.tobytes()]
        n = min(n, 5)
        numbers = numpy.arange(n, dtype="int32") + self.chance.randrange(99)
        rows = [("IN", "INT32", numbers), ("DELAY", "UINT32", numpy.full(n, 1, "uint32"))]
        return grpc_request("repeat_int32", *rows, ("WAIT", "UINT32", numpy.array([0], "uint32"))), numbers.tolist()

    def some(self):
        wishes, tickets = {}, {}
        for i in range(self.chance.randrange(1, 20)):
            one, wanted = self.wish()
            one.id = str(i)
            one.parameters["triton_enable_empty_final_response"].bool_param = True
            wishes[one.id], tickets[one.id] = (one, list(wanted)), self.ledger.open(one.model_name)
        stop = self.chance.randrange(40) if self.chance.random() < 0.3 else -1
        timeout = 0.01 if self.chance.random() < 0.1 else DEADLINE
        call = self.stub.ModelStreamInfer(iter([one for one, _ in wishes.values()]), timeout=timeout)
        rest = "cut"
        try:
            for got, answer in enumerate(call):
                self.take(answer, wishes, tickets)
                if got == stop:
                    call.cancel()
        except grpc.RpcError as error:
            rest = self.outcome("", error)
        else:
            rest = "no last answer"
        for ticket in tickets.values():
            self.ledger.end(ticket, rest)

    def take(self, answer, wishes, tickets):
        response = answer.infer_response
        one, wanted = wishes.get(response.id, (None, None))
        if one is None or response.id not in tickets:
            self.ledger.note(f"an answer that nobody waits for: {response.id} {answer.error_message}")
            return
        if answer.error_message:
            refused = any(word in answer.error_message.lower() for word in ("queue", "timeout", "busy", "deadline", "chance"))
            self.ledger.end(tickets.pop(response.id), "refused" if refused else answer.error_message)
            return
        if response.raw_output_contents:
            raw = response.raw_output_contents[0]
            value = raw if one.model_name in ECHOES else int.from_bytes(raw, "little", signed=True)
            if not wanted or wanted.pop(0) != value:
                self.ledger.note(f"{one.model_name}: a wrong answer in a stream: {value!r}")
        if response.parameters["triton_final_response"].bool_param:
            self.ledger.end(tickets.pop(response.id), f"{len(wanted)} answers are missing" if wanted else "ok")


class Sequences(Grpc):
    """Sequences side by side, each in its order: OUTPUT = INPUT + START + 10 READY + 100 END."""

    def some(self):
        model = self.pick(["direct", "oldest"])
        ids = self.chance.sample(range(1, 1 << 40), self.chance.choice([1, 2, 3]))
        lengths = {id: self.chance.randrange(2, 8) for id in ids}
        for at in range(max(lengths.values())):
            futures = []
            for id in ids:
                if at >= lengths[id]:
                    continue
                start, end, value = at == 0, at == lengths[id] - 1, self.chance.randrange(1000)
                one = grpc_request(model, ("INPUT", "INT32", numpy.array([[value]], "int32")),
                                   sequence_id=id, sequence_start=start, sequence_end=end)
                want = value + 1 * start + 10 + 100 * end
                futures.append((self.ledger.open(model), want, self.stub.ModelInfer.future(one, timeout=DEADLINE)))
            for ticket, want, future in futures:
                try:
                    got = int.from_bytes(future.result().raw_output_contents[0], "little", signed=True)
                    self.ledger.end(ticket, "ok" if got == want else f"{got} instead of {want}")
                except grpc.RpcError as error:
                    self.ledger.end(ticket, self.outcome(model, error))


# ---- more than there is room for ----


class Bursts(Client):
    """An open loop at several times what the model can do, for a moment, again and again."""

    def run(self):
        while not self.is_over():
            rate, left = self.chance.choice([500, 3000, 6000]), self.until - time.monotonic()
            seconds = min(1.5, max(0.1, left))
            command = [TERN, "bench", "burst", "--url", f"http://{self.address}", "--rate", str(rate), "--poisson",
                       "--seed", str(self.chance.randrange(1000)), "--duration", f"{int(seconds * 1000)}ms",
                       "--warmup", "0", "--timeout", "2s", "--slo", "50ms", "--output", "json", "--connections-max", "400"]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode not in (0, 1):
                self.ledger.note(f"tern bench ended with {done.returncode}: {done.stderr.strip()}")
                time.sleep(0.5)
            elif done.stdout:
                self.count(json.loads(done.stdout))
            elif "429" not in done.stderr and "503" not in done.stderr:  # refused before it began
                self.ledger.note(f"tern bench said nothing: {done.stderr.strip()}")
            time.sleep(min(self.chance.random() * 4, max(0, self.until - time.monotonic())))
        return self.ledger.close()

    def count(self, report):
        """Timeouts, and what could not be sent, are outcomes of an overload; broken connections are not."""
        names = {"in_time": "ok", "late": "ok", "refused": "refused", "timeout": "expired", "unsent": "cut"}
        for name, n in report["outcomes"].items():
            if n and name not in names:
                self.ledger.note(f"burst: {n} {name}: {report['first_error']} {report['first_wrong']}")
            outcome = names.get(name, "cut")
            self.ledger.sent["burst"] += n
            self.ledger.ends["burst", outcome] += n
        self.ledger.sent["burst"] += 64  # asked once before, to know the answers
        self.ledger.ends["burst", "ok"] += 64


# ---- models that come and go ----


class Reloads(Client):
    """Loads and unloads by request, while others use the model."""

    def run(self):
        while not self.is_over():
            for what in ("unload", "load", "load"):
                ticket = self.ledger.open("repository")
                connection = http.client.HTTPConnection(self.host, self.port, timeout=DEADLINE)
                connection.request("POST", f"/v2/repository/models/churn/{what}")
                response = connection.getresponse()
                body = response.read()
                connection.close()
                self.ledger.end(ticket, "ok" if response.status == 200 else f"{what}: {response.status} {body[:200]}")
                time.sleep(self.chance.random() / 5)
        return self.ledger.close()


class Scrapes(Client):
    """Metrics, statistics, the index: while everything else goes on."""

    def run(self):
        while not self.is_over():
            for method, path in (("GET", "/metrics"), ("GET", "/v2/models/stats"), ("POST", "/v2/repository/index")):
                ticket = self.ledger.open("pages")
                connection = http.client.HTTPConnection(self.host, self.port, timeout=DEADLINE)
                connection.request(method, path)
                response = connection.getresponse()
                body = response.read()
                connection.close()
                self.ledger.end(ticket, "ok" if response.status == 200 and body else f"{path}: {response.status}")
            time.sleep(0.2)
        return self.ledger.close()


def main(kind, name, address, until, seed, models, queue):
    """One process."""
    threading.excepthook = lambda args: sys.exit(repr(args))
    client = globals()[kind](name, address, until, seed, models)
    try:
        queue.put(client.run())
    except Exception as error:  # a client that breaks is a finding too
        client.ledger.note(f"the client broke: {error!r}")
        queue.put(client.ledger.close())
