// What operations for TensorFlow's C API have in common.
#ifndef DDPM_OP_CONTEXT_H_
#define DDPM_OP_CONTEXT_H_

#include <cstdlib>

#include "group_norm.h"
#include "kernels.h"
#include "tensorflow_c.h"
#include "workers.h"

namespace ddpm {

// Values and multiplications below which a second thread costs more than it saves.
constexpr long kSerialValues = 32768;
constexpr double kSerialProducts = 5e5;

// Values that a tensor of images without any would have if none of its sizes were 0; more take minutes to count.
constexpr int64_t kMostOfNone = int64_t{1} << 31;

template <typename T>
inline constexpr TF_DataType kDataType = TF_FLOAT;
template <>
inline constexpr TF_DataType kDataType<BFloat16> = TF_BFLOAT16;

// Those for this processor.
template <typename T>
const KernelsOf<T>& KernelsFor();

// A tensor of an operation that runs. No reference to its memory is held: the operation has one of each input and
// output while it runs, and TensorFlow gives an input's memory to an output only where nobody else has one.
struct Tensor {
  int rank = 0;
  int64_t dims[4] = {};  // the first of them
  int64_t size = 0;
  void* data = nullptr;

  template <typename T>
  T* values() const {
    return static_cast<T*>(data);
  }
};

// A kernel's view of its operation: its tensors, and the first thing that went wrong, after which they are empty.
class Context {
 public:
  explicit Context(TF_OpKernelContext* context) : context_(context), status_(TF_NewStatus()) {}

  ~Context() {
    if (!ok()) {
      TF_OpKernelContext_Failure(context_, status_);
    }
    TF_DeleteStatus(status_);
  }
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  bool ok() const { return TF_GetCode(status_) == TF_OK; }

  void Check(bool condition, const char* message) { Check(condition, TF_INVALID_ARGUMENT, message); }

  void CheckMemory(bool enough) { Check(enough, TF_RESOURCE_EXHAUSTED, "out of memory"); }

  Tensor Input(int i) {
    const Tensor tensor = Look(InputHandle(i));
    int64_t values = 1;
    for (int d = 0; d < 4 && tensor.size == 0 && tensor.dims[0] > 0; d++) {
      Check(tensor.dims[d] <= kMostOfNone / values, "a tensor without values must not have such large sizes");
      values *= ok() && tensor.dims[d] > 0 ? tensor.dims[d] : 1;
    }
    return tensor;
  }

  Tensor Output(int i, TF_DataType type, size_t size, const int64_t* dims, int dim_count) {
    size_t bytes = size;
    bool fits = true;
    for (int d = 0; d < dim_count; d++) {
      // TensorFlow ends the process where it meets such sizes.
      fits = fits && dims[d] >= 0 && !__builtin_mul_overflow(bytes, static_cast<size_t>(dims[d]), &bytes);
    }
    Check(fits && bytes <= SIZE_MAX / 2, "an output must have sizes of at least 0, and fewer than 2^63 bytes");
    return Look(ok() ? TF_AllocateOutput(context_, i, type, dims, dim_count, bytes, status_) : nullptr);
  }

  // An image output with the memory of an input of the same type, if that fits and nobody else needs it. Then each of
  // the input's values may be read until the output's is written in its place.
  Tensor OutputFrom(int i, int input, const int64_t* dims) {
    int forwarded;
    return Look(ok() ? TF_ForwardInputOrAllocateOutput(context_, &input, 1, i, dims, 4, &forwarded, status_) : nullptr);
  }

  // Makes an input an output, too.
  void Pass(int i, int input) {
    TF_Tensor* handle = InputHandle(input);
    Give(i, handle);
    Look(handle);
  }

  // Makes a tensor that somebody keeps an output.
  void Give(int i, const TF_Tensor* tensor) {
    if (ok()) {
      TF_SetOutput(context_, i, tensor, status_);
    }
  }

  // Rows of one float per channel: [1, channels] or [images, channels], or nothing at all if `optional`.
  PerChannel Rows(int input, long images, long channels, bool optional) {
    const Tensor tensor = Input(input);
    Check(tensor.rank == 2, "shift, gamma and beta must be [images, channels]");
    const long rows = tensor.dims[0];
    if (optional && rows == 0) {
      return {nullptr, 0};
    }
    Check(rows == 1 || rows == images, "shift, gamma and beta must have one row or one for each image");
    Check(tensor.dims[1] == channels, "shift, gamma and beta must have the channels of x");
    return {tensor.values<const float>(), rows == 1 ? 0 : channels};
  }

 private:
  void Check(bool condition, TF_Code code, const char* message) {
    if (ok() && !condition) {
      TF_SetStatus(status_, code, message);
    }
  }

  TF_Tensor* InputHandle(int i) {
    TF_Tensor* handle = nullptr;
    if (ok()) {
      TF_GetInput(context_, i, &handle, status_);
    }
    return handle;
  }

  // What a handle stands for. The handle, which is a reference, is given back.
  static Tensor Look(TF_Tensor* handle) {
    Tensor tensor;
    if (handle != nullptr) {
      tensor.rank = TF_NumDims(handle);
      tensor.size = 1;
      for (int d = 0; d < tensor.rank; d++) {
        const int64_t dim = TF_Dim(handle, d);
        tensor.size *= dim;
        if (d < 4) {
          tensor.dims[d] = dim;
        }
      }
      tensor.data = TF_TensorData(handle);
      TF_DeleteTensor(handle);
    }
    return tensor;
  }

  TF_OpKernelContext* context_;
  TF_Status* status_;
};

// Memory that an operation needs while it runs.
template <typename T>
class Memory {
 public:
  Memory(Context& context, size_t count) : values_(static_cast<T*>(std::malloc(count * sizeof(T) + 1))) {
    context.CheckMemory(values_ != nullptr);
  }
  ~Memory() { std::free(values_); }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  T* get() { return values_; }

 private:
  T* values_;
};

// An operation's attributes, zeros until read(status) has set them; null, and the construction failed, if there is no
// memory for them. To be freed.
template <typename T, typename Read>
T* NewAttributes(TF_OpKernelConstruction* construction, Read read) {
  auto* attributes = static_cast<T*>(std::calloc(1, sizeof(T)));
  TF_Status* status = TF_NewStatus();
  if (attributes == nullptr) {
    TF_SetStatus(status, TF_RESOURCE_EXHAUSTED, "out of memory");
  } else {
    read(attributes, status);
  }
  if (TF_GetCode(status) != TF_OK) {
    TF_OpKernelConstruction_Failure(construction, status);
  }
  TF_DeleteStatus(status);
  return attributes;
}

// TensorFlow computes no constants of what is stateful.
void Define(const char* name, const char* const* inputs, const char* const* outputs, const char* const* attributes,
            void (*shapes)(TF_ShapeInferenceContext*, TF_Status*), TF_Status* status, bool stateful = false);

// For outputs whose shapes nobody asks for.
void UnknownShapes(TF_ShapeInferenceContext* context, TF_Status* status);

void Implement(const char* name, TF_DataType type, void* (*create)(TF_OpKernelConstruction*),
               void (*compute)(void*, TF_OpKernelContext*), void (*destroy)(void*), TF_Status* status);

void RegisterAttention(TF_Status* status);
void RegisterConcat(TF_Status* status);
void RegisterConv(TF_Status* status);
void RegisterGroupNorm(TF_Status* status);
void RegisterWeight(TF_Status* status);

}  // namespace ddpm

#endif  // DDPM_OP_CONTEXT_H_
