// Group normalization as part of operations.
#ifndef DDPM_GROUP_NORM_OPS_H_
#define DDPM_GROUP_NORM_OPS_H_

#include "op_context.h"

namespace ddpm {

// Of x [images, height, width, channels], with inputs 1 to 3: shift, gamma, beta.
GroupNorm ReadNorm(Context& context, TF_Tensor* x, int64_t groups, float epsilon, bool silu, long* images);

// An image's normalization as x * scale + offset; both [images, channels].
void Coefficients(const GroupNorm& norm, const float* statistics, long image, float* scale, float* offset);

// Runs one pass over all images: image by image if there are enough of them, else some groups at a time.
template <typename Pass>
void ForAllImages(void (*function)(const Pass&, long image, long from, long to), const Pass& pass, long images) {
  const GroupNorm& norm = pass.norm;
  if (images * norm.pixels * norm.channels < kSerialValues) {
    for (long image = 0; image < images; image++) {
      function(pass, image, 0, norm.groups);
    }
    return;
  }
  const long threads = Parallelism();
  long parts = 1;
  if (images < 2 * threads) {
    parts = norm.groups < threads ? norm.groups : threads;
  }
  auto part = [&](long i) {
    function(pass, i / parts, i % parts * norm.groups / parts, (i % parts + 1) * norm.groups / parts);
  };
  ParallelFor(images * parts, part);
}

}  // namespace ddpm

#endif  // DDPM_GROUP_NORM_OPS_H_
