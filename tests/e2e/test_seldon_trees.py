"""Trees of Seldon Core v1: units on other servers and models of this one, routing, feedback."""

# covers: engine/plan/plan_seldon gateway/walk_seldon proto/seldon proto/seldon_message

import collections
import json

import pytest

from harness import Server, put_sample
from units import Unit


@pytest.fixture
def unit():
    one = Unit()
    yield one
    one.stop()


class Trees:
    """A server with trees that a test writes down."""

    def __init__(self, folder, unit):
        self.folder, self.repository, self.unit, self.server = folder, folder / "models", unit, None
        self.repository.mkdir()

    def put(self, name, graph, **spec):
        (self.repository / name).mkdir()
        spec = spec or {"predictors": [{"name": "main", "graph": graph}]}
        text = json.dumps({"kind": "SeldonDeployment", "metadata": {"name": name}, "spec": spec})
        (self.repository / name / "graph.json").write_text(text)

    def remote(self, name, kind, **more):
        endpoint = {"service_host": "127.0.0.1", "service_port": self.unit.port, "type": "REST"}
        return {"name": name, "type": kind, "endpoint": endpoint, **more}

    def serve(self, *flags, **options):
        self.server = Server(self.folder / "server", self.repository, *flags, **options)
        self.server.start()
        return self.server

    def ask(self, message, path="/api/v1.0/predictions", **headers):
        return self.server.call("POST", path, message, headers)


@pytest.fixture
def trees(tmp_path, unit):
    one = Trees(tmp_path, unit)
    yield one
    if one.server is not None:
        one.server.stop()


def ndarray(*rows):
    return {"data": {"names": [], "ndarray": [list(row) for row in rows]}}


def mapped(function):
    """A unit that does something to every number."""

    def act(message):
        rows = [[function(n) for n in row] for row in message["data"]["ndarray"]]
        return {"data": {"names": ["x"], "ndarray": rows}, "meta": {"tags": {"seen": True}}}

    return act


def test_a_model_of_this_server(trees):
    put_sample(trees.repository, "identity_fp32")
    trees.put("tree", {"name": "identity_fp32", "implementation": "TRITON_SERVER", "modelUri": "gs://x"})
    trees.serve()
    for path in ("/api/v1.0/predictions", "/api/v0.1/predictions", "/seldon/ns/tree/api/v1.0/predictions"):
        answer = trees.ask(ndarray([1, 2.5], [3, 4]), path)
        assert answer.status == 200, answer.body
        assert answer.json()["data"]["ndarray"] == [[1, 2.5], [3, 4]]
    answer = trees.ask({"data": {"tensor": {"shape": [1, 2], "values": [1, 2]}}, "meta": {"puid": "p1"}})
    assert answer.json()["data"] == {"names": ["t:0", "t:1"], "tensor": {"shape": [1, 2], "values": [1, 2]}}
    assert answer.json()["meta"]["puid"] == "p1" and answer.headers["Seldon-Puid"] == "p1"
    assert answer.json()["meta"]["requestPath"] == {"identity_fp32": "identity_fp32"}
    direct = trees.ask(ndarray([7]), "/seldon/ns/identity_fp32/api/v1.0/predictions")
    assert direct.json() == {"data": {"names": ["t:0"], "ndarray": [[7]]}, "meta": {}}
    assert trees.server.get("/v2/models/tree").json()["platform"] == "seldon_graph"


def test_text(trees):
    put_sample(
        trees.repository,
        "text",
        'backend: "identity"\nmax_batch_size: 4\n'
        'input [ { name: "i" data_type: TYPE_STRING dims: [ 1 ] } ]\n'
        'output [ { name: "o" data_type: TYPE_STRING dims: [ 1 ] } ]\n',
    )
    trees.serve()
    path = "/seldon/ns/text/api/v1.0/predictions"
    assert trees.ask({"strData": "häll\no"}, path).json()["data"]["ndarray"] == [["häll\no"]]
    assert trees.ask(ndarray(["a"], ["b"]), path).json()["data"]["ndarray"] == [["a"], ["b"]]


@pytest.mark.parametrize(
    "message, text",
    [
        ({}, "neither data.ndarray nor data.tensor nor strData"),
        ({"jsonData": {}}, "jsonData means nothing to a model"),
        ({"data": {"ndarray": 1}}, "expected an array as data.ndarray"),
        ({"data": {"ndarray": [[1], [1, 2]]}}, ""),
        ({"data": {"tensor": {"shape": [1, 2]}}}, "expected shape and values"),
        ({"data": {"tftensor": {}}}, "tftensor is not supported"),
        ({"strData": "x"}, "no strData"),
        ("no json", ""),
    ],
)
def test_mistakes_in_messages(trees, message, text):
    put_sample(trees.repository, "identity_fp32")
    trees.put("tree", {"name": "identity_fp32", "type": "MODEL"})
    trees.serve()
    for path in ("/api/v1.0/predictions", "/seldon/ns/identity_fp32/api/v1.0/predictions"):
        answer = trees.ask(message, path)
        assert answer.status == 400
        assert answer.json()["status"]["status"] == "FAILURE" and text in answer.json()["status"]["info"]


def test_transformers_around_a_model(trees, unit):
    unit.on("/transform-input", mapped(lambda n: n + 1))
    unit.on("/predict", mapped(lambda n: n * 10))
    unit.on("/transform-output", mapped(lambda n: -n))
    model = trees.remote("model", "MODEL")
    trees.put("tree", trees.remote("out", "OUTPUT_TRANSFORMER", children=[trees.remote("in", "TRANSFORMER", children=[model])]))
    trees.serve()
    answer = trees.ask(ndarray([1, 2]))
    assert answer.json()["data"]["ndarray"] == [[-20, -30]]
    assert answer.json()["meta"]["tags"] == {"seen": True}
    assert answer.json()["meta"]["requestPath"] == {"out": "out", "in": "in", "model": "model"}
    assert unit.paths() == ["/transform-input", "/predict", "/transform-output"]
    puids = {headers.get("seldon-puid") for _, headers, _ in unit.asked}
    assert puids == {answer.headers["Seldon-Puid"]}


def test_a_combiner_joins_its_children(trees, unit):
    put_sample(trees.repository, "identity_fp32")
    unit.on("/predict", mapped(lambda n: n * 10))
    unit.on("/aggregate", lambda m: {"data": {"ndarray": [[sum(x["data"]["ndarray"][0][0] for x in m["seldonMessages"])]]}})
    children = [{"name": "identity_fp32", "type": "MODEL"}, trees.remote("b", "MODEL")]
    trees.put("tree", trees.remote("sum", "COMBINER", children=children))
    trees.serve()
    assert trees.ask(ndarray([3])).json()["data"]["ndarray"] == [[33]]


@pytest.mark.parametrize(
    "route, answer, wanted",
    [
        (0, [0], "a"),
        (1, {"data": {"ndarray": [[1]]}}, "b"),
        (1, {"data": {"tensor": {"shape": [1, 1], "values": [1.0]}}}, "b"),
        (-1, [-1], "a"),
        (-2, [-2], "stop"),
    ],
)
def test_a_router(trees, unit, route, answer, wanted):
    unit.on("/route", answer)
    unit.on("/predict", {"strData": "?"})
    graph = trees.remote("r", "ROUTER", children=[trees.remote("a", "MODEL"), trees.remote("b", "MODEL")])
    trees.put("tree", graph)
    trees.serve()
    got = trees.ask({"strData": "in"}).json()
    assert got["meta"]["routing"] == {"r": route}
    assert got["strData"] == ("in" if wanted == "stop" else "?")
    visited = {0: {"a"}, 1: {"b"}, -1: {"a", "b"}, -2: set()}[route]
    assert set(got["meta"]["requestPath"]) == visited | {"r"}


@pytest.mark.parametrize("answer", [[2], [-3], [], [0.5], {"data": {}}, "x", b"no json"])
def test_a_router_that_says_nothing_useful(trees, unit, answer):
    unit.on("/route", answer)
    trees.put("tree", trees.remote("r", "ROUTER", children=[trees.remote("a", "MODEL"), trees.remote("b", "MODEL")]))
    trees.serve()
    got = trees.ask({"strData": "in"})
    assert got.status == 500 and got.json()["status"]["info"].startswith("unit 'r': ")


def test_random_abtest_and_predictors(trees, unit):
    put_sample(trees.repository, "identity_fp32")
    unit.on("/predict", {"strData": "remote"})

    def abtest(ratio):
        return {
            "name": "ab",
            "implementation": "RANDOM_ABTEST",
            "parameters": [{"name": "ratioA", "value": ratio, "type": "FLOAT"}],
            "children": [trees.remote("a", "MODEL"), trees.remote("b", "MODEL")],
        }

    trees.put("ab", abtest("0.25"))
    trees.put("never", abtest("0"))
    trees.put(
        "two",
        None,
        predictors=[
            {"name": "x", "traffic": 90, "graph": trees.remote("a", "MODEL")},
            {"name": "y", "traffic": 10, "graph": trees.remote("b", "MODEL")},
        ],
    )
    trees.serve()

    def routes(name, of):
        path = f"/seldon/ns/{name}/api/v1.0/predictions"
        return collections.Counter(trees.ask({"strData": "x"}, path).json()["meta"]["routing"][of] for _ in range(200))

    assert 20 <= routes("ab", "ab")[0] <= 85
    assert routes("never", "ab") == {1: 200}
    assert 150 <= routes("two", "predictors")[0] < 200


def test_feedback_follows_the_routing(trees, unit):
    for path in ("/route", "/predict", "/send-feedback"):
        unit.on(path, {})
    graph = trees.remote("r", "ROUTER", children=[trees.remote("a", "MODEL"), trees.remote("b", "MODEL")])
    trees.put("tree", graph)
    trees.serve()

    def reward(routing):
        del unit.asked[:]
        feedback = {"request": {"strData": "x"}, "response": {"meta": {"routing": routing}}, "reward": 1.0}
        answer = trees.ask(feedback, "/api/v1.0/feedback")
        assert answer.status == 200
        assert all(json.loads(body) == feedback for _, _, body in unit.asked)
        return unit.paths()

    assert reward({"r": 1}) == ["/send-feedback"] * 2  # b and r
    assert reward({"r": -1}) == reward({}) == ["/send-feedback"] * 3
    assert reward({"r": -2}) == ["/send-feedback"]
    unit.on("/send-feedback", {"status": {"info": "no"}}, 503)
    assert trees.ask({"reward": 1}, "/api/v1.0/feedback").status == 503


def test_an_error_of_a_unit_is_the_answer(trees, unit):
    error = {"status": {"status": 1, "info": "bad data", "code": -1, "reason": "MICROSERVICE_BAD_DATA"}}
    unit.on("/predict", error, 400)
    trees.put("tree", trees.remote("a", "MODEL"))
    trees.put("down", {"name": "d", "type": "MODEL", "endpoint": {"service_host": "127.0.0.1", "service_port": 9}})
    trees.serve()
    answer = trees.ask({"strData": "x"}, "/seldon/ns/tree/api/v1.0/predictions")
    assert (answer.status, answer.json()) == (400, error)
    answer = trees.ask({"strData": "x"}, "/seldon/ns/down/api/v1.0/predictions")
    assert answer.status == 500 and "step 'd': " in answer.json()["status"]["info"]


def test_forms_of_older_clients(trees, unit):
    unit.on("/predict", mapped(lambda n: n))
    trees.put("tree", trees.remote("a", "MODEL"))
    trees.serve()
    form = "x=1&json=%7B%22data%22%3A+%7B%22ndarray%22%3A+%5B%5B1%5D%5D%7D%7D"
    answer = trees.ask(form, **{"Content-Type": "application/x-www-form-urlencoded"})
    assert answer.json()["data"]["ndarray"] == [[1]]
    for bad in ("x=1", "json=%7", "json=%zz"):
        assert trees.ask(bad, **{"Content-Type": "application/x-www-form-urlencoded"}).status == 400


def test_other_protocols(trees, unit):
    unit.on("/v1/models/a:predict", lambda m: {"predictions": [n + 1 for n in m["instances"]]})
    unit.on("/v1/models/b:predict", lambda m: {"predictions": [n * 2 for n in m["instances"]]})
    chain = trees.remote("a", "MODEL", children=[trees.remote("b", "MODEL")])
    trees.put("tf", None, protocol="tensorflow", predictors=[{"name": "p", "graph": chain}])
    put_sample(trees.repository, "identity_fp32")
    trees.put("v2", None, protocol="v2", predictors=[{"name": "p", "graph": {"name": "identity_fp32", "type": "MODEL"}}])
    server = trees.serve()
    assert trees.ask({"instances": [1, 2]}, "/graphs/tf").json() == {"predictions": [4, 6]}
    body = {"inputs": [{"name": "INPUT0", "shape": [1, 1], "datatype": "FP32", "data": [5]}]}
    assert server.infer("v2", body).json()["outputs"][0]["data"] == [5]


def test_mistakes_are_told_with_their_place(trees):
    trees.put("tree", {"name": "c", "type": "COMBINER", "children": [{"name": "x", "type": "MODEL"}]})
    server = trees.serve()
    row = server.index()[("tree", "1")]
    assert row["state"] == "UNAVAILABLE" and "a COMBINER needs an endpoint" in row["reason"]
