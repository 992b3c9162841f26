package io.github.ddpm.tf.files;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.google.common.collect.ImmutableMap;
import java.util.List;

/**
 * The settings of a scheduler of diffusers by their names in a {@code scheduler_config.json}.
 *
 * @param values words, whole numbers, numbers and truth values
 */
record SchedulerSettings(ImmutableMap<String, Object> values) {
  /**
   * Reads settings, and leaves alone what else is there.
   *
   * @throws IllegalArgumentException if one is none that we can do
   */
  static SchedulerSettings of(List<SchedulerSetting> settings, JsonNode config) {
    return new SchedulerSettings(
        settings.stream()
            .collect(
                ImmutableMap.toImmutableMap(
                    SchedulerSetting::key, setting -> setting.read(config))));
  }

  /** Writes them. */
  void write(List<SchedulerSetting> settings, ObjectNode config) {
    settings.forEach(setting -> setting.write(config, values.get(setting.key())));
  }

  /** Returns whether the scheduler reads a setting. */
  boolean knows(String key) {
    return values.containsKey(key);
  }

  /** Returns the word that a setting is. */
  String text(String key) {
    return (String) values.get(key);
  }

  /** Returns the whole number that a setting is. */
  int number(String key) {
    return (int) values.get(key);
  }

  /** Returns the number that a setting is, or -∞ if this scheduler doesn't know it. */
  double bound(String key) {
    return (double) values.getOrDefault(key, Double.NEGATIVE_INFINITY);
  }

  /** Returns whether a setting is on, which it is not if this scheduler doesn't know it. */
  boolean flag(String key) {
    return (boolean) values.getOrDefault(key, false);
  }
}
