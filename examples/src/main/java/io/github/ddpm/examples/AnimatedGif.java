package io.github.ddpm.examples;

import java.awt.image.BufferedImage;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import javax.imageio.IIOImage;
import javax.imageio.ImageIO;
import javax.imageio.ImageTypeSpecifier;
import javax.imageio.ImageWriter;
import javax.imageio.metadata.IIOInvalidTreeException;
import javax.imageio.metadata.IIOMetadata;
import javax.imageio.metadata.IIOMetadataNode;
import javax.imageio.stream.ImageOutputStream;

/** Writes pictures that follow each other, again and again, by the writer of the Java runtime. */
final class AnimatedGif {
  /** GIF counts time in these. */
  private static final int MILLIS = 10;

  /** "Netscape 2.0" in a GIF: 1, and how often to repeat, 0 for ever. */
  private static final byte[] FOR_EVER = {1, 0, 0};

  private AnimatedGif() {}

  /**
   * Writes a file.
   *
   * @param frames at least 1, of one size
   * @param each how long each is seen; the last one five times as long
   */
  static void write(Path file, List<BufferedImage> frames, Duration each) throws IOException {
    ImageWriter writer = ImageIO.getImageWritersByFormatName("gif").next();
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    try (ImageOutputStream out = ImageIO.createImageOutputStream(bytes)) {
      writer.setOutput(out);
      writer.prepareWriteSequence(null);
      for (int i = 0; i < frames.size(); i++) {
        long times = i + 1 < frames.size() ? 1 : 5;
        IIOMetadata metadata = metadata(writer, frames.get(i), times * each.toMillis() / MILLIS);
        writer.writeToSequence(new IIOImage(frames.get(i), null, metadata), null);
      }
      writer.endWriteSequence();
    } finally {
      writer.dispose();
    }
    Commands.replace(file, bytes.toByteArray());
  }

  private static IIOMetadata metadata(ImageWriter writer, BufferedImage frame, long delay)
      throws IIOInvalidTreeException {
    IIOMetadata metadata =
        writer.getDefaultImageMetadata(ImageTypeSpecifier.createFromRenderedImage(frame), null);
    String format = metadata.getNativeMetadataFormatName();
    IIOMetadataNode root = new IIOMetadataNode(format);
    IIOMetadataNode control = new IIOMetadataNode("GraphicControlExtension");
    control.setAttribute("disposalMethod", "none");
    control.setAttribute("userInputFlag", "FALSE");
    control.setAttribute("transparentColorFlag", "FALSE");
    control.setAttribute("transparentColorIndex", "0");
    control.setAttribute("delayTime", String.valueOf(delay));
    root.appendChild(control);
    IIOMetadataNode extensions = new IIOMetadataNode("ApplicationExtensions");
    IIOMetadataNode netscape = new IIOMetadataNode("ApplicationExtension");
    netscape.setAttribute("applicationID", "NETSCAPE");
    netscape.setAttribute("authenticationCode", "2.0");
    netscape.setUserObject(FOR_EVER.clone());
    extensions.appendChild(netscape);
    root.appendChild(extensions);
    metadata.mergeTree(format, root);
    return metadata;
  }
}
