package io.github.ddpm.tf.files;

import static java.nio.charset.StandardCharsets.ISO_8859_1;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.params.provider.Arguments.arguments;

import com.google.common.io.MoreFiles;
import io.github.ddpm.Precision;
import io.github.ddpm.Predictor;
import io.github.ddpm.tf.Fixtures;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.tensorflow.ndarray.Shape;

/**
 * Files that PyTorch saved, against the same numbers in safetensors, and files that lie; {@code
 * src-test-resources/README.md} says what made the former.
 */
class PyTorchFileTest {
  private static final String WEIGHTS = "diffusion_pytorch_model";

  /** A text that says, on a terminal, that it is something else. */
  private static final String ESCAPE = "\33[2J";

  @TempDir Path folder;

  @ParameterizedTest
  @ValueSource(ints = {2, 4, 5})
  void eachViewOfAStorageIsRead(int protocol) throws IOException {
    Map<String, Weight> views = read("views-" + protocol + ".pt");
    Map<String, Weight> twin = read("views.safetensors");
    // Its script writes a scalar as a list of one.
    twin.computeIfPresent("scalar", (name, one) -> new Weight(Shape.scalar(), one.values()));
    assertThat(bits(views)).isEqualTo(bits(twin));
    assertThat(views.get("block").shape()).isEqualTo(Shape.of(2, 3, 3));
  }

  @Test
  void halfPrecisionIsRead() throws IOException {
    assertThat(bits(read(WEIGHTS + ".fp16.bin")))
        .isEqualTo(bits(read(WEIGHTS + ".fp16.safetensors")));
  }

  @Test
  void aModelOfPicklesDrawsWhatItsTwinDraws() throws IOException {
    Path model = Fixtures.path("golden/folder-learned-variance");
    Path shards = folder.resolve("shards");
    copy(model, shards);
    Files.delete(shards.resolve("unet/" + WeightFiles.NAME));
    for (String name :
        new String[] {"-00001-of-00002.bin", "-00002-of-00002.bin", ".bin.index.json"}) {
      Files.copy(golden(WEIGHTS + name), shards.resolve("unet/" + WEIGHTS + name));
    }
    assertThat(drawn(shards)).containsExactly(drawn(model));

    Path half = folder.resolve("half");
    copy(shards, half);
    Files.delete(half.resolve("unet/" + WEIGHTS + ".bin.index.json"));
    Path variant =
        Files.copy(golden(WEIGHTS + ".fp16.bin"), half.resolve("unet/" + WEIGHTS + ".fp16.bin"));
    float[] rounded = drawn(half);
    assertThat(rounded).isNotEqualTo(drawn(model));
    Files.move(variant, half.resolve("unet/" + WEIGHTS + ".bin"));
    assertThat(drawn(half)).containsExactly(rounded);
    // Now there are both, and the other one counts.
    Files.copy(
        golden(WEIGHTS + ".fp16.safetensors"),
        half.resolve("unet/" + WEIGHTS + ".fp16.safetensors"));
    assertThat(drawn(half)).containsExactly(rounded);
    Files.writeString(half.resolve("unet/" + WEIGHTS + ".bin"), "no pickle");
    assertThat(drawn(half)).containsExactly(rounded);
  }

  @Test
  void anIndexOfPicklesNamesPickles() throws IOException {
    Path model = folder.resolve("model");
    copy(Fixtures.path("golden/folder-learned-variance"), model);
    Path unet = model.resolve("unet");
    Files.move(unet.resolve(WeightFiles.NAME), unet.resolve("x.safetensors"));
    Path index = unet.resolve(WEIGHTS + ".bin.index.json");
    Files.writeString(index, "{\"weight_map\": {\"conv_in.bias\": \"x.safetensors\"}}");
    assertThatThrownBy(() -> ModelFolder.read(model))
        .isInstanceOf(IOException.class)
        .hasMessage(index + ": weight_map must name .bin files beside it, got x.safetensors");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "tensor.pt | must hold a dict of names to tensors, got a tensor",
        "nested.pt | array state_dict must be a tensor, because the file must hold a dict of names to tensors, got a dict",
        "legacy.pt | this is a pickle in PyTorch's format from before 1.6, which is not read; have a newer one save it",
        "long.pt | data.pkl: must hold tensors alone, got the global torch.LongStorage at byte",
        "expanded.pt | a tensor of expanded/data/0 must have at most its 120 numbers, got 1000",
        "module.pt | data.pkl: must hold tensors alone, got the global torch.nn.modules.linear.Linear at byte 2; nothing of it was run",
      })
  void whatIsNoDictOfTensorsIsCalledByItsName(String name, String problem) {
    refused(golden(name), problem);
  }

  /** What runs a program when Python's pickle module loads it, and what fills its memory. */
  static Stream<Arguments> hostilePickles() {
    String alone = "must hold tensors alone, got ";
    String name = Pickles.text("a");
    return Stream.of(
        arguments(
            "\200\2cos\nsystem\n" + Pickles.text("id") + "\205R.", alone + "the global os.system"),
        arguments("\200\2cposix\nsystem\n.", alone + "the global posix.system at byte 2"),
        arguments(
            "\200\4\214\10builtins\214\4eval\223" + Pickles.text("1") + "\205R.",
            alone + "the global builtins.eval"),
        arguments(
            "\200\2ctorch\n_utils._rebuild_tensor\n.",
            alone + "the global torch._utils._rebuild_tensor at"),
        arguments("\200\2ctorch\nload\n.", alone + "the global torch.load"),
        arguments(
            "\200\2c" + ESCAPE + "\u0007" + "x".repeat(1 << 20) + "\ny\n.",
            alone + "the global \ufffd[2J\ufffdxxx"),
        arguments("\200\2(ios\nsystem\n.", alone + "the operation INST at byte 3"),
        arguments("\200\2(cos\nsystem\no.", alone + "the global os.system"),
        arguments("\200\2ccollections\nOrderedDict\n)\201.", alone + "the operation NEWOBJ at"),
        arguments("\200\4ccollections\nOrderedDict\n)}\222.", alone + "the operation NEWOBJ_EX at"),
        arguments("\200\2\202\1.", alone + "the operation EXT1"),
        arguments("\200\2\203\1\1.", alone + "the operation EXT2"),
        arguments("\200\2\204\1\1\1\1.", alone + "the operation EXT4"),
        arguments("\200\5\227.", alone + "the operation NEXT_BUFFER"),
        arguments(
            "\200\5\226\377\377\377\377\377\377\377\377.", alone + "the operation BYTEARRAY8"),
        arguments("\200\2\213\377\377\377\177.", alone + "the operation LONG4"),
        arguments("\200\2" + "(".repeat(300_000), "ends without a STOP"),
        arguments("\200\2" + "]".repeat(300_000), alone + "the operation EMPTY_LIST"),
        arguments(
            "\200\2)" + "\205".repeat(300_000) + ".",
            "must hold a dict of names to tensors, got a tuple"),
        arguments(
            "\200\2" + "}".repeat(300_000) + ".",
            "STOP at byte 300002: nothing may be left, got 299999 values and 0 bytes"),
        arguments(
            "\200\2}" + "\224".repeat(5_000_000) + ".",
            "data.pkl must have at most 4000000 bytes, got 5000004"),
        arguments(
            "\200\2}" + "q\0".repeat(100_000) + ".",
            "BINPUT at byte 5: the memo's index must be the next, 1, got 0"),
        arguments(
            "\200\2}r\0\0\0\200.",
            "LONG_BINPUT at byte 3: the memo's index must be the next, 0, got 2147483648"),
        arguments(
            "\200\2}q\0j\377\377\377\377.",
            "LONG_BINGET at byte 5: the memo's index must be below 1, got 4294967295"),
        // A dict that holds itself.
        arguments(
            "\200\2}q\0" + name + "h\0s.",
            "array a must be a tensor, because the file must hold a dict of names to tensors, got a dict"),
        // A tuple of a dict of that tuple, to be called with.
        arguments(
            "\200\2}q\0" + name + "h\0\205q\1sctorch._utils\n_rebuild_tensor_v2\nh\1R.",
            "torch._utils._rebuild_tensor_v2 can't be called with a dict"),
        arguments(
            "\200\2X\377\377\377\377.",
            "BINUNICODE at byte 2: needs 4294967295 bytes, but 1 follow"),
        arguments(
            "\200\4\225\377\377\377\377\377\377\377\377.",
            "FRAME at byte 2: needs 18446744073709551615 bytes, but 1 follow"),
        arguments(
            "\200\2\212\377.", "LONG1 at byte 2: a whole number has at most 8 bytes, got 255"),
        arguments("\200\6}.", "PROTO at byte 0: the protocol must be in [2, 5], got 6"),
        arguments("(dp0\n.", "must begin as a pickle of protocol 2 to 5"),
        arguments("\200\2\377.", "byte 2 is no operation, got 255"),
        arguments("\200\2R.", "REDUCE at byte 2: there is no value on the stack"),
        arguments("\200\2(R.", "REDUCE at byte 3: there is no value on the stack"),
        arguments("\200\2t.", "TUPLE at byte 2: there is no MARK on the stack"),
        arguments("\200\2K\1)R.", "REDUCE at byte 5: needs a Global, got 1"),
        arguments("\200\2ctorch\nFloatStorage\n)R.", "torch.FloatStorage can't be called with "),
        arguments(
            "\200\2ccollections\nOrderedDict\n" + name + "\205R.",
            "collections.OrderedDict can't be called with a"),
        arguments("\200\2}K\1K\2s.", "SETITEM at byte 7: needs a String, got 1"),
        arguments("\200\2}(" + name + "u.", "SETITEMS at byte 10: a key has no value"),
        arguments(Pickles.dict(name, Pickles.row(), name, Pickles.row()), "key a is there twice"),
        arguments("\200\2)}b.", "BUILD at byte 4: needs a Dict, got a tuple"),
        arguments("\200\2}.}.", "STOP at byte 3: nothing may be left, got 0 values and 2 bytes"),
        arguments("\200\2cos\nsystem", "GLOBAL at byte 2: needs 1 bytes, but 0 follow"),
        arguments(
            Pickles.dict(name, "K\3"),
            "array a must be a tensor, because the file must hold a dict of names to tensors, got 3"),
        arguments(Pickles.dict(name, Pickles.text(ESCAPE)), "names to tensors, got \ufffd[2J"));
  }

  @ParameterizedTest
  @MethodSource("hostilePickles")
  void aPickleThatIsMoreThanTensorsIsRefused(String pickle, String problem) throws IOException {
    refused(write(pickle, 1, 2), problem);
  }

  static Stream<Arguments> tensorsOutsideOfTheirStorage() {
    String two = Pickles.number(2);
    String none = Pickles.number(0);
    return Stream.of(
        arguments(
            two,
            none,
            Pickles.tuple(3),
            Pickles.tuple(1),
            "must be within its 2 numbers, got 3 from offset 0"),
        arguments(
            two,
            Pickles.number(1),
            Pickles.tuple(2),
            Pickles.tuple(1),
            "must be within its 2 numbers, got 2 from offset 1"),
        arguments(
            two,
            none,
            Pickles.tuple(2),
            Pickles.tuple(2),
            "must be within its 2 numbers, got 3 from offset 0"),
        arguments(
            two,
            Pickles.number(-1),
            Pickles.tuple(2),
            Pickles.tuple(1),
            "must be within its 2 numbers, got 2 from offset -1"),
        arguments(
            two,
            Pickles.number(Long.MAX_VALUE),
            Pickles.tuple(2),
            Pickles.tuple(1),
            "got 2 from offset 9223372036854775807"),
        arguments(
            two,
            Pickles.number(3),
            Pickles.tuple(0),
            Pickles.tuple(1),
            "must be within its 2 numbers, got 0 from offset 3"),
        arguments(
            two,
            none,
            Pickles.tuple(-2),
            Pickles.tuple(1),
            "must have sizes and strides of at least 0, got -2"),
        arguments(
            two,
            Pickles.number(1),
            Pickles.tuple(2),
            Pickles.tuple(-1),
            "must have sizes and strides of at least 0, got -1"),
        arguments(
            two,
            none,
            Pickles.tuple(1L << 62, 4),
            Pickles.tuple(1, 1),
            "must end before 2^63, got sizes [4611686018427387904, 4]"),
        arguments(
            two, none, Pickles.tuple(3, 1), Pickles.tuple(1L << 62, 1), "must end before 2^63"),
        arguments(
            two,
            none,
            Pickles.tuple(1 << 20, 1 << 20),
            Pickles.tuple(0, 0),
            "must have at most its 2 numbers, got 1099511627776"),
        arguments(
            two,
            none,
            Pickles.tuple(2),
            Pickles.tuple(1, 1),
            "must have at most 64 sizes and as many strides, got 1 and 2"),
        arguments(
            two,
            none,
            Pickles.tuple(new long[65]),
            Pickles.tuple(new long[65]),
            "must have at most 64 sizes and as many strides, got 65 and 65"),
        arguments(
            two,
            none,
            "(" + Pickles.text("2") + "t",
            Pickles.tuple(1),
            "must have sizes and strides of at least 0, got 2"),
        arguments(
            two,
            none,
            "N",
            Pickles.tuple(1),
            "_rebuild_tensor_v2 can't be called with a storage, 0, NONE, a tuple"),
        arguments(
            Pickles.number(1L << 62),
            none,
            Pickles.tuple(2),
            Pickles.tuple(1),
            "storage 0 of 4611686018427387904 numbers of F32 must have as many bytes, got 8"),
        arguments(
            Pickles.number(-2),
            none,
            Pickles.tuple(2),
            Pickles.tuple(1),
            "storage 0 of -2 numbers of F32 must have as many bytes, got 8"),
        arguments(
            Pickles.number(1),
            none,
            Pickles.tuple(1),
            Pickles.tuple(1),
            "storage 0 of 1 numbers of F32 must have as many bytes, got 8"));
  }

  @ParameterizedTest
  @MethodSource("tensorsOutsideOfTheirStorage")
  void aTensorOutsideOfItsStorageIsRefused(
      String numbers, String offset, String sizes, String strides, String problem)
      throws IOException {
    String tensor = Pickles.tensor(numbers, offset, sizes, strides);
    refused(write(Pickles.dict(Pickles.text("a"), tensor), 1, 2), problem);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "../../0 | entry x/data/../../0 is missing",
        "1 | entry x/data/1 is missing",
        "/etc/passwd | entry x/data//etc/passwd is missing",
      })
  void aStorageIsAnEntryOfTheArchive(String key, String problem) throws IOException {
    String storage = Pickles.storage("torch\nFloatStorage", key, Pickles.number(2));
    String tensor =
        Pickles.rebuild(storage + Pickles.number(0) + Pickles.tuple(2) + Pickles.tuple(1));
    refused(write(Pickles.dict(Pickles.text("a"), tensor), 1, 2), problem);
  }

  @Test
  void byteOrderAndFolderAreChecked() throws IOException {
    byte[] pickle = Pickles.dict(Pickles.text("a"), Pickles.row()).getBytes(ISO_8859_1);
    byte[] two = new byte[8];
    Path file = folder.resolve("x.bin");
    Files.write(
        file, archive(pickle, two).entry("x/byteorder", "little".getBytes(ISO_8859_1)).toBytes());
    assertThat(ArrayFormat.read(file).get("a").shape()).isEqualTo(Shape.of(2));
    Files.write(
        file, archive(pickle, two).entry("x/byteorder", "big".getBytes(ISO_8859_1)).toBytes());
    refused(file, "byteorder must be little, got big");
    Files.write(file, archive(pickle, two).entry("y/data.pkl", pickle).toBytes());
    refused(file, "a file of PyTorch has one data.pkl in a folder, got x/data.pkl, y/data.pkl");
    Files.write(file, new ZipBytes().entry("data.pkl", pickle).toBytes());
    refused(file, "a file of PyTorch has one data.pkl in a folder, got data.pkl");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "version https://git-lfs.github.com/spec/v1 | this is a pointer of Git LFS, not the file itself",
        "<html> | this is a web page or XML, not a zip archive of PyTorch: it may be a login page",
        "Entry not found | this is text, not a zip archive of PyTorch: Entry not found",
        "'' | this file is empty",
      })
  void whatIsNoArchiveIsCalledWhatItIs(String text, String problem) throws IOException {
    refused(Files.writeString(folder.resolve("x.bin"), text), problem);
  }

  @Test
  void safetensorsUnderTheNameOfAPickleAreCalledWhatTheyAre() throws IOException {
    Path file = Files.copy(golden("views.safetensors"), folder.resolve("x.bin"));
    refused(
        file,
        "this is safetensors, not a zip archive of PyTorch; let its name end with .safetensors");
  }

  @Test
  void aFileCutShortIsRefusedWhereverItIsCut() throws IOException {
    byte[] bytes = Files.readAllBytes(golden("views-2.pt"));
    Path cut = folder.resolve("cut.pt");
    for (int length = 0; length < bytes.length; length += 7) {
      Files.write(cut, Arrays.copyOf(bytes, length));
      assertThatThrownBy(() -> ArrayFormat.read(cut))
          .isInstanceOf(IOException.class)
          .hasMessageStartingWith(cut.toString());
    }
  }

  private void refused(Path file, String problem) {
    assertThatThrownBy(() -> ArrayFormat.read(file))
        .isExactlyInstanceOf(IOException.class)
        .hasMessageStartingWith(file + ": ")
        .hasMessageContaining(problem)
        .message()
        .doesNotContainPattern("[\\p{Cc}\\p{Cf}]")
        .hasSizeLessThan(file.toString().length() + 500);
  }

  private Path write(String pickle, float... numbers) throws IOException {
    ByteBuffer storage =
        ByteBuffer.allocate(Float.BYTES * numbers.length).order(ByteOrder.LITTLE_ENDIAN);
    storage.asFloatBuffer().put(numbers);
    return Files.write(
        folder.resolve("x.bin"), archive(pickle.getBytes(ISO_8859_1), storage.array()).toBytes());
  }

  private static ZipBytes archive(byte[] pickle, byte... storage) {
    return new ZipBytes().entry("x/data.pkl", pickle).entry("x/data/0", storage);
  }

  private static float[] drawn(Path model) throws IOException {
    try (Predictor predictor = Predictor.load(model, Precision.FLOAT32)) {
      float[] x = new float[predictor.info().imageSize()];
      Arrays.fill(x, 0.5f);
      return predictor.predict(x, 417);
    }
  }

  /** The bits of numbers, because 0 equals -0. */
  private static Map<String, String> bits(Map<String, Weight> weights) {
    Map<String, String> bits = new LinkedHashMap<>();
    weights.forEach(
        (name, weight) -> {
          int[] values = new int[weight.values().remaining()];
          for (int i = 0; i < values.length; i++) {
            values[i] = Float.floatToRawIntBits(weight.values().get(i));
          }
          bits.put(name, weight.shape() + " " + Arrays.toString(values));
        });
    return bits;
  }

  private static Map<String, Weight> read(String name) throws IOException {
    return ArrayFormat.read(golden(name));
  }

  private static Path golden(String name) {
    return Fixtures.path("golden/pytorch/" + name);
  }

  private static void copy(Path from, Path to) throws IOException {
    for (Path file : MoreFiles.fileTraverser().depthFirstPreOrder(from)) {
      Path copy = to.resolve(from.relativize(file));
      if (Files.isDirectory(file)) {
        Files.createDirectories(copy);
      } else {
        Files.copy(file, copy);
      }
    }
  }
}
