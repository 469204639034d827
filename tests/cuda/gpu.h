// What the tests that need a GPU share.
#pragma once

#include <ATen/Context.h>
#include <gtest/gtest.h>

namespace slotcon::testing {

class GpuTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!at::hasCUDA()) GTEST_SKIP() << "no GPU, or a LibTorch without CUDA";
  }
};

}  // namespace slotcon::testing
