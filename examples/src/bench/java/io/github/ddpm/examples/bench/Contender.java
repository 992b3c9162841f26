package io.github.ddpm.examples.bench;

/** Who is timed. */
enum Contender {
  OURS_FLOAT32("ddpm float32", Ours.FLOAT32),
  OURS_BFLOAT16("ddpm bfloat16", Ours.BFLOAT16),
  PYTORCH_FLOAT32("PyTorch float32", new Torch("float32")),
  /** Sampling with everything in bfloat16, training by autocast. */
  PYTORCH_BFLOAT16("PyTorch bfloat16", new Torch("bfloat16")),
  ONNX_RUNTIME("ONNX Runtime float32", new Onnx());

  private final String title;
  private final Backend backend;

  Contender(String title, Backend backend) {
    this.title = title;
    this.backend = backend;
  }

  String title() {
    return title;
  }

  Backend backend() {
    return backend;
  }

  boolean isOurs() {
    return this == OURS_FLOAT32 || this == OURS_BFLOAT16;
  }

  boolean isBfloat16() {
    return this == OURS_BFLOAT16 || this == PYTORCH_BFLOAT16;
  }
}
