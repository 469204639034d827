// What the assignment distillation asks of its CUDA kernels.
//
// B images of K prototypes and H x W = N positions. Arrays are dense, the last index moves fastest.
// Nothing here includes LibTorch or CUDA.
#pragma once

#include <slotcon/kernel/cuda/mean.h>
#include <slotcon/kernel/cuda/types.h>

namespace slotcon::kernel::aligned_assignment {
inline namespace SLOTCON_VERSIONED {

using cuda::Error;
using cuda::Index;
using cuda::Stream;

/// The kernels keep the prototypes of a position, and the weights of an axis, in shared memory.
constexpr Index kMostPrototypes = 16384;
constexpr Index kMostRowsAndColumns = 2048;  // H + W

/// The box that is cut out of each image, and whether it is mirrored.
struct Regions {
  const float* boxes;   // [B,4]: x1, y1, x2, y2
  const bool* flipped;  // [B]
};

struct Shape {
  Index images, prototypes, height, width;
};

/// With S, T the samples of both views at a position, T less the center:
///     p = softmax(S / student)  t = softmax(T / teacher)
///     loss = -sum_k t log p     slope = scale (p - t)
struct Distill {
  Shape shape;
  const float *student_scores, *teacher_scores;  // [B,N,K]
  Regions student, teacher;
  const float* center;                 // [K]
  float student_scale, teacher_scale;  // 1 / temperature
  float gradient_scale;
  float* losses;  // [B,N]
  float* slopes;  // [B,N,K], or null
};

/// The gradient of scores from the slopes of their samples: the sampling, transposed.
struct Gather {
  Shape shape;
  Regions regions;
  const float* slopes;  // [B,N,K]
  float* gradient;      // [B,N,K]
};

struct Launches {
  Error (*distill)(const Distill&, Stream);
  Error (*gather)(const Gather&, Stream);
  Error (*mean)(const cuda::Mean&, Stream);
};

}  // namespace SLOTCON_VERSIONED
}  // namespace slotcon::kernel::aligned_assignment
