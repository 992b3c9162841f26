// The operation DdpmGroupNormGrad.
#include <cstring>

#include "group_norm_ops.h"

namespace ddpm {
namespace {

struct Attributes {
  int64_t groups;
  float epsilon;
  unsigned char silu;
};

void* Create(TF_OpKernelConstruction* construction) {
  auto* attributes = static_cast<Attributes*>(std::calloc(1, sizeof(Attributes)));
  if (attributes == nullptr) {
    std::abort();
  }
  TF_Status* status = TF_NewStatus();
  TF_OpKernelConstruction_GetAttrInt64(construction, "groups", &attributes->groups, status);
  if (TF_GetCode(status) == TF_OK) {
    TF_OpKernelConstruction_GetAttrBool(construction, "silu", &attributes->silu, status);
  }
  if (TF_GetCode(status) != TF_OK) {
    TF_OpKernelConstruction_Failure(construction, status);
  }
  TF_DeleteStatus(status);
  return attributes;
}

void Destroy(void* attributes) { std::free(attributes); }

// The gradient of rows from that of each image: the same, or their sum if all images share a row.
void Reduce(const float* per_image, long images, long channels, long rows, float* gradient) {
  if (rows != 1) {
    std::memcpy(gradient, per_image, images * channels * sizeof(float));
    return;
  }
  for (long c = 0; c < channels; c++) {
    double sum = 0;
    for (long i = 0; i < images; i++) {
      sum += per_image[i * channels + c];
    }
    gradient[c] = static_cast<float>(sum);
  }
}

template <typename T>
void Compute(void* state, TF_OpKernelContext* tf_context) {
  const auto* attributes = static_cast<Attributes*>(state);
  Context context(tf_context);
  long images = 0;
  TF_Tensor* x = context.Input(0);
  Backward<T> pass = {};
  pass.norm = ReadNorm(context, x, attributes->groups, 0, attributes->silu != 0, &images);
  TF_Tensor* statistics = context.Input(4);
  TF_Tensor* dy = context.Input(5);
  TF_Tensor* added = context.Input(6);
  if (!context.ok()) {
    return;
  }
  const GroupNorm& norm = pass.norm;
  const int64_t values = images * norm.pixels * norm.channels;
  context.Check(Context::Size(dy) == values, "dy must have the shape of x");
  context.Check(Context::Size(added) == values || Context::Size(added) == 0,
                "added must have the shape of x or be empty");
  context.Check(Context::Size(statistics) == 2 * images * norm.groups, "statistics must be those of the forward pass");
  TF_Tensor* dx = context.OutputLike(0, 5, x);
  const PerChannel* inputs[] = {&norm.shift, &norm.gamma, &norm.beta};
  float* gradients[3];
  long rows[3];
  for (int i = 0; i < 3; i++) {
    rows[i] = inputs[i]->values == nullptr ? 0 : inputs[i]->stride == 0 ? 1 : images;
    const int64_t dims[] = {rows[i], norm.channels};
    TF_Tensor* tensor = context.Output(1 + i, TF_FLOAT, sizeof(float), dims, 2);
    gradients[i] = tensor == nullptr ? nullptr : static_cast<float*>(TF_TensorData(tensor));
  }
  const long per_input = images * norm.channels;
  Memory<float> per_image(context, 3 * per_input);
  if (!context.ok()) {
    return;
  }
  pass.x = static_cast<const T*>(TF_TensorData(x));
  pass.statistics = static_cast<const float*>(TF_TensorData(statistics));
  pass.dy = static_cast<const T*>(TF_TensorData(dy));
  pass.added = Context::Size(added) == 0 ? nullptr : static_cast<const T*>(TF_TensorData(added));
  pass.dx = static_cast<T*>(TF_TensorData(dx));
  pass.dshift = rows[0] == 0 ? nullptr : per_image.get();
  pass.dgamma = per_image.get() + per_input;
  pass.dbeta = per_image.get() + 2 * per_input;
  ForAllImages(KernelsFor<T>().backward, pass, images);
  for (int i = 0; i < 3; i++) {
    if (rows[i] > 0) {
      Reduce(per_image.get() + i * per_input, images, norm.channels, rows[i], gradients[i]);
    }
  }
}

void Shapes(TF_ShapeInferenceContext* context, TF_Status* status) {
  for (int i = 0; i < 4 && TF_GetCode(status) == TF_OK; i++) {
    TF_ShapeHandle* shape = TF_NewShapeHandle();
    TF_ShapeInferenceContextGetInput(context, i, shape, status);
    if (TF_GetCode(status) == TF_OK) {
      TF_ShapeInferenceContextSetOutput(context, i, shape, status);
    }
    TF_DeleteShapeHandle(shape);
  }
}

}  // namespace

GroupNorm ReadNorm(Context& context, TF_Tensor* x, int64_t groups, float epsilon, bool silu, long* images) {
  GroupNorm norm = {};
  if (!context.ok()) {
    return norm;
  }
  context.Check(TF_NumDims(x) == 4, "x must be [images, height, width, channels]");
  if (!context.ok()) {
    return norm;
  }
  *images = TF_Dim(x, 0);
  norm.pixels = TF_Dim(x, 1) * TF_Dim(x, 2);
  norm.channels = TF_Dim(x, 3);
  norm.groups = groups;
  norm.epsilon = epsilon;
  norm.silu = silu;
  context.Check(norm.groups > 0 && norm.channels > 0 && norm.channels % norm.groups == 0 && norm.pixels > 0,
                "the groups must divide the channels");
  norm.shift = context.Rows(1, *images, norm.channels, true);
  norm.gamma = context.Rows(2, *images, norm.channels, false);
  norm.beta = context.Rows(3, *images, norm.channels, false);
  return norm;
}

void Coefficients(const GroupNorm& norm, const float* statistics, long image, float* scale, float* offset) {
  const long per_group = norm.channels / norm.groups;
  const float* shift = norm.shift.values == nullptr ? nullptr : norm.shift.row(image);
  for (long c = 0; c < norm.channels; c++) {
    const float* group = statistics + 2 * (image * norm.groups + c / per_group);
    const double multiply = static_cast<double>(group[1]) * norm.gamma.row(image)[c];
    const double origin = (shift == nullptr ? 0.0 : shift[c]) - static_cast<double>(group[0]);
    scale[image * norm.channels + c] = static_cast<float>(multiply);
    offset[image * norm.channels + c] = static_cast<float>(origin * multiply + norm.beta.row(image)[c]);
  }
}

void RegisterGroupNorm(TF_Status* status) {
  const char* const inputs[] = {"x: T",  "shift: float", "gamma: float", "beta: float", "statistics: float",
                                "dy: T", "added: T",     nullptr};
  const char* const outputs[] = {"dx: T", "dshift: float", "dgamma: float", "dbeta: float", nullptr};
  const char* const attributes[] = {"groups: int", "silu: bool", nullptr};
  Define("DdpmGroupNormGrad", inputs, outputs, attributes, Shapes, status);
  Implement("DdpmGroupNormGrad", TF_FLOAT, Create, Compute<float>, Destroy, status);
  Implement("DdpmGroupNormGrad", TF_BFLOAT16, Create, Compute<BFloat16>, Destroy, status);
}

}  // namespace ddpm
