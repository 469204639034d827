#!/usr/bin/env python3
"""Prints the results of slotcon_benchmarks as Markdown: table.py benchmarks.json"""

import argparse
import collections
import json
import statistics

BASELINES = ("published", "reference", "gemm_only")
CONTEXT = ("cpu", "threads", "instruction_set", "libtorch", "compiler", "commit", "date")

# The main thread's CPU time is the steadier of the two where other programs run as well, but it is
# the time of an operation only if that runs on one thread.
CLOCKS = ("real_time", "cpu_time")

Name = collections.namedtuple("Name", "operation direction implementation dtype sizes")


class Row:
    """One row of the suite: its repetitions, or why there are none."""

    def __init__(self):
        self.milliseconds = []
        self.counters = {}
        self.why_skipped = None
        self.place = 0

    def add(self, run, clock):
        self.place = run["family_index"]
        if run.get("error_occurred"):
            self.why_skipped = run["error_message"]
        else:
            self.milliseconds.append(run[clock])
            self.counters = run

    @property
    def median(self):
        return statistics.median(self.milliseconds)

    @property
    def spread(self):
        """Half the distance between the quartiles, as a share of the median."""
        if len(self.milliseconds) < 2:
            return 0.0
        low, _, high = statistics.quantiles(self.milliseconds, n=4, method="inclusive")
        return (high - low) / 2 / self.median


def read(path, clock):
    """(context, {Name: Row}) of a file that --benchmark_out wrote, in the order of the suite."""
    with open(path, encoding="utf-8") as file:
        content = json.load(file)
    rows = collections.defaultdict(Row)
    for run in content["benchmarks"]:
        if run["run_type"] == "iteration":
            rows[Name(*run["run_name"].split("/", 4))].add(run, clock)
    return content["context"], dict(sorted(rows.items(), key=lambda item: item[1].place))


def three_digits(value):
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def scaled(row, counter, unit):
    value = row.counters.get(counter)
    return "" if value is None else three_digits(value / unit)


def ratio(rows, name, baseline):
    """How many times as long the baseline takes; below 1 it is the faster one."""
    other = rows.get(name._replace(implementation=baseline))
    if other is None or not other.milliseconds:
        return ""
    return f"{other.median / rows[name].median:.2f}"


def cells(rows, name):
    row = rows[name]
    first = [name.sizes.replace("/", " "), name.dtype, name.implementation]
    if row.why_skipped:
        return first + [f"not run: {row.why_skipped}"] + [""] * 8
    error = row.counters.get("relative_error")
    return first + [
        three_digits(row.median),
        f"{row.spread:.0%}",
        *(ratio(rows, name, baseline) for baseline in BASELINES),
        scaled(row, "flops", 1e6 * row.median),
        scaled(row, "bytes", 1e6),
        scaled(row, "peak_bytes", 1e6),
        "" if error is None else f"{error:.0e}",
    ]


def markdown_table(header, lines):
    return "\n".join("| " + " | ".join(line) + " |"
                     for line in [header, ["---"] * len(header), *lines])


def machine(context, clock):
    facts = [clock, f"{context['num_cpus']} CPUs"]
    facts += [f"{key} {context[key]}" for key in CONTEXT if context.get(key)]
    return "; ".join(facts)


def report(path, clock):
    """The whole report. `clock` is one of CLOCKS."""
    context, rows = read(path, clock)
    header = ["sizes", "dtype", "implementation", "ms", "±",
              *(f"x {baseline}" for baseline in BASELINES),
              "GFLOP/s", "MB", "peak MB", "error"]
    parts = [machine(context, clock)]
    sections = dict.fromkeys((name.operation, name.direction) for name in rows)
    for section in sections:
        lines = [cells(rows, name) for name in rows if name[:2] == section]
        parts += [f"### {section[0]}, {section[1]}", markdown_table(header, lines)]
    return "\n\n".join(parts) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results")
    parser.add_argument("--clock", choices=CLOCKS, default=CLOCKS[0])
    options = parser.parse_args()
    print(report(options.results, options.clock), end="")


if __name__ == "__main__":
    main()
