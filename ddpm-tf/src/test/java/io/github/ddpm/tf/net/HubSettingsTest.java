package io.github.ddpm.tf.net;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import java.net.URI;
import java.nio.file.Path;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** The environment variables of Python's huggingface_hub. */
class HubSettingsTest {
  private static final Path HOME = Path.of("/home/me");

  @Test
  void withoutVariablesItIsHuggingFaces() {
    HubSettings settings = of(Map.of());
    assertThat(settings.endpoint()).isEqualTo(URI.create("https://huggingface.co/"));
    assertThat(settings.cache()).isEqualTo(HOME.resolve(".cache/huggingface/hub"));
    assertThat(settings.token()).isEmpty();
    assertThat(settings.offline()).isFalse();
  }

  @Test
  void theNearestVariableSaysWhereTheCacheIs() {
    assertThat(of(Map.of("XDG_CACHE_HOME", "/x")).cache()).isEqualTo(Path.of("/x/huggingface/hub"));
    assertThat(of(Map.of("XDG_CACHE_HOME", "/x", "HF_HOME", "/h")).cache())
        .isEqualTo(Path.of("/h/hub"));
    assertThat(of(Map.of("HF_HOME", "/h", "HF_HUB_CACHE", "/c")).cache()).isEqualTo(Path.of("/c"));
    assertThat(of(Map.of("HF_HUB_CACHE", "~/c")).cache()).isEqualTo(HOME.resolve("c"));
    assertThat(of(Map.of("HF_HUB_CACHE", "~")).cache()).isEqualTo(HOME);
    assertThat(of(Map.of("HF_HUB_CACHE", " ")).cache())
        .isEqualTo(HOME.resolve(".cache/huggingface/hub"));
  }

  @ParameterizedTest
  @CsvSource({"1,true", "on,true", "Yes,true", "TRUE,true", "0,false", "no,false", "2,false"})
  void whatPythonTakesForTrueIsOffline(String value, boolean offline) {
    assertThat(of(Map.of("HF_HUB_OFFLINE", value)).offline()).isEqualTo(offline);
  }

  @Test
  void anotherHubMayHaveAPath() {
    assertThat(of(Map.of("HF_ENDPOINT", "https://mirror/hub")).endpoint())
        .isEqualTo(URI.create("https://mirror/hub/"));
    assertThat(of(Map.of("HF_ENDPOINT", "http://localhost:1//")).endpoint())
        .isEqualTo(URI.create("http://localhost:1/"));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "huggingface.co",
        "ftp://a",
        "https://",
        "https://me:pass@a",
        "https://a?b",
        "a b"
      })
  void refusesWhatIsNoAddress(String value) {
    assertThatIllegalArgumentException()
        .isThrownBy(() -> of(Map.of("HF_ENDPOINT", value)))
        .withMessageStartingWith("HF_ENDPOINT must be an address as https://huggingface.co, got ")
        .satisfies(e -> assertThat(e.getMessage()).doesNotContain("pass"));
  }

  @Test
  void aTokenIsInNoText() {
    HubSettings settings = of(Map.of("HF_TOKEN", " hf_secret\n"));
    assertThat(settings.token()).isPresent();
    assertThat(settings.toString()).doesNotContain("hf_secret");
    assertThatIllegalArgumentException()
        .isThrownBy(() -> of(Map.of("HF_TOKEN", "hf_secret\nX-Other: header")))
        .withMessage("HF_TOKEN must be ASCII characters without spaces between");
  }

  private static HubSettings of(Map<String, String> variables) {
    return HubSettings.of(variables::get, HOME);
  }
}
