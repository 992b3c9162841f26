package io.github.ddpm.tf.files;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Map;

/** The formats in which arrays are read; where there are several, the first is preferred. */
public enum ArrayFormat {
  /** What diffusers writes. */
  SAFETENSORS("safetensors") {
    @Override
    Map<String, StoredArray> list(OpenFile file) throws IOException {
      return SafeTensors.list(file);
    }
  },

  /** What diffusers wrote up to 0.16, and {@code torch.save} does. */
  PYTORCH("bin") {
    @Override
    Map<String, StoredArray> list(OpenFile file) throws IOException {
      return PyTorchFile.list(file);
    }
  };

  private final String extension;

  ArrayFormat(String extension) {
    this.extension = extension;
  }

  /** Returns what the names of such files in a model end with, behind a dot. */
  String extension() {
    return extension;
  }

  /**
   * Lists the arrays of a file, without reading them.
   *
   * @return the arrays by name, in the file's order
   * @throws IOException if the file isn't valid; the message names it and what is wrong
   */
  abstract Map<String, StoredArray> list(OpenFile file) throws IOException;

  /**
   * Reads a file: one of PyTorch if its name ends with {@code .bin} or {@code .pt}, else
   * safetensors.
   *
   * @return the arrays by name, in the file's order
   * @throws IOException if the file isn't valid; the message names it and what is wrong
   */
  public static Map<String, Weight> read(Path file) throws IOException {
    ArrayFormat format = file.toString().matches("(?s).*\\.(bin|pt)") ? PYTORCH : SAFETENSORS;
    try (OpenFile open = OpenFile.of(file)) {
      return StoredArray.readAll(open, format.list(open));
    }
  }
}
