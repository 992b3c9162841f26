/** Programs that train a model and write its pictures. */
package io.github.ddpm.examples;
