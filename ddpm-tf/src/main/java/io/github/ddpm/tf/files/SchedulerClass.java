package io.github.ddpm.tf.files;

import static io.github.ddpm.tf.files.SchedulerSetting.any;
import static io.github.ddpm.tf.files.SchedulerSetting.oneOf;

import io.github.ddpm.AdamsBashforth;
import io.github.ddpm.BetaSchedule;
import io.github.ddpm.DpmSolver;
import io.github.ddpm.DpmSolverSinglestep;
import io.github.ddpm.NoiseScheduler;
import io.github.ddpm.Plms;
import io.github.ddpm.PredictionType;
import io.github.ddpm.Step;
import io.github.ddpm.UniPc;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * The schedulers of diffusers that are tables of rows: what each reads in a {@code
 * scheduler_config.json} beside the schedule and the prediction type, and which solver it is.
 */
enum SchedulerClass {
  /** A learned variance is replaced by the small one. */
  DDPM("DDPM", PipelinePlans.OF_DDIM) {
    @Override
    List<SchedulerSetting> own() {
      return List.of(
          oneOf(
              "variance_type",
              "fixed_small",
              "fixed_small_log",
              "fixed_large",
              "fixed_large_log",
              "learned",
              "learned_range"));
    }

    @Override
    NoiseScheduler solver(SchedulerSettings settings) {
      return settings.text("variance_type").startsWith("fixed_large")
          ? NoiseScheduler.ddpmLarge()
          : NoiseScheduler.ddpm();
    }
  },

  /** η is an argument of the pipeline, 0 by default. */
  DDIM("DDIM", PipelinePlans.OF_DDIM) {
    @Override
    List<SchedulerSetting> own() {
      return List.of(any("set_alpha_to_one", true));
    }

    @Override
    NoiseScheduler solver(SchedulerSettings settings) {
      return NoiseScheduler.ddim(0, false, settings.flag("set_alpha_to_one"));
    }
  },

  /** It ends at the noise of timestep 0 unless told otherwise. */
  PNDM("PNDM", PipelinePlans.OF_DDIM) {
    @Override
    List<SchedulerSetting> own() {
      return List.of(
          // Runge-Kutta steps, the default, would have to keep more than a row does.
          new SchedulerSetting("skip_prk_steps", false, List.of(true), List.of()),
          any("set_alpha_to_one", false));
    }

    @Override
    NoiseScheduler solver(SchedulerSettings settings) {
      return new Plms(settings.flag("set_alpha_to_one"));
    }
  },

  DPM_SOLVER("DPMSolverMultistep", PipelinePlans.OF_MULTISTEP) {
    @Override
    List<SchedulerSetting> own() {
      return sigmas(
          ORDER,
          oneOf("algorithm_type", "dpmsolver++", "sde-dpmsolver++").alike("deis"),
          oneOf("solver_type", "midpoint", "heun").alike("logrho", "bh1", "bh2"),
          any("lower_order_final", true),
          any("euler_at_final", false),
          oneOf("final_sigmas_type", "zero", "sigma_min"),
          any(PipelinePlans.CLIPPED, Double.NEGATIVE_INFINITY),
          any(PipelinePlans.LU, false),
          oneOf("use_flow_sigmas", false));
    }

    @Override
    NoiseScheduler solver(SchedulerSettings settings) {
      NoiseScheduler solver = of(settings, settings.number("solver_order"));
      if (!settings.flag("euler_at_final")) {
        return solver;
      }
      NoiseScheduler euler = of(settings, 1);
      return new NoiseScheduler() {
        @Override
        public List<Step> steps(BetaSchedule schedule, PredictionType type, double[] timesteps) {
          List<Step> rows = new ArrayList<>(solver.steps(schedule, type, timesteps));
          int last = rows.size() - 1;
          rows.set(last, euler.steps(schedule, type, timesteps).get(last));
          return rows;
        }

        @Override
        public int defaultSteps(int trainTimesteps) {
          return solver.defaultSteps(trainTimesteps);
        }
      };
    }

    private NoiseScheduler of(SchedulerSettings settings, int order) {
      return new DpmSolver(
          order,
          settings.text("algorithm_type").startsWith("sde"),
          settings.text("solver_type").equals("midpoint"),
          settings.flag("lower_order_final"),
          settings.text("final_sigmas_type").equals("zero"));
    }
  },

  /** It knows one spacing. */
  DPM_SOLVER_SINGLESTEP("DPMSolverSinglestep", PipelinePlans.OF_MULTISTEP) {
    @Override
    List<SchedulerSetting> own() {
      return sigmas(
          ORDER,
          // A step of an SDE would have to start again without the noise that it has added.
          oneOf("algorithm_type", "dpmsolver++").alike("deis"),
          oneOf("solver_type", "midpoint", "heun").alike("logrho", "bh1", "bh2"),
          any("lower_order_final", false),
          oneOf("final_sigmas_type", "zero", "sigma_min"),
          any(PipelinePlans.CLIPPED, Double.NEGATIVE_INFINITY),
          oneOf("use_flow_sigmas", false));
    }

    @Override
    List<SchedulerSetting> settings() {
      return Stream.concat(own().stream(), plans().settingsOfOneSpacing().stream()).toList();
    }

    @Override
    NoiseScheduler solver(SchedulerSettings settings) {
      return new DpmSolverSinglestep(
          settings.number("solver_order"),
          settings.text("solver_type").equals("midpoint"),
          settings.flag("lower_order_final"),
          settings.text("final_sigmas_type").equals("zero"));
    }
  },

  UNI_PC("UniPCMultistep", PipelinePlans.OF_MULTISTEP) {
    @Override
    List<SchedulerSetting> own() {
      return sigmas(
          ORDER,
          oneOf("predict_x0", true),
          oneOf("solver_type", "bh2", "bh1").alike("midpoint", "heun", "logrho"),
          oneOf("lower_order_final", true),
          oneOf("final_sigmas_type", "zero", "sigma_min"),
          oneOf("use_flow_sigmas", false));
    }

    @Override
    NoiseScheduler solver(SchedulerSettings settings) {
      return new UniPc(
          settings.number("solver_order"),
          settings.text("solver_type").equals("bh2"),
          settings.text("final_sigmas_type").equals("zero"));
    }
  },

  /** It ends at the noise of timestep 0. */
  DEIS("DEISMultistep", PipelinePlans.OF_MULTISTEP) {
    @Override
    List<SchedulerSetting> own() {
      return sigmas(
          ORDER,
          oneOf("algorithm_type", "deis").alike("dpmsolver", "dpmsolver++"),
          oneOf("solver_type", "logrho").alike("midpoint", "heun", "bh1", "bh2"),
          any("lower_order_final", true),
          oneOf("use_flow_sigmas", false));
    }

    @Override
    NoiseScheduler solver(SchedulerSettings settings) {
      return new AdamsBashforth(
          settings.number("solver_order"), true, settings.flag("lower_order_final"), false);
    }
  },

  EULER("EulerDiscrete", PipelinePlans.OF_SIGMAS) {
    @Override
    List<SchedulerSetting> own() {
      return sigmas(
          oneOf("final_sigmas_type", "zero", "sigma_min"),
          oneOf("interpolation_type", "linear"),
          oneOf("timestep_type", "discrete"));
    }

    @Override
    NoiseScheduler solver(SchedulerSettings settings) {
      return NoiseScheduler.ddim(0, true, settings.text("final_sigmas_type").equals("zero"));
    }
  },

  EULER_ANCESTRAL("EulerAncestralDiscrete", PipelinePlans.OF_SIGMAS) {
    @Override
    List<SchedulerSetting> own() {
      return List.of();
    }

    @Override
    NoiseScheduler solver(SchedulerSettings settings) {
      return NoiseScheduler.ddim(1);
    }
  },

  HEUN("HeunDiscrete", PipelinePlans.OF_SIGMAS) {
    @Override
    List<SchedulerSetting> own() {
      return sigmas();
    }

    @Override
    NoiseScheduler solver(SchedulerSettings settings) {
      return NoiseScheduler.heun();
    }
  },

  LMS("LMSDiscrete", PipelinePlans.OF_SIGMAS) {
    @Override
    List<SchedulerSetting> own() {
      return sigmas();
    }

    @Override
    NoiseScheduler solver(SchedulerSettings settings) {
      return NoiseScheduler.lms();
    }
  };

  /** Of multistep solvers. */
  private static final SchedulerSetting ORDER =
      new SchedulerSetting("solver_order", 2, List.of(1, 2, 3), List.of());

  private static final String SUFFIX = "Scheduler";

  /** The same, for pipelines that work on several timesteps at once. */
  private static final String PARALLEL = "ParallelScheduler";

  private final String name;
  private final PipelinePlans plans;

  SchedulerClass(String name, PipelinePlans plans) {
    this.name = name;
    this.plans = plans;
  }

  /**
   * Returns the scheduler of a class.
   *
   * @throws IllegalArgumentException if it is none of these
   */
  static SchedulerClass of(String className) {
    return Stream.of(values())
        .filter(
            each -> className.equals(each.className()) || className.equals(each.name + PARALLEL))
        .findFirst()
        .orElseThrow(
            () ->
                new IllegalArgumentException(
                    "the scheduler must be "
                        + Stream.of(values())
                            .map(SchedulerClass::className)
                            .collect(Collectors.joining(", "))
                        + ", got "
                        + className
                        + "; if the model was trained with the noise of the beta_ settings here, write one of these as"
                        + " _class_name, and in model_index.json if there is one"));
  }

  /** Adds what those read that can make noise levels of their own. */
  private static List<SchedulerSetting> sigmas(SchedulerSetting... more) {
    return Stream.concat(
            Stream.of(more),
            Stream.of(
                any(PipelinePlans.KARRAS, false),
                any(PipelinePlans.EXPONENTIAL, false),
                oneOf("use_beta_sigmas", false)))
        .toList();
  }

  String className() {
    return name + SUFFIX;
  }

  /** Returns what it reads. */
  List<SchedulerSetting> settings() {
    return Stream.concat(own().stream(), plans.settings().stream()).toList();
  }

  /** Returns what it reads beside what its plans are made of. */
  abstract List<SchedulerSetting> own();

  PipelinePlans plans() {
    return plans;
  }

  /** Returns whether estimates are clipped where nothing is said; empty if they never are. */
  Optional<Boolean> clips() {
    return switch (this) {
      case DDPM, DDIM -> Optional.of(true);
      case HEUN -> Optional.of(false);
      default -> Optional.empty();
    };
  }

  /**
   * Returns the solver that its settings make, of an order that plans of fewer timesteps don't
   * reach.
   */
  abstract NoiseScheduler solver(SchedulerSettings settings);
}
