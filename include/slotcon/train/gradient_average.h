// Gradients of several processes, averaged while the backward pass is still under way.
#pragma once

#include <slotcon/core/collectives.h>
#include <torch/arg.h>
#include <torch/csrc/autograd/function_hook.h>
#include <torch/csrc/autograd/variable.h>
#include <torch/types.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace slotcon {

/// Numbers of the averaging.
struct GradientAverageOptions {
  TORCH_ARG(std::int64_t, bucket_bytes) = 25 << 20;  ///< >= 1: how much travels at once, about.
};

/// Makes the gradients of parameters the mean over the processes of a group.
///
/// They travel in buckets, those of the last parameters first, as the backward pass makes them: a
/// bucket leaves as soon as the last of its gradients is there, beside the rest of the pass. An
/// optimiser step, of one backward pass or several, is
///
///     ...                    // passes whose gradients add up in this process
///     average.start();       // before the last one
///     loss.backward();
///     average.finish();      // each .grad is the mean over the processes
///     optimizer.step();
///
/// A parameter without a gradient in some process counts as 0 there; without one in all, it stays
/// so. Every process of the group takes the same steps, with equal parameters in equal order, and
/// ends with equal bits. Gradients are dense. Null collectives: one process, and nothing is done.
class GradientAverage {
 public:
  /// For those of the parameters that take a gradient.
  /// Throws c10::ValueError for bucket_bytes < 1 or a parameter with such a hook already.
  GradientAverage(const std::vector<torch::Tensor>& parameters, CollectivesPtr collectives,
                  const GradientAverageOptions& options = {})
      : collectives_(std::move(collectives)) {
    TORCH_CHECK_VALUE(options.bucket_bytes() >= 1,
                      "GradientAverage: expected bucket_bytes >= 1, got ", options.bucket_bytes());
    if (collectives_ == nullptr) return;
    for (auto last = parameters.rbegin(); last != parameters.rend(); ++last) {
      if (last->requires_grad()) put_into_bucket(*last, options.bucket_bytes());
    }
    for (auto& bucket : buckets_) allocate(bucket);
    for (auto& bucket : buckets_) listen(bucket);
  }

  ~GradientAverage() {
    for (const auto& bucket : buckets_) {
      for (const auto& entry : bucket.entries) {
        torch::autograd::impl::set_post_acc_grad_hooks(entry.parameter, nullptr);
      }
    }
  }

  GradientAverage(const GradientAverage&) = delete;
  GradientAverage& operator=(const GradientAverage&) = delete;

  /// From now on gradients leave as they come. Throws c10::Error before the finish() of the last
  /// start().
  void start() {
    if (collectives_ == nullptr) return;
    TORCH_CHECK(!started_, "GradientAverage: expected finish() before the next start()");
    const torch::NoGradGuard no_grad;
    for (auto& bucket : buckets_) {
      for (auto& entry : bucket.entries) entry.arrived = false;
      bucket.missing = bucket.entries.size();
      bucket.existing.fill_(1);
    }
    next_ = 0;
    started_ = true;
  }

  /// Sends what has not left yet, waits for all of it and gives each parameter its mean.
  /// Throws c10::Error without a start().
  void finish() {
    if (collectives_ == nullptr) return;
    TORCH_CHECK(started_, "GradientAverage: expected start() before finish()");
    const torch::NoGradGuard no_grad;
    for (auto& bucket : buckets_) {
      for (std::size_t i = 0; i < bucket.entries.size(); ++i) {
        if (!bucket.entries[i].arrived) take_gradient(bucket, i);
      }
    }
    send_full_buckets();
    for (auto& bucket : buckets_) receive(bucket);
    started_ = false;
  }

 private:
  struct Entry {
    torch::Tensor parameter;
    torch::Tensor gradient;  // its place in the bucket
    bool arrived = false;
  };

  struct Bucket {
    std::vector<Entry> entries;
    torch::Tensor numbers;   // what travels: the gradients, and `existing`
    torch::Tensor existing;  // [entries]: in how many processes there is a gradient
    std::size_t missing = 0;
    Collectives::Wait wait;
  };

  class Arrival : public torch::autograd::PostAccumulateGradHook {
   public:
    Arrival(GradientAverage& average, Bucket& bucket, std::size_t entry)
        : average_(average), bucket_(bucket), entry_(entry) {}
    void operator()(const torch::Tensor& /*parameter*/) override {
      average_.note_arrival(bucket_, entry_);
    }

   private:
    GradientAverage& average_;
    Bucket& bucket_;
    std::size_t entry_;
  };

  /// The last one, or a new one if that is full or of another type or device.
  void put_into_bucket(const torch::Tensor& parameter, std::int64_t bucket_bytes) {
    TORCH_CHECK_VALUE(!torch::autograd::impl::post_acc_grad_hooks(parameter),
                      "GradientAverage: expected parameters without a post-accumulate hook, got ",
                      parameter.sizes(), " with one");
    const auto takes = [&](const Bucket& bucket) {
      std::size_t bytes = 0;
      for (const auto& entry : bucket.entries) bytes += entry.parameter.nbytes();
      const auto& first = bucket.entries.front().parameter;
      return bytes < static_cast<std::size_t>(bucket_bytes) &&
             first.scalar_type() == parameter.scalar_type() && first.device() == parameter.device();
    };
    if (buckets_.empty() || !takes(buckets_.back())) buckets_.emplace_back();
    buckets_.back().entries.push_back({parameter, {}});
  }

  /// A gradient's numbers lie in the order of its parameter's in memory, which makes copies fast.
  static void allocate(Bucket& bucket) {
    const auto count = static_cast<std::int64_t>(bucket.entries.size());
    auto size = count;
    for (const auto& entry : bucket.entries) size += entry.parameter.numel();
    bucket.numbers = at::empty({size}, bucket.entries.front().parameter.options());
    std::int64_t offset = 0;
    for (auto& entry : bucket.entries) {
      const auto& p = entry.parameter;
      const auto numbers = bucket.numbers.narrow(0, offset, p.numel());
      entry.gradient = p.is_non_overlapping_and_dense()
                           ? numbers.as_strided(p.sizes(), p.strides(), offset)
                           : numbers.view(p.sizes());
      offset += p.numel();
    }
    bucket.existing = bucket.numbers.narrow(0, offset, count);
  }

  void listen(Bucket& bucket) {
    for (std::size_t i = 0; i < bucket.entries.size(); ++i) {
      torch::autograd::impl::set_post_acc_grad_hooks(bucket.entries[i].parameter,
                                                     std::make_unique<Arrival>(*this, bucket, i));
    }
  }

  void note_arrival(Bucket& bucket, std::size_t entry) {
    if (!started_) return;
    TORCH_CHECK(!bucket.entries[entry].arrived,
                "GradientAverage: expected one backward pass between start() and finish()");
    const torch::NoGradGuard no_grad;
    take_gradient(bucket, entry);
    send_full_buckets();
  }

  static void take_gradient(Bucket& bucket, std::size_t i) {
    auto& entry = bucket.entries[i];
    const auto& gradient = entry.parameter.grad();
    if (gradient.defined()) {
      entry.gradient.copy_(gradient);
    } else {
      entry.gradient.zero_();
      bucket.existing[static_cast<std::int64_t>(i)].zero_();
    }
    entry.arrived = true;
    --bucket.missing;
  }

  /// In order, which is the same in all processes, whatever the order of the gradients.
  void send_full_buckets() {
    for (; next_ < buckets_.size() && buckets_[next_].missing == 0; ++next_) {
      buckets_[next_].wait = collectives_->start_all_reduce_sum(buckets_[next_].numbers);
    }
  }

  void receive(Bucket& bucket) {
    bucket.wait();
    std::vector<torch::Tensor> gradients, means;
    bucket.numbers.div_(collectives_->size());
    for (std::size_t i = 0; i < bucket.entries.size(); ++i) {
      auto& entry = bucket.entries[i];
      auto& gradient = entry.parameter.mutable_grad();
      if (!gradient.defined()) {
        const auto existing = bucket.existing[static_cast<std::int64_t>(i)];
        if (existing.item<double>() == 0) continue;
        gradient = at::empty_like(entry.parameter);
      }
      gradients.push_back(gradient);
      means.push_back(entry.gradient);
    }
    if (!gradients.empty()) at::_foreach_copy_(gradients, means);
  }

  CollectivesPtr collectives_;
  std::vector<Bucket> buckets_;  // in the order in which they travel
  std::size_t next_ = 0;         // the first that has not left
  bool started_ = false;
};

}  // namespace slotcon
