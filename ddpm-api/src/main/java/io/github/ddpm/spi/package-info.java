/** The seam between the API and what runs models. Users of the library need none of it. */
package io.github.ddpm.spi;
