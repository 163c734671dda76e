#!/usr/bin/env python3
"""Mixed traffic for TERN_SOAK_SECONDS against one server: every protocol, batches, queues, sequences, streams,
ensembles, the cache, clients that hang up, short deadlines, bursts beyond the capacity, models that come and
go by request and (on a second server) by changes of their files. Every answer is checked, every request has
exactly one outcome, the server's metrics agree, and memory, descriptors and threads stay what they were.

Exit status 0 when all of that is so. Needs what the tests need: scripts/soak makes it."""

import collections
import multiprocessing
import os
import pathlib
import re
import shutil
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "harness")]

import clients  # noqa: E402
import watch  # noqa: E402
from harness import DEADLINE, ONNX, SAMPLES, Server, model_file, put_model, put_sample, tensors, wait_for  # noqa: E402
from ledger import OUTCOMES, Sum  # noqa: E402

SECONDS = float(os.environ.get("TERN_SOAK_SECONDS", "60"))
SEED = int(os.environ.get("TERN_SOAK_SEED", "1"))
QUIET = 1.0  # seconds that a client may take to see that its time is over, beyond DEADLINE

# Growth of memory from the third quarter of the time to the last. A short run sees mostly what grows with
# the first use: pools, the cache, arenas of threads.
RSS_GROWTH_MIB = 8.0 if SECONDS >= 300 else 40.0


def parameters(**values):
    return "".join('parameters { key: "%s" value { string_value: "%s" } }\n' % item for item in values.items())


IDENTITY = (
    'backend: "identity"\nmax_batch_size: 64\n'
    + tensors("input", ("INPUT0", "FP32", -1))
    + tensors("output", ("OUTPUT0", "FP32", -1))
)
TIMED = IDENTITY + parameters(execute_delay_us=2000, execute_row_delay_us=100)
QUEUED = TIMED + (
    "dynamic_batching { preferred_batch_size: [ 4, 8 ] max_queue_delay_microseconds: 500 preserve_ordering: true "
    "priority_levels: 2 default_priority_level: 2 default_queue_policy { max_queue_size: 64 "
    "default_timeout_microseconds: 100000 allow_timeout_override: true timeout_action: REJECT } }\n"
)
SEQUENCE = (
    "max_batch_size: 4\nsequence_batching {\nmax_sequence_idle_microseconds: 60000000\n%s\n"
    + "".join(
        f'control_input [ {{ name: "{name}" control [ {{ kind: CONTROL_SEQUENCE_{name} int32_false_true: [ 0, 1 ] }} ] }} ]\n'
        for name in ("START", "READY", "END")
    )
    + 'control_input [ { name: "CORRID" control [ { kind: CONTROL_SEQUENCE_CORRID data_type: TYPE_UINT64 } ] } ]\n'
    + "}\n"
    + tensors("input", ("INPUT", "INT32", 1))
)
CHAIN = (
    'platform: "ensemble"\nmax_batch_size: 64\n'
    + tensors("input", ("INPUT0", "FP32", -1))
    + tensors("output", ("OUTPUT0", "FP32", -1))
    + "ensemble_scheduling { step [\n"
    + '{ model_name: "slow" model_version: -1 input_map { key: "INPUT0" value: "INPUT0" } output_map { key: "OUTPUT0" value: "t" } },\n'
    + '{ model_name: "fast" model_version: -1 input_map { key: "INPUT0" value: "t" } output_map { key: "OUTPUT0" value: "OUTPUT0" } } ] }\n'
)
MODELS = {
    "fast": IDENTITY,
    "slow": TIMED + "instance_group [ { count: 2 kind: KIND_CPU } ]\n",
    "burst": IDENTITY + parameters(execute_delay_us=2000, execute_row_delay_us=1000, slo="50ms"),
    "queued": QUEUED,
    "cached": TIMED + "response_cache { enable: true }\n",
    "churn": TIMED,
    "chain": CHAIN,
    "square_int32": SAMPLES["square_int32"],
    "repeat_int32": SAMPLES["repeat_int32"],
}
CLIENTS = ["Http", "Http", "Grpc", "Grpc", "Stream", "Sequences", "Bursts", "Reloads", "Scrapes"]


def write_models(folder):
    for name, config in MODELS.items():
        put_sample(folder, name, config)
    put_model(folder, "iris", model_file("iris"))
    for strategy, text in (("direct", "direct { }"), ("oldest", "oldest { max_candidate_sequences: 8 }")):
        put_model(folder, strategy, ONNX / "sequenced.onnx", config=SEQUENCE % text)


# ---- the server's own account ----


def cells(server, name):
    """{labels: value} of a metric."""
    page = server.get("/metrics").body.decode()
    return {m[0]: float(m[1]) for m in re.findall(rf"^{name}({{.*}})? (\S+)$", page, re.M)}


def check_metrics(server, total, wrong):
    """Answers: exactly as many as the clients had, but for those whose client did not wait for the end."""
    outcomes = collections.Counter()
    for labels, value in cells(server, "tern_model_requests_total").items():
        model, outcome = re.search(r'model="([^"]*)"', labels)[1], re.search(r'outcome="([^"]*)"', labels)[1]
        outcomes[model, outcome] += int(value)
    for model in sorted(total.sent):
        if model in clients.VOLATILE or not any(m == model for m, _ in outcomes):
            continue
        ok, unclear = total.ends[model, "ok"], total.unclear(model)
        inner = total.sent["chain"] if model in ("slow", "fast") else 0  # an ensemble's steps may count too
        if not ok <= outcomes[model, "ok"] <= ok + unclear + inner:
            wrong.append(f"{model}: the server counted {outcomes[model, 'ok']} answers, the clients {ok} to {ok + unclear + inner}")
    for name in ("tern_model_queue_depth", "nv_inference_pending_request_count"):
        wrong += [f"{name}{labels} is {value:.0f} at the end" for labels, value in cells(server, name).items() if value]


def settle(server, wrong):
    for name in ("tern_requests_in_flight", "tern_connections_open"):
        try:
            wait_for(lambda: sum(cells(server, name).values()) == 1, f"{name} to be the scrape's alone")
        except AssertionError as error:
            wrong.append(str(error))


# ---- the second server: files change under it ----


class Polled:
    """A model whose folder is rewritten again and again, with one client that uses it."""

    def __init__(self, folder):
        self.models = folder / "models"
        put_sample(self.models, "polled", TIMED)
        put_sample(self.models, "steady", IDENTITY)
        flags = ("--model-control", "poll", "--model-poll-interval", "200ms", "--no-supervise", "--log-level", "warn")
        self.server = Server(folder / "server", self.models, *flags).start()
        self.next, self.turn = 0, 0

    def change(self):
        """Another configuration, a version more, a version less, no model at all."""
        if time.monotonic() < self.next:
            return
        self.next, self.turn = time.monotonic() + 0.5, self.turn + 1
        folder = self.models / "polled"
        if self.turn % 4 == 0:
            (folder / "2").mkdir(exist_ok=True)
        elif self.turn % 4 == 1:
            shutil.rmtree(folder / "2", ignore_errors=True)
        elif self.turn % 4 == 2 and self.turn % 8 == 2:
            folder.rename(self.models.parent / "aside")
        elif (self.models.parent / "aside").exists():
            (self.models.parent / "aside").rename(folder)
        else:
            (folder / "config.pbtxt").write_text(TIMED + f"# {self.turn}\n")


# ---- the run ----


def spawn(kinds, address, until, models, queue, first=0):
    context = multiprocessing.get_context("spawn")
    processes = []
    for i, kind in enumerate(kinds):
        args = (kind, f"{kind.lower()} {i + first}", address, until, SEED * 1000 + i + first, models, queue)
        processes.append(context.Process(target=clients.main, args=args, daemon=True))
        processes[-1].start()
    return processes


def gather(processes, queue, wrong):
    total = Sum()
    for _ in processes:
        try:
            total.add(queue.get(timeout=DEADLINE + QUIET))
        except Exception as error:
            wrong.append(f"a client did not end: {error!r}")
    for process in processes:
        process.join(QUIET)
        if process.is_alive():
            process.kill()
    return total


def sample_until(until, server, polled, start):
    samples, step = [], min(2.0, max(0.1, SECONDS / 400))
    while time.monotonic() < until and server.process.poll() is None:
        samples.append(watch.Sample(server.process.pid, start))
        polled.change()
        time.sleep(step)
    return samples


def last_sample(server, before, start):
    """Once the connections of the scrapes are closed on the server's side too."""
    end = time.monotonic() + 5
    while True:
        sample = watch.Sample(server.process.pid, start)
        if sample.fds <= before.fds or time.monotonic() > end:
            return sample
        time.sleep(0.05)


def check_flat(samples, before, after, wrong):
    grown = watch.growth(samples) if len(samples) >= 8 else 0
    if grown > RSS_GROWTH_MIB:
        wrong.append(f"memory grew by {grown:.1f} MiB from the third quarter to the last, {RSS_GROWTH_MIB:.0f} are allowed")
    if after.fds > before.fds:
        wrong.append(f"{after.fds} descriptors at the end, {before.fds} at the start")
    if after.threads > before.threads:
        wrong.append(f"{after.threads} threads at the end, {before.threads} at the start")


def report(total, samples, after):
    print("%-14s %9s" % ("client", "sent") + "".join("%10s" % outcome for outcome in OUTCOMES))
    for name in total.clients():
        row = [total.by_client[name, outcome] for outcome in OUTCOMES]
        print("%-14s %9d" % (name, sum(row)) + "".join("%10d" % n for n in row))
    print(watch.table(samples))
    print(watch.plot(samples))
    half = samples[len(samples) // 2 :]
    print("memory: %.1f MiB at the end, %+.1f MiB from the third quarter to the last, %+.1f MiB an hour in the second half" % (
        after.rss, watch.growth(samples), watch.slope(half)))


def ready_models(server):
    """Those that this server can serve; says which it cannot."""
    index = server.index()
    ready = {name for (name, _), row in index.items() if row.get("state") == "READY"}
    for (name, _), row in index.items():
        if name not in ready:
            print(f"left out: {name}: {row.get('reason')}")
    return ready


def stop(server, wrong):
    status = server.stop()
    if status != 0:
        wrong.append(f"the server ended with {status}")
    for event in ("server.crashed", "server.cut_off"):
        wrong += [f"the log says {event}" for _ in server.events(event)[:1]]


def soak(folder):
    wrong = []
    write_models(folder / "models")
    flags = ("--model-control", "explicit", "--model-load", "*", "--drain-grace", "20s", "--http-requests-per-connection", "100000", "--no-supervise",
             "--cache-local-size", "8MiB")
    server = Server(folder / "server", folder / "models", *flags, "--log-level", "warn").start()
    polled = Polled(folder / "poll")
    models = ready_models(server)
    queue = multiprocessing.get_context("spawn").Queue()
    settle(server, wrong)
    before, start = watch.Sample(server.process.pid, time.monotonic()), time.monotonic()
    until = start + SECONDS
    processes = spawn(CLIENTS, server.address, until, models, queue)
    processes += spawn(["PolledHttp"], polled.server.address, until, {"polled", "steady"}, queue, len(CLIENTS))
    samples = sample_until(until, server, polled, start)
    total = gather(processes, queue, wrong)
    wrong += total.wrong
    if server.process.poll() is None:
        settle(server, wrong)
        check_metrics(server, total, wrong)
        after = last_sample(server, before, start)
        check_flat(samples, before, after, wrong)
        report(total, samples, after)
    stop(server, wrong)
    stop(polled.server, wrong)
    return wrong


def main():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="tern-soak-"))
    wrong = soak(folder)
    for text in wrong[:40]:
        print("WRONG:", text)
    print("%.0f s, seed %d: %s" % (SECONDS, SEED, "%d findings, logs in %s" % (len(wrong), folder) if wrong else "nothing found"))
    if not wrong:
        shutil.rmtree(folder)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
