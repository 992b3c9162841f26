/** Schedules, samplers and the interfaces of a diffusion model; no native code. */
module io.github.ddpm {
  requires transitive java.desktop;
  requires com.google.common;

  exports io.github.ddpm;
  exports io.github.ddpm.spi;

  uses io.github.ddpm.spi.PredictorProvider;
}
