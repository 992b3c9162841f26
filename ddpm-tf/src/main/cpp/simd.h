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

inline Vector Silu(Vector z) { return z / (1.0f + Exp(-z)); }

}  // namespace
}  // namespace ddpm

#endif  // DDPM_SIMD_H_
