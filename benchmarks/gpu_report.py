"""What ./run gpu has measured: rows of slotcon_benchmarks and of gpu_python.py in one JSON and one
Markdown file, with ratios and the goals."""

import collections
import json

import table

# What a row is compared with. Of several implementations the fastest counts.
BASELINES = {"published": ("published",), "reference": ("reference",),
             "compile": ("compile", "compile_max_autotune"), "gemm_only": ("gemm_only",)}
EAGER = ("published", "reference", "eager")

Goal = collections.namedtuple("Goal", "what measure row baselines asked")


def grouping(precision, size):
    return f"semantic_grouping/forward_backward/fused/{precision}/B:64/{size}/D:256"


def contrast(precision):
    return f"slot_info_nce/forward_backward/fused/{precision}/anchors:32768/keys:32768/D:256"


def distillation(size):
    return f"aligned_assignment/forward_backward/fused/float32/B:64/{size}/D:256"


COCO, FINE = "K:256/N:49", "K:2048/N:196"

GOALS = [
    Goal("grouping, 2048 prototypes, bfloat16: x published", "time",
         grouping("bfloat16", FINE), BASELINES["published"], 3),
    Goal("grouping, 2048 prototypes, bfloat16: x torch.compile", "time",
         grouping("bfloat16", FINE), BASELINES["compile"], 1.5),
    *(Goal(f"grouping, COCO size, {precision}, without a graph: x published", "time",
           grouping(precision, COCO), BASELINES["published"], 4)
      for precision in ("float32", "tf32", "bfloat16", "float16")),
    *(Goal(f"InfoNCE, 32768 x 32768, {precision}: x eager", "time", contrast(precision), EAGER, 2)
      for precision in ("float32", "tf32")),
    *(Goal(f"InfoNCE, 32768 x 32768, {precision}: peak memory of eager, x ours", "memory",
           contrast(precision), EAGER, 50) for precision in ("float32", "tf32")),
    *(Goal(f"distillation, {size.replace('/', ' ')}: x published", "time", distillation(size),
           BASELINES["published"], 5) for size in (COCO, FINE)),
]


# ---- Rows ----

def complete(text):
    """JSON that Google Benchmark was stopped at, up to its last whole row."""
    end = text.rfind("\n    }")
    return text[:end] + "\n    }\n  ]\n}" if end >= 0 else '{"context": {}, "benchmarks": []}'


def read(path):
    """(context, {table.Name: table.Row}); nothing of a file that is not there."""
    if not path.exists():
        return {}, {}
    text = path.read_text(encoding="utf-8")
    try:
        json.loads(text)
    except json.JSONDecodeError:
        path.write_text(complete(text), encoding="utf-8")
    return table.read(path, "real_time")


def merged(files):
    """The rows of several files: sizes as they come first, and in each the implementations."""
    context, rows = {}, {}
    for file in files:
        its_context, its_rows = read(file)
        context = {**its_context, **context}
        rows.update(its_rows)
    places = {}
    for name in rows:
        places.setdefault(name._replace(implementation=""), len(places))
    return context, dict(sorted(rows.items(),
                                key=lambda item: places[item[0]._replace(implementation="")]))


def value(row, measure):
    """Milliseconds, or bytes; None of a row that was not measured."""
    if row is None or not row.milliseconds:
        return None
    return row.median if measure == "time" else row.counters.get("peak_bytes")


def graph_suffix(name):
    return "_graph" if name.implementation.endswith("_graph") else ""


def best(rows, name, baselines, measure="time"):
    """The least of the baselines, recorded as graphs if that is what the row is."""
    suffix = "" if baselines == BASELINES["gemm_only"] else graph_suffix(name)
    values = [value(rows.get(name._replace(implementation=baseline + suffix)), measure)
              for baseline in baselines]
    return min((one for one in values if one is not None), default=None)


def ratio(rows, name, baselines, measure="time"):
    """How many times as much a baseline takes; None where one of the two was not measured."""
    ours, theirs = value(rows[name], measure), best(rows, name, baselines, measure)
    return None if ours is None or theirs is None else theirs / ours


def copy_rate(rows):
    """Bytes a millisecond of a copy, read and written; None if it was not measured."""
    for name, row in rows.items():
        if name.operation == "copy" and row.milliseconds:
            return row.counters["bytes"] / row.median
    return None


# ---- Goals ----

def check(goal, rows):
    """(what, asked, measured, met) in words."""
    name = table.Name(*goal.row.split("/", 4))
    asked = f"{goal.asked:g}"
    row = rows.get(name)
    if row is not None and row.why_skipped:
        return goal.what, asked, f"not measured: {row.why_skipped}", "no"
    found = ratio(rows, name, goal.baselines, goal.measure) if row is not None else None
    if found is None:
        return goal.what, asked, "not measured", "?"
    return goal.what, asked, f"{found:.2f}", "yes" if found >= goal.asked else "no"


def check_all(rows, stages):
    """All goals; the first is that everything is right."""
    tests = {stage["name"]: stage["outcome"] for stage in stages}.get("tests", "not run")
    wrong = sorted({name.operation for name, row in rows.items()
                    if "fused" in name.implementation and row.why_skipped})
    found = tests if not wrong else f"{tests}; rows without a right result: {', '.join(wrong)}"
    return [("results within their bounds, every precision", "all", found,
             "yes" if found == "passed" else "no"),
            *(check(goal, rows) for goal in GOALS)]


# ---- Tables ----

def cells(rows, name, rate):
    row = rows[name]
    first = [name.sizes.replace("/", " "), name.dtype, name.implementation]
    if row.why_skipped:
        return first + [f"not run: {row.why_skipped}"] + [""] * (5 + len(BASELINES))
    low, high = (table.three_digits(row.counters[key]) for key in ("low", "high"))
    ratios = [ratio(rows, name, baselines) for baselines in BASELINES.values()]
    moved = row.counters.get("bytes")
    ratios.append(moved / rate / row.median if moved and rate else None)
    error = row.counters.get("relative_error")
    peak = "" if graph_suffix(name) else table.scaled(row, "peak_bytes", 1e6)
    return [*first, table.three_digits(row.median), f"{low} to {high}",
            *("" if one is None else f"{one:.2f}" for one in ratios),
            table.scaled(row, "flops", 1e9 * row.median), peak,
            "" if error is None else f"{error:.0e}"]


def markdown(context, stages, goals, rows):
    header = ["sizes", "precision", "implementation", "ms", "20 to 80 %",
              *(f"x {baseline}" for baseline in BASELINES), "x copy", "TFLOP/s", "peak MB", "error"]
    rate = copy_rate(rows)
    parts = ["; ".join(f"{key} {text}" for key, text in context.items() if text),
             "### Goals", table.markdown_table(["", "asked", "measured", "met"], goals),
             "### Stages", table.markdown_table(
                 ["stage", "seconds", "outcome"],
                 [[stage["name"], f"{stage['seconds']:.0f}", stage["outcome"]]
                  for stage in stages])]
    if rate:
        parts.append(f"A copy moves {rate * 1e-9:.2f} TB/s, read and written.")
    for section in dict.fromkeys((name.operation, name.direction) for name in rows):
        if section[0] == "copy":
            continue
        parts += [f"### {section[0]}, {section[1]}", table.markdown_table(
            header, [cells(rows, name, rate) for name in rows if name[:2] == section])]
    return "\n\n".join(parts) + "\n"


def as_json(context, stages, goals, rows):
    named = [dict(zip(("what", "asked", "measured", "met"), goal)) for goal in goals]
    facts = [{"name": "/".join(name), **({"why_skipped": row.why_skipped} if row.why_skipped
                                         else row.counters)} for name, row in rows.items()]
    return json.dumps({"context": context, "stages": stages, "goals": named, "rows": facts},
                      indent=1) + "\n"
