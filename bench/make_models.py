#!/usr/bin/env python3
"""Models that take time nowhere, so that what is measured is the server. Needs onnx (PyPI)."""
from pathlib import Path

from onnx import TensorProto as T, helper as h

OUT = Path(__file__).parent / "models"


def save(name, node, output):
    graph = h.make_graph([node], name, [h.make_tensor_value_info("x", T.FLOAT, ["n"])], [output])
    model = h.make_model(graph, ir_version=8, opset_imports=[h.make_opsetid("", 17)])
    (OUT / f"{name}.onnx").write_bytes(model.SerializeToString(deterministic=True))


if __name__ == "__main__":
    OUT.mkdir(exist_ok=True)
    # Answers how many numbers came: looks at none of them.
    save("shape_of", h.make_node("Shape", ["x"], ["shape"]),
         h.make_tensor_value_info("shape", T.INT64, [1]))
