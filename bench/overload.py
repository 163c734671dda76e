#!/usr/bin/env python3
"""Overload: how much is still answered in time at 1, 2 and 10 times what a model can do, how long the
answers take, and how soon everything is well again afterwards.

The capacity is measured first: the greatest Poisson load of which 99 % is answered in time. A second,
small load runs before, during and after the overload; the time to recover is how long after its end
the last tenth of a second lies in which less than 95 % of that one was answered in time.
The models are told their deadline (the parameter `slo`); the last is not. Goal: at twice the capacity
goodput stays at 85 % of it."""
import sys

from openloop import QUICK, ROUNDS, Models, Probe, Server, finish, median, ms, slo as told

SETTINGS = [(4, 0.1, 1, 10), (4, 0.5, 2, 10), (4, 0.1, 2, 5)]  # a ms, b / a, instances, deadline / a
FACTORS = [1, 2, 10]
SLICE_MS = 100
BEFORE, DURING, AFTER = 1, 3, 3
if QUICK:
    SETTINGS = SETTINGS[:2]


def recovery_ms(small, big):
    """From the end of the overload to the end of the last slice in which the small load suffered."""
    end = big["start_ns"] + big["sending_seconds"] * 1e9
    last = end
    for i, (due, well) in enumerate(small["intervals"]):
        at = small["start_ns"] + (i + 1) * SLICE_MS * 1e6
        if at > end and due > 0 and well < 0.95 * due:
            last = at
    return ms(last - end)


def overload(server, capacity, slo, factor, seed):
    small = server.start_load("model", 0.1 * capacity, BEFORE + DURING + AFTER, slo, "--warmup", "200ms",
                              "--interval", f"{SLICE_MS}ms", "--seed", 1000 + seed)
    big = server.load("model", factor * capacity - 0.1 * capacity, DURING, slo, "--warmup", f"{BEFORE * 1000}ms",
                      "--threads", "1", "--seed", seed)
    return finish(small), big


def one(a, b, instances, factor_slo, knows):
    models = Models()
    more = told(a * factor_slo) if knows else ""
    models.timed("model", a * 1000, round(a * b * 1000), instances, more=more)
    # Who is not told takes ten times the 99th percentile of one row for the time an answer may take.
    factor_slo *= 1 if knows else 2
    slo, full = a * factor_slo, instances * 64 / (a + 64 * a * b) * 1000
    title = "a %g ms, b %g a, %d inst., SLO %g a%s" % (a, b, instances, factor_slo, "" if knows else ", untold")
    with Server(models) as server:
        probe = Probe(server, "model", slo)
        probe.run(0.2 * full)
        capacity = median(probe.most(0.05 * full, 1.1 * full, 1.05, 50 + i) for i in range(ROUNDS))
        if capacity == 0:
            print("%-40s keeps up with nothing: %.0f/s is too much" % (title, 0.05 * full), flush=True)
            return
        for factor in FACTORS:
            rows = []
            for seed in range(ROUNDS):
                small, big = overload(server, capacity, slo, factor, seed)
                goodput = (big["goodput"] + small["outcomes"]["in_time"] / small["sending_seconds"]) / capacity
                o, due = big["outcomes"], max(1, big["due"])
                rows.append((goodput, 100 * o["in_time"] / due, 100 * o["late"] / due, 100 * o["refused"] / due,
                             100 * (o["timeout"] + o["failed"] + o["unsent"] + o["wrong"]) / due,
                             ms(big["right_ns"]["p50"]), ms(big["right_ns"]["p99"]), recovery_ms(small, big),
                             ms(big["generator_lag_ns"]["p99"])))
            print("%-40s %8.0f %4dx %7.2f %7.1f %6.1f %7.1f %6.1f %7.1f %7.1f %8.0f %7.2f" % (
                title, capacity, factor, *(median(c) for c in zip(*rows))), flush=True)
    models.remove()


def main():
    print("Poisson load of %d s; medians of %d; ms; goodput beside the capacity" % (DURING, ROUNDS))
    print("%-40s %8s %5s %7s %7s %6s %7s %6s %7s %7s %8s %7s" % (
        "model", "capacity", "load", "goodput", "intime%", "late%", "refuse%", "lost%", "p50", "p99", "recovery", "lag99"))
    for setting in SETTINGS:
        one(*setting, True)
    one(*SETTINGS[0], False)


if __name__ == "__main__":
    sys.exit(main())
