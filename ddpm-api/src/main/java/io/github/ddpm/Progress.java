package io.github.ddpm;

/**
 * How far sampling has come, as a {@linkplain Sampler#listener listener} is told after each row. A
 * row is a {@link Step}: there are as many as the plan has timesteps, or more where the solver
 * needs several for a timestep.
 *
 * @param row the row just done, in [0, rows)
 * @param rows how many rows the table has
 * @param timestep that the network was called with
 * @param firstImage index of the first image of {@code x0}: large requests are worked off in
 *     several batches, and each runs all rows
 * @param x0 the current estimate of the finished images, clipped
 */
public record Progress(int row, int rows, double timestep, long firstImage, Images x0) {}
