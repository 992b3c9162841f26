// The operations DdpmAttention and DdpmAttentionGrad.
#include "op_context.h"

namespace ddpm {
namespace {

void* Create(TF_OpKernelConstruction* construction) {
  return NewAttributes<int64_t>(construction, [&](int64_t* heads, TF_Status* status) {
    TF_OpKernelConstruction_GetAttrInt64(construction, "heads", heads, status);
  });
}

void Destroy(void* heads) { std::free(heads); }

// Inputs 0 to 2: query, key, value.
template <typename T>
Attention<T> Read(Context& context, long heads, int64_t* dims) {
  Attention<T> op = {};
  const T* inputs[3] = {};
  for (int i = 0; i < 3; i++) {
    const Tensor tensor = context.Input(i);
    context.Check(tensor.rank == 4, "query, key and value must be [images, height, width, channels]");
    for (int d = 0; d < 4; d++) {
      dims[d] = i == 0 ? tensor.dims[d] : dims[d];
      context.Check(dims[d] == tensor.dims[d], "query, key and value must have one shape");
    }
    inputs[i] = tensor.values<const T>();
  }
  if (context.ok()) {
    context.Check(heads > 0 && dims[3] > 0 && dims[3] % heads == 0 && dims[1] * dims[2] > 0,
                  "the heads must divide the channels");
    op = {static_cast<long>(dims[1] * dims[2]),
          static_cast<long>(dims[3]),
          heads,
          inputs[0],
          inputs[1],
          inputs[2],
          nullptr};
  }
  return op;
}

template <typename Op, typename T>
bool ForAllHeads(bool (*function)(const Op&, long image, long head), const Op& op, const Attention<T>& shape,
                 long images) {
  auto work = [&](long i) { return function(op, i / shape.heads, i % shape.heads); };
  const double products = 2.0 * shape.pixels * shape.pixels * shape.channels * images;
  return For(images * shape.heads, products >= kSerialProducts, work);
}

template <typename T>
void Compute(void* heads, TF_OpKernelContext* tf_context) {
  Context context(tf_context);
  int64_t dims[4] = {};
  Attention<T> op = Read<T>(context, *static_cast<int64_t*>(heads), dims);
  op.y = context.Output(0, kDataType<T>, sizeof(T), dims, 4).template values<T>();
  if (context.ok()) {
    context.CheckMemory(ForAllHeads(KernelsFor<T>().attention, op, op, dims[0]));
  }
}

template <typename T>
void ComputeGradient(void* heads, TF_OpKernelContext* tf_context) {
  Context context(tf_context);
  int64_t dims[4] = {};
  AttentionGradient<T> op = {};
  op.forward = Read<T>(context, *static_cast<int64_t*>(heads), dims);
  const Tensor dy = context.Input(3);
  context.Check(dy.size == dims[0] * dims[1] * dims[2] * dims[3], "dy must have the shape of query");
  op.dy = dy.values<const T>();
  T** const gradients[] = {&op.dquery, &op.dkey, &op.dvalue};
  for (int i = 0; i < 3; i++) {
    *gradients[i] = context.Output(i, kDataType<T>, sizeof(T), dims, 4).template values<T>();
  }
  if (context.ok()) {
    context.CheckMemory(ForAllHeads(KernelsFor<T>().attention_gradient, op, op.forward, dims[0]));
  }
}

template <int kOutputs>
void Shapes(TF_ShapeInferenceContext* context, TF_Status* status) {
  TF_ShapeHandle* shape = TF_NewShapeHandle();
  TF_ShapeInferenceContextGetInput(context, 0, shape, status);
  for (int i = 0; i < kOutputs && TF_GetCode(status) == TF_OK; i++) {
    TF_ShapeInferenceContextSetOutput(context, i, shape, status);
  }
  TF_DeleteShapeHandle(shape);
}

}  // namespace

void RegisterAttention(TF_Status* status) {
  const char* const attributes[] = {"heads: int", nullptr};
  const char* const inputs[] = {"query: T", "key: T", "value: T", nullptr};
  const char* const outputs[] = {"y: T", nullptr};
  Define("DdpmAttention", inputs, outputs, attributes, Shapes<1>, status);
  Implement("DdpmAttention", TF_FLOAT, Create, Compute<float>, Destroy, status);
  Implement("DdpmAttention", TF_BFLOAT16, Create, Compute<BFloat16>, Destroy, status);
  const char* const grad_inputs[] = {"query: T", "key: T", "value: T", "dy: T", nullptr};
  const char* const grad_outputs[] = {"dquery: T", "dkey: T", "dvalue: T", nullptr};
  Define("DdpmAttentionGrad", grad_inputs, grad_outputs, attributes, Shapes<3>, status);
  Implement("DdpmAttentionGrad", TF_FLOAT, Create, ComputeGradient<float>, Destroy, status);
  Implement("DdpmAttentionGrad", TF_BFLOAT16, Create, ComputeGradient<BFloat16>, Destroy, status);
}

}  // namespace ddpm
