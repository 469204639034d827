"""slotcon's fused losses as PyTorch operators: for eager mode, autograd and torch.compile.

    import slotcon_ops
    slots, scores, present = slotcon_ops.semantic_grouping(features, prototypes)
    slots, scores, present = torch.ops.slotcon.semantic_grouping(features, prototypes)  # the same

Built by CMake with -DSLOTCON_BUILD_PYTHON=ON, which puts this file beside the library that it
loads. docs/python.md says how, and what the operators cannot do.

All functions: tensors of one CPU or CUDA device, of float16, bfloat16, float32 or float64, in any
memory layout; sums, norms and softmax are float32 (float64 for float64), under autocast too. They
hold no state, draw no random numbers and give the same results from run to run. They are
differentiable once, inverse_augment any number of times; where no fused kernel can run (float64,
temperatures below 0.025) they compute the same by PyTorch's own operations. What does not fit is a
ValueError, TypeError or IndexError that says who, what was expected and what came.
"""

import pathlib
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Grouping", "aligned_assignment_cross_entropy", "assignment_cross_entropy", "info_nce",
           "inverse_augment", "semantic_grouping", "slot_info_nce", "soft_cross_entropy"]


def _load_library() -> None:
    """Loads the library that was built with the torch of this Python."""
    folder = pathlib.Path(__file__).parent
    release = ".".join(torch.__version__.split(".")[:2])
    library = folder / f"libslotcon_ops_torch{release}.so"
    if not library.exists():
        built = sorted(path.name for path in folder.glob("libslotcon_ops_torch*.so"))
        raise ImportError(
            f"slotcon_ops: expected {library.name} in {folder}, as this Python has torch "
            f"{torch.__version__}, found {', '.join(built) or 'no library'}; build it with this "
            "Python first in PATH and -DSLOTCON_BUILD_PYTHON=ON")
    torch.ops.load_library(library)


_load_library()


class Grouping(NamedTuple):
    """What semantic grouping makes of a batch."""
    slots: Tensor    # [B,K,D], dtype of the features: the features that each prototype won
    scores: Tensor   # [B,K,*spatial], float32 (float64 for float64 features): cosines
    present: Tensor  # [B,K] bool: the prototype wins at least one position


def semantic_grouping(features: Tensor, prototypes: Tensor, temperature: float = 0.07,
                      eps: float = 1e-6) -> Grouping:
    """Assigns each position to prototypes and pools the positions of each into a slot.

        scores[b,k,n] = <p_k / |p_k|, x_bn / |x_bn|>                (norms not below 1e-12)
        a[b,k,n]      = softmax_k(scores[b,k,n] / temperature) + eps
        slots[b,k]    = sum_n a[b,k,n] x_bn / sum_n a[b,k,n]

    `features` [B,D,*spatial], `prototypes` [K,D]; temperature > 0, eps >= 0. Gradients go to both,
    through slots and scores. With no position the slots are 0 and none is present; of equal scores
    the lowest prototype wins. The scores lie in memory channels last.
    """
    return Grouping(*torch.ops.slotcon.semantic_grouping(features, prototypes, temperature, eps))


def inverse_augment(maps: Tensor, boxes: Tensor, flipped: Tensor) -> Tensor:
    """Cuts a box out of each map, resamples it to the map's size and undoes the mirror image.

    RoIAlign (aligned, adaptive sampling), then a left-right flip where `flipped`: pixel (p,q) is
    the bilinear sample at y1 H - 1/2 + (p + 1/2) (y2 - y1), likewise in x.

    `maps` [B,K,H,W], `boxes` [B,4] (x1, y1, x2, y2 as fractions of the map), `flipped` [B] bool;
    result [B,K,H,W], dtype of the maps. A box without width or height gives zeros. Gradients go to
    the maps.
    """
    return torch.ops.slotcon.inverse_augment(maps, boxes, flipped)


def soft_cross_entropy(student_scores: Tensor, targets: Tensor,
                       student_temperature: float = 0.1) -> Tensor:
    """Cross entropy of the student's assignment to given targets.

        mean_{b,n} -sum_k targets[b,k,n] log softmax_k(student_scores[b,k,n] / student_temperature)

    Both [B,K,*spatial]; result 0-d float32 (float64 for float64 scores). No image or no position:
    0. Gradients go to the student's scores.
    """
    return torch.ops.slotcon.soft_cross_entropy(student_scores, targets, student_temperature)


def assignment_cross_entropy(student_scores: Tensor, teacher_scores: Tensor, center: Tensor,
                             student_temperature: float = 0.1,
                             teacher_temperature: float = 0.07) -> Tensor:
    """The student learns the teacher's centred, sharpened assignment of the same positions.

    soft_cross_entropy() with targets softmax_k((teacher_scores - center) / teacher_temperature).

    Scores [B,K,*spatial], `center` [1,K]; result 0-d float32 (float64 for float64 scores). No image
    or no position: 0. Gradients go to the student's scores.
    """
    return torch.ops.slotcon.assignment_cross_entropy(
        student_scores, teacher_scores, center, student_temperature, teacher_temperature)


def aligned_assignment_cross_entropy(student_scores: Tensor, teacher_scores: Tensor,
                                     student_boxes: Tensor, student_flipped: Tensor,
                                     teacher_boxes: Tensor, teacher_flipped: Tensor,
                                     center: Tensor, student_temperature: float = 0.1,
                                     teacher_temperature: float = 0.07) -> Tensor:
    """The student learns the teacher's assignment over the region that both views show.

    assignment_cross_entropy() of inverse_augment()ed maps, in one pass that stores no aligned map.

    Scores [B,K,H,W], boxes [B,4] and flips [B] as in inverse_augment(), `center` [1,K]; result 0-d
    float32 (float64 for float64 scores). No image or no position: 0. Views that share nothing align
    to zeros, which count as every other position. Gradients go to the student's scores.
    """
    return torch.ops.slotcon.aligned_assignment_cross_entropy(
        student_scores, teacher_scores, student_boxes, student_flipped, teacher_boxes,
        teacher_flipped, center, student_temperature, teacher_temperature)


def info_nce(queries: Tensor, keys: Tensor, positive: Tensor, temperature: float = 0.2) -> Tensor:
    """InfoNCE of rows: each query against all keys, of which one is its positive.

        l_ij = <q_i / |q_i|, k_j / |k_j|> / temperature             (norms not below 1e-12)
        2 temperature mean_i(logsumexp_j l_ij - l_i,positive[i])

    `queries` [n,D], `keys` [m,D], `positive` [n] int64 in [0,m) (checked on the CPU only); result
    0-d float32 (float64 for float64 queries). No query: 0. Gradients go to queries and keys. Holds
    no logits.
    """
    return torch.ops.slotcon.info_nce(queries, keys, positive, temperature)


def slot_info_nce(anchors: Tensor, keys: Tensor, anchor_present: Tensor, key_present: Tensor,
                  temperature: float = 0.2) -> Tensor:
    """InfoNCE over slot pairs: slots present in both views against those of the key view.

    info_nce() with slot (b,k) of `keys` as the positive of slot (b,k) of `anchors`.

    Slots [B,K,D], masks [B,K] bool; result 0-d float32 (float64 for float64 anchors). No anchor:
    0. Gradients go to anchors and keys. One process: nothing is gathered from others.
    """
    return torch.ops.slotcon.slot_info_nce(anchors, keys, anchor_present, key_present, temperature)


# ---- Results without data: for torch.compile, torch.export and the meta device -------------------

def _compute_type(tensor: Tensor) -> torch.dtype:
    return torch.float64 if tensor.dtype == torch.float64 else torch.float32


def _channels_last(like: Tensor, channels: int, dtype: torch.dtype) -> Tensor:
    """[B,channels,*spatial] that lies in memory as [B,*spatial,channels]."""
    return like.new_empty([like.shape[0], *like.shape[2:], channels], dtype=dtype).movedim(-1, 1)


def _in_order_of(like: Tensor, dtype: torch.dtype) -> Tensor:
    """[B,C,*spatial] in the order of `like`: what in_order_of() of ops/operators.h gives."""
    if like.movedim(1, -1).is_contiguous():
        return _channels_last(like, like.shape[1], dtype)
    return like.new_empty(like.shape, dtype=dtype)


@torch.library.register_fake("slotcon::semantic_grouping_forward")
def _(features, prototypes, temperature, eps):
    images, dims, *spatial = features.shape
    slots = prototypes.shape[0]
    positions = 1
    for size in spatial:
        positions = positions * size
    dtype = _compute_type(features)
    return (features.new_empty([images, slots, dims]),
            _channels_last(features, slots, dtype),
            features.new_empty([images, slots], dtype=torch.bool),
            features.new_empty([images, positions], dtype=dtype),
            features.new_empty([images, positions], dtype=dtype),
            features.new_empty([images, slots], dtype=dtype))


@torch.library.register_fake("slotcon::semantic_grouping_backward")
def _(by_slots, by_scores, features, prototypes, slots, scores, inverse_norm, inverse_partition,
      totals, temperature, eps, wanted):
    return (_in_order_of(features, features.dtype) if wanted[0] else features.new_empty(0),
            prototypes.new_empty(prototypes.shape, dtype=scores.dtype) if wanted[1]
            else scores.new_empty(0))


@torch.library.register_fake("slotcon::inverse_augment_resample")
def _(maps, boxes, flipped, transposed):
    return _in_order_of(maps, maps.dtype)


def _score_loss(student_scores: Tensor, with_gradient: bool) -> tuple[Tensor, Tensor]:
    dtype = _compute_type(student_scores)
    return (student_scores.new_empty([], dtype=dtype),
            _in_order_of(student_scores, dtype) if with_gradient
            else student_scores.new_empty(0, dtype=dtype))


@torch.library.register_fake("slotcon::soft_cross_entropy_forward")
def _(student_scores, targets, student_temperature, with_gradient):
    return _score_loss(student_scores, with_gradient)


@torch.library.register_fake("slotcon::assignment_cross_entropy_forward")
def _(student_scores, teacher_scores, center, student_temperature, teacher_temperature,
      with_gradient):
    return _score_loss(student_scores, with_gradient)


@torch.library.register_fake("slotcon::aligned_assignment_cross_entropy_forward")
def _(student_scores, teacher_scores, student_boxes, student_flipped, teacher_boxes,
      teacher_flipped, center, student_temperature, teacher_temperature, with_gradient):
    return _score_loss(student_scores, with_gradient)


def _contrast_loss(queries: Tensor, keys: Tensor,
                   wanted: list[bool]) -> tuple[Tensor, Tensor, Tensor]:
    dtype = _compute_type(queries)
    return (queries.new_empty([], dtype=dtype),
            queries.new_empty(queries.shape if wanted[0] else [0], dtype=dtype),
            keys.new_empty(keys.shape if wanted[1] else [0], dtype=dtype))


@torch.library.register_fake("slotcon::info_nce_forward")
def _(queries, keys, positive, temperature, wanted):
    return _contrast_loss(queries, keys, wanted)


@torch.library.register_fake("slotcon::slot_info_nce_forward")
def _(anchors, keys, anchor_present, key_present, temperature, wanted):
    return _contrast_loss(anchors, keys, wanted)
