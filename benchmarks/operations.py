"""The operations of slotcon_benchmarks in PyTorch, on any device."""

import collections
import math
import re

# The row of a size without the implementation: what every implementation of it has in common.
Row = collections.namedtuple("Row", "operation direction precision sizes")

# `trained` tensors take a gradient; `incoming` are the gradients of the outputs, None of a loss.
Arguments = collections.namedtuple("Arguments", "trained fixed incoming")


def row_of(name):
    """`<operation>/<direction>/<precision>/<sizes>`."""
    return Row(*name.split("/", 3))


def name_of(row, implementation):
    """As slotcon_benchmarks names it."""
    return "/".join((row.operation, row.direction, implementation, row.precision, row.sizes))


def unit(x, dim):
    return x / x.norm(dim=dim, keepdim=True).clamp_min(1e-12)


def wide_type(x):
    """float32 for the half types, their own for the others."""
    import torch
    return torch.float32 if x.element_size() < 4 else x.dtype


def wide(x):
    return x.to(wide_type(x))


def grouping_published(features, prototypes):
    """As published: prototypes repeated for every image."""
    import torch
    kind = features.dtype
    table_of_image = prototypes.unsqueeze(0).repeat(features.shape[0], 1, 1)
    scores = torch.einsum("bdn,bkd->bkn", unit(wide(features), 1).to(kind),
                          unit(table_of_image, 2).to(kind))
    assignment = (scores / 0.07).softmax(1, dtype=wide_type(scores)) + 1e-6
    weights = assignment / assignment.sum(2, keepdim=True)
    return torch.einsum("bdn,bkn->bkd", features, weights.to(kind)), scores


def grouping(features, prototypes):
    """The same results with fewer operations, those of slotcon's reference."""
    import torch
    kind = features.dtype
    scores = torch.matmul(unit(prototypes, 1).to(kind), unit(wide(features), 1).to(kind))
    assignment = (scores / 0.07).softmax(1, dtype=wide_type(scores)) + 1e-6
    weights = assignment / assignment.sum(2, keepdim=True)
    return torch.bmm(weights.to(kind), features.transpose(1, 2)), scores


def axis_weights(first, last, size):
    """[B,size,size]: how one axis of the aligned map samples the map, for boxes inside it."""
    import torch
    pixel = torch.arange(size, device=first.device)
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


def distillation(student, teacher, center, student_boxes, student_flipped, teacher_boxes,
                 teacher_flipped):
    targets = ((align(teacher, teacher_boxes, teacher_flipped) - center) / 0.07).softmax(1)
    log_assignment = (align(student, student_boxes, student_flipped) / 0.1).log_softmax(1)
    return -(targets * log_assignment).sum(1).mean()


def contrast(queries, keys, positive):
    import torch
    logits = torch.matmul(unit(queries, 1), unit(keys, 1).t()) / 0.2
    return torch.nn.functional.cross_entropy(logits, positive) * 0.4


FUNCTIONS = {"semantic_grouping": grouping, "aligned_assignment": distillation,
             "slot_info_nce": contrast}


def grouping_arguments(row, size, device):
    import torch
    kind = getattr(torch, row.precision.replace("tf32", "float32"))
    features = torch.randn(size["B"], size["D"], size["N"], device=device).to(kind)
    prototypes = torch.randn(size["K"], size["D"], device=device)
    slot_gradient = torch.randn(size["B"], size["K"], size["D"], device=device).to(kind)
    score_gradient = torch.randn(size["B"], size["K"], size["N"], device=device).to(kind)
    return Arguments([features, prototypes], [], [slot_gradient, score_gradient])


def distillation_arguments(_, size, device):
    import torch
    side = math.isqrt(size["N"])
    student, teacher = torch.rand(2, size["B"], size["K"], side, side, device=device)
    center = torch.zeros(1, size["K"], 1, 1, device=device)
    views = []
    for _ in range(2):
        corners = 0.3 * torch.rand(2, size["B"], 2, device=device)
        views += [torch.cat([corners[0], 1 - corners[1]], 1),
                  torch.rand(size["B"], device=device) < 0.5]
    return Arguments([student], [teacher, center, *views], None)


def contrast_arguments(_, size, device):
    import torch
    queries = torch.randn(size["anchors"], size["D"], device=device)
    keys = torch.randn(size["keys"], size["D"], device=device)
    positive = torch.randperm(size["keys"], device=device)[:size["anchors"]]
    return Arguments([queries], [keys, positive], None)


def arguments_of(row, device):
    """Random arguments of FUNCTIONS[row.operation], on a device."""
    make = {"semantic_grouping": grouping_arguments, "aligned_assignment": distillation_arguments,
            "slot_info_nce": contrast_arguments}[row.operation]
    size = {key: int(value) for key, value in re.findall(r"(\w+):(\d+)", row.sizes)}
    arguments = make(row, size, device)
    return arguments._replace(trained=[t.requires_grad_() for t in arguments.trained])


def in_float64(arguments):
    def convert(tensors):
        return tensors and [t.double() if t.is_floating_point() else t for t in tensors]
    return Arguments([t.detach().double().requires_grad_() for t in arguments.trained],
                     convert(arguments.fixed), convert(arguments.incoming))


def call_of(row, function, arguments):
    """A call without arguments that gives all results, the gradients too if the row has them."""
    import torch

    def outputs():
        result = function(*arguments.trained, *arguments.fixed)
        return result if isinstance(result, tuple) else (result,)

    def forward():
        with torch.no_grad():
            return outputs()

    def forward_backward():
        results = outputs()
        gradients = torch.autograd.grad(results, arguments.trained, arguments.incoming)
        return (*(result.detach() for result in results), *gradients)

    return forward_backward if row.direction == "forward_backward" else forward
