package io.github.ddpm.tf.data;

import java.awt.AlphaComposite;
import java.awt.Color;
import java.awt.Graphics2D;
import java.awt.Point;
import java.awt.color.ColorSpace;
import java.awt.image.BufferedImage;
import java.awt.image.Raster;
import java.awt.image.WritableRaster;
import java.io.IOException;
import java.util.Iterator;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicReference;
import javax.imageio.ImageReadParam;
import javax.imageio.ImageReader;
import javax.imageio.ImageTypeSpecifier;

/**
 * The pixels of a picture, row by row, with 8 bits of red, green and blue, and of alpha, or without
 * that white where it is transparent.
 */
final class PictureRows {
  private static final String GRAY_OR_RGB =
      "it must be gray or RGB; CMYK has to be converted first";

  private final ImageTypeSpecifier type;
  private final boolean alpha;
  private final BufferedImage row;
  private final BufferedImage converted;
  private final Square square;
  private final int[] pixels;
  private final int height;

  private PictureRows(ImageReader reader, ImageTypeSpecifier type, int size, boolean alpha)
      throws IOException {
    int width = reader.getWidth(0);
    this.type = type;
    this.alpha = alpha;
    this.height = reader.getHeight(0);
    this.row = type.createBufferedImage(width, 1);
    this.converted =
        new BufferedImage(
            width, 1, alpha ? BufferedImage.TYPE_INT_ARGB : BufferedImage.TYPE_INT_RGB);
    this.square = new Square(width, height, size, alpha);
    this.pixels = new int[width];
  }

  /**
   * Decodes a picture without ever having all of it.
   *
   * @return the square of it; nothing if the reader doesn't write rows in their order, as that of
   *     an interlaced PNG
   * @throws IOException if the picture is broken
   */
  static Optional<int[]> stream(ImageReader reader, int size, boolean alpha) throws IOException {
    ImageTypeSpecifier type = type(reader);
    PictureRows rows = new PictureRows(reader, type, size, alpha);
    Sink sink = new Sink(rows);
    ImageReadParam param = reader.getDefaultReadParam();
    param.setDestination(new BufferedImage(type.getColorModel(), sink, false, null));
    try {
      decode(reader, param);
    } catch (IOException | IndexOutOfBoundsException e) {
      if (e instanceof IndexOutOfBoundsException
          || e.getCause() instanceof IndexOutOfBoundsException) {
        // If it is broken instead, it is refused as a whole.
        return Optional.empty();
      }
      throw e;
    }
    return sink.isWhole() ? Optional.of(rows.square.pixels()) : Optional.empty();
  }

  /**
   * Decodes a picture as a whole.
   *
   * @throws IOException if the picture is broken
   */
  static int[] whole(ImageReader reader, int size, boolean alpha) throws IOException {
    PictureRows rows = new PictureRows(reader, type(reader), size, alpha);
    ImageReadParam param = reader.getDefaultReadParam();
    param.setDestinationType(rows.type);
    Raster raster = decode(reader, param).getRaster();
    for (int y = 0; y < rows.height; y++) {
      rows.row.getRaster().setRect(raster.createChild(0, y, raster.getWidth(), 1, 0, 0, null));
      rows.add();
    }
    return rows.square.pixels();
  }

  /** Returns the bytes that the rows take beside the picture, if that is there. */
  static double bytes(int width, int height, int size, double bytesPerPixel) {
    // The row as it is stored, of which a reader has up to three more, and as integers twice.
    return width * (4 * bytesPerPixel + 2 * Integer.BYTES) + Square.bytes(width, height, size);
  }

  private static ImageTypeSpecifier type(ImageReader reader) throws IOException {
    Iterator<ImageTypeSpecifier> types = reader.getImageTypes(0);
    check(types.hasNext(), GRAY_OR_RGB);
    ImageTypeSpecifier type = types.next();
    // Some JDKs read CMYK, but without its profile, so that the colors are wrong.
    int colors = type.getColorModel().getColorSpace().getType();
    check(colors == ColorSpace.TYPE_GRAY || colors == ColorSpace.TYPE_RGB, GRAY_OR_RGB);
    return type;
  }

  private static BufferedImage decode(ImageReader reader, ImageReadParam param) throws IOException {
    // What is missing of a JPEG that was cut short becomes gray, and the reader only warns.
    AtomicReference<String> damage = new AtomicReference<>();
    reader.addIIOReadWarningListener(
        (source, warning) -> {
          if (warning.startsWith("Truncated File") || warning.startsWith("Corrupt JPEG")) {
            damage.set(warning);
          }
        });
    BufferedImage image = reader.read(0, param);
    check(damage.get() == null, damage.get());
    return image;
  }

  /** Adds the row that is there to the square. */
  private void add() {
    if (type.getColorModel().getColorSpace().getType() == ColorSpace.TYPE_GRAY) {
      addGray();
      return;
    }
    Graphics2D graphics = converted.createGraphics();
    graphics.setComposite(alpha ? AlphaComposite.Src : AlphaComposite.SrcOver);
    graphics.drawImage(row, 0, 0, alpha ? null : Color.WHITE, null);
    graphics.dispose();
    square.add(converted.getRGB(0, 0, pixels.length, 1, pixels, 0, pixels.length));
  }

  /** Java takes gray samples for linear light: drawn, some would be brighter. */
  private void addGray() {
    Raster samples = row.getRaster();
    boolean translucent = samples.getNumBands() == 2;
    double max = (1 << type.getColorModel().getComponentSize(0)) - 1;
    for (int x = 0; x < pixels.length; x++) {
      double opacity = translucent ? samples.getSample(x, 0, 1) / max : 1;
      double black = (alpha ? 1 : opacity) * (1 - samples.getSample(x, 0, 0) / max);
      int rgb = 0x010101 * (int) Math.round(255 * (1 - black));
      int visible = alpha ? (int) Math.round(255 * opacity) : 0xff;
      pixels[x] = (visible << 24) | rgb;
    }
    square.add(pixels);
  }

  private static void check(boolean condition, String rule) throws IOException {
    if (!condition) {
      throw new IOException(rule);
    }
  }

  /** As large as the picture, but each row goes on once it is written. */
  private static final class Sink extends WritableRaster {
    private final PictureRows rows;
    private int column;
    private int line;

    Sink(PictureRows rows) {
      super(
          rows.type.getSampleModel(rows.pixels.length, rows.height),
          rows.row.getRaster().getDataBuffer(),
          new Point());
      this.rows = rows;
    }

    @Override
    public void setRect(int x, int y, Raster source) {
      checkNext(x + source.getMinX(), y + source.getMinY());
      if (source.getWidth() != getWidth() || source.getHeight() != 1) {
        throw new IndexOutOfBoundsException("not one row");
      }
      rows.row.getRaster().setRect(-source.getMinX(), -source.getMinY(), source);
      rows.add();
      line++;
    }

    @Override
    public void setPixel(int x, int y, int[] samples) {
      checkNext(x, y);
      rows.row.getRaster().setPixel(x, 0, samples);
      column++;
      if (column == getWidth()) {
        rows.add();
        column = 0;
        line++;
      }
    }

    /** Throws what Java's own methods throw that write past the only row that is there. */
    private void checkNext(int x, int y) {
      if (x != column || y != line) {
        throw new IndexOutOfBoundsException("not the next row");
      }
    }

    boolean isWhole() {
      return line == getHeight();
    }
  }
}
