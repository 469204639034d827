// slotcon_parity DIR [DEVICE]: compares slotcon, on the CPU or for example on cuda, with numbers of
// the published code.
//
// Runs every fixture it finds in DIR: grouping.pt, invaug.pt, distill.pt, infonce.pt, lars.pt,
// schedules.pt and slotcon_world{W}_rank{r}.pt. Exit status: 0 all within their bounds, 1 one is
// out, 2 nothing could be compared.
#include <ATen/Context.h>
#include <c10/core/Device.h>
#include <c10/util/Exception.h>

#include <cstdio>
#include <filesystem>
#include <map>
#include <set>
#include <string>

#include "tests/parity/parts.h"
#include "tests/parity/training_step.h"

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

Path rank_file(const Path& directory, int world, int rank) {
  return directory /
         ("slotcon_world" + std::to_string(world) + "_rank" + std::to_string(rank) + ".pt");
}

void run_training_steps(const Path& directory, c10::Device device, Report& report) {
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
    std::vector<Fixture> ranks;
    for (int rank = 0; rank < world; ++rank) {
      const auto file = rank_file(directory, world, rank);
      TORCH_CHECK(std::filesystem::exists(file), "slotcon_parity: expected ", file.string(),
                  " beside the other ranks' files, found none");
      ranks.emplace_back(file, device);
    }
    check_training_step(ranks, report);
  }
}

int run(const Path& directory, c10::Device device) {
  if (!std::filesystem::is_directory(directory)) {
    std::fprintf(stderr, "slotcon_parity: expected a folder of fixtures, got '%s'\n",
                 directory.c_str());
    return 2;
  }
  // LibTorch convolves float32 in TF32 unless told otherwise.
  at::globalContext().setAllowTF32CuDNN(false);
  Report report;
  run_parts(directory, device, report);
  run_training_steps(directory, device, report);
  if (report.comparisons() == 0) {
    std::fprintf(stderr, "slotcon_parity: found no fixture in '%s'\n", directory.c_str());
    return 2;
  }
  std::printf("%d comparisons, %d out of bounds\n", report.comparisons(), report.failures());
  return report.failures() == 0 ? 0 : 1;
}

}  // namespace
}  // namespace slotcon::parity

int main(int argc, char** argv) {
  if (argc != 2 && argc != 3) {
    std::fprintf(stderr, "usage: slotcon_parity DIR [DEVICE]\n");
    return 2;
  }
  try {
    return slotcon::parity::run(argv[1], c10::Device(argc == 3 ? argv[2] : "cpu"));
  } catch (const c10::Error& error) {
    std::fprintf(stderr, "%s\n", error.what_without_backtrace());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "slotcon_parity: %s\n", error.what());
  }
  return 2;
}
