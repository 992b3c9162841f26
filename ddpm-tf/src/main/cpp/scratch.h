// Memory that a thread computes in. For use inside one instruction set's sources, like numbers.h.
#ifndef DDPM_SCRATCH_H_
#define DDPM_SCRATCH_H_

#include <cstddef>
#include <cstdlib>

namespace ddpm {
namespace {

// One of a thread's few buffers, aligned to cache lines; null if there is no memory. It grows to what is needed and is
// kept, because the kernel of the system has to clear new memory.
float* Scratch(int which, size_t floats) {
  struct Buffer {
    float* memory;
    size_t floats;
  };
  static thread_local Buffer buffers[4];
  Buffer& buffer = buffers[which];
  if (buffer.memory == nullptr || buffer.floats < floats) {
    std::free(buffer.memory);
    buffer = {};
    void* memory;
    if (posix_memalign(&memory, 64, floats * sizeof(float)) != 0) {
      return nullptr;
    }
    buffer = {static_cast<float*>(memory), floats};
  }
  return buffer.memory;
}

}  // namespace
}  // namespace ddpm

#endif  // DDPM_SCRATCH_H_
