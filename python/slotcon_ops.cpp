// The fused operators for PyTorch's dispatcher: torch.ops.slotcon.* in Python (slotcon_ops.py).
//
// What users call, `slotcon::semantic_grouping`, makes a node of the graph and no more. It reads no
// sizes, so that torch.compile can trace it with symbolic ones. What that node calls is opaque to
// everybody: `slotcon::semantic_grouping_forward` and `_backward` check, run the kernels and make
// no graph. The forward pass of a loss gives its gradients too, so there is no backward pass of
// one.
//
// Sizes, types and memory order of the results are part of the interface, as compilers plan by
// them: slotcon_ops.py says them of tensors without data.

#include <python/ops/aligned_assignment.h>
#include <python/ops/inverse_augmentation.h>
#include <python/ops/prototype_assignment.h>
#include <python/ops/semantic_grouping.h>
#include <python/ops/slot_info_nce.h>
#include <torch/library.h>

#include <vector>

namespace ops = slotcon::ops;

TORCH_LIBRARY(slotcon, m) {
  m.set_python_module("slotcon_ops");
  const std::vector<at::Tag> tags{at::Tag::pt2_compliant_tag};

  m.def(
      "semantic_grouping(Tensor features, Tensor prototypes, float temperature=0.07, "
      "float eps=1e-06) -> (Tensor slots, Tensor scores, Tensor present)",
      tags);
  m.def(
      "semantic_grouping_forward(Tensor features, Tensor prototypes, float temperature, float eps) "
      "-> (Tensor slots, Tensor scores, Tensor present, Tensor inverse_norm, "
      "Tensor inverse_partition, Tensor totals)",
      tags);
  m.def(
      "semantic_grouping_backward(Tensor? by_slots, Tensor? by_scores, Tensor features, "
      "Tensor prototypes, Tensor slots, Tensor scores, Tensor inverse_norm, "
      "Tensor inverse_partition, Tensor totals, float temperature, float eps, bool[2] wanted) "
      "-> (Tensor by_features, Tensor by_prototypes)",
      tags);

  m.def("inverse_augment(Tensor maps, Tensor boxes, Tensor flipped) -> Tensor", tags);
  m.def(
      "inverse_augment_resample(Tensor maps, Tensor boxes, Tensor flipped, bool transposed) "
      "-> Tensor",
      tags);

  m.def(
      "soft_cross_entropy(Tensor student_scores, Tensor targets, float student_temperature=0.1) "
      "-> Tensor",
      tags);
  m.def(
      "soft_cross_entropy_forward(Tensor student_scores, Tensor targets, "
      "float student_temperature, bool with_gradient) -> (Tensor loss, Tensor by_student_scores)",
      tags);

  m.def(
      "assignment_cross_entropy(Tensor student_scores, Tensor teacher_scores, Tensor center, "
      "float student_temperature=0.1, float teacher_temperature=0.07) -> Tensor",
      tags);
  m.def(
      "assignment_cross_entropy_forward(Tensor student_scores, Tensor teacher_scores, "
      "Tensor center, float student_temperature, float teacher_temperature, bool with_gradient) "
      "-> (Tensor loss, Tensor by_student_scores)",
      tags);

  m.def(
      "aligned_assignment_cross_entropy(Tensor student_scores, Tensor teacher_scores, "
      "Tensor student_boxes, Tensor student_flipped, Tensor teacher_boxes, Tensor teacher_flipped, "
      "Tensor center, float student_temperature=0.1, float teacher_temperature=0.07) -> Tensor",
      tags);
  m.def(
      "aligned_assignment_cross_entropy_forward(Tensor student_scores, Tensor teacher_scores, "
      "Tensor student_boxes, Tensor student_flipped, Tensor teacher_boxes, Tensor teacher_flipped, "
      "Tensor center, float student_temperature, float teacher_temperature, bool with_gradient) "
      "-> (Tensor loss, Tensor by_student_scores)",
      tags);

  m.def("info_nce(Tensor queries, Tensor keys, Tensor positive, float temperature=0.2) -> Tensor",
        tags);
  m.def(
      "info_nce_forward(Tensor queries, Tensor keys, Tensor positive, float temperature, "
      "bool[2] wanted) -> (Tensor loss, Tensor by_queries, Tensor by_keys)",
      tags);

  m.def(
      "slot_info_nce(Tensor anchors, Tensor keys, Tensor anchor_present, Tensor key_present, "
      "float temperature=0.2) -> Tensor",
      tags);
  m.def(
      "slot_info_nce_forward(Tensor anchors, Tensor keys, Tensor anchor_present, "
      "Tensor key_present, float temperature, bool[2] wanted) "
      "-> (Tensor loss, Tensor by_anchors, Tensor by_keys)",
      tags);
}

TORCH_LIBRARY_IMPL(slotcon, CompositeImplicitAutograd, m) {
  m.impl("semantic_grouping", &ops::semantic_grouping);
  m.impl("inverse_augment", &ops::inverse_augment);
  m.impl("soft_cross_entropy", &ops::soft_cross_entropy);
  m.impl("assignment_cross_entropy", &ops::assignment_cross_entropy);
  m.impl("aligned_assignment_cross_entropy", &ops::aligned_assignment_cross_entropy);
  m.impl("info_nce", &ops::info_nce);
  m.impl("slot_info_nce", &ops::slot_info_nce);
}

namespace {

/// What is opaque chooses its kernel by the device itself.
void add_passes(torch::Library& m) {
  m.impl("semantic_grouping_forward", &ops::semantic_grouping_forward);
  m.impl("semantic_grouping_backward", &ops::semantic_grouping_backward);
  m.impl("inverse_augment_resample", &ops::inverse_augment_resample);
  m.impl("soft_cross_entropy_forward", &ops::soft_cross_entropy_forward);
  m.impl("assignment_cross_entropy_forward", &ops::assignment_cross_entropy_forward);
  m.impl("aligned_assignment_cross_entropy_forward",
         &ops::aligned_assignment_cross_entropy_forward);
  m.impl("info_nce_forward", &ops::info_nce_forward);
  m.impl("slot_info_nce_forward", &ops::slot_info_nce_forward);
}

}  // namespace

TORCH_LIBRARY_IMPL(slotcon, CPU, m) { add_passes(m); }
TORCH_LIBRARY_IMPL(slotcon, CUDA, m) { add_passes(m); }
