// Group normalization for one instruction set. All loops run over rows of plain arrays, long ones where
// all channels are walked together, and are left to the compiler to vectorize. Sums go through float for a few rows,
// then double; their order depends on the shape alone, so that results are repeatable.
#ifndef DDPM_GROUP_NORM_KERNELS_H_
#define DDPM_GROUP_NORM_KERNELS_H_

#include <cmath>
#include <cstdlib>
#include <cstring>

#include "group_norm.h"
#include "numbers.h"

namespace ddpm {
namespace {

// A row is as many pixels as make about this many values: long enough to vectorize well whatever the channels, short
// enough for a dozen such arrays to stay in the first-level cache.
constexpr long kRowLength = 256;
constexpr long kRowsPerFloatSum = 16;

// How some channels of an image are walked: in rows of as many pixels as all channels would be, so that sums are the
// same whatever is walked together. Value i of a row belongs to channel i % width.
struct Rows {
  long first;   // offset of the first value
  long width;   // channels
  long length;  // of a row, a multiple of width
  long pixel;   // between the starts of two pixels
  long stride;  // between the starts of two rows
  long count;   // whole rows
  long tail;    // values of the row after them

  Rows(const GroupNorm& norm, long image, long from, long to) {
    long per_group = norm.channels / norm.groups;
    first = image * norm.pixels * norm.channels + from * per_group;
    width = (to - from) * per_group;
    const long pixels = norm.channels < kRowLength ? kRowLength / norm.channels : 1;
    length = pixels * width;
    pixel = norm.channels;
    stride = pixels * pixel;
    count = norm.pixels / pixels;
    tail = norm.pixels % pixels * width;
  }

  // Calls piece(start, at, length) for what is next to each other: from value `at` of a row on; and done() after each
  // row.
  template <typename Piece, typename Done>
  void ForEach(Piece piece, Done done) const {
    for (long row = 0; row < count; row++) {
      Walk(first + row * stride, length, piece);
      done();
    }
    if (tail > 0) {
      Walk(first + count * stride, tail, piece);
      done();
    }
  }

  template <typename Piece>
  void Walk(long start, long values, Piece piece) const {
    if (width == pixel) {
      piece(start, 0, values);
      return;
    }
    for (long at = 0; at < values; at += width) {
      piece(start + at / width * pixel, at, width);
    }
  }

  // Repeats the first `width` values to the end of a row.
  void Repeat(float* values) const {
    for (long i = width; i < length; i++) {
      values[i] = values[i - width];
    }
  }
};

// Arrays of one row each, freed together.
template <typename T>
class Arrays {
 public:
  Arrays(long count, long length)
      : length_(length),
        values_(static_cast<T*>(std::calloc(count * length, sizeof(T)))),
        ok_(values_ != nullptr || count * length == 0) {}
  ~Arrays() { std::free(values_); }
  Arrays(const Arrays&) = delete;
  Arrays& operator=(const Arrays&) = delete;

  // Whether there was memory for them.
  bool ok() const { return ok_; }

  T* operator[](long i) { return values_ + i * length_; }

 private:
  long length_;
  T* values_;
  bool ok_;
};

// Sums per value of a row, in float for a few rows and in double beyond.
template <int N>
class Sums {
 public:
  explicit Sums(const Rows& rows) : rows_(rows), floats_(N, rows.length), doubles_(N, rows.length) {}

  bool ok() const { return floats_.ok() && doubles_.ok(); }

  float* operator[](int i) { return floats_[i]; }

  void RowDone() {
    if (++done_ == kRowsPerFloatSum) {
      Flush();
    }
  }

  // The sum of each channel, in the first `width` doubles.
  void Finish() {
    Flush();
    for (int n = 0; n < N; n++) {
      double* sums = doubles_[n];
      for (long i = rows_.width; i < rows_.length; i++) {
        sums[i % rows_.width] += sums[i];
      }
    }
  }

  const double* total(int i) { return doubles_[i]; }

 private:
  void Flush() {
    done_ = 0;
    float* from = floats_[0];
    double* to = doubles_[0];
    for (long i = 0; i < N * rows_.length; i++) {
      to[i] += from[i];
      from[i] = 0;
    }
  }

  const Rows& rows_;
  Arrays<float> floats_;
  Arrays<double> doubles_;
  int done_ = 0;
};

template <typename T>
bool ComputeStatistics(const Statistics<T>& op, long image, long from, long to) {
  const GroupNorm& norm = op.norm;
  const Rows rows(norm, image, from, to);
  const long per_group = norm.channels / norm.groups;
  const long first_channel = from * per_group;
  Arrays<float> arrays(1, rows.length);
  Sums<2> sums(rows);
  if (!arrays.ok() || !sums.ok()) {
    return false;
  }

  // Mean and variance of each channel in one pass, as differences from its first pixel: without them the variance
  // would be a small difference of large numbers where the mean is far from zero.
  float* pivot = arrays[0];
  for (long c = 0; c < rows.width; c++) {
    pivot[c] = Load(op.x[rows.first + c]);
  }
  rows.Repeat(pivot);
  auto add = [&](long start, long at, long length) {
    const T* __restrict x = op.x + start;
    const float* __restrict origin = pivot + at;
    float* __restrict sum = sums[0] + at;
    float* __restrict squares = sums[1] + at;
    DDPM_INDEPENDENT
    for (long i = 0; i < length; i++) {
      float difference = Load(x[i]) - origin[i];
      sum[i] += difference;
      squares[i] += difference * difference;
    }
  };
  rows.ForEach(add, [&]() { sums.RowDone(); });
  sums.Finish();

  const float* shift = norm.shift.values == nullptr ? nullptr : RowOf(norm.shift, image) + first_channel;
  for (long group = from; group < to; group++) {
    const long begin = (group - from) * per_group;
    auto channel_mean = [&](long c) {
      double shifted = shift == nullptr ? pivot[c] : static_cast<double>(pivot[c]) + shift[c];
      return shifted + sums.total(0)[c] / norm.pixels;
    };
    double mean = 0;
    for (long c = begin; c < begin + per_group; c++) {
      mean += channel_mean(c) / per_group;
    }
    double variance = 0;
    for (long c = begin; c < begin + per_group; c++) {
      double within = sums.total(0)[c] / norm.pixels;
      double between = channel_mean(c) - mean;
      variance += (sums.total(1)[c] / norm.pixels - within * within + between * between) / per_group;
    }
    // A NaN must stay one.
    variance = variance < 0 ? 0 : variance;
    const double rstd = 1 / std::sqrt(variance + norm.epsilon);
    float* statistics = op.statistics + 2 * (image * norm.groups + group);
    statistics[0] = static_cast<float>(mean);
    statistics[1] = static_cast<float>(rstd);
  }
  return true;
}

// With dz the gradient of z, and over the m values of a group A = sum(gamma * dz), B = sum(gamma * dz * xhat):
// dx = rstd * (gamma * dz - (A + xhat * B) / m).
template <typename T>
bool NormalizeBackward(const Backward<T>& op, long image, long from, long to) {
  const GroupNorm& norm = op.norm;
  const Rows rows(norm, image, from, to);
  const long per_group = norm.channels / norm.groups;
  const long first_channel = from * per_group;
  const float* gamma = RowOf(norm.gamma, image) + first_channel;
  const float* beta = RowOf(norm.beta, image) + first_channel;
  const float* shift = norm.shift.values == nullptr ? nullptr : RowOf(norm.shift, image) + first_channel;
  Arrays<float> arrays(7, rows.length);
  // dz is needed twice. In float32 it fits where dx will be.
  Arrays<float> scratch(sizeof(T) == sizeof(float) ? 0 : rows.count * rows.length + rows.tail, 1);
  Sums<3> sums(rows);
  if (!arrays.ok() || !scratch.ok() || !sums.ok()) {
    return false;
  }
  float* rstd = arrays[0];
  float* offset = arrays[1];
  float* weight = arrays[2];
  float* bias = arrays[3];
  for (long c = 0; c < rows.width; c++) {
    const float* statistics = op.statistics + 2 * (image * norm.groups + from + c / per_group);
    rstd[c] = statistics[1];
    offset[c] =
        static_cast<float>(((shift == nullptr ? 0.0 : shift[c]) - static_cast<double>(statistics[0])) * statistics[1]);
    weight[c] = gamma[c];
    bias[c] = beta[c];
  }
  for (int i = 0; i < 4; i++) {
    rows.Repeat(arrays[i]);
  }

  auto dz_at = [&](long start, long at) {
    if constexpr (sizeof(T) == sizeof(float)) {
      return reinterpret_cast<float*>(op.dx + start);
    } else {
      return scratch[0] + (start - rows.first) / rows.stride * rows.length + at;
    }
  };
  auto add = [&](long start, long at, long length) {
    const T* __restrict x = op.x + start;
    const T* dy = op.dy + start;
    float* dz = dz_at(start, at);
    const float* __restrict r = rstd + at;
    const float* __restrict o = offset + at;
    const float* __restrict w = weight + at;
    const float* __restrict b = bias + at;
    float* __restrict sum = sums[0] + at;
    float* __restrict product = sums[1] + at;
    float* __restrict normalized = sums[2] + at;
    if (norm.silu) {
      DDPM_INDEPENDENT
      for (long i = 0; i < length; i++) {
        float xhat = Load(x[i]) * r[i] + o[i];
        float z = xhat * w[i] + b[i];
        float s = Sigmoid(z);
        float d = Load(dy[i]) * s * (1.0f + z * (1.0f - s));
        sum[i] += d;
        product[i] += d * xhat;
        normalized[i] += xhat;
        dz[i] = d;
      }
    } else {
      DDPM_INDEPENDENT
      for (long i = 0; i < length; i++) {
        float xhat = Load(x[i]) * r[i] + o[i];
        float d = Load(dy[i]);
        sum[i] += d;
        product[i] += d * xhat;
        normalized[i] += xhat;
        dz[i] = d;
      }
    }
  };
  rows.ForEach(add, [&]() { sums.RowDone(); });
  sums.Finish();

  // dx = from_dz * dz + from_x * x + constant.
  float* from_dz = arrays[4];
  float* from_x = arrays[5];
  float* constant = arrays[6];
  const long row = image * norm.channels + first_channel;
  const double values = static_cast<double>(norm.pixels) * per_group;
  for (long begin = 0; begin < rows.width; begin += per_group) {
    double a = 0;
    double b = 0;
    for (long c = begin; c < begin + per_group; c++) {
      a += gamma[c] * sums.total(0)[c];
      b += gamma[c] * sums.total(1)[c];
    }
    a /= values;
    b /= values;
    for (long c = begin; c < begin + per_group; c++) {
      op.dbeta[row + c] = static_cast<float>(sums.total(0)[c]);
      op.dgamma[row + c] = static_cast<float>(sums.total(1)[c]);
      if (op.dshift != nullptr) {
        op.dshift[row + c] =
            static_cast<float>(rstd[c] * (gamma[c] * sums.total(0)[c] - a * norm.pixels - b * sums.total(2)[c]));
      }
      from_dz[c] = rstd[c] * gamma[c];
      from_x[c] = static_cast<float>(-b * rstd[c] * rstd[c]);
      constant[c] = static_cast<float>(-rstd[c] * (a + b * offset[c]));
    }
  }
  for (int i = 4; i < 7; i++) {
    rows.Repeat(arrays[i]);
  }
  auto write = [&](long start, long at, long length) {
    const T* __restrict x = op.x + start;
    const float* dz = dz_at(start, at);
    T* dx = op.dx + start;
    const float* __restrict f = from_dz + at;
    const float* __restrict g = from_x + at;
    const float* __restrict k = constant + at;
    if (op.added == nullptr) {
      DDPM_INDEPENDENT
      for (long i = 0; i < length; i++) {
        Store(&dx[i], dz[i] * f[i] + (Load(x[i]) * g[i] + k[i]));
      }
    } else {
      const T* added = op.added + start;
      DDPM_INDEPENDENT
      for (long i = 0; i < length; i++) {
        Store(&dx[i], dz[i] * f[i] + (Load(x[i]) * g[i] + k[i]) + Load(added[i]));
      }
    }
  };
  rows.ForEach(write, []() {});
  return true;
}

}  // namespace
}  // namespace ddpm

#endif  // DDPM_GROUP_NORM_KERNELS_H_
