// Registers the operations with TensorFlow when this library is loaded.
#include <cstdio>
#include <cstdlib>

#include "instructions.h"
#include "op_context.h"

namespace ddpm {
namespace {

// Set when the library is loaded.
const Kernels* kernels = &kKernelsBase;

void ChooseKernels() {
  const char* chosen = std::getenv("DDPM_INSTRUCTIONS");
  int instructions = chosen == nullptr ? kAvx512Bf16 : std::atoi(chosen);
  while (instructions > kBase && !Usable(instructions)) {
    instructions--;
  }
  switch (instructions) {
#ifdef DDPM_AVX2
    case kAvx2:
      kernels = &kKernelsAvx2;
      break;
#endif
#ifdef DDPM_AVX512
    case kAvx512:
      kernels = &kKernelsAvx512;
      break;
#endif
#ifdef DDPM_AVX512BF16
    case kAvx512Bf16:
      kernels = &kKernelsAvx512Bf16;
      break;
#endif
  }
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

namespace {

// What an operation is called: "DdpmConv" in the first class loader of a process, "Ddpm1Conv" in the next, as the class
// Kernels in Java has it.
struct Name {
  char text[64];

  explicit Name(const char* operation) {
    const char* loader = std::getenv("DDPM_LOADER");
    if (loader == nullptr || std::atoi(loader) == 0) {
      std::snprintf(text, sizeof text, "%s", operation);
    } else {
      std::snprintf(text, sizeof text, "Ddpm%d%s", std::atoi(loader), operation + sizeof "Ddpm" - 1);
    }
  }
};

}  // namespace

void Define(const char* operation, const char* const* inputs, const char* const* outputs, const char* const* attributes,
            void (*shapes)(TF_ShapeInferenceContext*, TF_Status*), TF_Status* status, bool stateful) {
  if (TF_GetCode(status) != TF_OK) {
    return;
  }
  TF_OpDefinitionBuilder* op = TF_NewOpDefinitionBuilder(Name(operation).text);
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
  TF_OpDefinitionBuilderSetIsStateful(op, stateful);
  TF_RegisterOpDefinition(op, status);
}

void UnknownShapes(TF_ShapeInferenceContext* context, TF_Status* status) {
  TF_ShapeInferenceContextSetUnknownShape(context, status);
}

void Implement(const char* operation, TF_DataType type, void* (*create)(TF_OpKernelConstruction*),
               void (*compute)(void*, TF_OpKernelContext*), void (*destroy)(void*), TF_Status* status) {
  if (TF_GetCode(status) != TF_OK) {
    return;
  }
  const Name name(operation);
  TF_KernelBuilder* kernel = TF_NewKernelBuilder(name.text, "CPU", create, compute, destroy);
  TF_KernelBuilder_TypeConstraint(kernel, "T", type, status);
  if (TF_GetCode(status) == TF_OK) {
    TF_RegisterKernelBuilder(name.text, kernel, status);
  }
}

namespace {

__attribute__((constructor)) void Register() {
  ChooseKernels();
  TF_Status* status = TF_NewStatus();
  RegisterAttention(status);
  RegisterConcat(status);
  RegisterConv(status);
  RegisterGroupNorm(status);
  RegisterWeight(status);
  // If it failed, the first use of the operation says that it is not registered.
  TF_DeleteStatus(status);
}

}  // namespace
}  // namespace ddpm
