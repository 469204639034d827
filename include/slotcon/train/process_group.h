// The processes of a run as a group, on LibTorch's c10d: Gloo on CPUs, NCCL between GPUs. For
// programs that link slotcon::distributed.
#pragma once

#ifndef USE_C10D_GLOO
#error "slotcon/train/process_group.h needs the CMake target slotcon::distributed"
#endif

#include <c10/util/Exception.h>
#include <slotcon/core/collectives.h>
#include <slotcon/train/detail/rendezvous.h>
#include <slotcon/train/process_environment.h>
#include <torch/arg.h>
#include <torch/types.h>

#include <cstdint>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <utility>
#include <vector>

#ifdef USE_C10D_NCCL
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>
#endif

namespace slotcon {

/// How a process takes part in its group.
struct ProcessGroupOptions {
  TORCH_ARG(double, timeout) = 600;  ///< > 0: seconds for which the others may keep it waiting.
  TORCH_ARG(torch::DeviceType, device) = torch::kCPU;  ///< kCUDA: of GPU tensors too, by NCCL.
};

namespace detail {

/// Of the network interface that GLOO_SOCKET_IFNAME names, if any, else of this machine's address.
inline c10::intrusive_ptr<c10d::ProcessGroupGloo::Options> gloo_options(
    const ProcessEnvironment& place, Milliseconds timeout) {
  using Gloo = c10d::ProcessGroupGloo;
  const auto interface_name = environment_variable("GLOO_SOCKET_IFNAME");
  const bool is_local = place.address == "127.0.0.1" || place.address == "localhost";
  auto options = Gloo::Options::create(timeout);
  options->devices.push_back(interface_name ? Gloo::createDeviceForInterface(*interface_name)
                             : is_local     ? Gloo::createDeviceForHostname("127.0.0.1")
                                            : Gloo::createDefaultDevice());
  return options;
}

/// Connections between all processes, on which operations follow each other in order.
struct Connections {
  c10::intrusive_ptr<c10d::Backend> gloo, nccl;

  c10d::Backend& of(const torch::Tensor& tensor) const {
    TORCH_CHECK_VALUE(tensor.is_cpu() || (tensor.is_cuda() && nccl),
                      "ProcessGroup: expected tensors of the group's device, got one on ",
                      tensor.device());
    return tensor.is_cpu() ? *gloo : *nccl;
  }
};

inline Connections connect(const StorePtr& store, const ProcessEnvironment& place,
                           const ProcessGroupOptions& options, Milliseconds timeout) {
  const auto rank = static_cast<int>(place.rank), size = static_cast<int>(place.size);
  Connections connections;
  connections.gloo =
      c10::make_intrusive<c10d::ProcessGroupGloo>(store, rank, size, gloo_options(place, timeout));
  if (options.device() == torch::kCPU) return connections;
#ifdef USE_C10D_NCCL
  auto nccl = c10d::ProcessGroupNCCL::Options::create();
  nccl->timeout = timeout;
  connections.nccl = c10::make_intrusive<c10d::ProcessGroupNCCL>(store, rank, size, nccl);
  return connections;
#else
  TORCH_CHECK_VALUE(false, "ProcessGroup: expected device cpu, got ", options.device(),
                    ": this program does not link slotcon::nccl");
#endif
}

}  // namespace detail

/// This process among the others of its run.
///
/// The constructor waits for all of them. An operation that loses another process, because it died,
/// left or kept this one waiting for longer than the timeout, throws std::runtime_error with this
/// process' rank and what happened; the group is then of no more use. Sums that are started have
/// connections of their own, so that they run beside the other operations and in any order with
/// them.
///
/// CPU tensors travel by Gloo. CUDA tensors do by NCCL, with `device` kCUDA in a program that links
/// slotcon::nccl; each process then has a GPU of its own, by its `local_rank`.
/// Throws c10::ValueError for tensors elsewhere and for options out of range.
class ProcessGroup : public Collectives {
 public:
  explicit ProcessGroup(const ProcessEnvironment& place, const ProcessGroupOptions& options = {})
      : place_(place) {
    TORCH_CHECK_VALUE(options.timeout() > 0, "ProcessGroup: expected timeout > 0, got ",
                      options.timeout());
    const detail::Milliseconds timeout(static_cast<std::int64_t>(1000 * options.timeout()));
    const auto store = detail::meet(place, timeout);
    guarded("connect", [&] {
      const auto connected = [&](const char* name) {
        return detail::connect(c10::make_intrusive<c10d::PrefixStore>(name, store), place, options,
                               timeout);
      };
      foreground_ = connected("foreground");
      background_ = connected("background");
    });
  }

  std::int64_t rank() const override { return place_.rank; }
  std::int64_t size() const override { return place_.size; }

  /// On CPUs messages that wait for one another are what costs time: small values, such as the
  /// statistics of norms, are gathered and added up by each process, which takes fewer of them.
  torch::Tensor all_reduce_sum(const torch::Tensor& value) override {
    const torch::NoGradGuard no_grad;
    torch::Tensor sum;
    guarded("all_reduce_sum", [&] {
      const bool small = value.is_cpu() && value.numel() > 0 && value.nbytes() <= kSmall;
      sum = small ? sum_of_gathered(value.detach()) : reduced(value.detach());
    });
    return sum;
  }

  /// The numbers of rows travel first, then each process' rows from it to the others.
  std::vector<torch::Tensor> all_gather_rows(const torch::Tensor& rows) override {
    const torch::NoGradGuard no_grad;
    const auto own = rows.detach().contiguous();
    std::vector<torch::Tensor> gathered;
    guarded("all_gather_rows", [&] {
      for (const auto count : gather_counts(own)) {
        auto sizes = own.sizes().vec();
        sizes[0] = count;
        gathered.push_back(at::empty(sizes, own.options()));
      }
      gathered[static_cast<std::size_t>(rank())] = own;
      exchange(gathered);
    });
    return gathered;
  }

  Wait start_all_reduce_sum(torch::Tensor value) override {
    std::vector<torch::Tensor> sum{std::move(value)};
    c10::intrusive_ptr<c10d::Work> work;
    guarded("all_reduce_sum", [&] { work = background_.of(sum[0]).allreduce(sum); });
    return [this, work] { guarded("all_reduce_sum", [&] { work->wait(); }); };
  }

 private:
  static constexpr std::size_t kSmall = 65536;  // bytes

  template <class Operation>
  void guarded(const char* name, const Operation& operation) const {
    try {
      operation();
    } catch (const c10::ValueError&) {
      throw;
    } catch (const std::exception& error) {
      throw std::runtime_error(detail::process_name(place_) + " lost the others in " + name + ": " +
                               detail::reason(error));
    }
  }

  torch::Tensor reduced(const torch::Tensor& value) const {
    std::vector<torch::Tensor> sum{value.clone(torch::MemoryFormat::Contiguous)};
    foreground_.of(sum[0]).allreduce(sum)->wait();
    return sum[0];
  }

  torch::Tensor sum_of_gathered(const torch::Tensor& value) const {
    const auto of_each = gathered(value.reshape({-1}));
    return of_each.sum(0, /*keepdim=*/false, value.scalar_type()).view(value.sizes());
  }

  /// The numbers [n] of every process, [size,n].
  torch::Tensor gathered(torch::Tensor own) const {
    auto all = at::empty({size() * own.numel()}, own.options());
    foreground_.of(own)._allgather_base(all, own)->wait();
    return all.view({size(), own.numel()});
  }

  /// How many rows each process has.
  std::vector<std::int64_t> gather_counts(const torch::Tensor& rows) const {
    const auto own = at::full({1}, rows.size(0), rows.options().dtype(torch::kLong));
    const auto on_host = gathered(own).cpu();
    const auto* counts = on_host.const_data_ptr<std::int64_t>();
    return {counts, counts + size()};
  }

  /// Fills what the others have; all at the same time, as bytes, which every type has.
  void exchange(const std::vector<torch::Tensor>& gathered) const {
    std::vector<c10::intrusive_ptr<c10d::Work>> under_way;
    for (std::size_t from = 0; from < gathered.size(); ++from) {
      if (gathered[from].numel() == 0) continue;
      std::vector<torch::Tensor> bytes{gathered[from].view({-1}).view(torch::kByte)};
      c10d::BroadcastOptions options;
      options.rootRank = static_cast<std::int64_t>(from);
      under_way.push_back(foreground_.of(bytes[0]).broadcast(bytes, options));
    }
    for (const auto& work : under_way) work->wait();
  }

  ProcessEnvironment place_;
  detail::Connections foreground_, background_;
};

/// The group that the environment tells this process to join; null, and nothing is called, where it
/// names none or one of a single process. See `process_environment` and `ProcessGroup`.
inline std::shared_ptr<ProcessGroup> join_processes(const ProcessGroupOptions& options = {}) {
  const auto place = process_environment();
  if (!place || place->size == 1) return nullptr;
  return std::make_shared<ProcessGroup>(*place, options);
}

}  // namespace slotcon
