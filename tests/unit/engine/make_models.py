#!/usr/bin/env python3
"""Writes the small ONNX models of tests/data/onnx, each for one behaviour of the engine.

Needs the package onnx (1.23). Run from the top of the repository; the same bytes come out each time:

    .venv/bin/python tests/unit/engine/make_models.py
"""
import pathlib

import numpy as np
from onnx import TensorProto as T
from onnx import helper as h
from onnx import numpy_helper as nh

OUT = pathlib.Path("tests/data/onnx")

DTYPES = {
    "bool": T.BOOL, "uint8": T.UINT8, "uint16": T.UINT16, "uint32": T.UINT32, "uint64": T.UINT64,
    "int8": T.INT8, "int16": T.INT16, "int32": T.INT32, "int64": T.INT64, "fp16": T.FLOAT16,
    "bf16": T.BFLOAT16, "fp32": T.FLOAT, "fp64": T.DOUBLE, "bytes": T.STRING,
}


def value(name, dtype, shape):
    return h.make_tensor_value_info(name, dtype, shape)


def save(name, nodes, inputs, outputs, initializers=(), opsets=(("", 17),), infos=()):
    graph = h.make_graph(nodes, name, inputs, outputs, list(initializers), value_info=list(infos))
    model = h.make_model(graph, ir_version=8, producer_name="tern tests",
                         opset_imports=[h.make_opsetid(d, v) for d, v in opsets])
    (OUT / f"{name}.onnx").write_bytes(model.SerializeToString(deterministic=True))


def floats(name, array):
    return nh.from_array(np.asarray(array, np.float32), name)


def ints(name, array):
    return nh.from_array(np.asarray(array, np.int64), name)


def identities():
    for name, dtype in DTYPES.items():
        save(f"identity_{name}", [h.make_node("Identity", ["x"], ["y"])],
             [value("x", dtype, ["n", "m"])], [value("y", dtype, ["n", "m"])])


def arithmetic():
    save("add_sub",
         [h.make_node("Add", ["INPUT0", "INPUT1"], ["OUTPUT0"]),
          h.make_node("Sub", ["INPUT0", "INPUT1"], ["OUTPUT1"])],
         [value("INPUT0", T.INT32, ["batch", 16]), value("INPUT1", T.INT32, ["batch", 16])],
         [value("OUTPUT0", T.INT32, ["batch", 16]), value("OUTPUT1", T.INT32, ["batch", 16])])
    save("static", [h.make_node("Neg", ["x"], ["y"])],
         [value("x", T.FLOAT, [2, 3])], [value("y", T.FLOAT, [2, 3])])
    save("scalar", [h.make_node("Neg", ["x"], ["y"])],
         [value("x", T.FLOAT, [])], [value("y", T.FLOAT, [])])
    # bias may be given, and has a value when it is not: IR version 4's overridable initializer.
    save("optional", [h.make_node("Add", ["x", "bias"], ["y"])],
         [value("x", T.FLOAT, ["n", 2]), value("bias", T.FLOAT, [2])],
         [value("y", T.FLOAT, ["n", 2])], [floats("bias", [10, 20])])


def shapes():
    # No dimension has a name: the engine guesses that the first is the batch.
    save("unnamed", [h.make_node("Neg", ["x"], ["y"])],
         [value("x", T.FLOAT, [None, 3])], [value("y", T.FLOAT, [None, 3])])
    # ... and here it is wrong, as it is when a model's declaration lies.
    save("doubled_unnamed", [h.make_node("Concat", ["x", "x"], ["y"], axis=0)],
         [value("x", T.FLOAT, [None, 3])], [value("y", T.FLOAT, [None, 3])])
    save("doubled_named", [h.make_node("Concat", ["x", "x"], ["y"], axis=0)],
         [value("x", T.FLOAT, ["n", 3])], [value("y", T.FLOAT, ["n", 3])])
    save("nonzero", [h.make_node("NonZero", ["x"], ["y"])],
         [value("x", T.FLOAT, ["n"])], [value("y", T.INT64, [1, "found"])])
    save("transpose", [h.make_node("Transpose", ["x"], ["y"], perm=[1, 0])],
         [value("x", T.FLOAT, ["n", "m"])], [value("y", T.FLOAT, ["m", "n"])])
    # Fails at run time when an index is out of range.
    save("gather", [h.make_node("Gather", ["table", "i"], ["y"])],
         [value("i", T.INT64, ["n"])], [value("y", T.FLOAT, ["n"])],
         [floats("table", [1, 2, 3, 4])])


def refused():
    save("sequence", [h.make_node("SplitToSequence", ["x"], ["y"], axis=0)],
         [value("x", T.FLOAT, ["n", 3])],
         [h.make_tensor_sequence_value_info("y", T.FLOAT, None)])
    sequence_of_maps = h.make_sequence_type_proto(
        h.make_map_type_proto(T.INT64, h.make_tensor_type_proto(T.FLOAT, [])))
    save("zipmap",
         [h.make_node("ZipMap", ["x"], ["probabilities"], domain="ai.onnx.ml",
                      classlabels_int64s=[0, 1, 2])],
         [value("x", T.FLOAT, ["n", 3])],
         [h.make_value_info("probabilities", sequence_of_maps)],
         opsets=(("", 17), ("ai.onnx.ml", 1)))
    save("float8", [h.make_node("Cast", ["x"], ["y"], to=T.FLOAT8E4M3FN)],
         [value("x", T.FLOAT, ["n"])], [value("y", T.FLOAT8E4M3FN, ["n"])], opsets=(("", 19),))
    save("unknown_op", [h.make_node("Teleport", ["x"], ["y"], domain="example.custom")],
         [value("x", T.FLOAT, ["n"])], [value("y", T.FLOAT, ["n"])],
         opsets=(("", 17), ("example.custom", 1)))


def slow_loop():
    """y = x after `count` rounds of a product: as long as the test wants, until it is cancelled."""
    body = h.make_graph(
        [h.make_node("MatMul", ["state", "unit"], ["next"]),
         h.make_node("Identity", ["go"], ["go_on"])],
        "body",
        [value("round", T.INT64, []), value("go", T.BOOL, []), value("state", T.FLOAT, [16, 16])],
        [value("go_on", T.BOOL, []), value("next", T.FLOAT, [16, 16])])
    save("slow_loop", [h.make_node("Loop", ["count", "", "x"], ["y"], body=body)],
         [value("count", T.INT64, []), value("x", T.FLOAT, [16, 16])],
         [value("y", T.FLOAT, [16, 16])], [floats("unit", np.eye(16))])


def external():
    """The weights of x + w lie in external/weights.bin, where other locations are patched in."""
    folder = OUT / "external"
    folder.mkdir(exist_ok=True)
    (folder / "weights.bin").write_bytes(np.arange(1, 5, dtype=np.float32).tobytes())
    weights = T(name="w", data_type=T.FLOAT, dims=[4], data_location=T.EXTERNAL)
    for key, text in (("location", "weights.bin"), ("offset", "0"), ("length", "16")):
        entry = weights.external_data.add()
        entry.key, entry.value = key, text
    graph = h.make_graph([h.make_node("Add", ["x", "w"], ["y"])], "external",
                         [value("x", T.FLOAT, ["n", 4])], [value("y", T.FLOAT, ["n", 4])],
                         [weights])
    model = h.make_model(graph, ir_version=8, opset_imports=[h.make_opsetid("", 17)])
    (folder / "model.onnx").write_bytes(model.SerializeToString(deterministic=True))


def sequences():
    """OUTPUT tells all that the controls say; ID is the sequence's own. sequenced_state adds up INPUT."""
    flags = ["START", "READY", "END"]
    for name, dtype in (("sequenced", T.UINT64), ("sequenced_text", T.STRING)):
        weights = [nh.from_array(np.array(v, np.int32), f"w{v}") for v in (1, 10, 100)]
        nodes = [h.make_node("Mul", [flag, f"w{v}"], [f"m{v}"]) for flag, v in zip(flags, (1, 10, 100))]
        save(name,
             nodes + [h.make_node("Add", ["m1", "m10"], ["a"]), h.make_node("Add", ["a", "m100"], ["b"]),
                      h.make_node("Add", ["INPUT", "b"], ["OUTPUT"]), h.make_node("Identity", ["CORRID"], ["ID"])],
             [value("START", T.INT32, ["batch", 1]), value("INPUT", T.INT32, ["batch", 1]),
              value("READY", T.INT32, ["batch", 1]), value("END", T.INT32, ["batch", 1]),
              value("CORRID", dtype, ["batch", 1])],
             [value("OUTPUT", T.INT32, ["batch", 1]), value("ID", dtype, ["batch", 1])], weights)
    one = nh.from_array(np.array(1, np.float32), "one")
    save("sequenced_state",
         [h.make_node("Sub", ["one", "START"], ["goes_on"]), h.make_node("Mul", ["STATE", "goes_on"], ["old"]),
          h.make_node("Add", ["INPUT", "old"], ["NEW_STATE"]), h.make_node("Identity", ["NEW_STATE"], ["OUTPUT"])],
         [value("INPUT", T.FLOAT, ["batch", 1]), value("START", T.FLOAT, ["batch", 1]),
          value("STATE", T.FLOAT, ["batch", 1])],
         [value("NEW_STATE", T.FLOAT, ["batch", 1]), value("OUTPUT", T.FLOAT, ["batch", 1])], [one])


def ragged():
    """All elements of INPUT come as one dimension, and INDEX says where each request's end. OUTPUT is INPUT;
    each of ROWS (one column) sees the whole of INDEX in SEEN."""
    nodes = [h.make_node("Identity", ["INPUT"], ["OUTPUT"]),
             h.make_node("Cast", ["INDEX"], ["real"], to=T.FLOAT),
             h.make_node("Mul", ["ROWS", "zero"], ["none"]), h.make_node("Add", ["none", "real"], ["SEEN"])]
    save("ragged", nodes,
         [value("INPUT", T.FLOAT, ["n"]), value("INDEX", T.INT32, ["k"]), value("ROWS", T.FLOAT, ["batch", 1])],
         [value("OUTPUT", T.FLOAT, ["n"]), value("SEEN", T.FLOAT, ["batch", "k"])], [floats("zero", 0)])


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    identities()
    arithmetic()
    shapes()
    refused()
    slow_loop()
    external()
    sequences()
    ragged()


if __name__ == "__main__":
    main()
