package io.github.ddpm.examples.measures;

/**
 * An estimate is a number that depends on which pictures were drawn.
 *
 * @param value the number
 * @param standardError how much it would vary from one draw of as many pictures to the next
 */
public record Estimate(double value, double standardError) {}
