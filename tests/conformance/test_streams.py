"""ModelStreamInfer with Triton's own client and with stubs: order, decoupled models, the last answer,
errors inside the stream, cancellation, deadlines."""

import asyncio
import queue
import threading

import grpc
import numpy
import pytest
import tritonclient.grpc as triton
import tritonclient.grpc.aio as aio
from tritonclient.grpc import service_pb2, service_pb2_grpc
from tritonclient.utils import InferenceServerException

from harness import DEADLINE, Server, put_sample

HOURS = 10_000_000  # in milliseconds: who waits for it fails


class Answers:
    """What a stream's callback gets, in order."""

    def __init__(self):
        self.queue = queue.Queue()

    def __call__(self, result, error):
        self.queue.put(error if error is not None else result)

    def take(self):
        return self.queue.get(timeout=DEADLINE)

    def value(self, name="OUT"):
        result = self.take()
        assert not isinstance(result, Exception), result
        return result.as_numpy(name)[0].item()


@pytest.fixture
def client(samples):
    with triton.InferenceServerClient(samples.address) as one:
        yield one


@pytest.fixture
def answers(client):
    """Of a stream that the test may use, and that is ended after it."""
    sink = Answers()
    client.start_stream(sink)
    yield sink
    client.stop_stream(cancel_requests=True)


def tensor(name, kind, values):
    given = triton.InferInput(name, [len(values)], kind)
    dtype = {"INT32": "int32", "UINT32": "uint32", "FP32": "float32"}[kind]
    given.set_data_from_numpy(numpy.array(values, dtype))
    return given


def repeat(values, delays=None, wait=0):
    delays = [0] * len(values) if delays is None else delays
    return [tensor("IN", "INT32", values), tensor("DELAY", "UINT32", delays), tensor("WAIT", "UINT32", [wait])]


def echo(values):
    given = triton.InferInput("INPUT0", [1, len(values)], "FP32")
    given.set_data_from_numpy(numpy.array([values], "float32"))
    return [given]


def is_final(result):
    return result.get_response().parameters["triton_final_response"].bool_param


def test_one_answer_each_in_order(client, answers):
    for i in range(200):
        client.async_stream_infer("identity_fp32", echo([i]), request_id=str(i))
    for i in range(200):
        result = answers.take()
        assert (result.get_response().id, result.as_numpy("OUTPUT0")[0, 0]) == (str(i), i)


def test_large_tensors(client, answers):
    values = numpy.arange(1 << 18).tolist()  # 1 MiB, and 8 of them
    for _ in range(8):
        client.async_stream_infer("identity_fp32", echo(values))
    for _ in range(8):
        assert answers.take().as_numpy("OUTPUT0").tolist() == [values]


def test_repeat(client, answers):
    client.async_stream_infer("repeat_int32", repeat([4, 2, 0, 1], [0, 1, 0, 2], wait=1), request_id="r")
    got = [answers.take() for _ in range(4)]
    assert [one.as_numpy("OUT").tolist() for one in got] == [[4], [2], [0], [1]]
    assert [one.as_numpy("IDX").tolist() for one in got] == [[0], [1], [2], [3]]
    assert {one.get_response().id for one in got} == {"r"}


def test_square(client, answers):
    for n in (3, 0, 1, 2):
        client.async_stream_infer("square_int32", [tensor("IN", "INT32", [n])], request_id=str(n))
    got = sorted(answers.value() for _ in range(6))
    assert got == [1, 2, 2, 3, 3, 3]


def test_more_answers_than_there_is_room_for(client, answers):
    client.async_stream_infer("square_int32", [tensor("IN", "INT32", [5000])])
    assert {answers.value() for _ in range(5000)} == {5000}


def test_wanted_outputs(client, answers):
    client.async_stream_infer("repeat_int32", repeat([7, 8]), outputs=[triton.InferRequestedOutput("IDX")])
    for i in range(2):
        result = answers.take()
        assert result.as_numpy("OUT") is None and result.as_numpy("IDX").tolist() == [i]


@pytest.mark.parametrize("values", [[], [5], [5, 6, 7]])
def test_the_empty_final_answer(client, answers, values):
    client.async_stream_infer("repeat_int32", repeat(values), enable_empty_final_response=True)
    got = [answers.take() for _ in range(len(values) + 1)]
    assert [is_final(one) for one in got] == [False] * len(values) + [True]
    last = got[-1].get_response()
    assert last.model_name == "repeat_int32" and len(last.outputs) == 0


def test_the_final_answer_of_a_model_with_one(client, answers):
    client.async_stream_infer("identity_fp32", echo([1]), enable_empty_final_response=True)
    client.async_stream_infer("identity_fp32", echo([2]))
    assert is_final(answers.take())
    assert "triton_final_response" not in answers.take().get_response().parameters


def test_errors_do_not_end_the_stream(client, answers):
    client.async_stream_infer("nope", echo([1]))
    client.async_stream_infer("identity_fp32", [tensor("INPUT0", "INT32", [1])])
    client.async_stream_infer("repeat_int32", repeat([1, 2], [0]))
    client.async_stream_infer("identity_fp32", echo([2]))
    got = [answers.take() for _ in range(4)]
    texts = [str(one) for one in got if isinstance(one, InferenceServerException)]
    assert len(texts) == 3
    for wanted in ("unknown model: 'nope'", "data-type is 'INT32'", "expected IN and DELAY shape to match"):
        assert any(wanted in text for text in texts)
    assert [one.as_numpy("OUTPUT0")[0, 0] for one in got if not isinstance(one, Exception)] == [2]


def test_errors_as_a_status_for_who_asks(client):
    sink = Answers()
    client.start_stream(sink, headers={"triton_grpc_error": "true"})
    client.async_stream_infer("identity_fp32", echo([1]))
    assert sink.take().as_numpy("OUTPUT0")[0, 0] == 1
    client.async_stream_infer("nope", echo([1]))
    assert sink.take().status() == "StatusCode.NOT_FOUND"
    client.stop_stream()


def test_cancelled_while_it_waits(client):
    """More streams than there are threads to run them: each must let go of its own."""
    for _ in range(8):
        sink = Answers()
        client.start_stream(sink)
        client.async_stream_infer("repeat_int32", repeat([1, 2], [0, HOURS]))
        assert sink.value() == 1
        client.stop_stream(cancel_requests=True)
        assert "CANCELLED" in sink.take().status()
    sink = Answers()
    client.start_stream(sink)
    client.async_stream_infer("square_int32", [tensor("IN", "INT32", [1])])
    assert sink.value() == 1
    client.stop_stream()


def test_deadline_of_the_whole_stream(client):
    sink = Answers()
    client.start_stream(sink, stream_timeout=0.5)
    client.async_stream_infer("repeat_int32", repeat([1, 2], [0, HOURS]))
    assert sink.value() == 1
    assert "DEADLINE_EXCEEDED" in sink.take().status()
    client.stop_stream()


@pytest.mark.parametrize("model, inputs", [("square_int32", [tensor("IN", "INT32", [1])]), ("repeat_int32", repeat([1]))])
def test_one_answer_is_not_what_these_give(client, model, inputs):
    with pytest.raises(InferenceServerException) as caught:
        client.infer(model, inputs)
    assert caught.value.status() == "StatusCode.UNIMPLEMENTED"
    assert "ModelInfer RPC doesn't support models with decoupled transaction policy" in str(caught.value)


def test_streams_beside_each_other(samples):
    """Every client reads its own."""

    def run(n):
        sink = Answers()
        with triton.InferenceServerClient(samples.address) as one:
            one.start_stream(sink)
            for _ in range(20):
                one.async_stream_infer("square_int32", [tensor("IN", "INT32", [n])])
            got[n] = [sink.value() for _ in range(20 * n)]
            one.stop_stream()

    got = {}
    threads = [threading.Thread(target=run, args=(n,)) for n in range(1, 7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)
    assert got == {n: [n] * (20 * n) for n in range(1, 7)}


def test_asyncio(samples):
    async def run():
        async def requests():
            for n in (2, 1):
                yield {"model_name": "square_int32", "inputs": [tensor("IN", "INT32", [n])], "request_id": str(n)}

        async with aio.InferenceServerClient(samples.address) as one:
            got = [result.as_numpy("OUT")[0] async for result, error in one.stream_infer(requests()) if not error]
            waiting = one.stream_infer(forever())
            assert (await anext(waiting))[0].as_numpy("OUT")[0] == 1
            assert waiting.cancel()
        return got

    async def forever():
        yield {"model_name": "repeat_int32", "inputs": repeat([1, 2], [0, HOURS])}

    assert sorted(asyncio.run(run())) == [1, 2, 2]


def test_many_answers_of_several_requests(client, answers):
    """Those of each in order, whatever comes between."""
    for name in "abcd":
        client.async_stream_infer("repeat_int32", repeat(list(range(3000))), request_id=name)
    got = {name: [] for name in "abcd"}
    for _ in range(4 * 3000):
        result = answers.take()
        got[result.get_response().id].append(result.as_numpy("OUT")[0].item())
    assert got == {name: list(range(3000)) for name in "abcd"}


# ---- with stubs: what Triton's client hides ----


def message(model, n):
    request = service_pb2.ModelInferRequest(model_name=model)
    request.inputs.add(name="IN", datatype="INT32", shape=[1])
    request.raw_input_contents.append(numpy.int32(n).tobytes())
    return request


def test_half_close_ends_the_stream_when_all_is_answered(samples):
    with grpc.insecure_channel(samples.address) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        got = list(stub.ModelStreamInfer(iter([message("square_int32", 3), message("square_int32", 2)]), timeout=DEADLINE))
        assert len(got) == 5 and not any(one.error_message for one in got)
        call = stub.ModelStreamInfer(iter([]), timeout=DEADLINE)
        assert list(call) == [] and call.code() == grpc.StatusCode.OK


def test_mlservers_form(tmp_path, repository):
    put_sample(repository, "square_int32")
    with Server(tmp_path / "server", repository, listen=("127.0.0.1:0,grpc_form=mlserver",)) as server:
        with grpc.insecure_channel(server.address) as channel:
            call = channel.stream_stream(
                "/inference.GRPCInferenceService/ModelStreamInfer",
                service_pb2.ModelInferRequest.SerializeToString,
                service_pb2.ModelInferResponse.FromString,
            )
            got = list(call(iter([message("square_int32", 2)]), timeout=DEADLINE))
            assert [one.model_name for one in got] == ["square_int32"] * 2
            with pytest.raises(grpc.RpcError) as caught:
                list(call(iter([message("nope", 2)]), timeout=DEADLINE))
            assert caught.value.code() == grpc.StatusCode.NOT_FOUND


def test_a_drain_ends_streams_that_wait_for_their_client(tmp_path, repository):
    put_sample(repository, "square_int32")
    with Server(tmp_path / "server", repository) as server:
        with grpc.insecure_channel(server.address) as channel:
            stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
            requests = queue.Queue()
            requests.put(message("square_int32", 1))
            call = stub.ModelStreamInfer(iter(requests.get, None), timeout=DEADLINE)
            assert next(call).infer_response.model_name == "square_int32"
            server.process.terminate()
            with pytest.raises(grpc.RpcError) as caught:
                next(call)
            assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
            requests.put(None)
        assert server.process.wait(DEADLINE) == 0
