// Convolutions of 3x3 for one instruction set, by tiles of 4x4 pixels: Winograd's minimal filtering, F(4x4, 3x3) of
// Lavin and Gray 2016 (https://arxiv.org/abs/1509.09308, section 4), which multiplies 36 times where the definition
// does 144 times.
//
// A convolution is a product of polynomials. So both are evaluated at the points 0, +-p, +-q and infinity along each
// axis, the values are multiplied, over all channels at once, and what comes out is interpolated. With p = 1 / sqrt(2)
// and q = sqrt(2) the sums of float32 are off by 1.7 times as much as those of the definition; with the paper's 1 and 2
// it would be 3.7 times.
#ifndef DDPM_CONV_TILE_KERNELS_H_
#define DDPM_CONV_TILE_KERNELS_H_

#include "conv_gradient_kernels.h"
#include "conv_kernels.h"

namespace ddpm {
namespace {

constexpr int kTile = 4;                  // pixels of a destination's tile, along each axis
constexpr int kPatch = kTile + 2;         // of what it sees; and as many points
constexpr int kPoints = kPatch * kPatch;  // of both axes
constexpr long kTilesTogether = 32;       // whose values at all points stay in the second-level cache
constexpr long kMostProducts = 5l << 19;  // floats of weights' gradients at the points, for a thread: some 10 MiB
constexpr long kFewestTiles = 4;   // of an image, and of a part of it: with fewer, sums would wait for each other
constexpr long kFewestPixels = 8;  // of a tile inside the image, on average
constexpr long kFewestPixelsOfPairs = 512;  // of an image whose bfloat16 are multiplied in pairs
constexpr long kFewestChannels = 16;        // of source and destination, or going to the points takes too long

constexpr double kP = 0.70710678118654752;
constexpr double kQ = 1.41421356237309505;
static_assert(static_cast<float>(kP * kP * kQ * kQ) == 1, "which AtPoints does not multiply by");

// Of the source (B' in the paper): the values of a patch at the points.
inline void AtPoints(const Vector (&d)[kPatch], Vector (&v)[kPatch]) {
  constexpr float p = kP, q = kQ, pp = kP * kP, qq = kQ * kQ;
  v[0] = (d[0] + d[4]) - (pp + qq) * d[2];
  v[5] = (d[1] + d[5]) - (pp + qq) * d[3];
  const Vector even_p = d[4] - qq * d[2];
  const Vector odd_p = d[3] - qq * d[1];
  v[1] = even_p + p * odd_p;
  v[2] = even_p - p * odd_p;
  const Vector even_q = d[4] - pp * d[2];
  const Vector odd_q = d[3] - pp * d[1];
  v[3] = even_q + q * odd_q;
  v[4] = even_q - q * odd_q;
}

// Of the destination (A'): from values at the points to a tile.
inline void FromPoints(const Vector (&m)[kPatch], Vector (&y)[kTile]) {
  constexpr float p = kP, q = kQ, pp = kP * kP, qq = kQ * kQ, ppp = kP * kP * kP, qqq = kQ * kQ * kQ;
  const Vector even_p = m[1] + m[2];
  const Vector odd_p = m[1] - m[2];
  const Vector even_q = m[3] + m[4];
  const Vector odd_q = m[3] - m[4];
  y[0] = m[0] + even_p + even_q;
  y[1] = p * odd_p + q * odd_q;
  y[2] = pp * even_p + qq * even_q;
  y[3] = m[5] + ppp * odd_p + qqq * odd_q;
}

// The transpose of it (A).
inline void TileAtPoints(const Vector (&y)[kTile], Vector (&m)[kPatch]) {
  constexpr float p = kP, q = kQ, pp = kP * kP, qq = kQ * kQ, ppp = kP * kP * kP, qqq = kQ * kQ * kQ;
  m[0] = y[0];
  m[5] = y[3];
  const Vector even_p = y[0] + pp * y[2];
  const Vector odd_p = p * y[1] + ppp * y[3];
  m[1] = even_p + odd_p;
  m[2] = even_p - odd_p;
  const Vector even_q = y[0] + qq * y[2];
  const Vector odd_q = q * y[1] + qqq * y[3];
  m[3] = even_q + odd_q;
  m[4] = even_q - odd_q;
}

// Of the weights (G), with the value of the product of a point's distances from the others divided out.
inline void WeightsAtPoints(const Vector (&g)[3], Vector (&u)[kPatch]) {
  constexpr float p = kP, q = kQ, pp = kP * kP, qq = kQ * kQ;
  constexpr float at_0 = 1 / (pp * qq), at_p = 1 / (2 * pp * (pp - qq)), at_q = 1 / (2 * qq * (qq - pp));
  u[0] = at_0 * g[0];
  u[5] = g[2];
  const Vector even_p = at_p * g[0] + (at_p * pp) * g[2];
  const Vector odd_p = (at_p * p) * g[1];
  u[1] = even_p + odd_p;
  u[2] = even_p - odd_p;
  const Vector even_q = at_q * g[0] + (at_q * qq) * g[2];
  const Vector odd_q = (at_q * q) * g[1];
  u[3] = even_q + odd_q;
  u[4] = even_q - odd_q;
}

// The transpose of it (G').
inline void WeightsFromPoints(const Vector (&u)[kPatch], Vector (&g)[3]) {
  constexpr float p = kP, q = kQ, pp = kP * kP, qq = kQ * kQ;
  constexpr float at_0 = 1 / (pp * qq), at_p = 1 / (2 * pp * (pp - qq)), at_q = 1 / (2 * qq * (qq - pp));
  const Vector even_p = at_p * (u[1] + u[2]);
  const Vector odd_p = (at_p * p) * (u[1] - u[2]);
  const Vector even_q = at_q * (u[3] + u[4]);
  const Vector odd_q = (at_q * q) * (u[3] - u[4]);
  g[0] = at_0 * u[0] + even_p + even_q;
  g[1] = odd_p + odd_q;
  g[2] = pp * even_p + qq * even_q + u[5];
}

// Applies one of these along both axes: of load(row, column) to store(row, column, vector).
template <int kFrom, int kTo, typename Load, typename Store>
inline __attribute__((always_inline)) void AlongBoth(void (*apply)(const Vector (&)[kFrom], Vector (&)[kTo]), Load load,
                                                     Store store) {
  Vector half[kTo][kFrom];
  for (int c = 0; c < kFrom; c++) {
    Vector from[kFrom];
    Vector to[kTo];
#pragma GCC unroll 6
    for (int r = 0; r < kFrom; r++) {
      from[r] = load(r, c);
    }
    apply(from, to);
#pragma GCC unroll 6
    for (int r = 0; r < kTo; r++) {
      half[r][c] = to[r];
    }
  }
  for (int r = 0; r < kTo; r++) {
    Vector to[kTo];
    apply(half[r], to);
#pragma GCC unroll 6
    for (int c = 0; c < kTo; c++) {
      store(r, c, to[c]);
    }
  }
}

// Whether a plan can go by tiles, and is faster than by taps.
inline bool ByTiles(const Plan& plan) {
  const long tiles = Divide(plan.rows, kTile) * Divide(plan.columns, kTile);
  return plan.geometry.kernel == 3 && plan.geometry.down == 1 && plan.geometry.up == 1 &&
         Min(plan.source_channels, plan.channels) >= kFewestChannels && tiles >= kFewestTiles &&
         plan.rows * plan.columns >= kFewestPixels * tiles;
}

// Of a convolution, or its gradient by images. Where two bfloat16 are multiplied at once, taps are nearly as fast on
// small images, and their weights are an eighth in size, which is what one image alone waits for; but gradients are
// seldom those of one image.
template <typename T>
bool RunsByTiles(const Plan& plan) {
  return ByTiles(plan) &&
         (Arithmetic<T>::kValues == 1 || plan.backward || plan.rows * plan.columns >= kFewestPixelsOfPairs);
}

// The weights of a tap, by its place among the three.
inline int WeightAt(const Plan& plan, int place) {
  int t = 0;
  while (plan.axis.taps[0][t].offset - plan.axis.low != place) {
    t++;
  }
  return __builtin_ctz(plan.axis.taps[0][t].weights);
}

// How far values at two points are apart: by one cache line more than those of a point are long, because with a power
// of two all points would meet in the same few lines of a cache.
inline long PointStride(long length) { return length + kUnits; }

// How weights are packed: by block of destination channels, point, source channel.
inline size_t PackedSizeOfTiles(const Plan& plan) {
  return Divide(plan.channels, kBlock) * kPoints * PointStride(plan.source_channels * kBlock) * sizeof(float);
}

inline void PackTiles(const Plan& plan, const float* weights, long begin, long end, float* packed) {
  const FilterStrides strides(plan);
  const long point = PointStride(plan.source_channels * kBlock);
  packed += begin / kBlock * kPoints * point;
  for (long first = begin; first < end; first += kBlock, packed += kPoints * point) {
    const long count = Min(kBlock, plan.channels - first);
    for (long source = 0; source < plan.source_channels; source++) {
      alignas(64) float values[9][kBlock] = {};
      for (int k = 0; k < 9; k++) {
        const float* from = weights + (WeightAt(plan, k / 3) * 3 + WeightAt(plan, k % 3)) * strides.weight +
                            source * strides.source + first * strides.channel;
        for (long c = 0; c < count; c++) {
          values[k][c] = from[c * strides.channel];
        }
      }
      for (int v = 0; v < kBlock; v += kLanes) {
        float* to = packed + source * kBlock + v;
        AlongBoth(
            WeightsAtPoints, [&](int r, int c) { return LoadVector(values[r * 3 + c] + v); },
            [&](int r, int c, Vector u) { StoreVector(to + (r * kPatch + c) * point, u); });
      }
    }
  }
}

// Rows [from, to) of the destination, which are whole tiles, in columns that are, too.
inline Band BandOfTiles(const Plan& plan, long from, long to) {
  return Band(plan, from, to, Fma::kValues, false, Divide(plan.columns, kTile) * kTile);
}

// Those of a band.
struct Tiles {
  long columns;
  long count;

  explicit Tiles(const Band& band)
      : columns(Divide(band.plan.columns, kTile)), count((band.to - band.from) / kTile * columns) {}
};

// The values of a copied source: [point][block][tile][kUnits], those of this band from tile `first` on of `all`.
inline void SourceAtPoints(const Band& band, const Tiles& tiles, const float* copy, long first, long all, float* to) {
  const long point = PointStride(band.blocks * all * kUnits);
  for (long b = 0; b < band.blocks; b++) {
    for (long t = 0; t < tiles.count; t++) {
      const float* patch =
          copy + b * band.block + t / tiles.columns * kTile * band.row + t % tiles.columns * kTile * kUnits;
      float* target = to + (b * all + first + t) * kUnits;
      for (int u = 0; u < kUnits; u += kLanes) {
        AlongBoth(
            AtPoints, [&](int r, int c) { return LoadVector(patch + r * band.row + c * kUnits + u); },
            [&](int r, int c, Vector v) { StoreVector(target + (r * kPatch + c) * point + u, v); });
      }
    }
  }
}

// Sums at the points, of some tiles: [point][tile][kBlock].
inline void SumChannels(const Band& band, long tiles, const float* source, const float* weights, float* sums) {
  const long point = PointStride(band.blocks * tiles * kUnits);
  const long channels = band.plan.source_channels;
  const Taps taps;
  const long runs = Divide(tiles, kMaxPixels);
  for (int i = 0; i < kPoints; i++) {
    for (long run = 0, tile = 0; run < runs; run++) {
      const long count = tiles / runs + (run < tiles % runs);
      const Operands op = {
          source + i * point + tile * kUnits, tiles * kUnits, band.blocks,
          band.units(band.blocks - 1),        taps,           weights + i * PointStride(channels * kBlock)};
      kSumTaps<Fma>[count - 1](op, sums + i * PointStride(tiles * kBlock) + tile * kBlock);
      tile += count;
    }
  }
}

// From sums at the points to the destination's channels from `channel` on, of a band that begins at row `from`.
template <typename T>
void StoreTiles(const Conv<T>& conv, long image, long from, long channel, const Tiles& tiles, const float* sums) {
  const Plan& plan = conv.plan;
  const long count = Min(kBlock, plan.channels - channel);
  const long point = PointStride(tiles.count * kBlock);
  alignas(64) float bias[kBlock] = {};
  if (conv.bias != nullptr) {
    std::memcpy(bias, conv.bias + channel, count * sizeof(float));
  }
  for (long t = 0; t < tiles.count; t++) {
    alignas(64) float tile[kTile * kTile][kBlock];
    for (int v = 0; v < kBlock; v += kLanes) {
      const float* values = sums + t * kBlock + v;
      AlongBoth(
          FromPoints, [&](int r, int c) { return LoadVector(values + (r * kPatch + c) * point); },
          [&](int r, int c, Vector y) { StoreVector(tile[r * kTile + c] + v, y); });
    }
    const long row = from + t / tiles.columns * kTile;
    const long column = t % tiles.columns * kTile;
    for (long r = 0; r < Min(kTile, plan.height - row); r++) {
      for (long c = 0; c < Min(kTile, plan.width - column); c++) {
        const long at = ((image * plan.height + row + r) * plan.width + column + c) * plan.channels + channel;
        Finish(tile[r * kTile + c], bias, conv.added == nullptr ? nullptr : conv.added + at, count,
               conv.destination + at);
      }
    }
  }
}

template <typename T>
bool RunTiles(const Conv<T>& conv, long image, const Part& part) {
  const Plan& plan = conv.plan;
  const long columns = Divide(plan.columns, kTile);
  const long step = kTile * (kTilesTogether < columns ? 1 : kTilesTogether / columns);
  const long most_rows = Min(step, Divide(part.to - part.from, kTile) * kTile);
  const Band largest = BandOfTiles(plan, part.from, part.from + most_rows);
  const Tiles most(largest);
  float* copy = Scratch(0, largest.size());
  float* source = Scratch(1, kPoints * PointStride(largest.blocks * most.count * kUnits));
  float* sums = Scratch(2, kPoints * PointStride(most.count * kBlock));
  if (copy == nullptr || source == nullptr || sums == nullptr) {
    return false;
  }
  const long block = kPoints * PointStride(plan.source_channels * kBlock);
  for (long from = part.from; from < part.to; from += step) {
    const long rows = Divide(Min(step, part.to - from), kTile) * kTile;
    const Band band = BandOfTiles(plan, from, from + rows);
    const Tiles tiles(band);
    CopyBand<Fma>(band, conv.source, conv.activation, image, copy);
    SourceAtPoints(band, tiles, copy, 0, tiles.count, source);
    for (long channel = part.first; channel < part.last; channel += kBlock) {
      SumChannels(band, tiles.count, source, static_cast<const float*>(conv.weights) + channel / kBlock * block, sums);
      StoreTiles(conv, image, from, channel, tiles, sums);
    }
  }
  return true;
}

// The values of some channels of the output's gradient, whose tiles are zeros outside of the image:
// [point][block][tile][kBlock], those of rows from `from` on from tile `first` on of `all`. Adds up that of the bias.
template <typename T>
void GradientAtPoints(const Plan& plan, const T* image, const Part& part, const Tiles& tiles, long first, long all,
                      float* to, float* bias) {
  const long blocks = Divide(part.last - part.first, kBlock);
  const long point = PointStride(blocks * all * kBlock);
  for (long b = 0; b < blocks; b++) {
    const long channel = part.first + b * kBlock;
    const long count = Min(kBlock, plan.channels - channel);
    Vector sums[kVectors] = {};
    for (long t = 0; t < tiles.count; t++) {
      const long row = part.from + t / tiles.columns * kTile;
      const long column = t % tiles.columns * kTile;
      const T zeros[kBlock] = {};
      T padded[kTile * kTile][kBlock];
      const T* pixels[kTile * kTile];
      for (int i = 0; i < kTile * kTile; i++) {
        const long r = row + i / kTile;
        const long c = column + i % kTile;
        pixels[i] = zeros;
        if (r < plan.height && c < plan.width) {
          pixels[i] = image + (r * plan.width + c) * plan.channels + channel;
          if (count < kBlock) {
            std::memset(padded[i], 0, sizeof padded[i]);
            std::memcpy(padded[i], pixels[i], count * sizeof(T));
            pixels[i] = padded[i];
          }
        }
      }
      for (int v = 0; v < kVectors; v++) {
        float* target = to + (b * all + first + t) * kBlock + v * kLanes;
        AlongBoth(
            TileAtPoints,
            [&](int r, int c) {
              const Vector y = LoadVector(pixels[r * kTile + c] + v * kLanes);
              sums[v] += y;
              return y;
            },
            [&](int r, int c, Vector m) { StoreVector(target + (r * kPatch + c) * point, m); });
      }
    }
    for (long c = 0; c < count; c++) {
      bias[channel + c] += sums[c / kLanes][c % kLanes];
    }
  }
}

// Adds the sums over tiles of source x gradient to [kCount, kBlock]. (SumPixels and AddSums do it a tenth slower.)
template <int kCount>
void AddProducts(const float* source, const float* gradient, long tiles, float* products) {
  Vector acc[kCount][kVectors] = {};
  for (long t = 0; t < tiles; t++, source += kUnits, gradient += kBlock) {
    Vector g[kVectors];
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; v++) {
      g[v] = *reinterpret_cast<const AlignedVector*>(gradient + v * kLanes);
    }
#pragma GCC unroll 8
    for (int u = 0; u < kCount; u++) {
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; v++) {
        acc[u][v] = Fma::Add(acc[u][v], source[u], g[v]);
      }
    }
  }
#pragma GCC unroll 8
  for (int u = 0; u < kCount; u++) {
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; v++) {
      float* to = products + u * kBlock + v * kLanes;
      StoreVector(to, LoadVector(to) + acc[u][v]);
    }
  }
}

// The gradient by the weights of output channels [begin, end). At the points, [point][block][source channel][kBlock],
// it is the sum over tiles of source x gradient; the transpose of what takes weights to the points takes it back.
template <typename T>
bool GradientOfChannels(const ConvWeights<T>& op, long from, long to, long begin, long end, float* weights,
                        float* bias) {
  const Plan& plan = op.plan;
  const long columns = Divide(plan.columns, kTile);
  const long rows = Divide(plan.rows, kTile);
  const long step = Min(rows, kTilesTogether < columns ? 1 : kTilesTogether / columns);
  const long images = step < rows || kTilesTogether < rows * columns ? 1 : kTilesTogether / (rows * columns);
  const long most = step * columns * images;
  const Band largest = BandOfTiles(plan, 0, step * kTile);
  const long blocks = Divide(end - begin, kBlock);
  const long block = largest.blocks * kUnits * kBlock;
  const long point = PointStride(blocks * block);
  float* copy = Scratch(0, largest.size());
  float* source = Scratch(1, kPoints * PointStride(largest.blocks * most * kUnits));
  float* gradient = Scratch(2, kPoints * PointStride(blocks * most * kBlock));
  float* products = Scratch(3, kPoints * point);
  if (copy == nullptr || source == nullptr || gradient == nullptr || products == nullptr) {
    return false;
  }
  Clear(products, kPoints * point);
  for (long image = from; image < to; image += images) {
    const long last = Min(image + images, to);
    for (long r = 0; r < rows; r += step) {
      const Part part = {r * kTile, Min(r + step, rows) * kTile, begin, end};
      const Band band = BandOfTiles(plan, part.from, part.to);
      const Tiles tiles(band);
      const long all = tiles.count * (last - image);
      for (long i = image; i < last; i++) {
        const long first = (i - image) * tiles.count;
        CopyBand<Fma>(band, op.source, op.activation, i, copy);
        SourceAtPoints(band, tiles, copy, first, all, source);
        GradientAtPoints(plan, op.gradient + i * plan.height * plan.width * plan.channels, part, tiles, first, all,
                         gradient, bias);
      }
      const long from_source = PointStride(band.blocks * all * kUnits);
      const long from_gradient = PointStride(blocks * all * kBlock);
      constexpr int kTogether = GradientUnits(1);
      for (int i = 0; i < kPoints; i++) {
        for (long b = 0; b < blocks; b++) {
          for (long channel = 0; channel < plan.source_channels; channel += kTogether) {
            AddProducts<kTogether>(source + i * from_source + channel / kUnits * all * kUnits + channel % kUnits,
                                   gradient + i * from_gradient + b * all * kBlock, all,
                                   products + i * point + b * block + channel * kBlock);
          }
        }
      }
    }
  }
  for (long b = 0; b < blocks; b++) {
    const long first = begin + b * kBlock;
    for (long channel = 0; channel < plan.source_channels; channel++) {
      alignas(64) float values[9][kBlock];
      for (int v = 0; v < kBlock; v += kLanes) {
        const float* product = products + b * block + channel * kBlock + v;
        AlongBoth(
            WeightsFromPoints, [&](int r, int c) { return LoadVector(product + (r * kPatch + c) * point); },
            [&](int r, int c, Vector g) { StoreVector(values[r * 3 + c] + v, g); });
      }
      for (int k = 0; k < 9; k++) {
        const long weight = WeightAt(plan, k / 3) * 3 + WeightAt(plan, k % 3);
        AddSums(values[k], 1, Min(kBlock, end - first), plan.channels,
                weights + (weight * plan.source_channels + channel) * plan.channels + first);
      }
    }
  }
  return true;
}

template <typename T>
bool GradientOfTiles(const ConvWeights<T>& op, long from, long to, float* weights, float* bias) {
  const long blocks = kMostProducts / (kPoints * kBlock * Divide(op.plan.source_channels, kUnits) * kUnits);
  const long step = (blocks < 1 ? 1 : blocks) * kBlock;
  for (long begin = 0; begin < op.plan.channels; begin += step) {
    if (!GradientOfChannels(op, from, to, begin, Min(begin + step, op.plan.channels), weights, bias)) {
      return false;
    }
  }
  return true;
}

// By tiles or by taps.
template <typename T>
size_t PackedSize(const Plan& plan) {
  return RunsByTiles<T>(plan) ? PackedSizeOfTiles(plan) : PackedSizeOfTaps<T>(plan);
}

template <typename T>
void Pack(const Plan& plan, const float* weights, long first, long last, void* packed) {
  if (RunsByTiles<T>(plan)) {
    PackTiles(plan, weights, first, last, static_cast<float*>(packed));
  } else {
    PackTaps<T>(plan, weights, first, last, packed);
  }
}

template <typename T>
Grain GrainOf(const Plan& plan) {
  if (RunsByTiles<T>(plan)) {
    return {kTile * Divide(kFewestTiles, Divide(plan.columns, kTile)), kBlock};
  }
  return {1, plan.channels <= kNarrow ? kNarrow : kBlock};
}

template <typename T>
bool Run(const Conv<T>& conv, long image, const Part& part) {
  return RunsByTiles<T>(conv.plan) ? RunTiles(conv, image, part) : RunTaps(conv, image, part);
}

template <typename T>
bool Gradient(const ConvWeights<T>& op, long from, long to, float* weights, float* bias) {
  return ByTiles(op.plan) ? GradientOfTiles(op, from, to, weights, bias) : GradientOfTaps(op, from, to, weights, bias);
}

}  // namespace
}  // namespace ddpm

#endif  // DDPM_CONV_TILE_KERNELS_H_
