"""The response cache with Triton's own clients: what is asked again is not computed again."""

import contextlib
import json
import threading

import numpy
import pytest
import tritonclient.grpc
import tritonclient.http
from tritonclient.utils import shared_memory

from harness import ONNX, SAMPLES, Server, put_model, put_sample, tensors, wait_for

CACHED = "response_cache { enable: true }\n"
SLOW = 'parameters { key: "execute_delay_ms" value { string_value: "300" } }\n'
ANY_TYPE = tensors("input", ("INPUT0", "INT32", "-1"), ("INPUT1", "INT32", "-1")) + tensors(
    "output", ("OUTPUT0", "INT32", "-1"), ("OUTPUT1", "INT32", "-1")
)
MODELS = {
    "cached": SAMPLES["identity_fp32"] + CACHED,
    "plain": SAMPLES["identity_fp32"],
    "slow": SAMPLES["identity_fp32"] + CACHED + SLOW,
    "pair": 'backend: "identity"\nmax_batch_size: 8\n' + ANY_TYPE + CACHED,
    "shapes": 'backend: "identity"\n'
    + tensors("input", ("INPUT0", "FP32", "-1, -1"))
    + tensors("output", ("OUTPUT0", "FP32", "-1, -1"))
    + CACHED,
}


def put_models(folder):
    for name, config in MODELS.items():
        put_sample(folder, name, config)


@contextlib.contextmanager
def serve(folder, *flags):
    put_models(folder / "models")
    with Server(folder / "server", folder / "models", *flags) as one:
        yield one


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with serve(tmp_path_factory.mktemp("cache"), "--cache-local-size", "1MiB", "--shm-enabled") as one:
        yield one


@pytest.fixture(params=[tritonclient.http, tritonclient.grpc], ids=["http", "grpc"])
def client(request, server):
    with request.param.InferenceServerClient(server.address) as one:
        one.triton = request.param
        yield one


class Counts:
    """What changed in a model's statistics since the last look."""

    def __init__(self, server, model):
        self.client = tritonclient.http.InferenceServerClient(server.address)
        self.model = model
        self.last = None
        self.look()

    def now(self):
        stats = self.client.get_inference_statistics(self.model)["model_stats"][0]
        inference = stats["inference_stats"]
        return {
            "runs": stats["execution_count"],
            "rows": stats["inference_count"],
            "success": inference["success"]["count"],
            "hits": inference["cache_hit"]["count"],
            "misses": inference["cache_miss"]["count"],
            "infer": inference["compute_infer"]["count"],
            "hit_ns": inference["cache_hit"]["ns"],
            "miss_ns": inference["cache_miss"]["ns"],
        }

    def look(self):
        before, self.last = self.last, self.now()
        return before and {key: value - before[key] for key, value in self.last.items()}

    def check(self, **expected):
        change = self.look()
        assert {key: change[key] for key in expected} == expected
        return change


def ask(client, model, *values, outputs=None, **options):
    inputs = []
    for i, value in enumerate(values):
        value = numpy.asarray(value)
        kind = {"float32": "FP32", "int32": "INT32"}[value.dtype.name]
        inputs.append(client.triton.InferInput(f"INPUT{i}", list(value.shape), kind))
        inputs[-1].set_data_from_numpy(value)
    wanted = outputs and [client.triton.InferRequestedOutput(name) for name in outputs]
    result = client.infer(model, inputs, outputs=wanted, **options)
    return {f"OUTPUT{i}": result.as_numpy(f"OUTPUT{i}") for i in range(len(values))}


def row(*values):
    return numpy.array([values], "float32")


_fresh = iter(range(1, 1 << 20))


def fresh():
    """A value that nobody asked for yet."""
    return float(next(_fresh))


def test_what_was_asked_before_is_not_computed_again(server, client):
    counts, x = Counts(server, "cached"), row(fresh(), 2, 3, 4)
    assert (ask(client, "cached", x)["OUTPUT0"] == x).all()
    assert counts.check(runs=1, rows=1, success=1, hits=0, misses=1, infer=1)["miss_ns"] > 0
    for _ in range(3):
        assert (ask(client, "cached", x)["OUTPUT0"] == x).all()
    assert counts.check(runs=0, rows=0, success=3, hits=3, misses=0, infer=0)["hit_ns"] > 0


def test_one_dialect_knows_what_another_asked(server):
    http, grpc = (kind.InferenceServerClient(server.address) for kind in (tritonclient.http, tritonclient.grpc))
    http.triton, grpc.triton = tritonclient.http, tritonclient.grpc
    counts, x = Counts(server, "cached"), row(fresh())
    ask(http, "cached", x)
    assert (ask(grpc, "cached", x)["OUTPUT0"] == x).all()
    counts.check(runs=1, hits=1, misses=1)
    body = {"inputs": [{"name": "INPUT0", "datatype": "FP32", "shape": [1, 1], "data": x.tolist()}]}
    assert server.infer("cached", body).json()["outputs"][0]["data"] == x[0].tolist()
    counts.check(runs=0, hits=1, misses=0)


def test_models_that_do_not_ask_for_it_are_not_cached(server, client):
    counts, x = Counts(server, "plain"), row(fresh())
    for _ in range(3):
        ask(client, "plain", x)
    counts.check(runs=3, hits=0, misses=0)


def test_the_shape_counts(server, client):
    """Triton's key has the bytes alone, and answers the first shape for all."""
    counts, data = Counts(server, "shapes"), numpy.arange(6, dtype="float32") + fresh()
    for shape in ((1, 6), (2, 3), (3, 2), (6, 1)):
        assert ask(client, "shapes", data.reshape(shape))["OUTPUT0"].shape == shape
    counts.check(runs=4, hits=0)
    assert ask(client, "shapes", data.reshape(2, 3))["OUTPUT0"].shape == (2, 3)
    counts.check(runs=0, hits=1)


def test_where_a_value_stands_counts(server, client):
    a, b = (numpy.array([[int(fresh())]], "int32") for _ in range(2))
    assert ask(client, "pair", a, b)["OUTPUT0"] == a
    assert ask(client, "pair", b, a)["OUTPUT0"] == b
    assert ask(client, "pair", a, b)["OUTPUT1"] == b


def test_wanted_outputs_count_and_not_their_order(server, client):
    counts, a, b = Counts(server, "pair"), *(numpy.array([[int(fresh())]], "int32") for _ in range(2))
    one = ask(client, "pair", a, b, outputs=["OUTPUT1"])
    assert one["OUTPUT1"] == b and one["OUTPUT0"] is None
    both = ask(client, "pair", a, b, outputs=["OUTPUT0", "OUTPUT1"])
    assert both["OUTPUT0"] == a and both["OUTPUT1"] == b
    counts.check(runs=2, hits=0)
    both = ask(client, "pair", a, b, outputs=["OUTPUT1", "OUTPUT0"])
    assert both["OUTPUT0"] == a and both["OUTPUT1"] == b
    one = ask(client, "pair", a, b, outputs=["OUTPUT1"])
    assert one["OUTPUT1"] == b and one["OUTPUT0"] is None
    counts.check(runs=0, hits=2)


def test_parameters_count_and_when_it_runs_does_not(server, client):
    counts, x = Counts(server, "cached"), row(fresh())
    ask(client, "cached", x)
    ask(client, "cached", x, parameters={"temperature": 3})
    ask(client, "cached", x, parameters={"temperature": 4})
    counts.check(runs=3, hits=0)
    ask(client, "cached", x, parameters={"temperature": 3})
    ask(client, "cached", x, priority=1, timeout=30_000_000, request_id="another")
    counts.check(runs=0, hits=2)


def test_classes_are_made_of_a_known_answer(server, client):
    counts, x = Counts(server, "cached"), row(1, fresh() + 2, 0)
    ask(client, "cached", x)
    given = client.triton.InferInput("INPUT0", [1, 3], "FP32")
    given.set_data_from_numpy(x)
    for _ in range(2):
        wanted = [client.triton.InferRequestedOutput("OUTPUT0", class_count=1)]
        best = client.infer("cached", [given], outputs=wanted).as_numpy("OUTPUT0")
        assert best.flatten()[0].decode().split(":")[1] == "1"
    assert (ask(client, "cached", x)["OUTPUT0"] == x).all()
    counts.check(runs=1, hits=3)


def test_tensors_in_shared_memory(server, client):
    """Asked over the wire, known for a request through memory, and the other way round."""
    counts, x, y = Counts(server, "cached"), row(fresh(), 1), row(fresh(), 1)
    region = shared_memory.create_shared_memory_region("cache", f"/tern-cache-{client.triton.__name__[-4:]}", 64)
    try:
        client.register_system_shared_memory("cache", f"/tern-cache-{client.triton.__name__[-4:]}", 64)
        ask(client, "cached", x)
        for value in (x, y):
            shared_memory.set_shared_memory_region(region, [value])
            given = client.triton.InferInput("INPUT0", [1, 2], "FP32")
            given.set_shared_memory("cache", 8)
            wanted = client.triton.InferRequestedOutput("OUTPUT0")
            wanted.set_shared_memory("cache", 8, offset=32)
            client.infer("cached", [given], outputs=[wanted])
            assert (shared_memory.get_contents_as_numpy(region, "float32", [1, 2], offset=32) == value).all()
        counts.check(runs=2, hits=1)
        assert (ask(client, "cached", y)["OUTPUT0"] == y).all()
        counts.check(runs=0, hits=1)
        client.unregister_system_shared_memory("cache")
    finally:
        shared_memory.destroy_shared_memory_region(region)


def test_who_asks_the_same_at_once_waits_for_one_run(server):
    counts, x, answers = Counts(server, "slow"), row(fresh()), []

    def one():
        with tritonclient.http.InferenceServerClient(server.address) as client:
            client.triton = tritonclient.http
            answers.append(ask(client, "slow", x)["OUTPUT0"])

    threads = [threading.Thread(target=one) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 8 and all((answer == x).all() for answer in answers)
    counts.check(runs=1, success=8, hits=7, misses=1)


def test_a_leader_that_hangs_up_fails_nobody(server):
    """The first client leaves while the model runs for it; the second gets its answer."""
    x = row(fresh())
    body = {"inputs": [{"name": "INPUT0", "datatype": "FP32", "shape": [1, 1], "data": x.tolist()}]}
    pending = Counts(server, "slow")
    leader, answers = server.connect(), []
    leader.request("POST", "/v2/models/slow/infer", json.dumps(body))
    follower = threading.Thread(target=lambda: answers.append(server.infer("slow", body)))
    follower.start()
    leader.close()
    follower.join()
    assert answers[0].status == 200 and answers[0].json()["outputs"][0]["data"] == x[0].tolist()
    assert pending.look()["success"] >= 1


def test_metrics(server, client):
    x = row(fresh())
    ask(client, "cached", x)
    ask(client, "cached", x)
    text = server.get("/metrics").body.decode()
    values = dict(line.rsplit(" ", 1) for line in text.splitlines() if line and not line.startswith("#"))
    labels = '{model="cached",version="1"}'
    for name in ("hits", "misses"):
        assert int(values[f"nv_cache_num_{name}_per_model{labels}"]) > 0
        assert values[f"tern_model_cache_{name}_total{labels}"] == values[f"nv_cache_num_{name}_per_model{labels}"]
    for name in ("hit", "miss"):
        assert float(values[f"nv_cache_{name}_duration_per_model{labels}"]) >= 0
    assert int(values["tern_cache_entries"]) > 0
    assert 0 < int(values["tern_cache_bytes"]) <= 1 << 20


def test_a_reload_begins_with_nothing(tmp_path):
    flags = ("--cache-local-size", "1MiB", "--model-control", "explicit", "--model-load", "cached")
    with serve(tmp_path, *flags) as server, tritonclient.http.InferenceServerClient(server.address) as client:
        client.triton = tritonclient.http
        x = row(fresh())
        ask(client, "cached", x)
        client.unload_model("cached")
        wait_for(lambda: not client.is_model_ready("cached"), "the unload")
        wait_for(lambda: b"tern_cache_entries 0" in server.get("/metrics").body, "its answers to go")
        client.load_model("cached")
        counts = Counts(server, "cached")
        ask(client, "cached", x)
        counts.check(runs=1, hits=0, misses=1)


def test_the_oldest_go_when_it_is_full(tmp_path):
    with serve(tmp_path, "--cache-local-size", "16KiB") as server:
        with tritonclient.http.InferenceServerClient(server.address) as client:
            client.triton = tritonclient.http
            for value in range(100):
                ask(client, "cached", row(value))
            counts = Counts(server, "cached")
            ask(client, "cached", row(99))
            counts.check(hits=1)
            ask(client, "cached", row(0))
            counts.check(hits=0, misses=1)
            ask(client, "cached", numpy.ones((1, 5000), "float32"))
            ask(client, "cached", numpy.ones((1, 5000), "float32"))
            counts.check(hits=0, misses=2)  # larger than all of it


def test_without_a_size_there_is_none(tmp_path):
    with serve(tmp_path) as server:
        with tritonclient.http.InferenceServerClient(server.address) as client:
            client.triton = tritonclient.http
            counts, x = Counts(server, "cached"), row(1)
            ask(client, "cached", x)
            ask(client, "cached", x)
            counts.check(runs=2, hits=0, misses=0)
        assert {line["model"] for line in server.told("cache.off", 4)} == {"cached", "slow", "pair", "shapes"}


@pytest.mark.parametrize("flag", ["--cache-config=local,size=8192", "--response-cache-byte-size=8192"])
def test_tritons_flags(tmp_path, flag):
    put_models(tmp_path / "models")
    flags = ("--persona", "triton", "--allow-http=false", "--allow-grpc=false", "--allow-metrics=false", flag)
    with Server(tmp_path / "server", tmp_path / "models", *flags) as server:
        with tritonclient.http.InferenceServerClient(server.address) as client:
            client.triton = tritonclient.http
            counts, x = Counts(server, "cached"), row(1)
            ask(client, "cached", x)
            ask(client, "cached", x)
            counts.check(runs=1, hits=1)


@pytest.mark.parametrize("kind", ["decoupled", "sequence"])
def test_models_that_answer_differently_each_time_are_refused(tmp_path, kind):
    if kind == "decoupled":
        put_sample(tmp_path / "models", "wrong", SAMPLES["square_int32"] + CACHED)
    else:
        config = "max_batch_size: 4\nsequence_batching { }\n" + CACHED
        put_model(tmp_path / "models", "wrong", ONNX / "identity_fp32.onnx", config=config)
    with Server(tmp_path / "server", tmp_path / "models", "--no-model-exit-on-error") as server:
        with tritonclient.http.InferenceServerClient(server.address) as client:
            rows = client.get_model_repository_index()
            assert [line["state"] for line in rows] == ["UNAVAILABLE"]
            assert "Response Cache does not currently support a model with" in rows[0]["reason"]
