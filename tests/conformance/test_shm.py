"""System and CUDA shared memory, and classification, as Triton's own clients use them."""

import os
import queue
import threading

import numpy
import pytest
import tritonclient.grpc
import tritonclient.http
import tritonclient.utils.shared_memory as shm
from tritonclient.utils import InferenceServerException, serialize_byte_tensor

from harness import DEADLINE, EXAMPLES, ONNX, Server, example, put_model, put_sample

KINDS = {"http": tritonclient.http, "grpc": tritonclient.grpc}


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """The example models and two that answer what they get, on a server that allows shared memory."""
    folder = tmp_path_factory.mktemp("shm")
    for name in ("identity_fp32", "identity_bytes", "identity_int64"):
        put_model(folder / "models", name, ONNX / f"{name}.onnx")
    put_sample(folder / "models", "repeat_int32")
    for path in (EXAMPLES / "models").iterdir():
        (folder / "models" / path.name).symlink_to(path)
    with Server(folder / "server", folder / "models", "--shm-enabled", "--shm-bytes-max", "64MiB") as one:
        yield one


@pytest.fixture(params=KINDS)
def triton(request, shared):
    """A client and its module; nothing is registered before or after."""
    module = KINDS[request.param]
    client = module.InferenceServerClient(shared.address)
    client.unregister_system_shared_memory()
    yield client, module
    client.unregister_system_shared_memory()
    client.close()


@pytest.fixture
def region():
    """Makes shared memory objects; `resize` is what no careful client does."""
    made = []

    def make(name, size):
        key = f"/tern_{os.getpid()}_{name}"
        handle = shm.create_shared_memory_region(name, key, size)
        made.append(handle)
        return handle, key

    yield make
    for handle in made:
        shm.destroy_shared_memory_region(handle)


def resize(key, size):
    os.truncate(f"/dev/shm{key}", size)


def rows(client):
    status = client.get_system_shared_memory_status()
    if isinstance(status, list):
        return {row["name"]: row for row in status}
    return {
        name: {"name": name, "key": row.key, "offset": row.offset, "byte_size": row.byte_size}
        for name, row in status.regions.items()
    }


def tensors(client, model):
    meta = client.get_model_metadata(model)
    if isinstance(meta, dict):
        return meta["inputs"][0]["name"], meta["outputs"][0]["name"]
    return meta.inputs[0].name, meta.outputs[0].name


def infer(triton, model, values, datatype, where_in=None, where_out=None):
    """(region, size, offset) each; None is in the message."""
    client, module = triton
    name_in, name_out = tensors(client, model)
    values = values.reshape(1, -1) if values.ndim == 1 else values
    given = module.InferInput(name_in, list(values.shape), datatype)
    if where_in is None:
        given.set_data_from_numpy(values)
    else:
        given.set_shared_memory(*where_in)
    wanted = module.InferRequestedOutput(name_out)
    if where_out is not None:
        wanted.set_shared_memory(*where_out)
    return client.infer(model, [given], outputs=[wanted]), name_out


def is_in_region(output):
    if isinstance(output, dict):
        return "parameters" not in output and "data" not in output
    return "shared_memory_region" in output.parameters


# ---- the regions themselves ----


def test_status_follows(triton, region):
    client, _ = triton
    assert rows(client) == {}
    handle, key = region("a", 4096)
    client.register_system_shared_memory("one", key, 4096)
    client.register_system_shared_memory("two", key, 64, offset=128)
    assert rows(client) == {
        "one": {"name": "one", "key": key, "offset": 0, "byte_size": 4096},
        "two": {"name": "two", "key": key, "offset": 128, "byte_size": 64},
    }
    with pytest.raises(InferenceServerException, match="shared memory region 'one' already in manager"):
        client.register_system_shared_memory("one", key, 4096)
    client.unregister_system_shared_memory("one")
    client.unregister_system_shared_memory("one")
    assert list(rows(client)) == ["two"]
    with pytest.raises(InferenceServerException, match="Unable to find system shared memory region: 'one'"):
        client.get_system_shared_memory_status("one")
    client.unregister_system_shared_memory()
    assert rows(client) == {}


def test_names_with_any_character(triton, region):
    client, _ = triton
    handle, key = region("names", 64)
    for name in ("a b", "über", "a%2Fb", 'q"uote', "{model}"):
        client.register_system_shared_memory(name, key, 64)
    assert set(rows(client)) == {"a b", "über", "a%2Fb", 'q"uote', "{model}"}


@pytest.mark.parametrize(
    "key, size, offset, text",
    [
        ("/tern_no_such", 64, 0, "Unable to open shared memory region: '/tern_no_such'"),
        ("/../../etc/passwd", 64, 0, "Unable to open shared memory region"),
        ("../etc/passwd", 64, 0, "Unable to open shared memory region"),
        ("", 64, 0, "cannot register shared memory region '.*' - invalid shm key ''"),
        ("x" * 300, 64, 0, "Unable to open shared memory region"),
        ("triton_python_backend_shm_region_1", 64, 0, "the reserved prefix 'triton_python_backend_shm_region_'"),
        (None, 4097, 0, "failed to register shared memory region 'r'.*invalid args"),
        (None, 64, 4096, "failed to register shared memory region 'r'.*invalid args"),
        (None, 0, 0, "failed to register shared memory region 'r'.*invalid args"),
        (None, 64, 2**64 - 1, "failed to register shared memory region 'r'.*invalid args"),
        (None, 2**64 - 1, 64, "exceeds the 67108864 bytes"),
    ],
)
def test_bad_registers(triton, region, key, size, offset, text):
    client, _ = triton
    handle, good = region("bad", 4096)
    with pytest.raises(InferenceServerException, match=text):
        client.register_system_shared_memory("r", good if key is None else key, size, offset=offset)
    assert rows(client) == {}


def test_cuda_is_honest(triton):
    client, _ = triton
    status = client.get_cuda_shared_memory_status()
    assert status == [] or len(status.regions) == 0
    with pytest.raises(InferenceServerException, match="failed to register shared memory region 'g'.*no CUDA device"):
        client.register_cuda_shared_memory("g", b"AAAA", 0, 64)
    client.unregister_cuda_shared_memory("g")
    client.unregister_cuda_shared_memory()


def test_disabled(server):
    client = tritonclient.http.InferenceServerClient(server.address)
    for call in (
        client.unregister_system_shared_memory,
        lambda: client.register_system_shared_memory("r", "/k", 64),
        lambda: client.register_cuda_shared_memory("r", b"AAAA", 0, 64),
        lambda: infer((client, tritonclient.http), "iris", numpy.zeros((1, 4), "float32"), "FP32", ("r", 16)),
    ):
        with pytest.raises(InferenceServerException, match="Client shared memory is disabled"):
            call()
    assert client.get_system_shared_memory_status() == [] == client.get_cuda_shared_memory_status()
    client.close()


# ---- tensors in them ----


def test_floats_both_ways(triton, region):
    client, _ = triton
    values = numpy.arange(1024, dtype="float32")
    handle, key = region("floats", 3 * values.nbytes)
    client.register_system_shared_memory("f", key, 3 * values.nbytes)
    shm.set_shared_memory_region(handle, [values])
    size = values.nbytes
    result, name = infer(triton, "identity_fp32", values, "FP32", ("f", size, 0), ("f", size, size))
    output = result.get_output(name)
    assert is_in_region(output)
    got = shm.get_contents_as_numpy(handle, numpy.float32, [1024], offset=size)
    assert got.tolist() == values.tolist()
    # From memory into the message, and from the message into memory.
    result, name = infer(triton, "identity_fp32", values, "FP32", ("f", size, 0))
    assert result.as_numpy(name).ravel().tolist() == values.tolist()
    infer(triton, "identity_fp32", values + 1, "FP32", None, ("f", size, 2 * size))
    got = shm.get_contents_as_numpy(handle, numpy.float32, [1024], offset=2 * size)
    assert got.tolist() == (values + 1).tolist()


def test_strings_and_integers(triton, region):
    client, _ = triton
    texts = numpy.array([b"one", b"", b"\xff\x00three"], object).reshape(3, 1)
    handle, key = region("texts", 4096)
    client.register_system_shared_memory("t", key, 4096)
    shm.set_shared_memory_region(handle, [serialize_byte_tensor(texts)])
    size = sum(4 + len(text[0]) for text in texts)
    infer(triton, "identity_bytes", texts, "BYTES", ("t", size), ("t", 1000, 1000))
    assert shm.get_contents_as_numpy(handle, numpy.bytes_, [3, 1], offset=1000).tolist() == texts.tolist()
    numbers = numpy.arange(-4, 4, dtype="int64")
    shm.set_shared_memory_region(handle, [numbers])
    infer(triton, "identity_int64", numbers, "INT64", ("t", 64), ("t", 64, 64))
    assert shm.get_contents_as_numpy(handle, numpy.int64, [8], offset=64).tolist() == numbers.tolist()


def test_strings_whose_lengths_lie(triton, region):
    client, _ = triton
    handle, key = region("lies", 64)
    client.register_system_shared_memory("l", key, 64)
    shm.set_shared_memory_region(handle, [numpy.full(64, 255, "uint8")])
    with pytest.raises(InferenceServerException):
        infer(triton, "identity_bytes", numpy.empty((1, 1), object), "BYTES", ("l", 16))


@pytest.mark.parametrize(
    "where_in, where_out, text",
    [
        (("nope", 16), None, "Unable to find shared memory region: 'nope'"),
        (("b", 16, 64), None, "Invalid offset for shared memory region"),
        (("b", 16, 2**40), None, "Invalid offset for shared memory region"),
        (("b", 16, 56), None, "Invalid offset \\+ byte size for shared memory region"),
        (("b", 16, 2**64 - 8), None, "Invalid offset for shared memory region"),
        (("b", 2**64 - 8, 32), None, "Integer overflow detected: byte_size "),
        (("b", 12), None, "input byte size mismatch"),
        (("b", 16), ("nope", 16), "Unable to find shared memory region: 'nope'"),
        (("b", 16), ("b", 16, 56), "Invalid offset \\+ byte size for shared memory region"),
        (
            ("b", 16),
            ("b", 15, 32),
            "shared memory size specified with the request for output '.*' \\(15 bytes\\) should be at "
            "least 16 bytes to hold the results",
        ),
    ],
)
def test_bad_places(triton, region, where_in, where_out, text):
    client, module = triton
    if module is tritonclient.grpc and max(where_in[1:]) >= 2**63:
        pytest.skip("a parameter of this client is an int64")
    handle, key = region("places", 64)
    client.register_system_shared_memory("b", key, 64)
    with pytest.raises(InferenceServerException, match=text):
        infer(triton, "identity_fp32", numpy.zeros(4, "float32"), "FP32", where_in, where_out)


def test_two_outputs_in_one_place(triton, region):
    client, module = triton
    data = example("digits_mlp")["inputs"][0]
    values = numpy.array(data["data"], "float32").reshape(data["shape"])[:1]
    handle, key = region("overlap", 4096)
    client.register_system_shared_memory("o", key, 4096)
    given = module.InferInput("features", list(values.shape), "FP32")
    given.set_data_from_numpy(values)
    wanted = [module.InferRequestedOutput(name) for name in ("label", "probabilities")]
    for output in wanted:
        output.set_shared_memory("o", 64)
    with pytest.raises(InferenceServerException, match="overlap in shared memory region 'o'"):
        client.infer("digits_mlp", [given], outputs=wanted)
    wanted[1].set_shared_memory("o", 64, 64)
    client.infer("digits_mlp", [given], outputs=wanted)
    label = shm.get_contents_as_numpy(handle, numpy.int64, [1])[0]
    probabilities = shm.get_contents_as_numpy(handle, numpy.float32, [10], offset=64)
    assert probabilities.argmax() == label


def stream(client, inputs, output, count):
    """The first answers of a decoupled model; errors too."""
    answers = queue.Queue()
    client.start_stream(lambda result, error: answers.put(result if error is None else error))
    client.async_stream_infer("repeat_int32", inputs, outputs=[output])
    got = [answers.get(timeout=DEADLINE) for _ in range(count)]
    client.stop_stream(cancel_requests=True)
    return got


def repeat_inputs(values):
    module = tritonclient.grpc
    inputs = []
    for name, kind, dtype, data in (
        ("IN", "INT32", "int32", values),
        ("DELAY", "UINT32", "uint32", [0] * len(values)),
        ("WAIT", "UINT32", "uint32", [0]),
    ):
        given = module.InferInput(name, [len(data)], kind)
        given.set_data_from_numpy(numpy.array(data, dtype))
        inputs.append(given)
    return inputs


def test_each_answer_of_a_decoupled_model(shared, region):
    """Values in memory and classes are made of every answer of a stream."""
    with tritonclient.grpc.InferenceServerClient(shared.address) as client:
        wanted = tritonclient.grpc.InferRequestedOutput("OUT", class_count=1)
        got = stream(client, repeat_inputs([7, 8, 9]), wanted, 3)
        assert [one.as_numpy("OUT").ravel().tolist() for one in got] == [[b"7:0"], [b"8:0"], [b"9:0"]]
        handle, key = region("stream", 64)
        client.register_system_shared_memory("stream", key, 64)
        wanted = tritonclient.grpc.InferRequestedOutput("OUT")
        wanted.set_shared_memory("stream", 4, offset=8)
        got = stream(client, repeat_inputs([5, 6]), wanted, 2)
        assert all(is_in_region(one.get_output("OUT")) for one in got)
        assert shm.get_contents_as_numpy(handle, numpy.int32, [1], offset=8).tolist() == [6]
        wanted.set_shared_memory("stream", 3, offset=8)
        got = stream(client, repeat_inputs([5, 6]), wanted, 2)
        assert all("should be at least 4 bytes to hold the results" in str(one) for one in got)
        client.unregister_system_shared_memory()


# ---- clients that misbehave ----


def test_a_region_without_a_name_keeps_working(triton):
    client, _ = triton
    key = f"/tern_{os.getpid()}_vanishes"
    handle = shm.create_shared_memory_region("v", key, 64)
    client.register_system_shared_memory("v", key, 64)
    os.unlink(f"/dev/shm{key}")
    shm.set_shared_memory_region(handle, [numpy.ones(4, "float32")])
    infer(triton, "identity_fp32", numpy.zeros(4, "float32"), "FP32", ("v", 16), ("v", 16, 16))
    assert shm.get_contents_as_numpy(handle, numpy.float32, [4], offset=16).tolist() == [1, 1, 1, 1]
    client.unregister_system_shared_memory("v")
    open(f"/dev/shm{key}", "wb").close()  # for the handle's own unlink
    shm.destroy_shared_memory_region(handle)


def test_a_region_that_shrinks(triton, region, shared):
    client, _ = triton
    size = 1 << 20
    handle, key = region("shrinks", size)
    good, good_key = region("stays", 64)
    client.register_system_shared_memory("s", key, size)
    client.register_system_shared_memory("g", good_key, 64)
    resize(key, 4096)
    values = numpy.zeros(size // 4, "float32")
    for where in ((("s", size), None), (None, ("s", size))):
        with pytest.raises(InferenceServerException, match="shared memory region 's' shrank"):
            infer(triton, "identity_fp32", values, "FP32", *where)
    infer(triton, "identity_fp32", values[:4], "FP32", ("g", 16), ("g", 16, 16))
    resize(key, size)
    infer(triton, "identity_fp32", values, "FP32", ("s", size))  # nobody had touched what was gone


def test_a_region_that_shrinks_and_grows_all_the_time(triton, region, shared):
    """Each answer is right or an error, and no other request hears of it."""
    client, module = triton
    size = 1 << 20
    handle, key = region("flaps", size)
    values = numpy.ones(size // 4, "float32")
    stop = threading.Event()

    def flap():
        while not stop.is_set():
            resize(key, 0)
            resize(key, size)

    thread = threading.Thread(target=flap)
    thread.start()
    other = module.InferenceServerClient(shared.address)
    failed = 0
    try:
        for _ in range(100):
            try:
                client.register_system_shared_memory("f", key, size)
                infer(triton, "identity_fp32", values, "FP32", ("f", size), ("f", size))
            except InferenceServerException as err:
                assert "shrank" in str(err) or "invalid args" in str(err) or "Unable to find" in str(err), err
                failed += 1
            client.unregister_system_shared_memory("f")
            result, name = infer((other, module), "identity_fp32", values[:4], "FP32")
            assert result.as_numpy(name).ravel().tolist() == [1, 1, 1, 1]
    finally:
        stop.set()
        thread.join()
        other.close()
    assert failed > 0 and not shared.events("server.crashed")


def test_unregistered_while_in_use(triton, region, shared):
    client, module = triton
    size = 1 << 18
    handle, key = region("busy", size)
    values = numpy.full(size // 4, 7, "float32")
    shm.set_shared_memory_region(handle, [values])
    stop = threading.Event()
    wrong = []

    def use(one):
        while not stop.is_set():
            try:
                result, name = infer((one, module), "identity_fp32", values, "FP32", ("b", size))
                if not (result.as_numpy(name) == 7).all():
                    wrong.append("values")
            except InferenceServerException as err:
                if "Unable to find shared memory region" not in str(err):
                    wrong.append(str(err))

    clients = [module.InferenceServerClient(shared.address) for _ in range(3)]
    threads = [threading.Thread(target=use, args=(one,)) for one in clients]
    for thread in threads:
        thread.start()
    for _ in range(100):
        client.register_system_shared_memory("b", key, size)
        client.unregister_system_shared_memory()
    stop.set()
    for thread in threads:
        thread.join()
    for one in clients:
        one.close()
    assert wrong == []


# ---- classification ----


def classes_of(values, count):
    order = sorted(range(len(values)), key=lambda i: (-values[i], i))[:count]
    return order


@pytest.mark.parametrize("count", [1, 3, 100])
def test_classes(triton, count):
    client, module = triton
    data = example("digits_cnn")["inputs"][0]
    values = numpy.array(data["data"], "float32").reshape(data["shape"])[:2]
    labels = (EXAMPLES / "models" / "digits_cnn" / "labels.txt").read_text().split()
    given = module.InferInput("image", list(values.shape), "FP32")
    given.set_data_from_numpy(values)
    plain = client.infer("digits_cnn", [given]).as_numpy("probabilities")
    wanted = module.InferRequestedOutput("probabilities", class_count=count)
    got = client.infer("digits_cnn", [given], outputs=[wanted]).as_numpy("probabilities")
    assert got.shape == (2, min(count, 10))
    for row, classes in zip(plain, got):
        best = classes_of([float(value) for value in row], count)
        assert [text.decode() for text in classes] == [f"{row[i]:.6f}:{i}:{labels[i]}" for i in best]


def test_classes_without_labels(triton):
    client, module = triton
    name_in, name_out = tensors(client, "identity_int64")
    values = numpy.array([[3, -1, 3, 9]], "int64")
    given = module.InferInput(name_in, [1, 4], "INT64")
    given.set_data_from_numpy(values)
    wanted = module.InferRequestedOutput(name_out, class_count=3)
    got = client.infer("identity_int64", [given], outputs=[wanted]).as_numpy(name_out)
    assert got.ravel().tolist() == [b"9:3", b"3:0", b"3:2"]


def test_strings_have_no_classes(triton):
    client, module = triton
    name_in, name_out = tensors(client, "identity_bytes")
    given = module.InferInput(name_in, [1, 1], "BYTES")
    given.set_data_from_numpy(numpy.array([[b"x"]], object))
    wanted = module.InferRequestedOutput(name_out, class_count=1)
    text = "class result not available for output due to unsupported type 'BYTES'"
    with pytest.raises(InferenceServerException, match=text):
        client.infer("identity_bytes", [given], outputs=[wanted])
