#include "workers.h"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdlib>

namespace ddpm {
namespace {

struct Job {
  long count;
  bool (*work)(void*, long);
  void* context;
  std::atomic<long> next{0};
  std::atomic<bool> failed{false};
  std::atomic<int> helping{0};  // threads of the pool that are at it
  int most_helping = 0;
  Job* older = nullptr;  // in the pool's list

  void Run() {
    for (long i = next++; i < count; i = next++) {
      if (!work(context, i)) {
        failed = true;
      }
    }
  }

  bool WantsHelp() const { return next.load() < count && helping.load() < most_helping; }
};

// Runs of graphs that are under way, which share the threads.
std::atomic<int> runs{0};

// As many as environment.cc was told; else one for each core that this process may run on.
int Threads() {
  const char* told = std::getenv("DDPM_THREADS");
  if (told != nullptr) {
    return std::atoi(told);
  }
  cpu_set_t set;
  return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
}

// How often a thread looks for work, or for the end of it, before it sleeps: some 20 microseconds. Waking a thread
// takes longer than many an operation on one image.
constexpr int kSpins = 1000;

inline void Pause() {
#ifdef __x86_64__
  __builtin_ia32_pause();
#endif
}

// Never destroyed: its threads end with the process.
class Pool {
 public:
  void Start() {
    const int threads = Threads();
    for (int i = 1; i < threads; i++) {
      pthread_t thread;
      if (pthread_create(&thread, nullptr, &Serve, this) != 0) {
        break;
      }
      pthread_setname_np(thread, "ddpm");
      pthread_detach(thread);
      threads_++;
    }
  }

  int threads() const { return threads_; }

  void Run(Job* job) {
    const int sharing = std::max(1, runs.load());
    job->most_helping = (threads_ + sharing) / sharing - 1;
    if (job->most_helping <= 0) {
      job->Run();
      return;
    }
    pthread_mutex_lock(&mutex_);
    job->older = newest_;
    newest_ = job;
    jobs_.fetch_add(1, std::memory_order_release);
    if (sleeping_ > 0) {
      pthread_cond_broadcast(&wake_);
    }
    pthread_mutex_unlock(&mutex_);
    job->Run();
    for (int i = 0; i < kSpins && job->helping.load(std::memory_order_acquire) > 0; i++) {
      Pause();
    }
    pthread_mutex_lock(&mutex_);
    Job** link = &newest_;
    while (*link != job) {
      link = &(*link)->older;
    }
    *link = job->older;
    // Those that joined may still be at their last image.
    while (job->helping.load() > 0) {
      pthread_cond_wait(&done_, &mutex_);
    }
    pthread_mutex_unlock(&mutex_);
  }

 private:
  static void* Serve(void* pool) {
    static_cast<Pool*>(pool)->Serve();
    return nullptr;
  }

  [[noreturn]] void Serve() {
    long seen = 0;
    for (;;) {
      for (int i = 0; i < kSpins && jobs_.load(std::memory_order_acquire) == seen; i++) {
        Pause();
      }
      pthread_mutex_lock(&mutex_);
      Job* job = Next();
      while (job == nullptr) {
        sleeping_++;
        pthread_cond_wait(&wake_, &mutex_);
        sleeping_--;
        job = Next();
      }
      seen = jobs_.load();
      job->helping++;
      helping_++;
      pthread_mutex_unlock(&mutex_);
      job->Run();
      pthread_mutex_lock(&mutex_);
      helping_--;
      if (--job->helping == 0) {
        pthread_cond_broadcast(&done_);
      }
      pthread_mutex_unlock(&mutex_);
    }
  }

  // A job without images left is withdrawn by its owner in a moment. Runs have a thread each and share the others.
  Job* Next() const {
    if (helping_ >= threads_ + 1 - std::max(1, runs.load())) {
      return nullptr;
    }
    Job* job = newest_;
    while (job != nullptr && !job->WantsHelp()) {
      job = job->older;
    }
    return job;
  }

  pthread_mutex_t mutex_ = PTHREAD_MUTEX_INITIALIZER;
  pthread_cond_t wake_ = PTHREAD_COND_INITIALIZER;
  pthread_cond_t done_ = PTHREAD_COND_INITIALIZER;
  Job* newest_ = nullptr;
  std::atomic<long> jobs_{0};  // ever begun
  int sleeping_ = 0;
  int helping_ = 0;
  int threads_ = 0;
};

pthread_once_t started = PTHREAD_ONCE_INIT;
Pool pool;

// Started at the first use, not when the library is loaded: a process may fork in between.
Pool& Started() {
  pthread_once(&started, [] { pool.Start(); });
  return pool;
}

}  // namespace

bool ParallelFor(long count, bool (*work)(void*, long), void* context) {
  Job job;
  job.count = count;
  job.work = work;
  job.context = context;
  if (count == 1) {
    job.Run();
  } else {
    Started().Run(&job);
  }
  return !job.failed;
}

int Parallelism() { return Started().threads() + 1; }

}  // namespace ddpm

// The native method of Java's class Kernels: a run of a graph begins (1) or has ended (-1). It has numbers alone, so
// that nothing of JNI is needed.
extern "C" __attribute__((visibility("default"))) void Java_io_github_ddpm_tf_graph_Kernels_changeRuns(void*, void*,
                                                                                                       int32_t change) {
  ddpm::runs += change;
}
