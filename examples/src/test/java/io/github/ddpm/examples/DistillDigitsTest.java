package io.github.ddpm.examples;

import static io.github.ddpm.examples.CommandsTest.assertError;
import static io.github.ddpm.examples.CommandsTest.run;
import static org.assertj.core.api.Assertions.assertThat;

import io.github.ddpm.BetaSchedule;
import io.github.ddpm.PredictionType;
import io.github.ddpm.Predictor;
import io.github.ddpm.examples.CommandsTest.Outcome;
import io.github.ddpm.tf.ProgressiveDistillation;
import io.github.ddpm.tf.Trainer;
import io.github.ddpm.tf.TrainingOptions;
import io.github.ddpm.tf.data.Dataset;
import io.github.ddpm.tf.data.Mnist;
import io.github.ddpm.tf.graph.UNetConfig;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Rounds of distillation, of a network that has learned nothing and on a set of stripes. */
class DistillDigitsTest {
  @TempDir static Path shared;

  @TempDir Path folder;

  @BeforeAll
  static void makeAModelAndASet() throws IOException {
    CommandsTest.writeDigits(shared, "train", 20, 28);
    for (int classes : new int[] {0, 10}) {
      UNetConfig network = UNetConfig.small(28, 28, 1).withBlockOutChannels(8, 8);
      try (Trainer trainer =
          Trainer.create(
              classes == 0 ? network : network.withClasses(classes),
              BetaSchedule.cosine(20),
              PredictionType.V_PREDICTION,
              TrainingOptions.defaults())) {
        trainer.save(shared.resolve("classes-" + classes));
      }
    }
  }

  @Test
  void roundsGoOnWhereTheyWereInterrupted() throws IOException {
    Path whole = folder.resolve("whole");
    Outcome outcome = distill(whole, "--steps=4,2", "--count=6");
    assertThat(outcome.code()).as(outcome.err()).isZero();
    List<String> table = Files.readAllLines(whole.resolve("measures.md"));
    assertThat(table.get(0))
        .startsWith(
            "6 digits, with labels as frequent as in the training data, by DDIM with η = 0, seed 0, ");
    assertThat(table.subList(4, 7))
        .extracting(line -> line.substring(0, 5))
        .containsExactly("| 8 |", "| 4 |", "| 2 |");
    assertThat(table.subList(4, 7)).allMatch(line -> line.split("\\|", -1).length == 9);
    for (int steps : new int[] {4, 2}) {
      try (Predictor model = Predictor.load(whole.resolve("steps-" + steps))) {
        assertThat(model.info().steps()).isEqualTo(steps);
      }
    }

    // Killed in the second round after 1 of its 2 steps, with the first one done.
    Path killed = folder.resolve("killed");
    assertThat(distill(killed, "--steps=4", "--count=6").code()).isZero();
    Path first = killed.resolve("steps-4");
    Dataset digits = Mnist.train(shared);
    try (Trainer trainer =
        Trainer.distill(
            first,
            new ProgressiveDistillation(first, 2),
            TrainingOptions.defaults()
                .withBatchSize(4)
                .withLearningRate(1e-3, 100)
                .withLabelDropout(0.5)
                .withSeed(8))) {
      trainer.setTotalSteps(2);
      trainer.train(digits, progress -> false);
      trainer.save(killed.resolve("steps-2"));
    }
    Outcome resumed = distill(killed, "--steps=4,2", "--count=6");
    assertThat(resumed.out())
        .as(resumed.err())
        .contains("steps-2: 2 steps where ", "step 2/2")
        .doesNotContain("steps-4: ");
    assertThat(Files.readAllLines(killed.resolve("measures.md"))).isEqualTo(table);
    String weights = "steps-2/unet/diffusion_pytorch_model.safetensors";
    assertThat(killed.resolve(weights)).hasSameBinaryContentAs(whole.resolve(weights));

    // It exports as any training does, with the command that it was.
    Path card = folder.resolve("card");
    Outcome exported =
        run(
            new TrainMnist(),
            "--resume",
            "--data=" + shared,
            "--out=" + killed.resolve("steps-2"),
            "--export=" + card);
    assertThat(exported.code()).as(exported.err()).isZero();
    assertThat(card.resolve("README.md"))
        .content()
        .contains(
            "DistillDigits -Dexec.args=\"--from "
                + first
                + " --teacher-steps 4 --steps 2 --guidance 1.0 --weighting TRUNCATED_SNR --batch 4"
                + " --epochs-per-round 0.4 --learning-rate 0.001 --label-dropout 0.5 --precision ",
            " --seed 8\"",
            ", against where the teacher lands |");

    // Nothing is left to do.
    assertThat(distill(killed, "--steps=4,2", "--count=6").out()).isEmpty();
    assertError(
        distill(killed, "--steps=4,2", "--count=7"),
        "measures.md was begun otherwise: it must start with '7 digits");
    Files.delete(killed.resolve("measures.md"));
    assertError(
        distill(killed, "--steps=4,2", "--count=0", "--weighting=snr_plus_one"),
        "steps-4 was begun as ProgressiveDistillation[");
  }

  @Test
  void guidanceIsTaughtInTheFirstRoundAlone() throws IOException {
    Path out = folder.resolve("out");
    Outcome outcome = distill(out, "--steps=4,2", "--count=0", "--guidance=2");
    assertThat(outcome.code()).as(outcome.err()).isZero();
    for (int steps : new int[] {4, 2}) {
      try (Trainer trainer = Trainer.resume(out.resolve("steps-" + steps))) {
        ProgressiveDistillation learned =
            (ProgressiveDistillation) trainer.distillation().orElseThrow();
        assertThat(learned.guidance()).isEqualTo(steps == 4 ? 2 : 1);
        assertThat(learned.teacherSteps()).isEqualTo(2 * steps);
      }
    }
    // A student teaches by its own steps.
    Path next = folder.resolve("next");
    assertThat(
            run(
                    new DistillDigits(),
                    "--from=" + out.resolve("steps-4"),
                    "--data=" + shared,
                    "--out=" + next,
                    "--steps=1",
                    "--epochs-per-round=0.2",
                    "--batch=4",
                    "--count=0")
                .code())
        .isZero();
    try (Trainer trainer = Trainer.resume(next.resolve("steps-1"))) {
      assertThat(((ProgressiveDistillation) trainer.distillation().orElseThrow()).teacherSteps())
          .isEqualTo(4);
    }
  }

  @Test
  void badInputIsRefusedBeforeTheFirstRound() {
    Path out = folder.resolve("out");
    assertError(
        distill(out, "--steps=4,3"),
        "a student of 3 steps needs a teacher of twice as many or another multiple, got 4");
    assertError(
        distill(out, "--steps=4", "--teacher-steps=6"),
        "a student of 4 steps needs a teacher of twice as many or another multiple, got 6");
    assertError(distill(out, "--steps=16"), "steps must be in [1, 20], the model's training");
    assertError(
        distill(out, "--steps=4,2", "--learning-rate=1e-3,1e-4,1e-5"),
        "--learning-rate needs one number, or one for each of 2 rounds, got 3");
    assertError(
        distill(out, "--steps=4", "--learning-rate=0"), "--learning-rate must be above 0, got [0");
    assertError(distill(out, "--steps=4", "--count=3"), "--count must be 0 or in [4, 20], got 3");
    assertError(
        run(
            new DistillDigits(),
            "--from=" + shared.resolve("classes-0"),
            "--data=" + shared,
            "--out=" + out,
            "--steps=4",
            "--guidance=2"),
        "--guidance needs a model that was trained with label dropout, got 2.0");
    assertThat(out.resolve("steps-4")).doesNotExist();
  }

  private static Outcome distill(Path out, String... options) {
    String[] args = new String[options.length + 6];
    args[0] = "--from=" + shared.resolve("classes-10");
    args[1] = "--data=" + shared;
    args[2] = "--out=" + out;
    args[3] = "--epochs-per-round=0.4";
    args[4] = "--batch=4";
    args[5] = "--seed=7";
    System.arraycopy(options, 0, args, 6, options.length);
    return run(new DistillDigits(), args);
  }
}
