// Memory that a thread computes in. For use inside one instruction set's sources, like numbers.h.
#ifndef DDPM_SCRATCH_H_
#define DDPM_SCRATCH_H_

#include <cstddef>
#include <cstdlib>

namespace ddpm {
namespace {

// One of a thread's few buffers, aligned to cache lines. It grows to what is needed and is kept, because the kernel of
// the system has to clear new memory.
float* Scratch(int which, size_t floats) {
  static thread_local struct {
    float* memory;
    size_t floats;
  } buffers[4];
  auto& buffer = buffers[which];
  if (buffer.floats < floats) {
    std::free(buffer.memory);
    void* memory;
    if (posix_memalign(&memory, 64, floats * sizeof(float)) != 0) {
      std::abort();
    }
    buffer.memory = static_cast<float*>(memory);
    buffer.floats = floats;
  }
  return buffer.memory;
}

}  // namespace
}  // namespace ddpm

#endif  // DDPM_SCRATCH_H_
