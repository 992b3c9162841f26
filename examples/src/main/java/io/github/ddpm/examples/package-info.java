/** The programs of this package train models, draw their pictures and measure them. */
package io.github.ddpm.examples;
