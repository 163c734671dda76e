"""Ensembles with steps that answer any number of times, with Triton's own client: the shapes of Triton's
L0_decoupled, joined with what there is once, back pressure, errors, cancellation."""

import numpy
import pytest
import tritonclient.grpc as triton
import tritonclient.http
from tritonclient.utils import InferenceServerException

from harness import SAMPLES, Server, put_sample, tensors
from test_ensemble import step
from test_streams import HOURS, Answers, answers, is_final, repeat

INPUTS = [("IN", "INT32", -1), ("DELAY", "UINT32", -1), ("WAIT", "UINT32", 1)]
OUT, IDX = ("OUT", "INT32", 1), ("IDX", "UINT32", 1)


def ensemble(outputs, *steps, more="", inputs=INPUTS):
    return (
        'platform: "ensemble"\n'
        + tensors("input", *inputs)
        + tensors("output", *outputs)
        + "ensemble_scheduling {\n"
        + more
        + "".join(steps)
        + "}\n"
    )


def repeated(**outputs):
    return step("repeat_int32", {"IN": "IN", "DELAY": "DELAY", "WAIT": "WAIT"}, outputs)


def echo(source, target, model="identity_int32"):
    return step(model, {"INPUT0": source}, {"OUTPUT0": target})


IDENTITY = 'backend: "identity"\n' + tensors("input", ("INPUT0", "INT32", -1)) + tensors("output", ("OUTPUT0", "INT32", -1))
MODELS = {
    "identity_int32": IDENTITY,
    "slow_int32": IDENTITY + 'parameters { key: "execute_delay_ms" value { string_value: "2" } }\n',
    "pair": 'backend: "identity"\n'
    + tensors("input", ("A", "INT32", -1), ("B", "INT32", -1))
    + tensors("output", ("A_OUT", "INT32", -1), ("B_OUT", "INT32", -1)),
    "simple_repeat": ensemble([OUT, IDX], repeated(OUT="OUT", IDX="IDX")),
    "sequence_repeat": ensemble([OUT, IDX], repeated(OUT="repeat_out", IDX="IDX"), echo("repeat_out", "OUT")),
    "fan_repeat": ensemble(
        [OUT],
        repeated(OUT="repeat_out"),
        echo("repeat_out", "identity_out"),
        step("pair", {"A": "repeat_out", "B": "identity_out"}, {"B_OUT": "OUT"}),
    ),
    "repeat_square": ensemble([OUT], repeated(OUT="repeat_out"), step("square_int32", {"IN": "repeat_out"}, {"OUT": "OUT"})),
    "nested_square": ensemble(
        [OUT],
        step("simple_repeat", {"IN": "IN", "DELAY": "DELAY", "WAIT": "WAIT"}, {"OUT": "repeat_out"}),
        step("square_int32", {"IN": "repeat_out"}, {"OUT": "OUT"}),
    ),
    "once_and_often": ensemble(
        [OUT, ("ALL", "INT32", -1)],
        repeated(OUT="repeat_out"),
        echo("IN", "slow_out", "slow_int32"),
        step("pair", {"A": "repeat_out", "B": "slow_out"}, {"A_OUT": "OUT", "B_OUT": "ALL"}),
    ),
    "once": ensemble([("OUT", "INT32", -1)], echo("IN", "OUT"), inputs=INPUTS[:1]),
    "bounded": ensemble(
        [OUT, IDX],
        repeated(OUT="repeat_out", IDX="IDX"),
        echo("repeat_out", "OUT", "slow_int32"),
        more="max_inflight_requests: 4\n",
    ),
    "spoiled": ensemble(
        [OUT],
        repeated(OUT="repeat_out"),
        step("repeat_int32", {"IN": "repeat_out", "DELAY": "DELAY", "WAIT": "WAIT"}, {"OUT": "OUT"}),
    ),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("decoupled_ensembles")
    for name in ("repeat_int32", "square_int32"):
        put_sample(folder / "models", name, SAMPLES[name])
    for name, text in MODELS.items():
        put_sample(folder / "models", name, text)
    with Server(folder / "server", folder / "models") as one:
        yield one


@pytest.fixture
def client(server):
    with triton.InferenceServerClient(server.address) as one:
        yield one


@pytest.mark.parametrize("model", ["simple_repeat", "sequence_repeat", "fan_repeat", "bounded"])
@pytest.mark.parametrize("values", [[], [7], list(range(100, 300))])
def test_as_many_answers_as_the_step_gives(client, answers, model, values):
    client.async_stream_infer(model, repeat(values), request_id="r", enable_empty_final_response=True)
    for i, value in enumerate(values):
        result = answers.take()
        assert not isinstance(result, Exception), result
        assert result.as_numpy("OUT").tolist() == [value]
        assert result.as_numpy("IDX") is None if model == "fan_repeat" else result.as_numpy("IDX").tolist() == [i]
        assert result.get_response().id == "r" and result.get_response().model_name == model
        assert not is_final(result)
    assert is_final(answers.take())


@pytest.mark.parametrize("model", ["repeat_square", "nested_square"])
def test_answers_that_answer_any_number_of_times(client, answers, model):
    client.async_stream_infer(model, repeat([4, 2, 0, 1]), enable_empty_final_response=True)
    assert sorted(answers.value() for _ in range(7)) == [1, 2, 2, 4, 4, 4, 4]
    assert is_final(answers.take())


def test_joined_with_what_there_is_once(client, answers):
    client.async_stream_infer("once_and_often", repeat([5, 6, 7]), enable_empty_final_response=True)
    for value in (5, 6, 7):
        result = answers.take()
        assert result.as_numpy("OUT").tolist() == [value]
        assert result.as_numpy("ALL").tolist() == [5, 6, 7]
    assert is_final(answers.take())


def test_wanted_outputs(client, answers):
    client.async_stream_infer("sequence_repeat", repeat([7, 8]), outputs=[triton.InferRequestedOutput("IDX")])
    for i in range(2):
        result = answers.take()
        assert result.as_numpy("OUT") is None and result.as_numpy("IDX").tolist() == [i]


def test_several_requests_of_one_stream(client, answers):
    for name in ("a", "b", "c"):
        client.async_stream_infer("bounded", repeat(list(range(500))), request_id=name)
    seen = {"a": [], "b": [], "c": []}
    for _ in range(1500):
        result = answers.take()
        assert not isinstance(result, Exception), result
        seen[result.get_response().id].append(result.as_numpy("OUT").item())
    assert all(values == list(range(500)) for values in seen.values())


def test_an_error_behind_the_first_step(client, answers):
    client.async_stream_infer("spoiled", repeat([1, 2], [0, 0]))
    error = answers.take()
    assert isinstance(error, InferenceServerException)
    assert "in ensemble 'spoiled', expected IN and DELAY shape to match" in str(error)
    client.async_stream_infer("simple_repeat", repeat([3]))  # the stream goes on
    assert answers.value() == 3


def test_cancelled_while_the_step_answers(server):
    with triton.InferenceServerClient(server.address) as client:
        answers = Answers()
        client.start_stream(answers)
        client.async_stream_infer("sequence_repeat", repeat([1, 2], [0, HOURS]))
        assert answers.value() == 1
        client.stop_stream(cancel_requests=True)
        assert "CANCELLED" in str(answers.take())
        for _ in range(16):  # its step's instances are free again, or the last of these would wait for hours
            sink = Answers()
            client.start_stream(sink)
            client.async_stream_infer("sequence_repeat", repeat([1, 2], [0, HOURS]))
            assert sink.value() == 1
            client.stop_stream(cancel_requests=True)


def test_one_answer_is_not_what_these_give(server, client):
    with pytest.raises(InferenceServerException, match="doesn't support models with decoupled transaction policy"):
        client.infer("simple_repeat", repeat([1]))
    with tritonclient.http.InferenceServerClient(server.address) as http:
        given = []
        for name, kind, values in (("IN", "INT32", [1]), ("DELAY", "UINT32", [0]), ("WAIT", "UINT32", [0])):
            given.append(tritonclient.http.InferInput(name, [1], kind))
            given[-1].set_data_from_numpy(numpy.array(values, kind.lower()))
        with pytest.raises(InferenceServerException, match="doesn't support models with decoupled transaction policy"):
            http.infer("simple_repeat", given)


def test_statistics_of_the_ensemble_and_its_step(client, answers):
    def counts(model):
        rows = client.get_inference_statistics(model, as_json=True)["model_stats"][0]
        return {key: int(row["success"]["count"]) for key, row in rows.get("response_stats", {}).items()}

    before = counts("sequence_repeat"), counts("repeat_int32")
    client.async_stream_infer("sequence_repeat", repeat([5, 6, 7]), enable_empty_final_response=True)
    for _ in range(3):
        assert not is_final(answers.take())
    assert is_final(answers.take())
    after = counts("sequence_repeat")
    assert [after[key] - before[0].get(key, 0) for key in "012"] == [1, 1, 1]
    ensemble_row = client.get_inference_statistics("sequence_repeat", as_json=True)["model_stats"][0]
    assert int(ensemble_row["inference_stats"]["success"]["count"]) >= 1


@pytest.mark.parametrize("model, decoupled", [("sequence_repeat", True), ("nested_square", True), ("once", False)])
def test_the_configuration_says_so(server, client, model, decoupled):
    config = server.get(f"/v2/models/{model}/config").json()
    assert config.get("model_transaction_policy", {"decoupled": False}) == {"decoupled": decoupled}
    assert client.get_model_config(model).config.model_transaction_policy.decoupled == decoupled
