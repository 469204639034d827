// What runs on wide vectors gives the bytes of plain code.
#include <gtest/gtest.h>
#include <slotcon/data/detail/blend.h>
#include <slotcon/data/detail/box_blur.h>
#include <slotcon/data/detail/byte_transpose.h>
#include <slotcon/data/detail/hue.h>
#include <slotcon/data/detail/luma.h>
#include <slotcon/data/detail/resample.h>
#include <slotcon/data/photometric.h>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace {

namespace detail = slotcon::data::detail;
using Bytes = std::vector<std::uint8_t>;

/// All colours of every fifth level of a channel, and one more pixel, so that vectors have a tail.
Bytes many_colours() {
  Bytes pixels;
  for (int red = 0; red < 256; red += 5) {
    for (int green = 0; green < 256; green += 5) {
      for (int blue = 0; blue < 256; blue += 5) {
        for (const int level : {red, green, blue}) {
          pixels.push_back(static_cast<std::uint8_t>(level));
        }
      }
    }
  }
  pixels.insert(pixels.end(), {1, 2, 3});
  return pixels;
}

#if defined(__x86_64__) && defined(__GNUC__)

/// What Code makes of the samples on each kind of vectors that this processor has.
template <class Code, class... Arguments>
void expect_equal_on_all_targets(const Bytes& samples, std::size_t count, Arguments... arguments) {
  Bytes plain = samples, avx2 = samples, widest = samples;
  detail::run_with_baseline<Code>(plain.data(), count, arguments...);
  detail::run_vectorised<Code>(widest.data(), count, arguments...);
  EXPECT_EQ(widest, plain);
  EXPECT_NE(plain, samples);
  if (!__builtin_cpu_supports("avx2")) return;
  detail::run_with_avx2<Code>(avx2.data(), count, arguments...);
  EXPECT_EQ(avx2, plain);
}

TEST(VectorTarget, DoesNotChangeColours) {
  const auto pixels = many_colours();
  const auto count = pixels.size() / 3;
  for (const int shift : {-25, 1, 128}) {
    expect_equal_on_all_targets<detail::RotateHue>(pixels, count, shift);
  }
  expect_equal_on_all_targets<detail::Grayscale>(pixels, count);
  for (const float factor : {0.0f, 0.613f, 1.39f, 3.3f}) {
    expect_equal_on_all_targets<detail::BlendWithLuma>(pixels, count, factor);
    expect_equal_on_all_targets<detail::BlendSamples>(pixels, pixels.size(), 117, factor);
  }
  expect_equal_on_all_targets<detail::Solarize>(pixels, pixels.size());
}

template <class Code, class... Arguments>
void expect_equal_output(std::size_t size, Arguments... arguments) {
  Bytes plain(size), widest(size), avx2(size);
  detail::run_with_baseline<Code>(arguments..., plain.data());
  detail::run_vectorised<Code>(arguments..., widest.data());
  EXPECT_EQ(widest, plain);
  if (!__builtin_cpu_supports("avx2")) return;
  detail::run_with_avx2<Code>(arguments..., avx2.data());
  EXPECT_EQ(avx2, plain);
}

TEST(VectorTarget, DoesNotChangeSums) {
  const auto pixels = many_colours();
  for (const int width : {1, 15, 16, 17, 64, 101}) {
    constexpr int kHeight = 70, kResized = 33;
    const auto stride = 3 * static_cast<std::size_t>(width);
    std::vector<std::uint32_t> sums(stride);
    for (const float sigma : {0.3f, 2.0f}) {
      expect_equal_output<detail::BoxBlurLines>(stride * kHeight, pixels.data(), kHeight, stride,
                                                detail::box_for_gaussian(sigma), sums.data());
    }
    const detail::ResampleKernel bicubic{2.0, detail::bicubic_weight};
    const auto rows = detail::resample_weights(kHeight, kResized, bicubic);
    expect_equal_output<detail::ResampleRows>(stride * kResized, pixels.data(), stride, stride,
                                              &rows);
    const auto columns = detail::resample_weights(width, kResized, bicubic);
    expect_equal_output<detail::ResampleColumns>(3 * kResized * kHeight, pixels.data(), stride,
                                                 width, kHeight, &columns);
  }
}

#endif

TEST(ByteTranspose, MovesEveryByteAndNoOther) {
  const auto bytes = many_colours();
  for (const std::size_t rows : {0, 1, 15, 16, 17, 33}) {
    for (const std::size_t columns : {1, 16, 31, 48}) {
      const std::size_t stride = columns + 5, output_stride = rows + 3;
      Bytes output(columns * output_stride, 200), expected = output;
      for (std::size_t i = 0; i < rows; ++i) {
        for (std::size_t j = 0; j < columns; ++j) {
          expected[j * output_stride + i] = bytes[i * stride + j];
        }
      }
      detail::transpose(bytes.data(), stride, rows, columns, output.data(), output_stride);
      EXPECT_EQ(output, expected) << rows << " x " << columns;
    }
  }
}

}  // namespace
