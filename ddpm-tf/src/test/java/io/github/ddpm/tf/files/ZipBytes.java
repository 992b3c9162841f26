package io.github.ddpm.tf.files;

import static java.nio.charset.StandardCharsets.UTF_8;

import com.google.common.primitives.Bytes;
import com.google.common.primitives.Ints;
import com.google.common.primitives.Longs;
import com.google.common.primitives.Shorts;
import java.io.ByteArrayOutputStream;

/** A zip archive in the making, which may say of its entries what isn't so. */
final class ZipBytes {
  private final ByteArrayOutputStream entries = new ByteArrayOutputStream();
  private final ByteArrayOutputStream directory = new ByteArrayOutputStream();
  private int count;

  /** Adds an entry as it must be. */
  ZipBytes entry(String name, byte... bytes) {
    return entry(name, bytes, 0, 0, bytes.length);
  }

  /**
   * Adds an entry.
   *
   * @param size that the directory has for it
   */
  ZipBytes entry(String name, byte[] bytes, int flags, int method, int size) {
    describe(name, flags, method, size, entries.size(), new byte[0]);
    content(name, bytes, flags, method);
    return this;
  }

  /** Adds an entry that the directory has in the fields of zip64 alone. */
  ZipBytes wideEntry(String name, byte[] bytes, long size) {
    long start = entries.size();
    byte[] otherField = fields((short) 0x5455, (short) 2, (short) 0);
    byte[] zip64 = fields((short) 1, (short) 24, size, size, start);
    describe(name, 0, 0, -1, -1, Bytes.concat(otherField, zip64));
    content(name, bytes, 0, 0);
    return this;
  }

  /** Adds an entry of the directory alone. */
  ZipBytes again(String name, int size, int start) {
    describe(name, 0, 0, size, start, new byte[0]);
    return this;
  }

  /** Returns the archive. */
  byte[] toBytes() {
    return toBytes(count);
  }

  /** Returns the archive with another number of entries. */
  byte[] toBytes(int entryCount) {
    return Bytes.concat(
        entries.toByteArray(),
        directory.toByteArray(),
        end(entryCount, directory.size(), entries.size()));
  }

  /** Returns the archive with the numbers of its end in the fields of zip64. */
  byte[] toWideBytes(int narrowCount, long entryCount, long begin) {
    long size = directory.size();
    long place = entries.size() + size;
    return Bytes.concat(
        entries.toByteArray(),
        directory.toByteArray(),
        fields(0x06064b50, 44L, 0, 0, 0, entryCount, entryCount, size, begin),
        fields(0x07064b50, 0, place, 1),
        end(narrowCount, -1, -1));
  }

  private static byte[] end(int entryCount, int size, int begin) {
    short narrow = (short) entryCount;
    return fields(0x06054b50, 0, narrow, narrow, size, begin, (short) 0);
  }

  private void describe(
      String name, int flags, int method, int size, int start, byte[] extraFields) {
    byte[] path = name.getBytes(UTF_8);
    directory.writeBytes(fields(0x02014b50, 0, (short) flags, (short) method, 0, 0, size, size));
    directory.writeBytes(
        fields((short) path.length, (short) extraFields.length, (short) 0, 0, 0, start));
    directory.writeBytes(path);
    directory.writeBytes(extraFields);
    count++;
  }

  private void content(String name, byte[] bytes, int flags, int method) {
    byte[] path = name.getBytes(UTF_8);
    entries.writeBytes(fields(0x04034b50, (short) 0, (short) flags, (short) method, 0, 0, 0, 0));
    entries.writeBytes(fields((short) path.length, (short) 0));
    entries.writeBytes(path);
    entries.writeBytes(bytes);
  }

  /** Returns numbers in their own sizes, little-endian. */
  private static byte[] fields(Number... numbers) {
    ByteArrayOutputStream fields = new ByteArrayOutputStream();
    for (Number number : numbers) {
      byte[] bytes =
          number instanceof Short
              ? Shorts.toByteArray(number.shortValue())
              : number instanceof Integer
                  ? Ints.toByteArray(number.intValue())
                  : Longs.toByteArray(number.longValue());
      Bytes.reverse(bytes);
      fields.writeBytes(bytes);
    }
    return fields.toByteArray();
  }
}
