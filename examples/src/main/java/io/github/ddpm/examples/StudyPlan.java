package io.github.ddpm.examples;

import io.github.ddpm.examples.StudyCell.Setting;
import io.github.ddpm.examples.StudyCell.Spaced;
import java.util.Collection;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;

/**
 * The study samples every number of steps with every η, and with few steps every spacing, with and
 * without clipping.
 *
 * @param steps numbers of steps
 * @param real training images that all are compared with
 * @param images of each setting up to 50 steps, at least {@link #SHOWN}
 * @param fewImages of each setting with more, at least {@link #SHOWN} and at most images
 */
record StudyPlan(List<Integer> steps, int real, int images, int fewImages) {
  static final StudyPlan FULL =
      new StudyPlan(List.of(1, 2, 5, 10, 20, 50, 100, 250, 1000), 1000, 1000, 100);
  static final StudyPlan QUICK = new StudyPlan(List.of(1, 2, 5, 10, 20, 50, 100), 1000, 24, 8);

  static final List<Double> ETAS = List.of(0.0, 0.2, 0.5, 0.8, 1.0);

  /** Spacing and clipping are varied for these numbers of steps. */
  static final List<Integer> FEW_STEPS = List.of(5, 10);

  /** A picture of the report has so many digits. */
  static final int SHOWN = 8;

  private static final int FEW_ABOVE = 50;

  /** Returns how many images there are of a setting with that many steps. */
  int images(int stepCount) {
    return stepCount > FEW_ABOVE ? fewImages : images;
  }

  /** Returns the η to sample with. One step is the last one, which adds no noise whatever η is. */
  static List<Double> etas(int stepCount) {
    return stepCount == 1 ? List.of(0.0) : ETAS;
  }

  /** Returns all settings for models that predict that, in the order in which they are sampled. */
  Set<Setting> settings(Collection<String> predictions) {
    Set<Setting> settings = new LinkedHashSet<>();
    for (int stepCount : steps) {
      for (String prediction : predictions) {
        for (double eta : etas(stepCount)) {
          settings.add(Setting.of(prediction, stepCount, eta));
        }
      }
    }
    for (int stepCount : FEW_STEPS) {
      for (String prediction : predictions) {
        for (Spaced spaced : Spaced.values()) {
          settings.add(new Setting(prediction, stepCount, 0, spaced, true));
          settings.add(new Setting(prediction, stepCount, 0, spaced, false));
        }
      }
    }
    return settings;
  }
}
