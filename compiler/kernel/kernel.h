// Kernel: a group of nodes becomes the text of one C function, through the loop-nest IR and a schedule.
#ifndef SG_KERNEL_H
#define SG_KERNEL_H

#include "compiler/graph.h"
#include "compiler/target.h"
#include "runtime/program.h"

// Nodes computed together. Members are in topological order; `ins` are the values read from memory (each once),
// `outs` the members whose values are stored because something outside needs them.
typedef struct Group {
  int id;
  Node **nodes;
  int n_nodes;
  Node **ins;
  int n_ins;
  Node **outs;
  int n_outs;
  const char *row_symbol; // of its kernel, where that takes rows and is known; else NULL
} Group;

typedef struct KernelInfo {
  const char *symbol; // the function's name: op names and sizes, unique in the program
  int64_t n_tasks;    // independent pieces of work; the pool hands out ranges of them. CUDA: blocks
  int64_t scratch;    // floats of scratch memory a worker needs. CUDA: that the launch needs, counters included
  int block, shared;  // CUDA: threads a block, bytes of dynamic shared memory; CPU: 0, bytes that tasks share
  // CUDA: loads and stores of whole warps, the 32-byte sectors that they touch, and how many would do (cuda/access.h).
  double requests, sectors, ideal_sectors;
  const Gemm *gemm;        // CUDA: the product that the kernel computes, as a library may do in its place; else NULL
  int64_t row_floats;      // CUDA: of a kernel that takes rows, the floats of this one; else 0
  const SgNumber *numbers; // CPU: what the kernel finds in its context (runtime/kernel_abi.h)
  int n_numbers;
  // For the comment, `sgc explain` and the bench: operations as node_cost counts them; the least traffic, each element
  // (and lane) of memory that is read once, and each that is written once.
  int64_t flops, bytes;
} KernelInfo;

// Whether the code generator can compute all of `group` (which includes the candidate) as one kernel; when it cannot
// and `why` is given, appends the reason in a few words. The fuse pass asks this; it decides, the generator enables.
bool kernel_can_fuse(const Target *target, const Group *group, Text *why);

// Appends the C text of the group's function to `source`; `arena` holds info->symbol and numbers. Arguments of the
// function are pointers to the first element of each of ins, then outs, in their order (see runtime/kernel_abi.h).
// Buffers hold a multiple of PROGRAM_ALIGN floats: kernels over whole buffers read and write up to there. A group that
// is equal to an earlier one but for its buffers, its names and its place yields the same symbol: its text is then not
// needed again. What runs once after loading takes its sizes and constants as numbers, so that there it may differ in
// them too: such kernels take longer to compile than to run.
void kernel_emit(const Target *target, const Group *group, Arena *arena, Text *source, KernelInfo *info);

// Text common to all kernels of a target: vector types, vector mathematics, micro-kernels.
void kernel_preamble(const Target *target, Text *source);

// ---- storage of values, as kernels see it

// The node whose buffer holds the value (itself unless written into a concat, nested ones resolved).
const Node *storage_root(const Node *node);
// Offset in floats of the value's first element in the root's buffer.
int64_t storage_offset(const Node *node);
// Distance in floats between images (axis 0): that of the root for a part of its channels, be they blocked or plain.
int64_t storage_batch_stride(const Node *node);

#endif
