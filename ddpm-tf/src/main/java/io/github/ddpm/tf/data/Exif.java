package io.github.ddpm.tf.data;

import com.drew.imaging.ImageProcessingException;
import com.drew.imaging.jpeg.JpegSegmentReader;
import com.drew.imaging.jpeg.JpegSegmentType;
import com.drew.imaging.png.PngChunk;
import com.drew.imaging.png.PngChunkReader;
import com.drew.imaging.png.PngChunkType;
import com.drew.imaging.tiff.TiffReader;
import com.drew.lang.ByteArrayReader;
import com.drew.lang.RandomAccessReader;
import com.drew.lang.SequentialReader;
import com.drew.lang.StreamReader;
import com.drew.metadata.Metadata;
import com.drew.metadata.exif.ExifIFD0Directory;
import com.drew.metadata.exif.ExifReader;
import com.drew.metadata.tiff.DirectoryTiffHandler;
import com.google.common.io.ByteSource;
import java.io.IOException;
import java.io.InputStream;
import java.util.Arrays;
import java.util.List;
import java.util.Set;

/** Finds how a picture was held when it was taken. */
final class Exif {
  /** What JPEG has room for; the reader's work may grow with the square of it. */
  private static final int MOST_BYTES = 1 << 16;

  private static final int UPRIGHT = 1;

  private Exif() {}

  /**
   * Returns the orientation that a file says, or upright if it says none that can be read.
   *
   * @return in [1, 8], of which 1 is upright
   */
  static int orientation(ByteSource file, boolean png) {
    Integer orientation = null;
    try (InputStream in = file.openBufferedStream()) {
      SequentialReader reader = new StreamReader(in);
      orientation = png ? ofPng(reader) : ofJpeg(reader);
    } catch (IOException | ImageProcessingException | RuntimeException e) {
      // The pixels may be whole, and whoever decodes them sees that.
    }
    return orientation != null && orientation >= UPRIGHT && orientation <= 8
        ? orientation
        : UPRIGHT;
  }

  private static Integer ofJpeg(SequentialReader in) throws IOException, ImageProcessingException {
    JpegSegmentType type = JpegSegmentType.APP1;
    for (byte[] segment : JpegSegmentReader.readSegments(in, List.of(type)).getSegments(type)) {
      if (ExifReader.startsWithJpegExifPreamble(segment)) {
        return ofTags(segment, ExifReader.JPEG_SEGMENT_PREAMBLE.length());
      }
    }
    return null;
  }

  private static Integer ofPng(SequentialReader in) throws IOException, ImageProcessingException {
    for (PngChunk chunk : new PngChunkReader().extract(in, Set.of(PngChunkType.eXIf))) {
      byte[] tiff = chunk.getBytes();
      return ofTags(Arrays.copyOf(tiff, Math.min(tiff.length, MOST_BYTES)), 0);
    }
    return null;
  }

  private static Integer ofTags(byte[] tiff, int start)
      throws IOException, ImageProcessingException {
    Metadata metadata = new Metadata();
    new TiffReader().processTiff(new ByteArrayReader(tiff), new OneTag(metadata), start);
    return metadata
        .getFirstDirectoryOfType(ExifIFD0Directory.class)
        .getInteger(ExifIFD0Directory.TAG_ORIENTATION);
  }

  /**
   * Takes the orientation out of the first directory and looks at nothing else, so that what a file
   * has beside it costs nothing: there are formats inside formats, and each has its traps.
   */
  private static final class OneTag extends DirectoryTiffHandler {
    OneTag(Metadata metadata) {
      super(metadata, null);
    }

    @Override
    public void setTiffMarker(int marker) {
      pushDirectory(ExifIFD0Directory.class);
    }

    @Override
    public boolean tryEnterSubIfd(int tag) {
      return false;
    }

    @Override
    public boolean hasFollowerIfd() {
      return false;
    }

    @Override
    public Long tryCustomProcessFormat(int tag, int format, long count) {
      return null;
    }

    @Override
    public boolean customProcessTag(
        int offset, Set<Integer> seen, int start, RandomAccessReader reader, int tag, int bytes) {
      return tag != ExifIFD0Directory.TAG_ORIENTATION || bytes > Integer.BYTES;
    }
  }
}
