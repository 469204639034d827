#include <gtest/gtest.h>
#include <slotcon/kernel/once_differentiable.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/types.h>

#include <vector>

#include "tests/support/error_text.h"
#include "tests/support/peak_memory.h"

using slotcon::kernel::once_differentiable;
using torch::autograd::AutogradContext;
using torch::autograd::grad;
using torch::autograd::variable_list;

namespace {

/// a b + a c, of which only the gradients by a and c are known.
class Kernel : public torch::autograd::Function<Kernel> {
 public:
  static torch::Tensor forward(AutogradContext* context, const torch::Tensor& a,
                               const torch::Tensor& b, const torch::Tensor& c) {
    context->save_for_backward({a, b, c});
    return a * (b + c);
  }
  static variable_list backward(AutogradContext* context, const variable_list& incoming) {
    const auto saved = context->get_saved_variables();
    return once_differentiable("kernel", {saved[0], saved[1], saved[2], incoming[0], {}}, [&] {
      EXPECT_FALSE(at::GradMode::is_enabled());
      return variable_list{incoming[0] * (saved[1] + saved[2]), {}, incoming[0] * saved[0]};
    });
  }
};

torch::Tensor leaf(double value) { return torch::full({3}, value).requires_grad_(); }

/// The arguments of a call, a gradient that comes in, and what comes of them.
struct Call {
  torch::Tensor a = leaf(2), b = leaf(3), c = leaf(5), incoming = leaf(7);
  torch::Tensor result = Kernel::apply(a, b, c);

  variable_list gradients(bool create_graph) const {
    return grad({result}, {a, b, c}, {incoming}, /*retain_graph=*/true, create_graph,
                /*allow_unused=*/true);
  }
};

}  // namespace

TEST(OnceDifferentiable, GivesTheGradientsAsTheyAre) {
  for (const bool create_graph : {false, true}) {
    const auto gradients = Call().gradients(create_graph);
    EXPECT_TRUE(at::equal(gradients[0], torch::full({3}, 7.0 * (3 + 5))));
    EXPECT_FALSE(gradients[1].defined());
    EXPECT_TRUE(at::equal(gradients[2], torch::full({3}, 7.0 * 2)));
  }
}

TEST(OnceDifferentiable, DerivativeByAnyInputNamesTheReference) {
  const Call call;
  const auto gradients = call.gradients(/*create_graph=*/true);
  for (const auto& gradient : {gradients[0], gradients[2]}) {
    for (const auto& input : {call.a, call.b, call.c, call.incoming}) {
      EXPECT_EQ(error_text<c10::NotImplementedError>(
                    [&] { grad({gradient.sum()}, {input}, {}, /*retain_graph=*/true); }),
                "kernel: double backward needs Backend::kReference");
    }
  }
}

TEST(OnceDifferentiable, KeepsNoGraphUnlessOneIsAskedFor) {
  for (const auto& gradient : Call().gradients(/*create_graph=*/false)) {
    EXPECT_FALSE(gradient.defined() && gradient.requires_grad());
  }
}

TEST(OnceDifferentiable, InputsWithoutGradientMakeNoNode) {
  const auto constant = torch::ones({3});
  const auto gradients =
      once_differentiable("kernel", {constant, {}}, [&] { return variable_list{constant * 2}; });
  EXPECT_TRUE(at::equal(gradients[0], constant * 2));
  EXPECT_FALSE(gradients[0].requires_grad());
}

TEST(OnceDifferentiable, NothingComputedIsNothing) {
  const auto gradients = once_differentiable("kernel", {leaf(1)}, [] { return variable_list(2); });
  ASSERT_EQ(gradients.size(), 2u);
  EXPECT_FALSE(gradients[0].defined() || gradients[1].defined());
}

TEST(OnceDifferentiable, HoldsNoMemoryButThatOfTheGradients) {
  constexpr std::int64_t kCount = 1000, kBytes = 4 * kCount;
  const auto input = torch::ones({kCount}).requires_grad_();
  variable_list gradients;
  const auto growth = slotcon::testing::memory_growth([&] {
    const auto table = torch::ones({4, kCount});
    gradients = once_differentiable("kernel", {input}, [&] { return variable_list{table.sum(0)}; });
  });
  EXPECT_TRUE(gradients[0].requires_grad());
  EXPECT_EQ(growth.kept, kBytes);
  EXPECT_GE(growth.peak, 5 * kBytes);
}
