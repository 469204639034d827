#include <gtest/gtest.h>
#include <slotcon/io/detectron2.h>
#include <slotcon/io/pth.h>
#include <slotcon/io/safetensors.h>
#include <slotcon/io/weights.h>
#include <slotcon/model/resnet.h>
#include <slotcon/train/checkpoint.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "tests/support/error_text.h"
#include "tests/support/peak_memory.h"
#include "tests/support/run_program.h"

namespace {

using slotcon::NamedTensors;
namespace fs = std::filesystem;
namespace io = slotcon::io;

const fs::path kFixtures = fs::path(SLOTCON_TEST_DATA) / "io" / "fixtures";

/// A folder that goes with the test.
class Exchange : public ::testing::Test {
 protected:
  void SetUp() override { fs::create_directories(folder); }
  void TearDown() override { fs::remove_all(folder); }

  std::string path(const std::string& name) const { return (folder / name).string(); }

  const fs::path folder =
      fs::temp_directory_path() / ("slotcon_exchange_" + std::to_string(::getpid()));
};

/// Tensor number `n` of a fixture, as generate_fixtures.py makes it.
torch::Tensor values(std::int64_t n, at::IntArrayRef sizes, at::ScalarType type = at::kFloat) {
  auto steps = (31 * n + 7 * torch::arange(c10::multiply_integers(sizes))) % 64;
  if (type == at::kBool) steps = steps % 2;
  return (at::isFloatingType(type) ? steps.to(at::kDouble) / 64 : steps).to(type).view(sizes);
}

/// Equal bit by bit, in type and in shape.
::testing::AssertionResult same(const torch::Tensor& a, const torch::Tensor& b) {
  if (a.scalar_type() != b.scalar_type() || a.sizes() != b.sizes())
    return ::testing::AssertionFailure() << a.toString() << a.sizes() << b.toString() << b.sizes();
  const auto left = io::detail::plain(a), right = io::detail::plain(b);
  if (io::detail::bytes_of(left) == io::detail::bytes_of(right))
    return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << left << " and " << right;
}

void expect_same(const NamedTensors& found, const NamedTensors& expected) {
  ASSERT_EQ(found.size(), expected.size());
  auto other = expected.begin();
  for (const auto& [name, tensor] : found) {
    EXPECT_EQ(name, other->first);
    EXPECT_TRUE(same(tensor, other->second)) << name;
    ++other;
  }
}

/// Each type that the formats share, under numpy's name for it.
NamedTensors all_types() {
  const std::vector<std::pair<std::string, at::ScalarType>> types{
      {"float32", at::kFloat},     {"float64", at::kDouble}, {"float16", at::kHalf},
      {"bfloat16", at::kBFloat16}, {"int64", at::kLong},     {"int32", at::kInt},
      {"int16", at::kShort},       {"int8", at::kChar},      {"uint8", at::kByte},
      {"bool", at::kBool}};
  NamedTensors tensors;
  for (const auto& [name, type] : types)
    tensors.insert(name, values(static_cast<std::int64_t>(tensors.size()), {2, 3}, type));
  return tensors;
}

/// The reason why a fixture is not read.
template <class Read>
std::string reason(const std::string& name, const std::string& who, const Read& read) {
  const auto file = kFixtures / name;
  const auto text = error_text<std::runtime_error>([&] { read(file); });
  const auto start = who + ": cannot read '" + file.string() + "': ";
  return text.rfind(start, 0) == 0 ? text.substr(start.size()) : "unexpected start: " + text;
}

std::string pth_reason(const std::string& name) { return reason(name, "read_pth", io::read_pth); }

// ---- What Python wrote --------------------------------------------------------------------------

TEST_F(Exchange, ReadsEveryTypeThatPythonWrites) {
  expect_same(io::read_pth(kFixtures / "types.pth"), all_types());
  auto read = io::read_safetensors(kFixtures / "types.safetensors");
  NamedTensors sorted;  // Python's writer has another order
  for (const auto& [name, tensor] : all_types()) sorted.insert(name, read.at(name));
  EXPECT_EQ(read.size(), sorted.size());
  expect_same(sorted, all_types());
}

TEST_F(Exchange, ReadsEveryLayoutThatPythonWrites) {
  const auto base = values(0, {2, 3});
  expect_same(io::read_pth(kFixtures / "layouts.pth"), {{"scalar", values(1, {})},
                                                        {"empty", torch::zeros({0, 5})},
                                                        {"transposed", base},
                                                        {"slice", base},
                                                        {"parameter", base},
                                                        {"buffer", base},
                                                        {"tied", base},
                                                        {"channels_last", base.view({1, 2, 3, 1})},
                                                        {"expanded", values(2, {1}).expand(3)}});
}

/// PyTorch calls a size of 1 or 0 contiguous with any stride, and writes that stride.
TEST(ReadTensor, HasTheStridesOfItsSizesWhateverTheFileSays) {
  const std::string bytes(8, '\0');
  io::detail::MemorySource file(bytes);
  using Sizes = io::detail::Sizes;
  const std::vector<std::pair<Sizes, Sizes>> cases{
      {{1, 2}, {9, 1}}, {{2, 1}, {1, 5}}, {{0, 5}, {7, 7}}, {{1}, {std::int64_t{1} << 62}}};
  for (const auto& [sizes, strides] : cases) {
    io::detail::TensorRecord record;
    record.sizes = sizes;
    record.strides = strides;
    record.extent = io::detail::extent_of("w", sizes, strides, 2);
    const auto tensor = io::detail::read_tensor(file, record);
    EXPECT_EQ(tensor.sizes(), sizes);
    EXPECT_EQ(tensor.strides(), torch::empty(sizes).strides()) << tensor.sizes();
  }
}

TEST_F(Exchange, NamesNestedTensorsByTheKeysOnTheWay) {
  expect_same(io::read_pth(kFixtures / "nested.pth"), {{"a.0", values(0, {2})},
                                                       {"a.1.0", values(1, {2})},
                                                       {"a.1.1.b", values(2, {2})},
                                                       {"7", values(3, {2})}});
}

TEST_F(Exchange, ReadsTheModelOfAPublishedCheckpointAndNothingElse) {
  // The optimiser's state in it has a type that cannot be read.
  const auto weights = io::read_weights(kFixtures / "published.pth");
  EXPECT_EQ(weights.begin()->first, "center");
  std::int64_t number = 0;
  for (const auto& [name, tensor] : weights)
    EXPECT_TRUE(same(tensor, values(number++, tensor.sizes(), tensor.scalar_type()))) << name;
  EXPECT_EQ(weights.at("predictor_slot.mlp.6.weight").sizes(), (std::vector<std::int64_t>{4, 5}));
  EXPECT_EQ(weights.at("encoder_k.bn1.num_batches_tracked").scalar_type(), at::kLong);
  EXPECT_EQ(pth_reason("published.pth"),
            "its tensor 'optimizer.state.1.mu' has elements of type ComplexFloatStorage, expected "
            "float16, 32 or 64, bfloat16, int8 to 64, uint8 or bool");
}

TEST_F(Exchange, SaysWhatAFileHasInstead) {
  const std::string types = ", expected float16, 32 or 64, bfloat16, int8 to 64, uint8 or bool";
  EXPECT_EQ(pth_reason("bare.pth"), "expected a dictionary of tensors, got a bare tensor");
  EXPECT_EQ(pth_reason("module.pth"),
            "expected a dictionary of tensors, got an object of torch.nn.modules.linear.Linear: in "
            "Python, save its state_dict()");
  EXPECT_EQ(pth_reason("old.pth"),
            "it is in the format of PyTorch before 1.6; in Python, convert it by "
            "torch.save(torch.load(old_file, map_location='cpu'), new_file)");
  EXPECT_EQ(pth_reason("complex.pth"),
            "its tensor 'w' has elements of type ComplexFloatStorage" + types);
  EXPECT_EQ(pth_reason("uint16.pth"),
            "its tensor 'w' is made by torch._utils._rebuild_tensor_v3, expected a dense tensor of "
            "an ordinary type");
  EXPECT_EQ(pth_reason("sparse.pth"),
            "its tensor 'w' is made by torch._utils._rebuild_sparse_tensor, expected a dense "
            "tensor of an ordinary type");
  EXPECT_EQ(pth_reason("negative.pth"),
            "its tensor 'w' is a view that negates or conjugates, expected resolve_neg() of it");
  EXPECT_EQ(pth_reason("types.safetensors"), "it is not a zip file, or is cut off");
  EXPECT_EQ(pth_reason("none.pth"), "there is no such file");
  EXPECT_EQ(pth_reason(""), "it is not a regular file");
  EXPECT_EQ(reason("complex.safetensors", "read_safetensors", io::read_safetensors),
            "its tensor 'w' has elements of type C64" + types);
  EXPECT_EQ(reason("old.pth", "read_weights", io::read_weights), pth_reason("old.pth"));
}

// ---- What we write ------------------------------------------------------------------------------

/// Tensors that are not simply written as they lie, under names that need care, in no order.
NamedTensors odd_tensors() {
  auto tensors = all_types();
  tensors.insert("z \"quoted\" \\ \n \u00e9", values(1, {2, 3}).t());
  tensors.insert("", values(2, {4}).slice(0, 0, 4, 2));
  tensors.insert("scalar", values(3, {}));
  tensors.insert("empty", torch::zeros({3, 0}, at::kHalf));
  tensors.insert("expanded", values(4, {1}).expand({2, 2}));
  tensors.insert("parameter", values(5, {3}).requires_grad_());
  tensors.insert("negative", at::_neg_view(values(6, {3})));
  // Numbers that are none, each with its own bits.
  tensors.insert("nan", torch::arange(0x7F800001, 0x7F800009).to(at::kInt).view(at::kFloat));
  tensors.insert("a", values(7, {300, 2}, at::kByte));
  return tensors;
}

TEST_F(Exchange, ReadsBackWhatItWroteBitByBitAndInOrder) {
  io::write_pth(path("w.pth"), odd_tensors());
  expect_same(io::read_pth(path("w.pth")), odd_tensors());
  io::write_safetensors(path("w.safetensors"), odd_tensors());
  expect_same(io::read_safetensors(path("w.safetensors")), odd_tensors());
  io::write_pth(path("none.pth"), {});
  EXPECT_TRUE(io::read_pth(path("none.pth")).empty());
  io::write_safetensors(path("none.safetensors"), {});
  EXPECT_TRUE(io::read_safetensors(path("none.safetensors")).empty());
}

TEST_F(Exchange, WritesBelowAKey) {
  io::write_pth(path("w.pth"), {{"module.a", values(0, {2})}}, "state_dict");
  expect_same(io::read_pth(path("w.pth")), {{"state_dict.module.a", values(0, {2})}});
  expect_same(io::read_weights(path("w.pth")), {{"a", values(0, {2})}});
}

TEST_F(Exchange, KeepsModulePrefixUnlessAllNamesHaveIt) {
  const NamedTensors mixed{{"module.a", values(0, {2})}, {"b", values(1, {2})}};
  io::write_safetensors(path("w.safetensors"), mixed);
  expect_same(io::read_weights(path("w.safetensors")), mixed);
}

TEST_F(Exchange, ReadsTheModelOfACheckpoint) {
  const auto state = all_types();
  slotcon::save_checkpoint(path("run.ckpt"), {"{}", 3, state, torch::zeros({9}, at::kByte)});
  expect_same(io::read_weights(path("run.ckpt")), state);
}

TEST_F(Exchange, RefusesWhatTheFormatsDoNotHave) {
  const auto refusal = [&](const std::string& name, const torch::Tensor& tensor) {
    const auto text = error_text<c10::ValueError>([&] {
      io::write_pth(path("w.pth"), {{name, tensor}});
    });
    const auto other = error_text<c10::ValueError>([&] {
      io::write_safetensors(path("w.safetensors"), {{name, tensor}});
    });
    EXPECT_EQ(text.substr(std::string("write_pth").size()),
              other.substr(std::string("write_safetensors").size()));
    return text;
  };
  EXPECT_EQ(refusal("w", torch::zeros({1}, at::kComplexFloat)),
            "write_pth: 'w' has elements of type ComplexFloat, expected float16, 32 or 64, "
            "bfloat16, int8 to 64, uint8 or bool");
  EXPECT_EQ(refusal("w", torch::eye(2).to_sparse()),
            "write_pth: expected 'w' to be a dense tensor, got Sparse");
  EXPECT_EQ(refusal("w", {}), "write_pth: expected 'w' to be a dense tensor, got an undefined one");
  EXPECT_EQ(refusal("\xFF", torch::zeros({1})), "write_pth: expected names in UTF-8, got '\xFF'");
  EXPECT_EQ(error_text<c10::ValueError>([&] {
              io::write_safetensors(path("w"), {{"__metadata__", torch::zeros({1})}});
            }),
            "write_safetensors: expected names of tensors, got '__metadata__', which the format "
            "keeps for itself");
  EXPECT_TRUE(fs::is_empty(folder));
}

TEST_F(Exchange, LeavesTheOldFileWhenItCannotWriteTheNewOne) {
  const auto nowhere = path("no/folder/w.pth");
  EXPECT_EQ(error_text<std::runtime_error>([&] { io::write_pth(nowhere, {}); }),
            "write_pth: cannot write '" + nowhere + "': No such file or directory");
  fs::create_directories(folder / "taken.pth" / "by a folder");
  const auto text = error_text<std::runtime_error>([&] { io::write_pth(path("taken.pth"), {}); });
  EXPECT_EQ(text.rfind("write_pth: cannot write '" + path("taken.pth") + "': ", 0), 0U) << text;
  EXPECT_EQ(std::distance(fs::directory_iterator(folder), fs::directory_iterator()), 1);
}

TEST_F(Exchange, TakesNoMoreMemoryThanTheTensorsThatAreWanted) {
  const NamedTensors tensors{{"model.a", torch::ones({1000, 100})},
                             {"model.b", torch::ones({1000, 100})},
                             {"optimizer.a", torch::ones({1000, 1000})}};
  io::write_pth(path("w.pth"), tensors);
  const auto growth = slotcon::testing::memory_growth([&] { io::read_weights(path("w.pth")); });
  EXPECT_GE(growth.peak, 800'000);
  EXPECT_LE(growth.peak, 810'000);
}

// ---- Backbones ----------------------------------------------------------------------------------

TEST_F(Exchange, TheTeachersBackboneIsWhatIsBelowEncoderK) {
  const NamedTensors weights{{"center", values(0, {1})},
                             {"encoder_q.conv1.weight", values(1, {1})},
                             {"encoder_k.conv1.weight", values(2, {1})},
                             {"encoder_k.bn1.bias", values(3, {1})}};
  expect_same(io::teacher_backbone(weights),
              {{"conv1.weight", values(2, {1})}, {"bn1.bias", values(3, {1})}});
  EXPECT_EQ(error_text<c10::ValueError>([] {
              io::teacher_backbone({{"conv1.weight", {}}});
            }),
            "teacher_backbone: expected weights of SlotCon, found none named encoder_k.*");
}

TEST_F(Exchange, Detectron2HasOtherNames) {
  const std::vector<std::pair<std::string, std::string>> names{
      {"conv1.weight", "stem.conv1.weight"},
      {"bn1.num_batches_tracked", "stem.conv1.norm.num_batches_tracked"},
      {"layer1.0.downsample.0.weight", "res2.0.shortcut.weight"},
      {"layer1.0.downsample.1.bias", "res2.0.shortcut.norm.bias"},
      {"layer2.3.bn1.weight", "res3.3.conv1.norm.weight"},
      {"layer3.22.conv3.weight", "res4.22.conv3.weight"},
      {"layer4.2.bn3.running_var", "res5.2.conv3.norm.running_var"}};
  for (const auto& [ours, theirs] : names) EXPECT_EQ(io::detail::detectron2_name(ours), theirs);
  for (const auto* name : {"neck.0.weight", "fc.weight", "layer5.0.conv1.weight", "layer1", "",
                           "conv1.0.weight", "encoder_k.conv1.weight"}) {
    EXPECT_EQ(error_text<c10::ValueError>([&] {
                io::write_detectron2(path("w.pkl"), {{name, torch::zeros({1})}});
              }),
              "write_detectron2: expected the names of torchvision's ResNet, got '" +
                  std::string(name) + "'");
  }
  EXPECT_EQ(
      error_text<c10::ValueError>([&] {
        io::write_detectron2(path("w.pkl"), {{"bn1.bias", torch::zeros({1}, at::kBFloat16)}});
      }),
      "write_detectron2: 'bn1.bias' has elements of type BFloat16, which numpy does not have");
  EXPECT_TRUE(fs::is_empty(folder));
}

// ---- Python on the other side -------------------------------------------------------------------

/// The Python to test with: SLOTCON_TEST_PYTHON, or the one in the path.
std::string python() {
  const char* chosen = std::getenv("SLOTCON_TEST_PYTHON");
  return chosen != nullptr ? chosen : "python3";
}

/// Why Python cannot take part in a test that needs `modules`; empty if it can.
std::string missing_in_python(const std::string& modules) {
  const auto result = slotcon::testing::run_program(python() + " -c 'import " + modules + "'");
  return result.status == 0
             ? ""
             : python() + " has not all of " + modules + " (SLOTCON_TEST_PYTHON names another)";
}

/// Runs a script of this folder, which exits with an error if anything differs.
slotcon::testing::ProgramResult run_script(const std::string& script_and_arguments) {
  return slotcon::testing::run_program(python() + " " + SLOTCON_TEST_DATA + "/io/" +
                                       script_and_arguments);
}

TEST_F(Exchange, PythonWithoutPackagesReadsTheSameInBothFormats) {
  io::write_pth(path("w.pth"), odd_tensors());
  io::write_safetensors(path("w.safetensors"), odd_tensors());
  const auto result = run_script("plain_python.py " + folder.string());
  EXPECT_EQ(result.status, 0) << result.output;
}

TEST_F(Exchange, PythonReadsTheSameAndWritesItBack) {
  const auto reason = missing_in_python("torch, safetensors, numpy");
  if (!reason.empty()) GTEST_SKIP() << reason;
  io::write_pth(path("w.pth"), odd_tensors());
  io::write_pth(path("nested.pth"), odd_tensors(), "state_dict");
  io::write_safetensors(path("w.safetensors"), odd_tensors());
  const auto result = run_script("python_side.py round_trip " + folder.string());
  ASSERT_EQ(result.status, 0) << result.output;
  expect_same(io::read_pth(path("back.pth")), odd_tensors());
  const auto back = io::read_safetensors(path("back.safetensors"));
  EXPECT_EQ(back.size(), odd_tensors().size());
  for (const auto& [name, tensor] : odd_tensors()) EXPECT_TRUE(same(back.at(name), tensor)) << name;
}

TEST_F(Exchange, TorchvisionHasTheSameFeaturesFromOurBackbone) {
  const auto reason = missing_in_python("torch, torchvision, safetensors, numpy");
  if (!reason.empty()) GTEST_SKIP() << reason;
  torch::manual_seed(1);
  slotcon::ResNet network(slotcon::resnet50());
  const torch::NoGradGuard no_grad;
  for (auto& entry : network->named_parameters()) {
    if (entry.value().dim() == 1) entry.value().uniform_(-0.5, 1);
  }
  for (auto& entry : network->named_buffers()) {
    if (entry.value().is_floating_point()) entry.value().uniform_(0.1, 1);
  }
  network->eval();
  const auto images = torch::randn({2, 3, 64, 64});
  const auto backbone = slotcon::module_state(*network);
  io::write_pth(path("expected.pth"), {{"images", images}, {"features", network->forward(images)}});
  io::write_pth(path("torchvision.pth"), backbone);
  io::write_safetensors(path("torchvision.safetensors"), backbone);
  io::write_pth(path("mmsegmentation.pth"), backbone, "state_dict");
  io::write_detectron2(path("detectron2.pkl"), backbone);
  const auto result = run_script("python_side.py backbones " + folder.string());
  ASSERT_EQ(result.status, 0) << result.output;
  std::printf("%s", result.output.c_str());
  expect_same(io::read_weights(path("back.pth")), backbone);  // in torchvision's order
}

}  // namespace
