#!/usr/bin/env python3
"""Runs slotcon_benchmarks and writes what it measured as JSON and as Markdown tables."""

import argparse
import pathlib
import subprocess

import against_python
import table


def commit():
    """The commit that is measured; "-dirty" when files differ from it."""
    here = pathlib.Path(__file__).parent
    git = subprocess.run(["git", "-C", here, "describe", "--always", "--dirty", "--abbrev=12"],
                         capture_output=True, text=True, check=False)
    return git.stdout.strip() or "unknown"


def run(program, results, options):
    """Every repetition of every row, in one random order."""
    subprocess.run(
        [program, f"--benchmark_out={results}", "--benchmark_out_format=json",
         f"--benchmark_filter={options.filter}",
         f"--benchmark_repetitions={options.repetitions}",
         f"--benchmark_min_time={options.min_time}",
         "--benchmark_enable_random_interleaving=true",
         f"--benchmark_context=commit={commit()}"],
        stdout=subprocess.DEVNULL, check=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program", type=pathlib.Path)
    parser.add_argument("--output", type=pathlib.Path, required=True,
                        help="where to write, without the endings .json and .md")
    parser.add_argument("--filter", default=".", help="regular expression of the rows to run")
    parser.add_argument("--repetitions", type=int, default=9)
    parser.add_argument("--min-time", type=float, default=0.1, help="seconds of a repetition")
    parser.add_argument("--clock", choices=table.CLOCKS, default=table.CLOCKS[0],
                        help="cpu_time: with OMP_NUM_THREADS=1, on a machine that is not idle")
    options = parser.parse_args()

    results = options.output.with_suffix(".json")
    print(f"run_suite: {options.repetitions} repetitions in random order, some minutes; "
          f"results go to {results}", flush=True)
    run(options.program, results, options)
    text = (table.report(results, options.clock) + "\n"
            + against_python.report(options.program, options.clock))
    options.output.with_suffix(".md").write_text(text, encoding="utf-8")
    print(text, end="")


if __name__ == "__main__":
    main()
