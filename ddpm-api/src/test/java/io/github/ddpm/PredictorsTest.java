package io.github.ddpm;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.assertj.core.api.Assertions.assertThatIllegalStateException;

import com.example.ConstantProvider;
import com.google.common.base.Preconditions;
import com.google.common.base.Throwables;
import com.google.common.util.concurrent.internal.InternalFutureFailureAccess;
import io.github.ddpm.spi.PredictorProvider;
import java.io.IOException;
import java.io.OutputStream;
import java.lang.module.Configuration;
import java.lang.module.ModuleDescriptor;
import java.lang.module.ModuleFinder;
import java.lang.reflect.InvocationTargetException;
import java.net.URI;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.ServiceConfigurationError;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.jar.JarEntry;
import java.util.jar.JarOutputStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** How {@link Predictor#pretrained} finds a provider, in containers of all kinds. */
class PredictorsTest {
  private static final String SERVICE = "META-INF/services/" + PredictorProvider.class.getName();

  @TempDir private Path folder;

  @Test
  void withoutAProviderTheErrorSaysWhatToAdd() {
    Sampler sampler = Sampler.ddim(0);
    List<Callable<?>> calls =
        List.of(
            () -> sampler.sample(1),
            Predictor::pretrained,
            () -> Predictor.pretrained("digits-4"),
            () -> Predictor.pretrained("digits", Precision.FLOAT32),
            () -> Predictor.fromHub("owner/name"),
            () -> Predictor.fromHub("owner/name", "main"),
            () -> Predictor.fromHub("owner/name", "main", Precision.FLOAT32),
            () -> Predictor.load(folder),
            () -> Predictor.load(folder, Precision.FLOAT32),
            () -> Predictor.load(folder, BetaSchedule.linear(), PredictionType.EPSILON),
            () ->
                Predictor.load(
                    folder, BetaSchedule.linear(), PredictionType.EPSILON, Precision.FLOAT32));
    for (Callable<?> call : calls) {
      assertThatIllegalStateException()
          .isThrownBy(call::call)
          .withMessageContaining("io.github.ddpm:ddpm-tf")
          .withMessageContaining("with(…)")
          .withNoCause();
    }
  }

  @Test
  void providerOfTheThreadsClassLoaderIsFound() throws Exception {
    ClassLoader own = PredictorsTest.class.getClassLoader();
    try (URLClassLoader loader = new URLClassLoader(urls(services(Good.class.getName())), own)) {
      assertThat(within(loader, () -> Sampler.ddim(0).sample(2)).count()).isEqualTo(2);
    }
  }

  @Test
  void anotherApplicationsProviderIsSkipped() throws Exception {
    Path services = services(Good.class.getName());
    try (URLClassLoader ours = application(services);
        URLClassLoader theirs = application(services)) {
      assertThat(within(theirs, () -> pretrained(ours))).isSameAs(ours);
      assertThatIllegalStateException()
          .isThrownBy(() -> within(theirs, Predictor::pretrained))
          .withMessageContaining("io.github.ddpm:ddpm-tf")
          .withNoCause();
    }
  }

  @Test
  void threadWithoutAClassLoaderHasTheLibrarysOwn() throws Exception {
    try (URLClassLoader ours = application(services(Good.class.getName()))) {
      assertThat(within(null, () -> pretrained(ours))).isSameAs(ours);
      assertThat(within(ClassLoader.getPlatformClassLoader(), () -> pretrained(ours)))
          .as("a loader that has no copy of the library")
          .isSameAs(ours);
    }
  }

  /** A container with its own copy and provider, and an application in it that brings both. */
  @Test
  void providerOfAContainerIsSkipped() throws Exception {
    Path services = services(Good.class.getName());
    try (URLClassLoader container = application(services(Other.class.getName()));
        URLClassLoader ours = new ChildFirst(container, Other.class.getName(), services)) {
      assertThat(pretrained(ours)).isSameAs(ours);
      assertThat(within(ours, () -> pretrained(ours))).isSameAs(ours);
    }
    try (URLClassLoader container = application(services(Other.class.getName()));
        URLClassLoader ours = new ChildFirst(container, Other.class.getName())) {
      assertThatIllegalStateException()
          .isThrownBy(() -> pretrained(ours))
          .withMessageContaining("io.github.ddpm:ddpm-tf")
          .withCauseInstanceOf(ServiceConfigurationError.class)
          .havingCause()
          .withMessageContaining(Other.class.getName());
    }
  }

  /** A provider of ours that is broken is no reason to take another in silence. */
  @Test
  void brokenProviderIsNotSkipped() throws Exception {
    Path services = services(Broken.class.getName(), Good.class.getName());
    try (URLClassLoader ours = application(services)) {
      assertThatExceptionOfType(ServiceConfigurationError.class)
          .isThrownBy(() -> pretrained(ours))
          .withMessageContaining(Broken.class.getName())
          .withStackTraceContaining("broken on purpose");
    }
  }

  @Test
  void theModuleHasTheTwoPackagesOfTheApi() {
    ModuleDescriptor module = library().find("io.github.ddpm").orElseThrow().descriptor();
    assertThat(module.exports())
        .extracting(ModuleDescriptor.Exports::source)
        .containsExactlyInAnyOrder("io.github.ddpm", "io.github.ddpm.spi");
    assertThat(module.exports()).allMatch(exported -> !exported.isQualified());
  }

  @Test
  void providerOnTheModulePathIsFound() throws Exception {
    Path jar = jar();
    ModuleLayer layer = layer(ModuleFinder.compose(library(), ModuleFinder.of(jar)));
    Class<?> found = pretrainedClass(layer.findLoader("io.github.ddpm"));
    assertThat(found.getName()).startsWith(ConstantProvider.class.getName());
    assertThat(found.getModule()).isSameAs(layer.findModule("constant").orElseThrow());
  }

  @Test
  void moduleFindsAProviderOnTheClassPath() throws Exception {
    ClassLoader library = layer(library()).findLoader("io.github.ddpm");
    assertThatIllegalStateException().isThrownBy(() -> pretrainedClass(library));
    try (URLClassLoader loader = new URLClassLoader(urls(jar()), library)) {
      Class<?> found = within(loader, () -> pretrainedClass(library));
      assertThat(found.getModule().isNamed()).isFalse();
      assertThat(found.getClassLoader()).isSameAs(loader);
    }
  }

  private static ModuleFinder library() {
    return ModuleFinder.of(
        home(Predictor.class), home(Preconditions.class), home(InternalFutureFailureAccess.class));
  }

  private static ModuleLayer layer(ModuleFinder finder) {
    ModuleLayer boot = ModuleLayer.boot();
    Configuration configuration =
        boot.configuration().resolveAndBind(finder, ModuleFinder.of(), Set.of("io.github.ddpm"));
    return boot.defineModulesWithOneLoader(configuration, ClassLoader.getPlatformClassLoader());
  }

  /** A jar that is the automatic module "constant". */
  private Path jar() throws IOException {
    Path jar = folder.resolve("constant-1.0.jar");
    Path classes = home(ConstantProvider.class);
    try (OutputStream file = Files.newOutputStream(jar);
        JarOutputStream out = new JarOutputStream(file)) {
      for (String name :
          List.of("com/example/ConstantProvider", "com/example/ConstantProvider$Constant")) {
        out.putNextEntry(new JarEntry(name + ".class"));
        Files.copy(classes.resolve(name + ".class"), out);
      }
      out.putNextEntry(new JarEntry(SERVICE));
      out.write(ConstantProvider.class.getName().getBytes(UTF_8));
    }
    return jar;
  }

  /** A folder with the file that names these providers. */
  private Path services(String... providers) throws IOException {
    Path root = Files.createTempDirectory(folder, "services");
    Path file = root.resolve(SERVICE);
    Files.createDirectories(file.getParent());
    Files.write(file, List.of(providers));
    return root;
  }

  /** The loader of an application that has the library, these tests and no parent with either. */
  private static URLClassLoader application(Path services) throws IOException {
    return new URLClassLoader(copies(services), ClassLoader.getPlatformClassLoader());
  }

  private static URL[] copies(Path... more) throws IOException {
    List<Path> paths = new ArrayList<>(List.of(more));
    paths.addAll(List.of(home(PredictorsTest.class), home(Predictor.class)));
    paths.addAll(List.of(home(Preconditions.class), home(InternalFutureFailureAccess.class)));
    return urls(paths.toArray(Path[]::new));
  }

  private static URL[] urls(Path... paths) throws IOException {
    URL[] urls = new URL[paths.length];
    for (int i = 0; i < urls.length; i++) {
      urls[i] = paths[i].toUri().toURL();
    }
    return urls;
  }

  /** The folder or jar that a class is from. */
  private static Path home(Class<?> type) {
    return Path.of(URI.create(type.getProtectionDomain().getCodeSource().getLocation().toString()));
  }

  /** The loader of the pretrained model that the library of a loader finds. */
  private static ClassLoader pretrained(ClassLoader library) throws Exception {
    return pretrainedClass(library).getClassLoader();
  }

  private static Class<?> pretrainedClass(ClassLoader library) throws Exception {
    try {
      return library
          .loadClass(Predictor.class.getName())
          .getMethod("pretrained")
          .invoke(null)
          .getClass();
    } catch (InvocationTargetException e) {
      Throwables.throwIfUnchecked(e.getCause());
      throw e;
    }
  }

  private static <T> T within(ClassLoader context, Callable<T> call) throws Exception {
    Thread thread = Thread.currentThread();
    ClassLoader before = thread.getContextClassLoader();
    thread.setContextClassLoader(context);
    try {
      return call.call();
    } finally {
      thread.setContextClassLoader(before);
    }
  }

  /** Loads its own copy of everything here but of one class, which its parent has. */
  private static final class ChildFirst extends URLClassLoader {
    private final String exception;

    ChildFirst(ClassLoader parent, String exception, Path... services) throws IOException {
      super(copies(services), parent);
      this.exception = exception;
    }

    @Override
    protected Class<?> loadClass(String name, boolean resolve) throws ClassNotFoundException {
      if (!name.startsWith("io.github.ddpm.") || name.equals(exception)) {
        return super.loadClass(name, resolve);
      }
      synchronized (getClassLoadingLock(name)) {
        Class<?> loaded = findLoadedClass(name);
        return loaded == null ? findClass(name) : loaded;
      }
    }
  }

  /** Draws with a formula. */
  public static class Good implements PredictorProvider {
    @Override
    public Predictor load(Path folder, Precision precision) {
      throw new AssertionError(folder);
    }

    @Override
    public Predictor load(
        Path folder, BetaSchedule schedule, PredictionType type, Precision precision) {
      throw new AssertionError(folder);
    }

    @Override
    public Predictor fromHub(String name, String revision, Precision precision) {
      throw new AssertionError(name);
    }

    @Override
    public Predictor pretrained(String name, Precision precision) {
      return FormulaPredictor.withoutLabels();
    }
  }

  /** Implements the interface of the loader that it is from. */
  public static final class Other extends Good {}

  /** Can't be made. */
  public static final class Broken extends Good {
    public Broken() {
      throw new IllegalStateException("broken on purpose");
    }
  }
}
