"""Graphs of documents in KServe's form, over models of this server and endpoints of others."""
# covers: gateway/walk gateway/walk_kserve net/remote proto/kserve_graph engine/plan/plan_kserve

import collections
import http.client
import json
import time

import pytest

from harness import DEADLINE, ONNX, SAMPLES, Server, put_model, put_sample, wait_for
from units import Unit


@pytest.fixture
def unit():
    one = Unit()
    yield one
    one.stop()


class Graphs:
    """A server with graphs that a test writes down, and some models."""

    def __init__(self, folder):
        self.folder, self.repository, self.server = folder, folder / "models", None
        self.repository.mkdir()

    def put(self, name, nodes):
        (self.repository / name).mkdir()
        text = nodes if isinstance(nodes, str) else json.dumps({"nodes": nodes})
        (self.repository / name / "graph.json").write_text(text)

    def serve(self, *flags, **options):
        self.server = Server(self.folder / "server", self.repository, *flags, **options)
        self.server.start()
        return self.server

    def ask(self, name, document, **headers):
        return self.server.call("POST", f"/graphs/{name}", document, headers)


@pytest.fixture
def graphs(tmp_path):
    one = Graphs(tmp_path)
    yield one
    if one.server is not None:
        one.server.stop()


def in_flight(server):
    page = server.get("/metrics").body.decode()
    return int(page.split("\ntern_requests_in_flight ")[1].split("\n")[0])


def sequence(*steps):
    return {"root": {"routerType": "Sequence", "steps": list(steps)}}


def node(kind, *steps):
    return {"root": {"routerType": kind, "steps": list(steps)}}


def tensor(*values):
    return {"inputs": [{"name": "INPUT0", "shape": [1, len(values)], "datatype": "FP32", "data": list(values)}]}


def test_models_of_this_server_need_no_socket(graphs):
    put_sample(graphs.repository, "identity_fp32")
    graphs.put("by-name", sequence({"serviceName": "identity_fp32"}))
    graphs.put("by-url", sequence({"serviceUrl": "http://localhost/v2/models/identity_fp32/infer"}))
    server = graphs.serve("--log-access")
    for name in ("by-name", "by-url"):
        answer = graphs.ask(name, tensor(1.5, 2))
        assert answer.status == 200, answer.body
        assert answer.json()["outputs"][0]["data"] == [1.5, 2]
    bad = graphs.ask("by-name", {"inputs": 1})
    assert bad.status == 400  # a soft step's answer, as it came
    assert server.state("by-name") == "READY"
    assert server.get("/v2/models/by-name").json()["platform"] == "kserve_graph"
    assert server.infer("by-name", tensor(1)).json()["outputs"][0]["data"] == [1]
    server.told("access", 4)  # a line for each step


def test_sequence(graphs, unit):
    plus = unit.on("/plus", lambda document: {"predictions": [n + 1 for n in document["instances"]]})
    twice = unit.on("/twice", lambda document: {"predictions": [n * 2 for n in document["instances"]]})
    graphs.put("request", sequence({"serviceUrl": plus}, {"serviceUrl": twice, "data": "$request"}))
    graphs.put(
        "response",
        sequence({"serviceUrl": plus}, {"serviceUrl": twice, "data": "$response", "mapPredictionsToInstances": True}),
    )
    graphs.serve()
    assert graphs.ask("request", {"instances": [1, 2]}).json() == {"predictions": [2, 4]}
    assert graphs.ask("response", {"instances": [1, 2]}).json() == {"predictions": [4, 6]}
    assert unit.asked[-1][2] == b'{"instances": [2, 3]}'


@pytest.mark.parametrize("dependency, status, asked", [("Soft", 200, 2), ("Hard", 418, 1), (None, 200, 2)])
def test_a_step_that_fails_in_a_sequence(graphs, unit, dependency, status, asked):
    first = {"serviceUrl": unit.on("/no", {"error": "teapot"}, 418)}
    if dependency is not None:
        first["dependency"] = dependency
    graphs.put("g", sequence(first, {"serviceUrl": unit.on("/yes", {"fine": True}), "data": "$response"}))
    graphs.serve()
    answer = graphs.ask("g", {})
    assert (answer.status, len(unit.asked)) == (status, asked)
    assert answer.json() == ({"error": "teapot"} if status == 418 else {"fine": True})
    if asked == 2:
        assert json.loads(unit.asked[1][2]) == {"error": "teapot"}


def test_a_condition_in_a_sequence_stops_it(graphs, unit):
    kind = unit.on("/kind", lambda document: {"predictions": [document["kind"]]})
    breed = unit.on("/breed", {"predictions": ["dachshund"]})
    condition = '[@this].#(predictions.0=="dog")'
    graphs.put("g", sequence({"serviceUrl": kind}, {"serviceUrl": breed, "condition": condition}))
    graphs.serve()
    assert graphs.ask("g", {"kind": "dog"}).json() == {"predictions": ["dachshund"]}
    answer = graphs.ask("g", {"kind": "cat"})
    assert (answer.status, answer.json()) == (200, {"predictions": ["cat"]})
    unit.on("/kind", b"no json")
    answer = graphs.ask("g", {"kind": "dog"})
    assert answer.status == 500 and "no JSON" in answer.json()["cause"]


def test_switch(graphs, unit):
    steps = [
        {"serviceUrl": unit.on(f"/{name}", {"from": name}), "condition": condition}
        for name, condition in [
            ("client", "[@this].#(source==client)"),
            ("ten", "instances.#(intval>10)"),
            ("red", 'instances.#(strval%"*red*")'),
        ]
    ]
    graphs.put("g", node("Switch", *steps))
    graphs.put("nested", {**sequence({"nodeName": "s"}), "s": {"routerType": "Switch", "steps": steps}})
    graphs.serve()
    for document, name in [
        ({"source": "client", "instances": [{"intval": 11}]}, "client"),
        ({"instances": [{"intval": 1}, {"intval": 11}]}, "ten"),
        ({"instances": [{"strval": "a red b"}]}, "red"),
    ]:
        for graph in ("g", "nested"):
            assert graphs.ask(graph, document).json() == {"from": name}
    for document in ({"source": "x"}, b"no json", b""):
        answer = graphs.ask("g", document)
        assert answer.status == 404
        assert answer.json()["error"] == "Failed to process request" and "condition" in answer.json()["cause"]
    assert graphs.ask("nested", {"source": "x"}).status == 500


def test_splitter(graphs, unit):
    graphs.put(
        "g",
        node(
            "Splitter",
            {"serviceUrl": unit.on("/a", {"from": "a"}), "weight": 20},
            {"serviceUrl": unit.on("/b", {"from": "b"}), "weight": 80},
            {"serviceUrl": unit.on("/c", {"from": "c"}), "weight": 0},
        ),
    )
    graphs.serve()
    counts = collections.Counter(graphs.ask("g", {}).json()["from"] for _ in range(400))
    assert 40 <= counts["a"] <= 130 and counts["a"] + counts["b"] == 400


def test_ensemble(graphs, unit):
    steps = [
        {"serviceUrl": unit.on("/a", {"n": 1}), "name": "first"},
        {"serviceUrl": unit.on("/b", {"n": 2}, 503)},
        {"serviceUrl": unit.on("/c", [3])},
    ]
    graphs.put("g", node("Ensemble", *steps))
    graphs.put("hard", node("Ensemble", *[{**step, "dependency": "Hard"} for step in steps]))
    graphs.serve()
    answer = graphs.ask("g", {})
    assert (answer.status, answer.json()) == (200, {"first": {"n": 1}, "1": {"n": 2}, "2": [3]})
    answer = graphs.ask("hard", {})
    assert (answer.status, answer.json()) == (503, {"n": 2})
    unit.on("/c", b"<html>")
    answer = graphs.ask("g", {})
    assert answer.status == 500 and "no JSON" in answer.json()["cause"]


def test_an_ensemble_that_is_decided_waits_for_nobody(graphs, unit):
    graphs.put(
        "g",
        node(
            "Ensemble",
            {"serviceUrl": unit.on("/a", {"n": 1}, 500), "dependency": "Hard"},
            {"serviceUrl": unit.stalls("/b")},
        ),
    )
    graphs.serve()
    assert graphs.ask("g", {}).status == 500
    assert unit.gone.wait(DEADLINE)


def test_nodes_within_nodes(graphs, unit):
    put_model(graphs.repository, "add_sub", ONNX / "add_sub.onnx")
    graphs.put(
        "g",
        {
            "root": {"routerType": "Sequence", "steps": [{"nodeName": "both"}, {"nodeName": "pick", "data": "$response"}]},
            "both": {
                "routerType": "Ensemble",
                "steps": [{"serviceUrl": unit.on("/a", {"n": 1}), "name": "a"}, {"nodeName": "one", "name": "b"}],
            },
            "one": {"routerType": "Splitter", "steps": [{"serviceUrl": unit.on("/b", {"n": 2}), "weight": 100}]},
            "pick": {
                "routerType": "Switch",
                "steps": [{"serviceUrl": unit.on("/sum", lambda d: {"sum": d["a"]["n"] + d["b"]["n"]}), "condition": "a"}],
            },
        },
    )
    graphs.serve()
    assert graphs.ask("g", {}).json() == {"sum": 3}


def test_a_graph_as_a_step_of_another(graphs, unit):
    graphs.put("inner", sequence({"serviceUrl": unit.on("/a", {"n": 1})}))
    graphs.put("outer", sequence({"serviceUrl": "http://localhost/graphs/inner"}))
    graphs.serve()
    assert graphs.ask("outer", {}).json() == {"n": 1}


def test_graphs_that_call_each_other_come_to_an_end(graphs):
    graphs.put("a", sequence({"serviceUrl": "http://localhost/graphs/b", "dependency": "Hard"}))
    graphs.put("b", sequence({"serviceUrl": "http://localhost/graphs/a", "dependency": "Hard"}))
    graphs.serve()
    answer = graphs.ask("a", {})
    assert answer.status == 508 and "do graphs call each other" in answer.json()["cause"]


def test_what_endpoints_do_wrong(graphs, unit):
    large = b"x" * 200000
    urls = {
        "down": "http://127.0.0.1:9/x",
        "garbage": unit.raw("/garbage", b"what?\r\n\r\n"),
        "short": unit.raw("/short", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc"),
        "huge": unit.on("/huge", large),
        "away": unit.on("/away", {}, 302, Location=unit.on("/there", {"secret": 1})),
    }
    for name, url in urls.items():
        graphs.put(name, sequence({"serviceUrl": url, "name": "one", "dependency": "Hard"}))
    graphs.serve("--http-body-max=100k")
    for name in ("down", "garbage", "short", "huge"):
        answer = graphs.ask(name, {})
        assert answer.status == 500, name
        assert answer.json()["cause"].startswith("step 'one': ") and "127.0.0.1" not in answer.json()["cause"]
    assert graphs.ask("away", {}).status == 302
    assert "/there" not in unit.paths()


def test_a_slow_endpoint_has_the_time_of_the_request(graphs, unit):
    graphs.put("g", sequence({"serviceUrl": unit.on("/a", {})}, {"serviceUrl": unit.stalls("/slow"), "name": "slow"}))
    graphs.serve()
    start = time.monotonic()
    answer = graphs.ask("g", {}, **{"X-Request-Timeout-Ms": "300"})
    assert answer.status == 504 and answer.json()["cause"] == "step 'slow': no answer in time"
    assert time.monotonic() - start < 5
    headers = unit.asked[0][1]
    assert 0 < int(headers["x-request-timeout-ms"]) <= 301 and headers["x-tern-hops"] == "1"
    assert unit.gone.wait(DEADLINE)


def test_a_client_that_leaves_takes_its_calls_along(graphs, unit):
    graphs.put("g", sequence({"serviceUrl": unit.stalls("/slow")}))
    server = graphs.serve()
    client = http.client.HTTPConnection("127.0.0.1", server.port)
    client.request("POST", "/graphs/g", "{}")
    wait_for(lambda: unit.asked, "the step to be asked")
    client.close()
    assert unit.gone.wait(DEADLINE)


def test_a_client_that_leaves_cancels_runs_here_too(graphs):
    slow = SAMPLES["identity_fp32"] + 'parameters { key: "execute_delay_ms" value { string_value: "60000" } }'
    put_sample(graphs.repository, "slow", slow)
    graphs.put("g", node("Ensemble", {"serviceName": "slow"}, {"serviceName": "slow"}))
    server = graphs.serve("--log-access", "--request-timeout=120s")
    client = http.client.HTTPConnection("127.0.0.1", server.port)
    client.request("POST", "/graphs/g", json.dumps(tensor(1)))
    wait_for(lambda: in_flight(server) >= 4, "the graph and its two steps, beside the scrape")
    client.close()
    wait_for(lambda: [line["status"] for line in server.events("access")].count(499) == 3, "three ends")


def test_headers_that_go_on(graphs, unit):
    graphs.put("g", sequence({"serviceUrl": unit.on("/a", {})}))
    graphs.serve("--graph-header-forward=x-user-.*|authorization")
    graphs.ask("g", {}, Authorization="Bearer x", X_User="no", **{"X-User-Id": "7", "Cookie": "c", "X-Request-Id": "r1"})
    headers = {name.lower(): value for name, value in unit.asked[0][1].items()}
    assert (headers["authorization"], headers["x-user-id"], headers["x-request-id"]) == ("Bearer x", "7", "r1")
    assert headers["content-type"] == "application/json" and "cookie" not in headers


def test_the_root_is_a_graph(graphs, unit):
    graphs.put("one", sequence({"serviceUrl": unit.on("/a", {"n": 1})}))
    server = graphs.serve()
    assert server.call("POST", "/", {}).json() == {"n": 1}
    graphs.put("two", sequence({"serviceUrl": unit.on("/b", {"n": 2})}))
    server.stop()
    server = graphs.serve()
    answer = server.call("POST", "/", {})
    assert answer.status == 404 and "which graph is meant" in answer.json()["cause"]
    server.stop()
    server = graphs.serve(listen=("127.0.0.1:0,graph=two",))
    assert server.call("POST", "/", {}).json() == {"n": 2}


def test_rights_hold_for_steps_too(graphs):
    put_sample(graphs.repository, "identity_fp32")
    graphs.put("load", sequence({"serviceUrl": "http://localhost/v2/repository/models/identity_fp32/unload"}))
    graphs.serve()
    assert graphs.ask("load", {}).status == 403


def test_mistakes_are_told_with_their_place(graphs):
    graphs.put("bad", sequence({"serviceName": "a", "nodeName": "x"}))
    server = graphs.serve()
    row = [row for row in server.call("POST", "/v2/repository/index").json() if row["name"] == "bad"][0]
    assert row["state"] == "UNAVAILABLE"
    assert "expected exactly one of nodeName, serviceName and serviceUrl" in row["reason"]
    assert graphs.ask("bad", {}).status == 503
