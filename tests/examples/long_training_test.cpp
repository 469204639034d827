// pretrain as a run that lasts: killed, resumed, in mixed precision, diverged, collapsed.
#include <gtest/gtest.h>
#include <slotcon/data/random.h>
#include <slotcon/train/checkpoint.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "tests/examples/programs.h"
#include "tests/support/run_program.h"

namespace {

namespace fs = std::filesystem;
using slotcon::testing::run_program;

class LongTraining : public Programs {
 protected:
  /// Whole lines: the last may have been cut off.
  std::size_t whole_lines(const std::string& output_dir) const {
    std::ifstream file(folder / output_dir / "log.jsonl");
    return static_cast<std::size_t>(std::count(std::istreambuf_iterator<char>(file), {}, '\n'));
  }

  /// Starts a command and kills it some milliseconds after its log has so many lines.
  void kill_when(const std::string& command, const std::string& output_dir, std::size_t lines,
                 int milliseconds) const {
    slotcon::testing::BackgroundProgram program(command);
    while (whole_lines(output_dir) < lines && !program.has_ended()) {
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
    ASSERT_TRUE(program.kill()) << "it ended before it had written " << lines << " lines";
  }

  std::set<std::string> files(const std::string& output_dir) const {
    std::set<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder / output_dir)) {
      names.insert(entry.path().filename().string());
    }
    return names;
  }

  /// The log without what a clock and the machine say.
  std::vector<nlohmann::json> timeless_log(const std::string& output_dir) const {
    auto lines = log(output_dir);
    for (auto& line : lines) {
      for (const auto* figure : {"image_wait", "seconds", "images_per_second", "peak_memory_mb"}) {
        line.erase(figure);
      }
    }
    return lines;
  }

  void expect_same_run(const std::string& a, const std::string& b) const {
    const auto left = slotcon::load_checkpoint(folder / a / "current.ckpt");
    const auto right = slotcon::load_checkpoint(folder / b / "current.ckpt");
    EXPECT_EQ(left.step, right.step);
    ASSERT_EQ(left.model.size(), right.model.size());
    for (const auto& [name, tensor] : left.model) {
      EXPECT_TRUE(torch::equal(tensor, right.model.at(name))) << name;
    }
  }
};

TEST_F(LongTraining, KilledTenTimesItEndsWithTheBitsOfTheRunThatWasNot) {
  constexpr int kKills = 10;
  const std::string flags = " --epochs 20 --clip-norm 5";
  ASSERT_EQ(pretrain("whole", flags).status, 0);
  // A checkpoint every few steps, so that some are killed while they are written.
  const auto command =
      scored_pretrain_command("parts") + flags + " --auto-resume --save-minutes 0.0005";
  auto random = slotcon::data::Random(11);
  std::size_t lines = 0;
  for (int i = 0; i < kKills; ++i) {
    lines += static_cast<std::size_t>(random.integer(1, 6));
    kill_when(command, "parts", lines, random.integer(0, 20));
    lines = std::max(lines, whole_lines("parts"));
  }
  const auto resumed = run_program(command);
  ASSERT_EQ(resumed.status, 0) << resumed.output;
  EXPECT_NE(resumed.output.find("going on from"), std::string::npos) << resumed.output;
  expect_same_run("parts", "whole");
  EXPECT_EQ(timeless_log("parts"), timeless_log("whole"));
}

TEST_F(LongTraining, KeepsTheLastNumberedCheckpointsToGoBackTo) {
  const std::string flags = " --epochs 5 --save-freq 1 --keep 2";
  ASSERT_EQ(pretrain("run", flags).status, 0);
  const std::set<std::string> expected{"current.ckpt", "epoch_0004.ckpt", "epoch_0005.ckpt",
                                       "log.jsonl",    "report.html",     "scores.json",
                                       "slots.png"};
  EXPECT_EQ(files("run"), expected);
  EXPECT_EQ(slotcon::load_checkpoint(folder / "run" / "epoch_0004.ckpt").step, 16);
  EXPECT_EQ(slotcon::load_checkpoint(folder / "run" / "epoch_0005.ckpt").step, 20);

  ASSERT_EQ(pretrain("again", flags + " --resume " + path("run/epoch_0004.ckpt")).status, 0);
  expect_same_run("again", "run");
  ASSERT_EQ(log("again").size(), 4U);
  EXPECT_EQ(log("again").front().at("step"), 16);

  // A fresh run in the same folder does not take the old one's for its own.
  ASSERT_EQ(pretrain("run", " --epochs 2 --save-freq 1 --keep 1").status, 0);
  EXPECT_EQ(files("run").count("epoch_0001.ckpt"), 0U);
  EXPECT_EQ(files("run").count("epoch_0002.ckpt"), 1U);
  EXPECT_EQ(files("run").count("epoch_0005.ckpt"), 1U);
}

TEST_F(LongTraining, RefusesToGoOnWithOtherImages) {
  write_scenes(4);
  fs::copy(folder / "images", folder / "photos");
  const auto flags = " --epochs 1 --data " + path("photos");
  ASSERT_EQ(pretrain("run", flags).status, 0);
  fs::copy_file(folder / "photos" / "0.png", folder / "photos" / "new.png");
  const auto result = pretrain("run", flags + " --auto-resume --precision bf16");
  EXPECT_EQ(result.status, 1);
  EXPECT_EQ(result.output, "pretrain: cannot go on from '" + path("run/current.ckpt") +
                               "', other settings:\n  images: 4 there, 5 now\n"
                               "  precision: \"fp32\" there, \"bf16\" now\n");
}

TEST_F(LongTraining, LogHasEveryFigure) {
  ASSERT_EQ(pretrain("run", " --epochs 1").status, 0);
  const auto line = log("run").back();
  for (const auto* figure : {"step",
                             "epoch",
                             "learning_rate",
                             "teacher_momentum",
                             "loss",
                             "cross_entropy",
                             "contrast",
                             "gradient_norm",
                             "loss_scale",
                             "skipped_steps",
                             "active_slots",
                             "teacher_entropy",
                             "entropy_gap",
                             "prototype_perplexity",
                             "dead_prototypes",
                             "center_norm",
                             "disjoint_share",
                             "image_wait",
                             "seconds",
                             "images_per_second",
                             "peak_memory_mb"}) {
    EXPECT_TRUE(line.at(figure).is_number()) << figure;
  }
  EXPECT_EQ(line.size(), 21U);
  EXPECT_GE(line.at("image_wait").get<double>(), 0);
  EXPECT_LE(line.at("image_wait").get<double>(), 1);
  EXPECT_NEAR(line.at("teacher_entropy").get<double>() + line.at("entropy_gap").get<double>(),
              std::log(4.0), 1e-5);
  EXPECT_GT(line.at("gradient_norm").get<double>(), 0);
  EXPECT_GT(line.at("peak_memory_mb").get<double>(), 50);
}

TEST_F(LongTraining, TrainsInBFloat16) {
  const auto exact = pretrain("exact", " --epochs 2");
  const auto half = pretrain("half", " --epochs 2 --precision bf16");
  ASSERT_EQ(half.status, 0) << half.output;
  const auto a = log("exact").front().at("loss").get<double>();
  const auto b = log("half").front().at("loss").get<double>();
  EXPECT_NE(a, b);
  EXPECT_NEAR(a, b, 0.02 * a);
  EXPECT_EQ(log("half").back().at("skipped_steps"), 0);
}

TEST_F(LongTraining, Float16FindsItsLossScaleAndSaysThatItIsSlowHere) {
  const auto result = pretrain("run", " --epochs 1 --batch-size 2 --scenes 4 --precision fp16");
  ASSERT_EQ(result.status, 0) << result.output;
  EXPECT_NE(result.output.find("float16 is slow on the CPU"), std::string::npos) << result.output;
  const auto lines = log("run");
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_EQ(lines[0].at("loss_scale"), 65536);
  const auto skipped = lines[0].at("skipped_steps").get<int>();
  EXPECT_EQ(lines[1].at("loss_scale"), skipped == 1 ? 32768 : 65536);
}

TEST_F(LongTraining, DivergenceIsOneClearErrorAfterTwentySkippedSteps) {
  // The second step's rate is past all measure.
  const auto result = pretrain(
      "run", " --epochs 10 --save-freq 2 --optimizer sgd --base-lr 1e38 --warmup-multiplier 1e38");
  EXPECT_EQ(result.status, 1);
  EXPECT_NE(result.output.find("pretrain: TrainingStep: 20 steps in a row were skipped, the last "
                               "with a loss of nan and a gradient norm of nan: the training has "
                               "diverged."),
            std::string::npos)
      << result.output;
  EXPECT_NE(result.output.find("; the last checkpoint is '" + path("run/current.ckpt") + "'\n"),
            std::string::npos)
      << result.output;
  const auto last = log("run").back();
  EXPECT_EQ(last.at("skipped_steps"), 19);
  EXPECT_TRUE(last.at("loss").is_null());
  EXPECT_TRUE(last.at("gradient_norm").is_null());
  const auto page = read_page("run/report.html");
  EXPECT_EQ(page.at("title"), "SlotCon training diverged");
  EXPECT_EQ(page.at("sections"), nlohmann::json({"training", "diagnostics", "options"}));
  EXPECT_NE(page.at("text").get<std::string>().find("Skipped steps last 19"), std::string::npos);
  for (const auto& [name, tensor] :
       slotcon::load_checkpoint(folder / "run" / "current.ckpt").model) {
    EXPECT_TRUE(tensor.isfinite().all().item<bool>()) << name;
  }
}

TEST_F(LongTraining, CollapseIsToldOnceAndLogged) {
  // So high a temperature makes every assignment uniform. A checkpoint that says that this has
  // lasted since step 10 spares the test a thousand steps.
  const std::string flags = " --epochs 255 --teacher-temp 50";
  write_scenes(3);
  kill_when(scored_pretrain_command("run") + flags + " --save-minutes 0.0001", "run", 3, 0);
  auto checkpoint = slotcon::load_checkpoint(folder / "run" / "current.ckpt");
  checkpoint.step = 1012;
  auto progress = nlohmann::json::parse(checkpoint.progress);
  progress["watch"]["since"] = {10, -1, -1};
  checkpoint.progress = progress.dump();
  slotcon::save_checkpoint(folder / "run" / "current.ckpt", checkpoint);

  const auto result = pretrain("run", flags + " --auto-resume");
  ASSERT_EQ(result.status, 0) << result.output;
  const std::string warning =
      "warning: uniform collapse by step 1012: the teacher's entropy sits at ln K";
  const auto first = result.output.find(warning);
  ASSERT_NE(first, std::string::npos) << result.output;
  EXPECT_EQ(result.output.find("warning: ", first + 1), std::string::npos);
  std::vector<nlohmann::json> warnings;
  for (const auto& line : log("run")) {
    if (line.contains("warning")) warnings.push_back(line);
  }
  ASSERT_EQ(warnings.size(), 1U);
  EXPECT_EQ(warnings[0].at("step"), 1012);
  EXPECT_EQ(warnings[0].at("warning"), "uniform");
  const auto told = read_page("run/report.html").at("warnings");
  ASSERT_EQ(told.size(), 1U);
  EXPECT_EQ(told[0].get<std::string>().rfind(
                "Warning: uniform collapse by step 1,012: the teacher's entropy sits at ln K", 0),
            0U)
      << told;
}

}  // namespace
