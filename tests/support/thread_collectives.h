// A group of processes played by threads: the collectives of slotcon without a network.
#pragma once

#include <slotcon/core/collectives.h>
#include <torch/types.h>

#include <condition_variable>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace slotcon::testing {

/// Where the threads of a group meet: everyone leaves what it brings and sees what all have
/// brought.
class Meeting {
 public:
  explicit Meeting(std::size_t size) : brought_(size) {}

  std::vector<at::Tensor> exchange(std::size_t rank, const at::Tensor& value) {
    std::unique_lock lock(mutex_);
    brought_[rank] = value;
    wait_for_all(lock);
    auto all = brought_;
    wait_for_all(lock);  // nobody starts the next round before all have read this one
    return all;
  }

  std::size_t size() const { return brought_.size(); }

 private:
  void wait_for_all(std::unique_lock<std::mutex>& lock) {
    const auto round = round_;
    if (++arrived_ == brought_.size()) {
      arrived_ = 0;
      ++round_;
      everyone_.notify_all();
    }
    everyone_.wait(lock, [&] { return round_ != round; });
  }

  std::mutex mutex_;
  std::condition_variable everyone_;
  std::vector<at::Tensor> brought_;
  std::size_t arrived_ = 0;
  std::size_t round_ = 0;
};

class ThreadCollectives : public Collectives {
 public:
  ThreadCollectives(std::shared_ptr<Meeting> meeting, std::size_t rank)
      : meeting_(std::move(meeting)), rank_(rank) {}

  std::int64_t rank() const override { return static_cast<std::int64_t>(rank_); }
  std::int64_t size() const override { return static_cast<std::int64_t>(meeting_->size()); }

  at::Tensor all_reduce_sum(const at::Tensor& value) override {
    return at::stack(meeting_->exchange(rank_, value.detach())).sum(0);
  }
  std::vector<at::Tensor> all_gather_rows(const at::Tensor& rows) override {
    return meeting_->exchange(rank_, rows.detach());
  }

 private:
  std::shared_ptr<Meeting> meeting_;
  std::size_t rank_;
};

/// Runs `body(collectives)` as each rank of a group, in threads; a failure of one rank is thrown
/// here. (A body that throws between collectives leaves the others waiting: only for bodies that
/// fail alike.)
inline void run_group(std::size_t size, const std::function<void(CollectivesPtr)>& body) {
  const auto meeting = std::make_shared<Meeting>(size);
  std::vector<std::exception_ptr> failures(size);
  std::vector<std::thread> ranks;
  for (std::size_t rank = 0; rank < size; ++rank) {
    ranks.emplace_back([&, rank] {
      try {
        body(std::make_shared<ThreadCollectives>(meeting, rank));
      } catch (...) {
        failures[rank] = std::current_exception();
      }
    });
  }
  for (auto& rank : ranks) rank.join();
  for (const auto& failure : failures) {
    if (failure) std::rethrow_exception(failure);
  }
}

}  // namespace slotcon::testing
