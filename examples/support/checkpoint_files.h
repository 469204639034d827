// The checkpoints of a run: the current one and, if wanted, the last few numbered ones.
#pragma once

#include <slotcon/train/checkpoint.h>

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <map>
#include <string>
#include <system_error>

namespace examples {

class CheckpointFiles {
 public:
  /// In `folder`, with up to `keep` numbered ones.
  CheckpointFiles(std::filesystem::path folder, std::int64_t keep)
      : folder_(std::move(folder)), keep_(keep) {}

  std::filesystem::path current() const { return folder_ / "current.ckpt"; }

  /// Replaces the current checkpoint.
  void save(const slotcon::Checkpoint& checkpoint) const {
    slotcon::save_checkpoint(current(), checkpoint);
  }

  /// Keeps the current checkpoint as epoch_NNNN.ckpt and removes numbered ones that are now too
  /// many; those of later epochs, which an earlier run has left, stay.
  void number(std::int64_t epoch) const {
    if (keep_ == 0) return;
    const auto file = numbered(epoch);
    std::error_code no_links_here;
    std::filesystem::remove(file);
    std::filesystem::create_hard_link(current(), file, no_links_here);
    if (no_links_here) std::filesystem::copy_file(current(), file);
    auto files = numbered_up_to(epoch);
    for (; static_cast<std::int64_t>(files.size()) > keep_; files.erase(files.begin())) {
      std::filesystem::remove(files.begin()->second);
    }
  }

 private:
  std::filesystem::path numbered(std::int64_t epoch) const {
    char name[32];
    std::snprintf(name, sizeof name, "epoch_%04lld.ckpt", static_cast<long long>(epoch));
    return folder_ / name;
  }

  std::map<std::int64_t, std::filesystem::path> numbered_up_to(std::int64_t epoch) const {
    std::map<std::int64_t, std::filesystem::path> files;
    for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
      long long number = 0;
      if (std::sscanf(entry.path().filename().c_str(), "epoch_%lld.ckpt", &number) != 1) continue;
      if (number <= epoch && entry.path() == numbered(number)) files[number] = entry.path();
    }
    return files;
  }

  std::filesystem::path folder_;
  std::int64_t keep_;
};

}  // namespace examples
