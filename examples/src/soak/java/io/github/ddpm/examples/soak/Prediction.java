package io.github.ddpm.examples.soak;

import com.google.common.primitives.ImmutableDoubleArray;
import java.util.stream.IntStream;

/**
 * What tells one model from another.
 *
 * @param info what it is
 * @param output what its network answers
 */
record Prediction(String info, ImmutableDoubleArray output) {
  Prediction(String info, float... output) {
    this(
        info,
        ImmutableDoubleArray.copyOf(IntStream.range(0, output.length).mapToDouble(i -> output[i])));
  }
}
