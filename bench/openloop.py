"""What the benches of the scheduler share: servers with models of known cost, open-loop load by
`tern bench`, and the search for the greatest load that is answered in time."""
import json
import os
import pathlib
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

TOP = pathlib.Path(__file__).resolve().parent.parent
TERN = os.environ.get("TERN_BIN", str(pathlib.Path(os.environ.get("OUT", TOP / "build/release")) / "tern"))
QUICK = os.environ.get("QUICK", "") not in ("", "0")
ROUNDS = int(os.environ.get("ROUNDS", "2" if QUICK else "5"))
SHARE = 0.99  # of the requests, answered in time: what counts as keeping up

signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # servers end with the block they are in

CONFIG = """name: "%s" backend: "identity" max_batch_size: %d
input [{ name: "INPUT0" data_type: TYPE_FP32 dims: [ 4 ] }]
output [{ name: "OUTPUT0" data_type: TYPE_FP32 dims: [ 4 ] }]
instance_group [{ count: %d kind: KIND_CPU }]
"""


def parameter(key, value):
    return 'parameters { key: "%s" value { string_value: "%s" } }\n' % (key, value)


def slo(milliseconds):
    """The model's deadline, for requests that bring none."""
    return parameter("slo", f"{round(milliseconds * 1000)}us")


def dynamic(delay_us, preferred=()):
    """Triton's batching, as it is configured."""
    sizes = "preferred_batch_size: [ %s ] " % ", ".join(map(str, preferred)) if preferred else ""
    return "dynamic_batching { %smax_queue_delay_microseconds: %d }\n" % (sizes, delay_us)


class Models:
    """A folder of models for a server."""

    def __init__(self):
        self.path = pathlib.Path(tempfile.mkdtemp(prefix="tern-bench-"))

    def write(self, name, config, file=None):
        folder = self.path / name / "1"
        folder.mkdir(parents=True)
        (folder.parent / "config.pbtxt").write_text(config)
        if file is not None:
            shutil.copy(file, folder / "model.onnx")
        return name

    def timed(self, name, a_us, b_us, instances=1, rows_max=64, kind="sleep", more=""):
        """Takes a + b n for n rows, on each of its instances."""
        config = CONFIG % (name, rows_max, instances) + parameter("execute_delay_kind", kind)
        config += parameter("execute_delay_us", a_us) + parameter("execute_row_delay_us", b_us)
        return self.write(name, config + more)

    def remove(self):
        shutil.rmtree(self.path, ignore_errors=True)


class Server:
    """`tern serve` on a free port, for as long as the block."""

    def __init__(self, models, *flags):
        self.models, self.flags = models, flags

    def __enter__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="tern-bench-"))
        ready = self.folder / "ready"
        self.log = open(self.folder / "log", "wb")
        command = [TERN, "serve", str(self.models.path), "--listen", "127.0.0.1:0,admin", "--no-supervise",
                   "--no-log-access", "--log-level", "warn", "--http-requests-per-connection", "1000000000",
                   "--http-connections-per-ip", "100000", "--ready-file", str(ready), *self.flags]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        while not (ready.exists() and ready.read_text().endswith("\n")):
            if self.process.poll() is not None:
                sys.exit((self.folder / "log").read_text())
            time.sleep(0.01)
        self.url = ready.read_text().split()[0]
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self.log.close()
        said = (self.folder / "log").read_text()
        if self.process.returncode != 0:
            print(f"the server ended with {self.process.returncode}:\n{said[-2000:]}", file=sys.stderr)
        shutil.rmtree(self.folder, ignore_errors=True)

    def start_load(self, model, rate, seconds, slo_ms=0, *flags):
        """One `tern bench` in the background. rate 0: closed loop."""
        command = [TERN, "bench", model, "--url", self.url, "--duration", f"{int(seconds * 1000)}ms",
                   "--output", "json", "--pid", str(self.process.pid), "--timeout", f"{int(500 + 4 * slo_ms)}ms"]
        if rate > 0:
            command += ["--rate", str(max(1, round(rate))), "--poisson", "--slo", f"{int(slo_ms * 1000)}us",
                        "--connections", "64", "--connections-max", "4000"]
        return subprocess.Popen(command + [str(f) for f in flags], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def load(self, *args):
        return finish(self.start_load(*args))


def finish(process):
    out, err = process.communicate()
    try:
        return json.loads(out)
    except json.JSONDecodeError:
        sys.exit(f"tern bench ended with {process.returncode}: {err}")


def in_time(result):
    return result["outcomes"]["in_time"] / max(1, result["due"])


def ms(ns):
    return ns / 1e6


class Probe:
    """Asks whether a model keeps up with a rate: 99 % of a few thousand requests are answered in time."""

    def __init__(self, server, model, slo_ms, requests=800 if QUICK else 2000):
        self.server, self.model, self.slo_ms, self.requests = server, model, slo_ms, requests

    def run(self, rate, seed=1):
        seconds = min(10, max(1, self.requests / rate))
        result = self.server.load(self.model, rate, seconds, self.slo_ms, "--warmup", "300ms", "--seed", seed)
        lag = ms(result["generator_lag_ns"]["p99"])
        if lag > self.slo_ms / 4:
            print(f"  (the generator itself was late by {lag:.1f} ms at {rate:.0f}/s)", file=sys.stderr)
        return result

    def keeps_up(self, rate, seed=1):
        """Twice, if it failed by little: this machine has other things to do."""
        share = in_time(self.run(rate, seed))
        if SHARE - 0.03 <= share < SHARE:
            share = max(share, in_time(self.run(rate, seed + 100)))
        return share >= SHARE

    def most(self, low, high, step=1.03, seed=1):
        """The greatest rate between the two that it keeps up with; 0 when not even with low."""
        return self.between(low, high, step, seed) if self.keeps_up(low, seed) else 0

    def between(self, low, high, step, seed):
        """The same when it is known to keep up with low."""
        best = low
        while high / best > step:
            rate = (best * high) ** 0.5
            if self.keeps_up(rate, seed):
                best = rate
            else:
                high = rate
        return best

    def near(self, guess, step, seed):
        """The greatest rate that it keeps up with, looked for from a guess in both directions."""
        low, high = guess, guess
        while not self.keeps_up(low, seed):
            low, high = low / 1.3, low
            if low < guess / 20:
                return 0
        while low == high and self.keeps_up(high * 1.3, seed):
            low = high = high * 1.3
        return self.between(low, high * 1.3 if low == high else high, step, seed)


def median(values):
    return statistics.median(values)
