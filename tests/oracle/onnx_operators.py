"""Small ONNX graphs, one operator each, with random tensors: what test_onnx.py runs both in ONNX Runtime
and natively."""

import numpy
from onnx import TensorProto, helper, numpy_helper

F4, F8, I4, I8, B1, TEXT = numpy.float32, numpy.float64, numpy.int32, numpy.int64, numpy.bool_, object
DTYPES = {
    numpy.dtype("f4"): TensorProto.FLOAT,
    numpy.dtype("f8"): TensorProto.DOUBLE,
    numpy.dtype("i4"): TensorProto.INT32,
    numpy.dtype("i8"): TensorProto.INT64,
    numpy.dtype("u1"): TensorProto.UINT8,
    numpy.dtype("?"): TensorProto.BOOL,
    numpy.dtype("O"): TensorProto.STRING,
}


class Case:
    """expected: what numpy makes of it, where ONNX Runtime is wrong."""

    def __init__(self, what, model, feeds, exact=False, expected=None):
        self.what, self.model, self.feeds, self.exact, self.expected = what, model, feeds, exact, expected


def info(name, array, rank_only=True):
    """A graph's input: every dimension is any."""
    return helper.make_tensor_value_info(name, DTYPES[array.dtype], [None] * array.ndim if rank_only else array.shape)


def constant(name, array):
    if array.dtype == object:
        return helper.make_tensor(name, TensorProto.STRING, array.shape, [str(text).encode() for text in array.ravel()])
    return numpy_helper.from_array(array, name)


def graph(nodes, inputs, outputs, constants=(), opset=17, ml=3, ir_version=8):
    return helper.make_model(
        helper.make_graph(nodes, "g", inputs, outputs, [constant(name, array) for name, array in constants]),
        opset_imports=[helper.make_opsetid("", opset), helper.make_opsetid("ai.onnx.ml", ml)],
        ir_version=ir_version,
    )


def case(op, inputs, attrs=None, outputs=((F4, 2),), constants=(), opset=17, ml=3, domain="", exact=False):
    """inputs: arrays, None for one that is left out. constants: which of them are initializers. outputs:
    dtype and rank of each."""
    inputs = [None if array is None else numpy.asarray(array) for array in inputs]
    names = [f"x{i}" if array is not None else "" for i, array in enumerate(inputs)]
    made = [f"y{i}" for i in range(len(outputs))]
    node = helper.make_node(op, names, made, domain=domain, **(attrs or {}))
    feeds = {name: array for i, (name, array) in enumerate(zip(names, inputs)) if array is not None and i not in constants}
    model = graph(
        [node],
        [info(name, array) for name, array in feeds.items()],
        [helper.make_tensor_value_info(name, DTYPES[numpy.dtype(dtype)], [None] * rank) for name, (dtype, rank) in zip(made, outputs)],
        [(names[i], inputs[i]) for i in constants],
        opset,
        ml,
    )
    shapes = [None if array is None else (array.dtype.str, array.shape) for array in inputs]
    return Case(f"{op} {shapes} {attrs or ''} opset {opset}/{ml}", model, feeds, exact)


def ints(*values):
    return numpy.array(values, I8)


class Random:
    def __init__(self, seed):
        self.random = numpy.random.default_rng(seed)

    def __call__(self, *shape, dtype=F4, low=None):
        if dtype == TEXT:
            return self.random.choice(numpy.array(["a", "b", "", "longer text", "é"], object), shape)
        if dtype == B1:
            return self.random.random(shape) < 0.5
        if dtype in (I4, I8):
            return self.random.integers(-9 if low is None else low, 10, shape).astype(dtype)
        values = self.random.normal(size=shape) * 3
        return (numpy.abs(values) + low if low is not None else values).astype(dtype)


def unary(r):
    for dtype in (F4, F8):
        x = r(3, 17, dtype=dtype)
        positive = r(3, 17, dtype=dtype, low=0.01)
        for op in ["Neg", "Abs", "Exp", "Floor", "Ceil", "Relu", "Sigmoid", "Tanh", "Sign", "Reciprocal", "Round"]:
            yield case(op, [x], outputs=[(dtype, 2)])
        for op in ["Sqrt", "Log"]:
            yield case(op, [positive], outputs=[(dtype, 2)])
        yield case("Clip", [x, dtype(-1), dtype(2)], outputs=[(dtype, 2)], constants=[1, 2])
        yield case("Clip", [x, None, dtype(2)], outputs=[(dtype, 2)], constants=[2])
    x = r(4, 5)
    for op in ["Erf", "Softplus", "Softsign", "Selu", "HardSigmoid"]:
        yield case(op, [x])
    yield case("LeakyRelu", [x])
    yield case("LeakyRelu", [x], {"alpha": 0.3})
    yield case("Elu", [x], {"alpha": 1.5})
    yield case("Elu", [x])
    yield case("HardSigmoid", [x], {"alpha": 0.1, "beta": 0.6})
    yield case("Clip", [x], {"min": -0.5, "max": 0.5}, opset=6)
    yield case("Clip", [r(3, dtype=I8), I8(-2), I8(3)], outputs=[(I8, 1)], constants=[1, 2])
    odd = numpy.array([numpy.nan, numpy.inf, -numpy.inf, 0.0, -0.0, 1e-40, 3e38, -90, 90, 100], F4)
    for op in ["Relu", "Sigmoid", "Tanh", "Exp", "Abs", "Neg"]:
        yield case(op, [odd], outputs=[(F4, 1)])
    for dtype in (I4, I8):
        for op in ["Neg", "Abs"]:
            yield case(op, [r(7, dtype=dtype)], outputs=[(dtype, 1)], exact=True)
    yield case("Not", [r(3, 4, dtype=B1)], outputs=[(B1, 2)], exact=True)


SHAPES = [((3, 4), (3, 4)), ((3, 4), (4,)), ((3, 4), (1,)), ((3, 4), ()), ((1, 4), (3, 1)), ((4,), (2, 3, 4)), ((2, 1, 4), (3, 1)), ((5, 1), (5, 6))]


def binary(r):
    for a, b in SHAPES:
        rank = max(len(a), len(b))
        for dtype in (F4, F8, I4, I8):
            for op in ["Add", "Sub", "Mul", "Max", "Min"]:
                yield case(op, [r(*a, dtype=dtype), r(*b, dtype=dtype)], outputs=[(dtype, rank)], exact=True)
            divisor = r(*b, dtype=dtype, low=1)
            yield case("Div", [r(*a, dtype=dtype), divisor], outputs=[(dtype, rank)], exact=True)
            for op in ["Less", "Greater", "LessOrEqual", "GreaterOrEqual", "Equal"]:
                yield case(op, [r(*a, dtype=dtype), r(*b, dtype=dtype)], outputs=[(B1, rank)], exact=True)
        for op in ["And", "Or", "Xor", "Equal"]:
            yield case(op, [r(*a, dtype=B1), r(*b, dtype=B1)], outputs=[(B1, rank)], exact=True)
        for dtype in (F4, F8):
            power = r(*b, dtype=dtype)
            yield case("Pow", [r(*a, dtype=dtype, low=0.1), power], outputs=[(dtype, rank)])
    yield case("Pow", [r(3, 4), F4(2)], constants=[1])
    yield case("PRelu", [r(3, 4), r(4)])
    yield case("Equal", [r(3, 4, dtype=TEXT), r(4, dtype=TEXT)], outputs=[(B1, 2)], opset=19, exact=True)
    yield case("Sum", [r(3, 4), r(4), r(3, 1)])
    yield case("Max", [r(3, 4), r(4), r(3, 1)], exact=True)
    yield case("Min", [r(3, 4)], exact=True)
    odd = numpy.array([numpy.nan, 1, numpy.inf, -numpy.inf], F4)
    for op in ["Add", "Max", "Min", "Mul"]:
        yield case(op, [odd, odd[::-1].copy()], outputs=[(F4, 1)])
    for dtype in (F4, TEXT, I8):
        yield case("Where", [r(3, 1, dtype=B1), r(3, 4, dtype=dtype), r(4, dtype=dtype)], outputs=[(dtype, 2)], exact=True)


def matrices(r):
    for dtype in (F4, F8):
        for constants in ([], [1]):
            for a, b, rank in [((3, 5), (5, 7), 2), ((1, 30), (30, 64), 2), ((7, 64), (64, 33), 2), ((13, 20), (20, 1), 2), ((2, 3, 5), (5, 4), 3), ((2, 3, 5), (2, 5, 4), 3), ((2, 1, 3, 5), (4, 5, 2), 4), ((5,), (5, 3), 1), ((3, 5), (5,), 1), ((5,), (5,), 0)]:
                yield case("MatMul", [r(*a, dtype=dtype), r(*b, dtype=dtype)], outputs=[(dtype, rank)], constants=constants)
        for turn_a in (0, 1):
            for turn_b in (0, 1):
                for alpha, beta in [(1.0, 1.0), (0.5, 2.0)]:
                    a = r(*((6, 3) if turn_a else (3, 6)), dtype=dtype)
                    b = r(*((9, 6) if turn_b else (6, 9)), dtype=dtype)
                    attrs = {"transA": turn_a, "transB": turn_b, "alpha": alpha, "beta": beta}
                    for c in [r(9, dtype=dtype), r(1, 9, dtype=dtype), r(3, 9, dtype=dtype), r(3, 1, dtype=dtype), r(dtype=dtype), None]:
                        yield case("Gemm", [a, b, c][: 2 + (c is not None)], attrs, outputs=[(dtype, 2)], constants=[1] + [2] * (c is not None))
                        yield case("Gemm", [a, b, c][: 2 + (c is not None)], attrs, outputs=[(dtype, 2)])


def layers(r):
    """MatMul, Add and Relu that become one step, and those that may not."""
    x = r(5, 8)
    wanted = [("none", []), ("product", ["p"]), ("sum", ["s"])]
    for what, also in wanted:
        for bias in [r(12), r(1, 12), r(5, 12), r(1)]:
            nodes = [
                helper.make_node("MatMul", ["x", "w"], ["p"]),
                helper.make_node("Add", ["b", "p"] if len(also) else ["p", "b"], ["s"]),
                helper.make_node("Relu", ["s"], ["y"]),
            ]
            outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, None]) for name in ["y"] + also]
            model = graph(nodes, [info("x", x)], outputs, [("w", r(8, 12)), ("b", bias)])
            yield Case(f"layer, bias {bias.shape}, also {what}", model, {"x": x})
    nodes = [
        helper.make_node("Gemm", ["x", "w", "b"], ["p"]),
        helper.make_node("Relu", ["p"], ["q"]),
        helper.make_node("Add", ["q", "c"], ["s"]),
        helper.make_node("Relu", ["p"], ["t"]),
        helper.make_node("Add", ["s", "t"], ["y"]),
    ]
    model = graph(nodes, [info("x", x)], [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, None])], [("w", r(8, 12)), ("b", r(12)), ("c", r(12))])
    yield Case("a layer with two readers", model, {"x": x})


def forms(r):
    for dtype in (F4, I8, TEXT, B1):
        x = r(2, 3, 4, dtype=dtype)
        yield case("Identity", [x], outputs=[(dtype, 3)], exact=True)
        yield case("Dropout", [x], outputs=[(dtype, 3)], exact=True) if dtype == F4 else case("Shape", [x], outputs=[(I8, 1)], exact=True)
        for shape in [(6, 4), (-1,), (0, -1), (2, 3, 2, 2), (4, -1)]:
            yield case("Reshape", [x, ints(*shape)], outputs=[(dtype, len(shape))], constants=[1], exact=True)
            yield case("Reshape", [x, ints(*shape)], outputs=[(dtype, len(shape))], exact=True)
        for axis in (0, 1, 3, -1):
            yield case("Flatten", [x], {"axis": axis}, [(dtype, 2)], exact=True)
        one = r(1, 3, 1, 2, dtype=dtype)
        yield case("Squeeze", [one], outputs=[(dtype, 2)], exact=True)
        yield case("Squeeze", [one, ints(0)], outputs=[(dtype, 3)], constants=[1], exact=True)
        yield case("Squeeze", [one], {"axes": [-2]}, [(dtype, 3)], opset=11, exact=True)
        yield case("Unsqueeze", [x, ints(0, -1)], outputs=[(dtype, 5)], constants=[1], exact=True)
        yield case("Unsqueeze", [x], {"axes": [1]}, [(dtype, 4)], opset=11, exact=True)
        for axis in (0, 1, 2, -1):
            shapes = [list(x.shape) for _ in range(3)]
            for i, shape in enumerate(shapes):
                shape[axis] = i + 1
            yield case("Concat", [r(*shape, dtype=dtype) for shape in shapes], {"axis": axis}, [(dtype, 3)], exact=True)
        for perm in [None, (1, 0, 2), (2, 0, 1), (0, 2, 1)]:
            yield case("Transpose", [x], {"perm": perm} if perm else {}, [(dtype, 3)], exact=True)
        for axis in (0, 1, -1):
            for index, rank, constants in [(numpy.array([[0, -1], [1, 0]], I8), 4, []), (I8(1), 2, [1])]:
                one = case("Gather", [x, index], {"axis": axis}, [(dtype, rank)], constants, exact=True)
                one.expected = [numpy.take(x, index, axis)]  # of longer pieces of text it copies the first element
                yield one
        y = r(5, 6, dtype=dtype)
        yield case("Slice", [y, ints(1), ints(4)], outputs=[(dtype, 2)], exact=True)
        yield case("Slice", [y, ints(0, 1), ints(9, -1), ints(0, 1), ints(2, 2)], outputs=[(dtype, 2)], exact=True)
        yield case("Slice", [y, ints(-1), ints(-99), ints(1), ints(-2)], outputs=[(dtype, 2)], constants=[1, 2, 3, 4], exact=True)
        yield case("Slice", [y], {"starts": [1], "ends": [3], "axes": [1]}, [(dtype, 2)], opset=9, exact=True)
        yield case("Expand", [r(3, 1, dtype=dtype), ints(2, 1, 4)], outputs=[(dtype, 3)], exact=True)
    x = r(4, 6)
    yield case("Split", [x], {"axis": 1}, [(F4, 2)] * 3, opset=13, exact=True)
    yield case("Split", [x, ints(1, 2, 3)], {"axis": 1}, [(F4, 2)] * 3, constants=[1], exact=True)
    yield case("Split", [x], {"axis": 1, "split": [2, 4]}, [(F4, 2)] * 2, opset=11, exact=True)
    yield case("Split", [x], {"axis": 1, "num_outputs": 3}, [(F4, 2)] * 3, opset=18, exact=True)
    yield case("Shape", [x], {"start": 1}, [(I8, 1)], exact=True)
    yield case("ConstantOfShape", [ints(2, 3)], outputs=[(F4, 2)], exact=True)
    yield case("ConstantOfShape", [ints(2, 3)], {"value": numpy_helper.from_array(ints(7))}, [(I8, 2)], exact=True)


def casts(r):
    arrays = [r(3, 4), r(3, 4, dtype=F8), r(3, 4, dtype=I4), r(3, 4, dtype=I8), r(3, 4, dtype=B1)]
    for x in arrays:
        for dtype in (F4, F8, I4, I8, B1):
            yield case("Cast", [x], {"to": DTYPES[numpy.dtype(dtype)]}, [(dtype, 2)], exact=True)
    for x in [r(3, dtype=I8), r(3, dtype=I4), numpy.array([1.5, 0.1, 1e10, -3, numpy.nan], F4)]:
        yield case("Cast", [x], {"to": TensorProto.STRING}, [(TEXT, 1)], exact=True)
    texts = numpy.array(["1", "-7", "250"], object)
    for dtype in (I8, I4, F4, F8):
        yield case("Cast", [texts], {"to": DTYPES[numpy.dtype(dtype)]}, [(dtype, 1)], exact=True)


def sums(r):
    x = r(3, 4, 5)
    for op in ["ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceSumSquare", "ReduceL1", "ReduceL2"]:
        for axes in [None, [0], [1], [-1], [0, 2], [1, 2]]:
            for keep in (0, 1):
                rank = 3 if keep else 3 - (3 if axes is None else len(axes))
                attrs = {"keepdims": keep}
                if op == "ReduceSum":
                    yield case(op, [x] + ([ints(*axes)] if axes else []), attrs, [(F4, rank)], constants=[1] if axes else [])
                yield case(op, [x], {**attrs, **({"axes": axes} if axes else {})}, [(F4, rank)], opset=12)
    for op, rows in [("ReduceLogSum", r(3, 4, low=0.1)), ("ReduceLogSumExp", 40 * r(3, 4))]:
        yield case(op, [rows], {"axes": [1]}, opset=12)
        yield case(op, [rows], {"axes": [0, 1], "keepdims": 0}, [(F4, 0)], opset=12)
    for dtype in (F8, I4, I8):
        for op in ["ReduceSum", "ReduceMax", "ReduceMin"]:
            yield case(op, [r(3, 4, dtype=dtype)], {"axes": [1]}, [(dtype, 2)], opset=12)
    for dtype in (F4, F8, I4, I8):
        x = r(4, 6, dtype=dtype)
        x[1] = x[1, 0]
        for op in ["ArgMax", "ArgMin"]:
            for attrs in [{}, {"axis": 1}, {"axis": -1, "keepdims": 0}, {"axis": 1, "select_last_index": 1}]:
                yield case(op, [x], attrs, [(I8, 1 if "keepdims" in attrs else 2)], exact=True)
    for dtype in (F4, F8):
        for op in ["Softmax", "LogSoftmax"]:
            for opset in (11, 13):
                for axis in (None, 0, 1, -1):
                    yield case(op, [r(3, 4, 5, dtype=dtype)], {} if axis is None else {"axis": axis}, [(dtype, 3)], opset=opset)
    for shape in [(6, 4), (2, 4, 3), (2, 4, 3, 2)]:
        factors = [r(4), r(4), r(4), r(4, low=0.1)]
        yield case("BatchNormalization", [r(*shape), *factors], {"epsilon": 1e-3}, [(F4, len(shape))], constants=[1, 2, 3, 4])


def tabular(r):
    ml = {"domain": "ai.onnx.ml"}
    for dtype in (F4, F8, I4, I8):
        x = r(6, 3, dtype=dtype)
        yield case("Scaler", [x], {"offset": [1.0, 2.0, 0.5], "scale": [0.5, 2.0, 0.1]}, **ml)
        yield case("Scaler", [x], {"offset": [1.0], "scale": [0.3]}, **ml)
        for norm in ["MAX", "L1", "L2"]:
            yield case("Normalizer", [x], {"norm": norm}, **ml)
        yield case("LinearClassifier", [x], {"coefficients": [0.1 * i for i in range(9)], "intercepts": [0.1, 0.2, -0.3], "classlabels_ints": [5, 6, 7], "post_transform": "SOFTMAX"}, [(I8, 1), (F4, 2)], **ml)
    x = r(6, 3)
    holes = x.copy()
    holes[r(6, 3, dtype=B1)] = numpy.nan
    yield case("Imputer", [holes], {"imputed_value_floats": [1.0, 2.0, 3.0], "replaced_value_float": float("nan")}, exact=True, **ml)
    yield case("Imputer", [holes], {"imputed_value_floats": [9.0], "replaced_value_float": float("nan")}, exact=True, **ml)
    yield case("Imputer", [r(6, 3, dtype=I8)], {"imputed_value_int64s": [9], "replaced_value_int64": 1}, [(I8, 2)], exact=True, **ml)
    yield case("Binarizer", [x], {"threshold": 0.5}, exact=True, **ml)
    yield case("FeatureVectorizer", [r(6, 3), r(6, 2), r(6, 1)], {"inputdimensions": [3, 2, 1]}, exact=True, **ml)
    yield case("ArrayFeatureExtractor", [x, ints(2, 0)], constants=[1], exact=True, **ml)
    yield case("ArrayFeatureExtractor", [r(4, dtype=TEXT), ints(2, 0, 1)], outputs=[(TEXT, 2)], exact=True, **ml)
    yield case("ArrayFeatureExtractor", [r(1, 5, dtype=I8), ints(2, 0)], outputs=[(I8, 2)], exact=True, **ml)
    yield case("OneHotEncoder", [r(6, 2, dtype=I8)], {"cats_int64s": [1, 2, 5, -3]}, [(F4, 3)], exact=True, **ml)
    yield case("OneHotEncoder", [r(6, 2)], {"cats_int64s": [1, 2, 5, -3]}, [(F4, 3)], exact=True, **ml)
    yield case("OneHotEncoder", [r(6, 2, dtype=TEXT)], {"cats_strings": ["b", "longer text", "é"]}, [(F4, 3)], exact=True, **ml)
    yield from encoders(r, ml)
    yield from linear(r, ml)
    yield from support_vectors(r, ml)


def encoders(r, ml):
    keys = {"strings": ["a", "longer text", "é"], "int64s": [1, -3, 5], "floats": [1.5, float("nan"), -0.0]}
    columns = {"strings": r(5, 2, dtype=TEXT), "int64s": r(5, 2, dtype=I8), "floats": numpy.array([[1.5, numpy.nan], [0.0, 2.0]], F4)}
    types = {"strings": TEXT, "int64s": I8, "floats": F4}
    for key, value in [("strings", "int64s"), ("strings", "floats"), ("int64s", "strings"), ("int64s", "floats"), ("floats", "strings"), ("floats", "int64s"), ("int64s", "int64s"), ("floats", "floats"), ("strings", "strings")]:
        attrs = {f"keys_{key}": keys[key], f"values_{value}": keys[value]}
        for version in (2, 4):
            if version == 4 or key != "floats":
                yield case("LabelEncoder", [columns[key]], attrs, [(types[value], 2)], ml=version, exact=True, **ml)
        default = {"strings": {"default_string": "?"}, "int64s": {"default_int64": 77}, "floats": {"default_float": 7.5}}[value]
        yield case("LabelEncoder", [columns[key]], {**attrs, **default}, [(types[value], 2)], ml=4, exact=True, **ml)
    tensors = {"keys_tensor": numpy_helper.from_array(numpy.array([1.5, 2.5])), "values_tensor": numpy_helper.from_array(ints(4, 5)), "default_tensor": numpy_helper.from_array(ints(-9))}
    yield case("LabelEncoder", [numpy.array([[1.5, 2.5, 3.0]])], tensors, [(I8, 2)], ml=4, exact=True, **ml)
    classes = {"classes_strings": ["a", "b", "a"], "default_int64": -5, "default_string": "none"}
    yield case("LabelEncoder", [r(6, dtype=TEXT)], classes, [(I8, 1)], ml=1, exact=True, **ml)
    yield case("LabelEncoder", [r(6, dtype=I8)], classes, [(TEXT, 1)], ml=1, exact=True, **ml)
    mapper = {"cats_strings": ["a", "b"], "cats_int64s": [3, 4], "default_int64": -5, "default_string": "none"}
    yield case("CategoryMapper", [r(6, dtype=TEXT)], mapper, [(I8, 1)], exact=True, **ml)
    yield case("CategoryMapper", [r(6, dtype=I8)], mapper, [(TEXT, 1)], exact=True, **ml)


TRANSFORMS = ["NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT"]


def linear(r, ml):
    x = r(9, 3)
    small = (r(9, 3) / 100).astype(F4)
    for transform in TRANSFORMS:
        coefficients = [float(v) for v in r(9) / 10]
        rows = small if transform == "PROBIT" else x
        base = 0.7 if transform == "PROBIT" else 0.0
        for labels in [{"classlabels_ints": [5, 6, 7]}, {"classlabels_strings": ["a", "b", "c"]}]:
            dtype = I8 if "classlabels_ints" in labels else TEXT
            yield case("LinearClassifier", [rows], {"coefficients": coefficients, "intercepts": [base + 0.1, base, base - 0.1], "post_transform": transform, **labels}, [(dtype, 1), (F4, 2)], **ml)
            two = {name: values[:2] for name, values in labels.items()}
            yield case("LinearClassifier", [rows], {"coefficients": coefficients[:6], "intercepts": [base + 0.1, base], "post_transform": transform, **two}, [(dtype, 1), (F4, 2)], **ml)
            if transform != "PROBIT":
                yield case("LinearClassifier", [rows], {"coefficients": coefficients[:3], "intercepts": [0.1], "post_transform": transform, **two}, [(dtype, 1), (F4, 2)], **ml)
        for targets in (1, 3):
            for intercepts in ({}, {"intercepts": [base] * targets}):
                if transform != "PROBIT" or intercepts:
                    attrs = {"coefficients": coefficients[: 3 * targets], "targets": targets, "post_transform": transform, **intercepts}
                    yield case("LinearRegressor", [rows], attrs, **ml)


def support_vectors(r, ml):
    x = r(9, 4)
    for kernel in ["LINEAR", "POLY", "RBF", "SIGMOID"]:
        parameters = {"kernel_type": kernel, "kernel_params": [0.1, 0.3, 3.0]}
        regressor = {"coefficients": [float(v) for v in r(5)], "rho": [0.25], "n_supports": 5, "support_vectors": [float(v) for v in r(20)]}
        yield case("SVMRegressor", [x], {**parameters, **regressor}, **ml)
        yield case("SVMRegressor", [x], {**parameters, **regressor, "one_class": 1}, **ml)
        for counts in [[3, 2], [2, 3, 2]]:
            n, pairs = len(counts), len(counts) * (len(counts) - 1) // 2
            attrs = {**parameters, "coefficients": [float(v) for v in r(sum(counts) * (n - 1))], "rho": [0.1, -0.2, 0.3][:pairs], "support_vectors": [float(v) for v in r(sum(counts) * 4)], "vectors_per_class": counts}
            probabilities = {"prob_a": [-1.0, -2.0, -0.5][:pairs], "prob_b": [0.1, 0.2, -0.1][:pairs]}
            for more in [{}, {"post_transform": "LOGISTIC"}, probabilities]:
                yield case("SVMClassifier", [x], {**attrs, **more, "classlabels_ints": [7, 8, 9][:n]}, [(I8, 1), (F4, 2)], **ml)
                yield case("SVMClassifier", [x], {**attrs, **more, "classlabels_strings": ["a", "b", "c"][:n]}, [(TEXT, 1), (F4, 2)], **ml)
    for n in (2, 3):
        yield case("SVMClassifier", [x], {"kernel_type": "LINEAR", "kernel_params": [0.1, 0.3, 3.0], "coefficients": [float(v) for v in r(4 * n)], "rho": [0.5], "classlabels_ints": list(range(n))}, [(I8, 1), (F4, 2)], **ml)
    yield case("SVMRegressor", [x], {"kernel_params": [0.1, 0.3, 3.0], "coefficients": [float(v) for v in r(4)], "rho": [0.5], "n_supports": 0}, **ml)


def operators(seed=1):
    r = Random(seed)
    for family in (unary, binary, matrices, layers, forms, casts, sums, tabular):
        yield from family(r)
