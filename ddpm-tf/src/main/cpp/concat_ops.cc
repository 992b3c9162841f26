// The operations DdpmConcat, of the channels of two images, and its gradient DdpmConcatGrad.
#include <cstring>

#include "op_context.h"

namespace ddpm {
namespace {

// Pixels that are copied in one go.
constexpr long kPixels = 4096;

void* Create(TF_OpKernelConstruction* construction) {
  return NewAttributes<int64_t>(construction, [&](int64_t* first, TF_Status* status) {
    TF_OpKernelConstruction_GetAttrInt64(construction, "first", first, status);
  });
}

void Destroy(void* first) { std::free(first); }

// Calls copy(pixel) for all of them.
template <typename F>
void ForAllPixels(long pixels, F copy) {
  auto part = [&](long i) {
    const long end = (i + 1) * kPixels < pixels ? (i + 1) * kPixels : pixels;
    for (long pixel = i * kPixels; pixel < end; pixel++) {
      copy(pixel);
    }
    return true;
  };
  For((pixels + kPixels - 1) / kPixels, true, part);
}

template <typename T>
void Compute(void*, TF_OpKernelContext* tf_context) {
  Context context(tf_context);
  const Tensor a = context.Input(0);
  const Tensor b = context.Input(1);
  context.Check(a.rank == 4 && b.rank == 4, "both must be [images, height, width, channels]");
  for (int d = 0; d < 3; d++) {
    context.Check(a.dims[d] == b.dims[d], "both must have one shape but for the channels");
  }
  const long first = a.dims[3];
  const long second = b.dims[3];
  const int64_t dims[] = {a.dims[0], a.dims[1], a.dims[2], first + second};
  const Tensor y = context.Output(0, kDataType<T>, sizeof(T), dims, 4);
  if (!context.ok()) {
    return;
  }
  const auto* from_a = a.values<const T>();
  const auto* from_b = b.values<const T>();
  auto* to = y.values<T>();
  ForAllPixels(dims[0] * dims[1] * dims[2], [&](long i) {
    std::memcpy(to + i * (first + second), from_a + i * first, first * sizeof(T));
    std::memcpy(to + i * (first + second) + first, from_b + i * second, second * sizeof(T));
  });
}

template <typename T>
void ComputeGradient(void* attribute, TF_OpKernelContext* tf_context) {
  const long first = *static_cast<int64_t*>(attribute);
  Context context(tf_context);
  const Tensor dy = context.Input(0);
  context.Check(dy.rank == 4, "dy must be [images, height, width, channels]");
  context.Check(first >= 0 && first <= dy.dims[3], "the first must not have more channels than both");
  const long second = dy.dims[3] - first;
  const int64_t first_dims[] = {dy.dims[0], dy.dims[1], dy.dims[2], first};
  const int64_t second_dims[] = {dy.dims[0], dy.dims[1], dy.dims[2], second};
  const Tensor da = context.Output(0, kDataType<T>, sizeof(T), first_dims, 4);
  const Tensor db = context.Output(1, kDataType<T>, sizeof(T), second_dims, 4);
  if (!context.ok()) {
    return;
  }
  const auto* from = dy.values<const T>();
  auto* to_a = da.values<T>();
  auto* to_b = db.values<T>();
  ForAllPixels(dy.dims[0] * dy.dims[1] * dy.dims[2], [&](long i) {
    std::memcpy(to_a + i * first, from + i * (first + second), first * sizeof(T));
    std::memcpy(to_b + i * second, from + i * (first + second) + first, second * sizeof(T));
  });
}

// The channels are known where both of them are.
void Shapes(TF_ShapeInferenceContext* context, TF_Status* status) {
  TF_ShapeHandle* a = TF_NewShapeHandle();
  TF_ShapeHandle* b = TF_NewShapeHandle();
  TF_DimensionHandle* first = TF_NewDimensionHandle();
  TF_DimensionHandle* second = TF_NewDimensionHandle();
  auto ok = [&]() { return TF_GetCode(status) == TF_OK; };
  TF_ShapeInferenceContextGetInput(context, 0, a, status);
  if (ok()) {
    TF_ShapeInferenceContextGetInput(context, 1, b, status);
  }
  if (ok()) {
    TF_ShapeInferenceContextWithRank(context, a, 4, a, status);
  }
  if (ok()) {
    TF_ShapeInferenceContextWithRank(context, b, 4, b, status);
  }
  if (ok()) {
    TF_ShapeInferenceContextDim(context, a, 3, first);
    TF_ShapeInferenceContextDim(context, b, 3, second);
    if (TF_DimensionHandleValueKnown(first) && TF_DimensionHandleValueKnown(second)) {
      TF_ShapeHandle* channels = TF_ShapeInferenceContextVectorFromSize(
          context, TF_DimensionHandleValue(first) + TF_DimensionHandleValue(second));
      TF_ShapeInferenceContextSubshape(context, a, 0, 3, a, status);
      if (ok()) {
        TF_ShapeInferenceContextConcatenateShapes(context, a, channels, a, status);
      }
      if (ok()) {
        TF_ShapeInferenceContextSetOutput(context, 0, a, status);
      }
      TF_DeleteShapeHandle(channels);
    } else {
      TF_ShapeInferenceContextSetUnknownShape(context, status);
    }
  }
  TF_DeleteShapeHandle(a);
  TF_DeleteShapeHandle(b);
  TF_DeleteDimensionHandle(first);
  TF_DeleteDimensionHandle(second);
}

}  // namespace

void RegisterConcat(TF_Status* status) {
  const char* const attributes[] = {"first: int", nullptr};
  const char* const inputs[] = {"a: T", "b: T", nullptr};
  const char* const outputs[] = {"y: T", nullptr};
  Define("DdpmConcat", inputs, outputs, attributes, Shapes, status);
  Implement("DdpmConcat", TF_FLOAT, Create, Compute<float>, Destroy, status);
  Implement("DdpmConcat", TF_BFLOAT16, Create, Compute<BFloat16>, Destroy, status);
  const char* const grad_inputs[] = {"dy: T", nullptr};
  const char* const grad_outputs[] = {"da: T", "db: T", nullptr};
  Define("DdpmConcatGrad", grad_inputs, grad_outputs, attributes, UnknownShapes, status);
  Implement("DdpmConcatGrad", TF_FLOAT, Create, ComputeGradient<float>, Destroy, status);
  Implement("DdpmConcatGrad", TF_BFLOAT16, Create, ComputeGradient<BFloat16>, Destroy, status);
}

}  // namespace ddpm
