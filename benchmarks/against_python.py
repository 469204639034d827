#!/usr/bin/env python3
"""Measures slotcon_benchmarks against Python: the same operations in eager mode and compiled.

    against_python.py build/default/bin/slotcon_benchmarks

Rounds alternate between the program and Python, so that whatever else the machine does falls on
both. Needs a Python that can `import torch`.
"""

import argparse
import collections
import json
import random
import re
import statistics
import subprocess
import time

import operations
import table

ROUNDS = 5
SECONDS = 0.2  # measured of each row in a round

GROUPING = ("B:32/K:256/N:49/D:256", "B:8/K:2048/N:196/D:256")
ROWS = [
    *(f"semantic_grouping/{direction}/float32/{size}"
      for direction in ("forward", "forward_backward") for size in GROUPING),
    *(f"semantic_grouping/forward_backward/bfloat16/{size}" for size in GROUPING),
    f"aligned_assignment/forward_backward/float32/{GROUPING[0]}",
    "slot_info_nce/forward_backward/float32/anchors:4096/keys:16384/D:256",
]


def python_calls(name):
    """{what: call} of one row."""
    import torch
    row = operations.row_of(name)
    function = operations.FUNCTIONS[row.operation]
    arguments = operations.arguments_of(row, "cpu")
    calls = {"eager": operations.call_of(row, function, arguments),
             "compiled": operations.call_of(row, torch.compile(function, dynamic=False), arguments)}
    if function is operations.grouping:
        calls["eager, as published"] = operations.call_of(row, operations.grouping_published,
                                                          arguments)
    return calls


def milliseconds(call, clock):
    now = time.thread_time if clock == "cpu_time" else time.perf_counter
    call()
    calls, start = 0, now()
    while calls == 0 or now() - start < SECONDS:
        call()
        calls += 1
    return (now() - start) / calls * 1e3


def measure_program(program, clock, times):
    """One round of slotcon's rows; skipped ones are left out."""
    names = {operations.name_of(operations.row_of(row), which): (row, which)
             for row in ROWS for which in ("fused", "reference")}
    pattern = "^(" + "|".join(re.escape(name) for name in names) + ")$"
    output = subprocess.run(
        [program, "--benchmark_format=json", f"--benchmark_min_time={SECONDS}",
         f"--benchmark_filter={pattern}"], check=True, capture_output=True, text=True).stdout
    content = json.loads(output)
    for run in content["benchmarks"]:
        if not run.get("error_occurred"):
            row, which = names[run["run_name"]]
            times[row][f"slotcon, {which}"].append(run[clock])
    return int(content["context"]["threads"])


def measure(program, clock):
    """{row: {what: [milliseconds of each round]}}"""
    import torch
    times = {row: collections.defaultdict(list) for row in ROWS}
    calls = {row: python_calls(row) for row in ROWS}
    for _ in range(ROUNDS):
        torch.set_num_threads(measure_program(program, clock, times))
        for row in random.sample(ROWS, len(ROWS)):
            for what, call in calls[row].items():
                times[row][what].append(milliseconds(call, clock))
    return times


def lines_of(row, times):
    """Ratios are to slotcon's fused kernel, or to its reference where there is none."""
    medians = {what: statistics.median(values) for what, values in times.items()}
    ours = medians.get("slotcon, fused", medians.get("slotcon, reference"))
    for what in sorted(medians, key=medians.get):
        low, high = table.three_digits(min(times[what])), table.three_digits(max(times[what]))
        yield [row, what, table.three_digits(medians[what]), f"{low} to {high}",
               f"{medians[what] / ours:.2f}"]


def report(program, clock):
    """The table; a sentence where this Python has no torch."""
    try:
        import torch
    except (ImportError, OSError) as error:
        return f"No table against Python: `import torch` fails here ({error}).\n"
    times = measure(program, clock)
    lines = [line for row in ROWS for line in lines_of(row, times[row])]
    header = ["operation", "", "ms", "range", "x slotcon"]
    return (f"### Against Python, torch {torch.__version__}\n\n"
            + table.markdown_table(header, lines) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("--clock", choices=table.CLOCKS, default=table.CLOCKS[0])
    options = parser.parse_args()
    print(report(options.program, options.clock), end="")


if __name__ == "__main__":
    main()
