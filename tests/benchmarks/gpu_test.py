"""What ./run gpu makes of what it measures, on made-up measurements; it needs no GPU."""

import io
import json
import pathlib
import sys
import tempfile
import unittest
from contextlib import redirect_stdout

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "benchmarks"))

import gpu_python
import gpu_report
import gpu_stages
import operations
import table

GROUPING = "semantic_grouping/forward_backward/{}/bfloat16/B:64/K:2048/N:196/D:256"
CONTRAST = "slot_info_nce/forward_backward/{}/float32/anchors:32768/keys:32768/D:256"


def measured(name, milliseconds, **counters):
    return {"run_name": name, "run_type": "iteration", "family_index": 0,
            "real_time": milliseconds, "low": 0.9 * milliseconds, "high": 1.1 * milliseconds,
            **counters}


def failed(name, why):
    return {"run_name": name, "run_type": "iteration", "family_index": 0, "error_occurred": True,
            "error_message": why}


class Report(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def file(self, name, *rows):
        path = self.folder / name
        path.write_text(json.dumps({"context": {"gpu": "G"}, "benchmarks": rows}, indent=2))
        return path

    def rows(self, *rows):
        return gpu_report.merged([self.file("rows.json", *rows)])[1]

    def goal(self, what, rows, stages=()):
        (found,) = [goal for goal in gpu_report.check_all(rows, list(stages)) if goal[0] == what]
        return found

    def test_the_fastest_of_the_baselines_counts(self):
        rows = self.rows(measured(GROUPING.format("fused"), 2.0),
                         measured(GROUPING.format("compile"), 5.0),
                         measured(GROUPING.format("compile_max_autotune"), 2.5))
        what = "grouping, 2048 prototypes, bfloat16: x torch.compile"
        self.assertEqual(self.goal(what, rows)[1:], ("1.5", "1.25", "no"))

    def test_a_goal_that_is_met(self):
        rows = self.rows(measured(GROUPING.format("fused"), 2.0),
                         measured(GROUPING.format("published"), 7.0))
        self.assertEqual(self.goal("grouping, 2048 prototypes, bfloat16: x published", rows)[1:],
                         ("3", "3.50", "yes"))

    def test_a_graph_is_compared_with_graphs(self):
        rows = self.rows(measured(GROUPING.format("fused_graph"), 1.0),
                         measured(GROUPING.format("published"), 9.0),
                         measured(GROUPING.format("published_graph"), 4.0),
                         measured(GROUPING.format("gemm_only"), 0.5))
        name = table.Name(*GROUPING.format("fused_graph").split("/", 4))
        self.assertEqual(gpu_report.ratio(rows, name, gpu_report.BASELINES["published"]), 4.0)
        self.assertEqual(gpu_report.ratio(rows, name, gpu_report.BASELINES["gemm_only"]), 0.5)

    def test_memory_is_that_of_the_most_frugal_eager_row(self):
        rows = self.rows(measured(CONTRAST.format("fused"), 1.0, peak_bytes=1e8),
                         measured(CONTRAST.format("reference"), 1.0, peak_bytes=6e9),
                         measured(CONTRAST.format("eager"), 1.0, peak_bytes=4e9))
        what = "InfoNCE, 32768 x 32768, float32: peak memory of eager, x ours"
        self.assertEqual(self.goal(what, rows)[1:], ("50", "40.00", "no"))

    def test_what_was_not_measured_is_not_met(self):
        what = "grouping, 2048 prototypes, bfloat16: x published"
        self.assertEqual(self.goal(what, {})[1:], ("3", "not measured", "?"))
        rows = self.rows(failed(GROUPING.format("fused"), "wrong result"))
        self.assertEqual(self.goal(what, rows)[1:], ("3", "not measured: wrong result", "no"))

    def test_results_are_right_where_the_tests_passed_and_no_row_is_wrong(self):
        what = "results within their bounds, every precision"
        passed = [{"name": "tests", "seconds": 1, "outcome": "passed"}]
        good = self.rows(measured(GROUPING.format("fused"), 2.0))
        wrong = self.rows(failed(GROUPING.format("fused"), "wrong result"))
        self.assertEqual(self.goal(what, good, passed)[3], "yes")
        self.assertEqual(self.goal(what, good)[3], "no")
        self.assertEqual(self.goal(what, wrong, passed)[3], "no")

    def test_a_program_that_was_stopped_leaves_its_whole_rows(self):
        path = self.file("rows.json", measured(GROUPING.format("fused"), 2.0),
                         measured(GROUPING.format("published"), 7.0))
        text = path.read_text()
        path.write_text(text[:text.rindex('"low"')])
        _, rows = gpu_report.merged([path, self.folder / "no such file.json"])
        self.assertEqual([name.implementation for name in rows], ["fused"])

    def test_rows_of_a_size_stand_together(self):
        first = self.file("a.json", measured(GROUPING.format("fused"), 2.0, bytes=3e6),
                          measured(CONTRAST.format("fused"), 1.0),
                          measured("copy/forward/copy/float32/MB:1", 0.5, bytes=1e6))
        second = self.file("b.json", measured(GROUPING.format("compile"), 3.0),
                           failed(CONTRAST.format("compile"), "out of time"))
        _, rows = gpu_report.merged([first, second])
        self.assertEqual([name.implementation for name in rows],
                         ["fused", "compile", "fused", "compile", "copy"])
        text = gpu_report.markdown({"gpu": "G"}, [], gpu_report.check_all(rows, []), rows)
        self.assertIn("A copy moves 0.00 TB/s", text)
        self.assertIn("| bfloat16 | fused | 2 | 1.8 to 2.2 |  |  | 1.50 |  | 0.75 |", text)
        self.assertIn("| float32 | compile | not run: out of time |", text)
        lines = [line for line in text.splitlines()
                 if line.startswith(("| sizes", "| B:64 K:2048", "| anchors"))]
        self.assertEqual(len({line.count("|") for line in lines}), 1)
        facts = json.loads(gpu_report.as_json({}, [], [], rows))["rows"]
        self.assertEqual(facts[0]["real_time"], 2.0)

    def test_python_measures_what_goals_compare_with(self):
        names = {operations.name_of(row, "fused") for row in gpu_python.GOAL_ROWS}
        compiled = {goal.row for goal in gpu_report.GOALS
                    if goal.baselines == gpu_report.BASELINES["compile"]}
        self.assertLessEqual(compiled, names)


class Stages(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.log = pathlib.Path(folder.name) / "log"

    def outcomes(self, seconds, *stages):
        with redirect_stdout(io.StringIO()):
            runner = gpu_stages.Runner(self.log, seconds)
            for name, command, limit, judge in stages:
                runner.run(name, command, limit, judge=judge)
            runner.log.close()
        return [stage["outcome"] for stage in runner.stages]

    def test_a_stage_that_fails_stops_no_other(self):
        self.assertEqual(
            self.outcomes(60, ("a", ["false"], 9, None), ("b", ["true"], 9, None),
                          ("c", ["no such program"], 9, None), ("d", ["true"], 9, None)),
            ["failed: exit status 1", "passed",
             "failed: No such file or directory", "passed"])

    def test_a_stage_ends_with_its_time(self):
        self.assertEqual(self.outcomes(60, ("a", ["sleep", "60"], 0.2, None),
                                       ("b", ["true"], 9, None)),
                         ["failed: stopped after 0 s", "passed"])
        self.assertEqual(self.outcomes(-1, ("a", ["true"], 9, None)), ["not run: out of time"])

    def test_output_is_judged_and_kept(self):
        judge = {"a line\n": "a reason"}.get
        self.assertEqual(self.outcomes(60, ("a", ["echo", "a line"], 9, judge)),
                         ["failed: a reason"])
        self.assertEqual(self.log.read_text(), "===== a: echo a line\na line\n\n")


if __name__ == "__main__":
    unittest.main()
