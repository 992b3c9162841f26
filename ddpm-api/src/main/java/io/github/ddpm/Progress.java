package io.github.ddpm;

/**
 * How far sampling has come, told after each row.
 *
 * @param row the row just done, in [0, rows)
 * @param rows rows in all
 * @param timestep that the network was called with
 * @param firstImage index of the first image of {@code x0}: large requests are worked off in
 *     several batches
 * @param x0 the current estimate of the finished images, clipped
 */
public record Progress(int row, int rows, double timestep, long firstImage, Images x0) {}
