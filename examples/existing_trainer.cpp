// A plain LibTorch training loop into which slotcon's objective was added by the lines marked
// (slotcon).
//
// The loop was: an encoder, two augmented views of each batch, an optimiser. What SlotCon adds: a
// projector, a teacher that follows the student, and `SlotConLoss`, which needs each view's
// features and where the region that both views show lies in it. Link slotcon::slotcon; nothing
// else of slotcon is needed.
#include <slotcon/loss/slotcon_loss.h>      // (slotcon)
#include <slotcon/model/projection_head.h>  // (slotcon)
#include <slotcon/model/teacher.h>          // (slotcon)
#include <slotcon/train/schedule.h>         // (slotcon)
#include <torch/torch.h>

#include <cstdio>

// Your encoder. Any module from images to feature maps [B,C,h,w] will do.
torch::nn::Sequential make_encoder() {
  const auto conv = [](int in, int out) {
    return torch::nn::Conv2d(torch::nn::Conv2dOptions(in, out, 3).stride(2).padding(1).bias(false));
  };
  return torch::nn::Sequential(conv(3, 16), torch::nn::BatchNorm2d(16), torch::nn::ReLU(),
                               conv(16, 32), torch::nn::BatchNorm2d(32), torch::nn::ReLU(),
                               conv(32, 64), torch::nn::BatchNorm2d(64), torch::nn::ReLU());
}

// Your data: two crops of an image of coloured stripes, here [B,3,32,32]. The second crop starts
// `shift` pixels to the right of the first, so the shared region is the right part of the first
// view and the left part of the second.
struct Batch {
  torch::Tensor first, second;
  torch::Tensor first_box,
      second_box;  // (slotcon) [B,4]: x1, y1, x2, y2 of the shared region, as fractions
};

Batch next_batch(int size) {
  constexpr int kView = 32;
  constexpr int kShift = 8;
  const auto stripes =
      torch::randn({size, 3, 1, 5}).repeat_interleave(8, 3).expand({size, 3, kView, 40});
  const auto image = stripes + 0.1 * torch::randn(stripes.sizes());
  const auto shared = 1.0F - static_cast<float>(kShift) / kView;
  return {image.slice(3, 0, kView), image.slice(3, kShift, kShift + kView),
          torch::tensor({1 - shared, 0.0F, 1.0F, 1.0F}).expand({size, 4}),
          torch::tensor({0.0F, 0.0F, shared, 1.0F}).expand({size, 4})};
}

int main() {
  constexpr int kSteps = 60;
  constexpr int kBatch = 16;
  torch::manual_seed(0);
  torch::nn::Sequential student(make_encoder());
  student->push_back(
      slotcon::ProjectionHead2d(slotcon::ProjectionHeadOptions(64, 64, 32)));  // (slotcon)
  torch::nn::Sequential teacher(make_encoder());                               // (slotcon)
  teacher->push_back(
      slotcon::ProjectionHead2d(slotcon::ProjectionHeadOptions(64, 64, 32)));  // (slotcon)
  slotcon::start_teacher(*teacher, *student);                                  // (slotcon)

  slotcon::ProjectionHead predictor(slotcon::ProjectionHeadOptions(32, 64, 32));  // (slotcon)
  slotcon::SlotConLoss objective(slotcon::SlotConLossOptions(/*num_prototypes=*/8, /*dim=*/32),
                                 torch::nn::AnyModule(predictor));  // (slotcon)

  auto parameters = student->parameters();
  for (const auto& p : objective->parameters()) {  // (slotcon) student prototypes and predictor
    if (p.requires_grad()) parameters.push_back(p);
  }
  torch::optim::AdamW optimizer(parameters, torch::optim::AdamWOptions(2e-3));

  for (int step = 0; step < kSteps; ++step) {
    const auto batch = next_batch(kBatch);
    const auto momentum = slotcon::teacher_momentum(step, kSteps, /*base=*/0.97);  // (slotcon)
    slotcon::update_teacher(*teacher, *student, momentum);                         // (slotcon)
    objective->update_teacher(momentum);                                           // (slotcon)

    const auto never_flipped = torch::zeros({kBatch}, torch::kBool);
    const auto teach = [&](const torch::Tensor& images) {  // (slotcon)
      const torch::NoGradGuard no_grad;
      return teacher->forward(images);
    };
    const auto output = objective->forward(                                        // (slotcon)
        {student->forward(batch.first), student->forward(batch.second)},           // (slotcon)
        {teach(batch.first), teach(batch.second)},                                 // (slotcon)
        {{{batch.first_box, never_flipped}, {batch.second_box, never_flipped}}});  // (slotcon)

    optimizer.zero_grad();
    output.loss.backward();
    optimizer.step();
    objective->commit();  // (slotcon) the centre moves

    if (step % 10 == 0 || step + 1 == kSteps) {
      std::printf("step %2d  loss %.3f  active slots %.1f  teacher entropy %.2f of ln K = 2.08\n",
                  step, output.loss.item<double>(),
                  output.diagnostics.active_slots().item<double>(),
                  output.diagnostics.teacher_entropy().item<double>());
    }
  }
}
