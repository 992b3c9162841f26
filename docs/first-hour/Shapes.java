import java.awt.BasicStroke;
import java.awt.Color;
import java.awt.Graphics2D;
import java.awt.RenderingHints;
import java.awt.image.BufferedImage;
import java.io.File;
import java.io.IOException;
import java.util.Random;
import javax.imageio.ImageIO;

/** Draws 100 circles and 100 crosses, each with a color, a size and a place of its own. */
public class Shapes {
  private static final int SIDE = 24;

  private Shapes() {}

  /** Writes them to {@code shapes/circle} and {@code shapes/cross}. */
  public static void main(String... args) throws IOException {
    Random random = new Random(1);
    for (String shape : new String[] {"circle", "cross"}) {
      File folder = new File("shapes", shape);
      if (!folder.mkdirs()) {
        throw new IOException("can't make " + folder);
      }
      for (int i = 0; i < 100; i++) {
        ImageIO.write(draw(shape, random), "png", new File(folder, i + ".png"));
      }
    }
  }

  private static BufferedImage draw(String shape, Random random) {
    BufferedImage image = new BufferedImage(SIDE, SIDE, BufferedImage.TYPE_INT_RGB);
    Graphics2D pen = image.createGraphics();
    pen.setRenderingHint(RenderingHints.KEY_ANTIALIASING, RenderingHints.VALUE_ANTIALIAS_ON);
    pen.setColor(Color.WHITE);
    pen.fillRect(0, 0, SIDE, SIDE);
    pen.setColor(Color.getHSBColor(random.nextFloat(), 0.9f, 0.8f));
    pen.setStroke(new BasicStroke(3));
    int size = 10 + random.nextInt(8);
    int x = 2 + random.nextInt(SIDE - size - 4);
    int y = 2 + random.nextInt(SIDE - size - 4);
    if (shape.equals("circle")) {
      pen.drawOval(x, y, size, size);
    } else {
      pen.drawLine(x, y, x + size, y + size);
      pen.drawLine(x + size, y, x, y + size);
    }
    pen.dispose();
    return image;
  }
}
