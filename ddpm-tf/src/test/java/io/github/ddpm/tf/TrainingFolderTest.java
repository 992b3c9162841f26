package io.github.ddpm.tf;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIOException;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.ddpm.BetaSchedule;
import io.github.ddpm.PredictionType;
import io.github.ddpm.tf.files.Json;
import io.github.ddpm.tf.files.Snapshot;
import io.github.ddpm.tf.graph.UNetConfig;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What a damaged {@code state.json} may say. */
class TrainingFolderTest {
  @TempDir static Path folder;
  private static Path file;
  private static String saved;

  @BeforeAll
  static void save() throws IOException {
    try (Trainer trainer =
        Trainer.create(
            UNetConfig.small(4, 4, 1).withBlockOutChannels(8),
            BetaSchedule.cosine(),
            PredictionType.V_PREDICTION,
            TrainingOptions.defaults())) {
      trainer.save(folder);
    }
    Fixtures.unseal(folder);
    file = folder.resolve("training/state.json");
    saved = Files.readString(file);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '`',
      value = {
        "step | 2.7 | step must be a whole number, got 2.7",
        "step | 4611686018427387904 | step must be at most 4294967295 and total_steps at most",
        "step | 99999999999999999999 | step must be a whole number, got 9999",
        "step | \"3\" | step must be a whole number, got \"3\"",
        "step | true | step must be a whole number, got true",
        "step | -1 | step must be at least 0 and at most total_steps, got -1",
        "total_steps | 4611686018427387904 | and total_steps at most 9007199254740992, got 0 and 4611",
        "total_steps | 1e3 | total_steps must be a whole number, got 1000.0",
        "started_from | 5 | started_from must be a folder, got 5",
        "started_from | [\"x\"] | started_from must be a folder, got [\"x\"]",
        "started_from | \"a\\u0000b\" | started_from must be a folder, got \"a",
        "started_from | \"a\\nb\" | started_from must be a folder, got \"a",
        "options/learningRate | 1e999 | learningRate must be a number that is finite",
        "options/learningRate | \"NaN\" | learningRate must be a number that is finite",
        "options/batchSize | 8.5 | batchSize must be a whole number, got 8.5",
        "options/batchSize | 4294967297 | batchSize must be below 2^31, got 4294967297",
        "options/localSteps | 1.5 | localSteps must be a whole number, got 1.5",
        "options/localSteps | -1 | local steps must be at least 0, got -1",
        "options/localSteps | 2 | one for each part of a batch: microBatch must be in [1, 127], got 0",
        "options/method | \"SGD\" | method must be one of [ADAMW, MUON], got \"SGD\"",
        "options/method | null | method must be one of [ADAMW, MUON], got null",
        "options/precision | 1 | precision must be one of [FLOAT32, BFLOAT16, FLOAT16], got 1",
        "options/\u001b[2J | 1 | \uFFFD[2J is not an option of this version",
      })
  void numbersAreWhatTheySay(String key, String value, String problem) throws IOException {
    ObjectNode json = (ObjectNode) Json.MAPPER.readTree(saved);
    String name = key.substring(key.indexOf('/') + 1);
    ObjectNode object = key.equals(name) ? json : (ObjectNode) json.get("options");
    object.put(name, "VALUE");
    // As text, because a number that is too large would be written as something else.
    Files.writeString(file, json.toString().replace("\"VALUE\"", value));
    assertThatIOException()
        .isThrownBy(() -> Trainer.resume(folder))
        .withMessageContaining(problem)
        .satisfies(e -> assertThat(e.getMessage()).doesNotContainPattern("\\p{Cntrl}"));
    Files.writeString(file, saved);
  }

  @Test
  void whatIsWrittenIsRead() throws IOException {
    try (Snapshot files = Snapshot.ofTraining(folder)) {
      assertThat(TrainingFolder.read(files).options()).isEqualTo(TrainingOptions.defaults());
    }
  }
}
