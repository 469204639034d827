// The programs under test, run in a folder that goes with the test.
#pragma once

#include <gtest/gtest.h>
#include <slotcon/data/image_file.h>
#include <slotcon/data/scenes.h>
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/support/run_program.h"

inline std::string program(const std::string& name) {
  return std::string(SLOTCON_BIN_DIR) + "/" + name;
}

/// Flags of a run of four steps an epoch that takes a second or two.
inline const std::string kSmall =
    " --arch tiny --dim-hidden 16 --dim-out 8 --num-prototypes 4 --image-size 32 --batch-size 4"
    " --optimizer adamw --base-lr 0.1 --warmup-epoch 1 --print-freq 1 --threads 1 --num-workers 1 "
    "--scenes 16";

class Programs : public ::testing::Test {
 protected:
  void SetUp() override { std::filesystem::create_directories(folder); }
  void TearDown() override { std::filesystem::remove_all(folder); }

  std::string path(const std::string& name) const { return (folder / name).string(); }

  std::string pretrain_command(const std::string& output_dir) const {
    return program("pretrain") + kSmall + " --output-dir " + path(output_dir);
  }

  /// The same, scored on three small scenes: the hundred of a real run take their time.
  std::string scored_pretrain_command(const std::string& output_dir) const {
    return pretrain_command(output_dir) + " --eval-images " + path("images") + " --eval-labels " +
           path("labels") + " --eval-classes 9";
  }

  slotcon::testing::ProgramResult pretrain(const std::string& output_dir,
                                           const std::string& flags) const {
    write_scenes(3);
    return slotcon::testing::run_program(scored_pretrain_command(output_dir) + flags);
  }

  /// Does `action` to the run `command` as soon as its log has a few lines; ends as the run does.
  std::string when_lines_are_logged(const std::string& output_dir, int count,
                                    const std::string& command, const std::string& action) const {
    const auto lines = "$(cat " + path(output_dir + "/log.jsonl") + " 2>/dev/null | wc -l)";
    return "{ " + command + " & pid=$!; until [ " + lines + " -ge " + std::to_string(count) +
           " ]; do sleep 0.01; done; " + action + "; wait $pid; }";
  }

  /// The figures of a run, a line a step.
  std::vector<nlohmann::json> log(const std::string& output_dir) const {
    std::ifstream file(folder / output_dir / "log.jsonl");
    std::vector<nlohmann::json> lines;
    for (std::string line; std::getline(file, line);) lines.push_back(nlohmann::json::parse(line));
    return lines;
  }

  /// What a page says, once it was found to be well-formed and complete; see read_page.py.
  nlohmann::json read_page(const std::string& name) const {
    const auto result = slotcon::testing::run_program("python3 " + std::string(SLOTCON_TEST_DATA) +
                                                      "/examples/read_page.py " + path(name));
    EXPECT_EQ(result.status, 0) << result.output;
    return nlohmann::json::parse(result.output, nullptr, /*allow_exceptions=*/false);
  }

  /// Scenes 0 .. count - 1 as image and label files.
  void write_scenes(int count) const {
    std::filesystem::create_directories(folder / "images");
    std::filesystem::create_directories(folder / "labels");
    for (int i = 0; i < count; ++i) {
      const auto scene = slotcon::data::make_scene(7, static_cast<std::uint64_t>(i), 48);
      const auto name = std::to_string(i) + ".png";
      slotcon::data::write_png(path("images/" + name), scene.image);
      slotcon::data::write_png(path("labels/" + name), scene.labels);
    }
  }

  const std::filesystem::path folder =
      std::filesystem::temp_directory_path() / ("slotcon_programs_" + std::to_string(getpid()));
};
