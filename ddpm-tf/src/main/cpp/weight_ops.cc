// The operation DdpmWeight: numbers that never change, of which the graph has the key alone. All of its outputs are one
// tensor, which nobody copies: neither who builds the graph, nor a session, nor a run.
#include <pthread.h>

#include <cinttypes>
#include <cstdio>

#include "op_context.h"

namespace ddpm {
namespace {

// The numbers of a key. Whoever put them in the table refers to them until the key is forgotten, and so does each
// kernel until it is destroyed. TensorFlow gives a tensor's memory to no other output while somebody refers to it.
struct Weight {
  int64_t key;
  TF_Tensor* tensor;
  int references;
  Weight* older;
};

class Table {
 public:
  // A key for a tensor of float32, from 1; 0 if there is no memory for it.
  int64_t Add(const int64_t* dims, int rank) {
    size_t bytes = sizeof(float);
    for (int d = 0; d < rank; d++) {
      bytes *= dims[d];
    }
    auto* weight = static_cast<Weight*>(std::malloc(sizeof(Weight)));
    // TensorFlow copies what is aligned to less, and its own memory stays in a pool.
    void* data = nullptr;
    if (weight == nullptr || posix_memalign(&data, 64, bytes) != 0) {
      std::free(weight);
      return 0;
    }
    TF_Tensor* tensor = TF_NewTensor(
        TF_FLOAT, dims, rank, data, bytes, [](void* memory, size_t, void*) { std::free(memory); }, nullptr);
    pthread_mutex_lock(&mutex_);
    *weight = {++last_key_, tensor, 1, newest_};
    newest_ = weight;
    kept_++;
    pthread_mutex_unlock(&mutex_);
    return weight->key;
  }

  // A reference to what has a key; null if nothing does.
  Weight* Refer(int64_t key) {
    pthread_mutex_lock(&mutex_);
    Weight* weight = *Find(key);
    if (weight != nullptr) {
      weight->references++;
    }
    pthread_mutex_unlock(&mutex_);
    return weight;
  }

  void Release(Weight* weight) {
    pthread_mutex_lock(&mutex_);
    const bool last = --weight->references == 0;
    kept_ -= last ? 1 : 0;
    pthread_mutex_unlock(&mutex_);
    if (last) {
      TF_DeleteTensor(weight->tensor);
      std::free(weight);
    }
  }

  void Forget(int64_t key) {
    pthread_mutex_lock(&mutex_);
    Weight** link = Find(key);
    Weight* weight = *link;
    if (weight != nullptr) {
      *link = weight->older;
    }
    pthread_mutex_unlock(&mutex_);
    if (weight != nullptr) {
      Release(weight);
    }
  }

  // Those that have memory: with a key, or of a kernel.
  int Kept() {
    pthread_mutex_lock(&mutex_);
    const int kept = kept_;
    pthread_mutex_unlock(&mutex_);
    return kept;
  }

 private:
  // The link to what has a key; that at the end, which is null, if nothing does.
  Weight** Find(int64_t key) {
    Weight** link = &newest_;
    while (*link != nullptr && (*link)->key != key) {
      link = &(*link)->older;
    }
    return link;
  }

  pthread_mutex_t mutex_ = PTHREAD_MUTEX_INITIALIZER;
  Weight* newest_ = nullptr;
  int64_t last_key_ = 0;
  int kept_ = 0;
};

Table table;

void* Create(TF_OpKernelConstruction* construction) {
  return NewAttributes<Weight*>(construction, [&](Weight** weight, TF_Status* status) {
    int64_t key = 0;
    TF_OpKernelConstruction_GetAttrInt64(construction, "key", &key, status);
    if (TF_GetCode(status) == TF_OK) {
      *weight = table.Refer(key);
      if (*weight == nullptr) {
        char message[80];
        std::snprintf(message, sizeof message, "key must be that of a weight that is kept, got %" PRId64, key);
        TF_SetStatus(status, TF_INVALID_ARGUMENT, message);
      }
    }
  });
}

void Destroy(void* state) {
  auto* weight = static_cast<Weight**>(state);
  if (weight != nullptr && *weight != nullptr) {
    table.Release(*weight);
  }
  std::free(state);
}

void Compute(void* state, TF_OpKernelContext* tf_context) {
  Context context(tf_context);
  context.Give(0, (*static_cast<Weight**>(state))->tensor);
}

// That of the input without its first size: no attribute but a type can be read here.
void Shapes(TF_ShapeInferenceContext* context, TF_Status* status) {
  TF_ShapeHandle* shape = TF_NewShapeHandle();
  TF_ShapeInferenceContextGetInput(context, 0, shape, status);
  const int64_t rank = TF_GetCode(status) == TF_OK ? TF_ShapeInferenceContextRank(context, shape) : -1;
  if (rank >= 0) {
    TF_ShapeInferenceContextSubshape(context, shape, 1, rank, shape, status);
    if (TF_GetCode(status) == TF_OK) {
      TF_ShapeInferenceContextSetOutput(context, 0, shape, status);
    }
  } else if (TF_GetCode(status) == TF_OK) {
    TF_ShapeInferenceContextSetUnknownShape(context, status);
  }
  TF_DeleteShapeHandle(shape);
}

}  // namespace

void RegisterWeight(TF_Status* status) {
  // The shape is that of a tensor without values, [0, ...].
  const char* const inputs[] = {"shape: T", nullptr};
  const char* const outputs[] = {"weight: T", nullptr};
  const char* const attributes[] = {"key: int", "packed: bool", nullptr};
  Define("DdpmWeight", inputs, outputs, attributes, Shapes, status, true);
  Implement("DdpmWeight", TF_FLOAT, Create, Compute, Destroy, status);
}

}  // namespace ddpm

// The native methods of Java's class Kernels. They have numbers alone, so that nothing of JNI is needed.
#define KERNELS_METHOD(name) __attribute__((visibility("default"))) Java_io_github_ddpm_tf_graph_Kernels_##name

extern "C" {

int64_t KERNELS_METHOD(addWeight)(void*, void*, int32_t rank, int64_t a, int64_t b, int64_t c, int64_t d) {
  const int64_t dims[] = {a, b, c, d};
  return ddpm::table.Add(dims, rank);
}

// Where its numbers go, before a graph with it runs.
int64_t KERNELS_METHOD(addressOfWeight)(void*, void*, int64_t key) {
  ddpm::Weight* weight = ddpm::table.Refer(key);
  if (weight == nullptr) {
    return 0;
  }
  const auto address = reinterpret_cast<intptr_t>(TF_TensorData(weight->tensor));
  ddpm::table.Release(weight);
  return address;
}

void KERNELS_METHOD(forgetWeight)(void*, void*, int64_t key) { ddpm::table.Forget(key); }

int32_t KERNELS_METHOD(weightsKept)(void*, void*) { return ddpm::table.Kept(); }

}  // extern "C"
