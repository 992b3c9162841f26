package io.github.ddpm.examples.measures;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import com.google.common.base.Splitter;
import com.google.common.primitives.Doubles;
import com.google.common.primitives.Floats;
import io.github.ddpm.Images;
import io.github.ddpm.tf.data.Dataset;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import java.util.stream.IntStream;
import org.ejml.data.DMatrixRMaj;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.tensorflow.Operand;
import org.tensorflow.Signature;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Ops;
import org.tensorflow.op.core.Placeholder;
import org.tensorflow.proto.DataType;
import org.tensorflow.proto.MetaGraphDef;
import org.tensorflow.proto.SavedModel;
import org.tensorflow.proto.SignatureDef;
import org.tensorflow.proto.TensorInfo;
import org.tensorflow.proto.TensorShapeProto;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TInt32;
import org.tensorflow.types.TUint8;
import org.tensorflow.types.family.TNumber;

/** Networks whose features are the means of channels or the pixels, so that all are known. */
class FeatureNetworkTest {
  private static final double TINY = 1e-5;
  private static final Map<String, Class<? extends TNumber>> INTEGERS =
      Map.of("INT32", TInt32.class, "UINT8", TUint8.class);

  @TempDir Path folder;

  @Test
  void featuresAreOfWhatAnEightBitFileShows() throws IOException {
    float[][] weights = {{1, 0, 2, 100}, {0, 1, 3, 0}, {0, 0, 5, 0}};
    float[] pictures = {
      -1,
      1,
      0.2f,
      1,
      1,
      0.2f,
      -1,
      1,
      0.2f,
      1,
      1,
      0.2f, // what a file has, but for 0.2
      3,
      0.001f,
      -9,
      3,
      0,
      -9,
      3,
      0,
      -9,
      3,
      0,
      -9 // beyond white and black
    };
    double[][] means = {{0, 1, shade(153)}, {1, shade(128), -1}};
    try (FeatureNetwork network = FeatureNetwork.load(SavedModels.ofMeans(folder, 2, weights))) {
      assertThat(network.dimensions()).isEqualTo(4);
      assertThat(network)
          .hasToString("features of " + folder + " (signature serving_default, 4 dimensions)");
      DMatrixRMaj features = network.features(Images.of(2, 2, 2, 3, pictures));
      assertThat(features.numRows).isEqualTo(2);
      for (int i = 0; i < 2; i++) {
        double[] mean = means[i];
        double sum = 2 * mean[0] + 3 * mean[1] + 5 * mean[2];
        assertThat(row(features, i))
            .containsExactly(new double[] {mean[0], mean[1], sum, 100 * mean[0]}, within(1e-4));
      }
      assertThat(network.features(Images.of(0, 2, 2, 3)).numRows).isZero();
    }
  }

  @Test
  void grayIsInThreeChannels() throws IOException {
    float[][] weights = {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}};
    try (FeatureNetwork network = FeatureNetwork.load(SavedModels.ofMeans(folder, -1, weights))) {
      DMatrixRMaj features = network.features(Images.of(1, 1, 1, 1, (float) shade(40)));
      assertThat(row(features, 0))
          .containsExactly(new double[] {shade(40), shade(40), shade(40)}, within(TINY));
    }
  }

  @Test
  void colorIsGrayInOneAndWhatIsTransparentIsWhite() throws IOException {
    try (FeatureNetwork network = FeatureNetwork.load(SavedModels.ofPixels(folder, 1, 1))) {
      float[] color = {(float) shade(200), (float) shade(100), (float) shade(0), 1};
      DMatrixRMaj rgb = network.features(Images.of(1, 1, 1, 3, Arrays.copyOf(color, 3)));
      // 0.299 · 200 + 0.587 · 100
      assertThat(row(rgb, 0)).containsExactly(new double[] {shade(119)}, within(TINY));
      assertThat(network.features(Images.of(1, 1, 1, 4, color)).get(0)).isEqualTo(rgb.get(0));
      color[3] = -1;
      assertThat(network.features(Images.of(1, 1, 1, 4, color)).get(0)).isEqualTo(1);
    }
  }

  @Test
  void picturesAreScaledToTheSizeOfTheNetwork() throws IOException {
    // Columns of 0 and 200: those between are 3/4 of the nearer and 1/4 of the other.
    float[] narrow = {(float) shade(0), (float) shade(200), (float) shade(0), (float) shade(200)};
    double[] line = {shade(0), shade(50), shade(150), shade(200)};
    try (FeatureNetwork network =
        FeatureNetwork.load(SavedModels.ofPixels(folder.resolve("4"), 4, 1))) {
      assertThat(row(network.features(Images.of(1, 2, 2, 1, narrow)), 0))
          .containsExactly(Doubles.concat(line, line, line, line), within(TINY));
    }
    // Columns of 70, 0, 0 and 140: each new one is of three, by 3/7, 3/7 and 1/7.
    float[] one = {(float) shade(70), (float) shade(0), (float) shade(0), (float) shade(140)};
    float[] wide = Floats.concat(one, one, one, one);
    double[] half = {shade(30), shade(60)};
    try (FeatureNetwork network =
        FeatureNetwork.load(SavedModels.ofPixels(folder.resolve("2"), 2, 1))) {
      assertThat(row(network.features(Images.of(1, 4, 4, 1, wide)), 0))
          .containsExactly(Doubles.concat(half, half), within(TINY));
    }
  }

  @Test
  void manyPicturesStayInOrder() throws IOException {
    int count = 9;
    byte[][] pictures = new byte[count][112 * 112];
    for (int i = 0; i < count; i++) {
      Arrays.fill(pictures[i], (byte) (10 * i));
    }
    Dataset data = Dataset.of(112, 112, 1, pictures);
    int[] backwards = IntStream.range(0, count).map(i -> count - 1 - i).toArray();
    // A run is of 4 such pictures.
    try (FeatureNetwork network =
        FeatureNetwork.load(SavedModels.ofMeans(folder, -1, new float[] {1}))) {
      double[] expected = new double[count];
      Arrays.setAll(expected, i -> shade(10 * (count - 1 - i)));
      assertThat(network.features(data.images(backwards)).data)
          .containsExactly(expected, within(TINY));
      assertThat(network.features(data, backwards).data).containsExactly(expected, within(TINY));
    }
  }

  @Test
  void anotherSizeThanItsOwnMustBeASquare() throws IOException {
    try (FeatureNetwork network =
        FeatureNetwork.load(SavedModels.ofMeans(folder, 2, new float[] {1}))) {
      assertThatThrownBy(() -> network.features(Images.of(1, 1, 2, 1, 0, 0)))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessage(
              "features are of pictures that are as high as wide, of at most 4 channels, got Images[1 of 1x2x1]");
      assertThatThrownBy(() -> network.features(Images.of(1, 1, 1, 5, 0, 0, 0, 0, 0)))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessageContaining("of at most 4 channels, got Images[1 of 1x1x5]");
    }
  }

  @Test
  void featuresAreNumbersAndAsManyAsPromised() throws IOException {
    Shape shape = Shape.of(-1, 1, 1, 1);
    Path logarithm =
        SavedModels.write(
            folder.resolve("logarithm"),
            tf -> {
              Operand<TFloat32> x = SavedModels.input(tf, shape);
              return signature("serving_default", x, flat(tf, tf.math.log(x)));
            });
    try (FeatureNetwork network = FeatureNetwork.load(logarithm)) {
      assertThatThrownBy(() -> network.features(Images.of(2, 1, 1, 1, 1, -1)))
          .isInstanceOf(IllegalStateException.class)
          .hasMessage(logarithm + " must give finite features, got NaN for picture 1");
    }
    Path twice =
        SavedModels.write(
            folder.resolve("twice"),
            tf -> {
              Operand<TFloat32> x = SavedModels.input(tf, shape);
              return signature(
                  "serving_default", x, flat(tf, tf.concat(List.of(x, x), tf.constant(0))));
            });
    try (FeatureNetwork network = FeatureNetwork.load(twice)) {
      assertThatThrownBy(() -> network.features(Images.of(2, 1, 1, 1, 1, -1)))
          .isInstanceOf(IllegalStateException.class)
          .hasMessage(twice + " must give features of shape [2, 1], got [4, 1]");
    }
  }

  @Test
  void theOnlySignatureMayHaveAnyName() throws IOException {
    SavedModels.write(folder, tf -> named(tf, "embed", 1));
    try (FeatureNetwork network = FeatureNetwork.load(folder)) {
      assertThat(network).hasToString("features of " + folder + " (signature embed, 1 dimensions)");
    }
  }

  @Test
  void ofSeveralSignaturesServingDefaultIsMeant() throws IOException {
    SavedModels.write(
        folder,
        tf -> named(tf, "a", 1),
        tf -> named(tf, "serving_default", 5),
        tf -> named(tf, "z", 2));
    try (FeatureNetwork network = FeatureNetwork.load(folder)) {
      assertThat(network.dimensions()).isEqualTo(5);
    }
    Path unclear = folder.resolve("unclear");
    SavedModels.write(unclear, tf -> named(tf, "b", 1), tf -> named(tf, "a", 2));
    assertRefused(
        unclear, unclear + " must have the signature serving_default, or only one, got a, b");
  }

  @Test
  void whatIsNoSavedModelIsRefused() throws IOException {
    Path missing = folder.resolve("missing");
    assertRefused(missing, "can't load " + missing + " as a SavedModel: no such folder");
    Path empty = Files.createDirectory(folder.resolve("empty"));
    assertRefused(empty, "can't load " + empty + " as a SavedModel with the tag serve: ");
    Path damaged = Files.createDirectory(folder.resolve("damaged"));
    Files.writeString(damaged.resolve("saved_model.pb"), "not a protocol buffer");
    assertRefused(damaged, "can't load " + damaged + " as a SavedModel with the tag serve: ");
    Path training = SavedModels.ofMeans(folder.resolve("training"), 1, new float[] {1});
    edit(training, graph -> graph.getMetaInfoDefBuilder().setTags(0, "train"));
    assertRefused(training, "can't load " + training + " as a SavedModel with the tag serve: ");
    Path unsigned = SavedModels.ofMeans(folder.resolve("unsigned"), 1, new float[] {1});
    edit(unsigned, MetaGraphDef.Builder::clearSignatureDef);
    assertRefused(
        unsigned, unsigned + " must have the signature serving_default, or only one, got none");
  }

  @ParameterizedTest
  @CsvSource({
    "INT32, '-1,8,8,3', 'pictures, int32 [?, 8, 8, 3]'",
    "UINT8, '-1,8,8,3', 'pictures, uint8 [?, 8, 8, 3]'",
    "FLOAT, '-1,8,8,2', 'pictures, float [?, 8, 8, 2]'",
    "FLOAT, '-1,8,8,-1', 'pictures, float [?, 8, 8, ?]'",
    "FLOAT, '-1,8,9,3', 'pictures, float [?, 8, 9, 3]'",
    "FLOAT, '-1,-1,8,3', 'pictures, float [?, ?, 8, 3]'",
    "FLOAT, '1,8,8,3', 'pictures, float [1, 8, 8, 3]'",
    "FLOAT, '-1,3,8,8', 'pictures, float [?, 3, 8, 8]'",
    "FLOAT, '-1,192', 'pictures, float [?, 192]'",
    "FLOAT, , 'pictures, float of any shape'"
  })
  void anotherInputIsRefused(String type, String shape, String found) throws IOException {
    Class<? extends TNumber> asked = type.equals("FLOAT") ? TFloat32.class : INTEGERS.get(type);
    SavedModels.write(
        folder,
        tf -> {
          Operand<? extends TNumber> x = tf.placeholder(asked, Placeholder.shape(shape(shape)));
          return Signature.builder()
              .input("pictures", x)
              .output("features", flat(tf, tf.dtypes.cast(x, TFloat32.class)))
              .build();
        });
    if (shape == null) {
      // As it is exported from Python, but not from Java.
      editSignature(
          folder,
          signature ->
              signature.putInputs(
                  "pictures", tensor(signature.getInputsOrThrow("pictures"), type, shape)));
    }
    assertRefused(folder, input(found));
  }

  @ParameterizedTest
  @CsvSource({
    "INT64, '-1,10', 'features, int64 [?, 10]'",
    "FLOAT, '-1,-1', 'features, float [?, ?]'",
    "FLOAT, '-1,0', 'features, float [?, 0]'",
    "FLOAT, '-1,1,1,10', 'features, float [?, 1, 1, 10]'",
    "FLOAT, '8,10', 'features, float [8, 10]'",
    "FLOAT, '-1', 'features, float [?]'",
    "FLOAT, , 'features, float of any shape'"
  })
  void anotherOutputIsRefused(String type, String shape, String found) throws IOException {
    SavedModels.ofMeans(folder, 8, new float[10]);
    editSignature(
        folder,
        signature ->
            signature.putOutputs(
                "features", tensor(signature.getOutputsOrThrow("features"), type, shape)));
    assertRefused(folder, output(found));
  }

  @Test
  void oneInputAndOneOutputAreNeeded() throws IOException {
    Shape shape = Shape.of(-1, 1, 1, 1);
    Path inputs =
        SavedModels.write(
            folder.resolve("inputs"),
            tf -> {
              Operand<TFloat32> a = SavedModels.input(tf, shape);
              Operand<TFloat32> b = SavedModels.input(tf, shape);
              return Signature.builder()
                  .input("b", b)
                  .input("a", a)
                  .output("features", flat(tf, tf.math.add(a, b)))
                  .build();
            });
    assertRefused(inputs, input("a, float [?, 1, 1, 1]; b, float [?, 1, 1, 1]", inputs));
    Path outputs =
        SavedModels.write(
            folder.resolve("outputs"),
            tf -> {
              Operand<TFloat32> x = SavedModels.input(tf, shape);
              return Signature.builder()
                  .input("x", x)
                  .output("logits", flat(tf, x))
                  .output("embedding", flat(tf, x))
                  .build();
            });
    assertRefused(outputs, output("embedding, float [?, 1]; logits, float [?, 1]", outputs));
    Path none =
        SavedModels.write(
            folder.resolve("none"),
            tf -> Signature.builder().output("constant", tf.constant(1f)).build());
    assertRefused(none, input("none", none));
  }

  private String input(String found) {
    return input(found, folder);
  }

  private static String input(String found, Path network) {
    return "the input of the signature serving_default of "
        + network
        + " must be one float [?, height, width, channels], of 1 or 3 channels and equal height"
        + " and width or any, got "
        + found;
  }

  private String output(String found) {
    return output(found, folder);
  }

  private static String output(String found, Path network) {
    return "the output of the signature serving_default of "
        + network
        + " must be one float [?, features], of a known number of features, got "
        + found;
  }

  private static void assertRefused(Path network, String message) {
    assertThatThrownBy(() -> FeatureNetwork.load(network).close())
        .isInstanceOf(IOException.class)
        .message()
        .startsWith(message)
        .hasSizeLessThan(message.length() + 201);
  }

  private static Signature named(Ops tf, String name, int features) {
    Operand<TFloat32> x = SavedModels.input(tf, Shape.of(-1, 1, 1, 1));
    Operand<TFloat32> vectors = tf.tile(flat(tf, x), tf.constant(new int[] {1, features}));
    return signature(name, x, vectors);
  }

  private static Signature signature(String name, Operand<TFloat32> x, Operand<TFloat32> vectors) {
    return Signature.builder(name).input("x", x).output("features", vectors).build();
  }

  private static Operand<TFloat32> flat(Ops tf, Operand<TFloat32> x) {
    return tf.reshape(x, tf.constant(new int[] {-1, 1}));
  }

  private static Shape shape(String sizes) {
    return sizes == null
        ? Shape.unknown()
        : Shape.of(Splitter.on(',').splitToStream(sizes).mapToLong(Long::parseLong).toArray());
  }

  /** Returns another description of a tensor; without a shape, it may have any. */
  private static TensorInfo tensor(TensorInfo old, String type, String shape) {
    TensorShapeProto.Builder sizes = TensorShapeProto.newBuilder();
    if (shape == null) {
      sizes.setUnknownRank(true);
    } else {
      for (long size : shape(shape).asArray()) {
        sizes.addDim(TensorShapeProto.Dim.newBuilder().setSize(size));
      }
    }
    return old.toBuilder().setDtype(DataType.valueOf("DT_" + type)).setTensorShape(sizes).build();
  }

  private static void editSignature(Path network, Consumer<SignatureDef.Builder> change)
      throws IOException {
    edit(
        network,
        graph -> {
          SignatureDef.Builder signature =
              graph.getSignatureDefOrThrow("serving_default").toBuilder();
          change.accept(signature);
          graph.putSignatureDef("serving_default", signature.build());
        });
  }

  private static void edit(Path network, Consumer<MetaGraphDef.Builder> change) throws IOException {
    Path file = network.resolve("saved_model.pb");
    SavedModel.Builder model = SavedModel.parseFrom(Files.readAllBytes(file)).toBuilder();
    change.accept(model.getMetaGraphsBuilder(0));
    Files.write(file, model.build().toByteArray());
  }

  private static double shade(int level) {
    return level / 127.5 - 1;
  }

  private static double[] row(DMatrixRMaj features, int row) {
    return Arrays.copyOfRange(features.data, row * features.numCols, (row + 1) * features.numCols);
  }
}
