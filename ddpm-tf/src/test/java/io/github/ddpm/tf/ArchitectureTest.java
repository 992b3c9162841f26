package io.github.ddpm.tf;

import static com.tngtech.archunit.library.Architectures.layeredArchitecture;
import static com.tngtech.archunit.library.dependencies.SlicesRuleDefinition.slices;

import com.tngtech.archunit.core.domain.JavaClass;
import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.core.importer.ImportOption;
import com.tngtech.archunit.library.dependencies.SliceAssignment;
import com.tngtech.archunit.library.dependencies.SliceIdentifier;
import org.junit.jupiter.api.Test;

/** The picture in CONTRIBUTING.md, and that no files go around in circles. */
class ArchitectureTest {
  private static final String ROOT = "io.github.ddpm.tf";
  private static final JavaClasses CLASSES =
      new ClassFileImporter()
          .withImportOption(ImportOption.Predefined.DO_NOT_INCLUDE_TESTS)
          .importPackages(ROOT);

  @Test
  void arrowsGoOneWay() {
    layeredArchitecture()
        .consideringOnlyDependenciesInLayers()
        .layer("training")
        .definedBy(ROOT)
        .layer("sampling")
        .definedBy(ROOT + ".sampling")
        .layer("net")
        .definedBy(ROOT + ".net")
        .layer("files")
        .definedBy(ROOT + ".files")
        .layer("graph")
        .definedBy(ROOT + ".graph")
        .layer("data")
        .definedBy(ROOT + ".data")
        .whereLayer("training")
        .mayNotBeAccessedByAnyLayer()
        .whereLayer("sampling")
        .mayOnlyBeAccessedByLayers("training")
        .whereLayer("net")
        .mayOnlyBeAccessedByLayers("training", "sampling", "data")
        .whereLayer("files")
        .mayOnlyBeAccessedByLayers("training", "sampling", "net")
        .whereLayer("graph")
        .mayOnlyBeAccessedByLayers("training", "sampling", "files")
        .whereLayer("data")
        .mayOnlyBeAccessedByLayers("training")
        .check(CLASSES);
  }

  @Test
  void noFilesGoAroundInCircles() {
    slices().assignedFrom(new Files()).should().beFreeOfCycles().check(CLASSES);
  }

  /** A slice for each file: a class and those nested in it. */
  private static final class Files implements SliceAssignment {
    @Override
    public SliceIdentifier getIdentifierOf(JavaClass type) {
      JavaClass outermost = type;
      while (outermost.getEnclosingClass().isPresent()) {
        outermost = outermost.getEnclosingClass().get();
      }
      return SliceIdentifier.of(outermost.getName());
    }

    @Override
    public String getDescription() {
      return "files of " + ROOT;
    }
  }
}
