package io.github.ddpm.tf.net;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.ddpm.tf.Fixtures;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.logging.Formatter;
import java.util.logging.Handler;
import java.util.logging.Level;
import java.util.logging.LogRecord;
import java.util.logging.Logger;
import java.util.logging.SimpleFormatter;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What the log says of a model that is downloaded. */
class HubAnnouncementTest {
  @TempDir Path cache;

  @Test
  void aModelIsAnnouncedInALine() throws Exception {
    List<String> lines = new CopyOnWriteArrayList<>();
    Handler handler = handler(lines);
    Logger logger = Logger.getLogger("io.github.ddpm.tf.net");
    logger.addHandler(handler);
    logger.setLevel(Level.INFO);
    try (FakeHub server = new FakeHub(Fixtures.path("golden/folder-condition"))) {
      Hub hub = server.hub(cache, false, "");
      hub.fetch(FakeHub.NAME, "main", FakeHub.all());
      hub.fetch(FakeHub.NAME, "main", FakeHub.all());
    } finally {
      logger.setLevel(null);
      logger.removeHandler(handler);
    }
    assertThat(lines)
        .singleElement()
        .asString()
        .matches(
            "owner/tiny-model: downloading (\\d+) of \\1 bytes to .*models--owner--tiny-model");
  }

  private static Handler handler(List<String> lines) {
    Formatter formatter = new SimpleFormatter();
    return new Handler() {
      @Override
      public void publish(LogRecord message) {
        lines.add(formatter.formatMessage(message));
      }

      @Override
      public void flush() {}

      @Override
      public void close() {}
    };
  }
}
