#include "workers.h"

#include <pthread.h>
#include <sched.h>

#include <atomic>
#include <cstdlib>

namespace ddpm {
namespace {

struct Job {
  long count;
  bool (*work)(void*, long);
  void* context;
  std::atomic<long> next{0};
  std::atomic<bool> failed{false};

  void Run() {
    for (long i = next++; i < count; i = next++) {
      if (!work(context, i)) {
        failed = true;
      }
    }
  }
};

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
    pthread_mutex_lock(&mutex_);
    bool free = job_ == nullptr;
    if (free) {
      job_ = job;
      jobs_.fetch_add(1, std::memory_order_release);
      if (sleeping_ > 0) {
        pthread_cond_broadcast(&wake_);
      }
    }
    pthread_mutex_unlock(&mutex_);
    job->Run();
    if (free) {
      for (int i = 0; i < kSpins && running_.load(std::memory_order_acquire) > 0; i++) {
        Pause();
      }
      pthread_mutex_lock(&mutex_);
      // Those that joined may still be at their last image; the next job waits for that too.
      while (running_.load() > 0) {
        pthread_cond_wait(&done_, &mutex_);
      }
      job_ = nullptr;
      pthread_mutex_unlock(&mutex_);
    }
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
      // A job without images left is withdrawn by its owner in a moment.
      while (job_ == nullptr || job_->next.load() >= job_->count) {
        sleeping_++;
        pthread_cond_wait(&wake_, &mutex_);
        sleeping_--;
      }
      seen = jobs_.load();
      Job* job = job_;
      running_++;
      pthread_mutex_unlock(&mutex_);
      job->Run();
      pthread_mutex_lock(&mutex_);
      if (--running_ == 0) {
        pthread_cond_signal(&done_);
      }
      pthread_mutex_unlock(&mutex_);
    }
  }

  pthread_mutex_t mutex_ = PTHREAD_MUTEX_INITIALIZER;
  pthread_cond_t wake_ = PTHREAD_COND_INITIALIZER;
  pthread_cond_t done_ = PTHREAD_COND_INITIALIZER;
  Job* job_ = nullptr;
  std::atomic<long> jobs_{0};    // ever begun
  std::atomic<int> running_{0};  // threads at the job
  int sleeping_ = 0;
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
