// Loaded before TensorFlow, which reads these while it is being loaded. What the user has set stays.
#include <stdlib.h>

__attribute__((constructor)) static void SetEnvironment() {
  // oneDNN's convolutions are the faster ones also where TensorFlow doesn't choose them by itself: on CPUs with AVX2
  // and no AVX-512.
  setenv("TF_ENABLE_ONEDNN_OPTS", "1", 0);
  // No notes of how TensorFlow was compiled and what it optimizes; warnings and errors are still shown.
  setenv("TF_CPP_MIN_LOG_LEVEL", "1", 0);
}
