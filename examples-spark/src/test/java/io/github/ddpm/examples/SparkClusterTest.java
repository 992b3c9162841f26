package io.github.ddpm.examples;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Path;
import org.junit.jupiter.api.Test;

class SparkClusterTest {
  @Test
  void aFolderMayHaveASpaceInItsName() {
    Path folder = Path.of("a folder", "100% mine", "digits.parquet");
    org.apache.hadoop.fs.Path place =
        new org.apache.hadoop.fs.Path(SparkCluster.place(folder.toString()));
    assertThat(place.toUri().getScheme()).isEqualTo("file");
    assertThat(place.toUri().getPath()).isEqualTo(folder.toAbsolutePath().toString());
  }

  @Test
  void aUrlIsTakenAsItIsGiven() {
    assertThat(SparkCluster.place("s3a://bucket/digits")).isEqualTo("s3a://bucket/digits");
  }
}
