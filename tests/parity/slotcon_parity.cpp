// slotcon_parity DIR [DEVICE]: compares slotcon, on the CPU or for example on cuda, with numbers of
// the published code.
//
// Runs every fixture it finds in DIR: grouping.pt, invaug.pt, distill.pt, infonce.pt, lars.pt,
// schedules.pt and slotcon_world{W}_rank{r}.pt, these as W processes that exchange through Gloo.
// Exit status: 0 all within their bounds, 1 one is out, 2 nothing could be compared.
#include <ATen/Context.h>
#include <c10/core/Device.h>
#include <c10/util/Exception.h>
#include <slotcon/train/local_processes.h>
#include <slotcon/train/process_group.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "tests/parity/parts.h"
#include "tests/parity/training_step.h"
#include "tests/support/through_host.h"

namespace slotcon::parity {
namespace {

using Path = std::filesystem::path;

void run_parts(const Path& directory, c10::Device device, Report& report) {
  const std::map<std::string, void (*)(const Fixture&, Report&)> checks{
      {"grouping", check_grouping},
      {"invaug", check_inverse_augmentation},
      {"distill", check_distillation},
      {"infonce", check_info_nce},
      {"lars", check_lars},
      {"schedules", check_schedules}};
  for (const auto& [name, check] : checks) {
    const auto file = directory / (name + ".pt");
    if (std::filesystem::exists(file)) check(Fixture(file, device), report);
  }
}

Path rank_file(const Path& directory, std::int64_t world, std::int64_t rank) {
  return directory /
         ("slotcon_world" + std::to_string(world) + "_rank" + std::to_string(rank) + ".pt");
}

/// The numbers of processes that there are training steps of.
std::set<int> worlds_of(const Path& directory) {
  std::set<int> worlds;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    int world = 0;
    int rank = 0;
    if (std::sscanf(entry.path().filename().c_str(), "slotcon_world%d_rank%d.pt", &world, &rank) ==
        2) {
      worlds.insert(world);
    }
  }
  for (const int world : worlds) {
    for (int rank = 0; rank < world; ++rank) {
      const auto file = rank_file(directory, world, rank);
      TORCH_CHECK(std::filesystem::exists(file), "slotcon_parity: expected ", file.string(),
                  " beside the other ranks' files, found none");
    }
  }
  return worlds;
}

int conclude(const std::string& of, std::int64_t comparisons, std::int64_t failures) {
  std::printf("%s: %lld comparisons, %lld out of bounds\n", of.c_str(),
              static_cast<long long>(comparisons), static_cast<long long>(failures));
  return failures == 0 ? 0 : 1;
}

/// This process' part in a training step of several; the first tells what all have found.
int run_rank(const Path& directory, c10::Device device,
             const std::shared_ptr<ProcessGroup>& group) {
  Report report;
  const auto world = group->size();
  check_training_step(Fixture(rank_file(directory, world, group->rank()), device),
                      std::make_shared<testing::ThroughHost>(group), report);
  auto text = report.lines();
  const auto own =
      torch::from_blob(text.data(), static_cast<std::int64_t>(text.size()), torch::kByte);
  const auto lines = at::cat(group->all_gather_rows(own));
  const auto counts =
      group->all_reduce_sum(torch::tensor({report.comparisons(), report.failures()}, torch::kLong));
  if (group->rank() > 0) return 0;
  std::fwrite(lines.const_data_ptr(), 1, lines.nbytes(), stdout);
  return conclude(std::to_string(world) + " processes", counts[0].item<std::int64_t>(),
                  counts[1].item<std::int64_t>());
}

/// Starts this program as `world` processes, for `run_rank`.
int run_world(int world, char** argv) {
  const auto run = run_local_processes(world, argv);
  if (run.status > 1) std::fprintf(stderr, "slotcon_parity: %s\n", run.failure.c_str());
  return std::min(run.status, 2);
}

int run(const Path& directory, c10::Device device, char** argv) {
  if (!std::filesystem::is_directory(directory)) {
    std::fprintf(stderr, "slotcon_parity: expected a folder of fixtures, got '%s'\n",
                 directory.c_str());
    return 2;
  }
  const auto worlds = worlds_of(directory);
  Report report;
  run_parts(directory, device, report);
  if (worlds.count(1) == 1) {
    check_training_step(Fixture(rank_file(directory, 1, 0), device), nullptr, report);
  }
  if (report.comparisons() == 0 && worlds.empty()) {
    std::fprintf(stderr, "slotcon_parity: found no fixture in '%s'\n", directory.c_str());
    return 2;
  }
  std::fputs(report.lines().c_str(), stdout);
  int status = conclude("1 process", report.comparisons(), report.failures());
  std::fflush(stdout);
  for (const int world : worlds) {
    if (world > 1) status = std::max(status, run_world(world, argv));
  }
  return status;
}

}  // namespace
}  // namespace slotcon::parity

int main(int argc, char** argv) {
  if (argc != 2 && argc != 3) {
    std::fprintf(stderr, "usage: slotcon_parity DIR [DEVICE]\n");
    return 2;
  }
  try {
    // LibTorch convolves float32 in TF32 unless told otherwise.
    at::globalContext().setAllowTF32CuDNN(false);
    const c10::Device device(argc == 3 ? argv[2] : "cpu");
    const auto group = slotcon::join_processes();
    return group ? slotcon::parity::run_rank(argv[1], device, group)
                 : slotcon::parity::run(argv[1], device, argv);
  } catch (const c10::Error& error) {
    std::fprintf(stderr, "%s\n", error.what_without_backtrace());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "slotcon_parity: %s\n", error.what());
  }
  return 2;
}
