// Tells of each comparison with its error and its bound, and counts those that are out.
#pragma once

#include <torch/types.h>

#include <algorithm>
#include <cstdio>
#include <string>

namespace slotcon::parity {

class Report {
 public:
  /// |ours - theirs| <= 1e-5 max(1, max|theirs|)
  void value(const std::string& what, const torch::Tensor& ours, const torch::Tensor& theirs) {
    compare(what, ours, theirs, 1e-5 * std::max(1.0, largest(theirs)));
  }

  /// |ours - theirs| <= 1e-4 max(1e-3, max|theirs|)
  void gradient(const std::string& what, const torch::Tensor& ours, const torch::Tensor& theirs) {
    gradient(what, ours, theirs, theirs);
  }

  /// The same with the size of another tensor: for a gradient that is rounding and nothing else.
  void gradient(const std::string& what, const torch::Tensor& ours, const torch::Tensor& theirs,
                const torch::Tensor& scale) {
    compare(what, ours, theirs, 1e-4 * std::max(1e-3, largest(scale)));
  }

  int comparisons() const { return comparisons_; }
  int failures() const { return failures_; }
  const std::string& lines() const { return lines_; }  ///< one a comparison

 private:
  void compare(const std::string& what, const torch::Tensor& ours, const torch::Tensor& theirs,
               double bound) {
    ++comparisons_;
    if (!ours.defined() || ours.sizes() != theirs.sizes()) {
      ++failures_;
      add_line(what, "FAIL: no tensor of the fixture's shape");
      return;
    }
    const auto wide = [](const torch::Tensor& t) { return t.detach().cpu().to(torch::kDouble); };
    const auto error = largest(wide(ours) - wide(theirs));
    const bool good = error <= bound;  // false for NaN
    failures_ += good ? 0 : 1;
    char text[80];
    std::snprintf(text, sizeof text, "error %.2e  bound %.2e  %s", error, bound,
                  good ? "ok" : "FAIL");
    add_line(what, text);
  }

  void add_line(std::string what, const std::string& outcome) {
    what.resize(std::max<std::size_t>(what.size(), 68), ' ');
    lines_ += what + " " + outcome + "\n";
  }

  static double largest(const torch::Tensor& t) {
    return t.numel() == 0 ? 0.0 : t.abs().max().to(torch::kDouble).item<double>();
  }

  std::string lines_;
  int comparisons_ = 0;
  int failures_ = 0;
};

}  // namespace slotcon::parity
