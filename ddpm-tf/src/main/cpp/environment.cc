// Loaded before TensorFlow, which reads these while it is being loaded. What the user has set stays.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "instructions.h"

namespace {

void Set(const char* name, int value) {
  char text[16];
  snprintf(text, sizeof text, "%d", value);
  setenv(name, text, 1);
}

__attribute__((constructor)) void SetEnvironment() {
  // oneDNN's convolutions are the faster ones also where TensorFlow doesn't choose them by itself: on CPUs with AVX2
  // and no AVX-512.
  setenv("TF_ENABLE_ONEDNN_OPTS", "1", 0);
  // No notes of how TensorFlow was compiled and what it optimizes; warnings and errors are still shown.
  setenv("TF_CPP_MIN_LOG_LEVEL", "1", 0);
}

}  // namespace

// The native methods of Java's class Kernels. They have numbers alone, so that nothing of JNI is needed.
#define KERNELS_METHOD(name) __attribute__((visibility("default"))) Java_io_github_ddpm_tf_graph_Kernels_##name

extern "C" {

uint8_t KERNELS_METHOD(has)(void*, void*, int32_t instructions) { return ddpm::Usable(instructions) ? 1 : 0; }

// For our other library, which is loaded next and reads them once. Nothing that was said to the process that started
// this one counts.
void KERNELS_METHOD(configure)(void*, void*, int32_t instructions, int32_t threads, int32_t loader) {
  Set("DDPM_INSTRUCTIONS", instructions);
  Set("DDPM_THREADS", threads);
  Set("DDPM_LOADER", loader);
}

}  // extern "C"
