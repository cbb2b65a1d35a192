// Pool: worker threads that share out the tasks of one job after another.
//
// Between jobs workers spin for a moment, so that handing over the next one costs well under a microsecond, and then
// sleep on a futex. Tasks are independent; which worker runs one never shows in the result.
#ifndef SG_CPU_POOL_H
#define SG_CPU_POOL_H

#include <stdint.h>

#include "runtime/base/status.h"

typedef struct Pool Pool;

// Runs tasks begin .. end-1 on a worker; 0 <= worker < pool_threads, and no two threads have one number at a time.
typedef void PoolJob(void *context, int worker, int64_t begin, int64_t end);

// `threads` counts the caller, who works too as worker 0; 0 = as many as the process may use.
Status pool_open(int threads, Pool **out);
void pool_close(Pool *pool); // NULL is allowed
int pool_threads(const Pool *pool);

// Runs tasks 0 .. n_tasks-1 and returns when all are done. One job at a time: not from within a job, nor from two
// threads at once.
void pool_run(Pool *pool, PoolJob *job, void *context, int64_t n_tasks);

#endif
