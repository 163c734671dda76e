"""What the server process holds, sampled while the soak runs, and whether it stays the same."""

import os
import pathlib
import time

PLOT_WIDTH, PLOT_HEIGHT = 72, 10


class Sample:
    def __init__(self, pid, start):
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
        fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
        self.at = time.monotonic() - start
        self.rss = int(fields["VmRSS"].split()[0]) / 1024
        self.threads = int(fields["Threads"])
        self.fds = len(os.listdir(f"/proc/{pid}/fd"))


def slope(samples):
    """MiB an hour, by least squares."""
    n = len(samples)
    at, rss = sum(s.at for s in samples) / n, sum(s.rss for s in samples) / n
    square = sum((s.at - at) ** 2 for s in samples)
    return 3600 * sum((s.at - at) * (s.rss - rss) for s in samples) / square if square else 0.0


def growth(samples):
    """From the third to the last quarter of the time, in MiB: medians, so that a burst is no growth."""
    n = len(samples)

    def middle(part):
        return sorted(s.rss for s in part)[len(part) // 2]

    return middle(samples[3 * n // 4 :]) - middle(samples[n // 2 : 3 * n // 4])


def plot(samples):
    columns = min(PLOT_WIDTH, len(samples))
    tops = [max(s.rss for s in samples[i * len(samples) // columns : (i + 1) * len(samples) // columns]) for i in range(columns)]
    most = max(tops) or 1
    lines = []
    for row in range(PLOT_HEIGHT, 0, -1):
        marks = "".join("#" if top >= most * (row - 0.5) / PLOT_HEIGHT else " " for top in tops)
        lines.append("%7.1f |%s" % (most * row / PLOT_HEIGHT, marks))
    lines.append("    MiB +" + "-" * columns)
    lines.append("         0 s%*s" % (max(1, columns - 3), "%.0f s" % samples[-1].at))
    return "\n".join(lines)


def table(samples):
    lines = ["%8s %9s %8s %5s" % ("s", "RSS MiB", "threads", "fds")]
    for i in range(11):
        s = samples[min(len(samples) - 1, i * (len(samples) - 1) // 10)]
        lines.append("%8.0f %9.1f %8d %5d" % (s.at, s.rss, s.threads, s.fds))
    return "\n".join(lines)
