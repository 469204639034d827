// The CUDA kernels of the assignment distillation between aligned views.
#pragma once

#include <slotcon/kernel/aligned_assignment/cuda_taps.cuh>
#include <slotcon/kernel/cuda/mean.cuh>

namespace slotcon::kernel::aligned_assignment {
inline namespace SLOTCON_VERSIONED {

/// A warp for each position where the prototypes are few, else a block.
template <class Visitor>
Error by_prototypes(Index prototypes, const Visitor& visit) {
  constexpr Index kMostOfAWarp = 512;
  return prototypes <= kMostOfAWarp ? visit(cuda::Constant<kWarp>())
                                    : visit(cuda::Constant<kBlockThreads>());
}

/// The shared memory of distill_kernel: of each warp its taps, of a block its sums, and of each
/// position the samples of both views, which only the thread that writes them reads.
template <int kThreads>
class DistillMemory {
 public:
  static constexpr Index kTaps = 4 * kMostTaps;  // of a warp: two axes of two views
  static constexpr Index kSums = 5 * kBlockWarps;

  static std::size_t bytes(Index prototypes) {
    return kBlockWarps * kTaps * sizeof(Tap) +
           static_cast<std::size_t>(kSums + kBlockThreads / kThreads * 2 * padded(prototypes)) *
               sizeof(float);
  }

  __device__ explicit DistillMemory(Index prototypes) {
    auto* const all_taps = cuda::shared_memory<Tap>();
    taps = all_taps + warp_index() * kTaps;
    sums = reinterpret_cast<float*>(all_taps + kBlockWarps * kTaps);
    const Index group = static_cast<Index>(threadIdx.x) / kThreads;
    student = sums + kSums + group * 2 * padded(prototypes);
    teacher = student + padded(prototypes);
  }

  Tap* taps;
  float *sums, *student, *teacher;

 private:
  __host__ __device__ static Index padded(Index prototypes) {
    return cuda::divided_up(prototypes, 4) * 4;
  }
};

/// kThreads for each position.
template <int kThreads, int kWidth>
__global__ void __launch_bounds__(kBlockThreads, 2) distill_kernel(Distill call) {
  const auto& shape = call.shape;
  const Index positions = shape.height * shape.width, row = cuda::row_index<kThreads>();
  if (!inside(row, shape.images * positions)) return;
  const Index image = row / positions, position = row % positions;
  const Index vectors = shape.prototypes / kWidth;
  const int member = static_cast<int>(threadIdx.x) % kThreads;
  const DistillMemory<kThreads> memory(shape.prototypes);
  const auto student_taps = pixels_of(axes_of(call.student, shape, image), position, memory.taps);
  const auto teacher_taps =
      pixels_of(axes_of(call.teacher, shape, image), position, memory.taps + 2 * kMostTaps);
  const Index first = image * positions * shape.prototypes;

  float student_top = -INFINITY, teacher_top = -INFINITY;
  for (Index i = member; inside(i, vectors); i += kThreads) {
    const Index k = kWidth * i;
    const auto student = mix<kWidth>(call.student_scores + first, shape, student_taps, k);
    auto teacher = mix<kWidth>(call.teacher_scores + first, shape, teacher_taps, k);
    const auto center = cuda::load<kWidth>(call.center + k);
#pragma unroll
    for (int j = 0; j < kWidth; ++j) {
      teacher.values[j] -= center.values[j];
      student_top = fmaxf(student_top, student.values[j]);
      teacher_top = fmaxf(teacher_top, teacher.values[j]);
    }
    cuda::store(memory.student + k, student);
    cuda::store(memory.teacher + k, teacher);
  }
  student_top = cuda::group_max<kThreads>(student_top, memory.sums);
  teacher_top = cuda::group_max<kThreads>(teacher_top, memory.sums + kBlockWarps);

  float student_sum = 0, teacher_sum = 0, agreement = 0;
  for (Index i = member; inside(i, vectors); i += kThreads) {
    const Index k = kWidth * i;
    auto student = cuda::load<kWidth>(memory.student + k);
    auto teacher = cuda::load<kWidth>(memory.teacher + k);
#pragma unroll
    for (int j = 0; j < kWidth; ++j) {
      const float logit = (student.values[j] - student_top) * call.student_scale;
      student.values[j] = expf(logit);
      teacher.values[j] = expf((teacher.values[j] - teacher_top) * call.teacher_scale);
      student_sum += student.values[j];
      teacher_sum += teacher.values[j];
      agreement += teacher.values[j] * logit;
    }
    cuda::store(memory.student + k, student);
    cuda::store(memory.teacher + k, teacher);
  }
  student_sum = cuda::group_sum<kThreads>(student_sum, memory.sums + 2 * kBlockWarps);
  teacher_sum = cuda::group_sum<kThreads>(teacher_sum, memory.sums + 3 * kBlockWarps);
  agreement = cuda::group_sum<kThreads>(agreement, memory.sums + 4 * kBlockWarps);
  if (member == 0) call.losses[row] = logf(student_sum) - agreement / teacher_sum;

  if (call.slopes == nullptr) return;
  const float student_share = call.gradient_scale / student_sum;
  const float teacher_share = call.gradient_scale / teacher_sum;
  float* const slopes = call.slopes + row * shape.prototypes;
  for (Index i = member; inside(i, vectors); i += kThreads) {
    const Index k = kWidth * i;
    const auto student = cuda::load<kWidth>(memory.student + k);
    const auto teacher = cuda::load<kWidth>(memory.teacher + k);
    cuda::Vector<float, kWidth> slope;
#pragma unroll
    for (int j = 0; j < kWidth; ++j) {
      slope.values[j] = student.values[j] * student_share - teacher.values[j] * teacher_share;
    }
    cuda::store(slopes + k, slope);
  }
}

inline Error launch_distill(const Distill& call, Stream stream) {
  const auto& shape = call.shape;
  const bool vectors = cuda::fits_vectors(shape.prototypes, call.student_scores,
                                          call.teacher_scores, call.center, call.slopes);
  return by_prototypes(shape.prototypes, [&](auto threads) {
    constexpr int kThreads = decltype(threads)::value;
    return cuda::by_width(vectors, [&](auto width) {
      return cuda::launch(distill_kernel<kThreads, decltype(width)::value>,
                          cuda::blocks_for<kThreads>(shape.images * shape.height * shape.width),
                          kBlockThreads, DistillMemory<kThreads>::bytes(shape.prototypes), stream,
                          call);
    });
  });
}

/// kThreads for each pixel, which gathers from the samples that it was part of.
template <int kThreads, int kWidth>
__global__ void __launch_bounds__(kBlockThreads) gather_kernel(Gather call) {
  const auto& shape = call.shape;
  const Index positions = shape.height * shape.width, row = cuda::row_index<kThreads>();
  if (!inside(row, shape.images * positions)) return;
  const Index image = row / positions;
  auto* const memory = cuda::shared_memory<Tap>() + warp_index() * (shape.height + shape.width);
  const auto taps = samples_of(axes_of(call.regions, shape, image), row % positions, memory);
  const float* const slopes = call.slopes + image * positions * shape.prototypes;
  for (Index i = static_cast<int>(threadIdx.x) % kThreads; inside(i, shape.prototypes / kWidth);
       i += kThreads) {
    const Index k = kWidth * i;
    cuda::store(call.gradient + row * shape.prototypes + k, mix<kWidth>(slopes, shape, taps, k));
  }
}

inline Error launch_gather(const Gather& call, Stream stream) {
  const auto& shape = call.shape;
  const auto taps = static_cast<std::size_t>(kBlockWarps * (shape.height + shape.width));
  const bool vectors = cuda::fits_vectors(shape.prototypes, call.slopes, call.gradient);
  return by_prototypes(shape.prototypes, [&](auto threads) {
    constexpr int kThreads = decltype(threads)::value;
    return cuda::by_width(vectors, [&](auto width) {
      return cuda::launch(gather_kernel<kThreads, decltype(width)::value>,
                          cuda::blocks_for<kThreads>(shape.images * shape.height * shape.width),
                          kBlockThreads, taps * sizeof(Tap), stream, call);
    });
  });
}

inline constexpr Launches kLaunches{launch_distill, launch_gather, cuda::launch_mean};

}  // namespace SLOTCON_VERSIONED
}  // namespace slotcon::kernel::aligned_assignment
