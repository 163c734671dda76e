#!/usr/bin/env python3
"""An ensemble of two steps beside its slower step alone: answers a second of a closed loop, and the
median with one connection. Steps that take no time show what the graph itself costs; steps of known cost
show whether they overlap. Goal: 0.8 of the slower step. Medians of pairs in turns."""
import sys

from openloop import QUICK, ROUNDS, Models, Server, median, ms

SECONDS = 1 if QUICK else 3
ENSEMBLE = """name: "%s" platform: "ensemble" max_batch_size: 64
input [{ name: "INPUT0" data_type: TYPE_FP32 dims: [ 4 ] }]
output [{ name: "OUTPUT0" data_type: TYPE_FP32 dims: [ 4 ] }]
ensemble_scheduling { step [
  { model_name: "%s" model_version: -1
    input_map { key: "INPUT0" value: "INPUT0" } output_map { key: "OUTPUT0" value: "between" } },
  { model_name: "%s" model_version: -1
    input_map { key: "INPUT0" value: "between" } output_map { key: "OUTPUT0" value: "OUTPUT0" } } ] }
"""
CASES = [("trivial steps", "none", "trivial"), ("sleep 2+0.1n, 1+0.1n ms", "slept", "sleep"),
         ("spin 200+20n, 100+20n us", "spun", "spin")]


def main():
    models = Models()
    models.timed("trivial_1", 0, 0)
    models.timed("trivial_2", 0, 0)
    models.timed("sleep_1", 2000, 100)
    models.timed("sleep_2", 1000, 100)
    models.timed("spin_1", 200, 20, kind="spin")
    models.timed("spin_2", 100, 20, kind="spin")
    for _, name, step in CASES:
        models.write(name, ENSEMBLE % (name, step + "_1", step + "_2"))
    print("closed loop of 64 connections and of 1; medians of %d pairs" % ROUNDS)
    print("%-26s %10s %10s %6s | %9s %9s %6s" % ("ensemble of two", "slower/s", "ensemble/s", "ratio", "p50 sum", "ensemble", "ratio"))
    with Server(models) as server:
        for title, name, step in CASES:
            rows = []
            for _ in range(ROUNDS):
                part = server.load(step + "_1", 0, SECONDS, 0, "--warmup", "300ms", "-c", "64")["rate"]
                whole = server.load(name, 0, SECONDS, 0, "--warmup", "300ms", "-c", "64")["rate"]
                p = [ms(server.load(m, 0, 1, 0, "--warmup", "200ms", "-c", "1")["right_ns"]["p50"])
                     for m in (step + "_1", step + "_2", name)]
                rows.append((part, whole, whole / part, p[0] + p[1], p[2], p[2] / (p[0] + p[1])))
            print("%-26s %10.0f %10.0f %6.2f | %9.3f %9.3f %6.2f" % (title, *(median(c) for c in zip(*rows))), flush=True)
    models.remove()


if __name__ == "__main__":
    sys.exit(main())
