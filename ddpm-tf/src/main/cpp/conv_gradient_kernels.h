// Convolutions for one instruction set, by their definition: the gradient by the weights.
#ifndef DDPM_CONV_GRADIENT_KERNELS_H_
#define DDPM_CONV_GRADIENT_KERNELS_H_

#include "conv_source.h"

namespace ddpm {
namespace {

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

// Units of source channels whose gradients are computed together with those of so many taps: as many sums as there are
// registers for, because all of them meet a pixel of the gradient that is loaded once.
constexpr int GradientUnits(int taps) { return kManyRegisters ? (taps == 1 ? 8 : 4) : (taps == 1 ? 4 : 2); }
constexpr int kMostSums = 12;  // of taps by units

// Adds up source x gradient over pixels: [kTaps, units, kBlock].
template <typename A, int kTaps>
void SumPixels(const float* source, const long* offsets, long source_row, const float* gradient, long columns,
               long rows, float* sums) {
  constexpr int kCount = GradientUnits(kTaps);
  static_assert(kTaps * kCount <= kMostSums && kUnits % kCount == 0, "");
  Vector acc[kTaps][kCount][kVectors] = {};
  for (long r = 0; r < rows; r++) {
    const float* x[kTaps];
    for (int t = 0; t < kTaps; t++) {
      x[t] = source + r * source_row + offsets[t];
    }
    for (long c = 0; c < columns; c++, gradient += kBlock) {
      Vector g[kVectors];
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; v++) {
        g[v] = *reinterpret_cast<const AlignedVector*>(gradient + v * kLanes);
      }
#pragma GCC unroll 3
      for (int t = 0; t < kTaps; t++) {
#pragma GCC unroll 8
        for (int u = 0; u < kCount; u++) {
          float unit = x[t][c * kUnits + u];
#pragma GCC unroll 2
          for (int v = 0; v < kVectors; v++) {
            acc[t][u][v] = A::Add(acc[t][u][v], unit, g[v]);
          }
        }
      }
    }
  }
#pragma GCC unroll 3
  for (int t = 0; t < kTaps; t++) {
#pragma GCC unroll 8
    for (int u = 0; u < kCount; u++) {
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; v++) {
        *reinterpret_cast<AlignedVector*>(sums + (t * kCount + u) * kBlock + v * kLanes) = acc[t][u][v];
      }
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

// Adds [channels, count] of rows of kBlock to rows of so many weights.
inline void AddSums(const float* sums, long channels, long count, long row, float* weights) {
  for (long i = 0; i < channels; i++, sums += kBlock, weights += row) {
    if (count == kBlock) {
      for (int c = 0; c < kBlock; c += kLanes) {
        StoreVector(weights + c, LoadVector(weights + c) + LoadVector(sums + c));
      }
      continue;
    }
    DDPM_INDEPENDENT
    for (long c = 0; c < count; c++) {
      weights[c] += sums[c];
    }
  }
}

template <typename T>
bool GradientOfTaps(const ConvWeights<T>& op, long from, long to, float* weights, float* bias) {
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
  alignas(64) float sums[kMostSums * kBlock];
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
              for (int t = 0, together; t < taps.count && !narrow; t += together) {
                together = taps.count % 3 == 0 ? 3 : taps.count % 2 == 0 ? 2 : 1;
                const auto sum = together == 3 ? SumPixels<A, 3> : together == 2 ? SumPixels<A, 2> : SumPixels<A, 1>;
                const int units = GradientUnits(together);
                for (int u = 0; u < band.units(sb); u += units) {
                  sum(copy + sb * band.block + u, taps.offsets + t, band.row, gradient + b * rows * columns * kBlock,
                      columns, rows, sums);
                  const long channel = sb * kUnits + u;
                  const long channels = Min(units, plan.source_channels - channel);
                  for (int i = 0; i < together; i++) {
                    for (unsigned left = taps.weights[t + i]; left != 0; left &= left - 1) {
                      const long k = __builtin_ctz(left);
                      AddSums(sums + i * units * kBlock, channels, count, plan.channels,
                              weights + (k * plan.source_channels + channel) * plan.channels + b * kBlock);
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

#endif  // DDPM_CONV_GRADIENT_KERNELS_H_
