// The rows of a tensor that a batch norm goes over, in blocks and parts, and numbers of them.
#pragma once

#include <ATen/Parallel.h>
#include <slotcon/kernel/activation.h>
#include <slotcon/kernel/cpu/channel_rows.h>
#include <slotcon/kernel/cpu/element_of.h>
#include <torch/types.h>

#include <algorithm>
#include <numeric>
#include <vector>

namespace slotcon::kernel::cpu {

/// The passes over rows, compiled for one instruction set.
struct ChannelRowsCode {
  decltype(&portable::moments<Element::kFloat>) moments;
  decltype(&portable::normalise<Element::kFloat, Activation::kRelu>) normalise;
  decltype(&portable::gradient_sums<Element::kFloat, Activation::kRelu>) gradient_sums;
  decltype(&portable::normalise_gradient<Element::kFloat, Activation::kRelu>) normalise_gradient;

  template <Element kElement, Activation kActivation>
  static ChannelRowsCode of() {
    return {SLOTCON_SIMD_SELECT(moments<kElement>),
            SLOTCON_SIMD_SELECT(normalise<kElement, kActivation>),
            SLOTCON_SIMD_SELECT(gradient_sums<kElement, kActivation>),
            SLOTCON_SIMD_SELECT(normalise_gradient<kElement, kActivation>)};
  }
  template <Element kElement>
  static ChannelRowsCode of(Activation activation) {
    switch (activation) {
      case Activation::kAddRelu:
        return of<kElement, Activation::kAddRelu>();
      case Activation::kGelu:
        return of<kElement, Activation::kGelu>();
      case Activation::kRelu:
        break;
    }
    return of<kElement, Activation::kRelu>();
  }
  static ChannelRowsCode of(Element element, Activation activation) {
    switch (element) {
      case Element::kBFloat16:
        return of<Element::kBFloat16>(activation);
      case Element::kHalf:
        return of<Element::kHalf>(activation);
      case Element::kFloat:
        break;
    }
    return of<Element::kFloat>(activation);
  }
};

}  // namespace slotcon::kernel::cpu

namespace slotcon::kernel::batch_norm {

namespace detail {

using cpu::Index;

/// How many rows to take as one: so many that their channels fill vectors, four at a time if they
/// can.
inline Index fold_of(Index channels, Index rows) {
  constexpr Index kFull = 64, kWidest = 256;
  Index fold = kFull / std::gcd(channels, kFull);
  while (fold > 1 && fold * channels > kWidest) fold /= 2;
  return std::gcd(fold, rows);
}

/// The rows of x [N,C] or of maps [N,C,h,w] that are channels last, `fold` of them taken as one
/// that is `fold` C wide, in blocks that a core's cache holds. A part is the rows of a block that
/// lie at one of the `fold` places.
class Rows {
 public:
  explicit Rows(const torch::Tensor& x)
      : element_(cpu::element_of(x)),
        channels_(x.size(1)),
        count_(x.numel() / channels_),
        fold_(fold_of(channels_, count_)),
        rows_of_block_(std::clamp(kBlock / width(), kLeastRows, kMostRows)) {}

  cpu::ChannelRowsCode code(Activation activation) const {
    return cpu::ChannelRowsCode::of(element_, activation);
  }
  double count() const { return static_cast<double>(count_); }
  Index channels() const { return channels_; }
  Index fold() const { return fold_; }
  Index width() const { return fold_ * channels_; }
  Index blocks() const { return at::divup(count_ / fold_, rows_of_block_); }
  Index parts() const { return blocks() * fold_; }
  cpu::RowsShape shape(Index block) const {
    return {std::min(rows_of_block_, count_ / fold_ - block * rows_of_block_), width()};
  }
  double rows_of_part(Index part) const { return static_cast<double>(shape(part / fold_).rows); }

  /// Where a block begins in a tensor of these sizes; null of none.
  void* at(const torch::Tensor& tensor, Index block) const {
    if (!tensor.defined()) return nullptr;
    auto* const bytes = static_cast<unsigned char*>(tensor.data_ptr());
    return bytes + block * rows_of_block_ * width() * cpu::size_of(element_);
  }

  /// Calls body(block) for all blocks, shared between the threads.
  template <class Body>
  void for_each_block(const Body& body) const {
    at::parallel_for(0, blocks(), 1, [&](Index begin, Index end) {
      for (Index block = begin; block < end; ++block) body(block);
    });
  }

 private:
  static constexpr Index kBlock = 16384;   // numbers
  static constexpr Index kLeastRows = 32;  // so that sums over a block are far fewer
  static constexpr Index kMostRows = 256;  // so that float32 holds them well

  cpu::Element element_;
  Index channels_, count_, fold_, rows_of_block_;
};

/// Two numbers of each channel from each part.
class PartNumbers {
 public:
  explicit PartNumbers(const Rows& rows)
      : rows_(rows), numbers_(static_cast<std::size_t>(2 * rows.blocks() * rows.width())) {}

  /// Of a block: those of its parts one after the other.
  float* first(Index block) { return numbers_.data() + 2 * block * rows_.width(); }
  float* second(Index block) { return first(block) + rows_.width(); }

  const float* first_of_part(Index part) { return first(part / rows_.fold()) + in_block(part); }
  const float* second_of_part(Index part) { return second(part / rows_.fold()) + in_block(part); }

 private:
  Index in_block(Index part) const { return part % rows_.fold() * rows_.channels(); }

  const Rows& rows_;
  std::vector<float> numbers_;
};

/// A number of each channel, at all its places in a row.
class RowNumbers {
 public:
  RowNumbers(const Rows& rows, const float* of_channel) {
    for (Index place = 0; place < rows.fold(); ++place) {
      numbers_.insert(numbers_.end(), of_channel, of_channel + rows.channels());
    }
  }
  RowNumbers(const Rows& rows, const torch::Tensor& of_channel)
      : RowNumbers(rows, of_channel.const_data_ptr<float>()) {}

  const float* data() const { return numbers_.data(); }

 private:
  std::vector<float> numbers_;
};

}  // namespace detail

}  // namespace slotcon::kernel::batch_norm
