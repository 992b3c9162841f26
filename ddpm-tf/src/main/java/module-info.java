/** The U-Net, its training and fast sampling on TensorFlow Java. */
// metadata-extractor has the name of a module in its manifest, but no descriptor.
@SuppressWarnings("requires-automatic")
module io.github.ddpm.tf {
  requires transitive io.github.ddpm;
  requires transitive tensorflow;
  requires com.drew.metadata;
  requires com.fasterxml.jackson.databind;
  requires com.google.common;

  exports io.github.ddpm.tf;
  exports io.github.ddpm.tf.data;
  exports io.github.ddpm.tf.graph;

  provides io.github.ddpm.spi.PredictorProvider with
      io.github.ddpm.tf.sampling.TfPredictorProvider;
}
