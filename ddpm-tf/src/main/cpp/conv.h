// Convolutions of images [images, height, width, channels], whose size may halve or double on the way, and their
// gradients. All of it is one computation: a lattice of destination pixels, each a sum over taps, which are a source
// pixel relative to it and a matrix of weights.
#ifndef DDPM_CONV_H_
#define DDPM_CONV_H_

#include <cstddef>
#include <cstdint>

namespace ddpm {

// Along one axis: output o sees, through weight k in [0, kernel), input floor((o * down + k - padding) / up). So up is
// 2 for a convolution of the image with its pixels repeated, and down is 2 for a convolution at every second pixel.
struct Geometry {
  int kernel;
  int padding;
  int down;
  int up;

  long Output(long input) const { return input * up / down; }
};

// A source pixel, relative to a destination pixel, and the weights (bit k) that both are connected by.
struct Tap {
  int offset;
  unsigned weights;
};

// The destinations period * j + phase, for j from 0, read the sources stride * j + offset of their taps.
struct Axis {
  static constexpr int kMaxTaps = 4;

  int period;
  int stride;
  int counts[2];
  Tap taps[2][kMaxTaps];
  int low;   // the least of floor(offset / stride)
  int high;  // the greatest

  // From input to output, or from the gradient of the output to that of the input.
  static Axis Forward(const Geometry& geometry);
  static Axis Backward(const Geometry& geometry);

 private:
  void Add(int phase, int offset, int weight);
  void Finish();
};

// Both axes are alike.
struct Plan {
  Geometry geometry;
  Axis axis;
  bool backward;  // the source is the gradient of the output
  long source_height;
  long source_width;
  long source_channels;
  long height;
  long width;
  long channels;
  // Of each phase; the last ones may have one less.
  long rows;
  long columns;

  // Multiplications of one image.
  double Products() const;
};

Plan ForwardPlan(const Geometry& geometry, long height, long width, long in, long out);
Plan BackwardPlan(const Geometry& geometry, long height, long width, long in, long out);

// What an image goes through before it meets the weights: x * scale + offset per channel, then SiLU.
struct Activation {
  const float* scale;  // [images, channels]; null for nothing at all
  const float* offset;
  bool silu;
};

// Some of the destination: rows [from, to) of each phase, channels [first, last).
struct Part {
  long from;
  long to;
  long first;
  long last;
};

// What parts begin at multiples of.
struct Grain {
  long rows;
  long channels;
};

template <typename T>
struct Conv {
  Plan plan;
  const T* source;
  Activation activation;
  const void* weights;  // packed
  const float* bias;    // null for none
  const T* added;       // of the destination's shape; null for none
  T* destination;
};

template <typename T>
struct ConvWeights {
  Plan plan;  // forward
  const T* source;
  Activation activation;
  const T* gradient;  // of the output
};

// The same functions for different instruction sets.
template <typename T>
struct ConvKernels {
  // Bytes of the packed weights.
  size_t (*packed_size)(const Plan&);
  // From [kernel, kernel, in, out] to the order in which the convolution reads them, for the destination's channels
  // [first, last).
  void (*pack)(const Plan&, const float* weights, long first, long last, void* packed);
  Grain (*grain)(const Plan&);
  // A part of an image. This and the next return whether they had the memory that they need.
  bool (*run)(const Conv<T>&, long image, const Part& part);
  // Adds the gradients of images [from, to) to [kernel, kernel, in, out] and [out].
  bool (*gradient)(const ConvWeights<T>&, long from, long to, float* weights, float* bias);
};

}  // namespace ddpm

#endif  // DDPM_CONV_H_
