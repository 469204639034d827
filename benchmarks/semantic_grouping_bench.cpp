#include <slotcon/loss/semantic_grouping.h>
#include <torch/csrc/autograd/autograd.h>

#include <memory>
#include <string>
#include <vector>

#include "benchmarks/inputs.h"
#include "benchmarks/published.h"
#include "benchmarks/suite.h"
#include "benchmarks/workload.h"

namespace bench {
namespace {

using Group = std::function<slotcon::Grouping(const torch::Tensor&, const torch::Tensor&)>;

struct Inputs {
  torch::Tensor features, prototypes, slot_gradient, score_gradient;
};

Inputs unpack(const Tensors& t) { return {t[0], t[1], t[2], t[3]}; }

/// Features and what has their type in `dtype`; prototypes and scores are float32, as in training
/// with half-precision features.
Tensors make_inputs(const MapSize& size, at::ScalarType dtype, c10::Device place) {
  Random random(/*seed=*/1, place);
  const auto prototypes = random.normal({size.prototypes, size.dim});
  const auto features = features_of(random, size, prototypes, shown_prototypes(random, size));
  const auto slot_gradient = random.normal({size.images, size.prototypes, size.dim});
  const auto score_gradient =
      random.normal({size.images, size.prototypes, size.height, size.width});
  return {features.to(dtype), prototypes, slot_gradient.to(dtype), score_gradient};
}

Group with_backend(slotcon::Backend backend) {
  return [backend](const torch::Tensor& features, const torch::Tensor& prototypes) {
    return slotcon::functional::semantic_grouping(
        features, prototypes, slotcon::SemanticGroupingOptions().backend(backend));
  };
}

struct Implementation {
  std::string name;
  Group group;
};

std::vector<Implementation> implementations() {
  return {{"published", published::semantic_grouping},
          {"reference", with_backend(slotcon::Backend::kReference)},
          {"fused", with_backend(slotcon::Backend::kFused)}};
}

/// A call of the fused kernel by a plan for its passes on CUDA, whether it would be chosen or not.
Prepare by_plan(slotcon::kernel::semantic_grouping::CudaPlan plan, const Prepare& prepare) {
  return [plan, prepare](const Tensors& inputs) -> Call {
    return [plan, call = prepare(inputs)] {
      namespace grouping = slotcon::kernel::semantic_grouping;
      grouping::force_cuda_plan_for_testing(plan);
      const auto whatever_happens =
          std::shared_ptr<void>(nullptr, [](void*) { grouping::force_cuda_plan_for_testing({}); });
      return call();
    };
  };
}

Prepare forward(const Group& group) {
  return [group](const Tensors& inputs) -> Call {
    return [group, in = unpack(inputs)]() -> Tensors {
      const at::NoGradGuard no_grad;
      const auto result = group(in.features, in.prototypes);
      return {result.slots, result.scores};
    };
  };
}

/// Backward through slots and scores, to features and prototypes.
Prepare forward_backward(const Group& group) {
  return [group](const Tensors& inputs) -> Call {
    const auto in = unpack(inputs);
    return
        [group, in, features = leaf(in.features), prototypes = leaf(in.prototypes)]() -> Tensors {
          const auto result = group(features, prototypes);
          const auto gradients = torch::autograd::grad(
              {result.slots, result.scores}, {features, prototypes},
              {in.slot_gradient, in.score_gradient.to(result.scores.scalar_type())});
          return {result.slots.detach(), result.scores.detach(), gradients[0], gradients[1]};
        };
  };
}

/// The operands of grouping's matrix products, in the layouts that need no copy.
struct Operands {
  torch::Tensor features;                  // [B,D,N]
  torch::Tensor prototypes;                // [B,K,D], one table seen B times
  torch::Tensor assignment;                // [B,K,N]
  torch::Tensor slot_gradient;             // [B,K,D]
  torch::Tensor all_scores, all_features;  // [K,BN], [BN,D]
};

Operands operands_of(const Tensors& inputs) {
  const auto in = unpack(inputs);
  const auto type = in.features.scalar_type();
  const auto features = in.features.flatten(2);
  const auto assignment = in.score_gradient.flatten(2).to(type);
  return {features,
          in.prototypes.to(type).expand_as(in.slot_gradient),
          assignment,
          in.slot_gradient,
          assignment.transpose(0, 1).flatten(1).contiguous(),
          features.transpose(1, 2).flatten(0, 1).contiguous()};
}

Tensors forward_products(const Operands& in) {
  const at::NoGradGuard no_grad;
  return {at::bmm(in.prototypes, in.features), at::bmm(in.assignment, in.features.transpose(1, 2))};
}

Tensors backward_products(const Operands& in) {
  const at::NoGradGuard no_grad;
  return {at::bmm(in.slot_gradient, in.features),
          at::bmm(in.slot_gradient.transpose(1, 2), in.assignment),
          at::bmm(in.prototypes.transpose(1, 2), in.assignment),
          at::mm(in.all_scores, in.all_features)};
}

Call prepare_forward_products(const Tensors& inputs) {
  return [in = operands_of(inputs)] { return forward_products(in); };
}

Call prepare_all_products(const Tensors& inputs) {
  return [in = operands_of(inputs)] {
    auto results = forward_products(in);
    for (auto& product : backward_products(in)) results.push_back(product);
    return results;
  };
}

/// One direction of a size: the `with` of each implementation, and the bound.
void add_direction(const Plan& plan, const GroupingRows& rows, const char* direction, int products,
                   Prepare (*with)(const Group&), Prepare bound) {
  const auto& size = rows.size;
  const auto dtype = type_of(rows.precision);
  Workload::Description description{"semantic_grouping", direction, rows.precision, size.name()};
  description.flops =
      2.0 * products *
      static_cast<double>(size.images * size.prototypes * size.positions() * size.dim);
  const auto workload = std::make_shared<Workload>(
      plan.device, description, [=](c10::Device place) { return make_inputs(size, dtype, place); },
      with(with_backend(slotcon::Backend::kReference)));
  for (const auto& [name, group] : implementations()) add_with_graph(workload, name, with(group));
  if (plan.device->place().is_cuda()) {
    using slotcon::kernel::semantic_grouping::CudaPlan;
    const auto fused = with(with_backend(slotcon::Backend::kFused));
    add_with_graph(workload, "fused_products", by_plan(CudaPlan::kProducts, fused));
    add_with_graph(workload, "fused_tiles", by_plan(CudaPlan::kTiles, fused));
  }
  add_bound(workload, "gemm_only", std::move(bound));
}

}  // namespace

void add_semantic_grouping(const Plan& plan) {
  for (const auto& rows : plan.grouping) {
    if (rows.forward_alone) {
      add_direction(plan, rows, "forward", 2, forward, prepare_forward_products);
    }
    add_direction(plan, rows, "forward_backward", 6, forward_backward, prepare_all_products);
  }
}

}  // namespace bench
