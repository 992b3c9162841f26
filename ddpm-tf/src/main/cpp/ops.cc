// The operations DdpmGroupNorm and DdpmGroupNormGrad, registered with TensorFlow when this library is loaded.
#include <cstdlib>
#include <cstring>

#include "group_norm.h"
#include "tensorflow_c.h"
#include "workers.h"

// absl::SetMinLogLevel, as TensorFlow 2.18 has it; null in others.
extern "C" void _ZN4absl12lts_2023080214SetMinLogLevelENS0_18LogSeverityAtLeastE(int) __attribute__((weak));

namespace ddpm {
namespace {

// Values below which a second thread costs more than it saves.
constexpr long kSerialValues = 32768;

// For this processor; set when the library is loaded.
const Kernels* kernels = &kKernelsBase;

void ChooseKernels() {
#ifdef __x86_64__
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl")) {
    kernels = &kKernelsAvx512;
  } else if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    kernels = &kKernelsAvx2;
  }
#endif
}

struct Attributes {
  int64_t groups;
  float epsilon;
  unsigned char silu;
};

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

  // An output with the shape of an input of the same type, and its memory if nobody else needs that.
  TF_Tensor* OutputLike(int i, int input, TF_Tensor* like) {
    if (!ok()) {
      return nullptr;
    }
    int64_t dims[4];
    for (int d = 0; d < 4; d++) {
      dims[d] = TF_Dim(like, d);
    }
    int forwarded;
    return Keep(TF_ForwardInputOrAllocateOutput(context_, &input, 1, i, dims, 4, &forwarded, status_));
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

void* Create(TF_OpKernelConstruction* construction) {
  auto* attributes = static_cast<Attributes*>(std::calloc(1, sizeof(Attributes)));
  if (attributes == nullptr) {
    std::abort();
  }
  TF_Status* status = TF_NewStatus();
  TF_OpKernelConstruction_GetAttrInt64(construction, "groups", &attributes->groups, status);
  if (TF_GetCode(status) == TF_OK) {
    TF_OpKernelConstruction_GetAttrFloat(construction, "epsilon", &attributes->epsilon, status);
  }
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

// x [images, height, width, channels], and inputs 1 to 3: shift, gamma, beta.
GroupNorm ReadNorm(Context& context, const Attributes& attributes, TF_Tensor* x, long* images) {
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
  norm.groups = attributes.groups;
  norm.epsilon = attributes.epsilon;
  norm.silu = attributes.silu != 0;
  context.Check(norm.groups > 0 && norm.channels > 0 && norm.channels % norm.groups == 0 && norm.pixels > 0,
                "the groups must divide the channels");
  norm.shift = context.Rows(1, *images, norm.channels, true);
  norm.gamma = context.Rows(2, *images, norm.channels, false);
  norm.beta = context.Rows(3, *images, norm.channels, false);
  return norm;
}

// Runs one pass over all images: image by image if there are enough of them, else some groups at a time.
template <typename Pass>
struct Work {
  const Pass* pass;
  void (*function)(const Pass&, long image, long from, long to);
  long parts;

  void Run(long images) {
    const GroupNorm& norm = pass->norm;
    parts = 1;
    if (images * norm.pixels * norm.channels < kSerialValues) {
      for (long image = 0; image < images; image++) {
        function(*pass, image, 0, norm.groups);
      }
      return;
    }
    long threads = Parallelism();
    if (images < 2 * threads) {
      parts = norm.groups < threads ? norm.groups : threads;
    }
    ParallelFor(
        images * parts,
        [](void* context, long i) {
          auto* work = static_cast<Work*>(context);
          long part = i % work->parts;
          long groups = work->pass->norm.groups;
          work->function(*work->pass, i / work->parts, part * groups / work->parts,
                         (part + 1) * groups / work->parts);
        },
        this);
  }
};

auto Function(const Forward<float>&) { return kernels->forward; }
auto Function(const Forward<BFloat16>&) { return kernels->forward_bfloat16; }
auto Function(const Backward<float>&) { return kernels->backward; }
auto Function(const Backward<BFloat16>&) { return kernels->backward_bfloat16; }

template <typename T>
void ComputeForward(void* attributes, TF_OpKernelContext* tf_context) {
  Context context(tf_context);
  long images = 0;
  TF_Tensor* x = context.Input(0);
  Forward<T> pass = {};
  pass.norm = ReadNorm(context, *static_cast<Attributes*>(attributes), x, &images);
  // Before y may get the memory of x.
  context.Pass(2, x);
  TF_Tensor* y = context.OutputLike(0, 0, x);
  const int64_t dims[] = {images, pass.norm.groups, 2};
  TF_Tensor* statistics = context.Output(1, TF_FLOAT, sizeof(float), dims, 3);
  if (!context.ok()) {
    return;
  }
  pass.x = static_cast<const T*>(TF_TensorData(x));
  pass.y = static_cast<T*>(TF_TensorData(y));
  pass.statistics = static_cast<float*>(TF_TensorData(statistics));
  Work<Forward<T>>{&pass, Function(pass), 1}.Run(images);
}

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
void ComputeBackward(void* attributes, TF_OpKernelContext* tf_context) {
  Context context(tf_context);
  long images = 0;
  TF_Tensor* x = context.Input(0);
  Backward<T> pass = {};
  pass.norm = ReadNorm(context, *static_cast<Attributes*>(attributes), x, &images);
  TF_Tensor* statistics = context.Input(4);
  TF_Tensor* dy = context.Input(5);
  TF_Tensor* added = context.Input(6);
  if (!context.ok()) {
    return;
  }
  const GroupNorm& norm = pass.norm;
  const int64_t values = images * norm.pixels * norm.channels;
  auto size = [](TF_Tensor* tensor) {
    int64_t product = 1;
    for (int d = 0; d < TF_NumDims(tensor); d++) {
      product *= TF_Dim(tensor, d);
    }
    return product;
  };
  context.Check(size(dy) == values, "dy must have the shape of x");
  context.Check(size(added) == values || size(added) == 0, "added must have the shape of x or be empty");
  context.Check(size(statistics) == 2 * images * norm.groups, "statistics must be those of the forward pass");
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
  if (!context.ok()) {
    return;
  }
  const long per_input = images * norm.channels;
  auto* per_image = static_cast<float*>(std::malloc(3 * per_input * sizeof(float) + 1));
  context.Check(per_image != nullptr, "out of memory");
  if (!context.ok()) {
    return;
  }
  pass.x = static_cast<const T*>(TF_TensorData(x));
  pass.statistics = static_cast<const float*>(TF_TensorData(statistics));
  pass.dy = static_cast<const T*>(TF_TensorData(dy));
  pass.added = size(added) == 0 ? nullptr : static_cast<const T*>(TF_TensorData(added));
  pass.dx = static_cast<T*>(TF_TensorData(dx));
  pass.dshift = rows[0] == 0 ? nullptr : per_image;
  pass.dgamma = per_image + per_input;
  pass.dbeta = per_image + 2 * per_input;
  Work<Backward<T>>{&pass, Function(pass), 1}.Run(images);
  for (int i = 0; i < 3; i++) {
    if (rows[i] > 0) {
      Reduce(per_image + i * per_input, images, norm.channels, rows[i], gradients[i]);
    }
  }
  std::free(per_image);
}

void SameShape(TF_ShapeInferenceContext* context, TF_Status* status, int input, int output) {
  TF_ShapeHandle* shape = TF_NewShapeHandle();
  TF_ShapeInferenceContextGetInput(context, input, shape, status);
  if (TF_GetCode(status) == TF_OK) {
    TF_ShapeInferenceContextSetOutput(context, output, shape, status);
  }
  TF_DeleteShapeHandle(shape);
}

void ForwardShapes(TF_ShapeInferenceContext* context, TF_Status* status) {
  SameShape(context, status, 0, 0);
  if (TF_GetCode(status) == TF_OK) {
    SameShape(context, status, 0, 2);
  }
}

void BackwardShapes(TF_ShapeInferenceContext* context, TF_Status* status) {
  for (int i = 0; i < 4 && TF_GetCode(status) == TF_OK; i++) {
    SameShape(context, status, i, i);
  }
}

void Define(const char* name, const char* const* inputs, const char* const* outputs,
            void (*shapes)(TF_ShapeInferenceContext*, TF_Status*), TF_Status* status) {
  TF_OpDefinitionBuilder* op = TF_NewOpDefinitionBuilder(name);
  for (; *inputs != nullptr; inputs++) {
    TF_OpDefinitionBuilderAddInput(op, *inputs);
  }
  for (; *outputs != nullptr; outputs++) {
    TF_OpDefinitionBuilderAddOutput(op, *outputs);
  }
  TF_OpDefinitionBuilderAddAttr(op, "T: {float, bfloat16}");
  TF_OpDefinitionBuilderAddAttr(op, "groups: int");
  TF_OpDefinitionBuilderAddAttr(op, "epsilon: float");
  TF_OpDefinitionBuilderAddAttr(op, "silu: bool");
  TF_OpDefinitionBuilderSetShapeInferenceFunction(op, shapes);
  TF_RegisterOpDefinition(op, status);
}

void Implement(const char* name, TF_DataType type, void (*compute)(void*, TF_OpKernelContext*), TF_Status* status) {
  if (TF_GetCode(status) != TF_OK) {
    return;
  }
  TF_KernelBuilder* kernel = TF_NewKernelBuilder(name, "CPU", Create, compute, Destroy);
  TF_KernelBuilder_TypeConstraint(kernel, "T", type, status);
  if (TF_GetCode(status) == TF_OK) {
    TF_RegisterKernelBuilder(name, kernel, status);
  }
}

__attribute__((constructor)) void Register() {
  ChooseKernels();
  // Some notes don't go by the variable that environment.cc sets.
  const char* level = std::getenv("TF_CPP_MIN_LOG_LEVEL");
  if (level != nullptr && *level >= '1' && _ZN4absl12lts_2023080214SetMinLogLevelENS0_18LogSeverityAtLeastE != nullptr) {
    _ZN4absl12lts_2023080214SetMinLogLevelENS0_18LogSeverityAtLeastE(1);
  }
  TF_Status* status = TF_NewStatus();
  const char* const forward_inputs[] = {"x: T", "shift: float", "gamma: float", "beta: float", nullptr};
  const char* const forward_outputs[] = {"y: T", "statistics: float", "same: T", nullptr};
  Define("DdpmGroupNorm", forward_inputs, forward_outputs, ForwardShapes, status);
  Implement("DdpmGroupNorm", TF_FLOAT, ComputeForward<float>, status);
  Implement("DdpmGroupNorm", TF_BFLOAT16, ComputeForward<BFloat16>, status);
  const char* const backward_inputs[] = {"x: T",  "shift: float", "gamma: float", "beta: float", "statistics: float",
                                         "dy: T", "added: T",     nullptr};
  const char* const backward_outputs[] = {"dx: T", "dshift: float", "dgamma: float", "dbeta: float", nullptr};
  Define("DdpmGroupNormGrad", backward_inputs, backward_outputs, BackwardShapes, status);
  Implement("DdpmGroupNormGrad", TF_FLOAT, ComputeBackward<float>, status);
  Implement("DdpmGroupNormGrad", TF_BFLOAT16, ComputeBackward<BFloat16>, status);
  // If it failed, the first use of the operation says that it is not registered.
  TF_DeleteStatus(status);
}

}  // namespace
}  // namespace ddpm
