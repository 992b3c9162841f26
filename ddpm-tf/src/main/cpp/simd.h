// Vectors of float32 as wide as the instruction set has them.
#ifndef DDPM_SIMD_H_
#define DDPM_SIMD_H_

#ifdef __AVX512F__
#include <immintrin.h>
#endif

#include <cstdint>
#include <cstring>

#include "kernels.h"
#include "numbers.h"

namespace ddpm {
namespace {

#if defined(__AVX512F__)
constexpr int kLanes = 16;
#elif defined(__AVX__)
constexpr int kLanes = 8;
#else
constexpr int kLanes = 4;
#endif

// Whether there are 32 registers of them, or 16.
#if defined(__AVX512F__) || defined(__aarch64__)
constexpr bool kManyRegisters = true;
#else
constexpr bool kManyRegisters = false;
#endif

typedef float Vector __attribute__((vector_size(kLanes * sizeof(float))));
typedef Vector AlignedVector __attribute__((may_alias));
typedef uint32_t Bits __attribute__((vector_size(kLanes * sizeof(float))));
typedef uint16_t Halves __attribute__((vector_size(kLanes * sizeof(uint16_t))));

inline Vector LoadVector(const float* from) {
  Vector v;
  std::memcpy(&v, from, sizeof v);
  return v;
}

// bfloat16 in the lower halves.
inline Bits LoadBits(const BFloat16* from) {
  Halves halves;
  std::memcpy(&halves, from, sizeof halves);
  return __builtin_convertvector(halves, Bits);
}

inline Vector LoadVector(const BFloat16* from) { return (Vector)(LoadBits(from) << 16); }

// The nearest bfloat16, ties to even, in the lower halves.
inline Bits Rounded(Vector v) {
#ifdef __AVX512BF16__
  // GCC 12 warns of an undefined register in the function that needs no mask.
  return (Bits)_mm512_maskz_cvtepu16_epi32(0xffff, (__m256i)_mm512_cvtneps_pbh((__m512)v));
#else
  Bits bits = (Bits)v;
  // Adding could carry a NaN over to zero.
  return ((bits & 0x7fffffff) > 0x7f800000 ? Bits{} + 0x7fc00000 : bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
#endif
}

inline void StoreVector(float* to, Vector v) { std::memcpy(to, &v, sizeof v); }

inline void StoreVector(BFloat16* to, Vector v) {
  Halves halves = __builtin_convertvector(Rounded(v), Halves);
  std::memcpy(to, &halves, sizeof halves);
}

inline float Sum(Vector v) {
  float sum = 0;
  for (int i = 0; i < kLanes; i++) {
    sum += v[i];
  }
  return sum;
}

inline Vector Exp(Vector x) { return ExpOf<Vector, Bits>(x); }

// z / (1 + exp(-z)), as exactly as T needs it.
template <typename T>
inline Vector Silu(Vector z) {
#ifdef __AVX512F__
  // The same series as in ExpOf. This instruction set multiplies by powers of two at once, and has no need to bound
  // them.
  constexpr __mmask16 kAll = 0xffff;  // for the same warning as above
  constexpr bool kShort = sizeof(T) == sizeof(BFloat16);
  const Vector power = z * -1.44269504088896341f;
  const Vector whole =
      (Vector)_mm512_maskz_roundscale_ps(kAll, (__m512)power, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  const Vector fraction = power - whole;
  Vector p = Vector{} + 9.6181291076284772e-3f;
  if (!kShort) {
    p += (fraction * 1.5403530393381609e-4f + 1.3333558146428443e-3f) * fraction;
  }
  p = p * fraction + 5.5504108664821580e-2f;
  p = p * fraction + 2.4022650695910071e-1f;
  p = p * fraction + 6.9314718055994531e-1f;
  p = p * fraction + 1.0f;
  const Vector divisor = 1.0f + (Vector)_mm512_maskz_scalef_ps(kAll, (__m512)p, (__m512)whole);
  // Within 2^-14, where the result is rounded to 2^-9.
  return kShort ? z * (Vector)_mm512_maskz_rcp14_ps(kAll, (__m512)divisor) : z / divisor;
#else
  return z / (1.0f + Exp(-z));
#endif
}

}  // namespace
}  // namespace ddpm

#endif  // DDPM_SIMD_H_
