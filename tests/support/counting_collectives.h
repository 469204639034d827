// Counts what a process has to say to the others.
#pragma once

#include <slotcon/core/collectives.h>

#include <cstdint>
#include <utility>
#include <vector>

namespace slotcon::testing {

/// Passes everything on to another group and counts the bytes that this process contributes.
class CountingCollectives : public Collectives {
 public:
  explicit CountingCollectives(CollectivesPtr group) : group_(std::move(group)) {}

  std::int64_t rank() const override { return group_->rank(); }
  std::int64_t size() const override { return group_->size(); }

  at::Tensor all_reduce_sum(const at::Tensor& value) override {
    bytes_ += static_cast<std::int64_t>(value.nbytes());
    return group_->all_reduce_sum(value);
  }

  /// The rows, and how many they are.
  std::vector<at::Tensor> all_gather_rows(const at::Tensor& rows) override {
    bytes_ += static_cast<std::int64_t>(rows.nbytes() + sizeof(std::int64_t));
    return group_->all_gather_rows(rows);
  }

  Wait start_all_reduce_sum(at::Tensor value) override {
    bytes_ += static_cast<std::int64_t>(value.nbytes());
    return group_->start_all_reduce_sum(value);
  }

  std::int64_t bytes() const { return bytes_; }

 private:
  CollectivesPtr group_;
  std::int64_t bytes_ = 0;
};

}  // namespace slotcon::testing
