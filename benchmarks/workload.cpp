#include "benchmarks/workload.h"

#include <benchmark/benchmark.h>
#include <c10/util/Exception.h>

#include <cmath>
#include <sstream>
#include <utility>

#include "tests/support/tf32.h"

namespace bench {
namespace {

Tensors to_float64(const Tensors& tensors) {
  Tensors converted;
  for (const auto& tensor : tensors) {
    converted.push_back(tensor.is_floating_point() ? tensor.to(torch::kDouble) : tensor);
  }
  return converted;
}

double bytes_of(const Tensors& tensors) {
  double bytes = 0;
  for (const auto& tensor : tensors) bytes += static_cast<double>(tensor.nbytes());
  return bytes;
}

/// The largest |result - expected| / |expected|; NaN where one of the results is not finite.
double largest_error(const Tensors& results, const Tensors& expected) {
  TORCH_CHECK(results.size() == expected.size(), "expected ", expected.size(), " results, got ",
              results.size());
  double largest = 0;
  for (std::size_t i = 0; i < results.size(); ++i) {
    TORCH_CHECK(results[i].sizes() == expected[i].sizes(), "result ", i, " has the shape ",
                results[i].sizes(), ", expected ", expected[i].sizes());
    const auto difference = results[i].to(torch::kDouble) - expected[i];
    const auto error = difference.norm().item<double>() / expected[i].norm().item<double>();
    if (!std::isnan(largest) && !(error <= largest)) largest = error;
  }
  return largest;
}

/// What is found once for a row, before its first measurement.
struct Facts {
  std::string why_skipped;  // empty for a row that is measured
  double bytes = 0, peak_bytes = 0;
  double error = 0;
};

Facts examine(Workload& workload, const Call& call, bool has_results) {
  Facts facts;
  const auto results = call();
  facts.bytes = workload.description.bytes;
  if (facts.bytes == 0 && has_results)
    facts.bytes = bytes_of(workload.inputs()) + bytes_of(results);
  facts.peak_bytes = workload.device->peak_bytes(call);
  if (!has_results) return facts;
  facts.error = largest_error(results, workload.expected());
  if (!(facts.error <= workload.description.tolerance)) {
    std::ostringstream text;
    text << "wrong result: relative error " << facts.error << " to float64, expected at most "
         << workload.description.tolerance;
    facts.why_skipped = text.str();
  }
  return facts;
}

void report(benchmark::State& state, const Workload& workload, const Facts& facts, double seconds,
            bool has_results) {
  if (workload.description.flops > 0) {
    state.counters["flops"] = workload.description.flops;
    state.counters["FLOP/s"] = workload.description.flops / seconds;
  }
  if (facts.bytes > 0) state.counters["bytes"] = facts.bytes;
  if (has_results) state.counters["relative_error"] = facts.error;
  state.counters["peak_bytes"] = facts.peak_bytes;
}

/// One row.
struct Row {
  std::shared_ptr<Workload> workload;
  Prepare prepare;
  bool has_results;
  std::optional<Facts> facts;

  void run(benchmark::State& state) {
    const slotcon::testing::Tf32Allowed allowed(workload->description.precision ==
                                                Precision::kTf32);
    try {
      const auto call = prepare(workload->inputs());
      if (facts) {
        call();  // warms up
      } else {
        facts = examine(*workload, call, has_results);
      }
      if (facts->why_skipped.empty()) {
        const auto seconds = workload->device->measure(state, call);
        report(state, *workload, *facts, seconds, has_results);
      }
    } catch (const c10::Error& error) {
      facts = Facts{error.what_without_backtrace()};
    }
    if (!facts->why_skipped.empty()) state.SkipWithError(facts->why_skipped.c_str());
    if (workload->device->frees_memory()) workload.reset();
  }
};

void add_row(const std::shared_ptr<Workload>& workload, const std::string& implementation,
             Prepare prepare, bool has_results) {
  const auto& d = workload->description;
  const auto name = d.operation + "/" + d.direction + "/" + implementation + "/" +
                    name_of(d.precision) + "/" + d.sizes;
  const auto row = std::make_shared<Row>(Row{workload, std::move(prepare), has_results, {}});
  auto* registered = benchmark::RegisterBenchmark(
      name.c_str(), [row](benchmark::State& state) { row->run(state); });
  registered->Unit(benchmark::kMillisecond);
  workload->device->configure(*registered);
}

}  // namespace

Workload::Workload(std::shared_ptr<const Device> device_, Description description_,
                   std::function<Tensors(c10::Device)> make_inputs, Prepare specification)
    : device(std::move(device_)),
      description(std::move(description_)),
      make_inputs_(std::move(make_inputs)),
      specification_(std::move(specification)) {}

const Tensors& Workload::inputs() {
  if (!inputs_) inputs_ = make_inputs_(device->place());
  return *inputs_;
}

const Tensors& Workload::expected() {
  if (!expected_) expected_ = specification_(to_float64(inputs()))();
  return *expected_;
}

void add(const std::shared_ptr<Workload>& workload, const std::string& implementation,
         Prepare prepare) {
  add_row(workload, implementation, std::move(prepare), /*has_results=*/true);
}

void add_bound(const std::shared_ptr<Workload>& workload, const std::string& implementation,
               Prepare prepare) {
  add_row(workload, implementation, std::move(prepare), /*has_results=*/false);
}

void add_with_graph(const std::shared_ptr<Workload>& workload, const std::string& implementation,
                    const Prepare& prepare) {
  add(workload, implementation, prepare);
  if (!workload->device->records_graphs()) return;
  add(workload, implementation + "_graph",
      [device = workload->device, prepare](const auto& inputs) {
        return device->recorded(prepare(inputs));
      });
}

}  // namespace bench
