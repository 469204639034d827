#!/usr/bin/env python3
"""Measures slotcon_benchmarks against Python: the same operations in eager mode and compiled.

    against_python.py build/default/bin/slotcon_benchmarks

Rounds alternate between the program and Python, so that whatever else the machine does falls on
both. Needs a Python that can `import torch`.
"""

import argparse
import collections
import json
import math
import random
import re
import statistics
import subprocess
import time

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


def unit(x, dim):
    return x / x.norm(dim=dim, keepdim=True).clamp_min(1e-12)


def grouping_published(features, prototypes):
    """As published: prototypes repeated for every image."""
    import torch
    kind = features.dtype
    table_of_image = prototypes.unsqueeze(0).repeat(features.shape[0], 1, 1)
    scores = torch.einsum("bdn,bkd->bkn", unit(features.float(), 1).to(kind),
                          unit(table_of_image, 2).to(kind))
    assignment = (scores / 0.07).softmax(1, dtype=torch.float32) + 1e-6
    weights = assignment / assignment.sum(2, keepdim=True)
    return torch.einsum("bdn,bkn->bkd", features, weights.to(kind)), scores


def grouping(features, prototypes):
    """The same results with fewer operations, those of slotcon's reference."""
    import torch
    kind = features.dtype
    scores = torch.matmul(unit(prototypes, 1).to(kind), unit(features.float(), 1).to(kind))
    assignment = (scores / 0.07).softmax(1, dtype=torch.float32) + 1e-6
    weights = assignment / assignment.sum(2, keepdim=True)
    return torch.bmm(weights.to(kind), features.transpose(1, 2)), scores


def axis_weights(first, last, size):
    """[B,size,size]: how one axis of the aligned map samples the map, for boxes inside it."""
    import torch
    pixel = torch.arange(size)
    extent = (last - first).unsqueeze(1)
    position = first.unsqueeze(1) * size - 0.5 + (pixel + 0.5) * extent
    distance = (position.clamp(0, size - 1).unsqueeze(2) - pixel).abs()
    return (1 - distance).clamp_min(0)


def align(maps, boxes, flipped):
    """Aligned RoIAlign and the mirror image where flipped, as matrix products."""
    import torch
    rows = axis_weights(boxes[:, 1], boxes[:, 3], maps.shape[2])
    columns = axis_weights(boxes[:, 0], boxes[:, 2], maps.shape[3])
    columns = torch.where(flipped[:, None, None], columns.flip(1), columns)
    return torch.einsum("bpy,bkyx,bqx->bkpq", rows, maps, columns)


def distillation(student, teacher, center, student_view, teacher_view):
    import torch
    targets = ((align(teacher, *teacher_view) - center) / 0.07).softmax(1)
    log_assignment = (align(student, *student_view) / 0.1).log_softmax(1)
    return -(targets * log_assignment).sum(1).mean()


def contrast(queries, keys, positive):
    import torch
    logits = torch.matmul(unit(queries, 1), unit(keys, 1).t()) / 0.2
    return torch.nn.functional.cross_entropy(logits, positive) * 0.4


def sizes_of(row):
    return {key: int(value) for key, value in re.findall(r"(\w+):(\d+)", row)}


def grouping_call(row, function):
    import torch
    size = sizes_of(row)
    kind = torch.bfloat16 if "bfloat16" in row else torch.float32
    features = torch.randn(size["B"], size["D"], size["N"]).to(kind)
    prototypes = torch.randn(size["K"], size["D"])
    if "forward_backward" not in row:
        def forward():
            with torch.no_grad():
                function(features, prototypes)
        return forward
    features.requires_grad_()
    prototypes.requires_grad_()
    slot_gradient = torch.randn(size["B"], size["K"], size["D"]).to(kind)
    score_gradient = torch.randn(size["B"], size["K"], size["N"]).to(kind)
    return lambda: torch.autograd.grad(function(features, prototypes), (features, prototypes),
                                       (slot_gradient, score_gradient))


def distillation_call(row, function):
    import torch
    size = sizes_of(row)
    side = math.isqrt(size["N"])
    scores = [torch.rand(size["B"], size["K"], side, side) for _ in range(2)]
    views = [(torch.cat([0.3 * torch.rand(size["B"], 2), 1 - 0.3 * torch.rand(size["B"], 2)], 1),
              torch.rand(size["B"]) < 0.5) for _ in range(2)]
    student = scores[0].requires_grad_()
    center = torch.zeros(1, size["K"], 1, 1)
    return lambda: torch.autograd.grad(function(student, scores[1], center, *views), student)


def contrast_call(row, function):
    import torch
    size = sizes_of(row)
    queries = torch.randn(size["anchors"], size["D"], requires_grad=True)
    keys = torch.randn(size["keys"], size["D"])
    positive = torch.randperm(size["keys"])[:size["anchors"]]
    return lambda: torch.autograd.grad(function(queries, keys, positive), queries)


def python_calls(row):
    """{what: call} of one row."""
    import torch
    make, function = {"semantic_grouping": (grouping_call, grouping),
                      "aligned_assignment": (distillation_call, distillation),
                      "slot_info_nce": (contrast_call, contrast)}[row.split("/")[0]]
    calls = {"eager": make(row, function),
             "compiled": make(row, torch.compile(function, dynamic=False))}
    if function is grouping:
        calls["eager, as published"] = make(row, grouping_published)
    return calls


def milliseconds(call, clock):
    now = time.thread_time if clock == "cpu_time" else time.perf_counter
    call()
    calls, start = 0, now()
    while calls == 0 or now() - start < SECONDS:
        call()
        calls += 1
    return (now() - start) / calls * 1e3


def name_in_program(row, implementation):
    operation, direction, rest = row.split("/", 2)
    return f"{operation}/{direction}/{implementation}/{rest}"


def measure_program(program, clock, times):
    """One round of slotcon's rows; skipped ones are left out."""
    names = {name_in_program(row, which): (row, which)
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
