// Vectors of float32 as wide as the instruction set has them.
#ifndef DDPM_SIMD_H_
#define DDPM_SIMD_H_

#ifdef __AVX512F__
#include <immintrin.h>
#endif

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

}  // namespace
}  // namespace ddpm

#endif  // DDPM_SIMD_H_
