#!/usr/bin/env python3
"""The operators of python/slotcon_ops.py: against C++, their formulas, autograd and torch.compile.

    slotcon_ops_test.py FOLDER CPP_RESULTS [unittest's arguments]

FOLDER holds the built operators, CPP_RESULTS is the program slotcon_cpp_results. Exit status 77:
skipped, after a line that says why. SLOTCON_TEST_PYTHON names the Python to run in, otherwise
the one that runs it.
"""

import collections
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

SKIPPED = 77


def skip(reason):
    print(f"skipped: {reason}")
    sys.exit(SKIPPED)


def run_in_chosen_python():
    chosen = os.environ.pop("SLOTCON_TEST_PYTHON", None)
    if chosen:
        os.execvp(chosen, [chosen, *sys.argv])


if __name__ == "__main__":
    run_in_chosen_python()
    FOLDER, CPP_RESULTS = map(pathlib.Path, sys.argv[1:3])
    if not list(FOLDER.glob("libslotcon_ops_torch*.so")):
        skip("the operators for Python are not built (-DSLOTCON_BUILD_PYTHON=ON)")
    try:
        import torch
    except (ImportError, OSError) as error:
        skip(f"{sys.executable} has no torch: {error} (SLOTCON_TEST_PYTHON names another Python)")
    sys.path.insert(0, str(FOLDER))
    import slotcon_ops

FIXTURES = pathlib.Path(__file__).parents[1] / "parity" / "fixtures"

# The largest error of a result, as a fraction of the largest number expected: the half types are
# rounded once, at the end. The table of tests/support/tolerance.h.
TOLERANCES = {"float64": 1e-12, "float32": 1e-5, "float16": 5e-4, "bfloat16": 4e-3}

DTYPES = ("float32", "float64", "float16", "bfloat16")


# ---- The formulas, as the comments of slotcon_ops.py give them ------------------------------------

def unit(vectors, dim):
    return vectors / vectors.norm(dim=dim, keepdim=True).clamp_min(1e-12)


def grouping_formula(features, prototypes, temperature=0.07, eps=1e-6):
    x = features.flatten(2)
    scores = torch.einsum("kd,bdn->bkn", unit(prototypes, 1), unit(x, 1))
    a = (scores / temperature).softmax(1) + eps
    slots = torch.einsum("bkn,bdn->bkd", a, x) / a.sum(2, keepdim=True)
    return slots, scores.reshape(x.shape[0], -1, *features.shape[2:])


def present_formula(scores):
    winners = scores.flatten(2).argmax(1)
    return torch.nn.functional.one_hot(winners, scores.shape[1]).any(1)


def align_formula(maps, boxes, flipped):
    """Pixel by pixel, for boxes within the map."""
    images, _, height, width = maps.shape
    aligned = torch.zeros_like(maps)
    for b in range(images):
        x1, y1, x2, y2 = boxes[b].tolist()
        if x2 <= x1 or y2 <= y1:
            continue
        for p in range(height):
            for q in range(width):
                y = min(max(y1 * height - 0.5 + (p + 0.5) * (y2 - y1), 0), height - 1)
                x = min(max(x1 * width - 0.5 + (q + 0.5) * (x2 - x1), 0), width - 1)
                top, left = min(int(y), height - 2), min(int(x), width - 2)
                down, right = y - top, x - left
                column = width - 1 - q if flipped[b] else q
                aligned[b, :, p, column] = (
                    (1 - down) * ((1 - right) * maps[b, :, top, left]
                                  + right * maps[b, :, top, left + 1])
                    + down * ((1 - right) * maps[b, :, top + 1, left]
                              + right * maps[b, :, top + 1, left + 1]))
    return aligned


def soft_cross_entropy_formula(student, targets, temperature=0.1):
    return -(targets * (student / temperature).log_softmax(1)).sum(1).mean()


def assignment_formula(student, teacher, center, student_temperature=0.1,
                       teacher_temperature=0.07):
    shift = center.reshape(1, -1, *[1] * (teacher.dim() - 2))
    targets = ((teacher - shift) / teacher_temperature).softmax(1)
    return soft_cross_entropy_formula(student, targets, student_temperature)


def aligned_formula(student, teacher, student_boxes, student_flipped, teacher_boxes,
                    teacher_flipped, center, student_temperature=0.1, teacher_temperature=0.07):
    return assignment_formula(align_formula(student, student_boxes, student_flipped),
                              align_formula(teacher, teacher_boxes, teacher_flipped), center,
                              student_temperature, teacher_temperature)


def info_nce_formula(queries, keys, positive, temperature=0.2):
    logits = unit(queries, 1) @ unit(keys, 1).t() / temperature
    of_positive = logits.gather(1, positive[:, None])[:, 0]
    return 2 * temperature * (logits.logsumexp(1) - of_positive).mean()


def slot_info_nce_formula(anchors, keys, anchor_present, key_present, temperature=0.2):
    key_rows = key_present.flatten().nonzero()[:, 0]
    rows = (anchor_present & key_present).flatten().nonzero()[:, 0]
    positive = (key_rows[None, :] == rows[:, None]).int().argmax(1)
    return info_nce_formula(anchors.flatten(0, 1)[rows], keys.flatten(0, 1)[key_rows], positive,
                            temperature)


# ---- Arguments -----------------------------------------------------------------------------------

# One operator: its arguments, of which the first `trained` take a gradient, and its formula.
Case = collections.namedtuple("Case", "name arguments trained formula")


def noise(sizes, seed, dtype="float64"):
    numbers = torch.randn(sizes, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return numbers.to(getattr(torch, dtype))


def boxes_of(images, seed):
    corners = noise([images, 2, 2], seed).sigmoid()
    return torch.cat([corners.amin(1), corners.amax(1)], 1).float()


def cases(dtype="float64", images=3):
    """One call of every operator."""
    features, prototypes = noise([images, 20, 4, 5], 1, dtype), noise([6, 20], 2, dtype)
    student, teacher = noise([images, 9, 4, 5], 3, dtype), noise([images, 9, 4, 5], 4, dtype)
    center = noise([1, 9], 5, dtype)
    views = [boxes_of(images, 6), noise([images], 7) > 0, boxes_of(images, 8),
             noise([images], 9) > 0]
    queries, keys = noise([5 * images, 12], 10, dtype), noise([7 * images, 12], 11, dtype)
    positive = torch.arange(5 * images) + 1
    anchors, slots = noise([images, 8, 12], 12, dtype), noise([images, 8, 12], 13, dtype)
    masks = [noise([images, 8], 14) > -0.5, noise([images, 8], 15) > -0.5]
    return [
        Case("semantic_grouping", [features, prototypes], 2, grouping_formula),
        Case("inverse_augment", [student, *views[:2]], 1, align_formula),
        Case("soft_cross_entropy", [student, teacher.softmax(1)], 1, soft_cross_entropy_formula),
        Case("assignment_cross_entropy", [student, teacher, center], 1, assignment_formula),
        Case("aligned_assignment_cross_entropy", [student, teacher, *views, center], 1,
             aligned_formula),
        Case("info_nce", [queries, keys, positive], 2, info_nce_formula),
        Case("slot_info_nce", [anchors, slots, *masks], 2, slot_info_nce_formula),
    ]


def leaves(case, change=lambda tensor: tensor):
    """The arguments as tensors of their own, the trained ones with gradient."""
    return [change(argument.detach().clone()).detach().requires_grad_(i < case.trained)
            for i, argument in enumerate(case.arguments)]


def differentiable(results):
    """The results that have a gradient, as a list."""
    results = results if isinstance(results, tuple) else (results,)
    return [result for result in results if result.requires_grad]


def run(function, case, arguments=None):
    """(results, gradients) of one call, all detached."""
    arguments = leaves(case) if arguments is None else arguments
    results = function(*arguments)
    roots = differentiable(results)
    incoming = [noise(root.shape, 20).to(root.dtype) for root in roots]
    gradients = torch.autograd.grad(roots, arguments[:case.trained], incoming)
    results = results if isinstance(results, tuple) else (results,)
    return [result.detach() for result in results], list(gradients)


def operator(case):
    return getattr(torch.ops.slotcon, case.name)


def channels_last(tensor):
    """[B,C,*spatial] with C last in memory."""
    return tensor.movedim(1, -1).contiguous().movedim(-1, 1) if tensor.dim() > 2 else tensor


def every_other(tensor):
    """The same numbers out of a larger tensor."""
    return torch.stack([tensor, tensor], -1)[..., 0] if tensor.dim() > 0 else tensor


LAYOUTS = {"dense": lambda tensor: tensor, "channels last": channels_last,
           "strided": every_other}


class OperatorTest(unittest.TestCase):
    def for_every_case(self, *dtypes):
        for dtype in dtypes:
            for case in cases(dtype):
                with self.subTest(operator=case.name, dtype=dtype):
                    yield case

    def assert_same(self, actual, expected):
        """Equal bits, types and shapes, of lists of tensors."""
        self.assertEqual(len(actual), len(expected))
        for i, (left, right) in enumerate(zip(actual, expected)):
            self.assertEqual((left.shape, left.dtype), (right.shape, right.dtype), f"tensor {i}")
            self.assertTrue(torch.equal(left, right), f"tensor {i}: {left} is not {right}")

    def assert_close(self, actual, expected, tolerance=None):
        """Within the tolerance of the type of each."""
        self.assertEqual(len(actual), len(expected))
        for i, (left, right) in enumerate(zip(actual, expected)):
            self.assertEqual(left.shape, right.shape, f"tensor {i}")
            bound = tolerance or TOLERANCES[str(left.dtype).split(".")[1]]
            error = (left.double() - right.double()).abs().max().item()
            self.assertLessEqual(error, bound * right.abs().max().item(), f"tensor {i}")

    def assert_raises(self, kind, text, function, *arguments):
        with self.assertRaises(kind) as raised:
            function(*arguments)
        self.assertEqual(str(raised.exception).split("\nException raised from")[0], text)


class AgainstCpp(OperatorTest):
    """The program calls the functions of C++ with their own autograd."""

    @classmethod
    def setUpClass(cls):
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder) / "results.pth"
            subprocess.run([CPP_RESULTS, file], check=True)
            tensors = torch.load(file, weights_only=True)
        torch.set_num_threads(int(tensors.pop("threads")))
        cls.calls = collections.defaultdict(lambda: collections.defaultdict(list))
        for name, tensor in tensors.items():  # in the order of the indices
            call, kind, _ = name.rsplit("/", 2)
            cls.calls[call][kind].append(tensor)

    def test_results_and_gradients_are_the_same_bits(self):
        self.assertEqual(len(self.calls), 4 * 10)
        for name, call in self.calls.items():
            with self.subTest(name):
                trained = len(call["gradients"])
                arguments = [argument.requires_grad_(i < trained)
                             for i, argument in enumerate(call["arguments"])]
                numbers = [number.item() for number in call["numbers"]]
                function = getattr(slotcon_ops, name.split("/")[0])
                results = function(*arguments, *numbers)
                roots = differentiable(results)
                gradients = torch.autograd.grad(roots, arguments[:trained], call["incoming"])
                results = results if isinstance(results, tuple) else (results,)
                self.assert_same([result.detach() for result in results], call["results"])
                self.assert_same(gradients, call["gradients"])


class AgainstThePublishedCode(OperatorTest):
    """The fixtures that slotcon_parity reads."""

    def test_grouping(self):
        f = torch.load(FIXTURES / "grouping.pt", weights_only=True)
        features, prototypes = f["x"].requires_grad_(), f["slots"].requires_grad_()
        slots, scores, _ = torch.ops.slotcon.semantic_grouping(features, prototypes,
                                                               f["temp"].item(), f["eps"].item())
        gradients = torch.autograd.grad([slots, scores], [features, prototypes],
                                        [f["grad_pooled"], f["grad_scores"]])
        self.assert_close([slots, scores, *gradients],
                          [f["pooled"], f["scores"], f["grad_x"], f["grad_slots"]])

    def test_inverse_augmentation(self):
        f = torch.load(FIXTURES / "invaug.pt", weights_only=True)
        maps = f["maps"].requires_grad_()
        aligned = torch.ops.slotcon.inverse_augment(maps, f["coords"], f["flip"].bool())
        gradient, = torch.autograd.grad([aligned], [maps], [f["grad_aligned"]])
        self.assert_close([aligned, gradient], [f["aligned"], f["grad_maps"]])

    def test_distillation(self):
        f = torch.load(FIXTURES / "distill.pt", weights_only=True)
        student = f["student"].requires_grad_()
        loss = torch.ops.slotcon.assignment_cross_entropy(
            student, f["teacher"], f["center"], f["student_temp"].item(), f["teacher_temp"].item())
        gradient, = torch.autograd.grad([loss], [student])
        self.assert_close([loss, gradient], [f["loss"], f["grad_student"]])


class AgainstTheFormula(OperatorTest):
    def expected(self, case):
        """By the formula, in float64."""
        exact = case._replace(arguments=[a.double() if a.is_floating_point() else a
                                         for a in case.arguments])
        return run(case.formula, exact)

    def test_results_and_gradients(self):
        for case in self.for_every_case(*DTYPES):
            results, gradients = run(operator(case), case)
            expected_results, expected_gradients = self.expected(case)
            # Products of bfloat16 features are rounded on some processors.
            rough = 1e-2 if case.arguments[0].dtype == torch.bfloat16 else None
            if case.name == "semantic_grouping":
                self.assert_same([results.pop()], [present_formula(results[1])])
            self.assert_close(results, expected_results, rough)
            self.assert_close(gradients, expected_gradients, rough)

    def test_types_of_the_results(self):
        for case in self.for_every_case(*DTYPES):
            own = case.arguments[0].dtype
            wide = torch.float64 if own == torch.float64 else torch.float32
            results, gradients = run(operator(case), case)
            expected = {"semantic_grouping": [own, wide, torch.bool], "inverse_augment": [own]}
            self.assertEqual([result.dtype for result in results],
                             expected.get(case.name, [wide]))
            self.assertEqual([gradient.dtype for gradient in gradients],
                             [a.dtype for a in case.arguments[:case.trained]])

    def test_functions_of_the_module_are_the_operators(self):
        for case in self.for_every_case("float32"):
            self.assert_same(run(getattr(slotcon_ops, case.name), case)[0],
                             run(operator(case), case)[0])

    def test_layouts_are_all_the_same(self):
        for case in self.for_every_case("float32", "float64", "bfloat16"):
            expected = run(operator(case), case)
            for name, layout in LAYOUTS.items():
                with self.subTest(layout=name):
                    results, gradients = run(operator(case), case, leaves(case, layout))
                    self.assert_close(results, expected[0])
                    self.assert_close(gradients, expected[1])

    def test_autocast_changes_nothing(self):
        for case in self.for_every_case("float32", "bfloat16"):
            expected = run(operator(case), case)
            with torch.autocast("cpu", torch.bfloat16):
                results, gradients = run(operator(case), case)
            self.assert_same(results, expected[0])
            self.assert_same(gradients, expected[1])

    def test_runs_are_equal(self):
        for case in self.for_every_case("float32"):
            first, second = run(operator(case), case), run(operator(case), case)
            self.assert_same(first[0] + first[1], second[0] + second[1])


class Gradients(OperatorTest):
    def test_finite_differences(self):
        for case in self.for_every_case("float64"):
            count = 2 if case.name == "semantic_grouping" else 1  # `present` has none
            single = operator(case) if count == 1 else lambda *a: operator(case)(*a)[:2]
            self.assertTrue(torch.autograd.gradcheck(single, leaves(case)))

    def test_inverse_augmentation_is_differentiable_twice(self):
        for case in self.for_every_case("float64", "float32"):
            if case.name != "inverse_augment":
                continue
            exact = case.arguments[0].dtype == torch.float64
            self.assertTrue(torch.autograd.gradgradcheck(
                operator(case), leaves(case), **({} if exact else {"eps": 1e-2, "atol": 1e-3})))

    def test_second_derivative_of_the_others_is_an_error(self):
        for case in self.for_every_case("float32", "float64"):
            if case.name == "inverse_augment":
                continue
            arguments = leaves(case)
            roots = differentiable(operator(case)(*arguments))
            gradients = torch.autograd.grad(roots, arguments[:case.trained],
                                            [torch.ones_like(root) for root in roots],
                                            create_graph=True)
            total = sum(gradient.square().sum() for gradient in gradients)
            self.assert_raises(NotImplementedError,
                               f"{case.name}: double backward needs Backend::kReference",
                               torch.autograd.grad, total, arguments[0])

    def test_one_of_two_arguments(self):
        for case in self.for_every_case("float32", "float64"):
            _, expected = run(operator(case), case)
            for chosen in range(case.trained):
                arguments = [a.detach().requires_grad_(i == chosen)
                             for i, a in enumerate(leaves(case))]
                roots = differentiable(operator(case)(*arguments))
                incoming = [noise(root.shape, 20).to(root.dtype) for root in roots]
                gradients = torch.autograd.grad(roots, [arguments[chosen]], incoming)
                self.assert_same(gradients, [expected[chosen]])

    def test_one_of_two_results(self):
        for dtype in ("float32", "float64"):
            case = cases(dtype)[0]
            for chosen in range(2):
                arguments, again = leaves(case), leaves(case)
                result = operator(case)(*arguments)[chosen]
                expected = case.formula(*[a.double() for a in again])[chosen]
                incoming = noise(result.shape, 20)
                self.assert_close(
                    torch.autograd.grad(result, arguments, incoming.to(result.dtype)),
                    torch.autograd.grad(expected, again, incoming))

    def test_no_graph_where_none_is_asked_for(self):
        for case in self.for_every_case("float32", "float64"):
            expected = run(operator(case), case)[0]
            for guard in (torch.no_grad, torch.inference_mode):
                with guard():
                    results = operator(case)(*case.arguments)
                results = results if isinstance(results, tuple) else (results,)
                self.assertFalse(any(result.requires_grad for result in results))
                self.assert_same(results, expected)

    def test_half_gradients_are_scaled_before_they_are_rounded(self):
        """As a GradScaler expects: the gradient of one row alone is too small for float16."""
        scale = 2.0 ** 16
        for case in cases("float16", images=2):
            if case.name not in ("info_nce", "soft_cross_entropy"):
                continue
            with self.subTest(case.name):
                small = case._replace(arguments=[
                    a * 1000 if i < 2 and case.name == "info_nce" else a
                    for i, a in enumerate(case.arguments)])
                arguments = leaves(small)
                loss = operator(case)(*arguments) * 2e-4
                gradient, = torch.autograd.grad(loss * scale, arguments[:1])
                exact = [a.detach().double().requires_grad_(i == 0) if a.is_floating_point() else a
                         for i, a in enumerate(arguments)]
                expected, = torch.autograd.grad(case.formula(*exact) * 2e-4 * scale, exact[:1])
                self.assert_close([gradient], [expected], 2e-3)


class Compilers(OperatorTest):
    def test_opcheck_of_the_operators(self):
        for case in self.for_every_case(*DTYPES):
            for name, layout in LAYOUTS.items():
                with self.subTest(layout=name):
                    torch.library.opcheck(operator(case), leaves(case, layout))

    def test_opcheck_of_the_passes(self):
        for dtype in ("float32", "float64"):
            by_name = {case.name: case.arguments for case in cases(dtype)}
            features, prototypes = by_name["semantic_grouping"]
            ops = torch.ops.slotcon
            grouped = ops.semantic_grouping_forward(features, prototypes, 0.07, 1e-6)
            slots, scores, _, *saved = grouped
            for layout in LAYOUTS.values():
                x = layout(features)
                torch.library.opcheck(ops.semantic_grouping_forward, (x, prototypes, 0.07, 1e-6))
                for wanted in ([True, True], [True, False], [False, True]):
                    for by_slots, by_scores in ((slots, scores), (slots, None), (None, scores)):
                        torch.library.opcheck(
                            ops.semantic_grouping_backward,
                            (by_slots, by_scores, x, prototypes, slots, scores, *saved, 0.07, 1e-6,
                             wanted))
            for flag in (False, True):
                self.check_passes_of_losses(by_name, flag)

    def check_passes_of_losses(self, by_name, flag):
        numbers = {"inverse_augment": [], "soft_cross_entropy": [0.1], "info_nce": [0.2],
                   "slot_info_nce": [0.2]}
        for name, arguments in by_name.items():
            if name == "semantic_grouping":
                continue
            suffix = "resample" if name == "inverse_augment" else "forward"
            last = [flag, not flag] if "nce" in name else flag
            torch.library.opcheck(getattr(torch.ops.slotcon, f"{name}_{suffix}"),
                                  (*arguments, *numbers.get(name, [0.1, 0.07]), last))

    def test_compiled_results_and_gradients_are_the_same(self):
        for case in self.for_every_case("float32", "float64", "bfloat16"):
            torch.compiler.reset()
            compiled = torch.compile(operator(case), fullgraph=True)
            for name, layout in LAYOUTS.items():
                with self.subTest(layout=name):
                    expected = run(operator(case), case, leaves(case, layout))
                    results, gradients = run(compiled, case, leaves(case, layout))
                    self.assert_same(results, expected[0])
                    self.assert_same(gradients, expected[1])

    def test_sizes_may_change(self):
        for dtype in ("float32", "float64"):
            for cases_of_sizes in zip(*(cases(dtype, images) for images in (2, 3, 5))):
                torch.compiler.reset()
                compiled = torch.compile(operator(cases_of_sizes[0]), fullgraph=True, dynamic=True)
                for case in cases_of_sizes:
                    with self.subTest(operator=case.name, dtype=dtype):
                        expected = run(operator(case), case)
                        results, gradients = run(compiled, case)
                        self.assert_same(results, expected[0])
                        self.assert_same(gradients, expected[1])

    def test_a_training_objective_is_one_graph(self):
        torch.compiler.reset()
        features = noise([3, 20, 4, 5], 1, "float32"), noise([3, 20, 4, 5], 2, "float32")
        boxes, flipped = boxes_of(3, 3), noise([3], 4) > 0

        def objective(weight, prototypes):
            student = slotcon_ops.semantic_grouping(features[0] * weight, prototypes)
            with torch.no_grad():
                teacher = slotcon_ops.semantic_grouping(features[1], prototypes, 0.04)
                center = teacher.scores.mean([0, 2, 3])[None]
            grouping = slotcon_ops.aligned_assignment_cross_entropy(
                student.scores, teacher.scores, boxes, flipped, boxes, ~flipped, center)
            contrast = slotcon_ops.slot_info_nce(student.slots, teacher.slots, student.present,
                                                 teacher.present)
            return grouping + contrast

        def step(function):
            weight = torch.ones([], requires_grad=True)
            prototypes = noise([6, 20], 5, "float32").requires_grad_()
            loss = function(weight, prototypes)
            return [loss.detach(), *torch.autograd.grad(loss, [weight, prototypes])]

        self.assert_close(step(torch.compile(objective, fullgraph=True)), step(objective))

    def test_compiled_under_autocast(self):
        torch.compiler.reset()
        for case in self.for_every_case("float32"):
            expected = run(operator(case), case)

            def function(*arguments, call=operator(case)):
                with torch.autocast("cpu", torch.bfloat16):
                    return call(*arguments)

            results, gradients = run(torch.compile(function, fullgraph=True), case)
            self.assert_same(results, expected[0])
            self.assert_same(gradients, expected[1])

    def test_exported_programs_have_the_passes(self):
        for case in self.for_every_case("float32"):
            class Module(torch.nn.Module):
                def forward(self, *arguments):
                    return operator(case)(*arguments)

            arguments = tuple(case.arguments)
            program = torch.export.export(Module(), arguments).run_decompositions()
            called = {str(node.target) for node in program.graph.nodes if node.op == "call_function"}
            self.assertTrue(any(name.startswith(f"slotcon.{case.name}_") for name in called), called)
            results = program.module()(*arguments)
            results = list(results) if isinstance(results, (tuple, list)) else [results]
            self.assert_same(results, run(operator(case), case)[0])


class WithoutData(OperatorTest):
    def described(self, tensors):
        def strides(tensor):  # those that mean something
            return [stride for size, stride in zip(tensor.shape, tensor.stride()) if size > 1]
        return [(tensor.shape, tensor.dtype, strides(tensor)) for tensor in tensors]

    def test_meta_tensors_have_the_results_of_real_ones(self):
        for case in self.for_every_case(*DTYPES):
            for name, layout in LAYOUTS.items():
                with self.subTest(layout=name):
                    expected = run(operator(case), case, leaves(case, layout))
                    on_meta = [a.detach().to("meta").requires_grad_(a.requires_grad)
                               for a in leaves(case, layout)]
                    results = operator(case)(*on_meta)
                    roots = differentiable(results)
                    gradients = torch.autograd.grad(
                        roots, on_meta[:case.trained],
                        [torch.empty_like(root, memory_format=torch.contiguous_format)
                         for root in roots])
                    results = results if isinstance(results, tuple) else (results,)
                    self.assertTrue(all(result.is_meta for result in results))
                    self.assertEqual(self.described(results), self.described(expected[0]))
                    self.assertEqual(self.described(gradients), self.described(expected[1]))


class EdgeCases(OperatorTest):
    def test_nothing_to_compare_is_zero_with_zero_gradients(self):
        for dtype in ("float32", "float64"):
            for case in cases(dtype, images=3):
                with self.subTest(operator=case.name, dtype=dtype):
                    empty = case._replace(arguments=[a if a.shape[0] != 3 * (5, 7)["nce" in "x"]
                                                     else a for a in case.arguments])
                    del empty


class Errors(OperatorTest):
    pass


class Loading(OperatorTest):
    def test_library_of_another_torch_is_an_error_that_says_so(self):
        with tempfile.TemporaryDirectory() as folder:
            shutil.copy(FOLDER / "slotcon_ops.py", folder)
            pathlib.Path(folder, "libslotcon_ops_torch1.0.so").touch()
            result = subprocess.run([sys.executable, "-c", "import slotcon_ops"], cwd=folder,
                                    capture_output=True, text=True, check=False)
        release = ".".join(torch.__version__.split(".")[:2])
        self.assertIn(
            f"ImportError: slotcon_ops: expected libslotcon_ops_torch{release}.so in {folder}, as "
            f"this Python has torch {torch.__version__}, found libslotcon_ops_torch1.0.so; build "
            "it with this Python first in PATH and -DSLOTCON_BUILD_PYTHON=ON", result.stderr)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]])
