package io.github.ddpm.examples;

import com.google.common.collect.HashMultiset;
import com.google.common.collect.Multiset;
import com.google.common.collect.Multisets;
import java.awt.Color;
import java.awt.image.BufferedImage;
import java.awt.image.DataBuffer;
import java.awt.image.IndexColorModel;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import javax.imageio.IIOImage;
import javax.imageio.ImageIO;
import javax.imageio.ImageWriteParam;
import javax.imageio.ImageWriter;
import javax.imageio.stream.ImageOutputStream;

/**
 * A page with many pictures stays small if they have palettes: 8 grays for digits, and for a chart
 * its curves' colors and those that are there most, 16 in all.
 */
final class SmallPng {
  private static final int GRAYS = 8;
  private static final double GRAY_STEP = 255.0 / (GRAYS - 1);

  /** So many colors take half a byte. */
  private static final int MOST = 16;

  private SmallPng() {}

  /**
   * Encodes a picture, a gray one in 8 grays.
   *
   * @param kept colors that stay as they are even if little is of them, at most 15
   */
  static byte[] of(BufferedImage picture, Collection<Color> kept) throws IOException {
    int width = picture.getWidth();
    int height = picture.getHeight();
    int[] colors = new int[width * height];
    for (int i = 0; i < colors.length; i++) {
      colors[i] = color(picture, i % width, i / width);
    }
    List<Integer> palette = palette(kept, colors);
    int[] ofIndex = palette.stream().mapToInt(Integer::intValue).toArray();
    BufferedImage indexed =
        new BufferedImage(
            width,
            height,
            BufferedImage.TYPE_BYTE_BINARY,
            new IndexColorModel(4, ofIndex.length, ofIndex, 0, false, -1, DataBuffer.TYPE_BYTE));
    Map<Integer, Integer> indices = new HashMap<>();
    for (int i = 0; i < colors.length; i++) {
      int index = indices.computeIfAbsent(colors[i], color -> nearest(color, ofIndex));
      indexed.getRaster().setSample(i % width, i / width, 0, index);
    }
    return encode(indexed);
  }

  /** Java would brighten the grays on the way to RGB, so they are read as they are. */
  private static int color(BufferedImage picture, int x, int y) {
    if (picture.getType() != BufferedImage.TYPE_BYTE_GRAY) {
      return picture.getRGB(x, y);
    }
    int sample = picture.getRaster().getSample(x, y, 0);
    int gray = (int) Math.round(Math.round(sample / GRAY_STEP) * GRAY_STEP);
    return 0xff << 24 | gray << 16 | gray << 8 | gray;
  }

  private static List<Integer> palette(Collection<Color> kept, int... colors) {
    Multiset<Integer> counts = HashMultiset.create();
    for (int color : colors) {
      counts.add(color);
    }
    return Stream.concat(
            kept.stream().map(Color::getRGB).filter(counts::contains),
            Multisets.copyHighestCountFirst(counts).elementSet().stream())
        .distinct()
        .limit(MOST)
        .toList();
  }

  private static int nearest(int color, int... palette) {
    int nearest = 0;
    for (int i = 1; i < palette.length; i++) {
      if (squaredDistance(color, palette[i]) < squaredDistance(color, palette[nearest])) {
        nearest = i;
      }
    }
    return nearest;
  }

  private static int squaredDistance(int one, int other) {
    int sum = 0;
    for (int shift = 0; shift <= 16; shift += 8) {
      int difference = (one >> shift & 0xff) - (other >> shift & 0xff);
      sum += difference * difference;
    }
    return sum;
  }

  private static byte[] encode(BufferedImage picture) throws IOException {
    ImageWriter writer = ImageIO.getImageWritersByFormatName("png").next();
    try {
      ImageWriteParam param = writer.getDefaultWriteParam();
      param.setCompressionMode(ImageWriteParam.MODE_EXPLICIT);
      param.setCompressionQuality(0);
      ByteArrayOutputStream bytes = new ByteArrayOutputStream();
      try (ImageOutputStream out = ImageIO.createImageOutputStream(bytes)) {
        writer.setOutput(out);
        writer.write(null, new IIOImage(picture, null, null), param);
      }
      return bytes.toByteArray();
    } finally {
      writer.dispose();
    }
  }
}
