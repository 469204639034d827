#!/usr/bin/env python3
"""Measures PyTorch on a GPU at rows of slotcon_benchmarks: eager and torch.compile, each call by
call and as a CUDA graph. Writes JSON as Google Benchmark does, after every row.

    gpu_python.py --output rows.json --seconds 120

With --compile-only it compiles all functions and measures nothing: what the compiler finds stays in
the folder that TORCHINDUCTOR_CACHE_DIR names.
"""

import argparse
import json
import pathlib
import statistics
import time

import operations

GROUPING = "semantic_grouping/forward_backward"
DISTILLATION = "aligned_assignment/forward_backward/float32"
CONTRAST = "slot_info_nce/forward_backward"
COCO, IMAGENET, FINE, DENSE = (f"B:64/{size}/D:256" for size in (
    "K:256/N:49", "K:2048/N:49", "K:2048/N:196", "K:2048/N:3136"))

# What the goals of gpu_report.py need, then the others; the most telling first, as there may be no
# time for all.
GOAL_ROWS = [operations.row_of(name) for name in (
    f"{GROUPING}/bfloat16/{FINE}",
    f"{GROUPING}/bfloat16/{COCO}",
    f"{GROUPING}/float32/{COCO}",
    f"{CONTRAST}/tf32/anchors:32768/keys:32768/D:256",
    f"{DISTILLATION}/{FINE}",
    f"{DISTILLATION}/{COCO}",
    f"{GROUPING}/bfloat16/{DENSE}",
    f"{CONTRAST}/float32/anchors:32768/keys:32768/D:256",
)]
OTHER_ROWS = [operations.row_of(name) for name in (
    f"{GROUPING}/tf32/{FINE}",
    f"{GROUPING}/float16/{FINE}",
    f"semantic_grouping/forward/bfloat16/{FINE}",
    f"{CONTRAST}/tf32/anchors:2500/keys:20000/D:256",
    f"{GROUPING}/bfloat16/{IMAGENET}",
    f"{GROUPING}/float32/{FINE}",
    f"{CONTRAST}/tf32/anchors:2048/keys:2048/D:256",
    f"{CONTRAST}/tf32/anchors:8192/keys:8192/D:256",
)]

# Implementations and the modes in which torch.compile makes them. Graphs are recorded here, of all
# of them alike, and not by torch.compile.
MODES = {"eager": None, "compile": "default", "compile_max_autotune": "max-autotune-no-cudagraphs"}

TOLERANCES = {"float32": 1e-4, "tf32": 1e-2, "bfloat16": 3e-2, "float16": 1e-2}
FLUSHED_BYTES = 256 << 20  # more than any GPU's cache holds
WARM_UPS = 3
FEWEST_SAMPLES, MOST_SAMPLES = 20, 100
MILLISECONDS = 100  # of all samples, if there are more than the fewest


class Gpu:
    """How a call is measured: as slotcon_benchmarks measures it (cuda_device.cpp)."""

    def __init__(self):
        import torch
        self.torch = torch
        self.flushed = torch.empty(FLUSHED_BYTES, dtype=torch.uint8, device="cuda")
        self.start, self.end = (torch.cuda.Event(enable_timing=True) for _ in range(2))

    def peak_bytes(self, call):
        cuda = self.torch.cuda
        cuda.reset_peak_memory_stats()
        before = cuda.memory_allocated()
        call()
        return cuda.max_memory_allocated() - before

    def milliseconds(self, call):
        """From an idle GPU with an empty cache to the end of the last kernel."""
        self.flushed.zero_()
        self.torch.cuda.synchronize()
        self.start.record()
        call()
        self.end.record()
        self.end.synchronize()
        return self.start.elapsed_time(self.end)

    def samples(self, call):
        for _ in range(WARM_UPS):
            call()
        samples = []
        while len(samples) < FEWEST_SAMPLES or (
                len(samples) < MOST_SAMPLES and sum(samples) < MILLISECONDS):
            samples.append(self.milliseconds(call))
        return samples

    def recorded(self, call):
        """The kernels of `call` as a graph that starts as one."""
        cuda = self.torch.cuda
        cuda.synchronize()
        aside = cuda.Stream()
        with cuda.stream(aside):
            for _ in range(WARM_UPS):
                call()
        cuda.synchronize()
        graph = cuda.CUDAGraph()
        with cuda.graph(graph):
            results = call()

        def replay():
            graph.replay()
            return results
        return replay


def compiled(row, implementation):
    """The row's function as an implementation of it."""
    import torch
    torch._dynamo.reset()
    torch.set_float32_matmul_precision("high" if row.precision == "tf32" else "highest")
    function, mode = operations.FUNCTIONS[row.operation], MODES[implementation]
    return function if mode is None else torch.compile(function, mode=mode, dynamic=False)


def largest_error(row, arguments, results):
    """The largest |result - expected| / |expected|."""
    expected = operations.call_of(row, operations.FUNCTIONS[row.operation],
                                  operations.in_float64(arguments))()
    errors = [((result.double() - right).norm() / right.norm()).item()
              for result, right in zip(results, expected)]
    return max(errors, key=lambda error: (error != error, error))  # NaN is the largest


def measured(gpu, call):
    samples = sorted(gpu.samples(call))
    fifths = statistics.quantiles(samples, n=5, method="inclusive")
    return {"real_time": statistics.median(samples), "low": fifths[0], "high": fifths[-1],
            "samples": len(samples)}


def rows_of(gpu, row, implementation):
    """(implementation, what was measured) of the call itself and of its graph."""
    arguments = operations.arguments_of(row, "cuda")
    call = operations.call_of(row, compiled(row, implementation), arguments)
    error = largest_error(row, arguments, call())
    if not error <= TOLERANCES[row.precision]:
        raise ArithmeticError(f"wrong result: relative error {error:.1e} to float64")
    yield implementation, {"relative_error": error, "peak_bytes": gpu.peak_bytes(call),
                           **measured(gpu, call)}
    yield f"{implementation}_graph", {"relative_error": error,
                                      **measured(gpu, gpu.recorded(call))}


class Results:
    """The file of results, whole after every row."""

    def __init__(self, path):
        self.path, self.rows = path, []

    def add(self, row, implementation, facts):
        self.rows.append({"run_name": operations.name_of(row, implementation),
                          "run_type": "iteration", "family_index": len(self.rows), **facts})
        part = self.path.with_suffix(".part")
        part.write_text(json.dumps({"context": {}, "benchmarks": self.rows}, indent=1),
                        encoding="utf-8")
        part.replace(self.path)

    def add_failure(self, row, implementation, why):
        self.add(row, implementation, {"error_occurred": True, "error_message": why})


def first_line(error):
    return f"{type(error).__name__}: {error}".strip().splitlines()[0][:200]


def measure(path, deadline):
    """Every row in every implementation, until the deadline."""
    gpu, results = Gpu(), Results(path)
    for row, implementation in ((row, implementation) for rows in (GOAL_ROWS, OTHER_ROWS)
                                for implementation in MODES for row in rows):
        name = operations.name_of(row, implementation)
        if time.monotonic() > deadline:
            results.add_failure(row, implementation, "out of time")
            continue
        print(f"{name} ...", flush=True)
        try:
            for what, facts in rows_of(gpu, row, implementation):
                results.add(row, what, facts)
                print(f"  {what} {facts['real_time']:.4g} ms", flush=True)
        except Exception as error:  # whatever a compiler throws: the other rows go on
            results.add_failure(row, implementation, first_line(error))
            print(f"  {first_line(error)}", flush=True)


def compile_all(deadline):
    """Fills the cache of torch.compile, first where it takes longest."""
    for row in GOAL_ROWS + OTHER_ROWS:
        for implementation in ("compile_max_autotune", "compile"):
            if time.monotonic() > deadline:
                return
            print(f"compiles {operations.name_of(row, implementation)}", flush=True)
            try:
                arguments = operations.arguments_of(row, "cuda")
                operations.call_of(row, compiled(row, implementation), arguments)()
            except Exception as error:  # measure() will meet it again and say so
                print(f"  {first_line(error)}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=pathlib.Path)
    parser.add_argument("--seconds", type=float, required=True,
                        help="begin no row after so many seconds")
    parser.add_argument("--compile-only", action="store_true")
    options = parser.parse_args()
    deadline = time.monotonic() + options.seconds
    if options.compile_only:
        compile_all(deadline)
    else:
        measure(options.output, deadline)


if __name__ == "__main__":
    main()
