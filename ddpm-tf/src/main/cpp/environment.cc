// Loaded before TensorFlow, which reads these while it is being loaded. What the user has set stays.
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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
  // NVIDIA's libraries multiply float32 in all its bits, not in the 11 of TF32.
  setenv("NVIDIA_TF32_OVERRIDE", "0", 0);
  // No notes of how TensorFlow was compiled and what it optimizes; warnings and errors are still shown.
  setenv("TF_CPP_MIN_LOG_LEVEL", "1", 0);
}

// Of what TensorFlow says at the first session of a process no variable keeps these, which nobody can act on.
bool IsNote(const char* line) {
  return strstr(line, "All log messages before absl::InitializeLog() is called") != nullptr ||
         strstr(line, "MLIR V1 optimization pass is not enabled") != nullptr;
}

// The descriptor that stderr was; -1 while it is itself.
int stderr_before = -1;

struct Passing {
  FILE* from;
  int to;
};

// Passes lines on until nobody can write to where they come from.
void* PassOn(void* argument) {
  auto* passing = static_cast<Passing*>(argument);
  char* line = nullptr;
  size_t capacity = 0;
  ssize_t length;
  while ((length = getline(&line, &capacity, passing->from)) > 0) {
    const char* rest = IsNote(line) ? line + length : line;
    while (rest < line + length) {
      const ssize_t written = write(passing->to, rest, line + length - rest);
      if (written <= 0) {
        break;
      }
      rest += written;
    }
  }
  free(line);
  fclose(passing->from);
  close(passing->to);
  free(passing);
  return nullptr;
}

// Starts to pass on what is written to a pipe; returns whether it did.
bool StartPassing(int pipe_end) {
  auto* passing = static_cast<Passing*>(calloc(1, sizeof(Passing)));
  if (passing == nullptr) {
    return false;
  }
  passing->from = fdopen(pipe_end, "r");
  passing->to = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);
  pthread_t thread;
  if (passing->from != nullptr && passing->to >= 0 && pthread_create(&thread, nullptr, &PassOn, passing) == 0) {
    pthread_detach(thread);
    return true;
  }
  if (passing->to >= 0) {
    close(passing->to);
  }
  if (passing->from != nullptr) {
    fclose(passing->from);
  } else {
    close(pipe_end);
  }
  free(passing);
  return false;
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

// From here on stderr is a pipe, of which all is passed on but notes; returns whether it is.
uint8_t KERNELS_METHOD(leaveOutNotes)(void*, void*) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) {
    return 0;
  }
  stderr_before = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);
  const bool started = StartPassing(ends[0]) && stderr_before >= 0;
  if (started) {
    dup2(ends[1], STDERR_FILENO);
  }
  close(ends[1]);
  return started ? 1 : 0;
}

// Stderr is itself again.
void KERNELS_METHOD(passOnAll)(void*, void*) {
  dup2(stderr_before, STDERR_FILENO);
  close(stderr_before);
  stderr_before = -1;
}

}  // extern "C"
