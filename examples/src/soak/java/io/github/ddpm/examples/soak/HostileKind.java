package io.github.ddpm.examples.soak;

import static java.nio.charset.StandardCharsets.US_ASCII;
import static java.nio.charset.StandardCharsets.UTF_8;

import com.google.common.primitives.Bytes;
import io.github.ddpm.Images;
import io.github.ddpm.Precision;
import io.github.ddpm.Predictor;
import io.github.ddpm.tf.ModelFiles;
import io.github.ddpm.tf.Trainer;
import io.github.ddpm.tf.data.ImageFolder;
import io.github.ddpm.tf.data.Mnist;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.zip.CRC32;
import java.util.zip.DeflaterOutputStream;
import java.util.zip.GZIPInputStream;
import java.util.zip.GZIPOutputStream;

/** A kind of file: which one is changed, how, and who reads it then. */
enum HostileKind {
  /** A parser alone. */
  SAFETENSORS(280, "unet/diffusion_pytorch_model.safetensors") {
    @Override
    byte[] change(Mutator mutator, byte[] whole) throws IOException {
      if (mutator.oneIn(3)) {
        return mutator.bytes(whole);
      }
      int length = (int) ByteBuffer.wrap(whole).order(ByteOrder.LITTLE_ENDIAN).getLong();
      byte[] header = mutator.json(Arrays.copyOfRange(whole, 8, 8 + length));
      byte[] size =
          ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN).putLong(header.length).array();
      return Bytes.concat(size, header, Arrays.copyOfRange(whole, 8 + length, whole.length));
    }

    @Override
    void read(Path folder, Path file) throws IOException {
      ModelFiles.readArrays(file);
    }
  },

  /** A parser alone: of an archive, and of the pickle in it. */
  PICKLE(100, "pickle/weights.bin") {
    @Override
    byte[] change(Mutator mutator, byte[] whole) throws IOException {
      if (mutator.oneIn(5)) {
        return mutator.bytes(whole);
      }
      if (mutator.oneIn(4)) {
        // The directory of an archive is its end.
        int end = whole.length - 400;
        byte[] directory = mutator.bytes(Arrays.copyOfRange(whole, end, whole.length));
        return Bytes.concat(Arrays.copyOf(whole, end), directory);
      }
      return PickleFile.with(whole, mutator::pickle);
    }

    @Override
    void read(Path folder, Path file) throws IOException {
      ModelFiles.readArrays(file);
    }
  },

  /** A parser alone. */
  PNG(200, "picture.png") {
    @Override
    byte[] change(Mutator mutator, byte[] whole) throws IOException {
      byte[] bytes = mutator.bytes(whole);
      if (mutator.oneIn(8)) {
        bytes = whole.clone();
        ByteBuffer.wrap(bytes)
            .putInt(16, (int) mutator.number())
            .putInt(20, (int) mutator.number());
      } else if (mutator.oneIn(500)) {
        bytes = bomb(mutator, whole);
      }
      return mutator.oneIn(4) ? bytes : withChecksums(bytes);
    }

    @Override
    void read(Path folder, Path file) throws IOException {
      Images.readPng(file);
    }
  },

  /** A parser, and scaling. */
  PNG_TO_TRAIN(80, "pictures/picture.png") {
    @Override
    byte[] change(Mutator mutator, byte[] whole) throws IOException {
      return PNG.change(mutator, whole);
    }

    @Override
    void read(Path folder, Path file) throws IOException {
      ImageFolder.load(file.getParent(), 8, 3);
    }
  },

  /** A parser, and scaling. */
  JPEG(80, "photos/picture.jpg") {
    @Override
    byte[] change(Mutator mutator, byte[] whole) {
      return mutator.bytes(whole);
    }

    @Override
    void read(Path folder, Path file) throws IOException {
      ImageFolder.load(file.getParent(), 8, 3);
    }
  },

  /** A parser alone. */
  IDX(200, "mnist/train-images-idx3-ubyte.gz") {
    @Override
    byte[] change(Mutator mutator, byte[] whole) throws IOException {
      return changeIdx(mutator, whole);
    }

    @Override
    void read(Path folder, Path file) throws IOException {
      Mnist.train(file.getParent());
    }
  },

  /** A parser alone. */
  IDX_LABELS(40, "mnist-2/train-labels-idx1-ubyte.gz") {
    @Override
    byte[] change(Mutator mutator, byte[] whole) throws IOException {
      return changeIdx(mutator, whole);
    }

    @Override
    void read(Path folder, Path file) throws IOException {
      Mnist.train(file.getParent());
    }
  },

  /** A parser and, if it lets that pass, a network whose weights are checked. */
  CONFIG(5, "unet/config.json") {
    @Override
    void read(Path folder, Path file) throws IOException {
      convert(folder);
    }
  },

  /** A parser and, if it lets that pass, a network whose weights are checked. */
  SCHEDULER(5, "scheduler/scheduler_config.json") {
    @Override
    void read(Path folder, Path file) throws IOException {
      convert(folder);
    }
  },

  /** A parser and, if it lets that pass, a network whose weights are checked. */
  INDEX(5, "model_index.json") {
    @Override
    void read(Path folder, Path file) throws IOException {
      convert(folder);
    }
  },

  /** A parser and, if it lets that pass, the graph of a training. */
  STATE(3, "training/state.json") {
    @Override
    void read(Path folder, Path file) throws IOException {
      Trainer.resume(folder).close();
    }
  },

  /** Checksums and, if they let that pass, a graph and a call of it. */
  SUMS(1, "saved/SHA256SUMS") {
    @Override
    byte[] change(Mutator mutator, byte[] whole) {
      return mutator.bytes(whole);
    }

    @Override
    void read(Path folder, Path file) throws IOException {
      load(file.getParent());
    }
  },

  /** A graph and a call of it. */
  WEIGHTS(1, "unet/diffusion_pytorch_model.safetensors") {
    @Override
    byte[] change(Mutator mutator, byte[] whole) throws IOException {
      return SAFETENSORS.change(mutator, whole);
    }

    @Override
    void read(Path folder, Path file) throws IOException {
      load(folder);
    }
  };

  private final int share;
  private final String file;

  HostileKind(int share, String file) {
    this.share = share;
    this.file = file;
  }

  /** Returns how many of 1,000 files are of this kind. */
  int share() {
    return share;
  }

  /** Returns the file that is changed, in the folder of files to begin with. */
  Path file(Path folder) {
    return folder.resolve(file);
  }

  /** Makes a hostile file of a good one. */
  byte[] change(Mutator mutator, byte[] whole) throws IOException {
    return mutator.json(whole);
  }

  /** Reads the file, or the folder that it is in. */
  abstract void read(Path folder, Path file) throws IOException;

  private static void convert(Path folder) throws IOException {
    ModelFiles.convert(folder, folder.resolve("converted"), ModelFiles.Storage.FLOAT16);
  }

  private static void load(Path folder) throws IOException {
    try (Predictor model = Predictor.load(folder, Precision.FLOAT32)) {
      int size = model.info().inputSize();
      int[] labels = new int[model.info().classes() > 0 ? 1 : 0];
      if (size < 1 << 20) {
        model.predict(new float[size], 0, labels);
      }
    }
  }

  private static byte[] changeIdx(Mutator mutator, byte[] whole) throws IOException {
    if (mutator.oneIn(3)) {
      return mutator.bytes(whole);
    }
    byte[] raw;
    try (GZIPInputStream in = new GZIPInputStream(new ByteArrayInputStream(whole))) {
      raw = in.readAllBytes();
    }
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    try (GZIPOutputStream out = new GZIPOutputStream(bytes)) {
      byte[] changed = mutator.bytes(raw);
      if (mutator.oneIn(500) && changed.length >= 8) {
        // 2^24 items, and zeros for as many.
        ByteBuffer.wrap(changed).putInt(4, 1 << 24);
        out.write(changed);
        out.write(new byte[1 << 24]);
      } else {
        out.write(changed);
      }
    }
    return bytes.toByteArray();
  }

  /** A few KB that claim, and have, many pixels. */
  private static byte[] bomb(Mutator mutator, byte[] whole) throws IOException {
    int side = 1000 + mutator.below(15_000);
    ByteArrayOutputStream packed = new ByteArrayOutputStream();
    try (DeflaterOutputStream out = new DeflaterOutputStream(packed)) {
      out.write(new byte[1 << 22]);
    }
    byte[] head = Arrays.copyOf(whole, 33);
    ByteBuffer.wrap(head).putInt(16, side).putInt(20, side);
    ByteBuffer tail = ByteBuffer.allocate(packed.size() + 24);
    tail.putInt(packed.size()).put("IDAT".getBytes(US_ASCII)).put(packed.toByteArray()).putInt(0);
    tail.putInt(0).put("IEND".getBytes(US_ASCII)).putInt(0);
    return Bytes.concat(head, tail.array());
  }

  /** Mends the checksums of a PNG's chunks, for as long as there are whole chunks. */
  private static byte[] withChecksums(byte... bytes) {
    ByteBuffer png = ByteBuffer.wrap(bytes);
    for (int place = 8; place + 12 <= bytes.length; ) {
      int length = png.getInt(place);
      if (length < 0 || length > bytes.length - place - 12) {
        break;
      }
      CRC32 checksum = new CRC32();
      checksum.update(bytes, place + 4, length + 4);
      png.putInt(place + 8 + length, (int) checksum.getValue());
      place += 12 + length;
    }
    return bytes;
  }

  /** Returns what is wrong with the message of an exception; "" if nothing is. */
  static String problem(String message, Path folder) {
    if (message == null || !message.contains(folder.toString())) {
      return "the message names no file";
    }
    String rest = message.replace(folder.toString(), "");
    if (rest.chars().anyMatch(Character::isISOControl)) {
      return "the message has control characters";
    }
    return rest.getBytes(UTF_8).length > 1000 ? "the message has more than 1,000 bytes" : "";
  }

  /** Checks that the file is there to begin with. */
  boolean isIn(Path folder) {
    return Files.exists(file(folder));
  }
}
