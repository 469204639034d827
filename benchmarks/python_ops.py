#!/usr/bin/env python3
"""Measures slotcon's operators for Python against PyTorch's: eager and through torch.compile.

    python_ops.py build/python/python

The folder is where the operators are built. Before a row is timed, the results and gradients of
every implementation are compared with float64. A round times each once, in a random order, and a
ratio is that of two times of one round: whatever else the machine does falls on both. Where that is
much, --clock cpu_time measures one thread by the time that it was given.
"""

import argparse
import os
import pathlib
import random
import statistics
import sys
import tempfile
import time

import operations
import table

SECONDS = 0.15  # measured of each implementation in a round
TOLERANCES = {"float32": 1e-4, "bfloat16": 3e-2}

COCO, FINE, DENSE, TINY = ("B:32/K:256/N:49/D:256", "B:8/K:2048/N:196/D:256",
                           "B:2/K:256/N:3136/D:256", "B:3/K:77/N:33/D:50")
ROWS = [operations.row_of(name) for name in (
    *(f"semantic_grouping/{direction}/float32/{size}" for size in (COCO, FINE, DENSE, TINY)
      for direction in ("forward", "forward_backward")),
    *(f"semantic_grouping/{direction}/bfloat16/{size}" for size in (COCO, FINE)
      for direction in ("forward", "forward_backward")),
    *(f"aligned_assignment/forward_backward/float32/{size}" for size in (COCO, FINE, DENSE)),
    "slot_info_nce/forward_backward/float32/anchors:4096/keys:16384/D:256",
    "slot_info_nce/forward_backward/float32/anchors:2500/keys:20000/D:256",
    "slot_info_nce/forward_backward/float32/anchors:60/keys:70/D:50",
)]

OTHERS = ("slotcon, compiled", "compiled", "eager")


def grouping(features, prototypes):
    import slotcon_ops
    return slotcon_ops.semantic_grouping(features, prototypes)[:2]


def distillation(student, teacher, center, *views):
    import slotcon_ops
    return slotcon_ops.aligned_assignment_cross_entropy(student, teacher, *views,
                                                        center.flatten(1))


def contrast(queries, keys, positive):
    import slotcon_ops
    return slotcon_ops.info_nce(queries, keys, positive)


FUSED = {"semantic_grouping": grouping, "aligned_assignment": distillation,
         "slot_info_nce": contrast}


def arguments_for(fused, row, arguments):
    """Scores come in the memory order in which each implementation's own grouping leaves them."""
    if not fused or row.operation != "aligned_assignment":
        return arguments

    def channels_last(scores):
        import torch
        return scores.detach().contiguous(memory_format=torch.channels_last)

    return arguments._replace(trained=[channels_last(arguments.trained[0]).requires_grad_()],
                              fixed=[channels_last(arguments.fixed[0]), *arguments.fixed[1:]])


def calls_of(row):
    """{implementation: call}, each of which gives the right results."""
    import torch
    fused, eager = FUSED[row.operation], operations.FUNCTIONS[row.operation]
    arguments = operations.arguments_of(row, "cpu")
    calls = {}
    for name, function in {"slotcon": fused, "eager": eager}.items():
        own = arguments_for(function is fused, row, arguments)
        calls[name] = operations.call_of(row, function, own)
        compiled = "compiled" if name == "eager" else "slotcon, compiled"
        calls[compiled] = operations.call_of(
            row, torch.compile(function, fullgraph=True, dynamic=False), own)
    expected = operations.call_of(row, eager, operations.in_float64(arguments))()
    for what, call in calls.items():
        errors = [((result.double() - right).norm() / right.norm()).item()
                  for result, right in zip(call(), expected)]
        if not all(error <= TOLERANCES[row.precision] for error in errors):
            raise ArithmeticError(f"{row}, {what}: wrong results, relative errors {errors}")
    return calls


def milliseconds(call, now):
    call()
    calls, start = 0, now()
    while calls == 0 or now() - start < SECONDS:
        call()
        calls += 1
    return (now() - start) / calls * 1e3


def line_of(row, rounds, now):
    """The line of the table, from the times of each implementation in every round."""
    calls = calls_of(row)
    times = {what: [] for what in calls}
    for _ in range(rounds):
        for what in random.sample(list(calls), len(calls)):
            times[what].append(milliseconds(calls[what], now))
    line = ["/".join(row), table.three_digits(statistics.median(times["slotcon"]))]
    for what in OTHERS:
        ratios = [other / ours for other, ours in zip(times[what], times["slotcon"])]
        line.append(f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")
    return line


def measure(options):
    """The table. What is compiled here is for this number of threads, so no cache may answer."""
    sys.path.insert(0, str(options.folder.resolve()))
    import torch
    now = time.perf_counter
    if options.clock == "cpu_time":
        torch.set_num_threads(1)
        now = time.thread_time
    lines = []
    for row in ROWS:
        torch.compiler.reset()
        lines.append(line_of(row, options.rounds, now))
        print(f"{'/'.join(row)} done", file=sys.stderr)
    return (f"torch {torch.__version__}; threads {torch.get_num_threads()}; {options.clock}; "
            f"rounds {options.rounds}\n\n"
            + table.markdown_table(["operation", "slotcon, ms", *(f"{what}, x slotcon"
                                                                   for what in OTHERS)], lines))


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--clock", choices=table.CLOCKS, default=table.CLOCKS[0])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as cache:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = cache
        print(measure(options))


if __name__ == "__main__":
    main()
