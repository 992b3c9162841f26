package io.github.ddpm.tf.files;

import static java.nio.charset.StandardCharsets.UTF_8;

import com.google.common.base.Splitter;
import io.github.ddpm.spi.Excerpt;
import io.github.ddpm.spi.Heap;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * A zip archive as PyTorch writes it: each entry is stored as it is, and a directory at the very
 * end says where. The format is that of PKWARE's APPNOTE.TXT, of which the numbers of sections
 * below are, with the fields of zip64 for what is beyond 4 GiB.
 *
 * <p>Nothing in an archive is believed before it has been checked against the file, and no part of
 * the file belongs to two entries. Checksums are not compared, because PyTorch may leave them out.
 */
final class StoredZip {
  /** Far more than the thousands of entries of the largest network need. */
  private static final long MAX_DIRECTORY = 4_000_000;

  /** What a byte of the directory takes in memory at most. */
  private static final int TREE = 8;

  /** The end of the directory (4.3.16), and what zip64 has before it (4.3.15, 4.3.14). */
  private static final int END = 0x06054b50;

  private static final int END_BYTES = 22;
  private static final int LOCATOR = 0x07064b50;
  private static final int LOCATOR_BYTES = 20;
  private static final int END64 = 0x06064b50;
  private static final int END64_BYTES = 56;

  /** An entry of the directory (4.3.12), and what comes before its bytes (4.3.7). */
  private static final int ENTRY = 0x02014b50;

  private static final int ENTRY_BYTES = 46;
  private static final int LOCAL = 0x04034b50;
  private static final int LOCAL_BYTES = 30;

  /** What a field of 4 bytes holds if zip64 has the number (4.4.1.4). */
  private static final long IN_ZIP64 = 0xffffffffL;

  private static final int ZIP64 = 1;

  /** Bits of an entry that is encrypted, in any of three ways (4.4.4). */
  private static final int ENCRYPTED = 0x2041;

  private final OpenFile file;

  private StoredZip(OpenFile file) {
    this.file = file;
  }

  /**
   * An entry, whose place has been checked.
   *
   * @param start of what the archive says of it there
   * @param begin of its bytes
   */
  record Entry(String name, long start, long begin, long end) {
    long size() {
      return end - begin;
    }
  }

  private record Directory(long begin, long end, long count) {}

  /**
   * Lists the entries of an archive.
   *
   * @return the entries by name, in the directory's order
   * @throws IOException if the file isn't such an archive; the message names the file, the entry
   *     and what is wrong
   */
  static Map<String, Entry> list(OpenFile file) throws IOException {
    StoredZip zip = new StoredZip(file);
    return zip.entries(zip.directory());
  }

  private Directory directory() throws IOException {
    long end = file.size() - END_BYTES;
    if (end < 0 || bytes(end, END_BYTES).getInt(0) != END) {
      throw problem("the end of the zip archive is missing: was the file cut short?");
    }
    ByteBuffer last = bytes(end, END_BYTES);
    long count = unsigned2(last, 10);
    long size = unsigned4(last, 12);
    long begin = unsigned4(last, 16);
    if (last.getInt(4) != 0 || unsigned2(last, 8) != count || unsigned2(last, 20) != 0) {
      throw problem("the zip archive must be whole, and without a comment");
    }
    long locator = end - LOCATOR_BYTES;
    if (locator >= END64_BYTES && bytes(locator, LOCATOR_BYTES).getInt(0) == LOCATOR) {
      end = locator - END64_BYTES;
      ByteBuffer wide = bytes(end, END64_BYTES);
      if (bytes(locator, LOCATOR_BYTES).getLong(8) != end || wide.getInt(0) != END64) {
        throw problem("the end of the zip64 archive must be at " + end);
      }
      count = wide(count, 0xffff, wide.getLong(32));
      size = wide(size, IN_ZIP64, wide.getLong(40));
      begin = wide(begin, IN_ZIP64, wide.getLong(48));
    }
    if (begin < 0 || begin > end || size != end - begin) {
      throw problem(
          "the zip directory must end at "
              + end
              + ", got "
              + Long.toUnsignedString(size)
              + " bytes at "
              + Long.toUnsignedString(begin));
    }
    if (size > MAX_DIRECTORY) {
      throw problem("the zip directory must have at most " + MAX_DIRECTORY + " bytes, got " + size);
    }
    return new Directory(begin, end, count);
  }

  /** Returns the number that zip64 has for a field, which holds the same or nothing but ones. */
  private long wide(long field, long ones, long number) throws IOException {
    if (field != ones && field != number) {
      throw problem("zip64 must repeat " + field + ", got " + Long.toUnsignedString(number));
    }
    return number;
  }

  private Map<String, Entry> entries(Directory directory) throws IOException {
    int size = (int) (directory.end() - directory.begin());
    Heap.check(file.path(), TREE * (double) size);
    ByteBuffer bytes = bytes(directory.begin(), size);
    Map<String, Entry> entries = new LinkedHashMap<>();
    while (bytes.hasRemaining()) {
      if (bytes.remaining() < ENTRY_BYTES || bytes.getInt(bytes.position()) != ENTRY) {
        throw problem("the zip directory is damaged after " + entries.size() + " entries");
      }
      ByteBuffer fixed = next(bytes, ENTRY_BYTES);
      byte[] name = new byte[unsigned2(fixed, 28)];
      next(bytes, name.length).get(name);
      ByteBuffer extra = next(bytes, unsigned2(fixed, 30));
      next(bytes, unsigned2(fixed, 32));
      Entry entry = entry(fixed, name, extra, directory.begin());
      if (entries.put(entry.name(), entry) != null) {
        throw problem("entry " + Excerpt.of(entry.name()) + " is there twice");
      }
    }
    if (entries.size() != directory.count()) {
      throw problem(
          "the zip archive must have "
              + Long.toUnsignedString(directory.count())
              + " entries, got "
              + entries.size());
    }
    checkApart(entries);
    return entries;
  }

  /** Returns the next bytes of the directory. */
  private ByteBuffer next(ByteBuffer bytes, int count) throws IOException {
    if (bytes.remaining() < count) {
      throw problem("the zip directory ends in the middle of an entry");
    }
    ByteBuffer next = bytes.slice(bytes.position(), count).order(ByteOrder.LITTLE_ENDIAN);
    bytes.position(bytes.position() + count);
    return next;
  }

  private Entry entry(ByteBuffer fixed, byte[] nameBytes, ByteBuffer extra, long end)
      throws IOException {
    String name = new String(nameBytes, UTF_8);
    String shown = "entry " + Excerpt.of(name);
    checkPath(name, shown);
    ByteBuffer wide = zip64(extra, shown);
    // In this order (4.5.3).
    long size = wide(unsigned4(fixed, 24), wide, shown);
    long packed = wide(unsigned4(fixed, 20), wide, shown);
    long start = wide(unsigned4(fixed, 42), wide, shown);
    checkStored(fixed, 8, shown);
    if (packed != size) {
      throw problem(
          shown
              + " must be stored in as many bytes as it has, "
              + Long.toUnsignedString(size)
              + ", got "
              + Long.toUnsignedString(packed));
    }
    String outside = shown + " must be within the archive's " + end + " bytes";
    if (start < 0 || start > end - LOCAL_BYTES - nameBytes.length) {
      throw problem(outside + ", got its start at " + Long.toUnsignedString(start));
    }
    ByteBuffer local = bytes(start, LOCAL_BYTES + nameBytes.length);
    if (local.getInt(0) != LOCAL
        || unsigned2(local, 26) != nameBytes.length
        || !local.slice(LOCAL_BYTES, nameBytes.length).equals(ByteBuffer.wrap(nameBytes))) {
      throw problem(shown + " is not where the zip directory has it, at " + start);
    }
    checkStored(local, 6, shown);
    long begin = start + LOCAL_BYTES + nameBytes.length + unsigned2(local, 28);
    if (begin > end || size < 0 || size > end - begin) {
      throw problem(outside + ", got " + Long.toUnsignedString(size) + " at " + begin);
    }
    return new Entry(name, start, begin, begin + size);
  }

  /** Checks the flags and the method behind them. */
  private void checkStored(ByteBuffer header, int flags, String shown) throws IOException {
    if ((unsigned2(header, flags) & ENCRYPTED) != 0) {
      throw problem(shown + " is encrypted");
    }
    int method = unsigned2(header, flags + 2);
    if (method != 0) {
      throw problem(shown + " must be stored, not compressed, got method " + method);
    }
  }

  /** Checks that a name leads nowhere else, though nothing here follows it. */
  private void checkPath(String name, String shown) throws IOException {
    for (String part : Splitter.on('/').split(name)) {
      if (part.isEmpty() || part.equals(".") || part.equals("..") || part.contains("\\")) {
        throw problem(shown + " must have a path inside of the archive");
      }
    }
  }

  /** Returns the numbers of zip64 among what an entry has in addition (4.5.1). */
  private ByteBuffer zip64(ByteBuffer extra, String shown) throws IOException {
    while (extra.remaining() >= 4) {
      int kind = Short.toUnsignedInt(extra.getShort());
      int length = Short.toUnsignedInt(extra.getShort());
      if (length > extra.remaining()) {
        break;
      }
      ByteBuffer content = next(extra, length);
      if (kind == ZIP64) {
        return content;
      }
    }
    if (extra.hasRemaining()) {
      throw problem(shown + " has extra fields that are cut short");
    }
    return extra;
  }

  private long wide(long field, ByteBuffer wide, String shown) throws IOException {
    if (field != IN_ZIP64) {
      return field;
    }
    if (wide.remaining() < Long.BYTES) {
      throw problem(shown + " lacks a number of zip64");
    }
    return wide.getLong();
  }

  private void checkApart(Map<String, Entry> entries) throws IOException {
    List<Entry> inOrder = new ArrayList<>(entries.values());
    inOrder.sort(Comparator.comparingLong(Entry::start));
    for (int i = 1; i < inOrder.size(); i++) {
      Entry before = inOrder.get(i - 1);
      if (inOrder.get(i).start() < before.end()) {
        throw problem(
            "entry "
                + Excerpt.of(inOrder.get(i).name())
                + " overlaps entry "
                + Excerpt.of(before.name()));
      }
    }
  }

  private ByteBuffer bytes(long position, int count) throws IOException {
    ByteBuffer bytes = ByteBuffer.allocate(count).order(ByteOrder.LITTLE_ENDIAN);
    return file.read(position, bytes);
  }

  private static int unsigned2(ByteBuffer bytes, int at) {
    return Short.toUnsignedInt(bytes.getShort(at));
  }

  private static long unsigned4(ByteBuffer bytes, int at) {
    return Integer.toUnsignedLong(bytes.getInt(at));
  }

  private IOException problem(String problem) {
    return new IOException(file.path() + ": " + problem);
  }
}
