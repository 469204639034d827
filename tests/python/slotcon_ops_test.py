#!/usr/bin/env python3
"""The operators of python/slotcon_ops.py: against C++, their formulas, autograd and torch.compile.

    slotcon_ops_test.py [FOLDER CPP_RESULTS [unittest's arguments]]

FOLDER holds the built operators, CPP_RESULTS is the program slotcon_cpp_results; without them, or
without torch, it says why it skips and ends with status 77. SLOTCON_TEST_PYTHON names the Python to
run in, otherwise the one that runs it.
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
    if len(sys.argv) < 3:
        skip("the operators for Python are not built (-DSLOTCON_BUILD_PYTHON=ON)")
    FOLDER, CPP_RESULTS = map(pathlib.Path, sys.argv[1:3])
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


def for_every_case(*dtypes):
    """Decorates test(self, case): it runs for every operator, with arguments of each type."""
    def decorate(test):
        def test_all(self):
            for dtype in dtypes:
                for case in cases(dtype):
                    with self.subTest(operator=case.name, dtype=dtype):
                        test(self, case)
        return test_all
    return decorate


class OperatorTest(unittest.TestCase):
    def assert_same(self, actual, expected):
        """Equal bits, types and shapes, of lists of tensors."""
        self.assertEqual(len(actual), len(expected))
        for i, (left, right) in enumerate(zip(actual, expected)):
            self.assertEqual((left.shape, left.dtype), (right.shape, right.dtype), f"tensor {i}")
            differences = (left != right).sum().item()
            self.assertEqual(differences, 0, f"numbers of tensor {i} differ")

    def assert_close(self, actual, expected, tolerance=None):
        """Within the tolerance of the type of each."""
        self.assertEqual(len(actual), len(expected))
        for i, (left, right) in enumerate(zip(actual, expected)):
            self.assertEqual(left.shape, right.shape, f"tensor {i}")
            if left.dtype == torch.bool:
                self.assert_same([left], [right])
                continue
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

    def test_results_and_gradients(self):
        """The kernels give the same bits; LibTorch's products depend on where memory begins."""
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
                by_kernel = "Double" not in name and (not numbers or numbers[0] >= 0.025)
                check = self.assert_same if by_kernel else self.assert_close
                check([result.detach() for result in results], call["results"])
                check(gradients, call["gradients"])


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

    @for_every_case(*DTYPES)
    def test_results_and_gradients(self, case):
        results, gradients = run(operator(case), case)
        expected_results, expected_gradients = self.expected(case)
        # Products of bfloat16 features are rounded on some processors.
        rough = 1e-2 if case.arguments[0].dtype == torch.bfloat16 else None
        if case.name == "semantic_grouping":
            self.assert_same([results.pop()], [present_formula(results[1])])
        self.assert_close(results, expected_results, rough)
        self.assert_close(gradients, expected_gradients, rough)

    @for_every_case(*DTYPES)
    def test_types_of_the_results(self, case):
        own = case.arguments[0].dtype
        wide = torch.float64 if own == torch.float64 else torch.float32
        results, gradients = run(operator(case), case)
        expected = {"semantic_grouping": [own, wide, torch.bool], "inverse_augment": [own]}
        self.assertEqual([result.dtype for result in results],
                         expected.get(case.name, [wide]))
        self.assertEqual([gradient.dtype for gradient in gradients],
                         [a.dtype for a in case.arguments[:case.trained]])

    @for_every_case("float32")
    def test_functions_of_the_module_are_the_operators(self, case):
        self.assert_same(run(getattr(slotcon_ops, case.name), case)[0],
                         run(operator(case), case)[0])

    @for_every_case("float32", "float64", "bfloat16")
    def test_layouts_are_all_the_same(self, case):
        expected = run(operator(case), case)
        for name, layout in LAYOUTS.items():
            with self.subTest(layout=name):
                results, gradients = run(operator(case), case, leaves(case, layout))
                self.assert_close(results, expected[0])
                self.assert_close(gradients, expected[1])

    @for_every_case("float32", "bfloat16")
    def test_autocast_changes_nothing(self, case):
        expected = run(operator(case), case)
        with torch.autocast("cpu", torch.bfloat16):
            results, gradients = run(operator(case), case)
        self.assert_same(results, expected[0])
        self.assert_same(gradients, expected[1])

    @for_every_case("float32")
    def test_runs_are_equal(self, case):
        first, second = run(operator(case), case), run(operator(case), case)
        self.assert_same(first[0] + first[1], second[0] + second[1])


class Gradients(OperatorTest):
    @for_every_case("float64")
    def test_finite_differences(self, case):
        count = 2 if case.name == "semantic_grouping" else 1  # `present` has none
        single = operator(case) if count == 1 else lambda *a: operator(case)(*a)[:2]
        self.assertTrue(torch.autograd.gradcheck(single, leaves(case)))

    def test_inverse_augmentation_is_differentiable_twice(self):
        case = cases("float64")[1]
        self.assertTrue(torch.autograd.gradgradcheck(operator(case), leaves(case)))
        arguments = leaves(cases("float32")[1])  # by the kernel
        gradient, = torch.autograd.grad(operator(case)(*arguments).square().sum(), arguments[:1],
                                        create_graph=True)
        direction = noise(gradient.shape, 1, "float32")
        twice, = torch.autograd.grad(gradient, arguments[:1], direction)
        exact = [a.double() if a.is_floating_point() else a for a in arguments]
        expected = torch.autograd.functional.hvp(
            lambda maps: case.formula(maps, *exact[1:]).square().sum(), exact[0].detach(),
            direction.double())[1]
        self.assert_close([twice], [expected])

    @for_every_case("float32", "float64")
    def test_second_derivative_of_the_others_is_an_error(self, case):
        if case.name == "inverse_augment":
            return
        arguments = leaves(case)
        roots = differentiable(operator(case)(*arguments))
        gradients = torch.autograd.grad(roots, arguments[:case.trained],
                                        [torch.ones_like(root) for root in roots],
                                        create_graph=True)
        total = sum(gradient.square().sum() for gradient in gradients)
        self.assert_raises(NotImplementedError,
                           f"{case.name}: double backward needs Backend::kReference",
                           torch.autograd.grad, total, arguments[0])

    @for_every_case("float32", "float64")
    def test_one_of_two_arguments(self, case):
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

    @for_every_case("float32", "float64")
    def test_no_graph_where_none_is_asked_for(self, case):
        expected = run(operator(case), case)[0]
        for guard in (torch.no_grad, torch.inference_mode):
            with guard():
                results = operator(case)(*case.arguments)
            results = results if isinstance(results, tuple) else (results,)
            self.assertFalse(any(result.requires_grad for result in results))
            self.assert_same(results, expected)

    def test_half_gradients_are_scaled_before_they_are_rounded(self):
        """Alone they are 0 in float16: a GradScaler's factor must come first."""
        factor = 2.0 ** 16
        case = cases("float16")[5]
        rows = case._replace(arguments=[a * 500 if a.is_floating_point() else a
                                        for a in case.arguments])
        _, gradients = run(lambda *a: operator(case)(*a) * (2e-4 * factor), rows)
        self.assertEqual(run(lambda *a: operator(case)(*a) * 2e-4, rows)[1][0].abs().max(), 0)
        exact = rows._replace(arguments=[a.double() if a.is_floating_point() else a
                                         for a in rows.arguments])
        _, expected = run(lambda *a: case.formula(*a) * (2e-4 * factor), exact)
        self.assert_close(gradients, expected, 1e-2)


class Compilers(OperatorTest):
    @for_every_case(*DTYPES)
    def test_opcheck_of_the_operators(self, case):
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

    @for_every_case("float32", "float64", "bfloat16")
    def test_compiled_results_and_gradients_are_the_same(self, case):
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
            weight = torch.ones(20, 1, 1, requires_grad=True)
            prototypes = noise([6, 20], 5, "float32").requires_grad_()
            loss = function(weight, prototypes)
            return [loss.detach(), *torch.autograd.grad(loss, [weight, prototypes])]

        self.assert_close(step(torch.compile(objective, fullgraph=True)), step(objective))

    @for_every_case("float32")
    def test_compiled_under_autocast(self, case):
        torch.compiler.reset()
        expected = run(operator(case), case)

        def function(*arguments):
            with torch.autocast("cpu", torch.bfloat16):
                return operator(case)(*arguments)

        results, gradients = run(torch.compile(function, fullgraph=True), case)
        self.assert_same(results, expected[0])
        self.assert_same(gradients, expected[1])

    @for_every_case("float32")
    def test_exported_programs_have_the_passes(self, case):
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

    @for_every_case(*DTYPES)
    def test_meta_tensors_have_the_results_of_real_ones(self, case):
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


def empty_cases(dtype):
    """Calls with nothing to compute: (what is missing, case)."""
    def tensor(*sizes):
        return torch.ones(sizes, dtype=getattr(torch, dtype))

    some = {case.name: case for case in cases(dtype)}
    for what, sizes in {"images": (0, 9, 4, 5), "positions": (3, 9, 0, 5)}.items():
        maps = tensor(*sizes)
        view = [torch.ones(sizes[0], 4), torch.ones(sizes[0], dtype=torch.bool)]
        calls = {"semantic_grouping": [maps, tensor(6, 9)],
                 "inverse_augment": [maps, *view],
                 "soft_cross_entropy": [maps, maps],
                 "assignment_cross_entropy": [maps, maps, tensor(1, 9)],
                 "aligned_assignment_cross_entropy": [maps, maps, *view, *view, tensor(1, 9)]}
        for name, arguments in calls.items():
            yield what, some[name]._replace(arguments=arguments)
    yield "queries", some["info_nce"]._replace(
        arguments=[tensor(0, 5), tensor(7, 5), torch.ones(0, dtype=torch.int64)])
    slots, present = tensor(3, 8, 5), torch.arange(24).reshape(3, 8) % 2 == 0
    yield "pairs", some["slot_info_nce"]._replace(arguments=[slots, slots, present, ~present])
    yield "slots", some["slot_info_nce"]._replace(
        arguments=[slots, slots, present & ~present, present & ~present])
    yield "images", some["slot_info_nce"]._replace(
        arguments=[slots[:0], slots[:0], present[:0], present[:0]])


class EdgeCases(OperatorTest):
    def test_nothing_to_compute_is_zero_with_zero_gradients(self):
        for dtype in DTYPES:
            for what, case in empty_cases(dtype):
                with self.subTest(no=what, operator=case.name, dtype=dtype):
                    results, gradients = run(operator(case), case)
                    self.assert_same([r for r in results if r.numel() > 0],
                                     [torch.zeros_like(r) for r in results if r.numel() > 0])
                    self.assert_same(gradients,
                                     [torch.zeros_like(a) for a in case.arguments[:case.trained]])

    def test_opcheck_of_nothing(self):
        for dtype in ("float32", "float64"):
            for what, case in empty_cases(dtype):
                with self.subTest(no=what, operator=case.name, dtype=dtype):
                    torch.library.opcheck(operator(case), leaves(case))

    def test_boxes_without_extent_give_zeros_and_no_gradient(self):
        case = cases("float32")[1]
        maps, _, flipped = case.arguments
        boxes = torch.tensor([[0.2, 0.2, 0.2, 0.8], [0.8, 0.2, 0.2, 0.8], [0.5, 0.5, 0.5, 0.5]])
        results, gradients = run(operator(case), case._replace(arguments=[maps, boxes, flipped]))
        self.assert_same(results + gradients, [torch.zeros_like(maps)] * 2)

    def test_one_spatial_axis_and_three(self):
        for sizes in ([3, 20, 7], [2, 20, 3, 2, 4]):
            case = cases("float32")[0]
            case = case._replace(arguments=[noise(sizes, 1, "float32"), case.arguments[1]])
            results, gradients = run(operator(case), case)
            exact = case._replace(arguments=[a.double() for a in case.arguments])
            expected = run(case.formula, exact)
            self.assert_close(results[:2] + gradients, expected[0] + expected[1])


class Errors(OperatorTest):
    def test_texts(self):
        ops = torch.ops.slotcon
        x, p, maps = torch.ones(2, 4, 3, 3), torch.ones(5, 4), torch.ones(2, 4, 3, 3)
        boxes, flipped = torch.ones(2, 4), torch.ones(2, dtype=torch.bool)
        rows, place = torch.ones(3, 4), torch.zeros(3, dtype=torch.int64)
        view = boxes, flipped
        for kind, text, function, *arguments in [
                (ValueError, "semantic_grouping: expected features [B,D,*spatial], got [5, 4]",
                 ops.semantic_grouping, p, p),
                (ValueError, "semantic_grouping: expected features with as many channels as the "
                 "prototypes, 3, got 4", ops.semantic_grouping, x, p[:, :3]),
                (ValueError, "semantic_grouping: expected temperature > 0, got 0",
                 ops.semantic_grouping, x, p, 0.0),
                (ValueError, "semantic_grouping: expected eps >= 0, got -1",
                 ops.semantic_grouping, x, p, 0.1, -1.0),
                (TypeError, "semantic_grouping: expected a floating dtype, got Long",
                 ops.semantic_grouping, x.long(), p),
                (ValueError, "inverse_augment: expected maps [B,K,H,W], got [5, 4]",
                 ops.inverse_augment, p, *view),
                (ValueError, "inverse_augment: expected boxes [2, 4], got [2, 3]",
                 ops.inverse_augment, maps, boxes[:, :3], flipped),
                (TypeError, "inverse_augment: expected flipped of dtype Bool, got Long",
                 ops.inverse_augment, maps, boxes, flipped.long()),
                (TypeError, "inverse_augment: expected a floating dtype, got Int",
                 ops.inverse_augment, maps.int(), *view),
                (ValueError, "soft_cross_entropy: expected student scores and targets of one "
                 "shape, got [2, 4, 3, 3] and [5, 4]", ops.soft_cross_entropy, maps, p),
                (ValueError, "soft_cross_entropy: expected student_temperature > 0 and "
                 "teacher_temperature > 0, got -1 and 0.07", ops.soft_cross_entropy, maps, maps,
                 -1.0),
                (TypeError, "soft_cross_entropy: expected a floating dtype, got Long",
                 ops.soft_cross_entropy, maps.long(), maps),
                (ValueError, "centered_assignment: expected center [1, 4], got [5, 4]",
                 ops.assignment_cross_entropy, maps, maps, p),
                (ValueError, "aligned_assignment_cross_entropy: expected boxes [2, 4], got [5, 4]",
                 ops.aligned_assignment_cross_entropy, maps, maps, p, flipped, *view, p[:1]),
                (ValueError, "aligned_assignment_cross_entropy: expected center [1, 4], got "
                 "[5, 4]", ops.aligned_assignment_cross_entropy, maps, maps, *view, *view, p),
                (ValueError, "info_nce: expected temperature > 0, got 0", ops.info_nce, rows, rows,
                 place, 0.0),
                (ValueError, "info_nce: expected queries [n,D] and keys [m,D], got [3, 4] and "
                 "[3, 3]", ops.info_nce, rows, rows[:, :3], place),
                (ValueError, "info_nce: expected positive [3], got [2]", ops.info_nce, rows, rows,
                 place[:2]),
                (IndexError, "info_nce: expected positive in [0, 3), got 7", ops.info_nce, rows,
                 rows, place + 7),
                (ValueError, "slot_info_nce: expected anchors and keys [B,K,D] of one shape, got "
                 "[3, 4] and [3, 4]", ops.slot_info_nce, rows, rows, flipped, flipped),
                (TypeError, "pair_slots: expected masks of dtype Bool, got Float and Float",
                 ops.slot_info_nce, rows[None], rows[None], rows[None, :, 0], rows[None, :, 0])]:
            with self.subTest(text):
                self.assert_raises(kind, text, function, *arguments)

    def test_compiled_calls_say_the_same(self):
        torch.compiler.reset()
        compiled = torch.compile(torch.ops.slotcon.info_nce, fullgraph=True)
        rows, place = torch.ones(3, 4), torch.full([3], 7)
        self.assert_raises(IndexError, "info_nce: expected positive in [0, 3), got 7", compiled,
                           rows, rows, place)
        self.assert_raises(ValueError, "info_nce: expected positive [3], got [2]", compiled, rows,
                           rows, place[:2])


class Loading(OperatorTest):
    def run_python(self, code, folder):
        return subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True,
                              text=True, check=False)

    def test_library_alone_has_operators_and_their_gradients(self):
        library, = FOLDER.resolve().glob("libslotcon_ops_torch*.so")
        result = self.run_python(
            f"import torch; torch.ops.load_library('{library}')\n"
            "scores = torch.zeros(2, 3, 4, requires_grad=True)\n"
            "torch.ops.slotcon.soft_cross_entropy(scores, torch.ones(2, 3, 4) / 3).backward()\n"
            "print(scores.grad.shape)", FOLDER)
        self.assertEqual(result.stdout, "torch.Size([2, 3, 4])\n", result.stderr)

    def test_library_of_another_torch_is_an_error_that_says_so(self):
        with tempfile.TemporaryDirectory() as folder:
            shutil.copy(FOLDER / "slotcon_ops.py", folder)
            pathlib.Path(folder, "libslotcon_ops_torch1.0.so").touch()
            result = self.run_python("import slotcon_ops", folder)
        release = ".".join(torch.__version__.split(".")[:2])
        self.assertIn(
            f"ImportError: slotcon_ops: expected libslotcon_ops_torch{release}.so in {folder}, as "
            f"this Python has torch {torch.__version__}, found libslotcon_ops_torch1.0.so; build "
            "it with this Python first in PATH and -DSLOTCON_BUILD_PYTHON=ON", result.stderr)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]])
