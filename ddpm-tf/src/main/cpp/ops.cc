// Registers the operations with TensorFlow when this library is loaded.
#include <cstdlib>

#include "op_context.h"

// absl::SetMinLogLevel, as TensorFlow 2.18 has it; null in others.
extern "C" void _ZN4absl12lts_2023080214SetMinLogLevelENS0_18LogSeverityAtLeastE(int) __attribute__((weak));

namespace ddpm {
namespace {

// Set when the library is loaded.
const Kernels* kernels = &kKernelsBase;

void ChooseKernels() {
#ifdef __x86_64__
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl")) {
    kernels = __builtin_cpu_supports("avx512bf16") ? &kKernelsAvx512Bf16 : &kKernelsAvx512;
  } else if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    kernels = &kKernelsAvx2;
  }
#endif
}

}  // namespace

template <>
const KernelsOf<float>& KernelsFor<float>() {
  return kernels->float32;
}

template <>
const KernelsOf<BFloat16>& KernelsFor<BFloat16>() {
  return kernels->bfloat16;
}

void Define(const char* name, const char* const* inputs, const char* const* outputs, const char* const* attributes,
            void (*shapes)(TF_ShapeInferenceContext*, TF_Status*), TF_Status* status) {
  if (TF_GetCode(status) != TF_OK) {
    return;
  }
  TF_OpDefinitionBuilder* op = TF_NewOpDefinitionBuilder(name);
  for (; *inputs != nullptr; inputs++) {
    TF_OpDefinitionBuilderAddInput(op, *inputs);
  }
  for (; *outputs != nullptr; outputs++) {
    TF_OpDefinitionBuilderAddOutput(op, *outputs);
  }
  TF_OpDefinitionBuilderAddAttr(op, "T: {float, bfloat16}");
  for (; *attributes != nullptr; attributes++) {
    TF_OpDefinitionBuilderAddAttr(op, *attributes);
  }
  TF_OpDefinitionBuilderSetShapeInferenceFunction(op, shapes);
  TF_RegisterOpDefinition(op, status);
}

void UnknownShapes(TF_ShapeInferenceContext* context, TF_Status* status) {
  TF_ShapeInferenceContextSetUnknownShape(context, status);
}

void Implement(const char* name, TF_DataType type, void* (*create)(TF_OpKernelConstruction*),
               void (*compute)(void*, TF_OpKernelContext*), void (*destroy)(void*), TF_Status* status) {
  if (TF_GetCode(status) != TF_OK) {
    return;
  }
  TF_KernelBuilder* kernel = TF_NewKernelBuilder(name, "CPU", create, compute, destroy);
  TF_KernelBuilder_TypeConstraint(kernel, "T", type, status);
  if (TF_GetCode(status) == TF_OK) {
    TF_RegisterKernelBuilder(name, kernel, status);
  }
}

namespace {

__attribute__((constructor)) void Register() {
  ChooseKernels();
  // Some notes don't go by the variable that environment.cc sets.
  const char* level = std::getenv("TF_CPP_MIN_LOG_LEVEL");
  if (level != nullptr && *level >= '1' && _ZN4absl12lts_2023080214SetMinLogLevelENS0_18LogSeverityAtLeastE != nullptr) {
    _ZN4absl12lts_2023080214SetMinLogLevelENS0_18LogSeverityAtLeastE(1);
  }
  TF_Status* status = TF_NewStatus();
  RegisterAttention(status);
  RegisterConcat(status);
  RegisterConv(status);
  RegisterGroupNorm(status);
  // If it failed, the first use of the operation says that it is not registered.
  TF_DeleteStatus(status);
}

}  // namespace
}  // namespace ddpm
