// Group normalization as part of operations.
#ifndef DDPM_GROUP_NORM_OPS_H_
#define DDPM_GROUP_NORM_OPS_H_

#include <algorithm>

#include "op_context.h"

namespace ddpm {

// Of x [images, height, width, channels], with inputs 1 to 3: shift, gamma, beta.
GroupNorm ReadNorm(Context& context, const Tensor& x, int64_t groups, float epsilon, bool silu);

// An image's normalization as x * scale + offset; both [images, channels].
void Coefficients(const GroupNorm& norm, const float* statistics, long image, float* scale, float* offset);

// Runs one pass over all images: image by image if there are enough of them, else some groups at a time.
template <typename Pass>
bool ForAllImages(bool (*function)(const Pass&, long image, long from, long to), const Pass& pass, long images) {
  const GroupNorm& norm = pass.norm;
  const bool parallel = images * norm.pixels * norm.channels >= kSerialValues;
  const long parts = parallel && images < 2 * Parallelism() ? std::min<long>(norm.groups, Parallelism()) : 1;
  auto part = [&](long i) {
    return function(pass, i / parts, i % parts * norm.groups / parts, (i % parts + 1) * norm.groups / parts);
  };
  return For(images * parts, parallel, part);
}

}  // namespace ddpm

#endif  // DDPM_GROUP_NORM_OPS_H_
