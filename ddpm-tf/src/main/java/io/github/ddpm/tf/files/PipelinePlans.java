package io.github.ddpm.tf.files;

import static com.google.common.base.Preconditions.checkArgument;
import static io.github.ddpm.tf.files.SchedulerSetting.any;
import static io.github.ddpm.tf.files.SchedulerSetting.oneOf;

import com.google.common.collect.ImmutableList;
import io.github.ddpm.BetaSchedule;
import io.github.ddpm.ModelInfo;
import io.github.ddpm.Spacing;
import java.util.Arrays;
import java.util.List;
import java.util.function.IntToDoubleFunction;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/**
 * How families of schedulers of diffusers space timesteps, and which ones they tell the network.
 */
enum PipelinePlans {
  /** Schedulers that go to timestep 0, or one stride above it, and from there to the image. */
  OF_DDIM("leading"),

  /** Schedulers that have timestep 0 as one entry more, which they don't call the network at. */
  OF_MULTISTEP("linspace"),

  /** Schedulers that work in σ, between whole timesteps too. */
  OF_SIGMAS("linspace");

  static final String KARRAS = "use_karras_sigmas";
  static final String EXPONENTIAL = "use_exponential_sigmas";
  static final String LU = "use_lu_lambdas";
  static final String CLIPPED = "lambda_min_clipped";
  static final String TRAILING = "trailing";

  private static final String SPACING = "timestep_spacing";
  private static final String LEADING = "leading";
  private static final String LINSPACE = "linspace";

  private final String spacing;

  PipelinePlans(String spacing) {
    this.spacing = spacing;
  }

  /** Returns the settings that they all read; of a spacing the default comes first. */
  List<SchedulerSetting> settings() {
    Object[] spacings =
        Stream.of(LEADING, TRAILING, LINSPACE)
            .sorted((a, b) -> Boolean.compare(b.equals(spacing), a.equals(spacing)))
            .toArray();
    return ImmutableList.of(oneOf(SPACING, spacings), any("steps_offset", 0));
  }

  /** Returns the same for a scheduler that has the default spacing whatever is written there. */
  List<SchedulerSetting> settingsOfOneSpacing() {
    String[] others =
        Stream.of(LEADING, TRAILING, LINSPACE)
            .filter(other -> !other.equals(spacing))
            .toArray(String[]::new);
    return ImmutableList.of(oneOf(SPACING, spacing).alike(others), any("steps_offset", 0));
  }

  /**
   * Checks that settings go together.
   *
   * @throws IllegalArgumentException if they don't
   */
  void check(SchedulerSettings settings) {
    checkArgument(
        settings.number("steps_offset") >= 0,
        "steps_offset must be at least 0, got %s",
        settings.number("steps_offset"));
    String timesteps = settings.text(SPACING);
    for (String sigmas : List.of(KARRAS, EXPONENTIAL)) {
      checkArgument(
          this != OF_SIGMAS || !settings.flag(sigmas) || timesteps.equals(LINSPACE),
          "%s needs timestep_spacing linspace here, got %s",
          sigmas,
          timesteps);
    }
    checkArgument(
        settings.bound(CLIPPED) == Double.NEGATIVE_INFINITY || !timesteps.equals(TRAILING),
        "lambda_min_clipped needs timestep_spacing leading or linspace, got trailing");
  }

  /** Returns whether the plan is one of noise levels, which nobody else can make. */
  private static boolean hasSigmas(SchedulerSettings settings) {
    return Stream.of(KARRAS, EXPONENTIAL, LU).anyMatch(settings::flag);
  }

  /** Returns the most timesteps of a plan. */
  int most(SchedulerSettings settings, int trainTimesteps) {
    boolean leads = settings.text(SPACING).equals(LEADING) && !hasSigmas(settings);
    int more = this == OF_MULTISTEP ? 1 : 0;
    int most = leads ? trainTimesteps - settings.number("steps_offset") - more : trainTimesteps;
    return Math.max(1, most);
  }

  /** Returns the plan of so many timesteps. */
  Spacing spacing(SchedulerSettings settings, int n, ModelInfo model) {
    if (hasSigmas(settings)) {
      return ofSigmas(settings, n);
    }
    return switch (settings.text(SPACING)) {
      case TRAILING -> model.spacing(n);
      case LINSPACE -> linspace(settings, n);
      default -> leading(settings, n);
    };
  }

  private static Spacing ofSigmas(SchedulerSettings settings, int n) {
    return settings.flag(KARRAS) ? Spacing.karras(n) : Spacing.exponential(n);
  }

  private Spacing linspace(SchedulerSettings settings, int n) {
    return switch (this) {
      case OF_DDIM -> Spacing.linspace(n);
      case OF_MULTISTEP ->
          schedule -> {
            double last = last(settings, schedule);
            return plan(n, i -> Math.rint(last * i / n), schedule);
          };
      case OF_SIGMAS -> {
        Spacing.linspace(n);
        yield schedule -> {
          double last = schedule.timesteps() - 1.0;
          return plan(
              n,
              i -> schedule.timestepOf(linearSigma(schedule, last * (i - 1) / (n - 1))),
              schedule);
        };
      }
    };
  }

  private Spacing leading(SchedulerSettings settings, int n) {
    int offset = settings.number("steps_offset");
    if (this != OF_MULTISTEP) {
      Spacing leading = Spacing.leading(n);
      return schedule -> Arrays.stream(leading.timesteps(schedule)).map(t -> t + offset).toArray();
    }
    return schedule -> {
      int stride = (int) (last(settings, schedule) + 1) / (n + 1);
      return plan(n, i -> (double) stride * i + offset, schedule);
    };
  }

  /** Makes a plan of the n-th entry, the one before, and so on to the first. */
  private static double[] plan(int n, IntToDoubleFunction entry, BetaSchedule schedule) {
    // Refuses more timesteps than there are.
    Spacing.trailing(n).timesteps(schedule);
    double[] plan = IntStream.range(0, n).mapToDouble(i -> entry.applyAsDouble(n - i)).toArray();
    return Spacing.explicit(plan).timesteps(schedule);
  }

  /** Returns the last timestep whose λ = log(signal/noise) is not below a bound. */
  private static double last(SchedulerSettings settings, BetaSchedule schedule) {
    int last = schedule.timesteps() - 1;
    while (last > 0 && -Math.log(schedule.sigma(last)) < settings.bound(CLIPPED)) {
      last--;
    }
    return last;
  }

  /** Returns σ at a timestep, interpolated as these schedulers do: σ itself, not its logarithm. */
  private static double linearSigma(BetaSchedule schedule, double timestep) {
    int below = (int) timestep;
    double part = timestep - below;
    return part == 0
        ? schedule.sigma(below)
        : (1 - part) * schedule.sigma(below) + part * schedule.sigma(below + 1);
  }

  /**
   * Checks that a plan is that of the settings, where these make noise levels.
   *
   * @throws IllegalArgumentException if it is another
   */
  void checkOwn(SchedulerSettings settings, BetaSchedule schedule, double... timesteps) {
    if (hasSigmas(settings)) {
      // A strength visits only the end of a plan.
      boolean own =
          IntStream.rangeClosed(timesteps.length, schedule.timesteps())
              .mapToObj(n -> ofSigmas(settings, n).timesteps(schedule))
              .map(plan -> Arrays.copyOfRange(plan, plan.length - timesteps.length, plan.length))
              .anyMatch(end -> Arrays.equals(end, timesteps));
      checkArgument(
          own,
          "%s makes the timesteps itself, which can't be others: give the sampler a number of steps, or another solver",
          Stream.of(KARRAS, EXPONENTIAL, LU).filter(settings::flag).findFirst().orElseThrow());
    }
  }

  /** Returns the timestep that the network is told of one in a plan. */
  double told(SchedulerSettings settings, BetaSchedule schedule, double timestep) {
    if (this == OF_MULTISTEP && hasSigmas(settings)) {
      // DPMSolverMultistepScheduler leaves a cosine's as they are.
      boolean left = settings.knows(LU) && schedule.name().equals("squaredcos_cap_v2");
      boolean rounded = !settings.flag(EXPONENTIAL) && !left;
      // What is not rounded loses its fraction.
      return rounded ? Math.rint(timestep) : Math.floor(timestep);
    }
    if (this == OF_SIGMAS && !hasSigmas(settings)) {
      int below = (int) timestep;
      double low = schedule.sigma(below);
      return timestep == below
          ? timestep
          : below + (schedule.sigma(timestep) - low) / (schedule.sigma(below + 1) - low);
    }
    return timestep;
  }
}
