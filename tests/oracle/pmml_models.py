"""Trees of the libraries written as PMML by the standard, in the forms that exporters choose among: one that
says where missing values go by defaultChild, with the records of each node; one whose missing values end a
row's prediction; and one without redundant predicates, whose last child is reached where no other is."""

import json
from xml.sax.saxutils import quoteattr

import numpy

FORMS = ["default", "null", "compact"]


def say(number):
    return repr(float(number)) if not isinstance(number, numpy.float32) else str(number)


class Split:
    """x < or <= threshold, or x in categories, on the yes-side; where missing values go."""

    def __init__(self, field, operator, value, default_yes, yes, no):
        self.field, self.operator, self.value = field, operator, value
        self.default_yes, self.yes, self.no = default_yes, yes, no

    def predicate(self, is_yes):
        field = quoteattr(self.field)
        if self.operator == "isIn":
            values = " ".join('"' + value.replace('"', '\\"') + '"' for value in self.value)
            operator = "isIn" if is_yes else "isNotIn"
            array = f"<Array type='string' n='{len(self.value)}'>{values}</Array>"
            return f"<SimpleSetPredicate field={field} booleanOperator='{operator}'>{array}</SimpleSetPredicate>"
        opposite = {"lessThan": "greaterOrEqual", "lessOrEqual": "greaterThan"}
        operator = self.operator if is_yes else opposite[self.operator]
        return f"<SimplePredicate field={field} operator='{operator}' value='{say(self.value)}'/>"


class Leaf:
    def __init__(self, score, shares=None):
        self.score, self.shares = score, shares

    def attributes(self):
        return f"score={quoteattr(say(self.score) if not isinstance(self.score, str) else self.score)}"

    def inside(self, classes):
        if self.shares is None:
            return ""
        return "".join(
            f"<ScoreDistribution value={quoteattr(name)} recordCount='{say(share)}'/>" for name, share in zip(classes, self.shares)
        )


def write_nodes(nodes, form, covers, classes, out):
    """nodes: by number, the root is 0. Without recursion: trees are deep."""
    stack = [(0, "<True/>")]
    while stack:
        at, predicate = stack.pop()
        if at is None:
            out.append(predicate)
            continue
        node, count = nodes[at], f" recordCount='{say(covers[at])}'" if covers is not None else ""
        if isinstance(node, Leaf):
            out.append(f"<Node id='{at}' {node.attributes()}{count}>{predicate}{node.inside(classes)}</Node>\n")
            continue
        default = f" defaultChild='{node.yes if node.default_yes else node.no}'" if form == "default" else ""
        out.append(f"<Node id='{at}'{default}{count}>{predicate}\n")
        stack.append((None, "</Node>\n"))
        stack.append((node.no, "<True/>" if form == "compact" else node.predicate(False)))
        stack.append((node.yes, node.predicate(True)))


STRATEGY = {"default": "missingValueStrategy='defaultChild'", "null": "missingValueStrategy='nullPrediction'", "compact": ""}


def write_tree(nodes, form, covers, classes, function, schema, out):
    out.append(f"<TreeModel functionName='{function}' {STRATEGY[form]}>{schema}\n")
    write_nodes(nodes, form, covers, classes, out)
    out.append("</TreeModel>")


def write(trees, fields, target, form, method, covers=None, constant=0.0, is_float=False):
    """trees: lists of nodes. fields: names with dataType, and values where it is string. target: None, or the
    names of classes."""
    function = "regression" if target is None else "classification"
    active = "".join(f"<MiningField name={quoteattr(name)}/>" for name in fields)
    context = " x-mathContext='float'" if is_float else ""
    out = ["<?xml version='1.0' encoding='UTF-8'?>\n<PMML xmlns='http://www.dmg.org/PMML-4_4' version='4.4'><Header/><DataDictionary>"]
    for name, (kind, values) in fields.items():
        optype = "categorical" if kind == "string" else "continuous"
        listed = "".join(f"<Value value={quoteattr(value)}/>" for value in values)
        out.append(f"<DataField name={quoteattr(name)} optype='{optype}' dataType='{kind}'>{listed}</DataField>")
    listed = "".join(f"<Value value={quoteattr(value)}/>" for value in target or [])
    kind = "categorical' dataType='string" if target else "continuous' dataType='double"
    out.append(f"<DataField name='target' optype='{kind}'>{listed}</DataField></DataDictionary>")
    out.append(f"<MiningModel functionName='{function}'{context}><MiningSchema>{active}")
    out.append("<MiningField name='target' usageType='target'/></MiningSchema>")
    if constant:
        out.append(f"<Targets><Target field='target' rescaleConstant='{say(constant)}'/></Targets>")
    out.append(f"<Segmentation multipleModelMethod='{method}'>")
    for i, nodes in enumerate(trees):
        out.append(f"<Segment id='{i}'><True/>")
        schema = f"<MiningSchema>{active}</MiningSchema>"
        write_tree(nodes, form, covers[i] if covers else None, target, function, schema, out)
        out.append("</Segment>\n")
    out.append("</Segmentation></MiningModel></PMML>\n")
    return "".join(out)


# -- the libraries' trees ---------------------------------------------------------------------------


def of_xgboost(booster, names):
    """Trees and covers."""
    trees, covers = [], []
    for tree in json.loads(booster.save_raw("json"))["learner"]["gradient_booster"]["model"]["trees"]:
        nodes = []
        for left, right, feature, value, default in zip(
            *(tree[key] for key in ["left_children", "right_children", "split_indices", "split_conditions", "default_left"])
        ):
            value = numpy.float32(value)
            nodes.append(Leaf(value) if left < 0 else Split(names[feature], "lessThan", value, bool(default), left, right))
        trees.append(nodes)
        covers.append(tree["sum_hessian"])
    return trees, covers


def of_lightgbm(booster, names, texts):
    """texts: by column, what its categories are called."""
    trees = []
    for info in booster.dump_model()["tree_info"]:
        nodes, stack = [None], [(0, info["tree_structure"])]
        while stack:
            at, node = stack.pop()
            if "leaf_value" in node:
                nodes[at] = Leaf(node["leaf_value"])
                continue
            yes, no = len(nodes), len(nodes) + 1
            nodes += [None, None]
            column = node["split_feature"]
            if node["decision_type"] == "==":
                members = [texts[column][int(code)] for code in node["threshold"].split("||")]
                nodes[at] = Split(names[column], "isIn", members, False, yes, no)
            else:
                default_yes = node["default_left"] if node["missing_type"] == "NaN" else node["threshold"] >= 0
                nodes[at] = Split(names[column], "lessOrEqual", node["threshold"], default_yes, yes, no)
            stack += [(yes, node["left_child"]), (no, node["right_child"])]
        trees.append(nodes)
    return trees


def below(number):
    """The largest float32 that is not above: a float is at most the one where it is at most the other."""
    single = numpy.float32(number)
    return single if single <= number else numpy.nextafter(single, numpy.float32(-numpy.inf))


def of_sklearn(estimator, names, classes=None):
    tree, nodes = estimator.tree_, []
    for i in range(tree.node_count):
        if tree.children_left[i] >= 0:
            # scikit-learn rounds rows to float32: so do fields that are float
            args = below(tree.threshold[i]), True, int(tree.children_left[i]), int(tree.children_right[i])
            nodes.append(Split(names[tree.feature[i]], "lessOrEqual", *args))
        elif classes is None:
            nodes.append(Leaf(tree.value[i][0][0]))
        else:
            nodes.append(Leaf(classes[int(tree.value[i][0].argmax())], tree.value[i][0]))
    return nodes
