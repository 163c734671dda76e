#!/usr/bin/env python3
"""Models for the benches, that take no time or a known one. Needs onnx (PyPI)."""
from pathlib import Path

from onnx import TensorProto as T, helper as h

OUT = Path(__file__).parent / "models"


def save(name, nodes, inputs, outputs, constants=()):
    graph = h.make_graph(nodes, name, inputs, outputs, constants)
    model = h.make_model(graph, ir_version=8, opset_imports=[h.make_opsetid("", 17)])
    (OUT / f"{name}.onnx").write_bytes(model.SerializeToString(deterministic=True))


def number(name, kind, value):
    return h.make_tensor(name, kind, [], [value])


def weights(name, rows, columns):
    """A matrix that is computed when the model is loaded, so that the file stays small."""
    n = f"{name}_"
    return [
        h.make_node("Range", ["zero", f"{n}count", "one"], [f"{n}range"]),
        h.make_node("Sin", [f"{n}range"], [f"{n}sin"]),
        h.make_node("Mul", [f"{n}sin", f"{n}scale"], [f"{n}scaled"]),
        h.make_node("Reshape", [f"{n}scaled", f"{n}shape"], [name]),
    ], [
        number(f"{n}count", T.FLOAT, rows * columns),
        number(f"{n}scale", T.FLOAT, (2 / rows) ** 0.5),
        h.make_tensor(f"{n}shape", T.INT64, [2], [rows, columns]),
    ]


def mlp(name, sizes):
    """Layers between so many numbers: one row reads all weights, more rows read them once."""
    nodes, constants, last = [], [number("zero", T.FLOAT, 0), number("one", T.FLOAT, 1)], "x"
    for i, (rows, columns) in enumerate(zip(sizes, sizes[1:])):
        more, values = weights(f"w{i}", rows, columns)
        nodes += more
        constants += values
        final = i + 2 == len(sizes)
        nodes.append(h.make_node("MatMul", [last, f"w{i}"], ["y" if final else f"m{i}"]))
        if not final:
            nodes.append(h.make_node("Relu", [f"m{i}"], [f"r{i}"]))
        last = f"r{i}"
    save(name, nodes, [h.make_tensor_value_info("x", T.FLOAT, ["n", sizes[0]])],
         [h.make_tensor_value_info("y", T.FLOAT, ["n", sizes[-1]])], constants)


if __name__ == "__main__":
    OUT.mkdir(exist_ok=True)
    # Answers how many numbers came: looks at none of them.
    save("shape_of", [h.make_node("Shape", ["x"], ["shape"])],
         [h.make_tensor_value_info("x", T.FLOAT, ["n"])], [h.make_tensor_value_info("shape", T.INT64, [1])])
    mlp("mlp", [16, 3072, 3072, 8])
