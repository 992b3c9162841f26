#include "workers.h"

#include <pthread.h>
#include <sched.h>

#include <atomic>

namespace ddpm {
namespace {

struct Job {
  long count;
  void (*work)(void*, long);
  void* context;
  std::atomic<long> next{0};

  void Run() {
    for (long i = next++; i < count; i = next++) {
      work(context, i);
    }
  }
};

int Cores() {
  cpu_set_t set;
  return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
}

// Never destroyed: its threads end with the process.
class Pool {
 public:
  void Start() {
    for (int i = 1; i < Cores(); i++) {
      pthread_t thread;
      if (pthread_create(&thread, nullptr, &Serve, this) != 0) {
        break;
      }
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
      pthread_cond_broadcast(&wake_);
    }
    pthread_mutex_unlock(&mutex_);
    job->Run();
    if (free) {
      pthread_mutex_lock(&mutex_);
      // Those that joined may still be at their last image; the next job waits for that too.
      while (running_ > 0) {
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
    pthread_mutex_lock(&mutex_);
    for (;;) {
      // A job without images left is withdrawn by its owner in a moment.
      while (job_ == nullptr || job_->next.load() >= job_->count) {
        pthread_cond_wait(&wake_, &mutex_);
      }
      Job* job = job_;
      running_++;
      pthread_mutex_unlock(&mutex_);
      job->Run();
      pthread_mutex_lock(&mutex_);
      running_--;
      if (running_ == 0) {
        pthread_cond_signal(&done_);
      }
    }
  }

  pthread_mutex_t mutex_ = PTHREAD_MUTEX_INITIALIZER;
  pthread_cond_t wake_ = PTHREAD_COND_INITIALIZER;
  pthread_cond_t done_ = PTHREAD_COND_INITIALIZER;
  Job* job_ = nullptr;
  int running_ = 0;
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

void ParallelFor(long count, void (*work)(void*, long), void* context) {
  Job job;
  job.count = count;
  job.work = work;
  job.context = context;
  if (count == 1) {
    job.Run();
  } else {
    Started().Run(&job);
  }
}

int Parallelism() { return Started().threads() + 1; }

}  // namespace ddpm
