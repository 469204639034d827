// A group of processes for tensors of any device, by way of the CPU.
#pragma once

#include <slotcon/core/collectives.h>
#include <torch/types.h>

#include <utility>
#include <vector>

namespace slotcon::testing {

/// Several processes may share one GPU this way, which NCCL refuses.
class ThroughHost : public Collectives {
 public:
  explicit ThroughHost(CollectivesPtr group) : group_(std::move(group)) {}

  std::int64_t rank() const override { return group_->rank(); }
  std::int64_t size() const override { return group_->size(); }

  torch::Tensor all_reduce_sum(const torch::Tensor& value) override {
    return group_->all_reduce_sum(value.cpu()).to(value.device());
  }

  std::vector<torch::Tensor> all_gather_rows(const torch::Tensor& rows) override {
    auto gathered = group_->all_gather_rows(rows.cpu());
    for (auto& part : gathered) part = part.to(rows.device());
    return gathered;
  }

 private:
  CollectivesPtr group_;
};

}  // namespace slotcon::testing
