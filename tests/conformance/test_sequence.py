"""Sequences of requests with Triton's own clients, over HTTP, unary gRPC, streams and generate."""

import json
import queue
import struct
import subprocess
import threading

import numpy
import pytest
import tritonclient.grpc
import tritonclient.http
from tritonclient.utils import InferenceServerException

from harness import DEADLINE, ONNX, TERN, Server, put_model, put_sample, tensors, wait_for

# OUTPUT = INPUT + START + 10 * READY + 100 * END, ID = the sequence's id: tests/unit/engine/make_models.py
START, READY, END = 1, 10, 100


def controls(id_type="UINT64"):
    flags = "".join(
        f'control_input [ {{ name: "{name}" control [ {{ kind: CONTROL_SEQUENCE_{name} int32_false_true: [ 0, 1 ] }} ] }} ]\n'
        for name in ("START", "READY", "END")
    )
    return (
        flags
        + f'control_input [ {{ name: "CORRID" control [ {{ kind: CONTROL_SEQUENCE_CORRID data_type: TYPE_{id_type} }} ] }} ]\n'
    )


def config(strategy="", id_type="UINT64", idle_us=60_000_000, batch=4):
    return (
        f"max_batch_size: {batch}\nsequence_batching {{\nmax_sequence_idle_microseconds: {idle_us}\n"
        + strategy
        + controls(id_type)
        + "}\ninstance_group [ { count: 1 kind: KIND_CPU } ]\n"
        + tensors("input", ("INPUT", "INT32", 1))
    )


def state_config(more="", flags="[ 0, 1 ]", shown=""):
    return (
        "max_batch_size: 4\nsequence_batching {\n"
        f'control_input [ {{ name: "START" control [ {{ kind: CONTROL_SEQUENCE_START fp32_false_true: {flags} }} ] }} ]\n'
        f'state [ {{ input_name: "STATE" output_name: "NEW_STATE" data_type: TYPE_FP32 dims: [ 1 ] {more} }} ]\n}}\n'
        + shown
    )


def first_state(source):
    return f'initial_state {{ name: "first" data_type: TYPE_FP32 dims: [ 1 ] {source} }}'


# OUTPUT = NEW_STATE = INPUT + STATE * (1 - START)
STATES = {
    "sums": state_config(),
    "sums_shown": state_config(shown=tensors("output", ("NEW_STATE", "FP32", 1))),
    "from_zero": state_config(first_state("zero_data: true"), flags="[ 0, 0 ]"),
    "from_file": state_config(first_state('data_file: "hundred"'), flags="[ 0, 0 ]"),
}
MODELS = {
    "direct": ("sequenced", config("direct { }\n")),
    "oldest": ("sequenced", config("oldest { max_candidate_sequences: 3 }\n")),
    "texts": ("sequenced_text", config(id_type="STRING")),
    "narrow": ("sequenced", config("oldest { max_candidate_sequences: 1 }\n")),
    "hasty": ("sequenced", config("oldest { max_candidate_sequences: 1 }\n", idle_us=50_000)),
}


@pytest.fixture(scope="module")
def sequences(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sequences")
    for name, (model, text) in MODELS.items():
        put_model(folder / "models", name, ONNX / f"{model}.onnx", config=text)
    for name, text in STATES.items():
        put_model(folder / "models", name, ONNX / "sequenced_state.onnx", config=text)
        (folder / "models" / name / "initial_state").mkdir()
        (folder / "models" / name / "initial_state" / "hundred").write_bytes(struct.pack("<f", 100))
    with Server(folder / "server", folder / "models") as one:
        yield one


class Client:
    """The same calls over each protocol: the value of OUTPUT and the id that the model was told."""

    def __init__(self, kind, server):
        self.kind = kind
        self.triton = tritonclient.http if kind == "http" else tritonclient.grpc
        self.client = self.triton.InferenceServerClient(server.address)
        self.answers = queue.Queue()
        if kind == "stream":
            self.client.start_stream(lambda result, error: self.answers.put(error or result))

    def close(self):
        if self.kind == "stream":
            self.client.stop_stream()
        self.client.close()

    def send(self, model, id, value, start=False, end=False, **options):
        given = self.triton.InferInput("INPUT", [1, 1], "INT32")
        given.set_data_from_numpy(numpy.array([[value]], "int32"))
        which = {"sequence_id": id, "sequence_start": start, "sequence_end": end, **options}
        if self.kind == "stream":
            self.client.async_stream_infer(model, [given], **which)
        else:
            return self.client.infer(model, [given], **which)

    def take(self):
        result = self.answers.get(timeout=DEADLINE)
        if isinstance(result, Exception):
            raise result
        return result

    def ask(self, *what, **which):
        result = self.send(*what, **which)
        if self.kind == "stream":
            result = self.take()
        return result.as_numpy("OUTPUT").item(), result.as_numpy("ID").item()


    def add(self, model, id, value, output="OUTPUT", **which):
        given = self.triton.InferInput("INPUT", [1, 1], "FP32")
        given.set_data_from_numpy(numpy.array([[value]], "float32"))
        wanted = [self.triton.InferRequestedOutput(output)]
        if self.kind == "stream":
            self.client.async_stream_infer(model, [given], outputs=wanted, sequence_id=id, **which)
            return self.take().as_numpy(output).item()
        return self.client.infer(model, [given], outputs=wanted, sequence_id=id, **which).as_numpy(output).item()


@pytest.fixture(params=["http", "unary", "stream"])
def client(request, sequences):
    one = Client(request.param, sequences)
    yield one
    one.close()


@pytest.mark.parametrize("model", ["direct", "oldest"])
@pytest.mark.parametrize("id", [1, 2**63 - 1])
def test_controls(client, model, id):
    assert client.ask(model, id, 1000, start=True) == (1000 + READY + START, id)
    for i in range(5):
        assert client.ask(model, id, i) == (i + READY, id)
    assert client.ask(model, id, 2000, end=True) == (2000 + READY + END, id)
    assert client.ask(model, id, 3000, start=True, end=True) == (3000 + READY + START + END, id)


def test_ids_that_are_texts(client):
    for id in ("a", "ünï" * 10):
        assert client.ask("texts", id, 0, start=True) == (READY + START, id.encode())
        assert client.ask("texts", id, 0, end=True) == (READY + END, id.encode())
    with pytest.raises(InferenceServerException, match="not texts"):
        client.ask("direct", "a", 0, start=True)


def test_metadata_and_configuration(sequences):
    metadata = sequences.get("/v2/models/oldest").json()
    assert [row["name"] for row in metadata["inputs"]] == ["INPUT"]
    assert [row["name"] for row in metadata["outputs"]] == ["OUTPUT", "ID"]
    shown = sequences.get("/v2/models/oldest/config").json()
    assert [row["name"] for row in shown["input"]] == ["INPUT"]
    assert [row["name"] for row in shown["sequence_batching"]["control_input"]] == ["START", "READY", "END", "CORRID"]
    assert shown["sequence_batching"]["oldest"]["max_candidate_sequences"] == 3
    assert shown["sequence_batching"]["oldest"]["preferred_batch_size"] == [4]


def test_errors(client):
    with pytest.raises(InferenceServerException) as raised:
        client.ask("direct", 11, 0)
    assert (
        "inference request for sequence 11 to model 'direct' must specify the START flag on the first request of the sequence"
        in raised.value.message()
    )
    with pytest.raises(InferenceServerException) as raised:
        client.ask("direct", 0, 0, start=True)
    assert "inference request to model 'direct' must specify a non-zero or non-empty correlation ID" in raised.value.message()
    client.ask("direct", 11, 0, start=True)
    client.ask("direct", 11, 0, end=True)
    with pytest.raises(InferenceServerException, match="must specify the START flag"):
        client.ask("direct", 11, 0)


def test_a_batch_is_no_request_of_a_sequence(sequences):
    body = {
        "inputs": [{"name": "INPUT", "datatype": "INT32", "shape": [2, 1], "data": [1, 2]}],
        "parameters": {"sequence_id": 5, "sequence_start": True},
    }
    answer = sequences.infer("direct", body)
    assert answer.status == 400
    assert "must specify batch-size 1 due to requirements of sequence batcher" in answer.json()["error"]


def test_controls_are_not_the_clients(sequences):
    tensor = {"name": "START", "datatype": "INT32", "shape": [1, 1], "data": [1]}
    body = {
        "inputs": [{**tensor, "name": "INPUT"}, tensor],
        "parameters": {"sequence_id": 5, "sequence_start": True},
    }
    answer = sequences.infer("direct", body)
    assert answer.status == 400 and "unexpected inference input 'START'" in answer.json()["error"]


def test_many_on_one_stream(sequences):
    """Requests of several sequences, all sent before the first answer: each sequence in its order."""
    client = Client("stream", sequences)
    for i in range(50):
        for id in (21, 22, 23):
            client.send("oldest", id, i, start=i == 0, end=i == 49)
    last = {}
    for _ in range(150):
        result = client.take()
        id, value = result.as_numpy("ID").item(), result.as_numpy("OUTPUT").item()
        i = last[id] = last.get(id, -1) + 1
        assert value == i + READY + (START if i == 0 else 0) + (END if i == 49 else 0)
    assert last == {21: 49, 22: 49, 23: 49}
    client.close()


def test_one_sequence_over_all_protocols(sequences):
    clients = [Client(kind, sequences) for kind in ("http", "unary", "stream")]
    assert clients[0].ask("direct", 31, 0, start=True)[0] == READY + START
    for i in range(6):
        assert clients[i % 3].ask("direct", 31, i) == (i + READY, 31)
    assert clients[1].ask("direct", 31, 0, end=True)[0] == READY + END
    for client in clients:
        client.close()


@pytest.mark.parametrize("model, first", [("sums", 0), ("from_zero", 0), ("from_file", 100)])
def test_states_are_kept(client, model, first):
    for _ in range(2):
        assert client.add(model, 1, 1, sequence_start=True) == first + 1
        assert client.add(model, 2, 10, sequence_start=True) == first + 10
        assert client.add(model, 1, 2) == first + 3
        assert client.add(model, 2, 20) == first + 30
        assert client.add(model, 1, 5, sequence_start=True) == first + 5  # anew
        assert client.add(model, 1, 4, sequence_end=True) == first + 9
        assert client.add(model, 2, 40, sequence_end=True) == first + 70


def test_a_state_may_be_shown(client, sequences):
    assert [row["name"] for row in sequences.get("/v2/models/sums").json()["outputs"]] == ["OUTPUT"]
    assert [row["name"] for row in sequences.get("/v2/models/sums").json()["inputs"]] == ["INPUT"]
    shown = sequences.get("/v2/models/sums_shown").json()["outputs"]
    assert [row["name"] for row in shown] == ["NEW_STATE", "OUTPUT"]
    assert client.add("sums_shown", 1, 1, output="NEW_STATE", sequence_start=True) == 1
    assert client.add("sums_shown", 1, 2) == 3
    assert client.add("sums_shown", 1, 3, output="NEW_STATE", sequence_end=True) == 6


def test_generate(sequences):
    def generate(value, **parameters):
        answer = sequences.call("POST", "/v2/models/direct/generate", {"INPUT": value, "sequence_id": 41, **parameters})
        return answer.status, answer.json().get("OUTPUT")

    assert generate(1, sequence_start=True) == (200, 1 + READY + START)
    assert generate(2) == (200, 2 + READY)
    assert generate(3, sequence_end=True) == (200, 3 + READY + END)
    assert generate(4)[0] == 400


def test_others_wait_for_a_slot(sequences):
    holder, other = Client("http", sequences), Client("unary", sequences)
    holder.ask("narrow", 1, 0, start=True)
    got = []
    thread = threading.Thread(target=lambda: got.append(other.ask("narrow", 2, 7, start=True, end=True)))
    thread.start()
    depth = 'tern_model_queue_depth{model="narrow",version="1"} 1'
    wait_for(lambda: depth in sequences.get("/metrics").body.decode(), "a request in the backlog")
    assert not got
    assert holder.ask("narrow", 1, 0)[0] == READY
    assert holder.ask("narrow", 1, 0, end=True)[0] == READY + END
    thread.join(DEADLINE)
    assert got == [(7 + READY + START + END, 2)]
    holder.close(), other.close()


def test_no_slot_in_time(sequences):
    holder, other = Client("http", sequences), Client("unary", sequences)
    holder.ask("narrow", 1, 0, start=True)
    with pytest.raises(InferenceServerException, match="timeout of the corresponding sequence has been expired"):
        other.ask("narrow", 2, 7, start=True, timeout=20_000)
    holder.ask("narrow", 1, 0, end=True)
    assert other.ask("narrow", 2, 7, start=True, end=True)[0] == 7 + READY + START + END
    holder.close(), other.close()


def test_idle_sequences_are_forgotten(client):
    client.ask("hasty", 1, 0, start=True)
    assert client.ask("hasty", 2, 0, start=True)[0] == READY + START  # gets the slot of the idle one
    with pytest.raises(InferenceServerException, match="must specify the START flag"):
        client.ask("hasty", 1, 0)
    # Its id is as good as new.
    assert client.ask("hasty", 1, 5, start=True, end=True) == (5 + READY + START + END, 1)


def test_two_starts(client):
    """The second begins anew, also while the first has not been answered."""
    assert client.ask("oldest", 51, 1, start=True) == (1 + READY + START, 51)
    assert client.ask("oldest", 51, 2, start=True) == (2 + READY + START, 51)
    if client.kind == "stream":
        for value in (3, 4):
            client.send("oldest", 51, value, start=True)
        assert [client.take().as_numpy("OUTPUT").item() for _ in range(2)] == [3 + READY + START, 4 + READY + START]
    assert client.ask("oldest", 51, 5, end=True) == (5 + READY + END, 51)


# What is in a run, by the statistics: its first one begins when so many requests wait.
HELD = {
    "direct": ("sequenced", config("direct { }\n")),
    "direct_states": ("sequenced_state", state_config()),
    "oldest": ("sequenced", config("oldest { max_candidate_sequences: 8 }\n")),
    "oldest_states": (
        "sequenced_state",
        state_config().replace("sequence_batching {", "sequence_batching { oldest { max_candidate_sequences: 8 }"),
    ),
}


def batches(server, model):
    row = server.get(f"/v2/models/{model}/stats").json()["model_stats"][0]
    sizes = {batch["batch_size"]: batch["compute_infer"]["count"] for batch in row["batch_stats"]}
    return sizes, row["execution_count"], row["inference_count"]


@pytest.fixture
def held(tmp_path):
    for name, (model, text) in HELD.items():
        more = "" if "instance_group" in text else "instance_group [ { count: 1 kind: KIND_CPU } ]\n"
        put_model(tmp_path / "models", name, ONNX / f"{model}.onnx", config=text + more)
    with Server(tmp_path / "server", tmp_path / "models", "--sched-hold-until", "4") as one:
        yield one


def test_direct_runs_are_batches_over_slots(held):
    client = Client("stream", held)
    for id in (1, 2, 3, 4):
        client.send("direct", id, 1000 * id, start=True, end=id == 1)
    for _ in range(4):
        result = client.take()
        id, value = result.as_numpy("ID").item(), result.as_numpy("OUTPUT").item()
        assert value == 1000 * id + READY + START + (END if id == 1 else 0)
    assert batches(held, "direct") == ({4: 1}, 1, 4)
    assert client.ask("direct", 3, 5) == (5 + READY, 3)  # behind two rows without a request
    assert batches(held, "direct") == ({4: 1, 3: 1}, 2, 5)
    assert client.ask("direct", 5, 6, start=True) == (6 + READY + START, 5)  # in the slot that is free
    assert batches(held, "direct") == ({4: 1, 3: 1, 1: 1}, 3, 6)
    client.close()


def test_oldest_batches_requests_of_different_sequences(held):
    client = Client("stream", held)
    for id in (1, 2, 3, 4):
        client.send("oldest", id, 1000 * id, start=True)
        client.send("oldest", id, 1000 * id + 1, end=True)  # waits for the one before
    for _ in range(8):
        result = client.take()
        id, value = result.as_numpy("ID").item(), result.as_numpy("OUTPUT").item()
        assert value in (1000 * id + READY + START, 1000 * id + 1 + READY + END)
    sizes, runs, requests = batches(held, "oldest")
    assert sizes[4] >= 1 and requests == 8 and runs < 8
    client.close()


@pytest.mark.parametrize("model", ["direct_states", "oldest_states"])
def test_states_in_batches(held, model):
    def one(id):
        client = Client("http", held)
        got.append(client.add(model, id, id, sequence_start=True))
        for _ in range(3):
            got.append(client.add(model, id, id))
        client.close()

    got = []
    threads = [threading.Thread(target=one, args=(id,)) for id in (1, 10, 100, 1000)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)
    assert sorted(got) == sorted(i * id for id in (1, 10, 100, 1000) for i in (1, 2, 3, 4))
    assert batches(held, model)[0][4] >= 1


def test_a_direct_run_waits_for_enough_slots(tmp_path):
    text = config("direct { max_queue_delay_microseconds: 600000000 minimum_slot_utilization: 0.5 }\n")
    put_model(tmp_path / "models", "m", ONNX / "sequenced.onnx", config=text)
    with Server(tmp_path / "server", tmp_path / "models") as server:
        client = Client("stream", server)
        client.send("m", 1, 0, start=True)
        client.send("m", 2, 0, start=True)
        client.take(), client.take()
        assert batches(server, "m") == ({2: 1}, 1, 2)
        client.close()


COUNTDOWN = (
    'backend: "iterative_sequence"\nmax_batch_size: %d\n'
    + tensors("input", ("INPUT", "INT32", 1))
    + tensors("output", ("OUTPUT", "INT32", 1))
    + "sequence_batching { iterative_sequence: true %s }\ninstance_group [ { count: 1 kind: KIND_CPU } ]\n%s"
)
AGAIN = 'parameters { key: "execute_delay_ms" value { string_value: "5" } }\n'


@pytest.fixture(scope="module")
def iterative(tmp_path_factory):
    folder = tmp_path_factory.mktemp("iterative")
    put_sample(folder / "models", "direct", COUNTDOWN % (4, "", AGAIN))
    put_sample(folder / "models", "oldest", COUNTDOWN % (4, "oldest { max_candidate_sequences: 4 }", AGAIN))
    put_sample(folder / "models", "many", COUNTDOWN % (1, "", "model_transaction_policy { decoupled: true }\n"))
    put_sample(folder / "models", "no_loop", (COUNTDOWN % (1, "", "")).replace("iterative_sequence: true", ""))
    with Server(folder / "server", folder / "models") as one:
        yield one


@pytest.mark.parametrize("model", ["direct", "oldest"])
def test_requests_that_run_again(iterative, model):
    """Twelve requests of ten runs each, four at a time: they share runs, whenever they came."""
    client = tritonclient.grpc.InferenceServerClient(iterative.address)
    given = tritonclient.grpc.InferInput("INPUT", [1, 1], "INT32")
    given.set_data_from_numpy(numpy.array([[10]], "int32"))
    answers = queue.Queue()
    for _ in range(12):
        client.async_infer(model, [given], lambda result, error: answers.put(error or result))
    for _ in range(12):
        result = answers.get(timeout=DEADLINE)
        assert not isinstance(result, Exception), result
        assert result.as_numpy("OUTPUT").item() == 0
    assert max(batches(iterative, model)[0]) > 1
    client.close()


def test_each_iteration_may_answer(iterative):
    answer = iterative.call("POST", "/v2/models/many/generate_stream", {"INPUT": 3})
    values = [json.loads(line[6:])["OUTPUT"] for line in answer.body.decode().splitlines() if line.startswith("data: ")]
    assert values == [2, 1, 0]


def test_iterations_end_at_the_deadline(iterative):
    client = tritonclient.http.InferenceServerClient(iterative.address)
    given = tritonclient.http.InferInput("INPUT", [1, 1], "INT32")
    given.set_data_from_numpy(numpy.array([[2**30]], "int32"))
    with pytest.raises(InferenceServerException, match="Deadline Exceeded"):
        client.infer("direct", [given], headers={"X-Request-Timeout-Ms": "100"})
    client.close()


def test_a_model_that_may_not_run_again(iterative):
    client = tritonclient.http.InferenceServerClient(iterative.address)
    given = tritonclient.http.InferInput("INPUT", [1, 1], "INT32")
    given.set_data_from_numpy(numpy.array([[2]], "int32"))
    with pytest.raises(InferenceServerException, match="Request is released with TRITONSERVER_REQUEST_RELEASE_RESCHEDULE"):
        client.infer("no_loop", [given], sequence_id=1, sequence_start=True)
    client.close()


def test_an_id_is_free_after_its_end(held):
    """An END is on its way: a START with the same id is another sequence, with a slot of its own."""
    client = Client("stream", held)
    client.send("direct", 1, 10, start=True)
    client.send("direct", 1, 11, end=True)
    client.send("direct", 1, 20, start=True)
    client.send("direct", 2, 30, start=True)
    values = sorted(client.take().as_numpy("OUTPUT").item() for _ in range(4))
    assert values == sorted([10 + READY + START, 11 + READY + END, 20 + READY + START, 30 + READY + START])
    assert batches(held, "direct") == ({3: 1, 1: 1}, 2, 4)
    assert client.ask("direct", 1, 21) == (21 + READY, 1)
    client.close()


def test_a_swap_ends_sequences(tmp_path, repository):
    put_model(repository, "m", ONNX / "sequenced.onnx", config=MODELS["narrow"][1])
    with Server(tmp_path / "server", repository, "--model-control", "explicit") as server:
        client = Client("http", server)
        client.client.load_model("m")
        client.ask("m", 1, 0, start=True)
        put_model(repository, "m", ONNX / "sequenced.onnx", version=2)
        client.client.load_model("m")
        with pytest.raises(InferenceServerException, match="must specify the START flag"):
            client.ask("m", 1, 0)
        assert client.ask("m", 1, 0, start=True)[0] == READY + START
        client.client.unload_model("m")
        client.close()
        assert server.stop() == 0


def test_an_unload_does_not_wait_for_idle_sequences(tmp_path, repository):
    put_model(repository, "m", ONNX / "sequenced.onnx", config=MODELS["narrow"][1])
    with Server(tmp_path / "server", repository, "--model-control", "explicit") as server:
        client, other = Client("http", server), Client("unary", server)
        client.client.load_model("m")
        client.ask("m", 1, 0, start=True)
        got = []
        thread = threading.Thread(target=lambda: got.append(other.ask("m", 2, 7, start=True, end=True)))
        thread.start()
        depth = 'tern_model_queue_depth{model="m",version="1"} 1'
        wait_for(lambda: depth in server.get("/metrics").body.decode(), "a request in the backlog")
        client.client.unload_model("m")
        thread.join(DEADLINE)
        assert got == [(7 + READY + START + END, 2)]
        client.close(), other.close()
        assert server.stop() == 0


@pytest.mark.parametrize(
    "change, text",
    [
        (("int32_false_true: [ 0, 1 ]", "int32_false_true: [ 0 ]"), "expected two values in one of int32_false_true"),
        (("int32_false_true: [ 0, 1 ]", "fp32_false_true: [ 0, 1 ]"), "is TYPE_FP32 for CONTROL_SEQUENCE_START"),
        (('name: "START"', 'name: "BEGIN"'), 'the model has no input "BEGIN" for CONTROL_SEQUENCE_START'),
        (("CONTROL_SEQUENCE_END", "CONTROL_SEQUENCE_START"), "a second one for"),
        (("data_type: TYPE_UINT64", "data_type: TYPE_FP32"), "expected a data_type of TYPE_UINT64"),
        (("direct { }", "oldest { max_candidate_sequences: -1 }"), "max_candidate_sequences: expected at most"),
        (("max_batch_size: 4", "max_batch_size: 0"), "is given as [1], the model has [-1,1]"),
    ],
)
def test_mistakes_in_the_configuration(repository, change, text):
    put_model(repository, "m", ONNX / "sequenced.onnx", config=MODELS["direct"][1].replace(*change, 1))
    check = subprocess.run([TERN, "check", str(repository)], capture_output=True, text=True)
    assert check.returncode != 0 and text in check.stdout + check.stderr
