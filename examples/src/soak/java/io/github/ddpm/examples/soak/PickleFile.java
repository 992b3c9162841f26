package io.github.ddpm.examples.soak;

import static java.nio.charset.StandardCharsets.ISO_8859_1;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.function.UnaryOperator;
import java.util.zip.CRC32;
import java.util.zip.ZipEntry;
import java.util.zip.ZipInputStream;
import java.util.zip.ZipOutputStream;

/** A few tensors as PyTorch saves them: a zip archive of a pickle and what it refers to. */
final class PickleFile {
  private static final String PICKLE = "weights/data.pkl";

  /** A bias of four floats, its upper half, and a matrix of two rows that is turned. */
  private static final String TENSORS =
      "\200\2ccollections\nOrderedDict\nq\0)Rq\1("
          + "X\4\0\0\0biasq\2ctorch._utils\n_rebuild_tensor_v2\nq\3"
          + "((X\7\0\0\0storageq\4ctorch\nFloatStorage\nq\5X\1\0\0\0"
          + "0q\6X\3\0\0\0cpuq\7K\4tq\10Q"
          + "K\0K\4\205q\11K\1\205q\12\211h\0)Rq\13tq\14Rq\15"
          + "X\5\0\0\0upperq\16h\3"
          + "((h\4h\5h\6h\7K\4tQK\2K\2\205K\1\205\211h\0)RtR"
          + "X\6\0\0\0matrixq\17h\3"
          + "((h\4ctorch\nHalfStorage\nX\1\0\0\0"
          + "1h\7K\6tQK\0K\3K\2\206K\1K\3\206\211h\0)RtRu"
          + "}X\11\0\0\0_metadata}X\0\0\0\0}X\7\0\0\0versionK\1sssb.";

  private PickleFile() {}

  /** Returns a good file. */
  static byte[] good() throws IOException {
    Map<String, byte[]> entries = new LinkedHashMap<>();
    entries.put(PICKLE, TENSORS.getBytes(ISO_8859_1));
    entries.put("weights/byteorder", "little".getBytes(ISO_8859_1));
    entries.put("weights/data/0", new byte[16]);
    entries.put("weights/data/1", new byte[12]);
    entries.put("weights/version", "3\n".getBytes(ISO_8859_1));
    return zip(entries);
  }

  /** Returns a file with another pickle, around which all else is as it must be. */
  static byte[] with(byte[] whole, UnaryOperator<byte[]> change) throws IOException {
    Map<String, byte[]> entries = new LinkedHashMap<>();
    try (ZipInputStream in = new ZipInputStream(new ByteArrayInputStream(whole))) {
      for (ZipEntry entry = in.getNextEntry(); entry != null; entry = in.getNextEntry()) {
        entries.put(entry.getName(), in.readAllBytes());
      }
    }
    entries.computeIfPresent(PICKLE, (name, pickle) -> change.apply(pickle));
    return zip(entries);
  }

  private static byte[] zip(Map<String, byte[]> entries) throws IOException {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    try (ZipOutputStream zip = new ZipOutputStream(bytes)) {
      for (Map.Entry<String, byte[]> each : entries.entrySet()) {
        CRC32 checksum = new CRC32();
        checksum.update(each.getValue());
        ZipEntry entry = new ZipEntry(each.getKey());
        entry.setMethod(ZipEntry.STORED);
        entry.setSize(each.getValue().length);
        entry.setCrc(checksum.getValue());
        zip.putNextEntry(entry);
        zip.write(each.getValue());
      }
    }
    return bytes.toByteArray();
  }
}
