#!/usr/bin/env python3
"""Train the example models and record what they answer.

Writes, beside this file:

    models/<model>/<version>/model.onnx    the models, in the layout that `tern serve` reads
    data/<model>.json                      held-out rows, their labels, each version's answers
    data/iris.csv, data/digits_cnn.npy     a few held-out rows, for `tern infer`

Every data set ships inside scikit-learn, so nothing is downloaded. The split is made before any
training: a row under data/ was never seen by a model. The answers are those of ONNX Runtime, not
of scikit-learn, because they are what a server that runs the same file has to reproduce.

    python3 -m venv .venv && .venv/bin/pip install -r examples/requirements.txt
    .venv/bin/python examples/train.py
"""

import csv
import json
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import skl2onnx
from onnx import TensorProto, helper, numpy_helper
from skl2onnx.common.data_types import FloatTensorType
from sklearn import datasets
from sklearn.ensemble import GradientBoostingClassifier, GradientBoostingRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import mean_absolute_error, r2_score
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

HERE = Path(__file__).resolve().parent
SEED = 21
RECORDED_ROWS = 100
SAMPLE_ROWS = 8

# |answer - recorded| <= TOLERANCE * max(1, |recorded|). Summing float32 in another order (another
# runtime version, other vector units) moves an answer by about 1e-6; a wrong one by far more.
TOLERANCE = 1e-4

# Old enough for ONNX Runtime 1.21, the oldest release that Tern is tested with.
OPSETS = {"": 17, "ai.onnx.ml": 3}
IR_VERSION = 8
MAX_MODEL_BYTES = 300 * 1024

DATATYPES = {"float32": "FP32", "int64": "INT64"}


@dataclass
class Split:
    """One data set, cut into rows to learn from and rows to hold out."""

    task: str  # "classification" or "regression"
    feature_names: list
    label_names: list
    train_rows: np.ndarray
    train_labels: np.ndarray
    test_rows: np.ndarray
    test_labels: np.ndarray


@dataclass
class Example:
    """One model: its data and its versions, oldest first, as ONNX."""

    name: str
    split: Split
    input_name: str
    input_shape: tuple  # of one row
    versions: list = field(default_factory=list)

    def test_input(self):
        return self.split.test_rows.reshape((-1, *self.input_shape))


def split(loaded, task, test_size):
    """The rows as float32, since that is what the models are sent: a tree that learned on float64
    could put a threshold between two values that are the same number in float32."""
    rows = loaded.data.astype(np.float32)
    labels = loaded.target
    parts = train_test_split(
        rows,
        labels,
        test_size=test_size,
        random_state=SEED,
        stratify=labels if task == "classification" else None,
    )
    return Split(
        task=task,
        feature_names=list(loaded.feature_names),
        label_names=[str(name) for name in getattr(loaded, "target_names", [])],
        train_rows=parts[0],
        test_rows=parts[1],
        train_labels=parts[2],
        test_labels=parts[3],
    )


# The convolutional net: written out in numpy, since a deep-learning framework is a gigabyte and
# this is 36,000 weights. Images are [n, channels, height, width].


def patches(images):
    """Every 3x3 neighbourhood as one row: [n * height * width, channels * 9]."""
    n, channels, height, width = images.shape
    padded = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
    return windows.transpose(0, 2, 3, 1, 4, 5).reshape(n * height * width, channels * 9)


def convolve(images, kernels):
    """A 3x3 convolution, same size out; also gives the patches, which the backward pass reuses."""
    n, _, height, width = images.shape
    columns = patches(images)
    out = columns @ kernels.reshape(len(kernels), -1).T
    return out.reshape(n, height, width, len(kernels)).transpose(0, 3, 1, 2), columns


def pool(images):
    """2x2 max pooling, and where each maximum stood."""
    n, channels, height, width = images.shape
    blocks = images.reshape(n, channels, height // 2, 2, width // 2, 2)
    top = blocks.max(axis=(3, 5), keepdims=True)
    return top.reshape(n, channels, height // 2, width // 2), blocks == top


def unpool(gradient, where):
    n, channels, height, _, width, _ = where.shape
    spread = gradient.reshape(n, channels, height, 1, width, 1) * where
    return spread.reshape(n, channels, height * 2, width * 2)


def softmax(scores):
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


class ConvNet:
    """conv 3x3x32, relu, pool; conv 3x3x64, relu, pool; dense to 10 classes."""

    def __init__(self, random):
        def initial(*shape):
            fan_in = np.prod(shape[1:])
            return (random.standard_normal(shape) * np.sqrt(2 / fan_in)).astype(np.float32)

        self.weights = {
            "conv1.weight": initial(32, 1, 3, 3),
            "conv1.bias": np.zeros(32, np.float32),
            "conv2.weight": initial(64, 32, 3, 3),
            "conv2.bias": np.zeros(64, np.float32),
            "dense.weight": initial(10, 64 * 2 * 2),
            "dense.bias": np.zeros(10, np.float32),
        }

    def gradients(self, images, labels):
        """The mean cross-entropy of one batch and its gradient for every weight."""
        w = self.weights
        conv1, columns1 = convolve(images, w["conv1.weight"])
        conv1 = np.maximum(conv1 + w["conv1.bias"][:, None, None], 0)
        pool1, where1 = pool(conv1)
        conv2, columns2 = convolve(pool1, w["conv2.weight"])
        conv2 = np.maximum(conv2 + w["conv2.bias"][:, None, None], 0)
        pool2, where2 = pool(conv2)
        flat = pool2.reshape(len(images), -1)
        probabilities = softmax(flat @ w["dense.weight"].T + w["dense.bias"])

        loss = -np.log(probabilities[np.arange(len(labels)), labels] + 1e-12).mean()
        d_scores = probabilities
        d_scores[np.arange(len(labels)), labels] -= 1
        d_scores /= len(labels)
        d_pool2 = (d_scores @ w["dense.weight"]).reshape(pool2.shape)
        d_conv2 = unpool(d_pool2, where2) * (conv2 > 0)
        # The gradient of a convolution is one with the kernels mirrored and the channels swapped.
        mirrored = w["conv2.weight"].transpose(1, 0, 2, 3)[:, :, ::-1, ::-1]
        d_pool1, _ = convolve(d_conv2, mirrored)
        d_conv1 = unpool(d_pool1, where1) * (conv1 > 0)

        def kernel_gradient(d_conv, columns, kernels):
            rows = d_conv.transpose(0, 2, 3, 1).reshape(-1, len(kernels))
            return (rows.T @ columns).reshape(kernels.shape)

        return loss, {
            "conv1.weight": kernel_gradient(d_conv1, columns1, w["conv1.weight"]),
            "conv1.bias": d_conv1.sum(axis=(0, 2, 3)),
            "conv2.weight": kernel_gradient(d_conv2, columns2, w["conv2.weight"]),
            "conv2.bias": d_conv2.sum(axis=(0, 2, 3)),
            "dense.weight": d_scores.T @ flat,
            "dense.bias": d_scores.sum(axis=0),
        }


def shift(images, down, right):
    """The images moved by -1, 0 or 1 pixel each way, with empty pixels where nothing was."""
    height, width = images.shape[2:]
    padded = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)))
    return padded[:, :, 1 - down : 1 - down + height, 1 - right : 1 - right + width]


def train_conv_net(images, labels, epochs=40, batch=64, peak_rate=2e-3):
    """Adam, with a learning rate that falls along a cosine, on images shifted by up to a pixel."""
    random = np.random.default_rng(SEED)
    net = ConvNet(random)
    mean = {name: np.zeros_like(value) for name, value in net.weights.items()}
    square = {name: np.zeros_like(value) for name, value in net.weights.items()}
    step = 0
    total = epochs * (len(images) // batch)
    for epoch in range(1, epochs + 1):
        losses = []
        order = random.permutation(len(images))
        for start in range(0, len(images) - batch + 1, batch):
            chosen = order[start : start + batch]
            shifted = shift(images[chosen], *random.integers(-1, 2, size=2))
            loss, gradients = net.gradients(shifted, labels[chosen])
            losses.append(loss)
            step += 1
            rate = peak_rate * 0.5 * (1 + np.cos(np.pi * step / total))
            for name, gradient in gradients.items():
                mean[name] += 0.1 * (gradient - mean[name])
                square[name] += 0.001 * (gradient**2 - square[name])
                unbiased = square[name] / (1 - 0.999**step)
                change = mean[name] / (1 - 0.9**step) / (np.sqrt(unbiased) + 1e-8)
                net.weights[name] -= np.float32(rate) * change.astype(np.float32)
        if epoch % 5 == 0:
            print(f"  epoch {epoch:2}/{epochs}  loss {np.mean(losses):.4f}", flush=True)
    return net.weights


def conv_net_to_onnx(weights):
    def conv(number, source):
        names = [source, f"conv{number}.weight", f"conv{number}.bias"]
        window = {"kernel_shape": [2, 2], "strides": [2, 2]}
        same_size = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
        return [
            helper.make_node("Conv", names, [f"conv{number}"], f"conv{number}", **same_size),
            helper.make_node("Relu", [f"conv{number}"], [f"relu{number}"], f"relu{number}"),
            helper.make_node(
                "MaxPool", [f"relu{number}"], [f"pool{number}"], f"pool{number}", **window
            ),
        ]

    dense = ["flat", "dense.weight", "dense.bias"]
    nodes = [
        *conv(1, "image"),
        *conv(2, "pool1"),
        helper.make_node("Flatten", ["pool2"], ["flat"], "flatten", axis=1),
        helper.make_node("Gemm", dense, ["scores"], "dense", transB=1),
        helper.make_node("Softmax", ["scores"], ["probabilities"], "softmax", axis=1),
    ]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "digits_cnn",
        [value("image", TensorProto.FLOAT, ["batch", 1, 8, 8])],
        [value("probabilities", TensorProto.FLOAT, ["batch", 10])],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    opset = helper.make_opsetid("", OPSETS[""])
    return helper.make_model(
        graph, producer_name="examples/train.py", opset_imports=[opset], ir_version=IR_VERSION
    )


# The scikit-learn models.


def rename(graph, old, new):
    """Give a tensor another name, without the Identity node that a converter would add for it."""
    for node in graph.node:
        for names in (node.input, node.output):
            for i, name in enumerate(names):
                if name == old:
                    names[i] = new
    for value in (*graph.input, *graph.output):
        if value.name == old:
            value.name = new


def sklearn_to_onnx(name, model, data):
    regression = data.task == "regression"
    options = None if regression else {id(model): {"zipmap": False}}
    converted = skl2onnx.convert_sklearn(
        model,
        name=name,
        initial_types=[("features", FloatTensorType([None, data.train_rows.shape[1]]))],
        target_opset=OPSETS,
        options=options,
    )
    converted.ir_version = IR_VERSION
    imports = {opset.domain: opset for opset in converted.opset_import}  # it may list one twice
    del converted.opset_import[:]
    converted.opset_import.extend(imports[domain] for domain in sorted(imports))
    if regression:
        rename(converted.graph, "variable", "prediction")
    return converted


def check_conversion(model, converted, data):
    """The converted model agrees with scikit-learn on the rows it learned from."""
    outputs = answer(converted.SerializeToString(), "features", data.train_rows)
    if data.task == "regression":
        pairs = [(outputs["prediction"][:, 0], model.predict(data.train_rows))]
    else:
        pairs = [
            (outputs["label"], model.predict(data.train_rows)),
            (outputs["probabilities"], model.predict_proba(data.train_rows)),
        ]
    for converted_answer, original in pairs:
        np.testing.assert_allclose(converted_answer, original, rtol=TOLERANCE, atol=TOLERANCE)


def fit(name, model, data):
    learner = model[-1] if isinstance(model, Pipeline) else model
    print(f"{name}: {type(learner).__name__} on {len(data.train_rows)} rows", flush=True)
    model.fit(data.train_rows, data.train_labels)
    converted = sklearn_to_onnx(name, model, data)
    check_conversion(model, converted, data)
    return converted


def make_digits_cnn(digits):
    example = Example("digits_cnn", digits, "image", (1, 8, 8))
    print(f"digits_cnn: convolutional net on {len(digits.train_rows)} images", flush=True)
    # Pixels are 0..16. The net learns on 0..1; a sixteenth in the first kernels (exact in binary)
    # lets the served model take the pixels as they are.
    images = digits.train_rows.reshape(-1, 1, 8, 8) / np.float32(16)
    weights = train_conv_net(images, digits.train_labels)
    weights["conv1.weight"] /= np.float32(16)
    example.versions.append(conv_net_to_onnx(weights))
    return example


def make_example(name, data, *models):
    example = Example(name, data, "features", data.train_rows.shape[1:])
    example.versions = [fit(name, model, data) for model in models]
    return example


def make_examples():
    digits = split(datasets.load_digits(), "classification", 450)
    iris = split(datasets.load_iris(), "classification", 50)
    cancer = split(datasets.load_breast_cancer(), "classification", 150)
    # scaled=False keeps the columns in their units (years, kg/m2, mm Hg).
    diabetes = split(datasets.load_diabetes(scaled=False), "regression", 110)

    perceptron = MLPClassifier((64, 64), max_iter=300, random_state=SEED)
    boosted = GradientBoostingClassifier(n_estimators=80, max_depth=3, random_state=SEED)
    regressor = GradientBoostingRegressor(
        n_estimators=120, max_depth=2, learning_rate=0.06, subsample=0.7, random_state=SEED
    )
    return [
        make_digits_cnn(digits),
        make_example("digits_mlp", digits, make_pipeline(StandardScaler(), perceptron)),
        make_example("breast_cancer", cancer, boosted),
        make_example("diabetes", diabetes, make_pipeline(StandardScaler(), Ridge()), regressor),
        make_example("iris", iris, LogisticRegression(max_iter=1000)),
    ]


# Recording.


def answer(model_bytes, input_name, rows):
    """What ONNX Runtime says for these rows, by output name, in the model's order."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model_bytes, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {input_name: rows}), strict=True))


def predicted_label(outputs):
    return outputs["label"] if "label" in outputs else outputs["probabilities"].argmax(axis=1)


def check_clear_cut(name, outputs):
    """A row whose two best classes are closer than the tolerance could change its label on another
    machine without anything being wrong: such a row may not be recorded."""
    best = np.sort(outputs["probabilities"], axis=1)
    if (best[:, -1] - best[:, -2] <= 10 * TOLERANCE).any():
        raise SystemExit(f"{name}: a recorded row is nearly a tie between two classes; change SEED")


def number(value):
    """The shortest text that reads back as the same float32 or integer."""
    return str(value).removesuffix(".0")


def tensor_text(name, array):
    """One tensor as JSON in the form of the Open Inference Protocol, one row a line."""
    head = {"name": name, "datatype": DATATYPES[str(array.dtype)], "shape": list(array.shape)}
    rows = array.reshape(len(array), -1)
    lines = (", ".join(number(value) for value in row) for row in rows)
    data = ",\n  ".join(lines)
    return json.dumps(head)[:-1] + f', "data": [\n  {data}]}}'


def write_recording(example, rows, answers):
    data = example.split
    labels = ", ".join(number(label) for label in data.test_labels[: len(rows)])
    versions = []
    for version, outputs in answers.items():
        tensors = ",\n ".join(tensor_text(name, array) for name, array in outputs.items())
        versions.append(f'"{version}": [\n {tensors}]')
    text = "\n".join(
        [
            "{",
            f'"model": "{example.name}",',
            f'"task": "{data.task}",',
            f'"rows": {len(rows)},',
            f'"tolerance": {TOLERANCE},',
            f'"label_names": {json.dumps(data.label_names)},',
            f'"labels": [{labels}],',
            f'"inputs": [\n {tensor_text(example.input_name, rows)}],',
            '"outputs": {' + ",\n".join(versions) + "}",
            "}\n",
        ]
    )
    path = HERE / "data" / f"{example.name}.json"
    path.write_text(text)
    check_recording(json.loads(text), rows, answers)
    return path


def check_recording(recording, rows, answers):
    """The file says the same numbers, to the last bit, as the arrays that it was made from."""
    pairs = [(recording["inputs"][0], rows)]
    for version, outputs in answers.items():
        pairs += zip(recording["outputs"][version], outputs.values(), strict=True)
    for tensor, array in pairs:
        read = np.array(tensor["data"], array.dtype).reshape(tensor["shape"])
        np.testing.assert_array_equal(read, array)


def write_samples(examples):
    """A CSV and an NPY file, as people have them at hand."""
    iris = examples["iris"]
    with open(HERE / "data" / "iris.csv", "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        names = [name.removesuffix(" (cm)").replace(" ", "_") for name in iris.split.feature_names]
        writer.writerow(names)
        writer.writerows(
            [number(value) for value in row] for row in iris.test_input()[:SAMPLE_ROWS]
        )
    np.save(HERE / "data" / "digits_cnn.npy", examples["digits_cnn"].test_input()[:SAMPLE_ROWS])


def score(data, outputs, rows):
    """A line for people: how good the answers to the first `rows` held-out rows are."""
    labels = data.test_labels[:rows]
    if data.task == "regression":
        values = outputs["prediction"][:rows, 0]
        error = mean_absolute_error(labels, values)
        return f"R2 {r2_score(labels, values):.3f}, mean error {error:.1f}"
    return f"accuracy {(predicted_label(outputs)[:rows] == labels).mean():.3f}"


def save(example):
    """Write every version of one model and its recording; give back the table's lines."""
    lines = []
    answers = {}
    rows = example.test_input()[:RECORDED_ROWS]
    for version, model in enumerate(example.versions, 1):
        onnx.checker.check_model(model, full_check=True)
        model_bytes = model.SerializeToString(deterministic=True)
        if len(model_bytes) > MAX_MODEL_BYTES:
            raise SystemExit(f"{example.name}/{version}: {len(model_bytes)} bytes is too large")
        path = HERE / "models" / example.name / str(version) / "model.onnx"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(model_bytes)

        outputs = answer(model_bytes, example.input_name, example.test_input())
        recorded = {name: array[: len(rows)] for name, array in outputs.items()}
        if example.split.task == "classification":
            check_clear_cut(example.name, recorded)
        answers[str(version)] = recorded
        total = len(example.split.test_labels)
        lines.append(
            f"{example.name + '/' + str(version):16} {len(model_bytes) / 1024:6.1f} KiB"
            f"   all {total:3} held out: {score(example.split, outputs, total)}"
            f"   the {len(rows):3} recorded: {score(example.split, outputs, len(rows))}"
        )
    write_recording(example, rows, answers)
    return lines


def main():
    started = time.monotonic()
    (HERE / "data").mkdir(exist_ok=True)
    with threadpool_limits(1):  # the sums of a matrix product in one order: the same files again
        examples = make_examples()
    table = [line for example in examples for line in save(example)]
    write_samples({example.name: example for example in examples})
    print("\n".join(["", *table, "", f"done in {time.monotonic() - started:.0f} s"]))


if __name__ == "__main__":
    main()
