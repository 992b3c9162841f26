// Attention for one instruction set, in float32 whatever the images are. The shares of a block of rows are computed at
// a time, so that memory grows with the pixels and not with their square; the gradient computes them anew.
#ifndef DDPM_ATTENTION_KERNELS_H_
#define DDPM_ATTENTION_KERNELS_H_

#include <cmath>
#include <cstring>

#include "attention.h"
#include "numbers.h"
#include "scratch.h"
#include "simd.h"

namespace ddpm {
namespace {

constexpr long kBlockRows = 48;

inline long ToVectors(long count) { return (count + kLanes - 1) / kLanes * kLanes; }

// A matrix of floats; rows are padded to whole vectors unless it is a view.
struct Matrix {
  float* values;
  long row;
  long column = 1;

  float* at(long r) const { return values + r * row; }
  Matrix transposed() const { return {values, column, row}; }
};

template <int kRows, int kVectorsTogether>
inline void MultiplyTile(const Matrix& a, const Matrix& b, long inner, bool add, const Matrix& c) {
  Vector acc[kRows][kVectorsTogether] = {};
  for (long k = 0; k < inner; k++) {
    Vector w[kVectorsTogether];
#pragma GCC unroll 2
    for (int v = 0; v < kVectorsTogether; v++) {
      w[v] = LoadVector(b.at(k) + v * kLanes);
    }
#pragma GCC unroll 6
    for (int r = 0; r < kRows; r++) {
      float x = a.values[r * a.row + k * a.column];
#pragma GCC unroll 2
      for (int v = 0; v < kVectorsTogether; v++) {
        acc[r][v] += x * w[v];
      }
    }
  }
  for (int r = 0; r < kRows; r++) {
    for (int v = 0; v < kVectorsTogether; v++) {
      float* to = c.at(r) + v * kLanes;
      StoreVector(to, add ? LoadVector(to) + acc[r][v] : acc[r][v]);
    }
  }
}

template <int kVectorsTogether>
inline void MultiplyColumns(Matrix a, const Matrix& b, long rows, long inner, bool add, Matrix c) {
  constexpr int kRows = kManyRegisters ? 6 : 4;
  for (; rows >= kRows; rows -= kRows, a.values += kRows * a.row, c.values += kRows * c.row) {
    MultiplyTile<kRows, kVectorsTogether>(a, b, inner, add, c);
  }
  for (; rows > 0; rows--, a.values += a.row, c.values += c.row) {
    MultiplyTile<1, kVectorsTogether>(a, b, inner, add, c);
  }
}

// c [rows, columns] = a [rows, inner] b [inner, columns], or what is added to c. b and c are padded to whole vectors.
void Multiply(const Matrix& a, Matrix b, long rows, long inner, long columns, bool add, Matrix c) {
  for (; columns > kLanes; columns -= 2 * kLanes, b.values += 2 * kLanes, c.values += 2 * kLanes) {
    MultiplyColumns<2>(a, b, rows, inner, add, c);
  }
  if (columns > 0) {
    MultiplyColumns<1>(a, b, rows, inner, add, c);
  }
}

// Matrices that share the thread's memory.
class Matrices {
 public:
  explicit Matrices(float* memory) : next_(memory) {}

  // Room for one vector more than there are, because two are computed at a time.
  static long Size(long rows, long columns) { return rows * Row(columns); }
  static long Row(long columns) { return (columns + 2 * kLanes - 1) / (2 * kLanes) * (2 * kLanes); }

  Matrix Add(long rows, long columns) {
    Matrix matrix = {next_, Row(columns)};
    next_ += Size(rows, columns);
    return matrix;
  }

 private:
  float* next_;
};

// Rows of one head, scaled; zeros to the end of a row.
template <typename T>
void ReadRows(const T* from, long distance, long rows, long columns, float scale, const Matrix& to) {
  for (long r = 0; r < rows; r++) {
    float* row = to.at(r);
    for (long c = 0; c < columns; c++) {
      row[c] = scale * Load(from[r * distance + c]);
    }
    std::memset(row + columns, 0, (to.row - columns) * sizeof(float));
  }
}

template <typename T>
void WriteRows(const Matrix& from, long rows, long columns, float scale, T* to, long distance) {
  for (long r = 0; r < rows; r++) {
    for (long c = 0; c < columns; c++) {
      Store(&to[r * distance + c], scale * from.at(r)[c]);
    }
  }
}

void Transpose(const Matrix& from, long rows, long columns, const Matrix& to) {
  for (long c = 0; c < columns; c++) {
    float* row = to.at(c);
    for (long r = 0; r < rows; r++) {
      row[r] = from.at(r)[c];
    }
    std::memset(row + rows, 0, (to.row - rows) * sizeof(float));
  }
}

// Each row's exponentials divided by their sum, zeros to the end of the row.
void Softmax(const Matrix& m, long rows, long columns) {
  for (long r = 0; r < rows; r++) {
    float* row = m.at(r);
    float most = row[0];
    for (long c = 1; c < columns; c++) {
      most = row[c] > most ? row[c] : most;
    }
    Vector sums = {};
    for (long c = columns; c < ToVectors(columns); c++) {
      row[c] = -INFINITY;
    }
    for (long c = 0; c < columns; c += kLanes) {
      Vector shifted = LoadVector(row + c) - most;
      Vector e = Exp(shifted);
      // Exp is never zero.
      e = shifted < -87.0f ? Vector{} : e;
      sums += e;
      StoreVector(row + c, e);
    }
    const float factor = 1.0f / Sum(sums);
    for (long c = 0; c < columns; c += kLanes) {
      StoreVector(row + c, LoadVector(row + c) * factor);
    }
    std::memset(row + columns, 0, (m.row - columns) * sizeof(float));
  }
}

template <typename T>
bool Attend(const Attention<T>& op, long image, long head) {
  const long n = op.pixels;
  const long d = op.channels / op.heads;
  const long start = image * n * op.channels + head * d;
  const long block = n < kBlockRows ? n : kBlockRows;
  const float scale = static_cast<float>(1 / std::sqrt(static_cast<double>(d)));
  float* memory = Scratch(0, Matrices::Size(2 * n + 2 * block, d) + Matrices::Size(d + block, n));
  if (memory == nullptr) {
    return false;
  }
  Matrices matrices(memory);
  const Matrix key = matrices.Add(n, d);
  const Matrix value = matrices.Add(n, d);
  const Matrix query = matrices.Add(block, d);
  const Matrix y = matrices.Add(block, d);
  const Matrix key_columns = matrices.Add(d, n);
  const Matrix shares = matrices.Add(block, n);
  ReadRows(op.key + start, op.channels, n, d, 1, key);
  ReadRows(op.value + start, op.channels, n, d, 1, value);
  Transpose(key, n, d, key_columns);
  for (long first = 0; first < n; first += block) {
    const long rows = n - first < block ? n - first : block;
    const long at = start + first * op.channels;
    ReadRows(op.query + at, op.channels, rows, d, scale, query);
    Multiply(query, key_columns, rows, d, n, false, shares);
    Softmax(shares, rows, n);
    Multiply(shares, value, rows, n, d, false, y);
    WriteRows(y, rows, d, 1, op.y + at, op.channels);
  }
  return true;
}

// With P the shares, S what they are the softmax of: dvalue = P' dy, dP = dy value', dS = P (dP - the sum of P dP over
// the row), dquery = dS key / sqrt(d), dkey = dS' query / sqrt(d).
template <typename T>
bool AttendBackward(const AttentionGradient<T>& op, long image, long head) {
  const Attention<T>& forward = op.forward;
  const long n = forward.pixels;
  const long d = forward.channels / forward.heads;
  const long start = image * n * forward.channels + head * d;
  const long block = n < kBlockRows ? n : kBlockRows;
  const float scale = static_cast<float>(1 / std::sqrt(static_cast<double>(d)));
  float* memory = Scratch(0, Matrices::Size(4 * n + 3 * block, d) + Matrices::Size(2 * d + 2 * block, n));
  if (memory == nullptr) {
    return false;
  }
  Matrices matrices(memory);
  const Matrix key = matrices.Add(n, d);
  const Matrix value = matrices.Add(n, d);
  const Matrix dkey = matrices.Add(n, d);
  const Matrix dvalue = matrices.Add(n, d);
  const Matrix query = matrices.Add(block, d);
  const Matrix dquery = matrices.Add(block, d);
  const Matrix dy = matrices.Add(block, d);
  const Matrix key_columns = matrices.Add(d, n);
  const Matrix value_columns = matrices.Add(d, n);
  const Matrix shares = matrices.Add(block, n);
  const Matrix dshares = matrices.Add(block, n);
  ReadRows(forward.key + start, forward.channels, n, d, 1, key);
  ReadRows(forward.value + start, forward.channels, n, d, 1, value);
  Transpose(key, n, d, key_columns);
  Transpose(value, n, d, value_columns);
  for (long first = 0; first < n; first += block) {
    const long rows = n - first < block ? n - first : block;
    const long at = start + first * forward.channels;
    ReadRows(forward.query + at, forward.channels, rows, d, scale, query);
    ReadRows(op.dy + at, forward.channels, rows, d, 1, dy);
    Multiply(query, key_columns, rows, d, n, false, shares);
    Softmax(shares, rows, n);
    Multiply(shares.transposed(), dy, n, rows, d, first > 0, dvalue);
    Multiply(dy, value_columns, rows, d, n, false, dshares);
    for (long r = 0; r < rows; r++) {
      float* p = shares.at(r);
      float* dp = dshares.at(r);
      Vector sums = {};
      for (long c = 0; c < n; c += kLanes) {
        sums += LoadVector(p + c) * LoadVector(dp + c);
      }
      const float sum = Sum(sums);
      for (long c = 0; c < n; c += kLanes) {
        StoreVector(dp + c, LoadVector(p + c) * (LoadVector(dp + c) - sum));
      }
    }
    Multiply(dshares, key, rows, n, d, false, dquery);
    WriteRows(dquery, rows, d, scale, op.dquery + at, forward.channels);
    Multiply(dshares.transposed(), query, n, rows, d, first > 0, dkey);
  }
  WriteRows(dkey, n, d, 1, op.dkey + start, forward.channels);
  WriteRows(dvalue, n, d, 1, op.dvalue + start, forward.channels);
  return true;
}

}  // namespace
}  // namespace ddpm

#endif  // DDPM_ATTENTION_KERNELS_H_
