#!/usr/bin/env python3
"""A fast model beside a slow one: how long the fast one's answers take when it is alone, when the slow
one has all that it can do, and when it has ten times as much. The slow one waits (a device) or computes
(it takes the CPU that it is given: one of the cores). Medians of several runs in turns."""
import sys

from openloop import QUICK, ROUNDS, Models, Server, finish, median, ms

FAST = 1000  # requests a second
SECONDS = 2 if QUICK else 5


def run(server, kind, rate):
    """p50 and p99 of the fast model in ms, and the share of its requests that were answered."""
    slow = server.start_load(kind, rate, SECONDS + 1, 100, "--warmup", "300ms") if rate else None
    fast = server.load("fast", FAST, SECONDS, 100, "--warmup", "800ms")
    if slow is not None:
        finish(slow)
    right = fast["right_ns"]
    return ms(right["p50"]), ms(right["p99"]), 100 * right["count"] / fast["due"]


def main():
    models = Models()
    models.timed("fast", 0, 0)
    models.timed("sleep", 5000, 500)
    models.timed("spin", 5000, 500, kind="spin")
    full = 64 / (5 + 64 * 0.5) * 1000
    cases = [("alone", "sleep", 0)]
    for kind in ("sleep", "spin"):
        cases += [(f"{kind}, full load", kind, 0.8 * full), (f"{kind}, 10 times", kind, 10 * full)]
    rows = {case[0]: [] for case in cases}
    with Server(models) as server:
        for name, kind, rate in cases * ROUNDS:
            rows[name].append(run(server, kind, rate))
    models.remove()
    print("%d/s to a fast model beside a slow one (5 + 0.5 n ms); ms, medians of %d" % (FAST, ROUNDS))
    print("%-20s %7s %7s %7s %9s %9s" % ("slow model", "p50", "p99", "right%", "p50 ratio", "p99 ratio"))
    alone = [median(c) for c in zip(*rows["alone"])]
    for name, _, _ in cases:
        p50, p99, right = (median(c) for c in zip(*rows[name]))
        print("%-20s %7.3f %7.3f %7.1f %9.2f %9.2f" % (name, p50, p99, right, p50 / alone[0], p99 / alone[1]))


if __name__ == "__main__":
    sys.exit(main())
