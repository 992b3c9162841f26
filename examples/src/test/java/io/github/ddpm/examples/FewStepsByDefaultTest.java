package io.github.ddpm.examples;

import static io.github.ddpm.examples.CommandsTest.run;
import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.ddpm.BetaSchedule;
import io.github.ddpm.PredictionType;
import io.github.ddpm.examples.CommandsTest.Outcome;
import io.github.ddpm.tf.Trainer;
import io.github.ddpm.tf.TrainingOptions;
import io.github.ddpm.tf.graph.UNetConfig;
import java.io.IOException;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What is trained here is drawn in few steps; who draws in many is told of them. */
class FewStepsByDefaultTest {
  @TempDir Path folder;

  @Test
  void whatIsTrainedIsDrawnByTheFastSolver() throws IOException {
    String model = trained(BetaSchedule.cosine());
    assertThat(
            new ObjectMapper()
                .readTree(Path.of(model, "model_index.json").toFile())
                .at("/scheduler/1")
                .textValue())
        .isEqualTo("DPMSolverMultistepScheduler");
    Outcome outcome = generate("own", "--model=" + model);
    assertThat(outcome.err()).isEmpty();
    generate("fast", "--model=" + model, "--sampler=dpm-solver", "--steps=20");
    assertThat(folder.resolve("own.npy")).hasSameBinaryContentAs(folder.resolve("fast.npy"));
  }

  /** Of diffusers, only the class of DDPM knows Laplace noise, so the folder names that. */
  @Test
  void whoDrawsInManyStepsIsToldOfFewer() throws IOException {
    String model = trained(BetaSchedule.laplace(1000));
    assertThat(generate("own", "--model=" + model).err().lines())
        .containsExactly(
            "drawing in 1000 steps, as the model's folder says; --sampler dpm-solver --steps 20 is 50 times as fast");
    assertThat(generate("ddpm", "--model=" + model, "--sampler=ddpm").err()).isEmpty();
    assertThat(folder.resolve("ddpm.npy")).hasSameBinaryContentAs(folder.resolve("own.npy"));
    assertThat(generate("some", "--model=" + model, "--steps=100").err()).isEmpty();
  }

  private Outcome generate(String name, String... arguments) {
    String[] all = new String[arguments.length + 4];
    System.arraycopy(arguments, 0, all, 4, arguments.length);
    all[0] = "generate";
    all[1] = "--count=1";
    all[2] = "--seed=1";
    all[3] = "--out=" + folder.resolve(name + ".npy");
    Outcome outcome = run(Ddpm.all(), all);
    assertThat(outcome.code()).as(outcome.err()).isZero();
    return outcome;
  }

  private String trained(BetaSchedule schedule) throws IOException {
    Path model = folder.resolve("model");
    try (Trainer trainer =
        Trainer.create(
            UNetConfig.small(8, 8, 1).withBlockOutChannels(8, 8),
            schedule,
            PredictionType.V_PREDICTION,
            TrainingOptions.defaults())) {
      trainer.save(model);
    }
    return model.toString();
  }
}
