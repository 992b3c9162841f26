// Group normalization (Wu and He 2018) of images, with what stands around it in a U-Net: a shift per channel before
// it, SiLU after it. One image, or some groups of one image, at a time, so that what one pass read is still in the
// cache for the next.
#ifndef DDPM_GROUP_NORM_H_
#define DDPM_GROUP_NORM_H_

namespace ddpm {

// Rows of one float per channel: one row for each image, or one row for all, or none at all.
struct PerChannel {
  const float* values;
  long stride;  // between the rows of two images; 0 if they share one
};

namespace {

// With internal linkage, because the sources of two instruction sets must not share code.
inline const float* RowOf(const PerChannel& rows, long image) { return rows.values + image * rows.stride; }

}  // namespace

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
struct Statistics {
  GroupNorm norm;
  const T* x;         // [images, pixels, channels]
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

}  // namespace ddpm

#endif  // DDPM_GROUP_NORM_H_
