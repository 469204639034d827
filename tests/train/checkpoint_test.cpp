#include <gtest/gtest.h>
#include <slotcon/train/checkpoint.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/linear.h>
#include <torch/optim/adamw.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "tests/support/error_text.h"

namespace {

using slotcon::Checkpoint;
namespace fs = std::filesystem;

/// A folder that goes with the test.
class CheckpointTest : public ::testing::Test {
 protected:
  void SetUp() override { fs::create_directories(folder); }
  void TearDown() override { fs::remove_all(folder); }

  const fs::path folder =
      fs::temp_directory_path() / ("slotcon_checkpoint_" + std::to_string(::getpid()));
};

torch::nn::Sequential network(std::int64_t width) {
  return torch::nn::Sequential(torch::nn::Linear(3, width), torch::nn::BatchNorm1d(width),
                               torch::nn::Linear(width, 2));
}

void train_step(torch::nn::Sequential& net, torch::optim::Optimizer& optimizer) {
  optimizer.zero_grad();
  const auto x = torch::arange(12, torch::kFloat).view({4, 3}).sin();
  net->forward(x).square().mean().backward();
  optimizer.step();
}

bool equal_states(const torch::nn::Module& a, const torch::nn::Module& b) {
  const auto left = slotcon::module_state(a);
  const auto right = slotcon::module_state(b);
  for (const auto& [name, tensor] : left) {
    if (right.count(name) == 0 || !torch::equal(tensor, right.at(name))) return false;
  }
  return left.size() == right.size();
}

TEST_F(CheckpointTest, TrainingGoesOnExactlyWhereItWasSaved) {
  torch::manual_seed(1);
  auto net = network(5);
  torch::optim::AdamW optimizer(net->parameters(), torch::optim::AdamWOptions(0.01));
  for (int i = 0; i < 3; ++i) train_step(net, optimizer);
  const auto file = folder / "run.ckpt";
  slotcon::save_checkpoint(
      file, {"{\"k\": 1}", 3, slotcon::module_state(*net), slotcon::optimizer_state(optimizer)});

  auto other = network(5);
  torch::optim::AdamW restored(other->parameters(), torch::optim::AdamWOptions(0.5));
  const auto checkpoint = slotcon::load_checkpoint(file);
  EXPECT_EQ(checkpoint.options, "{\"k\": 1}");
  EXPECT_EQ(checkpoint.step, 3);
  slotcon::load_module_state(*other, checkpoint.model);
  slotcon::load_optimizer_state(restored, checkpoint.optimizer);
  EXPECT_TRUE(equal_states(*net, *other));
  for (int i = 0; i < 3; ++i) {
    train_step(net, optimizer);
    train_step(other, restored);
  }
  EXPECT_TRUE(equal_states(*net, *other));
}

TEST_F(CheckpointTest, LeavesNoUnfinishedFileAndReplacesTheOldOne) {
  const auto net = network(2);
  const auto file = folder / "run.ckpt";
  for (const std::int64_t step : {1, 2}) {
    slotcon::save_checkpoint(
        file, {"", step, slotcon::module_state(*net), torch::empty({0}, torch::kByte)});
  }
  EXPECT_EQ(slotcon::load_checkpoint(file).step, 2);
  EXPECT_EQ(std::distance(fs::directory_iterator(folder), fs::directory_iterator()), 1);
}

TEST_F(CheckpointTest, NamesTheFileThatItCannotReadOrWrite) {
  const auto missing = (folder / "none.ckpt").string();
  EXPECT_EQ(error_text<std::runtime_error>([&] { slotcon::load_checkpoint(missing); }),
            "load_checkpoint: cannot open '" + missing + "'");
  EXPECT_EQ(error_text<std::runtime_error>([&] { slotcon::load_checkpoint(folder); }),
            "load_checkpoint: cannot open '" + folder.string() + "'");

  const auto text = (folder / "text.ckpt").string();
  std::ofstream(text) << "not a checkpoint";
  EXPECT_EQ(error_text<std::runtime_error>([&] { slotcon::load_checkpoint(text); }),
            "load_checkpoint: '" + text + "' is damaged or not a slotcon checkpoint");

  const auto nowhere = (folder / "no" / "folder" / "run.ckpt").string();
  EXPECT_EQ(error_text<std::runtime_error>([&] {
              slotcon::save_checkpoint(nowhere, {"", 0, {}, torch::empty({0}, torch::kByte)});
            }),
            "save_checkpoint: cannot write '" + nowhere + "'");
}

TEST_F(CheckpointTest, NoticesATruncatedFile) {
  const auto file = (folder / "run.ckpt").string();
  const auto net = network(4);
  slotcon::save_checkpoint(file,
                           {"", 0, slotcon::module_state(*net), torch::empty({0}, torch::kByte)});
  fs::resize_file(file, fs::file_size(file) / 2);
  EXPECT_EQ(error_text<std::runtime_error>([&] { slotcon::load_checkpoint(file); }),
            "load_checkpoint: '" + file + "' is damaged or not a slotcon checkpoint");
}

TEST(ModuleState, HasTheOrderOfPython) {
  std::vector<std::string> names;
  for (const auto& [name, tensor] : slotcon::module_state(*network(3))) names.push_back(name);
  EXPECT_EQ(names, (std::vector<std::string>{"0.weight", "0.bias", "1.weight", "1.bias",
                                             "1.running_mean", "1.running_var",
                                             "1.num_batches_tracked", "2.weight", "2.bias"}));
}

TEST(ModuleState, ListsWhatDiffersAndLeavesTheModuleAlone) {
  auto net = network(3);
  const auto before = net->parameters()[0].detach().clone();
  auto state = slotcon::module_state(*network(4));
  state.erase("2.bias");
  state["extra"] = torch::zeros({1});
  EXPECT_EQ(error_text<c10::ValueError>([&] { slotcon::load_module_state(*net, state); }),
            "load_module_state: the state is of another model:"
            "\n  0.weight: expected Float [3, 3], got Float [4, 3]"
            "\n  0.bias: expected Float [3], got Float [4]"
            "\n  1.weight: expected Float [3], got Float [4]"
            "\n  1.bias: expected Float [3], got Float [4]"
            "\n  1.running_mean: expected Float [3], got Float [4]"
            "\n  and 4 more");
  EXPECT_TRUE(torch::equal(net->parameters()[0].detach(), before));
}

}  // namespace
