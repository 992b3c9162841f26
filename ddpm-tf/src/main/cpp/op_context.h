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

template <typename T>
inline constexpr TF_DataType kDataType = TF_FLOAT;
template <>
inline constexpr TF_DataType kDataType<BFloat16> = TF_BFLOAT16;

// Those for this processor.
template <typename T>
const KernelsOf<T>& KernelsFor();

// A kernel's view of its operation: its tensors, freed at the end, and the first thing that went wrong.
class Context {
 public:
  explicit Context(TF_OpKernelContext* context) : context_(context), status_(TF_NewStatus()) {}

  ~Context() {
    if (!ok()) {
      TF_OpKernelContext_Failure(context_, status_);
    }
    for (int i = 0; i < count_; i++) {
      TF_DeleteTensor(tensors_[i]);
    }
    TF_DeleteStatus(status_);
  }
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  bool ok() const { return TF_GetCode(status_) == TF_OK; }

  void Check(bool condition, const char* message) {
    if (ok() && !condition) {
      TF_SetStatus(status_, TF_INVALID_ARGUMENT, message);
    }
  }

  TF_Tensor* Input(int i) {
    TF_Tensor* tensor = nullptr;
    if (ok()) {
      TF_GetInput(context_, i, &tensor, status_);
    }
    return Keep(tensor);
  }

  TF_Tensor* Output(int i, TF_DataType type, size_t size, const int64_t* dims, int dim_count) {
    size_t bytes = size;
    for (int d = 0; d < dim_count; d++) {
      bytes *= dims[d];
    }
    return Keep(ok() ? TF_AllocateOutput(context_, i, type, dims, dim_count, bytes, status_) : nullptr);
  }

  // An image output with the memory of an input of the same type, if that fits and nobody else needs it.
  TF_Tensor* OutputFrom(int i, int input, const int64_t* dims) {
    int forwarded;
    return Keep(ok() ? TF_ForwardInputOrAllocateOutput(context_, &input, 1, i, dims, 4, &forwarded, status_) : nullptr);
  }

  TF_Tensor* OutputLike(int i, int input, TF_Tensor* like) {
    int64_t dims[4];
    for (int d = 0; ok() && d < 4; d++) {
      dims[d] = TF_Dim(like, d);
    }
    return OutputFrom(i, input, dims);
  }

  static int64_t Size(const TF_Tensor* tensor) {
    int64_t size = 1;
    for (int d = 0; d < TF_NumDims(tensor); d++) {
      size *= TF_Dim(tensor, d);
    }
    return size;
  }

  void Pass(int i, TF_Tensor* tensor) {
    if (ok()) {
      TF_SetOutput(context_, i, tensor, status_);
    }
  }

  // Rows of one float per channel: [1, channels] or [images, channels], or nothing at all if `optional`.
  PerChannel Rows(int input, long images, long channels, bool optional) {
    TF_Tensor* tensor = Input(input);
    if (!ok()) {
      return {nullptr, 0};
    }
    Check(TF_NumDims(tensor) == 2, "shift, gamma and beta must be [images, channels]");
    if (!ok()) {
      return {nullptr, 0};
    }
    long rows = TF_Dim(tensor, 0);
    if (optional && rows == 0) {
      return {nullptr, 0};
    }
    Check(rows == 1 || rows == images, "shift, gamma and beta must have one row or one for each image");
    Check(TF_Dim(tensor, 1) == channels, "shift, gamma and beta must have the channels of x");
    return {static_cast<const float*>(TF_TensorData(tensor)), rows == 1 ? 0 : channels};
  }

 private:
  TF_Tensor* Keep(TF_Tensor* tensor) {
    if (tensor != nullptr) {
      tensors_[count_++] = tensor;
    }
    return tensor;
  }

  TF_OpKernelContext* context_;
  TF_Status* status_;
  TF_Tensor* tensors_[16];
  int count_ = 0;
};

// Memory that an operation needs while it runs.
template <typename T>
class Memory {
 public:
  Memory(Context& context, size_t count) : values_(static_cast<T*>(std::malloc(count * sizeof(T) + 1))) {
    context.Check(values_ != nullptr, "out of memory");
  }
  ~Memory() { std::free(values_); }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  T* get() { return values_; }

 private:
  T* values_;
};

void Define(const char* name, const char* const* inputs, const char* const* outputs, const char* const* attributes,
            void (*shapes)(TF_ShapeInferenceContext*, TF_Status*), TF_Status* status);

// For outputs whose shapes nobody asks for.
void UnknownShapes(TF_ShapeInferenceContext* context, TF_Status* status);

void Implement(const char* name, TF_DataType type, void* (*create)(TF_OpKernelConstruction*),
               void (*compute)(void*, TF_OpKernelContext*), void (*destroy)(void*), TF_Status* status);

void RegisterAttention(TF_Status* status);
void RegisterConcat(TF_Status* status);
void RegisterConv(TF_Status* status);
void RegisterGroupNorm(TF_Status* status);

}  // namespace ddpm

#endif  // DDPM_OP_CONTEXT_H_
