// The operations DdpmConv, DdpmConvHalving and DdpmConvDoubling, which differ in the size of what comes out, and their
// gradients DdpmConvGradImages and DdpmConvGradFilter.
#include "conv_ops.h"

#include <pthread.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace ddpm {
namespace {

// Of a band of rows, copied: about half of a second-level cache.
constexpr double kBandBytes = 512 * 1024;
// A filter of fewer numbers is packed by one thread.
constexpr long kSerialWeights = 1 << 15;
// Parts of a batch whose gradients are added up apart from each other: at most so many, and of so many pixels at least
// where the kernel has more than one, because each comes back from the points of tiles. Threads don't matter, so that
// sums are repeatable.
constexpr long kChunks = 8;
constexpr long kChunkPixels = 512;

// The filter in the order of a plan. What is packed first of a frozen one is kept. Images of another size may want
// another order, which has another length: that is packed each time.
template <typename T>
const void* Pack(Context& context, Attributes* attributes, const Plan& plan, const Filter& filter, void** temporary) {
  if (!context.ok()) {
    return nullptr;
  }
  const ConvKernels<T>& conv = KernelsFor<T>().conv;
  const size_t bytes = conv.packed_size(plan);
  auto pack = [&]() {
    void* packed = nullptr;
    Memory<float> transposed(context, filter.linear ? filter.in * filter.out : 0);
    if (context.ok() && posix_memalign(&packed, 64, bytes) == 0) {
      const float* values = filter.values;
      if (filter.linear) {
        Transpose(values, filter.out, filter.in, transposed.get());
        values = transposed.get();
      }
      const long channels = conv.grain(plan).channels;
      auto block = [&](long i) {
        conv.pack(plan, values, i * channels, std::min(plan.channels, (i + 1) * channels), packed);
        return true;
      };
      const bool parallel = filter.kernel * filter.kernel * filter.in * filter.out >= kSerialWeights;
      For((plan.channels + channels - 1) / channels, parallel, block);
    }
    context.CheckMemory(packed != nullptr);
    return packed;
  };
  if (!attributes->frozen) {
    return *temporary = pack();
  }
  pthread_mutex_lock(&attributes->mutex);
  if (attributes->packed == nullptr) {
    attributes->packed = pack();
    attributes->packed_bytes = bytes;
    attributes->packed_kernel = filter.kernel;
    attributes->packed_in = filter.in;
    attributes->packed_out = filter.out;
  }
  pthread_mutex_unlock(&attributes->mutex);
  context.Check(attributes->packed_kernel == filter.kernel && attributes->packed_in == filter.in &&
                    attributes->packed_out == filter.out,
                "a frozen filter must keep its shape");
  return attributes->packed_bytes == bytes ? attributes->packed : *temporary = pack();
}

// Works off all images in parts, calling before(image) first where a part is a whole image; else `before_all()` does
// that. Both return whether they had the memory that they need, as this does.
template <typename T, typename Before, typename BeforeAll>
bool RunAll(const Conv<T>& conv, long images, Before before, BeforeAll before_all) {
  const Plan& plan = conv.plan;
  const Grain grain = KernelsFor<T>().conv.grain(plan);
  const long rows = (plan.rows + grain.rows - 1) / grain.rows;
  const long blocks = (plan.channels + grain.channels - 1) / grain.channels;
  const double bytes = static_cast<double>(plan.source_height) * plan.source_width * plan.source_channels * 4;
  long bands = std::max(1L, static_cast<long>(bytes / kBandBytes));
  long splits = 1;
  const bool serial = plan.Products() * images < kSerialProducts;
  if (!serial && images < 4 * Parallelism()) {
    const long threads = Parallelism();
    bands = std::max(bands, threads);
    // Each part copies its source, so channels are split only where images and rows are too few.
    splits = std::max(1L, std::min(blocks, threads / std::max(1L, images * rows)));
  }
  bands = std::min(bands, rows);
  const long parts = bands * splits;
  if (parts > 1 && !before_all()) {
    return false;
  }
  auto work = [&](long i) {
    const long image = i / parts;
    const long band = i % parts / splits;
    const long split = i % splits;
    const Part part = {band * rows / bands * grain.rows, std::min(plan.rows, (band + 1) * rows / bands * grain.rows),
                       split * blocks / splits * grain.channels,
                       std::min(plan.channels, (split + 1) * blocks / splits * grain.channels)};
    return (parts > 1 || before(image)) && KernelsFor<T>().conv.run(conv, image, part);
  };
  return For(images * parts, !serial, work);
}

template <typename T>
void ComputeConv(void* state, TF_OpKernelContext* tf_context) {
  auto* attributes = static_cast<Attributes*>(state);
  Context context(tf_context);
  const Tensor x = context.Input(0);
  const long images = x.dims[0];
  context.Check(x.rank == 4, kImages);
  Prologue prologue = ReadPrologue(context, *attributes, x);
  const Filter filter = ReadFilter(context, 4);
  const Tensor bias = context.Input(5);
  const Tensor added = context.Input(6);
  context.Check(filter.in == x.dims[3], kFilterTakesX);
  context.Check(bias.rank == 1 && bias.dims[0] == filter.out, "the bias must have the channels of the filter");
  context.Check(x.dims[1] % attributes->down == 0 && x.dims[2] % attributes->down == 0, kEven);
  if (!context.ok()) {
    return;
  }
  const Plan plan = ForwardPlan(attributes->geometry(filter.kernel), x.dims[1], x.dims[2], filter.in, filter.out);
  const int64_t dims[] = {images, plan.height, plan.width, plan.channels};
  const int64_t values = images * plan.height * plan.width * plan.channels;
  const bool adds = added.size > 0;
  context.Check(!adds || (added.rank == 4 && added.size == values), "what is added must have the shape of the output");
  context.Pass(2, 0);
  // In the memory of what is added, if may be: each value is read just before the sum is written.
  const Tensor y = adds ? context.OutputFrom(0, 6, dims) : context.Output(0, kDataType<T>, sizeof(T), dims, 4);
  const int64_t statistics_dims[] = {prologue.has ? images : 0, attributes->groups, 2};
  const Tensor statistics_tensor = context.Output(1, TF_FLOAT, sizeof(float), statistics_dims, 3);
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
  const Conv<T> conv = {plan,         x.values<const T>(),        prologue.activation,
                        packed,       bias.values<const float>(), adds ? added.values<const T>() : nullptr,
                        y.values<T>()};
  const Statistics<T> statistics = {prologue.norm, x.values<const T>(), statistics_tensor.values<float>()};
  context.CheckMemory(RunAll(
      conv, images,
      [&](long image) {
        if (prologue.has) {
          if (!KernelsFor<T>().statistics(statistics, image, 0, prologue.norm.groups)) {
            return false;
          }
          Coefficients(prologue.norm, statistics.statistics, image, scale, offset);
        }
        return true;
      },
      [&]() {
        if (prologue.has) {
          if (!ForAllImages(KernelsFor<T>().statistics, statistics, images)) {
            return false;
          }
          for (long image = 0; image < images; image++) {
            Coefficients(prologue.norm, statistics.statistics, image, scale, offset);
          }
        }
        return true;
      }));
  std::free(temporary);
}

template <typename T>
void ComputeGradImages(void* state, TF_OpKernelContext* tf_context) {
  auto* attributes = static_cast<Attributes*>(state);
  Context context(tf_context);
  const Filter filter = ReadFilter(context, 0);
  const Tensor dy = context.Input(1);
  const long images = dy.dims[0];
  context.Check(dy.rank == 4, kGradients);
  context.Check(filter.out == dy.dims[3], "dy must have the channels that the filter makes");
  const int64_t height = dy.dims[1] * attributes->down;
  const int64_t width = dy.dims[2] * attributes->down;
  context.Check(height % attributes->up == 0 && width % attributes->up == 0,
                "dy must have an even height and width, as what is doubled has");
  if (!context.ok()) {
    return;
  }
  const Plan plan = BackwardPlan(attributes->geometry(filter.kernel), height / attributes->up, width / attributes->up,
                                 filter.in, filter.out);
  const int64_t dims[] = {images, plan.height, plan.width, plan.channels};
  const Tensor dx = context.Output(0, kDataType<T>, sizeof(T), dims, 4);
  void* temporary = nullptr;
  const void* packed = Pack<T>(context, attributes, plan, filter, &temporary);
  if (context.ok()) {
    const Conv<T> conv = {plan,    dy.values<const T>(), {nullptr, nullptr, false}, packed, nullptr,
                          nullptr, dx.values<T>()};
    auto nothing = [](auto...) { return true; };
    context.CheckMemory(RunAll(conv, images, nothing, nothing));
  }
  std::free(temporary);
}

template <typename T>
void ComputeGradFilter(void* state, TF_OpKernelContext* tf_context) {
  const auto* attributes = static_cast<Attributes*>(state);
  Context context(tf_context);
  const Tensor x = context.Input(0);
  const long images = x.dims[0];
  context.Check(x.rank == 4, kImages);
  Prologue prologue = ReadPrologue(context, *attributes, x);
  const Tensor statistics = context.Input(4);
  const Filter filter = ReadFilter(context, 5);
  const Tensor dy = context.Input(6);
  context.Check(dy.rank == 4, kGradients);
  context.Check(filter.in == x.dims[3], kFilterTakesX);
  context.Check(x.dims[1] % attributes->down == 0 && x.dims[2] % attributes->down == 0, kEven);
  if (!context.ok()) {
    return;
  }
  const Plan plan = ForwardPlan(attributes->geometry(filter.kernel), x.dims[1], x.dims[2], filter.in, filter.out);
  context.Check(
      dy.dims[0] == images && dy.dims[1] == plan.height && dy.dims[2] == plan.width && dy.dims[3] == plan.channels,
      "dy must have the shape of the output");
  context.Check(!prologue.has || statistics.size == 2 * images * attributes->groups,
                "statistics must be those of the forward pass");
  const int64_t conv_dims[] = {filter.kernel, filter.kernel, filter.in, filter.out};
  const int64_t linear_dims[] = {filter.out, filter.in};
  const Tensor weights = filter.linear ? context.Output(0, TF_FLOAT, sizeof(float), linear_dims, 2)
                                       : context.Output(0, TF_FLOAT, sizeof(float), conv_dims, 4);
  const Tensor bias = context.Output(1, TF_FLOAT, sizeof(float), &conv_dims[3], 1);
  const long per_channel = prologue.has ? images * plan.source_channels : 0;
  Memory<float> coefficients(context, 2 * per_channel);
  const long most = filter.kernel == 1 ? images : std::min(images, images * plan.height * plan.width / kChunkPixels);
  const long chunks = std::max(1L, std::min(kChunks, most));
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
      Coefficients(prologue.norm, statistics.values<const float>(), image, scale, offset);
    }
    prologue.activation.scale = scale;
    prologue.activation.offset = offset;
  }
  const ConvWeights<T> op = {plan, x.values<const T>(), prologue.activation, dy.values<const T>()};
  auto chunk = [&](long i) {
    float* to = sums.get() + i * size;
    std::memset(to, 0, size * sizeof(float));
    return KernelsFor<T>().conv.gradient(op, i * images / chunks, (i + 1) * images / chunks, to, to + filter_size);
  };
  context.CheckMemory(For(chunks, true, chunk));
  if (!context.ok()) {
    return;
  }
  float* total = sums.get();
  for (long i = 1; i < chunks; i++) {
    const float* part = total + i * size;
    for (long j = 0; j < size; j++) {
      total[j] += part[j];
    }
  }
  auto* to = weights.values<float>();
  if (filter.linear) {
    Transpose(total, filter.in, filter.out, to);
  } else {
    std::memcpy(to, total, filter_size * sizeof(float));
  }
  std::memcpy(bias.data, total + filter_size, filter.out * sizeof(float));
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
  const char* const inputs[] = {"x: T",          "shift: float", "gamma: float", "beta: float",
                                "filter: float", "bias: float",  "added: T",     nullptr};
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

  const char* const filter_inputs[] = {
      "x: T", "shift: float", "gamma: float", "beta: float", "statistics: float", "filter: float", "dy: T", nullptr};
  const char* const filter_outputs[] = {"dfilter: float", "dbias: float", nullptr};
  Define("DdpmConvGradFilter", filter_inputs, filter_outputs, kAttributes, UnknownShapes, status);
  Implement("DdpmConvGradFilter", TF_FLOAT, Create, ComputeGradFilter<float>, Destroy, status);
  Implement("DdpmConvGradFilter", TF_BFLOAT16, Create, ComputeGradFilter<BFloat16>, Destroy, status);
}

}  // namespace ddpm
