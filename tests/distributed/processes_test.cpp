// Processes that find each other, exchange, and end when one of them is lost.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <slotcon/train/distributed.h>
#include <sys/socket.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/linear.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "tests/distributed/ranks.h"
#include "tests/support/error_text.h"
#include "tests/support/noise.h"
#include "tests/support/run_program.h"
#include "tests/support/tolerance.h"

using slotcon::GradientAverage;
using slotcon::GradientAverageOptions;
using slotcon::process_environment;
using slotcon::ProcessEnvironment;
using slotcon::ProcessGroupOptions;
using slotcon::testing::close;
using slotcon::testing::group;
using slotcon::testing::mean_over_processes;
using slotcon::testing::noise;
using slotcon::testing::program;
using slotcon::testing::run_program;
using slotcon::testing::run_ranks;

namespace {

/// A port that nobody listens at.
int free_port() {
  const int listener = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  bind(listener, reinterpret_cast<sockaddr*>(&address), size);
  getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size);
  close(listener);
  return ntohs(address.sin_port);
}

/// Starts this program as some of `size` processes, as a person would, to play `part`.
std::string play(const std::string& part, int size, const std::vector<int>& ranks, int port) {
  auto command = "{ export SLOTCON_PART=" + part +
                 " MASTER_ADDR=127.0.0.1 MASTER_PORT=" + std::to_string(port) +
                 " WORLD_SIZE=" + std::to_string(size) + "; ";
  for (const int rank : ranks) command += "RANK=" + std::to_string(rank) + " " + program() + " & ";
  return run_program(command + "wait; }").output;
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

std::string at_port(int port) { return "127.0.0.1:" + std::to_string(port); }

/// Sets environment variables for the life of the object, and takes WORLD_SIZE's others away.
class Environment {
 public:
  explicit Environment(const std::vector<std::pair<std::string, std::string>>& variables) {
    for (const auto* name : kNames) unsetenv(name);
    for (const auto& [name, value] : variables) setenv(name.c_str(), value.c_str(), 1);
  }
  ~Environment() {
    for (const auto* name : kNames) unsetenv(name);
  }

 private:
  static constexpr const char* kNames[] = {"WORLD_SIZE",
                                           "RANK",
                                           "LOCAL_RANK",
                                           "MASTER_ADDR",
                                           "MASTER_PORT",
                                           "TORCHELASTIC_USE_AGENT_STORE",
                                           "TORCHELASTIC_RESTART_COUNT"};
};

}  // namespace

// ---- A process' place ----

TEST(ProcessEnvironment, OfOneProcessIsNothing) {
  const Environment none({});
  EXPECT_FALSE(process_environment().has_value());
  EXPECT_EQ(slotcon::join_processes(), nullptr);
  const Environment alone(
      {{"WORLD_SIZE", "1"}, {"RANK", "0"}, {"MASTER_ADDR", "127.0.0.1"}, {"MASTER_PORT", "1"}});
  EXPECT_TRUE(process_environment().has_value());
  EXPECT_EQ(slotcon::join_processes(), nullptr);
}

TEST(ProcessEnvironment, IsReadAsTorchrunSetsIt) {
  const Environment set({{"WORLD_SIZE", "6"},
                         {"RANK", "5"},
                         {"LOCAL_RANK", "1"},
                         {"MASTER_ADDR", "node0"},
                         {"MASTER_PORT", "29500"},
                         {"TORCHELASTIC_USE_AGENT_STORE", "True"},
                         {"TORCHELASTIC_RESTART_COUNT", "2"}});
  const auto place = process_environment().value();
  EXPECT_EQ(place.size, 6);
  EXPECT_EQ(place.rank, 5);
  EXPECT_EQ(place.local_rank, 1);
  EXPECT_EQ(place.address, "node0");
  EXPECT_EQ(place.port, 29500);
  EXPECT_TRUE(place.is_hosted);
  EXPECT_EQ(place.restarts, 2);
  EXPECT_EQ(slotcon::environment_of(place),
            (std::vector<std::string>{"RANK=5", "WORLD_SIZE=6", "LOCAL_RANK=1", "MASTER_ADDR=node0",
                                      "MASTER_PORT=29500", "TORCHELASTIC_USE_AGENT_STORE=True",
                                      "TORCHELASTIC_RESTART_COUNT=2"}));
}

TEST(ProcessEnvironment, HasDefaultsForWhatOthersThanTorchrunLeaveOut) {
  const Environment set(
      {{"WORLD_SIZE", "2"}, {"RANK", "1"}, {"MASTER_ADDR", "127.0.0.1"}, {"MASTER_PORT", "29500"}});
  const auto place = process_environment().value();
  EXPECT_EQ(place.local_rank, 1);
  EXPECT_FALSE(place.is_hosted);
  EXPECT_EQ(place.restarts, 0);
}

TEST(ProcessEnvironment, SaysWhatIsMissingOrMakesNoSense) {
  const auto says = [](const std::vector<std::pair<std::string, std::string>>& variables) {
    const Environment set(variables);
    return error_text<std::invalid_argument>([] { process_environment(); });
  };
  EXPECT_EQ(says({{"WORLD_SIZE", "2"}}),
            "process_environment: expected RANK in 0 ... 1 beside WORLD_SIZE, which is not set");
  EXPECT_EQ(says({{"WORLD_SIZE", "two"}}),
            "process_environment: expected WORLD_SIZE in 1 ... 2147483647, got 'two'");
  EXPECT_EQ(says({{"WORLD_SIZE", "2"}, {"RANK", "2"}}),
            "process_environment: expected RANK in 0 ... 1, got '2'");
  EXPECT_EQ(says({{"WORLD_SIZE", "2"}, {"RANK", "1"}, {"MASTER_PORT", "70000"}}),
            "process_environment: expected MASTER_PORT in 1 ... 65535, got '70000'");
  EXPECT_EQ(says({{"WORLD_SIZE", "2"}, {"RANK", "1"}, {"MASTER_PORT", "7000"}}),
            "process_environment: expected MASTER_ADDR beside WORLD_SIZE, which is not set");
}

// ---- What they do together ----

class Processes : public ::testing::TestWithParam<int> {};

TEST_P(Processes, PassTheTestsOfEachRank) { run_ranks(GetParam()); }

INSTANTIATE_TEST_SUITE_P(Several, Processes, ::testing::Values(2, 3, 4));

TEST(Rank, OperationsAddUpAndGather) {
  const auto rank = group()->rank(), size = group()->size();
  const auto value = torch::full({2, 3}, static_cast<double>(rank + 1)).t();
  const auto sum = group()->all_reduce_sum(value);
  EXPECT_TRUE(at::equal(sum, torch::full({3, 2}, static_cast<double>(size * (size + 1) / 2))));
  EXPECT_TRUE(at::equal(value, torch::full({3, 2}, static_cast<double>(rank + 1))));
  for (const auto type : {torch::kInt, torch::kLong, torch::kBFloat16, torch::kDouble}) {
    for (const std::int64_t count : {0, 1, 8192, 8193, 40000}) {  // gathered or, if long, reduced
      const auto own = torch::full({count}, rank + 1, type);
      const auto total = torch::full({count}, size * (size + 1) / 2, type);
      const auto added = group()->all_reduce_sum(own);
      EXPECT_EQ(added.scalar_type(), type);
      EXPECT_TRUE(at::equal(added, total)) << type << " " << count;
    }
  }

  for (const auto type : {torch::kFloat, torch::kBFloat16, torch::kBool, torch::kLong}) {
    const auto gathered = group()->all_gather_rows(torch::full({rank, 2}, rank).to(type));
    ASSERT_EQ(gathered.size(), static_cast<std::size_t>(size));
    for (std::int64_t r = 0; r < size; ++r) {
      EXPECT_TRUE(
          at::equal(gathered[static_cast<std::size_t>(r)], torch::full({r, 2}, r).to(type)));
    }
  }
}

TEST(Rank, OperationsThatWereStartedMindNoOrderWithTheOthers) {
  auto first = torch::full({1000}, 1.0F), second = torch::full({3}, 2.0F);
  const bool early = group()->rank() == 0;
  slotcon::Collectives::Wait first_end, second_end;
  if (early) first_end = group()->start_all_reduce_sum(first);
  EXPECT_EQ(group()->all_reduce_sum(torch::ones({1})).item<float>(), group()->size());
  if (!early) first_end = group()->start_all_reduce_sum(first);
  second_end = group()->start_all_reduce_sum(second);
  first_end();
  second_end();
  EXPECT_TRUE(at::equal(first, torch::full({1000}, static_cast<float>(group()->size()))));
  EXPECT_TRUE(at::equal(second, torch::full({3}, 2.0F * static_cast<float>(group()->size()))));
}

TEST(Rank, OperationsGiveAllTheStateOfTheFirst) {
  const auto make = [](double value) {
    torch::nn::BatchNorm1d norm(3);
    const torch::NoGradGuard no_grad;
    for (auto& parameter : norm->parameters()) parameter.fill_(value);
    for (auto& buffer : norm->buffers()) buffer.fill_(value + 1);
    return norm;
  };
  auto mine = make(static_cast<double>(group()->rank()) + 5);
  slotcon::broadcast_state(*mine, group().get());
  const auto first = make(5);
  for (const auto& parameter : mine->named_parameters()) {
    EXPECT_TRUE(at::equal(parameter.value(), first->named_parameters()[parameter.key()]));
  }
  for (const auto& buffer : mine->named_buffers()) {
    EXPECT_TRUE(at::equal(buffer.value(), first->named_buffers()[buffer.key()]));
  }
}

TEST(Rank, OperationsRefuseTensorsOfOtherDevices) {
  const auto elsewhere = torch::empty({2}, torch::kMeta);
  EXPECT_EQ(error_text<c10::ValueError>([&] { group()->all_reduce_sum(elsewhere); }),
            "ProcessGroup: expected tensors of the group's device, got one on meta");
}

// ---- Gradients ----

namespace {

/// A gradient that differs from process to process.
torch::Tensor own_gradient(const torch::Tensor& parameter, std::uint64_t seed) {
  return noise(parameter.sizes(), 100 * seed + static_cast<std::uint64_t>(group()->rank()))
      .to(parameter.scalar_type());
}

/// Has the gradient of a backward pass through it.
torch::Tensor with_gradient(const torch::Tensor& parameter, std::uint64_t seed) {
  return (parameter * own_gradient(parameter, seed)).sum().to(torch::kDouble);
}

std::vector<torch::Tensor> mixed_parameters() {
  auto image_weights = torch::zeros({4, 3, 2, 2}).contiguous(torch::MemoryFormat::ChannelsLast);
  return {image_weights.requires_grad_(),
          torch::zeros({5}).requires_grad_(),
          torch::zeros({7}, torch::kDouble).requires_grad_(),
          torch::zeros({2, 3}),  // frozen
          torch::zeros({2, 6}).t().requires_grad_(),
          torch::zeros({300}).requires_grad_()};
}

}  // namespace

TEST(Rank, GradientsAreAveraged) {
  for (const std::int64_t bucket_bytes : {1, 100, 1 << 20}) {
    const auto parameters = mixed_parameters();
    GradientAverage average(parameters, group(),
                            GradientAverageOptions().bucket_bytes(bucket_bytes));
    for (int step = 0; step < 2; ++step) {
      for (const auto& p : parameters) p.mutable_grad() = torch::Tensor();
      auto loss = torch::zeros({}, torch::kDouble);
      for (std::size_t i = 0; i < parameters.size(); ++i) {
        if (parameters[i].requires_grad()) loss = loss + with_gradient(parameters[i], i);
      }
      average.start();
      loss.backward();
      average.finish();
      for (std::size_t i = 0; i < parameters.size(); ++i) {
        const auto& p = parameters[i];
        ASSERT_EQ(p.grad().defined(), p.requires_grad());
        if (!p.requires_grad()) continue;
        EXPECT_TRUE(close(p.grad(), mean_over_processes(own_gradient(p, i)))) << i;
        EXPECT_EQ(p.grad().strides(), p.strides()) << i;
      }
    }
  }
}

TEST(Rank, GradientsThatSomeOrAllProcessesLack) {
  const auto here = torch::zeros({3}).requires_grad_(), first = torch::zeros({4}).requires_grad_();
  const auto nowhere = torch::zeros({5}).requires_grad_();
  GradientAverage average({here, first, nowhere}, group());
  auto loss = with_gradient(here, 1);
  if (group()->rank() == 0) loss = loss + with_gradient(first, 2);
  average.start();
  loss.backward();
  average.finish();
  const auto of_first = group()->rank() == 0 ? own_gradient(first, 2) : torch::zeros({4});
  EXPECT_TRUE(close(here.grad(), mean_over_processes(own_gradient(here, 1))));
  EXPECT_TRUE(close(first.grad(), mean_over_processes(of_first)));
  EXPECT_FALSE(nowhere.grad().defined());
}

TEST(Rank, GradientsOfSeveralPassesAddUpFirst) {
  const auto both = torch::zeros({3}).requires_grad_(), once = torch::zeros({4}).requires_grad_();
  GradientAverage average({both, once}, group());
  (with_gradient(both, 1) + with_gradient(once, 2)).backward();
  average.start();
  with_gradient(both, 3).backward();
  average.finish();
  EXPECT_TRUE(
      close(both.grad(), mean_over_processes(own_gradient(both, 1) + own_gradient(both, 3))));
  EXPECT_TRUE(close(once.grad(), mean_over_processes(own_gradient(once, 2))));
}

TEST(Rank, GradientsMayComeInAnyOrder) {
  const auto a = torch::zeros({3}).requires_grad_(), b = torch::zeros({4}).requires_grad_();
  GradientAverage average({a, b}, group(), GradientAverageOptions().bucket_bytes(1));
  average.start();
  const bool forwards = group()->rank() == 0;
  with_gradient(forwards ? a : b, forwards ? 1 : 2).backward();
  with_gradient(forwards ? b : a, forwards ? 2 : 1).backward();
  average.finish();
  EXPECT_TRUE(close(a.grad(), mean_over_processes(own_gradient(a, 1))));
  EXPECT_TRUE(close(b.grad(), mean_over_processes(own_gradient(b, 2))));
}

TEST(Rank, GradientsAreLeftAloneBeforeAndAfter) {
  const auto a = torch::zeros({3}).requires_grad_();
  {
    GradientAverage average({a}, group());
    with_gradient(a, 1).backward();
    EXPECT_TRUE(at::equal(a.grad(), own_gradient(a, 1)));
    EXPECT_EQ(error_text<c10::ValueError>([&] { GradientAverage({a}, group()); }),
              "GradientAverage: expected parameters without a post-accumulate hook, got [3] with "
              "one");
    EXPECT_EQ(error_text<c10::Error>([&] { average.finish(); }),
              "GradientAverage: expected start() before finish()");
    average.start();
    EXPECT_EQ(error_text<c10::Error>([&] { average.start(); }),
              "GradientAverage: expected finish() before the next start()");
    with_gradient(a, 1).backward();
    EXPECT_EQ(error_text<c10::Error>([&] { with_gradient(a, 1).backward(); }),
              "GradientAverage: expected one backward pass between start() and finish()");
    average.finish();
  }
  a.mutable_grad() = torch::Tensor();
  with_gradient(a, 1).backward();
  EXPECT_TRUE(at::equal(a.grad(), own_gradient(a, 1)));
}

TEST(GradientAverage, OfOneProcessDoesNothing) {
  const auto a = torch::zeros({3}).requires_grad_();
  GradientAverage average({a}, nullptr);
  average.start();
  (2 * a).sum().backward();
  average.finish();
  EXPECT_TRUE(at::equal(a.grad(), torch::full({3}, 2.0F)));
  EXPECT_EQ(error_text<c10::ValueError>(
                [] { GradientAverage({}, nullptr, GradientAverageOptions().bucket_bytes(0)); }),
            "GradientAverage: expected bucket_bytes >= 1, got 0");
}

// ---- When one is lost ----

namespace {

constexpr double kShort = 2;  // seconds to wait for a process that will not come

/// What a process does in a test of failures, and what it says of it.
int play_part(const std::string& part) {
  try {
    const double patience = part == "short" || part == "sleep" ? kShort : 60;
    const auto processes = slotcon::join_processes(ProcessGroupOptions().timeout(patience));
    processes->all_reduce_sum(torch::ones({1}));
    const bool is_lost = processes->rank() == 1;
    if (part == "die" && is_lost) std::raise(SIGKILL);
    if (part == "fail" && is_lost) return 7;
    if (part == "sleep" && is_lost) std::this_thread::sleep_for(std::chrono::seconds(60));
    processes->all_reduce_sum(torch::ones({1}));
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}

/// The same under the library's own launcher.
slotcon::LocalRun launch(const std::string& part, int count) {
  setenv("SLOTCON_PART", part.c_str(), 1);
  std::string path = program();
  char* arguments[] = {path.data(), nullptr};
  const auto run = slotcon::run_local_processes(count, arguments);
  unsetenv("SLOTCON_PART");
  return run;
}

}  // namespace

TEST(LostProcess, EndsTheOthersWithWordsWhenItDies) {
  const auto output = play("die", 3, {0, 1, 2}, free_port());
  for (const auto* rank : {"0", "2"}) {
    EXPECT_TRUE(contains(
        output, std::string("process ") + rank + " of 3 lost the others in all_reduce_sum: "))
        << output;
  }
}

TEST(LostProcess, EndsTheOthersWithWordsWhenItKeepsThemWaiting) {
  const auto run = launch("sleep", 2);
  EXPECT_EQ(run.status, 1);
  EXPECT_EQ(run.failure, "of 2 processes 0 ended with status 1");
}

TEST(LostProcess, IsNamedWhenItNeverComes) {
  const int port = free_port();
  const auto output = play("short", 4, {0, 2}, port);
  EXPECT_TRUE(contains(output, "process 0 of 4 waited at " + at_port(port) +
                                   " for process 1, 3, which did not come"))
      << output;
  // With rank 0 the place to meet may be gone before it can be asked who was there.
  EXPECT_TRUE(contains(output, "process 2 of 4 waited at " + at_port(port) + " for ")) << output;
}

TEST(LostProcess, MayBeTheOneWhereAllMeet) {
  const int port = free_port();
  const auto output = play("short", 2, {1}, port);
  EXPECT_TRUE(contains(output, "process 1 of 2 cannot reach " + at_port(port) + ": ")) << output;
}

TEST(LocalProcesses, SayHowTheyFailed) {
  auto run = launch("die", 3);
  EXPECT_EQ(run.status, 128 + SIGKILL);
  EXPECT_EQ(run.failure.rfind("of 3 processes 1 ended by signal 9 (Killed)", 0), 0U) << run.failure;
  run = launch("fail", 2);
  EXPECT_TRUE(contains(run.failure, "1 ended with status 7")) << run.failure;
}

TEST(LocalProcesses, RefuseToBeNone) {
  char* arguments[] = {nullptr};
  EXPECT_EQ(error_text<std::invalid_argument>([&] { slotcon::run_local_processes(0, arguments); }),
            "run_local_processes: expected count >= 1, got 0");
}

/// Runs the suite Rank in the processes that tests start, and in no other.
int main(int argc, char** argv) {
  program() = argv[0];
  if (const char* part = std::getenv("SLOTCON_PART")) return play_part(part);
  const bool is_rank = std::getenv("WORLD_SIZE") != nullptr;
  if (!is_rank) GTEST_FLAG_SET(filter, "-Rank.*");
  ::testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
