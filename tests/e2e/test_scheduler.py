"""How requests wait, as clients see it: models that cost a known time, asked by more than they can answer. What
is counted is answers; nothing here depends on how fast the machine is."""
# covers: cli/schedule

import itertools
import json
import random
import signal
import struct
import subprocess
import threading
import time

import pytest

from harness import DEADLINE, ONNX, SAMPLES, TERN, Load, Server, put_model, put_sample, wait_for


def costs(ms, *more, instances=1):
    text = f'parameters {{ key: "execute_delay_ms" value {{ string_value: "{ms}" }} }}\n'
    group = f"instance_group [ {{ count: {instances} kind: KIND_CPU }} ]\n"
    return SAMPLES["identity_fp32"] + text + group + "\n".join(more)


ONE_BY_ONE = "dynamic_batching { preferred_batch_size: [ 1 ] %s }\n"
LEVELS = ONE_BY_ONE % "priority_levels: 3 default_priority_level: 2"
BOUNDED = ONE_BY_ONE % "default_queue_policy { max_queue_size: 2 }"
IMPATIENT = (
    ONE_BY_ONE % "default_queue_policy { timeout_action: %s default_timeout_microseconds: 100000 "
    "allow_timeout_override: true }"
)


@pytest.fixture
def server(tmp_path, repository):
    """Nothing runs on the event loops."""
    put_sample(repository, "even", costs(5))
    put_sample(repository, "fast", costs(1))
    put_sample(repository, "slow", costs(100, instances=2))
    put_sample(repository, "filling", costs(800))
    for name, ms, text in (
        ("levels", 500, LEVELS),
        ("bounded", 800, BOUNDED),
        ("reject", 1200, IMPATIENT % "REJECT"),
        ("delay", 250, IMPATIENT % "DELAY"),
    ):
        put_sample(repository, name, costs(ms, text).replace("max_batch_size: 8", "max_batch_size: 1"))
    put_model(repository, "add_sub", ONNX / "add_sub.onnx")
    flags = ("--sched-queue-max", "16", "--sched-inline-max", "1ns", "--model-control", "explicit", "--model-load", "*")
    with Server(tmp_path / "server", repository, *flags) as one:
        yield one


def body(values=(1.0, 2.0), **parameters):
    row = {"name": "INPUT0", "datatype": "FP32", "shape": [1, len(values)], "data": list(values)}
    return {"inputs": [row], **({"parameters": parameters} if parameters else {})}


def schedule(server, model):
    answer = server.get(f"/v2/models/{model}/schedule")
    assert answer.status == 200
    return answer.json()


def counts(server, model):
    row = server.get(f"/v2/models/{model}/stats").json()["model_stats"][0]
    return row["execution_count"], row["inference_count"]


class Ask(threading.Thread):
    """One request in a thread of its own, begun once it runs or waits."""

    ended = itertools.count()

    def __init__(self, server, model, request=None, headers=None):
        super().__init__()
        self.server, self.model, self.answer = server, model, None
        self.request, self.headers = request or body(), headers
        before = self.there()
        self.start()
        wait_for(lambda: self.answer or self.there() > before, "the request to be there")

    def there(self):
        now = schedule(self.server, self.model)
        return now["busy"] + now["waiting"] + now["requests"] + now["timed_out"] + now["late"] + now["shed"]

    def run(self):
        self.answer = self.server.infer(self.model, self.request, headers=self.headers)
        self.order = next(Ask.ended)

    def done(self):
        self.join(DEADLINE)
        assert not self.is_alive()
        return self.answer


@pytest.mark.parametrize("clients", [4, 48])
def test_a_slow_model_does_not_starve_a_fast_one(server, clients):
    """At full load, and when it refuses most of what is asked."""
    with Load(server, "slow", body(), clients=clients) as load:
        wait_for(lambda: schedule(server, "slow")["busy"] == 2, "the slow model to be busy")
        wait_for(lambda: clients < 48 or load.bad(), "the slow model to refuse")
        before = len(load.answers)
        began = time.monotonic()
        for i in range(100):
            assert server.infer("fast", body([i, 0.5])).json()["outputs"][0]["data"] == [i, 0.5]
        assert time.monotonic() - began < 20  # of which the runs are a tenth of a second
        wait_for(lambda: len(load.answers) > before + 2, "the slow model to go on")
    assert {status for status, _ in load.answers} <= {200, 429, 503}
    assert sum(status == 200 for status, _ in load.answers) > 0


def test_the_more_urgent_run_first(server):
    running = Ask(server, "levels")
    asked = [(None, 2), (3, 3), (77, 2), (1, 1), (2, 2), (1, 1)]  # what is no level is the default
    waiting = [(Ask(server, "levels", body(priority=p) if p else body()), level) for p, level in asked]
    assert running.done().status == 200
    assert all(one.done().status == 200 for one, _ in waiting)
    order = [level for one, level in sorted(waiting, key=lambda pair: pair[0].order)]
    assert order == [1, 1, 2, 2, 2, 3]


def test_a_full_level_refuses_in_tritons_words(server):
    held = [Ask(server, "bounded") for _ in range(3)]  # one runs, two wait
    answer = server.infer("bounded", body())
    assert answer.status == 503 and "Exceeds maximum queue size" in answer.json()["error"]
    assert float(answer.headers["retry-after"]) >= 1
    assert [one.done().status for one in held] == [200] * 3


def test_who_waits_too_long_is_rejected(server):
    running = Ask(server, "reject")
    usual, lowered = Ask(server, "reject"), Ask(server, "reject", body(timeout=1000))
    raised = Ask(server, "reject", body(timeout=60_000_000))  # may only be lowered
    for one in (usual, lowered, raised):
        assert one.done().status == 503
        assert one.answer.json()["error"].endswith("Request timeout expired")
    assert running.done().status == 200
    now = schedule(server, "reject")
    assert (now["timed_out"], now["requests"], now["late"], now["shed"]) == (3, 1, 0, 0)


def test_who_waits_too_long_may_be_late(server):
    asked = [Ask(server, "delay") for _ in range(3)]
    assert [one.done().status for one in asked] == [200] * 3
    assert schedule(server, "delay")["timed_out"] == 0


def test_deadlines_that_passed(server):
    past = str(int(time.time() * 1000) - 1)
    for headers in ({"X-Request-Timeout-Ms": "0"}, {"X-Request-Deadline-Ms": "0"}, {"X-Request-Deadline-Ms": past}):
        for model in ("even", "reject", "add_sub"):
            answer = server.infer(model, body(), headers=headers)
            assert answer.status == 504, (model, headers, answer.body)
    running = Ask(server, "levels")
    late = Ask(server, "levels", headers={"X-Request-Timeout-Ms": "20"})
    assert late.done().status == 504 and late.answer.json()["error"].startswith("Deadline Exceeded")
    assert running.done().status == 200
    assert server.infer("levels", body(), headers={"X-Request-Timeout-Ms": "60000"}).status == 200


def ask_all(server, model, requests, clients=8):
    """The answers to all of them, from so many clients."""
    answers, rest = [None] * len(requests), iter(range(len(requests)))
    lock = threading.Lock()

    def go_on():
        connection = server.connect()
        while True:
            with lock:
                i = next(rest, None)
            if i is None:
                break
            answers[i] = server.infer(model, requests[i], connection=connection)
        connection.close()

    threads = [threading.Thread(target=go_on) for _ in range(clients)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(DEADLINE)
    return answers


def some_floats(chance, n):
    """Any bits that are a finite number."""
    values = []
    while len(values) < n:
        value = struct.unpack("f", struct.pack("I", chance.getrandbits(32)))[0]
        if abs(value) < 1e30:
            values.append(value)
    return values


def test_batches_are_formed_and_nobody_can_tell(server):
    chance = random.Random(1)
    asked = [body(some_floats(chance, chance.choice([3, 5]))) for _ in range(120)]
    alone = [server.infer("even", one).json()["outputs"] for one in asked[:10]]
    runs, rows = counts(server, "even")
    assert runs == rows == 10
    together = ask_all(server, "even", asked)
    assert [answer.status for answer in together] == [200] * len(asked)
    assert [answer.json()["outputs"] for answer in together[:10]] == alone
    for one, answer in zip(asked, together):
        assert answer.json()["outputs"][0]["data"] == pytest.approx(one["inputs"][0]["data"], rel=1e-7, abs=0)
    runs, rows = counts(server, "even")
    assert rows == 130 and runs < rows / 2
    now = schedule(server, "even")
    assert (now["runs"], now["requests"], now["busy"], now["waiting"]) == (runs, rows, 0, 0)


def test_what_the_load_proved_batches_too(server):
    """A model that declares no batch size; its answers are the same as alone."""
    chance = random.Random(2)
    asked = []
    for _ in range(60):
        rows = [{"name": f"INPUT{i}", "datatype": "INT32", "shape": [1, 16]} for i in range(2)]
        asked.append({"inputs": [{**row, "data": [chance.randrange(1 << 30) for _ in range(16)]} for row in rows]})
    alone = [server.infer("add_sub", one) for one in asked]
    assert [answer.status for answer in alone] == [200] * len(asked), alone[0].body
    together = ask_all(server, "add_sub", asked)
    assert [answer.body for answer in together] == [answer.body for answer in alone]
    now = schedule(server, "add_sub")
    assert now["max_batch"] > 1 and "proven at load" in now["why"]


def explain(server, model, *flags):
    command = [TERN, "explain-schedule", model, "--url", server.url, *flags]
    return subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE)


def test_a_schedule_is_explained_while_it_is_loaded(server):
    with Load(server, "even", body(), clients=8) as load:
        wait_for(lambda: len(load.answers) > 50, "some load")
        now = schedule(server, "even")
        page, data = explain(server, "even"), explain(server, "even", "--output", "json")
        full = [schedule(server, "even") for _ in range(20)]
    assert not load.bad()
    assert now["runs_on"] == "lane" and now["batching"] == "adaptive" and now["max_batch"] == 8
    assert 0 < now["runs"] < now["requests"]
    shapes = {size["size"] for shape in now["shapes"] for size in shape["run_times"]}
    assert shapes - {1} and all(0 < size <= 8 for size in shapes)
    assert now["decisions"] and all(row["text"] and row["ago_us"] >= 0 for row in now["decisions"])
    assert all(one["busy"] <= one["instances"] == 1 and one["waiting"] <= 8 for one in full)
    assert page.returncode == 0 and page.stderr == ""
    assert page.stdout.startswith("even, version 1\n  batches     adaptive; ")
    assert "How long runs take" in page.stdout and "The last decisions" in page.stdout
    assert json.loads(data.stdout)["name"] == "even"
    unknown = explain(server, "nope")
    assert unknown.returncode == 1 and "nope" in unknown.stderr
    assert server.get("/v2/models/nope/schedule").status == 404


def control(server, model, what):
    answer = server.call("POST", f"/v2/repository/models/{model}/{what}", b"{}")
    assert answer.status == 200, answer.body


def test_a_model_comes_and_goes_under_load(server):
    """Whoever was let in is answered, by a batch in flight or one that waits."""
    with Load(server, "even", body([3.5, -1]), clients=8) as load:
        for _ in range(5):
            before = len(load.answers)
            wait_for(lambda: sum(s == 200 for s, _ in load.answers[before:]) > 20, "answers")
            control(server, "even", "unload")
            control(server, "even", "load")
    statuses = {status for status, _ in load.answers}
    assert statuses <= {200, 400, 404, 503}, statuses  # the others found no model
    for status, text in load.answers:
        if status == 200:
            assert json.loads(text)["outputs"][0]["data"] == [3.5, -1]


def test_a_swap_under_load_leaves_no_gap(server, repository):
    with Load(server, "even", body([3.5, -1]), clients=8) as load:
        for ms in (6, 4, 5):
            before = len(load.answers)
            wait_for(lambda: len(load.answers) > before + 20, "answers")
            (repository / "even" / "config.pbtxt").write_text(costs(ms))
            control(server, "even", "load")
    assert not load.bad()


def test_a_drain_answers_whoever_waits(server):
    asked = [Ask(server, "filling", body([i, 1])) for i in range(12)]
    now = schedule(server, "filling")
    assert now["busy"] == 1 and now["waiting"] >= 3
    server.process.send_signal(signal.SIGTERM)
    answers = [one.done() for one in asked]
    assert [answer.status for answer in answers] == [200] * len(asked)
    assert [answer.json()["outputs"][0]["data"] for answer in answers] == [[i, 1] for i in range(len(asked))]
    assert server.stop() == 0
