package io.github.ddpm;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.util.List;
import java.util.stream.StreamSupport;

/** Numbers that diffusers made; the files' header says which version of it. */
final class GoldenJson {
  private GoldenJson() {}

  /** The records of one list in a file under {@code golden/}. */
  static List<JsonNode> records(String file, String list) {
    try (InputStream in = GoldenJson.class.getResourceAsStream("/golden/" + file)) {
      return elements(new ObjectMapper().readTree(in).get(list));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  static List<JsonNode> elements(JsonNode array) {
    return StreamSupport.stream(array.spliterator(), false).toList();
  }

  static double[] doubles(JsonNode array) {
    return elements(array).stream()
        .mapToDouble(node -> node.isTextual() ? Double.NaN : node.asDouble())
        .toArray();
  }

  static int[] ints(JsonNode array) {
    return elements(array).stream().mapToInt(JsonNode::asInt).toArray();
  }

  /** The schedule of a record, with diffusers' default range unless the record has one. */
  static BetaSchedule schedule(JsonNode record) {
    int timesteps = record.path("num_train_timesteps").asInt(1000);
    BetaSchedule schedule =
        switch (record.get("beta_schedule").asText()) {
          case "linear" ->
              BetaSchedule.linear(
                  timesteps,
                  record.path("beta_start").asDouble(1e-4),
                  record.path("beta_end").asDouble(0.02));
          case "scaled_linear" ->
              BetaSchedule.scaledLinear(
                  timesteps,
                  record.path("beta_start").asDouble(0.00085),
                  record.path("beta_end").asDouble(0.012));
          case "sigmoid" ->
              BetaSchedule.sigmoid(
                  timesteps,
                  record.get("beta_start").asDouble(),
                  record.get("beta_end").asDouble());
          case "laplace" -> BetaSchedule.laplace(timesteps);
          case "squaredcos_cap_v2" -> BetaSchedule.cosine(timesteps);
          default -> throw new AssertionError(record);
        };
    return record.path("rescale_betas_zero_snr").asBoolean()
        ? schedule.zeroTerminalSnr()
        : schedule;
  }
}
