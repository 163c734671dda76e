# covers: engine/native/onnx/onnx_trees_v5 engine/native/ops/op_batchnorm
# covers: engine/native/ops/op_cells
# covers: engine/native/ops/op_classes engine/native/ops/op_convert engine/native/ops/op_dense
# covers: engine/native/ops/op_form engine/native/ops/op_gather engine/native/ops/op_keys
# covers: engine/native/ops/op_label
# covers: engine/native/ops/op_lines engine/native/ops/op_map engine/native/ops/op_move
# covers: engine/native/ops/op_pair
# covers: engine/native/ops/op_reduce engine/native/ops/op_scale engine/native/ops/op_scores
# covers: engine/native/ops/op_shape engine/native/ops/op_softmax engine/native/ops/op_svm
# covers: engine/native/ops/op_votes engine/native/ops/op_where
"""ONNX graphs that run natively against ONNX Runtime: each operator on random tensors, random trees, and what
exporters make of scikit-learn's, XGBoost's and LightGBM's models. Labels, whole numbers, texts and the scores
of trees have to be equal to the bit; other numbers to RELATIVE of the largest of their tensor."""

import itertools

import numpy
import onnxruntime
import pytest
from onnx_models import boosters, doubles, exported, mixed
from onnx_operators import operators
from onnx_trees import ensembles
from oracle import SEED, Program, report

RELATIVE = 1e-6
# ONNX Runtime's Sigmoid and Tanh are off by more than ours, and cancellation makes it visible.
LOOSE = {"Sigmoid": 1e-5, "Tanh": 1e-5, "PROBIT": 1e-3, "Exp": 1e-5, "Pow": 1e-5, "Scaler": 1e-5, "LinearClassifier": 1e-5}
SWAYS = 8
NATIVE = 'backend: "tern"\n'


def session(model):
    """One thread: with several, sums of trees depend on their number."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(model.SerializeToString(), options)


def answers(runs, feeds):
    # ZipMap: a dictionary a row.
    return [numpy.array([list(row.values()) for row in output], "f4") if isinstance(output, list) else output for output in runs.run(None, feeds)]


def expected_of(case):
    if getattr(case, "expected", None) is not None:
        return case.expected
    return answers(session(case.model), case.feeds)


def tolerance(case):
    if getattr(case, "exact", False):
        return 0
    nodes = case.model.graph.node
    names = {node.op_type for node in nodes} | {a.s.decode() for node in nodes for a in node.attribute if a.name == "post_transform"}
    return max([RELATIVE] + [LOOSE[name] for name in names if name in LOOSE])


def nudged(value, random_):
    """Each float moved to one of its neighbours."""
    if numpy.asarray(value).dtype.kind != "f":
        return value
    return numpy.nextafter(value, numpy.where(random_.random(value.shape) < 0.5, -numpy.inf, numpy.inf).astype(value.dtype))


def sway(case, place):
    """How far ONNX Runtime's own answer moves, absolutely, when each number of a row moves by its last place: where
    sums cancel (a net over unscaled columns), two orders of summing differ by as much, and neither is wrong."""
    random_ = numpy.random.default_rng(7)
    runs = session(case.model)
    still = answers(runs, case.feeds)[place]
    if still.dtype.kind != "f" or getattr(case, "exact", False):
        return 0.0
    moved = [answers(runs, {name: nudged(value, random_) for name, value in case.feeds.items()})[place] for _ in range(SWAYS)]
    with numpy.errstate(all="ignore"):
        return max(float(numpy.nanmax(numpy.abs(each.astype("f8") - still), initial=0.0)) for each in moved)


def difference(got, expected, relative, absolute=0.0):
    expected = numpy.asarray(expected)
    if got.shape != expected.shape:
        return f"shape {got.shape}, expected {expected.shape}"
    if expected.dtype.kind != "f":
        return None if (got == expected).all() else f"got {got.ravel()[:6]}, expected {expected.ravel()[:6]}"
    with numpy.errstate(all="ignore"):
        same = (got == expected) | (numpy.isnan(got) & numpy.isnan(expected))
        finite = expected[numpy.isfinite(expected)]
        size = max(float(numpy.abs(finite).max()) if finite.size else 0.0, 1e-30)
        error = numpy.where(same, 0, numpy.maximum(numpy.abs(got.astype("f8") - expected) - absolute, 0) / size)
    worst = float(error.max()) if error.size else 0.0
    return None if worst <= relative else f"off by {worst:.3g}"


def compare(tmp_path, cases, config=NATIVE):
    """All cases as models of one program. Answers how many were compared."""
    repository = tmp_path / "models"
    cases = list(cases)
    for i, case in enumerate(cases):
        folder = repository / f"m{i:04}" / "1"
        folder.mkdir(parents=True)
        (folder / "model.onnx").write_bytes(case.model.SerializeToString())
        (folder.parent / "config.pbtxt").write_text(config)
    bad = []
    with Program(tmp_path / "server", repository) as program:
        for i, case in enumerate(cases):
            name = f"m{i:04}"
            failure = program.failure(name)
            if failure:
                bad.append(f"{name} ({case.what}): {failure}")
                continue
            inputs = program.call("GET", f"/v2/models/{name}").json()["inputs"]
            got = program.ask(name, inputs, case.feeds, None, None)
            for place, (output, value) in enumerate(zip(case.model.graph.output, expected_of(case))):
                wrong = difference(got[output.name], value, tolerance(case))
                if wrong and difference(got[output.name], value, tolerance(case), sway(case, place)):
                    bad.append(f"{name} ({case.what}), {output.name}: {wrong}")
    print(f"{len(cases)} graphs: {len(bad)} differ")
    report(f"{len(cases)} graphs beside ONNX Runtime: {len(bad)} differ by more than their tolerance")
    assert not bad, "\n".join([f"{len(bad)} of {len(cases)} differ:"] + bad[:10])
    return len(cases)


def batched(case):
    """What a server takes by rows: the tensors that have a first dimension, which is the same."""
    return all(numpy.ndim(value) > 0 for value in case.feeds.values())


def test_operators(tmp_path):
    assert compare(tmp_path, (case for case in operators(SEED) if batched(case))) > 1000


def test_trees(tmp_path):
    assert compare(tmp_path, ensembles(SEED)) > 100


def test_scikit_learn(tmp_path):
    assert compare(tmp_path, exported()) > 60


def test_columns_and_doubles(tmp_path):
    assert compare(tmp_path, itertools.chain(mixed(), doubles())) > 3


def test_boosters(tmp_path):
    assert compare(tmp_path, boosters()) > 4


@pytest.mark.parametrize("level", ["portable", "avx2"])
def test_levels(tmp_path, monkeypatch, level):
    """The same graphs without the widest vectors."""
    monkeypatch.setenv("TERN_SIMD", level)
    compare(tmp_path, (case for case in operators(SEED + 1) if case.what.startswith(("MatMul", "Gemm", "layer", "Linear", "SVM")) and batched(case)))
