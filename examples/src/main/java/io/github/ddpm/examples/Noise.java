package io.github.ddpm.examples;

import com.google.common.base.Splitter;
import com.google.common.primitives.Doubles;
import com.google.common.primitives.Ints;
import io.github.ddpm.BetaSchedule;
import io.github.ddpm.PredictionType;
import java.io.IOException;
import java.nio.file.NoSuchFileException;
import java.util.List;

/** Commands know schedules and prediction types by these words. */
final class Noise {
  /** Messages and help list these schedules. */
  static final String SCHEDULES =
      "linear, cosine, scaled_linear, sigmoid or laplace, with timesteps and range of beta if need be, as in"
          + " linear:1000:1e-4:0.02";

  /** Help lists these prediction types. */
  static final String PREDICTIONS = "epsilon, v_prediction (or v) or sample";

  private static final String COSINE = "cosine";
  private static final double START = 1e-4;
  private static final double END = 0.02;
  private static final int MAX_TIMESTEPS = 1_000_000;

  private Noise() {}

  /** Returns the schedule of an option. */
  static BetaSchedule schedule(String option) {
    List<String> words = Splitter.on(':').splitToList(option);
    int count = words.size();
    Integer timesteps =
        count == 1 ? (Integer) BetaSchedule.DEFAULT_TIMESTEPS : Ints.tryParse(words.get(1));
    Double start = count < 4 ? (Double) START : Doubles.tryParse(words.get(2));
    Double end = count < 4 ? (Double) END : Doubles.tryParse(words.get(3));
    boolean wellFormed = count != 3 && count < 5 && start != null && end != null;
    if (!wellFormed || timesteps == null || timesteps < 1 || timesteps > MAX_TIMESTEPS) {
      throw wrong(
          option,
          "it takes timesteps in [1, "
              + MAX_TIMESTEPS
              + "], and after them a range of two numbers");
    }
    BetaSchedule schedule;
    try {
      schedule =
          switch (words.get(0)) {
            case "linear" -> BetaSchedule.linear(timesteps, start, end);
            case COSINE, "squaredcos_cap_v2" -> BetaSchedule.cosine(timesteps);
            case "scaled_linear" -> BetaSchedule.scaledLinear(timesteps, start, end);
            case "sigmoid" -> BetaSchedule.sigmoid(timesteps, start, end);
            case "laplace" -> BetaSchedule.laplace(timesteps);
            default -> throw new IllegalArgumentException("there is none of that name");
          };
    } catch (IllegalArgumentException e) {
      throw wrong(option, e.getMessage());
    }
    if (count > 2 && schedule.betaStart().isEmpty()) {
      throw wrong(option, words.get(0) + " has no range");
    }
    return schedule;
  }

  private static IllegalArgumentException wrong(String option, String why) {
    return new IllegalArgumentException(
        "--schedule must be " + SCHEDULES + ", got " + option + ": " + why);
  }

  /** Refuses one of the options without the other, where they are of a network saved alone. */
  static void checkBoth(String schedule, String prediction) {
    if ((schedule == null) != (prediction == null)) {
      throw new IllegalArgumentException(
          "--schedule and --prediction go together, got "
              + (schedule == null ? "--prediction " + prediction : "--schedule " + schedule)
              + " alone");
    }
  }

  /** Returns what is wrong with a folder, and, if its scheduler is missing, what options help. */
  static IOException explained(NoSuchFileException e) {
    return e.getFile().endsWith("scheduler_config.json")
        ? new IOException(e.getMessage() + ", which --schedule and --prediction say here", e)
        : e;
  }

  /** Returns what {@link #schedule} understands, of a schedule that it makes. */
  static String option(BetaSchedule schedule) {
    String name = schedule.betaStart().isEmpty() ? schedule.name() : ranged(schedule);
    String known = name.replace("squaredcos_cap_v2", COSINE);
    boolean usual = schedule.timesteps() == BetaSchedule.DEFAULT_TIMESTEPS;
    return usual || known.contains(":") ? known : known + ":" + schedule.timesteps();
  }

  /** Returns what people read of a schedule: its option, or what can't be one. */
  static String inWords(BetaSchedule schedule) {
    return option(schedule) + (schedule.isZeroTerminalSnr() ? " with zero terminal SNR" : "");
  }

  private static String ranged(BetaSchedule schedule) {
    double start = schedule.betaStart().getAsDouble();
    double end = schedule.betaEnd().getAsDouble();
    return start == START && end == END
        ? schedule.name()
        : schedule.name() + ":" + schedule.timesteps() + ":" + start + ":" + end;
  }

  /** Returns the prediction type of an option. */
  static PredictionType prediction(String option) {
    return PredictionType.ofConfigName(option.equals("v") ? "v_prediction" : option);
  }
}
