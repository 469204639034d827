// What is measured: one operation on fixed inputs, which several implementations compute.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "benchmarks/device.h"
#include "benchmarks/precision.h"

namespace bench {

/// Makes a call on the inputs; not measured.
using Prepare = std::function<Call(const Tensors& inputs)>;

/// One operation on fixed inputs.
class Workload {
 public:
  struct Description {
    std::string operation;  ///< the stem of its header: "semantic_grouping"
    std::string direction;  ///< "forward" (without gradient), "forward_backward" or "step"
    Precision precision;
    std::string sizes;  ///< "B:32/K:256"
    double flops = 0;   ///< of its matrix products; 0 where it has none to speak of
    double bytes = 0;   ///< that it moves at least; 0: the size of inputs and results
    double tolerance = tolerance_of(precision);  ///< largest error of any result
  };

  /// `make_inputs(place)` gives the same tensors at each call. `specification`, given them in
  /// float64, says what every implementation must compute.
  Workload(std::shared_ptr<const Device> device, Description description,
           std::function<Tensors(c10::Device place)> make_inputs, Prepare specification);

  const Tensors& inputs();    ///< made when first asked for
  const Tensors& expected();  ///< likewise

  const std::shared_ptr<const Device> device;
  const Description description;

 private:
  std::function<Tensors(c10::Device)> make_inputs_;
  Prepare specification_;
  std::optional<Tensors> inputs_, expected_;
};

/// Registers one row of the suite,
/// `<operation>/<direction>/<implementation>/<precision>/<sizes>`.
///
/// Before it is timed its results are compared with the workload's: a row that computes something
/// else ends in an error, and one that throws, a fused kernel that does not exist for example, is
/// skipped with the reason. Counters: `flops` of a call, `FLOP/s`; `bytes` of inputs and results;
/// `peak_bytes`, how far a call raises what LibTorch has allocated; `relative_error`, the largest
/// |result - expected| / |expected|; on a GPU `low` and `high`, the 20 and 80 % quantiles in ms.
void add(const std::shared_ptr<Workload>& workload, const std::string& implementation,
         Prepare prepare);

/// The same for a row that measures a bound and computes no result: the bare matrix products.
void add_bound(const std::shared_ptr<Workload>& workload, const std::string& implementation,
               Prepare prepare);

/// add(), and where the device can record a call a second row, `<implementation>_graph`: one that
/// never waits for the device.
void add_with_graph(const std::shared_ptr<Workload>& workload, const std::string& implementation,
                    const Prepare& prepare);

}  // namespace bench
