#include <gtest/gtest.h>
#include <slotcon/train/checkpoint.h>
#include <slotcon/train/random_state.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/dropout.h>
#include <torch/nn/modules/linear.h>
#include <torch/optim/adamw.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
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

TEST_F(CheckpointTest, RandomLayersDrawOnAsIfNothingHadHappened) {
  torch::manual_seed(3);
  torch::nn::Dropout layer(0.5);
  const auto ones = torch::ones({64});
  layer->forward(ones);
  const auto file = folder / "run.ckpt";
  slotcon::save_checkpoint(
      file,
      {"", 1, {}, torch::empty({0}, torch::kByte), slotcon::random_state(), "{\"skipped\": 2}"});
  const auto first = layer->forward(ones), second = layer->forward(ones);
  ASSERT_FALSE(torch::equal(first, second));

  torch::manual_seed(4);
  layer->forward(ones);
  const auto checkpoint = slotcon::load_checkpoint(file);
  EXPECT_EQ(checkpoint.progress, "{\"skipped\": 2}");
  slotcon::load_random_state(checkpoint.random);
  EXPECT_TRUE(torch::equal(layer->forward(ones), first));
  EXPECT_TRUE(torch::equal(layer->forward(ones), second));
}

TEST(RandomState, SaysWhatIsMissing) {
  EXPECT_EQ(error_text<c10::ValueError>([] { slotcon::load_random_state({}); }),
            "load_random_state: there is no state for cpu");
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
            "save_checkpoint: cannot write '" + nowhere + "': No such file or directory");
}

TEST_F(CheckpointTest, SaysWhenItIsOfAnotherVersion) {
  c10::impl::GenericDict old(c10::StringType::get(), c10::AnyType::get());
  old.insert("format", "slotcon checkpoint 1");
  const auto bytes = torch::jit::pickle_save(old);
  const auto file = (folder / "old.ckpt").string();
  std::ofstream(file, std::ios::binary)
      .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  EXPECT_EQ(
      error_text<std::runtime_error>([&] { slotcon::load_checkpoint(file); }),
      "load_checkpoint: '" + file + "' is a 'slotcon checkpoint 1', not a 'slotcon checkpoint 2'");
}

TEST_F(CheckpointTest, FailedWriteKeepsTheOldFileAndLeavesNothingElse) {
  const auto net = network(2);
  const auto file = folder / "run.ckpt";
  const Checkpoint checkpoint{"", 7, slotcon::module_state(*net), torch::empty({0}, torch::kByte)};
  slotcon::save_checkpoint(file, checkpoint);
  fs::create_directories(folder / "run.ckpt.part" / "taken");  // where the new one would be written
  EXPECT_EQ(error_text<std::runtime_error>([&] { slotcon::save_checkpoint(file, checkpoint); }),
            "save_checkpoint: cannot write '" + file.string() + "': Is a directory");
  EXPECT_EQ(slotcon::load_checkpoint(file).step, 7);

  fs::create_directories(folder / "folder.ckpt" / "taken");  // what it would replace
  EXPECT_EQ(
      error_text<std::runtime_error>(
          [&] { slotcon::save_checkpoint(folder / "folder.ckpt", checkpoint); }),
      "save_checkpoint: cannot write '" + (folder / "folder.ckpt").string() + "': Is a directory");
  EXPECT_FALSE(fs::exists(folder / "folder.ckpt.part"));
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
