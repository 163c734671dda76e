"""What the comparisons with the libraries share: data, random settings, one server for many models,
and a report that names what differs.

    def test_regression(tmp_path):
        batch = Batch(tmp_path)
        for settings in choices(200, depth=[2, 6], rate=[0.1, 1.0]):
            model = train(**settings)
            batch.add({"xgboost.json": model.save_raw("json")}, rows, model.predict(rows), what=settings)
        batch.check(relative=1e-6)
"""

import functools
import http.client
import json
import os
import random
import zlib

import numpy
from harness import Server
from sklearn import datasets

SEED = int(os.environ.get("ORACLE_SEED", "1"))
TYPES = {
    "FP32": "<f4",
    "FP64": "<f8",
    "INT8": "<i1",
    "INT16": "<i2",
    "INT32": "<i4",
    "INT64": "<i8",
    "UINT8": "<u1",
    "UINT16": "<u2",
    "UINT32": "<u4",
    "UINT64": "<u8",
    "BOOL": "?",
}
ROWS_A_REQUEST = 1000  # more are sent in several requests


def report(text, where=None):
    """A row of the table that `make oracle-report` prints: of this test, or of what is named."""
    path = os.environ.get("ORACLE_REPORT")
    if path is not None:
        where = where or os.environ.get("PYTEST_CURRENT_TEST", "").split(" ")[0].replace("oracle/", "").replace("::", ": ")
        with open(path, "a", encoding="utf-8") as file:
            file.write(f"| {where} | {text} |\n")


# -- data ------------------------------------------------------------------------------------------


class Data:
    """x: rows of features, NaN where a value is missing. categories: how many each column has, 0 where
    it is a number; a category is a whole number from 0. Labels come in kinds: `target` (any number),
    `positive` (above 0), `count`, `label` (0 or 1), `classes` (0, 1, 2, ...), `group` (sizes of
    queries, for ranking) and `targets` (three numbers a row)."""

    def __init__(self, name, x, score, classes=None, categories=None):
        random_ = numpy.random.default_rng(SEED + zlib.crc32(name.encode()))
        self.name = name
        self.x = numpy.asarray(x, "f4")
        self.categories = categories or [0] * self.x.shape[1]
        score = numpy.asarray(score, "f8")
        spread = score.std() or 1.0
        self.target = score
        self.positive = numpy.exp(numpy.clip((score - score.mean()) / spread, -3, 3)) + 0.01
        self.count = random_.poisson(self.positive)
        self.label = (score > numpy.median(score)).astype("i4")
        self.classes = classes if classes is not None else numpy.digitize(score, numpy.quantile(score, [0.3, 0.7]))
        self.classes = numpy.asarray(self.classes, "i4")
        self.targets = numpy.stack([score, spread * numpy.sin(score / spread), -score + spread * random_.normal(size=len(x))], 1)
        sizes = []
        while sum(sizes) < len(x):
            sizes.append(min(int(random_.integers(2, 40)), len(x) - sum(sizes)))
        self.group = numpy.array(sizes)
        self.weight = random_.lognormal(size=len(x))

    @property
    def n_classes(self):
        return int(self.classes.max()) + 1

    def __repr__(self):
        return f"{self.name} {self.x.shape[0]}x{self.x.shape[1]}"


def real(name, load):
    bunch = load()
    x, y = bunch.data[:1000], bunch.target[:1000]
    return Data(name, x, y + 0.1 * (x[:, 0] - x[:, 0].mean()) / (x[:, 0].std() or 1), None if name == "diabetes" else y)


def skewed(name="skewed", rows=1200, features=12, missing=0.0):
    """Amounts over many decades, a few large values, ties, constant columns, zeros of both signs."""
    random_ = numpy.random.default_rng(SEED)
    x = random_.lognormal(sigma=3, size=(rows, features))
    x[:, 1] = numpy.round(random_.normal(size=rows), 1)
    x[:, 2] = 0.5
    x[:, 3] = numpy.where(random_.random(rows) < 0.9, 0.0, -x[:, 3])
    x[:, 4] = numpy.where(random_.random(rows) < 0.5, -0.0, 0.0)
    x[:, 5] = -x[:, 5] * 1e-30
    score = numpy.log1p(x[:, 0]) * (1 + x[:, 1]) + 2 * (x[:, 3] < 0) + random_.normal(size=rows)
    x[random_.random(x.shape) < missing] = numpy.nan
    return Data(name, x, score)


def categorical(name="categorical", rows=1200, missing=0.1):
    """Columns with 2, 5, 30 and 300 categories, of which some are rare, between numbers."""
    random_ = numpy.random.default_rng(SEED)
    sizes = [0, 2, 5, 0, 30, 300]
    columns = [
        numpy.minimum(random_.geometric(min(1, 4 / n), rows) - 1, n - 1) if n else random_.normal(size=rows) for n in sizes
    ]
    for column, n in zip(columns, sizes):
        column[: max(n, 1)] = numpy.arange(max(n, 1))  # each is seen: libraries number what they saw
    effects = [random_.normal(size=n)[column] if n else column for column, n in zip(columns, sizes)]
    x = numpy.stack(columns, 1).astype("f4")
    holes = random_.random(x.shape) < missing
    holes[:300] = False
    x[holes] = numpy.nan
    return Data(name, x, numpy.sum(effects, 0) + 0.3 * random_.normal(size=rows), None, sizes)


@functools.cache
def data_sets():
    """By name. The real ones ship with scikit-learn."""
    sets = [
        real("breast_cancer", datasets.load_breast_cancer),
        real("iris", datasets.load_iris),
        real("wine", datasets.load_wine),
        real("digits", datasets.load_digits),
        real("diabetes", datasets.load_diabetes),
        skewed(),
        skewed("holes", missing=0.4),
        categorical(),
    ]
    return {data.name: data for data in sets}


def edge_rows(data, n=64):
    """Rows that no training set has: infinities, NaN everywhere, the smallest and largest floats,
    values between the known ones, categories that nobody has seen."""
    random_ = numpy.random.default_rng(SEED)
    x = data.x[random_.integers(0, len(data.x), n)].copy()
    odd = numpy.array([numpy.nan, numpy.inf, -numpy.inf, 0.0, -0.0, 1e-45, -1e-45, 3e38, -3e38, -1.0, -0.5, 0.5, 1e9], "f4")
    places = random_.random(x.shape) < 0.3
    x[places] = random_.choice(odd, int(places.sum()))
    x[0] = numpy.nan
    x[1] = numpy.inf
    x[2] = -numpy.inf
    x[3] = 0
    return x


def choices(n, seed=0, **options):
    """n random settings: of each option one of its values."""
    random_ = random.Random(f"{SEED} {seed} {sorted(options)}")
    return [{name: random_.choice(values) for name, values in options.items()} for _ in range(n)]


# -- the program -----------------------------------------------------------------------------------


class Program:
    """One `tern serve` of a folder of models."""

    def __init__(self, folder, repository, env=None):
        self.server = Server(folder, repository, env=env)
        self.connection = None
        self.inputs = {}  # of each model

    def __enter__(self):
        self.server.start()
        self.connection = http.client.HTTPConnection(self.server.host, self.server.port, timeout=60)
        return self

    def __exit__(self, *_):
        self.connection.close()
        self.server.stop()

    def call(self, method, path, body=None, headers=None):
        return self.server.call(method, path, body, headers, connection=self.connection)

    def failure(self, model):
        """Why a model is not ready, or None."""
        row = self.server.index().get((model, "1"), {"state": "not there"})
        return None if row.get("state") == "READY" else row.get("reason") or row.get("state")

    def predict(self, model, rows, outputs=None, parameters=None):
        """rows: an array for the only input, or a dictionary of arrays by input. Answers the only
        output, or a dictionary of outputs when the model has several."""
        if model not in self.inputs:
            answer = self.call("GET", f"/v2/models/{model}")
            assert answer.status == 200, answer.body
            self.inputs[model] = answer.json()["inputs"]
        inputs = self.inputs[model]
        if not isinstance(rows, dict):
            rows = {inputs[0]["name"]: rows}
        n = len(next(iter(rows.values())))
        parts = []
        for begin in range(0, n, ROWS_A_REQUEST):
            some = {name: value[begin : begin + ROWS_A_REQUEST] for name, value in rows.items()}
            parts.append(self.ask(model, inputs, some, outputs, parameters))
        whole = {name: numpy.concatenate([part[name] for part in parts]) for name in parts[0]}
        return whole if len(whole) > 1 else next(iter(whole.values()))

    def ask(self, model, inputs, rows, outputs, parameters):
        head, raw = [], b""
        for tensor in inputs:
            if tensor["name"] not in rows:
                continue
            value = rows[tensor["name"]]
            if tensor["datatype"] == "BYTES":
                one = {"data": [str(text) for text in numpy.ravel(value)]}
            else:
                data = numpy.ascontiguousarray(value, TYPES[tensor["datatype"]]).tobytes()
                one = {"parameters": {"binary_data_size": len(data)}}
                raw += data
            head.append({"name": tensor["name"], "datatype": tensor["datatype"], "shape": list(numpy.shape(value)), **one})
        body = {"inputs": head, "parameters": {**(parameters or {}), "binary_data_output": True}}
        if outputs:
            body["outputs"] = [{"name": name} for name in outputs]
        text = json.dumps(body).encode()
        headers = {"Inference-Header-Content-Length": str(len(text)), "Content-Type": "application/octet-stream"}
        answer = self.call("POST", f"/v2/models/{model}/infer", text + raw, headers)
        assert answer.status == 200, f"{model}: {answer.body.decode()}"
        return tensors_of(answer)


def tensors_of(answer):
    length = int(answer.headers.get("Inference-Header-Content-Length", len(answer.body)))
    rest, found = answer.body[length:], {}
    for tensor in json.loads(answer.body[:length])["outputs"]:
        size = tensor.get("parameters", {}).get("binary_data_size")
        if size is None:
            value = numpy.array(tensor["data"], object if tensor["datatype"] == "BYTES" else TYPES[tensor["datatype"]])
        elif tensor["datatype"] == "BYTES":
            value = numpy.array(strings_of(rest[:size]), object)
        else:
            value = numpy.frombuffer(rest[:size], TYPES[tensor["datatype"]])
        rest = rest[size or 0 :]
        found[tensor["name"]] = value.reshape(tensor["shape"])
    return found


def strings_of(raw):
    found = []
    while raw:
        n = int.from_bytes(raw[:4], "little")
        found.append(raw[4 : 4 + n].decode())
        raw = raw[4 + n :]
    return found


# -- comparing -------------------------------------------------------------------------------------


class Difference:
    """Of two arrays of predictions, row by row. Infinities and NaN have to be the same. Errors are relative to
    what is expected, or to `scale` where that is larger."""

    def __init__(self, got, expected, scale=1e-30):
        expected = numpy.asarray(expected)
        self.rows = len(expected)
        self.shapes = (got.shape, expected.shape) if got.size != expected.size else None
        self.relative, self.unequal, self.flips, self.worst = 0.0, 0, 0, None
        if self.shapes or not expected.size:
            return
        expected = expected.reshape(got.shape)
        if got.dtype == object:  # texts
            self.unequal = self.flips = int((got != expected.astype(str)).sum())
            self.worst = f"got {got[got != expected.astype(str)][:3]}"
            return
        same = (got == expected) | (numpy.isnan(got) & numpy.isnan(expected))
        self.unequal = int((~same).sum())
        with numpy.errstate(all="ignore"):
            error = numpy.abs(got.astype("f8") - expected) / numpy.maximum(numpy.abs(expected.astype("f8")), scale)
        error = numpy.where(same, 0.0, numpy.where(numpy.isfinite(error), error, numpy.inf))
        at = numpy.unravel_index(int(error.argmax()), error.shape)
        self.relative = float(error[at])
        self.worst = f"row {at[0]}: got {got[at]!r}, expected {expected[at]!r}"
        two = got.reshape(self.rows, -1), expected.reshape(self.rows, -1)
        if two[0].shape[1] > 1:
            self.flips = int((two[0].argmax(1) != two[1].argmax(1)).sum())
        else:
            self.flips = int(((two[0] > 0.5) != (two[1] > 0.5)).sum())


class Batch:
    """Models and what is expected of them; check starts one program for all."""

    def __init__(self, folder, env=None):
        self.folder, self.env = folder, env
        self.repository = folder / "models"
        self.repository.mkdir(parents=True)
        self.models = []

    def add(self, files, rows, expected, what="", config=None, output=None):
        """files: by name in the version's folder, bytes, text or a path. expected: an array, or a
        dictionary of arrays by output."""
        name = f"m{len(self.models):04}"
        version = self.repository / name / "1"
        version.mkdir(parents=True)
        for file, content in files.items():
            if hasattr(content, "read_bytes"):
                content = content.read_bytes()
            (version / file).write_bytes(content.encode() if isinstance(content, str) else bytes(content))
        if config is not None:
            (version.parent / "config.pbtxt").write_text(config)
        if not isinstance(expected, dict):
            expected = {output: expected}
        self.models.append((name, rows, expected, what))
        return name

    def check(self, relative=1e-6, flips=0, show=10, of_largest=False, least=1e-30):
        """Every model is loaded and predicts as expected, rows at once and some of them alone: values to
        this relative error, and no label flips. Answers (and prints) a summary. of_largest: errors are
        relative to the output's largest value, where sums that cancel are small; but to no less than `least`."""
        bad, seen = [], Seen()
        with Program(self.folder / "server", self.repository, self.env) as program:
            for name, rows, expected, what in self.models:
                failure = program.failure(name)
                if failure:
                    bad.append(f"{name} ({what}): {failure}")
                    continue
                wanted = [output for output in expected if output is not None]
                for places in some_places(len(next(iter(rows.values()))) if isinstance(rows, dict) else len(rows)):
                    part = {key: value[places] for key, value in rows.items()} if isinstance(rows, dict) else rows[places]
                    got = program.predict(name, part, wanted)
                    for output, values in expected.items():
                        scale = max(largest(values), least) if of_largest else least
                        one = Difference(got[output] if isinstance(got, dict) else got, numpy.asarray(values)[places], scale)
                        where = f"{name} ({what}), rows {places.start} to {places.stop}"
                        seen.add(one, values, places.start == 0)
                        if one.shapes:
                            bad.append(f"{where}: shape {one.shapes[0]}, expected {one.shapes[1]}")
                        elif one.relative > relative or one.flips > flips:
                            bad.append(f"{where}: off by {one.relative:.3g}, {one.unequal} unequal, {one.flips} flips; {one.worst}")
        summary = f"{len(self.models)} models, {seen}"
        print(summary)
        report(summary)
        assert not bad, "\n".join([summary, f"{len(bad)} are wrong:"] + bad[:show])
        return summary


def largest(values):
    numbers = numpy.asarray(values)
    if numbers.dtype.kind != "f":
        return 1e-30
    return float(numpy.abs(numbers[numpy.isfinite(numbers)]).max(initial=1e-30))


def some_places(n):
    """All rows; then, since one row and a few rows are run in other ways than many, some of these."""
    yield slice(0, n)
    for i in range(1, 7):
        begin = n * i // 7
        yield slice(begin, min(n, begin + (1 if i < 5 else 3)))


class Seen:
    """What was compared, for the summary."""

    def __init__(self):
        self.rows = self.values = self.unequal = self.flips = 0
        self.relative = 0.0

    def add(self, difference, values, whole):
        if whole:
            self.rows += difference.rows
            self.values += numpy.size(values)
            self.flips += difference.flips
            self.unequal += difference.unequal
        self.relative = max(self.relative, difference.relative)

    def __str__(self):
        return (
            f"{self.rows} rows, {self.values} values: {self.unequal} not equal to the bit, "
            f"largest relative difference {self.relative:.3g}, {self.flips} label flips"
        )
