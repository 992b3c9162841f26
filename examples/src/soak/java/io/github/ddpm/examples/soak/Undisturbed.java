package io.github.ddpm.examples.soak;

import io.github.ddpm.tf.Trainer;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** The training that nothing happens to, with which others are compared. */
final class Undisturbed implements AutoCloseable {
  private final Trainer trainer = TinyTraining.create();
  private final Path folder;
  private final List<Saved> steps = new ArrayList<>();

  /**
   * Starts it.
   *
   * @param folder to save to
   */
  Undisturbed(Path folder) {
    this.folder = folder;
  }

  /** Returns what is saved after so many steps. */
  Saved at(long step) throws IOException {
    while (steps.size() <= step) {
      if (!steps.isEmpty()) {
        TinyTraining.train(trainer, 1);
      }
      steps.add(Saved.of(trainer, folder));
    }
    return steps.get(Math.toIntExact(step));
  }

  @Override
  public void close() {
    trainer.close();
  }
}
