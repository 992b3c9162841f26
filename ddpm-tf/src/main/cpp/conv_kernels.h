// Convolutions for one instruction set.
//
// A band of rows of the source is first copied to where the weights meet it: in blocks of channels of one cache line a
// pixel, with a border of zeros, activated on the way, and split by the parity of rows and columns where the
// convolution takes every second one. Then neighbors in the destination are neighbors there, whatever the geometry.
//
// All that is multiplied is made of units of four bytes: one float32, or, where the processor multiplies pairs of them,
// two bfloat16.
#ifndef DDPM_CONV_KERNELS_H_
#define DDPM_CONV_KERNELS_H_


#include <cstdlib>
#include <cstring>

#include "conv.h"
#include "numbers.h"
#include "simd.h"

namespace ddpm {
namespace {

constexpr int kUnits = 16;                    // of a block of channels: a cache line
constexpr int kVectors = 2;                   // of destination channels that are computed together
constexpr int kBlock = kVectors * kLanes;     // so many channels
constexpr int kMaxPixels = kManyRegisters ? 14 : 6;   // of a row that are computed together
constexpr int kGradientUnits = kManyRegisters ? 8 : 4;  // of source channels whose gradients are computed together
constexpr long kGradientPixels = 256;         // whose source and gradient stay in the first-level cache

constexpr long Divide(long a, long b) { return (a + b - 1) / b; }
constexpr long Min(long a, long b) { return a < b ? a : b; }

struct Fma {
  static constexpr int kValues = 1;  // of a unit

  static Vector Add(Vector sum, float unit, Vector weights) { return sum + unit * weights; }
};

#ifdef __AVX512BF16__
struct Dot {
  static constexpr int kValues = 2;

  static Vector Add(Vector sum, float unit, Vector weights) {
    return (Vector)_mm512_dpbf16_ps((__m512)sum, (__m512bh)(__m512)weights, (__m512bh)_mm512_set1_ps(unit));
  }
};
#endif

template <typename T>
struct ArithmeticOf {
  using Type = Fma;
};
#ifdef __AVX512BF16__
template <>
struct ArithmeticOf<BFloat16> {
  using Type = Dot;
};
#endif
template <typename T>
using Arithmetic = typename ArithmeticOf<T>::Type;

// Two bfloat16 of a unit from two float32 each, of which the first has the lower half.
template <int kCount>
inline __attribute__((always_inline)) void PairUp(const float* __restrict low, const float* __restrict high,
                                                  float* __restrict units) {
  for (int i = 0; i < kCount; i++) {
    uint32_t bits = RoundedBits(low[i]) >> 16 | (RoundedBits(high[i]) & 0xffff0000);
    std::memcpy(&units[i], &bits, sizeof bits);
  }
}

// Memory of a thread that grows to what is needed and is kept, because the kernel has to clear new memory.
float* Scratch(int which, size_t floats) {
  static thread_local struct {
    float* memory;
    size_t floats;
  } buffers[4];
  auto& buffer = buffers[which];
  if (buffer.floats < floats) {
    std::free(buffer.memory);
    void* memory;
    if (posix_memalign(&memory, 64, floats * sizeof(float)) != 0) {
      std::abort();
    }
    buffer.memory = static_cast<float*>(memory);
    buffer.floats = floats;
  }
  return buffer.memory;
}

// ---- The source, copied.

// Where a band of the destination's rows [from, to) of each phase finds its source.
struct Band {
  const Plan& plan;
  long from;
  long to;
  bool pairs;         // of neighboring pixels are a unit, instead of pairs of channels
  long rows;          // of one parity
  long columns;       // units in a row
  long row;           // from one row to the next, in units, as all below
  long pairing;       // from pairs that start at even columns to those that start at odd ones
  long parity;        // from one parity to the next
  long block;         // from one block of channels to the next
  long values;        // channels in a block
  long blocks;

  Band(const Plan& p, long first, long last, int channels_per_unit, bool paired)
      : plan(p), from(first), to(last), pairs(paired) {
    const Axis& axis = plan.axis;
    rows = to - from + axis.high - axis.low;
    long pixels = plan.Columns() + axis.high - axis.low;
    columns = pairs ? pixels / 2 + 1 : pixels;
    row = columns * kUnits;
    pairing = pairs ? rows * row : 0;
    parity = pairs ? 2 * pairing : rows * row;
    block = axis.stride * axis.stride * parity;
    values = kUnits * channels_per_unit;
    blocks = Divide(plan.source_channels, values);
  }

  size_t size() const { return blocks * block; }

  // Units of a block that hold channels.
  int units(long b) const {
    return static_cast<int>(Divide(Min(values, plan.source_channels - b * values), values / kUnits));
  }

  // From a destination pixel's place (row - from, column) to its tap's source.
  long offset(const Tap& vertical, const Tap& horizontal) const {
    int s = plan.axis.stride;
    long r = Floor(vertical.offset, s);
    long c = Floor(horizontal.offset, s);
    long plane = (vertical.offset - r * s) * s + (horizontal.offset - c * s);
    long column = c - plan.axis.low;
    long start = plane * parity + (r - plan.axis.low) * row;
    return pairs ? start + column % 2 * pairing + column / 2 * kUnits : start + column * kUnits;
  }

  static long Floor(long a, long b) { return a >= 0 ? a / b : -Divide(-a, b); }
};

template <typename T>
struct Source {
  const T* image;
  const float* scale;  // of its channels, or null
  const float* offset;
  bool silu;

  Source(const T* images, const Plan& plan, const Activation& activation, long index)
      : image(images + index * plan.source_height * plan.source_width * plan.source_channels),
        scale(activation.scale == nullptr ? nullptr : activation.scale + index * plan.source_channels),
        offset(activation.scale == nullptr ? nullptr : activation.offset + index * plan.source_channels),
        silu(activation.silu) {}

  // Some channels of a pixel as floats, zeros beyond `count`.
  template <int kCount>
  inline void Read(const T* pixel, long channel, long count, float* to) const {
    const T* x = pixel + channel;
    if (count >= kCount) {
      Activate<kCount>(x, channel, kCount, to);
    } else {
      Activate<kCount>(x, channel, count, to);
      for (long i = count; i < kCount; i++) {
        to[i] = 0;
      }
    }
  }

 private:
  template <int kCount>
  inline __attribute__((always_inline)) void Activate(const T* __restrict x, long channel, long count,
                                                      float* __restrict to) const {
    if (scale == nullptr) {
      for (long i = 0; i < count; i++) {
        to[i] = Load(x[i]);
      }
      return;
    }
    const float* __restrict a = scale + channel;
    const float* __restrict b = offset + channel;
    if (silu) {
      for (long i = 0; i < count; i++) {
        float z = Load(x[i]) * a[i] + b[i];
        to[i] = z * Sigmoid(z);
      }
    } else {
      for (long i = 0; i < count; i++) {
        to[i] = Load(x[i]) * a[i] + b[i];
      }
    }
  }
};

// The units of one pixel's block of channels.
template <typename A, typename T>
inline void CopyPixel(const Source<T>& source, const T* pixel, long channel, long channels, float* to) {
  constexpr int kValues = kUnits * A::kValues;
  long count = Min(kValues, channels - channel);
  if constexpr (A::kValues == 1) {
    source.template Read<kValues>(pixel, channel, count, to);
  } else if (source.scale == nullptr && count == kValues) {
    std::memcpy(to, pixel + channel, kUnits * sizeof(float));
  } else {
    float values[kValues];
    source.template Read<kValues>(pixel, channel, count, values);
    BFloat16 halves[kValues];
    for (int i = 0; i < kValues; i++) {
      Store(&halves[i], values[i]);
    }
    std::memcpy(to, halves, sizeof halves);
  }
}

// Calls copy(block, source row, first source column, distance of columns, target of the row) for each row of each
// parity, the row being null where it lies outside.
template <typename F>
void ForEachRow(const Band& band, float* to, F copy) {
  const Plan& plan = band.plan;
  const int s = plan.axis.stride;
  for (long b = 0; b < band.blocks; b++) {
    for (int pr = 0; pr < s; pr++) {
      for (int pc = 0; pc < s; pc++) {
        float* plane = to + b * band.block + (pr * s + pc) * band.parity;
        for (long r = 0; r < band.rows; r++) {
          long row = s * (band.from + r + plan.axis.low) + pr;
          bool inside = row >= 0 && row < plan.source_height;
          copy(b, inside ? row : -1, s * plan.axis.low + pc, plane + r * band.row);
        }
      }
    }
  }
}

template <typename A, typename T>
void CopyBand(const Band& band, const Source<T>& source, float* to) {
  const Plan& plan = band.plan;
  const long channels = plan.source_channels;
  const int s = plan.axis.stride;
  ForEachRow(band, to, [&](long b, long row, long first, float* target) {
    const T* line = source.image + row * plan.source_width * channels;
    for (long i = 0; i < band.columns; i++, target += kUnits) {
      long column = first + s * i;
      if (row >= 0 && column >= 0 && column < plan.source_width) {
        CopyPixel<A>(source, line + column * channels, b * band.values, channels, target);
      } else {
        std::memset(target, 0, kUnits * sizeof(float));
      }
    }
  });
}

// Units are pairs of neighbors, in two pairings.
template <typename T>
void CopyPairs(const Band& band, const Source<T>& source, float* to) {
  const Plan& plan = band.plan;
  const long channels = plan.source_channels;
  const int s = plan.axis.stride;
  ForEachRow(band, to, [&](long b, long row, long first, float* target) {
    if (row < 0) {
      std::memset(target, 0, band.row * sizeof(float));
      std::memset(target + band.pairing, 0, band.row * sizeof(float));
      return;
    }
    const T* line = source.image + row * plan.source_width * channels;
    long count = Min(kUnits, channels - b * kUnits);
    alignas(64) float last[kUnits] = {};
    for (long i = 0; i < 2 * band.columns; i++) {
      alignas(64) float next[kUnits];
      long column = first + s * i;
      if (column >= 0 && column < plan.source_width) {
        source.template Read<kUnits>(line + column * channels, b * kUnits, count, next);
      } else {
        std::memset(next, 0, sizeof next);
      }
      float* unit = i % 2 != 0 ? target + i / 2 * kUnits : target + band.pairing + (i / 2 - 1) * kUnits;
      if (i > 0) {
        PairUp<kUnits>(last, next, unit);
      }
      std::memcpy(last, next, sizeof last);
    }
  });
}

// ---- The sum over taps.

struct Taps {
  int count = 0;
  long offsets[Axis::kMaxTaps * Axis::kMaxTaps];
  unsigned weights[Axis::kMaxTaps * Axis::kMaxTaps];  // bit kernel * row + column

  Taps(const Plan& plan, int vertical, int horizontal) {
    const Axis& axis = plan.axis;
    for (int v = 0; v < axis.counts[vertical]; v++) {
      for (int h = 0; h < axis.counts[horizontal]; h++) {
        weights[count] = 0;
        for (int k = 0; k < plan.geometry.kernel * plan.geometry.kernel; k++) {
          bool has = axis.taps[vertical][v].weights >> (k / plan.geometry.kernel) & 1 &
                     axis.taps[horizontal][h].weights >> (k % plan.geometry.kernel);
          weights[count] |= static_cast<unsigned>(has) << k;
        }
        count++;
      }
    }
  }

  Taps(const Plan& plan, int vertical, int horizontal, const Band& band) : Taps(plan, vertical, horizontal) {
    const Axis& axis = plan.axis;
    for (int i = 0; i < count; i++) {
      int columns = axis.counts[horizontal];
      offsets[i] = band.offset(axis.taps[vertical][i / columns], axis.taps[horizontal][i % columns]);
    }
  }
};

// Weights are packed by phase, block of destination channels, block of source channels, tap, unit.
template <typename A>
struct Packed {
  long blocks;
  long units;  // of all blocks of source channels
  long tap;    // floats of all units of a tap
  long block;  // of a block of destination channels in the phase with the most taps

  explicit Packed(const Plan& plan) {
    blocks = Divide(plan.channels, kBlock);
    units = Divide(plan.source_channels, A::kValues);
    tap = units * kBlock;
    block = Axis::kMaxTaps * Axis::kMaxTaps * tap;
    long most = 0;
    for (int p = 0; p < plan.axis.period; p++) {
      most = plan.axis.counts[p] > most ? plan.axis.counts[p] : most;
    }
    block = most * most * tap;
  }

  long phase(int vertical, int horizontal, int period) const { return (vertical * period + horizontal) * blocks * block; }
};

template <typename T>
size_t PackedSize(const Plan& plan) {
  return plan.axis.period * plan.axis.period * Packed<Arithmetic<T>>(plan).blocks * Packed<Arithmetic<T>>(plan).block *
         sizeof(float);
}

template <typename T>
void Pack(const Plan& plan, const float* weights, void* packed) {
  using A = Arithmetic<T>;
  const Packed<A> layout(plan);
  const int kernels = plan.geometry.kernel * plan.geometry.kernel;
  const long in = plan.backward ? plan.channels : plan.source_channels;
  const long out = plan.backward ? plan.source_channels : plan.channels;
  // From one source or destination channel to the next.
  const long from_source = plan.backward ? 1 : out;
  const long from_channel = plan.backward ? out : 1;
  for (int v = 0; v < plan.axis.period; v++) {
    for (int h = 0; h < plan.axis.period; h++) {
      const Taps taps(plan, v, h);
      for (long b = 0; b < layout.blocks; b++) {
        float* to = static_cast<float*>(packed) + layout.phase(v, h, plan.axis.period) + b * layout.block;
        const long count = Min(kBlock, plan.channels - b * kBlock);
        for (long first = 0; first < plan.source_channels; first += kUnits * A::kValues) {
          const long end = Min(first + kUnits * A::kValues, plan.source_channels);
          for (int t = 0; t < taps.count; t++) {
            for (long source = first; source < end; source += A::kValues, to += kBlock) {
              float values[A::kValues][kBlock] = {};
              for (int k = 0; k < kernels; k++) {
                if ((taps.weights[t] >> k & 1) == 0) {
                  continue;
                }
                for (int i = 0; i < A::kValues && source + i < end; i++) {
                  const float* from =
                      weights + k * in * out + (source + i) * from_source + b * kBlock * from_channel;
                  for (long c = 0; c < count; c++) {
                    values[i][c] += from[c * from_channel];
                  }
                }
              }
              if constexpr (A::kValues == 1) {
                std::memcpy(to, values[0], sizeof values[0]);
              } else {
                PairUp<kBlock>(values[0], values[1], to);
              }
            }
          }
        }
      }
    }
  }
}

struct Operands {
  const float* source;  // of the first pixel
  long block;
  long blocks;
  int last_units;
  const Taps& taps;
  const float* weights;
};

// The sums of kPixels neighboring pixels, [kPixels, kBlock].
template <typename A, int kPixels>
void SumTaps(const Operands& op, float* sums) {
  Vector acc[kPixels][kVectors] = {};
  const float* weights = op.weights;
  for (long b = 0; b < op.blocks; b++) {
    const int units = b == op.blocks - 1 ? op.last_units : kUnits;
    const float* block = op.source + b * op.block;
    for (int t = 0; t < op.taps.count; t++) {
      const float* x = block + op.taps.offsets[t];
      for (int u = 0; u < units; u++, x++, weights += kBlock) {
        Vector w[kVectors];
#pragma GCC unroll 2
        for (int v = 0; v < kVectors; v++) {
          w[v] = *reinterpret_cast<const AlignedVector*>(weights + v * kLanes);
        }
#pragma GCC unroll 14
        for (int p = 0; p < kPixels; p++) {
          float unit = x[p * kUnits];
#pragma GCC unroll 2
          for (int v = 0; v < kVectors; v++) {
            acc[p][v] = A::Add(acc[p][v], unit, w[v]);
          }
        }
      }
    }
  }
#pragma GCC unroll 14
  for (int p = 0; p < kPixels; p++) {
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; v++) {
      *reinterpret_cast<AlignedVector*>(sums + p * kBlock + v * kLanes) = acc[p][v];
    }
  }
}

template <typename A>
constexpr void (*kSumTaps[])(const Operands&, float*) = {
    SumTaps<A, 1>, SumTaps<A, 2>, SumTaps<A, 3>, SumTaps<A, 4>, SumTaps<A, 5>, SumTaps<A, 6>,
    SumTaps<A, kManyRegisters ? 7 : 1>,  SumTaps<A, kManyRegisters ? 8 : 1>,  SumTaps<A, kManyRegisters ? 9 : 1>,
    SumTaps<A, kManyRegisters ? 10 : 1>, SumTaps<A, kManyRegisters ? 11 : 1>, SumTaps<A, kManyRegisters ? 12 : 1>,
    SumTaps<A, kManyRegisters ? 13 : 1>, SumTaps<A, kManyRegisters ? 14 : 1>,
};

template <typename T>
inline void Finish(const float* sums, const float* bias, const T* added, long count, T* to) {
  if (count == kBlock) {
    count = kBlock;
  }
  if (added == nullptr) {
#pragma GCC ivdep
    for (long c = 0; c < count; c++) {
      Store(&to[c], sums[c] + bias[c]);
    }
  } else {
#pragma GCC ivdep
    for (long c = 0; c < count; c++) {
      Store(&to[c], sums[c] + bias[c] + Load(added[c]));
    }
  }
}

template <typename T>
void Run(const Conv<T>& conv, long image, long from, long to) {
  using A = Arithmetic<T>;
  const Plan& plan = conv.plan;
  const Band band(plan, from, to, A::kValues, false);
  float* copy = Scratch(0, band.size());
  CopyBand<A>(band, Source<T>(conv.source, plan, conv.activation, image), copy);

  const Packed<A> layout(plan);
  const int period = plan.axis.period;
  const long start = image * plan.height * plan.width * plan.channels;
  alignas(64) float sums[kMaxPixels * kBlock];
  for (int v = 0; v < period; v++) {
    for (int h = 0; h < period; h++) {
      const Taps taps(plan, v, h, band);
      const long columns = (plan.width - h + period - 1) / period;
      const long tiles = Divide(columns, kMaxPixels);
      for (long r = from; r < to && period * r + v < plan.height; r++) {
        for (long b = 0; b < layout.blocks; b++) {
          const long first = b * kBlock;
          const long count = Min(kBlock, plan.channels - first);
          alignas(64) float bias[kBlock] = {};
          if (conv.bias != nullptr) {
            std::memcpy(bias, conv.bias + first, count * sizeof(float));
          }
          const float* weights =
              static_cast<const float*>(conv.weights) + layout.phase(v, h, period) + b * layout.block;
          long column = 0;
          for (long tile = 0; tile < tiles; tile++) {
            const long pixels = columns / tiles + (tile < columns % tiles);
            const Operands op = {copy + (r - from) * band.row + column * kUnits, band.block,
                                 band.blocks, band.units(band.blocks - 1), taps, weights};
            kSumTaps<A>[pixels - 1](op, sums);
            for (long p = 0; p < pixels; p++, column++) {
              const long at = start + ((period * r + v) * plan.width + period * column + h) * plan.channels + first;
              Finish(sums + p * kBlock, bias, conv.added == nullptr ? nullptr : conv.added + at, count,
                     conv.destination + at);
            }
          }
        }
      }
    }
  }
}

// ---- The gradient by the weights.

// Some rows of one phase of the output's gradient: [block][row][column or pair][kBlock] units.
template <typename A, typename T>
void CopyGradient(const Plan& plan, const T* image, int v, int h, long from, long to, float* copy, float* bias) {
  const int period = plan.axis.period;
  const long columns = (plan.width - h + period - 1) / period;
  const long blocks = Divide(plan.channels, kBlock);
  for (long b = 0; b < blocks; b++) {
    const long first = b * kBlock;
    const long count = Min(kBlock, plan.channels - first);
    alignas(64) float sums[kBlock] = {};
    for (long r = from; r < to; r++) {
      const T* line = image + ((period * r + v) * plan.width + h) * plan.channels + first;
      auto read = [&](long column, float* values) {
        const T* pixel = line + column * period * plan.channels;
        if (column >= columns) {
          std::memset(values, 0, kBlock * sizeof(float));
        } else if (count == kBlock) {
          for (int c = 0; c < kBlock; c++) {
            values[c] = Load(pixel[c]);
            sums[c] += values[c];
          }
        } else {
          std::memset(values, 0, kBlock * sizeof(float));
          for (long c = 0; c < count; c++) {
            values[c] = Load(pixel[c]);
            sums[c] += values[c];
          }
        }
      };
      for (long column = 0; column < columns; column += A::kValues, copy += kBlock) {
        if constexpr (A::kValues == 1) {
          read(column, copy);
        } else {
          alignas(64) float low[kBlock];
          alignas(64) float high[kBlock];
          read(column, low);
          read(column + 1, high);
          PairUp<kBlock>(low, high, copy);
        }
      }
    }
    for (long c = 0; c < count; c++) {
      bias[first + c] += sums[c];
    }
  }
}

// Adds up source x gradient over pixels: [kGradientUnits, kBlock].
template <typename A>
inline void SumPixels(const float* source, long source_row, const float* gradient, long columns, long rows, float* sums) {
  Vector acc[kGradientUnits][kVectors] = {};
  for (long r = 0; r < rows; r++) {
    const float* x = source + r * source_row;
    for (long c = 0; c < columns; c++, x += kUnits, gradient += kBlock) {
      Vector g[kVectors];
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; v++) {
        g[v] = *reinterpret_cast<const AlignedVector*>(gradient + v * kLanes);
      }
#pragma GCC unroll 8
      for (int u = 0; u < kGradientUnits; u++) {
        float unit = x[u];
#pragma GCC unroll 2
        for (int v = 0; v < kVectors; v++) {
          acc[u][v] = A::Add(acc[u][v], unit, g[v]);
        }
      }
    }
  }
#pragma GCC unroll 8
  for (int u = 0; u < kGradientUnits; u++) {
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; v++) {
      *reinterpret_cast<AlignedVector*>(sums + u * kBlock + v * kLanes) = acc[u][v];
    }
  }
}

template <typename T>
void Gradient(const ConvWeights<T>& op, long from, long to, float* weights, float* bias) {
  using A = Arithmetic<T>;
  constexpr bool kPairs = A::kValues == 2;
  const Plan& plan = op.plan;
  const int period = plan.axis.period;
  const int kernels = plan.geometry.kernel * plan.geometry.kernel;
  const long most_rows = Min(plan.Rows(), Divide(kGradientPixels, plan.Columns()));
  const long blocks = Divide(plan.channels, kBlock);
  const Band largest(plan, 0, most_rows, 1, kPairs);
  float* copy = Scratch(1, largest.size());
  const long most_units = Divide(plan.Columns(), A::kValues);
  float* gradient = Scratch(2, blocks * most_rows * most_units * kBlock);
  alignas(64) float sums[kGradientUnits * kBlock];
  for (long image = from; image < to; image++) {
    const Source<T> source(op.source, plan, op.activation, image);
    const T* output = op.gradient + image * plan.height * plan.width * plan.channels;
    for (long first = 0; first < plan.Rows(); first += most_rows) {
      const Band band(plan, first, Min(first + most_rows, plan.Rows()), 1, kPairs);
      if constexpr (kPairs) {
        CopyPairs(band, source, copy);
      } else {
        CopyBand<A>(band, source, copy);
      }
      for (int v = 0; v < period; v++) {
        for (int h = 0; h < period; h++) {
          const Taps taps(plan, v, h, band);
          const long end = Min(band.to, (plan.height - v + period - 1) / period);
          const long rows = end - first;
          const long columns = Divide((plan.width - h + period - 1) / period, A::kValues);
          CopyGradient<A>(plan, output, v, h, first, end, gradient, bias);
          for (long sb = 0; sb < band.blocks; sb++) {
            for (long b = 0; b < blocks; b++) {
              const long count = Min(kBlock, plan.channels - b * kBlock);
              for (int t = 0; t < taps.count; t++) {
                for (int u = 0; u < band.units(sb); u += kGradientUnits) {
                  SumPixels<A>(copy + sb * band.block + taps.offsets[t] + u, band.row,
                               gradient + b * rows * columns * kBlock, columns, rows, sums);
                  for (int k = 0; k < kernels; k++) {
                    if ((taps.weights[t] >> k & 1) == 0) {
                      continue;
                    }
                    const long channel = sb * kUnits + u;
                    const long channels = Min(kGradientUnits, plan.source_channels - channel);
                    float* target = weights + (k * plan.source_channels + channel) * plan.channels + b * kBlock;
                    for (long i = 0; i < channels; i++) {
#pragma GCC ivdep
                      for (long c = 0; c < count; c++) {
                        target[i * plan.channels + c] += sums[i * kBlock + c];
                      }
                    }
                  }
                }
              }
            }
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace ddpm

#endif  // DDPM_CONV_KERNELS_H_
