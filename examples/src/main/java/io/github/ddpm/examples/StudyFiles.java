package io.github.ddpm.examples;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;
import java.nio.file.Path;

/** What a study has measured is kept in files of JSON, from which it goes on. */
final class StudyFiles {
  private static final ObjectMapper JSON =
      JsonMapper.builder()
          .enable(DeserializationFeature.FAIL_ON_MISSING_CREATOR_PROPERTIES)
          .enable(DeserializationFeature.FAIL_ON_NULL_FOR_PRIMITIVES)
          .build();

  private StudyFiles() {}

  /**
   * Reads a record.
   *
   * @param whatToDo if the file is damaged
   */
  static <T> T read(Path file, Class<T> type, String whatToDo) throws IOException {
    try {
      return JSON.readValue(file.toFile(), type);
    } catch (JsonProcessingException e) {
      throw new IOException(file + ": " + whatToDo + ": " + e.getOriginalMessage(), e);
    }
  }

  /** Writes a record whole or not at all, so that an interruption leaves none that is damaged. */
  static void write(Path file, Object content) throws IOException {
    Commands.replace(file, JSON.writerWithDefaultPrettyPrinter().writeValueAsBytes(content));
  }
}
