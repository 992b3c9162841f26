// Compiled once per instruction set, with KERNELS naming the table.
#include "kernels.h"

#include "attention_kernels.h"
#include "conv_tile_kernels.h"
#include "group_norm_kernels.h"

namespace ddpm {

#define DDPM_KERNELS_OF(T)                                                                                            \
  {                                                                                                                   \
    ComputeStatistics<T>, NormalizeBackward<T>, {PackedSize<T>, Pack<T>, GrainOf<T>, Run<T>, Gradient<T>}, Attend<T>, \
        AttendBackward<T>                                                                                             \
  }

const Kernels KERNELS = {DDPM_KERNELS_OF(float), DDPM_KERNELS_OF(BFloat16)};

}  // namespace ddpm
