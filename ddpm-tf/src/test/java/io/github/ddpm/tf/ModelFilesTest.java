package io.github.ddpm.tf;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.github.ddpm.Precision;
import io.github.ddpm.Predictor;
import io.github.ddpm.tf.ModelFiles.Storage;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.tensorflow.ndarray.FloatNdArray;
import org.tensorflow.ndarray.NdArrays;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.ndarray.StdArrays;

class ModelFilesTest {
  @TempDir Path folder;

  /** The golden folder has all files side by side, in several parts, under old names. */
  @Test
  void aModelIsWrittenAnewInHalfTheSizeAndAnswersTheSame() throws IOException {
    Path original = Fixtures.path("golden/folder-sharded");
    Path whole = folder.resolve("whole");
    Path half = folder.resolve("half");
    ModelFiles.convert(original, whole, Storage.FLOAT32);
    ModelFiles.convert(whole, half, Storage.FLOAT16);
    String weights = "unet/diffusion_pytorch_model.safetensors";
    assertThat(Files.size(half.resolve(weights)))
        .isLessThan(Files.size(whole.resolve(weights)) * 6 / 10);
    float[] out = predict(original);
    assertThat(predict(whole)).isEqualTo(out);
    assertThat(predict(half)).isNotEqualTo(out).containsExactly(out, within(0.01f));
    ModelFiles.convert(whole, whole, Storage.FLOAT16);
    assertThat(whole.resolve(weights)).hasSameBinaryContentAs(half.resolve(weights));
  }

  private static float[] predict(Path model) throws IOException {
    try (Predictor predictor = Predictor.load(model, Precision.FLOAT32)) {
      float[] x = new float[predictor.info().imageSize()];
      for (int i = 0; i < x.length; i++) {
        x[i] = (float) Math.sin(i);
      }
      return predictor.predict(x, 500, predictor.info().classes() == 0 ? new int[0] : new int[1]);
    }
  }

  @Test
  void aModelThatIsNotWholeIsRefusedBeforeAnythingIsReplaced() throws IOException {
    Path good = folder.resolve("good");
    Fixtures.copyModel("golden/unet-attention", good);
    Path bad = folder.resolve("bad");
    Fixtures.copyModel("golden/unet-attention", bad);
    Path weights = bad.resolve("unet/diffusion_pytorch_model.safetensors");
    Map<String, FloatNdArray> arrays = ModelFiles.readArrays(weights);
    arrays.remove("conv_out.bias");
    Files.delete(weights);
    ModelFiles.writeArrays(weights, arrays, Storage.FLOAT32);
    byte[] before = Files.readAllBytes(good.resolve("unet/diffusion_pytorch_model.safetensors"));
    assertThatThrownBy(() -> ModelFiles.convert(bad, good, Storage.FLOAT32))
        .isInstanceOf(IOException.class)
        .hasMessage(weights + ": weight conv_out.bias is missing");
    assertThat(good.resolve("unet/diffusion_pytorch_model.safetensors")).hasBinaryContent(before);
  }

  @Test
  void arraysComeBackAsTheyWereWritten() throws IOException {
    Path file = folder.resolve("x.safetensors");
    FloatNdArray array = StdArrays.ndCopyOf(new float[][] {{1, -2.5f, 3}, {0, 65504, 0x1p-24f}});
    ModelFiles.writeArrays(file, Map.of("a", array), Storage.FLOAT16);
    Map<String, FloatNdArray> read = ModelFiles.readArrays(file);
    assertThat(read).containsOnlyKeys("a");
    assertThat(read.get("a").shape()).isEqualTo(Shape.of(2, 3));
    assertThat(read.get("a")).isEqualTo(array);
    assertThatThrownBy(
            () ->
                ModelFiles.writeArrays(
                    folder.resolve("y.safetensors"),
                    Map.of("a", NdArrays.vectorOf(7e4f)),
                    Storage.FLOAT16))
        .isInstanceOf(IOException.class)
        .hasMessageContaining("array a holds 70000.0, but float16 ends at 65504");
  }
}
