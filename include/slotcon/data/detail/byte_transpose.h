// Rows of bytes as columns.
#pragma once

#include <cstddef>
#include <cstdint>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace slotcon::data::detail {

/// output[j][i] = input[i][j] of `rows` x `columns` bytes; the rows of each lie `stride` bytes
/// apart.
inline void transpose_plainly(const std::uint8_t* input, std::size_t input_stride, std::size_t rows,
                              std::size_t columns, std::uint8_t* output,
                              std::size_t output_stride) {
  for (std::size_t i = 0; i < rows; ++i) {
    for (std::size_t j = 0; j < columns; ++j) {
      output[j * output_stride + i] = input[i * input_stride + j];
    }
  }
}

#if defined(__SSE2__)

/// A square of 16 x 16: interleaving the first eight rows with the others, four times over.
inline void transpose_square(const std::uint8_t* input, std::size_t input_stride,
                             std::uint8_t* output, std::size_t output_stride) {
  __m128i rows[16], shuffled[16];
  for (std::size_t i = 0; i < 16; ++i) {
    rows[i] = _mm_loadu_si128(reinterpret_cast<const __m128i*>(input + i * input_stride));
  }
  for (int round = 0; round < 4; ++round) {
    for (std::size_t i = 0; i < 8; ++i) {
      shuffled[2 * i] = _mm_unpacklo_epi8(rows[i], rows[i + 8]);
      shuffled[2 * i + 1] = _mm_unpackhi_epi8(rows[i], rows[i + 8]);
    }
    for (std::size_t i = 0; i < 16; ++i) rows[i] = shuffled[i];
  }
  for (std::size_t i = 0; i < 16; ++i) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(output + i * output_stride), rows[i]);
  }
}

/// As transpose_plainly(), square by square.
inline void transpose(const std::uint8_t* input, std::size_t input_stride, std::size_t rows,
                      std::size_t columns, std::uint8_t* output, std::size_t output_stride) {
  constexpr std::size_t kSide = 16;
  std::size_t i = 0;
  for (; i + kSide <= rows; i += kSide) {
    const std::uint8_t* from = input + i * input_stride;
    std::size_t j = 0;
    for (; j + kSide <= columns; j += kSide) {
      transpose_square(from + j, input_stride, output + j * output_stride + i, output_stride);
    }
    transpose_plainly(from + j, input_stride, kSide, columns - j, output + j * output_stride + i,
                      output_stride);
  }
  transpose_plainly(input + i * input_stride, input_stride, rows - i, columns, output + i,
                    output_stride);
}

#else

inline void transpose(const std::uint8_t* input, std::size_t input_stride, std::size_t rows,
                      std::size_t columns, std::uint8_t* output, std::size_t output_stride) {
  transpose_plainly(input, input_stride, rows, columns, output, output_stride);
}

#endif

}  // namespace slotcon::data::detail
