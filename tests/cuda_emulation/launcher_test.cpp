// The host side of the CUDA kernels.
#include <gtest/gtest.h>
#include <slotcon/kernel/cuda/launcher.h>
#include <torch/types.h>

#include "tests/support/error_text.h"
#include "tests/support/gradcheck.h"

namespace cuda = slotcon::kernel::cuda;
using slotcon::testing::noise;

TEST(CudaLauncher, PassesOnWhatCudaSays) {
  const cuda::Launcher launch(torch::zeros({1}), "who");
  using Launch = cuda::Error (*)(const int&, cuda::Stream);
  const Launch works = [](const int&, cuda::Stream) -> cuda::Error { return nullptr; };
  const Launch refuses = [](const int&, cuda::Stream) { return "out of resources"; };
  EXPECT_NO_THROW(launch(works, 1));
  EXPECT_EQ(error_text<c10::Error>([&] { launch(refuses, 1); }),
            "who: a CUDA kernel could not be launched: out of resources");
}

TEST(CudaLauncher, NamesTheTypesThatKernelsKnow) {
  EXPECT_EQ(cuda::scalar_of(torch::zeros({1})), cuda::Scalar::kFloat32);
  EXPECT_EQ(cuda::scalar_of(torch::zeros({1}, torch::kBFloat16)), cuda::Scalar::kBFloat16);
  EXPECT_EQ(cuda::scalar_of(torch::zeros({1}, torch::kHalf)), cuda::Scalar::kFloat16);
}

TEST(CudaLauncher, ProductsOfHalfTypesAreRoundedOnceAtMost) {
  for (const auto type : {torch::kBFloat16, torch::kHalf}) {
    const auto a = noise({2, 5, 300}, 1).to(type), b = noise({2, 300, 4}, 2).to(type);
    const auto exact = at::matmul(a.to(torch::kDouble), b.to(torch::kDouble));
    const auto full = cuda::product(a, b, torch::kFloat), half = cuda::product(a, b, type);
    EXPECT_TRUE(at::allclose(full.to(torch::kDouble), exact, 0, 1e-4)) << type;
    EXPECT_TRUE(at::equal(half, full.to(type))) << type;
    const auto one = cuda::product(a[0], b[0], torch::kFloat);
    EXPECT_TRUE(at::allclose(one, full[0])) << type;
  }
}
