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
#include "scratch.h"
#include "simd.h"

namespace ddpm {
namespace {

constexpr int kUnits = 16;                    // of a block of channels: a cache line
constexpr int kVectors = 2;                   // of destination channels that are computed together
constexpr int kBlock = kVectors * kLanes;     // so many channels
constexpr int kMaxPixels = kManyRegisters ? 14 : 6;   // of a row that are computed together
constexpr int kGradientUnits = kManyRegisters ? 8 : 4;  // of source channels whose gradients are computed together
constexpr int kNarrow = 4;                    // channels at most where it is the source's that fill vectors
constexpr long kGradientPixels = 256;         // whose source and gradient stay in the first-level cache

constexpr long Divide(long a, long b) { return (a + b - 1) / b; }
constexpr long Min(long a, long b) { return a < b ? a : b; }

struct Fma {
  static constexpr int kValues = 1;  // of a unit

  static Vector Add(Vector sum, float unit, Vector weights) { return sum + unit * weights; }
  static Vector Add(Vector sum, Vector units, Vector weights) { return sum + units * weights; }
};

#ifdef __AVX512BF16__
struct Dot {
  static constexpr int kValues = 2;

  static Vector Add(Vector sum, float unit, Vector weights) {
    return (Vector)_mm512_dpbf16_ps((__m512)sum, (__m512bh)(__m512)weights, (__m512bh)_mm512_set1_ps(unit));
  }
  static Vector Add(Vector sum, Vector units, Vector weights) {
    return (Vector)_mm512_dpbf16_ps((__m512)sum, (__m512bh)(__m512)weights, (__m512bh)(__m512)units);
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

// Units of two bfloat16, the first in the lower half.
inline Vector PairUp(Vector low, Vector high) { return (Vector)(Rounded(low) | Rounded(high) << 16); }
inline Vector PairUp(Bits low, Bits high) { return (Vector)(low | high << 16); }

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
    long pixels = plan.columns + axis.high - axis.low;
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

enum class Mode { kNothing, kScale, kSilu };

// Some neighboring channels of an image and what they go through.
template <typename T, int kCount>
struct Channels {
  long count;     // the others are zeros
  Mode mode;
  alignas(64) float scale[kCount] = {};
  alignas(64) float offset[kCount] = {};

  Channels(const Activation& activation, long image, long channels, long first)
      : count(Min(kCount, channels - first)),
        mode(activation.scale == nullptr ? Mode::kNothing : activation.silu ? Mode::kSilu : Mode::kScale) {
    if (mode != Mode::kNothing) {
      std::memcpy(scale, activation.scale + image * channels + first, count * sizeof(float));
      std::memcpy(offset, activation.offset + image * channels + first, count * sizeof(float));
    }
  }

  // Calls store(pixel, index of a vector, vector) for neighboring pixels.
  template <typename F>
  void ForEach(const T* x, long pixels, long distance, F store) const {
    switch (mode) {
      case Mode::kNothing:
        ForEach<Mode::kNothing>(x, pixels, distance, store);
        break;
      case Mode::kScale:
        ForEach<Mode::kScale>(x, pixels, distance, store);
        break;
      case Mode::kSilu:
        ForEach<Mode::kSilu>(x, pixels, distance, store);
        break;
    }
  }

 private:
  template <Mode kMode, typename F>
  void ForEach(const T* x, long pixels, long distance, F store) const {
    constexpr int kVectorsOfPixel = kCount / kLanes;
    T padded[kCount] = {};
    Vector scales[kVectorsOfPixel];
    Vector offsets[kVectorsOfPixel];
    for (int v = 0; v < kVectorsOfPixel; v++) {
      scales[v] = LoadVector(scale + v * kLanes);
      offsets[v] = LoadVector(offset + v * kLanes);
    }
    for (long p = 0; p < pixels; p++, x += distance) {
      const T* pixel = x;
      if (count < kCount) {
        std::memcpy(padded, x, count * sizeof(T));
        pixel = padded;
      }
      for (int v = 0; v < kVectorsOfPixel; v++) {
        Vector z = LoadVector(pixel + v * kLanes);
        if constexpr (kMode != Mode::kNothing) {
          z = z * scales[v] + offsets[v];
        }
        store(p, v, kMode == Mode::kSilu ? Silu(z) : z);
      }
    }
  }
};

// Calls copy(source row or null, pixels left of the image, pixels inside, first of these, target) for each row of a
// block of channels, whatever its parity.
template <typename T, typename F>
void ForEachRow(const Band& band, const T* image, long pixels, float* to, F copy) {
  const Plan& plan = band.plan;
  const long s = plan.axis.stride;
  for (long pr = 0; pr < s; pr++) {
    for (long pc = 0; pc < s; pc++) {
      const long first = s * plan.axis.low + pc;
      const long before = Min(pixels, first >= 0 ? 0 : Divide(-first, s));
      const long end = Min(pixels, Divide(plan.source_width - first, s));
      float* target = to + (pr * s + pc) * band.parity;
      for (long r = 0; r < band.rows; r++, target += band.row) {
        const long row = s * (band.from + r + plan.axis.low) + pr;
        const bool inside = row >= 0 && row < plan.source_height && end > before;
        copy(inside ? image + (row * plan.source_width + first + s * before) * plan.source_channels : nullptr, before,
             inside ? end - before : 0, target);
      }
    }
  }
}

inline void Clear(float* to, long units) { std::memset(to, 0, units * sizeof(float)); }

template <typename A, typename T>
void CopyBand(const Band& band, const T* images, const Activation& activation, long index, float* to) {
  const Plan& plan = band.plan;
  const T* image = images + index * plan.source_height * plan.source_width * plan.source_channels;
  const long distance = plan.axis.stride * plan.source_channels;
  for (long b = 0; b < band.blocks; b++) {
    const Channels<T, kUnits * A::kValues> channels(activation, index, plan.source_channels, b * band.values);
    ForEachRow(band, image + b * band.values, band.columns, to + b * band.block,
               [&](const T* x, long before, long inside, float* target) {
                 if (x == nullptr) {
                   Clear(target, band.row);
                   return;
                 }
                 Clear(target, before * kUnits);
                 Clear(target + (before + inside) * kUnits, (band.columns - before - inside) * kUnits);
                 target += before * kUnits;
                 if constexpr (A::kValues == 1) {
                   channels.ForEach(x, inside, distance,
                                    [&](long p, int v, Vector z) { StoreVector(target + p * kUnits + v * kLanes, z); });
                 } else if (channels.mode == Mode::kNothing && channels.count == kUnits * A::kValues) {
                   for (long p = 0; p < inside; p++) {
                     std::memcpy(target + p * kUnits, x + p * distance, kUnits * sizeof(float));
                   }
                 } else {
                   channels.ForEach(x, inside, distance, [&](long p, int v, Vector z) {
                     StoreVector(reinterpret_cast<BFloat16*>(target + p * kUnits) + v * kLanes, z);
                   });
                 }
               });
  }
}

// Units are pairs of neighbors, in two pairings. A row as it is activated goes through `line`.
template <typename T>
void CopyPairs(const Band& band, const T* images, const Activation& activation, long index, float* line, float* to) {
  const Plan& plan = band.plan;
  const T* image = images + index * plan.source_height * plan.source_width * plan.source_channels;
  const long distance = plan.axis.stride * plan.source_channels;
  const long pixels = 2 * band.columns;
  for (long b = 0; b < band.blocks; b++) {
    const Channels<T, kUnits> channels(activation, index, plan.source_channels, b * kUnits);
    ForEachRow(band, image + b * kUnits, pixels, to + b * band.block,
               [&](const T* x, long before, long inside, float* target) {
                 if (x == nullptr) {
                   Clear(target, band.row);
                   Clear(target + band.pairing, band.row);
                   return;
                 }
                 Clear(line, before * kUnits);
                 Clear(line + (before + inside) * kUnits, (pixels - before - inside) * kUnits);
                 channels.ForEach(x, inside, distance, [&](long p, int v, Vector z) {
                   StoreVector(line + (before + p) * kUnits + v * kLanes, z);
                 });
                 for (long i = 0; i + 1 < pixels; i++) {
                   float* unit = target + i % 2 * band.pairing + i / 2 * kUnits;
                   for (int u = 0; u < kUnits; u += kLanes) {
                     StoreVector(unit + u,
                                 PairUp(LoadVector(line + i * kUnits + u), LoadVector(line + (i + 1) * kUnits + u)));
                   }
                 }
               });
  }
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

// Weights are packed by phase, block of destination channels, block of source channels, tap, unit. Where the
// destination is narrow, a block is one channel, and neighbors are units.
template <typename A>
struct Packed {
  bool narrow;
  long width;   // of a block of destination channels
  long blocks;
  long block;   // floats of one in the phase with the most taps

  explicit Packed(const Plan& plan) {
    narrow = plan.channels <= kNarrow;
    width = narrow ? 1 : kBlock;
    blocks = Divide(plan.channels, width);
    long units = Divide(plan.source_channels, A::kValues);
    units = narrow ? Divide(units, kUnits) * kUnits : units;
    long most = 0;
    for (int p = 0; p < plan.axis.period; p++) {
      most = plan.axis.counts[p] > most ? plan.axis.counts[p] : most;
    }
    block = most * most * units * width;
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
        const long count = Min(layout.width, plan.channels - b * layout.width);
        for (long first = 0; first < plan.source_channels; first += kUnits * A::kValues) {
          const long end = Min(first + kUnits * A::kValues, plan.source_channels);
          const long padded = layout.narrow ? first + kUnits * A::kValues : end;
          for (int t = 0; t < taps.count; t++) {
            for (long source = first; source < padded; source += A::kValues, to += layout.width) {
              float values[A::kValues][kBlock] = {};
              for (int k = 0; k < kernels; k++) {
                if ((taps.weights[t] >> k & 1) == 0) {
                  continue;
                }
                for (int i = 0; i < A::kValues && source + i < end; i++) {
                  const float* from =
                      weights + k * in * out + (source + i) * from_source + b * layout.width * from_channel;
                  for (long c = 0; c < count; c++) {
                    values[i][c] += from[c * from_channel];
                  }
                }
              }
              for (long c = 0; c < kBlock; c += kLanes) {
                Vector low = LoadVector(values[0] + c);
                Vector units = A::kValues == 1 ? low : PairUp(low, LoadVector(values[A::kValues - 1] + c));
                if (layout.narrow) {
                  to[0] = units[0];
                  break;
                }
                StoreVector(to + c, units);
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

// The sums of kPixels neighboring pixels, each of one channel.
template <typename A, int kPixels>
void SumTapsNarrow(const Operands& op, float* sums) {
  Vector acc[kPixels] = {};
  const float* weights = op.weights;
  for (long b = 0; b < op.blocks; b++) {
    for (int t = 0; t < op.taps.count; t++, weights += kUnits) {
      const float* x = op.source + b * op.block + op.taps.offsets[t];
      for (int u = 0; u < kUnits; u += kLanes) {
        const Vector w = LoadVector(weights + u);
#pragma GCC unroll 4
        for (int p = 0; p < kPixels; p++) {
          acc[p] = A::Add(acc[p], LoadVector(x + p * kUnits + u), w);
        }
      }
    }
  }
  for (int p = 0; p < kPixels; p++) {
    sums[p] = Sum(acc[p]);
  }
}

template <typename T>
inline void Finish(const float* sums, const float* bias, const T* added, long count, T* to) {
  if (count == kBlock) {
    for (int c = 0; c < kBlock; c += kLanes) {
      Vector sum = LoadVector(sums + c) + LoadVector(bias + c);
      StoreVector(to + c, added == nullptr ? sum : sum + LoadVector(added + c));
    }
    return;
  }
  for (long c = 0; c < count; c++) {
    Store(&to[c], sums[c] + bias[c] + (added == nullptr ? 0.0f : Load(added[c])));
  }
}

template <typename T>
bool Run(const Conv<T>& conv, long image, long from, long to) {
  using A = Arithmetic<T>;
  const Plan& plan = conv.plan;
  const Band band(plan, from, to, A::kValues, false);
  float* copy = Scratch(0, band.size());
  if (copy == nullptr) {
    return false;
  }
  CopyBand<A>(band, conv.source, conv.activation, image, copy);

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
          const long first = b * layout.width;
          const long count = Min(layout.width, plan.channels - first);
          alignas(64) float bias[kBlock] = {};
          if (conv.bias != nullptr) {
            std::memcpy(bias, conv.bias + first, count * sizeof(float));
          }
          const float* weights =
              static_cast<const float*>(conv.weights) + layout.phase(v, h, period) + b * layout.block;
          long column = 0;
          for (long tile = 0; column < columns; tile++) {
            const Operands op = {copy + (r - from) * band.row + column * kUnits, band.block,
                                 band.blocks, band.units(band.blocks - 1), taps, weights};
            long pixels;
            if (!layout.narrow) {
              pixels = columns / tiles + (tile < columns % tiles);
              kSumTaps<A>[pixels - 1](op, sums);
            } else if (columns - column >= 4) {
              pixels = 4;
              SumTapsNarrow<A, 4>(op, sums);
            } else {
              pixels = 1;
              SumTapsNarrow<A, 1>(op, sums);
            }
            for (long p = 0; p < pixels; p++, column++) {
              const long at = start + ((period * r + v) * plan.width + period * column + h) * plan.channels + first;
              Finish(sums + p * layout.width, bias, conv.added == nullptr ? nullptr : conv.added + at, count,
                     conv.destination + at);
            }
          }
        }
      }
    }
  }
  return true;
}

// ---- The gradient by the weights.

// A block of channels of a pixel of the output's gradient, zeros beyond its count; summed up, too.
inline Vector LoadBlock(const float* pixel, int v) { return LoadVector(pixel + v * kLanes); }
inline Bits LoadBlock(const BFloat16* pixel, int v) { return LoadBits(pixel + v * kLanes); }
inline Vector AsFloat(Vector v) { return v; }
inline Vector AsFloat(Bits bits) { return (Vector)(bits << 16); }

// Some rows of one phase of the output's gradient: [block][row][column or pair][kBlock] units.
template <typename A, typename T>
void CopyGradient(const Plan& plan, const T* image, int v, int h, long from, long to, float* copy, float* bias) {
  const int period = plan.axis.period;
  const long columns = (plan.width - h + period - 1) / period;
  const long blocks = Divide(plan.channels, kBlock);
  for (long b = 0; b < blocks; b++) {
    const long first = b * kBlock;
    const long count = Min(kBlock, plan.channels - first);
    Vector sums[kVectors] = {};
    for (long r = from; r < to; r++) {
      const T* line = image + ((period * r + v) * plan.width + h) * plan.channels + first;
      for (long column = 0; column < columns; column += A::kValues, copy += kBlock) {
        T padded[A::kValues][kBlock] = {};
        const T* pixels[A::kValues];
        for (int i = 0; i < A::kValues; i++) {
          pixels[i] = column + i < columns ? line + (column + i) * period * plan.channels : nullptr;
          if (pixels[i] == nullptr || count < kBlock) {
            if (pixels[i] != nullptr) {
              std::memcpy(padded[i], pixels[i], count * sizeof(T));
            }
            pixels[i] = padded[i];
          }
        }
        for (int w = 0; w < kVectors; w++) {
          const auto low = LoadBlock(pixels[0], w);
          sums[w] += AsFloat(low);
          if constexpr (A::kValues == 1) {
            StoreVector(copy + w * kLanes, AsFloat(low));
          } else {
            const auto high = LoadBlock(pixels[A::kValues - 1], w);
            sums[w] += AsFloat(high);
            StoreVector(copy + w * kLanes, PairUp(low, high));
          }
        }
      }
    }
    for (long c = 0; c < count; c++) {
      bias[first + c] += sums[c / kLanes][c % kLanes];
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

// The same for one channel of the gradient, and all units: [kUnits].
template <typename A>
inline void SumPixelsNarrow(const float* source, long source_row, const float* gradient, long columns, long rows,
                            float* sums) {
  constexpr int kVectorsOfUnits = kUnits / kLanes;
  // Two of each, because each addition waits for the one before.
  Vector even[kVectorsOfUnits] = {};
  Vector odd[kVectorsOfUnits] = {};
  for (long r = 0; r < rows; r++) {
    const float* x = source + r * source_row;
    for (long c = 0; c + 1 < columns; c += 2, x += 2 * kUnits, gradient += 2 * kBlock) {
      for (int v = 0; v < kVectorsOfUnits; v++) {
        even[v] = A::Add(even[v], gradient[0], LoadVector(x + v * kLanes));
        odd[v] = A::Add(odd[v], gradient[kBlock], LoadVector(x + kUnits + v * kLanes));
      }
    }
    if (columns % 2 != 0) {
      for (int v = 0; v < kVectorsOfUnits; v++) {
        even[v] = A::Add(even[v], gradient[0], LoadVector(x + v * kLanes));
      }
      gradient += kBlock;
    }
  }
  for (int v = 0; v < kVectorsOfUnits; v++) {
    StoreVector(sums + v * kLanes, even[v] + odd[v]);
  }
}

template <typename T>
bool Gradient(const ConvWeights<T>& op, long from, long to, float* weights, float* bias) {
  using A = Arithmetic<T>;
  constexpr bool kPairs = A::kValues == 2;
  const Plan& plan = op.plan;
  if (plan.rows == 0 || plan.columns == 0) {
    return true;
  }
  const int period = plan.axis.period;
  const int kernels = plan.geometry.kernel * plan.geometry.kernel;
  const long most_rows = Min(plan.rows, Divide(kGradientPixels, plan.columns));
  const long blocks = Divide(plan.channels, kBlock);
  const bool narrow = plan.channels <= kNarrow;
  const Band largest(plan, 0, most_rows, 1, kPairs);
  float* copy = Scratch(1, largest.size());
  const long most_units = Divide(plan.columns, A::kValues);
  float* gradient = Scratch(2, blocks * most_rows * most_units * kBlock);
  float* line = kPairs ? Scratch(3, 2 * largest.columns * kUnits) : copy;
  if (copy == nullptr || gradient == nullptr || line == nullptr) {
    return false;
  }
  alignas(64) float sums[kGradientUnits * kBlock];
  for (long image = from; image < to; image++) {
    const T* output = op.gradient + image * plan.height * plan.width * plan.channels;
    for (long first = 0; first < plan.rows; first += most_rows) {
      const Band band(plan, first, Min(first + most_rows, plan.rows), 1, kPairs);
      if constexpr (kPairs) {
        CopyPairs(band, op.source, op.activation, image, line, copy);
      } else {
        CopyBand<A>(band, op.source, op.activation, image, copy);
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
              for (int t = 0; t < taps.count && narrow; t++) {
                for (long c = 0; c < plan.channels; c++) {
                  SumPixelsNarrow<A>(copy + sb * band.block + taps.offsets[t], band.row, gradient + c, columns, rows,
                                     sums);
                  for (int k = 0; k < kernels; k++) {
                    for (long i = 0; i < band.units(sb) && (taps.weights[t] >> k & 1) != 0; i++) {
                      weights[(k * plan.source_channels + sb * kUnits + i) * plan.channels + c] += sums[i];
                    }
                  }
                }
              }
              for (int t = 0; t < taps.count && !narrow; t++) {
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
DDPM_INDEPENDENT
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
  return true;
}

}  // namespace
}  // namespace ddpm

#endif  // DDPM_CONV_KERNELS_H_
