// Convolutions for one instruction set: the gradient by the weights.
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

#endif  // DDPM_CONV_GRADIENT_KERNELS_H_
