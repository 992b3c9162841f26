// Numbers in float32 and bfloat16, and the functions of them that loops need. For use inside one instruction set's
// sources: everything has internal linkage, because two of them must not share code.
#ifndef DDPM_NUMBERS_H_
#define DDPM_NUMBERS_H_

#include <cstdint>
#include <cstring>

#include "kernels.h"

// Before a loop whose turns don't depend on each other, whatever the compiler can prove of its pointers.
#ifdef __clang__
#define DDPM_INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#else
#define DDPM_INDEPENDENT _Pragma("GCC ivdep")
#endif

namespace ddpm {
namespace {

inline float Load(float x) { return x; }

inline float Load(BFloat16 x) {
  uint32_t bits = static_cast<uint32_t>(x.bits) << 16;
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

inline void Store(float* to, float value) { *to = value; }

// The bits of a float32 whose upper half is the nearest bfloat16, ties to even.
inline uint32_t RoundedBits(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  // Adding could carry a NaN over to zero.
  return (bits & 0x7fffffff) > 0x7f800000 ? 0x7fc00000 : bits + 0x7fff + ((bits >> 16) & 1);
}

inline void Store(BFloat16* to, float value) { to->bits = static_cast<uint16_t>(RoundedBits(value) >> 16); }

// exp(x) of a float or a vector of them, within 2e-7 relative; at least 2^-126, at most 2^126; NaN stays NaN. Bits is
// uint32_t or a vector of it.
template <typename Float, typename Bits>
inline __attribute__((always_inline)) Float ExpOf(Float x) {
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding it leaves a whole number in the low bits
  Float power = x * 1.44269504088896341f;
  power = power > 126.0f ? Float{} + 126.0f : power;
  power = power < -126.0f ? Float{} - 126.0f : power;
  Float shifted = power + kRound;
  Float fraction = power - (shifted - kRound);
  Bits whole;
  std::memcpy(&whole, &shifted, sizeof whole);
  // 2^fraction on [-1/2, 1/2]: the Taylor series of exp(fraction * ln 2) up to the sixth power.
  Float p = Float{} + 1.5403530393381609e-4f;
  p = p * fraction + 1.3333558146428443e-3f;
  p = p * fraction + 9.6181291076284772e-3f;
  p = p * fraction + 5.5504108664821580e-2f;
  p = p * fraction + 2.4022650695910071e-1f;
  p = p * fraction + 6.9314718055994531e-1f;
  p = p * fraction + 1.0f;
  Bits exponent = (whole + 127) << 23;
  Float scale;
  std::memcpy(&scale, &exponent, sizeof scale);
  return p * scale;
}

// 1 / (1 + exp(-z)).
inline float Sigmoid(float z) { return 1.0f / (1.0f + ExpOf<float, uint32_t>(-z)); }

}  // namespace
}  // namespace ddpm

#endif  // DDPM_NUMBERS_H_
