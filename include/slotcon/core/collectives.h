// What losses, norms and gradients ask of a group of processes. A null group means one process:
// nothing is called.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

namespace slotcon {

/// The collective operations that training needs. Every process of the group calls each of them, in
/// the same order, also when it has nothing to contribute.
class Collectives {
 public:
  /// Called once to wait for the end of what was started.
  using Wait = std::function<void()>;

  virtual ~Collectives() = default;

  virtual std::int64_t rank() const = 0;
  virtual std::int64_t size() const = 0;

  /// The sum of `value` over all processes; the same shape on each. Without gradient.
  virtual at::Tensor all_reduce_sum(const at::Tensor& value) = 0;

  /// The `rows` [n_r, ...] of every process in rank order. n_r may differ between processes and be
  /// 0; the other sizes and the dtype agree. Without gradient.
  virtual std::vector<at::Tensor> all_gather_rows(const at::Tensor& rows) = 0;

  /// Starts to replace the contiguous `value` by its sum over all processes. Such sums are started
  /// in one order everywhere and may run beside other operations; an implementation that lets them
  /// does not mind how their order and that of the others interleave. By default the sum is done at
  /// once.
  virtual Wait start_all_reduce_sum(at::Tensor value) {
    value.copy_(all_reduce_sum(value));
    return [] {};
  }
};

using CollectivesPtr = std::shared_ptr<Collectives>;

/// What the losses of several processes are means over, once they are averaged over the processes,
/// as gradients are.
enum class MeanOver {
  kJoinedBatch,  ///< everything that the processes have: the loss of one process on all of it
  kEachProcess   ///< each process' own, as published: one with few slots weighs as much as one with
                 ///< many
};

/// This process' share of a mean over the items of all processes, of which it has `count` with the
/// 0-d `mean`:
///
///     mean * count * size / (sum of the counts)
///
/// The average of the shares over the processes, and of their gradients, is the mean over all items
/// and its gradient. 0 where nobody has any. Every process of the group calls it.
inline at::Tensor share_of_mean(const at::Tensor& mean, std::int64_t count,
                                Collectives& collectives) {
  const auto own = at::full({}, count, mean.options().dtype(at::kDouble));
  const auto all = collectives.all_reduce_sum(own);
  const auto share = (own * collectives.size() / all.clamp_min(1)).to(mean.scalar_type());
  return mean * share;
}

}  // namespace slotcon
