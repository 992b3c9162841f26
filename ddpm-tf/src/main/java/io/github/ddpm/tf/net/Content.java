package io.github.ddpm.tf.net;

import static java.nio.charset.StandardCharsets.US_ASCII;

import com.google.common.hash.Hashing;
import com.google.common.hash.HashingInputStream;
import com.google.common.io.BaseEncoding;
import com.google.common.io.ByteStreams;
import io.github.ddpm.spi.Excerpt;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.security.DigestInputStream;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.zip.GZIPInputStream;
import java.util.zip.ZipException;

/** What a file that is downloaded must hold. */
interface Content {
  /** What is wrong with a file whose end is missing, or that isn't there. */
  String CUT = "cut short";

  /** Returns the number of its bytes, if that is known. */
  OptionalLong length();

  /** Returns how many bytes it has at most. */
  long limit();

  /**
   * Returns what is wrong with a file.
   *
   * @return empty if it is whole; {@link #CUT} if more bytes may make it so
   */
  Optional<String> problem(Path file) throws IOException;

  /**
   * Describes a gzip file.
   *
   * @param sha256 of its uncompressed bytes, since the compressed ones differ between mirrors
   */
  static Content gzip(String sha256) {
    return new Gzip(sha256);
  }

  /** Describes a file by all of its bytes. */
  static Content sha256(long length, String sha256) {
    return new Exact(length, "SHA-256", "", sha256);
  }

  /** Describes a file by the name that git gives to what it holds. */
  static Content gitBlob(long length, String sha1) {
    return new Exact(length, "SHA-1", "blob " + length + "\0", sha1);
  }

  /** A compressed file. */
  record Gzip(String sha256) implements Content {
    /** Neither a file nor its uncompressed bytes may be more: MNIST's largest has 47 MB. */
    private static final long MAX_BYTES = 1 << 26;

    @Override
    public OptionalLong length() {
      return OptionalLong.empty();
    }

    @Override
    public long limit() {
      return MAX_BYTES;
    }

    @Override
    public Optional<String> problem(Path file) throws IOException {
      String sum;
      try (InputStream raw = Files.newInputStream(file);
          InputStream bytes = ByteStreams.limit(new GZIPInputStream(raw, 1 << 16), MAX_BYTES);
          HashingInputStream in = new HashingInputStream(Hashing.sha256(), bytes)) {
        ByteStreams.exhaust(in);
        sum = in.hash().toString();
      } catch (NoSuchFileException | EOFException e) {
        return Optional.of(CUT);
      } catch (ZipException e) {
        sum = "none: " + Excerpt.of(e.getMessage());
      }
      return sum.equals(sha256)
          ? Optional.empty()
          : Optional.of("SHA-256 of the uncompressed bytes must be " + sha256 + ", got " + sum);
    }
  }

  /**
   * A file of which everything is known.
   *
   * @param prefix what the sum is of, before the bytes
   */
  record Exact(long bytes, String algorithm, String prefix, String sum) implements Content {
    @Override
    public OptionalLong length() {
      return OptionalLong.of(bytes);
    }

    @Override
    public long limit() {
      return bytes + 1; // One more shows that there are too many.
    }

    @Override
    public Optional<String> problem(Path file) throws IOException {
      try {
        long size = Files.size(file);
        if (size != bytes) {
          return Optional.of(size < bytes ? CUT : "must have " + bytes + " bytes, got more");
        }
        String got = sumOf(file);
        return got.equals(sum)
            ? Optional.empty()
            : Optional.of(algorithm + " must be " + sum + ", got " + got);
      } catch (NoSuchFileException e) {
        return Optional.of(CUT);
      }
    }

    private String sumOf(Path file) throws IOException {
      MessageDigest digest;
      try {
        digest = MessageDigest.getInstance(algorithm);
      } catch (NoSuchAlgorithmException e) {
        throw new IllegalStateException("every Java runtime has " + algorithm, e);
      }
      digest.update(prefix.getBytes(US_ASCII));
      try (InputStream in = new DigestInputStream(Files.newInputStream(file), digest)) {
        ByteStreams.exhaust(in);
      }
      return BaseEncoding.base16().lowerCase().encode(digest.digest());
    }
  }
}
