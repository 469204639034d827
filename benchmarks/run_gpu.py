#!/usr/bin/env python3
"""Builds slotcon for the GPU of this machine, tests it there and measures it, within 8 minutes.

Goes on where a stage fails or cannot run, and exits with 1 in the end. Writes benchmarks-gpu.md
(goals, stages and rows), .json (the same) and .log (all output) into build/gpu, and into --output
if that is given.
"""

import argparse
import datetime
import os
import pathlib
import platform
import shutil
import subprocess
import sys

import gpu_report
import gpu_stages
import run_suite

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "gpu"
BIN = BUILD / "bin"
PACK = ROOT / "gpu-pack"
RESULTS = BUILD / "benchmarks-gpu"
CACHE = {"TORCHINDUCTOR_CACHE_DIR": str(BUILD / "inductor"),
         "TRITON_CACHE_DIR": str(BUILD / "triton")}

SECONDS = 465  # of 480, for what stands between the stages
STAGES = ("configure", "build", "tests", "parity", "sanitizers", "benchmarks", "python")

# The kernels on small sizes. Graphs, streams and repetitions show the sanitizers nothing new.
SANITIZED = "*Gpu.*-StepGpu.*:*.RunsGiveTheSameBits:*.KernelsRunOnTheCurrentStream"


# ---- What it takes ----

def succeeds(*command, stdin=None):
    try:
        return subprocess.run(command, stdin=stdin, capture_output=True, check=False,
                              timeout=60).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def has_header(header):
    compiler = os.environ.get("CXX", "c++")
    return succeeds(compiler, "-E", "-x", "c++", "-include", header, "/dev/null")


def cmake_version():
    try:
        text = subprocess.run(["cmake", "--version"], capture_output=True, text=True,
                              check=True).stdout.split()[2]
        return tuple(int(part) for part in text.split(".")[:2])
    except (OSError, subprocess.CalledProcessError, ValueError):
        return (0, 0)


def missing():
    """What this machine lacks, in words."""
    facts = {
        "an NVIDIA GPU and its driver (nvidia-smi -L lists none)": succeeds("nvidia-smi", "-L"),
        "nvcc, of CUDA 13": shutil.which("nvcc"),
        "a python3 that can `import torch` and sees the GPU": succeeds(
            sys.executable, "-c", "import torch, sys; sys.exit(not torch.cuda.is_available())"),
        "a C++ compiler (g++)": shutil.which(os.environ.get("CXX", "c++")),
        "cmake 3.25 or newer": cmake_version() >= (3, 25),
        "ninja": shutil.which("ninja"),
        "GoogleTest and Google Benchmark: the folder gpu-pack/, which `./run gpu-pack` fills on a "
        "machine with a network, or the packages libgtest-dev and libbenchmark-dev":
            PACK.is_dir() or has_header("gtest/gtest.h") and has_header("benchmark/benchmark.h"),
    }
    return [what for what, there in facts.items() if not there]


def find_cuda_programs():
    """Puts nvcc and compute-sanitizer into the path, last, where they usually are."""
    os.environ["PATH"] += os.pathsep + "/usr/local/cuda/bin"


# ---- Stages ----

def why_tests_failed(output):
    """Tests that skip where there is a GPU have tested nothing."""
    return "tests were skipped" if "[  SKIPPED ]" in output else ""


def configure_and_build(runner):
    """Whether there are programs. torch.compile has the GPU for itself in the meantime."""
    compiler = gpu_stages.start(
        [sys.executable, "benchmarks/gpu_python.py", "--compile-only", "--seconds", "170"],
        subprocess.DEVNULL, CACHE)
    try:
        return (runner.run("configure", ["cmake", "--preset", "gpu"], 60)
                and runner.run("build", ["cmake", "--build", "--preset", "gpu"], 170))
    finally:
        gpu_stages.stop(compiler)


def test(runner):
    runner.run("tests", [BIN / "slotcon_cuda_tests"], 60, judge=why_tests_failed)


def compare_with_published(runner):
    fixtures = ROOT / "tests" / "parity" / "fixtures"
    runner.run("parity", [BIN / "slotcon_parity", fixtures, "cuda"], 20)


def sanitize(runner):
    """slotcon's own kernels under each tool; memory in blocks of its own, whose ends are seen."""
    tools = ("memcheck", "racecheck", "synccheck")
    if not shutil.which("compute-sanitizer"):
        for tool in tools:
            runner.skip(tool, "compute-sanitizer is not in the path")
        return
    runner.run_together(
        [(tool, ["compute-sanitizer", "--tool", tool, "--error-exitcode", "1",
                 "--report-api-errors", "no", "--kernel-name", "kernel_substring=slotcon",
                 BIN / "slotcon_cuda_tests", f"--gtest_filter={SANITIZED}"],
          {"PYTORCH_NO_CUDA_MEMORY_CACHING": "1"}, why_tests_failed) for tool in tools], 80)


def measure(runner):
    for name, rows, seconds in (("losses", "-semantic_grouping", 60),
                                ("grouping", "semantic_grouping", 90)):
        (BUILD / f"{name}.json").unlink(missing_ok=True)
        runner.run(name, [BIN / "slotcon_benchmarks", f"--benchmark_filter={rows}",
                          f"--benchmark_out={BUILD / name}.json", "--benchmark_out_format=json",
                          "--device=cuda"], seconds)


def measure_python(runner):
    if not succeeds(sys.executable, "-c", "import triton"):
        runner.skip("python", "torch.compile needs triton, which this python3 has not")
        return
    (BUILD / "python.json").unlink(missing_ok=True)
    left = runner.seconds_left()
    runner.run("python", [sys.executable, "benchmarks/gpu_python.py",
                          "--output", BUILD / "python.json", "--seconds", f"{left - 20:.0f}"],
               left, CACHE)


def run_stages(runner, only):
    (BUILD / "bin").mkdir(parents=True, exist_ok=True)
    built = configure_and_build(runner) if "build" in only else True
    for stage, run in (("tests", test), ("parity", compare_with_published),
                       ("sanitizers", sanitize), ("benchmarks", measure)):
        if stage in only and built:
            run(runner)
        elif stage in only:
            runner.skip(stage, "there are no programs")
    if "python" in only:
        measure_python(runner)


# ---- Report ----

def of_gpu(query):
    output = subprocess.run(["nvidia-smi", f"--query-gpu={query}", "--format=csv,noheader"],
                            capture_output=True, text=True, check=False).stdout
    return output.strip().splitlines()[0] if output.strip() else ""


def clocks():
    return of_gpu("clocks.sm,clocks.mem,power.draw,temperature.gpu")


def commit():
    """Of the tree, or of that which was packed where no .git came along."""
    file = PACK / "commit"
    found = run_suite.commit()
    if found == "unknown" and file.exists():
        return file.read_text(encoding="utf-8").strip() + " (when packed)"
    return found


def version(program, *arguments):
    output = subprocess.run([program, *arguments], capture_output=True, text=True,
                            check=False).stdout
    return output.strip().splitlines()[-1] if output.strip() else ""


def context_of(measured, clocks_before):
    return {
        "gpu": of_gpu("name"),
        "memory": of_gpu("memory.total"),
        "driver": of_gpu("driver_version"),
        "clocks, power, temperature before": clocks_before,
        "after": clocks(),
        "most": of_gpu("clocks.max.sm,clocks.max.mem,power.limit"),
        "nvcc": version("nvcc", "--version"),
        "libtorch": measured.get("libtorch", ""),
        "python": platform.python_version(),
        "torch": version(sys.executable, "-c", "import torch; print(torch.__version__)"),
        "triton": version(sys.executable, "-c", "import triton; print(triton.__version__)"),
        "compiler": measured.get("compiler", ""),
        "CPUs": str(os.cpu_count()),
        "commit": commit(),
        "date": datetime.date.today().isoformat(),
    }


def write_report(runner, clocks_before, folder):
    files = [BUILD / f"{name}.json" for name in ("losses", "grouping", "python")]
    measured, rows = gpu_report.merged(files)
    goals = gpu_report.check_all(rows, runner.stages)
    parts = (context_of(measured, clocks_before), runner.stages, goals, rows)
    RESULTS.with_suffix(".md").write_text(gpu_report.markdown(*parts), encoding="utf-8")
    RESULTS.with_suffix(".json").write_text(gpu_report.as_json(*parts), encoding="utf-8")
    for ending in (".md", ".json", ".log"):
        if folder:
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copy(RESULTS.with_suffix(ending), folder)
    for what, asked, found, met in goals:
        print(f"{met:4} {what}: {found}, asked {asked}")


def main():
    parser = argparse.ArgumentParser(prog="./run gpu", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=pathlib.Path, help="a folder for the results")
    parser.add_argument("--only", nargs="+", choices=STAGES[1:], default=STAGES,
                        help="these stages; the programs are those of an earlier build")
    options = parser.parse_args()
    find_cuda_programs()
    lacking = missing()
    if lacking:
        sys.exit("./run gpu needs, and this machine has not:\n  "
                 + "\n  ".join(lacking))
    os.chdir(ROOT)
    BUILD.mkdir(parents=True, exist_ok=True)
    runner = gpu_stages.Runner(RESULTS.with_suffix(".log"), SECONDS)
    clocks_before = clocks()
    run_stages(runner, options.only)
    write_report(runner, clocks_before, options.output)
    runner.say(f"results: {RESULTS}.md")
    failures = runner.failures()
    for stage in failures:
        print(f"FAILED {stage['name']}: {stage['outcome']}")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
