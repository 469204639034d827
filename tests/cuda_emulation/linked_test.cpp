// What a program is told about the kernels it has, and has not.
#include <gtest/gtest.h>
#include <slotcon/kernel/cuda/linked.h>
#include <slotcon/kernel/semantic_grouping/dispatch.h>
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
torch::Tensor cuda_tensor(at::ScalarType type) {
  return torch::Tensor(c10::make_intrusive<c10::TensorImpl>(
      c10::DispatchKeySet(c10::DispatchKey::CUDA), c10::scalarTypeToTypeMeta(type),
      c10::Device(c10::DeviceType::CUDA, 0)));
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
  using slotcon::kernel::semantic_grouping::choose;
  for (const auto type : {torch::kFloat, torch::kHalf, torch::kBFloat16}) {
    EXPECT_TRUE(choose(cuda_tensor(type), 0.07).fused) << type;
  }
  EXPECT_EQ(choose(cuda_tensor(torch::kDouble), 0.07).why_not, "no kernel for Double on cuda");
  EXPECT_EQ(choose(cuda_tensor(torch::kFloat), 0.01).why_not,
            "the kernel needs temperature >= 0.025, got 0.01");
  const Unlinked unlinked;
  EXPECT_EQ(choose(cuda_tensor(torch::kFloat), 0.07).why_not,
            "this program does not link slotcon::cuda");
}
