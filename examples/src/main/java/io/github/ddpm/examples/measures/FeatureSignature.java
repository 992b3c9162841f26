package io.github.ddpm.examples.measures;

import io.github.ddpm.spi.Excerpt;
import java.io.IOException;
import java.util.Iterator;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Collectors;
import org.tensorflow.Signature;
import org.tensorflow.proto.DataType;
import org.tensorflow.proto.SignatureDef;
import org.tensorflow.proto.TensorInfo;
import org.tensorflow.proto.TensorShapeProto;

/**
 * This is what a feature network has promised to take and to give.
 *
 * @param key its name among the signatures of a SavedModel
 * @param input its name, a float [n, size, size, channels]
 * @param size height and width of the pictures; 0 for those of any size
 * @param channels 1 for gray, 3 for RGB
 * @param output its name, a float [n, dimensions]
 * @param dimensions number of features
 */
record FeatureSignature(
    String key, String input, int size, int channels, String output, int dimensions) {
  private static final long FREE = -1;

  /** TensorFlow's own signatures begin so. */
  private static final String HIDDEN = "__";

  /**
   * Finds the signature that is meant: {@code serving_default}, or the only one.
   *
   * @param network that a message names
   * @throws IOException if there is none, or it has another input or output
   */
  static FeatureSignature of(String network, Map<String, SignatureDef> all) throws IOException {
    TreeMap<String, SignatureDef> signatures = new TreeMap<>(all);
    signatures.keySet().removeIf(key -> key.startsWith(HIDDEN));
    String key = Signature.DEFAULT_KEY;
    if (!signatures.containsKey(key)) {
      if (signatures.size() != 1) {
        throw new IOException(
            "%s must have the signature %s, or only one, got %s"
                .formatted(
                    network,
                    key,
                    signatures.isEmpty()
                        ? "none"
                        : Excerpt.of(String.join(", ", signatures.keySet()))));
      }
      key = signatures.firstKey();
    }
    SignatureDef signature = signatures.get(key);
    String where = "of the signature " + Excerpt.of(key) + " of " + network;
    Map.Entry<String, TensorInfo> input = only(signature.getInputsMap());
    if (input == null || !isOfPictures(input.getValue())) {
      throw new IOException(
          "the input %s must be one float [?, height, width, channels], of 1 or 3 channels and equal height and width or any, got %s"
              .formatted(where, shown(signature.getInputsMap())));
    }
    Map.Entry<String, TensorInfo> output = only(signature.getOutputsMap());
    if (output == null || !isOfFeatures(output.getValue())) {
      throw new IOException(
          "the output %s must be one float [?, features], of a known number of features, got %s"
              .formatted(where, shown(signature.getOutputsMap())));
    }
    return new FeatureSignature(
        key,
        input.getKey(),
        (int) Math.max(0, size(input.getValue(), 1)),
        (int) size(input.getValue(), 3),
        output.getKey(),
        (int) size(output.getValue(), 1));
  }

  /** Returns the only entry; null if there is none or more. */
  private static Map.Entry<String, TensorInfo> only(Map<String, TensorInfo> tensors) {
    Iterator<Map.Entry<String, TensorInfo>> entries = tensors.entrySet().iterator();
    return tensors.size() == 1 ? entries.next() : null;
  }

  private static boolean isOfPictures(TensorInfo input) {
    return isBatch(input, 4)
        && size(input, 1) == size(input, 2)
        && (size(input, 1) == FREE || isSize(size(input, 1)))
        && (size(input, 3) == 1 || size(input, 3) == 3);
  }

  private static boolean isOfFeatures(TensorInfo output) {
    return isBatch(output, 2) && isSize(size(output, 1));
  }

  /** Tells whether a tensor is of as many floats of so many axes as one likes. */
  private static boolean isBatch(TensorInfo tensor, int axes) {
    TensorShapeProto shape = tensor.getTensorShape();
    return tensor.getDtype() == DataType.DT_FLOAT
        && !shape.getUnknownRank()
        && shape.getDimCount() == axes
        && size(tensor, 0) == FREE;
  }

  private static boolean isSize(long size) {
    return size >= 1 && size <= Integer.MAX_VALUE;
  }

  private static long size(TensorInfo tensor, int axis) {
    return tensor.getTensorShape().getDim(axis).getSize();
  }

  private static String shown(Map<String, TensorInfo> tensors) {
    List<String> each =
        new TreeMap<>(tensors)
            .entrySet().stream()
                .map(tensor -> tensor.getKey() + ", " + shown(tensor.getValue()))
                .toList();
    return each.isEmpty() ? "none" : Excerpt.of(String.join("; ", each));
  }

  private static String shown(TensorInfo tensor) {
    TensorShapeProto shape = tensor.getTensorShape();
    return tensor.getDtype().name().replace("DT_", "").toLowerCase(Locale.ROOT)
        + (shape.getUnknownRank()
            ? " of any shape"
            : shape.getDimList().stream()
                .map(axis -> axis.getSize() == FREE ? "?" : String.valueOf(axis.getSize()))
                .collect(Collectors.joining(", ", " [", "]")));
  }
}
