// The operations DdpmConv, DdpmConvHalving and DdpmConvDoubling, which differ in the size of what comes out, and their
// gradients DdpmConvGradImages and DdpmConvGradFilter.
#include <pthread.h>

#include <algorithm>
#include <cstring>

#include "group_norm_ops.h"

namespace ddpm {
namespace {

// Of a band of rows, copied: about half of a second-level cache.
constexpr double kBandBytes = 512 * 1024;
// Parts of a batch whose gradients are added up apart from each other. So many, whatever the threads, so that sums are
// repeatable.
constexpr long kChunks = 8;

// All operations have the same ones.
struct Attributes {
  int64_t padding;
  int64_t down;
  int64_t up;
  int64_t groups;  // 0 for no normalization
  float epsilon;
  unsigned char silu;
  unsigned char frozen;
  // What is packed of a filter that never changes.
  pthread_mutex_t mutex;
  void* packed;

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

const char* const kAttributes[] = {"padding: int",   "down: int",  "up: int",      "groups: int",
                                   "epsilon: float", "silu: bool", "frozen: bool", nullptr};

void* Create(TF_OpKernelConstruction* construction) {
  auto* attributes = static_cast<Attributes*>(std::calloc(1, sizeof(Attributes)));
  if (attributes == nullptr) {
    std::abort();
  }
  pthread_mutex_init(&attributes->mutex, nullptr);
  TF_Status* status = TF_NewStatus();
  auto read = [&](auto function, const char* name, auto* value) {
    if (TF_GetCode(status) == TF_OK) {
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
  if (TF_GetCode(status) == TF_OK && !(attributes->padding >= 0 && attributes->padding <= 1 && attributes->down >= 1 &&
                                       attributes->down <= 2 && attributes->up >= 1 && attributes->up <= 2)) {
    TF_SetStatus(status, TF_INVALID_ARGUMENT, "padding must be 0 or 1, down and up 1 or 2");
  }
  if (TF_GetCode(status) != TF_OK) {
    TF_OpKernelConstruction_Failure(construction, status);
  }
  TF_DeleteStatus(status);
  return attributes;
}

void Destroy(void* state) {
  auto* attributes = static_cast<Attributes*>(state);
  std::free(attributes->packed);
  pthread_mutex_destroy(&attributes->mutex);
  std::free(attributes);
}

Filter ReadFilter(Context& context, int input) {
  TF_Tensor* tensor = context.Input(input);
  if (!context.ok()) {
    return {};
  }
  const bool linear = TF_NumDims(tensor) == 2;
  context.Check(linear || (TF_NumDims(tensor) == 4 && TF_Dim(tensor, 0) == TF_Dim(tensor, 1) &&
                           TF_Dim(tensor, 0) >= 1 && TF_Dim(tensor, 0) <= 3),
                "the filter must be [kernel, kernel, in, out] with a kernel of 1 to 3, or [out, in]");
  if (!context.ok()) {
    return {};
  }
  const auto* values = static_cast<const float*>(TF_TensorData(tensor));
  return linear ? Filter{values, 1, static_cast<long>(TF_Dim(tensor, 1)), static_cast<long>(TF_Dim(tensor, 0)), true}
                : Filter{values, static_cast<int>(TF_Dim(tensor, 0)), static_cast<long>(TF_Dim(tensor, 2)),
                         static_cast<long>(TF_Dim(tensor, 3)), false};
}

// [rows, columns] to [columns, rows].
void Transpose(const float* from, long rows, long columns, float* to) {
  for (long r = 0; r < rows; r++) {
    for (long c = 0; c < columns; c++) {
      to[c * rows + r] = from[r * columns + c];
    }
  }
}

void CheckImages(Context& context, TF_Tensor* images, const char* message) {
  if (context.ok()) {
    context.Check(TF_NumDims(images) == 4, message);
  }
}

// Normalization and activation of what a convolution reads.
struct Prologue {
  bool has;
  GroupNorm norm;
  Activation activation;
};

template <typename T>
Prologue ReadPrologue(Context& context, const Attributes& attributes, TF_Tensor* x, long* images) {
  Prologue prologue = {};
  prologue.has = attributes.groups > 0;
  CheckImages(context, x, "x must be [images, height, width, channels]");
  if (context.ok()) {
    *images = TF_Dim(x, 0);
  }
  if (prologue.has) {
    prologue.norm = ReadNorm(context, x, attributes.groups, attributes.epsilon, attributes.silu != 0, images);
    prologue.activation.silu = attributes.silu != 0;
  }
  return prologue;
}

// The filter in the order of a plan. What is packed of a frozen one is kept.
template <typename T>
const void* Pack(Context& context, Attributes* attributes, const Plan& plan, const Filter& filter, void** temporary) {
  if (!context.ok()) {
    return nullptr;
  }
  auto pack = [&]() {
    void* packed = nullptr;
    Memory<float> transposed(context, filter.linear ? filter.in * filter.out : 0);
    if (context.ok() && posix_memalign(&packed, 64, KernelsFor<T>().conv.packed_size(plan)) == 0) {
      const float* values = filter.values;
      if (filter.linear) {
        Transpose(values, filter.out, filter.in, transposed.get());
        values = transposed.get();
      }
      KernelsFor<T>().conv.pack(plan, values, packed);
    }
    context.Check(packed != nullptr, "out of memory");
    return packed;
  };
  if (!attributes->frozen) {
    return *temporary = pack();
  }
  pthread_mutex_lock(&attributes->mutex);
  if (attributes->packed == nullptr) {
    attributes->packed = pack();
  }
  pthread_mutex_unlock(&attributes->mutex);
  return attributes->packed;
}

// Works off all images in bands of rows, calling before(image) first where a band is a whole image; else
// `before_all()` does that.
template <typename T, typename Before, typename BeforeAll>
void RunAll(const Conv<T>& conv, long images, Before before, BeforeAll before_all) {
  const Plan& plan = conv.plan;
  const long rows = plan.Rows();
  const double bytes = static_cast<double>(plan.source_height) * plan.source_width * plan.source_channels * 4;
  long bands = std::max(1L, static_cast<long>(bytes / kBandBytes));
  const bool serial = plan.Products() * images < kSerialProducts;
  if (!serial && images < 4 * Parallelism()) {
    bands = std::max(bands, static_cast<long>(Parallelism()));
  }
  bands = std::min(bands, rows);
  if (bands > 1) {
    before_all();
  }
  auto work = [&](long i) {
    const long image = i / bands;
    const long band = i % bands;
    if (bands == 1) {
      before(image);
    }
    KernelsFor<T>().conv.run(conv, image, band * rows / bands, (band + 1) * rows / bands);
  };
  if (serial) {
    for (long i = 0; i < images * bands; i++) {
      work(i);
    }
  } else {
    ParallelFor(images * bands, work);
  }
}

template <typename T>
void ComputeConv(void* state, TF_OpKernelContext* tf_context) {
  auto* attributes = static_cast<Attributes*>(state);
  Context context(tf_context);
  long images = 0;
  TF_Tensor* x = context.Input(0);
  Prologue prologue = ReadPrologue<T>(context, *attributes, x, &images);
  const Filter filter = ReadFilter(context, 4);
  TF_Tensor* bias = context.Input(5);
  TF_Tensor* added = context.Input(6);
  if (!context.ok()) {
    return;
  }
  context.Check(filter.in == TF_Dim(x, 3), "the filter must take the channels of x");
  context.Check(TF_NumDims(bias) == 1 && TF_Dim(bias, 0) == filter.out, "the bias must have the channels of the filter");
  context.Check(TF_Dim(x, 1) % attributes->down == 0 && TF_Dim(x, 2) % attributes->down == 0,
                "height and width must be even to be halved");
  if (!context.ok()) {
    return;
  }
  const Plan plan =
      ForwardPlan(attributes->geometry(filter.kernel), TF_Dim(x, 1), TF_Dim(x, 2), filter.in, filter.out);
  const int64_t dims[] = {images, plan.height, plan.width, plan.channels};
  const int64_t values = images * plan.height * plan.width * plan.channels;
  const bool adds = Context::Size(added) > 0;
  context.Check(!adds || (TF_NumDims(added) == 4 && Context::Size(added) == values),
                "what is added must have the shape of the output");
  context.Pass(2, x);
  TF_Tensor* y = adds ? context.OutputFrom(0, 6, dims) : context.Output(0, kDataType<T>, sizeof(T), dims, 4);
  const int64_t statistics_dims[] = {prologue.has ? images : 0, attributes->groups, 2};
  TF_Tensor* statistics_tensor = context.Output(1, TF_FLOAT, sizeof(float), statistics_dims, 3);
  const long per_channel = prologue.has ? images * plan.source_channels : 0;
  Memory<float> coefficients(context, 2 * per_channel);
  void* temporary = nullptr;
  const void* packed = Pack<T>(context, attributes, plan, filter, &temporary);
  if (!context.ok()) {
    std::free(temporary);
    return;
  }
  float* scale = coefficients.get();
  float* offset = scale + per_channel;
  if (prologue.has) {
    prologue.activation.scale = scale;
    prologue.activation.offset = offset;
  }
  const auto* source = static_cast<const T*>(TF_TensorData(x));
  const Conv<T> conv = {plan,
                        source,
                        prologue.activation,
                        packed,
                        static_cast<const float*>(TF_TensorData(bias)),
                        adds ? static_cast<const T*>(TF_TensorData(added)) : nullptr,
                        static_cast<T*>(TF_TensorData(y))};
  const Statistics<T> statistics = {prologue.norm, source, static_cast<float*>(TF_TensorData(statistics_tensor))};
  RunAll(
      conv, images,
      [&](long image) {
        if (prologue.has) {
          KernelsFor<T>().statistics(statistics, image, 0, prologue.norm.groups);
          Coefficients(prologue.norm, statistics.statistics, image, scale, offset);
        }
      },
      [&]() {
        if (prologue.has) {
          ForAllImages(KernelsFor<T>().statistics, statistics, images);
          for (long image = 0; image < images; image++) {
            Coefficients(prologue.norm, statistics.statistics, image, scale, offset);
          }
        }
      });
  std::free(temporary);
}

template <typename T>
void ComputeGradImages(void* state, TF_OpKernelContext* tf_context) {
  auto* attributes = static_cast<Attributes*>(state);
  Context context(tf_context);
  const Filter filter = ReadFilter(context, 0);
  TF_Tensor* dy = context.Input(1);
  CheckImages(context, dy, "dy must be [images, height, width, channels]");
  if (!context.ok()) {
    return;
  }
  context.Check(filter.out == TF_Dim(dy, 3), "dy must have the channels that the filter makes");
  const long images = TF_Dim(dy, 0);
  const Plan plan =
      BackwardPlan(attributes->geometry(filter.kernel), TF_Dim(dy, 1) * attributes->down / attributes->up,
                   TF_Dim(dy, 2) * attributes->down / attributes->up, filter.in, filter.out);
  const int64_t dims[] = {images, plan.height, plan.width, plan.channels};
  TF_Tensor* dx = context.Output(0, kDataType<T>, sizeof(T), dims, 4);
  void* temporary = nullptr;
  const void* packed = Pack<T>(context, attributes, plan, filter, &temporary);
  if (context.ok()) {
    const Conv<T> conv = {plan,    static_cast<const T*>(TF_TensorData(dy)), {nullptr, nullptr, false}, packed, nullptr,
                          nullptr, static_cast<T*>(TF_TensorData(dx))};
    RunAll(conv, images, [](long) {}, []() {});
  }
  std::free(temporary);
}

template <typename T>
void ComputeGradFilter(void* state, TF_OpKernelContext* tf_context) {
  const auto* attributes = static_cast<Attributes*>(state);
  Context context(tf_context);
  long images = 0;
  TF_Tensor* x = context.Input(0);
  Prologue prologue = ReadPrologue<T>(context, *attributes, x, &images);
  TF_Tensor* statistics = context.Input(4);
  const Filter filter = ReadFilter(context, 5);
  TF_Tensor* dy = context.Input(6);
  CheckImages(context, dy, "dy must be [images, height, width, channels]");
  if (!context.ok()) {
    return;
  }
  const Plan plan = ForwardPlan(attributes->geometry(filter.kernel), TF_Dim(x, 1), TF_Dim(x, 2), filter.in, filter.out);
  context.Check(TF_Dim(dy, 0) == images && TF_Dim(dy, 1) == plan.height && TF_Dim(dy, 2) == plan.width,
                "dy must have the shape of the output");
  context.Check(filter.in == TF_Dim(x, 3) && filter.out == TF_Dim(dy, 3),
                "the filter must take the channels of x and make those of dy");
  context.Check(!prologue.has || Context::Size(statistics) == 2 * images * attributes->groups,
                "statistics must be those of the forward pass");
  const int64_t conv_dims[] = {filter.kernel, filter.kernel, filter.in, filter.out};
  const int64_t linear_dims[] = {filter.out, filter.in};
  TF_Tensor* weights = filter.linear ? context.Output(0, TF_FLOAT, sizeof(float), linear_dims, 2)
                                     : context.Output(0, TF_FLOAT, sizeof(float), conv_dims, 4);
  TF_Tensor* bias = context.Output(1, TF_FLOAT, sizeof(float), &conv_dims[3], 1);
  const long per_channel = prologue.has ? images * plan.source_channels : 0;
  Memory<float> coefficients(context, 2 * per_channel);
  const long chunks = std::max(1L, std::min(kChunks, images));
  const long filter_size = filter.kernel * filter.kernel * filter.in * filter.out;
  const long size = filter_size + plan.channels;
  Memory<float> sums(context, chunks * size);
  if (!context.ok()) {
    return;
  }
  if (prologue.has) {
    float* scale = coefficients.get();
    float* offset = scale + per_channel;
    for (long image = 0; image < images; image++) {
      Coefficients(prologue.norm, static_cast<const float*>(TF_TensorData(statistics)), image, scale, offset);
    }
    prologue.activation.scale = scale;
    prologue.activation.offset = offset;
  }
  const ConvWeights<T> op = {plan, static_cast<const T*>(TF_TensorData(x)), prologue.activation,
                             static_cast<const T*>(TF_TensorData(dy))};
  auto chunk = [&](long i) {
    float* to = sums.get() + i * size;
    std::memset(to, 0, size * sizeof(float));
    KernelsFor<T>().conv.gradient(op, i * images / chunks, (i + 1) * images / chunks, to, to + filter_size);
  };
  ParallelFor(chunks, chunk);
  float* total = sums.get();
  for (long i = 1; i < chunks; i++) {
    const float* part = total + i * size;
    for (long j = 0; j < size; j++) {
      total[j] += part[j];
    }
  }
  auto* to = static_cast<float*>(TF_TensorData(weights));
  if (filter.linear) {
    Transpose(total, filter.in, filter.out, to);
  } else {
    std::memcpy(to, total, filter_size * sizeof(float));
  }
  std::memcpy(TF_TensorData(bias), total + filter_size, filter.out * sizeof(float));
}

// The shape of x with height and width times kUp / kDown and the channels of the filter.
template <int kDown, int kUp>
void ConvShapes(TF_ShapeInferenceContext* context, TF_Status* status) {
  TF_ShapeHandle* x = TF_NewShapeHandle();
  TF_ShapeHandle* filter = TF_NewShapeHandle();
  TF_ShapeHandle* y = TF_NewShapeHandle();
  TF_ShapeHandle* part = TF_NewShapeHandle();
  TF_DimensionHandle* size = TF_NewDimensionHandle();
  auto ok = [&]() { return TF_GetCode(status) == TF_OK; };
  auto append = [&](TF_ShapeHandle* more) {
    if (ok()) {
      TF_ShapeInferenceContextConcatenateShapes(context, y, more, y, status);
    }
  };
  TF_ShapeInferenceContextGetInput(context, 0, x, status);
  if (ok()) {
    TF_ShapeInferenceContextSetOutput(context, 2, x, status);
  }
  if (ok()) {
    TF_ShapeInferenceContextGetInput(context, 4, filter, status);
  }
  if (ok()) {
    TF_ShapeInferenceContextWithRank(context, x, 4, x, status);
  }
  if (ok()) {
    TF_ShapeInferenceContextSubshape(context, x, 0, kDown == kUp ? 3 : 1, y, status);
  }
  for (int i = 1; i < 3 && kDown != kUp && ok(); i++) {
    TF_ShapeInferenceContextDim(context, x, i, size);
    if (TF_DimensionHandleValueKnown(size)) {
      TF_ShapeHandle* resized =
          TF_ShapeInferenceContextVectorFromSize(context, TF_DimensionHandleValue(size) * kUp / kDown);
      append(resized);
      TF_DeleteShapeHandle(resized);
    } else {
      // Unknown, whatever it is multiplied by.
      TF_ShapeInferenceContextSubshape(context, x, i, i + 1, part, status);
      append(part);
    }
  }
  if (ok()) {
    const int out = TF_ShapeInferenceContextRank(context, filter) == 2 ? 0 : 3;
    TF_ShapeInferenceContextSubshape(context, filter, out, out + 1, part, status);
  }
  append(part);
  if (ok()) {
    TF_ShapeInferenceContextSetOutput(context, 0, y, status);
  }
  TF_DeleteShapeHandle(x);
  TF_DeleteShapeHandle(filter);
  TF_DeleteShapeHandle(y);
  TF_DeleteShapeHandle(part);
  TF_DeleteDimensionHandle(size);
}

}  // namespace

void RegisterConv(TF_Status* status) {
  const char* const inputs[] = {"x: T",       "shift: float", "gamma: float", "beta: float", "filter: float",
                                "bias: float", "added: T",     nullptr};
  const char* const outputs[] = {"y: T", "statistics: float", "same: T", nullptr};
  auto define = [&](const char* name, auto shapes) {
    Define(name, inputs, outputs, kAttributes, shapes, status);
    Implement(name, TF_FLOAT, Create, ComputeConv<float>, Destroy, status);
    Implement(name, TF_BFLOAT16, Create, ComputeConv<BFloat16>, Destroy, status);
  };
  define("DdpmConv", ConvShapes<1, 1>);
  define("DdpmConvHalving", ConvShapes<2, 1>);
  define("DdpmConvDoubling", ConvShapes<1, 2>);

  const char* const images_inputs[] = {"filter: float", "dy: T", nullptr};
  const char* const images_outputs[] = {"dx: T", nullptr};
  Define("DdpmConvGradImages", images_inputs, images_outputs, kAttributes, UnknownShapes, status);
  Implement("DdpmConvGradImages", TF_FLOAT, Create, ComputeGradImages<float>, Destroy, status);
  Implement("DdpmConvGradImages", TF_BFLOAT16, Create, ComputeGradImages<BFloat16>, Destroy, status);

  const char* const filter_inputs[] = {"x: T",          "shift: float", "gamma: float", "beta: float",
                                       "statistics: float", "filter: float", "dy: T",     nullptr};
  const char* const filter_outputs[] = {"dfilter: float", "dbias: float", nullptr};
  Define("DdpmConvGradFilter", filter_inputs, filter_outputs, kAttributes, UnknownShapes, status);
  Implement("DdpmConvGradFilter", TF_FLOAT, Create, ComputeGradFilter<float>, Destroy, status);
  Implement("DdpmConvGradFilter", TF_BFLOAT16, Create, ComputeGradFilter<BFloat16>, Destroy, status);
}

}  // namespace ddpm
