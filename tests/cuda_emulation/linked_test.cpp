// What a program is told about the kernels it has, and has not.
#include <gtest/gtest.h>
#include <slotcon/kernel/cuda/linked.h>
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
