package io.github.ddpm.examples;

import com.google.common.primitives.Ints;
import io.github.ddpm.ModelInfo;
import io.github.ddpm.spi.Excerpt;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/** What {@code --labels} asks for: classes by name, or by number. */
final class Labels {
  private Labels() {}

  /**
   * Returns the numbers of classes. A name counts before a number, as classes may be called 1, 10
   * and 2.
   *
   * @throws IllegalArgumentException if the model has no class of that name and it is no number;
   *     whether it has one of that number is looked at when it is sampled
   */
  static int[] of(ModelInfo model, String... asked) {
    return Stream.of(asked).mapToInt(each -> of(model, each)).toArray();
  }

  private static int of(ModelInfo model, String asked) {
    List<String> names = model.classNames();
    if (names.contains(asked)) {
      return names.indexOf(asked);
    }
    Integer number = Ints.tryParse(asked);
    if (number == null && names.isEmpty()) {
      throw new IllegalArgumentException(
          "--labels must be whole numbers, as the model's classes have no names, got " + asked);
    }
    if (number == null || (!names.isEmpty() && (number < 0 || number >= names.size()))) {
      throw new IllegalArgumentException(
          "--labels must be of %s, or numbers in [0, %s], got %s"
              .formatted(shown(names.stream()), names.size() - 1, asked));
    }
    return number;
  }

  /** Says what is drawn, if the model's classes have names. */
  static void announce(ModelInfo model, String... asked) {
    List<String> names = model.classNames();
    if (names.isEmpty()) {
      return;
    }
    if (asked.length == 0) {
      System.out.println(
          "any of the classes " + shown(names.stream()) + "; --labels draws some of them");
    } else {
      System.out.println("drawing " + shown(IntStream.of(of(model, asked)).mapToObj(names::get)));
    }
  }

  /** A model's file may hold any names. */
  private static String shown(Stream<String> names) {
    return Excerpt.of(names.collect(Collectors.joining(", ")));
  }
}
