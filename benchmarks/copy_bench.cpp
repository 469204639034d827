// The device's memory: what moves so many bytes takes at least this long.
#include <memory>

#include "benchmarks/suite.h"
#include "benchmarks/workload.h"

namespace bench {
namespace {

void add_size(const Plan& plan, std::int64_t megabytes) {
  const std::int64_t bytes = 1'000'000 * megabytes;
  Workload::Description description{"copy", "forward", Precision::kFloat32,
                                    "MB:" + std::to_string(megabytes)};
  description.bytes = static_cast<double>(bytes);  // half of them read, half written
  const auto workload = std::make_shared<Workload>(
      plan.device, description,
      [=](c10::Device place) -> Tensors {
        return {at::ones({bytes / 2}, at::TensorOptions(place).dtype(at::kByte))};
      },
      /*specification=*/nullptr);
  add_bound(workload, "copy", [](const Tensors& inputs) -> Call {
    return [from = inputs[0], to = at::empty_like(inputs[0])]() -> Tensors {
      to.copy_(from);
      return {};
    };
  });
}

}  // namespace

void add_copy(const Plan& plan) {
  for (const auto megabytes : plan.copies) add_size(plan, megabytes);
}

}  // namespace bench
