// Exec: a program loaded onto a device, with its memory. Nothing is allocated while it runs.
#ifndef SG_EXEC_H
#define SG_EXEC_H

#include "runtime/device.h"
#include "runtime/program.h"

typedef struct Exec Exec;

// Loads the kernels (through the kernel cache), allocates the two regions, and copies constants in. Parameters and
// state have the values that their Init says (seeded by their names and `seed`) unless they are set before the first
// run. The program must outlive it.
Status exec_open(const Program *program, Device *device, uint64_t seed, Exec **out);
// The same on the memory of `base`, which must have run once and outlive it: for a program that differs from base's in
// its kernels alone. EXIT_DEVICE if it differs otherwise.
Status exec_open_on(const Program *program, Exec *base, Exec **out);
void exec_close(Exec *exec); // NULL is allowed

// Host memory of an input (to write, row-major) or an output (to read after exec_run); NULL if there is none of that
// name. Lent; the same for the life of the Exec. Inputs keep their values from run to run.
float *exec_input(Exec *exec, const char *name);
const float *exec_output(const Exec *exec, const char *name);

// Copies a parameter or state in or out, row-major f32. EXIT_WEIGHTS if there is none of that name.
// A program without updates drops the plain values that were set once a run has begun, but for those that its steps
// read (Buffer.is_brief): getting them is refused then (EXIT_WEIGHTS), and after one is set the next run is, until all
// that were dropped have been set again.
// Where the device does not overlap with the host (exec_overlaps), threads may set different ones at the same time.
Status exec_set(Exec *exec, const char *name, const float *values);
// n elements of one from `begin` on; the others are to be set as well before a run.
Status exec_set_part(Exec *exec, const char *name, int64_t begin, int64_t n, const float *values);
Status exec_get(const Exec *exec, const char *name, float *values);

// Runs the setup steps if weights were set since the last time, then the steps. Updates are written back in place.
// After an error (of the device) the values of parameters and state are undefined.
Status exec_run(Exec *exec);

// exec_run in two parts, for work of the host while the device computes: exec_start returns as soon as the inputs may
// be written anew for the next run, exec_finish when the outputs are there. In between, nothing else of this Exec may
// be called but exec_send, which begins to copy the inputs of the next run; they must not be written after it until
// that run's exec_start has returned.
Status exec_start(Exec *exec);
Status exec_send(Exec *exec);
Status exec_finish(Exec *exec);
// Whether the device computes while the host does other work: else exec_start returns when all is done.
bool exec_overlaps(const Exec *exec);
// Copies out the values that an input had in the last run: host memory may hold the next ones.
Status exec_used(const Exec *exec, const char *name, float *values);

// As exec_run, with a clock around each step: seconds[i] for step i of the program.
Status exec_profile(Exec *exec, double *seconds);

// Runs step i of the program alone, on what is in memory.
Status exec_step(Exec *exec, int i);
// Where buffer i of the program lies on the device.
float *exec_address(const Exec *exec, int i);

int64_t exec_memory(const Exec *exec); // bytes held: both regions, host copies, scratch of the workers
const Program *exec_program(const Exec *exec);

#endif
