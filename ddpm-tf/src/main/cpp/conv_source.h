// What convolutions for one instruction set read: the source, copied.
//
// A band of rows of the source is first copied to where the weights meet it: in blocks of channels of one cache line a
// pixel, with a border of zeros, activated on the way, and split by the parity of rows and columns where the
// convolution takes every second one. Then neighbors in the destination are neighbors there, whatever the geometry.
//
// All that is multiplied is made of units of four bytes: one float32, or, where the processor multiplies pairs of them,
// two bfloat16.
#ifndef DDPM_CONV_SOURCE_H_
#define DDPM_CONV_SOURCE_H_

#include <cstdlib>
#include <cstring>

#include "conv.h"
#include "numbers.h"
#include "scratch.h"
#include "simd.h"

namespace ddpm {
namespace {

constexpr int kUnits = 16;                           // of a block of channels: a cache line
constexpr int kVectors = 2;                          // of destination channels that are computed together
constexpr int kBlock = kVectors * kLanes;            // so many channels
constexpr int kMaxPixels = kManyRegisters ? 14 : 6;  // of a row that are computed together
constexpr int kNarrow = 4;                           // channels at most where it is the source's that fill vectors
constexpr long kGradientPixels = 256;                // whose source and gradient stay in the first-level cache

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
  bool pairs;    // of neighboring pixels are a unit, instead of pairs of channels
  long rows;     // of one parity
  long columns;  // units in a row
  long row;      // from one row to the next, in units, as all below
  long pairing;  // from pairs that start at even columns to those that start at odd ones
  long parity;   // from one parity to the next
  long block;    // from one block of channels to the next
  long values;   // channels in a block
  long blocks;

  Band(const Plan& p, long first, long last, int channels_per_unit, bool paired)
      : Band(p, first, last, channels_per_unit, paired, p.columns) {}

  // As wide as if there were so many columns in the destination.
  Band(const Plan& p, long first, long last, int channels_per_unit, bool paired, long width)
      : plan(p), from(first), to(last), pairs(paired) {
    const Axis& axis = plan.axis;
    rows = to - from + axis.high - axis.low;
    long pixels = width + axis.high - axis.low;
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
  long count;  // the others are zeros
  Mode mode;
  alignas(64) float scale[kCount] = {};
  alignas(64) float offset[kCount] = {};

  Channels(const Activation& activation, long image, long channels, long first)
      : count(Min(kCount, channels - first)),
        mode(activation.scale == nullptr ? Mode::kNothing
             : activation.silu           ? Mode::kSilu
                                         : Mode::kScale) {
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
        store(p, v, kMode == Mode::kSilu ? Silu<T>(z) : z);
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

// Units are pairs of neighbors, in two pairings. A row as it is activated and rounded goes through
// `line`.
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
                   StoreVector(line + (before + p) * kUnits + v * kLanes, (Vector)Rounded(z));
                 });
                 for (long i = 0; i + 1 < pixels; i++) {
                   float* unit = target + i % 2 * band.pairing + i / 2 * kUnits;
                   for (int u = 0; u < kUnits; u += kLanes) {
                     const float* low = line + i * kUnits + u;
                     StoreVector(unit + u, PairUp((Bits)LoadVector(low), (Bits)LoadVector(low + kUnits)));
                   }
                 }
               });
  }
}

struct Taps {
  int count = 0;
  long offsets[Axis::kMaxTaps * Axis::kMaxTaps];
  unsigned weights[Axis::kMaxTaps * Axis::kMaxTaps];  // bit kernel * row + column

  // One, of the pixel itself.
  Taps() : count(1), offsets{0}, weights{1} {}

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

}  // namespace
}  // namespace ddpm

#endif  // DDPM_CONV_SOURCE_H_
