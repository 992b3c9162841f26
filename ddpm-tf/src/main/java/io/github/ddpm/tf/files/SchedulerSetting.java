package io.github.ddpm.tf.files;

import static com.google.common.base.Preconditions.checkArgument;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.List;
import java.util.stream.Collectors;

/**
 * A setting in a {@code scheduler_config.json} that a scheduler of diffusers reads.
 *
 * @param absent what it is where it is not there: a word, a whole number, a number or a truth value
 * @param allowed all that we can do; empty for any value of that kind
 * @param alike what other schedulers write there, which this one takes for its default
 */
record SchedulerSetting(String key, Object absent, List<?> allowed, List<String> alike) {
  /** Makes one of any value. */
  static SchedulerSetting any(String key, Object absent) {
    return new SchedulerSetting(key, absent, List.of(), List.of());
  }

  /** Makes one of a few values, of which the first is the default. */
  static SchedulerSetting oneOf(String key, Object... allowed) {
    return new SchedulerSetting(key, allowed[0], List.of(allowed), List.of());
  }

  /** Returns this setting, whose default is also what these words stand for. */
  SchedulerSetting alike(String... words) {
    return new SchedulerSetting(key, absent, allowed, List.of(words));
  }

  /**
   * Returns the value in a configuration.
   *
   * @throws IllegalArgumentException if it is of another kind, or none that we can do
   */
  Object read(JsonNode json) {
    Object value;
    if (absent instanceof Boolean flag) {
      value = Json.bool(json, key, flag);
    } else if (absent instanceof Integer number) {
      value = Json.integer(json, key, number);
    } else if (absent instanceof Double number) {
      // Python writes -Infinity for a bound that is off.
      boolean off = json.path(key).isNumber() && json.get(key).doubleValue() == number;
      value = off ? number : (Object) Json.number(json, key, number);
    } else {
      value = Json.text(json, key, (String) absent);
    }
    if (alike.contains(value)) {
      return absent;
    }
    checkArgument(
        allowed.isEmpty() || allowed.contains(value),
        "%s must be %s, got %s",
        key,
        allowed.stream()
            .map(String::valueOf)
            .collect(Collectors.joining(", "))
            .replaceFirst(", ([^,]*)$", " or $1"),
        value);
    return value;
  }

  /** Writes a value to a configuration, unless it is the default and not finite, as JSON has it. */
  void write(ObjectNode json, Object value) {
    if (!(value instanceof Double number) || Double.isFinite(number)) {
      json.set(key, Json.MAPPER.valueToTree(value));
    }
  }
}
