"""What the tests share: a server process, plain HTTP, and waiting for a condition (never for a time)."""

import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import threading
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
TERN = os.environ.get("TERN_BIN", str(TOP / "build" / "tern"))
EXAMPLES = TOP / "examples"
ONNX = TOP / "tests" / "data" / "onnx"
# With TERN_BIN=build/asan/tern: a crash that a test wants has to look like one, and what ONNX Runtime
# keeps until the end of the process is not ours.
os.environ.setdefault("ASAN_OPTIONS", "handle_segv=0")
os.environ.setdefault("LSAN_OPTIONS", f"suppressions={TOP}/tests/e2e/lsan.supp:print_suppressions=0")
# Tests that are not about the native engine see ONNX Runtime, as Triton's clients do.
os.environ.setdefault("TERN_ENGINE_NATIVE_ONNX", "off")
DEADLINE = float(os.environ.get("TERN_TEST_DEADLINE", "30"))


def wait_for(condition, what, deadline=DEADLINE):
    """The first true answer of the condition; fails when it does not come."""
    end = time.monotonic() + deadline
    while True:
        result = condition()
        if result:
            return result
        assert time.monotonic() < end, f"waited {deadline} s for {what}"
        time.sleep(0.01)


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        return json.loads(self.body)


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=DEADLINE)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Server:
    """One `tern serve`. Listens on a free port that may load and unload models."""

    def __init__(self, folder, path, *flags, listen=("127.0.0.1:0,admin",), env=None):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.ready_file = self.folder / "ready"
        self.log_file = self.folder / "log"
        self.ready_file.unlink(missing_ok=True)
        command = [TERN, "serve", str(path), "--ready-file", str(self.ready_file), "--log-format", "json"]
        for address in listen:
            command += ["--listen", address]
        self.process = subprocess.Popen(
            command + list(flags),
            stdin=subprocess.DEVNULL,
            stdout=open(self.log_file, "ab"),
            stderr=subprocess.STDOUT,
            env={**os.environ, **(env or {})},
        )

    def start(self):
        def is_ready():
            assert self.process.poll() is None, self.log_file.read_text()
            return self.ready_file.exists() and self.ready_file.read_text().endswith("\n")

        wait_for(is_ready, "the server")
        self.addresses = self.ready_file.read_text().split()
        self.url = self.addresses[0]
        self.address = self.url.split("://")[-1]
        if ":" in self.address and self.url.startswith("http"):
            self.host, port = self.address.rsplit(":", 1)
            self.port = int(port)
        return self

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        """By SIGTERM; answers the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(DEADLINE + 10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise

    def log(self):
        """The lines that are written by now: its writer is a thread of its own, and may be late."""
        whole = self.log_file.read_text().rpartition("\n")[0]
        return [json.loads(line) for line in whole.splitlines() if line.startswith("{")]

    def events(self, name):
        """Those of the log so far: to count, or to find none after the last line that matters."""
        return [line for line in self.log() if line.get("event") == name]

    def told(self, name, n=1):
        """The same, as soon as there are n."""
        return wait_for(lambda: len(found := self.events(name)) >= n and found, f"{n} log lines '{name}'")

    def connect(self):
        return http.client.HTTPConnection(self.host, self.port, timeout=DEADLINE)

    def call(self, method, path, body=None, headers=None, connection=None):
        one = connection or self.connect()
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
        one.request(method, path, body=body, headers=headers or {})
        response = one.getresponse()
        answer = Answer(response.status, response.headers, response.read())
        if connection is None:
            one.close()
        return answer

    def get(self, path, **options):
        return self.call("GET", path, **options)

    def infer(self, model, body, headers=None, **options):
        kind = {"Content-Type": "application/json"}
        return self.call("POST", f"/v2/models/{model}/infer", body, {**kind, **(headers or {})}, **options)

    def raw(self, data, until_close=True):
        """Bytes in, bytes out."""
        with socket.create_connection((self.host, self.port), timeout=DEADLINE) as sock:
            sock.sendall(data)
            got = b""
            while True:
                part = sock.recv(65536)
                if not part:
                    return got
                got += part
                if not until_close and b"\r\n\r\n" in got:
                    return got

    def index(self):
        rows = self.call("POST", "/v2/repository/index").json()
        return {(row["name"], row.get("version")): row for row in rows}

    def state(self, model, version="1"):
        return self.index().get((model, version), {}).get("state")


def example(model):
    return json.loads((EXAMPLES / "data" / f"{model}.json").read_text())


def rows_of(data, begin, end):
    """Rows [begin, end) of an example's input, as a request's input."""
    tensor = data["inputs"][0]
    size = len(tensor["data"]) // tensor["shape"][0]
    return {
        **tensor,
        "shape": [end - begin] + tensor["shape"][1:],
        "data": tensor["data"][begin * size : end * size],
    }


def is_close(answer, recorded, tolerance):
    return len(answer) == len(recorded) and all(
        abs(a - r) <= tolerance * max(1, abs(r)) for a, r in zip(answer, recorded)
    )


def check_recorded(data, version, outputs):
    """The answer's outputs are the recorded ones."""
    by_name = {output["name"]: output for output in outputs}
    for recorded in data["outputs"][version]:
        output = by_name[recorded["name"]]
        assert output["datatype"] == recorded["datatype"]
        assert output["shape"] == recorded["shape"]
        if recorded["datatype"] == "INT64":
            assert output["data"] == recorded["data"]
        else:
            assert is_close(output["data"], recorded["data"], data["tolerance"])


def put_model(repository, name, source, version=1, config=None, file="model.onnx"):
    """Writes a version so that it appears whole: copied aside, then renamed."""
    folder = pathlib.Path(repository) / name
    folder.mkdir(parents=True, exist_ok=True)
    aside = pathlib.Path(repository).parent / f"aside-{name}-{version}"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir()
    if isinstance(source, bytes):
        (aside / file).write_bytes(source)
    else:
        shutil.copy(source, aside / file)
    if config is not None:
        (folder / "config.pbtxt").write_text(config)
    aside.rename(folder / str(version))


def tensors(kind, *rows):
    return "".join(f'{kind} [ {{ name: "{name}" data_type: TYPE_{type} dims: [ {dims} ] }} ]\n' for name, type, dims in rows)


DECOUPLED = "model_transaction_policy { decoupled: True }\n"
SAMPLES = {
    "repeat_int32": 'backend: "repeat"\n'
    + DECOUPLED
    + tensors("input", ("IN", "INT32", -1), ("DELAY", "UINT32", -1), ("WAIT", "UINT32", 1))
    + tensors("output", ("OUT", "INT32", 1), ("IDX", "UINT32", 1)),
    "square_int32": 'backend: "square"\n'
    + DECOUPLED
    + tensors("input", ("IN", "INT32", 1))
    + tensors("output", ("OUT", "INT32", 1)),
    "identity_fp32": 'backend: "identity"\nmax_batch_size: 8\n'
    + tensors("input", ("INPUT0", "FP32", -1))
    + tensors("output", ("OUTPUT0", "FP32", -1)),
    "echo": 'backend: "identity"\n'
    + tensors("input", ("text_input", "STRING", 1), ("scores", "FP32", "-1, 2"))
    + tensors("output", ("text_output", "STRING", 1), ("scores_out", "FP32", "-1, 2")),
}


def put_sample(repository, name, config=None):
    """One of Triton's sample models: a configuration and an empty version folder."""
    folder = pathlib.Path(repository) / name
    (folder / "1").mkdir(parents=True)
    (folder / "config.pbtxt").write_text(config or SAMPLES[name])


def model_file(name, version=1):
    return EXAMPLES / "models" / name / str(version) / "model.onnx"


class Load:
    """Clients that ask without a pause, each on a connection of its own, until stopped. Every answer
    is kept as (status, body); what broke a connection as (None, error)."""

    def __init__(self, server, model, body, clients=4):
        self.server, self.model, self.body = server, model, json.dumps(body)
        self.answers, self.stopping = [], threading.Event()
        self.threads = [threading.Thread(target=self.run) for _ in range(clients)]

    def run(self):
        connection = self.server.connect()
        while not self.stopping.is_set():
            try:
                answer = self.server.infer(self.model, self.body, connection=connection)
                self.answers.append((answer.status, answer.body))
                if answer.headers.get("Connection") == "close":
                    connection.close()
            except (OSError, http.client.HTTPException) as error:
                self.answers.append((None, repr(error)))
                connection.close()
                connection = self.server.connect()
                if self.server.process.poll() is not None:
                    return
        connection.close()

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        for thread in self.threads:
            thread.join()

    def bad(self):
        return [answer for answer in self.answers if answer[0] != 200]
