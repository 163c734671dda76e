# covers: engine/native/emit engine/native/emit_write engine/native/emit_header cli/edge_rows
# covers: cli/edge_check
"""`tern build-edge` of ONNX graphs: what it makes answers the rows of the training as `tern infer` does, to the
bit. (On arm64 too, but for exponentials, which are its own C library's.)"""

import csv
import ctypes
import io
import json
import os
import shutil
import subprocess

import numpy
import pytest
from harness import TERN
from onnx_models import exported_as, mixed

ARM64 = shutil.which("aarch64-linux-gnu-gcc") and shutil.which("qemu-aarch64")
KINDS = {"f": "FP32", "d": "FP64", "l": "INT64", "O": "BYTES"}


def cases():
    """The MLP, the pipeline, the forest with ZipMap and its labels as text, and columns of numbers and texts through
    OneHotEncoder or LabelEncoder."""
    yield "mlp", exported_as("mlp"), []
    yield "pipeline", exported_as("pipeline"), []
    yield "forest", exported_as("forest"), []
    yield "labels", exported_as("forest"), ["--answer", "output_label"]
    texts = {case.what.split(",")[0]: case for case in mixed()}
    if texts:
        yield "onehot", texts["one-hot"], []
        yield "ordinal", texts["ordinal"], ["--answer", "label"]


def infer(path, feeds, output):
    """In the arithmetic that both have: vector instructions round a product and its sum once."""
    inputs = [
        {"name": name, "shape": list(value.shape), "datatype": KINDS[value.dtype.char], "data": value.ravel().tolist()}
        for name, value in feeds.items()
    ]
    done = subprocess.run(
        [TERN, "infer", str(path), "-", "--output", "json"],
        input=json.dumps({"inputs": inputs}),
        capture_output=True,
        text=True,
        env={**os.environ, "TERN_SIMD": "portable"},
    )
    assert done.returncode == 0, done.stderr
    outputs = {found["name"]: found for found in json.loads(done.stdout)["outputs"]}
    return outputs[output] if output else outputs[list(outputs)[-1]]


def lines(feeds):
    text = io.StringIO()
    writer = csv.writer(text)
    for row in zip(*feeds.values()):
        writer.writerow([repr(v) if isinstance(v, float) else v for value in row for v in value.tolist()])
    return text.getvalue()


@pytest.mark.parametrize("target", ["here", "arm64"])
def test_graphs_answer_as_tern_infer_does(target, tmp_path):
    if target == "arm64" and not ARM64:
        pytest.skip("gcc-aarch64-linux-gnu and qemu-user are not there")
    for name, case, args in cases():
        if target == "arm64" and name != "ordinal":
            continue
        path = tmp_path / f"{name}.onnx"
        path.write_bytes(case.model.SerializeToString())
        command = [TERN, "build-edge", path, "--out", tmp_path, "--target", target, "--output", "json", *args]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, (name, done.stderr)
        assert json.loads(done.stdout)["run"]["equal"] == json.loads(done.stdout)["run"]["numbers"], name
        feeds = {key: value[:200] for key, value in case.feeds.items()}
        feeds = {key: numpy.nan_to_num(value) if value.dtype.kind == "f" else value for key, value in feeds.items()}
        expected = infer(path, feeds, args[-1] if args else None)
        program = [tmp_path / name] if target == "here" else ["qemu-aarch64", tmp_path / name]
        printed = subprocess.run(program, input=lines(feeds), capture_output=True, text=True, check=True).stdout
        got = [value for row in csv.reader(io.StringIO(printed)) for value in row]
        if expected["datatype"] == "BYTES":
            assert got == expected["data"], name
        else:
            assert (numpy.array(got, "f4") == numpy.array(expected["data"], "f4")).all(), name


def test_many_rows_of_several_inputs_in_one_call(tmp_path):
    """More than are run at once, with texts that nobody knows, and answers that are texts."""
    case = next((case for name, case, _ in cases() if name == "ordinal"), None)
    if case is None:
        pytest.skip("pandas is not there")
    path = tmp_path / "columns.onnx"
    path.write_bytes(case.model.SerializeToString())
    command = [TERN, "build-edge", path, "--out", tmp_path, "--kind", "shared", "--answer", "label"]
    subprocess.run(command, check=True, capture_output=True)
    header = (tmp_path / "columns.h").read_text()
    size = int(header.split("columns_TEXT")[1].split()[0])
    n = 150
    feeds = {key: numpy.nan_to_num(value[:n]) if value.dtype.kind == "f" else value[:n] for key, value in case.feeds.items()}
    arrays = [
        (ctypes.c_char_p * n)(*[text.encode() for text in value.ravel()])
        if value.dtype.kind == "O"
        else numpy.ascontiguousarray(value).ctypes.data_as(ctypes.c_void_p)
        for value in feeds.values()
    ]
    out = ctypes.create_string_buffer(n * size)
    library = ctypes.CDLL(str(tmp_path / "libcolumns.so"))
    assert library.columns_predict(*arrays, ctypes.c_size_t(n), out, None) == 0
    labels = [out.raw[i * size :].split(b"\0")[0].decode() for i in range(n)]
    assert labels == infer(path, feeds, "label")["data"]
    long = (ctypes.c_char_p * n)(*[b"x" * 100000] * n)
    arrays = [long if value.dtype.kind == "O" else array for array, value in zip(arrays, feeds.values())]
    assert library.columns_predict(*arrays, ctypes.c_size_t(n), out, None) == -1
