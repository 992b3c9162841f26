// The threads that share the images of an operation.
#ifndef DDPM_WORKERS_H_
#define DDPM_WORKERS_H_

namespace ddpm {

// Calls work(context, i) for each i in [0, count), on this thread and on those of a pool that are idle; returns, when
// all are done, whether all of them returned true. Where several graphs run at once, each has its share of the threads,
// so that as many run as there are and none waits for another.
bool ParallelFor(long count, bool (*work)(void* context, long i), void* context);

// The same with a function object, on this thread alone unless `parallel`.
template <typename F>
bool For(long count, bool parallel, F& work) {
  if (parallel) {
    return ParallelFor(
        count, [](void* context, long i) { return (*static_cast<F*>(context))(i); }, &work);
  }
  bool all = true;
  for (long i = 0; i < count; i++) {
    all = work(i) && all;
  }
  return all;
}

// Threads that ParallelFor uses at most.
int Parallelism();

}  // namespace ddpm

#endif  // DDPM_WORKERS_H_
