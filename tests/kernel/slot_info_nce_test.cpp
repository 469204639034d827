#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>
#include <slotcon/loss/slot_info_nce.h>
#include <torch/csrc/autograd/autograd.h>

#include <string>
#include <vector>

#include "tests/kernel/fused.h"
#include "tests/support/error_text.h"
#include "tests/support/gradcheck.h"
#include "tests/support/peak_memory.h"
#include "tests/support/tolerance.h"

using slotcon::Backend;
using slotcon::SlotInfoNCEOptions;
using slotcon::functional::info_nce;
using slotcon::kernel::slot_info_nce::choose;
using slotcon::testing::as_accurate;
using slotcon::testing::close;
using slotcon::testing::floats;
using slotcon::testing::Forced;
using slotcon::testing::instruction_sets;
using slotcon::testing::memory_growth;
using slotcon::testing::Threads;
using torch::autograd::grad;

namespace {

/// One problem, and what a backend makes of it.
struct Problem {
  torch::Tensor queries, keys, positive;
  double temperature = 0.2;
};

struct Result {
  torch::Tensor loss, by_queries, by_keys;
};

/// Queries near their positives, as trained ones are, at least where `correlated`.
Problem problem(std::int64_t n, std::int64_t m, std::int64_t dim, bool correlated = true) {
  const auto keys = floats({m, dim}, 2);
  const auto positive =
      at::randint(m, {n}, at::make_generator<at::CPUGeneratorImpl>(3), torch::kLong);
  const auto near = keys.index_select(0, positive);
  return {correlated ? near + floats({n, dim}, 1) : floats({n, dim}, 1), keys, positive};
}

Result run(const Problem& problem, Backend backend, at::ScalarType type = torch::kFloat,
           bool keys_too = true) {
  const auto queries = problem.queries.to(type).clone().requires_grad_();
  const auto keys = problem.keys.to(type).clone().requires_grad_(keys_too);
  const auto loss =
      info_nce(queries, keys, problem.positive,
               SlotInfoNCEOptions().temperature(problem.temperature).backend(backend));
  (3 * loss).backward();
  return {loss.detach(), queries.grad(), keys.grad()};
}

SlotInfoNCEOptions fused_options() { return SlotInfoNCEOptions().backend(Backend::kFused); }

void expect_accurate(const Problem& problem) {
  const auto exact = run(problem, Backend::kReference, torch::kDouble);
  const auto reference = run(problem, Backend::kReference);
  const auto fused = run(problem, Backend::kFused);
  // A gradient is a difference of unit rows, times 6 / n, over the length of the row that it is of.
  const auto largest_term = [&](const torch::Tensor& rows) {
    const auto shortest = at::linalg_vector_norm(rows, 2, {1}).min().item<double>();
    return 6 / static_cast<double>(problem.queries.size(0)) / shortest;
  };
  EXPECT_TRUE(
      as_accurate(fused.loss, reference.loss, exact.loss, 2, 1 + exact.loss.item<double>()));
  EXPECT_TRUE(as_accurate(fused.by_queries, reference.by_queries, exact.by_queries, 3,
                          largest_term(problem.queries)));
  EXPECT_TRUE(
      as_accurate(fused.by_keys, reference.by_keys, exact.by_keys, 3, largest_term(problem.keys)));
}

}  // namespace

TEST(FusedSlotInfoNCE, IsAsAccurateAsTheReferenceAtAnySize) {
  const std::vector<std::vector<std::int64_t>> sizes{
      {1, 1, 1},      {1, 2, 1},      {2, 1, 3},     {1, 7, 5},     {6, 6, 6},     {7, 15, 17},
      {15, 17, 8},    {31, 14, 33},   {32, 28, 64},  {33, 29, 65},  {49, 112, 50}, {65, 113, 127},
      {64, 129, 256}, {257, 300, 77}, {513, 97, 31}, {3, 4096, 64}, {4096, 3, 64}, {40, 50, 1024}};
  for (const auto& size : sizes) {
    SCOPED_TRACE(::testing::PrintToString(size));
    expect_accurate(problem(size[0], size[1], size[2]));
  }
}

TEST(FusedSlotInfoNCE, IsAsAccurateAsTheReferenceAtAnyTemperature) {
  for (const double temperature : {0.025, 0.05, 0.07, 0.2, 1.0, 10.0}) {
    for (const bool correlated : {true, false}) {
      SCOPED_TRACE(temperature);
      auto case_ = problem(70, 90, 40, correlated);
      case_.temperature = temperature;
      expect_accurate(case_);
    }
  }
}

TEST(FusedSlotInfoNCE, EveryInstructionSetIsAsAccurate) {
  for (const auto set : instruction_sets()) {
    const Forced forced(set);
    for (const auto& size : std::vector<std::vector<std::int64_t>>{
             {1, 1, 1}, {33, 29, 65}, {65, 113, 127}, {257, 121, 40}, {40, 250, 16}}) {
      SCOPED_TRACE(::testing::PrintToString(size));
      expect_accurate(problem(size[0], size[1], size[2]));
    }
  }
}

TEST(FusedSlotInfoNCE, EqualRowsAndZeroRowsStayFinite) {
  auto same = problem(40, 60, 8);
  same.keys.copy_(same.keys[0].expand({60, 8}));
  expect_accurate(same);
  auto zeros = problem(3, 5, 8);
  zeros.queries[1].zero_();
  zeros.keys[4].zero_();
  const auto fused = run(zeros, Backend::kFused);
  const auto reference = run(zeros, Backend::kReference);
  EXPECT_TRUE(close(fused.loss, reference.loss));
  EXPECT_TRUE(close(fused.by_queries, reference.by_queries));
  EXPECT_TRUE(close(fused.by_keys, reference.by_keys));
}

TEST(FusedSlotInfoNCE, ReadsAnyMemoryLayout) {
  const auto plain = problem(33, 47, 20);
  auto strided = plain;
  strided.queries = plain.queries.t().contiguous().t();
  strided.keys = at::cat({plain.keys, plain.keys}, 1).slice(1, 0, 20);
  strided.positive = at::stack({plain.positive, plain.positive}, 1).select(1, 0);
  EXPECT_TRUE(close(run(strided, Backend::kFused).loss, run(plain, Backend::kFused).loss));
  expect_accurate(strided);
}

TEST(FusedSlotInfoNCE, KeysAndQueriesTakeAGradientOrNot) {
  const auto some = problem(33, 47, 20);
  const auto both = run(some, Backend::kFused);
  const auto queries_only = run(some, Backend::kFused, torch::kFloat, /*keys_too=*/false);
  EXPECT_TRUE(at::equal(queries_only.by_queries, both.by_queries));
  EXPECT_FALSE(queries_only.by_keys.defined());

  const auto keys = some.keys.clone().requires_grad_();
  const auto loss = info_nce(some.queries, keys, some.positive, fused_options());
  EXPECT_TRUE(at::equal(grad({3 * loss}, {keys})[0], both.by_keys));
  const torch::NoGradGuard no_grad;
  const auto value = info_nce(some.queries, keys, some.positive, fused_options());
  EXPECT_TRUE(at::equal(value, both.loss));
  EXPECT_FALSE(value.requires_grad());
}

TEST(FusedSlotInfoNCE, ResultDoesNotDependOnTheRunOrTheThreads) {
  const auto some = problem(700, 300, 33);
  const auto first = run(some, Backend::kFused);
  for (const int count : {1, 2, 3}) {
    const Threads threads(count);
    const auto again = run(some, Backend::kFused);
    EXPECT_TRUE(at::equal(again.loss, first.loss)) << count;
    EXPECT_TRUE(at::equal(again.by_queries, first.by_queries)) << count;
    EXPECT_TRUE(at::equal(again.by_keys, first.by_keys)) << count;
  }
}

TEST(FusedSlotInfoNCE, HalfTypesAreComputedInFloat32) {
  const auto some = problem(33, 47, 20);
  for (const auto type : {torch::kHalf, torch::kBFloat16}) {
    auto half = some;
    half.queries = some.queries.to(type).to(torch::kFloat);
    half.keys = some.keys.to(type).to(torch::kFloat);
    const auto expected = run(half, Backend::kFused);
    const auto result = run(half, Backend::kFused, type);
    EXPECT_TRUE(at::equal(result.loss, expected.loss)) << type;
    EXPECT_TRUE(close(result.by_queries, expected.by_queries)) << type;
    EXPECT_TRUE(close(result.by_keys, expected.by_keys)) << type;
  }
}

TEST(FusedSlotInfoNCE, OneKeyCostsExactlyNothing) {
  for (const double temperature : {0.025, 0.2}) {
    auto some = problem(50, 1, 7, /*correlated=*/false);
    some.temperature = temperature;
    const auto result = run(some, Backend::kFused);
    EXPECT_EQ(result.loss.item<float>(), 0);
    EXPECT_LT(result.by_queries.abs().max().item<float>(), 1e-6);
  }
}

TEST(FusedSlotInfoNCE, NoQueryIsZeroWithAValidGraph) {
  const auto queries = torch::zeros({0, 4}).requires_grad_();
  const auto loss =
      info_nce(queries, torch::ones({5, 4}), torch::zeros({0}, torch::kLong), fused_options());
  loss.backward();
  EXPECT_EQ(loss.item<double>(), 0);
  EXPECT_EQ(queries.grad().sizes(), queries.sizes());
}

// ---- Memory ----

TEST(FusedSlotInfoNCE, NeedsTheGradientsAndAFewNumbersARow) {
  constexpr std::int64_t kQueries = 300, kKeys = 1000, kDim = 64;
  const auto some = problem(kQueries, kKeys, kDim);
  const auto queries = some.queries.clone().requires_grad_();
  const auto keys = some.keys.clone().requires_grad_();
  const auto info_nce_by = [&](const torch::Tensor& by_keys) {
    return info_nce(queries, by_keys, some.positive, fused_options());
  };
  const std::int64_t of_rows = 32 * (kQueries + kKeys);
  const auto bytes = [](const torch::Tensor& tensor) {
    return static_cast<std::int64_t>(tensor.nbytes());
  };

  // The gradient by the queries is computed with the loss and scaled into another tensor.
  const auto by_queries = memory_growth([&] { grad({info_nce_by(some.keys)}, {queries}); });
  EXPECT_LE(by_queries.peak, 2 * bytes(queries) + of_rows);
  const auto by_both = memory_growth([&] { grad({info_nce_by(keys)}, {queries, keys}); });
  EXPECT_LE(by_both.peak, 2 * bytes(queries) + bytes(keys) + of_rows);
  const torch::NoGradGuard no_grad;
  EXPECT_LE(memory_growth([&] { info_nce_by(keys); }).peak, of_rows);
}

TEST(FusedSlotInfoNCE, HoldsNoMemoryAfterTheBackwardPass) {
  const auto some = problem(30, 50, 16);
  const auto queries = some.queries.clone().requires_grad_();
  const auto keys = some.keys.clone().requires_grad_();
  torch::Tensor loss;
  const auto growth = memory_growth([&] {
    loss = info_nce(queries, keys, some.positive, fused_options());
    grad({loss}, {queries, keys});
  });
  EXPECT_EQ(growth.kept, static_cast<std::int64_t>(loss.nbytes()));
}

// ---- What it refuses ----

TEST(FusedSlotInfoNCE, SecondDerivativeByAnythingNamesTheReference) {
  const auto some = problem(3, 5, 4);
  const auto queries = some.queries.clone().requires_grad_();
  const auto keys = some.keys.clone().requires_grad_();
  const auto incoming = torch::ones({}).requires_grad_();
  const auto loss = info_nce(queries, keys, some.positive, fused_options());
  for (const auto& first : {queries, keys}) {
    const auto gradient =
        grad({loss}, {first}, {incoming}, /*retain_graph=*/true, /*create_graph=*/true)[0];
    for (const auto& second : {queries, keys, incoming}) {
      EXPECT_EQ(error_text<c10::NotImplementedError>(
                    [&] { grad({gradient.square().sum()}, {second}, {}, /*retain_graph=*/true); }),
                "info_nce: double backward needs Backend::kReference");
    }
  }
}

TEST(FusedSlotInfoNCE, PositiveThatIsNoKeyIsAnError) {
  for (const std::int64_t positive : {5, -1}) {
    EXPECT_EQ(error_text<c10::IndexError>([&] {
                info_nce(torch::ones({2, 4}), torch::ones({5, 4}), torch::tensor({0l, positive}),
                         fused_options());
              }),
              "info_nce: expected positive in [0, 5), got " + std::to_string(positive));
  }
}

TEST(ChooseSlotInfoNCE, TakesFloat32OnTheCpuAtBoundedLogits) {
  const auto rows = torch::zeros({2, 4}), keys = torch::zeros({5, 4});
  const auto positive = torch::zeros({2}, torch::kLong);
  const auto why_not = [](const slotcon::Choice& choice) {
    EXPECT_EQ(choice.fused, choice.why_not.empty());
    return choice.why_not;
  };
  EXPECT_EQ(why_not(choose(rows, keys, positive, 0.2)), "");
  EXPECT_EQ(why_not(choose(rows, keys, positive, 0.025)), "");
  EXPECT_EQ(why_not(choose(rows.to(torch::kHalf), keys, positive, 0.2)), "");
  EXPECT_EQ(why_not(choose(rows.to(torch::kBFloat16), keys, positive, 0.2)), "");
  EXPECT_EQ(why_not(choose(rows.to(torch::kDouble), keys, positive, 0.2)),
            "no kernel for Double on cpu");
  EXPECT_EQ(why_not(choose(rows.to(torch::kMeta), keys, positive, 0.2)),
            "no kernel for Float on meta");
  EXPECT_EQ(why_not(choose(rows, keys.to(torch::kMeta), positive, 0.2)),
            "no kernel for Float on meta");
  EXPECT_EQ(why_not(choose(rows, keys, positive.to(torch::kInt), 0.2)),
            "the kernel needs positives of Long, got Int");
  EXPECT_EQ(why_not(choose(rows, keys, positive, 0.024)),
            "the kernel needs temperature >= 0.025, got 0.024");
}

TEST(ChooseSlotInfoNCE, AutoFallsBackAndFusedSaysWhyNot) {
  const auto by = [](Backend backend) {
    const auto some = problem(3, 5, 4);
    return info_nce(some.queries, some.keys, some.positive,
                    SlotInfoNCEOptions().temperature(0.01).backend(backend));
  };
  EXPECT_TRUE(at::equal(by(Backend::kAuto), by(Backend::kReference)));
  EXPECT_EQ(
      error_text<c10::NotImplementedError>([&] { by(Backend::kFused); }),
      "info_nce: Backend::kFused is unavailable: the kernel needs temperature >= 0.025, got 0.01");
}
