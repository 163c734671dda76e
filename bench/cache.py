#!/usr/bin/env python3
"""What an answer from the cache costs: the same model with and without `response_cache`, for a model that
takes no time (what the cache adds) and for one of 2 ms (what it saves); 64 different requests, all known
after the first round. Answers a second of a closed loop, CPU time a request of the server, and the median
with one connection. Medians of pairs in turns."""
import sys

from openloop import QUICK, ROUNDS, TOP, Models, Server, median, ms

SECONDS = 1 if QUICK else 3
CACHE = "response_cache { enable: true }\n"
CASES = [("takes no time", "trivial"), ("2 ms, sleeping", "slow"), ("MLP", "mlp")]
MLP = 'name: "%s" backend: "onnxruntime" max_batch_size: 64\n'


def measure(server, model):
    many = server.load(model, 0, SECONDS, 0, "--warmup", "300ms", "-c", "64")
    one = server.load(model, 0, 1, 0, "--warmup", "200ms", "-c", "1")
    cpu = (many["server_user_ns"] + many["server_system_ns"]) / max(1, many["requests"]) / 1000
    return many["rate"], cpu, ms(one["right_ns"]["p50"]) * 1000


def main():
    models = Models()
    models.timed("trivial", 0, 0)
    models.timed("trivial_cached", 0, 0, more=CACHE)
    models.timed("slow", 2000, 0)
    models.timed("slow_cached", 2000, 0, more=CACHE)
    file = TOP / "bench/models/mlp.onnx"
    models.write("mlp", MLP % "mlp", file)
    models.write("mlp_cached", MLP % "mlp_cached" + CACHE, file)
    print("closed loop of 64 connections, p50 with 1; medians of %d pairs" % ROUNDS)
    print("%-16s %9s %9s %6s | %7s %7s %6s | %8s %8s %6s" % (
        "model", "run/s", "hit/s", "ratio", "CPU us", "hit", "ratio", "p50 us", "hit", "ratio"))
    with Server(models, "--cache-local-size", "64MiB") as server:
        for title, name in CASES:
            rows = []
            for _ in range(ROUNDS):
                pair = measure(server, name), measure(server, name + "_cached")
                rows.append([v for run, hit in zip(*pair) for v in (run, hit, hit / run)])
            print("%-16s %9.0f %9.0f %6.2f | %7.2f %7.2f %6.2f | %8.1f %8.1f %6.2f" % (
                title, *(median(c) for c in zip(*rows))), flush=True)
    models.remove()


if __name__ == "__main__":
    sys.exit(main())
