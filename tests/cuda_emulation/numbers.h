// The 16-bit floating types without the CUDA toolkit, and the rounding of TF32.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

namespace slotcon::emulation {

inline std::uint32_t bits_of(float value) {
  std::uint32_t bits = 0;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}
inline float float_of(std::uint32_t bits) {
  float value = 0;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

struct BFloat16 {
  std::uint16_t bits;
};
struct Float16 {
  std::uint16_t bits;
};

inline float to_float(float value) { return value; }
inline float to_float(BFloat16 value) { return float_of(std::uint32_t{value.bits} << 16); }

inline float to_float(Float16 value) {
  const std::uint32_t sign = (value.bits & 0x8000u) << 16, magnitude = value.bits & 0x7FFFu;
  const std::uint32_t exponent = magnitude >> 10;
  if (exponent == 0) {  // in units of the last place; exact
    return float_of(sign | bits_of(static_cast<float>(magnitude) * 0x1p-24f));
  }
  const std::uint32_t shift = exponent == 31 ? 255 - 31 : 127 - 15;  // infinity stays, and NaN
  return float_of(sign | ((magnitude << 13) + (shift << 23)));
}

/// To the nearest number of type T, ties to even.
template <class T>
T from_float(float value);

template <>
inline float from_float<float>(float value) {
  return value;
}

template <>
inline BFloat16 from_float<BFloat16>(float value) {
  if (std::isnan(value)) return {0x7FFF};
  const std::uint32_t bits = bits_of(value), tie_to_even = bits >> 16 & 1;
  return {static_cast<std::uint16_t>((bits + 0x7FFF + tie_to_even) >> 16)};
}

template <>
inline Float16 from_float<Float16>(float value) {
  const std::uint16_t sign = std::signbit(value) ? 0x8000 : 0;
  const auto signed_bits = [&](int magnitude) {
    return Float16{static_cast<std::uint16_t>(sign | magnitude)};
  };
  if (std::isnan(value)) return {0x7FFF};
  const float magnitude = std::fabs(value);
  if (magnitude >= 65520) return signed_bits(0x7C00);
  if (magnitude == 0) return signed_bits(0);
  int exponent = 0;
  std::frexp(magnitude, &exponent);               // magnitude < 2^exponent
  const int unit = std::max(exponent - 11, -24);  // of the last place
  const auto places = static_cast<int>(std::nearbyint(std::ldexp(magnitude, -unit)));
  return signed_bits(places + (unit + 24) * 1024);  // a carry goes into the exponent
}

/// The bits of the nearest TF32 number, ties away from zero. The tensor cores read no more of them.
constexpr std::uint32_t kTf32Bits = 0xFFFFE000u;
inline std::uint32_t to_tf32(float value) {
  return std::isfinite(value) ? (bits_of(value) + 0x1000) & kTf32Bits : bits_of(value);
}

}  // namespace slotcon::emulation
