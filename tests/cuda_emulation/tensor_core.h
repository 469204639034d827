// Matrix instructions, with the parts of the lanes laid out as PTX documents them.
#pragma once

#include <type_traits>

#include "block.h"
#include "memory.h"
#include "numbers.h"
#include "old_gpu.h"

namespace slotcon::emulation {

namespace detail {

/// What lane `lane` handed over.
template <class T>
T part_of(const unsigned char (&lanes)[kWarp][Block::Exchange::kBytes], int lane) {
  T part;
  std::memcpy(&part, lanes[lane], sizeof part);
  return part;
}

inline std::uint16_t number_of_row(const void* row, int column) {
  std::uint16_t number = 0;
  std::memcpy(&number, static_cast<const unsigned char*>(row) + 2 * column, sizeof number);
  return number;
}

/// ldmatrix: lane i gets elements 2 (i % 4) and the next of row i / 4, or of that column.
inline void load_matrices(std::uint32_t (&to)[4], const void* row, bool transposed,
                          const Site& site) {
  Block& block = *Block::current();
  require_alignment(row, 16, "load_matrices: the address is not a multiple of 16");
  if (!block.in_shared(row, 16)) block.fail("load_matrices: not from shared memory");
  const auto& lanes = block.exchange(row, site);
  const int outer = block.lane() / 4, inner = block.lane() % 4 * 2;
  for (int matrix = 0; matrix < 4; ++matrix) {
    const auto element = [&](int i, int j) {
      return number_of_row(part_of<const void*>(lanes, 8 * matrix + i), j);
    };
    const std::uint32_t low = transposed ? element(inner, outer) : element(outer, inner);
    const std::uint32_t high = transposed ? element(inner + 1, outer) : element(outer, inner + 1);
    to[matrix] = low | high << 16;
  }
}

/// Number `half` of the two in a register; TF32 has one.
template <class T>
float number_in(std::uint32_t bits, int half) {
  if constexpr (std::is_same_v<T, float>) {
    return float_of(bits & kTf32Bits);
  } else {
    return to_float(T{static_cast<std::uint16_t>(bits >> (16 * half))});
  }
}

}  // namespace detail

inline void load_matrices(std::uint32_t (&to)[4], const void* row,
                          const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  detail::load_matrices(to, row, false, {"load_matrices", file, line});
}
inline void load_matrices_transposed(std::uint32_t (&to)[4], const void* row,
                                     const char* file = __builtin_FILE(),
                                     int line = __builtin_LINE()) {
  detail::load_matrices(to, row, true, {"load_matrices_transposed", file, line});
}

/// mma.sync: m16n8k16 of 16-bit numbers, m16n8k8 of TF32.
template <class T>
void multiply_add(float (&sum)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2],
                  const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  struct Operands {
    std::uint32_t a[4], b[2];
  };
  constexpr int kPerRegister = std::is_same_v<T, float> ? 1 : 2;
  constexpr int kHalf = 4 * kPerRegister;  // of the depth: four lanes share a row
  Block& block = *Block::current();
  if (!tensor_cores) block.fail("multiply_add: this GPU has no tensor cores");
  const Operands own{{a[0], a[1], a[2], a[3]}, {b[0], b[1]}};
  const auto& lanes = block.exchange(own, {"multiply_add", file, line});
  const int row = block.lane() / 4, column = block.lane() % 4 * 2;
  float rows[2][2 * kHalf], columns[2][2 * kHalf];
  for (int k = 0; k < 2 * kHalf; ++k) {
    const int lane = k % kHalf / kPerRegister, half = k / kHalf;
    const auto of_row = detail::part_of<Operands>(lanes, row * 4 + lane);
    for (int i = 0; i < 2; ++i) {
      const auto of_column = detail::part_of<Operands>(lanes, (column + i) * 4 + lane);
      rows[i][k] = detail::number_in<T>(of_row.a[i + 2 * half], k % kPerRegister);
      columns[i][k] = detail::number_in<T>(of_column.b[half], k % kPerRegister);
    }
  }
  for (int i = 0; i < 4; ++i) {
    for (int k = 0; k < 2 * kHalf; ++k) sum[i] += rows[i / 2][k] * columns[i % 2][k];
  }
}

}  // namespace slotcon::emulation
