#include <algorithm>

#include "conv.h"

namespace ddpm {
namespace {

int FloorDivide(int a, int b) { return a >= 0 ? a / b : -((-a + b - 1) / b); }

// Input relative to down * j, for output up * j + phase.
int Input(const Geometry& geometry, int phase, int weight) {
  return FloorDivide(phase * geometry.down + weight - geometry.padding, geometry.up);
}

long OfPhase(const Axis& axis, long size) { return (size + axis.period - 1) / axis.period; }

}  // namespace

void Axis::Add(int phase, int offset, int weight) {
  int tap = 0;
  while (tap < counts[phase] && taps[phase][tap].offset != offset) {
    tap++;
  }
  if (tap == counts[phase]) {
    taps[phase][counts[phase]++] = {offset, 0};
  }
  taps[phase][tap].weights |= 1u << weight;
}

void Axis::Finish() {
  low = 0;
  high = 0;
  for (int phase = 0; phase < period; phase++) {
    for (int tap = 0; tap < counts[phase]; tap++) {
      int offset = FloorDivide(taps[phase][tap].offset, stride);
      low = std::min(low, offset);
      high = std::max(high, offset);
    }
  }
}

Axis Axis::Forward(const Geometry& geometry) {
  Axis axis = {};
  axis.period = geometry.up;
  axis.stride = geometry.down;
  for (int phase = 0; phase < geometry.up; phase++) {
    for (int k = 0; k < geometry.kernel; k++) {
      axis.Add(phase, Input(geometry, phase, k), k);
    }
  }
  axis.Finish();
  return axis;
}

Axis Axis::Backward(const Geometry& geometry) {
  Axis axis = {};
  axis.period = geometry.down;
  axis.stride = geometry.up;
  for (int input = 0; input < geometry.down; input++) {
    for (int output = 0; output < geometry.up; output++) {
      for (int k = 0; k < geometry.kernel; k++) {
        int away = input - Input(geometry, output, k);
        if (away % geometry.down == 0) {
          axis.Add(input, geometry.up * (away / geometry.down) + output, k);
        }
      }
    }
  }
  axis.Finish();
  return axis;
}

Plan ForwardPlan(const Geometry& geometry, long height, long width, long in, long out) {
  const Axis axis = Axis::Forward(geometry);
  const long to_height = geometry.Output(height);
  const long to_width = geometry.Output(width);
  return {geometry,
          axis,
          false,
          height,
          width,
          in,
          to_height,
          to_width,
          out,
          OfPhase(axis, to_height),
          OfPhase(axis, to_width)};
}

Plan BackwardPlan(const Geometry& geometry, long height, long width, long in, long out) {
  const Axis axis = Axis::Backward(geometry);
  return {geometry, axis,  true, geometry.Output(height), geometry.Output(width), out,
          height,   width, in,   OfPhase(axis, height),   OfPhase(axis, width)};
}

double Plan::Products() const {
  double taps = 0;
  for (int phase = 0; phase < axis.period; phase++) {
    taps += axis.counts[phase];
  }
  return taps * taps * rows * columns * source_channels * channels;
}

}  // namespace ddpm
