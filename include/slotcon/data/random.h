// Random numbers that are the same on every compiler, and streams that belong to a sample.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace slotcon::data {

/// A stream of random numbers (splitmix64), fast to create and small enough to copy.
///
/// A stream made with keyed() depends on its keys alone, so that any sample of any epoch can be
/// made by itself, in any order, by any thread. Every function gives identical values on every
/// compiler with IEEE doubles: no std:: distribution is used, and no result depends on whether the
/// compiler fuses a multiplication with an addition.
///
/// Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(mix(seed)) {}

  /// The stream of one sample, e.g. keyed(seed, epoch, index). Neighbouring keys give unrelated
  /// streams, and the keys' order matters.
  static Random keyed(std::uint64_t seed, std::uint64_t first, std::uint64_t second = 0) {
    return Random(mix(mix(mix(seed) ^ (first + kGamma)) ^ (second + 2 * kGamma)));
  }

  /// 64 random bits.
  std::uint64_t bits() {
    state_ += kGamma;
    return mix(state_);
  }

  /// Uniform in [0, 1), a multiple of 2^-53.
  double uniform() { return static_cast<double>(bits() >> 11) * 0x1p-53; }

  /// Uniform in [low, high], in steps of (high - low) / 2^29.
  double uniform(double low, double high) {
    // 24 bits of width times 29 random bits is exact: a fused multiply-add cannot change the sum.
    const double width = static_cast<float>(high - low);
    const double steps = static_cast<double>(bits() >> 35) * 0x1p-29;
    return std::min(low + width * steps, high);
  }

  /// Uniform in {0, ..., count - 1}, without bias. Throws std::invalid_argument if count is 0.
  std::uint64_t below(std::uint64_t count) {
    if (count == 0) throw std::invalid_argument("Random::below: expected a positive count, got 0");
    const std::uint64_t biased = (0 - count) % count;  // 2^64 mod count
    std::uint64_t draw = bits();
    while (draw < biased) draw = bits();
    return draw % count;
  }

  /// Uniform in {low, ..., high}, both included. Throws std::invalid_argument if high < low.
  int integer(int low, int high) {
    if (high < low) {
      throw std::invalid_argument("Random::integer: expected low <= high, got " +
                                  std::to_string(low) + " and " + std::to_string(high));
    }
    const std::int64_t first = low;
    const auto count = static_cast<std::uint64_t>(high - first + 1);
    return static_cast<int>(first + static_cast<std::int64_t>(below(count)));
  }

  /// True with the given probability: never for 0, always for 1.
  bool chance(double probability) { return uniform() < probability; }

  /// Puts the values in a random order, each order as likely as any other.
  template <class Value>
  void shuffle(std::vector<Value>& values) {
    for (std::size_t last = values.size(); last > 1; --last) {
      std::swap(values[last - 1], values[static_cast<std::size_t>(below(last))]);
    }
  }

  /// The numbers 0 ... count - 1 in a random order.
  std::vector<std::int64_t> permutation(std::int64_t count) {
    std::vector<std::int64_t> order(static_cast<std::size_t>(count));
    std::iota(order.begin(), order.end(), std::int64_t{0});
    shuffle(order);
    return order;
  }

 private:
  static constexpr std::uint64_t kGamma = 0x9E3779B97F4A7C15u;

  static std::uint64_t mix(std::uint64_t z) {
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
  }

  std::uint64_t state_;
};

}  // namespace slotcon::data
