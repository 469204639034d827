// What is measured: one operation on fixed inputs, which several implementations compute.
#pragma once

#include <torch/types.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace bench {

using Tensors = std::vector<torch::Tensor>;

/// One measured call. Returns everything it computed, always in the same order.
using Call = std::function<Tensors()>;

/// Makes a call on the inputs; not measured.
using Prepare = std::function<Call(const Tensors& inputs)>;

/// One operation on fixed inputs.
class Workload {
 public:
  struct Description {
    std::string operation;    ///< the stem of its header: "semantic_grouping"
    std::string direction;    ///< "forward" (without gradient), "forward_backward" or "step"
    at::ScalarType dtype;     ///< of the features
    std::string sizes;        ///< "B:32/K:256"
    double flops = 0;         ///< of its matrix products; 0 where it has none to speak of
    double tolerance = 1e-4;  ///< largest |result - expected| / |expected| of any result
  };

  /// `make_inputs` gives the same tensors at each call. `specification`, given them in float64,
  /// says what every implementation must compute.
  Workload(Description description, std::function<Tensors()> make_inputs, Prepare specification);

  const Tensors& inputs();    ///< made when first asked for
  const Tensors& expected();  ///< likewise

  const Description description;

 private:
  std::function<Tensors()> make_inputs_;
  Prepare specification_;
  std::optional<Tensors> inputs_, expected_;
};

/// Registers one row of the suite,
/// `<operation>/<direction>/<implementation>/<dtype>/<sizes>`.
///
/// Before it is timed its results are compared with the workload's: a row that computes something
/// else ends in an error, and one that throws, a fused kernel that does not exist for example, is
/// skipped with the reason. Counters: `flops` of a call and `FLOP/s`; `bytes`, the size of inputs
/// and results, which is the least that has to be moved; `peak_bytes`, how far one call raises what
/// LibTorch has allocated; `relative_error`, the largest |result - expected| / |expected|.
void add(const std::shared_ptr<Workload>& workload, const std::string& implementation,
         Prepare prepare);

/// The same for a row that measures a bound and computes no result: the bare matrix products.
void add_bound(const std::shared_ptr<Workload>& workload, const std::string& implementation,
               Prepare prepare);

}  // namespace bench
