// Preamble: the C text in front of all kernels, for one vector width.
#ifndef SG_KERNEL_PREAMBLE_H
#define SG_KERNEL_PREAMBLE_H

#include "runtime/base/text.h"

void preamble_types(int width, Text *out); // types, loads and stores, lanes, integers
void preamble_scalar(Text *out);           // the functions of elementwise ops on floats: C and CUDA
void preamble_math(int width, Text *out);  // the scalar functions of elementwise ops, on floats and on vectors
void preamble_rows(Text *out);             // whole rows: nearest, scatter_add
void preamble_random(Text *out);           // runs of random numbers
void preamble_cuda(Text *out);             // all of it for CUDA

#endif
