// What the operations of convolution are given: attributes, a filter, and what the source goes through first.
#ifndef DDPM_CONV_OPS_H_
#define DDPM_CONV_OPS_H_

#include <pthread.h>

#include <cstdlib>

#include "group_norm_ops.h"

namespace ddpm {
namespace {

// All operations have the same ones.
struct Attributes {
  int64_t padding;
  int64_t down;
  int64_t up;
  int64_t groups;  // 0 for no normalization
  float epsilon;
  unsigned char silu;
  unsigned char frozen;
  // What is packed of a filter that never changes, and its sizes.
  pthread_mutex_t mutex;
  void* packed;
  size_t packed_bytes;
  int packed_kernel;
  long packed_in;
  long packed_out;

  Geometry geometry(int kernel) const {
    return {kernel, static_cast<int>(padding), static_cast<int>(down), static_cast<int>(up)};
  }
};

// Weights as convolutions have them, [kernel, kernel, in, out], or linear layers, [out, in].
struct Filter {
  const float* values;
  int kernel;
  long in;
  long out;
  bool linear;
};

const char kImages[] = "x must be [images, height, width, channels]";
const char kGradients[] = "dy must be [images, height, width, channels]";
const char kFilterTakesX[] = "the filter must take the channels of x";
const char kEven[] = "height and width must be even to be halved";

const char* const kAttributes[] = {"padding: int",   "down: int",  "up: int",      "groups: int",
                                   "epsilon: float", "silu: bool", "frozen: bool", nullptr};

void* Create(TF_OpKernelConstruction* construction) {
  return NewAttributes<Attributes>(construction, [&](Attributes* attributes, TF_Status* status) {
    pthread_mutex_init(&attributes->mutex, nullptr);
    auto ok = [&]() { return TF_GetCode(status) == TF_OK; };
    auto read = [&](auto function, const char* name, auto* value) {
      if (ok()) {
        function(construction, name, value, status);
      }
    };
    read(TF_OpKernelConstruction_GetAttrInt64, "padding", &attributes->padding);
    read(TF_OpKernelConstruction_GetAttrInt64, "down", &attributes->down);
    read(TF_OpKernelConstruction_GetAttrInt64, "up", &attributes->up);
    read(TF_OpKernelConstruction_GetAttrInt64, "groups", &attributes->groups);
    read(TF_OpKernelConstruction_GetAttrFloat, "epsilon", &attributes->epsilon);
    read(TF_OpKernelConstruction_GetAttrBool, "silu", &attributes->silu);
    read(TF_OpKernelConstruction_GetAttrBool, "frozen", &attributes->frozen);
    if (ok() &&
        !(attributes->padding >= 0 && attributes->padding <= 1 && attributes->down >= 1 && attributes->down <= 2 &&
          attributes->up >= 1 && attributes->up <= 2 && attributes->down * attributes->up <= 2)) {
      TF_SetStatus(status, TF_INVALID_ARGUMENT, "padding must be 0 or 1, down and up 1 or 2, and not both 2");
    }
    if (ok() && attributes->groups < 0) {
      TF_SetStatus(status, TF_INVALID_ARGUMENT, "groups must be at least 0");
    }
  });
}

void Destroy(void* state) {
  auto* attributes = static_cast<Attributes*>(state);
  if (attributes != nullptr) {
    std::free(attributes->packed);
    pthread_mutex_destroy(&attributes->mutex);
    std::free(attributes);
  }
}

Filter ReadFilter(Context& context, int input) {
  const Tensor tensor = context.Input(input);
  const int64_t* dims = tensor.dims;
  const bool linear = tensor.rank == 2;
  context.Check(linear || (tensor.rank == 4 && dims[0] == dims[1] && dims[0] >= 1 && dims[0] <= 3),
                "the filter must be [kernel, kernel, in, out] with a kernel of 1 to 3, or [out, in]");
  if (!context.ok()) {
    return {};
  }
  const auto* values = tensor.values<const float>();
  return linear ? Filter{values, 1, dims[1], dims[0], true}
                : Filter{values, static_cast<int>(dims[0]), dims[2], dims[3], false};
}

// [rows, columns] to [columns, rows].
void Transpose(const float* from, long rows, long columns, float* to) {
  for (long r = 0; r < rows; r++) {
    for (long c = 0; c < columns; c++) {
      to[c * rows + r] = from[r * columns + c];
    }
  }
}

// Normalization and activation of what a convolution reads.
struct Prologue {
  bool has;
  GroupNorm norm;
  Activation activation;
};

Prologue ReadPrologue(Context& context, const Attributes& attributes, const Tensor& x) {
  Prologue prologue = {};
  prologue.has = attributes.groups > 0;
  if (prologue.has) {
    prologue.norm = ReadNorm(context, x, attributes.groups, attributes.epsilon, attributes.silu != 0);
    prologue.activation.silu = attributes.silu != 0;
  }
  return prologue;
}

}  // namespace
}  // namespace ddpm

#endif  // DDPM_CONV_OPS_H_
