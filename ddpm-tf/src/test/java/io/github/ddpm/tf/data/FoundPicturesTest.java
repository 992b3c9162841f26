package io.github.ddpm.tf.data;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIOException;

import java.awt.image.BufferedImage;
import java.io.IOException;
import java.nio.channels.SeekableByteChannel;
import java.nio.file.AccessDeniedException;
import java.nio.file.DirectoryStream;
import java.nio.file.FileSystems;
import java.nio.file.Files;
import java.nio.file.OpenOption;
import java.nio.file.Path;
import java.nio.file.attribute.FileAttribute;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import javax.imageio.ImageIO;
import org.apache.lucene.tests.mockfile.FilterFileSystemProvider;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** What a folder of pictures says of itself. */
@Timeout(120)
class FoundPicturesTest {
  @TempDir Path folder;

  @Test
  void saysWhatItSkips() throws IOException {
    write("a.png", 10);
    for (int i = 0; i < 50; i++) {
      Files.writeString(folder.resolve("photo" + i + (i % 2 == 0 ? ".heic" : ".HEIC")), "");
    }
    Files.createSymbolicLink(folder.resolve("b.png"), folder.resolve("gone.png"));
    ImageFolder found = ImageFolder.find(folder);
    assertThat(found.report())
        .containsExactly("1 picture, 51 other files skipped (50 HEIC, 1 dangling link)");
    assertThat(found.warnings())
        .containsExactly(
            "50 HEIC files in "
                + folder
                + " can't be read: save them as PNG or JPEG to learn from them");
    assertThat(found.classNames()).isEmpty();
    Files.writeString(folder.resolve("notes"), "");
    Files.writeString(folder.resolve(".DS_Store"), "");
    write("c.png", 10);
    assertThat(ImageFolder.find(folder).report())
        .singleElement()
        .asString()
        .startsWith("2 pictures, 53 other files skipped (50 HEIC, 1 ")
        .contains("1 dangling link", "1 hidden", "1 without extension");
    Files.delete(folder.resolve("a.png"));
    Files.delete(folder.resolve("c.png"));
    assertThatIOException()
        .isThrownBy(() -> ImageFolder.find(folder))
        .withMessageStartingWith(
            folder
                + " must hold pictures: files that end with .png, .jpg or .jpeg; it has 0 pictures, 53 other files");
  }

  @Test
  void saysWhichClassesItHas() throws IOException {
    for (int i = 0; i < 4; i++) {
      write("cat/" + i + ".png", 10);
    }
    write("dog/1.png", 20);
    write("dog/young/2.png", 30);
    ImageFolder found = ImageFolder.find(folder);
    assertThat(found.report()).containsExactly("6 pictures", "2 classes: 0 = cat (4), 1 = dog (2)");
    assertThat(found.classNames()).containsExactly("cat", "dog");
    Dataset pictures = found.load(2, 1);
    assertThat(pictures.classNames()).containsExactly("cat", "dog");
    assertThat(pictures.mirrored().classNames()).containsExactly("cat", "dog");
    assertThat(pictures.mirrored().mirrored().size()).isEqualTo(12);
    for (int i = 0; i < 20; i++) {
      write("class%02d/1.png".formatted(i), 10);
    }
    assertThat(ImageFolder.find(folder).report().get(1))
        .startsWith("22 classes: 0 = cat (4), 1 = class00 (1), ")
        .endsWith("9 = class08 (1), and 12 more");
  }

  @Test
  void warnsOfThePartsOfADataSet() throws IOException {
    write("train/1.png", 10);
    assertThat(ImageFolder.find(folder).warnings())
        .containsExactly(
            "train in "
                + folder
                + " would be learned as a class, but looks like part of a data set: to learn from one of them, give its"
                + " own folder");
    write("Test/1.png", 10);
    assertThat(ImageFolder.find(folder).warnings())
        .containsExactly(
            "Test and train in "
                + folder
                + " would be learned as classes, but look like parts of a data set: to learn from one of them, give its"
                + " own folder");
    assertThat(ImageFolder.load(folder, 2, 1).classes()).isEqualTo(2);
    Files.move(folder.resolve("Test"), folder.resolve("plane"));
    assertThat(ImageFolder.find(folder).warnings()).isEmpty();
  }

  @Test
  void skipsFoldersThatItMayNotReadOrShouldNot() throws IOException {
    write("a/1.png", 10);
    write(".Trash-0/2.png", 20);
    write("lost+found/3.png", 30);
    Files.createSymbolicLink(folder.resolve("a/again"), folder);
    Path closed = new Permissions(Set.of(folder.resolve("lost+found"))).path(folder);
    ImageFolder found = ImageFolder.find(closed);
    assertThat(found.report())
        .containsExactly(
            "1 picture",
            "3 folders skipped: .Trash-0 (hidden), a/again (a link to a folder that it is in), lost+found (no"
                + " permission)",
            "1 class: 0 = a (1)");
    assertThat(found.load(2, 1).size()).isEqualTo(1);
    assertThatIOException()
        .isThrownBy(() -> ImageFolder.find(new Permissions(Set.of(folder)).path(folder)))
        .withMessage(folder + " cannot be read: no permission");
  }

  @Test
  void saysOfAllBrokenPicturesWhatIsWrong() throws IOException {
    write("a.png", 10);
    write("b.png", 10);
    write("c.png", 10);
    Path closed = new Permissions(Set.of(folder.resolve("b.png"))).path(folder);
    assertThatIOException()
        .isThrownBy(() -> ImageFolder.load(closed, 2, 1))
        .withMessage(folder + "/b.png cannot be read as a picture: no permission to read it");
    Files.writeString(folder.resolve("c.png"), "no picture");
    assertThatIOException()
        .isThrownBy(() -> ImageFolder.load(closed, 2, 1))
        .withMessage(
            "2 of 3 pictures cannot be used: %s/b.png cannot be read as a picture: no permission to read it; %<s/c.png cannot be read as a picture: it is neither PNG nor JPEG"
                .formatted(folder));
    for (int i = 0; i < 20; i++) {
      Files.writeString(folder.resolve("d%02d.png".formatted(i)), "no picture");
    }
    assertThatIOException()
        .isThrownBy(() -> ImageFolder.load(closed, 2, 1))
        .withMessageStartingWith("22 of 23 pictures cannot be used: " + folder + "/b.png cannot")
        .withMessageMatching("([^;]*;){10} and 12 more")
        .withMessageContaining("d07.png");
  }

  /** In a process whose locale has no characters for them, so that some names look alike. */
  @Test
  void readsNamesThatTheLocaleCannotSpell() throws Exception {
    Path output = Files.createTempFile(folder.getParent(), "names", ".txt");
    for (String name : List.of("a", "b", "c")) {
      write(name + "/1.png", 7);
      write(name + "/2.png", 7);
    }
    // By their bytes, as this process's locale may have no characters for them either.
    String rename =
        """
        for each in a b c; do
          mv $each/1.png $each/$(printf '1\\303\\274.png')
          mv $each/2.png $each/$(printf '1\\303\\244.png')
        done
        mv a $(printf 'F\\303\\274\\303\\237e')
        mv b $(printf 'F\\303\\244\\303\\237e')
        mv c $(printf 'F\\374\\337e')
        """;
    assertThat(
            new ProcessBuilder("sh", "-e", "-c", rename)
                .directory(folder.toFile())
                .start()
                .waitFor())
        .isZero();
    ProcessBuilder builder =
        new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-cp",
                System.getProperty("java.class.path"),
                Names.class.getName(),
                folder.toString())
            .redirectOutput(output.toFile());
    builder.environment().put("LC_ALL", "C");
    assertThat(builder.start().waitFor()).isZero();
    assertThat(Files.readAllLines(output))
        .containsExactly("ANSI_X3.4-1968", "6 F%FC%DFe Fu00e4u00dfe Fu00fcu00dfe", "6");
    Files.delete(output);
  }

  /** Prints what it finds, in ASCII. */
  static final class Names {
    private Names() {}

    public static void main(String[] args) throws IOException {
      Dataset pictures = ImageFolder.load(Path.of(args[0]), 2, 1);
      System.out.println(System.getProperty("sun.jnu.encoding"));
      System.out.println(
          pictures.size()
              + pictures.classNames().stream()
                  .map(name -> " " + ascii(name))
                  .collect(Collectors.joining()));
      System.out.println(
          IntStream.range(0, pictures.size())
              .filter(i -> MnistTest.bytes(pictures, i)[0] == 7)
              .count());
    }

    private static String ascii(String text) {
      return text.chars()
          .mapToObj(c -> c < 128 ? Character.toString(c) : "u%04x".formatted(c))
          .collect(Collectors.joining());
    }
  }

  /** A file system in which some files and folders may not be read. */
  private static final class Permissions extends FilterFileSystemProvider {
    private final Set<Path> closed;

    Permissions(Set<Path> closed) {
      super("closed://", FileSystems.getDefault());
      this.closed = closed;
    }

    Path path(Path path) {
      return wrapPath(path);
    }

    private void check(Path path) throws IOException {
      if (closed.contains(toDelegate(path))) {
        throw new AccessDeniedException(path.toString());
      }
    }

    @Override
    public DirectoryStream<Path> newDirectoryStream(
        Path path, DirectoryStream.Filter<? super Path> filter) throws IOException {
      check(path);
      return super.newDirectoryStream(path, filter);
    }

    @Override
    public SeekableByteChannel newByteChannel(
        Path path, Set<? extends OpenOption> options, FileAttribute<?>... attributes)
        throws IOException {
      check(path);
      return super.newByteChannel(path, options, attributes);
    }
  }

  private void write(String name, int level) throws IOException {
    Path file = folder.resolve(name);
    Files.createDirectories(file.getParent());
    assertThat(ImageIO.write(gray(level), "png", file.toFile())).isTrue();
  }

  private static BufferedImage gray(int level) {
    BufferedImage image = new BufferedImage(2, 2, BufferedImage.TYPE_BYTE_GRAY);
    image.getRaster().setPixels(0, 0, 2, 2, new int[] {level, level, level, level});
    return image;
  }
}
