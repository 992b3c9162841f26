// Convolutions for one instruction set, by their definition: the sum over taps.
#ifndef DDPM_CONV_KERNELS_H_
#define DDPM_CONV_KERNELS_H_

#include "conv_source.h"

namespace ddpm {
namespace {

// Weights are packed by phase, block of destination channels, block of source channels, tap, unit. Where the
// destination is narrow, a block is one channel, and neighbors are units.
template <typename A>
struct Packed {
  bool narrow;
  long width;  // of a block of destination channels
  long blocks;
  long block;  // floats of one in the phase with the most taps

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

  long phase(int vertical, int horizontal, int period) const {
    return (vertical * period + horizontal) * blocks * block;
  }
};

template <typename T>
size_t PackedSizeOfTaps(const Plan& plan) {
  return plan.axis.period * plan.axis.period * Packed<Arithmetic<T>>(plan).blocks * Packed<Arithmetic<T>>(plan).block *
         sizeof(float);
}

// In [kernel, kernel, in, out], from one place of the kernel, source channel or destination channel to the next.
struct FilterStrides {
  long weight;
  long source;
  long channel;

  explicit FilterStrides(const Plan& plan)
      : weight(plan.source_channels * plan.channels),
        source(plan.backward ? 1 : plan.channels),
        channel(plan.backward ? plan.source_channels : 1) {}
};

template <typename T>
void PackTaps(const Plan& plan, const float* weights, long begin, long last, void* packed) {
  using A = Arithmetic<T>;
  const Packed<A> layout(plan);
  const int kernels = plan.geometry.kernel * plan.geometry.kernel;
  const FilterStrides strides(plan);
  for (int v = 0; v < plan.axis.period; v++) {
    for (int h = 0; h < plan.axis.period; h++) {
      const Taps taps(plan, v, h);
      for (long b = begin / layout.width; b * layout.width < last; b++) {
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
                      weights + k * strides.weight + (source + i) * strides.source + b * layout.width * strides.channel;
                  for (long c = 0; c < count; c++) {
                    values[i][c] += from[c * strides.channel];
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
    SumTaps<A, 1>,
    SumTaps<A, 2>,
    SumTaps<A, 3>,
    SumTaps<A, 4>,
    SumTaps<A, 5>,
    SumTaps<A, 6>,
    SumTaps<A, kManyRegisters ? 7 : 1>,
    SumTaps<A, kManyRegisters ? 8 : 1>,
    SumTaps<A, kManyRegisters ? 9 : 1>,
    SumTaps<A, kManyRegisters ? 10 : 1>,
    SumTaps<A, kManyRegisters ? 11 : 1>,
    SumTaps<A, kManyRegisters ? 12 : 1>,
    SumTaps<A, kManyRegisters ? 13 : 1>,
    SumTaps<A, kManyRegisters ? 14 : 1>,
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
bool RunTaps(const Conv<T>& conv, long image, const Part& part) {
  using A = Arithmetic<T>;
  const Plan& plan = conv.plan;
  const Band band(plan, part.from, part.to, A::kValues, false);
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
      for (long r = part.from; r < part.to && period * r + v < plan.height; r++) {
        for (long first = part.first; first < part.last; first += layout.width) {
          const long count = Min(layout.width, plan.channels - first);
          alignas(64) float bias[kBlock] = {};
          if (conv.bias != nullptr) {
            std::memcpy(bias, conv.bias + first, count * sizeof(float));
          }
          const float* weights = static_cast<const float*>(conv.weights) + layout.phase(v, h, period) +
                                 first / layout.width * layout.block;
          long column = 0;
          for (long tile = 0; column < columns; tile++) {
            const Operands op = {copy + (r - part.from) * band.row + column * kUnits,
                                 band.block,
                                 band.blocks,
                                 band.units(band.blocks - 1),
                                 taps,
                                 weights};
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

}  // namespace
}  // namespace ddpm

#endif  // DDPM_CONV_KERNELS_H_
