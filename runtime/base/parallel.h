// Parallel: a loop whose turns do not depend on each other, shared out among threads that live as long as the loop.
#ifndef SG_BASE_PARALLEL_H
#define SG_BASE_PARALLEL_H

// Cores the process may use: its affinity mask, cut down to the quota of its control group.
int parallel_cores(void);

typedef struct Parallel Parallel;

// Does one turn; 0 <= worker < the number of workers, and no two threads have one number at a time.
typedef void ParallelTurn(void *context, int worker, int turn);

// Begins the loop with n_workers - 1 threads, or as many as the system gives. The last worker, of number 0, is the
// caller, who may do other things first: parallel_finish does what is left and returns when all turns are done.
Parallel *parallel_start(int n_turns, int n_workers, ParallelTurn *turn, void *context);
void parallel_finish(Parallel *parallel);

#endif
