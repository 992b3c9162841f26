package io.github.ddpm.examples;

import io.github.ddpm.Images;
import io.github.ddpm.Sampler;
import me.tongfei.progressbar.ProgressBar;
import me.tongfei.progressbar.ProgressBarBuilder;
import picocli.CommandLine.Help.Ansi;

/** A progress bar where there is a terminal to draw it on, else nothing. */
interface Bar extends AutoCloseable {
  /** Shows that so much is done. */
  void to(long done);

  @Override
  void close();

  static Bar of(String task, long maximum) {
    if (!Ansi.AUTO.enabled()) {
      return new Bar() {
        @Override
        public void to(long done) {}

        @Override
        public void close() {}
      };
    }
    ProgressBar bar = new ProgressBarBuilder().setTaskName(task).setInitialMax(maximum).build();
    return new Bar() {
      @Override
      public void to(long done) {
        bar.stepTo(done);
      }

      @Override
      public void close() {
        bar.close();
      }
    };
  }

  /** Samples with a bar. */
  static Images sample(Sampler sampler, int count) {
    try (Bar bar = of("Denoising", 100)) {
      return sampler
          .listener(
              progress -> {
                // Large requests are worked off in several batches, one after the other.
                double before = (double) progress.firstImage() / count;
                double batch = (double) progress.x0().count() / count;
                bar.to(Math.round(100 * (before + batch * (progress.row() + 1) / progress.rows())));
                return true;
              })
          .sample(count);
    }
  }
}
