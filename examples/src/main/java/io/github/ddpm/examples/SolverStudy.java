package io.github.ddpm.examples;

import static io.github.ddpm.examples.Commands.format;
import static java.util.stream.Collectors.joining;

import io.github.ddpm.Images;
import io.github.ddpm.NoiseScheduler;
import io.github.ddpm.Precision;
import io.github.ddpm.Predictor;
import io.github.ddpm.Sampler;
import io.github.ddpm.Spacing;
import io.github.ddpm.examples.measures.DigitClassifier;
import io.github.ddpm.examples.measures.FrechetDistance;
import io.github.ddpm.examples.measures.Quality;
import io.github.ddpm.tf.TrainingOptions;
import io.github.ddpm.tf.data.Dataset;
import java.awt.Color;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import java.util.function.IntFunction;
import javax.imageio.ImageIO;
import org.knowm.xchart.BitmapEncoder;
import org.knowm.xchart.XYChart;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** Measures what each solver makes of few steps. */
@Command(
    name = "SolverStudy",
    mixinStandardHelpOptions = true,
    showDefaultValues = true,
    description = {
      "Draws digits with the model in the library by every solver in 5 to 50 steps, measures them against as many of"
          + " MNIST's training images and writes OUT/solvers.md, a page in Markdown, OUT/solvers.png, a chart, and"
          + " OUT/solvers.json, the distances, which SamplingStudy shows too.",
      "What is done is kept in OUT/solvers: run again after an interruption, it goes on."
    },
    footerHeading = Commands.EXAMPLES,
    footer = {
      "  ${COMMAND-FULL-NAME} --count 2000",
      "  ${COMMAND-FULL-NAME} --seed 1 --out solvers"
    })
public final class SolverStudy implements Callable<Integer> {
  private static final List<Integer> STEPS = List.of(5, 8, 10, 15, 20, 50);
  private static final String CHART = "solvers.png";
  private static final String PAGE = "solvers.md";

  /** Distances of more than so many times the least are not drawn. */
  private static final int FAR = 20;

  private static final List<Line> LINES = lines();

  /** One color for each curve. */
  private static final Color[] COLORS = {
    new Color(0x2c5aa0),
    new Color(0xd98c2b),
    new Color(0x9c8f86),
    new Color(0x5fae57),
    new Color(0x1f5c2a),
    new Color(0xb08d00),
    new Color(0xb53a2e),
    new Color(0xe377c2),
    new Color(0x7b4ab5),
    new Color(0x17a5b5),
    new Color(0x6b4423),
    new Color(0x8aa8d8),
    new Color(0x2b2b2b)
  };

  @Mixin private final MnistOption data = new MnistOption();

  @Option(names = "--out", defaultValue = "target/solvers", description = "folder of the page")
  private Path out;

  @Option(names = "--count", defaultValue = "10000", description = "number of digits of each cell")
  private int count;

  @Option(names = "--seed", defaultValue = "0", description = "of the noise")
  private long seed;

  private final List<Integer> steps;

  SolverStudy() {
    this(STEPS);
  }

  /** Each solver is run with each of these numbers of steps. */
  SolverStudy(List<Integer> steps) {
    this.steps = steps;
  }

  /**
   * One line of the table.
   *
   * @param option what its files are called
   * @param spacing none for the model's
   */
  private record Line(
      String option, String title, NoiseScheduler solver, Optional<IntFunction<Spacing>> spacing) {
    Sampler sampler(int n) {
      Sampler sampler = Sampler.of(solver);
      return spacing.map(of -> sampler.spacing(of.apply(n))).orElseGet(() -> sampler.steps(n));
    }
  }

  /** Euler's method is DDIM. */
  private static List<Line> lines() {
    List<Line> lines = new ArrayList<>();
    for (Samplers.Named named : Samplers.ALL) {
      if (!named.option().equals("euler")) {
        lines.add(new Line(named.option(), named.title(), named.solver(), Optional.empty()));
      }
    }
    lines.add(
        new Line(
            "heun-karras",
            "Heun's method, karras",
            NoiseScheduler.heun(),
            Optional.of(Spacing::karras)));
    return List.copyOf(lines);
  }

  /** Runs the command; {@code --help} lists the options. */
  public static void main(String... args) {
    Commands.main(new SolverStudy(), args);
  }

  @Override
  public Integer call() throws Exception {
    Dataset train = data.train();
    Dataset test = data.test();
    Yardstick.check(count, train, test);
    Path kept = out.resolve("solvers");
    Files.createDirectories(kept.resolve("cells"));
    Commands.checkWritable(out);
    Commands.checkWritable(kept.resolve("cells"));
    Predictor model = Predictor.pretrained();
    Map<String, SortedMap<Integer, Double>> distances = new LinkedHashMap<>();
    Quality floor;
    // After the model: who builds the first graph sets TensorFlow up.
    try (DigitClassifier digits = DigitClassifier.load()) {
      Yardstick yardstick = Yardstick.of(count, train, test, digits);
      floor = yardstick.floor();
      String prefix = format("%d-%s-", count, precision());
      StudySource.of(seed, yardstick.real(), model).check(kept, prefix);
      for (Line solver : LINES) {
        SortedMap<Integer, Double> row = new TreeMap<>();
        distances.put(solver.title(), row);
        for (int n : steps) {
          Path file =
              kept.resolve("cells").resolve(format("%s%s-%d.json", prefix, solver.option(), n));
          if (!Files.exists(file)) {
            System.out.println(format("%s, %d steps", solver.title(), n));
            Images drawn = ProgressDisplay.sample(solver.sampler(n).with(model).seed(seed), count);
            StudyFiles.write(
                file,
                FrechetDistance.between(
                    digits.classify(drawn).features(), yardstick.real().features()));
          }
          row.put(n, StudyFiles.read(file, Double.class, "remove it to have it made again"));
        }
      }
    }
    XYChart chart = StudyCharts.curves("Fréchet distance", drawn(distances), floor.frechet());
    chart.getStyler().setYAxisLogarithmic(true).setSeriesColors(COLORS);
    ImageIO.write(BitmapEncoder.getBufferedImage(chart), "png", out.resolve(CHART).toFile());
    new StudyCurves("Solvers", PAGE, count, precision(), floor.frechet(), distances).write(out);
    Path page = out.resolve(PAGE);
    Commands.replace(page, page(distances, floor).getBytes(StandardCharsets.UTF_8));
    System.out.println(page);
    return 0;
  }

  /** Leaves out what is so far off that nothing else could be told apart. */
  private static Map<String, SortedMap<Integer, Double>> drawn(
      Map<String, SortedMap<Integer, Double>> distances) {
    double least =
        distances.values().stream()
            .flatMap(row -> row.values().stream())
            .min(Double::compare)
            .orElseThrow();
    Map<String, SortedMap<Integer, Double>> drawn = new LinkedHashMap<>();
    distances.forEach(
        (title, row) -> {
          SortedMap<Integer, Double> near = new TreeMap<>(row);
          near.values().removeIf(distance -> distance > FAR * least);
          if (!near.isEmpty()) {
            drawn.put(title, near);
          }
        });
    return drawn;
  }

  private static String precision() {
    Precision precision = TrainingOptions.defaults().precision();
    return precision.name().toLowerCase(Locale.ROOT);
  }

  private String page(Map<String, SortedMap<Integer, Double>> distances, Quality floor) {
    StringBuilder page = new StringBuilder();
    page.append(
        format(
            """
            # What solvers make of few steps

                mvn -q compile exec:java -Dexec.mainClass=io.github.ddpm.examples.SolverStudy -Dexec.args="--out docs/study"

            The Fréchet distance of %,d digits by the model `digits` from as many of MNIST's training images; less is better. None are asked for by label, all are
            from seed %d and in %s, and the steps are spaced as the model's. As many of MNIST's test images are at %.2f. A step is one call of the network, but for Heun's
            method, which makes two in each but the last; Euler's method is DDIM. [How fast solvers converge](convergence.md) where the answer is known is another matter.

            Heun's method goes from one noise level σ to the next in a straight line and corrects the slope by where it landed. The first levels of this model are
            hundreds of times apart or more, so a small error there becomes a large one; the gaps of `Spacing.karras` are smaller. PLMS, which begins with such a
            correction, has the same trouble. The chart leaves out what is more than %d times the least distance.

            | steps |%s
            |---|%s
            """,
            count,
            seed,
            precision(),
            floor.frechet(),
            FAR,
            steps.stream().map(n -> " " + n + " |").collect(joining()),
            "---|".repeat(steps.size())));
    distances.forEach(
        (title, row) ->
            page.append(
                format(
                    "| %s |%s%n",
                    title,
                    steps.stream().map(n -> format(" %.2f |", row.get(n))).collect(joining()))));
    page.append(format("%n![Fréchet distance](%s)%n", CHART));
    return page.toString();
  }
}
