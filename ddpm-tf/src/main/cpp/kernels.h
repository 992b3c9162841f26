// What is compiled once for each instruction set.
#ifndef DDPM_KERNELS_H_
#define DDPM_KERNELS_H_

#include <cstdint>

#include "attention.h"
#include "conv.h"

namespace ddpm {

// The upper half of a float32.
struct BFloat16 {
  uint16_t bits;
};

template <typename T>
struct Statistics;
template <typename T>
struct Backward;

// For images of one type. Normalization works on the groups [from, to) of one image. All return whether they had the
// memory that they need.
template <typename T>
struct KernelsOf {
  bool (*statistics)(const Statistics<T>&, long image, long from, long to);
  bool (*backward)(const Backward<T>&, long image, long from, long to);
  ConvKernels<T> conv;
  // Of one head of one image.
  bool (*attention)(const Attention<T>&, long image, long head);
  bool (*attention_gradient)(const AttentionGradient<T>&, long image, long head);
};

struct Kernels {
  KernelsOf<float> float32;
  KernelsOf<BFloat16> bfloat16;
};

extern const Kernels kKernelsBase;
#ifdef __x86_64__
extern const Kernels kKernelsAvx2;
extern const Kernels kKernelsAvx512;
extern const Kernels kKernelsAvx512Bf16;
#endif

}  // namespace ddpm

#endif  // DDPM_KERNELS_H_
