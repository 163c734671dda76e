"""How models come and go while clients keep asking."""

import json
import shutil

import pytest

from harness import EXAMPLES, ONNX, Load, Server, example, check_recorded, model_file, put_model, wait_for

IRIS = {"inputs": [{"name": "features", "datatype": "FP32", "shape": [1, 4], "data": [5.1, 3.5, 1.4, 0.2]}]}


def explicit(tmp_path, repository, *flags):
    return Server(tmp_path / "server", repository, "--model-control", "explicit", *flags)


def poll(tmp_path, repository, *flags):
    return Server(tmp_path / "server", repository, "--model-control", "poll", "--model-poll-interval", "100ms", *flags)


def load(server, name, body=None):
    return server.call("POST", f"/v2/repository/models/{name}/load", body)


def unload(server, name):
    return server.call("POST", f"/v2/repository/models/{name}/unload")


def test_explicit_load_and_unload(tmp_path, repository):
    put_model(repository, "iris", model_file("iris"))
    with explicit(tmp_path, repository) as server:
        assert server.infer("iris", IRIS).status in (404, 503)
        assert server.get("/v2/models/iris/ready").status != 200
        assert load(server, "iris").status == 200
        assert server.state("iris") == "READY"
        assert server.infer("iris", IRIS).status == 200
        assert load(server, "nope").status in (400, 404)
        assert unload(server, "iris").status == 200
        wait_for(lambda: server.state("iris") != "READY", "the model to go")
        assert server.infer("iris", IRIS).status in (404, 503)
        assert load(server, "iris").status == 200
        assert server.infer("iris", IRIS).status == 200


def test_explicit_start(tmp_path, repository):
    put_model(repository, "a", model_file("iris"))
    put_model(repository, "b", model_file("iris"))
    with explicit(tmp_path, repository, "--model-load", "b") as server:
        assert server.infer("b", IRIS).status == 200
        assert server.infer("a", IRIS).status != 200


def test_index_of_ready_ones(tmp_path, repository):
    put_model(repository, "good", model_file("iris"))
    put_model(repository, "broken", b"not a model")
    with Server(tmp_path / "server", repository) as server:
        everything = {row["name"]: row for row in server.call("POST", "/v2/repository/index", {}).json()}
        ready = server.call("POST", "/v2/repository/index", {"ready": True}).json()
        assert set(everything) == {"good", "broken"} and [row["name"] for row in ready] == ["good"]
        assert everything["broken"]["state"] == "UNAVAILABLE" and everything["broken"]["reason"]


BROKEN = {
    "empty": b"",
    "text": b"hello, this is not a model\n" * 100,
    "truncated": None,
    "zeros": bytes(4096),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_model_beside_a_good_one(tmp_path, repository, kind):
    broken = BROKEN[kind]
    if broken is None:
        broken = model_file("digits_cnn").read_bytes()[:-1000]
    put_model(repository, "good", model_file("iris"))
    put_model(repository, "broken", broken)
    with Server(tmp_path / "server", repository) as server:
        assert server.infer("good", IRIS).status == 200
        assert server.infer("broken", IRIS).status in (404, 503)
        assert server.get("/v2/models/broken/ready").status != 200
        assert server.state("broken") == "UNAVAILABLE"
        assert server.process.poll() is None


def test_strict_readiness(tmp_path, repository):
    put_model(repository, "good", model_file("iris"))
    put_model(repository, "broken", b"no")
    with Server(tmp_path / "server", repository, "--model-strict-readiness") as server:
        assert server.get("/v2/health/ready").status == 503
        assert server.get("/v2/health/live").status == 200


def test_an_unsupported_operator_says_so(tmp_path, repository):
    put_model(repository, "strange", ONNX / "unknown_op.onnx")
    put_model(repository, "good", model_file("iris"))
    with Server(tmp_path / "server", repository) as server:
        assert server.state("strange") == "UNAVAILABLE" and server.state("good") == "READY"


def test_poll_follows_the_files(tmp_path, repository):
    put_model(repository, "iris", model_file("iris"))
    with poll(tmp_path, repository) as server:
        put_model(repository, "diabetes", model_file("diabetes"))
        wait_for(lambda: server.state("diabetes") == "READY", "the new model")
        shutil.rmtree(repository / "iris")
        wait_for(lambda: server.state("iris") != "READY", "the old model to go")
        assert server.state("diabetes") == "READY"


def test_a_bad_new_version_never_takes_a_good_one_down(tmp_path, repository):
    put_model(repository, "iris", model_file("iris"))
    with poll(tmp_path, repository) as server, Load(server, "iris", IRIS) as clients:
        put_model(repository, "iris", b"rubbish", version=2)
        wait_for(lambda: server.state("iris", "2") == "UNAVAILABLE", "the failed version")
        wait_for(lambda: len(clients.answers) > 200, "some answers")
        assert server.state("iris", "1") == "READY"
    assert clients.bad() == []


def test_swap_under_load_loses_nothing(tmp_path, repository):
    data = example("diabetes")
    body = {"inputs": data["inputs"]}
    put_model(repository, "diabetes", model_file("diabetes", 1), version=1)
    with poll(tmp_path, repository) as server, Load(server, "diabetes", body) as clients:
        wait_for(lambda: len(clients.answers) > 20, "answers of version 1")
        put_model(repository, "diabetes", model_file("diabetes", 2), version=2)
        wait_for(lambda: json.loads(clients.answers[-1][1])["model_version"] == "2", "version 2")
        before = len(clients.answers)
        wait_for(lambda: len(clients.answers) > before + 20, "answers of version 2")
    assert clients.bad() == []
    seen = set()
    for _, text in clients.answers:
        answer = json.loads(text)
        seen.add(answer["model_version"])
        check_recorded(data, answer["model_version"], answer["outputs"])
    assert seen == {"1", "2"}


def test_reload_again_and_again_under_load(tmp_path, repository):
    put_model(repository, "iris", model_file("iris"))
    with explicit(tmp_path, repository, "--model-load", "*") as server, Load(server, "iris", IRIS) as clients:
        for i in range(10):
            (repository / "iris" / "1" / "model.onnx").touch()
            assert load(server, "iris").status == 200
        wait_for(lambda: len(clients.answers) > 100, "some answers")
    assert clients.bad() == []


def test_a_file_replaced_while_serving(tmp_path, repository):
    put_model(repository, "m", model_file("diabetes", 1))
    data = example("diabetes")
    with poll(tmp_path, repository) as server:
        first = server.infer("m", {"inputs": data["inputs"]}).json()
        check_recorded(data, "1", first["outputs"])
        aside = tmp_path / "new.onnx"
        shutil.copy(model_file("diabetes", 2), aside)
        aside.rename(repository / "m" / "1" / "model.onnx")

        def is_new():
            outputs = server.infer("m", {"inputs": data["inputs"]}).json()["outputs"]
            return outputs[0]["data"] != first["outputs"][0]["data"] and outputs

        check_recorded(data, "2", wait_for(is_new, "the new file's answers"))


def test_version_policies(tmp_path, repository):
    for version in (1, 2, 3):
        put_model(repository, "all", model_file("iris"), version, 'version_policy: { all {} }')
        put_model(repository, "two", model_file("iris"), version, 'version_policy: { latest { num_versions: 2 } }')
        put_model(repository, "some", model_file("iris"), version, 'version_policy: { specific { versions: [1, 3] } }')
        put_model(repository, "default", model_file("iris"), version)
    with Server(tmp_path / "server", repository) as server:
        wanted = {"all": ["1", "2", "3"], "two": ["2", "3"], "some": ["1", "3"], "default": ["3"]}
        for name, versions in wanted.items():
            assert server.get(f"/v2/models/{name}").json()["versions"] == versions
            for version in "123":
                answer = server.call("POST", f"/v2/models/{name}/versions/{version}/infer", IRIS)
                assert (answer.status == 200) == (version in versions)
        assert server.infer("all", IRIS).json()["model_version"] == "3"


def test_a_configuration_that_disagrees(tmp_path, repository):
    put_model(repository, "m", model_file("iris"), config='input [{ name: "other" data_type: TYPE_FP32 dims: [4] }]')
    put_model(repository, "good", model_file("iris"))
    with Server(tmp_path / "server", repository) as server:
        row = server.index()[("m", "1")] if ("m", "1") in server.index() else server.index()[("m", None)]
        assert row["state"] == "UNAVAILABLE" and "other" in row["reason"]
        assert server.infer("good", IRIS).status == 200


@pytest.mark.parametrize("path", ["iris/1/model.onnx", "iris", "."])
def test_a_path_of_each_kind(tmp_path, path):
    with Server(tmp_path, EXAMPLES / "models" / path) as server:
        name = "model" if path.endswith(".onnx") else "iris"
        assert server.infer(name, IRIS).status == 200
