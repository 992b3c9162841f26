package io.github.ddpm.tf;

/**
 * How far the download of a model has come.
 *
 * @param bytes that are there
 * @param total that there will be
 */
public record FetchProgress(long bytes, long total) {}
