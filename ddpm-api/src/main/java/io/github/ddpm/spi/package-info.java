/**
 * The seam between the API and what runs models, and what both refuse input by. Users of the
 * library need none of it.
 */
package io.github.ddpm.spi;
