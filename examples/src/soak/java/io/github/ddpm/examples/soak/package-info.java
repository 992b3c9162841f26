/**
 * Soak tests: trainings that are killed, cut off and starved, files that lie, and servers that run
 * for long. Each counts what was tried, what survived and what was lost; {@code
 * docs/reliability.md} has the figures.
 */
package io.github.ddpm.examples.soak;
