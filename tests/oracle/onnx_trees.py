"""Random trees as ONNX operators: every mode, missing values, one and many outputs, weights of one class or of
all, base values, in versions 1, 3 and 5."""

import numpy
from onnx import TensorProto, helper, numpy_helper
from onnx_operators import DTYPES, Case

MODES = ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ"]
MEMBER = 6


class Maker:
    def __init__(self, seed):
        self.random = numpy.random.default_rng(seed)

    def pick(self, *values):
        return values[int(self.random.integers(len(values)))]

    def rows(self, dtype, n=40, features=5):
        if numpy.dtype(dtype).kind == "i":
            return self.random.integers(-3, 4, (n, features)).astype(dtype)
        x = numpy.round(self.random.normal(size=(n, features)) * 1.5, 1)
        x[self.random.random(x.shape) < 0.1] = numpy.nan
        x[0], x[1], x[2], x[3] = numpy.inf, -numpy.inf, 0, -0.0
        x[4] = self.random.integers(0, 6, features)  # members of sets
        return x.astype(dtype)

    def tree(self, depth, features, modes, cuts):
        nodes = []

        def grow(left):
            at = len(nodes)
            nodes.append(None)
            if left == 0 or (at > 0 and self.random.random() < 0.2):
                nodes[at] = ("LEAF", 0, 0.0, 0, 0, 0)
                return at
            yes, no = grow(left - 1), grow(left - 1)
            nodes[at] = (self.pick(*modes), int(self.random.integers(features)), float(self.pick(*cuts)), yes, no, self.pick(0, 1))
            return at

        grow(depth)
        return nodes

    def lists(self, features, n_trees, n_outputs, modes, has_missing, style, is_positive):
        """Attributes of versions 1 and 3. style: "one" output a tree, or "all" outputs."""
        names = ["modes", "featureids", "values", "truenodeids", "falsenodeids", "missing_value_tracks_true"]
        attrs = {f"nodes_{name}": [] for name in ["treeids", "nodeids"] + names}
        cuts = numpy.round(self.random.normal(size=20), 1)
        weights = []
        for tree in range(n_trees):
            outputs = [int(self.random.integers(n_outputs))] if style == "one" else range(n_outputs)
            for i, node in enumerate(self.tree(4, features, modes, cuts)):
                attrs["nodes_treeids"].append(tree)
                attrs["nodes_nodeids"].append(i)
                for name, value in zip(names, node):
                    attrs[f"nodes_{name}"].append(value)
                if node[0] == "LEAF":
                    weights += [(tree, i, output, float(self.random.normal())) for output in outputs]
        if not has_missing:
            del attrs["nodes_missing_value_tracks_true"]
        if is_positive:
            weights = [(tree, node, output, abs(weight)) for tree, node, output, weight in weights]
        return attrs, [list(column) for column in zip(*weights)]

    def version_3(self, op, x, n_outputs, classes=None, style="all", combine="SUM", base=None, modes=MODES, as_double=False):
        n_weighted = 1 if style == "first" else n_outputs
        attrs, weights = self.lists(x.shape[1], self.pick(1, 7, 30), n_weighted, modes, self.pick(False, True), "one" if style == "one" else "all", self.pick(False, True))
        kind = "class" if classes else "target"
        attrs.update({f"{kind}_treeids": weights[0], f"{kind}_nodeids": weights[1], f"{kind}_ids": weights[2]})
        attrs["post_transform"] = self.pick("NONE", "NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO")
        numbers = {f"{kind}_weights": weights[3], "nodes_values": attrs.pop("nodes_values")}
        if base:
            numbers["base_values"] = base
        for name, values in numbers.items():
            attrs[f"{name}_as_tensor" if as_double else name] = numpy_helper.from_array(numpy.array(values)) if as_double else values
        outputs = [("s", TensorProto.FLOAT, [None, n_outputs])]
        if classes:
            is_text = isinstance(classes[0], str)
            attrs["classlabels_strings" if is_text else "classlabels_int64s"] = classes
            outputs.insert(0, ("l", TensorProto.STRING if is_text else TensorProto.INT64, [None]))
        else:
            attrs.update(n_targets=n_outputs, aggregate_function=combine)
        what = f"{op} of {x.dtype}, {n_outputs} outputs, {style}, {combine}, {attrs['post_transform']}, base {base}, labels {classes}"
        return self.case(what, op, x, attrs, outputs, 3, exact=attrs["post_transform"] == "NONE")

    def version_5(self, x, n_outputs, modes):
        nodes = {name: [] for name in ["featureids", "splits", "modes", "truenodeids", "falsenodeids", "trueleafs", "falseleafs", "missing_value_tracks_true"]}
        cuts, leaves, sets = numpy.round(self.random.normal(size=20), 1), [], {}

        def grow(left):
            at = len(nodes["modes"])
            values = [int(self.random.integers(x.shape[1])), float(self.pick(*cuts)), self.pick(*modes), 0, 0, 0, 0, self.pick(0, 1)]
            for name, value in zip(nodes, values):
                nodes[name].append(value)
            if nodes["modes"][at] == MEMBER:
                sets[at] = [float(member) for member in self.random.integers(0, 6, self.pick(1, 2, 3))]
            for side in ("true", "false"):
                is_leaf = left == 1 or self.random.random() < 0.2
                if is_leaf:
                    leaves.append((int(self.random.integers(n_outputs)), float(self.random.normal())))
                nodes[f"{side}nodeids"][at] = len(leaves) - 1 if is_leaf else grow(left - 1)
                nodes[f"{side}leafs"][at] = int(is_leaf)
            return at

        def tensor(values, dtype=x.dtype):
            return numpy_helper.from_array(numpy.array(values, dtype))

        attrs = {"tree_roots": [grow(4) for _ in range(self.pick(1, 7, 30))], "n_targets": n_outputs}
        attrs.update({f"nodes_{name}": values for name, values in nodes.items()})
        attrs["nodes_splits"], attrs["nodes_modes"] = tensor(nodes["splits"]), tensor(nodes["modes"], "u1")
        attrs["leaf_targetids"], attrs["leaf_weights"] = [leaf[0] for leaf in leaves], tensor([leaf[1] for leaf in leaves])
        if sets:
            attrs["membership_values"] = tensor(sum([sets[at] + [float("nan")] for at in sorted(sets)], []))
        attrs["aggregate_function"] = self.pick(0, 1, 2, 3) if n_outputs == 1 else self.pick(0, 1)
        attrs["post_transform"] = self.pick(0, 0, 1) if n_outputs == 1 else 0
        what = f"TreeEnsemble of {x.dtype}, {n_outputs} outputs, modes {modes}, aggregate {attrs['aggregate_function']}"
        return self.case(what, "TreeEnsemble", x, attrs, [("s", DTYPES[x.dtype], [None, n_outputs])], 5, exact=True)

    def case(self, what, op, x, attrs, outputs, ml, exact):
        node = helper.make_node(op, ["x"], [name for name, _, _ in outputs], domain="ai.onnx.ml", **attrs)
        inputs = [helper.make_tensor_value_info("x", DTYPES[x.dtype], [None, x.shape[1]])]
        graph = helper.make_graph([node], "g", inputs, [helper.make_tensor_value_info(*output) for output in outputs])
        opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", ml)]
        return Case(what, helper.make_model(graph, opset_imports=opsets, ir_version=9), {"x": x}, exact)

    def base(self, *sizes):
        return [float(numpy.float32(value)) for value in self.random.normal(size=self.pick(*sizes))] or None


def ensembles(seed=1, rounds=4):
    make = Maker(seed)
    for _ in range(rounds):
        for dtype in ("f4", "f8", "i4", "i8"):
            for modes in (MODES[:1], MODES[1:2], MODES[3:4], MODES):
                x = make.rows(dtype)
                is_double = dtype == "f8" and make.pick(False, True)
                n = make.pick(1, 2, 2, 3, 4)
                classes = [10, 20, 30, 40][:n] if n == 1 or make.pick(False, True) else ["a", "b", "c", "d"][:n]
                style = make.pick("one", "all", "first")
                base = make.base(0, 1, 2) if n == 2 else make.base(0, n)
                yield make.version_3("TreeEnsembleClassifier", x, n, classes, style, base=base, modes=modes, as_double=is_double)
                if dtype[0] == "i":
                    continue
                n = make.pick(1, 1, 2, 3)
                combine = make.pick("SUM", "AVERAGE", "MIN", "MAX")
                base = make.base(0, n)
                style = "all" if base or combine in ("MIN", "MAX") else make.pick("one", "all")
                yield make.version_3("TreeEnsembleRegressor", x, n, None, style, combine, base, modes, is_double)
                yield make.version_5(x, make.pick(1, 1, 3), [0] if len(modes) == 1 else [0, 1, 2, 3, 4, 5, MEMBER])
