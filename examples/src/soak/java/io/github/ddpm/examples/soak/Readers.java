package io.github.ddpm.examples.soak;

import io.github.ddpm.BetaSchedule;
import io.github.ddpm.PredictionType;
import io.github.ddpm.tf.Trainer;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicLong;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** Loads a model over and over while another process saves to its folder. */
@Command(
    name = "readers",
    mixinStandardHelpOptions = true,
    description = "loads of a model during saves")
final class Readers implements Callable<Integer> {
  @Mixin private Scratch scratch;

  @Option(
      names = "--saves",
      defaultValue = "1000",
      description = "half of them by a training, half by conversions (${DEFAULT-VALUE})")
  private int saves;

  @Option(names = "--readers", defaultValue = "4", description = "threads (${DEFAULT-VALUE})")
  private int readers;

  private final AtomicLong begun = new AtomicLong();
  private final AtomicLong done = new AtomicLong();

  Readers() {}

  /** A load, which may see any save from the last before it began to the last begun at its end. */
  private record Load(long first, long last, Prediction model, String failure) {}

  private interface Saver {
    void run() throws IOException;
  }

  @Override
  public Integer call() throws IOException, InterruptedException {
    Tally tally = new Tally("readers");
    training(tally);
    conversions(tally);
    return tally.print();
  }

  private void training(Tally tally) throws IOException, InterruptedException {
    Path folder = scratch.fresh("readers");
    List<Load> loads;
    try (Child training = TrainingChild.start("create", folder, scratch.path("readers.log"))) {
      train(training);
      loads =
          during(
              folder,
              () -> {
                for (int i = 0; i < saves / 2; i++) {
                  train(training);
                }
              });
    }
    try (Undisturbed undisturbed = new Undisturbed(scratch.fresh("readers-undisturbed"))) {
      for (Load load : loads) {
        List<Prediction> allowed = new ArrayList<>();
        for (long step = load.first(); step <= load.last(); step++) {
          allowed.add(undisturbed.at(step).prediction());
        }
        check(tally, load, allowed);
      }
    }
  }

  private void train(Child training) throws IOException {
    training.order("train 1");
    begun.incrementAndGet();
    done.set(Long.parseLong(training.order("save")));
  }

  /** Models of one shape whose weights and configurations differ, in turn. */
  private void conversions(Tally tally) throws IOException, InterruptedException {
    List<Path> models = new ArrayList<>();
    List<Prediction> predictions = new ArrayList<>();
    for (PredictionType type : PredictionType.values()) {
      for (BetaSchedule schedule : List.of(BetaSchedule.linear(), BetaSchedule.cosine())) {
        Path model = scratch.fresh("readers-model-" + models.size());
        try (Trainer trainer = TinyTraining.create(schedule, type, models.size())) {
          trainer.saveHalf(model);
        }
        models.add(model);
        predictions.add(TinyTraining.predict(model));
      }
    }
    Path folder = scratch.fresh("readers");
    try (Child converter =
        TrainingChild.start("create", scratch.fresh("readers-none"), scratch.path("readers.log"))) {
      for (Path model : models) {
        convert(converter, model, folder);
        // With nobody else around, what was converted is what it was.
        check(tally, load(folder), List.of(predictions.get(models.indexOf(model))));
      }
      List<Load> loads =
          during(
              folder,
              () -> {
                for (int i = 0; i < saves - saves / 2; i++) {
                  convert(converter, models.get(i % models.size()), folder);
                }
              });
      for (Load load : loads) {
        check(tally, load, predictions);
      }
    }
  }

  private static void convert(Child converter, Path model, Path folder) throws IOException {
    converter.order("convert " + model + "\t" + folder);
  }

  /** Loads for as long as something saves. */
  private List<Load> during(Path folder, Saver saver) throws IOException, InterruptedException {
    ExecutorService threads = Executors.newFixedThreadPool(readers);
    try {
      List<Future<List<Load>>> futures = new ArrayList<>();
      for (int i = 0; i < readers; i++) {
        futures.add(threads.submit(() -> loads(folder)));
      }
      saver.run();
      threads.shutdownNow();
      List<Load> loads = new ArrayList<>();
      for (Future<List<Load>> future : futures) {
        loads.addAll(future.get());
      }
      return loads;
    } catch (ExecutionException e) {
      throw new IllegalStateException("a reader ended", e.getCause());
    } finally {
      threads.shutdownNow();
    }
  }

  private List<Load> loads(Path folder) {
    List<Load> loads = new ArrayList<>();
    while (!Thread.currentThread().isInterrupted()) {
      Load load = load(folder);
      // What an interrupt at the end did to a load is none of the saver's.
      if (!Thread.currentThread().isInterrupted()) {
        loads.add(load);
      }
    }
    return loads;
  }

  private Load load(Path folder) {
    long first = done.get();
    Prediction model = null;
    String failure = "";
    try {
      model = TinyTraining.predict(folder);
    } catch (IOException | RuntimeException e) {
      failure = e.toString();
    }
    return new Load(first, begun.get(), model, failure);
  }

  private static void check(Tally tally, Load load, List<Prediction> allowed) {
    tally.begin();
    if (load.model() == null) {
      tally.lose("failed", load.failure());
    } else {
      tally.expect(
          allowed.contains(load.model()),
          "mixed",
          "it is none of the models that were saved: " + load.model().info());
    }
  }
}
