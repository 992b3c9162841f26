// The instruction sets that kernels are compiled for, where the compiler knows them: then build.sh defines DDPM_AVX2
// and so on.
#ifndef DDPM_INSTRUCTIONS_H_
#define DDPM_INSTRUCTIONS_H_

namespace ddpm {

// Numbered as by the class Kernels in Java. Each is faster than those before it.
enum Instructions { kBase, kAvx2, kAvx512, kAvx512Bf16 };

namespace {

// Whether there are kernels for these instructions, and this processor has them.
inline bool Usable(int instructions) {
#ifdef __x86_64__
  __builtin_cpu_init();
#endif
  switch (instructions) {
    case kBase:
      return true;
#ifdef DDPM_AVX2
    case kAvx2:
      return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#endif
#ifdef DDPM_AVX512
    case kAvx512:
      return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
             __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
#endif
#ifdef DDPM_AVX512BF16
    case kAvx512Bf16:
      return Usable(kAvx512) && __builtin_cpu_supports("avx512bf16");
#endif
    default:
      return false;
  }
}

}  // namespace
}  // namespace ddpm

#endif  // DDPM_INSTRUCTIONS_H_
