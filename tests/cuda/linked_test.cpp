// A program that links slotcon::cuda.
#include <gtest/gtest.h>
#include <slotcon/kernel/cuda/linked.h>

namespace cuda = slotcon::kernel::cuda;

TEST(Cuda, KernelsAreLinked) { EXPECT_TRUE(cuda::kernels_linked()); }
