#include <gtest/gtest.h>
#include <slotcon/train/lars.h>

#include <cmath>
#include <sstream>
#include <string>

namespace {

using slotcon::Lars;
using slotcon::LarsOptions;

torch::Tensor parameter(const torch::Tensor& value, const torch::Tensor& gradient) {
  auto p = value.clone().requires_grad_();
  p.mutable_grad() = gradient.clone();
  return p;
}

TEST(Lars, ScalesAMatrixStepToItsNorm) {
  // |p| = 5, |g + 0.1 p| = |(0.3, 0.4)| = 0.5: trust 0.001 * 5 / 0.5 = 0.01, step 2 * 0.01 * (0.3,
  // 0.4).
  const auto p =
      parameter(torch::tensor({{3.0, 4.0}}, torch::kDouble), torch::zeros({1, 2}, torch::kDouble));
  Lars optimizer({p}, LarsOptions(2).weight_decay(0.1));
  optimizer.step();
  EXPECT_NEAR(p[0][0].item<double>(), 3 - 2 * 0.01 * 0.3, 1e-12);
  EXPECT_NEAR(p[0][1].item<double>(), 4 - 2 * 0.01 * 0.4, 1e-12);
}

TEST(Lars, StepDoesNotDependOnTheSizeOfAMatrixGradient) {
  const auto value = torch::randn({4, 3}, torch::kDouble);
  const auto gradient = torch::randn({4, 3}, torch::kDouble);
  const auto small = parameter(value, gradient);
  const auto large = parameter(value, 1000 * gradient);
  Lars({small}, LarsOptions(1)).step();
  Lars({large}, LarsOptions(1)).step();
  EXPECT_TRUE(torch::allclose(small, large, 1e-12, 1e-12));
}

TEST(Lars, GivesVectorsPlainMomentumWithoutDecay) {
  const auto p = parameter(torch::tensor({10.0, -10.0}), torch::tensor({1.0, 2.0}));
  Lars optimizer({p}, LarsOptions(0.5).momentum(0.9).weight_decay(100));
  optimizer.step();
  optimizer.step();  // buffer: g, then 1.9 g
  EXPECT_NEAR(p[0].item<double>(), 10 - 0.5 * (1 + 1.9) * 1, 1e-5);
  EXPECT_NEAR(p[1].item<double>(), -10 - 0.5 * (1 + 1.9) * 2, 1e-5);
}

TEST(Lars, TakesThePlainGradientWhereANormIsZero) {
  const auto zero = parameter(torch::zeros({1, 2}), torch::tensor({{1.0F, 2.0F}}));
  const auto flat = parameter(torch::ones({1, 2}), torch::zeros({1, 2}));
  Lars optimizer({zero, flat}, LarsOptions(1));
  optimizer.step();
  EXPECT_TRUE(torch::equal(zero.detach(), torch::tensor({{-1.0F, -2.0F}})));
  EXPECT_TRUE(torch::equal(flat.detach(), torch::ones({1, 2})));
}

TEST(Lars, LeavesParametersWithoutGradientAlone) {
  auto p = torch::ones({2, 2}).requires_grad_();
  Lars optimizer({p}, LarsOptions(1).weight_decay(1));
  optimizer.step();
  EXPECT_TRUE(torch::equal(p.detach(), torch::ones({2, 2})));
  EXPECT_TRUE(optimizer.state().empty());
}

TEST(Lars, GoesOnExactlyFromItsSavedState) {
  const auto gradient = torch::randn({3, 3});
  const auto p = parameter(torch::randn({3, 3}), gradient);
  Lars optimizer({p}, LarsOptions(0.3).momentum(0.8).weight_decay(0.01).eta(0.02));
  optimizer.step();
  std::stringstream file;
  torch::serialize::OutputArchive out;
  optimizer.save(out);
  out.save_to(file);

  const auto other = parameter(p.detach(), gradient);
  Lars restored({other}, LarsOptions(99));
  torch::serialize::InputArchive in;
  in.load_from(file);
  restored.load(in);
  const auto& options = static_cast<const LarsOptions&>(restored.param_groups()[0].options());
  EXPECT_EQ(options.get_lr(), 0.3);
  EXPECT_EQ(options.momentum(), 0.8);
  EXPECT_EQ(options.weight_decay(), 0.01);
  EXPECT_EQ(options.eta(), 0.02);
  optimizer.step();
  restored.step();
  EXPECT_TRUE(torch::equal(p, other));
}

TEST(Lars, RejectsNumbersOutOfRange) {
  try {
    Lars({torch::ones({2})}, LarsOptions(0.1).momentum(-1));
    FAIL() << "no error";
  } catch (const c10::ValueError& error) {
    EXPECT_STREQ(
        error.what_without_backtrace(),
        "Lars: expected lr, momentum, weight_decay >= 0 and eta > 0, got 0.1, -1, 0 and 0.001");
  }
}

}  // namespace
