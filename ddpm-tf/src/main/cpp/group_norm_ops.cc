// The operation DdpmGroupNormGrad.
#include "group_norm_ops.h"

#include <cstdlib>
#include <cstring>

namespace ddpm {
namespace {

struct Attributes {
  int64_t groups;
  float epsilon;
  unsigned char silu;
};

void* Create(TF_OpKernelConstruction* construction) {
  return NewAttributes<Attributes>(construction, [&](Attributes* attributes, TF_Status* status) {
    TF_OpKernelConstruction_GetAttrInt64(construction, "groups", &attributes->groups, status);
    if (TF_GetCode(status) == TF_OK) {
      TF_OpKernelConstruction_GetAttrBool(construction, "silu", &attributes->silu, status);
    }
  });
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
  const Tensor x = context.Input(0);
  const long images = x.dims[0];
  Backward<T> pass = {};
  pass.norm = ReadNorm(context, x, attributes->groups, 0, attributes->silu != 0);
  const Tensor statistics = context.Input(4);
  const Tensor dy = context.Input(5);
  const Tensor added = context.Input(6);
  const GroupNorm& norm = pass.norm;
  context.Check(dy.size == x.size, "dy must have the shape of x");
  context.Check(added.size == x.size || added.size == 0, "added must have the shape of x or be empty");
  context.Check(statistics.size == 2 * images * norm.groups, "statistics must be those of the forward pass");
  const Tensor dx = context.OutputFrom(0, 5, x.dims);
  const PerChannel* inputs[] = {&norm.shift, &norm.gamma, &norm.beta};
  float* gradients[3];
  long rows[3];
  for (int i = 0; i < 3; i++) {
    rows[i] = inputs[i]->values == nullptr ? 0 : inputs[i]->stride == 0 ? 1 : images;
    const int64_t dims[] = {rows[i], norm.channels};
    gradients[i] = context.Output(1 + i, TF_FLOAT, sizeof(float), dims, 2).values<float>();
  }
  const long per_input = images * norm.channels;
  Memory<float> per_image(context, 3 * per_input);
  if (!context.ok()) {
    return;
  }
  pass.x = x.values<const T>();
  pass.statistics = statistics.values<const float>();
  pass.dy = dy.values<const T>();
  pass.added = added.size == 0 ? nullptr : added.values<const T>();
  pass.dx = dx.values<T>();
  pass.dshift = rows[0] == 0 ? nullptr : per_image.get();
  pass.dgamma = per_image.get() + per_input;
  pass.dbeta = per_image.get() + 2 * per_input;
  context.CheckMemory(ForAllImages(KernelsFor<T>().backward, pass, images));
  if (!context.ok()) {
    return;
  }
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

GroupNorm ReadNorm(Context& context, const Tensor& x, int64_t groups, float epsilon, bool silu) {
  GroupNorm norm = {};
  context.Check(x.rank == 4, "x must be [images, height, width, channels]");
  norm.pixels = x.dims[1] * x.dims[2];
  norm.channels = x.dims[3];
  norm.groups = groups;
  norm.epsilon = epsilon;
  norm.silu = silu;
  context.Check(norm.groups > 0 && norm.channels > 0 && norm.channels % norm.groups == 0 && norm.pixels > 0,
                "the groups must divide the channels");
  norm.shift = context.Rows(1, x.dims[0], norm.channels, true);
  norm.gamma = context.Rows(2, x.dims[0], norm.channels, false);
  norm.beta = context.Rows(3, x.dims[0], norm.channels, false);
  return norm;
}

void Coefficients(const GroupNorm& norm, const float* statistics, long image, float* scale, float* offset) {
  const long per_group = norm.channels / norm.groups;
  const float* shift = norm.shift.values == nullptr ? nullptr : RowOf(norm.shift, image);
  for (long c = 0; c < norm.channels; c++) {
    const float* group = statistics + 2 * (image * norm.groups + c / per_group);
    const double multiply = static_cast<double>(group[1]) * RowOf(norm.gamma, image)[c];
    const double origin = (shift == nullptr ? 0.0 : shift[c]) - static_cast<double>(group[0]);
    scale[image * norm.channels + c] = static_cast<float>(multiply);
    offset[image * norm.channels + c] = static_cast<float>(origin * multiply + RowOf(norm.beta, image)[c]);
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
