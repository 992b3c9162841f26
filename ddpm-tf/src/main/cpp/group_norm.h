// Group normalization (Wu and He 2018) of images, with what stands around it in a U-Net: a shift per channel before
// it, SiLU after it. One image, or some groups of one image, at a time, so that what one pass read is still in the
// cache for the next.
#ifndef DDPM_GROUP_NORM_H_
#define DDPM_GROUP_NORM_H_

#include <cstdint>

namespace ddpm {

// The upper half of a float32.
struct BFloat16 {
  uint16_t bits;
};

// Rows of one float per channel: one row for each image, or one row for all, or none at all.
struct PerChannel {
  const float* values;
  long stride;  // between the rows of two images; 0 if they share one

  const float* row(long image) const { return values + image * stride; }
};

// z = gamma * xhat + beta, xhat = (x + shift - mean) * rstd; y = silu ? z * sigmoid(z) : z.
struct GroupNorm {
  long pixels;
  long channels;
  long groups;  // divides channels
  double epsilon;
  bool silu;
  PerChannel shift;  // values is null for none
  PerChannel gamma;
  PerChannel beta;
};

template <typename T>
struct Forward {
  GroupNorm norm;
  const T* x;         // [images, pixels, channels]
  T* y;               // may be x
  float* statistics;  // [images, groups, (mean, rstd)]
};

template <typename T>
struct Backward {
  GroupNorm norm;
  const T* x;
  const float* statistics;
  const T* dy;
  const T* added;  // to be added to dx; null for none
  T* dx;           // may be dy
  // The gradients of each image, [images, channels].
  float* dshift;  // null for none
  float* dgamma;
  float* dbeta;
};

// The same functions, compiled for different instruction sets. Each works on the groups [from, to) of one image.
struct Kernels {
  const char* name;
  void (*forward)(const Forward<float>&, long image, long from, long to);
  void (*forward_bfloat16)(const Forward<BFloat16>&, long image, long from, long to);
  void (*backward)(const Backward<float>&, long image, long from, long to);
  void (*backward_bfloat16)(const Backward<BFloat16>&, long image, long from, long to);
};

extern const Kernels kKernelsBase;
#ifdef __x86_64__
extern const Kernels kKernelsAvx2;
extern const Kernels kKernelsAvx512;
#endif

}  // namespace ddpm

#endif  // DDPM_GROUP_NORM_H_
