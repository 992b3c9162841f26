// The threads that share the images of an operation.
#ifndef DDPM_WORKERS_H_
#define DDPM_WORKERS_H_

namespace ddpm {

// Calls work(context, i) for each i in [0, count), on this thread and on those of a pool that are idle; returns when
// all are done. If another operation has the pool, this thread does all: the other cores are busy then.
void ParallelFor(long count, void (*work)(void* context, long i), void* context);

// The same with a function object.
template <typename F>
void ParallelFor(long count, F& work) {
  ParallelFor(count, [](void* context, long i) { (*static_cast<F*>(context))(i); }, &work);
}

// Threads that ParallelFor uses at most.
int Parallelism();

}  // namespace ddpm

#endif  // DDPM_WORKERS_H_
