/** Denoising diffusion: the contracts, and everything about sampling that needs no network. */
module io.github.ddpm {
  requires transitive java.desktop; // BufferedImage
  requires com.google.common;

  exports io.github.ddpm;
  exports io.github.ddpm.spi;

  uses io.github.ddpm.spi.PredictorProvider;
}
