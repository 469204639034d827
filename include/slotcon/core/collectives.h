// What the losses ask of a group of processes. A null group means one process: nothing is called.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <vector>

namespace slotcon {

/// The collective operations that the objective needs. Every process of the group calls each of
/// them, in the same order, also when it has nothing to contribute.
class Collectives {
 public:
  virtual ~Collectives() = default;

  virtual std::int64_t rank() const = 0;
  virtual std::int64_t size() const = 0;

  /// The sum of `value` over all processes; the same shape on each. Without gradient.
  virtual at::Tensor all_reduce_sum(const at::Tensor& value) = 0;

  /// The `rows` [n_r, ...] of every process in rank order. n_r may differ between processes and be
  /// 0; the other sizes and the dtype agree. Without gradient.
  virtual std::vector<at::Tensor> all_gather_rows(const at::Tensor& rows) = 0;
};

using CollectivesPtr = std::shared_ptr<Collectives>;

}  // namespace slotcon
