// What a program is told about the kernels it has, and has not.
#include <gtest/gtest.h>
#include <slotcon/kernel/aligned_assignment/dispatch.h>
#include <slotcon/kernel/cuda/linked.h>
#include <slotcon/kernel/semantic_grouping/dispatch.h>
#include <slotcon/kernel/slot_info_nce/dispatch.h>
#include <torch/types.h>

#include <string>
#include <vector>

namespace cuda = slotcon::kernel::cuda;

namespace {

/// Collects warnings for the life of the object.
class Warnings : public c10::WarningHandler {
 public:
  void process(const c10::Warning& warning) override { texts.push_back(warning.msg()); }

  std::vector<std::string> texts;

 private:
  c10::WarningUtils::WarningHandlerGuard guard_{this};
};

/// A program that does not link slotcon::cuda, for the life of the object.
class Unlinked {
 public:
  Unlinked() { cuda::registered_kernels = nullptr; }
  ~Unlinked() { cuda::registered_kernels = kernels_; }
  Unlinked(const Unlinked&) = delete;
  Unlinked& operator=(const Unlinked&) = delete;

 private:
  const cuda::Kernels* kernels_ = cuda::registered_kernels;
};

/// A tensor of a CUDA device without memory, which needs no such device.
torch::Tensor cuda_tensor(at::ScalarType type, at::IntArrayRef sizes = {2, 3, 4}) {
  auto implementation = c10::make_intrusive<c10::TensorImpl>(
      c10::DispatchKeySet(c10::DispatchKey::CUDA), c10::scalarTypeToTypeMeta(type),
      c10::Device(c10::DeviceType::CUDA, 0));
  implementation->set_sizes_contiguous(sizes);
  return torch::Tensor(implementation);
}

}  // namespace

TEST(CudaLinked, TheBackendRegistersItselfBeforeMain) { EXPECT_TRUE(cuda::kernels_linked()); }

TEST(CudaLinked, SaysOnceThatKernelsAreMissing) {
  Warnings warnings;
  cuda::warn_if_not_linked(torch::kCUDA);
  EXPECT_TRUE(warnings.texts.empty());
  const Unlinked unlinked;
  EXPECT_FALSE(cuda::kernels_linked());
  cuda::warn_if_not_linked(torch::kCPU);
  EXPECT_TRUE(warnings.texts.empty());
  cuda::warn_if_not_linked(torch::kCUDA);
  cuda::warn_if_not_linked(torch::kCUDA);
  ASSERT_EQ(warnings.texts.size(), 1u);
  EXPECT_EQ(
      warnings.texts[0],
      "slotcon: the losses run as plain ATen operations on CUDA tensors, as this program does "
      "not link slotcon::cuda, the CMake target with the fused kernels");
}

TEST(CudaLinked, KernelsAreChosenWhereTheyAre) {
  namespace kernel = slotcon::kernel;
  const auto grouping = [](at::ScalarType type, double temperature = 0.07) {
    return kernel::semantic_grouping::choose(cuda_tensor(type), temperature);
  };
  const auto contrast = [](at::ScalarType type, double temperature = 0.2) {
    return kernel::slot_info_nce::choose(cuda_tensor(type), cuda_tensor(type),
                                         cuda_tensor(torch::kLong), temperature);
  };
  const auto distillation = [](at::IntArrayRef sizes) {
    return kernel::aligned_assignment::choose(cuda_tensor(torch::kFloat, sizes));
  };
  for (const auto type : {torch::kFloat, torch::kHalf, torch::kBFloat16}) {
    EXPECT_TRUE(grouping(type).fused && contrast(type).fused) << type;
  }
  EXPECT_TRUE(distillation({2, 16384, 1024, 1024}).fused);
  EXPECT_EQ(grouping(torch::kDouble).why_not, "no kernel for Double on cuda");
  EXPECT_EQ(contrast(torch::kDouble).why_not, "no kernel for Double on cuda");
  EXPECT_EQ(grouping(torch::kFloat, 0.01).why_not,
            "the kernel needs temperature >= 0.025, got 0.01");
  EXPECT_EQ(contrast(torch::kFloat, 0.01).why_not,
            "the kernel needs temperature >= 0.025, got 0.01");
  const std::string limits = "the kernel needs at most 16384 prototypes and H + W <= 2048, got ";
  EXPECT_EQ(distillation({2, 16385, 7, 7}).why_not, limits + "[2, 16385, 7, 7]");
  EXPECT_EQ(distillation({2, 5, 2000, 49}).why_not, limits + "[2, 5, 2000, 49]");
  const Unlinked unlinked;
  const std::string not_linked = "this program does not link slotcon::cuda";
  EXPECT_EQ(grouping(torch::kFloat).why_not, not_linked);
  EXPECT_EQ(contrast(torch::kFloat).why_not, not_linked);
  EXPECT_EQ(distillation({2, 5, 7, 7}).why_not, not_linked);
}
