// What C++ makes of the arguments of every operator: slotcon_cpp_results FILE writes arguments,
// results and gradients for slotcon_ops_test.py, which must get the same bits.
//
// Names in the file: <operator>/<type>/<number>/{arguments,numbers,incoming,results,gradients}/<i>,
// and `threads`.
#include <ATen/Parallel.h>
#include <slotcon/io/pth.h>
#include <slotcon/loss/aligned_assignment.h>
#include <slotcon/loss/inverse_augmentation.h>
#include <slotcon/loss/prototype_assignment.h>
#include <slotcon/loss/semantic_grouping.h>
#include <slotcon/loss/slot_info_nce.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/types.h>

#include <cstdio>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "tests/support/boxes.h"
#include "tests/support/noise.h"

namespace {

namespace functional = slotcon::functional;
using slotcon::testing::noise;
using slotcon::testing::random_boxes;
using Tensors = std::vector<torch::Tensor>;
using Numbers = std::vector<double>;

/// One call of an operator: the first `trained` arguments take a gradient.
struct Call {
  std::string name;
  Tensors arguments;
  std::size_t trained;
  Numbers numbers;
  std::function<Tensors(const Tensors&, const Numbers&)> function;
};

/// Calls by name and type, numbered in their order.
class Record {
 public:
  void add(const Call& call) {
    const auto kind = call.name + "/" + c10::toString(call.arguments[0].scalar_type());
    const auto name = kind + "/" + std::to_string(counts_[kind]++);
    Tensors arguments, numbers;
    for (std::size_t i = 0; i < call.arguments.size(); ++i) {
      arguments.push_back(call.arguments[i].detach().clone().requires_grad_(i < call.trained));
    }
    for (const double number : call.numbers)
      numbers.push_back(at::scalar_tensor(number, at::kDouble));
    Tensors results = call.function(arguments, call.numbers), differentiable, incoming;
    for (const auto& result : results) {
      if (!result.requires_grad()) continue;
      differentiable.push_back(result);
      incoming.push_back(result.dim() == 0 ? 2 * at::ones_like(result)  // which rounds nothing
                                           : noise(result.sizes(), 9).to(result.scalar_type()));
    }
    const auto gradients = torch::autograd::grad(
        differentiable, Tensors(arguments.begin(), arguments.begin() + call.trained), incoming);
    insert(name + "/arguments", arguments);
    insert(name + "/numbers", numbers);
    insert(name + "/incoming", incoming);
    insert(name + "/results", results);
    insert(name + "/gradients", gradients);
  }

  slotcon::NamedTensors tensors;

 private:
  void insert(const std::string& name, const Tensors& list) {
    for (std::size_t i = 0; i < list.size(); ++i) {
      tensors.insert(name + "/" + std::to_string(i), list[i].detach());
    }
  }

  std::map<std::string, int> counts_;
};

slotcon::AssignmentOptions assignment_options(const Numbers& numbers) {
  return slotcon::AssignmentOptions()
      .student_temperature(numbers[0])
      .teacher_temperature(numbers.back());
}

void add_grouping(Record& record, at::ScalarType type) {
  const auto function = [](const Tensors& a, const Numbers& n) -> Tensors {
    const auto result = functional::semantic_grouping(
        a[0], a[1], slotcon::SemanticGroupingOptions().temperature(n[0]).eps(n[1]));
    return {result.slots, result.scores, result.present};
  };
  for (const double temperature : {0.07, 0.02}) {  // by the kernel, and too low for it
    record.add({"semantic_grouping",
                {noise({3, 20, 5, 7}, 1).to(type), noise({6, 20}, 2).to(at::kFloat)},
                2,
                {temperature, 1e-6},
                function});
  }
  record.add({"semantic_grouping",
              {noise({2, 33, 70}, 1).to(type), noise({130, 33}, 2).to(at::kFloat)},
              2,
              {0.1, 0},
              function});
}

void add_augmentation(Record& record, at::ScalarType type) {
  const auto boxes = at::cat(
      {random_boxes(3, 2), slotcon::testing::box(0, 0, 0, 1), slotcon::testing::box(0, 0, 1, 1)});
  record.add({"inverse_augment",
              {noise({5, 6, 5, 7}, 1).to(type), boxes, noise({5}, 3) > 0},
              1,
              {},
              [](const Tensors& a, const Numbers& /*n*/) -> Tensors {
                return {functional::inverse_augment(a[0], a[1], a[2])};
              }});
}

void add_assignment(Record& record, at::ScalarType type) {
  const auto student = noise({3, 40, 5, 7}, 1).to(type), teacher = noise({3, 40, 5, 7}, 2).to(type);
  const auto center = noise({1, 40}, 3).to(at::kFloat);
  record.add({"soft_cross_entropy",
              {student, at::softmax(teacher, 1)},
              1,
              {0.1},
              [](const Tensors& a, const Numbers& n) -> Tensors {
                return {functional::soft_cross_entropy(a[0], a[1], assignment_options(n))};
              }});
  record.add({"assignment_cross_entropy",
              {student, teacher, center},
              1,
              {0.2, 0.05},
              [](const Tensors& a, const Numbers& n) -> Tensors {
                return {
                    functional::assignment_cross_entropy(a[0], a[1], a[2], assignment_options(n))};
              }});
  record.add({"aligned_assignment_cross_entropy",
              {student, teacher, random_boxes(3, 4), noise({3}, 5) > 0, random_boxes(3, 6),
               noise({3}, 7) > 0, center},
              1,
              {0.2, 0.05},
              [](const Tensors& a, const Numbers& n) -> Tensors {
                return {functional::aligned_assignment_cross_entropy(
                    a[0], a[1], {a[2], a[3]}, {a[4], a[5]}, a[6], assignment_options(n))};
              }});
}

void add_contrast(Record& record, at::ScalarType type) {
  for (const double temperature : {0.2, 0.02}) {  // by the kernel, and too low for it
    record.add({"info_nce",
                {noise({30, 17}, 1).to(type), noise({45, 17}, 2).to(type), at::arange(30) + 7},
                2,
                {temperature},
                [](const Tensors& a, const Numbers& n) -> Tensors {
                  return {functional::info_nce(a[0], a[1], a[2],
                                               slotcon::SlotInfoNCEOptions().temperature(n[0]))};
                }});
  }
  record.add({"slot_info_nce",
              {noise({4, 11, 17}, 1).to(type), noise({4, 11, 17}, 2).to(type),
               noise({4, 11}, 3) > 0, noise({4, 11}, 4) > 0},
              2,
              {0.2},
              [](const Tensors& a, const Numbers& n) -> Tensors {
                return {functional::slot_info_nce(a[0], a[1], a[2], a[3],
                                                  slotcon::SlotInfoNCEOptions().temperature(n[0]))};
              }});
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("usage: slotcon_cpp_results FILE\n", stderr);
    return 2;
  }
  Record record;
  for (const auto type : {at::kFloat, at::kDouble, at::kHalf, at::kBFloat16}) {
    add_grouping(record, type);
    add_augmentation(record, type);
    add_assignment(record, type);
    add_contrast(record, type);
  }
  record.tensors.insert("threads",
                        torch::tensor({static_cast<std::int64_t>(at::get_num_threads())}));
  slotcon::io::write_pth(argv[1], record.tensors);
  return 0;
}
