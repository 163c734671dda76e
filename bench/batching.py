#!/usr/bin/env python3
"""Batching without configuration against the best of a grid of configured ones.

For models of known cost (a run of n rows takes a + b n) and for a real one: the greatest Poisson load
of which 99 % is answered within the deadline (i) with nothing configured (ours) or only the deadline
(told), (ii) for each point of a grid of max_queue_delay and preferred sizes, (iii) one row at a time; and
the median at a tenth of (iii) beside (iii). QUICK=1: fewer settings and a coarser grid. Goals: 0.97 of the best, 1.02 of the median."""
import itertools
import sys

from openloop import QUICK, ROUNDS, TOP, Models, Probe, Server, dynamic, median, ms, slo as deadline

# a in ms, b / a, instances, deadline / a. Full batches make a few thousand rows a second at most, so that
# neither the server's protocol nor the generator is what is measured.
SETTINGS = [(10, 0.02, 2, 3), (8, 0.1, 2, 10), (4, 0.1, 1, 10), (10, 0.1, 2, 3), (10, 0.1, 4, 3), (4, 0.5, 2, 10)]
DELAYS = [0, 0.25, 0.5, 1]  # x a
SIZES = [(), (4,), (8,), (16,), (32,), (64,)]
if QUICK:
    SETTINGS, DELAYS, SIZES = SETTINGS[:2], [0, 0.5], [(), (8,), (32,)]


def grid_name(delay, sizes):
    return "grid_%d_%s" % (delay * 100, sizes[0] if sizes else "any")


def write_timed(models, a, b, instances, slo):
    args = a * 1000, a * b * 1000, instances
    models.timed("ours", *map(round, args))
    models.timed("told", *map(round, args), more=deadline(slo * a))
    models.timed("single", *map(round, args), rows_max=1)
    for delay, sizes in itertools.product(DELAYS, SIZES):
        models.timed(grid_name(delay, sizes), *map(round, args), more=dynamic(delay * a * 1000, sizes))


def write_mlp(models, instances, a, slo):
    file = TOP / "bench/models/mlp.onnx"
    config = 'name: "%s" backend: "onnxruntime" max_batch_size: %d\ninstance_group [{ count: %d kind: KIND_CPU }]\n'
    models.write("ours", config % ("ours", 64, instances), file)
    models.write("told", config % ("told", 64, instances) + deadline(slo * a), file)
    models.write("single", config % ("single", 1, instances), file)
    for delay, sizes in itertools.product(DELAYS, SIZES):
        name = grid_name(delay, sizes)
        models.write(name, config % (name, 64, instances) + dynamic(delay * a * 1000, sizes), file)


def search_grid(server, slo, start, ceiling):
    """Each setting has to beat the best so far by a little, else it is out after one look."""
    best, best_name = 0, ""
    for delay, sizes in itertools.product(DELAYS, SIZES):
        probe = Probe(server, grid_name(delay, sizes), slo)
        low = best * 1.02 if best else start
        if low < ceiling and probe.keeps_up(low):
            best, best_name = probe.most(low, ceiling, 1.05), probe.model
            best = max(best, low)
    return best, best_name


def low_load(server, rate, slo):
    """Medians at a tenth of what one row at a time could do, in turns: ours, single, their ratio."""
    ours, single = [], []
    for seed in range(ROUNDS):
        for model, into in (("ours", ours), ("single", single)):
            result = Probe(server, model, slo, 100 if QUICK else 500).run(rate, seed)
            into.append(ms(result["right_ns"]["p50"]))
    return median(ours), median(single), median(o / s for o, s in zip(ours, single))


def compare(server, title, a, instances, slo, ceiling):
    single = Probe(server, "single", slo).most(0.05 * instances / a * 1000, 1.1 * instances / a * 1000, 1.1)
    start = max(single, 0.05 * instances / a * 1000)
    for model in ("ours", "told"):  # they learn
        Probe(server, model, slo).run(start)
    best, name = search_grid(server, slo, start, ceiling)
    most = {model: [] for model in ("ours", "told", name)}
    for seed in range(ROUNDS if best else 0):  # in turns, with the same arrivals
        for model, into in most.items():
            into.append(Probe(server, model, slo).near(0.9 * best, 1.03, 10 * seed + 7))
    ours, told, fixed = (median(most[model] or [0]) for model in ("ours", "told", name))
    p50_ours, p50_single, p50 = low_load(server, max(5, 0.1 * instances / a * 1000), slo)
    print("%-32s %7.0f %7.0f %-9s %7.0f %5.2f %7.0f %5.2f | %6.2f %6.2f %5.2f" % (
        title, single, fixed, name[5:], ours, ours / max(1, fixed), told, told / max(1, fixed), p50_ours, p50_single, p50),
        flush=True)


def timed(a, b, instances, slo):
    models = Models()
    write_timed(models, a, b, instances, slo)
    ceiling = 1.1 * instances * 64 / (a + 64 * a * b) * 1000
    with Server(models) as server:
        compare(server, "a %g ms, b %g a, %d inst., SLO %g a" % (a, b, instances, slo), a, instances, slo * a, ceiling)
    models.remove()


def mlp(instances, slo):
    models = Models()
    a = 1.0  # as long as one row takes here, about
    write_mlp(models, instances, a, slo)
    with Server(models) as server:
        compare(server, "MLP, %d inst., SLO %g ms" % (instances, slo * a), a, instances, slo * a, 20000)
    models.remove()


def main():
    print("the greatest load with 99 %% in time: median of %d; p50 in ms at a tenth of what single could do" % ROUNDS)
    print("%-32s %7s %7s %-9s %7s %5s %7s %5s | %6s %6s %5s" % (
        "model", "single", "grid", "(%, size)", "ours", "ratio", "told", "ratio", "ours", "single", "ratio"))
    for setting in SETTINGS:
        timed(*setting)
    mlp(1, 10)


if __name__ == "__main__":
    sys.exit(main())
