#include <slotcon/loss/slot_info_nce.h>
#include <torch/csrc/autograd/autograd.h>

#include <memory>

#include "benchmarks/inputs.h"
#include "benchmarks/published.h"
#include "benchmarks/suite.h"
#include "benchmarks/workload.h"

namespace bench {
namespace {

struct Inputs {
  torch::Tensor anchors, keys, anchor_present, key_present;
};

using Contrast = std::function<torch::Tensor(const torch::Tensor& anchors, const Inputs&)>;

Inputs unpack(const Tensors& t) { return {t[0], t[1], t[2], t[3]}; }

/// A mask [B,K] of the given rows of the flattened slots.
torch::Tensor mask_of(const torch::Tensor& rows, const ContrastSize& size) {
  return at::zeros({size.images * size.prototypes}, rows.options().dtype(torch::kBool))
      .index_fill_(0, rows, true)
      .view({size.images, size.prototypes});
}

/// Every anchor is a key too; the two views' slots are alike.
Tensors make_inputs(const ContrastSize& size, c10::Device place) {
  Random random(/*seed=*/3, place);
  const auto keys = random.normal({size.images, size.prototypes, size.dim});
  const auto anchors = keys + random.normal(keys.sizes());
  const auto order = random.permutation(size.images * size.prototypes);
  return {anchors, keys, mask_of(order.slice(0, 0, size.anchors), size),
          mask_of(order.slice(0, 0, size.keys), size)};
}

torch::Tensor published_loss(const torch::Tensor& anchors, const Inputs& in) {
  return published::slot_info_nce(anchors, in.keys, in.anchor_present.to(torch::kLong),
                                  in.key_present.to(torch::kLong));
}

Contrast with_backend(slotcon::Backend backend) {
  return [backend](const torch::Tensor& anchors, const Inputs& in) {
    return slotcon::functional::slot_info_nce(anchors, in.keys, in.anchor_present, in.key_present,
                                              slotcon::SlotInfoNCEOptions().backend(backend));
  };
}

/// Keys come from the teacher and take no gradient.
Prepare forward_backward(const Contrast& contrast) {
  return [contrast](const Tensors& inputs) -> Call {
    const auto in = unpack(inputs);
    return [contrast, in, anchors = leaf(in.anchors)]() -> Tensors {
      const auto loss = contrast(anchors, in);
      return {loss.detach(), torch::autograd::grad({loss}, {anchors})[0]};
    };
  };
}

/// The logits and the anchors' gradient.
Prepare products(const ContrastSize& size) {
  return [size](const Tensors& inputs) -> Call {
    const auto rows = unpack(inputs).keys.flatten(0, 1);
    const auto anchors = rows.slice(0, 0, size.anchors), keys = rows.slice(0, 0, size.keys);
    return [anchors, keys]() -> Tensors {
      const at::NoGradGuard no_grad;
      const auto logits = at::mm(anchors, keys.t());
      return {logits, at::mm(logits, keys)};
    };
  };
}

void add_rows(const Plan& plan, const ContrastRows& rows) {
  using slotcon::Backend;
  const auto& size = rows.size;
  Workload::Description description{"slot_info_nce", "forward_backward", rows.precision,
                                    size.name()};
  description.flops = 4.0 * static_cast<double>(size.anchors * size.keys * size.dim);
  const auto workload = std::make_shared<Workload>(
      plan.device, description, [=](c10::Device place) { return make_inputs(size, place); },
      forward_backward(with_backend(Backend::kReference)));
  add(workload, "published", forward_backward(published_loss));
  add(workload, "reference", forward_backward(with_backend(Backend::kReference)));
  add_with_graph(workload, "fused", forward_backward(with_backend(Backend::kFused)));
  add_bound(workload, "gemm_only", products(size));
}

}  // namespace

void add_slot_info_nce(const Plan& plan) {
  for (const auto& rows : plan.contrast) add_rows(plan, rows);
}

}  // namespace bench
