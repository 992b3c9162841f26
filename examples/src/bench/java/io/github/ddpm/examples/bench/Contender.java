package io.github.ddpm.examples.bench;

/** Who is timed. */
enum Contender {
  OURS_FLOAT32("ddpm float32"),
  OURS_BFLOAT16("ddpm bfloat16"),
  PYTORCH_FLOAT32("PyTorch float32"),
  /** Sampling with everything in bfloat16, training by autocast. */
  PYTORCH_BFLOAT16("PyTorch bfloat16"),
  ONNX_RUNTIME("ONNX Runtime float32");

  private final String title;

  Contender(String title) {
    this.title = title;
  }

  String title() {
    return title;
  }

  Backend backend() {
    return switch (this) {
      case OURS_FLOAT32 -> Ours.FLOAT32;
      case OURS_BFLOAT16 -> Ours.BFLOAT16;
      case PYTORCH_FLOAT32 -> new Torch("float32");
      case PYTORCH_BFLOAT16 -> new Torch("bfloat16");
      case ONNX_RUNTIME -> new Onnx();
    };
  }

  boolean isOurs() {
    return this == OURS_FLOAT32 || this == OURS_BFLOAT16;
  }

  boolean isBfloat16() {
    return this == OURS_BFLOAT16 || this == PYTORCH_BFLOAT16;
  }
}
